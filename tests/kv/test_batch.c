/*
 * The batch encoding (kv/batch.h, doc/format-batch.md): round trips, limits, one damage for each decoded field, golden bytes.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "kv/batch.h"

static vr_batch batch;

static void set_up(void) {
    batch = (vr_batch){0};
    cr_assert_eq(vr_batch_clear(&batch, NULL), VARVE_OK);
}

static void tear_down(void) {
    vr_batch_free(&batch);
}

TestSuite(batch, .init = set_up, .fini = tear_down);

static vr_change put(uint32_t store, const char *key, const char *value) {
    return (vr_change){VR_KIND_PUT, store, varve_str(key), varve_str(value)};
}

static void add(vr_change change) {
    varve_error err;
    cr_assert_eq(vr_batch_append(&batch, &change, &err), VARVE_OK, "%s", err.message);
}

/* Reads everything; returns the first failure, or VARVE_OK at a right end. */
static varve_status read_all(varve_slice bytes, varve_error *err) {
    vr_batch_reader reader;
    vr_change change;
    varve_status st = vr_batch_reader_open(&reader, bytes, err);
    while (st == VARVE_OK) st = vr_batch_reader_next(&reader, &change, err);
    return st == VARVE_NOT_FOUND ? VARVE_OK : st;
}

/* The bytes, in an allocation of exactly their size, are refused with this status, and the message holds the words. */
static void refused(const void *bytes, size_t size, varve_status expected, const char *words) {
    varve_error err = {0};
    char *copy = malloc(size ? size : 1);
    if (size) memcpy(copy, bytes, size);
    varve_status st = read_all(varve_bytes(copy, size), &err);
    free(copy);
    cr_assert_eq(st, expected, "%s: %s", words, varve_status_name(st));
    cr_assert_eq(err.code, expected);
    cr_assert_not_null(strstr(err.message, words), "\"%s\" says nothing of \"%s\"", err.message, words);
}

static bool same_change(const vr_change *a, const vr_change *b) {
    return a->kind == b->kind && a->store_id == b->store_id && vr_equal(a->key, b->key) && vr_equal(a->value, b->value);
}

Test(batch, an_empty_one_is_its_header) {
    vr_batch_reader reader;
    vr_change change;
    cr_assert_eq(batch.bytes.size, VR_BATCH_HEADER_BYTES);
    cr_assert_eq(vr_batch_reader_open(&reader, varve_buffer_slice(&batch.bytes), NULL), VARVE_OK);
    cr_assert_eq(reader.count, 0);
    cr_assert_eq(vr_batch_reader_next(&reader, &change, NULL), VARVE_NOT_FOUND);
}

Test(batch, what_was_appended_is_read) {
    char large[70000];
    memset(large, 'v', sizeof large);
    vr_change changes[] = {
        put(1, "ada", "1815"),
        {VR_KIND_DELETE, 300, varve_str("key"), {NULL, 0}},
        put(UINT32_MAX, "", ""),
        {VR_KIND_POSITION, 7, {NULL, 0}, varve_str("offset 42")},
        {VR_KIND_PUT, 2, varve_bytes(large, VARVE_KEY_BYTES_MAX), varve_bytes(large, sizeof large)},
    };
    size_t n = sizeof changes / sizeof *changes;
    for (size_t i = 0; i < n; i++) {
        size_t before = batch.bytes.size;
        add(changes[i]);
        cr_assert_eq(batch.bytes.size - before, vr_change_bytes(&changes[i]));
    }
    cr_assert_eq(batch.count, n);
    vr_batch_header_encode(batch.bytes.data, VR_BATCH_TIME_MAX, true, batch.count);

    vr_batch_reader reader;
    vr_change change;
    cr_assert_eq(vr_batch_reader_open(&reader, varve_buffer_slice(&batch.bytes), NULL), VARVE_OK);
    cr_assert_eq(reader.timestamp_ms, VR_BATCH_TIME_MAX);
    cr_assert(reader.replica);
    cr_assert_eq(reader.count, n);
    for (size_t i = 0; i < n; i++) {
        cr_assert_eq(vr_batch_reader_next(&reader, &change, NULL), VARVE_OK);
        cr_assert(same_change(&change, &changes[i]), "change %zu", i);
    }
    cr_assert_eq(vr_batch_reader_next(&reader, &change, NULL), VARVE_NOT_FOUND);
    cr_assert_eq(vr_batch_reader_next(&reader, &change, NULL), VARVE_NOT_FOUND, "the end stays");
}

