/*
 * db/db.h - a database in memory: what it is made of, who may touch what, and the calls its files make of each other.
 *
 * A reader sees a store through its view: memtables and tables, immutable as a set, replaced as a whole and reclaimed through the
 * epoch. The newest readable sequence is `visible`, published by the writer after the memtables have what the WAL has.
 *
 * Locks, in order: write_mutex (the writer's turn: WAL order, memtables), manifest_mutex (changing what the database consists of:
 * apply, append, install), mutex (stores, views, snapshots, feeds, background state). Reads take none of them; opening an iterator
 * takes mutex.
 *
 * The object lives until its last handle is gone (refs): the public varve_db is one, each store handle, iterator, snapshot, feed
 * and bulk another.
 */
#ifndef VR_DB_DB_H
#define VR_DB_DB_H

#include <stdatomic.h>

#include <varve/feed.h>
#include <varve/varve.h>

#include "compact/job.h"
#include "mem/memtable.h"
#include "os/env.h"
#include "os/epoch.h"
#include "os/thread.h"
#include "version/version.h"
#include "wal/wal.h"

/* Full memtables of a store that may wait for their flush before its writers wait for one. */
#define VR_IMMUTABLE_MAX 2u

/* A memtable that takes no more writes, and what is to be written down with it. */
typedef struct vr_immutable {
    vr_memtable *mt;           /* may be NULL: only a position changed */
    uint64_t flushed_sequence; /* when it is in tables, everything of the store up to here is */
    uint64_t first_sequence;   /* its first change, or the position's */
    bool has_position;
    varve_buffer position; /* as of flushed_sequence */
} vr_immutable;

/* What a reader of a store sees. Immutable but for refs; memtables and version are references of its own. */
typedef struct vr_view {
    vr_retired retired; /* first: what the epoch knows it by */
    vr_mem mem;
    _Atomic uint32_t refs; /* the store's one, and one for each iterator */
    vr_memtable *active;   /* NULL: nothing written since the last turn-over */
    vr_version *version;
    size_t immutable_count, immutable_capacity;
    vr_memtable *immutables[]; /* newest first */
} vr_view;

/* A store. Owned by the database until it is freed. */
typedef struct vr_store {
    /* constant after creation */
    struct varve_db *db;
    uint32_t id;
    char *name;
    varve_store_options options;

    vr_view *_Atomic view; /* replaced under db->mutex (release); readers inside an epoch (acquire) */
    _Atomic bool dropped;  /* set under db->mutex */
    _Atomic bool bulk;     /* a bulk owns the store; set under db->write_mutex */

    /* First change not in an immutable or a table; 0: none. Set under write_mutex, zeroed under both mutexes; read after `visible`
     * (acquire) by who computes the WAL's floor: a change at or below visible has set it before visible was published. */
    _Atomic uint64_t first_sequence;

    /* guarded by db->write_mutex */
    vr_memtable *active;    /* a reference of its own; NULL: nothing written since the last turn-over */
    uint64_t wal_mark;      /* db->wal_appended when first_sequence was written */
    uint64_t keys_expected; /* of the next memtable */
    bool position_dirty;    /* the position changed since the last turn-over */

    /* guarded by db->mutex */
    vr_immutable *immutables; /* oldest first */
    size_t immutable_count, immutable_capacity;
    bool flushing, compacting;
    uint32_t handles;

    vr_mutex position_mutex; /* leaf; guards: */
    varve_buffer position;
    bool has_position;
} vr_store;

/* A handle of a store. */
struct varve_store {
    struct varve_db *db;
    vr_store *store;
};

/* A snapshot: a node of the database's list, rising by sequence. */
struct varve_snapshot {
    struct varve_db *db;
    uint64_t sequence;
    struct varve_snapshot *prev, *next; /* guarded by db->mutex */
};

/* A feed by name; exists while the manifest has it or is about to. */
typedef struct vr_feed {
    char *name;
    _Atomic uint64_t released; /* in memory */
    uint64_t persisted;        /* in the manifest; guarded by db->mutex */
    bool open;                 /* guarded by db->mutex */
    struct varve_feed *handle; /* guarded by db->mutex; NULL when not open */
} vr_feed;

typedef struct vr_counters {
    _Atomic uint64_t writes, write_bytes, flushes, flush_bytes, compactions, compaction_read_bytes, compaction_write_bytes,
        stall_us;
} vr_counters;

