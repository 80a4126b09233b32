/*
 * What a crash leaves (os/memfs.h): clones in the three modes.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "fs_fixture.h"
#include "os/thread.h"

#define RW (VR_OPEN_READ | VR_OPEN_WRITE)

static fs_fixture fixture;
static vr_memfs *left; /* the last one taken */

static void set_up(void) {
    fs_fixture_open(&fixture, FS_MEM);
}

static void tear_down(void) {
    vr_memfs_free(left);
    left = NULL;
    fs_fixture_close(&fixture);
}

TestSuite(crash_clone, .init = set_up, .fini = tear_down);

/* The file system as it is after a crash now. */
static vr_fs *crash(vr_memfs *memfs, vr_crash_mode mode, uint64_t seed) {
    vr_memfs *fresh;
    cr_assert_eq(vr_memfs_clone(memfs, mode, seed, &fresh, NULL), VARVE_OK);
    vr_memfs_free(left);
    left = fresh;
    return vr_memfs_fs(left);
}

static vr_fs *power_cut(void) {
    return crash(fixture.memfs, VR_CRASH_DROP_UNSYNCED, 0);
}

static void overwrite(const char *path, const char *content, uint64_t offset, bool sync) {
    vr_file *file = open_file(fixture.fs, path, RW);
    cr_assert_eq(vr_file_pwrite(file, content, strlen(content), offset, NULL), VARVE_OK);
    if (sync) cr_assert_eq(vr_file_sync(file, NULL), VARVE_OK);
    vr_file_close(file, NULL);
}

Test(crash_clone, unsynced_bytes_are_lost_and_synced_ones_stay) {
    put_durable(fixture.fs, "/data", "f", "0123456789");
    overwrite("/data/f", "AB", 2, true);
    overwrite("/data/f", "xx", 0, false);
    overwrite("/data/f", "longer", 10, false);
    cr_assert(file_is(fixture.fs, "/data/f", "xxAB456789longer"));
    cr_assert(file_is(power_cut(), "/data/f", "01AB456789"));
    cr_assert(file_is(fixture.fs, "/data/f", "xxAB456789longer"), "a clone changes nothing in its source");
}

Test(crash_clone, size_is_durable_with_the_next_sync) {
    put_durable(fixture.fs, "/data", "f", "0123456789");
    vr_file *file = open_file(fixture.fs, "/data/f", RW);
    cr_assert_eq(vr_file_set_size(file, 4, NULL), VARVE_OK);
    cr_assert(file_is(power_cut(), "/data/f", "0123456789"));
    cr_assert_eq(vr_file_sync(file, NULL), VARVE_OK);
    cr_assert(file_is(power_cut(), "/data/f", "0123"));
    /* Cut and grown again between two syncs: what was there before must not come back. */
    cr_assert_eq(vr_file_pwrite(file, "abcdefgh", 8, 0, NULL), VARVE_OK);
    cr_assert_eq(vr_file_sync(file, NULL), VARVE_OK);
    cr_assert_eq(vr_file_set_size(file, 2, NULL), VARVE_OK);
    cr_assert_eq(vr_file_pwrite(file, "z", 1, 5, NULL), VARVE_OK);
    cr_assert_eq(vr_file_sync(file, NULL), VARVE_OK);
    char bytes[8];
    size_t got;
    vr_file *after = open_file(power_cut(), "/data/f", VR_OPEN_READ);
    cr_assert_eq(vr_file_pread(after, bytes, 8, 0, &got, NULL), VARVE_OK);
    cr_assert(got == 6 && memcmp(bytes, "ab\0\0\0z", 6) == 0);
    vr_file_close(after, NULL);
    vr_file_close(file, NULL);
}

Test(crash_clone, an_entry_needs_its_directory_synced) {
    vr_file *file = open_file(fixture.fs, "/data/f", RW | VR_OPEN_CREATE);
    cr_assert_eq(vr_file_pwrite(file, "x", 1, 0, NULL), VARVE_OK);
    cr_assert_eq(vr_file_sync(file, NULL), VARVE_OK);
    cr_assert_not(exists(power_cut(), "/data/f"), "the file's sync does not make its name durable");
    cr_assert_eq(vr_fs_sync_dir(fixture.fs, "/data", NULL), VARVE_OK);
    cr_assert(file_is(power_cut(), "/data/f", "x"));
    vr_file_close(file, NULL);
    put_file(fixture.fs, "/data/g", "y");
    cr_assert_eq(vr_fs_sync_dir(fixture.fs, "/data", NULL), VARVE_OK);
    cr_assert(file_is(power_cut(), "/data/g", ""), "nor the directory's sync its bytes");
}

