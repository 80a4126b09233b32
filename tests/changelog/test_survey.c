/*
 * tests/changelog/test_survey.c - what a survey makes of a stretch of records.
 */
#include <criterion/criterion.h>

#include "survey.h"

static const uint8_t me[VCL_ID_BYTES] = {1, 2, 3};
static const uint8_t other[VCL_ID_BYTES] = {9, 9, 9};

static vcl_position at_ten(void) {
    vcl_position position = {.epoch = 4, .session = 44, .next_offset = 10, .mark_offset = 9};
    memset(position.lineage, 5, VCL_ID_BYTES);
    return position;
}

static vcl_mark mark_by(const uint8_t writer[VCL_ID_BYTES], uint32_t epoch, uint32_t session, uint64_t sequence) {
    vcl_mark mark = {.records = 1, .epoch = epoch, .session = session, .sequence = sequence};
    memcpy(mark.writer, writer, VCL_ID_BYTES);
    memset(mark.lineage, 5, VCL_ID_BYTES);
    return mark;
}

static void take(vcl_survey *survey, int64_t offset, const vcl_mark *mark) {
    varve_error err;
    uint8_t bytes[VCL_MARK_BYTES];
    vcl_record record = {.key = varve_str("k"), .offset = offset};
    vcl_mark copy;
    if (mark) {
        copy = *mark;
        vcl_mark_encode(&copy, bytes);
        record.mark = varve_bytes(bytes, sizeof bytes);
    }
    cr_assert_eq(vcl_survey_record(survey, &record, &err), VARVE_OK);
}

static vcl_survey begin(const vcl_position *position) {
    vcl_survey survey;
    vcl_survey_init(&survey, position, me, 1000);
    return survey;
}

Test(survey, own_groups_end_where_foreign_ones_begin) {
    vcl_position position = at_ten();
    vcl_survey survey = begin(&position);
    vcl_mark own = mark_by(me, 4, 44, 500), foreign = mark_by(other, 5, 55, 7);
    take(&survey, 11, NULL);
    take(&survey, 12, &own);
    cr_expect(!survey.foreign && survey.own);
    take(&survey, 14, NULL);
    take(&survey, 15, &foreign);
    vcl_survey_end(&survey, 17);
    cr_expect(survey.foreign && !survey.forked && !survey.ahead);
    cr_expect_eq(survey.own_end, 13);
    cr_expect_eq(survey.own_newest.sequence, 500);
    cr_expect_eq(survey.epoch_max, 5);
    cr_expect_eq(survey.unexplained, 0);
    cr_expect_eq(survey.next, 17);
}

Test(survey, what_comes_after_a_foreign_group_is_not_own) {
    vcl_position position = at_ten();
    vcl_survey survey = begin(&position);
    vcl_mark own = mark_by(me, 4, 44, 500), foreign = mark_by(other, 5, 55, 7);
    take(&survey, 11, &foreign);
    take(&survey, 13, &own);
    vcl_survey_end(&survey, 15);
    cr_expect(!survey.own);
    cr_expect_eq(survey.own_end, 10);
}

Test(survey, another_session_of_this_database_is_a_fork) {
    vcl_position position = at_ten();
    vcl_mark marks[] = {mark_by(me, 5, 44, 1), mark_by(me, 4, 45, 1), mark_by(me, 3, 44, 1)};
    for (size_t i = 0; i < 3; i++) {
        vcl_survey survey = begin(&position);
        take(&survey, 11, &marks[i]);
        cr_expect(survey.forked && survey.foreign, "%zu", i);
    }
}

Test(survey, own_groups_beyond_the_local_sequence_are_to_be_applied) {
    vcl_position position = at_ten();
    vcl_survey survey = begin(&position);
    vcl_mark kept = mark_by(me, 4, 44, 1000), lost = mark_by(me, 4, 44, 1001), next = mark_by(me, 4, 44, 1002);
    take(&survey, 10, &kept);
    take(&survey, 12, &lost);
    take(&survey, 14, &next);
    cr_expect(survey.ahead && survey.foreign && !survey.forked);
    cr_expect_eq(survey.own_end, 11);
    /* Interrupted while they were being applied, they are not own, and no fork. */
    position.session = 0;
    position.restoring = true;
    survey = begin(&position);
    take(&survey, 12, &lost);
    cr_expect(survey.foreign && !survey.forked && !survey.own);
}

