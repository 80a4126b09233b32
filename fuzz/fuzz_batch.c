/*
 * Fuzzes the decoder of batches (kv/batch.h): no bytes make it read outside them, and what it accepts encodes to the same bytes.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/check.h"
#include "kv/batch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    vr_batch_reader reader;
    vr_change change;
    varve_error err;
    varve_slice input = varve_bytes(data, size);
    if (vr_batch_reader_open(&reader, input, &err) != VARVE_OK) return 0;

    char *again = malloc(size);
    if (!again) return 0;
    vr_batch_header_encode(again, reader.timestamp_ms, reader.replica, reader.count);
    char *out = again + VR_BATCH_HEADER_BYTES;
    varve_status st;
    while ((st = vr_batch_reader_next(&reader, &change, &err)) == VARVE_OK) {
        VR_CHECK(vr_change_bytes(&change) <= size - (size_t)(out - again));
        out = vr_change_encode(out, &change);
    }
    if (st == VARVE_NOT_FOUND) VR_CHECK(vr_equal(input, varve_bytes(again, (size_t)(out - again))));
    free(again);
    return 0;
}
