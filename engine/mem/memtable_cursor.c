/*
 * mem/memtable_cursor.c - a cursor over a memtable's linked entries.
 *
 * The list leads forward only. A step back to the node before therefore searches for a node some way back, walks
 * forward to here, and keeps the nodes it passed: they serve the steps that follow, so that a step back costs little
 * more than one forward.
 *
 * Thread rule: a cursor is one thread's; the memtable's rule lets it run beside the writer. Nodes linked between kept
 * ones meanwhile are not seen; their sequences are above those of a reader that had everything linked before it began.
 * Invariants while valid: version is one of node's; the kept nodes sort before node, ascending.
 */
#include "base/check.h"
#include "base/error.h"
#include "base/hash.h"
#include "mem/ahead.h"
#include "mem/memtable_parts.h"

#define KEPT_MAX 64u
/* Nodes to begin from are 4^2 apart. */
#define BACK_LEVEL 2u

typedef struct memtable_cursor {
    vr_cursor cursor;
    vr_memtable *mt;
    const char *base;
    uint32_t node;
    uint32_t version;
    uint32_t kept_count;
    uint32_t kept[KEPT_MAX];
    vr_ahead ahead;
} memtable_cursor;

static memtable_cursor *self(vr_cursor *cursor) {
    return (memtable_cursor *)cursor;
}

static void settle(memtable_cursor *it, uint32_t node, uint32_t version) {
    it->cursor.valid = node != 0;
    if (node == 0) return;
    const vr_version *entry = vr_version_at(it->base, version);
    it->node = node;
    it->version = version;
    it->cursor.key = vr_node_key(vr_node_at(it->base, node));
    it->cursor.trailer = entry->trailer;
    it->cursor.value = vr_version_value(entry);
}

/* To the first entry of node (the newest version); past the end where node is 0. */
static void settle_first(memtable_cursor *it, uint32_t node) {
    settle(it, node, node ? vr_node_newest(it->base, node) : 0);
    if (node) vr_ahead_ask(&it->ahead, &it->mt->list, node);
}

/* The cursor goes elsewhere. */
static void forget(memtable_cursor *it) {
    it->kept_count = 0;
    vr_ahead_reset(&it->ahead);
}

/* The version before version in cursor order (the next newer one), or 0. */
static uint32_t newer_version(const memtable_cursor *it, uint32_t node, uint32_t version) {
    uint32_t newer = 0;
    uint32_t at = vr_node_newest(it->base, node);
    for (; at != version; at = vr_version_at(it->base, at)->older) newer = at;
    return newer;
}

/* To the last entry of node (the oldest version); before the beginning where node is 0. */
static void settle_last(memtable_cursor *it, uint32_t node) {
    settle(it, node, node ? newer_version(it, node, 0) : 0);
}

/* Walks forward from a node below key and keeps the last KEPT_MAX nodes that are below it; below all keys where key is
 * NULL. */
static void keep_from(memtable_cursor *it, uint32_t from, const varve_slice *key) {
    const vr_skiplist *list = &it->mt->list;
    uint32_t count = 0;
    uint32_t at = from == list->head ? vr_skiplist_next(list, from) : from;
    while (at != 0 && (!key || vr_compare(vr_node_key(vr_node_at(it->base, at)), *key) < 0)) {
        if (count == KEPT_MAX) {
            memmove(it->kept, it->kept + KEPT_MAX / 2, KEPT_MAX / 2 * sizeof *it->kept);
            count = KEPT_MAX / 2;
        }
        it->kept[count++] = at;
        at = vr_skiplist_next(list, at);
    }
    it->kept_count = count;
}

/* The last node below key (of all where key is NULL), or 0; keeps those before it. */
static uint32_t node_before(memtable_cursor *it, const varve_slice *key) {
    if (it->kept_count == 0) keep_from(it, vr_skiplist_before(&it->mt->list, key, BACK_LEVEL), key);
    if (it->kept_count == 0) return 0;
    uint32_t node = it->kept[--it->kept_count];
    if (it->kept_count > 0) {
        const char *ahead = vr_mem_at(it->base, it->kept[it->kept_count - 1]);
        __builtin_prefetch(ahead);
        __builtin_prefetch(ahead + 64);
    }
    return node;
}

