/*
 * rdkafka_topic.c - questions about a topic: does it exist, how is it configured, which offsets does it hold.
 *
 * A cluster that names no controller has no admin requests (librdkafka's mock cluster): what they would tell stays unknown.
 * Offsets come from two handles, because librdkafka asks with the isolation level of the handle: the end with open
 * transactions from one, without from the other. The latter is asked first: both only grow, so stable_end <= end.
 */
#include "rdkafka_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ADMIN_TIMEOUT_MS 10000 /* for an admin request after the metadata has answered */

int64_t vcl_rdkafka_now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int vcl_rdkafka_left_ms(int64_t deadline_ms) {
    int64_t left = deadline_ms - vcl_rdkafka_now_ms();
    if (left > INT32_MAX) return INT32_MAX;
    return left < 1 ? 1 : (int)left;
}

void vcl_rdkafka_pause_ms(long ms) {
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

varve_status vcl_rdkafka_control(vcl_rdkafka *t, vcl_rdkafka_role role, rd_kafka_t **rk, varve_error *err) {
    rd_kafka_t **slot = role == VCL_RDKAFKA_STABLE ? &t->stable : &t->control;
    varve_status st = VARVE_OK;
    pthread_mutex_lock(&t->lock);
    if (!*slot) st = vcl_rdkafka_new(t, role, NULL, &t->client, slot, err);
    *rk = *slot;
    pthread_mutex_unlock(&t->lock);
    return st;
}

/* --- Metadata ------------------------------------------------------------------------------------------------------ */

static bool has_controller(rd_kafka_t *rk, const struct rd_kafka_metadata *metadata) {
    int32_t controller = rd_kafka_controllerid(rk, 0); /* as of the same answer */
    for (int i = 0; i < metadata->broker_cnt; i++) {
        if (metadata->brokers[i].id == controller) return true;
    }
    return false;
}

varve_status vcl_rdkafka_metadata(vcl_rdkafka *t, rd_kafka_t *rk, const char *topic, int timeout_ms,
                                  vcl_rdkafka_metadata_answer *answer, varve_error *err) {
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_topic_t *handle = rd_kafka_topic_new(rk, topic, NULL);
    if (!handle) return vcl_rdkafka_fail(t, err, rd_kafka_last_error(), NULL, "topic %s", topic);
    rd_kafka_resp_err_t code = rd_kafka_metadata(rk, 0, handle, &metadata, timeout_ms);
    rd_kafka_topic_destroy(handle);
    if (code) return vcl_rdkafka_fail(t, err, code, NULL, "asking for topic %s", topic);
    *answer =
        (vcl_rdkafka_metadata_answer){.error = RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, .admin = has_controller(rk, metadata)};
    for (int i = 0; i < metadata->topic_cnt; i++) {
        const struct rd_kafka_metadata_topic *found = &metadata->topics[i];
        if (strcmp(found->topic, topic) != 0) continue;
        answer->error = found->err;
        answer->partitions = found->partition_cnt;
        for (int p = 0; p < found->partition_cnt; p++) {
            if (found->partitions[p].leader >= 0) answer->leaders++;
            if (found->partitions[p].replica_cnt > answer->replication) answer->replication = found->partitions[p].replica_cnt;
        }
    }
    rd_kafka_metadata_destroy(metadata);
    return VARVE_OK;
}

/* --- Admin requests ------------------------------------------------------------------------------------------------ */

rd_kafka_event_t *vcl_rdkafka_await(vcl_rdkafka *t, rd_kafka_queue_t *queue, int timeout_ms, const char *what, varve_error *err) {
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, timeout_ms);
    if (!event) {
        vcl_rdkafka_fail(t, err, RD_KAFKA_RESP_ERR__TIMED_OUT, NULL, "%s", what);
        return NULL;
    }
    if (rd_kafka_event_error(event)) {
        vcl_rdkafka_fail(t, err, rd_kafka_event_error(event), rd_kafka_event_error_string(event), "%s", what);
        rd_kafka_event_destroy(event);
        return NULL;
    }
    return event;
}

static int64_t number(const char *value) {
    char *end;
    long long parsed = strtoll(value, &end, 10);
    return end != value && *end == '\0' ? parsed : INT64_MIN;
}

