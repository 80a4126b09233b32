/*
 * test_rdkafka_settings.c - the librdkafka transport without any broker: settings it refuses, what errors mean, and what is
 * said of brokers that do not answer.
 */
#include "rdkafka_state.h"
#include "transport_fixture.h"

#include <stdio.h>
#include <stdlib.h>

static varve_status open_with(const char *name, const char *value, varve_error *err) {
    const varve_kafka_setting setting = {name, value};
    const varve_changelog_options options = {.size = sizeof options,
                                             .brokers = "127.0.0.1:1",
                                             .settings = &setting,
                                             .settings_count = 1};
    vcl_transport *t = NULL;
    varve_status st = vcl_rdkafka_open(&options, &t, err);
    if (t) t->ops->close(t);
    return st;
}

Test(rdkafka_settings, refuses_what_the_changelog_must_own) {
    static const char *const owned[] = {"bootstrap.servers",
                                        "metadata.broker.list",
                                        "transactional.id",
                                        "enable.idempotence",
                                        "acks",
                                        "request.required.acks",
                                        "message.timeout.ms",
                                        "delivery.timeout.ms",
                                        "enable.gapless.guarantee",
                                        "isolation.level",
                                        "auto.offset.reset",
                                        "enable.auto.commit",
                                        "enable.auto.offset.store",
                                        "enable.partition.eof",
                                        "group.id",
                                        "partitioner",
                                        "plugin.library.paths",
                                        "dr_msg_cb",
                                        "error_cb",
                                        "rebalance_cb",
                                        "delivery.report.only.error",
                                        "message.copy.max.bytes",
                                        "opaque"};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++) {
        varve_error err;
        cr_expect_eq(open_with(owned[i], "1", &err), VARVE_INVALID, "%s", owned[i]);
        cr_expect_not_null(strstr(err.message, owned[i]), "the message names it: %s", err.message);
        cr_expect_not_null(strstr(err.message, "may not be given: "), "and says why: %s", err.message);
    }
}

Test(rdkafka_settings, says_which_option_to_use_instead) {
    varve_error err;
    open_with("bootstrap.servers", "x", &err);
    cr_expect_not_null(strstr(err.message, "varve_changelog_options.brokers"), "%s", err.message);
    open_with("transactional.id", "x", &err);
    cr_expect_not_null(strstr(err.message, "varve_changelog_options.transactional_id"), "%s", err.message);
}

Test(rdkafka_settings, passes_librdkafkas_own_judgement_on) {
    varve_error err;
    cr_expect_eq(open_with("no.such.setting", "1", &err), VARVE_INVALID);
    cr_expect_not_null(strstr(err.message, "No such configuration property"), "%s", err.message);
    cr_expect_eq(open_with("linger.ms", "often", &err), VARVE_INVALID);
    cr_expect_not_null(strstr(err.message, "linger.ms"), "%s", err.message);
    cr_expect_eq(open_with(NULL, "1", &err), VARVE_INVALID);
    cr_expect_eq(open_with("linger.ms", NULL, &err), VARVE_INVALID);
    cr_expect_eq(open_with("linger.ms", "50", &err), VARVE_OK);
    cr_expect_eq(open_with("compression.codec", "zstd", &err), VARVE_OK);
    cr_expect_eq(open_with("queued.max.messages.kbytes", "8192", NULL), VARVE_OK);
}

Test(rdkafka_settings, settings_that_contradict_ours_are_refused_when_a_producer_opens) {
    varve_error err;
    const varve_kafka_setting setting = {"max.in.flight.requests.per.connection", "10"};
    const varve_changelog_options options = {.size = sizeof options,
                                             .brokers = "127.0.0.1:1",
                                             .settings = &setting,
                                             .settings_count = 1};
    vcl_transport *t = NULL;
    vcl_producer *p = NULL;
    MUST(vcl_rdkafka_open(&options, &t, &err), err);
    cr_expect_eq(t->ops->producer_open(t, "id", 1000, &p, &err), VARVE_INVALID);
    cr_expect_not_null(strstr(err.message, "max.in.flight"), "%s", err.message);
    t->ops->close(t);
}

Test(rdkafka_settings, brokers_are_required) {
    varve_error err;
    vcl_transport *t = NULL;
    varve_changelog_options options = {.size = sizeof options};
    cr_expect_eq(vcl_rdkafka_open(&options, &t, &err), VARVE_INVALID);
    options.brokers = "";
    cr_expect_eq(vcl_rdkafka_open(&options, &t, &err), VARVE_INVALID);
    cr_expect_not_null(strstr(err.message, "varve_changelog_options.brokers"));
    cr_expect_null(t);
}

