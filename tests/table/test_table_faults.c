/*
 * Faults: each allocation that fails gives NOMEM, each file operation that fails gives its error; nothing leaks, no file is left
 * behind, and the next attempt works.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/faultmem.h"
#include "os/faultfs.h"
#include "table_fixture.h"

static const shape small =
    {.seed = 41, .entries = 120, .key_min = 4, .key_max = 30, .alphabet = 16, .versions = 2, .value_max = 90};
static const vr_table_builder_options zstd_options = {.block_bytes = 1024, .compression_level = -1, .filter_bits = 10};

/* Builds as far as it goes. */
static varve_status try_build(fixture *f, const vr_table_builder_options *options, const model *m, varve_error *err) {
    vr_table_builder *builder;
    vr_table_summary summary;
    varve_status st = vr_table_builder_create(&f->env, &f->budget, FIXTURE_PATH, options, &builder, err);
    if (st != VARVE_OK) return st;
    for (size_t i = 0; i < m->count && st == VARVE_OK; i++) {
        st = vr_table_builder_add(builder, m->entries[i].key, m->entries[i].trailer, m->entries[i].value, err);
    }
    if (st != VARVE_OK) {
        vr_table_builder_abandon(builder);
        return st;
    }
    st = vr_table_builder_finish(builder, &summary, err);
    if (st == VARVE_OK) vr_table_summary_free(&summary);
    return st;
}

/* Opens, walks, gets, verifies, as far as it goes. */
static varve_status try_read(fixture *f, const model *m, varve_error *err) {
    vr_table *table;
    vr_cursor *cursor = NULL;
    varve_status st = vr_table_open(&f->env, &f->budget, f->cache, FIXTURE_PATH, NULL, &table, err);
    if (st != VARVE_OK) return st;
    for (int access = 0; access < 2 && st == VARVE_OK; access++) {
        st = vr_table_cursor(table, access ? VR_ACCESS_SEQUENTIAL : VR_ACCESS_CACHED, &cursor, err);
        if (st != VARVE_OK) break;
        cursor->err = err;
        size_t count = 0;
        for (cursor->ops->first(cursor); cursor->valid; cursor->ops->next(cursor)) count++;
        st = cursor->status;
        cursor->ops->close(cursor);
        if (st == VARVE_OK) cr_assert_eq(count, m->count);
    }
    if (st == VARVE_OK) {
        uint64_t trailer;
        varve_slice value;
        uint32_t token = vr_epoch_enter(f->epoch);
        st = vr_table_get(table, m->entries[3].key, VR_SEQUENCE_MAX, &trailer, &value, err);
        vr_epoch_leave(f->epoch, token);
    }
    if (st == VARVE_OK) st = vr_table_verify(table, err);
    vr_table_close(table);
    return st;
}

static bool file_exists(fixture *f) {
    vr_file *file;
    if (vr_fs_open(f->env.fs, FIXTURE_PATH, VR_OPEN_READ, &file, NULL) != VARVE_OK) return false;
    cr_assert_eq(vr_file_close(file, NULL), VARVE_OK);
    return true;
}

/* One attempt in which the nth allocation fails, with a cache of its own. Returns whether one was made to fail. */
static bool fail_allocation(fixture *f, const model *m, bool build, uint64_t nth) {
    vr_faultmem fault;
    vr_env plain = f->env;
    vr_cache *cache = f->cache;
    varve_error err = {0};
    vr_faultmem_init(&fault, 0, false);
    f->env.mem = vr_faultmem_mem(&fault);
    cr_assert_eq(vr_cache_create(&f->env, &f->budget, f->epoch, &f->cache, &err), VARVE_OK);
    vr_faultmem_arm(&fault, nth, false);
    varve_status st = build ? try_build(f, &zstd_options, m, &err) : try_read(f, m, &err);
    bool injected = vr_faultmem_injected(&fault) > 0;
    cr_assert_eq(st, injected ? VARVE_NOMEM : VARVE_OK, "allocation %zu: %d %s", (size_t)nth, st, err.message);
    if (build) cr_assert_eq(file_exists(f), !injected);
    vr_cache_free(f->cache);
    while (vr_epoch_collect(f->epoch) > 0) {
    }
    cr_assert_eq(vr_faultmem_live(&fault), 0, "allocation %zu leaks", (size_t)nth);
    cr_assert_eq(vr_budget_total(&f->budget), 0, "allocation %zu stays charged", (size_t)nth);
    f->env = plain;
    f->cache = cache;
    return injected;
}

