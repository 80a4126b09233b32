/*
 * fuzz/fuzz_bin.c - records with binary lengths: any bytes are a record, too few bytes, or a fault that can be passed over; and
 * a record printed again is the bytes that it was read from.
 */
#include "format_target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *bytes = fuzz_copy(data, size);
    size_t at = 0;
    while (at < size) {
        struct cli_record record;
        struct cli_fault fault = {0};
        uint64_t record_bytes = 0;
        bool value_follows = false;
        varve_slice rest = varve_bytes(bytes + at, size - at);
        enum cli_decoded outcome = cli_decode_bin(rest, &record, &record_bytes, &value_follows, &fault);
        fuzz_require(outcome == CLI_MALFORMED || !value_follows);
        fuzz_require(record_bytes >= CLI_BIN_LENGTH_BYTES);
        fuzz_require(outcome == CLI_DECODED || fault.message[0]);
        if (record_bytes > size - at) break;
        if (outcome == CLI_DECODED) {
            struct cli_text text = {0};
            cli_encode_bin(&text, &record);
            fuzz_require(text.size == record_bytes && memcmp(text.data, bytes + at, text.size) == 0);
            cli_text_free(&text);
        }
        at += (size_t)record_bytes;
    }
    free(bytes);
    return 0;
}
