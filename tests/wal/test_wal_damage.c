/*
 * Damage against torn tails: every byte flipped and every cut of a cleanly closed WAL, missing segments, marks that do not fit.
 */
#include <stdio.h>

#include "base/bytes.h"
#include "wal_fixture.h"

#define SMALL ((uint64_t)8192)

static wal_fixture f;
static vr_memfs *original; /* the WAL before any damage, shut */
static uint64_t last;

static void remember(void) {
    last = vr_wal_last_sequence(f.wal);
    wal_shut(&f);
    cr_assert_eq(vr_memfs_clone(f.memfs, VR_CRASH_KEEP_ALL, 0, &original, NULL), VARVE_OK);
}

static void restore(void) {
    vr_memfs *fresh;
    cr_assert_eq(vr_memfs_clone(original, VR_CRASH_KEEP_ALL, 0, &fresh, NULL), VARVE_OK);
    wal_fixture_move(&f, fresh);
}

static void done(void) {
    vr_memfs_free(original);
    wal_fixture_close(&f);
}

/* A WAL of three segments, everything synced, cleanly closed. */
static void make_clean(varve_wal_mode mode) {
    wal_fixture_open(&f, mode, SMALL);
    f.value_bytes_max = 60;
    wal_must_append(&f, 110);
    wal_must_sync(&f);
    vr_wal_stats stats;
    vr_wal_stats_get(f.wal, &stats);
    cr_assert_geq(stats.segments, 3);
    f.options.clean = true;
    remember();
    f.options.clean_sequence = last;
}

/* Opening gives all of it, or an error that names the file; never less, never something else. Returns whether it was all. */
static bool all_or_corruption(const char *name, size_t at) {
    varve_status st = wal_open(&f);
    if (st == VARVE_OK) {
        cr_assert(f.seen.wrong == 0 && f.seen.last == last && f.seen.first == 1, "%s at %zu: silently different", name, at);
        wal_shut(&f);
        return true;
    }
    cr_assert_eq(st, VARVE_CORRUPTION, "%s at %zu: %s: %s", name, at, varve_status_name(st), f.err.message);
    cr_assert_not_null(strstr(f.err.message, WAL_DIR), "%s at %zu: %s", name, at, f.err.message);
    return false;
}

static const char *const segments[] = {"0000000001.wal", "0000000002.wal", "0000000003.wal"};

static void flip_every_byte(void) {
    unsigned noticed = 0, harmless = 0;
    for (int s = 0; s < 3; s++) {
        varve_buffer content = wal_read_file(&f, segments[s]);
        for (size_t at = 0; at < content.size; at++) {
            content.data[at] = (char)(content.data[at] ^ 1 << at % 8);
            restore();
            wal_write_file(&f, segments[s], varve_buffer_slice(&content));
            if (all_or_corruption(segments[s], at)) {
                harmless++;
            } else {
                noticed++;
            }
            content.data[at] = (char)(content.data[at] ^ 1 << at % 8);
        }
        restore();
        varve_buffer_free(&content);
    }
    cr_assert_gt(noticed, 3 * 4096);
    cr_assert_gt(harmless, 0, "what was never written may be anything");
}

Test(wal_damage, every_byte_flipped, .timeout = 200) {
    make_clean(VARVE_WAL_MAPPED);
    flip_every_byte();
    done();
}

/* The same without a clean-shutdown mark: the SYNC record of the close vouches for everything before it. */
Test(wal_damage, every_byte_flipped_without_a_mark, .timeout = 200) {
    make_clean(VARVE_WAL_PWRITE);
    f.options.clean = false;
    flip_every_byte();
    done();
}

Test(wal_damage, every_cut) {
    make_clean(VARVE_WAL_MAPPED);
    for (int s = 0; s < 3; s++) {
        varve_buffer content = wal_read_file(&f, segments[s]);
        for (size_t size = 0; size < content.size; size += 3) {
            restore();
            wal_write_file(&f, segments[s], varve_bytes(content.data, size));
            cr_assert_not(all_or_corruption(segments[s], size));
        }
        restore();
        varve_buffer_free(&content);
    }
    done();
}

Test(wal_damage, zeroed_sectors) {
    make_clean(VARVE_WAL_MAPPED);
    for (int s = 0; s < 3; s++) {
        for (size_t sector = 0; sector < SMALL / 512; sector++) {
            restore();
            varve_buffer content = wal_read_file(&f, segments[s]);
            memset(content.data + sector * 512, 0, 512);
            wal_write_file(&f, segments[s], varve_buffer_slice(&content));
            all_or_corruption(segments[s], sector * 512);
            varve_buffer_free(&content);
        }
    }
    done();
}

