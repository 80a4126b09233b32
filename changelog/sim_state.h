/*
 * sim_state.h - the inside of the simulated broker (sim.h): topics, partitions, transactional ids, faults.
 *
 * Thread rule: everything here belongs to vcl_sim.lock; functions that take a vcl_sim, topic, partition or id want it held.
 * Invariants of a partition: entries ascend strictly by offset; start <= every entry's offset < end; an entry that is open
 * (committed 0) is at or after the first_offset of its producer's row in `open`; the last stable offset is the smallest of
 * those, or end.
 */
#ifndef VCL_SIM_STATE_H
#define VCL_SIM_STATE_H

#include "sim.h"

#include <pthread.h>

#define VCL_SIM_REPLICAS_MAX 3        /* brokers the simulated cluster pretends to have */
#define VCL_SIM_POLL_RECORDS_MAX 1024 /* a poll returns 1 to this many, by the seed */
#define VCL_SIM_NO_FAULT (-1)
#define VCL_SIM_UNRESOLVED INT64_MAX

/* One offset of a log: a record, or the control record that ended a transaction (marker). */
typedef struct vcl_sim_entry {
    int64_t offset, timestamp_ms;
    int64_t producer_id;
    int64_t resolved_at;       /* record: offset of the marker that ended its transaction, or VCL_SIM_UNRESOLVED */
    int64_t delete_horizon_ms; /* tombstone, marker: when the cleaner may remove it; 0: the cleaner has not met it */
    char *bytes;               /* key, value and mark, one after the other */
    size_t key_size, value_size, mark_size;
    bool marker, tombstone, has_mark;
    int8_t committed; /* 1, 0 open, -1 aborted; of a marker: what it said */
} vcl_sim_entry;

/* A producer with an open transaction in a partition. */
typedef struct vcl_sim_open {
    int64_t producer_id, first_offset;
} vcl_sim_open;

typedef struct vcl_sim_partition {
    vcl_sim_entry *entries;
    size_t count, capacity;
    int64_t start, end;
    vcl_sim_open *open;
    size_t open_count, open_capacity;
} vcl_sim_partition;

typedef struct vcl_sim_config {
    char name[64];
    char value[64];
} vcl_sim_config;

typedef struct vcl_sim_topic {
    struct vcl_sim_topic *next;
    char name[256];
    uint8_t id[16];
    int32_t partition_count, replication;
    vcl_sim_partition *partitions;
    vcl_sim_config *configs;
    size_t config_count;
} vcl_sim_topic;

/* A transactional id as its coordinator knows it. A transaction is open there while it has participants. */
typedef struct vcl_sim_id {
    struct vcl_sim_id *next;
    char name[256];
    int64_t producer_id;
    uint32_t epoch;
    struct vcl_sim_participant {
        vcl_sim_topic *topic;
        int32_t partition;
    } * participants;
    size_t participant_count, participant_capacity;
} vcl_sim_id;

typedef struct vcl_sim_script {
    vcl_sim_point point;
    vcl_sim_fault fault;
    uint64_t call; /* the point's count of calls at which it strikes */
} vcl_sim_script;

struct vcl_sim {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* something a waiting poll may want has changed; monotonic clock */
    /* Guarded by lock: */
    uint64_t random;
    int64_t now_ms;
    int64_t next_producer_id;
    bool down;
    uint32_t fault_per_million;
    uint64_t calls[VCL_SIM_POINT_COUNT];
    vcl_sim_script *script;
    size_t script_count, script_capacity;
    vcl_sim_topic *topics;
    vcl_sim_id *ids;
};

/* Constant after creation. */
typedef struct vcl_sim_transport_handle {
    vcl_transport base;
    vcl_sim *sim;
} vcl_sim_transport_handle;

/* --- sim_broker.c --- */
varve_status vcl_sim_fail(varve_error *err, varve_status code, uint32_t flags, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
uint64_t vcl_sim_random(vcl_sim *sim);
int vcl_sim_next_fault(vcl_sim *sim, vcl_sim_point point); /* a vcl_sim_fault or VCL_SIM_NO_FAULT; counts the call */
bool vcl_sim_grow(void **array, size_t *capacity, size_t count, size_t element); /* room for one more; false: no memory */
vcl_sim_topic *vcl_sim_find_topic(vcl_sim *sim, const char *name);
vcl_sim_partition *vcl_sim_find_partition(vcl_sim *sim, const char *topic, int32_t partition); /* NULL: not there */
vcl_sim_id *vcl_sim_find_id(vcl_sim *sim, const char *name); /* created when not there; NULL: no memory */
void vcl_sim_end_transaction(vcl_sim *sim, vcl_sim_id *id, bool commit);
const char *vcl_sim_config_get(const vcl_sim_topic *topic, const char *name);
int64_t vcl_sim_config_number(const vcl_sim_topic *topic, const char *name);
varve_status vcl_sim_topic_create(vcl_sim *sim, const char *name, const vcl_topic_spec *spec, varve_error *err);

/* --- sim_partition.c --- */
size_t vcl_sim_partition_seek(const vcl_sim_partition *p, int64_t offset); /* index of the first entry at or after it */
int64_t vcl_sim_partition_stable_end(const vcl_sim_partition *p);
bool vcl_sim_partition_append(vcl_sim_partition *p, int64_t producer_id, const vcl_record *record, int64_t timestamp_ms);
/* Outside of any transaction; no other record has this producer id. */
bool vcl_sim_partition_append_alone(vcl_sim_partition *p, int64_t producer_id, const vcl_record *record, int64_t timestamp_ms);
void vcl_sim_partition_end(vcl_sim_partition *p, int64_t producer_id, bool commit, int64_t timestamp_ms);
void vcl_sim_partition_truncate(vcl_sim_partition *p, int64_t offset);
void vcl_sim_partition_set_start(vcl_sim_partition *p, int64_t offset);
void vcl_sim_partition_compact(vcl_sim_partition *p, int64_t dirty_records, int64_t now_ms, int64_t delete_retention_ms);
void vcl_sim_partition_clear(vcl_sim_partition *p);
void vcl_sim_entry_record(const vcl_sim_entry *entry, vcl_record *record); /* points into the entry */

/* --- sim_producer.c, sim_consumer.c --- */
varve_status vcl_sim_producer_open(vcl_transport *transport, const char *transactional_id, uint32_t timeout_ms,
                                   vcl_producer **producer, varve_error *err);
void vcl_sim_producer_close(vcl_producer *producer);
varve_status vcl_sim_producer_begin(vcl_producer *producer, varve_error *err);
varve_status vcl_sim_producer_produce(vcl_producer *producer, const char *topic, int32_t partition, const vcl_record *records,
                                      size_t count, varve_error *err);
varve_status vcl_sim_producer_commit(vcl_producer *producer, uint32_t timeout_ms, int64_t *next_offset, varve_error *err);
varve_status vcl_sim_producer_abort(vcl_producer *producer, uint32_t timeout_ms, varve_error *err);

varve_status vcl_sim_consumer_open(vcl_transport *transport, const char *topic, int32_t partition, int64_t offset,
                                   vcl_consumer **consumer, varve_error *err);
void vcl_sim_consumer_close(vcl_consumer *consumer);
varve_status vcl_sim_consumer_poll(vcl_consumer *consumer, uint32_t timeout_ms, const vcl_record **records, size_t *count,
                                   varve_error *err);
int64_t vcl_sim_consumer_position(vcl_consumer *consumer);

#endif
