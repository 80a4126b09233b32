/*
 * tests/changelog/test_decide.c - the truth table of changelog/README.md, row by row.
 */
#include <criterion/criterion.h>
#include <stdio.h>

#include "decide.h"

#define DAY_MS INT64_C(86400000)

/* What a row changes of a situation in which all is well: a store at offset 100 of a log that ends there, one hour ago. */
typedef struct table_row {
    const char *name;
    vcl_verdict verdict;
    vcl_reason reason;
    bool no_position, store_filled, topic_missing, only_restoring, not_read;
    bool other_topic, other_partition, other_id, unknown_id;
    bool restoring, copying, no_marks_before;
    int64_t log_start, log_end, age_ms; /* 0: 0, 100 and an hour */
    bool foreign, own, own_base, forked, rewritten, lineages, other_lineage, newest_base, stray;
    uint64_t unexplained;
} table_row;

static const table_row rows[] = {
    /* No position. */
    {.name = "both empty", .no_position = true, .log_end = -1, .verdict = VCL_START},
    {.name = "no topic yet", .no_position = true, .topic_missing = true, .verdict = VCL_START},
    {.name = "store empty, log not", .no_position = true, .verdict = VCL_RESTORE},
    {.name = "store filled, log empty", .no_position = true, .store_filled = true, .log_end = -1, .verdict = VCL_COPY},
    {.name = "store filled, no topic", .no_position = true, .store_filled = true, .topic_missing = true, .verdict = VCL_COPY},
    {.name = "store filled, log empty, only restoring",
     .no_position = true,
     .store_filled = true,
     .log_end = -1,
     .only_restoring = true,
     .verdict = VCL_REFUSE,
     .reason = VCL_NO_POSITION},
    {.name = "both filled", .no_position = true, .store_filled = true, .verdict = VCL_REFUSE, .reason = VCL_NO_POSITION},
    /* Names. */
    {.name = "other topic", .other_topic = true, .verdict = VCL_REFUSE, .reason = VCL_OTHER_TOPIC},
    {.name = "other partition", .other_partition = true, .verdict = VCL_REFUSE, .reason = VCL_OTHER_TOPIC},
    {.name = "other topic id", .other_id = true, .verdict = VCL_REFUSE, .reason = VCL_OTHER_TOPIC_ID},
    {.name = "other topic id, unknown", .other_id = true, .unknown_id = true, .verdict = VCL_GO_ON},
    {.name = "topic gone", .topic_missing = true, .verdict = VCL_REFUSE, .reason = VCL_TOPIC_GONE},
    /* Offsets. */
    {.name = "log shorter", .log_end = 99, .verdict = VCL_REFUSE, .reason = VCL_LOG_SHORTER},
    {.name = "log shorter than the target", .restoring = true, .log_end = 109, .verdict = VCL_REFUSE, .reason = VCL_LOG_SHORTER},
    {.name = "log as long as the target", .restoring = true, .log_end = 110, .verdict = VCL_GO_ON},
    {.name = "start at the position", .log_start = 100, .log_end = 120, .verdict = VCL_GO_ON},
    {.name = "start after the control record", .log_start = 101, .log_end = 120, .verdict = VCL_GO_ON},
    {.name = "start past the position", .log_start = 102, .log_end = 120, .verdict = VCL_REFUSE, .reason = VCL_LOG_START_PASSED},
    {.name = "to be read first", .not_read = true, .log_end = 120, .verdict = VCL_SCAN},
    /* Nothing new. */
    {.name = "nothing new", .verdict = VCL_GO_ON},
    {.name = "nothing new for days", .age_ms = 30 * DAY_MS, .verdict = VCL_GO_ON},
    {.name = "own group not noted", .own = true, .log_end = 120, .verdict = VCL_GO_ON},
    /* Taken over. */
    {.name = "taken over", .foreign = true, .log_end = 120, .verdict = VCL_FOLLOW},
    {.name = "taken over after an own group", .own = true, .foreign = true, .log_end = 120, .verdict = VCL_FOLLOW},
    {.name = "taken over, old, all there", .foreign = true, .log_end = 120, .age_ms = 2 * DAY_MS, .verdict = VCL_FOLLOW},
    {.name = "taken over, cleaned, not old", .foreign = true, .log_end = 120, .unexplained = 1, .verdict = VCL_FOLLOW},
    {.name = "taken over, old and cleaned",
     .foreign = true,
     .log_end = 120,
     .unexplained = 1,
     .age_ms = DAY_MS + 1,
     .verdict = VCL_REFUSE,
     .reason = VCL_TOMBSTONES_EXPIRED},
    {.name = "at the very age", .foreign = true, .log_end = 120, .unexplained = 1, .age_ms = DAY_MS, .verdict = VCL_FOLLOW},
    {.name = "cleaned away altogether",
     .log_end = 120,
     .unexplained = 19,
     .age_ms = DAY_MS + 1,
     .verdict = VCL_REFUSE,
     .reason = VCL_TOMBSTONES_EXPIRED},
    {.name = "restoring for too long",
     .restoring = true,
     .log_end = 120,
     .age_ms = DAY_MS + 1,
     .verdict = VCL_REFUSE,
     .reason = VCL_TOMBSTONES_EXPIRED},
    {.name = "restoring, to be gone on with", .restoring = true, .foreign = true, .log_end = 120, .verdict = VCL_FOLLOW},
    /* Not one history. */
    {.name = "forked", .foreign = true, .forked = true, .log_end = 120, .verdict = VCL_REFUSE, .reason = VCL_FORKED},
    {.name = "rewritten", .rewritten = true, .log_end = 120, .verdict = VCL_REFUSE, .reason = VCL_LOG_REWRITTEN},
    {.name = "other lineage",
     .foreign = true,
     .other_lineage = true,
     .log_end = 120,
     .verdict = VCL_REFUSE,
     .reason = VCL_OTHER_LINEAGE},
    {.name = "other lineage before any mark",
     .foreign = true,
     .other_lineage = true,
     .no_marks_before = true,
     .log_end = 120,
     .verdict = VCL_FOLLOW},
    {.name = "two lineages", .foreign = true, .lineages = true, .log_end = 120, .verdict = VCL_REFUSE, .reason = VCL_OTHER_LINEAGE},
    {.name = "not by Varve", .foreign = true, .stray = true, .log_end = 120, .verdict = VCL_REFUSE, .reason = VCL_NOT_VARVE},
    {.name = "not by Varve, only restoring",
     .foreign = true,
     .stray = true,
     .only_restoring = true,
     .log_end = 120,
     .verdict = VCL_FOLLOW},
    /* First copies. */
    {.name = "copy to be made again", .copying = true, .verdict = VCL_COPY},
    {.name = "copy begun",
     .copying = true,
     .own = true,
     .own_base = true,
     .newest_base = true,
     .log_end = 120,
     .verdict = VCL_COPY},
    {.name = "copy complete, not noted", .copying = true, .own = true, .log_end = 120, .verdict = VCL_GO_ON},
    {.name = "copy overtaken",
     .copying = true,
     .foreign = true,
     .log_end = 120,
     .verdict = VCL_REFUSE,
     .reason = VCL_COPY_OVERTAKEN},
    {.name = "somebody's copy unfinished",
     .foreign = true,
     .newest_base = true,
     .log_end = 120,
     .verdict = VCL_REFUSE,
     .reason = VCL_COPY_UNFINISHED},
};

