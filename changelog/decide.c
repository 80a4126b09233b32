/*
 * changelog/decide.c - what is to be done with a store and its log. Tests are made in the order of what they need: names first,
 * offsets next, then what a survey of the log's tail found.
 */
#include "decide.h"

#include <stdarg.h>
#include <stdio.h>

static void settle(vcl_decision *decision, vcl_verdict verdict) {
    *decision = (vcl_decision){.verdict = verdict, .reason = VCL_FINE};
}

__attribute__((format(printf, 4, 5))) static void refuse(vcl_decision *decision, const vcl_situation *at, vcl_reason reason,
                                                         const char *format, ...) {
    *decision = (vcl_decision){.verdict = VCL_REFUSE, .reason = reason};
    int size = snprintf(decision->message, sizeof decision->message, "topic %.100s [%d]: ", at->topic, at->partition);
    va_list args;
    va_start(args, format);
    vsnprintf(decision->message + size, sizeof decision->message - (size_t)size, format, args);
    va_end(args);
}

/* Names: does the position speak of this topic at all? */
static bool decide_identity(const vcl_situation *at, vcl_decision *decision) {
    const vcl_position *position = at->position;
    if (strcmp(position->topic, at->topic) != 0 || position->partition != at->partition) {
        refuse(decision, at, VCL_OTHER_TOPIC, "the store belongs to topic %.150s [%d]", position->topic, position->partition);
        return true;
    }
    if (!at->topic_exists) {
        refuse(decision, at, VCL_TOPIC_GONE, "it does not exist, but the store was at its offset %lld",
               (long long)position->next_offset);
        return true;
    }
    bool both_known = !vcl_id_is_zero(position->topic_id) && !vcl_id_is_zero(at->topic_id);
    if (both_known && !vcl_id_equal(position->topic_id, at->topic_id)) {
        refuse(decision, at, VCL_OTHER_TOPIC_ID, "it was deleted and created again: its id is %s, the store belongs to %s",
               vcl_id_name(at->topic_id).text, vcl_id_name(position->topic_id).text);
        return true;
    }
    return false;
}

static bool too_old(const vcl_situation *at) {
    return at->now_ms - at->position->synced_ms > at->delete_retention_ms;
}

static void refuse_old(const vcl_situation *at, vcl_decision *decision, const char *what) {
    refuse(decision, at, VCL_TOMBSTONES_EXPIRED,
           "the store was last equal to it %lld s ago, tombstones are kept for %lld s (delete.retention.ms), and %s: deletes may "
           "be "
           "missing; restore into an empty store",
           (long long)((at->now_ms - at->position->synced_ms) / 1000), (long long)(at->delete_retention_ms / 1000), what);
}

/* Offsets: does the log still have what comes after the position? */
static bool decide_offsets(const vcl_situation *at, vcl_decision *decision) {
    const vcl_position *position = at->position;
    int64_t reached = position->restoring ? position->target_offset : position->next_offset;
    if (reached > at->log_end) {
        refuse(decision, at, VCL_LOG_SHORTER,
               "it ends at offset %lld, but the store was at %lld: the broker lost acknowledged records", (long long)at->log_end,
               (long long)reached);
        return true;
    }
    /* One offset may be missing: the control record behind the group the position ends with. */
    if (at->log_start > position->next_offset + 1) {
        refuse(decision, at, VCL_LOG_START_PASSED,
               "it starts at offset %lld, but the store was at %lld: the records between are gone", (long long)at->log_start,
               (long long)position->next_offset);
        return true;
    }
    if (position->restoring && too_old(at)) {
        refuse_old(at, decision, "it was being brought up to date");
        return true;
    }
    return false;
}

/* Whether the position's lineage stands for content that came from, or went into, a log with marks. */
static bool lineage_is_settled(const vcl_position *position) {
    return position->mark_offset >= 0 || position->copying;
}

