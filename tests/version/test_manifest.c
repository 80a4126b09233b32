/*
 * test_manifest.c - the manifest as its user sees it: what is appended is there after reopening, contradictions change nothing,
 * failures latch.
 */
#include "version_fixture.h"

#include <errno.h>
#include <stdio.h>

#include "os/faultfs.h"

static fixture fx;
static vr_manifest *manifest;
static vr_edit edit;
static varve_error err;

static void set_up(void) {
    fixture_open(&fx);
    vr_edit_init(&edit, &fx.env.mem);
    must(vr_manifest_create(&fx.env, DIR_NAME, &manifest, &err));
}

static void tear_down(void) {
    vr_manifest_close(manifest);
    vr_edit_free(&edit);
    fixture_close(&fx);
}

TestSuite(manifest, .init = set_up, .fini = tear_down);

static varve_status append(void) {
    memset(&err, 0, sizeof err);
    varve_status status = vr_manifest_append(manifest, &edit, &err);
    edit.count = 0;
    return status;
}

static void reopen(bool read_only) {
    vr_manifest_close(manifest);
    manifest = NULL;
    memset(&err, 0, sizeof err);
    varve_status status = vr_manifest_open(&fx.env, DIR_NAME, read_only, &manifest, &err);
    cr_assert_eq(status, VARVE_OK, "%s", err.message);
}

static const vr_manifest_state *state(void) {
    return vr_manifest_state_of(manifest);
}

Test(manifest, a_new_one_is_empty_and_has_an_id) {
    static const uint8_t none[16];
    cr_assert(memcmp(state()->db_id, none, 16) != 0);
    cr_assert_eq(state()->next_file, 1);
    cr_assert_eq(state()->next_store_id, 1);
    cr_assert_eq(state()->store_count + state()->feed_count, 0);
    cr_assert_not(state()->clean);
}

Test(manifest, creating_over_one_is_refused) {
    vr_manifest *other = NULL;
    cr_assert_eq(vr_manifest_create(&fx.env, DIR_NAME, &other, &err), VARVE_EXISTS);
    cr_assert_null(other);
}

Test(manifest, opening_none_is_missing) {
    vr_manifest *other = NULL;
    must(vr_fs_make_dir(fx.env.fs, "empty", NULL));
    cr_assert_eq(vr_manifest_open(&fx.env, "empty", false, &other, &err), VARVE_MISSING);
    cr_assert_eq(vr_manifest_open(&fx.env, "absent", false, &other, &err), VARVE_MISSING);
    cr_assert_null(other);
}

Test(manifest, what_is_appended_is_there_after_reopening) {
    add_store(&edit, 1, "users");
    add_store(&edit, 2, "orders");
    add_table(&edit, 2, 3, 9, "a", "m");
    must(append());
    add_field(&edit, VR_EDIT_STORE_POSITION, 2, 0, 0, 0)->content = varve_str("offset 7");
    add_field(&edit, VR_EDIT_STORE_FLUSHED, 2, 0, 0, 18);
    add_feed(&edit, "log", 4);
    add_field(&edit, VR_EDIT_WAL_FIRST, 0, 0, 3, 0);
    add_field(&edit, VR_EDIT_CLEAN, 0, 0, 0, 20);
    must(append());
    varve_buffer before = state_bytes(state());
    for (int i = 0; i < 2; i++) {
        reopen(i == 0);
        cr_assert(same_state(state(), &before));
    }
    cr_assert_eq(state()->next_file, 10);
    cr_assert_eq(state()->wal_first, 3);
    cr_assert(state()->clean && state()->clean_sequence == 20 && state()->last_sequence == 20);
    cr_assert(vr_equal(varve_buffer_slice(&state()->stores[1].position), varve_str("offset 7")));
    varve_buffer_free(&before);
}

Test(manifest, opening_for_writing_voids_a_clean_mark) {
    add_field(&edit, VR_EDIT_CLEAN, 0, 0, 0, 20);
    must(append());
    add_field(&edit, VR_EDIT_OPENED, 0, 0, 0, 0);
    must(append());
    reopen(false);
    cr_assert_not(state()->clean);
    cr_assert_eq(state()->last_sequence, 20);
}

