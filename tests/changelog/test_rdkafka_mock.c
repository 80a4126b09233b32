/*
 * test_rdkafka_mock.c - the librdkafka transport against librdkafka's mock cluster in this process: what goes out comes in, and
 * errors that no real broker makes on demand. The mock has no admin requests, does not fence, and shows aborted records.
 */
#include "rdkafka_state.h"
#include "transport_fixture.h"

#include <librdkafka/rdkafka_mock.h>
#include <stdlib.h>

enum { API_PRODUCE = 0, API_INIT_PRODUCER_ID = 22, API_ADD_PARTITIONS = 24, API_END_TXN = 26 };

static rd_kafka_t *host;
static rd_kafka_mock_cluster_t *cluster;
static vcl_transport *t;
static varve_error err;

static void silent(const rd_kafka_t *rk, int level, const char *facility, const char *text) {
    (void)rk, (void)level, (void)facility, (void)text;
}

static void set_up(void) {
    char message[200];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, silent);
    host = rd_kafka_new(RD_KAFKA_PRODUCER, conf, message, sizeof message);
    cr_assert_not_null(host, "%s", message);
    cluster = rd_kafka_mock_cluster_new(host, 1);
    cr_assert_eq(rd_kafka_mock_topic_create(cluster, "t", 1, 1), RD_KAFKA_RESP_ERR_NO_ERROR);
    const varve_kafka_setting setting = {"check.crcs", "false"}; /* the mock's control records have none */
    const varve_changelog_options options = {.size = sizeof options,
                                             .brokers = rd_kafka_mock_cluster_bootstraps(cluster),
                                             .settings = &setting,
                                             .settings_count = 1};
    MUST(vcl_rdkafka_open(&options, &t, &err), err);
}

static void tear_down(void) {
    t->ops->close(t);
    rd_kafka_mock_cluster_destroy(cluster);
    rd_kafka_destroy(host);
}

TestSuite(rdkafka_mock, .init = set_up, .fini = tear_down);

/* --- Topics ------------------------------------------------------------------------------------------------------ */

Test(rdkafka_mock, what_admin_requests_would_tell_stays_unknown) {
    vcl_topic_info info;
    MUST(t->ops->describe_topic(t, "t", 10000, &info, &err), err);
    cr_expect(info.exists);
    cr_expect_eq(info.partitions, 1);
    cr_expect_eq(info.replication, 1);
    cr_expect_str_eq(info.cleanup_policy, "");
    cr_expect_eq(info.delete_retention_ms, INT64_MIN);
    cr_expect_eq(info.max_message_bytes, INT64_MIN);
}

Test(rdkafka_mock, a_topic_is_created_by_asking_for_it) {
    const vcl_topic_spec spec = {.partitions = 1, .replication = -1};
    vcl_topic_info info;
    varve_status st = t->ops->create_topic(t, "fresh", &spec, 10000, &err);
    /* The mock of librdkafka before 2.3.0 creates a topic for whoever asks whether it is there. */
    cr_assert(st == VARVE_OK || (st == VARVE_EXISTS && rd_kafka_version() < 0x020300ff), "%s", err.message);
    MUST(t->ops->describe_topic(t, "fresh", 10000, &info, &err), err);
    cr_expect(info.exists);
    cr_expect_eq(t->ops->create_topic(t, "fresh", &spec, 10000, &err), VARVE_EXISTS);
}

/* --- Records ----------------------------------------------------------------------------------------------------- */

Test(rdkafka_mock, records_come_back_as_they_went) {
    vcl_producer *p = open_producer(t, "id");
    vcl_consumer *c;
    const vcl_record *found;
    size_t count, total = 0;
    int64_t next = 0;
    vcl_record sent[] = {record_of("key", "value", NULL),        record_of("gone", NULL, NULL), record_of("empty", "", NULL),
                         record_of("", "of an empty key", NULL), {.timestamp_ms = 5},           record_of("last", "x", "the mark")};
    sent[0].timestamp_ms = 1234567890123;
    MUST(t->ops->begin(p, &err), err);
    MUST(t->ops->produce(p, "t", 0, sent, 6, &err), err);
    MUST(t->ops->commit(p, 10000, &next, &err), err);
    cr_expect_eq(next, 6);
    MUST(t->ops->consumer_open(t, "t", 0, 0, &c, &err), err);
    cr_expect_eq(t->ops->position(c), 0);
    while (total < 6) {
        MUST(t->ops->poll(c, 1000, &found, &count, &err), err);
        for (size_t i = 0; i < count; i++, total++) {
            cr_assert_lt(total, 6);
            const vcl_record *s = &sent[total], *f = &found[i];
            cr_expect_eq(f->offset, (int64_t)total);
            cr_expect_eq(f->timestamp_ms, s->timestamp_ms);
            cr_expect_eq(f->key.size, s->key.size);
            cr_expect_not_null(f->key.data, "an empty key is a key");
            cr_expect_eq(memcmp(f->key.data, s->key.data ? s->key.data : "", s->key.size), 0);
            cr_expect_eq(f->tombstone, s->tombstone);
            cr_expect_eq(f->value.size, s->value.size);
            if (s->value.size > 0) cr_expect_eq(memcmp(f->value.data, s->value.data, s->value.size), 0);
            cr_expect_eq(f->mark.data != NULL, s->mark.data != NULL);
            cr_expect_eq(f->mark.size, s->mark.size);
        }
    }
    cr_expect_geq(t->ops->position(c), 6);
    t->ops->consumer_close(c);
    t->ops->producer_close(p);
}

