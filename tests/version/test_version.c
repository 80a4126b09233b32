/*
 * test_version.c - versions: building, applying edits, references and obsolete files, finding, reading and cursors over real
 * tables.
 */
#include "version_fixture.h"

#include <stdio.h>

#include "base/hash.h"
#include "os/epoch.h"
#include "table/builder.h"
#include "version/version.h"

static fixture fx;
static vr_version_env venv;
static vr_budget budget;
static vr_epoch *epoch;
static vr_cache *cache;
static vr_edit edit;
static varve_error err;

static void set_up(void) {
    fixture_open(&fx);
    vr_budget_init(&budget, 64u << 20);
    must(vr_epoch_create(&fx.env.mem, &epoch, &err));
    must(vr_cache_create(&fx.env, &budget, epoch, &cache, &err));
    venv = (vr_version_env){.env = &fx.env, .budget = &budget, .cache = cache, .dir = DIR_NAME};
    vr_edit_init(&edit, &fx.env.mem);
}

static void tear_down(void) {
    vr_edit_free(&edit);
    vr_cache_free(cache);
    vr_epoch_free(epoch);
    fixture_close(&fx);
}

TestSuite(version, .init = set_up, .fini = tear_down);

static varve_slice key_of(uint64_t i) {
    static char keys[4][32];
    static unsigned turn;
    char *key = keys[turn++ % 4];
    snprintf(key, sizeof keys[0], "user:%08" PRIu64, i);
    return varve_str(key);
}

/* Writes table `number` of the keys from, from + step, ... below end, each at sequence base + i and with a value that tells both;
 * adds it to the edit. Every 10th key is a tombstone where tombstones is set. */
static void write_table(uint32_t level, uint64_t number, uint64_t from, uint64_t end, uint64_t step, uint64_t base,
                        bool tombstones) {
    char path[VR_PATH_BYTES_MAX], value[40];
    vr_table_builder *builder;
    vr_table_summary summary = {0};
    vr_table_builder_options options = {.block_bytes = 1024, .compression_level = -1, .filter_bits = 10};
    cr_assert(vr_filename_table(path, DIR_NAME, number));
    must(vr_table_builder_create(&fx.env, &budget, path, &options, &builder, &err));
    for (uint64_t i = from; i < end; i += step) {
        bool gone = tombstones && i % 10 == 0;
        int size = snprintf(value, sizeof value, "%" PRIu64 "@%" PRIu64, i, base + i);
        must(vr_table_builder_add(builder, key_of(i), vr_trailer(base + i, gone ? VR_KIND_DELETE : VR_KIND_PUT),
                                  varve_bytes(value, gone ? 0 : (size_t)size), &err));
    }
    must(vr_table_builder_finish(builder, &summary, &err));
    must(vr_edit_add_table(&edit, 1, level, number, &summary, &err));
    vr_table_summary_free(&summary);
}

static vr_version *empty_version(void) {
    vr_version *version;
    vr_store_meta meta = {.id = 1};
    must(vr_version_create(&venv, &meta, &version, &err));
    return version;
}

/* The version after `edit`, which is then empty; takes base's reference over. */
static vr_version *applied(vr_version *base) {
    vr_version *next;
    varve_status status = vr_version_apply(&venv, base, &edit, 1, &next, &err);
    cr_assert_eq(status, VARVE_OK, "%s", err.message);
    vr_version_unref(base);
    edit.count = 0;
    return next;
}

static bool exists(uint64_t number) {
    char path[VR_PATH_BYTES_MAX];
    vr_file *file;
    cr_assert(vr_filename_table(path, DIR_NAME, number));
    if (vr_fs_open(fx.env.fs, path, VR_OPEN_READ, &file, NULL) != VARVE_OK) return false;
    vr_file_close(file, NULL);
    return true;
}

/* --- Building ---------------------------------------------------------------------------------------------------------------- */

