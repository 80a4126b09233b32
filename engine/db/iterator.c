/*
 * db/iterator.c - the public iterator: from the entries of a merge (every version, tombstones included) to the pairs a reader sees
 * at one sequence.
 *
 * Forward, the cursor stands on the visible version of the current key. Backward, it stands before all versions of the current key,
 * which were walked from the oldest to the newest visible one and copied: a version's bytes are gone once the cursor moves.
 *
 * Threads: one at a time. Invariants: state AT_FORWARD: cursor valid, key and value are the cursor's; AT_BACKWARD: key and value
 * are in the buffers.
 */
#include "base/bytes.h"
#include "base/check.h"
#include "base/error.h"
#include "db/db.h"
#include "kv/merge.h"

typedef enum iterator_state { FRESH, AT_START, AT_FORWARD, AT_BACKWARD, AT_END, FAILED } iterator_state;

struct varve_iterator {
    varve_db *db;
    vr_store *store;
    vr_view *view; /* a reference: it keeps memtables and tables */
    vr_cursor *cursor;
    uint64_t sequence;
    iterator_state state;
    bool has_upper, has_lower;
    varve_buffer lower, upper; /* [lower, upper) */
    varve_buffer key, value;   /* backward: the entry; forward: key is scratch for the key that is being skipped */
    varve_buffer target;       /* what is sought: the caller may pass a key of this iterator, which the search overwrites */
    varve_slice now_key, now_value;
    varve_error error;
    varve_error cursor_error;
};

/* --- Bounds ------------------------------------------------------------------------------------------------------- */

static bool take_lower(varve_iterator *it, varve_slice bound) {
    if (it->has_lower && vr_compare(bound, varve_buffer_slice(&it->lower)) <= 0) return true;
    it->has_lower = true;
    return vr_buffer_set(&it->lower, bound);
}

static bool take_upper(varve_iterator *it, varve_slice bound) {
    if (it->has_upper && vr_compare(bound, varve_buffer_slice(&it->upper)) >= 0) return true;
    it->has_upper = true;
    return vr_buffer_set(&it->upper, bound);
}

/* The prefix's successor: the prefix without its trailing 0xff bytes, the last byte one higher; none when it is all 0xff. */
static bool take_prefix(varve_iterator *it, varve_slice prefix) {
    if (!take_lower(it, prefix)) return false;
    size_t size = prefix.size;
    while (size > 0 && (uint8_t)prefix.data[size - 1] == 0xff) size--;
    if (size == 0) return true;
    varve_buffer next = {0};
    bool fits = vr_buffer_set(&next, varve_bytes(prefix.data, size));
    if (fits) {
        next.data[size - 1] = (char)((uint8_t)next.data[size - 1] + 1);
        fits = take_upper(it, varve_buffer_slice(&next));
    }
    varve_buffer_free(&next);
    return fits;
}

static bool below_upper(const varve_iterator *it, varve_slice key) {
    return !it->has_upper || vr_compare(key, varve_buffer_slice(&it->upper)) < 0;
}

static bool above_lower(const varve_iterator *it, varve_slice key) {
    return !it->has_lower || vr_compare(key, varve_buffer_slice(&it->lower)) >= 0;
}

/* --- Open and close ----------------------------------------------------------------------------------------------- */

static varve_status link_pending(varve_db *db, const vr_view *view) {
    if (!view->active || !vr_memtable_pending(view->active)) return VARVE_OK;
    vr_mutex_lock(&db->write_mutex);
    vr_memtable_link(view->active);
    vr_mutex_unlock(&db->write_mutex);
    return VARVE_OK;
}

static varve_status open_cursor(varve_iterator *it, varve_error *err) {
    const vr_view *view = it->view;
    size_t capacity = 1 + view->immutable_count + vr_version_cursor_count(view->version);
    size_t count = 0;
    vr_cursor **cursors = vr_zalloc(&it->db->env.mem, capacity * sizeof(vr_cursor *));
    if (!cursors) return vr_error_nomem(err, capacity * sizeof(vr_cursor *), "an iterator");
    varve_status status = VARVE_OK;
    if (view->active) status = vr_memtable_cursor(view->active, &cursors[count], err);
    if (view->active && status == VARVE_OK) count++;
    for (size_t i = 0; i < view->immutable_count && status == VARVE_OK; i++) {
        status = vr_memtable_cursor(view->immutables[i], &cursors[count], err);
        if (status == VARVE_OK) count++;
    }
    if (status == VARVE_OK) {
        status = vr_version_cursors(view->version, VR_ACCESS_CACHED,
                                    it->has_lower ? varve_buffer_slice(&it->lower) : varve_bytes(NULL, 0),
                                    it->has_upper ? varve_buffer_slice(&it->upper) : varve_bytes(NULL, 0), cursors, &count, err);
    }
    for (size_t i = 0; i < count; i++) cursors[i]->err = &it->cursor_error;
    if (status == VARVE_OK && count > 0) {
        status = vr_merge_open(&it->db->env.mem, cursors, count, &it->cursor_error, &it->cursor, err);
    } else {
        for (size_t i = 0; i < count; i++) cursors[i]->ops->close(cursors[i]);
    }
    vr_free(&it->db->env.mem, cursors);
    return status;
}

