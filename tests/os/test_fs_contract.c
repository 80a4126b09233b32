/*
 * The file system contract (os/fs.h), the same tests over every implementation.
 */
#include <errno.h>
#include <stdio.h>

#include "fs_fixture.h"
#include "os/thread.h"

#define RW (VR_OPEN_READ | VR_OPEN_WRITE)

FS_TEST(open_creates_only_when_asked) {
    varve_error err;
    vr_file *file;
    cr_assert_eq(vr_fs_open(fs, in(dir, "a"), VR_OPEN_READ, &file, &err), VARVE_MISSING);
    cr_assert_eq(err.os_error, ENOENT);
    cr_assert(strstr(err.message, in(dir, "a")) != NULL, "the path must be named: %s", err.message);
    cr_assert_eq(vr_fs_open(fs, in(dir, "a"), RW, &file, &err), VARVE_MISSING);

    file = open_file(fs, in(dir, "a"), RW | VR_OPEN_CREATE);
    cr_assert_eq(vr_file_close(file, &err), VARVE_OK);
    file = open_file(fs, in(dir, "a"), RW | VR_OPEN_CREATE);
    cr_assert_eq(vr_file_close(file, &err), VARVE_OK);
    cr_assert_eq(vr_fs_open(fs, in(dir, "a"), RW | VR_OPEN_CREATE | VR_OPEN_EXCLUSIVE, &file, &err), VARVE_EXISTS);
    cr_assert_eq(vr_fs_open(fs, in(dir, "no/a"), RW | VR_OPEN_CREATE, &file, &err), VARVE_MISSING);
    cr_assert_eq(vr_fs_open(fs, in(dir, "a/b"), RW | VR_OPEN_CREATE, &file, &err), VARVE_IO, "a file is no directory");
    cr_assert_eq(vr_file_close(NULL, &err), VARVE_OK);
}

FS_TEST(open_truncates_only_when_asked) {
    put_file(fs, in(dir, "a"), "content");
    vr_file_close(open_file(fs, in(dir, "a"), RW), NULL);
    cr_assert(file_is(fs, in(dir, "a"), "content"));
    vr_file_close(open_file(fs, in(dir, "a"), RW | VR_OPEN_TRUNCATE), NULL);
    cr_assert(file_is(fs, in(dir, "a"), ""));
}

FS_TEST(a_directory_is_not_opened_as_a_file) {
    varve_error err;
    vr_file *file;
    cr_assert_eq(vr_fs_make_dir(fs, in(dir, "d"), &err), VARVE_OK);
    cr_assert_eq(vr_fs_open(fs, in(dir, "d"), VR_OPEN_READ, &file, &err), VARVE_INVALID);
    cr_assert(strstr(err.message, "regular") != NULL, "%s", err.message);
}

FS_TEST(reads_are_whole_and_short_only_at_the_end) {
    varve_error err;
    char bytes[16];
    size_t got;
    vr_file *file = open_file(fs, in(dir, "a"), RW | VR_OPEN_CREATE);
    cr_assert_eq(vr_file_pread(file, bytes, sizeof bytes, 0, &got, &err), VARVE_OK);
    cr_assert_eq(got, 0);
    cr_assert_eq(vr_file_pwrite(file, "0123456789", 10, 0, &err), VARVE_OK);
    cr_assert_eq(vr_file_pread(file, bytes, 4, 3, &got, &err), VARVE_OK);
    cr_assert(got == 4 && memcmp(bytes, "3456", 4) == 0);
    cr_assert_eq(vr_file_pread(file, bytes, sizeof bytes, 8, &got, &err), VARVE_OK);
    cr_assert(got == 2 && memcmp(bytes, "89", 2) == 0);
    cr_assert_eq(vr_file_pread(file, bytes, sizeof bytes, 10, &got, &err), VARVE_OK);
    cr_assert_eq(got, 0);
    cr_assert_eq(vr_file_pread(file, bytes, sizeof bytes, 1 << 20, &got, &err), VARVE_OK);
    cr_assert_eq(got, 0);
    cr_assert_eq(vr_file_pread(file, bytes, 0, 0, &got, &err), VARVE_OK);
    vr_file_close(file, NULL);
}

