/*
 * test_memtable_model.c - random operations on a memtable and on a sorted array must look the same, for keys of every
 * awkward shape.
 */
#include <criterion/criterion.h>
#include <stdio.h>

#include "base/hash.h"
#include "memtable_fixture.h"

#define KEY_BYTES_MAX 320u

/* Shapes of keys. Each draws from a few hundred to a few thousand keys, so that many are written more than once. */
typedef size_t (*key_shape)(uint64_t random, char *out);

/* Zero to four bytes of an alphabet that holds the lowest and the highest: "a" and "a\0" share a prefix. */
static size_t shape_short(uint64_t random, char *out) {
    static const char alphabet[] = {0, 'a', (char)0xff, 1};
    size_t size = random % 5;
    for (size_t i = 0; i < size; i++) out[i] = alphabet[random >> (8 + 2 * i) & 3];
    return size;
}

static size_t shape_decimal(uint64_t random, char *out) {
    return (size_t)snprintf(out, KEY_BYTES_MAX, "user:%06u", (unsigned)(random % 3000));
}

/* The first 8 or 16 bytes in common, the difference behind them. */
static size_t shape_deep(uint64_t random, char *out) {
    size_t common = random & 1 ? 8 : 16;
    memset(out, 'p', common);
    return common + (size_t)snprintf(out + common, 16, "%x", (unsigned)(random >> 8 & 0x1ff));
}

/* Nearly all begin alike; one in eight sorts before, after, or is cut short inside the common part. */
static size_t shape_outliers(uint64_t random, char *out) {
    size_t size = (size_t)snprintf(out, KEY_BYTES_MAX, "tenant-0001/order/%05u/line", (unsigned)(random >> 8 & 0x3ff));
    if (random & 7) return size;
    switch (random >> 3 & 3) {
    case 0:
        out[random >> 20 & 15] = 0;
        return size;
    case 1:
        out[random >> 20 & 15] = (char)0xff;
        return size;
    default:
        return (random >> 20) % (size + 1);
    }
}

/* Long runs of 0xff: prefixes equal to the end's. */
static size_t shape_high(uint64_t random, char *out) {
    size_t size = random % 24;
    memset(out, 0xff, size);
    if (size && random >> 8 & 1) out[size - 1] = (char)(random >> 16);
    return size;
}

static size_t shape_long(uint64_t random, char *out) {
    size_t size = random % KEY_BYTES_MAX;
    uint64_t state = (random % 700) + 1;
    for (size_t i = 0; i < size; i++) out[i] = (char)next_random(&state);
    return size;
}

static void check_seeks(vr_cursor *cursor, const model *m, varve_slice key, uint64_t trailer) {
    size_t lower = model_lower(m, key, trailer);
    cursor->ops->seek(cursor, key, trailer);
    check_at(cursor, m, lower);
    bool exact = lower < m->count && m->entries[lower].trailer == trailer && vr_equal(model_key(m, lower), key);
    cursor->ops->seek_prev(cursor, key, trailer);
    check_at(cursor, m, exact ? lower : lower - 1);
}

/* Both full scans, a walk that turns around at random, seeks at and beside every entry. */
static void check_order(fixture *f, const model *m, uint64_t *random) {
    vr_cursor *cursor = fixture_cursor(f);
    size_t at = 0;
    for (cursor->ops->first(cursor); cursor->valid; cursor->ops->next(cursor)) check_at(cursor, m, at++);
    cr_assert_eq(at, m->count);
    for (cursor->ops->last(cursor); cursor->valid; cursor->ops->prev(cursor)) check_at(cursor, m, --at);
    cr_assert_eq(at, 0);
    for (unsigned i = 0; i < 2000 && m->count > 0; i++) {
        if (!cursor->valid) {
            at = next_random(random) % m->count;
            cursor->ops->seek(cursor, model_key(m, at), m->entries[at].trailer);
        }
        bool forward = next_random(random) >> 20 & 1;
        for (uint64_t steps = 1 + next_random(random) % 40; steps > 0 && cursor->valid; steps--) {
            forward ? cursor->ops->next(cursor) : cursor->ops->prev(cursor);
            at = forward ? at + 1 : at - 1;
            check_at(cursor, m, at);
        }
    }
    for (size_t i = 0; i < m->count; i += 1 + m->count / 512) {
        varve_slice key = model_key(m, i);
        uint64_t trailer = m->entries[i].trailer;
        const uint64_t trailers[] = {trailer, trailer - 1, trailer + 1, 0, UINT64_MAX};
        for (size_t t = 0; t < sizeof trailers / sizeof trailers[0]; t++) check_seeks(cursor, m, key, trailers[t]);
        char beside[KEY_BYTES_MAX + 1];
        memcpy(beside, key.data, key.size);
        beside[key.size] = 0;
        check_seeks(cursor, m, varve_bytes(beside, key.size + 1), trailer);
        if (key.size > 0) check_seeks(cursor, m, varve_bytes(key.data, key.size - 1), trailer);
    }
    check_seeks(cursor, m, varve_bytes(NULL, 0), UINT64_MAX);
    cursor->ops->close(cursor);
}

