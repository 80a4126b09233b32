/*
 * test_sim_faults.c - the simulated broker's topics, faults, absence, waiting, and that its seed decides.
 */
#include "sim.h"
#include "transport_fixture.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static vcl_sim *sim;
static vcl_transport *t;
static varve_error err;

static void set_up(void) {
    cr_assert_eq(vcl_sim_create(3, &sim), VARVE_OK);
    cr_assert_eq(vcl_sim_transport(sim, &t), VARVE_OK);
    make_topic(t, "t", "1000");
}

static void tear_down(void) {
    t->ops->close(t);
    vcl_sim_free(sim);
}

TestSuite(sim_faults, .init = set_up, .fini = tear_down);

/* --- Topics ------------------------------------------------------------------------------------------------------ */

Test(sim_faults, describes_what_was_created_with_defaults_for_the_rest) {
    vcl_topic_info info;
    const varve_kafka_setting configs[] = {{"cleanup.policy", "compact,delete"},
                                           {"retention.ms", "5"},
                                           {"max.message.bytes", "77"}};
    const vcl_topic_spec spec = {.partitions = 3, .replication = 2, .configs = configs, .config_count = 3};
    MUST(t->ops->create_topic(t, "made", &spec, 1000, &err), err);
    MUST(t->ops->describe_topic(t, "made", 1000, &info, &err), err);
    cr_expect(info.exists);
    cr_expect_eq(info.partitions, 3);
    cr_expect_eq(info.replication, 2);
    cr_expect_str_eq(info.cleanup_policy, "compact,delete");
    cr_expect_eq(info.retention_ms, 5);
    cr_expect_eq(info.max_message_bytes, 77);
    cr_expect_eq(info.delete_retention_ms, 86400000);
    cr_expect_eq(info.min_insync_replicas, 1);
    cr_expect_eq(info.retention_bytes, -1);
    static const uint8_t zero[16];
    cr_expect_neq(memcmp(info.id, zero, sizeof zero), 0);
    MUST(t->ops->describe_topic(t, "absent", 1000, &info, &err), err);
    cr_expect_not(info.exists);
}

Test(sim_faults, refuses_topics_as_a_broker_does) {
    const varve_kafka_setting unknown[] = {{"no.such.config", "1"}};
    const vcl_topic_spec good = {.partitions = 1, .replication = -1};
    vcl_topic_spec bad = good;
    cr_expect_eq(t->ops->create_topic(t, "t", &good, 1000, &err), VARVE_EXISTS);
    cr_expect_eq(t->ops->create_topic(t, "", &good, 1000, &err), VARVE_INVALID);
    bad.partitions = 0;
    cr_expect_eq(t->ops->create_topic(t, "u", &bad, 1000, &err), VARVE_INVALID);
    bad = good;
    bad.replication = 4;
    cr_expect_eq(t->ops->create_topic(t, "u", &bad, 1000, &err), VARVE_INVALID);
    bad = good;
    bad.configs = unknown;
    bad.config_count = 1;
    cr_expect_eq(t->ops->create_topic(t, "u", &bad, 1000, &err), VARVE_INVALID);
    cr_expect_not_null(strstr(err.message, "no.such.config"));
}

/* --- Faults ------------------------------------------------------------------------------------------------------ */

Test(sim_faults, retriable_does_nothing_and_works_the_next_time) {
    vcl_producer *p = open_producer(t, "id");
    int64_t next;
    write_pair(t, p, "t", "a", "1", false);
    vcl_sim_fault_at(sim, VCL_SIM_COMMIT, 2, VCL_SIM_RETRIABLE);
    vcl_sim_fault_at(sim, VCL_SIM_COMMIT, 1, VCL_SIM_RETRIABLE);
    cr_expect_eq(t->ops->commit(p, 1000, &next, &err), VARVE_KAFKA);
    cr_expect_eq(err.flags, VARVE_ERROR_RETRIABLE);
    cr_expect_eq(t->ops->commit(p, 1000, &next, &err), VARVE_KAFKA);
    MUST(t->ops->commit(p, 1000, &next, &err), err);
    cr_expect_eq(next, 1);
    t->ops->producer_close(p);
}

