/*
 * rdkafka_consumer.c - reads one partition over librdkafka, by its simple consumer: no group, no coordinator, no stored offset.
 *
 * A poll takes what is there; only when there is nothing it waits, in slices, so that a position moved by control records alone
 * is noticed. Messages stay librdkafka's until the next poll; records point into them.
 *
 * Thread rule: one thread at a time, which is also the one that serves the error callback.
 */
#include "rdkafka_state.h"

#include <stdlib.h>
#include <string.h>

#define BATCH_MESSAGES 10000
#define SLICE_MS 10
#define CHECK_EVERY_MS 5000 /* while nothing comes: is the topic there? librdkafka itself may wait for it for ever */
#define CHECK_MS 1000       /* what that may take */

struct vcl_consumer {
    vcl_rdkafka *transport;
    vcl_rdkafka_client client;
    rd_kafka_t *rk;
    rd_kafka_topic_t *topic;
    rd_kafka_queue_t *queue;
    rd_kafka_topic_partition_list_t *place; /* the one partition, for rd_kafka_position() */
    int32_t partition;
    bool started;
    int64_t start_offset;
    int64_t check_at_ms; /* when to look at the topic next, if nothing comes */
    varve_error dead;    /* code VARVE_OK: it lives */
    rd_kafka_message_t **messages;
    size_t message_count;
    vcl_record *records;
};

static void release_messages(vcl_consumer *c) {
    for (size_t i = 0; i < c->message_count; i++) rd_kafka_message_destroy(c->messages[i]);
    c->message_count = 0;
}

void vcl_rdkafka_consumer_close(vcl_consumer *c) {
    if (!c) return;
    release_messages(c);
    if (c->started) rd_kafka_consume_stop(c->topic, c->partition);
    if (c->queue) rd_kafka_queue_destroy(c->queue);
    if (c->topic) rd_kafka_topic_destroy(c->topic);
    if (c->place) rd_kafka_topic_partition_list_destroy(c->place);
    if (c->rk) rd_kafka_destroy(c->rk);
    free(c->messages);
    free(c->records);
    free(c);
}

varve_status vcl_rdkafka_consumer_open(vcl_transport *transport, const char *topic, int32_t partition, int64_t offset,
                                       vcl_consumer **consumer, varve_error *err) {
    vcl_rdkafka *t = (vcl_rdkafka *)transport;
    varve_status st = VARVE_NOMEM;
    vcl_consumer *c = calloc(1, sizeof *c);
    if (!c) goto out;
    c->transport = t;
    c->client.transport = t;
    c->partition = partition;
    c->start_offset = offset;
    c->messages = malloc(BATCH_MESSAGES * sizeof *c->messages);
    c->records = malloc(BATCH_MESSAGES * sizeof *c->records);
    if (!c->messages || !c->records) goto out;
    st = vcl_rdkafka_new(t, VCL_RDKAFKA_CONSUMER, NULL, &c->client, &c->rk, err);
    if (st != VARVE_OK) goto out;
    c->topic = rd_kafka_topic_new(c->rk, topic, NULL);
    c->queue = rd_kafka_queue_new(c->rk);
    c->place = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(c->place, topic, partition);
    if (!c->topic || rd_kafka_consume_start_queue(c->topic, partition, offset, c->queue) != 0) {
        st = vcl_rdkafka_fail(t, err, rd_kafka_last_error(), NULL, "reading topic %s partition %d", topic, (int)partition);
        goto out;
    }
    c->started = true;
out:
    if (st != VARVE_OK) {
        if (st == VARVE_NOMEM) vcl_rdkafka_set(err, st, 0, "out of memory for a consumer");
        vcl_rdkafka_consumer_close(c);
        return st;
    }
    *consumer = c;
    return VARVE_OK;
}

int64_t vcl_rdkafka_consumer_position(vcl_consumer *c) {
    rd_kafka_topic_partition_t *place = &c->place->elems[0];
    place->offset = RD_KAFKA_OFFSET_INVALID;
    if (rd_kafka_position(c->rk, c->place) || place->offset < c->start_offset) return c->start_offset;
    return place->offset;
}

/* --- Poll ---------------------------------------------------------------------------------------------------------- */

/* The first header of our name; the message has at least one header. */
static varve_slice find_mark(const rd_kafka_headers_t *headers) {
    const void *value = NULL;
    size_t size = 0;
    if (rd_kafka_header_get(headers, 0, VCL_MARK_HEADER, &value, &size)) return varve_bytes(NULL, 0);
    return varve_bytes(value ? value : "", size);
}

static void fill_record(const rd_kafka_message_t *message, vcl_record *record) {
    rd_kafka_headers_t *headers;
    *record = (vcl_record){
        .key = varve_bytes(message->key, message->key_len),
        .value = varve_bytes(message->payload, message->len),
        .tombstone = message->payload == NULL,
        .timestamp_ms = rd_kafka_message_timestamp(message, NULL),
        .offset = message->offset,
    };
    /* Answers at once for a message without headers, and parses those it has. */
    if (!rd_kafka_message_headers(message, &headers)) record->mark = find_mark(headers);
}