Test(crash_clone, removal_and_rename_need_the_directory_synced) {
    put_durable(fixture.fs, "/data", "f", "old");
    put_durable(fixture.fs, "/data", "g", "new");
    cr_assert_eq(vr_fs_rename(fixture.fs, "/data/g", "/data/f", NULL), VARVE_OK);
    vr_fs *fs = power_cut();
    cr_assert(file_is(fs, "/data/f", "old") && file_is(fs, "/data/g", "new"));
    cr_assert_eq(vr_fs_sync_dir(fixture.fs, "/data", NULL), VARVE_OK);
    fs = power_cut();
    cr_assert(file_is(fs, "/data/f", "new") && !exists(fs, "/data/g"));
    cr_assert_eq(vr_fs_remove(fixture.fs, "/data/f", NULL), VARVE_OK);
    cr_assert(file_is(power_cut(), "/data/f", "new"));
    cr_assert_eq(vr_fs_sync_dir(fixture.fs, "/data", NULL), VARVE_OK);
    cr_assert_not(exists(power_cut(), "/data/f"));
}

Test(crash_clone, directories_are_entries_too) {
    cr_assert_eq(vr_fs_make_dir(fixture.fs, "/data/d", NULL), VARVE_OK);
    put_durable(fixture.fs, "/data/d", "f", "x");
    cr_assert_not(exists(power_cut(), "/data/d/f"), "its own entry is not durable yet");
    cr_assert_eq(vr_fs_sync_dir(fixture.fs, "/data", NULL), VARVE_OK);
    cr_assert(file_is(power_cut(), "/data/d/f", "x"));
    cr_assert_eq(vr_fs_rename(fixture.fs, "/data/d", "/data/e", NULL), VARVE_OK);
    put_durable(fixture.fs, "/data/e", "g", "y");
    vr_fs *fs = power_cut();
    cr_assert(file_is(fs, "/data/d/g", "y") && !exists(fs, "/data/e/g"), "the directory has its old name still");
}

Test(crash_clone, hard_links_are_one_file_afterwards_too) {
    put_durable(fixture.fs, "/data", "f", "one");
    cr_assert_eq(vr_fs_link(fixture.fs, "/data/f", "/data/g", NULL), VARVE_OK);
    cr_assert_not(exists(power_cut(), "/data/g"));
    cr_assert_eq(vr_fs_sync_dir(fixture.fs, "/data", NULL), VARVE_OK);
    vr_fs *fs = power_cut();
    put_file(fs, "/data/f", "changed");
    cr_assert(file_is(fs, "/data/g", "changed"));
    cr_assert(file_is(fixture.fs, "/data/g", "one"), "and none of the source's");
}

Test(crash_clone, keep_all_is_the_death_of_the_process_alone) {
    put_durable(fixture.fs, "/data", "f", "old");
    overwrite("/data/f", "new", 0, false);
    put_file(fixture.fs, "/data/g", "fresh");
    cr_assert_eq(vr_fs_remove(fixture.fs, "/data/f", NULL), VARVE_OK);
    put_file(fixture.fs, "/data/f", "again");
    vr_fs *fs = crash(fixture.memfs, VR_CRASH_KEEP_ALL, 0);
    cr_assert(file_is(fs, "/data/f", "again") && file_is(fs, "/data/g", "fresh"));
    /* What was not durable is not durable now: the power can still be cut. */
    vr_memfs *died = left;
    left = NULL;
    fs = crash(died, VR_CRASH_DROP_UNSYNCED, 0);
    cr_assert(file_is(fs, "/data/f", "old") && !exists(fs, "/data/g"));
    vr_memfs_free(died);
}

Test(crash_clone, after_a_power_cut_what_is_there_is_durable) {
    put_durable(fixture.fs, "/data", "f", "old");
    overwrite("/data/f", "new", 0, false);
    vr_fs *fs = crash(fixture.memfs, VR_CRASH_MIXED, 3);
    bool kept = file_is(fs, "/data/f", "new");
    vr_memfs *first = left;
    left = NULL;
    fs = crash(first, VR_CRASH_DROP_UNSYNCED, 0);
    cr_assert(file_is(fs, "/data/f", kept ? "new" : "old"));
    vr_memfs_free(first);
}

