/*
 * tests/changelog/test_ship.c - the round trip on a simulated broker: what is written arrives once, in order, in whole batches, and
 * never before it is synced.
 */
#include "rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

Test(ship, what_is_written_arrives_once_and_in_order) {
    test_rig rig;
    test_node a;
    test_model model = {0};
    uint64_t random = 1;
    rig_open(&rig, 1);
    node_open(&a, &rig, "a");
    node_bind_ok(&a);
    for (int round = 0; round < 20; round++) {
        model_random(&model, &a, &random, 50);
        if (round % 5 == 4) node_flush(&a);
    }
    node_flush(&a);
    bool ordered;
    cr_expect_eq(log_count(&rig, &ordered), 1000);
    cr_expect(ordered);
    cr_expect(log_is(&rig, &model));
    varve_changelog_stats stats = node_stats(&a);
    cr_expect_eq(stats.shipped_records, 1000);
    cr_expect_eq(stats.shipped_groups, log_marks(&rig));
    cr_expect_eq(stats.state, VARVE_OK);
    cr_expect_eq(stats.epoch, 1);
    varve_verify_result result;
    must(node_verify(&a, &result, err));
    cr_expect_eq(result.store_digest, result.log_digest);
    cr_expect_eq(result.log_records, 1000);
    node_close(&a);
    rig_close(&rig);
}

Test(ship, a_lost_disk_is_restored_and_goes_on) {
    test_rig rig;
    test_node a, b;
    test_model model = {0};
    uint64_t random = 2;
    rig_open(&rig, 2);
    node_open(&a, &rig, "a");
    node_bind_ok(&a);
    model_random(&model, &a, &random, 500);
    node_flush(&a);
    node_close(&a);
    node_open(&b, &rig, "b");
    node_bind_ok(&b);
    cr_expect(store_is(&b, &model));
    cr_expect_eq(node_stats(&b).restored_records, 500);
    cr_expect_eq(node_stats(&b).epoch, 2);
    model_random(&model, &b, &random, 100);
    node_flush(&b);
    cr_expect(log_is(&rig, &model));
    cr_expect_eq(log_count(&rig, NULL), 600);
    node_close(&b);
    rig_close(&rig);
}

Test(ship, what_was_not_shipped_is_shipped_after_the_next_open) {
    test_rig rig;
    test_node a;
    test_model model = {0};
    uint64_t random = 3;
    rig_open(&rig, 3);
    node_open(&a, &rig, "a");
    node_bind_ok(&a);
    model_random(&model, &a, &random, 100);
    node_flush(&a);
    node_unbind(&a);
    model_random(&model, &a, &random, 70);
    node_close(&a);
    node_open(&a, &rig, "a");
    node_bind_ok(&a);
    node_flush(&a);
    cr_expect_eq(node_stats(&a).reshipped, 70);
    bool ordered;
    cr_expect_eq(log_count(&rig, &ordered), 170);
    cr_expect(ordered);
    cr_expect(log_is(&rig, &model));
    node_close(&a);
    rig_close(&rig);
}

Test(ship, changes_of_other_stores_are_passed_over) {
    test_rig rig;
    test_node a;
    test_model model = {0};
    varve_store *other;
    rig_open(&rig, 4);
    node_open(&a, &rig, "a");
    must(varve_store_open(a.db, "other", NULL, &other, err));
    node_bind_ok(&a);
    for (unsigned i = 0; i < 10000; i++) must(varve_put(other, varve_str("k"), varve_str("v"), err));
    model_put(&model, &a, 1);
    for (unsigned i = 0; i < 10; i++) must(varve_put(other, varve_str("k"), varve_str("v"), err));
    node_flush(&a);
    cr_expect_eq(log_count(&rig, NULL), 1);
    varve_changelog_stats stats = node_stats(&a);
    cr_expect_geq(stats.acknowledged_sequence, 10011);
    /* What the shipper itself writes is nothing to ship: the sequence comes to rest. */
    node_flush(&a);
    uint64_t at_rest = varve_sequence(a.db);
    usleep(300000);
    cr_expect_eq(varve_sequence(a.db), at_rest);
    varve_store_close(other);
    node_close(&a);
    rig_close(&rig);
}

