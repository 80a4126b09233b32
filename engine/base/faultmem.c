/*
 * base/faultmem.c - an allocator that fails the nth allocation. Every counter is atomic and relaxed: nothing is published by them.
 */
#include "base/faultmem.h"

#include <stdlib.h>

#include "base/check.h"

static bool fails(vr_faultmem *fault) {
    uint64_t call = atomic_fetch_add_explicit(&fault->calls, 1, memory_order_relaxed) + 1;
    uint64_t fail_at = atomic_load_explicit(&fault->fail_at, memory_order_relaxed);
    bool persistent = atomic_load_explicit(&fault->persistent, memory_order_relaxed);
    if (fail_at == 0 || call < fail_at || (call > fail_at && !persistent)) return false;
    atomic_fetch_add_explicit(&fault->injected, 1, memory_order_relaxed);
    return true;
}

static void *fault_allocate(void *context, size_t size) {
    vr_faultmem *fault = context;
    if (fails(fault)) return NULL;
    void *pointer = malloc(size);
    if (pointer) atomic_fetch_add_explicit(&fault->live, 1, memory_order_relaxed);
    return pointer;
}

static void *fault_reallocate(void *context, void *old, size_t size) {
    vr_faultmem *fault = context;
    return fails(fault) ? NULL : realloc(old, size);
}

static void fault_release(void *context, void *pointer) {
    vr_faultmem *fault = context;
    uint64_t live = atomic_fetch_sub_explicit(&fault->live, 1, memory_order_relaxed);
    VR_ASSERT(live > 0);
    (void)live;
    free(pointer);
}

void vr_faultmem_init(vr_faultmem *fault, uint64_t nth, bool persistent) {
    atomic_init(&fault->live, 0);
    vr_faultmem_arm(fault, nth, persistent);
}

void vr_faultmem_arm(vr_faultmem *fault, uint64_t nth, bool persistent) {
    atomic_store_explicit(&fault->fail_at, 0, memory_order_relaxed);
    atomic_store_explicit(&fault->calls, 0, memory_order_relaxed);
    atomic_store_explicit(&fault->injected, 0, memory_order_relaxed);
    atomic_store_explicit(&fault->persistent, persistent, memory_order_relaxed);
    atomic_store_explicit(&fault->fail_at, nth, memory_order_relaxed);
}

vr_mem vr_faultmem_mem(vr_faultmem *fault) {
    return (vr_mem){.allocate = fault_allocate, .reallocate = fault_reallocate, .release = fault_release, .context = fault};
}

uint64_t vr_faultmem_calls(const vr_faultmem *fault) {
    return atomic_load_explicit(&fault->calls, memory_order_relaxed);
}

uint64_t vr_faultmem_injected(const vr_faultmem *fault) {
    return atomic_load_explicit(&fault->injected, memory_order_relaxed);
}

uint64_t vr_faultmem_live(const vr_faultmem *fault) {
    return atomic_load_explicit(&fault->live, memory_order_relaxed);
}