FS_TEST(writes_overwrite_extend_and_leave_zeros) {
    varve_error err;
    uint64_t size;
    char bytes[8200];
    size_t got;
    vr_file *file = open_file(fs, in(dir, "a"), RW | VR_OPEN_CREATE);
    cr_assert_eq(vr_file_pwrite(file, "aaaa", 4, 0, &err), VARVE_OK);
    cr_assert_eq(vr_file_pwrite(file, "bb", 2, 1, &err), VARVE_OK);
    cr_assert_eq(vr_file_pwrite(file, "end", 3, 8190, &err), VARVE_OK);
    cr_assert_eq(vr_file_pwrite(file, "", 0, 100000, &err), VARVE_OK);
    cr_assert_eq(vr_file_get_size(file, &size, &err), VARVE_OK);
    cr_assert_eq(size, 8193, "writing nothing extends nothing");
    cr_assert_eq(vr_file_pread(file, bytes, sizeof bytes, 0, &got, &err), VARVE_OK);
    cr_assert_eq(got, 8193);
    cr_assert(memcmp(bytes, "abba", 4) == 0 && memcmp(bytes + 8190, "end", 3) == 0);
    for (int i = 4; i < 8190; i++) cr_assert_eq(bytes[i], 0);
    vr_file_close(file, NULL);
}

FS_TEST(access_is_what_the_file_was_opened_for) {
    varve_error err;
    char byte;
    size_t got;
    void *address;
    put_file(fs, in(dir, "a"), "x");
    vr_file *file = open_file(fs, in(dir, "a"), VR_OPEN_READ);
    cr_assert_eq(vr_file_pwrite(file, "y", 1, 0, &err), VARVE_IO);
    cr_assert(strstr(err.message, in(dir, "a")) != NULL && strstr(err.message, "offset 0") != NULL, "%s", err.message);
    cr_assert_neq(vr_file_set_size(file, 0, &err), VARVE_OK);
    cr_assert_neq(vr_file_reserve(file, 100, &err), VARVE_OK);
    cr_assert_neq(vr_file_map(file, 1, true, &address, &err), VARVE_OK);
    vr_file_close(file, NULL);
    file = open_file(fs, in(dir, "a"), VR_OPEN_WRITE);
    cr_assert_eq(vr_file_pread(file, &byte, 1, 0, &got, &err), VARVE_IO);
    cr_assert_eq(vr_file_pwrite(file, "y", 1, 0, &err), VARVE_OK);
    cr_assert_neq(vr_file_map(file, 1, false, &address, &err), VARVE_OK);
    vr_file_close(file, NULL);
    cr_assert(file_is(fs, in(dir, "a"), "y"));
}

FS_TEST(offsets_beyond_all_files_are_refused) {
    varve_error err;
    char byte;
    size_t got;
    vr_file *file = open_file(fs, in(dir, "a"), RW | VR_OPEN_CREATE);
    cr_assert_eq(vr_file_pread(file, &byte, 1, UINT64_MAX, &got, &err), VARVE_IO);
    cr_assert_eq(vr_file_pwrite(file, "x", 1, UINT64_MAX, &err), VARVE_IO);
    cr_assert(strstr(err.message, "18446744073709551615") != NULL, "%s", err.message);
    cr_assert_eq(vr_file_set_size(file, UINT64_MAX, &err), VARVE_IO);
    vr_file_close(file, NULL);
}

FS_TEST(set_size_cuts_and_extends_with_zeros) {
    varve_error err;
    uint64_t size;
    char bytes[8];
    size_t got;
    put_file(fs, in(dir, "a"), "01234567");
    vr_file *file = open_file(fs, in(dir, "a"), RW);
    cr_assert_eq(vr_file_set_size(file, 3, &err), VARVE_OK);
    cr_assert_eq(vr_file_set_size(file, 6, &err), VARVE_OK);
    cr_assert_eq(vr_file_get_size(file, &size, &err), VARVE_OK);
    cr_assert_eq(size, 6);
    cr_assert_eq(vr_file_pread(file, bytes, 8, 0, &got, &err), VARVE_OK);
    cr_assert(got == 6 && memcmp(bytes, "012\0\0\0", 6) == 0);
    vr_file_close(file, NULL);
}

