/*
 * table/properties.h - what a table says of itself, in its properties frame.
 *
 * Fields one after the other, tags strictly ascending:
 *
 *     varint tag, varint size, size bytes: a varint that fills them exactly, or (for keys) the bytes themselves
 *
 *      2 entries      4 tombstones     6 key and value bytes     8 smallest sequence    10 largest sequence
 *     12 first key   14 last key      16 block size asked for
 *     17 compression level (zigzag: 2n for n >= 0, -2n - 1 below; VARVE_COMPRESSION_NONE for none)
 *     19 filter bits a key (VARVE_FILTER_NONE for none)
 *
 * All even ones are required. An unknown odd tag is skipped; an unknown even one is VARVE_UNSUPPORTED: it changes what the
 * rest means.
 */
#ifndef VR_TABLE_PROPERTIES_H
#define VR_TABLE_PROPERTIES_H

#include "base/memory.h"
#include "table/frame.h"

#define VR_BLOCK_BYTES_MIN 1024u
#define VR_BLOCK_BYTES_MAX (1u << 20)

/* table_id and file_bytes of the summary are the footer's and not in the frame. Release with vr_table_summary_free(). */
typedef struct vr_properties {
    vr_table_summary summary;
    uint32_t block_bytes;
    int32_t compression_level;
    uint32_t filter_bits;
} vr_properties;

/* Appends the encoding to out. Returns false without memory. */
bool vr_properties_encode(const vr_properties *properties, varve_buffer *out);

/* place is the frame's. On failure properties holds nothing to release. */
varve_status vr_properties_decode(varve_slice in, const vr_place *place, vr_properties *properties, varve_error *err);

#endif
