/*
 * cli/command.h - what the commands share: their options, how they fail, the handles they work with, progress, signals.
 *
 * A command is a function from options to an exit code. Whatever fails prints one line, 'varve: COMMAND: MESSAGE', where it
 * fails, and its exit code travels up. Threads: the command's own thread, unless a declaration says otherwise.
 */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include <stdio.h>
#include <varve/changelog.h>
#include <varve/varve.h>

#include "encode.h"

/* --- Exit codes: fixed, see doc/command.md ---------------------------------------------------------------------- */

enum cli_exit {
    CLI_DONE = 0,
    CLI_DIFFERENT = 1,    /* the key is not there; store and changelog differ */
    CLI_USAGE = 2,        /* an option, argument or setting is wrong */
    CLI_BAD_INPUT = 3,    /* input to be loaded is malformed, or beyond a limit */
    CLI_IO = 4,           /* the operating system failed a call, no space, no such database, store or file */
    CLI_CORRUPT = 5,      /* damaged, foreign, or of an unknown version */
    CLI_BUSY = 6,         /* another process has the database open */
    CLI_KAFKA = 7,        /* Kafka cannot be reached, refused a request, or did not answer in time */
    CLI_FENCED = 8,       /* another process owns the changelog, or store and changelog are not of one history */
    CLI_INTERNAL = 9,     /* out of memory, or a bug */
    CLI_SIGNAL_BASE = 128 /* plus the number of the signal that interrupted it */
};

/* --- Options ---------------------------------------------------------------------------------------------------- */

enum cli_format { CLI_TSV, CLI_JSONL, CLI_HEX, CLI_BIN };

enum { CLI_ARGUMENTS_MAX = 3, CLI_SETTINGS_MAX = 64 };

/* Groups of options that a command takes; --help and --quiet are taken by all. */
enum cli_group {
    CLI_TAKES_DATABASE = 1u << 0,
    CLI_TAKES_STORE = 1u << 1,
    CLI_TAKES_CREATE = 1u << 2, /* how a store is created */
    CLI_TAKES_FORMAT = 1u << 3,
    CLI_TAKES_INPUT = 1u << 4,
    CLI_TAKES_SYNC = 1u << 5,
    CLI_TAKES_RANGE = 1u << 6,
    CLI_TAKES_HEX = 1u << 7,
    CLI_TAKES_KAFKA = 1u << 8,
    CLI_TAKES_WRITER = 1u << 9, /* what only a writer of the changelog needs */
    CLI_TAKES_JSON = 1u << 10,
    CLI_TAKES_RAW = 1u << 11
};

/* The command line, parsed. Memory: texts point into argv; numbers and choices are 0 when not given. */
struct cli_options {
    const char *command;
    char *arguments[CLI_ARGUMENTS_MAX];
    int arguments_count;
    bool help, quiet, verbose;
    const char *store;
    uint64_t memory;
    int wal_mode;
    int64_t compression;
    bool compression_given;
    int format;
    bool skip_bad, sync;
    uint64_t batch_records;
    char *prefix, *from, *to;
    bool reverse, hex, json, raw, limit_given;
    uint64_t limit;
    const char *brokers, *topic, *transactional_id;
    uint64_t partition, partitions, replication, commit_interval_ms, timeout_ms;
    varve_kafka_setting settings[CLI_SETTINGS_MAX];
    uint64_t settings_count;
};

/* A command: its place in the table of main.c. */
struct cli_command {
    const char *name;
    const char *arguments; /* as in its usage line */
    int arguments_min, arguments_max;
    unsigned groups; /* CLI_TAKES_* */
    int (*run)(const struct cli_options *options);
    const char *summary;
    const char *description; /* whole lines */
    const char *examples;    /* whole lines */
};

/* Parses what follows the command's name. Returns an exit code; prints why when it is not CLI_DONE. */
int cli_options_parse(const struct cli_command *command, int count, char **words, struct cli_options *options);

/* Prints the lines that describe the options of these groups. */
void cli_options_print(FILE *out, unsigned groups);

/* A slice for an argument; with --hex, decoded in place. Returns an exit code. what names it in the message. */
int cli_argument_bytes(const struct cli_options *options, const char *what, char *argument, varve_slice *bytes);