Test(version, levels_stand_in_their_orders) {
    vr_version *version = empty_version();
    add_table(&edit, 1, 0, 3, "a", "z");
    add_table(&edit, 1, 0, 11, "b", "c");
    add_table(&edit, 1, 0, 7, "a", "z");
    add_table(&edit, 1, 2, 5, "m", "p");
    add_table(&edit, 1, 2, 6, "a", "c");
    add_table(&edit, 2, 2, 8, "a", "c"); /* of another store */
    version = applied(version);
    cr_assert_eq(version->levels[0].count, 3);
    cr_assert(version->levels[0].files[0]->number == 11 && version->levels[0].files[2]->number == 3);
    cr_assert_eq(version->levels[2].count, 2);
    cr_assert_eq(version->levels[2].files[0]->number, 6);
    cr_assert_eq(version->levels[2].bytes, 8192);
    cr_assert_eq(vr_version_cursor_count(version), 4);
    vr_version_unref(version);
}

Test(version, overlap_below_level_0_is_refused) {
    vr_version *version = empty_version(), *next = NULL;
    add_table(&edit, 1, 1, 1, "a", "m");
    add_table(&edit, 1, 1, 2, "m", "z");
    cr_assert_eq(vr_version_apply(&venv, version, &edit, 1, &next, &err), VARVE_INTERNAL);
    cr_assert_null(next);
    vr_version_unref(version);
    vr_table_meta tables[2] = {{.level = 1, .number = 1, .summary = edit.fields[0].table},
                               {.level = 1, .number = 2, .summary = edit.fields[1].table}};
    vr_store_meta meta = {.id = 1, .tables = tables, .table_count = 2};
    cr_assert_eq(vr_version_create(&venv, &meta, &next, &err), VARVE_CORRUPTION);
}

Test(version, removing_what_is_not_there_is_refused) {
    vr_version *version = empty_version(), *next = NULL;
    add_field(&edit, VR_EDIT_TABLE_REMOVE, 1, 1, 9, 0);
    cr_assert_eq(vr_version_apply(&venv, version, &edit, 1, &next, &err), VARVE_INTERNAL);
    cr_assert_null(next);
    vr_version_unref(version);
}

Test(version, a_moved_file_stays_the_same) {
    vr_version *version = empty_version();
    add_table(&edit, 1, 1, 5, "a", "m");
    version = applied(version);
    vr_table_file *file = version->levels[1].files[0];
    vr_version *base = version;
    vr_version_ref(base);
    add_field(&edit, VR_EDIT_TABLE_REMOVE, 1, 1, 5, 0);
    add_table(&edit, 1, 2, 5, "a", "m");
    version = applied(version);
    cr_assert_eq(version->levels[2].files[0], file);
    cr_assert_eq(version->levels[1].count, 0);
    vr_version_mark_obsolete(base, version);
    cr_assert_not(atomic_load(&file->obsolete));
    vr_version_unref(base);
    vr_version_unref(version);
}

Test(version, obsolete_files_go_with_their_last_reference) {
    vr_version *version = empty_version(), *base;
    vr_table *table;
    write_table(1, 1, 0, 10, 1, 0, false);
    write_table(1, 2, 10, 20, 1, 0, false);
    base = version = applied(version);
    vr_version_ref(base);
    must(vr_table_file_open(base->levels[1].files[0], &table, &err));
    vr_table_file *pinned = base->levels[1].files[0];
    vr_table_file_ref(pinned);
    add_field(&edit, VR_EDIT_TABLE_REMOVE, 1, 1, 1, 0);
    version = applied(version);
    vr_version_mark_obsolete(base, version);
    vr_version_unref(base);
    cr_assert(exists(1), "a reference is left");
    vr_table_file_unref(pinned);
    cr_assert_not(exists(1));
    cr_assert(exists(2));
    vr_version_unref(version);
    cr_assert(exists(2), "it was not obsolete");
}

