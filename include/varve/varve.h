/*
 * varve/varve.h - the engine: start here.
 *
 * A database is one directory with one write-ahead log (WAL), one manifest, one block cache, one memory budget and
 * one lock. It holds named stores: each an ordered map from key bytes to value bytes, ordered by memcmp. A batch is
 * atomic across the stores of a database. Writes go to the WAL and survive the death of the process when the call
 * returns; they survive power loss once they are synced (VARVE_SYNC, or any later sync).
 *
 *     varve_db *db; varve_store *users; varve_error err;
 *     varve_options opt = {.size = sizeof opt, .create = true};
 *     if (varve_open("state", &opt, &db, &err) != VARVE_OK) fail(err.message);
 *     if (varve_store_open(db, "users", NULL, &users, &err) != VARVE_OK) fail(err.message);
 *     varve_put(users, varve_str("ada"), varve_str("1815"), &err);
 *     varve_buffer value = {0};
 *     if (varve_get(users, varve_str("ada"), &value, &err) == VARVE_OK) printf("%.*s\n", (int)value.size, value.data);
 *     varve_buffer_free(&value);
 *     varve_store_close(users);
 *     varve_close(db, &err);
 *
 * Conventions. Option structs begin with their size (so that they can grow) and zero means default. Every function
 * that can fail takes a varve_error, which may be NULL. Unless a declaration says otherwise: any thread may call it
 * at any time on any handle that has not been closed; it does not block beyond the disk; slices passed in are read
 * during the call only; outputs are written only on success. There is no global state. A handle must not be used
 * after its own close; after varve_close() the stores, iterators, snapshots and feeds of that database answer
 * VARVE_CLOSED until they are closed themselves. After fork() the child must not use its parent's handles.
 *
 * Copyright 2026 The Varve authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef VARVE_VARVE_H
#define VARVE_VARVE_H

#include <varve/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct varve_db varve_db;
typedef struct varve_store varve_store;
typedef struct varve_batch varve_batch;
typedef struct varve_snapshot varve_snapshot;
typedef struct varve_iterator varve_iterator;
typedef struct varve_bulk varve_bulk;

/* --- Open and close ------------------------------------------------------------------------------------------- */

/* How the WAL is written. */
typedef enum varve_wal_mode {
    VARVE_WAL_DEFAULT = 0, /* VARVE_WAL_MAPPED */
    VARVE_WAL_MAPPED = 1,  /* stores into a mapped, preallocated segment: no system call for a write */
    VARVE_WAL_PWRITE = 2   /* one pwrite() per write: for file systems on which mapping hurts (network, copy-on-write) */
} varve_wal_mode;

/* Called with one line of diagnostics (no newline). Threads: any, background threads included; must not call Varve. */
typedef void (*varve_diag_fn)(void *context, const char *line);

/* Options of a database. */
typedef struct varve_options {
    size_t size;          /* sizeof(varve_options) */
    bool create;          /* create the database where there is none (default: VARVE_MISSING) */
    bool error_if_exists; /* VARVE_EXISTS where there is one already */
    varve_wal_mode wal_mode;
    uint64_t memory;            /* bytes for everything the engine holds: memtables, cache, indexes, filters, mapped WAL.
                                   A hard budget: 32 MiB to 1 TiB, default 256 MiB */
    uint64_t memtable_bytes;    /* size at which a store's memtable is flushed: 64 KiB to memory / 4, default memory / 6 */
    uint64_t wal_segment_bytes; /* size of a WAL segment: 64 KiB to 1 GiB, default 16 MiB */
    uint64_t wal_bytes_max;     /* bound on the WAL on disk, what a feed retains included: at least 4 segments, default 8 GiB.
                                   At the bound writes wait for the feed's consumer for up to wal_wait_ms, then VARVE_NO_SPACE */
    uint32_t wal_wait_ms;       /* default 10000 */
    varve_diag_fn diag;         /* receives diagnostics; default: none are given */
    void *diag_context;
} varve_options;

/*
 * Opens the database in directory path (created with mode 0700 if it is to be).
 * Recovers: replays the WAL since the last flush. Recovering twice, or crashing in recovery, changes nothing.
 * Blocks: on the replay, under a second per 256 MiB of WAL on the machine of the README.
 * Returns: VARVE_BUSY when another process, or another handle of this one, has it open; VARVE_CORRUPTION with file and
 * offset when it is damaged: nothing is then changed on disk.
 */
