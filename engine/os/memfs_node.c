/*
 * os/memfs_node.c - nodes of the in-memory file system and their content.
 */
#include "os/memfs_node.h"

#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/error.h"
#include "os/alloc.h"
#include "os/env.h"

#define CAPACITY_MIN ((size_t)64 << 10)

/*
 * The kernel copies to and from mapped pages whatever the program does to them meanwhile; so does this, and the thread sanitizer
 * is not told. volatile keeps the compiler from making a call to memcpy out of the loop, which would be told.
 */
__attribute__((noinline, no_sanitize("thread"))) void vr_memfs_copy(char *to, const char *from, size_t size) {
    size_t at = 0;
    if ((((uintptr_t)to | (uintptr_t)from) & 7) == 0) {
        for (; at + 8 <= size; at += 8) *(volatile uint64_t *)(to + at) = *(const volatile uint64_t *)(from + at);
    }
    for (; at < size; at++) *(volatile char *)(to + at) = *(const volatile char *)(from + at);
}

__attribute__((noinline, no_sanitize("thread"))) void vr_memfs_zero(char *to, size_t size) {
    size_t at = 0;
    for (; at < size && ((uintptr_t)(to + at) & 7) != 0; at++) *(volatile char *)(to + at) = 0;
    for (; at + 8 <= size; at += 8) *(volatile uint64_t *)(to + at) = 0;
    for (; at < size; at++) *(volatile char *)(to + at) = 0;
}

memfs_blob *vr_memfs_blob_create(size_t size) {
    size_t capacity = size < 64 ? 64 : size;
    memfs_blob *blob = vr_os_alloc(sizeof *blob + capacity);
    if (!blob) return NULL;
    atomic_init(&blob->refs, 1);
    blob->size = size;
    blob->capacity = capacity;
    return blob;
}

void vr_memfs_blob_unref(memfs_blob *blob) {
    /* acq_rel with itself: the last holder frees after all others have read. */
    if (blob && atomic_fetch_sub_explicit(&blob->refs, 1, memory_order_acq_rel) == 1) vr_os_free(blob);
}

memfs_node *vr_memfs_node_create(vr_memfs *memfs, bool directory) {
    memfs_node *node = vr_os_alloc(sizeof *node);
    if (!node) return NULL;
    node->id = ++memfs->next_id;
    node->directory = directory;
    node->next = memfs->nodes;
    node->link = &memfs->nodes;
    if (node->next) node->next->link = &node->next;
    memfs->nodes = node;
    return node;
}

/* The node alone; what its entries refer to is the caller's. */
void vr_memfs_node_free(memfs_node *node) {
    *node->link = node->next;
    if (node->next) node->next->link = node->link;
    vr_memfs_blob_unref(node->blob);
    vr_pages_release(node->bytes, node->capacity);
    for (size_t i = 0; i < node->entry_count; i++) vr_os_free(node->entries[i].name);
    vr_os_free(node->entries);
    vr_os_free(node);
}

void vr_memfs_node_ref(memfs_node *node) {
    node->refs++;
}

void vr_memfs_node_unref(memfs_node *node) {
    VR_ASSERT(node->refs > 0);
    if (--node->refs > 0) return;
    for (size_t i = 0; i < node->entry_count; i++) {
        vr_memfs_entry_set_now(&node->entries[i], NULL, 0);
        vr_memfs_entry_set_kept(&node->entries[i], NULL);
    }
    vr_memfs_node_free(node);
}

const char *vr_memfs_node_bytes(const memfs_node *node) {
    if (node->bytes) return node->bytes;
    VR_ASSERT(node->size == 0 || (node->blob && node->blob->size >= node->size));
    return node->blob ? node->blob->bytes : NULL;
}

void vr_memfs_node_dirty(memfs_node *node, size_t from, size_t to) {
    if (from >= to) return;
    if (node->dirty_from >= node->dirty_to) {
        node->dirty_from = from;
        node->dirty_to = to;
        return;
    }
    if (from < node->dirty_from) node->dirty_from = from;
    if (to > node->dirty_to) node->dirty_to = to;
}

