/*
 * base/hash.h - the one hash of the engine: xxh3, 64 bits.
 */
#ifndef VR_BASE_HASH_H
#define VR_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#include <varve/types.h>

uint64_t vr_hash(const void *data, size_t size);
uint64_t vr_hash_seeded(const void *data, size_t size, uint64_t seed);

/* The hash of a key: computed once per operation and shared by the memtable's index and every filter. Part of the table format. */
static inline uint64_t vr_key_hash(varve_slice key) {
    return vr_hash(key.data, key.size);
}

#endif
