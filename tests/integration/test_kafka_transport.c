/*
 * test_kafka_transport.c - the librdkafka transport against a real Kafka broker at VARVE_KAFKA_BOOTSTRAP; skipped without one.
 * Topics have fresh names, so that runs may share a broker. Rates are printed, not judged.
 */
#include "rdkafka_state.h"
#include "transport_fixture.h"

#include <criterion/logging.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { TIMEOUT_MS = 30000 };

static vcl_transport *t;
static varve_error err;
static char topic[64], id[80];

/* A setting of the test's own may be given; NULL: none. */
static void connect_with(const char *name, const char *value) {
    const char *bootstrap = getenv("VARVE_KAFKA_BOOTSTRAP");
    if (!bootstrap || !*bootstrap) cr_skip_test("VARVE_KAFKA_BOOTSTRAP names no Kafka broker");
    const varve_kafka_setting setting = {name, value};
    const varve_changelog_options options = {.size = sizeof options,
                                             .brokers = bootstrap,
                                             .settings = &setting,
                                             .settings_count = name ? 1 : 0};
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    snprintf(topic, sizeof topic, "transport-%lld-%09ld-%d", (long long)now.tv_sec, now.tv_nsec, (int)getpid());
    snprintf(id, sizeof id, "id-%s", topic);
    MUST(vcl_rdkafka_open(&options, &t, &err), err);
}

static void set_up(void) {
    connect_with(NULL, NULL);
    make_topic(t, topic, "86400000");
}

static void tear_down(void) {
    if (t) t->ops->close(t);
}

/* --- Topics ------------------------------------------------------------------------------------------------------ */

Test(kafka_transport, describes_what_it_created, .fini = tear_down) {
    connect_with(NULL, NULL);
    static const uint8_t zero[16];
    vcl_topic_info info;
    const varve_kafka_setting configs[] = {{"cleanup.policy", "delete"}, {"max.message.bytes", "5000"}};
    const vcl_topic_spec spec = {.partitions = 3, .replication = -1, .configs = configs, .config_count = 2};
    MUST(t->ops->describe_topic(t, topic, TIMEOUT_MS, &info, &err), err);
    cr_expect_not(info.exists);
    MUST(t->ops->create_topic(t, topic, &spec, TIMEOUT_MS, &err), err);
    cr_expect_eq(t->ops->create_topic(t, topic, &spec, TIMEOUT_MS, &err), VARVE_EXISTS);
    MUST(t->ops->describe_topic(t, topic, TIMEOUT_MS, &info, &err), err);
    cr_expect(info.exists);
    cr_expect_eq(info.partitions, 3);
    cr_expect_eq(info.replication, 1);
    cr_expect_str_eq(info.cleanup_policy, "delete", "the wrong policy is told as it is");
    cr_expect_eq(info.max_message_bytes, 5000);
    cr_expect_eq(info.delete_retention_ms, 86400000);
    cr_expect_eq(info.min_insync_replicas, 1);
    if (RD_KAFKA_VERSION >= 0x020300ff) cr_expect_neq(memcmp(info.id, zero, sizeof zero), 0, "a topic has an id");
}

Test(kafka_transport, the_brokers_refusal_of_a_topic_is_passed_on, .fini = tear_down) {
    connect_with(NULL, NULL);
    const varve_kafka_setting wrong[] = {{"cleanup.policy", "sometimes"}};
    const vcl_topic_spec bad_config = {.partitions = 1, .replication = -1, .configs = wrong, .config_count = 1};
    const vcl_topic_spec bad_replication = {.partitions = 1, .replication = 99};
    cr_expect_eq(t->ops->create_topic(t, topic, &bad_config, TIMEOUT_MS, &err), VARVE_INVALID, "%s", err.message);
    cr_expect_not_null(strstr(err.message, "sometimes"), "%s", err.message);
    cr_expect_eq(t->ops->create_topic(t, topic, &bad_replication, TIMEOUT_MS, &err), VARVE_INVALID, "%s", err.message);
}

