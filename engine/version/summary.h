/*
 * version/summary.h - copying what a table says of itself.
 */
#ifndef VR_VERSION_SUMMARY_H
#define VR_VERSION_SUMMARY_H

#include "base/memory.h"
#include "table/format.h"

/* Copies the summary with keys of its own (varve_buffer_free() each). False without memory: to then holds no keys. */
static inline bool vr_summary_copy(vr_table_summary *to, const vr_table_summary *from) {
    *to = *from;
    to->min_key = to->max_key = (varve_buffer){0};
    if (vr_buffer_set(&to->min_key, varve_buffer_slice(&from->min_key)) &&
        vr_buffer_set(&to->max_key, varve_buffer_slice(&from->max_key))) {
        return true;
    }
    varve_buffer_free(&to->min_key);
    varve_buffer_free(&to->max_key);
    return false;
}

#endif
