/*
 * test_job.c - flushes and compactions over real tables: what comes out, where it is cut, and what a failure leaves.
 */
#include "compact_fixture.h"

#include <errno.h>
#include <stdlib.h>

#include "base/hash.h"

#define KEYS 60u
#define ENTRIES_MAX 40000u
#define VIEWS_MAX 6u

static fixture fx;
static vr_version *version;
static vr_edit edit;
static vr_plan plan;
static vr_job job;
static vr_job_result result;
static varve_error err;
static int cancel_after; /* calls of cancelled() that say no; -1: all */

static bool cancelled(void *context) {
    (void)context;
    return cancel_after >= 0 && cancel_after-- == 0;
}

static void set_up(void) {
    fixture_open(&fx);
    vr_edit_init(&edit, &fx.env.mem);
    version = empty_version(&fx);
    cancel_after = -1;
    job = (vr_job){
        .env = &fx.venv,
        .store_id = STORE,
        .store_options = {.block_bytes = 1024, .compression_level = -1, .filter_bits = 10},
        .file_bytes = 4000,
        .next_file = fixture_next_file,
        .cancelled = cancelled,
        .context = &fx,
    };
}

static void tear_down(void) {
    vr_version_unref(version);
    vr_edit_free(&edit);
    fixture_close(&fx);
}

TestSuite(job, .init = set_up, .fini = tear_down);

static void flush(const entry *entries, size_t count) {
    vr_cursor *source = array_cursor(entries, count);
    varve_status status = vr_job_flush(&job, source, count, &edit, &result, &err);
    cr_assert_eq(status, VARVE_OK, "%s", err.message);
    source->ops->close(source);
    version = applied(&fx, version, &edit);
}

static void compact(void) {
    varve_status status = vr_job_compact(&job, &plan, &edit, &result, &err);
    cr_assert_eq(status, VARVE_OK, "%s", err.message);
    version = applied(&fx, version, &edit);
}

/* Level-0 runs into the level below, as far as the plan says. */
static void pick_all(void) {
    static const vr_shape_options options = {.run_count_max = 4, .fanout = 4, .base_bytes = 20000, .file_bytes = 4000};
    vr_pick_all(version, &options, &plan);
    cr_assert(plan.due);
}

static void fill(entry *entries, size_t count, uint64_t base) {
    for (size_t i = 0; i < count; i++) entries[i] = (entry){.key = (uint32_t)i, .sequence = base + i};
}

/* --- Flush ------------------------------------------------------------------------------------------------------------------- */

Test(job, a_flush_writes_one_uncompressed_run) {
    static entry entries[5000];
    fill(entries, 5000, 1);
    job.file_bytes = 1000; /* does not cut a run */
    flush(entries, 5000);
    cr_assert_eq(version->levels[0].count, 1);
    const vr_table_summary *summary = &version->levels[0].files[0]->summary;
    uint64_t run_bytes = summary->file_bytes;
    cr_assert(summary->entries == 5000 && summary->min_sequence == 1 && summary->max_sequence == 5000);
    cr_assert(result.entries_in == 5000 && result.entries_out == 5000 && result.write_bytes == summary->file_bytes);
    pick_all();
    job.file_bytes = UINT64_MAX;
    compact();
    cr_assert(version->levels[6].bytes < run_bytes * 3 / 4, "deeper tables are compressed");
}

Test(job, a_flush_drops_what_no_view_sees_and_keeps_tombstones) {
    const entry in[] = {{1, 9, false}, {1, 5, false}, {1, 3, false}, {2, 8, true}, {2, 2, false}};
    const uint64_t snapshots[] = {6};
    job.snapshots = snapshots;
    job.snapshot_count = 1;
    flush(in, 5);
    const vr_table_summary *summary = &version->levels[0].files[0]->summary;
    cr_assert(summary->entries == 4 && summary->tombstones == 1 && summary->min_sequence == 2);
    cr_assert(result.entries_in == 5 && result.entries_out == 4);
}

