/*
 * db/write.c - the life of a write: the writer's turn, the WAL, the memtables, publication.
 *
 * 1. take write_mutex; 2. make room in the memtable of every store concerned (turning a full one over, waiting for the flusher
 * where two wait already); 3. append the batch to the WAL: from here on it survives the process; 4. put its changes into the
 * memtables; 5. publish `visible`: from here on it is read; 6. let go, and sync if asked to.
 *
 * A failure before 3 changes nothing. A failure of 4 cannot happen after 2, and would latch: the WAL has what the memtable has not.
 */
#include <errno.h>
#include <inttypes.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/error.h"
#include "base/hash.h"
#include "db/db.h"

/* How often the writer looks after memory and WAL, in bytes appended. */
#define UPKEEP_BYTES (UINT64_C(1) << 20)

/* A throttled writer sleeps when it owes this much: shorter sleeps cost more than they delay. */
#define THROTTLE_SLEEP_NS UINT64_C(1000000)

/* What the background is taken to rewrite in a second when writers are slowed down to it. */
#define THROTTLE_BYTES_PER_SECOND (UINT64_C(100) << 20)

/* --- Memtables --------------------------------------------------------------------------------------------------- */

static varve_status make_active(vr_store *store, uint64_t batch_bytes, uint32_t count, varve_error *err) {
    varve_db *db = store->db;
    vr_mutex_assert_held(&db->write_mutex);
    VR_ASSERT(!store->active);
    uint64_t bytes = db->options.memtable_bytes;
    uint64_t needed = 2 * batch_bytes + 256 * (uint64_t)count;
    if (bytes < needed) bytes = needed;
    vr_memtable *mt = NULL;
    varve_status status = vr_memtable_create(&db->env, &db->budget, bytes, store->keys_expected, &mt, err);
    if (status != VARVE_OK) return status;
    vr_mutex_lock(&db->mutex);
    vr_view *before = atomic_load_explicit(&store->view, memory_order_relaxed); /* replaced under db->mutex only */
    vr_view *view = vr_view_create(&db->env.mem, mt, store->immutables, store->immutable_count, before->version);
    if (view) vr_store_publish(store, view);
    vr_mutex_unlock(&db->mutex);
    if (!view) {
        vr_memtable_unref(mt);
        return vr_error_nomem(err, sizeof *view, "a store's view");
    }
    store->active = mt;
    return VARVE_OK;
}

/* Fills entry with what is to be flushed of the store. */
static varve_status describe_immutable(vr_store *store, vr_immutable *entry, varve_error *err) {
    memset(entry, 0, sizeof *entry);
    entry->mt = store->active;
    entry->flushed_sequence = store->db->last_sequence;
    entry->first_sequence = atomic_load_explicit(&store->first_sequence, memory_order_relaxed);
    if (!store->position_dirty) return VARVE_OK;
    vr_mutex_lock(&store->position_mutex);
    entry->has_position = store->has_position;
    bool copied = !store->has_position || vr_buffer_set(&entry->position, varve_buffer_slice(&store->position));
    vr_mutex_unlock(&store->position_mutex);
    return copied ? VARVE_OK : vr_error_nomem(err, store->position.size, "a store's position");
}

varve_status vr_store_turn_over(vr_store *store, varve_error *err) {
    varve_db *db = store->db;
    vr_mutex_assert_held(&db->write_mutex);
    if (atomic_load_explicit(&store->first_sequence, memory_order_relaxed) == 0) return VARVE_OK;
    vr_immutable entry;
    varve_status status = describe_immutable(store, &entry, err);
    if (status != VARVE_OK) return status;
    if (store->active) {
        vr_memtable_link(store->active);
        store->keys_expected = vr_memtable_keys(store->active);
    }
    vr_mutex_lock(&db->mutex);
    vr_view *view = NULL;
    if (vr_grow(&db->env.mem, (void **)&store->immutables, &store->immutable_capacity, store->immutable_count + 1,
                sizeof store->immutables[0])) {
        store->immutables[store->immutable_count] = entry;
        vr_view *before = atomic_load_explicit(&store->view, memory_order_relaxed);
        view = vr_view_create(&db->env.mem, NULL, store->immutables, store->immutable_count + 1, before->version);
    }
    if (view) {
        store->immutable_count++;
        store->active = NULL; /* its reference is the immutable's now */
        store->position_dirty = false;
        atomic_store_explicit(&store->first_sequence, 0, memory_order_relaxed); /* read under db->mutex or after visible */
        vr_store_publish(store, view);
        vr_cond_broadcast(&db->work_cond);
    }
    vr_mutex_unlock(&db->mutex);
    if (view) return VARVE_OK;
    varve_buffer_free(&entry.position);
    return vr_error_nomem(err, sizeof *view, "a store's view");
}

