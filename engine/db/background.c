/*
 * db/background.c - the two background threads: the flusher (immutable memtables to tables, WAL segments ahead of the writer, WAL
 * recycling) and the compactor. A round that fails is said, kept for the writers that wait for it, and tried again a second later.
 */
#include "base/bytes.h"
#include "base/check.h"
#include "base/error.h"
#include "db/db.h"
#include "kv/merge.h"

#define IDLE_US 200000u
#define RETRY_US 1000000u

/* Memtables that one flush merges into one run. */
#define FLUSH_MEMTABLES_MAX 16u

uint64_t vr_db_next_file(void *context) {
    varve_db *db = context;
    return atomic_fetch_add_explicit(&db->next_file, 1, memory_order_relaxed);
}

static bool job_cancelled(void *context) {
    varve_db *db = context;
    vr_mutex_lock(&db->mutex);
    bool stopping = db->stopping;
    vr_mutex_unlock(&db->mutex);
    return stopping;
}

varve_status vr_db_snapshots(varve_db *db, uint64_t **sequences, size_t *count, varve_error *err) {
    vr_mutex_assert_held(&db->mutex);
    size_t capacity = 2 * db->feed_count + 1;
    for (struct varve_snapshot *s = db->snapshots.next; s != &db->snapshots; s = s->next) capacity++;
    uint64_t *list = vr_alloc(&db->env.mem, capacity * sizeof list[0]);
    if (!list) return vr_error_nomem(err, capacity * sizeof list[0], "the list of snapshots");
    size_t n = 0;
    for (struct varve_snapshot *s = db->snapshots.next; s != &db->snapshots; s = s->next) list[n++] = s->sequence;
    /* A feed is where it says, and where the manifest says: a crash takes it back there. Few: insertion keeps the list rising. */
    for (size_t i = 0; i < 2 * db->feed_count; i++) {
        const vr_feed *feed = db->feeds[i / 2];
        uint64_t sequence = i % 2 ? feed->persisted : atomic_load_explicit(&feed->released, memory_order_relaxed);
        size_t at = n++;
        for (; at > 0 && list[at - 1] > sequence; at--) list[at] = list[at - 1];
        list[at] = sequence;
    }
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        VR_ASSERT(i == 0 || list[i - 1] <= list[i]); /* what squeezing relies on */
        if (kept == 0 || list[kept - 1] != list[i]) list[kept++] = list[i];
    }
    *sequences = list;
    *count = kept;
    return VARVE_OK;
}

static void describe_job(varve_db *db, const vr_store *store, vr_job *job) {
    *job = (vr_job){
        .env = &db->version_env,
        .store_id = store->id,
        .store_options = store->options,
        .file_bytes = db->shape.file_bytes,
        .next_file = vr_db_next_file,
        .cancelled = job_cancelled,
        .context = db,
    };
}

/* --- Flush ------------------------------------------------------------------------------------------------------- */

typedef struct flush_input {
    vr_cursor *cursors[FLUSH_MEMTABLES_MAX];
    size_t cursor_count, immutable_count;
    uint64_t keys, flushed_sequence;
    varve_buffer position;
    bool has_position;
} flush_input;

/* Gathers the store's oldest immutables. db->mutex held: they stay until this flush, the only one of the store, drops them. */
static varve_status gather(vr_store *store, flush_input *in, varve_error *cursor_err, varve_error *err) {
    vr_mutex_assert_held(&store->db->mutex);
    for (size_t i = 0; i < store->immutable_count && i < FLUSH_MEMTABLES_MAX; i++) {
        const vr_immutable *entry = &store->immutables[i];
        VR_ASSERT(entry->flushed_sequence >= in->flushed_sequence); /* oldest first */
        VR_ASSERT(!entry->mt || !vr_memtable_pending(entry->mt));
        in->immutable_count++;
        in->flushed_sequence = entry->flushed_sequence;
        if (entry->has_position) {
            if (!vr_buffer_set(&in->position, varve_buffer_slice(&entry->position))) {
                return vr_error_nomem(err, entry->position.size, "a store's position");
            }
            in->has_position = true;
        }
        if (!entry->mt || vr_memtable_entries(entry->mt) == 0) continue;
        vr_cursor *cursor = NULL;
        varve_status status = vr_memtable_cursor(entry->mt, &cursor, err);
        if (status != VARVE_OK) return status;
        cursor->err = cursor_err;
        in->cursors[in->cursor_count++] = cursor;
        in->keys += vr_memtable_keys(entry->mt);
    }
    return VARVE_OK;
}

