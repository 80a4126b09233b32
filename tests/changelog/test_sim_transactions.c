/*
 * test_sim_transactions.c - the simulated broker's transactions: what readers see, offsets, fencing, expiry.
 */
#include "sim.h"
#include "transport_fixture.h"

#include <stdlib.h>

static vcl_sim *sim;
static vcl_transport *t;
static varve_error err;

static void set_up(void) {
    cr_assert_eq(vcl_sim_create(7, &sim), VARVE_OK);
    cr_assert_eq(vcl_sim_transport(sim, &t), VARVE_OK);
    make_topic(t, "t", "86400000");
}

static void tear_down(void) {
    t->ops->close(t);
    vcl_sim_free(sim);
}

TestSuite(sim_transactions, .init = set_up, .fini = tear_down);

Test(sim_transactions, commit_shows_records_in_order_and_spends_an_offset_on_the_marker) {
    vcl_producer *p = open_producer(t, "id");
    vcl_record records[] = {record_of("a", "1", NULL), record_of("b", NULL, NULL), record_of("", "", "mark")};
    int64_t next = 0;
    MUST(t->ops->begin(p, &err), err);
    MUST(t->ops->produce(p, "t", 0, records, 3, &err), err);
    MUST(t->ops->commit(p, 1000, &next, &err), err);
    cr_expect_eq(next, 3);
    vcl_offsets offsets = offsets_of(t, "t");
    cr_expect_eq(offsets.start, 0);
    cr_expect_eq(offsets.end, 4);
    cr_expect_eq(offsets.stable_end, 4);
    cr_expect_eq(write_pair(t, p, "t", "c", "3", true), 5);
    expect_content(t, "t", 0, "0:a=1 1:b=- 2:=/mark 4:c=3");
    t->ops->producer_close(p);
}

Test(sim_transactions, open_records_hold_the_stable_end_and_are_not_read) {
    vcl_producer *a = open_producer(t, "a"), *b = open_producer(t, "b");
    write_pair(t, a, "t", "open", "1", false);
    cr_expect_eq(write_pair(t, b, "t", "done", "2", true), 2);
    vcl_offsets offsets = offsets_of(t, "t");
    cr_expect_eq(offsets.end, 3);
    cr_expect_eq(offsets.stable_end, 0);
    expect_content(t, "t", 0, "");
    int64_t next;
    MUST(t->ops->commit(a, 1000, &next, &err), err);
    cr_expect_eq(next, 1);
    expect_content(t, "t", 0, "0:open=1 1:done=2");
    t->ops->producer_close(a);
    t->ops->producer_close(b);
}

Test(sim_transactions, aborted_records_are_passed_over_and_the_position_moves) {
    vcl_producer *p = open_producer(t, "id");
    write_pair(t, p, "t", "gone", "1", false);
    MUST(t->ops->abort(p, 1000, &err), err);
    cr_expect_eq(offsets_of(t, "t").stable_end, 2);
    expect_content(t, "t", 0, "");
    vcl_consumer *c;
    const vcl_record *records;
    size_t count;
    MUST(t->ops->consumer_open(t, "t", 0, 0, &c, &err), err);
    cr_expect_eq(t->ops->position(c), 0);
    MUST(t->ops->poll(c, 0, &records, &count, &err), err);
    cr_expect_eq(count, 0);
    cr_expect_eq(t->ops->position(c), 2);
    t->ops->consumer_close(c);
    t->ops->producer_close(p);
}

Test(sim_transactions, a_successor_aborts_what_is_open_and_fences) {
    vcl_producer *zombie = open_producer(t, "id");
    write_pair(t, zombie, "t", "zombie", "1", false);
    vcl_producer *heir = open_producer(t, "id");
    cr_expect_eq(offsets_of(t, "t").stable_end, 2, "the open transaction was not aborted");
    vcl_record record = record_of("zombie", "2", NULL);
    cr_expect_eq(t->ops->produce(zombie, "t", 0, &record, 1, &err), VARVE_FENCED);
    cr_expect_eq(err.flags, VARVE_ERROR_FATAL | VARVE_ERROR_FENCED);
    cr_expect_eq(t->ops->commit(zombie, 1000, NULL, &err), VARVE_FENCED);
    cr_expect_eq(t->ops->abort(zombie, 1000, &err), VARVE_FENCED);
    cr_expect_eq(t->ops->begin(zombie, &err), VARVE_FENCED);
    write_pair(t, heir, "t", "heir", "3", true);
    expect_content(t, "t", 0, "2:heir=3");
    t->ops->producer_close(zombie);
    t->ops->producer_close(heir);
}

Test(sim_transactions, an_idle_zombie_learns_of_it_when_it_writes) {
    vcl_producer *zombie = open_producer(t, "id"), *heir = open_producer(t, "id");
    MUST(t->ops->begin(zombie, &err), err);
    cr_expect_eq(t->ops->commit(zombie, 1000, NULL, &err), VARVE_OK, "an empty transaction does not speak to the broker");
    MUST(t->ops->begin(zombie, &err), err);
    vcl_record record = record_of("zombie", "2", NULL);
    cr_expect_eq(t->ops->produce(zombie, "t", 0, &record, 1, &err), VARVE_FENCED);
    t->ops->producer_close(zombie);
    t->ops->producer_close(heir);
    cr_expect_eq(offsets_of(t, "t").end, 0);
}