/* Waits until the flusher has made room, or says why it has not. write_mutex held (and let go of while waiting). */
static varve_status wait_for_flush(varve_db *db, varve_error *err) {
    vr_mutex_assert_held(&db->write_mutex);
    vr_mutex_lock(&db->mutex);
    varve_error background = db->flush_error;
    vr_mutex_unlock(&db->mutex);
    if (background.code != VARVE_OK) return vr_error_copy(err, &background);
    uint64_t start = vr_env_us(&db->env);
    db->let_go++;
    vr_cond_wait_for(&db->write_cond, &db->write_mutex, 100000);
    atomic_fetch_add_explicit(&db->counters.stall_us, vr_env_us(&db->env) - start, memory_order_relaxed);
    return vr_db_check_writable(db, err);
}

/* Makes sure that count changes of batch_bytes fit into the store's active memtable. write_mutex held. */
static varve_status make_room(vr_store *store, uint64_t batch_bytes, uint32_t count, varve_error *err) {
    varve_db *db = store->db;
    for (;;) {
        vr_memtable *mt = store->active;
        if (!mt) return make_active(store, batch_bytes, count, err);
        if (vr_memtable_bytes(mt) < db->options.memtable_bytes && vr_memtable_fits(mt, batch_bytes, count)) return VARVE_OK;
        vr_mutex_lock(&db->mutex);
        size_t waiting = store->immutable_count;
        vr_mutex_unlock(&db->mutex);
        varve_status status = waiting < VR_IMMUTABLE_MAX ? vr_store_turn_over(store, err) : wait_for_flush(db, err);
        if (status != VARVE_OK) return status;
    }
}

static void note_first(vr_store *store, uint64_t sequence) {
    if (atomic_load_explicit(&store->first_sequence, memory_order_relaxed) != 0) return;
    atomic_store_explicit(&store->first_sequence, sequence, memory_order_relaxed); /* published by visible's release */
    store->wal_mark = store->db->wal_appended;
    VR_ASSERT(sequence > 0 && sequence <= VR_SEQUENCE_MAX);
}

static varve_status apply_position(vr_store *store, uint64_t sequence, varve_slice position, varve_error *err) {
    vr_mutex_lock(&store->position_mutex);
    bool copied = vr_buffer_set(&store->position, position);
    if (copied) store->has_position = position.size > 0;
    vr_mutex_unlock(&store->position_mutex);
    if (!copied) return vr_error_nomem(err, position.size, "a store's position");
    store->position_dirty = true;
    note_first(store, sequence);
    return VARVE_OK;
}

varve_status vr_store_apply(vr_store *store, uint64_t sequence, const vr_change *change, uint64_t batch_bytes, uint32_t batch_count,
                            varve_error *err) {
    if (change->kind == VR_KIND_POSITION) return apply_position(store, sequence, change->value, err);
    varve_status status = VARVE_OK;
    if (!store->active || !vr_memtable_fits(store->active, batch_bytes, batch_count)) {
        if (store->active) status = vr_store_turn_over(store, err);
        if (status == VARVE_OK) status = make_active(store, batch_bytes, batch_count, err);
    }
    if (status == VARVE_OK) {
        status = vr_memtable_add(store->active, sequence, change->kind, change->key, vr_key_hash(change->key), change->value, err);
    }
    if (status == VARVE_OK) note_first(store, sequence);
    return status;
}

/* --- Upkeep ------------------------------------------------------------------------------------------------------ */

/* Turns over what keeps the WAL long or memory full. write_mutex held. */
static varve_status turn_over_greedy(varve_db *db, varve_error *err) {
    vr_mutex_assert_held(&db->write_mutex);
    bool memory_full = vr_budget_held(&db->budget, VR_USE_MEMTABLE) > db->options.memory / 2;
    vr_store *greedy = NULL;
    uint64_t most = 0;
    vr_mutex_lock(&db->mutex);
    for (size_t i = 0; i < db->store_count; i++) {
        vr_store *store = db->stores[i];
        if (atomic_load_explicit(&store->first_sequence, memory_order_relaxed) == 0) continue;
        uint64_t behind = db->wal_appended - store->wal_mark;
        if (behind < 4 * db->options.memtable_bytes) behind = 0;
        uint64_t weight = memory_full && store->active ? vr_memtable_bytes(store->active) : behind;
        if (weight > most && store->immutable_count < VR_IMMUTABLE_MAX) {
            most = weight;
            greedy = store;
        }
    }
    vr_mutex_unlock(&db->mutex);
    return greedy ? vr_store_turn_over(greedy, err) : VARVE_OK;
}

