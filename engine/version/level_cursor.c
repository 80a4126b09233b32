/*
 * version/level_cursor.c - one cursor over files that do not overlap and stand in order: opens each when it gets there, lets go of
 * it when it leaves.
 *
 * Invariants: `inner` is a cursor of files[at], or NULL; the cursor is valid exactly when inner is; all versions of a key are in
 * one file. Threads: one at a time, as for every cursor. It holds a reference on each of its files.
 */
#include "base/bytes.h"
#include "base/check.h"
#include "base/error.h"
#include "version/version.h"

typedef struct level_cursor {
    vr_cursor base; /* must be first: the cursor is used through it */
    vr_mem mem;
    vr_table_access access;
    vr_cursor *inner;
    size_t at, count;
    vr_table_file *files[];
} level_cursor;

/* Shows what inner stands on. */
static inline void show(level_cursor *lc) {
    const vr_cursor *inner = lc->inner;
    lc->base.valid = inner->valid;
    lc->base.status = inner->status;
    lc->base.key = inner->key;
    lc->base.trailer = inner->trailer;
    lc->base.value = inner->value;
}

static void leave_file(level_cursor *lc) {
    if (lc->inner) lc->inner->ops->close(lc->inner);
    lc->inner = NULL;
    lc->base.valid = false;
}

/* Opens files[at]. Returns false, with the cursor failed, when it cannot. */
static bool enter_file(level_cursor *lc, size_t at) {
    vr_table *table;
    if (lc->inner && lc->at == at) return true;
    leave_file(lc);
    varve_status status = vr_table_file_open(lc->files[at], &table, lc->base.err);
    if (status == VARVE_OK) status = vr_table_cursor(table, lc->access, &lc->inner, lc->base.err);
    lc->base.status = status;
    if (status != VARVE_OK) return false;
    lc->inner->err = lc->base.err;
    lc->at = at;
    return true;
}

/* While inner is past its file's end without having failed: on to the first entry of the next file. */
static void roll_forward(level_cursor *lc) {
    while (!lc->inner->valid && lc->inner->status == VARVE_OK && lc->at + 1 < lc->count) {
        if (!enter_file(lc, lc->at + 1)) return;
        lc->inner->ops->first(lc->inner);
    }
    show(lc);
}

static void roll_back(level_cursor *lc) {
    while (!lc->inner->valid && lc->inner->status == VARVE_OK && lc->at > 0) {
        if (!enter_file(lc, lc->at - 1)) return;
        lc->inner->ops->last(lc->inner);
    }
    show(lc);
}

/* Past an end. */
static void settle_nowhere(level_cursor *lc) {
    leave_file(lc);
    lc->base.status = VARVE_OK;
}

static void level_first(vr_cursor *cursor) {
    level_cursor *lc = (level_cursor *)cursor;
    if (lc->count == 0) {
        settle_nowhere(lc);
    } else if (enter_file(lc, 0)) {
        lc->inner->ops->first(lc->inner);
        roll_forward(lc);
    }
}

static void level_last(vr_cursor *cursor) {
    level_cursor *lc = (level_cursor *)cursor;
    if (lc->count == 0) {
        settle_nowhere(lc);
    } else if (enter_file(lc, lc->count - 1)) {
        lc->inner->ops->last(lc->inner);
        roll_back(lc);
    }
}

