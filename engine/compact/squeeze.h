/*
 * compact/squeeze.h - what the jobs need of the squeezing cursor beyond vr_squeeze_open().
 */
#ifndef VR_COMPACT_SQUEEZE_H
#define VR_COMPACT_SQUEEZE_H

#include "compact/job.h"

/* As vr_squeeze_open(), but source stays the caller's and outlives the cursor. */
varve_status vr_squeeze_over(const vr_mem *mem, vr_cursor *source, const uint64_t *snapshots, size_t snapshot_count, bool last,
                             vr_cursor **cursor, varve_error *err);

/* How many entries of its source it has gone past. */
uint64_t vr_squeeze_taken(const vr_cursor *cursor);

#endif
