/*
 * tests/crash/test_fault_sweep.c - a workload whose nth operation on the file system, or nth allocation, fails.
 *
 * The workload writes 60 batches into two stores and meanwhile flushes, compacts, makes a checkpoint, reads and releases a feed,
 * loads a store in bulk, drops one, closes and opens again. It runs once for each n, with the fault once and lasting, and goes on
 * whatever a call returns. Every call must succeed or return a status that fits the fault, with a message; what is read must be
 * right. A full disk and a lack of memory must not stop writing for good; a failed sync must.
 *
 * Afterwards the fault is lifted. The database as it is, as a death of the process would leave it and as a power cut would leave it
 * is opened and compared with the history: all that was acknowledged (or synced) and nothing but whole batches. A batch whose sync
 * failed may be there or not.
 */
#include <criterion/criterion.h>
#include <criterion/logging.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <varve/feed.h>

#include "base/bytes.h"
#include "base/faultmem.h"
#include "base/hash.h"
#include "db/db.h"
#include "os/faultfs.h"
#include "os/memfs.h"

#define BATCHES 60
#define KEYS 17
#define BULK_KEYS 40
#define VALUE_BYTES_MAX 9000
#define SAMPLES 200 /* runs of one sweep, if there are more operations than that */
#define FULL_DISK (VR_FAULT_PWRITE | VR_FAULT_RESERVE | VR_FAULT_MAP) /* where a full disk shows before anything is in doubt */

typedef enum fault_kind { NO_FAULT, FAULT_EIO, FAULT_SYNC, FAULT_ENOSPC, FAULT_NOMEM } fault_kind;

/* The content after a number of batches. */
typedef struct model {
    int version[2][KEYS]; /* the batch that put the key; 0: absent */
    int last;             /* the newest batch, which the position tells */
} model;

typedef struct run {
    fault_kind kind;
    uint64_t nth;
    bool persistent;
    vr_memfs *memfs;
    vr_faultfs *faultfs;
    vr_faultmem faultmem;
    vr_env env;
    varve_wal_mode mode;
    varve_db *db;
    varve_store *stores[2];
    varve_feed *feed;
    model now;                     /* what is read */
    model settled;                 /* what is acknowledged */
    model doubt;                   /* with the batch whose write or sync failed, while in_doubt */
    uint64_t digests[BATCHES + 4]; /* after each acknowledged batch, the one of check_resumption() included */
    int acknowledged, synced;
    bool latched, in_doubt, bulk_done;
    int failures, latches;
} run;

static void require(varve_status status, const varve_error *err, const run *r, const char *what) {
    cr_assert_eq(status, VARVE_OK, "fault %d at %llu%s: %s: %s: %s", r->kind, (unsigned long long)r->nth,
                 r->persistent ? " on" : "", what, varve_status_name(status), err->message);
}

/* --- The model ----------------------------------------------------------------------------------------------------- */

static varve_slice key_of(int k, char out[16]) {
    return varve_bytes(out, (size_t)snprintf(out, 16, "key-%02d", k));
}

static varve_slice value_of(int version, char out[VALUE_BYTES_MAX]) {
    size_t size = 100 + (size_t)(version * 577) % (VALUE_BYTES_MAX - 100);
    memset(out, 'a' + version % 26, size);
    memcpy(out, &version, sizeof version);
    return varve_bytes(out, size);
}

static void model_apply(model *m, int i) {
    m->version[0][i % KEYS] = i;
    if (i % 2 == 0) m->version[1][i % KEYS] = i;
    m->version[0][(i + 5) % KEYS] = 0;
    m->last = i;
}

static uint64_t pair_digest(int s, varve_slice key, varve_slice value) {
    uint64_t parts[3] = {vr_hash(key.data, key.size), vr_hash(value.data, value.size), (uint64_t)s};
    return vr_hash(parts, sizeof parts) | 1;
}

static uint64_t model_digest(const model *m) {
    uint64_t digest = (uint64_t)m->last;
    char key[16], value[VALUE_BYTES_MAX];
    for (int s = 0; s < 2; s++) {
        for (int k = 0; k < KEYS; k++) {
            if (m->version[s][k]) digest ^= pair_digest(s, key_of(k, key), value_of(m->version[s][k], value));
        }
    }
    return digest;
}