varve_status varve_iterator_open(varve_store *handle, const varve_range *range, varve_iterator **out, varve_error *err) {
    varve_status status = vr_store_check(handle, err);
    if (status != VARVE_OK) return status;
    varve_db *db = handle->db;
    if (range && range->snapshot && range->snapshot->db != db) {
        return vr_error_set(err, VARVE_INVALID, "the snapshot is of another database than %s", db->dir);
    }
    varve_iterator *it = vr_zalloc(&db->env.mem, sizeof *it);
    if (!it) return vr_error_nomem(err, sizeof *it, "an iterator");
    it->db = db;
    it->store = handle->store;
    vr_db_ref(db);
    it->view = vr_store_acquire_view(it->store, &it->sequence);
    if (range && range->snapshot) it->sequence = range->snapshot->sequence;
    bool fits = true;
    if (range && range->from.data) fits = take_lower(it, range->from);
    if (range && range->to.data) fits = fits && take_upper(it, range->to);
    if (range && range->prefix.data) fits = fits && take_prefix(it, range->prefix);
    status = fits ? link_pending(db, it->view) : vr_error_nomem(err, 0, "an iterator's bounds");
    if (status == VARVE_OK) status = open_cursor(it, err);
    if (status != VARVE_OK) {
        varve_iterator_close(it);
        return status;
    }
    *out = it;
    return VARVE_OK;
}

void varve_iterator_close(varve_iterator *it) {
    if (!it) return;
    if (it->cursor) it->cursor->ops->close(it->cursor);
    vr_view_unref(it->view);
    varve_buffer_free(&it->lower);
    varve_buffer_free(&it->upper);
    varve_buffer_free(&it->key);
    varve_buffer_free(&it->value);
    varve_buffer_free(&it->target);
    varve_db *db = it->db;
    vr_free(&db->env.mem, it);
    vr_db_unref(db);
}

/* --- Moving ------------------------------------------------------------------------------------------------------- */

static varve_status leave(varve_iterator *it, iterator_state state) {
    it->state = state;
    it->now_key = it->now_value = varve_bytes(NULL, 0);
    return VARVE_NOT_FOUND;
}

static varve_status fail(varve_iterator *it, varve_status status) {
    leave(it, FAILED);
    if (it->error.code == VARVE_OK) it->error.code = status;
    return it->error.code;
}

static varve_status fail_nomem(varve_iterator *it, size_t size) {
    vr_error_nomem(&it->error, size, "an iterator's entry");
    return fail(it, VARVE_NOMEM);
}

static varve_status fail_cursor(varve_iterator *it) {
    VR_ASSERT(it->cursor->status < 0);
    it->error = it->cursor_error;
    return fail(it, it->cursor->status);
}

/* Moves past the remaining versions of the key in it->key. */
static void skip_key(varve_iterator *it) {
    VR_ASSERT(it->cursor);
    vr_cursor *cursor = it->cursor;
    varve_slice key = varve_buffer_slice(&it->key);
    while (cursor->valid && vr_equal(cursor->key, key)) cursor->ops->next(cursor);
}

/* From where the cursor stands to the next visible pair. */
static varve_status settle_forward(varve_iterator *it) {
    vr_cursor *cursor = it->cursor;
    for (;;) {
        if (!cursor->valid) return cursor->status == VARVE_OK ? leave(it, AT_END) : fail_cursor(it);
        if (!below_upper(it, cursor->key)) return leave(it, AT_END);
        if (vr_trailer_sequence(cursor->trailer) > it->sequence) {
            cursor->ops->next(cursor);
        } else if (vr_trailer_kind(cursor->trailer) == VR_KIND_PUT) {
            VR_ASSERT(above_lower(it, cursor->key));
            it->state = AT_FORWARD;
            it->now_key = cursor->key;
            it->now_value = cursor->value;
            return VARVE_OK;
        } else {
            if (!vr_buffer_set(&it->key, cursor->key)) return fail_nomem(it, cursor->key.size);
            skip_key(it);
        }
    }
}

/* Copies the version the cursor stands on. Returns false without memory. */
static bool keep_version(varve_iterator *it) {
    return vr_buffer_set(&it->key, it->cursor->key) && vr_buffer_set(&it->value, it->cursor->value);
}

