/*
 * table/builder.c - see table/builder.h.
 *
 * Entries gather in a block writer until the next one would make the block larger than asked for. The block is then laid out right
 * behind what is still to be written (compressed: by way of raw), so that an uncompressed block is copied once. The index
 * entry of a block waits for the first key of the next one: the separator may then be shorter than the last key.
 *
 * Invariant: offset of the next frame = out_offset + out_used. After a failed call only abandon (or finish, which fails) follows.
 */
#include "table/builder.h"

#include "base/check.h"
#include "base/error.h"
#include "base/hash.h"
#include "kv/cursor.h"
#include "table/block_writer.h"
#include "table/compress.h"
#include "table/filter.h"
#include "table/footer.h"
#include "table/properties.h"
#include "table/table_file.h"

/* How much is written at once. */
#define OUT_BYTES (256u << 10)

/* A separator is made only when it saves so many bytes: it costs its own length and the keys' common one. */
#define SEPARATOR_SAVES 16u

struct vr_table_builder {
    const vr_env *env;
    vr_budget *budget;
    char *path;
    vr_file *file;
    vr_properties properties; /* the summary under way */
    vr_block_writer data, index;
    vr_compressor compressor;
    char *out; /* finished frames that are not written yet */
    size_t out_used, out_capacity;
    uint64_t out_offset; /* where out[0] belongs in the file */
    char *raw;           /* the block being compressed */
    size_t raw_capacity;
    varve_buffer last_key; /* of the block before; its index entry is due while pending */
    uint64_t last_trailer;
    vr_extent last_block;
    bool pending;
    uint64_t *hashes; /* of distinct keys, for the filter */
    size_t hash_count, hash_capacity;
    uint64_t keys_total; /* distinct keys */
    uint64_t charged;    /* to the budget, as VR_USE_WORK */
};

static void release(vr_table_builder *b) {
    const vr_mem *mem = &b->env->mem;
    if (b->file) (void)vr_file_close(b->file, NULL);
    vr_table_summary_free(&b->properties.summary);
    vr_block_writer_free(&b->data);
    vr_block_writer_free(&b->index);
    vr_compressor_free(&b->compressor);
    varve_buffer_free(&b->last_key);
    vr_free(mem, b->out);
    vr_free(mem, b->raw);
    vr_free(mem, b->hashes);
    vr_free(mem, b->path);
    vr_budget_release(b->budget, VR_USE_WORK, b->charged);
    vr_free(mem, b);
}

void vr_table_builder_abandon(vr_table_builder *builder) {
    if (!builder) return;
    const vr_env *env = builder->env;
    char *path = builder->path;
    bool created = builder->file != NULL;
    builder->path = NULL;
    release(builder);
    if (created) (void)vr_fs_remove(env->fs, path, NULL); /* a file that stays is named by no manifest */
    vr_free(&env->mem, path);
}

/* Brings what is charged to what is held. */
static void recharge(vr_table_builder *b) {
    uint64_t held = vr_block_writer_held(&b->data) + vr_block_writer_held(&b->index) + vr_compressor_bytes(&b->compressor) +
                    b->out_capacity + b->raw_capacity + b->hash_capacity * sizeof *b->hashes;
    if (held > b->charged) vr_budget_charge(b->budget, VR_USE_WORK, held - b->charged);
    if (held < b->charged) vr_budget_release(b->budget, VR_USE_WORK, b->charged - held);
    b->charged = held;
}

static bool options_valid(const vr_table_builder_options *o) {
    return o->block_bytes >= VR_BLOCK_BYTES_MIN && o->block_bytes <= VR_BLOCK_BYTES_MAX &&
           (o->filter_bits == VARVE_FILTER_NONE || (o->filter_bits >= 1 && o->filter_bits <= 64));
}

