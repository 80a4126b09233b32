/*
 * table/filter.c - see table/filter.h.
 */
#include "table/filter.h"

#include <inttypes.h>

#include "base/check.h"
#include "base/error.h"

/* Lines are built in no order: so many ahead are fetched while one is filled. */
#define BUILD_AHEAD 16u
#define LINES_MAX ((1u << 24) - 1) /* header and lines are below VR_TABLE_META_BYTES_MAX */

static uint32_t line_count(uint64_t keys, uint32_t bits) {
    uint64_t lines = keys > UINT64_MAX / 64 ? LINES_MAX : (keys * bits + 511) / 512;
    return (uint32_t)(lines < 1 ? 1 : lines > LINES_MAX ? LINES_MAX : lines);
}

/* Fewer probes than ln 2 * bits: the keys of one line vary in number, and each probe costs time. */
static uint32_t probe_count(uint32_t bits) {
    uint32_t probes = (bits * 6 + 5) / 10;
    return probes < 1 ? 1 : probes > VR_FILTER_PROBES_MAX ? VR_FILTER_PROBES_MAX : probes;
}

size_t vr_filter_bytes(uint64_t keys, uint32_t bits) {
    return VR_FILTER_HEADER_BYTES + (size_t)VR_FILTER_LINE_BYTES * line_count(keys, bits);
}

void vr_filter_build(char *out, const uint64_t *hashes, uint64_t keys, uint32_t bits) {
    VR_ASSERT(bits >= 1 && bits <= 64);
    memset(out, 0, vr_filter_bytes(keys, bits));
    vr_filter filter = {.lines = out + VR_FILTER_HEADER_BYTES, .count = line_count(keys, bits), .probes = probe_count(bits)};
    out[0] = (char)VR_FILTER_BLOOM;
    out[1] = (char)filter.probes;
    vr_put32(out + 4, filter.count);
    vr_put64(out + 8, keys);
    for (uint64_t k = 0; k < keys; k++) {
        if (k + BUILD_AHEAD < keys) __builtin_prefetch(vr_filter_line(&filter, hashes[k + BUILD_AHEAD]), 1);
        char *line = (char *)vr_filter_line(&filter, hashes[k]);
        uint64_t mix = hashes[k];
        for (uint32_t i = 0; i < filter.probes; i++) {
            mix *= VR_FILTER_MIX;
            uint32_t bit = (uint32_t)(mix >> 55);
            line[bit / 8] = (char)((uint8_t)line[bit / 8] | 1u << bit % 8);
        }
    }
}

static varve_status refuse(const vr_place *place, const char *field, uint64_t found, uint64_t low, uint64_t high,
                           varve_error *err) {
    return vr_error_set(err, VARVE_CORRUPTION,
                        "%s: offset %" PRIu64 ": filter's %s is %" PRIu64 ", allowed %" PRIu64 " to %" PRIu64, place->path,
                        place->offset, field, found, low, high);
}

varve_status vr_filter_decode(varve_slice raw, const vr_place *place, vr_filter *filter, varve_error *err) {
    *filter = (vr_filter){0};
    if (raw.size < 1) return refuse(place, "size", raw.size, VR_FILTER_HEADER_BYTES, UINT32_MAX, err);
    if ((uint8_t)raw.data[0] != VR_FILTER_BLOOM) return VARVE_OK; /* of a later version: reads are right without it */
    if (raw.size < VR_FILTER_HEADER_BYTES) return refuse(place, "size", raw.size, VR_FILTER_HEADER_BYTES, UINT32_MAX, err);
    uint32_t probes = (uint8_t)raw.data[1], lines = vr_get32(raw.data + 4);
    uint64_t fit = (raw.size - VR_FILTER_HEADER_BYTES) / VR_FILTER_LINE_BYTES;
    if (probes < 1 || probes > VR_FILTER_PROBES_MAX) return refuse(place, "probes", probes, 1, VR_FILTER_PROBES_MAX, err);
    if (lines < 1 || lines != fit) return refuse(place, "lines", lines, fit < 1 ? 1 : fit, fit, err);
    if (raw.size % VR_FILTER_LINE_BYTES != 0) return refuse(place, "odd bytes", raw.size % VR_FILTER_LINE_BYTES, 0, 0, err);
    uint64_t reserved = vr_get16(raw.data + 2);
    for (size_t at = 16; at < VR_FILTER_HEADER_BYTES; at += 8) reserved |= vr_get64(raw.data + at);
    if (reserved != 0) return refuse(place, "reserved bytes", reserved, 0, 0, err);
    *filter =
        (vr_filter){.lines = raw.data + VR_FILTER_HEADER_BYTES, .count = lines, .probes = probes, .keys = vr_get64(raw.data + 8)};
    return VARVE_OK;
}
