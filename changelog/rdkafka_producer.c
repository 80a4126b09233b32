/*
 * rdkafka_producer.c - a transactional producer over librdkafka.
 *
 * Every record is queued by rd_kafka_producev(), because rd_kafka_produce_batch() stamps records with the time of the call
 * and a record's Kafka timestamp has to be the time of the write. Values stay in the caller's memory until their report of
 * delivery; keys, and values of batches already made, are copies.
 *
 * Reports are served inside produce, commit and abort, so the producer's fields belong to its one thread. A failed delivery
 * makes librdkafka fail the commit, which then says what the delivery's error was. After a fatal error the handle of
 * librdkafka is destroyed at once (rk NULL), so that nothing uses the caller's memory any more; `dead` keeps the reason.
 */
#include "rdkafka_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POLL_EVERY 1000  /* records between two looks at the reports */
#define FULL_WAIT_MS 10  /* for room in a full queue */
#define WARM_UP_MS 30000 /* for the metadata of a topic that is first produced to */

typedef struct producer_topic {
    struct producer_topic *next;
    rd_kafka_topic_t *handle;
    int32_t partitions;
} producer_topic;

struct vcl_producer {
    vcl_rdkafka *transport;
    vcl_rdkafka_client client;
    rd_kafka_t *rk; /* NULL once dead */
    char *id;
    producer_topic *topics;
    int64_t next_offset;                /* after the record delivered last in this transaction; -1: not known */
    rd_kafka_resp_err_t delivery_error; /* of the first record of this transaction that was not delivered */
    varve_error dead;
};

static void delivered(void *owner, const rd_kafka_message_t *message) {
    vcl_producer *p = owner;
    if (!message->err) {
        p->next_offset = message->offset >= 0 ? message->offset + 1 : -1; /* -1: a duplicate, acknowledged without its offset */
    } else if (!p->delivery_error && message->err != RD_KAFKA_RESP_ERR__PURGE_QUEUE) {
        p->delivery_error = message->err;
    }
}

/* --- Failing ------------------------------------------------------------------------------------------------------- */

static void destroy_handle(vcl_producer *p) {
    while (p->topics) {
        producer_topic *next = p->topics->next;
        rd_kafka_topic_destroy(p->topics->handle);
        free(p->topics);
        p->topics = next;
    }
    if (p->rk) rd_kafka_destroy(p->rk);
    p->rk = NULL;
}

static varve_status fail_dead(const vcl_producer *p, varve_error *err) {
    if (err) *err = p->dead;
    return p->dead.code;
}

/* The handle is of no more use: keeps why, and releases the caller's memory. */
static varve_status die(vcl_producer *p, int code, const char *detail, const char *what, varve_error *err) {
    char reason[400];
    rd_kafka_resp_err_t fatal = rd_kafka_fatal_error(p->rk, reason, sizeof reason);
    varve_status status;
    uint32_t flags;
    vcl_rdkafka_classify(code, &status, &flags);
    if (fatal && status != VARVE_FENCED) {
        code = fatal;
        detail = reason;
        vcl_rdkafka_classify(code, &status, &flags);
    }
    if (status != VARVE_FENCED) status = VARVE_KAFKA;
    flags = (flags & VARVE_ERROR_FENCED) | VARVE_ERROR_FATAL;
    vcl_rdkafka_set(&p->dead, status, flags, "%s as %s: %s", what, p->id,
                    detail ? detail : rd_kafka_err2str((rd_kafka_resp_err_t)code));
    destroy_handle(p);
    return fail_dead(p, err);
}

/* Takes the error over. */
static varve_status fail_transaction(vcl_producer *p, rd_kafka_error_t *error, const char *what, varve_error *err) {
    varve_status st;
    rd_kafka_resp_err_t code = rd_kafka_error_code(error);
    const char *detail = rd_kafka_error_string(error);
    if (rd_kafka_error_is_retriable(error)) {
        st = vcl_rdkafka_fail(p->transport, err, RD_KAFKA_RESP_ERR__RETRY, detail, "%s as %s", what, p->id);
    } else if (rd_kafka_error_txn_requires_abort(error)) {
        varve_status status;
        uint32_t flags;
        vcl_rdkafka_classify(p->delivery_error ? p->delivery_error : code, &status, &flags);
        if (status != VARVE_TOO_LARGE && status != VARVE_MISSING && status != VARVE_INVALID) status = VARVE_KAFKA;
        st = vcl_rdkafka_set(err, status, 0, "%s as %s: %s%s%s; the transaction must be aborted", what, p->id, detail,
                             p->delivery_error ? "; first failed record: " : "",
                             p->delivery_error ? rd_kafka_err2str(p->delivery_error) : "");
    } else {
        st = die(p, code, detail, what, err);
    }
    rd_kafka_error_destroy(error);
    return st;
}

