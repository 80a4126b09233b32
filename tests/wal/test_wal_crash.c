/*
 * Power cuts. A run over the in-memory file system is repeated with a hook that takes the machine's state before every operation,
 * in two ways (nothing unsynced is left; a random half of the sectors and entries is), and opens the WAL from it. What is recovered
 * must be a prefix of what was written and reach at least to the last sync that returned; and the same again when recovered twice,
 * and when the machine is cut a second time at every operation of the recovery and of what follows it.
 */
#include "wal_fixture.h"

#define SMALL ((uint64_t)16384)

/* What the run knows when the machine stops. */
typedef struct promise {
    uint64_t first_segment, floor; /* durable in the manifest */
    uint64_t written, synced;      /* sequences */
} promise;

/* A state taken by the hook. It is checked once the operation is over, because the hook runs under the WAL's locks. */
typedef struct cut {
    vr_memfs *state;
    promise promised;
} cut;

#define CUTS_MAX 4096

typedef struct sweep {
    wal_fixture *f;
    promise now;
    uint64_t states;
    unsigned depth; /* cuts within the recovery from a cut */
    uint64_t seed;
    varve_wal_mode mode;
    cut *cuts; /* waiting for their check */
    unsigned cut_count;
} sweep;

static void check_state(sweep *s, vr_memfs *state, const promise *promised, unsigned depth);

static void on_operation(void *context, uint64_t operation, const char *name, const char *path) {
    sweep *s = context;
    (void)operation, (void)name, (void)path;
    const vr_crash_mode kinds[] = {VR_CRASH_DROP_UNSYNCED, VR_CRASH_MIXED, VR_CRASH_KEEP_ALL};
    unsigned n = s->depth == 0 ? 3 : 2;
    for (unsigned i = 0; i < n; i++) {
        cr_assert_lt(s->cut_count, CUTS_MAX);
        cut *taken = &s->cuts[s->cut_count++];
        taken->promised = s->now;
        cr_assert_eq(vr_memfs_clone(s->f->memfs, kinds[i], ++s->seed, &taken->state, NULL), VARVE_OK);
        s->states++;
    }
}

static void check_cuts(sweep *s) {
    for (unsigned i = 0; i < s->cut_count; i++) check_state(s, s->cuts[i].state, &s->cuts[i].promised, s->depth);
    s->cut_count = 0;
}

static void sweep_begin(sweep *s) {
    s->cuts = calloc(CUTS_MAX, sizeof *s->cuts);
    vr_memfs_set_hook(s->f->memfs, on_operation, s);
}

static void sweep_end(sweep *s) {
    vr_memfs_set_hook(s->f->memfs, NULL, NULL);
    check_cuts(s);
    free(s->cuts);
}

static void attach(wal_fixture *f, vr_memfs *memfs, varve_wal_mode mode, const promise *promised) {
    memset(f, 0, sizeof *f);
    f->memfs = memfs;
    f->env = vr_env_system();
    f->env.fs = vr_memfs_fs(memfs);
    vr_budget_init(&f->budget, UINT64_MAX);
    f->dir = WAL_DIR;
    f->value_bytes_max = 200;
    f->options = (vr_wal_options){.mode = mode,
                                  .segment_bytes = SMALL,
                                  .first_segment = promised->first_segment,
                                  .sequence_floor = promised->floor};
}

