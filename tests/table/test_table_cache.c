/*
 * The cache: blocks come and go under a small budget while threads read; what is pinned stays; nothing stays charged.
 */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "os/thread.h"
#include "table/slots.h"
#include "table_fixture.h"

static const shape medium =
    {.seed = 31, .entries = 4000, .key_min = 12, .key_max = 12, .alphabet = 256, .versions = 2, .value_max = 100};
static const vr_table_builder_options zstd_options = {.block_bytes = 1024, .compression_level = -1, .filter_bits = 10};

enum { THREADS = 4, TABLES = 3, ROUNDS = 3000 };

/* Shared by the threads of a test; constant while they run. */
typedef struct readers {
    fixture f;
    model m;
    vr_table *tables[TABLES];
    _Atomic uint64_t seed;
} readers;

static void check_get(readers *r, vr_table *table, const entry *e) {
    varve_error err = {0};
    uint64_t trailer;
    varve_slice value;
    uint32_t token = vr_epoch_enter(r->f.epoch);
    varve_status st = vr_table_get(table, e->key, vr_trailer_sequence(e->trailer), &trailer, &value, &err);
    cr_assert_eq(st, VARVE_OK, "%s", err.message);
    cr_assert_eq(trailer, e->trailer);
    cr_assert(vr_equal(value, e->value));
    vr_epoch_leave(r->f.epoch, token);
}

/* Walks from a random place a few entries on; in between other threads evict the blocks. */
static void check_cursor(readers *r, vr_table *table, uint64_t *state) {
    vr_cursor *cursor;
    size_t i = random_next(state) % r->m.count;
    cr_assert_eq(vr_table_cursor(table, VR_ACCESS_CACHED, &cursor, NULL), VARVE_OK);
    cursor->ops->seek(cursor, r->m.entries[i].key, r->m.entries[i].trailer);
    for (size_t step = 0; step < 50 && i < r->m.count; step++, i++) {
        cr_assert(cursor->valid);
        cr_assert(vr_equal(cursor->key, r->m.entries[i].key));
        cr_assert(vr_equal(cursor->value, r->m.entries[i].value));
        cursor->ops->next(cursor);
    }
    cursor->ops->close(cursor);
}

static void read_at_random(void *context) {
    readers *r = context;
    uint64_t state = atomic_fetch_add(&r->seed, 2) | 1;
    for (int i = 0; i < ROUNDS; i++) {
        vr_table *table = r->tables[random_next(&state) % TABLES];
        check_get(r, table, &r->m.entries[random_next(&state) % r->m.count]);
        if (i % 64 == 0) check_cursor(r, table, &state);
        if (i % 100 == 0) vr_cache_trim(r->f.cache);
    }
}

static const char *const paths[TABLES] = {"a.tbl", "b.tbl", "c.tbl"};

static void readers_open(readers *r, uint64_t budget_bytes) {
    memset(r, 0, sizeof *r);
    fixture_open(&r->f, budget_bytes);
    atomic_init(&r->seed, 1);
    r->m = model_random(&medium);
    for (size_t t = 0; t < TABLES; t++) {
        build_table(&r->f, paths[t], t == 0 ? &plain_options : &zstd_options, &r->m, NULL);
        r->tables[t] = open_table(&r->f, paths[t]);
    }
}

static void readers_close(readers *r) {
    for (size_t t = 0; t < TABLES; t++) vr_table_close(r->tables[t]);
    model_free(&r->m);
    fixture_close(&r->f);
}

