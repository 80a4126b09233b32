/*
 * tests/changelog/test_guards.c - topics that are not, or no longer, what the store knew: each has a named outcome, and a refusal
 * changes nothing and fences nobody.
 */
#include "rig.h"

#include <stdio.h>

#define HOUR_MS INT64_C(3600000)

/* A store that was shipped and closed, as most tests begin. */
static void begin(test_rig *rig, test_node *a, test_model *model, uint64_t seed, unsigned groups) {
    uint64_t random = seed;
    rig_open(rig, seed);
    node_open(a, rig, "a");
    node_bind_ok(a);
    for (unsigned i = 0; i < groups; i++) {
        model_random(model, a, &random, 20);
        node_flush(a);
    }
    node_unbind(a);
}

static void refused(test_node *node, const char *words) {
    varve_error err = {0};
    uint64_t sequence = varve_sequence(node->db);
    cr_assert_eq(node_bind(node, &err), VARVE_DIVERGED, "%d %s", err.code, err.message);
    cr_expect(strstr(err.message, words), "%s", err.message);
    cr_expect(strstr(err.message, RIG_TOPIC), "%s", err.message);
    cr_expect_eq(varve_sequence(node->db), sequence, "the refusal has written to the store");
}

static void end(test_rig *rig, test_node *a) {
    node_close(a);
    rig_close(rig);
}

Test(guards, a_truncated_log_is_noticed) {
    test_rig rig;
    test_node a;
    test_model model = {0};
    begin(&rig, &a, &model, 1, 3);
    vcl_sim_truncate(rig.sim, RIG_TOPIC, 0, 25);
    refused(&a, "lost acknowledged records");
    end(&rig, &a);
}

Test(guards, a_truncated_log_that_grew_again_is_noticed) {
    test_rig rig;
    test_node a, b;
    test_model model = {0}, other;
    uint64_t random = 2;
    begin(&rig, &a, &model, 2, 2);
    node_bind_ok(&a);
    int64_t whole_groups = node_stats(&a).next_offset;
    model_random(&model, &a, &random, 20);
    node_flush(&a);
    node_unbind(&a);
    vcl_sim_truncate(rig.sim, RIG_TOPIC, 0, whole_groups);
    node_open(&b, &rig, "b");
    node_bind_ok(&b);
    other = (test_model){.last = 5000};
    for (int i = 0; i < 5; i++) {
        model_random(&other, &b, &random, 30);
        node_flush(&b);
    }
    refused(&a, "others took their place");
    node_close(&b);
    end(&rig, &a);
}

Test(guards, a_recreated_topic_is_noticed) {
    test_rig rig;
    test_node a;
    test_model model = {0};
    begin(&rig, &a, &model, 3, 2);
    vcl_sim_recreate(rig.sim, RIG_TOPIC);
    refused(&a, "deleted and created again");
    end(&rig, &a);
}

Test(guards, a_moved_start_is_noticed) {
    test_rig rig;
    test_node a, b;
    test_model model = {0};
    uint64_t random = 4;
    begin(&rig, &a, &model, 4, 2);
    node_open(&b, &rig, "b");
    node_bind_ok(&b);
    model_random(&model, &b, &random, 50);
    node_flush(&b);
    node_close(&b);
    vcl_sim_set_start(rig.sim, RIG_TOPIC, 0, 60);
    refused(&a, "are gone");
    end(&rig, &a);
}

Test(guards, a_moved_start_before_the_position_does_not_matter) {
    test_rig rig;
    test_node a;
    test_model model = {0};
    begin(&rig, &a, &model, 5, 2);
    vcl_sim_set_start(rig.sim, RIG_TOPIC, 0, 30);
    node_bind_ok(&a);
    cr_expect(store_is(&a, &model));
    end(&rig, &a);
}

/* b deletes while a is away; compaction and time remove the tombstones. */
static void delete_behind(test_rig *rig, test_model *model, int64_t away_ms) {
    test_node b;
    uint64_t random = 6;
    node_open(&b, rig, "b");
    node_bind_ok(&b);
    for (unsigned key = 0; key < RIG_KEYS; key += 2) model_delete(model, &b, key);
    node_flush(&b);
    model_random(model, &b, &random, 20);
    node_flush(&b);
    node_close(&b);
    vcl_sim_advance(rig->sim, away_ms / 2);
    vcl_sim_compact(rig->sim, RIG_TOPIC, 0, 0);
    vcl_sim_advance(rig->sim, away_ms - away_ms / 2);
    vcl_sim_compact(rig->sim, RIG_TOPIC, 0, 0);
}

Test(guards, expired_tombstones_are_noticed) {
    test_rig rig;
    test_node a, c;
    test_model model = {0};
    begin(&rig, &a, &model, 6, 3);
    delete_behind(&rig, &model, 60 * HOUR_MS);
    refused(&a, "delete.retention.ms");
    /* An empty store is not concerned. */
    node_open(&c, &rig, "c");
    node_bind_ok(&c);
    cr_expect(store_is(&c, &model));
    node_close(&c);
    end(&rig, &a);
}

