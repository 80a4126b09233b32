/*
 * wal/wal_recover.c - finding the end of the WAL, and replaying up to it.
 *
 *  1. List the directory. The segments from the first one needed on must follow each other without a gap as far as
 *     they are sealed.
 *  2. Walk the records. A record counts when its checksum, segment number and length are right; then its content must
 *     be right too: sequences without a gap (below the floor one may be missing, at the beginning of a segment), a SEAL
 *     that says the last sequence. What has a right checksum and wrong content was not torn: VARVE_CORRUPTION.
 *  3. The walk ends at the first place without a whole record, in a segment that is not sealed. Search what lies
 *     behind, the rest of this segment and all later ones, for SYNC records. One that says a place beyond the end was
 *     durable proves damage: VARVE_CORRUPTION. Without one, what lies behind was never vouched for, and is dropped as
 *     the torn tail of a power cut.
 *  4. Only now is anything changed: segments before the first and after the last are removed. The last one stays as it
 *     is; the first append seals it at its end and goes on in the next (wal_append.c).
 *
 * Why recovering twice finds the same: step 4 removes only what the walk did not reach. Later segments are gone,
 * durably, before their numbers are used again. The SEAL overwrites the first bytes of what was torn, and no segment
 * follows a torn end before it is written; if a power cut loses the SEAL, the walk ends in the same place, and nothing
 * synced is behind it, because a sync writes the older segment first.
 *
 * Why the place and not the sequence in a SYNC record decides: a torn tail begins at a place that was not durable, so
 * no SYNC record can name a place behind it, whatever its sequences; and damage to a SEAL or SYNC record is told from
 * it too.
 */
#include "base/bytes.h"
#include "base/check.h"
#include "base/error.h"
#include "wal/wal_files.h"
#include "wal/window.h"

typedef struct recovery {
    vr_wal *wal;
    const vr_wal_options *options;
    vr_wal_replay_fn replay;
    void *context;
    vr_window window;
    vr_wal_files files;
    bool *pristine; /* one for each of files.segments */
    uint64_t first; /* the oldest segment needed */

    bool known;       /* last is known: a batch or a SEAL was there */
    uint64_t last;    /* sequence of the last change in the WAL */
    uint64_t vouched; /* sequence of the last SYNC record */
    vr_wal_place vouched_to;

    bool ended; /* the walk came to its end */
    vr_wal_place end;
    bool blank;      /* nothing is there */
    varve_error why; /* else: what is wrong with it */
} recovery;

/* --- The walk --- */

static varve_status discontinuous(const vr_wal_spot *spot, const char *what, uint64_t found, uint64_t expected, varve_error *err) {
    return vr_error_set(err, VARVE_CORRUPTION, "%s: offset %llu: %s is %llu; expected %llu", spot->file,
                        (unsigned long long)spot->offset, what, (unsigned long long)found, (unsigned long long)expected);
}

/* A batch must continue the sequence; only the first of a segment may leave out what is in tables. */
static varve_status take_batch(recovery *r, vr_segment *seg, const vr_wal_spot *spot, const vr_wal_record *record, bool first_batch,
                               varve_error *err) {
    uint64_t expected = r->last + 1;
    bool gap_allowed =
        first_batch && record->sequence <= r->options->sequence_floor + 1 && (!r->known || record->sequence > r->last);
    if (!gap_allowed && (!r->known || record->sequence != expected)) {
        if (!r->known) expected = r->options->sequence_floor + 1;
        return discontinuous(spot, "first sequence", record->sequence, expected, err);
    }
    if (first_batch && !r->known) seg->base = record->sequence - 1;
    r->known = true;
    r->last = record->sequence + record->count - 1;
    return r->replay(r->context, record->sequence, record->payload, err);
}

static varve_status take_seal(recovery *r, vr_segment *seg, const vr_wal_spot *spot, const vr_wal_record *record,
                              varve_error *err) {
    if (r->known && record->sequence < r->last) return discontinuous(spot, "sealed sequence", record->sequence, r->last, err);
    if (r->known && record->sequence > r->last && record->sequence > r->options->sequence_floor) {
        return discontinuous(spot, "sealed sequence", record->sequence, r->last, err);
    }
    if (!r->known) seg->base = record->sequence;
    r->known = true;
    r->last = record->sequence; /* more than the last batch says where a tail below the floor was lost */
    seg->sealed = true;
    return VARVE_OK;
}