static varve_status describe_flush(const vr_store *store, const flush_input *in, vr_edit *edit, varve_error *err) {
    vr_edit_field *field = vr_edit_add(edit, VR_EDIT_STORE_FLUSHED, err);
    if (!field) return VARVE_NOMEM;
    field->store_id = store->id;
    field->sequence = in->flushed_sequence;
    if (!in->has_position) return VARVE_OK;
    field = vr_edit_add(edit, VR_EDIT_STORE_POSITION, err);
    if (!field) return VARVE_NOMEM;
    field->store_id = store->id;
    field->content = varve_buffer_slice(&in->position);
    return VARVE_OK;
}

/* Writes the table of what was gathered. Consumes the cursors. */
static varve_status write_run(varve_db *db, flush_input *in, vr_job *job, vr_edit *edit, varve_error *cursor_err,
                              varve_error *err) {
    if (in->cursor_count == 0) return VARVE_OK;
    vr_cursor *source = NULL;
    varve_status status = vr_merge_open(&db->env.mem, in->cursors, in->cursor_count, cursor_err, &source, err);
    in->cursor_count = 0;
    if (status != VARVE_OK) return status;
    vr_job_result result = {0};
    status = vr_job_flush(job, source, in->keys, edit, &result, err);
    source->ops->close(source);
    if (status != VARVE_OK) return status;
    atomic_fetch_add_explicit(&db->counters.flushes, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&db->counters.flush_bytes, result.write_bytes, memory_order_relaxed);
    return VARVE_OK;
}

varve_status vr_db_flush_store(varve_db *db, vr_store *store, varve_error *err) {
    VR_ASSERT(store->flushing);
    flush_input in = {0};
    varve_error cursor_err = {0};
    uint64_t *snapshots = NULL;
    vr_job job;
    vr_edit edit;
    vr_edit_init(&edit, &db->env.mem);
    describe_job(db, store, &job);
    vr_mutex_lock(&db->mutex);
    varve_status status = gather(store, &in, &cursor_err, err);
    if (status == VARVE_OK) status = vr_db_snapshots(db, &snapshots, &job.snapshot_count, err);
    vr_mutex_unlock(&db->mutex);
    job.snapshots = snapshots;
    /* What goes into tables must be at least as durable in the WAL: other stores' halves of the same batches are only there. */
    if (status == VARVE_OK) status = vr_wal_sync(db->wal, err);
    if (status == VARVE_OK) status = write_run(db, &in, &job, &edit, &cursor_err, err);
    if (status == VARVE_OK) status = describe_flush(store, &in, &edit, err);
    if (status == VARVE_OK) {
        status = vr_db_install(db, &edit, store, in.immutable_count, err);
        vr_db_undo_tables(&job, &edit, status);
    }
    for (size_t i = 0; i < in.cursor_count; i++) in.cursors[i]->ops->close(in.cursors[i]);
    varve_buffer_free(&in.position);
    vr_free(&db->env.mem, snapshots);
    vr_edit_free(&edit);
    vr_epoch_collect(db->epoch);
    vr_cache_trim(db->cache);
    return status;
}

/* --- Compaction --------------------------------------------------------------------------------------------------- */

