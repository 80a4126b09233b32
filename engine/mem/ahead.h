/*
 * mem/ahead.h - the nodes ahead of a scan, fetched side by side.
 *
 * On level 0 each node's place is known only from the one before it: where keys were not added in order, a chain of
 * cache misses. The links of level 2 lead some sixteen nodes on at a time; from several nodes reached that way the
 * stretches between them are walked at once.
 *
 * Thread rule: one thread's, beside the writer. Nodes linked inside a stretch after it was walked are not seen.
 * Invariant: node[at..count) follow each other on level 0 as it was when they were fetched.
 */
#ifndef VR_MEM_AHEAD_H
#define VR_MEM_AHEAD_H

#include "mem/skiplist.h"

#define VR_AHEAD_LANES_MAX 8u
/* A stretch is longer than this one time in twenty; then it is cut and what is behind it not fetched ahead. */
#define VR_AHEAD_STRETCH_MAX 48u

typedef struct vr_ahead {
    uint32_t lanes; /* so many at once the last time: a scan that turns out long gets more */
    uint32_t at, count;
    uint32_t node[VR_AHEAD_LANES_MAX * (VR_AHEAD_STRETCH_MAX + 1)];
} vr_ahead;

/* Forgets what was fetched: the scan goes elsewhere. */
static inline void vr_ahead_reset(vr_ahead *ahead) {
    ahead->lanes = 1;
    ahead->at = ahead->count = 0;
}

/* The node behind node, or 0. node is what the last call gave, or any after a reset. */
uint32_t vr_ahead_next(vr_ahead *ahead, const vr_skiplist *list, uint32_t node);

/* Asks for the lines of the node behind node, unless they were fetched ahead. */
void vr_ahead_ask(const vr_ahead *ahead, const vr_skiplist *list, uint32_t node);

#endif
