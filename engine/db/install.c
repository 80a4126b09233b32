/*
 * db/install.c - one place where what the database consists of changes: the manifest first, then what readers see, then the WAL.
 *
 * manifest_mutex is held from computing the next version to publishing it, so that edits are applied in the order in which they are
 * durable.
 */
#include "base/bytes.h"
#include "base/check.h"
#include "base/error.h"
#include "db/db.h"

/* Memtables of one store that may be turned over while one manifest edit is written. */
#define VIEW_SLACK 1024u

uint64_t vr_db_wal_floor(varve_db *db, const vr_store *skipping, size_t skip) {
    vr_mutex_assert_held(&db->mutex);
    /* visible before the stores: see vr_store.first_sequence. Acquire: pairs with the writer's publication. */
    uint64_t floor = atomic_load_explicit(&db->visible, memory_order_acquire);
    for (size_t i = 0; i < db->store_count; i++) {
        const vr_store *store = db->stores[i];
        uint64_t first = atomic_load_explicit(&store->first_sequence, memory_order_relaxed);
        size_t oldest = store == skipping ? skip : 0;
        if (oldest < store->immutable_count) first = store->immutables[oldest].first_sequence;
        if (first != 0 && first - 1 < floor) floor = first - 1;
    }
    for (size_t i = 0; i < db->feed_count; i++) {
        uint64_t released = atomic_load_explicit(&db->feeds[i]->released, memory_order_relaxed);
        if (released < floor) floor = released;
    }
    return floor;
}

static varve_status add_number(vr_edit *edit, vr_edit_kind kind, uint64_t number, uint64_t sequence, varve_error *err) {
    vr_edit_field *field = vr_edit_add(edit, kind, err);
    if (!field) return VARVE_NOMEM;
    field->number = number;
    field->sequence = sequence;
    return VARVE_OK;
}

/* Adds what the feeds have released since the manifest was last told. db->mutex held. */
varve_status vr_db_add_feeds(varve_db *db, vr_edit *edit, varve_error *err) {
    vr_mutex_assert_held(&db->mutex);
    uint64_t synced = vr_wal_synced_sequence(db->wal);
    for (size_t i = 0; i < db->feed_count; i++) {
        vr_feed *feed = db->feeds[i];
        uint64_t released = atomic_load_explicit(&feed->released, memory_order_relaxed);
        if (released > synced) released = synced; /* a sequence that a power cut takes back is given out again */
        if (released <= feed->persisted) continue;
        vr_edit_field *field = vr_edit_add(edit, VR_EDIT_FEED_SET, err);
        if (!field) return VARVE_NOMEM;
        field->name = varve_str(feed->name);
        field->sequence = released;
    }
    return VARVE_OK;
}

/* Whether the edit itself says that the store is flushed to floor or beyond. */
static bool says_flushed(const vr_edit *edit, uint32_t store_id, uint64_t floor) {
    for (size_t i = 0; i < edit->count; i++) {
        const vr_edit_field *field = &edit->fields[i];
        if (field->kind == VR_EDIT_STORE_FLUSHED && field->store_id == store_id && field->sequence >= floor) return true;
    }
    return false;
}

/*
 * Moves the WAL's first segment, and with it every store that lags behind it because nothing was written to it: an open takes a WAL
 * that begins behind a store's flushed sequence for damaged. floor: everything of every store up to it is in tables. manifest_mutex
 * held.
 */
static varve_status add_wal_first(varve_db *db, vr_edit *edit, uint64_t first_needed, uint64_t floor, varve_error *err) {
    vr_mutex_assert_held(&db->manifest_mutex);
    const vr_manifest_state *state = vr_manifest_state_of(db->manifest);
    varve_status status = add_number(edit, VR_EDIT_WAL_FIRST, first_needed, 0, err);
    for (size_t i = 0; i < state->store_count && status == VARVE_OK; i++) {
        const vr_store_meta *store = &state->stores[i];
        if (store->flushed_sequence >= floor || says_flushed(edit, store->id, floor)) continue;
        vr_edit_field *field = vr_edit_add(edit, VR_EDIT_STORE_FLUSHED, err);
        if (!field) return VARVE_NOMEM;
        field->store_id = store->id;
        field->sequence = floor;
    }
    return status;
}

