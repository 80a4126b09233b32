/*
 * version/edit.c - building an edit, and its encoding. doc/format-manifest.md is normative.
 *
 *     edit  = { varint tag, varint size, content of that size } ...
 *     content = the parts that vr_edit_layouts[] gives the tag, in the order of VR_PART_*, and nothing after them
 *
 * The decoder is sticky: after the first failure every take gives zeros and the status stays, so that a field's parts are taken
 * one after the other and checked once. Every part is bounded before it is used.
 */
#include "version/edit.h"

#include <inttypes.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/error.h"
#include "version/edit_layout.h"

#define COUNT_MAX (UINT64_C(1) << 56) /* of entries, bytes and the like in one table */

const vr_edit_layout vr_edit_layouts[VR_EDIT_KIND_COUNT] = {
    [VR_EDIT_DB_ID] = {2, VR_PART_ID, "db_id"},
    [VR_EDIT_NEXT_FILE] = {4, VR_PART_NUMBER, "next_file"},
    [VR_EDIT_LAST_SEQUENCE] = {6, VR_PART_SEQUENCE, "last_sequence"},
    [VR_EDIT_WAL_FIRST] = {8, VR_PART_NUMBER, "wal_first"},
    [VR_EDIT_OPENED] = {10, 0, "opened"},
    [VR_EDIT_CLEAN] = {12, VR_PART_SEQUENCE, "clean"},
    [VR_EDIT_STORE_CREATE] = {14, VR_PART_STORE | VR_PART_NAME | VR_PART_OPTIONS, "store_create"},
    [VR_EDIT_STORE_DROP] = {16, VR_PART_STORE, "store_drop"},
    [VR_EDIT_STORE_FLUSHED] = {18, VR_PART_STORE | VR_PART_SEQUENCE, "store_flushed"},
    [VR_EDIT_STORE_POSITION] = {20, VR_PART_STORE | VR_PART_CONTENT, "store_position"},
    [VR_EDIT_TABLE_ADD] = {22, VR_PART_STORE | VR_PART_LEVEL | VR_PART_NUMBER | VR_PART_TABLE, "table_add"},
    [VR_EDIT_TABLE_REMOVE] = {24, VR_PART_STORE | VR_PART_LEVEL | VR_PART_NUMBER, "table_remove"},
    [VR_EDIT_FEED_SET] = {26, VR_PART_SEQUENCE | VR_PART_NAME, "feed_set"},
    [VR_EDIT_FEED_DROP] = {28, VR_PART_NAME, "feed_drop"},
    [VR_EDIT_NEXT_STORE] = {30, VR_PART_STORE, "next_store"},
};

/* --- Building ---------------------------------------------------------------------------------------------------------------- */

void vr_edit_init(vr_edit *edit, const vr_mem *mem) {
    *edit = (vr_edit){.mem = *mem};
}

void vr_edit_free(vr_edit *edit) {
    for (size_t i = 0; i < edit->key_count; i++) vr_free(&edit->mem, edit->keys[i]);
    vr_free(&edit->mem, edit->keys);
    vr_free(&edit->mem, edit->fields);
    vr_mem mem = edit->mem;
    vr_edit_init(edit, &mem);
}

vr_edit_field *vr_edit_add(vr_edit *edit, vr_edit_kind kind, varve_error *err) {
    VR_ASSERT((unsigned)kind < VR_EDIT_KIND_COUNT);
    if (edit->count == edit->capacity &&
        !vr_grow(&edit->mem, (void **)&edit->fields, &edit->capacity, edit->count + 1, sizeof *edit->fields)) {
        vr_error_nomem(err, (edit->count + 1) * sizeof *edit->fields, "an edit of the manifest");
        return NULL;
    }
    vr_edit_field *field = &edit->fields[edit->count++];
    *field = (vr_edit_field){.kind = kind};
    return field;
}

static char *keep_key(vr_edit *edit, const varve_buffer *key) {
    if (edit->key_count == edit->key_capacity &&
        !vr_grow(&edit->mem, (void **)&edit->keys, &edit->key_capacity, edit->key_count + 1, sizeof *edit->keys)) {
        return NULL;
    }
    char *copy = vr_alloc(&edit->mem, key->size);
    if (!copy) return NULL;
    if (key->size) memcpy(copy, key->data, key->size);
    edit->keys[edit->key_count++] = copy;
    return copy;
}

