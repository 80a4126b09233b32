/* tests/db/test_db_bulk.c - bulk load: last record counts, deletes, several runs, invisibility, abort, refusals. */
#include <stdio.h>
#include <stdlib.h>

#include "db_fixture.h"

TestSuite(db_bulk, .timeout = 120);

static void add(fixture *f, varve_bulk *bulk, const char *key, const char *value) {
    varve_slice v = varve_str(value);
    REQUIRE(f, varve_bulk_add(bulk, varve_str(key), value ? &v : NULL, &f->err));
}

Test(db_bulk, the_last_record_of_a_key_counts) {
    fixture f;
    fixture_start(&f);
    varve_bulk *bulk;
    REQUIRE(&f, varve_bulk_begin(f.store, &bulk, &f.err));
    add(&f, bulk, "b", "1");
    add(&f, bulk, "a", "1");
    add(&f, bulk, "b", "2");
    add(&f, bulk, "c", "1");
    add(&f, bulk, "c", NULL);
    add(&f, bulk, "d", NULL);
    add(&f, bulk, "d", "3");
    add(&f, bulk, "", "empty");
    cr_assert_str_eq(scan(&f, NULL, false), "");
    cr_assert_eq(varve_put(f.store, varve_str("x"), varve_str("y"), &f.err), VARVE_BUSY);
    REQUIRE(&f, varve_bulk_finish(bulk, varve_str("position"), &f.err));
    cr_assert_str_eq(scan(&f, NULL, false), "=empty a=1 b=2 d=3");
    put(&f, "a", "newer");
    for (int round = 0; round < 2; round++) {
        cr_assert_str_eq(scan(&f, NULL, false), "=empty a=newer b=2 d=3");
        varve_buffer position = {0};
        REQUIRE(&f, varve_store_position(f.store, &position, &f.err));
        cr_assert(position.size == 8 && memcmp(position.data, "position", 8) == 0);
        varve_buffer_free(&position);
        fixture_crash(&f, VR_CRASH_KEEP_ALL, 0);
        fixture_open(&f);
    }
    fixture_stop(&f);
}

Test(db_bulk, several_runs_with_overlap) {
    fixture f;
    fixture_start(&f);
    varve_bulk *bulk;
    static char value[1000];
    char key[32];
    REQUIRE(&f, varve_bulk_begin(f.store, &bulk, &f.err));
    for (int round = 0; round < 3; round++) { /* about 30 MB: several chunks of memory / 6 */
        for (int i = 0; i < 10000; i++) {
            int n = (i * 7919 + round) % 10000;
            snprintf(key, sizeof key, "user:%08d", n);
            varve_slice v = varve_bytes(value, (size_t)snprintf(value, sizeof value, "%d", round) + 900);
            bool gone = round == 1 && n % 10 == 3;
            REQUIRE(&f, varve_bulk_add(bulk, varve_str(key), gone ? NULL : &v, &f.err));
            if (round == 2 && n % 10 == 3) break; /* keep some deletes of round 1 as the last word */
        }
    }
    REQUIRE(&f, varve_bulk_finish(bulk, varve_str(""), &f.err));
    varve_stats stats = {.size = sizeof stats};
    REQUIRE(&f, varve_stats_get(f.db, &stats, &f.err));
    cr_assert_gt(stats.tables, 1);
    cr_assert_not_null(get(&f, "user:00000000"));
    for (int round = 0; round < 2; round++) {
        int live = 0;
        varve_iterator *it;
        REQUIRE(&f, varve_iterator_open(f.store, NULL, &it, &f.err));
        while (varve_iterator_next(it) == VARVE_OK) live++;
        cr_assert_eq(varve_iterator_error(it)->code, VARVE_OK);
        varve_iterator_close(it);
        cr_assert_eq(live, 9001, "%d live keys", live); /* of the thousand deleted one came back in round 2 */
        REQUIRE(&f, varve_compact(f.store, &f.err));
    }
    REQUIRE(&f, varve_verify(f.db, &f.err));
    fixture_stop(&f);
}

