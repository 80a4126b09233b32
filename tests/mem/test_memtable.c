/*
 * test_memtable.c - a memtable's counters, limits, growth, memory and failures.
 */
#include <criterion/criterion.h>
#include <stdio.h>

#include "base/hash.h"
#include "mem/memtable_parts.h"
#include "memtable_fixture.h"

static varve_slice numbered_key(char out[32], uint64_t number) {
    return varve_bytes(out, (size_t)snprintf(out, 32, "key-%012llu", (unsigned long long)number));
}

static bool has(fixture *f, varve_slice key) {
    uint64_t trailer;
    varve_slice value;
    return vr_memtable_get(f->mt, key, vr_key_hash(key), VR_SEQUENCE_MAX, &trailer, &value);
}

Test(memtable, an_empty_one_is_empty_and_small) {
    fixture f;
    fixture_open(&f, 1000000);
    cr_assert_eq(vr_memtable_keys(f.mt), 0);
    cr_assert_eq(vr_memtable_entries(f.mt), 0);
    cr_assert_eq(vr_memtable_min_sequence(f.mt), 0);
    cr_assert_eq(vr_memtable_max_sequence(f.mt), 0);
    cr_assert_not(vr_memtable_pending(f.mt));
    cr_assert_not(has(&f, varve_str("")));
    cr_assert_leq(vr_budget_total(&f.budget), 16 << 10);
    cr_assert_leq(vr_memtable_bytes(f.mt), vr_budget_total(&f.budget));
    vr_cursor *cursor = fixture_cursor(&f);
    cursor->ops->first(cursor);
    cr_assert_not(cursor->valid);
    cursor->ops->last(cursor);
    cr_assert_not(cursor->valid);
    cursor->ops->seek(cursor, varve_str("a"), UINT64_MAX);
    cr_assert_not(cursor->valid);
    cursor->ops->seek_prev(cursor, varve_str("a"), 0);
    cr_assert_not(cursor->valid);
    cursor->ops->close(cursor);
    fixture_close(&f);
}

Test(memtable, counters_follow) {
    fixture f;
    fixture_open(&f, 0);
    f.sequence = 41;
    fixture_put(&f, varve_str("a"), varve_str("1"));
    cr_assert(vr_memtable_pending(f.mt));
    fixture_put(&f, varve_str("b"), varve_str("2"));
    fixture_delete(&f, varve_str("a"));
    cr_assert_eq(vr_memtable_keys(f.mt), 2);
    cr_assert_eq(vr_memtable_entries(f.mt), 3);
    cr_assert_eq(vr_memtable_min_sequence(f.mt), 42);
    cr_assert_eq(vr_memtable_max_sequence(f.mt), 44);
    uint64_t trailer;
    varve_slice value;
    cr_assert_not(vr_memtable_get(f.mt, varve_str("a"), vr_key_hash(varve_str("a")), 41, &trailer, &value));
    cr_assert(vr_memtable_get(f.mt, varve_str("a"), vr_key_hash(varve_str("a")), 43, &trailer, &value));
    cr_assert_eq(trailer, vr_trailer(42, VR_KIND_PUT));
    cr_assert(vr_memtable_get(f.mt, varve_str("a"), vr_key_hash(varve_str("a")), 44, &trailer, &value));
    cr_assert_eq(trailer, vr_trailer(44, VR_KIND_DELETE));
    cr_assert_eq(value.size, 0);
    vr_memtable_link(f.mt);
    cr_assert_not(vr_memtable_pending(f.mt));
    fixture_put(&f, varve_str("b"), varve_str("3"));
    cr_assert_not(vr_memtable_pending(f.mt), "a further version needs no linking");
    fixture_close(&f);
}

