/*
 * compact/picker.h - which compaction is due: a pure function of a version's shape.
 *
 * Shape: level 0 takes whole flushed runs; when there are run_count_max of them, all of them and what they overlap in the base level are merged into it.
 * The base level is the first whose target, counted down from the last level by fanout, is above base_bytes; below it, a level over its target gives the file with
 * the least overlap (bytes below / own bytes) to the next. A file without overlap below is moved, not rewritten.
 */
#ifndef VR_COMPACT_PICKER_H
#define VR_COMPACT_PICKER_H

#include "version/version.h"

typedef struct vr_shape_options {
    uint32_t run_count_max; /* level-0 runs that trigger a merge: 4 */
    uint32_t fanout;        /* 8 */
    uint64_t base_bytes;    /* least target of the base level */
    uint64_t file_bytes;    /* size at which outputs are cut */
} vr_shape_options;

typedef struct vr_plan {
    bool due;
    bool move;           /* trivial: change the level in the manifest only */
    bool last;           /* nothing of the store lies below the output level in the inputs' key range: tombstones may go */
    uint32_t from, to;   /* levels; inputs of `from` and of `to` */
    vr_table_file *inputs[2][512]; /* borrowed from the version; [0] from level `from`, [1] from level `to` */
    size_t input_count[2];
} vr_plan;

void vr_pick(const vr_version *version, const vr_shape_options *options, vr_plan *plan);

/* Everything into one run at the deepest level in use (at least level 1), for varve_compact(). due false: it is one run already. More inputs than a
 * plan holds are done in several rounds. */
void vr_pick_all(const vr_version *version, const vr_shape_options *options, vr_plan *plan);

/* Bytes that are due to be rewritten; what writers are slowed down by. */
uint64_t vr_debt(const vr_version *version, const vr_shape_options *options);

/* The delay in ns for a write of bytes at that debt: 0 below soft, then rising smoothly to one that matches the background's bytes_per_second at hard. */
uint64_t vr_throttle_ns(uint64_t debt, uint64_t soft, uint64_t hard, uint64_t bytes, uint64_t bytes_per_second);

#endif
