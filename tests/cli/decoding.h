/*
 * tests/cli/decoding.h - decoding one line in a test: buffers of exactly its size, so that a sanitizer sees a step beyond.
 */
#ifndef TEST_DECODING_H
#define TEST_DECODING_H

#include <criterion/criterion.h>
#include <stdlib.h>

#include "decode.h"

/* A line, what was made of it, and the memory that holds both. Free it with decoding_free(). */
struct decoding {
    char *line, *scratch;
    enum cli_decoded outcome;
    struct cli_record record;
    struct cli_fault fault;
};

static inline struct decoding decoding_of(cli_decode_line_fn decode, const void *line, size_t size) {
    struct decoding d = {.line = malloc(size + 1), .scratch = malloc(size ? size : 1)};
    cr_assert(d.line && d.scratch);
    memcpy(d.line, line, size);
    char *exact = realloc(d.line, size ? size : 1);
    if (exact) d.line = exact;
    d.outcome = decode(varve_bytes(d.line, size), d.scratch, &d.record, &d.fault);
    return d;
}

static inline void decoding_free(struct decoding *d) {
    free(d->line);
    free(d->scratch);
}

static inline bool slice_is(varve_slice slice, const void *data, size_t size) {
    return slice.size == size && (size == 0 || memcmp(slice.data, data, size) == 0);
}

/* The line is a record of this key and value (NULL: a delete). */
#define EXPECT_RECORD(decode, text, key_text, value_text)                                                                          \
    do {                                                                                                                           \
        const char *wanted_value = (value_text);                                                                                   \
        struct decoding d = decoding_of(decode, text, sizeof(text) - 1);                                                           \
        cr_expect(d.outcome == CLI_DECODED, "%s: %s", text, d.fault.message);                                                      \
        cr_expect(d.outcome == CLI_DECODED && slice_is(d.record.key, key_text, sizeof(key_text) - 1), "key of %s", text);          \
        cr_expect(d.outcome == CLI_DECODED && d.record.is_delete == !wanted_value, "delete of %s", text);                          \
        cr_expect(d.outcome == CLI_DECODED && (!wanted_value || slice_is(d.record.value, wanted_value, strlen(wanted_value))),     \
                  "value of %s", text);                                                                                            \
        decoding_free(&d);                                                                                                         \
    } while (0)

/* The line is malformed at that column, and the message says that this was expected. */
#define EXPECT_FAULT(decode, text, at_column, expected)                                                                            \
    do {                                                                                                                           \
        struct decoding d = decoding_of(decode, text, sizeof(text) - 1);                                                           \
        cr_expect(d.outcome == CLI_MALFORMED, "%s was taken", text);                                                               \
        cr_expect(d.outcome == CLI_DECODED || d.fault.column == (at_column), "%s: column %d", text, (int)d.fault.column);          \
        cr_expect(d.outcome == CLI_DECODED || strstr(d.fault.message, expected), "%s: %s", text, d.fault.message);                 \
        decoding_free(&d);                                                                                                         \
    } while (0)

#endif
