/*
 * test_filename.c - one spelling for a table's name, both ways.
 */
#include "version_fixture.h"

Test(filename, tables_are_named_by_ten_digits) {
    char path[VR_PATH_BYTES_MAX];
    cr_assert(vr_filename_table(path, "a/db", 1));
    cr_assert_str_eq(path, "a/db/0000000001.vst");
    cr_assert(vr_filename_table(path, "a/db", UINT64_C(12345678901)));
    cr_assert_str_eq(path, "a/db/12345678901.vst");
}

Test(filename, what_is_written_is_read) {
    static const uint64_t numbers[] = {1, 9, 9999999999, 10000000000, VR_FILE_NUMBER_MAX, UINT64_MAX};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        char path[VR_PATH_BYTES_MAX];
        uint64_t number = 0;
        cr_assert(vr_filename_table(path, "d", numbers[i]));
        cr_assert(vr_filename_parse_table(path + 2, &number), "%s", path);
        cr_assert_eq(number, numbers[i]);
    }
}

Test(filename, other_names_are_no_tables) {
    static const char *const names[] = {
        "",
        "0000000000.vst",  /* number 0 is never given out */
        "000000001.vst",   /* too few digits */
        "00000000001.vst", /* a needless zero */
        "0000000001.vst.tmp",
        "0000000001.VST",
        "0000000001.wal",
        "0000000001",
        "000000000a.vst",
        "-000000001.vst",
        " 0000000001.vst",
        "18446744073709551616.vst", /* 2^64 */
        "99999999999999999999.vst",
        "MANIFEST",
        "LOCK",
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        uint64_t number = 77;
        cr_expect_not(vr_filename_parse_table(names[i], &number), "%s", names[i]);
        cr_expect_eq(number, 77);
    }
}

Test(filename, a_path_that_does_not_fit_is_refused) {
    char path[VR_PATH_BYTES_MAX], dir[VR_PATH_BYTES_MAX];
    memset(dir, 'd', sizeof dir);
    dir[sizeof dir - 10] = 0;
    cr_assert_not(vr_filename_table(path, dir, 1));
}
