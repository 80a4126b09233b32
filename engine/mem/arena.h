/*
 * mem/arena.h - bump allocation in one reserved address range, charged to the budget as it is used.
 *
 * Thread rule: allocation by the writer; base is constant; used may be read by any thread. Nothing is freed before the
 * whole.
 * Invariant: used <= charged, both <= capacity rounded up to a step.
 */
#ifndef VR_MEM_ARENA_H
#define VR_MEM_ARENA_H

#include "base/check.h"
#include "base/memory.h"
#include "mem/node.h"

/* What a 32-bit reference reaches. */
#define VR_ARENA_BYTES_MAX ((uint64_t)VR_MEM_UNIT << 32)

typedef struct vr_arena {
    /* constant */
    char *base;
    uint64_t capacity;
    vr_budget *budget;
    /* the writer's */
    uint64_t charged;
    /* atomic: stored by the writer */
    _Atomic uint64_t used;
} vr_arena;

/* Reserves wanted bytes, or less where address space is short, but not less than least. VARVE_NOMEM. */
varve_status vr_arena_init(vr_arena *arena, vr_budget *budget, uint64_t wanted, uint64_t least, varve_error *err);
void vr_arena_destroy(vr_arena *arena);

/* Charges what has been used beyond what was charged, in steps that grow with the arena: those in which pages become
 * real. */
void vr_arena_charge(vr_arena *arena, uint64_t used);

static inline uint64_t vr_arena_used(const vr_arena *arena) {
    return atomic_load_explicit(&arena->used, memory_order_relaxed);
}

static inline bool vr_arena_has(const vr_arena *arena, uint64_t bytes) {
    return bytes <= arena->capacity - vr_arena_used(arena);
}

/* Takes bytes, a multiple of VR_MEM_UNIT, which vr_arena_has(). Zeroed. Returns the reference of the first. */
static inline uint32_t vr_arena_take(vr_arena *arena, uint64_t bytes) {
    uint64_t at = vr_arena_used(arena);
    VR_ASSERT(bytes % VR_MEM_UNIT == 0 && vr_arena_has(arena, bytes));
    if (at + bytes > arena->charged) vr_arena_charge(arena, at + bytes);
    atomic_store_explicit(&arena->used, at + bytes, memory_order_relaxed);
    return (uint32_t)(at / VR_MEM_UNIT);
}

#endif
