/*
 * os/env.h - the environment handle: allocator, file system, clock and diagnostics, given to everything; nothing is global.
 */
#ifndef VR_OS_ENV_H
#define VR_OS_ENV_H

#include <stdint.h>

#include "base/diag.h"
#include "base/memory.h"
#include "os/fs.h"

/* Constant after creation. */
typedef struct vr_env {
    vr_mem mem;
    vr_fs *fs;
    vr_diag diag;
    uint64_t (*wall_ms)(void *context);                          /* wall clock, ms since 1970; coarse (a few ms) */
    uint64_t (*monotonic_us)(void *context);                     /* for durations */
    void (*random_bytes)(void *context, void *out, size_t size); /* identities */
    void *context;
} vr_env;

/* malloc, the posix file system, the system's clocks; no diagnostics. */
vr_env vr_env_system(void);

static inline uint64_t vr_env_wall_ms(const vr_env *env) {
    return env->wall_ms(env->context);
}

static inline uint64_t vr_env_us(const vr_env *env) {
    return env->monotonic_us(env->context);
}

/* Reserves address space for size bytes, zeroed as touched, on 2 MiB pages beyond the first 2 MiB where the system has them. NULL
 * without memory. */
void *vr_pages_reserve(size_t size);
void vr_pages_discard(void *address, size_t size); /* gives the memory back, keeps the addresses; reads as zero again */
void vr_pages_release(void *address, size_t size);

#endif
