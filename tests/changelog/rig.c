/*
 * tests/changelog/rig.c - what the changelog's tests share.
 */
#include "rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "mark.h"

/* --- The rig -------------------------------------------------------------------------------------------------------- */

static int64_t sim_clock(void *context) {
    return vcl_sim_now(context);
}

vcl_clock rig_clock(test_rig *rig) {
    return (vcl_clock){sim_clock, rig->sim};
}

void rig_open(test_rig *rig, uint64_t seed) {
    memset(rig, 0, sizeof *rig);
    cr_assert_eq(vcl_sim_create(seed, &rig->sim), VARVE_OK);
    snprintf(rig->dir, sizeof rig->dir, "/tmp/varve-changelog-XXXXXX");
    cr_assert(mkdtemp(rig->dir) != NULL);
    rig->options = (varve_changelog_options){.size = sizeof rig->options,
                                             .brokers = "sim:9092",
                                             .topic = RIG_TOPIC,
                                             .commit_interval_ms = 2,
                                             .timeout_ms = 2000};
}

static void remove_tree(const char *path) {
    char command[256];
    snprintf(command, sizeof command, "rm -rf '%s'", path);
    cr_assert_eq(system(command), 0);
}

void rig_close(test_rig *rig) {
    vcl_sim_free(rig->sim);
    remove_tree(rig->dir);
}

/* --- Nodes ---------------------------------------------------------------------------------------------------------- */

static void print_diag(void *context, const char *line) {
    if (getenv("RIG_DIAG")) fprintf(stderr, "%s: %s\n", (const char *)context, line);
}

static void open_path(test_node *node) {
    varve_options options = {.size = sizeof options,
                             .create = true,
                             .memory = 32u << 20,
                             .wal_segment_bytes = 1u << 20,
                             .diag = print_diag,
                             .diag_context = node->path};
    must(varve_open(node->path, &options, &node->db, err));
    must(varve_store_open(node->db, "users", NULL, &node->store, err));
}

void node_open(test_node *node, test_rig *rig, const char *name) {
    memset(node, 0, sizeof *node);
    node->rig = rig;
    snprintf(node->path, sizeof node->path, "%s/%s", rig->dir, name);
    open_path(node);
}

static vcl_transport *sim_transport(test_rig *rig) {
    vcl_transport *transport;
    cr_assert_eq(vcl_sim_transport(rig->sim, &transport), VARVE_OK);
    return transport;
}

static varve_changelog_options node_options(test_node *node) {
    varve_changelog_options options = node->rig->options;
    options.diag = print_diag;
    options.diag_context = node->path;
    return options;
}

varve_status node_bind(test_node *node, varve_error *err) {
    varve_changelog_options options = node_options(node);
    return vcl_changelog_open_on(sim_transport(node->rig), node->store, &options, rig_clock(node->rig), &node->log, err);
}

varve_status node_bind_hooked(test_node *node, const test_hook *hook, varve_error *err) {
    varve_changelog_options options = node_options(node);
    return vcl_changelog_open_on(hook_transport(sim_transport(node->rig), hook), node->store, &options, rig_clock(node->rig),
                                 &node->log, err);
}

void node_bind_ok(test_node *node) {
    must(node_bind(node, err));
}

varve_status node_restore(test_node *node, varve_restore_progress *result, varve_error *err) {
    varve_changelog_options options = node_options(node);
    return vcl_changelog_restore_on(sim_transport(node->rig), node->store, &options, rig_clock(node->rig), result, err);
}

varve_status node_verify(test_node *node, varve_verify_result *result, varve_error *err) {
    char scratch[160];
    snprintf(scratch, sizeof scratch, "%s-scratch", node->path);
    varve_changelog_options options = node_options(node);
    varve_status status = vcl_changelog_verify_on(sim_transport(node->rig), node->store, &options, rig_clock(node->rig), scratch,
                                                  NULL, NULL, result, err);
    cr_assert(access(scratch, F_OK) != 0, "the scratch directory is left behind");
    return status;
}

void node_unbind(test_node *node) {
    must(varve_changelog_close(node->log, err));
    node->log = NULL;
}

void node_close(test_node *node) {
    if (node->log) node_unbind(node);
    varve_store_close(node->store);
    must(varve_close(node->db, err));
    node->db = NULL;
}

