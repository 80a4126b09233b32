/*
 * wal/wal.h - the write-ahead log: numbered segments of one database, appended by one writer, synced by anyone, read by feeds.
 *
 * Segments <number>.wal have consecutive numbers. Each is preallocated, zero-written once in pieces of 64 KiB, mapped afresh when
 * (re)used, and recycled under a new number. A record holds a checksum, its length, its segment's number, and its first sequence,
 * so that a recycled segment's old bytes are told from new ones; sequences run on without a gap over all records of all segments.
 * A SYNC record says the place up to which the WAL has been synced, so that damage before it is never mistaken for a torn tail.
 * doc/format-wal.md is normative.
 *
 * Recovery takes the longest run of whole records from the first segment needed. Where it ends early, the rest of that segment and
 * all later segments are searched for SYNC records: one that vouches for a place beyond the end makes it VARVE_CORRUPTION (file,
 * offset); none makes it the torn tail of a power cut, which is dropped (the segments after it are removed) and said through
 * diagnostics.
 *
 * Threads: append by one thread at a time (the caller's write mutex); sync, release, stats, readers by any thread.
 */
#ifndef VR_WAL_WAL_H
#define VR_WAL_WAL_H

#include <varve/varve.h>

#include "kv/batch.h"
#include "os/env.h"

typedef struct vr_wal vr_wal;
typedef struct vr_wal_reader vr_wal_reader;

typedef struct vr_wal_options {
    varve_wal_mode mode;
    uint64_t segment_bytes;  /* multiple of 4096 */
    uint64_t first_segment;  /* the oldest segment the manifest still needs; 0 for a new database */
    uint64_t sequence_floor; /* everything up to it is in tables: records may be missing below, not above */
    bool clean;              /* the manifest holds a clean-shutdown mark: the WAL must end exactly at */
    uint64_t clean_sequence; /* this sequence, else VARVE_CORRUPTION */
    uint64_t
        known_sequence; /* the manifest knows that this much was synced: the WAL must not end before it, else VARVE_CORRUPTION */
    bool read_only;     /* inspect only: change nothing on disk */
} vr_wal_options;

/* Called for each batch record in order, with its payload (an encoded batch, header checked, changes not). */
typedef varve_status (*vr_wal_replay_fn)(void *context, uint64_t first_sequence, varve_slice batch, varve_error *err);

/*
 * Opens the WAL in dir and replays it. Afterwards it is ready to append (in a new segment, so that what was replayed stays as it
 * is). If none of dir's segments is there and first_segment is 0, it starts with segment 1.
 */
varve_status vr_wal_open(const vr_env *env, vr_budget *budget, const char *dir, const vr_wal_options *options,
                         vr_wal_replay_fn replay, void *context, vr_wal **wal, varve_error *err);

/* Syncs nothing; unmaps and closes. */
void vr_wal_close(vr_wal *wal);

/*
 * Appends one batch record. parts: the payload in pieces, written one after the other (header and changes of a batch).
 * first_sequence must be the last one + 1 (checked); count is the number of sequences it takes. When it returns, the record
 * survives the death of the process. On failure nothing is appended (VARVE_NO_SPACE, VARVE_IO, VARVE_NOMEM). A record beyond the
 * segment size gets a segment of its own size.
 */
varve_status vr_wal_append(vr_wal *wal, uint64_t first_sequence, uint32_t count, const varve_slice *parts, size_t part_count,
                           varve_error *err);

/* Makes everything appended before the call durable: one fdatasync for all who wait (group commit), more when segments were
 * crossed. An error latches: every later sync and append fails with VARVE_READ_ONLY and the first error's message. */
varve_status vr_wal_sync(vr_wal *wal, varve_error *err);

/*
 * Appends the SYNC record that a sync has made due, if there is room: it vouches for what was synced. Without this call the next
 * append does so, and close; with it, what was synced is vouched for though the process dies before either. The appending side's,
 * as vr_wal_append().
 */
void vr_wal_mark_synced(vr_wal *wal);

/* Whether an error has latched it. */
bool vr_wal_stopped(const vr_wal *wal);

uint64_t vr_wal_last_sequence(const vr_wal *wal);   /* appended; acquire */
uint64_t vr_wal_synced_sequence(const vr_wal *wal); /* durable */

/*
 * Segments whose records are all at or below sequence may be recycled, once the manifest durably says so. Returns through
 * *first_needed the number the manifest must hold before vr_wal_release() with the same sequence is called: the oldest segment that
 * stays.
 */
void vr_wal_first_needed(vr_wal *wal, uint64_t sequence, uint64_t *first_needed);
varve_status vr_wal_release(vr_wal *wal, uint64_t first_needed, varve_error *err);

/* Prepares the next segment ahead of the writer if that is due (background thread). Returns whether it did something. */
bool vr_wal_prepare(vr_wal *wal);

typedef struct vr_wal_stats {
    uint64_t segments, bytes, syncs; /* bytes: on disk, spares included */
} vr_wal_stats;
void vr_wal_stats_get(vr_wal *wal, vr_wal_stats *stats);

/* Hard-links or copies what a checkpoint needs: the segments from first_needed on, up to what is appended now, into target. */
varve_status vr_wal_copy(vr_wal *wal, uint64_t first_needed, const char *target, varve_error *err);

/* --- Readers: a cursor over the records, live. One thread at a time each. --- */

/* Opens before the record that holds sequence + 1. VARVE_MISSING when that is no longer there. */
varve_status vr_wal_reader_open(vr_wal *wal, uint64_t sequence, vr_wal_reader **reader, varve_error *err);
void vr_wal_reader_close(vr_wal_reader *reader);

/* The next batch record. The payload points into a mapped segment and stays valid until the reader moves to another segment, or,
 * while pinned, until it is unpinned. VARVE_NOT_FOUND when there is none yet. */
varve_status vr_wal_reader_next(vr_wal_reader *reader, uint64_t *first_sequence, varve_slice *batch, varve_error *err);
void vr_wal_reader_pin(vr_wal_reader *reader);
void vr_wal_reader_unpin(vr_wal_reader *reader);

/* --- Inspection, without a WAL: one segment file, record by record. --- */
typedef struct vr_wal_record_info {
    uint64_t offset, first_sequence;
    const char *type; /* "batch", "sync", "seal" */
    varve_slice payload;
} vr_wal_record_info;
typedef bool (*vr_wal_record_fn)(void *context, const vr_wal_record_info *record);
varve_status vr_wal_inspect(const vr_env *env, const char *path, vr_wal_record_fn visit, void *context, varve_error *err);

/* Decodes segment bytes in memory; for fuzzing and for vr_wal_inspect(). name is for messages. */
varve_status vr_wal_scan(varve_slice segment, const char *name, vr_wal_record_fn visit, void *context, varve_error *err);

#endif
