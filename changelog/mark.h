/*
 * changelog/mark.h - the mark: content of the one header Varve writes (VCL_MARK_HEADER), on the last record of each group. It
 * says where in its writer's history the group ends. doc/changelog-protocol.md is normative.
 *
 *     0  u8   version, 1
 *     1  u8   flags: bit 0 base; others 0
 *     2  u16  0
 *     4  u32  records in the group, at least 1
 *     8  u32  epoch of the writer, at least 1
 *    12  u32  session of the writer: a random number of each open, not 0
 *    16       lineage: 16 random bytes that name this changelog's history, made by its first writer; not all 0
 *    32       writer: the 16 bytes of varve_db_id(); not all 0
 *    48  u64  sequence; of a base group: its number in the copy, from 1
 *    56  u64  XXH3 of the 56 bytes before
 *
 * Little-endian. Any other version: VARVE_UNSUPPORTED. Threads: any; pure functions.
 */
#ifndef VCL_MARK_H
#define VCL_MARK_H

#include <varve/types.h>

#define VCL_MARK_BYTES 64u
#define VCL_MARK_VERSION 1u
#define VCL_MARK_BASE 1u /* the group is part of an initial full copy, and not its last */
#define VCL_ID_BYTES 16u

typedef struct vcl_mark {
    bool base;
    uint32_t records, epoch, session;
    uint8_t lineage[VCL_ID_BYTES], writer[VCL_ID_BYTES];
    uint64_t sequence; /* every change of the store at or below it, by this writer, is in the log up to here */
    uint64_t hash;     /* the checksum, which also names the mark: no two of a session are the same. Set by both functions */
} vcl_mark;

/* Writes the mark at out and sets its hash. */
void vcl_mark_encode(vcl_mark *mark, uint8_t out[VCL_MARK_BYTES]);

/* Returns: VARVE_OK, VARVE_UNSUPPORTED or VARVE_CORRUPTION with the field, what was found and what is allowed; *mark untouched. */
varve_status vcl_mark_decode(varve_slice bytes, vcl_mark *mark, varve_error *err);

/* Whether the 16 bytes are all zero, which no id is. */
bool vcl_id_is_zero(const uint8_t id[VCL_ID_BYTES]);
bool vcl_id_equal(const uint8_t a[VCL_ID_BYTES], const uint8_t b[VCL_ID_BYTES]);

/* The id in hexadecimal, for messages. */
typedef struct vcl_id_text {
    char text[2 * VCL_ID_BYTES + 1];
} vcl_id_text;
vcl_id_text vcl_id_name(const uint8_t id[VCL_ID_BYTES]);

#endif
