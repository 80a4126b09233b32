/*
 * test_edit.c - edits: what is encoded is decoded, and every part of every field has its bound.
 */
#include "version_fixture.h"

#include "version/edit_layout.h"

static vr_edit edit, back;
static varve_buffer bytes;
static varve_error err;

static void set_up(void) {
    vr_mem mem = vr_mem_system();
    vr_edit_init(&edit, &mem);
    vr_edit_init(&back, &mem);
}

static void tear_down(void) {
    vr_edit_free(&edit);
    vr_edit_free(&back);
    varve_buffer_free(&bytes);
}

TestSuite(edit, .init = set_up, .fini = tear_down);

static varve_status decode(varve_slice in) {
    memset(&err, 0, sizeof err);
    return vr_edit_decode(in, "MANIFEST", 1000, &back, &err);
}

/* Every kind once, with values that differ. */
static void fill_all_kinds(vr_edit *e) {
    memcpy(add_field(e, VR_EDIT_DB_ID, 0, 0, 0, 0)->id, "0123456789abcdef", 16);
    add_field(e, VR_EDIT_NEXT_FILE, 0, 0, 300, 0);
    add_field(e, VR_EDIT_LAST_SEQUENCE, 0, 0, 0, 5000);
    add_field(e, VR_EDIT_WAL_FIRST, 0, 0, 7, 0);
    add_field(e, VR_EDIT_OPENED, 0, 0, 0, 0);
    add_field(e, VR_EDIT_CLEAN, 0, 0, 0, 4999);
    add_store(e, 3, "users")->store_options =
        (varve_store_options){.block_bytes = 8192, .compression_level = 19, .filter_bits = 20};
    add_store(e, 4, "raw")->store_options =
        (varve_store_options){.block_bytes = 1024, .compression_level = VARVE_COMPRESSION_NONE, .filter_bits = VARVE_FILTER_NONE};
    add_field(e, VR_EDIT_STORE_DROP, 2, 0, 0, 0);
    add_field(e, VR_EDIT_STORE_FLUSHED, 3, 0, 0, 4000);
    add_field(e, VR_EDIT_STORE_POSITION, 3, 0, 0, 0)->content = varve_str("position");
    add_table(e, 3, 6, 299, "", "zebra");
    add_field(e, VR_EDIT_TABLE_REMOVE, 3, 1, 17, 0);
    add_feed(e, "changelog", 3999);
    add_field(e, VR_EDIT_FEED_DROP, 0, 0, 0, 0)->name = varve_str("old");
    add_field(e, VR_EDIT_NEXT_STORE, 9, 0, 0, 0);
}

static void check_same(const vr_edit *a, const vr_edit *b) {
    cr_assert_eq(a->count, b->count);
    for (size_t i = 0; i < a->count; i++) {
        const vr_edit_field *x = &a->fields[i], *y = &b->fields[i];
        cr_assert_eq(x->kind, y->kind);
        cr_assert(x->store_id == y->store_id && x->level == y->level && x->number == y->number && x->sequence == y->sequence);
        cr_assert_arr_eq(x->id, y->id, sizeof x->id);
        cr_assert(vr_equal(x->name, y->name) && vr_equal(x->content, y->content));
        cr_assert_eq(x->store_options.block_bytes, y->store_options.block_bytes);
        cr_assert_eq(x->store_options.compression_level, y->store_options.compression_level);
        cr_assert_eq(x->store_options.filter_bits, y->store_options.filter_bits);
        cr_assert_eq(x->table.table_id, y->table.table_id);
        cr_assert(x->table.file_bytes == y->table.file_bytes && x->table.raw_bytes == y->table.raw_bytes);
        cr_assert(x->table.entries == y->table.entries && x->table.tombstones == y->table.tombstones);
        cr_assert(x->table.min_sequence == y->table.min_sequence && x->table.max_sequence == y->table.max_sequence);
        cr_assert(vr_equal(varve_buffer_slice(&x->table.min_key), varve_buffer_slice(&y->table.min_key)));
        cr_assert(vr_equal(varve_buffer_slice(&x->table.max_key), varve_buffer_slice(&y->table.max_key)));
    }
}

Test(edit, every_kind_survives) {
    fill_all_kinds(&edit);
    must(vr_edit_encode(&edit, &bytes, &err));
    must(decode(varve_buffer_slice(&bytes)));
    check_same(&edit, &back);
    cr_assert_eq(back.fields[6].store_options.size, sizeof(varve_store_options));
    cr_assert_eq(back.fields[11].table.max_key.capacity, 0);
}

