/*
 * test_squeeze.c - what compaction may drop: random versions and snapshots against a brute-force reading of every view.
 */
#include "compact_fixture.h"

#include <stdlib.h>

#include "base/error.h"
#include "base/faultmem.h"
#include "compact/squeeze.h"

#define ENTRIES_MAX 64u

typedef struct squeezed {
    entry entries[ENTRIES_MAX];      /* with the original sequences */
    uint64_t sequences[ENTRIES_MAX]; /* those that were given out */
    size_t count;
} squeezed;

/* A tombstone has no value to tell its sequence: it keeps it. */
static void take(const vr_cursor *cursor, squeezed *out) {
    char text[48];
    entry *e = &out->entries[out->count];
    cr_assert(out->count < ENTRIES_MAX && cursor->value.size < sizeof text && cursor->key.size == 8);
    memcpy(text, cursor->key.data, 8);
    text[8] = 0;
    e->key = (uint32_t)strtoul(text, NULL, 10);
    e->gone = vr_trailer_kind(cursor->trailer) == VR_KIND_DELETE;
    out->sequences[out->count] = e->sequence = vr_trailer_sequence(cursor->trailer);
    memcpy(text, cursor->value.data, cursor->value.size);
    text[cursor->value.size] = 0;
    if (!e->gone) e->sequence = strtoull(strchr(text, '@') + 1, NULL, 10);
    cr_assert_eq((uint32_t)(e->gone ? e->key : strtoul(text, NULL, 10)), e->key);
    out->count++;
}

static void squeeze_all(const entry *entries, size_t count, const uint64_t *snapshots, size_t snapshot_count, bool last,
                        squeezed *out) {
    vr_mem mem = vr_mem_system();
    vr_cursor *cursor;
    out->count = 0;
    must(vr_squeeze_open(&mem, array_cursor(entries, count), snapshots, snapshot_count, last, &cursor, NULL));
    for (cursor->ops->first(cursor); cursor->valid; cursor->ops->next(cursor)) take(cursor, out);
    must(cursor->status);
    cr_assert_eq(vr_squeeze_taken(cursor), count);
    cursor->ops->close(cursor);
}

/* The newest of key at or below view: its index, or -1. sequences: those that count, or NULL for the entries' own. */
static int visible(const entry *entries, const uint64_t *sequences, size_t count, uint32_t key, uint64_t view) {
    for (size_t i = 0; i < count; i++) {
        if (entries[i].key == key && (sequences ? sequences[i] : entries[i].sequence) <= view) return (int)i;
    }
    return -1;
}

static bool snapshot_below(const uint64_t *snapshots, size_t count, uint64_t sequence) {
    return count > 0 && snapshots[0] < sequence;
}

static void check_view(const entry *in, size_t count, const squeezed *out, bool last, uint32_t key, uint64_t view) {
    int before = visible(in, NULL, count, key, view);
    int after = visible(out->entries, out->sequences, out->count, key, view);
    if (last && before >= 0 && in[before].gone) {
        cr_assert(after < 0 || out->entries[after].gone);
        return;
    }
    cr_assert_eq(before < 0, after < 0, "key %" PRIu32 " at %" PRIu64, key, view);
    if (before < 0) return;
    cr_assert_eq(in[before].sequence, out->entries[after].sequence);
    cr_assert_eq(in[before].gone, out->entries[after].gone);
}

/* Whether some view sees entry i. */
static bool is_needed(const entry *in, size_t count, size_t i, const uint64_t *snapshots, size_t snapshot_count) {
    for (size_t s = 0; s <= snapshot_count; s++) {
        uint64_t view = s < snapshot_count ? snapshots[s] : VR_SEQUENCE_MAX;
        if (visible(in, NULL, count, in[i].key, view) == (int)i) return true;
    }
    return false;
}

static void check_all(const entry *in, size_t count, const uint64_t *snapshots, size_t snapshot_count, bool last) {
    squeezed out;
    size_t at = 0;
    squeeze_all(in, count, snapshots, snapshot_count, last, &out);
    for (uint32_t key = 0; key < 8; key++) {
        for (size_t s = 0; s <= snapshot_count; s++) {
            check_view(in, count, &out, last, key, s < snapshot_count ? snapshots[s] : VR_SEQUENCE_MAX);
        }
    }
    for (size_t i = 0; i < count; i++) {
        bool settled = last && !snapshot_below(snapshots, snapshot_count, in[i].sequence);
        bool kept = is_needed(in, count, i, snapshots, snapshot_count) && !(settled && in[i].gone);
        bool found = at < out.count && out.entries[at].key == in[i].key && out.entries[at].sequence == in[i].sequence;
        cr_assert_eq(kept, found, "entry %zu of %zu", i, count);
        if (!found) continue;
        cr_assert_eq(out.sequences[at], settled ? 0 : in[i].sequence);
        if (at > 0 && out.entries[at - 1].key == in[i].key) cr_assert(out.sequences[at - 1] > out.sequences[at]);
        at++;
    }
    cr_assert_eq(at, out.count);
}