/* --- Judging a status ------------------------------------------------------------------------------------------------ */

static bool fits(const run *r, varve_status status) {
    switch (r->kind) {
    case FAULT_NOMEM: return status == VARVE_NOMEM;
    case FAULT_ENOSPC: return status == VARVE_NO_SPACE;
    case FAULT_EIO:
    case FAULT_SYNC: return status == VARVE_IO || status == VARVE_READ_ONLY;
    default: return false;
    }
}

/* Passes a status through, having looked at it. */
static varve_status look(run *r, varve_status status, const varve_error *err, const char *what) {
    if (status >= 0) return status;
    r->failures++;
    cr_assert(fits(r, status), "fault %d at %llu%s: %s: %s: %s", r->kind, (unsigned long long)r->nth, r->persistent ? " on" : "",
              what, varve_status_name(status), err->message);
    cr_assert(err->code == status && err->message[0] != '\0', "%s: %s without a message", what, varve_status_name(status));
    if (status == VARVE_READ_ONLY && !r->latched) r->latches++;
    if (status == VARVE_READ_ONLY) r->latched = true;
    return status;
}

/* --- Open and close -------------------------------------------------------------------------------------------------- */

static void arm(run *r) {
    unsigned kinds = r->kind == FAULT_ENOSPC ? FULL_DISK : r->kind == FAULT_SYNC ? VR_FAULT_SYNC : VR_FAULT_ALL;
    bool on_memory = r->kind == FAULT_NOMEM;
    vr_faultfs_arm(r->faultfs, kinds, on_memory || r->kind == NO_FAULT ? 0 : r->nth, r->kind == FAULT_ENOSPC ? ENOSPC : EIO,
                   r->persistent);
    vr_faultmem_arm(&r->faultmem, on_memory ? r->nth : 0, r->persistent);
}

static void disarm(run *r) {
    vr_faultfs_arm(r->faultfs, VR_FAULT_ALL, 0, 0, false);
    vr_faultmem_arm(&r->faultmem, 0, false);
}

static varve_options options_of(const run *r) {
    return (varve_options){.size = sizeof(varve_options),
                           .create = true,
                           .memory = 32u << 20,
                           .memtable_bytes = 64u << 10,
                           .wal_segment_bytes = 64u << 10,
                           .wal_mode = r->mode};
}

/* Opens the database and its stores; with a lasting fault only after that is lifted. */
static void open_db(run *r) {
    varve_error err = {0};
    varve_options options = options_of(r);
    varve_status status = look(r, vr_db_open(&r->env, "db", &options, &r->db, &err), &err, "open");
    if (status != VARVE_OK) {
        disarm(r);
        require(vr_db_open(&r->env, "db", &options, &r->db, &err), &err, r, "open, after the fault");
    }
    r->latched = false;
    for (int s = 0; s < 2; s++) {
        const char *name = s ? "two" : "one";
        status = look(r, varve_store_open(r->db, name, NULL, &r->stores[s], &err), &err, name);
        if (status == VARVE_OK) continue;
        disarm(r);
        if (status == VARVE_READ_ONLY ||
            varve_store_open(r->db, name, NULL, &r->stores[s], &err) != VARVE_OK) { /* creating it has latched the manifest */
            cr_assert(r->kind == FAULT_EIO || r->kind == FAULT_SYNC, "%s: %s", name, err.message);
            if (s == 1) varve_store_close(r->stores[0]);
            varve_close(r->db, NULL);
            require(vr_db_open(&r->env, "db", &options, &r->db, &err), &err, r, "open, after the fault");
            r->latched = false;
            s = -1;
        }
    }
}

static void close_db(run *r) {
    varve_error err = {0};
    varve_feed_close(r->feed);
    r->feed = NULL;
    for (int s = 0; s < 2; s++) varve_store_close(r->stores[s]);
    int synced = r->acknowledged;
    if (look(r, varve_close(r->db, &err), &err, "close") == VARVE_OK) r->synced = synced;
    r->db = NULL;
}

/* --- Steps ----------------------------------------------------------------------------------------------------------- */