varve_status vr_db_compact_store(varve_db *db, vr_store *store, bool all, bool *worked, varve_error *err) {
    VR_ASSERT(store->compacting);
    uint64_t *snapshots = NULL;
    vr_job job;
    vr_edit edit;
    vr_edit_init(&edit, &db->env.mem);
    describe_job(db, store, &job);
    *worked = false;
    vr_plan *plan = vr_zalloc(&db->env.mem, sizeof *plan);
    vr_mutex_lock(&db->mutex);
    vr_version *version = atomic_load_explicit(&store->view, memory_order_relaxed)->version;
    vr_version_ref(version);
    varve_status status =
        plan ? vr_db_snapshots(db, &snapshots, &job.snapshot_count, err) : vr_error_nomem(err, sizeof *plan, "a plan");
    vr_mutex_unlock(&db->mutex);
    job.snapshots = snapshots;
    if (status == VARVE_OK) {
        if (all) {
            vr_pick_all(version, &db->shape, plan);
        } else {
            vr_pick(version, &db->shape, plan);
        }
    }
    if (status == VARVE_OK && plan->due) {
        vr_job_result result = {0};
        status = vr_job_compact(&job, plan, &edit, &result, err);
        if (status == VARVE_OK) {
            status = vr_db_install(db, &edit, store, 0, err);
            vr_db_undo_tables(&job, &edit, status);
        }
        if (status == VARVE_OK) {
            *worked = true;
            atomic_fetch_add_explicit(&db->counters.compactions, 1, memory_order_relaxed);
            atomic_fetch_add_explicit(&db->counters.compaction_read_bytes, result.read_bytes, memory_order_relaxed);
            atomic_fetch_add_explicit(&db->counters.compaction_write_bytes, result.write_bytes, memory_order_relaxed);
        }
    }
    vr_version_unref(version);
    vr_free(&db->env.mem, plan);
    vr_free(&db->env.mem, snapshots);
    vr_edit_free(&edit);
    vr_epoch_collect(db->epoch);
    return status;
}

/* --- Threads ------------------------------------------------------------------------------------------------------ */

/* Keeps a round's outcome in *kept, says a failure, and paces the next try. db->mutex held. */
static void note_outcome(varve_db *db, varve_error *kept, varve_status status, const varve_error *own) {
    vr_mutex_assert_held(&db->mutex);
    if (status == VARVE_OK) {
        kept->code = VARVE_OK;
    } else if (status != VARVE_CANCELLED) {
        if (kept->code != status) vr_diag_say(&db->env.diag, "%s: background work failed: %s", db->dir, own->message);
        *kept = *own;
    }
    vr_cond_broadcast(&db->done_cond);
    bool failed = status != VARVE_OK && status != VARVE_CANCELLED;
    if (failed && !db->stopping) vr_cond_wait_for(&db->work_cond, &db->mutex, RETRY_US);
}

/* Wakes writers that wait for room. No mutex held. */
static void wake_writers(varve_db *db) {
    vr_mutex_lock(&db->write_mutex);
    vr_cond_broadcast(&db->write_cond);
    vr_mutex_unlock(&db->write_mutex);
}

/* Recycles WAL that feeds have released since the last flush. db->mutex held, let go of in between. */
static varve_status trim_wal(varve_db *db, varve_error *err) {
    vr_mutex_assert_held(&db->mutex);
    db->trim_due = false;
    uint64_t floor = vr_db_wal_floor(db, NULL, 0);
    vr_mutex_unlock(&db->mutex);
    uint64_t first_needed = 0;
    vr_wal_first_needed(db->wal, floor, &first_needed);
    vr_mutex_lock(&db->manifest_mutex);
    bool due = first_needed > vr_manifest_state_of(db->manifest)->wal_first;
    vr_mutex_unlock(&db->manifest_mutex);
    varve_status status = VARVE_OK;
    if (due) {
        vr_edit edit;
        vr_edit_init(&edit, &db->env.mem);
        status = vr_db_install(db, &edit, NULL, 0, err);
        vr_edit_free(&edit);
    }
    wake_writers(db);
    vr_mutex_lock(&db->mutex);
    return status;
}

static vr_store *next_to_flush(varve_db *db) {
    vr_mutex_assert_held(&db->mutex);
    for (size_t i = 0; i < db->store_count; i++) {
        vr_store *store = db->stores[i];
        if (store->immutable_count > 0 && !store->flushing && !atomic_load_explicit(&store->dropped, memory_order_relaxed))
            return store;
    }
    return NULL;
}

