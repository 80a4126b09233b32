/*
 * table/block_scan.c - see table/block_scan.h.
 */
#include "table/block_scan.h"

#include <inttypes.h>

#include "base/error.h"

void vr_scan_init(vr_scan *scan, const vr_table_file *tf, vr_decompressors *pool) {
    *scan = (vr_scan){.tf = tf, .pool = pool};
}

void vr_scan_close(vr_scan *scan) {
    if (!scan->tf) return;
    vr_decompressor_give(scan->pool, scan->decompressor);
    vr_free(&scan->tf->env->mem, scan->window);
    vr_free(&scan->tf->env->mem, scan->raw);
    vr_budget_release(scan->tf->budget, VR_USE_WORK, scan->charged);
    *scan = (vr_scan){0};
}

/* Makes the buffer hold size bytes; what it held is lost. What one large entry took is given back. */
static bool reserve(vr_scan *scan, char **buffer, size_t *capacity, size_t size, size_t usual) {
    size_t wanted = size > usual ? size : usual;
    if (*capacity >= size && *capacity <= 2 * wanted) return true;
    const vr_mem *mem = &scan->tf->env->mem;
    vr_free(mem, *buffer);
    vr_budget_release(scan->tf->budget, VR_USE_WORK, *capacity);
    scan->charged -= *capacity;
    *capacity = 0;
    *buffer = vr_alloc(mem, wanted);
    if (!*buffer) return false;
    *capacity = wanted;
    vr_budget_charge(scan->tf->budget, VR_USE_WORK, wanted);
    scan->charged += wanted;
    return true;
}

/* Makes the window hold extent: read on from there, or up to there when going backwards. */
static varve_status move_window(vr_scan *scan, vr_extent extent, varve_error *err) {
    uint64_t end = extent.offset + extent.size, data_end = vr_footer_data_end(&scan->tf->footer), begin = extent.offset;
    if (extent.offset >= scan->window_offset && end <= scan->window_offset + scan->window_bytes) return VARVE_OK;
    bool backwards = scan->window_bytes > 0 && extent.offset < scan->window_offset;
    uint64_t size = extent.size > VR_SCAN_PIECE_BYTES ? extent.size : VR_SCAN_PIECE_BYTES;
    if (backwards) {
        begin = end > size ? end - size : 0;
        size = end - begin;
    } else if (size > data_end - begin) {
        size = data_end - begin;
    }
    scan->window_bytes = 0;
    size_t got, usual = data_end < VR_SCAN_PIECE_BYTES ? (size_t)data_end : VR_SCAN_PIECE_BYTES;
    if (!reserve(scan, &scan->window, &scan->window_capacity, size, usual)) return vr_error_nomem(err, size, "scanning a table");
    varve_status st = vr_file_pread(scan->tf->file, scan->window, size, begin, &got, err);
    if (st != VARVE_OK) return st;
    if (got != size) {
        return vr_error_set(err, VARVE_CORRUPTION, "%s: offset %" PRIu64 ": data frames have %zu bytes, allowed %" PRIu64,
                            scan->tf->path, begin, got, size);
    }
    scan->window_offset = begin;
    scan->window_bytes = size;
    return VARVE_OK;
}

varve_status vr_scan_block(vr_scan *scan, uint32_t i, vr_block_view *view, vr_frame *frame, varve_error *err) {
    const vr_table_file *tf = scan->tf;
    vr_extent extent = vr_table_file_block(tf, i);
    vr_place place = vr_table_file_place(tf, extent.offset);
    uint64_t raw_max = vr_block_bytes_max(tf->properties.block_bytes);
    vr_frame found;
    varve_status st = move_window(scan, extent, err);
    if (st != VARVE_OK) return st;
    varve_slice bytes = varve_bytes(scan->window + (extent.offset - scan->window_offset), extent.size);
    st = vr_frame_open(bytes, &place, VR_FRAME_DATA, raw_max, &found, err);
    if (st != VARVE_OK) return st;
    const char *block = found.stored; /* uncompressed: used where it stands */
    if (found.codec != VR_CODEC_RAW) {
        if (!scan->decompressor) scan->decompressor = vr_decompressor_take(scan->pool);
        if (!scan->decompressor || !reserve(scan, &scan->raw, &scan->raw_capacity, found.raw_bytes, tf->properties.block_bytes)) {
            return vr_error_nomem(err, found.raw_bytes, "scanning a table");
        }
        st = vr_decompress(scan->decompressor, &found, &place, scan->raw, err);
        if (st != VARVE_OK) return st;
        block = scan->raw;
    }
    st = vr_block_check(varve_bytes(block, found.raw_bytes), VR_FRAME_DATA, &place, err);
    if (st != VARVE_OK) return st;
    *view = vr_block_view_of(block);
    if (frame) *frame = found;
    return VARVE_OK;
}
