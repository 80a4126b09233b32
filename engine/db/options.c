/*
 * db/options.c - options validated: an error names the field, its unit and its range.
 */
#include <inttypes.h>

#include "base/bytes.h"
#include "base/error.h"
#include "db/db.h"

#define MIB (UINT64_C(1) << 20)

static varve_status out_of_range(varve_error *err, const char *field, uint64_t found, uint64_t low, uint64_t high,
                                 const char *unit) {
    return vr_error_set(err, VARVE_INVALID, "option %s: %" PRIu64 " given, %" PRIu64 " to %" PRIu64 " %s allowed", field, found,
                        low, high, unit);
}

static varve_status range_or_default(uint64_t *value, uint64_t fallback, uint64_t low, uint64_t high, const char *field,
                                     const char *unit, varve_error *err) {
    if (*value == 0) *value = fallback;
    if (*value < low || *value > high) return out_of_range(err, field, *value, low, high, unit);
    return VARVE_OK;
}

/* Copies what the caller's struct has, which may be shorter than ours (an older header) but not longer with content we do not know.
 */
static varve_status copy_sized(const void *given, size_t given_size, void *out, size_t out_size, const char *what,
                               varve_error *err) {
    if (given_size < sizeof(size_t) || given_size > 4096) {
        return vr_error_set(err, VARVE_INVALID, "%s.size: %zu given; set it to sizeof(%s)", what, given_size, what);
    }
    memset(out, 0, out_size);
    memcpy(out, given, vr_min_size(given_size, out_size));
    for (size_t i = out_size; i < given_size; i++) {
        if (((const char *)given)[i] != 0) {
            return vr_error_set(err, VARVE_UNSUPPORTED, "%s: a field at byte %zu is set that this library (%s) does not know", what,
                                i, varve_version());
        }
    }
    return VARVE_OK;
}

varve_status vr_options_check(const varve_options *given, varve_options *out, varve_error *err) {
    memset(out, 0, sizeof *out);
    if (given) {
        varve_status status = copy_sized(given, given->size, out, sizeof *out, "varve_options", err);
        if (status != VARVE_OK) return status;
    }
    out->size = sizeof *out;
    varve_status status = range_or_default(&out->memory, 256 * MIB, 32 * MIB, MIB * MIB, "memory", "bytes", err);
    if (status == VARVE_OK) {
        status = range_or_default(&out->memtable_bytes, out->memory / 6, 64 << 10, out->memory / 4, "memtable_bytes", "bytes", err);
    }
    if (status == VARVE_OK) {
        uint64_t fallback = out->memory < 128 * MIB ? 4 * MIB : 16 * MIB;
        status = range_or_default(&out->wal_segment_bytes, fallback, 64 << 10, 1024 * MIB, "wal_segment_bytes", "bytes", err);
        out->wal_segment_bytes = vr_align_up(out->wal_segment_bytes, 4096);
    }
    if (status == VARVE_OK) {
        status = range_or_default(&out->wal_bytes_max, 8192 * MIB, 4 * out->wal_segment_bytes, UINT64_MAX, "wal_bytes_max", "bytes",
                                  err);
    }
    if (status != VARVE_OK) return status;
    if (out->wal_wait_ms == 0) out->wal_wait_ms = 10000;
    if ((int)out->wal_mode < VARVE_WAL_DEFAULT || out->wal_mode > VARVE_WAL_PWRITE) {
        return out_of_range(err, "wal_mode", (uint64_t)out->wal_mode, VARVE_WAL_DEFAULT, VARVE_WAL_PWRITE, "(varve_wal_mode)");
    }
    if (out->wal_mode == VARVE_WAL_DEFAULT) out->wal_mode = VARVE_WAL_MAPPED;
    return VARVE_OK;
}

varve_status vr_store_options_check(const varve_store_options *given, varve_store_options *out, varve_error *err) {
    memset(out, 0, sizeof *out);
    if (given) {
        varve_status status = copy_sized(given, given->size, out, sizeof *out, "varve_store_options", err);
        if (status != VARVE_OK) return status;
    }
    out->size = sizeof *out;
    uint64_t block_bytes = out->block_bytes;
    varve_status status = range_or_default(&block_bytes, 4096, 1024, MIB, "block_bytes", "bytes", err);
    if (status != VARVE_OK) return status;
    out->block_bytes = (uint32_t)block_bytes;
    if (out->compression_level == 0) out->compression_level = -1;
    if (out->compression_level != VARVE_COMPRESSION_NONE && (out->compression_level < -7 || out->compression_level > 19)) {
        return vr_error_set(err, VARVE_INVALID,
                            "option compression_level: %d given, -7 to 19 or VARVE_COMPRESSION_NONE (%d) allowed",
                            (int)out->compression_level, VARVE_COMPRESSION_NONE);
    }
    if (out->filter_bits == 0) out->filter_bits = 10;
    if (out->filter_bits != VARVE_FILTER_NONE && (out->filter_bits < 4 || out->filter_bits > 20)) {
        return vr_error_set(err, VARVE_INVALID, "option filter_bits: %u given, 4 to 20 or VARVE_FILTER_NONE (%u) allowed",
                            (unsigned)out->filter_bits, VARVE_FILTER_NONE);
    }
    return VARVE_OK;
}
