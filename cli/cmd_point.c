/*
 * cli/cmd_point.c - varve put, get, delete: one key.
 */
#include "command.h"

/* Writes the key's value, or deletes the key, and waits for the changelog if there is one. */
static int write_one(const struct cli_options *options, struct cli_session *session, varve_slice key, const varve_slice *value) {
    varve_error err = {0};
    varve_batch *batch = NULL;
    varve_write_options write = {.size = sizeof write, .durability = options->sync ? VARVE_SYNC : VARVE_WAL};
    varve_status status = varve_batch_create(&batch, &err);
    if (status == VARVE_OK) {
        status = value ? varve_batch_put(batch, session->store, key, *value, &err)
                       : varve_batch_delete(batch, session->store, key, &err);
    }
    if (status == VARVE_OK) status = varve_write(session->db, batch, &write, &err);
    varve_batch_free(batch);
    return status == VARVE_OK ? cli_flush_changelog(options, session) : cli_fail_error(options, &err);
}

/* The size that the library will check, before a database or topic is created for nothing. */
static int check_limits(const struct cli_options *options, varve_slice key, varve_slice value) {
    struct cli_record record = {.key = key, .value = value};
    struct cli_fault fault;
    if (cli_check_limits(&record, &fault) == CLI_DECODED) return CLI_DONE;
    return cli_fail(options, CLI_BAD_INPUT, "%s", fault.message);
}

int cli_put(const struct cli_options *options) {
    struct cli_session session = {0};
    varve_slice key, value;
    int code = cli_argument_bytes(options, "KEY", options->arguments[1], &key);
    if (code == CLI_DONE) code = cli_argument_bytes(options, "VALUE", options->arguments[2], &value);
    if (code == CLI_DONE) code = check_limits(options, key, value);
    if (code != CLI_DONE) return code;
    cli_catch_signals();
    code = cli_open(options, CLI_CREATE_STORE, &session);
    if (code == CLI_DONE) code = cli_open_changelog(options, &session);
    if (code == CLI_DONE) code = write_one(options, &session, key, &value);
    return cli_close(options, &session, code);
}

int cli_delete(const struct cli_options *options) {
    struct cli_session session = {0};
    varve_slice key;
    int code = cli_argument_bytes(options, "KEY", options->arguments[1], &key);
    if (code == CLI_DONE) code = check_limits(options, key, varve_bytes(NULL, 0));
    if (code != CLI_DONE) return code;
    cli_catch_signals();
    code = cli_open(options, CLI_OPEN_STORE, &session);
    if (code == CLI_DONE) code = cli_open_changelog(options, &session);
    if (code == CLI_DONE) code = write_one(options, &session, key, NULL);
    return cli_close(options, &session, code);
}

int cli_get(const struct cli_options *options) {
    struct cli_session session = {0};
    varve_buffer value = {0};
    varve_error err = {0};
    varve_slice key;
    bool broken_pipe = false;
    int code = cli_argument_bytes(options, "KEY", options->arguments[1], &key);
    if (code != CLI_DONE) return code;
    cli_catch_signals();
    code = cli_open(options, CLI_OPEN_STORE, &session);
    if (code != CLI_DONE) goto out;
    varve_status status = varve_get(session.store, key, &value, &err);
    if (status == VARVE_NOT_FOUND) {
        code = CLI_DIFFERENT;
    } else if (status != VARVE_OK) {
        code = cli_fail_error(options, &err);
    } else {
        code = cli_write_out(options, value.data, value.size, &broken_pipe);
        if (code == CLI_DONE && !options->raw) code = cli_write_out(options, "\n", 1, &broken_pipe);
        if (broken_pipe) code = CLI_DONE;
    }
out:
    varve_buffer_free(&value);
    return cli_close(options, &session, code);
}