Test(ship, empty_keys_and_values_are_not_null) {
    test_rig rig;
    test_node a, b;
    rig_open(&rig, 5);
    node_open(&a, &rig, "a");
    node_bind_ok(&a);
    must(varve_put(a.store, varve_bytes("", 0), varve_str("empty key"), err));
    must(varve_put(a.store, varve_str("empty value"), varve_bytes("", 0), err));
    node_flush(&a);
    node_open(&b, &rig, "b");
    must(node_restore(&b, NULL, err));
    varve_buffer value = {0};
    must(varve_get(b.store, varve_bytes("", 0), &value, err));
    cr_expect_eq(value.size, 9);
    must(varve_get(b.store, varve_str("empty value"), &value, err));
    cr_expect_eq(value.size, 0);
    varve_buffer_free(&value);
    node_close(&a);
    node_close(&b);
    rig_close(&rig);
}

/* Takes the groups apart as they are in the log. */
typedef struct group_view {
    unsigned in_group, groups, split;
    uint64_t batch_of_previous;
} group_view;

static void view_batch(void *context, const vcl_record *record, int committed) {
    group_view *view = context;
    if (committed != 1) return;
    char text[16] = {0};
    memcpy(text, record->value.data, record->value.size < 15 ? record->value.size : 15);
    uint64_t batch = strtoull(text, NULL, 10);
    if (view->in_group == 0 && view->groups > 0 && batch == view->batch_of_previous) view->split++;
    view->in_group++;
    view->batch_of_previous = batch;
    if (!record->mark.data) return;
    view->groups++;
    view->in_group = 0;
}

Test(ship, batches_are_not_split_by_the_bound_on_a_group) {
    test_rig rig;
    test_node a;
    rig_open(&rig, 6);
    rig.options.group_bytes_max = 1024;
    node_open(&a, &rig, "a");
    node_bind_ok(&a);
    varve_batch *batch;
    must(varve_batch_create(&batch, err));
    for (unsigned i = 1; i <= 50; i++) {
        varve_batch_clear(batch);
        for (unsigned j = 0; j < 37; j++) {
            char key[16], value[16];
            snprintf(key, sizeof key, "%u-%u", i, j);
            snprintf(value, sizeof value, "%u", i);
            must(varve_batch_put(batch, a.store, varve_str(key), varve_str(value), err));
        }
        must(varve_write(a.db, batch, NULL, err));
    }
    varve_batch_free(batch);
    node_flush(&a);
    group_view view = {0};
    vcl_sim_dump(rig.sim, RIG_TOPIC, 0, view_batch, &view);
    cr_expect_eq(view.split, 0);
    cr_expect_geq(view.groups, 5);
    cr_expect_eq(view.in_group, 0);
    node_close(&a);
    rig_close(&rig);
}

typedef struct sync_check {
    test_node *node;
    unsigned produced, unsynced;
    uint64_t shipped; /* records so far */
} sync_check;

static varve_status check_synced(void *context, hook_point point, varve_error *hook_err) {
    sync_check *check = context;
    (void)hook_err;
    if (point != HOOK_PRODUCE) return VARVE_OK;
    /* Everything acknowledged before and everything in this group is at or below the synced sequence. */
    varve_stats stats = {.size = sizeof stats};
    must(varve_stats_get(check->node->db, &stats, err));
    check->produced++;
    check->shipped = stats.synced_sequence;
    return VARVE_OK;
}

static void check_marks(void *context, const vcl_record *record, int committed) {
    sync_check *check = context;
    if (committed != 1 || !record->mark.data) return;
    uint64_t sequence = 0;
    for (unsigned i = 0; i < 8; i++) sequence |= (uint64_t)(uint8_t)record->mark.data[48 + i] << (8 * i);
    if (sequence > check->shipped) check->unsynced++;
}

