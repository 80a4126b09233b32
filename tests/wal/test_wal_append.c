/*
 * Appending, replaying, switching, releasing: the WAL without damage and without crashes.
 */
#include <stdio.h>

#include "wal_fixture.h"

#define SMALL ((uint64_t)16384)

static wal_fixture f;

/* Every test here runs in both modes. */
static const varve_wal_mode modes[] = {VARVE_WAL_MAPPED, VARVE_WAL_PWRITE};
#define IN_BOTH_MODES for (unsigned mode = 0; mode < 2; wal_fixture_close(&f), mode++)

static void reopen(void) {
    wal_shut(&f);
    wal_must_open(&f);
}

Test(wal_append, what_was_appended_is_replayed) {
    IN_BOTH_MODES {
        wal_fixture_open(&f, modes[mode], (uint64_t)1 << 20);
        cr_assert_eq(f.seen.batches, 0);
        wal_must_append(&f, 100);
        uint64_t last = vr_wal_last_sequence(f.wal);
        reopen();
        cr_assert_eq(f.seen.batches, 100);
        cr_assert_eq(f.seen.first, 1);
        cr_assert_eq(f.seen.last, last);
        cr_assert_eq(vr_wal_last_sequence(f.wal), last);
    }
}

Test(wal_append, an_empty_wal_stays_one_segment) {
    IN_BOTH_MODES {
        wal_fixture_open(&f, modes[mode], SMALL);
        for (int i = 0; i < 3; i++) {
            reopen();
            cr_assert_eq(f.seen.batches, 0);
            cr_assert_eq(wal_count_files(&f), 1);
        }
        wal_must_append(&f, 1);
        reopen();
        cr_assert_eq(f.seen.batches, 1);
    }
}

Test(wal_append, segments_are_crossed_and_sequences_run_on) {
    IN_BOTH_MODES {
        wal_fixture_open(&f, modes[mode], SMALL);
        unsigned total = 0;
        for (int run = 0; run < 5; run++) {
            wal_must_append(&f, 150);
            total += 150;
            if (run % 2) wal_must_sync(&f);
            reopen();
            cr_assert_eq(f.seen.batches, total);
        }
        vr_wal_stats stats;
        vr_wal_stats_get(f.wal, &stats);
        cr_assert_gt(stats.segments, 5);
        cr_assert_geq(stats.bytes, stats.segments * SMALL);
    }
}

Test(wal_append, opening_without_writing_changes_no_file) {
    IN_BOTH_MODES {
        wal_fixture_open(&f, modes[mode], SMALL);
        wal_must_append(&f, 200);
        reopen();
        unsigned files = wal_count_files(&f);
        for (int i = 0; i < 3; i++) {
            reopen();
            cr_assert_eq(wal_count_files(&f), files);
        }
    }
}

Test(wal_append, a_record_beyond_the_segment_size_gets_a_segment_of_its_own) {
    IN_BOTH_MODES {
        wal_fixture_open(&f, modes[mode], SMALL);
        wal_must_append(&f, 3);
        vr_wal_prepare(f.wal);
        uint64_t large = vr_wal_last_sequence(f.wal) + 1;
        static char value[200000];
        vr_batch batch = {0};
        memset(value, 'x', sizeof value);
        cr_assert_eq(vr_batch_clear(&batch, NULL), VARVE_OK);
        vr_change change = {VR_KIND_PUT, 1, varve_str("large"), varve_bytes(value, sizeof value)};
        cr_assert_eq(vr_batch_append(&batch, &change, NULL), VARVE_OK);
        varve_slice part = varve_buffer_slice(&batch.bytes);
        cr_assert_eq(vr_wal_append(f.wal, large, 1, &part, 1, &f.err), VARVE_OK, "%s", f.err.message);
        wal_must_append(&f, 3);
        wal_must_sync(&f);

        vr_wal_reader *reader;
        uint64_t first;
        varve_slice found;
        cr_assert_eq(vr_wal_reader_open(f.wal, large - 1, &reader, NULL), VARVE_OK);
        cr_assert_eq(vr_wal_reader_next(reader, &first, &found, NULL), VARVE_OK);
        cr_assert(first == large && found.size == part.size && memcmp(found.data, part.data, part.size) == 0);
        vr_wal_reader_close(reader);
        vr_batch_free(&batch);

        wal_shut(&f);
        cr_assert_eq(wal_open(&f), VARVE_OK, "%s", f.err.message);
        cr_assert_eq(f.seen.batches, 7);
        cr_assert_geq(f.seen.wrong, 1, "the large one is not of the fixture's making");
    }
}

