/*
 * changelog/restore.c - brings a store to the end of the log.
 */
#include "restore.h"

#include "report.h"
#include "topic_reader.h"

enum {
    TELL_MS = 200,         /* between two calls of the progress function */
    DELTA_RECORDS = 4096,  /* of one batch */
    DELTA_BYTES = 1 << 20, /* likewise */
    ATTEMPTS_MAX = 3       /* of restores that each outlast delete.retention.ms */
};

void vcl_progress_init(vcl_progress *progress, const vcl_link *link, int64_t start, int64_t end) {
    *progress = (vcl_progress){.link = link, .began_ms = vcl_monotonic_ms()};
    progress->now = (varve_restore_progress){.offset = start, .end_offset = end, .start_offset = start, .remaining_ms = UINT64_MAX};
    progress->told_ms = progress->began_ms;
}

varve_status vcl_progress_tell(vcl_progress *progress, bool in_any_case, varve_error *err) {
    uint64_t now = vcl_monotonic_ms();
    if (!in_any_case && now - progress->told_ms < TELL_MS) return VARVE_OK;
    progress->told_ms = now;
    varve_restore_progress *at = &progress->now;
    at->elapsed_ms = now - progress->began_ms;
    uint64_t done = (uint64_t)(at->offset - at->start_offset);
    uint64_t left = (uint64_t)(at->end_offset - at->offset);
    at->remaining_ms = left == 0 ? 0 : UINT64_MAX;
    if (left > 0 && done > 0) at->remaining_ms = (uint64_t)((double)at->elapsed_ms * (double)left / (double)done);
    const vcl_config *config = &progress->link->config;
    if (!config->progress || config->progress(config->progress_context, at)) return VARVE_OK;
    return vcl_fail(err, VARVE_CANCELLED, 0, "the restore was cancelled at offset %lld of %lld", (long long)at->offset,
                    (long long)at->end_offset);
}

/* --- Everything ------------------------------------------------------------------------------------------------- */

/* One chunk of records. Only the mark of one in many thousand is looked at: this thread does nothing but read and add. */
static varve_status add_chunk(const vcl_link *link, varve_bulk *bulk, const vcl_record *records, size_t count, vcl_survey *survey,
                              varve_restore_progress *at, varve_error *err) {
    uint64_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        const vcl_record *record = &records[i];
        varve_status status = varve_bulk_add(bulk, record->key, record->tombstone ? NULL : &record->value, err);
        if (status == VARVE_OK && record->mark.data) status = vcl_survey_mark(survey, record, err);
        if (status != VARVE_OK) {
            vcl_fail_at(err, "topic %s [%d], offset %lld: ", link->config.topic, link->config.partition, (long long)record->offset);
            return status;
        }
        bytes += record->key.size + record->value.size;
    }
    if (count > 0 && !records[count - 1].mark.data) {
        survey->unmarked = 1;
        survey->newest_offset = records[count - 1].offset;
    }
    survey->records += count;
    at->records += count;
    at->bytes += bytes;
    return VARVE_OK;
}

static varve_status load(const vcl_link *link, varve_bulk *bulk, int64_t start, int64_t end, vcl_survey *survey,
                         vcl_progress *progress, varve_error *err) {
    vcl_retry retry = vcl_retry_patient(link->config.timeout_ms);
    vcl_topic_reader reader;
    vcl_topic_reader_init(&reader, link, start, end, &retry);
    varve_status status;
    const vcl_record *records;
    size_t count;
    while ((status = vcl_topic_reader_next(&reader, &records, &count, err)) == VARVE_OK) {
        status = add_chunk(link, bulk, records, count, survey, &progress->now, err);
        if (status != VARVE_OK) break;
        progress->now.offset = reader.next;
        status = vcl_progress_tell(progress, false, err);
        if (status != VARVE_OK) break;
    }
    vcl_topic_reader_close(&reader);
    if (status != VARVE_NOT_FOUND) return status;
    vcl_survey_end(survey, end);
    return vcl_progress_tell(progress, true, err);
}

