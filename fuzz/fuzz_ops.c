/*
 * Fuzzes the engine with sequences of calls: the input's first bytes choose options, each further one or few a call. A model in
 * memory says what every call must answer. The database is on the in-memory file system, so that power cuts are among the calls:
 * after one, what is there must be a prefix of the history that has everything synced, and the model goes on from it.
 *
 * Keys are few and short, so that calls meet; a value is made of its version, whose lowest bits choose a size.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <varve/feed.h>

#include "base/bytes.h"
#include "base/check.h"
#include "db/db.h"
#include "os/memfs.h"

#define INPUT_BYTES_MAX 4096u
#define KEYS 40
#define STORES 2
#define HISTORY_MAX 4096
#define SNAPSHOTS 3
#define VALUE_BYTES_MAX 20000

typedef struct model {
    uint32_t version[STORES][KEYS]; /* 0: absent */
    uint32_t position;              /* of store 0; 0: never set */
} model;

typedef struct run {
    const uint8_t *at, *end;
    vr_memfs *memfs;
    vr_env env;
    varve_options options;
    varve_db *db;
    varve_store *stores[STORES];
    varve_feed *feed;
    uint64_t feed_at;
    varve_snapshot *snapshots[SNAPSHOTS];
    model snapshot_models[SNAPSHOTS];
    model now;
    uint32_t next_version;
    model *history; /* states a power cut may leave, from the last sync on; the last one is now */
    size_t history_count;
} run;

/* --- Input ----------------------------------------------------------------------------------------------------------- */

static uint8_t take(run *r) {
    return r->at < r->end ? *r->at++ : 0;
}

static varve_slice key_of(unsigned k, char out[8]) {
    k %= KEYS;
    if (k == 0) return varve_bytes(out, 0); /* the empty key */
    size_t size = 1 + k % 5;
    memset(out, k % 3 == 0 ? 0xff : 'k', 8);
    out[0] = (char)(k * 6);
    out[size - 1] = (char)(k * 11);
    return varve_bytes(out, size);
}

/* The keys in their order. */
static int compare_keys(const void *a, const void *b, void *context) {
    char x[8], y[8];
    (void)context;
    return vr_compare(key_of(*(const uint8_t *)a, x), key_of(*(const uint8_t *)b, y));
}

static size_t sort_keys(uint8_t order[KEYS]) {
    for (unsigned k = 0; k < KEYS; k++) order[k] = (uint8_t)k;
    vr_sort(order, KEYS, 1, compare_keys, NULL);
    for (unsigned k = 1; k < KEYS; k++) VR_CHECK(compare_keys(&order[k - 1], &order[k], NULL) < 0);
    return KEYS;
}

static varve_slice value_of(uint32_t version, char out[VALUE_BYTES_MAX]) {
    static const size_t sizes[] = {0, 1, 8, 60, 300, 1000, 4000, VALUE_BYTES_MAX};
    size_t size = sizes[version % 8];
    memset(out, (int)('a' + version / 8 % 26), size);
    if (size >= sizeof version) memcpy(out, &version, sizeof version);
    return varve_bytes(out, size);
}

/* --- The model's history ------------------------------------------------------------------------------------------------ */

static void remember(run *r) {
    if (r->history_count == HISTORY_MAX) { /* a sync, so that the history can begin anew */
        VR_CHECK(varve_sync(r->db, NULL) == VARVE_OK);
        r->history_count = 0;
    }
    r->history[r->history_count++] = r->now;
}

static void note_sync(run *r) {
    r->history[0] = r->now;
    r->history_count = 1;
}

static void must(varve_status status) {
    VR_CHECK(status == VARVE_OK);
}

/* --- Open, close, crash ---------------------------------------------------------------------------------------------------- */

static void open_db(run *r) {
    static const char *const names[STORES] = {"first", "second"};
    varve_store_options options = {.size = sizeof options};
    must(vr_db_open(&r->env, "db", &r->options, &r->db, NULL));
    for (int s = 0; s < STORES; s++) {
        options.compression_level = s ? VARVE_COMPRESSION_NONE : 1;
        options.block_bytes = 1024;
        options.filter_bits = s ? VARVE_FILTER_NONE : 8;
        must(varve_store_open(r->db, names[s], &options, &r->stores[s], NULL));
    }
}

