/*
 * Fuzzes the reader of manifests (version/manifest.h). The input's first byte chooses: even: the rest is a file, as it is. Odd: the
 * rest is a list of edits (u16 size, bytes), which are sealed into a valid file first, so that what they say about each other is
 * reached.
 */
#include <stdint.h>

#include "base/bytes.h"
#include "base/check.h"
#include "version/manifest.h"
#include "version/manifest_format.h"

static bool put_edit(varve_buffer *file, varve_slice edit, uint64_t *chain) {
    static const char header[VR_MANIFEST_RECORD_HEADER_BYTES];
    size_t start = file->size;
    if (!vr_buffer_append(file, header, sizeof header) || !vr_buffer_append(file, edit.data, edit.size)) return false;
    *chain = vr_manifest_record_seal(file->data + start, edit.size, *chain);
    return true;
}

/* Half of the edits, rounded up, are committed; the others stand behind the committed length. */
static bool build(varve_slice in, varve_buffer *file) {
    char page[VR_MANIFEST_PAGE_BYTES];
    varve_slice size, edit;
    uint64_t seed = vr_manifest_page_encode(page, 1), chain = seed;
    vr_manifest_slot slot = {1, VR_MANIFEST_PAGE_BYTES, seed};
    if (!vr_buffer_append(file, page, sizeof page)) return false;
    for (int i = 0; vr_take(&in, 2, &size) && vr_take(&in, vr_get16(size.data), &edit); i++) {
        if (edit.size == 0) continue;
        if (!put_edit(file, edit, &chain)) return false;
        if (i % 2 == 0) slot = (vr_manifest_slot){1, file->size, chain};
    }
    vr_manifest_slot_encode(file->data + vr_manifest_slot_offset(1), seed, &slot);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    vr_mem mem = vr_mem_system();
    varve_buffer file = {0};
    varve_error err;
    if (size == 0) return 0;
    varve_slice rest = varve_bytes(data + 1, size - 1);
    if (data[0] % 2 == 0 || build(rest, &file)) {
        varve_status status = vr_manifest_scan(&mem, data[0] % 2 == 0 ? rest : varve_buffer_slice(&file), "MANIFEST", &err);
        VR_CHECK(status == VARVE_OK || status == VARVE_CORRUPTION || status == VARVE_UNSUPPORTED || status == VARVE_NOMEM);
    }
    varve_buffer_free(&file);
    return 0;
}
