/*
 * os/faultfs.c - a file system over another one that fails chosen operations.
 *
 * Which call counts as which kind:
 *
 *     OPEN     open, lock              RENAME   rename, link             MAP   map
 *     PREAD    pread, get_size         REMOVE   remove                   DIR   make_dir, remove_dir, sync_dir, list
 *     PWRITE   pwrite                  RESERVE  reserve, set_size
 *     SYNC     sync
 *
 * close and unmap never fail. A failed pwrite has written the first half of its bytes, as a disk that fills up may. Any other
 * failed call has not reached the file system below.
 *
 * Threads: any. The plan is under the mutex; the counts are atomic so that they can be read at any time.
 */
#include "os/faultfs.h"

#include <stdatomic.h>
#include <string.h>

#include "base/check.h"
#include "base/error.h"
#include "os/alloc.h"
#include "os/thread.h"

#define RANK_FAULTFS (VR_RANK_LEAF + 1) /* files are also used under a leaf's mutex */

struct vr_faultfs {
    vr_fs base;
    vr_fs *under; /* constant */
    vr_mutex mutex;
    unsigned kinds; /* the plan: under mutex */
    uint64_t nth;
    int os_error;
    bool persistent;
    _Atomic uint64_t count; /* written under mutex */
    _Atomic uint64_t injected;
};

/* Constant after open. */
typedef struct fault_file {
    vr_file base;
    vr_file *under;
    char path[]; /* for messages */
} fault_file;

static vr_faultfs *faultfs_of(vr_fs *fs) {
    return (vr_faultfs *)fs;
}

static fault_file *fault_of(vr_file *file) {
    return (fault_file *)file;
}

/* Counts an operation. Returns the error it is to fail with, or 0. */
static int planned(vr_faultfs *self, unsigned kind) {
    int os_error = 0;
    vr_mutex_lock(&self->mutex);
    if (self->kinds & kind) {
        uint64_t count = atomic_fetch_add_explicit(&self->count, 1, memory_order_relaxed) + 1;
        if (self->nth != 0 && (count == self->nth || (self->persistent && count > self->nth))) {
            os_error = self->os_error;
            atomic_fetch_add_explicit(&self->injected, 1, memory_order_relaxed);
        }
    }
    vr_mutex_unlock(&self->mutex);
    return os_error;
}

/* VARVE_OK, or the failure that is due. */
static varve_status pass(vr_fs *fs, unsigned kind, const char *what, const char *path, varve_error *err) {
    int os_error = planned(faultfs_of(fs), kind);
    return os_error == 0 ? VARVE_OK : vr_error_os(err, os_error, "injected fault: cannot %s %s", what, path);
}

static varve_status wrap(vr_fs *fs, const char *path, vr_file *under, vr_file **file, varve_error *err) {
    size_t path_size = strlen(path) + 1;
    fault_file *created = vr_os_alloc(sizeof *created + path_size);
    if (!created) {
        vr_file_close(under, NULL);
        return vr_error_nomem(err, sizeof *created + path_size, "an open file");
    }
    created->base.fs = fs;
    created->under = under;
    memcpy(created->path, path, path_size);
    *file = &created->base;
    return VARVE_OK;
}

static varve_status fault_open(vr_fs *fs, const char *path, unsigned flags, vr_file **file, varve_error *err) {
    vr_file *under;
    varve_status status = pass(fs, VR_FAULT_OPEN, "open", path, err);
    if (status == VARVE_OK) status = vr_fs_open(faultfs_of(fs)->under, path, flags, &under, err);
    return status == VARVE_OK ? wrap(fs, path, under, file, err) : status;
}

static varve_status fault_lock(vr_fs *fs, const char *path, vr_file **lock, varve_error *err) {
    vr_file *under;
    varve_status status = pass(fs, VR_FAULT_OPEN, "lock", path, err);
    if (status == VARVE_OK) status = vr_fs_lock(faultfs_of(fs)->under, path, &under, err);
    return status == VARVE_OK ? wrap(fs, path, under, lock, err) : status;
}

static varve_status fault_remove(vr_fs *fs, const char *path, varve_error *err) {
    varve_status status = pass(fs, VR_FAULT_REMOVE, "remove", path, err);
    return status == VARVE_OK ? vr_fs_remove(faultfs_of(fs)->under, path, err) : status;
}

static varve_status fault_rename(vr_fs *fs, const char *from, const char *to, varve_error *err) {
    varve_status status = pass(fs, VR_FAULT_RENAME, "rename", from, err);
    return status == VARVE_OK ? vr_fs_rename(faultfs_of(fs)->under, from, to, err) : status;
}

static varve_status fault_link(vr_fs *fs, const char *from, const char *to, varve_error *err) {
    varve_status status = pass(fs, VR_FAULT_RENAME, "link", from, err);
    return status == VARVE_OK ? vr_fs_link(faultfs_of(fs)->under, from, to, err) : status;
}

static varve_status fault_make_dir(vr_fs *fs, const char *path, varve_error *err) {
    varve_status status = pass(fs, VR_FAULT_DIR, "create the directory", path, err);
    return status == VARVE_OK ? vr_fs_make_dir(faultfs_of(fs)->under, path, err) : status;
}

static varve_status fault_remove_dir(vr_fs *fs, const char *path, varve_error *err) {
    varve_status status = pass(fs, VR_FAULT_DIR, "remove the directory", path, err);
    return status == VARVE_OK ? vr_fs_remove_dir(faultfs_of(fs)->under, path, err) : status;
}

