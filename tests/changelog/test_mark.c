/*
 * tests/changelog/test_mark.c - marks: the golden file both ways, one damage for each field.
 */
#include <criterion/criterion.h>
#include <stdio.h>

#include "mark.h"
#include "wire.h"

#define GOLDEN VARVE_SOURCE_DIR "/tests/golden/changelog-mark-v1.bin"

/* The mark of the worked example in doc/changelog-protocol.md. */
static vcl_mark example(void) {
    vcl_mark mark = {.base = false, .records = 3, .epoch = 7, .session = 0x5eed1234, .sequence = 1000042};
    for (unsigned i = 0; i < VCL_ID_BYTES; i++) {
        mark.lineage[i] = (uint8_t)(0x10 + i);
        mark.writer[i] = (uint8_t)(0xa0 + i);
    }
    return mark;
}

static void encoded(uint8_t out[VCL_MARK_BYTES]) {
    vcl_mark mark = example();
    vcl_mark_encode(&mark, out);
}

static varve_status decode(const uint8_t *bytes, size_t size, vcl_mark *mark, varve_error *err) {
    return vcl_mark_decode(varve_bytes(bytes, size), mark, err);
}

static void seal(uint8_t bytes[VCL_MARK_BYTES]) {
    vcl_put(bytes + 56, 8, vcl_hash(bytes, 56));
}

Test(mark, what_is_encoded_is_decoded) {
    for (int base = 0; base < 2; base++) {
        vcl_mark mark = example(), got;
        varve_error err;
        uint8_t bytes[VCL_MARK_BYTES];
        mark.base = base;
        vcl_mark_encode(&mark, bytes);
        cr_assert_eq(decode(bytes, sizeof bytes, &got, &err), VARVE_OK);
        cr_expect_eq(got.base, mark.base);
        cr_expect_eq(got.records, mark.records);
        cr_expect_eq(got.epoch, mark.epoch);
        cr_expect_eq(got.session, mark.session);
        cr_expect_eq(got.sequence, mark.sequence);
        cr_expect_eq(got.hash, mark.hash);
        cr_expect(vcl_id_equal(got.lineage, mark.lineage));
        cr_expect(vcl_id_equal(got.writer, mark.writer));
    }
}

Test(mark, the_golden_file_is_what_is_written_and_read) {
    uint8_t golden[VCL_MARK_BYTES + 1], bytes[VCL_MARK_BYTES];
    FILE *file = fopen(GOLDEN, "rb");
    cr_assert(file, "%s", GOLDEN);
    cr_assert_eq(fread(golden, 1, sizeof golden, file), VCL_MARK_BYTES);
    fclose(file);
    encoded(bytes);
    cr_expect_arr_eq(bytes, golden, VCL_MARK_BYTES);
    vcl_mark got;
    varve_error err;
    cr_assert_eq(decode(golden, VCL_MARK_BYTES, &got, &err), VARVE_OK);
    cr_expect_eq(got.sequence, 1000042);
}

/* Every flipped bit is noticed: by the version, or by the checksum. */
Test(mark, every_flipped_bit_is_noticed) {
    uint8_t bytes[VCL_MARK_BYTES];
    vcl_mark got;
    varve_error err;
    encoded(bytes);
    for (unsigned bit = 0; bit < 8 * VCL_MARK_BYTES; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        cr_expect_eq(decode(bytes, sizeof bytes, &got, &err), bit < 8 ? VARVE_UNSUPPORTED : VARVE_CORRUPTION, "bit %u", bit);
        bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
}

Test(mark, every_other_size_is_refused) {
    uint8_t bytes[VCL_MARK_BYTES + 8] = {0};
    vcl_mark got;
    varve_error err;
    encoded(bytes);
    for (size_t size = 0; size <= sizeof bytes; size++) {
        cr_expect_eq(decode(bytes, size, &got, &err), size == VCL_MARK_BYTES ? VARVE_OK : VARVE_CORRUPTION, "size %zu", size);
    }
}

/* A field with a value that is not allowed, under a checksum that is right. */
static void field_is_refused(unsigned at, unsigned size, uint64_t value, varve_status status, const char *name) {
    uint8_t bytes[VCL_MARK_BYTES];
    vcl_mark got;
    varve_error err;
    encoded(bytes);
    for (unsigned i = 0; i < size; i++) bytes[at + i] = i < 8 ? (uint8_t)(value >> (8 * i)) : 0;
    seal(bytes);
    cr_expect_eq(decode(bytes, sizeof bytes, &got, &err), status, "%s", name);
    cr_expect(strstr(err.message, name), "%s: %s", name, err.message);
}

Test(mark, version) {
    field_is_refused(0, 1, 2, VARVE_UNSUPPORTED, "version is 2");
}
Test(mark, flags) {
    field_is_refused(1, 1, 2, VARVE_UNSUPPORTED, "flags are 2");
}
Test(mark, reserved) {
    field_is_refused(2, 2, 1, VARVE_CORRUPTION, "reserved field is 1");
}
Test(mark, records) {
    field_is_refused(4, 4, 0, VARVE_CORRUPTION, "records is 0");
}
Test(mark, epoch) {
    field_is_refused(8, 4, 0, VARVE_CORRUPTION, "epoch is 0");
}
Test(mark, session) {
    field_is_refused(12, 4, 0, VARVE_CORRUPTION, "session is 0");
}
Test(mark, lineage) {
    field_is_refused(16, 16, 0, VARVE_CORRUPTION, "lineage is 0");
}
Test(mark, writer) {
    field_is_refused(32, 16, 0, VARVE_CORRUPTION, "writer is 0");
}

Test(mark, checksum) {
    uint8_t bytes[VCL_MARK_BYTES];
    vcl_mark got = {.records = 77};
    varve_error err;
    encoded(bytes);
    bytes[56] ^= 1;
    cr_expect_eq(decode(bytes, sizeof bytes, &got, &err), VARVE_CORRUPTION);
    cr_expect(strstr(err.message, "checksum"), "%s", err.message);
    cr_expect_eq(got.records, 77, "the output is touched");
}

Test(mark, an_id_in_hexadecimal) {
    vcl_mark mark = example();
    cr_expect_str_eq(vcl_id_name(mark.lineage).text, "101112131415161718191a1b1c1d1e1f");
}
