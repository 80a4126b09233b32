/*
 * Syncing: what it promises, group commit, threads side by side, and the latch when it fails.
 */
#include <errno.h>

#include "os/thread.h"
#include "wal_fixture.h"

#define SMALL ((uint64_t)16384)

static const varve_wal_mode modes[] = {VARVE_WAL_MAPPED, VARVE_WAL_PWRITE};
#define IN_BOTH_MODES for (unsigned mode = 0; mode < 2; wal_fixture_close(&f), mode++)

static wal_fixture f;

static uint64_t syncs(void) {
    vr_wal_stats stats;
    vr_wal_stats_get(f.wal, &stats);
    return stats.syncs;
}

Test(wal_sync, only_what_is_new_is_synced) {
    IN_BOTH_MODES {
        wal_fixture_open(&f, modes[mode], SMALL);
        wal_must_sync(&f);
        cr_assert_eq(syncs(), 0);
        wal_must_append(&f, 10);
        cr_assert_eq(vr_wal_synced_sequence(f.wal), 0);
        wal_must_sync(&f);
        wal_must_sync(&f);
        cr_assert_eq(syncs(), 1);
        wal_must_append(&f, 300);
        wal_must_sync(&f);
        vr_wal_stats stats;
        vr_wal_stats_get(f.wal, &stats);
        cr_assert_eq(stats.syncs, 1 + stats.segments, "one for each segment with something new");
    }
}

Test(wal_sync, what_was_recovered_is_synced_again_unless_vouched_for) {
    IN_BOTH_MODES {
        wal_fixture_open(&f, modes[mode], SMALL);
        wal_must_append(&f, 200);
        wal_must_sync(&f);
        wal_must_append(&f, 20);
        uint64_t last = vr_wal_last_sequence(f.wal);
        wal_shut(&f);
        wal_must_open(&f);
        cr_assert_lt(vr_wal_synced_sequence(f.wal), last, "the process died, not the machine: it may still be in memory only");
        wal_must_sync(&f);
        cr_assert_leq(syncs(), 2, "segments before the synced place are not synced again");

        vr_memfs *cut;
        cr_assert_eq(vr_memfs_clone(f.memfs, VR_CRASH_DROP_UNSYNCED, 0, &cut, NULL), VARVE_OK);
        wal_shut(&f);
        wal_fixture_move(&f, cut);
        wal_must_open(&f);
        cr_assert_eq(vr_wal_last_sequence(f.wal), last);
    }
}

/* --- Failures, by a file system that fails --- */

static vr_faultfs *faults;

static void open_with_faults(varve_wal_mode mode) {
    wal_fixture_open(&f, mode, SMALL);
    wal_shut(&f);
    cr_assert_eq(vr_faultfs_create(vr_memfs_fs(f.memfs), &faults, NULL), VARVE_OK);
    f.env.fs = vr_faultfs_fs(faults);
    wal_must_open(&f);
}

static void close_faults(void) {
    wal_shut(&f);
    vr_faultfs_free(faults);
    f.env.fs = vr_memfs_fs(f.memfs);
    wal_must_open(&f);
}

Test(wal_sync, a_failed_sync_latches) {
    IN_BOTH_MODES {
        open_with_faults(modes[mode]);
        wal_must_append(&f, 5);
        vr_faultfs_arm(faults, VR_FAULT_SYNC, 1, EIO, false);
        cr_assert_eq(vr_wal_sync(f.wal, &f.err), VARVE_IO);
        varve_error first = f.err;
        for (int i = 0; i < 2; i++) { /* the next fdatasync would succeed, and lie */
            cr_assert_eq(vr_wal_sync(f.wal, &f.err), VARVE_READ_ONLY);
            cr_assert_not_null(strstr(f.err.message, first.message), "%s", f.err.message);
            cr_assert_eq(f.err.os_error, EIO);
            cr_assert_eq(wal_append(&f), VARVE_READ_ONLY);
        }
        cr_assert_eq(vr_faultfs_count(faults), 1, "never retried");
        cr_assert_eq(vr_wal_synced_sequence(f.wal), 0);
        vr_wal_reader *reader;
        uint64_t sequence, count = 0;
        varve_slice batch;
        cr_assert_eq(vr_wal_reader_open(f.wal, 0, &reader, NULL), VARVE_OK, "reading goes on");
        while (vr_wal_reader_next(reader, &sequence, &batch, NULL) == VARVE_OK) count++;
        cr_assert_eq(count, 5);
        vr_wal_reader_close(reader);
        close_faults();
    }
}

