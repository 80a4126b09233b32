/*
 * cli/progress.c - how far long work is, on standard error: see command.h.
 */
#include "command.h"

#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { BAR_COLUMNS = 24, BAR_INTERVAL_MS = 100, LINE_INTERVAL_MS = 2000, LINE_BYTES = 160 };

uint64_t cli_now_ms(void) {
    struct timespec now = {0};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void cli_progress_begin(struct cli_progress *progress, const struct cli_options *options, const char *what) {
    uint64_t now = cli_now_ms();
    *progress = (struct cli_progress){.options = options,
                                      .what = what,
                                      .start_ms = now,
                                      .shown_ms = now,
                                      .is_terminal = isatty(STDERR_FILENO) == 1};
}

double cli_progress_seconds(const struct cli_progress *progress) {
    uint64_t elapsed_ms = cli_now_ms() - progress->start_ms;
    return (double)(elapsed_ms ? elapsed_ms : 1) / 1e3;
}

/* Hours, minutes and seconds that are left, given the share done so far. Empty while there is nothing to go by. */
static void describe_rest(double seconds, double share, char *out, size_t size) {
    out[0] = '\0';
    if (share <= 0 || seconds < 0.5) return;
    unsigned long rest = (unsigned long)(seconds * (1 - share) / share + 0.5);
    if (rest >= 3600) {
        snprintf(out, size, ", %lu:%02lu:%02lu left", rest / 3600, rest / 60 % 60, rest % 60);
    } else {
        snprintf(out, size, ", %lu:%02lu left", rest / 60, rest % 60);
    }
}

static void draw_bar(double share, char *out) {
    int full = (int)(share * BAR_COLUMNS + 0.5);
    for (int i = 0; i < BAR_COLUMNS; i++) out[i] = i < full ? '#' : '.';
    out[BAR_COLUMNS] = '\0';
}

/* The terminal's columns, so that the bar stays on one line. */
static int terminal_columns(void) {
    struct winsize size = {0};
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

void cli_progress_show(struct cli_progress *progress, const struct cli_state *state) {
    uint64_t now = cli_now_ms();
    if (progress->options->quiet) return;
    if (now - progress->shown_ms < (progress->is_terminal ? BAR_INTERVAL_MS : LINE_INTERVAL_MS)) return;
    progress->shown_ms = now;
    double seconds = cli_progress_seconds(progress);
    double share = state->total ? (double)state->done / (double)state->total : 0;
    if (share > 1) share = 1;
    char rest[48], percent[16] = "", rate[80];
    describe_rest(seconds, share, rest, sizeof rest);
    if (state->total) snprintf(percent, sizeof percent, "%3.0f %%, ", 100 * share);
    snprintf(rate, sizeof rate, "%llu records, %.0f records/s, %.1f MB/s", (unsigned long long)state->records,
             (double)state->records / seconds, (double)state->bytes / 1e6 / seconds);
    if (!progress->is_terminal) {
        cli_note(progress->options, "%s: %s%s%s", progress->what, percent, rate, rest);
        return;
    }
    char line[LINE_BYTES + BAR_COLUMNS], bar[BAR_COLUMNS + 1] = "";
    draw_bar(share, bar);
    snprintf(line, sizeof line, "%s %s%s%s%s%s%s", progress->what, state->total ? "[" : "", state->total ? bar : "",
             state->total ? "] " : "", percent, rate, rest);
    fprintf(stderr, "\r\033[K%.*s", terminal_columns() - 1, line);
    progress->is_drawn = true;
}

void cli_progress_end(struct cli_progress *progress) {
    if (progress->is_drawn) fputs("\r\033[K", stderr);
    progress->is_drawn = false;
}

void cli_print_rate(const char *verb, uint64_t records, uint64_t bytes, double seconds) {
    printf("%s %llu records, %.1f MB in %.2f s (%.0f records/s, %.1f MB/s)\n", verb, (unsigned long long)records,
           (double)bytes / 1e6, seconds, (double)records / seconds, (double)bytes / 1e6 / seconds);
}