static void make(const table_row *row, vcl_situation *at, vcl_position *position, vcl_survey *survey) {
    *position = (vcl_position){.restoring = row->restoring,
                               .copying = row->copying,
                               .epoch = 3,
                               .session = 9,
                               .next_offset = 100,
                               .target_offset = row->restoring ? 110 : 100,
                               .mark_offset = row->no_marks_before ? -1 : 98,
                               .synced_ms = 40 * DAY_MS - (row->age_ms ? row->age_ms : 3600000)};
    snprintf(position->topic, sizeof position->topic, "%s", row->other_topic ? "orders" : "users");
    position->partition = row->other_partition;
    memset(position->topic_id, row->unknown_id ? 0 : row->other_id ? 2 : 1, VCL_ID_BYTES);
    memset(position->lineage, 5, VCL_ID_BYTES);
    memset(survey, 0, sizeof *survey);
    survey->has_position = true;
    survey->position = *position;
    survey->foreign = row->foreign;
    survey->own = row->own;
    survey->own_newest.base = row->own_base;
    survey->forked = row->forked;
    survey->rewritten = row->rewritten;
    survey->lineages = row->lineages;
    survey->unexplained = row->unexplained;
    survey->marks = row->own || (row->foreign && !row->stray);
    survey->newest.base = row->newest_base;
    memset(survey->newest.lineage, row->other_lineage ? 6 : 5, VCL_ID_BYTES);
    survey->unmarked = row->stray;
    int64_t end = row->log_end ? row->log_end : 100;
    survey->newest_offset = end - 1;
    *at = (vcl_situation){.topic = "users",
                          .topic_exists = !row->topic_missing,
                          .store_empty = !row->store_filled,
                          .writing = !row->only_restoring,
                          .position = row->no_position ? NULL : position,
                          .log_start = row->log_start,
                          .log_end = end < 0 ? 0 : end,
                          .delete_retention_ms = DAY_MS,
                          .now_ms = 40 * DAY_MS,
                          .survey = row->not_read ? NULL : survey};
    memset(at->topic_id, 1, VCL_ID_BYTES);
}