FS_TEST(reserve_extends_never_cuts) {
    varve_error err;
    uint64_t size;
    char bytes[4];
    size_t got;
    put_file(fs, in(dir, "a"), "0123");
    vr_file *file = open_file(fs, in(dir, "a"), RW);
    cr_assert_eq(vr_file_reserve(file, 0, &err), VARVE_OK);
    cr_assert_eq(vr_file_reserve(file, 100000, &err), VARVE_OK);
    cr_assert_eq(vr_file_get_size(file, &size, &err), VARVE_OK);
    cr_assert_eq(size, 100000);
    cr_assert_eq(vr_file_reserve(file, 50, &err), VARVE_OK);
    cr_assert_eq(vr_file_get_size(file, &size, &err), VARVE_OK);
    cr_assert_eq(size, 100000);
    cr_assert_eq(vr_file_pread(file, bytes, 4, 0, &got, &err), VARVE_OK);
    cr_assert(memcmp(bytes, "0123", 4) == 0);
    cr_assert_eq(vr_file_pread(file, bytes, 4, 99996, &got, &err), VARVE_OK);
    cr_assert(got == 4 && memcmp(bytes, "\0\0\0\0", 4) == 0);
    vr_file_close(file, NULL);
}

FS_TEST(a_mapping_and_the_file_are_one) {
    varve_error err;
    char bytes[4];
    size_t got;
    void *mapped;
    void *second;
    vr_file *file = open_file(fs, in(dir, "a"), RW | VR_OPEN_CREATE);
    cr_assert_eq(vr_file_reserve(file, 65536, &err), VARVE_OK);
    cr_assert_eq(vr_file_map(file, 65536, true, &mapped, &err), VARVE_OK);
    cr_assert_eq(vr_file_pwrite(file, "file", 4, 4096, &err), VARVE_OK);
    cr_assert(memcmp((char *)mapped + 4096, "file", 4) == 0);
    memcpy((char *)mapped + 60000, "view", 4);
    cr_assert_eq(vr_file_pread(file, bytes, 4, 60000, &got, &err), VARVE_OK);
    cr_assert(memcmp(bytes, "view", 4) == 0);

    cr_assert_eq(vr_file_map(file, 65536, false, &second, &err), VARVE_OK);
    cr_assert(memcmp((char *)second + 60000, "view", 4) == 0);
    memcpy((char *)mapped + 60000, "both", 4);
    cr_assert(memcmp((char *)second + 60000, "both", 4) == 0);

    /* It stays valid while the file grows, and under another name. */
    cr_assert_eq(vr_file_set_size(file, 100000, &err), VARVE_OK);
    cr_assert_eq(vr_fs_rename(fs, in(dir, "a"), in(dir, "b"), &err), VARVE_OK);
    memcpy((char *)mapped, "late", 4);
    vr_file *other = open_file(fs, in(dir, "b"), VR_OPEN_READ);
    cr_assert_eq(vr_file_pread(other, bytes, 4, 0, &got, &err), VARVE_OK);
    cr_assert(memcmp(bytes, "late", 4) == 0);
    cr_assert_eq(vr_file_sync(file, &err), VARVE_OK);
    vr_file_close(other, NULL);
    vr_file_unmap(file, second, 65536);
    vr_file_unmap(file, mapped, 65536);
    vr_file_unmap(file, NULL, 0);
    vr_file_close(file, NULL);
}

FS_TEST(a_mapping_beyond_the_end_is_refused) {
    varve_error err;
    void *mapped;
    put_file(fs, in(dir, "a"), "0123");
    vr_file *file = open_file(fs, in(dir, "a"), RW);
    cr_assert_eq(vr_file_map(file, 5, false, &mapped, &err), VARVE_INVALID);
    cr_assert(strstr(err.message, "5 bytes") != NULL && strstr(err.message, "has 4") != NULL, "%s", err.message);
    cr_assert_eq(vr_file_map(file, 0, false, &mapped, &err), VARVE_INVALID);
    cr_assert_eq(vr_file_map(file, 4, false, &mapped, &err), VARVE_OK);
    cr_assert(memcmp(mapped, "0123", 4) == 0);
    vr_file_unmap(file, mapped, 4);
    vr_file_close(file, NULL);
}

