/*
 * kv/merge.c - one cursor over several, each of which is sorted.
 *
 * The children that are valid stand in an array sorted by their current entry, the nearest in the direction of travel first. A step
 * advances the first child and compares it with the second: as long as one run dominates (the usual case: one large run and a few
 * small ones) that is the only comparison, which a heap or a tree of losers cannot do. Otherwise the child is moved back by
 * insertion. Eight bytes of each child's key stand beside it in the array, so that most comparisons touch no key.
 *
 * A change of direction seeks every child but the first to the current entry: they stand on the far side of it, or past an end.
 *
 * Invariants between calls, while valid: live[0 .. live_count) are valid and strictly sorted; the merge's entry is live[0]'s; every
 * other child is past the end in the direction of travel. Threads: one at a time, as for every cursor.
 */
#include "kv/merge.h"

#include "base/bytes.h"
#include "base/check.h"
#include "base/error.h"

typedef struct source {
    uint64_t prefix; /* vr_key_prefix() of the cursor's key */
    vr_cursor *cursor;
} source;

typedef struct merge {
    vr_cursor base; /* must be first: the merge is used through it */
    vr_mem mem;
    bool backward;
    size_t live_count;
    size_t count;
    vr_cursor **children; /* all, in the order they were given */
    source *live;
} merge;

/* Whether a comes before b in the direction of travel. */
static inline bool comes_before(const source *a, const source *b, bool backward) {
    if (a->prefix != b->prefix) return (a->prefix < b->prefix) != backward;
    const vr_cursor *x = a->cursor, *y = b->cursor;
    int order = vr_entry_compare(x->key, x->trailer, y->key, y->trailer);
    return backward ? order > 0 : order < 0;
}

/* Moves live[at], the only one out of order, towards the end to its place. */
static void sift_back(merge *m, size_t at) {
    source moving = m->live[at];
    while (at + 1 < m->live_count && !comes_before(&moving, &m->live[at + 1], m->backward)) {
        m->live[at] = m->live[at + 1];
        at++;
    }
    m->live[at] = moving;
}

static void fail(merge *m, const vr_cursor *child) {
    m->base.valid = false;
    m->base.status = child->status;
    if (child->err && child->err != m->base.err) vr_error_copy(m->base.err, child->err);
}

/* Makes the first child's entry the merge's. */
static inline void show_first(merge *m) {
    if (m->live_count == 0) {
        m->base.valid = false;
        return;
    }
    const vr_cursor *top = m->live[0].cursor;
    m->base.key = top->key;
    m->base.trailer = top->trailer;
    m->base.value = top->value;
    m->base.valid = true;
}

/* Puts the first child, which has just moved, where it belongs. */
static inline void settle_first(merge *m) {
    vr_cursor *top = m->live[0].cursor;
    if (top->valid) {
        m->live[0].prefix = vr_key_prefix(top->key.data, top->key.size);
        if (m->live_count > 1 && !comes_before(&m->live[0], &m->live[1], m->backward)) sift_back(m, 0);
    } else if (top->status != VARVE_OK) {
        fail(m, top);
        return;
    } else {
        m->live_count--;
        memmove(m->live, m->live + 1, m->live_count * sizeof *m->live);
    }
    show_first(m);
}

/* Collects and sorts the children after all of them were placed. Insertion sort: they are few. */
static void gather(merge *m, bool backward) {
    m->backward = backward;
    m->live_count = 0;
    m->base.status = VARVE_OK;
    for (size_t i = m->count; i-- > 0;) {
        vr_cursor *child = m->children[i];
        if (child->status != VARVE_OK) {
            fail(m, child);
            return;
        }
        if (!child->valid) continue;
        m->live_count++;
        memmove(m->live + 1, m->live, (m->live_count - 1) * sizeof *m->live);
        m->live[0] = (source){vr_key_prefix(child->key.data, child->key.size), child};
        sift_back(m, 0);
    }
    show_first(m);
}

/* Places every child but the first on the other side of the current entry, moves the first, and goes on in the other direction. */
static void turn(merge *m, bool backward) {
    vr_cursor *top = m->live[0].cursor;
    for (size_t i = 0; i < m->count; i++) {
        vr_cursor *child = m->children[i];
        if (child == top) continue;
        if (backward) {
            child->ops->seek_prev(child, top->key, top->trailer);
        } else {
            child->ops->seek(child, top->key, top->trailer);
        }
    }
    if (backward) {
        top->ops->prev(top);
    } else {
        top->ops->next(top);
    }
    gather(m, backward);
}

static void merge_next(vr_cursor *cursor) {
    merge *m = (merge *)cursor;
    VR_ASSERT(cursor->valid);
    if (m->backward) {
        turn(m, false);
        return;
    }
    vr_cursor *top = m->live[0].cursor;
    top->ops->next(top);
    settle_first(m);
}

static void merge_prev(vr_cursor *cursor) {
    merge *m = (merge *)cursor;
    VR_ASSERT(cursor->valid);
    if (!m->backward) {
        turn(m, true);
        return;
    }
    vr_cursor *top = m->live[0].cursor;
    top->ops->prev(top);
    settle_first(m);
}

static void merge_first(vr_cursor *cursor) {
    merge *m = (merge *)cursor;
    for (size_t i = 0; i < m->count; i++) m->children[i]->ops->first(m->children[i]);
    gather(m, false);
}

static void merge_last(vr_cursor *cursor) {
    merge *m = (merge *)cursor;
    for (size_t i = 0; i < m->count; i++) m->children[i]->ops->last(m->children[i]);
    gather(m, true);
}

static void merge_seek(vr_cursor *cursor, varve_slice key, uint64_t trailer) {
    merge *m = (merge *)cursor;
    for (size_t i = 0; i < m->count; i++) m->children[i]->ops->seek(m->children[i], key, trailer);
    gather(m, false);
}

static void merge_seek_prev(vr_cursor *cursor, varve_slice key, uint64_t trailer) {
    merge *m = (merge *)cursor;
    for (size_t i = 0; i < m->count; i++) m->children[i]->ops->seek_prev(m->children[i], key, trailer);
    gather(m, true);
}

static void close_all(vr_cursor **cursors, size_t count) {
    for (size_t i = 0; i < count; i++) cursors[i]->ops->close(cursors[i]);
}

static void merge_close(vr_cursor *cursor) {
    merge *m = (merge *)cursor;
    vr_mem mem = m->mem;
    close_all(m->children, m->count);
    vr_free(&mem, m);
}

static const vr_cursor_ops merge_ops = {
    .first = merge_first,
    .last = merge_last,
    .seek = merge_seek,
    .seek_prev = merge_seek_prev,
    .next = merge_next,
    .prev = merge_prev,
    .close = merge_close,
};

varve_status vr_merge_open(const vr_mem *mem, vr_cursor **cursors, size_t count, varve_error *cursor_err, vr_cursor **merged,
                           varve_error *err) {
    if (count == 1) {
        *merged = cursors[0];
        return VARVE_OK;
    }
    size_t bytes = sizeof(merge) + count * (sizeof(source) + sizeof(vr_cursor *)); /* in one piece */
    merge *m = vr_zalloc(mem, bytes);
    if (!m) {
        close_all(cursors, count);
        return vr_error_nomem(err, bytes, "a merging cursor");
    }
    m->base.ops = &merge_ops;
    m->base.err = cursor_err;
    m->mem = *mem;
    m->count = count;
    m->live = (source *)(m + 1);
    m->children = (vr_cursor **)(m->live + count);
    if (count) memcpy(m->children, cursors, count * sizeof *cursors);
    *merged = &m->base;
    return VARVE_OK;
}