Test(memtable, largest_key_and_a_large_value) {
    fixture f;
    fixture_open(&f, 0);
    static char key[VARVE_KEY_BYTES_MAX], value[3 << 20];
    memset(key, 'k', sizeof key);
    memset(value, 'v', sizeof value);
    uint64_t before = vr_memtable_bytes(f.mt);
    fixture_put(&f, varve_bytes(key, sizeof key), varve_bytes(value, sizeof value));
    cr_assert_geq(vr_memtable_bytes(f.mt) - before, sizeof key + sizeof value);
    fixture_put(&f, varve_bytes(key, sizeof key - 1), varve_bytes(NULL, 0));
    vr_cursor *cursor = fixture_cursor(&f);
    cursor->ops->last(cursor);
    cr_assert_eq(cursor->key.size, sizeof key);
    cr_assert_eq(cursor->value.size, sizeof value);
    cr_assert_eq(cursor->value.data[sizeof value - 1], 'v');
    cursor->ops->prev(cursor);
    cr_assert_eq(cursor->key.size, sizeof key - 1);
    cursor->ops->close(cursor);
    fixture_close(&f);
}

Test(memtable, one_hash_for_all_keys) {
    fixture f;
    fixture_open(&f, 0);
    char bytes[32];
    for (uint64_t i = 0; i < 500; i++) {
        varve_slice key = numbered_key(bytes, i);
        cr_assert_eq(vr_memtable_add(f.mt, i + 1, VR_KIND_PUT, key, UINT32_MAX, varve_str("v"), &f.err), VARVE_OK);
    }
    uint64_t trailer;
    varve_slice value;
    for (uint64_t i = 0; i < 500; i++) {
        cr_assert(vr_memtable_get(f.mt, numbered_key(bytes, i), UINT32_MAX, VR_SEQUENCE_MAX, &trailer, &value));
        cr_assert_eq(trailer, vr_trailer(i + 1, VR_KIND_PUT));
    }
    cr_assert_not(vr_memtable_get(f.mt, numbered_key(bytes, 500), UINT32_MAX, VR_SEQUENCE_MAX, &trailer, &value));
    fixture_close(&f);
}

Test(memtable, index_grows_with_and_without_expectation) {
    const uint64_t expectations[] = {0, 50, 3000, 100000, 10000000};
    for (size_t e = 0; e < sizeof expectations / sizeof expectations[0]; e++) {
        fixture f;
        fixture_open(&f, expectations[e]);
        char bytes[32];
        for (uint64_t i = 0; i < 60000; i++) {
            fixture_put(&f, numbered_key(bytes, i * 7919 % 60000), varve_str("value"));
            if (i % 1000 == 999) vr_memtable_prefetch(f.mt, i);
        }
        cr_assert_eq(vr_memtable_keys(f.mt), 60000);
        for (uint64_t i = 0; i < 60000; i++) cr_assert(has(&f, numbered_key(bytes, i)));
        cr_assert_not(has(&f, numbered_key(bytes, 60000)));
        fixture_close(&f);
    }
}

Test(memtable, budget_follows_use) {
    fixture f;
    fixture_open(&f, 0);
    char bytes[32], value[1000];
    memset(value, 'v', sizeof value);
    for (uint64_t i = 0; i < 8000; i++) {
        fixture_put(&f, numbered_key(bytes, i), varve_bytes(value, sizeof value));
        uint64_t used = vr_memtable_bytes(f.mt), charged = vr_budget_held(&f.budget, VR_USE_MEMTABLE);
        cr_assert_leq(used, charged);
        cr_assert_leq(charged - used, used < 2 << 20 ? 128 << 10 : 2 << 20);
    }
    fixture_close(&f);
}

