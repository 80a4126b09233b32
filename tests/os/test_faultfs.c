/*
 * The fault injecting file system: which call fails, how often, and what it leaves (os/faultfs.h).
 */
#include <errno.h>

#include "fs_fixture.h"

#define RW (VR_OPEN_READ | VR_OPEN_WRITE)

static fs_fixture fixture;

static void set_up(void) {
    fs_fixture_open(&fixture, FS_FAULT);
}

static void tear_down(void) {
    fs_fixture_close(&fixture);
}

TestSuite(faultfs, .init = set_up, .fini = tear_down);

static bool ignore_name(void *context, const char *name) {
    (void)context;
    (void)name;
    return true;
}

/* Each call of the contract that can fail, on a file that is open, by number. */
static varve_status call(unsigned number, vr_file *file, varve_error *err) {
    vr_fs *fs = fixture.fs;
    const char *dir = fixture.dir;
    vr_file *other = NULL;
    uint64_t size;
    size_t got;
    char byte;
    void *mapped;
    varve_status status;
    switch (number) {
    case 0: status = vr_fs_open(fs, in(dir, "f"), RW, &other, err); break;
    case 1: status = vr_fs_lock(fs, in(dir, "LOCK"), &other, err); break;
    case 2: return vr_file_pread(file, &byte, 1, 0, &got, err);
    case 3: return vr_file_get_size(file, &size, err);
    case 4: return vr_file_pwrite(file, "ab", 2, 0, err);
    case 5: return vr_file_sync(file, err);
    case 6: return vr_fs_rename(fs, in(dir, "f"), in(dir, "f"), err);
    case 7: return vr_fs_link(fs, in(dir, "f"), in(dir, "g"), err);
    case 8: return vr_fs_remove(fs, in(dir, "g"), err);
    case 9: return vr_file_reserve(file, 10, err);
    case 10: return vr_file_set_size(file, 10, err);
    case 11:
        status = vr_file_map(file, 10, true, &mapped, err);
        if (status == VARVE_OK) vr_file_unmap(file, mapped, 10);
        return status;
    case 12: return vr_fs_make_dir(fs, in(dir, "d"), err);
    case 13: return vr_fs_remove_dir(fs, in(dir, "d"), err);
    case 14: return vr_fs_sync_dir(fs, dir, err);
    default: return vr_fs_list(fs, dir, ignore_name, NULL, err);
    }
    vr_file_close(other, NULL);
    return status;
}

static const unsigned kind_of[16] = {
    VR_FAULT_OPEN,   VR_FAULT_OPEN,   VR_FAULT_PREAD,  VR_FAULT_PREAD,   VR_FAULT_PWRITE,  VR_FAULT_SYNC,
    VR_FAULT_RENAME, VR_FAULT_RENAME, VR_FAULT_REMOVE, VR_FAULT_RESERVE, VR_FAULT_RESERVE, VR_FAULT_MAP,
    VR_FAULT_DIR,    VR_FAULT_DIR,    VR_FAULT_DIR,    VR_FAULT_DIR,
};

Test(faultfs, every_call_counts_as_its_kind) {
    varve_error err;
    vr_file *file = open_file(fixture.fs, in(fixture.dir, "f"), RW | VR_OPEN_CREATE);
    for (unsigned i = 0; i < 16; i++) {
        vr_faultfs_arm(fixture.faultfs, kind_of[i], 1, EIO, false);
        cr_assert_eq(call(i, file, &err), VARVE_IO, "call %u", i);
        cr_assert_eq(err.os_error, EIO);
        cr_assert(strstr(err.message, "injected") && strstr(err.message, fixture.dir), "%s", err.message);
        cr_assert_eq(vr_faultfs_injected(fixture.faultfs), 1);
        cr_assert_eq(call(i, file, &err), VARVE_OK, "call %u again: %s", i, err.message);
        cr_assert_eq(vr_faultfs_count(fixture.faultfs), 2, "call %u", i);
        vr_faultfs_arm(fixture.faultfs, VR_FAULT_ALL & ~kind_of[i], 1, EIO, true);
        varve_status status = call(i, file, &err);
        cr_assert(status == VARVE_OK || status == VARVE_EXISTS || status == VARVE_MISSING, "call %u is of one kind", i);
        cr_assert_eq(vr_faultfs_count(fixture.faultfs), 0);
        vr_faultfs_arm(fixture.faultfs, 0, 0, 0, false);
    }
    vr_file_close(file, NULL);
}

