/* tests/db/test_db_basics.c - put, get, delete, batch, snapshot, iterator, reopen. */
#include "db_fixture.h"

TestSuite(db_basics, .timeout = 60);

Test(db_basics, put_get_delete) {
    fixture f;
    fixture_start(&f);
    put(&f, "a", "1");
    put(&f, "b", "");
    cr_assert_str_eq(get(&f, "a"), "1");
    cr_assert_str_eq(get(&f, "b"), "");
    cr_assert_null(get(&f, "c"));
    put(&f, "a", "2");
    cr_assert_str_eq(get(&f, "a"), "2");
    del(&f, "a");
    del(&f, "never");
    cr_assert_null(get(&f, "a"));
    cr_assert_eq(varve_sequence(f.db), 5);
    fixture_stop(&f);
}

Test(db_basics, reads_are_the_same_from_memtable_table_and_after_reopen) {
    fixture f;
    fixture_start(&f);
    put(&f, "a", "1");
    put(&f, "b", "2");
    put(&f, "c", "3");
    del(&f, "b");
    const char *expected = "a=1 c=3";
    cr_assert_str_eq(scan(&f, NULL, false), expected);
    REQUIRE(&f, varve_flush(f.db, &f.err));
    cr_assert_str_eq(scan(&f, NULL, false), expected);
    cr_assert_str_eq(scan(&f, NULL, true), "c=3 a=1");
    fixture_close(&f);
    fixture_open(&f);
    cr_assert_str_eq(scan(&f, NULL, false), expected);
    cr_assert_null(get(&f, "b"));
    REQUIRE(&f, varve_compact(f.store, &f.err));
    cr_assert_str_eq(scan(&f, NULL, false), expected);
    cr_assert_str_eq(get(&f, "c"), "3");
    fixture_stop(&f);
}

Test(db_basics, ranges_and_prefixes) {
    fixture f;
    fixture_start(&f);
    const char *keys[] = {"a", "ab", "abc", "b", "ba", "c"};
    for (size_t i = 0; i < 6; i++) put(&f, keys[i], "x");
    cr_assert_str_eq(scan(&f, &(varve_range){.from = varve_str("ab")}, false), "ab=x abc=x b=x ba=x c=x");
    cr_assert_str_eq(scan(&f, &(varve_range){.to = varve_str("b")}, false), "a=x ab=x abc=x");
    cr_assert_str_eq(scan(&f, &(varve_range){.prefix = varve_str("ab")}, false), "ab=x abc=x");
    cr_assert_str_eq(scan(&f, &(varve_range){.prefix = varve_str("ab")}, true), "abc=x ab=x");
    cr_assert_str_eq(scan(&f, &(varve_range){.prefix = varve_str("a"), .from = varve_str("aa"), .to = varve_str("abc")}, false),
                     "ab=x");
    cr_assert_str_eq(scan(&f, &(varve_range){.from = varve_str("c"), .to = varve_str("a")}, false), "");
    cr_assert_str_eq(scan(&f, &(varve_range){.from = varve_str("c"), .to = varve_str("a")}, true), "");
    fixture_stop(&f);
}

Test(db_basics, a_prefix_of_all_ff_has_no_upper_bound) {
    fixture f;
    fixture_start(&f);
    put(&f, "\xff", "1");
    put(&f, "\xff\xff", "2");
    put(&f, "\xff\xff\x01", "3");
    put(&f, "a", "4");
    cr_assert_str_eq(scan(&f, &(varve_range){.prefix = varve_str("\xff\xff")}, false), "\xff\xff=2 \xff\xff\x01=3");
    fixture_stop(&f);
}

