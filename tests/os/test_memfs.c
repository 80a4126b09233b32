/*
 * The in-memory file system's own: hook, space bound, paths, and that it behaves as the posix one under random operations.
 */
#include <errno.h>
#include <stdio.h>

#include "fs_fixture.h"

#define RW (VR_OPEN_READ | VR_OPEN_WRITE)

static fs_fixture fixture;

static void set_up(void) {
    fs_fixture_open(&fixture, FS_MEM);
}

static void tear_down(void) {
    fs_fixture_close(&fixture);
}

TestSuite(memfs, .init = set_up, .fini = tear_down);

Test(memfs, paths_are_normalised) {
    varve_error err;
    put_file(fixture.fs, "/data/a", "x");
    cr_assert(file_is(fixture.fs, "data/a", "x"));
    cr_assert(file_is(fixture.fs, "./data//./a", "x"));
    vr_file *file;
    cr_assert_eq(vr_fs_open(fixture.fs, "/data/../data/a", VR_OPEN_READ, &file, &err), VARVE_INVALID);
    cr_assert_eq(vr_fs_open(fixture.fs, "/", VR_OPEN_READ, &file, &err), VARVE_INVALID);
    cr_assert_eq(vr_fs_make_dir(fixture.fs, "/", &err), VARVE_EXISTS);
    cr_assert_eq(vr_fs_remove_dir(fixture.fs, "/", &err), VARVE_IO);
    cr_assert_eq(vr_fs_rename(fixture.fs, "/data", "/", &err), VARVE_IO);
    cr_assert_eq(vr_fs_sync_dir(fixture.fs, "", &err), VARVE_OK);
}

/* What the hook saw. */
typedef struct trace {
    uint64_t last;
    bool in_order;
    char names[1024];
    char last_path[64];
} trace;

static void note_operation(void *context, uint64_t operation, const char *name, const char *path) {
    trace *t = context;
    if (operation != t->last + 1) t->in_order = false;
    t->last = operation;
    strncat(t->names, name, sizeof t->names - strlen(t->names) - 1);
    strncat(t->names, " ", sizeof t->names - strlen(t->names) - 1);
    snprintf(t->last_path, sizeof t->last_path, "%s", path);
}

Test(memfs, the_hook_comes_before_each_change_and_no_other_call) {
    vr_fs *fs = fixture.fs;
    trace t = {.last = 2, .in_order = true}; /* the fixture made a directory and synced it */
    char byte;
    size_t got;
    uint64_t size;
    vr_file *lock;
    vr_memfs_set_hook(fixture.memfs, note_operation, &t);
    vr_file *file = open_file(fs, "/data/f", RW | VR_OPEN_CREATE);
    cr_assert_eq(vr_file_pwrite(file, "x", 1, 0, NULL), VARVE_OK);
    cr_assert_str_eq(t.last_path, "/data/f");
    cr_assert_eq(vr_file_pread(file, &byte, 1, 0, &got, NULL), VARVE_OK);
    cr_assert_eq(vr_file_sync(file, NULL), VARVE_OK);
    cr_assert_eq(vr_file_reserve(file, 100, NULL), VARVE_OK);
    cr_assert_eq(vr_file_set_size(file, 50, NULL), VARVE_OK);
    cr_assert_eq(vr_file_get_size(file, &size, NULL), VARVE_OK);
    vr_file_close(file, NULL);
    vr_file_close(open_file(fs, "/data/f", RW), NULL);
    vr_file_close(open_file(fs, "/data/f", RW | VR_OPEN_TRUNCATE), NULL);
    cr_assert_eq(vr_fs_lock(fs, "/data/LOCK", &lock, NULL), VARVE_OK);
    vr_file_close(lock, NULL);
    cr_assert_eq(vr_fs_link(fs, "/data/f", "/data/g", NULL), VARVE_OK);
    cr_assert_eq(vr_fs_rename(fs, "/data/g", "/data/h", NULL), VARVE_OK);
    cr_assert_eq(vr_fs_remove(fs, "/data/h", NULL), VARVE_OK);
    cr_assert_eq(vr_fs_make_dir(fs, "/data/d", NULL), VARVE_OK);
    cr_assert_eq(vr_fs_remove_dir(fs, "/data/d", NULL), VARVE_OK);
    cr_assert_eq(vr_fs_sync_dir(fs, "/data", NULL), VARVE_OK);
    cr_assert_str_eq(t.names, "open pwrite sync reserve set_size open lock link rename remove make_dir remove_dir sync_dir ");
    cr_assert(t.in_order);
    vr_memfs_set_hook(fixture.memfs, NULL, NULL);
    put_file(fs, "/data/f", "y");
    cr_assert_eq(t.last, 2 + 13);
}