Test(wal_sync, a_failed_write_latches_and_a_full_disk_does_not) {
    open_with_faults(VARVE_WAL_PWRITE);
    wal_must_append(&f, 3);
    vr_faultfs_arm(faults, VR_FAULT_PWRITE, 1, ENOSPC, false);
    cr_assert_eq(wal_append(&f), VARVE_NO_SPACE);
    wal_must_append(&f, 1);
    wal_must_sync(&f);
    vr_faultfs_arm(faults, VR_FAULT_PWRITE, 1, EIO, false);
    cr_assert_eq(wal_append(&f), VARVE_IO);
    cr_assert_eq(wal_append(&f), VARVE_READ_ONLY);
    cr_assert_eq(vr_wal_sync(f.wal, &f.err), VARVE_READ_ONLY);
    close_faults();
    cr_assert_eq(f.seen.batches, 4);
    wal_fixture_close(&f);
}

Test(wal_sync, a_full_disk_at_a_switch_lets_writing_resume) {
    IN_BOTH_MODES {
        wal_fixture_open(&f, modes[mode], SMALL);
        vr_memfs_set_space(f.memfs, SMALL + 100);
        unsigned written = 0;
        while (wal_append(&f) == VARVE_OK) written++;
        cr_assert_gt(written, 10);
        cr_assert_eq(f.err.code, VARVE_NO_SPACE, "%s", f.err.message);
        cr_assert_eq(wal_append(&f), VARVE_NO_SPACE);
        cr_assert_not(vr_wal_prepare(f.wal));
        wal_must_sync(&f);
        vr_memfs_set_space(f.memfs, 0);
        wal_must_append(&f, 50);
        cr_assert_not(wal_file_exists(&f, "0000000002.wal.new"));
        wal_shut(&f);
        wal_must_open(&f);
        cr_assert_eq(f.seen.batches, written + 50);
    }
}

/* Every operation of a run fails once, and then all from there on; what was acknowledged as synced is always recovered. */
static void run_with_fault(uint64_t nth, int os_error, bool persistent, varve_wal_mode mode, bool *injected) {
    open_with_faults(mode);
    vr_faultfs_arm(faults, VR_FAULT_ALL, nth, os_error, persistent);
    uint64_t synced = 0;
    for (int i = 0; i < 220; i++) {
        if (wal_append(&f) != VARVE_OK && i % 3) continue;
        if (i % 7 == 0 && vr_wal_sync(f.wal, &f.err) == VARVE_OK) synced = vr_wal_last_sequence(f.wal);
        if (i % 20 == 0) vr_wal_prepare(f.wal);
        if (i % 100 == 99) {
            uint64_t first_needed;
            vr_wal_first_needed(f.wal, synced, &first_needed);
            f.options.first_segment = first_needed; /* in the manifest before it is released */
            f.options.sequence_floor = synced;
            (void)vr_wal_release(f.wal, first_needed, &f.err);
        }
    }
    uint64_t last = vr_wal_last_sequence(f.wal);
    /* a disk that refuses everything may keep the one record whose write it reported as failed */
    uint64_t most = persistent ? last + wal_batch_count(last + 1) : last;
    wal_shut(&f);
    *injected = vr_faultfs_injected(faults) > 0;
    vr_faultfs_free(faults);
    for (int power_cut = 0; power_cut < 2; power_cut++) {
        vr_memfs *state;
        cr_assert_eq(vr_memfs_clone(f.memfs, power_cut ? VR_CRASH_DROP_UNSYNCED : VR_CRASH_KEEP_ALL, 0, &state, NULL), VARVE_OK);
        wal_fixture_move(&f, state);
        wal_must_open(&f);
        cr_assert_geq(vr_wal_last_sequence(f.wal), synced, "fault %llu", (unsigned long long)nth);
        cr_assert_leq(vr_wal_last_sequence(f.wal), most, "fault %llu", (unsigned long long)nth);
        if (!power_cut) cr_assert_geq(vr_wal_last_sequence(f.wal), last, "fault %llu", (unsigned long long)nth);
        wal_shut(&f);
    }
    vr_memfs_free(f.memfs);
}

