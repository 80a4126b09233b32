/*
 * Damaged tables: each field by itself, with the checksums made to fit; every byte flipped; every cut. A table with damage gives an
 * error or the right answer, never a wrong one.
 */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "table/block.h"
#include "table/compress.h"
#include "table/table_file.h"
#include "table_fixture.h"

static const shape small =
    {.seed = 4, .entries = 40, .key_min = 3, .key_max = 20, .shared = 2, .alphabet = 16, .versions = 2, .value_max = 120};
static const vr_table_builder_options zstd_options = {.block_bytes = 1024, .compression_level = -1, .filter_bits = 10};

/* A built table as bytes, to be damaged. */
typedef struct subject {
    fixture f;
    model m;
    char *file;
    size_t size;
    parts p;
} subject;

static void subject_open(subject *s, const vr_table_builder_options *options) {
    fixture_open(&s->f, 64u << 20);
    s->m = model_random(&small);
    build_table(&s->f, FIXTURE_PATH, options, &s->m, NULL);
    s->file = read_file(&s->f, FIXTURE_PATH, &s->size);
    s->p = parts_of(s->file, s->size);
}

static void subject_close(subject *s) {
    free(s->file);
    model_free(&s->m);
    fixture_close(&s->f);
}

static varve_status try_open(subject *s, vr_table **table, varve_error *err) {
    *table = NULL;
    return vr_table_open(&s->f.env, &s->f.budget, s->f.cache, FIXTURE_PATH, NULL, table, err);
}

static bool is_refusal(varve_status st) {
    return st == VARVE_CORRUPTION || st == VARVE_UNSUPPORTED;
}

/* Every get gives what the model has, or an error. Returns the number of errors. */
static size_t check_gets(subject *s, vr_table *table) {
    size_t errors = 0;
    for (size_t i = 0; i < s->m.count; i++) {
        const entry *e = &s->m.entries[i];
        varve_error err = {0};
        uint64_t trailer;
        varve_slice value;
        uint32_t token = vr_epoch_enter(s->f.epoch);
        varve_status st = vr_table_get(table, e->key, vr_trailer_sequence(e->trailer), &trailer, &value, &err);
        if (st == VARVE_OK) {
            cr_assert_eq(trailer, e->trailer);
            cr_assert(vr_equal(value, e->value));
        } else {
            cr_assert(is_refusal(st), "get says %d", st);
            errors++;
        }
        vr_epoch_leave(s->f.epoch, token);
    }
    return errors;
}

/* A walk gives the model's entries up to an error or the end. Returns whether it got to the end. */
static bool check_scan(subject *s, vr_table *table, vr_table_access access) {
    vr_cursor *cursor;
    varve_error err = {0};
    size_t i = 0;
    cr_assert_eq(vr_table_cursor(table, access, &cursor, &err), VARVE_OK);
    cursor->err = &err;
    for (cursor->ops->first(cursor); cursor->valid; cursor->ops->next(cursor)) {
        cr_assert_lt(i, s->m.count);
        cr_assert(vr_equal(cursor->key, s->m.entries[i].key));
        cr_assert_eq(cursor->trailer, s->m.entries[i].trailer);
        cr_assert(vr_equal(cursor->value, s->m.entries[i].value));
        i++;
    }
    bool whole = cursor->status == VARVE_OK;
    if (whole) cr_assert_eq(i, s->m.count);
    if (!whole) cr_assert(is_refusal(cursor->status), "cursor says %d", cursor->status);
    if (!whole) cr_assert_not_null(strstr(err.message, FIXTURE_PATH ": offset "), "%s", err.message);
    cursor->ops->close(cursor);
    return whole;
}

/* The damaged file is noticed by open, or by every way of reading that meets the damage; verify always meets it. */
static void check_noticed(subject *s, const char *bytes, size_t size) {
    vr_table *table;
    varve_error err = {0};
    write_file(&s->f, FIXTURE_PATH, bytes, size);
    varve_status st = try_open(s, &table, &err);
    if (st != VARVE_OK) {
        cr_assert(is_refusal(st), "open says %d: %s", st, err.message);
        cr_assert_not_null(strstr(err.message, FIXTURE_PATH ": offset "), "%s", err.message);
        return;
    }
    size_t errors = check_gets(s, table);
    bool cached = check_scan(s, table, VR_ACCESS_CACHED), sequential = check_scan(s, table, VR_ACCESS_SEQUENTIAL);
    cr_assert(errors > 0 && !cached && !sequential, "damage unnoticed");
    cr_assert(is_refusal(vr_table_verify(table, &err)));
    vr_table_close(table);
}

