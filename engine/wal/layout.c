/*
 * wal/layout.c - encoding and strict decoding of a segment's bytes. doc/format-wal.md is normative.
 *
 * A segment file begins with a header page and holds records behind it:
 *
 *        0  u8[8] "VARVEWAL"
 *        8  u32   format version, 1
 *       12  u32   size of this page, 4096
 *       16  u64   segment number, as in the file's name
 *       24  u64   segment size in bytes, this page included: the size of the file
 *       32        zeros
 *     4088  u64   xxh3 of bytes 0 .. 4087
 *     4096        records, each beginning at a multiple of 8:
 *
 *        0  u64   xxh3 of bytes 8 .. 23 + payload length
 *        8  u32   payload length
 *       12  u32   segment number, low 32 bits
 *       16  u64   sequence << 8 | type
 *       24        payload, then zeros up to a multiple of 8
 *
 *     BATCH 1     sequence of its first change; the payload is an encoded batch (kv/batch.h) of at least one change
 *     SYNC  2     the highest sequence that is durable; payload: u64 segment number, u64 offset: all before is durable
 *     SEAL  3     the last sequence so far; no payload; the WAL goes on in the next segment
 *
 * The chain of records ends where no whole record of this segment stands. At least 24 bytes stay free behind every BATCH and SYNC,
 * so that a SEAL fits. A whole record of an unknown type is VARVE_UNSUPPORTED: a newer version wrote it. Old records of a recycled
 * file carry another segment number. The header page's checksum has the same place in every version and is looked at before the
 * version.
 */
#include "wal/layout.h"

#include "base/bytes.h"
#include "base/check.h"
#include "base/error.h"
#include "base/hash.h"
#include "kv/batch.h"

static const char magic[8] = {'V', 'A', 'R', 'V', 'E', 'W', 'A', 'L'};

enum { PAGE_VERSION = 8, PAGE_BYTES = 12, PAGE_NUMBER = 16, PAGE_SIZE = 24, PAGE_ZEROS = 32, PAGE_CHECKSUM = 4088 };
enum { RECORD_LENGTH = 8, RECORD_NUMBER = 12, RECORD_TRAILER = 16 };

/* --- The header page --- */

void vr_wal_page_encode(char page[VR_WAL_PAGE_BYTES], uint64_t number, uint64_t size) {
    memset(page, 0, VR_WAL_PAGE_BYTES);
    memcpy(page, magic, sizeof magic);
    vr_put32(page + PAGE_VERSION, VR_WAL_VERSION);
    vr_put32(page + PAGE_BYTES, VR_WAL_PAGE_BYTES);
    vr_put64(page + PAGE_NUMBER, number);
    vr_put64(page + PAGE_SIZE, size);
    vr_put64(page + PAGE_CHECKSUM, vr_hash(page, PAGE_CHECKSUM));
}

static varve_status page_wrong(const char *file, unsigned offset, const char *field, uint64_t found, uint64_t allowed,
                               varve_error *err) {
    return vr_error_set(err, VARVE_CORRUPTION, "%s: offset %u: %s is %llu; expected %llu", file, offset, field,
                        (unsigned long long)found, (unsigned long long)allowed);
}

varve_status vr_wal_page_decode(varve_slice page, uint64_t number, uint64_t file_size, const char *file, uint64_t *found,
                                varve_error *err) {
    if (page.size < VR_WAL_PAGE_BYTES) {
        return vr_error_set(err, VARVE_CORRUPTION, "%s: the file has %zu bytes; a WAL segment has at least %u", file, page.size,
                            VR_WAL_SEGMENT_BYTES_MIN);
    }
    const char *at = page.data;
    if (memcmp(at, magic, sizeof magic) != 0) {
        return vr_error_set(err, VARVE_CORRUPTION, "%s: offset 0: this is not a WAL segment; expected \"VARVEWAL\"", file);
    }
    uint64_t checksum = vr_hash(at, PAGE_CHECKSUM);
    if (vr_get64(at + PAGE_CHECKSUM) != checksum) {
        return page_wrong(file, PAGE_CHECKSUM, "header checksum", vr_get64(at + PAGE_CHECKSUM), checksum, err);
    }
    if (vr_get32(at + PAGE_VERSION) != VR_WAL_VERSION) {
        return vr_error_set(err, VARVE_UNSUPPORTED, "%s: offset %d: WAL format version is %u; this library knows %u", file,
                            (int)PAGE_VERSION, vr_get32(at + PAGE_VERSION), VR_WAL_VERSION);
    }
    if (vr_get32(at + PAGE_BYTES) != VR_WAL_PAGE_BYTES) {
        return page_wrong(file, PAGE_BYTES, "header size", vr_get32(at + PAGE_BYTES), VR_WAL_PAGE_BYTES, err);
    }
    uint64_t own = vr_get64(at + PAGE_NUMBER), size = vr_get64(at + PAGE_SIZE);
    if (own == 0 || own > VR_WAL_NUMBER_MAX || (number != 0 && own != number)) {
        return page_wrong(file, PAGE_NUMBER, "segment number", own, number, err);
    }
    if (size < VR_WAL_SEGMENT_BYTES_MIN || size > VR_WAL_SEGMENT_BYTES_MAX || size % VR_WAL_PAGE_BYTES != 0 || size != file_size) {
        return page_wrong(file, PAGE_SIZE, "segment size", size, file_size, err);
    }
    for (unsigned i = PAGE_ZEROS; i < PAGE_CHECKSUM; i++) {
        if (at[i] != 0) return page_wrong(file, i, "reserved byte", (uint8_t)at[i], 0, err);
    }
    *found = own;
    return VARVE_OK;
}