/* The position of a store that holds everything below end. */
static varve_status position_after(const vcl_link *link, const vcl_survey *survey, int64_t end, int64_t began_ms,
                                   vcl_position *position, varve_error *err) {
    position->restoring = false;
    position->copying = false;
    position->epoch = survey->epoch_max;
    position->session = 0;
    position->next_offset = end;
    position->target_offset = end;
    position->acknowledged = varve_sequence(link->db);
    position->synced_ms = began_ms;
    position->mark_offset = survey->newest_mark_offset;
    position->mark_hash = survey->marks ? survey->newest.hash : 0;
    if (!survey->marks) return vcl_random(position->lineage, VCL_ID_BYTES, err);
    memcpy(position->lineage, survey->newest.lineage, VCL_ID_BYTES);
    memcpy(position->writer, survey->newest.writer, VCL_ID_BYTES);
    return VARVE_OK;
}

/* One attempt. VARVE_TIMEOUT: it outlasted the retention, and nothing was kept. */
static varve_status restore_once(const vcl_link *link, const vcl_offsets *offsets, int64_t retention_ms, vcl_position *position,
                                 vcl_survey *survey, vcl_judge_fn judge, void *judge_context, vcl_progress *progress,
                                 varve_error *err) {
    varve_bulk *bulk = NULL;
    vcl_position made = *position;
    int64_t began_ms = vcl_link_now_ms(link);
    vcl_survey_init(survey, NULL, link->db_id, 0);
    survey->next = offsets->start;
    varve_status status = varve_bulk_begin(link->store, &bulk, err);
    if (status != VARVE_OK) return status;
    status = load(link, bulk, offsets->start, offsets->end, survey, progress, err);
    if (status != VARVE_OK) goto out;
    int64_t took_ms = vcl_link_now_ms(link) - began_ms;
    if (took_ms > retention_ms) {
        status = vcl_fail(err, VARVE_TIMEOUT, 0,
                          "the restore took %lld s, tombstones are kept for %lld s (delete.retention.ms): "
                          "deletes may be missing; raise it",
                          (long long)(took_ms / 1000), (long long)(retention_ms / 1000));
        goto out;
    }
    status = judge(judge_context, survey, offsets->end, err);
    if (status != VARVE_OK) goto out;
    status = position_after(link, survey, offsets->end, began_ms, &made, err);
    if (status != VARVE_OK) goto out;
    uint8_t bytes[VCL_POSITION_BYTES_MAX];
    status = varve_bulk_finish(bulk, varve_bytes(bytes, vcl_position_encode(&made, bytes)), err);
    bulk = NULL;
    if (status == VARVE_OK) *position = made;
out:
    varve_bulk_abort(bulk);
    return status;
}

varve_status vcl_restore_all(const vcl_link *link, const vcl_offsets *offsets, int64_t retention_ms, vcl_position *position,
                             vcl_survey *survey, vcl_judge_fn judge, void *judge_context, vcl_progress *progress,
                             varve_error *err) {
    vcl_offsets stretch = *offsets;
    for (int attempt = 1;; attempt++) {
        vcl_progress_init(progress, link, stretch.start, stretch.end);
        varve_status status = restore_once(link, &stretch, retention_ms, position, survey, judge, judge_context, progress, err);
        if (status != VARVE_TIMEOUT || attempt == ATTEMPTS_MAX) return status;
        vcl_link_say(link, "%s; starting again", err->message);
        vcl_retry retry = vcl_retry_patient(link->config.timeout_ms);
        status = vcl_link_offsets(link, false, &retry, &stretch, err);
        if (status != VARVE_OK) return status;
        stretch.end = stretch.stable_end;
    }
}

/* --- What it is behind -------------------------------------------------------------------------------------------- */

/* A batch of records on its way into the store, with the position it will have. Threads: one. */
typedef struct vcl_delta {
    const vcl_link *link;
    varve_feed *feed;
    varve_batch *batch;
    vcl_position *position; /* in the store */
    vcl_position next;      /* with the records of the batch */
    vcl_survey survey;      /* of what was read: whether all of it was there */
} vcl_delta;

static varve_status delta_write(vcl_delta *delta, bool sync, varve_error *err) {
    /* All changes of the store up to here are replicas or void; what other stores have written is not ours to ship. */
    delta->next.acknowledged = varve_sequence(delta->link->db);
    varve_status status = vcl_link_write(delta->link, delta->batch, &delta->next, sync, err);
    if (status != VARVE_OK) return status;
    *delta->position = delta->next;
    varve_batch_clear(delta->batch);
    return varve_feed_release(delta->feed, delta->position->acknowledged, err);
}

