/*
 * wal/layout.h - the bytes of a WAL segment: header page, records, file names. The diagrams are in layout.c; doc/format-wal.md is
 * normative. Nothing here touches a file, and nothing has state: any thread.
 */
#ifndef VR_WAL_LAYOUT_H
#define VR_WAL_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>

#include <varve/types.h>

#define VR_WAL_VERSION 1u
#define VR_WAL_PAGE_BYTES 4096u /* the header page; segment sizes are multiples of it */
#define VR_WAL_RECORD_BYTES 24u /* a record's header */
#define VR_WAL_SYNC_BYTES 16u   /* a SYNC record's payload */
#define VR_WAL_ALIGNMENT 8u     /* of records */
#define VR_WAL_SEGMENT_BYTES_MIN (2u * VR_WAL_PAGE_BYTES)
#define VR_WAL_SEGMENT_BYTES_MAX (UINT64_C(1) << 30)
#define VR_WAL_NUMBER_MAX UINT64_C(9999999999) /* ten digits in the file name */

/* What a batch leaves free at a segment's end: the SYNC record of a close and the SEAL record of the switch always fit. */
#define VR_WAL_TAIL_BYTES (2u * VR_WAL_RECORD_BYTES + VR_WAL_SYNC_BYTES)

/* Types of record. Part of the format: never renumbered. */
typedef enum vr_wal_type { VR_WAL_BATCH = 1, VR_WAL_SYNC = 2, VR_WAL_SEAL = 3 } vr_wal_type;

/* A place between two records. */
typedef struct vr_wal_place {
    uint64_t segment, offset;
} vr_wal_place;

static inline bool vr_wal_place_after(vr_wal_place a, vr_wal_place b) {
    return a.segment != b.segment ? a.segment > b.segment : a.offset > b.offset;
}

/* One decoded record. */
typedef struct vr_wal_record {
    vr_wal_type type;
    uint64_t sequence;   /* BATCH: its first; SYNC: the highest synced; SEAL: the last before it */
    uint32_t count;      /* BATCH: sequences it takes, at least 1 */
    vr_wal_place synced; /* SYNC: everything before it is durable */
    varve_slice payload;
    uint64_t bytes; /* header, payload and padding */
    bool blank;     /* no record, and nothing looks like one: the checksum's place is zero */
} vr_wal_record;

/* Where bytes to be decoded come from: for checks and messages. */
typedef struct vr_wal_spot {
    const char *file;
    uint64_t number; /* the segment's */
    uint64_t size;   /* the segment's */
    uint64_t offset; /* of the record */
} vr_wal_spot;

void vr_wal_page_encode(char page[VR_WAL_PAGE_BYTES], uint64_t number, uint64_t size);

/* Checks the header page of a file of file_size bytes. number 0 accepts any. Returns the segment's number, or why not. */
varve_status vr_wal_page_decode(varve_slice page, uint64_t number, uint64_t file_size, const char *file, uint64_t *found,
                                varve_error *err);

static inline uint64_t vr_wal_record_size(uint64_t payload) {
    return VR_WAL_RECORD_BYTES + ((payload + VR_WAL_ALIGNMENT - 1) & ~(uint64_t)(VR_WAL_ALIGNMENT - 1));
}

/* Completes the record at at, whose payload is in its place: zero padding, header fields, checksum last. Returns the byte after. */
char *vr_wal_record_finish(char *at, uint64_t number, vr_wal_type type, uint64_t sequence, uint32_t length);
char *vr_wal_sync_encode(char *at, uint64_t number, uint64_t sequence, vr_wal_place synced);

/* How many bytes vr_wal_record_decode() wants at once: what the header at at claims, bounded by the segment's end. */
uint64_t vr_wal_record_want(const char *at, const vr_wal_spot *spot);

/*
 * Decodes the record at at, of which have bytes are there. VARVE_NOT_FOUND: no whole record of this segment is there; err (its code
 * VARVE_CORRUPTION) says what is wrong with it, unless record->blank. Any other failure: its checksum is right, its content is not.
 */
varve_status vr_wal_record_decode(const char *at, uint64_t have, const vr_wal_spot *spot, vr_wal_record *record, varve_error *err);

/* File names. */
#define VR_WAL_NAME_BYTES 32
void vr_wal_name(char out[VR_WAL_NAME_BYTES], uint64_t number);     /* 0000000007.wal */
void vr_wal_new_name(char out[VR_WAL_NAME_BYTES], uint64_t number); /* 0000000007.wal.new: being made */
void vr_wal_spare_name(char out[VR_WAL_NAME_BYTES], unsigned slot); /* spare-1.wal */

/* What a name is; *number is the segment's or the slot. Names that are not the WAL's are VR_WAL_FILE_OTHER. */
typedef enum vr_wal_file { VR_WAL_FILE_OTHER, VR_WAL_FILE_SEGMENT, VR_WAL_FILE_NEW, VR_WAL_FILE_SPARE } vr_wal_file;
vr_wal_file vr_wal_name_parse(const char *name, uint64_t *number);

#endif
