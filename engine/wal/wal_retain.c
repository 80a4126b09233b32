/*
 * wal/wal_retain.c - what stays on disk: releasing segments, counting them, copying them for a checkpoint.
 *
 * Release and unlinking are apart from the manifest on purpose: it says durably from which segment on the WAL is needed before any
 * older file goes, so that a crash leaves at worst files that the next open clears away.
 */
#include "base/check.h"
#include "base/error.h"
#include "wal/wal_state.h"

#define COPY_BYTES ((size_t)256 << 10)

void vr_wal_first_needed(vr_wal *wal, uint64_t sequence, uint64_t *first_needed) {
    vr_mutex_lock(&wal->mutex);
    const vr_segment *seg = wal->oldest;
    while (seg && (seg->released || (seg != wal->active && seg->last_sequence <= sequence))) seg = seg->newer;
    *first_needed = seg ? seg->number : 0;
    vr_mutex_unlock(&wal->mutex);
}

/* Takes one segment below first_needed that nobody reads out of the list; marks those that somebody does. */
static vr_segment *take_released(vr_wal *wal, uint64_t first_needed) {
    vr_mutex_lock(&wal->mutex);
    vr_segment *seg = wal->oldest;
    for (; seg && seg != wal->active && seg->number < first_needed; seg = seg->newer) {
        seg->released = true;
        if (seg->refs == 0) break;
    }
    if (!seg || seg == wal->active || seg->number >= first_needed) seg = NULL;
    if (seg) vr_segment_list_remove(wal, seg);
    vr_mutex_unlock(&wal->mutex);
    return seg;
}

varve_status vr_wal_release(vr_wal *wal, uint64_t first_needed, varve_error *err) {
    if (wal->read_only) return vr_wal_refuse(wal, err);
    varve_status st = VARVE_OK;
    for (;;) {
        vr_segment *seg = take_released(wal, first_needed);
        if (!seg) return st;
        varve_error why;
        varve_status disposed = vr_segment_dispose(wal, seg, &why);
        if (disposed == VARVE_OK || st != VARVE_OK) continue;
        st = disposed;
        vr_error_copy(err, &why);
    }
}

void vr_wal_stats_get(vr_wal *wal, vr_wal_stats *stats) {
    *stats = (vr_wal_stats){0};
    vr_mutex_lock(&wal->prepare_mutex);
    vr_mutex_lock(&wal->mutex);
    for (const vr_segment *seg = wal->oldest; seg; seg = seg->newer) {
        stats->segments++;
        stats->bytes += seg->size;
    }
    if (wal->next) stats->bytes += wal->next->size;
    vr_mutex_unlock(&wal->mutex);
    for (unsigned i = 0; i < VR_WAL_SPARES; i++) stats->bytes += wal->spares[i] ? wal->segment_bytes : 0;
    vr_mutex_unlock(&wal->prepare_mutex);
    stats->syncs = atomic_load_explicit(&wal->syncs, memory_order_relaxed);
}

/* --- Checkpoints --- */

/* Copies bytes [0 .. end) of from into to. */
static varve_status copy_bytes(const vr_env *env, vr_file *from, vr_file *to, uint64_t end, varve_error *err) {
    char *piece = vr_alloc(&env->mem, COPY_BYTES);
    if (!piece) return vr_error_nomem(err, COPY_BYTES, "copying the WAL");
    varve_status st = VARVE_OK;
    for (uint64_t at = 0; at < end && st == VARVE_OK;) {
        size_t want = end - at < COPY_BYTES ? (size_t)(end - at) : COPY_BYTES, got;
        st = vr_file_pread(from, piece, want, at, &got, err);
        if (st == VARVE_OK && got < want) {
            st = vr_error_set(err, VARVE_CORRUPTION, "wal: a segment ends at offset %llu; expected at least %llu bytes",
                              (unsigned long long)(at + got), (unsigned long long)end);
        }
        if (st == VARVE_OK) st = vr_file_pwrite(to, piece, got, at, err);
        at += got;
    }
    vr_free(&env->mem, piece);
    return st;
}

