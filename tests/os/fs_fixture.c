/*
 * The file systems under test.
 */
#include "fs_fixture.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int remove_one(const char *path, const struct stat *stat, int type, struct FTW *walk) {
    (void)stat;
    (void)type;
    (void)walk;
    return remove(path);
}

void fs_fixture_open(fs_fixture *fixture, fs_kind kind) {
    varve_error err;
    *fixture = (fs_fixture){0};
    if (kind == FS_POSIX) {
        const char *base = getenv("TMPDIR");
        snprintf(fixture->dir, sizeof fixture->dir, "%s/varve-fs-XXXXXX", base ? base : "/tmp");
        cr_assert_not_null(mkdtemp(fixture->dir));
        fixture->fs = vr_fs_posix();
        return;
    }
    snprintf(fixture->dir, sizeof fixture->dir, "/data");
    cr_assert_eq(vr_memfs_create(&fixture->memfs, &err), VARVE_OK);
    fixture->fs = vr_memfs_fs(fixture->memfs);
    if (kind == FS_FAULT) {
        cr_assert_eq(vr_faultfs_create(fixture->fs, &fixture->faultfs, &err), VARVE_OK);
        fixture->fs = vr_faultfs_fs(fixture->faultfs);
    }
    cr_assert_eq(vr_fs_make_dir(fixture->fs, fixture->dir, &err), VARVE_OK);
    cr_assert_eq(vr_fs_sync_dir(fixture->fs, "/", &err), VARVE_OK);
}

void fs_fixture_close(fs_fixture *fixture) {
    if (!fixture->memfs) nftw(fixture->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    vr_faultfs_free(fixture->faultfs);
    vr_memfs_free(fixture->memfs);
}

void fs_run(fs_kind kind, void (*body)(vr_fs *fs, const char *dir)) {
    fs_fixture fixture;
    fs_fixture_open(&fixture, kind);
    body(fixture.fs, fixture.dir);
    fs_fixture_close(&fixture);
}

const char *in(const char *dir, const char *name) {
    static char paths[8][VR_PATH_BYTES_MAX];
    static unsigned next;
    char *path = paths[next++ % 8];
    cr_assert(vr_path_join(path, dir, name));
    return path;
}

vr_file *open_file(vr_fs *fs, const char *path, unsigned flags) {
    varve_error err = {0};
    vr_file *file = NULL;
    cr_assert_eq(vr_fs_open(fs, path, flags, &file, &err), VARVE_OK, "%s", err.message);
    return file;
}

void put_file(vr_fs *fs, const char *path, const char *content) {
    varve_error err = {0};
    vr_file *file = open_file(fs, path, VR_OPEN_WRITE | VR_OPEN_CREATE | VR_OPEN_TRUNCATE);
    cr_assert_eq(vr_file_pwrite(file, content, strlen(content), 0, &err), VARVE_OK, "%s", err.message);
    cr_assert_eq(vr_file_close(file, &err), VARVE_OK);
}

void put_durable(vr_fs *fs, const char *dir, const char *name, const char *content) {
    const char *path = in(dir, name);
    put_file(fs, path, content);
    vr_file *file = open_file(fs, path, VR_OPEN_WRITE);
    cr_assert_eq(vr_file_sync(file, NULL), VARVE_OK);
    vr_file_close(file, NULL);
    cr_assert_eq(vr_fs_sync_dir(fs, dir, NULL), VARVE_OK);
}

bool exists(vr_fs *fs, const char *path) {
    vr_file *file;
    if (vr_fs_open(fs, path, VR_OPEN_READ, &file, NULL) != VARVE_OK) return false;
    vr_file_close(file, NULL);
    return true;
}

bool file_is(vr_fs *fs, const char *path, const char *content) {
    vr_file *file;
    char bytes[4096];
    size_t got = 0;
    if (vr_fs_open(fs, path, VR_OPEN_READ, &file, NULL) != VARVE_OK) return false;
    varve_status status = vr_file_pread(file, bytes, sizeof bytes, 0, &got, NULL);
    vr_file_close(file, NULL);
    return status == VARVE_OK && got == strlen(content) && memcmp(bytes, content, got) == 0;
}
