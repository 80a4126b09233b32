/*
 * ledger_writer.c - a program that is made to be killed: it writes numbered batches to a store whose changelog is open, and says
 * on standard output, one line each, what it may say for certain.
 *
 * Usage: ledger_writer DIR BROKERS TOPIC [BATCHES]
 *
 *   opened N ROLLED_BACK   the changelog is open, and batch N is the newest in the store
 *   written N              varve_write() of batch N has returned: the death of this process cannot lose it
 *   acknowledged N         varve_changelog_flush() after batch N has returned: Kafka has it
 *   reshipped CHANGES      of former processes, once, after the first flush
 *
 * Goes on after the newest batch that it finds, BATCHES of them or until it is killed. Batch N, which test_kafka_system.py computes
 * likewise, is written in this order:
 *
 *   group/0 to group/4   N, so that a torn batch shows
 *   once/N/0 to .../N%7  values of their own, never written again
 *   gone/N               N
 *   gone/(N-50)          deleted
 *   last                 N
 *
 * Ends with 0; with 8 when it was fenced; with 1, and the reason on standard error, when anything else fails.
 *
 * Threads: main writes; one thread flushes all the time. They share newest and stop only, both atomic.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <varve/changelog.h>

enum { GROUP_KEYS = 5, GONE_AFTER = 50, ONCE_MAX = 7, FLUSH_TIMEOUT_MS = 60000, PAUSE_NS = 400000, SIZE = 256 * 1024 };

struct ledger {
    varve_db *db;
    varve_store *store;
    varve_changelog *changelog;
    varve_batch *batch;
    atomic_uint_fast64_t newest; /* batch whose write has returned; released by main, acquired by the flusher */
    atomic_bool stop;
};

/* One write() a line: what is said before a kill is not lost in a buffer. */
static void say(const char *what, uint64_t number) {
    char line[64];
    int size = snprintf(line, sizeof line, "%s %" PRIu64 "\n", what, number);
    if (write(STDOUT_FILENO, line, (size_t)size) != size) _exit(1);
}

static int fail(const varve_error *err) {
    fprintf(stderr, "ledger_writer: %s: %s\n", varve_status_name(err->code), err->message);
    return err->code == VARVE_FENCED ? 8 : 1;
}

static varve_status put(struct ledger *ledger, varve_slice key, varve_slice value, varve_error *err) {
    return varve_batch_put(ledger->batch, ledger->store, key, value, err);
}

/* The values that are written once: of a length that depends on both numbers, of 0 to 299 bytes after them. */
static varve_status add_once(struct ledger *ledger, uint64_t number, varve_error *err) {
    varve_status status = VARVE_OK;
    for (uint64_t j = 0; status == VARVE_OK && j <= number % ONCE_MAX; j++) {
        char key[48], value[400];
        int key_size = snprintf(key, sizeof key, "once/%08" PRIu64 "/%" PRIu64, number, j);
        int head = snprintf(value, sizeof value, "%" PRIu64 ":%" PRIu64 ":", number, j);
        size_t padding = (size_t)((number * 37 + j * 101) % 300);
        memset(value + head, 'x', padding);
        status = put(ledger, varve_bytes(key, (size_t)key_size), varve_bytes(value, (size_t)head + padding), err);
    }
    return status;
}

static varve_status add_gone(struct ledger *ledger, uint64_t number, varve_slice value, varve_error *err) {
    char key[32];
    int size = snprintf(key, sizeof key, "gone/%08" PRIu64, number);
    varve_status status = put(ledger, varve_bytes(key, (size_t)size), value, err);
    if (status != VARVE_OK || number <= GONE_AFTER) return status;
    size = snprintf(key, sizeof key, "gone/%08" PRIu64, number - GONE_AFTER);
    return varve_batch_delete(ledger->batch, ledger->store, varve_bytes(key, (size_t)size), err);
}

static varve_status write_batch(struct ledger *ledger, uint64_t number, varve_error *err) {
    char text[24];
    int text_size = snprintf(text, sizeof text, "%" PRIu64, number);
    varve_slice value = varve_bytes(text, (size_t)text_size);
    varve_status status = VARVE_OK;
    varve_batch_clear(ledger->batch);
    for (int i = 0; status == VARVE_OK && i < GROUP_KEYS; i++) {
        char key[16];
        int size = snprintf(key, sizeof key, "group/%d", i);
        status = put(ledger, varve_bytes(key, (size_t)size), value, err);
    }
    if (status == VARVE_OK) status = add_once(ledger, number, err);
    if (status == VARVE_OK) status = add_gone(ledger, number, value, err);
    if (status == VARVE_OK) status = put(ledger, varve_str("last"), value, err);
    return status == VARVE_OK ? varve_write(ledger->db, ledger->batch, NULL, err) : status;
}

