/*
 * wal/window.h - a view of a segment's bytes that moves forward: over a file in large reads, or over memory.
 *
 * Files are read, not mapped, so that a failing disk is an error and not a SIGBUS. Threads: one at a time.
 */
#ifndef VR_WAL_WINDOW_H
#define VR_WAL_WINDOW_H

#include "os/env.h"
#include "wal/layout.h"

typedef struct vr_window {
    const vr_mem *mem; /* NULL over memory: nothing is released */
    vr_budget *budget; /* charged for the bytes; may be NULL */
    vr_file *file;     /* the one being read; may be replaced together with size by vr_window_set_file() */
    uint64_t size;     /* of the file */
    char *bytes;
    size_t capacity;
    uint64_t start; /* bytes[0 .. got) are the file's from start on */
    size_t got;
} vr_window;

void vr_window_over_memory(vr_window *window, varve_slice bytes);
void vr_window_over_files(vr_window *window, const vr_mem *mem, vr_budget *budget);
void vr_window_set_file(vr_window *window, vr_file *file, uint64_t size);
void vr_window_free(vr_window *window);

/* Shows want bytes at offset, or as many as there are before the end: *have. Valid until the next call. */
varve_status vr_window_get(vr_window *window, uint64_t offset, uint64_t want, const char **at, uint64_t *have, varve_error *err);

/* Decodes the record at spot->offset, as vr_wal_record_decode() does. */
varve_status vr_window_record(vr_window *window, const vr_wal_spot *spot, vr_wal_record *record, varve_error *err);

#endif