static void flip_every_byte(const vr_table_builder_options *options) {
    subject s;
    subject_open(&s, options);
    for (size_t at = 0; at < s.size; at++) {
        char before = s.file[at];
        s.file[at] = (char)(before ^ 1 << at % 8);
        check_noticed(&s, s.file, s.size);
        s.file[at] = (char)~before;
        check_noticed(&s, s.file, s.size);
        s.file[at] = before;
    }
    subject_close(&s);
}

Test(table_damage, every_byte_flipped) {
    flip_every_byte(&plain_options);
}

Test(table_damage, every_byte_flipped_compressed) {
    flip_every_byte(&zstd_options);
}

Test(table_damage, every_cut) {
    subject s;
    subject_open(&s, &zstd_options);
    for (size_t size = 0; size < s.size; size++) {
        vr_table *table;
        varve_error err = {0};
        write_file(&s.f, FIXTURE_PATH, s.file, size);
        cr_assert_eq(try_open(&s, &table, &err), VARVE_CORRUPTION, "cut to %zu", size);
    }
    for (size_t more = 1; more < 40; more++) { /* and bytes too many */
        char *longer = calloc(1, s.size + more);
        memcpy(longer, s.file, s.size);
        check_noticed(&s, longer, s.size + more);
        free(longer);
    }
    subject_close(&s);
}

/* A change of some bytes, after which the checksums fit again. */
typedef struct patch {
    size_t at; /* in the footer, or in the frame */
    uint64_t value;
    unsigned width;
    varve_status status;
    const char *names;
} patch;

static void apply(char *at, const patch *p) {
    if (p->width == 1) *at = (char)p->value;
    if (p->width == 2) vr_put16(at, (uint16_t)p->value);
    if (p->width == 4) vr_put32(at, (uint32_t)p->value);
    if (p->width == 8) vr_put64(at, p->value);
}

/* Opening the bytes fails as the patch says. */
static void check_open_refused(subject *s, const char *bytes, size_t size, const patch *p, size_t i) {
    vr_table *table;
    varve_error err = {0};
    write_file(&s->f, FIXTURE_PATH, bytes, size);
    varve_status st = try_open(s, &table, &err);
    cr_assert_eq(st, p->status, "patch %zu (%s): open says %d %s", i, p->names, st, err.message);
    cr_assert_not_null(strstr(err.message, p->names), "patch %zu: \"%s\" does not name %s", i, err.message, p->names);
    cr_assert_not_null(strstr(err.message, FIXTURE_PATH ": offset "), "%s", err.message);
}

Test(table_damage, each_footer_field) {
    subject s;
    subject_open(&s, &plain_options);
    const patch patches[] = {{0, 0, 8, VARVE_CORRUPTION, "table id"},
                             {8, s.p.filter + 1, 8, VARVE_CORRUPTION, "filter offset"},
                             {16, s.p.filter_bytes - 1, 8, VARVE_CORRUPTION, "filter offset"},
                             {16, 5, 8, VARVE_CORRUPTION, "filter size"},
                             {16, 0, 8, VARVE_CORRUPTION, "filter offset"},
                             {24, s.p.index + 1, 8, VARVE_CORRUPTION, "index offset"},
                             {32, UINT64_MAX, 8, VARVE_CORRUPTION, "index size"},
                             {32, 23, 8, VARVE_CORRUPTION, "index size"},
                             {40, UINT64_MAX, 8, VARVE_CORRUPTION, "properties offset"},
                             {48, 0, 8, VARVE_CORRUPTION, "properties size"},
                             {48, s.size, 8, VARVE_CORRUPTION, "properties size"},
                             {56, s.size - 1, 8, VARVE_CORRUPTION, "file size"},
                             {64, 0, 8, VARVE_CORRUPTION, "entries"},
                             {64, s.m.count + 1, 8, VARVE_CORRUPTION, "entries"},
                             {72, 0, 8, VARVE_CORRUPTION, "data frames"},
                             {72, UINT64_MAX, 8, VARVE_CORRUPTION, "data frames"},
                             {72, 1, 8, VARVE_CORRUPTION, "index has"},
                             {80, 1, 8, VARVE_CORRUPTION, "reserved bytes"},
                             {96, 1, 8, VARVE_CORRUPTION, "reserved bytes"},
                             {104, 2, 4, VARVE_UNSUPPORTED, "version"},
                             {108, 1, 4, VARVE_CORRUPTION, "reserved bytes"},
                             {120, 0, 8, VARVE_CORRUPTION, "magic"}};
    for (size_t i = 0; i < sizeof patches / sizeof patches[0]; i++) {
        char *copy = malloc(s.size);
        memcpy(copy, s.file, s.size);
        apply(copy + s.size - VR_TABLE_FOOTER_BYTES + patches[i].at, &patches[i]);
        seal_footer(copy, s.size);
        check_open_refused(&s, copy, s.size, &patches[i], i);
        free(copy);
    }
    const patch checksum = {112, 0, 8, VARVE_CORRUPTION, "footer's checksum"};
    apply(s.file + s.size - VR_TABLE_FOOTER_BYTES + checksum.at, &checksum);
    check_open_refused(&s, s.file, s.size, &checksum, 0);
    subject_close(&s);
}