Test(manifest, numbers_that_only_rise_do_not_fall) {
    add_field(&edit, VR_EDIT_NEXT_FILE, 0, 0, 50, 0);
    add_field(&edit, VR_EDIT_NEXT_FILE, 0, 0, 40, 0);
    add_field(&edit, VR_EDIT_LAST_SEQUENCE, 0, 0, 0, 500);
    add_field(&edit, VR_EDIT_LAST_SEQUENCE, 0, 0, 0, 400);
    must(append());
    cr_assert(state()->next_file == 50 && state()->last_sequence == 500);
}

Test(manifest, ids_of_dropped_stores_are_not_given_again) {
    add_store(&edit, 1, "a");
    add_store(&edit, 7, "b");
    must(append());
    add_field(&edit, VR_EDIT_STORE_DROP, 7, 0, 0, 0);
    must(append());
    cr_assert_eq(state()->next_store_id, 8);
    add_store(&edit, 7, "b");
    cr_assert_eq(append(), VARVE_INTERNAL);
    must(vr_fs_make_dir(fx.env.fs, "copy", NULL));
    must(vr_manifest_write_copy(&fx.env, state(), NULL, "copy", &err));
    vr_manifest *copy;
    must(vr_manifest_open(&fx.env, "copy", true, &copy, &err));
    cr_assert_eq(vr_manifest_state_of(copy)->next_store_id, 8);
    vr_manifest_close(copy);
}

/* Each of these must be refused, by words, and leave state and file as they were. */
static void refuses(const char *words) {
    varve_buffer before = state_bytes(state()), file = file_read(&fx, VR_NAME_MANIFEST);
    varve_status status = append();
    cr_assert_eq(status, VARVE_INTERNAL, "%s: %d", words, status);
    cr_assert_not_null(strstr(err.message, words), "\"%s\" does not say %s", err.message, words);
    cr_assert(same_state(state(), &before));
    varve_buffer after = file_read(&fx, VR_NAME_MANIFEST);
    cr_assert(vr_equal(varve_buffer_slice(&file), varve_buffer_slice(&after)));
    varve_buffer_free(&before);
    varve_buffer_free(&file);
    varve_buffer_free(&after);
}

Test(manifest, contradictions_change_nothing) {
    add_store(&edit, 1, "users");
    add_store(&edit, 2, "orders");
    add_table(&edit, 1, 2, 5, "a", "b");
    add_field(&edit, VR_EDIT_STORE_FLUSHED, 1, 0, 0, 10);
    add_feed(&edit, "log", 4);
    must(append());
    add_table(&edit, 1, 3, 5, "c", "d");
    refuses("the table is there already");
    add_table(&edit, 2, 0, 5, "a", "b");
    refuses("the table is there already");
    add_table(&edit, 1, 0, 6, "a", "b");
    add_table(&edit, 1, 0, 6, "a", "b");
    refuses("the table is there already");
    add_table(&edit, 9, 0, 6, "a", "b");
    refuses("there is no such store");
    add_field(&edit, VR_EDIT_TABLE_REMOVE, 1, 2, 6, 0);
    refuses("the store has no such table");
    add_field(&edit, VR_EDIT_TABLE_REMOVE, 2, 2, 5, 0);
    refuses("the store has no such table");
    add_field(&edit, VR_EDIT_TABLE_REMOVE, 1, 1, 5, 0);
    refuses("the table is at another level");
    add_store(&edit, 3, "users");
    refuses("a store of that name exists");
    add_store(&edit, 2, "new");
    refuses("the id was given before");
    add_field(&edit, VR_EDIT_STORE_DROP, 3, 0, 0, 0);
    refuses("there is no such store");
    add_field(&edit, VR_EDIT_STORE_DROP, 1, 0, 0, 0);
    add_field(&edit, VR_EDIT_STORE_FLUSHED, 1, 0, 0, 11);
    refuses("there is no such store");
    add_field(&edit, VR_EDIT_STORE_FLUSHED, 1, 0, 0, 9);
    refuses("more was flushed before");
    add_field(&edit, VR_EDIT_STORE_POSITION, 4, 0, 0, 0);
    refuses("there is no such store");
    add_feed(&edit, "log", 3);
    refuses("the feed released more before");
    add_field(&edit, VR_EDIT_FEED_DROP, 0, 0, 0, 0)->name = varve_str("other");
    refuses("there is no feed of that name");
    memcpy(add_field(&edit, VR_EDIT_DB_ID, 0, 0, 0, 0)->id, "0123456789abcdef", 16);
    refuses("the database has another id");
    add_field(&edit, VR_EDIT_DB_ID, 0, 0, 0, 0);
    refuses("an id is not all zeros");
    add_field(&edit, VR_EDIT_NEXT_STORE, 2, 0, 0, 0);
    refuses("ids beyond it were given");
    add_table(&edit, 1, VR_LEVELS, 6, "a", "b");
    refuses("level of table_add is 7");
}

