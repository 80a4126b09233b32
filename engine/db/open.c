/*
 * db/open.c - opening (lock, manifest, stores, WAL replay, threads) and closing (threads, sync, clean mark, lock).
 *
 * Nothing on disk is changed before the manifest and the WAL have been read and found whole. Recovery puts the WAL's changes into
 * memtables as a write would; it writes no table, so crashing in it changes nothing.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/error.h"
#include "db/db.h"
#include "version/filename.h"
#include "wal/layout.h"

/* WAL segments that an open leaves as they are. */
#define RECOVERED_SEGMENTS_MAX 8u

/* Recovered bytes that an open flushes itself when it lets go of WAL segments. */
#define FLUSHED_AT_OPEN_BYTES (UINT64_C(4) << 20)

void vr_db_ref(varve_db *db) {
    atomic_fetch_add_explicit(&db->refs, 1, memory_order_relaxed);
}

static void free_db(varve_db *db) {
    VR_ASSERT(!db->wal && !db->manifest && !db->lock); /* varve_close() has been here */
    VR_ASSERT(db->snapshots.next == &db->snapshots);
    for (size_t i = 0; i < db->store_count; i++) vr_store_free(db->stores[i]);
    for (size_t i = 0; i < db->feed_count; i++) {
        vr_free(&db->env.mem, db->feeds[i]->name);
        vr_free(&db->env.mem, db->feeds[i]);
    }
    if (db->epoch) vr_epoch_free(db->epoch);
    if (db->cache) vr_cache_free(db->cache);
    vr_mem mem = db->env.mem;
    vr_free(&mem, db->stores);
    vr_free(&mem, db->feeds);
    vr_free(&mem, db->dir);
    vr_cond_destroy(&db->write_cond);
    vr_cond_destroy(&db->work_cond);
    vr_cond_destroy(&db->done_cond);
    vr_cond_destroy(&db->feed_cond);
    vr_mutex_destroy(&db->write_mutex);
    vr_mutex_destroy(&db->manifest_mutex);
    vr_mutex_destroy(&db->mutex);
    vr_mutex_destroy(&db->latch_mutex);
    vr_free(&mem, db);
}

void vr_db_unref(varve_db *db) {
    /* acq_rel: the last one sees what the others did */
    if (atomic_fetch_sub_explicit(&db->refs, 1, memory_order_acq_rel) == 1) free_db(db);
}

static varve_status allocate(const vr_env *env, const char *path, const varve_options *options, varve_db **out, varve_error *err) {
    varve_db *db = vr_zalloc(&env->mem, sizeof *db);
    if (!db) return vr_error_nomem(err, sizeof *db, "a database");
    db->env = *env;
    db->options = *options;
    if (options->diag) db->env.diag = (vr_diag){.line = options->diag, .context = options->diag_context};
    atomic_init(&db->refs, 1);
    vr_mutex_init(&db->write_mutex, VR_RANK_WRITE);
    vr_mutex_init(&db->manifest_mutex, VR_RANK_MANIFEST);
    vr_mutex_init(&db->mutex, VR_RANK_DB);
    vr_mutex_init(&db->latch_mutex, VR_RANK_LEAF);
    vr_cond_init(&db->write_cond);
    vr_cond_init(&db->work_cond);
    vr_cond_init(&db->done_cond);
    vr_cond_init(&db->feed_cond);
    db->snapshots.prev = db->snapshots.next = &db->snapshots;
    vr_budget_init(&db->budget, options->memory);
    db->shape = (vr_shape_options){
        .run_count_max = 4,
        .fanout = 8,
        .base_bytes = 4 * options->memtable_bytes,
        .file_bytes = options->memtable_bytes < (UINT64_C(1) << 20) ? UINT64_C(1) << 20 : options->memtable_bytes,
    };
    db->dir = vr_strdup(&db->env.mem, path);
    varve_status status = db->dir ? VARVE_OK : vr_error_nomem(err, strlen(path) + 1, "a path");
    if (status == VARVE_OK) status = vr_epoch_create(&db->env.mem, &db->epoch, err);
    if (status == VARVE_OK) status = vr_cache_create(&db->env, &db->budget, db->epoch, &db->cache, err);
    db->version_env = (vr_version_env){.env = &db->env, .budget = &db->budget, .cache = db->cache, .dir = db->dir};
    if (status != VARVE_OK) {
        free_db(db);
        return status;
    }
    *out = db;
    return VARVE_OK;
}