/* --- Open, close --------------------------------------------------------------------------------------------------- */

varve_status vcl_rdkafka_producer_open(vcl_transport *transport, const char *transactional_id, uint32_t timeout_ms,
                                       vcl_producer **producer, varve_error *err) {
    vcl_rdkafka *t = (vcl_rdkafka *)transport;
    varve_status st = VARVE_NOMEM;
    vcl_producer *p = calloc(1, sizeof *p);
    if (p) p->id = strdup(transactional_id);
    if (!p || !p->id) {
        vcl_rdkafka_set(err, VARVE_NOMEM, 0, "out of memory for a producer");
        goto out;
    }
    p->transport = t;
    p->client = (vcl_rdkafka_client){.transport = t, .delivered = delivered, .owner = p};
    st = vcl_rdkafka_new(t, VCL_RDKAFKA_PRODUCER, transactional_id, &p->client, &p->rk, err);
    if (st != VARVE_OK) goto out;
    rd_kafka_error_t *error = rd_kafka_init_transactions(p->rk, (int)timeout_ms);
    if (error) st = fail_transaction(p, error, "taking over the changelog", err);
out:
    if (st != VARVE_OK) {
        vcl_rdkafka_producer_close(p);
        return st;
    }
    *producer = p;
    return VARVE_OK;
}

void vcl_rdkafka_producer_close(vcl_producer *p) {
    if (!p) return;
    destroy_handle(p);
    free(p->id);
    free(p);
}

/* --- Transactions -------------------------------------------------------------------------------------------------- */

varve_status vcl_rdkafka_producer_begin(vcl_producer *p, varve_error *err) {
    if (!p->rk) return fail_dead(p, err);
    rd_kafka_error_t *error = rd_kafka_begin_transaction(p->rk);
    if (error) return fail_transaction(p, error, "beginning a transaction", err);
    p->next_offset = -1;
    p->delivery_error = RD_KAFKA_RESP_ERR_NO_ERROR;
    return VARVE_OK;
}

varve_status vcl_rdkafka_producer_commit(vcl_producer *p, uint32_t timeout_ms, int64_t *next_offset, varve_error *err) {
    if (!p->rk) return fail_dead(p, err);
    rd_kafka_error_t *error = rd_kafka_commit_transaction(p->rk, (int)timeout_ms);
    if (error) return fail_transaction(p, error, "committing a transaction", err);
    if (next_offset) *next_offset = p->next_offset;
    return VARVE_OK;
}

varve_status vcl_rdkafka_producer_abort(vcl_producer *p, uint32_t timeout_ms, varve_error *err) {
    if (!p->rk) return fail_dead(p, err);
    rd_kafka_error_t *error = rd_kafka_abort_transaction(p->rk, (int)timeout_ms);
    if (error) return fail_transaction(p, error, "aborting a transaction", err);
    return VARVE_OK;
}

/* --- Records ------------------------------------------------------------------------------------------------------- */

/* The topic's handle, made when it is first asked for: its metadata is waited for then, so that no record is. */
static varve_status find_topic(vcl_producer *p, const char *name, producer_topic **topic, varve_error *err) {
    for (*topic = p->topics; *topic; *topic = (*topic)->next) {
        if (strcmp(rd_kafka_topic_name((*topic)->handle), name) == 0) return VARVE_OK;
    }
    vcl_rdkafka_metadata_answer answer;
    varve_status st = vcl_rdkafka_metadata(p->transport, p->rk, name, WARM_UP_MS, &answer, err);
    if (st != VARVE_OK) return st;
    if (answer.error) return vcl_rdkafka_fail(p->transport, err, answer.error, NULL, "writing to topic %s", name);
    producer_topic *fresh = calloc(1, sizeof *fresh);
    if (!fresh) return vcl_rdkafka_set(err, VARVE_NOMEM, 0, "out of memory for topic %s", name);
    fresh->handle = rd_kafka_topic_new(p->rk, name, NULL);
    fresh->partitions = answer.partitions;
    if (!fresh->handle) {
        free(fresh);
        return vcl_rdkafka_fail(p->transport, err, rd_kafka_last_error(), NULL, "writing to topic %s", name);
    }
    fresh->next = p->topics;
    *topic = p->topics = fresh;
    return VARVE_OK;
}

