/*
 * changelog/clock.h - the wall clock behind a seam (tests run on the simulated broker's), the monotonic clock, random bytes, and
 * how long one goes on trying. Threads: any; a vcl_retry belongs to one thread.
 */
#ifndef VCL_CLOCK_H
#define VCL_CLOCK_H

#include <time.h>
#include <varve/types.h>

/* The wall clock: ms since 1970. Decides on the age of a position, never on waiting. */
typedef struct vcl_clock {
    int64_t (*now_ms)(void *context);
    void *context;
} vcl_clock;

vcl_clock vcl_clock_system(void);
uint64_t vcl_monotonic_ms(void);
void vcl_sleep_ms(uint32_t ms);
struct timespec vcl_deadline_in(uint64_t ms); /* on the monotonic clock, for waiting on a condition */

/* Fills bytes from the kernel's generator. Returns: VARVE_IO when it has none. */
varve_status vcl_random(void *bytes, size_t size, varve_error *err);

/* Trying again with growing pauses. */
typedef struct vcl_retry {
    uint32_t patience_ms; /* gives up when nothing has succeeded for so long; 0: never */
    /* Pauses, and returns false when the thread is to stop. */
    bool (*pause)(void *context, uint32_t ms);
    void *context;
    uint64_t since_ms; /* of the first failure after the last success; 0: none */
    uint32_t delay_ms; /* of the next pause */
} vcl_retry;

/* A retry that gives up after patience_ms and pauses by sleeping. */
vcl_retry vcl_retry_patient(uint32_t patience_ms);

/* After a failure: pauses. Returns: true to try again, false to give up. */
bool vcl_retry_again(vcl_retry *retry);

/* After a success: the next failure is a first one. */
void vcl_retry_reset(vcl_retry *retry);

#endif
