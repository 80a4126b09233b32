/*
 * changelog/topic.c - creates the topic or checks that it can hold a changelog.
 */
#include "topic.h"
#include <stdio.h>

#include "report.h"

int64_t vcl_topic_delete_retention_ms(const vcl_topic_info *info) {
    return info->delete_retention_ms >= 0 ? info->delete_retention_ms : VCL_DELETE_RETENTION_MS_DEFAULT;
}

varve_status vcl_topic_describe(const vcl_link *link, vcl_topic_info *info, varve_error *err) {
    vcl_retry retry = vcl_retry_patient(link->config.timeout_ms);
    for (;;) {
        memset(info, 0, sizeof *info);
        varve_status status =
            link->transport->ops->describe_topic(link->transport, link->config.topic, link->config.timeout_ms, info, err);
        if (status == VARVE_OK) return VARVE_OK;
        if (status == VARVE_MISSING) {
            info->exists = false;
            return VARVE_OK;
        }
        if (!vcl_retriable(err) || !vcl_retry_again(&retry)) return status;
    }
}

varve_status vcl_topic_create(const vcl_link *link, vcl_topic_info *info, varve_error *err) {
    static const varve_kafka_setting configs[] = {{"cleanup.policy", "compact"},
                                                  {"message.timestamp.type", "CreateTime"},
                                                  {"compression.type", "producer"}};
    const vcl_config *config = &link->config;
    vcl_topic_spec spec = {.partitions = config->partitions ? config->partitions : config->partition + 1,
                           .replication = config->replication ? config->replication : -1,
                           .configs = configs,
                           .config_count = sizeof configs / sizeof configs[0]};
    vcl_retry retry = vcl_retry_patient(config->timeout_ms);
    for (;;) {
        varve_status status = link->transport->ops->create_topic(link->transport, config->topic, &spec, config->timeout_ms, err);
        if (status == VARVE_OK || status == VARVE_EXISTS) break;
        if (!vcl_retriable(err) || !vcl_retry_again(&retry)) return status;
    }
    varve_status status = vcl_topic_describe(link, info, err);
    if (status == VARVE_OK && !info->exists) {
        return vcl_fail(err, VARVE_KAFKA, VARVE_ERROR_RETRIABLE, "topic %s was created, but the broker does not show it yet",
                        config->topic);
    }
    if (status == VARVE_OK) vcl_link_say(link, "created with %d partitions", info->partitions);
    return status;
}

/* An error with the command that puts it right. */
static varve_status wrong(const vcl_config *config, const char *found, const char *why, const char *setting, varve_error *err) {
    return vcl_fail(err, VARVE_INVALID, 0,
                    "topic %.100s has %.63s: %s; kafka-configs.sh --bootstrap-server %.100s --alter --entity-type topics "
                    "--entity-name "
                    "%.100s --add-config %s",
                    config->topic, found, why, config->brokers, config->topic, setting);
}

static bool policy_has(const char *policy, const char *word) {
    size_t size = strlen(word);
    for (const char *at = policy; *at;) {
        at += strspn(at, " ,");
        size_t item = strcspn(at, " ,");
        if (item == size && memcmp(at, word, size) == 0) return true;
        at += item;
    }
    return false;
}

static varve_status check_policy(const vcl_config *config, const vcl_topic_info *info, varve_error *err) {
    if (!info->cleanup_policy[0]) return VARVE_OK;
    char found[sizeof info->cleanup_policy + 16];
    snprintf(found, sizeof found, "cleanup.policy=%.*s", (int)sizeof info->cleanup_policy - 1, info->cleanup_policy);
    if (!policy_has(info->cleanup_policy, "compact")) {
        return wrong(config, found, "a changelog is never complete without compact", "cleanup.policy=compact", err);
    }
    if (!policy_has(info->cleanup_policy, "delete")) return VARVE_OK;
    if (info->retention_ms == -1 && info->retention_bytes == -1) return VARVE_OK;
    return wrong(config, found, "with finite retention.ms or retention.bytes it drops keys that were written long ago",
                 "cleanup.policy=compact", err);
}

varve_status vcl_topic_check(const vcl_config *config, const vcl_topic_info *info, varve_error *err) {
    if (config->partition >= info->partitions) {
        return vcl_fail(err, VARVE_INVALID, 0,
                        "option partition is %d, topic %s has %d partitions: kafka-topics.sh --alter --topic %s "
                        "--partitions %d adds some",
                        config->partition, config->topic, info->partitions, config->topic, config->partition + 1);
    }
    if (config->partitions && config->partitions != info->partitions) {
        return vcl_fail(err, VARVE_INVALID, 0, "option partitions is %d, topic %s has %d", config->partitions, config->topic,
                        info->partitions);
    }
    if (config->replication && config->replication != info->replication) {
        return vcl_fail(err, VARVE_INVALID, 0, "option replication is %d, topic %s has %d: kafka-reassign-partitions.sh changes it",
                        config->replication, config->topic, info->replication);
    }
    return check_policy(config, info, err);
}