Test(faultfs, the_nth_fails_once_or_from_then_on) {
    vr_file *file = open_file(fixture.fs, in(fixture.dir, "f"), RW | VR_OPEN_CREATE);
    vr_faultfs_arm(fixture.faultfs, VR_FAULT_PWRITE | VR_FAULT_SYNC, 3, ENOSPC, false);
    cr_assert_eq(vr_file_pwrite(file, "x", 1, 0, NULL), VARVE_OK);
    cr_assert_eq(vr_file_sync(file, NULL), VARVE_OK);
    cr_assert_eq(vr_file_pwrite(file, "x", 1, 0, NULL), VARVE_NO_SPACE);
    cr_assert_eq(vr_file_pwrite(file, "x", 1, 0, NULL), VARVE_OK);
    cr_assert_eq(vr_faultfs_injected(fixture.faultfs), 1);

    vr_faultfs_arm(fixture.faultfs, VR_FAULT_ALL, 2, ENOSPC, true);
    cr_assert_eq(vr_file_pwrite(file, "x", 1, 0, NULL), VARVE_OK);
    for (int i = 0; i < 4; i++) cr_assert_eq(vr_file_sync(file, NULL), VARVE_NO_SPACE);
    cr_assert_eq(vr_faultfs_injected(fixture.faultfs), 4);
    cr_assert_eq(vr_faultfs_count(fixture.faultfs), 5);
    vr_faultfs_arm(fixture.faultfs, VR_FAULT_ALL, 0, 0, false);
    cr_assert_eq(vr_file_sync(file, NULL), VARVE_OK, "0: none fails");
    cr_assert_eq(vr_faultfs_count(fixture.faultfs), 1, "but they count");
    vr_file_close(file, NULL);
}

Test(faultfs, a_failed_write_leaves_its_first_half) {
    vr_file *file = open_file(fixture.fs, in(fixture.dir, "f"), RW | VR_OPEN_CREATE);
    vr_faultfs_arm(fixture.faultfs, VR_FAULT_PWRITE, 1, ENOSPC, false);
    cr_assert_eq(vr_file_pwrite(file, "12345678", 8, 0, NULL), VARVE_NO_SPACE);
    cr_assert(file_is(fixture.fs, in(fixture.dir, "f"), "1234"));
    vr_file_close(file, NULL);
}

Test(faultfs, a_failed_sync_made_nothing_durable) {
    vr_memfs *clone;
    put_durable(fixture.fs, fixture.dir, "f", "old");
    vr_file *file = open_file(fixture.fs, in(fixture.dir, "f"), RW);
    cr_assert_eq(vr_file_pwrite(file, "new", 3, 0, NULL), VARVE_OK);
    vr_faultfs_arm(fixture.faultfs, VR_FAULT_SYNC, 1, EIO, false);
    cr_assert_eq(vr_file_sync(file, NULL), VARVE_IO);
    cr_assert_eq(vr_memfs_clone(fixture.memfs, VR_CRASH_DROP_UNSYNCED, 0, &clone, NULL), VARVE_OK);
    cr_assert(file_is(vr_memfs_fs(clone), in(fixture.dir, "f"), "old"));
    vr_memfs_free(clone);
    vr_file_close(file, NULL);
}

Test(faultfs, a_copy_that_fails_anywhere_leaves_nothing) {
    vr_fs *fs = fixture.fs;
    put_durable(fs, fixture.dir, "f", "content");
    for (uint64_t nth = 1;; nth++) {
        vr_faultfs_arm(fixture.faultfs, VR_FAULT_ALL & ~VR_FAULT_REMOVE, nth, EIO, false);
        varve_status status = vr_fs_copy(fs, in(fixture.dir, "f"), in(fixture.dir, "g"), NULL);
        bool injected = vr_faultfs_injected(fixture.faultfs) > 0;
        vr_faultfs_arm(fixture.faultfs, 0, 0, 0, false);
        cr_assert_eq(status == VARVE_OK, !injected, "fault %d", (int)nth);
        if (!injected) break;
        cr_assert_not(exists(fs, in(fixture.dir, "g")), "fault %d", (int)nth);
        cr_assert_lt(nth, 20);
    }
    cr_assert(file_is(fs, in(fixture.dir, "g"), "content"));
}
