/*
 * Ranked mutexes, conditions, threads (os/thread.h).
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "os/thread.h"

static uint64_t now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

Test(thread, mutexes_nest_by_rank) {
    vr_mutex low;
    vr_mutex high;
    vr_mutex_init(&low, VR_RANK_DB);
    vr_mutex_init(&high, VR_RANK_LEAF);
    for (int i = 0; i < 100; i++) {
        vr_mutex_lock(&low);
        vr_mutex_lock(&high);
        vr_mutex_assert_held(&low);
        vr_mutex_assert_held(&high);
        /* In either order. */
        vr_mutex_unlock(i % 2 ? &low : &high);
        vr_mutex_unlock(i % 2 ? &high : &low);
    }
    vr_mutex_destroy(&low);
    vr_mutex_destroy(&high);
}

#ifdef VR_DEBUG

Test(thread, falling_rank_aborts, .signal = SIGABRT) {
    vr_mutex low;
    vr_mutex high;
    vr_mutex_init(&low, VR_RANK_DB);
    vr_mutex_init(&high, VR_RANK_WAL);
    vr_mutex_lock(&high);
    vr_mutex_lock(&low);
}

Test(thread, equal_rank_aborts, .signal = SIGABRT) {
    vr_mutex a;
    vr_mutex b;
    vr_mutex_init(&a, VR_RANK_WAL);
    vr_mutex_init(&b, VR_RANK_WAL);
    vr_mutex_lock(&a);
    vr_mutex_lock(&b);
}

Test(thread, rank_is_checked_against_all_that_are_held, .signal = SIGABRT) {
    vr_mutex a;
    vr_mutex b;
    vr_mutex c;
    vr_mutex_init(&a, VR_RANK_DB);
    vr_mutex_init(&b, VR_RANK_LEAF);
    vr_mutex_init(&c, VR_RANK_WAL);
    vr_mutex_lock(&a);
    vr_mutex_lock(&b);
    vr_mutex_unlock(&a);
    vr_mutex_lock(&c); /* b is held still */
}

Test(thread, ownership_is_asserted, .signal = SIGABRT) {
    vr_mutex mutex;
    vr_mutex_init(&mutex, VR_RANK_DB);
    vr_mutex_assert_held(&mutex);
}

Test(thread, unlocking_what_is_not_held_aborts, .signal = SIGABRT) {
    vr_mutex mutex;
    vr_mutex_init(&mutex, VR_RANK_DB);
    vr_mutex_unlock(&mutex);
}

#endif

/* What the threads of one test share. */
typedef struct shared {
    vr_mutex mutex;
    vr_cond cond;
    uint64_t counter; /* under mutex */
    bool go;          /* under mutex */
    atomic_bool got;
} shared;

static void shared_init(shared *s) {
    vr_mutex_init(&s->mutex, VR_RANK_LEAF);
    vr_cond_init(&s->cond);
    s->counter = 0;
    s->go = false;
    atomic_init(&s->got, false);
}

static void shared_destroy(shared *s) {
    vr_mutex_destroy(&s->mutex);
    vr_cond_destroy(&s->cond);
}

static void count_up(void *context) {
    shared *s = context;
    for (int i = 0; i < 20000; i++) {
        vr_mutex_lock(&s->mutex);
        s->counter++;
        vr_mutex_unlock(&s->mutex);
    }
}

Test(thread, mutexes_exclude) {
    shared s;
    vr_thread threads[4];
    shared_init(&s);
    for (int i = 0; i < 4; i++) cr_assert_eq(vr_thread_start(&threads[i], "count", count_up, &s, NULL), VARVE_OK);
    for (int i = 0; i < 4; i++) vr_thread_join(&threads[i]);
    cr_assert_eq(s.counter, 80000);
    shared_destroy(&s);
}

static void try_once(void *context) {
    shared *s = context;
    bool got = vr_mutex_trylock(&s->mutex);
    atomic_store(&s->got, got);
    if (got) vr_mutex_unlock(&s->mutex);
}

