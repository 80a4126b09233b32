/*
 * Fuzzes the decoder of WAL segments (wal/layout.h, vr_wal_scan()). The first byte chooses: 0: the rest is a segment as it stands;
 * otherwise the rest is the records of a segment, which get a right header page, segment number and checksums, so that what lies
 * behind these checks is reached too.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/hash.h"
#include "wal/layout.h"
#include "wal/wal.h"

#define INPUT_BYTES_MAX ((size_t)1 << 16)

typedef struct seen {
    varve_slice segment;
    uint64_t end; /* of the record before */
} seen;

static bool visit(void *context, const vr_wal_record_info *record) {
    seen *s = context;
    uint64_t payload_offset = record->offset + VR_WAL_RECORD_BYTES;
    VR_CHECK(record->offset >= s->end && record->offset % VR_WAL_ALIGNMENT == 0);
    VR_CHECK(record->payload.data == s->segment.data + payload_offset);
    VR_CHECK(record->payload.size <= s->segment.size - payload_offset);
    s->end = payload_offset + record->payload.size;
    if (record->type[0] != 'b') return true;
    vr_batch_reader reader;
    vr_change change;
    VR_CHECK(vr_batch_reader_open(&reader, record->payload, NULL) == VARVE_OK);
    while (vr_batch_reader_next(&reader, &change, NULL) == VARVE_OK) {
        VR_CHECK(change.key.size + change.value.size <= record->payload.size);
    }
    return true;
}

static void scan(varve_slice segment) {
    seen s = {segment, VR_WAL_PAGE_BYTES};
    varve_error err;
    varve_status st = vr_wal_scan(segment, "input", visit, &s, &err);
    VR_CHECK(st == VARVE_OK || ((st == VARVE_CORRUPTION || st == VARVE_UNSUPPORTED) && err.code == st && err.message[0]));
}

/* Gives each record, as far as their lengths lead, the segment's number and its checksum. */
static void repair(char *segment, size_t size) {
    for (size_t at = VR_WAL_PAGE_BYTES; at + VR_WAL_RECORD_BYTES <= size;) {
        uint64_t bytes = vr_wal_record_size(vr_get32(segment + at + 8));
        if (bytes > size - at) break;
        vr_put32(segment + at + 12, 1);
        vr_put64(segment + at, vr_hash(segment + at + 8, VR_WAL_RECORD_BYTES - 8 + vr_get32(segment + at + 8)));
        at += bytes;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0 || size > INPUT_BYTES_MAX) return 0;
    if (data[0] == 0) {
        scan(varve_bytes(data + 1, size - 1));
        return 0;
    }
    size_t whole = (size_t)vr_align_up(VR_WAL_PAGE_BYTES + size, VR_WAL_PAGE_BYTES);
    char *segment = calloc(1, whole);
    if (!segment) return 0;
    vr_wal_page_encode(segment, 1, whole);
    memcpy(segment + VR_WAL_PAGE_BYTES, data + 1, size - 1);
    repair(segment, whole);
    scan(varve_bytes(segment, whole));
    free(segment);
    return 0;
}
