/*
 * Verify finds what opening does not look at: order, counts, keys and filter that do not fit the entries; dump shows what is there.
 */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "table/block.h"
#include "table_fixture.h"

static const shape few =
    {.seed = 21, .entries = 60, .key_min = 9, .key_max = 9, .alphabet = 256, .versions = 2, .value_min = 10, .value_max = 10};
static const vr_table_builder_options unfiltered = {.block_bytes = 1024,
                                                    .compression_level = VARVE_COMPRESSION_NONE,
                                                    .filter_bits = VARVE_FILTER_NONE};

/* Builds, damages the frame at the offset by change (whose checksum then fits again), opens, and verifies. */
static void check_verify(const vr_table_builder_options *options, uint64_t (*frame_of)(const parts *p), void (*change)(char *raw),
                         const char *names) {
    fixture f;
    size_t size;
    varve_error err = {0};
    fixture_open(&f, 64u << 20);
    model m = model_random(&few);
    build_table(&f, FIXTURE_PATH, options, &m, NULL);
    char *file = read_file(&f, FIXTURE_PATH, &size);
    parts p = parts_of(file, size);
    uint64_t offset = frame_of(&p);
    change(file + offset + VR_FRAME_HEADER_BYTES);
    seal_frame(file, size, offset, VR_FRAME_HEADER_BYTES + vr_get32(file + offset + 8));
    write_file(&f, FIXTURE_PATH, file, size);
    vr_table *table = open_table(&f, FIXTURE_PATH);
    cr_assert_eq(vr_table_verify(table, &err), VARVE_CORRUPTION, "%s is not noticed", names);
    cr_assert_not_null(strstr(err.message, names), "%s", err.message);
    cr_assert_not_null(strstr(err.message, FIXTURE_PATH ": offset "), "%s", err.message);
    vr_table_close(table);
    free(file);
    model_free(&m);
    fixture_close(&f);
}

static uint64_t first_block(const parts *p) {
    (void)p;
    return 0;
}

static uint64_t filter_frame(const parts *p) {
    return p->filter;
}

static uint64_t index_frame(const parts *p) {
    return p->index;
}

static uint64_t properties_frame(const parts *p) {
    return p->properties;
}

static void swap_first_prefixes(char *block) {
    vr_block_view view = vr_block_view_of(block);
    uint64_t a = vr_block_prefix(&view, 1), b = vr_block_prefix(&view, 4);
    vr_put64((char *)(uintptr_t)view.prefixes + 8, b);
    vr_put64((char *)(uintptr_t)view.prefixes + 32, a);
}

static void lower_first_prefix(char *block) {
    vr_block_view view = vr_block_view_of(block);
    vr_put64((char *)(uintptr_t)view.prefixes, 0);
}

/* Moves the last key of the block behind the separator. */
static void raise_last_prefix(char *block) {
    vr_block_view view = vr_block_view_of(block);
    vr_put64((char *)(uintptr_t)view.prefixes + 8 * ((size_t)view.count - 1), UINT64_MAX);
}

/* Moves a separator behind the first keys of the next block. */
static void raise_separator(char *block) {
    vr_block_view view = vr_block_view_of(block);
    vr_put64((char *)(uintptr_t)view.prefixes, vr_block_prefix(&view, 1) - 1);
}

static void change_sequence(char *block) {
    vr_block_view view = vr_block_view_of(block);
    vr_put64((char *)(uintptr_t)view.trailers, vr_trailer(1 << 30, vr_trailer_kind(vr_block_trailer(&view, 0))));
}

static void clear_filter(char *raw) {
    memset(raw + 64, 0, 64);
}

static void change_filter_keys(char *raw) {
    raw[8] = (char)(raw[8] + 1);
}

/* The properties' fields are tag, size, value: each value is found by its tag. */
static void change_property(char *raw, char tag) {
    char *at = raw;
    while (*at != tag) at += 2 + at[1];
    at[2] = (char)(at[2] ^ 1);
}

static void change_tombstones(char *raw) {
    change_property(raw, 4);
}

static void change_raw_bytes(char *raw) {
    change_property(raw, 6);
}

static void change_min_sequence(char *raw) {
    change_property(raw, 8);
}

static void change_max_sequence(char *raw) {
    change_property(raw, 10);
}

static void change_min_key(char *raw) {
    change_property(raw, 12);
}

static void change_max_key(char *raw) {
    change_property(raw, 14);
}

Test(table_verify, order) {
    check_verify(&unfiltered, first_block, swap_first_prefixes, "is not after the one before it");
    check_verify(&unfiltered, first_block, raise_last_prefix, "is after its block's separator");
    check_verify(&unfiltered, index_frame, raise_separator, "is not after the separator of the block before");
}

Test(table_verify, filter) {
    check_verify(&plain_options, filter_frame, clear_filter, "is denied by the filter");
    check_verify(&plain_options, filter_frame, change_filter_keys, "filter keys");
}

Test(table_verify, claims) {
    check_verify(&unfiltered, first_block, lower_first_prefix, "is not the first key");
    check_verify(&unfiltered, first_block, change_sequence, "sequence");
    check_verify(&unfiltered, properties_frame, change_tombstones, "tombstones");
    check_verify(&unfiltered, properties_frame, change_raw_bytes, "raw bytes");
    check_verify(&unfiltered, properties_frame, change_min_sequence, "min sequence");
    check_verify(&unfiltered, properties_frame, change_max_sequence, "max sequence");
    check_verify(&unfiltered, properties_frame, change_min_key, "is not the first key");
    check_verify(&unfiltered, properties_frame, change_max_key, "last key");
}

