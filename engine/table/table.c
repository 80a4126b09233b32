/*
 * table/table.c - opening, closing and point reads; see table/table.h.
 */
#include "table/table.h"

#include <inttypes.h>

#include "base/check.h"
#include "base/error.h"
#include "table/open_table.h"

/* Of a cached block: its header, common bytes and about 40 prefixes. */
#define PREFETCHED_LINES 7u

/* What the manifest says of the table against what the table says of itself. */
static varve_status check_expected(const vr_table_file *tf, const vr_table_summary *expected, varve_error *err) {
    const struct {
        const char *field;
        uint64_t found, allowed;
    } fields[] = {{"table id", tf->footer.table_id, expected->table_id},
                  {"file size", tf->footer.file_bytes, expected->file_bytes},
                  {"entries", tf->footer.entries, expected->entries}};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        if (fields[i].found == fields[i].allowed) continue;
        return vr_error_set(err, VARVE_CORRUPTION,
                            "%s: offset %" PRIu64 ": footer's %s is %" PRIu64 ", the manifest allows %" PRIu64, tf->path,
                            tf->footer.file_bytes - VR_TABLE_FOOTER_BYTES, fields[i].field, fields[i].found, fields[i].allowed);
    }
    return VARVE_OK;
}

static varve_status make_slots(vr_table *table, varve_error *err) {
    size_t size = table->file.blocks * sizeof *table->slots.slot;
    table->slots.slot = vr_zalloc(&table->file.env->mem, size);
    if (!table->slots.slot) return vr_error_nomem(err, size, "a table's cache slots");
    table->slots.count = table->file.blocks;
    vr_budget_charge(table->file.budget, VR_USE_INDEX, size + sizeof *table);
    table->file.charged += size + sizeof *table;
    return VARVE_OK;
}

static void release(vr_table *table) {
    vr_mem mem = table->file.env->mem;
    vr_free(&mem, table->slots.slot);
    vr_table_file_close(&table->file);
    vr_free(&mem, table);
}

varve_status vr_table_open(const vr_env *env, vr_budget *budget, vr_cache *cache, const char *path,
                           const vr_table_summary *expected, vr_table **table, varve_error *err) {
    vr_table *opened = vr_zalloc(&env->mem, sizeof *opened);
    if (!opened) return vr_error_nomem(err, sizeof *opened, "a table");
    vr_table_file *tf = &opened->file;
    vr_decompressors *pool = vr_cache_decompressors(cache);
    opened->cache = cache;
    varve_status st = vr_table_open_file(tf, env, budget, path, err);
    if (st == VARVE_OK && expected) st = check_expected(tf, expected, err);
    if (st == VARVE_OK) st = vr_table_file_read_properties(tf, pool, err);
    if (st == VARVE_OK) st = vr_table_file_read_filter(tf, pool, err);
    if (st == VARVE_OK) st = vr_table_file_read_index(tf, pool, err);
    if (st == VARVE_OK) st = make_slots(opened, err);
    if (st != VARVE_OK) {
        release(opened);
        return st;
    }
    vr_slots_add(cache, &opened->slots);
    *table = opened;
    return VARVE_OK;
}

void vr_table_close(vr_table *table) {
    if (!table) return;
    vr_slots_remove(table->cache, &table->slots);
    release(table);
}

const vr_table_summary *vr_table_summary_of(const vr_table *table) {
    return &table->file.properties.summary;
}

void vr_table_filter_prefetch(const vr_table *table, uint64_t key_hash) {
    if (table->file.filter.lines) __builtin_prefetch(vr_filter_line(&table->file.filter, key_hash));
}

bool vr_table_may_contain(const vr_table *table, uint64_t key_hash) {
    return vr_filter_test(&table->file.filter, key_hash);
}

varve_status vr_table_load_block(vr_table *table, uint32_t i, bool pin, vr_cached **block, varve_error *err) {
    VR_ASSERT(i < table->file.blocks);
    const vr_table_file *tf = &table->file;
    vr_extent extent = vr_table_file_block(tf, i);
    vr_frame_bytes bytes;
    vr_cache_count(table->cache, false);
    varve_status st = vr_table_file_read_frame(tf, vr_cache_decompressors(table->cache), extent, VR_FRAME_DATA,
                                               vr_block_bytes_max(tf->properties.block_bytes), VR_CACHED_ROOM, &bytes, err);
    if (st != VARVE_OK) return st;
    vr_place place = vr_table_file_place(tf, extent.offset);
    st = vr_block_check(bytes.raw, VR_FRAME_DATA, &place, err);
    if (st != VARVE_OK) {
        vr_free(&tf->env->mem, bytes.allocation);
        return st;
    }
    *block = vr_slots_install(table->cache, &table->slots.slot[i], bytes.allocation, (uint32_t)bytes.raw.size, pin);
    return VARVE_OK;
}

/* Header and prefixes of a usual block are fetched side by side: read one after the other, each would be a miss of its own. */
static inline void prefetch_front(const vr_cached *block) {
    for (size_t line = 0; line < PREFETCHED_LINES; line++) __builtin_prefetch((const char *)block + 64 * line);
}

varve_status vr_table_get(vr_table *table, varve_slice key, uint64_t sequence, uint64_t *trailer, varve_slice *value,
                          varve_error *err) {
    VR_ASSERT(sequence <= VR_SEQUENCE_MAX);
    const uint64_t newest = vr_trailer_seek(sequence);
    bool same;
    /* The first separator at or after the entry sought: every entry of the blocks before is before it. */
    uint32_t i = vr_table_file_find(&table->file, key, newest);
    if (i == table->file.blocks) return VARVE_NOT_FOUND;
    vr_cached *block = vr_slot_load(&table->slots.slot[i]);
    if (block) {
        prefetch_front(block);
        vr_cache_count(table->cache, true);
    } else {
        varve_status st = vr_table_load_block(table, i, false, &block, err);
        if (st != VARVE_OK) return st;
    }
    vr_block_view view = vr_block_view_of(vr_cached_data(block));
    uint32_t at = vr_block_seek(&view, key, newest, &same);
    if (!same) return VARVE_NOT_FOUND;
    *trailer = vr_block_trailer(&view, at);
    *value = vr_block_value(&view, at);
    return VARVE_OK;
}