/* Clones at every operation, from within the hook. */
typedef struct cloner {
    vr_memfs *memfs;
    vr_memfs *clones[16];
    unsigned count;
} cloner;

static void clone_now(void *context, uint64_t operation, const char *name, const char *path) {
    cloner *c = context;
    (void)operation;
    (void)name;
    (void)path;
    if (vr_memfs_clone(c->memfs, VR_CRASH_KEEP_ALL, 0, &c->clones[c->count], NULL) == VARVE_OK) c->count++;
}

Test(memfs, a_clone_in_the_hook_is_the_state_before_the_operation) {
    cloner c = {.memfs = fixture.memfs};
    vr_memfs_set_hook(fixture.memfs, clone_now, &c);
    put_file(fixture.fs, "/data/f", "one"); /* open, pwrite */
    cr_assert_eq(vr_fs_remove(fixture.fs, "/data/f", NULL), VARVE_OK);
    cr_assert_eq(c.count, 3);
    cr_assert_not(exists(vr_memfs_fs(c.clones[0]), "/data/f"));
    cr_assert(file_is(vr_memfs_fs(c.clones[1]), "/data/f", ""));
    cr_assert(file_is(vr_memfs_fs(c.clones[2]), "/data/f", "one"));
    for (unsigned i = 0; i < c.count; i++) vr_memfs_free(c.clones[i]);
}

Test(memfs, space_is_bounded_and_comes_back) {
    varve_error err;
    uint64_t size;
    vr_fs *fs = fixture.fs;
    vr_memfs_set_space(fixture.memfs, 1000);
    vr_file *file = open_file(fs, "/data/f", RW | VR_OPEN_CREATE);
    cr_assert_eq(vr_file_reserve(file, 1000, &err), VARVE_OK);
    cr_assert_eq(vr_file_pwrite(file, "x", 1, 999, &err), VARVE_OK, "what is reserved can be written");
    cr_assert_eq(vr_file_pwrite(file, "xy", 2, 999, &err), VARVE_NO_SPACE);
    cr_assert_eq(err.flags, VARVE_ERROR_RETRIABLE);
    cr_assert_eq(vr_file_reserve(file, 1001, &err), VARVE_NO_SPACE);
    cr_assert_eq(vr_file_set_size(file, 1001, &err), VARVE_NO_SPACE);
    cr_assert_eq(vr_file_get_size(file, &size, &err), VARVE_OK);
    cr_assert_eq(size, 1000, "a refused call changes nothing");

    cr_assert_eq(vr_fs_link(fs, "/data/f", "/data/g", &err), VARVE_OK, "a second name takes no space");
    vr_file *other = open_file(fs, "/data/h", RW | VR_OPEN_CREATE);
    cr_assert_eq(vr_file_pwrite(other, "x", 1, 0, &err), VARVE_NO_SPACE);
    cr_assert_eq(vr_fs_remove(fs, "/data/f", &err), VARVE_OK);
    cr_assert_eq(vr_file_pwrite(other, "x", 1, 0, &err), VARVE_NO_SPACE);
    cr_assert_eq(vr_fs_remove(fs, "/data/g", &err), VARVE_OK);
    cr_assert_eq(vr_file_pwrite(other, "x", 1, 0, &err), VARVE_NO_SPACE, "it is open still");
    vr_file_close(file, NULL);
    cr_assert_eq(vr_file_pwrite(other, "x", 1, 0, &err), VARVE_OK);
    cr_assert_eq(vr_file_set_size(other, 1000, &err), VARVE_OK);
    vr_memfs_set_space(fixture.memfs, 10);
    cr_assert_eq(vr_file_set_size(other, 500, &err), VARVE_OK, "a disk that is over its bound can shrink");
    cr_assert_eq(vr_file_set_size(other, 501, &err), VARVE_NO_SPACE);
    vr_memfs_set_space(fixture.memfs, 0);
    cr_assert_eq(vr_file_set_size(other, 5000, &err), VARVE_OK);
    vr_file_close(other, NULL);
}