void node_flush(test_node *node) {
    must(varve_changelog_flush(node->log, 10000, err));
}

varve_changelog_stats node_stats(test_node *node) {
    varve_changelog_stats stats = {.size = sizeof stats};
    must(varve_changelog_stats_get(node->log, &stats, err));
    return stats;
}

void node_copy(const test_node *from, test_node *to, const char *name) {
    memset(to, 0, sizeof *to);
    to->rig = from->rig;
    snprintf(to->path, sizeof to->path, "%s/%s", from->rig->dir, name);
    char command[500];
    snprintf(command, sizeof command, "rm -rf '%s' && cp -r '%s' '%s' 2>/dev/null", to->path, from->path, to->path);
    /* A segment that is being made ready may be renamed under the copy: then the copy is made again. */
    int failed = 1;
    for (int attempt = 0; attempt < 20 && failed; attempt++) failed = system(command);
    cr_assert_eq(failed, 0);
    open_path(to);
}

/* --- The model ------------------------------------------------------------------------------------------------------ */

uint64_t rig_random(uint64_t *state) {
    *state += 0x9e3779b97f4a7c15u;
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static varve_slice key_of(unsigned key, char text[16]) {
    snprintf(text, 16, "key-%04u", key);
    return varve_str(text);
}

static varve_slice value_of(uint64_t value, char text[32]) {
    snprintf(text, 32, "%020llu", (unsigned long long)value);
    return varve_str(text);
}

static unsigned key_number(varve_slice key) {
    char text[16] = {0};
    cr_assert(key.size == 8);
    memcpy(text, key.data, key.size);
    return (unsigned)strtoul(text + 4, NULL, 10);
}

static uint64_t value_number(varve_slice value) {
    char text[32] = {0};
    cr_assert(value.size == 20);
    memcpy(text, value.data, value.size);
    return strtoull(text, NULL, 10);
}

void model_put(test_model *model, test_node *node, unsigned key) {
    char k[16], v[32];
    model->values[key] = ++model->last;
    must(varve_put(node->store, key_of(key, k), value_of(model->last, v), err));
}

void model_delete(test_model *model, test_node *node, unsigned key) {
    char k[16];
    model->values[key] = 0;
    must(varve_delete(node->store, key_of(key, k), err));
}

void model_random(test_model *model, test_node *node, uint64_t *random, unsigned count) {
    varve_batch *batch;
    must(varve_batch_create(&batch, err));
    while (count > 0) {
        unsigned in_batch = 1 + (unsigned)(rig_random(random) % 5);
        if (in_batch > count) in_batch = count;
        varve_batch_clear(batch);
        for (unsigned i = 0; i < in_batch; i++) {
            unsigned key = (unsigned)(rig_random(random) % RIG_KEYS);
            char k[16], v[32];
            if (rig_random(random) % 4 == 0) {
                model->values[key] = 0;
                must(varve_batch_delete(batch, node->store, key_of(key, k), err));
            } else {
                model->values[key] = ++model->last;
                must(varve_batch_put(batch, node->store, key_of(key, k), value_of(model->last, v), err));
            }
        }
        must(varve_write(node->db, batch, NULL, err));
        count -= in_batch;
    }
    varve_batch_free(batch);
}

void model_replicate(const test_model *model, test_node *node, unsigned from, unsigned to) {
    varve_batch *batch;
    must(varve_batch_create(&batch, err));
    for (unsigned key = from; key < to; key++) {
        char k[16], v[32];
        varve_slice value = value_of(model->values[key], v);
        if (model->values[key])
            must(varve_batch_put(batch, node->store, key_of(key, k), value, err));
        else
            must(varve_batch_delete(batch, node->store, key_of(key, k), err));
    }
    varve_write_options options = {.size = sizeof options, .replica = true};
    if (to > from) must(varve_write(node->db, batch, &options, err));
    varve_batch_free(batch);
}

static bool same(const test_model *a, const uint64_t values[RIG_KEYS], const char *what) {
    for (unsigned i = 0; i < RIG_KEYS; i++) {
        if (a->values[i] == values[i]) continue;
        fprintf(stderr, "%s: key %u is %llu, should be %llu\n", what, i, (unsigned long long)values[i],
                (unsigned long long)a->values[i]);
        return false;
    }
    return true;
}

bool store_is(test_node *node, const test_model *model) {
    uint64_t values[RIG_KEYS] = {0};
    varve_iterator *it;
    must(varve_iterator_open(node->store, NULL, &it, err));
    varve_status status;
    while ((status = varve_iterator_next(it)) == VARVE_OK) {
        values[key_number(varve_iterator_key(it))] = value_number(varve_iterator_value(it));
    }
    cr_assert_eq(status, VARVE_NOT_FOUND);
    varve_iterator_close(it);
    return same(model, values, node->path);
}

typedef struct log_view {
    uint64_t until; /* records to look at; 0: all */
    uint64_t values[RIG_KEYS];
    uint64_t count, marks, newest;
    bool ordered;
} log_view;

static void view_record(void *context, const vcl_record *record, int committed) {
    log_view *view = context;
    if (committed != 1 || (view->until && view->count == view->until)) return;
    unsigned key = key_number(record->key);
    uint64_t value = record->tombstone ? 0 : value_number(record->value);
    view->values[key] = value;
    view->count++;
    if (record->mark.data) view->marks++;
    if (record->tombstone) return;
    if (value <= view->newest) view->ordered = false;
    view->newest = value;
}

static log_view view_log(test_rig *rig) {
    log_view view = {.ordered = true};
    vcl_sim_dump(rig->sim, RIG_TOPIC, 0, view_record, &view);
    return view;
}

void log_until(test_rig *rig, uint64_t count, test_model *model) {
    log_view view = {.until = count, .ordered = true};
    vcl_sim_dump(rig->sim, RIG_TOPIC, 0, view_record, &view);
    memcpy(model->values, view.values, sizeof model->values);
    model->last = view.newest;
}

bool log_is(test_rig *rig, const test_model *model) {
    log_view view = view_log(rig);
    return same(model, view.values, "log");
}

uint64_t log_count(test_rig *rig, bool *ordered) {
    log_view view = view_log(rig);
    if (ordered) *ordered = view.ordered;
    return view.count;
}

uint64_t log_marks(test_rig *rig) {
    return view_log(rig).marks;
}

/* --- Hooks ---------------------------------------------------------------------------------------------------------- */

typedef struct hooked {
    vcl_transport transport;
    vcl_transport *inner;
    test_hook hook;
} hooked;

/* Producers and consumers are wrapped too, because their calls do not name the transport. */
struct vcl_producer_box {
    hooked *owner;
    vcl_producer *inner;
};

struct vcl_consumer_box {
    hooked *owner;
    vcl_consumer *inner;
};

#define OWNER(t) ((hooked *)(t))
#define PRODUCER(p) ((struct vcl_producer_box *)(p))
#define CONSUMER(c) ((struct vcl_consumer_box *)(c))

static varve_status ask(hooked *owner, hook_point point, varve_error *err) {
    return owner->hook.fn ? owner->hook.fn(owner->hook.context, point, err) : VARVE_OK;
}

static void hook_close(vcl_transport *transport) {
    hooked *owner = OWNER(transport);
    owner->inner->ops->close(owner->inner);
    free(owner);
}

static varve_status hook_describe(vcl_transport *transport, const char *topic, uint32_t timeout_ms, vcl_topic_info *info,
                                  varve_error *err) {
    return OWNER(transport)->inner->ops->describe_topic(OWNER(transport)->inner, topic, timeout_ms, info, err);
}

static varve_status hook_create(vcl_transport *transport, const char *topic, const vcl_topic_spec *spec, uint32_t timeout_ms,
                                varve_error *err) {
    return OWNER(transport)->inner->ops->create_topic(OWNER(transport)->inner, topic, spec, timeout_ms, err);
}

static varve_status hook_offsets(vcl_transport *transport, const char *topic, int32_t partition, uint32_t timeout_ms,
                                 vcl_offsets *offsets, varve_error *err) {
    return OWNER(transport)->inner->ops->offsets(OWNER(transport)->inner, topic, partition, timeout_ms, offsets, err);
}

static varve_status hook_producer_open(vcl_transport *transport, const char *id, uint32_t timeout_ms, vcl_producer **producer,
                                       varve_error *err) {
    varve_status status = ask(OWNER(transport), HOOK_INIT, err);
    if (status != VARVE_OK) return status;
    struct vcl_producer_box *box = calloc(1, sizeof *box);
    cr_assert(box != NULL);
    box->owner = OWNER(transport);
    status = box->owner->inner->ops->producer_open(box->owner->inner, id, timeout_ms, &box->inner, err);
    if (status != VARVE_OK)
        free(box);
    else
        *producer = (vcl_producer *)box;
    return status;
}

static void hook_producer_close(vcl_producer *producer) {
    PRODUCER(producer)->owner->inner->ops->producer_close(PRODUCER(producer)->inner);
    free(producer);
}

static varve_status hook_begin(vcl_producer *producer, varve_error *err) {
    varve_status status = ask(PRODUCER(producer)->owner, HOOK_BEGIN, err);
    return status == VARVE_OK ? PRODUCER(producer)->owner->inner->ops->begin(PRODUCER(producer)->inner, err) : status;
}

static varve_status hook_produce(vcl_producer *producer, const char *topic, int32_t partition, const vcl_record *records,
                                 size_t count, varve_error *err) {
    struct vcl_producer_box *box = PRODUCER(producer);
    varve_status status = ask(box->owner, HOOK_PRODUCE, err);
    if (status != VARVE_OK) return status;
    return box->owner->inner->ops->produce(box->inner, topic, partition, records, count, err);
}

static varve_status hook_commit(vcl_producer *producer, uint32_t timeout_ms, int64_t *next_offset, varve_error *err) {
    struct vcl_producer_box *box = PRODUCER(producer);
    varve_status status = ask(box->owner, HOOK_COMMIT, err);
    if (status == VARVE_OK) status = box->owner->inner->ops->commit(box->inner, timeout_ms, next_offset, err);
    return status == VARVE_OK ? ask(box->owner, HOOK_COMMITTED, err) : status;
}

static varve_status hook_abort(vcl_producer *producer, uint32_t timeout_ms, varve_error *err) {
    return PRODUCER(producer)->owner->inner->ops->abort(PRODUCER(producer)->inner, timeout_ms, err);
}

static varve_status hook_consumer_open(vcl_transport *transport, const char *topic, int32_t partition, int64_t offset,
                                       vcl_consumer **consumer, varve_error *err) {
    struct vcl_consumer_box *box = calloc(1, sizeof *box);
    cr_assert(box != NULL);
    box->owner = OWNER(transport);
    varve_status status = box->owner->inner->ops->consumer_open(box->owner->inner, topic, partition, offset, &box->inner, err);
    if (status != VARVE_OK)
        free(box);
    else
        *consumer = (vcl_consumer *)box;
    return status;
}

static void hook_consumer_close(vcl_consumer *consumer) {
    CONSUMER(consumer)->owner->inner->ops->consumer_close(CONSUMER(consumer)->inner);
    free(consumer);
}

static varve_status hook_poll(vcl_consumer *consumer, uint32_t timeout_ms, const vcl_record **records, size_t *count,
                              varve_error *err) {
    varve_status status = ask(CONSUMER(consumer)->owner, HOOK_POLL, err);
    if (status != VARVE_OK) return status;
    return CONSUMER(consumer)->owner->inner->ops->poll(CONSUMER(consumer)->inner, timeout_ms, records, count, err);
}

static int64_t hook_position(vcl_consumer *consumer) {
    return CONSUMER(consumer)->owner->inner->ops->position(CONSUMER(consumer)->inner);
}

static const vcl_transport_ops hook_ops = {.close = hook_close,
                                           .describe_topic = hook_describe,
                                           .create_topic = hook_create,
                                           .offsets = hook_offsets,
                                           .producer_open = hook_producer_open,
                                           .producer_close = hook_producer_close,
                                           .begin = hook_begin,
                                           .produce = hook_produce,
                                           .commit = hook_commit,
                                           .abort = hook_abort,
                                           .consumer_open = hook_consumer_open,
                                           .consumer_close = hook_consumer_close,
                                           .poll = hook_poll,
                                           .position = hook_position};

vcl_transport *hook_transport(vcl_transport *inner, const test_hook *hook) {
    hooked *owner = calloc(1, sizeof *owner);
    cr_assert(owner != NULL);
    owner->transport.ops = &hook_ops;
    owner->inner = inner;
    owner->hook = *hook;
    return &owner->transport;
}
