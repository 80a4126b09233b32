/*
 * table_fixture.c - see table_fixture.h.
 */
#include "table_fixture.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/hash.h"

const vr_table_builder_options plain_options = {.block_bytes = 1024,
                                                .compression_level = VARVE_COMPRESSION_NONE,
                                                .filter_bits = 10};

/* Table ids: 1, 2, 3 ... times a constant, so that they fill 8 bytes. */
static void count_bytes(void *context, void *out, size_t size) {
    fixture *f = context;
    uint64_t id = ++f->ids * UINT64_C(0x0123456789abcdef);
    memset(out, 0, size);
    memcpy(out, &id, size < sizeof id ? size : sizeof id);
}

void fixture_open(fixture *f, uint64_t budget_bytes) {
    varve_error err;
    memset(f, 0, sizeof *f);
    f->env = vr_env_system();
    cr_assert_eq(vr_memfs_create(&f->memfs, &err), VARVE_OK);
    f->env.fs = vr_memfs_fs(f->memfs);
    f->env.random_bytes = count_bytes;
    f->env.context = f;
    vr_budget_init(&f->budget, budget_bytes);
    cr_assert_eq(vr_epoch_create(&f->env.mem, &f->epoch, &err), VARVE_OK);
    cr_assert_eq(vr_cache_create(&f->env, &f->budget, f->epoch, &f->cache, &err), VARVE_OK);
}

void fixture_close(fixture *f) {
    vr_cache_free(f->cache);
    vr_epoch_free(f->epoch);
    for (int use = 0; use < VR_USE_COUNT; use++) {
        cr_assert_eq(vr_budget_held(&f->budget, (vr_use)use), 0, "use %d still holds %zu bytes", use,
                     (size_t)vr_budget_held(&f->budget, (vr_use)use));
    }
    cr_assert_eq(vr_budget_total(&f->budget), 0);
    vr_memfs_free(f->memfs);
}

uint64_t random_next(uint64_t *state) {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(0x2545f4914f6cdd1d);
}

static varve_slice copy_of(varve_slice slice) {
    char *copy = malloc(slice.size ? slice.size : 1);
    if (slice.size) memcpy(copy, slice.data, slice.size);
    return varve_bytes(copy, slice.size);
}

void model_add(model *m, varve_slice key, uint64_t trailer, varve_slice value) {
    if (m->count == m->capacity) {
        m->capacity = m->capacity ? 2 * m->capacity : 64;
        m->entries = realloc(m->entries, m->capacity * sizeof *m->entries);
    }
    m->entries[m->count++] = (entry){.key = copy_of(key), .trailer = trailer, .value = copy_of(value)};
}

static void entry_free(entry *e) {
    free((void *)(uintptr_t)e->key.data);
    free((void *)(uintptr_t)e->value.data);
}

/* Not vr_entry_compare(): the model has an order of its own. */
static int entry_order(const void *a, const void *b) {
    const entry *x = a, *y = b;
    size_t shorter = x->key.size < y->key.size ? x->key.size : y->key.size;
    int order = shorter ? memcmp(x->key.data, y->key.data, shorter) : 0;
    if (order != 0) return order;
    if (x->key.size != y->key.size) return x->key.size < y->key.size ? -1 : 1;
    return x->trailer > y->trailer ? -1 : x->trailer < y->trailer;
}

void model_sort(model *m) {
    qsort(m->entries, m->count, sizeof *m->entries, entry_order);
    size_t kept = 0;
    for (size_t i = 0; i < m->count; i++) {
        if (kept > 0 && entry_order(&m->entries[kept - 1], &m->entries[i]) == 0) {
            entry_free(&m->entries[i]);
        } else {
            m->entries[kept++] = m->entries[i];
        }
    }
    m->count = kept;
}

void model_free(model *m) {
    for (size_t i = 0; i < m->count; i++) entry_free(&m->entries[i]);
    free(m->entries);
    *m = (model){0};
}

