/* tests/db/test_db_hostile.c - directories and processes that mean no good: links, pipes, foreign files, missing ones, locks,
 * limits. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "db_fixture.h"
#include "os/faultfs.h"

TestSuite(db_hostile, .timeout = 60);

/* --- On the in-memory file system ----------------------------------------------------------------------------------- */

static bool damage_table(void *context, const char *name) {
    fixture *f = context;
    char path[64];
    vr_file *file;
    if (!strstr(name, ".vst")) return true;
    snprintf(path, sizeof path, "db/%s", name);
    REQUIRE(f, vr_fs_open(f->env.fs, path, VR_OPEN_WRITE, &file, &f->err));
    REQUIRE(f, vr_file_pwrite(file, "damage", 6, 100, &f->err));
    vr_file_close(file, NULL);
    return false;
}

Test(db_hostile, a_damaged_table_that_cannot_be_compacted_does_not_stop_writing) {
    fixture f;
    fixture_start(&f);
    static char value[1000];
    for (int i = 0; i < 300; i++) {
        char key[32];
        snprintf(key, sizeof key, "a-%06d", i);
        REQUIRE(&f, varve_put(f.store, varve_str(key), varve_bytes(value, sizeof value), &f.err));
    }
    REQUIRE(&f, varve_flush(f.db, &f.err));
    fixture_close(&f);
    REQUIRE(&f, vr_fs_list(f.env.fs, "db", damage_table, &f, &f.err));
    fixture_open(&f);
    for (int i = 0; i < 20000; i++) { /* overlaps it, so that every compaction has to read it */
        char key[32];
        snprintf(key, sizeof key, "a-%06d", i % 600);
        varve_status status = varve_put(f.store, varve_str(key), varve_bytes(value, sizeof value), &f.err);
        cr_assert_eq(status, VARVE_OK, "put %d: %s", i, f.err.message);
    }
    REQUIRE(&f, varve_flush(f.db, &f.err));
    cr_assert_eq(varve_compact(f.store, &f.err), VARVE_CORRUPTION);
    cr_assert_not_null(strstr(f.err.message, ".vst"), "%s", f.err.message);
    cr_assert_eq(varve_verify(f.db, &f.err), VARVE_CORRUPTION);
    fixture_stop(&f);
}

Test(db_hostile, a_flush_asked_for_tries_again_at_once) {
    fixture f;
    fixture_start(&f);
    fixture_close(&f);
    vr_faultfs *faults;
    REQUIRE(&f, vr_faultfs_create(vr_memfs_fs(f.memfs), &faults, &f.err));
    f.env.fs = vr_faultfs_fs(faults);
    fixture_open(&f);
    put(&f, "a", "1");
    vr_faultfs_arm(faults, VR_FAULT_OPEN, 1, EMFILE, true);
    cr_assert_eq(varve_flush(f.db, &f.err), VARVE_IO);
    vr_faultfs_arm(faults, 0, 0, 0, false);
    REQUIRE(&f, varve_flush(f.db, &f.err));
    fixture_close(&f);
    vr_faultfs_free(faults);
    vr_memfs_free(f.memfs);
}

Test(db_hostile, a_lack_of_descriptors_does_not_stop_writing_for_good) {
    fixture f;
    fixture_start(&f);
    fixture_close(&f);
    vr_faultfs *faults;
    REQUIRE(&f, vr_faultfs_create(vr_memfs_fs(f.memfs), &faults, &f.err));
    f.env.fs = vr_faultfs_fs(faults);
    fixture_open(&f);
    static char value[4000];
    varve_status status = VARVE_OK;
    int written = 0;
    vr_faultfs_arm(faults, VR_FAULT_OPEN, 1, EMFILE, true);
    for (; written < 1000 && status == VARVE_OK; written++) {
        status = varve_put(f.store, varve_bytes(&written, sizeof written), varve_bytes(value, sizeof value), &f.err);
    }
    cr_assert_eq(status, VARVE_IO, "%s", varve_status_name(status));
    cr_assert_eq(f.err.os_error, EMFILE, "%s", f.err.message);
    vr_faultfs_arm(faults, 0, 0, 0, false);
    REQUIRE(&f, varve_put(f.store, varve_str("after"), varve_str("1"), &f.err));
    cr_assert_str_eq(get(&f, "after"), "1");
    fixture_close(&f);
    fixture_open(&f);
    for (int i = 0; i < written - 1; i++) {
        varve_buffer found = {0};
        REQUIRE(&f, varve_get(f.store, varve_bytes(&i, sizeof i), &found, &f.err));
        varve_buffer_free(&found);
    }
    fixture_close(&f);
    vr_faultfs_free(faults);
    vr_memfs_free(f.memfs);
}

