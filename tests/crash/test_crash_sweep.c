/*
 * tests/crash/test_crash_sweep.c - a power cut at every operation of a workload.
 *
 * The in-memory file system calls a hook before each operation that changes it. The hook takes copies of the machine as a power
 * cut, or the death of the process alone, would leave it. Each copy is then opened and must hold exactly a prefix of the history:
 * whole batches, no hole, not less than what was synced (power cut) or acknowledged (death of the process). Opening it again, and
 * crashing at every operation of the recovery, must not change that.
 *
 * Batch i sets "last" to i and two stores' keys, and deletes another key: the state after i batches is known.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include <varve/varve.h>

#include "db/db.h"
#include "os/memfs.h"
#include "os/thread.h"

#define BATCHES 140
#define KEYS 23

typedef struct crash {
    struct crash *next;
    vr_memfs *machine;
    int at_least, at_most; /* batches it must hold */
    int synced;            /* what a power cut after it must leave */
    bool deep;             /* crash in its recovery too */
    uint64_t operation;
    char what[64];
} crash;

typedef struct sweep {
    vr_memfs *memfs;
    vr_env env;
    varve_db *db;
    varve_store *stores[2];
    _Atomic int begun, acknowledged, synced;
    vr_mutex mutex; /* guards crashes */
    crash *crashes;
    uint64_t seed;
    int states;
    bool recording;
} sweep;

static const varve_options small = {.size = sizeof(varve_options),
                                    .create = true,
                                    .memory = 32u << 20,
                                    .memtable_bytes = 64u << 10,
                                    .wal_segment_bytes = 64u << 10};

static void require(varve_status status, const varve_error *err, const char *what) {
    cr_assert_eq(status, VARVE_OK, "%s: %s: %s", what, varve_status_name(status), err->message);
}

/* --- The history ------------------------------------------------------------------------------------------------- */

static void key_of(int i, char out[16]) {
    snprintf(out, 16, "key-%02d", i % KEYS);
}

/* Which batch last put the key in store s after n batches; 0: absent. */
static int expected_version(int s, int key, int n) {
    int version = 0;
    for (int i = 1; i <= n; i++) {
        if (i % KEYS == key && (s == 0 || i % 2 == 0)) version = i;
        if ((i + 5) % KEYS == key && s == 0) version = 0;
    }
    return version;
}

static size_t value_of(int version, char out[4000]) {
    size_t size = 200 + (size_t)(version * 131) % 3000;
    memset(out, 'a' + version % 26, size);
    int n = snprintf(out, 16, "%d", version);
    out[n] = ' ';
    return size;
}

static void write_batch(sweep *w, int i, bool sync) {
    char key[16], gone[16], number[16], value[4000];
    varve_error err;
    varve_batch *batch;
    key_of(i, key);
    key_of(i + 5, gone);
    snprintf(number, sizeof number, "%d", i);
    size_t size = value_of(i, value);
    require(varve_batch_create(&batch, &err), &err, "batch");
    require(varve_batch_put(batch, w->stores[0], varve_str(key), varve_bytes(value, size), &err), &err, "put");
    if (i % 2 == 0) require(varve_batch_put(batch, w->stores[1], varve_str(key), varve_bytes(value, size), &err), &err, "put");
    require(varve_batch_delete(batch, w->stores[0], varve_str(gone), &err), &err, "delete");
    require(varve_batch_put(batch, w->stores[0], varve_str("last"), varve_str(number), &err), &err, "put");
    require(varve_batch_position(batch, w->stores[1], varve_str(number), &err), &err, "position");
    atomic_store(&w->begun, i);
    varve_write_options options = {.size = sizeof options, .durability = sync ? VARVE_SYNC : VARVE_WAL};
    require(varve_write(w->db, batch, &options, &err), &err, "write");
    atomic_store(&w->acknowledged, i);
    if (sync) atomic_store(&w->synced, i);
    varve_batch_free(batch);
}

static void check_store(varve_store *store, int s, int n, const char *what) {
    varve_error err;
    varve_buffer found = {0};
    char key[16], value[4000];
    for (int k = 0; k < KEYS; k++) {
        key_of(k, key);
        int version = expected_version(s, k, n);
        varve_status status = varve_get(store, varve_str(key), &found, &err);
        cr_assert_geq(status, 0, "%s: %s", what, err.message);
        cr_assert_eq(status == VARVE_OK, version > 0, "%s: after %d batches store %d %s version %d of %s", what, n, s,
                     status == VARVE_OK ? "has" : "lacks", version, key);
        if (version == 0) continue;
        size_t size = value_of(version, value);
        cr_assert(found.size == size && memcmp(found.data, value, size) == 0, "%s: %s is wrong in store %d", what, key, s);
    }
    varve_buffer_free(&found);
}