Test(crash_clone, after_a_power_cut_the_entries_are_durable_too) {
    put_durable(fixture.fs, "/data", "gone", "x");
    put_file(fixture.fs, "/data/fresh", "");
    cr_assert_eq(vr_fs_remove(fixture.fs, "/data/gone", NULL), VARVE_OK);
    for (uint64_t seed = 0; seed < 16; seed++) {
        vr_fs *fs = crash(fixture.memfs, VR_CRASH_MIXED, seed);
        bool fresh = exists(fs, "/data/fresh");
        bool gone = exists(fs, "/data/gone");
        vr_memfs *first = left;
        left = NULL;
        fs = crash(first, VR_CRASH_DROP_UNSYNCED, 0);
        cr_assert(exists(fs, "/data/fresh") == fresh && exists(fs, "/data/gone") == gone, "seed %d", (int)seed);
        vr_memfs_free(first);
    }
}

Test(crash_clone, nobody_holds_a_lock_or_a_nameless_file_afterwards) {
    vr_file *lock;
    vr_file *other;
    put_durable(fixture.fs, "/data", "f", "x");
    vr_file *file = open_file(fixture.fs, "/data/f", RW);
    cr_assert_eq(vr_fs_remove(fixture.fs, "/data/f", NULL), VARVE_OK);
    cr_assert_eq(vr_fs_sync_dir(fixture.fs, "/data", NULL), VARVE_OK);
    cr_assert_eq(vr_fs_lock(fixture.fs, "/data/LOCK", &lock, NULL), VARVE_OK);
    vr_fs *fs = crash(fixture.memfs, VR_CRASH_KEEP_ALL, 0);
    cr_assert_not(exists(fs, "/data/f"));
    cr_assert_eq(vr_fs_lock(fs, "/data/LOCK", &other, NULL), VARVE_OK);
    vr_file_close(other, NULL);
    vr_file_close(lock, NULL);
    vr_file_close(file, NULL);
}

Test(crash_clone, mapped_stores_are_durable_with_sync_only) {
    void *mapped;
    put_durable(fixture.fs, "/data", "f", "0123456789");
    vr_file *file = open_file(fixture.fs, "/data/f", RW);
    cr_assert_eq(vr_file_map(file, 10, true, &mapped, NULL), VARVE_OK);
    memcpy(mapped, "A", 1);
    cr_assert(file_is(power_cut(), "/data/f", "0123456789"));
    cr_assert(file_is(crash(fixture.memfs, VR_CRASH_KEEP_ALL, 0), "/data/f", "A123456789"));
    cr_assert_eq(vr_file_sync(file, NULL), VARVE_OK);
    cr_assert(file_is(power_cut(), "/data/f", "A123456789"));
    memcpy((char *)mapped + 1, "B", 1);
    cr_assert_eq(vr_file_sync(file, NULL), VARVE_OK);
    memcpy((char *)mapped + 2, "C", 1);
    vr_file_unmap(file, mapped, 10);
    cr_assert(file_is(power_cut(), "/data/f", "AB23456789"));
    cr_assert_eq(vr_file_sync(file, NULL), VARVE_OK, "what was stored before the unmap");
    cr_assert(file_is(power_cut(), "/data/f", "ABC3456789"));
    vr_file_close(file, NULL);
}

Test(crash_clone, clones_share_nothing_that_changes) {
    put_durable(fixture.fs, "/data", "f", "one");
    vr_fs *fs = power_cut();
    overwrite("/data/f", "two", 0, true);
    cr_assert(file_is(fs, "/data/f", "one"));
    put_durable(fs, "/data", "f", "three");
    cr_assert(file_is(fixture.fs, "/data/f", "two"));
    vr_memfs *first = left;
    left = NULL;
    cr_assert(file_is(crash(first, VR_CRASH_DROP_UNSYNCED, 0), "/data/f", "three"));
    vr_memfs_free(first);
    cr_assert(file_is(vr_memfs_fs(left), "/data/f", "three"), "a clone outlives its source");
}

enum { SECTORS = 16, SECTOR = 512 };

/* The sectors of /data/f after a mixed crash: '0' of the durable content, '1' of the unsynced one; fails on anything else. */
static void mixed_sectors(uint64_t seed, char kept[SECTORS + 1]) {
    char bytes[SECTORS * SECTOR];
    size_t got;
    vr_file *file = open_file(crash(fixture.memfs, VR_CRASH_MIXED, seed), "/data/f", VR_OPEN_READ);
    cr_assert_eq(vr_file_pread(file, bytes, sizeof bytes, 0, &got, NULL), VARVE_OK);
    cr_assert_eq(got, sizeof bytes);
    vr_file_close(file, NULL);
    for (size_t i = 0; i < SECTORS; i++) {
        kept[i] = bytes[i * SECTOR];
        cr_assert(kept[i] == '0' || kept[i] == '1');
        for (size_t at = 0; at < SECTOR; at++) cr_assert_eq(bytes[i * SECTOR + at], kept[i], "a sector is whole");
    }
    kept[SECTORS] = '\0';
}

