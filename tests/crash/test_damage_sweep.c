/*
 * tests/crash/test_damage_sweep.c - every file of a small database, damaged in every way that can be enumerated.
 *
 * The database: 260 keys of synced writes in two stores, closed cleanly in two sessions; about a third of them are in the WAL
 * alone; one store's tables are compressed. Each case takes a copy of the machine, damages one file, opens the copy, reads
 * everything and verifies. What is read must be exactly what was written, or some call must have failed. A state that is an older
 * one of the same history is counted as a silent rollback, any other as silently wrong; of both there must be none, and a failed
 * open must have written nothing.
 *
 * Regions that hold only padding (the header pages, the unused end of a WAL segment) are sampled, and of each byte one bit is
 * flipped, which one depends on the offset. With VARVE_SWEEP=full in the environment every bit of every byte is flipped and every
 * cut is made.
 *
 * A database whose process died has no clean mark. There the newest synced write is vouched for by nothing but itself: damage to it
 * cannot be told from a torn write. Its loss is counted apart; anything more is a rollback.
 */
#include <criterion/criterion.h>
#include <criterion/logging.h>
#include <stdio.h>
#include <stdlib.h>

#include <varve/varve.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "db/db.h"
#include "os/memfs.h"

#define KEYS 260
#define FILES_MAX 32
#define GENERATIONS_MAX 400
#define VALUE_BYTES_MAX 160

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define FLIP_STEP 7
#endif
#elif defined(__SANITIZE_THREAD__)
#define FLIP_STEP 7 /* slow, and with nothing to find but races, for which these will do */
#endif
#ifndef FLIP_STEP
#define FLIP_STEP 1
#endif

typedef struct image {
    char name[40];
    char *bytes;
    size_t size;
    size_t used; /* behind it there are only zeros */
} image;

/* Bytes that a file had at an earlier moment. */
typedef struct generation {
    char name[40];
    char *bytes;
    size_t size;
} generation;

typedef struct outcome_counts {
    int cases, same, detected, newest_lost, rollback, wrong, written;
    int unnamed; /* detected, but the message does not name the file */
} outcome_counts;

typedef struct sweep {
    vr_memfs *memfs;
    vr_env env;
    varve_db *db;
    varve_store *stores[2];
    uint64_t states[KEYS + 1]; /* digest of the content after so many writes */
    image files[FILES_MAX];
    size_t file_count;
    generation generations[GENERATIONS_MAX];
    size_t generation_count;
    int changes; /* operations that changed a file of the copy, counted by the hook */
    bool died;   /* the database was not closed */
} sweep;

static const varve_options small = {.size = sizeof(varve_options),
                                    .create = true,
                                    .memory = 32u << 20,
                                    .memtable_bytes = 64u << 10,
                                    .wal_segment_bytes = 64u << 10};

static void require(varve_status status, const varve_error *err, const char *what) {
    cr_assert_eq(status, VARVE_OK, "%s: %s: %s", what, varve_status_name(status), err->message);
}

/* --- The history -------------------------------------------------------------------------------------------------- */

static int store_of(int i) {
    return i % 3 == 0;
}

static varve_slice key_of(int i, char out[16]) {
    return varve_bytes(out, (size_t)snprintf(out, 16, "key-%05d", i * 37 % KEYS));
}

static varve_slice value_of(int i, char out[VALUE_BYTES_MAX]) {
    size_t size = 20 + (size_t)(i * 53) % 100;
    memset(out, 'a' + i % 7, size);
    memcpy(out, &i, sizeof i);
    return varve_bytes(out, size);
}

/* Adds one pair to the digest of a state; the order does not matter. */
static uint64_t pair_digest(int s, varve_slice key, varve_slice value) {
    char both[16 + VALUE_BYTES_MAX + 64];
    if (key.size > 15 || value.size > VALUE_BYTES_MAX + 40) return 0x1234567;
    both[0] = (char)s;
    memcpy(both + 1, key.data, key.size);
    if (value.size) memcpy(both + 1 + key.size, value.data, value.size);
    return vr_hash(both, 1 + key.size + value.size) | 1;
}

