/*
 * Error records, names of statuses, diagnostics, assertions (base/error.h, diag.h, check.h, <varve/types.h>).
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>

#include "base/check.h"
#include "base/diag.h"
#include "base/error.h"

Test(error, set_fills_the_record_and_returns_the_code) {
    varve_error err = {.os_error = 5, .flags = 7};
    cr_assert_eq(vr_error_set(&err, VARVE_INVALID, "memory is %d bytes, allowed are %d to %d", 1, 2, 3), VARVE_INVALID);
    cr_assert_eq(err.code, VARVE_INVALID);
    cr_assert_eq(err.os_error, 0);
    cr_assert_eq(err.flags, 0);
    cr_assert_str_eq(err.message, "memory is 1 bytes, allowed are 2 to 3");
    cr_assert_eq(vr_error_set(NULL, VARVE_CLOSED, "x"), VARVE_CLOSED, "no record is fine");
}

Test(error, flags_follow_from_the_code) {
    static const struct {
        varve_status code;
        uint32_t flags;
    } cases[] = {
        {VARVE_BUSY, VARVE_ERROR_RETRIABLE},
        {VARVE_NO_SPACE, VARVE_ERROR_RETRIABLE},
        {VARVE_NOMEM, VARVE_ERROR_RETRIABLE},
        {VARVE_TIMEOUT, VARVE_ERROR_RETRIABLE},
        {VARVE_FENCED, VARVE_ERROR_FENCED | VARVE_ERROR_FATAL},
        {VARVE_IO, 0},
        {VARVE_CORRUPTION, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        varve_error err;
        vr_error_set(&err, cases[i].code, "x");
        cr_assert_eq(err.flags, cases[i].flags, "%s", varve_status_name(cases[i].code));
    }
}

Test(error, system_errors_become_statuses) {
    static const struct {
        int os_error;
        varve_status code;
    } cases[] = {{ENOSPC, VARVE_NO_SPACE}, {EDQUOT, VARVE_NO_SPACE}, {ENOMEM, VARVE_NOMEM}, {ENOENT, VARVE_MISSING},
                 {EEXIST, VARVE_EXISTS},   {EIO, VARVE_IO},          {EACCES, VARVE_IO},    {ENOTDIR, VARVE_IO}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        varve_error err;
        char expected[200];
        cr_assert_eq(vr_error_os(&err, cases[i].os_error, "cannot open %s", "a/b"), cases[i].code);
        cr_assert_eq(err.code, cases[i].code);
        cr_assert_eq(err.os_error, cases[i].os_error);
        snprintf(expected, sizeof expected, "cannot open a/b: %s", strerror(cases[i].os_error));
        cr_assert_str_eq(err.message, expected);
        cr_assert_eq(vr_error_os(NULL, cases[i].os_error, "x"), cases[i].code);
    }
}

Test(error, long_messages_are_cut_and_keep_their_cause) {
    varve_error err;
    char text[2000];
    memset(text, 'p', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    vr_error_set(&err, VARVE_IO, "%s", text);
    cr_assert_eq(strlen(err.message), sizeof err.message - 1);
    vr_error_os(&err, ENOSPC, "cannot write %s", text);
    cr_assert_eq(strlen(err.message), sizeof err.message - 1);
    cr_assert(strstr(err.message, strerror(ENOSPC)) != NULL, "the cause must survive: %s", err.message);
}

Test(error, every_length_around_the_record_fits) {
    varve_error err;
    char text[600];
    for (size_t length = 440; length < 520; length++) {
        memset(text, 'x', length);
        text[length] = '\0';
        vr_error_os(&err, EIO, "%s", text);
        size_t whole = length + 2 + strlen(strerror(EIO));
        cr_assert_eq(strlen(err.message), whole < sizeof err.message ? whole : sizeof err.message - 1);
    }
}

Test(error, a_message_may_be_made_of_itself) {
    varve_error err;
    vr_error_set(&err, VARVE_IO, "disk gone");
    vr_error_set(&err, VARVE_READ_ONLY, "writes stopped: %s", err.message);
    cr_assert_str_eq(err.message, "writes stopped: disk gone");
}

Test(error, nomem_and_copy) {
    varve_error err;
    varve_error copy;
    cr_assert_eq(vr_error_nomem(&err, 4096, "a block"), VARVE_NOMEM);
    cr_assert_str_eq(err.message, "out of memory: 4096 bytes for a block");
    cr_assert_eq(vr_error_copy(&copy, &err), VARVE_NOMEM);
    cr_assert_str_eq(copy.message, err.message);
    cr_assert_eq(copy.code, VARVE_NOMEM);
    cr_assert_eq(vr_error_copy(NULL, &err), VARVE_NOMEM);
    cr_assert_eq(vr_error_copy(&err, &err), VARVE_NOMEM);
}

Test(error, every_status_has_its_name) {
    cr_assert_str_eq(varve_status_name(VARVE_OK), "OK");
    cr_assert_str_eq(varve_status_name(VARVE_NOT_FOUND), "NOT_FOUND");
    cr_assert_str_eq(varve_status_name(VARVE_INTERNAL), "INTERNAL");
    for (int code = VARVE_INTERNAL; code <= VARVE_NOT_FOUND; code++) {
        cr_assert_str_neq(varve_status_name((varve_status)code), "UNKNOWN", "%d", code);
        for (int other = code + 1; other <= VARVE_NOT_FOUND; other++) {
            cr_assert_str_neq(varve_status_name((varve_status)code), varve_status_name((varve_status)other));
        }
    }
    cr_assert_str_eq(varve_status_name((varve_status)2), "UNKNOWN");
    cr_assert_str_eq(varve_status_name((varve_status)-19), "UNKNOWN");
}

Test(error, version_is_that_of_the_header) {
    char expected[32];
    snprintf(expected, sizeof expected, "%d.%d.%d", VARVE_VERSION_MAJOR, VARVE_VERSION_MINOR, VARVE_VERSION_PATCH);
    cr_assert_str_eq(varve_version(), expected);
}

static void keep_line(void *context, const char *line) {
    snprintf(context, 2048, "%s", line);
}

Test(diag, lines_go_to_the_function_given) {
    char kept[2048] = "";
    vr_diag diag = {.line = keep_line, .context = kept};
    vr_diag_say(&diag, "flushed %d tables", 3);
    cr_assert_str_eq(kept, "flushed 3 tables");
    char text[3000];
    memset(text, 'd', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    vr_diag_say(&diag, "%s", text);
    cr_assert_gt(strlen(kept), 500);
    cr_assert_lt(strlen(kept), sizeof kept - 1);
    vr_diag silent = {0};
    vr_diag_say(&silent, "nobody listens");
}

Test(check, passes_what_holds) {
    VR_CHECK(1 + 1 == 2);
    VR_ASSERT(1 + 1 == 2);
}

Test(check, aborts_what_does_not_hold, .signal = SIGABRT) {
    VR_CHECK(1 + 1 == 3);
}
