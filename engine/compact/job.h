/*
 * compact/job.h - flush and compaction: cursors in, tables out, and an edit that says so. A job changes nothing but new files: the
 * caller makes the edit durable, or gives it up and removes the files (vr_job_undo()).
 */
#ifndef VR_COMPACT_JOB_H
#define VR_COMPACT_JOB_H

#include "compact/picker.h"
#include "table/builder.h"

/* What a job needs. */
typedef struct vr_job {
    const vr_version_env *env;
    uint32_t store_id;
    varve_store_options store_options;
    uint64_t file_bytes;       /* cut outputs here, at a change of key */
    const uint64_t *snapshots; /* rising sequences whose view must be kept, without the newest */
    size_t snapshot_count;
    uint64_t (*next_file)(void *context); /* gives out file numbers; any thread */
    bool (*cancelled)(void *context);     /* asked every few thousand entries: true ends the job with VARVE_CANCELLED */
    void *context;
} vr_job;

typedef struct vr_job_result {
    uint64_t read_bytes, write_bytes, entries_in, entries_out;
} vr_job_result;

/* Writes what source holds (merged memtables) as one level-0 run, uncompressed; adds TABLE_ADD to edit (none when nothing is left).
 * Source stays the caller's. */
varve_status vr_job_flush(const vr_job *job, vr_cursor *source, uint64_t keys_expected, vr_edit *edit, vr_job_result *result,
                          varve_error *err);

/* Carries the plan out; adds TABLE_REMOVE and TABLE_ADD. Outputs at levels >= 1 are compressed as the store's options say. */
varve_status vr_job_compact(const vr_job *job, const vr_plan *plan, vr_edit *edit, vr_job_result *result, varve_error *err);

/* Removes the files of edit's TABLE_ADD fields that are not also removed by it (moves). */
void vr_job_undo(const vr_job *job, const vr_edit *edit);

/*
 * The cursor that both read through: of each key the versions some view still needs, newest first. A version is dropped when a
 * newer one of its key is at or below the same snapshot boundary; a tombstone is dropped when last is set and no snapshot is below
 * it. With last and no snapshot below, sequences of kept entries are set to 0. Takes ownership of source. Forward only (first,
 * next).
 */
varve_status vr_squeeze_open(const vr_mem *mem, vr_cursor *source, const uint64_t *snapshots, size_t snapshot_count, bool last,
                             vr_cursor **cursor, varve_error *err);

#endif
