/*
 * cli/arguments.c - the command line: one table of options, parsed strictly.
 *
 * --name=value and --name value; flags take none; '--' ends the options. An option that the command does not take, is given twice
 * (but for --kafka) or has a value out of its range is refused by name.
 */
#include "command.h"

#include <errno.h>
#include <stdlib.h>

enum kind {
    KIND_FLAG,        /* bool */
    KIND_TEXT,        /* const char *, not empty */
    KIND_BYTES,       /* char *, any */
    KIND_NUMBER,      /* uint64_t within min and max */
    KIND_SIZE,        /* the same, with K, M, G or T */
    KIND_CHOICE,      /* int: min + the index of the choice */
    KIND_COMPRESSION, /* compression and compression_given */
    KIND_SETTING      /* one more of settings */
};

struct option {
    const char *name, *value; /* value: how the help calls it; NULL for a flag */
    unsigned groups;          /* CLI_TAKES_*, 0: every command */
    enum kind kind;
    size_t offset;
    uint64_t min, max;
    const char *choices[5];
    const char *help;
};

#define AT(field) offsetof(struct cli_options, field)

static const struct option option_table[] = {
    {.name = "store",
     .value = "S",
     .groups = CLI_TAKES_STORE,
     .kind = KIND_TEXT,
     .offset = AT(store),
     .help = "the store's name (default: default)"},
    {.name = "format",
     .value = "F",
     .groups = CLI_TAKES_FORMAT,
     .kind = KIND_CHOICE,
     .offset = AT(format),
     .choices = {"tsv", "jsonl", "hex", "bin"},
     .help = "tsv (default), jsonl, hex or bin"},
    {.name = "skip-bad",
     .groups = CLI_TAKES_INPUT,
     .kind = KIND_FLAG,
     .offset = AT(skip_bad),
     .help = "pass over malformed lines and count them"},
    {.name = "batch",
     .value = "N",
     .groups = CLI_TAKES_INPUT,
     .kind = KIND_NUMBER,
     .offset = AT(batch_records),
     .min = 1,
     .max = 1000000,
     .help = "records to an atomic write (default: 1000, or 1 MiB)"},
    {.name = "sync",
     .groups = CLI_TAKES_SYNC,
     .kind = KIND_FLAG,
     .offset = AT(sync),
     .help = "survive loss of power with every write, not only at the end"},
    {.name = "prefix",
     .value = "P",
     .groups = CLI_TAKES_RANGE,
     .kind = KIND_BYTES,
     .offset = AT(prefix),
     .help = "only keys that begin with P"},
    {.name = "from",
     .value = "K",
     .groups = CLI_TAKES_RANGE,
     .kind = KIND_BYTES,
     .offset = AT(from),
     .help = "first key, inclusive"},
    {.name = "to", .value = "K", .groups = CLI_TAKES_RANGE, .kind = KIND_BYTES, .offset = AT(to), .help = "end, exclusive"},
    {.name = "reverse",
     .groups = CLI_TAKES_RANGE,
     .kind = KIND_FLAG,
     .offset = AT(reverse),
     .help = "from the last key to the first"},
    {.name = "limit",
     .value = "N",
     .groups = CLI_TAKES_RANGE,
     .kind = KIND_NUMBER,
     .offset = AT(limit),
     .max = UINT64_MAX,
     .help = "at most N records"},
    {.name = "hex",
     .groups = CLI_TAKES_HEX,
     .kind = KIND_FLAG,
     .offset = AT(hex),
     .help = "keys, values and bounds on the command line are hex digits"},
    {.name = "raw",
     .groups = CLI_TAKES_RAW,
     .kind = KIND_FLAG,
     .offset = AT(raw),
     .help = "print the value without a newline after it"},
    {.name = "json", .groups = CLI_TAKES_JSON, .kind = KIND_FLAG, .offset = AT(json), .help = "as one JSON object"},
    {.name = "brokers",
     .value = "B",
     .groups = CLI_TAKES_KAFKA,
     .kind = KIND_TEXT,
     .offset = AT(brokers),
     .help = "Kafka's bootstrap servers, host:port,..."},
    {.name = "topic",
     .value = "T",
     .groups = CLI_TAKES_KAFKA,
     .kind = KIND_TEXT,
     .offset = AT(topic),
     .help = "the changelog's topic"},
    {.name = "partition",
     .value = "N",
     .groups = CLI_TAKES_KAFKA,
     .kind = KIND_NUMBER,
     .offset = AT(partition),
     .max = 99999,
     .help = "its partition (default: 0)"},
    {.name = "partitions",
     .value = "N",
     .groups = CLI_TAKES_WRITER,
     .kind = KIND_NUMBER,
     .offset = AT(partitions),
     .min = 1,
     .max = 100000,
     .help = "partitions of a topic to be created (default: partition + 1); checked otherwise"},
    {.name = "replication",
     .value = "N",
     .groups = CLI_TAKES_WRITER,
     .kind = KIND_NUMBER,
     .offset = AT(replication),
     .min = 1,
     .max = 32767,
     .help = "its replication factor (default: the broker's); checked otherwise"},
    {.name = "transactional-id",
     .value = "ID",
     .groups = CLI_TAKES_WRITER,
     .kind = KIND_TEXT,
     .offset = AT(transactional_id),
     .help = "what fences other writers off (default: varve-TOPIC-PARTITION)"},
    {.name = "commit-interval",
     .value = "MS",
     .groups = CLI_TAKES_WRITER,
     .kind = KIND_NUMBER,
     .offset = AT(commit_interval_ms),
     .min = 1,
     .max = 60000,
     .help = "gather changes for so long for one transaction (default: 100)"},
    {.name = "timeout",
     .value = "MS",
     .groups = CLI_TAKES_KAFKA,
     .kind = KIND_NUMBER,
     .offset = AT(timeout_ms),
     .min = 1,
     .max = 86400000,
     .help = "give Kafka up after so long without an answer (default: 30000)"},
    {.name = "kafka",
     .value = "NAME=VALUE",
     .groups = CLI_TAKES_KAFKA,
     .kind = KIND_SETTING,
     .help = "a setting of librdkafka; may be repeated"},
    {.name = "memory",
     .value = "BYTES",
     .groups = CLI_TAKES_DATABASE,
     .kind = KIND_SIZE,
     .offset = AT(memory),
     .min = 1,
     .max = UINT64_MAX,
     .help = "memory budget, with K, M, G or T (default: 256M)"},
    {.name = "wal-mode",
     .value = "MODE",
     .groups = CLI_TAKES_DATABASE,
     .kind = KIND_CHOICE,
     .offset = AT(wal_mode),
     .min = 1,
     .choices = {"mapped", "pwrite"},
     .help = "mapped (default), or pwrite for network file systems"},
    {.name = "compression",
     .value = "LEVEL",
     .groups = CLI_TAKES_CREATE,
     .kind = KIND_COMPRESSION,
     .help = "zstd level of a store to be created, -7 to 19, or none (default: -1)"},
    {.name = "verbose",
     .groups = CLI_TAKES_DATABASE,
     .kind = KIND_FLAG,
     .offset = AT(verbose),
     .help = "print diagnostics to standard error"},
    {.name = "quiet", .kind = KIND_FLAG, .offset = AT(quiet), .help = "print no progress"},
    {.name = "help", .kind = KIND_FLAG, .offset = AT(help), .help = "print this help"},
};

