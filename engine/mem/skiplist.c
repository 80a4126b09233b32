/*
 * mem/skiplist.c - the skiplist's one writer: learning the common part, walking, linking; and its readers' searches.
 */
#include "mem/skiplist.h"

#include "base/check.h"

/* A common part learned from fewer keys than this, or from keys that came in order, is taken to be longer than that of
 * keys to come. */
#define LEARN_KEYS_FEW 32u
#define LEARN_BACK_OFF 4u

/* Upper levels with so few nodes that they stay in the nearest cache: a new walker passes them at once. */
#define NEAR_LEVELS 4u

static varve_slice key_of(const vr_skiplist *list, uint32_t node) {
    return vr_node_key(vr_node_at(list->base, node));
}

/* The mapping of the file header. The common part is learned. */
static uint64_t prefix_of(const vr_skiplist *list, varve_slice key) {
    size_t skip = list->skip;
    if (skip == 0) return vr_key_prefix(key.data, key.size);
    uint32_t common = atomic_load_explicit(&list->common, memory_order_relaxed);
    int order = key.size ? memcmp(key.data, vr_node_at(list->base, common)->key, vr_min_size(skip, key.size)) : 0;
    if (order > 0) return UINT64_MAX;
    if (order < 0 || key.size < skip) return 0;
    return vr_key_prefix(key.data + skip, key.size - skip);
}

/* The counterpart of learn(): false while nothing is linked for this thread. */
static bool is_learned(const vr_skiplist *list) {
    return atomic_load_explicit(&list->common, memory_order_acquire) != 0;
}

/* Pairs with the acquire in vr_skiplist_waiting(): who sees that nothing waits sees the links. */
static void set_waiting(vr_skiplist *list, uint32_t count) {
    atomic_store_explicit(&list->waiting, count, memory_order_release);
}

static uint32_t get_height(const vr_skiplist *list) {
    return atomic_load_explicit(&list->height, memory_order_relaxed);
}

void vr_skiplist_init(vr_skiplist *list, vr_arena *arena) {
    memset(list, 0, sizeof *list);
    list->base = arena->base;
    uint32_t links = vr_arena_take(arena, (VR_MEM_HEIGHT_MAX - 1) * sizeof(vr_link));
    uint32_t head = vr_arena_take(arena, sizeof(vr_node));
    VR_ASSERT(head > links);
    list->head = head;
    vr_node_at(list->base, head)->height = VR_MEM_HEIGHT_MAX;
    for (uint32_t level = 0; level < VR_MEM_HEIGHT_MAX; level++) {
        atomic_store_explicit(&vr_link_at(list->base, head, level)->prefix, UINT64_MAX, memory_order_relaxed);
        list->tail[level] = head;
    }
    atomic_store_explicit(&list->height, 1, memory_order_relaxed);
}

/* Puts node behind before, whose link says that prefix and next follow. The releases pair with the acquires of readers'
 * searches. */
static void insert(vr_skiplist *list, uint32_t before, uint32_t node, uint64_t node_prefix, uint32_t level) {
    vr_link *from = vr_link_at(list->base, before, level);
    vr_link *own = vr_link_at(list->base, node, level);
    uint32_t next = atomic_load_explicit(&from->next, memory_order_relaxed);
    uint64_t next_prefix = atomic_load_explicit(&from->prefix, memory_order_relaxed);
    VR_ASSERT(node_prefix <= next_prefix);
    atomic_store_explicit(&own->prefix, next_prefix, memory_order_relaxed);
    atomic_store_explicit(&own->next, next, memory_order_release); /* who came by the hash index leaves from here */
    atomic_store_explicit(&from->next, node, memory_order_release);
    atomic_store_explicit(&from->prefix, node_prefix, memory_order_release);
    if (next == 0) {
        list->tail[level] = node;
        if (level == 0) list->tail_prefix = node_prefix;
    }
}

static void raise_height(vr_skiplist *list, uint32_t height) {
    if (height > get_height(list)) atomic_store_explicit(&list->height, height, memory_order_relaxed);
}

static bool is_beyond_tail(const vr_skiplist *list, uint32_t node, uint64_t prefix) {
    if (list->tail[0] == list->head || prefix > list->tail_prefix) return true;
    return prefix == list->tail_prefix && vr_compare(key_of(list, node), key_of(list, list->tail[0])) > 0;
}

