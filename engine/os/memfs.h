/*
 * os/memfs.h - a file system in memory that remembers what is durable, for tests.
 *
 * Every file has a current content (mappings show it directly) and a durable content: what it was at its last sync. Every
 * directory has current and durable entries: durable at its last sync_dir. A clone taken at any moment is the machine after a
 * power cut at that moment.
 */
#ifndef VR_OS_MEMFS_H
#define VR_OS_MEMFS_H

#include "os/fs.h"

typedef struct vr_memfs vr_memfs;

varve_status vr_memfs_create(vr_memfs **memfs, varve_error *err);
void vr_memfs_free(vr_memfs *memfs);
vr_fs *vr_memfs_fs(vr_memfs *memfs);

/* How much of what was not synced a power cut leaves. */
typedef enum vr_crash_mode {
    VR_CRASH_DROP_UNSYNCED, /* durable contents and entries only */
    VR_CRASH_KEEP_ALL,      /* everything: the death of the process alone */
    VR_CRASH_MIXED          /* per 512-byte sector of unsynced data and per unsynced entry: kept or not, by the seed */
} vr_crash_mode;

/* A copy as it would be after a crash now. Any thread, also from within the hook. */
varve_status vr_memfs_clone(vr_memfs *memfs, vr_crash_mode mode, uint64_t seed, vr_memfs **clone, varve_error *err);

/*
 * Called before each operation that changes the file system (operation counts from 1), on the thread that does it, without locks
 * held.
 */
typedef void (*vr_memfs_hook)(void *context, uint64_t operation, const char *name, const char *path);
void vr_memfs_set_hook(vr_memfs *memfs, vr_memfs_hook hook, void *context);

/* Bound on the sum of file sizes: beyond it VARVE_NO_SPACE. 0: none. */
void vr_memfs_set_space(vr_memfs *memfs, uint64_t bytes);

#endif