Test(db_basics, iterator_turns_round) {
    fixture f;
    fixture_start(&f);
    for (const char *key = "abcdef"; *key; key++) put(&f, (char[2]){*key, 0}, "v");
    put(&f, "c", "newer");
    varve_iterator *it;
    REQUIRE(&f, varve_iterator_open(f.store, NULL, &it, &f.err));
    cr_assert_eq(varve_iterator_prev(it), VARVE_OK); /* fresh: after the last as well as before the first */
    cr_assert_eq(varve_iterator_key(it).data[0], 'f');
    varve_iterator_close(it);
    REQUIRE(&f, varve_iterator_open(f.store, NULL, &it, &f.err));
    cr_assert_eq(varve_iterator_next(it), VARVE_OK);
    cr_assert_eq(varve_iterator_prev(it), VARVE_NOT_FOUND);
    cr_assert_eq(varve_iterator_prev(it), VARVE_NOT_FOUND);
    cr_assert_eq(varve_iterator_next(it), VARVE_OK);
    cr_assert_eq(varve_iterator_next(it), VARVE_OK);
    cr_assert_eq(varve_iterator_next(it), VARVE_OK);
    cr_assert_eq(varve_iterator_key(it).data[0], 'c');
    cr_assert_eq(varve_iterator_prev(it), VARVE_OK);
    cr_assert_eq(varve_iterator_key(it).data[0], 'b');
    cr_assert_eq(varve_iterator_next(it), VARVE_OK);
    cr_assert_eq(varve_iterator_key(it).data[0], 'c');
    cr_assert_eq(varve_iterator_value(it).size, 5u);
    cr_assert_eq(varve_iterator_seek(it, varve_str("cc")), VARVE_OK);
    cr_assert_eq(varve_iterator_key(it).data[0], 'd');
    cr_assert_eq(varve_iterator_seek_prev(it, varve_str("cc")), VARVE_OK);
    cr_assert_eq(varve_iterator_key(it).data[0], 'c');
    cr_assert_eq(varve_iterator_seek_prev(it, varve_str("c")), VARVE_OK);
    cr_assert_eq(varve_iterator_value(it).size, 5u);
    cr_assert_eq(varve_iterator_seek(it, varve_str("zz")), VARVE_NOT_FOUND);
    cr_assert_eq(varve_iterator_next(it), VARVE_NOT_FOUND);
    cr_assert_eq(varve_iterator_prev(it), VARVE_OK);
    cr_assert_eq(varve_iterator_key(it).data[0], 'f');
    varve_iterator_close(it);
    fixture_stop(&f);
}

Test(db_basics, seeking_to_its_own_key_stays_there) {
    fixture f;
    fixture_start(&f);
    for (const char *key = "abcdef"; *key; key++) put(&f, (char[2]){*key, 0}, "v");
    REQUIRE(&f, varve_compact(f.store, &f.err));
    varve_iterator *it;
    REQUIRE(&f, varve_iterator_open(f.store, NULL, &it, &f.err));
    cr_assert_eq(varve_iterator_seek(it, varve_str("c")), VARVE_OK);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(varve_iterator_seek(it, varve_iterator_key(it)), VARVE_OK);
        cr_assert_eq(varve_iterator_key(it).data[0], 'c');
        cr_assert_eq(varve_iterator_seek_prev(it, varve_iterator_key(it)), VARVE_OK);
        cr_assert_eq(varve_iterator_key(it).data[0], 'c');
        cr_assert_eq(varve_iterator_seek_prev(it, varve_iterator_key(it)), VARVE_OK);
        cr_assert_eq(varve_iterator_key(it).data[0], 'c');
    }
    varve_iterator_close(it);
    fixture_stop(&f);
}

