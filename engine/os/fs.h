/*
 * os/fs.h - the file system behind one contract, with three implementations: posix, in memory, and fault injecting.
 *
 * Paths are NUL-terminated, separated by '/'. Every failing call fills err with the path, the offset where there is one, and
 * errno. Reads and writes are whole: EINTR and short counts are dealt with inside.
 * Threads: any thread on any file system; one file's calls may run side by side (pread, pwrite, sync), close may not.
 */
#ifndef VR_OS_FS_H
#define VR_OS_FS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <varve/types.h>

typedef struct vr_fs vr_fs;
typedef struct vr_file vr_file;

enum {
    VR_OPEN_READ = 1,
    VR_OPEN_WRITE = 2,     /* with or without READ */
    VR_OPEN_CREATE = 4,    /* mode 0600 */
    VR_OPEN_EXCLUSIVE = 8, /* with CREATE: VARVE_EXISTS when it is there */
    VR_OPEN_TRUNCATE = 16
};

typedef bool (*vr_fs_list_fn)(void *context, const char *name);

/* Implemented by each file system. */
typedef struct vr_fs_ops {
    varve_status (*open)(vr_fs *fs, const char *path, unsigned flags, vr_file **file, varve_error *err);
    varve_status (*remove)(vr_fs *fs, const char *path, varve_error *err);
    /* Replaces to. */
    varve_status (*rename)(vr_fs *fs, const char *from, const char *to, varve_error *err);
    /* Hard link; VARVE_UNSUPPORTED where there are none. */
    varve_status (*link)(vr_fs *fs, const char *from, const char *to, varve_error *err);
    /* Mode 0700; VARVE_EXISTS. */
    varve_status (*make_dir)(vr_fs *fs, const char *path, varve_error *err);
    /* An empty one. */
    varve_status (*remove_dir)(vr_fs *fs, const char *path, varve_error *err);
    /* Makes creations, renames and removals in it durable. */
    varve_status (*sync_dir)(vr_fs *fs, const char *path, varve_error *err);
    /* Names, without . and .., until visit returns false, which is no failure. */
    varve_status (*list)(vr_fs *fs, const char *path, vr_fs_list_fn visit, void *context, varve_error *err);
    /* Created if missing; exclusive among processes and among handles of this process (OFD lock); VARVE_BUSY. Held until close. */
    varve_status (*lock)(vr_fs *fs, const char *path, vr_file **lock, varve_error *err);
    /* Releases file in any case. No mapping of this handle may be left. */
    varve_status (*close)(vr_file *file, varve_error *err);
    /* *got < size only at the end. */
    varve_status (*pread)(vr_file *file, void *data, size_t size, uint64_t offset, size_t *got, varve_error *err);
    varve_status (*pwrite)(vr_file *file, const void *data, size_t size, uint64_t offset, varve_error *err);
    /* fdatasync; mapped stores included. Never retried by the caller. */
    varve_status (*sync)(vr_file *file, varve_error *err);
    varve_status (*get_size)(vr_file *file, uint64_t *size, varve_error *err);
    /* ftruncate. */
    varve_status (*set_size)(vr_file *file, uint64_t size, varve_error *err);
    /* fallocate from 0: blocks exist up to size; VARVE_NO_SPACE. */
    varve_status (*reserve)(vr_file *file, uint64_t size, varve_error *err);
    /* From offset 0, shared. VARVE_INVALID where size is 0 or beyond the file's end. */
    varve_status (*map)(vr_file *file, size_t size, bool writable, void **address, varve_error *err);
    void (*unmap)(vr_file *file, void *address, size_t size);
} vr_fs_ops;

struct vr_fs {
    const vr_fs_ops *ops;
};

struct vr_file {
    vr_fs *fs;
};

/* The functions to call. */
varve_status vr_fs_open(vr_fs *fs, const char *path, unsigned flags, vr_file **file, varve_error *err);
varve_status vr_fs_remove(vr_fs *fs, const char *path, varve_error *err);
varve_status vr_fs_rename(vr_fs *fs, const char *from, const char *to, varve_error *err);
varve_status vr_fs_link(vr_fs *fs, const char *from, const char *to, varve_error *err);
varve_status vr_fs_make_dir(vr_fs *fs, const char *path, varve_error *err);
varve_status vr_fs_remove_dir(vr_fs *fs, const char *path, varve_error *err);
varve_status vr_fs_sync_dir(vr_fs *fs, const char *path, varve_error *err);
varve_status vr_fs_list(vr_fs *fs, const char *path, vr_fs_list_fn visit, void *context, varve_error *err);
varve_status vr_fs_lock(vr_fs *fs, const char *path, vr_file **lock, varve_error *err);
varve_status vr_file_close(vr_file *file, varve_error *err); /* file may be NULL */
varve_status vr_file_pread(vr_file *file, void *data, size_t size, uint64_t offset, size_t *got, varve_error *err);
varve_status vr_file_pwrite(vr_file *file, const void *data, size_t size, uint64_t offset, varve_error *err);
varve_status vr_file_sync(vr_file *file, varve_error *err);
varve_status vr_file_get_size(vr_file *file, uint64_t *size, varve_error *err);
varve_status vr_file_set_size(vr_file *file, uint64_t size, varve_error *err);
varve_status vr_file_reserve(vr_file *file, uint64_t size, varve_error *err);
varve_status vr_file_map(vr_file *file, size_t size, bool writable, void **address, varve_error *err);
void vr_file_unmap(vr_file *file, void *address, size_t size);

/* The posix file system. Static; needs no release. */
vr_fs *vr_fs_posix(void);

/* Joins dir and name into out. Returns false when it does not fit. */
#define VR_PATH_BYTES_MAX 4096
bool vr_path_join(char out[VR_PATH_BYTES_MAX], const char *dir, const char *name);

/* Copies a whole file, synced. to must not exist. */
varve_status vr_fs_copy(vr_fs *fs, const char *from, const char *to, varve_error *err);

#endif
