/*
 * varve/types.h - the types every Varve header shares: slices, buffers, status codes, errors.
 *
 * Copyright 2026 The Varve authors. SPDX-License-Identifier: Apache-2.0
 */
#ifndef VARVE_TYPES_H
#define VARVE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__GNUC__)
#define VARVE_API __attribute__((visibility("default")))
#else
#define VARVE_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Version of the headers; varve_version() tells the version of the library that is linked. */
#define VARVE_VERSION_MAJOR 0
#define VARVE_VERSION_MINOR 1
#define VARVE_VERSION_PATCH 0

/* Limits. A key or value beyond its limit is refused with VARVE_TOO_LARGE and nothing is written. */
#define VARVE_KEY_BYTES_MAX 65535u         /* a key may be empty */
#define VARVE_VALUE_BYTES_MAX (128u << 20) /* a value may be empty; an empty value is not a delete */
#define VARVE_BATCH_BYTES_MAX (256u << 20) /* encoded size of one atomic batch */
#define VARVE_STORE_NAME_BYTES_MAX 255u    /* a store's name: 1 to 255 bytes, no NUL */
#define VARVE_POSITION_BYTES_MAX 1024u     /* a store's position, see varve_batch_position() */

/*
 * What a call returns. 0 is success, negatives are failures, and NOT_FOUND, the only positive, is an answer.
 * The values are fixed for ever; new ones may be added.
 */
typedef enum varve_status {
    VARVE_OK = 0,
    VARVE_NOT_FOUND = 1,     /* no such key; an iterator's end; a difference found by verify */
    VARVE_INVALID = -1,      /* an argument or option is wrong; the message names it, its unit and its range */
    VARVE_NOMEM = -2,        /* out of memory; nothing has changed */
    VARVE_IO = -3,           /* the operating system failed a call; varve_error.os_error is its errno */
    VARVE_NO_SPACE = -4,     /* the disk is full, or a stated bound on disk use is reached; writing resumes by itself */
    VARVE_CORRUPTION = -5,   /* bytes on disk or in the topic are not what was written; the message names where */
    VARVE_BUSY = -6,         /* owned by another process, or by another handle of this one */
    VARVE_CLOSED = -7,       /* the database, store or handle was closed before */
    VARVE_READ_ONLY = -8,    /* an earlier write or sync failed and the database stopped writing; the message says why */
    VARVE_TOO_LARGE = -9,    /* a key, value, batch or name is beyond its limit */
    VARVE_UNSUPPORTED = -10, /* a file or record of a version this library does not know */
    VARVE_MISSING = -11,     /* the database, store, file, topic or retained history asked for does not exist */
    VARVE_EXISTS = -12,      /* it exists already and was not to */
    VARVE_CANCELLED = -13,   /* a progress callback asked to stop, or close() interrupted the call */
    VARVE_TIMEOUT = -14,     /* the time given has passed; the work goes on or can be asked for again */
    VARVE_KAFKA = -15,       /* Kafka cannot be reached or refused a request; see the flags */
    VARVE_FENCED = -16,      /* another process has taken the changelog over; this one may no longer write to it */
    VARVE_DIVERGED = -17,    /* the store and its changelog are not parts of one history; the message says what differs */
    VARVE_INTERNAL = -18     /* a check of Varve's own failed: a bug; please report the message */
} varve_status;

/* Flags of an error: what may be done about it. */
#define VARVE_ERROR_RETRIABLE 1u /* the same call may succeed later without anything being changed */
#define VARVE_ERROR_FATAL 2u     /* the handle is of no more use; close it */
#define VARVE_ERROR_FENCED 4u    /* another process owns the changelog now */

/*
 * A caller-supplied error record. Every function that takes one accepts NULL; it is written only on failure.
 * Memory: owned by the caller, holds no pointers, needs no release.
 */
typedef struct varve_error {
    varve_status code;
    int32_t os_error;  /* errno of the failing system call, or 0 */
    uint32_t flags;    /* VARVE_ERROR_* */
    char message[500]; /* one sentence, NUL-terminated: which file, offset, field or option, what was found, what is allowed */
} varve_error;

/* A run of bytes that somebody else owns. data may be NULL only where size is 0. Travels by value. */
typedef struct varve_slice {
    const char *data;
    size_t size;
} varve_slice;

/*
 * A reusable buffer that Varve fills and grows. Start with {0}; pass it again and again; release it with
 * varve_buffer_free(). The bytes are not NUL-terminated.
 */
typedef struct varve_buffer {
    char *data;
    size_t size;
    size_t capacity;
} varve_buffer;

/* The slice of size bytes at data. */
static inline varve_slice varve_bytes(const void *data, size_t size) {
    varve_slice slice;
    slice.data = (const char *)data;
    slice.size = size;
    return slice;
}

/* The slice of a C string, without its NUL. NULL gives the slice {NULL, 0}, which means "no bound" where a bound is taken. */
static inline varve_slice varve_str(const char *string) {
    return varve_bytes(string, string ? strlen(string) : 0);
}

/* The slice of what a buffer holds, valid until the buffer is next written or freed. */
static inline varve_slice varve_buffer_slice(const varve_buffer *buffer) {
    return varve_bytes(buffer->data, buffer->size);
}

/* Releases what the buffer holds and makes it {0} again. Threads: the buffer's owner. */
VARVE_API void varve_buffer_free(varve_buffer *buffer);

/* The name of a status as in this header without its prefix ("NOT_FOUND"); "UNKNOWN" for a value that is none. Static memory. */
VARVE_API const char *varve_status_name(varve_status status);

/* The version of the linked library as "major.minor.patch". Static memory. */
VARVE_API const char *varve_version(void);

#ifdef __cplusplus
}
#endif

#endif
