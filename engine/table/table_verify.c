/*
 * table/table_verify.c - everything in a table against everything else in it: what opening it does not look at.
 */
#include <inttypes.h>

#include "base/error.h"
#include "base/hash.h"
#include "table/block_scan.h"
#include "table/open_table.h"
#include "table/table.h"

/* What has been seen so far. */
typedef struct verifier {
    vr_table *table;
    varve_error *err;
    vr_table_summary seen; /* its keys are not used */
    varve_buffer last_key; /* of the entry before */
    uint64_t last_trailer;
    char *key; /* the present key is put together here */
    size_t key_capacity;
    uint64_t distinct;
} verifier;

static varve_status refuse(const verifier *v, uint32_t block, uint32_t entry, const char *what) {
    const vr_table_file *tf = &v->table->file;
    return vr_error_set(v->err, VARVE_CORRUPTION, "%s: offset %" PRIu64 ": data block %" PRIu32 ", entry %" PRIu32 " %s", tf->path,
                        tf->offsets[block], block, entry, what);
}

/* Order, and the filter, for one entry. */
static varve_status check_entry(verifier *v, uint32_t block, uint32_t entry, varve_slice key, uint64_t trailer) {
    const vr_table_file *tf = &v->table->file;
    bool first = v->seen.entries == 0;
    if (first && !vr_equal(key, varve_buffer_slice(&tf->properties.summary.min_key))) {
        return refuse(v, block, entry, "is not the first key that the properties name");
    }
    varve_slice last = varve_buffer_slice(&v->last_key);
    if (!first && vr_entry_compare(last, v->last_trailer, key, trailer) >= 0) {
        return refuse(v, block, entry, "is not after the one before it");
    }
    if (vr_block_compare(&tf->index, block, key, trailer) < 0) return refuse(v, block, entry, "is after its block's separator");
    if (block > 0 && entry == 0 && vr_block_compare(&tf->index, block - 1, key, trailer) >= 0) {
        return refuse(v, block, entry, "is not after the separator of the block before");
    }
    if (!first && vr_equal(last, key)) return VARVE_OK;
    v->distinct++;
    if (!vr_filter_test(&tf->filter, vr_key_hash(key))) return refuse(v, block, entry, "is denied by the filter");
    return VARVE_OK;
}

static void count_entry(vr_table_summary *seen, uint64_t trailer, size_t bytes) {
    uint64_t sequence = vr_trailer_sequence(trailer);
    seen->min_sequence = seen->entries == 0 || sequence < seen->min_sequence ? sequence : seen->min_sequence;
    seen->max_sequence = sequence > seen->max_sequence ? sequence : seen->max_sequence;
    seen->entries++;
    seen->tombstones += vr_trailer_kind(trailer) == VR_KIND_DELETE;
    seen->raw_bytes += bytes;
}

static varve_status check_block(verifier *v, uint32_t block, const vr_block_view *view) {
    size_t room = vr_block_key_room(view);
    if (!vr_grow(&v->table->file.env->mem, (void **)&v->key, &v->key_capacity, room, 1)) {
        return vr_error_nomem(v->err, room, "verifying a table");
    }
    vr_block_key_common(view, v->key);
    for (uint32_t i = 0; i < view->count; i++) {
        varve_slice key = varve_bytes(v->key, vr_block_key_suffix(view, i, v->key));
        uint64_t trailer = vr_block_trailer(view, i);
        varve_status st = check_entry(v, block, i, key, trailer);
        if (st != VARVE_OK) return st;
        count_entry(&v->seen, trailer, key.size + vr_block_value(view, i).size);
        v->last_trailer = trailer;
        if (!vr_buffer_set(&v->last_key, key)) return vr_error_nomem(v->err, key.size, "verifying a table");
    }
    return VARVE_OK;
}