/* Each patch applied to the frame at offset, whose checksum then fits again. */
static void check_frame_patches(subject *s, uint64_t offset, uint64_t bytes, const patch *patches, size_t count) {
    for (size_t i = 0; i < count; i++) {
        char *copy = malloc(s->size);
        memcpy(copy, s->file, s->size);
        apply(copy + offset + patches[i].at, &patches[i]);
        seal_frame(copy, s->size, offset, bytes);
        check_open_refused(s, copy, s->size, &patches[i], i);
        free(copy);
    }
}

Test(table_damage, each_frame_header_field) {
    subject s;
    subject_open(&s, &plain_options);
    const patch patches[] = {{8, 1, 4, VARVE_CORRUPTION, "stored size"},
                             {12, 1, 4, VARVE_CORRUPTION, "raw size"},
                             {12, UINT32_MAX, 4, VARVE_CORRUPTION, "raw size"},
                             {16, 1, 1, VARVE_CORRUPTION, "no zstd frame"},
                             {16, 2, 1, VARVE_UNSUPPORTED, "codec"},
                             {17, VR_FRAME_DATA, 1, VARVE_CORRUPTION, "kind"},
                             {17, 9, 1, VARVE_CORRUPTION, "kind"},
                             {18, 1, 2, VARVE_CORRUPTION, "reserved field at 18"},
                             {20, 1, 4, VARVE_CORRUPTION, "reserved field at 20"}};
    check_frame_patches(&s, s.p.index, s.p.index_bytes, patches, sizeof patches / sizeof patches[0]);
    check_frame_patches(&s, s.p.properties, s.p.properties_bytes, patches, sizeof patches / sizeof patches[0]);
    subject_close(&s);
}

/* A frame is only taken for what it is where it was written, in the table it was written for. */
Test(table_damage, frame_of_another_place_or_table) {
    subject s;
    subject_open(&s, &plain_options);
    vr_table *table;
    varve_error err = {0};
    char *copy = malloc(s.size);
    memcpy(copy, s.file, s.size);
    vr_put64(copy + s.size - VR_TABLE_FOOTER_BYTES, 12345);
    seal_footer(copy, s.size);
    write_file(&s.f, FIXTURE_PATH, copy, s.size);
    cr_assert_eq(try_open(&s, &table, &err), VARVE_CORRUPTION);
    cr_assert_not_null(strstr(err.message, "checksum"));
    free(copy);
    const vr_place here = {.path = "x", .table_id = 7, .offset = 100}, there = {.path = "x", .table_id = 7, .offset = 101};
    char bytes[VR_FRAME_HEADER_BYTES + 3] = {0};
    vr_frame frame = {.codec = VR_CODEC_RAW, .kind = VR_FRAME_DATA, .raw_bytes = 3, .stored_bytes = 3};
    vr_frame_seal(bytes, &frame, &here);
    cr_assert_eq(vr_frame_open(varve_bytes(bytes, sizeof bytes), &here, VR_FRAME_DATA, 3, &frame, &err), VARVE_OK);
    cr_assert_eq(vr_frame_open(varve_bytes(bytes, sizeof bytes), &there, VR_FRAME_DATA, 3, &frame, &err), VARVE_CORRUPTION);
    cr_assert_eq(vr_frame_open(varve_bytes(bytes, sizeof bytes), &here, VR_FRAME_DATA, 2, &frame, &err), VARVE_CORRUPTION);
    cr_assert_eq(vr_frame_open(varve_bytes(bytes, 23), &here, VR_FRAME_DATA, 3, &frame, &err), VARVE_CORRUPTION);
    subject_close(&s);
}

