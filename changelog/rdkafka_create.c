/*
 * rdkafka_create.c - creating a topic, and waiting until it can be used: until every partition has a leader.
 *
 * A cluster without admin requests (librdkafka's mock cluster) creates a topic on being asked for it, without the settings.
 */
#include "rdkafka_state.h"

#include <stdlib.h>

static varve_status create_result(vcl_rdkafka *t, const char *topic, rd_kafka_event_t *event, varve_error *err) {
    size_t count = 0;
    const rd_kafka_topic_result_t **results =
        rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count);
    if (count != 1) return vcl_rdkafka_set(err, VARVE_KAFKA, 0, "topic %s: %zu results in one answer", topic, count);
    rd_kafka_resp_err_t code = rd_kafka_topic_result_error(results[0]);
    if (!code) return VARVE_OK;
    return vcl_rdkafka_fail(t, err, code, rd_kafka_topic_result_error_string(results[0]), "creating topic %s", topic);
}

static varve_status request(vcl_rdkafka *t, rd_kafka_t *rk, const char *topic, const vcl_topic_spec *spec, int timeout_ms,
                            varve_error *err) {
    char message[200];
    varve_status st = VARVE_OK;
    rd_kafka_queue_t *queue = NULL;
    rd_kafka_AdminOptions_t *options = NULL;
    rd_kafka_NewTopic_t *fresh = rd_kafka_NewTopic_new(topic, spec->partitions, spec->replication, message, sizeof message);
    if (!fresh) return vcl_rdkafka_set(err, VARVE_INVALID, 0, "creating topic %s: %s", topic, message);
    for (size_t i = 0; i < spec->config_count && st == VARVE_OK; i++) {
        rd_kafka_resp_err_t code = rd_kafka_NewTopic_set_config(fresh, spec->configs[i].name, spec->configs[i].value);
        if (code) st = vcl_rdkafka_fail(t, err, code, NULL, "creating topic %s: configuration %s", topic, spec->configs[i].name);
    }
    if (st != VARVE_OK) goto out;
    queue = rd_kafka_queue_new(rk);
    options = rd_kafka_AdminOptions_new(rk, RD_KAFKA_ADMIN_OP_CREATETOPICS);
    rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, message, sizeof message);
    rd_kafka_AdminOptions_set_operation_timeout(options, timeout_ms, message, sizeof message);
    rd_kafka_CreateTopics(rk, &fresh, 1, options, queue);
    rd_kafka_event_t *event = vcl_rdkafka_await(t, queue, timeout_ms + 1000, "creating a topic", err);
    if (event) {
        st = create_result(t, topic, event, err);
        rd_kafka_event_destroy(event);
    } else {
        st = err->code;
    }
out:
    if (options) rd_kafka_AdminOptions_destroy(options);
    if (queue) rd_kafka_queue_destroy(queue);
    rd_kafka_NewTopic_destroy(fresh);
    return st;
}

/* Asks until every partition has a leader. */
static varve_status await_leaders(vcl_rdkafka *t, rd_kafka_t *rk, const char *topic, int64_t deadline, varve_error *err) {
    for (;;) {
        vcl_rdkafka_metadata_answer answer;
        varve_status st = vcl_rdkafka_metadata(t, rk, topic, vcl_rdkafka_left_ms(deadline), &answer, err);
        if (st != VARVE_OK) return st;
        if (!answer.error && answer.partitions > 0 && answer.leaders == answer.partitions) return VARVE_OK;
        if (vcl_rdkafka_now_ms() >= deadline) {
            return vcl_rdkafka_fail(t, err, RD_KAFKA_RESP_ERR__TIMED_OUT, NULL,
                                    "topic %s was created, but %d of %d partitions have a leader", topic, (int)answer.leaders,
                                    (int)answer.partitions);
        }
        vcl_rdkafka_pause_ms(20);
    }
}

static varve_status create_by_asking(vcl_rdkafka *t, const char *topic, int64_t deadline, varve_error *err) {
    rd_kafka_t *rk = NULL;
    varve_status st = vcl_rdkafka_new(t, VCL_RDKAFKA_CREATOR, NULL, &t->client, &rk, err);
    if (st != VARVE_OK) return st;
    vcl_rdkafka_diag(t, "topic %s: the cluster has no admin requests, so it is created with the cluster's own settings", topic);
    st = await_leaders(t, rk, topic, deadline, err);
    rd_kafka_destroy(rk);
    return st;
}

varve_status vcl_rdkafka_create_topic(vcl_transport *transport, const char *topic, const vcl_topic_spec *spec, uint32_t timeout_ms,
                                      varve_error *err) {
    vcl_rdkafka *t = (vcl_rdkafka *)transport;
    int64_t deadline = vcl_rdkafka_now_ms() + timeout_ms;
    varve_error local;
    rd_kafka_t *rk;
    vcl_rdkafka_metadata_answer answer;
    if (!err) err = &local;
    varve_status st = vcl_rdkafka_control(t, VCL_RDKAFKA_CONTROL, &rk, err);
    if (st != VARVE_OK) return st;
    st = vcl_rdkafka_metadata(t, rk, topic, vcl_rdkafka_left_ms(deadline), &answer, err);
    if (st != VARVE_OK) return st;
    if (!answer.error) return vcl_rdkafka_set(err, VARVE_EXISTS, 0, "topic %s exists already", topic);
    if (!answer.admin) return create_by_asking(t, topic, deadline, err);
    st = request(t, rk, topic, spec, vcl_rdkafka_left_ms(deadline), err);
    if (st != VARVE_OK) return st;
    return await_leaders(t, rk, topic, deadline, err);
}