Test(guards, a_store_that_was_away_shortly_gets_the_deletes) {
    test_rig rig;
    test_node a;
    test_model model = {0};
    begin(&rig, &a, &model, 7, 3);
    delete_behind(&rig, &model, 20 * HOUR_MS);
    node_bind_ok(&a);
    cr_expect(store_is(&a, &model));
    end(&rig, &a);
}

Test(guards, a_store_that_nobody_replaced_may_be_away_for_long) {
    test_rig rig;
    test_node a;
    test_model model = {0};
    begin(&rig, &a, &model, 8, 3);
    vcl_sim_advance(rig.sim, 1000 * HOUR_MS);
    vcl_sim_compact(rig.sim, RIG_TOPIC, 0, 0);
    node_bind_ok(&a);
    cr_expect(store_is(&a, &model));
    end(&rig, &a);
}

Test(guards, a_store_away_for_long_may_follow_when_nothing_was_cleaned) {
    test_rig rig;
    test_node a, b;
    test_model model = {0};
    uint64_t random = 9;
    begin(&rig, &a, &model, 9, 3);
    node_open(&b, &rig, "b");
    node_bind_ok(&b);
    model_random(&model, &b, &random, 50);
    node_flush(&b);
    node_close(&b);
    vcl_sim_advance(rig.sim, 1000 * HOUR_MS);
    node_bind_ok(&a);
    cr_expect(store_is(&a, &model));
    end(&rig, &a);
}

Test(guards, a_topic_that_is_gone_is_not_made_anew) {
    test_rig rig;
    test_node a;
    test_model model = {0};
    begin(&rig, &a, &model, 10, 1);
    vcl_sim *other;
    cr_assert_eq(vcl_sim_create(99, &other), VARVE_OK);
    vcl_sim *kept = rig.sim;
    rig.sim = other;
    refused(&a, "does not exist");
    rig.sim = kept;
    vcl_sim_free(other);
    end(&rig, &a);
}

Test(guards, a_store_of_another_topic_is_refused) {
    test_rig rig;
    test_node a;
    test_model model = {0};
    varve_error err;
    begin(&rig, &a, &model, 11, 1);
    rig.options.topic = "orders-changelog";
    cr_expect_eq(node_bind(&a, &err), VARVE_DIVERGED);
    cr_expect(strstr(err.message, "users-changelog") && strstr(err.message, "orders-changelog"), "%s", err.message);
    end(&rig, &a);
}

Test(guards, a_store_with_content_of_its_own_is_refused) {
    test_rig rig;
    test_node a, b;
    test_model model = {0}, own = {0};
    begin(&rig, &a, &model, 12, 1);
    node_open(&b, &rig, "b");
    model_put(&own, &b, 3);
    refused(&b, "content that it did not get from it");
    cr_expect(store_is(&b, &own));
    node_close(&b);
    end(&rig, &a);
}

/* Two topics' histories: the store of the one meets the other's, where topic ids are not known. */
Test(guards, a_refused_process_fences_nobody) {
    test_rig rig;
    test_node a, b;
    test_model model = {0}, own = {0};
    uint64_t random = 13;
    begin(&rig, &a, &model, 13, 1);
    node_bind_ok(&a);
    node_open(&b, &rig, "b");
    model_put(&own, &b, 3);
    refused(&b, "content");
    node_close(&b);
    model_random(&model, &a, &random, 10);
    node_flush(&a);
    end(&rig, &a);
}

/* --- Records that Varve did not write ------------------------------------------------------------------------------ */

static void refused_for_its_end(test_node *node) {
    refused(node, "not written by Varve");
    must(node_restore(node, NULL, err));
    refused(node, "not written by Varve"); /* although there is nothing left to be applied */
}

Test(guards, a_stray_record_behind_the_last_group_is_refused_for_writing) {
    test_rig rig;
    test_node a, b;
    test_model model = {0};
    begin(&rig, &a, &model, 14, 3);
    cr_assert(vcl_sim_append(rig.sim, RIG_TOPIC, 0, "stray", "record"));
    refused_for_its_end(&a);
    node_open(&b, &rig, "b");
    refused_for_its_end(&b);
    node_close(&b);
    end(&rig, &a);
}

