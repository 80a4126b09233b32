/*
 * db/bulk.c - filling an empty store past WAL and memtable.
 *
 * Records are copied into one of two chunks while a worker sorts and writes the other: the caller does nothing but copy. A chunk
 * becomes one level-0 run whose entries all carry one sequence, taken when the chunk is handed over, so that later runs win over
 * earlier ones; within a chunk the sort is stable and the last record of a key counts. finish() installs all runs and the position
 * with one manifest edit. A single chunk goes to the last level at once.
 *
 * Threads: the caller's calls one at a time; the worker touches only the chunk that was handed to it. `mutex` guards the hand-over
 * and the outcome.
 */
#include "base/bytes.h"
#include "base/check.h"
#include "base/error.h"
#include "db/db.h"
#include "version/filename.h"

/* A record in a chunk's bytes: u32 key size, u32 value size or TOMBSTONE, key, value. */
#define RECORD_HEADER_BYTES 8u
#define TOMBSTONE UINT32_MAX
#define RECORD_BYTES_MAX (RECORD_HEADER_BYTES + VARVE_KEY_BYTES_MAX + VARVE_VALUE_BYTES_MAX)

/* What sorting moves about: eight key bytes after the chunk's common prefix, and where the record is. */
typedef struct bulk_entry {
    uint64_t prefix;
    uint64_t at;
} bulk_entry;

typedef struct bulk_chunk {
    char *bytes; /* reserved pages */
    size_t size;
    size_t limit;                /* handed over once it holds as much */
    size_t capacity;             /* address space: the limit and one record of the largest size */
    bulk_entry *entries, *spare; /* reserved pages, entry_capacity each */
    size_t count, entry_capacity;
    size_t common; /* length of the prefix all its keys share */
    uint64_t sequence;
    bool only; /* set at the hand-over: it is the whole bulk, and goes compressed to the last level */
} bulk_chunk;

struct varve_bulk {
    varve_db *db;
    vr_store *store;
    bulk_chunk chunks[2];
    bulk_chunk *filling;
    uint64_t charged;
    bool threaded;
    vr_thread worker;

    vr_mutex mutex; /* rank LEAF; guards: */
    vr_cond cond;
    bulk_chunk *handed; /* to the worker; NULL: it is idle */
    bool stop;
    size_t runs;                 /* handed over so far */
    varve_error error;           /* of the worker; code VARVE_OK: none */
    vr_edit edit;                /* TABLE_ADD of the runs; the worker's until it is idle */
    vr_table_summary *summaries; /* own the keys that edit's fields borrow */
    size_t summary_count, summary_capacity;
};

/* --- Sorting ------------------------------------------------------------------------------------------------------ */

static varve_slice key_at(const bulk_chunk *chunk, uint64_t at) {
    return varve_bytes(chunk->bytes + at + RECORD_HEADER_BYTES, vr_get32(chunk->bytes + at));
}

static void load_prefixes(bulk_chunk *chunk) {
    VR_ASSERT(chunk->count > 0);
    for (size_t i = 0; i < chunk->count; i++) {
        varve_slice key = key_at(chunk, chunk->entries[i].at);
        VR_ASSERT(key.size >= chunk->common);
        chunk->entries[i].prefix = vr_key_prefix(key.data + chunk->common, key.size - chunk->common);
    }
}

/* Stable radix sort by prefix, a byte at a time from the lowest; bytes that do not vary are passed over. */
static void radix_sort(bulk_chunk *chunk) {
    size_t counts[8][256];
    memset(counts, 0, sizeof counts);
    for (size_t i = 0; i < chunk->count; i++) {
        for (unsigned byte = 0; byte < 8; byte++) counts[byte][chunk->entries[i].prefix >> (8 * byte) & 255]++;
    }
    for (unsigned byte = 0; byte < 8; byte++) {
        size_t *count = counts[byte];
        if (count[chunk->entries[0].prefix >> (8 * byte) & 255] == chunk->count) continue;
        size_t sum = 0;
        for (unsigned value = 0; value < 256; value++) {
            size_t own = count[value];
            count[value] = sum;
            sum += own;
        }
        for (size_t i = 0; i < chunk->count; i++) {
            chunk->spare[count[chunk->entries[i].prefix >> (8 * byte) & 255]++] = chunk->entries[i];
        }
        bulk_entry *sorted = chunk->spare;
        chunk->spare = chunk->entries;
        chunk->entries = sorted;
    }
}