VARVE_API varve_status varve_open(const char *path, const varve_options *options, varve_db **db, varve_error *err);

/*
 * Syncs the WAL, stops the background work and closes. db is released in any case and must not be used again.
 * Memory: what other handles of the database still need stays until they are closed; they answer VARVE_CLOSED.
 * Returns: the first error that kept something acknowledged from being synced, or VARVE_OK. db may be NULL.
 */
VARVE_API varve_status varve_close(varve_db *db, varve_error *err);

/* Options of a store. Those of an existing store are those it was created with; others are refused with VARVE_INVALID. */
typedef struct varve_store_options {
    size_t size;               /* sizeof(varve_store_options) */
    bool must_exist;           /* VARVE_MISSING instead of creating it */
    uint32_t block_bytes;      /* target size of a table's block: 1 KiB to 1 MiB, default 4096 */
    int32_t compression_level; /* zstd level below the young tables: -7 to 19, default -1; VARVE_COMPRESSION_NONE for none */
    uint32_t filter_bits;      /* filter bits a key: 4 to 20, default 10; VARVE_FILTER_NONE for none */
} varve_store_options;
#define VARVE_COMPRESSION_NONE 100
#define VARVE_FILTER_NONE 100u

/*
 * Opens the store of that name, creating it if need be. Opening it again gives another handle of the same store.
 * Blocks: creating one syncs the manifest. options may be NULL.
 */
VARVE_API varve_status varve_store_open(varve_db *db, const char *name, const varve_store_options *options, varve_store **store,
                                        varve_error *err);

/* Closes this handle of the store; its data stays. store may be NULL. */
VARVE_API void varve_store_close(varve_store *store);

/* Deletes the store and its data: durable when it returns. Other handles of it then answer VARVE_MISSING. */
VARVE_API varve_status varve_store_drop(varve_db *db, const char *name, varve_error *err);

/* Called with each store's name; returns false to stop. */
typedef bool (*varve_store_fn)(void *context, const char *name);
VARVE_API varve_status varve_store_list(varve_db *db, varve_store_fn visit, void *context, varve_error *err);

/* The database a store belongs to, and its name. Memory: valid until the store is closed. */
VARVE_API varve_db *varve_store_db(varve_store *store);
VARVE_API const char *varve_store_name(const varve_store *store);

/* The 16 bytes that name this database and no other, made when it was created. */
VARVE_API void varve_db_id(const varve_db *db, uint8_t id[16]);

/* --- Write ---------------------------------------------------------------------------------------------------- */

/* What a write has survived when the call returns. */
typedef enum varve_durability {
    VARVE_WAL = 0, /* the death of the process (default) */
    VARVE_SYNC = 1 /* loss of power: fdatasync, shared by all who wait for one */
} varve_durability;

/* Writes one pair, replacing the key's older value. Durability: VARVE_WAL; see varve_sync() and varve_write(). */
VARVE_API varve_status varve_put(varve_store *store, varve_slice key, varve_slice value, varve_error *err);

/* Deletes the key if it is there; it is no error if it is not. */
VARVE_API varve_status varve_delete(varve_store *store, varve_slice key, varve_error *err);

/*
 * A batch collects changes to any stores of one database, to be applied by varve_write() all or none, in order.
 * Threads: one at a time. Keys and values are copied into it.
 */
VARVE_API varve_status varve_batch_create(varve_batch **batch, varve_error *err);
VARVE_API void varve_batch_free(varve_batch *batch);  /* batch may be NULL */
VARVE_API void varve_batch_clear(varve_batch *batch); /* empties it, keeping its memory */
VARVE_API uint32_t varve_batch_count(const varve_batch *batch);
VARVE_API size_t varve_batch_bytes(const varve_batch *batch); /* encoded size */
VARVE_API varve_status varve_batch_put(varve_batch *batch, varve_store *store, varve_slice key, varve_slice value,
                                       varve_error *err);
VARVE_API varve_status varve_batch_delete(varve_batch *batch, varve_store *store, varve_slice key, varve_error *err);

