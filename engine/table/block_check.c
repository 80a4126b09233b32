/*
 * table/block_check.c - the structure of a block that has just been loaded: after this, reading it needs no checks.
 */
#include <inttypes.h>

#include "base/error.h"
#include "table/block.h"

/* What is being checked; for messages. */
typedef struct checked {
    varve_slice block;
    vr_frame_kind kind;
    const vr_place *place;
    varve_error *err;
} checked;

/* The complaint names the frame's offset in the file, and the byte of the (decompressed) block. */
static varve_status refuse(const checked *c, size_t at, const char *field, uint64_t found, uint64_t low, uint64_t high) {
    return vr_error_set(c->err, VARVE_CORRUPTION,
                        "%s: offset %" PRIu64 ": %s block's byte %zu: %s is %" PRIu64 ", allowed %" PRIu64 " to %" PRIu64,
                        c->place->path, c->place->offset, vr_frame_kind_name(c->kind), at, field, found, low, high);
}

static size_t offset_of(const checked *c, const char *at) {
    return (size_t)(at - c->block.data);
}

/* The header alone, and the sum of all columns: what vr_block_view_of() relies on. */
static varve_status check_header(const checked *c) {
    const char *b = c->block.data;
    if (c->block.size < VR_BLOCK_HEADER_BYTES) {
        return refuse(c, 0, "size", c->block.size, VR_BLOCK_HEADER_BYTES, UINT32_MAX);
    }
    uint64_t count = vr_get32(b + VR_BLOCK_AT_COUNT), flags = vr_get32(b + VR_BLOCK_AT_FLAGS);
    uint64_t common = vr_get32(b + VR_BLOCK_AT_COMMON), keys = vr_get32(b + VR_BLOCK_AT_KEYS);
    uint64_t values = vr_get32(b + VR_BLOCK_AT_VALUES), bytes = vr_get32(b + VR_BLOCK_AT_BYTES);
    uint64_t trailer = vr_get64(b + VR_BLOCK_AT_TRAILER);
    bool fixed_key = flags & VR_BLOCK_FIXED_KEY, fixed_value = flags & VR_BLOCK_FIXED_VALUE;
    if (bytes != c->block.size) return refuse(c, VR_BLOCK_AT_BYTES, "size", bytes, c->block.size, c->block.size);
    uint64_t room = c->block.size - VR_BLOCK_HEADER_BYTES;
    if (count < 1 || count > room / 8) return refuse(c, VR_BLOCK_AT_COUNT, "entries", count, 1, room / 8);
    if (flags > VR_BLOCK_FLAGS) return refuse(c, VR_BLOCK_AT_FLAGS, "flags", flags, 0, VR_BLOCK_FLAGS);
    if (common > VARVE_KEY_BYTES_MAX) return refuse(c, VR_BLOCK_AT_COMMON, "common bytes", common, 0, VARVE_KEY_BYTES_MAX);
    uint64_t keys_max = fixed_key ? VARVE_KEY_BYTES_MAX - common : room;
    if (keys > keys_max) return refuse(c, VR_BLOCK_AT_KEYS, "key bytes", keys, 0, keys_max);
    uint64_t values_max = fixed_value ? VARVE_VALUE_BYTES_MAX : room;
    if (values > values_max) return refuse(c, VR_BLOCK_AT_VALUES, "value bytes", values, 0, values_max);
    if (!(flags & VR_BLOCK_SAME_TRAILER) && trailer != 0) return refuse(c, VR_BLOCK_AT_TRAILER, "unused trailer", trailer, 0, 0);
    uint64_t tails = fixed_key ? count * (keys > 8 ? keys - 8 : 0) : keys;
    uint64_t sum = VR_BLOCK_HEADER_BYTES + vr_align_up(common, 8) + count * 8 + tails + (fixed_value ? count * values : values);
    if (!(flags & VR_BLOCK_SAME_TRAILER)) sum += count * 8;
    if (!fixed_key) sum += count * 5;
    if (!fixed_value) sum += count * 4;
    if (sum != bytes) return refuse(c, VR_BLOCK_AT_BYTES, "sum of all columns", sum, bytes, bytes);
    return VARVE_OK;
}