struct varve_db {
    /* constant after open */
    vr_env env;
    char *dir;
    varve_options options;
    vr_shape_options shape;
    uint8_t id[16];
    vr_budget budget;
    vr_epoch *epoch;
    vr_cache *cache;
    vr_version_env version_env;
    uint64_t recovered_records, recovered_bytes, recovery_us;

    _Atomic uint32_t refs;
    _Atomic bool closed;
    _Atomic uint32_t calls;   /* calls under way that need WAL or manifest: see vr_db_enter() */
    _Atomic uint64_t visible; /* newest readable sequence: release after the memtables have it, acquire by readers */
    _Atomic uint64_t next_file;
    _Atomic uint64_t debt; /* compaction debt of the worst store, for the throttle */
    _Atomic uint32_t feed_waiters;
    vr_counters counters;

    vr_mutex write_mutex; /* rank WRITE; guards: */
    vr_wal *wal;          /* the pointer is constant until close */
    uint64_t last_sequence;
    uint64_t wal_appended; /* bytes appended since open */
    uint64_t upkeep_at;    /* wal_appended at which the writer next looks after memory and WAL */
    uint64_t let_go;       /* times the turn was let go of in the middle: what was checked before may no longer hold */
    uint64_t owed_ns;      /* throttle not slept yet */
    vr_cond write_cond;    /* room has been made; with write_mutex */

    vr_mutex manifest_mutex; /* rank MANIFEST; guards: */
    vr_manifest *manifest;

    vr_mutex mutex; /* rank DB; guards: */
    vr_store **stores;
    size_t store_count, store_capacity;
    vr_feed **feeds;
    size_t feed_count, feed_capacity;
    struct varve_snapshot snapshots; /* list head */
    bool stopping, trim_due;
    uint32_t trim_waits;
    varve_error flush_error;  /* of the flusher's last round, for who waits for it; code VARVE_OK: none */
    varve_error upkeep_error; /* the same of compactions and of recycling the WAL, for which no writer waits */
    vr_cond work_cond;        /* there may be work for the background */
    vr_cond done_cond;        /* some background work is done */
    vr_cond feed_cond;        /* there are changes for a waiting feed */

    vr_mutex latch_mutex; /* leaf; guards latched, which is set once */
    varve_error latched;
    _Atomic bool has_latched;

    vr_file *lock;
    bool threads_started;
    vr_thread flusher, compactor;
};

/* --- open.c --- */

/* varve_open() in an environment of the caller's choice (file system, clock, allocator). Copies env. */
varve_status vr_db_open(const vr_env *env, const char *path, const varve_options *options, varve_db **db, varve_error *err);
void vr_db_ref(varve_db *db);

/* Makes path's own entry in its parent directory durable. */
varve_status vr_db_sync_parent(varve_db *db, const char *path, varve_error *err);
void vr_db_unref(varve_db *db);

/* --- options.c --- */
varve_status vr_options_check(const varve_options *given, varve_options *out, varve_error *err);
varve_status vr_store_options_check(const varve_store_options *given, varve_store_options *out, varve_error *err);

/* --- latch.c --- */

/* Stops writing for good: err says why. The first call counts. Returns err's code. */
varve_status vr_db_latch(varve_db *db, const varve_error *err);

/* VARVE_CLOSED, VARVE_READ_ONLY or VARVE_OK. */
varve_status vr_db_check_writable(varve_db *db, varve_error *err);
varve_status vr_db_check_open(const varve_db *db, varve_error *err);

/* Brackets a call that uses WAL or manifest outside write_mutex: varve_close() refuses later ones and waits for those inside.
 * VARVE_CLOSED: not entered. */
varve_status vr_db_enter(varve_db *db, varve_error *err);
void vr_db_leave(varve_db *db);
varve_status vr_store_check(const varve_store *handle, varve_error *err);

/* --- view.c --- */

/* A view of these parts, each of which it takes a reference of; NULL without memory. */
vr_view *vr_view_create(const vr_mem *mem, vr_memtable *active, const vr_immutable *immutables, size_t count, vr_version *version);

/* The same in two steps, the second of which cannot fail: an empty view with room for so many memtables, and its filling. */
vr_view *vr_view_reserve(const vr_mem *mem, size_t capacity);
void vr_view_fill(vr_view *view, vr_memtable *active, const vr_immutable *immutables, size_t count, vr_version *version);

void vr_view_ref(vr_view *view);
void vr_view_unref(vr_view *view);

/* Publishes view as the store's and retires the one before. db->mutex held. */
void vr_store_publish(vr_store *store, vr_view *view);

