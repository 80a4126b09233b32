/*
 * Fuzzes the decoder of edits (version/edit.h): no bytes make it read outside them, and what it accepts encodes to bytes that
 * decode to the same (fields that it skipped are gone).
 */
#include <stdint.h>

#include "base/bytes.h"
#include "base/check.h"
#include "version/edit.h"
#include "version/edit_layout.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    vr_mem mem = vr_mem_system();
    vr_edit edit, back;
    varve_buffer first = {0}, second = {0};
    varve_error err;
    char line[300];
    vr_edit_init(&edit, &mem);
    vr_edit_init(&back, &mem);
    if (vr_edit_decode(varve_bytes(data, size), "MANIFEST", 0, &edit, &err) == VARVE_OK) {
        VR_CHECK(vr_edit_encode(&edit, &first, &err) == VARVE_OK);
        VR_CHECK(first.size <= size);
        VR_CHECK(vr_edit_decode(varve_buffer_slice(&first), "MANIFEST", 0, &back, &err) == VARVE_OK);
        VR_CHECK(back.count == edit.count);
        VR_CHECK(vr_edit_encode(&back, &second, &err) == VARVE_OK);
        VR_CHECK(vr_equal(varve_buffer_slice(&first), varve_buffer_slice(&second)));
        for (size_t i = 0; i < edit.count; i++) vr_edit_describe(&edit.fields[i], line, sizeof line);
    }
    varve_buffer_free(&first);
    varve_buffer_free(&second);
    vr_edit_free(&edit);
    vr_edit_free(&back);
    return 0;
}