Test(guards, a_log_of_another_program_is_read_and_not_written_to) {
    test_rig rig;
    test_node a, b;
    test_model none = {0}, model = {0};
    begin(&rig, &a, &none, 15, 0);
    for (int i = 0; i < 20; i++) cr_assert(vcl_sim_append(rig.sim, RIG_TOPIC, 0, "key", i % 5 == 4 ? NULL : "value"));
    cr_assert(vcl_sim_append(rig.sim, RIG_TOPIC, 0, "key", "the last"));
    node_open(&b, &rig, "b");
    refused_for_its_end(&b);
    varve_buffer value = {0};
    must(varve_get(b.store, varve_str("key"), &value, err));
    cr_expect(value.size == 8 && memcmp(value.data, "the last", 8) == 0);
    varve_buffer_free(&value);
    varve_verify_result result;
    must(node_verify(&b, &result, err));
    cr_expect_eq(result.log_records, 21);
    /* Whoever ends with a transaction ends like a group whose mark was cleaned away. */
    cr_assert(vcl_sim_append(rig.sim, RIG_TOPIC, 0, "key", NULL));
    vcl_transport *transport;
    vcl_producer *producer;
    vcl_record record = {.key = varve_str("key"), .value = varve_str("in a transaction")};
    int64_t next;
    cr_assert_eq(vcl_sim_transport(rig.sim, &transport), VARVE_OK);
    must(transport->ops->producer_open(transport, "another program", 1000, &producer, err));
    must(transport->ops->begin(producer, err));
    must(transport->ops->produce(producer, RIG_TOPIC, 0, &record, 1, err));
    must(transport->ops->commit(producer, 1000, &next, err));
    transport->ops->producer_close(producer);
    transport->ops->close(transport);
    node_bind_ok(&b);
    model_put(&model, &b, 3);
    node_flush(&b);
    cr_expect_eq(node_stats(&b).shipped_records, 1);
    must(node_verify(&b, &result, err));
    cr_expect_eq(result.log_records, 24);
    node_close(&b);
    end(&rig, &a);
}

/* --- Topic settings ----------------------------------------------------------------------------------------------- */

static varve_status create_and_bind(const varve_kafka_setting *configs, size_t count, int32_t partitions,
                                    varve_changelog_options *change, varve_error *err) {
    test_rig rig;
    test_node a;
    rig_open(&rig, 1);
    vcl_transport *transport;
    cr_assert_eq(vcl_sim_transport(rig.sim, &transport), VARVE_OK);
    vcl_topic_spec spec = {.partitions = partitions, .replication = 1, .configs = configs, .config_count = count};
    cr_assert_eq(transport->ops->create_topic(transport, RIG_TOPIC, &spec, 1000, err), VARVE_OK);
    transport->ops->close(transport);
    node_open(&a, &rig, "a");
    if (change) {
        rig.options.partition = change->partition;
        rig.options.partitions = change->partitions;
        rig.options.replication = change->replication;
    }
    memset(err, 0, sizeof *err);
    varve_status status = node_bind(&a, err);
    node_close(&a);
    rig_close(&rig);
    return status;
}

Test(guards, a_topic_with_the_wrong_policy_is_refused_with_the_command) {
    varve_error err;
    varve_kafka_setting delete = {"cleanup.policy", "delete"};
    cr_expect_eq(create_and_bind(&delete, 1, 1, NULL, &err), VARVE_INVALID);
    cr_expect(strstr(err.message, "kafka-configs.sh") && strstr(err.message, "--add-config cleanup.policy=compact"), "%s",
              err.message);
    varve_kafka_setting both = {"cleanup.policy", "compact,delete"};
    cr_expect_eq(create_and_bind(&both, 1, 1, NULL, &err), VARVE_INVALID);
    varve_kafka_setting endless[] = {{"cleanup.policy", "compact,delete"}, {"retention.ms", "-1"}, {"retention.bytes", "-1"}};
    cr_expect_eq(create_and_bind(endless, 3, 1, NULL, &err), VARVE_OK, "%s", err.message);
}

Test(guards, partitions_and_replication_are_checked) {
    varve_error err;
    varve_kafka_setting compact = {"cleanup.policy", "compact"};
    varve_changelog_options change = {.partition = 2};
    cr_expect_eq(create_and_bind(&compact, 1, 2, &change, &err), VARVE_INVALID);
    cr_expect(strstr(err.message, "partition is 2"), "%s", err.message);
    change = (varve_changelog_options){.partitions = 4};
    cr_expect_eq(create_and_bind(&compact, 1, 2, &change, &err), VARVE_INVALID);
    cr_expect(strstr(err.message, "partitions is 4"), "%s", err.message);
    change = (varve_changelog_options){.replication = 3};
    cr_expect_eq(create_and_bind(&compact, 1, 2, &change, &err), VARVE_INVALID);
    cr_expect(strstr(err.message, "replication is 3"), "%s", err.message);
}

Test(guards, a_topic_that_must_exist_is_not_created) {
    test_rig rig;
    test_node a;
    varve_error err;
    rig_open(&rig, 1);
    rig.options.must_exist = true;
    node_open(&a, &rig, "a");
    cr_expect_eq(node_bind(&a, &err), VARVE_MISSING);
    cr_expect_eq(node_restore(&a, NULL, &err), VARVE_MISSING);
    end(&rig, &a);
}