static void remember_file(sweep *w, const char *name) {
    vr_file *file;
    varve_error err;
    uint64_t size;
    size_t got;
    char path[64];
    snprintf(path, sizeof path, "db/%s", name);
    varve_status status = vr_fs_open(w->env.fs, path, VR_OPEN_READ, &file, &err);
    if (status == VARVE_MISSING) return; /* the background has renamed or removed it since it was listed */
    require(status, &err, path);
    require(vr_file_get_size(file, &size, &err), &err, path);
    cr_assert_lt(w->generation_count, GENERATIONS_MAX);
    generation *g = &w->generations[w->generation_count++];
    snprintf(g->name, sizeof g->name, "%s", name);
    g->size = size;
    g->bytes = malloc(size + 1);
    require(vr_file_pread(file, g->bytes, size, 0, &got, &err), &err, path);
    cr_assert_eq(got, size);
    vr_file_close(file, NULL);
}

static bool remember_name(void *context, const char *name) {
    remember_file(context, name);
    return true;
}

static void remember_all(sweep *w) {
    varve_error err;
    require(vr_fs_list(w->env.fs, "db", remember_name, w, &err), &err, "list");
}

static void open_db(sweep *w) {
    varve_error err;
    const varve_store_options plain = {.size = sizeof plain,
                                       .compression_level = VARVE_COMPRESSION_NONE,
                                       .filter_bits = VARVE_FILTER_NONE,
                                       .block_bytes = 1024};
    const varve_store_options packed = {.size = sizeof packed, .compression_level = 3, .block_bytes = 2048};
    require(vr_db_open(&w->env, "db", &small, &w->db, &err), &err, "open");
    require(varve_store_open(w->db, "packed", &packed, &w->stores[0], &err), &err, "store");
    require(varve_store_open(w->db, "plain", &plain, &w->stores[1], &err), &err, "store");
}

static void close_db(sweep *w) {
    varve_error err;
    varve_store_close(w->stores[0]);
    varve_store_close(w->stores[1]);
    require(varve_close(w->db, &err), &err, "close");
}

static void write_one(sweep *w, int i) {
    char key[16], value[VALUE_BYTES_MAX];
    varve_batch *batch;
    varve_error err;
    varve_write_options sync = {.size = sizeof sync, .durability = VARVE_SYNC};
    int s = store_of(i);
    require(varve_batch_create(&batch, &err), &err, "batch");
    require(varve_batch_put(batch, w->stores[s], key_of(i, key), value_of(i, value), &err), &err, "put");
    require(varve_batch_position(batch, w->stores[s], varve_bytes(&i, sizeof i), &err), &err, "position");
    require(varve_write(w->db, batch, &sync, &err), &err, "write");
    varve_batch_free(batch);
    w->states[i] = w->states[i - 1] ^ pair_digest(s, key_of(i, key), value_of(i, value));
}

static void keep_files(sweep *w) {
    size_t before = w->generation_count;
    remember_all(w);
    for (size_t i = before; i < w->generation_count; i++) {
        generation *g = &w->generations[i];
        image *file = &w->files[w->file_count++];
        cr_assert_leq(w->file_count, FILES_MAX);
        snprintf(file->name, sizeof file->name, "%s", g->name);
        file->bytes = g->bytes;
        file->size = file->used = g->size;
        while (file->used > 0 && file->bytes[file->used - 1] == 0) file->used--;
    }
    w->generation_count = before;
}

