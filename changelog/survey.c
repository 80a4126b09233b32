/*
 * changelog/survey.c - what the records of a stretch of the log say about it.
 */
#include "survey.h"

#include "report.h"

void vcl_survey_init(vcl_survey *survey, const vcl_position *position, const uint8_t db_id[VCL_ID_BYTES], uint64_t local_sequence) {
    memset(survey, 0, sizeof *survey);
    memcpy(survey->db_id, db_id, VCL_ID_BYTES);
    survey->local_sequence = local_sequence;
    survey->newest_offset = -1;
    survey->newest_mark_offset = -1;
    survey->own_mark_offset = -1;
    /* The commit of the newest noted group left a control record behind it. */
    survey->control_credit = 1;
    if (!position) return;
    survey->has_position = true;
    survey->position = *position;
    survey->next = position->next_offset;
    survey->own_end = position->next_offset;
    survey->epoch_max = position->epoch;
}

int64_t vcl_survey_from(const vcl_survey *survey, int64_t log_start) {
    if (!survey->has_position) return log_start;
    int64_t mark = survey->position.mark_offset, next = survey->position.next_offset;
    if (mark >= log_start) return mark;
    return next > log_start ? next - 1 : next;
}

static varve_status decode(const vcl_record *record, vcl_mark *mark, varve_error *err) {
    varve_status status = vcl_mark_decode(record->mark, mark, err);
    if (status != VARVE_OK) vcl_fail_at(err, "record at offset %lld: ", (long long)record->offset);
    return status;
}

/* A mark that is this store's own proves that its group needs not be applied. */
static void take_own(vcl_survey *survey, const vcl_mark *mark, int64_t offset) {
    if (!mark->base && mark->sequence > survey->local_sequence) {
        survey->ahead = true;
        survey->foreign = true;
        return;
    }
    survey->own = true;
    survey->own_newest = *mark;
    survey->own_mark_offset = offset;
    survey->own_end = offset + 1;
}

static void sort_mark(vcl_survey *survey, const vcl_mark *mark, int64_t offset) {
    const vcl_position *position = &survey->position;
    /* While a restore is under way nothing is own: groups of this database that its disk had lost are applied like others. */
    bool being_restored = position->restoring && position->session == 0 && mark->epoch <= position->epoch;
    if (!vcl_id_equal(mark->writer, survey->db_id) || being_restored) {
        survey->foreign = true;
    } else if (mark->session != position->session || mark->epoch != position->epoch || position->session == 0) {
        survey->foreign = true;
        survey->forked = true;
    } else if (!survey->foreign) {
        take_own(survey, mark, offset);
    }
}

varve_status vcl_survey_mark(vcl_survey *survey, const vcl_record *record, varve_error *err) {
    vcl_mark mark;
    varve_status status = decode(record, &mark, err);
    if (status != VARVE_OK) return status;
    if (survey->marks && !vcl_id_equal(mark.lineage, survey->newest.lineage)) survey->lineages = true;
    if (survey->has_position) sort_mark(survey, &mark, record->offset);
    if (mark.epoch > survey->epoch_max) survey->epoch_max = mark.epoch;
    survey->marks = true;
    survey->newest = mark;
    survey->newest_mark_offset = record->offset;
    survey->newest_offset = record->offset;
    survey->unmarked = 0;
    survey->control_credit = 1;
    return VARVE_OK;
}

/* The record where the newest applied mark was must still carry it; its being gone proves nothing, since cleaning takes records. */
static varve_status recognise(vcl_survey *survey, const vcl_record *record, varve_error *err) {
    survey->newest_offset = record->offset;
    survey->known_unmarked = !record->mark.data;
    if (record->offset != survey->position.mark_offset) return VARVE_OK;
    if (!record->mark.data) {
        survey->rewritten = true;
        return VARVE_OK;
    }
    vcl_mark mark;
    varve_status status = decode(record, &mark, err);
    if (status == VARVE_OK && mark.hash != survey->position.mark_hash) survey->rewritten = true;
    return status;
}

static void explain(vcl_survey *survey, int64_t offset) {
    uint64_t gap = offset > survey->next ? (uint64_t)(offset - survey->next) : 0;
    if (gap > survey->control_credit) survey->unexplained += gap - survey->control_credit;
    if (gap > 0) survey->control_credit = 0;
}

varve_status vcl_survey_record(vcl_survey *survey, const vcl_record *record, varve_error *err) {
    if (survey->has_position && record->offset < survey->position.next_offset) return recognise(survey, record, err);
    explain(survey, record->offset);
    survey->records++;
    survey->next = record->offset + 1;
    if (record->mark.data) return vcl_survey_mark(survey, record, err);
    survey->unmarked++;
    survey->newest_offset = record->offset;
    return VARVE_OK;
}

void vcl_survey_end(vcl_survey *survey, int64_t end) {
    explain(survey, end);
    if (end > survey->next) survey->next = end;
    /* Records that no mark follows: their own mark was a delete that has expired, so a later writer's group once followed. */
    if (survey->has_position && survey->unmarked > 0) survey->foreign = true;
}

bool vcl_survey_stray(const vcl_survey *survey, int64_t end) {
    bool unmarked = survey->unmarked > 0 || (survey->records == 0 && survey->known_unmarked);
    return unmarked && survey->newest_offset == end - 1;
}
