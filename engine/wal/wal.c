/*
 * wal/wal.c - opening and closing. The parts: wal_recover.c replays, wal_append.c writes, wal_sync.c syncs, wal_reader.c reads,
 * wal_retain.c lets go, segment.c deals with files, layout.c with bytes. What they share is in wal_state.h.
 */
#include "wal/wal.h"

#include "base/check.h"
#include "base/error.h"
#include "wal/wal_state.h"

static varve_status check_options(const vr_wal_options *options, varve_error *err) {
    uint64_t size = options->segment_bytes;
    if (size < VR_WAL_SEGMENT_BYTES_MIN || size > VR_WAL_SEGMENT_BYTES_MAX || size % VR_WAL_PAGE_BYTES != 0) {
        return vr_error_set(err, VARVE_INVALID, "WAL segment size is %llu bytes; allowed are multiples of %u from %u to %llu",
                            (unsigned long long)size, VR_WAL_PAGE_BYTES, VR_WAL_SEGMENT_BYTES_MIN,
                            (unsigned long long)VR_WAL_SEGMENT_BYTES_MAX);
    }
    return VARVE_OK;
}

/* The first segment of a new WAL. */
static varve_status start(vr_wal *wal, varve_error *err) {
    if (wal->read_only || wal->active) return VARVE_OK;
    return vr_wal_switch(wal, 1, 0, err);
}

varve_status vr_wal_open(const vr_env *env, vr_budget *budget, const char *dir, const vr_wal_options *options,
                         vr_wal_replay_fn replay, void *context, vr_wal **wal, varve_error *err) {
    varve_status st = check_options(options, err);
    if (st != VARVE_OK) return st;
    vr_wal *opened = vr_zalloc(&env->mem, sizeof *opened);
    if (!opened) return vr_error_nomem(err, sizeof *opened, "a WAL");
    opened->env = env;
    opened->budget = budget;
    opened->mapped = options->mode != VARVE_WAL_PWRITE;
    opened->read_only = options->read_only;
    opened->segment_bytes = options->segment_bytes;
    vr_mutex_init(&opened->prepare_mutex, VR_WAL_PREPARE_RANK);
    vr_mutex_init(&opened->mutex, VR_RANK_WAL);
    vr_mutex_init(&opened->sync_mutex, VR_RANK_SYNC);
    vr_cond_init(&opened->sync_done);
    opened->dir = vr_strdup(&env->mem, dir);
    st = opened->dir ? VARVE_OK : vr_error_nomem(err, strlen(dir) + 1, "a path");
    if (st == VARVE_OK) st = vr_wal_recover(opened, options, replay, context, err);
    if (st == VARVE_OK) st = start(opened, err);
    if (st != VARVE_OK) {
        vr_wal_close(opened);
        return st;
    }
    *wal = opened;
    return VARVE_OK;
}

/* A prepared segment that was not used becomes a spare. */
static void put_next_away(vr_wal *wal) {
    vr_segment *next = wal->next;
    wal->next = NULL;
    varve_error why;
    if (!next || vr_segment_dispose(wal, next, &why) == VARVE_OK) return;
    vr_diag_say(&wal->env->diag, "wal: %s", why.message);
}

void vr_wal_close(vr_wal *wal) {
    if (!wal) return;
    vr_wal_mark_synced(wal);
    put_next_away(wal);
    while (wal->oldest) {
        vr_segment *seg = wal->oldest;
        wal->oldest = seg->newer;
        vr_segment_free(wal, seg);
    }
    if (wal->buffer) vr_budget_release(wal->budget, VR_USE_WAL, wal->buffer_bytes);
    vr_free(&wal->env->mem, wal->buffer);
    vr_free(&wal->env->mem, wal->dir);
    vr_cond_destroy(&wal->sync_done);
    vr_mutex_destroy(&wal->sync_mutex);
    vr_mutex_destroy(&wal->mutex);
    vr_mutex_destroy(&wal->prepare_mutex);
    vr_free(&wal->env->mem, wal);
}
