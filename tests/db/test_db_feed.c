/* tests/db/test_db_feed.c - the change feed: order, durability of its name, retention, snapshot, closing. */
#include <stdio.h>
#include <unistd.h>

#include "db_fixture.h"

TestSuite(db_feed, .timeout = 60);

static void expect_put(fixture *f, varve_feed *feed, uint64_t sequence, const char *key) {
    varve_change change;
    REQUIRE(f, varve_feed_next(feed, 0, &change, &f->err));
    cr_assert_eq(change.kind, VARVE_CHANGE_PUT);
    cr_assert_eq(change.sequence, sequence);
    cr_assert_eq(change.store_id, varve_store_id(f->store));
    cr_assert(change.key.size == strlen(key) && memcmp(change.key.data, key, change.key.size) == 0);
}

Test(db_feed, changes_come_in_order_from_creation_on) {
    fixture f;
    fixture_start(&f);
    varve_feed *feed;
    varve_change change;
    put(&f, "before", "1");
    REQUIRE(&f, varve_feed_open(f.db, "cdc", &feed, &f.err));
    cr_assert_eq(varve_feed_released(feed), 1);
    cr_assert_eq(varve_feed_next(feed, 0, &change, &f.err), VARVE_NOT_FOUND);
    cr_assert_eq(varve_feed_next(feed, 30, &change, &f.err), VARVE_NOT_FOUND);
    put(&f, "a", "1");
    del(&f, "b");
    expect_put(&f, feed, 2, "a");
    REQUIRE(&f, varve_feed_next(feed, 0, &change, &f.err));
    cr_assert_eq(change.kind, VARVE_CHANGE_DELETE);
    cr_assert(change.batch_end);
    cr_assert_eq(varve_feed_next(feed, 0, &change, &f.err), VARVE_NOT_FOUND);
    varve_feed_close(feed);
    fixture_stop(&f);
}

Test(db_feed, it_goes_on_where_it_was_released_after_a_restart) {
    fixture f;
    fixture_start(&f);
    varve_feed *feed;
    REQUIRE(&f, varve_feed_open(f.db, "cdc", &feed, &f.err));
    char key[32];
    for (int i = 1; i <= 3000; i++) { /* many segments, many flushes */
        snprintf(key, sizeof key, "key-%06d", i);
        static char value[512];
        memset(value, 'v', sizeof value);
        REQUIRE(&f, varve_put(f.store, varve_str(key), varve_bytes(value, sizeof value), &f.err));
    }
    REQUIRE(&f, varve_feed_release(feed, 1000, &f.err));
    REQUIRE(&f, varve_flush(f.db, &f.err));
    varve_feed_close(feed);
    fixture_crash(&f, VR_CRASH_KEEP_ALL, 0);
    fixture_open(&f);
    REQUIRE(&f, varve_feed_open(f.db, "cdc", &feed, &f.err));
    cr_assert_leq(varve_feed_released(feed), 1000);
    REQUIRE(&f, varve_feed_seek(feed, 1000, &f.err));
    for (int i = 1001; i <= 3000; i++) {
        snprintf(key, sizeof key, "key-%06d", i);
        expect_put(&f, feed, (uint64_t)i, key);
    }
    varve_feed_close(feed);
    fixture_stop(&f);
}

Test(db_feed, released_wal_is_recycled_and_unreleased_is_not) {
    fixture f;
    fixture_start(&f);
    varve_feed *feed;
    varve_stats before = {.size = sizeof before}, after = {.size = sizeof after};
    REQUIRE(&f, varve_feed_open(f.db, "cdc", &feed, &f.err));
    static char value[1000];
    for (int i = 0; i < 4000; i++) {
        char key[32];
        snprintf(key, sizeof key, "%d", i);
        REQUIRE(&f, varve_put(f.store, varve_str(key), varve_bytes(value, sizeof value), &f.err));
    }
    REQUIRE(&f, varve_flush(f.db, &f.err));
    REQUIRE(&f, varve_stats_get(f.db, &before, &f.err));
    cr_assert_geq(before.wal_bytes, 4000u * 1000u);
    REQUIRE(&f, varve_feed_release(feed, varve_sequence(f.db), &f.err));
    REQUIRE(&f, varve_flush(f.db, &f.err));
    for (int i = 0; i < 100; i++) { /* the flusher trims in its own time */
        REQUIRE(&f, varve_stats_get(f.db, &after, &f.err));
        if (after.wal_bytes < before.wal_bytes / 4) break;
        usleep(20000);
    }
    cr_assert_lt(after.wal_bytes, before.wal_bytes / 4, "%llu bytes in %llu segments, before %llu",
                 (unsigned long long)after.wal_bytes, (unsigned long long)after.wal_segments, (unsigned long long)before.wal_bytes);
    cr_assert_eq(varve_feed_seek(feed, 5, &f.err), VARVE_MISSING);
    varve_feed_close(feed);
    fixture_stop(&f);
}