/* --- On the real file system ------------------------------------------------------------------------------------------ */

static char directory[64];

static const char *path_of(const char *name) {
    static char paths[4][200];
    static unsigned turn;
    char *path = paths[turn++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", directory, name);
    return path;
}

static void make_directory(void) {
    snprintf(directory, sizeof directory, "/tmp/varve-test-XXXXXX");
    cr_assert_not_null(mkdtemp(directory));
}

static void remove_directory(void) {
    char command[100];
    snprintf(command, sizeof command, "rm -rf '%s'", directory);
    cr_assert_eq(system(command), 0);
}

static varve_status open_real(const char *name, varve_db **db, varve_error *err) {
    const varve_options options = {.size = sizeof options,
                                   .create = true,
                                   .memory = 32u << 20,
                                   .memtable_bytes = 64u << 10,
                                   .wal_segment_bytes = 64u << 10};
    return varve_open(path_of(name), &options, db, err);
}

/* A database with two tables and something in the WAL. */
static void make_database(const char *name) {
    varve_db *db;
    varve_store *store;
    varve_error err;
    cr_assert_eq(open_real(name, &db, &err), VARVE_OK, "%s", err.message);
    cr_assert_eq(varve_store_open(db, "s", NULL, &store, &err), VARVE_OK);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(varve_put(store, varve_bytes(&i, sizeof i), varve_str("v"), &err), VARVE_OK);
        if (i < 2) cr_assert_eq(varve_flush(db, &err), VARVE_OK, "%s", err.message);
    }
    varve_store_close(store);
    cr_assert_eq(varve_close(db, &err), VARVE_OK, "%s", err.message);
}

/* Opens it and reads all three keys and verifies: the first failure. */
static varve_status read_database(const char *name, varve_error *err) {
    varve_db *db;
    varve_store *store;
    varve_buffer found = {0};
    varve_status status = open_real(name, &db, err);
    if (status != VARVE_OK) return status;
    status = varve_store_open(db, "s", NULL, &store, err);
    for (int i = 0; i < 3 && status == VARVE_OK; i++) {
        status = varve_get(store, varve_bytes(&i, sizeof i), &found, err);
        cr_assert_neq(status, VARVE_NOT_FOUND, "key %d is silently missing", i);
    }
    if (status == VARVE_OK) status = varve_verify(db, err);
    varve_buffer_free(&found);
    varve_store_close(store);
    varve_close(db, NULL);
    return status;
}

/* Calls once for each file of the database, on a database of its own. */
static void for_each_file(void (*attack)(const char *path), bool lock_matters, const char *what) {
    static const char *const names[] = {"MANIFEST", "LOCK", "0000000001.wal", "0000000001.vst", "0000000002.vst"};
    make_directory();
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char name[40], path[100];
        varve_error err = {0};
        snprintf(name, sizeof name, "db-%zu", i);
        make_database(name);
        snprintf(path, sizeof path, "%s/%s", name, names[i]);
        cr_assert_eq(access(path_of(path), F_OK), 0, "%s is not there", path);
        attack(path_of(path));
        varve_status status = read_database(name, &err);
        if (strcmp(names[i], "LOCK") == 0 && !lock_matters) {
            cr_assert_eq(status, VARVE_OK, "%s of %s: %s", what, names[i], err.message);
        } else {
            cr_assert_lt(status, 0, "%s of %s went unnoticed", what, names[i]);
            cr_assert_neq(status, VARVE_INTERNAL);
            cr_assert_not_null(strstr(err.message, names[i]), "%s of %s: %s", what, names[i], err.message);
        }
    }
    remove_directory();
}

static void put_link(const char *path) {
    char moved[300];
    snprintf(moved, sizeof moved, "%s.moved", path);
    cr_assert_eq(rename(path, moved), 0);
    cr_assert_eq(symlink(moved, path), 0);
}

static void put_fifo(const char *path) {
    cr_assert_eq(unlink(path), 0);
    cr_assert_eq(mkfifo(path, 0600), 0);
}

static void put_directory(const char *path) {
    cr_assert_eq(unlink(path), 0);
    cr_assert_eq(mkdir(path, 0700), 0);
}

static void put_garbage(const char *path) {
    FILE *file = fopen(path, "wb");
    for (int i = 0; i < 10000; i++) fputc(i * i >> 3 & 255, file);
    cr_assert_eq(fclose(file), 0);
}

static void put_nothing(const char *path) {
    cr_assert_eq(truncate(path, 0), 0);
}