static void append(vr_skiplist *list, uint32_t node, uint64_t prefix) {
    uint32_t height = vr_node_at(list->base, node)->height;
    for (uint32_t level = 0; level < height; level++) insert(list, list->tail[level], node, prefix, level);
    raise_height(list, height);
}

/* Whether the node that from leads to sorts before key. The writer's: what it sees in a link belongs together. */
static bool leads_below(const vr_skiplist *list, const vr_link *from, uint64_t prefix, varve_slice key) {
    uint64_t next_prefix = atomic_load_explicit(&from->prefix, memory_order_relaxed);
    if (next_prefix != prefix) return next_prefix < prefix;
    uint32_t next = atomic_load_explicit(&from->next, memory_order_relaxed);
    return next != 0 && vr_compare(key_of(list, next), key) < 0;
}

/* Links the node of a walker that has reached the bottom. */
static void land(vr_skiplist *list, const vr_walker *walker) {
    const vr_node *node = vr_node_at(list->base, walker->node);
    for (uint32_t level = 0; level < node->height; level++) {
        uint32_t before = walker->before[level];
        const vr_link *from = vr_link_at(list->base, before, level);
        while (leads_below(list, from, walker->prefix, vr_node_key(node))) {
            before = atomic_load_explicit(&from->next, memory_order_relaxed);
            from = vr_link_at(list->base, before, level);
        }
        insert(list, before, walker->node, walker->prefix, level);
    }
    raise_height(list, node->height);
}

/*
 * Takes a walker forward to the next node, or as far down as it can tell to go from here. Returns true at the bottom.
 * Each return but that one has asked for the line the next step needs.
 */
static inline bool step(const vr_skiplist *list, vr_walker *walker) {
    const char *base = list->base;
    for (;;) {
        const vr_link *from = vr_link_at(base, walker->at, walker->level);
        uint64_t prefix = atomic_load_explicit(&from->prefix, memory_order_relaxed);
        uint32_t next = atomic_load_explicit(&from->next, memory_order_relaxed);
        bool below = prefix < walker->prefix;
        if (prefix == walker->prefix && next != 0) {
            if (!walker->compare) {
                walker->compare = true;
                __builtin_prefetch(vr_node_at(base, next)->key);
                return false;
            }
            walker->compare = false;
            below = vr_compare(key_of(list, next), key_of(list, walker->node)) < 0;
        }
        if (below) {
            walker->at = next;
            __builtin_prefetch(vr_link_at(base, next, walker->level));
            return false;
        }
        walker->before[walker->level] = walker->at;
        if (walker->level == 0) return true;
        walker->level--;
    }
}

static void start(const vr_skiplist *list, vr_walker *walker, uint32_t node, uint64_t prefix) {
    uint32_t height = get_height(list);
    walker->prefix = prefix;
    walker->node = node;
    walker->at = list->head;
    walker->level = height - 1;
    walker->compare = false;
    for (uint32_t level = height; level < VR_MEM_HEIGHT_MAX; level++) walker->before[level] = list->head;
    uint32_t near = height > NEAR_LEVELS ? height - NEAR_LEVELS : 0;
    while (walker->level > near) {
        if (step(list, walker)) return;
    }
}

/* Gives each of count walkers one step; those at the bottom link their nodes and leave. Returns how many are left. */
static uint32_t turn(vr_skiplist *list, uint32_t count) {
    for (uint32_t i = 0; i < count;) {
        if (!step(list, &list->walkers[i])) {
            i++;
            continue;
        }
        land(list, &list->walkers[i]);
        count--;
        if (i < count) list->walkers[i] = list->walkers[count];
    }
    return count;
}

/*
 * Fixes the common part from the nodes that wait. It ends so early that the eight bytes behind it are all within the
 * shortest key: the counters that end many keys then change inside them.
 */