static varve_status turn_over_every_store(varve_db *db, varve_error *err) {
    varve_status status = VARVE_OK;
    for (size_t i = 0; status == VARVE_OK; i++) {
        vr_mutex_lock(&db->mutex);
        vr_store *store = i < db->store_count ? db->stores[i] : NULL;
        vr_mutex_unlock(&db->mutex);
        if (!store) break;
        status = vr_store_turn_over(store, err);
    }
    return status;
}

/* Waits for the WAL to come below its bound, turning everything over once so that only feeds can hold it. write_mutex held. */
static varve_status wait_for_wal(varve_db *db, varve_error *err) {
    vr_mutex_assert_held(&db->write_mutex);
    uint64_t start = vr_env_us(&db->env);
    bool turned = false;
    for (;;) {
        vr_wal_stats wal;
        varve_status status = vr_db_check_writable(db, err); /* first: a close may have taken the WAL away while this waited */
        if (status != VARVE_OK) return status;
        vr_wal_stats_get(db->wal, &wal);
        if (wal.bytes < db->options.wal_bytes_max) return VARVE_OK;
        if (!turned) status = turn_over_every_store(db, err);
        if (status != VARVE_OK) return status;
        turned = true;
        uint64_t waited = vr_env_us(&db->env) - start;
        if (waited >= (uint64_t)db->options.wal_wait_ms * 1000) {
            varve_status code = vr_error_set(err, VARVE_NO_SPACE,
                                             "the WAL holds %" PRIu64 " bytes, wal_bytes_max is %" PRIu64
                                             ": a feed has not released it for %" PRIu32 " ms",
                                             wal.bytes, db->options.wal_bytes_max, db->options.wal_wait_ms);
            if (err) err->flags |= VARVE_ERROR_RETRIABLE;
            return code;
        }
        vr_mutex_lock(&db->mutex);
        db->trim_due = true;
        vr_cond_broadcast(&db->work_cond);
        vr_mutex_unlock(&db->mutex);
        db->let_go++;
        vr_cond_wait_for(&db->write_cond, &db->write_mutex, 20000);
        atomic_fetch_add_explicit(&db->counters.stall_us, vr_env_us(&db->env) - start - waited, memory_order_relaxed);
    }
}

/* replica: what it writes is how a feed's consumer makes room (positions, roll-backs), so it does not wait for room. */
static varve_status upkeep(varve_db *db, bool replica, varve_error *err) {
    if (db->wal_appended < db->upkeep_at) return VARVE_OK;
    varve_status status = turn_over_greedy(db, err);
    if (status == VARVE_OK && !replica) status = wait_for_wal(db, err);
    if (status != VARVE_OK) return status;
    vr_cache_trim(db->cache);
    vr_cond_signal(&db->work_cond); /* a segment may have to be prepared; a signal lost to a thread about to wait comes again */
    db->upkeep_at = db->wal_appended + UPKEEP_BYTES;
    return VARVE_OK;
}

/* Delays the writer a little when compaction is behind. write_mutex held, and let go of while sleeping. */
static void throttle(varve_db *db, uint64_t bytes) {
    vr_mutex_assert_held(&db->write_mutex);
    uint64_t debt = atomic_load_explicit(&db->debt, memory_order_relaxed);
    uint64_t soft = 12 * db->options.memtable_bytes;
    if (debt <= soft) return;
    db->owed_ns += vr_throttle_ns(debt, soft, 40 * db->options.memtable_bytes, bytes, THROTTLE_BYTES_PER_SECOND);
    if (db->owed_ns < THROTTLE_SLEEP_NS) return;
    uint64_t us = db->owed_ns / 1000;
    db->owed_ns = 0;
    vr_cond_wait_for(&db->write_cond, &db->write_mutex, us);
    atomic_fetch_add_explicit(&db->counters.stall_us, us, memory_order_relaxed);
}