/* --- Directory and manifest --------------------------------------------------------------------------------------- */

/* What a directory holds of a database. */
typedef struct contents {
    bool manifest;
    char stray[64]; /* a table or WAL segment, which only a manifest gives a meaning; "" when there is none */
} contents;

static bool note_content(void *context, const char *name) {
    contents *found = context;
    uint64_t number;
    if (strcmp(name, VR_NAME_MANIFEST) == 0) {
        found->manifest = true;
    } else if (vr_filename_parse_table(name, &number) || vr_wal_name_parse(name, &number) == VR_WAL_FILE_SEGMENT) {
        snprintf(found->stray, sizeof found->stray, "%s", name);
    }
    return true;
}

/* Makes the directory's own entry in its parent durable. */
varve_status vr_db_sync_parent(varve_db *db, const char *path, varve_error *err) {
    char parent[VR_PATH_BYTES_MAX];
    size_t size = strlen(path);
    if (size + 4 > sizeof parent) return vr_error_set(err, VARVE_INVALID, "path %s: it is too long", path);
    memcpy(parent, path, size);
    memcpy(parent + size, "/..", 4);
    while (size > 1 && parent[size - 1] == '/') size--;
    size_t slash = size;
    while (slash > 0 && parent[slash - 1] != '/') slash--;
    if (slash == 0) return vr_fs_sync_dir(db->env.fs, ".", err);
    parent[slash > 1 ? slash - 1 : 1] = '\0';
    return vr_fs_sync_dir(db->env.fs, parent, err);
}

/* Looks again, now that nobody else can make a database here. A new one must not hide what is left of one that lost its manifest.
 */
static varve_status check_locked(varve_db *db, bool *exists, varve_error *err) {
    contents found = {0};
    varve_status status = vr_fs_list(db->env.fs, db->dir, note_content, &found, err);
    if (status != VARVE_OK) return status;
    if (!found.manifest && found.stray[0]) {
        return vr_error_set(err, VARVE_CORRUPTION, "database %s: the file %s is missing, but %s is there", db->dir,
                            VR_NAME_MANIFEST, found.stray);
    }
    *exists = found.manifest;
    return found.manifest ? VARVE_OK
                          : vr_db_sync_parent(db, db->dir, err); /* also where an earlier open made the directory and failed */
}

/* Takes the lock, making the directory if it is to be made; tells whether a manifest is there. */
static varve_status take_directory(varve_db *db, bool *exists, varve_error *err) {
    char path[VR_PATH_BYTES_MAX];
    contents found = {0};
    varve_status status = vr_fs_list(db->env.fs, db->dir, note_content, &found, err);
    if (status != VARVE_OK && status != VARVE_MISSING) return status;
    if (!found.manifest && !db->options.create) {
        return vr_error_set(err, VARVE_MISSING, "database %s: there is none (no %s there), and option create is not set", db->dir,
                            VR_NAME_MANIFEST);
    }
    if (found.manifest && db->options.error_if_exists) {
        return vr_error_set(err, VARVE_EXISTS, "database %s: it exists already, and option error_if_exists is set", db->dir);
    }
    if (status == VARVE_MISSING) {
        status = vr_fs_make_dir(db->env.fs, db->dir, err);
        if (status != VARVE_OK && status != VARVE_EXISTS) return status;
    }
    if (!vr_path_join(path, db->dir, VR_NAME_LOCK)) return vr_error_set(err, VARVE_INVALID, "path %s: it is too long", db->dir);
    status = vr_fs_lock(db->env.fs, path, &db->lock, err);
    if (status == VARVE_BUSY)
        return vr_error_set(err, VARVE_BUSY, "database %s: another process, or another handle of this one, has it open", db->dir);
    return status == VARVE_OK ? check_locked(db, exists, err) : status;
}

