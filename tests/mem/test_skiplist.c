/*
 * test_skiplist.c - what a memtable's list looks like inside: each level's order, links caught between two stores,
 * nodes that wait.
 */
#include <criterion/criterion.h>
#include <stdio.h>

#include "mem/memtable_parts.h"
#include "memtable_fixture.h"

static varve_slice letter_key(char out[8], char letter) {
    memcpy(out, "letter-", 7);
    out[7] = letter;
    return varve_bytes(out, 8);
}

/* Each level rises, holds the nodes that are tall enough and no other, and ends at its tail. */
static void check_levels(const vr_memtable *mt) {
    const vr_skiplist *list = &mt->list;
    uint64_t tall[VR_MEM_HEIGHT_MAX] = {0}, seen[VR_MEM_HEIGHT_MAX] = {0};
    for (uint32_t node = vr_skiplist_next(list, list->head); node != 0; node = vr_skiplist_next(list, node)) {
        for (uint32_t level = 0; level < vr_node_at(list->base, node)->height; level++) tall[level]++;
    }
    cr_assert_eq(tall[0], vr_memtable_keys(mt));
    for (uint32_t level = 0; level < VR_MEM_HEIGHT_MAX; level++) {
        uint32_t at = list->head;
        uint64_t prefix = 0;
        for (;;) {
            const vr_link *link = vr_link_at(list->base, at, level);
            uint32_t next = link->next;
            cr_assert_geq(link->prefix, prefix);
            prefix = link->prefix;
            if (next == 0) break;
            cr_assert_gt(vr_node_at(list->base, next)->height, level);
            varve_slice key = vr_node_key(vr_node_at(list->base, next));
            if (at != list->head) cr_assert_lt(vr_compare(vr_node_key(vr_node_at(list->base, at)), key), 0);
            at = next;
            seen[level]++;
        }
        cr_assert_eq(prefix, UINT64_MAX);
        cr_assert_eq(list->tail[level], at);
        cr_assert_eq(seen[level], tall[level]);
        cr_assert(seen[level] == 0 || list->height > level);
    }
}

static void check_levels_of(uint64_t count, uint64_t (*number)(uint64_t i, uint64_t *random)) {
    fixture f;
    fixture_open(&f, 0);
    uint64_t random = 12345;
    for (uint64_t i = 0; i < count; i++) {
        char key[32];
        int size = snprintf(key, sizeof key, "order/%010llu", (unsigned long long)number(i, &random));
        fixture_put(&f, varve_bytes(key, (size_t)size), varve_str("v"));
    }
    vr_memtable_link(f.mt);
    check_levels(f.mt);
    fixture_close(&f);
}

static uint64_t anywhere(uint64_t i, uint64_t *random) {
    (void)i;
    return next_random(random) % 10000000000;
}

static uint64_t in_one_gap(uint64_t i, uint64_t *random) {
    return i < 100 ? i * 50000000 : 1000000001 + next_random(random) % 40000000;
}

static uint64_t falling(uint64_t i, uint64_t *random) {
    (void)random;
    return 1000000 - i;
}

static uint64_t rising_between(uint64_t i, uint64_t *random) {
    (void)random;
    return i < 100 ? i * 1000 : 50001 + i;
}

Test(skiplist, every_level_is_in_order) {
    check_levels_of(1, anywhere);
    check_levels_of(63, anywhere);
    check_levels_of(65, anywhere);
    check_levels_of(20000, anywhere);
    check_levels_of(20000, in_one_gap);
    check_levels_of(20000, falling);
    check_levels_of(900, rising_between);
}

/* Between the writer's two stores a link has its new next and its old prefix. A reader that meets it so finds all that
 * was there before, and what is behind it. */
Test(skiplist, a_prefix_that_lags_behind_its_next) {
    fixture f;
    fixture_open(&f, 0);
    char bytes[8];
    for (char letter = 'a'; letter <= 'z'; letter += 2) fixture_put(&f, letter_key(bytes, letter), varve_str("v"));
    vr_memtable_link(f.mt);
    const vr_skiplist *list = &f.mt->list;
    uint32_t before = list->head;
    for (char letter = 'a'; letter <= 'z'; letter += 2) {
        uint32_t node = vr_skiplist_next(list, before);
        for (uint32_t level = 0; level < VR_MEM_HEIGHT_MAX; level++) {
            if (level >= vr_node_at(list->base, before)->height || level >= vr_node_at(list->base, node)->height) break;
            vr_link *link = vr_link_at(list->base, before, level);
            uint64_t own = link->prefix;
            link->prefix = vr_link_at(list->base, node, level)->prefix;
            for (char sought = 'a'; sought <= 'y'; sought++) {
                uint32_t found = vr_skiplist_seek(list, letter_key(bytes, sought));
                char there = (char)(sought + (sought - 'a') % 2);
                cr_assert(vr_equal(vr_node_key(vr_node_at(list->base, found)), letter_key(bytes, there)));
            }
            link->prefix = own;
        }
        before = node;
    }
    fixture_close(&f);
}

/* A cursor that is sent to a key which waits to be linked stands where it would without that key. */
Test(skiplist, a_node_that_waits_is_not_in_order_yet) {
    fixture f;
    fixture_open(&f, 0);
    char bytes[8];
    vr_cursor *cursor = fixture_cursor(&f);
    fixture_put(&f, letter_key(bytes, 'm'), varve_str("v"));
    cursor->ops->seek(cursor, letter_key(bytes, 'm'), UINT64_MAX);
    cr_assert_not(cursor->valid);
    for (char letter = 'a'; letter <= 'z'; letter += 2) {
        if (letter != 'm') fixture_put(&f, letter_key(bytes, letter), varve_str("v"));
    }
    vr_memtable_link(f.mt);
    fixture_put(&f, letter_key(bytes, 'n'), varve_str("v"));
    cr_assert(vr_memtable_pending(f.mt));
    cursor->ops->seek(cursor, letter_key(bytes, 'n'), UINT64_MAX);
    cr_assert(cursor->valid && vr_equal(cursor->key, letter_key(bytes, 'o')));
    cursor->ops->seek_prev(cursor, letter_key(bytes, 'n'), 0);
    cr_assert(cursor->valid && vr_equal(cursor->key, letter_key(bytes, 'm')));
    vr_memtable_link(f.mt);
    cursor->ops->seek(cursor, letter_key(bytes, 'n'), UINT64_MAX);
    cr_assert(cursor->valid && vr_equal(cursor->key, letter_key(bytes, 'n')));
    cursor->ops->next(cursor);
    cr_assert(cursor->valid && vr_equal(cursor->key, letter_key(bytes, 'o')));
    fixture_put(&f, letter_key(bytes, 'z'), varve_str("v"));
    cr_assert_not(vr_memtable_pending(f.mt), "a key beyond the last is linked at once");
    cursor->ops->last(cursor);
    cr_assert(vr_equal(cursor->key, letter_key(bytes, 'z')));
    cursor->ops->close(cursor);
    fixture_close(&f);
}

/* No more than VR_WALKERS_MAX nodes ever wait. */
Test(skiplist, few_nodes_wait) {
    fixture f;
    fixture_open(&f, 0);
    uint64_t random = 5;
    for (unsigned i = 0; i < 50000; i++) {
        uint64_t number = next_random(&random);
        fixture_put(&f, varve_bytes(&number, sizeof number), varve_str(""));
        cr_assert_leq(f.mt->list.waiting, VR_WALKERS_MAX);
    }
    vr_memtable_link(f.mt);
    cr_assert_not(vr_memtable_pending(f.mt));
    check_levels(f.mt);
    fixture_close(&f);
}
