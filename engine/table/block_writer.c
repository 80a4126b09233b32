/*
 * table/block_writer.c - see table/block_writer.h; the layout is in table/block.h.
 */
#include "table/block_writer.h"

/* Bytes behind the last key that vr_block_writer_finish() may read: it loads 8 at a time. */
#define KEY_SLACK 8u
/* Buffers beyond this are given back after the block: they were for one large entry. */
#define KEPT_BYTES (4u << 20)

void vr_block_writer_init(vr_block_writer *writer, const vr_mem *mem) {
    *writer = (vr_block_writer){.mem = mem};
    vr_block_writer_clear(writer);
}

void vr_block_writer_free(vr_block_writer *writer) {
    vr_free(writer->mem, writer->entries);
    vr_free(writer->mem, writer->keys);
    vr_free(writer->mem, writer->values);
    *writer = (vr_block_writer){.mem = writer->mem};
}

void vr_block_writer_clear(vr_block_writer *writer) {
    if (writer->values_capacity > KEPT_BYTES) {
        vr_free(writer->mem, writer->values);
        writer->values = NULL;
        writer->values_capacity = 0;
    }
    writer->count = 0;
    writer->common = writer->first_key = writer->first_value = 0;
    writer->fixed_key = writer->fixed_value = writer->same_trailer = true;
}

static uint32_t key_end(const vr_block_writer *writer) {
    return writer->count ? writer->entries[writer->count - 1].key_end : 0;
}

static uint32_t value_end(const vr_block_writer *writer) {
    return writer->count ? writer->entries[writer->count - 1].value_end : 0;
}

varve_slice vr_block_writer_last_key(const vr_block_writer *writer) {
    VR_ASSERT(writer->count > 0);
    uint32_t begin = writer->count > 1 ? writer->entries[writer->count - 2].key_end : 0;
    return varve_bytes(writer->keys + begin, writer->entries[writer->count - 1].key_end - begin);
}

uint64_t vr_block_writer_last_trailer(const vr_block_writer *writer) {
    VR_ASSERT(writer->count > 0);
    return writer->entries[writer->count - 1].trailer;
}

uint64_t vr_block_writer_held(const vr_block_writer *writer) {
    return writer->entries_capacity * sizeof(vr_block_entry) + writer->keys_capacity + writer->values_capacity;
}

/* What key shares with the block's common bytes. Nearly always all of them: one memcmp. */
static uint32_t common_with(const vr_block_writer *writer, varve_slice key) {
    varve_slice common = varve_bytes(writer->keys, writer->common);
    if (vr_starts_with(key, common)) return writer->common;
    return (uint32_t)vr_common_prefix(common, key);
}

/* A block of count entries of such a shape. Exact, but that keys of differing length are taken to have full heads. */
static uint64_t shape_bytes(uint64_t count, uint64_t common, bool fixed_key, uint64_t suffix, uint64_t tails, bool fixed_value,
                            uint64_t values, bool same_trailer) {
    uint64_t bytes = VR_BLOCK_HEADER_BYTES + vr_align_up(common, 8) + 8 * count + values;
    if (!same_trailer) bytes += 8 * count;
    if (!fixed_value) bytes += 4 * count;
    return bytes + (fixed_key ? count * (suffix > 8 ? suffix - 8 : 0) : 5 * count + tails);
}

uint64_t vr_block_writer_bytes_with(const vr_block_writer *writer, varve_slice key, uint64_t trailer, varve_slice value) {
    uint64_t count = (uint64_t)writer->count + 1;
    if (count == 1) return shape_bytes(1, key.size, true, 0, 0, true, value.size, true);
    uint64_t common = common_with(writer, key), keys = (uint64_t)key_end(writer) + key.size;
    bool same = writer->same_trailer && writer->entries[0].trailer == trailer;
    return shape_bytes(count, common, writer->fixed_key && key.size == writer->first_key, key.size - common, keys - count * common,
                       writer->fixed_value && value.size == writer->first_value, (uint64_t)value_end(writer) + value.size, same);
}

/* The bytes of all tails, where keys differ in length. */
static uint64_t tails_bytes(const vr_block_writer *writer) {
    uint64_t tails = 0;
    uint32_t begin = 0;
    for (uint32_t i = 0; i < writer->count; i++) {
        uint32_t suffix = writer->entries[i].key_end - begin - writer->common;
        tails += suffix > 8 ? suffix - 8 : 0;
        begin = writer->entries[i].key_end;
    }
    return tails;
}

uint64_t vr_block_writer_bytes(const vr_block_writer *writer) {
    VR_ASSERT(writer->count > 0);
    return shape_bytes(writer->count, writer->common, writer->fixed_key, writer->first_key - writer->common,
                       writer->fixed_key ? 0 : tails_bytes(writer), writer->fixed_value, value_end(writer), writer->same_trailer);
}

/* Room for one entry more, so many bytes of keys and so many of values. Keys and values are each at least a byte long in memory,
 * so that the pointers are never NULL. */
