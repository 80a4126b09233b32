/*
 * base/check.c - the end of a process whose own invariant is broken: one line on standard error, then abort().
 */
#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>

void vr_check_failed(const char *file, int line, const char *expression) {
    fprintf(stderr, "varve: %s:%d: check failed: %s\n", file, line, expression);
    abort();
}
