/*
 * tests/db/test_db_threads.c - everything at once: writers, readers, a feed, upkeep; and a close while others call in.
 *
 * A writer owns its keys, so it knows what each must hold. A value tells its key and a number and is filled by them, so that a
 * reader can tell a torn or foreign one.
 */
#include <stdio.h>
#include <stdlib.h>

#include <varve/feed.h>

#include "base/bytes.h"
#include "db_fixture.h"
#include "os/thread.h"

#define WRITERS 3
#define READERS 2
#define KEYS 200 /* of each writer */
#define RUN_MS 1500
#define VALUE_BYTES_MAX 700

typedef struct stage {
    fixture f;
    _Atomic bool stop;
    _Atomic uint64_t reads, changes;
    uint32_t versions[WRITERS][KEYS]; /* each writer's own: what it was told is there; 0: absent */
} stage;

typedef struct actor {
    stage *s;
    int number;
    uint64_t random;
    vr_thread thread;
} actor;

static uint64_t dice(actor *a) {
    a->random ^= a->random << 13;
    a->random ^= a->random >> 7;
    return a->random ^= a->random << 17;
}

static varve_slice key_of(int writer, int k, char out[16]) {
    return varve_bytes(out, (size_t)snprintf(out, 16, "w%d-%05d", writer, k));
}

static varve_slice value_of(varve_slice key, uint32_t version, char out[VALUE_BYTES_MAX]) {
    size_t size = 40 + version * 17 % (VALUE_BYTES_MAX - 40);
    memset(out, 'a' + (int)(version % 26), size);
    memcpy(out, &version, sizeof version);
    memcpy(out + 4, key.data, key.size);
    return varve_bytes(out, size);
}

static void check_value(varve_slice key, varve_slice value) {
    char expected[VALUE_BYTES_MAX];
    uint32_t version = 0;
    cr_assert_geq(value.size, 40);
    memcpy(&version, value.data, sizeof version);
    cr_assert(vr_equal(value, value_of(key, version, expected)), "the value of %.*s is not one of its own", (int)key.size,
              key.data);
}

static void must(varve_status status, const varve_error *err, const char *what) {
    cr_assert_eq(status, VARVE_OK, "%s: %s: %s", what, varve_status_name(status), err->message);
}

/* --- Writers --------------------------------------------------------------------------------------------------------- */

static void write_many(actor *a, uint32_t version) {
    stage *s = a->s;
    varve_error err;
    varve_batch *batch;
    char key[16], value[VALUE_BYTES_MAX];
    varve_write_options options = {.size = sizeof options, .durability = dice(a) % 8 == 0 ? VARVE_SYNC : VARVE_WAL};
    must(varve_batch_create(&batch, &err), &err, "batch");
    int first = (int)(dice(a) % KEYS), count = 1 + (int)(dice(a) % 20);
    for (int i = 0; i < count; i++) {
        varve_slice k = key_of(a->number, (first + i) % KEYS, key);
        must(varve_batch_put(batch, s->f.store, k, value_of(k, version, value), &err), &err, "batch put");
    }
    must(varve_write(s->f.db, batch, &options, &err), &err, "write");
    for (int i = 0; i < count; i++) s->versions[a->number][(first + i) % KEYS] = version;
    varve_batch_free(batch);
}

static void writer(void *context) {
    actor *a = context;
    stage *s = a->s;
    varve_error err;
    char key[16], value[VALUE_BYTES_MAX];
    for (uint32_t version = 1; !atomic_load(&s->stop); version++) {
        int k = (int)(dice(a) % KEYS);
        varve_slice name = key_of(a->number, k, key);
        uint64_t what = dice(a) % 20;
        if (what == 0) {
            write_many(a, version);
        } else if (what == 1) {
            must(varve_delete(s->f.store, name, &err), &err, "delete");
            s->versions[a->number][k] = 0;
        } else {
            must(varve_put(s->f.store, name, value_of(name, version, value), &err), &err, "put");
            s->versions[a->number][k] = version;
        }
        if (version % 500 == 0) must(varve_sync(s->f.db, &err), &err, "sync");
    }
}

/* --- Readers --------------------------------------------------------------------------------------------------------- */