/* --- Records --- */

char *vr_wal_record_finish(char *at, uint64_t number, vr_wal_type type, uint64_t sequence, uint32_t length) {
    uint64_t bytes = vr_wal_record_size(length);
    size_t padding = (size_t)(bytes - VR_WAL_RECORD_BYTES - length);
    if (padding) memset(at + VR_WAL_RECORD_BYTES + length, 0, padding);
    vr_put32(at + RECORD_LENGTH, length);
    vr_put32(at + RECORD_NUMBER, (uint32_t)number);
    vr_put64(at + RECORD_TRAILER, sequence << 8 | (uint64_t)type);
    vr_put64(at, vr_hash(at + RECORD_LENGTH, VR_WAL_RECORD_BYTES - RECORD_LENGTH + (size_t)length));
    return at + bytes;
}

char *vr_wal_sync_encode(char *at, uint64_t number, uint64_t sequence, vr_wal_place synced) {
    vr_put64(at + VR_WAL_RECORD_BYTES, synced.segment);
    vr_put64(at + VR_WAL_RECORD_BYTES + 8, synced.offset);
    return vr_wal_record_finish(at, number, VR_WAL_SYNC, sequence, VR_WAL_SYNC_BYTES);
}

uint64_t vr_wal_record_want(const char *at, const vr_wal_spot *spot) {
    uint64_t rest = spot->size - spot->offset;
    uint64_t claimed = VR_WAL_RECORD_BYTES + (uint64_t)vr_get32(at + RECORD_LENGTH);
    return claimed <= rest && vr_get32(at + RECORD_NUMBER) == (uint32_t)spot->number ? claimed : VR_WAL_RECORD_BYTES;
}

/* Whether a record of this type may have a payload of this length, and how much must stay free behind it. */
static bool length_allowed(uint8_t type, uint32_t length, uint64_t rest) {
    uint64_t behind = type == VR_WAL_SEAL ? 0 : VR_WAL_RECORD_BYTES;
    if (vr_wal_record_size(length) + behind > rest) return false;
    switch (type) {
    case VR_WAL_BATCH: return length >= VR_BATCH_HEADER_BYTES && length <= VARVE_BATCH_BYTES_MAX;
    case VR_WAL_SYNC: return length == VR_WAL_SYNC_BYTES;
    case VR_WAL_SEAL: return length == 0;
    default: return true; /* a newer version's: its checksum decides */
    }
}

/* VARVE_NOT_FOUND, with what is wrong in err. */
static varve_status not_whole(const vr_wal_spot *spot, unsigned field_offset, const char *field, uint64_t found,
                              const char *allowed, varve_error *err) {
    vr_error_set(err, VARVE_CORRUPTION, "%s: offset %llu: record's %s is %llu; %s", spot->file,
                 (unsigned long long)(spot->offset + field_offset), field, (unsigned long long)found, allowed);
    return VARVE_NOT_FOUND;
}

/* The content of a record whose checksum is right. */
static varve_status decode_content(const vr_wal_spot *spot, uint8_t type, vr_wal_record *record, varve_error *err) {
    unsigned long long offset = spot->offset;
    if (type == VR_WAL_BATCH) {
        vr_batch_reader batch;
        varve_error why;
        varve_status st = vr_batch_reader_open(&batch, record->payload, &why);
        if (st != VARVE_OK) return vr_error_set(err, st, "%s: offset %llu: %s", spot->file, offset, why.message);
        if (batch.count == 0) {
            return vr_error_set(err, VARVE_CORRUPTION, "%s: offset %llu: batch holds no change; expected at least 1", spot->file,
                                offset);
        }
        if (record->sequence == 0 || batch.count - 1 > UINT64_C(0xffffffffffffff) - record->sequence) {
            return vr_error_set(err, VARVE_CORRUPTION,
                                "%s: offset %llu: first sequence is %llu with %u changes; allowed are 1 to 2^56-1", spot->file,
                                offset, (unsigned long long)record->sequence, batch.count);
        }
        record->count = batch.count;
    } else if (type == VR_WAL_SYNC) {
        record->synced.segment = vr_get64(record->payload.data);
        record->synced.offset = vr_get64(record->payload.data + 8);
        vr_wal_place here = {spot->number, spot->offset};
        if (vr_wal_place_after(record->synced, here) || record->synced.segment == 0) {
            return vr_error_set(err, VARVE_CORRUPTION,
                                "%s: offset %llu: synced place is segment %llu offset %llu; allowed is up to here", spot->file,
                                offset, (unsigned long long)record->synced.segment, (unsigned long long)record->synced.offset);
        }
    } else if (type != VR_WAL_SEAL) {
        return vr_error_set(err, VARVE_UNSUPPORTED, "%s: offset %llu: record type is %u; this library knows 1 to 3", spot->file,
                            offset, type);
    }
    return VARVE_OK;
}

