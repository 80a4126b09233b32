/*
 * changelog/reconcile.c - finds out how store and log stand to each other, decides, and brings the store to the end of the log.
 */
#include "reconcile.h"

#include "report.h"
#include "rollback.h"
#include "scan.h"
#include "topic.h"

static varve_status look_at_topic(vcl_reconcile *reconcile, varve_error *err) {
    const vcl_link *link = reconcile->link;
    const vcl_config *config = &link->config;
    varve_status status = vcl_topic_describe(link, &reconcile->topic, err);
    if (status != VARVE_OK) return status;
    if (!reconcile->topic.exists) {
        if (reconcile->has_position) return VARVE_OK; /* what that means is for the decision to say */
        if (config->must_exist || !reconcile->writing) {
            return vcl_fail(err, VARVE_MISSING, 0, "topic %s does not exist", config->topic);
        }
        status = vcl_topic_create(link, &reconcile->topic, err);
        if (status != VARVE_OK) return status;
    }
    if (!reconcile->topic.cleanup_policy[0]) vcl_link_say(link, "the broker does not tell its settings, they were not checked");
    return vcl_topic_check(config, &reconcile->topic, err);
}

static varve_status look_at_store(vcl_reconcile *reconcile, varve_error *err) {
    const vcl_link *link = reconcile->link;
    varve_status status = vcl_link_position(link, &reconcile->position, err);
    if (status != VARVE_OK && status != VARVE_NOT_FOUND) return status;
    reconcile->has_position = status == VARVE_OK;
    varve_iterator *it = NULL;
    status = varve_iterator_open(link->store, NULL, &it, err);
    if (status != VARVE_OK) return status;
    status = varve_iterator_next(it);
    if (status != VARVE_OK && status != VARVE_NOT_FOUND) *err = *varve_iterator_error(it);
    varve_iterator_close(it);
    reconcile->store_empty = status == VARVE_NOT_FOUND;
    return status == VARVE_NOT_FOUND ? VARVE_OK : status;
}

static vcl_situation situation_of(const vcl_reconcile *reconcile) {
    const vcl_link *link = reconcile->link;
    vcl_situation at = {.topic = link->config.topic,
                        .partition = link->config.partition,
                        .topic_exists = reconcile->topic.exists,
                        .store_empty = reconcile->store_empty,
                        .writing = reconcile->writing,
                        .position = reconcile->has_position ? &reconcile->position : NULL,
                        .log_start = reconcile->offsets.start,
                        .log_end = reconcile->offsets.stable_end,
                        .delete_retention_ms = vcl_topic_delete_retention_ms(&reconcile->topic),
                        .now_ms = vcl_link_now_ms(link),
                        .survey = reconcile->surveyed ? &reconcile->survey : NULL};
    memcpy(at.topic_id, reconcile->topic.id, VCL_ID_BYTES);
    return at;
}

static varve_status decide(vcl_reconcile *reconcile, varve_error *err) {
    vcl_situation at = situation_of(reconcile);
    vcl_decide(&at, &reconcile->decision);
    if (reconcile->decision.verdict != VCL_REFUSE) return VARVE_OK;
    return vcl_fail(err, VARVE_DIVERGED, 0, "%s", reconcile->decision.message);
}

/* Reads what the log has after the position, or after what was read before. */
static varve_status survey_tail(vcl_reconcile *reconcile, varve_error *err) {
    const vcl_link *link = reconcile->link;
    vcl_retry retry = vcl_retry_patient(link->config.timeout_ms);
    int64_t from = reconcile->survey.next;
    if (!reconcile->surveyed) {
        vcl_survey_init(&reconcile->survey, &reconcile->position, link->db_id, varve_sequence(link->db));
        from = vcl_survey_from(&reconcile->survey, reconcile->offsets.start);
    }
    varve_status status = vcl_scan(link, &reconcile->survey, from, reconcile->offsets.stable_end, &retry, err);
    if (status == VARVE_OK) reconcile->surveyed = true;
    return status;
}

static varve_status look_at_log(vcl_reconcile *reconcile, bool settle, varve_error *err) {
    reconcile->began_ms = vcl_link_now_ms(reconcile->link);
    if (reconcile->topic.exists) {
        vcl_retry retry = vcl_retry_patient(reconcile->link->config.timeout_ms);
        varve_status status = vcl_link_offsets(reconcile->link, settle, &retry, &reconcile->offsets, err);
        if (status != VARVE_OK) return status;
    }
    varve_status status = decide(reconcile, err);
    bool more = reconcile->surveyed && reconcile->survey.next < reconcile->offsets.stable_end;
    if (status != VARVE_OK || (reconcile->decision.verdict != VCL_SCAN && !more)) return status;
    status = survey_tail(reconcile, err);
    return status == VARVE_OK ? decide(reconcile, err) : status;
}

varve_status vcl_reconcile_look(vcl_reconcile *reconcile, const vcl_link *link, bool writing, varve_error *err) {
    memset(reconcile, 0, sizeof *reconcile);
    reconcile->link = link;
    reconcile->writing = writing;
    varve_status status = look_at_store(reconcile, err);
    if (status == VARVE_OK) status = look_at_topic(reconcile, err);
    if (status == VARVE_OK) status = look_at_log(reconcile, false, err);
    return status;
}

varve_status vcl_reconcile_look_again(vcl_reconcile *reconcile, varve_error *err) {
    return look_at_log(reconcile, true, err);
}