/* --- Failures --------------------------------------------------------------------------------------------------- */

/* Prints the line of a failure and returns the code. The second form takes both from an error of the library. */
int cli_fail(const struct cli_options *options, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
int cli_fail_error(const struct cli_options *options, const varve_error *err);

/* The exit code for a status. */
int cli_exit_code(varve_status status);

/* Prints a line like cli_fail's that is no failure. */
void cli_note(const struct cli_options *options, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* --- Signals ---------------------------------------------------------------------------------------------------- */

/* From now on the first SIGINT or SIGTERM is noted instead of ending the process, and SIGPIPE is ignored. */
void cli_catch_signals(void);

/* CLI_SIGNAL_BASE plus the signal that came, or 0. Threads: any. */
int cli_interrupted(void);

/* --- Handles ---------------------------------------------------------------------------------------------------- */

/* What a command has open. Begins as {0}. Closed in the order changelog, store, database. */
struct cli_session {
    varve_db *db;
    varve_store *store;
    varve_changelog *changelog;
};

enum cli_open { CLI_OPEN_DATABASE, CLI_OPEN_STORE, CLI_CREATE_STORE };

/* Opens the database and, unless only that is asked for, the store. Returns an exit code. */
int cli_open(const struct cli_options *options, enum cli_open how, struct cli_session *session);

/* Opens the changelog of the store, if brokers and topic are given, and says what that did. Returns an exit code. */
int cli_open_changelog(const struct cli_options *options, struct cli_session *session);

/*
 * Waits until Kafka has acknowledged everything, as long as there is progress within --timeout. Nothing to do without a
 * changelog. Returns an exit code.
 */
int cli_flush_changelog(const struct cli_options *options, struct cli_session *session);

/* Closes what is open. Returns code or, when that is CLI_DONE, the exit code of what failed. */
int cli_close(const struct cli_options *options, struct cli_session *session, int code);

struct cli_progress;

/* Fills in the options of the changelog. progress may be NULL; it must outlive their use. */
void cli_changelog_options(const struct cli_options *options, struct cli_progress *progress, varve_changelog_options *out);

/* --- Progress --------------------------------------------------------------------------------------------------- */

/* Of long work, on standard error: a bar when it is a terminal, a line every two seconds when it is not. */
struct cli_progress {
    const struct cli_options *options;
    const char *what;
    uint64_t start_ms, shown_ms;
    bool is_terminal, is_drawn;
};

/* How far the work is. */
struct cli_state {
    uint64_t records, bytes;
    uint64_t done, total; /* in any unit, of which the share done is shown; total 0: not known */
};

void cli_progress_begin(struct cli_progress *progress, const struct cli_options *options, const char *what);

/* Shows the state when it is time to. */
void cli_progress_show(struct cli_progress *progress, const struct cli_state *state);

/* Removes the bar. */
void cli_progress_end(struct cli_progress *progress);

/* Seconds since it began, more than 0. */
double cli_progress_seconds(const struct cli_progress *progress);

/* Milliseconds of a clock that only goes forward. */
uint64_t cli_now_ms(void);

/* Prints 'VERB N records, N MB in N s (N records/s, N MB/s)' and the end of the line on standard output. */
void cli_print_rate(const char *verb, uint64_t records, uint64_t bytes, double seconds);

/* --- Output ----------------------------------------------------------------------------------------------------- */

/* Writes all of it to standard output. Returns CLI_DONE, or CLI_IO with *broken_pipe telling whether that is why, quietly. */
int cli_write_out(const struct cli_options *options, const char *data, size_t size, bool *broken_pipe);

/* Flushes stdio's standard output. Returns an exit code; a reader that has gone is none of our failures. */
int cli_flush_out(const struct cli_options *options);

/* --- The commands ----------------------------------------------------------------------------------------------- */

int cli_load(const struct cli_options *options);
int cli_put(const struct cli_options *options);
int cli_get(const struct cli_options *options);
int cli_delete(const struct cli_options *options);
int cli_scan(const struct cli_options *options);
int cli_restore(const struct cli_options *options);
int cli_verify(const struct cli_options *options);
int cli_stats(const struct cli_options *options);
int cli_dump(const struct cli_options *options);
int cli_checkpoint(const struct cli_options *options);

#endif
