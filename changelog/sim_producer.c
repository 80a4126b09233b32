/*
 * sim_producer.c - a transactional producer of the simulated broker.
 *
 * As with Kafka: beginning is the client's own affair, so a fenced producer learns of it when it next writes or ends; records
 * are in the log as soon as they are produced, open; an empty transaction never speaks to the broker; a transaction that ran
 * into an error that is neither retriable nor fatal must be aborted.
 *
 * Thread rule: a producer from one thread at a time; the broker's state under its lock.
 */
#include "sim_state.h"

#include <stdlib.h>
#include <string.h>

struct vcl_producer {
    vcl_sim *sim;
    vcl_sim_id *id;
    uint32_t epoch;
    bool in_transaction, must_abort;
    bool joined; /* the broker knows of the transaction */
    bool dead, fenced;
    int64_t next_offset; /* after the transaction's last record; -1: it has none */
};

static varve_status fail_dead(vcl_producer *p, varve_error *err) {
    if (p->fenced) {
        return vcl_sim_fail(err, VARVE_FENCED, VARVE_ERROR_FATAL | VARVE_ERROR_FENCED,
                            "transactional id %s: another producer has taken over", p->id->name);
    }
    return vcl_sim_fail(err, VARVE_KAFKA, VARVE_ERROR_FATAL, "transactional id %s: the producer failed for good", p->id->name);
}

static varve_status fail_fenced(vcl_producer *p, varve_error *err) {
    p->dead = p->fenced = true;
    return fail_dead(p, err);
}

/* The broker has done it, and the answer never came. */
static varve_status fail_lost(vcl_producer *p, varve_error *err) {
    p->dead = true;
    return vcl_sim_fail(err, VARVE_KAFKA, VARVE_ERROR_FATAL, "transactional id %s: simulated fault: the answer was lost",
                        p->id->name);
}

/* What keeps this call from being tried at all. *fault: VCL_SIM_LOST_ANSWER or VCL_SIM_NO_FAULT on success. */
static varve_status enter(vcl_producer *p, vcl_sim_point point, int *fault, varve_error *err) {
    *fault = VCL_SIM_NO_FAULT;
    if (p->dead) return fail_dead(p, err);
    int met = vcl_sim_next_fault(p->sim, point);
    if (p->sim->down) return vcl_sim_fail(err, VARVE_KAFKA, VARVE_ERROR_RETRIABLE, "the simulated broker is down");
    bool can_abort = point == VCL_SIM_PRODUCE || point == VCL_SIM_COMMIT;
    switch (met) {
    case VCL_SIM_NO_FAULT: return VARVE_OK;
    case VCL_SIM_LOST_ANSWER: *fault = met; return VARVE_OK;
    case VCL_SIM_FATAL: p->dead = true; return vcl_sim_fail(err, VARVE_KAFKA, VARVE_ERROR_FATAL, "simulated fault: fatal");
    case VCL_SIM_ABORTABLE:
        if (can_abort) {
            p->must_abort = true;
            return vcl_sim_fail(err, VARVE_KAFKA, 0, "simulated fault: the transaction must be aborted");
        }
        break;
    default: break;
    }
    return vcl_sim_fail(err, VARVE_KAFKA, VARVE_ERROR_RETRIABLE, "simulated fault: retriable");
}

static varve_status need_transaction(const vcl_producer *p, varve_error *err) {
    if (p->in_transaction) return VARVE_OK;
    return vcl_sim_fail(err, VARVE_INVALID, 0, "transactional id %s: no transaction has begun", p->id->name);
}

varve_status vcl_sim_producer_open(vcl_transport *transport, const char *transactional_id, uint32_t timeout_ms,
                                   vcl_producer **producer, varve_error *err) {
    vcl_sim *sim = ((vcl_sim_transport_handle *)transport)->sim;
    (void)timeout_ms;
    if (transactional_id[0] == '\0' || strlen(transactional_id) >= sizeof((vcl_sim_id *)NULL)->name) {
        return vcl_sim_fail(err, VARVE_INVALID, 0, "transactional id of %zu bytes; 1 to 255 are allowed", strlen(transactional_id));
    }
    vcl_producer *p = calloc(1, sizeof *p);
    if (!p) return vcl_sim_fail(err, VARVE_NOMEM, 0, "out of memory for a producer");
    p->sim = sim;
    int fault = VCL_SIM_NO_FAULT;
    varve_status st;
    pthread_mutex_lock(&sim->lock);
    p->id = vcl_sim_find_id(sim, transactional_id);
    if (!p->id) {
        st = vcl_sim_fail(err, VARVE_NOMEM, 0, "out of memory for transactional id %s", transactional_id);
        goto out;
    }
    st = enter(p, VCL_SIM_INIT, &fault, err);
    if (st != VARVE_OK) goto out;
    p->epoch = ++p->id->epoch;
    vcl_sim_end_transaction(sim, p->id, false);
    if (fault == VCL_SIM_LOST_ANSWER) st = fail_lost(p, err);
out:
    pthread_mutex_unlock(&sim->lock);
    if (st != VARVE_OK) {
        free(p);
        return st;
    }
    *producer = p;
    return VARVE_OK;
}

void vcl_sim_producer_close(vcl_producer *producer) {
    free(producer);
}