Test(rdkafka_settings, codes_say_what_may_be_done) {
    static const struct {
        int code;
        varve_status status;
        uint32_t flags;
    } cases[] = {
        {RD_KAFKA_RESP_ERR__TRANSPORT, VARVE_KAFKA, VARVE_ERROR_RETRIABLE},
        {RD_KAFKA_RESP_ERR__TIMED_OUT, VARVE_KAFKA, VARVE_ERROR_RETRIABLE},
        {RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, VARVE_KAFKA, VARVE_ERROR_RETRIABLE},
        {RD_KAFKA_RESP_ERR__FENCED, VARVE_FENCED, VARVE_ERROR_FATAL | VARVE_ERROR_FENCED},
        {RD_KAFKA_RESP_ERR_PRODUCER_FENCED, VARVE_FENCED, VARVE_ERROR_FATAL | VARVE_ERROR_FENCED},
        {RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH, VARVE_FENCED, VARVE_ERROR_FATAL | VARVE_ERROR_FENCED},
        {RD_KAFKA_RESP_ERR__FATAL, VARVE_KAFKA, VARVE_ERROR_FATAL},
        {RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, VARVE_MISSING, 0},
        {VCL_RDKAFKA_UNKNOWN_TOPIC_ID, VARVE_MISSING, 0},
        {RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET, VARVE_MISSING, 0},
        {VCL_RDKAFKA_LOG_TRUNCATION, VARVE_MISSING, 0},
        {RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS, VARVE_EXISTS, 0},
        {RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, VARVE_TOO_LARGE, 0},
        {RD_KAFKA_RESP_ERR_INVALID_CONFIG, VARVE_INVALID, 0},
        {RD_KAFKA_RESP_ERR__BAD_MSG, VARVE_CORRUPTION, 0},
        {RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, VARVE_KAFKA, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        varve_status status;
        uint32_t flags;
        vcl_rdkafka_classify(cases[i].code, &status, &flags);
        cr_expect_eq(status, cases[i].status, "code %d", cases[i].code);
        cr_expect_eq(flags, cases[i].flags, "code %d", cases[i].code);
    }
}

/* --- No broker --------------------------------------------------------------------------------------------------- */

enum { LIMIT_MS = 400, SLACK_MS = 4000 };

static void expect_unreachable(varve_status st, const varve_error *err, int64_t since_ms) {
    cr_expect_eq(st, VARVE_KAFKA);
    cr_expect_eq(err->flags, VARVE_ERROR_RETRIABLE);
    cr_expect_not_null(strstr(err->message, "127.0.0.1:1"), "%s", err->message);
    cr_expect_not_null(strstr(err->message, "Connection refused"), "%s", err->message);
    cr_expect_lt(vcl_rdkafka_now_ms() - since_ms, LIMIT_MS + SLACK_MS);
}

static void count_lines(void *context, const char *line) {
    if (strstr(line, "Connection refused")) __atomic_add_fetch((int *)context, 1, __ATOMIC_RELAXED);
}

Test(rdkafka_settings, brokers_that_do_not_answer_are_named_in_time) {
    varve_error err;
    int lines = 0;
    const varve_changelog_options options = {.size = sizeof options,
                                             .brokers = "127.0.0.1:1",
                                             .diag = count_lines,
                                             .diag_context = &lines};
    vcl_transport *t = NULL;
    vcl_topic_info info;
    vcl_offsets offsets;
    vcl_producer *p = NULL;
    vcl_consumer *c = NULL;
    const vcl_record *records;
    size_t count;
    const vcl_topic_spec spec = {.partitions = 1, .replication = -1};
    MUST(vcl_rdkafka_open(&options, &t, &err), err);
    int64_t since = vcl_rdkafka_now_ms();
    expect_unreachable(t->ops->describe_topic(t, "t", LIMIT_MS, &info, &err), &err, since);
    since = vcl_rdkafka_now_ms();
    expect_unreachable(t->ops->create_topic(t, "t", &spec, LIMIT_MS, &err), &err, since);
    since = vcl_rdkafka_now_ms();
    expect_unreachable(t->ops->offsets(t, "t", 0, LIMIT_MS, &offsets, &err), &err, since);
    since = vcl_rdkafka_now_ms();
    expect_unreachable(t->ops->producer_open(t, "id", LIMIT_MS, &p, &err), &err, since);
    cr_expect_null(p);
    MUST(t->ops->consumer_open(t, "t", 0, 0, &c, &err), err);
    since = vcl_rdkafka_now_ms();
    expect_unreachable(t->ops->poll(c, LIMIT_MS, &records, &count, &err), &err, since);
    cr_expect_eq(t->ops->position(c), 0);
    t->ops->consumer_close(c);
    t->ops->close(t);
    cr_expect_gt(lines, 0, "librdkafka's lines go to the diagnostics");
}
