/*
 * rdkafka_conf.c - how handles of librdkafka are configured: what we set, what the user may change, what is ours alone.
 *
 * Order: our defaults, then the user's settings. Those we must own are refused by name when the transport is opened, so
 * that none of ours is ever overridden. A setting that does not concern a handle's role is ignored by librdkafka.
 */
#include "rdkafka_state.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- What is refused --------------------------------------------------------------------------------------------- */

typedef struct owned_setting {
    const char *name, *reason;
} owned_setting;

static const owned_setting owned_settings[] = {
    {"bootstrap.servers", "use varve_changelog_options.brokers"},
    {"metadata.broker.list", "use varve_changelog_options.brokers"},
    {"transactional.id", "use varve_changelog_options.transactional_id"},
    {"enable.idempotence", "the changelog is written in transactions, which need it on"},
    {"acks", "the changelog is written in transactions, which need all"},
    {"request.required.acks", "the changelog is written in transactions, which need all"},
    {"message.timeout.ms", "it follows transaction.timeout.ms, which may be set"},
    {"delivery.timeout.ms", "it follows transaction.timeout.ms, which may be set"},
    {"enable.gapless.guarantee", "transactions give it"},
    {"delivery.report.only.error", "the position in the topic comes from the reports of success"},
    {"message.copy.max.bytes", "records are written out of the store's own memory, which must not be in use for longer"},
    {"isolation.level", "a changelog is read as committed only"},
    {"auto.offset.reset", "a missing offset is an error, never a silent jump"},
    {"enable.auto.commit", "the position is kept in the store"},
    {"auto.commit.enable", "the position is kept in the store"},
    {"enable.auto.offset.store", "the position is kept in the store"},
    {"enable.partition.eof", "the end is found by position"},
    {"group.id", "no consumer group is joined"},
    {"partitioner", "use varve_changelog_options.partition"},
    {"partitioner_cb", "use varve_changelog_options.partition"},
    {"plugin.library.paths", "plugins could change what is written"},
    {"interceptors", "interceptors could change what is written"},
    {"log.queue", "use varve_changelog_options.diag"},
    {"log_cb", "use varve_changelog_options.diag"},
    {"enabled_events", "the changelog handles the events"},
    {"opaque", "it belongs to the changelog"},
    {"default_topic_conf", "name the topic's settings one by one"},
    {"msg_order_cmp", "records are kept in the order of the store's log"},
    {"queuing.strategy", "records are kept in the order of the store's log"},
};

static bool ends_with(const char *string, const char *tail) {
    size_t size = strlen(string), tail_size = strlen(tail);
    return size >= tail_size && strcmp(string + size - tail_size, tail) == 0;
}

static const char *refusal(const char *name) {
    for (size_t i = 0; i < sizeof owned_settings / sizeof *owned_settings; i++) {
        if (strcmp(owned_settings[i].name, name) == 0) return owned_settings[i].reason;
    }
    return ends_with(name, "_cb") ? "callbacks belong to the changelog" : NULL;
}

static varve_status apply(rd_kafka_conf_t *conf, const char *name, const char *value, varve_error *err) {
    char message[400];
    if (rd_kafka_conf_set(conf, name, value, message, sizeof message) == RD_KAFKA_CONF_OK) return VARVE_OK;
    return vcl_rdkafka_set(err, VARVE_INVALID, 0, "setting %s=%.60s is refused by librdkafka: %s", name, value, message);
}

varve_status vcl_rdkafka_check_settings(const varve_kafka_setting *settings, size_t count, varve_error *err) {
    rd_kafka_conf_t *scratch = rd_kafka_conf_new();
    varve_status st = VARVE_OK;
    for (size_t i = 0; i < count && st == VARVE_OK; i++) {
        if (!settings[i].name || !settings[i].value) {
            st = vcl_rdkafka_set(err, VARVE_INVALID, 0, "setting %zu of %zu has no name or no value", i + 1, count);
            break;
        }
        const char *reason = refusal(settings[i].name);
        if (reason) {
            st = vcl_rdkafka_set(err, VARVE_INVALID, 0, "setting %s may not be given: %s", settings[i].name, reason);
            break;
        }
        st = apply(scratch, settings[i].name, settings[i].value, err);
    }
    rd_kafka_conf_destroy(scratch);
    return st;
}

/* --- What is set --------------------------------------------------------------------------------------------------- */

static const varve_kafka_setting common_defaults[] = {
    {"client.id", "varve"},
    {"socket.nagle.disable", "true"},
    {"reconnect.backoff.ms", "50"},
    {"reconnect.backoff.max.ms", "500"},
    {"log.connection.close", "false"},
};

static const varve_kafka_setting producer_defaults[] = {
    {"transaction.timeout.ms", "60000"},
    {"linger.ms", "5"},
    {"compression.codec", "lz4"},
    /* About 300 bytes a queued record, so 60 MB; the values themselves stay where they are. A value of VARVE_VALUE_BYTES_MAX must
     * fit the second bound. */
    {"queue.buffering.max.messages", "200000"},
    {"queue.buffering.max.kbytes", "262144"},
    /* Values are copied into the request, however long, so that none is referenced once it is purged from the queue. */
    {"message.copy.max.bytes", "1000000000"},
};