Test(table_cache, readers_and_eviction_side_by_side) {
    static readers r;
    readers_open(&r, 0);
    r.f.budget.limit = vr_budget_total(&r.f.budget) + (150u << 10); /* room for some 100 of the 1,000 blocks */
    vr_thread threads[THREADS];
    for (size_t t = 0; t < THREADS; t++) {
        cr_assert_eq(vr_thread_start(&threads[t], "reader", read_at_random, &r, NULL), VARVE_OK);
    }
    for (size_t t = 0; t < THREADS; t++) vr_thread_join(&threads[t]);
    vr_cache_stats stats;
    vr_cache_stats_get(r.f.cache, &stats);
    cr_assert_gt(stats.misses, 1000);
    cr_assert_gt(stats.hits, 100);
    cr_assert_gt(stats.evictions, 1000);
    cr_assert_leq(stats.evictions, stats.misses);
    for (int i = 0; i < 4; i++) vr_cache_trim(r.f.cache);
    while (vr_epoch_collect(r.f.epoch) > 0) {
    }
    cr_assert_leq(vr_budget_total(&r.f.budget), r.f.budget.limit);
    readers_close(&r);
}

/* The same with room for all: no eviction, and each block is loaded about once. */
Test(table_cache, readers_with_room) {
    static readers r;
    readers_open(&r, 64u << 20);
    vr_thread threads[THREADS];
    for (size_t t = 0; t < THREADS; t++) {
        cr_assert_eq(vr_thread_start(&threads[t], "reader", read_at_random, &r, NULL), VARVE_OK);
    }
    for (size_t t = 0; t < THREADS; t++) vr_thread_join(&threads[t]);
    vr_cache_stats stats;
    vr_cache_stats_get(r.f.cache, &stats);
    cr_assert_eq(stats.evictions, 0);
    cr_assert_gt(stats.hits, 5 * stats.misses);
    cr_assert_eq(stats.bytes, vr_budget_held(&r.f.budget, VR_USE_CACHE));
    readers_close(&r);
}

/* A block that a cursor stands on outlives its eviction. */
Test(table_cache, pinned_block_survives_trim) {
    static readers r;
    readers_open(&r, 0);
    uint64_t fixed = vr_budget_total(&r.f.budget);
    r.f.budget.limit = UINT64_MAX;
    vr_cursor *cursor;
    cr_assert_eq(vr_table_cursor(r.tables[1], VR_ACCESS_CACHED, &cursor, NULL), VARVE_OK);
    check_walk(cursor, &r.m);
    cursor->ops->seek(cursor, r.m.entries[100].key, r.m.entries[100].trailer);
    cr_assert_gt(vr_budget_total(&r.f.budget), fixed + (100u << 10));
    r.f.budget.limit = 0; /* everything that can go must go */
    vr_cache_trim(r.f.cache);
    while (vr_epoch_collect(r.f.epoch) > 0) {
    }
    cr_assert_lt(vr_budget_held(&r.f.budget, VR_USE_CACHE), 4096); /* the pinned one alone */
    cr_assert(vr_equal(cursor->value, r.m.entries[100].value));
    cursor->ops->next(cursor);
    cr_assert(vr_equal(cursor->value, r.m.entries[101].value));
    cursor->ops->close(cursor);
    vr_cache_trim(r.f.cache);
    vr_cache_trim(r.f.cache);
    while (vr_epoch_collect(r.f.epoch) > 0) {
    }
    cr_assert_eq(vr_budget_held(&r.f.budget, VR_USE_CACHE), 0);
    check_get(&r, r.tables[1], &r.m.entries[7]); /* and it goes on */
    readers_close(&r);
}

