/*
 * Tables against a model: random shapes, with and without compression, read by get and by both kinds of cursor.
 */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "table_fixture.h"

/* What a get of (key, sequence) must say: the first entry at or after, if it is of that key. */
static void check_get(fixture *f, vr_table *table, const model *m, varve_slice key, uint64_t sequence) {
    varve_error err = {0};
    uint64_t trailer;
    varve_slice value;
    size_t i = model_seek(m, key, vr_trailer_seek(sequence));
    bool present = i < m->count && vr_equal(m->entries[i].key, key);
    uint32_t token = vr_epoch_enter(f->epoch);
    varve_status st = vr_table_get(table, key, sequence, &trailer, &value, &err);
    cr_assert_eq(st, present ? VARVE_OK : VARVE_NOT_FOUND, "%s", err.message);
    if (present) {
        cr_assert_eq(trailer, m->entries[i].trailer);
        cr_assert(vr_equal(value, m->entries[i].value));
        cr_assert(vr_table_may_contain(table, vr_key_hash(key)));
    }
    vr_epoch_leave(f->epoch, token);
}

static void check_at(const vr_cursor *cursor, const model *m, size_t i) {
    cr_assert_eq(cursor->valid, i < m->count);
    cr_assert_eq(cursor->status, VARVE_OK);
    if (i >= m->count) return;
    cr_assert(vr_equal(cursor->key, m->entries[i].key));
    cr_assert_eq(cursor->trailer, m->entries[i].trailer);
    cr_assert(vr_equal(cursor->value, m->entries[i].value));
}

/* Seeks both ways and a few steps from there. An index before 0 wraps to beyond count. */
static void check_seek(vr_cursor *cursor, const model *m, varve_slice key, uint64_t trailer) {
    size_t i = model_seek(m, key, trailer);
    cursor->ops->seek(cursor, key, trailer);
    check_at(cursor, m, i);
    if (cursor->valid) {
        cursor->ops->prev(cursor);
        check_at(cursor, m, i - 1);
    }
    bool exact = i < m->count && m->entries[i].trailer == trailer && vr_equal(m->entries[i].key, key);
    size_t before = exact ? i : i - 1;
    cursor->ops->seek_prev(cursor, key, trailer);
    check_at(cursor, m, before);
    if (cursor->valid) {
        cursor->ops->next(cursor);
        check_at(cursor, m, before + 1);
    }
}

static void probe(fixture *f, vr_table *table, vr_cursor **cursors, const model *m, varve_slice key, uint64_t trailer) {
    check_get(f, table, m, key, trailer >> 8);
    for (size_t c = 0; c < 2; c++) check_seek(cursors[c], m, key, trailer);
}

/* Around each entry: itself, other versions, the key cut short, longer, and one higher. */
static void probe_entry(fixture *f, vr_table *table, vr_cursor **cursors, const model *m, const entry *e, uint64_t *state) {
    char *key = malloc(e->key.size + 1);
    memcpy(key, e->key.data, e->key.size);
    key[e->key.size] = 0;
    probe(f, table, cursors, m, e->key, e->trailer);
    probe(f, table, cursors, m, e->key, VR_SEQUENCE_MAX << 8 | 0xff);
    probe(f, table, cursors, m, e->key, 0);
    probe(f, table, cursors, m, e->key, random_next(state) % (e->trailer + 1000));
    probe(f, table, cursors, m, varve_bytes(key, e->key.size + 1), random_next(state) >> 8);
    if (e->key.size > 0) {
        probe(f, table, cursors, m, varve_bytes(key, e->key.size - 1), e->trailer);
        key[e->key.size - 1] = (char)(key[e->key.size - 1] + 1);
        probe(f, table, cursors, m, varve_bytes(key, e->key.size), e->trailer);
    }
    free(key);
}

