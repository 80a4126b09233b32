/*
 * db/latch.c - may this call go on? Closed, latched read-only, dropped.
 */
#include "base/error.h"
#include "db/db.h"

varve_status vr_db_latch(varve_db *db, const varve_error *err) {
    vr_mutex_lock(&db->latch_mutex);
    bool first = db->latched.code == VARVE_OK;
    if (first) {
        db->latched = *err;
        db->latched.code = VARVE_READ_ONLY;
        db->latched.flags |= VARVE_ERROR_FATAL;
        /* release: pairs with the acquire in vr_db_check_writable(), which then reads latched */
        atomic_store_explicit(&db->has_latched, true, memory_order_release);
    }
    vr_mutex_unlock(&db->latch_mutex);
    if (first) vr_diag_say(&db->env.diag, "%s: writing has stopped: %s", db->dir, err->message);
    return err->code;
}

varve_status vr_db_check_open(const varve_db *db, varve_error *err) {
    if (atomic_load_explicit(&db->closed, memory_order_acquire)) { /* pairs with varve_close() */
        return vr_error_set(err, VARVE_CLOSED, "database %s: it was closed", db->dir);
    }
    return VARVE_OK;
}

varve_status vr_db_enter(varve_db *db, varve_error *err) {
    /* seq_cst here and in varve_close(): either it sees this call, or this call sees it */
    atomic_fetch_add(&db->calls, 1);
    if (!atomic_load(&db->closed)) return VARVE_OK;
    vr_db_leave(db);
    return vr_db_check_open(db, err);
}

void vr_db_leave(varve_db *db) {
    atomic_fetch_sub(&db->calls, 1);
}

varve_status vr_db_check_writable(varve_db *db, varve_error *err) {
    varve_status status = vr_db_check_open(db, err);
    if (status != VARVE_OK) return status;
    if (atomic_load_explicit(&db->has_latched, memory_order_acquire)) { /* pairs with vr_db_latch() */
        return vr_error_copy(err, &db->latched);
    }
    return VARVE_OK;
}

varve_status vr_store_check(const varve_store *handle, varve_error *err) {
    varve_status status = vr_db_check_open(handle->db, err);
    if (status != VARVE_OK) return status;
    if (atomic_load_explicit(&handle->store->dropped, memory_order_acquire)) { /* pairs with varve_store_drop() */
        return vr_error_set(err, VARVE_MISSING, "store %s: it was dropped", handle->store->name);
    }
    return VARVE_OK;
}
