/*
 * version/filename.c - the names of a database's files. Any thread; nothing is kept.
 */
#include "version/filename.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define NUMBER_DIGITS 10u
#define TABLE_SUFFIX ".vst"

bool vr_filename_table(char path[VR_PATH_BYTES_MAX], const char *dir, uint64_t number) {
    char name[32];
    snprintf(name, sizeof name, "%010" PRIu64 TABLE_SUFFIX, number);
    return vr_path_join(path, dir, name);
}

/*
 * The one spelling that vr_filename_table() gives: anything else (too few digits, a needless leading zero, number 0) is not ours
 * and must not be taken for a table, or a clean-up would delete a stranger's file.
 */
bool vr_filename_parse_table(const char *name, uint64_t *number) {
    uint64_t value = 0;
    size_t digits = 0;
    for (; name[digits] >= '0' && name[digits] <= '9'; digits++) {
        unsigned digit = (unsigned)(name[digits] - '0');
        if (value > (UINT64_MAX - digit) / 10) return false;
        value = value * 10 + digit;
    }
    if (digits < NUMBER_DIGITS || (digits > NUMBER_DIGITS && name[0] == '0')) return false;
    if (value == 0 || strcmp(name + digits, TABLE_SUFFIX) != 0) return false;
    *number = value;
    return true;
}