Test(manifest, a_move_is_a_removal_and_an_addition_in_one_edit) {
    add_store(&edit, 1, "users");
    add_table(&edit, 1, 2, 5, "a", "b");
    must(append());
    add_field(&edit, VR_EDIT_TABLE_REMOVE, 1, 2, 5, 0);
    add_table(&edit, 1, 3, 5, "a", "b");
    must(append());
    cr_assert_eq(state()->stores[0].table_count, 1);
    cr_assert_eq(state()->stores[0].tables[0].level, 3);
}

Test(manifest, an_empty_edit_writes_nothing) {
    varve_buffer before = file_read(&fx, VR_NAME_MANIFEST);
    must(append());
    varve_buffer after = file_read(&fx, VR_NAME_MANIFEST);
    cr_assert(vr_equal(varve_buffer_slice(&before), varve_buffer_slice(&after)));
    varve_buffer_free(&before);
    varve_buffer_free(&after);
}

Test(manifest, read_only_takes_no_edits_and_writes_nothing) {
    file_write(&fx, VR_NAME_MANIFEST_NEW, varve_str("left over"));
    reopen(true);
    add_field(&edit, VR_EDIT_OPENED, 0, 0, 0, 0);
    cr_assert_eq(append(), VARVE_READ_ONLY);
    varve_buffer left = file_read(&fx, VR_NAME_MANIFEST_NEW);
    cr_assert_eq(left.size, 9);
    varve_buffer_free(&left);
}

Test(manifest, a_writer_removes_what_a_rewrite_left) {
    char path[VR_PATH_BYTES_MAX];
    vr_file *file;
    file_write(&fx, VR_NAME_MANIFEST_NEW, varve_str("left over"));
    reopen(false);
    cr_assert(vr_path_join(path, DIR_NAME, VR_NAME_MANIFEST_NEW));
    cr_assert_eq(vr_fs_open(fx.env.fs, path, VR_OPEN_READ, &file, NULL), VARVE_MISSING);
}

/* --- Growth and rewriting ---------------------------------------------------------------------------------------------------- */

Test(manifest, it_is_rewritten_when_it_has_grown) {
    char position[1000];
    uint64_t largest = 0, rewrites = 0, before = 0;
    memset(position, 'p', sizeof position);
    add_store(&edit, 1, "users");
    must(append());
    for (uint64_t i = 0; i < 3000; i++) {
        add_field(&edit, VR_EDIT_STORE_POSITION, 1, 0, 0, 0)->content = varve_bytes(position, sizeof position);
        add_field(&edit, VR_EDIT_STORE_FLUSHED, 1, 0, 0, i);
        must(append());
        varve_buffer file = file_read(&fx, VR_NAME_MANIFEST);
        rewrites += file.size < before;
        before = file.size;
        if (file.size > largest) largest = file.size;
        varve_buffer_free(&file);
    }
    cr_assert_eq(rewrites, 2);
    cr_assert(largest > (1u << 20) && largest < (1u << 20) + 4096, "%" PRIu64, largest);
    varve_buffer bytes = state_bytes(state());
    reopen(false);
    cr_assert(same_state(state(), &bytes));
    cr_assert_eq(state()->stores[0].flushed_sequence, 2999);
    varve_buffer_free(&bytes);
}

