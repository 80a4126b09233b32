/*
 * changelog/position.h - a store's position in its changelog. It is stored with varve_batch_position(), always in the same batch
 * as the data it describes, so it can be neither stale nor lost alone. doc/changelog-protocol.md is normative.
 *
 *     0  u8   version, 1
 *     1  u8   flags: bit 0 restoring, bit 1 copying; others 0
 *     2  u16  bytes of the topic's name, 1 to 249
 *     4  u32  epoch
 *     8  u32  session; 0: none
 *    12  i32  partition, not negative
 *    16       lineage, 16 bytes
 *    32       writer of the newest mark applied, 16 bytes; all 0: none
 *    48  i64  next offset, not negative
 *    56  i64  target offset, not below the next one while restoring
 *    64  u64  acknowledged sequence
 *    72  i64  wall clock of the last time store and log were known to be equal, ms since 1970, not negative
 *    80  i64  offset of the newest mark applied, below the next offset; -1: none
 *    88  u64  checksum of that mark
 *    96       topic id, 16 bytes; all 0: not known
 *   112       the topic's name
 *     +  u64  XXH3 of all bytes before
 *
 * Little-endian. Any other version: VARVE_UNSUPPORTED. Threads: any; pure functions.
 */
#ifndef VCL_POSITION_H
#define VCL_POSITION_H

#include "mark.h"

#define VCL_TOPIC_BYTES_MAX 249u /* Kafka's own limit */
#define VCL_POSITION_VERSION 1u
#define VCL_POSITION_HEADER_BYTES 112u
#define VCL_POSITION_BYTES_MAX (VCL_POSITION_HEADER_BYTES + VCL_TOPIC_BYTES_MAX + 8u)

typedef struct vcl_position {
    bool restoring; /* the log's records are being applied: not a state of the store's own until target_offset is reached */
    bool copying;   /* the store's first full copy into the log is not complete */
    uint32_t epoch;
    uint32_t session; /* of the writer that ships from this store, which marks its groups; 0: it does not ship */
    int32_t partition;
    uint8_t lineage[VCL_ID_BYTES], writer[VCL_ID_BYTES], topic_id[VCL_ID_BYTES];
    int64_t next_offset, target_offset;
    uint64_t acknowledged; /* the store's own changes at or below it are in the log below next_offset, or void */
    int64_t synced_ms;
    int64_t mark_offset;
    uint64_t mark_hash;
    char topic[VCL_TOPIC_BYTES_MAX + 1];
} vcl_position;

/* Writes the position at out. Returns: its size. */
size_t vcl_position_encode(const vcl_position *position, uint8_t out[VCL_POSITION_BYTES_MAX]);

/* Returns: VARVE_OK, VARVE_UNSUPPORTED or VARVE_CORRUPTION with the field; *position untouched. */
varve_status vcl_position_decode(varve_slice bytes, vcl_position *position, varve_error *err);

#endif
