/*
 * mem/keyindex.h - the hash index of a memtable: from a key to its node. Open addressing, linear probing.
 *
 *     slot: u64 = low half of the key's hash << 32 | node; 0 is empty
 *
 * The slot's number comes from the low bits of that half; all 32 bits are compared before a node is touched.
 *
 * Thread rule: lookups by any thread; insertion and growth by the writer. A slot goes from empty to full once, with
 * release, after its node is whole; a lookup loads it with acquire. Growth fills a new array and publishes it with
 * release; the old one is kept until the end, because a lookup may be in it. A lookup misses at most what was added
 * after it began.
 * Invariants: at least one slot is empty; keys <= hard limit.
 */
#ifndef VR_MEM_KEYINDEX_H
#define VR_MEM_KEYINDEX_H

#include "base/memory.h"
#include "mem/node.h"

typedef struct vr_slots vr_slots;

/* One array of slots. Constant but for the slots. */
struct vr_slots {
    uint64_t mask;   /* number of slots - 1 */
    vr_slots *older; /* the array before it */
    uint64_t bytes;  /* of this allocation */
    bool pages;      /* it came from vr_pages_reserve(), not from the allocator */
    _Atomic uint64_t slot[];
};

typedef struct vr_keyindex {
    /* constant */
    const vr_mem *mem;
    vr_budget *budget;
    unsigned bits_expected; /* the size that the expected number of keys asks for */
    /* the writer's */
    uint64_t keys;
    uint64_t grow_at; /* the number of keys at which growing is tried next */
    uint64_t keys_max;
    /* atomic: stored by the writer */
    _Atomic(vr_slots *) slots;
    _Atomic uint64_t bytes; /* of all arrays */
} vr_keyindex;

varve_status vr_keyindex_init(vr_keyindex *index, const vr_mem *mem, vr_budget *budget, uint64_t keys_expected, varve_error *err);
void vr_keyindex_destroy(vr_keyindex *index);

/* Makes sure that count more keys go in, growing if that is due. A growth that fails is made up for by fuller slots, up
 * to nine in ten; false beyond that. The writer's. */
bool vr_keyindex_reserve(vr_keyindex *index, uint64_t count);

/* Enters a node whose key is not there yet and for which there is room. The writer's. */
void vr_keyindex_insert(vr_keyindex *index, uint32_t hash, uint32_t node);

/* The node of key, or 0. base is the arena's. */
uint32_t vr_keyindex_find(const vr_keyindex *index, const char *base, varve_slice key, uint32_t hash);

/* Asks for the cache line that a lookup of hash will begin with. */
void vr_keyindex_prefetch(const vr_keyindex *index, uint32_t hash);

#endif