/* Replays the records of one segment. Sets r->ended where they end without a SEAL. */
static varve_status walk_records(recovery *r, vr_segment *seg, varve_error *err) {
    vr_wal_spot spot = {seg->path, seg->number, seg->size, VR_WAL_PAGE_BYTES};
    bool first_batch = true;
    while (!seg->sealed && !r->ended) {
        vr_wal_record record;
        varve_status st = vr_window_record(&r->window, &spot, &record, &r->why);
        if (st == VARVE_NOT_FOUND) {
            r->ended = true;
            r->end = (vr_wal_place){seg->number, spot.offset};
            r->blank = record.blank;
            break;
        }
        if (st != VARVE_OK) {
            vr_error_copy(err, &r->why);
            return st;
        }
        if (record.type == VR_WAL_BATCH) {
            st = take_batch(r, seg, &spot, &record, first_batch, err);
            first_batch = false;
        } else if (record.type == VR_WAL_SEAL) {
            st = take_seal(r, seg, &spot, &record, err);
        } else {
            r->vouched = record.sequence;
            r->vouched_to = record.synced;
        }
        if (st != VARVE_OK) return st;
        spot.offset += record.bytes;
    }
    seg->last_sequence = r->last;
    atomic_store_explicit(&seg->end, spot.offset, memory_order_relaxed); /* before any other thread knows it */
    return VARVE_OK;
}

/* Opens the file and checks its header page. */
static varve_status open_segment(recovery *r, vr_segment *seg, varve_error *err) {
    const char *page;
    uint64_t size, have, number;
    varve_status st = vr_segment_open(r->wal, seg, err);
    if (st == VARVE_OK) st = vr_file_get_size(seg->file, &size, err);
    if (st != VARVE_OK) return st;
    vr_window_set_file(&r->window, seg->file, size);
    st = vr_window_get(&r->window, 0, VR_WAL_PAGE_BYTES, &page, &have, err);
    if (st == VARVE_OK) st = vr_wal_page_decode(varve_bytes(page, (size_t)have), seg->number, size, seg->path, &number, err);
    seg->size = size;
    return st;
}

static varve_status walk_segment(recovery *r, uint64_t number, varve_error *err) {
    vr_wal *wal = r->wal;
    vr_segment *seg = vr_segment_alloc(wal, number, 0);
    if (!seg) return vr_error_nomem(err, sizeof *seg, "a WAL segment");
    seg->recovered = true;
    seg->base = r->known ? r->last : r->options->sequence_floor;
    varve_status st = open_segment(r, seg, err);
    if (st == VARVE_OK) st = walk_records(r, seg, err);
    if (st != VARVE_OK) {
        vr_segment_free(wal, seg);
        return st;
    }
    if (wal->read_only) seg->synced = true;
    vr_segment_shut(wal, seg);
    vr_segment_list_append(wal, seg);
    return VARVE_OK;
}

static varve_status segment_missing(const recovery *r, uint64_t number, const char *why, varve_error *err) {
    char name[VR_WAL_NAME_BYTES];
    vr_wal_name(name, number < VR_WAL_NUMBER_MAX ? number : VR_WAL_NUMBER_MAX);
    return vr_error_set(err, VARVE_CORRUPTION, "%s/%s: the WAL segment is missing: %s", r->wal->dir, name, why);
}

static varve_status walk_all(recovery *r, varve_error *err) {
    const vr_wal_files *files = &r->files;
    size_t i = 0;
    while (i < files->count && files->segments[i] < r->first) i++;
    if (i == files->count && r->options->first_segment == 0) return VARVE_OK; /* a new WAL */
    for (uint64_t number = r->first; !r->ended; number++, i++) {
        if (i == files->count || files->segments[i] != number) {
            return segment_missing(r, number, number == r->first ? "it is the first one needed" : "the one before goes on in it",
                                   err);
        }
        varve_status st = walk_segment(r, number, err);
        if (st != VARVE_OK) return st;
    }
    return VARVE_OK;
}

/* --- The proof that it was not damage --- */

/* A SYNC record at at, that says a place beyond the end was durable. */
static bool vouches(const recovery *r, const char *at, uint64_t have, const vr_wal_spot *spot, vr_wal_record *record) {
    if (vr_get32(at + 12) != (uint32_t)spot->number || (uint8_t)at[16] != VR_WAL_SYNC) return false;
    if (vr_wal_record_decode(at, have, spot, record, NULL) != VARVE_OK) return false;
    return vr_wal_place_after(record->synced, r->end);
}

/* Searches the window's file from offset on. Sets *pristine to whether nothing in it bears the segment's number. */
static varve_status search(recovery *r, vr_wal_spot spot, bool *pristine, varve_error *err) {
    const uint64_t whole = VR_WAL_RECORD_BYTES + VR_WAL_SYNC_BYTES;
    *pristine = true;
    while (spot.offset + VR_WAL_RECORD_BYTES <= spot.size) {
        const char *at;
        uint64_t have;
        varve_status st = vr_window_get(&r->window, spot.offset, whole, &at, &have, err);
        if (st != VARVE_OK) return st;
        /* all of the window in one go; at its end the last bytes are looked at again with what follows */
        bool last = spot.offset + have >= spot.size;
        if (have < (last ? VR_WAL_RECORD_BYTES : whole)) return VARVE_OK; /* the file has become shorter */
        uint64_t stop = last ? have - VR_WAL_RECORD_BYTES : have - whole;
        uint64_t i = 0;
        for (; i <= stop; i += VR_WAL_ALIGNMENT, spot.offset += VR_WAL_ALIGNMENT) {
            vr_wal_record record;
            if (vr_get32(at + i + 12) != (uint32_t)spot.number) continue;
            *pristine = false;
            if (!vouches(r, at + i, have - i, &spot, &record)) continue;
            return vr_error_set(err, VARVE_CORRUPTION, "%s; the record at offset %llu of segment %llu says that it was durable",
                                r->why.message, (unsigned long long)spot.offset, (unsigned long long)spot.number);
        }
    }
    return VARVE_OK;
}

