/*
 * test_manifest_format.c - the bytes of a manifest: one test for each field of header, slots and records, and the golden file.
 */
#include "version_fixture.h"

#include <stdio.h>

#include "base/hash.h"
#include "version/manifest_format.h"

#define GOLDEN_PATH VARVE_SOURCE_DIR "/tests/golden/manifest-v1.bin"

static fixture fx;
static varve_buffer file; /* a manifest of two records, both committed */
static varve_error err;
static uint64_t seed;

/* The golden manifest: created and appended to with the fixture's stream of random bytes. */
static void write_golden(void) {
    vr_manifest *manifest;
    vr_edit edit;
    must(vr_manifest_create(&fx.env, DIR_NAME, &manifest, &err));
    vr_edit_init(&edit, &fx.env.mem);
    add_field(&edit, VR_EDIT_OPENED, 0, 0, 0, 0);
    add_store(&edit, 1, "users");
    add_table(&edit, 1, 0, 2, "ada", "grace");
    add_field(&edit, VR_EDIT_STORE_FLUSHED, 1, 0, 0, 11);
    add_feed(&edit, "changelog", 5);
    must(vr_manifest_append(manifest, &edit, &err));
    vr_edit_free(&edit);
    vr_manifest_close(manifest);
}

static void set_up(void) {
    fixture_open(&fx);
    write_golden();
    file = file_read(&fx, VR_NAME_MANIFEST);
    seed = vr_get64(file.data + 24);
}

static void tear_down(void) {
    varve_buffer_free(&file);
    fixture_close(&fx);
}

TestSuite(manifest_format, .init = set_up, .fini = tear_down);

static varve_status scan(void) {
    memset(&err, 0, sizeof err);
    return vr_manifest_scan(&fx.env.mem, varve_buffer_slice(&file), "MANIFEST", &err);
}

static void expect(varve_status status, const char *text) {
    varve_status found = scan();
    cr_assert_eq(found, status, "%s: found %d %s", text, found, err.message);
    cr_assert_not_null(strstr(err.message, text), "\"%s\" does not say %s", err.message, text);
}

/* Makes the header's checksum fit again, so that only the changed field is wrong. The chain's seed changes with it. */
static void seal_header(void) {
    vr_put64(file.data + 24, vr_hash(file.data, 24));
}

static void put_slot(uint64_t number, uint64_t generation, uint64_t length, uint64_t chain) {
    char *at = file.data + 512 * (1 + number);
    vr_put64(at + 8, generation);
    vr_put64(at + 16, length);
    vr_put64(at + 24, chain);
    vr_put64(at, vr_hash_seeded(at + 8, 24, seed + number));
}

Test(manifest_format, golden_file_is_what_is_written) {
    FILE *golden = fopen(GOLDEN_PATH, "rb");
    char bytes[8192];
    cr_assert_not_null(golden, "%s is missing", GOLDEN_PATH);
    size_t size = fread(bytes, 1, sizeof bytes, golden);
    fclose(golden);
    cr_assert_eq(size, file.size);
    cr_assert_arr_eq(bytes, file.data, size);
}

Test(manifest_format, golden_file_is_read) {
    FILE *golden = fopen(GOLDEN_PATH, "rb");
    char bytes[8192];
    cr_assert_not_null(golden, "%s is missing", GOLDEN_PATH);
    size_t size = fread(bytes, 1, sizeof bytes, golden);
    fclose(golden);
    file_write(&fx, VR_NAME_MANIFEST, varve_bytes(bytes, size));
    vr_manifest *manifest;
    must(vr_manifest_open(&fx.env, DIR_NAME, true, &manifest, &err));
    const vr_manifest_state *state = vr_manifest_state_of(manifest);
    cr_assert_eq(state->store_count, 1);
    cr_assert_str_eq(state->stores[0].name, "users");
    cr_assert_eq(state->stores[0].flushed_sequence, 11);
    cr_assert_eq(state->stores[0].tables[0].number, 2);
    cr_assert(vr_equal(varve_buffer_slice(&state->stores[0].tables[0].summary.max_key), varve_str("grace")));
    cr_assert_eq(state->next_file, 3);
    cr_assert_eq(state->next_store_id, 2);
    cr_assert_eq(state->last_sequence, 11);
    cr_assert_eq(state->feeds[0].released, 5);
    vr_manifest_close(manifest);
}

