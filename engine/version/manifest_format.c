/*
 * version/manifest_format.c - the bytes of a manifest file. doc/format-manifest.md is normative. Little-endian.
 *
 *        0  8 bytes  magic "VRVMNFST"                \
 *        8  u32      format version, 1               |
 *       12  u32      flags, 0                        | header
 *       16  u64      file id, random                 |
 *       24  u64      xxh3 of bytes 0 to 23: the seed /
 *      512  commit slot 0 (even generations)   u64 xxh3 of the 24 bytes after it, seeded with seed + slot number;
 *     1024  commit slot 1 (odd generations)    u64 generation; u64 committed length; u64 chain hash there
 *     4096  record, record, ...
 *
 *     record  u64 chain hash: xxh3 of the rest of the record, seeded with the chain hash before it (of the first: with the seed)
 *             u32 edit's bytes; u32 reserved, 0; the edit
 *
 * Writing: record, sync, slot. So a slot never speaks of a record that was not synced, and what it speaks of must be there and fit
 * the chain. Records behind the committed length were written by a process that died before it noted them (or lost the slot, which
 * is not synced by itself): whole ones count, the first that does not fit the chain ends the file.
 */
#include "version/manifest_format.h"

#include <inttypes.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/error.h"
#include "base/hash.h"
#include "version/edit.h"

#define HEADER_HASHED_BYTES 24u
#define HEADER_BYTES 32u

uint64_t vr_manifest_page_encode(char page[VR_MANIFEST_PAGE_BYTES], uint64_t file_id) {
    memset(page, 0, VR_MANIFEST_PAGE_BYTES);
    memcpy(page, VR_MANIFEST_MAGIC, 8);
    vr_put32(page + 8, VR_MANIFEST_VERSION);
    vr_put64(page + 16, file_id);
    uint64_t seed = vr_hash(page, HEADER_HASHED_BYTES);
    vr_put64(page + HEADER_HASHED_BYTES, seed);
    return seed;
}

static uint64_t slot_hash(const char *slot, uint64_t seed, uint64_t number) {
    return vr_hash_seeded(slot + 8, VR_MANIFEST_SLOT_BYTES - 8, seed + number);
}

void vr_manifest_slot_encode(char out[VR_MANIFEST_SLOT_BYTES], uint64_t seed, const vr_manifest_slot *slot) {
    VR_ASSERT(slot->generation > 0 && slot->length >= VR_MANIFEST_PAGE_BYTES);
    vr_put64(out + 8, slot->generation);
    vr_put64(out + 16, slot->length);
    vr_put64(out + 24, slot->chain);
    vr_put64(out, slot_hash(out, seed, slot->generation & 1));
}

uint64_t vr_manifest_record_seal(char *record, size_t edit_bytes, uint64_t chain) {
    VR_ASSERT(edit_bytes > 0 && edit_bytes <= VR_EDIT_BYTES_MAX);
    vr_put32(record + 8, (uint32_t)edit_bytes);
    vr_put32(record + 12, 0);
    uint64_t hash = vr_hash_seeded(record + 8, VR_MANIFEST_RECORD_HEADER_BYTES - 8 + edit_bytes, chain);
    vr_put64(record, hash);
    return hash;
}

