/*
 * sim_transport.c - the simulated broker behind the changelog's transport: topics, offsets, and the table of functions.
 */
#include "sim_state.h"

#include <stdio.h>
#include <stdlib.h>

static vcl_sim *sim_of(vcl_transport *transport) {
    return ((vcl_sim_transport_handle *)transport)->sim;
}

static void transport_close(vcl_transport *transport) {
    free(transport);
}

static varve_status fail_down(varve_error *err) {
    return vcl_sim_fail(err, VARVE_KAFKA, VARVE_ERROR_RETRIABLE, "the simulated broker is down");
}

static void fill_info(const vcl_sim_topic *topic, vcl_topic_info *info) {
    *info = (vcl_topic_info){
        .exists = true,
        .partitions = topic->partition_count,
        .replication = topic->replication,
        .delete_retention_ms = vcl_sim_config_number(topic, "delete.retention.ms"),
        .min_insync_replicas = vcl_sim_config_number(topic, "min.insync.replicas"),
        .max_message_bytes = vcl_sim_config_number(topic, "max.message.bytes"),
        .retention_ms = vcl_sim_config_number(topic, "retention.ms"),
        .retention_bytes = vcl_sim_config_number(topic, "retention.bytes"),
    };
    memcpy(info->id, topic->id, sizeof info->id);
    snprintf(info->cleanup_policy, sizeof info->cleanup_policy, "%s", vcl_sim_config_get(topic, "cleanup.policy"));
}

static varve_status describe_topic(vcl_transport *transport, const char *name, uint32_t timeout_ms, vcl_topic_info *info,
                                   varve_error *err) {
    vcl_sim *sim = sim_of(transport);
    varve_status st = VARVE_OK;
    (void)timeout_ms;
    pthread_mutex_lock(&sim->lock);
    const vcl_sim_topic *topic = vcl_sim_find_topic(sim, name);
    if (sim->down) {
        st = fail_down(err);
    } else if (topic) {
        fill_info(topic, info);
    } else {
        *info = (vcl_topic_info){.exists = false};
    }
    pthread_mutex_unlock(&sim->lock);
    return st;
}

static varve_status create_topic(vcl_transport *transport, const char *name, const vcl_topic_spec *spec, uint32_t timeout_ms,
                                 varve_error *err) {
    vcl_sim *sim = sim_of(transport);
    (void)timeout_ms;
    pthread_mutex_lock(&sim->lock);
    varve_status st = sim->down ? fail_down(err) : vcl_sim_topic_create(sim, name, spec, err);
    pthread_mutex_unlock(&sim->lock);
    return st;
}

static varve_status offsets(vcl_transport *transport, const char *topic, int32_t partition, uint32_t timeout_ms,
                            vcl_offsets *result, varve_error *err) {
    vcl_sim *sim = sim_of(transport);
    varve_status st = VARVE_OK;
    (void)timeout_ms;
    pthread_mutex_lock(&sim->lock);
    int met = vcl_sim_next_fault(sim, VCL_SIM_OFFSETS);
    const vcl_sim_partition *p = vcl_sim_find_partition(sim, topic, partition);
    if (sim->down) {
        st = fail_down(err);
    } else if (met == VCL_SIM_FATAL) {
        st = vcl_sim_fail(err, VARVE_KAFKA, 0, "simulated fault: refused");
    } else if (met != VCL_SIM_NO_FAULT) {
        st = vcl_sim_fail(err, VARVE_KAFKA, VARVE_ERROR_RETRIABLE, "simulated fault: retriable");
    } else if (!p) {
        st = vcl_sim_fail(err, VARVE_MISSING, 0, "there is no partition %d of topic %s", (int)partition, topic);
    } else {
        *result = (vcl_offsets){.start = p->start, .end = p->end, .stable_end = vcl_sim_partition_stable_end(p)};
    }
    pthread_mutex_unlock(&sim->lock);
    return st;
}

static const vcl_transport_ops sim_ops = {
    .close = transport_close,
    .describe_topic = describe_topic,
    .create_topic = create_topic,
    .offsets = offsets,
    .producer_open = vcl_sim_producer_open,
    .producer_close = vcl_sim_producer_close,
    .begin = vcl_sim_producer_begin,
    .produce = vcl_sim_producer_produce,
    .commit = vcl_sim_producer_commit,
    .abort = vcl_sim_producer_abort,
    .consumer_open = vcl_sim_consumer_open,
    .consumer_close = vcl_sim_consumer_close,
    .poll = vcl_sim_consumer_poll,
    .position = vcl_sim_consumer_position,
};

varve_status vcl_sim_transport(vcl_sim *sim, vcl_transport **transport) {
    vcl_sim_transport_handle *handle = calloc(1, sizeof *handle);
    if (!handle) return VARVE_NOMEM;
    handle->base.ops = &sim_ops;
    handle->sim = sim;
    *transport = &handle->base;
    return VARVE_OK;
}
