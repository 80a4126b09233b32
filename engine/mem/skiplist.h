/*
 * mem/skiplist.h - the order of a memtable's keys: a skiplist (p = 1/4) whose links carry eight bytes of the next key.
 *
 * Prefix. All links use one mapping from keys to 64 bits, monotone in key order: with a common part of `skip` bytes,
 * learned from the first keys and fixed before the first is linked, a key that has it maps to its next eight bytes; one
 * that has not, to 0 or UINT64_MAX, as it sorts before or after. Equal prefixes decide nothing: the whole keys are
 * compared.
 *
 * Why readers need no lock. There is one writer. It completes a node's own links, then for each level stores the
 * predecessor's next, then its prefix, each with release. A reader loads prefix first, then next, each with acquire: if
 * it sees the prefix of a node, it sees that node or a later one as next, and what comes later between the same
 * neighbours sorts lower. So the prefix a reader holds is never below the true one of next: "lower than mine" makes it
 * safe to go there; "higher" may be stale and means to look a level down, and on level 0 to compare the whole key
 * (vr_skiplist_seek() does); "equal" means to compare the whole key.
 *
 * Insertion. A search is a chain of cache misses, and those of different keys are independent. So a new node gets a
 * walker, which takes one step, asks for the cache line of the next one, and waits for its turn; each added node gives
 * all walkers a turn. One that has reached the bottom links its node, moving on from the predecessors it found past
 * what others have put there meanwhile. Nodes are linked after some tens of additions therefore, at no moment many at
 * once. A key beyond the last one is linked at once.
 *
 * Thread rule: add and link by the writer; the rest by any thread.
 * Invariants: a walker's `at` and predecessors sort before its key; every linked node is on level 0; tail[l] is the
 * last node of level l.
 */
#ifndef VR_MEM_SKIPLIST_H
#define VR_MEM_SKIPLIST_H

#include "mem/arena.h"

/* Walkers at most; from how many on they get turns. */
#define VR_WALKERS_MAX 64u
#define VR_WALKERS_BUSY 24u

/* Where the search for one node's place has got to. */
typedef struct vr_walker {
    uint64_t prefix; /* of its key */
    uint32_t node;
    uint32_t at;
    uint32_t level;
    bool compare; /* the next step compares whole keys; the line was asked for */
    uint32_t before[VR_MEM_HEIGHT_MAX];
} vr_walker;

typedef struct vr_skiplist {
    /* constant */
    char *base;    /* the arena's */
    uint32_t head; /* a node without key or versions */
    /* constant once common is published */
    uint32_t skip;
    /* the writer's */
    uint64_t tail_prefix;
    uint32_t tail[VR_MEM_HEIGHT_MAX];
    vr_walker walkers[VR_WALKERS_MAX];
    /* atomic: stored by the writer */
    _Atomic uint32_t common;  /* a node whose key begins with the common part; 0 while nothing is linked */
    _Atomic uint32_t height;  /* levels in use; a reader that sees too few walks further on lower ones */
    _Atomic uint32_t waiting; /* nodes not yet linked: the walkers in use */
} vr_skiplist;

/* Bytes of arena that a list needs for itself. */
#define VR_SKIPLIST_BYTES ((VR_MEM_HEIGHT_MAX - 1) * sizeof(vr_link) + sizeof(vr_node))

/* Makes an empty list in an arena that has VR_SKIPLIST_BYTES. */
void vr_skiplist_init(vr_skiplist *list, vr_arena *arena);

/* Gives the walkers a turn, if they are busy, so that there is room for one more. Before each addition. */
void vr_skiplist_turn(vr_skiplist *list);

/* Takes over a node that is whole but for its links, of a key that is not there yet. */
void vr_skiplist_add(vr_skiplist *list, uint32_t node);

/* Links all that waits. */
void vr_skiplist_link(vr_skiplist *list);

/* The first node whose key is not below key, or 0. */
uint32_t vr_skiplist_seek(const vr_skiplist *list, varve_slice key);

/*
 * A node from which walking forward on level 0 meets the last node below key (or the last of all where key is NULL)
 * after some steps; the head if there is nothing better. level says how far apart such nodes are: 4^level on average.
 */
uint32_t vr_skiplist_before(const vr_skiplist *list, const varve_slice *key, uint32_t level);

/* The node behind node, or 0. */
static inline uint32_t vr_skiplist_next(const vr_skiplist *list, uint32_t node) {
    /* Pairs with the release in insert(). */
    return atomic_load_explicit(&vr_link_at(list->base, node, 0)->next, memory_order_acquire);
}

/* Whether node is in the list, or just being put there: from then on its link leads somewhere, or says that nothing
 * follows. */
static inline bool vr_skiplist_has(const vr_skiplist *list, uint32_t node) {
    const vr_link *link = vr_link_at(list->base, node, 0);
    /* Pairs with the release in insert(). */
    if (atomic_load_explicit(&link->next, memory_order_acquire) != 0) return true;
    return atomic_load_explicit(&link->prefix, memory_order_relaxed) == UINT64_MAX;
}

static inline bool vr_skiplist_waiting(const vr_skiplist *list) {
    /* Pairs with the release in set_waiting(). */
    return atomic_load_explicit(&list->waiting, memory_order_acquire) != 0;
}

#endif
