/*
 * mem/node.h - what lies in a memtable's arena: one node per key, one version per change.
 *
 * References are 32-bit counts of 8-byte units from the arena's start; 0 is none.
 *
 *     links of the levels above 0, highest first: prefix u64, next u32, unused u32
 *     node:     0  u64  level 0: prefix
 *               8  u32  level 0: next
 *              12  u32  newest version
 *              16  u16  key size
 *              18  u8   height
 *              19       key
 *     version:  0  u64  trailer (the first version lies right behind the node, at the next multiple of 8)
 *               8  u32  next older version
 *              12  u32  value size
 *              16       value
 *
 * A link's prefix is that of the next node's key (mem/skiplist.h), so that most comparisons touch no other node.
 *
 * Thread rule: the atomic fields are stored by the writer only; everything else is written before the node or version
 * is published (an index slot, a link's next, or the newest version of a node: stored with release, loaded with
 * acquire) and never again.
 */
#ifndef VR_MEM_NODE_H
#define VR_MEM_NODE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

#define VR_MEM_UNIT 8u
#define VR_MEM_HEIGHT_MAX 12u

typedef struct vr_link {
    _Atomic uint64_t prefix; /* never above the true prefix of a later next: see mem/skiplist.h */
    _Atomic uint32_t next;   /* 0: the end */
    _Atomic uint32_t newest; /* level 0 only: the node's newest version */
} vr_link;

typedef struct vr_node {
    vr_link level0;
    uint16_t key_size;
    uint8_t height; /* 1 to VR_MEM_HEIGHT_MAX */
    char key[];
} vr_node;

typedef struct vr_version {
    uint64_t trailer;
    uint32_t older; /* 0: this is the oldest */
    uint32_t value_size;
    char value[];
} vr_version;

_Static_assert(sizeof(vr_link) == 16, "four levels to a cache line");
_Static_assert(offsetof(vr_node, key) == 19, "the key begins in what would be padding");
_Static_assert(sizeof(vr_version) == 16, "values follow at once");

static inline void *vr_mem_at(const char *base, uint32_t reference) {
    return (void *)(uintptr_t)(base + (uint64_t)reference * VR_MEM_UNIT);
}

static inline vr_node *vr_node_at(const char *base, uint32_t node) {
    return (vr_node *)vr_mem_at(base, node);
}

static inline vr_version *vr_version_at(const char *base, uint32_t version) {
    return (vr_version *)vr_mem_at(base, version);
}

static inline vr_link *vr_link_at(const char *base, uint32_t node, uint32_t level) {
    return (vr_link *)vr_mem_at(base, node) - level;
}

static inline varve_slice vr_node_key(const vr_node *node) {
    return varve_bytes(node->key, node->key_size);
}

static inline varve_slice vr_version_value(const vr_version *version) {
    return varve_bytes(version->value, version->value_size);
}

/* Bytes from the node's start to its first version, and of one version. */
static inline uint64_t vr_node_bytes(size_t key_size) {
    return (offsetof(vr_node, key) + key_size + VR_MEM_UNIT - 1) & ~(uint64_t)(VR_MEM_UNIT - 1);
}

static inline uint64_t vr_version_bytes(size_t value_size) {
    return (sizeof(vr_version) + value_size + VR_MEM_UNIT - 1) & ~(uint64_t)(VR_MEM_UNIT - 1);
}

#endif