static void read_pairs(actor *a, varve_snapshot *snapshot, bool back, int *count) {
    varve_error err;
    varve_iterator *it;
    varve_buffer before = {0};
    varve_range range = {.snapshot = snapshot};
    varve_status status;
    must(varve_iterator_open(a->s->f.store, &range, &it, &err), &err, "iterator");
    if (back) {
        while ((status = varve_iterator_next(it)) == VARVE_OK) {
        }
    }
    *count = 0;
    while ((status = back ? varve_iterator_prev(it) : varve_iterator_next(it)) == VARVE_OK) {
        varve_slice key = varve_iterator_key(it);
        check_value(key, varve_iterator_value(it));
        int order = vr_compare(key, varve_buffer_slice(&before));
        cr_assert(*count == 0 || (back ? order < 0 : order > 0), "keys out of order");
        cr_assert(vr_buffer_set(&before, key));
        ++*count;
    }
    cr_assert_eq(status, VARVE_NOT_FOUND, "%s", varve_iterator_error(it)->message);
    varve_iterator_close(it);
    varve_buffer_free(&before);
}

static void read_snapshot(actor *a) {
    varve_error err;
    varve_snapshot *snapshot;
    varve_buffer first = {0}, second = {0};
    char key[16];
    int on, back;
    must(varve_snapshot_create(a->s->f.db, &snapshot, &err), &err, "snapshot");
    varve_slice name = key_of((int)(dice(a) % WRITERS), (int)(dice(a) % KEYS), key);
    varve_status before = varve_get_at(a->s->f.store, snapshot, name, &first, &err);
    read_pairs(a, snapshot, false, &on);
    read_pairs(a, snapshot, true, &back);
    varve_status after = varve_get_at(a->s->f.store, snapshot, name, &second, &err);
    cr_assert_eq(on, back, "a snapshot has %d pairs one way and %d the other", on, back);
    cr_assert_eq(before, after);
    if (before == VARVE_OK) cr_assert(vr_equal(varve_buffer_slice(&first), varve_buffer_slice(&second)), "a snapshot has changed");
    varve_snapshot_free(snapshot);
    varve_buffer_free(&first);
    varve_buffer_free(&second);
}

static void reader(void *context) {
    actor *a = context;
    stage *s = a->s;
    varve_error err;
    varve_buffer value = {0};
    char key[16];
    while (!atomic_load(&s->stop)) {
        for (int i = 0; i < 300; i++) {
            varve_slice name = key_of((int)(dice(a) % WRITERS), (int)(dice(a) % KEYS), key);
            varve_status status = varve_get(s->f.store, name, &value, &err);
            cr_assert(status == VARVE_OK || status == VARVE_NOT_FOUND, "get: %s", err.message);
            if (status == VARVE_OK) check_value(name, varve_buffer_slice(&value));
        }
        read_snapshot(a);
        atomic_fetch_add(&s->reads, 1);
    }
    varve_buffer_free(&value);
}

static void follower(void *context) {
    actor *a = context;
    stage *s = a->s;
    varve_error err;
    varve_feed *feed;
    varve_change change;
    must(varve_feed_open(s->f.db, "follower", &feed, &err), &err, "feed");
    uint64_t last = varve_feed_released(feed);
    while (!atomic_load(&s->stop)) {
        varve_status status = varve_feed_next(feed, 20, &change, &err);
        if (status == VARVE_NOT_FOUND) continue;
        must(status, &err, "feed");
        cr_assert_eq(change.sequence, last + 1, "the feed left out a change");
        last = change.sequence;
        if (change.kind == VARVE_CHANGE_PUT && change.key.size > 0 && change.key.data[0] == 'w')
            check_value(change.key, change.value);
        atomic_fetch_add(&s->changes, 1);
        if (last % 1000 == 0) must(varve_feed_release(feed, last, &err), &err, "release");
    }
    varve_feed_close(feed);
}

/* --- Upkeep ---------------------------------------------------------------------------------------------------------- */

static void load_and_drop(stage *s) {
    varve_error err;
    varve_store *store;
    varve_bulk *bulk;
    varve_slice value = varve_str("from a bulk");
    char key[16];
    must(varve_store_open(s->f.db, "loaded", NULL, &store, &err), &err, "store");
    must(varve_bulk_begin(store, &bulk, &err), &err, "bulk");
    for (int i = 0; i < 100; i++) must(varve_bulk_add(bulk, key_of(9, i, key), &value, &err), &err, "bulk add");
    must(varve_bulk_finish(bulk, varve_str("here"), &err), &err, "bulk finish");
    varve_buffer found = {0};
    must(varve_get(store, key_of(9, 99, key), &found, &err), &err, "get");
    varve_buffer_free(&found);
    must(varve_store_drop(s->f.db, "loaded", &err), &err, "drop");
    varve_store_close(store);
}

