/*
 * tests/changelog/test_takeover.c - another process takes the changelog over: the one before is fenced, undoes what never reached
 * the log, reports it, and follows.
 */
#include "rig.h"

#include <stdio.h>
#include <unistd.h>

static void wait_fenced(test_node *node) {
    varve_error err;
    cr_assert_eq(varve_changelog_flush(node->log, 10000, &err), VARVE_FENCED);
    cr_expect(err.flags & VARVE_ERROR_FENCED);
    cr_expect_eq(node_stats(node).state, VARVE_FENCED);
}

/* a writes 100, b takes over and writes 50 on top; a has written 30 more meanwhile. */
static void take_over(test_rig *rig, test_node *a, test_node *b, test_model *model, test_model *zombie, uint64_t seed) {
    uint64_t random = seed;
    node_open(a, rig, "a");
    node_bind_ok(a);
    model_random(model, a, &random, 100);
    node_flush(a);
    node_open(b, rig, "b");
    node_bind_ok(b);
    cr_expect(store_is(b, model));
    *zombie = *model;
    model_random(model, b, &random, 50);
    node_flush(b);
    model_random(zombie, a, &random, 30);
    wait_fenced(a);
    cr_expect(store_is(a, zombie), "writes go on locally");
}

Test(takeover, the_zombie_is_fenced_and_rolls_back_its_tail) {
    test_rig rig;
    test_node a, b;
    test_model model = {0}, zombie;
    rig_open(&rig, 1);
    take_over(&rig, &a, &b, &model, &zombie, 1);
    node_close(&a);
    cr_expect(log_is(&rig, &model), "nothing of the zombie is in the log");

    node_open(&a, &rig, "a");
    node_bind_ok(&a);
    cr_expect_eq(node_stats(&a).rolled_back, 30);
    cr_expect_eq(node_stats(&a).epoch, 3);
    cr_expect(store_is(&a, &model));
    varve_verify_result result;
    must(node_verify(&a, &result, err));

    /* And is the writer again. */
    uint64_t random = 99;
    model_random(&model, &a, &random, 40);
    node_flush(&a);
    cr_expect(log_is(&rig, &model));
    cr_expect_eq(log_count(&rig, NULL), 190);
    node_close(&a);
    node_close(&b);
    rig_close(&rig);
}

Test(takeover, a_deleted_key_does_not_come_back) {
    test_rig rig;
    test_node a, b;
    test_model model = {0};
    rig_open(&rig, 2);
    node_open(&a, &rig, "a");
    node_bind_ok(&a);
    for (unsigned key = 0; key < 8; key++) model_put(&model, &a, key);
    node_flush(&a);
    node_open(&b, &rig, "b");
    node_bind_ok(&b);
    for (unsigned key = 0; key < 4; key++) model_delete(&model, &b, key);
    node_flush(&b);
    /* The zombie writes to keys that are deleted, to keys that are not, and deletes one that stays. */
    test_model zombie = {.last = 1000};
    model_put(&zombie, &a, 1);
    model_put(&zombie, &a, 5);
    model_put(&zombie, &a, 20);
    model_delete(&zombie, &a, 6);
    wait_fenced(&a);
    node_close(&a);
    node_open(&a, &rig, "a");
    node_bind_ok(&a);
    cr_expect_eq(node_stats(&a).rolled_back, 4);
    cr_expect(store_is(&a, &model));
    node_close(&a);
    node_close(&b);
    rig_close(&rig);
}

Test(takeover, taking_over_back_and_forth_stays_one_history) {
    test_rig rig;
    test_node nodes[3];
    test_model model = {0};
    uint64_t random = 3;
    rig_open(&rig, 3);
    for (unsigned i = 0; i < 3; i++) {
        char name[8];
        snprintf(name, sizeof name, "n%u", i);
        node_open(&nodes[i], &rig, name);
    }
    for (unsigned round = 0; round < 12; round++) {
        test_node *owner = &nodes[rig_random(&random) % 3];
        if (owner->log) node_unbind(owner);
        node_bind_ok(owner);
        cr_assert(store_is(owner, &model), "round %u", round);
        model_random(&model, owner, &random, 25);
        node_flush(owner);
        /* The one that is to be replaced leaves something behind that nobody must see. */
        test_model lost = model;
        vcl_sim_set_down(rig.sim, true);
        model_random(&lost, owner, &random, 10);
        usleep(5000);
        node_unbind(owner);
        vcl_sim_set_down(rig.sim, false);
        test_node *next = &nodes[(unsigned)(owner - nodes + 1) % 3];
        if (next->log) node_unbind(next);
        node_bind_ok(next);
        cr_assert(store_is(next, &model), "round %u", round);
        model_random(&model, next, &random, 5);
        node_flush(next);
    }
    cr_expect(log_is(&rig, &model));
    for (unsigned i = 0; i < 3; i++) node_close(&nodes[i]);
    rig_close(&rig);
}