Test(batch, clearing_keeps_the_memory_and_forgets_the_changes) {
    add(put(1, "a", "b"));
    size_t capacity = batch.bytes.capacity;
    cr_assert_eq(vr_batch_clear(&batch, NULL), VARVE_OK);
    cr_assert_eq(batch.count, 0);
    cr_assert_eq(batch.bytes.size, VR_BATCH_HEADER_BYTES);
    cr_assert_eq(batch.bytes.capacity, capacity);
    cr_assert_eq(read_all(varve_buffer_slice(&batch.bytes), NULL), VARVE_OK);
}

Test(batch, what_is_too_large_changes_nothing) {
    static char bytes[VARVE_KEY_BYTES_MAX + 1];
    add(put(1, "a", "b"));
    size_t size = batch.bytes.size;
    vr_change long_key = {VR_KIND_DELETE, 1, varve_bytes(bytes, VARVE_KEY_BYTES_MAX + 1), {NULL, 0}};
    vr_change long_value = {VR_KIND_PUT, 1, varve_str("k"), varve_bytes(bytes, (size_t)VARVE_VALUE_BYTES_MAX + 1)};
    vr_change long_position = {VR_KIND_POSITION, 1, {NULL, 0}, varve_bytes(bytes, VARVE_POSITION_BYTES_MAX + 1)};
    varve_error err;
    cr_assert_eq(vr_batch_append(&batch, &long_key, &err), VARVE_TOO_LARGE);
    cr_assert(strstr(err.message, "65536"), "%s", err.message);
    cr_assert_eq(vr_batch_append(&batch, &long_value, &err), VARVE_TOO_LARGE);
    cr_assert(strstr(err.message, "134217729"), "%s", err.message);
    cr_assert_eq(vr_batch_append(&batch, &long_position, &err), VARVE_TOO_LARGE);
    cr_assert(strstr(err.message, "1025"), "%s", err.message);
    cr_assert_eq(batch.count, 1);
    cr_assert_eq(batch.bytes.size, size);
}

Test(batch, more_than_a_batch_may_hold_changes_nothing) {
    size_t half = VARVE_BATCH_BYTES_MAX / 2 - 32;
    char *value = calloc(1, half);
    vr_change change = {VR_KIND_PUT, 1, varve_str("k"), varve_bytes(value, half)};
    add(change);
    add(change);
    change.value.size = 64;
    cr_assert_eq(vr_batch_append(&batch, &change, NULL), VARVE_TOO_LARGE);
    cr_assert_eq(batch.count, 2);
    free(value);
    cr_assert_eq(read_all(varve_buffer_slice(&batch.bytes), NULL), VARVE_OK);
}

/* --- One damage for each field --- */

static const char header_of_one[VR_BATCH_HEADER_BYTES] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0};

/* A batch of one change with these bytes. */
static void change_refused(const char *change, size_t size, varve_status expected, const char *words) {
    char bytes[4096];
    memcpy(bytes, header_of_one, sizeof header_of_one);
    memcpy(bytes + sizeof header_of_one, change, size);
    refused(bytes, sizeof header_of_one + size, expected, words);
}

Test(batch, header_too_short) {
    for (size_t size = 0; size < VR_BATCH_HEADER_BYTES; size++) refused(header_of_one, size, VARVE_CORRUPTION, "size");
}

Test(batch, header_reserved_flags) {
    char bytes[VR_BATCH_HEADER_BYTES] = {0};
    for (unsigned bit = 49; bit < 64; bit++) {
        vr_put64(bytes, UINT64_C(1) << bit);
        refused(bytes, sizeof bytes, VARVE_UNSUPPORTED, "flags");
    }
}