static varve_status check_synced_and_marks(void *context, hook_point point, varve_error *err) {
    sync_check *check = context;
    if (point == HOOK_COMMITTED) vcl_sim_dump(check->node->rig->sim, RIG_TOPIC, 0, check_marks, check);
    return check_synced(context, point, err);
}

Test(ship, nothing_is_shipped_before_it_is_synced) {
    test_rig rig;
    test_node a;
    test_model model = {0};
    uint64_t random = 7;
    rig_open(&rig, 7);
    node_open(&a, &rig, "a");
    sync_check check = {.node = &a};
    test_hook hook = {check_synced_and_marks, &check};
    must(node_bind_hooked(&a, &hook, err));
    for (int round = 0; round < 30; round++) {
        model_random(&model, &a, &random, 20);
        usleep(1000);
    }
    node_flush(&a);
    node_unbind(&a);
    cr_expect_gt(check.produced, 1);
    cr_expect_eq(check.unsynced, 0);
    node_close(&a);
    rig_close(&rig);
}

Test(ship, a_flush_does_not_wait_for_the_interval) {
    test_rig rig;
    test_node a;
    test_model model = {0};
    rig_open(&rig, 8);
    rig.options.commit_interval_ms = 60000;
    node_open(&a, &rig, "a");
    node_bind_ok(&a);
    model_put(&model, &a, 1);
    usleep(50000);
    cr_expect_eq(log_count(&rig, NULL), 0);
    uint64_t before = vcl_monotonic_ms();
    node_flush(&a);
    cr_expect_lt(vcl_monotonic_ms() - before, 5000);
    cr_expect_eq(log_count(&rig, NULL), 1);
    /* Nor does closing, which leaves what is not shipped for the next open. */
    model_put(&model, &a, 2);
    before = vcl_monotonic_ms();
    node_unbind(&a);
    cr_expect_lt(vcl_monotonic_ms() - before, 5000);
    node_close(&a);
    rig_close(&rig);
}

Test(ship, while_the_broker_is_down_writes_go_on_and_then_all_is_shipped) {
    test_rig rig;
    test_node a;
    test_model model = {0};
    uint64_t random = 9;
    varve_error err;
    rig_open(&rig, 9);
    node_open(&a, &rig, "a");
    node_bind_ok(&a);
    model_random(&model, &a, &random, 50);
    node_flush(&a);
    vcl_sim_set_down(rig.sim, true);
    model_random(&model, &a, &random, 200);
    cr_expect_eq(varve_changelog_flush(a.log, 100, &err), VARVE_TIMEOUT);
    cr_expect_eq(node_stats(&a).state, VARVE_KAFKA);
    cr_expect(store_is(&a, &model));
    vcl_sim_set_down(rig.sim, false);
    node_flush(&a);
    cr_expect_eq(node_stats(&a).state, VARVE_OK);
    bool ordered;
    cr_expect_eq(log_count(&rig, &ordered), 250);
    cr_expect(ordered);
    cr_expect(log_is(&rig, &model));
    node_close(&a);
    rig_close(&rig);
}

Test(ship, a_close_while_the_broker_is_down_returns_and_loses_nothing) {
    test_rig rig;
    test_node a;
    test_model model = {0};
    uint64_t random = 10;
    varve_error err;
    rig_open(&rig, 10);
    node_open(&a, &rig, "a");
    node_bind_ok(&a);
    vcl_sim_set_down(rig.sim, true);
    model_random(&model, &a, &random, 100);
    usleep(20000);
    node_close(&a);
    rig.options.timeout_ms = 50;
    node_open(&a, &rig, "a");
    cr_expect_eq(node_bind(&a, &err), VARVE_KAFKA);
    cr_expect(err.flags & VARVE_ERROR_RETRIABLE);
    vcl_sim_set_down(rig.sim, false);
    node_bind_ok(&a);
    node_flush(&a);
    cr_expect_eq(log_count(&rig, NULL), 100);
    cr_expect(log_is(&rig, &model));
    node_close(&a);
    rig_close(&rig);
}
