/*
 * db/feed.c - the change feed: a named, durable cursor over the WAL.
 *
 * A feed hands out whole batches only once they are readable (`visible`), so a consumer that reads a key back finds at least what
 * it was told. Its handle's mutex is held during a call; varve_close() takes it to let the reader go of the WAL, after which the
 * feed answers VARVE_CLOSED.
 */
#include "base/bytes.h"
#include "base/check.h"
#include "base/error.h"
#include "db/db.h"

/* A waiting feed looks again after this long even if nobody woke it: the writer's look at feed_waiters is a hint. */
#define FEED_SLICE_US 10000u

#define FEED_NAME_BYTES_MAX 255u

struct varve_feed {
    varve_db *db;
    vr_feed *feed;
    _Atomic uint32_t refs; /* the owner's, and varve_close()'s while it detaches */
    vr_mutex mutex;        /* rank HANDLE; guards: */
    vr_wal_reader *reader; /* NULL once detached */
    vr_batch_reader batch;
    uint64_t next;    /* sequence of the next change of batch, or of the next batch */
    uint64_t skip_to; /* changes at or below are passed over: a seek into the middle of a batch */
    bool pinned;
};

vr_feed *vr_feed_find(varve_db *db, const char *name) {
    for (size_t i = 0; i < db->feed_count; i++) {
        if (strcmp(db->feeds[i]->name, name) == 0) return db->feeds[i];
    }
    return NULL;
}

varve_status vr_feed_add(varve_db *db, const char *name, uint64_t released, vr_feed **out, varve_error *err) {
    vr_feed *feed = vr_zalloc(&db->env.mem, sizeof *feed);
    char *copy = vr_strdup(&db->env.mem, name);
    if (!feed || !copy ||
        !vr_grow(&db->env.mem, (void **)&db->feeds, &db->feed_capacity, db->feed_count + 1, sizeof db->feeds[0])) {
        vr_free(&db->env.mem, feed);
        vr_free(&db->env.mem, copy);
        return vr_error_nomem(err, sizeof *feed, "a feed");
    }
    feed->name = copy;
    atomic_init(&feed->released, released);
    db->feeds[db->feed_count++] = feed;
    *out = feed;
    return VARVE_OK;
}

static void remove_feed(varve_db *db, vr_feed *feed) {
    vr_mutex_assert_held(&db->mutex);
    size_t i = 0;
    while (db->feeds[i] != feed) i++;
    db->feeds[i] = db->feeds[--db->feed_count];
    vr_free(&db->env.mem, feed->name);
    vr_free(&db->env.mem, feed);
}

void vr_feed_wake(varve_db *db) {
    vr_mutex_lock(&db->mutex);
    vr_cond_broadcast(&db->feed_cond);
    vr_mutex_unlock(&db->mutex);
}

/* --- Open and close ----------------------------------------------------------------------------------------------- */

/* Finds or makes the feed and marks it open. *made: the manifest does not have it yet. */
static varve_status claim(varve_db *db, const char *name, vr_feed **feed, bool *made, varve_error *err) {
    varve_status status = VARVE_OK;
    vr_mutex_lock(&db->mutex);
    *feed = vr_feed_find(db, name);
    *made = *feed == NULL;
    if (*made) {
        status = vr_feed_add(db, name, varve_sequence(db), feed, err);
    } else if ((*feed)->open) {
        status = vr_error_set(err, VARVE_BUSY, "feed %s: it is open already", name);
    }
    if (status == VARVE_OK) (*feed)->open = true;
    vr_mutex_unlock(&db->mutex);
    return status;
}

static varve_status persist(varve_db *db, vr_edit_kind kind, const char *name, uint64_t released, varve_error *err) {
    vr_edit edit;
    vr_edit_init(&edit, &db->env.mem);
    vr_edit_field *field = vr_edit_add(&edit, kind, err);
    varve_status status = field ? VARVE_OK : VARVE_NOMEM;
    if (status == VARVE_OK) {
        field->name = varve_str(name);
        field->sequence = released;
        status = vr_db_append_edit(db, &edit, err);
    }
    vr_edit_free(&edit);
    return status;
}

