/*
 * kv/cursor.c - the one order of entries.
 */
#include "kv/cursor.h"

#include "base/bytes.h"

int vr_entry_compare(varve_slice a_key, uint64_t a_trailer, varve_slice b_key, uint64_t b_trailer) {
    int order = vr_compare(a_key, b_key);
    if (order != 0) return order;
    return (a_trailer < b_trailer) - (a_trailer > b_trailer); /* the newer one first */
}
