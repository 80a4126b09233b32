/*
 * compact/picker.c - which compaction is due. Pure functions of a version's shape; any thread. The shape is described in picker.h.
 *
 * A plan holds VR_PLAN_FILES_MAX files of each side. Where that is too few: of level 0 only the oldest runs are taken; if even the
 * oldest overlaps too much, the runs go to the level above, which is empty, or room is made there; a deeper file that overlaps too
 * many is first cut up within its level.
 */
#include "base/bytes.h"
#include "base/check.h"
#include "compact/shape.h"

static void plan_begin(vr_plan *plan, uint32_t from, uint32_t to) {
    plan->due = plan->move = plan->last = false;
    plan->from = from;
    plan->to = to;
    plan->input_count[0] = plan->input_count[1] = 0;
    plan->cut_entries = 0;
}

static void take_files(vr_plan *plan, int side, const vr_level *level, size_t start, size_t count) {
    VR_ASSERT(count <= VR_PLAN_FILES_MAX && start + count <= level->count);
    for (size_t i = 0; i < count; i++) plan->inputs[side][i] = level->files[start + i];
    plan->input_count[side] = count;
}

/* Finishes a plan whose inputs stand: whether anything lies below them. */
static void plan_end(const vr_version *version, vr_plan *plan) {
    vr_span span = {.any = false};
    for (int side = 0; side < 2; side++) {
        for (size_t i = 0; i < plan->input_count[side]; i++) vr_span_add(&span, plan->inputs[side][i]);
    }
    plan->last = true;
    for (uint32_t l = plan->to + 1; l < VR_LEVELS; l++) {
        size_t start;
        if (vr_span_overlap(&span, &version->levels[l], &start) > 0) plan->last = false;
    }
    plan->due = true;
}

/* The overlap in level `to` of a run of files of another level. */
static size_t overlap_of(const vr_version *version, uint32_t to, vr_table_file *const *files, size_t count, size_t *start) {
    vr_span span = {.any = false};
    for (size_t i = 0; i < count; i++) vr_span_add(&span, files[i]);
    return vr_span_overlap(&span, &version->levels[to], start);
}

static uint64_t bytes_of(const vr_level *level, size_t start, size_t count) {
    uint64_t bytes = 0;
    for (size_t i = start; i < start + count; i++) bytes += level->files[i]->summary.file_bytes;
    return bytes;
}

/* --- A level from 1 on -------------------------------------------------------------------------------------------------------- */

/* Cuts one file into so many that each will overlap about half a plan's files: rewritten within its level. */
static void plan_cut(const vr_version *version, uint32_t from, size_t at, size_t overlap, vr_plan *plan) {
    uint64_t pieces = overlap / (VR_PLAN_FILES_MAX / 2) + 1;
    plan_begin(plan, from, from);
    take_files(plan, 0, &version->levels[from], at, 1);
    plan->cut_entries = version->levels[from].files[at]->summary.entries / pieces + 1;
    plan_end(version, plan);
}

/* The file of the level with the least bytes below it for its own. */
static size_t cheapest_file(const vr_version *version, uint32_t from) {
    const vr_level *level = &version->levels[from];
    size_t best = 0;
    double best_cost = 0;
    for (size_t i = 0; i < level->count; i++) {
        size_t start, overlap = overlap_of(version, from + 1, &level->files[i], 1, &start);
        double own = (double)level->files[i]->summary.file_bytes;
        double cost = (double)bytes_of(&version->levels[from + 1], start, overlap) / (own > 0 ? own : 1);
        if (i > 0 && cost >= best_cost) continue;
        best = i;
        best_cost = cost;
    }
    return best;
}

/* Gives the cheapest file to the next level. */
static void plan_down(const vr_version *version, uint32_t from, vr_plan *plan) {
    const vr_level *level = &version->levels[from];
    size_t at = cheapest_file(version, from), start;
    size_t overlap = overlap_of(version, from + 1, &level->files[at], 1, &start);
    if (overlap > VR_PLAN_FILES_MAX) {
        plan_cut(version, from, at, overlap, plan);
        return;
    }
    plan_begin(plan, from, from + 1);
    take_files(plan, 0, level, at, 1);
    take_files(plan, 1, &version->levels[from + 1], start, overlap);
    plan_end(version, plan);
    plan->move = overlap == 0 && !(plan->last && level->files[at]->summary.tombstones > 0);
}

