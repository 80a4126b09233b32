/*
 * table/filter.h - a bloom filter whose probes for one key all lie in one 64-byte line: a test touches one cache line.
 *
 *      0  u8   filter kind: 1 blocked bloom. The reader of another kind does without a filter
 *      1  u8   probes, 1 to 12
 *      2  u16  0
 *      4  u32  lines, at least 1
 *      8  u64  distinct keys
 *     16       48 bytes 0
 *     64       lines of 64 bytes
 *
 * Of a key's hash h (xxh3 of the key, seed 0), line = ((h >> 32) * lines) >> 32. With C = 0x9e3779b97f4a7c15 and products modulo
 * 2^64, probe i (from 1) is bit (h * C^i) >> 55 of the line's 512; bit b is bit b % 8 of byte b / 8.
 *
 * Threads: a decoded filter is constant.
 */
#ifndef VR_TABLE_FILTER_H
#define VR_TABLE_FILTER_H

#include "base/bytes.h"
#include "table/frame.h"

#define VR_FILTER_HEADER_BYTES 64u
#define VR_FILTER_LINE_BYTES 64u
#define VR_FILTER_BLOOM 1u
#define VR_FILTER_PROBES_MAX 12u
#define VR_FILTER_MIX UINT64_C(0x9e3779b97f4a7c15)

/* Points into the frame's raw bytes. lines NULL: there is no filter, or one of an unknown kind. */
typedef struct vr_filter {
    const char *lines;
    uint32_t count, probes;
    uint64_t keys;
} vr_filter;

/* The size of a filter for keys distinct keys at bits each; at most 1 GiB, beyond which it answers "maybe" more often. */
size_t vr_filter_bytes(uint64_t keys, uint32_t bits);

/* Writes a filter over the hashes at out, which has room for that. */
void vr_filter_build(char *out, const uint64_t *hashes, uint64_t keys, uint32_t bits);

/* Decodes raw bytes that outlive the filter. VARVE_CORRUPTION. */
varve_status vr_filter_decode(varve_slice raw, const vr_place *place, vr_filter *filter, varve_error *err);

static inline const char *vr_filter_line(const vr_filter *filter, uint64_t hash) {
    return filter->lines + VR_FILTER_LINE_BYTES * (((hash >> 32) * filter->count) >> 32);
}

/* False: no key of that hash was added. */
static inline bool vr_filter_test(const vr_filter *filter, uint64_t hash) {
    if (!filter->lines) return true;
    const char *line = vr_filter_line(filter, hash);
    uint64_t mix = hash;
    for (uint32_t i = 0; i < filter->probes; i++) {
        mix *= VR_FILTER_MIX;
        uint32_t bit = (uint32_t)(mix >> 55);
        if (!((uint8_t)line[bit / 8] >> bit % 8 & 1)) return false;
    }
    return true;
}

#endif
