/*
 * base/memory.h - the allocator handle and the memory budget.
 */
#ifndef VR_BASE_MEMORY_H
#define VR_BASE_MEMORY_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <varve/types.h>

/* An allocator. Constant after creation; its functions are called by any thread. vr_mem_system() is malloc and free. */
typedef struct vr_mem {
    void *(*allocate)(void *context, size_t size);
    void *(*reallocate)(void *context, void *old, size_t size);
    void (*release)(void *context, void *pointer);
    void *context;
} vr_mem;

vr_mem vr_mem_system(void);

/* NULL when there is no memory; size 0 gives a pointer that may be freed. Freeing NULL does nothing. */
void *vr_alloc(const vr_mem *mem, size_t size);
void *vr_zalloc(const vr_mem *mem, size_t size);             /* zeroed */
void *vr_realloc(const vr_mem *mem, void *old, size_t size); /* on failure old stays */
void vr_free(const vr_mem *mem, void *pointer);
char *vr_strdup(const vr_mem *mem, const char *string);

/* Grows *items (of item_size each) so that count items fit, at least doubling. Returns false when there is no memory. */
bool vr_grow(const vr_mem *mem, void **items, size_t *capacity, size_t count, size_t item_size);

/* Sorts count items of item_size, in place (qsort_r). compare gets context; equal items keep no particular order. */
void vr_sort(void *items, size_t count, size_t item_size, int (*compare)(const void *a, const void *b, void *context),
             void *context);

/* What the budget's bytes are held for. */
typedef enum vr_use { VR_USE_MEMTABLE, VR_USE_CACHE, VR_USE_INDEX, VR_USE_WAL, VR_USE_WORK, VR_USE_COUNT } vr_use;

/*
 * One budget for a database. All fields but limit are atomic; any thread. Who holds more than it should gives back: see
 * table/cache.h.
 */
typedef struct vr_budget {
    uint64_t limit; /* constant after open */
    _Atomic uint64_t held[VR_USE_COUNT];
    _Atomic uint64_t total;
} vr_budget;

void vr_budget_init(vr_budget *budget, uint64_t limit);
void vr_budget_charge(vr_budget *budget, vr_use use, uint64_t bytes);
void vr_budget_release(vr_budget *budget, vr_use use, uint64_t bytes);
uint64_t vr_budget_total(const vr_budget *budget);
uint64_t vr_budget_held(const vr_budget *budget, vr_use use);

/* Buffers (varve_buffer of types.h), which live on malloc because their owner is the caller. Return false without memory. */
bool vr_buffer_reserve(varve_buffer *buffer, size_t capacity);
bool vr_buffer_append(varve_buffer *buffer, const void *data, size_t size);
bool vr_buffer_set(varve_buffer *buffer, varve_slice content);

#endif
