/*
 * table/table_file.c - see table/table_file.h.
 */
#include "table/table_file.h"

#include <inttypes.h>

#include "base/error.h"

varve_status vr_table_open_file(vr_table_file *tf, const vr_env *env, vr_budget *budget, const char *path, varve_error *err) {
    char bytes[VR_TABLE_FOOTER_BYTES];
    uint64_t size;
    size_t got;
    *tf = (vr_table_file){.env = env, .budget = budget};
    tf->path = vr_strdup(&env->mem, path);
    if (!tf->path) return vr_error_nomem(err, strlen(path) + 1, "a table's path");
    varve_status st = vr_fs_open(env->fs, path, VR_OPEN_READ, &tf->file, err);
    if (st == VARVE_OK) st = vr_file_get_size(tf->file, &size, err);
    if (st != VARVE_OK) return st;
    if (size < VR_TABLE_FOOTER_BYTES) {
        return vr_error_set(err, VARVE_CORRUPTION, "%s: offset 0: file size is %" PRIu64 ", allowed %u or more", path, size,
                            VR_TABLE_FOOTER_BYTES);
    }
    st = vr_file_pread(tf->file, bytes, sizeof bytes, size - sizeof bytes, &got, err);
    if (st != VARVE_OK) return st;
    if (got != sizeof bytes) {
        return vr_error_set(err, VARVE_CORRUPTION, "%s: offset %" PRIu64 ": footer has %zu bytes, allowed %zu", path,
                            size - sizeof bytes, got, sizeof bytes);
    }
    return vr_footer_decode(bytes, size, path, &tf->footer, err);
}

void vr_table_file_close(vr_table_file *tf) {
    const vr_mem *mem = &tf->env->mem;
    if (tf->file) (void)vr_file_close(tf->file, NULL); /* only read from: nothing can be lost */
    vr_table_summary_free(&tf->properties.summary);
    vr_free(mem, tf->path);
    vr_free(mem, tf->filter_bytes);
    vr_free(mem, tf->index_bytes);
    vr_free(mem, tf->offsets);
    vr_free(mem, tf->fences.prefixes);
    vr_budget_release(tf->budget, VR_USE_INDEX, tf->charged);
    *tf = (vr_table_file){0};
}

/* Unpacks the frame in stored into a new allocation. */
static varve_status unpack(const vr_table_file *tf, vr_decompressor *decompressor, const vr_frame *frame, const vr_place *place,
                           size_t room, vr_frame_bytes *bytes, varve_error *err) {
    const vr_mem *mem = &tf->env->mem;
    char *allocation = vr_alloc(mem, room + frame->raw_bytes);
    if (!allocation) return vr_error_nomem(err, room + frame->raw_bytes, "a table's frame");
    varve_status st = vr_decompress(decompressor, frame, place, allocation + room, err);
    if (st != VARVE_OK) {
        vr_free(mem, allocation);
        return st;
    }
    *bytes = (vr_frame_bytes){.allocation = allocation, .raw = varve_bytes(allocation + room, frame->raw_bytes)};
    return VARVE_OK;
}

varve_status vr_table_file_read_frame(const vr_table_file *tf, vr_decompressors *pool, vr_extent extent, vr_frame_kind kind,
                                      uint64_t raw_max, size_t room, vr_frame_bytes *bytes, varve_error *err) {
    vr_place place = vr_table_file_place(tf, extent.offset);
    vr_frame frame;
    size_t got = 0;
    varve_status st = VARVE_OK;
    vr_decompressor *decompressor = vr_decompressor_take(pool);
    if (!decompressor || !vr_decompressor_reserve(pool, decompressor, extent.size)) {
        st = vr_error_nomem(err, extent.size, "reading a table");
    }
    if (st == VARVE_OK) st = vr_file_pread(tf->file, decompressor->scratch, extent.size, extent.offset, &got, err);
    if (st == VARVE_OK && got != extent.size) {
        st = vr_error_set(err, VARVE_CORRUPTION, "%s: offset %" PRIu64 ": %s frame has %zu bytes, allowed %" PRIu64, tf->path,
                          extent.offset, vr_frame_kind_name(kind), got, extent.size);
    }
    if (st == VARVE_OK) st = vr_frame_open(varve_bytes(decompressor->scratch, extent.size), &place, kind, raw_max, &frame, err);
    if (st == VARVE_OK) st = unpack(tf, decompressor, &frame, &place, room, bytes, err);
    vr_decompressor_give(pool, decompressor);
    return st;
}

static void charge(vr_table_file *tf, uint64_t bytes) {
    vr_budget_charge(tf->budget, VR_USE_INDEX, bytes);
    tf->charged += bytes;
}

varve_status vr_table_file_read_properties(vr_table_file *tf, vr_decompressors *pool, varve_error *err) {
    vr_frame_bytes bytes;
    vr_properties p;
    varve_status st =
        vr_table_file_read_frame(tf, pool, tf->footer.properties, VR_FRAME_PROPERTIES, VR_TABLE_META_BYTES_MAX, 0, &bytes, err);
    if (st != VARVE_OK) return st;
    vr_place place = vr_table_file_place(tf, tf->footer.properties.offset);
    st = vr_properties_decode(bytes.raw, &place, &p, err);
    vr_free(&tf->env->mem, bytes.allocation);
    if (st != VARVE_OK) return st;
    p.summary.table_id = tf->footer.table_id;
    p.summary.file_bytes = tf->footer.file_bytes;
    tf->properties = p;
    charge(tf, p.summary.min_key.capacity + p.summary.max_key.capacity);
    if (p.summary.entries != tf->footer.entries) {
        return vr_error_set(err, VARVE_CORRUPTION,
                            "%s: offset %" PRIu64 ": properties' entries is %" PRIu64 ", allowed the footer's, %" PRIu64, tf->path,
                            place.offset, p.summary.entries, tf->footer.entries);
    }
    return VARVE_OK;
}

