/* tests/db/test_db_recovery.c - what an open finds after unequal stores, late stores, and deaths at awkward moments. */
#include <stdio.h>
#include <stdlib.h>

#include "db_fixture.h"
#include "os/thread.h"

TestSuite(db_recovery, .timeout = 60);

/* Fills WAL segments, so that older ones are no longer needed once it is flushed. */
static void fill(fixture *f, int count) {
    static char value[4000];
    for (int i = 0; i < count; i++) {
        char key[32];
        snprintf(key, sizeof key, "key-%06d", i);
        REQUIRE(f, varve_put(f->store, varve_str(key), varve_bytes(value, sizeof value), &f->err));
    }
}

static void expect_in(fixture *f, const char *name, const char *key, const char *value) {
    varve_store *store;
    varve_buffer found = {0};
    REQUIRE(f, varve_store_open(f->db, name, NULL, &store, &f->err));
    varve_status status = varve_get(store, varve_str(key), &found, &f->err);
    cr_assert_eq(status, value ? VARVE_OK : VARVE_NOT_FOUND, "%s of %s: %s", key, name, f->err.message);
    if (value) cr_assert(found.size == strlen(value) && memcmp(found.data, value, found.size) == 0);
    varve_buffer_free(&found);
    varve_store_close(store);
}

static void reopen(fixture *f, int how) {
    if (how == 0) {
        fixture_close(f);
    } else {
        fixture_crash(f, how == 1 ? VR_CRASH_KEEP_ALL : VR_CRASH_DROP_UNSYNCED, 0);
    }
    fixture_open(f);
}

Test(db_recovery, a_store_that_is_never_written_does_not_hold_the_wal) {
    for (int how = 0; how < 3; how++) {
        fixture f;
        varve_store *idle;
        fixture_start(&f);
        REQUIRE(&f, varve_store_open(f.db, "idle", NULL, &idle, &f.err));
        varve_store_close(idle);
        for (int round = 0; round < 3; round++) {
            fill(&f, 300);
            REQUIRE(&f, varve_flush(f.db, &f.err));
        }
        reopen(&f, how);
        cr_assert_not_null(get(&f, "key-000299"));
        expect_in(&f, "idle", "key-000299", NULL);
        fixture_stop(&f);
    }
}

Test(db_recovery, a_store_that_is_seldom_written_does_not_hold_the_wal) {
    for (int how = 0; how < 3; how++) {
        fixture f;
        varve_store *slow;
        fixture_start(&f);
        REQUIRE(&f, varve_store_open(f.db, "slow", NULL, &slow, &f.err));
        REQUIRE(&f, varve_put(slow, varve_str("a"), varve_str("1"), &f.err));
        for (int round = 0; round < 3; round++) {
            fill(&f, 300);
            REQUIRE(&f, varve_flush(f.db, &f.err));
        }
        REQUIRE(&f, varve_put(slow, varve_str("b"), varve_str("2"), &f.err));
        REQUIRE(&f, varve_sync(f.db, &f.err));
        varve_store_close(slow);
        reopen(&f, how);
        expect_in(&f, "slow", "a", "1");
        expect_in(&f, "slow", "b", "2");
        reopen(&f, how);
        expect_in(&f, "slow", "b", "2");
        fixture_stop(&f);
    }
}

Test(db_recovery, a_store_that_is_created_late_does_not_need_the_wal_before_it) {
    for (int how = 0; how < 3; how++) {
        fixture f;
        varve_store *late;
        fixture_start(&f);
        for (int round = 0; round < 3; round++) {
            fill(&f, 300);
            REQUIRE(&f, varve_flush(f.db, &f.err));
        }
        put(&f, "unsynced", "1");
        REQUIRE(&f, varve_store_open(f.db, "late", NULL, &late, &f.err));
        if (how == 0) REQUIRE(&f, varve_put(late, varve_str("a"), varve_str("1"), &f.err));
        varve_store_close(late);
        reopen(&f, how);
        expect_in(&f, "late", "a", how == 0 ? "1" : NULL);
        put(&f, "more", "2");
        reopen(&f, how);
        fixture_stop(&f);
    }
}