static void remove_file(const char *name) {
    char path[VR_PATH_BYTES_MAX];
    cr_assert(vr_path_join(path, f.dir, name));
    cr_assert_eq(vr_fs_remove(f.env.fs, path, NULL), VARVE_OK);
}

Test(wal_damage, a_missing_segment_is_named) {
    make_clean(VARVE_WAL_MAPPED);
    for (int marked = 0; marked < 2; marked++) {
        f.options.clean = marked;
        for (int s = 0; s < 3; s++) {
            restore();
            remove_file(segments[s]);
            cr_assert_eq(wal_open(&f), VARVE_CORRUPTION);
            cr_assert_not_null(strstr(f.err.message, segments[s]), "%s", f.err.message);
        }
    }
    restore();
    f.options.first_segment = 9;
    cr_assert_eq(wal_open(&f), VARVE_CORRUPTION);
    cr_assert_not_null(strstr(f.err.message, "0000000009.wal"), "%s", f.err.message);
    done();
}

Test(wal_damage, a_swapped_segment_is_noticed) {
    make_clean(VARVE_WAL_MAPPED);
    varve_buffer second = wal_read_file(&f, segments[1]);
    wal_write_file(&f, segments[0], varve_buffer_slice(&second));
    varve_buffer_free(&second);
    cr_assert_eq(wal_open(&f), VARVE_CORRUPTION);
    cr_assert_not_null(strstr(f.err.message, "segment number"), "%s", f.err.message);
    done();
}

Test(wal_damage, the_clean_mark_must_fit) {
    make_clean(VARVE_WAL_MAPPED);
    f.options.clean_sequence = last + 1;
    cr_assert_eq(wal_open(&f), VARVE_CORRUPTION);
    cr_assert_not_null(strstr(f.err.message, "closed cleanly"), "%s", f.err.message);
    f.options.clean_sequence = last - 1;
    cr_assert_eq(wal_open(&f), VARVE_CORRUPTION);
    f.options.clean_sequence = last;
    cr_assert_eq(wal_open(&f), VARVE_OK);
    done();
}

/* Unsynced records after the last sync: damage there is a torn tail, dropped and said; damage before it is not. */
Test(wal_damage, an_unvouched_tail_is_dropped_and_said) {
    wal_fixture_open(&f, VARVE_WAL_MAPPED, SMALL);
    f.value_bytes_max = 60;
    wal_must_append(&f, 5);
    wal_must_sync(&f);
    uint64_t synced = vr_wal_last_sequence(f.wal);
    wal_must_append(&f, 8);
    remember();
    varve_buffer content = wal_read_file(&f, segments[0]);
    unsigned dropped = 0, damaged = 0;
    for (size_t at = VR_WAL_PAGE_BYTES; at < VR_WAL_PAGE_BYTES + 2500; at++) {
        content.data[at] ^= 4;
        restore();
        wal_write_file(&f, segments[0], varve_buffer_slice(&content));
        content.data[at] ^= 4;
        varve_status st = wal_open(&f);
        damaged += st == VARVE_CORRUPTION;
        if (st == VARVE_CORRUPTION) {
            cr_assert_not_null(strstr(f.err.message, "durable"), "%s", f.err.message);
            continue;
        }
        cr_assert_eq(st, VARVE_OK);
        cr_assert_eq(f.seen.wrong, 0);
        cr_assert_geq(f.seen.last, synced);
        if (f.seen.last < last) {
            cr_assert_not_null(strstr(f.said, "dropped"), "\"%s\"", f.said);
            dropped++;
            uint64_t kept = f.seen.last; /* and stays dropped */
            wal_must_append(&f, 1);
            wal_shut(&f);
            wal_must_open(&f);
            cr_assert_eq(f.seen.last, kept + wal_batch_count(kept + 1));
        }
        wal_shut(&f);
    }
    cr_assert_gt(dropped, 100);
    cr_assert_gt(damaged, 100);
    restore();
    varve_buffer_free(&content);
    done();
}

/* The torn tail may reach over several segments; all of them go. */
Test(wal_damage, later_segments_go_with_the_tail) {
    wal_fixture_open(&f, VARVE_WAL_MAPPED, SMALL);
    wal_must_append(&f, 3);
    wal_must_sync(&f);
    uint64_t synced = vr_wal_last_sequence(f.wal);
    wal_must_append(&f, 150);
    remember();
    varve_buffer content = wal_read_file(&f, segments[0]);
    memset(content.data + 6000, 'x', 100);
    restore();
    wal_write_file(&f, segments[0], varve_buffer_slice(&content));
    varve_buffer_free(&content);
    wal_must_open(&f);
    cr_assert(f.seen.last >= synced && f.seen.last < last);
    cr_assert_eq(wal_count_files(&f), 1);
    last = f.seen.last;
    wal_must_append(&f, 100);
    uint64_t now = vr_wal_last_sequence(f.wal);
    wal_shut(&f);
    wal_must_open(&f);
    cr_assert_eq(f.seen.last, now);
    done();
}

