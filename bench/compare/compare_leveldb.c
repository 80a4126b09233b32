/* bench/compare/compare_leveldb.c - LevelDB through its C API; a third of the memory for two write buffers, two thirds for the
 * block cache. */
#ifdef VARVE_HAVE_LEVELDB
#include <stdio.h>
#include <stdlib.h>

#include <leveldb/c.h>

#include "compare.h"

typedef struct level_side {
    leveldb_t *db;
    leveldb_options_t *options;
    leveldb_writeoptions_t *write;
    leveldb_readoptions_t *read;
    leveldb_cache_t *cache;
    leveldb_filterpolicy_t *filter;
    char *value;
} level_side;

static void require(char *error) {
    if (error) die("leveldb", error);
}

static void describe(const settings *s, char *out, size_t size) {
    snprintf(out, size, "leveldb %d.%d: write buffer %llu MiB, LRU cache %llu MiB, %s, 4 KiB blocks, bloom 10 bits",
             leveldb_major_version(), leveldb_minor_version(), (unsigned long long)(s->memory / 6 >> 20),
             (unsigned long long)(s->memory / 3 * 2 >> 20), s->compress ? "snappy" : "no compression");
}

static void *open_db(const char *dir, const settings *s) {
    level_side *side = calloc(1, sizeof *side);
    if (!side) die("leveldb", "out of memory");
    side->options = leveldb_options_create();
    leveldb_options_set_create_if_missing(side->options, 1);
    leveldb_options_set_write_buffer_size(side->options, s->memory / 6);
    leveldb_options_set_compression(side->options, s->compress ? leveldb_snappy_compression : leveldb_no_compression);
    side->cache = leveldb_cache_create_lru(s->memory / 3 * 2);
    leveldb_options_set_cache(side->options, side->cache);
    leveldb_options_set_block_size(side->options, 4096);
    side->filter = leveldb_filterpolicy_create_bloom(10);
    leveldb_options_set_filter_policy(side->options, side->filter);
    side->write = leveldb_writeoptions_create();
    side->read = leveldb_readoptions_create();
    char *error = NULL;
    side->db = leveldb_open(side->options, dir, &error);
    require(error);
    return side;
}

static void close_db(void *db) {
    level_side *side = db;
    leveldb_free(side->value);
    leveldb_close(side->db);
    leveldb_options_destroy(side->options);
    leveldb_writeoptions_destroy(side->write);
    leveldb_readoptions_destroy(side->read);
    leveldb_cache_destroy(side->cache);
    leveldb_filterpolicy_destroy(side->filter);
    free(side);
}

static void put(void *db, const char *key, const char *value, size_t value_bytes) {
    level_side *side = db;
    char *error = NULL;
    leveldb_put(side->db, side->write, key, KEY_BYTES, value, value_bytes, &error);
    require(error);
}

static bool get(void *db, const char *key, const char **value, size_t *value_bytes) {
    level_side *side = db;
    char *error = NULL;
    leveldb_free(side->value);
    side->value = leveldb_get(side->db, side->read, key, KEY_BYTES, value_bytes, &error);
    require(error);
    *value = side->value;
    return side->value != NULL;
}

static void compact(void *db) {
    level_side *side = db;
    leveldb_compact_range(side->db, NULL, 0, NULL, 0);
}

static void *scan_open(void *db) {
    level_side *side = db;
    return leveldb_create_iterator(side->db, side->read);
}

static bool scan_seek(void *scan, const char *key) {
    if (key) {
        leveldb_iter_seek(scan, key, KEY_BYTES);
    } else {
        leveldb_iter_seek_to_first(scan);
    }
    return leveldb_iter_valid(scan);
}

static bool scan_next(void *scan) {
    leveldb_iter_next(scan);
    return leveldb_iter_valid(scan);
}

static void scan_entry(void *scan, const char **key, const char **value, size_t *value_bytes) {
    size_t key_bytes;
    *key = leveldb_iter_key(scan, &key_bytes);
    *value = leveldb_iter_value(scan, value_bytes);
}

static void scan_close(void *scan) {
    leveldb_iter_destroy(scan);
}

const engine engine_leveldb = {"leveldb", describe,  open_db,   close_db,  put,        get,
                               compact,   scan_open, scan_seek, scan_next, scan_entry, scan_close};
#endif
