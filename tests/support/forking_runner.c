/*
 * Runs Criterion tests without Criterion's library, for builds with a sanitizer.
 *
 * Criterion's runner starts each test in a sandbox that shares memory at addresses ThreadSanitizer reserves for itself, and ends
 * its workers so that LeakSanitizer never looks. This runner forks for each test and leaves through exit(), so that both report.
 * It offers the entry points that Criterion's macros (Test, TestSuite, cr_assert*, cr_expect*, cr_skip, cr_log*) call; a macro
 * that needs another one fails to link. Options as Criterion's: --tap=FILE, --filter=SUITE/TEST (fnmatch), -jN or --jobs=N.
 *
 * Thread rule: the runner is single-threaded; assertions may be made from any thread of a test.
 */
#include <criterion/criterion.h>
#include <criterion/logging.h>
#include <errno.h>
#include <fnmatch.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { JOBS_MAX = 16, TESTS_MAX = 4096, TIMEOUT_S = 300, EXIT_FAILED = 1 };

enum outcome { NOT_RUN, PASSED, FAILED, SKIPPED, FILTERED };

/* What a test's process tells the runner besides its exit status; one per test, in shared memory. */
struct report {
    enum outcome outcome;
    char reason[240];
};

/* The linker gathers what Test() and TestSuite() define in these two sections. */
extern struct criterion_test *__start_cr_tst[] __attribute__((weak));
extern struct criterion_test *__stop_cr_tst[] __attribute__((weak));
extern struct criterion_suite *__start_cr_sts[] __attribute__((weak));
extern struct criterion_suite *__stop_cr_sts[] __attribute__((weak));

struct criterion_options criterion_options;

/* State of the one test that a forked process runs. */
static struct criterion_test *current;
static struct report *current_report;
static atomic_int failed_asserts;
static pid_t test_thread;
static sigjmp_buf test_end;

/* ---- what Criterion's macros call ---- */

int cr_asprintf(char **strp, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    int n = vasprintf(strp, fmt, args);
    va_end(args);
    return n;
}

void cr_asprintf_free(char *strp) {
    free(strp);
}

char *cr_translate_assert_msg(int msg_index, ...) {
    va_list args;
    va_start(args, msg_index);
    const char *text = va_arg(args, const char *);
    va_end(args);
    char *message = NULL;
    if (msg_index == CRITERION_ASSERT_MSG_FAIL) return strdup("failed");
    return asprintf(&message, "does not hold: %s", text) < 0 ? NULL : message;
}

void cri_asserts_passed_incr(void) {
}

void criterion_send_assert(struct criterion_assert_stats *stats) {
    if (stats->passed) return;
    atomic_fetch_add(&failed_asserts, 1);
    fprintf(stderr, "%s:%u: %s::%s: %s\n", stats->file, stats->line, current->category, current->name, stats->message);
}

/* Ends the test: back to run_test on the thread that runs it; from another thread only the process can end. */
static _Noreturn void end_test(void) {
    if (gettid() != test_thread) {
        fflush(NULL);
        _exit(current_report->outcome == SKIPPED ? 0 : EXIT_FAILED);
    }
    siglongjmp(test_end, 1);
}

void criterion_abort_test(void) {
    end_test();
}

void criterion_continue_test(void) {
}

void criterion_skip_test(const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(current_report->reason, sizeof current_report->reason, format, args);
    va_end(args);
    current_report->outcome = SKIPPED;
    end_test();
}

void criterion_test_die(const char *msg, ...) {
    va_list args;
    va_start(args, msg);
    vfprintf(stderr, msg, args);
    va_end(args);
    fputc('\n', stderr);
    atomic_fetch_add(&failed_asserts, 1);
    end_test();
}

void cr_log(enum criterion_severity severity, const char *msg, ...) {
    va_list args;
    va_start(args, msg);
    if (severity != CR_LOG_INFO) {
        vfprintf(stderr, msg, args);
        fputc('\n', stderr);
    }
    va_end(args);
}

/* Data of the suite of a test, NULL when the suite was not declared. */
static struct criterion_test_extra_data *suite_data(const struct criterion_test *test) {
    for (struct criterion_suite **s = __start_cr_sts; s < __stop_cr_sts; s++) {
        if (*s && strcmp((*s)->name, test->category) == 0) return (*s)->data;
    }
    return NULL;
}

void criterion_internal_test_setup(void) {
    struct criterion_test_extra_data *suite = suite_data(current);
    if (suite && suite->init) suite->init();
    if (current->data->init) current->data->init();
}

void criterion_internal_test_main(void (*fn)(void)) {
    if (sigsetjmp(test_end, 1) == 0) fn();
}

void criterion_internal_test_teardown(void) {
    struct criterion_test_extra_data *suite = suite_data(current);
    if (current->data->fini) current->data->fini();
    if (suite && suite->fini) suite->fini();
}

/* ---- the runner ---- */

/* Seconds a test may take: its own limit, its suite's, or TIMEOUT_S. */
static unsigned time_limit(const struct criterion_test *test) {
    struct criterion_test_extra_data *suite = suite_data(test);
    double limit = test->data->timeout > 0 ? test->data->timeout : suite ? suite->timeout : 0;
    return limit > 0 ? (unsigned)limit + 1 : TIMEOUT_S;
}

