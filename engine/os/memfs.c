/*
 * os/memfs.c - the operations of the in-memory file system. Nodes and content: memfs_node.h; crashes: memfs_clone.c.
 *
 * What it promises, as a disk does at its least: a file's bytes and size are durable after sync, an entry after sync_dir of its
 * directory, whichever comes first; nothing else ever becomes durable. A rename is one change: a power cut leaves both of its
 * names as they were, or both as they became.
 *
 * Paths: "a/b", "/a/b" and "./a//b" are one; ".." is refused. Operations that count and call the hook: open with CREATE or
 * TRUNCATE, lock, remove, rename, link, make_dir, remove_dir, sync_dir, pwrite, sync, set_size, reserve.
 */
#include "os/memfs.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/error.h"
#include "os/alloc.h"
#include "os/memfs_node.h"

#define RANK_MEMFS (VR_RANK_LEAF + 2) /* files are also used under a leaf's mutex, and from below the fault injector */
#define OFFSET_MAX ((uint64_t)INT64_MAX)
#define MAPPED_SLACK ((size_t)1 << 20) /* a mapped file can double and grow by this much */

/* An open file. maps: under the file system's mutex; the rest is constant. */
typedef struct memfs_file {
    vr_file base;
    memfs_node *node;
    unsigned flags; /* VR_OPEN_* */
    bool locks;
    uint32_t maps;
    char path[]; /* for messages */
} memfs_file;

static vr_memfs *memfs_of(vr_fs *fs) {
    return (vr_memfs *)fs;
}

static memfs_file *file_of(vr_file *file) {
    return (memfs_file *)file;
}

/* Counts a changing operation and tells the hook, then locks. */
static void begin_change(vr_memfs *memfs, const char *name, const char *path) {
    vr_mutex_lock(&memfs->mutex);
    uint64_t operation = ++memfs->operation;
    vr_memfs_hook hook = memfs->hook;
    void *context = memfs->hook_context;
    if (!hook) return;
    vr_mutex_unlock(&memfs->mutex);
    hook(context, operation, name, path);
    vr_mutex_lock(&memfs->mutex);
}

static varve_status no_entry_memory(const char *path, varve_error *err) {
    return vr_error_nomem(err, sizeof(memfs_node), path);
}

/* Finds the node of path, or creates it as a new entry. */
static varve_status find_or_create(vr_memfs *memfs, const char *path, bool create, bool exclusive, memfs_node **node,
                                   varve_error *err) {
    memfs_place place;
    varve_status status = vr_memfs_find_place(memfs, path, &place, err);
    if (status != VARVE_OK) return status;
    if (place.name_size == 0) return vr_error_set(err, VARVE_INVALID, "cannot open %s: it is not a regular file", path);
    memfs_entry *entry = vr_memfs_dir_find(place.dir, place.name, place.name_size);
    if (entry && entry->now) {
        if (exclusive) return vr_error_os(err, EEXIST, "cannot create %s", path);
        if (entry->now->directory) return vr_error_set(err, VARVE_INVALID, "cannot open %s: it is not a regular file", path);
        *node = entry->now;
        return VARVE_OK;
    }
    if (!create) return vr_error_os(err, ENOENT, "cannot open %s", path);
    entry = vr_memfs_dir_add(place.dir, place.name, place.name_size);
    memfs_node *created = entry ? vr_memfs_node_create(memfs, false) : NULL;
    if (!created) {
        vr_memfs_dir_trim(place.dir);
        return no_entry_memory(path, err);
    }
    vr_memfs_entry_set_now(entry, created, ++memfs->next_change);
    *node = created;
    return VARVE_OK;
}

static memfs_file *make_file(vr_fs *fs, const char *path, unsigned flags) {
    size_t path_size = strlen(path) + 1;
    memfs_file *file = vr_os_alloc(sizeof *file + path_size);
    if (!file) return NULL;
    file->base.fs = fs;
    file->flags = flags;
    memcpy(file->path, path, path_size);
    return file;
}