varve_status vr_table_file_read_filter(vr_table_file *tf, vr_decompressors *pool, varve_error *err) {
    vr_frame_bytes bytes;
    if (tf->footer.filter.size == 0) return VARVE_OK;
    /* Moved down to a multiple of 64, so that a line of the filter is a line of the cache. */
    varve_status st = vr_table_file_read_frame(tf, pool, tf->footer.filter, VR_FRAME_FILTER, VR_TABLE_META_BYTES_MAX,
                                               VR_FILTER_LINE_BYTES, &bytes, err);
    if (st != VARVE_OK) return st;
    tf->filter_bytes = bytes.allocation;
    size_t off = (VR_FILTER_LINE_BYTES - (uintptr_t)bytes.allocation % VR_FILTER_LINE_BYTES) % VR_FILTER_LINE_BYTES;
    memmove(bytes.allocation + off, bytes.raw.data, bytes.raw.size);
    charge(tf, bytes.raw.size + VR_FILTER_LINE_BYTES);
    vr_place place = vr_table_file_place(tf, tf->footer.filter.offset);
    return vr_filter_decode(varve_bytes(bytes.allocation + off, bytes.raw.size), &place, &tf->filter, err);
}

/* The offsets of the data frames, which must tile the file from 0 to where the data end. */
static varve_status decode_offsets(vr_table_file *tf, varve_error *err) {
    uint64_t expected = 0, data_end = vr_footer_data_end(&tf->footer);
    for (uint32_t i = 0; i < tf->blocks; i++) {
        varve_slice value = vr_block_value(&tf->index, i);
        uint64_t offset, size;
        if (!vr_take_varint(&value, UINT64_MAX, &offset) || !vr_take_varint(&value, UINT64_MAX, &size) || value.size != 0) {
            return vr_error_set(err, VARVE_CORRUPTION,
                                "%s: offset %" PRIu64 ": index entry %" PRIu32 " is not two varints, an offset and a size",
                                tf->path, tf->footer.index.offset, i);
        }
        if (offset != expected) {
            return vr_error_set(err, VARVE_CORRUPTION,
                                "%s: offset %" PRIu64 ": index entry %" PRIu32 ": offset is %" PRIu64 ", allowed %" PRIu64,
                                tf->path, tf->footer.index.offset, i, offset, expected);
        }
        uint64_t high = data_end - offset, low = i + 1 == tf->blocks ? high : VR_FRAME_HEADER_BYTES;
        if (size < low || size > high) {
            return vr_error_set(err, VARVE_CORRUPTION,
                                "%s: offset %" PRIu64 ": index entry %" PRIu32 ": size is %" PRIu64 ", allowed %" PRIu64
                                " to %" PRIu64,
                                tf->path, tf->footer.index.offset, i, size, low, high);
        }
        tf->offsets[i] = offset;
        expected = offset + size;
    }
    tf->offsets[tf->blocks] = expected;
    return VARVE_OK;
}

static varve_status make_fences(vr_table_file *tf, varve_error *err) {
    tf->fences.count = vr_block_fence_count(tf->blocks);
    size_t size = tf->fences.count * sizeof *tf->fences.prefixes;
    tf->fences.prefixes = vr_alloc(&tf->env->mem, size);
    if (!tf->fences.prefixes) return vr_error_nomem(err, size, "a table's fences");
    charge(tf, size);
    vr_block_fences_fill(&tf->index, &tf->fences);
    return VARVE_OK;
}

varve_status vr_table_file_read_index(vr_table_file *tf, vr_decompressors *pool, varve_error *err) {
    vr_frame_bytes bytes;
    varve_status st = vr_table_file_read_frame(tf, pool, tf->footer.index, VR_FRAME_INDEX, VR_TABLE_META_BYTES_MAX, 0, &bytes, err);
    if (st != VARVE_OK) return st;
    tf->index_bytes = bytes.allocation;
    charge(tf, bytes.raw.size);
    vr_place place = vr_table_file_place(tf, tf->footer.index.offset);
    st = vr_block_check(bytes.raw, VR_FRAME_INDEX, &place, err);
    if (st != VARVE_OK) return st;
    tf->index = vr_block_view_of(bytes.raw.data);
    if (tf->index.count != tf->footer.blocks) {
        return vr_error_set(err, VARVE_CORRUPTION, "%s: offset %" PRIu64 ": index has %" PRIu32 " entries, allowed %" PRIu64,
                            tf->path, place.offset, tf->index.count, tf->footer.blocks);
    }
    tf->blocks = tf->index.count;
    size_t size = ((size_t)tf->blocks + 1) * sizeof *tf->offsets;
    tf->offsets = vr_alloc(&tf->env->mem, size);
    if (!tf->offsets) return vr_error_nomem(err, size, "a table's block offsets");
    charge(tf, size);
    st = decode_offsets(tf, err);
    return st == VARVE_OK ? make_fences(tf, err) : st;
}
