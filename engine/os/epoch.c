/*
 * os/epoch.c - epoch-based reclamation.
 *
 *     epoch e:     e-1        e         e+1        e+2
 *     reader            [enter ... leave]            counted in counter[e & 1]
 *     retire(x)             x is unlinked, then stamped e
 *     release(x)                          no earlier than here
 *
 * Invariants.
 * 1. The epoch moves from e to e+1 only, under the mutex, and only when the counters of parity e-1 are all zero.
 * 2. A reader that is inside with epoch e was counted in parity e while the epoch was e, so the epoch is e or e+1 until it
 *    leaves: the step to e+2 looks at its counter, and looks after the step to e+1.
 * 3. An object stamped e was unlinked before e+1 began. A reader of epoch e+1 or later has read that number, which was stored
 *    after the unlinking, so it cannot find the object. At epoch e+2 the readers of e and before have left: it is released.
 *
 * A reader that read the epoch, slept, and counts itself into a parity that has meanwhile moved on notices it by reading the
 * epoch again, and takes its count back. Until then it may hold up a step; it never uses anything.
 *
 * Threads: enter, leave: any, no lock. retire, collect: any; they take the mutex (VR_RANK_EPOCH), release functions run without it.
 */
#include "os/epoch.h"

#include <stdalign.h>
#include <stdatomic.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/error.h"
#include "os/thread.h"

#define STRIPES 16u
#define STRIPE_BYTES 128u /* two cache lines: they are prefetched in pairs */
#define GENERATIONS 3u    /* objects wait in the list of their epoch: this one, the one before, and the one that is due */

typedef struct stripe {
    alignas(STRIPE_BYTES) _Atomic uint64_t readers[2]; /* by the parity of the epoch */
} stripe;

struct vr_epoch {
    stripe stripes[STRIPES];                      /* atomic */
    alignas(STRIPE_BYTES) _Atomic uint64_t epoch; /* read by all; written under mutex */
    alignas(STRIPE_BYTES) vr_mutex mutex;
    vr_retired *waiting[GENERATIONS]; /* under mutex; by epoch modulo GENERATIONS */
    _Atomic uint64_t waiting_count;   /* written under mutex; read without it only to skip taking it */
    vr_mem mem;                       /* constant */
    void *allocated;                  /* constant: what to free, this struct being aligned within it */
};

varve_status vr_epoch_create(const vr_mem *mem, vr_epoch **epoch, varve_error *err) {
    size_t size = sizeof(vr_epoch) + STRIPE_BYTES;
    void *allocated = vr_zalloc(mem, size);
    if (!allocated) return vr_error_nomem(err, size, "the epochs");
    vr_epoch *created = (vr_epoch *)(uintptr_t)vr_align_up((uintptr_t)allocated, STRIPE_BYTES);
    created->mem = *mem;
    created->allocated = allocated;
    for (unsigned i = 0; i < STRIPES; i++) {
        atomic_init(&created->stripes[i].readers[0], 0);
        atomic_init(&created->stripes[i].readers[1], 0);
    }
    atomic_init(&created->epoch, GENERATIONS);
    atomic_init(&created->waiting_count, 0);
    vr_mutex_init(&created->mutex, VR_RANK_EPOCH);
    *epoch = created;
    return VARVE_OK;
}

uint32_t vr_epoch_enter(vr_epoch *epoch) {
    uint32_t index = vr_thread_stripe() % STRIPES;
    stripe *mine = &epoch->stripes[index];
    for (;;) {
        uint64_t now = atomic_load_explicit(&epoch->epoch, memory_order_relaxed);
        uint32_t parity = (uint32_t)(now & 1);
        /* Both in one total order with no_readers() and advance(): either the count is seen there, or the new epoch here. */
        atomic_fetch_add_explicit(&mine->readers[parity], 1, memory_order_seq_cst);
        if (atomic_load_explicit(&epoch->epoch, memory_order_seq_cst) == now) return index << 1 | parity;
        atomic_fetch_sub_explicit(&mine->readers[parity], 1, memory_order_relaxed);
    }
}

void vr_epoch_leave(vr_epoch *epoch, uint32_t token) {
    VR_ASSERT(token < STRIPES * 2);
    /* Released to no_readers(): what was read inside comes before the release of the object. */
    uint64_t before = atomic_fetch_sub_explicit(&epoch->stripes[token >> 1].readers[token & 1], 1, memory_order_release);
    VR_ASSERT(before > 0);
    (void)before;
}

