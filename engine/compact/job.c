/*
 * compact/job.c - carrying out a flush or a compaction.
 *
 * A job's outputs are new files that nobody else knows of until the edit is durable; when it fails it removes them and leaves the
 * edit as it was. Threads: one for each job; jobs of different inputs side by side.
 */
#include "compact/job.h"

#include "base/bytes.h"
#include "base/check.h"
#include "base/error.h"
#include "compact/squeeze.h"
#include "kv/merge.h"
#include "version/filename.h"

#define ENTRIES_BETWEEN_CHECKS 4096u /* of cancelled() */

/* The tables being written. */
typedef struct output {
    const vr_job *job;
    uint32_t level;
    uint64_t cut_bytes, cut_entries; /* a table is full from either on */
    vr_table_builder_options options;
    vr_table_builder *builder; /* of the current one; NULL between two */
    uint64_t number;           /* its file's */
    bool full;                 /* it ends before the next key that is not `key` */
    varve_buffer key;          /* the last one added; set when full */
    vr_edit *edit;
    vr_job_result *result;
} output;

static varve_status path_of(const vr_job *job, uint64_t number, char path[VR_PATH_BYTES_MAX], varve_error *err) {
    if (vr_filename_table(path, job->env->dir, number)) return VARVE_OK;
    return vr_error_set(err, VARVE_TOO_LARGE, "%.200s...: the path is too long", job->env->dir);
}

static void remove_table(const vr_job *job, uint64_t number) {
    char path[VR_PATH_BYTES_MAX];
    if (path_of(job, number, path, NULL) == VARVE_OK) vr_fs_remove(job->env->env->fs, path, NULL);
}

static varve_status output_begin(output *out, varve_error *err) {
    char path[VR_PATH_BYTES_MAX];
    out->number = out->job->next_file(out->job->context);
    out->full = false;
    varve_status status = path_of(out->job, out->number, path, err);
    if (status != VARVE_OK) return status;
    return vr_table_builder_create(out->job->env->env, out->job->env->budget, path, &out->options, &out->builder, err);
}

static varve_status output_end(output *out, varve_error *err) {
    vr_table_summary summary = {0};
    varve_status status = vr_table_builder_finish(out->builder, &summary, err);
    out->builder = NULL;
    if (status != VARVE_OK) return status;
    status = vr_edit_add_table(out->edit, out->job->store_id, out->level, out->number, &summary, err);
    if (status == VARVE_OK) {
        out->result->write_bytes += summary.file_bytes;
        out->result->entries_out += summary.entries;
    } else {
        remove_table(out->job, out->number);
    }
    vr_table_summary_free(&summary);
    return status;
}

static varve_status output_add(output *out, const vr_cursor *entry, varve_error *err) {
    varve_status status = VARVE_OK;
    if (out->full && !vr_equal(entry->key, varve_buffer_slice(&out->key))) status = output_end(out, err);
    if (status == VARVE_OK && !out->builder) status = output_begin(out, err);
    if (status == VARVE_OK) status = vr_table_builder_add(out->builder, entry->key, entry->trailer, entry->value, err);
    if (status != VARVE_OK || out->full) return status;
    out->full =
        vr_table_builder_bytes(out->builder) >= out->cut_bytes || vr_table_builder_entries(out->builder) >= out->cut_entries;
    if (!out->full) return VARVE_OK;
    return vr_buffer_set(&out->key, entry->key) ? VARVE_OK : vr_error_nomem(err, entry->key.size, "a compaction's key");
}

/* Writes everything the cursor has. On failure what is finished stays in the edit, for the caller to undo. */
static varve_status output_all(output *out, vr_cursor *cursor, varve_error *err) {
    varve_status status = VARVE_OK;
    uint64_t count = 0;
    cursor->err = err;
    for (cursor->ops->first(cursor); status == VARVE_OK && cursor->valid; count++) {
        if (count % ENTRIES_BETWEEN_CHECKS == 0 && out->job->cancelled && out->job->cancelled(out->job->context)) {
            status = vr_error_set(err, VARVE_CANCELLED, "the compaction was cancelled");
            break;
        }
        status = output_add(out, cursor, err);
        if (status == VARVE_OK) cursor->ops->next(cursor);
    }
    if (status == VARVE_OK) status = cursor->status;
    if (status == VARVE_OK && out->builder) status = output_end(out, err);
    out->result->entries_in += vr_squeeze_taken(cursor);
    return status;
}

static bool removes_number(const vr_edit *edit, uint64_t number) {
    for (size_t i = 0; i < edit->count; i++) {
        if (edit->fields[i].kind == VR_EDIT_TABLE_REMOVE && edit->fields[i].number == number) return true;
    }
    return false;
}

/* Removes the files that fields from start on add. File numbers are the database's, so that the store makes no difference. */
static void undo_from(const vr_job *job, const vr_edit *edit, size_t start) {
    for (size_t i = start; i < edit->count; i++) {
        const vr_edit_field *field = &edit->fields[i];
        if (field->kind == VR_EDIT_TABLE_ADD && !removes_number(edit, field->number)) remove_table(job, field->number);
    }
}

void vr_job_undo(const vr_job *job, const vr_edit *edit) {
    undo_from(job, edit, 0);
}

