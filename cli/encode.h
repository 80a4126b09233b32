/*
 * cli/encode.h - records as the bytes of an output format: what decode.h reads back. See there for the formats.
 *
 * jsonl gives "key" and "value" for what is UTF-8 and "key_base64" and "value_base64" for what is not.
 * Threads: a text's owner.
 */
#ifndef CLI_ENCODE_H
#define CLI_ENCODE_H

#include "decode.h"

/* Bytes that grow at the end. Begins as {0}. Invariant: size <= capacity; out_of_memory stays set until it is freed. */
struct cli_text {
    char *data;
    size_t size, capacity;
    bool out_of_memory; /* something was not added */
};

/* Adds one record, its newline included. */
typedef void (*cli_encode_fn)(struct cli_text *text, const struct cli_record *record);
void cli_encode_tsv(struct cli_text *text, const struct cli_record *record);
void cli_encode_jsonl(struct cli_text *text, const struct cli_record *record);
void cli_encode_hex(struct cli_text *text, const struct cli_record *record);
void cli_encode_bin(struct cli_text *text, const struct cli_record *record);

/* Adds bytes. */
void cli_text_add(struct cli_text *text, const void *data, size_t size);
void cli_text_free(struct cli_text *text);

/* Adds a JSON string, quotes included. Bytes that are not UTF-8 become U+00XX: for messages, not for records. */
void cli_text_add_json_string(struct cli_text *text, varve_slice bytes);

/* Adds a key for people to read: printable ASCII as it is, the rest as \xNN, at most size_max bytes of it. */
void cli_text_add_readable(struct cli_text *text, varve_slice bytes, size_t size_max);

#endif