varve_status vr_edit_add_table(vr_edit *edit, uint32_t store_id, uint32_t level, uint64_t number, const vr_table_summary *summary,
                               varve_error *err) {
    char *min_key = keep_key(edit, &summary->min_key);
    char *max_key = min_key ? keep_key(edit, &summary->max_key) : NULL;
    if (!max_key) return vr_error_nomem(err, summary->min_key.size + summary->max_key.size, "an edit of the manifest");
    vr_edit_field *field = vr_edit_add(edit, VR_EDIT_TABLE_ADD, err);
    if (!field) return VARVE_NOMEM;
    field->store_id = store_id;
    field->level = level;
    field->number = number;
    field->table = *summary;
    field->table.min_key = (varve_buffer){.data = min_key, .size = summary->min_key.size};
    field->table.max_key = (varve_buffer){.data = max_key, .size = summary->max_key.size};
    return VARVE_OK;
}

varve_status vr_edit_remove_table(vr_edit *edit, uint32_t store_id, uint32_t level, uint64_t number, varve_error *err) {
    vr_edit_field *field = vr_edit_add(edit, VR_EDIT_TABLE_REMOVE, err);
    if (!field) return VARVE_NOMEM;
    field->store_id = store_id;
    field->level = level;
    field->number = number;
    return VARVE_OK;
}

/* --- Encoding ---------------------------------------------------------------------------------------------------------------- */

static bool put_number(varve_buffer *out, uint64_t value) {
    char bytes[VR_VARINT64_BYTES_MAX];
    return vr_buffer_append(out, bytes, (size_t)(vr_put_varint(bytes, value) - bytes));
}

static bool put_bytes(varve_buffer *out, const char *data, size_t size) {
    return put_number(out, size) && (size == 0 || vr_buffer_append(out, data, size));
}

static bool encode_options(varve_buffer *out, const varve_store_options *options) {
    return put_number(out, options->block_bytes) && put_number(out, (uint64_t)(options->compression_level + VR_COMPRESSION_BIAS)) &&
           put_number(out, options->filter_bits);
}

static bool encode_table(varve_buffer *out, const vr_table_summary *table) {
    char id[8];
    vr_put64(id, table->table_id);
    return vr_buffer_append(out, id, sizeof id) && put_number(out, table->file_bytes) && put_number(out, table->entries) &&
           put_number(out, table->tombstones) && put_number(out, table->raw_bytes) && put_number(out, table->min_sequence) &&
           put_number(out, table->max_sequence) && put_bytes(out, table->min_key.data, table->min_key.size) &&
           put_bytes(out, table->max_key.data, table->max_key.size);
}

static bool encode_content(varve_buffer *out, const vr_edit_field *field, unsigned parts) {
    return (!(parts & VR_PART_STORE) || put_number(out, field->store_id)) &&
           (!(parts & VR_PART_LEVEL) || put_number(out, field->level)) &&
           (!(parts & VR_PART_NUMBER) || put_number(out, field->number)) &&
           (!(parts & VR_PART_SEQUENCE) || put_number(out, field->sequence)) &&
           (!(parts & VR_PART_ID) || vr_buffer_append(out, field->id, sizeof field->id)) &&
           (!(parts & VR_PART_NAME) || put_bytes(out, field->name.data, field->name.size)) &&
           (!(parts & VR_PART_CONTENT) || put_bytes(out, field->content.data, field->content.size)) &&
           (!(parts & VR_PART_OPTIONS) || encode_options(out, &field->store_options)) &&
           (!(parts & VR_PART_TABLE) || encode_table(out, &field->table));
}

varve_status vr_edit_encode(const vr_edit *edit, varve_buffer *out, varve_error *err) {
    varve_buffer content = {0};
    size_t start = out->size;
    bool done = true;
    for (size_t i = 0; i < edit->count && done; i++) {
        const vr_edit_field *field = &edit->fields[i];
        const vr_edit_layout *layout = &vr_edit_layouts[field->kind];
        content.size = 0;
        done = encode_content(&content, field, layout->parts) && put_number(out, layout->tag) &&
               put_bytes(out, content.data, content.size);
    }
    varve_buffer_free(&content);
    if (done) return VARVE_OK;
    out->size = start;
    return vr_error_nomem(err, edit->count * sizeof *edit->fields, "the encoding of an edit");
}

/* --- Decoding ---------------------------------------------------------------------------------------------------------------- */

