/*
 * Epoch-based reclamation: nothing is released while a reader may use it, and garbage does not pile up (os/epoch.h).
 */
#include <criterion/criterion.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/faultmem.h"
#include "os/epoch.h"
#include "os/thread.h"

#define ALIVE UINT64_C(0x616c697665616c69)
#define DEAD UINT64_C(0x6465616464656164)

typedef struct object {
    vr_retired retired;
    uint64_t magic;
    uint64_t number;
} object;

static object *make_object(uint64_t number) {
    object *made = calloc(1, sizeof *made);
    cr_assert_not_null(made);
    made->magic = ALIVE;
    made->number = number;
    return made;
}

/* context counts. */
static void release_object(vr_retired *retired, void *context) {
    object *gone = (object *)retired;
    if (gone->magic != ALIVE) abort();
    gone->magic = DEAD;
    free(gone);
    atomic_fetch_add((_Atomic uint64_t *)context, 1);
}

static vr_epoch *make_epoch(void) {
    vr_mem mem = vr_mem_system();
    vr_epoch *epoch;
    cr_assert_eq(vr_epoch_create(&mem, &epoch, NULL), VARVE_OK);
    return epoch;
}

Test(epoch, create_reports_that_there_is_no_memory) {
    vr_faultmem fault;
    varve_error err;
    vr_epoch *epoch = NULL;
    vr_faultmem_init(&fault, 1, false);
    vr_mem mem = vr_faultmem_mem(&fault);
    cr_assert_eq(vr_epoch_create(&mem, &epoch, &err), VARVE_NOMEM);
    cr_assert_null(epoch);
    cr_assert_eq(vr_epoch_create(&mem, &epoch, &err), VARVE_OK);
    vr_epoch_free(epoch);
    vr_epoch_free(NULL);
    cr_assert_eq(vr_faultmem_live(&fault), 0);
}

Test(epoch, without_readers_one_call_releases_everything) {
    _Atomic uint64_t released = 0;
    vr_epoch *epoch = make_epoch();
    cr_assert_eq(vr_epoch_collect(epoch), 0);
    for (uint64_t i = 0; i < 10; i++) vr_epoch_retire(epoch, &make_object(i)->retired, release_object, &released);
    cr_assert_eq(released, 0, "retire releases nothing itself");
    cr_assert_eq(vr_epoch_collect(epoch), 10);
    cr_assert_eq(released, 10);
    cr_assert_eq(vr_epoch_collect(epoch), 0);
    vr_epoch_free(epoch);
}

Test(epoch, a_reader_keeps_what_it_may_have_seen) {
    _Atomic uint64_t released = 0;
    vr_epoch *epoch = make_epoch();
    uint32_t token = vr_epoch_enter(epoch);
    vr_epoch_retire(epoch, &make_object(1)->retired, release_object, &released);
    for (int i = 0; i < 10; i++) cr_assert_eq(vr_epoch_collect(epoch), 0);
    /* One that came later, and leaves first, changes nothing. */
    uint32_t later = vr_epoch_enter(epoch);
    vr_epoch_leave(epoch, later);
    for (int i = 0; i < 10; i++) cr_assert_eq(vr_epoch_collect(epoch), 0);
    vr_epoch_leave(epoch, token);
    cr_assert_eq(vr_epoch_collect(epoch), 1);
    cr_assert_eq(released, 1);
    vr_epoch_free(epoch);
}

Test(epoch, a_reader_that_came_later_does_not_keep_it) {
    _Atomic uint64_t released = 0;
    vr_epoch *epoch = make_epoch();
    uint32_t early = vr_epoch_enter(epoch);
    vr_epoch_retire(epoch, &make_object(1)->retired, release_object, &released);
    cr_assert_eq(vr_epoch_collect(epoch), 0); /* the epoch has advanced by one */
    uint32_t late = vr_epoch_enter(epoch);
    vr_epoch_leave(epoch, early);
    cr_assert_eq(vr_epoch_collect(epoch), 1, "the late reader entered after the unlinking");
    vr_epoch_leave(epoch, late);
    vr_epoch_free(epoch);
}

Test(epoch, readers_come_and_go_without_end_and_garbage_stays_bounded) {
    _Atomic uint64_t released = 0;
    uint64_t waiting_max = 0;
    vr_epoch *epoch = make_epoch();
    /* There is always a reader inside: they overlap. */
    uint32_t before = vr_epoch_enter(epoch);
    for (uint64_t i = 1; i <= 1000; i++) {
        vr_epoch_retire(epoch, &make_object(i)->retired, release_object, &released);
        uint32_t next = vr_epoch_enter(epoch);
        vr_epoch_leave(epoch, before);
        before = next;
        vr_epoch_collect(epoch);
        if (i - released > waiting_max) waiting_max = i - released;
    }
    cr_assert_leq(waiting_max, 3, "%d", (int)waiting_max);
    vr_epoch_leave(epoch, before);
    vr_epoch_free(epoch);
    cr_assert_eq(released, 1000);
}

/* An object whose release retires another one, as a version does with its tables. */
typedef struct chain {
    vr_retired retired;
    vr_epoch *epoch;
    object *next;
    _Atomic uint64_t *released;
} chain;

