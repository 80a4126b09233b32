/*
 * tests/changelog/test_outbox_bound.c - Kafka is away for so long that the WAL reaches its bound: writes are refused, never lost,
 * and go on by themselves afterwards.
 */
#include "rig.h"

#include <stdio.h>
#include <string.h>

static void open_small(test_node *node, test_rig *rig, const char *name) {
    memset(node, 0, sizeof *node);
    node->rig = rig;
    snprintf(node->path, sizeof node->path, "%s/%s", rig->dir, name);
    varve_options options = {.size = sizeof options,
                             .create = true,
                             .memory = 32u << 20,
                             .wal_segment_bytes = 64u << 10,
                             .wal_bytes_max = 512u << 10,
                             .wal_wait_ms = 50};
    must(varve_open(node->path, &options, &node->db, err));
    must(varve_store_open(node->db, "users", NULL, &node->store, err));
}

/* Writes until the bound is reached. Returns: how many were written. */
static unsigned fill(test_node *node, unsigned from) {
    char key[16], value[1024];
    memset(value, 'v', sizeof value);
    for (unsigned i = from;; i++) {
        varve_error failure;
        snprintf(key, sizeof key, "%08u", i);
        varve_status status = varve_put(node->store, varve_str(key), varve_bytes(value, sizeof value), &failure);
        if (status == VARVE_NO_SPACE) return i;
        cr_assert_eq(status, VARVE_OK, "%s", failure.message);
        cr_assert(i < 100000);
    }
}

static void count_records(void *context, const vcl_record *record, int committed) {
    (void)record;
    if (committed == 1) (*(unsigned *)context)++;
}

static unsigned records_in_log(test_rig *rig) {
    unsigned count = 0;
    vcl_sim_dump(rig->sim, RIG_TOPIC, 0, count_records, &count);
    return count;
}

static unsigned entries(test_node *node) {
    varve_iterator *it;
    unsigned count = 0;
    must(varve_iterator_open(node->store, NULL, &it, err));
    while (varve_iterator_next(it) == VARVE_OK) count++;
    varve_iterator_close(it);
    return count;
}

Test(outbox_bound, at_the_bound_writes_are_refused_and_go_on_when_kafka_is_back) {
    test_rig rig;
    test_node a;
    rig_open(&rig, 1);
    open_small(&a, &rig, "a");
    node_bind_ok(&a);
    vcl_sim_set_down(rig.sim, true);
    unsigned written = fill(&a, 0);
    cr_expect_gt(written, 100);
    cr_expect_eq(records_in_log(&rig), 0);
    vcl_sim_set_down(rig.sim, false);
    node_flush(&a);
    cr_expect_eq(records_in_log(&rig), written);
    cr_expect_eq(entries(&a), written);
    must(varve_put(a.store, varve_str("and on"), varve_str("it goes"), err));
    node_flush(&a);
    must(node_verify(&a, NULL, err));
    node_close(&a);
    rig_close(&rig);
}

/* Opens the changelog over a WAL that is at its bound. */
static void bind_full(test_node *node) {
    varve_error failure = {0};
    varve_status status = node_bind(node, &failure);

    cr_assert_eq(status, VARVE_OK, "%s", failure.message);
}

Test(outbox_bound, a_full_outbox_is_shipped_after_a_restart) {
    test_rig rig;
    test_node a;
    rig_open(&rig, 2);
    open_small(&a, &rig, "a");
    node_bind_ok(&a);
    vcl_sim_set_down(rig.sim, true);
    unsigned written = fill(&a, 0);
    node_close(&a);
    vcl_sim_set_down(rig.sim, false);
    open_small(&a, &rig, "a");
    bind_full(&a);
    node_flush(&a);
    cr_expect_eq(records_in_log(&rig), written);
    node_close(&a);
    rig_close(&rig);
}

Test(outbox_bound, a_full_outbox_is_rolled_back_after_a_take_over) {
    test_rig rig;
    test_node a, b;
    rig_open(&rig, 3);
    open_small(&a, &rig, "a");
    node_bind_ok(&a);
    vcl_sim_set_down(rig.sim, true);
    unsigned written = fill(&a, 0);
    node_close(&a);
    vcl_sim_set_down(rig.sim, false);
    open_small(&b, &rig, "b");
    node_bind_ok(&b);
    must(varve_put(b.store, varve_str("b's"), varve_str("own"), err));
    node_flush(&b);
    open_small(&a, &rig, "a");
    bind_full(&a);
    cr_expect_eq(node_stats(&a).rolled_back, written);
    cr_expect_eq(entries(&a), 1);
    node_close(&a);
    node_close(&b);
    rig_close(&rig);
}
