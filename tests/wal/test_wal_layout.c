/*
 * The bytes of a segment (wal/layout.h, doc/format-wal.md): golden bytes, one damage for each decoded field, names.
 */
#include <stdio.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "wal_fixture.h"

#define SEGMENT_BYTES 8192u
#define RECORDS 4096u

static char segment[SEGMENT_BYTES]; /* each test runs in its own process */
static size_t record_at;            /* where the next record goes */

static void set_up(void) {
    memset(segment, 0, sizeof segment);
    vr_wal_page_encode(segment, 7, sizeof segment);
    record_at = RECORDS;
}

TestSuite(wal_layout, .init = set_up);

/* Adds a record with this payload. */
static char *add(vr_wal_type type, uint64_t sequence, varve_slice payload) {
    char *at = segment + record_at;
    if (payload.size) memcpy(at + VR_WAL_RECORD_BYTES, payload.data, payload.size);
    record_at = (size_t)(vr_wal_record_finish(at, 7, type, sequence, (uint32_t)payload.size) - segment);
    return at;
}

static char *add_batch(uint64_t sequence, uint32_t count) {
    char payload[VR_BATCH_HEADER_BYTES + 3 * 8];
    vr_batch_header_encode(payload, 5, false, count);
    for (uint32_t i = 0; i < count; i++) memcpy(payload + VR_BATCH_HEADER_BYTES + i * 3, "\x01\x01\x00", 3);
    return add(VR_WAL_BATCH, sequence, varve_bytes(payload, VR_BATCH_HEADER_BYTES + count * 3));
}

static void repair(char *record) {
    vr_put64(record, vr_hash(record + 8, 16 + vr_get32(record + 8)));
}

static void repair_page(void) {
    vr_put64(segment + 4088, vr_hash(segment, 4088));
}

static bool count_record(void *context, const vr_wal_record_info *record) {
    (void)record;
    ++*(unsigned *)context;
    return true;
}

/* Scans the segment; checks the status, the number of records before it, and that the message holds the words. */
static void scans(varve_status expected, unsigned records, const char *words) {
    varve_error err = {0};
    unsigned count = 0;
    varve_status st = vr_wal_scan(varve_bytes(segment, sizeof segment), "seven.wal", count_record, &count, &err);
    cr_assert_eq(st, expected, "%s: %s", varve_status_name(st), err.message);
    cr_assert_eq(count, records, "%u records", count);
    if (!words) return;
    cr_assert_not_null(strstr(err.message, words), "\"%s\" says nothing of \"%s\"", err.message, words);
    cr_assert_not_null(strstr(err.message, "seven.wal: offset "), "%s", err.message);
}

/* --- The header page --- */

Test(wal_layout, page_is_right) {
    scans(VARVE_OK, 0, NULL);
}

Test(wal_layout, page_magic) {
    segment[3] ^= 1;
    scans(VARVE_CORRUPTION, 0, "offset 0");
}

Test(wal_layout, page_checksum) {
    segment[4090] ^= 1;
    scans(VARVE_CORRUPTION, 0, "header checksum");
}

Test(wal_layout, page_version) {
    vr_put32(segment + 8, 2);
    scans(VARVE_CORRUPTION, 0, "header checksum"); /* a flipped bit is damage, */
    repair_page();
    scans(VARVE_UNSUPPORTED, 0, "version is 2"); /* a newer writer's page is not */
}

Test(wal_layout, page_header_size) {
    vr_put32(segment + 12, 512);
    repair_page();
    scans(VARVE_CORRUPTION, 0, "header size");
}

