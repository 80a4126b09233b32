/*
 * tests/db/test_db_golden.c - a database that an earlier version wrote is read exactly as it was written.
 *
 * tests/golden/database-v1 was written and closed by write_content() below, when the formats were at their first version; it is
 * never written again. To make the directory of a next version, run this test with VARVE_GOLDEN_WRITE naming a directory that does
 * not exist; spare segments can be left out.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include <varve/feed.h>

#include "base/bytes.h"
#include "db_fixture.h"

#define USERS 150
#define EVENTS 60
#define RELEASED 73u
#define LAST_SEQUENCE 256u

static const varve_options golden_options = {.size = sizeof golden_options,
                                             .memory = 32u << 20,
                                             .memtable_bytes = 64u << 10,
                                             .wal_segment_bytes = 64u << 10};

/* --- What is in it --------------------------------------------------------------------------------------------------- */

static varve_slice user_key(int i, char out[32]) {
    return varve_bytes(out, (size_t)snprintf(out, 32, "user:%05d", i * 7));
}

/* Compressible text of various lengths; every tenth is empty. */
static varve_slice user_value(int i, char out[2000]) {
    size_t size = 0;
    while (i % 10 != 0 && size < (size_t)(i * 13 % 400) + 10)
        size += (size_t)snprintf(out + size, 100, "{\"id\":%d,\"name\":\"user %d\"} ", i, i);
    return varve_bytes(out, size);
}

/* Binary keys of one to four bytes, zero and 0xff among them. */
static varve_slice event_key(int i, char out[32]) {
    vr_put32(out, (uint32_t)(i * 0x01fb3a5d));
    return varve_bytes(out, (size_t)(1 + i % 4));
}

static varve_slice event_value(int i, char out[2000]) {
    for (int k = 0; k < i * 5; k++) out[k] = (char)(i * 31 + k * k);
    return varve_bytes(out, (size_t)i * 5);
}

/* Whether the event is there at the end, and is not overwritten by a later one of the same key. */
static bool is_last_event(int i) {
    char a[32], b[32];
    for (int k = i + 1; k < EVENTS; k++) {
        if (vr_equal(event_key(i, a), event_key(k, b))) return false;
    }
    return true;
}

/* --- Writing it ------------------------------------------------------------------------------------------------------ */

static void must(varve_status status, const varve_error *err) {
    cr_assert_eq(status, VARVE_OK, "%s", err->message);
}

static void write_users(varve_store *users, int from, int to) {
    char key[32], value[2000];
    varve_error err;
    for (int i = from; i < to; i++) {
        must(varve_put(users, user_key(i, key), user_value(i, value), &err), &err);
        if (i % 5 == 4) must(varve_delete(users, user_key(i - 2, key), &err), &err);
    }
}

static void write_content(const char *dir) {
    varve_options options = golden_options;
    const varve_store_options packed = {.size = sizeof packed, .block_bytes = 1024, .compression_level = 3};
    const varve_store_options plain = {.size = sizeof plain,
                                       .compression_level = VARVE_COMPRESSION_NONE,
                                       .filter_bits = VARVE_FILTER_NONE};
    varve_db *db;
    varve_store *users, *events, *other;
    varve_feed *feed;
    varve_batch *batch;
    varve_error err;
    char key[32], value[2000];
    options.create = true;
    must(varve_open(dir, &options, &db, &err), &err);
    must(varve_store_open(db, "users", &packed, &users, &err), &err);
    must(varve_store_open(db, "events", &plain, &events, &err), &err);
    must(varve_store_open(db, "dropped", NULL, &other, &err), &err);
    must(varve_put(other, varve_str("a"), varve_str("b"), &err), &err);
    varve_store_close(other);
    must(varve_store_drop(db, "dropped", &err), &err);
    must(varve_store_open(db, "empty", NULL, &other, &err), &err);
    varve_store_close(other);
    write_users(users, 0, 60);
    must(varve_feed_open(db, "cdc", &feed, &err), &err);
    must(varve_flush(db, &err), &err);
    write_users(users, 60, 100);
    must(varve_flush(db, &err), &err);
    must(varve_compact(users, &err), &err);
    for (int i = 0; i < EVENTS; i += 4) { /* batches over both stores, with positions */
        must(varve_batch_create(&batch, &err), &err);
        for (int k = i; k < i + 4; k++) must(varve_batch_put(batch, events, event_key(k, key), event_value(k, value), &err), &err);
        must(varve_batch_position(batch, events, varve_bytes(&i, sizeof i), &err), &err);
        varve_write_options write = {.size = sizeof write, .timestamp_ms = 1700000000000 + (uint64_t)i, .replica = i % 8 == 0};
        must(varve_write(db, batch, &write, &err), &err);
        varve_batch_free(batch);
        if (i == 28) must(varve_flush(db, &err), &err);
    }
    write_users(users, 100, USERS); /* in the WAL alone */
    must(varve_feed_release(feed, varve_feed_released(feed), &err), &err);
    must(varve_wait_idle(db, 10000, &err), &err);
    varve_feed_close(feed);
    varve_store_close(users);
    varve_store_close(events);
    must(varve_close(db, &err), &err);
}

/* --- Reading it ------------------------------------------------------------------------------------------------------ */

