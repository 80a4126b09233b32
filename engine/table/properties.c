/*
 * table/properties.c - see table/properties.h.
 */
#include "table/properties.h"

#include <inttypes.h>

#include "base/bytes.h"
#include "base/error.h"

enum {
    TAG_ENTRIES = 2,
    TAG_TOMBSTONES = 4,
    TAG_RAW_BYTES = 6,
    TAG_MIN_SEQUENCE = 8,
    TAG_MAX_SEQUENCE = 10,
    TAG_MIN_KEY = 12,
    TAG_MAX_KEY = 14,
    TAG_BLOCK_BYTES = 16,
    TAG_COMPRESSION = 17,
    TAG_FILTER_BITS = 19,
    TAGS_KNOWN = 20, /* known tags are below */
    REQUIRED = 1 << TAG_ENTRIES | 1 << TAG_TOMBSTONES | 1 << TAG_RAW_BYTES | 1 << TAG_MIN_SEQUENCE | 1 << TAG_MAX_SEQUENCE |
               1 << TAG_MIN_KEY | 1 << TAG_MAX_KEY | 1 << TAG_BLOCK_BYTES
};

void vr_table_summary_free(vr_table_summary *summary) {
    varve_buffer_free(&summary->min_key);
    varve_buffer_free(&summary->max_key);
    *summary = (vr_table_summary){0};
}

static uint64_t zigzag(int32_t value) {
    return value < 0 ? (uint64_t)(-(int64_t)value) * 2 - 1 : (uint64_t)value * 2;
}

static int32_t unzigzag(uint64_t coded) {
    return coded & 1 ? (int32_t)(-(int64_t)(coded / 2) - 1) : (int32_t)(coded / 2);
}

static bool put_bytes(varve_buffer *out, uint64_t tag, varve_slice bytes) {
    char head[2 * VR_VARINT64_BYTES_MAX];
    char *end = vr_put_varint(vr_put_varint(head, tag), bytes.size);
    return vr_buffer_append(out, head, (size_t)(end - head)) && vr_buffer_append(out, bytes.data, bytes.size);
}

static bool put_number(varve_buffer *out, uint64_t tag, uint64_t value) {
    char number[VR_VARINT64_BYTES_MAX];
    char *end = vr_put_varint(number, value);
    return put_bytes(out, tag, varve_bytes(number, (size_t)(end - number)));
}

bool vr_properties_encode(const vr_properties *properties, varve_buffer *out) {
    const vr_table_summary *s = &properties->summary;
    return put_number(out, TAG_ENTRIES, s->entries) && put_number(out, TAG_TOMBSTONES, s->tombstones) &&
           put_number(out, TAG_RAW_BYTES, s->raw_bytes) && put_number(out, TAG_MIN_SEQUENCE, s->min_sequence) &&
           put_number(out, TAG_MAX_SEQUENCE, s->max_sequence) && put_bytes(out, TAG_MIN_KEY, varve_buffer_slice(&s->min_key)) &&
           put_bytes(out, TAG_MAX_KEY, varve_buffer_slice(&s->max_key)) &&
           put_number(out, TAG_BLOCK_BYTES, properties->block_bytes) &&
           put_number(out, TAG_COMPRESSION, zigzag(properties->compression_level)) &&
           put_number(out, TAG_FILTER_BITS, properties->filter_bits);
}

static varve_status refuse(const vr_place *place, const char *field, uint64_t found, uint64_t low, uint64_t high,
                           varve_error *err) {
    return vr_error_set(err, VARVE_CORRUPTION,
                        "%s: offset %" PRIu64 ": properties' %s is %" PRIu64 ", allowed %" PRIu64 " to %" PRIu64, place->path,
                        place->offset, field, found, low, high);
}

/* A number that fills bytes and lies in low..high. */
static varve_status take_number(varve_slice bytes, const vr_place *place, const char *field, uint64_t low, uint64_t high,
                                uint64_t *value, varve_error *err) {
    uint64_t found;
    size_t size = bytes.size;
    if (!vr_take_varint(&bytes, UINT64_MAX, &found) || bytes.size != 0) {
        return vr_error_set(err, VARVE_CORRUPTION,
                            "%s: offset %" PRIu64 ": properties' %s of %zu bytes is no varint, allowed one of 1 to 10 bytes",
                            place->path, place->offset, field, size);
    }
    if (found < low || found > high) return refuse(place, field, found, low, high, err);
    *value = found;
    return VARVE_OK;
}