Test(kafka_transport, what_is_not_there_is_missing, .init = set_up, .fini = tear_down) {
    vcl_offsets offsets;
    vcl_consumer *c;
    const vcl_record *records;
    size_t count;
    vcl_record record = record_of("a", "1", NULL);
    cr_expect_eq(t->ops->offsets(t, "no-such-topic", 0, TIMEOUT_MS, &offsets, &err), VARVE_MISSING);
    cr_expect_eq(t->ops->offsets(t, topic, 1, TIMEOUT_MS, &offsets, &err), VARVE_MISSING);
    const char *topics[] = {"no-such-topic", topic};
    for (int i = 0; i < 2; i++) {
        varve_status st = VARVE_OK;
        MUST(t->ops->consumer_open(t, topics[i], i, 0, &c, &err), err);
        for (int polls = 0; polls < 50 && st == VARVE_OK; polls++) st = t->ops->poll(c, 100, &records, &count, &err);
        cr_expect_eq(st, VARVE_MISSING);
        t->ops->consumer_close(c);
    }
    vcl_producer *p = open_producer(t, id);
    MUST(t->ops->begin(p, &err), err);
    cr_expect_eq(t->ops->produce(p, "no-such-topic", 0, &record, 1, &err), VARVE_MISSING, "%s", err.message);
    MUST(t->ops->abort(p, TIMEOUT_MS, &err), err);
    t->ops->producer_close(p);
}

/* --- Transactions ------------------------------------------------------------------------------------------------ */

Test(kafka_transport, commit_gives_the_next_offset_and_positions_pass_control_records, .init = set_up, .fini = tear_down) {
    vcl_producer *p = open_producer(t, id);
    vcl_record records[] = {record_of("a", "1", NULL), record_of("b", NULL, NULL), record_of("", "", "mark")};
    int64_t next = 0;
    MUST(t->ops->begin(p, &err), err);
    MUST(t->ops->produce(p, topic, 0, records, 3, &err), err);
    MUST(t->ops->commit(p, TIMEOUT_MS, &next, &err), err);
    cr_expect_eq(next, 3);
    vcl_offsets offsets = offsets_of(t, topic);
    cr_expect_eq(offsets.start, 0);
    cr_expect_eq(offsets.end, 4);
    cr_expect_eq(offsets.stable_end, 4);
    cr_expect_eq(write_pair(t, p, topic, "c", "3", true), 5);
    expect_content(t, topic, 0, "0:a=1 1:b=- 2:=/mark 4:c=3");
    expect_content(t, topic, 3, "4:c=3");
    expect_content(t, topic, 5, "");
    t->ops->producer_close(p);
}

Test(kafka_transport, aborted_and_open_records_are_invisible, .init = set_up, .fini = tear_down) {
    vcl_producer *p = open_producer(t, id);
    vcl_consumer *c;
    const vcl_record *records;
    size_t count;
    write_pair(t, p, topic, "aborted", "1", false);
    MUST(t->ops->abort(p, TIMEOUT_MS, &err), err);
    cr_expect_eq(write_pair(t, p, topic, "seen", "2", true), offsets_of(t, topic).end - 1);
    int64_t stable = offsets_of(t, topic).end;
    char expected[64];
    snprintf(expected, sizeof expected, "%lld:seen=2", (long long)stable - 2);
    expect_content(t, topic, 0, expected);
    write_pair(t, p, topic, "open", "3", false);
    vcl_offsets offsets = offsets_of(t, topic);
    for (int i = 0; i < 100 && offsets.end == stable; i++) {
        usleep(20000);
        offsets = offsets_of(t, topic);
    }
    cr_expect_eq(offsets.end, stable + 1, "the open record is in the log");
    cr_expect_eq(offsets.stable_end, stable, "and not committed");
    MUST(t->ops->consumer_open(t, topic, 0, stable, &c, &err), err);
    MUST(t->ops->poll(c, 300, &records, &count, &err), err);
    cr_expect_eq(count, 0);
    cr_expect_eq(t->ops->position(c), stable);
    MUST(t->ops->commit(p, TIMEOUT_MS, NULL, &err), err);
    for (int i = 0; i < 100 && count == 0; i++) MUST(t->ops->poll(c, 100, &records, &count, &err), err);
    cr_expect_eq(count, 1);
    t->ops->consumer_close(c);
    t->ops->producer_close(p);
}

