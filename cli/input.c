/*
 * cli/input.c - see input.h.
 */
#include "input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLOCK_BYTES = 1 << 20 };

/* The longest record of each format: its limits, in the longest way to write a byte (\n, \u0000, two digits, itself). */
static size_t record_bytes_max(enum cli_format format) {
    size_t bytes = (size_t)VARVE_KEY_BYTES_MAX + VARVE_VALUE_BYTES_MAX;
    size_t punctuation = 4096;
    return (format == CLI_BIN ? 1 : format == CLI_JSONL ? 6 : 2) * bytes + punctuation;
}

bool cli_input_open(struct cli_input *input, const char *file, enum cli_format format) {
    struct stat info;
    *input = (struct cli_input){.fd = STDIN_FILENO, .is_stdin = !file || strcmp(file, "-") == 0, .format = format};
    input->name = input->is_stdin ? "standard input" : file;
    if (!input->is_stdin) input->fd = open(file, O_RDONLY | O_CLOEXEC);
    bool is_open = input->fd >= 0 && fstat(input->fd, &info) == 0;
    if (is_open && S_ISREG(info.st_mode)) input->size = (uint64_t)info.st_size;
    if (is_open && S_ISDIR(info.st_mode)) {
        errno = EISDIR;
        is_open = false;
    }
    input->os_error = is_open ? 0 : errno;
    return is_open;
}

void cli_input_close(struct cli_input *input) {
    if (!input->is_stdin && input->fd >= 0) close(input->fd);
    free(input->buffer);
    free(input->scratch);
    input->buffer = input->scratch = NULL;
    input->fd = -1;
}

/* Gives the buffer room for at least one more byte. */
static bool make_room(struct cli_input *input) {
    if (input->start > 0 && input->start >= input->capacity / 2) {
        memmove(input->buffer, input->buffer + input->start, input->end - input->start);
        input->end -= input->start;
        input->start = 0;
    }
    if (input->end < input->capacity) return true;
    size_t capacity = input->capacity ? 2 * input->capacity : BLOCK_BYTES;
    char *buffer = realloc(input->buffer, capacity);
    if (buffer) input->buffer = buffer;
    char *scratch = buffer ? realloc(input->scratch, capacity) : NULL;
    if (scratch) input->scratch = scratch;
    if (scratch) input->capacity = capacity;
    input->os_error = 0;
    return scratch != NULL;
}

/* Reads on. False at the end and on failure, which at_end tells apart. */
static bool read_block(struct cli_input *input) {
    if (input->at_end || !make_room(input)) return false;
    ssize_t n = 0;
    do {
        n = read(input->fd, input->buffer + input->end, input->capacity - input->end);
    } while (n < 0 && errno == EINTR && !cli_interrupted());
    if (n > 0) {
        input->end += (size_t)n;
        return true;
    }
    input->at_end = n == 0;
    input->os_error = n < 0 ? errno : 0;
    return false;
}

static void consume(struct cli_input *input, size_t size) {
    input->start += size;
    input->consumed += size;
}

/* Passes over what is left of a line that is too long. The line has been counted. */
static enum cli_next skip_line(struct cli_input *input) {
    input->fault.column = record_bytes_max(input->format) + 1;
    snprintf(input->fault.message, sizeof input->fault.message, "expected a line of at most %zu bytes",
             record_bytes_max(input->format));
    for (;;) {
        size_t size = input->end - input->start;
        const char *newline = size > 0 ? memchr(input->buffer + input->start, '\n', size) : NULL;
        consume(input, newline ? (size_t)(newline - (input->buffer + input->start)) + 1 : size);
        if (newline) return CLI_NEXT_BAD;
        if (!read_block(input)) return input->at_end ? CLI_NEXT_BAD : CLI_NEXT_FAILED;
    }
}

static enum cli_next next_line(struct cli_input *input) {
    static const cli_decode_line_fn decoders[] =
        {[CLI_TSV] = cli_decode_tsv, [CLI_JSONL] = cli_decode_jsonl, [CLI_HEX] = cli_decode_hex};
    size_t searched = 0; /* bytes from start on that hold no newline */
    const char *newline = NULL;
    for (;;) {
        size_t size = input->end - input->start;
        if (size > searched) newline = memchr(input->buffer + input->start + searched, '\n', size - searched);
        if (newline) break;
        searched = size;
        if (searched > record_bytes_max(input->format)) {
            input->number++;
            return skip_line(input);
        }
        if (read_block(input)) continue;
        if (!input->at_end) return CLI_NEXT_FAILED;
        if (searched == 0) return CLI_NEXT_END;
        break; /* the last line has no newline */
    }
    size_t size = newline ? (size_t)(newline - (input->buffer + input->start)) : searched;
    varve_slice line = varve_bytes(input->buffer + input->start, size);
    consume(input, size + (newline ? 1 : 0));
    input->number++;
    enum cli_decoded outcome = decoders[input->format](line, input->scratch, &input->record, &input->fault);
    return outcome == CLI_DECODED ? CLI_NEXT_RECORD : CLI_NEXT_BAD;
}

/* Passes over size bytes, which may be more than there are. */
static enum cli_next skip_bytes(struct cli_input *input, uint64_t size) {
    for (;;) {
        size_t held = input->end - input->start;
        size_t step = size < held ? (size_t)size : held;
        consume(input, step);
        size -= step;
        if (size == 0) return CLI_NEXT_BAD;
        if (!read_block(input)) return input->at_end ? CLI_NEXT_BAD : CLI_NEXT_FAILED;
    }
}

/* Passes over a value with its length. */
static enum cli_next skip_value(struct cli_input *input) {
    while (input->end - input->start < CLI_BIN_LENGTH_BYTES) {
        if (!read_block(input)) return input->at_end ? skip_bytes(input, CLI_BIN_LENGTH_BYTES) : CLI_NEXT_FAILED;
    }
    uint32_t length = cli_bin_length(input->buffer + input->start);
    return skip_bytes(input, CLI_BIN_LENGTH_BYTES + cli_bin_value_bytes(length));
}

static enum cli_next next_bin(struct cli_input *input) {
    for (;;) {
        bool value_follows = false;
        varve_slice held = varve_bytes(input->buffer + input->start, input->end - input->start);
        uint64_t size = 0;
        enum cli_decoded outcome = cli_decode_bin(held, &input->record, &size, &value_follows, &input->fault);
        if (outcome == CLI_MALFORMED) {
            input->number++;
            enum cli_next skipped = skip_bytes(input, size);
            return skipped == CLI_NEXT_BAD && value_follows ? skip_value(input) : skipped;
        }
        if (size <= held.size) {
            consume(input, (size_t)size);
            input->number++;
            return CLI_NEXT_RECORD;
        }
        if (read_block(input)) continue;
        if (!input->at_end) return CLI_NEXT_FAILED;
        if (held.size == 0) return CLI_NEXT_END;
        input->number++;
        input->fault.column = held.size + 1;
        snprintf(input->fault.message, sizeof input->fault.message, "expected %llu more bytes of the record, found the end",
                 (unsigned long long)(size - held.size));
        consume(input, held.size);
        return CLI_NEXT_BAD;
    }
}

enum cli_next cli_input_next(struct cli_input *input) {
    if (!input->buffer && !make_room(input)) return CLI_NEXT_FAILED;
    return input->format == CLI_BIN ? next_bin(input) : next_line(input);
}
