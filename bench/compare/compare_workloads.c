/*
 * bench/compare/compare_workloads.c - the workloads, with every value checked while measuring.
 *
 * fillseq, fillrandom: a new database, each key once, one write a call, durable against the death of the process. The database of
 * fillrandom serves the reads: readseq (full scan), readrandom (uniform, always hits), seekrandom (new iterator, seek, eleven
 * entries); then a full compaction where the engine has one, and readrandom and readseq again. Values are 8 bytes mixed from the
 * key's number and then pieces that compress two to one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "compare.h"

#define POOL_BYTES (1u << 20)
#define SEEK_ENTRIES 11u

static char pool[POOL_BYTES + 65536];

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double cpu(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* splitmix64: S. Vigna, 2015, public domain. */
static uint64_t mix(uint64_t x) {
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

/* Pieces of 100 bytes: a random printable half, then itself. */
static void fill_pool(void) {
    uint64_t state = 1;
    for (size_t at = 0; at < sizeof pool; at += 100) {
        for (size_t i = 0; i < 50 && at + i < sizeof pool; i++) {
            state = mix(state);
            pool[at + i] = (char)(' ' + state % 95);
            if (at + 50 + i < sizeof pool) pool[at + 50 + i] = pool[at + i];
        }
    }
}

static void make_key(const settings *s, uint64_t number, char key[KEY_BYTES + 1]) {
    if (s->decimal) {
        snprintf(key, KEY_BYTES + 1, "%016llu", (unsigned long long)number);
        return;
    }
    for (int i = 0; i < 8; i++) key[i] = (char)(number >> (56 - 8 * i));
    memset(key + 8, '0', 9);
}

static void make_value(const settings *s, uint64_t number, char *value) {
    uint64_t seed = mix(number);
    size_t head = s->value_bytes < 8 ? s->value_bytes : 8;
    memcpy(value, &seed, head);
    for (size_t at = head; at < s->value_bytes;) {
        size_t piece = s->value_bytes - at < 32768 ? s->value_bytes - at : 32768;
        memcpy(value + at, pool + seed % POOL_BYTES / 100 * 100, piece);
        seed = mix(seed);
        at += piece;
    }
}

static void check(const settings *s, uint64_t number, const char *value, size_t bytes, const char *workload) {
    static char expected[1u << 20];
    make_value(s, number, expected);
    if (bytes == s->value_bytes && memcmp(value, expected, bytes) == 0) return;
    fprintf(stderr, "compare: %s: key %llu has a wrong value of %zu bytes\n", workload, (unsigned long long)number, bytes);
    exit(1);
}

/* Fisher-Yates over 0..n-1 from a fixed seed. */
static uint32_t *permutation(uint64_t n) {
    uint32_t *order = malloc(n * sizeof order[0]);
    if (!order) die("permutation", "out of memory");
    for (uint64_t i = 0; i < n; i++) order[i] = (uint32_t)i;
    uint64_t state = 42;
    for (uint64_t i = n; i-- > 1;) {
        state = mix(state);
        uint64_t k = state % (i + 1);
        uint32_t t = order[i];
        order[i] = order[k];
        order[k] = t;
    }
    return order;
}

static double status_mib(const char *field) {
    FILE *file = fopen("/proc/self/status", "r");
    char line[256];
    double kib = 0;
    while (file && fgets(line, sizeof line, file)) {
        if (strncmp(line, field, strlen(field)) == 0) kib = strtod(line + strlen(field) + 1, NULL);
    }
    if (file) fclose(file);
    return kib / 1024;
}

static void reset_peak(void) {
    FILE *file = fopen("/proc/self/clear_refs", "w");
    if (!file) return;
    fputs("5", file);
    fclose(file);
}

/* Waits until the process has used under a twentieth of a core for half a second. */
static void settle(void) {
    for (;;) {
        double t = now(), c = cpu();
        usleep(500000);
        if (cpu() - c < 0.05 * (now() - t)) return;
    }
}

typedef struct run {
    const engine *e;
    const settings *s;
    double base_mib;
    measurement *out;
    size_t count;
    double start;
    const uint32_t *order;
    char *value;
} run;

static void begin(run *r) {
    reset_peak();
    r->start = now();
}

static void end(run *r, const char *workload, uint64_t operations, bool fill) {
    double seconds = now() - r->start;
    measurement *m = &r->out[r->count++];
    m->workload = workload;
    m->ops_per_second = (double)operations / seconds;
    if (fill) {
        settle();
        m->settled_per_second = (double)operations / (now() - r->start - 0.5);
    }
    m->rss_mib = status_mib("VmHWM:") - r->base_mib;
}

static void *fill(run *r, const char *dir, const char *workload, bool random) {
    void *db = r->e->open(dir, r->s);
    char key[KEY_BYTES + 1];
    begin(r);
    for (uint64_t i = 0; i < r->s->keys; i++) {
        uint64_t number = random ? r->order[i] : i;
        make_key(r->s, number, key);
        make_value(r->s, number, r->value);
        r->e->put(db, key, r->value, r->s->value_bytes);
    }
    end(r, workload, r->s->keys, true);
    return db;
}

static void read_sequential(run *r, void *db, const char *workload) {
    char expected[KEY_BYTES + 1];
    begin(r);
    void *scan = r->e->scan_open(db);
    uint64_t number = 0;
    for (bool more = r->e->scan_seek(scan, NULL); more; more = r->e->scan_next(scan)) {
        const char *key, *value;
        size_t bytes;
        r->e->scan_entry(scan, &key, &value, &bytes);
        make_key(r->s, number, expected);
        if (memcmp(key, expected, KEY_BYTES) != 0) die(workload, "a key is missing or out of order");
        check(r->s, number++, value, bytes, workload);
    }
    r->e->scan_close(scan);
    if (number != r->s->keys) die(workload, "the scan ended early");
    end(r, workload, number, false);
}

static void read_random(run *r, void *db, const char *workload) {
    char key[KEY_BYTES + 1];
    uint64_t state = 7;
    begin(r);
    for (uint64_t i = 0; i < r->s->reads; i++) {
        state = mix(state);
        uint64_t number = state % r->s->keys;
        make_key(r->s, number, key);
        const char *value;
        size_t bytes;
        if (!r->e->get(db, key, &value, &bytes)) die(workload, "a key is missing");
        check(r->s, number, value, bytes, workload);
    }
    end(r, workload, r->s->reads, false);
}

static void seek_random(run *r, void *db) {
    char key[KEY_BYTES + 1], expected[KEY_BYTES + 1];
    uint64_t state = 9;
    uint64_t seeks = r->s->reads / 4;
    begin(r);
    for (uint64_t i = 0; i < seeks; i++) {
        state = mix(state);
        uint64_t number = state % r->s->keys;
        make_key(r->s, number, key);
        void *scan = r->e->scan_open(db);
        bool more = r->e->scan_seek(scan, key);
        for (unsigned k = 0; k < SEEK_ENTRIES && number < r->s->keys; k++, number++) {
            const char *found, *value;
            size_t bytes;
            if (!more) die("seekrandom", "a key is missing");
            r->e->scan_entry(scan, &found, &value, &bytes);
            make_key(r->s, number, expected);
            if (memcmp(found, expected, KEY_BYTES) != 0) die("seekrandom", "a key is missing or out of order");
            check(r->s, number, value, bytes, "seekrandom");
            more = r->e->scan_next(scan);
        }
        r->e->scan_close(scan);
    }
    end(r, "seekrandom", seeks, false);
}

static void remove_tree(const char *dir) {
    char command[4200];
    snprintf(command, sizeof command, "rm -rf -- '%s'", dir);
    if (system(command) != 0) die(dir, "cannot be removed");
}

size_t run_workloads(const engine *e, const settings *s, measurement out[WORKLOADS_MAX]) {
    char dir[4096];
    fill_pool();
    run r = {.e = e, .s = s, .out = out};
    uint32_t *order = permutation(s->keys);
    r.order = order;
    r.value = malloc(s->value_bytes + 1);
    if (!r.value) die("value", "out of memory");
    r.base_mib = status_mib("VmRSS:");

    snprintf(dir, sizeof dir, "%s/%s", s->dir, e->name);
    remove_tree(dir);
    e->close(fill(&r, dir, "fillseq", false));
    remove_tree(dir);
    void *db = fill(&r, dir, "fillrandom", true);
    read_sequential(&r, db, "readseq");
    read_random(&r, db, "readrandom");
    seek_random(&r, db);
    if (e->compact) e->compact(db);
    settle();
    read_random(&r, db, "readrandom (first after compaction)");
    read_random(&r, db, "readrandom@compacted");
    read_sequential(&r, db, "readseq@compacted");
    e->close(db);
    remove_tree(dir);
    free(order);
    free(r.value);
    return r.count;
}