/* The store's view, with a reference, and optionally the newest readable sequence as of the same instant. */
vr_view *vr_store_acquire_view(vr_store *store, uint64_t *sequence);

/* --- store.c --- */
vr_store *vr_store_find(varve_db *db, uint32_t id); /* db->mutex held, or during open */
varve_status vr_store_create(varve_db *db, const vr_store_meta *meta, vr_store **store,
                             varve_error *err); /* adds it to db; during open, or mutex held */
void vr_store_free(vr_store *store);

/* --- write.c --- */

/* Makes the active memtable an immutable one and wakes the flusher. write_mutex held. Nothing to do when nothing is unflushed. */
varve_status vr_store_turn_over(vr_store *store, varve_error *err);

/* Puts one change that is in the WAL into the store's memtable or position, making a memtable if there is none. write_mutex held,
 * or during open. */
varve_status vr_store_apply(vr_store *store, uint64_t sequence, const vr_change *change, uint64_t batch_bytes, uint32_t batch_count,
                            varve_error *err);

/* Appends an encoded batch with write_mutex NOT held. */
varve_status vr_db_write(varve_db *db, varve_slice batch, const varve_write_options *options, varve_error *err);

/* Takes one sequence for tables that are written past the WAL (bulk), by writing the store's position as it is once more.
 * write_mutex NOT held. */
varve_status vr_store_take_sequence(vr_store *store, uint64_t *sequence, varve_error *err);

/* Turns over every store's memtable. */
varve_status vr_db_turn_over_all(varve_db *db, varve_error *err);

/* --- read.c --- */

/* A snapshot as of an older sequence, which something (a feed) must have kept. */
varve_status vr_snapshot_create_at(varve_db *db, uint64_t sequence, varve_snapshot **snapshot, varve_error *err);

/* --- install.c --- */

/* Makes edit durable and publishes what it means for store (may be NULL). flushed: immutables, from the oldest, that are in tables
 * now. Adds to the edit what else is due: next file, last sequence, feeds' released sequences, the oldest WAL segment needed; then
 * recycles WAL segments. manifest_mutex NOT held. */
varve_status vr_db_install(varve_db *db, vr_edit *edit, vr_store *store, size_t flushed, varve_error *err);

/* Removes the tables of an edit whose installation ended with status, unless it succeeded or may be durable all the same. */
void vr_db_undo_tables(const vr_job *job, const vr_edit *edit, varve_status status);

/* Adds to the edit what the feeds have released since the manifest was last told. db->mutex held. */
varve_status vr_db_add_feeds(varve_db *db, vr_edit *edit, varve_error *err);

/* Appends to the manifest. When that leaves it in doubt whether the edit is durable, writing stops: VARVE_IO or VARVE_READ_ONLY.
 * manifest_mutex held. */
varve_status vr_db_append_edit(varve_db *db, const vr_edit *edit, varve_error *err);

/* The sequence up to which everything is in tables and released by every feed, once `skip` oldest immutables of store are.
 * db->mutex held. */
uint64_t vr_db_wal_floor(varve_db *db, const vr_store *store, size_t skip);

/* --- background.c --- */
varve_status vr_background_start(varve_db *db, varve_error *err);
void vr_background_stop(varve_db *db);

/* Flushes the oldest immutables of the store; compacts what plan says. The caller has set flushing or compacting. */
varve_status vr_db_flush_store(varve_db *db, vr_store *store, varve_error *err);
varve_status vr_db_compact_store(varve_db *db, vr_store *store, bool all, bool *worked, varve_error *err);

/* Sequences that compaction must keep the view of: snapshots and feeds. Owned by the caller (vr_free). db->mutex held. */
varve_status vr_db_snapshots(varve_db *db, uint64_t **sequences, size_t *count, varve_error *err);

uint64_t vr_db_next_file(void *db);

/* --- dump.c --- */

/* varve_dump() in an environment of the caller's choice. */
varve_status vr_dump_file(const vr_env *env, const char *file, varve_line_fn visit, void *context, varve_error *err);

/* --- feed.c --- */
void vr_feed_wake(varve_db *db);                       /* changes were published */
void vr_feeds_detach(varve_db *db);                    /* close: readers let go of the WAL */
vr_feed *vr_feed_find(varve_db *db, const char *name); /* db->mutex held */
varve_status vr_feed_add(varve_db *db, const char *name, uint64_t released, vr_feed **feed,
                         varve_error *err); /* db->mutex held, or during open */

#endif