/* Opens the database, checks that it is a prefix, and returns its length. */
static int check_machine(vr_memfs *machine, const crash *c) {
    vr_env env = vr_env_system();
    env.fs = vr_memfs_fs(machine);
    varve_db *db;
    varve_store *stores[2] = {NULL, NULL};
    varve_error err;
    varve_buffer last = {0}, position = {0};
    require(vr_db_open(&env, "db", &small, &db, &err), &err, c->what);
    require(varve_store_open(db, "one", NULL, &stores[0], &err), &err, c->what);
    require(varve_store_open(db, "two", NULL, &stores[1], &err), &err, c->what);
    varve_status status = varve_get(stores[0], varve_str("last"), &last, &err);
    cr_assert_geq(status, 0, "%s: %s", c->what, err.message);
    char number[16] = "0";
    if (status == VARVE_OK) memcpy(number, last.data, last.size < 15 ? last.size : 15);
    int n = atoi(number);
    cr_assert(n >= c->at_least && n <= c->at_most, "%s: %d batches, %d to %d expected", c->what, n, c->at_least, c->at_most);
    status = varve_store_position(stores[1], &position, &err);
    cr_assert_eq(status == VARVE_OK, n > 0, "%s: position after %d batches: %d", c->what, n, status);
    if (n > 0) cr_assert(position.size == last.size && memcmp(position.data, last.data, last.size) == 0, "%s: position", c->what);
    for (int s = 0; s < 2; s++) check_store(stores[s], s, n, c->what);
    varve_buffer_free(&last);
    varve_buffer_free(&position);
    varve_store_close(stores[0]);
    varve_store_close(stores[1]);
    require(varve_close(db, &err), &err, c->what);
    return n;
}

/* --- Crashes ------------------------------------------------------------------------------------------------------- */

static void record(sweep *w, vr_crash_mode mode, uint64_t operation, const char *name, const char *path) {
    crash *c = calloc(1, sizeof *c);
    c->synced = atomic_load(&w->synced);
    c->at_least = mode == VR_CRASH_KEEP_ALL ? atomic_load(&w->acknowledged) : c->synced;
    c->operation = operation;
    varve_error err;
    require(vr_memfs_clone(w->memfs, mode, w->seed * 1000003 + operation, &c->machine, &err), &err, "clone");
    c->at_most = atomic_load(&w->begun);
    c->deep = operation % 9 == 0;
    snprintf(c->what, sizeof c->what, "%s before %llu %.12s %.24s",
             mode == VR_CRASH_KEEP_ALL ? "death"
             : mode == VR_CRASH_MIXED  ? "mixed cut"
                                       : "cut",
             (unsigned long long)operation, name, path);
    vr_mutex_lock(&w->mutex);
    c->next = w->crashes;
    w->crashes = c;
    vr_mutex_unlock(&w->mutex);
}

static void on_operation(void *context, uint64_t operation, const char *name, const char *path) {
    sweep *w = context;
    if (!w->recording) return;
    record(w, VR_CRASH_DROP_UNSYNCED, operation, name, path);
    record(w, VR_CRASH_MIXED, operation, name, path);
    if (operation % 3 == 0) record(w, VR_CRASH_KEEP_ALL, operation, name, path);
}

typedef struct recovery_crash {
    vr_memfs *machine;
    const crash *of;
    vr_mutex mutex; /* guards list */
    crash *list;
} recovery_crash;

/* Within a recovery: the same again, one level down. Opening runs on this thread until its own start, which then make the next WAL
 * segment. */
static void on_recovery_operation(void *context, uint64_t operation, const char *name, const char *path) {
    recovery_crash *r = context;
    crash *c = calloc(1, sizeof *c);
    varve_error err;
    require(vr_memfs_clone(r->machine, operation % 2 ? VR_CRASH_DROP_UNSYNCED : VR_CRASH_MIXED, operation, &c->machine, &err), &err,
            "clone");
    c->at_least = c->synced = r->of->synced;
    c->at_most = r->of->at_most;
    snprintf(c->what, sizeof c->what, "%.30s, then %llu %.8s %.12s", r->of->what, (unsigned long long)operation, name, path);
    vr_mutex_lock(&r->mutex);
    c->next = r->list;
    r->list = c;
    vr_mutex_unlock(&r->mutex);
}

static int check_list(crash *list) {
    int states = 0;
    while (list) {
        crash *c = list;
        list = c->next;
        check_machine(c->machine, c);
        states++;
        vr_memfs_free(c->machine);
        free(c);
    }
    return states;
}

static void check_crash(sweep *w, crash *c) {
    recovery_crash r = {.machine = c->machine, .of = c};
    vr_mutex_init(&r.mutex, VR_RANK_LEAF);
    if (c->deep) { /* open alone, recording: the close's operations are another matter */
        vr_env env = vr_env_system();
        env.fs = vr_memfs_fs(c->machine);
        varve_db *db;
        varve_error err;
        vr_memfs_set_hook(c->machine, on_recovery_operation, &r);
        require(vr_db_open(&env, "db", &small, &db, &err), &err, c->what);
        vr_memfs_set_hook(c->machine, NULL, NULL);
        require(varve_close(db, &err), &err, c->what);
        w->states += check_list(r.list);
    }
    vr_mutex_destroy(&r.mutex);
    int n = check_machine(c->machine, c);
    c->at_least = c->at_most = n; /* and again, after the first recovery and a clean close: the same */
    check_machine(c->machine, c);
    w->states++;
}

