/*
 * mem/ahead.c - walking stretches of a skiplist side by side.
 */
#include "mem/ahead.h"

#include "base/check.h"

/* Nodes to start stretches from have a link of this level. */
#define LEAP_LEVEL 2u

/* One stretch: from a node to the next that has a link of LEAP_LEVEL. */
typedef struct stretch {
    uint32_t at;
    uint32_t stop; /* 0: the list's end */
    uint32_t count;
    bool walking;
    uint32_t node[VR_AHEAD_STRETCH_MAX];
} stretch;

static void fetch(const vr_skiplist *list, uint32_t node) {
    const char *at = vr_mem_at(list->base, node);
    __builtin_prefetch(at);
    __builtin_prefetch(at + 64); /* the version and its value */
    __builtin_prefetch(at + 128);
}

/* Sets up to max lanes up, one behind the other, from a node that has a link of LEAP_LEVEL. Returns their number. */
static uint32_t leap(const vr_skiplist *list, uint32_t from, stretch *lanes, uint32_t max) {
    uint32_t count = 0;
    while (count < max && from != 0) {
        /* Pairs with the release in the writer's insert(). A node reached here is on level 0 too. */
        uint32_t stop = atomic_load_explicit(&vr_link_at(list->base, from, LEAP_LEVEL)->next, memory_order_acquire);
        if (stop != 0) fetch(list, stop);
        stretch *next = &lanes[count++];
        next->at = from;
        next->stop = stop;
        next->count = 0;
        next->walking = true;
        from = stop;
    }
    return count;
}

/* Takes a lane one node on. */
static void advance(const vr_skiplist *list, stretch *lane) {
    uint32_t next = vr_skiplist_next(list, lane->at);
    if (next == lane->stop || lane->count == VR_AHEAD_STRETCH_MAX) {
        lane->walking = false;
        lane->at = next;
        return;
    }
    VR_ASSERT(next != 0);
    fetch(list, next);
    lane->node[lane->count++] = next;
    lane->at = next;
}

static void walk(const vr_skiplist *list, stretch *lanes, uint32_t count) {
    bool walking = true;
    while (walking) {
        walking = false;
        for (uint32_t i = 0; i < count; i++) {
            if (!lanes[i].walking) continue;
            advance(list, &lanes[i]);
            walking = true;
        }
    }
}

static void fill(vr_ahead *ahead, const vr_skiplist *list, uint32_t from) {
    stretch lanes[VR_AHEAD_LANES_MAX];
    if (ahead->lanes < VR_AHEAD_LANES_MAX) ahead->lanes *= 2;
    uint32_t lane_count = leap(list, from, lanes, ahead->lanes);
    walk(list, lanes, lane_count);
    uint32_t count = 0;
    for (uint32_t i = 0; i < lane_count; i++) {
        memcpy(ahead->node + count, lanes[i].node, lanes[i].count * sizeof *ahead->node);
        count += lanes[i].count;
        bool cut = lanes[i].at != lanes[i].stop;
        if (cut || lanes[i].stop == 0) break;
        ahead->node[count++] = lanes[i].stop;
    }
    ahead->at = 0;
    ahead->count = count;
}

uint32_t vr_ahead_next(vr_ahead *ahead, const vr_skiplist *list, uint32_t node) {
    VR_ASSERT(ahead->lanes > 0);
    bool fetched = ahead->at < ahead->count;
    if (!fetched && node != list->head && vr_node_at(list->base, node)->height > LEAP_LEVEL) fill(ahead, list, node);
    if (ahead->at < ahead->count) return ahead->node[ahead->at++];
    return vr_skiplist_next(list, node);
}

void vr_ahead_ask(const vr_ahead *ahead, const vr_skiplist *list, uint32_t node) {
    if (ahead->at < ahead->count) return;
    uint32_t next = vr_skiplist_next(list, node);
    if (next != 0) fetch(list, next);
}