static void release_chain(vr_retired *retired, void *context) {
    chain *gone = (chain *)retired;
    vr_epoch_retire(gone->epoch, &gone->next->retired, release_object, context);
    atomic_fetch_add((_Atomic uint64_t *)context, 1);
    free(gone);
}

Test(epoch, release_may_retire) {
    _Atomic uint64_t released = 0;
    vr_epoch *epoch = make_epoch();
    for (int i = 0; i < 2; i++) {
        chain *first = calloc(1, sizeof *first);
        cr_assert_not_null(first);
        first->epoch = epoch;
        first->next = make_object(2);
        vr_epoch_retire(epoch, &first->retired, release_chain, &released);
        if (i == 0) {
            cr_assert_eq(vr_epoch_collect(epoch), 1);
            cr_assert_eq(vr_epoch_collect(epoch), 1);
            cr_assert_eq(released, 2);
        }
    }
    vr_epoch_free(epoch);
    cr_assert_eq(released, 4, "free releases what releases retire");
}

/* The stress: readers follow a few pointers that writers keep replacing. */
enum { SLOTS = 8, READERS = 3, WRITERS = 2, REPLACEMENTS = 20000, SPREAD_MAX = 4096 };

typedef struct stress {
    vr_epoch *epoch;
    _Atomic(object *) slots[SLOTS];
    _Atomic uint64_t retired;
    _Atomic uint64_t released;
    _Atomic uint64_t reads;
    _Atomic uint64_t waiting_max;
    _Atomic uint64_t wrong;
    atomic_bool stop;
    _Atomic unsigned writers;
} stress;

static void read_slots(void *context) {
    stress *s = context;
    uint64_t reads = 0;
    for (unsigned i = 0; !atomic_load_explicit(&s->stop, memory_order_relaxed); i++) {
        uint32_t token = vr_epoch_enter(s->epoch);
        /* Nested now and then, and several objects within one stay. */
        uint32_t inner = i % 8 == 0 ? vr_epoch_enter(s->epoch) : UINT32_MAX;
        for (unsigned at = 0; at < 3; at++) {
            const object *seen = atomic_load_explicit(&s->slots[(i + at) % SLOTS], memory_order_acquire);
            if (i % 64 == 0) sched_yield(); /* be overtaken while inside */
            if (seen->magic != ALIVE) atomic_fetch_add(&s->wrong, 1);
            reads += seen->number != 0;
        }
        if (inner != UINT32_MAX) vr_epoch_leave(s->epoch, inner);
        vr_epoch_leave(s->epoch, token);
    }
    atomic_fetch_add(&s->reads, reads);
}

static void replace_slots(void *context) {
    stress *s = context;
    unsigned self = atomic_fetch_add(&s->writers, 1);
    for (unsigned i = 0; i < REPLACEMENTS; i++) {
        object *fresh = calloc(1, sizeof *fresh);
        if (!fresh) abort();
        fresh->magic = ALIVE;
        fresh->number = i + 1;
        object *old = atomic_exchange_explicit(&s->slots[(i * 5 + self) % SLOTS], fresh, memory_order_acq_rel);
        vr_epoch_retire(s->epoch, &old->retired, release_object, &s->released);
        uint64_t retired = atomic_fetch_add(&s->retired, 1) + 1;
        uint64_t released = atomic_load(&s->released);
        uint64_t waiting = retired > released ? retired - released : 0;
        if (waiting > atomic_load(&s->waiting_max)) atomic_store(&s->waiting_max, waiting);
        /* Whoever makes garbage collects it, and waits for readers that the scheduler holds up when there is much of it. */
        if (i % 16 == 0) vr_epoch_collect(s->epoch);
        while (atomic_load(&s->retired) - atomic_load(&s->released) > SPREAD_MAX / 2) {
            vr_epoch_collect(s->epoch);
            sched_yield();
        }
    }
}

Test(epoch, stress, .timeout = 120) {
    stress *s = calloc(1, sizeof *s);
    vr_thread readers[READERS];
    vr_thread writers[WRITERS];
    cr_assert_not_null(s);
    s->epoch = make_epoch();
    for (unsigned i = 0; i < SLOTS; i++) atomic_init(&s->slots[i], make_object(i + 1));
    for (int i = 0; i < READERS; i++) cr_assert_eq(vr_thread_start(&readers[i], "reader", read_slots, s, NULL), VARVE_OK);
    for (int i = 0; i < WRITERS; i++) cr_assert_eq(vr_thread_start(&writers[i], "writer", replace_slots, s, NULL), VARVE_OK);
    for (int i = 0; i < WRITERS; i++) vr_thread_join(&writers[i]);
    atomic_store(&s->stop, true);
    for (int i = 0; i < READERS; i++) vr_thread_join(&readers[i]);

    cr_assert_eq(s->wrong, 0, "a reader met a released object");
    cr_assert_gt(s->reads, 0);
    cr_assert_eq(s->retired, WRITERS * REPLACEMENTS);
    cr_assert_leq(s->waiting_max, SPREAD_MAX, "garbage is bounded: %d", (int)s->waiting_max);
    vr_epoch_collect(s->epoch);
    cr_assert_eq(s->released, s->retired, "without readers everything goes");
    vr_epoch_free(s->epoch);
    for (unsigned i = 0; i < SLOTS; i++) free(atomic_load(&s->slots[i]));
    free(s);
}
