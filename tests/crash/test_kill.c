/*
 * tests/crash/test_kill.c - SIGKILL at random moments, on the real file system.
 *
 * A child process writes batches, some synced, some not, with flushes and compactions in between, and acknowledges each through a
 * pipe. It is killed; the parent opens the same database, which must hold every acknowledged batch and nothing but whole batches,
 * in order. The database lives on from round to round.
 *
 * Batch i puts "last" = i in both stores, a value of its own under one of KEYS keys, and deletes another key: the state after i
 * batches is known.
 */
#include <criterion/criterion.h>
#include <criterion/logging.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <varve/varve.h>

#include "base/bytes.h"
#include "db/db.h"

#define ROUNDS 60
#define KEYS 101
#define VALUE_BYTES_MAX 3000

typedef struct database {
    varve_db *db;
    varve_store *stores[2];
} database;

static void require(varve_status status, const varve_error *err, const char *what) {
    cr_assert_eq(status, VARVE_OK, "%s: %s: %s", what, varve_status_name(status), err->message);
}

/* --- The history ---------------------------------------------------------------------------------------------------- */

static varve_slice key_of(uint64_t i, char out[24]) {
    return varve_bytes(out, (size_t)snprintf(out, 24, "key-%03u", (unsigned)(i % KEYS)));
}

static varve_slice value_of(uint64_t i, char out[VALUE_BYTES_MAX]) {
    size_t size = 16 + (size_t)(i * 7919 % (VALUE_BYTES_MAX - 16));
    memset(out, 'a' + (int)(i % 26), size);
    memcpy(out, &i, sizeof i);
    return varve_bytes(out, size);
}

/* The batch that last put the key in store s, of the first n; 0: it is absent. */
static uint64_t version_of(int s, unsigned key, uint64_t n) {
    for (uint64_t i = n; i > 0 && i + KEYS * 4 > n; i--) {
        if (s == 0 && (i + 7) % KEYS == key) return 0;
        if (i % KEYS == key && (s == 0 || i % 3 == 0)) return i;
    }
    return 0;
}

static void write_batch(const database *d, uint64_t i, varve_durability durability) {
    varve_error err;
    varve_batch *batch;
    char key[24], gone[24], value[VALUE_BYTES_MAX];
    varve_write_options options = {.size = sizeof options, .durability = durability};
    varve_slice k = key_of(i, key), v = value_of(i, value), number = varve_bytes(&i, sizeof i);
    require(varve_batch_create(&batch, &err), &err, "batch");
    require(varve_batch_put(batch, d->stores[0], k, v, &err), &err, "put");
    if (i % 3 == 0) require(varve_batch_put(batch, d->stores[1], k, v, &err), &err, "put");
    require(varve_batch_delete(batch, d->stores[0], key_of(i + 7, gone), &err), &err, "delete");
    for (int s = 0; s < 2; s++) require(varve_batch_put(batch, d->stores[s], varve_str("last"), number, &err), &err, "put");
    require(varve_batch_position(batch, d->stores[1], number, &err), &err, "position");
    require(varve_write(d->db, batch, &options, &err), &err, "write");
    varve_batch_free(batch);
}

/* --- Both sides ------------------------------------------------------------------------------------------------------ */

static void open_database(database *d, const char *dir, varve_wal_mode mode) {
    varve_error err;
    const varve_options options = {.size = sizeof options,
                                   .create = true,
                                   .memory = 32u << 20,
                                   .memtable_bytes = 256u << 10,
                                   .wal_segment_bytes = 256u << 10,
                                   .wal_mode = mode};
    require(varve_open(dir, &options, &d->db, &err), &err, "open");
    require(varve_store_open(d->db, "one", NULL, &d->stores[0], &err), &err, "store");
    require(varve_store_open(d->db, "two", NULL, &d->stores[1], &err), &err, "store");
}

static void close_database(database *d) {
    varve_error err;
    for (int s = 0; s < 2; s++) varve_store_close(d->stores[s]);
    require(varve_close(d->db, &err), &err, "close");
}

/* The child: goes on from batch `from` until it is killed. */
static _Noreturn void write_until_killed(const char *dir, varve_wal_mode mode, uint64_t from, int acknowledge) {
    database d;
    varve_error err;
    open_database(&d, dir, mode);
    for (uint64_t i = from;; i++) {
        write_batch(&d, i, i % 5 == 0 ? VARVE_SYNC : VARVE_WAL);
        if (write(acknowledge, &i, sizeof i) != sizeof i) _exit(1);
        if (i % 97 == 0) require(varve_flush(d.db, &err), &err, "flush");
        if (i % 331 == 0) require(varve_compact(d.stores[0], &err), &err, "compact");
    }
}

/* Reads acknowledgements until the child's end of the pipe is closed. */
static uint64_t read_acknowledged(int pipe, uint64_t last) {
    uint64_t i;
    while (read(pipe, &i, sizeof i) == (ssize_t)sizeof i) {
        cr_assert_eq(i, last + 1);
        last = i;
    }
    return last;
}

