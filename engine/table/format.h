/*
 * table/format.h - the bytes of a sorted table, shared by builder and reader. doc/format-table.md is normative.
 *
 * A file is: data frames, one filter frame (optional), one index frame, one properties frame, footer. A frame is a 24-byte
 * header (checksum, stored size, raw size, codec, kind) and the stored bytes; the checksum is xxh3 of all of the frame after it,
 * seeded with table id + offset, so that a frame of another table or from another place is not taken for this one. The footer
 * is the last VR_TABLE_FOOTER_BYTES.
 */
#ifndef VR_TABLE_FORMAT_H
#define VR_TABLE_FORMAT_H

#include "kv/record.h"

#define VR_TABLE_VERSION 1u
#define VR_FRAME_HEADER_BYTES 24u
#define VR_TABLE_FOOTER_BYTES 128u

/* What a finished table says of itself: kept in its properties frame, and in the manifest. */
typedef struct vr_table_summary {
    uint64_t table_id; /* random, not 0: seeds the checksums */
    uint64_t file_bytes;
    uint64_t entries, tombstones;
    uint64_t raw_bytes; /* key and value bytes */
    uint64_t min_sequence, max_sequence;
    varve_buffer min_key, max_key; /* first and last key; owned: vr_table_summary_free() */
} vr_table_summary;

void vr_table_summary_free(vr_table_summary *summary);

#endif
