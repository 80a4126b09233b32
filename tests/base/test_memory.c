/*
 * The allocator handle, growing arrays, the budget, buffers, and the allocator that fails (base/memory.h, faultmem.h).
 */
#include <criterion/criterion.h>
#include <pthread.h>

#include "base/faultmem.h"
#include "base/memory.h"

Test(memory, system_allocator) {
    vr_mem mem = vr_mem_system();
    char *bytes = vr_zalloc(&mem, 100);
    cr_assert_not_null(bytes);
    for (int i = 0; i < 100; i++) cr_assert_eq(bytes[i], 0);
    memset(bytes, 'a', 100);
    bytes = vr_realloc(&mem, bytes, 100000);
    cr_assert(bytes != NULL && bytes[0] == 'a' && bytes[99] == 'a');
    vr_free(&mem, bytes);
    vr_free(&mem, NULL);

    void *nothing = vr_alloc(&mem, 0);
    cr_assert_not_null(nothing, "NULL means failure only");
    nothing = vr_realloc(&mem, nothing, 0);
    cr_assert_not_null(nothing);
    vr_free(&mem, nothing);
    char *copy = vr_strdup(&mem, "text");
    cr_assert_str_eq(copy, "text");
    vr_free(&mem, copy);
    copy = vr_realloc(&mem, NULL, 5);
    cr_assert_not_null(copy);
    vr_free(&mem, copy);
}

Test(memory, grow_keeps_items_and_doubles) {
    vr_mem mem = vr_mem_system();
    void *items = NULL;
    size_t capacity = 0;
    size_t growths = 0;
    for (size_t count = 1; count <= 1000; count++) {
        size_t before = capacity;
        cr_assert(vr_grow(&mem, &items, &capacity, count, sizeof(size_t)));
        cr_assert_geq(capacity, count);
        if (capacity != before) {
            growths++;
            cr_assert_geq(capacity, 2 * before);
        }
        ((size_t *)items)[count - 1] = count;
    }
    for (size_t i = 0; i < 1000; i++) cr_assert_eq(((size_t *)items)[i], i + 1);
    cr_assert_leq(growths, 8);
    vr_free(&mem, items);
}

Test(memory, grow_refuses_what_overflows_and_leaves_the_array) {
    vr_mem mem = vr_mem_system();
    void *items = NULL;
    size_t capacity = 0;
    cr_assert_not(vr_grow(&mem, &items, &capacity, SIZE_MAX / 4, 8));
    cr_assert(items == NULL && capacity == 0);

    vr_faultmem fault;
    vr_faultmem_init(&fault, 2, false);
    mem = vr_faultmem_mem(&fault);
    cr_assert(vr_grow(&mem, &items, &capacity, 4, 4));
    void *before = items;
    size_t before_capacity = capacity;
    cr_assert_not(vr_grow(&mem, &items, &capacity, 100, 4));
    cr_assert(items == before && capacity == before_capacity);
    vr_free(&mem, items);
    cr_assert_eq(vr_faultmem_live(&fault), 0);
}

Test(memory, budget_counts_by_use) {
    vr_budget budget;
    vr_budget_init(&budget, 1000);
    cr_assert_eq(budget.limit, 1000);
    cr_assert_eq(vr_budget_total(&budget), 0);
    vr_budget_charge(&budget, VR_USE_MEMTABLE, 300);
    vr_budget_charge(&budget, VR_USE_CACHE, 900);
    cr_assert_eq(vr_budget_total(&budget), 1200, "a charge is never refused: who holds too much gives back");
    vr_budget_release(&budget, VR_USE_CACHE, 500);
    cr_assert_eq(vr_budget_held(&budget, VR_USE_MEMTABLE), 300);
    cr_assert_eq(vr_budget_held(&budget, VR_USE_CACHE), 400);
    cr_assert_eq(vr_budget_held(&budget, VR_USE_WORK), 0);
    cr_assert_eq(vr_budget_total(&budget), 700);
}

static void *charge_and_release(void *argument) {
    vr_budget *budget = argument;
    for (int i = 0; i < 20000; i++) {
        vr_budget_charge(budget, (vr_use)(i % VR_USE_COUNT), 7);
        vr_budget_release(budget, (vr_use)(i % VR_USE_COUNT), 7);
    }
    vr_budget_charge(budget, VR_USE_INDEX, 1);
    return NULL;
}

