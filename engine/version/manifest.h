/*
 * version/manifest.h - the manifest: an append-only file of edits with a committed length and a chained hash.
 *
 * The file begins with a header page that holds magic, version and two commit slots, written in turn after an edit has been synced:
 * generation, committed length, chain hash at that length, xxh3 of the slot. Each edit record carries the chain hash: xxh3 of its
 * bytes seeded with the record before it. A file shorter than its committed length, or whose chain does not fit, is
 * VARVE_CORRUPTION; whole records beyond it were written by a process that died before it noted them, and count.
 * doc/format-manifest.md is normative.
 *
 * The state is what all edits together say. Threads: state is guarded by the caller; append by one thread at a time (the caller's
 * mutex).
 */
#ifndef VR_VERSION_MANIFEST_H
#define VR_VERSION_MANIFEST_H

#include "os/env.h"
#include "version/edit.h"

typedef struct vr_manifest vr_manifest;

typedef struct vr_table_meta {
    uint32_t level;
    uint64_t number;
    vr_table_summary summary; /* owned */
} vr_table_meta;

typedef struct vr_store_meta {
    uint32_t id;
    char *name;
    varve_store_options options;
    uint64_t flushed_sequence;
    varve_buffer position;
    vr_table_meta *tables; /* any order */
    size_t table_count, table_capacity;
} vr_store_meta;

typedef struct vr_feed_meta {
    char *name;
    uint64_t released;
} vr_feed_meta;

typedef struct vr_manifest_state {
    uint8_t db_id[16];
    uint64_t next_file, last_sequence, wal_first;
    uint32_t next_store_id;
    bool clean;
    uint64_t clean_sequence;
    vr_store_meta *stores;
    size_t store_count, store_capacity;
    vr_feed_meta *feeds;
    size_t feed_count, feed_capacity;
} vr_manifest_state;

/* Creates the manifest of a new database: db_id random, next_file 1, durable when it returns. VARVE_EXISTS. */
varve_status vr_manifest_create(const vr_env *env, const char *dir, vr_manifest **manifest, varve_error *err);

/* Opens and replays it. VARVE_MISSING when there is none. read_only: changes nothing. */
varve_status vr_manifest_open(const vr_env *env, const char *dir, bool read_only, vr_manifest **manifest, varve_error *err);
void vr_manifest_close(vr_manifest *manifest);

const vr_manifest_state *vr_manifest_state_of(const vr_manifest *manifest);

/*
 * Makes the edit durable and applies it to the state. Fields count in their order: a table that moves is removed before it is
 * added. VARVE_IO: a write or sync failed. Whether the edit is durable is in doubt, so that no file it names may be removed; the
 * manifest is latched, VARVE_READ_ONLY from then on. After any other failure nothing has changed, on disk neither: VARVE_INTERNAL
 * for an edit that contradicts the state (adds a table twice, names an unknown store) or is out of bounds, VARVE_NO_SPACE, after
 * which a later append may succeed, VARVE_NOMEM. Rewrites the file to say the state anew when it has grown beyond both 1 MiB and
 * four times the state's own size (a new file, renamed into place).
 */
varve_status vr_manifest_append(vr_manifest *manifest, const vr_edit *edit, varve_error *err);

/* Whether it has latched. */
bool vr_manifest_stopped(const vr_manifest *manifest);

/* Writes a manifest that says the same as state (but: what changes is in extra, applied after it) into another directory: for
 * checkpoints. */
varve_status vr_manifest_write_copy(const vr_env *env, const vr_manifest_state *state, const vr_edit *extra, const char *dir,
                                    varve_error *err);

/* Inspection: one line for each record's fields. */
varve_status vr_manifest_dump(const vr_env *env, const char *path, varve_status (*visit)(void *context, const char *line),
                              void *context, varve_error *err);

/* Decodes a manifest file's bytes in memory; for fuzzing. */
varve_status vr_manifest_scan(const vr_mem *mem, varve_slice file, const char *name, varve_error *err);

#endif