FS_TEST(rename_replaces) {
    varve_error err;
    char bytes[8];
    size_t got;
    put_file(fs, in(dir, "a"), "new");
    put_file(fs, in(dir, "b"), "old");
    vr_file *old = open_file(fs, in(dir, "b"), VR_OPEN_READ);
    cr_assert_eq(vr_fs_rename(fs, in(dir, "a"), in(dir, "b"), &err), VARVE_OK);
    cr_assert_not(exists(fs, in(dir, "a")));
    cr_assert(file_is(fs, in(dir, "b"), "new"));
    cr_assert_eq(vr_file_pread(old, bytes, sizeof bytes, 0, &got, &err), VARVE_OK);
    cr_assert(got == 3 && memcmp(bytes, "old", 3) == 0, "an open file outlives its name");
    vr_file_close(old, NULL);
    cr_assert_eq(vr_fs_rename(fs, in(dir, "a"), in(dir, "c"), &err), VARVE_MISSING);
    cr_assert(strstr(err.message, "rename") != NULL, "%s", err.message);
    cr_assert_eq(vr_fs_rename(fs, in(dir, "b"), in(dir, "b"), &err), VARVE_OK);
    cr_assert(file_is(fs, in(dir, "b"), "new"));
    cr_assert_eq(vr_fs_rename(fs, in(dir, "b"), in(dir, "no/b"), &err), VARVE_MISSING);
    cr_assert(file_is(fs, in(dir, "b"), "new"));
}

FS_TEST(rename_of_directories) {
    varve_error err;
    cr_assert_eq(vr_fs_make_dir(fs, in(dir, "d"), &err), VARVE_OK);
    cr_assert_eq(vr_fs_make_dir(fs, in(dir, "d/sub"), &err), VARVE_OK);
    cr_assert_eq(vr_fs_make_dir(fs, in(dir, "full"), &err), VARVE_OK);
    put_file(fs, in(dir, "d/f"), "x");
    put_file(fs, in(dir, "full/f"), "y");
    put_file(fs, in(dir, "file"), "z");
    cr_assert_eq(vr_fs_rename(fs, in(dir, "d"), in(dir, "full"), &err), VARVE_IO, "only an empty one is replaced");
    cr_assert_eq(err.os_error, ENOTEMPTY);
    cr_assert_eq(vr_fs_rename(fs, in(dir, "d"), in(dir, "file"), &err), VARVE_IO);
    cr_assert_eq(err.os_error, ENOTDIR);
    cr_assert_eq(vr_fs_rename(fs, in(dir, "file"), in(dir, "d"), &err), VARVE_IO);
    cr_assert_eq(err.os_error, EISDIR);
    cr_assert_eq(vr_fs_rename(fs, in(dir, "d"), in(dir, "d/sub/d"), &err), VARVE_IO, "not into itself");
    cr_assert_eq(err.os_error, EINVAL);
    cr_assert_eq(vr_fs_rename(fs, in(dir, "d"), in(dir, "e"), &err), VARVE_OK);
    cr_assert(file_is(fs, in(dir, "e/f"), "x"));
    cr_assert_not(exists(fs, in(dir, "d/f")));
}

FS_TEST(remove_takes_the_name_not_the_open_file) {
    varve_error err;
    char bytes[8];
    size_t got;
    put_file(fs, in(dir, "a"), "kept");
    vr_file *file = open_file(fs, in(dir, "a"), RW);
    cr_assert_eq(vr_fs_remove(fs, in(dir, "a"), &err), VARVE_OK);
    cr_assert_not(exists(fs, in(dir, "a")));
    cr_assert_eq(vr_file_pread(file, bytes, sizeof bytes, 0, &got, &err), VARVE_OK);
    cr_assert(got == 4 && memcmp(bytes, "kept", 4) == 0);
    cr_assert_eq(vr_file_pwrite(file, "more", 4, 4, &err), VARVE_OK);
    put_file(fs, in(dir, "a"), "other");
    cr_assert(file_is(fs, in(dir, "a"), "other"));
    vr_file_close(file, NULL);
    cr_assert_eq(vr_fs_remove(fs, in(dir, "b"), &err), VARVE_MISSING);
    cr_assert_eq(vr_fs_make_dir(fs, in(dir, "d"), &err), VARVE_OK);
    cr_assert_eq(vr_fs_remove(fs, in(dir, "d"), &err), VARVE_IO);
    cr_assert_eq(err.os_error, EISDIR);
}