static void build(sweep *w) {
    varve_error err;
    require(vr_memfs_create(&w->memfs, &err), &err, "memfs");
    w->env = vr_env_system();
    w->env.fs = vr_memfs_fs(w->memfs);
    open_db(w);
    for (int i = 1; i < KEYS; i++) {
        write_one(w, i);
        if (i % 30 == 0) remember_all(w);
        if (i == 60 || i == 120) require(varve_flush(w->db, &err), &err, "flush");
        if (i == 130) require(varve_compact(w->stores[0], &err), &err, "compact");
        if (i == 170) require(varve_flush(w->db, &err), &err, "flush");
        if (i == 215) { /* from here on in a second segment */
            close_db(w);
            remember_all(w);
            open_db(w);
            remember_all(w);
        }
    }
    require(varve_wait_idle(w->db, 10000, &err), &err, "idle");
    if (w->died) { /* the machine goes on with what the death of the process leaves */
        vr_memfs *left = NULL;
        require(vr_memfs_clone(w->memfs, VR_CRASH_KEEP_ALL, 0, &left, &err), &err, "clone");
        close_db(w);
        vr_memfs_free(w->memfs);
        w->memfs = left;
        w->env.fs = vr_memfs_fs(left);
    } else {
        close_db(w);
    }
    keep_files(w);
}

static void tear_down(sweep *w) {
    for (size_t i = 0; i < w->file_count; i++) free(w->files[i].bytes);
    for (size_t i = 0; i < w->generation_count; i++) free(w->generations[i].bytes);
    vr_memfs_free(w->memfs);
}

/* --- One case ------------------------------------------------------------------------------------------------------ */

static void on_change(void *context, uint64_t operation, const char *name, const char *path) {
    sweep *w = context;
    (void)operation;
    bool counts =
        strcmp(name, "pwrite") == 0 || strcmp(name, "remove") == 0 || strcmp(name, "rename") == 0 || strcmp(name, "set_size") == 0;
    if (counts && !strstr(path, ".new") && !strstr(path, "spare")) w->changes++;
}

/* Reads both stores through an iterator, and their positions. Returns the first failure. */
static varve_status read_all(varve_store *stores[2], uint64_t *digest, int *newest, varve_error *err) {
    varve_buffer position = {0};
    varve_status status = VARVE_OK;
    *digest = 0;
    *newest = 0;
    for (int s = 0; s < 2 && status == VARVE_OK; s++) {
        varve_iterator *it = NULL;
        status = varve_iterator_open(stores[s], NULL, &it, err);
        while (status == VARVE_OK && (status = varve_iterator_next(it)) == VARVE_OK) {
            *digest ^= pair_digest(s, varve_iterator_key(it), varve_iterator_value(it));
        }
        if (status < 0 && it) *err = *varve_iterator_error(it);
        varve_iterator_close(it);
        if (status == VARVE_NOT_FOUND) status = varve_store_position(stores[s], &position, err);
        if (status == VARVE_NOT_FOUND) status = VARVE_OK;
        int at = 0;
        if (position.size == sizeof at) memcpy(&at, position.data, sizeof at);
        if (at > *newest) *newest = at;
    }
    varve_buffer_free(&position);
    return status;
}

/* Point reads of every key. */
static varve_status get_all(varve_store *stores[2], bool *right, varve_error *err) {
    varve_buffer found = {0};
    varve_status status = VARVE_OK;
    char key[16], value[VALUE_BYTES_MAX];
    *right = true;
    for (int i = 1; i < KEYS && status == VARVE_OK; i++) {
        status = varve_get(stores[store_of(i)], key_of(i, key), &found, err);
        varve_slice expected = value_of(i, value);
        if (status == VARVE_OK && !vr_equal(varve_buffer_slice(&found), expected)) *right = false;
        if (status == VARVE_NOT_FOUND) *right = false;
        if (status == VARVE_NOT_FOUND) status = VARVE_OK;
    }
    varve_buffer_free(&found);
    return status;
}

static void count_detected(outcome_counts *counts, const image *file, const varve_error *err) {
    counts->detected++;
    bool kind = err->code == VARVE_CORRUPTION || err->code == VARVE_UNSUPPORTED || err->code == VARVE_MISSING;
    cr_assert(kind, "%s: %s: %s", file->name, varve_status_name(err->code), err->message);
    cr_assert_neq(err->message[0], '\0');
    if (!strstr(err->message, file->name)) counts->unnamed++;
}

