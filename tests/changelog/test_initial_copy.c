/*
 * tests/changelog/test_initial_copy.c - a store that was there before its changelog: all of it goes into the log first.
 */
#include "rig.h"

#include <stdio.h>

static void fill(test_rig *rig, test_node *a, test_model *model, uint64_t seed) {
    uint64_t random = seed;
    rig_open(rig, seed);
    rig->options.group_bytes_max = 1024;
    node_open(a, rig, "a");
    for (unsigned key = 0; key < RIG_KEYS; key++) model_put(model, a, key);
    model_random(model, a, &random, 300);
}

static uint64_t live_keys(const test_model *model) {
    uint64_t live = 0;
    for (unsigned i = 0; i < RIG_KEYS; i++) live += model->values[i] != 0;
    return live;
}

Test(initial_copy, the_whole_store_is_shipped_then_its_changes) {
    test_rig rig;
    test_node a, b;
    test_model model = {0};
    uint64_t random = 1;
    fill(&rig, &a, &model, 1);
    node_bind_ok(&a);
    cr_expect(log_is(&rig, &model));
    cr_expect_eq(log_count(&rig, NULL), live_keys(&model));
    model_random(&model, &a, &random, 50);
    node_flush(&a);
    cr_expect(log_is(&rig, &model));
    must(node_verify(&a, NULL, err));
    node_open(&b, &rig, "b");
    must(node_restore(&b, NULL, err));
    cr_expect(store_is(&b, &model));
    node_close(&b);
    node_close(&a);
    rig_close(&rig);
}

typedef struct stop_state {
    hook_point at;
    unsigned left;
    bool dead;
} stop_state;

static varve_status stop_at(void *context, hook_point point, varve_error *hook_err) {
    stop_state *stop = context;
    if (point == stop->at && stop->left-- == 0) stop->dead = true;
    if (!stop->dead) return VARVE_OK;
    hook_err->code = VARVE_FENCED;
    hook_err->flags = VARVE_ERROR_FENCED;
    snprintf(hook_err->message, sizeof hook_err->message, "the process ends here");
    return VARVE_FENCED;
}

/* Interrupted at any group, before or after its commit, the copy is made again; what was deleted meanwhile does not come back. */
static void interrupt(hook_point at, unsigned nth) {
    test_rig rig;
    test_node a, b, crashed;
    test_model model = {0};
    varve_error failure;
    uint64_t random = nth;
    fill(&rig, &a, &model, 2);
    stop_state stop = {.at = at, .left = nth};
    test_hook hook = {stop_at, &stop};
    varve_status status = node_bind_hooked(&a, &hook, &failure);
    cr_assert_eq(status, VARVE_FENCED, "%d", status);
    node_copy(&a, &crashed, "crashed");
    /* Nobody else takes half a copy for the whole. */
    node_open(&b, &rig, "b");
    status = node_restore(&b, NULL, &failure);
    if (log_count(&rig, NULL) > 0 && log_count(&rig, NULL) < live_keys(&model)) {
        cr_expect_eq(status, VARVE_DIVERGED, "%d", status);
        cr_expect(strstr(failure.message, "first copy"), "%s", failure.message);
        cr_expect_eq(node_bind(&b, &failure), VARVE_DIVERGED);
    }
    node_close(&b);
    for (unsigned key = 0; key < RIG_KEYS; key += 3) model_delete(&model, &crashed, key);
    model_random(&model, &crashed, &random, 20);
    node_bind_ok(&crashed);
    node_flush(&crashed);
    cr_expect(log_is(&rig, &model), "interrupted at %d, call %u", at, nth);
    cr_expect(store_is(&crashed, &model));
    model_random(&model, &crashed, &random, 20);
    node_flush(&crashed);
    must(node_verify(&crashed, NULL, err));
    node_close(&crashed);
    node_close(&a);
    rig_close(&rig);
}

Test(initial_copy, interrupted_before_any_commit) {
    for (unsigned nth = 0; nth < 2; nth++) interrupt(HOOK_COMMIT, nth);
}

Test(initial_copy, interrupted_after_any_commit) {
    for (unsigned nth = 0; nth < 2; nth++) interrupt(HOOK_COMMITTED, nth);
}

Test(initial_copy, overtaken_by_another_process_is_refused) {
    test_rig rig;
    test_node a, b;
    test_model model = {0}, other = {.last = 9000};
    varve_error err;
    fill(&rig, &a, &model, 3);
    stop_state stop = {.at = HOOK_COMMIT};
    test_hook hook = {stop_at, &stop};
    cr_expect_eq(node_bind_hooked(&a, &hook, &err), VARVE_FENCED);
    node_open(&b, &rig, "b");
    node_bind_ok(&b);
    model_put(&other, &b, 1);
    node_flush(&b);
    cr_expect_eq(node_bind(&a, &err), VARVE_DIVERGED);
    cr_expect(store_is(&a, &model));
    node_close(&b);
    node_close(&a);
    rig_close(&rig);
}