Test(wal_layout, page_number) {
    uint64_t found;
    varve_error err;
    varve_slice page = varve_bytes(segment, sizeof segment);
    cr_assert_eq(vr_wal_page_decode(page, 7, sizeof segment, "f", &found, &err), VARVE_OK);
    cr_assert_eq(found, 7);
    cr_assert_eq(vr_wal_page_decode(page, 8, sizeof segment, "f", &found, &err), VARVE_CORRUPTION, "another segment's file");
    cr_assert(strstr(err.message, "segment number is 7; expected 8"), "%s", err.message);
    const uint64_t wrong[] = {0, VR_WAL_NUMBER_MAX + 1};
    for (int i = 0; i < 2; i++) {
        vr_put64(segment + 16, wrong[i]);
        repair_page();
        scans(VARVE_CORRUPTION, 0, "segment number");
    }
}

Test(wal_layout, page_segment_size) {
    const uint64_t wrong[] = {0, 4096, 8191, 12288, UINT64_MAX};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        vr_put64(segment + 24, wrong[i]);
        repair_page();
        scans(VARVE_CORRUPTION, 0, "segment size");
    }
}

Test(wal_layout, page_reserved_bytes) {
    segment[4087] = 1;
    repair_page();
    scans(VARVE_CORRUPTION, 0, "reserved byte");
}

Test(wal_layout, page_every_byte_counts) {
    add_batch(1, 1);
    for (unsigned i = 0; i < VR_WAL_PAGE_BYTES; i++) {
        segment[i] ^= 0x10;
        scans(VARVE_CORRUPTION, 0, NULL);
        segment[i] ^= 0x10;
    }
    scans(VARVE_OK, 1, NULL);
}

Test(wal_layout, page_every_cut_is_refused) {
    varve_error err;
    unsigned count = 0;
    for (size_t size = 0; size < sizeof segment; size += size < 4000 ? 7 : 1) {
        varve_slice cut = varve_bytes(segment, size);
        cr_assert_eq(vr_wal_scan(cut, "cut", count_record, &count, &err), VARVE_CORRUPTION, "at %zu", size);
    }
}

/* --- Records --- */

Test(wal_layout, records_are_right) {
    add_batch(1, 2);
    add_batch(3, 1);
    char payload[16];
    vr_put64(payload, 7);
    vr_put64(payload + 8, 4096);
    add(VR_WAL_SYNC, 2, varve_bytes(payload, 16));
    add(VR_WAL_SEAL, 3, (varve_slice){NULL, 0});
    add_batch(4, 1);
    scans(VARVE_OK, 4, NULL); /* nothing counts behind the SEAL */
}

Test(wal_layout, record_checksum) {
    add_batch(1, 1);
    char *at = add_batch(2, 1);
    for (unsigned bit = 0; bit < 64; bit++) {
        at[bit / 8] = (char)(at[bit / 8] ^ 1 << bit % 8);
        scans(VARVE_CORRUPTION, 1, "checksum");
        at[bit / 8] = (char)(at[bit / 8] ^ 1 << bit % 8);
    }
}

Test(wal_layout, record_every_byte_is_covered) {
    char *at = add_batch(1, 1);
    for (unsigned i = 0; i < VR_WAL_RECORD_BYTES + VR_BATCH_HEADER_BYTES + 3; i++) {
        at[i] ^= 0x20;
        scans(VARVE_CORRUPTION, 0, "record's");
        at[i] ^= 0x20;
    }
}

Test(wal_layout, record_length) {
    char *at = add_batch(1, 1);
    const uint32_t wrong[] = {0, 11, 4096 - 24 - 16, 4096, VARVE_BATCH_BYTES_MAX + 1u, UINT32_MAX};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        vr_put32(at + 8, wrong[i]);
        if (wrong[i] <= 4096 - 24) repair(at);
        scans(VARVE_CORRUPTION, 0, "payload length");
    }
}

Test(wal_layout, record_length_of_sync_and_seal) {
    char *at = add(VR_WAL_SYNC, 1, varve_bytes("01234567", 8));
    scans(VARVE_CORRUPTION, 0, "payload length");
    record_at = (size_t)(at - segment);
    add(VR_WAL_SEAL, 1, varve_bytes("01234567", 8));
    scans(VARVE_CORRUPTION, 0, "payload length");
}