static void attach(memfs_file *file, memfs_node *node) {
    file->node = node;
    vr_memfs_node_ref(node);
    node->handles++;
}

static varve_status memfs_open(vr_fs *fs, const char *path, unsigned flags, vr_file **file, varve_error *err) {
    vr_memfs *memfs = memfs_of(fs);
    memfs_file *opened = make_file(fs, path, flags);
    if (!opened) return no_entry_memory(path, err);
    bool changes = flags & (VR_OPEN_CREATE | VR_OPEN_TRUNCATE);
    if (changes) begin_change(memfs, "open", path);
    if (!changes) vr_mutex_lock(&memfs->mutex);
    memfs_node *node;
    varve_status status = find_or_create(memfs, path, flags & VR_OPEN_CREATE, flags & VR_OPEN_EXCLUSIVE, &node, err);
    if (status == VARVE_OK && flags & VR_OPEN_TRUNCATE) status = vr_memfs_node_resize(memfs, node, 0, path, err);
    if (status == VARVE_OK) attach(opened, node);
    vr_mutex_unlock(&memfs->mutex);
    if (status != VARVE_OK) {
        vr_os_free(opened);
        return status;
    }
    *file = &opened->base;
    return VARVE_OK;
}

static varve_status memfs_lock(vr_fs *fs, const char *path, vr_file **lock, varve_error *err) {
    vr_memfs *memfs = memfs_of(fs);
    memfs_file *opened = make_file(fs, path, VR_OPEN_READ | VR_OPEN_WRITE);
    if (!opened) return no_entry_memory(path, err);
    begin_change(memfs, "lock", path);
    memfs_node *node;
    varve_status status = find_or_create(memfs, path, true, false, &node, err);
    if (status == VARVE_OK && node->locked) {
        status = vr_error_set(err, VARVE_BUSY, "%s is locked by another process, or by another handle of this one", path);
    }
    if (status == VARVE_OK) {
        attach(opened, node);
        opened->locks = true;
        node->locked = true;
    }
    vr_mutex_unlock(&memfs->mutex);
    if (status != VARVE_OK) {
        vr_os_free(opened);
        return status;
    }
    *lock = &opened->base;
    return VARVE_OK;
}

static varve_status memfs_close(vr_file *file, varve_error *err) {
    (void)err;
    memfs_file *self = file_of(file);
    vr_memfs *memfs = memfs_of(file->fs);
    VR_ASSERT(self->maps == 0);
    vr_mutex_lock(&memfs->mutex);
    if (self->locks) self->node->locked = false;
    self->node->handles--;
    vr_memfs_node_unref(self->node);
    vr_mutex_unlock(&memfs->mutex);
    vr_os_free(self);
    return VARVE_OK;
}

/* Finds the entry of a name that exists now. Lock: mutex. */
static varve_status find_entry(vr_memfs *memfs, const char *what, const char *path, memfs_place *place, memfs_entry **entry,
                               varve_error *err) {
    varve_status status = vr_memfs_find_place(memfs, path, place, err);
    if (status != VARVE_OK) return status;
    if (place->name_size == 0) return vr_error_os(err, EBUSY, "cannot %s %s", what, path);
    *entry = vr_memfs_dir_find(place->dir, place->name, place->name_size);
    return *entry && (*entry)->now ? VARVE_OK : vr_error_os(err, ENOENT, "cannot %s %s", what, path);
}

static varve_status remove_entry(vr_fs *fs, const char *path, bool directory, varve_error *err) {
    vr_memfs *memfs = memfs_of(fs);
    const char *what = directory ? "remove the directory" : "remove";
    begin_change(memfs, directory ? "remove_dir" : "remove", path);
    memfs_place place;
    memfs_entry *entry;
    varve_status status = find_entry(memfs, what, path, &place, &entry, err);
    if (status != VARVE_OK) goto out;
    if (entry->now->directory != directory) {
        status = vr_error_os(err, directory ? ENOTDIR : EISDIR, "cannot %s %s", what, path);
    } else if (directory && !vr_memfs_dir_is_empty(entry->now)) {
        status = vr_error_os(err, ENOTEMPTY, "cannot %s %s", what, path);
    } else {
        vr_memfs_entry_set_now(entry, NULL, ++memfs->next_change);
        vr_memfs_dir_trim(place.dir);
    }

out:
    vr_mutex_unlock(&memfs->mutex);
    return status;
}

