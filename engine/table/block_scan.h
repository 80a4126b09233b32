/*
 * table/block_scan.h - reads a table's blocks one after the other in large pieces, into memory of its own, leaving the cache alone.
 *
 * Threads: one. Invariant: a view is valid until the next vr_scan_block() or the close.
 */
#ifndef VR_TABLE_BLOCK_SCAN_H
#define VR_TABLE_BLOCK_SCAN_H

#include "table/table_file.h"

/* How much is read at once; one frame larger than that is read whole. */
#define VR_SCAN_PIECE_BYTES (512u << 10)

typedef struct vr_scan {
    const vr_table_file *tf;
    vr_decompressors *pool;
    vr_decompressor *decompressor;
    char *window; /* bytes of the file from window_offset on */
    size_t window_bytes, window_capacity;
    uint64_t window_offset;
    char *raw; /* the block, when it was compressed */
    size_t raw_capacity;
    uint64_t charged; /* to the budget, as VR_USE_WORK */
} vr_scan;

void vr_scan_init(vr_scan *scan, const vr_table_file *tf, vr_decompressors *pool);
void vr_scan_close(vr_scan *scan);

/* Reads and checks data block i. frame may be NULL. */
varve_status vr_scan_block(vr_scan *scan, uint32_t i, vr_block_view *view, vr_frame *frame, varve_error *err);

#endif
