/*
 * changelog/deliver.h - brings a group into the log exactly once, whatever the producer answers.
 *
 * A courier has one transactional producer and knows, in its position, how far the log is known. After an outcome that cannot be
 * known (a lost answer, a dead producer) it opens another producer, which fences the one before and so settles what it left, and
 * reads the log from there for the group's mark. Threads: one at a time.
 * Invariant: at most one group is under way; every group before it is in the log below position->next_offset.
 */
#ifndef VCL_DELIVER_H
#define VCL_DELIVER_H

#include "group.h"
#include "link.h"

typedef struct vcl_courier {
    const vcl_link *link;
    vcl_producer *producer; /* NULL: to be opened, and the log to be asked */
    vcl_position *position; /* next_offset, mark_offset, mark_hash and writer are kept up to date */
    vcl_retry retry;
    /* Told of every failure that is tried again, and with NULL that it is over; may be NULL. */
    void (*trouble)(void *context, const varve_error *err);
    void *trouble_context;
} vcl_courier;

/* Opens the first producer: fences who was there before. */
varve_status vcl_courier_open(vcl_courier *courier, varve_error *err);

/*
 * Delivers a sealed group. Returns: VARVE_OK: it is committed, position says where; VARVE_FENCED: another process has taken over,
 * and the group is not in the log or, if it is, was not found before what the other wrote; VARVE_DIVERGED: the log lost records;
 * else the last failure when the retry gave up: whether the group is in the log is then not known.
 */
varve_status vcl_deliver(vcl_courier *courier, const vcl_group *group, varve_error *err);

void vcl_courier_close(vcl_courier *courier);

#endif
