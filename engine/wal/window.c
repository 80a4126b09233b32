/*
 * wal/window.c - see window.h. A window over files reads WINDOW_BYTES at a time, more only where one record is larger.
 */
#include "wal/window.h"

#include "base/bytes.h"
#include "base/check.h"
#include "base/error.h"

#define WINDOW_BYTES ((uint64_t)1 << 20)

void vr_window_over_memory(vr_window *window, varve_slice bytes) {
    memset(window, 0, sizeof *window);
    window->bytes = (char *)(uintptr_t)bytes.data; /* never written: there is no file to read from */
    window->got = bytes.size;
    window->size = bytes.size;
}

void vr_window_over_files(vr_window *window, const vr_mem *mem, vr_budget *budget) {
    memset(window, 0, sizeof *window);
    window->mem = mem;
    window->budget = budget;
}

void vr_window_set_file(vr_window *window, vr_file *file, uint64_t size) {
    VR_ASSERT(window->mem);
    window->file = file;
    window->size = size;
    window->start = 0;
    window->got = 0;
}

void vr_window_free(vr_window *window) {
    if (!window->mem) return;
    if (window->budget) vr_budget_release(window->budget, VR_USE_WORK, window->capacity);
    vr_free(window->mem, window->bytes);
    memset(window, 0, sizeof *window);
}

static varve_status grow(vr_window *window, size_t capacity, varve_error *err) {
    char *bytes = vr_realloc(window->mem, window->bytes, capacity);
    if (!bytes) return vr_error_nomem(err, capacity, "reading the WAL");
    if (window->budget) vr_budget_charge(window->budget, VR_USE_WORK, capacity - window->capacity);
    window->bytes = bytes;
    window->capacity = capacity;
    return VARVE_OK;
}

varve_status vr_window_get(vr_window *window, uint64_t offset, uint64_t want, const char **at, uint64_t *have, varve_error *err) {
    uint64_t rest = offset < window->size ? window->size - offset : 0;
    if (want > rest) want = rest;
    bool inside = offset >= window->start && offset + want <= window->start + window->got;
    if (!inside && window->file) {
        uint64_t bytes = want > WINDOW_BYTES ? want : WINDOW_BYTES;
        if (bytes > rest) bytes = rest;
        if (bytes > window->capacity) {
            varve_status st = grow(window, (size_t)bytes, err);
            if (st != VARVE_OK) return st;
        }
        window->start = offset;
        window->got = 0;
        varve_status st = vr_file_pread(window->file, window->bytes, (size_t)bytes, offset, &window->got, err);
        if (st != VARVE_OK) return st;
    }
    if (offset < window->start || offset >= window->start + window->got) {
        *at = window->bytes;
        *have = 0;
        return VARVE_OK;
    }
    *at = window->bytes + (offset - window->start);
    *have = window->start + window->got - offset;
    return VARVE_OK;
}

varve_status vr_window_record(vr_window *window, const vr_wal_spot *spot, vr_wal_record *record, varve_error *err) {
    const char *at;
    uint64_t have;
    varve_status st = vr_window_get(window, spot->offset, VR_WAL_RECORD_BYTES, &at, &have, err);
    if (st == VARVE_OK && have >= VR_WAL_RECORD_BYTES) {
        st = vr_window_get(window, spot->offset, vr_wal_record_want(at, spot), &at, &have, err);
    }
    if (st != VARVE_OK) return st;
    return vr_wal_record_decode(at, have, spot, record, err);
}
