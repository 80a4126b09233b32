/*
 * cli/decode_jsonl.c - one JSON object per line (RFC 8259), of exactly two fields in either order:
 *
 *   "key": string  or  "key_base64": string       the key, as UTF-8 text, or as any bytes in base64 (RFC 4648, padded)
 *   "value": string or null  or  "value_base64": string       the value; null deletes
 *
 * Strict: no other field, no field twice, no other type, nothing after the object; text is valid UTF-8 and its \u escapes name
 * whole characters, so that every line means one thing.
 */
#include "decode.h"

/* What is left of the line, and where decoded text goes. Invariant: text is written no faster than the line is read. */
struct parser {
    varve_slice line;
    size_t at;
    char *out;
    struct cli_fault *fault;
};

enum field { FIELD_KEY, FIELD_KEY_BASE64, FIELD_VALUE, FIELD_VALUE_BASE64, FIELDS };

static const char *const field_names[FIELDS] = {"key", "key_base64", "value", "value_base64"};

static enum cli_decoded refuse(struct parser *p, size_t offset, const char *expected) {
    return cli_fault_set(p->fault, p->line, offset, expected);
}

/* The byte at the place that is reached, or -1 at the end. */
static int peek(const struct parser *p) {
    return p->at < p->line.size ? (unsigned char)p->line.data[p->at] : -1;
}

static void skip_blanks(struct parser *p) {
    while (peek(p) == ' ' || peek(p) == '\t' || peek(p) == '\r') p->at++;
}

/* Passes over blanks; true, and passes over it too, when c follows. */
static bool accept(struct parser *p, char c) {
    skip_blanks(p);
    if (peek(p) != (unsigned char)c) return false;
    p->at++;
    return true;
}

/* Four hex digits. Returns -1, with the place at the wrong one, when they are not. */
static int read_unit(struct parser *p) {
    int unit = 0;
    for (int i = 0; i < 4; i++, p->at++) {
        int c = peek(p);
        int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
        if (digit < 0) return -1;
        unit = unit << 4 | digit;
    }
    return unit;
}

static void put_utf8(struct parser *p, uint32_t c) {
    if (c < 0x80) {
        *p->out++ = (char)c;
        return;
    }
    int tail = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    uint32_t lead = tail == 1 ? 0xc0 : tail == 2 ? 0xe0 : 0xf0;
    *p->out++ = (char)(lead | c >> (6 * tail));
    while (tail-- > 0) *p->out++ = (char)(0x80 | (c >> (6 * tail) & 0x3f));
}

/* A \u escape, of which \u has been read: one character, in one or two units. */
static enum cli_decoded read_unicode(struct parser *p) {
    size_t start = p->at - 2;
    int unit = read_unit(p);
    if (unit < 0) return refuse(p, p->at, "four hex digits after \\u");
    uint32_t c = (uint32_t)unit;
    if (c >= 0xdc00 && c <= 0xdfff) return refuse(p, start, "a high surrogate before this low one");
    if (c >= 0xd800 && c <= 0xdbff) {
        size_t second = p->at;
        bool escaped = peek(p) == '\\' && p->at + 1 < p->line.size && p->line.data[p->at + 1] == 'u';
        p->at += 2;
        int low = escaped ? read_unit(p) : -1;
        if (low < 0xdc00 || low > 0xdfff) return refuse(p, second, "\\u and a low surrogate after the high one");
        c = 0x10000 + ((c - 0xd800) << 10) + ((uint32_t)low - 0xdc00);
    }
    put_utf8(p, c);
    return CLI_DECODED;
}

/* An escape, of which the backslash has been read. */
static enum cli_decoded read_escape(struct parser *p) {
    static const char names[] = "\"\\/bfnrt";
    static const char bytes[] = "\"\\/\b\f\n\r\t";
    int c = peek(p);
    const char *found = c > 0 ? strchr(names, c) : NULL;
    if (c != 'u' && !found) return refuse(p, p->at, "one of \" \\ / b f n r t u after a backslash");
    p->at++;
    if (c == 'u') return read_unicode(p);
    *p->out++ = bytes[found - names];
    return CLI_DECODED;
}

/* A string, its opening quote included. */
static enum cli_decoded read_string(struct parser *p, varve_slice *text) {
    char *start = p->out;
    p->at++;
    for (;;) {
        int c = peek(p);
        if (c == '"') break;
        if (c < 0x20) return refuse(p, p->at, c < 0 ? "a quote at the end of the string" : "an escape for a control character");
        if (c == '\\') {
            p->at++;
            if (read_escape(p) != CLI_DECODED) return CLI_MALFORMED;
            continue;
        }
        size_t length = cli_utf8_length(varve_bytes(p->line.data + p->at, p->line.size - p->at));
        if (length == 0) return refuse(p, p->at, "UTF-8 (other bytes go into key_base64 and value_base64)");
        memcpy(p->out, p->line.data + p->at, length);
        p->out += length;
        p->at += length;
    }
    p->at++;
    *text = varve_bytes(start, (size_t)(p->out - start));
    return CLI_DECODED;
}

