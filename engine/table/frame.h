/*
 * table/frame.h - a frame: what every part of a table but the footer is wrapped in.
 *
 *      0  u64  checksum: xxh3 of bytes 8 to the frame's end, seeded with (table id + offset of the frame in the file)
 *      8  u32  stored size: bytes that follow this header
 *     12  u32  raw size: bytes after decompression; equals stored size for codec 0
 *     16  u8   codec: 0 raw, 1 zstd (one zstd frame); another one is VARVE_UNSUPPORTED
 *     17  u8   kind: 1 data, 2 filter, 3 index, 4 properties
 *     18  u16  0
 *     20  u32  0
 *     24       stored bytes
 *
 * Nothing of a frame is believed before its checksum holds. Threads: plain functions over memory of the caller's.
 */
#ifndef VR_TABLE_FRAME_H
#define VR_TABLE_FRAME_H

#include <varve/types.h>

#include "table/format.h"

typedef enum vr_codec { VR_CODEC_RAW = 0, VR_CODEC_ZSTD = 1 } vr_codec;

typedef enum vr_frame_kind { VR_FRAME_DATA = 1, VR_FRAME_FILTER = 2, VR_FRAME_INDEX = 3, VR_FRAME_PROPERTIES = 4 } vr_frame_kind;

/* Where a frame stands: seeds its checksum, and is named by every complaint about it. */
typedef struct vr_place {
    const char *path;
    uint64_t table_id;
    uint64_t offset;
} vr_place;

/* A decoded frame. stored points behind the header. */
typedef struct vr_frame {
    vr_codec codec;
    vr_frame_kind kind;
    uint32_t raw_bytes, stored_bytes;
    const char *stored;
} vr_frame;

/* Writes the header at bytes, behind which frame->stored_bytes stored bytes already stand. */
void vr_frame_seal(char *bytes, const vr_frame *frame, const vr_place *place);

/*
 * Decodes the frame that fills bytes. kind is what stands there; raw_max bounds the raw size. Returns VARVE_CORRUPTION or
 * VARVE_UNSUPPORTED with file, offset, field, found and allowed.
 */
varve_status vr_frame_open(varve_slice bytes, const vr_place *place, vr_frame_kind kind, uint64_t raw_max, vr_frame *frame,
                           varve_error *err);

/* "data", "filter", "index" or "properties". */
const char *vr_frame_kind_name(vr_frame_kind kind);

#endif
