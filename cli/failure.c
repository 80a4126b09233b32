/*
 * cli/failure.c - how a command fails: one line and an exit code; and the signals that interrupt it.
 */
#include "command.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <unistd.h>

/* A signal handler has nowhere else to put what it heard. */
static volatile sig_atomic_t signal_heard;

static void print_line(const struct cli_options *options, const char *format, va_list args) __attribute__((format(printf, 2, 0)));

/* Messages quote names and bytes from outside: one that holds a newline must not make two lines of it. */
static void print_line(const struct cli_options *options, const char *format, va_list args) {
    char line[1400];
    vsnprintf(line, sizeof line, format, args);
    for (char *c = line; *c; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f) *c = '?';
    }
    fflush(stdout);
    fprintf(stderr, "varve: %s%s%s\n", options->command ? options->command : "", options->command ? ": " : "", line);
}

int cli_fail(const struct cli_options *options, int code, const char *format, ...) {
    va_list args;
    va_start(args, format);
    print_line(options, format, args);
    va_end(args);
    return code;
}

void cli_note(const struct cli_options *options, const char *format, ...) {
    va_list args;
    va_start(args, format);
    print_line(options, format, args);
    va_end(args);
}

int cli_exit_code(varve_status status) {
    switch (status) {
    case VARVE_OK: return CLI_DONE;
    case VARVE_NOT_FOUND: return CLI_DIFFERENT;
    case VARVE_INVALID: return CLI_USAGE;
    case VARVE_TOO_LARGE: return CLI_BAD_INPUT;
    case VARVE_IO:
    case VARVE_NO_SPACE:
    case VARVE_READ_ONLY:
    case VARVE_MISSING:
    case VARVE_EXISTS: return CLI_IO;
    case VARVE_CORRUPTION:
    case VARVE_UNSUPPORTED: return CLI_CORRUPT;
    case VARVE_BUSY: return CLI_BUSY;
    case VARVE_KAFKA:
    case VARVE_TIMEOUT: return CLI_KAFKA;
    case VARVE_FENCED:
    case VARVE_DIVERGED: return CLI_FENCED;
    case VARVE_CANCELLED: return cli_interrupted() ? cli_interrupted() : CLI_INTERNAL;
    case VARVE_NOMEM:
    case VARVE_CLOSED:
    case VARVE_INTERNAL: return CLI_INTERNAL;
    }
    return CLI_INTERNAL;
}

int cli_fail_error(const struct cli_options *options, const varve_error *err) {
    if (err->code == VARVE_CANCELLED && cli_interrupted()) return cli_fail(options, cli_interrupted(), "interrupted");
    return cli_fail(options, cli_exit_code(err->code), "%s", err->message[0] ? err->message : varve_status_name(err->code));
}

static void hear_signal(int number) {
    signal_heard = number;
}

void cli_catch_signals(void) {
    /* No SA_RESTART: a read that waits for input must end. SA_RESETHAND: the second signal ends the process at once. */
    struct sigaction action = {.sa_handler = hear_signal, .sa_flags = (int)SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

int cli_interrupted(void) {
    return signal_heard ? CLI_SIGNAL_BASE + (int)signal_heard : 0;
}

int cli_write_out(const struct cli_options *options, const char *data, size_t size, bool *broken_pipe) {
    while (size > 0) {
        ssize_t n = write(STDOUT_FILENO, data, size);
        if (n < 0 && errno == EINTR && !cli_interrupted()) continue;
        if (n < 0 && errno == EINTR) return cli_fail(options, cli_interrupted(), "interrupted");
        if (n < 0) {
            *broken_pipe = errno == EPIPE;
            return *broken_pipe ? CLI_IO : cli_fail(options, CLI_IO, "standard output: %s", strerror(errno));
        }
        data += n;
        size -= (size_t)n;
    }
    return CLI_DONE;
}

int cli_flush_out(const struct cli_options *options) {
    if (fflush(stdout) == 0 && !ferror(stdout)) return CLI_DONE;
    return errno == EPIPE ? CLI_DONE : cli_fail(options, CLI_IO, "standard output: %s", strerror(errno));
}