/* Order of two entries of the same prefix: key, then arrival. */
static int compare_entries(const void *a, const void *b, void *context) {
    const bulk_chunk *chunk = context;
    uint64_t x = ((const bulk_entry *)a)->at, y = ((const bulk_entry *)b)->at;
    int order = vr_compare(key_at(chunk, x), key_at(chunk, y));
    return order ? order : (x > y) - (x < y);
}

static void sort_chunk(bulk_chunk *chunk) {
    load_prefixes(chunk);
    radix_sort(chunk);
    for (size_t start = 0; start < chunk->count;) {
        size_t end = start + 1;
        while (end < chunk->count && chunk->entries[end].prefix == chunk->entries[start].prefix) end++;
        if (end - start > 1) vr_sort(chunk->entries + start, end - start, sizeof chunk->entries[0], compare_entries, chunk);
        start = end;
    }
}

/* --- Writing a run ------------------------------------------------------------------------------------------------- */

/* Adds the last record of each key. first: nothing older exists, so deletes need not be kept. */
static varve_status add_entries(const bulk_chunk *chunk, bool first, vr_table_builder *builder, varve_error *err) {
    varve_status status = VARVE_OK;
    for (size_t i = 0; i < chunk->count && status == VARVE_OK; i++) {
        varve_slice key = key_at(chunk, chunk->entries[i].at);
        if (i + 1 < chunk->count && chunk->entries[i + 1].prefix == chunk->entries[i].prefix &&
            vr_equal(key, key_at(chunk, chunk->entries[i + 1].at))) {
            continue;
        }
        uint32_t value_size = vr_get32(chunk->bytes + chunk->entries[i].at + 4);
        bool tombstone = value_size == TOMBSTONE;
        if (tombstone && first) continue;
        varve_slice value = varve_bytes(key.data + key.size, tombstone ? 0 : value_size);
        status =
            vr_table_builder_add(builder, key, vr_trailer(chunk->sequence, tombstone ? VR_KIND_DELETE : VR_KIND_PUT), value, err);
    }
    return status;
}

/* Adds the finished table to the edit. */
static varve_status note_run(varve_bulk *bulk, bool only, uint64_t number, const vr_table_summary *summary, varve_error *err) {
    vr_edit_field *field = vr_edit_add(&bulk->edit, VR_EDIT_TABLE_ADD, err);
    if (!field) return VARVE_NOMEM;
    field->store_id = bulk->store->id;
    field->level = only ? VR_LEVELS - 1 : 0;
    field->number = number;
    field->table = *summary;
    return VARVE_OK;
}

static varve_status write_run(varve_bulk *bulk, bulk_chunk *chunk, bool first, varve_error *err) {
    varve_db *db = bulk->db;
    char path[VR_PATH_BYTES_MAX];
    sort_chunk(chunk);
    if (!vr_grow(&db->env.mem, (void **)&bulk->summaries, &bulk->summary_capacity, bulk->summary_count + 1,
                 sizeof bulk->summaries[0])) {
        return vr_error_nomem(err, sizeof bulk->summaries[0], "a bulk's runs");
    }
    uint64_t number = vr_db_next_file(db);
    if (!vr_filename_table(path, db->dir, number)) return vr_error_set(err, VARVE_INVALID, "path %s: it is too long", db->dir);
    vr_table_builder_options options = {
        .block_bytes = bulk->store->options.block_bytes,
        .compression_level = chunk->only ? bulk->store->options.compression_level : VARVE_COMPRESSION_NONE,
        .filter_bits = bulk->store->options.filter_bits,
        .keys_expected = chunk->count,
    };
    vr_table_builder *builder = NULL;
    varve_status status = vr_table_builder_create(&db->env, &db->budget, path, &options, &builder, err);
    if (status == VARVE_OK) status = add_entries(chunk, first, builder, err);
    if (status != VARVE_OK || vr_table_builder_entries(builder) == 0) {
        vr_table_builder_abandon(builder);
        return status;
    }
    vr_table_summary *summary = &bulk->summaries[bulk->summary_count];
    memset(summary, 0, sizeof *summary);
    status = vr_table_builder_finish(builder, summary, err);
    if (status != VARVE_OK) return status;
    bulk->summary_count++;
    return note_run(bulk, chunk->only, number, summary, err);
}