Test(crash_clone, mixed_keeps_sectors_by_the_seed) {
    char bytes[SECTORS * SECTOR + 1];
    char kept[SECTORS + 1];
    char again[SECTORS + 1];
    unsigned ones = 0;
    unsigned different = 0;
    memset(bytes, '0', sizeof bytes);
    bytes[sizeof bytes - 1] = '\0';
    put_durable(fixture.fs, "/data", "f", bytes);
    memset(bytes, '1', sizeof bytes - 1);
    overwrite("/data/f", bytes, 0, false);
    for (uint64_t seed = 0; seed < 32; seed++) {
        mixed_sectors(seed, kept);
        mixed_sectors(seed, again);
        cr_assert_str_eq(kept, again, "one seed, one outcome");
        for (size_t i = 0; i < SECTORS; i++) ones += kept[i] == '1';
        different += strchr(kept, '0') && strchr(kept, '1');
    }
    cr_assert(ones > 150 && ones < 362, "about half: %u", ones);
    cr_assert_gt(different, 28);
}

Test(crash_clone, mixed_never_touches_what_is_synced) {
    put_durable(fixture.fs, "/data", "f", "synced");
    put_durable(fixture.fs, "/data", "g", "other");
    overwrite("/data/g", "OTHER", 0, false);
    for (uint64_t seed = 0; seed < 32; seed++) {
        vr_fs *fs = crash(fixture.memfs, VR_CRASH_MIXED, seed);
        cr_assert(file_is(fs, "/data/f", "synced"));
        cr_assert(file_is(fs, "/data/g", "other") || file_is(fs, "/data/g", "OTHER"));
    }
}

Test(crash_clone, mixed_size_is_the_old_or_the_new) {
    unsigned shorter = 0;
    unsigned longer = 0;
    unsigned zeros = 0;
    put_durable(fixture.fs, "/data", "f", "0123");
    overwrite("/data/f", "tail", 1000, false);
    for (uint64_t seed = 0; seed < 64; seed++) {
        char bytes[2000];
        size_t got;
        vr_file *file = open_file(crash(fixture.memfs, VR_CRASH_MIXED, seed), "/data/f", VR_OPEN_READ);
        cr_assert_eq(vr_file_pread(file, bytes, sizeof bytes, 0, &got, NULL), VARVE_OK);
        vr_file_close(file, NULL);
        cr_assert(got == 4 || got == 1004, "%zu", got);
        cr_assert(memcmp(bytes, "0123", 4) == 0);
        shorter += got == 4;
        longer += got == 1004;
        if (got == 1004 && memcmp(bytes + 1000, "\0\0\0\0", 4) == 0)
            zeros++;
        else if (got == 1004)
            cr_assert(memcmp(bytes + 1000, "tail", 4) == 0);
    }
    cr_assert(shorter > 10 && longer > 10);
    cr_assert(zeros > 2 && zeros < longer, "a size without its data is one of the outcomes");
}

Test(crash_clone, mixed_renames_are_whole) {
    unsigned done = 0;
    put_durable(fixture.fs, "/data", "CURRENT", "old");
    put_file(fixture.fs, "/data/tmp", "new"); /* its entry not durable either */
    vr_file *file = open_file(fixture.fs, "/data/tmp", RW);
    cr_assert_eq(vr_file_sync(file, NULL), VARVE_OK);
    vr_file_close(file, NULL);
    cr_assert_eq(vr_fs_rename(fixture.fs, "/data/tmp", "/data/CURRENT", NULL), VARVE_OK);
    put_durable(fixture.fs, "/", "segment-1", "segment");
    cr_assert_eq(vr_fs_rename(fixture.fs, "/segment-1", "/segment-2", NULL), VARVE_OK);
    for (uint64_t seed = 0; seed < 64; seed++) {
        vr_fs *fs = crash(fixture.memfs, VR_CRASH_MIXED, seed);
        cr_assert(file_is(fs, "/data/CURRENT", "old") || file_is(fs, "/data/CURRENT", "new"));
        cr_assert_not(exists(fs, "/data/tmp"));
        cr_assert_neq(file_is(fs, "/segment-1", "segment"), file_is(fs, "/segment-2", "segment"), "under one name, always");
        done += file_is(fs, "/data/CURRENT", "new");
    }
    cr_assert(done > 10 && done < 54);
}

