/*
 * Blocks: what is written is found again, by index and by search; and each field that is wrong is refused, by name.
 */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "table/block_writer.h"
#include "table_fixture.h"

static const vr_place place = {.path = "t.tbl", .table_id = 1, .offset = 4096};

/* The entries from..to of the model as a block, malloc'd with exactly its size. */
static varve_slice make_block(const model *m, size_t from, size_t to) {
    vr_mem mem = vr_mem_system();
    vr_block_writer writer;
    vr_block_writer_init(&writer, &mem);
    for (size_t i = from; i < to; i++) {
        uint64_t predicted = vr_block_writer_bytes_with(&writer, m->entries[i].key, m->entries[i].trailer, m->entries[i].value);
        cr_assert(vr_block_writer_add(&writer, m->entries[i].key, m->entries[i].trailer, m->entries[i].value));
        cr_assert_leq(vr_block_writer_bytes(&writer), predicted);
        cr_assert(vr_equal(vr_block_writer_last_key(&writer), m->entries[i].key));
    }
    uint64_t bytes = vr_block_writer_bytes(&writer);
    char *block = malloc(bytes);
    vr_block_writer_finish(&writer, block, (uint32_t)bytes);
    vr_block_writer_free(&writer);
    return varve_bytes(block, bytes);
}

static void check_found(const vr_block_view *view, const model *m, varve_slice key, uint64_t trailer) {
    bool same;
    size_t expected = model_seek(m, key, trailer);
    cr_assert_eq(vr_block_seek(view, key, trailer, &same), expected);
    uint64_t prefixes[16];
    vr_block_fences fences = {.prefixes = prefixes, .count = vr_block_fence_count(view->count)};
    cr_assert_leq(fences.count, 16);
    vr_block_fences_fill(view, &fences);
    cr_assert_eq(vr_block_seek_fenced(view, &fences, key, trailer), expected);
    cr_assert_eq(same, expected < m->count && vr_equal(m->entries[expected].key, key));
}

