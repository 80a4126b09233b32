/*
 * tests/changelog/test_changelog_options.c - every option's bounds, every finding about a topic, and the arguments of the public
 * functions.
 */
#include <criterion/criterion.h>
#include <stdio.h>

#include "config.h"
#include "report.h"
#include "topic.h"

static varve_changelog_options good(void) {
    return (varve_changelog_options){.size = sizeof(varve_changelog_options), .brokers = "a:1", .topic = "users"};
}

static void refused(varve_changelog_options options, const char *words) {
    vcl_config config;
    varve_error err = {0};
    cr_expect_eq(vcl_config_make(&options, &config, &err), VARVE_INVALID, "%s", words);
    cr_expect(strstr(err.message, words), "%s: %s", words, err.message);
}

Test(changelog_options, defaults) {
    varve_changelog_options options = good();
    vcl_config config;
    varve_error err;
    options.partition = 3;
    cr_assert_eq(vcl_config_make(&options, &config, &err), VARVE_OK);
    cr_expect_str_eq(config.transactional_id, "varve-users-3");
    cr_expect_eq(config.commit_interval_ms, 100);
    cr_expect_eq(config.group_bytes_max, 16u << 20);
    cr_expect_eq(config.timeout_ms, 30000);
    options.transactional_id = "mine";
    cr_assert_eq(vcl_config_make(&options, &config, &err), VARVE_OK);
    cr_expect_str_eq(config.transactional_id, "mine");
}

Test(changelog_options, bounds) {
    varve_changelog_options options = good();
    options.size = 8;
    refused(options, "options.size");
    options = good();
    options.brokers = "";
    refused(options, "brokers");
    options = good();
    options.topic = NULL;
    refused(options, "topic");
    options.topic = "no spaces";
    refused(options, "topic is \"no spaces\"");
    options.topic = "..";
    refused(options, "topic");
    char name[VCL_TOPIC_BYTES_MAX + 2];
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = 0;
    options.topic = name;
    refused(options, "topic");
    options = good();
    options.partition = -1;
    refused(options, "partition is -1");
    options = good();
    options.partition = 4;
    options.partitions = 4;
    refused(options, "partitions is 4");
    options = good();
    options.replication = 40000;
    refused(options, "replication is 40000");
    options = good();
    options.commit_interval_ms = 60001;
    refused(options, "commit_interval_ms (ms) is 60001");
    options = good();
    options.timeout_ms = 3600001;
    refused(options, "timeout_ms (ms)");
    options = good();
    options.group_bytes_max = 1023;
    refused(options, "group_bytes_max (bytes) is 1023, allowed is 1024");
    options = good();
    options.transactional_id = "";
    refused(options, "transactional_id");
    options = good();
    options.settings_count = 1;
    refused(options, "settings is NULL");
    vcl_config config;
    varve_error err;
    cr_expect_eq(vcl_config_make(NULL, &config, &err), VARVE_INVALID);
}

/* --- Topics ------------------------------------------------------------------------------------------------------- */

static varve_status check(const char *policy, int64_t retention_ms, int64_t retention_bytes, varve_error *err) {
    varve_changelog_options options = good();
    vcl_config config;
    cr_assert_eq(vcl_config_make(&options, &config, err), VARVE_OK);
    vcl_topic_info info = {.exists = true,
                           .partitions = 1,
                           .replication = 1,
                           .retention_ms = retention_ms,
                           .retention_bytes = retention_bytes};
    snprintf(info.cleanup_policy, sizeof info.cleanup_policy, "%s", policy);
    return vcl_topic_check(&config, &info, err);
}

Test(changelog_options, policies) {
    varve_error err;
    cr_expect_eq(check("compact", 604800000, -1, &err), VARVE_OK);
    cr_expect_eq(check("", INT64_MIN, INT64_MIN, &err), VARVE_OK);
    cr_expect_eq(check("compact,delete", -1, -1, &err), VARVE_OK);
    cr_expect_eq(check("delete, compact", -1, -1, &err), VARVE_OK);
    cr_expect_eq(check("delete", -1, -1, &err), VARVE_INVALID);
    cr_expect(strstr(err.message, "--entity-name users --add-config cleanup.policy=compact"), "%s", err.message);
    cr_expect_eq(check("delete,compact", 604800000, -1, &err), VARVE_INVALID);
    cr_expect_eq(check("compact,delete", -1, 1 << 30, &err), VARVE_INVALID);
    cr_expect_eq(check("compact,delete", INT64_MIN, INT64_MIN, &err), VARVE_INVALID);
    cr_expect_eq(check("compactish", -1, -1, &err), VARVE_INVALID);
}

Test(changelog_options, delete_retention) {
    vcl_topic_info info = {.delete_retention_ms = 5000};
    cr_expect_eq(vcl_topic_delete_retention_ms(&info), 5000);
    info.delete_retention_ms = INT64_MIN;
    cr_expect_eq(vcl_topic_delete_retention_ms(&info), 86400000);
}

/* --- Arguments ---------------------------------------------------------------------------------------------------- */

Test(changelog_options, null_arguments_are_refused) {
    varve_changelog_options options = good();
    varve_changelog *log;
    varve_error err;
    cr_expect_eq(varve_changelog_open(NULL, &options, &log, &err), VARVE_INVALID);
    cr_expect_eq(varve_changelog_open(NULL, &options, NULL, NULL), VARVE_INVALID);
    cr_expect_eq(varve_changelog_flush(NULL, 1, &err), VARVE_INVALID);
    cr_expect_eq(varve_changelog_stats_get(NULL, NULL, &err), VARVE_INVALID);
    cr_expect_eq(varve_changelog_restore(NULL, &options, NULL, NULL), VARVE_INVALID);
    cr_expect_eq(varve_changelog_verify(NULL, &options, "x", NULL, NULL, NULL, NULL), VARVE_INVALID);
    cr_expect_eq(varve_changelog_close(NULL, NULL), VARVE_OK);
}

Test(changelog_options, messages_are_cut_not_overrun) {
    varve_error err;
    char text[800];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    vcl_fail(&err, VARVE_KAFKA, 0, "%s", text);
    cr_expect_eq(strlen(err.message), sizeof err.message - 1);
    vcl_fail_at(&err, "before: ");
    cr_expect_eq(strlen(err.message), sizeof err.message - 1);
    cr_expect_eq(strncmp(err.message, "before: xxx", 11), 0);
    vcl_fail_at(&err, "%s", text);
    cr_expect_eq(strlen(err.message), sizeof err.message - 1);
}