FS_TEST(link_gives_a_second_name) {
    varve_error err;
    put_file(fs, in(dir, "a"), "one");
    cr_assert_eq(vr_fs_link(fs, in(dir, "a"), in(dir, "b"), &err), VARVE_OK);
    vr_file *file = open_file(fs, in(dir, "a"), RW);
    cr_assert_eq(vr_file_pwrite(file, "two", 3, 0, &err), VARVE_OK);
    vr_file_close(file, NULL);
    cr_assert(file_is(fs, in(dir, "b"), "two"));
    cr_assert_eq(vr_fs_link(fs, in(dir, "a"), in(dir, "b"), &err), VARVE_EXISTS);
    cr_assert_eq(vr_fs_link(fs, in(dir, "no"), in(dir, "c"), &err), VARVE_MISSING);
    cr_assert_eq(vr_fs_rename(fs, in(dir, "a"), in(dir, "b"), &err), VARVE_OK);
    cr_assert(exists(fs, in(dir, "a")), "renaming a file onto itself does nothing");
    cr_assert_eq(vr_fs_remove(fs, in(dir, "a"), &err), VARVE_OK);
    cr_assert(file_is(fs, in(dir, "b"), "two"));
    cr_assert_eq(vr_fs_make_dir(fs, in(dir, "d"), &err), VARVE_OK);
    cr_assert_eq(vr_fs_link(fs, in(dir, "d"), in(dir, "e"), &err), VARVE_UNSUPPORTED);
}

FS_TEST(directories) {
    varve_error err;
    cr_assert_eq(vr_fs_make_dir(fs, in(dir, "d"), &err), VARVE_OK);
    cr_assert_eq(vr_fs_make_dir(fs, in(dir, "d"), &err), VARVE_EXISTS);
    cr_assert_eq(vr_fs_make_dir(fs, in(dir, "no/d"), &err), VARVE_MISSING);
    put_file(fs, in(dir, "d/f"), "x");
    cr_assert_eq(vr_fs_remove_dir(fs, in(dir, "d"), &err), VARVE_IO);
    cr_assert_eq(err.os_error, ENOTEMPTY);
    cr_assert_eq(vr_fs_remove_dir(fs, in(dir, "d/f"), &err), VARVE_IO);
    cr_assert_eq(err.os_error, ENOTDIR);
    cr_assert_eq(vr_fs_remove(fs, in(dir, "d/f"), &err), VARVE_OK);
    cr_assert_eq(vr_fs_remove_dir(fs, in(dir, "d"), &err), VARVE_OK);
    cr_assert_eq(vr_fs_remove_dir(fs, in(dir, "d"), &err), VARVE_MISSING);
    cr_assert_eq(vr_fs_sync_dir(fs, dir, &err), VARVE_OK);
    cr_assert_eq(vr_fs_sync_dir(fs, in(dir, "d"), &err), VARVE_MISSING);
}

/* What a listing saw: a bit for each of the names "0" to "9". */
typedef struct seen {
    unsigned names;
    unsigned count;
    unsigned stop_after;
    vr_fs *fs;
    const char *dir;
} seen;

static bool note_name(void *context, const char *name) {
    seen *s = context;
    cr_assert(name[0] >= '0' && name[0] <= '9' && name[1] == '\0', "%s", name);
    s->names |= 1u << (name[0] - '0');
    return ++s->count != s->stop_after;
}

