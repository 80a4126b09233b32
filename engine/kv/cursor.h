/*
 * kv/cursor.h - the iterator contract inside the engine: memtable, table, level and merge all speak it.
 *
 * A cursor runs over entries (key, trailer, value) in the order key ascending, trailer descending; all versions and tombstones
 * included. After each move the entry is in the fields key, trailer and value: reading it costs no call. The slices stay
 * valid until the next move or close. valid false: past an end, or failed; then status tells (and *err, if given, says why).
 * next() and prev() may only be called while valid. Threads: one at a time.
 */
#ifndef VR_KV_CURSOR_H
#define VR_KV_CURSOR_H

#include <stdbool.h>
#include <stdint.h>

#include <varve/types.h>

typedef struct vr_cursor vr_cursor;

typedef struct vr_cursor_ops {
    void (*first)(vr_cursor *cursor);
    void (*last)(vr_cursor *cursor);
    void (*seek)(vr_cursor *cursor, varve_slice key, uint64_t trailer);      /* first entry at or after (key, trailer) */
    void (*seek_prev)(vr_cursor *cursor, varve_slice key, uint64_t trailer); /* last entry at or before it */
    void (*next)(vr_cursor *cursor);
    void (*prev)(vr_cursor *cursor);
    void (*close)(vr_cursor *cursor); /* releases it */
} vr_cursor_ops;

struct vr_cursor {
    const vr_cursor_ops *ops;
    varve_slice key;
    uint64_t trailer;
    varve_slice value;
    bool valid;
    varve_status status; /* VARVE_OK unless a move failed */
    varve_error *err;    /* where a failing move says why; may be NULL; outlives the cursor */
};

/* Cursor order of two entries: < 0, 0, > 0. */
int vr_entry_compare(varve_slice a_key, uint64_t a_trailer, varve_slice b_key, uint64_t b_trailer);

#endif
