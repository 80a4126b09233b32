/* tests/db/test_db_upkeep.c - stores, options, checkpoint, verify, statistics, disk full, failing I/O. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "db_fixture.h"
#include "os/faultfs.h"

TestSuite(db_upkeep, .timeout = 60);

static void fill(fixture *f, int count, size_t value_bytes) {
    static char value[8192];
    for (int i = 0; i < count; i++) {
        char key[32];
        snprintf(key, sizeof key, "key-%06d", i);
        REQUIRE(f, varve_put(f->store, varve_str(key), varve_bytes(value, value_bytes), &f->err));
    }
}

Test(db_upkeep, stores_are_created_listed_dropped) {
    fixture f;
    fixture_start(&f);
    varve_store *a, *again;
    put(&f, "k", "default");
    REQUIRE(&f, varve_store_open(f.db, "a", NULL, &a, &f.err));
    REQUIRE(&f, varve_put(a, varve_str("k"), varve_str("a"), &f.err));
    cr_assert_eq(varve_store_open(f.db, "none", &(varve_store_options){.size = sizeof(varve_store_options), .must_exist = true},
                                  &again, &f.err),
                 VARVE_MISSING);
    cr_assert_eq(varve_store_open(f.db, "a", &(varve_store_options){.size = sizeof(varve_store_options), .block_bytes = 8192},
                                  &again, &f.err),
                 VARVE_INVALID);
    uint32_t id = varve_store_id(a);
    REQUIRE(&f, varve_store_drop(f.db, "a", &f.err));
    varve_buffer value = {0};
    cr_assert_eq(varve_get(a, varve_str("k"), &value, &f.err), VARVE_MISSING);
    cr_assert_eq(varve_put(a, varve_str("k"), varve_str("x"), &f.err), VARVE_MISSING);
    cr_assert_eq(varve_store_drop(f.db, "a", &f.err), VARVE_MISSING);
    varve_store_close(a);
    REQUIRE(&f, varve_store_open(f.db, "a", NULL, &a, &f.err));
    cr_assert_neq(varve_store_id(a), id);
    cr_assert_eq(varve_get(a, varve_str("k"), &value, &f.err), VARVE_NOT_FOUND);
    varve_store_close(a);
    fixture_close(&f);
    fixture_open(&f);
    cr_assert_str_eq(get(&f, "k"), "default");
    varve_buffer_free(&value);
    fixture_stop(&f);
}

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define STORES 100 /* ThreadSanitizer's own memory does not suffice for a thousand reserved memtables */
#endif
#endif
#ifndef STORES
#define STORES 1000
#endif

Test(db_upkeep, success_leaves_the_error_record_alone) {
    fixture f;
    fixture_start(&f);
    varve_store *fresh;
    varve_buffer value = {0};
    varve_db *other;
    memset(&f.err, 0, sizeof f.err);
    REQUIRE(&f, vr_db_open(&f.env, "other", &f.options, &other, &f.err));
    REQUIRE(&f, varve_close(other, &f.err));
    REQUIRE(&f, varve_store_open(f.db, "fresh", NULL, &fresh, &f.err));
    REQUIRE(&f, varve_put(fresh, varve_str("k"), varve_str("v"), &f.err));
    REQUIRE(&f, varve_get(fresh, varve_str("k"), &value, &f.err));
    REQUIRE(&f, varve_flush(f.db, &f.err));
    REQUIRE(&f, varve_checkpoint(f.db, "copy", &f.err));
    cr_assert_eq(f.err.code, VARVE_OK, "%s", f.err.message);
    cr_assert_str_eq(f.err.message, "");
    varve_buffer_free(&value);
    varve_store_close(fresh);
    fixture_stop(&f);
}

