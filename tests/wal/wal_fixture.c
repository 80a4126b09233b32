/*
 * See wal_fixture.h.
 */
#include "wal_fixture.h"

#include <stdio.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/hash.h"

static void say(void *context, const char *line) {
    wal_fixture *f = context;
    snprintf(f->said, sizeof f->said, "%s", line);
}

void wal_fixture_open(wal_fixture *f, varve_wal_mode mode, uint64_t segment_bytes) {
    memset(f, 0, sizeof *f);
    cr_assert_eq(vr_memfs_create(&f->memfs, NULL), VARVE_OK);
    f->env = vr_env_system();
    f->env.fs = vr_memfs_fs(f->memfs);
    f->env.diag = (vr_diag){say, f};
    vr_budget_init(&f->budget, UINT64_MAX);
    f->options = (vr_wal_options){.mode = mode, .segment_bytes = segment_bytes};
    f->dir = WAL_DIR;
    f->value_bytes_max = 200;
    cr_assert_eq(vr_fs_make_dir(f->env.fs, WAL_DIR, NULL), VARVE_OK);
    cr_assert_eq(vr_fs_sync_dir(f->env.fs, "/", NULL), VARVE_OK);
    wal_must_open(f);
}

void wal_fixture_close(wal_fixture *f) {
    wal_shut(f);
    if (f->memfs) vr_memfs_free(f->memfs);
    f->memfs = NULL;
}

void wal_fixture_move(wal_fixture *f, vr_memfs *memfs) {
    cr_assert_null(f->wal);
    vr_memfs_free(f->memfs);
    f->memfs = memfs;
    f->env.fs = vr_memfs_fs(memfs);
}

static varve_status see(void *context, uint64_t first_sequence, varve_slice batch, varve_error *err) {
    wal_fixture *f = context;
    (void)err;
    if (!wal_batch_is_right(f, first_sequence, batch)) f->seen.wrong++;
    if (f->seen.batches && first_sequence != f->seen.last + 1 && !f->expect_gap) f->seen.wrong++;
    if (!f->seen.batches) f->seen.first = first_sequence;
    f->seen.last = first_sequence + wal_batch_count(first_sequence) - 1;
    f->seen.batches++;
    return VARVE_OK;
}

varve_status wal_open(wal_fixture *f) {
    f->seen = (replay){0};
    f->err = (varve_error){0};
    f->said[0] = 0;
    varve_status st = vr_wal_open(&f->env, &f->budget, f->dir, &f->options, see, f, &f->wal, &f->err);
    if (st != VARVE_OK) {
        f->wal = NULL;
        cr_assert_eq(vr_budget_total(&f->budget), 0);
        cr_assert(f->err.code == st && f->err.message[0], "a failure says why");
    }
    return st;
}

void wal_must_open(wal_fixture *f) {
    varve_status st = wal_open(f);
    cr_assert_eq(st, VARVE_OK, "%s: %s", varve_status_name(st), f->err.message);
    cr_assert_eq(f->seen.wrong, 0);
}

void wal_shut(wal_fixture *f) {
    vr_wal_close(f->wal);
    f->wal = NULL;
    cr_assert_eq(vr_budget_total(&f->budget), 0, "the budget holds %llu", (unsigned long long)vr_budget_total(&f->budget));
}

static uint64_t mix(uint64_t sequence, uint64_t what) {
    uint64_t words[2] = {sequence, what};
    return vr_hash(words, sizeof words);
}

uint32_t wal_batch_count(uint64_t first_sequence) {
    return (uint32_t)(mix(first_sequence, 0) % 3 + 1);
}

void wal_make_batch(const wal_fixture *f, uint64_t first_sequence, vr_batch *batch) {
    uint32_t count = wal_batch_count(first_sequence);
    char *value = malloc(f->value_bytes_max + 1);
    cr_assert_eq(vr_batch_clear(batch, NULL), VARVE_OK);
    for (uint32_t i = 0; i < count; i++) {
        char key[32];
        uint64_t sequence = first_sequence + i;
        size_t size = mix(sequence, 1) % (f->value_bytes_max + 1);
        for (size_t at = 0; at < size; at++) value[at] = (char)mix(sequence, 2 + at / 64);
        if (mix(sequence, 3) % 4 == 0) memset(value, 0, size); /* zeros, as torn bytes have them */
        int key_size = snprintf(key, sizeof key, "key%llu", (unsigned long long)sequence);
        vr_change change = {sequence % 5 ? VR_KIND_PUT : VR_KIND_DELETE, 1, varve_bytes(key, (size_t)key_size),
                            varve_bytes(value, size)};
        cr_assert_eq(vr_batch_append(batch, &change, NULL), VARVE_OK);
    }
    free(value);
    vr_batch_header_encode(batch->bytes.data, first_sequence, false, count);
}

