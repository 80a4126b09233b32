/*
 * wal/wal_reader.c - cursors over the records, live.
 *
 * A reader holds a reference to the segment it stands in, and while pinned to those it has left since. A reference keeps a segment
 * mapped, and its file from being recycled, even when it is released meanwhile. Up to the segment's published end all bytes are
 * whole records; each is checked all the same, because what was written earlier may have left the page cache and come back from a
 * disk.
 *
 * Invariants: seg is referenced and mapped; offset is between two records of it; expected is the sequence after the last record
 * returned, or the one asked for.
 */
#include "base/check.h"
#include "base/error.h"
#include "wal/wal_state.h"

struct vr_wal_reader {
    vr_wal *wal;
    vr_segment *seg;
    uint64_t offset;
    uint64_t expected;
    bool opening; /* no record returned yet: the first may begin before expected */
    bool pinning;
    vr_segment **pinned; /* left since the pin, each with its reference */
    size_t pinned_count, pinned_capacity;
};

/* References and maps seg. Lock: mutex. */
static varve_status hold(vr_wal *wal, vr_segment *seg, varve_error *err) {
    vr_mutex_assert_held(&wal->mutex);
    varve_status st = vr_segment_map(wal, seg, false, err);
    if (st == VARVE_OK) seg->refs++;
    return st;
}

static varve_status missing(uint64_t sequence, varve_error *err) {
    return vr_error_set(err, VARVE_MISSING, "sequence %llu is no longer in the WAL", (unsigned long long)sequence);
}

/* The record at the reader's place. VARVE_NOT_FOUND at the published end. */
static varve_status peek(const vr_wal_reader *reader, vr_wal_record *record, varve_error *err) {
    const vr_segment *seg = reader->seg;
    uint64_t end = atomic_load_explicit(&seg->end, memory_order_acquire); /* pairs with the release of append */
    if (reader->offset >= end) return VARVE_NOT_FOUND;
    vr_wal_spot spot = {seg->path, seg->number, seg->size, reader->offset};
    varve_error why;
    varve_status st = vr_wal_record_decode(seg->map + reader->offset, end - reader->offset, &spot, record, &why);
    if (st == VARVE_OK) return st;
    vr_error_copy(err, &why);
    return st == VARVE_NOT_FOUND ? VARVE_CORRUPTION : st;
}

/* Moves to the segment after the sealed one. One without a batch may be gone from in between: it was released, and nobody stood in
 * it. */
static varve_status move_on(vr_wal_reader *reader, varve_error *err) {
    vr_wal *wal = reader->wal;
    vr_segment *old = reader->seg;
    if (reader->pinning) { /* the place for it first, so that a failure leaves the reader where it is */
        if (!vr_grow(&wal->env->mem, (void **)&reader->pinned, &reader->pinned_capacity, reader->pinned_count + 1,
                     sizeof(vr_segment *))) {
            return vr_error_nomem(err, sizeof(vr_segment *), "a pinned WAL segment");
        }
    }
    vr_mutex_lock(&wal->mutex);
    vr_segment *seg = wal->oldest;
    while (seg && seg->number <= old->number) seg = seg->newer;
    bool follows = seg && (seg->number == old->number + 1 || seg->base == old->last_sequence);
    varve_status st = follows ? hold(wal, seg, err) : missing(reader->expected, err);
    vr_mutex_unlock(&wal->mutex);
    if (st != VARVE_OK) return st;
    reader->seg = seg;
    reader->offset = VR_WAL_PAGE_BYTES;
    if (reader->pinning) {
        reader->pinned[reader->pinned_count++] = old;
    } else {
        vr_segment_unref(wal, old);
    }
    return VARVE_OK;
}