varve_status vr_table_builder_create(const vr_env *env, vr_budget *budget, const char *path,
                                     const vr_table_builder_options *options, vr_table_builder **builder, varve_error *err) {
    VR_ASSERT(options_valid(options));
    vr_table_builder *b = vr_zalloc(&env->mem, sizeof *b);
    if (!b) return vr_error_nomem(err, sizeof *b, "a table builder");
    b->env = env;
    b->budget = budget;
    b->properties.block_bytes = options->block_bytes;
    b->properties.compression_level = options->compression_level;
    b->properties.filter_bits = options->filter_bits;
    b->properties.summary.min_sequence = VR_SEQUENCE_MAX;
    vr_block_writer_init(&b->data, &env->mem);
    vr_block_writer_init(&b->index, &env->mem);
    while (b->properties.summary.table_id == 0) {
        env->random_bytes(env->context, &b->properties.summary.table_id, sizeof b->properties.summary.table_id);
    }
    varve_status st = VARVE_OK;
    b->path = vr_strdup(&env->mem, path);
    if (!b->path) st = vr_error_nomem(err, strlen(path) + 1, "a table's path");
    if (st == VARVE_OK && options->filter_bits != VARVE_FILTER_NONE && options->keys_expected > 0 &&
        !vr_grow(&env->mem, (void **)&b->hashes, &b->hash_capacity, options->keys_expected, sizeof *b->hashes)) {
        st = vr_error_nomem(err, options->keys_expected * sizeof *b->hashes, "a filter's hashes");
    }
    if (st == VARVE_OK) st = vr_fs_open(env->fs, path, VR_OPEN_WRITE | VR_OPEN_CREATE | VR_OPEN_EXCLUSIVE, &b->file, err);
    if (st != VARVE_OK) {
        vr_table_builder_abandon(b);
        return st;
    }
    *builder = b;
    return VARVE_OK;
}

uint64_t vr_table_builder_bytes(const vr_table_builder *builder) {
    return builder->out_offset + builder->out_used;
}

uint64_t vr_table_builder_entries(const vr_table_builder *builder) {
    return builder->properties.summary.entries;
}

static varve_status write_out(vr_table_builder *b, varve_error *err) {
    if (b->out_used == 0) return VARVE_OK;
    varve_status st = vr_file_pwrite(b->file, b->out, b->out_used, b->out_offset, err);
    if (st != VARVE_OK) return st;
    b->out_offset += b->out_used;
    b->out_used = 0;
    return VARVE_OK;
}

/* Makes room for size bytes behind what is to be written, writing that first when it does not fit. */
static varve_status reserve_out(vr_table_builder *b, size_t size, varve_error *err) {
    if (size <= b->out_capacity - b->out_used) return VARVE_OK;
    varve_status st = write_out(b, err);
    if (st != VARVE_OK) return st;
    size_t wanted = size > OUT_BYTES ? size : OUT_BYTES;
    if (b->out_capacity >= size && b->out_capacity <= wanted) return VARVE_OK;
    vr_free(&b->env->mem, b->out); /* nothing in it is needed any more; what one large entry took is given back */
    b->out_capacity = 0;
    b->out = vr_alloc(&b->env->mem, wanted);
    if (!b->out) return vr_error_nomem(err, wanted, "writing a table");
    b->out_capacity = wanted;
    return VARVE_OK;
}

static bool compresses(const vr_table_builder *b) {
    return b->properties.compression_level != VARVE_COMPRESSION_NONE;
}

/* Seals the frame whose stored bytes stand behind the header's place at the end of out, and counts it as to be written. */
static vr_extent seal(vr_table_builder *b, vr_frame_kind kind, size_t raw, size_t stored) {
    const vr_frame frame = {.codec = stored < raw ? VR_CODEC_ZSTD : VR_CODEC_RAW,
                            .kind = kind,
                            .raw_bytes = (uint32_t)raw,
                            .stored_bytes = (uint32_t)stored};
    vr_extent extent = {.offset = vr_table_builder_bytes(b), .size = VR_FRAME_HEADER_BYTES + stored};
    const vr_place place = {.path = b->path, .table_id = b->properties.summary.table_id, .offset = extent.offset};
    vr_frame_seal(b->out + b->out_used, &frame, &place);
    b->out_used += extent.size;
    VR_ASSERT(b->out_used <= b->out_capacity);
    return extent;
}