Test(manifest, a_large_state_is_rewritten_in_several_records) {
    add_store(&edit, 1, "users");
    for (uint64_t i = 1; i <= 1000; i++) {
        char *key = vr_alloc(&fx.env.mem, 16);
        snprintf(key, 16, "key%05" PRIu64, i);
        add_table(&edit, 1, 0, i, key, key);
    }
    varve_status status = vr_manifest_append(manifest, &edit, &err);
    for (size_t i = 1; i < edit.count; i++) vr_free(&fx.env.mem, edit.fields[i].table.min_key.data);
    edit.count = 0;
    must(status);
    must(vr_fs_make_dir(fx.env.fs, "copy", NULL));
    must(vr_manifest_write_copy(&fx.env, state(), NULL, "copy", &err));
    vr_manifest *copy;
    must(vr_manifest_open(&fx.env, "copy", false, &copy, &err));
    varve_buffer bytes = state_bytes(vr_manifest_state_of(copy));
    cr_assert(same_state(state(), &bytes));
    varve_buffer_free(&bytes);
    vr_manifest_close(copy);
}

Test(manifest, a_copy_says_the_state_and_what_is_added) {
    add_store(&edit, 1, "users");
    add_table(&edit, 1, 2, 5, "a", "b");
    must(append());
    varve_buffer before = state_bytes(state());
    must(vr_fs_make_dir(fx.env.fs, "copy", NULL));
    add_field(&edit, VR_EDIT_CLEAN, 0, 0, 0, 77);
    add_field(&edit, VR_EDIT_WAL_FIRST, 0, 0, 1, 0);
    must(vr_manifest_write_copy(&fx.env, state(), &edit, "copy", &err));
    cr_assert(same_state(state(), &before));
    vr_manifest *copy;
    must(vr_manifest_open(&fx.env, "copy", false, &copy, &err));
    cr_assert_arr_eq(vr_manifest_state_of(copy)->db_id, state()->db_id, 16);
    cr_assert_eq(vr_manifest_state_of(copy)->clean_sequence, 77);
    cr_assert_eq(vr_manifest_state_of(copy)->stores[0].table_count, 1);
    vr_manifest_close(copy);
    varve_buffer_free(&before);
}

Test(manifest, a_copy_that_could_not_be_read_is_not_written) {
    vr_manifest *copy = NULL;
    must(vr_fs_make_dir(fx.env.fs, "copy", NULL));
    add_field(&edit, VR_EDIT_STORE_DROP, 5, 0, 0, 0);
    cr_assert_eq(vr_manifest_write_copy(&fx.env, state(), &edit, "copy", &err), VARVE_INTERNAL);
    cr_assert_eq(vr_manifest_open(&fx.env, "copy", false, &copy, &err), VARVE_MISSING);
}

/* --- Failures ---------------------------------------------------------------------------------------------------------------- */

/* A manifest over a file system that can be made to fail. */
static vr_faultfs *fault;

static void open_over_faults(void) {
    must(vr_faultfs_create(vr_memfs_fs(fx.memfs), &fault, &err));
    fx.env.fs = vr_faultfs_fs(fault);
    reopen(false);
    add_store(&edit, 1, "users");
    must(append());
}

static void close_over_faults(void) {
    vr_manifest_close(manifest);
    manifest = NULL;
    fx.env.fs = vr_memfs_fs(fx.memfs);
    vr_faultfs_free(fault);
}

static void check_latches(unsigned kinds, int os_error) {
    open_over_faults();
    varve_buffer before = state_bytes(state());
    vr_faultfs_arm(fault, kinds, 1, os_error, false);
    add_store(&edit, 2, "orders");
    cr_assert_eq(append(), VARVE_IO);
    cr_assert(same_state(state(), &before));
    for (int i = 0; i < 2; i++) {
        add_store(&edit, 2, "orders");
        cr_assert_eq(append(), VARVE_READ_ONLY);
        cr_assert_not_null(strstr(err.message, "MANIFEST"));
    }
    varve_buffer_free(&before);
    close_over_faults();
    reopen(false); /* whichever it is: before or after */
    cr_assert(state()->store_count == 1 || state()->store_count == 2);
    add_store(&edit, 3, "more");
    must(append());
}

Test(manifest, a_failed_sync_latches) {
    check_latches(VR_FAULT_SYNC, EIO);
}