/* What the properties claim against what was seen. */
static varve_status check_claims(const verifier *v) {
    const vr_table_file *tf = &v->table->file;
    const vr_table_summary *claimed = &tf->properties.summary;
    const struct {
        const char *field;
        uint64_t found, allowed;
    } claims[] = {{"entries", claimed->entries, v->seen.entries},
                  {"tombstones", claimed->tombstones, v->seen.tombstones},
                  {"raw bytes", claimed->raw_bytes, v->seen.raw_bytes},
                  {"min sequence", claimed->min_sequence, v->seen.min_sequence},
                  {"max sequence", claimed->max_sequence, v->seen.max_sequence},
                  {"filter keys", tf->filter.lines ? tf->filter.keys : v->distinct, v->distinct}};
    for (size_t i = 0; i < sizeof claims / sizeof claims[0]; i++) {
        if (claims[i].found == claims[i].allowed) continue;
        return vr_error_set(v->err, VARVE_CORRUPTION,
                            "%s: offset %" PRIu64 ": properties' %s is %" PRIu64 ", the entries allow %" PRIu64, tf->path,
                            tf->footer.properties.offset, claims[i].field, claims[i].found, claims[i].allowed);
    }
    if (vr_equal(varve_buffer_slice(&v->last_key), varve_buffer_slice(&claimed->max_key))) return VARVE_OK;
    return refuse(v, tf->blocks - 1, 0, "is in the last block, whose last key is not the one that the properties name");
}

/* Filter, index and properties are in memory: this is about what is in the file by now. */
static varve_status reread_meta(const vr_table_file *tf, vr_decompressors *pool, varve_error *err) {
    const struct {
        vr_extent extent;
        vr_frame_kind kind;
    } frames[] = {{tf->footer.filter, VR_FRAME_FILTER},
                  {tf->footer.index, VR_FRAME_INDEX},
                  {tf->footer.properties, VR_FRAME_PROPERTIES}};
    for (size_t i = 0; i < sizeof frames / sizeof frames[0]; i++) {
        vr_frame_bytes bytes;
        if (frames[i].extent.size == 0) continue;
        varve_status st =
            vr_table_file_read_frame(tf, pool, frames[i].extent, frames[i].kind, VR_TABLE_META_BYTES_MAX, 0, &bytes, err);
        if (st != VARVE_OK) return st;
        vr_free(&tf->env->mem, bytes.allocation);
    }
    return VARVE_OK;
}

/* The footer in the file is still the one that was read when the table was opened. */
static varve_status reread_footer(const vr_table_file *tf, varve_error *err) {
    vr_table_file again;
    varve_status st = vr_table_open_file(&again, tf->env, tf->budget, tf->path, err);
    if (st == VARVE_OK && memcmp(&again.footer, &tf->footer, sizeof tf->footer) != 0) {
        st = vr_error_set(err, VARVE_CORRUPTION, "%s: offset %" PRIu64 ": footer is not the one that the table was opened with",
                          tf->path, tf->footer.file_bytes - VR_TABLE_FOOTER_BYTES);
    }
    vr_table_file_close(&again);
    return st;
}

varve_status vr_table_verify(vr_table *table, varve_error *err) {
    vr_decompressors *pool = vr_cache_decompressors(table->cache);
    verifier v = {.table = table, .err = err};
    vr_scan scan;
    vr_scan_init(&scan, &table->file, pool);
    varve_status st = reread_footer(&table->file, err);
    if (st == VARVE_OK) st = reread_meta(&table->file, pool, err);
    for (uint32_t i = 0; st == VARVE_OK && i < table->file.blocks; i++) {
        vr_block_view view;
        st = vr_scan_block(&scan, i, &view, NULL, err);
        if (st == VARVE_OK) st = check_block(&v, i, &view);
    }
    if (st == VARVE_OK) st = check_claims(&v);
    vr_scan_close(&scan);
    vr_free(&table->file.env->mem, v.key);
    varve_buffer_free(&v.last_key);
    return st;
}
