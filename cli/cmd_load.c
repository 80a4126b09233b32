/*
 * cli/cmd_load.c - varve load: records of a file into a store, in batches, and on to the changelog if there is one.
 *
 * What is before a malformed line, a failed write or a signal is loaded when the command ends: batches are written in the order
 * of the input, and the one in hand is written before the command gives up on the input.
 */
#include "input.h"

#include <errno.h>

enum { BATCH_BYTES = 1 << 20, BAD_SHOWN_MAX = 20 };

/* A load under way. */
struct load {
    const struct cli_options *options;
    struct cli_session session;
    struct cli_input input;
    varve_batch *batch;
    struct cli_progress progress;
    uint64_t puts, deletes, bytes, bad; /* puts, deletes, bytes: written */
    uint64_t batch_puts, batch_deletes, batch_bytes;
};

static int write_batch(struct load *load) {
    if (varve_batch_count(load->batch) == 0) return CLI_DONE;
    varve_error err = {0};
    varve_write_options write = {.size = sizeof write, .durability = load->options->sync ? VARVE_SYNC : VARVE_WAL};
    if (varve_write(load->session.db, load->batch, &write, &err) != VARVE_OK) return cli_fail_error(load->options, &err);
    varve_batch_clear(load->batch);
    load->puts += load->batch_puts;
    load->deletes += load->batch_deletes;
    load->bytes += load->batch_bytes;
    load->batch_puts = load->batch_deletes = load->batch_bytes = 0;
    struct cli_state state = {.records = load->puts + load->deletes,
                              .bytes = load->bytes,
                              .done = load->input.consumed,
                              .total = load->input.size};
    cli_progress_show(&load->progress, &state);
    return CLI_DONE;
}

/* Adds the input's record to the batch; writes the batch when it is full. */
static int add_record(struct load *load) {
    const struct cli_record *record = &load->input.record;
    varve_error err = {0};
    uint64_t bytes = record->key.size + record->value.size;
    if (load->batch_bytes > 0 && load->batch_bytes + bytes > BATCH_BYTES) {
        int code = write_batch(load);
        if (code != CLI_DONE) return code;
    }
    varve_status status = record->is_delete ? varve_batch_delete(load->batch, load->session.store, record->key, &err)
                                            : varve_batch_put(load->batch, load->session.store, record->key, record->value, &err);
    if (status != VARVE_OK) return cli_fail_error(load->options, &err);
    load->batch_puts += !record->is_delete;
    load->batch_deletes += record->is_delete;
    load->batch_bytes += bytes;
    return varve_batch_count(load->batch) >= load->options->batch_records ? write_batch(load) : CLI_DONE;
}

/* Deals with a malformed record: counts it, or ends the load. */
static int report_bad(struct load *load) {
    const struct cli_input *input = &load->input;
    const char *unit = input->format == CLI_BIN ? "record" : "line";
    if (!load->options->skip_bad) {
        (void)write_batch(load);
        return cli_fail(load->options, CLI_BAD_INPUT, "%s: %s %llu, byte %llu: %s (the %llu records before it are loaded)",
                        input->name, unit, (unsigned long long)input->number, (unsigned long long)input->fault.column,
                        input->fault.message, (unsigned long long)(load->puts + load->deletes));
    }
    if (++load->bad <= BAD_SHOWN_MAX) {
        cli_progress_end(&load->progress);
        cli_note(load->options, "%s: %s %llu, byte %llu: %s; passed over%s", input->name, unit, (unsigned long long)input->number,
                 (unsigned long long)input->fault.column, input->fault.message,
                 load->bad == BAD_SHOWN_MAX ? " (further ones are only counted)" : "");
    }
    return CLI_DONE;
}

static int stop(struct load *load) {
    int code = write_batch(load);
    if (code != CLI_DONE) return code;
    return cli_fail(load->options, cli_interrupted(), "interrupted; the first %llu records are loaded",
                    (unsigned long long)(load->puts + load->deletes));
}

