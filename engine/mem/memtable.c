/*
 * mem/memtable.c - adding to a memtable, point reads, counters, lifetime.
 */
#include "base/check.h"
#include "base/error.h"
#include "mem/memtable_parts.h"

/* A change takes at least this much of a batch: kind, store id, key size. */
#define CHANGE_BYTES_MIN 3u
/* What an entry takes beyond its key and value, at most, links above level 0 apart: a gap of one unit, then the parts,
 * each rounded up. */
#define ENTRY_BYTES (VR_MEM_UNIT + offsetof(vr_node, key) + sizeof(vr_version) + 2 * (VR_MEM_UNIT - 1))
/* What a link above level 0 takes: itself, and as much gap. */
#define UPPER_LINK_BYTES (2 * sizeof(vr_link))
#define CACHE_LINE 64u
/* Links above level 0 are one in three keys on average; heights are cut so that they are never more than one in two and
 * this many. */
#define UPPER_LINKS_SLACK 64u

static uint64_t get(const _Atomic uint64_t *counter) {
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static void set(_Atomic uint64_t *counter, uint64_t value) {
    atomic_store_explicit(counter, value, memory_order_relaxed);
}

static uint64_t upper_links_max(uint64_t keys) {
    return keys / 2 + UPPER_LINKS_SLACK;
}

/* Arena bytes that count entries with bytes of keys and values take at most. */
static uint64_t arena_bytes_max(const vr_memtable *mt, uint64_t bytes, uint64_t count) {
    uint64_t links = upper_links_max(get(&mt->keys) + count) - mt->upper_links;
    return bytes + count * ENTRY_BYTES + links * UPPER_LINK_BYTES;
}

varve_status vr_memtable_create(const vr_env *env, vr_budget *budget, uint64_t bytes, uint64_t keys_expected, vr_memtable **mt,
                                varve_error *err) {
    vr_memtable *made = vr_zalloc(&env->mem, sizeof *made);
    if (!made) return vr_error_nomem(err, sizeof *made, "a memtable");
    made->env = env;
    atomic_init(&made->references, 1);
    /* Any legal batch fits one that is not yet full: its changes may be as small as they get. Address space is all that
     * this takes. */
    uint64_t batch = arena_bytes_max(made, VARVE_BATCH_BYTES_MAX, VARVE_BATCH_BYTES_MAX / CHANGE_BYTES_MIN);
    uint64_t limit = bytes < VR_ARENA_BYTES_MAX / 2 ? bytes : VR_ARENA_BYTES_MAX / 2;
    uint64_t least = limit + limit / 2 + VR_SKIPLIST_BYTES;
    varve_status status = vr_arena_init(&made->arena, budget, limit + batch + VR_SKIPLIST_BYTES, least, err);
    if (status != VARVE_OK) goto out;
    status = vr_keyindex_init(&made->index, &env->mem, budget, keys_expected, err);
    if (status != VARVE_OK) goto out;
    vr_budget_charge(budget, VR_USE_MEMTABLE, sizeof *made);
    vr_skiplist_init(&made->list, &made->arena);
    env->random_bytes(env->context, &made->random, sizeof made->random);
    made->random |= 1; /* the generator's one bad state is 0 */
    *mt = made;
    made = NULL;
out:
    if (made) {
        vr_arena_destroy(&made->arena);
        vr_free(&env->mem, made);
    }
    return status;
}

void vr_memtable_ref(vr_memtable *mt) {
    atomic_fetch_add_explicit(&mt->references, 1, memory_order_relaxed);
}

void vr_memtable_unref(vr_memtable *mt) {
    /* Each release pairs with the acquire of the last: all uses are over before the memory goes. */
    uint32_t before = atomic_fetch_sub_explicit(&mt->references, 1, memory_order_acq_rel);
    VR_ASSERT(before > 0);
    if (before > 1) return;
    vr_budget_release(mt->arena.budget, VR_USE_MEMTABLE, sizeof *mt);
    vr_keyindex_destroy(&mt->index);
    vr_arena_destroy(&mt->arena);
    vr_free(&mt->env->mem, mt);
}

bool vr_memtable_fits(vr_memtable *mt, uint64_t batch_bytes, uint32_t count) {
    if (!vr_arena_has(&mt->arena, batch_bytes)) return false; /* and so the sum below cannot wrap */
    return vr_arena_has(&mt->arena, arena_bytes_max(mt, batch_bytes, count)) && vr_keyindex_reserve(&mt->index, count);
}

void vr_memtable_prefetch(const vr_memtable *mt, uint64_t key_hash) {
    vr_keyindex_prefetch(&mt->index, (uint32_t)key_hash);
}

/* One in four nodes reaches the next level. Xorshift after G. Marsaglia, 2003. */
static uint32_t draw_height(vr_memtable *mt) {
    uint64_t random = mt->random;
    random ^= random << 13;
    random ^= random >> 7;
    random ^= random << 17;
    mt->random = random;
    uint32_t upper = (uint32_t)__builtin_ctzll(random >> 20 | UINT64_C(1) << 2 * (VR_MEM_HEIGHT_MAX - 1)) / 2;
    uint64_t allowed = upper_links_max(get(&mt->keys) + 1) - mt->upper_links;
    return 1 + (upper < allowed ? upper : (uint32_t)allowed);
}

static void fill_version(vr_memtable *mt, uint32_t reference, uint64_t trailer, uint32_t older, varve_slice value) {
    vr_version *version = vr_version_at(mt->arena.base, reference);
    version->trailer = trailer;
    version->older = older;
    version->value_size = (uint32_t)value.size;
    if (value.size) memcpy(version->value, value.data, value.size);
}

/* Puts a version before those a node has. */
static bool add_version(vr_memtable *mt, uint32_t node, uint64_t trailer, varve_slice value) {
    uint64_t bytes = vr_version_bytes(value.size);
    if (!vr_arena_has(&mt->arena, bytes)) return false;
    uint32_t older = vr_node_newest(mt->arena.base, node);
    VR_ASSERT(vr_version_at(mt->arena.base, older)->trailer < trailer);
    uint32_t version = vr_arena_take(&mt->arena, bytes);
    fill_version(mt, version, trailer, older, value);
    /* Pairs with the acquire in vr_node_newest(). */
    atomic_store_explicit(&vr_node_at(mt->arena.base, node)->level0.newest, version, memory_order_release);
    return true;
}

/* What to leave free at an arena's end so that the lowest links of a node of this height, those a search meets, share a
 * cache line. */
static uint64_t gap_bytes(uint64_t used, uint32_t height) {
    uint64_t together = height < CACHE_LINE / sizeof(vr_link) ? height * sizeof(vr_link) : CACHE_LINE;
    uint64_t from = (used + height * sizeof(vr_link) - together) % CACHE_LINE;
    return from + together > CACHE_LINE ? CACHE_LINE - from : 0;
}

/* Makes a node with its first version, enters it in the index and has it linked. */
static bool add_key(vr_memtable *mt, uint64_t trailer, varve_slice key, uint32_t hash, varve_slice value) {
    if (!vr_keyindex_reserve(&mt->index, 1)) return false;
    uint32_t height = draw_height(mt);
    uint64_t links_bytes = (height - 1) * sizeof(vr_link), node_bytes = vr_node_bytes(key.size);
    uint64_t gap = gap_bytes(vr_arena_used(&mt->arena), height);
    uint64_t bytes = gap + links_bytes + node_bytes + vr_version_bytes(value.size);
    if (!vr_arena_has(&mt->arena, bytes)) return false;
    uint32_t at = vr_arena_take(&mt->arena, bytes);
    uint32_t reference = at + (uint32_t)((gap + links_bytes) / VR_MEM_UNIT);
    uint32_t version = reference + (uint32_t)(node_bytes / VR_MEM_UNIT);
    vr_node *node = vr_node_at(mt->arena.base, reference);
    node->key_size = (uint16_t)key.size;
    node->height = (uint8_t)height;
    if (key.size) memcpy(node->key, key.data, key.size);
    fill_version(mt, version, trailer, 0, value);
    atomic_store_explicit(&node->level0.newest, version, memory_order_relaxed); /* the node's publication covers it */
    mt->upper_links += height - 1;
    set(&mt->keys, get(&mt->keys) + 1);
    vr_keyindex_insert(&mt->index, hash, reference);
    vr_skiplist_add(&mt->list, reference);
    return true;
}

varve_status vr_memtable_add(vr_memtable *mt, uint64_t sequence, vr_kind kind, varve_slice key, uint64_t key_hash,
                             varve_slice value, varve_error *err) {
    VR_ASSERT(kind == VR_KIND_PUT || kind == VR_KIND_DELETE);
    VR_ASSERT(sequence > 0 && sequence <= VR_SEQUENCE_MAX && sequence > get(&mt->max_sequence));
    VR_ASSERT(key.size <= VARVE_KEY_BYTES_MAX && value.size <= VARVE_VALUE_BYTES_MAX);
    uint64_t trailer = vr_trailer(sequence, kind);
    uint32_t hash = (uint32_t)key_hash;
    vr_keyindex_prefetch(&mt->index, hash);
    vr_skiplist_turn(&mt->list); /* while the index's line is on its way */
    uint32_t node = vr_keyindex_find(&mt->index, mt->arena.base, key, hash);
    bool added = node ? add_version(mt, node, trailer, value) : add_key(mt, trailer, key, hash, value);
    if (!added) return vr_error_nomem(err, key.size + value.size, "a memtable's entry");
    if (get(&mt->entries) == 0) set(&mt->min_sequence, sequence);
    set(&mt->entries, get(&mt->entries) + 1);
    set(&mt->max_sequence, sequence);
    return VARVE_OK;
}

void vr_memtable_link(vr_memtable *mt) {
    vr_skiplist_link(&mt->list);
}

bool vr_memtable_pending(const vr_memtable *mt) {
    return vr_skiplist_waiting(&mt->list);
}

bool vr_memtable_get(const vr_memtable *mt, varve_slice key, uint64_t key_hash, uint64_t sequence, uint64_t *trailer,
                     varve_slice *value) {
    const char *base = mt->arena.base;
    uint32_t node = vr_keyindex_find(&mt->index, base, key, (uint32_t)key_hash);
    if (node == 0) return false;
    for (uint32_t at = vr_node_newest(base, node); at != 0;) {
        const vr_version *version = vr_version_at(base, at);
        if (vr_trailer_sequence(version->trailer) <= sequence) {
            *trailer = version->trailer;
            *value = vr_version_value(version);
            return true;
        }
        at = version->older;
    }
    return false;
}

uint64_t vr_memtable_bytes(const vr_memtable *mt) {
    return sizeof *mt + vr_arena_used(&mt->arena) + get(&mt->index.bytes);
}

uint64_t vr_memtable_keys(const vr_memtable *mt) {
    return get(&mt->keys);
}

uint64_t vr_memtable_entries(const vr_memtable *mt) {
    return get(&mt->entries);
}

uint64_t vr_memtable_min_sequence(const vr_memtable *mt) {
    return get(&mt->min_sequence);
}

uint64_t vr_memtable_max_sequence(const vr_memtable *mt) {
    return get(&mt->max_sequence);
}