static void check_users(varve_db *db) {
    varve_store *users;
    varve_iterator *it;
    varve_error err;
    char key[32], value[2000];
    const varve_store_options packed = {.size = sizeof packed, .block_bytes = 1024, .compression_level = 3, .must_exist = true};
    must(varve_store_open(db, "users", &packed, &users, &err), &err);
    must(varve_iterator_open(users, NULL, &it, &err), &err);
    for (int i = 0; i < USERS; i++) {
        if (i % 5 == 2) continue; /* deleted */
        must(varve_iterator_next(it), varve_iterator_error(it));
        cr_assert(vr_equal(varve_iterator_key(it), user_key(i, key)), "%.*s instead of %s", (int)varve_iterator_key(it).size,
                  varve_iterator_key(it).data, key);
        cr_assert(vr_equal(varve_iterator_value(it), user_value(i, value)), "the value of %s", key);
    }
    cr_assert_eq(varve_iterator_next(it), VARVE_NOT_FOUND);
    varve_iterator_close(it);
    varve_buffer found = {0};
    cr_assert_eq(varve_store_position(users, &found, &err), VARVE_NOT_FOUND);
    varve_store_close(users);
}

static void check_events(varve_db *db) {
    varve_store *events;
    varve_error err;
    varve_buffer found = {0};
    char key[32], value[2000];
    int position = 0;
    must(varve_store_open(db, "events", NULL, &events, &err), &err);
    for (int i = 0; i < EVENTS; i++) {
        if (!is_last_event(i)) continue;
        must(varve_get(events, event_key(i, key), &found, &err), &err);
        cr_assert(vr_equal(varve_buffer_slice(&found), event_value(i, value)), "event %d", i);
    }
    must(varve_store_position(events, &found, &err), &err);
    cr_assert_eq(found.size, sizeof position);
    memcpy(&position, found.data, sizeof position);
    cr_assert_eq(position, EVENTS - 4);
    varve_buffer_free(&found);
    varve_store_close(events);
}

static bool count_store(void *context, const char *name) {
    cr_assert(strcmp(name, "users") == 0 || strcmp(name, "events") == 0 || strcmp(name, "empty") == 0, "%s", name);
    ++*(int *)context;
    return true;
}

static void check_feed(varve_db *db) {
    varve_feed *feed;
    varve_change change;
    varve_error err;
    must(varve_feed_open(db, "cdc", &feed, &err), &err);
    uint64_t sequence = varve_feed_released(feed);
    cr_assert_eq(sequence, RELEASED);
    varve_status status;
    while ((status = varve_feed_next(feed, 0, &change, &err)) == VARVE_OK) {
        cr_assert_eq(change.sequence, ++sequence);
        if (change.store_id == 2) cr_assert(change.timestamp_ms >= 1700000000000 && change.timestamp_ms < 1700000000000 + EVENTS);
        if (change.store_id == 2) cr_assert_eq(change.replica, change.timestamp_ms % 8 == 0);
    }
    cr_assert_eq(status, VARVE_NOT_FOUND, "%s", err.message);
    cr_assert_eq(sequence, varve_sequence(db));
    varve_feed_close(feed);
}

static void check_content(varve_db *db) {
    varve_error err;
    int stores = 0;
    must(varve_store_list(db, count_store, &stores, &err), &err);
    cr_assert_eq(stores, 3);
    check_users(db);
    check_events(db);
    check_feed(db);
    must(varve_verify(db, &err), &err);
}

static void copy_file(vr_fs *fs, const char *dir, const char *name) {
    char path[600];
    varve_error err;
    vr_file *to;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *from = fopen(path, "rb");
    cr_assert_not_null(from, "%s", path);
    static char bytes[1 << 20];
    size_t size = fread(bytes, 1, sizeof bytes, from);
    fclose(from);
    snprintf(path, sizeof path, "db/%s", name);
    must(vr_fs_open(fs, path, VR_OPEN_WRITE | VR_OPEN_CREATE, &to, &err), &err);
    if (size) must(vr_file_pwrite(to, bytes, size, 0, &err), &err);
    vr_file_close(to, NULL);
}

TestSuite(db_golden, .timeout = 60);

Test(db_golden, version_1_is_read_as_it_was_written) {
    const char *dir = VARVE_SOURCE_DIR "/tests/golden/database-v1";
    const char *write_to = getenv("VARVE_GOLDEN_WRITE");
    if (write_to) {
        write_content(write_to);
        dir = write_to;
    }
    fixture f = {.env = vr_env_system(), .options = golden_options};
    must(vr_memfs_create(&f.memfs, &f.err), &f.err);
    f.env.fs = vr_memfs_fs(f.memfs);
    must(vr_fs_make_dir(f.env.fs, "db", &f.err), &f.err);
    DIR *list = opendir(dir);
    cr_assert_not_null(list, "%s", dir);
    for (struct dirent *entry; (entry = readdir(list)) != NULL;) {
        if (entry->d_name[0] != '.') copy_file(f.env.fs, dir, entry->d_name);
    }
    closedir(list);
    for (int round = 0; round < 3; round++) { /* and still is when today's code has opened it, and has written to it */
        must(vr_db_open(&f.env, "db", &f.options, &f.db, &f.err), &f.err);
        if (round == 0) cr_assert_eq(varve_sequence(f.db), LAST_SEQUENCE);
        check_content(f.db);
        must(varve_store_open(f.db, "empty", NULL, &f.store, &f.err), &f.err);
        if (round > 0) cr_assert_str_eq(get(&f, "new"), "1");
        put(&f, "new", "1");
        varve_store_close(f.store);
        if (round == 1) must(varve_flush(f.db, &f.err), &f.err);
        must(varve_close(f.db, &f.err), &f.err);
    }
    vr_memfs_free(f.memfs);
}