size_t model_seek(const model *m, varve_slice key, uint64_t trailer) {
    const entry wanted = {.key = key, .trailer = trailer};
    size_t low = 0, high = m->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (entry_order(&m->entries[middle], &wanted) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static size_t size_between(uint64_t *state, size_t low, size_t high) {
    return low + random_next(state) % (high - low + 1);
}

model model_random(const shape *s) {
    model m = {0};
    uint64_t state = s->seed * 2 + 1, sequence = 1;
    char *key = malloc(s->key_max + 1), *value = malloc(s->value_max + 1);
    while (m.count < s->entries) {
        size_t size = size_between(&state, s->key_min, s->key_max);
        for (size_t i = 0; i < size; i++) {
            key[i] = (char)(i < s->shared ? 'p' : (random_next(&state) >> 32) % s->alphabet * (256 / s->alphabet));
        }
        size_t versions = size_between(&state, 1, s->versions);
        for (size_t v = 0; v < versions; v++) {
            bool put = random_next(&state) % 8 != 0;
            size_t value_size = put ? size_between(&state, s->value_min, s->value_max) : 0;
            for (size_t i = 0; i < value_size; i++) value[i] = (char)(random_next(&state) >> 60); /* compressible */
            uint64_t trailer = vr_trailer(sequence++, put ? VR_KIND_PUT : VR_KIND_DELETE);
            model_add(&m, varve_bytes(key, size), trailer, varve_bytes(value, value_size));
        }
    }
    free(key);
    free(value);
    model_sort(&m);
    return m;
}

void build_table(fixture *f, const char *path, const vr_table_builder_options *options, const model *m, vr_table_summary *summary) {
    varve_error err = {0};
    vr_table_builder *builder;
    vr_table_summary own = {0};
    cr_assert_eq(vr_table_builder_create(&f->env, &f->budget, path, options, &builder, &err), VARVE_OK, "%s", err.message);
    for (size_t i = 0; i < m->count; i++) {
        const entry *e = &m->entries[i];
        cr_assert_eq(vr_table_builder_add(builder, e->key, e->trailer, e->value, &err), VARVE_OK, "%s", err.message);
    }
    cr_assert_eq(vr_table_builder_entries(builder), m->count);
    cr_assert_eq(vr_table_builder_finish(builder, &own, &err), VARVE_OK, "%s", err.message);
    if (summary) {
        *summary = own;
    } else {
        vr_table_summary_free(&own);
    }
}

vr_table *open_table(fixture *f, const char *path) {
    varve_error err = {0};
    vr_table *table = NULL;
    cr_assert_eq(vr_table_open(&f->env, &f->budget, f->cache, path, NULL, &table, &err), VARVE_OK, "%s", err.message);
    return table;
}

char *read_file(fixture *f, const char *path, size_t *size) {
    varve_error err = {0};
    vr_file *file;
    uint64_t bytes;
    cr_assert_eq(vr_fs_open(f->env.fs, path, VR_OPEN_READ, &file, &err), VARVE_OK, "%s", err.message);
    cr_assert_eq(vr_file_get_size(file, &bytes, &err), VARVE_OK);
    char *content = malloc(bytes ? bytes : 1);
    cr_assert_eq(vr_file_pread(file, content, bytes, 0, size, &err), VARVE_OK);
    cr_assert_eq(*size, bytes);
    cr_assert_eq(vr_file_close(file, &err), VARVE_OK);
    return content;
}

void write_file(fixture *f, const char *path, const char *bytes, size_t size) {
    varve_error err = {0};
    vr_file *file;
    unsigned flags = VR_OPEN_WRITE | VR_OPEN_CREATE | VR_OPEN_TRUNCATE;
    cr_assert_eq(vr_fs_open(f->env.fs, path, flags, &file, &err), VARVE_OK, "%s", err.message);
    if (size > 0) cr_assert_eq(vr_file_pwrite(file, bytes, size, 0, &err), VARVE_OK);
    cr_assert_eq(vr_file_close(file, &err), VARVE_OK);
}

void seal_footer(char *file, size_t size) {
    char *footer = file + size - VR_TABLE_FOOTER_BYTES;
    vr_put64(footer + 112, vr_hash(footer, 112));
}

void seal_frame(char *file, size_t size, uint64_t offset, uint64_t frame_bytes) {
    uint64_t table_id = vr_get64(file + size - VR_TABLE_FOOTER_BYTES);
    vr_put64(file + offset, vr_hash_seeded(file + offset + 8, frame_bytes - 8, table_id + offset));
}

parts parts_of(const char *file, size_t size) {
    const char *footer = file + size - VR_TABLE_FOOTER_BYTES;
    parts p = {.filter = vr_get64(footer + 8),
               .filter_bytes = vr_get64(footer + 16),
               .index = vr_get64(footer + 24),
               .index_bytes = vr_get64(footer + 32),
               .properties = vr_get64(footer + 40),
               .properties_bytes = vr_get64(footer + 48)};
    p.data_end = p.filter_bytes ? p.filter : p.index;
    return p;
}

static void check_entry(const vr_cursor *cursor, const entry *e, size_t i) {
    cr_assert(cursor->valid, "entry %zu: the cursor ended with status %d", i, cursor->status);
    cr_assert(vr_equal(cursor->key, e->key), "entry %zu: key", i);
    cr_assert_eq(cursor->trailer, e->trailer, "entry %zu: trailer", i);
    cr_assert(vr_equal(cursor->value, e->value), "entry %zu: value", i);
}

void check_walk(vr_cursor *cursor, const model *m) {
    size_t i = 0;
    for (cursor->ops->first(cursor); i < m->count; cursor->ops->next(cursor)) {
        check_entry(cursor, &m->entries[i], i);
        i++;
    }
    cr_assert(!cursor->valid);
    cr_assert_eq(cursor->status, VARVE_OK);
    for (cursor->ops->last(cursor); i > 0; cursor->ops->prev(cursor)) {
        i--;
        check_entry(cursor, &m->entries[i], i);
    }
    cr_assert(!cursor->valid);
    cr_assert_eq(cursor->status, VARVE_OK);
}