bool wal_batch_is_right(const wal_fixture *f, uint64_t first_sequence, varve_slice batch) {
    vr_batch expected = {0};
    wal_make_batch(f, first_sequence, &expected);
    bool right = vr_equal(batch, varve_buffer_slice(&expected.bytes));
    vr_batch_free(&expected);
    return right;
}

varve_status wal_append(wal_fixture *f) {
    vr_batch batch = {0};
    uint64_t first = vr_wal_last_sequence(f->wal) + 1;
    wal_make_batch(f, first, &batch);
    varve_slice parts[2] = {varve_bytes(batch.bytes.data, VR_BATCH_HEADER_BYTES),
                            varve_bytes(batch.bytes.data + VR_BATCH_HEADER_BYTES, batch.bytes.size - VR_BATCH_HEADER_BYTES)};
    varve_status st = vr_wal_append(f->wal, first, batch.count, parts, 2, &f->err);
    cr_assert_eq(vr_wal_last_sequence(f->wal), st == VARVE_OK ? first + batch.count - 1 : first - 1);
    vr_batch_free(&batch);
    return st;
}

void wal_must_append(wal_fixture *f, unsigned batches) {
    while (batches-- > 0) {
        varve_status st = wal_append(f);
        cr_assert_eq(st, VARVE_OK, "%s: %s", varve_status_name(st), f->err.message);
    }
}

void wal_must_sync(wal_fixture *f) {
    varve_status st = vr_wal_sync(f->wal, &f->err);
    cr_assert_eq(st, VARVE_OK, "%s: %s", varve_status_name(st), f->err.message);
    cr_assert_eq(vr_wal_synced_sequence(f->wal), vr_wal_last_sequence(f->wal));
}

/* --- Files --- */

static void path_of(const wal_fixture *f, const char *name, char path[VR_PATH_BYTES_MAX]) {
    cr_assert(vr_path_join(path, f->dir, name));
}

bool wal_file_exists(const wal_fixture *f, const char *name) {
    char path[VR_PATH_BYTES_MAX];
    vr_file *file;
    path_of(f, name, path);
    if (vr_fs_open(f->env.fs, path, VR_OPEN_READ, &file, NULL) != VARVE_OK) return false;
    vr_file_close(file, NULL);
    return true;
}

varve_buffer wal_read_file(const wal_fixture *f, const char *name) {
    char path[VR_PATH_BYTES_MAX];
    varve_buffer content = {0};
    vr_file *file;
    uint64_t size;
    path_of(f, name, path);
    cr_assert_eq(vr_fs_open(f->env.fs, path, VR_OPEN_READ, &file, NULL), VARVE_OK, "%s", path);
    cr_assert_eq(vr_file_get_size(file, &size, NULL), VARVE_OK);
    cr_assert(vr_buffer_reserve(&content, (size_t)size + 1));
    cr_assert_eq(vr_file_pread(file, content.data, (size_t)size, 0, &content.size, NULL), VARVE_OK);
    cr_assert_eq(content.size, size);
    vr_file_close(file, NULL);
    return content;
}

void wal_write_file(const wal_fixture *f, const char *name, varve_slice content) {
    char path[VR_PATH_BYTES_MAX];
    vr_file *file;
    path_of(f, name, path);
    cr_assert_eq(vr_fs_open(f->env.fs, path, VR_OPEN_WRITE | VR_OPEN_CREATE | VR_OPEN_TRUNCATE, &file, NULL), VARVE_OK);
    if (content.size) cr_assert_eq(vr_file_pwrite(file, content.data, content.size, 0, NULL), VARVE_OK);
    cr_assert_eq(vr_file_sync(file, NULL), VARVE_OK);
    vr_file_close(file, NULL);
    cr_assert_eq(vr_fs_sync_dir(f->env.fs, f->dir, NULL), VARVE_OK);
}

static bool count_name(void *context, const char *name) {
    (void)name;
    ++*(unsigned *)context;
    return true;
}

unsigned wal_count_files(const wal_fixture *f) {
    unsigned count = 0;
    cr_assert_eq(vr_fs_list(f->env.fs, f->dir, count_name, &count, NULL), VARVE_OK);
    return count;
}
