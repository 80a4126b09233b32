/*
 * table/table_file.h - an open table file without a cache: its footer, properties, filter and index in memory, its frames by pread.
 *
 * The index block has one entry per data frame, in file order: a separator at or after every entry of that frame and before
 * every entry of the next one; value = varint offset, varint size of the frame. A separator is the frame's last key or a
 * shorter one, with trailer 0, which is after all versions of that key; when versions of one key are split between two frames,
 * it is the last key with the last trailer.
 *
 * Threads: constant after the last read step; vr_table_file_read_frame() may then be called by any thread.
 */
#ifndef VR_TABLE_TABLE_FILE_H
#define VR_TABLE_TABLE_FILE_H

#include "os/env.h"
#include "table/block.h"
#include "table/compress.h"
#include "table/filter.h"
#include "table/footer.h"
#include "table/properties.h"

/* Bound on the raw size of index, filter and properties frames. */
#define VR_TABLE_META_BYTES_MAX (UINT64_C(1) << 30)

typedef struct vr_table_file {
    const vr_env *env;
    vr_budget *budget;
    vr_file *file;
    char *path;
    vr_footer footer;
    vr_properties properties; /* its summary is complete, table id and file size included */
    vr_filter filter;
    char *filter_bytes; /* what filter points into; NULL without one */
    char *index_bytes;  /* what index points into */
    vr_block_view index;
    vr_block_fences fences; /* of index */
    uint64_t *offsets;      /* of the data frames, and the end of the last one: blocks + 1 */
    uint32_t blocks;
    uint64_t charged; /* to the budget, as VR_USE_INDEX */
} vr_table_file;

/* Raw bytes of a frame, in an allocation of the reader's with room bytes before them. */
typedef struct vr_frame_bytes {
    char *allocation;
    varve_slice raw;
} vr_frame_bytes;

/* Opens the file and reads its footer. The steps below are then taken in this order. On failure: vr_table_file_close(). */
varve_status vr_table_open_file(vr_table_file *tf, const vr_env *env, vr_budget *budget, const char *path, varve_error *err);
varve_status vr_table_file_read_properties(vr_table_file *tf, vr_decompressors *pool, varve_error *err);
varve_status vr_table_file_read_filter(vr_table_file *tf, vr_decompressors *pool, varve_error *err);
varve_status vr_table_file_read_index(vr_table_file *tf, vr_decompressors *pool, varve_error *err);
void vr_table_file_close(vr_table_file *tf);

/* Reads and checks the frame at extent; raw_max bounds its raw size. The allocation is the caller's to vr_free(). */
varve_status vr_table_file_read_frame(const vr_table_file *tf, vr_decompressors *pool, vr_extent extent, vr_frame_kind kind,
                                      uint64_t raw_max, size_t room, vr_frame_bytes *bytes, varve_error *err);

/* The data frame that has the entry sought, if any has: that of the first separator at or after it; tf->blocks when there is none.
 */
static inline uint32_t vr_table_file_find(const vr_table_file *tf, varve_slice key, uint64_t trailer) {
    return vr_block_seek_fenced(&tf->index, &tf->fences, key, trailer);
}

/* Where data frame i is. */
static inline vr_extent vr_table_file_block(const vr_table_file *tf, size_t i) {
    return (vr_extent){.offset = tf->offsets[i], .size = tf->offsets[i + 1] - tf->offsets[i]};
}

static inline vr_place vr_table_file_place(const vr_table_file *tf, uint64_t offset) {
    return (vr_place){.path = tf->path, .table_id = tf->footer.table_id, .offset = offset};
}

#endif