Test(wal_sync, every_operation_fails_once) {
    const int errors[] = {EIO, ENOSPC};
    for (unsigned kind = 0; kind < 4; kind++) {
        bool injected = true;
        uint64_t nth = 1;
        for (; injected; nth++) run_with_fault(nth, errors[kind / 2], kind % 2, modes[nth % 2], &injected);
        cr_assert_gt(nth, 40, "%llu operations", (unsigned long long)nth);
    }
}

/* Opening fails at every operation: nothing is lost, and a later open succeeds. */
Test(wal_sync, opening_fails_at_every_operation) {
    for (uint64_t nth = 1;; nth++) {
        open_with_faults(VARVE_WAL_MAPPED);
        wal_must_append(&f, 200);
        vr_wal_prepare(f.wal);
        uint64_t last = vr_wal_last_sequence(f.wal);
        vr_memfs *state;
        cr_assert_eq(vr_memfs_clone(f.memfs, VR_CRASH_KEEP_ALL, 0, &state, NULL), VARVE_OK);
        wal_shut(&f);
        vr_faultfs_free(faults);
        wal_fixture_move(&f, state);
        cr_assert_eq(vr_faultfs_create(vr_memfs_fs(state), &faults, NULL), VARVE_OK);
        f.env.fs = vr_faultfs_fs(faults);
        vr_faultfs_arm(faults, VR_FAULT_ALL, nth, EIO, true);
        varve_status st = wal_open(&f);
        bool injected = vr_faultfs_injected(faults) > 0;
        cr_assert_eq(st, injected ? VARVE_IO : VARVE_OK);
        close_faults();
        cr_assert_eq(f.seen.last, last);
        wal_fixture_close(&f);
        if (!injected) break;
    }
}

Test(wal_sync, without_memory_nothing_changes) {
    const varve_wal_mode mode = VARVE_WAL_PWRITE;
    wal_fixture_open(&f, mode, SMALL);
    wal_must_append(&f, 150);
    wal_shut(&f);
    vr_memfs *original, *fresh;
    cr_assert_eq(vr_memfs_clone(f.memfs, VR_CRASH_KEEP_ALL, 0, &original, NULL), VARVE_OK);
    for (uint64_t nth = 1;; nth++) {
        vr_faultmem fault;
        cr_assert_lt(nth, 1000);
        cr_assert_eq(vr_memfs_clone(original, VR_CRASH_KEEP_ALL, 0, &fresh, NULL), VARVE_OK);
        wal_fixture_move(&f, fresh);
        vr_faultmem_init(&fault, nth, false);
        f.env.mem = vr_faultmem_mem(&fault);
        varve_status st = wal_open(&f);
        if (st == VARVE_OK) {
            uint64_t last = vr_wal_last_sequence(f.wal);
            for (int i = 0; i < 60; i++) {
                st = wal_append(&f);
                cr_assert(st == VARVE_OK || st == VARVE_NOMEM);
                last += st == VARVE_OK ? wal_batch_count(last + 1) : 0;
            }
            cr_assert_eq(vr_wal_last_sequence(f.wal), last);
            wal_shut(&f);
        } else {
            cr_assert_eq(st, VARVE_NOMEM);
        }
        cr_assert_eq(vr_faultmem_live(&fault), 0, "call %llu", (unsigned long long)nth);
        f.env.mem = vr_mem_system();
        wal_must_open(&f);
        wal_shut(&f);
        if (vr_faultmem_injected(&fault) == 0) break;
    }
    vr_memfs_free(original);
    wal_fixture_close(&f);
}