Test(batch, header_count_too_high) {
    char bytes[VR_BATCH_HEADER_BYTES + 4] = {0};
    vr_put32(bytes + 8, 2); /* four bytes hold one change at most */
    refused(bytes, sizeof bytes, VARVE_CORRUPTION, "count");
    vr_put32(bytes + 8, UINT32_MAX);
    refused(bytes, sizeof bytes, VARVE_CORRUPTION, "count");
}

Test(batch, header_count_too_low) {
    add(put(1, "a", "b"));
    add(put(1, "c", "d"));
    vr_put32(batch.bytes.data + 8, 1);
    refused(batch.bytes.data, batch.bytes.size, VARVE_CORRUPTION, "follow the last");
}

Test(batch, change_kind) {
    change_refused("\x00\x01\x00", 3, VARVE_CORRUPTION, "kind");
    change_refused("\x04\x01\x00", 3, VARVE_CORRUPTION, "kind");
    change_refused("\xff\x01\x00", 3, VARVE_CORRUPTION, "kind");
}

Test(batch, change_store_id) {
    change_refused("\x01\x81\x00\x00", 4, VARVE_CORRUPTION, "store id");             /* longer than needed */
    change_refused("\x01\x80\x80\x80\x80\x10\x00", 7, VARVE_CORRUPTION, "store id"); /* 2^32 */
    change_refused("\x01\xff\xff\xff\xff\xff", 6, VARVE_CORRUPTION, "store id");     /* without an end */
}

Test(batch, change_key_size) {
    change_refused("\x01\x01\x80\x00", 4, VARVE_CORRUPTION, "key size");     /* longer than needed */
    change_refused("\x01\x01\x80\x80\x04", 5, VARVE_CORRUPTION, "key size"); /* 65536 */
    change_refused("\x01\x01\x05"
                   "abcd",
                   7, VARVE_CORRUPTION, "key and value"); /* more than there is */
}

Test(batch, change_value_size) {
    change_refused("\x02\x01\x01\x80\x00k", 6, VARVE_CORRUPTION, "value size");
    change_refused("\x02\x01\x01\x81\x80\x80\x40k", 8, VARVE_CORRUPTION, "value size"); /* one above the limit */
    change_refused("\x02\x01\x01\x03kab", 7, VARVE_CORRUPTION, "key and value");
    change_refused("\x02\x01\x01", 3, VARVE_CORRUPTION, "value size");
}

Test(batch, change_position) {
    change_refused("\x03\x01\x01\x00k", 5, VARVE_CORRUPTION, "key size");            /* a position has no key */
    char long_position[5 + VARVE_POSITION_BYTES_MAX + 1] = {3, 1, 0, (char)0x81, 8}; /* 1025 */
    change_refused(long_position, sizeof long_position, VARVE_CORRUPTION, "value size");
}

Test(batch, every_cut_is_refused) {
    add(put(1, "ada", "1815"));
    add((vr_change){VR_KIND_DELETE, 2, varve_str("k"), {NULL, 0}});
    for (size_t size = 0; size < batch.bytes.size; size++) refused(batch.bytes.data, size, VARVE_CORRUPTION, "batch");
}

/* One batch has one encoding: what random bytes decode to, encodes to the same bytes. */
Test(batch, whatever_decodes_encodes_to_the_same) {
    uint64_t state = 20260101;
    unsigned decoded = 0;
    for (int round = 0; round < 200000; round++) {
        char bytes[32] = {0};
        size_t size = VR_BATCH_HEADER_BYTES;
        state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
        unsigned changes = (unsigned)(state >> 60) % 3 + 1;
        vr_put32(bytes + 8, changes);
        size += (size_t)(state >> 33) % 16;
        for (size_t i = VR_BATCH_HEADER_BYTES; i < size; i++) {
            state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
            bytes[i] = (char)((state >> 59) % 6);
        }
        vr_batch_reader reader;
        vr_change change;
        varve_status st = vr_batch_reader_open(&reader, varve_bytes(bytes, size), NULL);
        cr_assert_eq(vr_batch_clear(&batch, NULL), VARVE_OK);
        while (st == VARVE_OK) {
            st = vr_batch_reader_next(&reader, &change, NULL);
            if (st == VARVE_OK) add(change);
        }
        if (st != VARVE_NOT_FOUND) continue;
        decoded++;
        cr_assert(vr_equal(varve_bytes(bytes, size), varve_buffer_slice(&batch.bytes)), "round %d", round);
    }
    cr_assert_gt(decoded, 100, "only %u", decoded);
}