static void worker(void *context) {
    varve_bulk *bulk = context;
    vr_mutex_lock(&bulk->mutex);
    for (;;) {
        while (!bulk->handed && !bulk->stop) vr_cond_wait(&bulk->cond, &bulk->mutex);
        if (!bulk->handed) break;
        bulk_chunk *chunk = bulk->handed;
        bool first = bulk->runs == 1;
        bool failed = bulk->error.code != VARVE_OK;
        vr_mutex_unlock(&bulk->mutex);
        varve_error own = {0};
        varve_status status =
            failed ? VARVE_OK : vr_db_enter(bulk->db, &own); /* its file must not appear after the directory is given up */
        if (!failed && status == VARVE_OK) {
            status = write_run(bulk, chunk, first, &own);
            vr_db_leave(bulk->db);
        }
        if (chunk->size > chunk->limit) vr_pages_discard(chunk->bytes, chunk->capacity); /* more than was charged */
        chunk->size = chunk->count = chunk->common = 0;
        vr_mutex_lock(&bulk->mutex);
        if (status != VARVE_OK) bulk->error = own;
        bulk->handed = NULL;
        vr_cond_broadcast(&bulk->cond);
    }
    vr_mutex_unlock(&bulk->mutex);
}

/* Waits until the worker is idle; returns its outcome. */
static varve_status wait_worker(varve_bulk *bulk, varve_error *err) {
    vr_mutex_lock(&bulk->mutex);
    while (bulk->handed) vr_cond_wait(&bulk->cond, &bulk->mutex);
    varve_status status = vr_error_copy(err, &bulk->error);
    vr_mutex_unlock(&bulk->mutex);
    return status;
}

/* Hands the chunk that is being filled to the worker, and goes on with the other. */
static varve_status hand_over(varve_bulk *bulk, bool last, varve_error *err) {
    if (bulk->filling->count == 0) return VARVE_OK;
    bulk->filling->only = last && bulk->runs == 0; /* this thread alone changes runs */
    varve_status status = wait_worker(bulk, err);
    if (status == VARVE_OK) status = vr_store_take_sequence(bulk->store, &bulk->filling->sequence, err);
    if (status != VARVE_OK) return status;
    vr_mutex_lock(&bulk->mutex);
    VR_ASSERT(!bulk->handed);
    bulk->handed = bulk->filling;
    bulk->runs++;
    vr_cond_broadcast(&bulk->cond);
    vr_mutex_unlock(&bulk->mutex);
    bulk->filling = bulk->filling == &bulk->chunks[0] ? &bulk->chunks[1] : &bulk->chunks[0];
    return VARVE_OK;
}

/* --- The calls ----------------------------------------------------------------------------------------------------- */

static void release_chunk(bulk_chunk *chunk) {
    if (chunk->bytes) vr_pages_release(chunk->bytes, chunk->capacity);
    if (chunk->entries) vr_pages_release(chunk->entries, chunk->entry_capacity * sizeof(bulk_entry));
    if (chunk->spare) vr_pages_release(chunk->spare, chunk->entry_capacity * sizeof(bulk_entry));
}

static bool reserve_chunk(bulk_chunk *chunk, size_t bytes) {
    chunk->limit = (size_t)vr_align_up(bytes, 2u << 20);
    chunk->capacity = chunk->limit + RECORD_BYTES_MAX;
    chunk->entry_capacity = chunk->limit / 64;
    chunk->bytes = vr_pages_reserve(chunk->capacity);
    chunk->entries = vr_pages_reserve(chunk->entry_capacity * sizeof(bulk_entry));
    chunk->spare = vr_pages_reserve(chunk->entry_capacity * sizeof(bulk_entry));
    return chunk->bytes && chunk->entries && chunk->spare;
}

/* Ends the worker and releases everything but the tables. */
static void release(varve_bulk *bulk) {
    varve_db *db = bulk->db;
    if (bulk->threaded) {
        vr_mutex_lock(&bulk->mutex);
        bulk->stop = true;
        vr_cond_broadcast(&bulk->cond);
        vr_mutex_unlock(&bulk->mutex);
        vr_thread_join(&bulk->worker);
    }
    for (size_t i = 0; i < 2; i++) release_chunk(&bulk->chunks[i]);
    vr_budget_release(&db->budget, VR_USE_WORK, bulk->charged);
    for (size_t i = 0; i < bulk->summary_count; i++) vr_table_summary_free(&bulk->summaries[i]);
    vr_free(&db->env.mem, bulk->summaries);
    vr_edit_free(&bulk->edit);
    vr_cond_destroy(&bulk->cond);
    vr_mutex_destroy(&bulk->mutex);
    atomic_store_explicit(&bulk->store->bulk, false, memory_order_relaxed); /* writers look at it in their turn */
    vr_free(&db->env.mem, bulk);
    vr_db_unref(db);
}