/* The partition can no longer be read on: keeps why. */
static varve_status die(vcl_consumer *c, const rd_kafka_message_t *message, varve_error *err) {
    varve_status status;
    uint32_t flags;
    int64_t start = -1, end = -1;
    const char *topic = rd_kafka_topic_name(c->topic);
    vcl_rdkafka_classify(message->err, &status, &flags);
    if (message->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET || message->err == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE) {
        rd_kafka_query_watermark_offsets(c->rk, topic, c->partition, &start, &end, 1000);
        vcl_rdkafka_set(&c->dead, status, flags, "topic %s partition %d: offset %lld was asked for, the log holds %lld to %lld",
                        topic, (int)c->partition, (long long)message->offset, (long long)start, (long long)end);
    } else {
        vcl_rdkafka_fail(c->transport, &c->dead, message->err, rd_kafka_message_errstr(message),
                         "topic %s partition %d offset %lld", topic, (int)c->partition, (long long)message->offset);
    }
    if (err) *err = c->dead;
    return c->dead.code;
}

/* Trouble that librdkafka deals with by itself is not told. */
static bool is_passing(rd_kafka_resp_err_t code) {
    varve_status status;
    uint32_t flags;
    vcl_rdkafka_classify(code, &status, &flags);
    return (flags & VARVE_ERROR_RETRIABLE) != 0 || code == RD_KAFKA_RESP_ERR__PARTITION_EOF;
}

/* Turns messages into records. One that is an error ends them: it is told when those before it have been. */
static varve_status convert(vcl_consumer *c, size_t *count, varve_error *err) {
    size_t found = 0;
    for (size_t i = 0; i < c->message_count; i++) {
        const rd_kafka_message_t *message = c->messages[i];
        if (!message->err) {
            fill_record(message, &c->records[found++]);
        } else if (!is_passing(message->err)) {
            varve_status st = die(c, message, err);
            if (found == 0) return st;
            break;
        }
    }
    *count = found;
    return VARVE_OK;
}

/* What is in the queue now; or else what comes within timeout_ms, one message and all that came with it. */
static void fetch(vcl_consumer *c, int timeout_ms) {
    release_messages(c);
    ssize_t got = rd_kafka_consume_batch_queue(c->queue, 0, c->messages, BATCH_MESSAGES);
    if (got > 0) c->message_count = (size_t)got;
    if (got != 0 || timeout_ms <= 0) return;
    rd_kafka_message_t *first = rd_kafka_consume_queue(c->queue, timeout_ms);
    if (!first) return;
    c->messages[0] = first;
    got = rd_kafka_consume_batch_queue(c->queue, 0, c->messages + 1, BATCH_MESSAGES - 1);
    c->message_count = 1 + (got > 0 ? (size_t)got : 0);
}

/* Nothing comes: finds out whether that is because there is nothing to come from. */
static varve_status check_topic(vcl_consumer *c, varve_error *err) {
    const char *topic = rd_kafka_topic_name(c->topic);
    rd_kafka_t *rk;
    vcl_rdkafka_metadata_answer answer;
    varve_status st = vcl_rdkafka_control(c->transport, VCL_RDKAFKA_CONTROL, &rk, err);
    if (st != VARVE_OK) return st;
    st = vcl_rdkafka_metadata(c->transport, rk, topic, CHECK_MS, &answer, err);
    if (st != VARVE_OK) return st;
    c->check_at_ms = vcl_rdkafka_now_ms() + CHECK_EVERY_MS;
    if (answer.error) return vcl_rdkafka_fail(c->transport, err, answer.error, NULL, "reading topic %s", topic);
    if (c->partition >= 0 && c->partition < answer.partitions) return VARVE_OK;
    return vcl_rdkafka_set(err, VARVE_MISSING, 0, "topic %s has %d partitions; there is no partition %d", topic,
                           (int)answer.partitions, (int)c->partition);
}

varve_status vcl_rdkafka_consumer_poll(vcl_consumer *c, uint32_t timeout_ms, const vcl_record **records, size_t *count,
                                       varve_error *err) {
    int64_t deadline = vcl_rdkafka_now_ms() + timeout_ms, before = vcl_rdkafka_consumer_position(c);
    size_t found = 0;
    bool late = timeout_ms == 0;
    if (c->dead.code != VARVE_OK) {
        if (err) *err = c->dead;
        return c->dead.code;
    }
    for (;;) {
        int left = late ? 0 : vcl_rdkafka_left_ms(deadline);
        fetch(c, left < SLICE_MS ? left : SLICE_MS);
        varve_status st = convert(c, &found, err);
        if (st != VARVE_OK) return st;
        rd_kafka_poll(c->rk, 0);
        if (found > 0 || late || vcl_rdkafka_consumer_position(c) > before) break;
        late = vcl_rdkafka_now_ms() >= deadline;
    }
    if (found > 0) c->check_at_ms = vcl_rdkafka_now_ms() + CHECK_EVERY_MS;
    if (found == 0 && (c->client.all_down || vcl_rdkafka_now_ms() >= c->check_at_ms)) {
        c->client.all_down = false;
        varve_status st = check_topic(c, err);
        if (st != VARVE_OK) return st;
    }
    *records = c->records;
    *count = found;
    return VARVE_OK;
}