static varve_status memfs_remove(vr_fs *fs, const char *path, varve_error *err) {
    return remove_entry(fs, path, false, err);
}

static varve_status memfs_remove_dir(vr_fs *fs, const char *path, varve_error *err) {
    return remove_entry(fs, path, true, err);
}

/* Whether target is dir or lies somewhere below it. */
static bool contains(memfs_node *dir, const memfs_node *target) {
    if (dir == target) return true;
    if (!dir->directory) return false;
    for (size_t i = 0; i < dir->entry_count; i++) {
        if (dir->entries[i].now && contains(dir->entries[i].now, target)) return true;
    }
    return false;
}

/* Why moved may not take the name that old has in dir, as an errno; 0 when it may. */
static int rename_error(memfs_node *moved, const memfs_node *old, const memfs_node *dir) {
    if (moved->directory && contains(moved, dir)) return EINVAL;
    if (!old) return 0;
    if (old->directory && !moved->directory) return EISDIR;
    if (!old->directory && moved->directory) return ENOTDIR;
    return old->directory && !vr_memfs_dir_is_empty(old) ? ENOTEMPTY : 0;
}

/* Makes what is pending on either name part of one change with the rename, and moves the node. Lock: mutex. */
static void move_entry(vr_memfs *memfs, memfs_node *from_dir, memfs_entry *source, memfs_node *to_dir, memfs_entry *target) {
    uint64_t change = ++memfs->next_change;
    const memfs_entry *pending[] = {source, target};
    for (int i = 0; i < 2; i++) {
        if (pending[i]->now == pending[i]->kept) continue;
        uint64_t old = pending[i]->change;
        vr_memfs_dir_rename_change(from_dir, old, change);
        vr_memfs_dir_rename_change(to_dir, old, change);
    }
    vr_memfs_entry_set_now(target, source->now, change);
    vr_memfs_entry_set_now(source, NULL, change);
}

static varve_status memfs_rename(vr_fs *fs, const char *from, const char *to, varve_error *err) {
    vr_memfs *memfs = memfs_of(fs);
    begin_change(memfs, "rename", from);
    memfs_place source;
    memfs_place place;
    memfs_entry *entry;
    varve_status status = vr_memfs_find_place(memfs, from, &source, err);
    if (status == VARVE_OK) status = vr_memfs_find_place(memfs, to, &place, err);
    if (status == VARVE_OK) status = find_entry(memfs, "rename", from, &source, &entry, err);
    if (status != VARVE_OK) goto out;
    memfs_node *moved = entry->now;
    memfs_entry *target = vr_memfs_dir_find(place.dir, place.name, place.name_size);
    if (target && target->now == moved) goto out; /* two names of one file: nothing happens */
    int os_error = place.name_size == 0 ? EBUSY : rename_error(moved, target ? target->now : NULL, place.dir);
    if (os_error != 0) {
        status = vr_error_os(err, os_error, "cannot rename %s to %s", from, to);
        goto out;
    }
    target = vr_memfs_dir_add(place.dir, place.name, place.name_size);
    if (!target) {
        status = no_entry_memory(to, err);
        goto out;
    }
    entry = vr_memfs_dir_find(source.dir, source.name, source.name_size); /* adding may have moved it */
    move_entry(memfs, source.dir, entry, place.dir, target);
    vr_memfs_dir_trim(source.dir);

out:
    vr_mutex_unlock(&memfs->mutex);
    return status;
}

