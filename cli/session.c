/*
 * cli/session.c - the handles that a command works with: database, store, changelog.
 */
#include "command.h"

/* Diagnostics of the library, from any of its threads. */
static void print_diagnostic(void *context, const char *line) {
    (void)context;
    fprintf(stderr, "varve: %s\n", line);
}

static bool restore_progressed(void *context, const varve_restore_progress *restored) {
    struct cli_state state = {.records = restored->records,
                              .bytes = restored->bytes,
                              .done = (uint64_t)(restored->offset - restored->start_offset),
                              .total = (uint64_t)(restored->end_offset - restored->start_offset)};
    if (context) cli_progress_show(context, &state);
    return !cli_interrupted();
}

void cli_changelog_options(const struct cli_options *options, struct cli_progress *progress, varve_changelog_options *out) {
    *out = (varve_changelog_options){
        .size = sizeof *out,
        .brokers = options->brokers,
        .topic = options->topic,
        .partition = (int32_t)options->partition,
        .transactional_id = options->transactional_id,
        .partitions = (int32_t)options->partitions,
        .replication = (int32_t)options->replication,
        .commit_interval_ms = (uint32_t)options->commit_interval_ms,
        .timeout_ms = (uint32_t)options->timeout_ms,
        .settings = options->settings,
        .settings_count = (size_t)options->settings_count,
        .progress = restore_progressed,
        .progress_context = progress,
        .diag = options->verbose ? print_diagnostic : NULL,
    };
}

int cli_open(const struct cli_options *options, enum cli_open how, struct cli_session *session) {
    varve_error err = {0};
    varve_options database = {
        .size = sizeof database,
        .create = how == CLI_CREATE_STORE,
        .wal_mode = (varve_wal_mode)options->wal_mode,
        .memory = options->memory,
        .diag = options->verbose ? print_diagnostic : NULL,
    };
    varve_store_options store = {
        .size = sizeof store,
        .must_exist = how != CLI_CREATE_STORE,
        .compression_level = (int32_t)options->compression,
    };
    /* Level 0 is a level of zstd (its default, 3), but the library takes zero for its own default. */
    if (options->compression_given && options->compression == 0) store.compression_level = 3;
    if (varve_open(options->arguments[0], &database, &session->db, &err) != VARVE_OK) return cli_fail_error(options, &err);
    if (how == CLI_OPEN_DATABASE) return CLI_DONE;
    if (varve_store_open(session->db, options->store, &store, &session->store, &err) != VARVE_OK) {
        return cli_fail_error(options, &err);
    }
    return CLI_DONE;
}

/* Says what opening the changelog did, where it did more than to find everything in order. */
static void report_open(const struct cli_options *options, const varve_changelog_stats *stats) {
    if (stats->restored_records > 0) {
        cli_note(options, "restored %llu records that the changelog had more than the store, in %.2f s",
                 (unsigned long long)stats->restored_records, (double)stats->restore_ms / 1e3);
    }
    if (stats->rolled_back > 0) {
        cli_note(options, "rolled %llu changes back that were never shipped: another process had taken over",
                 (unsigned long long)stats->rolled_back);
    }
}

int cli_open_changelog(const struct cli_options *options, struct cli_session *session) {
    if (!options->brokers) return CLI_DONE;
    varve_error err = {0};
    struct cli_progress progress;
    varve_changelog_options changelog;
    varve_changelog_stats stats = {.size = sizeof stats};
    cli_progress_begin(&progress, options, "restoring");
    cli_changelog_options(options, &progress, &changelog);
    varve_status status = varve_changelog_open(session->store, &changelog, &session->changelog, &err);
    cli_progress_end(&progress);
    if (status != VARVE_OK) return cli_fail_error(options, &err);
    if (varve_changelog_stats_get(session->changelog, &stats, &err) == VARVE_OK) report_open(options, &stats);
    return CLI_DONE;
}

/* Says why not everything is acknowledged: what keeps Kafka away is known to the stats better than to the flush. */
static int fail_flush(const struct cli_options *options, const varve_changelog_stats *stats, varve_error *err) {
    if (err->code == VARVE_TIMEOUT) {
        return cli_fail(options, stats->state == VARVE_OK ? CLI_KAFKA : cli_exit_code(stats->state),
                        "Kafka has acknowledged changes up to %llu of %llu%s%s; the rest stays in the WAL and is shipped after the "
                        "next open of the changelog",
                        (unsigned long long)stats->acknowledged_sequence, (unsigned long long)stats->sequence,
                        stats->message[0] ? ": " : "", stats->message);
    }
    return cli_fail_error(options, err);
}

int cli_flush_changelog(const struct cli_options *options, struct cli_session *session) {
    enum { STEP_MS = 250 };
    if (!session->changelog) return CLI_DONE;
    uint64_t acknowledged = 0, moved_ms = cli_now_ms();
    varve_changelog_stats stats = {.size = sizeof stats};
    for (;;) {
        varve_error err = {0};
        uint32_t step_ms = options->timeout_ms < STEP_MS ? (uint32_t)options->timeout_ms : STEP_MS;
        varve_status status = varve_changelog_flush(session->changelog, step_ms, &err);
        if (status == VARVE_OK) return CLI_DONE;
        if (cli_interrupted()) return cli_fail(options, cli_interrupted(), "interrupted while Kafka was acknowledging");
        varve_error ignored;
        (void)varve_changelog_stats_get(session->changelog, &stats, &ignored);
        if (stats.acknowledged_sequence > acknowledged) moved_ms = cli_now_ms();
        acknowledged = stats.acknowledged_sequence;
        bool may_wait = status == VARVE_TIMEOUT && cli_now_ms() - moved_ms < options->timeout_ms;
        if (!may_wait) return fail_flush(options, &stats, &err);
    }
}

int cli_close(const struct cli_options *options, struct cli_session *session, int code) {
    varve_error err = {0};
    if (varve_changelog_close(session->changelog, &err) != VARVE_OK && code == CLI_DONE) code = cli_fail_error(options, &err);
    varve_store_close(session->store);
    if (varve_close(session->db, &err) != VARVE_OK && code == CLI_DONE) code = cli_fail_error(options, &err);
    *session = (struct cli_session){0};
    return code;
}