varve_status vcl_sim_producer_begin(vcl_producer *p, varve_error *err) {
    int fault;
    pthread_mutex_lock(&p->sim->lock);
    varve_status st = enter(p, VCL_SIM_BEGIN, &fault, err);
    if (st == VARVE_OK && p->in_transaction) {
        st = vcl_sim_fail(err, VARVE_INVALID, 0, "transactional id %s: a transaction is open already", p->id->name);
    }
    if (st == VARVE_OK) {
        p->in_transaction = true;
        p->must_abort = p->joined = false;
        p->next_offset = -1;
        if (fault == VCL_SIM_LOST_ANSWER) st = fail_lost(p, err);
    }
    pthread_mutex_unlock(&p->sim->lock);
    return st;
}

static bool join(vcl_sim_id *id, vcl_sim_topic *topic, int32_t partition) {
    for (size_t i = 0; i < id->participant_count; i++) {
        if (id->participants[i].topic == topic && id->participants[i].partition == partition) return true;
    }
    if (!vcl_sim_grow((void **)&id->participants, &id->participant_capacity, id->participant_count, sizeof *id->participants)) {
        return false;
    }
    id->participants[id->participant_count].topic = topic;
    id->participants[id->participant_count++].partition = partition;
    return true;
}

/* Appends one after the other, until one is refused. */
static varve_status append_all(vcl_producer *p, vcl_sim_topic *topic, int32_t partition, const vcl_record *records, size_t count,
                               varve_error *err) {
    vcl_sim_partition *log = &topic->partitions[partition];
    int64_t bytes_max = vcl_sim_config_number(topic, "max.message.bytes");
    for (size_t i = 0; i < count; i++) {
        const vcl_record *record = &records[i];
        size_t bytes = record->key.size + record->value.size + record->mark.size;
        if (bytes > (uint64_t)bytes_max) {
            return vcl_sim_fail(err, VARVE_TOO_LARGE, 0, "topic %s: record of %zu bytes; max.message.bytes is %lld", topic->name,
                                bytes, (long long)bytes_max);
        }
        int64_t timestamp_ms = record->timestamp_ms ? record->timestamp_ms : p->sim->now_ms;
        if (!vcl_sim_partition_append(log, p->id->producer_id, record, timestamp_ms)) {
            return vcl_sim_fail(err, VARVE_NOMEM, 0, "out of memory for a record");
        }
        p->next_offset = log->end;
    }
    return VARVE_OK;
}

varve_status vcl_sim_producer_produce(vcl_producer *p, const char *name, int32_t partition, const vcl_record *records, size_t count,
                                      varve_error *err) {
    int fault;
    pthread_mutex_lock(&p->sim->lock);
    varve_status st = enter(p, VCL_SIM_PRODUCE, &fault, err);
    if (st == VARVE_OK) st = need_transaction(p, err);
    if (st != VARVE_OK) goto out;
    if (p->must_abort) {
        st = vcl_sim_fail(err, VARVE_KAFKA, 0, "transactional id %s: the transaction must be aborted first", p->id->name);
        goto out;
    }
    if (p->epoch != p->id->epoch) {
        st = fail_fenced(p, err);
        goto out;
    }
    vcl_sim_topic *topic = vcl_sim_find_topic(p->sim, name);
    if (!topic || !vcl_sim_find_partition(p->sim, name, partition)) {
        st = vcl_sim_fail(err, VARVE_MISSING, 0, "there is no partition %d of topic %s", (int)partition, name);
    } else if (!join(p->id, topic, partition)) {
        st = vcl_sim_fail(err, VARVE_NOMEM, 0, "out of memory for a transaction");
    } else {
        p->joined = true;
        st = append_all(p, topic, partition, records, count, err);
    }
    if (st != VARVE_OK) p->must_abort = true;
    if (st == VARVE_OK && fault == VCL_SIM_LOST_ANSWER) st = fail_lost(p, err);
out:
    pthread_mutex_unlock(&p->sim->lock);
    return st;
}

/* Ends the transaction, if the broker knows of it. */
static varve_status end(vcl_producer *p, bool commit, varve_error *err) {
    if (p->joined) {
        if (p->epoch != p->id->epoch) return fail_fenced(p, err);
        vcl_sim_end_transaction(p->sim, p->id, commit);
    }
    p->in_transaction = p->must_abort = false;
    return VARVE_OK;
}

varve_status vcl_sim_producer_commit(vcl_producer *p, uint32_t timeout_ms, int64_t *next_offset, varve_error *err) {
    int fault;
    (void)timeout_ms;
    pthread_mutex_lock(&p->sim->lock);
    varve_status st = enter(p, VCL_SIM_COMMIT, &fault, err);
    if (st == VARVE_OK) st = need_transaction(p, err);
    if (st == VARVE_OK && p->must_abort) {
        st = vcl_sim_fail(err, VARVE_KAFKA, 0, "transactional id %s: the transaction must be aborted", p->id->name);
    }
    if (st == VARVE_OK) st = end(p, true, err);
    if (st == VARVE_OK && fault == VCL_SIM_LOST_ANSWER) st = fail_lost(p, err);
    if (st == VARVE_OK && next_offset) *next_offset = p->next_offset;
    pthread_mutex_unlock(&p->sim->lock);
    return st;
}

varve_status vcl_sim_producer_abort(vcl_producer *p, uint32_t timeout_ms, varve_error *err) {
    int fault;
    (void)timeout_ms;
    pthread_mutex_lock(&p->sim->lock);
    varve_status st = enter(p, VCL_SIM_ABORT, &fault, err);
    if (st == VARVE_OK) st = need_transaction(p, err);
    if (st == VARVE_OK) st = end(p, false, err);
    if (st == VARVE_OK && fault == VCL_SIM_LOST_ANSWER) st = fail_lost(p, err);
    pthread_mutex_unlock(&p->sim->lock);
    return st;
}