static varve_status reserve_raw(vr_table_builder *b, size_t size, varve_error *err) {
    if (size <= b->raw_capacity) return VARVE_OK;
    vr_free(&b->env->mem, b->raw);
    b->raw_capacity = 0;
    b->raw = vr_alloc(&b->env->mem, size);
    if (!b->raw) return vr_error_nomem(err, size, "compressing a table's block");
    b->raw_capacity = size;
    return VARVE_OK;
}

/* Lays a block out and appends it as a frame. */
static varve_status put_block(vr_table_builder *b, const vr_block_writer *writer, vr_frame_kind kind, vr_extent *extent,
                              varve_error *err) {
    uint64_t bytes = vr_block_writer_bytes(writer);
    if (kind == VR_FRAME_INDEX && bytes > VR_TABLE_META_BYTES_MAX) {
        return vr_error_set(err, VARVE_TOO_LARGE, "%s: the index takes %zu bytes, at most %zu are allowed", b->path, (size_t)bytes,
                            (size_t)VR_TABLE_META_BYTES_MAX);
    }
    VR_ASSERT(kind != VR_FRAME_DATA || bytes <= vr_block_bytes_max(b->properties.block_bytes));
    size_t raw = (size_t)bytes, room = compresses(b) ? vr_compress_bound(raw) : raw, stored = 0;
    if (room < raw) room = raw;
    varve_status st = reserve_out(b, VR_FRAME_HEADER_BYTES + room + 8, err);
    if (st != VARVE_OK) return st;
    char *at = b->out + b->out_used + VR_FRAME_HEADER_BYTES;
    if (compresses(b)) {
        st = reserve_raw(b, raw + 8, err);
        if (st != VARVE_OK) return st;
        vr_block_writer_finish(writer, b->raw, (uint32_t)raw);
        st = vr_compress(&b->compressor, b->properties.compression_level, varve_bytes(b->raw, raw), at, room, &stored, err);
        if (st != VARVE_OK) return st;
        if (stored == 0) memcpy(at, b->raw, raw);
    } else {
        vr_block_writer_finish(writer, at, (uint32_t)raw);
    }
    *extent = seal(b, kind, raw, stored ? stored : raw);
    recharge(b);
    return VARVE_OK;
}

/* Appends raw bytes as a frame. */
static varve_status put_raw(vr_table_builder *b, varve_slice raw, vr_frame_kind kind, vr_extent *extent, varve_error *err) {
    varve_status st = reserve_out(b, VR_FRAME_HEADER_BYTES + raw.size, err);
    if (st != VARVE_OK) return st;
    memcpy(b->out + b->out_used + VR_FRAME_HEADER_BYTES, raw.data, raw.size);
    *extent = seal(b, kind, raw.size, raw.size);
    return VARVE_OK;
}

/* Adds the index entry of the block before. next is the first key after it, NULL at the end. */
static varve_status add_index_entry(vr_table_builder *b, const varve_slice *next, varve_error *err) {
    char value[2 * VR_VARINT64_BYTES_MAX];
    char *end = vr_put_varint(vr_put_varint(value, b->last_block.offset), b->last_block.size);
    varve_slice key = varve_buffer_slice(&b->last_key);
    uint64_t trailer = 0; /* after all versions of key, which are all in the block */
    if (next && vr_equal(key, *next)) {
        trailer = b->last_trailer;
    } else if (next) {
        size_t size = vr_common_prefix(key, *next) + 1;
        /* The next key cut behind the first byte that differs: above the last key, and below the next one while shorter. */
        if (size < next->size && size + SEPARATOR_SAVES <= key.size) key = varve_bytes(next->data, size);
    }
    if (vr_block_writer_held(&b->index) > VR_TABLE_META_BYTES_MAX * 2) {
        return vr_error_set(err, VARVE_TOO_LARGE, "%s: the index of %zu bytes of data is beyond %zu bytes", b->path,
                            (size_t)vr_table_builder_bytes(b), (size_t)VR_TABLE_META_BYTES_MAX);
    }
    if (!vr_block_writer_add(&b->index, key, trailer, varve_bytes(value, (size_t)(end - value)))) {
        return vr_error_nomem(err, key.size, "a table's index");
    }
    b->pending = false;
    return VARVE_OK;
}