Test(sim_transactions, ids_do_not_fence_each_other) {
    vcl_producer *a = open_producer(t, "a"), *b = open_producer(t, "b");
    write_pair(t, a, "t", "a", "1", true);
    write_pair(t, b, "t", "b", "2", true);
    expect_content(t, "t", 0, "0:a=1 2:b=2");
    t->ops->producer_close(a);
    t->ops->producer_close(b);
}

Test(sim_transactions, closing_leaves_the_transaction_open_until_it_expires) {
    vcl_producer *p = open_producer(t, "id");
    write_pair(t, p, "t", "a", "1", false);
    t->ops->producer_close(p);
    cr_expect_eq(offsets_of(t, "t").stable_end, 0);
    vcl_sim_expire_transactions(sim);
    cr_expect_eq(offsets_of(t, "t").stable_end, 2);
    expect_content(t, "t", 0, "");
}

Test(sim_transactions, an_expired_transaction_fences_its_producer) {
    vcl_producer *p = open_producer(t, "id"), *idle = open_producer(t, "idle");
    write_pair(t, p, "t", "a", "1", false);
    vcl_sim_expire_transactions(sim);
    cr_expect_eq(t->ops->commit(p, 1000, NULL, &err), VARVE_FENCED);
    write_pair(t, idle, "t", "b", "2", true);
    expect_content(t, "t", 0, "2:b=2");
    t->ops->producer_close(p);
    t->ops->producer_close(idle);
}

Test(sim_transactions, calls_out_of_turn_are_refused) {
    vcl_producer *p = open_producer(t, "id");
    vcl_record record = record_of("a", "1", NULL);
    cr_expect_eq(t->ops->produce(p, "t", 0, &record, 1, &err), VARVE_INVALID);
    cr_expect_eq(t->ops->commit(p, 1000, NULL, &err), VARVE_INVALID);
    cr_expect_eq(t->ops->abort(p, 1000, &err), VARVE_INVALID);
    MUST(t->ops->begin(p, &err), err);
    cr_expect_eq(t->ops->begin(p, &err), VARVE_INVALID);
    t->ops->producer_close(p);
    cr_expect_eq(t->ops->producer_open(t, "", 1000, &p, &err), VARVE_INVALID);
}

Test(sim_transactions, a_refused_record_forces_an_abort) {
    vcl_producer *p = open_producer(t, "id");
    char *large = calloc(1, 1100000);
    vcl_record records[] = {record_of("small", "1", NULL), {.key = varve_str("large"), .value = varve_bytes(large, 1100000)}};
    MUST(t->ops->begin(p, &err), err);
    cr_expect_eq(t->ops->produce(p, "t", 0, records, 2, &err), VARVE_TOO_LARGE);
    cr_expect_eq(err.flags, 0);
    cr_expect_eq(t->ops->produce(p, "t", 0, records, 1, &err), VARVE_KAFKA);
    cr_expect_eq(t->ops->commit(p, 1000, NULL, &err), VARVE_KAFKA);
    cr_expect_eq(err.flags, 0);
    MUST(t->ops->abort(p, 1000, &err), err);
    write_pair(t, p, "t", "next", "2", true);
    expect_content(t, "t", 0, "2:next=2");
    t->ops->producer_close(p);
    free(large);
}

Test(sim_transactions, a_topic_or_partition_that_is_not_there_is_missing) {
    vcl_producer *p = open_producer(t, "id");
    vcl_consumer *c;
    vcl_offsets offsets;
    vcl_record record = record_of("a", "1", NULL);
    MUST(t->ops->begin(p, &err), err);
    cr_expect_eq(t->ops->produce(p, "none", 0, &record, 1, &err), VARVE_MISSING);
    MUST(t->ops->abort(p, 1000, &err), err);
    MUST(t->ops->begin(p, &err), err);
    cr_expect_eq(t->ops->produce(p, "t", 1, &record, 1, &err), VARVE_MISSING);
    cr_expect_eq(t->ops->offsets(t, "none", 0, 1000, &offsets, &err), VARVE_MISSING);
    cr_expect_eq(t->ops->offsets(t, "t", -1, 1000, &offsets, &err), VARVE_MISSING);
    cr_expect_eq(t->ops->consumer_open(t, "t", 1, 0, &c, &err), VARVE_MISSING);
    t->ops->producer_close(p);
}

Test(sim_transactions, timestamps_are_the_writers_or_else_the_brokers) {
    vcl_producer *p = open_producer(t, "id");
    vcl_record records[] = {record_of("a", "1", NULL), record_of("b", "2", NULL)};
    records[0].timestamp_ms = 12345;
    records[1].timestamp_ms = 0;
    MUST(t->ops->begin(p, &err), err);
    MUST(t->ops->produce(p, "t", 0, records, 2, &err), err);
    MUST(t->ops->commit(p, 1000, NULL, &err), err);
    vcl_consumer *c;
    const vcl_record *found;
    size_t count = 0, total = 0;
    int64_t times[2] = {0};
    MUST(t->ops->consumer_open(t, "t", 0, 0, &c, &err), err);
    while (total < 2) {
        MUST(t->ops->poll(c, 0, &found, &count, &err), err);
        for (size_t i = 0; i < count; i++) times[total++] = found[i].timestamp_ms;
    }
    cr_expect_eq(times[0], 12345);
    cr_expect_eq(times[1], vcl_sim_now(sim));
    t->ops->consumer_close(c);
    t->ops->producer_close(p);
}