static varve_status fill_batch(run *r, varve_batch *batch, int i, varve_error *err) {
    char key[16], value[VALUE_BYTES_MAX];
    varve_slice v = value_of(i, value);
    varve_status status = varve_batch_put(batch, r->stores[0], key_of(i % KEYS, key), v, err);
    if (status == VARVE_OK && i % 2 == 0) status = varve_batch_put(batch, r->stores[1], key_of(i % KEYS, key), v, err);
    if (status == VARVE_OK) status = varve_batch_delete(batch, r->stores[0], key_of((i + 5) % KEYS, key), err);
    if (status == VARVE_OK) status = varve_batch_position(batch, r->stores[1], varve_bytes(&i, sizeof i), err);
    return status;
}

static varve_status write_batch(run *r, int i) {
    varve_error err = {0};
    varve_batch *batch;
    bool sync = i % 4 == 0;
    varve_write_options options = {.size = sizeof options, .durability = sync ? VARVE_SYNC : VARVE_WAL};
    require(varve_batch_create(&batch, &err), &err, r, "batch");
    require(fill_batch(r, batch, i, &err), &err, r, "batch");
    uint64_t before = varve_sequence(r->db);
    bool latched = r->latched;
    varve_status status = look(r, varve_write(r->db, batch, &options, &err), &err, "write");
    model next = r->now;
    model_apply(&next, i);
    if (status == VARVE_OK) {
        cr_assert(!latched, "a write is acknowledged after the database had stopped writing");
        r->now = r->settled = next;
        r->digests[++r->acknowledged] = model_digest(&r->now);
        r->in_doubt = false;
        if (sync) r->synced = r->acknowledged;
    } else if (varve_sequence(r->db) != before) { /* its sync failed: it is readable, and in doubt */
        cr_assert(status == VARVE_IO || status == VARVE_READ_ONLY, "%s", err.message);
        r->now = r->doubt = next;
        r->in_doubt = r->latched = true;
    } else if (!latched && (status == VARVE_IO || status == VARVE_READ_ONLY)) { /* it may be in the WAL's file all the same */
        r->doubt = next;
        r->in_doubt = true;
    }
    varve_batch_free(batch);
    return status;
}

/* Reads everything by key and in both directions of an iterator, and compares it with the model. */
static void read_back(run *r) {
    varve_error err = {0};
    varve_buffer found = {0};
    char key[16], value[VALUE_BYTES_MAX];
    for (int s = 0; s < 2; s++) {
        int live = 0, seen[2] = {0, 0};
        for (int k = 0; k < KEYS; k++) {
            int version = r->now.version[s][k];
            varve_status status = look(r, varve_get(r->stores[s], key_of(k, key), &found, &err), &err, "get");
            live += version > 0;
            if (status < 0) continue;
            cr_assert_eq(status == VARVE_OK, version > 0, "fault %d at %llu: store %d %s %s", r->kind, (unsigned long long)r->nth,
                         s, key, status == VARVE_OK ? "is there" : "is missing");
            if (version) cr_assert(vr_equal(varve_buffer_slice(&found), value_of(version, value)), "store %d: %s is wrong", s, key);
        }
        for (int back = 0; back < 2; back++) {
            varve_iterator *it = NULL;
            varve_status status = look(r, varve_iterator_open(r->stores[s], NULL, &it, &err), &err, "iterator");
            if (status == VARVE_OK && back) { /* past the end first */
                while ((status = varve_iterator_next(it)) == VARVE_OK) {
                }
                status = status == VARVE_NOT_FOUND ? VARVE_OK : status;
            }
            while (status == VARVE_OK && (status = back ? varve_iterator_prev(it) : varve_iterator_next(it)) == VARVE_OK)
                seen[back]++;
            if (status < 0 && it) look(r, status, varve_iterator_error(it), "iterator");
            if (status == VARVE_NOT_FOUND)
                cr_assert_eq(seen[back], live, "store %d: %d of %d keys, %s", s, seen[back], live, back ? "back" : "on");
            varve_iterator_close(it);
        }
    }
    varve_buffer_free(&found);
}