varve_status vr_wal_record_decode(const char *at, uint64_t have, const vr_wal_spot *spot, vr_wal_record *record, varve_error *err) {
    VR_ASSERT(spot->offset % VR_WAL_ALIGNMENT == 0 && spot->offset <= spot->size);
    uint64_t rest = spot->size - spot->offset;
    memset(record, 0, sizeof *record);
    if (rest < VR_WAL_RECORD_BYTES || have < VR_WAL_RECORD_BYTES) {
        return not_whole(spot, 0, "room", vr_min_size((size_t)rest, (size_t)have), "expected at least 24 bytes", err);
    }
    uint64_t checksum = vr_get64(at), trailer = vr_get64(at + RECORD_TRAILER);
    uint32_t length = vr_get32(at + RECORD_LENGTH), number = vr_get32(at + RECORD_NUMBER);
    uint8_t type = (uint8_t)trailer;
    record->blank = checksum == 0;
    if (number != (uint32_t)spot->number) return not_whole(spot, RECORD_NUMBER, "segment number", number, "another one's", err);
    if (!length_allowed(type, length, rest) || VR_WAL_RECORD_BYTES + (uint64_t)length > have) {
        return not_whole(spot, RECORD_LENGTH, "payload length", length, "not what its type and the segment allow", err);
    }
    if (vr_hash(at + RECORD_LENGTH, VR_WAL_RECORD_BYTES - RECORD_LENGTH + (size_t)length) != checksum) {
        return not_whole(spot, 0, "checksum", checksum, "not that of its bytes", err);
    }
    record->blank = false;
    record->type = (vr_wal_type)type;
    record->sequence = trailer >> 8;
    record->payload = varve_bytes(at + VR_WAL_RECORD_BYTES, length);
    record->bytes = vr_wal_record_size(length);
    return decode_content(spot, type, record, err);
}

/* --- File names --- */

#define NUMBER_DIGITS 10

/* Writes number in ten digits, then suffix. */
static void put_name(char *out, uint64_t number, const char *suffix) {
    VR_ASSERT(number <= VR_WAL_NUMBER_MAX);
    for (int i = NUMBER_DIGITS; i-- > 0; number /= 10) out[i] = (char)('0' + number % 10);
    memcpy(out + NUMBER_DIGITS, suffix, strlen(suffix) + 1);
}

void vr_wal_name(char out[VR_WAL_NAME_BYTES], uint64_t number) {
    put_name(out, number, ".wal");
}

void vr_wal_new_name(char out[VR_WAL_NAME_BYTES], uint64_t number) {
    put_name(out, number, ".wal.new");
}

void vr_wal_spare_name(char out[VR_WAL_NAME_BYTES], unsigned slot) {
    VR_ASSERT(slot <= 9);
    memcpy(out, "spare-0.wal", sizeof "spare-0.wal");
    out[6] = (char)('0' + slot);
}

vr_wal_file vr_wal_name_parse(const char *name, uint64_t *number) {
    uint64_t value = 0;
    int digits = 0;
    if (strncmp(name, "spare-", 6) == 0 && name[6] >= '0' && name[6] <= '9' && strcmp(name + 7, ".wal") == 0) {
        *number = (uint64_t)(name[6] - '0');
        return VR_WAL_FILE_SPARE;
    }
    for (; digits < NUMBER_DIGITS && name[digits] >= '0' && name[digits] <= '9'; digits++) {
        value = value * 10 + (uint64_t)(name[digits] - '0');
    }
    if (digits != NUMBER_DIGITS || value == 0) return VR_WAL_FILE_OTHER;
    *number = value;
    if (strcmp(name + digits, ".wal") == 0) return VR_WAL_FILE_SEGMENT;
    if (strcmp(name + digits, ".wal.new") == 0) return VR_WAL_FILE_NEW;
    return VR_WAL_FILE_OTHER;
}
