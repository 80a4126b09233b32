/*
 * changelog/sim.h - a simulated Kafka broker in memory, for tests: transactions, fencing, last stable offset, compaction, tombstone
 * expiry, truncation, deletion and recreation of topics, and faults by a seed or a script. Any number of transports may be opened
 * on one broker. Threads: any.
 */
#ifndef VCL_SIM_H
#define VCL_SIM_H

#include "transport.h"

typedef struct vcl_sim vcl_sim;

varve_status vcl_sim_create(uint64_t seed, vcl_sim **sim);
void vcl_sim_free(vcl_sim *sim);
varve_status vcl_sim_transport(vcl_sim *sim, vcl_transport **transport);

/* Time: the broker's clock in ms, which only moves when told. */
void vcl_sim_advance(vcl_sim *sim, int64_t ms);
int64_t vcl_sim_now(vcl_sim *sim);

/* Cleaning, as Kafka 3.9 does it: keeps the newest committed record of each key below the last `dirty_records` records; removes a
 * tombstone (and the marker of a transaction that has no records left) at a cleaning more than delete.retention.ms after the one
 * that first met it. Offsets stay. Nothing happens where cleanup.policy has no "compact". */
void vcl_sim_compact(vcl_sim *sim, const char *topic, int32_t partition, int64_t dirty_records);

/* Damage: loses the records from offset on (unclean election); moves the log start; deletes and recreates a topic with a new id;
 * flips a byte of a record. */
void vcl_sim_truncate(vcl_sim *sim, const char *topic, int32_t partition, int64_t offset);
void vcl_sim_set_start(vcl_sim *sim, const char *topic, int32_t partition, int64_t offset);
void vcl_sim_recreate(vcl_sim *sim, const char *topic);
void vcl_sim_flip(vcl_sim *sim, const char *topic, int32_t partition, int64_t offset,
                  size_t byte); /* of key, value and mark, one after the other */

/* A record of a client that knows neither transactions nor marks; value NULL: a delete. false: no such partition, or no memory. */
bool vcl_sim_append(vcl_sim *sim, const char *topic, int32_t partition, const char *key, const char *value);

/* What transaction.timeout.ms does: aborts every open transaction and bumps its epoch, so that its producer finds itself fenced. */
void vcl_sim_expire_transactions(vcl_sim *sim);

/* Availability: while down every call answers VARVE_KAFKA with RETRIABLE. */
void vcl_sim_set_down(vcl_sim *sim, bool down);

typedef enum vcl_sim_point {
    VCL_SIM_BEGIN,
    VCL_SIM_PRODUCE,
    VCL_SIM_COMMIT,
    VCL_SIM_ABORT,
    VCL_SIM_POLL,
    VCL_SIM_OFFSETS,
    VCL_SIM_INIT,
    VCL_SIM_POINT_COUNT
} vcl_sim_point;

typedef enum vcl_sim_fault {
    VCL_SIM_RETRIABLE,  /* nothing happens; retriable error */
    VCL_SIM_ABORTABLE,  /* nothing happens; the transaction must be aborted */
    VCL_SIM_FATAL,      /* nothing happens; the producer or consumer is dead */
    VCL_SIM_LOST_ANSWER /* it happens, and then the producer is dead: the caller cannot know */
} vcl_sim_fault;

/* The nth call (from 1) of that point from now on meets the fault. */
void vcl_sim_fault_at(vcl_sim *sim, vcl_sim_point point, uint64_t nth, vcl_sim_fault fault);

/* Each call meets a fault with this probability (of 1,000,000), kind by the seed. */
void vcl_sim_fault_rate(vcl_sim *sim, uint32_t per_million);

/* Looks: visits every record in the log in order, control records left out; committed: 1 yes, 0 open, -1 aborted. */
typedef void (*vcl_sim_visit)(void *context, const vcl_record *record, int committed);
void vcl_sim_dump(vcl_sim *sim, const char *topic, int32_t partition, vcl_sim_visit visit, void *context);

#endif