/*
 * Sets the store's position: up to VARVE_POSITION_BYTES_MAX bytes of the caller's own (source offsets, say) that become
 * durable in the same instant as the rest of the batch. A store whose changelog Varve keeps has its position set by it.
 */
VARVE_API varve_status varve_batch_position(varve_batch *batch, varve_store *store, varve_slice position, varve_error *err);

/* How a batch is written. */
typedef struct varve_write_options {
    size_t size; /* sizeof(varve_write_options) */
    varve_durability durability;
    bool replica;          /* the batch came from the changelog: a feed tells so, and the changelog does not ship it again */
    uint64_t timestamp_ms; /* wall clock of the write in ms since 1970, default: now */
    uint64_t *sequence;    /* receives the sequence of the batch's last change, if not NULL */
} varve_write_options;

/*
 * Applies the batch atomically. The batch stays as it was and may be written again. options may be NULL.
 * Partial effect on failure: none, except VARVE_IO or VARVE_READ_ONLY from a sync: the batch may or may not survive, and the
 * database stops writing (VARVE_READ_ONLY from then on) until it is opened again.
 */
VARVE_API varve_status varve_write(varve_db *db, const varve_batch *batch, const varve_write_options *options, varve_error *err);

/* Makes every write that returned before this call durable against power loss. Blocks: one fdatasync at most two. */
VARVE_API varve_status varve_sync(varve_db *db, varve_error *err);

/* The sequence of the newest change, 0 in a new database. Each change has the next one. */
VARVE_API uint64_t varve_sequence(varve_db *db);

/* --- Read ----------------------------------------------------------------------------------------------------- */

/* Copies the key's value into the buffer, which grows as needed. Returns: VARVE_OK or VARVE_NOT_FOUND. */
VARVE_API varve_status varve_get(varve_store *store, varve_slice key, varve_buffer *value, varve_error *err);

/* The same as of a snapshot; snapshot may be NULL for now. */
VARVE_API varve_status varve_get_at(varve_store *store, const varve_snapshot *snapshot, varve_slice key, varve_buffer *value,
                                    varve_error *err);

/* Copies the store's position. Returns: VARVE_OK or VARVE_NOT_FOUND when none was ever set. */
VARVE_API varve_status varve_store_position(varve_store *store, varve_buffer *position, varve_error *err);

/* A consistent view of all stores as of now. It keeps what it sees from being dropped by compaction until it is freed. */
VARVE_API varve_status varve_snapshot_create(varve_db *db, varve_snapshot **snapshot, varve_error *err);
VARVE_API void varve_snapshot_free(varve_snapshot *snapshot); /* may be NULL */
VARVE_API uint64_t varve_snapshot_sequence(const varve_snapshot *snapshot);

/* Which keys an iterator visits. All zero: every key of the store as of now. */
typedef struct varve_range {
    varve_slice from;               /* first key, inclusive; data NULL: no bound */
    varve_slice to;                 /* end, exclusive; data NULL: no bound */
    varve_slice prefix;             /* only keys that begin with it; combines with from and to */
    const varve_snapshot *snapshot; /* as of then; must outlive the iterator's creation only. NULL: as of now */
} varve_range;

/*
 * An iterator over a consistent view of the range, in key order, either way. It starts before the first key (and after
 * the last): next() goes to the first, prev() to the last. from > to is an empty range, no error. range may be NULL.
 * Threads: one at a time. Memory: pins what it reads from; do not keep it for long.
 */
VARVE_API varve_status varve_iterator_open(varve_store *store, const varve_range *range, varve_iterator **it, varve_error *err);
VARVE_API void varve_iterator_close(varve_iterator *it); /* may be NULL */

/*
 * Move. Returns: VARVE_OK when there is an entry, VARVE_NOT_FOUND past either end (moving on in the other direction
 * comes back to the entry at that end), or an error, which ends the iteration: see varve_iterator_error().
 */
VARVE_API varve_status varve_iterator_next(varve_iterator *it);
VARVE_API varve_status varve_iterator_prev(varve_iterator *it);
VARVE_API varve_status varve_iterator_seek(varve_iterator *it, varve_slice key);      /* first key >= key */
VARVE_API varve_status varve_iterator_seek_prev(varve_iterator *it, varve_slice key); /* last key <= key */