static varve_status say_reshipped(struct ledger *ledger, varve_error *err) {
    varve_changelog_stats stats = {.size = sizeof stats};
    varve_status status = varve_changelog_stats_get(ledger->changelog, &stats, err);
    if (status == VARVE_OK) say("reshipped", stats.reshipped);
    return status;
}

/* A failure here ends the process at once, as the writer may be at work. */
static void *flush_always(void *argument) {
    struct ledger *ledger = argument;
    uint64_t said = 0;
    bool first = true;
    while (!atomic_load(&ledger->stop)) {
        uint64_t newest = atomic_load(&ledger->newest);
        varve_error err = {0};
        if (varve_changelog_flush(ledger->changelog, FLUSH_TIMEOUT_MS, &err) != VARVE_OK) _exit(fail(&err));
        if (newest > said) say("acknowledged", newest);
        if (first && say_reshipped(ledger, &err) != VARVE_OK) _exit(fail(&err));
        first = false;
        said = newest;
        nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
    }
    return NULL;
}

static varve_status open_ledger(struct ledger *ledger, char **arguments, varve_error *err) {
    /* Small, so that memtables are flushed, tables merged and WAL segments recycled within a second. */
    varve_options options = {.size = sizeof options,
                             .create = true,
                             .memory = 64u << 20,
                             .memtable_bytes = SIZE,
                             .wal_segment_bytes = SIZE};
    varve_changelog_options changelog = {.size = sizeof changelog,
                                         .brokers = arguments[2],
                                         .topic = arguments[3],
                                         .commit_interval_ms = 20};
    varve_buffer last = {0};
    varve_changelog_stats stats = {.size = sizeof stats};
    varve_status status = varve_open(arguments[1], &options, &ledger->db, err);
    if (status == VARVE_OK) status = varve_store_open(ledger->db, "default", NULL, &ledger->store, err);
    if (status == VARVE_OK) status = varve_batch_create(&ledger->batch, err);
    if (status == VARVE_OK) status = varve_changelog_open(ledger->store, &changelog, &ledger->changelog, err);
    if (status == VARVE_OK) status = varve_changelog_stats_get(ledger->changelog, &stats, err);
    if (status == VARVE_OK) status = varve_get(ledger->store, varve_str("last"), &last, err);
    if (status == VARVE_OK || status == VARVE_NOT_FOUND) {
        char digits[24] = "0";
        if (status == VARVE_OK && last.size < sizeof digits) {
            memcpy(digits, last.data, last.size);
            digits[last.size] = 0;
        }
        atomic_store(&ledger->newest, strtoull(digits, NULL, 10));
        char line[96];
        int size = snprintf(line, sizeof line, "opened %s %" PRIu64 "\n", digits, stats.rolled_back);
        if (write(STDOUT_FILENO, line, (size_t)size) != size) _exit(1);
        status = VARVE_OK;
    }
    varve_buffer_free(&last);
    return status;
}

static varve_status run(struct ledger *ledger, uint64_t batches, varve_error *err) {
    varve_status status = VARVE_OK;
    uint64_t number = atomic_load(&ledger->newest), end = batches ? number + batches : UINT64_MAX;
    while (status == VARVE_OK && number < end) {
        status = write_batch(ledger, ++number, err);
        if (status != VARVE_OK) break;
        say("written", number);
        atomic_store(&ledger->newest, number);
        nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
    }
    if (status == VARVE_OK) status = varve_changelog_flush(ledger->changelog, FLUSH_TIMEOUT_MS, err);
    if (status == VARVE_OK) say("acknowledged", number);
    return status;
}

int main(int argc, char **argv) {
    struct ledger ledger = {0};
    varve_error err = {0}, closing = {0};
    pthread_t flusher;
    if (argc < 4) {
        fprintf(stderr, "usage: %s DIR BROKERS TOPIC [BATCHES]\n", argv[0]);
        return 2;
    }
    varve_status status = open_ledger(&ledger, argv, &err);
    if (status == VARVE_OK && pthread_create(&flusher, NULL, flush_always, &ledger) == 0) {
        status = run(&ledger, argc > 4 ? strtoull(argv[4], NULL, 10) : 0, &err);
        atomic_store(&ledger.stop, true);
        pthread_join(flusher, NULL);
    }
    int code = status == VARVE_OK ? 0 : fail(&err);
    varve_status closed = varve_changelog_close(ledger.changelog, &closing);
    varve_batch_free(ledger.batch);
    varve_store_close(ledger.store);
    if (closed == VARVE_OK) closed = varve_close(ledger.db, &closing);
    if (code == 0 && closed != VARVE_OK) code = fail(&closing);
    return code;
}
