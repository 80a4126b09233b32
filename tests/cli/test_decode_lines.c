/*
 * tests/cli/test_decode_lines.c - tsv and hex: what is a record, and where and why the rest is none.
 */
#include "decoding.h"

Test(tsv, pairs_and_deletes) {
    EXPECT_RECORD(cli_decode_tsv, "ada\t1815", "ada", "1815");
    EXPECT_RECORD(cli_decode_tsv, "ada\t", "ada", "");
    EXPECT_RECORD(cli_decode_tsv, "\tvalue", "", "value");
    EXPECT_RECORD(cli_decode_tsv, "\t", "", "");
    EXPECT_RECORD(cli_decode_tsv, "ada", "ada", NULL);
    EXPECT_RECORD(cli_decode_tsv, "{\"a\": 1}\t[]", "{\"a\": 1}", "[]");
}

Test(tsv, escapes) {
    EXPECT_RECORD(cli_decode_tsv, "a\\tb\\n\\r\\\\\tx\\ny\\\\", "a\tb\n\r\\", "x\ny\\");
    EXPECT_RECORD(cli_decode_tsv, "\\\\t", "\\t", NULL);
}

Test(tsv, any_other_byte_stands_for_itself) {
    char line[256 + 1];
    size_t n = 0;
    for (int c = 0; c < 256; c++) {
        if (c != '\t' && c != '\n' && c != '\r' && c != '\\') line[n++] = (char)c;
    }
    struct decoding d = decoding_of(cli_decode_tsv, line, n);
    cr_assert(d.outcome == CLI_DECODED && d.record.is_delete);
    cr_assert(slice_is(d.record.key, line, n));
    decoding_free(&d);
}

Test(tsv, faults_name_the_place) {
    EXPECT_FAULT(cli_decode_tsv, "", 1, "expected a key");
    EXPECT_FAULT(cli_decode_tsv, "a\tb\tc", 4, "\\t for a tab inside the value, found byte 0x09");
    EXPECT_FAULT(cli_decode_tsv, "a\\x\tb", 3, "t, n, r or \\ after a backslash, found 'x'");
    EXPECT_FAULT(cli_decode_tsv, "a\tb\\", 5, "after a backslash, found the end");
    EXPECT_FAULT(cli_decode_tsv, "a\\\tb", 3, "after a backslash, found byte 0x09");
    EXPECT_FAULT(cli_decode_tsv, "a\tb\r", 4, "\\r for a carriage return");
    EXPECT_FAULT(cli_decode_tsv, "a\rb", 2, "\\r for a carriage return");
}

Test(tsv, keys_have_a_limit) {
    size_t size = VARVE_KEY_BYTES_MAX + 1;
    char *line = malloc(size);
    cr_assert(line);
    memset(line, 'k', size);
    struct decoding d = decoding_of(cli_decode_tsv, line, size);
    cr_expect(d.outcome == CLI_MALFORMED);
    cr_expect(strstr(d.fault.message, "a key of at most 65535 bytes, found 65536"), "%s", d.fault.message);
    decoding_free(&d);
    d = decoding_of(cli_decode_tsv, line, size - 1);
    cr_expect(d.outcome == CLI_DECODED && d.record.key.size == VARVE_KEY_BYTES_MAX);
    decoding_free(&d);
    free(line);
}

Test(limits, of_values) {
    struct cli_fault fault;
    struct cli_record record = {.key = varve_str("k"), .value = {"", VARVE_VALUE_BYTES_MAX}};
    cr_expect(cli_check_limits(&record, &fault) == CLI_DECODED);
    record.value.size++;
    cr_expect(cli_check_limits(&record, &fault) == CLI_MALFORMED);
    cr_expect(strstr(fault.message, "a value of at most 134217728 bytes, found 134217729"), "%s", fault.message);
}

Test(hex, pairs_and_deletes) {
    EXPECT_RECORD(cli_decode_hex, "616461\t31383135", "ada", "1815");
    EXPECT_RECORD(cli_decode_hex, "00fF7a",
                  "\0\xff"
                  "z",
                  NULL);
    EXPECT_RECORD(cli_decode_hex, "\t", "", "");
}

Test(hex, faults_name_the_place) {
    EXPECT_FAULT(cli_decode_hex, "", 1, "expected a key in hex digits");
    EXPECT_FAULT(cli_decode_hex, "61x1", 3, "two for each byte of the key, found 'x'");
    EXPECT_FAULT(cli_decode_hex, "616\t00", 4, "two for each byte of the key, found byte 0x09");
    EXPECT_FAULT(cli_decode_hex, "61\t0", 5, "two for each byte of the value, found the end");
    EXPECT_FAULT(cli_decode_hex, "61\t00\t00", 6, "two for each byte of the value, found byte 0x09");
}

Test(utf8, only_whole_valid_characters) {
    static const struct {
        const char *text;
        size_t length;
    } cases[] = {
        {"a", 1},
        {"\xc3\xa9", 2},
        {"\xe2\x82\xac", 3},
        {"\xf0\x9f\x98\x80", 4},
        {"\xf4\x8f\xbf\xbf", 4},
        {"\xed\x9f\xbf", 3},
        {"\x80", 0},
        {"\xc0\x80", 0},
        {"\xc1\xbf", 0},
        {"\xe0\x9f\xbf", 0},
        {"\xed\xa0\x80", 0},
        {"\xf0\x8f\xbf\xbf", 0},
        {"\xf4\x90\x80\x80", 0},
        {"\xf5\x80\x80\x80", 0},
        {"\xc3", 0},
        {"\xe2\x82", 0},
        {"\xe2\x82z", 0},
        {"\xff", 0},
        {"", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cr_expect(cli_utf8_length(varve_str(cases[i].text)) == cases[i].length, "case %zu", i);
    }
}
