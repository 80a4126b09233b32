/*
 * cli/cmd_scan.c - varve scan: the records of a range, in key order, either way, as text that load reads back.
 */
#include "command.h"

enum { OUTPUT_BYTES = 256 << 10 };

static int scan_range(const struct cli_options *options, varve_range *range) {
    int code = cli_argument_bytes(options, "--from", options->from, &range->from);
    if (code == CLI_DONE) code = cli_argument_bytes(options, "--to", options->to, &range->to);
    if (code == CLI_DONE) code = cli_argument_bytes(options, "--prefix", options->prefix, &range->prefix);
    return code;
}

/* Encodes and writes what the iterator visits. */
static int print_records(const struct cli_options *options, varve_iterator *it, struct cli_text *text, bool *broken_pipe) {
    static const cli_encode_fn encoders[] =
        {[CLI_TSV] = cli_encode_tsv, [CLI_JSONL] = cli_encode_jsonl, [CLI_HEX] = cli_encode_hex, [CLI_BIN] = cli_encode_bin};
    varve_status (*const move)(varve_iterator *) = options->reverse ? varve_iterator_prev : varve_iterator_next;
    cli_encode_fn encode = encoders[options->format];
    int code = CLI_DONE;
    varve_status status = VARVE_OK;
    for (uint64_t n = 0; code == CLI_DONE && !(options->limit_given && n >= options->limit); n++) {
        status = move(it);
        if (status != VARVE_OK) break;
        if (cli_interrupted()) return cli_fail(options, cli_interrupted(), "interrupted");
        struct cli_record record = {.key = varve_iterator_key(it), .value = varve_iterator_value(it)};
        encode(text, &record);
        if (text->out_of_memory) return cli_fail(options, CLI_INTERNAL, "out of memory for a record to be printed");
        if (text->size >= OUTPUT_BYTES) {
            code = cli_write_out(options, text->data, text->size, broken_pipe);
            text->size = 0;
        }
    }
    if (code == CLI_DONE) code = cli_write_out(options, text->data, text->size, broken_pipe);
    if (code == CLI_DONE && status < 0) code = cli_fail_error(options, varve_iterator_error(it));
    return code;
}

int cli_scan(const struct cli_options *options) {
    struct cli_session session = {0};
    struct cli_text text = {0};
    varve_iterator *it = NULL;
    varve_range range = {0};
    varve_error err = {0};
    bool broken_pipe = false;
    int code = scan_range(options, &range);
    if (code != CLI_DONE) return code;
    cli_catch_signals();
    code = cli_open(options, CLI_OPEN_STORE, &session);
    if (code != CLI_DONE) goto out;
    if (varve_iterator_open(session.store, &range, &it, &err) != VARVE_OK) {
        code = cli_fail_error(options, &err);
        goto out;
    }
    code = print_records(options, it, &text, &broken_pipe);
    if (broken_pipe) code = CLI_DONE; /* whoever read has seen enough */
out:
    varve_iterator_close(it);
    cli_text_free(&text);
    return cli_close(options, &session, code);
}
