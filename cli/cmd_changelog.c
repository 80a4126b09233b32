/*
 * cli/cmd_changelog.c - varve restore and verify: a store from its changelog, and against it.
 */
#include "command.h"

#include <unistd.h>

enum { DIFFERENCES_SHOWN_MAX = 20, KEY_SHOWN_BYTES = 120 };

static int need_topic(const struct cli_options *options) {
    if (options->brokers) return CLI_DONE;
    return cli_fail(options, CLI_USAGE, "--brokers and --topic are needed");
}

int cli_restore(const struct cli_options *options) {
    struct cli_session session = {0};
    struct cli_progress progress;
    varve_changelog_options changelog;
    varve_restore_progress result = {0};
    varve_error err = {0};
    int code = need_topic(options);
    if (code != CLI_DONE) return code;
    cli_catch_signals();
    code = cli_open(options, CLI_CREATE_STORE, &session);
    if (code != CLI_DONE) return cli_close(options, &session, code);
    cli_progress_begin(&progress, options, "restoring");
    cli_changelog_options(options, &progress, &changelog);
    changelog.must_exist = true;
    varve_status status = varve_changelog_restore(session.store, &changelog, &result, &err);
    double seconds = cli_progress_seconds(&progress);
    cli_progress_end(&progress);
    if (status == VARVE_OK) {
        cli_print_rate("restored", result.records, result.bytes, seconds);
        printf("offsets %lld to %lld\n", (long long)result.start_offset, (long long)result.end_offset);
    } else {
        code = cli_fail_error(options, &err);
    }
    code = cli_close(options, &session, code);
    int printed = cli_flush_out(options);
    return code != CLI_DONE ? code : printed;
}

/* The differences found so far; those after the first few are only counted by the library. */
struct differences {
    struct cli_progress *progress;
    uint64_t shown;
};

static bool print_difference(void *context, const varve_difference *difference) {
    struct differences *differences = context;
    struct cli_text key = {0};
    if (differences->shown++ >= DIFFERENCES_SHOWN_MAX) return !cli_interrupted();
    cli_progress_end(differences->progress);
    cli_text_add_readable(&key, difference->key, KEY_SHOWN_BYTES);
    printf("differs: %.*s: ", (int)key.size, key.data ? key.data : "");
    if (!difference->changelog_value) {
        printf("in the store only\n");
    } else if (!difference->store_value) {
        printf("in the changelog only\n");
    } else {
        printf("the store has %zu bytes, the changelog %zu, not the same\n", difference->store_value->size,
               difference->changelog_value->size);
    }
    cli_text_free(&key);
    return !cli_interrupted();
}

/* The scratch directory, beside the database: DIR.verify-PID. */
static bool name_scratch(const char *directory, struct cli_text *name) {
    char suffix[40];
    size_t size = strlen(directory);
    while (size > 1 && directory[size - 1] == '/') size--;
    cli_text_add(name, directory, size);
    int suffix_bytes = snprintf(suffix, sizeof suffix, ".verify-%ld", (long)getpid());
    cli_text_add(name, suffix, (size_t)suffix_bytes + 1);
    return !name->out_of_memory;
}

static int compare(const struct cli_options *options, struct cli_session *session, const char *scratch) {
    struct cli_progress progress;
    struct differences differences = {.progress = &progress};
    varve_changelog_options changelog;
    varve_verify_result result = {0};
    varve_error err = {0};
    cli_progress_begin(&progress, options, "comparing");
    cli_changelog_options(options, &progress, &changelog);
    changelog.must_exist = true;
    varve_status status =
        varve_changelog_verify(session->store, &changelog, scratch, print_difference, &differences, &result, &err);
    cli_progress_end(&progress);
    if (status < 0) return cli_fail_error(options, &err);
    if (cli_interrupted()) return cli_fail(options, cli_interrupted(), "interrupted");
    printf("%s: %llu live keys compared, %llu differ, %llu records read from the topic in %.2f s\n",
           status == VARVE_OK ? "equal" : "different", (unsigned long long)result.entries, (unsigned long long)result.differences,
           (unsigned long long)result.log_records, cli_progress_seconds(&progress));
    printf("digest of the store %016llx, of the changelog %016llx\n", (unsigned long long)result.store_digest,
           (unsigned long long)result.log_digest);
    return status == VARVE_OK ? CLI_DONE : CLI_DIFFERENT;
}

int cli_verify(const struct cli_options *options) {
    struct cli_session session = {0};
    struct cli_text scratch = {0};
    varve_error err = {0};
    varve_stats stats = {.size = sizeof stats};
    cli_catch_signals();
    int code = cli_open(options, options->brokers ? CLI_OPEN_STORE : CLI_OPEN_DATABASE, &session);
    if (code == CLI_DONE && varve_verify(session.db, &err) != VARVE_OK) code = cli_fail_error(options, &err);
    if (code == CLI_DONE && varve_stats_get(session.db, &stats, &err) != VARVE_OK) code = cli_fail_error(options, &err);
    if (code == CLI_DONE) {
        printf("checksums are right: %llu tables, %llu bytes, and the WAL as far as it was replayed\n",
               (unsigned long long)stats.tables, (unsigned long long)stats.table_bytes);
    }
    if (code == CLI_DONE && options->brokers) {
        if (name_scratch(options->arguments[0], &scratch)) {
            code = compare(options, &session, scratch.data);
        } else {
            code = cli_fail(options, CLI_INTERNAL, "out of memory");
        }
    }
    code = cli_close(options, &session, code);
    cli_text_free(&scratch);
    int printed = cli_flush_out(options);
    return code != CLI_DONE ? code : printed;
}