/* Ends the block under way. */
static varve_status end_block(vr_table_builder *b, varve_error *err) {
    VR_ASSERT(!b->pending && b->data.count > 0);
    varve_slice key = vr_block_writer_last_key(&b->data);
    if (!vr_buffer_set(&b->last_key, key)) return vr_error_nomem(err, key.size, "a table's last key");
    b->last_trailer = vr_block_writer_last_trailer(&b->data);
    varve_status st = put_block(b, &b->data, VR_FRAME_DATA, &b->last_block, err);
    if (st != VARVE_OK) return st;
    vr_block_writer_clear(&b->data);
    b->pending = true;
    return VARVE_OK;
}

static void count_entry(vr_table_summary *s, varve_slice key, uint64_t trailer, varve_slice value) {
    uint64_t sequence = vr_trailer_sequence(trailer);
    s->entries++;
    s->tombstones += vr_trailer_kind(trailer) == VR_KIND_DELETE;
    s->raw_bytes += key.size + value.size;
    if (sequence < s->min_sequence) s->min_sequence = sequence;
    if (sequence > s->max_sequence) s->max_sequence = sequence;
}

/* Notes a key that differs from the one before. */
static varve_status add_distinct(vr_table_builder *b, varve_slice key, varve_error *err) {
    b->keys_total++;
    if (b->properties.filter_bits == VARVE_FILTER_NONE) return VARVE_OK;
    if (b->hash_count == b->hash_capacity &&
        !vr_grow(&b->env->mem, (void **)&b->hashes, &b->hash_capacity, b->hash_count + 1, sizeof *b->hashes)) {
        return vr_error_nomem(err, (b->hash_count + 1) * sizeof *b->hashes, "a filter's hashes");
    }
    b->hashes[b->hash_count++] = vr_key_hash(key);
    return VARVE_OK;
}

varve_status vr_table_builder_add(vr_table_builder *builder, varve_slice key, uint64_t trailer, varve_slice value,
                                  varve_error *err) {
    vr_table_builder *b = builder;
    VR_ASSERT(vr_trailer_kind(trailer) == VR_KIND_PUT || vr_trailer_kind(trailer) == VR_KIND_DELETE);
    if (key.size > VARVE_KEY_BYTES_MAX || value.size > VARVE_VALUE_BYTES_MAX) {
        return vr_error_set(err, VARVE_TOO_LARGE, "key of %zu bytes with value of %zu bytes, at most %u and %u are allowed",
                            key.size, value.size, VARVE_KEY_BYTES_MAX, VARVE_VALUE_BYTES_MAX);
    }
    varve_status st = VARVE_OK;
    bool distinct = true;
    if (b->data.count > 0) {
        varve_slice before = vr_block_writer_last_key(&b->data);
        VR_ASSERT(vr_entry_compare(before, vr_block_writer_last_trailer(&b->data), key, trailer) < 0);
        distinct = !vr_equal(before, key);
        if (vr_block_writer_bytes_with(&b->data, key, trailer, value) > b->properties.block_bytes) st = end_block(b, err);
    } else if (!vr_buffer_set(&b->properties.summary.min_key, key)) { /* the first entry: a block never stays empty */
        return vr_error_nomem(err, key.size, "a table's first key");
    }
    if (st == VARVE_OK && b->pending) st = add_index_entry(b, &key, err);
    if (st == VARVE_OK && distinct) st = add_distinct(b, key, err);
    if (st == VARVE_OK && !vr_block_writer_add(&b->data, key, trailer, value)) {
        st = vr_error_nomem(err, key.size + value.size, "a table's block");
    }
    if (st == VARVE_OK) count_entry(&b->properties.summary, key, trailer, value);
    return st;
}