Test(wal_append, wrong_sequences_and_sizes_are_refused) {
    IN_BOTH_MODES {
        wal_fixture_open(&f, modes[mode], SMALL);
        wal_must_append(&f, 2);
        uint64_t last = vr_wal_last_sequence(f.wal);
        vr_batch batch = {0};
        wal_make_batch(&f, last + 1, &batch);
        varve_slice part = varve_buffer_slice(&batch.bytes);
        cr_assert_eq(vr_wal_append(f.wal, last, 1, &part, 1, &f.err), VARVE_INTERNAL);
        cr_assert_eq(vr_wal_append(f.wal, last + 2, 1, &part, 1, &f.err), VARVE_INTERNAL);
        cr_assert_eq(vr_wal_append(f.wal, last + 1, 0, &part, 1, &f.err), VARVE_INTERNAL);
        part.size = VARVE_BATCH_BYTES_MAX + 1u;
        cr_assert_eq(vr_wal_append(f.wal, last + 1, 1, &part, 1, &f.err), VARVE_TOO_LARGE);
        part.size = VR_BATCH_HEADER_BYTES - 1;
        cr_assert_eq(vr_wal_append(f.wal, last + 1, 1, &part, 1, &f.err), VARVE_TOO_LARGE);
        vr_batch_free(&batch);
        cr_assert_eq(vr_wal_last_sequence(f.wal), last);
        wal_must_append(&f, 1);
        reopen();
        cr_assert_eq(f.seen.batches, 3);
    }
}

Test(wal_append, options_are_checked) {
    wal_fixture_open(&f, VARVE_WAL_MAPPED, SMALL);
    wal_shut(&f);
    const uint64_t wrong[] = {0, 4096, 8191, 12289, ((uint64_t)1 << 30) + 4096};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        f.options.segment_bytes = wrong[i];
        cr_assert_eq(wal_open(&f), VARVE_INVALID);
    }
    f.options.segment_bytes = SMALL;
    wal_must_open(&f);
    wal_fixture_close(&f);
}

Test(wal_append, preparing_ahead_is_due_once_per_segment) {
    IN_BOTH_MODES {
        wal_fixture_open(&f, modes[mode], SMALL);
        cr_assert_not(vr_wal_prepare(f.wal), "an empty segment needs no successor yet");
        wal_must_append(&f, 30);
        cr_assert(vr_wal_prepare(f.wal));
        cr_assert_not(vr_wal_prepare(f.wal));
        cr_assert(wal_file_exists(&f, "0000000002.wal"));
        wal_must_append(&f, 60);
        cr_assert(vr_wal_prepare(f.wal));
        reopen();
        cr_assert(wal_file_exists(&f, "spare-1.wal"), "a prepared segment that was not used is kept");
        cr_assert_eq(f.seen.batches, 90);
        wal_must_append(&f, 1);
        cr_assert_not(wal_file_exists(&f, "spare-1.wal"), "and used again");
        reopen();
        cr_assert_eq(f.seen.batches, 91);
    }
}

Test(wal_append, release_recycles_two_and_removes_the_rest) {
    IN_BOTH_MODES {
        wal_fixture_open(&f, modes[mode], SMALL);
        wal_must_append(&f, 600);
        vr_wal_stats stats;
        vr_wal_stats_get(f.wal, &stats);
        uint64_t first, none, segments = stats.segments;
        cr_assert_gt(segments, 5);
        vr_wal_first_needed(f.wal, 0, &none);
        cr_assert_eq(none, 1);
        vr_wal_first_needed(f.wal, vr_wal_last_sequence(f.wal), &first);
        cr_assert_eq(first, segments, "the active segment stays in any case");
        cr_assert_eq(vr_wal_release(f.wal, first, &f.err), VARVE_OK);
        vr_wal_stats_get(f.wal, &stats);
        cr_assert_eq(stats.segments, 1);
        cr_assert_eq(stats.bytes, 3 * SMALL, "two spares");
        cr_assert_eq(wal_count_files(&f), 3);
        f.options.first_segment = first;
        f.options.sequence_floor = vr_wal_last_sequence(f.wal);
        wal_must_append(&f, 300);
        uint64_t last = vr_wal_last_sequence(f.wal);
        reopen();
        cr_assert_eq(f.seen.last, last);
        cr_assert_leq(f.seen.first, f.options.sequence_floor + 1);
    }
}

/* Recycled again and again: old records never come back. */
Test(wal_append, many_generations_of_recycled_segments) {
    IN_BOTH_MODES {
        wal_fixture_open(&f, modes[mode], SMALL);
        for (int generation = 0; generation < 40; generation++) {
            wal_must_append(&f, 70);
            if (generation % 3 == 0) wal_must_sync(&f);
            if (generation % 4 == 1) vr_wal_prepare(f.wal);
            uint64_t floor = vr_wal_last_sequence(f.wal) - (uint64_t)generation % 50;
            vr_wal_first_needed(f.wal, floor, &f.options.first_segment);
            f.options.sequence_floor = floor;
            cr_assert_eq(vr_wal_release(f.wal, f.options.first_segment, &f.err), VARVE_OK);
            if (generation % 5 == 2) reopen();
        }
        uint64_t last = vr_wal_last_sequence(f.wal);
        reopen();
        cr_assert_eq(f.seen.last, last);
        cr_assert_leq(wal_count_files(&f), 8);
    }
}

