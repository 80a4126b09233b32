/*
 * tests/changelog/test_changelog_document.c - the worked examples of doc/changelog-protocol.md are the golden files.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Reads the lines "    0000: 01 02 ..." after the golden file's name. */
static size_t example_of(const char *golden, unsigned char *out, size_t room) {
    FILE *document = fopen(VARVE_SOURCE_DIR "/doc/changelog-protocol.md", "r");
    cr_assert(document);
    char line[400];
    bool found = false;
    size_t size = 0;
    while (fgets(line, sizeof line, document)) {
        if (strstr(line, golden)) found = true;
        unsigned long at = strtoul(line, NULL, 16);
        if (!found || strncmp(line, "    0", 5) != 0) {
            if (size > 0) break;
            continue;
        }
        cr_assert_eq(at, size, "%s: line %04lx", golden, at);
        for (char *rest = strchr(line, ':') + 1; *rest && *rest != '\n';) {
            cr_assert(size < room);
            out[size++] = (unsigned char)strtoul(rest, &rest, 16);
        }
    }
    fclose(document);
    return size;
}

static void same_bytes(const char *golden) {
    unsigned char example[512], bytes[512];
    char path[300];
    snprintf(path, sizeof path, "%s/tests/golden/%s", VARVE_SOURCE_DIR, golden);
    FILE *file = fopen(path, "rb");
    cr_assert(file, "%s", path);
    size_t size = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    cr_assert_eq(example_of(golden, example, sizeof example), size, "%s", golden);
    cr_expect_arr_eq(example, bytes, size, "%s", golden);
}

Test(changelog_document, mark) {
    same_bytes("changelog-mark-v1.bin");
}

Test(changelog_document, position) {
    same_bytes("changelog-position-v1.bin");
}
