/*
 * tests/changelog/test_delivery_faults.c - faults of the broker at every point and every call: nothing lost, nothing twice.
 */
#include "rig.h"

#include <stdio.h>

/* Opens until it works: an open that met a fault may be made again. */
static void bind_persistently(test_node *node) {
    varve_error err = {0};
    for (int attempt = 0; attempt < 50; attempt++) {
        if (node_bind(node, &err) == VARVE_OK) return;
        cr_assert(err.code == VARVE_KAFKA, "%d %s", err.code, err.message);
    }
    cr_assert_fail("%s", err.message);
}

/* Two lives of a writer and a restore, with whatever faults have been set. */
static void live(test_rig *rig, uint64_t seed, unsigned rounds) {
    test_node a, b;
    test_model model = {0};
    uint64_t random = seed, written = 0;
    node_open(&a, rig, "a");
    for (int lives = 0; lives < 2; lives++) {
        bind_persistently(&a);
        for (unsigned round = 0; round < rounds; round++) {
            model_random(&model, &a, &random, 10);
            written += 10;
            node_flush(&a);
        }
        model_random(&model, &a, &random, 10);
        written += 10;
        node_unbind(&a);
    }
    bind_persistently(&a);
    node_flush(&a);
    bool ordered;
    cr_expect_eq(log_count(rig, &ordered), written);
    cr_expect(ordered);
    cr_expect(log_is(rig, &model));
    cr_expect(store_is(&a, &model));
    cr_expect_eq(node_stats(&a).state, VARVE_OK);
    node_open(&b, rig, "b");
    varve_error err = {0};
    varve_status status = VARVE_KAFKA;
    for (int attempt = 0; attempt < 50 && status == VARVE_KAFKA; attempt++) status = node_restore(&b, NULL, &err);
    cr_expect_eq(status, VARVE_OK, "%s", err.message);
    cr_expect(store_is(&b, &model));
    node_close(&a);
    node_close(&b);
}

static void sweep(vcl_sim_point point) {
    for (int fault = VCL_SIM_RETRIABLE; fault <= VCL_SIM_LOST_ANSWER; fault++) {
        for (uint64_t nth = 1; nth <= 9; nth++) {
            test_rig rig;
            rig_open(&rig, (uint64_t)point * 1000 + (uint64_t)fault * 100 + nth);
            vcl_sim_fault_at(rig.sim, point, nth, (vcl_sim_fault)fault);
            live(&rig, nth, 3);
            rig_close(&rig);
        }
    }
}

Test(delivery_faults, begin, .timeout = 120) {
    sweep(VCL_SIM_BEGIN);
}

Test(delivery_faults, produce, .timeout = 120) {
    sweep(VCL_SIM_PRODUCE);
}

Test(delivery_faults, commit, .timeout = 120) {
    sweep(VCL_SIM_COMMIT);
}

Test(delivery_faults, abort, .timeout = 120) {
    for (uint64_t nth = 1; nth <= 3; nth++) {
        for (int fault = VCL_SIM_RETRIABLE; fault <= VCL_SIM_LOST_ANSWER; fault++) {
            test_rig rig;
            rig_open(&rig, nth);
            for (uint64_t commit = 1; commit <= 3; commit++) vcl_sim_fault_at(rig.sim, VCL_SIM_COMMIT, commit, VCL_SIM_ABORTABLE);
            vcl_sim_fault_at(rig.sim, VCL_SIM_ABORT, nth, (vcl_sim_fault)fault);
            live(&rig, nth, 3);
            rig_close(&rig);
        }
    }
}

Test(delivery_faults, poll, .timeout = 120) {
    sweep(VCL_SIM_POLL);
}

Test(delivery_faults, offsets, .timeout = 120) {
    sweep(VCL_SIM_OFFSETS);
}

Test(delivery_faults, init, .timeout = 120) {
    sweep(VCL_SIM_INIT);
}

/* A second fault while the first is being recovered from. */
Test(delivery_faults, two_in_a_row, .timeout = 240) {
    static const vcl_sim_point points[] = {VCL_SIM_INIT,  VCL_SIM_OFFSETS, VCL_SIM_POLL,
                                           VCL_SIM_BEGIN, VCL_SIM_PRODUCE, VCL_SIM_COMMIT};
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        for (uint64_t nth = 1; nth <= 6; nth++) {
            for (int fault = VCL_SIM_RETRIABLE; fault <= VCL_SIM_LOST_ANSWER; fault++) {
                test_rig rig;
                rig_open(&rig, nth);
                vcl_sim_fault_at(rig.sim, VCL_SIM_COMMIT, 2, VCL_SIM_LOST_ANSWER);
                vcl_sim_fault_at(rig.sim, points[i], nth, (vcl_sim_fault)fault);
                live(&rig, nth, 2);
                rig_close(&rig);
            }
        }
    }
}

Test(delivery_faults, at_random, .timeout = 240) {
    for (uint64_t seed = 1; seed <= 40; seed++) {
        test_rig rig;
        rig_open(&rig, seed);
        vcl_sim_fault_rate(rig.sim, 20000 + 5000 * (uint32_t)seed);
        live(&rig, seed, 6);
        rig_close(&rig);
    }
}