Test(memtable, creation_without_memory) {
    vr_env env = vr_env_system();
    vr_faultmem fault;
    uint64_t injected = 1;
    for (uint64_t nth = 1; injected > 0; nth++) {
        vr_faultmem_init(&fault, nth, false);
        env.mem = vr_faultmem_mem(&fault);
        vr_budget budget;
        vr_budget_init(&budget, 1 << 20);
        vr_memtable *mt = NULL;
        varve_error err = {0};
        varve_status status = vr_memtable_create(&env, &budget, 1 << 20, 0, &mt, &err);
        injected = vr_faultmem_injected(&fault);
        cr_assert_eq(status, injected ? VARVE_NOMEM : VARVE_OK);
        if (status != VARVE_OK) cr_assert_eq(err.code, VARVE_NOMEM);
        if (mt) vr_memtable_unref(mt);
        cr_assert_eq(vr_budget_total(&budget), 0);
        cr_assert_eq(vr_faultmem_live(&fault), 0);
    }
}

Test(memtable, an_index_that_cannot_grow_fills_up_and_recovers) {
    fixture f;
    fixture_open(&f, 0);
    vr_faultmem_arm(&f.fault, 1, true);
    char bytes[32];
    uint64_t added = 0;
    varve_status status = VARVE_OK;
    while (status == VARVE_OK) {
        varve_slice key = numbered_key(bytes, added);
        bool fits = vr_memtable_fits(f.mt, key.size + 1, 1);
        status = vr_memtable_add(f.mt, added + 1, VR_KIND_PUT, key, vr_key_hash(key), varve_str("v"), &f.err);
        cr_assert_eq(fits, status == VARVE_OK);
        if (status == VARVE_OK) added++;
    }
    cr_assert_eq(status, VARVE_NOMEM);
    cr_assert_eq(added, 57, "nine tenths of 64 slots");
    cr_assert_not(vr_memtable_fits(f.mt, 100, 1));
    cr_assert_eq(vr_memtable_keys(f.mt), added);
    cr_assert_eq(vr_memtable_max_sequence(f.mt), added);
    cr_assert_not(has(&f, numbered_key(bytes, added)));
    f.sequence = added;
    fixture_put(&f, numbered_key(bytes, 3), varve_str("again")); /* a known key needs no slot */
    for (uint64_t i = 0; i < added; i++) cr_assert(has(&f, numbered_key(bytes, i)));

    vr_cursor *cursor = NULL;
    vr_memtable_link(f.mt);
    cr_assert_eq(vr_memtable_cursor(f.mt, &cursor, &f.err), VARVE_NOMEM);
    cr_assert_null(cursor);

    vr_faultmem_arm(&f.fault, 0, false);
    cr_assert(vr_memtable_fits(f.mt, 100000, 5000));
    for (uint64_t i = added; i < 5000; i++) fixture_put(&f, numbered_key(bytes, i), varve_str("v"));
    for (uint64_t i = 0; i < 5000; i++) cr_assert(has(&f, numbered_key(bytes, i)));
    fixture_close(&f);
}

/* What fits() promises holds, and it promises most of the room there is: with an arena cut to 300 KiB. */
Test(memtable, fits_is_honest) {
    uint64_t random = 99;
    for (unsigned round = 0; round < 60; round++) {
        fixture f;
        fixture_open(&f, 0);
        uint64_t capacity = f.mt->arena.capacity;
        f.mt->arena.capacity = 300 << 10;
        static char value[2000];
        size_t value_max = (size_t)(next_random(&random) % sizeof value);
        for (;;) {
            size_t sizes[50];
            uint32_t count = 1 + (uint32_t)(next_random(&random) % 50);
            uint64_t total = 0;
            for (uint32_t i = 0; i < count; i++) {
                sizes[i] = value_max ? (size_t)(next_random(&random) % value_max) : 0;
                total += sizes[i] + 9;
            }
            if (!vr_memtable_fits(f.mt, total, count)) break;
            for (uint32_t i = 0; i < count; i++) {
                char key[9];
                uint64_t number = next_random(&random);
                memcpy(key, &number, 8);
                key[8] = 'x';
                fixture_put(&f, varve_bytes(key, 1 + number % 9), varve_bytes(value, sizes[i]));
            }
        }
        cr_assert_geq(vr_memtable_bytes(f.mt), 150 << 10);
        cr_assert_not(vr_memtable_fits(f.mt, UINT64_MAX, 1));
        f.mt->arena.capacity = capacity;
        fixture_close(&f);
    }
}

