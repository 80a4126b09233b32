/*
 * table/table_cursor.c - a cursor over a table, through the cache or sequentially; see kv/cursor.h for the contract.
 *
 * The entry's key is put together in a buffer: the bytes that a block's keys share are written when the block is entered, the
 * rest with each move. Values point into the block, which a cached cursor holds by a reference: it stays outside the
 * epoch between moves, so that a cursor that is kept for long does not hold up reclamation.
 */
#include "base/check.h"
#include "base/error.h"
#include "table/block_scan.h"
#include "table/open_table.h"
#include "table/table.h"

typedef struct table_cursor {
    vr_cursor base; /* first: the contract's part */
    vr_table *table;
    vr_table_access access;
    vr_scan scan;       /* VR_ACCESS_SEQUENTIAL */
    vr_cached *pinned;  /* VR_ACCESS_CACHED: the block of view, or NULL */
    vr_block_view view; /* of block, while base.valid */
    uint32_t block, at;
    char *key;
    size_t key_capacity;
} table_cursor;

static table_cursor *self(vr_cursor *cursor) {
    return (table_cursor *)cursor;
}

/* Past an end (VARVE_OK) or failed. */
static void stop(table_cursor *c, varve_status status) {
    c->base.valid = false;
    c->base.status = status;
    c->base.key = c->base.value = (varve_slice){0};
}

/* Shows entry at of the block. */
static inline void show(table_cursor *c, uint32_t at) {
    VR_ASSERT(at < c->view.count);
    c->at = at;
    c->base.key.size = vr_block_key_suffix(&c->view, at, c->key);
    c->base.trailer = vr_block_trailer(&c->view, at);
    c->base.value = vr_block_value(&c->view, at);
}

/* Has the next block fetched into the processor's cache while this one is read. Inside the epoch: the slot may be emptied. */
static void prefetch(const table_cursor *c, uint32_t i) {
    if (i >= c->table->file.blocks) return;
    /* Only its address is used: nothing is read through it. */
    const char *next = (const char *)atomic_load_explicit(&c->table->slots.slot[i], memory_order_relaxed);
    if (!next) return;
    for (size_t line = 0; line < 4; line++) __builtin_prefetch(next + 64 * line);
}

/* Pins block i in place of the one before. */
static varve_status pin_block(table_cursor *c, uint32_t i, vr_block_view *view) {
    vr_epoch *epoch = vr_cache_epoch(c->table->cache);
    varve_status st = VARVE_OK;
    uint32_t token = vr_epoch_enter(epoch);
    vr_cached *block = vr_slot_load(&c->table->slots.slot[i]);
    if (block) vr_cached_pin(block);
    prefetch(c, i + 1);
    vr_epoch_leave(epoch, token);
    if (block) {
        vr_cache_count(c->table->cache, true);
    } else {
        st = vr_table_load_block(c->table, i, true, &block, c->base.err);
    }
    if (st != VARVE_OK) return st;
    vr_cached_unpin(c->pinned);
    c->pinned = block;
    *view = vr_block_view_of(vr_cached_data(block));
    return VARVE_OK;
}

/* Makes block i the one of view. False: failed, and stopped. */
static bool enter(table_cursor *c, uint32_t i) {
    vr_block_view view;
    varve_status st = c->access == VR_ACCESS_CACHED ? pin_block(c, i, &view) : vr_scan_block(&c->scan, i, &view, NULL, c->base.err);
    if (st == VARVE_OK && !vr_grow(&c->table->file.env->mem, (void **)&c->key, &c->key_capacity, vr_block_key_room(&view), 1)) {
        st = vr_error_nomem(c->base.err, vr_block_key_room(&view), "a cursor's key");
    }
    if (st != VARVE_OK) {
        stop(c, st);
        return false;
    }
    c->view = view;
    c->block = i;
    vr_block_key_common(&view, c->key);
    c->base.key.data = c->key;
    c->base.valid = true;
    c->base.status = VARVE_OK;
    return true;
}

/* Goes to the first entry of block i, or stops at the end. */
static void first_of(table_cursor *c, uint32_t i) {
    if (i >= c->table->file.blocks) {
        stop(c, VARVE_OK);
    } else if (enter(c, i)) {
        show(c, 0);
    }
}

/* Goes to the last entry of the block before i, or stops at the front. */
static void last_before(table_cursor *c, uint32_t i) {
    if (i == 0) {
        stop(c, VARVE_OK);
    } else if (enter(c, i - 1)) {
        show(c, c->view.count - 1);
    }
}

static void cursor_first(vr_cursor *cursor) {
    first_of(self(cursor), 0);
}

static void cursor_last(vr_cursor *cursor) {
    last_before(self(cursor), self(cursor)->table->file.blocks);
}

static void cursor_seek(vr_cursor *cursor, varve_slice key, uint64_t trailer) {
    table_cursor *c = self(cursor);
    bool same;
    uint32_t i = vr_table_file_find(&c->table->file, key, trailer);
    if (i == c->table->file.blocks) {
        stop(c, VARVE_OK);
        return;
    }
    if (!enter(c, i)) return;
    uint32_t at = vr_block_seek(&c->view, key, trailer, &same);
    if (at < c->view.count) {
        show(c, at);
    } else {
        first_of(c, i + 1);
    }
}

static void cursor_seek_prev(vr_cursor *cursor, varve_slice key, uint64_t trailer) {
    table_cursor *c = self(cursor);
    bool same;
    uint32_t i = vr_table_file_find(&c->table->file, key, trailer);
    if (i == c->table->file.blocks) {
        last_before(c, i);
        return;
    }
    if (!enter(c, i)) return;
    uint32_t at = vr_block_seek(&c->view, key, trailer, &same);
    if (same && vr_block_trailer(&c->view, at) == trailer) {
        show(c, at);
    } else if (at > 0) {
        show(c, at - 1);
    } else {
        last_before(c, i);
    }
}

static void cursor_next(vr_cursor *cursor) {
    table_cursor *c = self(cursor);
    VR_ASSERT(cursor->valid);
    if (c->at + 1 < c->view.count) {
        show(c, c->at + 1);
    } else {
        first_of(c, c->block + 1);
    }
}

static void cursor_prev(vr_cursor *cursor) {
    table_cursor *c = self(cursor);
    VR_ASSERT(cursor->valid);
    if (c->at > 0) {
        show(c, c->at - 1);
    } else {
        last_before(c, c->block);
    }
}

static void cursor_close(vr_cursor *cursor) {
    table_cursor *c = self(cursor);
    const vr_mem *mem = &c->table->file.env->mem;
    vr_cached_unpin(c->pinned);
    vr_scan_close(&c->scan);
    vr_free(mem, c->key);
    vr_free(mem, c);
}

static const vr_cursor_ops table_cursor_ops = {.first = cursor_first,
                                               .last = cursor_last,
                                               .seek = cursor_seek,
                                               .seek_prev = cursor_seek_prev,
                                               .next = cursor_next,
                                               .prev = cursor_prev,
                                               .close = cursor_close};

varve_status vr_table_cursor(vr_table *table, vr_table_access access, vr_cursor **cursor, varve_error *err) {
    table_cursor *c = vr_zalloc(&table->file.env->mem, sizeof *c);
    if (!c) return vr_error_nomem(err, sizeof *c, "a cursor");
    c->base.ops = &table_cursor_ops;
    c->base.status = VARVE_OK;
    c->table = table;
    c->access = access;
    if (access == VR_ACCESS_SEQUENTIAL) vr_scan_init(&c->scan, &table->file, vr_cache_decompressors(table->cache));
    *cursor = &c->base;
    return VARVE_OK;
}
