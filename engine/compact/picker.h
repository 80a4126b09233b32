/*
 * compact/picker.h - which compaction is due: a pure function of a version's shape.
 *
 * Shape: level 0 takes whole flushed runs; when there are run_count_max of them, all of them and what they overlap in the base
 * level are merged into it. Targets are counted up from the last level, whose target is what the largest level has (at least
 * base_bytes), each level's being that of the one below divided by fanout; the base level is the first whose target is at least
 * base_bytes, and data above it is on its way down. Of a level over its target the file with the least overlap (bytes below / own
 * bytes) goes to the next. A file without overlap below is moved, not rewritten, unless it has tombstones that could go.
 *
 * Order: a key's newer versions are never deeper than older ones. So a level-0 run is merged only together with all older ones, and
 * never past a level that has files.
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

#define VR_PLAN_FILES_MAX 512u

typedef struct vr_plan {
    bool due;
    bool move;         /* trivial: change the level in the manifest only */
    bool last;         /* nothing of the store lies below the output level in the inputs' key range: tombstones may go */
    uint32_t from, to; /* levels; inputs of `from` and of `to` */
    vr_table_file *inputs[2][VR_PLAN_FILES_MAX]; /* borrowed from the version; [0] from level `from`, [1] from level `to` */
    size_t input_count[2];
    uint64_t cut_entries; /* entries at which outputs are cut besides; 0: at no number. Set where one file is cut up within its
                             level (to == from) because it spans more files of the next one than a plan holds */
} vr_plan;

void vr_pick(const vr_version *version, const vr_shape_options *options, vr_plan *plan);

/* Everything into one run at the deepest level in use (at least level 1), for varve_compact(). due false: it is one run already.
 * More inputs than a plan holds are done in several rounds. */
void vr_pick_all(const vr_version *version, const vr_shape_options *options, vr_plan *plan);

/* Bytes that are due to be rewritten; what writers are slowed down by. */
uint64_t vr_debt(const vr_version *version, const vr_shape_options *options);

/* The delay in ns for a write of bytes at that debt: 0 below soft, then rising smoothly (with the square) to one that matches the
 * background's bytes_per_second at hard, and on to four times that at twice the way. */
uint64_t vr_throttle_ns(uint64_t debt, uint64_t soft, uint64_t hard, uint64_t bytes, uint64_t bytes_per_second);

#endif