static void learn(vr_skiplist *list, uint32_t count) {
    varve_slice first = key_of(list, list->walkers[0].node), previous = first;
    size_t skip = first.size, shortest = first.size;
    bool rising = true;
    for (uint32_t i = 1; i < count; i++) {
        varve_slice key = key_of(list, list->walkers[i].node);
        skip = vr_min_size(skip, vr_common_prefix(varve_bytes(first.data, skip), key));
        shortest = vr_min_size(shortest, key.size);
        rising = rising && vr_compare(previous, key) < 0;
        previous = key;
    }
    if (count < LEARN_KEYS_FEW || rising) skip -= vr_min_size(skip, LEARN_BACK_OFF);
    size_t within = shortest > sizeof(uint64_t) ? shortest - sizeof(uint64_t) : 0;
    list->skip = (uint32_t)vr_min_size(skip, within);
    /* Pairs with the acquire in is_learned(). */
    atomic_store_explicit(&list->common, list->walkers[0].node, memory_order_release);
}

/* Starts the walkers of the first nodes, which had to wait for the common part. Returns how many are left. */
static uint32_t start_first(vr_skiplist *list, uint32_t count) {
    learn(list, count);
    uint32_t left = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t node = list->walkers[i].node;
        uint64_t prefix = prefix_of(list, key_of(list, node));
        if (is_beyond_tail(list, node, prefix)) {
            append(list, node, prefix);
        } else {
            start(list, &list->walkers[left++], node, prefix);
        }
    }
    return left;
}

void vr_skiplist_link(vr_skiplist *list) {
    uint32_t count = atomic_load_explicit(&list->waiting, memory_order_relaxed);
    if (count == 0) return;
    if (!is_learned(list)) count = start_first(list, count);
    while (count > 0) count = turn(list, count);
    set_waiting(list, 0);
}

void vr_skiplist_add(vr_skiplist *list, uint32_t node) {
    uint32_t count = atomic_load_explicit(&list->waiting, memory_order_relaxed);
    VR_ASSERT(count < VR_WALKERS_MAX);
    if (!is_learned(list)) {
        list->walkers[count].node = node;
        set_waiting(list, count + 1);
        if (count + 1 == VR_WALKERS_MAX) vr_skiplist_link(list);
        return;
    }
    uint64_t prefix = prefix_of(list, key_of(list, node));
    if (is_beyond_tail(list, node, prefix)) {
        append(list, node, prefix);
        return;
    }
    start(list, &list->walkers[count], node, prefix);
    set_waiting(list, count + 1);
}

void vr_skiplist_turn(vr_skiplist *list) {
    uint32_t count = atomic_load_explicit(&list->waiting, memory_order_relaxed);
    if (count < VR_WALKERS_BUSY || !is_learned(list)) return;
    uint32_t left = turn(list, count);
    while (left == VR_WALKERS_MAX) left = turn(list, left);
    if (left != count) set_waiting(list, left);
}

/* The last node on level that a reader finds below key, or the head. Stops early where a prefix it sees is stale. */
static uint32_t search(const vr_skiplist *list, varve_slice key, uint32_t to_level) {
    uint64_t mine = prefix_of(list, key);
    uint32_t at = list->head, level = get_height(list) - 1;
    for (;;) {
        const vr_link *from = vr_link_at(list->base, at, level);
        /* This order, and both with acquire, against the releases in insert(): see the file header. */
        uint64_t prefix = atomic_load_explicit(&from->prefix, memory_order_acquire);
        uint32_t next = atomic_load_explicit(&from->next, memory_order_acquire);
        if (prefix < mine || (prefix == mine && next != 0 && vr_compare(key_of(list, next), key) < 0)) {
            VR_ASSERT(next != 0);
            at = next;
        } else if (level <= to_level) {
            return at;
        } else {
            level--;
        }
    }
}

uint32_t vr_skiplist_seek(const vr_skiplist *list, varve_slice key) {
    if (!is_learned(list)) return 0;
    uint32_t next = vr_skiplist_next(list, search(list, key, 0));
    while (next != 0 && vr_compare(key_of(list, next), key) < 0) next = vr_skiplist_next(list, next);
    return next;
}

uint32_t vr_skiplist_before(const vr_skiplist *list, const varve_slice *key, uint32_t level) {
    if (!is_learned(list)) return list->head;
    if (key) return search(list, *key, level);
    uint32_t at = list->head;
    for (uint32_t l = get_height(list); l-- > 0;) {
        if (l < level) break;
        for (;;) {
            /* Pairs with the release in insert(). */
            uint32_t next = atomic_load_explicit(&vr_link_at(list->base, at, l)->next, memory_order_acquire);
            if (next == 0) break;
            at = next;
        }
    }
    return at;
}
