/*
 * table/slots.h - cached blocks and the slots that point at them: the inside of the cache, for tables and their cursors.
 *
 * A slot holds NULL or a block, and one reference on it. Who empties a slot takes that reference over and lets it go when no
 * reader can have seen the block through the slot: the cache by way of the epoch, a closing table at once (no reader is left).
 * So inside an epoch a block loaded from a slot has at least one reference, and may be given another.
 */
#ifndef VR_TABLE_SLOTS_H
#define VR_TABLE_SLOTS_H

#include "table/block.h"
#include "table/cache.h"
#include "table/compress.h"

/* A block in memory, checked. One allocation: the block's bytes follow. */
typedef struct vr_cached {
    vr_retired retired; /* the epoch's, once the slot is emptied */
    vr_cache *cache;    /* constant */
    uint32_t bytes;     /* constant: of the block */
    _Atomic uint32_t references;
    _Atomic bool recent; /* read since the hand last passed; written only when it changes, so that readers share the line */
} vr_cached;

/* Where the bytes begin: a multiple of 16 from the allocation's front. */
#define VR_CACHED_ROOM ((sizeof(vr_cached) + 15) / 16 * 16)

static inline const char *vr_cached_data(const vr_cached *block) {
    return (const char *)block + VR_CACHED_ROOM;
}

/* The slots of an open table, in the cache's ring. */
typedef struct vr_slots {
    _Atomic(vr_cached *) *slot;   /* count of them */
    uint32_t count;               /* constant */
    struct vr_slots *next, *prev; /* guarded by the cache's mutex */
} vr_slots;

/* Adds the slots to, takes them out of, the hand's ring. Removal empties them. */
void vr_slots_add(vr_cache *cache, vr_slots *slots);
void vr_slots_remove(vr_cache *cache, vr_slots *slots);

/*
 * Makes the block whose bytes follow the first VR_CACHED_ROOM of allocation known to the cache, which from then on owns and
 * charges it, and puts it into the slot; when another thread was first, its block counts and this one is released. Gives the
 * block that is in the slot, or was when this call looked. With pin: with a reference for the caller, who need not be inside
 * the epoch; without, the caller is inside.
 */
vr_cached *vr_slots_install(vr_cache *cache, _Atomic(vr_cached *) *slot, char *allocation, uint32_t bytes, bool pin);

/* The block in the slot or NULL; notes that it was read. Inside the epoch. */
static inline vr_cached *vr_slot_load(_Atomic(vr_cached *) *slot) {
    /* Acquires the block's bytes, released by vr_slots_install(). */
    vr_cached *block = atomic_load_explicit(slot, memory_order_acquire);
    if (block && !atomic_load_explicit(&block->recent, memory_order_relaxed)) {
        atomic_store_explicit(&block->recent, true, memory_order_relaxed);
    }
    return block;
}

/* A reference more (the caller is inside the epoch, or has one), and one less. */
void vr_cached_pin(vr_cached *block);
void vr_cached_unpin(vr_cached *block); /* may be NULL */

/* Counts a hit or a miss. */
void vr_cache_count(vr_cache *cache, bool hit);

vr_decompressors *vr_cache_decompressors(vr_cache *cache);

#endif
