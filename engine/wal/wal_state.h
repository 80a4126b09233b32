/*
 * wal/wal_state.h - the WAL as its files share it: the list of segments, the writer, the sync, the locks.
 *
 * Locks, in the order in which they nest: prepare_mutex (making and recycling files), mutex (the list of segments), sync_mutex
 * (who syncs, and the first failure). The writer holds the caller's write mutex and takes ours only where segments change.
 *
 * Invariants, under mutex: the list is sorted by number without gaps, released segments aside; all but the newest, the active one,
 * are sealed; sealed ones never change; next, the prepared one, is on disk under its name, durable and empty, before its
 * predecessor is sealed. So a sealed segment without a successor is always damage.
 */
#ifndef VR_WAL_WAL_STATE_H
#define VR_WAL_WAL_STATE_H

#include <stdatomic.h>

#include "os/thread.h"
#include "wal/layout.h"
#include "wal/wal.h"

#define VR_WAL_SPARES 2u
#define VR_WAL_PREPARE_RANK (VR_RANK_WAL - 5)

/* One segment. Constant after it joined the list: number, size, base, recovered, path. The rest under wal->mutex, but for end. */
typedef struct vr_segment {
    struct vr_segment *older, *newer;
    uint64_t number;
    uint64_t size;
    uint64_t base;          /* the last sequence before it */
    uint64_t last_sequence; /* the last in it, or base; set when it is sealed */
    vr_file *file;          /* NULL while closed */
    char *map;              /* the whole segment; NULL while not mapped */
    unsigned refs;          /* readers, a sync, a copy */
    bool recovered;         /* of an earlier run: never appended to, never recycled */
    bool sealed;
    bool synced;          /* sealed, and all of it durable */
    bool released;        /* no longer needed; goes when refs is 0 */
    bool linked;          /* a checkpoint shares its file: never recycled */
    _Atomic uint64_t end; /* whole records up to here. Release by the writer; acquire by readers and sync */
    char path[];
} vr_segment;

struct vr_wal {
    /* constant after open */
    const vr_env *env;
    vr_budget *budget;
    char *dir;
    bool mapped;
    bool read_only;
    uint64_t segment_bytes;

    /* the writer's; active also changes under mutex */
    vr_segment *active; /* NULL only where a read-only WAL has no segment */
    uint64_t at;        /* where the next record goes */
    uint64_t limit;     /* no batch ends behind it; 0 while active is a recovered one */
    char *buffer;       /* pwrite mode: what is written at once */
    size_t buffer_bytes;

    /* under prepare_mutex */
    vr_mutex prepare_mutex;
    bool spares[VR_WAL_SPARES]; /* whether spare-<index + 1>.wal exists */

    /* under mutex */
    vr_mutex mutex;
    vr_segment *oldest, *newest;
    vr_segment *next; /* prepared; changes under prepare_mutex and mutex, read under either */

    /* under sync_mutex */
    vr_mutex sync_mutex;
    vr_cond sync_done;
    bool syncing;
    varve_error failure;    /* the first, once failed */
    vr_wal_place synced_to; /* what the next SYNC record says */
    uint64_t synced_to_sequence;

    _Atomic bool failed;              /* release with failure set under sync_mutex; acquire by append */
    _Atomic bool unmarked;            /* synced_to is in no SYNC record yet. Release by the sync; acquire by append */
    _Atomic uint64_t last_sequence;   /* release by append, after end; acquire by anyone */
    _Atomic uint64_t synced_sequence; /* release by the sync; acquire by anyone */
    _Atomic uint64_t syncs;           /* relaxed: a statistic */
};

/* --- segment.c --- */

vr_segment *vr_segment_alloc(const vr_wal *wal, uint64_t number, uint64_t size); /* NULL without memory, or the path is too long */

/* Opens the file, maps it, if that is not so yet. Lock: mutex, unless the segment is not in the list yet. */
varve_status vr_segment_open(vr_wal *wal, vr_segment *seg, varve_error *err);
varve_status vr_segment_map(vr_wal *wal, vr_segment *seg, bool writable, varve_error *err);

/* Unmaps; unmaps and closes. Nobody may hold it. Lock: as above. */
void vr_segment_unmap(vr_wal *wal, vr_segment *seg);
void vr_segment_shut(vr_wal *wal, vr_segment *seg);
bool vr_segment_rest(vr_wal *wal, vr_segment *seg); /* unmaps; closes what needs no sync. Returns whether there was something */
void vr_segment_free(vr_wal *wal, vr_segment *seg); /* shuts first; seg may be NULL */

/* Makes an empty segment's file, durable with its name, from a spare or anew. Lock: prepare_mutex. */
varve_status vr_segment_make(vr_wal *wal, uint64_t number, uint64_t size, vr_segment **made, varve_error *err);

/* Turns the file of a segment that is in no list into a spare, or removes it; frees seg in any case. Lock: none of ours. */
varve_status vr_segment_dispose(vr_wal *wal, vr_segment *seg, varve_error *err);
varve_status vr_segment_dispose_locked(vr_wal *wal, vr_segment *seg, varve_error *err); /* Lock: prepare_mutex */

void vr_segment_list_append(vr_wal *wal, vr_segment *seg); /* Lock: mutex, unless the WAL is being opened */
void vr_segment_list_remove(vr_wal *wal, vr_segment *seg);

/* Gives a reference back; the last one of a released segment disposes of it. Lock: none of ours. */
void vr_segment_unref(vr_wal *wal, vr_segment *seg);

/* --- wal_append.c --- */

/* Starts an empty WAL with segment number, or goes on in the next segment with room for one record of so many bytes. */
varve_status vr_wal_switch(vr_wal *wal, uint64_t number, uint64_t record_bytes, varve_error *err);

/* --- wal_sync.c --- */

/* Stops all writing: the durable state is in doubt. cause is the first failure. Returns cause's code. */
varve_status vr_wal_latch(vr_wal *wal, const varve_error *cause);
varve_status vr_wal_refuse(vr_wal *wal, varve_error *err); /* VARVE_READ_ONLY, and why */

/* --- wal_recover.c --- */

/* Replays, fills the list of segments and, unless read-only, clears away what is not the WAL. */
varve_status vr_wal_recover(vr_wal *wal, const vr_wal_options *options, vr_wal_replay_fn replay, void *context, varve_error *err);

#endif
