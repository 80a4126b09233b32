/*
 * base/memory.c - the system's allocator behind vr_mem, growing arrays, the memory budget, buffers.
 *
 * Threads: any. The budget's counters are statistics that nothing else is published by, so their order is relaxed; a charge is
 * visible in held before it is in total, or the other way round, and who compares them allows for that.
 */
#define _GNU_SOURCE /* qsort_r */
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

static void *system_allocate(void *context, size_t size) {
    (void)context;
    return malloc(size);
}

static void *system_reallocate(void *context, void *old, size_t size) {
    (void)context;
    return realloc(old, size);
}

static void system_release(void *context, void *pointer) {
    (void)context;
    free(pointer);
}

vr_mem vr_mem_system(void) {
    return (vr_mem){.allocate = system_allocate, .reallocate = system_reallocate, .release = system_release};
}

/* No allocator is asked for nothing, so that NULL always means failure. */
static size_t at_least_one(size_t size) {
    return size ? size : 1;
}

void *vr_alloc(const vr_mem *mem, size_t size) {
    return mem->allocate(mem->context, at_least_one(size));
}

void *vr_zalloc(const vr_mem *mem, size_t size) {
    void *pointer = vr_alloc(mem, size);
    if (pointer) memset(pointer, 0, size);
    return pointer;
}

void *vr_realloc(const vr_mem *mem, void *old, size_t size) {
    if (!old) return vr_alloc(mem, size);
    return mem->reallocate(mem->context, old, at_least_one(size));
}

void vr_free(const vr_mem *mem, void *pointer) {
    if (pointer) mem->release(mem->context, pointer);
}

char *vr_strdup(const vr_mem *mem, const char *string) {
    size_t size = strlen(string) + 1;
    char *copy = vr_alloc(mem, size);
    if (copy) memcpy(copy, string, size);
    return copy;
}

bool vr_grow(const vr_mem *mem, void **items, size_t *capacity, size_t count, size_t item_size) {
    VR_ASSERT(item_size > 0);
    if (count <= *capacity) return true;
    size_t wanted = *capacity > SIZE_MAX / 2 ? count : *capacity * 2;
    if (wanted < count) wanted = count;
    if (wanted < 8) wanted = 8;
    if (wanted > SIZE_MAX / item_size) return false;
    void *grown = vr_realloc(mem, *items, wanted * item_size);
    if (!grown) return false;
    *items = grown;
    *capacity = wanted;
    return true;
}

void vr_budget_init(vr_budget *budget, uint64_t limit) {
    budget->limit = limit;
    for (int use = 0; use < VR_USE_COUNT; use++) atomic_init(&budget->held[use], 0);
    atomic_init(&budget->total, 0);
}

void vr_budget_charge(vr_budget *budget, vr_use use, uint64_t bytes) {
    VR_ASSERT(use < VR_USE_COUNT);
    atomic_fetch_add_explicit(&budget->held[use], bytes, memory_order_relaxed);
    atomic_fetch_add_explicit(&budget->total, bytes, memory_order_relaxed);
}

void vr_budget_release(vr_budget *budget, vr_use use, uint64_t bytes) {
    VR_ASSERT(use < VR_USE_COUNT);
    uint64_t held = atomic_fetch_sub_explicit(&budget->held[use], bytes, memory_order_relaxed);
    VR_ASSERT(held >= bytes);
    (void)held;
    atomic_fetch_sub_explicit(&budget->total, bytes, memory_order_relaxed);
}

uint64_t vr_budget_total(const vr_budget *budget) {
    return atomic_load_explicit(&budget->total, memory_order_relaxed);
}

uint64_t vr_budget_held(const vr_budget *budget, vr_use use) {
    VR_ASSERT(use < VR_USE_COUNT);
    return atomic_load_explicit(&budget->held[use], memory_order_relaxed);
}

bool vr_buffer_reserve(varve_buffer *buffer, size_t capacity) {
    if (capacity <= buffer->capacity) return true;
    size_t wanted = buffer->capacity > SIZE_MAX / 2 ? capacity : buffer->capacity * 2;
    if (wanted < capacity) wanted = capacity;
    char *grown = realloc(buffer->data, wanted);
    if (!grown) return false;
    buffer->data = grown;
    buffer->capacity = wanted;
    return true;
}

bool vr_buffer_append(varve_buffer *buffer, const void *data, size_t size) {
    if (size > SIZE_MAX - buffer->size) return false;
    if (!vr_buffer_reserve(buffer, buffer->size + size)) return false;
    if (size) memcpy(buffer->data + buffer->size, data, size);
    buffer->size += size;
    return true;
}

bool vr_buffer_set(varve_buffer *buffer, varve_slice content) {
    if (!vr_buffer_reserve(buffer, content.size)) return false;
    if (content.size) memcpy(buffer->data, content.data, content.size);
    buffer->size = content.size;
    return true;
}

void vr_sort(void *items, size_t count, size_t item_size, int (*compare)(const void *a, const void *b, void *context),
             void *context) {
    qsort_r(items, count, item_size, compare, context);
}
