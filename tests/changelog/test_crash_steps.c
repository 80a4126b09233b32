/*
 * tests/changelog/test_crash_steps.c - the writer dies between any two steps of shipping a group. A copy of its directory, made at
 * that moment, is what kill -9 leaves: everything that was written, nothing that was only in memory.
 */
#include "rig.h"

#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

typedef struct writer_death {
    test_node *node;
    test_node crashed;
    hook_point at;
    unsigned left; /* calls of that point before it happens */
    atomic_bool dead;
} writer_death;

static varve_status die(void *context, hook_point point, varve_error *hook_err) {
    writer_death *death = context;
    if (!death->dead && point == death->at && death->left-- == 0) {
        node_copy(death->node, &death->crashed, "crashed");
        death->dead = true;
    }
    if (!death->dead) return VARVE_OK;
    hook_err->code = VARVE_KAFKA;
    hook_err->flags = VARVE_ERROR_RETRIABLE;
    snprintf(hook_err->message, sizeof hook_err->message, "nobody asks any more");
    return VARVE_KAFKA;
}

static void die_at(hook_point at) {
    for (unsigned nth = 0; nth < 5; nth++) {
        test_rig rig;
        test_node a;
        test_model model = {0};
        uint64_t random = nth, written = 0;
        rig_open(&rig, nth);
        rig.options.commit_interval_ms = 60000; /* only a flush ships, so nothing is written while the directory is copied */
        node_open(&a, &rig, "a");
        writer_death death = {.node = &a, .at = at, .left = nth};
        test_hook hook = {die, &death};
        must(node_bind_hooked(&a, &hook, err));
        while (!death.dead) {
            model_random(&model, &a, &random, 10);
            written += 10;
            while (!death.dead && varve_changelog_flush(a.log, 20, NULL) != VARVE_OK) {
            }
            cr_assert(written < 10000);
        }
        node_close(&a);
        rig.options.commit_interval_ms = 2;
        node_bind_ok(&death.crashed);
        node_flush(&death.crashed);
        bool ordered;
        cr_expect(store_is(&death.crashed, &model));
        cr_expect(log_is(&rig, &model));
        cr_expect_eq(log_count(&rig, &ordered), written, "at call %u", nth);
        cr_expect(ordered);
        model_random(&model, &death.crashed, &random, 10);
        node_flush(&death.crashed);
        cr_expect(log_is(&rig, &model));
        node_close(&death.crashed);
        rig_close(&rig);
    }
}

Test(crash_steps, before_begin) {
    die_at(HOOK_BEGIN);
}

Test(crash_steps, between_begin_and_produce) {
    die_at(HOOK_PRODUCE);
}

Test(crash_steps, between_produce_and_commit) {
    die_at(HOOK_COMMIT);
}

Test(crash_steps, between_commit_and_position) {
    die_at(HOOK_COMMITTED);
}

/* Every group leaves a directory behind that was copied right after it: after the position, before the release. */
Test(crash_steps, between_position_and_the_next_group) {
    test_rig rig;
    test_node a, crashed;
    test_model model = {0};
    uint64_t random = 1;
    rig_open(&rig, 1);
    node_open(&a, &rig, "a");
    node_bind_ok(&a);
    model_random(&model, &a, &random, 50);
    node_flush(&a);
    node_copy(&a, &crashed, "crashed");
    node_close(&a);
    node_bind_ok(&crashed);
    node_flush(&crashed);
    cr_expect_eq(node_stats(&crashed).shipped_records, 0);
    cr_expect_eq(log_count(&rig, NULL), 50);
    cr_expect(store_is(&crashed, &model));
    node_close(&crashed);
    rig_close(&rig);
}

/* The writer dies while it opens; the one after it finds nothing half done. */
static varve_status die_in_open(void *context, hook_point point, varve_error *hook_err) {
    unsigned *left = context;
    (void)point;
    if ((*left)-- > 0) return VARVE_OK;
    *left = 0;
    hook_err->code = VARVE_IO;
    hook_err->flags = 0;
    snprintf(hook_err->message, sizeof hook_err->message, "the process ends here");
    return VARVE_IO;
}

Test(crash_steps, at_every_call_of_opening) {
    for (unsigned calls = 0; calls < 8; calls++) {
        test_rig rig;
        test_node a, b, crashed;
        test_model model = {0};
        uint64_t random = calls;
        varve_error err;
        rig_open(&rig, calls);
        node_open(&a, &rig, "a");
        node_bind_ok(&a);
        model_random(&model, &a, &random, 300);
        node_flush(&a);
        node_close(&a);
        node_open(&b, &rig, "b");
        unsigned left = calls;
        test_hook hook = {die_in_open, &left};
        varve_status status = node_bind_hooked(&b, &hook, &err);
        if (status == VARVE_OK) node_unbind(&b);
        node_copy(&b, &crashed, "crashed");
        node_bind_ok(&crashed);
        cr_expect(store_is(&crashed, &model));
        cr_expect(log_is(&rig, &model));
        node_close(&crashed);
        node_close(&b);
        rig_close(&rig);
    }
}