static void follow_feed(run *r, bool release) {
    varve_error err = {0};
    varve_change change;
    uint64_t last = 0;
    if (!r->feed && look(r, varve_feed_open(r->db, "feed", &r->feed, &err), &err, "feed") != VARVE_OK) return;
    varve_status status = look(r, varve_feed_next(r->feed, 0, &change, &err), &err, "feed next");
    while (status == VARVE_OK) {
        cr_assert(last == 0 || change.sequence == last + 1, "the feed goes from %llu to %llu", (unsigned long long)last,
                  (unsigned long long)change.sequence);
        last = change.sequence;
        status = look(r, varve_feed_next(r->feed, 0, &change, &err), &err, "feed next");
    }
    if (release && last > 0) look(r, varve_feed_release(r->feed, last, &err), &err, "feed release");
}

static void load_bulk(run *r) {
    varve_error err = {0};
    varve_store *store;
    varve_bulk *bulk;
    char key[16];
    if (look(r, varve_store_open(r->db, "bulk", NULL, &store, &err), &err, "bulk store") != VARVE_OK) return;
    varve_status status = look(r, varve_bulk_begin(store, &bulk, &err), &err, "bulk begin");
    if (status == VARVE_OK) {
        for (int k = 0; k < BULK_KEYS && status == VARVE_OK; k++) {
            varve_slice value = varve_str("from a bulk");
            status = look(r, varve_bulk_add(bulk, key_of(k, key), &value, &err), &err, "bulk add");
        }
        if (status != VARVE_OK) {
            varve_bulk_abort(bulk);
        } else {
            r->bulk_done = look(r, varve_bulk_finish(bulk, varve_str("p"), &err), &err, "bulk finish") == VARVE_OK;
        }
    }
    varve_store_close(store);
}

static void drop_store(run *r) {
    varve_error err = {0};
    varve_store *store;
    if (look(r, varve_store_open(r->db, "gone", NULL, &store, &err), &err, "store") != VARVE_OK) return;
    look(r, varve_put(store, varve_str("a"), varve_str("1"), &err), &err, "put");
    varve_store_close(store);
    look(r, varve_store_drop(r->db, "gone", &err), &err, "drop");
}

/* The digest of what the stores hold. */
static uint64_t content_digest(varve_store *stores[2], const run *r) {
    varve_error err = {0};
    varve_buffer position = {0};
    int last = 0;
    varve_status status = varve_store_position(stores[1], &position, &err);
    cr_assert_geq(status, 0, "%s", err.message);
    if (position.size == sizeof last) memcpy(&last, position.data, sizeof last);
    varve_buffer_free(&position);
    uint64_t digest = (uint64_t)last;
    for (int s = 0; s < 2; s++) {
        varve_iterator *it = NULL;
        require(varve_iterator_open(stores[s], NULL, &it, &err), &err, r, "iterator");
        while ((status = varve_iterator_next(it)) == VARVE_OK)
            digest ^= pair_digest(s, varve_iterator_key(it), varve_iterator_value(it));
        cr_assert_eq(status, VARVE_NOT_FOUND, "%s", varve_iterator_error(it)->message);
        varve_iterator_close(it);
    }
    return digest;
}

/* After opening again: decides whether the batch in doubt is there. The fault is lifted meanwhile, it would only blur what is
 * found. */
static void settle(run *r) {
    disarm(r);
    uint64_t digest = content_digest(r->stores, r);
    bool there = r->in_doubt && digest == model_digest(&r->doubt);
    if (there) {
        r->now = r->settled = r->doubt;
        r->digests[++r->acknowledged] = digest;
    } else {
        cr_assert_eq(digest, r->digests[r->acknowledged], "fault %d at %llu: not what was acknowledged is there", r->kind,
                     (unsigned long long)r->nth);
        r->now = r->settled;
    }
    r->in_doubt = false;
    if (r->kind != NO_FAULT && r->persistent) arm(r);
}

static void step(run *r, int i) {
    varve_error err = {0};
    if (i == 10 || i == 20 || i == 40) follow_feed(r, i != 10);
    if (i % 15 == 0) look(r, varve_flush(r->db, &err), &err, "flush");
    if (i == 25 || i == 55) look(r, varve_compact(r->stores[0], &err), &err, "compact");
    if (i == 35) look(r, varve_checkpoint(r->db, "copy", &err), &err, "checkpoint");
    if (i == 37) drop_store(r);
    if (i == 45) load_bulk(r);
    if (i == 30 || i == 50) {
        close_db(r);
        open_db(r);
        settle(r);
    }
    if (i % 12 == 0) read_back(r);
}