static varve_status load_manifest(varve_db *db, bool exists, varve_error *err) {
    varve_status status = exists ? vr_manifest_open(&db->env, db->dir, false, &db->manifest, err)
                                 : vr_manifest_create(&db->env, db->dir, &db->manifest, err);
    if (status != VARVE_OK) return status;
    const vr_manifest_state *state = vr_manifest_state_of(db->manifest);
    memcpy(db->id, state->db_id, sizeof db->id);
    atomic_store_explicit(&db->next_file, state->next_file, memory_order_relaxed);
    for (size_t i = 0; i < state->store_count && status == VARVE_OK; i++) {
        vr_store *store = NULL;
        status = vr_store_create(db, &state->stores[i], &store, err);
    }
    for (size_t i = 0; i < state->feed_count && status == VARVE_OK; i++) {
        vr_feed *feed = NULL;
        status = vr_feed_add(db, state->feeds[i].name, state->feeds[i].released, &feed, err);
        if (status == VARVE_OK) feed->persisted = state->feeds[i].released;
    }
    return status;
}

/* --- WAL ---------------------------------------------------------------------------------------------------------- */

/* Passes a batch's changes to the stores that do not have them in tables yet. */
static varve_status replay(void *context, uint64_t first_sequence, varve_slice batch, varve_error *err) {
    varve_db *db = context;
    vr_batch_reader reader;
    vr_change change;
    uint64_t sequence = first_sequence;
    vr_store *store = NULL;
    uint64_t flushed = 0;
    varve_status status = vr_batch_reader_open(&reader, batch, err);
    while (status == VARVE_OK && (status = vr_batch_reader_next(&reader, &change, err)) == VARVE_OK) {
        if (!store || store->id != change.store_id) {
            store = vr_store_find(db, change.store_id); /* NULL: it was dropped since */
            const vr_manifest_state *state = vr_manifest_state_of(db->manifest);
            for (size_t i = 0; store && i < state->store_count; i++) {
                if (state->stores[i].id == store->id) flushed = state->stores[i].flushed_sequence;
            }
        }
        if (store && sequence > flushed) {
            if (store->active && vr_memtable_bytes(store->active) >= db->options.memtable_bytes)
                status = vr_store_turn_over(store, err);
            if (status == VARVE_OK) status = vr_store_apply(store, sequence, &change, batch.size, reader.count, err);
            db->recovered_records++;
        }
        sequence++;
        db->last_sequence = sequence - 1;
    }
    db->recovered_bytes += batch.size;
    return status == VARVE_NOT_FOUND ? VARVE_OK : status;
}

static varve_status open_wal(varve_db *db, varve_error *err) {
    const vr_manifest_state *state = vr_manifest_state_of(db->manifest);
    vr_wal_options options = {
        .mode = db->options.wal_mode,
        .segment_bytes = db->options.wal_segment_bytes,
        .first_segment = state->wal_first,
        .sequence_floor = UINT64_MAX,
        .clean = state->clean,
        .clean_sequence = state->clean_sequence,
        .known_sequence = state->last_sequence,
    };
    for (size_t i = 0; i < state->store_count; i++) {
        if (state->stores[i].flushed_sequence < options.sequence_floor) options.sequence_floor = state->stores[i].flushed_sequence;
    }
    if (options.sequence_floor > state->last_sequence) options.sequence_floor = state->last_sequence;
    uint64_t start = vr_env_us(&db->env);
    vr_mutex_lock(&db->write_mutex);
    varve_status status = vr_wal_open(&db->env, &db->budget, db->dir, &options, replay, db, &db->wal, err);
    if (status == VARVE_OK) {
        db->last_sequence = vr_wal_last_sequence(db->wal);
        atomic_store_explicit(&db->visible, db->last_sequence, memory_order_release);
    }
    vr_mutex_unlock(&db->write_mutex);
    db->recovery_us = vr_env_us(&db->env) - start;
    return status;
}

