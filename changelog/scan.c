/*
 * changelog/scan.c - feeds a stretch of the log to a survey.
 */
#include "scan.h"

#include "report.h"
#include "topic_reader.h"

varve_status vcl_scan(const vcl_link *link, vcl_survey *survey, int64_t from, int64_t end, vcl_retry *retry, varve_error *err) {
    vcl_topic_reader reader;
    vcl_topic_reader_init(&reader, link, from, end, retry);
    varve_status status;
    const vcl_record *records;
    size_t count;
    while ((status = vcl_topic_reader_next(&reader, &records, &count, err)) == VARVE_OK) {
        for (size_t i = 0; i < count && status == VARVE_OK; i++) status = vcl_survey_record(survey, &records[i], err);
        if (status != VARVE_OK) {
            vcl_fail_at(err, "topic %s [%d]: ", link->config.topic, link->config.partition);
            break;
        }
    }
    vcl_topic_reader_close(&reader);
    if (status != VARVE_NOT_FOUND) return status;
    vcl_survey_end(survey, end);
    return VARVE_OK;
}