static void take_away(const char *path) {
    cr_assert_eq(unlink(path), 0);
}

Test(db_hostile, symbolic_links_are_not_followed) {
    for_each_file(put_link, true, "a link in place");
}

Test(db_hostile, a_fifo_neither_blocks_nor_is_read) {
    for_each_file(put_fifo, true, "a FIFO in place");
}

Test(db_hostile, directories_in_place_of_files) {
    for_each_file(put_directory, true, "a directory in place");
}

Test(db_hostile, garbage_in_place_of_files) {
    for_each_file(put_garbage, false, "garbage in place");
}

Test(db_hostile, empty_files) {
    for_each_file(put_nothing, false, "emptying");
}

Test(db_hostile, missing_files) {
    for_each_file(take_away, false, "removal");
}

Test(db_hostile, a_lost_manifest_does_not_make_a_new_database) {
    varve_error err;
    make_directory();
    make_database("db");
    take_away(path_of("db/MANIFEST"));
    for (int round = 0; round < 2; round++) {
        cr_assert_eq(read_database("db", &err), VARVE_CORRUPTION);
        cr_assert_not_null(strstr(err.message, "MANIFEST is missing"), "%s", err.message);
        cr_assert_neq(access(path_of("db/MANIFEST"), F_OK), 0);
        cr_assert_eq(access(path_of("db/0000000001.vst"), F_OK), 0);
    }
    remove_directory();
}

Test(db_hostile, a_renamed_wal_segment_is_missed) {
    varve_error err;
    make_directory();
    make_database("db");
    cr_assert_eq(rename(path_of("db/0000000001.wal"), path_of("db/0000000009.wal")), 0);
    cr_assert_eq(read_database("db", &err), VARVE_CORRUPTION);
    cr_assert_eq(rename(path_of("db/0000000009.wal"), path_of("db/0000000001.wal")), 0);
    cr_assert_eq(read_database("db", &err), VARVE_OK, "%s", err.message);
    remove_directory();
}

Test(db_hostile, foreign_files_are_left_alone) {
    static const char *const names[] = {"README",
                                        "0000000001.vst.bak",
                                        "1.vst",
                                        "00000000001.vst",
                                        "99999999999999999999.vst",
                                        "MANIFEST.old",
                                        "0000000001.walx",
                                        "-1.wal",
                                        "spare-x.wal",
                                        "spare-11.wal",
                                        ".hidden",
                                        "core"};
    varve_error err;
    make_directory();
    make_database("db");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[100];
        snprintf(path, sizeof path, "db/%s", names[i]);
        put_garbage(path_of(path));
    }
    cr_assert_eq(mkdir(path_of("db/subdirectory"), 0700), 0);
    for (int round = 0; round < 2; round++) cr_assert_eq(read_database("db", &err), VARVE_OK, "%s", err.message);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[100];
        snprintf(path, sizeof path, "db/%s", names[i]);
        cr_assert_eq(access(path_of(path), F_OK), 0, "%s is gone", names[i]);
    }
    remove_directory();
}

Test(db_hostile, a_path_that_is_no_directory) {
    varve_db *db;
    varve_error err;
    make_directory();
    put_garbage(path_of("file"));
    cr_assert_lt(open_real("file", &db, &err), 0);
    cr_assert_lt(open_real("file/db", &db, &err), 0);
    cr_assert_lt(open_real("none/db", &db, &err), 0);
    remove_directory();
}

/* --- Other processes ---------------------------------------------------------------------------------------------------- */

Test(db_hostile, another_process_has_it_open) {
    varve_db *db;
    varve_error err;
    int ends[2];
    char byte;
    make_directory();
    make_database("db");
    cr_assert_eq(pipe(ends), 0);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        if (open_real("db", &db, &err) != VARVE_OK || write(ends[1], "", 1) != 1) _exit(1);
        for (;;) pause();
    }
    close(ends[1]);
    cr_assert_eq(read(ends[0], &byte, 1), 1);
    cr_assert_eq(open_real("db", &db, &err), VARVE_BUSY);
    cr_assert_neq(err.message[0], '\0');
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    close(ends[0]);
    cr_assert_eq(read_database("db", &err), VARVE_OK, "%s", err.message);
    cr_assert_eq(open_real("db", &db, &err), VARVE_OK, "%s", err.message);
    varve_db *second;
    cr_assert_eq(open_real("db", &second, &err), VARVE_BUSY);
    fclose(fopen(path_of("db/LOCK"), "r")); /* closing another descriptor of the file does not give the lock away */
    cr_assert_eq(open_real("db", &second, &err), VARVE_BUSY);
    cr_assert_eq(varve_close(db, &err), VARVE_OK);
    remove_directory();
}

