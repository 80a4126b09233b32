/*
 * compact/squeeze.c - the cursor that leaves out what no view needs any more.
 *
 * The views are the snapshots and "now". A version of a key belongs to the boundary that is the least view at or above its
 * sequence: among the versions of one boundary only the newest is seen by any view, namely by those up to the boundary that are not
 * below it. So of each key the first entry of each boundary is kept. Boundaries are numbered by how many snapshots are below the
 * sequence; number 0 means that every view sees this entry or a newer one. Of such an entry, if nothing of its key lies deeper
 * (last), a tombstone hides nothing, and the sequence tells nothing: it becomes 0, which is what the next compaction, and
 * compression, like best. Older entries of its key are of boundary 0 too and have been left out, so that no two entries of a key
 * become 0.
 *
 * Threads: one. Invariant: the source stands on the entry that is shown, whose key is in `key`.
 */
#include "compact/squeeze.h"

#include "base/bytes.h"
#include "base/check.h"
#include "base/error.h"

typedef struct squeeze {
    vr_cursor base; /* must be first: the cursor is used through it */
    vr_mem mem;
    vr_cursor *source;
    bool owns_source, last, has_key;
    varve_buffer key; /* of the entry before */
    size_t boundary;  /* of the entry before */
    uint64_t taken;
    size_t snapshot_count;
    uint64_t snapshots[];
} squeeze;

/* How many snapshots are below sequence. */
static inline size_t boundary_of(const squeeze *sq, uint64_t sequence) {
    size_t low = 0, high = sq->snapshot_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (sq->snapshots[middle] < sequence) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Whether the entry of the source is kept; takes note of it. */
static bool judge(squeeze *sq, bool *settled) {
    const vr_cursor *source = sq->source;
    bool same_key = sq->has_key && vr_equal(source->key, varve_buffer_slice(&sq->key));
    size_t boundary = boundary_of(sq, vr_trailer_sequence(source->trailer));
    bool hidden = same_key && boundary == sq->boundary;
    VR_ASSERT(!same_key || boundary <= sq->boundary);
    if (!same_key && !vr_buffer_set(&sq->key, source->key)) {
        sq->base.status = vr_error_nomem(sq->base.err, source->key.size, "a compaction's key");
        return false;
    }
    sq->has_key = true;
    sq->boundary = boundary;
    *settled = sq->last && boundary == 0;
    return !hidden && !(*settled && vr_trailer_kind(source->trailer) == VR_KIND_DELETE);
}

/* Shows the first entry from the source's on that is kept. */
static void settle(squeeze *sq) {
    vr_cursor *source = sq->source;
    bool settled;
    sq->base.valid = false;
    while (source->valid) {
        bool kept = judge(sq, &settled);
        if (sq->base.status != VARVE_OK) return;
        if (kept) {
            sq->base.key = source->key;
            sq->base.trailer = settled ? vr_trailer(0, vr_trailer_kind(source->trailer)) : source->trailer;
            sq->base.value = source->value;
            sq->base.valid = true;
            return;
        }
        source->ops->next(source);
        sq->taken++;
    }
    sq->base.status = source->status;
    if (source->status != VARVE_OK && source->err != sq->base.err && source->err) vr_error_copy(sq->base.err, source->err);
}

static void squeeze_first(vr_cursor *cursor) {
    squeeze *sq = (squeeze *)cursor;
    sq->has_key = false;
    sq->taken = 0;
    sq->base.status = VARVE_OK;
    sq->source->ops->first(sq->source);
    settle(sq);
}

static void squeeze_next(vr_cursor *cursor) {
    squeeze *sq = (squeeze *)cursor;
    VR_ASSERT(cursor->valid);
    sq->source->ops->next(sq->source);
    sq->taken++;
    settle(sq);
}

/* What a version is worth depends on the newer ones of its key, so that only the way from the front is open. */
static void refuse_move(vr_cursor *cursor) {
    cursor->valid = false;
    cursor->status = vr_error_set(cursor->err, VARVE_INTERNAL, "a squeezing cursor only moves forward from the first entry");
}

static void refuse_seek(vr_cursor *cursor, varve_slice key, uint64_t trailer) {
    (void)key;
    (void)trailer;
    refuse_move(cursor);
}

static void squeeze_close(vr_cursor *cursor) {
    squeeze *sq = (squeeze *)cursor;
    vr_mem mem = sq->mem;
    if (sq->owns_source) sq->source->ops->close(sq->source);
    varve_buffer_free(&sq->key);
    vr_free(&mem, sq);
}

static const vr_cursor_ops squeeze_ops = {
    .first = squeeze_first,
    .last = refuse_move,
    .seek = refuse_seek,
    .seek_prev = refuse_seek,
    .next = squeeze_next,
    .prev = refuse_move,
    .close = squeeze_close,
};

static varve_status squeeze_open(const vr_mem *mem, vr_cursor *source, bool owns_source, const uint64_t *snapshots,
                                 size_t snapshot_count, bool last, vr_cursor **cursor, varve_error *err) {
    size_t bytes = sizeof(squeeze) + snapshot_count * sizeof(uint64_t);
    squeeze *sq = vr_zalloc(mem, bytes);
    if (!sq) {
        if (owns_source) source->ops->close(source);
        return vr_error_nomem(err, bytes, "a squeezing cursor");
    }
    sq->base.ops = &squeeze_ops;
    sq->base.err = source->err;
    sq->mem = *mem;
    sq->source = source;
    sq->owns_source = owns_source;
    sq->last = last;
    sq->snapshot_count = snapshot_count;
    for (size_t i = 0; i < snapshot_count; i++) {
        VR_ASSERT(i == 0 || snapshots[i - 1] <= snapshots[i]);
        sq->snapshots[i] = snapshots[i];
    }
    *cursor = &sq->base;
    return VARVE_OK;
}

varve_status vr_squeeze_open(const vr_mem *mem, vr_cursor *source, const uint64_t *snapshots, size_t snapshot_count, bool last,
                             vr_cursor **cursor, varve_error *err) {
    return squeeze_open(mem, source, true, snapshots, snapshot_count, last, cursor, err);
}

varve_status vr_squeeze_over(const vr_mem *mem, vr_cursor *source, const uint64_t *snapshots, size_t snapshot_count, bool last,
                             vr_cursor **cursor, varve_error *err) {
    return squeeze_open(mem, source, false, snapshots, snapshot_count, last, cursor, err);
}

uint64_t vr_squeeze_taken(const vr_cursor *cursor) {
    return ((const squeeze *)cursor)->taken;
}