enum { OPTIONS = sizeof option_table / sizeof option_table[0] };

/* A decimal number, with a unit of 1024, 1024^2, ... if allowed. False when it is none, or beyond 64 bits. */
static bool read_number(const char *text, bool with_unit, uint64_t *number) {
    static const char units[] = "KMGT";
    if (*text < '0' || *text > '9') return false;
    char *end = NULL;
    errno = 0;
    uint64_t value = strtoull(text, &end, 10);
    if (errno) return false;
    const char *unit = with_unit && *end ? strchr(units, *end) : NULL;
    if (unit) {
        int shift = 10 * (int)(unit - units + 1);
        if (value > UINT64_MAX >> shift) return false;
        value <<= shift;
        end++;
    }
    *number = value;
    return *end == '\0';
}

static int set_number(const struct option *option, const char *value, struct cli_options *options) {
    uint64_t number = 0;
    bool is_size = option->kind == KIND_SIZE;
    if (!read_number(value, is_size, &number) || number < option->min || number > option->max) {
        if (option->max == UINT64_MAX) {
            return cli_fail(options, CLI_USAGE, "option --%s is '%s', allowed is a number%s", option->name, value,
                            is_size ? ", with K, M, G or T after it" : "");
        }
        return cli_fail(options, CLI_USAGE, "option --%s is '%s', allowed is %llu to %llu", option->name, value,
                        (unsigned long long)option->min, (unsigned long long)option->max);
    }
    memcpy((char *)options + option->offset, &number, sizeof number);
    options->limit_given |= option->offset == AT(limit);
    return CLI_DONE;
}