Test(sim_faults, abortable_wants_an_abort) {
    vcl_producer *p = open_producer(t, "id");
    write_pair(t, p, "t", "a", "1", false);
    vcl_sim_fault_at(sim, VCL_SIM_COMMIT, 1, VCL_SIM_ABORTABLE);
    cr_expect_eq(t->ops->commit(p, 1000, NULL, &err), VARVE_KAFKA);
    cr_expect_eq(err.flags, 0);
    cr_expect_eq(t->ops->commit(p, 1000, NULL, &err), VARVE_KAFKA, "it must be aborted");
    MUST(t->ops->abort(p, 1000, &err), err);
    expect_content(t, "t", 0, "");
    t->ops->producer_close(p);
}

Test(sim_faults, fatal_ends_the_producer_and_nothing_happened) {
    vcl_producer *p = open_producer(t, "id");
    write_pair(t, p, "t", "a", "1", false);
    vcl_sim_fault_at(sim, VCL_SIM_COMMIT, 1, VCL_SIM_FATAL);
    cr_expect_eq(t->ops->commit(p, 1000, NULL, &err), VARVE_KAFKA);
    cr_expect_eq(err.flags, VARVE_ERROR_FATAL);
    cr_expect_eq(t->ops->abort(p, 1000, &err), VARVE_KAFKA);
    cr_expect_eq(err.flags, VARVE_ERROR_FATAL);
    cr_expect_eq(offsets_of(t, "t").stable_end, 0);
    t->ops->producer_close(p);
    p = open_producer(t, "id");
    expect_content(t, "t", 0, "");
    t->ops->producer_close(p);
}

Test(sim_faults, a_lost_answer_has_happened_all_the_same) {
    const vcl_sim_point points[] = {VCL_SIM_PRODUCE, VCL_SIM_COMMIT, VCL_SIM_ABORT};
    const int64_t stable_ends[] = {0, 2, 2};
    for (int i = 0; i < 3; i++) {
        vcl_producer *p = open_producer(t, "id");
        vcl_record record = record_of("a", "1", NULL);
        vcl_sim_recreate(sim, "t");
        MUST(t->ops->begin(p, &err), err);
        vcl_sim_fault_at(sim, points[i], 1, VCL_SIM_LOST_ANSWER);
        varve_status st = t->ops->produce(p, "t", 0, &record, 1, &err);
        if (points[i] == VCL_SIM_COMMIT) st = t->ops->commit(p, 1000, NULL, &err);
        if (points[i] == VCL_SIM_ABORT) st = t->ops->abort(p, 1000, &err);
        cr_expect_eq(st, VARVE_KAFKA);
        cr_expect_eq(err.flags, VARVE_ERROR_FATAL);
        cr_expect_eq(offsets_of(t, "t").stable_end, stable_ends[i]);
        expect_content(t, "t", 0, points[i] == VCL_SIM_COMMIT ? "0:a=1" : "");
        t->ops->producer_close(p);
    }
}

Test(sim_faults, a_takeover_whose_answer_is_lost_fences_all_the_same) {
    vcl_producer *zombie = open_producer(t, "id"), *heir = NULL;
    write_pair(t, zombie, "t", "a", "1", false);
    vcl_sim_fault_at(sim, VCL_SIM_INIT, 1, VCL_SIM_LOST_ANSWER);
    cr_expect_eq(t->ops->producer_open(t, "id", 1000, &heir, &err), VARVE_KAFKA);
    cr_expect_null(heir);
    cr_expect_eq(t->ops->commit(zombie, 1000, NULL, &err), VARVE_FENCED);
    t->ops->producer_close(zombie);
}

