/*
 * mem/memtable_parts.h - the inside of a memtable, for its own files.
 *
 * Thread rule: that of memtable.h; each part has its own in its header. The counters are stored by the writer only and
 * read by any thread.
 * Invariant: a node in the index has at least one version, and its versions' sequences fall from newest to oldest.
 */
#ifndef VR_MEM_MEMTABLE_PARTS_H
#define VR_MEM_MEMTABLE_PARTS_H

#include "mem/arena.h"
#include "mem/keyindex.h"
#include "mem/memtable.h"
#include "mem/skiplist.h"

struct vr_memtable {
    /* constant */
    const vr_env *env;
    /* the writer's */
    uint64_t random;      /* state of the generator of heights */
    uint64_t upper_links; /* links above level 0 so far */
    /* each by its own rule */
    vr_arena arena;
    vr_keyindex index;
    vr_skiplist list;
    /* atomic */
    _Atomic uint64_t keys;
    _Atomic uint64_t entries;
    _Atomic uint64_t min_sequence;
    _Atomic uint64_t max_sequence;
    _Atomic uint32_t references; /* any thread */
};

/* The newest version of a node. Pairs with the release that publishes one. */
static inline uint32_t vr_node_newest(const char *base, uint32_t node) {
    return atomic_load_explicit(&vr_node_at(base, node)->level0.newest, memory_order_acquire);
}

#endif
