/*
 * test_sim_cleaning.c - the simulated broker's cleaner, and what a test can do to its logs: truncation, a moved start, a
 * recreated topic, a flipped bit.
 */
#include "sim.h"
#include "transport_fixture.h"

#include <stdio.h>
#include <stdlib.h>

enum { RETENTION_MS = 1000 };

static vcl_sim *sim;
static vcl_transport *t;
static vcl_producer *p;
static varve_error err;

static void set_up(void) {
    cr_assert_eq(vcl_sim_create(11, &sim), VARVE_OK);
    cr_assert_eq(vcl_sim_transport(sim, &t), VARVE_OK);
    make_topic(t, "t", "1000");
    p = open_producer(t, "id");
}

static void tear_down(void) {
    t->ops->producer_close(p);
    t->ops->close(t);
    vcl_sim_free(sim);
}

TestSuite(sim_cleaning, .init = set_up, .fini = tear_down);

Test(sim_cleaning, keeps_the_newest_of_each_key_at_its_offset) {
    write_pair(t, p, "t", "a", "1", true);  /* 0, marker 1 */
    write_pair(t, p, "t", "ab", "2", true); /* 2, marker 3 */
    write_pair(t, p, "t", "a", "3", true);  /* 4, marker 5 */
    vcl_sim_compact(sim, "t", 0, 0);
    expect_content(t, "t", 0, "2:ab=2 4:a=3");
    expect_content(t, "t", 3, "4:a=3");
    cr_expect_eq(offsets_of(t, "t").start, 0);
    cr_expect_eq(offsets_of(t, "t").end, 6);
}

Test(sim_cleaning, leaves_the_dirty_part_alone_and_does_not_let_it_supersede) {
    write_pair(t, p, "t", "a", "1", true);
    write_pair(t, p, "t", "a", "2", true);
    write_pair(t, p, "t", "a", "3", true);
    vcl_sim_compact(sim, "t", 0, 1);
    expect_content(t, "t", 0, "2:a=2 4:a=3");
    vcl_sim_compact(sim, "t", 0, 100);
    expect_content(t, "t", 0, "2:a=2 4:a=3");
}

Test(sim_cleaning, stops_at_the_stable_end) {
    vcl_producer *open = open_producer(t, "open");
    write_pair(t, p, "t", "a", "1", true);
    write_pair(t, open, "t", "x", "1", false);
    write_pair(t, p, "t", "a", "2", true);
    vcl_sim_compact(sim, "t", 0, 0);
    MUST(t->ops->commit(open, 1000, NULL, &err), err);
    expect_content(t, "t", 0, "0:a=1 2:x=1 3:a=2");
    t->ops->producer_close(open);
}

static void count_visit(void *context, const vcl_record *record, int committed) {
    (void)record;
    ((int *)context)[committed + 1]++;
}

Test(sim_cleaning, aborted_records_go_and_never_supersede) {
    write_pair(t, p, "t", "a", "1", true);
    write_pair(t, p, "t", "a", "2", false);
    MUST(t->ops->abort(p, 1000, &err), err);
    write_pair(t, p, "t", "b", "3", false);
    int seen[3] = {0};
    vcl_sim_dump(sim, "t", 0, count_visit, seen);
    cr_expect_eq(seen[0], 1, "aborted");
    cr_expect_eq(seen[1], 1, "open");
    cr_expect_eq(seen[2], 1, "committed");
    vcl_sim_compact(sim, "t", 0, 0);
    vcl_sim_dump(sim, "t", 0, count_visit, seen);
    cr_expect_eq(seen[0], 1, "the aborted one is gone");
    expect_content(t, "t", 0, "0:a=1");
}

Test(sim_cleaning, a_tombstone_goes_a_retention_after_the_cleaner_met_it) {
    write_pair(t, p, "t", "a", "1", true);
    write_pair(t, p, "t", "a", NULL, true);
    vcl_sim_advance(sim, RETENTION_MS * 10);
    vcl_sim_compact(sim, "t", 0, 0);
    expect_content(t, "t", 0, "2:a=-");
    vcl_sim_advance(sim, RETENTION_MS);
    vcl_sim_compact(sim, "t", 0, 0);
    expect_content(t, "t", 0, "2:a=-");
    vcl_sim_advance(sim, 1);
    vcl_sim_compact(sim, "t", 0, 0);
    expect_content(t, "t", 0, "");
    cr_expect_eq(offsets_of(t, "t").end, 4);
}

Test(sim_cleaning, a_newer_write_supersedes_a_tombstone_before_its_time) {
    write_pair(t, p, "t", "a", NULL, true);
    write_pair(t, p, "t", "a", "2", true);
    vcl_sim_compact(sim, "t", 0, 0);
    expect_content(t, "t", 0, "2:a=2");
}

Test(sim_cleaning, a_topic_without_compaction_is_left_alone) {
    const vcl_topic_spec spec = {.partitions = 1, .replication = 1};
    MUST(t->ops->create_topic(t, "plain", &spec, 1000, &err), err);
    write_pair(t, p, "plain", "a", "1", true);
    write_pair(t, p, "plain", "a", "2", true);
    vcl_sim_compact(sim, "plain", 0, 0);
    expect_content(t, "plain", 0, "0:a=1 2:a=2");
}

