/*
 * version_fixture.c - see version_fixture.h.
 */
#include "version_fixture.h"

#include "version/manifest_state.h"

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
}

void fixture_close(fixture *fx) {
    vr_memfs_free(fx->memfs);
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

vr_edit_field *add_field(vr_edit *edit, vr_edit_kind kind, uint32_t store_id, uint32_t level, uint64_t number, uint64_t sequence) {
    vr_edit_field *field = vr_edit_add(edit, kind, NULL);
    cr_assert_not_null(field);
    field->store_id = store_id;
    field->level = level;
    field->number = number;
    field->sequence = sequence;
    return field;
}

static varve_buffer borrowed(const char *text) {
    return (varve_buffer){.data = (char *)text, .size = strlen(text)};
}

vr_edit_field *add_table(vr_edit *edit, uint32_t store_id, uint32_t level, uint64_t number, const char *min_key,
                         const char *max_key) {
    vr_edit_field *field = add_field(edit, VR_EDIT_TABLE_ADD, store_id, level, number, 0);
    field->table = (vr_table_summary){
        .table_id = number * 7 + 1,
        .file_bytes = 4096,
        .entries = 10,
        .tombstones = 1,
        .raw_bytes = 300,
        .min_sequence = number,
        .max_sequence = number + 9,
        .min_key = borrowed(min_key),
        .max_key = borrowed(max_key),
    };
    return field;
}

vr_edit_field *add_store(vr_edit *edit, uint32_t store_id, const char *name) {
    vr_edit_field *field = add_field(edit, VR_EDIT_STORE_CREATE, store_id, 0, 0, 0);
    field->name = varve_str(name);
    field->store_options = (varve_store_options){.block_bytes = 4096, .compression_level = -1, .filter_bits = 10};
    return field;
}

vr_edit_field *add_feed(vr_edit *edit, const char *name, uint64_t released) {
    vr_edit_field *field = add_field(edit, VR_EDIT_FEED_SET, 0, 0, 0, released);
    field->name = varve_str(name);
    return field;
}

varve_buffer state_bytes(const vr_manifest_state *state) {
    varve_buffer out = {0};
    vr_edit edit;
    vr_mem mem = vr_mem_system();
    vr_edit_init(&edit, &mem);
    must(vr_manifest_state_describe(state, &edit, NULL));
    must(vr_edit_encode(&edit, &out, NULL));
    vr_edit_free(&edit);
    return out;
}

bool same_state(const vr_manifest_state *state, const varve_buffer *bytes) {
    varve_buffer own = state_bytes(state);
    bool same = vr_equal(varve_buffer_slice(&own), varve_buffer_slice(bytes));
    varve_buffer_free(&own);
    return same;
}

varve_buffer file_read(fixture *fx, const char *name) {
    char path[VR_PATH_BYTES_MAX];
    vr_file *file;
    uint64_t size;
    size_t got;
    varve_buffer out = {0};
    cr_assert(vr_path_join(path, DIR_NAME, name));
    must(vr_fs_open(fx->env.fs, path, VR_OPEN_READ, &file, NULL));
    must(vr_file_get_size(file, &size, NULL));
    cr_assert(vr_buffer_reserve(&out, size + 1));
    must(vr_file_pread(file, out.data, size, 0, &got, NULL));
    out.size = got;
    vr_file_close(file, NULL);
    return out;
}

void file_write(fixture *fx, const char *name, varve_slice bytes) {
    char path[VR_PATH_BYTES_MAX];
    vr_file *file;
    cr_assert(vr_path_join(path, DIR_NAME, name));
    must(vr_fs_open(fx->env.fs, path, VR_OPEN_WRITE | VR_OPEN_CREATE | VR_OPEN_TRUNCATE, &file, NULL));
    if (bytes.size) must(vr_file_pwrite(file, bytes.data, bytes.size, 0, NULL));
    must(vr_file_sync(file, NULL));
    vr_file_close(file, NULL);
}