/* The first linked node at or after key. If the key is there, the index finds it in a tenth of the time of a search. */
static uint32_t seek_node(const memtable_cursor *it, varve_slice key) {
    uint32_t node = vr_keyindex_find(&it->mt->index, it->base, key, (uint32_t)vr_key_hash(key));
    return node != 0 && vr_skiplist_has(&it->mt->list, node) ? node : vr_skiplist_seek(&it->mt->list, key);
}

static void cursor_first(vr_cursor *cursor) {
    memtable_cursor *it = self(cursor);
    forget(it);
    settle_first(it, vr_skiplist_next(&it->mt->list, it->mt->list.head));
}

static void cursor_last(vr_cursor *cursor) {
    memtable_cursor *it = self(cursor);
    forget(it);
    settle_last(it, node_before(it, NULL));
}

static void cursor_seek(vr_cursor *cursor, varve_slice key, uint64_t trailer) {
    memtable_cursor *it = self(cursor);
    forget(it);
    uint32_t node = seek_node(it, key);
    if (node == 0 || !vr_equal(vr_node_key(vr_node_at(it->base, node)), key)) {
        settle_first(it, node);
        return;
    }
    uint32_t version = vr_node_newest(it->base, node);
    while (version != 0 && vr_version_at(it->base, version)->trailer > trailer) {
        version = vr_version_at(it->base, version)->older;
    }
    if (version == 0) {
        settle_first(it, vr_skiplist_next(&it->mt->list, node));
    } else {
        settle(it, node, version);
        vr_ahead_ask(&it->ahead, &it->mt->list, node);
    }
}

static void cursor_seek_prev(vr_cursor *cursor, varve_slice key, uint64_t trailer) {
    memtable_cursor *it = self(cursor);
    forget(it);
    uint32_t node = seek_node(it, key);
    if (node != 0 && vr_equal(vr_node_key(vr_node_at(it->base, node)), key)) {
        uint32_t found = 0;
        for (uint32_t at = vr_node_newest(it->base, node); at != 0 && vr_version_at(it->base, at)->trailer >= trailer;
             at = vr_version_at(it->base, at)->older) {
            found = at;
        }
        if (found != 0) {
            settle(it, node, found);
            return;
        }
    }
    settle_last(it, node_before(it, &key));
}

static void cursor_next(vr_cursor *cursor) {
    memtable_cursor *it = self(cursor);
    VR_ASSERT(cursor->valid);
    it->kept_count = 0;
    uint32_t older = vr_version_at(it->base, it->version)->older;
    if (older != 0) {
        settle(it, it->node, older);
    } else {
        settle_first(it, vr_ahead_next(&it->ahead, &it->mt->list, it->node));
    }
}

static void cursor_prev(vr_cursor *cursor) {
    memtable_cursor *it = self(cursor);
    VR_ASSERT(cursor->valid);
    vr_ahead_reset(&it->ahead);
    uint32_t newer = newer_version(it, it->node, it->version);
    if (newer != 0) {
        settle(it, it->node, newer);
    } else {
        settle_last(it, node_before(it, &cursor->key));
    }
}

static void cursor_close(vr_cursor *cursor) {
    memtable_cursor *it = self(cursor);
    vr_memtable *mt = it->mt;
    vr_free(&mt->env->mem, it);
    vr_memtable_unref(mt);
}

static const vr_cursor_ops memtable_cursor_ops = {
    .first = cursor_first,
    .last = cursor_last,
    .seek = cursor_seek,
    .seek_prev = cursor_seek_prev,
    .next = cursor_next,
    .prev = cursor_prev,
    .close = cursor_close,
};

varve_status vr_memtable_cursor(vr_memtable *mt, vr_cursor **cursor, varve_error *err) {
    memtable_cursor *it = vr_zalloc(&mt->env->mem, sizeof *it);
    if (!it) return vr_error_nomem(err, sizeof *it, "a memtable's cursor");
    it->cursor.ops = &memtable_cursor_ops;
    it->mt = mt;
    it->base = mt->arena.base;
    vr_ahead_reset(&it->ahead);
    vr_memtable_ref(mt);
    *cursor = &it->cursor;
    return VARVE_OK;
}