Test(job, a_flush_of_nothing_adds_nothing) {
    vr_cursor *source = array_cursor(NULL, 0);
    must(vr_job_flush(&job, source, 0, &edit, &result, &err));
    cr_assert_eq(edit.count, 0);
    cr_assert_eq(table_files(&fx), 0);
    source->ops->close(source);
}

Test(job, outputs_are_durable_when_the_job_returns) {
    static entry entries[100];
    vr_memfs *crashed;
    fill(entries, 100, 1);
    flush(entries, 100);
    must(vr_memfs_clone(fx.memfs, VR_CRASH_DROP_UNSYNCED, 0, &crashed, &err));
    vr_file *file;
    must(vr_fs_open(vr_memfs_fs(crashed), DIR_NAME "/0000000001.vst", VR_OPEN_READ, &file, &err));
    uint64_t size;
    must(vr_file_get_size(file, &size, &err));
    cr_assert_eq(size, version->levels[0].files[0]->summary.file_bytes);
    vr_file_close(file, NULL);
    vr_memfs_free(crashed);
}

/* --- Compaction -------------------------------------------------------------------------------------------------------------- */

Test(job, outputs_are_cut_at_a_change_of_key) {
    static entry entries[3000];
    static uint64_t snapshots[3000];
    for (size_t i = 0; i < 3000; i++) {
        entries[i] = (entry){.key = (uint32_t)i / 150, .sequence = 3001 - i};
        snapshots[i] = i + 1;
    }
    job.snapshots = snapshots; /* every version is needed */
    job.snapshot_count = 3000;
    job.file_bytes = 1;
    flush(entries, 3000);
    pick_all();
    compact();
    const vr_level *level = &version->levels[6];
    cr_assert_eq(level->count, 20);
    for (size_t i = 0; i < level->count; i++) cr_assert_eq(level->files[i]->summary.entries, 150);
}

Test(job, a_cut_by_entries_divides_a_file_within_its_level) {
    static entry entries[90];
    fill(entries, 90, 1);
    flush(entries, 90);
    pick_all();
    job.file_bytes = UINT64_MAX;
    compact();
    plan.from = plan.to = 6;
    plan.inputs[0][0] = version->levels[6].files[0];
    plan.input_count[0] = 1;
    plan.input_count[1] = 0;
    plan.cut_entries = 31;
    compact();
    cr_assert_eq(version->levels[6].count, 3);
    cr_assert_eq(version->levels[6].files[2]->summary.entries, 28);
}

Test(job, inputs_go_and_outputs_come_in_one_edit) {
    static entry entries[200];
    for (uint64_t run = 0; run < 4; run++) {
        fill(entries, 200, 1 + 1000 * run);
        flush(entries, 200);
    }
    cr_assert_eq(table_files(&fx), 4);
    pick_all();
    must(vr_job_compact(&job, &plan, &edit, &result, &err));
    size_t removed = 0, added = 0;
    for (size_t i = 0; i < edit.count; i++) {
        removed += edit.fields[i].kind == VR_EDIT_TABLE_REMOVE;
        added += edit.fields[i].kind == VR_EDIT_TABLE_ADD;
    }
    cr_assert(removed == 4 && added >= 1 && table_files(&fx) == 4 + added);
    cr_assert(result.entries_in == 800 && result.entries_out == 200 && result.read_bytes > result.write_bytes);
    version = applied(&fx, version, &edit);
    cr_assert_eq(table_files(&fx), added, "the inputs are deleted with their last reference");
    cr_assert_eq(version->levels[6].files[0]->summary.max_sequence, 0, "nothing can tell the sequences");
}

Test(job, tombstones_of_the_last_level_may_leave_nothing) {
    const entry in[] = {{1, 9, true}, {2, 8, true}};
    flush(in, 2);
    pick_all();
    compact();
    cr_assert_eq(version->levels[0].count + version->deep_levels, 0);
    cr_assert_eq(table_files(&fx), 0);
}