static int fail_read(struct load *load) {
    if (cli_interrupted()) return stop(load);
    (void)write_batch(load);
    if (load->input.os_error == 0) {
        return cli_fail(load->options, CLI_INTERNAL, "%s: out of memory for line %llu", load->input.name,
                        (unsigned long long)load->input.number + 1);
    }
    return cli_fail(load->options, CLI_IO, "%s: %s", load->input.name, strerror(load->input.os_error));
}

static int load_records(struct load *load) {
    int code = CLI_DONE;
    while (code == CLI_DONE) {
        if (cli_interrupted()) return stop(load);
        switch (cli_input_next(&load->input)) {
        case CLI_NEXT_RECORD: code = add_record(load); break;
        case CLI_NEXT_BAD: code = report_bad(load); break;
        case CLI_NEXT_END: return write_batch(load);
        case CLI_NEXT_FAILED: return fail_read(load);
        }
    }
    return code;
}

static void print_shipped(const varve_changelog_stats *stats, double seconds, bool everything) {
    printf("shipped %llu records, %.1f MB in %llu transactions (%.0f records/s), next offset %lld; ",
           (unsigned long long)stats->shipped_records, (double)stats->shipped_bytes / 1e6,
           (unsigned long long)stats->shipped_groups, (double)stats->shipped_records / seconds, (long long)stats->next_offset);
    if (everything) {
        printf("Kafka has acknowledged all\n");
    } else {
        printf("Kafka has acknowledged up to sequence %llu of %llu\n", (unsigned long long)stats->acknowledged_sequence,
               (unsigned long long)stats->sequence);
    }
    if (stats->reshipped > 0) {
        printf("of them %llu that a former process had written and not shipped\n", (unsigned long long)stats->reshipped);
    }
}

/* Ships the rest, and tells how far the changelog is. Does so for what is loaded even after the load itself has failed. */
static int finish_changelog(struct load *load, int code) {
    if (!load->session.changelog) return code;
    int flushed = cli_interrupted() ? CLI_DONE : cli_flush_changelog(load->options, &load->session);
    varve_changelog_stats stats = {.size = sizeof stats};
    if (varve_changelog_stats_get(load->session.changelog, &stats, NULL) == VARVE_OK) {
        print_shipped(&stats, cli_progress_seconds(&load->progress), flushed == CLI_DONE && !cli_interrupted());
    }
    return code == CLI_DONE ? flushed : code;
}

static int run_load(struct load *load) {
    varve_error err = {0};
    int code = cli_open(load->options, CLI_CREATE_STORE, &load->session);
    if (code == CLI_DONE) code = cli_open_changelog(load->options, &load->session);
    if (code != CLI_DONE) return code;
    if (varve_batch_create(&load->batch, &err) != VARVE_OK) return cli_fail_error(load->options, &err);
    cli_progress_begin(&load->progress, load->options, "loading");
    code = load_records(load);
    double seconds = cli_progress_seconds(&load->progress);
    cli_progress_end(&load->progress);
    cli_print_rate("loaded", load->puts + load->deletes, load->bytes, seconds);
    if (load->deletes > 0) printf("of them %llu deletes\n", (unsigned long long)load->deletes);
    if (load->bad > 0) {
        printf("passed over %llu malformed %s\n", (unsigned long long)load->bad,
               load->input.format == CLI_BIN ? "records" : "lines");
    }
    code = finish_changelog(load, code);
    varve_batch_free(load->batch);
    return code;
}

int cli_load(const struct cli_options *options) {
    struct load load = {.options = options};
    const char *file = options->arguments_count > 1 ? options->arguments[1] : NULL;
    cli_catch_signals();
    /* The input first: a mistyped file name must not create a database. */
    if (!cli_input_open(&load.input, file, (enum cli_format)options->format)) {
        int code = cli_fail(options, CLI_IO, "%s: %s", load.input.name, strerror(load.input.os_error));
        cli_input_close(&load.input);
        return code;
    }
    int code = run_load(&load);
    code = cli_close(options, &load.session, code);
    cli_input_close(&load.input);
    int printed = cli_flush_out(options);
    return code != CLI_DONE ? code : printed;
}
