/*
 * A file system under test with an empty directory in it: posix, in memory, or the fault injector over the one in memory.
 */
#ifndef FS_FIXTURE_H
#define FS_FIXTURE_H

#include <criterion/criterion.h>

#include "os/faultfs.h"
#include "os/fs.h"
#include "os/memfs.h"

typedef enum fs_kind { FS_POSIX, FS_MEM, FS_FAULT } fs_kind;

typedef struct fs_fixture {
    vr_fs *fs;
    vr_memfs *memfs;     /* NULL for posix */
    vr_faultfs *faultfs; /* NULL but for FS_FAULT */
    char dir[256];
} fs_fixture;

void fs_fixture_open(fs_fixture *fixture, fs_kind kind);
void fs_fixture_close(fs_fixture *fixture); /* removes the directory */

/* Runs body with a fixture of the kind. */
void fs_run(fs_kind kind, void (*body)(vr_fs *fs, const char *dir));

/* A test of the contract: one body, which must hold on every file system. */
#define FS_TEST(name)                                                                                                              \
    static void name(vr_fs *fs, const char *dir);                                                                                  \
    Test(fs_posix, name) {                                                                                                         \
        fs_run(FS_POSIX, name);                                                                                                    \
    }                                                                                                                              \
    Test(fs_memory, name) {                                                                                                        \
        fs_run(FS_MEM, name);                                                                                                      \
    }                                                                                                                              \
    Test(fs_fault_injector, name) {                                                                                                \
        fs_run(FS_FAULT, name);                                                                                                    \
    }                                                                                                                              \
    static void name(vr_fs *fs, const char *dir)

/* dir/name in one of a few static buffers, for use within one statement. One thread. */
const char *in(const char *dir, const char *name);

/* Creates or replaces a file with this content; fails the test when it cannot. */
void put_file(vr_fs *fs, const char *path, const char *content);
/* The same and synced, with its entry in dir. */
void put_durable(vr_fs *fs, const char *dir, const char *name, const char *content);
/* Whether the file exists and has exactly this content. */
bool file_is(vr_fs *fs, const char *path, const char *content);
bool exists(vr_fs *fs, const char *path);
vr_file *open_file(vr_fs *fs, const char *path, unsigned flags);

#endif
