/*
 * table/block.h - a block: sorted entries in columns, searched where they stand. Data and index blocks share it.
 *
 *      0  u32  entries, at least 1
 *      4  u32  flags: 1 FIXED_KEY, 2 FIXED_VALUE, 4 SAME_TRAILER; others 0
 *      8  u32  common bytes: length of the prefix that all keys share
 *     12  u32  FIXED_KEY: bytes of each key's suffix, which is what follows the common bytes; else bytes of all tails
 *     16  u32  FIXED_VALUE: bytes of each value; else bytes of all values
 *     20  u32  bytes of the block
 *     24  u64  SAME_TRAILER: the trailer of each entry; else 0
 *     32       common bytes, zero-padded to a multiple of 8
 *         u64  prefixes[entries]: the first 8 bytes of the suffix as a big-endian number, zero-padded; stored little-endian
 *         u64  trailers[entries], absent with SAME_TRAILER
 *         u32  tail ends[entries], absent with FIXED_KEY: where in the tails each one ends
 *         u32  value ends[entries], absent with FIXED_VALUE
 *         u8   heads[entries], absent with FIXED_KEY: how many bytes of the suffix are in the prefix, 0 to 8
 *              tails: what of each suffix is beyond its first 8 bytes
 *              values
 *
 * vr_block_check() validates all of this once, when a block is loaded. From then on the accessors below check nothing.
 * Threads: plain functions over bytes that no one changes.
 */
#ifndef VR_TABLE_BLOCK_H
#define VR_TABLE_BLOCK_H

#include "base/bytes.h"
#include "base/check.h"
#include "table/frame.h"

#define VR_BLOCK_HEADER_BYTES 32u
#define VR_BLOCK_FIXED_KEY 1u
#define VR_BLOCK_FIXED_VALUE 2u
#define VR_BLOCK_SAME_TRAILER 4u
#define VR_BLOCK_FLAGS 7u

enum {
    VR_BLOCK_AT_COUNT = 0,
    VR_BLOCK_AT_FLAGS = 4,
    VR_BLOCK_AT_COMMON = 8,
    VR_BLOCK_AT_KEYS = 12,
    VR_BLOCK_AT_VALUES = 16,
    VR_BLOCK_AT_BYTES = 20,
    VR_BLOCK_AT_TRAILER = 24
};

/* Where the columns of a block are. A column that is absent is NULL. */
typedef struct vr_block_view {
    const char *common, *prefixes, *trailers, *tail_ends, *value_ends, *heads, *tails, *values;
    uint32_t count, common_bytes;
    uint32_t suffix_bytes; /* of each key, where tail_ends is NULL */
    uint32_t value_bytes;  /* of each value, where value_ends is NULL */
    uint64_t trailer;      /* of each entry, where trailers is NULL */
} vr_block_view;

/* The largest raw size of a data block: block_bytes, or one entry larger than that. */
static inline uint64_t vr_block_bytes_max(uint32_t block_bytes) {
    return (uint64_t)block_bytes + VR_BLOCK_HEADER_BYTES + VARVE_KEY_BYTES_MAX + VARVE_VALUE_BYTES_MAX + 64;
}

static inline vr_block_view vr_block_view_of(const char *block) {
    vr_block_view view;
    uint32_t flags = vr_get32(block + VR_BLOCK_AT_FLAGS), keys = vr_get32(block + VR_BLOCK_AT_KEYS);
    size_t count = view.count = vr_get32(block + VR_BLOCK_AT_COUNT);
    view.common_bytes = vr_get32(block + VR_BLOCK_AT_COMMON);
    view.suffix_bytes = keys;
    view.value_bytes = vr_get32(block + VR_BLOCK_AT_VALUES);
    view.trailer = vr_get64(block + VR_BLOCK_AT_TRAILER);
    view.common = block + VR_BLOCK_HEADER_BYTES;
    view.prefixes = view.common + (((size_t)view.common_bytes + 7) & ~(size_t)7);
    const char *at = view.prefixes + 8 * count;
    view.trailers = flags & VR_BLOCK_SAME_TRAILER ? NULL : at;
    if (!(flags & VR_BLOCK_SAME_TRAILER)) at += 8 * count;
    bool fixed_key = flags & VR_BLOCK_FIXED_KEY;
    view.tail_ends = fixed_key ? NULL : at;
    if (!fixed_key) at += 4 * count;
    view.value_ends = flags & VR_BLOCK_FIXED_VALUE ? NULL : at;
    if (!(flags & VR_BLOCK_FIXED_VALUE)) at += 4 * count;
    view.heads = fixed_key ? NULL : at;
    if (!fixed_key) at += count;
    view.tails = at;
    view.values = at + (fixed_key ? count * (keys > 8 ? keys - 8 : 0) : keys);
    return view;
}

