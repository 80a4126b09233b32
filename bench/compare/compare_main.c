/*
 * bench/compare/compare_main.c - runs each engine in a process of its own, the engines in turn, several times; prints medians and
 * ratios.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "compare.h"

#define RUNS_MAX 15
#define ENGINES_MAX 4

static const engine *const engines[] = {
    &engine_varve,
#ifdef VARVE_HAVE_ROCKSDB
    &engine_rocksdb,
#endif
#ifdef VARVE_HAVE_LEVELDB
    &engine_leveldb,
#endif
#ifdef VARVE_HAVE_LMDB
    &engine_lmdb,
#endif
};
#define ENGINES (sizeof engines / sizeof engines[0])

static measurement results[ENGINES_MAX][RUNS_MAX][WORKLOADS_MAX];
static size_t workload_count;

void die(const char *what, const char *why) {
    fprintf(stderr, "compare: %s: %s\n", what, why);
    exit(1);
}

/* One engine, one run, in a child, whose measurements come back through a pipe. */
static void run_child(const engine *e, const settings *s, measurement out[WORKLOADS_MAX]) {
    int ends[2];
    if (pipe(ends) != 0) die("pipe", "failed");
    pid_t child = fork();
    if (child < 0) die("fork", "failed");
    if (child == 0) {
        close(ends[0]);
        static measurement own[WORKLOADS_MAX];
        size_t count = run_workloads(e, s, own);
        if (write(ends[1], own, count * sizeof own[0]) != (ssize_t)(count * sizeof own[0])) die("pipe", "write failed");
        _exit(0);
    }
    close(ends[1]);
    size_t got = 0;
    for (;;) {
        ssize_t n = read(ends[0], (char *)out + got, WORKLOADS_MAX * sizeof out[0] - got);
        if (n <= 0) break;
        got += (size_t)n;
    }
    close(ends[0]);
    int status = 0;
    waitpid(child, &status, 0);
    if (status != 0) die(e->name, "its run failed");
    workload_count = got / sizeof out[0];
}

static int compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(size_t e, size_t w, int runs, size_t offset) {
    double values[RUNS_MAX];
    for (int i = 0; i < runs; i++) memcpy(&values[i], (const char *)&results[e][i][w] + offset, sizeof(double));
    qsort(values, (size_t)runs, sizeof values[0], compare_doubles);
    return runs % 2 ? values[runs / 2] : (values[runs / 2 - 1] + values[runs / 2]) / 2;
}

static bool wanted(const settings *s, const engine *e) {
    if (strcmp(s->engines, "all") == 0) return true;
    char list[256];
    snprintf(list, sizeof list, ",%s,", s->engines);
    char name[64];
    snprintf(name, sizeof name, ",%s,", e->name);
    return strstr(list, name) != NULL;
}

static void print_row(const settings *s, const char *label, size_t w, size_t offset, const char *format) {
    printf("%-36s", label);
    double own = median(0, w, s->runs, offset);
    for (size_t e = 0; e < ENGINES; e++) {
        if (!wanted(s, engines[e])) continue;
        double value = median(e, w, s->runs, offset);
        printf(format, value);
        if (e > 0 && wanted(s, engines[0])) printf(" %5.2fx", own / value);
    }
    printf("\n");
}

static void print_results(const settings *s) {
    printf("\n%-36s", "operations a second, medians");
    for (size_t e = 0; e < ENGINES; e++) {
        if (wanted(s, engines[e])) printf(e == 0 ? "%12s" : "%12s varve/", engines[e]->name);
    }
    printf("\n");
    size_t any = wanted(s, engines[0]) ? 0 : 1;
    for (size_t w = 0; w < workload_count; w++) {
        print_row(s, results[any][0][w].workload, w, offsetof(measurement, ops_per_second), "%12.0f");
        if (results[any][0][w].settled_per_second > 0) {
            print_row(s, "  background work included", w, offsetof(measurement, settled_per_second), "%12.0f");
        }
    }
    printf("\npeak resident memory above the driver's own, MiB\n");
    for (size_t w = 0; w < workload_count; w++) {
        print_row(s, results[any][0][w].workload, w, offsetof(measurement, rss_mib), "%12.0f");
    }
}

static void usage(void) {
    printf("compare [--keys N] [--reads N] [--value BYTES] [--memory MIB] [--runs N] [--engines varve,rocksdb,leveldb,lmdb]\n"
           "        [--decimal] [--no-compression] [--dir DIR]\n"
           "Runs the same workloads on each engine, in turn, each in a process of its own; every value is checked.\n");
    exit(0);
}

int main(int argc, char **argv) {
    settings s =
        {.keys = 2000000, .value_bytes = 100, .memory = 384u << 20, .compress = true, .runs = 3, .dir = NULL, .engines = "all"};
    static const struct option options[] = {{"keys", 1, 0, 'k'},
                                            {"reads", 1, 0, 'r'},
                                            {"value", 1, 0, 'v'},
                                            {"memory", 1, 0, 'm'},
                                            {"runs", 1, 0, 'n'},
                                            {"engines", 1, 0, 'e'},
                                            {"decimal", 0, 0, 'd'},
                                            {"no-compression", 0, 0, 'c'},
                                            {"dir", 1, 0, 'p'},
                                            {"help", 0, 0, 'h'},
                                            {0, 0, 0, 0}};
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'k': s.keys = strtoull(optarg, NULL, 10); break;
        case 'r': s.reads = strtoull(optarg, NULL, 10); break;
        case 'v': s.value_bytes = strtoull(optarg, NULL, 10); break;
        case 'm': s.memory = strtoull(optarg, NULL, 10) << 20; break;
        case 'n': s.runs = atoi(optarg); break;
        case 'e': s.engines = optarg; break;
        case 'd': s.decimal = true; break;
        case 'c': s.compress = false; break;
        case 'p': s.dir = optarg; break;
        case 'h': usage(); break;
        default: return 2;
        }
    }
    if (s.reads == 0) s.reads = s.keys;
    if (s.runs < 1 || s.runs > RUNS_MAX || s.keys < 100 || s.keys > UINT32_MAX || s.value_bytes < 8 || s.value_bytes > 1u << 20) {
        die("options", "runs 1 to 15, keys 100 to 4294967295, value 8 to 1048576 bytes");
    }
    char scratch[] = "/tmp/varve-compare-XXXXXX";
    if (!s.dir && !(s.dir = mkdtemp(scratch))) die("mkdtemp", "failed");
    printf("%llu keys of %u bytes (%s), values of %zu bytes, %llu random reads, %llu MiB of memory, one thread, %d run%s;\n"
           "an acknowledged write survives the death of the process; every value is checked\n",
           (unsigned long long)s.keys, KEY_BYTES, s.decimal ? "decimal" : "binary", s.value_bytes, (unsigned long long)s.reads,
           (unsigned long long)(s.memory >> 20), s.runs, s.runs > 1 ? "s" : "");
    for (size_t e = 0; e < ENGINES; e++) {
        char line[512];
        if (!wanted(&s, engines[e])) continue;
        engines[e]->describe(&s, line, sizeof line);
        printf("  %s\n", line);
    }
    fflush(stdout);
    for (int i = 0; i < s.runs; i++) {
        for (size_t e = 0; e < ENGINES; e++) {
            if (!wanted(&s, engines[e])) continue;
            fprintf(stderr, "run %d of %d: %s\n", i + 1, s.runs, engines[e]->name);
            run_child(engines[e], &s, results[e][i]);
        }
    }
    print_results(&s);
    if (s.dir == scratch) rmdir(s.dir);
    return 0;
}