/* The number of files that end before key (or, with starts, that begin at or before it). */
static size_t files_before(const level_cursor *lc, varve_slice key, bool starts) {
    size_t low = 0, high = lc->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const vr_table_summary *summary = &lc->files[middle]->summary;
        bool before = starts ? vr_compare(varve_buffer_slice(&summary->min_key), key) <= 0
                             : vr_compare(varve_buffer_slice(&summary->max_key), key) < 0;
        if (before) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static void level_seek(vr_cursor *cursor, varve_slice key, uint64_t trailer) {
    level_cursor *lc = (level_cursor *)cursor;
    size_t at = files_before(lc, key, false);
    if (at == lc->count) {
        settle_nowhere(lc);
    } else if (enter_file(lc, at)) {
        lc->inner->ops->seek(lc->inner, key, trailer);
        roll_forward(lc);
    }
}

static void level_seek_prev(vr_cursor *cursor, varve_slice key, uint64_t trailer) {
    level_cursor *lc = (level_cursor *)cursor;
    size_t beyond = files_before(lc, key, true);
    if (beyond == 0) {
        settle_nowhere(lc);
    } else if (enter_file(lc, beyond - 1)) {
        lc->inner->ops->seek_prev(lc->inner, key, trailer);
        roll_back(lc);
    }
}

static void level_next(vr_cursor *cursor) {
    level_cursor *lc = (level_cursor *)cursor;
    VR_ASSERT(cursor->valid);
    lc->inner->ops->next(lc->inner);
    if (lc->inner->valid) {
        show(lc);
    } else {
        roll_forward(lc);
    }
}

static void level_prev(vr_cursor *cursor) {
    level_cursor *lc = (level_cursor *)cursor;
    VR_ASSERT(cursor->valid);
    lc->inner->ops->prev(lc->inner);
    if (lc->inner->valid) {
        show(lc);
    } else {
        roll_back(lc);
    }
}

static void level_close(vr_cursor *cursor) {
    level_cursor *lc = (level_cursor *)cursor;
    vr_mem mem = lc->mem;
    leave_file(lc);
    for (size_t i = 0; i < lc->count; i++) vr_table_file_unref(lc->files[i]);
    vr_free(&mem, lc);
}

static const vr_cursor_ops level_ops = {
    .first = level_first,
    .last = level_last,
    .seek = level_seek,
    .seek_prev = level_seek_prev,
    .next = level_next,
    .prev = level_prev,
    .close = level_close,
};

varve_status vr_level_cursor(const vr_mem *mem, vr_table_file **files, size_t count, vr_table_access access, vr_cursor **cursor,
                             varve_error *err) {
    size_t bytes = sizeof(level_cursor) + count * sizeof(vr_table_file *);
    level_cursor *lc = vr_zalloc(mem, bytes);
    if (!lc) return vr_error_nomem(err, bytes, "a level's cursor");
    lc->base.ops = &level_ops;
    lc->mem = *mem;
    lc->access = access;
    lc->count = count;
    for (size_t i = 0; i < count; i++) {
        VR_ASSERT(i == 0 || vr_compare(varve_buffer_slice(&files[i - 1]->summary.max_key),
                                       varve_buffer_slice(&files[i]->summary.min_key)) < 0);
        lc->files[i] = files[i];
        vr_table_file_ref(files[i]);
    }
    *cursor = &lc->base;
    return VARVE_OK;
}

/* --- All of a version -------------------------------------------------------------------------------------------------------- */

size_t vr_version_cursor_count(const vr_version *version) {
    return version->levels[0].count + version->deep_levels;
}

/* Whether the file has keys in [from, to). */
static bool is_inside(const vr_table_file *file, varve_slice from, varve_slice to) {
    if (from.data && vr_compare(varve_buffer_slice(&file->summary.max_key), from) < 0) return false;
    return !to.data || vr_compare(varve_buffer_slice(&file->summary.min_key), to) < 0;
}

/* Appends a cursor over the files of the run of files that are inside the bounds, if any is. */
static varve_status add_cursor(const vr_version *version, vr_table_file **files, size_t count, vr_table_access access,
                               varve_slice from, varve_slice to, vr_cursor **cursors, size_t *used, varve_error *err) {
    while (count > 0 && !is_inside(files[0], from, to)) files++, count--;
    while (count > 0 && !is_inside(files[count - 1], from, to)) count--;
    if (count == 0) return VARVE_OK;
    varve_status status = vr_level_cursor(&version->mem, files, count, access, &cursors[*used], err);
    if (status == VARVE_OK) (*used)++;
    return status;
}

varve_status vr_version_cursors(vr_version *version, vr_table_access access, varve_slice from, varve_slice to, vr_cursor **cursors,
                                size_t *count, varve_error *err) {
    size_t used = *count, start = *count;
    varve_status status = VARVE_OK;
    for (size_t i = 0; status == VARVE_OK && i < version->levels[0].count; i++) {
        status = add_cursor(version, &version->levels[0].files[i], 1, access, from, to, cursors, &used, err);
    }
    for (uint32_t i = 0; status == VARVE_OK && i < version->deep_levels; i++) {
        vr_level *level = &version->levels[version->deep[i]];
        status = add_cursor(version, level->files, level->count, access, from, to, cursors, &used, err);
    }
    if (status == VARVE_OK) {
        *count = used;
        return VARVE_OK;
    }
    while (used > start) {
        used--;
        cursors[used]->ops->close(cursors[used]);
    }
    return status;
}