/* Runs one test in this forked process and leaves through exit, which is where the sanitizers look for leaks. */
static _Noreturn void run_test(struct criterion_test *test, struct report *report) {
    current = test;
    current_report = report;
    test_thread = gettid();
    alarm(time_limit(test));
    if (sigsetjmp(test_end, 1) == 0) test->test();
    fflush(NULL);
    if (atomic_load(&failed_asserts)) _exit(EXIT_FAILED);
    exit(0);
}

/* Judges how the process of a test ended. */
static void judge(struct criterion_test *test, struct report *report, int status) {
    struct criterion_test_extra_data *suite = suite_data(test);
    int signal_wanted = test->data->signal ? test->data->signal : suite ? suite->signal : 0;
    int code_wanted = test->data->exit_code ? test->data->exit_code : suite ? suite->exit_code : 0;
    int signal_seen = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    int code_seen = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
    if (signal_seen != signal_wanted || code_seen != code_wanted) {
        report->outcome = FAILED;
        if (signal_seen == SIGALRM) snprintf(report->reason, sizeof report->reason, "took longer than %u s", time_limit(test));
        else if (signal_seen) snprintf(report->reason, sizeof report->reason, "ended by signal %d", signal_seen);
        else snprintf(report->reason, sizeof report->reason, "ended with status %d", code_seen);
        fprintf(stderr, "[FAIL] %s::%s: %s\n", test->category, test->name, report->reason);
    } else if (report->outcome != SKIPPED) {
        report->outcome = PASSED;
    }
}

/* Runs all tests that are NOT_RUN, at most `jobs` at a time. */
static void run_all(struct criterion_test **tests, struct report *reports, size_t count, unsigned jobs) {
    pid_t *pids = calloc(count, sizeof *pids);
    size_t next = 0;
    unsigned running = 0;
    while (pids && (next < count || running)) {
        if (next < count && running < jobs) {
            if (reports[next].outcome == NOT_RUN) {
                fflush(NULL);
                pids[next] = fork();
                if (pids[next] == 0) {
                    free(pids);
                    run_test(tests[next], &reports[next]);
                }
                running++;
            }
            next++;
            continue;
        }
        int status = 0;
        pid_t ended = waitpid(-1, &status, 0);
        for (size_t i = 0; i < count; i++) {
            if (ended <= 0 || pids[i] != ended) continue;
            judge(tests[i], &reports[i], status);
            running--;
        }
        if (ended < 0 && errno != EINTR) break;
    }
    free(pids);
}

/* Writes the results as TAP; returns the number of failures. */
static unsigned write_results(FILE *tap, struct criterion_test **tests, struct report *reports, size_t count) {
    unsigned counts[FILTERED + 1] = {0};
    for (size_t i = 0; i < count; i++) {
        const char *suite = tests[i]->category, *name = tests[i]->name;
        if (reports[i].outcome == NOT_RUN) reports[i].outcome = FAILED;
        counts[reports[i].outcome]++;
        if (!tap || reports[i].outcome == FILTERED) continue;
        if (reports[i].outcome == PASSED) fprintf(tap, "ok - %s::%s\n", suite, name);
        if (reports[i].outcome == SKIPPED) fprintf(tap, "ok - %s::%s  # SKIP %s\n", suite, name, reports[i].reason);
        if (reports[i].outcome == FAILED) fprintf(tap, "not ok - %s::%s %s\n", suite, name, reports[i].reason);
    }
    printf("[====] Synthesis: Tested: %u | Passing: %u | Failing: %u | Skipped: %u\n", counts[PASSED] + counts[FAILED],
        counts[PASSED], counts[FAILED], counts[SKIPPED]);
    return counts[FAILED];
}

int main(int argc, char **argv) {
    const char *tap_path = NULL, *filter = NULL;
    unsigned jobs = 1;
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--tap=", 6) == 0) tap_path = argv[i] + 6;
        else if (strncmp(argv[i], "--filter=", 9) == 0) filter = argv[i] + 9;
        else if (strncmp(argv[i], "--jobs=", 7) == 0) jobs = (unsigned)strtoul(argv[i] + 7, NULL, 10);
        else if (strncmp(argv[i], "-j", 2) == 0) jobs = (unsigned)strtoul(argv[i] + 2, NULL, 10);
    }
    if (jobs < 1 || jobs > JOBS_MAX) jobs = JOBS_MAX;
    size_t sections = (size_t)(__stop_cr_tst - __start_cr_tst), count = 0;
    struct criterion_test **tests = calloc(sections + 1, sizeof *tests);
    size_t report_bytes = (sections + 1) * sizeof(struct report);
    struct report *reports = mmap(NULL, report_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (!tests || reports == MAP_FAILED || sections > TESTS_MAX) return 2;
    for (size_t i = 0; i < sections; i++) {
        struct criterion_test *test = __start_cr_tst[i];
        if (!test) continue; /* the linker pads the section */
        char name[512];
        snprintf(name, sizeof name, "%s/%s", test->category, test->name);
        if (filter && fnmatch(filter, name, 0) != 0) reports[count].outcome = FILTERED;
        else if (test->data->disabled) reports[count].outcome = SKIPPED;
        tests[count++] = test;
    }
    run_all(tests, reports, count, jobs);
    FILE *tap = tap_path ? fopen(tap_path, "w") : NULL;
    unsigned failures = write_results(tap, tests, reports, count);
    if (tap) fclose(tap);
    munmap(reports, report_bytes);
    free(tests);
    return failures ? 1 : 0;
}