static void take_config(vcl_topic_info *info, const char *name, const char *value) {
    if (!name || !value) return;
    if (strcmp(name, "cleanup.policy") == 0) snprintf(info->cleanup_policy, sizeof info->cleanup_policy, "%s", value);
    if (strcmp(name, "delete.retention.ms") == 0) info->delete_retention_ms = number(value);
    if (strcmp(name, "min.insync.replicas") == 0) info->min_insync_replicas = number(value);
    if (strcmp(name, "max.message.bytes") == 0) info->max_message_bytes = number(value);
    if (strcmp(name, "retention.ms") == 0) info->retention_ms = number(value);
    if (strcmp(name, "retention.bytes") == 0) info->retention_bytes = number(value);
}

/* Not being allowed to see the configuration leaves it unknown; anything else that goes wrong is an error. */
static varve_status take_configs(vcl_rdkafka *t, const char *topic, rd_kafka_event_t *event, vcl_topic_info *info,
                                 varve_error *err) {
    size_t resources = 0, entries = 0;
    const rd_kafka_ConfigResource_t **resource =
        rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(event), &resources);
    if (resources != 1) return vcl_rdkafka_set(err, VARVE_KAFKA, 0, "topic %s: %zu configurations in one answer", topic, resources);
    rd_kafka_resp_err_t code = rd_kafka_ConfigResource_error(resource[0]);
    if (code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED || code == RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED) {
        vcl_rdkafka_diag(t, "topic %s: not allowed to see its configuration, which is not checked therefore", topic);
        return VARVE_OK;
    }
    if (code) {
        return vcl_rdkafka_fail(t, err, code, rd_kafka_ConfigResource_error_string(resource[0]), "configuration of topic %s",
                                topic);
    }
    const rd_kafka_ConfigEntry_t **entry = rd_kafka_ConfigResource_configs(resource[0], &entries);
    for (size_t i = 0; i < entries; i++)
        take_config(info, rd_kafka_ConfigEntry_name(entry[i]), rd_kafka_ConfigEntry_value(entry[i]));
    return VARVE_OK;
}

static varve_status describe_configs(vcl_rdkafka *t, rd_kafka_t *rk, const char *topic, int timeout_ms, vcl_topic_info *info,
                                     varve_error *err) {
    char message[200];
    varve_status st = VARVE_OK;
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(rk, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
    rd_kafka_ConfigResource_t *resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic);
    rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, message, sizeof message);
    rd_kafka_DescribeConfigs(rk, &resource, 1, options, queue);
    rd_kafka_event_t *event = vcl_rdkafka_await(t, queue, timeout_ms + 1000, "asking for a topic's configuration", err);
    if (event) {
        st = take_configs(t, topic, event, info, err);
        rd_kafka_event_destroy(event);
    } else {
        st = err ? err->code : VARVE_KAFKA;
    }
    rd_kafka_ConfigResource_destroy(resource);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(queue);
    return st;
}

#if RD_KAFKA_VERSION >= 0x020300ff
static void put_bits(uint8_t *to, int64_t bits) {
    for (int i = 0; i < 8; i++) to[i] = (uint8_t)((uint64_t)bits >> (56 - 8 * i));
}

/* Brokers before Kafka 2.8 have no topic ids, which leaves zeros; so does an error here, since the topic is known to exist. */
static void describe_id(vcl_rdkafka *t, rd_kafka_t *rk, const char *topic, int timeout_ms, vcl_topic_info *info) {
    char message[200];
    size_t count = 0;
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(rk, RD_KAFKA_ADMIN_OP_DESCRIBETOPICS);
    rd_kafka_TopicCollection_t *topics = rd_kafka_TopicCollection_of_topic_names(&topic, 1);
    rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, message, sizeof message);
    rd_kafka_DescribeTopics(rk, topics, options, queue);
    rd_kafka_event_t *event = vcl_rdkafka_await(t, queue, timeout_ms + 1000, "asking for a topic's id", NULL);
    if (event) {
        const rd_kafka_TopicDescription_t **found =
            rd_kafka_DescribeTopics_result_topics(rd_kafka_event_DescribeTopics_result(event), &count);
        const rd_kafka_Uuid_t *id = count == 1 ? rd_kafka_TopicDescription_topic_id(found[0]) : NULL;
        if (id) {
            put_bits(info->id, rd_kafka_Uuid_most_significant_bits(id));
            put_bits(info->id + 8, rd_kafka_Uuid_least_significant_bits(id));
        }
        rd_kafka_event_destroy(event);
    }
    rd_kafka_TopicCollection_destroy(topics);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(queue);
}
#else
static void describe_id(vcl_rdkafka *t, rd_kafka_t *rk, const char *topic, int timeout_ms, vcl_topic_info *info) {
    (void)t, (void)rk, (void)topic, (void)timeout_ms, (void)info;
}
#endif