Test(job, a_move_writes_nothing) {
    static entry entries[50];
    fill(entries, 50, 1);
    flush(entries, 50);
    pick_all();
    compact();
    vr_table_file *file = version->levels[6].files[0];
    plan = (vr_plan){.due = true, .move = true, .from = 6, .to = 5, .input_count = {1, 0}};
    plan.inputs[0][0] = file;
    must(vr_job_compact(&job, &plan, &edit, &result, &err));
    cr_assert_eq(edit.count, 2);
    cr_assert_eq(edit.fields[0].kind, VR_EDIT_TABLE_REMOVE, "the removal stands before the addition");
    vr_job_undo(&job, &edit);
    cr_assert(table_exists(&fx, file->number), "undoing a move deletes nothing");
    version = applied(&fx, version, &edit);
    cr_assert_eq(version->levels[5].files[0], file);
    cr_assert_eq(result.write_bytes, 0);
}

Test(job, undo_removes_the_outputs) {
    static entry entries[200];
    fill(entries, 200, 1);
    flush(entries, 200);
    pick_all();
    must(vr_job_compact(&job, &plan, &edit, &result, &err));
    cr_assert(table_files(&fx) > 1);
    vr_job_undo(&job, &edit);
    cr_assert_eq(table_files(&fx), 1);
    cr_assert(table_exists(&fx, 1));
}

/* --- Failures ---------------------------------------------------------------------------------------------------------------- */

Test(job, a_cancelled_job_leaves_nothing) {
    static entry entries[20000];
    fill(entries, 20000, 1);
    flush(entries, 20000);
    pick_all();
    cancel_after = 3;
    cr_assert_eq(vr_job_compact(&job, &plan, &edit, &result, &err), VARVE_CANCELLED);
    cr_assert_eq(edit.count, 0);
    cr_assert_eq(table_files(&fx), 1);
}

Test(job, any_failure_leaves_the_edit_and_the_directory_as_they_were) {
    static entry entries[400];
    vr_faultfs *fault;
    fill(entries, 400, 1);
    flush(entries, 400);
    fill(entries, 400, 1001);
    flush(entries, 400);
    must(vr_faultfs_create(vr_memfs_fs(fx.memfs), &fault, &err));
    fx.env.fs = vr_faultfs_fs(fault);
    pick_all();
    job.file_bytes = 500;
    for (uint64_t nth = 1;; nth++) {
        vr_faultfs_arm(fault, VR_FAULT_ALL & ~(unsigned)VR_FAULT_REMOVE, nth, nth % 2 ? EIO : ENOSPC, false);
        memset(&err, 0, sizeof err);
        varve_status status = vr_job_compact(&job, &plan, &edit, &result, &err);
        if (vr_faultfs_injected(fault) == 0) break;
        if (status == VARVE_OK) { /* advice may fail without harm */
            vr_job_undo(&job, &edit);
            edit.count = 0;
            continue;
        }
        cr_assert_eq(status, err.code);
        cr_assert(err.message[0] != 0);
        cr_assert_eq(edit.count, 0);
        cr_assert_eq(table_files(&fx), 2, "fault %" PRIu64, nth);
    }
    version = applied(&fx, version, &edit);
    fx.env.fs = vr_memfs_fs(fx.memfs);
    vr_version_unref(version);
    version = empty_version(&fx);
    vr_faultfs_free(fault);
}

Test(job, a_damaged_input_fails_the_job_by_name) {
    static entry entries[400];
    char path[VR_PATH_BYTES_MAX];
    vr_file *file;
    fill(entries, 400, 1);
    flush(entries, 400);
    cr_assert(vr_filename_table(path, DIR_NAME, 1));
    must(vr_fs_open(fx.env.fs, path, VR_OPEN_WRITE, &file, &err));
    must(vr_file_pwrite(file, "damage", 6, 100, &err));
    vr_file_close(file, NULL);
    pick_all();
    cr_assert_eq(vr_job_compact(&job, &plan, &edit, &result, &err), VARVE_CORRUPTION);
    cr_assert_not_null(strstr(err.message, "0000000001.vst"));
    cr_assert_eq(edit.count, 0);
    cr_assert_eq(table_files(&fx), 1);
}

