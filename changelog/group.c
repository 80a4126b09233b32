/*
 * changelog/group.c - the records of one transaction.
 */
#include "group.h"

#include <stdlib.h>

#include "report.h"

enum { CAPACITY_FIRST = 1024 };

varve_status vcl_group_add(vcl_group *group, const vcl_record *record, varve_error *err) {
    if (group->count == group->capacity) {
        size_t capacity = group->capacity ? group->capacity * 2 : CAPACITY_FIRST;
        vcl_record *records = realloc(group->records, capacity * sizeof *records);
        if (!records) return vcl_fail(err, VARVE_NOMEM, 0, "out of memory for a group of %zu records", capacity);
        group->records = records;
        group->capacity = capacity;
    }
    vcl_record *added = &group->records[group->count++];
    *added = *record;
    /* An empty key or value is not a null one, also to a client library that tells them apart by the pointer. */
    if (!added->key.data) added->key.data = "";
    if (!added->value.data && !added->tombstone) added->value.data = "";
    added->mark = (varve_slice){NULL, 0};
    group->bytes += record->key.size + record->value.size;
    return VARVE_OK;
}

void vcl_group_seal(vcl_group *group, const vcl_position *position, const uint8_t writer[VCL_ID_BYTES]) {
    group->mark = (vcl_mark){.base = group->base,
                             .records = (uint32_t)group->count,
                             .epoch = position->epoch,
                             .session = position->session,
                             .sequence = group->through};
    memcpy(group->mark.lineage, position->lineage, VCL_ID_BYTES);
    memcpy(group->mark.writer, writer, VCL_ID_BYTES);
    vcl_mark_encode(&group->mark, group->mark_bytes);
    group->records[group->count - 1].mark = varve_bytes(group->mark_bytes, sizeof group->mark_bytes);
}

void vcl_group_clear(vcl_group *group) {
    group->count = 0;
    group->bytes = 0;
    group->base = false;
}

void vcl_group_free(vcl_group *group) {
    free(group->records);
    *group = (vcl_group){0};
}