/* --- The write --------------------------------------------------------------------------------------------------- */

/* Whether a failure of the WAL is for good. One that it has not latched and that comes from a lack of memory or descriptors is not.
 */
static bool stops_writing(const varve_db *db, const varve_error *failure) {
    if (vr_wal_stopped(db->wal)) return true;
    return failure->code != VARVE_NOMEM && failure->os_error != EMFILE && failure->os_error != ENFILE;
}

/* Appends to the WAL, sorting failures: those that leave the WAL as it was, and those that stop writing. */
static varve_status append(varve_db *db, uint32_t count, const varve_slice *parts, size_t part_count, varve_error *err) {
    varve_error own = {0};
    varve_status status = vr_wal_append(db->wal, db->last_sequence + 1, count, parts, part_count, &own);
    if (status == VARVE_OK) {
        for (size_t i = 0; i < part_count; i++) db->wal_appended += parts[i].size;
        return VARVE_OK;
    }
    if (status != VARVE_NO_SPACE && stops_writing(db, &own)) vr_db_latch(db, &own);
    return vr_error_copy(err, &own);
}

static void publish(varve_db *db, uint32_t count, uint64_t bytes) {
    vr_mutex_assert_held(&db->write_mutex);
    VR_ASSERT(count > 0);
    VR_ASSERT(vr_wal_last_sequence(db->wal) == db->last_sequence + count); /* nothing is read that the WAL has not */
    db->last_sequence += count;
    /* release: whoever reads visible (acquire) finds the changes in the memtables */
    atomic_store_explicit(&db->visible, db->last_sequence, memory_order_release);
    /* only the writer's turn changes them: a plain add is enough */
    atomic_store_explicit(&db->counters.writes, atomic_load_explicit(&db->counters.writes, memory_order_relaxed) + 1,
                          memory_order_relaxed);
    atomic_store_explicit(&db->counters.write_bytes, atomic_load_explicit(&db->counters.write_bytes, memory_order_relaxed) + bytes,
                          memory_order_relaxed);
    /* a hint: a waiter that is missed here looks again by itself within FEED_SLICE_US (feed.c) */
    if (atomic_load_explicit(&db->feed_waiters, memory_order_relaxed) > 0) vr_feed_wake(db);
}

static varve_status check_store_for_write(const vr_store *store, varve_error *err) {
    if (atomic_load_explicit(&store->dropped, memory_order_acquire)) {
        return vr_error_set(err, VARVE_MISSING, "store %s: it was dropped", store->name);
    }
    if (atomic_load_explicit(&store->bulk, memory_order_relaxed)) {
        return vr_error_set(err, VARVE_BUSY, "store %s: a bulk load or restore into it is under way", store->name);
    }
    return VARVE_OK;
}

/* Applies a change that is in the WAL; a failure here latches. */
static varve_status apply_or_latch(vr_store *store, uint64_t sequence, const vr_change *change, uint64_t bytes, uint32_t count,
                                   varve_error *err) {
    varve_error own = {0};
    varve_status status = vr_store_apply(store, sequence, change, bytes, count, &own);
    if (status == VARVE_OK) return VARVE_OK;
    vr_db_latch(store->db, &own);
    return vr_error_copy(err, &own);
}

/* Makes room in the store, which nobody has dropped or taken for a bulk by the time it is there. */
static varve_status prepare_single(vr_store *store, uint64_t bytes, varve_error *err) {
    varve_db *db = store->db;
    uint64_t let_go;
    varve_status status;
    do {
        let_go = db->let_go;
        status = check_store_for_write(store, err);
        if (status == VARVE_OK) status = make_room(store, bytes, 1, err);
    } while (status == VARVE_OK && let_go != db->let_go);
    return status;
}