/* Opens the damaged machine, reads, verifies, and counts how that went. */
static void judge(sweep *w, vr_memfs *machine, const image *file, const char *what, size_t at, outcome_counts *counts) {
    vr_env env = vr_env_system();
    varve_db *db = NULL;
    varve_store *stores[2] = {NULL, NULL};
    varve_error err = {0};
    uint64_t digest = 0;
    int newest = 0;
    bool right = true;
    env.fs = vr_memfs_fs(machine);
    w->changes = 0;
    counts->cases++;
    vr_memfs_set_hook(machine, on_change, w);
    varve_status status = vr_db_open(&env, "db", &small, &db, &err);
    vr_memfs_set_hook(machine, NULL, NULL);
    if (status != VARVE_OK) {
        if (w->changes > 0) counts->written++;
        count_detected(counts, file, &err);
        return;
    }
    status = varve_store_open(db, "packed", NULL, &stores[0], &err); /* as a program does: it would create a lost one anew */
    if (status == VARVE_OK) status = varve_store_open(db, "plain", NULL, &stores[1], &err);
    if (status == VARVE_OK) status = get_all(stores, &right, &err);
    if (status == VARVE_OK) status = read_all(stores, &digest, &newest, &err);
    bool same = status == VARVE_OK && right && digest == w->states[KEYS - 1] && newest == KEYS - 1;
    bool older = false;
    for (int i = 0; status == VARVE_OK && !same && i < KEYS - 1; i++) older = older || digest == w->states[i];
    if (status != VARVE_OK) {
        count_detected(counts, file, &err);
    } else if (same) {
        counts->same++;
        varve_status verified = varve_verify(db, &err);
        if (verified != VARVE_OK) cr_assert_neq(err.message[0], '\0');
    } else {
        bool newest_lost = w->died && digest == w->states[KEYS - 2] && newest == KEYS - 2;
        counts->newest_lost += newest_lost;
        counts->rollback += older && !newest_lost;
        counts->wrong += !older;
        if (!newest_lost && counts->rollback + counts->wrong < 10)
            cr_log_error("%s of %s at %zu: silently %s", what, file->name, at, older ? "older" : "wrong");
    }
    varve_store_close(stores[0]);
    varve_store_close(stores[1]);
    varve_close(db, NULL);
}

/* A copy of the machine with the file's bytes replaced. bytes NULL: the file is removed. */
static void replace_and_judge(sweep *w, const image *file, const char *bytes, size_t size, const char *what, size_t at,
                              outcome_counts *counts) {
    vr_memfs *machine = NULL;
    varve_error err;
    vr_file *handle;
    char path[64];
    snprintf(path, sizeof path, "db/%s", file->name);
    require(vr_memfs_clone(w->memfs, VR_CRASH_KEEP_ALL, 0, &machine, &err), &err, "clone");
    vr_fs *fs = vr_memfs_fs(machine);
    if (bytes) {
        require(vr_fs_open(fs, path, VR_OPEN_WRITE, &handle, &err), &err, path);
        require(vr_file_set_size(handle, size, &err), &err, path);
        if (size) require(vr_file_pwrite(handle, bytes, size, 0, &err), &err, path);
        vr_file_close(handle, NULL);
    } else {
        require(vr_fs_remove(fs, path, &err), &err, path);
    }
    judge(w, machine, file, what, at, counts);
    vr_memfs_free(machine);
}

