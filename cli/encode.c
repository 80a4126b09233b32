/*
 * cli/encode.c - see encode.h.
 */
#include "encode.h"

#include <stdlib.h>

/* Room for size more bytes. Returns where they go, or NULL. */
static char *text_reserve(struct cli_text *text, size_t size) {
    if (!text->data || text->capacity - text->size < size) {
        size_t capacity = text->capacity ? text->capacity : 4096;
        while (capacity - text->size < size && capacity <= SIZE_MAX / 2) capacity *= 2;
        char *data = capacity - text->size < size ? NULL : realloc(text->data, capacity);
        if (!data) {
            text->out_of_memory = true;
            return NULL;
        }
        text->data = data;
        text->capacity = capacity;
    }
    return text->data + text->size;
}

void cli_text_add(struct cli_text *text, const void *data, size_t size) {
    char *to = text_reserve(text, size);
    if (!to || size == 0) return;
    memcpy(to, data, size);
    text->size += size;
}

static void add_string(struct cli_text *text, const char *string) {
    cli_text_add(text, string, strlen(string));
}

void cli_text_free(struct cli_text *text) {
    free(text->data);
    *text = (struct cli_text){0};
}

static void add_tsv(struct cli_text *text, varve_slice bytes) {
    static const char special[] = "\t\n\r\\", names[] = "tnr\\";
    char *to = text_reserve(text, 2 * bytes.size);
    if (!to) return;
    for (size_t i = 0; i < bytes.size; i++) {
        char c = bytes.data[i];
        const char *found = c == '\t' || c == '\n' || c == '\r' || c == '\\' ? strchr(special, c) : NULL;
        if (found) *to++ = '\\';
        *to++ = found ? names[found - special] : c;
    }
    text->size = (size_t)(to - text->data);
}

void cli_encode_tsv(struct cli_text *text, const struct cli_record *record) {
    add_tsv(text, record->key);
    if (!record->is_delete) {
        add_string(text, "\t");
        add_tsv(text, record->value);
    }
    add_string(text, "\n");
}

static void add_hex(struct cli_text *text, varve_slice bytes) {
    static const char digits[] = "0123456789abcdef";
    char *to = text_reserve(text, 2 * bytes.size);
    if (!to) return;
    for (size_t i = 0; i < bytes.size; i++) {
        unsigned char byte = (unsigned char)bytes.data[i];
        *to++ = digits[byte >> 4];
        *to++ = digits[byte & 15];
    }
    text->size += 2 * bytes.size;
}

void cli_encode_hex(struct cli_text *text, const struct cli_record *record) {
    add_hex(text, record->key);
    if (!record->is_delete) {
        add_string(text, "\t");
        add_hex(text, record->value);
    }
    add_string(text, "\n");
}

static void add_le32(struct cli_text *text, uint32_t value) {
    unsigned char bytes[4] = {(unsigned char)value, (unsigned char)(value >> 8), (unsigned char)(value >> 16),
                              (unsigned char)(value >> 24)};
    cli_text_add(text, bytes, sizeof bytes);
}

void cli_encode_bin(struct cli_text *text, const struct cli_record *record) {
    add_le32(text, (uint32_t)record->key.size);
    cli_text_add(text, record->key.data, record->key.size);
    add_le32(text, record->is_delete ? CLI_BIN_DELETE : (uint32_t)record->value.size);
    if (!record->is_delete) cli_text_add(text, record->value.data, record->value.size);
}

static bool is_utf8(varve_slice bytes) {
    size_t at = 0;
    while (at < bytes.size) {
        size_t length = cli_utf8_length(varve_bytes(bytes.data + at, bytes.size - at));
        if (length == 0) return false;
        at += length;
    }
    return true;
}

static void add_base64(struct cli_text *text, varve_slice bytes) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *to = text_reserve(text, (bytes.size + 2) / 3 * 4);
    if (!to) return;
    for (size_t i = 0; i < bytes.size; i += 3) {
        uint32_t bits = 0;
        for (size_t k = 0; k < 3; k++) bits = bits << 8 | (i + k < bytes.size ? (unsigned char)bytes.data[i + k] : 0);
        to[0] = digits[bits >> 18];
        to[1] = digits[bits >> 12 & 63];
        to[2] = i + 1 < bytes.size ? digits[bits >> 6 & 63] : '=';
        to[3] = i + 2 < bytes.size ? digits[bits & 63] : '=';
        to += 4;
    }
    text->size = (size_t)(to - text->data);
}

/* JSON's escapes: the short ones where there is one, \u for the other control characters; the rest as it is. */
static void add_json_string(struct cli_text *text, varve_slice bytes) {
    static const char special[] = "\"\\\b\f\n\r\t", names[] = "\"\\bfnrt", digits[] = "0123456789abcdef";
    char *to = text_reserve(text, 6 * bytes.size);
    if (!to) return;
    for (size_t i = 0; i < bytes.size; i++) {
        unsigned char c = (unsigned char)bytes.data[i];
        const char *found = c && (c < 0x20 || c == '"' || c == '\\') ? strchr(special, c) : NULL;
        if (found) {
            *to++ = '\\';
            *to++ = names[found - special];
        } else if (c < 0x20) {
            memcpy(to, "\\u00", 4);
            to[4] = digits[c >> 4];
            to[5] = digits[c & 15];
            to += 6;
        } else {
            *to++ = (char)c;
        }
    }
    text->size = (size_t)(to - text->data);
}

/* The same for what may not be UTF-8, in quotes: a byte that is none becomes U+00XX. */
void cli_text_add_json_string(struct cli_text *text, varve_slice bytes) {
    add_string(text, "\"");
    for (size_t at = 0; at < bytes.size;) {
        varve_slice rest = varve_bytes(bytes.data + at, bytes.size - at);
        size_t length = cli_utf8_length(rest);
        unsigned char byte = (unsigned char)rest.data[0];
        char latin[2] = {(char)(0xc0 | byte >> 6), (char)(0x80 | (byte & 0x3f))};
        add_json_string(text, length > 0 ? varve_bytes(rest.data, length) : varve_bytes(latin, sizeof latin));
        at += length > 0 ? length : 1;
    }
    add_string(text, "\"");
}

/* The field of that name; its base64 variant for bytes that JSON cannot carry. */
static void add_json_field(struct cli_text *text, const char *name, varve_slice bytes) {
    bool plain = is_utf8(bytes);
    add_string(text, "\"");
    add_string(text, name);
    add_string(text, plain ? "\":\"" : "_base64\":\"");
    if (plain) {
        add_json_string(text, bytes);
    } else {
        add_base64(text, bytes);
    }
    add_string(text, "\"");
}

void cli_encode_jsonl(struct cli_text *text, const struct cli_record *record) {
    add_string(text, "{");
    add_json_field(text, "key", record->key);
    add_string(text, ",");
    if (record->is_delete) {
        add_string(text, "\"value\":null");
    } else {
        add_json_field(text, "value", record->value);
    }
    add_string(text, "}\n");
}

void cli_text_add_readable(struct cli_text *text, varve_slice bytes, size_t size_max) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < bytes.size && i < size_max; i++) {
        unsigned char c = (unsigned char)bytes.data[i];
        char escape[4] = {'\\', 'x', digits[c >> 4], digits[c & 15]};
        bool plain = c >= 0x20 && c < 0x7f && c != '\\';
        cli_text_add(text, plain ? (const char *)&bytes.data[i] : escape, plain ? 1 : sizeof escape);
    }
    if (bytes.size > size_max) add_string(text, "...");
}
