/*
 * cli/decode.h - one record out of the bytes of an input format, and what is wrong with bytes that hold none.
 *
 *   tsv    key TAB value, with \t \n \r \\ escaped; a key alone deletes
 *   jsonl  {"key":"...","value":"..."}, null deletes; "key_base64" and "value_base64" for bytes that are not UTF-8
 *   hex    key TAB value, two hex digits for each byte; a key alone deletes
 *   bin    a 32-bit little-endian length before each key and each value, 0xffffffff in place of the value's deletes
 *
 * Pure functions over slices: no state, no allocation, no I/O. A decoded text is never longer than its encoding, so the
 * caller's scratch of as many bytes as the line has holds key and value. Threads: any.
 */
#ifndef CLI_DECODE_H
#define CLI_DECODE_H

#include <varve/types.h>

/* A record read from input or to be printed. Memory: key and value point into the input or the scratch. */
struct cli_record {
    varve_slice key, value;
    bool is_delete; /* value is then empty */
};

/* Why bytes are no record. */
struct cli_fault {
    uint64_t column;   /* 1 is the line's first byte; for bin, the record's */
    char message[160]; /* what was expected and what was found */
};

enum cli_decoded { CLI_DECODED, CLI_MALFORMED };

/* Decodes one line, given without its newline. */
typedef enum cli_decoded (*cli_decode_line_fn)(varve_slice line, char *scratch, struct cli_record *record, struct cli_fault *fault);
enum cli_decoded cli_decode_tsv(varve_slice line, char *scratch, struct cli_record *record, struct cli_fault *fault);
enum cli_decoded cli_decode_jsonl(varve_slice line, char *scratch, struct cli_record *record, struct cli_fault *fault);
enum cli_decoded cli_decode_hex(varve_slice line, char *scratch, struct cli_record *record, struct cli_fault *fault);

enum { CLI_BIN_LENGTH_BYTES = 4 };
#define CLI_BIN_DELETE 0xffffffffu

/*
 * Decodes the record at the beginning of bytes. *size receives its size, as far as bytes tell it: when that is more than bytes
 * has, more of it is needed and record is not set. A malformed record is passed over by its size, and, where *value_follows is
 * set, by a value's length and value after that.
 */
enum cli_decoded cli_decode_bin(varve_slice bytes, struct cli_record *record, uint64_t *size, bool *value_follows,
                                struct cli_fault *fault);

/* The bytes of a value of that length. */
static inline uint64_t cli_bin_value_bytes(uint32_t length) {
    return length == CLI_BIN_DELETE ? 0 : length;
}

/* A length at 4 bytes of bin. */
uint32_t cli_bin_length(const char *bytes);

/* Decodes pairs of hex digits into scratch. Returns false, with the offset of the first byte that is wrong, if it cannot. */
bool cli_unhex(varve_slice text, char *scratch, varve_slice *bytes, size_t *wrong);

/* The length of the UTF-8 character at the beginning of text, 0 when there is none that is valid (RFC 3629). */
size_t cli_utf8_length(varve_slice text);

/* Whether a key or value is within the engine's limits, and if not, what is wrong. */
enum cli_decoded cli_check_limits(const struct cli_record *record, struct cli_fault *fault);

/* Sets the fault: what was expected at the 0-based offset of the line, and what is there. Returns CLI_MALFORMED. */
enum cli_decoded cli_fault_set(struct cli_fault *fault, varve_slice line, size_t offset, const char *expected);

#endif