/* How many batches are there; all of them whole, and at least `acknowledged`. */
static uint64_t check_database(const database *d, uint64_t acknowledged, int round) {
    varve_error err;
    varve_buffer found = {0};
    uint64_t n = 0;
    varve_status status = varve_store_position(d->stores[1], &found, &err);
    cr_assert_geq(status, 0, "%s", err.message);
    if (status == VARVE_OK) memcpy(&n, found.data, sizeof n);
    cr_assert(n == acknowledged || n == acknowledged + 1, "round %d: %llu batches, %llu were acknowledged", round,
              (unsigned long long)n, (unsigned long long)acknowledged);
    for (int s = 0; s < 2 && n > 0; s++) {
        char key[24], value[VALUE_BYTES_MAX];
        uint64_t last = 0;
        require(varve_get(d->stores[s], varve_str("last"), &found, &err), &err, "last");
        memcpy(&last, found.data, sizeof last);
        cr_assert_eq(last, n, "round %d: half a batch", round);
        for (unsigned k = 0; k < KEYS; k++) {
            uint64_t version = version_of(s, k, n);
            status = varve_get(d->stores[s], key_of(k, key), &found, &err);
            cr_assert_geq(status, 0, "%s", err.message);
            cr_assert_eq(status == VARVE_OK, version > 0, "round %d: after %llu batches store %d %s %s", round,
                         (unsigned long long)n, s, status == VARVE_OK ? "has" : "lacks", key);
            if (version)
                cr_assert(vr_equal(varve_buffer_slice(&found), value_of(version, value)), "round %d: %s of store %d is wrong",
                          round, key, s);
        }
    }
    varve_buffer_free(&found);
    return n;
}

static void remove_tree(const char *dir) {
    char command[300];
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    cr_assert_eq(system(command), 0);
}

static void make_temporary(char dir[64]) {
    snprintf(dir, 64, "/tmp/varve-test-XXXXXX");
    cr_assert_not_null(mkdtemp(dir));
}

static uint64_t one_round(const char *dir, varve_wal_mode mode, uint64_t n, unsigned wait_us, int round) {
    int ends[2], status = 0;
    cr_assert_eq(pipe(ends), 0);
    fflush(NULL);
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        close(ends[0]);
        write_until_killed(dir, mode, n + 1, ends[1]);
    }
    close(ends[1]);
    usleep(wait_us);
    cr_assert_eq(kill(child, SIGKILL), 0);
    uint64_t acknowledged = read_acknowledged(ends[0], n);
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "round %d: the child ended by itself: %d", round, status);
    close(ends[0]);
    return acknowledged;
}

static void kill_many_times(varve_wal_mode mode) {
    char dir[64], path[80];
    make_temporary(dir);
    snprintf(path, sizeof path, "%s/db", dir);
    uint64_t n = 0, random = 0x9e3779b97f4a7c15u + (uint64_t)mode;
    int progress = 0;
    for (int round = 0; round < ROUNDS; round++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        uint64_t acknowledged = one_round(path, mode, n, (unsigned)(random >> 40) % 60000, round);
        progress += acknowledged > n;
        database d;
        open_database(&d, path, round % 2 ? mode : VARVE_WAL_MAPPED);
        n = check_database(&d, acknowledged, round);
        if (round % 10 == 9) {
            varve_error err;
            require(varve_verify(d.db, &err), &err, "verify");
        }
        close_database(&d);
    }
    cr_log_info("%d rounds, %d with progress, %llu batches", ROUNDS, progress, (unsigned long long)n);
    cr_assert_gt(progress, ROUNDS / 4);
    remove_tree(dir);
}

TestSuite(kill, .timeout = 200);

Test(kill, mapped_wal) {
    kill_many_times(VARVE_WAL_MAPPED);
}

Test(kill, pwrite_wal) {
    kill_many_times(VARVE_WAL_PWRITE);
}

/* --- How long an open takes --------------------------------------------------------------------------------------------- */

#define RECOVERY_BYTES (UINT64_C(256) << 20)

/* Fills the WAL by so many bytes without a flush, and ends without closing. */
static void fill_and_die(const char *dir, const varve_options *options) {
    static char value[400];
    varve_db *db;
    varve_store *store;
    varve_error err;
    uint64_t written = 0;
    require(varve_open(dir, options, &db, &err), &err, "open");
    require(varve_store_open(db, "one", NULL, &store, &err), &err, "store");
    for (uint64_t i = 0; written < RECOVERY_BYTES; i++) {
        char key[24];
        size_t size = (size_t)snprintf(key, sizeof key, "%016llx", (unsigned long long)(i * 0x9e3779b97f4a7c15u));
        memcpy(value, &i, sizeof i);
        require(varve_put(store, varve_bytes(key, size), varve_bytes(value, sizeof value), &err), &err, "put");
        written += size + sizeof value;
    }
    _exit(0);
}

Test(kill, recovery_time_of_a_large_wal) {
    const varve_options options = {.size = sizeof options,
                                   .create = true,
                                   .memory = UINT64_C(4) << 30,
                                   .memtable_bytes = UINT64_C(1) << 30,
                                   .wal_segment_bytes = 16u << 20};
    char dir[64], path[80];
    int status = 0;
    varve_db *db;
    varve_error err;
    varve_stats stats = {.size = sizeof stats};
    make_temporary(dir);
    snprintf(path, sizeof path, "%s/db", dir);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) fill_and_die(path, &options);
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert_eq(status, 0);
    require(varve_open(path, &options, &db, &err), &err, "open");
    require(varve_stats_get(db, &stats, &err), &err, "stats");
    cr_assert_geq(stats.recovered_bytes, RECOVERY_BYTES);
    cr_log_info("%llu MiB of WAL, %llu records recovered in %llu ms", (unsigned long long)(stats.recovered_bytes >> 20),
                (unsigned long long)stats.recovered_records, (unsigned long long)(stats.recovery_us / 1000));
    require(varve_close(db, &err), &err, "close");
    remove_tree(dir);
}