static void drain(sweep *w) {
    for (;;) {
        vr_mutex_lock(&w->mutex);
        crash *c = w->crashes;
        if (c) w->crashes = c->next;
        vr_mutex_unlock(&w->mutex);
        if (!c) return;
        check_crash(w, c);
        vr_memfs_free(c->machine);
        free(c);
    }
}

/* --- The workload -------------------------------------------------------------------------------------------------- */

static void open_db(sweep *w) {
    varve_error err;
    require(vr_db_open(&w->env, "db", &small, &w->db, &err), &err, "open");
    require(varve_store_open(w->db, "one", NULL, &w->stores[0], &err), &err, "store");
    require(varve_store_open(w->db, "two", NULL, &w->stores[1], &err), &err, "store");
}

static void close_db(sweep *w) {
    varve_error err;
    varve_store_close(w->stores[0]);
    varve_store_close(w->stores[1]);
    require(varve_close(w->db, &err), &err, "close");
    atomic_store(&w->synced, atomic_load(&w->acknowledged));
}

static void run(uint64_t seed) {
    sweep w = {.seed = seed};
    varve_error err;
    vr_mutex_init(&w.mutex, VR_RANK_LEAF);
    require(vr_memfs_create(&w.memfs, &err), &err, "memfs");
    w.env = vr_env_system();
    w.env.fs = vr_memfs_fs(w.memfs);
    open_db(&w);
    require(varve_sync(w.db, &err), &err, "sync");
    vr_memfs_set_hook(w.memfs, on_operation, &w);
    w.recording = true;
    for (int i = 1; i <= BATCHES; i++) {
        write_batch(&w, i, i % 7 == (int)(seed % 7));
        if (i % 31 == 0) require(varve_flush(w.db, &err), &err, "flush");
        if (i == 80 || i == 110) require(varve_compact(w.stores[0], &err), &err, "compact");
        if (i == 60 || i == 125) {
            close_db(&w);
            open_db(&w);
        }
        drain(&w);
    }
    close_db(&w);
    drain(&w);
    w.recording = false;
    vr_memfs_set_hook(w.memfs, NULL, NULL);
    vr_memfs_free(w.memfs);
    vr_mutex_destroy(&w.mutex);
    cr_log_info("seed %llu: %d states", (unsigned long long)seed, w.states);
    cr_assert_gt(w.states, 500);
}

/* Flushes and compacts while the main thread goes on writing: manifest edits then meet a WAL that is not synced to its end. */
static void upkeep(void *context) {
    sweep *w = context;
    while (atomic_load(&w->acknowledged) < BATCHES) {
        varve_error err;
        require(varve_flush(w->db, &err), &err, "flush");
        if (atomic_load(&w->acknowledged) % 3 == 0) require(varve_compact(w->stores[0], &err), &err, "compact");
    }
}

static void run_concurrently(uint64_t seed) {
    sweep w = {.seed = seed};
    varve_error err;
    vr_thread thread;
    vr_mutex_init(&w.mutex, VR_RANK_LEAF);
    require(vr_memfs_create(&w.memfs, &err), &err, "memfs");
    w.env = vr_env_system();
    w.env.fs = vr_memfs_fs(w.memfs);
    open_db(&w);
    require(varve_sync(w.db, &err), &err, "sync");
    vr_memfs_set_hook(w.memfs, on_operation, &w);
    w.recording = true;
    require(vr_thread_start(&thread, "upkeep", upkeep, &w, &err), &err, "thread");
    for (int i = 1; i <= BATCHES; i++) {
        write_batch(&w, i, i % 40 == 0);
        if (i % 10 == 0) drain(&w);
    }
    vr_thread_join(&thread);
    close_db(&w);
    w.recording = false;
    drain(&w);
    vr_memfs_set_hook(w.memfs, NULL, NULL);
    vr_memfs_free(w.memfs);
    vr_mutex_destroy(&w.mutex);
    cr_assert_gt(w.states, 100);
}

TestSuite(crash_sweep, .timeout = 300);

Test(crash_sweep, power_cut_while_flushes_run_beside_the_writer) {
    for (uint64_t seed = 1; seed <= 3; seed++) run_concurrently(seed);
}

Test(crash_sweep, power_cut_at_every_operation_seed_1) {
    run(1);
}

Test(crash_sweep, power_cut_at_every_operation_seed_2) {
    run(2);
}

Test(crash_sweep, power_cut_at_every_operation_seed_3) {
    run(3);
}
