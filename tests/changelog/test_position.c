/*
 * tests/changelog/test_position.c - positions: the golden file both ways, one damage for each field.
 */
#include <criterion/criterion.h>
#include <stdio.h>

#include "position.h"
#include "wire.h"

#define GOLDEN VARVE_SOURCE_DIR "/tests/golden/changelog-position-v1.bin"

enum { EXAMPLE_BYTES = VCL_POSITION_HEADER_BYTES + 15 + 8 };

/* The position of the worked example in doc/changelog-protocol.md. */
static vcl_position example(void) {
    vcl_position position = {.epoch = 7,
                             .session = 0x5eed1234,
                             .partition = 2,
                             .next_offset = 500,
                             .target_offset = 500,
                             .acknowledged = 1000042,
                             .synced_ms = 1790000000000,
                             .mark_offset = 499,
                             .mark_hash = 0x0123456789abcdef,
                             .topic = "users-changelog"};
    for (unsigned i = 0; i < VCL_ID_BYTES; i++) {
        position.lineage[i] = (uint8_t)(0x10 + i);
        position.writer[i] = (uint8_t)(0xa0 + i);
        position.topic_id[i] = (uint8_t)(0x50 + i);
    }
    return position;
}

static size_t encoded(uint8_t out[VCL_POSITION_BYTES_MAX]) {
    vcl_position position = example();
    return vcl_position_encode(&position, out);
}

static varve_status decode(const uint8_t *bytes, size_t size, vcl_position *position, varve_error *err) {
    return vcl_position_decode(varve_bytes(bytes, size), position, err);
}

static void expect_same(const vcl_position *a, const vcl_position *b) {
    cr_expect_eq(a->restoring, b->restoring);
    cr_expect_eq(a->copying, b->copying);
    cr_expect_eq(a->epoch, b->epoch);
    cr_expect_eq(a->session, b->session);
    cr_expect_eq(a->partition, b->partition);
    cr_expect_eq(a->next_offset, b->next_offset);
    cr_expect_eq(a->target_offset, b->target_offset);
    cr_expect_eq(a->acknowledged, b->acknowledged);
    cr_expect_eq(a->synced_ms, b->synced_ms);
    cr_expect_eq(a->mark_offset, b->mark_offset);
    cr_expect_eq(a->mark_hash, b->mark_hash);
    cr_expect(vcl_id_equal(a->lineage, b->lineage));
    cr_expect(vcl_id_equal(a->writer, b->writer));
    cr_expect(vcl_id_equal(a->topic_id, b->topic_id));
    cr_expect_str_eq(a->topic, b->topic);
}

Test(position, what_is_encoded_is_decoded) {
    for (unsigned flags = 0; flags < 4; flags++) {
        uint8_t bytes[VCL_POSITION_BYTES_MAX];
        vcl_position position = example(), got;
        varve_error err;
        position.restoring = flags & 1;
        position.copying = (flags & 2) != 0;
        memset(position.topic, 'x', flags == 3 ? VCL_TOPIC_BYTES_MAX : 0);
        size_t size = vcl_position_encode(&position, bytes);
        cr_expect_leq(size, VARVE_POSITION_BYTES_MAX);
        cr_assert_eq(decode(bytes, size, &got, &err), VARVE_OK);
        expect_same(&position, &got);
    }
}

Test(position, the_golden_file_is_what_is_written_and_read) {
    uint8_t golden[VCL_POSITION_BYTES_MAX], bytes[VCL_POSITION_BYTES_MAX];
    FILE *file = fopen(GOLDEN, "rb");
    cr_assert(file, "%s", GOLDEN);
    cr_assert_eq(fread(golden, 1, sizeof golden, file), EXAMPLE_BYTES);
    fclose(file);
    cr_assert_eq(encoded(bytes), EXAMPLE_BYTES);
    cr_expect_arr_eq(bytes, golden, EXAMPLE_BYTES);
    vcl_position got, position = example();
    varve_error err;
    cr_assert_eq(decode(golden, EXAMPLE_BYTES, &got, &err), VARVE_OK);
    expect_same(&position, &got);
}

