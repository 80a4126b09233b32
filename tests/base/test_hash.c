/*
 * The hash is part of the formats: its values are fixed for ever (base/hash.h).
 */
#include <criterion/criterion.h>
#include <xxhash.h>

#include "base/hash.h"

Test(hash, values_are_fixed) {
    /* From the xxHash specification's reference implementation: XXH3, 64 bits. */
    cr_assert_eq(vr_hash("", 0), UINT64_C(0x2d06800538d394c2));
    cr_assert_eq(vr_hash(NULL, 0), UINT64_C(0x2d06800538d394c2));
    cr_assert_eq(vr_hash("a", 1), UINT64_C(0xe6c632b61e964e1f));
    cr_assert_eq(vr_hash("abc", 3), UINT64_C(0x78af5f94892f3950));
}

Test(hash, same_as_the_library_at_every_length) {
    static char bytes[2048];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (char)(i * 131 + 7);
    for (size_t size = 0; size <= sizeof bytes; size++) {
        cr_assert_eq(vr_hash(bytes, size), XXH3_64bits(bytes, size), "%zu bytes", size);
        cr_assert_eq(vr_hash_seeded(bytes, size, size), XXH3_64bits_withSeed(bytes, size, size), "%zu bytes", size);
        cr_assert_eq(vr_key_hash(varve_bytes(bytes, size)), vr_hash(bytes, size));
    }
}

Test(hash, seeds_differ) {
    cr_assert_neq(vr_hash_seeded("key", 3, 1), vr_hash_seeded("key", 3, 2));
    cr_assert_eq(vr_hash_seeded("key", 3, 0), vr_hash("key", 3));
}