Test(db_upkeep, a_thousand_stores) {
    fixture f;
    fixture_start(&f);
    char name[32];
    for (int i = 0; i < STORES; i++) {
        varve_store *store;
        snprintf(name, sizeof name, "store-%d", i);
        REQUIRE(&f, varve_store_open(f.db, name, NULL, &store, &f.err));
        REQUIRE(&f, varve_put(store, varve_str("k"), varve_str(name), &f.err));
        varve_store_close(store);
    }
    fixture_close(&f);
    fixture_open(&f);
    varve_buffer value = {0};
    for (int i = 0; i < STORES; i += 37) {
        varve_store *store;
        snprintf(name, sizeof name, "store-%d", i);
        REQUIRE(&f, varve_store_open(f.db, name, NULL, &store, &f.err));
        REQUIRE(&f, varve_get(store, varve_str("k"), &value, &f.err));
        cr_assert(value.size == strlen(name) && memcmp(value.data, name, value.size) == 0);
        varve_store_close(store);
    }
    varve_buffer_free(&value);
    fixture_stop(&f);
}

Test(db_upkeep, options_out_of_range_are_named) {
    fixture f;
    fixture_start(&f);
    varve_db *db;
    struct {
        varve_options options;
        const char *field;
    } cases[] = {
        {{.size = sizeof(varve_options), .memory = 1}, "memory"},
        {{.size = sizeof(varve_options), .memtable_bytes = 1u << 30}, "memtable_bytes"},
        {{.size = sizeof(varve_options), .wal_segment_bytes = 1}, "wal_segment_bytes"},
        {{.size = sizeof(varve_options), .wal_bytes_max = 1}, "wal_bytes_max"},
        {{.size = sizeof(varve_options), .wal_mode = 9}, "wal_mode"},
        {{.size = 0}, "size"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cr_assert_eq(vr_db_open(&f.env, "other", &cases[i].options, &db, &f.err), VARVE_INVALID, "%s", cases[i].field);
        cr_assert_not_null(strstr(f.err.message, cases[i].field), "%s", f.err.message);
    }
    varve_options missing = {.size = sizeof missing};
    cr_assert_eq(vr_db_open(&f.env, "other", &missing, &db, &f.err), VARVE_MISSING);
    varve_options exists = {.size = sizeof exists, .error_if_exists = true};
    fixture_close(&f);
    cr_assert_eq(vr_db_open(&f.env, "db", &exists, &db, &f.err), VARVE_EXISTS);
    vr_memfs_free(f.memfs);
}

Test(db_upkeep, limits_are_refused_and_nothing_is_written) {
    fixture f;
    fixture_start(&f);
    static char big[VARVE_KEY_BYTES_MAX + 1];
    cr_assert_eq(varve_put(f.store, varve_bytes(big, sizeof big), varve_str("v"), &f.err), VARVE_TOO_LARGE);
    cr_assert_eq(varve_put(f.store, varve_str("k"), (varve_slice){big, (size_t)VARVE_VALUE_BYTES_MAX + 1}, &f.err),
                 VARVE_TOO_LARGE);
    cr_assert_eq(varve_sequence(f.db), 0);
    REQUIRE(&f, varve_put(f.store, varve_bytes(big, VARVE_KEY_BYTES_MAX), varve_str("longest"), &f.err));
    varve_buffer value = {0};
    REQUIRE(&f, varve_get(f.store, varve_bytes(big, VARVE_KEY_BYTES_MAX), &value, &f.err));
    varve_buffer_free(&value);
    fixture_stop(&f);
}

Test(db_upkeep, large_values_and_batches) {
    fixture f;
    fixture_start(&f);
    size_t size = 5u << 20; /* beyond memtable, WAL segment and block */
    char *large = calloc(1, size);
    for (size_t i = 0; i < size; i++) large[i] = (char)(i * 31 >> 7);
    for (int i = 0; i < 3; i++) {
        REQUIRE(&f, varve_put(f.store, varve_bytes(&i, sizeof i), varve_bytes(large, size), &f.err));
        put(&f, "small", "s");
    }
    for (int round = 0; round < 3; round++) {
        varve_buffer value = {0};
        for (int i = 0; i < 3; i++) {
            REQUIRE(&f, varve_get(f.store, varve_bytes(&i, sizeof i), &value, &f.err));
            cr_assert(value.size == size && memcmp(value.data, large, size) == 0);
        }
        varve_buffer_free(&value);
        if (round == 0) REQUIRE(&f, varve_compact(f.store, &f.err));
        fixture_crash(&f, VR_CRASH_KEEP_ALL, 0);
        fixture_open(&f);
    }
    free(large);
    fixture_stop(&f);
}

Test(db_upkeep, checkpoint_is_a_database) {
    fixture f;
    fixture_start(&f);
    fill(&f, 2000, 500);
    REQUIRE(&f, varve_flush(f.db, &f.err));
    put(&f, "only-in-the-wal", "1");
    REQUIRE(&f, varve_checkpoint(f.db, "copy", &f.err));
    cr_assert_eq(varve_checkpoint(f.db, "copy", &f.err), VARVE_EXISTS);
    put(&f, "later", "1");
    varve_db *copy;
    varve_store *store;
    varve_options options = {.size = sizeof options};
    REQUIRE(&f, vr_db_open(&f.env, "copy", &options, &copy, &f.err));
    REQUIRE(&f, varve_store_open(copy, "default", NULL, &store, &f.err));
    varve_buffer value = {0};
    REQUIRE(&f, varve_get(store, varve_str("only-in-the-wal"), &value, &f.err));
    REQUIRE(&f, varve_get(store, varve_str("key-001999"), &value, &f.err));
    cr_assert_eq(varve_get(store, varve_str("later"), &value, &f.err), VARVE_NOT_FOUND);
    uint8_t a[16], b[16];
    varve_db_id(f.db, a);
    varve_db_id(copy, b);
    cr_assert(memcmp(a, b, 16) == 0);
    REQUIRE(&f, varve_verify(copy, &f.err));
    varve_buffer_free(&value);
    varve_store_close(store);
    REQUIRE(&f, varve_close(copy, &f.err));
    fixture_stop(&f);
}

Test(db_upkeep, a_checkpoint_survives_a_power_cut) {
    fixture f;
    fixture_start(&f);
    put(&f, "a", "1");
    REQUIRE(&f, varve_checkpoint(f.db, "copy", &f.err));
    fixture_crash(&f, VR_CRASH_DROP_UNSYNCED, 0);
    varve_db *copy;
    varve_options options = {.size = sizeof options};
    REQUIRE(&f, vr_db_open(&f.env, "copy", &options, &copy, &f.err));
    cr_assert_eq(varve_sequence(copy), 1);
    REQUIRE(&f, varve_close(copy, &f.err));
    fixture_open(&f);
    fixture_stop(&f);
}

Test(db_upkeep, what_was_synced_is_vouched_for_when_the_process_dies) {
    fixture f;
    fixture_start(&f);
    fill(&f, 100, 20);
    REQUIRE(&f, varve_sync(f.db, &f.err));
    fixture_crash(&f, VR_CRASH_KEEP_ALL, 0);
    vr_file *wal;
    uint64_t size;
    char byte = 0x55;
    REQUIRE(&f, vr_fs_open(f.env.fs, "db/0000000001.wal", VR_OPEN_READ | VR_OPEN_WRITE, &wal, &f.err));
    REQUIRE(&f, vr_file_get_size(wal, &size, &f.err));
    REQUIRE(&f, vr_file_pwrite(wal, &byte, 1, 4096 + 2000, &f.err));
    REQUIRE(&f, vr_file_close(wal, &f.err));
    cr_assert_eq(vr_db_open(&f.env, "db", &f.options, &f.db, &f.err), VARVE_CORRUPTION);
    vr_memfs_free(f.memfs);
}

Test(db_upkeep, many_short_runs_do_not_pile_up_wal_segments) {
    fixture f;
    fixture_start(&f);
    varve_stats stats = {.size = sizeof stats};
    uint64_t most = 0;
    for (int i = 0; i < 60; i++) {
        char key[16];
        snprintf(key, sizeof key, "%d", i);
        put(&f, key, "v");
        fixture_close(&f);
        fixture_open(&f);
        REQUIRE(&f, varve_stats_get(f.db, &stats, &f.err));
        if (stats.wal_segments > most) most = stats.wal_segments;
    }
    cr_assert_leq(most, 20, "%llu segments", (unsigned long long)most);
    for (int i = 0; i < 60; i++) {
        char key[16];
        snprintf(key, sizeof key, "%d", i);
        cr_assert_not_null(get(&f, key));
    }
    fixture_stop(&f);
}

Test(db_upkeep, statistics_add_up) {
    fixture f;
    fixture_start(&f);
    fill(&f, 3000, 300);
    REQUIRE(&f, varve_flush(f.db, &f.err));
    REQUIRE(&f, varve_compact(f.store, &f.err));
    REQUIRE(&f, varve_wait_idle(f.db, 30000, &f.err));
    cr_assert_not_null(get(&f, "key-000001"));
    cr_assert_not_null(get(&f, "key-000001"));
    varve_stats stats = {.size = sizeof stats};
    REQUIRE(&f, varve_stats_get(f.db, &stats, &f.err));
    cr_assert_eq(stats.sequence, 3000);
    cr_assert_eq(stats.writes, 3000);
    cr_assert_geq(stats.flushes, 1);
    cr_assert_gt(stats.compactions, 0);
    cr_assert_gt(stats.cache_hits, 0);
    cr_assert_gt(stats.cache_misses, 0);
    uint64_t tables = 0;
    for (int i = 0; i < 8; i++) tables += stats.level_tables[i];
    cr_assert_eq(tables, stats.tables);
    cr_assert_leq(stats.memory_bytes, stats.memory_budget);
    fixture_stop(&f);
}

Test(db_upkeep, disk_full_refuses_writes_keeps_reads_and_resumes) {
    fixture f;
    fixture_start(&f);
    fill(&f, 500, 500);
    vr_memfs_set_space(f.memfs, 3u << 20);
    static char value[4000];
    varve_status status = VARVE_OK;
    int written = 0;
    for (; written < 5000 && status == VARVE_OK; written++) {
        char key[32];
        snprintf(key, sizeof key, "more-%d", written);
        status = varve_put(f.store, varve_str(key), varve_bytes(value, sizeof value), &f.err);
    }
    cr_assert_eq(status, VARVE_NO_SPACE, "%s: %s", varve_status_name(status), f.err.message);
    cr_assert_not_null(get(&f, "key-000123"));
    vr_memfs_set_space(f.memfs, 0);
    for (int i = 0; i < 1000 && status != VARVE_OK; i++) {
        status = varve_put(f.store, varve_str("after"), varve_str("1"), &f.err);
        if (status != VARVE_OK) varve_wait_idle(f.db, 20, NULL);
    }
    cr_assert_eq(status, VARVE_OK, "%s", f.err.message);
    for (int i = 0; i < written - 1; i++) {
        char key[32];
        snprintf(key, sizeof key, "more-%d", i);
        cr_assert_not_null(get(&f, key));
    }
    fixture_crash(&f, VR_CRASH_KEEP_ALL, 0);
    fixture_open(&f);
    cr_assert_not_null(get(&f, "after"));
    fixture_stop(&f);
}

Test(db_upkeep, a_failed_sync_latches) {
    fixture f;
    fixture_start(&f);
    fixture_close(&f);
    vr_faultfs *faults;
    REQUIRE(&f, vr_faultfs_create(vr_memfs_fs(f.memfs), &faults, &f.err));
    f.env.fs = vr_faultfs_fs(faults);
    fixture_open(&f);
    put(&f, "a", "1");
    vr_faultfs_arm(faults, VR_FAULT_SYNC, 1, EIO, false);
    cr_assert_lt(varve_sync(f.db, &f.err), 0);
    cr_assert_eq(varve_put(f.store, varve_str("b"), varve_str("1"), &f.err), VARVE_READ_ONLY);
    cr_assert_eq(varve_sync(f.db, &f.err), VARVE_READ_ONLY);
    cr_assert_str_eq(get(&f, "a"), "1");
    varve_store_close(f.store);
    cr_assert_eq(varve_close(f.db, &f.err), VARVE_READ_ONLY);
    f.db = NULL;
    vr_faultfs_arm(faults, 0, 0, 0, false);
    fixture_open(&f);
    cr_assert_str_eq(get(&f, "a"), "1"); /* the process did not die: the pages are there */
    fixture_close(&f);
    vr_faultfs_free(faults);
    vr_memfs_free(f.memfs);
}