static void check_summary(const model *m, const vr_table_summary *s, size_t file_size) {
    uint64_t tombstones = 0, raw = 0, low = UINT64_MAX, high = 0;
    for (size_t i = 0; i < m->count; i++) {
        uint64_t sequence = vr_trailer_sequence(m->entries[i].trailer);
        tombstones += vr_trailer_kind(m->entries[i].trailer) == VR_KIND_DELETE;
        raw += m->entries[i].key.size + m->entries[i].value.size;
        low = sequence < low ? sequence : low;
        high = sequence > high ? sequence : high;
    }
    cr_assert_eq(s->entries, m->count);
    cr_assert_eq(s->tombstones, tombstones);
    cr_assert_eq(s->raw_bytes, raw);
    cr_assert_eq(s->min_sequence, low);
    cr_assert_eq(s->max_sequence, high);
    cr_assert_eq(s->file_bytes, file_size);
    cr_assert_neq(s->table_id, 0);
    cr_assert(vr_equal(varve_buffer_slice(&s->min_key), m->entries[0].key));
    cr_assert(vr_equal(varve_buffer_slice(&s->max_key), m->entries[m->count - 1].key));
}

static void check_table(const shape *s, const vr_table_builder_options *options) {
    fixture f;
    varve_error err = {0};
    vr_table_summary summary;
    vr_table *table;
    vr_cursor *cursors[2];
    size_t size;
    uint64_t state = s->seed + 99;
    fixture_open(&f, 64u << 20);
    model m = model_random(s);
    build_table(&f, FIXTURE_PATH, options, &m, &summary);
    free(read_file(&f, FIXTURE_PATH, &size));
    check_summary(&m, &summary, size);
    cr_assert_eq(vr_table_open(&f.env, &f.budget, f.cache, FIXTURE_PATH, &summary, &table, &err), VARVE_OK, "%s", err.message);
    check_summary(&m, vr_table_summary_of(table), size);
    cr_assert_eq(vr_table_verify(table, &err), VARVE_OK, "seed %zu: %s", (size_t)s->seed, err.message);
    const vr_table_access accesses[] = {VR_ACCESS_CACHED, VR_ACCESS_SEQUENTIAL};
    for (size_t c = 0; c < 2; c++) {
        cr_assert_eq(vr_table_cursor(table, accesses[c], &cursors[c], &err), VARVE_OK);
        check_walk(cursors[c], &m);
    }
    size_t stride = m.count / 150 + 1;
    for (size_t i = 0; i < m.count; i += stride) probe_entry(&f, table, cursors, &m, &m.entries[i], &state);
    probe(&f, table, cursors, &m, varve_bytes(NULL, 0), 1 << 16);
    probe(&f, table, cursors, &m, varve_str("\xff\xff\xff\xff"), 1 << 16);
    for (size_t c = 0; c < 2; c++) cursors[c]->ops->close(cursors[c]);
    vr_table_close(table);
    vr_table_summary_free(&summary);
    model_free(&m);
    fixture_close(&f);
}

Test(table_model, random_shapes) {
    for (uint64_t seed = 1; seed <= 40; seed++) {
        const shape s = {.seed = seed,
                         .entries = 1 + seed * seed * 3,
                         .key_min = seed % 3 == 0 ? 16 : seed % 4,
                         .key_max = seed % 3 == 0 ? 16 : 6 + seed % 40,
                         .shared = seed % 5 * 4,
                         .alphabet = seed % 2 ? 4 : 256,
                         .versions = (unsigned)(1 + seed % 5),
                         .value_min = seed % 4 == 0 ? 100 : 0,
                         .value_max = seed % 4 == 0 ? 100 : 60};
        const vr_table_builder_options options = {.block_bytes = seed % 2 ? 1024 : 4096,
                                                  .compression_level = seed % 3 ? VARVE_COMPRESSION_NONE : -1,
                                                  .filter_bits = seed % 4 == 1 ? VARVE_FILTER_NONE : 10,
                                                  .keys_expected = seed % 5 ? 0 : 1000};
        check_table(&s, &options);
    }
}

/* More versions of a key than fit in one block: gets must go to the block that has theirs. */
Test(table_model, versions_across_blocks) {
    const shape s = {.seed = 8, .entries = 3000, .key_min = 1, .key_max = 2, .alphabet = 2, .versions = 700, .value_max = 30};
    check_table(&s, &plain_options);
}