/* --- Afterwards ------------------------------------------------------------------------------------------------------ */

static void check_bulk(const run *r, varve_db *db) {
    varve_error err = {0};
    varve_store *store;
    varve_buffer found = {0};
    char key[16];
    int count = 0;
    varve_status status =
        varve_store_open(db, "bulk", &(varve_store_options){.size = sizeof(varve_store_options), .must_exist = true}, &store, &err);
    if (status == VARVE_MISSING && !r->bulk_done) return;
    require(status, &err, r, "bulk store");
    for (int k = 0; k < BULK_KEYS; k++) {
        status = varve_get(store, key_of(k, key), &found, &err);
        cr_assert_geq(status, 0, "%s", err.message);
        count += status == VARVE_OK;
    }
    cr_assert(count == BULK_KEYS || (count == 0 && !r->bulk_done), "%d keys of a bulk", count);
    varve_buffer_free(&found);
    varve_store_close(store);
}

/* Opens a machine's database, which must hold what some number of batches, at least that many, has left. */
static void check_machine(run *r, vr_fs *fs, const char *dir, int at_least, const char *what) {
    vr_env env = vr_env_system();
    varve_error err = {0};
    varve_db *db;
    varve_store *stores[2];
    varve_options options = options_of(r);
    env.fs = fs;
    for (int round = 0; round < 2; round++) { /* opening it changes nothing */
        require(vr_db_open(&env, dir, &options, &db, &err), &err, r, what);
        for (int s = 0; s < 2; s++) require(varve_store_open(db, s ? "two" : "one", NULL, &stores[s], &err), &err, r, what);
        uint64_t digest = content_digest(stores, r);
        bool known = r->in_doubt && digest == model_digest(&r->doubt);
        for (int i = at_least; i <= r->acknowledged; i++) known = known || digest == r->digests[i];
        cr_assert(known, "fault %d at %llu%s: %s: no state from batch %d to %d", r->kind, (unsigned long long)r->nth,
                  r->persistent ? " on" : "", what, at_least, r->acknowledged);
        require(varve_verify(db, &err), &err, r, what);
        check_bulk(r, db);
        for (int s = 0; s < 2; s++) varve_store_close(stores[s]);
        require(varve_close(db, &err), &err, r, what);
    }
}

static void check_clone(run *r, vr_crash_mode mode, int at_least, const char *what) {
    vr_memfs *machine = NULL;
    varve_error err = {0};
    require(vr_memfs_clone(r->memfs, mode, r->nth, &machine, &err), &err, r, what);
    check_machine(r, vr_memfs_fs(machine), "db", at_least, what);
    vr_memfs_free(machine);
}

/* Where nothing is in doubt, writing goes on by itself once there is room or memory again. */
static void check_resumption(run *r) {
    varve_error err = {0};
    varve_status status = VARVE_NOT_FOUND;
    if (r->latched)
        cr_assert(r->kind == FAULT_EIO || r->kind == FAULT_SYNC, "a lack of space or memory has stopped writing for good");
    if (r->kind == FAULT_EIO || r->kind == FAULT_SYNC) return;
    for (int tries = 0; tries < 100 && status != VARVE_OK; tries++) {
        status = varve_put(r->stores[0], varve_str("key-00"), varve_str("resumed"), &err);
        if (status == VARVE_OK) status = varve_delete(r->stores[0], varve_str("key-00"), &err);
        if (status == VARVE_OK) status = varve_flush(r->db, &err);
        if (status != VARVE_OK) varve_wait_idle(r->db, 20, NULL);
    }
    require(status, &err, r, "writing after the fault");
    r->now.version[0][0] = 0;
    r->settled = r->now;
    r->digests[++r->acknowledged] = model_digest(&r->now);
    r->synced = r->acknowledged;
}