Test(table_faults, each_allocation_fails) {
    fixture f;
    uint64_t building = 1, reading = 1;
    fixture_open(&f, 64u << 20);
    model m = model_random(&small);
    while (fail_allocation(&f, &m, true, building)) building++;
    while (fail_allocation(&f, &m, false, reading)) reading++;
    cr_assert_gt(building, 10);
    cr_assert_gt(reading, 20);
    model_free(&m);
    fixture_close(&f);
}

/* Fails each operation of the kinds in turn, once with each error. */
static void check_file_faults(unsigned kinds, int os_error, varve_status expected, bool build) {
    fixture f;
    vr_faultfs *faultfs;
    uint64_t failures = 0;
    fixture_open(&f, 64u << 20);
    model m = model_random(&small);
    cr_assert_eq(vr_faultfs_create(f.env.fs, &faultfs, NULL), VARVE_OK);
    f.env.fs = vr_faultfs_fs(faultfs);
    if (!build) build_table(&f, FIXTURE_PATH, &zstd_options, &m, NULL);
    for (uint64_t nth = 1;; nth++) {
        varve_error err = {0};
        vr_faultfs_arm(faultfs, kinds, nth, os_error, false);
        varve_status st = build ? try_build(&f, &plain_options, &m, &err) : try_read(&f, &m, &err);
        bool injected = vr_faultfs_injected(faultfs) > 0;
        vr_faultfs_arm(faultfs, 0, 0, 0, false);
        if (!injected) {
            cr_assert_eq(st, VARVE_OK, "%s", err.message);
            break;
        }
        failures++;
        cr_assert_eq(st, expected, "operation %zu: %d %s", (size_t)nth, st, err.message);
        cr_assert_not_null(strstr(err.message, FIXTURE_PATH), "%s", err.message);
        if (build) cr_assert(!file_exists(&f));
    }
    cr_assert_gt(failures, 0);
    model_free(&m);
    f.env.fs = vr_memfs_fs(f.memfs);
    vr_faultfs_free(faultfs);
    fixture_close(&f);
}

Test(table_faults, writes_and_syncs_fail) {
    check_file_faults(VR_FAULT_PWRITE, ENOSPC, VARVE_NO_SPACE, true);
    check_file_faults(VR_FAULT_PWRITE | VR_FAULT_SYNC | VR_FAULT_OPEN, EIO, VARVE_IO, true);
}

Test(table_faults, reads_fail) {
    check_file_faults(VR_FAULT_PREAD | VR_FAULT_OPEN, EIO, VARVE_IO, false);
}

Test(table_faults, a_file_in_the_way_stays) {
    fixture f;
    varve_error err = {0};
    size_t size;
    fixture_open(&f, 64u << 20);
    model m = model_random(&small);
    write_file(&f, FIXTURE_PATH, "precious", 8);
    cr_assert_eq(try_build(&f, &plain_options, &m, &err), VARVE_EXISTS);
    char *content = read_file(&f, FIXTURE_PATH, &size);
    cr_assert_eq(size, 8);
    cr_assert_eq(memcmp(content, "precious", 8), 0);
    free(content);
    model_free(&m);
    fixture_close(&f);
}

Test(table_faults, abandon_removes_the_file) {
    fixture f;
    vr_table_builder *builder;
    fixture_open(&f, 64u << 20);
    cr_assert_eq(vr_table_builder_create(&f.env, &f.budget, FIXTURE_PATH, &plain_options, &builder, NULL), VARVE_OK);
    cr_assert(file_exists(&f));
    cr_assert_eq(vr_table_builder_add(builder, varve_str("k"), vr_trailer(1, VR_KIND_PUT), varve_str("v"), NULL), VARVE_OK);
    vr_table_builder_abandon(builder);
    cr_assert(!file_exists(&f));
    vr_table_builder_abandon(NULL);
    fixture_close(&f);
}