Test(wal_layout, record_segment_number) {
    char *at = add_batch(1, 1);
    vr_put32(at + 12, 6); /* as in a recycled file */
    repair(at);
    scans(VARVE_CORRUPTION, 0, "segment number");
}

Test(wal_layout, record_type) {
    char *at = add_batch(1, 1);
    at[16] = 4;
    repair(at);
    scans(VARVE_UNSUPPORTED, 0, "type is 4");
    at[16] = 0;
    repair(at);
    scans(VARVE_UNSUPPORTED, 0, "type is 0");
}

Test(wal_layout, record_sequence) {
    char *at = add_batch(1, 2);
    vr_put64(at + 16, 0 << 8 | VR_WAL_BATCH);
    repair(at);
    scans(VARVE_CORRUPTION, 0, "first sequence is 0");
    vr_put64(at + 16, VR_SEQUENCE_MAX << 8 | VR_WAL_BATCH); /* the second change would be beyond the last sequence */
    repair(at);
    scans(VARVE_CORRUPTION, 0, "first sequence");
    vr_put64(at + 16, (VR_SEQUENCE_MAX - 1) << 8 | VR_WAL_BATCH);
    repair(at);
    scans(VARVE_OK, 1, NULL);
}

Test(wal_layout, record_sequences_without_a_gap) {
    add_batch(1, 2);
    add_batch(4, 1);
    scans(VARVE_CORRUPTION, 1, "first sequence is 4; expected 3");
}

Test(wal_layout, record_batch_header) {
    char *at = add_batch(1, 2);
    vr_put32(at + 24 + 8, 0);
    repair(at);
    scans(VARVE_CORRUPTION, 0, "holds no change");
    vr_put32(at + 24 + 8, 3);
    repair(at);
    scans(VARVE_CORRUPTION, 0, "count");
    vr_put32(at + 24 + 8, 2);
    at[24 + 7] = 1;
    repair(at);
    scans(VARVE_UNSUPPORTED, 0, "flags");
}

Test(wal_layout, record_synced_place) {
    char payload[16];
    const uint64_t wrong[][2] = {{8, 0}, {7, 4097}, {0, 0}, {UINT64_MAX, 0}};
    for (int i = 0; i < 4; i++) {
        vr_put64(payload, wrong[i][0]);
        vr_put64(payload + 8, wrong[i][1]);
        record_at = RECORDS;
        add(VR_WAL_SYNC, 1, varve_bytes(payload, 16));
        scans(VARVE_CORRUPTION, 0, "synced place");
    }
}

Test(wal_layout, record_room_for_the_seal) {
    char payload[SEGMENT_BYTES - RECORDS];
    memset(payload, 0, sizeof payload);
    vr_batch_header_encode(payload, 0, false, 1);
    add(VR_WAL_BATCH, 1, varve_bytes(payload, SEGMENT_BYTES - RECORDS - 48)); /* 24 bytes are left */
    scans(VARVE_OK, 1, NULL);
    record_at = RECORDS;
    add(VR_WAL_BATCH, 1, varve_bytes(payload, SEGMENT_BYTES - RECORDS - 47));
    scans(VARVE_CORRUPTION, 0, "payload length");
}

Test(wal_layout, padding_is_not_looked_at) {
    char *at = add_batch(1, 1); /* 15 bytes of payload */
    at[24 + 15] = 'x';
    scans(VARVE_OK, 1, NULL);
}

/* --- Golden bytes --- */

static varve_buffer golden(void) {
    char path[1024];
    varve_buffer bytes = {0};
    snprintf(path, sizeof path, "%s/tests/golden/wal-segment-v1.bin", VARVE_SOURCE_DIR);
    FILE *file = fopen(path, "rb");
    cr_assert_not_null(file);
    cr_assert(vr_buffer_reserve(&bytes, 65536));
    bytes.size = fread(bytes.data, 1, 65536, file);
    fclose(file);
    return bytes;
}