/* Tells the manifest that a writer is here, which voids a clean mark. */
static varve_status mark(varve_db *db, vr_edit_kind kind, uint64_t sequence, varve_error *err) {
    vr_edit edit;
    vr_edit_init(&edit, &db->env.mem);
    vr_mutex_lock(&db->mutex);
    varve_status status = vr_db_add_feeds(db, &edit, err);
    vr_mutex_unlock(&db->mutex);
    vr_edit_field *field = status == VARVE_OK ? vr_edit_add(&edit, kind, err) : NULL;
    if (status == VARVE_OK && !field) status = VARVE_NOMEM;
    if (status == VARVE_OK) {
        field->sequence = sequence;
        vr_mutex_lock(&db->manifest_mutex);
        status = vr_manifest_append(db->manifest, &edit, err);
        vr_mutex_unlock(&db->manifest_mutex);
    }
    vr_edit_free(&edit);
    return status;
}

/* --- Left-over files ---------------------------------------------------------------------------------------------- */

typedef struct orphan_search {
    varve_db *db;
    uint64_t *numbers;
    size_t count, capacity;
    bool nomem;
} orphan_search;

static bool find_orphan(void *context, const char *name) {
    orphan_search *search = context;
    varve_db *db = search->db;
    uint64_t number;
    if (!vr_filename_parse_table(name, &number)) return true;
    const vr_manifest_state *state = vr_manifest_state_of(db->manifest);
    for (size_t i = 0; i < state->store_count; i++) {
        for (size_t k = 0; k < state->stores[i].table_count; k++) {
            if (state->stores[i].tables[k].number == number) return true;
        }
    }
    search->nomem = !vr_grow(&db->env.mem, (void **)&search->numbers, &search->capacity, search->count + 1, sizeof number);
    if (search->nomem) return false;
    search->numbers[search->count++] = number;
    return true;
}

/* Removes tables that a crash left behind before the manifest knew of them. */
static varve_status remove_orphans(varve_db *db, varve_error *err) {
    orphan_search search = {.db = db};
    varve_status status = vr_fs_list(db->env.fs, db->dir, find_orphan, &search, err);
    if (status == VARVE_OK && search.nomem) status = vr_error_nomem(err, sizeof search.numbers[0], "a list of files");
    for (size_t i = 0; i < search.count && status == VARVE_OK; i++) {
        char path[VR_PATH_BYTES_MAX];
        if (vr_filename_table(path, db->dir, search.numbers[i]))
            vr_fs_remove(db->env.fs, path, NULL); /* tried again by the next open */
        if (search.numbers[i] >= atomic_load_explicit(&db->next_file, memory_order_relaxed)) {
            atomic_store_explicit(&db->next_file, search.numbers[i] + 1, memory_order_relaxed);
        }
    }
    vr_free(&db->env.mem, search.numbers);
    return status;
}

/* --- Open and close ----------------------------------------------------------------------------------------------- */

/* Gives up the directory: WAL, manifest, lock. */
static varve_status release_files(varve_db *db, varve_error *err) {
    if (db->wal) vr_wal_close(db->wal);
    db->wal = NULL;
    if (db->manifest) vr_manifest_close(db->manifest);
    db->manifest = NULL;
    varve_status status = vr_file_close(db->lock, err);
    db->lock = NULL;
    return status;
}

