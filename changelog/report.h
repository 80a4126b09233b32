/*
 * changelog/report.h - errors and diagnostics of the changelog. Threads: any. Inside the changelog an error record is never NULL:
 * the public functions see to that, because its flags decide what is done next.
 */
#ifndef VCL_REPORT_H
#define VCL_REPORT_H

#include <varve/varve.h>

/* Fills the error record. Returns: code. */
varve_status vcl_fail(varve_error *err, varve_status code, uint32_t flags, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Puts words in front of the message that is there, for the caller who knows where it was. */
void vcl_fail_at(varve_error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Gives one line to the caller's diagnostics; fn may be NULL. */
void vcl_say(varve_diag_fn fn, void *context, const char *format, ...) __attribute__((format(printf, 3, 4)));

static inline bool vcl_retriable(const varve_error *err) {
    return (err->flags & VARVE_ERROR_RETRIABLE) != 0;
}

static inline bool vcl_fenced(const varve_error *err) {
    return err->code == VARVE_FENCED || (err->flags & VARVE_ERROR_FENCED) != 0;
}

#endif
