/*
 * db/checkpoint.c - a copy of the database in another directory: tables are linked, the WAL's needed segments copied, the manifest
 * written anew.
 *
 * manifest_mutex is held throughout, so no table that the copy names is removed meanwhile. Writes go on: the copy ends with what
 * was in the WAL when it was copied, as a crash at that moment would have.
 */
#include "base/error.h"
#include "db/db.h"
#include "version/filename.h"

static varve_status copy_table(varve_db *db, const char *target, uint64_t number, varve_error *err) {
    char from[VR_PATH_BYTES_MAX], to[VR_PATH_BYTES_MAX];
    if (!vr_filename_table(from, db->dir, number) || !vr_filename_table(to, target, number)) {
        return vr_error_set(err, VARVE_INVALID, "path %s: it is too long", target);
    }
    varve_error own = {0};
    varve_status status = vr_fs_link(db->env.fs, from, to, &own);
    if (status == VARVE_UNSUPPORTED) return vr_fs_copy(db->env.fs, from, to, err);
    return status == VARVE_OK ? VARVE_OK : vr_error_copy(err, &own);
}

static varve_status copy_files(varve_db *db, const char *target, varve_error *err) {
    const vr_manifest_state *state = vr_manifest_state_of(db->manifest);
    varve_status status = VARVE_OK;
    for (size_t i = 0; i < state->store_count && status == VARVE_OK; i++) {
        for (size_t k = 0; k < state->stores[i].table_count && status == VARVE_OK; k++) {
            status = copy_table(db, target, state->stores[i].tables[k].number, err);
        }
    }
    vr_edit nothing;
    vr_edit_init(&nothing, &db->env.mem);
    if (status == VARVE_OK) status = vr_wal_copy(db->wal, state->wal_first, target, err);
    if (status == VARVE_OK) status = vr_manifest_write_copy(&db->env, state, &nothing, target, err);
    vr_edit_free(&nothing);
    if (status == VARVE_OK) status = vr_fs_sync_dir(db->env.fs, target, err);
    if (status == VARVE_OK) status = vr_db_sync_parent(db, target, err);
    return status;
}

typedef struct removal {
    vr_fs *fs;
    const char *dir;
} removal;

static bool remove_entry(void *context, const char *name) {
    removal *r = context;
    char path[VR_PATH_BYTES_MAX];
    if (vr_path_join(path, r->dir, name)) vr_fs_remove(r->fs, path, NULL);
    return true;
}

static void remove_target(varve_db *db, const char *target) {
    removal r = {.fs = db->env.fs, .dir = target};
    vr_fs_list(db->env.fs, target, remove_entry, &r, NULL);
    vr_fs_remove_dir(db->env.fs, target, NULL);
}

static varve_status checkpoint_entered(varve_db *db, const char *target, varve_error *err) {
    if (!target || !*target) return vr_error_set(err, VARVE_INVALID, "checkpoint target: it is empty");
    varve_status status = vr_db_check_writable(db, err);
    if (status == VARVE_OK) status = varve_sync(db, err);
    if (status == VARVE_OK) status = vr_fs_make_dir(db->env.fs, target, err);
    if (status == VARVE_EXISTS) return vr_error_set(err, VARVE_EXISTS, "checkpoint target %s: it exists already", target);
    if (status != VARVE_OK) return status;
    vr_mutex_lock(&db->manifest_mutex);
    status = vr_db_check_writable(db, err);
    if (status == VARVE_OK) status = copy_files(db, target, err);
    vr_mutex_unlock(&db->manifest_mutex);
    if (status != VARVE_OK) remove_target(db, target);
    return status;
}

varve_status varve_checkpoint(varve_db *db, const char *target, varve_error *err) {
    varve_db *entered = db;
    varve_status status = vr_db_enter(entered, err);
    if (status != VARVE_OK) return status;
    status = checkpoint_entered(db, target, err);
    vr_db_leave(entered);
    return status;
}