/* A store that add_wal_first() has taken along since its edit was written says no less than it did. manifest_mutex held. */
static void keep_flushed_rising(varve_db *db, vr_edit *edit) {
    vr_mutex_assert_held(&db->manifest_mutex);
    const vr_manifest_state *state = vr_manifest_state_of(db->manifest);
    for (size_t i = 0; i < edit->count; i++) {
        vr_edit_field *field = &edit->fields[i];
        if (field->kind != VR_EDIT_STORE_FLUSHED) continue;
        for (size_t k = 0; k < state->store_count; k++) {
            bool behind = state->stores[k].id == field->store_id && state->stores[k].flushed_sequence > field->sequence;
            if (behind) field->sequence = state->stores[k].flushed_sequence;
        }
    }
}

/* Adds what is due besides; *first_needed: the WAL segment to release from. */
static varve_status add_upkeep(varve_db *db, vr_edit *edit, const vr_store *store, size_t flushed, uint64_t *first_needed,
                               varve_error *err) {
    vr_mutex_lock(&db->mutex);
    uint64_t floor = vr_db_wal_floor(db, store, flushed);
    varve_status status = vr_db_add_feeds(db, edit, err);
    vr_mutex_unlock(&db->mutex);
    if (status != VARVE_OK) return status;
    VR_ASSERT(floor <= varve_sequence(db));
    uint64_t synced = vr_wal_synced_sequence(db->wal);
    if (floor > synced) floor = synced; /* what is not synced may be taken back by a power cut, and its sequences given out again */
    vr_wal_first_needed(db->wal, floor, first_needed);
    if (*first_needed > vr_manifest_state_of(db->manifest)->wal_first) status = add_wal_first(db, edit, *first_needed, floor, err);
    if (status == VARVE_OK) {
        status = add_number(edit, VR_EDIT_NEXT_FILE, atomic_load_explicit(&db->next_file, memory_order_relaxed), 0, err);
    }
    /* What is synced, not what is visible: an open that finds the WAL shorter than this takes it for damage. */
    if (status == VARVE_OK) status = add_number(edit, VR_EDIT_LAST_SEQUENCE, 0, synced, err);
    return status;
}

/* Notes what an appended edit has told the manifest of the feeds. db->mutex held. */
static void note_feeds(varve_db *db, const vr_edit *edit) {
    vr_mutex_assert_held(&db->mutex);
    for (size_t i = 0; i < edit->count; i++) {
        if (edit->fields[i].kind != VR_EDIT_FEED_SET) continue;
        for (size_t k = 0; k < db->feed_count; k++) {
            if (vr_equal(varve_str(db->feeds[k]->name), edit->fields[i].name)) db->feeds[k]->persisted = edit->fields[i].sequence;
        }
    }
}

static void drop_flushed(vr_store *store, size_t flushed) {
    vr_mutex_assert_held(&store->db->mutex);
    VR_ASSERT(flushed <= store->immutable_count);
    if (flushed == 0) return;
    for (size_t i = 0; i < flushed; i++) {
        if (store->immutables[i].mt) vr_memtable_unref(store->immutables[i].mt);
        varve_buffer_free(&store->immutables[i].position);
    }
    store->immutable_count -= flushed;
    memmove(store->immutables, store->immutables + flushed, store->immutable_count * sizeof store->immutables[0]);
}

/* Publishes view, filled, as the store's next one, and lets go of what is in tables now. The edit is durable: nothing may fail.
 * Memtables that were turned over since view was reserved find their place in its slack; each is of another thread that waits for
 * its flush. */
