/*
 * cli/decode_tsv.c - the line formats with a tab between key and value: tsv and hex.
 *
 *   tsv:  key [TAB value]     bytes as they are, save for \t \n \r \\ in place of tab, newline, carriage return, backslash
 *   hex:  key [TAB value]     two hex digits, of either case, for each byte
 *
 * Strict, so that what is not of this format is noticed: a second tab, a raw carriage return (a file with DOS line ends) and
 * any other escape are refused, and so is an empty line, which would otherwise delete the empty key.
 */
#include "decode.h"

/* The byte that an escape stands for, or -1. */
static int unescaped(char c) {
    switch (c) {
    case 't': return '\t';
    case 'n': return '\n';
    case 'r': return '\r';
    case '\\': return '\\';
    default: return -1;
    }
}

/* Decodes the field that the line has at [from, to). It stays where it is when there is nothing to decode in it. */
static enum cli_decoded decode_field(varve_slice line, size_t from, size_t to, char *scratch, varve_slice *field,
                                     struct cli_fault *fault) {
    const char *data = line.data + from;
    size_t size = to - from;
    const char *raw = memchr(data, '\r', size);
    if (raw) {
        return cli_fault_set(fault, line, (size_t)(raw - line.data), "\\r for a carriage return (and newline alone to end a line)");
    }
    if (!memchr(data, '\\', size)) {
        *field = varve_bytes(data, size);
        return CLI_DECODED;
    }
    size_t n = 0;
    for (size_t i = from; i < to; i++) {
        int byte = (unsigned char)line.data[i];
        if (byte == '\\') {
            i++;
            byte = i < to ? unescaped(line.data[i]) : -1;
            if (byte < 0) return cli_fault_set(fault, line, i, "t, n, r or \\ after a backslash");
        }
        scratch[n++] = (char)byte;
    }
    *field = varve_bytes(scratch, n);
    return CLI_DECODED;
}

/* Where the key ends: the first tab, or the line's end. */
static size_t find_key_end(varve_slice line) {
    const char *tab = line.size > 0 ? memchr(line.data, '\t', line.size) : NULL;
    return tab ? (size_t)(tab - line.data) : line.size;
}

enum cli_decoded cli_decode_tsv(varve_slice line, char *scratch, struct cli_record *record, struct cli_fault *fault) {
    if (line.size == 0) return cli_fault_set(fault, line, 0, "a key (and a tab and a value)");
    size_t key_end = find_key_end(line);
    struct cli_record decoded = {.is_delete = key_end == line.size};
    enum cli_decoded outcome = decode_field(line, 0, key_end, scratch, &decoded.key, fault);
    if (outcome == CLI_DECODED && !decoded.is_delete) {
        size_t from = key_end + 1;
        const char *tab = memchr(line.data + from, '\t', line.size - from);
        if (tab) return cli_fault_set(fault, line, (size_t)(tab - line.data), "\\t for a tab inside the value");
        outcome = decode_field(line, from, line.size, scratch + key_end, &decoded.value, fault);
    }
    if (outcome == CLI_DECODED) outcome = cli_check_limits(&decoded, fault);
    if (outcome == CLI_DECODED) *record = decoded;
    return outcome;
}

/* The value of a hex digit, or -1. */
static int digit_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

bool cli_unhex(varve_slice text, char *scratch, varve_slice *bytes, size_t *wrong) {
    for (size_t i = 0; i < text.size; i++) {
        int value = digit_value(text.data[i]);
        if (value < 0) {
            *wrong = i;
            return false;
        }
        char *byte = scratch + i / 2;
        *byte = (char)(i % 2 ? (unsigned char)*byte | value : value << 4);
    }
    if (text.size % 2) {
        *wrong = text.size;
        return false;
    }
    *bytes = varve_bytes(scratch, text.size / 2);
    return true;
}

enum cli_decoded cli_decode_hex(varve_slice line, char *scratch, struct cli_record *record, struct cli_fault *fault) {
    if (line.size == 0) return cli_fault_set(fault, line, 0, "a key in hex digits (and a tab and a value)");
    size_t key_end = find_key_end(line);
    struct cli_record decoded = {.is_delete = key_end == line.size};
    size_t wrong = 0;
    if (!cli_unhex(varve_bytes(line.data, key_end), scratch, &decoded.key, &wrong)) {
        return cli_fault_set(fault, line, wrong, "hex digits, two for each byte of the key");
    }
    if (!decoded.is_delete) {
        varve_slice text = varve_bytes(line.data + key_end + 1, line.size - key_end - 1);
        if (!cli_unhex(text, scratch + key_end, &decoded.value, &wrong)) {
            return cli_fault_set(fault, line, key_end + 1 + wrong, "hex digits, two for each byte of the value");
        }
    }
    if (cli_check_limits(&decoded, fault) != CLI_DECODED) return CLI_MALFORMED;
    *record = decoded;
    return CLI_DECODED;
}