static const varve_kafka_setting consumer_defaults[] = {
    {"isolation.level", "read_committed"},
    {"auto.offset.reset", "error"},
    {"enable.auto.commit", "false"},
    {"enable.auto.offset.store", "false"},
    {"check.crcs", "true"},
    /* Bounded by bytes only: at the bound of messages librdkafka would stop fetching for up to a second. */
    {"queued.min.messages", "10000000"},
#if RD_KAFKA_VERSION >= 0x020200ff
    /* A queued record costs some 400 bytes besides its own, so 16 MiB of small ones are 60 MiB. A full queue is looked at again
       soon. */
    {"queued.max.messages.kbytes", "16384"},
    {"fetch.queue.backoff.ms", "10"},
#else /* looks at a full queue once a second: it had better not get full */
    {"queued.max.messages.kbytes", "65536"},
#endif
    {"fetch.wait.max.ms", "50"},
    {"fetch.message.max.bytes", "8388608"},
    /* Changing brokers, and the topic's absence, are met by the caller's timeouts. */
    {"fetch.error.backoff.ms", "100"},
};

static varve_status apply_all(rd_kafka_conf_t *conf, const varve_kafka_setting *settings, size_t count, varve_error *err) {
    varve_status st = VARVE_OK;
    for (size_t i = 0; i < count && st == VARVE_OK; i++) st = apply(conf, settings[i].name, settings[i].value, err);
    return st;
}

#define APPLY_ALL(conf, settings, err) apply_all((conf), (settings), sizeof(settings) / sizeof *(settings), (err))

static varve_status apply_role(rd_kafka_conf_t *conf, vcl_rdkafka_role role, const char *transactional_id, varve_error *err) {
    switch (role) {
    case VCL_RDKAFKA_CONTROL: return apply(conf, "isolation.level", "read_uncommitted", err);
    case VCL_RDKAFKA_STABLE: return apply(conf, "isolation.level", "read_committed", err);
    case VCL_RDKAFKA_CONSUMER: return APPLY_ALL(conf, consumer_defaults, err);
    case VCL_RDKAFKA_PRODUCER: {
        varve_status st = apply(conf, "transactional.id", transactional_id, err);
        return st == VARVE_OK ? APPLY_ALL(conf, producer_defaults, err) : st;
    }
    case VCL_RDKAFKA_CREATOR:
    default: return VARVE_OK;
    }
}

/* --- Callbacks ----------------------------------------------------------------------------------------------------- */

void vcl_rdkafka_diag(vcl_rdkafka *t, const char *format, ...) {
    char line[1024];
    if (!t->diag) return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    t->diag(t->diag_context, line);
}

/* Threads: any of librdkafka's. */
static void log_line(const rd_kafka_t *rk, int level, const char *facility, const char *text) {
    const vcl_rdkafka_client *client = rk ? rd_kafka_opaque(rk) : NULL;
    if (!client) return;
    if (strcmp(facility, "FAIL") == 0) vcl_rdkafka_note_error(client->transport, text);
    /* Told dozens of times a second for as long as it lasts; FAIL has told why. */
    if (strcmp(facility, "ERROR") == 0 && ends_with(text, "brokers are down")) return;
    vcl_rdkafka_diag(client->transport, "librdkafka %d %s: %s", level, facility, text);
}

/* Threads: the one that polls the handle. Fatal errors are met again by the call that follows. */
static void error_event(rd_kafka_t *rk, int code, const char *reason, void *opaque) {
    vcl_rdkafka_client *client = opaque;
    (void)rk;
    if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
        client->all_down = true;
    } else if (code != RD_KAFKA_RESP_ERR__FATAL) {
        vcl_rdkafka_note_error(client->transport, reason);
    }
}

static void delivery_event(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque) {
    vcl_rdkafka_client *client = opaque;
    (void)rk;
    client->delivered(client->owner, message);
}

varve_status vcl_rdkafka_new(vcl_rdkafka *t, vcl_rdkafka_role role, const char *transactional_id, vcl_rdkafka_client *client,
                             rd_kafka_t **rk, varve_error *err) {
    char message[400];
    bool producer = role == VCL_RDKAFKA_PRODUCER || role == VCL_RDKAFKA_CREATOR;
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    varve_status st = apply(conf, "bootstrap.servers", t->brokers, err);
    if (st == VARVE_OK) st = APPLY_ALL(conf, common_defaults, err);
    if (st == VARVE_OK) st = apply_role(conf, role, transactional_id, err);
    if (st == VARVE_OK) st = apply_all(conf, t->settings, t->settings_count, err);
    if (st != VARVE_OK) goto out;
    rd_kafka_conf_set_opaque(conf, client);
    rd_kafka_conf_set_log_cb(conf, log_line);
    /* A handle that nobody polls would pile the events up; without the callback they are log lines. */
    if (role == VCL_RDKAFKA_PRODUCER || role == VCL_RDKAFKA_CONSUMER) rd_kafka_conf_set_error_cb(conf, error_event);
    if (role == VCL_RDKAFKA_PRODUCER) rd_kafka_conf_set_dr_msg_cb(conf, delivery_event);
    *rk = rd_kafka_new(producer ? RD_KAFKA_PRODUCER : RD_KAFKA_CONSUMER, conf, message, sizeof message);
    if (*rk) {
        conf = NULL; /* the handle's now */
    } else {
        st = vcl_rdkafka_fail(t, err, rd_kafka_last_error(), message, "librdkafka refuses the settings");
    }
out:
    if (conf) rd_kafka_conf_destroy(conf);
    return st;
}
