/*
 * compact/shape.c - targets of levels, spans of keys, debt and throttle. Pure functions; any thread.
 */
#include "compact/shape.h"

#include "base/bytes.h"
#include "base/check.h"

void vr_shape_of(const vr_version *version, const vr_shape_options *options, vr_shape *shape) {
    uint64_t fanout = options->fanout < 2 ? 2 : options->fanout;
    uint64_t target = options->base_bytes ? options->base_bytes : 1;
    *shape = (vr_shape){.base = VR_LEVELS - 1, .first = VR_LEVELS};
    for (uint32_t l = VR_LEVELS - 1; l >= 1; l--) {
        if (version->levels[l].count > 0) shape->first = l;
        if (version->levels[l].bytes > target) target = version->levels[l].bytes;
    }
    for (uint32_t l = VR_LEVELS - 1; l >= 1 && target > 0 && target >= options->base_bytes; l--) {
        shape->targets[l] = target;
        shape->base = l;
        target /= fanout;
    }
}

void vr_span_add(vr_span *span, const vr_table_file *file) {
    varve_slice least = varve_buffer_slice(&file->summary.min_key), greatest = varve_buffer_slice(&file->summary.max_key);
    if (!span->any || vr_compare(least, span->least) < 0) span->least = least;
    if (!span->any || vr_compare(greatest, span->greatest) > 0) span->greatest = greatest;
    span->any = true;
}

/* The first file that ends at or behind key. */
static size_t first_behind(const vr_level *level, varve_slice key) {
    size_t low = 0, high = level->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (vr_compare(varve_buffer_slice(&level->files[middle]->summary.max_key), key) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

size_t vr_span_overlap(const vr_span *span, const vr_level *level, size_t *start) {
    size_t end = *start = first_behind(level, span->least);
    if (!span->any) return 0;
    while (end < level->count && vr_compare(varve_buffer_slice(&level->files[end]->summary.min_key), span->greatest) <= 0) end++;
    return end - *start;
}

/* What merging level 0 reads and writes. */
static uint64_t runs_debt(const vr_version *version, const vr_shape_options *options, const vr_shape *shape) {
    const vr_level *runs = &version->levels[0];
    const vr_level *below = &version->levels[shape->base < shape->first ? shape->base : shape->first];
    vr_span span = {.any = false};
    size_t start;
    uint64_t bytes = runs->bytes;
    if (runs->count == 0 || runs->count < options->run_count_max) return 0;
    for (size_t i = 0; i < runs->count; i++) vr_span_add(&span, runs->files[i]);
    size_t count = vr_span_overlap(&span, below, &start);
    for (size_t i = start; i < start + count; i++) bytes += below->files[i]->summary.file_bytes;
    return bytes;
}

/* What is over a level's target drags along its share of the level below, fanout times its own size at most. */
uint64_t vr_debt(const vr_version *version, const vr_shape_options *options) {
    vr_shape shape;
    vr_shape_of(version, options, &shape);
    uint64_t debt = runs_debt(version, options, &shape);
    for (uint32_t l = 1; l + 1 < VR_LEVELS; l++) {
        const vr_level *level = &version->levels[l];
        if (level->bytes <= shape.targets[l]) continue;
        double over = (double)(level->bytes - shape.targets[l]);
        double ratio = (double)version->levels[l + 1].bytes / (double)level->bytes;
        if (ratio > options->fanout) ratio = options->fanout;
        debt += (uint64_t)(over + over * ratio);
    }
    return debt;
}

uint64_t vr_throttle_ns(uint64_t debt, uint64_t soft, uint64_t hard, uint64_t bytes, uint64_t bytes_per_second) {
    if (debt <= soft || bytes_per_second == 0) return 0;
    double way = hard > soft ? (double)(debt - soft) / (double)(hard - soft) : 2;
    if (way > 2) way = 2;
    return (uint64_t)(way * way * (double)bytes * 1e9 / (double)bytes_per_second);
}