static inline uint64_t vr_block_prefix(const vr_block_view *view, size_t i) {
    return vr_get64(view->prefixes + 8 * i);
}

static inline uint64_t vr_block_trailer(const vr_block_view *view, size_t i) {
    return view->trailers ? vr_get64(view->trailers + 8 * i) : view->trailer;
}

/* How many bytes of entry i's suffix are in its prefix. */
static inline uint32_t vr_block_head(const vr_block_view *view, size_t i) {
    if (view->heads) return (uint8_t)view->heads[i];
    return view->suffix_bytes < 8 ? view->suffix_bytes : 8;
}

/* What of entry i's suffix is not in its prefix. */
static inline varve_slice vr_block_tail(const vr_block_view *view, size_t i) {
    if (!view->tail_ends) {
        size_t size = view->suffix_bytes > 8 ? view->suffix_bytes - 8 : 0;
        return varve_bytes(view->tails + i * size, size);
    }
    uint32_t begin = i ? vr_get32(view->tail_ends + 4 * (i - 1)) : 0;
    return varve_bytes(view->tails + begin, vr_get32(view->tail_ends + 4 * i) - begin);
}

static inline varve_slice vr_block_value(const vr_block_view *view, size_t i) {
    if (!view->value_ends) return varve_bytes(view->values + i * view->value_bytes, view->value_bytes);
    uint32_t begin = i ? vr_get32(view->value_ends + 4 * (i - 1)) : 0;
    return varve_bytes(view->values + begin, vr_get32(view->value_ends + 4 * i) - begin);
}

/* The bytes a buffer needs for vr_block_key_common() and vr_block_key_suffix() of any entry. */
static inline size_t vr_block_key_room(const vr_block_view *view) {
    size_t tails = (size_t)(view->values - view->tails);
    size_t most = VARVE_KEY_BYTES_MAX;
    return view->common_bytes + 8 + (tails < most ? tails : most);
}

/* Writes the part of a key that all entries share at the buffer's front. */
static inline void vr_block_key_common(const vr_block_view *view, char *buffer) {
    memcpy(buffer, view->common, view->common_bytes);
}

/* Writes the rest of entry i's key behind it. Returns the size of the whole key. */
static inline size_t vr_block_key_suffix(const vr_block_view *view, size_t i, char *buffer) {
    char *at = buffer + view->common_bytes;
    vr_put64(at, __builtin_bswap64(vr_block_prefix(view, i))); /* 8 bytes in any case: there is room */
    size_t size = view->common_bytes + vr_block_head(view, i);
    if (view->values != view->tails) {
        varve_slice tail = vr_block_tail(view, i);
        memcpy(at + 8, tail.data, tail.size);
        size += tail.size;
    }
    return size;
}

/*
 * Checks every field of the size bytes at block, so that no access through a view leaves them. place is the frame's. The order
 * of keys is not looked at: wrong order misleads a search but breaks nothing; verify looks at it.
 */
varve_status vr_block_check(varve_slice block, vr_frame_kind kind, const vr_place *place, varve_error *err);

/* Cursor order of entry i and (key, trailer): < 0, 0, > 0. */
int vr_block_compare(const vr_block_view *view, size_t i, varve_slice key, uint64_t trailer);

/*
 * The index of the first entry at or after (key, trailer) in cursor order; view->count when there is none. *same tells whether
 * that entry's key is key.
 */
uint32_t vr_block_seek(const vr_block_view *view, varve_slice key, uint64_t trailer, bool *same);

/*
 * Fences: every so manieth prefix of a large block that is searched often, side by side. The first steps of a search stay in
 * the processor's nearest cache, and the rest is one group of neighbours. Prefixes are stored as in the block.
 */
#define VR_BLOCK_FENCE_EVERY 64u

typedef struct vr_block_fences {
    uint64_t *prefixes;
    uint32_t count;
} vr_block_fences;

static inline uint32_t vr_block_fence_count(uint32_t entries) {
    return (entries + VR_BLOCK_FENCE_EVERY - 1) / VR_BLOCK_FENCE_EVERY;
}

/* Fills fences->prefixes, which has room for vr_block_fence_count(). */
void vr_block_fences_fill(const vr_block_view *view, vr_block_fences *fences);

/* vr_block_seek() by way of the block's fences. */
uint32_t vr_block_seek_fenced(const vr_block_view *view, const vr_block_fences *fences, varve_slice key, uint64_t trailer);

#endif
