/*
 * cli/decode_fault.c - how the decoders say what is wrong, and the checks that all formats share.
 */
#include "decode.h"

#include <stdio.h>

/* Describes the byte at offset of the line. */
static void describe(varve_slice line, size_t offset, char *out, size_t size) {
    if (offset >= line.size) {
        snprintf(out, size, "the end");
        return;
    }
    unsigned char byte = (unsigned char)line.data[offset];
    if (byte > 0x20 && byte < 0x7f) {
        snprintf(out, size, "'%c'", byte);
    } else {
        snprintf(out, size, "byte 0x%02x", byte);
    }
}

enum cli_decoded cli_fault_set(struct cli_fault *fault, varve_slice line, size_t offset, const char *expected) {
    char found[24];
    describe(line, offset, found, sizeof found);
    fault->column = offset + 1;
    snprintf(fault->message, sizeof fault->message, "expected %s, found %s", expected, found);
    return CLI_MALFORMED;
}

enum cli_decoded cli_check_limits(const struct cli_record *record, struct cli_fault *fault) {
    bool key_is_wrong = record->key.size > VARVE_KEY_BYTES_MAX;
    if (!key_is_wrong && record->value.size <= VARVE_VALUE_BYTES_MAX) return CLI_DECODED;
    fault->column = 1;
    snprintf(fault->message, sizeof fault->message, "expected a %s of at most %u bytes, found %zu", key_is_wrong ? "key" : "value",
             key_is_wrong ? VARVE_KEY_BYTES_MAX : VARVE_VALUE_BYTES_MAX, key_is_wrong ? record->key.size : record->value.size);
    return CLI_MALFORMED;
}

/* Allowed second bytes by lead byte: RFC 3629 rules out overlong forms, surrogates and what is beyond U+10FFFF. */
size_t cli_utf8_length(varve_slice text) {
    const unsigned char *s = (const unsigned char *)text.data;
    if (text.size == 0) return 0;
    unsigned char lead = s[0];
    if (lead < 0x80) return 1;
    size_t length = lead >= 0xc2 && lead <= 0xdf ? 2 : lead >= 0xe0 && lead <= 0xef ? 3 : lead >= 0xf0 && lead <= 0xf4 ? 4 : 0;
    if (length == 0 || text.size < length) return 0;
    unsigned char least = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    unsigned char most = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (s[1] < least || s[1] > most) return 0;
    for (size_t i = 2; i < length; i++) {
        if ((s[i] & 0xc0) != 0x80) return 0;
    }
    return length;
}