/* Adds an entry that must not exist: node, or a new directory where it is NULL. Lock: mutex. */
static varve_status add_entry(vr_memfs *memfs, const char *path, memfs_node *node, varve_error *err) {
    memfs_place place;
    varve_status status = vr_memfs_find_place(memfs, path, &place, err);
    if (status != VARVE_OK) return status;
    memfs_entry *entry = place.name_size == 0 ? NULL : vr_memfs_dir_find(place.dir, place.name, place.name_size);
    if (place.name_size == 0 || (entry && entry->now)) return vr_error_os(err, EEXIST, "cannot create %s", path);
    if (node && node->directory) return vr_error_set(err, VARVE_UNSUPPORTED, "cannot create %s as a link to a directory", path);
    entry = vr_memfs_dir_add(place.dir, place.name, place.name_size);
    if (entry && !node) node = vr_memfs_node_create(memfs, true);
    if (!entry || !node) {
        vr_memfs_dir_trim(place.dir);
        return no_entry_memory(path, err);
    }
    vr_memfs_entry_set_now(entry, node, ++memfs->next_change);
    return VARVE_OK;
}

static varve_status memfs_link(vr_fs *fs, const char *from, const char *to, varve_error *err) {
    vr_memfs *memfs = memfs_of(fs);
    begin_change(memfs, "link", from);
    memfs_node *node;
    varve_status status = vr_memfs_find(memfs, "link", from, &node, err);
    if (status == VARVE_OK) status = add_entry(memfs, to, node, err);
    vr_mutex_unlock(&memfs->mutex);
    return status;
}

static varve_status memfs_make_dir(vr_fs *fs, const char *path, varve_error *err) {
    vr_memfs *memfs = memfs_of(fs);
    begin_change(memfs, "make_dir", path);
    varve_status status = add_entry(memfs, path, NULL, err);
    vr_mutex_unlock(&memfs->mutex);
    return status;
}

static varve_status find_dir(vr_memfs *memfs, const char *path, memfs_node **dir, varve_error *err) {
    varve_status status = vr_memfs_find(memfs, "open the directory", path, dir, err);
    if (status != VARVE_OK || (*dir)->directory) return status;
    return vr_error_os(err, ENOTDIR, "cannot open the directory %s", path);
}

static varve_status memfs_sync_dir(vr_fs *fs, const char *path, varve_error *err) {
    vr_memfs *memfs = memfs_of(fs);
    begin_change(memfs, "sync_dir", path);
    memfs_node *dir;
    varve_status status = find_dir(memfs, path, &dir, err);
    if (status == VARVE_OK) {
        for (size_t i = 0; i < dir->entry_count; i++) vr_memfs_entry_set_kept(&dir->entries[i], dir->entries[i].now);
        vr_memfs_dir_trim(dir);
    }
    vr_mutex_unlock(&memfs->mutex);
    return status;
}

/* The names that exist now, one after the other, each with its NUL. */
static bool collect_names(const memfs_node *dir, varve_buffer *names) {
    for (size_t i = 0; i < dir->entry_count; i++) {
        const char *name = dir->entries[i].name;
        if (dir->entries[i].now && !vr_buffer_append(names, name, strlen(name) + 1)) return false;
    }
    return true;
}

/* The names are copied first: visit may call the file system. */
static varve_status memfs_list(vr_fs *fs, const char *path, vr_fs_list_fn visit, void *context, varve_error *err) {
    vr_memfs *memfs = memfs_of(fs);
    varve_buffer names = {0};
    memfs_node *dir;
    vr_mutex_lock(&memfs->mutex);
    varve_status status = find_dir(memfs, path, &dir, err);
    if (status == VARVE_OK && !collect_names(dir, &names)) status = no_entry_memory(path, err);
    vr_mutex_unlock(&memfs->mutex);
    size_t at = 0;
    while (status == VARVE_OK && at < names.size && visit(context, names.data + at)) at += strlen(names.data + at) + 1;
    varve_buffer_free(&names);
    return status;
}