static varve_status write_single_locked(vr_store *store, const vr_change *change, varve_error *err) {
    varve_db *db = store->db;
    varve_status status = vr_db_check_writable(db, err);
    if (status == VARVE_OK) status = upkeep(db, false, err);
    if (status != VARVE_OK) return status;
    char head[VR_BATCH_HEADER_BYTES + 1 + 3 * VR_VARINT32_BYTES_MAX];
    vr_batch_header_encode(head, vr_env_wall_ms(&db->env), false, 1);
    char *at = head + VR_BATCH_HEADER_BYTES;
    *at++ = (char)change->kind;
    at = vr_put_varint(at, change->store_id);
    at = vr_put_varint(at, change->key.size);
    if (change->kind == VR_KIND_PUT) at = vr_put_varint(at, change->value.size);
    varve_slice parts[3] = {varve_bytes(head, (size_t)(at - head)), change->key, change->value};
    uint64_t bytes = parts[0].size + parts[1].size + parts[2].size;
    status = prepare_single(store, bytes, err);
    if (status == VARVE_OK)
        vr_memtable_prefetch(store->active, vr_key_hash(change->key)); /* its cache miss passes while the WAL is written */
    if (status == VARVE_OK) status = append(db, 1, parts, change->kind == VR_KIND_PUT ? 3 : 2, err);
    if (status == VARVE_OK) status = apply_or_latch(store, db->last_sequence + 1, change, bytes, 1, err);
    if (status != VARVE_OK) return status;
    publish(db, 1, bytes);
    throttle(db, bytes);
    return VARVE_OK;
}

static varve_status write_single(varve_store *handle, vr_kind kind, varve_slice key, varve_slice value, varve_error *err) {
    vr_store *store = handle->store;
    if (key.size > VARVE_KEY_BYTES_MAX || value.size > VARVE_VALUE_BYTES_MAX) {
        return vr_error_set(err, VARVE_TOO_LARGE, "store %s: key of %zu bytes, value of %zu bytes: at most %u and %u are allowed",
                            store->name, key.size, value.size, VARVE_KEY_BYTES_MAX, VARVE_VALUE_BYTES_MAX);
    }
    vr_change change = {.kind = kind, .store_id = store->id, .key = key, .value = value};
    vr_mutex_lock(&store->db->write_mutex);
    varve_status status = write_single_locked(store, &change, err);
    vr_mutex_unlock(&store->db->write_mutex);
    return status;
}

varve_status varve_put(varve_store *store, varve_slice key, varve_slice value, varve_error *err) {
    return write_single(store, VR_KIND_PUT, key, value, err);
}

varve_status varve_delete(varve_store *store, varve_slice key, varve_error *err) {
    return write_single(store, VR_KIND_DELETE, key, varve_bytes(NULL, 0), err);
}

/* The store of an id, from the last one looked up where it is the same. */
static vr_store *find_store(varve_db *db, uint32_t id, vr_store *last) {
    if (last && last->id == id) return last;
    vr_mutex_lock(&db->mutex);
    vr_store *store = vr_store_find(db, id);
    vr_mutex_unlock(&db->mutex);
    return store;
}

/* Walks the batch: makes room for it (sequence 0), or applies its changes from sequence on. */
static varve_status walk_batch(varve_db *db, varve_slice batch, uint64_t sequence, varve_error *err) {
    vr_batch_reader reader;
    varve_status status = vr_batch_reader_open(&reader, batch, err);
    vr_store *store = NULL, *roomy = NULL;
    vr_change change;
    while (status == VARVE_OK && (status = vr_batch_reader_next(&reader, &change, err)) == VARVE_OK) {
        store = find_store(db, change.store_id, store);
        if (!store)
            return vr_error_set(err, VARVE_INVALID, "the batch names store %" PRIu32 ", which database %s does not have",
                                change.store_id, db->dir);
        if (sequence > 0) {
            status = apply_or_latch(store, sequence++, &change, batch.size, reader.count, err);
        } else if (store != roomy) {
            status = check_store_for_write(store, err);
            if (status == VARVE_OK && change.kind != VR_KIND_POSITION) status = make_room(store, batch.size, reader.count, err);
            if (change.kind != VR_KIND_POSITION) roomy = store;
        }
    }
    return status == VARVE_NOT_FOUND ? VARVE_OK : status;
}

/* The same for all stores of a batch. */
static varve_status prepare_batch(varve_db *db, varve_slice batch, varve_error *err) {
    uint64_t let_go;
    varve_status status;
    do {
        let_go = db->let_go;
        status = walk_batch(db, batch, 0, err);
    } while (status == VARVE_OK && let_go != db->let_go);
    return status;
}

