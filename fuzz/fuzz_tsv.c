/*
 * fuzz/fuzz_tsv.c - lines of tsv and of hex: any bytes are a record or a fault, and a record survives being printed and read.
 */
#include "format_target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_line(data, size, cli_decode_tsv, cli_encode_tsv);
    fuzz_line(data, size, cli_decode_hex, cli_encode_hex);
    return 0;
}