static void keeper(void *context) {
    actor *a = context;
    stage *s = a->s;
    varve_error err;
    varve_stats stats = {.size = sizeof stats};
    char name[32];
    for (int round = 0; !atomic_load(&s->stop); round++) {
        must(varve_flush(s->f.db, &err), &err, "flush");
        must(varve_stats_get(s->f.db, &stats, &err), &err, "stats");
        if (round % 4 == 1) must(varve_compact(s->f.store, &err), &err, "compact");
        if (round % 8 == 2) must(varve_verify(s->f.db, &err), &err, "verify");
        if (round % 16 == 3) {
            snprintf(name, sizeof name, "copy-%d", round);
            must(varve_checkpoint(s->f.db, name, &err), &err, "checkpoint");
        }
        if (round % 8 == 5) load_and_drop(s);
    }
}

static void check_final(stage *s) {
    varve_buffer value = {0};
    char key[16], expected[VALUE_BYTES_MAX];
    for (int w = 0; w < WRITERS; w++) {
        for (int k = 0; k < KEYS; k++) {
            varve_slice name = key_of(w, k, key);
            varve_status status = varve_get(s->f.store, name, &value, &s->f.err);
            uint32_t version = s->versions[w][k];
            cr_assert_eq(status, version ? VARVE_OK : VARVE_NOT_FOUND, "%s: %s", key, varve_status_name(status));
            if (version)
                cr_assert(vr_equal(varve_buffer_slice(&value), value_of(name, version, expected)),
                          "%s is not what was written last", key);
        }
    }
    varve_buffer_free(&value);
}

static void run_all(varve_wal_mode mode) {
    stage *s = calloc(1, sizeof *s);
    void (*const bodies[])(void *) = {writer, writer, writer, reader, reader, follower, keeper};
    actor actors[sizeof bodies / sizeof bodies[0]];
    fixture_start(&s->f);
    fixture_close(&s->f);
    s->f.options.wal_mode = mode;
    fixture_open(&s->f);
    for (size_t i = 0; i < sizeof actors / sizeof actors[0]; i++) {
        actors[i] = (actor){.s = s, .number = (int)i, .random = 88172645463325252u + 977 * i};
        must(vr_thread_start(&actors[i].thread, "actor", bodies[i], &actors[i], &s->f.err), &s->f.err, "thread");
    }
    uint64_t end = vr_env_us(&s->f.env) + RUN_MS * 1000;
    uint64_t latest = end + UINT64_C(60) * 1000000; /* on a busy machine somebody may not have had a turn yet */
    while (vr_env_us(&s->f.env) < end ||
           (vr_env_us(&s->f.env) < latest && (atomic_load(&s->reads) == 0 || atomic_load(&s->changes) == 0))) {
        varve_feed_drop(s->f.db, "none", NULL);
    }
    atomic_store(&s->stop, true);
    for (size_t i = 0; i < sizeof actors / sizeof actors[0]; i++) vr_thread_join(&actors[i].thread);
    cr_assert_gt(atomic_load(&s->reads), 0);
    cr_assert_gt(atomic_load(&s->changes), 0);
    check_final(s);
    fixture_close(&s->f);
    fixture_open(&s->f);
    check_final(s);
    fixture_crash(&s->f, VR_CRASH_KEEP_ALL, 0);
    fixture_open(&s->f);
    check_final(s);
    fixture_stop(&s->f);
    free(s);
}

TestSuite(db_threads, .timeout = 120);

Test(db_threads, everything_at_once) {
    run_all(VARVE_WAL_MAPPED);
}

Test(db_threads, everything_at_once_pwrite) {
    run_all(VARVE_WAL_PWRITE);
}

/* --- Close while others call in ---------------------------------------------------------------------------------------- */

typedef struct caller {
    fixture *f;
    int number;
    varve_store *store; /* its own handle, which keeps what it needs alive */
    int acknowledged;   /* puts */
    vr_thread thread;
} caller;

/* CLOSED ends it; CANCELLED is what a long call may say when it is interrupted, TIMEOUT what waiting may on a busy machine. */
static bool goes_on(varve_status status, const varve_error *err, const char *what) {
    bool right = status >= 0 || status == VARVE_CLOSED || status == VARVE_CANCELLED || status == VARVE_BUSY ||
                 status == VARVE_EXISTS || status == VARVE_TIMEOUT;
    cr_assert(right, "%s: %s: %s", what, varve_status_name(status), err->message);
    return status != VARVE_CLOSED;
}

static bool call_put(caller *c, varve_db *db, varve_error *err) {
    char key[16], value[300] = {0};
    (void)db;
    varve_slice name = key_of(c->number, c->acknowledged, key);
    varve_status status = varve_put(c->store, name, varve_bytes(value, sizeof value), err);
    c->acknowledged += status == VARVE_OK;
    return goes_on(status, err, "put");
}

