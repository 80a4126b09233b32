/*
 * table/builder.h - writes a sorted table, entries in cursor order. Threads: one.
 */
#ifndef VR_TABLE_BUILDER_H
#define VR_TABLE_BUILDER_H

#include <varve/varve.h>

#include "os/env.h"
#include "table/format.h"

typedef struct vr_table_builder vr_table_builder;

typedef struct vr_table_builder_options {
    uint32_t block_bytes;
    int32_t compression_level; /* zstd level, or VARVE_COMPRESSION_NONE */
    uint32_t filter_bits;      /* bits a key, or VARVE_FILTER_NONE */
    uint64_t keys_expected;    /* for the filter: 0 when unknown (hashes are then gathered and the filter sized at the end) */
} vr_table_builder_options;

/* Creates the file at path (must not exist). On failure of any call: vr_table_builder_abandon(). */
varve_status vr_table_builder_create(const vr_env *env, vr_budget *budget, const char *path,
                                     const vr_table_builder_options *options, vr_table_builder **builder, varve_error *err);

/* Adds an entry after all before it in cursor order (asserted). */
varve_status vr_table_builder_add(vr_table_builder *builder, varve_slice key, uint64_t trailer, varve_slice value,
                                  varve_error *err);

uint64_t vr_table_builder_bytes(const vr_table_builder *builder); /* written so far, for cutting outputs */
uint64_t vr_table_builder_entries(const vr_table_builder *builder);

/* Writes the rest, fsyncs and closes the file (the directory is the caller's to sync), fills summary, releases builder in any case;
 * on failure the file is removed. There must be at least one entry. */
varve_status vr_table_builder_finish(vr_table_builder *builder, vr_table_summary *summary, varve_error *err);

/* Removes the file and releases builder. builder may be NULL. */
void vr_table_builder_abandon(vr_table_builder *builder);

#endif
