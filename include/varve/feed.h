/*
 * varve/feed.h - the change feed: a durable cursor over the WAL, in sequence order.
 *
 * A feed has a name. From its creation on, the database keeps every change after the feed's released sequence (up to
 * varve_options.wal_bytes_max), across restarts, until the consumer has released it or the feed is dropped; and
 * compaction keeps the values as of the released sequence, as it would for a snapshot. The changelog is one user of
 * it; change data capture of your own can be another.
 *
 * Copyright 2026 The Varve authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef VARVE_FEED_H
#define VARVE_FEED_H

#include <varve/varve.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct varve_feed varve_feed;

/* What a change did. */
typedef enum varve_change_kind {
    VARVE_CHANGE_PUT = 1,
    VARVE_CHANGE_DELETE = 2,
    VARVE_CHANGE_POSITION = 3 /* the store's position was set; value holds it, key is empty */
} varve_change_kind;

/* One change. Memory: key and value point into the feed's view of the WAL, valid until the feed moves past the batch. */
typedef struct varve_change {
    varve_change_kind kind;
    uint64_t sequence;
    uint32_t store_id;     /* see varve_store_id() */
    bool batch_end;        /* the last change of its batch */
    bool replica;          /* written with varve_write_options.replica */
    uint64_t timestamp_ms; /* of the batch */
    varve_slice key, value;
} varve_change;

/* The store's number, which a change carries; unique in its database for ever. */
VARVE_API uint32_t varve_store_id(const varve_store *store);

/*
 * Opens the feed of that name, creating it if need be with everything up to now released. Its first change is the one
 * after the released sequence. Threads: one at a time. One handle per name: VARVE_BUSY otherwise.
 */
VARVE_API varve_status varve_feed_open(varve_db *db, const char *name, varve_feed **feed, varve_error *err);

/* Closes the handle; the feed and what it retains stay. feed may be NULL. */
VARVE_API void varve_feed_close(varve_feed *feed);

/* Forgets the feed of that name. Returns: VARVE_MISSING when there is none, VARVE_BUSY while it is open. */
VARVE_API varve_status varve_feed_drop(varve_db *db, const char *name, varve_error *err);

/* The sequence up to which everything is released. */
VARVE_API uint64_t varve_feed_released(const varve_feed *feed);

/*
 * The next change. Blocks: up to timeout_ms for one to be written (0: not at all).
 * Returns: VARVE_OK, or VARVE_NOT_FOUND when there is none yet, or VARVE_CORRUPTION.
 */
VARVE_API varve_status varve_feed_next(varve_feed *feed, uint32_t timeout_ms, varve_change *change, varve_error *err);

/*
 * Moves to the change after sequence, which must not be below the released one.
 * Returns: VARVE_MISSING when it is no longer retained.
 */
VARVE_API varve_status varve_feed_seek(varve_feed *feed, uint64_t sequence, varve_error *err);

/*
 * Keeps the memory of changes from the current batch on valid until varve_feed_unpin(), so that they can be handed on
 * without copying; the pinned WAL segments stay mapped.
 */
VARVE_API void varve_feed_pin(varve_feed *feed);
VARVE_API void varve_feed_unpin(varve_feed *feed);

/* Everything up to sequence is dealt with: its WAL may be recycled once flushed. Going back has no effect. */
VARVE_API varve_status varve_feed_release(varve_feed *feed, uint64_t sequence, varve_error *err);

/*
 * A snapshot of all stores as of the released sequence: what a consumer has dealt with, and what its stores can be rolled back to.
 * Free it with varve_snapshot_free().
 */
VARVE_API varve_status varve_feed_snapshot(varve_feed *feed, varve_snapshot **snapshot, varve_error *err);

#ifdef __cplusplus
}
#endif

#endif
