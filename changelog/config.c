/*
 * changelog/config.c - checks the options of a changelog and fills in the defaults.
 */
#include "config.h"

#include <stdio.h>

#include "report.h"

/* Takes a value of an option whose 0 means default. */
static varve_status take(uint64_t given, uint64_t least, uint64_t most, uint64_t standard, const char *name, uint64_t *out,
                         varve_error *err) {
    uint64_t value = given ? given : standard;
    if (value < least || value > most) {
        return vcl_fail(err, VARVE_INVALID, 0, "option %s is %llu, allowed is %llu to %llu", name, (unsigned long long)given,
                        (unsigned long long)least, (unsigned long long)most);
    }
    *out = value;
    return VARVE_OK;
}

static bool topic_name_is_valid(const char *name, size_t size) {
    if (size == 0 || size > VCL_TOPIC_BYTES_MAX || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) return false;
    for (size_t i = 0; i < size; i++) {
        char c = name[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && c != '.' && c != '_' && c != '-') return false;
    }
    return true;
}

static varve_status take_names(const varve_changelog_options *options, vcl_config *config, varve_error *err) {
    if (!options->brokers || !*options->brokers) {
        return vcl_fail(err, VARVE_INVALID, 0, "option brokers is missing: \"host:port,...\" is needed");
    }
    size_t topic_bytes = options->topic ? strnlen(options->topic, VCL_TOPIC_BYTES_MAX + 1) : 0;
    if (!topic_name_is_valid(options->topic ? options->topic : "", topic_bytes)) {
        return vcl_fail(err, VARVE_INVALID, 0, "option topic is \"%.60s\", allowed are 1 to %u letters, digits, '.', '_' and '-'",
                        options->topic ? options->topic : "", VCL_TOPIC_BYTES_MAX);
    }
    memcpy(config->topic, options->topic, topic_bytes + 1);
    snprintf(config->brokers, sizeof config->brokers, "%s", options->brokers);
    int size = options->transactional_id
                   ? snprintf(config->transactional_id, sizeof config->transactional_id, "%s", options->transactional_id)
                   : snprintf(config->transactional_id, sizeof config->transactional_id, "varve-%s-%d", options->topic,
                              options->partition);
    if (size <= 0 || size > (int)VCL_TRANSACTIONAL_ID_BYTES_MAX) {
        return vcl_fail(err, VARVE_INVALID, 0, "option transactional_id has %d bytes, allowed is 1 to %u", size,
                        VCL_TRANSACTIONAL_ID_BYTES_MAX);
    }
    return VARVE_OK;
}

static varve_status take_topology(const varve_changelog_options *options, vcl_config *config, varve_error *err) {
    if (options->partition < 0 || options->partition >= VCL_PARTITION_MAX) {
        return vcl_fail(err, VARVE_INVALID, 0, "option partition is %d, allowed is 0 to %d", options->partition,
                        VCL_PARTITION_MAX - 1);
    }
    if (options->partitions < 0 || options->partitions > VCL_PARTITION_MAX ||
        (options->partitions > 0 && options->partition >= options->partitions)) {
        return vcl_fail(err, VARVE_INVALID, 0, "option partitions is %d, allowed is 0, and partition + 1 = %d to %d",
                        options->partitions, options->partition + 1, VCL_PARTITION_MAX);
    }
    if (options->replication < 0 || options->replication > INT16_MAX) {
        return vcl_fail(err, VARVE_INVALID, 0, "option replication is %d, allowed is 0 to %d", options->replication, INT16_MAX);
    }
    config->partition = options->partition;
    config->partitions = options->partitions;
    config->replication = options->replication;
    config->must_exist = options->must_exist;
    return VARVE_OK;
}

static varve_status take_limits(const varve_changelog_options *options, vcl_config *config, varve_error *err) {
    uint64_t interval = 0, timeout = 0;
    varve_status status = take(options->commit_interval_ms, 1, VCL_COMMIT_INTERVAL_MS_MAX, VCL_COMMIT_INTERVAL_MS_DEFAULT,
                               "commit_interval_ms (ms)", &interval, err);
    if (status != VARVE_OK) return status;
    status = take(options->timeout_ms, 1, VCL_TIMEOUT_MS_MAX, VCL_TIMEOUT_MS_DEFAULT, "timeout_ms (ms)", &timeout, err);
    if (status != VARVE_OK) return status;
    config->commit_interval_ms = (uint32_t)interval;
    config->timeout_ms = (uint32_t)timeout;
    return take(options->group_bytes_max, VCL_GROUP_BYTES_MIN, VCL_GROUP_BYTES_MAX, VCL_GROUP_BYTES_DEFAULT,
                "group_bytes_max (bytes)", &config->group_bytes_max, err);
}

varve_status vcl_config_make(const varve_changelog_options *options, vcl_config *config, varve_error *err) {
    if (!options) return vcl_fail(err, VARVE_INVALID, 0, "options is NULL: brokers and topic are needed");
    if (options->size != sizeof *options) {
        return vcl_fail(err, VARVE_INVALID, 0, "options.size is %zu, allowed is %zu: sizeof(varve_changelog_options)",
                        options->size, sizeof *options);
    }
    if (options->settings_count > 0 && !options->settings) {
        return vcl_fail(err, VARVE_INVALID, 0, "option settings is NULL, settings_count is %zu", options->settings_count);
    }
    vcl_config made = {.progress = options->progress,
                       .progress_context = options->progress_context,
                       .diag = options->diag,
                       .diag_context = options->diag_context};
    varve_status status = take_names(options, &made, err);
    if (status == VARVE_OK) status = take_topology(options, &made, err);
    if (status == VARVE_OK) status = take_limits(options, &made, err);
    if (status == VARVE_OK) *config = made;
    return status;
}
