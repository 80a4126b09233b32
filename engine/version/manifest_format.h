/*
 * version/manifest_format.h - the bytes of a manifest file: header page, commit slots, chained records. manifest_format.c has the
 * diagram.
 */
#ifndef VR_VERSION_MANIFEST_FORMAT_H
#define VR_VERSION_MANIFEST_FORMAT_H

#include "base/memory.h"
#include "os/env.h"

#define VR_MANIFEST_MAGIC "VRVMNFST"
#define VR_MANIFEST_VERSION 1u
#define VR_MANIFEST_PAGE_BYTES 4096u  /* the header page; records begin after it */
#define VR_MANIFEST_SECTOR_BYTES 512u /* what a disk writes whole: one commit slot in each */
#define VR_MANIFEST_SLOT_BYTES 32u
#define VR_MANIFEST_RECORD_HEADER_BYTES 16u
#define VR_MANIFEST_BYTES_MAX (UINT64_C(1) << 32)

/* What a commit slot says: that the first length bytes of the file were synced, and the chain hash of the record that ends there.
 */
typedef struct vr_manifest_slot {
    uint64_t generation; /* from 1; odd ones are in slot 1, even ones in slot 0 */
    uint64_t length;
    uint64_t chain;
} vr_manifest_slot;

/* Where a slot of that generation stands in the file. */
static inline uint64_t vr_manifest_slot_offset(uint64_t generation) {
    return VR_MANIFEST_SECTOR_BYTES * (1 + (generation & 1));
}

/* Fills a header page without valid slots. Returns the chain's seed. */
uint64_t vr_manifest_page_encode(char page[VR_MANIFEST_PAGE_BYTES], uint64_t file_id);
void vr_manifest_slot_encode(char out[VR_MANIFEST_SLOT_BYTES], uint64_t seed, const vr_manifest_slot *slot);

/* Fills in the header of a record whose edit's bytes stand behind it already. Returns the chain hash at the record's end. */
uint64_t vr_manifest_record_seal(char *record, size_t edit_bytes, uint64_t chain);

/* A reader over a whole file in memory. Threads: one. */
typedef struct vr_manifest_reader {
    varve_slice file;
    const char *name; /* of the file, for messages */
    uint64_t seed;
    vr_manifest_slot slot; /* the newest valid one */
    uint64_t offset;       /* the next record's */
    uint64_t chain;        /* at offset */
} vr_manifest_reader;

/* Checks header, slots and committed length. name is borrowed. */
varve_status vr_manifest_reader_open(vr_manifest_reader *reader, varve_slice file, const char *name, varve_error *err);

/* The next record's edit, checked against the chain, and its offset in the file. VARVE_NOT_FOUND at the end: reader->offset is then
 * where the next record goes; what lies behind it is a torn write of no account. */
varve_status vr_manifest_reader_next(vr_manifest_reader *reader, varve_slice *edit, uint64_t *offset, varve_error *err);

/* Reads the whole file into *bytes (vr_free()). The header page is read first: a writer in another process may append meanwhile,
 * and no slot may then speak of more than is read. */
varve_status vr_manifest_load(const vr_env *env, vr_file *file, const char *name, char **bytes, size_t *size, varve_error *err);

#endif