Test(wal_append, nothing_is_held_for_what_is_sealed) {
    wal_fixture_open(&f, VARVE_WAL_MAPPED, SMALL);
    wal_must_append(&f, 600);
    vr_wal_prepare(f.wal);
    cr_assert_eq(vr_budget_held(&f.budget, VR_USE_WAL), SMALL, "only the active segment is mapped");
    wal_fixture_close(&f);
}

Test(wal_append, read_only_replays_and_changes_nothing) {
    IN_BOTH_MODES {
        wal_fixture_open(&f, modes[mode], SMALL);
        wal_must_append(&f, 200);
        vr_wal_prepare(f.wal);
        vr_memfs *clone;
        cr_assert_eq(vr_memfs_clone(f.memfs, VR_CRASH_KEEP_ALL, 0, &clone, NULL), VARVE_OK);
        wal_shut(&f);
        wal_fixture_move(&f, clone);
        unsigned files = wal_count_files(&f);
        f.options.read_only = true;
        wal_must_open(&f);
        cr_assert_eq(f.seen.batches, 200);
        cr_assert_eq(wal_append(&f), VARVE_READ_ONLY);
        cr_assert_eq(vr_wal_sync(f.wal, &f.err), VARVE_READ_ONLY);
        cr_assert_eq(vr_wal_release(f.wal, 2, &f.err), VARVE_READ_ONLY);
        cr_assert_not(vr_wal_prepare(f.wal));
        vr_wal_reader *reader;
        uint64_t first, count = 0;
        varve_slice batch;
        cr_assert_eq(vr_wal_reader_open(f.wal, 0, &reader, NULL), VARVE_OK);
        while (vr_wal_reader_next(reader, &first, &batch, NULL) == VARVE_OK) count++;
        vr_wal_reader_close(reader);
        cr_assert_eq(count, 200);
        cr_assert_eq(wal_count_files(&f), files);
    }
}

static void copy_and_recycle(bool again) {
    IN_BOTH_MODES {
        wal_fixture_open(&f, modes[mode], SMALL);
        wal_must_append(&f, 300);
        cr_assert_eq(vr_fs_make_dir(f.env.fs, "/copy", NULL), VARVE_OK);
        cr_assert_eq(vr_wal_copy(f.wal, 1, "/copy", &f.err), VARVE_OK, "%s", f.err.message);
        uint64_t copied = vr_wal_last_sequence(f.wal);
        if (again) reopen(); /* no memory of the copy is left then */
        wal_must_append(&f, 300);
        uint64_t first;
        vr_wal_first_needed(f.wal, vr_wal_last_sequence(f.wal), &first);
        cr_assert_eq(vr_wal_release(f.wal, first, &f.err), VARVE_OK);
        wal_must_append(&f, 300);
        wal_shut(&f);

        f.dir = "/copy";
        vr_memfs *cut;
        cr_assert_eq(vr_fs_sync_dir(f.env.fs, "/", NULL), VARVE_OK);
        cr_assert_eq(vr_memfs_clone(f.memfs, VR_CRASH_DROP_UNSYNCED, 0, &cut, NULL), VARVE_OK);
        wal_fixture_move(&f, cut);
        wal_must_open(&f);
        cr_assert_eq(f.seen.batches, 300);
        cr_assert_eq(f.seen.last, copied);
        wal_must_append(&f, 10);
        reopen();
        cr_assert_eq(f.seen.batches, 310);
    }
}

Test(wal_append, a_copy_holds_what_was_appended_and_survives_recycling) {
    copy_and_recycle(false);
}

Test(wal_append, a_copy_survives_recycling_by_a_later_run) {
    copy_and_recycle(true);
}

static bool count_batches(void *context, const vr_wal_record_info *record) {
    *(unsigned *)context += record->type[0] == 'b';
    return true;
}

/* After every append, what an earlier use of the file left does not look like a record to whoever inspects it. */
Test(wal_append, a_recycled_segment_ends_where_the_writer_is) {
    IN_BOTH_MODES {
        wal_fixture_open(&f, modes[mode], SMALL);
        wal_must_append(&f, 300);
        uint64_t first;
        vr_wal_first_needed(f.wal, vr_wal_last_sequence(f.wal), &first);
        cr_assert_eq(vr_wal_release(f.wal, first, &f.err), VARVE_OK);
        char path[64];
        vr_wal_stats stats;
        do wal_must_append(&f, 1);
        while (vr_wal_stats_get(f.wal, &stats), stats.segments == 1);
        snprintf(path, sizeof path, WAL_DIR "/%010llu.wal", (unsigned long long)first + 1);
        for (unsigned appended = 1; appended < 30; appended++, wal_must_append(&f, 1)) {
            unsigned batches = 0;
            cr_assert_eq(vr_wal_inspect(&f.env, path, count_batches, &batches, &f.err), VARVE_OK, "%s", f.err.message);
            cr_assert_eq(batches, appended);
        }
    }
}