Test(edit, every_kind_has_an_even_tag_of_its_own) {
    for (unsigned i = 0; i < VR_EDIT_KIND_COUNT; i++) {
        cr_assert(vr_edit_layouts[i].tag > 0 && vr_edit_layouts[i].tag % 2 == 0 && vr_edit_layouts[i].name);
        for (unsigned j = 0; j < i; j++) cr_assert_neq(vr_edit_layouts[i].tag, vr_edit_layouts[j].tag);
    }
}

Test(edit, encoding_appends) {
    cr_assert(vr_buffer_append(&bytes, "before", 6));
    add_field(&edit, VR_EDIT_OPENED, 0, 0, 0, 0);
    must(vr_edit_encode(&edit, &bytes, &err));
    cr_assert_eq(bytes.size, 8);
    cr_assert_arr_eq(bytes.data, "before\x0a\x00", 8);
}

Test(edit, a_cut_is_refused_or_ends_between_fields) {
    size_t ends = 0;
    fill_all_kinds(&edit);
    must(vr_edit_encode(&edit, &bytes, &err));
    for (size_t cut = 0; cut < bytes.size; cut++) {
        varve_status status = decode(varve_bytes(bytes.data, cut));
        cr_assert(status == VARVE_OK || status == VARVE_CORRUPTION, "cut %zu: %d", cut, status);
        ends += status == VARVE_OK;
    }
    cr_assert_eq(ends, edit.count); /* after 0 to count - 1 fields */
}

Test(edit, no_flip_reads_out_of_bounds_or_gives_another_status) {
    fill_all_kinds(&edit);
    must(vr_edit_encode(&edit, &bytes, &err));
    for (size_t at = 0; at < bytes.size; at++) {
        for (int bit = 0; bit < 8; bit++) {
            varve_buffer copy = {0};
            cr_assert(vr_buffer_set(&copy, varve_buffer_slice(&bytes)));
            copy.data[at] = (char)(copy.data[at] ^ 1 << bit);
            varve_status status = decode(varve_buffer_slice(&copy));
            cr_assert(status == VARVE_OK || status == VARVE_CORRUPTION || status == VARVE_UNSUPPORTED);
            varve_buffer_free(&copy);
        }
    }
}

Test(edit, unknown_odd_tags_are_skipped) {
    static const char in[] = "\x0a\x00" /* opened */ "\xe7\x07\x03"
                             "new" /* tag 999 */ "\x02\x10"
                             "0123456789abcdef";
    must(decode(varve_bytes(in, sizeof in - 1)));
    cr_assert_eq(back.count, 2);
    cr_assert_eq(back.fields[1].kind, VR_EDIT_DB_ID);
}

Test(edit, unknown_even_tags_are_refused) {
    static const char in[] = "\x0a\x00"
                             "\xe8\x07\x03"
                             "new"; /* tag 1000 at offset 2 */
    cr_assert_eq(decode(varve_bytes(in, sizeof in - 1)), VARVE_UNSUPPORTED);
    cr_assert_not_null(strstr(err.message, "MANIFEST: offset 1002: field with tag 1000"));
}

/* A wrong value for each part: what the edit says, and what the message must name. */
static void refuses(const char *what) {
    bytes.size = 0;
    must(vr_edit_encode(&edit, &bytes, &err));
    cr_assert_eq(decode(varve_buffer_slice(&bytes)), VARVE_CORRUPTION, "%s was accepted", what);
    cr_assert_not_null(strstr(err.message, what), "\"%s\" does not name %s", err.message, what);
    cr_assert_not_null(strstr(err.message, "MANIFEST: offset 10"), "%s", err.message);
    edit.count = 0;
}

