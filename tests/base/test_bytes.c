/*
 * Little-endian integers, varints, slices and key prefixes (base/bytes.h).
 */
#include <criterion/criterion.h>

#include "base/bytes.h"

Test(bytes, integers_are_little_endian) {
    unsigned char out[8];
    vr_put16(out, 0x0102);
    cr_assert(out[0] == 2 && out[1] == 1);
    cr_assert_eq(vr_get16(out), 0x0102);
    vr_put32(out, 0x01020304u);
    cr_assert(memcmp(out, "\x04\x03\x02\x01", 4) == 0);
    cr_assert_eq(vr_get32(out), 0x01020304u);
    vr_put64(out, UINT64_C(0x0102030405060708));
    cr_assert(memcmp(out, "\x08\x07\x06\x05\x04\x03\x02\x01", 8) == 0);
    cr_assert_eq(vr_get64(out), UINT64_C(0x0102030405060708));
}

Test(bytes, varint_round_trip_at_every_length) {
    for (unsigned bit = 0; bit < 64; bit++) {
        for (int delta = -1; delta <= 1; delta++) {
            uint64_t value = (UINT64_C(1) << bit) + (uint64_t)(int64_t)delta;
            char out[VR_VARINT64_BYTES_MAX];
            size_t size = (size_t)(vr_put_varint(out, value) - out);
            cr_assert_eq(size, vr_varint_bytes(value));
            varve_slice in = varve_bytes(out, size);
            uint64_t back;
            cr_assert(vr_take_varint(&in, UINT64_MAX, &back));
            cr_assert_eq(back, value);
            cr_assert_eq(in.size, 0);
        }
    }
}

static bool take(const char *data, size_t size, uint64_t max, uint64_t *value) {
    varve_slice in = varve_bytes(data, size);
    bool taken = vr_take_varint(&in, max, value);
    if (!taken) cr_assert(in.data == data && in.size == size, "a refused varint must leave the input");
    return taken;
}

Test(bytes, varint_is_cut_at_every_byte) {
    char out[VR_VARINT64_BYTES_MAX];
    size_t size = (size_t)(vr_put_varint(out, UINT64_MAX) - out);
    cr_assert_eq(size, VR_VARINT64_BYTES_MAX);
    uint64_t value;
    for (size_t cut = 0; cut < size; cut++) cr_assert_not(take(out, cut, UINT64_MAX, &value));
    cr_assert(take(out, size, UINT64_MAX, &value));
    cr_assert_eq(value, UINT64_MAX);
}

Test(bytes, varint_bounds_and_shortest_form) {
    uint64_t value = 7;
    cr_assert(take("\x7f", 1, 127, &value));
    cr_assert_not(take("\x80\x01", 2, 127, &value)); /* 128 */
    cr_assert(take("\x80\x01", 2, 128, &value));
    cr_assert_eq(value, 128);
    cr_assert(take("\x00", 1, 0, &value));
    cr_assert_eq(value, 0);
    cr_assert_not(take("\x80\x00", 2, UINT64_MAX, &value));     /* 0 in two bytes */
    cr_assert_not(take("\xff\x80\x00", 3, UINT64_MAX, &value)); /* 127 in three */
    /* The tenth byte has room for one bit. */
    cr_assert_not(take("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10, UINT64_MAX, &value));
    cr_assert_not(take("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 11, UINT64_MAX, &value));
    cr_assert(take("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 10, UINT64_MAX, &value));
    cr_assert_eq(value, UINT64_C(1) << 63);
}

Test(bytes, take_moves_on_or_not_at_all) {
    varve_slice in = varve_str("abcdef");
    varve_slice out;
    cr_assert(vr_take(&in, 2, &out));
    cr_assert(vr_equal(out, varve_str("ab")));
    cr_assert_not(vr_take(&in, 5, &out));
    cr_assert(vr_equal(in, varve_str("cdef")));
    cr_assert(vr_take(&in, 4, &out));
    cr_assert(vr_take(&in, 0, &out));
    cr_assert_eq(out.size, 0);
}

Test(bytes, order_of_keys) {
    cr_assert_lt(vr_compare(varve_str(""), varve_str("a")), 0);
    cr_assert_lt(vr_compare(varve_str("a"), varve_str("ab")), 0);
    cr_assert_lt(vr_compare(varve_str("ab"), varve_str("b")), 0);
    cr_assert_gt(vr_compare(varve_bytes("\xff", 1), varve_bytes("\x7f", 1)), 0, "bytes are unsigned");
    cr_assert_eq(vr_compare(varve_str("x"), varve_str("x")), 0);
    cr_assert_eq(vr_compare((varve_slice){0}, varve_str("")), 0, "an empty slice may have no address");
    cr_assert(vr_equal((varve_slice){0}, varve_str("")));
    cr_assert_not(vr_equal(varve_str("a"), varve_str("b")));
}

Test(bytes, prefixes) {
    cr_assert(vr_starts_with(varve_str("user:1"), varve_str("user:")));
    cr_assert(vr_starts_with(varve_str("a"), (varve_slice){0}));
    cr_assert_not(vr_starts_with(varve_str("use"), varve_str("user")));
    cr_assert_eq(vr_common_prefix(varve_str("user:1"), varve_str("user:2")), 5);
    cr_assert_eq(vr_common_prefix(varve_str("a"), varve_str("ab")), 1);
    cr_assert_eq(vr_common_prefix(varve_str(""), varve_str("ab")), 0);
}

Test(bytes, key_prefix_is_monotone) {
    static const char *const keys[] = {"", "\x01", "a", "aa", "abcdefg", "abcdefgh", "abcdefgi", "b", "\x7f", "\x80", "\xff\xff"};
    for (size_t i = 0; i + 1 < sizeof keys / sizeof keys[0]; i++) {
        uint64_t here = vr_key_prefix(keys[i], strlen(keys[i]));
        uint64_t next = vr_key_prefix(keys[i + 1], strlen(keys[i + 1]));
        cr_assert_lt(here, next, "key %zu", i);
    }
    cr_assert_eq(vr_key_prefix("abcdefgh", 8), UINT64_C(0x6162636465666768));
    cr_assert_eq(vr_key_prefix("abcdefghX", 9), vr_key_prefix("abcdefgh", 8));
    cr_assert_eq(vr_key_prefix("a\0", 2), vr_key_prefix("a", 1), "equal prefixes decide nothing");
}

Test(bytes, alignment) {
    cr_assert_eq(vr_align_up(0, 8), 0);
    cr_assert_eq(vr_align_up(1, 8), 8);
    cr_assert_eq(vr_align_up(8, 8), 8);
    cr_assert_eq(vr_align_up(10, 6), 12);
    cr_assert_eq(vr_min_size(3, 2), 2);
}
