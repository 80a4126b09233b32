/*
 * cli/input.h - the records of a file or of standard input, in any format, read in large blocks.
 *
 * Threads: one at a time. Invariants: start <= end <= capacity; what was not yet handed out is at [start, end) of the buffer,
 * which grows to the largest record and no further than the format's limit. Scratch is as large as the buffer.
 */
#ifndef CLI_INPUT_H
#define CLI_INPUT_H

#include "command.h"

enum cli_next {
    CLI_NEXT_RECORD,
    CLI_NEXT_BAD, /* a malformed record, passed over: see fault */
    CLI_NEXT_END,
    CLI_NEXT_FAILED /* it could not be read (os_error), or there is no memory (os_error 0), or a signal came (EINTR) */
};

struct cli_input {
    int fd;
    bool is_stdin, at_end;
    const char *name;
    uint64_t size; /* of a regular file, else 0 */
    enum cli_format format;
    char *buffer, *scratch;
    size_t capacity, start, end;
    uint64_t consumed; /* bytes up to start */
    uint64_t number;   /* of the line or, for bin, the record that was last handed out; from 1 */
    struct cli_record record;
    struct cli_fault fault;
    int os_error;
};

/* Opens the file; NULL or "-" is standard input. Returns false, with os_error set, if it cannot. Close it in any case. */
bool cli_input_open(struct cli_input *input, const char *file, enum cli_format format);
void cli_input_close(struct cli_input *input);

/* The next record. Memory: the record is valid until the next call. Blocks: on the input; a signal ends that. */
enum cli_next cli_input_next(struct cli_input *input);

#endif
