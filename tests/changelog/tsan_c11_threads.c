/*
 * tsan_c11_threads.c - C11 threads over POSIX threads, in builds with ThreadSanitizer only.
 *
 * librdkafka may be built with C11 threads, which ThreadSanitizer does not know: the threads it starts that way crash in the
 * sanitizer, and its locks order nothing. glibc's objects are of the same size and form as those of POSIX, so calls are passed on.
 *
 * Its atomics stay unseen, as it is not compiled with the sanitizer: what its own files do to each other is suppressed.
 */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <threads.h>

const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void) { return "race:^rwlock_\nrace:librdkafka/src/\n"; }

_Static_assert(sizeof(mtx_t) == sizeof(pthread_mutex_t), "a C11 mutex is a POSIX mutex");
_Static_assert(sizeof(cnd_t) == sizeof(pthread_cond_t), "a C11 condition variable is a POSIX one");
_Static_assert(sizeof(thrd_t) == sizeof(pthread_t), "a C11 thread is a POSIX thread");

typedef struct start {
    thrd_start_t function;
    void *argument;
} start;

static void *run(void *context) {
    start s = *(start *)context;
    free(context);
    return (void *)(intptr_t)s.function(s.argument);
}

int thrd_create(thrd_t *thread, thrd_start_t function, void *argument) {
    start *s = malloc(sizeof *s);
    if (!s) return thrd_nomem;
    *s = (start){function, argument};
    if (pthread_create(thread, NULL, run, s) == 0) return thrd_success;
    free(s);
    return thrd_error;
}

int thrd_join(thrd_t thread, int *result) {
    void *value;
    if (pthread_join(thread, &value) != 0) return thrd_error;
    if (result) *result = (int)(intptr_t)value;
    return thrd_success;
}

int mtx_init(mtx_t *mutex, int type) {
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, type & mtx_recursive ? PTHREAD_MUTEX_RECURSIVE : PTHREAD_MUTEX_NORMAL);
    int failed = pthread_mutex_init((pthread_mutex_t *)mutex, &attributes);
    pthread_mutexattr_destroy(&attributes);
    return failed ? thrd_error : thrd_success;
}

static int from_errno(int error) {
    return error == 0 ? thrd_success : error == EBUSY ? thrd_busy : error == ETIMEDOUT ? thrd_timedout : thrd_error;
}

int mtx_lock(mtx_t *mutex) {
    return from_errno(pthread_mutex_lock((pthread_mutex_t *)mutex));
}
int mtx_trylock(mtx_t *mutex) {
    return from_errno(pthread_mutex_trylock((pthread_mutex_t *)mutex));
}
int mtx_unlock(mtx_t *mutex) {
    return from_errno(pthread_mutex_unlock((pthread_mutex_t *)mutex));
}
void mtx_destroy(mtx_t *mutex) {
    pthread_mutex_destroy((pthread_mutex_t *)mutex);
}

int cnd_init(cnd_t *condition) {
    return from_errno(pthread_cond_init((pthread_cond_t *)condition, NULL));
}
int cnd_signal(cnd_t *condition) {
    return from_errno(pthread_cond_signal((pthread_cond_t *)condition));
}
int cnd_broadcast(cnd_t *condition) {
    return from_errno(pthread_cond_broadcast((pthread_cond_t *)condition));
}
void cnd_destroy(cnd_t *condition) {
    pthread_cond_destroy((pthread_cond_t *)condition);
}

int cnd_wait(cnd_t *condition, mtx_t *mutex) {
    return from_errno(pthread_cond_wait((pthread_cond_t *)condition, (pthread_mutex_t *)mutex));
}

int cnd_timedwait(cnd_t *condition, mtx_t *mutex, const struct timespec *until) {
    return from_errno(pthread_cond_timedwait((pthread_cond_t *)condition, (pthread_mutex_t *)mutex, until));
}

#endif
#endif

typedef int tsan_c11_threads_is_empty_elsewhere;
