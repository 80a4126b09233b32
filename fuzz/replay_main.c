/*
 * Stands in for libFuzzer: feeds every file of the directories (or the files) named on the command line to a fuzz target, once.
 * A crash or a sanitizer report is the failure; an empty corpus is one too, since it would prove nothing.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Feeds one file, in an allocation of exactly its size, so that a read past its end is seen. Returns 0 or 1 (unreadable). */
static int replay_file(const char *path) {
    FILE *file = fopen(path, "rb");
    struct stat info;
    if (!file || fstat(fileno(file), &info) != 0) {
        fprintf(stderr, "%s: cannot be read\n", path);
        if (file) fclose(file);
        return 1;
    }
    size_t size = (size_t)info.st_size;
    uint8_t *data = malloc(size ? size : 1);
    int failed = !data || fread(data, 1, size, file) != size;
    fclose(file);
    if (!failed) {
        fprintf(stderr, "%s (%zu bytes)\n", path, size); /* the last name printed is the one that crashed */
        LLVMFuzzerTestOneInput(data, size);
    }
    free(data);
    return failed;
}

/* Feeds every regular file of a directory, in name order. Adds to *count; returns the number of unreadable files. */
static int replay_directory(const char *path, unsigned *count) {
    struct dirent **entries = NULL;
    int n = scandir(path, &entries, NULL, alphasort);
    int failures = 0;
    for (int i = 0; i < n; i++) {
        char name[4096];
        int length = snprintf(name, sizeof name, "%s/%s", path, entries[i]->d_name);
        struct stat info;
        if (length < (int)sizeof name && entries[i]->d_name[0] != '.' && stat(name, &info) == 0 && S_ISREG(info.st_mode)) {
            failures += replay_file(name);
            *count += 1;
        }
        free(entries[i]);
    }
    free(entries);
    return failures;
}

int main(int argc, char **argv) {
    unsigned count = 0;
    int failures = 0;
    for (int i = 1; i < argc; i++) {
        struct stat info;
        if (stat(argv[i], &info) == 0 && S_ISREG(info.st_mode)) {
            failures += replay_file(argv[i]);
            count++;
        } else {
            failures += replay_directory(argv[i], &count);
        }
    }
    printf("%u inputs replayed\n", count);
    if (count == 0) fprintf(stderr, "no inputs: is the corpus missing?\n");
    return failures || count == 0 ? 1 : 0;
}
