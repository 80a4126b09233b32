/*
 * table/footer.h - the last 128 bytes of a table: where its parts are.
 *
 *      0  u64  table id, not 0
 *      8  u64  offset, 16 u64 size of the filter frame; both 0: no filter
 *     24  u64  offset, 32 u64 size of the index frame
 *     40  u64  offset, 48 u64 size of the properties frame
 *     56  u64  file size, this footer included
 *     64  u64  entries, at least 1
 *     72  u64  data frames, at least 1
 *     80       24 bytes 0
 *    104  u32  format version
 *    108  u32  0
 *    112  u64  checksum: xxh3 of bytes 0 to 111, seeded with 0
 *    120  u64  magic: "VRVTABLE"
 *
 * The parts tile the file: data frames from 0, filter, index, properties, footer; no byte is outside of a checksum. Size,
 * version, checksum and magic stay where they are in every later version.
 */
#ifndef VR_TABLE_FOOTER_H
#define VR_TABLE_FOOTER_H

#include <varve/types.h>

#include "table/format.h"

#define VR_TABLE_MAGIC "VRVTABLE"

/* A piece of the file. */
typedef struct vr_extent {
    uint64_t offset, size;
} vr_extent;

typedef struct vr_footer {
    uint64_t table_id;
    vr_extent filter, index, properties;
    uint64_t file_bytes, entries, blocks;
} vr_footer;

void vr_footer_encode(char out[VR_TABLE_FOOTER_BYTES], const vr_footer *footer);

/* Decodes and checks it against the size the file really has. path is for the message. VARVE_CORRUPTION, VARVE_UNSUPPORTED. */
varve_status vr_footer_decode(const char in[VR_TABLE_FOOTER_BYTES], uint64_t file_bytes, const char *path, vr_footer *footer,
                              varve_error *err);

/* Where the data frames end. */
uint64_t vr_footer_data_end(const vr_footer *footer);

#endif
