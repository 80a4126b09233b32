/*
 * tests/db/test_db_model.c - random operations against a simple model: a sorted array of the pairs as of each snapshot.
 *
 * Small memtables make flushes and compactions go on all the while. Every few hundred operations the whole content is compared in
 * both directions, at the newest sequence and at every snapshot; reopening and crashing (nothing unsynced lost: KEEP_ALL) must not
 * change it.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "db_fixture.h"

#define KEYS 400
#define VALUE_BYTES 1500
#define SNAPSHOTS 4

typedef struct model {
    int versions[KEYS]; /* 0: absent */
} model;

typedef struct random_state {
    uint64_t state;
} random_state;

static uint64_t draw(random_state *r, uint64_t bound) {
    r->state = r->state * 6364136223846793005u + 1442695040888963407u;
    return (r->state >> 33) % bound;
}

static void make_key(int key, char out[32]) {
    /* three shapes of keys: short, with a long shared prefix, and binary with zero bytes */
    if (key % 3 == 0) {
        snprintf(out, 32, "%03d", key);
    } else {
        snprintf(out, 32, key % 3 == 1 ? "a-long-shared-prefix-%03d" : "a-long-shared-%03d", key);
    }
}

static size_t make_value(int key, int version, char out[VALUE_BYTES]) {
    size_t size = (size_t)(key * 37 + version * 11) % VALUE_BYTES;
    memset(out, 'a' + version % 26, size);
    int n = snprintf(out, size + 1 > 24 ? 24 : size + 1, "%d/%d ", key, version);
    if ((size_t)n < size) out[n] = '.';
    return size;
}

static int compare_keys(const void *a, const void *b) {
    char x[32], y[32];
    make_key(*(const int *)a, x);
    make_key(*(const int *)b, y);
    return strcmp(x, y);
}

static void check_entry(const model *m, int key, varve_iterator *it) {
    char name[32], value[VALUE_BYTES];
    make_key(key, name);
    size_t size = make_value(key, m->versions[key], value);
    cr_assert(vr_equal(varve_iterator_key(it), varve_str(name)), "expected key %s, found %.*s", name,
              (int)varve_iterator_key(it).size, varve_iterator_key(it).data);
    cr_assert(vr_equal(varve_iterator_value(it), varve_bytes(value, size)), "key %s: wrong value", name);
}

static void check_all(fixture *f, const model *m, const varve_snapshot *snapshot) {
    int sorted[KEYS];
    for (int i = 0; i < KEYS; i++) sorted[i] = i;
    qsort(sorted, KEYS, sizeof sorted[0], compare_keys);
    varve_iterator *it;
    REQUIRE(f, varve_iterator_open(f->store, &(varve_range){.snapshot = snapshot}, &it, &f->err));
    for (int i = 0; i < KEYS; i++) {
        if (!m->versions[sorted[i]]) continue;
        varve_status status = varve_iterator_next(it);
        cr_assert_eq(status, VARVE_OK, "the scan ended early: %s", varve_iterator_error(it)->message);
        check_entry(m, sorted[i], it);
    }
    cr_assert_eq(varve_iterator_next(it), VARVE_NOT_FOUND);
    for (int i = KEYS; i-- > 0;) {
        if (!m->versions[sorted[i]]) continue;
        cr_assert_eq(varve_iterator_prev(it), VARVE_OK);
        check_entry(m, sorted[i], it);
    }
    cr_assert_eq(varve_iterator_prev(it), VARVE_NOT_FOUND);
    varve_iterator_close(it);
}

static void check_get(fixture *f, const model *m, int key, const varve_snapshot *snapshot) {
    char name[32], value[VALUE_BYTES];
    varve_buffer found = {0};
    make_key(key, name);
    varve_status status = varve_get_at(f->store, snapshot, varve_str(name), &found, &f->err);
    cr_assert(status >= 0, "%s", f->err.message);
    cr_assert_eq(status == VARVE_OK, m->versions[key] != 0, "key %s: found %d, expected version %d", name, status,
                 m->versions[key]);
    if (status == VARVE_OK) {
        size_t size = make_value(key, m->versions[key], value);
        cr_assert(vr_equal(varve_buffer_slice(&found), varve_bytes(value, size)), "key %s: wrong value", name);
    }
    varve_buffer_free(&found);
}

static void write_some(fixture *f, model *m, random_state *r, int *version) {
    char name[32], value[VALUE_BYTES];
    varve_batch *batch;
    int n = 1 + (int)draw(r, 8);
    REQUIRE(f, varve_batch_create(&batch, &f->err));
    for (int i = 0; i < n; i++) {
        int key = (int)draw(r, KEYS);
        make_key(key, name);
        if (draw(r, 4) == 0) {
            REQUIRE(f, varve_batch_delete(batch, f->store, varve_str(name), &f->err));
            m->versions[key] = 0;
        } else {
            m->versions[key] = ++*version;
            size_t size = make_value(key, *version, value);
            REQUIRE(f, varve_batch_put(batch, f->store, varve_str(name), varve_bytes(value, size), &f->err));
        }
    }
    REQUIRE(f, varve_write(f->db, batch, NULL, &f->err));
    varve_batch_free(batch);
}

static void run(uint64_t seed, varve_wal_mode mode) {
    fixture f;
    fixture_start(&f);
    fixture_close(&f);
    f.options.wal_mode = mode;
    fixture_open(&f);
    model now = {0}, then[SNAPSHOTS];
    varve_snapshot *snapshots[SNAPSHOTS] = {NULL};
    random_state r = {seed};
    int version = 0;
    for (int step = 0; step < 4000; step++) {
        write_some(&f, &now, &r, &version);
        check_get(&f, &now, (int)draw(&r, KEYS), NULL);
        int slot = (int)draw(&r, SNAPSHOTS);
        if (snapshots[slot]) check_get(&f, &then[slot], (int)draw(&r, KEYS), snapshots[slot]);
        uint64_t event = draw(&r, 400);
        if (event == 0) REQUIRE(&f, varve_flush(f.db, &f.err));
        if (event == 1) REQUIRE(&f, varve_compact(f.store, &f.err));
        if (event >= 2 && event < 6) {
            varve_snapshot_free(snapshots[slot]);
            REQUIRE(&f, varve_snapshot_create(f.db, &snapshots[slot], &f.err));
            then[slot] = now;
        }
        if (event == 6 || event == 7) {
            for (int i = 0; i < SNAPSHOTS; i++) {
                varve_snapshot_free(snapshots[i]);
                snapshots[i] = NULL;
            }
            if (event == 6) {
                fixture_close(&f);
            } else {
                fixture_crash(&f, VR_CRASH_KEEP_ALL, 0);
            }
            fixture_open(&f);
        }
        if (event < 12) {
            check_all(&f, &now, NULL);
            for (int i = 0; i < SNAPSHOTS; i++) {
                if (snapshots[i]) check_all(&f, &then[i], snapshots[i]);
            }
        }
    }
    REQUIRE(&f, varve_wait_idle(f.db, 60000, &f.err));
    check_all(&f, &now, NULL);
    REQUIRE(&f, varve_verify(f.db, &f.err));
    for (int i = 0; i < SNAPSHOTS; i++) varve_snapshot_free(snapshots[i]);
    fixture_stop(&f);
}

TestSuite(db_model, .timeout = 300);

Test(db_model, mapped_wal) {
    for (uint64_t seed = 1; seed <= 3; seed++) run(seed, VARVE_WAL_MAPPED);
}

Test(db_model, written_wal) {
    for (uint64_t seed = 4; seed <= 5; seed++) run(seed, VARVE_WAL_PWRITE);
}
