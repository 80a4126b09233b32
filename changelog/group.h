/*
 * changelog/group.h - the records of one transaction, in order, with the mark on the last one.
 *
 * Memory: keys and values are the caller's and must stay until the group is cleared. Threads: one.
 */
#ifndef VCL_GROUP_H
#define VCL_GROUP_H

#include "position.h"
#include "transport.h"

typedef struct vcl_group {
    vcl_record *records;
    size_t count, capacity;
    uint64_t bytes;   /* of keys and values */
    uint64_t through; /* the mark's sequence: the end of the last whole batch */
    bool base;        /* part of a full copy, and not its last */
    vcl_mark mark;    /* set by vcl_group_seal() */
    uint8_t mark_bytes[VCL_MARK_BYTES];
} vcl_group;

varve_status vcl_group_add(vcl_group *group, const vcl_record *record, varve_error *err);

/* Puts the mark on the last record. The group must not be empty. */
void vcl_group_seal(vcl_group *group, const vcl_position *position, const uint8_t writer[VCL_ID_BYTES]);

void vcl_group_clear(vcl_group *group); /* keeps its memory */
void vcl_group_free(vcl_group *group);

#endif