Test(survey, records_that_no_mark_follows_are_foreign) {
    vcl_position position = at_ten();
    vcl_survey survey = begin(&position);
    take(&survey, 12, NULL);
    vcl_survey_end(&survey, 20);
    cr_expect(survey.foreign && !survey.marks);
    cr_expect(!vcl_survey_stray(&survey, 20));
    cr_expect(vcl_survey_stray(&survey, 13));
}

Test(survey, a_stray_record_that_was_applied_is_one_still) {
    vcl_position position = at_ten();
    position.mark_offset = 4;
    vcl_mark old = mark_by(other, 3, 33, 1), own = mark_by(me, 4, 44, 500);
    vcl_survey survey = begin(&position);
    cr_expect_eq(vcl_survey_from(&survey, 0), 4);
    cr_expect_eq(vcl_survey_from(&survey, 5), 9);
    cr_expect_eq(vcl_survey_from(&survey, 10), 10);
    take(&survey, 4, &old);
    take(&survey, 9, NULL);
    vcl_survey_end(&survey, 10);
    cr_expect(!survey.foreign, "it is in the store");
    cr_expect(vcl_survey_stray(&survey, 10));
    cr_expect(!vcl_survey_stray(&survey, 11), "a control record behind it");
    take(&survey, 11, &own);
    cr_expect(!vcl_survey_stray(&survey, 12));
}

Test(survey, offsets_that_are_missing_are_counted) {
    vcl_position position = at_ten();
    vcl_survey survey = begin(&position);
    vcl_mark foreign = mark_by(other, 5, 55, 7);
    take(&survey, 11, NULL);     /* 10: the control record of the group before */
    take(&survey, 13, &foreign); /* 12 is missing */
    cr_expect_eq(survey.unexplained, 1);
    take(&survey, 15, &foreign); /* 14: control record */
    cr_expect_eq(survey.unexplained, 1);
    vcl_survey_end(&survey, 20); /* 16: control record, 17, 18 and 19 are missing */
    cr_expect_eq(survey.unexplained, 4);
    vcl_survey_end(&survey, 21); /* going on from there, one more */
    cr_expect_eq(survey.unexplained, 5);
}

Test(survey, the_newest_mark_applied_must_still_be_what_it_was) {
    vcl_position position = at_ten();
    vcl_mark applied = mark_by(other, 3, 33, 77), different = mark_by(other, 3, 33, 78);
    uint8_t bytes[VCL_MARK_BYTES];
    vcl_mark_encode(&applied, bytes);
    position.mark_hash = applied.hash;

    vcl_survey survey = begin(&position);
    cr_expect_eq(vcl_survey_from(&survey, 0), 9);
    cr_expect_eq(vcl_survey_from(&survey, 10), 10);
    take(&survey, 9, &applied);
    cr_expect(!survey.rewritten);
    cr_expect_eq(survey.records, 0);
    survey = begin(&position);
    take(&survey, 9, &different);
    cr_expect(survey.rewritten);
    survey = begin(&position);
    take(&survey, 9, NULL);
    cr_expect(survey.rewritten);
    /* Cleaned away, it proves nothing. */
    survey = begin(&position);
    vcl_survey_end(&survey, 10);
    cr_expect(!survey.rewritten);
}

Test(survey, two_lineages_are_noticed) {
    vcl_position position = at_ten();
    vcl_survey survey = begin(&position);
    vcl_mark a = mark_by(other, 5, 55, 7), b = mark_by(other, 5, 55, 8);
    b.lineage[0] = 99;
    take(&survey, 10, &a);
    cr_expect(!survey.lineages);
    take(&survey, 12, &b);
    cr_expect(survey.lineages);
}

Test(survey, without_a_position_nothing_is_own) {
    vcl_survey survey = begin(NULL);
    vcl_mark own = mark_by(me, 4, 44, 500);
    cr_expect_eq(vcl_survey_from(&survey, 3), 3);
    take(&survey, 3, &own);
    vcl_survey_end(&survey, 5);
    cr_expect(!survey.own && !survey.foreign && !survey.forked && survey.marks);
}

Test(survey, a_damaged_mark_names_its_offset) {
    vcl_survey survey = begin(NULL);
    varve_error err;
    vcl_record record = {.key = varve_str("k"), .offset = 4711, .mark = varve_bytes("\001damaged", 8)};
    cr_expect_eq(vcl_survey_record(&survey, &record, &err), VARVE_CORRUPTION);
    cr_expect(strstr(err.message, "offset 4711"), "%s", err.message);
}
