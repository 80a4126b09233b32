/*
 * fuzz/format_target.h - what the fuzz targets of the command's input formats share: a record that was decoded, encoded
 * again, decodes to the same.
 */
#ifndef FUZZ_FORMAT_TARGET_H
#define FUZZ_FORMAT_TARGET_H

#include <stdint.h>
#include <stdlib.h>

#include "encode.h"

static inline void fuzz_require(bool holds) {
    if (!holds) abort();
}

static inline void fuzz_require_equal(const struct cli_record *a, const struct cli_record *b) {
    fuzz_require(a->is_delete == b->is_delete && a->key.size == b->key.size && a->value.size == b->value.size);
    fuzz_require(a->key.size == 0 || memcmp(a->key.data, b->key.data, a->key.size) == 0);
    fuzz_require(a->value.size == 0 || memcmp(a->value.data, b->value.data, a->value.size) == 0);
}

/* A copy of size bytes in an allocation of exactly that size. */
static inline char *fuzz_copy(const void *data, size_t size) {
    char *copy = malloc(size ? size : 1);
    fuzz_require(copy != NULL);
    if (size) memcpy(copy, data, size);
    return copy;
}

/* Decodes a line; if it is a record, encodes it, decodes that, and compares. */
static inline void fuzz_line(const uint8_t *data, size_t size, cli_decode_line_fn decode, cli_encode_fn encode) {
    struct cli_record record, again;
    struct cli_fault fault = {0};
    struct cli_text text = {0};
    char *line = fuzz_copy(data, size), *scratch = malloc(size ? size : 1), *scratch_again = NULL;
    fuzz_require(scratch != NULL);
    if (decode(varve_bytes(line, size), scratch, &record, &fault) == CLI_DECODED) {
        encode(&text, &record);
        fuzz_require(!text.out_of_memory && text.size > 0 && text.data[text.size - 1] == '\n');
        scratch_again = malloc(text.size);
        fuzz_require(scratch_again != NULL);
        fuzz_require(decode(varve_bytes(text.data, text.size - 1), scratch_again, &again, &fault) == CLI_DECODED);
        fuzz_require_equal(&record, &again);
    } else {
        fuzz_require(fault.column >= 1 && fault.column <= size + 3 && fault.message[0]);
    }
    free(scratch_again);
    free(scratch);
    free(line);
    cli_text_free(&text);
}

#endif
