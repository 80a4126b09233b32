/*
 * os/fs.c - the calls of the file system contract: one line each to the implementation, and what can be built from them.
 */
#include "os/fs.h"

#include <string.h>

#include "base/check.h"
#include "base/error.h"
#include "base/memory.h"

varve_status vr_fs_open(vr_fs *fs, const char *path, unsigned flags, vr_file **file, varve_error *err) {
    VR_ASSERT(flags & (VR_OPEN_READ | VR_OPEN_WRITE));
    VR_ASSERT(!(flags & (VR_OPEN_CREATE | VR_OPEN_TRUNCATE)) || (flags & VR_OPEN_WRITE));
    VR_ASSERT(!(flags & VR_OPEN_EXCLUSIVE) || (flags & VR_OPEN_CREATE));
    return fs->ops->open(fs, path, flags, file, err);
}

varve_status vr_fs_remove(vr_fs *fs, const char *path, varve_error *err) {
    return fs->ops->remove(fs, path, err);
}

varve_status vr_fs_rename(vr_fs *fs, const char *from, const char *to, varve_error *err) {
    return fs->ops->rename(fs, from, to, err);
}

varve_status vr_fs_link(vr_fs *fs, const char *from, const char *to, varve_error *err) {
    return fs->ops->link(fs, from, to, err);
}

varve_status vr_fs_make_dir(vr_fs *fs, const char *path, varve_error *err) {
    return fs->ops->make_dir(fs, path, err);
}

varve_status vr_fs_remove_dir(vr_fs *fs, const char *path, varve_error *err) {
    return fs->ops->remove_dir(fs, path, err);
}

varve_status vr_fs_sync_dir(vr_fs *fs, const char *path, varve_error *err) {
    return fs->ops->sync_dir(fs, path, err);
}

/* visit returns false to see no more names; the call succeeds all the same. */
varve_status vr_fs_list(vr_fs *fs, const char *path, vr_fs_list_fn visit, void *context, varve_error *err) {
    VR_ASSERT(visit != NULL);
    return fs->ops->list(fs, path, visit, context, err);
}

varve_status vr_fs_lock(vr_fs *fs, const char *path, vr_file **lock, varve_error *err) {
    return fs->ops->lock(fs, path, lock, err);
}

varve_status vr_file_close(vr_file *file, varve_error *err) {
    return file ? file->fs->ops->close(file, err) : VARVE_OK;
}

varve_status vr_file_pread(vr_file *file, void *data, size_t size, uint64_t offset, size_t *got, varve_error *err) {
    return file->fs->ops->pread(file, data, size, offset, got, err);
}

varve_status vr_file_pwrite(vr_file *file, const void *data, size_t size, uint64_t offset, varve_error *err) {
    return file->fs->ops->pwrite(file, data, size, offset, err);
}

varve_status vr_file_sync(vr_file *file, varve_error *err) {
    return file->fs->ops->sync(file, err);
}

varve_status vr_file_get_size(vr_file *file, uint64_t *size, varve_error *err) {
    return file->fs->ops->get_size(file, size, err);
}

varve_status vr_file_set_size(vr_file *file, uint64_t size, varve_error *err) {
    return file->fs->ops->set_size(file, size, err);
}

varve_status vr_file_reserve(vr_file *file, uint64_t size, varve_error *err) {
    return file->fs->ops->reserve(file, size, err);
}

varve_status vr_file_map(vr_file *file, size_t size, bool writable, void **address, varve_error *err) {
    return file->fs->ops->map(file, size, writable, address, err);
}

void vr_file_unmap(vr_file *file, void *address, size_t size) {
    if (address) file->fs->ops->unmap(file, address, size);
}

bool vr_path_join(char out[VR_PATH_BYTES_MAX], const char *dir, const char *name) {
    size_t dir_size = strlen(dir);
    size_t name_size = strlen(name);
    bool separate = dir_size > 0 && dir[dir_size - 1] != '/';
    if (dir_size >= VR_PATH_BYTES_MAX || name_size >= VR_PATH_BYTES_MAX) return false;
    if (dir_size + separate + name_size + 1 > VR_PATH_BYTES_MAX) return false;
    memcpy(out, dir, dir_size);
    if (separate) out[dir_size++] = '/';
    memcpy(out + dir_size, name, name_size + 1);
    return true;
}

static varve_status copy_content(vr_file *source, vr_file *target, varve_error *err) {
    enum { PIECE_BYTES = 256 << 10 };
    vr_mem mem = vr_mem_system();
    char *piece = vr_alloc(&mem, PIECE_BYTES);
    if (!piece) return vr_error_nomem(err, PIECE_BYTES, "copying a file");
    varve_status status = VARVE_OK;
    uint64_t offset = 0;
    size_t got = PIECE_BYTES;
    while (status == VARVE_OK && got == PIECE_BYTES) {
        status = vr_file_pread(source, piece, PIECE_BYTES, offset, &got, err);
        if (status == VARVE_OK && got > 0) status = vr_file_pwrite(target, piece, got, offset, err);
        offset += got;
    }
    vr_free(&mem, piece);
    return status;
}

/* After a failure to is not there, unless it was there before. The entry of to is the caller's to make durable. */
varve_status vr_fs_copy(vr_fs *fs, const char *from, const char *to, varve_error *err) {
    vr_file *source = NULL;
    vr_file *target = NULL;
    varve_status status = vr_fs_open(fs, from, VR_OPEN_READ, &source, err);
    if (status != VARVE_OK) return status;
    status = vr_fs_open(fs, to, VR_OPEN_WRITE | VR_OPEN_CREATE | VR_OPEN_EXCLUSIVE, &target, err);
    if (status != VARVE_OK) goto out;
    status = copy_content(source, target, err);
    if (status == VARVE_OK) status = vr_file_sync(target, err);
    varve_status closed = vr_file_close(target, status == VARVE_OK ? err : NULL);
    if (status == VARVE_OK) status = closed;
    if (status != VARVE_OK) vr_fs_remove(fs, to, NULL);

out:
    vr_file_close(source, NULL);
    return status;
}
