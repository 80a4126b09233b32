/*
 * cli/main.c - the command `varve`: one table of commands, their help, and the dispatch.
 */
#include "command.h"

#include <locale.h>

#define WRITER_GROUPS                                                                                                              \
    (CLI_TAKES_DATABASE | CLI_TAKES_STORE | CLI_TAKES_CREATE | CLI_TAKES_SYNC | CLI_TAKES_KAFKA | CLI_TAKES_WRITER)

static const struct cli_command command_table[] = {
    {"load", "DIR [FILE]", 1, 2, WRITER_GROUPS | CLI_TAKES_FORMAT | CLI_TAKES_INPUT, cli_load,
     "load records from a file or standard input",
     "Loads the records of FILE, or of standard input, into a store of the database DIR; both are created if need be.\n"
     "With --brokers and --topic every change is also shipped to the changelog, and acknowledged when the command ends.\n"
     "  tsv    key, tab, value, newline, with \\t \\n \\r \\\\ escaped; a line with a key alone deletes\n"
     "  jsonl  {\"key\":\"...\",\"value\":\"...\"}, null deletes; \"key_base64\", \"value_base64\" for bytes that are no UTF-8\n"
     "  hex    as tsv, each byte as two hex digits\n"
     "  bin    a 32-bit little-endian length before each key and each value; the length 0xffffffff deletes\n",
     "  varve load state users.tsv\n"
     "  zcat users.jsonl.gz | varve load state --store users --format jsonl --skip-bad\n"
     "  varve load state users.tsv --brokers localhost:9092 --topic users-changelog\n"},
    {"put", "DIR KEY VALUE", 3, 3, WRITER_GROUPS | CLI_TAKES_HEX, cli_put, "write one pair",
     "Writes one pair; the database and the store are created if need be.\n",
     "  varve put state ada 1815\n"
     "  varve put state --hex 00ff 0102\n"
     "  varve put state ada 1815 --brokers localhost:9092 --topic users-changelog\n"},
    {"get", "DIR KEY", 2, 2, CLI_TAKES_DATABASE | CLI_TAKES_STORE | CLI_TAKES_HEX | CLI_TAKES_RAW, cli_get,
     "print the value of a key", "Prints the key's value and a newline. Ends with 1 when there is no such key.\n",
     "  varve get state ada\n"
     "  varve get state --store images --raw logo.png > logo.png\n"},
    {"delete", "DIR KEY", 2, 2, (WRITER_GROUPS & ~(unsigned)CLI_TAKES_CREATE) | CLI_TAKES_HEX, cli_delete, "delete a key",
     "Deletes the key; it is no error if it is not there.\n",
     "  varve delete state ada\n"
     "  varve delete state ada --brokers localhost:9092 --topic users-changelog\n"},
    {"scan", "DIR", 1, 1, CLI_TAKES_DATABASE | CLI_TAKES_STORE | CLI_TAKES_FORMAT | CLI_TAKES_RANGE | CLI_TAKES_HEX, cli_scan,
     "print the records of a range",
     "Prints the records in key order, of the whole store or of a range. 'varve load' reads what it prints.\n",
     "  varve scan state --prefix user: --limit 10\n"
     "  varve scan state --from b --to d --reverse --format jsonl\n"
     "  varve scan state --format bin | varve load copy --format bin\n"},
    {"restore", "DIR", 1, 1, CLI_TAKES_DATABASE | CLI_TAKES_STORE | CLI_TAKES_CREATE | CLI_TAKES_KAFKA, cli_restore,
     "rebuild a store from its changelog",
     "Brings the store to the end of its changelog, all of it when the store is empty or new, else what it is behind.\n"
     "Neither fences the writer of the changelog nor ships anything.\n",
     "  varve restore state --brokers localhost:9092 --topic users-changelog\n"
     "  varve restore standby --store users --brokers localhost:9092 --topic users-changelog --partition 3\n"},
    {"verify", "DIR", 1, 1, CLI_TAKES_DATABASE | CLI_TAKES_STORE | CLI_TAKES_KAFKA, cli_verify,
     "check the checksums; compare a store with its changelog",
     "Reads every block of every table and checks it. With --brokers and --topic also compares the store with the changelog,\n"
     "entry by entry, and ends with 1 when they differ; the topic's state is rebuilt in DIR.verify-PID meanwhile.\n",
     "  varve verify state\n"
     "  varve verify state --store users --brokers localhost:9092 --topic users-changelog\n"},
    {"stats", "DIR", 1, 1, CLI_TAKES_DATABASE | CLI_TAKES_JSON, cli_stats, "print the statistics of a database",
     "Opens the database, which recovers it, and prints its statistics and the names of its stores.\n",
     "  varve stats state\n"
     "  varve stats state --json\n"},
    {"dump", "FILE", 1, 1, 0, cli_dump, "show a WAL segment, table or manifest",
     "Shows a WAL segment, table or manifest in readable lines, record by record. Needs no lock.\n",
     "  varve dump state/MANIFEST\n"
     "  for f in state/*.wal; do varve dump \"$f\" | head; done\n"},
    {"checkpoint", "DIR TARGET", 2, 2, CLI_TAKES_DATABASE, cli_checkpoint, "copy a database",
     "Makes a copy of the database in the new directory TARGET: tables as hard links where the file system allows.\n",
     "  varve checkpoint state backup-2024-06-01\n"
     "  varve checkpoint state /backup/state && varve verify /backup/state\n"},
};