static void poke_and_judge(sweep *w, const image *file, size_t at, char byte, const char *what, outcome_counts *counts) {
    vr_memfs *machine = NULL;
    varve_error err;
    vr_file *handle;
    char path[64];
    snprintf(path, sizeof path, "db/%s", file->name);
    require(vr_memfs_clone(w->memfs, VR_CRASH_KEEP_ALL, 0, &machine, &err), &err, "clone");
    require(vr_fs_open(vr_memfs_fs(machine), path, VR_OPEN_WRITE, &handle, &err), &err, path);
    require(vr_file_pwrite(handle, &byte, 1, at, &err), &err, path);
    vr_file_close(handle, NULL);
    judge(w, machine, file, what, at, counts);
    vr_memfs_free(machine);
}

/* --- Sweeps -------------------------------------------------------------------------------------------------------- */

static bool full(void) {
    const char *wish = getenv("VARVE_SWEEP");
    return wish && strcmp(wish, "full") == 0;
}

static void finish(const char *title, const outcome_counts *c) {
    cr_log_info("| %s | %d | %d | %d | %d | %d | %d | 0 |", title, c->cases, c->same, c->detected, c->newest_lost, c->rollback,
                c->wrong);
    cr_assert_gt(c->cases, 0, "%s: nothing was tried", title);
    cr_assert_eq(c->rollback, 0, "%s: %d cases silently rolled back", title, c->rollback);
    cr_assert_eq(c->wrong, 0, "%s: %d cases silently wrong", title, c->wrong);
    cr_assert_eq(c->written, 0, "%s: %d failed opens wrote to the database", title, c->written);
}

static bool is_kind(const image *file, const char *kind) {
    return strstr(file->name, kind) != NULL && !strstr(file->name, "spare");
}

/* Whether only a sample is taken here: padding of a header page, or the unused end of a segment. */
static bool is_padding(const image *file, size_t at) {
    if (full()) return false;
    if (at > file->used + 64) return true;
    if (at >= 4096 || at < 64) return false;
    for (size_t i = at - 32; i < at + 32 && i < file->size; i++) {
        if (file->bytes[i] != 0) return false;
    }
    return true;
}

static void flip_every_byte(const char *kind, bool died, const char *title) {
    sweep w = {.died = died};
    outcome_counts counts = {0};
    build(&w);
    for (size_t f = 0; f < w.file_count; f++) {
        const image *file = &w.files[f];
        if (!is_kind(file, kind)) continue;
        for (size_t at = 0; at < file->size; at++) {
            if (is_padding(file, at) && at % 61 != 0) continue;
            if (!full() && at % (died ? 3 : FLIP_STEP) != 0) continue; /* after a death it is nearly the same */
            for (unsigned bit = full() ? 0 : at % 8; bit < 8; bit += full() ? 1 : 8) {
                poke_and_judge(&w, file, at, (char)(file->bytes[at] ^ 1 << bit), "flip", &counts);
            }
        }
    }
    finish(title, &counts);
    tear_down(&w);
}

static void cut_everywhere(const char *kind, size_t step, bool died, const char *title) {
    sweep w = {.died = died};
    if (full()) step = 1;
    outcome_counts counts = {0};
    build(&w);
    for (size_t f = 0; f < w.file_count; f++) {
        const image *file = &w.files[f];
        if (!is_kind(file, kind)) continue;
        for (size_t size = 0; size < file->size; size += step) {
            if (is_padding(file, size) && size / step % 61 != 0) continue;
            replace_and_judge(&w, file, file->bytes, size, "cut", size, &counts);
        }
    }
    finish(title, &counts);
    tear_down(&w);
}

TestSuite(damage_sweep, .timeout = 1800);

Test(damage_sweep, flip_wal) {
    flip_every_byte(".wal", false, "WAL, flipped");
}

Test(damage_sweep, flip_table) {
    flip_every_byte(".vst", false, "table, flipped");
}

Test(damage_sweep, flip_manifest) {
    flip_every_byte("MANIFEST", false, "MANIFEST, flipped");
}

Test(damage_sweep, cut_wal) {
    cut_everywhere(".wal", 16, false, "WAL, cut");
}

Test(damage_sweep, cut_table) {
    cut_everywhere(".vst", 1, false, "table, cut");
}

