/*
 * Fuzzes filters and properties (table/filter.h, table/properties.h): the first byte chooses. What is decoded is used; properties
 * that are decoded encode to something that decodes to the same.
 */
#include <stdint.h>

#include "table/filter.h"
#include "table/properties.h"

static const vr_place place = {.path = "fuzz", .table_id = 1, .offset = 0};

static void check_filter(varve_slice raw) {
    vr_filter filter;
    varve_error err;
    if (vr_filter_decode(raw, &place, &filter, &err) != VARVE_OK) return;
    for (uint64_t hash = 1; hash != 0; hash <<= 1) {
        bool straight = vr_filter_test(&filter, hash), inverse = vr_filter_test(&filter, ~hash);
        if (!filter.lines && !(straight && inverse)) __builtin_trap();
    }
}

static void check_properties(varve_slice raw) {
    vr_properties p, again;
    varve_error err;
    varve_buffer bytes = {0};
    if (vr_properties_decode(raw, &place, &p, &err) != VARVE_OK) return;
    if (vr_properties_encode(&p, &bytes)) {
        if (vr_properties_decode(varve_buffer_slice(&bytes), &place, &again, &err) != VARVE_OK) __builtin_trap();
        if (again.summary.entries != p.summary.entries || again.compression_level != p.compression_level) __builtin_trap();
        vr_table_summary_free(&again.summary);
    }
    varve_buffer_free(&bytes);
    vr_table_summary_free(&p.summary);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1) return 0;
    varve_slice raw = varve_bytes(data + 1, size - 1);
    if (data[0] & 1) {
        check_filter(raw);
    } else {
        check_properties(raw);
    }
    return 0;
}
