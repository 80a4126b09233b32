/*
 * The merge (kv/merge.h), against a sorted array: every walk over random sources sees what the array holds.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/faultmem.h"
#include "kv/merge.h"
#include "kv/record.h"

#define KEY_BYTES 12

typedef struct entry {
    char key[KEY_BYTES];
    size_t key_size;
    uint64_t trailer;
} entry;

static varve_slice entry_key(const entry *e) {
    return varve_bytes(e->key, e->key_size);
}

static int entry_order(const void *a, const void *b) {
    const entry *x = a, *y = b;
    return vr_entry_compare(entry_key(x), x->trailer, entry_key(y), y->trailer);
}

/* A cursor over a sorted array. Fails at step fail_at, if that is not 0. */
typedef struct array_cursor {
    vr_cursor base;
    entry *entries;
    size_t count, at;
    uint64_t moves, fail_at;
    int *open;
} array_cursor;

static void show(array_cursor *c) {
    c->base.status = VARVE_OK;
    c->base.valid = c->at < c->count;
    if (c->fail_at && ++c->moves >= c->fail_at) {
        c->base.valid = false;
        c->base.status = vr_error_set(c->base.err, VARVE_CORRUPTION, "the child failed");
    }
    if (!c->base.valid) return;
    c->base.key = entry_key(&c->entries[c->at]);
    c->base.trailer = c->entries[c->at].trailer;
    c->base.value = varve_bytes(&c->entries[c->at].trailer, 8);
}

static void array_first(vr_cursor *cursor) {
    array_cursor *c = (array_cursor *)cursor;
    c->at = 0;
    show(c);
}

static void array_last(vr_cursor *cursor) {
    array_cursor *c = (array_cursor *)cursor;
    c->at = c->count - 1; /* beyond the end where it is empty */
    show(c);
}

static void array_seek(vr_cursor *cursor, varve_slice key, uint64_t trailer) {
    array_cursor *c = (array_cursor *)cursor;
    c->at = 0;
    while (c->at < c->count && vr_entry_compare(entry_key(&c->entries[c->at]), c->entries[c->at].trailer, key, trailer) < 0)
        c->at++;
    show(c);
}

static void array_seek_prev(vr_cursor *cursor, varve_slice key, uint64_t trailer) {
    array_cursor *c = (array_cursor *)cursor;
    c->at = c->count;
    while (c->at > 0 && vr_entry_compare(entry_key(&c->entries[c->at - 1]), c->entries[c->at - 1].trailer, key, trailer) > 0)
        c->at--;
    c->at--;
    show(c);
}

static void array_next(vr_cursor *cursor) {
    array_cursor *c = (array_cursor *)cursor;
    cr_assert(cursor->valid);
    c->at++;
    show(c);
}

static void array_prev(vr_cursor *cursor) {
    array_cursor *c = (array_cursor *)cursor;
    cr_assert(cursor->valid);
    c->at--;
    show(c);
}

static void array_close(vr_cursor *cursor) {
    array_cursor *c = (array_cursor *)cursor;
    --*c->open;
    free(c->entries);
    free(c);
}

static const vr_cursor_ops array_ops = {array_first, array_last, array_seek, array_seek_prev, array_next, array_prev, array_close};

static int open_cursors;

static array_cursor *make_cursor(void) {
    array_cursor *c = calloc(1, sizeof *c);
    c->base.ops = &array_ops;
    c->open = &open_cursors;
    open_cursors++;
    return c;
}

static void give(array_cursor *c, const entry *e) {
    c->entries = realloc(c->entries, (c->count + 1) * sizeof *e);
    c->entries[c->count++] = *e;
}

/* --- A set of entries spread over sources --- */

static uint64_t state;

static uint64_t draw(uint64_t below) {
    state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (state >> 33) % below;
}

typedef struct model {
    entry *entries;
    size_t count, sources;
    vr_cursor *merged;
} model;

/* Keys share long beginnings and repeat, so that prefixes tie and trailers decide. */
static entry draw_entry(uint64_t sequence) {
    entry e = {.trailer = vr_trailer(sequence, draw(3) ? VR_KIND_PUT : VR_KIND_DELETE)};
    e.key_size = draw(KEY_BYTES + 1);
    for (size_t i = 0; i < e.key_size; i++) e.key[i] = (char)(i < 7 ? 'a' + draw(2) : draw(2) * 255);
    return e;
}

static void build(model *m, size_t sources, size_t count) {
    array_cursor *cursors[16];
    vr_cursor *children[16];
    vr_mem mem = vr_mem_system();
    *m = (model){.entries = calloc(count + 1, sizeof *m->entries), .count = count, .sources = sources};
    for (size_t i = 0; i < count; i++) m->entries[i] = draw_entry(i + 1);
    qsort(m->entries, count, sizeof *m->entries, entry_order);
    for (size_t i = 0; i < sources; i++) children[i] = &(cursors[i] = make_cursor())->base;
    for (size_t i = 0; i < count; i++) {
        if (sources) give(cursors[draw(4) ? 0 : draw(sources)], &m->entries[i]); /* one dominates */
    }
    if (sources == 0) m->count = 0;
    cr_assert_eq(vr_merge_open(&mem, children, sources, NULL, &m->merged, NULL), VARVE_OK);
}

static void tear_down(model *m) {
    m->merged->ops->close(m->merged);
    cr_assert_eq(open_cursors, 0);
    free(m->entries);
}