Test(damage_sweep, cut_manifest) {
    cut_everywhere("MANIFEST", 1, false, "MANIFEST, cut");
}

Test(damage_sweep, flip_wal_of_a_dead_process) {
    flip_every_byte(".wal", true, "WAL of a process that died, flipped");
}

Test(damage_sweep, cut_wal_of_a_dead_process) {
    cut_everywhere(".wal", 16, true, "WAL of a process that died, cut");
}

Test(damage_sweep, flip_manifest_of_a_dead_process) {
    flip_every_byte("MANIFEST", true, "MANIFEST of a process that died, flipped");
}

Test(damage_sweep, sectors_lost) {
    sweep w = {0};
    outcome_counts counts = {0};
    build(&w);
    for (size_t f = 0; f < w.file_count; f++) {
        const image *file = &w.files[f];
        char *bytes = malloc(file->size + 1);
        for (size_t at = 0; at < file->size; at += 512) {
            for (int fill = 0; fill < 2; fill++) {
                memcpy(bytes, file->bytes, file->size);
                memset(bytes + at, fill ? 0xff : 0, file->size - at < 512 ? file->size - at : 512);
                replace_and_judge(&w, file, bytes, file->size, fill ? "sector of ones" : "sector of zeros", at, &counts);
            }
        }
        free(bytes);
    }
    finish("any file, a sector of zeros or ones", &counts);
    tear_down(&w);
}

Test(damage_sweep, files_grown) {
    static const size_t sizes[] = {1, 7, 8, 64, 511, 512, 4096, 65536};
    sweep w = {0};
    outcome_counts counts = {0};
    build(&w);
    for (size_t f = 0; f < w.file_count; f++) {
        const image *file = &w.files[f];
        for (size_t i = 0; i < 2 * sizeof sizes / sizeof sizes[0]; i++) {
            size_t more = sizes[i / 2];
            char *bytes = malloc(file->size + more);
            if (file->size) memcpy(bytes, file->bytes, file->size);
            for (size_t k = 0; k < more; k++) bytes[file->size + k] = i % 2 ? (char)(k * 167 + 13) : 0;
            replace_and_judge(&w, file, bytes, file->size + more, i % 2 ? "garbage appended" : "zeros appended", more, &counts);
            free(bytes);
        }
    }
    finish("any file, bytes appended", &counts);
    tear_down(&w);
}

Test(damage_sweep, files_removed) {
    sweep w = {0};
    outcome_counts counts = {0};
    build(&w);
    for (size_t f = 0; f < w.file_count; f++) replace_and_judge(&w, &w.files[f], NULL, 0, "removal", 0, &counts);
    finish("any file removed", &counts);
    tear_down(&w);
}

Test(damage_sweep, files_swapped) {
    sweep w = {0};
    outcome_counts counts = {0};
    build(&w);
    for (size_t a = 0; a < w.file_count; a++) {
        for (size_t b = 0; b < w.file_count; b++) {
            if (a == b || w.files[b].size == 0) continue; /* one in the other's place, which stays too */
            replace_and_judge(&w, &w.files[a], w.files[b].bytes, w.files[b].size, "swap", b, &counts);
        }
    }
    finish("any file in any other's place", &counts);
    tear_down(&w);
}

Test(damage_sweep, older_generations) {
    sweep w = {0};
    outcome_counts counts = {0};
    build(&w);
    for (size_t g = 0; g < w.generation_count; g++) {
        for (size_t f = 0; f < w.file_count; f++) {
            const image *file = &w.files[f];
            const generation *old = &w.generations[g];
            if (strcmp(old->name, file->name) != 0) continue;
            if (old->size == file->size && memcmp(old->bytes, file->bytes, file->size) == 0) continue;
            replace_and_judge(&w, file, old->bytes, old->size, "older generation", g, &counts);
        }
    }
    finish("a file replaced by an older one of its own", &counts);
    tear_down(&w);
}