static void flusher(void *context) {
    varve_db *db = context;
    vr_mutex_lock(&db->mutex);
    while (!db->stopping) {
        varve_error own = {0};
        vr_store *store = next_to_flush(db);
        if (store) {
            store->flushing = true;
            vr_mutex_unlock(&db->mutex);
            varve_status status = vr_db_flush_store(db, store, &own);
            wake_writers(db);
            vr_mutex_lock(&db->mutex);
            store->flushing = false;
            note_outcome(db, &db->flush_error, status, &own);
        } else if (db->trim_due) {
            varve_status status = trim_wal(db, &own);
            note_outcome(db, &db->upkeep_error, status, &own);
        } else {
            vr_mutex_unlock(&db->mutex);
            bool prepared = vr_wal_prepare(db->wal);
            if (!prepared) vr_epoch_collect(db->epoch);
            vr_mutex_lock(&db->mutex);
            if (!prepared && !db->stopping && !next_to_flush(db)) vr_cond_wait_for(&db->work_cond, &db->mutex, IDLE_US);
        }
    }
    vr_mutex_unlock(&db->mutex);
}

static bool compaction_due(varve_db *db, vr_store *store, vr_plan *plan) {
    vr_mutex_assert_held(&db->mutex);
    vr_pick(atomic_load_explicit(&store->view, memory_order_relaxed)->version, &db->shape, plan);
    return plan->due;
}

static void compactor(void *context) {
    varve_db *db = context;
    size_t turn = 0;
    vr_plan *plan = vr_zalloc(&db->env.mem, sizeof *plan);
    vr_mutex_lock(&db->mutex);
    while (!db->stopping) {
        vr_store *store = NULL;
        for (size_t i = 0; plan && i < db->store_count && !store; i++) { /* in turn, so that no store starves */
            vr_store *candidate = db->stores[(turn + i) % db->store_count];
            if (!candidate->compacting && !atomic_load_explicit(&candidate->dropped, memory_order_relaxed) &&
                compaction_due(db, candidate, plan)) {
                store = candidate;
                turn = (turn + i + 1) % db->store_count;
            }
        }
        if (!store) {
            vr_cond_wait_for(&db->work_cond, &db->mutex, IDLE_US);
            if (!plan) plan = vr_zalloc(&db->env.mem, sizeof *plan);
            continue;
        }
        store->compacting = true;
        vr_mutex_unlock(&db->mutex);
        varve_error own = {0};
        bool worked = false;
        varve_status status = vr_db_compact_store(db, store, false, &worked, &own);
        vr_mutex_lock(&db->mutex);
        store->compacting = false;
        note_outcome(db, &db->upkeep_error, status, &own);
    }
    vr_mutex_unlock(&db->mutex);
    vr_free(&db->env.mem, plan);
}

varve_status vr_background_start(varve_db *db, varve_error *err) {
    varve_status status = vr_thread_start(&db->flusher, "varve-flush", flusher, db, err);
    if (status != VARVE_OK) return status;
    status = vr_thread_start(&db->compactor, "varve-compact", compactor, db, err);
    if (status != VARVE_OK) {
        vr_mutex_lock(&db->mutex);
        db->stopping = true;
        vr_cond_broadcast(&db->work_cond);
        vr_mutex_unlock(&db->mutex);
        vr_thread_join(&db->flusher);
        return status;
    }
    db->threads_started = true;
    return VARVE_OK;
}

void vr_background_stop(varve_db *db) {
    vr_mutex_lock(&db->mutex);
    db->stopping = true;
    vr_cond_broadcast(&db->work_cond);
    vr_cond_broadcast(&db->done_cond);
    vr_mutex_unlock(&db->mutex);
    wake_writers(db);
    if (!db->threads_started) return;
    vr_thread_join(&db->flusher);
    vr_thread_join(&db->compactor);
    db->threads_started = false;
}

/* --- What callers can ask for ------------------------------------------------------------------------------------- */

