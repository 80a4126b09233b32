/*
 * bench/compare/compare.h - the same workloads on several engines: what an engine must offer, and what a run measures.
 */
#ifndef VARVE_BENCH_COMPARE_H
#define VARVE_BENCH_COMPARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define KEY_BYTES 16u

typedef struct settings {
    uint64_t keys;  /* distinct keys */
    uint64_t reads; /* operations of the random reads */
    size_t value_bytes;
    uint64_t memory; /* bytes: split by each engine as its adapter says */
    bool decimal;    /* keys as 16 decimal digits; default 8 big-endian bytes and eight '0' */
    bool compress;   /* zstd (snappy where an engine has no zstd) */
    int runs;
    const char *dir;     /* scratch directory */
    const char *engines; /* comma separated, "all" */
} settings;

/* One engine. Every function that fails prints why and exits: a benchmark has no use for half results. */
typedef struct engine {
    const char *name;
    void (*describe)(const settings *s, char *out, size_t size); /* version and settings, one line */
    void *(*open)(const char *dir, const settings *s);
    void (*close)(void *db);
    void (*put)(void *db, const char *key, const char *value, size_t value_bytes);
    bool (*get)(void *db, const char *key, const char **value, size_t *value_bytes); /* valid until the next call */
    void (*compact)(void *db);                                                       /* NULL: it has none */
    void *(*scan_open)(void *db);
    bool (*scan_seek)(void *scan, const char *key); /* key NULL: the first */
    bool (*scan_next)(void *scan);
    void (*scan_entry)(void *scan, const char **key, const char **value, size_t *value_bytes);
    void (*scan_close)(void *scan);
} engine;

extern const engine engine_varve, engine_rocksdb, engine_leveldb, engine_lmdb;

void die(const char *what, const char *why);

/* What a workload measured. */
typedef struct measurement {
    const char *workload;
    double ops_per_second;     /* of the workload alone */
    double settled_per_second; /* fills: background work waited for included; else 0 */
    double rss_mib;            /* peak of the process during the workload, what it had before the engine opened taken away */
} measurement;

#define WORKLOADS_MAX 16

/* Runs all workloads in this process; returns their number. */
size_t run_workloads(const engine *e, const settings *s, measurement out[WORKLOADS_MAX]);

#ifdef __cplusplus
}
#endif

#endif
