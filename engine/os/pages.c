/*
 * os/pages.c - address space straight from the kernel, for arenas.
 *
 * A reservation beyond 2 MiB starts at a multiple of 2 MiB; its first 2 MiB stay on small pages, so that a memtable with little
 * in it takes little, and the rest asks for huge pages. Nothing is charged before it is touched.
 */
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/check.h"
#include "os/env.h"

#define HUGE_PAGE ((size_t)2 << 20)

static size_t whole_pages(size_t size) {
    return (size_t)vr_align_up(size ? size : 1, (uint64_t)sysconf(_SC_PAGESIZE));
}

static void *map_anonymous(size_t size) {
    void *address = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return address == MAP_FAILED ? NULL : address;
}

/* Maps one huge page more than asked for and gives back what lies before the first boundary and after the end. */
static void *map_aligned(size_t size) {
    char *raw = map_anonymous(size + HUGE_PAGE);
    if (!raw) return NULL;
    char *aligned = (char *)(uintptr_t)vr_align_up((uintptr_t)raw, HUGE_PAGE);
    size_t before = (size_t)(aligned - raw);
    if (before) munmap(raw, before);
    if (before < HUGE_PAGE) munmap(aligned + size, HUGE_PAGE - before);
    return aligned;
}

void *vr_pages_reserve(size_t size) {
    if (size > SIZE_MAX - 2 * HUGE_PAGE) return NULL;
    size = whole_pages(size);
    if (size <= HUGE_PAGE) return map_anonymous(size);
    char *address = map_aligned(size);
    if (address) madvise(address + HUGE_PAGE, size - HUGE_PAGE, MADV_HUGEPAGE); /* a wish: small pages do as well */
    return address;
}

void vr_pages_discard(void *address, size_t size) {
    if (address) VR_CHECK(madvise(address, whole_pages(size), MADV_DONTNEED) == 0);
}

void vr_pages_release(void *address, size_t size) {
    if (address) VR_CHECK(munmap(address, whole_pages(size)) == 0);
}