/* Moves to the next batch record, before it. */
static varve_status find_batch(vr_wal_reader *reader, vr_wal_record *record, varve_error *err) {
    for (;;) {
        varve_status st = peek(reader, record, err);
        if (st != VARVE_OK) return st;
        if (record->type == VR_WAL_BATCH) return VARVE_OK;
        if (record->type == VR_WAL_SEAL) {
            st = move_on(reader, err);
            if (st != VARVE_OK) return st;
        } else {
            reader->offset += record->bytes;
        }
    }
}

varve_status vr_wal_reader_next(vr_wal_reader *reader, uint64_t *first_sequence, varve_slice *batch, varve_error *err) {
    vr_wal_record record;
    for (;;) {
        varve_status st = find_batch(reader, &record, err);
        if (st != VARVE_OK) return st;
        if (!reader->opening || record.sequence + record.count > reader->expected) break;
        reader->offset += record.bytes; /* before the one asked for */
    }
    if (record.sequence > reader->expected) return missing(reader->expected, err); /* lost with a torn tail, but in tables */
    reader->offset += record.bytes;
    reader->opening = false;
    reader->expected = record.sequence + record.count;
    *first_sequence = record.sequence;
    *batch = record.payload;
    return VARVE_OK;
}

/* Places the reader in the newest segment that may hold the sequence. Lock: mutex. */
static varve_status find_segment(vr_wal_reader *reader, uint64_t sequence, varve_error *err) {
    vr_wal *wal = reader->wal;
    vr_segment *found = NULL;
    for (vr_segment *seg = wal->oldest; seg && seg->base <= sequence; seg = seg->newer) {
        if (!seg->released) found = seg;
    }
    if (!found) return missing(sequence + 1, err);
    varve_status st = hold(wal, found, err);
    if (st == VARVE_OK) reader->seg = found;
    return st;
}

varve_status vr_wal_reader_open(vr_wal *wal, uint64_t sequence, vr_wal_reader **reader, varve_error *err) {
    uint64_t last = vr_wal_last_sequence(wal);
    if (sequence > last) {
        return vr_error_set(err, VARVE_INVALID, "a WAL reader after sequence %llu; the last is %llu", (unsigned long long)sequence,
                            (unsigned long long)last);
    }
    vr_wal_reader *opened = vr_zalloc(&wal->env->mem, sizeof *opened);
    if (!opened) return vr_error_nomem(err, sizeof *opened, "a WAL reader");
    opened->wal = wal;
    opened->offset = VR_WAL_PAGE_BYTES;
    opened->expected = sequence + 1;
    opened->opening = true;
    vr_mutex_lock(&wal->mutex);
    varve_status st = find_segment(opened, sequence, err);
    vr_mutex_unlock(&wal->mutex);

    vr_wal_record record; /* moves up to the record asked for now, so that a missing one is told here */
    while (st == VARVE_OK) {
        st = find_batch(opened, &record, err);
        if (st != VARVE_OK || record.sequence + record.count > opened->expected) break;
        opened->offset += record.bytes;
    }
    if (st == VARVE_OK && record.sequence > opened->expected) st = missing(opened->expected, err);
    if (st == VARVE_NOT_FOUND && sequence < last) st = missing(opened->expected, err);
    if (st != VARVE_OK && st != VARVE_NOT_FOUND) {
        vr_wal_reader_close(opened);
        return st;
    }
    *reader = opened;
    return VARVE_OK;
}

void vr_wal_reader_pin(vr_wal_reader *reader) {
    reader->pinning = true;
}

void vr_wal_reader_unpin(vr_wal_reader *reader) {
    reader->pinning = false;
    while (reader->pinned_count > 0) vr_segment_unref(reader->wal, reader->pinned[--reader->pinned_count]);
}

void vr_wal_reader_close(vr_wal_reader *reader) {
    if (!reader) return;
    vr_wal_reader_unpin(reader);
    if (reader->seg) vr_segment_unref(reader->wal, reader->seg);
    vr_free(&reader->wal->env->mem, reader->pinned);
    vr_free(&reader->wal->env->mem, reader);
}