Test(kafka_transport, a_zombie_is_fenced_and_its_open_transaction_aborted, .init = set_up, .fini = tear_down) {
    vcl_producer *zombie = open_producer(t, id);
    write_pair(t, zombie, topic, "before", "1", true);
    write_pair(t, zombie, topic, "zombie", "2", false);
    usleep(100000);
    int64_t since = vcl_rdkafka_now_ms();
    vcl_producer *heir = open_producer(t, id);
    fprintf(stderr, "taking over from an open transaction: %lld ms\n", (long long)(vcl_rdkafka_now_ms() - since));
    cr_expect_eq(t->ops->commit(zombie, TIMEOUT_MS, NULL, &err), VARVE_FENCED, "%s", err.message);
    cr_expect_eq(err.flags, VARVE_ERROR_FATAL | VARVE_ERROR_FENCED);
    t->ops->producer_close(zombie);
    write_pair(t, heir, topic, "heir", "3", true);
    char *content = read_all(t, topic, 0);
    cr_expect_not_null(strstr(content, "before=1"));
    cr_expect_null(strstr(content, "zombie"));
    cr_expect_not_null(strstr(content, "heir=3"));
    free(content);
    t->ops->producer_close(heir);
}

Test(kafka_transport, an_idle_zombie_is_fenced_when_it_writes, .init = set_up, .fini = tear_down) {
    vcl_producer *zombie = open_producer(t, id);
    write_pair(t, zombie, topic, "before", "1", true);
    vcl_producer *heir = open_producer(t, id);
    vcl_record record = record_of("zombie", "2", NULL);
    varve_status st = t->ops->begin(zombie, &err);
    if (st == VARVE_OK) st = t->ops->produce(zombie, topic, 0, &record, 1, &err);
    if (st == VARVE_OK) st = t->ops->commit(zombie, TIMEOUT_MS, NULL, &err);
    cr_expect_eq(st, VARVE_FENCED, "%s", err.message);
    t->ops->producer_close(zombie);
    t->ops->producer_close(heir);
    expect_content(t, topic, 0, "0:before=1");
}

Test(kafka_transport, a_transaction_that_timed_out_is_fenced_too, .fini = tear_down) {
    connect_with("transaction.timeout.ms", "1000");
    make_topic(t, topic, "86400000");
    vcl_producer *p = open_producer(t, id);
    write_pair(t, p, topic, "late", "1", false);
    int64_t stable = 0;
    for (int i = 0; i < 300 && stable == 0; i++) {
        usleep(100000);
        stable = offsets_of(t, topic).stable_end;
    }
    cr_assert_gt(stable, 0, "the broker has aborted it");
    varve_status st = t->ops->commit(p, TIMEOUT_MS, NULL, &err);
    cr_expect_eq(st, VARVE_FENCED, "%s", err.message);
    t->ops->producer_close(p);
    expect_content(t, topic, 0, "");
}

/* --- Refusals ---------------------------------------------------------------------------------------------------- */

Test(kafka_transport, a_record_that_librdkafka_finds_too_large, .init = set_up, .fini = tear_down) {
    vcl_producer *p = open_producer(t, id);
    char *large = calloc(1, 1100000);
    vcl_record record = {.key = varve_str("large"), .value = varve_bytes(large, 1100000), .timestamp_ms = 1};
    MUST(t->ops->begin(p, &err), err);
    cr_expect_eq(t->ops->produce(p, topic, 0, &record, 1, &err), VARVE_TOO_LARGE);
    MUST(t->ops->abort(p, TIMEOUT_MS, &err), err);
    free(large);
    write_pair(t, p, topic, "next", "2", true);
    t->ops->producer_close(p);
}

Test(kafka_transport, a_record_that_the_broker_finds_too_large, .fini = tear_down) {
    connect_with("compression.codec", "none");
    const varve_kafka_setting configs[] = {{"cleanup.policy", "compact"}, {"max.message.bytes", "2000"}};
    const vcl_topic_spec spec = {.partitions = 1, .replication = -1, .configs = configs, .config_count = 2};
    MUST(t->ops->create_topic(t, topic, &spec, TIMEOUT_MS, &err), err);
    vcl_producer *p = open_producer(t, id);
    char *large = calloc(1, 5000);
    vcl_record record = {.key = varve_str("large"), .value = varve_bytes(large, 5000), .timestamp_ms = 1};
    MUST(t->ops->begin(p, &err), err);
    MUST(t->ops->produce(p, topic, 0, &record, 1, &err), err);
    cr_expect_eq(t->ops->commit(p, TIMEOUT_MS, NULL, &err), VARVE_TOO_LARGE, "%s", err.message);
    cr_expect_eq(err.flags, 0);
    MUST(t->ops->abort(p, TIMEOUT_MS, &err), err);
    free(large);
    /* The refused batch has used up sequence numbers, so the next transaction fails once more, and its abort sets that right. */
    record = record_of("next", "2", NULL);
    varve_status st = VARVE_KAFKA;
    for (int i = 0; i < 2 && st != VARVE_OK; i++) {
        MUST(t->ops->begin(p, &err), err);
        MUST(t->ops->produce(p, topic, 0, &record, 1, &err), err);
        st = t->ops->commit(p, TIMEOUT_MS, NULL, &err);
        if (st == VARVE_OK) break;
        cr_expect_eq(err.flags, 0, "%s", err.message);
        MUST(t->ops->abort(p, TIMEOUT_MS, &err), err);
    }
    MUST(st, err);
    char *content = read_all(t, topic, 0);
    cr_expect_not_null(strstr(content, "next=2"), "%s", content);
    cr_expect_null(strstr(content, "large"));
    free(content);
    t->ops->producer_close(p);
}

