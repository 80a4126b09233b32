/*
 * changelog/mark.c - encodes and strictly decodes marks; the byte diagram is in mark.h.
 */
#include "mark.h"

#include "report.h"
#include "wire.h"

enum {
    AT_VERSION = 0,
    AT_FLAGS = 1,
    AT_ZERO = 2,
    AT_RECORDS = 4,
    AT_EPOCH = 8,
    AT_SESSION = 12,
    AT_LINEAGE = 16,
    AT_WRITER = 32,
    AT_SEQUENCE = 48,
    AT_HASH = 56
};

bool vcl_id_is_zero(const uint8_t id[VCL_ID_BYTES]) {
    for (unsigned i = 0; i < VCL_ID_BYTES; i++) {
        if (id[i]) return false;
    }
    return true;
}

bool vcl_id_equal(const uint8_t a[VCL_ID_BYTES], const uint8_t b[VCL_ID_BYTES]) {
    return memcmp(a, b, VCL_ID_BYTES) == 0;
}

vcl_id_text vcl_id_name(const uint8_t id[VCL_ID_BYTES]) {
    static const char digits[] = "0123456789abcdef";
    vcl_id_text name;
    for (unsigned i = 0; i < VCL_ID_BYTES; i++) {
        name.text[2 * i] = digits[id[i] >> 4];
        name.text[2 * i + 1] = digits[id[i] & 15];
    }
    name.text[2 * VCL_ID_BYTES] = 0;
    return name;
}

void vcl_mark_encode(vcl_mark *mark, uint8_t out[VCL_MARK_BYTES]) {
    vcl_put(out + AT_VERSION, 1, VCL_MARK_VERSION);
    vcl_put(out + AT_FLAGS, 1, mark->base ? VCL_MARK_BASE : 0);
    vcl_put(out + AT_ZERO, 2, 0);
    vcl_put(out + AT_RECORDS, 4, mark->records);
    vcl_put(out + AT_EPOCH, 4, mark->epoch);
    vcl_put(out + AT_SESSION, 4, mark->session);
    memcpy(out + AT_LINEAGE, mark->lineage, VCL_ID_BYTES);
    memcpy(out + AT_WRITER, mark->writer, VCL_ID_BYTES);
    vcl_put(out + AT_SEQUENCE, 8, mark->sequence);
    mark->hash = vcl_hash(out, AT_HASH);
    vcl_put(out + AT_HASH, 8, mark->hash);
}

static varve_status bad(varve_error *err, const char *field, uint64_t found, const char *allowed) {
    return vcl_fail(err, VARVE_CORRUPTION, 0, "mark: %s is %llu, allowed is %s", field, (unsigned long long)found, allowed);
}

varve_status vcl_mark_decode(varve_slice bytes, vcl_mark *mark, varve_error *err) {
    const uint8_t *at = (const uint8_t *)bytes.data;
    if (bytes.size == 0) return bad(err, "size", 0, "64");
    if (at[AT_VERSION] != VCL_MARK_VERSION) {
        return vcl_fail(err, VARVE_UNSUPPORTED, 0, "mark: version is %u, this library knows %u: a newer one wrote it",
                        at[AT_VERSION], VCL_MARK_VERSION);
    }
    if (bytes.size != VCL_MARK_BYTES) return bad(err, "size", bytes.size, "64");
    uint64_t hash = vcl_hash(at, AT_HASH);
    if (vcl_get(at + AT_HASH, 8) != hash) return bad(err, "checksum", vcl_get(at + AT_HASH, 8), "that of the bytes before it");
    if (at[AT_FLAGS] & ~VCL_MARK_BASE) {
        return vcl_fail(err, VARVE_UNSUPPORTED, 0, "mark: flags are %u, this library knows %u: a newer one wrote it", at[AT_FLAGS],
                        VCL_MARK_BASE);
    }
    vcl_mark got = {.base = (at[AT_FLAGS] & VCL_MARK_BASE) != 0,
                    .records = (uint32_t)vcl_get(at + AT_RECORDS, 4),
                    .epoch = (uint32_t)vcl_get(at + AT_EPOCH, 4),
                    .session = (uint32_t)vcl_get(at + AT_SESSION, 4),
                    .sequence = vcl_get(at + AT_SEQUENCE, 8),
                    .hash = hash};
    memcpy(got.lineage, at + AT_LINEAGE, VCL_ID_BYTES);
    memcpy(got.writer, at + AT_WRITER, VCL_ID_BYTES);
    if (vcl_get(at + AT_ZERO, 2) != 0) return bad(err, "reserved field", vcl_get(at + AT_ZERO, 2), "0");
    if (got.records == 0) return bad(err, "records", 0, "at least 1");
    if (got.epoch == 0) return bad(err, "epoch", 0, "at least 1");
    if (got.session == 0) return bad(err, "session", 0, "at least 1");
    if (vcl_id_is_zero(got.lineage)) return bad(err, "lineage", 0, "any but 0");
    if (vcl_id_is_zero(got.writer)) return bad(err, "writer", 0, "any but 0");
    *mark = got;
    return VARVE_OK;
}