/* From where the cursor stands backwards to the next visible pair: the versions of a key come oldest first. */
static varve_status settle_backward(varve_iterator *it) {
    vr_cursor *cursor = it->cursor;
    for (;;) {
        bool visible = false, live = false;
        if (cursor->valid && above_lower(it, cursor->key)) {
            if (!vr_buffer_set(&it->key, cursor->key)) return fail_nomem(it, cursor->key.size);
            while (cursor->valid && vr_equal(cursor->key, varve_buffer_slice(&it->key))) {
                if (vr_trailer_sequence(cursor->trailer) <= it->sequence) {
                    visible = true;
                    live = vr_trailer_kind(cursor->trailer) == VR_KIND_PUT;
                    if (live && !keep_version(it)) return fail_nomem(it, cursor->value.size);
                }
                cursor->ops->prev(cursor);
            }
            if (!cursor->valid && cursor->status != VARVE_OK) return fail_cursor(it);
            if (!visible || !live) continue;
            VR_ASSERT(below_upper(it, varve_buffer_slice(&it->key)));
            it->state = AT_BACKWARD;
            it->now_key = varve_buffer_slice(&it->key);
            it->now_value = varve_buffer_slice(&it->value);
            return VARVE_OK;
        }
        if (!cursor->valid && cursor->status != VARVE_OK) return fail_cursor(it);
        return leave(it, AT_START);
    }
}

/* Whether the iterator can move at all. */
static varve_status check(varve_iterator *it) {
    if (it->state == FAILED) return it->error.code;
    if (atomic_load_explicit(&it->db->closed, memory_order_acquire)) { /* pairs with varve_close() */
        vr_db_check_open(it->db, &it->error);
        return fail(it, VARVE_CLOSED);
    }
    return it->cursor ? VARVE_OK : VARVE_NOT_FOUND;
}

static void to_first(varve_iterator *it) {
    vr_cursor *cursor = it->cursor;
    if (it->has_lower) {
        cursor->ops->seek(cursor, varve_buffer_slice(&it->lower), UINT64_MAX);
    } else {
        cursor->ops->first(cursor);
    }
}

static void to_last(varve_iterator *it) {
    vr_cursor *cursor = it->cursor;
    if (it->has_upper) { /* before the newest version of upper: the newest version comes first in cursor order */
        cursor->ops->seek_prev(cursor, varve_buffer_slice(&it->upper), UINT64_MAX);
    } else {
        cursor->ops->last(cursor);
    }
}

varve_status varve_iterator_next(varve_iterator *it) {
    varve_status status = check(it);
    if (status != VARVE_OK) return status;
    vr_cursor *cursor = it->cursor;
    switch (it->state) {
    case FRESH:
    case AT_START: to_first(it); break;
    case AT_END: return VARVE_NOT_FOUND;
    case AT_FORWARD:
        if (!vr_buffer_set(&it->key, cursor->key)) return fail_nomem(it, cursor->key.size);
        cursor->ops->next(cursor);
        skip_key(it);
        break;
    default: /* AT_BACKWARD: past every version of the current key */
        cursor->ops->seek(cursor, varve_buffer_slice(&it->key), 0);
        skip_key(it);
        break;
    }
    return settle_forward(it);
}

varve_status varve_iterator_prev(varve_iterator *it) {
    varve_status status = check(it);
    if (status != VARVE_OK) return status;
    vr_cursor *cursor = it->cursor;
    switch (it->state) {
    case AT_START: return VARVE_NOT_FOUND;
    case FRESH:
    case AT_END: to_last(it); break;
    case AT_FORWARD:
        if (!vr_buffer_set(&it->key, cursor->key)) return fail_nomem(it, cursor->key.size);
        cursor->ops->seek_prev(cursor, varve_buffer_slice(&it->key), UINT64_MAX);
        break;
    default: break; /* AT_BACKWARD: the cursor stands before the current key already */
    }
    return settle_backward(it);
}

varve_status varve_iterator_seek(varve_iterator *it, varve_slice key) {
    varve_status status = check(it);
    if (status != VARVE_OK) return status;
    if (!above_lower(it, key)) {
        to_first(it);
    } else {
        if (!vr_buffer_set(&it->target, key)) return fail_nomem(it, key.size);
        it->cursor->ops->seek(it->cursor, varve_buffer_slice(&it->target), UINT64_MAX);
    }
    return settle_forward(it);
}

varve_status varve_iterator_seek_prev(varve_iterator *it, varve_slice key) {
    varve_status status = check(it);
    if (status != VARVE_OK) return status;
    if (!below_upper(it, key)) {
        to_last(it);
    } else { /* at or before the oldest possible version of key */
        if (!vr_buffer_set(&it->target, key)) return fail_nomem(it, key.size);
        it->cursor->ops->seek_prev(it->cursor, varve_buffer_slice(&it->target), 0);
    }
    return settle_backward(it);
}

varve_slice varve_iterator_key(const varve_iterator *it) {
    return it->now_key;
}

varve_slice varve_iterator_value(const varve_iterator *it) {
    return it->now_value;
}

const varve_error *varve_iterator_error(const varve_iterator *it) {
    return &it->error;
}