static void close_handles(run *r) {
    for (int i = 0; i < SNAPSHOTS; i++) {
        varve_snapshot_free(r->snapshots[i]);
        r->snapshots[i] = NULL;
    }
    varve_feed_close(r->feed);
    r->feed = NULL;
    for (int s = 0; s < STORES; s++) varve_store_close(r->stores[s]);
}

static void reopen(run *r) {
    close_handles(r);
    must(varve_close(r->db, NULL));
    open_db(r);
    note_sync(r);
}

/* Reads everything there is into a model. */
static void read_model(run *r, model *found) {
    varve_buffer value = {0};
    char key[8], expected[VALUE_BYTES_MAX];
    memset(found, 0, sizeof *found);
    for (int s = 0; s < STORES; s++) {
        for (unsigned k = 0; k < KEYS; k++) {
            varve_status status = varve_get(r->stores[s], key_of(k, key), &value, NULL);
            VR_CHECK(status == VARVE_OK || status == VARVE_NOT_FOUND);
            if (status == VARVE_NOT_FOUND) continue;
            uint32_t version = 0;
            for (size_t i = r->history_count; i-- > 0 && version == 0;) { /* which of the versions it ever had is this? */
                uint32_t had = r->history[i].version[s][k];
                if (had && vr_equal(varve_buffer_slice(&value), value_of(had, expected))) version = had;
            }
            VR_CHECK(version != 0);
            found->version[s][k] = version;
        }
    }
    varve_status status = varve_store_position(r->stores[0], &value, NULL);
    VR_CHECK(status == VARVE_OK || status == VARVE_NOT_FOUND);
    if (status == VARVE_OK) memcpy(&found->position, value.data, sizeof found->position);
    varve_buffer_free(&value);
}

/* Whether two states look alike: versions whose values are the same bytes cannot be told apart. */
static bool look_alike(const model *a, const model *b) {
    char x[VALUE_BYTES_MAX], y[VALUE_BYTES_MAX];
    if (a->position != b->position) return false;
    for (int s = 0; s < STORES; s++) {
        for (unsigned k = 0; k < KEYS; k++) {
            uint32_t v = a->version[s][k], w = b->version[s][k];
            if (v == w) continue;
            if (!v || !w || !vr_equal(value_of(v, x), value_of(w, y))) return false;
        }
    }
    return true;
}

static void crash(run *r, vr_crash_mode mode) {
    vr_memfs *after = NULL;
    model found;
    must(vr_memfs_clone(r->memfs, mode, r->next_version, &after, NULL));
    close_handles(r);
    must(varve_close(r->db, NULL));
    vr_memfs_free(r->memfs);
    r->memfs = after;
    r->env.fs = vr_memfs_fs(after);
    open_db(r);
    read_model(r, &found);
    size_t i = r->history_count;
    size_t first = mode == VR_CRASH_KEEP_ALL ? i - 1 : 0;
    while (i > first && !look_alike(&r->history[i - 1], &found)) i--;
    VR_CHECK(i > first); /* it is one of the states it may be */
    r->now = r->history[i - 1];
    must(varve_sync(r->db, NULL));
    note_sync(r);
}

/* --- Writing --------------------------------------------------------------------------------------------------------------- */

static uint32_t new_version(run *r, uint8_t size) {
    return ++r->next_version * 8 + size % 8;
}

static void put_or_delete(run *r, uint8_t what) {
    char key[8], value[VALUE_BYTES_MAX];
    unsigned s = what >> 4 & 1, k = take(r) % KEYS;
    if (what & 8) {
        must(varve_delete(r->stores[s], key_of(k, key), NULL));
        r->now.version[s][k] = 0;
    } else {
        uint32_t version = new_version(r, take(r));
        must(varve_put(r->stores[s], key_of(k, key), value_of(version, value), NULL));
        r->now.version[s][k] = version;
    }
    remember(r);
}

