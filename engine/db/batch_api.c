/*
 * db/batch_api.c - the public batch: the batch encoding of kv/batch.h, plus the database it is for.
 */
#include "base/bytes.h"
#include "base/error.h"
#include "db/db.h"
#include "kv/batch.h"

struct varve_batch {
    vr_mem mem;
    vr_batch batch;
    varve_db *db; /* of its first change; NULL while it is empty */
};

varve_status varve_batch_create(varve_batch **batch, varve_error *err) {
    vr_mem mem = vr_mem_system();
    varve_batch *made = vr_zalloc(&mem, sizeof *made);
    if (!made) return vr_error_nomem(err, sizeof *made, "a batch");
    made->mem = mem;
    varve_status status = vr_batch_clear(&made->batch, err);
    if (status != VARVE_OK) {
        varve_batch_free(made);
        return status;
    }
    *batch = made;
    return VARVE_OK;
}

void varve_batch_free(varve_batch *batch) {
    if (!batch) return;
    vr_batch_free(&batch->batch);
    vr_mem mem = batch->mem;
    vr_free(&mem, batch);
}

void varve_batch_clear(varve_batch *batch) {
    batch->db = NULL;
    vr_batch_clear(&batch->batch, NULL); /* the header's memory is there since creation: it cannot fail */
}

uint32_t varve_batch_count(const varve_batch *batch) {
    return batch->batch.count;
}

size_t varve_batch_bytes(const varve_batch *batch) {
    return batch->batch.bytes.size;
}

static varve_status add(varve_batch *batch, varve_store *store, vr_kind kind, varve_slice key, varve_slice value,
                        varve_error *err) {
    if (batch->db && batch->db != store->db) {
        return vr_error_set(err, VARVE_INVALID, "store %s: it is of another database than the batch's changes so far",
                            store->store->name);
    }
    vr_change change = {.kind = kind, .store_id = store->store->id, .key = key, .value = value};
    varve_status status = vr_batch_append(&batch->batch, &change, err);
    if (status == VARVE_OK) batch->db = store->db;
    return status;
}

varve_status varve_batch_put(varve_batch *batch, varve_store *store, varve_slice key, varve_slice value, varve_error *err) {
    return add(batch, store, VR_KIND_PUT, key, value, err);
}

varve_status varve_batch_delete(varve_batch *batch, varve_store *store, varve_slice key, varve_error *err) {
    return add(batch, store, VR_KIND_DELETE, key, varve_bytes(NULL, 0), err);
}

varve_status varve_batch_position(varve_batch *batch, varve_store *store, varve_slice position, varve_error *err) {
    return add(batch, store, VR_KIND_POSITION, varve_bytes(NULL, 0), position, err);
}

varve_status varve_write(varve_db *db, const varve_batch *batch, const varve_write_options *options, varve_error *err) {
    varve_write_options own = {.size = sizeof own};
    if (options) {
        if (options->size < sizeof(size_t) || options->size > sizeof own) {
            return vr_error_set(err, VARVE_INVALID, "varve_write_options.size: %zu given, at most %zu allowed", options->size,
                                sizeof own);
        }
        memcpy(&own, options, options->size);
    }
    if (batch->db && batch->db != db) return vr_error_set(err, VARVE_INVALID, "the batch is for another database than %s", db->dir);
    if (batch->batch.count == 0) return own.durability == VARVE_SYNC ? varve_sync(db, err) : vr_db_check_writable(db, err);
    return vr_db_write(db, varve_buffer_slice(&batch->batch.bytes), &own, err);
}
