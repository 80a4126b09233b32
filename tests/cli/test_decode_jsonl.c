/*
 * tests/cli/test_decode_jsonl.c - jsonl: what is a record, and where and why the rest is none.
 */
#include "decoding.h"

#define DECODE cli_decode_jsonl

Test(jsonl, pairs_and_deletes) {
    EXPECT_RECORD(DECODE, "{\"key\":\"ada\",\"value\":\"1815\"}", "ada", "1815");
    EXPECT_RECORD(DECODE, "{\"key\":\"ada\",\"value\":null}", "ada", NULL);
    EXPECT_RECORD(DECODE, "{\"key\":\"\",\"value\":\"\"}", "", "");
    EXPECT_RECORD(DECODE, " {\t\"value\" : \"v\" , \"key\" : \"k\" } \r", "k", "v");
}

Test(jsonl, escapes) {
    EXPECT_RECORD(DECODE, "{\"key\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\",\"value\":\"\"}", "\"\\/\b\f\n\r\t", "");
    EXPECT_RECORD(DECODE, "{\"key\":\"a\\u0000b\",\"value\":\"\"}", "a\0b", "");
    EXPECT_RECORD(DECODE, "{\"key\":\"\\u00e9\\u20AC\\uFFFF\",\"value\":\"\"}", "\xc3\xa9\xe2\x82\xac\xef\xbf\xbf", "");
    EXPECT_RECORD(DECODE, "{\"\\u006bey\":\"k\",\"value\":\"\"}", "k", "");
}

Test(jsonl, surrogate_pairs) {
    EXPECT_RECORD(DECODE, "{\"key\":\"\\ud83d\\ude00\",\"value\":\"\"}", "\xf0\x9f\x98\x80", "");
    EXPECT_RECORD(DECODE, "{\"key\":\"\\ud800\\udc00\",\"value\":\"\"}", "\xf0\x90\x80\x80", "");
    EXPECT_RECORD(DECODE, "{\"key\":\"\\uDBFF\\uDFFF\",\"value\":\"\"}", "\xf4\x8f\xbf\xbf", "");
    EXPECT_FAULT(DECODE, "{\"key\":\"\\ud83d\",\"value\":\"\"}", 15, "a low surrogate after the high one");
    EXPECT_FAULT(DECODE, "{\"key\":\"\\ud83d\\u0041\",\"value\":\"\"}", 15, "a low surrogate after the high one");
    EXPECT_FAULT(DECODE, "{\"key\":\"\\ude00\",\"value\":\"\"}", 9, "a high surrogate before this low one");
    EXPECT_FAULT(DECODE, "{\"key\":\"\\ud83d", 15, "a low surrogate");
}

Test(jsonl, text_is_utf8) {
    EXPECT_RECORD(DECODE, "{\"key\":\"\xc3\xa9\xf0\x9f\x98\x80\x7f\",\"value\":\"\"}", "\xc3\xa9\xf0\x9f\x98\x80\x7f", "");
    EXPECT_FAULT(DECODE, "{\"key\":\"a\xff\",\"value\":\"\"}", 10, "expected UTF-8");
    EXPECT_FAULT(DECODE, "{\"key\":\"\xc3", 9, "expected UTF-8");
    EXPECT_FAULT(DECODE, "{\"key\":\"\xed\xa0\x80\",\"value\":\"\"}", 9, "expected UTF-8");
}

Test(jsonl, base64_carries_any_bytes) {
    EXPECT_RECORD(DECODE, "{\"key_base64\":\"AP8=\",\"value_base64\":\"/w==\"}", "\0\xff", "\xff");
    EXPECT_RECORD(DECODE, "{\"key_base64\":\"\",\"value\":null}", "", NULL);
    EXPECT_RECORD(DECODE, "{\"key\":\"k\",\"value_base64\":\"YWJj\"}", "k", "abc");
    EXPECT_FAULT(DECODE, "{\"key_base64\":\"AP8\",\"value\":\"\"}", 15, "base64, padded with =");
    EXPECT_FAULT(DECODE, "{\"key_base64\":\"AP9=\",\"value\":\"\"}", 15, "base64");
    EXPECT_FAULT(DECODE, "{\"key_base64\":\"/x==\",\"value\":\"\"}", 15, "base64");
    EXPECT_FAULT(DECODE, "{\"key_base64\":\"====\",\"value\":\"\"}", 15, "base64");
    EXPECT_FAULT(DECODE, "{\"key_base64\":\"A=A=\",\"value\":\"\"}", 15, "base64");
    EXPECT_FAULT(DECODE, "{\"key_base64\":\"AP-_\",\"value\":\"\"}", 15, "base64");
    EXPECT_FAULT(DECODE, "{\"key\":\"k\",\"value_base64\":null}", 27, "expected a string");
}

