/*
 * tests/changelog/test_verify_changelog.c - verify names every kind of difference, and nothing else.
 */
#include "rig.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct seen_state {
    unsigned missing_in_log, missing_in_store, other_value, stop_after, calls;
    char last[64];
    bool ordered;
} seen_state;

static bool see(void *context, const varve_difference *difference) {
    seen_state *seen = context;
    char key[64] = {0};
    memcpy(key, difference->key.data, difference->key.size < 63 ? difference->key.size : 63);
    if (strcmp(key, seen->last) <= 0) seen->ordered = false;
    memcpy(seen->last, key, sizeof key);
    if (!difference->changelog_value)
        seen->missing_in_log++;
    else if (!difference->store_value)
        seen->missing_in_store++;
    else
        seen->other_value++;
    return ++seen->calls != seen->stop_after;
}

/* A replica write changes the store without the log, which is what verify is there to find. */
static void damage(test_node *node, const char *key, const char *value) {
    varve_batch *batch;
    must(varve_batch_create(&batch, err));
    if (value)
        must(varve_batch_put(batch, node->store, varve_str(key), varve_str(value), err));
    else
        must(varve_batch_delete(batch, node->store, varve_str(key), err));
    varve_write_options options = {.size = sizeof options, .replica = true};
    must(varve_write(node->db, batch, &options, err));
    varve_batch_free(batch);
}

static varve_status verify_seeing(test_node *node, seen_state *seen, varve_verify_result *result, varve_error *err) {
    char scratch[200];
    snprintf(scratch, sizeof scratch, "%s/scratch", node->rig->dir);
    vcl_transport *transport;
    cr_assert_eq(vcl_sim_transport(node->rig->sim, &transport), VARVE_OK);
    varve_changelog_options options = node->rig->options;
    return vcl_changelog_verify_on(transport, node->store, &options, rig_clock(node->rig), scratch, see, seen, result, err);
}

static void make(test_rig *rig, test_node *a, test_model *model) {
    rig_open(rig, 1);
    node_open(a, rig, "a");
    node_bind_ok(a);
    for (unsigned key = 0; key < RIG_KEYS; key++) model_put(model, a, key);
    node_flush(a);
}

Test(verify_changelog, equal_is_equal) {
    test_rig rig;
    test_node a;
    test_model model = {0};
    make(&rig, &a, &model);
    varve_verify_result result;
    seen_state seen = {.ordered = true};
    must(verify_seeing(&a, &seen, &result, err));
    cr_expect_eq(seen.calls, 0);
    cr_expect_eq(result.entries, RIG_KEYS);
    cr_expect_eq(result.differences, 0);
    cr_expect_eq(result.store_digest, result.log_digest);
    cr_expect_neq(result.store_digest, 0);
    node_close(&a);
    rig_close(&rig);
}

Test(verify_changelog, each_kind_of_difference_is_named_in_key_order) {
    test_rig rig;
    test_node a;
    test_model model = {0};
    varve_error err;
    make(&rig, &a, &model);
    damage(&a, "key-0003", "00000000000000009999");
    damage(&a, "key-0007", NULL);
    damage(&a, "key-0007x", "not in the log");
    damage(&a, "zzz", "after the last one");
    varve_verify_result result;
    seen_state seen = {.ordered = true};
    cr_expect_eq(verify_seeing(&a, &seen, &result, &err), VARVE_NOT_FOUND);
    cr_expect_eq(seen.other_value, 1);
    cr_expect_eq(seen.missing_in_store, 1);
    cr_expect_eq(seen.missing_in_log, 2);
    cr_expect(seen.ordered);
    cr_expect_eq(result.differences, 4);
    cr_expect_neq(result.store_digest, result.log_digest);
    seen = (seen_state){.ordered = true, .stop_after = 2};
    cr_expect_eq(verify_seeing(&a, &seen, &result, &err), VARVE_NOT_FOUND);
    cr_expect_eq(seen.calls, 2);
    node_close(&a);
    rig_close(&rig);
}

Test(verify_changelog, a_directory_that_is_there_is_not_touched) {
    test_rig rig;
    test_node a;
    test_model model = {0};
    varve_error err;
    char scratch[200];
    make(&rig, &a, &model);
    snprintf(scratch, sizeof scratch, "%s/scratch", rig.dir);
    cr_assert_eq(mkdir(scratch, 0700), 0);
    cr_expect_eq(verify_seeing(&a, NULL, NULL, &err), VARVE_EXISTS);
    cr_expect_eq(access(scratch, F_OK), 0);
    node_close(&a);
    rig_close(&rig);
}