/* One run. Returns how many operations it counted; 0 when the fault came too late to happen. */
static uint64_t run_once(run *r) {
    varve_error err = {0};
    require(vr_memfs_create(&r->memfs, &err), &err, r, "memfs");
    require(vr_faultfs_create(vr_memfs_fs(r->memfs), &r->faultfs, &err), &err, r, "faultfs");
    vr_faultmem_init(&r->faultmem, 0, false);
    r->env = vr_env_system();
    r->env.fs = vr_faultfs_fs(r->faultfs);
    r->env.mem = vr_faultmem_mem(&r->faultmem);
    arm(r);
    open_db(r);
    for (int i = 1; i <= BATCHES; i++) {
        step(r, i);
        write_batch(r, i);
    }
    uint64_t count = r->kind == FAULT_NOMEM ? vr_faultmem_calls(&r->faultmem) : vr_faultfs_count(r->faultfs);
    disarm(r);
    read_back(r);
    check_resumption(r);
    check_clone(r, VR_CRASH_DROP_UNSYNCED, r->synced, "after a power cut");
    check_clone(r, VR_CRASH_KEEP_ALL, r->acknowledged, "after the death of the process");
    close_db(r);
    cr_assert_eq(vr_faultmem_live(&r->faultmem), 0, "%llu blocks are not given back",
                 (unsigned long long)vr_faultmem_live(&r->faultmem));
    check_machine(r, vr_memfs_fs(r->memfs), "db", r->acknowledged, "after the fault");
    vr_faultfs_free(r->faultfs);
    vr_memfs_free(r->memfs);
    return count;
}

static void sweep(fault_kind kind, varve_wal_mode mode, bool persistent, const char *title) {
    run *r = calloc(1, sizeof *r);
    *r = (run){.kind = kind, .nth = UINT64_MAX, .mode = mode};
    uint64_t operations = run_once(r);
    uint64_t step_size = persistent || mode == VARVE_WAL_PWRITE ? 2 : 1; /* variants of what is tried one by one */
    if (operations > 2 * SAMPLES) step_size = operations / SAMPLES;
    int runs = 0, failed = 0, latched = 0;
    for (uint64_t nth = 1; nth <= operations + operations / 10; nth += step_size, runs++) {
        *r = (run){.kind = kind, .nth = nth, .persistent = persistent, .mode = mode};
        run_once(r);
        failed += r->failures > 0;
        latched += r->latches > 0;
    }
    cr_log_info("%s: %llu operations, %d runs, %d with a call that failed, %d that stopped writing", title,
                (unsigned long long)operations, runs, failed, latched);
    cr_assert_gt(failed, 0);
    free(r);
}

TestSuite(fault_sweep, .timeout = 300);

Test(fault_sweep, no_fault) {
    run *r = calloc(1, sizeof *r);
    r->mode = VARVE_WAL_MAPPED;
    run_once(r);
    cr_assert_eq(r->failures, 0);
    free(r);
}

Test(fault_sweep, io_error_once) {
    sweep(FAULT_EIO, VARVE_WAL_MAPPED, false, "EIO once");
}

Test(fault_sweep, io_error_lasting) {
    sweep(FAULT_EIO, VARVE_WAL_MAPPED, true, "EIO lasting");
}

Test(fault_sweep, io_error_once_pwrite) {
    sweep(FAULT_EIO, VARVE_WAL_PWRITE, false, "EIO once, WAL by pwrite");
}

Test(fault_sweep, sync_fails_once) {
    sweep(FAULT_SYNC, VARVE_WAL_MAPPED, false, "a sync once");
}

Test(fault_sweep, sync_fails_once_pwrite) {
    sweep(FAULT_SYNC, VARVE_WAL_PWRITE, false, "a sync once, WAL by pwrite");
}

Test(fault_sweep, full_disk_once) {
    sweep(FAULT_ENOSPC, VARVE_WAL_MAPPED, false, "ENOSPC once");
}

Test(fault_sweep, full_disk_lasting) {
    sweep(FAULT_ENOSPC, VARVE_WAL_MAPPED, true, "ENOSPC lasting");
}

Test(fault_sweep, full_disk_lasting_pwrite) {
    sweep(FAULT_ENOSPC, VARVE_WAL_PWRITE, true, "ENOSPC lasting, WAL by pwrite");
}

Test(fault_sweep, no_memory_once) {
    sweep(FAULT_NOMEM, VARVE_WAL_MAPPED, false, "no memory once");
}

Test(fault_sweep, no_memory_lasting) {
    sweep(FAULT_NOMEM, VARVE_WAL_MAPPED, true, "no memory lasting");
}
