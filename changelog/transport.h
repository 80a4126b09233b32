/*
 * changelog/transport.h - what the changelog asks of Kafka, behind one small table of functions. Two implementations: librdkafka
 * (rdkafka_*.c) and a simulated broker for tests (sim_*.c).
 *
 * Errors: code VARVE_KAFKA, with flags: RETRIABLE (nothing happened or it is safe to do again), FATAL (the producer or consumer is
 * of no more use: close it and open another, then ask the log where it stands), FENCED with code VARVE_FENCED. VARVE_MISSING for a
 * topic or partition that is not there. A failed transactional call without RETRIABLE and FATAL means: abort the transaction.
 * Threads: the transport from any thread; a producer or a consumer from one thread at a time.
 */
#ifndef VCL_TRANSPORT_H
#define VCL_TRANSPORT_H

#include <varve/changelog.h>

typedef struct vcl_transport vcl_transport;
typedef struct vcl_producer vcl_producer;
typedef struct vcl_consumer vcl_consumer;

#define VCL_MARK_HEADER "varve" /* the name of the one header Varve writes */

/* A record, going out or coming in. */
typedef struct vcl_record {
    varve_slice key, value;
    bool tombstone; /* the value is null */
    int64_t timestamp_ms;
    varve_slice mark; /* the content of the header VCL_MARK_HEADER; data NULL: it has none */
    int64_t offset;   /* in: its offset; out: ignored */
} vcl_record;

typedef struct vcl_topic_info {
    bool exists;
    int32_t partitions, replication;
    uint8_t id[16];          /* all zero where the client library or broker has none */
    char cleanup_policy[64]; /* "compact", "delete", "compact,delete"; empty: not known (the mock cluster has no admin API) */
    int64_t delete_retention_ms, min_insync_replicas, max_message_bytes, retention_ms, retention_bytes; /* INT64_MIN: not known */
} vcl_topic_info;

typedef struct vcl_topic_spec {
    int32_t partitions, replication; /* replication -1: the broker's default */
    const varve_kafka_setting *configs;
    size_t config_count;
} vcl_topic_spec;

typedef struct vcl_offsets {
    int64_t start;      /* log start */
    int64_t end;        /* high watermark: the end with everything, open transactions included */
    int64_t stable_end; /* last stable offset: how far a read_committed reader gets now */
} vcl_offsets;

typedef struct vcl_transport_ops {
    void (*close)(vcl_transport *transport);
    varve_status (*describe_topic)(vcl_transport *transport, const char *topic, uint32_t timeout_ms, vcl_topic_info *info,
                                   varve_error *err);
    varve_status (*create_topic)(vcl_transport *transport, const char *topic, const vcl_topic_spec *spec, uint32_t timeout_ms,
                                 varve_error *err); /* VARVE_EXISTS; returns when the topic can be used */
    varve_status (*offsets)(vcl_transport *transport, const char *topic, int32_t partition, uint32_t timeout_ms,
                            vcl_offsets *offsets, varve_error *err);

    /* A transactional producer. Opening it aborts what the predecessor with that id left open, and fences it. */
    varve_status (*producer_open)(vcl_transport *transport, const char *transactional_id, uint32_t timeout_ms,
                                  vcl_producer **producer, varve_error *err);
    void (*producer_close)(vcl_producer *producer); /* aborts nothing: the broker does, or the successor */
    varve_status (*begin)(vcl_producer *producer, varve_error *err);
    /* Queues records, in order; waits while the queue is full. Key, value and mark memory is used until commit or abort has
     * succeeded or failed with FATAL, or the producer is closed. An empty key or value may have data NULL. */
    varve_status (*produce)(vcl_producer *producer, const char *topic, int32_t partition, const vcl_record *records, size_t count,
                            varve_error *err);
    /* Returns when the transaction is committed: all of its records are in the log, in order. *next_offset: after its last record,
     * -1 where not known. */
    varve_status (*commit)(vcl_producer *producer, uint32_t timeout_ms, int64_t *next_offset, varve_error *err);
    varve_status (*abort)(vcl_producer *producer, uint32_t timeout_ms, varve_error *err);

    /* Reads a partition from offset on, committed records only, by explicit assignment: no group is joined. */
    varve_status (*consumer_open)(vcl_transport *transport, const char *topic, int32_t partition, int64_t offset,
                                  vcl_consumer **consumer, varve_error *err);
    void (*consumer_close)(vcl_consumer *consumer);
    /* Waits up to timeout_ms for records; *count may be 0. Memory: the records are valid until the next poll or close. */
    varve_status (*poll)(vcl_consumer *consumer, uint32_t timeout_ms, const vcl_record **records, size_t *count, varve_error *err);
    int64_t (*position)(vcl_consumer *consumer); /* next offset to be read, control records passed included */
} vcl_transport_ops;

struct vcl_transport {
    const vcl_transport_ops *ops;
};

/* The librdkafka transport. Settings that Varve owns are refused by name with VARVE_INVALID. Connects lazily. */
varve_status vcl_rdkafka_open(const varve_changelog_options *options, vcl_transport **transport, varve_error *err);

#endif