Test(position, every_flipped_bit_and_every_cut_is_noticed) {
    uint8_t bytes[VCL_POSITION_BYTES_MAX];
    vcl_position got;
    varve_error err;
    size_t size = encoded(bytes);
    for (unsigned bit = 0; bit < 8 * size; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        cr_expect_eq(decode(bytes, size, &got, &err), bit < 8 ? VARVE_UNSUPPORTED : VARVE_CORRUPTION, "bit %u", bit);
        bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    for (size_t cut = 0; cut < size; cut++) cr_expect_eq(decode(bytes, cut, &got, &err), VARVE_CORRUPTION, "cut at %zu", cut);
}

static void field_is_refused(unsigned at, unsigned size, uint64_t value, varve_status status, const char *name) {
    uint8_t bytes[VCL_POSITION_BYTES_MAX];
    vcl_position got = {.epoch = 77};
    varve_error err;
    size_t all = encoded(bytes);
    vcl_put(bytes + at, size, value);
    vcl_put(bytes + all - 8, 8, vcl_hash(bytes, all - 8));
    cr_expect_eq(decode(bytes, all, &got, &err), status, "%s", name);
    cr_expect(strstr(err.message, name), "%s: %s", name, err.message);
    cr_expect_eq(got.epoch, 77, "the output is touched");
}

Test(position, version) {
    field_is_refused(0, 1, 2, VARVE_UNSUPPORTED, "version is 2");
}
Test(position, flags) {
    field_is_refused(1, 1, 4, VARVE_UNSUPPORTED, "flags are 4");
}
Test(position, topic_bytes) {
    field_is_refused(2, 2, 14, VARVE_CORRUPTION, "bytes of the topic's name is 14");
    field_is_refused(2, 2, 16, VARVE_CORRUPTION, "bytes of the topic's name is 16");
}
Test(position, topic) {
    field_is_refused(VCL_POSITION_HEADER_BYTES + 3, 1, 0, VARVE_CORRUPTION, "topic's name");
}
Test(position, partition) {
    field_is_refused(12, 4, 0x80000000, VARVE_CORRUPTION, "partition is -2147483648");
}
Test(position, next_offset) {
    field_is_refused(48, 8, UINT64_MAX, VARVE_CORRUPTION, "next offset is -1");
}
Test(position, target_offset) {
    field_is_refused(56, 8, UINT64_MAX, VARVE_CORRUPTION, "target offset is -1");
}
Test(position, wall_clock) {
    field_is_refused(72, 8, UINT64_MAX, VARVE_CORRUPTION, "wall clock is -1");
}
Test(position, mark_offset) {
    field_is_refused(80, 8, 500, VARVE_CORRUPTION, "mark offset is 500");
    field_is_refused(80, 8, (uint64_t)-2, VARVE_CORRUPTION, "mark offset is -2");
}

Test(position, target_while_restoring) {
    uint8_t bytes[VCL_POSITION_BYTES_MAX];
    vcl_position position = example(), got;
    varve_error err;
    position.restoring = true;
    position.target_offset = 499;
    size_t size = vcl_position_encode(&position, bytes);
    cr_expect_eq(decode(bytes, size, &got, &err), VARVE_CORRUPTION);
    cr_expect(strstr(err.message, "while restoring"), "%s", err.message);
}

Test(position, a_program_s_own_position_is_told_from_ours) {
    vcl_position got;
    varve_error err;
    cr_expect_eq(vcl_position_decode(varve_str("{\"offsets\": [1, 2, 3]}"), &got, &err), VARVE_UNSUPPORTED);
    cr_expect(strstr(err.message, "another program"), "%s", err.message);
}