static bool call_sync(caller *c, varve_db *db, varve_error *err) {
    return call_put(c, db, err) && goes_on(varve_sync(db, err), err, "sync");
}

static bool call_read(caller *c, varve_db *db, varve_error *err) {
    varve_iterator *it = NULL;
    varve_snapshot *snapshot = NULL;
    varve_status status = varve_snapshot_create(db, &snapshot, err);
    if (status == VARVE_OK) status = varve_iterator_open(c->store, &(varve_range){.snapshot = snapshot}, &it, err);
    while (status == VARVE_OK) status = varve_iterator_next(it);
    if (it && status < 0) *err = *varve_iterator_error(it);
    varve_iterator_close(it);
    varve_snapshot_free(snapshot);
    return goes_on(status, err, "read");
}

static bool call_upkeep(caller *c, varve_db *db, varve_error *err) {
    varve_stats stats = {.size = sizeof stats};
    return goes_on(varve_flush(db, err), err, "flush") && goes_on(varve_compact(c->store, err), err, "compact") &&
           goes_on(varve_stats_get(db, &stats, err), err, "stats") && goes_on(varve_verify(db, err), err, "verify") &&
           goes_on(varve_wait_idle(db, 100, err), err, "wait") && goes_on(varve_checkpoint(db, "copy", err), err, "checkpoint");
}

static bool call_feed(caller *c, varve_db *db, varve_error *err) {
    varve_feed *feed = NULL;
    varve_change change;
    (void)c;
    varve_status status = varve_feed_open(db, "feed", &feed, err);
    for (int i = 0; i < 100 && status == VARVE_OK; i++) status = varve_feed_next(feed, 1, &change, err);
    if (status == VARVE_OK) status = varve_feed_release(feed, change.sequence, err);
    varve_feed_close(feed);
    return goes_on(status, err, "feed");
}

static bool call_stores(caller *c, varve_db *db, varve_error *err) {
    varve_store *store = NULL;
    varve_bulk *bulk = NULL;
    varve_slice value = varve_str("v");
    (void)c;
    varve_status status = varve_store_open(db, "other", NULL, &store, err);
    if (status == VARVE_OK) status = varve_bulk_begin(store, &bulk, err);
    if (status == VARVE_OK) status = varve_bulk_add(bulk, varve_str("k"), &value, err);
    if (bulk) status = status == VARVE_OK ? varve_bulk_finish(bulk, varve_str("p"), err) : (varve_bulk_abort(bulk), status);
    if (status == VARVE_OK) status = varve_store_drop(db, "other", err);
    varve_store_close(store);
    return goes_on(status, err, "stores");
}

static void call_in(void *context) {
    static bool (*const calls[])(caller *, varve_db *, varve_error *) = {call_put,    call_sync, call_read,
                                                                         call_upkeep, call_feed, call_stores};
    caller *c = context;
    varve_error err = {0};
    varve_db *db = varve_store_db(c->store);
    while (calls[c->number](c, db, &err)) {
    }
    cr_assert_eq(err.code, VARVE_CLOSED);
    varve_store_close(c->store);
}

Test(db_threads, close_while_others_call_in) {
    enum { CALLERS = 6, ROUNDS = 40 };
    fixture f;
    for (int round = 0; round < ROUNDS; round++) {
        caller callers[CALLERS];
        fixture_start(&f);
        for (int i = 0; i < CALLERS; i++) {
            callers[i] = (caller){.f = &f, .number = i};
            REQUIRE(&f, varve_store_open(f.db, "default", NULL, &callers[i].store, &f.err));
        }
        for (int i = 0; i < CALLERS; i++) REQUIRE(&f, vr_thread_start(&callers[i].thread, "caller", call_in, &callers[i], &f.err));
        uint64_t end = vr_env_us(&f.env) + (uint64_t)(round * 7919 % 30) * 1000;
        while (vr_env_us(&f.env) < end) cr_assert_null(get(&f, "none"));
        fixture_close(&f);
        fixture_open(&f); /* while the others are still finding out */
        for (int i = 0; i < CALLERS; i++) vr_thread_join(&callers[i].thread);
        for (int i = 0; i < 2; i++) {
            char key[16];
            for (int k = 0; k < callers[i].acknowledged; k++) {
                key_of(i, k, key);
                cr_assert_not_null(get(&f, key), "%s was acknowledged", key);
            }
        }
        REQUIRE(&f, varve_verify(f.db, &f.err));
        fixture_stop(&f);
    }
}