/* Compares the bytes that a line of the document shows, if it shows any, with the file. Returns how many. */
static size_t check_line(const char *line) {
    unsigned at, byte;
    size_t count = 0;
    int used = 0;
    if (sscanf(line, "    %4x:%n", &at, &used) != 1 || used == 0) return 0; /* no colon behind the number */
    for (line += used; sscanf(line, " %2x%n", &byte, &used) == 1; line += used, count++) {
        cr_assert(at + count < file.size);
        cr_assert_eq((uint8_t)file.data[at + count], byte, "at %zx", at + count);
    }
    return count;
}

Test(manifest_format, the_document_shows_the_golden_file) {
    FILE *document = fopen(VARVE_SOURCE_DIR "/doc/format-manifest.md", "r");
    char line[1000];
    size_t shown = 0, not_zero = 0;
    cr_assert_not_null(document);
    while (fgets(line, sizeof line, document)) shown += check_line(line);
    fclose(document);
    for (size_t at = 0; at < file.size; at++) not_zero += file.data[at] != 0;
    cr_assert(shown >= not_zero && shown >= 32 + 64 + file.size - VR_MANIFEST_PAGE_BYTES, "%zu bytes", shown);
}

Test(manifest_format, a_file_shorter_than_its_header_is_refused) {
    file.size = 4095;
    expect(VARVE_CORRUPTION, "MANIFEST: is 4095 bytes long, its header alone has 4096");
    file.size = 0;
    expect(VARVE_CORRUPTION, "is 0 bytes long");
}

Test(manifest_format, a_foreign_magic_is_refused) {
    memcpy(file.data, "SQLite f", 8);
    seal_header();
    expect(VARVE_CORRUPTION, "offset 0: the magic");
}

Test(manifest_format, a_newer_version_is_refused_as_such) {
    vr_put32(file.data + 8, 2);
    seal_header();
    expect(VARVE_UNSUPPORTED, "offset 8: format version 2");
}

Test(manifest_format, an_unknown_flag_is_refused) {
    vr_put32(file.data + 12, 4);
    seal_header();
    expect(VARVE_UNSUPPORTED, "with flags 4");
}

Test(manifest_format, another_file_id_fits_neither_checksum_nor_slots) {
    vr_put64(file.data + 16, 1);
    expect(VARVE_CORRUPTION, "offset 24: the header's checksum");
    seal_header();
    expect(VARVE_CORRUPTION, "neither commit slot is valid");
}

Test(manifest_format, without_a_valid_slot_it_is_refused) {
    file.data[512] ^= 1;
    must(scan()); /* the other one still holds: the last record counts by its chain */
    file.data[1024] ^= 1;
    expect(VARVE_CORRUPTION, "offsets 512 and 1024: neither commit slot is valid");
}

Test(manifest_format, a_slot_generation_out_of_bounds_is_refused) {
    put_slot(0, 3, 4096, seed);
    expect(VARVE_CORRUPTION, "offset 520: generation of commit slot 0 is 3, allowed is an even one");
    put_slot(0, 0, 4096, seed);
    expect(VARVE_CORRUPTION, "generation of commit slot 0 is 0");
    put_slot(0, 2, 4096, seed);
    put_slot(1, UINT64_MAX, 4096, seed);
    expect(VARVE_CORRUPTION, "offset 1032: generation of commit slot 1");
}

Test(manifest_format, a_committed_length_out_of_bounds_is_refused) {
    put_slot(0, 4, 4095, seed);
    expect(VARVE_CORRUPTION, "offset 528: committed length of slot 0 is 4095");
    put_slot(0, 4, VR_MANIFEST_BYTES_MAX + 1, seed);
    expect(VARVE_CORRUPTION, "offset 528: committed length");
    put_slot(0, 4, file.size + 1, seed);
    expect(VARVE_CORRUPTION, "bytes long, its commit record says");
}

Test(manifest_format, a_committed_length_inside_a_record_is_refused) {
    put_slot(0, 4, file.size - 1, vr_get64(file.data + 4096));
    expect(VARVE_CORRUPTION, "the length of the record");
    put_slot(0, 4, 4096 + 15, seed);
    expect(VARVE_CORRUPTION, "offset 4096: the header size of the record is 15");
}

Test(manifest_format, a_slot_chain_that_does_not_fit_is_refused) {
    put_slot(0, 4, file.size, 99);
    expect(VARVE_CORRUPTION, "the chain hash at the end of the record");
}