static void publish_version(varve_db *db, vr_store *store, vr_view *view, vr_version *next, size_t flushed) {
    vr_mutex_lock(&db->mutex);
    vr_view *before = atomic_load_explicit(&store->view, memory_order_relaxed);
    vr_version_mark_obsolete(before->version, next);
    VR_ASSERT(flushed == 0 || store->flushing);
    const vr_immutable *left = flushed < store->immutable_count ? store->immutables + flushed : NULL;
    vr_view_fill(view, before->active, left, store->immutable_count - flushed, next);
    vr_store_publish(store, view);
    drop_flushed(store, flushed);
    uint64_t debt = 0;
    for (size_t i = 0; i < db->store_count; i++) {
        vr_view *other = atomic_load_explicit(&db->stores[i]->view, memory_order_relaxed);
        uint64_t own = vr_debt(other->version, &db->shape);
        if (own > debt) debt = own;
    }
    atomic_store_explicit(&db->debt, debt, memory_order_relaxed); /* a hint */
    vr_cond_broadcast(&db->work_cond);
    vr_mutex_unlock(&db->mutex);
}

void vr_db_undo_tables(const vr_job *job, const vr_edit *edit, varve_status status) {
    /* An edit whose write or sync failed may be durable all the same, and then its tables must be there. The next open removes them
     * if it is not. */
    if (status == VARVE_OK || status == VARVE_IO || status == VARVE_READ_ONLY) return;
    vr_job_undo(job, edit);
}

varve_status vr_db_append_edit(varve_db *db, const vr_edit *edit, varve_error *err) {
    vr_mutex_assert_held(&db->manifest_mutex);
    varve_error own = {0};
    varve_status status = vr_manifest_append(db->manifest, edit, &own);
    if (status == VARVE_OK) return VARVE_OK;
    bool doubt = vr_manifest_stopped(db->manifest);
    if (status == VARVE_INTERNAL || doubt) vr_db_latch(db, &own);
    return doubt && status != VARVE_IO ? vr_db_check_writable(db, err) : vr_error_copy(err, &own);
}

varve_status vr_db_install(varve_db *db, vr_edit *edit, vr_store *store, size_t flushed, varve_error *err) {
    vr_version *base = NULL, *next = NULL;
    vr_view *view = NULL;
    uint64_t first_needed = 0;
    vr_mutex_lock(&db->manifest_mutex);
    varve_status status = vr_db_check_writable(db, err);
    if (status == VARVE_OK && store && atomic_load_explicit(&store->dropped, memory_order_relaxed)) { /* set under manifest_mutex */
        status = vr_error_set(err, VARVE_CANCELLED, "store %s: it was dropped", store->name);
    }
    if (status == VARVE_OK && store) {
        vr_mutex_lock(&db->mutex);
        base = atomic_load_explicit(&store->view, memory_order_relaxed)->version;
        vr_version_ref(base);
        view = vr_view_reserve(&db->env.mem, store->immutable_count + VIEW_SLACK);
        vr_mutex_unlock(&db->mutex);
        status = view ? vr_version_apply(&db->version_env, base, edit, store->id, &next, err)
                      : vr_error_nomem(err, sizeof *view, "a store's view");
    }
    if (status == VARVE_OK) keep_flushed_rising(db, edit);
    if (status == VARVE_OK) status = add_upkeep(db, edit, store, flushed, &first_needed, err);
    if (status == VARVE_OK) status = vr_db_append_edit(db, edit, err);
    if (status == VARVE_OK) {
        vr_mutex_lock(&db->mutex);
        note_feeds(db, edit);
        vr_mutex_unlock(&db->mutex);
        if (store) publish_version(db, store, view, next, flushed);
        view = NULL;
    }
    if (status == VARVE_OK) {
        varve_error own = {0};
        if (vr_wal_release(db->wal, first_needed, &own) != VARVE_OK) vr_diag_say(&db->env.diag, "%s: %s", db->dir, own.message);
    }
    vr_mutex_unlock(&db->manifest_mutex);
    if (view) vr_view_unref(view);
    if (base) vr_version_unref(base);
    if (next) vr_version_unref(next);
    return status;
}
