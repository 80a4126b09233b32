/* bench/compare/compare_rocksdb.c - RocksDB through its C API; a third of the memory for two write buffers, two thirds for the
 * block cache. */
#ifdef VARVE_HAVE_ROCKSDB
#include <stdio.h>
#include <stdlib.h>

#include <rocksdb/c.h>

#include "compare.h"

typedef struct rocks_side {
    rocksdb_t *db;
    rocksdb_options_t *options;
    rocksdb_writeoptions_t *write;
    rocksdb_readoptions_t *read;
    rocksdb_cache_t *cache;
    rocksdb_pinnableslice_t *pinned;
} rocks_side;

static void require(char *error) {
    if (error) die("rocksdb", error);
}

void compare_rocksdb_version(char out[32]); /* compare_rocksdb_version.cc */

static void describe(const settings *s, char *out, size_t size) {
    char version[32];
    compare_rocksdb_version(version);
    snprintf(out, size,
             "rocksdb %s: write buffers 2 x %llu MiB, LRU cache %llu MiB, %s, 4 KiB blocks, bloom 10 bits, 2 background jobs, WAL "
             "on",
             version, (unsigned long long)(s->memory / 6 >> 20), (unsigned long long)(s->memory / 3 * 2 >> 20),
             s->compress ? "zstd" : "no compression");
}

static void *open_db(const char *dir, const settings *s) {
    rocks_side *side = calloc(1, sizeof *side);
    if (!side) die("rocksdb", "out of memory");
    side->options = rocksdb_options_create();
    rocksdb_options_set_create_if_missing(side->options, 1);
    rocksdb_options_set_write_buffer_size(side->options, s->memory / 6);
    rocksdb_options_set_max_write_buffer_number(side->options, 2);
    rocksdb_options_set_max_background_jobs(side->options, 2);
    rocksdb_options_set_compression(side->options, s->compress ? rocksdb_zstd_compression : rocksdb_no_compression);
    rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();
    side->cache = rocksdb_cache_create_lru(s->memory / 3 * 2);
    rocksdb_block_based_options_set_block_cache(table, side->cache);
    rocksdb_block_based_options_set_block_size(table, 4096);
    rocksdb_block_based_options_set_filter_policy(table, rocksdb_filterpolicy_create_bloom_full(10));
    rocksdb_options_set_block_based_table_factory(side->options, table);
    rocksdb_block_based_options_destroy(table);
    side->write = rocksdb_writeoptions_create();
    side->read = rocksdb_readoptions_create();
    char *error = NULL;
    side->db = rocksdb_open(side->options, dir, &error);
    require(error);
    return side;
}

static void unpin(rocks_side *side) {
    if (side->pinned) rocksdb_pinnableslice_destroy(side->pinned);
    side->pinned = NULL;
}

static void close_db(void *db) {
    rocks_side *side = db;
    unpin(side);
    rocksdb_close(side->db);
    rocksdb_options_destroy(side->options);
    rocksdb_writeoptions_destroy(side->write);
    rocksdb_readoptions_destroy(side->read);
    rocksdb_cache_destroy(side->cache);
    free(side);
}

static void put(void *db, const char *key, const char *value, size_t value_bytes) {
    rocks_side *side = db;
    char *error = NULL;
    rocksdb_put(side->db, side->write, key, KEY_BYTES, value, value_bytes, &error);
    require(error);
}

static bool get(void *db, const char *key, const char **value, size_t *value_bytes) {
    rocks_side *side = db;
    char *error = NULL;
    unpin(side);
    side->pinned = rocksdb_get_pinned(side->db, side->read, key, KEY_BYTES, &error);
    require(error);
    if (!side->pinned) return false;
    *value = rocksdb_pinnableslice_value(side->pinned, value_bytes);
    return true;
}

static void compact(void *db) {
    rocks_side *side = db;
    rocksdb_compact_range(side->db, NULL, 0, NULL, 0);
}

static void *scan_open(void *db) {
    rocks_side *side = db;
    return rocksdb_create_iterator(side->db, side->read);
}

static bool scan_seek(void *scan, const char *key) {
    if (key) {
        rocksdb_iter_seek(scan, key, KEY_BYTES);
    } else {
        rocksdb_iter_seek_to_first(scan);
    }
    return rocksdb_iter_valid(scan);
}

static bool scan_next(void *scan) {
    rocksdb_iter_next(scan);
    return rocksdb_iter_valid(scan);
}

static void scan_entry(void *scan, const char **key, const char **value, size_t *value_bytes) {
    size_t key_bytes;
    *key = rocksdb_iter_key(scan, &key_bytes);
    *value = rocksdb_iter_value(scan, value_bytes);
}

static void scan_close(void *scan) {
    rocksdb_iter_destroy(scan);
}

const engine engine_rocksdb = {"rocksdb", describe,  open_db,   close_db,  put,        get,
                               compact,   scan_open, scan_seek, scan_next, scan_entry, scan_close};
#endif
