/*
 * Golden tables: files of every version ever written are read, and today's writer writes the same bytes. doc/format-table.md shows
 * one of them byte by byte, and is held to it.
 *
 * With VARVE_GOLDEN_REWRITE set in the environment the files are written anew: for a new version, next to the old ones.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "table_fixture.h"

#define GOLDEN VARVE_SOURCE_DIR "/tests/golden/"

/* The example of the document: two versions of a key, a deleted key, keys of two lengths. */
static model example_model(void) {
    model m = {0};
    model_add(&m, varve_str("varve:a"), vr_trailer(9, VR_KIND_PUT), varve_str("new"));
    model_add(&m, varve_str("varve:a"), vr_trailer(4, VR_KIND_PUT), varve_str("older"));
    model_add(&m, varve_str("varve:gone"), vr_trailer(7, VR_KIND_DELETE), varve_str(""));
    model_add(&m, varve_str("varve:long-enough"), vr_trailer(5, VR_KIND_PUT), varve_str("x"));
    model_sort(&m);
    return m;
}

/* A few blocks of keys "key-0000", "key-0003", ... with versions, deletes and compressible values of differing length. */
static model sample_model(void) {
    model m = {0};
    char key[16], value[64];
    for (unsigned i = 0; i < 60; i++) {
        int key_size = snprintf(key, sizeof key, "key-%04u", 3 * i);
        memset(value, 'a' + (int)(i % 26), sizeof value);
        for (unsigned version = 0; version <= i % 3 / 2; version++) {
            bool put = i % 10 != 9;
            uint64_t trailer = vr_trailer(1000 + 2 * i + version, put ? VR_KIND_PUT : VR_KIND_DELETE);
            model_add(&m, varve_bytes(key, (size_t)key_size), trailer, varve_bytes(value, put ? 20 + i % 7 * 5 : 0));
        }
    }
    model_sort(&m);
    return m;
}

/* A golden file and how it was made. */
typedef struct golden {
    const char *name;
    model (*make)(void);
    vr_table_builder_options options;
    bool same_bytes; /* zstd may compress otherwise in another version of the library */
} golden;

static const golden goldens[] = {
    {"table-v1-example.tbl", example_model, {1024, VARVE_COMPRESSION_NONE, VARVE_FILTER_NONE, 0}, true},
    {"table-v1-raw.tbl", sample_model, {1024, VARVE_COMPRESSION_NONE, 10, 0}, true},
    {"table-v1-zstd.tbl", sample_model, {1024, -1, 10, 0}, false},
    {"table-v1-nofilter.tbl", sample_model, {1024, VARVE_COMPRESSION_NONE, VARVE_FILTER_NONE, 0}, true},
};
enum { GOLDENS = sizeof goldens / sizeof goldens[0] };

/* The whole file at path, malloc'd; NULL when there is none. */
static char *load(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    if (!file) return NULL;
    char *bytes = malloc(1 << 20);
    *size = fread(bytes, 1, 1 << 20, file);
    fclose(file);
    return bytes;
}

static void rewrite_if_asked(const char *path, const char *bytes, size_t size) {
    if (!getenv("VARVE_GOLDEN_REWRITE")) return;
    FILE *file = fopen(path, "wb");
    cr_assert(file && fwrite(bytes, 1, size, file) == size && fclose(file) == 0);
}

/* All ways of reading it give the model. */
static void check_content(fixture *f, const model *m, bool filter) {
    varve_error err = {0};
    vr_cursor *cursor;
    vr_table *table = open_table(f, "golden.tbl");
    for (int access = 0; access < 2; access++) {
        cr_assert_eq(vr_table_cursor(table, access ? VR_ACCESS_SEQUENTIAL : VR_ACCESS_CACHED, &cursor, &err), VARVE_OK);
        check_walk(cursor, m);
        cursor->ops->close(cursor);
    }
    cr_assert_eq(vr_table_verify(table, &err), VARVE_OK, "%s", err.message);
    cr_assert_eq(vr_table_may_contain(table, vr_key_hash(varve_str("not there"))), !filter);
    vr_table_close(table);
}

Test(table_golden, files_are_read_and_written_the_same) {
    for (size_t i = 0; i < GOLDENS; i++) {
        const golden *g = &goldens[i];
        fixture f;
        char path[500];
        size_t size = 0, built_size;
        fixture_open(&f, 64u << 20);
        model m = g->make();
        build_table(&f, FIXTURE_PATH, &g->options, &m, NULL);
        char *built = read_file(&f, FIXTURE_PATH, &built_size);
        snprintf(path, sizeof path, GOLDEN "%s", g->name);
        rewrite_if_asked(path, built, built_size);
        char *file = load(path, &size);
        cr_assert_not_null(file, "%s is missing", path);
        write_file(&f, "golden.tbl", file, size);
        check_content(&f, &m, g->options.filter_bits != VARVE_FILTER_NONE);
        if (g->same_bytes) {
            cr_assert_eq(size, built_size, "%s: %zu bytes, now %zu", g->name, size, built_size);
            cr_assert_eq(memcmp(file, built, size), 0, "%s: other bytes are written now", g->name);
        }
        free(file);
        free(built);
        model_free(&m);
        fixture_close(&f);
    }
}

/* The bytes of the document's example: lines "oooo  xx xx ...  what they are" between two lines of ``` */
static size_t document_bytes(char *document, uint8_t *bytes, size_t room) {
    size_t count = 0;
    char *line = strstr(document, "<!-- golden: table-v1-example.tbl -->");
    cr_assert_not_null(line);
    line = strstr(line, "```\n") + 4;
    while (strncmp(line, "```", 3) != 0) {
        char *end;
        cr_assert_eq(strtoul(line, &end, 16), count, "the offset at \"%.20s\" is not %zx", line, count);
        char *at = end + 2;
        for (; at[0] != ' ' && at[0] != '\n'; at += at[2] == ' ' ? 3 : 2) {
            const char digits[3] = {at[0], at[1], 0};
            cr_assert_lt(count, room);
            bytes[count++] = (uint8_t)strtoul(digits, NULL, 16);
        }
        line = strchr(line, '\n') + 1;
    }
    return count;
}

Test(table_golden, document_shows_the_file) {
    uint8_t shown[4096];
    size_t size, document_size;
    char *file = load(GOLDEN "table-v1-example.tbl", &size);
    char *document = load(VARVE_SOURCE_DIR "/doc/format-table.md", &document_size);
    cr_assert(file && document);
    document[document_size] = 0;
    cr_assert_eq(document_bytes(document, shown, sizeof shown), size);
    for (size_t i = 0; i < size; i++) cr_assert_eq(shown[i], (uint8_t)file[i], "byte %zx", i);
    free(document);
    free(file);
}

/* Numbers that the document repeats are those of the code. */
Test(table_golden, document_repeats_the_constants) {
    size_t size;
    char *document = load(VARVE_SOURCE_DIR "/doc/format-table.md", &size);
    cr_assert_not_null(document);
    document[size] = 0;
    cr_assert_not_null(strstr(document, "The last 128 bytes"));
    cr_assert_eq(VR_TABLE_FOOTER_BYTES, 128);
    cr_assert_not_null(strstr(document, "a header of 24 bytes"));
    cr_assert_eq(VR_FRAME_HEADER_BYTES, 24);
    cr_assert_not_null(strstr(document, "version 1"));
    cr_assert_eq(VR_TABLE_VERSION, 1);
    free(document);
}
