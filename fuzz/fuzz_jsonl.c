/*
 * fuzz/fuzz_jsonl.c - lines of jsonl: any bytes are a record or a fault, and a record survives being printed and read; any
 * bytes as key and value do so too, whether they are UTF-8 or not.
 */
#include "format_target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_line(data, size, cli_decode_jsonl, cli_encode_jsonl);

    size_t key_bytes = size / 3;
    struct cli_record record = {.key = varve_bytes(data, key_bytes), .value = varve_bytes(data + key_bytes, size - key_bytes)};
    struct cli_text text = {0};
    struct cli_record again;
    struct cli_fault fault;
    if (size == 0 || key_bytes > VARVE_KEY_BYTES_MAX) return 0;
    cli_encode_jsonl(&text, &record);
    fuzz_require(!text.out_of_memory);
    char *scratch = malloc(text.size);
    fuzz_require(scratch != NULL);
    fuzz_require(cli_decode_jsonl(varve_bytes(text.data, text.size - 1), scratch, &again, &fault) == CLI_DECODED);
    fuzz_require_equal(&record, &again);
    free(scratch);
    cli_text_free(&text);
    return 0;
}