Test(version, without_memory_nothing_leaks) {
    add_table(&edit, 1, 0, 3, "a", "z");
    add_table(&edit, 1, 2, 6, "a", "c");
    for (uint64_t nth = 1;; nth++) {
        vr_faultmem fault;
        vr_env env = fx.env;
        vr_version_env poor = venv;
        vr_version *base = NULL, *next = NULL;
        vr_cursor *cursors[4];
        size_t count = 0;
        vr_store_meta meta = {.id = 1};
        vr_faultmem_init(&fault, nth, false);
        env.mem = vr_faultmem_mem(&fault);
        poor.env = &env;
        varve_status status = vr_version_create(&poor, &meta, &base, &err);
        if (status == VARVE_OK) status = vr_version_apply(&poor, base, &edit, 1, &next, &err);
        if (status == VARVE_OK) {
            status = vr_version_cursors(next, VR_ACCESS_CACHED, varve_str(NULL), varve_str(NULL), cursors, &count, &err);
        }
        cr_assert_eq(status, vr_faultmem_injected(&fault) ? VARVE_NOMEM : VARVE_OK);
        for (size_t i = 0; i < count; i++) cursors[i]->ops->close(cursors[i]);
        if (next) vr_version_unref(next);
        if (base) vr_version_unref(base);
        cr_assert_eq(vr_faultmem_live(&fault), 0);
        if (vr_faultmem_injected(&fault) == 0) break;
    }
}

Test(version, a_missing_table_is_told_by_name_and_again) {
    vr_version *version = empty_version();
    vr_table *table = NULL;
    add_table(&edit, 1, 1, 5, "a", "m");
    version = applied(version);
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(vr_table_file_open(version->levels[1].files[0], &table, &err), VARVE_MISSING);
        cr_assert_not_null(strstr(err.message, "0000000005.vst"));
        cr_assert_null(table);
    }
    vr_version_unref(version);
}

/* --- Finding ----------------------------------------------------------------------------------------------------------------- */

static vr_table_file *find_simply(const vr_level *level, varve_slice key) {
    for (size_t i = 0; i < level->count; i++) {
        const vr_table_summary *summary = &level->files[i]->summary;
        if (vr_compare(varve_buffer_slice(&summary->min_key), key) <= 0 &&
            vr_compare(key, varve_buffer_slice(&summary->max_key)) <= 0) {
            return level->files[i];
        }
    }
    return NULL;
}

