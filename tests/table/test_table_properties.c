/*
 * The properties frame: what is written is read; each field that is wrong or missing is refused; unknown tags go by their low bit.
 */
#include <criterion/criterion.h>
#include <varve/varve.h>

#include "base/bytes.h"
#include "table/properties.h"

static const vr_place place = {.path = "t.tbl", .table_id = 1, .offset = 4096};

static vr_properties sample(void) {
    vr_properties p = {.block_bytes = 4096, .compression_level = -7, .filter_bits = 10};
    p.summary = (vr_table_summary){.entries = 300, .tombstones = 3, .raw_bytes = 30000, .min_sequence = 5, .max_sequence = 400};
    cr_assert(vr_buffer_set(&p.summary.min_key, varve_str("aa")));
    cr_assert(vr_buffer_set(&p.summary.max_key, varve_str("zz")));
    return p;
}

static void append(varve_buffer *out, uint64_t tag, varve_slice bytes) {
    char head[2 * VR_VARINT64_BYTES_MAX];
    char *end = vr_put_varint(vr_put_varint(head, tag), bytes.size);
    cr_assert(vr_buffer_append(out, head, (size_t)(end - head)) && vr_buffer_append(out, bytes.data, bytes.size));
}

static void append_number(varve_buffer *out, uint64_t tag, uint64_t value) {
    char number[VR_VARINT64_BYTES_MAX];
    append(out, tag, varve_bytes(number, (size_t)(vr_put_varint(number, value) - number)));
}

Test(table_properties, round_trip) {
    const int32_t levels[] = {-7, -1, 0, 1, 19, VARVE_COMPRESSION_NONE};
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
        vr_properties p = sample(), read;
        varve_buffer bytes = {0};
        varve_error err = {0};
        p.compression_level = levels[i];
        cr_assert(vr_properties_encode(&p, &bytes));
        cr_assert_eq(vr_properties_decode(varve_buffer_slice(&bytes), &place, &read, &err), VARVE_OK, "%s", err.message);
        cr_assert_eq(read.summary.entries, 300);
        cr_assert_eq(read.summary.tombstones, 3);
        cr_assert_eq(read.summary.raw_bytes, 30000);
        cr_assert_eq(read.summary.min_sequence, 5);
        cr_assert_eq(read.summary.max_sequence, 400);
        cr_assert(vr_equal(varve_buffer_slice(&read.summary.min_key), varve_str("aa")));
        cr_assert(vr_equal(varve_buffer_slice(&read.summary.max_key), varve_str("zz")));
        cr_assert_eq(read.block_bytes, 4096);
        cr_assert_eq(read.compression_level, levels[i]);
        cr_assert_eq(read.filter_bits, 10);
        vr_table_summary_free(&read.summary);
        for (size_t cut = 0; cut < bytes.size; cut++) { /* a cut leaves out a required field, but for the last two */
            varve_status st = vr_properties_decode(varve_bytes(bytes.data, cut), &place, &read, &err);
            if (st == VARVE_OK) {
                vr_table_summary_free(&read.summary);
                cr_assert_geq(cut, bytes.size - 7);
            } else {
                cr_assert_eq(st, VARVE_CORRUPTION);
            }
        }
        vr_table_summary_free(&p.summary);
        varve_buffer_free(&bytes);
    }
}

/* One required field after the other is left out or wrong. */
typedef struct field {
    uint64_t tag, value;
    uint64_t wrong; /* a value that is refused; equal to value: none is */
    const char *name;
} field;

static const field fields[] = {{2, 300, 0, "entries"},
                               {4, 3, 301, "tombstones"},
                               {6, 30000, 30000, "raw bytes"},
                               {8, 5, VR_SEQUENCE_MAX + 1, "min sequence"},
                               {10, 400, 4, "max sequence"},
                               {12, 0, 0, "first key"},
                               {14, 0, 0, "last key"},
                               {16, 4096, 1023, "block size"},
                               {17, 13, UINT64_C(1) << 31, "compression level"},
                               {19, 10, UINT64_C(1) << 32, "filter bits"}};
enum { FIELDS = sizeof fields / sizeof fields[0], NONE = 99 };