static bool remove_name(void *context, const char *name) {
    seen *s = context;
    s->count++;
    cr_assert_eq(vr_fs_remove(s->fs, in(s->dir, name), NULL), VARVE_OK);
    return true;
}

FS_TEST(list_names_everything_once) {
    varve_error err;
    seen s = {.fs = fs, .dir = dir};
    cr_assert_eq(vr_fs_list(fs, dir, note_name, &s, &err), VARVE_OK);
    cr_assert_eq(s.count, 0, "no . and no ..");
    for (char name = '0'; name <= '8'; name++) put_file(fs, in(dir, (char[]){name, 0}), "x");
    cr_assert_eq(vr_fs_make_dir(fs, in(dir, "9"), &err), VARVE_OK);
    cr_assert_eq(vr_fs_list(fs, dir, note_name, &s, &err), VARVE_OK);
    cr_assert(s.count == 10 && s.names == 0x3ff);

    s = (seen){.fs = fs, .dir = dir, .stop_after = 3};
    cr_assert_eq(vr_fs_list(fs, dir, note_name, &s, &err), VARVE_OK);
    cr_assert_eq(s.count, 3, "visit can end it");
    cr_assert_eq(vr_fs_remove_dir(fs, in(dir, "9"), &err), VARVE_OK);
    s = (seen){.fs = fs, .dir = dir};
    cr_assert_eq(vr_fs_list(fs, dir, remove_name, &s, &err), VARVE_OK);
    cr_assert_eq(s.count, 9, "visit may use the file system");
    cr_assert_eq(vr_fs_list(fs, in(dir, "no"), note_name, &s, &err), VARVE_MISSING);
    put_file(fs, in(dir, "0"), "x");
    cr_assert_eq(vr_fs_list(fs, in(dir, "0"), note_name, &s, &err), VARVE_IO);
}

FS_TEST(a_lock_excludes_other_handles) {
    varve_error err;
    vr_file *lock;
    vr_file *second;
    cr_assert_eq(vr_fs_lock(fs, in(dir, "LOCK"), &lock, &err), VARVE_OK);
    cr_assert_eq(vr_fs_lock(fs, in(dir, "LOCK"), &second, &err), VARVE_BUSY);
    cr_assert_eq(err.flags, VARVE_ERROR_RETRIABLE);
    cr_assert(strstr(err.message, "LOCK") != NULL, "%s", err.message);
    /* An unrelated open and close of the same file must not lose it, as the old kind of lock did. */
    vr_file_close(open_file(fs, in(dir, "LOCK"), RW), NULL);
    cr_assert_eq(vr_fs_lock(fs, in(dir, "LOCK"), &second, &err), VARVE_BUSY);
    cr_assert_eq(vr_fs_lock(fs, in(dir, "LOCK2"), &second, &err), VARVE_OK, "another file, another lock");
    cr_assert_eq(vr_file_close(second, &err), VARVE_OK);
    cr_assert_eq(vr_file_close(lock, &err), VARVE_OK);
    cr_assert_eq(vr_fs_lock(fs, in(dir, "LOCK"), &lock, &err), VARVE_OK);
    /* A removed lock file is another file when it comes again. */
    cr_assert_eq(vr_fs_remove(fs, in(dir, "LOCK"), &err), VARVE_OK);
    cr_assert_eq(vr_fs_lock(fs, in(dir, "LOCK"), &second, &err), VARVE_OK);
    vr_file_close(second, NULL);
    vr_file_close(lock, NULL);
    cr_assert_eq(vr_fs_lock(fs, in(dir, "no/LOCK"), &lock, &err), VARVE_MISSING);
}

