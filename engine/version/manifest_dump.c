/*
 * version/manifest_dump.c - a manifest in readable lines: one for the file, one for each record, one for each of its fields.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/bytes.h"
#include "base/error.h"
#include "version/edit_layout.h"
#include "version/manifest.h"
#include "version/manifest_format.h"

#define LINE_BYTES 1024u
#define SHOWN_BYTES_MAX 48u /* of a key, name or position */

typedef struct line {
    char *out;
    size_t size, used;
} line;

static void say(line *l, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(line *l, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int wanted = vsnprintf(l->out + l->used, l->size - l->used, format, arguments);
    va_end(arguments);
    if (wanted > 0) l->used = vr_min_size(l->used + (size_t)wanted, l->size - 1);
}

/* Bytes as text, what is not printable as \xx. */
static void say_bytes(line *l, const char *label, const char *data, size_t size) {
    say(l, " %s \"", label);
    for (size_t i = 0; i < size && i < SHOWN_BYTES_MAX; i++) {
        unsigned char byte = (unsigned char)data[i];
        if (byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\') {
            say(l, "%c", byte);
        } else {
            say(l, "\\%02x", byte);
        }
    }
    say(l, size > SHOWN_BYTES_MAX ? "...\" (%zu bytes)" : "\"", size);
}

static void say_table(line *l, const vr_table_summary *table) {
    say(l,
        " id %016" PRIx64 " bytes %" PRIu64 " entries %" PRIu64 " tombstones %" PRIu64 " raw %" PRIu64 " sequences %" PRIu64
        " to %" PRIu64,
        table->table_id, table->file_bytes, table->entries, table->tombstones, table->raw_bytes, table->min_sequence,
        table->max_sequence);
    say_bytes(l, "from", table->min_key.data, table->min_key.size);
    say_bytes(l, "to", table->max_key.data, table->max_key.size);
}

void vr_edit_describe(const vr_edit_field *field, char *out, size_t size) {
    const vr_edit_layout *layout = &vr_edit_layouts[field->kind];
    line l = {out, size, 0};
    say(&l, "%s", layout->name);
    if (layout->parts & VR_PART_STORE) say(&l, " store %" PRIu32, field->store_id);
    if (layout->parts & VR_PART_LEVEL) say(&l, " level %" PRIu32, field->level);
    if (layout->parts & VR_PART_NUMBER) say(&l, " number %" PRIu64, field->number);
    if (layout->parts & VR_PART_SEQUENCE) say(&l, " sequence %" PRIu64, field->sequence);
    if (layout->parts & VR_PART_ID) {
        say(&l, " ");
        for (size_t i = 0; i < sizeof field->id; i++) say(&l, "%02x", field->id[i]);
    }
    if (layout->parts & VR_PART_NAME) say_bytes(&l, "name", field->name.data, field->name.size);
    if (layout->parts & VR_PART_CONTENT) say_bytes(&l, "content", field->content.data, field->content.size);
    if (layout->parts & VR_PART_OPTIONS) {
        say(&l, " block_bytes %" PRIu32 " compression_level %" PRId32 " filter_bits %" PRIu32, field->store_options.block_bytes,
            field->store_options.compression_level, field->store_options.filter_bits);
    }
    if (layout->parts & VR_PART_TABLE) say_table(&l, &field->table);
}

typedef varve_status visit_fn(void *context, const char *line);

static varve_status dump_record(const vr_mem *mem, const vr_manifest_reader *reader, varve_slice bytes, uint64_t offset,
                                visit_fn *visit, void *context, varve_error *err) {
    char text[LINE_BYTES];
    vr_edit edit;
    line l = {text, sizeof text, 0};
    say(&l, "record at %" PRIu64 ": %zu bytes, chain %016" PRIx64 "%s", offset, bytes.size, reader->chain,
        offset < reader->slot.length ? "" : ", behind the committed length");
    varve_status status = visit(context, text);
    vr_edit_init(&edit, mem);
    if (status == VARVE_OK) status = vr_edit_decode(bytes, reader->name, offset + VR_MANIFEST_RECORD_HEADER_BYTES, &edit, err);
    for (size_t i = 0; status == VARVE_OK && i < edit.count; i++) {
        text[0] = text[1] = ' ';
        vr_edit_describe(&edit.fields[i], text + 2, sizeof text - 2);
        status = visit(context, text);
    }
    vr_edit_free(&edit);
    return status;
}

static varve_status dump_bytes(const vr_mem *mem, varve_slice file, const char *path, visit_fn *visit, void *context,
                               varve_error *err) {
    char text[LINE_BYTES];
    line l = {text, sizeof text, 0};
    vr_manifest_reader reader = {0};
    varve_slice bytes;
    uint64_t offset;
    varve_status status = vr_manifest_reader_open(&reader, file, path, err);
    if (status != VARVE_OK) return status;
    say(&l, "manifest version %u, %zu bytes, committed %" PRIu64 ", generation %" PRIu64, VR_MANIFEST_VERSION, file.size,
        reader.slot.length, reader.slot.generation);
    status = visit(context, text);
    while (status == VARVE_OK) {
        status = vr_manifest_reader_next(&reader, &bytes, &offset, err);
        if (status == VARVE_OK) status = dump_record(mem, &reader, bytes, offset, visit, context, err);
    }
    if (status != VARVE_NOT_FOUND) return status;
    if (reader.offset == file.size) return VARVE_OK;
    l.used = 0;
    say(&l, "torn write at %" PRIu64 ": %" PRIu64 " bytes", reader.offset, (uint64_t)file.size - reader.offset);
    return visit(context, text);
}

varve_status vr_manifest_dump(const vr_env *env, const char *path, varve_status (*visit)(void *context, const char *line),
                              void *context, varve_error *err) {
    vr_file *file = NULL;
    char *bytes = NULL;
    size_t size = 0;
    varve_status status = vr_fs_open(env->fs, path, VR_OPEN_READ, &file, err);
    if (status != VARVE_OK) return status;
    status = vr_manifest_load(env, file, path, &bytes, &size, err);
    if (status == VARVE_OK) status = dump_bytes(&env->mem, varve_bytes(bytes, size), path, visit, context, err);
    vr_free(&env->mem, bytes);
    vr_file_close(file, NULL);
    return status;
}