/* Random writes and cleanings: the last committed value of each key always survives, at its offset and in order. */
Test(sim_cleaning, any_cleaning_keeps_the_final_state) {
    enum { KEYS = 17, ROUNDS = 600 };
    char expected[KEYS][16] = {{0}};
    unsigned random = 5;
    for (int round = 0; round < ROUNDS; round++) {
        char key[8], value[16];
        random = random * 1103515245 + 12345;
        unsigned k = random / 65536 % KEYS, action = random / 4096 % 10;
        snprintf(key, sizeof key, "k%u", k);
        snprintf(value, sizeof value, "%d", round);
        bool is_delete = action == 0, aborted = action == 1;
        write_pair(t, p, "t", key, is_delete ? NULL : value, !aborted);
        if (aborted) {
            MUST(t->ops->abort(p, 1000, &err), err);
        } else {
            snprintf(expected[k], sizeof expected[k], "%s", is_delete ? "" : value);
        }
        vcl_sim_advance(sim, 30);
        if (action >= 8) vcl_sim_compact(sim, "t", 0, random / 1024 % 20);
    }
    char found[KEYS][16] = {{0}};
    vcl_consumer *c;
    const vcl_record *records;
    size_t count;
    int64_t last = -1;
    MUST(t->ops->consumer_open(t, "t", 0, 0, &c, &err), err);
    while (t->ops->position(c) < offsets_of(t, "t").end) {
        MUST(t->ops->poll(c, 0, &records, &count, &err), err);
        for (size_t i = 0; i < count; i++) {
            cr_assert_gt(records[i].offset, last);
            last = records[i].offset;
            char key[8];
            snprintf(key, sizeof key, "%.*s", (int)records[i].key.size, records[i].key.data);
            int k = atoi(key + 1);
            cr_assert(k >= 0 && k < KEYS, "key %s", key);
            snprintf(found[k], sizeof found[k], "%.*s", (int)records[i].value.size,
                     records[i].tombstone ? "" : records[i].value.data);
        }
    }
    t->ops->consumer_close(c);
    for (int k = 0; k < KEYS; k++) cr_expect_str_eq(found[k], expected[k], "key k%d", k);
}

/* --- Damage ------------------------------------------------------------------------------------------------------ */

Test(sim_cleaning, truncation_loses_the_tail_and_reuses_its_offsets) {
    write_pair(t, p, "t", "a", "1", true);
    write_pair(t, p, "t", "b", "2", true);
    vcl_sim_truncate(sim, "t", 0, 2);
    cr_expect_eq(offsets_of(t, "t").end, 2);
    write_pair(t, p, "t", "c", "3", true);
    expect_content(t, "t", 0, "0:a=1 2:c=3");
}

Test(sim_cleaning, truncation_of_a_marker_leaves_its_records_open_until_the_next_one) {
    write_pair(t, p, "t", "a", "1", true);
    vcl_sim_truncate(sim, "t", 0, 1);
    cr_expect_eq(offsets_of(t, "t").stable_end, 0);
    expect_content(t, "t", 0, "");
    write_pair(t, p, "t", "b", "2", true);
    expect_content(t, "t", 0, "0:a=1 1:b=2");
}

Test(sim_cleaning, a_reader_beyond_the_end_or_below_the_start_is_told_what_there_is) {
    vcl_consumer *c;
    const vcl_record *records;
    size_t count;
    write_pair(t, p, "t", "a", "1", true);
    write_pair(t, p, "t", "b", "2", true);
    vcl_sim_set_start(sim, "t", 0, 2);
    cr_expect_eq(offsets_of(t, "t").start, 2);
    const int64_t outside[] = {1, 5};
    for (int i = 0; i < 2; i++) {
        MUST(t->ops->consumer_open(t, "t", 0, outside[i], &c, &err), err);
        cr_expect_eq(t->ops->poll(c, 0, &records, &count, &err), VARVE_MISSING);
        cr_expect_not_null(strstr(err.message, "the log holds 2 to 4"), "%s", err.message);
        t->ops->consumer_close(c);
    }
    expect_content(t, "t", 2, "2:b=2");
    vcl_sim_set_start(sim, "t", 0, 100);
    cr_expect_eq(offsets_of(t, "t").start, 4);
}

Test(sim_cleaning, a_recreated_topic_is_empty_and_has_another_id) {
    vcl_topic_info before, after;
    MUST(t->ops->describe_topic(t, "t", 1000, &before, &err), err);
    write_pair(t, p, "t", "a", "1", false);
    vcl_sim_recreate(sim, "t");
    MUST(t->ops->describe_topic(t, "t", 1000, &after, &err), err);
    cr_expect_neq(memcmp(before.id, after.id, sizeof before.id), 0);
    cr_expect_str_eq(after.cleanup_policy, "compact");
    MUST(t->ops->commit(p, 1000, NULL, &err), err);
    cr_expect_eq(offsets_of(t, "t").end, 0, "the transaction under way knows nothing of the new topic");
}

Test(sim_cleaning, a_flipped_bit_shows) {
    write_pair(t, p, "t", "a", "b", true);
    vcl_sim_flip(sim, "t", 0, 0, 1);
    vcl_sim_flip(sim, "t", 0, 0, 2); /* behind it */
    vcl_sim_flip(sim, "t", 0, 1, 0); /* the marker */
    vcl_sim_flip(sim, "t", 0, 9, 0); /* behind the end */
    expect_content(t, "t", 0, "0:a=c");
}