static varve_status put_filter(vr_table_builder *b, vr_extent *extent, varve_error *err) {
    uint32_t bits = b->properties.filter_bits;
    if (bits == VARVE_FILTER_NONE) return VARVE_OK;
    size_t size = vr_filter_bytes(b->keys_total, bits);
    varve_status st = reserve_out(b, VR_FRAME_HEADER_BYTES + size, err);
    if (st != VARVE_OK) return st;
    vr_filter_build(b->out + b->out_used + VR_FRAME_HEADER_BYTES, b->hashes, b->keys_total, bits);
    *extent = seal(b, VR_FRAME_FILTER, size, size);
    return VARVE_OK;
}

static varve_status put_properties(vr_table_builder *b, vr_extent *extent, varve_error *err) {
    varve_buffer bytes = {0};
    varve_status st = VARVE_OK;
    if (!vr_properties_encode(&b->properties, &bytes)) st = vr_error_nomem(err, 0, "a table's properties");
    if (st == VARVE_OK) st = put_raw(b, varve_buffer_slice(&bytes), VR_FRAME_PROPERTIES, extent, err);
    varve_buffer_free(&bytes);
    return st;
}

/* Everything behind the data frames. */
static varve_status put_rest(vr_table_builder *b, varve_error *err) {
    vr_table_summary *s = &b->properties.summary;
    vr_footer footer = {.table_id = s->table_id, .entries = s->entries, .blocks = b->index.count};
    varve_status st = put_filter(b, &footer.filter, err);
    if (st == VARVE_OK) st = put_block(b, &b->index, VR_FRAME_INDEX, &footer.index, err);
    if (st == VARVE_OK) st = put_properties(b, &footer.properties, err);
    if (st == VARVE_OK) st = reserve_out(b, VR_TABLE_FOOTER_BYTES, err);
    if (st != VARVE_OK) return st;
    footer.file_bytes = s->file_bytes = vr_table_builder_bytes(b) + VR_TABLE_FOOTER_BYTES;
    vr_footer_encode(b->out + b->out_used, &footer);
    b->out_used += VR_TABLE_FOOTER_BYTES;
    st = write_out(b, err);
    if (st == VARVE_OK) st = vr_file_sync(b->file, err);
    return st;
}

varve_status vr_table_builder_finish(vr_table_builder *builder, vr_table_summary *summary, varve_error *err) {
    vr_table_builder *b = builder;
    VR_ASSERT(b->properties.summary.entries > 0);
    varve_status st = b->data.count > 0 ? end_block(b, err) : VARVE_OK;
    if (st == VARVE_OK) {
        varve_slice last = varve_buffer_slice(&b->last_key);
        if (!vr_buffer_set(&b->properties.summary.max_key, last)) st = vr_error_nomem(err, last.size, "a table's last key");
    }
    if (st == VARVE_OK) st = add_index_entry(b, NULL, err);
    if (st == VARVE_OK) st = put_rest(b, err);
    if (st == VARVE_OK) {
        vr_file *file = b->file;
        st = vr_file_close(file, err);
        if (st != VARVE_OK) (void)vr_fs_remove(b->env->fs, b->path, NULL);
        b->file = NULL; /* closed in any case */
    }
    if (st != VARVE_OK) {
        vr_table_builder_abandon(b);
        return st;
    }
    *summary = b->properties.summary;
    b->properties.summary = (vr_table_summary){0}; /* the caller's now */
    release(b);
    return VARVE_OK;
}
