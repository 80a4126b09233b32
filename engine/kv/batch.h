/*
 * kv/batch.h - the batch encoding, which is also the payload of a WAL record: one codec. doc/format-batch.md is normative.
 *
 *     0  u64  wall clock of the write in ms (low 48 bits), flags (high 16 bits; bit 48: replica; others must be 0)
 *     8  u32  number of changes
 *    12       changes, one after the other:
 *             u8 kind, varint store id (u32), varint key size, [PUT and POSITION: varint value size], key, [value]
 *
 * The sequence of the first change is not in the batch but in the WAL record's header; each change has the next one.
 */
#ifndef VR_KV_BATCH_H
#define VR_KV_BATCH_H

#include "base/memory.h"
#include "kv/record.h"

#define VR_BATCH_HEADER_BYTES 12u
#define VR_BATCH_REPLICA (UINT64_C(1) << 48)
#define VR_BATCH_TIME_MAX ((UINT64_C(1) << 48) - 1)

/* One decoded change. */
typedef struct vr_change {
    vr_kind kind;
    uint32_t store_id;
    varve_slice key, value;
} vr_change;

/* A batch under construction. Threads: one. Zero-initialise, then vr_batch_clear(). */
typedef struct vr_batch {
    varve_buffer bytes; /* encoded, header included */
    uint32_t count;
} vr_batch;

varve_status vr_batch_clear(vr_batch *batch, varve_error *err); /* header of an empty batch */
void vr_batch_free(vr_batch *batch);
/* On failure (VARVE_TOO_LARGE, VARVE_NOMEM) the batch is unchanged. */
varve_status vr_batch_append(vr_batch *batch, const vr_change *change, varve_error *err);

/* The encoded size of one change, and writing it at out, which has room. Returns the byte after it. */
size_t vr_change_bytes(const vr_change *change);
char *vr_change_encode(char *out, const vr_change *change);
void vr_batch_header_encode(char out[VR_BATCH_HEADER_BYTES], uint64_t time_ms, bool replica, uint32_t count);

/* A reader over an encoded batch. */
typedef struct vr_batch_reader {
    varve_slice rest;
    const char *start;
    uint32_t left; /* changes not yet read */
    uint32_t count;
    uint64_t timestamp_ms;
    bool replica;
} vr_batch_reader;

/* Checks the header. VARVE_CORRUPTION names field, offset in the batch, what was found and what is allowed. */
varve_status vr_batch_reader_open(vr_batch_reader *reader, varve_slice batch, varve_error *err);

/* The next change, fully checked; its slices point into the batch. VARVE_NOT_FOUND at the (exact) end. */
varve_status vr_batch_reader_next(vr_batch_reader *reader, vr_change *change, varve_error *err);

#endif
