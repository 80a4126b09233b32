/*
 * fuzz/fuzz_mark.c - any bytes as a mark: refused with a reason, or decoded to what encodes to the same bytes. The
 * second try puts the right checksum under the input, so that the checks behind it are reached.
 */
#include <stdlib.h>

#include "mark.h"
#include "wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_bytes(const uint8_t *data, size_t size) {
    vcl_mark mark;
    varve_error err = {0};
    varve_status status = vcl_mark_decode(varve_bytes(data, size), &mark, &err);
    if (status == VARVE_OK) {
        uint8_t again[VCL_MARK_BYTES];
        vcl_mark_encode(&mark, again);
        if (size != sizeof again || memcmp(again, data, size) != 0) abort();
    } else if ((status != VARVE_CORRUPTION && status != VARVE_UNSUPPORTED) || !err.message[0]) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    try_bytes(data, size);
    if (size != VCL_MARK_BYTES) return 0;
    uint8_t fixed[VCL_MARK_BYTES];
    memcpy(fixed, data, size);
    vcl_put(fixed + size - 8, 8, vcl_hash(fixed, size - 8));
    try_bytes(fixed, size);
    return 0;
}
