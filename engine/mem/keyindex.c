/*
 * mem/keyindex.c - probing, inserting into and growing the hash index.
 */
#include "mem/keyindex.h"

#include "base/check.h"
#include "base/error.h"
#include "os/env.h"

#define BITS_MIN 6u                     /* a memtable that stays nearly empty costs half a KiB */
#define BITS_MAX 32u                    /* as many as there are distinct hash values, and more than an arena has nodes */
#define PAGES_FROM ((uint64_t)64 << 10) /* arrays of this many bytes and more live on pages of their own */

/* Fullest: 0.6 of the slots while growing works, 0.9 at all. */
static uint64_t keys_normal(uint64_t slots) {
    return slots / 10 * 6 + slots % 10 * 6 / 10;
}

static uint64_t keys_hard(uint64_t slots) {
    return slots / 10 * 9 + slots % 10 * 9 / 10;
}

static unsigned bits_for(uint64_t keys) {
    unsigned bits = BITS_MIN;
    while (bits < BITS_MAX && keys_normal(UINT64_C(1) << bits) < keys) bits++;
    return bits;
}

static vr_slots *slots_create(const vr_mem *mem, unsigned bits) {
    uint64_t bytes = sizeof(vr_slots) + (sizeof(uint64_t) << bits);
    bool pages = bytes >= PAGES_FROM;
    vr_slots *slots = pages ? vr_pages_reserve((size_t)bytes) : vr_zalloc(mem, (size_t)bytes);
    if (!slots) return NULL;
    slots->mask = (UINT64_C(1) << bits) - 1;
    slots->bytes = bytes;
    slots->pages = pages;
    return slots;
}

static void place(vr_slots *slots, uint64_t content, memory_order order) {
    uint64_t at = content >> 32 & slots->mask;
    while (atomic_load_explicit(&slots->slot[at], memory_order_relaxed) != 0) at = (at + 1) & slots->mask;
    atomic_store_explicit(&slots->slot[at], content, order);
}

/* Hands slots over to the index. The release pairs with the acquire of current(). */
static void publish(vr_keyindex *index, vr_slots *slots) {
    vr_budget_charge(index->budget, VR_USE_MEMTABLE, slots->bytes);
    uint64_t bytes = atomic_load_explicit(&index->bytes, memory_order_relaxed);
    atomic_store_explicit(&index->bytes, bytes + slots->bytes, memory_order_relaxed);
    index->grow_at = keys_normal(slots->mask + 1);
    index->keys_max = keys_hard(slots->mask + 1);
    atomic_store_explicit(&index->slots, slots, memory_order_release);
}

/* Pairs with the release of publish(). */
static vr_slots *current(const vr_keyindex *index) {
    return atomic_load_explicit(&index->slots, memory_order_acquire);
}

varve_status vr_keyindex_init(vr_keyindex *index, const vr_mem *mem, vr_budget *budget, uint64_t keys_expected, varve_error *err) {
    vr_slots *slots = slots_create(mem, BITS_MIN);
    if (!slots) return vr_error_nomem(err, sizeof(uint64_t) << BITS_MIN, "a memtable's index");
    *index = (vr_keyindex){.mem = mem, .budget = budget, .bits_expected = bits_for(keys_expected)};
    publish(index, slots);
    return VARVE_OK;
}

void vr_keyindex_destroy(vr_keyindex *index) {
    vr_slots *slots = current(index);
    while (slots) {
        vr_slots *older = slots->older;
        vr_budget_release(index->budget, VR_USE_MEMTABLE, slots->bytes);
        if (slots->pages) {
            vr_pages_release(slots, (size_t)slots->bytes);
        } else {
            vr_free(index->mem, slots);
        }
        slots = older;
    }
    *index = (vr_keyindex){0};
}

/*
 * The size to grow to for keys. A memtable of which more is expected grows by eight at a time, and once it is a
 * sixty-fourth of what is expected, to the whole: an empty one stays small, and a full one has not been copied often.
 */
static unsigned bits_next(const vr_keyindex *index, unsigned bits, uint64_t keys) {
    unsigned next = bits + 1;
    if (next < index->bits_expected) {
        next = bits + 6 >= index->bits_expected ? index->bits_expected : bits + 3;
    }
    unsigned least = bits_for(keys);
    return next > least ? next : least;
}

static bool grow(vr_keyindex *index, uint64_t keys) {
    vr_slots *old = current(index);
    unsigned bits = (unsigned)__builtin_ctzll(old->mask + 1);
    unsigned next = bits_next(index, bits, keys);
    vr_slots *slots = next <= BITS_MAX ? slots_create(index->mem, next) : NULL;
    if (!slots) return false;
    for (uint64_t i = 0; i <= old->mask; i++) {
        uint64_t content = atomic_load_explicit(&old->slot[i], memory_order_relaxed);
        if (content) place(slots, content, memory_order_relaxed); /* the array's publication covers it */
    }
    slots->older = old;
    publish(index, slots);
    return true;
}

bool vr_keyindex_reserve(vr_keyindex *index, uint64_t count) {
    uint64_t keys = index->keys + count;
    if (keys <= index->grow_at) return true;
    if (grow(index, keys)) return true;
    /* Not tried again with each key, only after some more. */
    if (keys <= index->keys_max) index->grow_at = keys + (index->keys_max - keys) / 4;
    return keys <= index->keys_max;
}

void vr_keyindex_insert(vr_keyindex *index, uint32_t hash, uint32_t node) {
    VR_ASSERT(node != 0);
    VR_ASSERT(index->keys < index->keys_max);
    /* Pairs with the acquire in vr_keyindex_find(). */
    place(current(index), (uint64_t)hash << 32 | node, memory_order_release);
    index->keys++;
}

uint32_t vr_keyindex_find(const vr_keyindex *index, const char *base, varve_slice key, uint32_t hash) {
    const vr_slots *slots = current(index);
    for (uint64_t at = hash & slots->mask;; at = (at + 1) & slots->mask) {
        /* Pairs with the release in vr_keyindex_insert(). */
        uint64_t content = atomic_load_explicit(&slots->slot[at], memory_order_acquire);
        if (content == 0) return 0;
        if ((uint32_t)(content >> 32) != hash) continue;
        const vr_node *node = vr_node_at(base, (uint32_t)content);
        __builtin_prefetch((const char *)node + 64); /* the version and its value, which lie behind the key */
        __builtin_prefetch((const char *)node + 128);
        if (vr_equal(key, vr_node_key(node))) return (uint32_t)content;
    }
}

void vr_keyindex_prefetch(const vr_keyindex *index, uint32_t hash) {
    const vr_slots *slots = current(index);
    __builtin_prefetch(&slots->slot[hash & slots->mask]);
}