static int by_text(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Random boundaries of few letters, so that prefixes are shared and equal, behind a common beginning. */
static void find_in_random_level(uint64_t seed, const char *beginning) {
    char keys[64][32], *sorted[64];
    size_t count = 0;
    vr_version *version = empty_version();
    for (size_t i = 0; i < 64; i++) {
        size_t size = random_below(&seed, 14);
        snprintf(keys[i], sizeof keys[i], "%s", beginning);
        for (size_t n = strlen(beginning); size > 0; size--)
            keys[i][n++] = (char)("\x01"
                                  "ab\xff"[random_below(&seed, 4)]),
            keys[i][n] = 0;
        sorted[i] = keys[i];
    }
    qsort(sorted, 64, sizeof *sorted, by_text);
    for (size_t i = 0; i + 1 < 64; i++) {
        if (strcmp(sorted[i], sorted[i + 1]) == 0 || random_below(&seed, 3) == 0) continue;
        if (count > 0 && strcmp(edit.fields[count - 1].table.max_key.data, sorted[i]) >= 0) continue;
        add_table(&edit, 1, 1, ++count, sorted[i], sorted[i + random_below(&seed, 2)]);
    }
    version = applied(version);
    for (size_t i = 0; i < 2000; i++) {
        char key[32];
        size_t size = random_below(&seed, 22);
        snprintf(key, sizeof key, "%s", random_below(&seed, 10) ? sorted[random_below(&seed, 64)] : "zz");
        size_t end = random_below(&seed, strlen(key) + 1);
        while (end < size)
            key[end++] = (char)("\x01"
                                "ab\xff"[random_below(&seed, 4)]);
        varve_slice wanted = varve_bytes(key, end);
        cr_assert_eq(vr_level_find(&version->levels[1], wanted), find_simply(&version->levels[1], wanted));
    }
    vr_version_unref(version);
}

Test(version, find_agrees_with_a_search_of_all_files) {
    for (uint64_t seed = 1; seed <= 40; seed++) {
        find_in_random_level(seed, "");
        find_in_random_level(seed, "user:00000000");
    }
}

Test(version, find_in_an_empty_level_and_with_the_empty_key) {
    vr_version *version = empty_version();
    cr_assert_null(vr_level_find(&version->levels[3], varve_str("a")));
    add_table(&edit, 1, 1, 1, "", "");
    version = applied(version);
    cr_assert_eq(vr_level_find(&version->levels[1], varve_bytes("", 0)), version->levels[1].files[0]);
    cr_assert_null(vr_level_find(&version->levels[1], varve_bytes("\0", 1)));
    vr_version_unref(version);
}

/* --- Reading ----------------------------------------------------------------------------------------------------------------- */

#define KEYS 400u

/* Runs of all levels over one range of keys: deeper ones older. Returns the version. */
static vr_version *layered_version(void) {
    vr_version *version = empty_version();
    write_table(6, 1, 0, 100, 1, 0, false);
    write_table(6, 2, 100, 300, 1, 0, false);
    write_table(6, 3, 320, KEYS, 1, 0, false);
    write_table(3, 4, 50, 350, 3, 1000, true);
    write_table(0, 5, 0, 200, 5, 2000, true);
    write_table(0, 6, 150, KEYS, 7, 3000, false);
    write_table(0, 7, 10, 11, 1, 4000, false);
    return applied(version);
}

/* What layered_version() says about key i at the sequence: the sequence of the version found, or 0, by looking at all of them. */
static uint64_t newest_simply(uint64_t i, uint64_t sequence, bool *gone) {
    const struct {
        uint64_t from, end, step, base;
        bool tombstones;
    } runs[] = {{10, 11, 1, 4000, false}, {150, KEYS, 7, 3000, false}, {0, 200, 5, 2000, true}, {50, 350, 3, 1000, true},
                {320, KEYS, 1, 0, false}, {100, 300, 1, 0, false},     {0, 100, 1, 0, false}};
    for (size_t r = 0; r < sizeof runs / sizeof *runs; r++) {
        if (i < runs[r].from || i >= runs[r].end || (i - runs[r].from) % runs[r].step != 0 || runs[r].base + i > sequence) continue;
        *gone = runs[r].tombstones && i % 10 == 0;
        return runs[r].base + i;
    }
    return UINT64_MAX;
}

static void check_get(const vr_version *version, uint64_t i, uint64_t sequence) {
    uint64_t trailer = 0;
    bool gone = false;
    varve_slice value = {0};
    varve_slice key = key_of(i);
    char expected[40];
    uint64_t newest = newest_simply(i, sequence, &gone);
    uint32_t token = vr_epoch_enter(epoch);
    varve_status status = vr_version_get(version, key, vr_key_hash(key), sequence, &trailer, &value, &err);
    cr_assert_eq(status, newest == UINT64_MAX ? VARVE_NOT_FOUND : VARVE_OK, "key %" PRIu64 " at %" PRIu64, i, sequence);
    if (status == VARVE_OK) {
        cr_assert_eq(vr_trailer_sequence(trailer), newest);
        cr_assert_eq(vr_trailer_kind(trailer) == VR_KIND_DELETE, gone);
        snprintf(expected, sizeof expected, "%" PRIu64 "@%" PRIu64, i, newest);
        if (!gone) cr_assert(vr_equal(value, varve_str(expected)));
    }
    vr_epoch_leave(epoch, token);
}

Test(version, gets_find_the_newest_at_or_below_the_sequence) {
    vr_version *version = layered_version();
    for (uint64_t i = 0; i < KEYS + 20; i++) {
        static const uint64_t sequences[] = {0, 150, 999, 1200, 2100, 3100, 3350, VR_SEQUENCE_MAX};
        for (size_t s = 0; s < sizeof sequences / sizeof *sequences; s++) check_get(version, i, sequences[s]);
    }
    vr_version_unref(version);
}

Test(version, the_last_runs_filter_is_asked_once_reads_are_in_vain) {
    vr_version *version = empty_version();
    write_table(6, 1, 0, 4000, 2, 0, false);
    version = applied(version);
    vr_table_file *file = version->levels[6].files[0];
    for (uint64_t i = 0; i < 4000; i += 2) {
        uint64_t trailer;
        varve_slice value, key = key_of(i);
        uint32_t token = vr_epoch_enter(epoch);
        must(vr_version_get(version, key, vr_key_hash(key), VR_SEQUENCE_MAX, &trailer, &value, &err));
        vr_epoch_leave(epoch, token);
    }
    cr_assert_eq(atomic_load(&file->miss_score), 0);
    for (uint64_t i = 1; i < 4000; i += 2) {
        uint64_t trailer;
        varve_slice value, key = key_of(i);
        uint32_t token = vr_epoch_enter(epoch);
        cr_assert_eq(vr_version_get(version, key, vr_key_hash(key), VR_SEQUENCE_MAX, &trailer, &value, &err), VARVE_NOT_FOUND);
        vr_epoch_leave(epoch, token);
    }
    cr_assert(atomic_load(&file->miss_score) >= 32);
    vr_version_unref(version);
}

/* --- Cursors ----------------------------------------------------------------------------------------------------------------- */

/* One level of three files with gaps; keys 0, 2, 4, ... of [0, 100), [200, 300), [310, 312). */
static vr_cursor *level_cursor_of(vr_version **version) {
    vr_cursor *cursor;
    *version = empty_version();
    write_table(1, 1, 0, 100, 2, 0, false);
    write_table(1, 2, 200, 300, 2, 0, false);
    write_table(1, 3, 310, 312, 2, 0, false);
    *version = applied(*version);
    must(vr_level_cursor(&fx.env.mem, (*version)->levels[1].files, 3, VR_ACCESS_CACHED, &cursor, &err));
    return cursor;
}

static bool has_key(uint64_t i) {
    return i % 2 == 0 && (i < 100 || (i >= 200 && i < 300) || i == 310);
}

static void expect_at(const vr_cursor *cursor, int64_t i) {
    cr_assert_eq(cursor->status, VARVE_OK);
    cr_assert_eq(cursor->valid, i >= 0, "at %" PRId64, i);
    if (i >= 0) cr_assert(vr_equal(cursor->key, key_of((uint64_t)i)));
}

static int64_t neighbour(int64_t i, int step) {
    for (i += step; i >= 0 && i < 400; i += step) {
        if (has_key((uint64_t)i)) return i;
    }
    return -1;
}

Test(version, a_level_cursor_walks_both_ways) {
    vr_version *version;
    vr_cursor *cursor = level_cursor_of(&version);
    cursor->ops->first(cursor);
    for (int64_t i = 0; i >= 0; i = neighbour(i, 1)) {
        expect_at(cursor, i);
        cursor->ops->next(cursor);
    }
    expect_at(cursor, -1);
    cursor->ops->last(cursor);
    for (int64_t i = 310; i >= 0; i = neighbour(i, -1)) {
        expect_at(cursor, i);
        cursor->ops->prev(cursor);
    }
    expect_at(cursor, -1);
    cursor->ops->close(cursor);
    vr_version_unref(version);
}

Test(version, a_level_cursor_seeks_into_files_and_gaps) {
    vr_version *version;
    vr_cursor *cursor = level_cursor_of(&version);
    for (int64_t i = 0; i < 330; i++) {
        cursor->ops->seek(cursor, key_of((uint64_t)i), UINT64_MAX);
        expect_at(cursor, has_key((uint64_t)i) ? i : neighbour(i, 1));
        cursor->ops->seek_prev(cursor, key_of((uint64_t)i), 0);
        expect_at(cursor, has_key((uint64_t)i) ? i : neighbour(i, -1));
        cursor->ops->seek(cursor, key_of((uint64_t)i), 0); /* behind all versions of the key itself */
        expect_at(cursor, neighbour(i, 1));
        cursor->ops->seek_prev(cursor, key_of((uint64_t)i), UINT64_MAX); /* before all of them */
        expect_at(cursor, neighbour(i, -1));
    }
    cursor->ops->close(cursor);
    vr_version_unref(version);
}

Test(version, a_level_cursor_turns_anywhere) {
    vr_version *version;
    vr_cursor *cursor = level_cursor_of(&version);
    uint64_t random = 3;
    int64_t at = 98;
    cursor->ops->seek(cursor, key_of(98), UINT64_MAX);
    for (int i = 0; i < 3000; i++) {
        int step = random_below(&random, 2) ? 1 : -1;
        if (step > 0) {
            cursor->ops->next(cursor);
        } else {
            cursor->ops->prev(cursor);
        }
        at = neighbour(at, step);
        expect_at(cursor, at);
        if (at >= 0) continue;
        at = step > 0 ? 0 : 310;
        if (step > 0) {
            cursor->ops->first(cursor);
        } else {
            cursor->ops->last(cursor);
        }
    }
    cursor->ops->close(cursor);
    vr_version_unref(version);
}

Test(version, a_level_cursor_of_no_files_is_empty) {
    vr_cursor *cursor;
    must(vr_level_cursor(&fx.env.mem, NULL, 0, VR_ACCESS_CACHED, &cursor, &err));
    cursor->ops->first(cursor);
    expect_at(cursor, -1);
    cursor->ops->last(cursor);
    expect_at(cursor, -1);
    cursor->ops->seek(cursor, key_of(1), 0);
    expect_at(cursor, -1);
    cursor->ops->seek_prev(cursor, key_of(1), 0);
    expect_at(cursor, -1);
    cursor->ops->close(cursor);
}

Test(version, a_level_cursor_fails_where_a_file_cannot_be_opened_and_goes_on_elsewhere) {
    vr_version *version;
    vr_cursor *cursor = level_cursor_of(&version);
    varve_error cursor_err = {0};
    must(vr_fs_remove(fx.env.fs, DIR_NAME "/0000000002.vst", NULL));
    cursor->err = &cursor_err;
    cursor->ops->seek(cursor, key_of(98), UINT64_MAX);
    expect_at(cursor, 98);
    cursor->ops->next(cursor);
    cr_assert(!cursor->valid && cursor->status == VARVE_MISSING);
    cr_assert_not_null(strstr(cursor_err.message, "0000000002.vst"));
    cursor->ops->first(cursor);
    expect_at(cursor, 0);
    cursor->ops->close(cursor);
    vr_version_unref(version);
}

Test(version, a_cursor_outlives_its_version_and_the_removal_of_its_files) {
    vr_version *version, *base;
    vr_cursor *cursor = level_cursor_of(&version);
    base = version;
    vr_version_ref(base);
    for (uint64_t n = 1; n <= 3; n++) add_field(&edit, VR_EDIT_TABLE_REMOVE, 1, 1, n, 0);
    version = applied(version);
    vr_version_mark_obsolete(base, version);
    vr_version_unref(base);
    vr_version_unref(version);
    cursor->ops->last(cursor);
    expect_at(cursor, 310);
    cursor->ops->close(cursor);
    cr_assert_not(exists(1) || exists(2) || exists(3));
}

Test(version, cursors_leave_out_files_beyond_the_bounds) {
    vr_version *version = layered_version();
    vr_cursor *cursors[8];
    size_t count = 0;
    cr_assert_eq(vr_version_cursor_count(version), 5);
    must(vr_version_cursors(version, VR_ACCESS_CACHED, varve_str(NULL), varve_str(NULL), cursors, &count, &err));
    cr_assert_eq(count, 5);
    must(vr_version_cursors(version, VR_ACCESS_CACHED, key_of(5), key_of(10), cursors, &count, &err)); /* level 6 and run 5 */
    cr_assert_eq(count, 7);
    cursors[6]->ops->last(cursors[6]);
    cr_assert(vr_equal(cursors[6]->key, key_of(99)), "level 6 has its first file only");
    for (size_t i = 0; i < count; i++) cursors[i]->ops->close(cursors[i]);
    count = 0;
    must(vr_version_cursors(version, VR_ACCESS_CACHED, key_of(KEYS), varve_str(NULL), cursors, &count, &err));
    cr_assert_eq(count, 0);
    vr_version_unref(version);
}
