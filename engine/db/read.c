/*
 * db/read.c - point reads and snapshots.
 *
 * A get: 1. hash the key; 2. enter the epoch; 3. load the store's view; 4. load the newest readable sequence (after the view: what
 * the view lacks is newer than this read began; before it, a version the sequence needs could be compacted away); 5. ask the active
 * memtable, the immutable ones, the tables; 6. copy; 7. leave. No lock, no shared count.
 */
#include "base/bytes.h"
#include "base/check.h"
#include "base/error.h"
#include "base/hash.h"
#include "db/db.h"

/* Inside the epoch. */
static varve_status find(const vr_view *view, varve_slice key, uint64_t sequence, varve_slice *value, varve_error *err) {
    uint64_t hash = vr_key_hash(key);
    uint64_t trailer = 0;
    bool found = view->active && vr_memtable_get(view->active, key, hash, sequence, &trailer, value);
    for (size_t i = 0; !found && i < view->immutable_count; i++) {
        found = vr_memtable_get(view->immutables[i], key, hash, sequence, &trailer, value);
    }
    if (!found) {
        varve_status status = vr_version_get(view->version, key, hash, sequence, &trailer, value, err);
        if (status != VARVE_OK) return status;
    }
    return vr_trailer_kind(trailer) == VR_KIND_PUT ? VARVE_OK : VARVE_NOT_FOUND;
}

varve_status varve_get_at(varve_store *handle, const varve_snapshot *snapshot, varve_slice key, varve_buffer *value,
                          varve_error *err) {
    varve_status status = vr_store_check(handle, err);
    if (status != VARVE_OK) return status;
    varve_db *db = handle->db;
    if (snapshot && snapshot->db != db)
        return vr_error_set(err, VARVE_INVALID, "the snapshot is of another database than %s", db->dir);
    uint32_t token = vr_epoch_enter(db->epoch);
    /* acquire: pairs with vr_store_publish() */
    const vr_view *view = atomic_load_explicit(&handle->store->view, memory_order_acquire);
    uint64_t sequence = snapshot ? snapshot->sequence : varve_sequence(db);
    varve_slice found;
    status = find(view, key, sequence, &found, err);
    if (status == VARVE_OK && !vr_buffer_set(value, found)) status = vr_error_nomem(err, found.size, "a value");
    vr_epoch_leave(db->epoch, token);
    return status;
}

varve_status varve_get(varve_store *store, varve_slice key, varve_buffer *value, varve_error *err) {
    return varve_get_at(store, NULL, key, value, err);
}

/* --- Snapshots ---------------------------------------------------------------------------------------------------- */

/* Inserts by sequence; db->mutex held. */
static void insert(varve_db *db, struct varve_snapshot *snapshot) {
    vr_mutex_assert_held(&db->mutex);
    struct varve_snapshot *after = db->snapshots.prev;
    while (after != &db->snapshots && after->sequence > snapshot->sequence) after = after->prev;
    snapshot->prev = after;
    snapshot->next = after->next;
    after->next->prev = snapshot;
    after->next = snapshot;
}

static varve_status create_at(varve_db *db, const uint64_t *sequence, varve_snapshot **out, varve_error *err) {
    varve_status status = vr_db_check_open(db, err);
    if (status != VARVE_OK) return status;
    varve_snapshot *snapshot = vr_zalloc(&db->env.mem, sizeof *snapshot);
    if (!snapshot) return vr_error_nomem(err, sizeof *snapshot, "a snapshot");
    snapshot->db = db;
    vr_db_ref(db);
    vr_mutex_lock(&db->mutex);
    snapshot->sequence = sequence ? *sequence : varve_sequence(db);
    insert(db, snapshot);
    vr_mutex_unlock(&db->mutex);
    *out = snapshot;
    return VARVE_OK;
}

varve_status varve_snapshot_create(varve_db *db, varve_snapshot **snapshot, varve_error *err) {
    return create_at(db, NULL, snapshot, err);
}

varve_status vr_snapshot_create_at(varve_db *db, uint64_t sequence, varve_snapshot **snapshot, varve_error *err) {
    return create_at(db, &sequence, snapshot, err);
}

void varve_snapshot_free(varve_snapshot *snapshot) {
    if (!snapshot) return;
    varve_db *db = snapshot->db;
    vr_mutex_lock(&db->mutex);
    VR_ASSERT(snapshot->prev->next == snapshot && snapshot->next->prev == snapshot);
    snapshot->prev->next = snapshot->next;
    snapshot->next->prev = snapshot->prev;
    vr_mutex_unlock(&db->mutex);
    vr_free(&db->env.mem, snapshot);
    vr_db_unref(db);
}

uint64_t varve_snapshot_sequence(const varve_snapshot *snapshot) {
    return snapshot->sequence;
}