enum { COMMANDS = sizeof command_table / sizeof command_table[0] };

static void print_usage(FILE *out) {
    fprintf(out, "usage: varve COMMAND ARGUMENTS [OPTIONS]\n\n"
                 "An embedded key-value store whose changes are replicated to a Kafka changelog.\n\n");
    for (int i = 0; i < COMMANDS; i++) {
        char left[40];
        snprintf(left, sizeof left, "%s %s", command_table[i].name, command_table[i].arguments);
        fprintf(out, "  %-22s  %s\n", left, command_table[i].summary);
    }
    fprintf(out, "\nvarve COMMAND --help tells more, with examples. varve --version prints the version.\n\n"
                 "Exit codes: 0 done, 1 not found or different, 2 usage, 3 bad input, 4 I/O, no space or no such database,\n"
                 "5 damaged data, 6 in use by another process, 7 Kafka unreachable or refusing, 8 fenced off or diverged,\n"
                 "9 out of memory or internal, 128 + n interrupted by signal n.\n");
}

static int print_help(const struct cli_command *command) {
    printf("usage: varve %s %s [OPTIONS]\n\n%s\nOptions:\n", command->name, command->arguments, command->description);
    cli_options_print(stdout, command->groups);
    printf("\nExamples:\n%s", command->examples);
    return CLI_DONE;
}

static const struct cli_command *find_command(const char *name) {
    for (int i = 0; i < COMMANDS; i++) {
        if (strcmp(command_table[i].name, name) == 0) return &command_table[i];
    }
    return NULL;
}

/* What is asked for without a command. Returns -1 when it is none of that. */
static int run_general(int count, char **words) {
    if (strcmp(words[1], "--help") == 0 || strcmp(words[1], "-h") == 0 || (strcmp(words[1], "help") == 0 && count == 2)) {
        print_usage(stdout);
        return CLI_DONE;
    }
    if (strcmp(words[1], "--version") == 0) {
        printf("varve %s\n", varve_version());
        return CLI_DONE;
    }
    if (strcmp(words[1], "help") == 0 && find_command(words[2])) return print_help(find_command(words[2]));
    return -1;
}

int main(int count, char **words) {
    struct cli_options options = {0};
    setlocale(LC_ALL, "C");
    if (count < 2) {
        print_usage(stderr);
        return CLI_USAGE;
    }
    int code = run_general(count, words);
    if (code >= 0) return cli_flush_out(&options);
    const struct cli_command *command = find_command(words[1]);
    if (!command) return cli_fail(&options, CLI_USAGE, "unknown command '%s'; see 'varve --help'", words[1]);
    code = cli_options_parse(command, count - 2, words + 2, &options);
    if (code != CLI_DONE) return code;
    if (options.help) {
        code = print_help(command);
        return code == CLI_DONE ? cli_flush_out(&options) : code;
    }
    return command->run(&options);
}