/* --- Acting --------------------------------------------------------------------------------------------------------- */

/* The names in a position: which topic and partition it speaks of. */
static void name_position(const vcl_reconcile *reconcile, vcl_position *position) {
    const vcl_config *config = &reconcile->link->config;
    memcpy(position->topic, config->topic, sizeof position->topic);
    memcpy(position->topic_id, reconcile->topic.id, VCL_ID_BYTES);
    position->partition = config->partition;
}

/* Neither store nor log has a history yet. */
static varve_status begin_history(vcl_reconcile *reconcile, varve_error *err) {
    vcl_position *position = &reconcile->position;
    memset(position, 0, sizeof *position);
    name_position(reconcile, position);
    position->next_offset = reconcile->offsets.stable_end;
    position->target_offset = position->next_offset;
    position->acknowledged = varve_sequence(reconcile->link->db);
    position->synced_ms = reconcile->began_ms;
    position->mark_offset = -1;
    return vcl_random(position->lineage, VCL_ID_BYTES, err);
}

static varve_status judge_restored(void *context, const vcl_survey *survey, int64_t end, varve_error *err) {
    vcl_reconcile *reconcile = context;
    vcl_situation at = situation_of(reconcile);
    at.survey = survey;
    at.log_end = end;
    vcl_decide_restored(&at, &reconcile->decision);
    if (reconcile->decision.verdict == VCL_REFUSE) return vcl_fail(err, VARVE_DIVERGED, 0, "%s", reconcile->decision.message);
    if (!survey->marks && survey->records > 0) {
        vcl_link_say(reconcile->link, "has %llu records and no mark of Varve: they are taken as they are",
                     (unsigned long long)survey->records);
    }
    return VARVE_OK;
}

static varve_status restore(vcl_reconcile *reconcile, varve_error *err) {
    vcl_position position = {0};
    name_position(reconcile, &position);
    vcl_offsets stretch = reconcile->offsets;
    stretch.end = stretch.stable_end;
    vcl_survey survey;
    varve_status status = vcl_restore_all(reconcile->link, &stretch, vcl_topic_delete_retention_ms(&reconcile->topic), &position,
                                          &survey, judge_restored, reconcile, &reconcile->progress, err);
    if (status != VARVE_OK) return status;
    reconcile->position = position;
    reconcile->has_position = true;
    return VARVE_OK;
}

/* Own groups that were shipped but not noted are noted now: everything up to them is acknowledged. */
static void note_own(vcl_reconcile *reconcile, varve_feed *feed) {
    vcl_position *position = &reconcile->position;
    const vcl_survey *survey = &reconcile->survey;
    /* What was released was in the log before: a position may be older than that by one group, after a loss of power. */
    uint64_t released = varve_feed_released(feed);
    if (released > position->acknowledged) position->acknowledged = released;
    if (!survey->own) return;
    if (!survey->own_newest.base) {
        position->copying = false;
        if (survey->own_newest.sequence > position->acknowledged) position->acknowledged = survey->own_newest.sequence;
    }
    position->next_offset = survey->own_end;
    position->mark_offset = survey->own_mark_offset;
    position->mark_hash = survey->own_newest.hash;
    memcpy(position->writer, survey->own_newest.writer, VCL_ID_BYTES);
}

static varve_status follow(vcl_reconcile *reconcile, varve_feed *feed, varve_error *err) {
    const vcl_link *link = reconcile->link;
    int64_t end = reconcile->offsets.stable_end;
    note_own(reconcile, feed);
    if (reconcile->survey.ahead) {
        vcl_link_say(link, "holds changes of this store that its disk has lost although they were synced: they are applied again");
    }
    varve_status status = vcl_roll_back(link, feed, end, &reconcile->position, &reconcile->rolled_back, err);
    if (status != VARVE_OK) return status;
    if (reconcile->rolled_back > 0) {
        vcl_link_say(link, "was taken over by another process; %llu changes of this store that had not reached it were rolled back",
                     (unsigned long long)reconcile->rolled_back);
    }
    return vcl_restore_delta(link, feed, end, reconcile->began_ms, vcl_topic_delete_retention_ms(&reconcile->topic),
                             &reconcile->position, &reconcile->progress, err);
}

static void go_on(vcl_reconcile *reconcile, varve_feed *feed) {
    note_own(reconcile, feed);
    vcl_position *position = &reconcile->position;
    position->next_offset = reconcile->offsets.stable_end;
    position->target_offset = position->next_offset;
    position->restoring = false;
    position->synced_ms = reconcile->began_ms;
}

varve_status vcl_reconcile_act(vcl_reconcile *reconcile, varve_feed *feed, varve_error *err) {
    varve_status status = VARVE_OK;
    switch (reconcile->decision.verdict) {
    case VCL_START: return begin_history(reconcile, err);
    case VCL_COPY:
        if (!reconcile->has_position)
            status = begin_history(reconcile, err);
        else
            go_on(reconcile, feed);
        reconcile->position.copying = true;
        return status;
    case VCL_RESTORE: return restore(reconcile, err);
    case VCL_GO_ON: go_on(reconcile, feed); return VARVE_OK;
    case VCL_FOLLOW: return follow(reconcile, feed, err);
    case VCL_REFUSE:
    case VCL_SCAN: break;
    }
    return vcl_fail(err, VARVE_INTERNAL, 0, "verdict %d is not one to act on", (int)reconcile->decision.verdict);
}
