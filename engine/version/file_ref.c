/*
 * version/file_ref.c - a table file that versions and cursors share: opened when first read, closed with the last reference.
 *
 * Invariants: `table` goes from NULL to the open table once; a file marked obsolete is in no version that can still be made
 * current. Threads: any, side by side, as long as each holds a reference.
 */
#include "base/check.h"
#include "base/error.h"
#include "version/filename.h"
#include "version/summary.h"
#include "version/version.h"

#define RANK_FILE (VR_RANK_TABLE - 5) /* opening a table takes the cache's mutex, which ranks as TABLE */

varve_status vr_table_file_create(const vr_version_env *env, uint64_t number, const vr_table_summary *summary, vr_table_file **file,
                                  varve_error *err) {
    vr_table_file *created = vr_zalloc(&env->env->mem, sizeof *created);
    if (!created) return vr_error_nomem(err, sizeof *created, "a table file");
    if (!vr_summary_copy(&created->summary, summary)) {
        vr_free(&env->env->mem, created);
        return vr_error_nomem(err, summary->min_key.size + summary->max_key.size, "a table file's keys");
    }
    created->env = env;
    created->number = number;
    atomic_init(&created->refs, 1);
    vr_mutex_init(&created->mutex, RANK_FILE);
    *file = created;
    return VARVE_OK;
}

void vr_table_file_ref(vr_table_file *file) {
    uint32_t before = atomic_fetch_add_explicit(&file->refs, 1, memory_order_relaxed);
    VR_ASSERT(before > 0);
    (void)before;
}

void vr_table_file_unref(vr_table_file *file) {
    const vr_env *env = file->env->env;
    char path[VR_PATH_BYTES_MAX];
    /* Release: what this holder did to the file comes before its end. Acquire, for the last one: the releases of all others. */
    uint32_t before = atomic_fetch_sub_explicit(&file->refs, 1, memory_order_acq_rel);
    VR_ASSERT(before > 0);
    if (before > 1) return;
    vr_table *table = atomic_load_explicit(&file->table, memory_order_relaxed);
    if (table) vr_table_close(table);
    if (atomic_load_explicit(&file->obsolete, memory_order_relaxed) && vr_filename_table(path, file->env->dir, file->number)) {
        varve_error failure = {0};
        if (vr_fs_remove(env->fs, path, &failure) != VARVE_OK) {
            vr_diag_say(&env->diag, "an obsolete table stays: %s", failure.message);
        }
    }
    vr_mutex_destroy(&file->mutex);
    varve_buffer_free(&file->summary.min_key);
    varve_buffer_free(&file->summary.max_key);
    vr_free(&env->mem, file);
}

static varve_status open_first(vr_table_file *file, vr_table **table, varve_error *err) {
    const vr_version_env *env = file->env;
    char path[VR_PATH_BYTES_MAX];
    varve_status status = VARVE_OK;
    if (!vr_filename_table(path, env->dir, file->number)) {
        return vr_error_set(err, VARVE_TOO_LARGE, "%.200s...: the path is too long", env->dir);
    }
    vr_mutex_lock(&file->mutex);
    vr_table *opened = atomic_load_explicit(&file->table, memory_order_relaxed); /* written under the mutex only */
    if (!opened) {
        status = vr_table_open(env->env, env->budget, env->cache, path, &file->summary, &opened, err);
        /* Release: pairs with the acquire of vr_table_file_open(), which thereby sees the whole table. */
        if (status == VARVE_OK) atomic_store_explicit(&file->table, opened, memory_order_release);
    }
    vr_mutex_unlock(&file->mutex);
    if (status == VARVE_OK) *table = opened;
    return status;
}

varve_status vr_table_file_open(vr_table_file *file, vr_table **table, varve_error *err) {
    vr_table *opened = atomic_load_explicit(&file->table, memory_order_acquire); /* pairs with the release of open_first() */
    if (!opened) return open_first(file, table, err);
    *table = opened;
    return VARVE_OK;
}
