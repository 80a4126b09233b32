/*
 * test_memtable_threads.c - readers beside the writer: whoever has seen a sequence published finds its entry, by key
 * and in order.
 */
#include <criterion/criterion.h>
#include <stdio.h>

#include "base/hash.h"
#include "memtable_fixture.h"
#include "os/thread.h"

#define ENTRIES 24000u
#define KEYS 9000u
#define READERS 3u

typedef struct shared {
    fixture f;
    vr_mutex write; /* guards adding and linking */
    _Atomic uint64_t published;
    bool rising;
    _Atomic uint64_t failures;
    _Atomic uint64_t scans;
} shared;

typedef struct reader {
    shared *s;
    uint64_t random;
} reader;

/* The key of a sequence: some keys are written again and again. */
static varve_slice key_of_sequence(const shared *s, uint64_t sequence, char out[32]) {
    uint64_t number = s->rising ? sequence / 2 : sequence * 2654435761u % KEYS;
    return varve_bytes(out, (size_t)snprintf(out, 32, "item/%08llu", (unsigned long long)number));
}

static void expect(shared *s, bool holds) {
    if (!holds) atomic_fetch_add(&s->failures, 1);
}

static void write_all(void *context) {
    shared *s = context;
    for (uint64_t sequence = 1; sequence <= ENTRIES; sequence++) {
        char bytes[32], value[VALUE_BYTES_MAX];
        varve_slice key = key_of_sequence(s, sequence, bytes);
        vr_mutex_lock(&s->write);
        varve_slice content = varve_bytes(value, value_of(sequence, value));
        expect(s, vr_memtable_add(s->f.mt, sequence, VR_KIND_PUT, key, vr_key_hash(key), content, NULL) == VARVE_OK);
        atomic_store_explicit(&s->published, sequence, memory_order_release);
        vr_mutex_unlock(&s->write);
    }
}

static void check_value(shared *s, uint64_t sequence, varve_slice value) {
    char expected[VALUE_BYTES_MAX];
    expect(s, vr_equal(value, varve_bytes(expected, value_of(sequence, expected))));
}

static void get_some(reader *r, uint64_t published) {
    for (unsigned i = 0; i < 50; i++) {
        uint64_t sequence = i == 0 ? published : 1 + next_random(&r->random) % published;
        char bytes[32];
        varve_slice key = key_of_sequence(r->s, sequence, bytes), value;
        uint64_t trailer = 0;
        bool found = vr_memtable_get(r->s->f.mt, key, vr_key_hash(key), sequence, &trailer, &value);
        expect(r->s, found && trailer == vr_trailer(sequence, VR_KIND_PUT));
        if (found) check_value(r->s, sequence, value);
    }
}

static void seek_some(reader *r, vr_cursor *cursor, uint64_t published) {
    for (unsigned i = 0; i < 50; i++) {
        uint64_t sequence = i == 0 ? published : 1 + next_random(&r->random) % published;
        char bytes[32];
        varve_slice key = key_of_sequence(r->s, sequence, bytes);
        uint64_t trailer = vr_trailer(sequence, VR_KIND_PUT);
        if (i & 1) {
            cursor->ops->seek(cursor, key, vr_trailer_seek(sequence));
        } else {
            cursor->ops->seek_prev(cursor, key, trailer);
        }
        expect(r->s, cursor->valid && cursor->trailer == trailer && vr_equal(cursor->key, key));
    }
}

/* A whole scan sees each published entry once, in order, whatever is added meanwhile. */
static void scan(reader *r, vr_cursor *cursor, uint64_t published, bool forward) {
    uint64_t seen = 0, last_trailer = 0;
    varve_slice last = {0};
    forward ? cursor->ops->first(cursor) : cursor->ops->last(cursor);
    while (cursor->valid) {
        if (last.data) {
            int order = vr_compare(last, cursor->key);
            if (order == 0) order = last_trailer > cursor->trailer ? -1 : 1;
            expect(r->s, forward ? order < 0 : order > 0);
        }
        last = cursor->key; /* points into the memtable, which stays */
        last_trailer = cursor->trailer;
        uint64_t sequence = vr_trailer_sequence(cursor->trailer);
        seen += sequence <= published;
        if (sequence % 64 == 0) check_value(r->s, sequence, cursor->value);
        forward ? cursor->ops->next(cursor) : cursor->ops->prev(cursor);
    }
    expect(r->s, seen == published);
    atomic_fetch_add(&r->s->scans, 1);
}

static void read_all(void *context) {
    reader *r = context;
    shared *s = r->s;
    uint64_t published = 0;
    for (unsigned round = 0; published < ENTRIES; round++) {
        published = atomic_load_explicit(&s->published, memory_order_acquire);
        if (published == 0) continue;
        get_some(r, published);
        if (round % 8 != 0 && published < ENTRIES) continue;
        if (vr_memtable_pending(s->f.mt)) {
            vr_mutex_lock(&s->write);
            vr_memtable_link(s->f.mt);
            vr_mutex_unlock(&s->write);
        }
        vr_cursor *cursor;
        expect(s, vr_memtable_cursor(s->f.mt, &cursor, NULL) == VARVE_OK);
        seek_some(r, cursor, published);
        scan(r, cursor, published, round & 8);
        cursor->ops->close(cursor);
    }
}

static void run(bool rising) {
    static shared s;
    fixture_open(&s.f, 0);
    vr_mutex_init(&s.write, VR_RANK_WRITE);
    s.rising = rising;
    atomic_store(&s.published, 0);
    vr_thread writer, readers[READERS];
    reader contexts[READERS];
    for (unsigned i = 0; i < READERS; i++) {
        contexts[i] = (reader){.s = &s, .random = 1 + i};
        cr_assert_eq(vr_thread_start(&readers[i], "reader", read_all, &contexts[i], NULL), VARVE_OK);
    }
    cr_assert_eq(vr_thread_start(&writer, "writer", write_all, &s, NULL), VARVE_OK);
    vr_thread_join(&writer);
    for (unsigned i = 0; i < READERS; i++) vr_thread_join(&readers[i]);
    cr_assert_eq(atomic_load(&s.failures), 0);
    cr_assert_geq(atomic_load(&s.scans), READERS);
    vr_mutex_destroy(&s.write);
    fixture_close(&s.f);
}

Test(memtable_threads, readers_beside_random_writes) {
    run(false);
}

Test(memtable_threads, readers_beside_rising_writes) {
    run(true);
}