Test(memfs, a_mapped_file_grows_within_its_address_space_only) {
    varve_error err;
    void *mapped;
    vr_file *file = open_file(fixture.fs, "/data/f", RW | VR_OPEN_CREATE);
    cr_assert_eq(vr_file_set_size(file, 4096, &err), VARVE_OK);
    cr_assert_eq(vr_file_map(file, 4096, true, &mapped, &err), VARVE_OK);
    cr_assert_eq(vr_file_set_size(file, (1 << 20) + 4096, &err), VARVE_OK);
    cr_assert_eq(vr_file_set_size(file, 64 << 20, &err), VARVE_NO_SPACE);
    cr_assert(strstr(err.message, "mapped") != NULL, "%s", err.message);
    vr_file_unmap(file, mapped, 4096);
    cr_assert_eq(vr_file_set_size(file, 64 << 20, &err), VARVE_OK);
    vr_file_close(file, NULL);
}

static uint64_t next_random(uint64_t *state) {
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* One random operation. Everything comes from *state, so two file systems get the same. Returns the status. */
static varve_status random_operation(vr_fs *fs, const char *dir, uint64_t *state) {
    static const char *const names[] = {"a", "b", "c", "d", "d/a", "d/b", "e", "e/a"};
    static const char bytes[9000] = "some bytes to write";
    const char *name = in(dir, names[next_random(state) % 8]);
    const char *other = in(dir, names[next_random(state) % 8]);
    uint64_t what = next_random(state) % 12;
    uint64_t offset = next_random(state) % 20000;
    size_t size = next_random(state) % sizeof bytes;
    vr_file *file;
    varve_status status;
    if (what == 0) return vr_fs_remove(fs, name, NULL);
    if (what == 1) return vr_fs_rename(fs, name, other, NULL);
    if (what == 2) return vr_fs_link(fs, name, other, NULL);
    if (what == 3) return vr_fs_make_dir(fs, name, NULL);
    if (what == 4) return vr_fs_remove_dir(fs, name, NULL);
    unsigned flags =
        RW | (what < 9 ? VR_OPEN_CREATE : 0) | (what == 5 ? VR_OPEN_TRUNCATE : 0) | (what == 6 ? VR_OPEN_EXCLUSIVE : 0);
    status = vr_fs_open(fs, name, flags, &file, NULL);
    if (status != VARVE_OK) return status;
    if (what == 7) status = vr_file_set_size(file, offset, NULL);
    if (what == 8) status = vr_file_reserve(file, offset, NULL);
    if (what != 7 && what != 8) status = vr_file_pwrite(file, bytes + size % 13, size - size % 13, offset, NULL);
    vr_file_close(file, NULL);
    return status;
}

/* Compares the content of a name, or that both have none. */
static void compare_file(vr_fs *left, const char *left_path, vr_fs *right, const char *right_path) {
    static char left_bytes[40000];
    static char right_bytes[40000];
    size_t left_got = 0;
    size_t right_got = 0;
    vr_file *left_file = NULL;
    vr_file *right_file = NULL;
    varve_status left_status = vr_fs_open(left, left_path, VR_OPEN_READ, &left_file, NULL);
    varve_status right_status = vr_fs_open(right, right_path, VR_OPEN_READ, &right_file, NULL);
    cr_assert_eq(left_status, right_status, "%s", left_path);
    if (left_status != VARVE_OK) return;
    cr_assert_eq(vr_file_pread(left_file, left_bytes, sizeof left_bytes, 0, &left_got, NULL), VARVE_OK);
    cr_assert_eq(vr_file_pread(right_file, right_bytes, sizeof right_bytes, 0, &right_got, NULL), VARVE_OK);
    cr_assert(left_got == right_got && memcmp(left_bytes, right_bytes, left_got) == 0, "%s", left_path);
    vr_file_close(left_file, NULL);
    vr_file_close(right_file, NULL);
}

Test(memfs, behaves_as_posix_under_random_operations) {
    static const char *const names[] = {"a", "b", "c", "d", "d/a", "d/b", "e", "e/a"};
    for (uint64_t seed = 1; seed <= 20; seed++) {
        fs_fixture disk;
        fs_fixture memory;
        fs_fixture_open(&disk, FS_POSIX);
        fs_fixture_open(&memory, FS_MEM);
        uint64_t left = seed;
        uint64_t right = seed;
        for (int i = 0; i < 200; i++) {
            varve_status on_disk = random_operation(disk.fs, disk.dir, &left);
            varve_status in_memory = random_operation(memory.fs, memory.dir, &right);
            cr_assert_eq(on_disk, in_memory, "seed %d, operation %d: %s on disk, %s in memory", (int)seed, i,
                         varve_status_name(on_disk), varve_status_name(in_memory));
        }
        for (size_t i = 0; i < 8; i++) compare_file(disk.fs, in(disk.dir, names[i]), memory.fs, in(memory.dir, names[i]));
        fs_fixture_close(&disk);
        fs_fixture_close(&memory);
    }
}