Test(memtable, a_fresh_one_fits_any_legal_batch) {
    fixture f;
    fixture_open(&f, 0);
    cr_assert(vr_memtable_fits(f.mt, VARVE_BATCH_BYTES_MAX, 1000));
    uint32_t changes_max = VARVE_BATCH_BYTES_MAX / 3; /* a change takes three bytes at least */
    cr_assert(vr_memtable_fits(f.mt, VARVE_BATCH_BYTES_MAX, changes_max));
    fixture_close(&f);
}

Test(memtable, an_arena_without_room_refuses_and_changes_nothing) {
    fixture f;
    fixture_open(&f, 0);
    fixture_put(&f, varve_str("a"), varve_str("1"));
    uint64_t capacity = f.mt->arena.capacity, bytes = vr_memtable_bytes(f.mt);
    f.mt->arena.capacity = vr_arena_used(&f.mt->arena);
    varve_error err = {0};
    varve_slice old = varve_str("a"), fresh = varve_str("b"), value = varve_str("2");
    cr_assert_eq(vr_memtable_add(f.mt, 2, VR_KIND_PUT, old, vr_key_hash(old), value, &err), VARVE_NOMEM);
    cr_assert_eq(vr_memtable_add(f.mt, 2, VR_KIND_PUT, fresh, vr_key_hash(fresh), value, &err), VARVE_NOMEM);
    cr_assert_eq(err.code, VARVE_NOMEM);
    cr_assert_eq(vr_memtable_bytes(f.mt), bytes);
    cr_assert_eq(vr_memtable_keys(f.mt), 1);
    cr_assert_eq(vr_memtable_entries(f.mt), 1);
    cr_assert_eq(vr_memtable_max_sequence(f.mt), 1);
    cr_assert_not(has(&f, varve_str("b")));
    f.mt->arena.capacity = capacity;
    fixture_close(&f);
}

Test(memtable, a_cursor_outlives_the_owner) {
    fixture f;
    fixture_open(&f, 0);
    fixture_put(&f, varve_str("a"), varve_str("1"));
    vr_cursor *cursor = fixture_cursor(&f);
    vr_memtable_ref(f.mt);
    vr_memtable_unref(f.mt);
    vr_memtable_unref(f.mt);
    cursor->ops->first(cursor);
    cr_assert(cursor->valid && vr_equal(cursor->value, varve_str("1")));
    cursor->ops->close(cursor);
    cr_assert_eq(vr_budget_total(&f.budget), 0);
    cr_assert_eq(vr_faultmem_live(&f.fault), 0);
}

/* Searches stay short whatever the order of insertion: heights do not follow from it. */
Test(memtable, heights_are_spread) {
    fixture f;
    fixture_open(&f, 0);
    char bytes[32];
    for (uint64_t i = 0; i < 40000; i++) fixture_put(&f, numbered_key(bytes, i), varve_str(""));
    vr_memtable_link(f.mt);
    uint64_t tall[4] = {0}, run = 0, longest = 0;
    uint32_t node = vr_skiplist_next(&f.mt->list, f.mt->list.head);
    for (; node != 0; node = vr_skiplist_next(&f.mt->list, node)) {
        uint32_t height = vr_node_at(f.mt->arena.base, node)->height;
        for (uint32_t h = 0; h < 4; h++) tall[h] += height > h;
        run = height == 1 ? run + 1 : 0;
        if (run > longest) longest = run;
    }
    cr_assert_eq(tall[0], 40000);
    cr_assert(tall[1] > 9000 && tall[1] < 11000);
    cr_assert(tall[2] > 2200 && tall[2] < 2800);
    cr_assert(tall[3] > 500 && tall[3] < 750);
    cr_assert_lt(longest, 100);
    fixture_close(&f);
}
