/* bench/compare/compare_lmdb.c - LMDB: one transaction a put, one renewed read transaction a get; the page cache is its cache,
 * unbounded. */
#ifdef VARVE_HAVE_LMDB
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "compare.h"

typedef struct lmdb_side {
    MDB_env *env;
    MDB_dbi dbi;
    MDB_txn *read;
} lmdb_side;

typedef struct lmdb_scan {
    MDB_txn *txn;
    MDB_cursor *cursor;
    MDB_val key, value;
} lmdb_scan;

static void require(int code) {
    if (code != 0) die("lmdb", mdb_strerror(code));
}

static void describe(const settings *s, char *out, size_t size) {
    (void)s;
    snprintf(out, size, "lmdb %d.%d.%d: WRITEMAP, NOSYNC, NORDAHEAD, NOMEMINIT, no compression, page cache unbounded",
             MDB_VERSION_MAJOR, MDB_VERSION_MINOR, MDB_VERSION_PATCH);
}

static void *open_db(const char *dir, const settings *s) {
    lmdb_side *side = calloc(1, sizeof *side);
    if (!side) die("lmdb", "out of memory");
    mkdir(dir, 0700);
    require(mdb_env_create(&side->env));
    require(mdb_env_set_mapsize(side->env, (s->keys * (KEY_BYTES + s->value_bytes) * 4 + (1u << 30)) & ~(size_t)4095));
    require(mdb_env_open(side->env, dir, MDB_WRITEMAP | MDB_NOSYNC | MDB_NORDAHEAD | MDB_NOMEMINIT, 0600));
    MDB_txn *txn;
    require(mdb_txn_begin(side->env, NULL, 0, &txn));
    require(mdb_dbi_open(txn, NULL, 0, &side->dbi));
    require(mdb_txn_commit(txn));
    require(mdb_txn_begin(side->env, NULL, MDB_RDONLY, &side->read));
    mdb_txn_reset(side->read);
    return side;
}

static void close_db(void *db) {
    lmdb_side *side = db;
    mdb_txn_abort(side->read);
    mdb_env_close(side->env);
    free(side);
}

static void put(void *db, const char *key, const char *value, size_t value_bytes) {
    lmdb_side *side = db;
    MDB_txn *txn;
    MDB_val k = {KEY_BYTES, (void *)key}, v = {value_bytes, (void *)value};
    require(mdb_txn_begin(side->env, NULL, 0, &txn));
    require(mdb_put(txn, side->dbi, &k, &v, 0));
    require(mdb_txn_commit(txn));
}

static bool get(void *db, const char *key, const char **value, size_t *value_bytes) {
    lmdb_side *side = db;
    MDB_val k = {KEY_BYTES, (void *)key}, v;
    mdb_txn_reset(side->read);
    require(mdb_txn_renew(side->read));
    int code = mdb_get(side->read, side->dbi, &k, &v);
    if (code == MDB_NOTFOUND) return false;
    require(code);
    *value = v.mv_data;
    *value_bytes = v.mv_size;
    return true;
}

static void *scan_open(void *db) {
    lmdb_side *side = db;
    lmdb_scan *scan = calloc(1, sizeof *scan);
    if (!scan) die("lmdb", "out of memory");
    mdb_txn_reset(side->read);
    require(mdb_txn_renew(side->read));
    scan->txn = side->read;
    require(mdb_cursor_open(scan->txn, side->dbi, &scan->cursor));
    return scan;
}

static bool move(lmdb_scan *scan, MDB_cursor_op op) {
    int code = mdb_cursor_get(scan->cursor, &scan->key, &scan->value, op);
    if (code == MDB_NOTFOUND) return false;
    require(code);
    return true;
}

static bool scan_seek(void *state, const char *key) {
    lmdb_scan *scan = state;
    if (!key) return move(scan, MDB_FIRST);
    scan->key = (MDB_val){KEY_BYTES, (void *)key};
    return move(scan, MDB_SET_RANGE);
}

static bool scan_next(void *scan) {
    return move(scan, MDB_NEXT);
}

static void scan_entry(void *state, const char **key, const char **value, size_t *value_bytes) {
    lmdb_scan *scan = state;
    *key = scan->key.mv_data;
    *value = scan->value.mv_data;
    *value_bytes = scan->value.mv_size;
}

static void scan_close(void *state) {
    lmdb_scan *scan = state;
    mdb_cursor_close(scan->cursor);
    free(scan);
}

const engine engine_lmdb = {"lmdb", describe,  open_db,   close_db,  put,        get,
                            NULL,   scan_open, scan_seek, scan_next, scan_entry, scan_close};
#endif
