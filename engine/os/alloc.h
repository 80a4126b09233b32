/*
 * os/alloc.h - memory of what is made without an environment: open files, the file systems for tests, a thread's start.
 */
#ifndef VR_OS_ALLOC_H
#define VR_OS_ALLOC_H

#include "base/memory.h"

/* Zeroed; NULL without memory. Any thread. */
static inline void *vr_os_alloc(size_t size) {
    vr_mem mem = vr_mem_system();
    return vr_zalloc(&mem, size);
}

static inline void vr_os_free(void *pointer) {
    vr_mem mem = vr_mem_system();
    vr_free(&mem, pointer);
}

#endif