/* The tail: is it the continuation of what the position ends with? */
static bool decide_history(const vcl_situation *at, vcl_decision *decision) {
    const vcl_position *position = at->position;
    const vcl_survey *survey = at->survey;
    if (survey->rewritten) {
        refuse(decision, at, VCL_LOG_REWRITTEN,
               "the record at offset %lld is not the one the store has applied: the broker lost "
               "acknowledged records and others took their place",
               (long long)position->mark_offset);
    } else if (survey->forked) {
        refuse(decision, at, VCL_FORKED,
               "a copy of this database (id %s) has written to it: only one of the copies may; delete this one "
               "and restore into an empty database",
               vcl_id_name(survey->db_id).text);
    } else if (survey->lineages ||
               (survey->marks && lineage_is_settled(position) && !vcl_id_equal(survey->newest.lineage, position->lineage))) {
        refuse(decision, at, VCL_OTHER_LINEAGE, "its history is %s, the store's is %s", vcl_id_name(survey->newest.lineage).text,
               vcl_id_name(position->lineage).text);
    } else if (too_old(at) && survey->unexplained > 0) {
        refuse_old(at, decision, "records have been cleaned away since");
    } else {
        return false;
    }
    return true;
}

/* The end of the log, whoever wrote it. */
static bool decide_end(const vcl_situation *at, vcl_decision *decision) {
    const vcl_survey *survey = at->survey;
    bool own_copy = survey->own && !survey->foreign;
    if (survey->marks && survey->newest.base && !own_copy) {
        refuse(decision, at, VCL_COPY_UNFINISHED,
               "it ends in the middle of the first copy that database %s made into it: open that one "
               "for writing until its copy is complete",
               vcl_id_name(survey->newest.writer).text);
        return true;
    }
    if (at->writing && vcl_survey_stray(survey, at->log_end)) {
        refuse(decision, at, VCL_NOT_VARVE, "its newest record, at offset %lld, was not written by Varve",
               (long long)survey->newest_offset);
        return true;
    }
    return false;
}

static void decide_with_position(const vcl_situation *at, vcl_decision *decision) {
    if (decide_identity(at, decision) || decide_offsets(at, decision)) return;
    const vcl_survey *survey = at->survey;
    if (!survey) {
        settle(decision, VCL_SCAN);
        return;
    }
    if (decide_history(at, decision) || decide_end(at, decision)) return;
    if (survey->foreign) {
        if (at->position->copying) {
            refuse(decision, at, VCL_COPY_OVERTAKEN,
                   "another process has written to it before this store's first copy into it was "
                   "complete");
            return;
        }
        settle(decision, VCL_FOLLOW);
        return;
    }
    bool copied = !at->position->copying || (survey->own && !survey->own_newest.base);
    settle(decision, copied || !at->writing ? VCL_GO_ON : VCL_COPY);
}

void vcl_decide(const vcl_situation *situation, vcl_decision *decision) {
    if (situation->position) {
        decide_with_position(situation, decision);
        return;
    }
    bool log_empty = !situation->topic_exists || situation->log_end <= situation->log_start;
    if (situation->store_empty) {
        settle(decision, log_empty ? VCL_START : VCL_RESTORE);
    } else if (log_empty && situation->writing) {
        settle(decision, VCL_COPY);
    } else {
        refuse(decision, situation, VCL_NO_POSITION, "the store has content that it did not get from it, and %s",
               log_empty ? "it is empty" : "it has records of its own: use an empty store, or an empty topic");
    }
}

void vcl_decide_restored(const vcl_situation *situation, vcl_decision *decision) {
    const vcl_survey *survey = situation->survey;
    if (survey->lineages) {
        refuse(decision, situation, VCL_OTHER_LINEAGE, "it holds marks of more than one history, the newest of %s",
               vcl_id_name(survey->newest.lineage).text);
        return;
    }
    if (decide_end(situation, decision)) return;
    settle(decision, VCL_GO_ON);
}