/* Encodes all fields but without (an index), with the wrong value in wrong (an index). */
static varve_status decode_with(size_t without, size_t wrong, varve_error *err) {
    varve_buffer bytes = {0};
    vr_properties read;
    for (size_t i = 0; i < FIELDS; i++) {
        if (i == without) continue;
        bool key = fields[i].tag == 12 || fields[i].tag == 14;
        if (key) append(&bytes, fields[i].tag, varve_str("k"));
        if (!key) append_number(&bytes, fields[i].tag, i == wrong ? fields[i].wrong : fields[i].value);
    }
    varve_status st = vr_properties_decode(varve_buffer_slice(&bytes), &place, &read, err);
    if (st == VARVE_OK) vr_table_summary_free(&read.summary);
    varve_buffer_free(&bytes);
    return st;
}

Test(table_properties, each_field_missing_or_wrong) {
    varve_error err = {0};
    cr_assert_eq(decode_with(NONE, NONE, &err), VARVE_OK, "%s", err.message);
    for (size_t i = 0; i < FIELDS; i++) {
        bool required = fields[i].tag % 2 == 0;
        cr_assert_eq(decode_with(i, NONE, &err), required ? VARVE_CORRUPTION : VARVE_OK, "without %s", fields[i].name);
        if (fields[i].wrong == fields[i].value) continue;
        cr_assert_eq(decode_with(NONE, i, &err), VARVE_CORRUPTION, "wrong %s", fields[i].name);
        cr_assert_not_null(strstr(err.message, fields[i].name), "%s", err.message);
        cr_assert_not_null(strstr(err.message, "t.tbl: offset 4096: "), "%s", err.message);
    }
}

/* Decodes the sample with one field more at its end. */
static varve_status decode_extended(uint64_t tag, varve_slice content, varve_error *err) {
    vr_properties p = sample(), read;
    varve_buffer bytes = {0};
    cr_assert(vr_properties_encode(&p, &bytes));
    append(&bytes, tag, content);
    varve_status st = vr_properties_decode(varve_buffer_slice(&bytes), &place, &read, err);
    if (st == VARVE_OK) vr_table_summary_free(&read.summary);
    vr_table_summary_free(&p.summary);
    varve_buffer_free(&bytes);
    return st;
}

Test(table_properties, unknown_tags) {
    varve_error err = {0};
    cr_assert_eq(decode_extended(21, varve_str("whatever"), &err), VARVE_OK, "%s", err.message);
    cr_assert_eq(decode_extended(UINT64_MAX, varve_str(""), &err), VARVE_OK, "%s", err.message);
    cr_assert_eq(decode_extended(20, varve_str("whatever"), &err), VARVE_UNSUPPORTED);
    cr_assert_not_null(strstr(err.message, "tag 20"));
    cr_assert_eq(decode_extended(19, varve_str("\x0a"), &err), VARVE_CORRUPTION); /* twice */
    cr_assert_eq(decode_extended(3, varve_str("\x0a"), &err), VARVE_CORRUPTION);  /* out of order */
}

Test(table_properties, numbers_fill_their_field) {
    varve_error err = {0};
    vr_properties read;
    const char two_varints[] = {2, 2, 1, 1}, unfinished[] = {2, 1, (char)0x80}, empty[] = {2, 0}, beyond[] = {2, 5, 1};
    const varve_slice cases[] = {varve_bytes(two_varints, 4), varve_bytes(unfinished, 3), varve_bytes(empty, 2),
                                 varve_bytes(beyond, 3)};
    for (size_t i = 0; i < 4; i++)
        cr_assert_eq(vr_properties_decode(cases[i], &place, &read, &err), VARVE_CORRUPTION, "case %zu", i);
}

Test(table_properties, keys_beyond_the_limit) {
    varve_buffer bytes = {0}, key = {0};
    vr_properties read;
    varve_error err = {0};
    cr_assert(vr_buffer_reserve(&key, VARVE_KEY_BYTES_MAX + 1));
    memset(key.data, 'k', VARVE_KEY_BYTES_MAX + 1);
    append(&bytes, 12, varve_bytes(key.data, VARVE_KEY_BYTES_MAX + 1));
    cr_assert_eq(vr_properties_decode(varve_buffer_slice(&bytes), &place, &read, &err), VARVE_CORRUPTION);
    cr_assert_not_null(strstr(err.message, "first key's size"));
    varve_buffer_free(&bytes);
    varve_buffer_free(&key);
}
