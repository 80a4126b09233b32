/*
 * table/footer.c - see table/footer.h.
 */
#include "table/footer.h"

#include <inttypes.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/error.h"
#include "base/hash.h"

enum {
    AT_ID = 0,
    AT_FILTER = 8,
    AT_INDEX = 24,
    AT_PROPERTIES = 40,
    AT_FILE_BYTES = 56,
    AT_ENTRIES = 64,
    AT_BLOCKS = 72,
    AT_ZERO = 80,
    AT_VERSION = 104,
    AT_ZERO32 = 108,
    AT_CHECKSUM = 112,
    AT_MAGIC = 120
};

/* What one field may be. */
typedef struct bound {
    const char *field;
    uint64_t found, low, high;
} bound;

static void put_extent(char *out, const vr_extent *extent) {
    vr_put64(out, extent->offset);
    vr_put64(out + 8, extent->size);
}

static vr_extent get_extent(const char *in) {
    return (vr_extent){.offset = vr_get64(in), .size = vr_get64(in + 8)};
}

uint64_t vr_footer_data_end(const vr_footer *footer) {
    return footer->filter.size ? footer->filter.offset : footer->index.offset;
}

void vr_footer_encode(char out[VR_TABLE_FOOTER_BYTES], const vr_footer *footer) {
    VR_ASSERT(footer->table_id != 0 && footer->entries > 0 && footer->blocks > 0);
    memset(out, 0, VR_TABLE_FOOTER_BYTES);
    vr_put64(out + AT_ID, footer->table_id);
    put_extent(out + AT_FILTER, &footer->filter);
    put_extent(out + AT_INDEX, &footer->index);
    put_extent(out + AT_PROPERTIES, &footer->properties);
    vr_put64(out + AT_FILE_BYTES, footer->file_bytes);
    vr_put64(out + AT_ENTRIES, footer->entries);
    vr_put64(out + AT_BLOCKS, footer->blocks);
    vr_put32(out + AT_VERSION, VR_TABLE_VERSION);
    vr_put64(out + AT_CHECKSUM, vr_hash(out, AT_CHECKSUM));
    memcpy(out + AT_MAGIC, VR_TABLE_MAGIC, 8);
}

/* Magic, checksum and version: what every version of the format has in the same place. */
static varve_status check_frozen(const char *in, uint64_t at, const char *path, varve_error *err) {
    if (memcmp(in + AT_MAGIC, VR_TABLE_MAGIC, 8) != 0) {
        return vr_error_set(err, VARVE_CORRUPTION,
                            "%s: offset %" PRIu64 ": footer's magic is %016" PRIx64 ", allowed \"" VR_TABLE_MAGIC
                            "\": no table, or cut short",
                            path, at + AT_MAGIC, vr_get64(in + AT_MAGIC));
    }
    uint64_t found = vr_get64(in + AT_CHECKSUM), wanted = vr_hash(in, AT_CHECKSUM);
    if (found != wanted) {
        return vr_error_set(err, VARVE_CORRUPTION,
                            "%s: offset %" PRIu64 ": footer's checksum is %016" PRIx64 ", allowed %016" PRIx64, path,
                            at + AT_CHECKSUM, found, wanted);
    }
    uint32_t version = vr_get32(in + AT_VERSION);
    if (version != VR_TABLE_VERSION) {
        return vr_error_set(err, VARVE_UNSUPPORTED, "%s: offset %" PRIu64 ": table version is %" PRIu32 ", this library knows %u",
                            path, at + AT_VERSION, version, VR_TABLE_VERSION);
    }
    return VARVE_OK;
}

/* The reserved bytes, folded into one number that must be 0. */
static uint64_t reserved(const char *in) {
    return vr_get64(in + AT_ZERO) | vr_get64(in + AT_ZERO + 8) | vr_get64(in + AT_ZERO + 16) | vr_get32(in + AT_ZERO32);
}

varve_status vr_footer_decode(const char in[VR_TABLE_FOOTER_BYTES], uint64_t file_bytes, const char *path, vr_footer *footer,
                              varve_error *err) {
    VR_ASSERT(file_bytes >= VR_TABLE_FOOTER_BYTES);
    uint64_t at = file_bytes - VR_TABLE_FOOTER_BYTES;
    varve_status st = check_frozen(in, at, path, err);
    if (st != VARVE_OK) return st;
    vr_footer f = {.table_id = vr_get64(in + AT_ID),
                   .filter = get_extent(in + AT_FILTER),
                   .index = get_extent(in + AT_INDEX),
                   .properties = get_extent(in + AT_PROPERTIES),
                   .file_bytes = vr_get64(in + AT_FILE_BYTES),
                   .entries = vr_get64(in + AT_ENTRIES),
                   .blocks = vr_get64(in + AT_BLOCKS)};
    /* Each bound is computed from fields that an earlier line has bounded: file size, then backwards from the footer. */
    uint64_t least = VR_FRAME_HEADER_BYTES;
    const bound bounds[] = {
        {"table id", f.table_id, 1, UINT64_MAX},
        {"file size", f.file_bytes, file_bytes, file_bytes},
        {"reserved bytes", reserved(in), 0, 0},
        {"properties size", f.properties.size, least, at},
        {"properties offset", f.properties.offset, at - f.properties.size, at - f.properties.size},
        {"index size", f.index.size, least, f.properties.offset},
        {"index offset", f.index.offset, f.properties.offset - f.index.size, f.properties.offset - f.index.size},
        {"filter size", f.filter.size, f.filter.size ? least : 0, f.index.offset},
        {"filter offset", f.filter.offset, f.filter.size ? f.index.offset - f.filter.size : 0,
         f.filter.size ? f.index.offset - f.filter.size : 0},
        {"data frames", f.blocks, 1, vr_footer_data_end(&f) / least},
        {"entries", f.entries, f.blocks, UINT64_MAX},
    };
    for (size_t i = 0; i < sizeof bounds / sizeof bounds[0]; i++) {
        const bound *b = &bounds[i];
        if (b->found >= b->low && b->found <= b->high) continue;
        return vr_error_set(err, VARVE_CORRUPTION,
                            "%s: offset %" PRIu64 ": footer's %s is %" PRIu64 ", allowed %" PRIu64 " to %" PRIu64, path, at,
                            b->field, b->found, b->low, b->high);
    }
    *footer = f;
    return VARVE_OK;
}