/* Takes the store for the bulk: everything of it is flushed, and it has no live entry. */
static varve_status claim(varve_store *handle, varve_error *err) {
    vr_store *store = handle->store;
    varve_db *db = handle->db;
    vr_mutex_lock(&db->write_mutex);
    bool taken = atomic_exchange_explicit(&store->bulk, true, memory_order_relaxed);
    vr_mutex_unlock(&db->write_mutex);
    if (taken) return vr_error_set(err, VARVE_BUSY, "store %s: a bulk load or restore into it is under way", store->name);
    varve_iterator *it = NULL;
    varve_status status = varve_flush(db, err);
    if (status == VARVE_OK) status = varve_iterator_open(handle, NULL, &it, err);
    if (status == VARVE_OK) {
        status = varve_iterator_next(it);
        if (status == VARVE_OK) {
            status = vr_error_set(err, VARVE_EXISTS, "store %s: a bulk load needs an empty store, and it has entries", store->name);
        } else if (status == VARVE_NOT_FOUND) {
            status = VARVE_OK;
        } else {
            vr_error_copy(err, varve_iterator_error(it));
        }
    }
    varve_iterator_close(it);
    if (status != VARVE_OK) atomic_store_explicit(&store->bulk, false, memory_order_relaxed);
    return status;
}

varve_status varve_bulk_begin(varve_store *handle, varve_bulk **out, varve_error *err) {
    varve_db *db = handle->db;
    varve_status status = vr_store_check(handle, err);
    if (status == VARVE_OK) status = vr_db_check_writable(db, err);
    if (status == VARVE_OK) status = claim(handle, err);
    if (status != VARVE_OK) return status;
    varve_bulk *bulk = vr_zalloc(&db->env.mem, sizeof *bulk);
    if (!bulk) {
        atomic_store_explicit(&handle->store->bulk, false, memory_order_relaxed);
        return vr_error_nomem(err, sizeof *bulk, "a bulk");
    }
    bulk->db = db;
    bulk->store = handle->store;
    vr_db_ref(db);
    vr_mutex_init(&bulk->mutex, VR_RANK_LEAF);
    vr_cond_init(&bulk->cond);
    vr_edit_init(&bulk->edit, &db->env.mem);
    bulk->filling = &bulk->chunks[0];
    size_t bytes = (size_t)db->options.memory / 12;
    bool reserved = reserve_chunk(&bulk->chunks[0], bytes) && reserve_chunk(&bulk->chunks[1], bytes);
    status = reserved ? vr_thread_start(&bulk->worker, "varve-bulk", worker, bulk, err)
                      : vr_error_nomem(err, 2 * bytes, "a bulk's chunks");
    bulk->threaded = status == VARVE_OK;
    if (status != VARVE_OK) {
        release(bulk);
        return status;
    }
    bulk->charged = 2 * (bulk->chunks[0].limit + 2 * bulk->chunks[0].entry_capacity * sizeof(bulk_entry));
    vr_budget_charge(&db->budget, VR_USE_WORK, bulk->charged);
    vr_cache_trim(db->cache);
    *out = bulk;
    return VARVE_OK;
}

varve_status varve_bulk_add(varve_bulk *bulk, varve_slice key, const varve_slice *value, varve_error *err) {
    size_t value_size = value ? value->size : 0;
    if (key.size > VARVE_KEY_BYTES_MAX || value_size > VARVE_VALUE_BYTES_MAX) {
        return vr_error_set(err, VARVE_TOO_LARGE, "store %s: key of %zu bytes, value of %zu bytes: at most %u and %u are allowed",
                            bulk->store->name, key.size, value_size, VARVE_KEY_BYTES_MAX, VARVE_VALUE_BYTES_MAX);
    }
    bulk_chunk *chunk = bulk->filling;
    size_t needed = RECORD_HEADER_BYTES + key.size + value_size;
    if (chunk->size >= chunk->limit || chunk->count == chunk->entry_capacity) {
        varve_status status = hand_over(bulk, false, err);
        if (status != VARVE_OK) return status;
        chunk = bulk->filling;
    }
    VR_ASSERT(chunk->size + needed <= chunk->capacity);
    char *at = chunk->bytes + chunk->size;
    vr_put32(at, (uint32_t)key.size);
    vr_put32(at + 4, value ? (uint32_t)value_size : TOMBSTONE);
    if (key.size) memcpy(at + RECORD_HEADER_BYTES, key.data, key.size);
    if (value_size) memcpy(at + RECORD_HEADER_BYTES + key.size, value->data, value_size);
    if (chunk->count == 0) {
        chunk->common = key.size;
    } else if (chunk->common > 0) {
        varve_slice first = key_at(chunk, 0);
        first.size = chunk->common;
        if (!vr_starts_with(key, first)) chunk->common = vr_common_prefix(key, first);
    }
    chunk->entries[chunk->count++].at = chunk->size;
    chunk->size += needed;
    return VARVE_OK;
}