static varve_status check_header(varve_slice file, const char *name, varve_error *err) {
    if (file.size < VR_MANIFEST_PAGE_BYTES) {
        return vr_error_set(err, VARVE_CORRUPTION, "%s: is %zu bytes long, its header alone has %u", name, file.size,
                            VR_MANIFEST_PAGE_BYTES);
    }
    if (memcmp(file.data, VR_MANIFEST_MAGIC, 8) != 0) {
        return vr_error_set(err, VARVE_CORRUPTION, "%s: offset 0: the magic is not that of a manifest, \"" VR_MANIFEST_MAGIC "\"",
                            name);
    }
    uint64_t found = vr_get64(file.data + HEADER_HASHED_BYTES), expected = vr_hash(file.data, HEADER_HASHED_BYTES);
    if (found != expected) {
        return vr_error_set(err, VARVE_CORRUPTION,
                            "%s: offset %u: the header's checksum is %016" PRIx64 ", its bytes have %016" PRIx64, name,
                            HEADER_HASHED_BYTES, found, expected);
    }
    uint32_t version = vr_get32(file.data + 8), flags = vr_get32(file.data + 12);
    if (version != VR_MANIFEST_VERSION || flags != 0) {
        return vr_error_set(err, VARVE_UNSUPPORTED,
                            "%s: offset 8: format version %" PRIu32 " with flags %" PRIx32
                            " is not known; this library reads version %u with flags 0",
                            name, version, flags, VR_MANIFEST_VERSION);
    }
    return VARVE_OK;
}

/* Takes slot number into *newest if it is valid and newer. An invalid one is what a power cut during its write leaves. */
static varve_status check_slot(varve_slice file, const char *name, uint64_t seed, uint64_t number, vr_manifest_slot *newest,
                               varve_error *err) {
    const char *at = file.data + vr_manifest_slot_offset(number);
    if (vr_get64(at) != slot_hash(at, seed, number)) return VARVE_OK;
    vr_manifest_slot slot = {vr_get64(at + 8), vr_get64(at + 16), vr_get64(at + 24)};
    if (slot.generation == 0 || slot.generation == UINT64_MAX || (slot.generation & 1) != number) {
        return vr_error_set(err, VARVE_CORRUPTION,
                            "%s: offset %" PRIu64 ": generation of commit slot %" PRIu64 " is %" PRIu64
                            ", allowed is an %s one from 1",
                            name, vr_manifest_slot_offset(number) + 8, number, slot.generation, number ? "odd" : "even");
    }
    if (slot.length < VR_MANIFEST_PAGE_BYTES || slot.length > VR_MANIFEST_BYTES_MAX) {
        return vr_error_set(err, VARVE_CORRUPTION,
                            "%s: offset %" PRIu64 ": committed length of slot %" PRIu64 " is %" PRIu64
                            ", allowed are %u to %" PRIu64,
                            name, vr_manifest_slot_offset(number) + 16, number, slot.length, VR_MANIFEST_PAGE_BYTES,
                            (uint64_t)VR_MANIFEST_BYTES_MAX);
    }
    if (slot.generation > newest->generation) *newest = slot;
    return VARVE_OK;
}

varve_status vr_manifest_reader_open(vr_manifest_reader *reader, varve_slice file, const char *name, varve_error *err) {
    vr_manifest_slot newest = {0};
    varve_status status = check_header(file, name, err);
    if (status != VARVE_OK) return status;
    uint64_t seed = vr_get64(file.data + HEADER_HASHED_BYTES);
    for (uint64_t number = 0; number < 2; number++) {
        status = check_slot(file, name, seed, number, &newest, err);
        if (status != VARVE_OK) return status;
    }
    if (newest.generation == 0) {
        return vr_error_set(err, VARVE_CORRUPTION, "%s: offsets %u and %u: neither commit slot is valid", name,
                            VR_MANIFEST_SECTOR_BYTES, 2 * VR_MANIFEST_SECTOR_BYTES);
    }
    if (file.size < newest.length) {
        return vr_error_set(err, VARVE_CORRUPTION, "%s: is %zu bytes long, its commit record says %" PRIu64, name, file.size,
                            newest.length);
    }
    *reader = (vr_manifest_reader){file, name, seed, newest, VR_MANIFEST_PAGE_BYTES, seed};
    return VARVE_OK;
}

static varve_status refuse_record(const vr_manifest_reader *reader, const char *field, uint64_t found, uint64_t allowed,
                                  varve_error *err) {
    return vr_error_set(err, VARVE_CORRUPTION,
                        "%s: offset %" PRIu64 ": %s of the record is %" PRIu64 ", allowed is %" PRIu64 " (committed length %" PRIu64
                        ")",
                        reader->name, reader->offset, field, found, allowed, reader->slot.length);
}

