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

/* Order of the block's common bytes and the front of key: 0 means that key begins with them. */
static inline int compare_common(const vr_block_view *view, varve_slice key) {
    size_t common = view->common_bytes;
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

/* The first of count prefixes that is not below wanted. The multiplication keeps the compiler from branching on a coin toss. */
static inline uint32_t lower_bound(const char *prefixes, uint32_t count, uint64_t wanted) {
    const char *base = prefixes;
    uint32_t left = count;
    while (left > 1) {
        uint32_t half = left / 2;
        base += (size_t)(vr_get64(base + 8 * ((size_t)half - 1)) < wanted) * 8 * half;
        left -= half;
    }
    return (uint32_t)((size_t)(base - prefixes) / 8) + (vr_get64(base) < wanted);
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

uint32_t vr_block_seek(const vr_block_view *view, varve_slice key, uint64_t trailer, bool *same) {
    *same = false;
    int order = compare_common(view, key);
    if (order != 0) return order < 0 ? view->count : 0;
    uint64_t wanted = suffix_prefix(key, view->common_bytes);
    uint32_t i = lower_bound(view->prefixes, view->count, wanted);
    if (i == view->count || vr_block_prefix(view, i) != wanted) return i;
    uint32_t end = i + 1;
    if (end < view->count && vr_block_prefix(view, end) == wanted) {
        end = wanted == UINT64_MAX ? view->count : i + lower_bound(view->prefixes + 8 * (size_t)i, view->count - i, wanted + 1);
    }
    if (end == i + 1) { /* nearly always: one candidate */
        order = compare_tied(view, i, key);
        *same = order == 0;
        if (order == 0) order = compare_trailer(vr_block_trailer(view, i), trailer);
        if (order >= 0) return i;
        *same = false;
        return end;
    }
    i = seek_tied(view, i, end, key, trailer);
    *same = i < end && compare_tied(view, i, key) == 0;
    return i;
}
