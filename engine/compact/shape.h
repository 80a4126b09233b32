/*
 * compact/shape.h - the target sizes of a version's levels; shared by what picks compactions and what counts the debt.
 */
#ifndef VR_COMPACT_SHAPE_H
#define VR_COMPACT_SHAPE_H

#include "compact/picker.h"

typedef struct vr_shape {
    uint64_t targets[VR_LEVELS]; /* bytes; 0 above the base level */
    uint32_t base;               /* where level-0 runs go, as long as no level above it has files */
    uint32_t first;              /* the first level from 1 on with files, or VR_LEVELS */
} vr_shape;

void vr_shape_of(const vr_version *version, const vr_shape_options *options, vr_shape *shape);

/* The keys between two bounds, both included. */
typedef struct vr_span {
    bool any;                    /* false: no keys at all */
    varve_slice least, greatest; /* into files' summaries */
} vr_span;

void vr_span_add(vr_span *span, const vr_table_file *file);

/* The files of a level >= 1 that overlap the span: [*start, *start + result). */
size_t vr_span_overlap(const vr_span *span, const vr_level *level, size_t *start);

#endif