/* Checks the record at reader->offset, which has to end at or before limit. */
static varve_status check_record(const vr_manifest_reader *reader, uint64_t limit, uint64_t *chain, varve_slice *edit,
                                 varve_error *err) {
    uint64_t left = limit - reader->offset;
    if (left < VR_MANIFEST_RECORD_HEADER_BYTES) {
        return refuse_record(reader, "the header size", left, VR_MANIFEST_RECORD_HEADER_BYTES, err);
    }
    const char *record = reader->file.data + reader->offset;
    uint32_t bytes = vr_get32(record + 8), reserved = vr_get32(record + 12);
    uint64_t room = left - VR_MANIFEST_RECORD_HEADER_BYTES;
    if (bytes == 0 || bytes > VR_EDIT_BYTES_MAX || bytes > room) {
        return refuse_record(reader, "the length", bytes, room < VR_EDIT_BYTES_MAX ? room : VR_EDIT_BYTES_MAX, err);
    }
    if (reserved != 0) return refuse_record(reader, "the reserved field", reserved, 0, err);
    *chain = vr_hash_seeded(record + 8, VR_MANIFEST_RECORD_HEADER_BYTES - 8 + bytes, reader->chain);
    if (vr_get64(record) != *chain) return refuse_record(reader, "the chain hash", vr_get64(record), *chain, err);
    *edit = varve_bytes(record + VR_MANIFEST_RECORD_HEADER_BYTES, bytes);
    return VARVE_OK;
}

varve_status vr_manifest_reader_next(vr_manifest_reader *reader, varve_slice *edit, uint64_t *offset, varve_error *err) {
    bool committed = reader->offset < reader->slot.length;
    uint64_t chain = 0;
    if (reader->offset == reader->slot.length && reader->chain != reader->slot.chain) {
        return refuse_record(reader, "the chain hash at the end", reader->chain, reader->slot.chain, err);
    }
    varve_status status =
        check_record(reader, committed ? reader->slot.length : reader->file.size, &chain, edit, committed ? err : NULL);
    if (status != VARVE_OK) return committed ? status : VARVE_NOT_FOUND;
    *offset = reader->offset;
    reader->offset += VR_MANIFEST_RECORD_HEADER_BYTES + edit->size;
    reader->chain = chain;
    return VARVE_OK;
}

varve_status vr_manifest_load(const vr_env *env, vr_file *file, const char *name, char **bytes, size_t *size, varve_error *err) {
    char page[VR_MANIFEST_PAGE_BYTES];
    uint64_t file_bytes = 0;
    size_t got = 0, rest = 0;
    varve_status status = vr_file_pread(file, page, sizeof page, 0, &got, err);
    if (status == VARVE_OK) status = vr_file_get_size(file, &file_bytes, err);
    if (status != VARVE_OK) return status;
    if (file_bytes > VR_MANIFEST_BYTES_MAX) {
        return vr_error_set(err, VARVE_CORRUPTION, "%s: is %" PRIu64 " bytes long, a manifest has at most %" PRIu64, name,
                            file_bytes, (uint64_t)VR_MANIFEST_BYTES_MAX);
    }
    uint64_t behind = got == sizeof page && file_bytes > got ? file_bytes - got : 0;
    char *all = vr_alloc(&env->mem, got + behind);
    if (!all) return vr_error_nomem(err, got + behind, "reading the manifest");
    memcpy(all, page, got);
    if (behind > 0) status = vr_file_pread(file, all + got, behind, got, &rest, err);
    if (status != VARVE_OK) {
        vr_free(&env->mem, all);
        return status;
    }
    *bytes = all;
    *size = got + rest;
    return VARVE_OK;
}
