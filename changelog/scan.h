/*
 * changelog/scan.h - feeds a stretch of the log to a survey.
 */
#ifndef VCL_SCAN_H
#define VCL_SCAN_H

#include "link.h"
#include "survey.h"

/* Reads [from, end) into the survey and ends it there. Errors name topic and offset. */
varve_status vcl_scan(const vcl_link *link, vcl_survey *survey, int64_t from, int64_t end, vcl_retry *retry, varve_error *err);

#endif