static void check_get(fixture *f, const model *m, varve_slice key, uint64_t sequence) {
    size_t at = model_lower(m, key, vr_trailer_seek(sequence));
    bool there = at < m->count && vr_equal(model_key(m, at), key);
    uint64_t trailer = 0;
    varve_slice value = {0};
    cr_assert_eq(vr_memtable_get(f->mt, key, vr_key_hash(key), sequence, &trailer, &value), there);
    if (!there) return;
    cr_assert_eq(trailer, m->entries[at].trailer);
    char expected[VALUE_BYTES_MAX];
    size_t size = vr_trailer_kind(trailer) == VR_KIND_PUT ? value_of(vr_trailer_sequence(trailer), expected) : 0;
    cr_assert(vr_equal(value, varve_bytes(expected, size)));
}

static void run(key_shape shape, uint64_t seed, unsigned operations, unsigned first_link) {
    fixture f;
    fixture_open(&f, 0);
    model m = {0};
    uint64_t random = seed;
    char key_bytes[KEY_BYTES_MAX], value[VALUE_BYTES_MAX];
    for (unsigned i = 0; i < operations; i++) {
        varve_slice key = varve_bytes(key_bytes, shape(next_random(&random), key_bytes));
        if (next_random(&random) >> 8 & 3) {
            fixture_put(&f, key, varve_bytes(value, value_of(f.sequence + 1, value)));
            model_add(&m, key, vr_trailer(f.sequence, VR_KIND_PUT));
        } else {
            fixture_delete(&f, key);
            model_add(&m, key, vr_trailer(f.sequence, VR_KIND_DELETE));
        }
        check_get(&f, &m, key, f.sequence);
        check_get(&f, &m, key, next_random(&random) % (f.sequence + 1));
        varve_slice other = varve_bytes(key_bytes, shape(next_random(&random), key_bytes));
        check_get(&f, &m, other, next_random(&random) % (f.sequence + 1));
        if (i + 1 == first_link || next_random(&random) % 701 == 0) check_order(&f, &m, &random);
    }
    check_order(&f, &m, &random);
    cr_assert_eq(vr_memtable_entries(f.mt), m.count);
    model_free(&m);
    fixture_close(&f);
}

static void run_all(key_shape shape) {
    run(shape, 0x9e3779b97f4a7c15, 3000, 0);
    run(shape, 0xbf58476d1ce4e5b9, 600, 1); /* the common part is learned from one key */
    run(shape, 0x94d049bb133111eb, 600, 20);
}

Test(memtable_model, short_keys) {
    run_all(shape_short);
}

Test(memtable_model, decimal_keys) {
    run_all(shape_decimal);
}

Test(memtable_model, keys_that_differ_late) {
    run_all(shape_deep);
}

Test(memtable_model, keys_beside_the_common_part) {
    run_all(shape_outliers);
}

Test(memtable_model, keys_at_the_upper_end) {
    run_all(shape_high);
}

Test(memtable_model, long_keys) {
    run_all(shape_long);
}

/* Each order of insertion, several thousand keys: the appending path, walkers that all land in one gap, and runs side
 * by side. */
static void run_order(uint64_t (*number)(uint64_t i, uint64_t count)) {
    fixture f;
    fixture_open(&f, 8000);
    model m = {0};
    char key[32], value[VALUE_BYTES_MAX];
    for (uint64_t i = 0; i < 5000; i++) {
        int size = snprintf(key, sizeof key, "k%08llu", (unsigned long long)number(i, 5000));
        fixture_put(&f, varve_bytes(key, (size_t)size), varve_bytes(value, value_of(f.sequence + 1, value)));
        model_add(&m, varve_bytes(key, (size_t)size), vr_trailer(f.sequence, VR_KIND_PUT));
    }
    uint64_t random = 7;
    check_order(&f, &m, &random);
    model_free(&m);
    fixture_close(&f);
}

static uint64_t rising(uint64_t i, uint64_t count) {
    (void)count;
    return i;
}

static uint64_t falling(uint64_t i, uint64_t count) {
    return count - i;
}

static uint64_t from_both_ends(uint64_t i, uint64_t count) {
    return i & 1 ? count * 4 - i : i;
}

static uint64_t four_streams(uint64_t i, uint64_t count) {
    return (i & 3) * count + i;
}

static uint64_t nearly_rising(uint64_t i, uint64_t count) {
    (void)count;
    return i ^ 15;
}

Test(memtable_model, insertion_orders) {
    run_order(rising);
    run_order(falling);
    run_order(from_both_ends);
    run_order(four_streams);
    run_order(nearly_rising);
}