/* A block outlives its table, and the cache, while it has a reference. */
Test(table_cache, pinned_block_survives_table_and_cache) {
    vr_mem mem = vr_mem_system();
    vr_env env = vr_env_system();
    vr_budget budget;
    vr_epoch *epoch;
    vr_cache *cache;
    _Atomic(vr_cached *) slot;
    atomic_init(&slot, NULL);
    vr_slots slots = {.slot = &slot, .count = 1};
    vr_budget_init(&budget, 1 << 20);
    cr_assert_eq(vr_epoch_create(&mem, &epoch, NULL), VARVE_OK);
    cr_assert_eq(vr_cache_create(&env, &budget, epoch, &cache, NULL), VARVE_OK);
    vr_slots_add(cache, &slots);
    char *allocation = vr_alloc(&mem, VR_CACHED_ROOM + 5);
    memcpy(allocation + VR_CACHED_ROOM, "bytes", 5);
    vr_cached *block = vr_slots_install(cache, &slot, allocation, 5, true);
    /* Second comers get the one that is there. */
    vr_cached *again = vr_slots_install(cache, &slot, vr_alloc(&mem, VR_CACHED_ROOM + 5), 5, true);
    cr_assert_eq(again, block);
    vr_cached_unpin(again);
    vr_slots_remove(cache, &slots);
    cr_assert_null(atomic_load(&slot));
    vr_cache_free(cache);
    cr_assert_eq(memcmp(vr_cached_data(block), "bytes", 5), 0);
    cr_assert_gt(vr_budget_total(&budget), 0);
    vr_cached_unpin(block);
    cr_assert_eq(vr_budget_total(&budget), 0);
    vr_epoch_free(epoch);
}

/* What was evicted while a reader was inside is there until it leaves, and after the cache is gone is still released. */
Test(table_cache, reader_inside_keeps_what_it_sees) {
    static readers r;
    varve_error err = {0};
    uint64_t trailer;
    varve_slice value;
    const entry *e;
    readers_open(&r, 64u << 20);
    e = &r.m.entries[50];
    uint32_t token = vr_epoch_enter(r.f.epoch);
    cr_assert_eq(vr_table_get(r.tables[0], e->key, vr_trailer_sequence(e->trailer), &trailer, &value, &err), VARVE_OK);
    r.f.budget.limit = 0;
    vr_cache_trim(r.f.cache);
    vr_cache_trim(r.f.cache);
    for (int i = 0; i < 10; i++) (void)vr_epoch_collect(r.f.epoch);
    cr_assert(vr_equal(value, e->value)); /* the sanitizers watch */
    cr_assert_gt(vr_budget_held(&r.f.budget, VR_USE_CACHE), 0);
    vr_epoch_leave(r.f.epoch, token);
    readers_close(&r); /* the retired block is released by the epoch, after the cache is freed */
}

/* Tables that come and go while the hand passes over them. */
static void open_and_close(void *context) {
    readers *r = context;
    for (int i = 0; i < 60; i++) {
        vr_table *table = open_table(&r->f, paths[i % TABLES]);
        for (size_t e = 0; e < 40; e++) check_get(r, table, &r->m.entries[e * 37 % r->m.count]);
        vr_table_close(table);
    }
}

Test(table_cache, tables_open_and_close_under_eviction) {
    static readers r;
    readers_open(&r, 0);
    r.f.budget.limit = vr_budget_total(&r.f.budget) + (100u << 10);
    vr_thread threads[THREADS];
    for (size_t t = 0; t < THREADS; t++) {
        void (*body)(void *) = t % 2 ? open_and_close : read_at_random;
        cr_assert_eq(vr_thread_start(&threads[t], "reader", body, &r, NULL), VARVE_OK);
    }
    for (size_t t = 0; t < THREADS; t++) vr_thread_join(&threads[t]);
    readers_close(&r);
}

/* A sequential cursor leaves the cache alone. */
Test(table_cache, sequential_access_loads_nothing) {
    static readers r;
    vr_cache_stats stats;
    vr_cursor *cursor;
    readers_open(&r, 64u << 20);
    cr_assert_eq(vr_table_cursor(r.tables[2], VR_ACCESS_SEQUENTIAL, &cursor, NULL), VARVE_OK);
    check_walk(cursor, &r.m);
    cr_assert_gt(vr_budget_held(&r.f.budget, VR_USE_WORK), 0);
    cursor->ops->close(cursor);
    vr_cache_stats_get(r.f.cache, &stats);
    cr_assert_eq(stats.bytes, 0);
    cr_assert_eq(stats.misses + stats.hits, 0);
    readers_close(&r);
}
