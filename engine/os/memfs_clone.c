/*
 * os/memfs_clone.c - a copy of an in-memory file system as a crash leaves it.
 *
 * The copy is made in two passes under the source's mutex: first a twin of every node with the content it keeps, then the
 * entries of the directories, pointing at twins. Twins that no entry names in the end are freed. Open handles, locks, the hook
 * and the space bound do not survive.
 *
 *     mode    content now      content durable   entries now        entries durable
 *     drop    durable          durable           kept               kept
 *     all     current          durable           now                kept
 *     mixed   chosen           chosen            chosen             chosen
 *
 * What is chosen depends on the seed and on numbers that a repeated run gives again: the id of a node, the sector, the change.
 */
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/error.h"
#include "base/hash.h"
#include "os/memfs_node.h"

#define SECTOR_BYTES ((size_t)512)
#define SIZE_QUESTION UINT64_MAX        /* in the place of a sector: is the unsynced size kept? */
#define ENTRY_QUESTION (UINT64_MAX - 1) /* in the place of a node's id: is the change kept? */

static bool choose(uint64_t seed, uint64_t what, uint64_t which) {
    uint64_t question[2] = {what, which};
    return vr_hash_seeded(question, sizeof question, seed) & 1;
}

/* A blob of what a power cut leaves of a file with unsynced content. NULL without memory. */
static memfs_blob *mix_content(const memfs_node *node, uint64_t seed) {
    size_t durable_size = node->blob ? node->blob->size : 0;
    size_t size = choose(seed, node->id, SIZE_QUESTION) ? node->size : durable_size;
    memfs_blob *blob = vr_memfs_blob_create(size);
    if (!blob) return NULL;
    for (size_t at = 0; at < size; at += SECTOR_BYTES) {
        size_t end = vr_min_size(at + SECTOR_BYTES, size);
        bool keep = choose(seed, node->id, at / SECTOR_BYTES);
        if (at < durable_size) memcpy(blob->bytes + at, node->blob->bytes + at, vr_min_size(end, durable_size) - at);
        if (keep && at < node->size) vr_memfs_copy(blob->bytes + at, node->bytes + at, vr_min_size(end, node->size) - at);
    }
    return blob;
}

/* Gives the twin the content that the mode leaves. False without memory. */
static bool clone_content(const memfs_node *node, memfs_node *twin, vr_crash_mode mode, uint64_t seed) {
    bool dirty = vr_memfs_node_is_dirty(node);
    if (dirty && mode == VR_CRASH_MIXED) {
        twin->blob = mix_content(node, seed);
        if (!twin->blob) return false;
    } else if (node->blob) {
        /* relaxed: it is held by node, so it cannot go away meanwhile; pairs with nothing. */
        atomic_fetch_add_explicit(&node->blob->refs, 1, memory_order_relaxed);
        twin->blob = node->blob;
    }
    twin->size = twin->blob ? twin->blob->size : 0;
    if (!dirty || mode != VR_CRASH_KEEP_ALL || node->size == 0) {
        if (mode == VR_CRASH_KEEP_ALL) twin->size = node->size;
        return true;
    }
    twin->size = 0;
    if (vr_memfs_node_grow(twin, node->size, "a clone", NULL) != VARVE_OK) return false;
    twin->size = node->size;
    vr_memfs_copy(twin->bytes, node->bytes, node->size);
    vr_memfs_node_dirty(twin, 0, node->size);
    return true;
}

/* The first pass. Leaves every twin that was made in the clone, also on failure. */
static bool clone_nodes(vr_memfs *memfs, vr_memfs *clone, vr_crash_mode mode, uint64_t seed) {
    for (memfs_node *node = memfs->nodes; node; node = node->next) node->twin = NULL;
    memfs->root->twin = clone->root;
    for (memfs_node *node = memfs->nodes; node; node = node->next) {
        if (node->twin) continue;
        memfs_node *twin = vr_memfs_node_create(clone, node->directory);
        if (!twin) return false;
        vr_memfs_node_ref(twin); /* given up in clone_all(), when entries have theirs */
        twin->id = node->id;
        node->twin = twin;
        if (!node->directory && !clone_content(node, twin, mode, seed)) return false;
    }
    return true;
}

/* The second pass, for one directory. */
static bool clone_entries(const memfs_node *dir, vr_crash_mode mode, uint64_t seed) {
    for (size_t i = 0; i < dir->entry_count; i++) {
        const memfs_entry *entry = &dir->entries[i];
        memfs_node *now = entry->kept;
        memfs_node *kept = entry->kept;
        if (mode == VR_CRASH_KEEP_ALL) now = entry->now;
        if (mode == VR_CRASH_MIXED && choose(seed, ENTRY_QUESTION, entry->change)) now = kept = entry->now;
        if (!now && !kept) continue;
        memfs_entry *copy = vr_memfs_dir_add(dir->twin, entry->name, strlen(entry->name));
        if (!copy) return false;
        vr_memfs_entry_set_now(copy, now ? now->twin : NULL, entry->change);
        vr_memfs_entry_set_kept(copy, kept ? kept->twin : NULL);
    }
    return true;
}

static bool clone_all(vr_memfs *memfs, vr_memfs *clone, vr_crash_mode mode, uint64_t seed) {
    clone->next_id = memfs->next_id;
    clone->next_change = memfs->next_change;
    bool done = clone_nodes(memfs, clone, mode, seed);
    clone->next_id = memfs->next_id;
    for (memfs_node *node = memfs->nodes; done && node; node = node->next) {
        if (node->directory) done = clone_entries(node, mode, seed);
    }
    /* Twins give up the reference they were made with; those without a name go, and what only they named, once it is visited. */
    for (memfs_node *node = memfs->nodes; node; node = node->next) {
        if (node->twin && node->twin != clone->root) vr_memfs_node_unref(node->twin);
        node->twin = NULL;
    }
    return done;
}

varve_status vr_memfs_clone(vr_memfs *memfs, vr_crash_mode mode, uint64_t seed, vr_memfs **clone, varve_error *err) {
    vr_memfs *copy;
    varve_status status = vr_memfs_create(&copy, err);
    if (status != VARVE_OK) return status;
    vr_mutex_lock(&memfs->mutex);
    bool done = clone_all(memfs, copy, mode, seed);
    vr_mutex_unlock(&memfs->mutex);
    if (!done) {
        vr_memfs_free(copy);
        return vr_error_nomem(err, sizeof *copy, "a clone of an in-memory file system");
    }
    *clone = copy;
    return VARVE_OK;
}