/* The active segment grows on, so its records up to end are copied, followed by a SYNC record: the copy is durable to there. */
static varve_status copy_active(vr_wal *wal, vr_segment *seg, const char *path, uint64_t end, uint64_t last, varve_error *err) {
    char record[VR_WAL_RECORD_BYTES + VR_WAL_SYNC_BYTES];
    vr_file *file;
    varve_status st = vr_fs_open(wal->env->fs, path, VR_OPEN_WRITE | VR_OPEN_CREATE | VR_OPEN_EXCLUSIVE, &file, err);
    if (st != VARVE_OK) return st;
    st = copy_bytes(wal->env, seg->file, file, end, err);
    if (st == VARVE_OK) st = vr_file_set_size(file, seg->size, err);
    if (st == VARVE_OK && end + sizeof record + VR_WAL_RECORD_BYTES <= seg->size) {
        vr_wal_sync_encode(record, seg->number, last, (vr_wal_place){seg->number, end});
        st = vr_file_pwrite(file, record, sizeof record, end, err);
    }
    if (st == VARVE_OK) st = vr_file_sync(file, err);
    varve_status closed = vr_file_close(file, st == VARVE_OK ? err : NULL);
    return st == VARVE_OK ? closed : st;
}

static varve_status copy_segment(vr_wal *wal, vr_segment *seg, bool sealed, uint64_t end, uint64_t last, const char *target,
                                 varve_error *err) {
    char name[VR_WAL_NAME_BYTES];
    char path[VR_PATH_BYTES_MAX];
    vr_wal_name(name, seg->number);
    if (!vr_path_join(path, target, name)) return vr_error_set(err, VARVE_INVALID, "the path %s is too long", target);
    if (!sealed) return copy_active(wal, seg, path, end, last, err);
    varve_status st = vr_fs_link(wal->env->fs, seg->path, path, err);
    return st == VARVE_UNSUPPORTED ? vr_fs_copy(wal->env->fs, seg->path, path, err) : st;
}

/* The first segment from number on, referenced and open; up to which offset it counts, and whether it is complete. */
static varve_status take_for_copy(vr_wal *wal, uint64_t number, vr_segment **taken, bool *sealed, bool *synced, uint64_t *end,
                                  varve_error *err) {
    varve_status st = VARVE_OK;
    vr_mutex_lock(&wal->mutex);
    vr_segment *seg = wal->oldest;
    while (seg && seg->number < number) seg = seg->newer;
    if (seg) {
        st = vr_segment_open(wal, seg, err);
        if (st == VARVE_OK) {
            seg->refs++;
            seg->linked = seg->linked || seg->sealed;
            *sealed = seg->sealed;
            *synced = seg->synced;
            *end = atomic_load_explicit(&seg->end, memory_order_acquire); /* pairs with the release of append */
        }
    }
    vr_mutex_unlock(&wal->mutex);
    *taken = st == VARVE_OK ? seg : NULL;
    return st;
}

static varve_status sync_sealed(vr_wal *wal, vr_segment *seg, varve_error *err) {
    varve_error why;
    varve_status st = vr_file_sync(seg->file, &why);
    if (st == VARVE_OK) return st;
    vr_error_copy(err, &why);
    return vr_wal_latch(wal, &why);
}

varve_status vr_wal_copy(vr_wal *wal, uint64_t first_needed, const char *target, varve_error *err) {
    uint64_t last = vr_wal_last_sequence(wal);
    varve_status st = wal->read_only ? VARVE_OK : vr_wal_sync(wal, err);
    for (uint64_t number = first_needed; st == VARVE_OK;) {
        vr_segment *seg;
        bool sealed = false, synced = false;
        uint64_t end = 0;
        st = take_for_copy(wal, number, &seg, &sealed, &synced, &end, err);
        if (st != VARVE_OK || !seg) break;
        if (sealed && !synced && !wal->read_only) st = sync_sealed(wal, seg, err); /* sealed since the sync above */
        if (st == VARVE_OK) st = copy_segment(wal, seg, sealed, end, last, target, err);
        number = seg->number + 1;
        vr_segment_unref(wal, seg);
        if (!sealed) break; /* the active one is the last */
    }
    if (st == VARVE_OK) st = vr_fs_sync_dir(wal->env->fs, target, err);
    return st;
}
