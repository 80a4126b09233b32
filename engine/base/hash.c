/*
 * base/hash.c - xxh3 compiled into this file, so that a hash of a short key costs one call.
 */
#include "base/hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t vr_hash(const void *data, size_t size) {
    return XXH3_64bits(data, size);
}

uint64_t vr_hash_seeded(const void *data, size_t size, uint64_t seed) {
    return XXH3_64bits_withSeed(data, size, seed);
}