/* A synced segment is damaged in its SEAL: what follows vouches for it. */
Test(wal_damage, a_damaged_seal_is_not_an_end) {
    make_clean(VARVE_WAL_MAPPED);
    f.options.clean = false;
    varve_buffer content = wal_read_file(&f, segments[0]);
    size_t at = SMALL - 8;
    while (vr_get64(content.data + at) == 0) at -= 8;
    content.data[at] ^= 1; /* the trailer of the SEAL */
    wal_write_file(&f, segments[0], varve_buffer_slice(&content));
    varve_buffer_free(&content);
    cr_assert_eq(wal_open(&f), VARVE_CORRUPTION);
    cr_assert_not_null(strstr(f.err.message, "durable"), "%s", f.err.message);
    done();
}

/* --- The floor --- */

Test(wal_damage, records_may_be_missing_below_the_floor_only) {
    wal_fixture_open(&f, VARVE_WAL_MAPPED, SMALL);
    wal_must_append(&f, 10);
    uint64_t before = vr_wal_last_sequence(f.wal);
    wal_shut(&f);
    f.options.sequence_floor = before + 50; /* tables hold more than the WAL: its tail was lost */
    wal_must_open(&f);
    cr_assert_eq(f.seen.last, before);
    cr_assert_eq(vr_wal_last_sequence(f.wal), before + 50);
    wal_must_append(&f, 5);
    uint64_t now = vr_wal_last_sequence(f.wal);
    vr_wal_reader *reader;
    cr_assert_eq(vr_wal_reader_open(f.wal, before + 10, &reader, &f.err), VARVE_MISSING, "lost, but in tables");
    cr_assert_eq(vr_wal_reader_open(f.wal, before + 50, &reader, &f.err), VARVE_OK);
    vr_wal_reader_close(reader);
    cr_assert_eq(vr_wal_reader_open(f.wal, 0, &reader, &f.err), VARVE_OK);
    uint64_t first;
    varve_slice batch;
    varve_status st;
    while ((st = vr_wal_reader_next(reader, &first, &batch, &f.err)) == VARVE_OK) cr_assert_leq(first, before);
    cr_assert_eq(st, VARVE_MISSING);
    vr_wal_reader_close(reader);
    wal_shut(&f);

    f.expect_gap = true;
    wal_must_open(&f);
    cr_assert_eq(f.seen.last, now);
    wal_shut(&f);
    f.options.sequence_floor = before + 49; /* an older manifest does not fit */
    cr_assert_eq(wal_open(&f), VARVE_CORRUPTION, "%s", f.err.message);
    f.options.sequence_floor = before + 50;
    wal_must_open(&f);
    wal_fixture_close(&f);
}

Test(wal_damage, a_first_record_above_the_floor_is_refused) {
    wal_fixture_open(&f, VARVE_WAL_MAPPED, SMALL);
    wal_must_append(&f, 100);
    uint64_t now = vr_wal_last_sequence(f.wal);
    vr_wal_first_needed(f.wal, now, &f.options.first_segment);
    cr_assert_eq(vr_wal_release(f.wal, f.options.first_segment, &f.err), VARVE_OK);
    wal_shut(&f);
    f.options.sequence_floor = 5;
    cr_assert_eq(wal_open(&f), VARVE_CORRUPTION);
    cr_assert_not_null(strstr(f.err.message, "first sequence"), "%s", f.err.message);
    f.options.sequence_floor = now;
    wal_must_open(&f);
    wal_fixture_close(&f);
}

Test(wal_damage, left_overs_are_cleared_and_foreign_files_stay) {
    wal_fixture_open(&f, VARVE_WAL_MAPPED, SMALL);
    wal_must_append(&f, 3);
    wal_shut(&f);
    const char *left[] = {"0000000002.wal.new", "spare-5.wal", "spare-1.wal"};
    for (int i = 0; i < 3; i++) wal_write_file(&f, left[i], varve_str("left over"));
    wal_write_file(&f, "MANIFEST", varve_str("not the WAL's"));
    wal_must_open(&f);
    for (int i = 0; i < 3; i++) cr_assert_not(wal_file_exists(&f, left[i]), "%s", left[i]);
    cr_assert(wal_file_exists(&f, "MANIFEST"));
    wal_fixture_close(&f);
}