Test(sim_faults, a_reader_and_the_offsets_meet_theirs) {
    vcl_consumer *c;
    const vcl_record *records;
    size_t count;
    vcl_offsets offsets;
    MUST(t->ops->consumer_open(t, "t", 0, 0, &c, &err), err);
    vcl_sim_fault_at(sim, VCL_SIM_POLL, 1, VCL_SIM_ABORTABLE);
    vcl_sim_fault_at(sim, VCL_SIM_POLL, 2, VCL_SIM_FATAL);
    vcl_sim_fault_at(sim, VCL_SIM_OFFSETS, 1, VCL_SIM_RETRIABLE);
    vcl_sim_fault_at(sim, VCL_SIM_OFFSETS, 2, VCL_SIM_FATAL);
    cr_expect_eq(t->ops->poll(c, 0, &records, &count, &err), VARVE_KAFKA);
    cr_expect_eq(err.flags, VARVE_ERROR_RETRIABLE);
    cr_expect_eq(t->ops->poll(c, 0, &records, &count, &err), VARVE_KAFKA);
    cr_expect_eq(err.flags, VARVE_ERROR_FATAL);
    cr_expect_eq(t->ops->poll(c, 0, &records, &count, &err), VARVE_KAFKA, "dead");
    cr_expect_eq(t->ops->offsets(t, "t", 0, 0, &offsets, &err), VARVE_KAFKA);
    cr_expect_eq(err.flags, VARVE_ERROR_RETRIABLE);
    cr_expect_eq(t->ops->offsets(t, "t", 0, 0, &offsets, &err), VARVE_KAFKA);
    cr_expect_eq(err.flags, 0);
    cr_expect_eq(t->ops->offsets(t, "t", 0, 0, &offsets, &err), VARVE_OK);
    t->ops->consumer_close(c);
}

Test(sim_faults, nothing_answers_while_it_is_down) {
    vcl_producer *p = open_producer(t, "id"), *other;
    vcl_consumer *c, *more;
    const vcl_record *records;
    size_t count;
    vcl_topic_info info;
    vcl_offsets offsets;
    const vcl_topic_spec spec = {.partitions = 1, .replication = 1};
    write_pair(t, p, "t", "a", "1", false);
    MUST(t->ops->consumer_open(t, "t", 0, 0, &c, &err), err);
    vcl_sim_set_down(sim, true);
    varve_status found[] = {
        t->ops->describe_topic(t, "t", 0, &info, &err),
        t->ops->create_topic(t, "u", &spec, 0, &err),
        t->ops->offsets(t, "t", 0, 0, &offsets, &err),
        t->ops->producer_open(t, "id", 0, &other, &err),
        t->ops->commit(p, 0, NULL, &err),
        t->ops->abort(p, 0, &err),
        t->ops->poll(c, 0, &records, &count, &err),
        t->ops->consumer_open(t, "t", 0, 0, &more, &err),
    };
    for (size_t i = 0; i < sizeof found / sizeof *found; i++) cr_expect_eq(found[i], VARVE_KAFKA, "call %zu", i);
    cr_expect_eq(err.flags, VARVE_ERROR_RETRIABLE);
    vcl_sim_set_down(sim, false);
    MUST(t->ops->commit(p, 0, NULL, &err), err);
    expect_content(t, "t", 0, "0:a=1");
    t->ops->consumer_close(c);
    t->ops->producer_close(p);
}

/* --- Chance ------------------------------------------------------------------------------------------------------ */

/* What a run of 300 transactions under faults comes to, as text. */
static char *run_of(uint64_t seed) {
    vcl_sim *own;
    vcl_transport *own_t;
    varve_error own_err;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    cr_assert_eq(vcl_sim_create(seed, &own), VARVE_OK);
    cr_assert_eq(vcl_sim_transport(own, &own_t), VARVE_OK);
    make_topic(own_t, "t", "1000");
    vcl_producer *p = open_producer(own_t, "id");
    vcl_sim_fault_rate(own, 50000);
    for (int i = 0; i < 300; i++) {
        vcl_record record = record_of("k", "v", NULL);
        varve_status st = own_t->ops->begin(p, &own_err);
        if (st == VARVE_OK) st = own_t->ops->produce(p, "t", 0, &record, 1, &own_err);
        if (st == VARVE_OK) st = own_t->ops->commit(p, 0, NULL, &own_err);
        fprintf(out, "%d/%u ", (int)st, st == VARVE_OK ? 0 : own_err.flags);
        if (st == VARVE_OK) continue;
        own_t->ops->producer_close(p);
        while (own_t->ops->producer_open(own_t, "id", 0, &p, &own_err) != VARVE_OK) continue;
    }
    vcl_sim_fault_rate(own, 0);
    fprintf(out, "%lld", (long long)offsets_of(own_t, "t").end);
    fclose(out);
    own_t->ops->producer_close(p);
    own_t->ops->close(own_t);
    vcl_sim_free(own);
    return text;
}