Test(table_model, long_keys_shorten_separators) {
    const shape s =
        {.seed = 9, .entries = 800, .key_min = 100, .key_max = 200, .shared = 20, .alphabet = 16, .versions = 1, .value_max = 30};
    check_table(&s, &plain_options);
}

Test(table_model, keys_and_values_of_the_largest_sizes) {
    const shape s = {.seed = 10,
                     .entries = 12,
                     .key_min = 65535,
                     .key_max = 65535,
                     .shared = 65530,
                     .alphabet = 256,
                     .versions = 2,
                     .value_max = 300000};
    const vr_table_builder_options zstd = {.block_bytes = 4096, .compression_level = 1, .filter_bits = 10};
    check_table(&s, &plain_options);
    check_table(&s, &zstd);
}

Test(table_model, one_empty_entry) {
    const shape s = {.seed = 11, .entries = 1, .alphabet = 1, .versions = 1};
    check_table(&s, &plain_options);
}

/* A value of the largest size goes through, and one byte more is refused. */
Test(table_model, largest_value) {
    fixture f;
    varve_error err = {0};
    vr_table_builder *builder;
    vr_table_summary summary;
    const vr_table_builder_options zstd = {.block_bytes = 4096, .compression_level = -1, .filter_bits = 10};
    char *value = calloc(1, (size_t)VARVE_VALUE_BYTES_MAX + 1);
    value[12345] = 'x';
    fixture_open(&f, 1u << 30);
    cr_assert_eq(vr_table_builder_create(&f.env, &f.budget, FIXTURE_PATH, &zstd, &builder, &err), VARVE_OK);
    cr_assert_eq(vr_table_builder_add(builder, varve_str("a"), vr_trailer(1, VR_KIND_PUT),
                                      varve_bytes(value, VARVE_VALUE_BYTES_MAX + 1u), &err),
                 VARVE_TOO_LARGE);
    cr_assert_eq(vr_table_builder_add(builder, varve_str("a"), vr_trailer(1, VR_KIND_PUT),
                                      varve_bytes(value, VARVE_VALUE_BYTES_MAX), &err),
                 VARVE_OK, "%s", err.message);
    cr_assert_eq(vr_table_builder_add(builder, varve_str("b"), vr_trailer(2, VR_KIND_PUT), varve_str("2"), &err), VARVE_OK);
    cr_assert_eq(vr_table_builder_finish(builder, &summary, &err), VARVE_OK, "%s", err.message);
    vr_table *table = open_table(&f, FIXTURE_PATH);
    uint64_t trailer;
    varve_slice found;
    uint32_t token = vr_epoch_enter(f.epoch);
    cr_assert_eq(vr_table_get(table, varve_str("a"), VR_SEQUENCE_MAX, &trailer, &found, &err), VARVE_OK, "%s", err.message);
    cr_assert_eq(found.size, VARVE_VALUE_BYTES_MAX);
    cr_assert_eq(found.data[12345], 'x');
    cr_assert_eq(vr_table_get(table, varve_str("b"), VR_SEQUENCE_MAX, &trailer, &found, &err), VARVE_OK);
    vr_epoch_leave(f.epoch, token);
    vr_table_close(table);
    vr_table_summary_free(&summary);
    free(value);
    fixture_close(&f);
}

Test(table_model, filter_denies_most_absent_keys) {
    const shape s = {.seed = 12, .entries = 5000, .key_min = 12, .key_max = 12, .alphabet = 256, .versions = 1, .value_max = 10};
    fixture f;
    uint64_t state = 77, let_through = 0;
    fixture_open(&f, 64u << 20);
    model m = model_random(&s);
    build_table(&f, FIXTURE_PATH, &plain_options, &m, NULL);
    vr_table *table = open_table(&f, FIXTURE_PATH);
    for (int i = 0; i < 10000; i++) {
        uint64_t key = random_next(&state), hash = vr_hash(&key, sizeof key);
        vr_table_filter_prefetch(table, hash);
        let_through += vr_table_may_contain(table, hash);
    }
    cr_assert_lt(let_through, 200);
    vr_table_close(table);
    model_free(&m);
    fixture_close(&f);
}
