/*
 * cli/decode_bin.c - records with binary lengths.
 *
 *   | key length u32 LE | key | value length u32 LE | value |      a value length of 0xffffffff deletes, and no value follows
 *
 * There are no marks to find a record's beginning by: after a wrong length only the lengths themselves lead on.
 */
#include "decode.h"

#include <stdio.h>

uint32_t cli_bin_length(const char *bytes) {
    const unsigned char *b = (const unsigned char *)bytes;
    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

/* Sets the fault of a length that is beyond its limit. */
static void fault_length(struct cli_fault *fault, uint64_t offset, const char *what, uint32_t limit, uint32_t found) {
    fault->column = offset + 1;
    snprintf(fault->message, sizeof fault->message, "expected a %s length of at most %u, found %u", what, limit, found);
}

enum cli_decoded cli_decode_bin(varve_slice bytes, struct cli_record *record, uint64_t *size, bool *value_follows,
                                struct cli_fault *fault) {
    *size = CLI_BIN_LENGTH_BYTES;
    *value_follows = false;
    if (bytes.size < *size) return CLI_DECODED;
    uint32_t key_bytes = cli_bin_length(bytes.data);
    uint64_t value_at = CLI_BIN_LENGTH_BYTES + (uint64_t)key_bytes;
    if (key_bytes > VARVE_KEY_BYTES_MAX) {
        *size = value_at;
        *value_follows = true;
        fault_length(fault, 0, "key", VARVE_KEY_BYTES_MAX, key_bytes);
        return CLI_MALFORMED;
    }
    *size = value_at + CLI_BIN_LENGTH_BYTES;
    if (bytes.size < *size) return CLI_DECODED;
    uint32_t length = cli_bin_length(bytes.data + value_at);
    bool is_delete = length == CLI_BIN_DELETE;
    *size += cli_bin_value_bytes(length);
    if (!is_delete && length > VARVE_VALUE_BYTES_MAX) {
        fault_length(fault, value_at, "value", VARVE_VALUE_BYTES_MAX, length);
        return CLI_MALFORMED;
    }
    if (bytes.size < *size) return CLI_DECODED;
    record->key = varve_bytes(bytes.data + CLI_BIN_LENGTH_BYTES, key_bytes);
    record->value = is_delete ? varve_bytes(NULL, 0) : varve_bytes(bytes.data + value_at + CLI_BIN_LENGTH_BYTES, length);
    record->is_delete = is_delete;
    return CLI_DECODED;
}