Test(takeover, before_anything_was_shipped_the_successor_makes_the_history) {
    test_rig rig;
    test_node a, b;
    test_model model = {0}, zombie = {.last = 1000};
    uint64_t random = 4;
    rig_open(&rig, 4);
    node_open(&a, &rig, "a");
    node_bind_ok(&a);
    node_open(&b, &rig, "b");
    node_bind_ok(&b);
    model_random(&zombie, &a, &random, 20);
    wait_fenced(&a);
    model_random(&model, &b, &random, 20);
    node_flush(&b);
    node_close(&a);
    node_open(&a, &rig, "a");
    node_bind_ok(&a);
    cr_expect_eq(node_stats(&a).rolled_back, 20);
    cr_expect(store_is(&a, &model));
    node_close(&a);
    node_close(&b);
    rig_close(&rig);
}

Test(takeover, a_restored_store_rolls_back_too) {
    test_rig rig;
    test_node a, b;
    test_model model = {0}, zombie;
    rig_open(&rig, 5);
    take_over(&rig, &a, &b, &model, &zombie, 5);
    node_close(&a);
    node_open(&a, &rig, "a");
    varve_restore_progress result;
    must(node_restore(&a, &result, err));
    cr_expect(store_is(&a, &model));
    cr_expect_eq(result.records, 50);
    /* b was not fenced by it. */
    uint64_t random = 50;
    model_random(&model, &b, &random, 10);
    node_flush(&b);
    must(node_restore(&a, NULL, err));
    cr_expect(store_is(&a, &model));
    node_close(&a);
    node_close(&b);
    rig_close(&rig);
}

Test(takeover, changes_made_between_restore_and_open_are_shipped) {
    test_rig rig;
    test_node a, b;
    test_model model = {0};
    uint64_t random = 6;
    rig_open(&rig, 6);
    node_open(&a, &rig, "a");
    node_bind_ok(&a);
    model_random(&model, &a, &random, 100);
    node_flush(&a);
    node_close(&a);
    node_open(&b, &rig, "b");
    must(node_restore(&b, NULL, err));
    model_random(&model, &b, &random, 33);
    node_bind_ok(&b);
    cr_expect_eq(node_stats(&b).rolled_back, 0);
    node_flush(&b);
    cr_expect(log_is(&rig, &model));
    cr_expect(store_is(&b, &model));
    node_close(&b);
    rig_close(&rig);
}

Test(takeover, a_copied_directory_is_a_fork) {
    test_rig rig;
    test_node a, copy;
    test_model model = {0};
    uint64_t random = 7;
    varve_error err;
    rig_open(&rig, 7);
    node_open(&a, &rig, "a");
    node_bind_ok(&a);
    model_random(&model, &a, &random, 50);
    node_flush(&a);
    node_close(&a);
    node_open(&a, &rig, "a");
    node_copy(&a, &copy, "copy");
    node_bind_ok(&a);
    model_random(&model, &a, &random, 20);
    node_flush(&a);
    cr_expect_eq(node_bind(&copy, &err), VARVE_DIVERGED);
    cr_expect(strstr(err.message, "copy of this database"), "%s", err.message);
    /* The refusal disturbed nobody. */
    model_random(&model, &a, &random, 20);
    node_flush(&a);
    cr_expect(log_is(&rig, &model));
    node_close(&a);
    node_close(&copy);
    rig_close(&rig);
}

