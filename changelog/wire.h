/*
 * changelog/wire.h - little-endian integers at an address, for the two encodings the changelog owns (mark.c, position.c), and the
 * hash both end with. Threads: any.
 */
#ifndef VCL_WIRE_H
#define VCL_WIRE_H

#include <varve/types.h>

static inline uint64_t vcl_get(const uint8_t *at, unsigned bytes) {
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++) value |= (uint64_t)at[i] << (8 * i);
    return value;
}

static inline void vcl_put(uint8_t *at, unsigned bytes, uint64_t value) {
    for (unsigned i = 0; i < bytes; i++) at[i] = (uint8_t)(value >> (8 * i));
}

/* XXH3, 64 bits. */
uint64_t vcl_hash(const void *data, size_t size);

/* The hash of a pair, of which verify sums up those of all live pairs. */
uint64_t vcl_hash_pair(varve_slice key, varve_slice value);

#endif