static varve_status write_batch_locked(varve_db *db, varve_slice batch, const varve_write_options *options, varve_error *err) {
    varve_status status = vr_db_check_writable(db, err);
    if (status == VARVE_OK) status = upkeep(db, options->replica, err);
    if (status == VARVE_OK) status = prepare_batch(db, batch, err);
    if (status != VARVE_OK) return status;
    uint32_t count = vr_get32(batch.data + 8);
    uint64_t time_ms = options->timestamp_ms ? options->timestamp_ms : vr_env_wall_ms(&db->env);
    char head[VR_BATCH_HEADER_BYTES];
    vr_batch_header_encode(head, time_ms, options->replica, count);
    varve_slice parts[2] = {varve_bytes(head, sizeof head), varve_bytes(batch.data + sizeof head, batch.size - sizeof head)};
    status = append(db, count, parts, 2, err);
    if (status == VARVE_OK) status = walk_batch(db, batch, db->last_sequence + 1, err);
    if (status != VARVE_OK) return status;
    publish(db, count, batch.size);
    if (options->sequence) *options->sequence = db->last_sequence;
    throttle(db, batch.size);
    return VARVE_OK;
}

varve_status vr_db_write(varve_db *db, varve_slice batch, const varve_write_options *options, varve_error *err) {
    if (options->timestamp_ms > VR_BATCH_TIME_MAX) {
        return vr_error_set(err, VARVE_INVALID, "timestamp_ms: %" PRIu64 " given, at most %" PRIu64 " allowed",
                            options->timestamp_ms, VR_BATCH_TIME_MAX);
    }
    vr_mutex_lock(&db->write_mutex);
    varve_status status = write_batch_locked(db, batch, options, err);
    vr_mutex_unlock(&db->write_mutex);
    if (status == VARVE_OK && options->durability == VARVE_SYNC) status = varve_sync(db, err);
    return status;
}

varve_status vr_store_take_sequence(vr_store *store, uint64_t *sequence, varve_error *err) {
    varve_db *db = store->db;
    varve_buffer position = {0};
    vr_batch batch = {0};
    vr_mutex_lock(&db->write_mutex);
    vr_mutex_lock(&store->position_mutex);
    bool copied = !store->has_position || vr_buffer_set(&position, varve_buffer_slice(&store->position));
    vr_mutex_unlock(&store->position_mutex);
    vr_change change = {.kind = VR_KIND_POSITION, .store_id = store->id, .value = varve_buffer_slice(&position)};
    varve_status status = copied ? vr_db_check_writable(db, err) : vr_error_nomem(err, store->position.size, "a store's position");
    if (status == VARVE_OK) status = vr_batch_clear(&batch, err);
    if (status == VARVE_OK) status = vr_batch_append(&batch, &change, err);
    if (status == VARVE_OK) {
        vr_batch_header_encode(batch.bytes.data, vr_env_wall_ms(&db->env), true, 1);
        varve_slice part = varve_buffer_slice(&batch.bytes);
        status = append(db, 1, &part, 1, err);
    }
    if (status == VARVE_OK) status = apply_or_latch(store, db->last_sequence + 1, &change, batch.bytes.size, 1, err);
    if (status == VARVE_OK) {
        publish(db, 1, batch.bytes.size);
        *sequence = db->last_sequence;
    }
    vr_mutex_unlock(&db->write_mutex);
    vr_batch_free(&batch);
    varve_buffer_free(&position);
    return status;
}

varve_status vr_db_turn_over_all(varve_db *db, varve_error *err) {
    vr_mutex_lock(&db->write_mutex);
    varve_status status = turn_over_every_store(db, err);
    vr_mutex_unlock(&db->write_mutex);
    return status;
}

static varve_status sync_entered(varve_db *db, varve_error *err) {
    varve_status status = vr_db_check_writable(db, err);
    if (status != VARVE_OK) return status;
    varve_error own = {0};
    status = vr_wal_sync(db->wal, &own);
    if (status == VARVE_OK) { /* vouched for at once: the process may die before the next write does so */
        vr_mutex_lock(&db->write_mutex);
        vr_wal_mark_synced(db->wal);
        vr_mutex_unlock(&db->write_mutex);
        return VARVE_OK;
    }
    vr_db_latch(db, &own); /* whatever it was: a write that asked for it is in there, and cannot be taken back */
    return vr_error_copy(err, &own);
}

varve_status varve_sync(varve_db *db, varve_error *err) {
    varve_db *entered = db;
    varve_status status = vr_db_enter(entered, err);
    if (status != VARVE_OK) return status;
    status = sync_entered(db, err);
    vr_db_leave(entered);
    return status;
}

uint64_t varve_sequence(varve_db *db) {
    return atomic_load_explicit(&db->visible, memory_order_acquire); /* pairs with publish() */
}