Test(edit, numbers_out_of_bounds_are_refused) {
    add_field(&edit, VR_EDIT_NEXT_FILE, 0, 0, 0, 0);
    refuses("number of next_file");
    add_field(&edit, VR_EDIT_NEXT_FILE, 0, 0, VR_FILE_NUMBER_MAX + 1, 0);
    refuses("number of next_file");
    add_field(&edit, VR_EDIT_WAL_FIRST, 0, 0, VR_FILE_NUMBER_MAX, 0);
    refuses("number of wal_first");
    add_field(&edit, VR_EDIT_TABLE_REMOVE, 1, 0, 0, 0);
    refuses("number of table_remove");
    add_field(&edit, VR_EDIT_TABLE_REMOVE, 1, VR_LEVELS, 1, 0);
    refuses("level of table_remove");
    add_field(&edit, VR_EDIT_STORE_DROP, 0, 0, 0, 0);
    refuses("store_id of store_drop");
    add_field(&edit, VR_EDIT_STORE_DROP, UINT32_MAX, 0, 0, 0);
    refuses("store_id of store_drop");
    add_field(&edit, VR_EDIT_NEXT_STORE, 0, 0, 0, 0);
    refuses("store_id of next_store");
    add_field(&edit, VR_EDIT_LAST_SEQUENCE, 0, 0, 0, VR_SEQUENCE_MAX + 1);
    refuses("sequence of last_sequence");
    add_field(&edit, VR_EDIT_CLEAN, 0, 0, 0, VR_SEQUENCE_MAX + 1);
    refuses("sequence of clean");
    add_field(&edit, VR_EDIT_STORE_FLUSHED, 1, 0, 0, UINT64_MAX);
    refuses("sequence of store_flushed");
}

Test(edit, names_out_of_bounds_are_refused) {
    char long_name[257];
    memset(long_name, 'n', sizeof long_name);
    long_name[256] = 0;
    add_store(&edit, 1, "");
    refuses("name of store_create");
    add_store(&edit, 1, long_name);
    refuses("name of store_create");
    add_store(&edit, 1, "x")->name = varve_bytes("a\0b", 3);
    refuses("a byte of the name of store_create");
    add_feed(&edit, "", 1);
    refuses("name of feed_set");
    add_field(&edit, VR_EDIT_FEED_DROP, 0, 0, 0, 0)->name = varve_str(long_name);
    refuses("name of feed_drop");
}

Test(edit, store_options_out_of_bounds_are_refused) {
    static const uint32_t blocks[] = {0, 1023, (1u << 20) + 1}, bits[] = {0, 3, 21, 99, 101};
    static const int32_t levels[] = {-8, 20, 99, 101};
    for (size_t i = 0; i < 3; i++) {
        add_store(&edit, 1, "x")->store_options.block_bytes = blocks[i];
        refuses("block_bytes of store_create");
    }
    for (size_t i = 0; i < 4; i++) {
        add_store(&edit, 1, "x")->store_options.compression_level = levels[i];
        refuses("compression_level of store_create");
    }
    for (size_t i = 0; i < 5; i++) {
        add_store(&edit, 1, "x")->store_options.filter_bits = bits[i];
        refuses("filter_bits of store_create");
    }
}

Test(edit, positions_out_of_bounds_are_refused) {
    char content[VARVE_POSITION_BYTES_MAX + 1] = {0};
    add_field(&edit, VR_EDIT_STORE_POSITION, 1, 0, 0, 0)->content = varve_bytes(content, sizeof content);
    refuses("content of store_position");
}

Test(edit, tables_out_of_bounds_are_refused) {
    static char key[VARVE_KEY_BYTES_MAX + 1];
    memset(key, 'k', sizeof key);
    add_table(&edit, 1, 0, 1, "a", "b")->table.table_id = 0;
    refuses("table_id of table_add");
    add_table(&edit, 1, 0, 1, "a", "b")->table.file_bytes = 0;
    refuses("file_bytes of table_add");
    add_table(&edit, 1, 0, 1, "a", "b")->table.file_bytes = UINT64_MAX;
    refuses("file_bytes of table_add");
    add_table(&edit, 1, 0, 1, "a", "b")->table.entries = 0;
    refuses("entries of table_add");
    add_table(&edit, 1, 0, 1, "a", "b")->table.entries = UINT64_MAX;
    refuses("entries of table_add");
    add_table(&edit, 1, 0, 1, "a", "b")->table.tombstones = 11;
    refuses("tombstones of table_add");
    add_table(&edit, 1, 0, 1, "a", "b")->table.raw_bytes = UINT64_MAX;
    refuses("raw_bytes of table_add");
    add_table(&edit, 1, 0, 1, "a", "b")->table.min_sequence = VR_SEQUENCE_MAX + 1;
    refuses("min_sequence of table_add");
    add_table(&edit, 1, 0, 5, "a", "b")->table.max_sequence = 4;
    refuses("max_sequence of table_add");
    add_table(&edit, 1, 0, 1, "a", "b")->table.max_sequence = VR_SEQUENCE_MAX + 1;
    refuses("max_sequence of table_add");
    add_table(&edit, 1, 0, 1, "b", "a");
    refuses("max_key of table_add is below its min_key");
    add_table(&edit, 1, 0, 1, "a", "b")->table.min_key = (varve_buffer){.data = key, .size = sizeof key};
    refuses("min_key of table_add");
    add_table(&edit, 1, 0, 1, "a", "b")->table.max_key = (varve_buffer){.data = key, .size = sizeof key};
    refuses("max_key of table_add");
}

