/*
 * cli/cmd_inspect.c - varve stats, dump, checkpoint.
 */
#include "command.h"

/* --- stats ------------------------------------------------------------------------------------------------------ */

enum unit { UNIT_COUNT, UNIT_BYTES, UNIT_US };

struct line {
    const char *name;
    enum unit unit;
    size_t offset;
};

#define AT(field) offsetof(varve_stats, field)

static const struct line stats_lines[] = {
    {"sequence", UNIT_COUNT, AT(sequence)},
    {"synced_sequence", UNIT_COUNT, AT(synced_sequence)},
    {"recovered_records", UNIT_COUNT, AT(recovered_records)},
    {"recovered_bytes", UNIT_BYTES, AT(recovered_bytes)},
    {"recovery_us", UNIT_US, AT(recovery_us)},
    {"stores", UNIT_COUNT, AT(stores)},
    {"tables", UNIT_COUNT, AT(tables)},
    {"table_bytes", UNIT_BYTES, AT(table_bytes)},
    {"wal_segments", UNIT_COUNT, AT(wal_segments)},
    {"wal_bytes", UNIT_BYTES, AT(wal_bytes)},
    {"wal_syncs", UNIT_COUNT, AT(wal_syncs)},
    {"writes", UNIT_COUNT, AT(writes)},
    {"write_bytes", UNIT_BYTES, AT(write_bytes)},
    {"memory_budget", UNIT_BYTES, AT(memory_budget)},
    {"memory_bytes", UNIT_BYTES, AT(memory_bytes)},
    {"memtable_bytes", UNIT_BYTES, AT(memtable_bytes)},
    {"cache_bytes", UNIT_BYTES, AT(cache_bytes)},
    {"index_bytes", UNIT_BYTES, AT(index_bytes)},
    {"cache_hits", UNIT_COUNT, AT(cache_hits)},
    {"cache_misses", UNIT_COUNT, AT(cache_misses)},
    {"cache_evictions", UNIT_COUNT, AT(cache_evictions)},
    {"flushes", UNIT_COUNT, AT(flushes)},
    {"flush_bytes", UNIT_BYTES, AT(flush_bytes)},
    {"compactions", UNIT_COUNT, AT(compactions)},
    {"compaction_read_bytes", UNIT_BYTES, AT(compaction_read_bytes)},
    {"compaction_write_bytes", UNIT_BYTES, AT(compaction_write_bytes)},
    {"stall_us", UNIT_US, AT(stall_us)},
};

enum { STATS_LINES = sizeof stats_lines / sizeof stats_lines[0] };

/* Bytes and times again, in the unit that a reader would choose. */
static void print_readable(enum unit unit, uint64_t value) {
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
    if (unit == UNIT_US && value >= 1000) printf("  (%.3f s)", (double)value / 1e6);
    if (unit != UNIT_BYTES || value < 1024) return;
    double scaled = (double)value / 1024;
    int i = 0;
    while (scaled >= 1024 && i < 3) {
        scaled /= 1024;
        i++;
    }
    printf("  (%.1f %s)", scaled, units[i]);
}

static bool print_store_line(void *context, const char *name) {
    struct cli_text readable = {0};
    (void)context;
    cli_text_add_readable(&readable, varve_str(name), VARVE_STORE_NAME_BYTES_MAX);
    printf("%-24s %.*s\n", "store", (int)readable.size, readable.data ? readable.data : "");
    cli_text_free(&readable);
    return true;
}

static void print_lines(const varve_stats *stats) {
    for (int i = 0; i < STATS_LINES; i++) {
        uint64_t value = 0;
        memcpy(&value, (const char *)stats + stats_lines[i].offset, sizeof value);
        printf("%-24s %16llu", stats_lines[i].name, (unsigned long long)value);
        print_readable(stats_lines[i].unit, value);
        putchar('\n');
    }
    for (int level = 0; level < 8; level++) {
        if (stats->level_tables[level] == 0) continue;
        printf("level %d %17s %16llu tables, %llu bytes\n", level, "", (unsigned long long)stats->level_tables[level],
               (unsigned long long)stats->level_bytes[level]);
    }
}

/* A store's name in JSON: the strict encoder of records knows how. */
static bool print_store_json(void *context, const char *name) {
    bool *first = context;
    struct cli_text text = {0};
    cli_text_add_json_string(&text, varve_str(name));
    printf("%s%.*s", *first ? "" : ",", (int)text.size, text.data ? text.data : "");
    *first = false;
    cli_text_free(&text);
    return true;
}

static void print_json(const varve_stats *stats) {
    for (int i = 0; i < STATS_LINES; i++) {
        uint64_t value = 0;
        memcpy(&value, (const char *)stats + stats_lines[i].offset, sizeof value);
        printf("%s\"%s\":%llu", i ? "," : "{", stats_lines[i].name, (unsigned long long)value);
    }
    for (int kind = 0; kind < 2; kind++) {
        const uint64_t *levels = kind ? stats->level_bytes : stats->level_tables;
        printf(",\"%s\":[", kind ? "level_bytes" : "level_tables");
        for (int level = 0; level < 8; level++) printf("%s%llu", level ? "," : "", (unsigned long long)levels[level]);
        printf("]");
    }
    printf(",\"store_names\":[");
}

int cli_stats(const struct cli_options *options) {
    struct cli_session session = {0};
    varve_error err = {0};
    varve_stats stats = {.size = sizeof stats};
    bool first = true;
    cli_catch_signals();
    int code = cli_open(options, CLI_OPEN_DATABASE, &session);
    if (code == CLI_DONE && varve_stats_get(session.db, &stats, &err) != VARVE_OK) code = cli_fail_error(options, &err);
    if (code == CLI_DONE) {
        if (options->json) {
            print_json(&stats);
        } else {
            print_lines(&stats);
        }
        varve_store_fn visit = options->json ? print_store_json : print_store_line;
        if (varve_store_list(session.db, visit, &first, &err) != VARVE_OK) code = cli_fail_error(options, &err);
        if (options->json) printf("]}\n");
    }
    code = cli_close(options, &session, code);
    int printed = cli_flush_out(options);
    return code != CLI_DONE ? code : printed;
}

/* --- dump and checkpoint ---------------------------------------------------------------------------------------- */

static bool print_dump_line(void *context, const char *line) {
    (void)context;
    return printf("%s\n", line) >= 0 && !cli_interrupted();
}

int cli_dump(const struct cli_options *options) {
    varve_error err = {0};
    cli_catch_signals();
    varve_status status = varve_dump(options->arguments[0], print_dump_line, NULL, &err);
    int printed = cli_flush_out(options);
    if (cli_interrupted()) return cli_fail(options, cli_interrupted(), "interrupted");
    if (ferror(stdout)) return printed;
    return status == VARVE_OK ? printed : cli_fail_error(options, &err);
}

int cli_checkpoint(const struct cli_options *options) {
    struct cli_session session = {0};
    varve_error err = {0};
    cli_catch_signals();
    int code = cli_open(options, CLI_OPEN_DATABASE, &session);
    if (code == CLI_DONE && varve_checkpoint(session.db, options->arguments[1], &err) != VARVE_OK) {
        code = cli_fail_error(options, &err);
    }
    return cli_close(options, &session, code);
}
