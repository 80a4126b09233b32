/*
 * wal/wal_append.c - the writer: records into the active segment, and on to the next one.
 *
 * A record is written payload first, checksum last, and then published with a release store of the segment's end, so that readers
 * of this process never see part of one. The process may die at any instruction: what then lies behind the end fails its checksum.
 * The eight bytes where the next header will begin are zeroed before that, so that what an earlier use of the file left there
 * cannot chain. When a sync is not vouched for yet, its SYNC record goes in front of the batch, published together with it.
 *
 * In pwrite mode the same bytes are put together in a buffer and written by one call.
 */
#include "base/bytes.h"
#include "base/check.h"
#include "base/error.h"
#include "kv/record.h"
#include "wal/wal_state.h"

#define SYNC_RECORD_BYTES (VR_WAL_RECORD_BYTES + VR_WAL_SYNC_BYTES)
#define BUFFER_KEPT_BYTES ((size_t)1 << 20)

/* --- Preparing and switching --- */

/* Makes next, if there is none of at least size bytes. */
static varve_status ensure_next(vr_wal *wal, uint64_t number, uint64_t size, varve_error *err) {
    vr_mutex_assert_held(&wal->prepare_mutex);
    vr_segment *old = wal->next, *made = NULL;
    if (old && old->size >= size) return VARVE_OK;
    if (old) {
        vr_mutex_lock(&wal->mutex);
        wal->next = NULL;
        vr_mutex_unlock(&wal->mutex);
        varve_status st = vr_segment_dispose_locked(wal, old, err);
        if (st != VARVE_OK) return st;
    }
    varve_status st = vr_segment_make(wal, number, size, &made, err);
    if (st != VARVE_OK) return st;
    vr_mutex_lock(&wal->mutex);
    wal->next = made;
    vr_mutex_unlock(&wal->mutex);
    return VARVE_OK;
}

/* Unmaps what nobody reads any more, and closes what needs no sync. */
static bool trim(vr_wal *wal) {
    bool trimmed = false;
    vr_mutex_lock(&wal->mutex);
    for (vr_segment *seg = wal->oldest; seg; seg = seg->newer) {
        if (seg != wal->active && seg->refs == 0 && vr_segment_rest(wal, seg)) trimmed = true;
    }
    vr_mutex_unlock(&wal->mutex);
    return trimmed;
}

bool vr_wal_prepare(vr_wal *wal) {
    /* acquire: pairs with the release of vr_wal_latch() */
    if (wal->read_only || atomic_load_explicit(&wal->failed, memory_order_acquire)) return false;
    bool made = false;
    vr_mutex_lock(&wal->prepare_mutex);
    vr_mutex_lock(&wal->mutex);
    const vr_segment *active = wal->active;
    uint64_t used = atomic_load_explicit(&active->end, memory_order_relaxed) - VR_WAL_PAGE_BYTES; /* only a hint */
    bool due = !wal->next && (active->recovered || used >= (active->size - VR_WAL_PAGE_BYTES) / 4);
    uint64_t number = active->number + 1;
    vr_mutex_unlock(&wal->mutex);
    if (due) {
        varve_error why;
        made = ensure_next(wal, number, wal->segment_bytes, &why) == VARVE_OK;
        if (!made) vr_diag_say(&wal->env->diag, "wal: the next segment is not prepared: %s", why.message);
    }
    vr_mutex_unlock(&wal->prepare_mutex);
    return trim(wal) || made;
}

/* Writes the SEAL record at the end of the active segment, without publishing it. */
static varve_status write_seal(vr_wal *wal, uint64_t last_sequence, varve_error *err) {
    vr_segment *seg = wal->active;
    char record[VR_WAL_RECORD_BYTES];
    VR_ASSERT(wal->at + VR_WAL_RECORD_BYTES <= seg->size);
    if (wal->mapped && !seg->recovered) { /* then the map is the writer's own; else a reader may be making one */
        vr_wal_record_finish(seg->map + wal->at, seg->number, VR_WAL_SEAL, last_sequence, 0);
        return VARVE_OK;
    }
    vr_wal_record_finish(record, seg->number, VR_WAL_SEAL, last_sequence, 0);
    vr_mutex_lock(&wal->mutex);
    varve_status st = vr_segment_open(wal, seg, err);
    vr_mutex_unlock(&wal->mutex);
    if (st != VARVE_OK) return st;
    varve_error why;
    st = vr_file_pwrite(seg->file, record, sizeof record, wal->at, &why);
    if (st == VARVE_OK) return st;
    vr_error_copy(err, &why);
    if (st == VARVE_NO_SPACE) return st; /* part of it at most, and the next switch writes it again */
    return vr_wal_latch(wal, &why);      /* whether it is there is not known */
}