static void unclaim(varve_db *db, vr_feed *feed, bool made) {
    vr_mutex_lock(&db->mutex);
    feed->open = false;
    feed->handle = NULL;
    if (made) remove_feed(db, feed);
    vr_mutex_unlock(&db->mutex);
}

static varve_status feed_open_entered(varve_db *db, const char *name, varve_feed **out, varve_error *err) {
    varve_status status = vr_db_check_writable(db, err);
    if (status != VARVE_OK) return status;
    size_t size = name ? strlen(name) : 0;
    if (size == 0 || size > FEED_NAME_BYTES_MAX) {
        return vr_error_set(err, VARVE_INVALID, "feed name: %zu bytes given, 1 to %u allowed", size, FEED_NAME_BYTES_MAX);
    }
    varve_feed *handle = vr_zalloc(&db->env.mem, sizeof *handle);
    if (!handle) return vr_error_nomem(err, sizeof *handle, "a feed");
    vr_feed *feed = NULL;
    bool made = false;
    vr_mutex_lock(&db->manifest_mutex);
    status = claim(db, name, &feed, &made, err);
    bool claimed = status == VARVE_OK;
    uint64_t released = claimed ? atomic_load_explicit(&feed->released, memory_order_relaxed) : 0;
    if (claimed && made) status = vr_wal_sync(db->wal, err); /* a sequence that a power cut takes back is given out again */
    if (claimed && made && status == VARVE_OK) status = persist(db, VR_EDIT_FEED_SET, name, released, err);
    bool forget = made && status != VARVE_OK; /* from here on the manifest has it */
    vr_mutex_unlock(&db->manifest_mutex);
    if (status == VARVE_OK) status = vr_wal_reader_open(db->wal, released, &handle->reader, err);
    if (status != VARVE_OK) {
        if (claimed) unclaim(db, feed, forget);
        vr_free(&db->env.mem, handle);
        return status;
    }
    handle->db = db;
    handle->feed = feed;
    handle->next = released + 1;
    handle->skip_to = released;
    atomic_init(&handle->refs, 1);
    vr_mutex_init(&handle->mutex, VR_RANK_HANDLE);
    vr_db_ref(db);
    vr_mutex_lock(&db->mutex);
    feed->persisted = made ? released : feed->persisted;
    feed->handle = handle;
    vr_mutex_unlock(&db->mutex);
    *out = handle;
    return VARVE_OK;
}

varve_status varve_feed_open(varve_db *db, const char *name, varve_feed **out, varve_error *err) {
    varve_db *entered = db;
    varve_status status = vr_db_enter(entered, err);
    if (status != VARVE_OK) return status;
    status = feed_open_entered(db, name, out, err);
    vr_db_leave(entered);
    return status;
}

static void unref(varve_feed *handle) {
    if (atomic_fetch_sub_explicit(&handle->refs, 1, memory_order_acq_rel) != 1) return; /* the last one sees what the others did */
    varve_db *db = handle->db;
    vr_mutex_destroy(&handle->mutex);
    vr_free(&db->env.mem, handle);
    vr_db_unref(db);
}

static void detach(varve_feed *handle) {
    vr_mutex_lock(&handle->mutex);
    if (handle->reader) {
        if (handle->pinned) vr_wal_reader_unpin(handle->reader);
        vr_wal_reader_close(handle->reader);
    }
    handle->reader = NULL;
    handle->pinned = false;
    handle->batch.left = 0;
    vr_mutex_unlock(&handle->mutex);
}

void varve_feed_close(varve_feed *handle) {
    if (!handle) return;
    unclaim(handle->db, handle->feed, false);
    detach(handle);
    unref(handle);
}

void vr_feeds_detach(varve_db *db) {
    vr_feed_wake(db);
    for (size_t i = 0;; i++) {
        varve_feed *handle = NULL;
        vr_mutex_lock(&db->mutex);
        bool end = i >= db->feed_count;
        if (!end) handle = db->feeds[i]->handle;
        if (handle) atomic_fetch_add_explicit(&handle->refs, 1, memory_order_relaxed);
        vr_mutex_unlock(&db->mutex);
        if (end) return;
        if (!handle) continue;
        detach(handle);
        unref(handle);
    }
}