/* Both copies open at the same epoch: only their sessions tell them apart. */
Test(takeover, a_copied_directory_of_the_same_epoch_is_a_fork) {
    test_rig rig;
    test_node a, copy;
    test_model model = {0}, zombie;
    uint64_t random = 8;
    varve_error err;
    rig_open(&rig, 8);
    node_open(&a, &rig, "a");
    node_bind_ok(&a);
    model_random(&model, &a, &random, 50);
    node_flush(&a);
    node_unbind(&a);
    node_copy(&a, &copy, "copy");
    node_bind_ok(&a);
    node_bind_ok(&copy);
    cr_expect_eq(node_stats(&a).epoch, node_stats(&copy).epoch);
    zombie = model;
    model_random(&zombie, &a, &random, 20);
    wait_fenced(&a);
    model_random(&model, &copy, &random, 20);
    node_flush(&copy);
    node_unbind(&a);
    cr_expect_eq(node_bind(&a, &err), VARVE_DIVERGED);
    cr_expect(log_is(&rig, &model));
    node_close(&a);
    node_close(&copy);
    rig_close(&rig);
}

/* What a rollback leaves that died in the middle: some of the keys are back to what they were, by replica batches. */
Test(takeover, rolling_back_again_after_a_crash_in_it_is_the_same_as_once) {
    for (unsigned done = 0; done <= RIG_KEYS; done += 16) {
        test_rig rig;
        test_node a, b;
        test_model model = {0}, zombie, before;
        rig_open(&rig, 40 + done);
        take_over(&rig, &a, &b, &model, &zombie, 40 + done);
        node_close(&a);
        node_close(&b);
        /* The state that a's changes are rolled back to is that of the log's first 100 records, before b wrote. */
        node_open(&a, &rig, "a");
        log_until(&rig, 100, &before);
        model_replicate(&before, &a, 0, done);
        node_bind_ok(&a);
        cr_expect(store_is(&a, &model), "%u keys were back", done);
        node_close(&a);
        rig_close(&rig);
    }
}

/* Cancels, or dies, in the middle of following: the next open goes on, and the rollback is not made over what was applied. */
static bool cancel_soon(void *context, const varve_restore_progress *progress) {
    (void)progress;
    unsigned *left = context;
    if (*left == 0) return false;
    (*left)--;
    return true;
}

static varve_status fail_poll(void *context, hook_point point, varve_error *err) {
    unsigned *left = context;
    if (point != HOOK_POLL || (*left)-- > 0) return VARVE_OK;
    *left = 0;
    err->code = VARVE_IO;
    err->flags = 0;
    snprintf(err->message, sizeof err->message, "the process ends here");
    return VARVE_IO;
}

Test(takeover, following_is_gone_on_with_after_an_interruption_at_any_poll) {
    for (unsigned polls = 1; polls < 12; polls++) {
        test_rig rig;
        test_node a, b, crashed;
        test_model model = {0}, zombie;
        varve_error err;
        rig_open(&rig, 20 + polls);
        take_over(&rig, &a, &b, &model, &zombie, 20 + polls);
        uint64_t random = polls;
        /* Enough for several batches, over keys that the zombie has changed too. */
        model_random(&model, &b, &random, 9000);
        node_flush(&b);
        node_close(&a);
        node_open(&a, &rig, "a");
        unsigned left = polls;
        test_hook hook = {fail_poll, &left};
        varve_status status = node_bind_hooked(&a, &hook, &err);
        if (status == VARVE_OK) {
            node_unbind(&a);
        } else {
            cr_expect_eq(status, VARVE_IO);
        }
        node_copy(&a, &crashed, "crashed");
        node_bind_ok(&crashed);
        cr_expect(store_is(&crashed, &model), "after %u polls", polls);
        node_close(&crashed);
        node_close(&a);
        node_close(&b);
        rig_close(&rig);
    }
}

Test(takeover, following_can_be_cancelled) {
    test_rig rig;
    test_node a, b;
    test_model model = {0}, zombie;
    varve_error err;
    rig_open(&rig, 9);
    take_over(&rig, &a, &b, &model, &zombie, 9);
    node_unbind(&a);
    unsigned left = 0;
    rig.options.progress = cancel_soon;
    rig.options.progress_context = &left;
    cr_expect_eq(node_bind(&a, &err), VARVE_CANCELLED);
    left = 1000;
    node_bind_ok(&a);
    cr_expect(store_is(&a, &model));
    node_close(&a);
    node_close(&b);
    rig_close(&rig);
}