varve_status vr_wal_switch(vr_wal *wal, uint64_t number, uint64_t record_bytes, varve_error *err) {
    uint64_t size = vr_align_up(VR_WAL_PAGE_BYTES + record_bytes + VR_WAL_TAIL_BYTES, VR_WAL_PAGE_BYTES);
    if (size < wal->segment_bytes) size = wal->segment_bytes;
    uint64_t last = vr_wal_last_sequence(wal);
    vr_mutex_lock(&wal->prepare_mutex);
    varve_status st = ensure_next(wal, number, size, err);
    vr_segment *next = wal->next;
    if (st == VARVE_OK && wal->mapped) st = vr_segment_map(wal, next, true, err);
    if (st == VARVE_OK && wal->active) st = write_seal(wal, last, err);
    if (st != VARVE_OK) goto out;

    vr_mutex_lock(&wal->mutex);
    vr_segment *old = wal->active;
    if (old) {
        old->last_sequence = last;
        old->sealed = true;
        /* release: pairs with the acquire of readers, which find the next segment in the list by then */
        atomic_store_explicit(&old->end, wal->at + VR_WAL_RECORD_BYTES, memory_order_release);
    }
    next->base = last;
    vr_segment_list_append(wal, next);
    wal->next = NULL;
    wal->active = next;
    wal->at = VR_WAL_PAGE_BYTES;
    wal->limit = next->size - VR_WAL_TAIL_BYTES;
    vr_mutex_unlock(&wal->mutex);

out:
    vr_mutex_unlock(&wal->prepare_mutex);
    return st;
}

/* --- Appending --- */

/* What the next SYNC record is to say; taken from the sync, and given back when it was not written. */
typedef struct mark {
    bool due;
    vr_wal_place place;
    uint64_t sequence;
} mark;

static mark take_mark(vr_wal *wal) {
    mark taken = {0};
    /* acquire: pairs with the release of the sync that set it */
    if (!atomic_load_explicit(&wal->unmarked, memory_order_acquire)) return taken;
    vr_mutex_lock(&wal->sync_mutex);
    taken.due = true;
    taken.place = wal->synced_to;
    taken.sequence = wal->synced_to_sequence;
    atomic_store_explicit(&wal->unmarked, false, memory_order_relaxed); /* under sync_mutex */
    vr_mutex_unlock(&wal->sync_mutex);
    return taken;
}

static void give_mark_back(vr_wal *wal, const mark *taken) {
    /* release: pairs with the acquire in take_mark(); synced_to is still what was taken, or newer */
    if (taken->due) atomic_store_explicit(&wal->unmarked, true, memory_order_release);
}

/* Writes [SYNC record] and batch record at out, and zeros behind. Returns the end of the batch record. */
static char *encode(char *out, uint64_t number, const mark *due, uint64_t first_sequence, const varve_slice *parts,
                    size_t part_count, uint64_t payload) {
    if (due->due) out = vr_wal_sync_encode(out, number, due->sequence, due->place);
    vr_put64(out + vr_wal_record_size(payload), 0); /* first: what stands there must not chain */
    char *to = out + VR_WAL_RECORD_BYTES;
    for (size_t i = 0; i < part_count; i++) {
        if (parts[i].size) memcpy(to, parts[i].data, parts[i].size);
        to += parts[i].size;
    }
    return vr_wal_record_finish(out, number, VR_WAL_BATCH, first_sequence, (uint32_t)payload);
}

/* The buffer of pwrite mode, with room for bytes. */
static varve_status reserve_buffer(vr_wal *wal, size_t bytes, varve_error *err) {
    if (bytes <= wal->buffer_bytes) return VARVE_OK;
    size_t capacity = bytes < BUFFER_KEPT_BYTES / 16 ? BUFFER_KEPT_BYTES / 16 : bytes;
    char *buffer = vr_realloc(&wal->env->mem, wal->buffer, capacity);
    if (!buffer) return vr_error_nomem(err, capacity, "a WAL record");
    vr_budget_charge(wal->budget, VR_USE_WAL, capacity - wal->buffer_bytes);
    wal->buffer = buffer;
    wal->buffer_bytes = capacity;
    return VARVE_OK;
}

static void drop_large_buffer(vr_wal *wal) {
    if (wal->buffer_bytes <= BUFFER_KEPT_BYTES) return;
    vr_free(&wal->env->mem, wal->buffer);
    vr_budget_release(wal->budget, VR_USE_WAL, wal->buffer_bytes);
    wal->buffer = NULL;
    wal->buffer_bytes = 0;
}

