/*
 * os/thread.c - ranked mutexes, conditions, threads.
 *
 * Where VR_DEBUG is defined each thread remembers the mutexes it holds, and locking one whose rank is not above all of them
 * aborts: a lock order that could deadlock is found by any run that takes it, not only by the one that hangs. A condition's
 * mutex stays in the list while its thread waits.
 */
#include "os/thread.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/error.h"
#include "os/alloc.h"

#ifdef VR_DEBUG

#define HELD_MAX 16

/* Only this thread; no other code of the process can see it. */
static _Thread_local struct {
    const vr_mutex *mutexes[HELD_MAX];
    unsigned count;
} held;

static bool is_held(const vr_mutex *mutex) {
    for (unsigned i = 0; i < held.count; i++) {
        if (held.mutexes[i] == mutex) return true;
    }
    return false;
}

static void check_rank(const vr_mutex *mutex) {
    for (unsigned i = 0; i < held.count; i++) VR_CHECK(held.mutexes[i]->rank < mutex->rank);
}

static void note_locked(const vr_mutex *mutex) {
    VR_CHECK(held.count < HELD_MAX);
    held.mutexes[held.count++] = mutex;
}

static void note_unlocked(const vr_mutex *mutex) {
    VR_CHECK(is_held(mutex));
    unsigned i = 0;
    while (held.mutexes[i] != mutex) i++;
    held.count--;
    memmove(&held.mutexes[i], &held.mutexes[i + 1], (held.count - i) * sizeof held.mutexes[0]);
}

void vr_mutex_assert_held(const vr_mutex *mutex) {
    VR_CHECK(is_held(mutex));
}

#else

static void check_rank(const vr_mutex *mutex) {
    (void)mutex;
}

static void note_locked(const vr_mutex *mutex) {
    (void)mutex;
}

static void note_unlocked(const vr_mutex *mutex) {
    (void)mutex;
}

void vr_mutex_assert_held(const vr_mutex *mutex) {
    (void)mutex;
}

#endif

void vr_mutex_init(vr_mutex *mutex, int rank) {
    VR_ASSERT(rank > 0);
    mutex->rank = rank;
    VR_CHECK(pthread_mutex_init(&mutex->mutex, NULL) == 0);
}

void vr_mutex_destroy(vr_mutex *mutex) {
    VR_CHECK(pthread_mutex_destroy(&mutex->mutex) == 0);
}

void vr_mutex_lock(vr_mutex *mutex) {
    check_rank(mutex);
    VR_CHECK(pthread_mutex_lock(&mutex->mutex) == 0);
    note_locked(mutex);
}

/* The rank is not checked: who does not wait cannot deadlock. */
bool vr_mutex_trylock(vr_mutex *mutex) {
    int result = pthread_mutex_trylock(&mutex->mutex);
    VR_CHECK(result == 0 || result == EBUSY);
    if (result == 0) note_locked(mutex);
    return result == 0;
}

void vr_mutex_unlock(vr_mutex *mutex) {
    note_unlocked(mutex);
    VR_CHECK(pthread_mutex_unlock(&mutex->mutex) == 0);
}

void vr_cond_init(vr_cond *cond) {
    pthread_condattr_t attributes;
    VR_CHECK(pthread_condattr_init(&attributes) == 0);
    VR_CHECK(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0);
    VR_CHECK(pthread_cond_init(&cond->cond, &attributes) == 0);
    pthread_condattr_destroy(&attributes);
}

void vr_cond_destroy(vr_cond *cond) {
    VR_CHECK(pthread_cond_destroy(&cond->cond) == 0);
}

void vr_cond_wait(vr_cond *cond, vr_mutex *mutex) {
    vr_mutex_assert_held(mutex);
    VR_CHECK(pthread_cond_wait(&cond->cond, &mutex->mutex) == 0);
}

bool vr_cond_wait_for(vr_cond *cond, vr_mutex *mutex, uint64_t timeout_us) {
    /* About 30 years: "for ever" must not overflow the deadline. */
    const uint64_t timeout_us_max = UINT64_C(1000000000000000);
    vr_mutex_assert_held(mutex);
    if (timeout_us > timeout_us_max) timeout_us = timeout_us_max;

    struct timespec deadline;
    VR_CHECK(clock_gettime(CLOCK_MONOTONIC, &deadline) == 0);
    deadline.tv_sec += (time_t)(timeout_us / 1000000);
    deadline.tv_nsec += (long)(timeout_us % 1000000) * 1000;
    if (deadline.tv_nsec >= 1000000000) {
        deadline.tv_sec++;
        deadline.tv_nsec -= 1000000000;
    }
    int result = pthread_cond_timedwait(&cond->cond, &mutex->mutex, &deadline);
    VR_CHECK(result == 0 || result == ETIMEDOUT);
    return result == 0;
}

void vr_cond_signal(vr_cond *cond) {
    VR_CHECK(pthread_cond_signal(&cond->cond) == 0);
}

void vr_cond_broadcast(vr_cond *cond) {
    VR_CHECK(pthread_cond_broadcast(&cond->cond) == 0);
}

#define THREAD_NAME_BYTES 16 /* the kernel's bound, with the NUL */

/* What a new thread is told. Owned by it. */
typedef struct thread_start {
    void (*body)(void *context);
    void *context;
    char name[THREAD_NAME_BYTES];
} thread_start;

static void *thread_main(void *argument) {
    thread_start start = *(thread_start *)argument;
    vr_os_free(argument);
    pthread_setname_np(pthread_self(), start.name); /* for the user's debugger; without it all works */
    start.body(start.context);
    return NULL;
}

varve_status vr_thread_start(vr_thread *thread, const char *name, void (*body)(void *context), void *context, varve_error *err) {
    VR_ASSERT(strlen(name) < THREAD_NAME_BYTES);
    thread_start *start = vr_os_alloc(sizeof *start);
    if (!start) return vr_error_nomem(err, sizeof *start, "a thread's start");
    start->body = body;
    start->context = context;
    memcpy(start->name, name, strnlen(name, THREAD_NAME_BYTES - 1));

    /* A new thread inherits the mask: no signal handler of the program ever runs on a thread of ours. */
    sigset_t all, before;
    sigfillset(&all);
    VR_CHECK(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
    int result = pthread_create(&thread->thread, NULL, thread_main, start);
    VR_CHECK(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    if (result != 0) {
        vr_os_free(start);
        return vr_error_os(err, result, "cannot start thread %s", name);
    }
    return VARVE_OK;
}

void vr_thread_join(vr_thread *thread) {
    VR_CHECK(pthread_join(thread->thread, NULL) == 0);
}

/*
 * Threads that are started together get neighbouring kernel ids, so their low bits differ; no counter shared by the process is
 * needed. initial-exec keeps the access to one instruction in a shared library. 0 is "not known yet".
 */
unsigned vr_thread_stripe(void) {
    enum { STRIPES = 64 };
    static _Thread_local __attribute__((tls_model("initial-exec"))) unsigned stripe;
    if (stripe == 0) stripe = (unsigned)gettid() % STRIPES + 1;
    return stripe - 1;
}
