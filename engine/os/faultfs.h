/*
 * os/faultfs.h - a file system over another one that fails chosen operations, for tests.
 */
#ifndef VR_OS_FAULTFS_H
#define VR_OS_FAULTFS_H

#include "os/fs.h"

typedef struct vr_faultfs vr_faultfs;

varve_status vr_faultfs_create(vr_fs *under, vr_faultfs **faultfs, varve_error *err);
void vr_faultfs_free(vr_faultfs *faultfs);
vr_fs *vr_faultfs_fs(vr_faultfs *faultfs);

/* Which operations count and fail. */
enum {
    VR_FAULT_OPEN = 1,
    VR_FAULT_PREAD = 2,
    VR_FAULT_PWRITE = 4,
    VR_FAULT_SYNC = 8,
    VR_FAULT_RENAME = 16,
    VR_FAULT_REMOVE = 32,
    VR_FAULT_RESERVE = 64,
    VR_FAULT_MAP = 128,
    VR_FAULT_DIR = 256,
    VR_FAULT_ALL = 511
};

/*
 * The nth (from 1) operation among kinds fails with os_error (EIO, ENOSPC, ...); and all after it while persistent. 0: none fails.
 */
void vr_faultfs_arm(vr_faultfs *faultfs, unsigned kinds, uint64_t nth, int os_error, bool persistent);

/* Operations among kinds since it was armed, and faults injected. */
uint64_t vr_faultfs_count(const vr_faultfs *faultfs);
uint64_t vr_faultfs_injected(const vr_faultfs *faultfs);

#endif