varve_status vcl_rdkafka_describe_topic(vcl_transport *transport, const char *topic, uint32_t timeout_ms, vcl_topic_info *info,
                                        varve_error *err) {
    vcl_rdkafka *t = (vcl_rdkafka *)transport;
    int64_t deadline = vcl_rdkafka_now_ms() + timeout_ms;
    varve_error local;
    rd_kafka_t *rk;
    vcl_rdkafka_metadata_answer answer;
    vcl_topic_info found = {.delete_retention_ms = INT64_MIN,
                            .min_insync_replicas = INT64_MIN,
                            .max_message_bytes = INT64_MIN,
                            .retention_ms = INT64_MIN,
                            .retention_bytes = INT64_MIN};
    if (!err) err = &local;
    varve_status st = vcl_rdkafka_control(t, VCL_RDKAFKA_CONTROL, &rk, err);
    if (st != VARVE_OK) return st;
    st = vcl_rdkafka_metadata(t, rk, topic, vcl_rdkafka_left_ms(deadline), &answer, err);
    if (st != VARVE_OK) return st;
    if (answer.error == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) {
        *info = found;
        return VARVE_OK;
    }
    if (answer.error && answer.error != RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE) {
        return vcl_rdkafka_fail(t, err, answer.error, NULL, "asking for topic %s", topic);
    }
    found.partitions = answer.partitions;
    found.replication = answer.replication;
    found.exists = true;
    if (answer.admin) {
        int left = vcl_rdkafka_left_ms(deadline);
        st = describe_configs(t, rk, topic, left < ADMIN_TIMEOUT_MS ? left : ADMIN_TIMEOUT_MS, &found, err);
        if (st != VARVE_OK) return st;
        left = vcl_rdkafka_left_ms(deadline);
        describe_id(t, rk, topic, left < ADMIN_TIMEOUT_MS ? left : ADMIN_TIMEOUT_MS, &found);
    }
    *info = found;
    return VARVE_OK;
}

/* --- Offsets ------------------------------------------------------------------------------------------------------- */

varve_status vcl_rdkafka_offsets(vcl_transport *transport, const char *topic, int32_t partition, uint32_t timeout_ms,
                                 vcl_offsets *offsets, varve_error *err) {
    vcl_rdkafka *t = (vcl_rdkafka *)transport;
    int64_t deadline = vcl_rdkafka_now_ms() + timeout_ms;
    rd_kafka_t *stable, *control;
    rd_kafka_resp_err_t code;
    vcl_rdkafka_metadata_answer answer;
    vcl_offsets found = {0};
    varve_status st = vcl_rdkafka_control(t, VCL_RDKAFKA_STABLE, &stable, err);
    if (st == VARVE_OK) st = vcl_rdkafka_control(t, VCL_RDKAFKA_CONTROL, &control, err);
    if (st != VARVE_OK) return st;
    /* Asked about a topic that is not there, librdkafka would wait for the whole timeout for it to appear. */
    st = vcl_rdkafka_metadata(t, stable, topic, vcl_rdkafka_left_ms(deadline), &answer, err);
    if (st != VARVE_OK) return st;
    if (answer.error && answer.error != RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE) {
        return vcl_rdkafka_fail(t, err, answer.error, NULL, "offsets of topic %s", topic);
    }
    if (partition < 0 || partition >= answer.partitions) {
        return vcl_rdkafka_fail(t, err, RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION, NULL, "topic %s has %d partitions; partition %d",
                                topic, (int)answer.partitions, (int)partition);
    }
    code =
        rd_kafka_query_watermark_offsets(stable, topic, partition, &found.start, &found.stable_end, vcl_rdkafka_left_ms(deadline));
    if (!code)
        code = rd_kafka_query_watermark_offsets(control, topic, partition, &found.start, &found.end, vcl_rdkafka_left_ms(deadline));
    if (code) return vcl_rdkafka_fail(t, err, code, NULL, "offsets of topic %s partition %d", topic, (int)partition);
    *offsets = found;
    return VARVE_OK;
}