/* The index: its block's structure, and the offsets and sizes in its values. */
Test(table_damage, each_index_field) {
    subject s;
    subject_open(&s, &plain_options);
    char *block = s.file + s.p.index + VR_FRAME_HEADER_BYTES;
    vr_block_view index = vr_block_view_of(block);
    cr_assert_geq(index.count, 3);
    varve_slice first = vr_block_value(&index, 0), second = vr_block_value(&index, 1);
    size_t first_at = (size_t)(first.data - (s.file + s.p.index)), second_at = (size_t)(second.data - (s.file + s.p.index));
    const patch patches[] = {{VR_FRAME_HEADER_BYTES + VR_BLOCK_AT_COUNT, 0, 4, VARVE_CORRUPTION, "index block's byte 0: entries"},
                             {VR_FRAME_HEADER_BYTES + VR_BLOCK_AT_FLAGS, 99, 4, VARVE_CORRUPTION, "flags"},
                             {first_at, 1, 1, VARVE_CORRUPTION, "index entry 0: offset is 1"},
                             {first_at, 0x80, 1, VARVE_CORRUPTION, "is not two varints"},
                             {first_at + 1, 0, 2, VARVE_CORRUPTION, "is not two varints"},
                             {second_at, 0x7fff, 2, VARVE_CORRUPTION, "index entry 1"},
                             {second_at + second.size - 1, 0x7f, 1, VARVE_CORRUPTION, "index entry"}};
    check_frame_patches(&s, s.p.index, s.p.index_bytes, patches, sizeof patches / sizeof patches[0]);
    subject_close(&s);
}

Test(table_damage, each_filter_field) {
    subject s;
    subject_open(&s, &plain_options);
    const size_t at = VR_FRAME_HEADER_BYTES;
    const patch patches[] = {{at + 1, 0, 1, VARVE_CORRUPTION, "filter's probes"},
                             {at + 2, 1, 2, VARVE_CORRUPTION, "filter's reserved bytes"},
                             {at + 4, 7, 4, VARVE_CORRUPTION, "filter's lines"},
                             {at + 16, 7, 4, VARVE_CORRUPTION, "filter's reserved bytes"}};
    check_frame_patches(&s, s.p.filter, s.p.filter_bytes, patches, sizeof patches / sizeof patches[0]);
    subject_close(&s);
}

/* A filter of a later kind is no damage: the table is read without it. */
Test(table_damage, filter_of_an_unknown_kind_is_ignored) {
    subject s;
    vr_table *table;
    varve_error err = {0};
    subject_open(&s, &plain_options);
    s.file[s.p.filter + VR_FRAME_HEADER_BYTES] = 9;
    seal_frame(s.file, s.size, s.p.filter, s.p.filter_bytes);
    write_file(&s.f, FIXTURE_PATH, s.file, s.size);
    cr_assert_eq(try_open(&s, &table, &err), VARVE_OK, "%s", err.message);
    cr_assert(vr_table_may_contain(table, 1) && vr_table_may_contain(table, UINT64_MAX));
    cr_assert_eq(check_gets(&s, table), 0);
    cr_assert(check_scan(&s, table, VR_ACCESS_CACHED));
    cr_assert_eq(vr_table_verify(table, &err), VARVE_OK, "%s", err.message);
    vr_table_close(table);
    subject_close(&s);
}

/* What the manifest says of a table must be so. */
Test(table_damage, mismatch_with_the_manifest) {
    subject s;
    vr_table *table;
    varve_error err = {0};
    subject_open(&s, &plain_options);
    vr_table_summary expected = {.table_id = vr_get64(s.file + s.size - VR_TABLE_FOOTER_BYTES),
                                 .file_bytes = s.size,
                                 .entries = s.m.count};
    cr_assert_eq(vr_table_open(&s.f.env, &s.f.budget, s.f.cache, FIXTURE_PATH, &expected, &table, &err), VARVE_OK, "%s",
                 err.message);
    vr_table_close(table);
    uint64_t *fields[] = {&expected.table_id, &expected.file_bytes, &expected.entries};
    const char *names[] = {"table id", "file size", "entries"};
    for (size_t i = 0; i < 3; i++) {
        *fields[i] += 1;
        cr_assert_eq(vr_table_open(&s.f.env, &s.f.budget, s.f.cache, FIXTURE_PATH, &expected, &table, &err), VARVE_CORRUPTION);
        cr_assert_not_null(strstr(err.message, names[i]), "%s", err.message);
        *fields[i] -= 1;
    }
    cr_assert_eq(vr_table_open(&s.f.env, &s.f.budget, s.f.cache, "none.tbl", &expected, &table, &err), VARVE_MISSING);
    subject_close(&s);
}

/* A sound zstd frame whose raw size is not what its header says. */
Test(table_damage, raw_size_of_a_compressed_block) {
    subject s;
    subject_open(&s, &zstd_options);
    cr_assert_eq(s.file[16], VR_CODEC_ZSTD);
    uint64_t stored = vr_get32(s.file + 8), raw = vr_get32(s.file + 12);
    const uint64_t wrong[] = {raw - 1, raw + 1, 0, UINT32_MAX};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        vr_put32(s.file + 12, (uint32_t)wrong[i]);
        seal_frame(s.file, s.size, 0, VR_FRAME_HEADER_BYTES + stored);
        check_noticed(&s, s.file, s.size);
    }
    subject_close(&s);
}