/* Each run of a program begins a segment: many short runs would pile them up. Flushing what was recovered lets go of them. */
static varve_status shorten_wal(varve_db *db, varve_error *err) {
    vr_wal_stats wal;
    vr_wal_stats_get(db->wal, &wal);
    if (wal.segments <= RECOVERED_SEGMENTS_MAX) return VARVE_OK;
    /* What is little is flushed before the caller may close again; what is much, in the background: opening is to be quick. */
    bool little = db->recovered_bytes <= FLUSHED_AT_OPEN_BYTES;
    varve_status status = little ? varve_flush(db, err) : vr_db_turn_over_all(db, err);
    if (status != VARVE_OK) vr_background_stop(db);
    return status;
}

static varve_status open_db(const vr_env *env, const char *path, const varve_options *options, varve_db **out, varve_error *err) {
    varve_options checked;
    varve_db *db = NULL;
    if (!path || !*path) return vr_error_set(err, VARVE_INVALID, "path: it is empty");
    varve_status status = vr_options_check(options, &checked, err);
    if (status == VARVE_OK) status = allocate(env, path, &checked, &db, err);
    if (status != VARVE_OK) return status;
    bool exists = false;
    status = take_directory(db, &exists, err);
    if (status == VARVE_OK) status = load_manifest(db, exists, err);
    if (status == VARVE_OK) status = open_wal(db, err);
    if (status == VARVE_OK) status = mark(db, VR_EDIT_OPENED, 0, err);
    if (status == VARVE_OK) status = remove_orphans(db, err);
    if (status == VARVE_OK) status = vr_background_start(db, err);
    if (status == VARVE_OK) status = shorten_wal(db, err);
    if (status != VARVE_OK) {
        release_files(db, NULL);
        atomic_store_explicit(&db->closed, true, memory_order_relaxed);
        vr_db_unref(db);
        return status;
    }
    *out = db;
    return VARVE_OK;
}

varve_status vr_db_open(const vr_env *env, const char *path, const varve_options *options, varve_db **db, varve_error *err) {
    varve_error own = {0}; /* the caller's is written on failure only: a directory that is not there yet is none */
    varve_status status = open_db(env, path, options, db, &own);
    return status == VARVE_OK ? VARVE_OK : vr_error_copy(err, &own);
}

varve_status varve_open(const char *path, const varve_options *options, varve_db **db, varve_error *err) {
    vr_env env = vr_env_system();
    return vr_db_open(&env, path, options, db, err);
}

static void wait_for_calls(varve_db *db) {
    vr_mutex_lock(&db->mutex);
    while (atomic_load(&db->calls) > 0) vr_cond_wait_for(&db->done_cond, &db->mutex, 1000);
    vr_mutex_unlock(&db->mutex);
}

varve_status varve_close(varve_db *db, varve_error *err) {
    if (!db) return VARVE_OK;
    vr_background_stop(db);
    varve_error own = {0};
    vr_mutex_lock(&db->write_mutex); /* no write is under way from here on */
    varve_status status = vr_db_check_writable(db, &own);
    if (status == VARVE_OK) status = vr_wal_sync(db->wal, &own);
    atomic_store(&db->closed, true); /* seq_cst: see vr_db_enter() */
    vr_mutex_unlock(&db->write_mutex);
    wait_for_calls(db);
    vr_feeds_detach(db); /* then, as one of the calls may have opened a feed */
    if (status == VARVE_OK) status = mark(db, VR_EDIT_CLEAN, db->last_sequence, &own);
    varve_error close_err = {0};
    vr_mutex_lock(&db->manifest_mutex);
    varve_status closed = release_files(db, &close_err);
    vr_mutex_unlock(&db->manifest_mutex);
    if (status == VARVE_OK && closed != VARVE_OK) {
        status = closed;
        own = close_err;
    }
    if (status != VARVE_OK) vr_error_copy(err, &own);
    vr_db_unref(db);
    return status;
}

void varve_db_id(const varve_db *db, uint8_t id[16]) {
    memcpy(id, db->id, sizeof db->id);
}