Test(sim_faults, the_seed_decides_all) {
    char *first = run_of(42), *again = run_of(42), *other = run_of(43);
    cr_expect_str_eq(first, again);
    cr_expect_str_neq(first, other);
    cr_expect_not_null(strstr(first, "-15/1"), "some retriable");
    cr_expect_not_null(strstr(first, "-15/2"), "some fatal");
    free(first);
    free(again);
    free(other);
}

/* --- Threads ----------------------------------------------------------------------------------------------------- */

static void *write_later(void *context) {
    vcl_producer *p = context;
    nanosleep(&(struct timespec){.tv_nsec = 30000000}, NULL);
    write_pair(t, p, "t", "late", "1", true);
    return NULL;
}

Test(sim_faults, a_waiting_poll_wakes_for_a_commit) {
    vcl_producer *p = open_producer(t, "id");
    vcl_consumer *c;
    const vcl_record *records;
    size_t count = 0;
    pthread_t writer;
    struct timespec before, after;
    MUST(t->ops->consumer_open(t, "t", 0, 0, &c, &err), err);
    cr_assert_eq(pthread_create(&writer, NULL, write_later, p), 0);
    clock_gettime(CLOCK_MONOTONIC, &before);
    MUST(t->ops->poll(c, 20000, &records, &count, &err), err);
    clock_gettime(CLOCK_MONOTONIC, &after);
    cr_expect_eq(count, 1);
    cr_expect_lt(after.tv_sec - before.tv_sec, 10);
    pthread_join(writer, NULL);
    t->ops->consumer_close(c);
    t->ops->producer_close(p);
}

typedef struct worker {
    char id[16];
    int committed;
} worker;

/* Writes 200 transactions of two records, aborting every fifth. */
static void *write_many(void *context) {
    worker *w = context;
    varve_error own_err;
    vcl_producer *p = open_producer(t, w->id);
    for (int i = 0; i < 200; i++) {
        vcl_record records[] = {record_of(w->id, "1", NULL), record_of(w->id, "2", "m")};
        MUST(t->ops->begin(p, &own_err), own_err);
        MUST(t->ops->produce(p, "t", 0, records, 2, &own_err), own_err);
        if (i % 5 == 0) {
            MUST(t->ops->abort(p, 1000, &own_err), own_err);
        } else {
            MUST(t->ops->commit(p, 1000, NULL, &own_err), own_err);
            w->committed++;
        }
    }
    t->ops->producer_close(p);
    return NULL;
}

Test(sim_faults, writers_cleaner_and_reader_at_once) {
    worker workers[3] = {{.id = "w0"}, {.id = "w1"}, {.id = "w2"}};
    pthread_t threads[3];
    vcl_consumer *c;
    const vcl_record *records;
    size_t count = 0;
    int64_t last = -1;
    MUST(t->ops->consumer_open(t, "t", 0, 0, &c, &err), err);
    for (int i = 0; i < 3; i++) cr_assert_eq(pthread_create(&threads[i], NULL, write_many, &workers[i]), 0);
    for (int i = 0; i < 100; i++) {
        MUST(t->ops->poll(c, 5, &records, &count, &err), err);
        for (size_t r = 0; r < count; r++) {
            cr_assert_gt(records[r].offset, last);
            last = records[r].offset;
        }
        vcl_sim_compact(sim, "t", 0, 50);
    }
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
        cr_expect_eq(workers[i].committed, 160);
    }
    vcl_offsets offsets = offsets_of(t, "t");
    cr_expect_eq(offsets.end, 3 * 200 * 3);
    cr_expect_eq(offsets.stable_end, offsets.end);
    t->ops->consumer_close(c);
}