/* Blocks may be allocated as late as in the sync: unlike a write without space, that leaves the edit in doubt. */
Test(manifest, a_sync_without_space_latches_and_is_told_as_io) {
    check_latches(VR_FAULT_SYNC, ENOSPC);
}

Test(manifest, a_failed_write_latches) {
    check_latches(VR_FAULT_PWRITE, EIO);
}

Test(manifest, a_full_disk_does_not_latch) {
    open_over_faults();
    varve_buffer before = state_bytes(state());
    vr_faultfs_arm(fault, VR_FAULT_PWRITE, 1, ENOSPC, false);
    add_store(&edit, 2, "orders");
    cr_assert_eq(append(), VARVE_NO_SPACE);
    cr_assert(same_state(state(), &before));
    add_store(&edit, 2, "orders");
    must(append());
    varve_buffer_free(&before);
    close_over_faults();
    reopen(false);
    cr_assert_eq(state()->store_count, 2);
}

Test(manifest, a_slot_that_cannot_be_written_keeps_the_edit_and_latches) {
    open_over_faults();
    vr_faultfs_arm(fault, VR_FAULT_PWRITE, 2, EIO, false); /* the record, then the slot */
    add_store(&edit, 2, "orders");
    must(append());
    cr_assert_eq(state()->store_count, 2);
    add_store(&edit, 3, "more");
    cr_assert_eq(append(), VARVE_READ_ONLY);
    close_over_faults();
    reopen(false);
    cr_assert_eq(state()->store_count, 2);
}

/* Grows the manifest to just before its rewrite. */
static void grow(void) {
    char position[1000];
    memset(position, 'p', sizeof position);
    for (;;) {
        varve_buffer file = file_read(&fx, VR_NAME_MANIFEST);
        size_t size = file.size;
        varve_buffer_free(&file);
        if (size > 1u << 20) return;
        for (int i = 0; i < 20; i++) {
            add_field(&edit, VR_EDIT_STORE_POSITION, 1, 0, 0, 0)->content = varve_bytes(position, sizeof position);
        }
        must(append());
    }
}

Test(manifest, a_rewrite_without_space_appends_instead) {
    open_over_faults();
    grow();
    vr_faultfs_arm(fault, VR_FAULT_PWRITE, 1, ENOSPC, false);
    add_store(&edit, 2, "orders");
    must(append());
    cr_assert_eq(vr_faultfs_injected(fault), 1);
    varve_buffer file = file_read(&fx, VR_NAME_MANIFEST);
    cr_assert(file.size > 1u << 20);
    varve_buffer_free(&file);
    close_over_faults();
    reopen(false);
    cr_assert_eq(state()->store_count, 2);
}

static void check_rewrite_latches(unsigned kinds, uint64_t nth) {
    open_over_faults();
    grow();
    vr_faultfs_arm(fault, kinds, nth, EIO, false);
    add_store(&edit, 2, "orders");
    cr_assert_eq(append(), VARVE_IO);
    add_store(&edit, 2, "orders");
    cr_assert_eq(append(), VARVE_READ_ONLY);
    close_over_faults();
    reopen(false);
    cr_assert(state()->store_count == 1 || state()->store_count == 2);
}

Test(manifest, a_rewrite_whose_sync_fails_latches) {
    check_rewrite_latches(VR_FAULT_SYNC, 1);
}

Test(manifest, a_rewrite_whose_rename_fails_latches) {
    check_rewrite_latches(VR_FAULT_RENAME, 1);
}

Test(manifest, a_rewrite_whose_directory_is_not_synced_latches) {
    check_rewrite_latches(VR_FAULT_DIR, 1);
}

Test(manifest, a_failed_open_leaves_nothing_behind) {
    must(vr_faultfs_create(vr_memfs_fs(fx.memfs), &fault, &err));
    vr_manifest_close(manifest);
    manifest = NULL;
    fx.env.fs = vr_faultfs_fs(fault);
    for (uint64_t nth = 1;; nth++) {
        vr_faultfs_arm(fault, VR_FAULT_ALL & ~(unsigned)VR_FAULT_REMOVE, nth, EIO, false);
        varve_status status = vr_manifest_open(&fx.env, DIR_NAME, false, &manifest, &err);
        if (vr_faultfs_injected(fault) == 0) break;
        cr_assert_eq(status, VARVE_IO);
        cr_assert_null(manifest);
    }
    close_over_faults();
}