Test(rdkafka_mock, a_full_queue_is_waited_for_and_order_is_kept) {
    enum { COUNT = 30000 };
    const varve_kafka_setting settings[] = {{"queue.buffering.max.messages", "1000"}, {"linger.ms", "1"}};
    const varve_changelog_options options = {.size = sizeof options,
                                             .brokers = rd_kafka_mock_cluster_bootstraps(cluster),
                                             .settings = settings,
                                             .settings_count = 2};
    vcl_transport *small;
    vcl_record *records = calloc(COUNT, sizeof *records);
    uint32_t *keys = calloc(COUNT, sizeof *keys);
    int64_t next = 0;
    for (uint32_t i = 0; i < COUNT; i++) {
        keys[i] = i;
        records[i] = (vcl_record){.key = varve_bytes(&keys[i], sizeof keys[i]), .timestamp_ms = 1};
    }
    MUST(vcl_rdkafka_open(&options, &small, &err), err);
    vcl_producer *p = open_producer(small, "id");
    MUST(small->ops->begin(p, &err), err);
    MUST(small->ops->produce(p, "t", 0, records, COUNT, &err), err);
    MUST(small->ops->commit(p, 20000, &next, &err), err);
    cr_expect_eq(next, COUNT);
    small->ops->producer_close(p);
    small->ops->close(small);
    vcl_consumer *c;
    const vcl_record *found;
    size_t count;
    uint32_t total = 0;
    MUST(t->ops->consumer_open(t, "t", 0, 0, &c, &err), err);
    while (total < COUNT) {
        MUST(t->ops->poll(c, 1000, &found, &count, &err), err);
        for (size_t i = 0; i < count; i++, total++)
            cr_assert_eq(memcmp(found[i].key.data, &total, sizeof total), 0, "record %u", total);
    }
    t->ops->consumer_close(c);
    free(records);
    free(keys);
}

Test(rdkafka_mock, a_record_beyond_librdkafkas_bound_is_refused) {
    vcl_producer *p = open_producer(t, "id");
    char *large = calloc(1, 1100000);
    vcl_record record = {.key = varve_str("k"), .value = varve_bytes(large, 1100000), .timestamp_ms = 1};
    MUST(t->ops->begin(p, &err), err);
    cr_expect_eq(t->ops->produce(p, "t", 0, &record, 1, &err), VARVE_TOO_LARGE);
    cr_expect_not_null(strstr(err.message, "message.max.bytes"), "%s", err.message);
    MUST(t->ops->abort(p, 10000, &err), err);
    cr_expect_eq(write_pair(t, p, "t", "a", "1", true), 1, "the mock spends no offset on an abort without records");
    t->ops->producer_close(p);
    free(large);
}

Test(rdkafka_mock, partitions_that_are_not_there_are_missing) {
    vcl_producer *p = open_producer(t, "id");
    vcl_record record = record_of("a", "1", NULL);
    vcl_offsets offsets;
    vcl_consumer *c;
    const vcl_record *found;
    size_t count;
    MUST(t->ops->begin(p, &err), err);
    cr_expect_eq(t->ops->produce(p, "t", 1, &record, 1, &err), VARVE_MISSING);
    cr_expect_eq(t->ops->offsets(t, "t", 1, 5000, &offsets, &err), VARVE_MISSING);
    MUST(t->ops->consumer_open(t, "t", 1, 0, &c, &err), err);
    varve_status st = VARVE_OK;
    for (int i = 0; i < 50 && st == VARVE_OK; i++) st = t->ops->poll(c, 100, &found, &count, &err);
    cr_expect_eq(st, VARVE_MISSING);
    t->ops->consumer_close(c);
    t->ops->producer_close(p);
}

