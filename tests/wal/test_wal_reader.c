/*
 * Readers: live, from any sequence, across segments, pinned, and left behind by a release.
 */
#include <errno.h>

#include "os/thread.h"
#include "wal_fixture.h"

#define SMALL ((uint64_t)16384)

static const varve_wal_mode modes[] = {VARVE_WAL_MAPPED, VARVE_WAL_PWRITE};
#define IN_BOTH_MODES for (unsigned mode = 0; mode < 2; wal_fixture_close(&f), mode++)

static wal_fixture f;
static vr_wal_reader *reader;

static void open_at(uint64_t sequence) {
    cr_assert_eq(vr_wal_reader_open(f.wal, sequence, &reader, &f.err), VARVE_OK, "%s", f.err.message);
}

/* Reads one batch, which must hold or follow the sequence. Returns its first sequence, 0 at the end. */
static uint64_t read_one(void) {
    uint64_t first;
    varve_slice batch;
    varve_status st = vr_wal_reader_next(reader, &first, &batch, &f.err);
    if (st == VARVE_NOT_FOUND) return 0;
    cr_assert_eq(st, VARVE_OK, "%s", f.err.message);
    cr_assert(wal_batch_is_right(&f, first, batch));
    return first;
}

Test(wal_reader, follows_the_writer) {
    IN_BOTH_MODES {
        wal_fixture_open(&f, modes[mode], SMALL);
        open_at(0);
        cr_assert_eq(read_one(), 0);
        uint64_t expected = 1;
        for (int i = 0; i < 300; i++) {
            wal_must_append(&f, 1);
            if (i % 50 == 3) wal_must_sync(&f); /* SYNC records in between are not shown */
            cr_assert_eq(read_one(), expected);
            expected += wal_batch_count(expected);
            cr_assert_eq(read_one(), 0);
        }
        vr_wal_reader_close(reader);
    }
}

Test(wal_reader, opens_before_the_record_that_holds_a_sequence) {
    IN_BOTH_MODES {
        wal_fixture_open(&f, modes[mode], SMALL);
        wal_must_append(&f, 200);
        wal_shut(&f); /* half of it from an earlier run */
        wal_must_open(&f);
        wal_must_append(&f, 200);
        uint64_t last = vr_wal_last_sequence(f.wal), first = 1;
        for (uint64_t sequence = 0; sequence < last; sequence++) {
            if (sequence + 1 >= first + wal_batch_count(first)) first += wal_batch_count(first);
            open_at(sequence);
            cr_assert_eq(read_one(), first, "for %llu", (unsigned long long)sequence);
            vr_wal_reader_close(reader);
        }
        open_at(last);
        cr_assert_eq(read_one(), 0);
        wal_must_append(&f, 1);
        cr_assert_eq(read_one(), last + 1);
        vr_wal_reader_close(reader);
        cr_assert_eq(vr_wal_reader_open(f.wal, last + 100, &reader, &f.err), VARVE_INVALID);
    }
}

Test(wal_reader, what_was_released_is_missing) {
    IN_BOTH_MODES {
        wal_fixture_open(&f, modes[mode], SMALL);
        wal_must_append(&f, 500);
        uint64_t first_needed, last = vr_wal_last_sequence(f.wal);
        vr_wal_first_needed(f.wal, last / 2, &first_needed);
        cr_assert_eq(vr_wal_release(f.wal, first_needed, &f.err), VARVE_OK);
        cr_assert_eq(vr_wal_reader_open(f.wal, 0, &reader, &f.err), VARVE_MISSING);
        open_at(last / 2);
        cr_assert_neq(read_one(), 0);
        vr_wal_reader_close(reader);
    }
}

Test(wal_reader, a_released_segment_stays_until_its_reader_moves_on) {
    IN_BOTH_MODES {
        wal_fixture_open(&f, modes[mode], SMALL);
        wal_must_append(&f, 500);
        open_at(0);
        cr_assert_eq(read_one(), 1);
        uint64_t first_needed, first;
        vr_wal_first_needed(f.wal, vr_wal_last_sequence(f.wal), &first_needed);
        cr_assert_eq(vr_wal_release(f.wal, first_needed, &f.err), VARVE_OK);
        cr_assert(wal_file_exists(&f, "0000000001.wal"));
        cr_assert_not(wal_file_exists(&f, "0000000002.wal"));
        wal_must_append(&f, 300); /* recycles others, not this one */
        varve_slice batch;
        varve_status st;
        while ((st = vr_wal_reader_next(reader, &first, &batch, &f.err)) == VARVE_OK) {
            cr_assert(wal_batch_is_right(&f, first, batch));
        }
        cr_assert_eq(st, VARVE_MISSING, "the next one is gone");
        vr_wal_reader_close(reader);
        cr_assert_not(wal_file_exists(&f, "0000000001.wal"));
    }
}

