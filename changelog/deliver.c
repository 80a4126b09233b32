/*
 * changelog/deliver.c - brings a group into the log exactly once.
 */
#include "deliver.h"

#include "report.h"
#include "scan.h"

/* What became of an attempt, and what is to be done next. */
typedef enum vcl_outcome {
    DELIVERED, /* committed */
    REPEAT,    /* aborted for certain: the same again with the same producer */
    UNKNOWN,   /* the producer is of no more use: ask the log */
    HOPELESS   /* fenced, or the retry gave up */
} vcl_outcome;

static void tell(const vcl_courier *courier, const varve_error *err) {
    if (courier->trouble) courier->trouble(courier->trouble_context, err);
}

static void drop_producer(vcl_courier *courier) {
    if (courier->producer) courier->link->transport->ops->producer_close(courier->producer);
    courier->producer = NULL;
}

void vcl_courier_close(vcl_courier *courier) {
    drop_producer(courier);
}

varve_status vcl_courier_open(vcl_courier *courier, varve_error *err) {
    const vcl_link *link = courier->link;
    for (;;) {
        varve_status status = link->transport->ops->producer_open(link->transport, link->config.transactional_id,
                                                                  link->config.timeout_ms, &courier->producer, err);
        if (status == VARVE_OK) {
            vcl_retry_reset(&courier->retry);
            tell(courier, NULL);
            return VARVE_OK;
        }
        courier->producer = NULL;
        if (vcl_fenced(err)) return VARVE_FENCED;
        tell(courier, err);
        /* A producer that died while it was opened left nothing behind: the next one is as good. */
        bool worth_it = vcl_retriable(err) || ((err->flags & VARVE_ERROR_FATAL) && status == VARVE_KAFKA);
        if (!worth_it || !vcl_retry_again(&courier->retry)) return status;
    }
}

/* The group is in the log, and its marked record at offset. */
static void note_delivered(vcl_courier *courier, const vcl_group *group, int64_t offset) {
    vcl_position *position = courier->position;
    position->next_offset = offset + 1;
    position->mark_offset = offset;
    position->mark_hash = group->mark.hash;
    memcpy(position->writer, courier->link->db_id, VCL_ID_BYTES);
    vcl_retry_reset(&courier->retry);
    tell(courier, NULL);
}

/* Reads what the log has after the last known group. *found: this group is there, and the position notes it. */
static varve_status ask_log(vcl_courier *courier, const vcl_group *group, bool settle, bool *found, varve_error *err) {
    const vcl_link *link = courier->link;
    *found = false;
    vcl_offsets offsets;
    varve_status status = vcl_link_offsets(link, settle, &courier->retry, &offsets, err);
    if (status != VARVE_OK) return status;
    if (offsets.stable_end < courier->position->next_offset) {
        return vcl_fail(err, VARVE_DIVERGED, VARVE_ERROR_FATAL,
                        "topic %s [%d] ends at offset %lld, but records up to %lld were "
                        "acknowledged: the broker lost them",
                        link->config.topic, link->config.partition, (long long)offsets.stable_end,
                        (long long)courier->position->next_offset);
    }
    vcl_survey survey;
    vcl_survey_init(&survey, courier->position, link->db_id, UINT64_MAX);
    status = vcl_scan(link, &survey, courier->position->next_offset, offsets.stable_end, &courier->retry, err);
    if (status != VARVE_OK) return status;
    if (survey.own && survey.own_newest.hash == group->mark.hash) {
        note_delivered(courier, group, survey.own_mark_offset);
        *found = true;
        return VARVE_OK;
    }
    if (survey.foreign) {
        return vcl_fail(err, VARVE_FENCED, VARVE_ERROR_FENCED | VARVE_ERROR_FATAL,
                        "topic %s [%d]: another process has written to it from offset %lld on", link->config.topic,
                        link->config.partition, (long long)survey.own_end);
    }
    return VARVE_OK;
}

/*
 * After an outcome that cannot be known. The log is asked twice: first without touching it, so that a process that was taken over
 * does not fence its successor in turn; then after the new producer has settled what the old one left.
 */
