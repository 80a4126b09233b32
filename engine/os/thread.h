/*
 * os/thread.h - threads, ranked mutexes, conditions.
 *
 * A mutex has a rank; a thread may only lock a mutex of a higher rank than those it holds (checked where VR_DEBUG is defined).
 */
#ifndef VR_OS_THREAD_H
#define VR_OS_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <varve/types.h>

/* Ranks, in the order in which they may be nested. */
enum {
    VR_RANK_HANDLE = 5,    /* db: a feed's or bulk's own state */
    VR_RANK_WRITE = 10,    /* db: the writer's turn */
    VR_RANK_MANIFEST = 20, /* db: changing what the database consists of */
    VR_RANK_DB = 30,       /* db: stores, views, snapshots, background state */
    VR_RANK_WAL = 40,      /* wal: segment list */
    VR_RANK_SYNC = 50,     /* wal: fdatasync */
    VR_RANK_TABLE = 60,    /* table: opening one, the cache's hand */
    VR_RANK_EPOCH = 70,    /* os: retired objects */
    VR_RANK_LEAF = 90      /* anything that takes no other */
};

typedef struct vr_mutex {
    pthread_mutex_t mutex;
    int rank;
} vr_mutex;

void vr_mutex_init(vr_mutex *mutex, int rank);
void vr_mutex_destroy(vr_mutex *mutex);
void vr_mutex_lock(vr_mutex *mutex);
bool vr_mutex_trylock(vr_mutex *mutex);
void vr_mutex_unlock(vr_mutex *mutex);
void vr_mutex_assert_held(const vr_mutex *mutex); /* where VR_DEBUG is defined */

typedef struct vr_cond {
    pthread_cond_t cond;
} vr_cond;

void vr_cond_init(vr_cond *cond);
void vr_cond_destroy(vr_cond *cond);
void vr_cond_wait(vr_cond *cond, vr_mutex *mutex);
bool vr_cond_wait_for(vr_cond *cond, vr_mutex *mutex, uint64_t timeout_us); /* false: the time has passed. Monotonic clock */
void vr_cond_signal(vr_cond *cond);
void vr_cond_broadcast(vr_cond *cond);

typedef struct vr_thread {
    pthread_t thread;
} vr_thread;

/* Starts body(context) with all signals blocked; name is at most 15 bytes. */
varve_status vr_thread_start(vr_thread *thread, const char *name, void (*body)(void *context), void *context, varve_error *err);
void vr_thread_join(vr_thread *thread);

/* A small number that differs between most threads that run at once: which stripe of a striped counter to use. */
unsigned vr_thread_stripe(void);

#endif