/* What the kernel says of an access that the file was not opened for, or of an offset beyond all files. */
static varve_status check_access(const memfs_file *self, unsigned needed, size_t size, uint64_t offset, varve_error *err) {
    int os_error = (self->flags & needed) != needed ? EBADF : 0;
    if (os_error == 0 && (offset > OFFSET_MAX || size > OFFSET_MAX - offset)) os_error = EINVAL;
    if (os_error == 0) return VARVE_OK;
    const char *what = needed == VR_OPEN_READ ? "read" : "write";
    return vr_error_os(err, os_error, "cannot %s %s at offset %" PRIu64, what, self->path, offset);
}

static varve_status memfs_pread(vr_file *file, void *data, size_t size, uint64_t offset, size_t *got, varve_error *err) {
    memfs_file *self = file_of(file);
    varve_status status = check_access(self, VR_OPEN_READ, size, offset, err);
    if (status != VARVE_OK) return status;
    vr_memfs *memfs = memfs_of(file->fs);
    vr_mutex_lock(&memfs->mutex);
    size_t end = self->node->size;
    size_t count = offset >= end ? 0 : vr_min_size(size, end - (size_t)offset);
    if (count > 0) vr_memfs_copy(data, vr_memfs_node_bytes(self->node) + offset, count);
    vr_mutex_unlock(&memfs->mutex);
    *got = count;
    return VARVE_OK;
}

static varve_status memfs_pwrite(vr_file *file, const void *data, size_t size, uint64_t offset, varve_error *err) {
    memfs_file *self = file_of(file);
    memfs_node *node = self->node;
    varve_status status = check_access(self, VR_OPEN_WRITE, size, offset, err);
    if (status != VARVE_OK || size == 0) return status;
    vr_memfs *memfs = memfs_of(file->fs);
    begin_change(memfs, "pwrite", self->path);
    if (offset + size > node->size) {
        status = vr_memfs_node_resize(memfs, node, offset + size, self->path, err);
    } else {
        status = vr_memfs_node_grow(node, node->size, self->path, err);
    }
    if (status == VARVE_OK) {
        vr_memfs_copy(node->bytes + offset, data, size);
        vr_memfs_node_dirty(node, (size_t)offset, (size_t)offset + size);
    }
    vr_mutex_unlock(&memfs->mutex);
    return status;
}

static varve_status memfs_sync(vr_file *file, varve_error *err) {
    memfs_file *self = file_of(file);
    vr_memfs *memfs = memfs_of(file->fs);
    begin_change(memfs, "sync", self->path);
    bool synced = vr_memfs_node_sync(self->node);
    vr_mutex_unlock(&memfs->mutex);
    return synced ? VARVE_OK : no_entry_memory(self->path, err);
}

static varve_status memfs_get_size(vr_file *file, uint64_t *size, varve_error *err) {
    (void)err;
    vr_memfs *memfs = memfs_of(file->fs);
    vr_mutex_lock(&memfs->mutex);
    *size = file_of(file)->node->size;
    vr_mutex_unlock(&memfs->mutex);
    return VARVE_OK;
}

static varve_status change_size(vr_file *file, const char *name, uint64_t size, bool may_shrink, varve_error *err) {
    memfs_file *self = file_of(file);
    varve_status status = check_access(self, VR_OPEN_WRITE, 0, size, err);
    if (status != VARVE_OK) return status;
    vr_memfs *memfs = memfs_of(file->fs);
    begin_change(memfs, name, self->path);
    if (may_shrink || size > self->node->size) status = vr_memfs_node_resize(memfs, self->node, size, self->path, err);
    vr_mutex_unlock(&memfs->mutex);
    return status;
}

static varve_status memfs_set_size(vr_file *file, uint64_t size, varve_error *err) {
    return change_size(file, "set_size", size, true, err);
}

static varve_status memfs_reserve(vr_file *file, uint64_t size, varve_error *err) {
    return change_size(file, "reserve", size, false, err);
}

/*
 * A mapping is the address of the current content, which stays where it is from now on. Every mapping of a file that is open for
 * writing counts as written to, because unmap is not told what the mapping was made for.
 */
