/*
 * wal/wal_sync.c - group commit, and the latch.
 *
 * One thread at a time syncs; the others wait for it, and one of them goes on for those it did not cover. It notes how far the WAL
 * reaches, then syncs every segment that is not synced yet, oldest first: what is durable is always a prefix. What it noted becomes
 * the next SYNC record, which append writes, since appending is the writer's alone.
 *
 * An error of fdatasync leaves the durable state in doubt: the kernel may have dropped the pages and marked them clean, so that a
 * second call would lie. It latches: nothing is synced or appended from then on.
 */
#include "base/check.h"
#include "base/error.h"
#include "wal/wal_state.h"

varve_status vr_wal_latch(vr_wal *wal, const varve_error *cause) {
    vr_mutex_lock(&wal->sync_mutex);
    if (!atomic_load_explicit(&wal->failed, memory_order_relaxed)) { /* under sync_mutex */
        wal->failure = *cause;
        /* release: pairs with the acquire in append and in vr_wal_sync() */
        atomic_store_explicit(&wal->failed, true, memory_order_release);
    }
    vr_mutex_unlock(&wal->sync_mutex);
    return cause->code;
}

varve_status vr_wal_refuse(vr_wal *wal, varve_error *err) {
    if (wal->read_only) return vr_error_set(err, VARVE_READ_ONLY, "the WAL in %s is open for reading only", wal->dir);
    vr_mutex_lock(&wal->sync_mutex);
    varve_error first = wal->failure;
    vr_mutex_unlock(&wal->sync_mutex);
    varve_status st = vr_error_set(err, VARVE_READ_ONLY, "an earlier WAL write or sync failed: %.440s", first.message);
    if (err) err->os_error = first.os_error;
    return st;
}

/* How far the WAL reached when a sync began. */
typedef struct reach {
    uint64_t sequence;
    vr_wal_place place;
} reach;

static reach note_reach(vr_wal *wal) {
    reach now;
    now.sequence = vr_wal_last_sequence(wal); /* first: its record lies before the end read below */
    vr_mutex_lock(&wal->mutex);
    now.place.segment = wal->active->number;
    /* acquire: pairs with the release of append: what lies before the end is written */
    now.place.offset = atomic_load_explicit(&wal->active->end, memory_order_acquire);
    vr_mutex_unlock(&wal->mutex);
    return now;
}

/* The oldest segment up to number that is not synced, referenced and open; NULL when there is none. */
static varve_status take_unsynced(vr_wal *wal, uint64_t number, uint64_t after, vr_segment **taken, bool *sealed,
                                  varve_error *err) {
    varve_status st = VARVE_OK;
    vr_mutex_lock(&wal->mutex);
    vr_segment *seg = wal->oldest;
    while (seg && (seg->synced || seg->released || seg->number <= after)) seg = seg->newer;
    if (seg && seg->number > number) seg = NULL;
    if (seg) {
        st = vr_segment_open(wal, seg, err);
        if (st == VARVE_OK) {
            seg->refs++;
            *sealed = seg->sealed;
        } else {
            seg = NULL;
        }
    }
    vr_mutex_unlock(&wal->mutex);
    *taken = seg;
    return st;
}

/* Syncs all segments up to number. */
static varve_status sync_segments(vr_wal *wal, uint64_t number, varve_error *err) {
    uint64_t after = 0;
    for (;;) {
        vr_segment *seg;
        bool sealed = false;
        varve_status st = take_unsynced(wal, number, after, &seg, &sealed, err);
        if (st != VARVE_OK || !seg) return st;
        varve_error why;
        st = vr_file_sync(seg->file, &why);
        atomic_fetch_add_explicit(&wal->syncs, 1, memory_order_relaxed);
        after = seg->number;
        if (st == VARVE_OK && sealed) { /* sealed before the sync began: nothing of it is left to sync */
            vr_mutex_lock(&wal->mutex);
            seg->synced = true;
            vr_mutex_unlock(&wal->mutex);
        }
        vr_segment_unref(wal, seg);
        if (st == VARVE_OK) continue;
        vr_error_copy(err, &why);
        return vr_wal_latch(wal, &why);
    }
}

/* Notes what has become durable. Lock: sync_mutex. */
static void note_synced(vr_wal *wal, const reach *to) {
    vr_mutex_assert_held(&wal->sync_mutex);
    VR_ASSERT(to->sequence >= vr_wal_synced_sequence(wal));
    wal->synced_to = to->place;
    wal->synced_to_sequence = to->sequence;
    /* release: pairs with the acquire in vr_wal_synced_sequence(), and of unmarked in append */
    atomic_store_explicit(&wal->synced_sequence, to->sequence, memory_order_release);
    atomic_store_explicit(&wal->unmarked, true, memory_order_release);
}

varve_status vr_wal_sync(vr_wal *wal, varve_error *err) {
    if (wal->read_only) return vr_wal_refuse(wal, err);
    uint64_t target = vr_wal_last_sequence(wal);
    varve_status st = VARVE_OK;
    vr_mutex_lock(&wal->sync_mutex);
    while (st == VARVE_OK && !atomic_load_explicit(&wal->failed, memory_order_acquire) && vr_wal_synced_sequence(wal) < target) {
        if (wal->syncing) {
            vr_cond_wait(&wal->sync_done, &wal->sync_mutex);
            continue;
        }
        wal->syncing = true;
        vr_mutex_unlock(&wal->sync_mutex);
        reach to = note_reach(wal);
        st = sync_segments(wal, to.place.segment, err);
        vr_mutex_lock(&wal->sync_mutex);
        if (st == VARVE_OK) note_synced(wal, &to);
        wal->syncing = false;
        vr_cond_broadcast(&wal->sync_done);
    }
    bool refused = st == VARVE_OK && atomic_load_explicit(&wal->failed, memory_order_acquire);
    vr_mutex_unlock(&wal->sync_mutex);
    return refused ? vr_wal_refuse(wal, err) : st;
}

bool vr_wal_stopped(const vr_wal *wal) {
    return atomic_load_explicit(&wal->failed, memory_order_acquire); /* pairs with the latch */
}

uint64_t vr_wal_last_sequence(const vr_wal *wal) {
    /* acquire: pairs with the release of append */
    return atomic_load_explicit(&wal->last_sequence, memory_order_acquire);
}

uint64_t vr_wal_synced_sequence(const vr_wal *wal) {
    /* acquire: pairs with the release of note_synced() */
    return atomic_load_explicit(&wal->synced_sequence, memory_order_acquire);
}