static void write_batch(run *r) {
    char key[8], value[VALUE_BYTES_MAX];
    varve_batch *batch;
    uint64_t sequence = 0;
    unsigned count = take(r) % 12;
    uint8_t how = take(r);
    varve_write_options options = {.size = sizeof options,
                                   .durability = how & 1 ? VARVE_SYNC : VARVE_WAL,
                                   .replica = how & 2,
                                   .sequence = &sequence};
    must(varve_batch_create(&batch, NULL));
    for (unsigned i = 0; i < count; i++) {
        uint8_t what = take(r);
        unsigned s = what & 1, k = (what >> 2) % KEYS;
        if (what & 2) {
            must(varve_batch_delete(batch, r->stores[s], key_of(k, key), NULL));
            r->now.version[s][k] = 0;
        } else {
            uint32_t version = new_version(r, take(r) % 7);
            must(varve_batch_put(batch, r->stores[s], key_of(k, key), value_of(version, value), NULL));
            r->now.version[s][k] = version;
        }
    }
    if (how & 4) {
        r->now.position = new_version(r, 0);
        must(varve_batch_position(batch, r->stores[0], varve_bytes(&r->now.position, sizeof r->now.position), NULL));
    }
    if (varve_batch_count(batch) > 0) {
        must(varve_write(r->db, batch, &options, NULL));
        VR_CHECK(sequence == varve_sequence(r->db));
        remember(r);
        if (how & 1) note_sync(r);
    }
    varve_batch_free(batch);
}

/* --- Reading --------------------------------------------------------------------------------------------------------------- */

static void get_one(run *r, uint8_t what) {
    char key[8], value[VALUE_BYTES_MAX];
    varve_buffer found = {0};
    unsigned s = what >> 4 & 1, k = take(r) % KEYS, at = what >> 2 & 3;
    const varve_snapshot *snapshot = at < SNAPSHOTS ? r->snapshots[at] : NULL;
    uint32_t version = (snapshot ? &r->snapshot_models[at] : &r->now)->version[s][k];
    varve_status status = varve_get_at(r->stores[s], snapshot, key_of(k, key), &found, NULL);
    VR_CHECK(status == (version ? VARVE_OK : VARVE_NOT_FOUND));
    if (version) VR_CHECK(vr_equal(varve_buffer_slice(&found), value_of(version, value)));
    varve_buffer_free(&found);
}

/* What an iterator over a range must visit, and where it stands: -1 before the first, count after the last. */
typedef struct walk {
    uint8_t keys[KEYS];
    int count, at;
    bool fresh; /* it has not moved: before the first and after the last at once */
} walk;

static void plan_walk(const model *m, unsigned s, const varve_range *range, walk *w) {
    uint8_t order[KEYS];
    char key[8];
    sort_keys(order);
    *w = (walk){.at = -1, .fresh = true};
    for (unsigned i = 0; i < KEYS; i++) {
        varve_slice k = key_of(order[i], key);
        if (!m->version[s][order[i]]) continue;
        if (range->from.data && vr_compare(k, range->from) < 0) continue;
        if (range->to.data && vr_compare(k, range->to) >= 0) continue;
        if (range->prefix.data && !vr_starts_with(k, range->prefix)) continue;
        w->keys[w->count++] = order[i];
    }
}

/* Moves both; returns what the iterator must say. */
static varve_status move(varve_iterator *it, walk *w, uint8_t how, unsigned k, varve_status *said) {
    char key[8], other[8];
    varve_slice target = key_of(k, key);
    switch (how % 4) {
    case 0:
        *said = varve_iterator_next(it);
        if (w->at < w->count) w->at++;
        break;
    case 1:
        *said = varve_iterator_prev(it);
        if (w->fresh) w->at = w->count;
        if (w->at >= 0) w->at--;
        break;
    case 2:
        *said = varve_iterator_seek(it, target);
        w->at = 0;
        while (w->at < w->count && vr_compare(key_of(w->keys[w->at], other), target) < 0) w->at++;
        break;
    default:
        *said = varve_iterator_seek_prev(it, target);
        w->at = w->count - 1;
        while (w->at >= 0 && vr_compare(key_of(w->keys[w->at], other), target) > 0) w->at--;
        break;
    }
    w->fresh = false;
    return w->at >= 0 && w->at < w->count ? VARVE_OK : VARVE_NOT_FOUND;
}