Test(db_feed, writers_wait_at_the_bound_and_then_get_no_space) {
    fixture f;
    fixture_start(&f);
    fixture_close(&f);
    f.options.wal_bytes_max = 8 * f.options.wal_segment_bytes;
    f.options.wal_wait_ms = 50;
    fixture_open(&f);
    varve_feed *feed;
    REQUIRE(&f, varve_feed_open(f.db, "slow", &feed, &f.err));
    static char value[4000];
    varve_status status = VARVE_OK;
    int written = 0;
    for (; written < 5000 && status == VARVE_OK; written++) {
        status = varve_put(f.store, varve_str("k"), varve_bytes(value, sizeof value), &f.err);
    }
    cr_assert_eq(status, VARVE_NO_SPACE, "%d writes: %s", written, varve_status_name(status));
    cr_assert(f.err.flags & VARVE_ERROR_RETRIABLE);
    cr_assert_not_null(strstr(f.err.message, "wal_bytes_max"));
    cr_assert_not_null(get(&f, "k"));
    REQUIRE(&f, varve_feed_release(feed, varve_sequence(f.db), &f.err));
    status = VARVE_NO_SPACE;
    for (int i = 0; i < 100 && status != VARVE_OK; i++) status = varve_put(f.store, varve_str("k"), varve_str("again"), &f.err);
    cr_assert_eq(status, VARVE_OK, "%s", f.err.message);
    varve_feed_close(feed);
    fixture_stop(&f);
}

Test(db_feed, its_snapshot_is_as_of_the_released_sequence) {
    fixture f;
    fixture_start(&f);
    varve_feed *feed;
    varve_snapshot *snapshot;
    put(&f, "a", "1");
    REQUIRE(&f, varve_feed_open(f.db, "cdc", &feed, &f.err));
    put(&f, "a", "2");
    put(&f, "b", "2");
    REQUIRE(&f, varve_compact(f.store, &f.err));
    REQUIRE(&f, varve_feed_snapshot(feed, &snapshot, &f.err));
    cr_assert_str_eq(scan(&f, &(varve_range){.snapshot = snapshot}, false), "a=1");
    varve_snapshot_free(snapshot);
    varve_feed_close(feed);
    fixture_stop(&f);
}

Test(db_feed, a_clean_close_keeps_what_was_released) {
    fixture f;
    fixture_start(&f);
    varve_feed *feed;
    varve_change change;
    REQUIRE(&f, varve_feed_open(f.db, "cdc", &feed, &f.err));
    for (const char *key = "abcde"; *key; key++) put(&f, (char[2]){*key, 0}, "v");
    REQUIRE(&f, varve_feed_release(feed, 3, &f.err));
    varve_feed_close(feed);
    fixture_close(&f);
    fixture_open(&f);
    REQUIRE(&f, varve_feed_open(f.db, "cdc", &feed, &f.err));
    cr_assert_eq(varve_feed_released(feed), 3);
    REQUIRE(&f, varve_feed_next(feed, 0, &change, &f.err));
    cr_assert_eq(change.sequence, 4);
    varve_feed_close(feed);
    fixture_stop(&f);
}

Test(db_feed, one_handle_and_drop_and_close) {
    fixture f;
    fixture_start(&f);
    varve_feed *feed, *second;
    varve_change change;
    REQUIRE(&f, varve_feed_open(f.db, "cdc", &feed, &f.err));
    cr_assert_eq(varve_feed_open(f.db, "cdc", &second, &f.err), VARVE_BUSY);
    cr_assert_eq(varve_feed_drop(f.db, "cdc", &f.err), VARVE_BUSY);
    cr_assert_eq(varve_feed_drop(f.db, "other", &f.err), VARVE_MISSING);
    cr_assert_eq(varve_feed_release(feed, 99, &f.err), VARVE_INVALID);
    varve_feed_close(feed);
    REQUIRE(&f, varve_feed_drop(f.db, "cdc", &f.err));
    REQUIRE(&f, varve_feed_open(f.db, "cdc", &feed, &f.err));
    REQUIRE(&f, varve_close(f.db, &f.err));
    f.db = NULL;
    cr_assert_eq(varve_feed_next(feed, 1000, &change, &f.err), VARVE_CLOSED);
    varve_feed_close(feed);
    varve_store_close(f.store);
    vr_memfs_free(f.memfs);
}
