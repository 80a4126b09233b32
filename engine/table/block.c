/*
 * table/block.c - searching a block: a branch-free search over the prefixes, full comparison only where prefixes tie.
 */
#include "table/block.h"

/* The 8 bytes after the common ones of a key that has those, as vr_key_prefix() makes them. */
static inline uint64_t suffix_prefix(varve_slice key, size_t common) {
    size_t left = key.size - common;
    if (left == 0) return 0;
    if (left >= 8 || key.size < 8) return vr_key_prefix(key.data + common, left);
    /* The key's last 8 bytes as a number, shifted so that only the last left of them remain: no loop over bytes. */
    uint64_t word = vr_key_prefix(key.data + key.size - 8, 8);
    return word << (64 - 8 * left);
}

/* Order of entry i's suffix, whose prefix equals that of key, and what of key is beyond the common bytes. */
static inline int compare_tied(const vr_block_view *view, size_t i, varve_slice key) {
    size_t left = key.size - view->common_bytes;
    uint32_t head = vr_block_head(view, i), key_head = left < 8 ? (uint32_t)left : 8;
    if (head != key_head) return head < key_head ? -1 : 1; /* equal up to padding: the shorter one is a prefix */
    if (left <= 8) return vr_block_tail(view, i).size > 0;
    return vr_compare(vr_block_tail(view, i), varve_bytes(key.data + view->common_bytes + key_head, left - key_head));
}

static inline int compare_trailer(uint64_t entry, uint64_t trailer) {
    return (entry < trailer) - (entry > trailer); /* descending */
}

/* Whether two runs of bytes are equal: mostly a few words, and cheaper than a call. */
static inline bool equal_bytes(const char *a, const char *b, size_t size) {
    if (size < 8) return size == 0 || memcmp(a, b, size) == 0;
    for (size_t at = 0; at + 8 < size; at += 8) {
        if (vr_get64(a + at) != vr_get64(b + at)) return false;
    }
    return vr_get64(a + size - 8) == vr_get64(b + size - 8);
}

/* Order of the block's common bytes and the front of key: 0 means that key begins with them. */
static inline int compare_common(const vr_block_view *view, varve_slice key) {
    size_t common = view->common_bytes;
    if (key.size >= common && equal_bytes(view->common, key.data, common)) return 0;
    size_t shorter = key.size < common ? key.size : common;
    int order = shorter ? memcmp(view->common, key.data, shorter) : 0;
    return order ? order : key.size < common;
}

int vr_block_compare(const vr_block_view *view, size_t i, varve_slice key, uint64_t trailer) {
    VR_ASSERT(i < view->count);
    int order = compare_common(view, key);
    if (order != 0) return order;
    uint64_t prefix = vr_block_prefix(view, i), wanted = suffix_prefix(key, view->common_bytes);
    if (prefix != wanted) return prefix < wanted ? -1 : 1;
    order = compare_tied(view, i, key);
    return order ? order : compare_trailer(vr_block_trailer(view, i), trailer);
}

/* The first of count prefixes that is not below wanted. The mask keeps the compiler from branching on a coin toss. */
static inline uint32_t lower_bound(const char *prefixes, uint32_t count, uint64_t wanted) {
    const char *base = prefixes;
    uint32_t left = count;
    while (left > 1) {
        uint32_t half = left / 2;
        base += -(size_t)(vr_get64(base + 8 * ((size_t)half - 1)) < wanted) & (8 * (size_t)half);
        left -= half;
    }
    return (uint32_t)((size_t)(base - prefixes) / 8) + (vr_get64(base) < wanted);
}

/* The same over all of the block's prefixes, by way of the fences: one group of them is fetched at once, not step by step. */
static inline uint32_t fenced_lower_bound(const vr_block_view *view, const vr_block_fences *fences, uint64_t wanted) {
    uint32_t fence = lower_bound((const char *)fences->prefixes, fences->count, wanted);
    if (fence == 0) return 0; /* not even the first prefix is below */
    uint32_t first = (fence - 1) * VR_BLOCK_FENCE_EVERY, left = view->count - first;
    const char *group = view->prefixes + 8 * (size_t)first;
    for (size_t at = 0; at < 8 * VR_BLOCK_FENCE_EVERY; at += 64) __builtin_prefetch(group + at);
    return first + lower_bound(group, left < VR_BLOCK_FENCE_EVERY ? left : VR_BLOCK_FENCE_EVERY, wanted);
}

/* The first entry at or after (key, trailer) among first..end, whose prefixes all equal that of key. */
static uint32_t seek_tied(const vr_block_view *view, uint32_t first, uint32_t end, varve_slice key, uint64_t trailer) {
    while (first < end) {
        uint32_t middle = first + (end - first) / 2;
        int order = compare_tied(view, middle, key);
        if (order == 0) order = compare_trailer(vr_block_trailer(view, middle), trailer);
        if (order < 0) {
            first = middle + 1;
        } else {
            end = middle;
        }
    }
    return first;
}

/* The rest of a seek: i is the first entry whose prefix is not below wanted. */
static inline uint32_t seek_from(const vr_block_view *view, uint32_t i, uint64_t wanted, varve_slice key, uint64_t trailer,
                                 bool *same) {
    if (i == view->count || vr_block_prefix(view, i) != wanted) return i;
    uint32_t end = i + 1;
    if (end < view->count && vr_block_prefix(view, end) == wanted) {
        end = wanted == UINT64_MAX ? view->count : i + lower_bound(view->prefixes + 8 * (size_t)i, view->count - i, wanted + 1);
    }
    if (end > i + 1) {
        i = seek_tied(view, i, end, key, trailer);
        *same = i < end && compare_tied(view, i, key) == 0;
        return i;
    }
    int order = compare_tied(view, i, key); /* nearly always: one candidate */
    bool equal = order == 0;
    if (equal) order = compare_trailer(vr_block_trailer(view, i), trailer);
    if (order < 0) return end;
    *same = equal;
    return i;
}

uint32_t vr_block_seek(const vr_block_view *view, varve_slice key, uint64_t trailer, bool *same) {
    *same = false;
    int order = compare_common(view, key);
    if (order != 0) return order < 0 ? view->count : 0;
    uint64_t wanted = suffix_prefix(key, view->common_bytes);
    return seek_from(view, lower_bound(view->prefixes, view->count, wanted), wanted, key, trailer, same);
}

uint32_t vr_block_seek_fenced(const vr_block_view *view, const vr_block_fences *fences, varve_slice key, uint64_t trailer) {
    bool same = false;
    int order = compare_common(view, key);
    if (order != 0) return order < 0 ? view->count : 0;
    uint64_t wanted = suffix_prefix(key, view->common_bytes);
    return seek_from(view, fenced_lower_bound(view, fences, wanted), wanted, key, trailer, &same);
}

void vr_block_fences_fill(const vr_block_view *view, vr_block_fences *fences) {
    VR_ASSERT(fences->count == vr_block_fence_count(view->count));
    for (size_t i = 0; i < fences->count; i++) vr_put64(&fences->prefixes[i], vr_block_prefix(view, i * VR_BLOCK_FENCE_EVERY));
}