static varve_status delta_add(vcl_delta *delta, const vcl_record *record, varve_error *err) {
    varve_store *store = delta->link->store;
    varve_status status = record->tombstone ? varve_batch_delete(delta->batch, store, record->key, err)
                                            : varve_batch_put(delta->batch, store, record->key, record->value, err);
    if (status != VARVE_OK) return status;
    status = vcl_survey_record(&delta->survey, record, err);
    if (status != VARVE_OK) return status;
    vcl_position *next = &delta->next;
    next->next_offset = record->offset + 1;
    if (record->mark.data) {
        const vcl_mark *mark = &delta->survey.newest;
        next->mark_offset = record->offset;
        next->mark_hash = mark->hash;
        if (mark->epoch > next->epoch) next->epoch = mark->epoch;
        memcpy(next->lineage, mark->lineage, VCL_ID_BYTES);
        memcpy(next->writer, mark->writer, VCL_ID_BYTES);
    }
    bool full = varve_batch_count(delta->batch) >= DELTA_RECORDS || varve_batch_bytes(delta->batch) >= DELTA_BYTES;
    return full ? delta_write(delta, false, err) : VARVE_OK;
}

static varve_status delta_read(vcl_delta *delta, int64_t end, vcl_progress *progress, varve_error *err) {
    const vcl_link *link = delta->link;
    vcl_retry retry = vcl_retry_patient(link->config.timeout_ms);
    vcl_topic_reader reader;
    vcl_topic_reader_init(&reader, link, delta->position->next_offset, end, &retry);
    varve_status status;
    const vcl_record *records;
    size_t count;
    while ((status = vcl_topic_reader_next(&reader, &records, &count, err)) == VARVE_OK) {
        for (size_t i = 0; i < count; i++) {
            status = delta_add(delta, &records[i], err);
            if (status != VARVE_OK) {
                vcl_fail_at(err, "topic %s [%d], offset %lld: ", link->config.topic, link->config.partition,
                            (long long)records[i].offset);
                goto out;
            }
            progress->now.records++;
            progress->now.bytes += records[i].key.size + records[i].value.size;
        }
        progress->now.offset = reader.next;
        status = vcl_progress_tell(progress, false, err);
        if (status != VARVE_OK) goto out;
    }
out:
    vcl_topic_reader_close(&reader);
    if (status != VARVE_NOT_FOUND) return status;
    vcl_survey_end(&delta->survey, end);
    return VARVE_OK;
}

varve_status vcl_restore_delta(const vcl_link *link, varve_feed *feed, int64_t end, int64_t began_ms, int64_t retention_ms,
                               vcl_position *position, vcl_progress *progress, varve_error *err) {
    vcl_delta delta = {.link = link, .feed = feed, .position = position, .next = *position};
    vcl_progress_init(progress, link, position->next_offset, end);
    varve_status status = varve_batch_create(&delta.batch, err);
    if (status != VARVE_OK) return status;
    delta.next.restoring = true;
    delta.next.target_offset = end;
    delta.next.session = 0;
    vcl_survey_init(&delta.survey, NULL, link->db_id, 0);
    delta.survey.next = position->next_offset;
    status = delta_read(&delta, end, progress, err);
    if (status != VARVE_OK) goto out;
    /* Where no record was missing, no delete was. */
    int64_t age_ms = vcl_link_now_ms(link) - position->synced_ms;
    if (age_ms > retention_ms && delta.survey.unexplained > 0) {
        status =
            vcl_fail(err, VARVE_DIVERGED, 0,
                     "topic %s [%d]: when its end was reached the store was %lld s behind, tombstones are "
                     "kept for %lld s (delete.retention.ms), and records have been cleaned away: deletes may be missing; restore "
                     "into an empty store",
                     link->config.topic, link->config.partition, (long long)(age_ms / 1000), (long long)(retention_ms / 1000));
        goto out;
    }
    delta.next.restoring = false;
    delta.next.next_offset = end;
    delta.next.synced_ms = began_ms;
    status = delta_write(&delta, true, err);
    if (status == VARVE_OK) status = vcl_progress_tell(progress, true, err);
out:
    varve_batch_free(delta.batch);
    return status;
}
