/* bench/compare/compare_varve.c - Varve, all defaults but the memory. */
#include <stdio.h>
#include <stdlib.h>

#include <varve/varve.h>

#include "compare.h"

typedef struct varve_side {
    varve_db *db;
    varve_store *store;
    varve_buffer value;
} varve_side;

static void require(varve_status status, const varve_error *err) {
    if (status != VARVE_OK) die("varve", err->message);
}

static void describe(const settings *s, char *out, size_t size) {
    snprintf(out, size, "varve %s: memory %llu MiB in all, zstd -1 below level 0%s, 4 KiB blocks, filter 10 bits a key, mapped WAL",
             varve_version(), (unsigned long long)(s->memory >> 20), s->compress ? "" : " off");
}

static void *open_db(const char *dir, const settings *s) {
    varve_side *side = calloc(1, sizeof *side);
    varve_error err;
    if (!side) die("varve", "out of memory");
    varve_options options = {.size = sizeof options, .create = true, .memory = s->memory};
    require(varve_open(dir, &options, &side->db, &err), &err);
    varve_store_options store = {.size = sizeof store, .compression_level = s->compress ? 0 : VARVE_COMPRESSION_NONE};
    require(varve_store_open(side->db, "default", &store, &side->store, &err), &err);
    return side;
}

static void close_db(void *db) {
    varve_side *side = db;
    varve_error err;
    varve_buffer_free(&side->value);
    varve_store_close(side->store);
    require(varve_close(side->db, &err), &err);
    free(side);
}

static void put(void *db, const char *key, const char *value, size_t value_bytes) {
    varve_side *side = db;
    varve_error err;
    require(varve_put(side->store, varve_bytes(key, KEY_BYTES), varve_bytes(value, value_bytes), &err), &err);
}

static bool get(void *db, const char *key, const char **value, size_t *value_bytes) {
    varve_side *side = db;
    varve_error err;
    varve_status status = varve_get(side->store, varve_bytes(key, KEY_BYTES), &side->value, &err);
    if (status == VARVE_NOT_FOUND) return false;
    require(status, &err);
    *value = side->value.data;
    *value_bytes = side->value.size;
    return true;
}

static void compact(void *db) {
    varve_side *side = db;
    varve_error err;
    require(varve_compact(side->store, &err), &err);
}

static void *scan_open(void *db) {
    varve_side *side = db;
    varve_iterator *it;
    varve_error err;
    require(varve_iterator_open(side->store, NULL, &it, &err), &err);
    return it;
}

static bool scan_seek(void *scan, const char *key) {
    varve_status status = key ? varve_iterator_seek(scan, varve_bytes(key, KEY_BYTES)) : varve_iterator_next(scan);
    if (status < 0) die("varve", varve_iterator_error(scan)->message);
    return status == VARVE_OK;
}

static bool scan_next(void *scan) {
    varve_status status = varve_iterator_next(scan);
    if (status < 0) die("varve", varve_iterator_error(scan)->message);
    return status == VARVE_OK;
}

static void scan_entry(void *scan, const char **key, const char **value, size_t *value_bytes) {
    *key = varve_iterator_key(scan).data;
    varve_slice found = varve_iterator_value(scan);
    *value = found.data;
    *value_bytes = found.size;
}

static void scan_close(void *scan) {
    varve_iterator_close(scan);
}

const engine engine_varve = {"varve", describe,  open_db,   close_db,  put,        get,
                             compact, scan_open, scan_seek, scan_next, scan_entry, scan_close};