/* --- Against a model --------------------------------------------------------------------------------------------------------- */

static entry history[ENTRIES_MAX]; /* in order of sequence */
static size_t history_count;
static uint64_t views[VIEWS_MAX];
static size_t view_count;

static const entry *model_get(uint32_t key, uint64_t view) {
    for (size_t i = history_count; i > 0; i--) {
        if (history[i - 1].key == key && history[i - 1].sequence <= view) return &history[i - 1];
    }
    return NULL;
}

static void check_get(uint32_t key, uint64_t view) {
    char text[16], value_text[40];
    uint64_t trailer = 0;
    varve_slice value = {0};
    const entry *wanted = model_get(key, view);
    entry_key(key, text);
    uint32_t token = vr_epoch_enter(fx.epoch);
    varve_status status = vr_version_get(version, varve_str(text), vr_key_hash(varve_str(text)), view, &trailer, &value, &err);
    cr_assert(status == VARVE_OK || status == VARVE_NOT_FOUND);
    bool found = status == VARVE_OK && vr_trailer_kind(trailer) == VR_KIND_PUT;
    cr_assert_eq(found, wanted && !wanted->gone, "key %" PRIu32 " at %" PRIu64, key, view);
    if (found) cr_assert(vr_equal(value, varve_bytes(value_text, entry_value(wanted, value_text))));
    vr_epoch_leave(fx.epoch, token);
}

static void check_reads(void) {
    for (uint32_t key = 0; key < KEYS; key++) {
        for (size_t v = 0; v < view_count; v++) check_get(key, views[v]);
        check_get(key, VR_SEQUENCE_MAX);
    }
}

/* Writes some entries and flushes them. */
static void live_round(uint64_t *random) {
    static entry sorted[200];
    size_t count = 1 + random_below(random, 120);
    for (size_t i = 0; i < count; i++) {
        entry e = {.key = (uint32_t)random_below(random, KEYS),
                   .sequence = history_count + 1,
                   .gone = random_below(random, 4) == 0};
        cr_assert(history_count < ENTRIES_MAX);
        history[history_count++] = sorted[i] = e;
    }
    qsort(sorted, count, sizeof *sorted, entry_order);
    flush(sorted, count);
}

/* Takes a snapshot or lets one go. */
static void change_views(uint64_t *random) {
    if (view_count < VIEWS_MAX && random_below(random, 2)) {
        views[view_count++] = history_count;
    } else if (view_count > 0) {
        size_t gone = random_below(random, view_count--);
        memmove(&views[gone], &views[gone + 1], (view_count - gone) * sizeof *views);
    }
    job.snapshots = views;
    job.snapshot_count = view_count;
}

static void run_history(uint64_t seed) {
    const vr_shape_options options = {.run_count_max = 2, .fanout = 2, .base_bytes = 700, .file_bytes = 600};
    uint64_t random = seed;
    size_t compactions = 0;
    history_count = view_count = 0;
    job.file_bytes = options.file_bytes;
    job.snapshot_count = 0;
    for (int round = 0; round < 60; round++) {
        live_round(&random);
        change_views(&random);
        for (uint64_t n = random_below(&random, 5); n > 0; n--) {
            vr_pick(version, &options, &plan);
            if (random_below(&random, 12) == 0) vr_pick_all(version, &options, &plan);
            if (!plan.due) break;
            compact();
            compactions++;
        }
        check_reads();
    }
    cr_assert(compactions > 30, "%zu", compactions);
    view_count = job.snapshot_count = 0;
    for (vr_pick_all(version, &options, &plan); plan.due; vr_pick_all(version, &options, &plan)) compact();
    check_reads();
    cr_assert_eq(version->deep_levels, 1);
}

Test(job, reads_at_every_snapshot_survive_any_compactions) {
    for (uint64_t seed = 1; seed <= 8; seed++) {
        run_history(seed);
        vr_version_unref(version);
        version = empty_version(&fx);
    }
}