/* Searches one segment from offset on. Its header page may be anything: nothing of it counts as records. */
static varve_status search_segment(recovery *r, uint64_t number, uint64_t offset, bool *pristine, varve_error *err) {
    vr_segment *seg = vr_segment_alloc(r->wal, number, 0);
    if (!seg) return vr_error_nomem(err, sizeof *seg, "a WAL segment");
    uint64_t size;
    varve_status st = vr_segment_open(r->wal, seg, err);
    if (st == VARVE_OK) st = vr_file_get_size(seg->file, &size, err);
    if (st == VARVE_OK) {
        vr_window_set_file(&r->window, seg->file, size);
        st = search(r, (vr_wal_spot){seg->path, number, size, offset}, pristine, err);
    }
    vr_segment_free(r->wal, seg);
    return st;
}

static varve_status search_behind(recovery *r, varve_error *err) {
    bool pristine, used = false;
    varve_status st = search_segment(r, r->end.segment, r->end.offset, &pristine, err);
    for (size_t i = 0; i < r->files.count && st == VARVE_OK; i++) {
        if (r->files.segments[i] <= r->end.segment) continue;
        st = search_segment(r, r->files.segments[i], VR_WAL_PAGE_BYTES, &r->pristine[i], err);
        used = used || !r->pristine[i];
    }
    if (st == VARVE_OK && (!r->blank || used)) {
        vr_diag_say(&r->wal->env->diag, "wal: what follows sequence %llu was never synced and is dropped: %s",
                    (unsigned long long)r->last, r->why.message);
    }
    return st;
}

/* --- All of it --- */

static varve_status check_end(const recovery *r, uint64_t last, varve_error *err) {
    if (last < r->options->known_sequence) {
        return vr_error_set(err, VARVE_CORRUPTION, "%s: the WAL ends at sequence %llu, but the manifest knows of %llu%s%s",
                            r->wal->dir, (unsigned long long)last, (unsigned long long)r->options->known_sequence,
                            r->ended ? ": " : "", r->ended ? r->why.message : "");
    }
    if (!r->options->clean || last == r->options->clean_sequence) return VARVE_OK;
    return vr_error_set(err, VARVE_CORRUPTION, "%s: the WAL ends at sequence %llu; it was closed cleanly at %llu%s%s", r->wal->dir,
                        (unsigned long long)last, (unsigned long long)r->options->clean_sequence, r->ended ? ": " : "",
                        r->ended ? r->why.message : "");
}

/* What the walk found becomes the WAL's state. Segments before the place last vouched for are durable; a clean close vouches for
 * all. */
static void adopt(recovery *r, uint64_t last) {
    vr_wal *wal = r->wal;
    uint64_t durable = r->options->clean ? last : r->vouched;
    if (r->options->sequence_floor > durable) durable = r->options->sequence_floor;
    for (vr_segment *seg = wal->oldest; seg; seg = seg->newer) {
        seg->synced = seg->synced || (seg->sealed && (r->options->clean || seg->number < r->vouched_to.segment));
    }
    wal->active = wal->newest;
    wal->at = r->end.offset;
    wal->limit = 0;
    atomic_store_explicit(&wal->last_sequence, last, memory_order_relaxed); /* before any other thread knows the WAL */
    atomic_store_explicit(&wal->synced_sequence, durable < last ? durable : last, memory_order_relaxed);
}

varve_status vr_wal_recover(vr_wal *wal, const vr_wal_options *options, vr_wal_replay_fn replay, void *context, varve_error *err) {
    recovery r = {.wal = wal, .options = options, .replay = replay, .context = context};
    r.first = options->first_segment ? options->first_segment : 1;
    vr_window_over_files(&r.window, &wal->env->mem, wal->budget);
    varve_status st = vr_wal_files_list(wal, &r.files, err);
    if (st != VARVE_OK) goto out;
    r.pristine = vr_zalloc(&wal->env->mem, r.files.count * sizeof *r.pristine);
    if (!r.pristine) {
        st = vr_error_nomem(err, r.files.count, "the list of WAL segments");
        goto out;
    }
    st = walk_all(&r, err);
    if (st == VARVE_OK && r.ended) st = search_behind(&r, err);
    uint64_t last = r.last > options->sequence_floor ? r.last : options->sequence_floor;
    if (st == VARVE_OK) st = check_end(&r, last, err);
    if (st == VARVE_OK && !wal->read_only) st = vr_wal_files_clear(wal, &r.files, r.first, r.end.segment, r.pristine, err);
    if (st == VARVE_OK) adopt(&r, last);

out:
    vr_free(&wal->env->mem, r.pristine);
    vr_wal_files_free(&r.files);
    vr_window_free(&r.window);
    return st;
}
