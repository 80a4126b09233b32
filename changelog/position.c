/*
 * changelog/position.c - encodes and strictly decodes positions; the byte diagram is in position.h.
 */
#include "position.h"

#include "report.h"
#include "wire.h"

enum {
    AT_VERSION = 0,
    AT_FLAGS = 1,
    AT_TOPIC_BYTES = 2,
    AT_EPOCH = 4,
    AT_SESSION = 8,
    AT_PARTITION = 12,
    AT_LINEAGE = 16,
    AT_WRITER = 32,
    AT_NEXT = 48,
    AT_TARGET = 56,
    AT_ACKNOWLEDGED = 64,
    AT_SYNCED = 72,
    AT_MARK_OFFSET = 80,
    AT_MARK_HASH = 88,
    AT_TOPIC_ID = 96,
    AT_TOPIC = VCL_POSITION_HEADER_BYTES
};

enum { FLAG_RESTORING = 1, FLAG_COPYING = 2, FLAGS_KNOWN = 3, HASH_BYTES = 8 };

size_t vcl_position_encode(const vcl_position *position, uint8_t out[VCL_POSITION_BYTES_MAX]) {
    size_t topic_bytes = strnlen(position->topic, VCL_TOPIC_BYTES_MAX);
    unsigned flags = (position->restoring ? FLAG_RESTORING : 0u) | (position->copying ? FLAG_COPYING : 0u);
    vcl_put(out + AT_VERSION, 1, VCL_POSITION_VERSION);
    vcl_put(out + AT_FLAGS, 1, flags);
    vcl_put(out + AT_TOPIC_BYTES, 2, topic_bytes);
    vcl_put(out + AT_EPOCH, 4, position->epoch);
    vcl_put(out + AT_SESSION, 4, position->session);
    vcl_put(out + AT_PARTITION, 4, (uint64_t)(uint32_t)position->partition);
    memcpy(out + AT_LINEAGE, position->lineage, VCL_ID_BYTES);
    memcpy(out + AT_WRITER, position->writer, VCL_ID_BYTES);
    vcl_put(out + AT_NEXT, 8, (uint64_t)position->next_offset);
    vcl_put(out + AT_TARGET, 8, (uint64_t)position->target_offset);
    vcl_put(out + AT_ACKNOWLEDGED, 8, position->acknowledged);
    vcl_put(out + AT_SYNCED, 8, (uint64_t)position->synced_ms);
    vcl_put(out + AT_MARK_OFFSET, 8, (uint64_t)position->mark_offset);
    vcl_put(out + AT_MARK_HASH, 8, position->mark_hash);
    memcpy(out + AT_TOPIC_ID, position->topic_id, VCL_ID_BYTES);
    memcpy(out + AT_TOPIC, position->topic, topic_bytes);
    size_t size = AT_TOPIC + topic_bytes;
    vcl_put(out + size, HASH_BYTES, vcl_hash(out, size));
    return size + HASH_BYTES;
}

static varve_status bad(varve_error *err, const char *field, int64_t found, const char *allowed) {
    return vcl_fail(err, VARVE_CORRUPTION, 0, "position: %s is %lld, allowed is %s", field, (long long)found, allowed);
}

/* What has to hold between the decoded fields. */
static varve_status check(const vcl_position *got, varve_error *err) {
    if (got->partition < 0) return bad(err, "partition", got->partition, "0 and above");
    if (got->next_offset < 0) return bad(err, "next offset", got->next_offset, "0 and above");
    if (got->target_offset < 0) return bad(err, "target offset", got->target_offset, "0 and above");
    if (got->restoring && got->target_offset < got->next_offset) {
        return bad(err, "target offset", got->target_offset, "the next offset and above while restoring");
    }
    if (got->synced_ms < 0) return bad(err, "wall clock", got->synced_ms, "0 and above");
    if (got->mark_offset < -1 || got->mark_offset >= got->next_offset) {
        return bad(err, "mark offset", got->mark_offset, "-1, and 0 to below the next offset");
    }
    return VARVE_OK;
}

varve_status vcl_position_decode(varve_slice bytes, vcl_position *position, varve_error *err) {
    const uint8_t *at = (const uint8_t *)bytes.data;
    if (bytes.size == 0) return bad(err, "size", 0, "121 to 369");
    if (at[AT_VERSION] != VCL_POSITION_VERSION) {
        return vcl_fail(err, VARVE_UNSUPPORTED, 0,
                        "position: version is %u, this library knows %u: it is another program's, or a "
                        "newer library wrote it",
                        at[AT_VERSION], VCL_POSITION_VERSION);
    }
    if (bytes.size < AT_TOPIC + 1 + HASH_BYTES || bytes.size > VCL_POSITION_BYTES_MAX) {
        return bad(err, "size", (int64_t)bytes.size, "121 to 369");
    }
    size_t hashed = bytes.size - HASH_BYTES;
    if (vcl_get(at + hashed, HASH_BYTES) != vcl_hash(at, hashed)) {
        return bad(err, "checksum", (int64_t)vcl_get(at + hashed, HASH_BYTES), "that of the bytes before it");
    }
    if (at[AT_FLAGS] & ~FLAGS_KNOWN) {
        return vcl_fail(err, VARVE_UNSUPPORTED, 0, "position: flags are %u, this library knows %u: a newer one wrote it",
                        at[AT_FLAGS], FLAGS_KNOWN);
    }
    size_t topic_bytes = (size_t)vcl_get(at + AT_TOPIC_BYTES, 2);
    if (topic_bytes != hashed - AT_TOPIC || memchr(at + AT_TOPIC, 0, topic_bytes)) {
        return bad(err, "bytes of the topic's name", (int64_t)topic_bytes, "what is left of the position, without a NUL");
    }
    vcl_position got = {.restoring = (at[AT_FLAGS] & FLAG_RESTORING) != 0,
                        .copying = (at[AT_FLAGS] & FLAG_COPYING) != 0,
                        .epoch = (uint32_t)vcl_get(at + AT_EPOCH, 4),
                        .session = (uint32_t)vcl_get(at + AT_SESSION, 4),
                        .partition = (int32_t)(uint32_t)vcl_get(at + AT_PARTITION, 4),
                        .next_offset = (int64_t)vcl_get(at + AT_NEXT, 8),
                        .target_offset = (int64_t)vcl_get(at + AT_TARGET, 8),
                        .acknowledged = vcl_get(at + AT_ACKNOWLEDGED, 8),
                        .synced_ms = (int64_t)vcl_get(at + AT_SYNCED, 8),
                        .mark_offset = (int64_t)vcl_get(at + AT_MARK_OFFSET, 8),
                        .mark_hash = vcl_get(at + AT_MARK_HASH, 8)};
    memcpy(got.lineage, at + AT_LINEAGE, VCL_ID_BYTES);
    memcpy(got.writer, at + AT_WRITER, VCL_ID_BYTES);
    memcpy(got.topic_id, at + AT_TOPIC_ID, VCL_ID_BYTES);
    memcpy(got.topic, at + AT_TOPIC, topic_bytes);
    varve_status status = check(&got, err);
    if (status != VARVE_OK) return status;
    *position = got;
    return VARVE_OK;
}
