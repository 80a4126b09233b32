/* tests/db/db_fixture.c - see db_fixture.h. */
#include "db_fixture.h"

#include <stdio.h>

#include "base/bytes.h"

void fixture_start(fixture *f) {
    memset(f, 0, sizeof *f);
    REQUIRE(f, vr_memfs_create(&f->memfs, &f->err));
    f->env = vr_env_system();
    f->env.fs = vr_memfs_fs(f->memfs);
    f->options = (varve_options){.size = sizeof f->options,
                                 .create = true,
                                 .memory = 32u << 20,
                                 .memtable_bytes = 256u << 10,
                                 .wal_segment_bytes = 128u << 10};
    fixture_open(f);
}

void fixture_open(fixture *f) {
    REQUIRE(f, vr_db_open(&f->env, "db", &f->options, &f->db, &f->err));
    REQUIRE(f, varve_store_open(f->db, "default", NULL, &f->store, &f->err));
}

void fixture_close(fixture *f) {
    varve_store_close(f->store);
    f->store = NULL;
    REQUIRE(f, varve_close(f->db, &f->err));
    f->db = NULL;
}

void fixture_stop(fixture *f) {
    if (f->db) fixture_close(f);
    vr_memfs_free(f->memfs);
}

void fixture_crash(fixture *f, vr_crash_mode mode, uint64_t seed) {
    vr_memfs *after = NULL;
    REQUIRE(f, vr_memfs_clone(f->memfs, mode, seed, &after, &f->err));
    fixture_close(f);
    vr_memfs_free(f->memfs);
    f->memfs = after;
    f->env.fs = vr_memfs_fs(after);
}

void put(fixture *f, const char *key, const char *value) {
    REQUIRE(f, varve_put(f->store, varve_str(key), varve_str(value), &f->err));
}

void del(fixture *f, const char *key) {
    REQUIRE(f, varve_delete(f->store, varve_str(key), &f->err));
}

const char *get(fixture *f, const char *key) {
    static char text[4096];
    varve_buffer value = {0};
    varve_status status = varve_get(f->store, varve_str(key), &value, &f->err);
    cr_assert(status == VARVE_OK || status == VARVE_NOT_FOUND, "%s", f->err.message);
    if (status == VARVE_OK) snprintf(text, sizeof text, "%.*s", (int)value.size, value.data ? value.data : "");
    varve_buffer_free(&value);
    return status == VARVE_OK ? text : NULL;
}

const char *scan(fixture *f, const varve_range *range, bool reverse) {
    static char text[65536];
    size_t n = 0;
    text[0] = '\0';
    varve_iterator *it = NULL;
    REQUIRE(f, varve_iterator_open(f->store, range, &it, &f->err));
    varve_status status = VARVE_OK;
    if (reverse) { /* to the end, then back */
        while ((status = varve_iterator_next(it)) == VARVE_OK) {
        }
    }
    while ((status = reverse ? varve_iterator_prev(it) : varve_iterator_next(it)) == VARVE_OK) {
        varve_slice key = varve_iterator_key(it), value = varve_iterator_value(it);
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%.*s=%.*s", n ? " " : "", (int)key.size, key.data ? key.data : "",
                              (int)value.size, value.data ? value.data : "");
    }
    cr_assert_eq(status, VARVE_NOT_FOUND, "%s", varve_iterator_error(it)->message);
    varve_iterator_close(it);
    return text;
}
