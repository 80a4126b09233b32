/*
 * base/error.c - filling error records.
 *
 * Threads: any; a record belongs to its caller. The text is put together in a local buffer first, so that an argument may be
 * the old message of the record that is filled.
 */
#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"

/* What may be done about a failure, as far as its code alone tells. */
static uint32_t flags_of(varve_status code) {
    switch (code) {
    case VARVE_BUSY:
    case VARVE_NO_SPACE:
    case VARVE_NOMEM:
    case VARVE_TIMEOUT: return VARVE_ERROR_RETRIABLE;
    case VARVE_FENCED: return VARVE_ERROR_FENCED | VARVE_ERROR_FATAL;
    default: return 0;
    }
}

static varve_status code_of(int os_error) {
    switch (os_error) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG: return VARVE_NO_SPACE; /* of the disk, the user, the process */
    case ENOMEM: return VARVE_NOMEM;
    case ENOENT: return VARVE_MISSING;
    case EEXIST: return VARVE_EXISTS;
    default: return VARVE_IO;
    }
}

/* Fills err with "<text><tail>". The text gives way when both do not fit: the tail says what happened. */
static void fill(varve_error *err, varve_status code, int os_error, const char *tail, const char *format, va_list arguments) {
    char text[sizeof err->message];
    size_t tail_size = strlen(tail);
    VR_ASSERT(tail_size < sizeof text / 2);
    int length = vsnprintf(text, sizeof text - tail_size, format, arguments);
    size_t size = length < 0 ? 0 : (size_t)length;
    if (size > sizeof text - tail_size - 1) size = sizeof text - tail_size - 1;
    memcpy(text + size, tail, tail_size);
    text[size + tail_size] = '\0';

    err->code = code;
    err->os_error = os_error;
    err->flags = flags_of(code);
    memcpy(err->message, text, size + tail_size + 1);
}

varve_status vr_error_set(varve_error *err, varve_status code, const char *format, ...) {
    VR_ASSERT(code != VARVE_OK);
    if (!err) return code;
    va_list arguments;
    va_start(arguments, format);
    fill(err, code, 0, "", format, arguments);
    va_end(arguments);
    return code;
}

varve_status vr_error_os(varve_error *err, int os_error, const char *format, ...) {
    varve_status code = code_of(os_error);
    VR_ASSERT(os_error > 0);
    if (!err) return code;
    char tail[128];
    snprintf(tail, sizeof tail, ": %s", strerror(os_error));
    va_list arguments;
    va_start(arguments, format);
    fill(err, code, os_error, tail, format, arguments);
    va_end(arguments);
    return code;
}

varve_status vr_error_nomem(varve_error *err, size_t bytes, const char *what) {
    return vr_error_set(err, VARVE_NOMEM, "out of memory: %zu bytes for %s", bytes, what);
}

varve_status vr_error_copy(varve_error *to, const varve_error *from) {
    VR_ASSERT(from != NULL);
    if (to && to != from) *to = *from;
    return from->code;
}
