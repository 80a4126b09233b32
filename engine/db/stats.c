/*
 * db/stats.c - statistics, and verification of everything on disk.
 */
#include "base/bytes.h"
#include "base/error.h"
#include "db/db.h"

static uint64_t load(const _Atomic uint64_t *counter) {
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static void add_shape(varve_db *db, varve_stats *stats) {
    vr_mutex_lock(&db->mutex);
    for (size_t i = 0; i < db->store_count; i++) {
        const vr_store *store = db->stores[i];
        if (atomic_load_explicit(&store->dropped, memory_order_relaxed)) continue;
        stats->stores++;
        const vr_version *version = atomic_load_explicit(&store->view, memory_order_relaxed)->version;
        for (size_t level = 0; level < VR_LEVELS; level++) {
            stats->level_tables[level] += version->levels[level].count;
            stats->level_bytes[level] += version->levels[level].bytes;
            stats->tables += version->levels[level].count;
            stats->table_bytes += version->levels[level].bytes;
        }
    }
    vr_mutex_unlock(&db->mutex);
}

static varve_status stats_get_entered(varve_db *db, varve_stats *out, varve_error *err) {
    varve_status status = vr_db_check_open(db, err);
    if (status != VARVE_OK) return status;
    if (out->size < sizeof(size_t) || out->size > sizeof *out) {
        return vr_error_set(err, VARVE_INVALID, "varve_stats.size: %zu given, at most %zu allowed", out->size, sizeof *out);
    }
    varve_stats stats = {.size = out->size};
    vr_wal_stats wal = {0};
    vr_cache_stats cache = {0};
    vr_wal_stats_get(db->wal, &wal);
    vr_cache_stats_get(db->cache, &cache);
    stats.sequence = varve_sequence(db);
    stats.synced_sequence = vr_wal_synced_sequence(db->wal);
    stats.writes = load(&db->counters.writes);
    stats.write_bytes = load(&db->counters.write_bytes);
    stats.wal_bytes = wal.bytes;
    stats.wal_segments = wal.segments;
    stats.wal_syncs = wal.syncs;
    stats.memtable_bytes = vr_budget_held(&db->budget, VR_USE_MEMTABLE);
    stats.cache_bytes = vr_budget_held(&db->budget, VR_USE_CACHE);
    stats.index_bytes = vr_budget_held(&db->budget, VR_USE_INDEX);
    stats.memory_bytes = vr_budget_total(&db->budget);
    stats.memory_budget = db->options.memory;
    stats.cache_hits = cache.hits;
    stats.cache_misses = cache.misses;
    stats.cache_evictions = cache.evictions;
    stats.flushes = load(&db->counters.flushes);
    stats.flush_bytes = load(&db->counters.flush_bytes);
    stats.compactions = load(&db->counters.compactions);
    stats.compaction_read_bytes = load(&db->counters.compaction_read_bytes);
    stats.compaction_write_bytes = load(&db->counters.compaction_write_bytes);
    stats.stall_us = load(&db->counters.stall_us);
    stats.recovered_records = db->recovered_records;
    stats.recovered_bytes = db->recovered_bytes;
    stats.recovery_us = db->recovery_us;
    add_shape(db, &stats);
    memcpy(out, &stats, out->size);
    return VARVE_OK;
}

varve_status varve_stats_get(varve_db *db, varve_stats *out, varve_error *err) {
    varve_db *entered = db;
    varve_status status = vr_db_enter(entered, err);
    if (status != VARVE_OK) return status;
    status = stats_get_entered(db, out, err);
    vr_db_leave(entered);
    return status;
}

static varve_status verify_version(const vr_version *version, varve_error *err) {
    varve_status status = VARVE_OK;
    for (size_t level = 0; level < VR_LEVELS && status == VARVE_OK; level++) {
        for (size_t i = 0; i < version->levels[level].count && status == VARVE_OK; i++) {
            vr_table *table = NULL;
            status = vr_table_file_open(version->levels[level].files[i], &table, err);
            if (status == VARVE_OK) status = vr_table_verify(table, err);
        }
    }
    return status;
}

static bool ignore_line(void *context, const char *line) {
    (void)context;
    (void)line;
    return true;
}

static varve_status verify_entered(varve_db *db, varve_error *err) {
    varve_status status = vr_db_check_open(db, err);
    for (size_t i = 0; status == VARVE_OK; i++) {
        vr_mutex_lock(&db->mutex);
        vr_version *version = NULL;
        if (i < db->store_count) {
            version = atomic_load_explicit(&db->stores[i]->view, memory_order_relaxed)->version;
            vr_version_ref(version);
        }
        vr_mutex_unlock(&db->mutex);
        if (!version) break;
        status = verify_version(version, err);
        vr_version_unref(version);
    }
    if (status != VARVE_OK) return status;
    char path[VR_PATH_BYTES_MAX];
    if (!vr_path_join(path, db->dir, "MANIFEST")) return vr_error_set(err, VARVE_INVALID, "path %s: it is too long", db->dir);
    vr_mutex_lock(&db->manifest_mutex); /* nobody appends meanwhile */
    status = vr_dump_file(&db->env, path, ignore_line, NULL, err);
    vr_mutex_unlock(&db->manifest_mutex);
    return status;
}

varve_status varve_verify(varve_db *db, varve_error *err) {
    varve_db *entered = db;
    varve_status status = vr_db_enter(entered, err);
    if (status != VARVE_OK) return status;
    status = verify_entered(db, err);
    vr_db_leave(entered);
    return status;
}