Test(thread, trylock_does_not_wait) {
    shared s;
    vr_thread thread;
    shared_init(&s);
    vr_mutex_lock(&s.mutex);
    cr_assert_eq(vr_thread_start(&thread, "try", try_once, &s, NULL), VARVE_OK);
    vr_thread_join(&thread);
    cr_assert_not(atomic_load(&s.got));
    vr_mutex_unlock(&s.mutex);
    cr_assert_eq(vr_thread_start(&thread, "try", try_once, &s, NULL), VARVE_OK);
    vr_thread_join(&thread);
    cr_assert(atomic_load(&s.got));
    shared_destroy(&s);
}

Test(thread, a_wait_ends_when_its_time_has_passed) {
    static const uint64_t timeouts_us[] = {0, 1000, 30000};
    shared s;
    shared_init(&s);
    vr_mutex_lock(&s.mutex);
    for (size_t i = 0; i < 3; i++) {
        uint64_t before = now_us();
        bool woken = true;
        while (woken && now_us() < before + 5000000) woken = vr_cond_wait_for(&s.cond, &s.mutex, timeouts_us[i]);
        cr_assert_not(woken);
        cr_assert_geq(now_us(), before + timeouts_us[i]);
        vr_mutex_assert_held(&s.mutex);
    }
    vr_mutex_unlock(&s.mutex);
    shared_destroy(&s);
}

static void wait_for_go(void *context) {
    shared *s = context;
    vr_mutex_lock(&s->mutex);
    /* Every other one with a timeout that must not overflow. */
    bool timed = s->counter++ % 2;
    vr_cond_signal(&s->cond);
    while (!s->go) {
        if (!timed) vr_cond_wait(&s->cond, &s->mutex);
        if (timed && !vr_cond_wait_for(&s->cond, &s->mutex, UINT64_MAX)) break;
    }
    if (s->go) s->counter += 100;
    vr_mutex_unlock(&s->mutex);
}

Test(thread, broadcast_wakes_all) {
    shared s;
    vr_thread threads[4];
    shared_init(&s);
    for (int i = 0; i < 4; i++) cr_assert_eq(vr_thread_start(&threads[i], "wait", wait_for_go, &s, NULL), VARVE_OK);
    vr_mutex_lock(&s.mutex);
    while (s.counter < 4) vr_cond_wait_for(&s.cond, &s.mutex, 1000);
    s.go = true;
    vr_cond_broadcast(&s.cond);
    vr_mutex_unlock(&s.mutex);
    for (int i = 0; i < 4; i++) vr_thread_join(&threads[i]);
    cr_assert_eq(s.counter, 404);
    shared_destroy(&s);
}

typedef struct observed {
    char name[16];
    sigset_t mask;
    unsigned stripe;
    unsigned stripe_again;
} observed;

static void observe(void *context) {
    observed *o = context;
    prctl(PR_GET_NAME, o->name);
    pthread_sigmask(SIG_SETMASK, NULL, &o->mask);
    o->stripe = vr_thread_stripe();
    o->stripe_again = vr_thread_stripe();
}

Test(thread, starts_named_and_with_signals_blocked) {
    vr_thread thread;
    observed o = {0};
    sigset_t mine;
    cr_assert_eq(vr_thread_start(&thread, "varve-flush-123", observe, &o, NULL), VARVE_OK);
    vr_thread_join(&thread);
    cr_assert_str_eq(o.name, "varve-flush-123");
    cr_assert(sigismember(&o.mask, SIGINT) && sigismember(&o.mask, SIGTERM) && sigismember(&o.mask, SIGUSR1));
    pthread_sigmask(SIG_SETMASK, NULL, &mine);
    cr_assert_not(sigismember(&mine, SIGUSR1), "the caller's mask is as it was");
}

Test(thread, stripes_spread_and_stay) {
    enum { THREADS = 16 };
    vr_thread threads[THREADS];
    observed o[THREADS];
    unsigned different = 0;
    memset(o, 0, sizeof o);
    for (int i = 0; i < THREADS; i++) cr_assert_eq(vr_thread_start(&threads[i], "stripe", observe, &o[i], NULL), VARVE_OK);
    for (int i = 0; i < THREADS; i++) vr_thread_join(&threads[i]);
    for (int i = 0; i < THREADS; i++) {
        bool first = true;
        cr_assert_eq(o[i].stripe, o[i].stripe_again);
        cr_assert_lt(o[i].stripe, 64);
        for (int j = 0; j < i; j++) first = first && o[j].stripe != o[i].stripe;
        different += first;
    }
    cr_assert_geq(different, THREADS / 4, "%u", different);
}
