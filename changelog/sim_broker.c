/*
 * sim_broker.c - the simulated broker itself: its clock, its chance, its faults, its topics and transactional ids, and
 * what a test does to it. See sim.h; locks and invariants in sim_state.h.
 */
#include "sim_state.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIM_START_MS 1600000000000 /* what the clock shows at first */

varve_status vcl_sim_fail(varve_error *err, varve_status code, uint32_t flags, const char *format, ...) {
    if (err) {
        *err = (varve_error){.code = code, .flags = flags};
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(err->message, sizeof err->message, format, arguments);
        va_end(arguments);
    }
    return code;
}

uint64_t vcl_sim_random(vcl_sim *sim) {
    uint64_t z = sim->random += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

bool vcl_sim_grow(void **array, size_t *capacity, size_t count, size_t element) {
    if (count < *capacity) return true;
    size_t next = *capacity ? *capacity * 2 : 8;
    void *grown = realloc(*array, next * element);
    if (!grown) return false;
    *array = grown;
    *capacity = next;
    return true;
}

/* --- Life ------------------------------------------------------------------------------------------------------- */

varve_status vcl_sim_create(uint64_t seed, vcl_sim **sim) {
    vcl_sim *s = calloc(1, sizeof *s);
    pthread_condattr_t monotonic;
    if (!s) return VARVE_NOMEM;
    s->random = seed;
    s->now_ms = SIM_START_MS;
    s->next_producer_id = 1000;
    pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&s->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    *sim = s;
    return VARVE_OK;
}

static void clear_partitions(vcl_sim_topic *topic) {
    for (int32_t i = 0; i < topic->partition_count; i++) vcl_sim_partition_clear(&topic->partitions[i]);
}

static void free_topic(vcl_sim_topic *topic) {
    clear_partitions(topic);
    free(topic->partitions);
    free(topic->configs);
    free(topic);
}

void vcl_sim_free(vcl_sim *sim) {
    if (!sim) return;
    while (sim->topics) {
        vcl_sim_topic *next = sim->topics->next;
        free_topic(sim->topics);
        sim->topics = next;
    }
    while (sim->ids) {
        vcl_sim_id *next = sim->ids->next;
        free(sim->ids->participants);
        free(sim->ids);
        sim->ids = next;
    }
    free(sim->script);
    pthread_cond_destroy(&sim->changed);
    pthread_mutex_destroy(&sim->lock);
    free(sim);
}

/* --- Clock, availability, faults -------------------------------------------------------------------------------- */

void vcl_sim_advance(vcl_sim *sim, int64_t ms) {
    pthread_mutex_lock(&sim->lock);
    sim->now_ms += ms;
    pthread_mutex_unlock(&sim->lock);
}

int64_t vcl_sim_now(vcl_sim *sim) {
    pthread_mutex_lock(&sim->lock);
    int64_t now_ms = sim->now_ms;
    pthread_mutex_unlock(&sim->lock);
    return now_ms;
}

void vcl_sim_set_down(vcl_sim *sim, bool down) {
    pthread_mutex_lock(&sim->lock);
    sim->down = down;
    pthread_cond_broadcast(&sim->changed);
    pthread_mutex_unlock(&sim->lock);
}

void vcl_sim_fault_at(vcl_sim *sim, vcl_sim_point point, uint64_t nth, vcl_sim_fault fault) {
    pthread_mutex_lock(&sim->lock);
    if (vcl_sim_grow((void **)&sim->script, &sim->script_capacity, sim->script_count, sizeof *sim->script)) {
        sim->script[sim->script_count++] = (vcl_sim_script){.point = point, .fault = fault, .call = sim->calls[point] + nth};
    }
    pthread_mutex_unlock(&sim->lock);
}

void vcl_sim_fault_rate(vcl_sim *sim, uint32_t per_million) {
    pthread_mutex_lock(&sim->lock);
    sim->fault_per_million = per_million;
    pthread_mutex_unlock(&sim->lock);
}

int vcl_sim_next_fault(vcl_sim *sim, vcl_sim_point point) {
    uint64_t call = ++sim->calls[point];
    for (size_t i = 0; i < sim->script_count; i++) {
        if (sim->script[i].point != point || sim->script[i].call != call) continue;
        int fault = (int)sim->script[i].fault;
        sim->script[i] = sim->script[--sim->script_count];
        return fault;
    }
    if (sim->fault_per_million > 0 && vcl_sim_random(sim) % 1000000 < sim->fault_per_million) {
        return (int)(vcl_sim_random(sim) % 4);
    }
    return VCL_SIM_NO_FAULT;
}

/* --- Topics ----------------------------------------------------------------------------------------------------- */

/* What a broker knows of topic settings, with its defaults. Others are refused, as a broker refuses them. */
static const vcl_sim_config known_configs[] = {
    {"cleanup.policy", "delete"},
    {"compression.type", "producer"},
    {"delete.retention.ms", "86400000"},
    {"file.delete.delay.ms", "60000"},
    {"flush.messages", "9223372036854775807"},
    {"flush.ms", "9223372036854775807"},
    {"index.interval.bytes", "4096"},
    {"max.compaction.lag.ms", "9223372036854775807"},
    {"max.message.bytes", "1048588"},
    {"message.timestamp.type", "CreateTime"},
    {"min.cleanable.dirty.ratio", "0.5"},
    {"min.compaction.lag.ms", "0"},
    {"min.insync.replicas", "1"},
    {"preallocate", "false"},
    {"retention.bytes", "-1"},
    {"retention.ms", "604800000"},
    {"segment.bytes", "1073741824"},
    {"segment.index.bytes", "10485760"},
    {"segment.jitter.ms", "0"},
    {"segment.ms", "604800000"},
    {"unclean.leader.election.enable", "false"},
};

const char *vcl_sim_config_get(const vcl_sim_topic *topic, const char *name) {
    for (size_t i = topic->config_count; i-- > 0;) {
        if (strcmp(topic->configs[i].name, name) == 0) return topic->configs[i].value;
    }
    for (size_t i = 0; i < sizeof known_configs / sizeof *known_configs; i++) {
        if (strcmp(known_configs[i].name, name) == 0) return known_configs[i].value;
    }
    return NULL;
}

int64_t vcl_sim_config_number(const vcl_sim_topic *topic, const char *name) {
    const char *value = vcl_sim_config_get(topic, name);
    return value ? strtoll(value, NULL, 10) : INT64_MIN;
}

vcl_sim_topic *vcl_sim_find_topic(vcl_sim *sim, const char *name) {
    vcl_sim_topic *topic = sim->topics;
    while (topic && strcmp(topic->name, name) != 0) topic = topic->next;
    return topic;
}

vcl_sim_partition *vcl_sim_find_partition(vcl_sim *sim, const char *name, int32_t partition) {
    vcl_sim_topic *topic = vcl_sim_find_topic(sim, name);
    if (!topic || partition < 0 || partition >= topic->partition_count) return NULL;
    return &topic->partitions[partition];
}

static void new_topic_id(vcl_sim *sim, vcl_sim_topic *topic) {
    for (size_t i = 0; i < sizeof topic->id; i++) topic->id[i] = (uint8_t)vcl_sim_random(sim);
}

static varve_status check_spec(const char *name, const vcl_topic_spec *spec, varve_error *err) {
    static const vcl_sim_topic defaults = {0};
    if (name[0] == '\0' || strlen(name) > 249) {
        return vcl_sim_fail(err, VARVE_INVALID, 0, "topic name of %zu bytes; 1 to 249 are allowed", strlen(name));
    }
    if (spec->partitions < 1) {
        return vcl_sim_fail(err, VARVE_INVALID, 0, "topic %s: %d partitions; at least 1 is allowed", name, (int)spec->partitions);
    }
    if (spec->replication != -1 && (spec->replication < 1 || spec->replication > VCL_SIM_REPLICAS_MAX)) {
        return vcl_sim_fail(err, VARVE_INVALID, 0, "topic %s: replication factor %d; the cluster has %d brokers", name,
                            (int)spec->replication, VCL_SIM_REPLICAS_MAX);
    }
    for (size_t i = 0; i < spec->config_count; i++) {
        const varve_kafka_setting *config = &spec->configs[i];
        if (!vcl_sim_config_get(&defaults, config->name)) {
            return vcl_sim_fail(err, VARVE_INVALID, 0, "topic %s: unknown configuration %s", name, config->name);
        }
        if (strlen(config->value) >= sizeof((vcl_sim_config *)NULL)->value) {
            return vcl_sim_fail(err, VARVE_INVALID, 0, "topic %s: value of %s is too long", name, config->name);
        }
    }
    return VARVE_OK;
}

varve_status vcl_sim_topic_create(vcl_sim *sim, const char *name, const vcl_topic_spec *spec, varve_error *err) {
    varve_status st = check_spec(name, spec, err);
    if (st != VARVE_OK) return st;
    if (vcl_sim_find_topic(sim, name)) return vcl_sim_fail(err, VARVE_EXISTS, 0, "topic %s exists already", name);
    vcl_sim_topic *topic = calloc(1, sizeof *topic);
    if (!topic) goto no_memory;
    topic->partitions = calloc((size_t)spec->partitions, sizeof *topic->partitions);
    topic->configs = calloc(spec->config_count + 1, sizeof *topic->configs);
    if (!topic->partitions || !topic->configs) goto no_memory;
    snprintf(topic->name, sizeof topic->name, "%s", name);
    topic->partition_count = spec->partitions;
    topic->replication = spec->replication == -1 ? 1 : spec->replication;
    topic->config_count = spec->config_count;
    for (size_t i = 0; i < spec->config_count; i++) {
        snprintf(topic->configs[i].name, sizeof topic->configs[i].name, "%s", spec->configs[i].name);
        snprintf(topic->configs[i].value, sizeof topic->configs[i].value, "%s", spec->configs[i].value);
    }
    new_topic_id(sim, topic);
    topic->next = sim->topics;
    sim->topics = topic;
    return VARVE_OK;
no_memory:
    if (topic) free_topic(topic);
    return vcl_sim_fail(err, VARVE_NOMEM, 0, "out of memory for topic %s", name);
}

/* --- Transactional ids ------------------------------------------------------------------------------------------ */

vcl_sim_id *vcl_sim_find_id(vcl_sim *sim, const char *name) {
    vcl_sim_id *id = sim->ids;
    while (id && strcmp(id->name, name) != 0) id = id->next;
    if (id) return id;
    id = calloc(1, sizeof *id);
    if (!id) return NULL;
    snprintf(id->name, sizeof id->name, "%s", name);
    id->producer_id = sim->next_producer_id++;
    id->next = sim->ids;
    sim->ids = id;
    return id;
}

void vcl_sim_end_transaction(vcl_sim *sim, vcl_sim_id *id, bool commit) {
    for (size_t i = 0; i < id->participant_count; i++) {
        vcl_sim_partition *p = &id->participants[i].topic->partitions[id->participants[i].partition];
        vcl_sim_partition_end(p, id->producer_id, commit, sim->now_ms);
    }
    id->participant_count = 0;
    pthread_cond_broadcast(&sim->changed);
}

void vcl_sim_expire_transactions(vcl_sim *sim) {
    pthread_mutex_lock(&sim->lock);
    for (vcl_sim_id *id = sim->ids; id; id = id->next) {
        if (id->participant_count == 0) continue;
        id->epoch++;
        vcl_sim_end_transaction(sim, id, false);
    }
    pthread_mutex_unlock(&sim->lock);
}

/* --- Damage and looks ------------------------------------------------------------------------------------------- */

void vcl_sim_compact(vcl_sim *sim, const char *topic, int32_t partition, int64_t dirty_records) {
    pthread_mutex_lock(&sim->lock);
    vcl_sim_partition *p = vcl_sim_find_partition(sim, topic, partition);
    if (p) {
        const vcl_sim_topic *t = vcl_sim_find_topic(sim, topic);
        if (strstr(vcl_sim_config_get(t, "cleanup.policy"), "compact")) {
            vcl_sim_partition_compact(p, dirty_records, sim->now_ms, vcl_sim_config_number(t, "delete.retention.ms"));
        }
    }
    pthread_mutex_unlock(&sim->lock);
}

void vcl_sim_truncate(vcl_sim *sim, const char *topic, int32_t partition, int64_t offset) {
    pthread_mutex_lock(&sim->lock);
    vcl_sim_partition *p = vcl_sim_find_partition(sim, topic, partition);
    if (p) vcl_sim_partition_truncate(p, offset);
    pthread_cond_broadcast(&sim->changed);
    pthread_mutex_unlock(&sim->lock);
}

void vcl_sim_set_start(vcl_sim *sim, const char *topic, int32_t partition, int64_t offset) {
    pthread_mutex_lock(&sim->lock);
    vcl_sim_partition *p = vcl_sim_find_partition(sim, topic, partition);
    if (p) vcl_sim_partition_set_start(p, offset);
    pthread_cond_broadcast(&sim->changed);
    pthread_mutex_unlock(&sim->lock);
}

/* Open transactions lose the deleted topic as a participant: their commit no longer says anything about it. */
void vcl_sim_recreate(vcl_sim *sim, const char *name) {
    pthread_mutex_lock(&sim->lock);
    vcl_sim_topic *topic = vcl_sim_find_topic(sim, name);
    if (topic) {
        for (vcl_sim_id *id = sim->ids; id; id = id->next) {
            size_t kept = 0;
            for (size_t i = 0; i < id->participant_count; i++) {
                if (id->participants[i].topic != topic) id->participants[kept++] = id->participants[i];
            }
            id->participant_count = kept;
        }
        clear_partitions(topic);
        new_topic_id(sim, topic);
        pthread_cond_broadcast(&sim->changed);
    }
    pthread_mutex_unlock(&sim->lock);
}

bool vcl_sim_append(vcl_sim *sim, const char *topic, int32_t partition, const char *key, const char *value) {
    vcl_record record = {.key = varve_str(key), .value = varve_str(value), .tombstone = !value};
    pthread_mutex_lock(&sim->lock);
    vcl_sim_partition *p = vcl_sim_find_partition(sim, topic, partition);
    bool done = p && vcl_sim_partition_append_alone(p, sim->next_producer_id++, &record, sim->now_ms);
    pthread_cond_broadcast(&sim->changed);
    pthread_mutex_unlock(&sim->lock);
    return done;
}

void vcl_sim_flip(vcl_sim *sim, const char *topic, int32_t partition, int64_t offset, size_t byte) {
    pthread_mutex_lock(&sim->lock);
    vcl_sim_partition *p = vcl_sim_find_partition(sim, topic, partition);
    size_t i = p ? vcl_sim_partition_seek(p, offset) : 0;
    if (p && i < p->count && p->entries[i].offset == offset) {
        vcl_sim_entry *entry = &p->entries[i];
        if (byte < entry->key_size + entry->value_size + entry->mark_size) entry->bytes[byte] ^= 1;
    }
    pthread_mutex_unlock(&sim->lock);
}

void vcl_sim_dump(vcl_sim *sim, const char *topic, int32_t partition, vcl_sim_visit visit, void *context) {
    pthread_mutex_lock(&sim->lock);
    vcl_sim_partition *p = vcl_sim_find_partition(sim, topic, partition);
    for (size_t i = 0; p && i < p->count; i++) {
        if (p->entries[i].marker) continue;
        vcl_record record;
        vcl_sim_entry_record(&p->entries[i], &record);
        visit(context, &record, p->entries[i].committed);
    }
    pthread_mutex_unlock(&sim->lock);
}
