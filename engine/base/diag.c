/*
 * base/diag.c - formatting of diagnostics. A line is cut at DIAG_LINE_BYTES_MAX; no memory is allocated, so that running out
 * of memory can be reported.
 */
#include "base/diag.h"

#include <stdarg.h>
#include <stdio.h>

#define DIAG_LINE_BYTES_MAX 1024

void vr_diag_say(const vr_diag *diag, const char *format, ...) {
    if (!diag->line) return;
    char line[DIAG_LINE_BYTES_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    diag->line(diag->context, line);
}