static varve_status memfs_map(vr_file *file, size_t size, bool writable, void **address, varve_error *err) {
    memfs_file *self = file_of(file);
    memfs_node *node = self->node;
    unsigned needed = writable ? VR_OPEN_READ | VR_OPEN_WRITE : VR_OPEN_READ;
    if ((self->flags & needed) != needed) return vr_error_os(err, EACCES, "cannot map %s", self->path);
    vr_memfs *memfs = memfs_of(file->fs);
    vr_mutex_lock(&memfs->mutex);
    varve_status status = VARVE_OK;
    if (size == 0 || size > node->size) {
        status = vr_error_set(err, VARVE_INVALID, "cannot map %zu bytes of %s, which has %zu", size, self->path, node->size);
    } else if (node->maps == 0) {
        status = vr_memfs_node_grow(node, node->size * 2 + MAPPED_SLACK, self->path, err);
    }
    if (status == VARVE_OK) {
        self->maps++;
        node->maps++;
        if (self->flags & VR_OPEN_WRITE) node->maps_writable++;
        *address = node->bytes;
    }
    vr_mutex_unlock(&memfs->mutex);
    return status;
}

static void memfs_unmap(vr_file *file, void *address, size_t size) {
    memfs_file *self = file_of(file);
    memfs_node *node = self->node;
    vr_memfs *memfs = memfs_of(file->fs);
    vr_mutex_lock(&memfs->mutex);
    VR_CHECK(self->maps > 0 && address == node->bytes);
    self->maps--;
    node->maps--;
    if (self->flags & VR_OPEN_WRITE) {
        node->maps_writable--;
        vr_memfs_node_dirty(node, 0, vr_min_size(size, node->size));
    }
    vr_mutex_unlock(&memfs->mutex);
}

static const vr_fs_ops memfs_ops = {
    .open = memfs_open,
    .remove = memfs_remove,
    .rename = memfs_rename,
    .link = memfs_link,
    .make_dir = memfs_make_dir,
    .remove_dir = memfs_remove_dir,
    .sync_dir = memfs_sync_dir,
    .list = memfs_list,
    .lock = memfs_lock,
    .close = memfs_close,
    .pread = memfs_pread,
    .pwrite = memfs_pwrite,
    .sync = memfs_sync,
    .get_size = memfs_get_size,
    .set_size = memfs_set_size,
    .reserve = memfs_reserve,
    .map = memfs_map,
    .unmap = memfs_unmap,
};

varve_status vr_memfs_create(vr_memfs **memfs, varve_error *err) {
    vr_memfs *created = vr_os_alloc(sizeof *created);
    memfs_node *root = created ? vr_memfs_node_create(created, true) : NULL;
    if (!root) {
        vr_os_free(created);
        return vr_error_nomem(err, sizeof *created + sizeof *root, "an in-memory file system");
    }
    vr_memfs_node_ref(root);
    created->base.ops = &memfs_ops;
    created->root = root;
    vr_mutex_init(&created->mutex, RANK_MEMFS);
    *memfs = created;
    return VARVE_OK;
}

/* No handle may be open. */
void vr_memfs_free(vr_memfs *memfs) {
    if (!memfs) return;
    vr_memfs_node_unref(memfs->root);
    VR_ASSERT(memfs->nodes == NULL);
    vr_mutex_destroy(&memfs->mutex);
    vr_os_free(memfs);
}

vr_fs *vr_memfs_fs(vr_memfs *memfs) {
    return &memfs->base;
}

void vr_memfs_set_hook(vr_memfs *memfs, vr_memfs_hook hook, void *context) {
    vr_mutex_lock(&memfs->mutex);
    memfs->hook = hook;
    memfs->hook_context = context;
    vr_mutex_unlock(&memfs->mutex);
}

void vr_memfs_set_space(vr_memfs *memfs, uint64_t bytes) {
    vr_mutex_lock(&memfs->mutex);
    memfs->space = bytes;
    vr_mutex_unlock(&memfs->mutex);
}