/* The entry. Memory: the iterator's, valid until it moves or closes. Both are {NULL, 0} when there is none. */
VARVE_API varve_slice varve_iterator_key(const varve_iterator *it);
VARVE_API varve_slice varve_iterator_value(const varve_iterator *it);

/* The error that ended the iteration; code VARVE_OK when none did. Memory: the iterator's. */
VARVE_API const varve_error *varve_iterator_error(const varve_iterator *it);

/* --- Upkeep --------------------------------------------------------------------------------------------------- */

/* Writes the memtables of all stores to tables and waits for it. */
VARVE_API varve_status varve_flush(varve_db *db, varve_error *err);

/* Flushes the store and merges all its tables into one sorted run. Blocks: until it is done. */
VARVE_API varve_status varve_compact(varve_store *store, varve_error *err);

/* Waits until no background flush or compaction is due. Returns: VARVE_TIMEOUT when timeout_ms have passed. */
VARVE_API varve_status varve_wait_idle(varve_db *db, uint32_t timeout_ms, varve_error *err);

/*
 * Makes a copy of the database, as of now, in the new directory target: hard links to tables where the file system
 * allows, copies otherwise. The copy is a database with the same id. Durable when it returns. On failure target is removed.
 */
VARVE_API varve_status varve_checkpoint(varve_db *db, const char *target, varve_error *err);

/* Reads every block of every table and the manifest and checks them. Returns: VARVE_CORRUPTION with the first damage. */
VARVE_API varve_status varve_verify(varve_db *db, varve_error *err);

/* Statistics of a database, since it was opened where they count. */
typedef struct varve_stats {
    size_t size; /* sizeof(varve_stats), set by the caller */
    uint64_t sequence, synced_sequence;
    uint64_t writes, write_bytes;                                                   /* batches, encoded bytes */
    uint64_t wal_bytes, wal_segments, wal_syncs;                                    /* on disk now; fdatasyncs */
    uint64_t memtable_bytes, cache_bytes, index_bytes, memory_bytes, memory_budget; /* held now; memory_bytes is their sum */
    uint64_t cache_hits, cache_misses, cache_evictions;
    uint64_t flushes, flush_bytes, compactions, compaction_read_bytes, compaction_write_bytes;
    uint64_t stall_us; /* time writers waited for background work */
    uint64_t tables, table_bytes, stores;
    uint64_t recovered_records, recovered_bytes, recovery_us; /* of the open that made this handle */
    uint64_t level_tables[8], level_bytes[8];                 /* summed over the stores */
} varve_stats;

/* Fills what the caller's size has room for: counters since the open, sizes as of now, not all of the same instant. */
VARVE_API varve_status varve_stats_get(varve_db *db, varve_stats *stats, varve_error *err);

/* --- Bulk ----------------------------------------------------------------------------------------------------- */

/*
 * Replaces an EMPTY store's content by records given in any order, of which the last one of a key counts: sorted in
 * memory, written as tables, without WAL and memtable. Nothing is visible, and nothing survives a crash, until finish.
 * Threads: one at a time; others must not write to the store meanwhile (they are refused with VARVE_BUSY).
 */
VARVE_API varve_status varve_bulk_begin(varve_store *store, varve_bulk **bulk, varve_error *err);

/* Adds a record; value NULL is a delete of what was added before. Both are copied. Blocks: while both buffers are full. */
VARVE_API varve_status varve_bulk_add(varve_bulk *bulk, varve_slice key, const varve_slice *value, varve_error *err);

/* Installs what was added, durably, together with the store's position (may be empty: none). Releases bulk in any case. */
VARVE_API varve_status varve_bulk_finish(varve_bulk *bulk, varve_slice position, varve_error *err);

/* Gives it up; the store stays empty. bulk may be NULL. */
VARVE_API void varve_bulk_abort(varve_bulk *bulk);

/* --- Look inside ---------------------------------------------------------------------------------------------- */

/* Called with one line of text (no newline); returns false to stop. */
typedef bool (*varve_line_fn)(void *context, const char *line);

/*
 * Describes a WAL segment, table or manifest in readable lines, record by record. It needs no database and no lock.
 * Returns: VARVE_CORRUPTION at the first damage, after the lines of what precedes it.
 */
VARVE_API varve_status varve_dump(const char *file, varve_line_fn visit, void *context, varve_error *err);

#ifdef __cplusplus
}
#endif

#endif