Test(wal_reader, pinned_payloads_stay_over_segments) {
    IN_BOTH_MODES {
        wal_fixture_open(&f, modes[mode], SMALL);
        wal_must_append(&f, 400);
        open_at(0);
        static varve_slice batches[400];
        static uint64_t firsts[400];
        vr_wal_reader_pin(reader);
        for (int i = 0; i < 400; i++) {
            cr_assert_eq(vr_wal_reader_next(reader, &firsts[i], &batches[i], &f.err), VARVE_OK);
        }
        uint64_t first_needed;
        vr_wal_first_needed(f.wal, vr_wal_last_sequence(f.wal), &first_needed);
        cr_assert_eq(vr_wal_release(f.wal, first_needed, &f.err), VARVE_OK);
        vr_wal_prepare(f.wal);
        wal_must_append(&f, 200);
        for (int i = 0; i < 400; i++) cr_assert(wal_batch_is_right(&f, firsts[i], batches[i]));
        cr_assert_gt(vr_budget_held(&f.budget, VR_USE_WAL), 4 * SMALL);
        vr_wal_reader_unpin(reader);
        vr_wal_prepare(f.wal);
        uint64_t buffer = modes[mode] == VARVE_WAL_PWRITE ? 65536 : 0;
        cr_assert_leq(vr_budget_held(&f.budget, VR_USE_WAL), 3 * SMALL + buffer, "what nobody reads is unmapped");
        vr_wal_reader_close(reader);
    }
}

/* What comes back from the disk is checked, however long ago it was written. */
Test(wal_reader, damage_behind_its_back_is_noticed) {
    IN_BOTH_MODES {
        wal_fixture_open(&f, modes[mode], SMALL);
        wal_must_append(&f, 200);
        vr_file *file;
        cr_assert_eq(vr_fs_open(f.env.fs, WAL_DIR "/0000000001.wal", VR_OPEN_WRITE, &file, NULL), VARVE_OK);
        cr_assert_eq(vr_file_pwrite(file, "damage", 6, 6000, NULL), VARVE_OK);
        vr_file_close(file, NULL);
        open_at(0);
        uint64_t first, count = 0;
        varve_slice batch;
        varve_status st;
        while ((st = vr_wal_reader_next(reader, &first, &batch, &f.err)) == VARVE_OK) count++;
        cr_assert_eq(st, VARVE_CORRUPTION);
        cr_assert_lt(count, 200);
        cr_assert_not_null(strstr(f.err.message, "0000000001.wal: offset"), "%s", f.err.message);
        cr_assert_eq(vr_wal_reader_next(reader, &first, &batch, &f.err), VARVE_CORRUPTION, "and again");
        vr_wal_reader_close(reader);
    }
}

Test(wal_reader, without_memory_it_stays_where_it_is) {
    vr_faultmem fault;
    wal_fixture_open(&f, VARVE_WAL_MAPPED, SMALL);
    wal_shut(&f);
    vr_faultmem_init(&fault, 0, false);
    f.env.mem = vr_faultmem_mem(&fault);
    wal_must_open(&f);
    wal_must_append(&f, 300);
    vr_faultmem_arm(&fault, 1, false);
    cr_assert_eq(vr_wal_reader_open(f.wal, 0, &reader, &f.err), VARVE_NOMEM);
    open_at(0);
    vr_wal_reader_pin(reader);
    vr_faultmem_arm(&fault, 1, true);
    uint64_t first = 0, count = 0;
    varve_slice batch;
    varve_status st;
    while ((st = vr_wal_reader_next(reader, &first, &batch, &f.err)) == VARVE_OK) count++;
    cr_assert_eq(st, VARVE_NOMEM);
    vr_faultmem_arm(&fault, 0, false);
    for (; read_one() != 0; count++) cr_assert_lt(count, 300);
    cr_assert_eq(count, 300);
    vr_wal_reader_close(reader);
    wal_shut(&f);
    cr_assert_eq(vr_faultmem_live(&fault), 0);
    f.env.mem = vr_mem_system();
    wal_must_open(&f);
    wal_fixture_close(&f);
}

/* A switch whose batch then found no space, before the end of a run, leaves a segment without one. */
Test(wal_reader, passes_over_an_empty_segment_that_is_released) {
    vr_faultfs *faults;
    wal_fixture_open(&f, VARVE_WAL_PWRITE, SMALL);
    wal_shut(&f);
    cr_assert_eq(vr_faultfs_create(vr_memfs_fs(f.memfs), &faults, NULL), VARVE_OK);
    f.env.fs = vr_faultfs_fs(faults);
    wal_must_open(&f);
    do {
        wal_must_append(&f, 1);
    } while (!vr_wal_prepare(f.wal));
    vr_faultfs_arm(faults, VR_FAULT_PWRITE, 2, ENOSPC, false); /* the SEAL, then the batch */
    while (wal_append(&f) == VARVE_OK) vr_faultfs_arm(faults, VR_FAULT_PWRITE, 2, ENOSPC, false);
    cr_assert_eq(f.err.code, VARVE_NO_SPACE, "%s", f.err.message);
    vr_faultfs_arm(faults, VR_FAULT_ALL, 0, 0, false);
    wal_shut(&f);
    wal_must_open(&f);
    uint64_t last = vr_wal_last_sequence(f.wal), first_needed;
    open_at(0);
    for (uint64_t at = 0; at < last;) {
        at = read_one();
        cr_assert_gt(at, 0);
        at += wal_batch_count(at) - 1;
    }
    wal_must_append(&f, 1);
    vr_wal_first_needed(f.wal, last, &first_needed);
    cr_assert_eq(vr_wal_release(f.wal, first_needed, &f.err), VARVE_OK);
    cr_assert_eq(read_one(), last + 1, "%s", f.err.message);
    vr_wal_reader_close(reader);
    f.options.first_segment = first_needed;
    f.options.sequence_floor = last;
    wal_shut(&f);
    vr_faultfs_free(faults);
    f.env.fs = vr_memfs_fs(f.memfs);
    wal_must_open(&f);
    wal_fixture_close(&f);
}