/* --- Threads --- */

#define THREAD_BATCHES 3000

typedef struct shared {
    _Atomic bool stop;
    _Atomic uint64_t acknowledged;
    _Atomic uint64_t failures;
} shared;

static void sync_body(void *context) {
    shared *s = context;
    while (!atomic_load(&s->stop)) {
        uint64_t before = vr_wal_last_sequence(f.wal);
        if (vr_wal_sync(f.wal, NULL) != VARVE_OK || vr_wal_synced_sequence(f.wal) < before) atomic_fetch_add(&s->failures, 1);
    }
}

static void read_body(void *context) {
    shared *s = context;
    vr_wal_reader *reader;
    uint64_t expected = 1, first;
    varve_slice batch;
    if (vr_wal_reader_open(f.wal, 0, &reader, NULL) != VARVE_OK) {
        atomic_fetch_add(&s->failures, 1);
        return;
    }
    for (;;) {
        bool stop = atomic_load(&s->stop);
        varve_status st = vr_wal_reader_next(reader, &first, &batch, NULL);
        if (st == VARVE_NOT_FOUND && stop) break;
        if (st == VARVE_NOT_FOUND) continue;
        if (st != VARVE_OK || first != expected || !wal_batch_is_right(&f, first, batch)) {
            atomic_fetch_add(&s->failures, 1);
            break;
        }
        expected = first + wal_batch_count(first);
        if (first % 64 == 0) vr_wal_reader_pin(reader);
        if (first % 512 == 0) vr_wal_reader_unpin(reader);
    }
    if (expected != vr_wal_last_sequence(f.wal) + 1) atomic_fetch_add(&s->failures, 1);
    vr_wal_reader_close(reader);
}

static void prepare_body(void *context) {
    shared *s = context;
    while (!atomic_load(&s->stop)) {
        vr_wal_prepare(f.wal);
        uint64_t first_needed, floor = atomic_load(&s->acknowledged);
        vr_wal_stats stats;
        vr_wal_stats_get(f.wal, &stats);
        vr_wal_first_needed(f.wal, floor, &first_needed);
        if (vr_wal_release(f.wal, first_needed, NULL) != VARVE_OK) atomic_fetch_add(&s->failures, 1);
    }
}

/* The reader stays from the beginning, so release is told nothing is acknowledged while it runs; a second round releases. */
static void side_by_side(varve_wal_mode mode, bool release) {
    void (*bodies[])(void *) = {sync_body, sync_body, prepare_body, release ? sync_body : read_body};
    vr_thread threads[4];
    shared s = {0};
    wal_fixture_open(&f, mode, SMALL * 4);
    for (int i = 0; i < 4; i++) cr_assert_eq(vr_thread_start(&threads[i], "test", bodies[i], &s, NULL), VARVE_OK);
    for (int i = 0; i < THREAD_BATCHES; i++) {
        wal_must_append(&f, 1);
        if (release && i % 100 == 0) atomic_store(&s.acknowledged, vr_wal_last_sequence(f.wal));
    }
    atomic_store(&s.stop, true);
    for (int i = 0; i < 4; i++) vr_thread_join(&threads[i]);
    cr_assert_eq(atomic_load(&s.failures), 0);
    uint64_t last = vr_wal_last_sequence(f.wal);
    if (release) {
        vr_wal_first_needed(f.wal, atomic_load(&s.acknowledged), &f.options.first_segment);
        f.options.sequence_floor = atomic_load(&s.acknowledged);
        cr_assert_eq(vr_wal_release(f.wal, f.options.first_segment, &f.err), VARVE_OK);
    }
    wal_shut(&f);
    wal_must_open(&f);
    cr_assert_eq(vr_wal_last_sequence(f.wal), last);
}

Test(wal_sync, threads_sync_and_read_while_one_appends) {
    IN_BOTH_MODES side_by_side(modes[mode], false);
}

Test(wal_sync, threads_sync_and_release_while_one_appends) {
    IN_BOTH_MODES side_by_side(modes[mode], true);
}