/* Squeezes source (the caller's) into out's tables. */
static varve_status write_tables(output *out, vr_cursor *source, bool last, varve_error *err) {
    const vr_job *job = out->job;
    const vr_env *env = job->env->env;
    vr_cursor *cursor = NULL;
    size_t start = out->edit->count;
    out->options.block_bytes = job->store_options.block_bytes;
    out->options.compression_level = out->level == 0 ? VARVE_COMPRESSION_NONE : job->store_options.compression_level;
    out->options.filter_bits = job->store_options.filter_bits;
    varve_status status = vr_squeeze_over(&env->mem, source, job->snapshots, job->snapshot_count, last, &cursor, err);
    if (status != VARVE_OK) return status;
    status = output_all(out, cursor, err);
    if (status == VARVE_OK && out->edit->count > start) status = vr_fs_sync_dir(env->fs, job->env->dir, err);
    if (status != VARVE_OK) {
        vr_table_builder_abandon(out->builder);
        undo_from(job, out->edit, start);
    }
    varve_buffer_free(&out->key);
    cursor->ops->close(cursor);
    return status;
}

varve_status vr_job_flush(const vr_job *job, vr_cursor *source, uint64_t keys_expected, vr_edit *edit, vr_job_result *result,
                          varve_error *err) {
    size_t start = edit->count;
    varve_error *before = source->err;
    *result = (vr_job_result){0};
    source->err = err;
    output out = {.job = job, .level = 0, .cut_bytes = UINT64_MAX, .cut_entries = UINT64_MAX, .edit = edit, .result = result};
    out.options.keys_expected = keys_expected;
    varve_status status = write_tables(&out, source, false, err);
    source->err = before;
    if (status != VARVE_OK) edit->count = start;
    return status;
}

/* --- Compaction -------------------------------------------------------------------------------------------------------------- */

static varve_status add_removals(const vr_job *job, const vr_plan *plan, vr_edit *edit, varve_error *err) {
    for (int side = 0; side < 2; side++) {
        for (size_t i = 0; i < plan->input_count[side]; i++) {
            varve_status status =
                vr_edit_remove_table(edit, job->store_id, side == 0 ? plan->from : plan->to, plan->inputs[side][i]->number, err);
            if (status != VARVE_OK) return status;
        }
    }
    return VARVE_OK;
}

static varve_status add_moves(const vr_job *job, const vr_plan *plan, vr_edit *edit, varve_error *err) {
    VR_ASSERT(plan->input_count[1] == 0);
    for (size_t i = 0; i < plan->input_count[0]; i++) {
        const vr_table_file *file = plan->inputs[0][i];
        varve_status status = vr_edit_add_table(edit, job->store_id, plan->to, file->number, &file->summary, err);
        if (status != VARVE_OK) return status;
    }
    return VARVE_OK;
}

/* One cursor over all inputs: level-0 files one by one, a deeper level's in one. */
static varve_status open_inputs(const vr_job *job, const vr_plan *plan, vr_cursor **merged, varve_error *err) {
    const vr_mem *mem = &job->env->env->mem;
    vr_cursor *cursors[VR_PLAN_FILES_MAX + 1];
    size_t count = 0, step = plan->from == 0 ? 1 : plan->input_count[0];
    varve_status status = VARVE_OK;
    for (size_t i = 0; status == VARVE_OK && i < plan->input_count[0]; i += step) {
        status = vr_level_cursor(mem, (vr_table_file **)&plan->inputs[0][i], step, VR_ACCESS_SEQUENTIAL, &cursors[count], err);
        if (status == VARVE_OK) count++;
    }
    if (status == VARVE_OK && plan->input_count[1] > 0) {
        status = vr_level_cursor(mem, (vr_table_file **)plan->inputs[1], plan->input_count[1], VR_ACCESS_SEQUENTIAL,
                                 &cursors[count], err);
        if (status == VARVE_OK) count++;
    }
    for (size_t i = 0; i < count; i++) cursors[i]->err = err;
    if (status == VARVE_OK) return vr_merge_open(mem, cursors, count, err, merged, err);
    for (size_t i = 0; i < count; i++) cursors[i]->ops->close(cursors[i]);
    return status;
}

static uint64_t input_bytes(const vr_plan *plan) {
    uint64_t bytes = 0;
    for (int side = 0; side < 2; side++) {
        for (size_t i = 0; i < plan->input_count[side]; i++) bytes += plan->inputs[side][i]->summary.file_bytes;
    }
    return bytes;
}

static varve_status merge_inputs(const vr_job *job, const vr_plan *plan, vr_edit *edit, vr_job_result *result, varve_error *err) {
    vr_cursor *merged = NULL;
    output out = {.job = job, .level = plan->to, .cut_bytes = job->file_bytes, .edit = edit, .result = result};
    out.cut_entries = plan->cut_entries ? plan->cut_entries : UINT64_MAX;
    varve_status status = open_inputs(job, plan, &merged, err);
    if (status != VARVE_OK) return status;
    status = write_tables(&out, merged, plan->last, err);
    merged->ops->close(merged);
    if (status == VARVE_OK) result->read_bytes = input_bytes(plan);
    return status;
}

varve_status vr_job_compact(const vr_job *job, const vr_plan *plan, vr_edit *edit, vr_job_result *result, varve_error *err) {
    size_t start = edit->count;
    VR_ASSERT(plan->due && plan->input_count[0] > 0 && plan->to > 0 && plan->to < VR_LEVELS);
    *result = (vr_job_result){0};
    varve_status status = add_removals(job, plan, edit, err);
    if (status == VARVE_OK) status = plan->move ? add_moves(job, plan, edit, err) : merge_inputs(job, plan, edit, result, err);
    if (status != VARVE_OK) edit->count = start;
    return status;
}