/* A name that takes part in two renames: what a power cut leaves must have every file once. */
Test(crash_clone, mixed_chains_of_renames_lose_nothing) {
    put_durable(fixture.fs, "/data", "a", "A");
    put_durable(fixture.fs, "/data", "b", "B");
    cr_assert_eq(vr_fs_rename(fixture.fs, "/data/a", "/data/c", NULL), VARVE_OK);
    cr_assert_eq(vr_fs_rename(fixture.fs, "/data/b", "/data/a", NULL), VARVE_OK);
    for (uint64_t seed = 0; seed < 32; seed++) {
        vr_fs *fs = crash(fixture.memfs, VR_CRASH_MIXED, seed);
        cr_assert_eq(file_is(fs, "/data/a", "A") + file_is(fs, "/data/c", "A"), 1, "seed %d", (int)seed);
        cr_assert_eq(file_is(fs, "/data/a", "B") + file_is(fs, "/data/b", "B"), 1, "seed %d", (int)seed);
    }
}

Test(crash_clone, mixed_chains_reach_across_directories) {
    cr_assert_eq(vr_fs_make_dir(fixture.fs, "/other", NULL), VARVE_OK);
    cr_assert_eq(vr_fs_sync_dir(fixture.fs, "/", NULL), VARVE_OK);
    put_durable(fixture.fs, "/data", "a", "A");
    cr_assert_eq(vr_fs_rename(fixture.fs, "/data/a", "/data/b", NULL), VARVE_OK);
    cr_assert_eq(vr_fs_rename(fixture.fs, "/data/b", "/other/b", NULL), VARVE_OK);
    for (uint64_t seed = 0; seed < 32; seed++) {
        vr_fs *fs = crash(fixture.memfs, VR_CRASH_MIXED, seed);
        cr_assert_eq(file_is(fs, "/data/a", "A") + file_is(fs, "/other/b", "A"), 1, "seed %d", (int)seed);
        cr_assert_not(exists(fs, "/data/b"));
    }
}

Test(crash_clone, mixed_entries_are_independent) {
    unsigned first = 0;
    unsigned second = 0;
    unsigned both = 0;
    put_file(fixture.fs, "/data/a", "x");
    put_file(fixture.fs, "/data/b", "x");
    for (uint64_t seed = 0; seed < 64; seed++) {
        vr_fs *fs = crash(fixture.memfs, VR_CRASH_MIXED, seed);
        bool a = exists(fs, "/data/a");
        bool b = exists(fs, "/data/b");
        first += a;
        second += b;
        both += a && b;
    }
    cr_assert(first > 16 && first < 48 && second > 16 && second < 48);
    cr_assert(both < first && both < second);
}

/* A thread that stores through a mapping while clones are taken. */
typedef struct storer {
    volatile char *mapped;
    size_t size;
    atomic_bool stop;
} storer;

static void store_for_ever(void *context) {
    storer *s = context;
    for (unsigned round = 0; !atomic_load(&s->stop); round++) {
        for (size_t at = 0; at < s->size; at++) s->mapped[at] = (char)('a' + round % 26);
    }
}

Test(crash_clone, clones_are_taken_while_others_store) {
    enum { SIZE = 16384 };
    static char bytes[SIZE];
    void *mapped;
    size_t got;
    storer s = {.size = SIZE};
    vr_thread thread;
    vr_file *file = open_file(fixture.fs, "/data/f", RW | VR_OPEN_CREATE);
    cr_assert_eq(vr_file_reserve(file, SIZE, NULL), VARVE_OK);
    cr_assert_eq(vr_fs_sync_dir(fixture.fs, "/data", NULL), VARVE_OK);
    cr_assert_eq(vr_file_map(file, SIZE, true, &mapped, NULL), VARVE_OK);
    s.mapped = mapped;
    cr_assert_eq(vr_thread_start(&thread, "storer", store_for_ever, &s, NULL), VARVE_OK);
    for (uint64_t i = 0; i < 60; i++) {
        vr_fs *fs = crash(fixture.memfs, (vr_crash_mode)(i % 3), i);
        if (i % 5 == 0) cr_assert_eq(vr_file_sync(file, NULL), VARVE_OK);
        cr_assert_eq(vr_file_pread(file, bytes, SIZE, 0, &got, NULL), VARVE_OK);
        vr_file *after = open_file(fs, "/data/f", VR_OPEN_READ);
        cr_assert_eq(vr_file_pread(after, bytes, SIZE, 0, &got, NULL), VARVE_OK);
        vr_file_close(after, NULL);
        for (size_t at = 0; at < got; at++) cr_assert(bytes[at] == 0 || (bytes[at] >= 'a' && bytes[at] <= 'z'));
    }
    atomic_store(&s.stop, true);
    vr_thread_join(&thread);
    vr_file_unmap(file, mapped, SIZE);
    vr_file_close(file, NULL);
}
