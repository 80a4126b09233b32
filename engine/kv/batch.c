/*
 * kv/batch.c - encoding and strict decoding of batches. The bytes are drawn in kv/batch.h; doc/format-batch.md is normative.
 *
 * One batch has one encoding: varints are shortest, fields that a kind does not have are absent, and nothing follows the last
 * change. So two equal batches are equal bytes, and every deviation is damage. A set bit among the reserved flags is a newer
 * writer's, not damage, hence VARVE_UNSUPPORTED.
 *
 * A batch under construction has one owner. count always equals the number of changes in bytes, and the header's count too.
 */
#include "kv/batch.h"

#include "base/bytes.h"
#include "base/check.h"
#include "base/error.h"

#define BATCH_COUNT_OFFSET 8u
#define CHANGE_BYTES_MIN 3u /* kind, store id and key size, one byte each */

static bool kind_has_value(vr_kind kind) {
    return kind == VR_KIND_PUT || kind == VR_KIND_POSITION;
}

/* --- Writing --- */

void vr_batch_header_encode(char out[VR_BATCH_HEADER_BYTES], uint64_t time_ms, bool replica, uint32_t count) {
    VR_ASSERT(time_ms <= VR_BATCH_TIME_MAX);
    vr_put64(out, (time_ms & VR_BATCH_TIME_MAX) | (replica ? VR_BATCH_REPLICA : 0));
    vr_put32(out + BATCH_COUNT_OFFSET, count);
}

size_t vr_change_bytes(const vr_change *change) {
    size_t bytes = 1 + vr_varint_bytes(change->store_id) + vr_varint_bytes(change->key.size) + change->key.size;
    if (kind_has_value(change->kind)) bytes += vr_varint_bytes(change->value.size) + change->value.size;
    return bytes;
}

char *vr_change_encode(char *out, const vr_change *change) {
    VR_ASSERT(change->kind >= VR_KIND_DELETE && change->kind <= VR_KIND_POSITION);
    bool valued = kind_has_value(change->kind);
    *out++ = (char)change->kind;
    out = vr_put_varint(out, change->store_id);
    out = vr_put_varint(out, change->key.size);
    if (valued) out = vr_put_varint(out, change->value.size);
    if (change->key.size) memcpy(out, change->key.data, change->key.size);
    out += change->key.size;
    if (!valued) return out;
    if (change->value.size) memcpy(out, change->value.data, change->value.size);
    return out + change->value.size;
}

varve_status vr_batch_clear(vr_batch *batch, varve_error *err) {
    if (!vr_buffer_reserve(&batch->bytes, VR_BATCH_HEADER_BYTES)) {
        return vr_error_nomem(err, VR_BATCH_HEADER_BYTES, "a batch");
    }
    vr_batch_header_encode(batch->bytes.data, 0, false, 0);
    batch->bytes.size = VR_BATCH_HEADER_BYTES;
    batch->count = 0;
    return VARVE_OK;
}

void vr_batch_free(vr_batch *batch) {
    varve_buffer_free(&batch->bytes);
    batch->count = 0;
}

/* What the decoder would refuse is refused here. */
static varve_status check_change(const vr_change *change, varve_error *err) {
    size_t value_max = change->kind == VR_KIND_POSITION ? VARVE_POSITION_BYTES_MAX : VARVE_VALUE_BYTES_MAX;
    if (change->key.size > VARVE_KEY_BYTES_MAX) {
        return vr_error_set(err, VARVE_TOO_LARGE, "a key of %zu bytes; at most %u are allowed", change->key.size,
                            VARVE_KEY_BYTES_MAX);
    }
    if (kind_has_value(change->kind) && change->value.size > value_max) {
        return vr_error_set(err, VARVE_TOO_LARGE, "a %s of %zu bytes; at most %zu are allowed",
                            change->kind == VR_KIND_POSITION ? "position" : "value", change->value.size, value_max);
    }
    return VARVE_OK;
}

varve_status vr_batch_append(vr_batch *batch, const vr_change *change, varve_error *err) {
    VR_ASSERT(batch->bytes.size >= VR_BATCH_HEADER_BYTES);
    VR_ASSERT(change->kind != VR_KIND_POSITION || change->key.size == 0);
    varve_status st = check_change(change, err);
    if (st != VARVE_OK) return st;

    size_t bytes = vr_change_bytes(change);
    size_t needed = batch->bytes.size + bytes;
    if (needed > VARVE_BATCH_BYTES_MAX) {
        return vr_error_set(err, VARVE_TOO_LARGE, "a batch of %zu bytes; at most %u are allowed", needed, VARVE_BATCH_BYTES_MAX);
    }
    if (needed > batch->bytes.capacity) { /* doubling, so that a batch of n changes is copied O(1) times each */
        size_t doubled = batch->bytes.capacity * 2;
        if (!vr_buffer_reserve(&batch->bytes, doubled > needed ? doubled : needed)) return vr_error_nomem(err, needed, "a batch");
    }
    char *end = vr_change_encode(batch->bytes.data + batch->bytes.size, change);
    VR_ASSERT(end == batch->bytes.data + needed);
    (void)end;
    batch->bytes.size = needed;
    batch->count++;
    vr_put32(batch->bytes.data + BATCH_COUNT_OFFSET, batch->count);
    return VARVE_OK;
}

