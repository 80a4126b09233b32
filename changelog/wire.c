/*
 * changelog/wire.c - the hashes of marks, positions and pairs.
 */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "wire.h"

uint64_t vcl_hash(const void *data, size_t size) {
    return XXH3_64bits(data, size);
}

uint64_t vcl_hash_pair(varve_slice key, varve_slice value) {
    /* The key's hash seeds the value's, so that bytes cannot wander from one to the other. */
    return XXH3_64bits_withSeed(value.data, value.size, XXH3_64bits(key.data, key.size));
}
