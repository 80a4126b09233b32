/*
 * base/error.h - filling a caller's error record.
 */
#ifndef VR_BASE_ERROR_H
#define VR_BASE_ERROR_H

#include <stdarg.h>

#include <varve/types.h>

/*
 * Fills err (may be NULL) and returns code, so that a failing path reads `return vr_error_set(err, VARVE_INVALID, "...")`.
 * The message says what was found and what is allowed; it is cut at the record's size.
 */
varve_status vr_error_set(varve_error *err, varve_status code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The same for a failed system call: adds ": <strerror>" and picks VARVE_NO_SPACE for ENOSPC and EDQUOT, VARVE_NOMEM for ENOMEM,
 * VARVE_MISSING for ENOENT, VARVE_EXISTS for EEXIST, else VARVE_IO. */
varve_status vr_error_os(varve_error *err, int os_error, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* "out of memory: <bytes> bytes for <what>". Returns VARVE_NOMEM. */
varve_status vr_error_nomem(varve_error *err, size_t bytes, const char *what);

/* Copies from to to where to is not NULL; returns from's code. */
varve_status vr_error_copy(varve_error *to, const varve_error *from);

#endif