static int set_choice(const struct option *option, const char *value, struct cli_options *options) {
    char allowed[64] = "";
    for (int i = 0; option->choices[i]; i++) {
        if (strcmp(option->choices[i], value) == 0) {
            int choice = (int)option->min + i;
            memcpy((char *)options + option->offset, &choice, sizeof choice);
            return CLI_DONE;
        }
        size_t used = strlen(allowed);
        snprintf(allowed + used, sizeof allowed - used, "%s%s", i ? ", " : "", option->choices[i]);
    }
    return cli_fail(options, CLI_USAGE, "option --%s is '%s', allowed is %s", option->name, value, allowed);
}

static int set_compression(const char *value, struct cli_options *options) {
    char *end = NULL;
    errno = 0;
    long level = strcmp(value, "none") == 0 ? VARVE_COMPRESSION_NONE : strtol(value, &end, 10);
    bool is_number = end && end != value && !*end && !errno && level >= -7 && level <= 19;
    if (level != VARVE_COMPRESSION_NONE && !is_number) {
        return cli_fail(options, CLI_USAGE, "option --compression is '%s', allowed is -7 to 19, or none", value);
    }
    options->compression = level;
    options->compression_given = true;
    return CLI_DONE;
}

static int add_setting(char *value, struct cli_options *options) {
    char *equals = strchr(value, '=');
    if (!equals || equals == value) {
        return cli_fail(options, CLI_USAGE, "option --kafka is '%s', expected NAME=VALUE", value);
    }
    if (options->settings_count == CLI_SETTINGS_MAX) {
        return cli_fail(options, CLI_USAGE, "option --kafka is given more than %d times", CLI_SETTINGS_MAX);
    }
    *equals = '\0';
    options->settings[options->settings_count++] = (varve_kafka_setting){.name = value, .value = equals + 1};
    return CLI_DONE;
}

static int set_option(const struct option *option, char *value, struct cli_options *options) {
    char *field = (char *)options + option->offset;
    bool yes = true;
    switch (option->kind) {
    case KIND_FLAG: memcpy(field, &yes, sizeof yes); return CLI_DONE;
    case KIND_TEXT:
        if (!*value) return cli_fail(options, CLI_USAGE, "option --%s is empty", option->name);
        memcpy(field, &value, sizeof value);
        return CLI_DONE;
    case KIND_BYTES: memcpy(field, &value, sizeof value); return CLI_DONE;
    case KIND_NUMBER:
    case KIND_SIZE: return set_number(option, value, options);
    case KIND_CHOICE: return set_choice(option, value, options);
    case KIND_COMPRESSION: return set_compression(value, options);
    case KIND_SETTING: return add_setting(value, options);
    }
    return CLI_INTERNAL;
}

/* The index of the option of that name (up to its '='), which the command takes; -1 when there is none. */
static int find_option(const struct cli_command *command, const char *name, size_t size) {
    for (int i = 0; i < OPTIONS; i++) {
        const struct option *option = &option_table[i];
        bool is_taken = option->groups == 0 || option->groups & command->groups;
        if (is_taken && strlen(option->name) == size && memcmp(option->name, name, size) == 0) return i;
    }
    return -1;
}