/* Opens the state, writes on, and opens it again; at depth 0 with a cut at every operation on the way. Frees it. */
static void check_state(sweep *s, vr_memfs *state, const promise *promised, unsigned depth) {
    wal_fixture f;
    attach(&f, state, s->mode, promised);
    f.expect_gap = true; /* below the floor */
    sweep inner = {.f = &f, .depth = depth + 1, .seed = s->seed * 1000003, .mode = s->mode, .now = *promised};
    bool cut_again = depth == 0 && s->states % 7 == 0;
    if (cut_again) sweep_begin(&inner);

    wal_must_open(&f);
    uint64_t last = vr_wal_last_sequence(f.wal);
    cr_assert_leq(last, promised->written, "recovered %llu of %llu", (unsigned long long)last,
                  (unsigned long long)promised->written);
    cr_assert_geq(last, promised->synced, "recovered %llu, synced %llu", (unsigned long long)last,
                  (unsigned long long)promised->synced);
    if (f.seen.batches) cr_assert_leq(f.seen.first, promised->floor + 1);

    if (depth == 0) {
        /* What is written now follows what was recovered, and nothing else comes back. Two batches have at most six changes;
         * a cut may find part of them. */
        inner.now.written = last + 6;
        wal_must_append(&f, 1);
        wal_must_sync(&f);
        inner.now.synced = vr_wal_last_sequence(f.wal);
        wal_must_append(&f, 1);
        inner.now.written = vr_wal_last_sequence(f.wal);
        last = inner.now.written;
    }
    wal_shut(&f);
    wal_must_open(&f);
    cr_assert_eq(vr_wal_last_sequence(f.wal), last, "recovering twice finds the same");
    if (cut_again) sweep_end(&inner);
    s->states += inner.states;
    wal_fixture_close(&f);
}

/* The hook fires at file system operations; mapped appends are none, so the machine is also cut between them. */
static void cut_now(sweep *s) {
    on_operation(s, 0, "", "");
    check_cuts(s);
}

static void run(sweep *s, unsigned batches, unsigned sync_every) {
    wal_fixture *f = s->f;
    for (unsigned i = 1; i <= batches; i++) {
        s->now.written = vr_wal_last_sequence(f->wal) + wal_batch_count(vr_wal_last_sequence(f->wal) + 1);
        wal_must_append(f, 1);
        if (i % 3 == 0) cut_now(s);
        if (i % sync_every == 0) {
            wal_must_sync(f);
            s->now.synced = vr_wal_synced_sequence(f->wal);
        }
        if (i % 37 == 0) vr_wal_prepare(f->wal);
        if (i % 45 == 0) { /* a flush: tables hold everything up to the floor, then the manifest says so, then segments go */
            s->now.floor = vr_wal_last_sequence(f->wal) - (i % 90 ? 20 : 0); /* synced or not: what is in tables is durable */
            if (s->now.synced < s->now.floor) s->now.synced = s->now.floor;
            vr_wal_first_needed(f->wal, s->now.floor, &s->now.first_segment);
            cr_assert_eq(vr_wal_release(f->wal, s->now.first_segment, &f->err), VARVE_OK);
        }
        check_cuts(s);
    }
}

static void sweep_mode(varve_wal_mode mode, unsigned batches, unsigned sync_every, uint64_t seed) {
    wal_fixture f;
    wal_fixture_open(&f, mode, SMALL);
    sweep s = {.f = &f, .mode = mode, .seed = seed};
    sweep_begin(&s);
    run(&s, batches, sync_every);
    wal_shut(&f);
    f.options.first_segment = s.now.first_segment;
    f.options.sequence_floor = s.now.floor;
    f.expect_gap = true;
    wal_must_open(&f);
    run(&s, batches / 2, sync_every);
    sweep_end(&s);
    wal_fixture_close(&f);
    cr_assert_gt(s.states, 500, "only %llu states", (unsigned long long)s.states);
    cr_log_info("%llu states", (unsigned long long)s.states);
}

Test(wal_crash, mapped_seldom_synced) {
    sweep_mode(VARVE_WAL_MAPPED, 300, 61, 1);
}

Test(wal_crash, mapped_often_synced) {
    sweep_mode(VARVE_WAL_MAPPED, 200, 4, 2);
}

Test(wal_crash, written_seldom_synced) {
    sweep_mode(VARVE_WAL_PWRITE, 300, 47, 3);
}

Test(wal_crash, written_often_synced) {
    sweep_mode(VARVE_WAL_PWRITE, 150, 3, 4);
}