Test(rdkafka_mock, an_offset_that_is_not_there_is_missing_for_good) {
    vcl_producer *p = open_producer(t, "id");
    vcl_consumer *c;
    const vcl_record *found;
    size_t count;
    varve_status st = VARVE_OK;
    write_pair(t, p, "t", "a", "1", true);
    MUST(t->ops->consumer_open(t, "t", 0, 77, &c, &err), err);
    for (int i = 0; i < 50 && st == VARVE_OK; i++) st = t->ops->poll(c, 100, &found, &count, &err);
    cr_expect_eq(st, VARVE_MISSING);
    cr_expect_not_null(strstr(err.message, "offset 77 was asked for, the log holds 0 to"), "%s", err.message);
    cr_expect_eq(t->ops->poll(c, 100, &found, &count, &err), VARVE_MISSING);
    t->ops->consumer_close(c);
    t->ops->producer_close(p);
}

/* --- Errors ------------------------------------------------------------------------------------------------------ */

/* Begins and queues one record whose memory is returned, to be freed as soon as the contract says so. */
static char *begin_with_record(vcl_producer *p) {
    char *memory = malloc(100);
    memset(memory, 'x', 100);
    vcl_record record = {.key = varve_bytes(memory, 10), .value = varve_bytes(memory + 10, 90), .timestamp_ms = 1};
    MUST(t->ops->begin(p, &err), err);
    MUST(t->ops->produce(p, "t", 0, &record, 1, &err), err);
    return memory;
}

Test(rdkafka_mock, passing_errors_are_retried_within_the_commit) {
    vcl_producer *p = open_producer(t, "id");
    write_pair(t, p, "t", "first", "1", true);
    rd_kafka_mock_push_request_errors(cluster, API_PRODUCE, 2, RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
                                      RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT);
    rd_kafka_mock_push_request_errors(cluster, API_END_TXN, 1, RD_KAFKA_RESP_ERR_NOT_COORDINATOR);
    write_pair(t, p, "t", "second", "2", true);
    rd_kafka_mock_push_request_errors(cluster, API_ADD_PARTITIONS, 1, RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS);
    write_pair(t, p, "t", "third", "3", true);
    t->ops->producer_close(p);
}

Test(rdkafka_mock, a_record_the_broker_refuses_forces_an_abort) {
    static const rd_kafka_resp_err_t codes[] = {RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED};
    static const varve_status expected[] = {VARVE_TOO_LARGE, VARVE_KAFKA};
    for (int i = 0; i < 2; i++) {
        vcl_producer *p = open_producer(t, "id");
        rd_kafka_mock_push_request_errors(cluster, API_PRODUCE, 1, codes[i]);
        char *memory = begin_with_record(p);
        cr_expect_eq(t->ops->commit(p, 10000, NULL, &err), expected[i], "%s", err.message);
        cr_expect_eq(err.flags, 0, "%s", err.message);
        cr_expect_not_null(strstr(err.message, rd_kafka_err2str(codes[i])), "%s", err.message);
        MUST(t->ops->abort(p, 10000, &err), err);
        free(memory);
        t->ops->producer_close(p); /* the mock does not follow the epoch that the abort has raised */
    }
}

Test(rdkafka_mock, a_fenced_commit_is_fatal_and_gives_the_memory_back) {
    static const rd_kafka_resp_err_t codes[] = {RD_KAFKA_RESP_ERR_PRODUCER_FENCED, RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH};
    for (int i = 0; i < 2; i++) {
        vcl_producer *p = open_producer(t, "id");
        rd_kafka_mock_push_request_errors(cluster, API_END_TXN, 1, codes[i]);
        char *memory = begin_with_record(p);
        cr_expect_eq(t->ops->commit(p, 10000, NULL, &err), VARVE_FENCED, "%s", err.message);
        cr_expect_eq(err.flags, VARVE_ERROR_FATAL | VARVE_ERROR_FENCED);
        free(memory);
        cr_expect_eq(t->ops->abort(p, 1000, &err), VARVE_FENCED);
        cr_expect_eq(t->ops->begin(p, &err), VARVE_FENCED);
        cr_expect_eq(t->ops->produce(p, "t", 0, NULL, 0, &err), VARVE_FENCED);
        t->ops->producer_close(p);
    }
}