FS_TEST(copy_is_whole_or_not_there) {
    varve_error err;
    enum { SIZE = 600001 };
    static char bytes[SIZE];
    static char back[SIZE + 1];
    size_t got;
    for (size_t i = 0; i < SIZE; i++) bytes[i] = (char)(i * 7 + i / 251);
    vr_file *file = open_file(fs, in(dir, "a"), RW | VR_OPEN_CREATE);
    cr_assert_eq(vr_file_pwrite(file, bytes, SIZE, 0, &err), VARVE_OK);
    vr_file_close(file, NULL);
    cr_assert_eq(vr_fs_copy(fs, in(dir, "a"), in(dir, "b"), &err), VARVE_OK);
    file = open_file(fs, in(dir, "b"), VR_OPEN_READ);
    cr_assert_eq(vr_file_pread(file, back, sizeof back, 0, &got, &err), VARVE_OK);
    cr_assert(got == SIZE && memcmp(bytes, back, SIZE) == 0);
    vr_file_close(file, NULL);

    put_file(fs, in(dir, "c"), "mine");
    cr_assert_eq(vr_fs_copy(fs, in(dir, "a"), in(dir, "c"), &err), VARVE_EXISTS);
    cr_assert(file_is(fs, in(dir, "c"), "mine"));
    cr_assert_eq(vr_fs_copy(fs, in(dir, "no"), in(dir, "d"), &err), VARVE_MISSING);
    cr_assert_not(exists(fs, in(dir, "d")));
    put_file(fs, in(dir, "e"), "");
    cr_assert_eq(vr_fs_copy(fs, in(dir, "e"), in(dir, "f"), &err), VARVE_OK);
    cr_assert(file_is(fs, in(dir, "f"), ""));
}

/* One of several threads that use one file side by side, each its own part of it. */
typedef struct side {
    vr_file *file;
    unsigned part;
    bool failed;
} side;

static void write_and_read_back(void *context) {
    enum { PART_BYTES = 4096, ROUNDS = 200 };
    side *s = context;
    char bytes[PART_BYTES];
    char back[PART_BYTES];
    size_t got;
    for (int round = 0; round < ROUNDS; round++) {
        memset(bytes, (int)s->part * 31 + round, sizeof bytes);
        uint64_t offset = (uint64_t)s->part * PART_BYTES;
        if (vr_file_pwrite(s->file, bytes, sizeof bytes, offset, NULL) != VARVE_OK) s->failed = true;
        if (vr_file_pread(s->file, back, sizeof back, offset, &got, NULL) != VARVE_OK) s->failed = true;
        if (got != sizeof back || memcmp(bytes, back, sizeof back) != 0) s->failed = true;
        if (round % 50 == 0 && vr_file_sync(s->file, NULL) != VARVE_OK) s->failed = true;
    }
}

FS_TEST(one_file_is_used_by_many_threads) {
    vr_thread threads[4];
    side sides[4];
    vr_file *file = open_file(fs, in(dir, "a"), RW | VR_OPEN_CREATE);
    for (unsigned i = 0; i < 4; i++) {
        sides[i] = (side){.file = file, .part = i};
        cr_assert_eq(vr_thread_start(&threads[i], "side", write_and_read_back, &sides[i], NULL), VARVE_OK);
    }
    for (unsigned i = 0; i < 4; i++) {
        vr_thread_join(&threads[i]);
        cr_assert_not(sides[i].failed, "part %u", i);
    }
    vr_file_close(file, NULL);
}

Test(fs_path, join) {
    char out[VR_PATH_BYTES_MAX];
    cr_assert(vr_path_join(out, "a", "b"));
    cr_assert_str_eq(out, "a/b");
    cr_assert(vr_path_join(out, "a/", "b"));
    cr_assert_str_eq(out, "a/b");
    cr_assert(vr_path_join(out, "/", "b"));
    cr_assert_str_eq(out, "/b");
    cr_assert(vr_path_join(out, "", "b"));
    cr_assert_str_eq(out, "b");

    char name[VR_PATH_BYTES_MAX + 1];
    memset(name, 'n', sizeof name);
    name[VR_PATH_BYTES_MAX - 3] = '\0';
    cr_assert(vr_path_join(out, "d", name));
    cr_assert_eq(strlen(out), VR_PATH_BYTES_MAX - 1);
    name[VR_PATH_BYTES_MAX - 3] = 'n';
    name[VR_PATH_BYTES_MAX - 2] = '\0';
    cr_assert_not(vr_path_join(out, "d", name));
    name[VR_PATH_BYTES_MAX - 2] = 'n';
    name[VR_PATH_BYTES_MAX] = '\0';
    cr_assert_not(vr_path_join(out, name, ""));
}
