/*
 * rdkafka_state.h - the inside of the librdkafka transport: one handle of librdkafka per producer and per consumer, and up to
 * two more, made when first needed, for questions about topics.
 *
 * Thread rule: a transport from any thread, a producer or consumer from one at a time. librdkafka calls log_line() from its
 * own threads, and the delivery and error callbacks only from inside calls of the thread that polls.
 * Order of release: producers and consumers before their transport.
 */
#ifndef VCL_RDKAFKA_STATE_H
#define VCL_RDKAFKA_STATE_H

#include "transport.h"

#include <librdkafka/rdkafka.h>

#include <pthread.h>

/* Codes that librdkafka 2.0.2 does not name. */
#define VCL_RDKAFKA_LOG_TRUNCATION (-139)
#define VCL_RDKAFKA_UNKNOWN_TOPIC_ID 100

/* The opaque of every handle. */
typedef struct vcl_rdkafka_client {
    struct vcl_rdkafka *transport;
    void (*delivered)(void *owner, const rd_kafka_message_t *message); /* producers */
    void *owner;
    bool all_down; /* set when no broker can be reached; cleared by whoever hears from one. Polling thread only. */
} vcl_rdkafka_client;

typedef struct vcl_rdkafka {
    vcl_transport base;
    /* Constant after open: */
    char *brokers;
    varve_kafka_setting *settings; /* copies */
    size_t settings_count;
    varve_diag_fn diag;
    void *diag_context;
    vcl_rdkafka_client client; /* of the two handles below */
    pthread_mutex_t lock;
    /* Guarded by lock: */
    rd_kafka_t *control;        /* topics, and offsets with everything */
    rd_kafka_t *stable;         /* offsets of what is committed */
    pthread_mutex_t error_lock; /* taken last, librdkafka's threads included */
    char last_error[256];       /* guarded by error_lock: the newest thing that went wrong with a connection; may be empty */
} vcl_rdkafka;

/* What a handle is for; decides its configuration. */
typedef enum vcl_rdkafka_role {
    VCL_RDKAFKA_CONTROL,
    VCL_RDKAFKA_STABLE,
    VCL_RDKAFKA_CREATOR, /* asks for a topic's metadata in a way that creates it */
    VCL_RDKAFKA_PRODUCER,
    VCL_RDKAFKA_CONSUMER
} vcl_rdkafka_role;

/* --- rdkafka_conf.c --- */
varve_status vcl_rdkafka_check_settings(const varve_kafka_setting *settings, size_t count, varve_error *err);
/* transactional_id: of a producer. client must outlive the handle. */
varve_status vcl_rdkafka_new(vcl_rdkafka *t, vcl_rdkafka_role role, const char *transactional_id, vcl_rdkafka_client *client,
                             rd_kafka_t **rk, varve_error *err);
void vcl_rdkafka_diag(vcl_rdkafka *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* --- rdkafka_error.c --- */
varve_status vcl_rdkafka_set(varve_error *err, varve_status code, uint32_t flags, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* What librdkafka's code means to us. */
void vcl_rdkafka_classify(int code, varve_status *status, uint32_t *flags);
/* Fills err for a failed request; the message says what was tried, and for a retriable one names brokers and connection trouble.
 * detail: librdkafka's own words or NULL. */
varve_status vcl_rdkafka_fail(vcl_rdkafka *t, varve_error *err, int code, const char *detail, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
void vcl_rdkafka_note_error(vcl_rdkafka *t, const char *line);

/* --- rdkafka_topic.c, rdkafka_create.c --- */
int64_t vcl_rdkafka_now_ms(void);             /* monotonic */
int vcl_rdkafka_left_ms(int64_t deadline_ms); /* at least 1 */
void vcl_rdkafka_pause_ms(long ms);
varve_status vcl_rdkafka_control(vcl_rdkafka *t, vcl_rdkafka_role role, rd_kafka_t **rk, varve_error *err);
/* What one request for a topic's metadata tells. */
typedef struct vcl_rdkafka_metadata_answer {
    rd_kafka_resp_err_t error; /* of the topic itself */
    int32_t partitions, replication;
    int32_t leaders; /* partitions that have one */
    bool admin;      /* the cluster answers admin requests: one whose controller is none of its brokers does not (the mock) */
} vcl_rdkafka_metadata_answer;
varve_status vcl_rdkafka_metadata(vcl_rdkafka *t, rd_kafka_t *rk, const char *topic, int timeout_ms,
                                  vcl_rdkafka_metadata_answer *answer, varve_error *err);
varve_status vcl_rdkafka_describe_topic(vcl_transport *transport, const char *topic, uint32_t timeout_ms, vcl_topic_info *info,
                                        varve_error *err);
varve_status vcl_rdkafka_offsets(vcl_transport *transport, const char *topic, int32_t partition, uint32_t timeout_ms,
                                 vcl_offsets *offsets, varve_error *err);
/* Waits for the one event of an admin request. NULL: failed, err is set. Free it with rd_kafka_event_destroy(). */
rd_kafka_event_t *vcl_rdkafka_await(vcl_rdkafka *t, rd_kafka_queue_t *queue, int timeout_ms, const char *what, varve_error *err);
varve_status vcl_rdkafka_create_topic(vcl_transport *transport, const char *topic, const vcl_topic_spec *spec, uint32_t timeout_ms,
                                      varve_error *err);

/* --- rdkafka_producer.c, rdkafka_consumer.c --- */
varve_status vcl_rdkafka_producer_open(vcl_transport *transport, const char *transactional_id, uint32_t timeout_ms,
                                       vcl_producer **producer, varve_error *err);
void vcl_rdkafka_producer_close(vcl_producer *producer);
varve_status vcl_rdkafka_producer_begin(vcl_producer *producer, varve_error *err);
varve_status vcl_rdkafka_producer_produce(vcl_producer *producer, const char *topic, int32_t partition, const vcl_record *records,
                                          size_t count, varve_error *err);
varve_status vcl_rdkafka_producer_commit(vcl_producer *producer, uint32_t timeout_ms, int64_t *next_offset, varve_error *err);
varve_status vcl_rdkafka_producer_abort(vcl_producer *producer, uint32_t timeout_ms, varve_error *err);

varve_status vcl_rdkafka_consumer_open(vcl_transport *transport, const char *topic, int32_t partition, int64_t offset,
                                       vcl_consumer **consumer, varve_error *err);
void vcl_rdkafka_consumer_close(vcl_consumer *consumer);
varve_status vcl_rdkafka_consumer_poll(vcl_consumer *consumer, uint32_t timeout_ms, const vcl_record **records, size_t *count,
                                       varve_error *err);
int64_t vcl_rdkafka_consumer_position(vcl_consumer *consumer);

#endif
