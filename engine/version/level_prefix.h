/*
 * version/level_prefix.h - the eight bytes by which a level's files are told apart.
 */
#ifndef VR_VERSION_LEVEL_PREFIX_H
#define VR_VERSION_LEVEL_PREFIX_H

#include "base/bytes.h"
#include "version/version.h"

/* Of a key that begins with what the level shares: vr_key_prefix() of what follows. */
static inline uint64_t vr_level_prefix(const vr_level *level, varve_slice key) {
    size_t skip = level->shared.size;
    if (skip == 0) return vr_key_prefix(key.data, key.size); /* data may be NULL */
    return vr_key_prefix(key.data + skip, key.size - skip);
}

#endif
