/*
 * table/table.h - an open sorted table: point reads and cursors. Threads: any, side by side; close when no reader can be left.
 */
#ifndef VR_TABLE_TABLE_H
#define VR_TABLE_TABLE_H

#include <varve/varve.h>

#include "kv/cursor.h"
#include "table/cache.h"
#include "table/format.h"

typedef struct vr_table vr_table;

/* Opens the file; reads and checks footer, properties, index and filter (charged as VR_USE_INDEX). expected: what the manifest says
 * of it (table id, file size, entries); a mismatch is VARVE_CORRUPTION. NULL: not compared. */
varve_status vr_table_open(const vr_env *env, vr_budget *budget, vr_cache *cache, const char *path,
                           const vr_table_summary *expected, vr_table **table, varve_error *err);

/* Unlinks its blocks from the cache, closes the file. Blocks pinned by cursors live on. */
void vr_table_close(vr_table *table);

const vr_table_summary *vr_table_summary_of(const vr_table *table);

/* Asks the filter: false means the key is surely absent. True when the table has no filter. prefetch touches the line ahead of
 * time. */
void vr_table_filter_prefetch(const vr_table *table, uint64_t key_hash);
bool vr_table_may_contain(const vr_table *table, uint64_t key_hash);

/*
 * The newest version of key at or below sequence. Must be called inside the cache's epoch; *value is valid until the epoch is left.
 * (A block that is not cached is read inside the epoch: that delays reclamation, nothing else.) Does not ask the filter. Returns
 * VARVE_OK, VARVE_NOT_FOUND or an error.
 */
varve_status vr_table_get(vr_table *table, varve_slice key, uint64_t sequence, uint64_t *trailer, varve_slice *value,
                          varve_error *err);

typedef enum vr_table_access {
    VR_ACCESS_CACHED,    /* through the cache */
    VR_ACCESS_SEQUENTIAL /* for compaction, verify, bulk: reads ahead in large pieces into buffers of its own, leaves the cache
                            alone */
} vr_table_access;

/* A cursor. The table must stay open until it is closed (the caller holds a reference on it). */
varve_status vr_table_cursor(vr_table *table, vr_table_access access, vr_cursor **cursor, varve_error *err);

/* Reads and checks every frame. */
varve_status vr_table_verify(vr_table *table, varve_error *err);

/* Inspection: calls visit with readable lines about footer, properties, blocks and entries. */
varve_status vr_table_dump(const vr_env *env, const char *path, varve_status (*visit)(void *context, const char *line),
                           void *context, varve_error *err);

#endif