/* --- Golden bytes --- */

static size_t read_golden(const char *name, char *out, size_t room) {
    char path[1024];
    snprintf(path, sizeof path, "%s/tests/golden/%s", VARVE_SOURCE_DIR, name);
    FILE *file = fopen(path, "rb");
    cr_assert_not_null(file, "%s", path);
    size_t size = fread(out, 1, room, file);
    fclose(file);
    return size;
}

/* The example of doc/format-batch.md. */
static void make_example(void) {
    add(put(1, "ada", "1815"));
    add((vr_change){VR_KIND_DELETE, 300, varve_str("eve"), {NULL, 0}});
    add((vr_change){VR_KIND_POSITION, 1, {NULL, 0}, varve_str("@42")});
    vr_batch_header_encode(batch.bytes.data, UINT64_C(1767225600000), true, batch.count);
}

Test(batch, the_golden_file_is_written) {
    char golden[256];
    make_example();
    size_t size = read_golden("batch-v1.bin", golden, sizeof golden);
    cr_assert(vr_equal(varve_bytes(golden, size), varve_buffer_slice(&batch.bytes)));
}

Test(batch, the_golden_file_is_read) {
    char golden[256];
    size_t size = read_golden("batch-v1.bin", golden, sizeof golden);
    vr_batch_reader reader;
    vr_change change;
    cr_assert_eq(vr_batch_reader_open(&reader, varve_bytes(golden, size), NULL), VARVE_OK);
    cr_assert_eq(reader.timestamp_ms, UINT64_C(1767225600000));
    cr_assert(reader.replica);
    cr_assert_eq(reader.count, 3);
    cr_assert_eq(vr_batch_reader_next(&reader, &change, NULL), VARVE_OK);
    vr_change first = put(1, "ada", "1815");
    cr_assert(same_change(&change, &first));
    cr_assert_eq(vr_batch_reader_next(&reader, &change, NULL), VARVE_OK);
    cr_assert(change.kind == VR_KIND_DELETE && change.store_id == 300 && vr_equal(change.key, varve_str("eve")));
    cr_assert_eq(vr_batch_reader_next(&reader, &change, NULL), VARVE_OK);
    cr_assert(change.kind == VR_KIND_POSITION && vr_equal(change.value, varve_str("@42")));
    cr_assert_eq(vr_batch_reader_next(&reader, &change, NULL), VARVE_NOT_FOUND);
}

/* The hex lines of a document's block, as bytes. */
Test(batch, the_document_shows_the_golden_bytes) {
    char golden[256], shown[256], line[256];
    size_t size = read_golden("batch-v1.bin", golden, sizeof golden), n = 0;
    FILE *document = fopen(VARVE_SOURCE_DIR "/doc/format-batch.md", "r");
    cr_assert_not_null(document);
    while (fgets(line, sizeof line, document)) {
        unsigned offset, byte;
        int used = 0; /* stays so where the colon is missing */
        if (sscanf(line, "    %4x: %n", &offset, &used) != 1 || used == 0 || offset != n) continue;
        for (const char *at = line + used; sscanf(at, "%2x%n", &byte, &used) == 1 && n < sizeof shown; at += used) {
            if (used > 3) break;
            shown[n++] = (char)byte;
        }
    }
    fclose(document);
    cr_assert(vr_equal(varve_bytes(golden, size), varve_bytes(shown, n)), "%zu bytes shown, %zu expected", n, size);
}