static bool no_readers(vr_epoch *epoch, uint32_t parity) {
    for (unsigned i = 0; i < STRIPES; i++) {
        /* seq_cst with enter; acquires what leave released. */
        if (atomic_load_explicit(&epoch->stripes[i].readers[parity], memory_order_seq_cst) != 0) return false;
    }
    return true;
}

/* Goes one epoch on if no reader of the one before is left. Lock: mutex. */
static bool advance(vr_epoch *epoch) {
    vr_mutex_assert_held(&epoch->mutex);
    uint64_t now = atomic_load_explicit(&epoch->epoch, memory_order_relaxed);
    if (!no_readers(epoch, (uint32_t)((now - 1) & 1))) return false;
    /* Read by enter, which thereby sees every unlinking that was followed by a retire before. */
    atomic_store_explicit(&epoch->epoch, now + 1, memory_order_seq_cst);
    return true;
}

void vr_epoch_retire(vr_epoch *epoch, vr_retired *retired, void (*release)(vr_retired *retired, void *context), void *context) {
    VR_ASSERT(release != NULL);
    retired->release = release;
    retired->context = context;
    vr_mutex_lock(&epoch->mutex);
    retired->epoch = atomic_load_explicit(&epoch->epoch, memory_order_relaxed);
    vr_retired **list = &epoch->waiting[retired->epoch % GENERATIONS];
    VR_ASSERT(*list == NULL || (*list)->epoch == retired->epoch);
    retired->next = *list;
    *list = retired;
    uint64_t count = atomic_load_explicit(&epoch->waiting_count, memory_order_relaxed);
    atomic_store_explicit(&epoch->waiting_count, count + 1, memory_order_relaxed);
    vr_mutex_unlock(&epoch->mutex);
}

/* Detaches what the step into the present epoch made due. Lock: mutex. */
static vr_retired *take_due(vr_epoch *epoch) {
    vr_mutex_assert_held(&epoch->mutex);
    uint64_t now = atomic_load_explicit(&epoch->epoch, memory_order_relaxed);
    vr_retired **list = &epoch->waiting[(now - 2) % GENERATIONS];
    vr_retired *due = *list;
    *list = NULL;
    return due;
}

static size_t count_of(const vr_retired *list) {
    size_t count = 0;
    for (; list; list = list->next) count++;
    return count;
}

static void release_all(vr_retired *list) {
    while (list) {
        vr_retired *next = list->next; /* the object is gone after the call */
        list->release(list, list->context);
        list = next;
    }
}

/*
 * Each step makes one list due: the one of two epochs before. Every step takes it, so the list that a new epoch will fill,
 * three epochs after it was filled last, is empty.
 */
size_t vr_epoch_collect(vr_epoch *epoch) {
    /* Missing a retire that runs now only puts it off to the next call. */
    if (atomic_load_explicit(&epoch->waiting_count, memory_order_relaxed) == 0) return 0;

    vr_retired *due[GENERATIONS] = {0};
    size_t released = 0;
    vr_mutex_lock(&epoch->mutex);
    uint64_t waiting = atomic_load_explicit(&epoch->waiting_count, memory_order_relaxed);
    for (unsigned step = 0; step < GENERATIONS && released < waiting && advance(epoch); step++) {
        due[step] = take_due(epoch);
        released += count_of(due[step]);
    }
    atomic_store_explicit(&epoch->waiting_count, waiting - released, memory_order_relaxed);
    vr_mutex_unlock(&epoch->mutex);

    for (unsigned step = 0; step < GENERATIONS; step++) release_all(due[step]);
    return released;
}

void vr_epoch_free(vr_epoch *epoch) {
    if (!epoch) return;
    VR_ASSERT(no_readers(epoch, 0) && no_readers(epoch, 1));
    /* A release function may retire something else. */
    while (atomic_load_explicit(&epoch->waiting_count, memory_order_relaxed) > 0) vr_epoch_collect(epoch);
    vr_mutex_destroy(&epoch->mutex);
    vr_mem mem = epoch->mem;
    vr_free(&mem, epoch->allocated);
}
