/*
 * table/cache.c - see table/cache.h and table/slots.h.
 *
 * The hand goes over the slots of all open tables in turn. A block that was read since the hand last passed is spared once;
 * another one leaves its slot and is retired. What is retired but not yet released still counts in the budget, so the hand
 * subtracts it from what it has to evict: otherwise a reader that lingers in the epoch would empty the whole cache.
 */
#include "table/cache.h"

#include "base/check.h"
#include "base/error.h"
#include "os/thread.h"
#include "table/slots.h"

#define STRIPES 16u

/* What a malloc'd block takes beside its bytes. */
#define ALLOCATION_BYTES 16u

/* Loads evict this much below the limit at least, so that not each of them has to. */
#define SLACK_BYTES (64u << 10)

/* Counters of a few threads, on cache lines of their own. */
typedef struct stripe {
    _Atomic uint64_t hits, misses, evictions;
    char apart[128 - 3 * sizeof(uint64_t)];
} stripe;

struct vr_cache {
    vr_mem mem; /* constant from here: copies, for blocks that outlive the environment handle */
    vr_budget *budget;
    vr_epoch *epoch;
    vr_mutex mutex; /* VR_RANK_TABLE: ring, hand */
    vr_slots *ring; /* guarded by mutex: any slots of the ring; NULL when it is empty */
    vr_slots *hand; /* guarded by mutex: where the hand is, NULL when the ring is empty */
    uint32_t hand_at;
    uint64_t slot_count;            /* guarded by mutex: sum over the ring */
    _Atomic uint64_t retired_bytes; /* charged, in no slot, waiting for the epoch */
    _Atomic uint64_t references;    /* blocks alive, and one for the owner: the last one releases the cache */
    vr_decompressors decompressors;
    stripe stripes[STRIPES];
};

varve_status vr_cache_create(const vr_env *env, vr_budget *budget, vr_epoch *epoch, vr_cache **cache, varve_error *err) {
    vr_cache *made = vr_zalloc(&env->mem, sizeof *made);
    if (!made) return vr_error_nomem(err, sizeof *made, "the block cache");
    made->mem = env->mem;
    made->budget = budget;
    made->epoch = epoch;
    atomic_init(&made->references, 1);
    vr_mutex_init(&made->mutex, VR_RANK_TABLE);
    vr_decompressors_init(&made->decompressors, &made->mem);
    *cache = made;
    return VARVE_OK;
}

static void cache_unref(vr_cache *cache) {
    /* Releases this user's accesses, acquires all others' before the memory goes. */
    if (atomic_fetch_sub_explicit(&cache->references, 1, memory_order_acq_rel) != 1) return;
    vr_decompressors_destroy(&cache->decompressors);
    vr_mutex_destroy(&cache->mutex);
    vr_mem mem = cache->mem;
    vr_free(&mem, cache);
}

void vr_cache_free(vr_cache *cache) {
    if (!cache) return;
    VR_ASSERT(cache->ring == NULL);
    cache_unref(cache);
}

vr_epoch *vr_cache_epoch(vr_cache *cache) {
    return cache->epoch;
}

vr_decompressors *vr_cache_decompressors(vr_cache *cache) {
    return &cache->decompressors;
}

void vr_cache_count(vr_cache *cache, bool hit) {
    stripe *mine = &cache->stripes[vr_thread_stripe() % STRIPES];
    _Atomic uint64_t *counter = hit ? &mine->hits : &mine->misses;
    /* Not a locked addition: two threads of one stripe may lose a count now and then, a hit is not slowed for it. */
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1, memory_order_relaxed);
}

void vr_cache_stats_get(const vr_cache *cache, vr_cache_stats *stats) {
    vr_cache_stats sum = {.bytes = vr_budget_held(cache->budget, VR_USE_CACHE)};
    for (size_t i = 0; i < STRIPES; i++) {
        sum.hits += atomic_load_explicit(&cache->stripes[i].hits, memory_order_relaxed);
        sum.misses += atomic_load_explicit(&cache->stripes[i].misses, memory_order_relaxed);
        sum.evictions += atomic_load_explicit(&cache->stripes[i].evictions, memory_order_relaxed);
    }
    *stats = sum;
}

static uint64_t charged_bytes(const vr_cached *block) {
    return VR_CACHED_ROOM + ALLOCATION_BYTES + block->bytes;
}

void vr_cached_pin(vr_cached *block) {
    uint32_t before = atomic_fetch_add_explicit(&block->references, 1, memory_order_relaxed);
    VR_ASSERT(before > 0);
    (void)before;
}

void vr_cached_unpin(vr_cached *block) {
    if (!block) return;
    /* Releases this user's reads, acquires all others' before the memory goes. */
    if (atomic_fetch_sub_explicit(&block->references, 1, memory_order_acq_rel) != 1) return;
    vr_cache *cache = block->cache;
    vr_budget_release(cache->budget, VR_USE_CACHE, charged_bytes(block));
    vr_free(&cache->mem, block);
    cache_unref(cache);
}

/* The epoch's release: no reader is left that found the block in its slot. */
static void release_retired(vr_retired *retired, void *context) {
    vr_cached *block = (vr_cached *)retired; /* its first member */
    vr_cache *cache = context;
    atomic_fetch_sub_explicit(&cache->retired_bytes, charged_bytes(block), memory_order_relaxed);
    vr_cached_unpin(block);
}