/* Parses the option in words[*at], and its value, which may be the next word. seen: a bit for each option given. */
static int parse_option(const struct cli_command *command, int count, char **words, int *at, uint64_t *seen,
                        struct cli_options *options) {
    char *word = words[*at];
    if (strcmp(word, "-h") == 0) {
        options->help = true;
        return CLI_DONE;
    }
    const char *name = word + 2;
    char *equals = strchr(word, '=');
    size_t size = word[1] != '-' ? 0 : equals ? (size_t)(equals - name) : strlen(name);
    int index = size > 0 ? find_option(command, name, size) : -1;
    if (index < 0) {
        int shown = equals ? (int)(equals - word) : (int)strlen(word);
        return cli_fail(options, CLI_USAGE, "unknown option %.*s; see 'varve %s --help'", shown, word, command->name);
    }
    const struct option *option = &option_table[index];
    if (*seen & (UINT64_C(1) << index) && option->kind != KIND_SETTING) {
        return cli_fail(options, CLI_USAGE, "option --%s is given twice", option->name);
    }
    *seen |= UINT64_C(1) << index;
    char *value = equals ? equals + 1 : NULL;
    if (option->kind == KIND_FLAG && value) {
        return cli_fail(options, CLI_USAGE, "option --%s takes no value", option->name);
    }
    if (option->kind != KIND_FLAG && !value) {
        if (*at + 1 >= count) {
            return cli_fail(options, CLI_USAGE, "option --%s needs a value: --%s %s", option->name, option->name, option->value);
        }
        value = words[++*at];
    }
    return set_option(option, value, options);
}

int cli_options_parse(const struct cli_command *command, int count, char **words, struct cli_options *options) {
    *options = (struct cli_options){.command = command->name, .store = "default", .batch_records = 1000, .timeout_ms = 30000};
    uint64_t seen = 0;
    bool options_ended = false;
    for (int i = 0; i < count; i++) {
        char *word = words[i];
        if (!options_ended && strcmp(word, "--") == 0) {
            options_ended = true;
        } else if (!options_ended && word[0] == '-' && word[1]) {
            int code = parse_option(command, count, words, &i, &seen, options);
            if (code != CLI_DONE) return code;
        } else if (options->arguments_count == command->arguments_max) {
            return cli_fail(options, CLI_USAGE, "unexpected argument '%s'; usage: varve %s %s", word, command->name,
                            command->arguments);
        } else {
            options->arguments[options->arguments_count++] = word;
        }
    }
    if (options->help) return CLI_DONE;
    if (options->arguments_count < command->arguments_min) {
        return cli_fail(options, CLI_USAGE, "usage: varve %s %s", command->name, command->arguments);
    }
    if (!options->brokers != !options->topic) {
        return cli_fail(options, CLI_USAGE, "--brokers and --topic belong together, --%s is missing",
                        options->brokers ? "topic" : "brokers");
    }
    return CLI_DONE;
}

void cli_options_print(FILE *out, unsigned groups) {
    for (int i = 0; i < OPTIONS; i++) {
        const struct option *option = &option_table[i];
        if (option->groups != 0 && !(option->groups & groups)) continue;
        char left[40];
        snprintf(left, sizeof left, "--%s%s%s", option->name, option->value ? " " : "", option->value ? option->value : "");
        fprintf(out, "  %-22s  %s\n", left, option->help);
    }
}

int cli_argument_bytes(const struct cli_options *options, const char *what, char *argument, varve_slice *bytes) {
    *bytes = varve_str(argument);
    size_t wrong = 0;
    if (options->hex && argument && !cli_unhex(*bytes, argument, bytes, &wrong)) {
        return cli_fail(options, CLI_USAGE, "%s, byte %zu: expected hex digits, two for each byte", what, wrong + 1);
    }
    return CLI_DONE;
}