/* Waits while the store has work of that kind; db->mutex held. */
static varve_status wait_until_flushed(varve_db *db, varve_error *err) {
    for (;;) {
        varve_status status = vr_db_check_writable(db, err);
        if (status != VARVE_OK) return status;
        bool busy = false;
        for (size_t i = 0; i < db->store_count; i++) busy = busy || db->stores[i]->immutable_count > 0 || db->stores[i]->flushing;
        if (!busy) return VARVE_OK;
        if (db->flush_error.code != VARVE_OK) return vr_error_copy(err, &db->flush_error);
        vr_cond_wait_for(&db->done_cond, &db->mutex, IDLE_US);
    }
}

static varve_status flush_entered(varve_db *db, varve_error *err) {
    varve_status status = vr_db_check_writable(db, err);
    if (status == VARVE_OK) status = vr_db_turn_over_all(db, err);
    if (status != VARVE_OK) return status;
    vr_mutex_lock(&db->mutex);
    db->flush_error.code = VARVE_OK; /* an earlier failure is tried again now, not when its time comes */
    vr_cond_broadcast(&db->work_cond);
    status = wait_until_flushed(db, err);
    vr_mutex_unlock(&db->mutex);
    return status;
}

varve_status varve_flush(varve_db *db, varve_error *err) {
    varve_db *entered = db;
    varve_status status = vr_db_enter(entered, err);
    if (status != VARVE_OK) return status;
    status = flush_entered(db, err);
    vr_db_leave(entered);
    return status;
}

/* Takes the store for a compaction of the caller's own. */
static varve_status claim_compaction(varve_db *db, vr_store *store, varve_error *err) {
    vr_mutex_lock(&db->mutex);
    varve_status status = VARVE_OK;
    while (status == VARVE_OK && store->compacting) {
        vr_cond_wait_for(&db->done_cond, &db->mutex, IDLE_US);
        status = vr_db_check_writable(db, err);
    }
    if (status == VARVE_OK) store->compacting = true;
    vr_mutex_unlock(&db->mutex);
    return status;
}

static varve_status compact_entered(varve_store *handle, varve_error *err) {
    varve_db *db = handle->db;
    varve_status status = vr_store_check(handle, err);
    if (status == VARVE_OK) status = varve_flush(db, err);
    if (status == VARVE_OK) status = claim_compaction(db, handle->store, err);
    if (status != VARVE_OK) return status;
    bool worked = true;
    while (status == VARVE_OK && worked) status = vr_db_compact_store(db, handle->store, true, &worked, err);
    vr_mutex_lock(&db->mutex);
    handle->store->compacting = false;
    vr_cond_broadcast(&db->done_cond);
    vr_mutex_unlock(&db->mutex);
    return status;
}

varve_status varve_compact(varve_store *handle, varve_error *err) {
    varve_db *entered = handle->db;
    varve_status status = vr_db_enter(entered, err);
    if (status != VARVE_OK) return status;
    status = compact_entered(handle, err);
    vr_db_leave(entered);
    return status;
}

varve_status varve_wait_idle(varve_db *db, uint32_t timeout_ms, varve_error *err) {
    uint64_t end = vr_env_us(&db->env) + (uint64_t)timeout_ms * 1000;
    vr_plan *plan = vr_zalloc(&db->env.mem, sizeof *plan);
    if (!plan) return vr_error_nomem(err, sizeof *plan, "a plan");
    varve_status status = VARVE_OK;
    vr_mutex_lock(&db->mutex);
    for (;;) {
        bool busy = false;
        for (size_t i = 0; i < db->store_count && !busy; i++) {
            vr_store *store = db->stores[i];
            busy = store->immutable_count > 0 || store->flushing || store->compacting || compaction_due(db, store, plan);
        }
        status = vr_db_check_open(db, err);
        if (!busy || status != VARVE_OK) break;
        uint64_t now = vr_env_us(&db->env);
        if (now >= end) {
            status = vr_error_set(err, VARVE_TIMEOUT, "background work is still going on after %u ms", (unsigned)timeout_ms);
            break;
        }
        vr_cond_wait_for(&db->done_cond, &db->mutex, vr_min_size((size_t)(end - now), IDLE_US));
    }
    vr_mutex_unlock(&db->mutex);
    vr_free(&db->env.mem, plan);
    return status;
}