/* Each entry by index, and searches for each entry and its neighbourhood. */
static void check_block(const shape *s) {
    varve_error err = {0};
    model m = model_random(s);
    varve_slice block = make_block(&m, 0, m.count);
    cr_assert_eq(vr_block_check(block, VR_FRAME_DATA, &place, &err), VARVE_OK, "seed %zu: %s", (size_t)s->seed, err.message);
    vr_block_view view = vr_block_view_of(block.data);
    cr_assert_eq(view.count, m.count);
    char *key = malloc(vr_block_key_room(&view)), *longer = malloc(s->key_max + 1);
    vr_block_key_common(&view, key);
    for (uint32_t i = 0; i < view.count; i++) {
        const entry *e = &m.entries[i];
        varve_slice found = varve_bytes(key, vr_block_key_suffix(&view, i, key));
        cr_assert(vr_equal(found, e->key));
        cr_assert_eq(vr_block_trailer(&view, i), e->trailer);
        cr_assert(vr_equal(vr_block_value(&view, i), e->value));
        cr_assert_eq(vr_block_compare(&view, i, e->key, e->trailer), 0);
        check_found(&view, &m, e->key, e->trailer);
        check_found(&view, &m, e->key, e->trailer - 1);
        check_found(&view, &m, e->key, e->trailer + 1);
        check_found(&view, &m, e->key, UINT64_MAX);
        check_found(&view, &m, e->key, 0);
        for (size_t size = 0; size < e->key.size && size < 40; size++) check_found(&view, &m, varve_bytes(e->key.data, size), 77);
        memcpy(longer, e->key.data, e->key.size);
        longer[e->key.size] = 0;
        check_found(&view, &m, varve_bytes(longer, e->key.size + 1), UINT64_MAX);
        if (e->key.size > 0) longer[e->key.size - 1] = (char)(longer[e->key.size - 1] + 1);
        check_found(&view, &m, varve_bytes(longer, e->key.size), e->trailer);
    }
    check_found(&view, &m, varve_bytes(NULL, 0), UINT64_MAX);
    check_found(&view, &m, varve_bytes(NULL, 0), 0);
    check_found(&view, &m, varve_str("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), 0);
    free(longer);
    free(key);
    free((void *)(uintptr_t)block.data);
    model_free(&m);
}

Test(block, random_shapes) {
    for (uint64_t seed = 1; seed <= 60; seed++) {
        const shape s = {.seed = seed,
                         .entries = 1 + seed * 7 % 90,
                         .key_min = seed % 3 == 0 ? 16 : seed % 5,
                         .key_max = seed % 3 == 0 ? 16 : 5 + seed % 30,
                         .shared = seed % 4 * 3,
                         .alphabet = seed % 2 ? 2 : 16,
                         .versions = (unsigned)(1 + seed % 4),
                         .value_min = seed % 5 == 0 ? 20 : 0,
                         .value_max = seed % 5 == 0 ? 20 : 40};
        check_block(&s);
    }
}

Test(block, one_entry_of_each_kind) {
    for (size_t size = 0; size < 20; size++) {
        const shape s =
            {.seed = size + 1, .entries = 1, .key_min = size, .key_max = size, .alphabet = 256, .versions = 1, .value_max = 3};
        check_block(&s);
    }
}

Test(block, long_shared_prefixes_and_tied_prefixes) {
    const shape s =
        {.seed = 3, .entries = 70, .key_min = 300, .key_max = 330, .shared = 310, .alphabet = 2, .versions = 3, .value_max = 5};
    check_block(&s);
}

Test(block, many_versions_of_one_key) {
    const shape s = {.seed = 5, .entries = 200, .key_min = 0, .key_max = 1, .alphabet = 2, .versions = 90, .value_max = 2};
    check_block(&s);
}

Test(block, several_fences) {
    for (size_t entries = 60; entries < 600; entries += 34) {
        const shape s =
            {.seed = entries, .entries = entries, .key_min = 1, .key_max = 14, .alphabet = 4, .versions = 3, .value_max = 2};
        check_block(&s);
    }
}

Test(block, layout_follows_the_shape) {
    model m = {0};
    for (char c = 'a'; c < 'e'; c++) {
        const char key[] = {'k', 'e', 'y', '-', c};
        model_add(&m, varve_bytes(key, sizeof key), vr_trailer(0, VR_KIND_PUT), varve_str("vv"));
    }
    varve_slice block = make_block(&m, 0, m.count);
    cr_assert_eq(vr_get32(block.data + VR_BLOCK_AT_FLAGS), VR_BLOCK_FIXED_KEY | VR_BLOCK_FIXED_VALUE | VR_BLOCK_SAME_TRAILER);
    cr_assert_eq(vr_get32(block.data + VR_BLOCK_AT_COMMON), 4);
    cr_assert_eq(block.size, 32 + 8 + 4 * 8 + 4 * 2); /* no column but prefixes and values */
    free((void *)(uintptr_t)block.data);
    model_free(&m);
}

/* A change of one field and what the complaint must name. */
typedef struct damage {
    size_t at;
    uint64_t value;
    unsigned width;
    const char *names;
} damage;

static void put(char *at, uint64_t value, unsigned width) {
    if (width == 1) *at = (char)value;
    if (width == 4) vr_put32(at, (uint32_t)value);
    if (width == 8) vr_put64(at, value);
}

static void check_refused(const varve_slice block, const damage *d, size_t count) {
    varve_error err = {0};
    cr_assert_eq(vr_block_check(block, VR_FRAME_DATA, &place, &err), VARVE_OK, "%s", err.message);
    for (size_t i = 0; i < count; i++) {
        char *copy = malloc(block.size);
        memcpy(copy, block.data, block.size);
        put(copy + d[i].at, d[i].value, d[i].width);
        varve_status st = vr_block_check(varve_bytes(copy, block.size), VR_FRAME_DATA, &place, &err);
        cr_assert_eq(st, VARVE_CORRUPTION, "damage %zu (%s) was taken", i, d[i].names);
        cr_assert_not_null(strstr(err.message, d[i].names), "damage %zu: \"%s\" does not name %s", i, err.message, d[i].names);
        cr_assert_not_null(strstr(err.message, "t.tbl: offset 4096: data block"), "%s", err.message);
        free(copy);
    }
}

/* Three keys and values of differing length, of different trailers: every column is there. */
static model mixed_model(void) {
    model m = {0};
    model_add(&m, varve_str("common-a"), vr_trailer(5, VR_KIND_PUT), varve_str("one"));
    model_add(&m, varve_str("common-bcdefghijklm"), vr_trailer(9, VR_KIND_PUT), varve_str("three"));
    model_add(&m, varve_str("common-bcdefghijklmn"), vr_trailer(7, VR_KIND_DELETE), varve_str(""));
    return m;
}

Test(block, each_damaged_header_field_is_refused) {
    model m = mixed_model();
    varve_slice block = make_block(&m, 0, m.count);
    const damage damages[] = {{VR_BLOCK_AT_COUNT, 0, 4, "entries"},
                              {VR_BLOCK_AT_COUNT, UINT32_MAX, 4, "entries"},
                              {VR_BLOCK_AT_COUNT, 2, 4, "sum of all columns"},
                              {VR_BLOCK_AT_FLAGS, 8, 4, "flags"},
                              {VR_BLOCK_AT_FLAGS, VR_BLOCK_FIXED_KEY, 4, "sum of all columns"},
                              {VR_BLOCK_AT_COMMON, 65536, 4, "common bytes"},
                              {VR_BLOCK_AT_COMMON, 9, 4, "sum of all columns"},
                              {VR_BLOCK_AT_KEYS, UINT32_MAX, 4, "key bytes"},
                              {VR_BLOCK_AT_VALUES, UINT32_MAX, 4, "value bytes"},
                              {VR_BLOCK_AT_BYTES, block.size + 1, 4, "size"},
                              {VR_BLOCK_AT_TRAILER, 1, 8, "unused trailer"}};
    check_refused(block, damages, sizeof damages / sizeof damages[0]);
    varve_error err;
    cr_assert_eq(vr_block_check(varve_bytes(block.data, 31), VR_FRAME_DATA, &place, &err), VARVE_CORRUPTION);
    cr_assert_eq(vr_block_check(varve_bytes(block.data, 0), VR_FRAME_DATA, &place, &err), VARVE_CORRUPTION);
    free((void *)(uintptr_t)block.data);
    model_free(&m);
}

Test(block, each_damaged_column_is_refused) {
    model m = mixed_model();
    varve_slice block = make_block(&m, 0, m.count);
    vr_block_view view = vr_block_view_of(block.data);
    size_t prefixes = (size_t)(view.prefixes - block.data), trailers = (size_t)(view.trailers - block.data);
    size_t tail_ends = (size_t)(view.tail_ends - block.data), value_ends = (size_t)(view.value_ends - block.data);
    size_t heads = (size_t)(view.heads - block.data);
    const damage damages[] = {{prefixes - 1, 1, 1, "padding"},
                              {prefixes, 1, 8, "prefix's padding"},
                              {trailers + 8, 9 << 8, 8, "kind"},
                              {trailers, 5 << 8 | VR_KIND_POSITION, 8, "kind"},
                              {tail_ends, 3, 4, "head"},
                              {tail_ends + 4, UINT32_MAX, 4, "tail end"},
                              {tail_ends + 8, 1, 4, "tail end"},
                              {value_ends, 9, 4, "value end"},
                              {value_ends + 4, 2, 4, "value end"},
                              {value_ends + 8, 7, 4, "value end"},
                              {heads, 9, 1, "head"},
                              {heads + 1, 7, 1, "head"}};
    check_refused(block, damages, sizeof damages / sizeof damages[0]);
    free((void *)(uintptr_t)block.data);
    model_free(&m);
}

Test(block, damaged_fixed_columns_are_refused) {
    model m = {0};
    model_add(&m, varve_str("ab"), vr_trailer(0, VR_KIND_PUT), varve_str("v"));
    model_add(&m, varve_str("ac"), vr_trailer(0, VR_KIND_PUT), varve_str("w"));
    varve_slice block = make_block(&m, 0, m.count);
    const damage damages[] = {{VR_BLOCK_AT_KEYS, 65535, 4, "key bytes"},
                              {VR_BLOCK_AT_KEYS, 9, 4, "sum of all columns"},
                              {VR_BLOCK_AT_KEYS, 0, 4, "prefix's padding"},
                              {VR_BLOCK_AT_VALUES, VARVE_VALUE_BYTES_MAX + 1, 4, "value bytes"},
                              {VR_BLOCK_AT_VALUES, 2, 4, "sum of all columns"},
                              {VR_BLOCK_AT_TRAILER, 0, 8, "kind"},
                              {VR_BLOCK_HEADER_BYTES + 1, 1, 1, "padding"}};
    check_refused(block, damages, sizeof damages / sizeof damages[0]);
    free((void *)(uintptr_t)block.data);
    model_free(&m);
}

/* Any byte may be anything: a block that passes the check is read without leaving it (the sanitizers watch). */
Test(block, every_byte_changed_is_refused_or_harmless) {
    model m = mixed_model();
    varve_slice block = make_block(&m, 0, m.count);
    char *copy = malloc(block.size), key[512];
    for (size_t at = 0; at < block.size; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            memcpy(copy, block.data, block.size);
            copy[at] = (char)(copy[at] ^ 1 << bit);
            if (vr_block_check(varve_bytes(copy, block.size), VR_FRAME_DATA, &place, NULL) != VARVE_OK) continue;
            vr_block_view view = vr_block_view_of(copy);
            bool same;
            cr_assert_leq(vr_block_key_room(&view), sizeof key);
            vr_block_key_common(&view, key);
            for (uint32_t i = 0; i < view.count; i++) {
                size_t size = vr_block_key_suffix(&view, i, key);
                cr_assert_leq(vr_block_seek(&view, varve_bytes(key, size), vr_block_trailer(&view, i), &same), view.count);
                varve_slice value = vr_block_value(&view, i);
                cr_assert_leq(value.data + value.size, copy + block.size);
            }
        }
    }
    free(copy);
    free((void *)(uintptr_t)block.data);
    model_free(&m);
}