/* Encodings that no encoder gives. */
static void refuses_bytes(const char *in, size_t size, const char *what) {
    cr_assert_eq(decode(varve_bytes(in, size)), VARVE_CORRUPTION, "%s", what);
    cr_assert_not_null(strstr(err.message, what), "\"%s\" does not say %s", err.message, what);
}

Test(edit, malformed_fields_are_refused) {
    refuses_bytes("\x0a\x01\x00", 3, "number of bytes after the last part of opened is 1");
    refuses_bytes("\x04\x02\x81\x00", 4, "number of next_file is cut off or no shortest-form");
    refuses_bytes("\x04\x00", 2, "number of next_file is cut off");
    refuses_bytes("\x04", 1, "size of an edit's field is cut off");
    refuses_bytes("\x04\x05\x01", 3, "content of an edit's field is cut off");
    refuses_bytes("\xff\xff\xff\xff\x1f\x00", 6, "tag of an edit's field");
    refuses_bytes("\x03\xff\xff\xff\xff\x7f", 6, "size of an edit's field");
    refuses_bytes("\x02\x0f"
                  "0123456789abcde",
                  17, "id of db_id is cut off");
}

Test(edit, tables_added_by_copy_outlive_their_summary) {
    char key[] = "key";
    vr_table_summary summary = {.table_id = 9, .file_bytes = 10, .entries = 1, .min_key = {key, 3, 0}, .max_key = {key, 3, 0}};
    must(vr_edit_add_table(&edit, 1, 2, 3, &summary, &err));
    must(vr_edit_remove_table(&edit, 1, 2, 4, &err));
    memset(key, 'x', 3);
    cr_assert(vr_equal(varve_buffer_slice(&edit.fields[0].table.min_key), varve_str("key")));
    cr_assert_eq(edit.fields[1].kind, VR_EDIT_TABLE_REMOVE);
    cr_assert_eq(edit.fields[1].number, 4);
}

Test(edit, without_memory_nothing_is_added_and_nothing_leaks) {
    vr_table_summary summary = {.table_id = 9,
                                .file_bytes = 10,
                                .entries = 1,
                                .min_key = {(char *)"a", 1, 0},
                                .max_key = {(char *)"b", 1, 0}};
    for (uint64_t nth = 1;; nth++) {
        vr_faultmem fault;
        vr_faultmem_init(&fault, nth, false);
        vr_mem mem = vr_faultmem_mem(&fault);
        vr_edit poor;
        vr_edit_init(&poor, &mem);
        varve_status status = vr_edit_add_table(&poor, 1, 2, 3, &summary, &err);
        cr_assert_eq(status, vr_faultmem_injected(&fault) ? VARVE_NOMEM : VARVE_OK);
        cr_assert_eq(poor.count, status == VARVE_OK);
        vr_edit_free(&poor);
        cr_assert_eq(vr_faultmem_live(&fault), 0);
        if (vr_faultmem_injected(&fault) == 0) break;
    }
}

Test(edit, fields_are_described) {
    char line[400], small[20];
    fill_all_kinds(&edit);
    vr_edit_describe(&edit.fields[6], line, sizeof line);
    cr_assert_str_eq(line, "store_create store 3 name \"users\" block_bytes 8192 compression_level 19 filter_bits 20");
    vr_edit_describe(&edit.fields[11], line, sizeof line);
    cr_assert_str_eq(line, "table_add store 3 level 6 number 299 id 000000000000082e bytes 4096 entries 10 tombstones 1 raw 300 "
                           "sequences 299 to 308 from \"\" to \"zebra\"");
    vr_edit_describe(&edit.fields[11], small, sizeof small);
    cr_assert_str_eq(small, "table_add store 3 l");
}