static varve_status take_key(varve_slice bytes, const vr_place *place, const char *field, varve_buffer *key, varve_error *err) {
    if (bytes.size > VARVE_KEY_BYTES_MAX) return refuse(place, field, bytes.size, 0, VARVE_KEY_BYTES_MAX, err);
    if (!vr_buffer_set(key, bytes)) return vr_error_nomem(err, bytes.size, "a table's properties");
    return VARVE_OK;
}

static varve_status take_u32(varve_slice bytes, const vr_place *place, const char *field, uint32_t low, uint32_t high,
                             uint32_t *value, varve_error *err) {
    uint64_t number = 0;
    varve_status st = take_number(bytes, place, field, low, high, &number, err);
    if (st == VARVE_OK) *value = (uint32_t)number;
    return st;
}

/* One field. Ascending tags make the bounds on fields that came before known. */
static varve_status take_field(uint64_t tag, varve_slice bytes, const vr_place *place, vr_properties *p, varve_error *err) {
    vr_table_summary *s = &p->summary;
    uint32_t coded = 0;
    varve_status st;
    switch (tag) {
    case TAG_ENTRIES: return take_number(bytes, place, "entries", 1, UINT64_MAX, &s->entries, err);
    case TAG_TOMBSTONES: return take_number(bytes, place, "tombstones", 0, s->entries, &s->tombstones, err);
    case TAG_RAW_BYTES: return take_number(bytes, place, "raw bytes", 0, UINT64_MAX, &s->raw_bytes, err);
    case TAG_MIN_SEQUENCE: return take_number(bytes, place, "min sequence", 0, VR_SEQUENCE_MAX, &s->min_sequence, err);
    case TAG_MAX_SEQUENCE:
        return take_number(bytes, place, "max sequence", s->min_sequence, VR_SEQUENCE_MAX, &s->max_sequence, err);
    case TAG_MIN_KEY: return take_key(bytes, place, "first key's size", &s->min_key, err);
    case TAG_MAX_KEY: return take_key(bytes, place, "last key's size", &s->max_key, err);
    case TAG_BLOCK_BYTES: return take_u32(bytes, place, "block size", VR_BLOCK_BYTES_MIN, VR_BLOCK_BYTES_MAX, &p->block_bytes, err);
    case TAG_COMPRESSION:
        st = take_u32(bytes, place, "compression level", 0, INT32_MAX, &coded, err);
        if (st == VARVE_OK) p->compression_level = unzigzag(coded);
        return st;
    case TAG_FILTER_BITS: return take_u32(bytes, place, "filter bits", 0, UINT32_MAX, &p->filter_bits, err);
    default: break;
    }
    if (tag & 1) return VARVE_OK;
    return vr_error_set(err, VARVE_UNSUPPORTED,
                        "%s: offset %" PRIu64 ": properties have tag %" PRIu64 ", which this library does not know", place->path,
                        place->offset, tag);
}

varve_status vr_properties_decode(varve_slice in, const vr_place *place, vr_properties *properties, varve_error *err) {
    vr_properties p = {0};
    uint64_t last_tag = 0, seen = 0;
    varve_status st = VARVE_OK;
    while (st == VARVE_OK && in.size > 0) {
        uint64_t tag, size;
        varve_slice bytes;
        if (!vr_take_varint(&in, UINT64_MAX, &tag) || !vr_take_varint(&in, UINT32_MAX, &size) || !vr_take(&in, size, &bytes)) {
            st = vr_error_set(err, VARVE_CORRUPTION,
                              "%s: offset %" PRIu64 ": properties' field after tag %" PRIu64 " is cut short, %zu bytes are left",
                              place->path, place->offset, last_tag, in.size);
        } else if (tag <= last_tag) {
            st = refuse(place, "tag", tag, last_tag + 1, UINT64_MAX, err);
        } else {
            st = take_field(tag, bytes, place, &p, err);
            last_tag = tag;
            if (tag < TAGS_KNOWN) seen |= UINT64_C(1) << tag;
        }
    }
    if (st == VARVE_OK && (seen & REQUIRED) != REQUIRED) {
        uint64_t missing = REQUIRED & ~seen;
        st = vr_error_set(err, VARVE_CORRUPTION, "%s: offset %" PRIu64 ": properties lack tag %d", place->path, place->offset,
                          __builtin_ctzll(missing));
    }
    if (st != VARVE_OK) {
        vr_table_summary_free(&p.summary);
        return st;
    }
    *properties = p;
    return VARVE_OK;
}
