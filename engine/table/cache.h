/*
 * table/cache.h - decompressed, verified blocks in memory, found without a lookup: each open table owns one atomic slot per block.
 *
 * A reader inside an epoch loads the slot and uses the block. The cache evicts with a CLOCK hand over the slots of all open
 * tables when the budget's total is above its limit: it empties the slot and retires the block into the epoch. Blocks have a
 * reference count only for iterators, which outlive epochs.
 *
 * Threads: any.
 */
#ifndef VR_TABLE_CACHE_H
#define VR_TABLE_CACHE_H

#include "os/env.h"
#include "os/epoch.h"

typedef struct vr_cache vr_cache;

typedef struct vr_cache_stats {
    uint64_t bytes, hits, misses, evictions;
} vr_cache_stats;

/* budget and epoch outlive the cache. */
varve_status vr_cache_create(const vr_env *env, vr_budget *budget, vr_epoch *epoch, vr_cache **cache, varve_error *err);
void vr_cache_free(vr_cache *cache); /* all tables are closed by then */

/* Evicts until the budget's total is at or below its limit, or nothing is left to evict. Called where memory has grown. */
void vr_cache_trim(vr_cache *cache);

void vr_cache_stats_get(const vr_cache *cache, vr_cache_stats *stats);
vr_epoch *vr_cache_epoch(vr_cache *cache);

#endif