bool vr_memfs_node_is_dirty(const memfs_node *node) {
    size_t durable = node->blob ? node->blob->size : 0;
    return node->maps_writable > 0 || node->dirty_from < node->dirty_to || node->size != durable;
}

varve_status vr_memfs_node_grow(memfs_node *node, size_t capacity, const char *path, varve_error *err) {
    if (node->bytes && capacity <= node->capacity) return VARVE_OK;
    if (node->maps > 0) {
        return vr_error_set(err, VARVE_NO_SPACE, "%s is mapped in memory and cannot grow to %zu bytes, beyond %zu", path, capacity,
                            node->capacity);
    }
    size_t wanted = node->capacity * 2 > capacity ? node->capacity * 2 : capacity;
    if (wanted < CAPACITY_MIN) wanted = CAPACITY_MIN;
    char *bytes = vr_pages_reserve(wanted);
    if (!bytes) return vr_error_nomem(err, wanted, path);
    if (node->size > 0) vr_memfs_copy(bytes, vr_memfs_node_bytes(node), node->size);
    vr_pages_release(node->bytes, node->capacity);
    node->bytes = bytes;
    node->capacity = wanted;
    return VARVE_OK;
}

/* The sum of the sizes of all files that a disk would hold. */
static uint64_t used_space(const vr_memfs *memfs) {
    uint64_t used = 0;
    for (const memfs_node *node = memfs->nodes; node; node = node->next) {
        if (node->names > 0 || node->handles > 0) used += node->size;
    }
    return used;
}

varve_status vr_memfs_node_resize(vr_memfs *memfs, memfs_node *node, uint64_t size, const char *path, varve_error *err) {
    vr_mutex_assert_held(&memfs->mutex);
    if (size == node->size) return VARVE_OK;
    if (size > node->size && memfs->space != 0) {
        uint64_t used = used_space(memfs);
        if (used > memfs->space || size - node->size > memfs->space - used) {
            return vr_error_set(err, VARVE_NO_SPACE, "no space for %s: %" PRIu64 " of %" PRIu64 " bytes are in use", path, used,
                                memfs->space);
        }
    }
    if (size > SIZE_MAX / 4) return vr_error_set(err, VARVE_NO_SPACE, "%s cannot grow beyond the address space", path);
    varve_status status = vr_memfs_node_grow(node, (size_t)size, path, err);
    if (status != VARVE_OK) return status;
    if (size < node->size) vr_memfs_zero(node->bytes + size, node->size - (size_t)size);
    vr_memfs_node_dirty(node, node->size, (size_t)size);
    node->size = (size_t)size;
    return VARVE_OK;
}

/* The node's blob, unshared and with room for its size. NULL without memory: the old one stays. */
static memfs_blob *own_blob(memfs_node *node) {
    memfs_blob *blob = node->blob;
    /* Pairs with the acq_rel of unref: who else held it has read it. New holders come under the mutex only. */
    if (blob && blob->capacity >= node->size && atomic_load_explicit(&blob->refs, memory_order_acquire) == 1) return blob;
    size_t kept = blob ? vr_min_size(blob->size, node->size) : 0;
    size_t capacity = kept > 0 ? node->size + node->size / 2 : node->size; /* a file that is synced once needs no room to grow */
    memfs_blob *own = vr_memfs_blob_create(capacity);
    if (!own) return NULL;
    if (kept > 0) memcpy(own->bytes, blob->bytes, kept);
    vr_memfs_blob_unref(blob);
    node->blob = own;
    return own;
}

bool vr_memfs_node_sync(memfs_node *node) {
    if (node->directory || !vr_memfs_node_is_dirty(node)) return true;
    memfs_blob *blob = own_blob(node);
    if (!blob) return false;
    size_t from = node->maps_writable > 0 ? 0 : node->dirty_from;
    size_t to = node->maps_writable > 0 ? node->size : vr_min_size(node->dirty_to, node->size);
    if (from < to) vr_memfs_copy(blob->bytes + from, node->bytes + from, to - from);
    blob->size = node->size;
    node->dirty_from = node->dirty_to = 0;
    return true;
}
