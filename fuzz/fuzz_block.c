/*
 * Fuzzes blocks (table/block.h): the first byte chooses data or index, the rest is the block. What passes the check is read in
 * every way without leaving the bytes; keys found by index lie where a search finds them when the block is in order.
 */
#include <stdint.h>
#include <stdlib.h>

#include "table/block.h"

/* Reads entry i; key has room. */
static size_t read_entry(const vr_block_view *view, uint32_t i, char *key) {
    size_t size = vr_block_key_suffix(view, i, key);
    VR_CHECK(size <= VARVE_KEY_BYTES_MAX);
    varve_slice value = vr_block_value(view, i);
    volatile char last = value.size ? value.data[value.size - 1] : 0;
    (void)last;
    return size;
}

static void read_block(const vr_block_view *view) {
    bool ordered = true, same;
    char *key = malloc(vr_block_key_room(view));
    if (!key) return;
    vr_block_key_common(view, key);
    for (uint32_t i = 0; i < view->count; i++) {
        size_t size = read_entry(view, i, key);
        if (i > 0 && vr_block_compare(view, i - 1, varve_bytes(key, size), vr_block_trailer(view, i)) >= 0) ordered = false;
    }
    for (uint32_t i = 0; i < view->count; i++) {
        varve_slice wanted = varve_bytes(key, read_entry(view, i, key));
        uint32_t found = vr_block_seek(view, wanted, vr_block_trailer(view, i), &same);
        VR_CHECK(found <= view->count);
        VR_CHECK(!ordered || (found == i && same));
    }
    free(key);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const vr_place place = {.path = "fuzz", .table_id = 1, .offset = 0};
    varve_error err;
    if (size < 1) return 0;
    varve_slice block = varve_bytes(data + 1, size - 1);
    if (vr_block_check(block, data[0] & 1 ? VR_FRAME_DATA : VR_FRAME_INDEX, &place, &err) != VARVE_OK) return 0;
    vr_block_view view = vr_block_view_of(block.data);
    read_block(&view);
    return 0;
}