Test(decide, every_row) {
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        vcl_situation at;
        vcl_position position;
        vcl_survey survey;
        vcl_decision decision;
        make(&rows[i], &at, &position, &survey);
        vcl_decide(&at, &decision);
        cr_expect_eq(decision.verdict, rows[i].verdict, "%s: verdict %d, %s", rows[i].name, (int)decision.verdict,
                     decision.message);
        cr_expect_eq(decision.reason, rows[i].reason, "%s: reason %d", rows[i].name, (int)decision.reason);
        cr_expect_eq(decision.message[0] != 0, rows[i].verdict == VCL_REFUSE, "%s", rows[i].name);
    }
}

Test(decide, what_was_restored) {
    vcl_survey survey = {.marks = true, .newest_offset = 99};
    vcl_situation at = {.topic = "users", .log_end = 100, .writing = true, .survey = &survey, .topic_exists = true};
    vcl_decision decision;
    vcl_decide_restored(&at, &decision);
    cr_expect_eq(decision.verdict, VCL_GO_ON);
    survey.newest.base = true;
    vcl_decide_restored(&at, &decision);
    cr_expect_eq(decision.reason, VCL_COPY_UNFINISHED);
    survey.newest.base = false;
    survey.lineages = true;
    vcl_decide_restored(&at, &decision);
    cr_expect_eq(decision.reason, VCL_OTHER_LINEAGE);
    survey.lineages = false;
    survey.unmarked = 1;
    vcl_decide_restored(&at, &decision);
    cr_expect_eq(decision.reason, VCL_NOT_VARVE);
    at.writing = false;
    vcl_decide_restored(&at, &decision);
    cr_expect_eq(decision.verdict, VCL_GO_ON);
    /* A gap before the end is a control record, or something cleaned: no proof of anything. */
    at.writing = true;
    at.log_end = 101;
    vcl_decide_restored(&at, &decision);
    cr_expect_eq(decision.verdict, VCL_GO_ON);
}

Test(decide, a_clock_that_went_back_is_not_an_age) {
    vcl_situation at;
    vcl_position position;
    vcl_survey survey;
    vcl_decision decision;
    table_row row = {.foreign = true, .log_end = 120, .unexplained = 1};
    make(&row, &at, &position, &survey);
    at.now_ms = 1000;
    vcl_decide(&at, &decision);
    cr_expect_eq(decision.verdict, VCL_FOLLOW);
}
