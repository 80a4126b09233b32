/*
 * sim_partition.c - one partition's log in the simulated broker: appending, ending transactions, cleaning, damage.
 *
 * A marker resolves every open record of its producer in the partition, as Kafka's producer state does; so a log that lost
 * a marker by truncation has records that hang open until the same producer ends its next transaction there.
 *
 * Cleaning follows Kafka 3.9: below the first uncleanable offset (the last stable offset, or the first of the dirty records)
 * the newest committed record of a key stays and aborted records go. A tombstone, and a marker none of whose records is left,
 * get a delete horizon when the cleaner first meets them, and go at a cleaning after it. Offsets never change.
 */
#include "sim_state.h"

#include <stdlib.h>
#include <string.h>

size_t vcl_sim_partition_seek(const vcl_sim_partition *p, int64_t offset) {
    size_t low = 0, high = p->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (p->entries[middle].offset < offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

int64_t vcl_sim_partition_stable_end(const vcl_sim_partition *p) {
    int64_t stable_end = p->end;
    for (size_t i = 0; i < p->open_count; i++) {
        if (p->open[i].first_offset < stable_end) stable_end = p->open[i].first_offset;
    }
    return stable_end;
}

void vcl_sim_entry_record(const vcl_sim_entry *entry, vcl_record *record) {
    const char *at = entry->bytes;
    *record = (vcl_record){
        .key = varve_bytes(at, entry->key_size),
        .value = varve_bytes(at + entry->key_size, entry->value_size),
        .tombstone = entry->tombstone,
        .timestamp_ms = entry->timestamp_ms,
        .mark = varve_bytes(entry->has_mark ? at + entry->key_size + entry->value_size : NULL, entry->mark_size),
        .offset = entry->offset,
    };
    if (entry->tombstone) record->value = varve_bytes(NULL, 0);
}

/* The new entry at the end of the log, zeroed but for its offset; NULL when out of memory. */
static vcl_sim_entry *push(vcl_sim_partition *p) {
    if (!vcl_sim_grow((void **)&p->entries, &p->capacity, p->count, sizeof *p->entries)) return NULL;
    vcl_sim_entry *entry = &p->entries[p->count++];
    *entry = (vcl_sim_entry){.offset = p->end++};
    return entry;
}

static bool note_open(vcl_sim_partition *p, int64_t producer_id, int64_t offset) {
    for (size_t i = 0; i < p->open_count; i++) {
        if (p->open[i].producer_id == producer_id) return true;
    }
    if (!vcl_sim_grow((void **)&p->open, &p->open_capacity, p->open_count, sizeof *p->open)) return false;
    p->open[p->open_count++] = (vcl_sim_open){.producer_id = producer_id, .first_offset = offset};
    return true;
}

static void append_bytes(char **at, varve_slice slice) {
    if (slice.size > 0) memcpy(*at, slice.data, slice.size);
    *at += slice.size;
}

bool vcl_sim_partition_append(vcl_sim_partition *p, int64_t producer_id, const vcl_record *record, int64_t timestamp_ms) {
    varve_slice value = record->tombstone ? varve_bytes(NULL, 0) : record->value;
    varve_slice mark = record->mark.data ? record->mark : varve_bytes(NULL, 0);
    char *bytes = malloc(record->key.size + value.size + mark.size + 1);
    if (!bytes) return false;
    if (!note_open(p, producer_id, p->end)) {
        free(bytes);
        return false;
    }
    vcl_sim_entry *entry = push(p);
    if (!entry) {
        free(bytes);
        return false;
    }
    entry->timestamp_ms = timestamp_ms;
    entry->producer_id = producer_id;
    entry->resolved_at = VCL_SIM_UNRESOLVED;
    entry->bytes = bytes;
    entry->key_size = record->key.size;
    entry->value_size = value.size;
    entry->mark_size = mark.size;
    entry->tombstone = record->tombstone;
    entry->has_mark = record->mark.data != NULL;
    char *at = bytes;
    append_bytes(&at, record->key);
    append_bytes(&at, value);
    append_bytes(&at, mark);
    return true;
}

bool vcl_sim_partition_append_alone(vcl_sim_partition *p, int64_t producer_id, const vcl_record *record, int64_t timestamp_ms) {
    if (!vcl_sim_partition_append(p, producer_id, record, timestamp_ms)) return false;
    vcl_sim_entry *entry = &p->entries[p->count - 1];
    entry->committed = 1;
    entry->resolved_at = entry->offset;
    p->open_count--; /* its row is the last one: it has just been made */
    return true;
}

void vcl_sim_partition_end(vcl_sim_partition *p, int64_t producer_id, bool commit, int64_t timestamp_ms) {
    int64_t first = p->end;
    for (size_t i = 0; i < p->open_count; i++) {
        if (p->open[i].producer_id != producer_id) continue;
        first = p->open[i].first_offset;
        p->open[i] = p->open[--p->open_count];
        break;
    }
    for (size_t i = vcl_sim_partition_seek(p, first); i < p->count; i++) {
        vcl_sim_entry *entry = &p->entries[i];
        if (entry->marker || entry->producer_id != producer_id || entry->committed != 0) continue;
        entry->committed = commit ? 1 : -1;
        entry->resolved_at = p->end;
    }
    vcl_sim_entry *marker = push(p);
    if (!marker) {
        p->end++; /* the offset is spent all the same; readers pass over it */
        return;
    }
    marker->timestamp_ms = timestamp_ms;
    marker->producer_id = producer_id;
    marker->marker = true;
    marker->committed = commit ? 1 : -1;
}

void vcl_sim_partition_truncate(vcl_sim_partition *p, int64_t offset) {
    if (offset >= p->end) return;
    if (offset < p->start) p->start = offset;
    size_t keep = vcl_sim_partition_seek(p, offset);
    for (size_t i = keep; i < p->count; i++) free(p->entries[i].bytes);
    p->count = keep;
    p->end = offset;
    p->open_count = 0;
    for (size_t i = 0; i < p->count; i++) {
        vcl_sim_entry *entry = &p->entries[i];
        if (entry->marker || entry->resolved_at < offset) continue;
        entry->committed = 0;
        entry->resolved_at = VCL_SIM_UNRESOLVED;
        (void)note_open(p, entry->producer_id, entry->offset); /* no memory: the records then hang without holding the stable end */
    }
}

void vcl_sim_partition_set_start(vcl_sim_partition *p, int64_t offset) {
    if (offset <= p->start) return;
    if (offset > p->end) offset = p->end;
    size_t drop = vcl_sim_partition_seek(p, offset);
    for (size_t i = 0; i < drop; i++) free(p->entries[i].bytes);
    if (drop > 0) memmove(p->entries, p->entries + drop, (p->count - drop) * sizeof *p->entries);
    p->count -= drop;
    p->start = offset;
    for (size_t i = 0; i < p->open_count; i++) {
        if (p->open[i].first_offset < offset) p->open[i].first_offset = offset;
    }
}

void vcl_sim_partition_clear(vcl_sim_partition *p) {
    for (size_t i = 0; i < p->count; i++) free(p->entries[i].bytes);
    free(p->entries);
    free(p->open);
    *p = (vcl_sim_partition){0};
}

/* --- Cleaning --------------------------------------------------------------------------------------------------- */

/* The first offset the cleaner must leave alone. */
static int64_t first_uncleanable(const vcl_sim_partition *p, int64_t dirty_records) {
    int64_t limit = vcl_sim_partition_stable_end(p);
    size_t i = p->count;
    while (i > 0 && dirty_records > 0) {
        i--;
        if (!p->entries[i].marker) dirty_records--;
    }
    if (i < p->count && p->entries[i].offset < limit) limit = p->entries[i].offset;
    return limit;
}

static int compare_keys(const vcl_sim_entry *a, const vcl_sim_entry *b) {
    size_t size = a->key_size < b->key_size ? a->key_size : b->key_size;
    int order = size > 0 ? memcmp(a->bytes, b->bytes, size) : 0;
    if (order != 0) return order;
    return a->key_size < b->key_size ? -1 : a->key_size > b->key_size;
}

/* By key, the newest first. */
static int compare_versions(const void *left, const void *right) {
    const vcl_sim_entry *a = *(vcl_sim_entry *const *)left, *b = *(vcl_sim_entry *const *)right;
    int order = compare_keys(a, b);
    if (order != 0) return order;
    return a->offset > b->offset ? -1 : a->offset < b->offset;
}

/* Whether the delete horizon has passed; sets it where there is none yet. */
static bool expired(vcl_sim_entry *entry, int64_t now_ms, int64_t delete_retention_ms) {
    if (entry->delete_horizon_ms == 0) {
        entry->delete_horizon_ms = now_ms + delete_retention_ms;
        return false;
    }
    return now_ms > entry->delete_horizon_ms;
}

/* Whether a record that the marker at entries[index] ended is still in the log. */
static bool marker_is_needed(const vcl_sim_partition *p, size_t index) {
    const vcl_sim_entry *marker = &p->entries[index];
    for (size_t i = index; i-- > 0;) {
        const vcl_sim_entry *entry = &p->entries[i];
        if (entry->producer_id != marker->producer_id) continue;
        if (entry->marker) return false; /* the transaction before: its end is the beginning of this one */
        if (entry->bytes && entry->resolved_at == marker->offset) return true;
    }
    return false;
}

/* Takes the entry out of the log; sweep() closes the gap. */
static void drop(vcl_sim_entry *entry) {
    free(entry->bytes);
    entry->bytes = NULL;
}

static void drop_superseded(vcl_sim_entry **committed, size_t count) {
    qsort(committed, count, sizeof *committed, compare_versions);
    const vcl_sim_entry *newest = count > 0 ? committed[0] : NULL;
    for (size_t i = 1; i < count; i++) {
        if (compare_keys(newest, committed[i]) == 0) {
            drop(committed[i]);
        } else {
            newest = committed[i];
        }
    }
}

/* Markers keep bytes NULL all their life, so `gone` says which of them go. */
static void sweep(vcl_sim_partition *p, const bool *gone) {
    size_t kept = 0;
    for (size_t i = 0; i < p->count; i++) {
        if (p->entries[i].marker ? gone[i] : p->entries[i].bytes == NULL) continue;
        p->entries[kept++] = p->entries[i];
    }
    p->count = kept;
}

void vcl_sim_partition_compact(vcl_sim_partition *p, int64_t dirty_records, int64_t now_ms, int64_t delete_retention_ms) {
    size_t limit = vcl_sim_partition_seek(p, first_uncleanable(p, dirty_records));
    vcl_sim_entry **committed = malloc((limit + 1) * sizeof *committed);
    bool *gone = calloc(p->count + 1, sizeof *gone);
    size_t count = 0;
    if (!committed || !gone) goto out;
    for (size_t i = 0; i < limit; i++) {
        vcl_sim_entry *entry = &p->entries[i];
        if (entry->marker) continue;
        if (entry->committed < 0) {
            drop(entry);
        } else {
            committed[count++] = entry;
        }
    }
    drop_superseded(committed, count);
    for (size_t i = 0; i < limit; i++) {
        vcl_sim_entry *entry = &p->entries[i];
        if (!entry->marker && entry->bytes && entry->tombstone && expired(entry, now_ms, delete_retention_ms)) drop(entry);
        if (entry->marker && !marker_is_needed(p, i)) gone[i] = expired(entry, now_ms, delete_retention_ms);
    }
    sweep(p, gone);
out:
    free(committed);
    free(gone);
}