/* Ends must rise (or stay) and the last one be the heap's size; each piece is at most piece_max bytes. */
static varve_status check_ends(const checked *c, const char *ends, uint32_t count, uint64_t heap, uint64_t piece_max,
                               const char *field) {
    uint64_t last = 0;
    for (uint32_t i = 0; i < count; i++) {
        const char *at = ends + 4 * (size_t)i;
        uint64_t end = vr_get32(at), high = last + piece_max < heap ? last + piece_max : heap;
        uint64_t low = i + 1 == count ? heap : last;
        if (end < low || end > high) return refuse(c, offset_of(c, at), field, end, low, high);
        last = end;
    }
    return VARVE_OK;
}

/* Heads, tails and padding of keys that differ in length. */
static varve_status check_heads(const checked *c, const vr_block_view *view) {
    uint64_t most = VARVE_KEY_BYTES_MAX - view->common_bytes;
    for (uint32_t i = 0; i < view->count; i++) {
        uint32_t head = (uint8_t)view->heads[i];
        size_t at = offset_of(c, view->heads + i), tail = vr_block_tail(view, i).size;
        uint64_t low = tail ? 8 : 0;
        if (head < low || head > 8) return refuse(c, at, "head", head, low, 8);
        if (head + tail > most) return refuse(c, at, "suffix bytes", head + tail, 0, most);
    }
    return VARVE_OK;
}

/* The bytes of a prefix that the suffix does not reach are zero: the search relies on it. */
static varve_status check_padding(const checked *c, const vr_block_view *view) {
    for (const char *at = view->common + view->common_bytes; at < view->prefixes; at++) {
        if (*at != 0) return refuse(c, offset_of(c, at), "padding", (uint8_t)*at, 0, 0);
    }
    if (!view->heads && view->suffix_bytes >= 8) return VARVE_OK;
    for (uint32_t i = 0; i < view->count; i++) {
        uint32_t head = vr_block_head(view, i);
        uint64_t rest = head < 8 ? vr_block_prefix(view, i) << (8 * head) : 0;
        if (rest != 0) return refuse(c, offset_of(c, view->prefixes + 8 * (size_t)i), "prefix's padding", rest, 0, 0);
    }
    return VARVE_OK;
}

static varve_status check_trailers(const checked *c, const vr_block_view *view) {
    if (c->kind != VR_FRAME_DATA) return VARVE_OK; /* a separator's trailer is only ever compared */
    uint32_t count = view->trailers ? view->count : 1;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t kind = (uint64_t)vr_trailer_kind(vr_block_trailer(view, i));
        size_t at = view->trailers ? offset_of(c, view->trailers + 8 * (size_t)i) : VR_BLOCK_AT_TRAILER;
        if (kind != VR_KIND_DELETE && kind != VR_KIND_PUT) return refuse(c, at, "kind", kind, VR_KIND_DELETE, VR_KIND_PUT);
    }
    return VARVE_OK;
}

varve_status vr_block_check(varve_slice block, vr_frame_kind kind, const vr_place *place, varve_error *err) {
    const checked c = {.block = block, .kind = kind, .place = place, .err = err};
    varve_status st = check_header(&c);
    if (st != VARVE_OK) return st;
    vr_block_view view = vr_block_view_of(block.data);
    if (view.tail_ends) {
        uint64_t tails = (uint64_t)(view.values - view.tails);
        st = check_ends(&c, view.tail_ends, view.count, tails, VARVE_KEY_BYTES_MAX, "tail end");
        if (st == VARVE_OK) st = check_heads(&c, &view);
    }
    if (st == VARVE_OK && view.value_ends) {
        uint64_t values = (uint64_t)(block.data + block.size - view.values);
        st = check_ends(&c, view.value_ends, view.count, values, VARVE_VALUE_BYTES_MAX, "value end");
    }
    if (st == VARVE_OK) st = check_padding(&c, &view);
    if (st == VARVE_OK) st = check_trailers(&c, &view);
    return st;
}