Test(memory, budget_is_exact_among_threads) {
    vr_budget budget;
    pthread_t threads[4];
    vr_budget_init(&budget, 0);
    for (int i = 0; i < 4; i++) cr_assert_eq(pthread_create(&threads[i], NULL, charge_and_release, &budget), 0);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    cr_assert_eq(vr_budget_total(&budget), 4);
    cr_assert_eq(vr_budget_held(&budget, VR_USE_INDEX), 4);
    cr_assert_eq(vr_budget_held(&budget, VR_USE_MEMTABLE), 0);
}

Test(memory, buffers) {
    varve_buffer buffer = {0};
    cr_assert(vr_buffer_set(&buffer, varve_str("")));
    cr_assert_eq(buffer.size, 0);
    for (int i = 0; i < 1000; i++) cr_assert(vr_buffer_append(&buffer, "0123456789", 10));
    cr_assert_eq(buffer.size, 10000);
    cr_assert(memcmp(buffer.data + 9990, "0123456789", 10) == 0);
    size_t capacity = buffer.capacity;
    cr_assert(vr_buffer_set(&buffer, varve_str("short")));
    cr_assert(buffer.size == 5 && buffer.capacity == capacity, "a buffer keeps its memory");
    cr_assert(memcmp(varve_buffer_slice(&buffer).data, "short", 5) == 0);
    cr_assert(vr_buffer_reserve(&buffer, 10));
    cr_assert_eq(buffer.capacity, capacity);
    cr_assert_not(vr_buffer_append(&buffer, "x", SIZE_MAX));
    cr_assert(buffer.size == 5 && memcmp(buffer.data, "short", 5) == 0);
    varve_buffer_free(&buffer);
    cr_assert(buffer.data == NULL && buffer.size == 0 && buffer.capacity == 0);
    varve_buffer_free(&buffer);
    varve_buffer_free(NULL);
}

static int by_digit(const void *a, const void *b, void *context) {
    int divisor = *(int *)context;
    return *(const int *)a / divisor % 10 - *(const int *)b / divisor % 10;
}

Test(memory, sort_passes_the_context) {
    int items[] = {19, 31, 25, 7, 42};
    int tens = 10;
    vr_sort(items, 5, sizeof items[0], by_digit, &tens);
    for (int i = 1; i < 5; i++) cr_assert_leq(items[i - 1] / 10, items[i] / 10);
    int ones = 1;
    vr_sort(items, 5, sizeof items[0], by_digit, &ones);
    cr_assert(items[0] == 31 && items[4] == 19);
    vr_sort(items, 0, sizeof items[0], by_digit, &ones);
}

Test(memory, faults_hit_the_nth_call) {
    vr_faultmem fault;
    vr_faultmem_init(&fault, 3, false);
    vr_mem mem = vr_faultmem_mem(&fault);
    void *first = vr_alloc(&mem, 1);
    void *second = vr_alloc(&mem, 1);
    cr_assert(first && second);
    cr_assert_null(vr_realloc(&mem, second, 10));
    cr_assert_eq(vr_faultmem_injected(&fault), 1);
    second = vr_realloc(&mem, second, 10);
    cr_assert_not_null(second, "one fault only");
    cr_assert_eq(vr_faultmem_calls(&fault), 4);
    cr_assert_eq(vr_faultmem_live(&fault), 2);

    vr_faultmem_arm(&fault, 1, true);
    for (int i = 0; i < 5; i++) cr_assert_null(vr_zalloc(&mem, 8));
    cr_assert_null(vr_strdup(&mem, "x"));
    cr_assert_eq(vr_faultmem_injected(&fault), 6);
    cr_assert_eq(vr_faultmem_live(&fault), 2);
    vr_free(&mem, first);
    vr_free(&mem, second);
    cr_assert_eq(vr_faultmem_live(&fault), 0);
}

Test(memory, no_faults_when_not_armed) {
    vr_faultmem fault;
    vr_faultmem_init(&fault, 0, true);
    vr_mem mem = vr_faultmem_mem(&fault);
    for (int i = 0; i < 100; i++) vr_free(&mem, vr_alloc(&mem, 16));
    cr_assert_eq(vr_faultmem_injected(&fault), 0);
    cr_assert_eq(vr_faultmem_calls(&fault), 100);
}