static void append_batch(wal_fixture *f, const vr_batch *batch) {
    varve_slice part = varve_buffer_slice(&batch->bytes);
    uint64_t first = vr_wal_last_sequence(f->wal) + 1;
    cr_assert_eq(vr_wal_append(f->wal, first, batch->count, &part, 1, &f->err), VARVE_OK, "%s", f->err.message);
}

/* The WAL of the document's example, in both modes: the same bytes. */
Test(wal_layout, the_golden_file_is_written) {
    const varve_wal_mode modes[] = {VARVE_WAL_MAPPED, VARVE_WAL_PWRITE};
    varve_buffer expected = golden();
    for (int i = 0; i < 2; i++) {
        wal_fixture f;
        vr_batch batch = {0};
        static char large[4096];
        const vr_change changes[] = {{VR_KIND_PUT, 1, varve_str("ada"), varve_str("1815")},
                                     {VR_KIND_DELETE, 300, varve_str("eve"), {NULL, 0}},
                                     {VR_KIND_POSITION, 1, {NULL, 0}, varve_str("@42")},
                                     {VR_KIND_PUT, 1, varve_str("k"), varve_str("vv")},
                                     {VR_KIND_PUT, 1, varve_str("l"), varve_bytes(large, sizeof large)}};
        wal_fixture_open(&f, modes[i], SEGMENT_BYTES);
        cr_assert_eq(vr_batch_clear(&batch, NULL), VARVE_OK);
        for (int c = 0; c < 3; c++) cr_assert_eq(vr_batch_append(&batch, &changes[c], NULL), VARVE_OK);
        vr_batch_header_encode(batch.bytes.data, UINT64_C(1767225600000), true, 3);
        append_batch(&f, &batch);
        wal_must_sync(&f);
        cr_assert_eq(vr_batch_clear(&batch, NULL), VARVE_OK);
        cr_assert_eq(vr_batch_append(&batch, &changes[3], NULL), VARVE_OK);
        vr_batch_header_encode(batch.bytes.data, UINT64_C(1767225600001), false, 1);
        append_batch(&f, &batch);
        cr_assert_eq(vr_batch_clear(&batch, NULL), VARVE_OK);
        cr_assert_eq(vr_batch_append(&batch, &changes[4], NULL), VARVE_OK);
        append_batch(&f, &batch); /* does not fit: seals the first segment */
        varve_buffer written = wal_read_file(&f, "0000000001.wal");
        cr_assert(vr_equal(varve_buffer_slice(&written), varve_buffer_slice(&expected)));
        varve_buffer_free(&written);
        vr_batch_free(&batch);
        wal_fixture_close(&f);
    }
    varve_buffer_free(&expected);
}

static bool expect_record(void *context, const vr_wal_record_info *record) {
    static const vr_wal_record_info expected[] = {{4096, 1, "batch", {NULL, 37}},
                                                  {4160, 3, "sync", {NULL, 16}},
                                                  {4200, 4, "batch", {NULL, 19}},
                                                  {4248, 4, "seal", {NULL, 0}}};
    unsigned *n = context;
    cr_assert_lt(*n, 4);
    const vr_wal_record_info *e = &expected[(*n)++];
    cr_assert(e->offset == record->offset && e->first_sequence == record->first_sequence);
    cr_assert_str_eq(e->type, record->type);
    cr_assert_eq(e->payload.size, record->payload.size);
    return true;
}

Test(wal_layout, the_golden_file_is_read) {
    varve_buffer bytes = golden();
    unsigned n = 0;
    cr_assert_eq(vr_wal_scan(varve_buffer_slice(&bytes), "golden", expect_record, &n, NULL), VARVE_OK);
    cr_assert_eq(n, 4);
    varve_buffer_free(&bytes);
}