static bool reserve(vr_block_writer *writer, size_t keys, size_t values) {
    if (writer->count < writer->entries_capacity && keys + KEY_SLACK <= writer->keys_capacity && values < writer->values_capacity) {
        return true;
    }
    return vr_grow(writer->mem, (void **)&writer->entries, &writer->entries_capacity, (size_t)writer->count + 1,
                   sizeof(vr_block_entry)) &&
           vr_grow(writer->mem, (void **)&writer->keys, &writer->keys_capacity, keys + KEY_SLACK, 1) &&
           vr_grow(writer->mem, (void **)&writer->values, &writer->values_capacity, values + 1, 1);
}

bool vr_block_writer_add(vr_block_writer *writer, varve_slice key, uint64_t trailer, varve_slice value) {
    uint32_t keys = key_end(writer), values = value_end(writer);
    VR_ASSERT((uint64_t)values + value.size <= UINT32_MAX && (uint64_t)keys + key.size <= UINT32_MAX);
    if (!reserve(writer, keys + key.size, values + value.size)) return false;
    if (writer->count == 0) {
        writer->common = writer->first_key = (uint32_t)key.size;
        writer->first_value = (uint32_t)value.size;
    } else {
        writer->common = common_with(writer, key);
        writer->fixed_key = writer->fixed_key && key.size == writer->first_key;
        writer->fixed_value = writer->fixed_value && value.size == writer->first_value;
        writer->same_trailer = writer->same_trailer && trailer == writer->entries[0].trailer;
    }
    if (key.size) memcpy(writer->keys + keys, key.data, key.size);
    if (value.size) memcpy(writer->values + values, value.data, value.size);
    writer->entries[writer->count++] =
        (vr_block_entry){.trailer = trailer, .key_end = keys + (uint32_t)key.size, .value_end = values + (uint32_t)value.size};
    return true;
}

/* Prefixes, heads, tail ends and tails. The columns are those of a view of the block under construction. */
static void put_keys(const vr_block_writer *writer, const vr_block_view *view) {
    char *prefixes = (char *)view->prefixes, *tails = (char *)view->tails;
    uint32_t begin = 0, tail_end = 0;
    for (uint32_t i = 0; i < writer->count; i++) {
        const char *suffix = writer->keys + begin + writer->common;
        uint32_t size = writer->entries[i].key_end - begin - writer->common, head = size < 8 ? size : 8;
        uint64_t word = vr_key_prefix(suffix, 8); /* may read into the next key or the slack: masked */
        vr_put64(prefixes + 8 * (size_t)i, head ? word & (UINT64_MAX << (64 - 8 * head)) : 0);
        if (size > 8) {
            memcpy(tails + tail_end, suffix + 8, size - 8);
            tail_end += size - 8;
        }
        if (view->heads) {
            ((char *)view->heads)[i] = (char)head;
            vr_put32((char *)view->tail_ends + 4 * (size_t)i, tail_end);
        }
        begin = writer->entries[i].key_end;
    }
}

void vr_block_writer_finish(const vr_block_writer *writer, char *out, uint32_t bytes) {
    VR_ASSERT(writer->count > 0);
    uint32_t flags = (writer->fixed_key ? VR_BLOCK_FIXED_KEY : 0) | (writer->fixed_value ? VR_BLOCK_FIXED_VALUE : 0) |
                     (writer->same_trailer ? VR_BLOCK_SAME_TRAILER : 0);
    vr_put32(out + VR_BLOCK_AT_COUNT, writer->count);
    vr_put32(out + VR_BLOCK_AT_FLAGS, flags);
    vr_put32(out + VR_BLOCK_AT_COMMON, writer->common);
    vr_put32(out + VR_BLOCK_AT_KEYS, writer->fixed_key ? writer->first_key - writer->common : (uint32_t)tails_bytes(writer));
    vr_put32(out + VR_BLOCK_AT_VALUES, writer->fixed_value ? writer->first_value : value_end(writer));
    vr_put32(out + VR_BLOCK_AT_BYTES, bytes);
    vr_put64(out + VR_BLOCK_AT_TRAILER, writer->same_trailer ? writer->entries[0].trailer : 0);
    vr_block_view view = vr_block_view_of(out);
    VR_ASSERT((size_t)(view.values - out) + value_end(writer) == bytes);
    memset((char *)view.common, 0, (size_t)(view.prefixes - view.common));
    if (writer->common) memcpy((char *)view.common, writer->keys, writer->common);
    put_keys(writer, &view);
    for (uint32_t i = 0; view.trailers && i < writer->count; i++) {
        vr_put64((char *)view.trailers + 8 * (size_t)i, writer->entries[i].trailer);
    }
    for (uint32_t i = 0; view.value_ends && i < writer->count; i++) {
        vr_put32((char *)view.value_ends + 4 * (size_t)i, writer->entries[i].value_end);
    }
    uint32_t values = value_end(writer);
    if (values) memcpy((char *)view.values, writer->values, values);
}
