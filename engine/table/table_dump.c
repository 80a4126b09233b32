/*
 * table/table_dump.c - a table file in readable lines: part by part, so that what precedes a damage is shown.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/error.h"
#include "table/block_scan.h"
#include "table/table.h"

/* Of a key, so much is shown. */
#define KEY_SHOWN_BYTES 200u

typedef struct dumper {
    vr_table_file tf;
    vr_decompressors pool;
    varve_status (*visit)(void *context, const char *line);
    void *context;
    varve_error *err;
    char *key; /* the present key is put together here */
    size_t key_capacity;
} dumper;

__attribute__((format(printf, 2, 3))) static varve_status say(dumper *d, const char *format, ...) {
    char line[1200];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    return d->visit(d->context, line);
}

/* The key with everything but printable ASCII as \xNN. out has room for 4 bytes a shown byte, "..." and the NUL. */
static const char *escape(varve_slice key, char *out) {
    static const char digits[] = "0123456789abcdef";
    size_t shown = key.size < KEY_SHOWN_BYTES ? key.size : KEY_SHOWN_BYTES;
    char *at = out;
    for (size_t i = 0; i < shown; i++) {
        uint8_t byte = (uint8_t)key.data[i];
        if (byte >= 0x20 && byte < 0x7f && byte != '\\' && byte != '"') {
            *at++ = (char)byte;
            continue;
        }
        *at++ = '\\';
        *at++ = 'x';
        *at++ = digits[byte >> 4];
        *at++ = digits[byte & 15];
    }
    memcpy(at, shown < key.size ? "..." : "", shown < key.size ? 4 : 1);
    return out;
}

static varve_status say_footer(dumper *d) {
    const vr_footer *f = &d->tf.footer;
    varve_status st =
        say(d, "footer: version %u, table id %016" PRIx64 ", %" PRIu64 " bytes, %" PRIu64 " entries, %" PRIu64 " data blocks",
            VR_TABLE_VERSION, f->table_id, f->file_bytes, f->entries, f->blocks);
    if (st != VARVE_OK) return st;
    return say(d,
               "footer: filter at %" PRIu64 " (%" PRIu64 " bytes), index at %" PRIu64 " (%" PRIu64 "), properties at %" PRIu64
               " (%" PRIu64 ")",
               f->filter.offset, f->filter.size, f->index.offset, f->index.size, f->properties.offset, f->properties.size);
}

static varve_status say_properties(dumper *d) {
    char first[4 * KEY_SHOWN_BYTES + 4];
    const vr_properties *p = &d->tf.properties;
    const vr_table_summary *s = &p->summary;
    varve_status st = say(d,
                          "properties: %" PRIu64 " entries, %" PRIu64 " tombstones, %" PRIu64
                          " key and value bytes, sequences %" PRIu64 " to %" PRIu64,
                          s->entries, s->tombstones, s->raw_bytes, s->min_sequence, s->max_sequence);
    if (st == VARVE_OK) st = say(d, "properties: first key \"%s\"", escape(varve_buffer_slice(&s->min_key), first));
    if (st == VARVE_OK) st = say(d, "properties: last key \"%s\"", escape(varve_buffer_slice(&s->max_key), first));
    if (st != VARVE_OK) return st;
    return say(d, "properties: block size %" PRIu32 ", compression level %" PRId32 ", filter bits %" PRIu32, p->block_bytes,
               p->compression_level, p->filter_bits);
}

static varve_status say_filter(dumper *d) {
    const vr_filter *f = &d->tf.filter;
    if (d->tf.footer.filter.size == 0) return say(d, "filter: none");
    if (!f->lines) return say(d, "filter: of a kind that this library does not know");
    return say(d, "filter: blocked bloom, %" PRIu32 " lines, %" PRIu32 " probes, %" PRIu64 " keys", f->count, f->probes, f->keys);
}

static const char *kind_name(uint64_t trailer) {
    return vr_trailer_kind(trailer) == VR_KIND_PUT ? "put" : "delete"; /* checked when the block was read */
}

