/*
 * Fuzzes whole tables: after a first byte, the input is a file that is opened, read in every way, verified and dumped. With the
 * first byte's lowest bit set the checksums are made to fit first, so that what lies behind them is reached.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/hash.h"
#include "os/memfs.h"
#include "table/open_table.h"

static void seal_frame(char *file, size_t size, uint64_t offset, uint64_t bytes) {
    uint64_t table_id = vr_get64(file + size - VR_TABLE_FOOTER_BYTES);
    if (offset > size || bytes > size - offset || bytes < VR_FRAME_HEADER_BYTES) return;
    vr_put64(file + offset, vr_hash_seeded(file + offset + 8, bytes - 8, table_id + offset));
}

static void seal_footer_and_parts(char *file, size_t size) {
    if (size < VR_TABLE_FOOTER_BYTES) return;
    char *footer = file + size - VR_TABLE_FOOTER_BYTES;
    for (size_t at = 8; at <= 40; at += 16) seal_frame(file, size, vr_get64(footer + at), vr_get64(footer + at + 8));
    vr_put64(footer + 112, vr_hash(footer, 112));
    memcpy(footer + 120, VR_TABLE_MAGIC, 8);
}

static varve_status ignore_line(void *context, const char *line) {
    (void)context;
    (void)line;
    return VARVE_OK;
}

/* Both ways with one kind of access; cursors of a table that is not in order may disagree, but must stay inside. */
static void walk(vr_table *table, vr_table_access access) {
    varve_error err;
    vr_cursor *cursor;
    if (vr_table_cursor(table, access, &cursor, &err) != VARVE_OK) return;
    cursor->err = &err;
    uint64_t forwards = 0, backwards = 0;
    for (cursor->ops->first(cursor); cursor->valid; cursor->ops->next(cursor)) forwards++;
    varve_status first = cursor->status;
    for (cursor->ops->last(cursor); cursor->valid; cursor->ops->prev(cursor)) backwards++;
    VR_CHECK(first != VARVE_OK || cursor->status != VARVE_OK || forwards == backwards);
    cursor->ops->seek(cursor, varve_str("key-0100"), UINT64_MAX);
    cursor->ops->seek_prev(cursor, varve_str("key-0100"), 0);
    cursor->ops->close(cursor);
}

static void read_table(vr_table *table, vr_epoch *epoch, const vr_env *env) {
    static const char *const keys[] = {"", "key-0000", "key-0033", "varve:a", "zzz"};
    varve_error err;
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        uint64_t trailer;
        varve_slice value;
        uint32_t token = vr_epoch_enter(epoch);
        (void)vr_table_get(table, varve_str(keys[i]), VR_SEQUENCE_MAX, &trailer, &value, &err);
        vr_epoch_leave(epoch, token);
        (void)vr_table_may_contain(table, vr_key_hash(varve_str(keys[i])));
    }
    walk(table, VR_ACCESS_CACHED);
    walk(table, VR_ACCESS_SEQUENTIAL);
    (void)vr_table_verify(table, &err);
    (void)vr_table_dump(env, "t", ignore_line, NULL, &err);
}

static void write_file(vr_fs *fs, const char *bytes, size_t size) {
    vr_file *file;
    if (vr_fs_open(fs, "t", VR_OPEN_WRITE | VR_OPEN_CREATE | VR_OPEN_TRUNCATE, &file, NULL) != VARVE_OK) return;
    (void)vr_file_pwrite(file, bytes, size, 0, NULL);
    (void)vr_file_close(file, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    varve_error err;
    vr_memfs *memfs;
    vr_epoch *epoch;
    vr_cache *cache;
    vr_table *table;
    vr_budget budget;
    if (size < 1) return 0;
    size_t bytes = size - 1;
    bool seal = data[0] & 1;
    char *copy = malloc(bytes ? bytes : 1);
    if (!copy) return 0;
    memcpy(copy, data + 1, bytes);
    if (seal) seal_footer_and_parts(copy, bytes);
    vr_env env = vr_env_system();
    vr_budget_init(&budget, 1 << 20);
    VR_CHECK(vr_memfs_create(&memfs, &err) == VARVE_OK && vr_epoch_create(&env.mem, &epoch, &err) == VARVE_OK);
    VR_CHECK(vr_cache_create(&env, &budget, epoch, &cache, &err) == VARVE_OK);
    env.fs = vr_memfs_fs(memfs);
    write_file(env.fs, copy, bytes);
    if (vr_table_open(&env, &budget, cache, "t", NULL, &table, &err) == VARVE_OK) {
        for (uint32_t i = 0; seal && i < table->file.blocks; i++) {
            vr_extent extent = vr_table_file_block(&table->file, i);
            seal_frame(copy, bytes, extent.offset, extent.size);
        }
        write_file(env.fs, copy, bytes);
        read_table(table, epoch, &env);
        vr_table_close(table);
    } else {
        (void)vr_table_dump(&env, "t", ignore_line, NULL, &err);
    }
    vr_cache_free(cache);
    vr_epoch_free(epoch);
    VR_CHECK(vr_budget_total(&budget) == 0);
    vr_memfs_free(memfs);
    free(copy);
    return 0;
}