static varve_status feed_drop_entered(varve_db *db, const char *name, varve_error *err) {
    varve_status status = vr_db_check_writable(db, err);
    if (status != VARVE_OK) return status;
    vr_mutex_lock(&db->manifest_mutex);
    vr_mutex_lock(&db->mutex);
    vr_feed *feed = name ? vr_feed_find(db, name) : NULL;
    if (!feed) {
        status = vr_error_set(err, VARVE_MISSING, "feed %s: database %s has none of that name", name ? name : "", db->dir);
    } else if (feed->open) {
        status = vr_error_set(err, VARVE_BUSY, "feed %s: it is open", name);
    } else {
        feed->open = true; /* ours, until it is gone */
    }
    vr_mutex_unlock(&db->mutex);
    if (status == VARVE_OK) {
        status = persist(db, VR_EDIT_FEED_DROP, name, 0, err);
        unclaim(db, feed, status == VARVE_OK);
    }
    vr_mutex_unlock(&db->manifest_mutex);
    return status;
}

varve_status varve_feed_drop(varve_db *db, const char *name, varve_error *err) {
    varve_db *entered = db;
    varve_status status = vr_db_enter(entered, err);
    if (status != VARVE_OK) return status;
    status = feed_drop_entered(db, name, err);
    vr_db_leave(entered);
    return status;
}

uint64_t varve_feed_released(const varve_feed *handle) {
    return atomic_load_explicit(&handle->feed->released, memory_order_relaxed);
}

/* --- Reading ------------------------------------------------------------------------------------------------------ */

static varve_status check(const varve_feed *handle, varve_error *err) {
    varve_status status = vr_db_check_open(handle->db, err);
    if (status == VARVE_OK && !handle->reader)
        status = vr_error_set(err, VARVE_CLOSED, "feed %s: its database is closing", handle->feed->name);
    return status;
}

/* Waits for `visible` to reach the next change. handle->mutex held. VARVE_NOT_FOUND: the time has passed. */
static varve_status wait_for_change(varve_feed *handle, uint32_t timeout_ms, varve_error *err) {
    varve_db *db = handle->db;
    if (varve_sequence(db) >= handle->next) return VARVE_OK;
    if (timeout_ms == 0) return VARVE_NOT_FOUND;
    uint64_t end = vr_env_us(&db->env) + (uint64_t)timeout_ms * 1000;
    varve_status status = VARVE_NOT_FOUND;
    atomic_fetch_add_explicit(&db->feed_waiters, 1, memory_order_relaxed);
    vr_mutex_lock(&db->mutex);
    for (;;) {
        status = vr_db_check_open(db, err);
        if (status != VARVE_OK || varve_sequence(db) >= handle->next) break;
        uint64_t now = vr_env_us(&db->env);
        status = VARVE_NOT_FOUND;
        if (now >= end) break;
        vr_cond_wait_for(&db->feed_cond, &db->mutex, vr_min_size((size_t)(end - now), FEED_SLICE_US));
    }
    vr_mutex_unlock(&db->mutex);
    atomic_fetch_sub_explicit(&db->feed_waiters, 1, memory_order_relaxed);
    return status;
}

/* Makes batch hold at least one change. */
static varve_status next_batch(varve_feed *handle, uint32_t timeout_ms, varve_error *err) {
    while (handle->batch.left == 0) {
        varve_status status = wait_for_change(handle, timeout_ms, err);
        if (status != VARVE_OK) return status;
        uint64_t first = 0;
        varve_slice payload = {NULL, 0};
        status = vr_wal_reader_next(handle->reader, &first, &payload, err);
        if (status != VARVE_OK) return status;
        status = vr_batch_reader_open(&handle->batch, payload, err);
        if (status != VARVE_OK) return status;
        VR_ASSERT(first <= varve_sequence(handle->db)); /* whole batches are published at once */
        handle->next = first;
    }
    return VARVE_OK;
}