/* Makes d->key ready for the keys of a block. */
static varve_status begin_keys(dumper *d, const vr_block_view *view) {
    size_t room = vr_block_key_room(view);
    if (!vr_grow(&d->tf.env->mem, (void **)&d->key, &d->key_capacity, room, 1)) {
        return vr_error_nomem(d->err, room, "describing a table");
    }
    vr_block_key_common(view, d->key);
    return VARVE_OK;
}

static varve_status say_block(dumper *d, uint32_t i, const vr_frame *frame, const vr_block_view *view) {
    char text[4 * KEY_SHOWN_BYTES + 4];
    varve_status st = say(d,
                          "block %" PRIu32 ": offset %" PRIu64 ", %" PRIu32 " bytes stored, %" PRIu32 " raw, codec %s, %" PRIu32
                          " entries, %" PRIu32 " common bytes",
                          i, d->tf.offsets[i], frame->stored_bytes, frame->raw_bytes,
                          frame->codec == VR_CODEC_ZSTD ? "zstd" : "raw", view->count, view->common_bytes);
    if (st == VARVE_OK) st = begin_keys(d, view);
    for (uint32_t e = 0; st == VARVE_OK && e < view->count; e++) {
        uint64_t trailer = vr_block_trailer(view, e);
        varve_slice key = varve_bytes(d->key, vr_block_key_suffix(view, e, d->key));
        st = say(d, "  \"%s\" sequence %" PRIu64 " %s, value of %zu bytes", escape(key, text), vr_trailer_sequence(trailer),
                 kind_name(trailer), vr_block_value(view, e).size);
    }
    return st;
}

static varve_status say_index(dumper *d) {
    char text[4 * KEY_SHOWN_BYTES + 4];
    const vr_block_view *index = &d->tf.index;
    varve_status st = say(d, "index: %" PRIu32 " separators, %" PRIu32 " common bytes", index->count, index->common_bytes);
    if (st == VARVE_OK) st = begin_keys(d, index);
    for (uint32_t i = 0; st == VARVE_OK && i < index->count; i++) {
        varve_slice key = varve_bytes(d->key, vr_block_key_suffix(index, i, d->key));
        st = say(d, "  up to \"%s\" trailer %" PRIu64 ": offset %" PRIu64 ", %" PRIu64 " bytes", escape(key, text),
                 vr_block_trailer(index, i), d->tf.offsets[i], d->tf.offsets[i + 1] - d->tf.offsets[i]);
    }
    return st;
}

static varve_status say_blocks(dumper *d) {
    vr_scan scan;
    varve_status st = VARVE_OK;
    vr_scan_init(&scan, &d->tf, &d->pool);
    for (uint32_t i = 0; st == VARVE_OK && i < d->tf.blocks; i++) {
        vr_block_view view;
        vr_frame frame;
        st = vr_scan_block(&scan, i, &view, &frame, d->err);
        if (st == VARVE_OK) st = say_block(d, i, &frame, &view);
    }
    vr_scan_close(&scan);
    return st;
}

varve_status vr_table_dump(const vr_env *env, const char *path, varve_status (*visit)(void *context, const char *line),
                           void *context, varve_error *err) {
    dumper d = {.visit = visit, .context = context, .err = err};
    vr_budget budget; /* of the dump's own: it belongs to no database */
    vr_budget_init(&budget, UINT64_MAX);
    vr_decompressors_init(&d.pool, &env->mem);
    varve_status st = vr_table_open_file(&d.tf, env, &budget, path, err);
    if (st == VARVE_OK) st = say_footer(&d);
    if (st == VARVE_OK) st = vr_table_file_read_properties(&d.tf, &d.pool, err);
    if (st == VARVE_OK) st = say_properties(&d);
    if (st == VARVE_OK) st = vr_table_file_read_filter(&d.tf, &d.pool, err);
    if (st == VARVE_OK) st = say_filter(&d);
    if (st == VARVE_OK) st = vr_table_file_read_index(&d.tf, &d.pool, err);
    if (st == VARVE_OK) st = say_index(&d);
    if (st == VARVE_OK) st = say_blocks(&d);
    vr_free(&env->mem, d.key);
    vr_table_file_close(&d.tf);
    vr_decompressors_destroy(&d.pool);
    return st;
}