static size_t random_entries(uint64_t *random, entry *entries) {
    size_t count = random_below(random, ENTRIES_MAX / 2);
    for (size_t i = 0; i < count; i++) {
        entries[i] = (entry){.key = (uint32_t)random_below(random, 6), .sequence = 2 * i + 1 + random_below(random, 2)};
        entries[i].gone = random_below(random, 3) == 0;
    }
    qsort(entries, count, sizeof *entries, entry_order);
    return count;
}

Test(squeeze, every_view_is_as_before_and_nothing_else_is_kept) {
    uint64_t random = 7;
    for (int round = 0; round < 20000; round++) {
        entry entries[ENTRIES_MAX];
        uint64_t snapshots[8];
        size_t count = random_entries(&random, entries), snapshot_count = 0;
        uint64_t rising = random_below(&random, 10);
        for (size_t wanted = random_below(&random, 8); snapshot_count < wanted; snapshot_count++) {
            snapshots[snapshot_count] = rising;
            rising += random_below(&random, 16); /* the same one twice, too */
        }
        check_all(entries, count, snapshots, snapshot_count, random_below(&random, 2));
    }
}

Test(squeeze, without_snapshots_only_the_newest_stays) {
    const entry in[] = {{1, 9, false}, {1, 5, true}, {1, 2, false}, {2, 7, true}, {2, 6, false}};
    squeezed out;
    squeeze_all(in, 5, NULL, 0, false, &out);
    cr_assert(out.count == 2 && out.sequences[0] == 9 && out.sequences[1] == 7 && out.entries[1].gone);
    squeeze_all(in, 5, NULL, 0, true, &out);
    cr_assert(out.count == 1 && out.sequences[0] == 0 && out.entries[0].sequence == 9);
}

Test(squeeze, a_snapshot_at_a_sequence_sees_it) {
    const entry in[] = {{1, 9, false}, {1, 5, false}, {1, 4, false}};
    squeezed out;
    uint64_t snapshot = 5;
    squeeze_all(in, 3, &snapshot, 1, true, &out);
    cr_assert_eq(out.count, 2);
    cr_assert_eq(out.sequences[0], 9, "the snapshot is below it: it keeps its sequence");
    cr_assert_eq(out.sequences[1], 0);
}

Test(squeeze, a_tombstone_stays_while_a_snapshot_sees_below_it) {
    const entry in[] = {{1, 9, true}, {1, 4, false}};
    squeezed out;
    uint64_t snapshot = 8;
    squeeze_all(in, 2, &snapshot, 1, true, &out);
    cr_assert(out.count == 2 && out.entries[0].gone && out.sequences[0] == 9);
    snapshot = 9;
    squeeze_all(in, 2, &snapshot, 1, true, &out);
    cr_assert_eq(out.count, 0);
}

Test(squeeze, it_moves_forward_only) {
    vr_mem mem = vr_mem_system();
    vr_cursor *cursor;
    varve_error err = {0};
    const entry in[] = {{1, 9, false}};
    must(vr_squeeze_open(&mem, array_cursor(in, 1), NULL, 0, false, &cursor, NULL));
    cursor->err = &err;
    cursor->ops->last(cursor);
    cr_assert(!cursor->valid && cursor->status == VARVE_INTERNAL);
    cursor->ops->seek(cursor, varve_str("a"), 0);
    cr_assert_eq(cursor->status, VARVE_INTERNAL);
    cursor->ops->first(cursor);
    cr_assert(cursor->valid && cursor->status == VARVE_OK);
    cursor->ops->close(cursor);
}

Test(squeeze, without_memory_the_source_is_closed) {
    vr_faultmem fault;
    vr_faultmem_init(&fault, 1, true);
    vr_mem mem = vr_faultmem_mem(&fault);
    vr_cursor *cursor = NULL;
    const entry in[] = {{1, 9, false}};
    cr_assert_eq(vr_squeeze_open(&mem, array_cursor(in, 1), NULL, 0, false, &cursor, NULL), VARVE_NOMEM);
    cr_assert_null(cursor);
}

/* A source that fails after its first entry. */
static void fail_next(vr_cursor *cursor) {
    cursor->valid = false;
    cursor->status = vr_error_set(cursor->err, VARVE_CORRUPTION, "the source is damaged");
}

Test(squeeze, a_failing_source_is_not_taken_for_the_end) {
    vr_mem mem = vr_mem_system();
    vr_cursor *cursor, *source;
    varve_error source_err = {0}, err = {0};
    const entry in[] = {{1, 9, false}, {2, 8, false}};
    source = array_cursor(in, 2);
    vr_cursor_ops failing = *source->ops;
    failing.next = fail_next;
    source->ops = &failing;
    source->err = &source_err;
    must(vr_squeeze_open(&mem, source, NULL, 0, false, &cursor, NULL));
    cursor->err = &err;
    cursor->ops->first(cursor);
    cr_assert(cursor->valid);
    cursor->ops->next(cursor);
    cr_assert(!cursor->valid && cursor->status == VARVE_CORRUPTION);
    cr_assert_str_eq(err.message, "the source is damaged");
    cursor->ops->close(cursor);
}
