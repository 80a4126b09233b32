/*
 * The filter: no key that was added is denied, few others are let through, damage is refused, and an unknown kind is done without.
 */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "base/hash.h"
#include "table/filter.h"
#include "table_fixture.h"

static const vr_place place = {.path = "t.tbl", .table_id = 1, .offset = 4096};

static uint64_t hash_of(uint64_t number) {
    return vr_hash(&number, sizeof number);
}

/* A filter over the hashes of 0..keys-1, malloc'd. */
static varve_slice make_filter(uint64_t keys, uint32_t bits) {
    uint64_t *hashes = malloc((keys + 1) * sizeof *hashes);
    for (uint64_t i = 0; i < keys; i++) hashes[i] = hash_of(i);
    size_t size = vr_filter_bytes(keys, bits);
    char *bytes = malloc(size);
    vr_filter_build(bytes, hashes, keys, bits);
    free(hashes);
    return varve_bytes(bytes, size);
}

Test(filter, finds_all_and_little_else) {
    const struct {
        uint32_t bits;
        double wrong_max;
    } cases[] = {{4, 0.17}, {7, 0.05}, {10, 0.014}, {16, 0.0025}, {20, 0.0015}};
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        uint64_t keys = 20000, wrong = 0;
        varve_slice bytes = make_filter(keys, cases[c].bits);
        vr_filter filter;
        cr_assert_eq(vr_filter_decode(bytes, &place, &filter, NULL), VARVE_OK);
        cr_assert_eq(filter.keys, keys);
        for (uint64_t i = 0; i < keys; i++) cr_assert(vr_filter_test(&filter, hash_of(i)), "key %zu is denied", (size_t)i);
        for (uint64_t i = keys; i < 3 * keys; i++) wrong += vr_filter_test(&filter, hash_of(i));
        cr_assert_lt((double)wrong / (2.0 * (double)keys), cases[c].wrong_max, "%u bits: %zu wrong", cases[c].bits, (size_t)wrong);
        free((void *)(uintptr_t)bytes.data);
    }
}

Test(filter, of_few_keys) {
    for (uint64_t keys = 1; keys < 60; keys++) {
        varve_slice bytes = make_filter(keys, 10);
        vr_filter filter;
        cr_assert_eq(vr_filter_decode(bytes, &place, &filter, NULL), VARVE_OK);
        for (uint64_t i = 0; i < keys; i++) cr_assert(vr_filter_test(&filter, hash_of(i)));
        free((void *)(uintptr_t)bytes.data);
    }
}

Test(filter, each_damaged_field_is_refused) {
    varve_slice bytes = make_filter(100, 10);
    const struct {
        size_t at;
        char value;
        const char *names;
    } damages[] = {{1, 0, "probes"}, {1, 13, "probes"},         {2, 1, "reserved bytes"}, {4, 0, "lines"},
                   {4, 99, "lines"}, {16, 1, "reserved bytes"}, {63, 1, "reserved bytes"}};
    char *copy = malloc(bytes.size);
    for (size_t i = 0; i < sizeof damages / sizeof damages[0]; i++) {
        vr_filter filter;
        varve_error err = {0};
        memcpy(copy, bytes.data, bytes.size);
        copy[damages[i].at] = damages[i].value;
        cr_assert_eq(vr_filter_decode(varve_bytes(copy, bytes.size), &place, &filter, &err), VARVE_CORRUPTION, "damage %zu", i);
        cr_assert_not_null(strstr(err.message, damages[i].names), "%s", err.message);
        cr_assert_null(filter.lines);
    }
    free(copy);
    for (size_t size = 0; size < bytes.size; size++) { /* every cut: copied, so that a read past its end is seen */
        vr_filter filter;
        char *cut = malloc(size ? size : 1);
        memcpy(cut, bytes.data, size);
        cr_assert_eq(vr_filter_decode(varve_bytes(cut, size), &place, &filter, NULL), VARVE_CORRUPTION, "cut to %zu", size);
        free(cut);
    }
    free((void *)(uintptr_t)bytes.data);
}

Test(filter, unknown_kind_is_done_without) {
    vr_filter filter;
    const char later[] = {2, 99, 99};
    cr_assert_eq(vr_filter_decode(varve_bytes(later, sizeof later), &place, &filter, NULL), VARVE_OK);
    cr_assert_null(filter.lines);
    for (uint64_t i = 0; i < 100; i++) cr_assert(vr_filter_test(&filter, hash_of(i)));
}