/* --- Level 0 ------------------------------------------------------------------------------------------------------------------ */

/* The oldest count runs, which stand last, and what they overlap. */
static bool plan_oldest_runs(const vr_version *version, size_t count, uint32_t to, vr_plan *plan) {
    const vr_level *runs = &version->levels[0];
    size_t start, overlap = overlap_of(version, to, &runs->files[runs->count - count], count, &start);
    if (overlap > VR_PLAN_FILES_MAX) return false;
    plan_begin(plan, 0, to);
    take_files(plan, 0, runs, runs->count - count, count);
    take_files(plan, 1, &version->levels[to], start, overlap);
    plan_end(version, plan);
    return true;
}

/* Merges level 0 into level to; no level between the two has files. */
static void plan_runs(const vr_version *version, uint32_t to, vr_plan *plan) {
    size_t most = vr_min_size(version->levels[0].count, VR_PLAN_FILES_MAX);
    for (size_t count = most; count > 0; count--) {
        if (plan_oldest_runs(version, count, to, plan)) return;
    }
    if (to > 1) {
        plan_oldest_runs(version, most, to - 1, plan); /* an empty level: no overlap */
    } else {
        plan_down(version, to, plan);
    }
}

/* --- Picking ------------------------------------------------------------------------------------------------------------------ */

/* How urgent a level is; due from 1 on. */
static double score_of(const vr_version *version, const vr_shape_options *options, const vr_shape *shape, uint32_t l) {
    const vr_level *level = &version->levels[l];
    if (level->count == 0) return 0;
    if (l == 0) return (double)level->count / (options->run_count_max ? options->run_count_max : 1);
    if (shape->targets[l] == 0) return 1 + (double)level->bytes / (double)(options->base_bytes ? options->base_bytes : 1);
    return level->bytes > shape->targets[l] ? (double)level->bytes / (double)shape->targets[l] : 0;
}

void vr_pick(const vr_version *version, const vr_shape_options *options, vr_plan *plan) {
    vr_shape shape;
    uint32_t most_urgent = 0;
    double most = 0;
    vr_shape_of(version, options, &shape);
    plan_begin(plan, 0, 0);
    for (uint32_t l = 0; l + 1 < VR_LEVELS; l++) {
        double score = score_of(version, options, &shape, l);
        if (score < 1 || score <= most) continue;
        most = score;
        most_urgent = l;
    }
    if (most < 1) return;
    if (most_urgent > 0) {
        plan_down(version, most_urgent, plan);
    } else {
        plan_runs(version, shape.base < shape.first ? shape.base : shape.first, plan);
    }
}

/* As many of a level's first files as a plan holds, with what they overlap in level to; at least one. */
static void plan_group(const vr_version *version, uint32_t from, uint32_t to, vr_plan *plan) {
    const vr_level *level = &version->levels[from];
    size_t start = 0, taken_start = 0, overlap = 0, count = 0;
    vr_span span = {.any = false};
    while (count < level->count && count < VR_PLAN_FILES_MAX) {
        vr_span_add(&span, level->files[count]);
        size_t wider = vr_span_overlap(&span, &version->levels[to], &start);
        if (wider > VR_PLAN_FILES_MAX) break;
        overlap = wider;
        taken_start = start;
        count++;
    }
    if (count == 0) {
        plan_cut(version, from, 0, vr_span_overlap(&span, &version->levels[to], &start), plan);
        return;
    }
    plan_begin(plan, from, to);
    take_files(plan, 0, level, 0, count);
    take_files(plan, 1, &version->levels[to], taken_start, overlap);
    plan_end(version, plan);
}

void vr_pick_all(const vr_version *version, const vr_shape_options *options, vr_plan *plan) {
    vr_shape shape;
    vr_shape_of(version, options, &shape);
    plan_begin(plan, 0, 0);
    if (version->levels[0].count > 0) {
        plan_runs(version, shape.first < VR_LEVELS ? shape.first : shape.base, plan);
        return;
    }
    for (uint32_t to = shape.first + 1; to < VR_LEVELS; to++) {
        if (version->levels[to].count == 0) continue;
        plan_group(version, shape.first, to, plan);
        return;
    }
}
