/* tests/db/test_db_hostile.c - directories and processes that mean no good: links, pipes, foreign files, missing ones, locks, limits. */
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