Test(manifest_format, a_record_length_out_of_bounds_is_refused) {
    static const uint32_t lengths[] = {0, VR_EDIT_BYTES_MAX + 1, UINT32_MAX, 4096};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        vr_put32(file.data + 4096 + 8, lengths[i]);
        expect(VARVE_CORRUPTION, "offset 4096: the length of the record");
    }
}

Test(manifest_format, a_record_reserved_field_is_refused) {
    vr_put32(file.data + 4096 + 12, 1);
    expect(VARVE_CORRUPTION, "offset 4096: the reserved field of the record is 1");
}

Test(manifest_format, a_record_chain_that_does_not_fit_is_refused) {
    file.data[4096] ^= 1;
    expect(VARVE_CORRUPTION, "offset 4096: the chain hash of the record");
}

/* One edit in a file of its own, committed. */
static void write_single(const vr_edit *edit) {
    static const char header[VR_MANIFEST_RECORD_HEADER_BYTES];
    file.size = VR_MANIFEST_PAGE_BYTES;
    seed = vr_manifest_page_encode(file.data, 5);
    cr_assert(vr_buffer_append(&file, header, sizeof header));
    must(vr_edit_encode(edit, &file, &err));
    uint64_t chain = vr_manifest_record_seal(file.data + 4096, file.size - 4096 - sizeof header, seed);
    put_slot(1, 1, file.size, chain);
}

Test(manifest_format, a_database_without_id_is_refused) {
    vr_edit edit;
    vr_edit_init(&edit, &fx.env.mem);
    add_field(&edit, VR_EDIT_OPENED, 0, 0, 0, 0);
    write_single(&edit);
    expect(VARVE_CORRUPTION, "no record gives the database an id");
    vr_edit_free(&edit);
}

Test(manifest_format, an_edit_that_contradicts_those_before_is_refused) {
    vr_edit edit;
    vr_edit_init(&edit, &fx.env.mem);
    memcpy(add_field(&edit, VR_EDIT_DB_ID, 0, 0, 0, 0)->id, "0123456789abcdef", 16);
    write_single(&edit);
    must(scan());
    add_table(&edit, 1, 0, 1, "a", "b");
    write_single(&edit);
    expect(VARVE_CORRUPTION, "MANIFEST: offset 4096: table_add of store 1");
    vr_edit_free(&edit);
}

Test(manifest_format, a_whole_record_behind_the_committed_length_counts) {
    put_slot(0, 2, 4096, seed); /* the slot of the second record, made to say less than the first one's */
    put_slot(1, 1, 4096, seed);
    vr_manifest_reader reader;
    varve_slice edit;
    uint64_t offset;
    int records = 0;
    must(vr_manifest_reader_open(&reader, varve_buffer_slice(&file), "MANIFEST", &err));
    while (vr_manifest_reader_next(&reader, &edit, &offset, &err) == VARVE_OK) records++;
    cr_assert_eq(records, 2);
    cr_assert_eq(reader.offset, file.size);
}

/*
 * Two records behind the committed length, the first one damaged: both are dropped. When the same edit is appended again, its
 * record is as it was, and the old second one would fit the chain behind it, had it not been cut off.
 */
Test(manifest_format, a_dropped_record_does_not_come_back) {
    vr_manifest *manifest;
    vr_edit first, second;
    vr_edit_init(&first, &fx.env.mem);
    vr_edit_init(&second, &fx.env.mem);
    add_store(&first, 2, "orders");
    add_store(&second, 3, "ghosts");
    must(vr_manifest_open(&fx.env, DIR_NAME, false, &manifest, &err));
    must(vr_manifest_append(manifest, &first, &err));
    must(vr_manifest_append(manifest, &second, &err));
    vr_manifest_close(manifest);
    size_t committed = file.size;
    uint64_t chain = vr_get64(file.data + 512 + 24);
    varve_buffer_free(&file);
    file = file_read(&fx, VR_NAME_MANIFEST);
    put_slot(0, 4, committed, chain);
    put_slot(1, 3, committed, chain);
    file.data[committed + 20] ^= 1;
    file_write(&fx, VR_NAME_MANIFEST, varve_buffer_slice(&file));
    for (int i = 0; i < 2; i++) {
        must(vr_manifest_open(&fx.env, DIR_NAME, false, &manifest, &err));
        cr_assert_eq(vr_manifest_state_of(manifest)->store_count, 1 + (size_t)i);
        if (i == 0) must(vr_manifest_append(manifest, &first, &err));
        vr_manifest_close(manifest);
    }
    vr_edit_free(&first);
    vr_edit_free(&second);
}