Test(db_bulk, a_load_that_fails_leaves_the_position_as_it_was) {
    fixture f;
    fixture_start(&f);
    varve_bulk *bulk;
    static char value[100000];
    uint64_t state = 1;
    varve_buffer position = {0};
    REQUIRE(&f, varve_bulk_begin(f.store, &bulk, &f.err));
    for (int i = 0; i < 30; i++) {
        for (size_t k = 0; k < sizeof value; k++)
            value[k] = (char)((state = state * 6364136223846793005u + 1) >> 56); /* not to be compressed */
        REQUIRE(&f, varve_bulk_add(bulk, varve_bytes(&i, sizeof i), &(varve_slice){value, sizeof value}, &f.err));
    }
    vr_memfs_set_space(f.memfs, 1u << 20);
    cr_assert_eq(varve_bulk_finish(bulk, varve_str("restored"), &f.err), VARVE_NO_SPACE);
    cr_assert_eq(varve_store_position(f.store, &position, &f.err), VARVE_NOT_FOUND);
    cr_assert_str_eq(scan(&f, NULL, false), "");
    vr_memfs_set_space(f.memfs, 0);
    REQUIRE(&f, varve_bulk_begin(f.store, &bulk, &f.err));
    add(&f, bulk, "k", "v");
    REQUIRE(&f, varve_bulk_finish(bulk, varve_str("restored"), &f.err));
    REQUIRE(&f, varve_store_position(f.store, &position, &f.err));
    varve_buffer_free(&position);
    fixture_stop(&f);
}

Test(db_bulk, abort_and_crash_leave_nothing) {
    fixture f;
    fixture_start(&f);
    varve_bulk *bulk;
    static char value[100000];
    REQUIRE(&f, varve_bulk_begin(f.store, &bulk, &f.err));
    for (int i = 0; i < 200; i++) {
        char key[16];
        snprintf(key, sizeof key, "%d", i);
        REQUIRE(&f, varve_bulk_add(bulk, varve_str(key), &(varve_slice){value, sizeof value}, &f.err));
    }
    varve_bulk_abort(bulk);
    cr_assert_str_eq(scan(&f, NULL, false), "");
    put(&f, "a", "1");
    cr_assert_eq(varve_bulk_begin(f.store, &bulk, &f.err), VARVE_EXISTS);
    del(&f, "a");
    REQUIRE(&f, varve_bulk_begin(f.store, &bulk, &f.err));
    add(&f, bulk, "k", "v");
    varve_bulk *second;
    cr_assert_eq(varve_bulk_begin(f.store, &second, &f.err), VARVE_BUSY);
    vr_memfs *crashed;
    REQUIRE(&f, vr_memfs_clone(f.memfs, VR_CRASH_KEEP_ALL, 0, &crashed, &f.err));
    varve_bulk_abort(bulk);
    fixture_stop(&f);
    f.memfs = crashed;
    f.env.fs = vr_memfs_fs(crashed);
    fixture_open(&f);
    cr_assert_str_eq(scan(&f, NULL, false), "");
    fixture_stop(&f);
}

Test(db_bulk, a_record_larger_than_a_chunk) {
    fixture f;
    fixture_start(&f);
    varve_bulk *bulk;
    size_t size = 20u << 20; /* a chunk is a twelfth of 32 MiB */
    char *large = calloc(1, size);
    REQUIRE(&f, varve_bulk_begin(f.store, &bulk, &f.err));
    for (int i = 0; i < 4; i++) {
        large[7] = (char)i;
        REQUIRE(&f, varve_bulk_add(bulk, varve_bytes(&i, sizeof i), &(varve_slice){large, size}, &f.err));
        add(&f, bulk, "small", "s");
    }
    REQUIRE(&f, varve_bulk_finish(bulk, varve_str(""), &f.err));
    varve_buffer value = {0};
    for (int i = 0; i < 4; i++) {
        large[7] = (char)i;
        REQUIRE(&f, varve_get(f.store, varve_bytes(&i, sizeof i), &value, &f.err));
        cr_assert(value.size == size && memcmp(value.data, large, size) == 0);
    }
    cr_assert_str_eq(get(&f, "small"), "s");
    varve_buffer_free(&value);
    free(large);
    fixture_stop(&f);
}