static varve_status recover(vcl_courier *courier, const vcl_group *group, bool *found, varve_error *err) {
    for (;;) {
        varve_status status = ask_log(courier, group, false, found, err);
        if (status == VARVE_OK && !*found) status = vcl_courier_open(courier, err);
        if (status == VARVE_OK && !*found) status = ask_log(courier, group, true, found, err);
        if (status == VARVE_OK) return VARVE_OK;
        drop_producer(courier);
        if (vcl_fenced(err) || status == VARVE_DIVERGED || status == VARVE_CORRUPTION || status == VARVE_UNSUPPORTED) return status;
        tell(courier, err);
        if (!vcl_retry_again(&courier->retry)) return status;
    }
}

/* Ends the transaction after a failure that asks for it. */
static vcl_outcome abort_attempt(vcl_courier *courier, varve_error *err) {
    const vcl_link *link = courier->link;
    tell(courier, err);
    for (;;) {
        varve_status status = link->transport->ops->abort(courier->producer, link->config.timeout_ms, err);
        if (status == VARVE_OK) return vcl_retry_again(&courier->retry) ? REPEAT : HOPELESS;
        if (vcl_fenced(err)) return HOPELESS;
        if (!vcl_retriable(err)) return vcl_retry_again(&courier->retry) ? UNKNOWN : HOPELESS;
        tell(courier, err);
        if (!vcl_retry_again(&courier->retry)) return HOPELESS;
    }
}

/* What a failure of begin, produce or commit means when it is not to be tried again as it is. */
static vcl_outcome judge(vcl_courier *courier, varve_status status, varve_error *err) {
    if (vcl_fenced(err) || vcl_retriable(err)) return HOPELESS;
    if ((err->flags & VARVE_ERROR_FATAL) || status == VARVE_TIMEOUT) {
        tell(courier, err);
        return vcl_retry_again(&courier->retry) ? UNKNOWN : HOPELESS;
    }
    return abort_attempt(courier, err);
}

/* A call failed: whether the very same call is to be made again. */
static bool same_again(vcl_courier *courier, const varve_error *err) {
    if (!vcl_retriable(err) || vcl_fenced(err)) return false;
    tell(courier, err);
    return vcl_retry_again(&courier->retry);
}

static vcl_outcome attempt(vcl_courier *courier, const vcl_group *group, int64_t *next_offset, varve_error *err) {
    const vcl_link *link = courier->link;
    const vcl_transport_ops *ops = link->transport->ops;
    varve_status status;
    do {
        status = ops->begin(courier->producer, err);
    } while (status != VARVE_OK && same_again(courier, err));
    if (status != VARVE_OK) return judge(courier, status, err);
    do {
        status = ops->produce(courier->producer, link->config.topic, link->config.partition, group->records, group->count, err);
    } while (status != VARVE_OK && same_again(courier, err));
    if (status != VARVE_OK) return judge(courier, status, err);
    do {
        status = ops->commit(courier->producer, link->config.timeout_ms, next_offset, err);
    } while (status != VARVE_OK && same_again(courier, err));
    return status == VARVE_OK ? DELIVERED : judge(courier, status, err);
}

/* The producer could not tell where the committed group lies. */
static varve_status locate(vcl_courier *courier, const vcl_group *group, varve_error *err) {
    bool found;
    varve_status status;
    while ((status = ask_log(courier, group, false, &found, err)) != VARVE_OK && vcl_retriable(err)) {
        tell(courier, err);
        if (!vcl_retry_again(&courier->retry)) return status;
    }
    if (status != VARVE_OK || found) return status;
    return vcl_fail(err, VARVE_DIVERGED, VARVE_ERROR_FATAL, "topic %s [%d]: a group that was committed is not there",
                    courier->link->config.topic, courier->link->config.partition);
}

varve_status vcl_deliver(vcl_courier *courier, const vcl_group *group, varve_error *err) {
    for (;;) {
        if (!courier->producer) {
            bool found;
            varve_status status = recover(courier, group, &found, err);
            if (status != VARVE_OK || found) return status;
        }
        int64_t next_offset = -1;
        vcl_outcome outcome = attempt(courier, group, &next_offset, err);
        if (outcome == DELIVERED) {
            if (next_offset < 1) return locate(courier, group, err);
            note_delivered(courier, group, next_offset - 1);
            return VARVE_OK;
        }
        if (outcome == REPEAT) continue;
        drop_producer(courier);
        if (outcome == HOPELESS) return vcl_fenced(err) ? VARVE_FENCED : err->code;
    }
}
