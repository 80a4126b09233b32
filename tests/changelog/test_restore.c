/*
 * tests/changelog/test_restore.c - restoring: all of it or nothing of it, from topics of every kind.
 */
#include "rig.h"

#include <stdio.h>
#include <unistd.h>

static void write_all(test_rig *rig, test_node *a, test_model *model, uint64_t seed, unsigned groups, unsigned changes) {
    uint64_t random = seed;
    rig_open(rig, seed);
    node_open(a, rig, "a");
    node_bind_ok(a);
    for (unsigned i = 0; i < groups; i++) {
        model_random(model, a, &random, changes);
        node_flush(a);
    }
}

Test(restore, a_compacted_log_gives_the_same_state) {
    for (uint64_t seed = 1; seed <= 10; seed++) {
        test_rig rig;
        test_node a, b;
        test_model model = {0};
        write_all(&rig, &a, &model, seed, 10, 40);
        vcl_sim_compact(rig.sim, RIG_TOPIC, 0, (int64_t)(seed * 13 % 40));
        if (seed % 2) {
            vcl_sim_advance(rig.sim, 48 * 3600000LL);
            vcl_sim_compact(rig.sim, RIG_TOPIC, 0, 0);
        }
        node_open(&b, &rig, "b");
        varve_restore_progress result;
        must(node_restore(&b, &result, err));
        cr_expect(store_is(&b, &model));
        cr_expect_eq(result.offset, result.end_offset);
        cr_expect_eq(result.remaining_ms, 0);
        must(node_verify(&b, NULL, err));
        node_close(&b);
        node_close(&a);
        rig_close(&rig);
    }
}

typedef struct tell_state {
    unsigned calls, cancel_at;
    varve_restore_progress last;
} tell_state;

static bool tell(void *context, const varve_restore_progress *progress) {
    tell_state *told = context;
    told->last = *progress;
    return ++told->calls != told->cancel_at;
}

Test(restore, progress_is_told_at_the_end_and_can_cancel) {
    test_rig rig;
    test_node a, b;
    test_model model = {0}, nothing = {0};
    varve_error err;
    write_all(&rig, &a, &model, 1, 3, 100);
    tell_state told = {.cancel_at = 1};
    rig.options.progress = tell;
    rig.options.progress_context = &told;
    node_open(&b, &rig, "b");
    cr_expect_eq(node_restore(&b, NULL, &err), VARVE_CANCELLED);
    cr_expect(store_is(&b, &nothing));
    cr_expect_eq(node_bind(&b, &err), VARVE_OK);
    cr_expect_eq(told.calls, 2);
    cr_expect_eq(told.last.records, 300);
    cr_expect_eq(told.last.offset, told.last.end_offset);
    cr_expect(store_is(&b, &model));
    node_close(&b);
    node_close(&a);
    rig_close(&rig);
}

static varve_status fail_at_poll(void *context, hook_point point, varve_error *hook_err) {
    unsigned *left = context;
    if (point != HOOK_POLL || (*left)-- > 0) return VARVE_OK;
    *left = 0;
    hook_err->code = VARVE_IO;
    hook_err->flags = 0;
    snprintf(hook_err->message, sizeof hook_err->message, "the process ends here");
    return VARVE_IO;
}

Test(restore, an_interrupted_restore_shows_nothing) {
    for (unsigned polls = 0; polls < 6; polls++) {
        test_rig rig;
        test_node a, b, crashed;
        test_model model = {0}, nothing = {0};
        varve_error err;
        write_all(&rig, &a, &model, polls, 4, 2000);
        node_open(&b, &rig, "b");
        unsigned left = polls;
        test_hook hook = {fail_at_poll, &left};
        varve_status status = node_bind_hooked(&b, &hook, &err);
        if (status == VARVE_OK) node_unbind(&b);
        cr_expect(store_is(&b, status == VARVE_OK ? &model : &nothing));
        node_copy(&b, &crashed, "crashed");
        node_bind_ok(&crashed);
        cr_expect(store_is(&crashed, &model));
        node_close(&crashed);
        node_close(&b);
        node_close(&a);
        rig_close(&rig);
    }
}

Test(restore, an_empty_log_leaves_an_empty_store) {
    test_rig rig;
    test_node a, b;
    rig_open(&rig, 1);
    node_open(&a, &rig, "a");
    node_bind_ok(&a);
    node_open(&b, &rig, "b");
    varve_restore_progress result;
    must(node_restore(&b, &result, err));
    cr_expect_eq(result.records, 0);
    node_close(&b);
    node_close(&a);
    rig_close(&rig);
}

Test(restore, again_and_again_only_what_is_new_is_read) {
    test_rig rig;
    test_node a, b;
    test_model model = {0};
    uint64_t random = 5;
    write_all(&rig, &a, &model, 5, 2, 100);
    node_open(&b, &rig, "b");
    must(node_restore(&b, NULL, err));
    for (int i = 0; i < 5; i++) {
        model_random(&model, &a, &random, 7);
        node_flush(&a);
        varve_restore_progress result;
        must(node_restore(&b, &result, err));
        cr_expect_eq(result.records, 7);
        cr_expect(store_is(&b, &model));
        must(node_restore(&b, &result, err));
        cr_expect_eq(result.records, 0);
    }
    node_close(&b);
    node_close(&a);
    rig_close(&rig);
}