/* The merge stands at entry at of the model; beyond it, it is not valid. */
static void stands_at(const model *m, size_t at) {
    const vr_cursor *c = m->merged;
    cr_assert_eq(c->status, VARVE_OK);
    cr_assert_eq(c->valid, at < m->count, "at %zu of %zu", at, m->count);
    if (!c->valid) return;
    cr_assert(vr_equal(c->key, entry_key(&m->entries[at])));
    cr_assert_eq(c->trailer, m->entries[at].trailer);
    cr_assert_eq(vr_get64(c->value.data), c->trailer);
}

static size_t walk(const model *m, size_t at, unsigned steps) {
    while (steps-- > 0 && at < m->count) {
        if (draw(3)) {
            m->merged->ops->next(m->merged);
            at++;
        } else {
            m->merged->ops->prev(m->merged);
            at--; /* from 0 to beyond every count */
        }
        stands_at(m, at);
    }
    return at;
}

static void random_moves(const model *m) {
    vr_cursor *c = m->merged;
    entry wanted = draw_entry(draw(m->count + 2));
    size_t at = 0;
    switch (draw(4)) {
    case 0: c->ops->first(c); break;
    case 1:
        c->ops->last(c);
        at = m->count - 1;
        break;
    case 2:
        c->ops->seek(c, entry_key(&wanted), wanted.trailer);
        while (at < m->count && entry_order(&m->entries[at], &wanted) < 0) at++;
        break;
    default:
        c->ops->seek_prev(c, entry_key(&wanted), wanted.trailer);
        at = m->count;
        while (at > 0 && entry_order(&m->entries[at - 1], &wanted) > 0) at--;
        at--;
    }
    stands_at(m, at);
    walk(m, at, 20);
}

Test(merge, random_sources_and_moves_match_a_sorted_array) {
    state = 42;
    for (int round = 0; round < 400; round++) {
        model m;
        build(&m, draw(9), draw(60));
        for (int i = 0; i < 25; i++) random_moves(&m);
        tear_down(&m);
    }
}

Test(merge, whole_walks_both_ways) {
    state = 7;
    for (size_t sources = 0; sources <= 8; sources++) {
        model m;
        build(&m, sources, 200);
        m.merged->ops->first(m.merged);
        for (size_t i = 0; i < m.count; i++, m.merged->ops->next(m.merged)) stands_at(&m, i);
        stands_at(&m, m.count);
        m.merged->ops->last(m.merged);
        for (size_t i = m.count; i-- > 0; m.merged->ops->prev(m.merged)) stands_at(&m, i);
        stands_at(&m, m.count);
        tear_down(&m);
    }
}

Test(merge, one_cursor_is_returned_as_it_is) {
    vr_mem mem = vr_mem_system();
    vr_cursor *child = &make_cursor()->base, *merged;
    cr_assert_eq(vr_merge_open(&mem, &child, 1, NULL, &merged, NULL), VARVE_OK);
    cr_assert_eq(merged, child);
    merged->ops->close(merged);
    cr_assert_eq(open_cursors, 0);
}

Test(merge, without_memory_the_children_are_closed) {
    vr_faultmem fault;
    vr_faultmem_init(&fault, 1, false);
    vr_mem mem = vr_faultmem_mem(&fault);
    vr_cursor *children[2] = {&make_cursor()->base, &make_cursor()->base}, *merged = NULL;
    varve_error err;
    cr_assert_eq(vr_merge_open(&mem, children, 2, NULL, &merged, &err), VARVE_NOMEM);
    cr_assert_null(merged);
    cr_assert_eq(open_cursors, 0);
}

/* Whatever move of whichever child fails, the merge stops with its status and message, and a later seek makes it good. */
Test(merge, a_failing_child_stops_it) {
    for (uint64_t fail_at = 1; fail_at < 12; fail_at++) {
        for (int backward = 0; backward < 2; backward++) {
            vr_mem mem = vr_mem_system();
            varve_error child_err = {0}, err = {0};
            array_cursor *a = make_cursor(), *b = make_cursor();
            for (char c = 'a'; c < 'a' + 10; c++) give(c % 3 ? a : b, &(entry){{c}, 1, 258});
            a->fail_at = fail_at;
            a->base.err = &child_err;
            vr_cursor *children[2] = {&b->base, &a->base}, *merged;
            cr_assert_eq(vr_merge_open(&mem, children, 2, &err, &merged, NULL), VARVE_OK);
            (backward ? merged->ops->last : merged->ops->first)(merged);
            while (merged->valid) (backward ? merged->ops->prev : merged->ops->next)(merged);
            bool reached = a->moves >= fail_at;
            cr_assert_eq(merged->status, reached ? VARVE_CORRUPTION : VARVE_OK, "%d", (int)fail_at);
            if (reached) cr_assert_str_eq(err.message, "the child failed");
            a->fail_at = 0;
            merged->ops->seek(merged, varve_str("c"), UINT64_MAX);
            cr_assert(merged->valid && merged->status == VARVE_OK && merged->key.data[0] == 'c');
            merged->ops->close(merged);
        }
    }
    cr_assert_eq(open_cursors, 0);
}

Test(merge, entries_are_ordered_by_key_then_newest_first) {
    cr_assert_lt(vr_entry_compare(varve_str("a"), 1, varve_str("b"), 9), 0);
    cr_assert_lt(vr_entry_compare(varve_str("a"), 9, varve_str("a"), 1), 0);
    cr_assert_gt(vr_entry_compare(varve_str("ab"), 9, varve_str("a"), 1), 0);
    cr_assert_eq(vr_entry_compare(varve_str(""), 5, varve_str(""), 5), 0);
    cr_assert_gt(vr_entry_compare(varve_str("\xff"), 5, varve_str("\x01"), 5), 0, "bytes are unsigned");
}