/*
 * Takes the store's positions out of the WAL's reckoning: the edit supersedes them, and says how far. A flush of them that is under
 * way must be over first, as it would tell the manifest of an older sequence afterwards.
 */
static varve_status supersede_positions(varve_bulk *bulk, uint64_t *sequence, varve_error *err) {
    varve_db *db = bulk->db;
    vr_store *store = bulk->store;
    varve_status status = VARVE_OK;
    for (bool done = false; !done && status == VARVE_OK;) {
        vr_mutex_lock(&db->write_mutex);
        vr_mutex_lock(&db->mutex);
        done = store->immutable_count == 0 && !store->flushing;
        if (done) {
            atomic_store_explicit(&store->first_sequence, 0, memory_order_relaxed);
            store->position_dirty = false;
            *sequence = db->last_sequence;
        }
        vr_mutex_unlock(&db->write_mutex);
        if (!done) {
            vr_cond_wait_for(&db->done_cond, &db->mutex, 100000);
            status = vr_db_check_writable(db, err);
            if (status == VARVE_OK && db->flush_error.code != VARVE_OK) status = vr_error_copy(err, &db->flush_error);
        }
        vr_mutex_unlock(&db->mutex);
    }
    return status;
}

/* Everything written; installs it. The store has nothing in the WAL but positions that its flushed sequence now covers. */
static varve_status install(varve_bulk *bulk, varve_slice position, varve_error *err) {
    varve_db *db = bulk->db;
    vr_store *store = bulk->store;
    vr_edit_field *flushed = vr_edit_add(&bulk->edit, VR_EDIT_STORE_FLUSHED, err);
    if (!flushed) return VARVE_NOMEM;
    flushed->store_id = store->id;
    vr_edit_field *positioned = vr_edit_add(&bulk->edit, VR_EDIT_STORE_POSITION, err);
    if (!positioned) return VARVE_NOMEM;
    positioned->store_id = store->id;
    positioned->content = position;
    varve_buffer copy = {0};
    if (!vr_buffer_set(&copy, position)) return vr_error_nomem(err, position.size, "a store's position");
    varve_status status = supersede_positions(bulk, &bulk->edit.fields[bulk->edit.count - 2].sequence, err);
    if (status == VARVE_OK) status = vr_wal_sync(db->wal, err); /* the tables' sequences must not be ahead of a recovered WAL's */
    if (status == VARVE_OK) status = vr_fs_sync_dir(db->env.fs, db->dir, err);
    if (status == VARVE_OK) status = vr_db_install(db, &bulk->edit, store, 0, err);
    if (status == VARVE_OK) { /* not before: a load that failed leaves the store without it */
        vr_mutex_lock(&store->position_mutex);
        varve_buffer before = store->position;
        store->position = copy;
        copy = before;
        store->has_position = position.size > 0;
        vr_mutex_unlock(&store->position_mutex);
    }
    varve_buffer_free(&copy);
    return status;
}

static void remove_runs(varve_bulk *bulk, varve_status why) {
    vr_job job = {.env = &bulk->db->version_env};
    vr_db_undo_tables(&job, &bulk->edit, why);
}

varve_status varve_bulk_finish(varve_bulk *bulk, varve_slice position, varve_error *err) {
    varve_status status = VARVE_OK;
    if (position.size > VARVE_POSITION_BYTES_MAX) {
        status = vr_error_set(err, VARVE_TOO_LARGE, "store %s: position of %zu bytes, at most %u allowed", bulk->store->name,
                              position.size, VARVE_POSITION_BYTES_MAX);
    }
    if (status == VARVE_OK) status = vr_db_check_writable(bulk->db, err);
    varve_status entered = vr_db_enter(bulk->db, status == VARVE_OK ? err : NULL);
    if (status == VARVE_OK) status = entered;
    if (status == VARVE_OK) status = hand_over(bulk, true, err);
    varve_status worked = wait_worker(bulk, status == VARVE_OK ? err : NULL);
    if (status == VARVE_OK) status = worked;
    if (status == VARVE_OK) status = install(bulk, position, err);
    if (entered == VARVE_OK) { /* else the directory may be another's by now, whose next open removes them */
        remove_runs(bulk, status);
        vr_db_leave(bulk->db);
    }
    release(bulk);
    return status;
}

void varve_bulk_abort(varve_bulk *bulk) {
    if (!bulk) return;
    wait_worker(bulk, NULL);
    if (vr_db_enter(bulk->db, NULL) == VARVE_OK) {
        remove_runs(bulk, VARVE_CANCELLED);
        vr_db_leave(bulk->db);
    }
    release(bulk);
}