void vr_slots_add(vr_cache *cache, vr_slots *slots) {
    vr_mutex_lock(&cache->mutex);
    if (cache->ring) {
        slots->next = cache->ring;
        slots->prev = cache->ring->prev;
        slots->prev->next = slots->next->prev = slots;
    } else {
        cache->ring = cache->hand = slots->next = slots->prev = slots;
        cache->hand_at = 0;
    }
    cache->slot_count += slots->count;
    vr_mutex_unlock(&cache->mutex);
}

void vr_slots_remove(vr_cache *cache, vr_slots *slots) {
    vr_mutex_lock(&cache->mutex);
    vr_slots *other = slots->next == slots ? NULL : slots->next;
    slots->prev->next = slots->next;
    slots->next->prev = slots->prev;
    if (cache->ring == slots) cache->ring = other;
    if (cache->hand == slots) {
        cache->hand = other;
        cache->hand_at = 0;
    }
    cache->slot_count -= slots->count;
    vr_mutex_unlock(&cache->mutex);
    /* Out of the ring and without readers: nobody else looks at these slots any more. */
    for (uint32_t i = 0; i < slots->count; i++) {
        vr_cached_unpin(atomic_exchange_explicit(&slots->slot[i], NULL, memory_order_acquire));
    }
}

/* One step of the hand: a block to retire, or NULL. */
static vr_cached *hand_step(vr_cache *cache) {
    vr_mutex_assert_held(&cache->mutex);
    if (cache->hand_at >= cache->hand->count) {
        cache->hand = cache->hand->next;
        cache->hand_at = 0;
    }
    _Atomic(vr_cached *) *slot = &cache->hand->slot[cache->hand_at++];
    /* Acquires what vr_slots_install() released. The mutex keeps the block: who empties slots holds it or has left the ring. */
    vr_cached *block = atomic_load_explicit(slot, memory_order_acquire);
    if (!block) return NULL;
    if (atomic_load_explicit(&block->recent, memory_order_relaxed)) {
        atomic_store_explicit(&block->recent, false, memory_order_relaxed);
        return NULL;
    }
    /* A pinned block would stay in memory: evicting it gains nothing. */
    if (atomic_load_explicit(&block->references, memory_order_relaxed) > 1) return NULL;
    atomic_store_explicit(slot, NULL, memory_order_relaxed);
    return block;
}

/* Evicts until the budget's total, less what is already on its way out, is at or below target; or all has been seen twice. */
static void evict(vr_cache *cache, uint64_t target) {
    vr_mutex_assert_held(&cache->mutex);
    stripe *mine = &cache->stripes[vr_thread_stripe() % STRIPES];
    for (uint64_t steps = 2 * cache->slot_count; steps > 0; steps--) {
        uint64_t leaving = atomic_load_explicit(&cache->retired_bytes, memory_order_relaxed);
        if (vr_budget_total(cache->budget) <= target + leaving) return;
        vr_cached *block = hand_step(cache);
        if (!block) continue;
        atomic_fetch_add_explicit(&cache->retired_bytes, charged_bytes(block), memory_order_relaxed);
        atomic_fetch_add_explicit(&mine->evictions, 1, memory_order_relaxed);
        vr_epoch_retire(cache->epoch, &block->retired, release_retired, cache);
    }
}

void vr_cache_trim(vr_cache *cache) {
    if (vr_budget_total(cache->budget) <= cache->budget->limit) return;
    vr_mutex_lock(&cache->mutex);
    evict(cache, cache->budget->limit);
    vr_mutex_unlock(&cache->mutex);
    (void)vr_epoch_collect(cache->epoch);
}

/* The same after a load: one thread sweeps, the others do not wait for it. */
static void trim_after_load(vr_cache *cache) {
    uint64_t limit = cache->budget->limit, slack = limit / 1024 > SLACK_BYTES ? limit / 1024 : SLACK_BYTES;
    if (vr_budget_total(cache->budget) <= limit || !vr_mutex_trylock(&cache->mutex)) return;
    evict(cache, limit > slack ? limit - slack : 0);
    vr_mutex_unlock(&cache->mutex);
    (void)vr_epoch_collect(cache->epoch);
}

vr_cached *vr_slots_install(vr_cache *cache, _Atomic(vr_cached *) *slot, char *allocation, uint32_t bytes, bool pin) {
    vr_cached *block = (vr_cached *)(void *)allocation;
    memset(block, 0, sizeof *block);
    block->cache = cache;
    block->bytes = bytes;
    atomic_init(&block->references, pin ? 2 : 1);
    atomic_init(&block->recent, true);
    atomic_fetch_add_explicit(&cache->references, 1, memory_order_relaxed);
    vr_budget_charge(cache->budget, VR_USE_CACHE, charged_bytes(block));
    uint32_t token = pin ? vr_epoch_enter(cache->epoch) : 0;
    vr_cached *present = NULL;
    /* Releases the block's bytes to vr_slot_load(); acquires those of the block that was there before. */
    if (!atomic_compare_exchange_strong_explicit(slot, &present, block, memory_order_acq_rel, memory_order_acquire)) {
        if (pin) {
            vr_cached_pin(present);
            vr_cached_unpin(block);
        }
        vr_cached_unpin(block);
        block = present;
    }
    if (pin) vr_epoch_leave(cache->epoch, token);
    trim_after_load(cache);
    return block;
}