Test(manifest, without_memory_nothing_changes_and_nothing_leaks) {
    add_store(&edit, 1, "users");
    add_table(&edit, 1, 2, 5, "a", "b");
    add_feed(&edit, "log", 1);
    must(append());
    vr_manifest_close(manifest);
    manifest = NULL;
    for (uint64_t nth = 1;; nth++) {
        vr_faultmem poor;
        vr_manifest *m = NULL;
        vr_env env = fx.env;
        vr_faultmem_init(&poor, nth, false);
        env.mem = vr_faultmem_mem(&poor);
        varve_status status = vr_manifest_open(&env, DIR_NAME, false, &m, &err);
        if (status == VARVE_OK) {
            varve_buffer before = state_bytes(vr_manifest_state_of(m));
            edit.count = 0;
            add_field(&edit, VR_EDIT_TABLE_REMOVE, 1, 2, 5, 0);
            add_table(&edit, 1, 3, 5, "a", "b");
            status = vr_manifest_append(m, &edit, &err);
            if (status != VARVE_OK) cr_assert(same_state(vr_manifest_state_of(m), &before));
            varve_buffer_free(&before);
        }
        cr_assert_eq(status, vr_faultmem_injected(&poor) ? VARVE_NOMEM : VARVE_OK);
        vr_manifest_close(m);
        cr_assert_eq(vr_faultmem_live(&poor), 0);
        if (vr_faultmem_injected(&poor) == 0) break;
    }
}

/* --- Dump -------------------------------------------------------------------------------------------------------------------- */

static char dumped[4096];

static varve_status keep_line(void *context, const char *line) {
    (void)context;
    size_t used = strlen(dumped);
    snprintf(dumped + used, sizeof dumped - used, "%s\n", line);
    return VARVE_OK;
}

static varve_status stop(void *context, const char *line) {
    (void)line;
    ++*(int *)context;
    return VARVE_CANCELLED;
}

Test(manifest, it_is_dumped_line_by_line) {
    int lines = 0;
    add_store(&edit, 1, "a\"b\x01");
    must(append());
    must(vr_manifest_dump(&fx.env, DIR_NAME "/MANIFEST", keep_line, NULL, &err));
    cr_assert_not_null(strstr(dumped, "manifest version 1, "));
    cr_assert_not_null(strstr(dumped, "record at 4096: "));
    cr_assert_not_null(strstr(dumped, "\n  store_create store 1 name \"a\\22b\\01\" block_bytes 4096"));
    cr_assert_eq(vr_manifest_dump(&fx.env, DIR_NAME "/MANIFEST", stop, &lines, &err), VARVE_CANCELLED);
    cr_assert_eq(lines, 1);
}

Test(manifest, damage_is_dumped_up_to_where_it_begins) {
    add_store(&edit, 1, "users");
    must(append());
    varve_buffer file = file_read(&fx, VR_NAME_MANIFEST);
    file.data[file.size - 1] ^= 1;
    file_write(&fx, VR_NAME_MANIFEST, varve_buffer_slice(&file));
    cr_assert_eq(vr_manifest_dump(&fx.env, DIR_NAME "/MANIFEST", keep_line, NULL, &err), VARVE_CORRUPTION);
    cr_assert_not_null(strstr(dumped, "  db_id "));
    cr_assert_null(strstr(dumped, "users"));
    varve_buffer_free(&file);
}

Test(manifest, a_torn_tail_is_dumped_as_such) {
    varve_buffer file = file_read(&fx, VR_NAME_MANIFEST);
    cr_assert(vr_buffer_append(&file, "torn", 4));
    file_write(&fx, VR_NAME_MANIFEST, varve_buffer_slice(&file));
    must(vr_manifest_dump(&fx.env, DIR_NAME "/MANIFEST", keep_line, NULL, &err));
    cr_assert_not_null(strstr(dumped, "torn write at "));
    varve_buffer_free(&file);
}