Test(wal_layout, the_golden_file_is_inspected_and_recovered) {
    wal_fixture f;
    unsigned n = 0;
    varve_buffer bytes = golden();
    wal_fixture_open(&f, VARVE_WAL_MAPPED, SEGMENT_BYTES);
    wal_shut(&f);
    wal_write_file(&f, "0000000001.wal", varve_buffer_slice(&bytes));
    cr_assert_eq(vr_wal_inspect(&f.env, WAL_DIR "/0000000001.wal", expect_record, &n, &f.err), VARVE_OK, "%s", f.err.message);
    cr_assert_eq(n, 4);
    cr_assert_eq(vr_wal_inspect(&f.env, WAL_DIR "/none.wal", expect_record, &n, &f.err), VARVE_MISSING);
    cr_assert_eq(wal_open(&f), VARVE_CORRUPTION, "sealed, so there must be a second one");
    cr_assert(strstr(f.err.message, "0000000002.wal"), "%s", f.err.message);
    vr_put64(bytes.data + 4248, 1); /* without its SEAL it is the last */
    wal_write_file(&f, "0000000001.wal", varve_buffer_slice(&bytes));
    cr_assert_eq(wal_open(&f), VARVE_OK, "%s", f.err.message);
    cr_assert_eq(f.seen.batches, 2);
    cr_assert_eq(vr_wal_last_sequence(f.wal), 4);
    cr_assert_eq(vr_wal_synced_sequence(f.wal), 3);
    varve_buffer_free(&bytes);
    wal_fixture_close(&f);
}

Test(wal_layout, the_document_shows_the_golden_bytes) {
    varve_buffer bytes = golden();
    char line[256];
    size_t shown = 0;
    FILE *document = fopen(VARVE_SOURCE_DIR "/doc/format-wal.md", "r");
    cr_assert_not_null(document);
    while (fgets(line, sizeof line, document)) {
        unsigned offset, byte;
        int used = 0; /* stays so where the colon is missing */
        if (sscanf(line, "    %4x: %n", &offset, &used) != 1 || used == 0) continue;
        for (const char *at = line + used; sscanf(at, "%2x%n", &byte, &used) == 1; at += used, shown++, offset++) {
            cr_assert_lt(offset, bytes.size);
            cr_assert_eq((uint8_t)bytes.data[offset], byte, "offset %x", offset);
        }
    }
    fclose(document);
    cr_assert_eq(shown, 32 + 8 + 176, "%zu bytes shown: the header's fields, its checksum, all records", shown);
    varve_buffer_free(&bytes);
}

/* --- Names --- */

Test(wal_layout, names) {
    char name[VR_WAL_NAME_BYTES];
    uint64_t number = 0;
    vr_wal_name(name, 7);
    cr_assert_str_eq(name, "0000000007.wal");
    cr_assert_eq(vr_wal_name_parse(name, &number), VR_WAL_FILE_SEGMENT);
    cr_assert_eq(number, 7);
    vr_wal_name(name, VR_WAL_NUMBER_MAX);
    cr_assert_eq(vr_wal_name_parse(name, &number), VR_WAL_FILE_SEGMENT);
    cr_assert_eq(number, VR_WAL_NUMBER_MAX);
    vr_wal_new_name(name, 12);
    cr_assert_eq(vr_wal_name_parse(name, &number), VR_WAL_FILE_NEW);
    cr_assert_eq(number, 12);
    vr_wal_spare_name(name, 2);
    cr_assert_eq(vr_wal_name_parse(name, &number), VR_WAL_FILE_SPARE);
    cr_assert_eq(number, 2);
    const char *others[] = {"",
                            "wal",
                            "7.wal",
                            "0000000000.wal",
                            "00000000001.wal",
                            "000000001x.wal",
                            "spare-.wal",
                            "spare-10.wal",
                            "0000000001.wa",
                            "0000000001.wal.old",
                            "MANIFEST",
                            "spare-1",
                            "0000000001.walx",
                            "0000000001.table"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        cr_assert_eq(vr_wal_name_parse(others[i], &number), VR_WAL_FILE_OTHER, "%s", others[i]);
    }
}