/* Damage that came after the open: what is in memory is sound, what is in the file is not. */
Test(table_verify, reads_the_file_again) {
    fixture f;
    size_t size;
    varve_error err = {0};
    fixture_open(&f, 64u << 20);
    model m = model_random(&few);
    build_table(&f, FIXTURE_PATH, &plain_options, &m, NULL);
    char *file = read_file(&f, FIXTURE_PATH, &size);
    parts p = parts_of(file, size);
    vr_table *table = open_table(&f, FIXTURE_PATH);
    const size_t places[] = {40, p.filter + 40, p.index + 40, p.properties + 30, size - 50};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        file[places[i]] = (char)~file[places[i]];
        write_file(&f, FIXTURE_PATH, file, size);
        cr_assert_eq(vr_table_verify(table, &err), VARVE_CORRUPTION, "place %zu", i);
        file[places[i]] = (char)~file[places[i]];
    }
    write_file(&f, FIXTURE_PATH, file, size);
    cr_assert_eq(vr_table_verify(table, &err), VARVE_OK, "%s", err.message);
    vr_table_close(table);
    free(file);
    model_free(&m);
    fixture_close(&f);
}

/* Lines of a dump, one behind the other. */
typedef struct lines {
    char text[16384];
    size_t used, count;
    size_t stop_after; /* 0: never */
} lines;

static varve_status gather(void *context, const char *line) {
    lines *l = context;
    size_t size = strlen(line);
    cr_assert_lt(l->used + size + 2, sizeof l->text);
    memcpy(l->text + l->used, line, size);
    memcpy(l->text + l->used + size, "\n", 2);
    l->used += size + 1;
    l->count++;
    return l->count == l->stop_after ? VARVE_CANCELLED : VARVE_OK;
}

static model dump_model(void) {
    model m = {0};
    model_add(&m, varve_str("a\"b"), vr_trailer(7, VR_KIND_PUT), varve_str("value"));
    model_add(&m, varve_bytes("b\0\xff", 3), vr_trailer(8, VR_KIND_DELETE), varve_str(""));
    model_sort(&m);
    return m;
}

Test(table_verify, dump_shows_everything) {
    fixture f;
    varve_error err = {0};
    static lines l;
    fixture_open(&f, 64u << 20);
    model m = dump_model();
    build_table(&f, FIXTURE_PATH, &plain_options, &m, NULL);
    cr_assert_eq(vr_table_dump(&f.env, FIXTURE_PATH, gather, &l, &err), VARVE_OK, "%s", err.message);
    const char *expected[] = {"footer: version 1, table id 0123456789abcdef, ",
                              " 2 entries, 1 data blocks\n",
                              "properties: 2 entries, 1 tombstones, 11 key and value bytes, sequences 7 to 8\n",
                              "properties: first key \"a\\x22b\"\n",
                              "properties: last key \"b\\x00\\xff\"\n",
                              "properties: block size 1024, compression level 100, filter bits 10\n",
                              "filter: blocked bloom, 1 lines, 6 probes, 2 keys\n",
                              "index: 1 separators, 3 common bytes\n",
                              "  up to \"b\\x00\\xff\" trailer 0: offset 0, ",
                              "block 0: offset 0, ",
                              "codec raw, 2 entries, 0 common bytes\n",
                              "  \"a\\x22b\" sequence 7 put, value of 5 bytes\n",
                              "  \"b\\x00\\xff\" sequence 8 delete, value of 0 bytes\n"};
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        cr_assert_not_null(strstr(l.text, expected[i]), "\"%s\" is not in:\n%s", expected[i], l.text);
    }
    memset(&l, 0, sizeof l);
    l.stop_after = 3;
    cr_assert_eq(vr_table_dump(&f.env, FIXTURE_PATH, gather, &l, &err), VARVE_CANCELLED);
    cr_assert_eq(l.count, 3);
    model_free(&m);
    fixture_close(&f);
}

/* What precedes the damage is shown. */
Test(table_verify, dump_of_a_damaged_table) {
    fixture f;
    size_t size;
    varve_error err = {0};
    static lines l;
    fixture_open(&f, 64u << 20);
    model m = dump_model();
    build_table(&f, FIXTURE_PATH, &plain_options, &m, NULL);
    char *file = read_file(&f, FIXTURE_PATH, &size);
    file[30] = (char)~file[30]; /* in the data block */
    write_file(&f, FIXTURE_PATH, file, size);
    cr_assert_eq(vr_table_dump(&f.env, FIXTURE_PATH, gather, &l, &err), VARVE_CORRUPTION);
    cr_assert_not_null(strstr(l.text, "index: 1 separators"));
    cr_assert_not_null(strstr(err.message, FIXTURE_PATH ": offset 0: data frame's checksum"), "%s", err.message);
    cr_assert_eq(vr_table_dump(&f.env, "none.tbl", gather, &l, &err), VARVE_MISSING);
    free(file);
    model_free(&m);
    fixture_close(&f);
}
