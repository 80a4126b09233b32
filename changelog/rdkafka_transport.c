/*
 * rdkafka_transport.c - the librdkafka transport: opening, closing, and the table of functions.
 */
#include "rdkafka_state.h"

#include <stdlib.h>
#include <string.h>

static void free_settings(vcl_rdkafka *t) {
    for (size_t i = 0; t->settings && i < t->settings_count; i++) {
        free((char *)t->settings[i].name);
        free((char *)t->settings[i].value);
    }
    free(t->settings);
}

static void transport_close(vcl_transport *transport) {
    vcl_rdkafka *t = (vcl_rdkafka *)transport;
    if (!t) return;
    if (t->control) rd_kafka_destroy(t->control);
    if (t->stable) rd_kafka_destroy(t->stable);
    pthread_mutex_destroy(&t->lock);
    pthread_mutex_destroy(&t->error_lock);
    free_settings(t);
    free(t->brokers);
    free(t);
}

static bool copy_options(vcl_rdkafka *t, const varve_changelog_options *options) {
    t->brokers = strdup(options->brokers);
    t->settings = calloc(options->settings_count + 1, sizeof *t->settings);
    if (!t->brokers || !t->settings) return false;
    for (size_t i = 0; i < options->settings_count; i++) {
        t->settings[i].name = strdup(options->settings[i].name);
        t->settings[i].value = strdup(options->settings[i].value);
        t->settings_count = i + 1;
        if (!t->settings[i].name || !t->settings[i].value) return false;
    }
    return true;
}

static const vcl_transport_ops rdkafka_ops = {
    .close = transport_close,
    .describe_topic = vcl_rdkafka_describe_topic,
    .create_topic = vcl_rdkafka_create_topic,
    .offsets = vcl_rdkafka_offsets,
    .producer_open = vcl_rdkafka_producer_open,
    .producer_close = vcl_rdkafka_producer_close,
    .begin = vcl_rdkafka_producer_begin,
    .produce = vcl_rdkafka_producer_produce,
    .commit = vcl_rdkafka_producer_commit,
    .abort = vcl_rdkafka_producer_abort,
    .consumer_open = vcl_rdkafka_consumer_open,
    .consumer_close = vcl_rdkafka_consumer_close,
    .poll = vcl_rdkafka_consumer_poll,
    .position = vcl_rdkafka_consumer_position,
};

varve_status vcl_rdkafka_open(const varve_changelog_options *options, vcl_transport **transport, varve_error *err) {
    if (!options->brokers || !options->brokers[0]) {
        return vcl_rdkafka_set(err, VARVE_INVALID, 0, "varve_changelog_options.brokers is required: \"host:port,...\"");
    }
    varve_status st = vcl_rdkafka_check_settings(options->settings, options->settings_count, err);
    if (st != VARVE_OK) return st;
    vcl_rdkafka *t = calloc(1, sizeof *t);
    if (!t) return vcl_rdkafka_set(err, VARVE_NOMEM, 0, "out of memory for a transport");
    t->base.ops = &rdkafka_ops;
    t->client.transport = t;
    t->diag = options->diag;
    t->diag_context = options->diag_context;
    pthread_mutex_init(&t->lock, NULL);
    pthread_mutex_init(&t->error_lock, NULL);
    if (!copy_options(t, options)) {
        transport_close(&t->base);
        return vcl_rdkafka_set(err, VARVE_NOMEM, 0, "out of memory for a transport");
    }
    *transport = &t->base;
    return VARVE_OK;
}