/* librdkafka takes a NULL for "none"; an empty key or value is another thing. */
static void *present(varve_slice slice) {
    return slice.data ? (void *)(uintptr_t)slice.data : (void *)(uintptr_t) "";
}

static rd_kafka_resp_err_t enqueue(vcl_producer *p, rd_kafka_topic_t *topic, int32_t partition, const vcl_record *record) {
    void *value = record->tombstone ? NULL : present(record->value);
    size_t value_size = record->tombstone ? 0 : record->value.size;
    if (!record->mark.data) {
        return rd_kafka_producev(p->rk, RD_KAFKA_V_RKT(topic), RD_KAFKA_V_PARTITION(partition), RD_KAFKA_V_VALUE(value, value_size),
                                 RD_KAFKA_V_KEY(present(record->key), record->key.size), RD_KAFKA_V_TIMESTAMP(record->timestamp_ms),
                                 RD_KAFKA_V_END);
    }
    return rd_kafka_producev(p->rk, RD_KAFKA_V_RKT(topic), RD_KAFKA_V_PARTITION(partition), RD_KAFKA_V_VALUE(value, value_size),
                             RD_KAFKA_V_KEY(present(record->key), record->key.size), RD_KAFKA_V_TIMESTAMP(record->timestamp_ms),
                             RD_KAFKA_V_HEADER(VCL_MARK_HEADER, record->mark.data, (ssize_t)record->mark.size), RD_KAFKA_V_END);
}

static varve_status fail_record(vcl_producer *p, rd_kafka_resp_err_t code, const vcl_record *record, const char *topic,
                                varve_error *err) {
    size_t bytes = record->key.size + record->value.size + record->mark.size;
    varve_status status;
    uint32_t flags;
    if (code == RD_KAFKA_RESP_ERR__FATAL || rd_kafka_fatal_error(p->rk, NULL, 0)) return die(p, code, NULL, "writing", err);
    vcl_rdkafka_classify(code, &status, &flags);
    if (status == VARVE_FENCED) return die(p, code, NULL, "writing", err);
    if (status == VARVE_TOO_LARGE) {
        return vcl_rdkafka_set(err, status, 0,
                               "record of %zu bytes for topic %s: librdkafka's message.max.bytes, 1000000 unless set, is less",
                               bytes, topic);
    }
    if (status != VARVE_MISSING) status = VARVE_KAFKA;
    return vcl_rdkafka_set(err, status, 0, "record of %zu bytes for topic %s: %s; the transaction must be aborted", bytes, topic,
                           rd_kafka_err2str(code));
}

varve_status vcl_rdkafka_producer_produce(vcl_producer *p, const char *name, int32_t partition, const vcl_record *records,
                                          size_t count, varve_error *err) {
    producer_topic *topic;
    if (!p->rk) return fail_dead(p, err);
    varve_status st = find_topic(p, name, &topic, err);
    if (st != VARVE_OK) return st;
    if (partition < 0 || partition >= topic->partitions) {
        return vcl_rdkafka_set(err, VARVE_MISSING, 0, "topic %s has %d partitions; there is no partition %d", name,
                               (int)topic->partitions, (int)partition);
    }
    for (size_t i = 0; i < count; i++) {
        rd_kafka_resp_err_t code = enqueue(p, topic->handle, partition, &records[i]);
        while (code == RD_KAFKA_RESP_ERR__QUEUE_FULL && rd_kafka_outq_len(p->rk) > 0 && !p->delivery_error) {
            rd_kafka_poll(p->rk, FULL_WAIT_MS);
            code = enqueue(p, topic->handle, partition, &records[i]);
        }
        if (!code && i % POLL_EVERY == POLL_EVERY - 1) rd_kafka_poll(p->rk, 0);
        if (!code) code = p->delivery_error;
        if (code) return fail_record(p, code, &records[i], name, err);
    }
    rd_kafka_poll(p->rk, 0);
    return VARVE_OK;
}
