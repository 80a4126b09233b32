/*
 * table/frame.c - see table/frame.h.
 */
#include "table/frame.h"

#include <inttypes.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/error.h"
#include "base/hash.h"

enum { AT_CHECKSUM = 0, AT_STORED = 8, AT_RAW = 12, AT_CODEC = 16, AT_KIND = 17, AT_ZERO16 = 18, AT_ZERO32 = 20 };

static uint64_t checksum(const char *bytes, size_t size, const vr_place *place) {
    return vr_hash_seeded(bytes + AT_STORED, size - AT_STORED, place->table_id + place->offset);
}

const char *vr_frame_kind_name(vr_frame_kind kind) {
    switch (kind) {
    case VR_FRAME_DATA: return "data";
    case VR_FRAME_FILTER: return "filter";
    case VR_FRAME_INDEX: return "index";
    case VR_FRAME_PROPERTIES: return "properties";
    }
    return "unknown";
}

void vr_frame_seal(char *bytes, const vr_frame *frame, const vr_place *place) {
    VR_ASSERT(frame->codec != VR_CODEC_RAW || frame->raw_bytes == frame->stored_bytes);
    VR_ASSERT(frame->kind >= VR_FRAME_DATA && frame->kind <= VR_FRAME_PROPERTIES);
    vr_put32(bytes + AT_STORED, frame->stored_bytes);
    vr_put32(bytes + AT_RAW, frame->raw_bytes);
    bytes[AT_CODEC] = (char)frame->codec;
    bytes[AT_KIND] = (char)frame->kind;
    vr_put16(bytes + AT_ZERO16, 0);
    vr_put32(bytes + AT_ZERO32, 0);
    vr_put64(bytes + AT_CHECKSUM, checksum(bytes, VR_FRAME_HEADER_BYTES + (size_t)frame->stored_bytes, place));
}

/* "<path>: offset <n>: <kind> frame's <field> is <found>, allowed <low> to <high>". */
static varve_status refuse(const vr_place *place, vr_frame_kind kind, const char *field, uint64_t found, uint64_t low,
                           uint64_t high, varve_error *err) {
    return vr_error_set(err, VARVE_CORRUPTION,
                        "%s: offset %" PRIu64 ": %s frame's %s is %" PRIu64 ", allowed %" PRIu64 " to %" PRIu64, place->path,
                        place->offset, vr_frame_kind_name(kind), field, found, low, high);
}

varve_status vr_frame_open(varve_slice bytes, const vr_place *place, vr_frame_kind kind, uint64_t raw_max, vr_frame *frame,
                           varve_error *err) {
    if (bytes.size < VR_FRAME_HEADER_BYTES) {
        return refuse(place, kind, "size", bytes.size, VR_FRAME_HEADER_BYTES, UINT32_MAX, err);
    }
    uint64_t found = vr_get64(bytes.data + AT_CHECKSUM), wanted = checksum(bytes.data, bytes.size, place);
    if (found != wanted) {
        return vr_error_set(err, VARVE_CORRUPTION,
                            "%s: offset %" PRIu64 ": %s frame's checksum is %016" PRIx64 ", allowed %016" PRIx64, place->path,
                            place->offset, vr_frame_kind_name(kind), found, wanted);
    }
    uint64_t behind = bytes.size - VR_FRAME_HEADER_BYTES;
    uint32_t stored = vr_get32(bytes.data + AT_STORED), raw = vr_get32(bytes.data + AT_RAW);
    uint8_t codec = (uint8_t)bytes.data[AT_CODEC], kind_found = (uint8_t)bytes.data[AT_KIND];
    if (stored != behind) return refuse(place, kind, "stored size", stored, behind, behind, err);
    if (kind_found != kind) return refuse(place, kind, "kind", kind_found, kind, kind, err);
    if (codec > VR_CODEC_ZSTD) {
        return vr_error_set(err, VARVE_UNSUPPORTED, "%s: offset %" PRIu64 ": %s frame's codec is %u, known are 0 to %u",
                            place->path, place->offset, vr_frame_kind_name(kind), codec, VR_CODEC_ZSTD);
    }
    if (raw > raw_max) return refuse(place, kind, "raw size", raw, 0, raw_max, err);
    if (codec == VR_CODEC_RAW && raw != stored) return refuse(place, kind, "raw size", raw, stored, stored, err);
    if (vr_get16(bytes.data + AT_ZERO16) != 0) {
        return refuse(place, kind, "reserved field at 18", vr_get16(bytes.data + AT_ZERO16), 0, 0, err);
    }
    if (vr_get32(bytes.data + AT_ZERO32) != 0) {
        return refuse(place, kind, "reserved field at 20", vr_get32(bytes.data + AT_ZERO32), 0, 0, err);
    }
    *frame = (vr_frame){.codec = (vr_codec)codec,
                        .kind = kind,
                        .raw_bytes = raw,
                        .stored_bytes = stored,
                        .stored = bytes.data + VR_FRAME_HEADER_BYTES};
    return VARVE_OK;
}