Test(jsonl, fields_are_these_two_once) {
    EXPECT_FAULT(DECODE, "{\"key\":\"a\",\"value\":\"b\",\"c\":1}", 24, "one of the fields key, value");
    EXPECT_FAULT(DECODE, "{\"key\":\"a\",\"key\":\"b\",\"value\":\"\"}", 12, "only one key");
    EXPECT_FAULT(DECODE, "{\"key\":\"a\",\"key_base64\":\"\",\"value\":\"\"}", 12, "only one key");
    EXPECT_FAULT(DECODE, "{\"value\":\"a\",\"value\":null,\"key\":\"\"}", 14, "only one value");
    EXPECT_FAULT(DECODE, "{\"value\":\"a\"}", 13, "a field \"key\"");
    EXPECT_FAULT(DECODE, "{\"key\":\"a\"}", 11, "a field \"value\" (null deletes)");
    EXPECT_FAULT(DECODE, "{}", 2, "the name of a field");
    EXPECT_FAULT(DECODE, "{\"key\":\"a\",}", 12, "the name of a field");
}

Test(jsonl, types) {
    EXPECT_FAULT(DECODE, "{\"key\":1,\"value\":\"\"}", 8, "expected a string, found '1'");
    EXPECT_FAULT(DECODE, "{\"key\":null,\"value\":\"\"}", 8, "expected a string, found 'n'");
    EXPECT_FAULT(DECODE, "{\"key\":\"a\",\"value\":true}", 20, "a string or null, found 't'");
    EXPECT_FAULT(DECODE, "{\"key\":\"a\",\"value\":{}}", 20, "a string or null");
    EXPECT_FAULT(DECODE, "{\"key\":\"a\",\"value\":nul}", 20, "a string or null");
    EXPECT_FAULT(DECODE, "{\"key\":\"a\",\"value\":nulls}", 24, "a comma or }");
}

Test(jsonl, form) {
    EXPECT_FAULT(DECODE, "", 1, "an object");
    EXPECT_FAULT(DECODE, "[]", 1, "an object");
    EXPECT_FAULT(DECODE, "\xef\xbb\xbf{}", 1, "an object");
    EXPECT_FAULT(DECODE, "{\"key\" \"a\"}", 8, "a colon");
    EXPECT_FAULT(DECODE, "{\"key\":\"a\" \"value\":null}", 12, "a comma or }");
    EXPECT_FAULT(DECODE, "{\"key\":\"a\",\"value\":null", 24, "a comma or }");
    EXPECT_FAULT(DECODE, "{\"key\":\"a\",\"value\":null} x", 26, "nothing after the object, found 'x'");
    EXPECT_FAULT(DECODE, "{\"key\":\"a", 10, "a quote at the end of the string");
    EXPECT_FAULT(DECODE, "{\"key\":\"a\x01\"", 10, "an escape for a control character, found byte 0x01");
    EXPECT_FAULT(DECODE, "{\"key\":\"\\x\"", 10, "after a backslash, found 'x'");
    EXPECT_FAULT(DECODE, "{\"key\":\"\\", 10, "after a backslash, found the end");
    EXPECT_FAULT(DECODE, "{\"key\":\"\\u12g4\"", 13, "four hex digits");
    EXPECT_FAULT(DECODE, "{\"key\":\"\\u12", 13, "four hex digits");
    EXPECT_FAULT(DECODE, "{\"key\":\"a\",\"value\":null}\0", 25, "nothing after the object");
}