/*
 * Writes the buffer's bytes at the end. A failure may leave part of them, or all. A full disk leaves a part, as it ran out on the
 * way; the first eight bytes are overwritten if it lets us, and the next append writes over the rest. Any other failure stops the
 * WAL.
 */
static varve_status write_buffer(vr_wal *wal, size_t bytes, varve_error *err) {
    static const char zeros[VR_WAL_ALIGNMENT];
    varve_error why;
    varve_status st = vr_file_pwrite(wal->active->file, wal->buffer, bytes, wal->at, &why);
    if (st == VARVE_OK) return st;
    vr_error_copy(err, &why);
    (void)vr_file_pwrite(wal->active->file, zeros, sizeof zeros, wal->at, NULL);
    return st == VARVE_NO_SPACE ? st : vr_wal_latch(wal, &why);
}

static varve_status check_append(vr_wal *wal, uint64_t first_sequence, uint32_t count, uint64_t payload, varve_error *err) {
    uint64_t last = atomic_load_explicit(&wal->last_sequence, memory_order_relaxed); /* this thread's own */
    if (wal->read_only || atomic_load_explicit(&wal->failed, memory_order_acquire)) return vr_wal_refuse(wal, err);
    if (first_sequence != last + 1 || count == 0 || count > VR_SEQUENCE_MAX - last) {
        return vr_error_set(err, VARVE_INTERNAL, "wal: append of %u sequences at %llu after %llu", count,
                            (unsigned long long)first_sequence, (unsigned long long)last);
    }
    if (payload > VARVE_BATCH_BYTES_MAX || payload < VR_BATCH_HEADER_BYTES) {
        return vr_error_set(err, VARVE_TOO_LARGE, "wal: a batch of %llu bytes; allowed are %u to %u", (unsigned long long)payload,
                            VR_BATCH_HEADER_BYTES, VARVE_BATCH_BYTES_MAX);
    }
    return VARVE_OK;
}

varve_status vr_wal_append(vr_wal *wal, uint64_t first_sequence, uint32_t count, const varve_slice *parts, size_t part_count,
                           varve_error *err) {
    uint64_t payload = 0;
    for (size_t i = 0; i < part_count; i++) payload += parts[i].size;
    varve_status st = check_append(wal, first_sequence, count, payload, err);
    if (st != VARVE_OK) return st;

    mark due = take_mark(wal);
    uint64_t bytes = vr_wal_record_size(payload) + (due.due ? SYNC_RECORD_BYTES : 0);
    if (wal->at + bytes > wal->limit) st = vr_wal_switch(wal, wal->active->number + 1, bytes, err);
    if (st == VARVE_OK && wal->mapped) {
        encode(wal->active->map + wal->at, wal->active->number, &due, first_sequence, parts, part_count, payload);
    } else if (st == VARVE_OK) {
        st = reserve_buffer(wal, (size_t)bytes + VR_WAL_ALIGNMENT, err);
        if (st == VARVE_OK) {
            encode(wal->buffer, wal->active->number, &due, first_sequence, parts, part_count, payload);
            st = write_buffer(wal, (size_t)bytes + VR_WAL_ALIGNMENT, err);
            drop_large_buffer(wal);
        }
    }
    if (st != VARVE_OK) {
        give_mark_back(wal, &due);
        return st;
    }
    wal->at += bytes;
    VR_ASSERT(wal->at <= wal->limit);
    /* release: pairs with the acquire of readers and of the sync; last_sequence after end, so that who sees it sees
     * the record */
    atomic_store_explicit(&wal->active->end, wal->at, memory_order_release);
    atomic_store_explicit(&wal->last_sequence, first_sequence + count - 1, memory_order_release);
    return VARVE_OK;
}

void vr_wal_mark_synced(vr_wal *wal) {
    vr_segment *seg = wal->active;
    char record[SYNC_RECORD_BYTES + VR_WAL_ALIGNMENT] = {0};
    if (wal->read_only || atomic_load_explicit(&wal->failed, memory_order_acquire)) return;
    if (!seg || seg->recovered) return;
    mark due = take_mark(wal);
    if (!due.due) return;
    VR_ASSERT(wal->at + sizeof record <= seg->size - VR_WAL_RECORD_BYTES + VR_WAL_ALIGNMENT);
    vr_wal_sync_encode(record, seg->number, due.sequence, due.place);
    if (wal->mapped) {
        memcpy(seg->map + wal->at, record, sizeof record);
    } else if (vr_file_pwrite(seg->file, record, sizeof record, wal->at, NULL) != VARVE_OK) {
        return; /* only a later proof of damage is lost */
    }
    wal->at += SYNC_RECORD_BYTES;
    atomic_store_explicit(&seg->end, wal->at, memory_order_release); /* pairs with the acquire of readers */
}
