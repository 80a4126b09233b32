/*
 * tests/changelog/rig.h - what the changelog's tests share: a simulated broker, databases in a temporary directory, a model of
 * what a store should hold, and a transport that tells a test of each call.
 *
 * Values are numbers that a model hands out once, so that a log can be checked for something lost, twice or out of order.
 */
#ifndef VCL_TEST_RIG_H
#define VCL_TEST_RIG_H

#include <criterion/criterion.h>
#include <varve/feed.h>

#include "open.h"
#include "sim.h"

#define RIG_KEYS 64
#define RIG_TOPIC "users-changelog"

typedef struct test_rig {
    vcl_sim *sim;
    char dir[64];
    varve_changelog_options options;
} test_rig;

void rig_open(test_rig *rig, uint64_t seed);
void rig_close(test_rig *rig);

/* A database with a store, and perhaps its changelog. */
typedef struct test_node {
    test_rig *rig;
    char path[128];
    varve_db *db;
    varve_store *store;
    varve_changelog *log;
} test_node;

void node_open(test_node *node, test_rig *rig, const char *name); /* the database alone */
varve_status node_bind(test_node *node, varve_error *err);        /* its changelog */
void node_bind_ok(test_node *node);
varve_status node_restore(test_node *node, varve_restore_progress *result, varve_error *err);
varve_status node_verify(test_node *node, varve_verify_result *result, varve_error *err);
void node_unbind(test_node *node);
void node_close(test_node *node);
void node_flush(test_node *node); /* must succeed */
varve_changelog_stats node_stats(test_node *node);
void node_copy(const test_node *from, test_node *to,
               const char *name); /* the directory as it is now: as after kill -9, or a backup */

/* What a store should hold: values[i] of key i, 0: none. */
typedef struct test_model {
    uint64_t values[RIG_KEYS];
    uint64_t last; /* number given to the newest value */
} test_model;

void model_put(test_model *model, test_node *node, unsigned key);
void model_delete(test_model *model, test_node *node, unsigned key);
void model_random(test_model *model, test_node *node, uint64_t *random, unsigned count); /* puts, deletes and batches */
uint64_t rig_random(uint64_t *state);

/* Writes keys [from, to) as they are in the model, as replica batches: as a restore or a rollback would. */
void model_replicate(const test_model *model, test_node *node, unsigned from, unsigned to);
/* What the first count committed records of the log make. */
void log_until(test_rig *rig, uint64_t count, test_model *model);

bool store_is(test_node *node, const test_model *model);
bool log_is(test_rig *rig, const test_model *model);
/* Committed records in the log; ordered: no value is twice or before an older one. */
uint64_t log_count(test_rig *rig, bool *ordered);
uint64_t log_marks(test_rig *rig);

/* A transport that calls back around the calls of another. */
typedef enum hook_point { HOOK_BEGIN, HOOK_PRODUCE, HOOK_COMMIT, HOOK_COMMITTED, HOOK_POLL, HOOK_INIT } hook_point;
typedef struct test_hook {
    /* Returns VARVE_OK to go on, or what the call is to fail with. */
    varve_status (*fn)(void *context, hook_point point, varve_error *err);
    void *context;
} test_hook;
vcl_transport *hook_transport(vcl_transport *inner, const test_hook *hook);
varve_status node_bind_hooked(test_node *node, const test_hook *hook, varve_error *err);

vcl_clock rig_clock(test_rig *rig);

#define must(call)                                                                                                                 \
    do {                                                                                                                           \
        varve_error must_err = {0};                                                                                                \
        varve_error *err = &must_err;                                                                                              \
        varve_status must_status = (call);                                                                                         \
        cr_assert(must_status == VARVE_OK, "%s: %d %s", #call, must_status, must_err.message);                                     \
    } while (0)

#endif
