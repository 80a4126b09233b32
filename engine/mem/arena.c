/*
 * mem/arena.c - reserving, charging and releasing a memtable's address range.
 */
#include "mem/arena.h"

#include "base/error.h"
#include "os/env.h"

#define SMALL_PAGE ((uint64_t)4 << 10)
#define CHARGE_STEP ((uint64_t)64 << 10)
#define HUGE_PAGE ((uint64_t)2 << 20)

varve_status vr_arena_init(vr_arena *arena, vr_budget *budget, uint64_t wanted, uint64_t least, varve_error *err) {
    uint64_t capacity = vr_align_up(wanted < VR_ARENA_BYTES_MAX ? wanted : VR_ARENA_BYTES_MAX, SMALL_PAGE);
    void *base = vr_pages_reserve((size_t)capacity);
    while (!base && capacity / 2 >= least) {
        capacity = vr_align_up(capacity / 2, SMALL_PAGE);
        base = vr_pages_reserve((size_t)capacity);
    }
    if (!base) return vr_error_nomem(err, (size_t)capacity, "a memtable's address range");
    *arena = (vr_arena){.base = base, .capacity = capacity, .budget = budget};
    return VARVE_OK;
}

void vr_arena_destroy(vr_arena *arena) {
    if (!arena->base) return;
    vr_pages_release(arena->base, (size_t)arena->capacity);
    vr_budget_release(arena->budget, VR_USE_MEMTABLE, arena->charged);
    *arena = (vr_arena){0};
}

void vr_arena_charge(vr_arena *arena, uint64_t used) {
    uint64_t step = used <= CHARGE_STEP ? SMALL_PAGE : used <= HUGE_PAGE ? CHARGE_STEP : HUGE_PAGE;
    uint64_t due = vr_align_up(used, step);
    VR_ASSERT(due > arena->charged);
    vr_budget_charge(arena->budget, VR_USE_MEMTABLE, due - arena->charged);
    arena->charged = due;
}
