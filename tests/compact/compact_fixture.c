/*
 * compact_fixture.c - see compact_fixture.h.
 */
#include "compact_fixture.h"

#include <stdlib.h>

static void fixed_random_bytes(void *context, void *out, size_t size) {
    fixture *fx = context;
    for (size_t i = 0; i < size; i++) ((uint8_t *)out)[i] = (uint8_t)(random_next(&fx->random) >> 32);
}

void fixture_open(fixture *fx) {
    memset(fx, 0, sizeof *fx);
    must(vr_memfs_create(&fx->memfs, NULL));
    fx->env = vr_env_system();
    fx->env.fs = vr_memfs_fs(fx->memfs);
    fx->env.random_bytes = fixed_random_bytes;
    fx->env.context = fx;
    fx->random = 42;
    must(vr_fs_make_dir(fx->env.fs, DIR_NAME, NULL));
    must(vr_fs_sync_dir(fx->env.fs, ".", NULL));
    vr_budget_init(&fx->budget, 64u << 20);
    must(vr_epoch_create(&fx->env.mem, &fx->epoch, NULL));
    must(vr_cache_create(&fx->env, &fx->budget, fx->epoch, &fx->cache, NULL));
    fx->venv = (vr_version_env){.env = &fx->env, .budget = &fx->budget, .cache = fx->cache, .dir = DIR_NAME};
}

void fixture_close(fixture *fx) {
    vr_cache_free(fx->cache);
    vr_epoch_free(fx->epoch);
    vr_memfs_free(fx->memfs);
}

uint64_t fixture_next_file(void *context) {
    return ++((fixture *)context)->next_file;
}

uint64_t random_next(uint64_t *state) {
    uint64_t x = *state;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    *state = x;
    return x * UINT64_C(0x2545F4914F6CDD1D);
}

uint64_t random_below(uint64_t *state, uint64_t bound) {
    return (random_next(state) >> 11) % bound;
}

vr_version *empty_version(fixture *fx) {
    vr_version *version;
    vr_store_meta meta = {.id = STORE};
    must(vr_version_create(&fx->venv, &meta, &version, NULL));
    return version;
}

vr_version *applied(fixture *fx, vr_version *base, vr_edit *edit) {
    vr_version *next;
    varve_error err = {0};
    varve_status status = vr_version_apply(&fx->venv, base, edit, STORE, &next, &err);
    cr_assert_eq(status, VARVE_OK, "%s", err.message);
    vr_version_mark_obsolete(base, next);
    vr_version_unref(base);
    edit->count = 0;
    return next;
}

vr_edit_field *add_shape(vr_edit *edit, uint32_t level, uint64_t number, unsigned from, unsigned to, uint64_t bytes) {
    char min_key[16], max_key[16];
    entry_key(from, min_key);
    entry_key(to, max_key);
    vr_table_summary summary = {
        .table_id = number,
        .file_bytes = bytes,
        .entries = to - from + 1,
        .min_key = {.data = min_key, .size = strlen(min_key)},
        .max_key = {.data = max_key, .size = strlen(max_key)},
    };
    must(vr_edit_add_table(edit, STORE, level, number, &summary, NULL));
    return &edit->fields[edit->count - 1];
}

bool table_exists(fixture *fx, uint64_t number) {
    char path[VR_PATH_BYTES_MAX];
    vr_file *file;
    cr_assert(vr_filename_table(path, DIR_NAME, number));
    if (vr_fs_open(vr_memfs_fs(fx->memfs), path, VR_OPEN_READ, &file, NULL) != VARVE_OK) return false;
    vr_file_close(file, NULL);
    return true;
}

static bool count_table(void *context, const char *name) {
    uint64_t number;
    *(size_t *)context += vr_filename_parse_table(name, &number);
    return true;
}

size_t table_files(fixture *fx) {
    size_t count = 0;
    must(vr_fs_list(vr_memfs_fs(fx->memfs), DIR_NAME, count_table, &count, NULL));
    return count;
}

/* --- Entries ----------------------------------------------------------------------------------------------------------------- */

void entry_key(uint32_t key, char out[16]) {
    snprintf(out, 16, "%08" PRIu32, key);
}

size_t entry_value(const entry *e, char out[40]) {
    int size = snprintf(out, 40, "%" PRIu32 "@%" PRIu64, e->key, e->sequence);
    return e->gone ? 0 : (size_t)size;
}

int entry_order(const void *a, const void *b) {
    const entry *x = a, *y = b;
    if (x->key != y->key) return x->key < y->key ? -1 : 1;
    return (x->sequence < y->sequence) - (x->sequence > y->sequence);
}

typedef struct array {
    vr_cursor base; /* must be first */
    const entry *entries;
    size_t at, count;
    char key[16], value[40];
} array;

static void array_show(array *a) {
    a->base.valid = a->at < a->count;
    if (!a->base.valid) return;
    const entry *e = &a->entries[a->at];
    entry_key(e->key, a->key); /* overwrites what the last entry's slices pointed at, as a cursor may */
    a->base.key = varve_str(a->key);
    a->base.trailer = vr_trailer(e->sequence, e->gone ? VR_KIND_DELETE : VR_KIND_PUT);
    a->base.value = varve_bytes(a->value, entry_value(e, a->value));
}

static void array_first(vr_cursor *cursor) {
    array *a = (array *)cursor;
    a->at = 0;
    array_show(a);
}

static void array_next(vr_cursor *cursor) {
    array *a = (array *)cursor;
    a->at++;
    array_show(a);
}

static void array_close(vr_cursor *cursor) {
    free(cursor);
}

static const vr_cursor_ops array_ops = {.first = array_first, .next = array_next, .close = array_close};

vr_cursor *array_cursor(const entry *entries, size_t count) {
    array *a = calloc(1, sizeof *a);
    cr_assert_not_null(a);
    a->base.ops = &array_ops;
    a->entries = entries;
    a->count = count;
    return &a->base;
}
