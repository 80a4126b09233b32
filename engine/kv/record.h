/*
 * kv/record.h - what one change is: kind, sequence, and the trailer that packs the two.
 */
#ifndef VR_KV_RECORD_H
#define VR_KV_RECORD_H

#include <stdint.h>

#include <varve/types.h>

/* Kinds of change. Part of every format: never renumbered. */
typedef enum vr_kind {
    VR_KIND_DELETE = 1,
    VR_KIND_PUT = 2,
    VR_KIND_POSITION = 3 /* in batches and the WAL only; never in a memtable or table */
} vr_kind;

/* Sequences are 56 bits wide; 0 is before every change. */
#define VR_SEQUENCE_MAX ((UINT64_C(1) << 56) - 1)

/* Trailer: sequence << 8 | kind. Entries are ordered by key ascending, then trailer descending (newest first). */
static inline uint64_t vr_trailer(uint64_t sequence, vr_kind kind) {
    return sequence << 8 | (uint64_t)kind;
}

static inline uint64_t vr_trailer_sequence(uint64_t trailer) {
    return trailer >> 8;
}

static inline vr_kind vr_trailer_kind(uint64_t trailer) {
    return (vr_kind)(trailer & 0xff);
}

/* The trailer to seek with for "the newest at or below sequence": greater than or equal to any trailer of that sequence. */
static inline uint64_t vr_trailer_seek(uint64_t sequence) {
    return sequence << 8 | 0xff;
}

#endif
