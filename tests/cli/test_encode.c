/*
 * tests/cli/test_encode.c - bin, and every format there and back.
 */
#include "decoding.h"
#include "encode.h"

#define BIN(text) varve_bytes(text, sizeof(text) - 1)

/* Decodes the beginning of bytes. */
static enum cli_decoded decode_bin(varve_slice bytes, struct cli_record *record, uint64_t *size, struct cli_fault *fault) {
    bool value_follows;
    char *exact = malloc(bytes.size ? bytes.size : 1);
    cr_assert(exact);
    memcpy(exact, bytes.data, bytes.size);
    enum cli_decoded outcome = cli_decode_bin(varve_bytes(exact, bytes.size), record, size, &value_follows, fault);
    free(exact);
    return outcome;
}

Test(bin, records) {
    struct cli_record record;
    struct cli_fault fault;
    uint64_t size;
    bool value_follows;
    varve_slice two = BIN("\2\0\0\0ab\1\0\0\0v\0\0\0\0\xff\xff\xff\xff");
    cr_assert(cli_decode_bin(two, &record, &size, &value_follows, &fault) == CLI_DECODED);
    cr_assert(size == 11 && slice_is(record.key, "ab", 2) && slice_is(record.value, "v", 1) && !record.is_delete);
    two = varve_bytes(two.data + size, two.size - size);
    cr_assert(cli_decode_bin(two, &record, &size, &value_follows, &fault) == CLI_DECODED);
    cr_assert(size == 8 && record.key.size == 0 && record.is_delete);
}

Test(bin, asks_for_as_much_as_it_knows_of) {
    struct cli_record record;
    struct cli_fault fault;
    varve_slice whole = BIN("\3\0\0\0abc\2\0\0\0vw");
    static const uint64_t wanted[] = {4, 4, 4, 4, 11, 11, 11, 11, 11, 11, 11, 13, 13, 13};
    for (size_t n = 0; n <= whole.size; n++) {
        uint64_t size = 0;
        cr_expect(decode_bin(varve_bytes(whole.data, n), &record, &size, &fault) == CLI_DECODED);
        cr_expect(size == wanted[n], "%zu bytes: %d", n, (int)size);
    }
}

Test(bin, lengths_have_limits) {
    struct cli_record record;
    struct cli_fault fault;
    uint64_t size;
    cr_expect(decode_bin(BIN("\0\0\1\0xyz"), &record, &size, &fault) == CLI_MALFORMED);
    cr_expect(size == 4 + 65536 && fault.column == 1);
    cr_expect(strstr(fault.message, "a key length of at most 65535, found 65536"), "%s", fault.message);
    cr_expect(decode_bin(BIN("\1\0\0\0k\1\0\0\x08"), &record, &size, &fault) == CLI_MALFORMED);
    cr_expect(size == 9 + (128u << 20) + 1 && fault.column == 6);
    cr_expect(strstr(fault.message, "a value length of at most 134217728, found 134217729"), "%s", fault.message);
    cr_expect(decode_bin(BIN("\xff\xff\xff\xff"), &record, &size, &fault) == CLI_MALFORMED);
}

static uint64_t next_random(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

static void fill(uint64_t *state, char *bytes, size_t size, bool any) {
    static const char usual[] = "abc \t\n\r\\\"/{}:,\x01\x7f";
    for (size_t i = 0; i < size; i++) bytes[i] = any ? (char)next_random(state) : usual[next_random(state) % (sizeof usual - 1)];
}

static void expect_same(const struct cli_record *a, const struct cli_record *b, const char *format) {
    cr_assert(a->is_delete == b->is_delete, "%s", format);
    cr_assert(slice_is(a->key, b->key.data, b->key.size), "%s: key", format);
    cr_assert(slice_is(a->value, b->value.data, b->value.size), "%s: value", format);
}

static void there_and_back(const struct cli_record *record, const char *format, cli_encode_fn encode, cli_decode_line_fn decode) {
    struct cli_text text = {0};
    encode(&text, record);
    cr_assert(!text.out_of_memory && memchr(text.data, '\n', text.size) == text.data + text.size - 1, "%s", format);
    struct decoding d = decoding_of(decode, text.data, text.size - 1);
    cr_assert(d.outcome == CLI_DECODED, "%s: %s", format, d.fault.message);
    expect_same(&d.record, record, format);
    decoding_free(&d);
    cli_text_free(&text);
}

Test(encode, every_format_there_and_back) {
    uint64_t state = 20240601;
    for (int i = 0; i < 20000; i++) {
        char key[40], value[200];
        size_t key_bytes = 1 + next_random(&state) % (sizeof key - 1), value_bytes = next_random(&state) % sizeof value;
        bool any = i % 2;
        fill(&state, key, key_bytes, any);
        fill(&state, value, value_bytes, any);
        struct cli_record record = {.key = varve_bytes(key, key_bytes), .value = varve_bytes(value, value_bytes)};
        if (i % 7 == 0) record = (struct cli_record){.key = record.key, .value = {value, 0}, .is_delete = true};
        there_and_back(&record, "tsv", cli_encode_tsv, cli_decode_tsv);
        there_and_back(&record, "hex", cli_encode_hex, cli_decode_hex);
        there_and_back(&record, "jsonl", cli_encode_jsonl, cli_decode_jsonl);
        struct cli_text text = {0};
        struct cli_record again;
        struct cli_fault fault;
        uint64_t size = 0;
        bool value_follows;
        cli_encode_bin(&text, &record);
        varve_slice encoded = varve_bytes(text.data, text.size);
        cr_assert(cli_decode_bin(encoded, &again, &size, &value_follows, &fault) == CLI_DECODED && size == text.size);
        expect_same(&again, &record, "bin");
        cli_text_free(&text);
    }
}

static void expect_text(cli_encode_fn encode, varve_slice key, varve_slice value, const char *wanted) {
    struct cli_text text = {0};
    struct cli_record record = {.key = key, .value = value};
    encode(&text, &record);
    cr_expect(slice_is(varve_bytes(text.data, text.size), wanted, strlen(wanted)), "%.*s", (int)text.size, text.data);
    cli_text_free(&text);
}

Test(encode, the_text_itself) {
    expect_text(cli_encode_tsv, varve_str("a\tb"), varve_str("\\\n\r"), "a\\tb\t\\\\\\n\\r\n");
    expect_text(cli_encode_hex, varve_str("a\xff"), varve_str(""), "61ff\t\n");
    expect_text(cli_encode_jsonl, varve_str("\xc3\xa9\""), varve_str("\x01\n"),
                "{\"key\":\"\xc3\xa9\\\"\",\"value\":\"\\u0001\\n\"}\n");
    expect_text(cli_encode_jsonl, BIN("\0\xff"), varve_str("\xff"), "{\"key_base64\":\"AP8=\",\"value_base64\":\"/w==\"}\n");
    expect_text(cli_encode_jsonl, BIN("\0"), varve_str(""), "{\"key\":\"\\u0000\",\"value\":\"\"}\n");
}

Test(encode, readable) {
    struct cli_text text = {0};
    cli_text_add_readable(&text, BIN("a\\\0\xff z"), 100);
    cr_expect(slice_is(varve_bytes(text.data, text.size), "a\\x5c\\x00\\xff z", 15), "%.*s", (int)text.size, text.data);
    text.size = 0;
    cli_text_add_readable(&text, varve_str("abcdef"), 3);
    cr_expect(slice_is(varve_bytes(text.data, text.size), "abc...", 6));
    cli_text_free(&text);
}
