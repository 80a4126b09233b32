/*
 * changelog/clock.c - clocks, random bytes and retries.
 */
#include "clock.h"

#include <errno.h>
#include <sys/random.h>

#include "report.h"

enum { DELAY_FIRST_MS = 5, DELAY_MAX_MS = 500 };

static int64_t system_now_ms(void *context) {
    (void)context;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

vcl_clock vcl_clock_system(void) {
    return (vcl_clock){system_now_ms, NULL};
}

uint64_t vcl_monotonic_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

struct timespec vcl_deadline_in(uint64_t ms) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += (time_t)(ms / 1000);
    at.tv_nsec += (long)(ms % 1000) * 1000000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_nsec -= 1000000000;
        at.tv_sec++;
    }
    return at;
}

void vcl_sleep_ms(uint32_t ms) {
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {
    }
}

varve_status vcl_random(void *bytes, size_t size, varve_error *err) {
    char *at = bytes;
    while (size > 0) {
        ssize_t got = getrandom(at, size, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) {
            int os_error = errno;
            vcl_fail(err, VARVE_IO, 0, "getrandom() failed with errno %d", os_error);
            err->os_error = os_error;
            return VARVE_IO;
        }
        at += got;
        size -= (size_t)got;
    }
    return VARVE_OK;
}

static bool pause_asleep(void *context, uint32_t ms) {
    (void)context;
    vcl_sleep_ms(ms);
    return true;
}

vcl_retry vcl_retry_patient(uint32_t patience_ms) {
    return (vcl_retry){.patience_ms = patience_ms, .pause = pause_asleep};
}

bool vcl_retry_again(vcl_retry *retry) {
    uint64_t now = vcl_monotonic_ms();
    if (retry->since_ms == 0) {
        retry->since_ms = now ? now : 1;
        retry->delay_ms = DELAY_FIRST_MS;
    }
    if (retry->patience_ms > 0 && now - retry->since_ms >= retry->patience_ms) return false;
    uint32_t delay = retry->delay_ms;
    retry->delay_ms = delay >= DELAY_MAX_MS / 2 ? DELAY_MAX_MS : delay * 2;
    return retry->pause(retry->context, delay);
}

void vcl_retry_reset(vcl_retry *retry) {
    retry->since_ms = 0;
}