static int base64_value(char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Decodes base64 in place. False when it is not in its one canonical form. */
static bool decode_base64(char *data, size_t size, varve_slice *bytes) {
    if (size % 4) return false;
    size_t padding = size > 0 && data[size - 1] == '=' ? (data[size - 2] == '=' ? 2 : 1) : 0;
    uint32_t bits = 0;
    size_t n = 0;
    for (size_t i = 0; i < size - padding; i++) {
        int value = base64_value(data[i]);
        if (value < 0) return false;
        bits = bits << 6 | (uint32_t)value;
        if (i % 4) data[n++] = (char)(bits >> (6 - 2 * (i % 4)));
    }
    /* With padding the last digit has bits that belong to no byte: only zeros are canonical. */
    if (padding && bits & (padding == 1 ? 3 : 15)) return false;
    *bytes = varve_bytes(data, n);
    return true;
}

/* The name of a field and its colon. */
static enum cli_decoded read_name(struct parser *p, unsigned seen, enum field *field) {
    size_t start = p->at;
    char *out = p->out;
    varve_slice name;
    if (peek(p) != '"') return refuse(p, start, "the name of a field in quotes");
    if (read_string(p, &name) != CLI_DECODED) return CLI_MALFORMED;
    p->out = out; /* the name is not kept */
    unsigned i = 0;
    while (i < FIELDS && !(name.size == strlen(field_names[i]) && memcmp(name.data, field_names[i], name.size) == 0)) i++;
    if (i == FIELDS) return refuse(p, start, "one of the fields key, value, key_base64, value_base64");
    unsigned side = i < FIELD_VALUE ? 1u << FIELD_KEY | 1u << FIELD_KEY_BASE64 : 1u << FIELD_VALUE | 1u << FIELD_VALUE_BASE64;
    if (seen & side) return refuse(p, start, i < FIELD_VALUE ? "only one key" : "only one value");
    if (!accept(p, ':')) return refuse(p, p->at, "a colon after the name of the field");
    *field = (enum field)i;
    return CLI_DECODED;
}

/* The value of a field. */
static enum cli_decoded read_value(struct parser *p, enum field field, struct cli_record *record) {
    varve_slice *target = field < FIELD_VALUE ? &record->key : &record->value;
    skip_blanks(p);
    size_t start = p->at;
    if (field == FIELD_VALUE && p->line.size - start >= 4 && memcmp(p->line.data + start, "null", 4) == 0) {
        p->at += 4;
        record->is_delete = true;
        return CLI_DECODED;
    }
    if (peek(p) != '"') return refuse(p, start, field == FIELD_VALUE ? "a string or null" : "a string");
    char *out = p->out;
    if (read_string(p, target) != CLI_DECODED) return CLI_MALFORMED;
    bool is_base64 = field == FIELD_KEY_BASE64 || field == FIELD_VALUE_BASE64;
    if (is_base64 && !decode_base64(out, target->size, target)) return refuse(p, start, "base64, padded with =");
    return CLI_DECODED;
}

enum cli_decoded cli_decode_jsonl(varve_slice line, char *scratch, struct cli_record *record, struct cli_fault *fault) {
    struct parser p = {.line = line, .out = scratch, .fault = fault};
    struct cli_record decoded = {0};
    unsigned seen = 0;
    if (!accept(&p, '{')) return refuse(&p, p.at, "an object {\"key\":...,\"value\":...}");
    do {
        enum field field = FIELD_KEY;
        skip_blanks(&p);
        if (read_name(&p, seen, &field) != CLI_DECODED) return CLI_MALFORMED;
        if (read_value(&p, field, &decoded) != CLI_DECODED) return CLI_MALFORMED;
        seen |= 1u << field;
    } while (accept(&p, ','));
    size_t end = p.at;
    if (!accept(&p, '}')) return refuse(&p, p.at, "a comma or }");
    if (!(seen & (1u << FIELD_KEY | 1u << FIELD_KEY_BASE64))) return refuse(&p, end, "a field \"key\"");
    if (!(seen & (1u << FIELD_VALUE | 1u << FIELD_VALUE_BASE64))) return refuse(&p, end, "a field \"value\" (null deletes)");
    skip_blanks(&p);
    if (p.at < line.size) return refuse(&p, p.at, "nothing after the object");
    if (cli_check_limits(&decoded, fault) != CLI_DECODED) return CLI_MALFORMED;
    *record = decoded;
    return CLI_DECODED;
}
