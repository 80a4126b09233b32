/*
 * Clocks, randomness and pages (os/env.h).
 */
#include <criterion/criterion.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "os/env.h"

Test(env, system_environment_is_complete) {
    vr_env env = vr_env_system();
    cr_assert(env.mem.allocate && env.mem.reallocate && env.mem.release);
    cr_assert_eq(env.fs, vr_fs_posix());
    cr_assert_null(env.diag.line);
}

Test(env, wall_clock_is_that_of_the_system) {
    vr_env env = vr_env_system();
    uint64_t now = (uint64_t)time(NULL) * 1000;
    uint64_t wall = vr_env_wall_ms(&env);
    cr_assert(wall + 2000 > now && wall < now + 2000, "%llu against %llu", (unsigned long long)wall, (unsigned long long)now);
}

Test(env, monotonic_clock_advances) {
    vr_env env = vr_env_system();
    uint64_t before = vr_env_us(&env);
    usleep(2000);
    uint64_t after = vr_env_us(&env);
    cr_assert_geq(after, before + 2000);
    for (int i = 0; i < 1000; i++) {
        uint64_t now = vr_env_us(&env);
        cr_assert_geq(now, after);
        after = now;
    }
}

Test(env, random_bytes_differ_and_fill_everything) {
    vr_env env = vr_env_system();
    unsigned char a[16];
    unsigned char b[16];
    env.random_bytes(env.context, a, sizeof a);
    env.random_bytes(env.context, b, sizeof b);
    cr_assert_neq(memcmp(a, b, sizeof a), 0);
    static unsigned char many[100001];
    env.random_bytes(env.context, many, sizeof many);
    unsigned zeros_at_end = 0;
    for (size_t i = sizeof many - 64; i < sizeof many; i++) zeros_at_end += many[i] == 0;
    cr_assert_lt(zeros_at_end, 16);
    env.random_bytes(env.context, a, 0);
}

Test(pages, reads_as_zero_and_holds_what_is_written) {
    static const size_t sizes[] = {0, 1, 4096, 100000, 2 << 20, (2 << 20) + 1, 5 << 20};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        char *pages = vr_pages_reserve(sizes[i]);
        cr_assert_not_null(pages);
        for (size_t at = 0; at < sizes[i]; at += 4096) cr_assert_eq(pages[at], 0);
        if (sizes[i] > 0) pages[sizes[i] - 1] = 'x';
        if (sizes[i] > 2 << 20) cr_assert_eq((uintptr_t)pages % (2 << 20), 0, "%zu bytes", sizes[i]);
        vr_pages_release(pages, sizes[i]);
    }
}

/* How many of the 4 KiB pages of a range have memory. */
static size_t resident(void *address, size_t size) {
    static unsigned char states[(64 << 20) / 4096];
    size_t count = 0;
    cr_assert_leq(size / 4096, sizeof states);
    cr_assert_eq(mincore(address, size, states), 0);
    for (size_t i = 0; i < size / 4096; i++) count += states[i] & 1;
    return count;
}

Test(pages, a_reservation_costs_nothing_until_touched_and_after_discard) {
    const size_t size = (size_t)64 << 20;
    const size_t used = (size_t)8 << 20;
    if (sysconf(_SC_PAGESIZE) != 4096) cr_skip_test("counts pages of 4 KiB");
    char *pages = vr_pages_reserve(size);
    cr_assert_not_null(pages);
    cr_assert_eq(resident(pages, size), 0);
    pages[0] = 'x';
    cr_assert_leq(resident(pages, size), 16, "the first 2 MiB are small pages");
    memset(pages, 'x', used);
    cr_assert_geq(resident(pages, size), used / 4096);
    vr_pages_discard(pages, used);
    cr_assert_eq(resident(pages, used), 0);
    cr_assert_eq(pages[0], 0);
    cr_assert_eq(pages[used - 1], 0);
    pages[5] = 'y';
    cr_assert_eq(pages[5], 'y', "the addresses stay");
    vr_pages_release(pages, size);
    vr_pages_release(NULL, 1);
    vr_pages_discard(NULL, 1);
}

Test(pages, an_impossible_reservation_is_refused) {
    cr_assert_null(vr_pages_reserve(SIZE_MAX));
    cr_assert_null(vr_pages_reserve(SIZE_MAX / 2));
}
