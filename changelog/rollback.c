/*
 * changelog/rollback.c - undoes the store's own changes that never reached the log.
 */
#include "rollback.h"

#include "report.h"

enum { BATCH_CHANGES = 1024, BATCH_BYTES = 1 << 20 };

/* What undoing needs. Threads: one. */
typedef struct vcl_undo {
    const vcl_link *link;
    varve_snapshot *before; /* as of the acknowledged sequence */
    varve_batch *batch;
    varve_buffer value;
} vcl_undo;

static varve_status undo_write(vcl_undo *undo, varve_error *err) {
    if (varve_batch_count(undo->batch) == 0) return VARVE_OK;
    varve_write_options options = {.size = sizeof options, .replica = true};
    varve_status status = varve_write(undo->link->db, undo->batch, &options, err);
    if (status == VARVE_OK) varve_batch_clear(undo->batch);
    return status;
}

static varve_status undo_change(vcl_undo *undo, varve_slice key, varve_error *err) {
    varve_store *store = undo->link->store;
    varve_status status = varve_get_at(store, undo->before, key, &undo->value, err);
    if (status == VARVE_OK) {
        status = varve_batch_put(undo->batch, store, key, varve_buffer_slice(&undo->value), err);
    } else if (status == VARVE_NOT_FOUND) {
        status = varve_batch_delete(undo->batch, store, key, err);
    }
    if (status != VARVE_OK) return status;
    bool full = varve_batch_count(undo->batch) >= BATCH_CHANGES || varve_batch_bytes(undo->batch) >= BATCH_BYTES;
    return full ? undo_write(undo, err) : VARVE_OK;
}

/* Everything of this store that is in the feed up to sequence through; replicas came from the log and stay. */
static varve_status undo_all(vcl_undo *undo, varve_feed *feed, uint64_t through, uint64_t *undone, varve_error *err) {
    varve_change change;
    varve_status status;
    while ((status = varve_feed_next(feed, 0, &change, err)) == VARVE_OK && change.sequence <= through) {
        if (change.store_id != undo->link->store_id || change.replica || change.kind == VARVE_CHANGE_POSITION) continue;
        status = undo_change(undo, change.key, err);
        if (status != VARVE_OK) return status;
        (*undone)++;
    }
    if (status != VARVE_OK && status != VARVE_NOT_FOUND) return status;
    return undo_write(undo, err);
}

varve_status vcl_roll_back(const vcl_link *link, varve_feed *feed, int64_t target, vcl_position *position, uint64_t *undone,
                           varve_error *err) {
    vcl_undo undo = {.link = link};
    uint64_t through = varve_sequence(link->db);
    uint64_t count = 0;
    vcl_position after = *position;
    after.acknowledged = through;
    after.session = 0;
    after.restoring = true;
    after.target_offset = target;
    varve_status status = varve_feed_release(feed, position->acknowledged, err);
    if (status == VARVE_OK) status = varve_feed_snapshot(feed, &undo.before, err);
    if (status == VARVE_OK) status = varve_feed_seek(feed, position->acknowledged, err);
    if (status == VARVE_OK) status = varve_batch_create(&undo.batch, err);
    if (status == VARVE_OK) status = undo_all(&undo, feed, through, &count, err);
    /* From here on what was undone stays undone: only now may records of the log follow. */
    if (status == VARVE_OK) status = vcl_link_write(link, undo.batch, &after, false, err);
    if (status == VARVE_OK) status = varve_feed_release(feed, through, err);
    if (status == VARVE_OK) {
        *position = after;
        *undone = count;
    }
    varve_buffer_free(&undo.value);
    varve_batch_free(undo.batch);
    varve_snapshot_free(undo.before);
    return status;
}
