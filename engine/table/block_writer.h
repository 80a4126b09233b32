/*
 * table/block_writer.h - gathers the entries of one block and lays them out in columns; used again block after block.
 *
 * Threads: one. Invariant: keys holds count keys, one behind the other, followed by at least 8 bytes that may be read.
 */
#ifndef VR_TABLE_BLOCK_WRITER_H
#define VR_TABLE_BLOCK_WRITER_H

#include "base/memory.h"
#include "table/block.h"

/* Where one entry's key and value end, and its trailer. */
typedef struct vr_block_entry {
    uint64_t trailer;
    uint32_t key_end, value_end;
} vr_block_entry;

typedef struct vr_block_writer {
    const vr_mem *mem; /* constant */
    vr_block_entry *entries;
    char *keys, *values;
    size_t entries_capacity, keys_capacity, values_capacity;
    uint32_t count;
    uint32_t common;                 /* bytes the first and the last key share, and so all */
    uint32_t first_key, first_value; /* sizes of the first entry's key and value */
    bool fixed_key, fixed_value, same_trailer;
} vr_block_writer;

void vr_block_writer_init(vr_block_writer *writer, const vr_mem *mem);
void vr_block_writer_free(vr_block_writer *writer);
void vr_block_writer_clear(vr_block_writer *writer); /* keeps the memory, but for what one huge entry took */

/* Adds an entry after all before it in cursor order. Returns false without memory; then nothing has changed. */
bool vr_block_writer_add(vr_block_writer *writer, varve_slice key, uint64_t trailer, varve_slice value);

/* The block's size (at most a few bytes an entry too large) when such an entry would be added. */
uint64_t vr_block_writer_bytes_with(const vr_block_writer *writer, varve_slice key, uint64_t trailer, varve_slice value);

/* The exact size of the block as it is. It has at least one entry. */
uint64_t vr_block_writer_bytes(const vr_block_writer *writer);

/* Writes the block at out, which has room for that and 8 bytes beyond; bytes is what vr_block_writer_bytes() gave. */
void vr_block_writer_finish(const vr_block_writer *writer, char *out, uint32_t bytes);

/* The key and trailer added last. The slice is valid until the next add or clear. */
varve_slice vr_block_writer_last_key(const vr_block_writer *writer);
uint64_t vr_block_writer_last_trailer(const vr_block_writer *writer);

/* Bytes of memory held. */
uint64_t vr_block_writer_held(const vr_block_writer *writer);

#endif
