/*
 * os/memfs_dir.c - directory entries and paths of the in-memory file system. All under the file system's mutex.
 */
#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "base/error.h"
#include "os/alloc.h"
#include "os/memfs_node.h"

memfs_entry *vr_memfs_dir_find(memfs_node *dir, const char *name, size_t name_size) {
    VR_ASSERT(dir->directory);
    for (size_t i = 0; i < dir->entry_count; i++) {
        const char *candidate = dir->entries[i].name;
        if (strncmp(candidate, name, name_size) == 0 && candidate[name_size] == '\0') return &dir->entries[i];
    }
    return NULL;
}

memfs_entry *vr_memfs_dir_add(memfs_node *dir, const char *name, size_t name_size) {
    memfs_entry *entry = vr_memfs_dir_find(dir, name, name_size);
    if (entry) return entry;
    vr_mem mem = vr_mem_system();
    void *entries = dir->entries;
    if (!vr_grow(&mem, &entries, &dir->entry_capacity, dir->entry_count + 1, sizeof *entry)) return NULL;
    dir->entries = entries;
    char *copy = vr_os_alloc(name_size + 1);
    if (!copy) return NULL;
    memcpy(copy, name, name_size);
    entry = &dir->entries[dir->entry_count++];
    *entry = (memfs_entry){.name = copy};
    return entry;
}

void vr_memfs_entry_set_now(memfs_entry *entry, memfs_node *node, uint64_t change) {
    memfs_node *old = entry->now;
    if (node) {
        vr_memfs_node_ref(node);
        node->names++;
    }
    entry->now = node;
    entry->change = change;
    if (!old) return;
    VR_ASSERT(old->names > 0);
    old->names--;
    vr_memfs_node_unref(old);
}

void vr_memfs_entry_set_kept(memfs_entry *entry, memfs_node *node) {
    memfs_node *old = entry->kept;
    if (node) vr_memfs_node_ref(node);
    entry->kept = node;
    if (old) vr_memfs_node_unref(old);
}

void vr_memfs_dir_trim(memfs_node *dir) {
    size_t count = 0;
    for (size_t i = 0; i < dir->entry_count; i++) {
        if (dir->entries[i].now || dir->entries[i].kept) {
            dir->entries[count++] = dir->entries[i];
        } else {
            vr_os_free(dir->entries[i].name);
        }
    }
    dir->entry_count = count;
}

bool vr_memfs_dir_is_empty(const memfs_node *dir) {
    for (size_t i = 0; i < dir->entry_count; i++) {
        if (dir->entries[i].now) return false;
    }
    return true;
}

void vr_memfs_dir_rename_change(memfs_node *dir, uint64_t from, uint64_t to) {
    for (size_t i = 0; i < dir->entry_count; i++) {
        if (dir->entries[i].change == from) dir->entries[i].change = to;
    }
}

/* Takes the next part of *path, skipping '/' and the part ".". Returns false at the end. */
static bool take_part(const char **path, const char **part, size_t *part_size) {
    for (;;) {
        const char *at = *path + strspn(*path, "/");
        *part = at;
        *part_size = strcspn(at, "/");
        *path = at + *part_size;
        if (*part_size == 0) return false;
        if (*part_size != 1 || **part != '.') return true;
    }
}

varve_status vr_memfs_find_place(vr_memfs *memfs, const char *path, memfs_place *place, varve_error *err) {
    vr_mutex_assert_held(&memfs->mutex);
    const char *rest = path;
    const char *next;
    size_t next_size;
    memfs_place at = {.dir = memfs->root, .name = ""};
    while (take_part(&rest, &next, &next_size)) {
        if (next_size == 2 && memcmp(next, "..", 2) == 0) {
            return vr_error_set(err, VARVE_INVALID, "%s: \"..\" is not known to the in-memory file system", path);
        }
        if (at.name_size > 0) {
            const memfs_entry *entry = vr_memfs_dir_find(at.dir, at.name, at.name_size);
            if (!entry || !entry->now) return vr_error_os(err, ENOENT, "%s: no directory %.*s", path, (int)at.name_size, at.name);
            if (!entry->now->directory) return vr_error_os(err, ENOTDIR, "%s: %.*s", path, (int)at.name_size, at.name);
            at.dir = entry->now;
        }
        at.name = next;
        at.name_size = next_size;
    }
    *place = at;
    return VARVE_OK;
}

varve_status vr_memfs_find(vr_memfs *memfs, const char *what, const char *path, memfs_node **node, varve_error *err) {
    memfs_place place;
    varve_status status = vr_memfs_find_place(memfs, path, &place, err);
    if (status != VARVE_OK) return status;
    if (place.name_size == 0) {
        *node = memfs->root;
        return VARVE_OK;
    }
    const memfs_entry *entry = vr_memfs_dir_find(place.dir, place.name, place.name_size);
    if (!entry || !entry->now) return vr_error_os(err, ENOENT, "cannot %s %s", what, path);
    *node = entry->now;
    return VARVE_OK;
}