/* --- Reading --- */

varve_status vr_batch_reader_open(vr_batch_reader *reader, varve_slice batch, varve_error *err) {
    if (batch.size < VR_BATCH_HEADER_BYTES || batch.size > VARVE_BATCH_BYTES_MAX) {
        return vr_error_set(err, VARVE_CORRUPTION, "batch: size is %zu bytes; allowed are %u to %u", batch.size,
                            VR_BATCH_HEADER_BYTES, VARVE_BATCH_BYTES_MAX);
    }
    uint64_t time_and_flags = vr_get64(batch.data);
    uint32_t count = vr_get32(batch.data + BATCH_COUNT_OFFSET);
    uint64_t reserved = time_and_flags & ~(VR_BATCH_TIME_MAX | VR_BATCH_REPLICA);
    if (reserved != 0) {
        return vr_error_set(err, VARVE_UNSUPPORTED, "batch: offset 6: flags are 0x%04x; this version knows only 0x0001",
                            (unsigned)(time_and_flags >> 48));
    }
    size_t count_max = (batch.size - VR_BATCH_HEADER_BYTES) / CHANGE_BYTES_MIN;
    if (count > count_max) {
        return vr_error_set(err, VARVE_CORRUPTION, "batch: offset %u: count is %u; a batch of %zu bytes holds at most %zu changes",
                            BATCH_COUNT_OFFSET, count, batch.size, count_max);
    }
    reader->start = batch.data;
    reader->rest = varve_bytes(batch.data + VR_BATCH_HEADER_BYTES, batch.size - VR_BATCH_HEADER_BYTES);
    reader->left = count;
    reader->count = count;
    reader->timestamp_ms = time_and_flags & VR_BATCH_TIME_MAX;
    reader->replica = (time_and_flags & VR_BATCH_REPLICA) != 0;
    return VARVE_OK;
}

static varve_status change_corrupt(const vr_batch_reader *reader, const char *at, const char *what, varve_error *err) {
    return vr_error_set(err, VARVE_CORRUPTION, "batch: change %u, offset %zu: %s", reader->count - reader->left,
                        (size_t)(at - reader->start), what);
}

/* The sizes of key and value, in front of both. */
static varve_status take_sizes(const vr_batch_reader *reader, varve_slice *rest, vr_kind kind, uint64_t *key_size,
                               uint64_t *value_size, varve_error *err) {
    uint64_t key_max = kind == VR_KIND_POSITION ? 0 : VARVE_KEY_BYTES_MAX;
    uint64_t value_max = kind == VR_KIND_POSITION ? VARVE_POSITION_BYTES_MAX : VARVE_VALUE_BYTES_MAX;
    if (!vr_take_varint(rest, key_max, key_size)) {
        return change_corrupt(reader, rest->data,
                              "key size is no shortest varint, or beyond what its kind allows (65535, position: 0)", err);
    }
    *value_size = 0;
    if (kind_has_value(kind) && !vr_take_varint(rest, value_max, value_size)) {
        return change_corrupt(reader, rest->data,
                              "value size is no shortest varint, or beyond what its kind allows (134217728, position: 1024)", err);
    }
    return VARVE_OK;
}

varve_status vr_batch_reader_next(vr_batch_reader *reader, vr_change *change, varve_error *err) {
    varve_slice rest = reader->rest;
    if (reader->left == 0) {
        if (rest.size == 0) return VARVE_NOT_FOUND;
        return vr_error_set(err, VARVE_CORRUPTION, "batch: offset %zu: %zu bytes follow the last of %u changes; allowed are none",
                            (size_t)(rest.data - reader->start), rest.size, reader->count);
    }
    if (rest.size == 0) return change_corrupt(reader, rest.data, "the batch ends before its count of changes", err);

    uint8_t kind_byte = (uint8_t)rest.data[0];
    if (kind_byte < VR_KIND_DELETE || kind_byte > VR_KIND_POSITION) {
        return vr_error_set(err, VARVE_CORRUPTION, "batch: change %u, offset %zu: kind is %u; allowed are 1 to 3",
                            reader->count - reader->left, (size_t)(rest.data - reader->start), kind_byte);
    }
    vr_kind kind = (vr_kind)kind_byte;
    rest = varve_bytes(rest.data + 1, rest.size - 1);

    uint64_t store_id = 0, key_size = 0, value_size = 0;
    if (!vr_take_varint(&rest, UINT32_MAX, &store_id)) {
        return change_corrupt(reader, rest.data, "store id is no shortest varint of 32 bits", err);
    }
    varve_status st = take_sizes(reader, &rest, kind, &key_size, &value_size, err);
    if (st != VARVE_OK) return st;
    if (key_size + value_size > rest.size) {
        return vr_error_set(err, VARVE_CORRUPTION, "batch: change %u, offset %zu: key and value take %llu bytes; %zu are left",
                            reader->count - reader->left, (size_t)(rest.data - reader->start),
                            (unsigned long long)(key_size + value_size), rest.size);
    }
    change->kind = kind;
    change->store_id = (uint32_t)store_id;
    change->key = varve_bytes(rest.data, key_size);
    change->value = varve_bytes(rest.data + key_size, value_size);
    reader->rest = varve_bytes(rest.data + key_size + value_size, rest.size - key_size - value_size);
    reader->left--;
    return VARVE_OK;
}