Test(db_basics, batch_is_atomic_across_stores) {
    fixture f;
    fixture_start(&f);
    varve_store *other;
    varve_batch *batch;
    REQUIRE(&f, varve_store_open(f.db, "other", NULL, &other, &f.err));
    REQUIRE(&f, varve_batch_create(&batch, &f.err));
    REQUIRE(&f, varve_batch_put(batch, f.store, varve_str("k"), varve_str("1"), &f.err));
    REQUIRE(&f, varve_batch_put(batch, other, varve_str("k"), varve_str("2"), &f.err));
    REQUIRE(&f, varve_batch_delete(batch, f.store, varve_str("k"), &f.err));
    REQUIRE(&f, varve_batch_position(batch, other, varve_str("here"), &f.err));
    cr_assert_eq(varve_batch_count(batch), 4);
    uint64_t sequence = 0;
    varve_write_options options = {.size = sizeof options, .durability = VARVE_SYNC, .sequence = &sequence};
    REQUIRE(&f, varve_write(f.db, batch, &options, &f.err));
    cr_assert_eq(sequence, 4);
    cr_assert_null(get(&f, "k"));
    fixture_crash(&f, VR_CRASH_DROP_UNSYNCED, 0);
    varve_store_close(other);
    fixture_open(&f);
    REQUIRE(&f, varve_store_open(f.db, "other", NULL, &other, &f.err));
    varve_buffer value = {0};
    REQUIRE(&f, varve_get(other, varve_str("k"), &value, &f.err));
    cr_assert(value.size == 1 && value.data[0] == '2');
    REQUIRE(&f, varve_store_position(other, &value, &f.err));
    cr_assert(value.size == 4 && memcmp(value.data, "here", 4) == 0);
    cr_assert_eq(varve_store_position(f.store, &value, &f.err), VARVE_NOT_FOUND);
    varve_buffer_free(&value);
    varve_batch_free(batch);
    varve_store_close(other);
    fixture_stop(&f);
}

Test(db_basics, snapshot_sees_what_was) {
    fixture f;
    fixture_start(&f);
    put(&f, "a", "1");
    put(&f, "b", "1");
    varve_snapshot *snapshot;
    REQUIRE(&f, varve_snapshot_create(f.db, &snapshot, &f.err));
    put(&f, "a", "2");
    del(&f, "b");
    put(&f, "c", "2");
    for (int round = 0; round < 3; round++) {
        cr_assert_str_eq(scan(&f, &(varve_range){.snapshot = snapshot}, false), "a=1 b=1");
        cr_assert_str_eq(scan(&f, &(varve_range){.snapshot = snapshot}, true), "b=1 a=1");
        cr_assert_str_eq(scan(&f, NULL, false), "a=2 c=2");
        varve_buffer value = {0};
        REQUIRE(&f, varve_get_at(f.store, snapshot, varve_str("b"), &value, &f.err));
        cr_assert_eq(varve_get_at(f.store, snapshot, varve_str("c"), &value, &f.err), VARVE_NOT_FOUND);
        varve_buffer_free(&value);
        REQUIRE(&f, round == 0 ? varve_flush(f.db, &f.err) : varve_compact(f.store, &f.err));
    }
    varve_snapshot_free(snapshot);
    fixture_stop(&f);
}

Test(db_basics, use_after_close_is_an_error) {
    fixture f;
    fixture_start(&f);
    put(&f, "a", "1");
    put(&f, "b", "1");
    varve_iterator *it;
    varve_snapshot *snapshot;
    REQUIRE(&f, varve_iterator_open(f.store, NULL, &it, &f.err));
    REQUIRE(&f, varve_snapshot_create(f.db, &snapshot, &f.err));
    cr_assert_eq(varve_iterator_next(it), VARVE_OK);
    REQUIRE(&f, varve_close(f.db, &f.err));
    f.db = NULL;
    varve_buffer value = {0};
    cr_assert_eq(varve_get(f.store, varve_str("a"), &value, &f.err), VARVE_CLOSED);
    cr_assert_eq(varve_put(f.store, varve_str("a"), varve_str("2"), &f.err), VARVE_CLOSED);
    cr_assert_eq(varve_iterator_next(it), VARVE_CLOSED);
    cr_assert_eq(varve_iterator_error(it)->code, VARVE_CLOSED);
    varve_iterator_close(it);
    varve_snapshot_free(snapshot);
    varve_store_close(f.store);
    vr_memfs_free(f.memfs);
}

Test(db_basics, a_second_handle_is_refused) {
    fixture f;
    fixture_start(&f);
    varve_db *second;
    cr_assert_eq(vr_db_open(&f.env, "db", &f.options, &second, &f.err), VARVE_BUSY);
    cr_assert(strstr(f.err.message, "db") != NULL);
    fixture_stop(&f);
}