Test(rdkafka_mock, an_invalid_transaction_state_is_fatal) {
    vcl_producer *p = open_producer(t, "id");
    rd_kafka_mock_push_request_errors(cluster, API_END_TXN, 1, RD_KAFKA_RESP_ERR_INVALID_TXN_STATE);
    char *memory = begin_with_record(p);
    cr_expect_eq(t->ops->commit(p, 10000, NULL, &err), VARVE_KAFKA);
    cr_expect_eq(err.flags, VARVE_ERROR_FATAL, "%s", err.message);
    free(memory);
    t->ops->producer_close(p);
}

Test(rdkafka_mock, calls_out_of_turn_fail) {
    vcl_producer *p = open_producer(t, "id");
    cr_expect_neq(t->ops->commit(p, 1000, NULL, &err), VARVE_OK);
    t->ops->producer_close(p);
    p = open_producer(t, "id");
    vcl_record record = record_of("a", "1", NULL);
    cr_expect_eq(t->ops->produce(p, "t", 0, &record, 1, &err), VARVE_KAFKA, "no transaction has begun");
    t->ops->producer_close(p);
}

/* --- Absence ----------------------------------------------------------------------------------------------------- */

Test(rdkafka_mock, a_commit_waits_out_an_absence) {
    vcl_producer *p = open_producer(t, "id");
    int64_t next = 0;
    write_pair(t, p, "t", "warm", "1", true);
    rd_kafka_mock_broker_set_down(cluster, 1);
    char *memory = begin_with_record(p);
    cr_expect_eq(t->ops->commit(p, 300, &next, &err), VARVE_KAFKA);
    cr_expect_eq(err.flags, VARVE_ERROR_RETRIABLE, "%s", err.message);
    rd_kafka_mock_broker_set_up(cluster, 1);
    MUST(t->ops->commit(p, 20000, &next, &err), err);
    free(memory);
    vcl_offsets offsets = offsets_of(t, "t");
    cr_expect_geq(offsets.end, 2);
    t->ops->producer_close(p);
}

Test(rdkafka_mock, an_abort_after_an_absence_gives_the_memory_back) {
    vcl_producer *p = open_producer(t, "id");
    write_pair(t, p, "t", "warm", "1", true);
    rd_kafka_mock_broker_set_down(cluster, 1);
    char *memory = begin_with_record(p);
    varve_status st = t->ops->abort(p, 200, &err);
    rd_kafka_mock_broker_set_up(cluster, 1);
    for (int i = 0; i < 100 && st != VARVE_OK; i++) {
        cr_assert_eq(err.flags, VARVE_ERROR_RETRIABLE, "%s", err.message);
        st = t->ops->abort(p, 1000, &err);
    }
    MUST(st, err);
    free(memory);
    write_pair(t, p, "t", "after", "2", true);
    t->ops->producer_close(p);
}

Test(rdkafka_mock, closing_in_the_middle_gives_the_memory_back) {
    vcl_producer *p = open_producer(t, "id");
    write_pair(t, p, "t", "warm", "1", true);
    rd_kafka_mock_broker_set_down(cluster, 1);
    char *memory = begin_with_record(p);
    t->ops->producer_close(p);
    free(memory);
    rd_kafka_mock_broker_set_up(cluster, 1);
}

Test(rdkafka_mock, an_idle_reader_is_told_of_an_absence_and_goes_on_after_it) {
    vcl_producer *p = open_producer(t, "id");
    vcl_consumer *c;
    const vcl_record *found;
    size_t count = 0;
    varve_status st = VARVE_OK;
    write_pair(t, p, "t", "a", "1", true);
    MUST(t->ops->consumer_open(t, "t", 0, 0, &c, &err), err);
    for (int i = 0; i < 100 && count == 0; i++) MUST(t->ops->poll(c, 100, &found, &count, &err), err);
    cr_assert_eq(count, 1);
    rd_kafka_mock_broker_set_down(cluster, 1);
    for (int i = 0; i < 100 && st == VARVE_OK; i++) st = t->ops->poll(c, 100, &found, &count, &err);
    cr_expect_eq(st, VARVE_KAFKA);
    cr_expect_eq(err.flags, VARVE_ERROR_RETRIABLE, "%s", err.message);
    rd_kafka_mock_broker_set_up(cluster, 1);
    write_pair(t, p, "t", "b", "2", true);
    count = 0;
    for (int i = 0; i < 100 && count == 0; i++) {
        st = t->ops->poll(c, 100, &found, &count, &err);
        if (st != VARVE_OK) count = 0;
    }
    cr_assert_eq(st, VARVE_OK);
    cr_assert_eq(count, 1);
    cr_expect_eq(found[0].key.data[0], 'b');
    t->ops->consumer_close(c);
    t->ops->producer_close(p);
}