typedef struct decoder {
    varve_slice in;    /* of the current field's content */
    const char *start; /* of the edit */
    const char *file;
    uint64_t offset;   /* of the edit in file */
    const char *field; /* name of the current one */
    varve_status status;
    varve_error *err;
} decoder;

static void refuse(decoder *d, const char *at, const char *part, uint64_t found, uint64_t least, uint64_t most) {
    if (d->status != VARVE_OK) return;
    d->status = vr_error_set(d->err, VARVE_CORRUPTION,
                             "%s: offset %" PRIu64 ": %s of %s is %" PRIu64 ", allowed are %" PRIu64 " to %" PRIu64, d->file,
                             d->offset + (uint64_t)(at - d->start), part, d->field, found, least, most);
}

static void refuse_short(decoder *d, const char *part) {
    if (d->status != VARVE_OK) return;
    d->status = vr_error_set(d->err, VARVE_CORRUPTION,
                             "%s: offset %" PRIu64 ": %s of %s is cut off or no shortest-form number: %zu "
                             "bytes are left",
                             d->file, d->offset + (uint64_t)(d->in.data - d->start), part, d->field, d->in.size);
}

static uint64_t take_number(decoder *d, const char *part, uint64_t least, uint64_t most) {
    uint64_t value = 0;
    const char *at = d->in.data;
    if (d->status != VARVE_OK) return 0;
    if (!vr_take_varint(&d->in, UINT64_MAX, &value)) {
        refuse_short(d, part);
        return 0;
    }
    if (value >= least && value <= most) return value;
    refuse(d, at, part, value, least, most);
    return 0;
}

static varve_slice take_fixed(decoder *d, const char *part, size_t size) {
    varve_slice bytes = {0};
    if (d->status == VARVE_OK && !vr_take(&d->in, size, &bytes)) refuse_short(d, part);
    return bytes;
}

static varve_slice take_bytes(decoder *d, const char *part, size_t least, size_t most) {
    size_t size = take_number(d, part, least, most);
    return take_fixed(d, part, size);
}

static varve_slice take_name(decoder *d) {
    varve_slice name = take_bytes(d, "name", 1, VARVE_STORE_NAME_BYTES_MAX);
    const char *zero = name.size ? memchr(name.data, 0, name.size) : NULL;
    if (zero) refuse(d, zero, "a byte of the name", 0, 1, UINT8_MAX);
    return name;
}

static void take_options(decoder *d, varve_store_options *options) {
    options->size = sizeof *options;
    options->block_bytes = (uint32_t)take_number(d, "block_bytes", 1u << 10, 1u << 20);
    const char *at = d->in.data;
    uint64_t level = take_number(d, "compression_level", 0, VARVE_COMPRESSION_NONE + VR_COMPRESSION_BIAS);
    if (level > 19 + VR_COMPRESSION_BIAS && level != VARVE_COMPRESSION_NONE + VR_COMPRESSION_BIAS) {
        refuse(d, at, "compression_level", level, 0, 19 + VR_COMPRESSION_BIAS);
    }
    options->compression_level = (int32_t)level - VR_COMPRESSION_BIAS;
    at = d->in.data;
    options->filter_bits = (uint32_t)take_number(d, "filter_bits", 4, VARVE_FILTER_NONE);
    if (options->filter_bits > 20 && options->filter_bits != VARVE_FILTER_NONE) {
        refuse(d, at, "filter_bits", options->filter_bits, 4, 20);
    }
}

static void take_table(decoder *d, vr_table_summary *table) {
    const char *at = d->in.data;
    varve_slice id = take_fixed(d, "table_id", 8);
    if (d->status != VARVE_OK) return;
    table->table_id = vr_get64(id.data);
    if (table->table_id == 0) refuse(d, at, "table_id", 0, 1, UINT64_MAX);
    table->file_bytes = take_number(d, "file_bytes", 1, COUNT_MAX);
    table->entries = take_number(d, "entries", 1, COUNT_MAX);
    table->tombstones = take_number(d, "tombstones", 0, table->entries);
    table->raw_bytes = take_number(d, "raw_bytes", 0, COUNT_MAX);
    table->min_sequence = take_number(d, "min_sequence", 0, VR_SEQUENCE_MAX);
    table->max_sequence = take_number(d, "max_sequence", table->min_sequence, VR_SEQUENCE_MAX);
    varve_slice min_key = take_bytes(d, "min_key", 0, VARVE_KEY_BYTES_MAX);
    at = d->in.data;
    varve_slice max_key = take_bytes(d, "max_key", 0, VARVE_KEY_BYTES_MAX);
    if (d->status != VARVE_OK) return;
    if (vr_compare(min_key, max_key) > 0) {
        d->status = vr_error_set(d->err, VARVE_CORRUPTION, "%s: offset %" PRIu64 ": max_key of %s is below its min_key", d->file,
                                 d->offset + (uint64_t)(at - d->start), d->field);
    }
    table->min_key = (varve_buffer){.data = (char *)min_key.data, .size = min_key.size};
    table->max_key = (varve_buffer){.data = (char *)max_key.data, .size = max_key.size};
}

