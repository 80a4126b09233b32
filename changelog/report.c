/*
 * changelog/report.c - errors and diagnostics of the changelog.
 */
#include "report.h"

#include <stdarg.h>
#include <stdio.h>

varve_status vcl_fail(varve_error *err, varve_status code, uint32_t flags, const char *format, ...) {
    va_list args;
    va_start(args, format);
    err->code = code;
    err->os_error = 0;
    err->flags = flags;
    vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    return code;
}

void vcl_fail_at(varve_error *err, const char *format, ...) {
    char before[sizeof err->message];
    memcpy(before, err->message, sizeof before);
    va_list args;
    va_start(args, format);
    int size = vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    if (size < 0 || (size_t)size >= sizeof err->message) return;
    size_t room = sizeof err->message - (size_t)size - 1;
    size_t length = strnlen(before, sizeof before - 1);
    if (length > room) length = room;
    memcpy(err->message + size, before, length);
    err->message[(size_t)size + length] = 0;
}

void vcl_say(varve_diag_fn fn, void *context, const char *format, ...) {
    if (!fn) return;
    char line[600];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    fn(context, line);
}