/* The clock of the broker moves on while the restore reads. */
static varve_status wait_long(void *context, hook_point point, varve_error *hook_err) {
    test_rig *rig = context;
    (void)hook_err;
    if (point == HOOK_POLL) vcl_sim_advance(rig->sim, 30 * 3600000LL);
    return VARVE_OK;
}

typedef struct once_state {
    test_rig *rig;
    unsigned times;
} once_state;

static varve_status wait_long_once(void *context, hook_point point, varve_error *hook_err) {
    once_state *once = context;
    if (point != HOOK_POLL || once->times++ > 0) return VARVE_OK;
    return wait_long(once->rig, point, hook_err);
}

Test(restore, one_that_outlasts_the_tombstones_starts_again) {
    test_rig rig;
    test_node a, b;
    test_model model = {0};
    write_all(&rig, &a, &model, 6, 4, 500);
    node_open(&b, &rig, "b");
    once_state once = {.rig = &rig};
    test_hook hook = {wait_long_once, &once};
    must(node_bind_hooked(&b, &hook, err));
    cr_expect(store_is(&b, &model));
    cr_expect_geq(once.times, 2);
    node_close(&b);
    node_close(&a);
    rig_close(&rig);
}

Test(restore, one_that_always_does_gives_up) {
    test_rig rig;
    test_node a, b;
    test_model model = {0}, nothing = {0};
    varve_error err;
    write_all(&rig, &a, &model, 7, 4, 500);
    node_open(&b, &rig, "b");
    test_hook hook = {wait_long, &rig};
    cr_expect_eq(node_bind_hooked(&b, &hook, &err), VARVE_TIMEOUT);
    cr_expect(strstr(err.message, "delete.retention.ms"), "%s", err.message);
    cr_expect(store_is(&b, &nothing));
    node_close(&b);
    node_close(&a);
    rig_close(&rig);
}

/* --- Logs without marks ------------------------------------------------------------------------------------------- */

static void produce_plain(test_rig *rig, const char *const *keys, size_t count, const char *mark) {
    vcl_transport *transport;
    vcl_producer *producer;
    varve_error err;
    int64_t next;
    cr_assert_eq(vcl_sim_transport(rig->sim, &transport), VARVE_OK);
    varve_kafka_setting compact = {"cleanup.policy", "compact"};
    vcl_topic_spec spec = {.partitions = 1, .replication = 1, .configs = &compact, .config_count = 1};
    transport->ops->create_topic(transport, RIG_TOPIC, &spec, 1000, &err);
    cr_assert_eq(transport->ops->producer_open(transport, "somebody-else", 1000, &producer, &err), VARVE_OK);
    cr_assert_eq(transport->ops->begin(producer, &err), VARVE_OK);
    for (size_t i = 0; i < count; i++) {
        vcl_record record = {.key = varve_str(keys[i]), .value = varve_str("00000000000000000001"), .mark = varve_str(mark)};
        cr_assert_eq(transport->ops->produce(producer, RIG_TOPIC, 0, &record, 1, &err), VARVE_OK);
    }
    cr_assert_eq(transport->ops->commit(producer, 1000, &next, &err), VARVE_OK);
    transport->ops->producer_close(producer);
    transport->ops->close(transport);
}

Test(restore, records_without_any_mark_are_taken_as_they_are) {
    test_rig rig;
    test_node a, b;
    static const char *const keys[] = {"key-0001", "key-0002"};
    test_model model = {.values = {0, 1, 1}, .last = 1};
    rig_open(&rig, 8);
    produce_plain(&rig, keys, 2, NULL);
    node_open(&a, &rig, "a");
    must(node_restore(&a, NULL, err));
    cr_expect(store_is(&a, &model));
    node_open(&b, &rig, "b");
    node_bind_ok(&b);
    cr_expect(store_is(&b, &model));
    model_put(&model, &b, 2);
    node_flush(&b);
    cr_expect(log_is(&rig, &model));
    /* The history that b has begun is the one a follows. */
    must(node_restore(&a, NULL, err));
    cr_expect(store_is(&a, &model));
    node_close(&a);
    node_close(&b);
    rig_close(&rig);
}

Test(restore, a_damaged_mark_is_corruption_with_its_place) {
    test_rig rig;
    test_node a;
    static const char *const keys[] = {"key-0001"};
    varve_error err;
    rig_open(&rig, 9);
    produce_plain(&rig, keys, 1, "\001 not a mark");
    node_open(&a, &rig, "a");
    cr_expect_eq(node_bind(&a, &err), VARVE_CORRUPTION);
    cr_expect(strstr(err.message, RIG_TOPIC " [0], offset 0"), "%s", err.message);
    node_close(&a);
    rig_close(&rig);
}

Test(restore, a_mark_of_a_newer_version_is_unsupported) {
    test_rig rig;
    test_node a;
    static const char *const keys[] = {"key-0001"};
    varve_error err;
    rig_open(&rig, 10);
    produce_plain(&rig, keys, 1, "\002 whatever comes next");
    node_open(&a, &rig, "a");
    cr_expect_eq(node_restore(&a, NULL, &err), VARVE_UNSUPPORTED);
    node_close(&a);
    rig_close(&rig);
}
