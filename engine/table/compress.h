/*
 * table/compress.h - zstd with reused contexts: the only user of the library.
 *
 * A compressor belongs to one builder. Decompressors are lent by a pool: a context is 160 KiB and some, so that it pays to
 * keep a few, and never more than threads decompress at once.
 */
#ifndef VR_TABLE_COMPRESS_H
#define VR_TABLE_COMPRESS_H

#include <stdatomic.h>

#include "base/memory.h"
#include "table/frame.h"

struct ZSTD_CCtx_s;
struct ZSTD_DCtx_s;

/* Threads: one. Zero-initialise. */
typedef struct vr_compressor {
    struct ZSTD_CCtx_s *context;
} vr_compressor;

/* The bytes out must have room for, to compress size bytes. */
size_t vr_compress_bound(size_t size);

/* Compresses raw. *stored is 0 when that does not save a sixteenth: it is then to be stored as it is. VARVE_NOMEM. */
varve_status vr_compress(vr_compressor *compressor, int level, varve_slice raw, char *out, size_t capacity, size_t *stored,
                         varve_error *err);
size_t vr_compressor_bytes(const vr_compressor *compressor);
void vr_compressor_free(vr_compressor *compressor);

/* A context, and a buffer to read stored bytes into. Threads: whoever took it. */
typedef struct vr_decompressor {
    struct ZSTD_DCtx_s *context; /* NULL until first needed */
    char *scratch;
    size_t capacity;
} vr_decompressor;

#define VR_DECOMPRESSORS_KEPT 4

/* Threads: any. A spare belongs to whoever exchanges it out of its place. */
typedef struct vr_decompressors {
    vr_mem mem; /* constant */
    _Atomic(vr_decompressor *) spare[VR_DECOMPRESSORS_KEPT];
} vr_decompressors;

void vr_decompressors_init(vr_decompressors *pool, const vr_mem *mem);
void vr_decompressors_destroy(vr_decompressors *pool); /* all given back by then */

/* NULL without memory. */
vr_decompressor *vr_decompressor_take(vr_decompressors *pool);
void vr_decompressor_give(vr_decompressors *pool, vr_decompressor *decompressor); /* may be NULL */

/* Makes scratch hold size bytes. Returns false without memory. */
bool vr_decompressor_reserve(vr_decompressors *pool, vr_decompressor *decompressor, size_t size);

/* Writes the frame's frame->raw_bytes raw bytes at out. VARVE_CORRUPTION, VARVE_NOMEM. */
varve_status vr_decompress(vr_decompressor *decompressor, const vr_frame *frame, const vr_place *place, char *out,
                           varve_error *err);

#endif