static varve_status fault_sync_dir(vr_fs *fs, const char *path, varve_error *err) {
    varve_status status = pass(fs, VR_FAULT_DIR, "sync the directory", path, err);
    return status == VARVE_OK ? vr_fs_sync_dir(faultfs_of(fs)->under, path, err) : status;
}

static varve_status fault_list(vr_fs *fs, const char *path, vr_fs_list_fn visit, void *context, varve_error *err) {
    varve_status status = pass(fs, VR_FAULT_DIR, "read the directory", path, err);
    return status == VARVE_OK ? vr_fs_list(faultfs_of(fs)->under, path, visit, context, err) : status;
}

static varve_status fault_close(vr_file *file, varve_error *err) {
    varve_status status = vr_file_close(fault_of(file)->under, err);
    vr_os_free(file);
    return status;
}

static varve_status fault_pread(vr_file *file, void *data, size_t size, uint64_t offset, size_t *got, varve_error *err) {
    varve_status status = pass(file->fs, VR_FAULT_PREAD, "read", fault_of(file)->path, err);
    return status == VARVE_OK ? vr_file_pread(fault_of(file)->under, data, size, offset, got, err) : status;
}

static varve_status fault_pwrite(vr_file *file, const void *data, size_t size, uint64_t offset, varve_error *err) {
    varve_status status = pass(file->fs, VR_FAULT_PWRITE, "write", fault_of(file)->path, err);
    if (status == VARVE_OK) return vr_file_pwrite(fault_of(file)->under, data, size, offset, err);
    vr_file_pwrite(fault_of(file)->under, data, size / 2, offset, NULL);
    return status;
}

static varve_status fault_sync(vr_file *file, varve_error *err) {
    varve_status status = pass(file->fs, VR_FAULT_SYNC, "sync", fault_of(file)->path, err);
    return status == VARVE_OK ? vr_file_sync(fault_of(file)->under, err) : status;
}

static varve_status fault_get_size(vr_file *file, uint64_t *size, varve_error *err) {
    varve_status status = pass(file->fs, VR_FAULT_PREAD, "examine", fault_of(file)->path, err);
    return status == VARVE_OK ? vr_file_get_size(fault_of(file)->under, size, err) : status;
}

static varve_status fault_set_size(vr_file *file, uint64_t size, varve_error *err) {
    varve_status status = pass(file->fs, VR_FAULT_RESERVE, "set the size of", fault_of(file)->path, err);
    return status == VARVE_OK ? vr_file_set_size(fault_of(file)->under, size, err) : status;
}

static varve_status fault_reserve(vr_file *file, uint64_t size, varve_error *err) {
    varve_status status = pass(file->fs, VR_FAULT_RESERVE, "reserve space for", fault_of(file)->path, err);
    return status == VARVE_OK ? vr_file_reserve(fault_of(file)->under, size, err) : status;
}

static varve_status fault_map(vr_file *file, size_t size, bool writable, void **address, varve_error *err) {
    varve_status status = pass(file->fs, VR_FAULT_MAP, "map", fault_of(file)->path, err);
    return status == VARVE_OK ? vr_file_map(fault_of(file)->under, size, writable, address, err) : status;
}

static void fault_unmap(vr_file *file, void *address, size_t size) {
    vr_file_unmap(fault_of(file)->under, address, size);
}

static const vr_fs_ops fault_ops = {
    .open = fault_open,
    .remove = fault_remove,
    .rename = fault_rename,
    .link = fault_link,
    .make_dir = fault_make_dir,
    .remove_dir = fault_remove_dir,
    .sync_dir = fault_sync_dir,
    .list = fault_list,
    .lock = fault_lock,
    .close = fault_close,
    .pread = fault_pread,
    .pwrite = fault_pwrite,
    .sync = fault_sync,
    .get_size = fault_get_size,
    .set_size = fault_set_size,
    .reserve = fault_reserve,
    .map = fault_map,
    .unmap = fault_unmap,
};

varve_status vr_faultfs_create(vr_fs *under, vr_faultfs **faultfs, varve_error *err) {
    VR_ASSERT(under != NULL);
    vr_faultfs *created = vr_os_alloc(sizeof *created);
    if (!created) return vr_error_nomem(err, sizeof *created, "a fault injecting file system");
    created->base.ops = &fault_ops;
    created->under = under;
    vr_mutex_init(&created->mutex, RANK_FAULTFS);
    *faultfs = created;
    return VARVE_OK;
}

void vr_faultfs_free(vr_faultfs *faultfs) {
    if (!faultfs) return;
    vr_mutex_destroy(&faultfs->mutex);
    vr_os_free(faultfs);
}

vr_fs *vr_faultfs_fs(vr_faultfs *faultfs) {
    return &faultfs->base;
}

void vr_faultfs_arm(vr_faultfs *faultfs, unsigned kinds, uint64_t nth, int os_error, bool persistent) {
    VR_ASSERT(nth == 0 || os_error > 0);
    vr_mutex_lock(&faultfs->mutex);
    faultfs->kinds = kinds;
    faultfs->nth = nth;
    faultfs->os_error = os_error;
    faultfs->persistent = persistent;
    atomic_store_explicit(&faultfs->count, 0, memory_order_relaxed);
    atomic_store_explicit(&faultfs->injected, 0, memory_order_relaxed);
    vr_mutex_unlock(&faultfs->mutex);
}

uint64_t vr_faultfs_count(const vr_faultfs *faultfs) {
    return atomic_load_explicit(&faultfs->count, memory_order_relaxed);
}

uint64_t vr_faultfs_injected(const vr_faultfs *faultfs) {
    return atomic_load_explicit(&faultfs->injected, memory_order_relaxed);
}