Test(db_hostile, a_directory_without_permission) {
    varve_db *db;
    varve_error err;
    if (geteuid() == 0) cr_skip("everything is permitted to root");
    make_directory();
    make_database("db");
    cr_assert_eq(chmod(path_of("db"), 0500), 0);
    cr_assert_lt(open_real("db/inner", &db, &err), 0);
    cr_assert_eq(chmod(path_of("db"), 0), 0);
    cr_assert_eq(open_real("db", &db, &err), VARVE_IO);
    cr_assert_eq(chmod(path_of("db"), 0700), 0);
    cr_assert_eq(read_database("db", &err), VARVE_OK, "%s", err.message);
    remove_directory();
}

/* --- Limits ------------------------------------------------------------------------------------------------------------- */

/* Many stores with a table each, read under a limit of descriptors that does not suffice: errors, and all is there afterwards. */
Test(db_hostile, few_descriptors_and_many_tables) {
    enum { STORES = 60 };
    varve_db *db;
    varve_store *stores[STORES];
    varve_buffer found = {0};
    varve_error err;
    struct rlimit before, few;
    make_directory();
    for (int round = 0; round < 2; round++) { /* written, then opened again, so that no table is open */
        cr_assert_eq(open_real("db", &db, &err), VARVE_OK, "%s", err.message);
        for (int i = 0; i < STORES; i++) {
            char name[16];
            snprintf(name, sizeof name, "s%d", i);
            cr_assert_eq(varve_store_open(db, name, NULL, &stores[i], &err), VARVE_OK, "%s", err.message);
            if (round == 0) cr_assert_eq(varve_put(stores[i], varve_str("k"), varve_str(name), &err), VARVE_OK);
        }
        if (round == 1) break;
        cr_assert_eq(varve_flush(db, &err), VARVE_OK, "%s", err.message);
        for (int i = 0; i < STORES; i++) varve_store_close(stores[i]);
        cr_assert_eq(varve_close(db, &err), VARVE_OK);
    }
    int probe = dup(0);
    close(probe);
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = before;
    few.rlim_cur = (rlim_t)probe + 20;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
    int failed = 0;
    for (int i = 0; i < STORES; i++) {
        varve_status status = varve_get(stores[i], varve_str("k"), &found, &err);
        cr_assert(status == VARVE_OK || (status == VARVE_IO && err.os_error == EMFILE), "%s: %s", varve_status_name(status),
                  err.message);
        failed += status != VARVE_OK;
    }
    cr_assert_gt(failed, 0);
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    for (int i = 0; i < STORES; i++) {
        cr_assert_eq(varve_get(stores[i], varve_str("k"), &found, &err), VARVE_OK, "%s", err.message);
        varve_store_close(stores[i]);
    }
    varve_buffer_free(&found);
    cr_assert_eq(varve_close(db, &err), VARVE_OK, "%s", err.message);
    remove_directory();
}

/* No file may grow: what needs a new one fails with NO_SPACE; when it may again, all goes on. */
Test(db_hostile, a_limit_on_file_sizes) {
    varve_db *db;
    varve_store *store;
    varve_error err;
    struct rlimit before, small;
    static char value[4000];
    signal(SIGXFSZ, SIG_IGN);
    make_directory();
    cr_assert_eq(open_real("db", &db, &err), VARVE_OK, "%s", err.message);
    cr_assert_eq(varve_store_open(db, "s", NULL, &store, &err), VARVE_OK);
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 16384;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
    varve_status status = VARVE_OK;
    int written = 0;
    while (status == VARVE_OK && written < 1000) {
        status = varve_put(store, varve_bytes(&written, sizeof written), varve_bytes(value, sizeof value), &err);
        written += status == VARVE_OK;
    }
    cr_assert_eq(status, VARVE_NO_SPACE, "%s: %s", varve_status_name(status), err.message);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
    for (int i = 0; i < 100 && status != VARVE_OK; i++) {
        status = varve_put(store, varve_str("after"), varve_str("1"), &err);
        if (status != VARVE_OK) varve_wait_idle(db, 20, NULL);
    }
    cr_assert_eq(status, VARVE_OK, "%s", err.message);
    varve_buffer found = {0};
    for (int i = 0; i < written; i++)
        cr_assert_eq(varve_get(store, varve_bytes(&i, sizeof i), &found, &err), VARVE_OK, "%d: %s", i, err.message);
    varve_buffer_free(&found);
    varve_store_close(store);
    cr_assert_eq(varve_close(db, &err), VARVE_OK, "%s", err.message);
    remove_directory();
}
