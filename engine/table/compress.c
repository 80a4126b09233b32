/*
 * table/compress.c - see table/compress.h.
 */
#include "table/compress.h"

#include <inttypes.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/error.h"
#include "os/thread.h"

/* A scratch buffer beyond this is not kept: it was for one large entry. */
#define SCRATCH_KEPT_BYTES (256u << 10)

size_t vr_compress_bound(size_t size) {
    return ZSTD_compressBound(size);
}

varve_status vr_compress(vr_compressor *compressor, int level, varve_slice raw, char *out, size_t capacity, size_t *stored,
                         varve_error *err) {
    VR_ASSERT(capacity >= vr_compress_bound(raw.size));
    if (!compressor->context) compressor->context = ZSTD_createCCtx();
    if (!compressor->context) return vr_error_nomem(err, 0, "a compression context");
    size_t size = ZSTD_compressCCtx(compressor->context, out, capacity, raw.data, raw.size, level);
    if (ZSTD_isError(size)) {
        if (ZSTD_getErrorCode(size) == ZSTD_error_memory_allocation) return vr_error_nomem(err, raw.size, "compression");
        return vr_error_set(err, VARVE_INTERNAL, "zstd cannot compress %zu bytes: %s", raw.size, ZSTD_getErrorName(size));
    }
    *stored = size <= raw.size - raw.size / 16 && size < raw.size ? size : 0;
    return VARVE_OK;
}

size_t vr_compressor_bytes(const vr_compressor *compressor) {
    return compressor->context ? ZSTD_sizeof_CCtx(compressor->context) : 0;
}

void vr_compressor_free(vr_compressor *compressor) {
    ZSTD_freeCCtx(compressor->context);
    compressor->context = NULL;
}

void vr_decompressors_init(vr_decompressors *pool, const vr_mem *mem) {
    pool->mem = *mem;
    for (size_t i = 0; i < VR_DECOMPRESSORS_KEPT; i++) atomic_init(&pool->spare[i], NULL);
}

static void decompressor_free(vr_decompressors *pool, vr_decompressor *decompressor) {
    if (!decompressor) return;
    ZSTD_freeDCtx(decompressor->context);
    vr_free(&pool->mem, decompressor->scratch);
    vr_free(&pool->mem, decompressor);
}

void vr_decompressors_destroy(vr_decompressors *pool) {
    for (size_t i = 0; i < VR_DECOMPRESSORS_KEPT; i++) {
        decompressor_free(pool, atomic_exchange_explicit(&pool->spare[i], NULL, memory_order_acq_rel));
    }
}

vr_decompressor *vr_decompressor_take(vr_decompressors *pool) {
    unsigned first = vr_thread_stripe();
    for (unsigned i = 0; i < VR_DECOMPRESSORS_KEPT; i++) {
        _Atomic(vr_decompressor *) *place = &pool->spare[(first + i) % VR_DECOMPRESSORS_KEPT];
        if (!atomic_load_explicit(place, memory_order_relaxed)) continue;
        /* Acquires what the last user released in vr_decompressor_give(). */
        vr_decompressor *spare = atomic_exchange_explicit(place, NULL, memory_order_acquire);
        if (spare) return spare;
    }
    return vr_zalloc(&pool->mem, sizeof(vr_decompressor));
}

void vr_decompressor_give(vr_decompressors *pool, vr_decompressor *decompressor) {
    if (!decompressor) return;
    if (decompressor->capacity > SCRATCH_KEPT_BYTES) {
        vr_free(&pool->mem, decompressor->scratch);
        decompressor->scratch = NULL;
        decompressor->capacity = 0;
    }
    unsigned first = vr_thread_stripe();
    for (unsigned i = 0; i < VR_DECOMPRESSORS_KEPT; i++) {
        vr_decompressor *none = NULL;
        /* Releases to the acquire in vr_decompressor_take(). */
        if (atomic_compare_exchange_strong_explicit(&pool->spare[(first + i) % VR_DECOMPRESSORS_KEPT], &none, decompressor,
                                                    memory_order_release, memory_order_relaxed)) {
            return;
        }
    }
    decompressor_free(pool, decompressor);
}

bool vr_decompressor_reserve(vr_decompressors *pool, vr_decompressor *decompressor, size_t size) {
    if (size <= decompressor->capacity) return true;
    size_t capacity = (size_t)vr_align_up(size, 16u << 10);
    char *scratch = vr_alloc(&pool->mem, capacity);
    if (!scratch) return false;
    vr_free(&pool->mem, decompressor->scratch);
    decompressor->scratch = scratch;
    decompressor->capacity = capacity;
    return true;
}

varve_status vr_decompress(vr_decompressor *decompressor, const vr_frame *frame, const vr_place *place, char *out,
                           varve_error *err) {
    if (frame->codec == VR_CODEC_RAW) {
        memcpy(out, frame->stored, frame->raw_bytes);
        return VARVE_OK;
    }
    if (!decompressor->context) decompressor->context = ZSTD_createDCtx();
    if (!decompressor->context) return vr_error_nomem(err, 0, "a decompression context");
    size_t size = ZSTD_decompressDCtx(decompressor->context, out, frame->raw_bytes, frame->stored, frame->stored_bytes);
    if (size == frame->raw_bytes) return VARVE_OK;
    if (!ZSTD_isError(size)) {
        return vr_error_set(err, VARVE_CORRUPTION,
                            "%s: offset %" PRIu64 ": %s frame decompresses to %zu bytes, allowed its raw size, %" PRIu32,
                            place->path, place->offset, vr_frame_kind_name(frame->kind), size, frame->raw_bytes);
    }
    if (ZSTD_getErrorCode(size) == ZSTD_error_memory_allocation) return vr_error_nomem(err, frame->raw_bytes, "decompression");
    return vr_error_set(err, VARVE_CORRUPTION,
                        "%s: offset %" PRIu64 ": %s frame of %" PRIu32 " stored bytes is no zstd frame of %" PRIu32
                        " raw bytes: %s",
                        place->path, place->offset, vr_frame_kind_name(frame->kind), frame->stored_bytes, frame->raw_bytes,
                        ZSTD_getErrorName(size));
}