static varve_status next_locked(varve_feed *handle, uint32_t timeout_ms, varve_change *out, varve_error *err) {
    for (;;) {
        vr_change change;
        varve_status status = check(handle, err);
        if (status == VARVE_OK) status = next_batch(handle, timeout_ms, err);
        if (status == VARVE_OK) status = vr_batch_reader_next(&handle->batch, &change, err);
        if (status != VARVE_OK) return status;
        uint64_t sequence = handle->next++;
        if (sequence <= handle->skip_to) continue;
        out->kind = change.kind == VR_KIND_PUT      ? VARVE_CHANGE_PUT
                    : change.kind == VR_KIND_DELETE ? VARVE_CHANGE_DELETE
                                                    : VARVE_CHANGE_POSITION;
        out->sequence = sequence;
        out->store_id = change.store_id;
        out->batch_end = handle->batch.left == 0;
        out->replica = handle->batch.replica;
        out->timestamp_ms = handle->batch.timestamp_ms;
        out->key = change.key;
        out->value = change.value;
        return VARVE_OK;
    }
}

varve_status varve_feed_next(varve_feed *handle, uint32_t timeout_ms, varve_change *change, varve_error *err) {
    vr_mutex_lock(&handle->mutex);
    varve_status status = next_locked(handle, timeout_ms, change, err);
    vr_mutex_unlock(&handle->mutex);
    return status;
}

varve_status varve_feed_seek(varve_feed *handle, uint64_t sequence, varve_error *err) {
    vr_mutex_lock(&handle->mutex);
    varve_status status = check(handle, err);
    if (status == VARVE_OK && sequence < varve_feed_released(handle)) {
        status = vr_error_set(err, VARVE_MISSING, "feed %s: sequence %llu asked for, everything up to %llu is released",
                              handle->feed->name, (unsigned long long)sequence, (unsigned long long)varve_feed_released(handle));
    }
    vr_wal_reader *reader = NULL;
    if (status == VARVE_OK) status = vr_wal_reader_open(handle->db->wal, sequence, &reader, err);
    if (status == VARVE_OK) {
        if (handle->pinned) vr_wal_reader_unpin(handle->reader);
        vr_wal_reader_close(handle->reader);
        handle->reader = reader;
        handle->pinned = false;
        handle->batch.left = 0;
        handle->next = sequence + 1;
        handle->skip_to = sequence;
    }
    vr_mutex_unlock(&handle->mutex);
    return status;
}

static void set_pinned(varve_feed *handle, bool pinned) {
    vr_mutex_lock(&handle->mutex);
    if (handle->reader && handle->pinned != pinned) {
        if (pinned) {
            vr_wal_reader_pin(handle->reader);
        } else {
            vr_wal_reader_unpin(handle->reader);
        }
        handle->pinned = pinned;
    }
    vr_mutex_unlock(&handle->mutex);
}

void varve_feed_pin(varve_feed *handle) {
    set_pinned(handle, true);
}

void varve_feed_unpin(varve_feed *handle) {
    set_pinned(handle, false);
}

varve_status varve_feed_release(varve_feed *handle, uint64_t sequence, varve_error *err) {
    varve_db *db = handle->db;
    varve_status status = vr_db_check_open(db, err);
    if (status != VARVE_OK) return status;
    if (sequence > varve_sequence(db)) {
        return vr_error_set(err, VARVE_INVALID, "feed %s: release of sequence %llu, the newest is %llu", handle->feed->name,
                            (unsigned long long)sequence, (unsigned long long)varve_sequence(db));
    }
    vr_mutex_lock(&db->mutex);
    if (sequence > atomic_load_explicit(&handle->feed->released, memory_order_relaxed)) {
        atomic_store_explicit(&handle->feed->released, sequence, memory_order_relaxed); /* changed under db->mutex only */
        db->trim_due = true;
        vr_cond_broadcast(&db->work_cond);
    }
    vr_mutex_unlock(&db->mutex);
    return VARVE_OK;
}

varve_status varve_feed_snapshot(varve_feed *handle, varve_snapshot **snapshot, varve_error *err) {
    return vr_snapshot_create_at(handle->db, varve_feed_released(handle), snapshot, err);
}