static uint64_t take_file_number(decoder *d, vr_edit_kind kind) {
    if (kind == VR_EDIT_NEXT_FILE) return take_number(d, "number", 1, VR_FILE_NUMBER_MAX);
    return take_number(d, "number", kind == VR_EDIT_WAL_FIRST ? 0 : 1, VR_FILE_NUMBER_MAX - 1);
}

static void take_content(decoder *d, vr_edit_field *field, unsigned parts) {
    if (parts & VR_PART_STORE) {
        field->store_id = (uint32_t)take_number(d, "store_id", 1, VR_STORE_ID_MAX + (field->kind == VR_EDIT_NEXT_STORE ? 1u : 0u));
    }
    if (parts & VR_PART_LEVEL) field->level = (uint32_t)take_number(d, "level", 0, VR_LEVELS - 1);
    if (parts & VR_PART_NUMBER) field->number = take_file_number(d, field->kind);
    if (parts & VR_PART_SEQUENCE) field->sequence = take_number(d, "sequence", 0, VR_SEQUENCE_MAX);
    if (parts & VR_PART_ID) {
        varve_slice id = take_fixed(d, "id", sizeof field->id);
        if (d->status == VARVE_OK) memcpy(field->id, id.data, sizeof field->id);
    }
    if (parts & VR_PART_NAME) field->name = take_name(d);
    if (parts & VR_PART_CONTENT) field->content = take_bytes(d, "content", 0, VARVE_POSITION_BYTES_MAX);
    if (parts & VR_PART_OPTIONS) take_options(d, &field->store_options);
    if (parts & VR_PART_TABLE) take_table(d, &field->table);
    if (d->status == VARVE_OK && d->in.size > 0) refuse(d, d->in.data, "the number of bytes after the last part", d->in.size, 0, 0);
}

static bool kind_of_tag(uint64_t tag, vr_edit_kind *kind) {
    for (unsigned i = 0; i < VR_EDIT_KIND_COUNT; i++) {
        if (vr_edit_layouts[i].tag != tag) continue;
        *kind = (vr_edit_kind)i;
        return true;
    }
    return false;
}

/* Takes the field at the front of *rest. */
static varve_status decode_field(decoder *d, varve_slice *rest, vr_edit *edit) {
    const char *at = rest->data;
    vr_edit_kind kind;
    d->field = "an edit's field";
    d->in = *rest;
    uint64_t tag = take_number(d, "tag", 0, UINT32_MAX);
    size_t size = take_number(d, "size", 0, VR_EDIT_BYTES_MAX);
    varve_slice content = take_fixed(d, "content", size);
    *rest = d->in;
    if (d->status != VARVE_OK) return d->status;
    if (!kind_of_tag(tag, &kind)) {
        if (tag & 1) return VARVE_OK;
        return vr_error_set(d->err, VARVE_UNSUPPORTED,
                            "%s: offset %" PRIu64 ": field with tag %" PRIu64
                            " was written by a newer version and must not be skipped",
                            d->file, d->offset + (uint64_t)(at - d->start), tag);
    }
    vr_edit_field *field = vr_edit_add(edit, kind, d->err);
    if (!field) return VARVE_NOMEM;
    d->field = vr_edit_layouts[kind].name;
    d->in = content;
    take_content(d, field, vr_edit_layouts[kind].parts);
    return d->status;
}

varve_status vr_edit_decode(varve_slice bytes, const char *file, uint64_t offset, vr_edit *edit, varve_error *err) {
    decoder d = {.start = bytes.data, .file = file, .offset = offset, .err = err};
    varve_slice rest = bytes;
    edit->count = 0;
    while (rest.size > 0) {
        varve_status status = decode_field(&d, &rest, edit);
        if (status != VARVE_OK) return status;
    }
    return VARVE_OK;
}