static bool add_name(void *context, const char *name) {
    char *names = context;
    cr_assert_lt(strlen(names) + strlen(name) + 2, 4000);
    strcat(strcat(names, name), " ");
    return true;
}

static bool empty_segment(void *context, const char *name) {
    static const char zeros[4096];
    fixture *f = context;
    vr_file *file;
    char path[64];
    if (!strstr(name, ".wal") || strstr(name, "spare")) return true;
    snprintf(path, sizeof path, "db/%s", name);
    REQUIRE(f, vr_fs_open(f->env.fs, path, VR_OPEN_WRITE, &file, &f->err));
    REQUIRE(f, vr_file_pwrite(file, zeros, sizeof zeros, 4096, &f->err));
    vr_file_close(file, NULL);
    return true;
}

Test(db_recovery, a_wal_that_ends_before_what_the_manifest_knows_is_damaged) {
    static char before[4000], after[4000];
    fixture f;
    varve_store *store;
    fixture_start(&f);
    put(&f, "a", "1");
    REQUIRE(&f, varve_sync(f.db, &f.err));
    REQUIRE(&f, varve_store_open(f.db, "later", NULL, &store, &f.err)); /* its creation notes what is synced */
    varve_store_close(store);
    fixture_crash(&f, VR_CRASH_KEEP_ALL, 0);
    REQUIRE(&f, vr_fs_list(f.env.fs, "db", empty_segment, &f, &f.err)); /* with everything in it that vouches for itself */
    REQUIRE(&f, vr_fs_list(f.env.fs, "db", add_name, before, &f.err));
    varve_db *db;
    cr_assert_eq(vr_db_open(&f.env, "db", &f.options, &db, &f.err), VARVE_CORRUPTION);
    cr_assert_not_null(strstr(f.err.message, "knows of"), "%s", f.err.message);
    REQUIRE(&f, vr_fs_list(f.env.fs, "db", add_name, after, &f.err));
    cr_assert_str_eq(before, after);
    vr_memfs_free(f.memfs);
}

typedef struct intruder {
    fixture *f;
    pthread_t thread;
    int due;
} intruder;

/* Between the last check of a bulk load and its installation: another store moves the WAL's first segment, and the loaded store
 * with it. */
static void intrude(void *context, uint64_t operation, const char *name, const char *path) {
    intruder *i = context;
    (void)operation;
    (void)path;
    if (!pthread_equal(i->thread, pthread_self()) || strcmp(name, "sync_dir") != 0 || i->due-- != 1) return;
    fill(i->f, 200);
    REQUIRE(i->f, varve_flush(i->f->db, &i->f->err));
}

Test(db_recovery, a_bulk_load_ends_while_the_wal_moves_on) {
    fixture f;
    varve_store *store;
    varve_bulk *bulk;
    varve_slice value = varve_str("1");
    fixture_start(&f);
    REQUIRE(&f, varve_store_open(f.db, "loaded", NULL, &store, &f.err));
    REQUIRE(&f, varve_bulk_begin(store, &bulk, &f.err));
    REQUIRE(&f, varve_bulk_add(bulk, varve_str("k"), &value, &f.err));
    intruder i = {.f = &f, .thread = pthread_self(), .due = 1};
    vr_memfs_set_hook(f.memfs, intrude, &i);
    REQUIRE(&f, varve_bulk_finish(bulk, varve_str("p"), &f.err));
    vr_memfs_set_hook(f.memfs, NULL, NULL);
    cr_assert_lt(i.due, 1);
    varve_store_close(store);
    reopen(&f, 2);
    expect_in(&f, "loaded", "k", "1");
    fixture_stop(&f);
}
