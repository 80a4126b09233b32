/*
 * os/env.c - the system's clocks and randomness.
 */
#include "os/env.h"

#include <errno.h>
#include <sys/random.h>
#include <time.h>

#include "base/check.h"

static uint64_t system_wall_ms(void *context) {
    (void)context;
    struct timespec now;
    VR_CHECK(clock_gettime(CLOCK_REALTIME_COARSE, &now) == 0);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static uint64_t system_monotonic_us(void *context) {
    (void)context;
    struct timespec now;
    VR_CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* An identity that is not random would make two databases one, so a system without randomness ends the process. */
static void system_random_bytes(void *context, void *out, size_t size) {
    (void)context;
    char *at = out;
    while (size > 0) {
        ssize_t got = getrandom(at, size, 0);
        VR_CHECK(got > 0 || (got < 0 && errno == EINTR));
        if (got <= 0) continue;
        at += got;
        size -= (size_t)got;
    }
}

vr_env vr_env_system(void) {
    return (vr_env){
        .mem = vr_mem_system(),
        .fs = vr_fs_posix(),
        .wall_ms = system_wall_ms,
        .monotonic_us = system_monotonic_us,
        .random_bytes = system_random_bytes,
    };
}