Test(kafka_transport, offsets_that_are_not_there_are_told, .init = set_up, .fini = tear_down) {
    vcl_producer *p = open_producer(t, id);
    vcl_consumer *c;
    const vcl_record *records;
    size_t count;
    varve_status st = VARVE_OK;
    write_pair(t, p, topic, "a", "1", true);
    MUST(t->ops->consumer_open(t, topic, 0, 100, &c, &err), err);
    for (int i = 0; i < 50 && st == VARVE_OK; i++) st = t->ops->poll(c, 100, &records, &count, &err);
    cr_expect_eq(st, VARVE_MISSING);
    cr_expect_not_null(strstr(err.message, "offset 100 was asked for, the log holds 0 to 2"), "%s", err.message);
    t->ops->consumer_close(c);
    t->ops->producer_close(p);
}

/* --- Rates ------------------------------------------------------------------------------------------------------- */

enum { GROUP = 100000, GROUPS = 10, KEY_BYTES = 16, VALUE_BYTES = 100 };

/* Half of each value repeats, as values do. */
static vcl_record *make_group(char **memory) {
    uint64_t random = 1;
    vcl_record *records = calloc(GROUP, sizeof *records);
    *memory = malloc((size_t)GROUP * (KEY_BYTES + VALUE_BYTES));
    for (size_t i = 0; i < GROUP; i++) {
        char *key = *memory + i * (KEY_BYTES + VALUE_BYTES), *value = key + KEY_BYTES;
        snprintf(key, KEY_BYTES, "%015zu", i);
        for (size_t b = 0; b < VALUE_BYTES; b++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            value[b] = b < VALUE_BYTES / 2 ? (char)(random >> 56) : 'x';
        }
        records[i] = (vcl_record){.key = varve_bytes(key, KEY_BYTES), .value = varve_bytes(value, VALUE_BYTES), .timestamp_ms = 1};
    }
    records[GROUP - 1].mark = varve_str("0123456789abcdef");
    return records;
}

Test(kafka_transport, rates_of_producing_and_consuming, .init = set_up, .fini = tear_down) {
    char *memory;
    vcl_record *records = make_group(&memory);
    vcl_producer *p = open_producer(t, id);
    int64_t next = 0, since = vcl_rdkafka_now_ms();
    for (int g = 0; g < GROUPS; g++) {
        MUST(t->ops->begin(p, &err), err);
        MUST(t->ops->produce(p, topic, 0, records, GROUP, &err), err);
        MUST(t->ops->commit(p, TIMEOUT_MS, &next, &err), err);
        cr_assert_eq(next, (int64_t)(GROUP + 1) * (g + 1) - 1);
    }
    int64_t took_ms = vcl_rdkafka_now_ms() - since;
    fprintf(stderr, "produce and commit, groups of %d: %lld records a second\n", GROUP,
            (long long)GROUP * GROUPS * 1000 / (took_ms + 1));
    t->ops->producer_close(p);
    vcl_consumer *c;
    const vcl_record *found;
    size_t count, total = 0, marks = 0;
    int64_t end = offsets_of(t, topic).end;
    since = vcl_rdkafka_now_ms();
    MUST(t->ops->consumer_open(t, topic, 0, 0, &c, &err), err);
    while (t->ops->position(c) < end) {
        MUST(t->ops->poll(c, 50, &found, &count, &err), err);
        for (size_t i = 0; i < count; i++) marks += found[i].mark.data != NULL;
        total += count;
    }
    took_ms = vcl_rdkafka_now_ms() - since;
    fprintf(stderr, "consume: %lld records a second\n", (long long)total * 1000 / (took_ms + 1));
    cr_expect_eq(total, (size_t)GROUP * GROUPS);
    cr_expect_eq(marks, GROUPS);
    t->ops->consumer_close(c);
    free(records);
    free(memory);
}
