/*
 * sim_consumer.c - a reader of the simulated broker: committed records, up to the last stable offset, control and aborted
 * records passed over. A poll returns a number of records that the seed decides, so that readers meet every boundary.
 *
 * Thread rule: a consumer from one thread at a time; the broker's state under its lock. The records of a poll are copies, so
 * the broker may clean and truncate meanwhile.
 */
#include "sim_state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct vcl_consumer {
    vcl_sim *sim;
    char topic[256];
    int32_t partition;
    int64_t position;
    bool dead;
    vcl_record *records;
    size_t record_capacity;
    char *bytes; /* what the records point into */
};

varve_status vcl_sim_consumer_open(vcl_transport *transport, const char *topic, int32_t partition, int64_t offset,
                                   vcl_consumer **consumer, varve_error *err) {
    vcl_sim *sim = ((vcl_sim_transport_handle *)transport)->sim;
    vcl_consumer *c = calloc(1, sizeof *c);
    if (!c) return vcl_sim_fail(err, VARVE_NOMEM, 0, "out of memory for a consumer");
    varve_status st = VARVE_OK;
    pthread_mutex_lock(&sim->lock);
    if (sim->down) {
        st = vcl_sim_fail(err, VARVE_KAFKA, VARVE_ERROR_RETRIABLE, "the simulated broker is down");
    } else if (!vcl_sim_find_partition(sim, topic, partition)) {
        st = vcl_sim_fail(err, VARVE_MISSING, 0, "there is no partition %d of topic %s", (int)partition, topic);
    }
    pthread_mutex_unlock(&sim->lock);
    if (st != VARVE_OK) {
        free(c);
        return st;
    }
    c->sim = sim;
    memcpy(c->topic, topic, strlen(topic) + 1); /* as long as that of the topic it names */
    c->partition = partition;
    c->position = offset;
    *consumer = c;
    return VARVE_OK;
}

static void release_records(vcl_consumer *c) {
    free(c->bytes);
    c->bytes = NULL;
}

void vcl_sim_consumer_close(vcl_consumer *c) {
    if (!c) return;
    release_records(c);
    free(c->records);
    free(c);
}

int64_t vcl_sim_consumer_position(vcl_consumer *c) {
    return c->position;
}

/* Whether the reader at this position may see the entry. */
static bool visible(const vcl_sim_entry *entry) {
    return !entry->marker && entry->committed > 0;
}

/* Copies the slice to *at, moving it on. */
static varve_slice copy(char **at, varve_slice slice) {
    if (!slice.data) return slice;
    if (slice.size > 0) memcpy(*at, slice.data, slice.size);
    varve_slice copied = varve_bytes(*at, slice.size);
    *at += slice.size;
    return copied;
}

/* Takes up to `most` records from the position on; moves the position past all that was looked at. */
static varve_status fetch(vcl_consumer *c, const vcl_sim_partition *p, size_t most, size_t *count, varve_error *err) {
    int64_t stable_end = vcl_sim_partition_stable_end(p);
    size_t first = vcl_sim_partition_seek(p, c->position), last = first, found = 0, bytes = 1;
    for (; last < p->count && p->entries[last].offset < stable_end && found < most; last++) {
        const vcl_sim_entry *entry = &p->entries[last];
        if (!visible(entry)) continue;
        if (!vcl_sim_grow((void **)&c->records, &c->record_capacity, found, sizeof *c->records)) goto no_memory;
        bytes += entry->key_size + entry->value_size + entry->mark_size;
        found++;
    }
    if (found > 0) {
        c->bytes = malloc(bytes);
        if (!c->bytes) goto no_memory;
    }
    char *at = c->bytes;
    size_t n = 0;
    for (size_t i = first; i < last; i++) {
        if (!visible(&p->entries[i])) continue;
        vcl_record *record = &c->records[n++];
        vcl_sim_entry_record(&p->entries[i], record);
        record->key = copy(&at, record->key);
        record->value = copy(&at, record->value);
        record->mark = copy(&at, record->mark);
    }
    if (last == p->count || p->entries[last].offset >= stable_end) {
        if (c->position < stable_end) c->position = stable_end;
    } else {
        c->position = p->entries[last - 1].offset + 1;
    }
    *count = found;
    return VARVE_OK;
no_memory:
    return vcl_sim_fail(err, VARVE_NOMEM, 0, "out of memory for records of topic %s", c->topic);
}

static varve_status check(vcl_consumer *c, varve_error *err) {
    if (c->dead) return vcl_sim_fail(err, VARVE_KAFKA, VARVE_ERROR_FATAL, "topic %s: the consumer failed for good", c->topic);
    int met = vcl_sim_next_fault(c->sim, VCL_SIM_POLL);
    if (c->sim->down) return vcl_sim_fail(err, VARVE_KAFKA, VARVE_ERROR_RETRIABLE, "the simulated broker is down");
    if (met == VCL_SIM_NO_FAULT) return VARVE_OK;
    if (met == VCL_SIM_FATAL || met == VCL_SIM_LOST_ANSWER) {
        c->dead = true;
        return vcl_sim_fail(err, VARVE_KAFKA, VARVE_ERROR_FATAL, "simulated fault: fatal");
    }
    return vcl_sim_fail(err, VARVE_KAFKA, VARVE_ERROR_RETRIABLE, "simulated fault: retriable");
}

static struct timespec deadline_in(uint32_t timeout_ms) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += timeout_ms / 1000;
    at.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000;
    }
    return at;
}

varve_status vcl_sim_consumer_poll(vcl_consumer *c, uint32_t timeout_ms, const vcl_record **records, size_t *count,
                                   varve_error *err) {
    struct timespec deadline = deadline_in(timeout_ms);
    size_t found = 0;
    bool late = timeout_ms == 0;
    release_records(c);
    pthread_mutex_lock(&c->sim->lock);
    varve_status st = check(c, err);
    size_t most = 1 + vcl_sim_random(c->sim) % VCL_SIM_POLL_RECORDS_MAX;
    while (st == VARVE_OK) {
        const vcl_sim_partition *p = vcl_sim_find_partition(c->sim, c->topic, c->partition);
        if (!p) {
            st = vcl_sim_fail(err, VARVE_MISSING, 0, "there is no partition %d of topic %s", (int)c->partition, c->topic);
        } else if (c->position < p->start || c->position > p->end) {
            st = vcl_sim_fail(err, VARVE_MISSING, 0, "topic %s partition %d: offset %lld was asked for, the log holds %lld to %lld",
                              c->topic, (int)c->partition, (long long)c->position, (long long)p->start, (long long)p->end);
        } else {
            st = fetch(c, p, most, &found, err);
        }
        if (st != VARVE_OK || found > 0 || late) break;
        late = pthread_cond_timedwait(&c->sim->changed, &c->sim->lock, &deadline) == ETIMEDOUT;
        if (c->sim->down) st = vcl_sim_fail(err, VARVE_KAFKA, VARVE_ERROR_RETRIABLE, "the simulated broker is down");
    }
    pthread_mutex_unlock(&c->sim->lock);
    if (st != VARVE_OK) return st;
    *records = c->records;
    *count = found;
    return VARVE_OK;
}