static void iterate(run *r, uint8_t what) {
    char from[8], to[8], prefix[8], key[8], value[VALUE_BYTES_MAX];
    unsigned s = what >> 4 & 1, at = what >> 2 & 3;
    uint8_t bounds = take(r);
    varve_range range = {.snapshot = at < SNAPSHOTS ? r->snapshots[at] : NULL};
    if (bounds & 1) range.from = key_of(take(r), from);
    if (bounds & 2) range.to = key_of(take(r), to);
    if (bounds & 4) range.prefix = varve_bytes(key_of(take(r), prefix).data, bounds >> 3 & 1);
    const model *m = range.snapshot ? &r->snapshot_models[at] : &r->now;
    walk w;
    varve_iterator *it;
    plan_walk(m, s, &range, &w);
    must(varve_iterator_open(r->stores[s], &range, &it, NULL));
    for (unsigned moves = take(r) % 64; moves > 0; moves--) {
        uint8_t how = take(r);
        varve_status said = VARVE_OK, expected = move(it, &w, how, how >> 2, &said);
        VR_CHECK(said == expected);
        if (said != VARVE_OK) continue;
        VR_CHECK(vr_equal(varve_iterator_key(it), key_of(w.keys[w.at], key)));
        VR_CHECK(vr_equal(varve_iterator_value(it), value_of(m->version[s][w.keys[w.at]], value)));
    }
    varve_iterator_close(it);
}

static void toggle_snapshot(run *r) {
    unsigned i = take(r) % SNAPSHOTS;
    if (r->snapshots[i]) {
        varve_snapshot_free(r->snapshots[i]);
        r->snapshots[i] = NULL;
    } else {
        must(varve_snapshot_create(r->db, &r->snapshots[i], NULL));
        r->snapshot_models[i] = r->now;
    }
}

/* Follows the feed to its end: sequences without a gap. */
static void follow(run *r, bool release) {
    varve_change change;
    varve_status status;
    if (!r->feed) {
        must(varve_feed_open(r->db, "feed", &r->feed, NULL));
        r->feed_at = varve_feed_released(r->feed);
    }
    while ((status = varve_feed_next(r->feed, 0, &change, NULL)) == VARVE_OK) VR_CHECK(change.sequence == ++r->feed_at);
    VR_CHECK(status == VARVE_NOT_FOUND && r->feed_at == varve_sequence(r->db));
    if (release) must(varve_feed_release(r->feed, r->feed_at, NULL));
}

/* --- The calls --------------------------------------------------------------------------------------------------------------- */

static void upkeep(run *r, uint8_t what) {
    switch (what >> 2 & 15) {
    case 0: must(varve_flush(r->db, NULL)); break;
    case 1:
    case 2: must(varve_compact(r->stores[what >> 6 & 1], NULL)); break;
    case 3: reopen(r); break;
    case 4: crash(r, VR_CRASH_KEEP_ALL); break;
    case 5: crash(r, VR_CRASH_DROP_UNSYNCED); break;
    case 6: crash(r, VR_CRASH_MIXED); break;
    case 7:
        must(varve_sync(r->db, NULL));
        note_sync(r);
        break;
    case 8: must(varve_verify(r->db, NULL)); break;
    case 9: follow(r, true); break;
    case 10: follow(r, false); break;
    default: toggle_snapshot(r); break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 4 || size > INPUT_BYTES_MAX) return 0;
    run r = {.at = data, .end = data + size, .history = calloc(HISTORY_MAX, sizeof(model))};
    r.env = vr_env_system();
    VR_CHECK(r.history != NULL);
    must(vr_memfs_create(&r.memfs, NULL));
    r.env.fs = vr_memfs_fs(r.memfs);
    uint8_t choice = take(&r);
    r.options = (varve_options){.size = sizeof r.options,
                                .create = true,
                                .memory = 32u << 20,
                                .memtable_bytes = (choice & 1 ? 64u : 256u) << 10,
                                .wal_segment_bytes = (choice & 2 ? 64u : 128u) << 10,
                                .wal_mode = choice & 4 ? VARVE_WAL_PWRITE : VARVE_WAL_MAPPED};
    open_db(&r);
    must(varve_sync(r.db, NULL));
    note_sync(&r);
    while (r.at < r.end) {
        uint8_t what = take(&r);
        switch (what & 3) {
        case 0: put_or_delete(&r, what); break;
        case 1: what & 32 ? write_batch(&r) : get_one(&r, what); break;
        case 2: iterate(&r, what); break;
        default: upkeep(&r, what); break;
        }
    }
    crash(&r, VR_CRASH_KEEP_ALL);
    reopen(&r);
    must(varve_verify(r.db, NULL));
    close_handles(&r);
    must(varve_close(r.db, NULL));
    vr_memfs_free(r.memfs);
    free(r.history);
    return 0;
}
