/*
 * varve/changelog.h - a store's changelog: a partition of a compacted Kafka topic that holds every change of the store.
 *
 * One record per change: key = key bytes, value = value bytes, delete = null value; any Kafka client can read it. The
 * changes leave in groups, each a Kafka transaction of whole batches, out of the WAL, in its order, and only what has
 * been fsynced. The last record of a group carries a header "varve" that says where in the writer's history it stands.
 * Opening a changelog fences whoever wrote to it before, brings the store to the end of it, and starts to ship.
 *
 * Copyright 2026 The Varve authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef VARVE_CHANGELOG_H
#define VARVE_CHANGELOG_H

#include <varve/varve.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct varve_changelog varve_changelog;

/* A setting of librdkafka's own, passed through. One that Varve must own is refused by name with VARVE_INVALID. */
typedef struct varve_kafka_setting {
    const char *name;
    const char *value;
} varve_kafka_setting;

/* How far a restore is. */
typedef struct varve_restore_progress {
    uint64_t records, bytes;           /* applied so far: records, key and value bytes */
    int64_t offset, end_offset;        /* next offset, and the end of log captured at the start */
    int64_t start_offset;              /* where this restore began */
    uint64_t elapsed_ms, remaining_ms; /* so far; estimated from the rate, UINT64_MAX before there is one */
} varve_restore_progress;

/* Called about five times a second during a restore and once at its end; returns false to cancel it (VARVE_CANCELLED). */
typedef bool (*varve_restore_fn)(void *context, const varve_restore_progress *progress);

/* How a store is bound to its changelog. Zero means default; brokers and topic are required. The strings are copied by the open. */
typedef struct varve_changelog_options {
    size_t size;                  /* sizeof(varve_changelog_options) */
    const char *brokers;          /* "host:port,..."; required */
    const char *topic;            /* required */
    int32_t partition;            /* default 0 */
    const char *transactional_id; /* default "varve-<topic>-<partition>": the fence; all who may own this partition share it */
    bool must_exist;              /* VARVE_MISSING instead of creating the topic */
    int32_t partitions;           /* of a topic to be created: default partition + 1; of an existing one: checked if not 0 */
    int32_t replication;          /* of a topic to be created: default the broker's; of an existing one: checked if not 0 */
    uint32_t commit_interval_ms;  /* how long changes are gathered for one transaction: default 100 */
    uint64_t group_bytes_max;     /* and how many bytes at most: default 16 MiB */
    uint32_t timeout_ms;          /* for one request to Kafka while opening: default 30000 */
    const varve_kafka_setting *settings;
    size_t settings_count;
    varve_restore_fn progress; /* of the restore while opening */
    void *progress_context;
    varve_diag_fn diag;
    void *diag_context;
} varve_changelog_options;

/*
 * Binds the store to its changelog and starts to ship. In order: creates or checks the topic; fences the writer before;
 * reads the log's tail; restores what the log has more (all of it into an empty store); ships what the store has more.
 * A store that was fenced off and has changes that never reached the log rolls exactly those back, and reports them.
 * Blocks: until the store is at the end of log captured at the start.
 * Threads: the store must not be written to until it returns.
 * Returns: VARVE_KAFKA (retriable) when no broker answers; VARVE_DIVERGED when store and log are not of one history or the
 * store was away for longer than tombstones are kept: nothing is then changed; VARVE_INVALID for a topic with the wrong settings.
 */
VARVE_API varve_status varve_changelog_open(varve_store *store, const varve_changelog_options *options, varve_changelog **changelog,
                                            varve_error *err);

/* Waits until every change that was written before the call is acknowledged by Kafka. Returns: VARVE_TIMEOUT, VARVE_FENCED, ... */
VARVE_API varve_status varve_changelog_flush(varve_changelog *changelog, uint32_t timeout_ms, varve_error *err);

/*
 * Stops shipping and releases the handle in any case. What is not acknowledged stays in the WAL and is shipped after the
 * next open. Blocks: for the transaction under way. changelog may be NULL. Close it before its store.
 */
VARVE_API varve_status varve_changelog_close(varve_changelog *changelog, varve_error *err);

/* The state of a changelog. */
typedef struct varve_changelog_stats {
    size_t size;                                             /* sizeof(varve_changelog_stats), set by the caller */
    uint64_t sequence, acknowledged_sequence;                /* newest change of the database; newest that Kafka has */
    uint64_t shipped_records, shipped_bytes, shipped_groups; /* since open */
    uint64_t restored_records, restored_bytes, restore_ms;   /* by the open */
    uint64_t rolled_back; /* changes undone by the open because another writer had taken over before they were shipped */
    uint64_t reshipped;   /* changes that a former process had written and not shipped */
    uint32_t epoch;       /* of this writer */
    int64_t next_offset;  /* of the partition, after the newest acknowledged record */
    varve_status state;   /* VARVE_OK; VARVE_KAFKA while Kafka cannot be reached; VARVE_FENCED or another failure for good */
    char message[500];    /* of that state */
} varve_changelog_stats;

/* Fills what the caller's size has room for. Threads: any. Blocks: no. */
VARVE_API varve_status varve_changelog_stats_get(varve_changelog *changelog, varve_changelog_stats *stats, varve_error *err);

/*
 * Restores the store from the topic to the end of log captured at the start, without fencing and without shipping: all of
 * it when the store is empty, else what it is behind. Interrupted, it starts again or goes on, and never shows half.
 */
VARVE_API varve_status varve_changelog_restore(varve_store *store, const varve_changelog_options *options,
                                               varve_restore_progress *result, varve_error *err);

/* A key that is not the same in store and changelog. NULL: absent there. */
typedef struct varve_difference {
    varve_slice key;
    const varve_slice *store_value;
    const varve_slice *changelog_value;
} varve_difference;

/* Called with each difference in key order; returns false to stop. */
typedef bool (*varve_difference_fn)(void *context, const varve_difference *difference);

/* What a comparison found. */
typedef struct varve_verify_result {
    uint64_t entries;                  /* live keys compared */
    uint64_t differences;              /* keys that differ */
    uint64_t log_records;              /* read from the topic */
    uint64_t store_digest, log_digest; /* order-independent digests of all live pairs; equal when nothing differs */
} varve_verify_result;

/*
 * Compares the store with its changelog, entry by entry, at the end of log captured at the start; rebuilds the topic's
 * state in the directory scratch (created, and removed again), never in memory alone. visit may be NULL.
 * Returns: VARVE_OK when they are equal, VARVE_NOT_FOUND when they differ.
 */
VARVE_API varve_status varve_changelog_verify(varve_store *store, const varve_changelog_options *options, const char *scratch,
                                              varve_difference_fn visit, void *context, varve_verify_result *result,
                                              varve_error *err);

#ifdef __cplusplus
}
#endif

#endif
