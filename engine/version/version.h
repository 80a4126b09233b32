/*
 * version/version.h - an immutable set of tables of one store, in levels; and the table files it shares with other versions.
 *
 * A table file is opened when it is first read, and closed (and, once obsolete, deleted) when the last version or cursor lets go of
 * it. Threads: versions are immutable; reference counts are atomic; opening is guarded by the file's own mutex.
 */
#ifndef VR_VERSION_VERSION_H
#define VR_VERSION_VERSION_H

#include <stdatomic.h>

#include "os/thread.h"
#include "table/table.h"
#include "version/manifest.h"

/* What files need to be opened and removed; outlives every file. */
typedef struct vr_version_env {
    const vr_env *env;
    vr_budget *budget;
    vr_cache *cache;
    const char *dir;
} vr_version_env;

typedef struct vr_table_file {
    const vr_version_env *env;
    _Atomic uint32_t refs;
    _Atomic bool obsolete; /* delete the file with the last reference */
    uint64_t number;
    vr_table_summary summary;    /* owned */
    vr_mutex mutex;              /* opening; ranks just below TABLE, which the cache's mutex has */
    vr_table *_Atomic table;     /* NULL until opened */
    _Atomic uint32_t miss_score; /* how often keys were looked for here in vain lately: see version_get.c */
} vr_table_file;

varve_status vr_table_file_create(const vr_version_env *env, uint64_t number, const vr_table_summary *summary, vr_table_file **file,
                                  varve_error *err); /* one reference; copies summary */
void vr_table_file_ref(vr_table_file *file);
void vr_table_file_unref(vr_table_file *file);

/* The open table; opens it if need be. The hot path is one acquire load. */
varve_status vr_table_file_open(vr_table_file *file, vr_table **table, varve_error *err);

typedef struct vr_level {
    vr_table_file **files; /* level 0: newest (highest number) first; others: by min_key */
    size_t count;
    uint64_t bytes;
    /* For searching: all keys of the level begin with the same `shared` bytes; the prefixes are vr_key_prefix() of what follows
     * them. */
    varve_slice shared;     /* into files[0]'s summary */
    uint64_t *max_prefixes; /* one for each file, as files */
    uint64_t *min_prefixes;
} vr_level;

typedef struct vr_version {
    _Atomic uint32_t refs;
    vr_mem mem;
    vr_level levels[VR_LEVELS];
    uint32_t deep_levels; /* how many levels from 1 on have files, and which, rising: what a get has to look at */
    uint8_t deep[VR_LEVELS];
} vr_version;

/* The version a store's meta describes. */
varve_status vr_version_create(const vr_version_env *env, const vr_store_meta *meta, vr_version **version, varve_error *err);
void vr_version_ref(vr_version *version);
void vr_version_unref(vr_version *version);

/*
 * The version after edit's TABLE_REMOVE and TABLE_ADD fields of store_id. A removed and re-added file (a trivial move) stays the
 * same file; removed ones are marked obsolete by vr_version_mark_obsolete() once the edit is durable. Overlap in a level above 0 is
 * VARVE_INTERNAL.
 */
varve_status vr_version_apply(const vr_version_env *env, const vr_version *base, const vr_edit *edit, uint32_t store_id,
                              vr_version **version, varve_error *err);

/* Marks the files that base has and next has not. */
void vr_version_mark_obsolete(const vr_version *base, const vr_version *next);

/* The file of a level >= 1 that may hold key, or NULL: branch-light binary search by max_key. */
vr_table_file *vr_level_find(const vr_level *level, varve_slice key);

/*
 * The newest version of key at or below sequence, level 0 newest first, then down. Inside the cache's epoch; see vr_table_get().
 * Filters: all of level 0 are prefetched before they are asked; the last run that could hold the key is not asked unless it has
 * shown many misses.
 */
varve_status vr_version_get(const vr_version *version, varve_slice key, uint64_t key_hash, uint64_t sequence, uint64_t *trailer,
                            varve_slice *value, varve_error *err);

/* Appends cursors over all its tables to cursors (capacity at least vr_version_cursor_count()): one for each level-0 file, one for
 * each deeper level (opening its files as it goes). They hold references. bounds: files outside [from, to) may be left out; data
 * NULL: none. */
size_t vr_version_cursor_count(const vr_version *version);
varve_status vr_version_cursors(vr_version *version, vr_table_access access, varve_slice from, varve_slice to, vr_cursor **cursors,
                                size_t *count, varve_error *err);

/* A cursor over files that do not overlap, in order; holds references on them. */
varve_status vr_level_cursor(const vr_mem *mem, vr_table_file **files, size_t count, vr_table_access access, vr_cursor **cursor,
                             varve_error *err);

#endif
