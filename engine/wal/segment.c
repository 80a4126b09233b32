/*
 * wal/segment.c - segment files: made, mapped, recycled.
 *
 * A number is only ever given to a file that holds no record of that number: a new file is zero-written, a spare's records have
 * lower numbers. A file gets its name only when it is complete and durable, so a short or headless segment is always damage. Spares
 * are files this run, or an earlier one, made itself and released; a file that a checkpoint may share is removed instead.
 *
 * New files are written in pieces of 64 KiB: with larger ones the page cache builds folios so large that each sync of a few
 * bytes writes them whole. A recycled file is mapped anew, because a mapping kept would fault on every page it still maps
 * read-only.
 */
#include "base/bytes.h"
#include "base/check.h"
#include "base/error.h"
#include "wal/wal_state.h"

#define ZERO_PIECE_BYTES ((size_t)64 << 10)

vr_segment *vr_segment_alloc(const vr_wal *wal, uint64_t number, uint64_t size) {
    char name[VR_WAL_NAME_BYTES];
    char path[VR_PATH_BYTES_MAX];
    vr_wal_name(name, number);
    if (!vr_path_join(path, wal->dir, name)) return NULL;
    size_t path_bytes = strlen(path) + 1;
    vr_segment *seg = vr_zalloc(&wal->env->mem, sizeof *seg + path_bytes);
    if (!seg) return NULL;
    seg->number = number;
    seg->size = size;
    atomic_init(&seg->end, VR_WAL_PAGE_BYTES);
    memcpy(seg->path, path, path_bytes);
    return seg;
}

varve_status vr_segment_open(vr_wal *wal, vr_segment *seg, varve_error *err) {
    if (seg->file) return VARVE_OK;
    unsigned flags = wal->read_only ? VR_OPEN_READ : VR_OPEN_READ | VR_OPEN_WRITE;
    return vr_fs_open(wal->env->fs, seg->path, flags, &seg->file, err);
}

varve_status vr_segment_map(vr_wal *wal, vr_segment *seg, bool writable, varve_error *err) {
    if (seg->map) return VARVE_OK;
    varve_status st = vr_segment_open(wal, seg, err);
    if (st != VARVE_OK) return st;
    void *address;
    st = vr_file_map(seg->file, (size_t)seg->size, writable, &address, err);
    if (st != VARVE_OK) return st;
    seg->map = address;
    vr_budget_charge(wal->budget, VR_USE_WAL, seg->size);
    return VARVE_OK;
}

void vr_segment_unmap(vr_wal *wal, vr_segment *seg) {
    VR_ASSERT(seg->refs == 0);
    if (!seg->map) return;
    vr_file_unmap(seg->file, seg->map, (size_t)seg->size);
    vr_budget_release(wal->budget, VR_USE_WAL, seg->size);
    seg->map = NULL;
}

void vr_segment_shut(vr_wal *wal, vr_segment *seg) {
    vr_segment_unmap(wal, seg);
    (void)vr_file_close(seg->file, NULL); /* what matters was synced, and sync has told */
    seg->file = NULL;
}

bool vr_segment_rest(vr_wal *wal, vr_segment *seg) {
    if (!seg->map && !(seg->file && seg->synced)) return false;
    if (seg->synced) {
        vr_segment_shut(wal, seg);
    } else {
        vr_segment_unmap(wal, seg); /* stays open: an error of its writing back is told to this handle */
    }
    return true;
}

void vr_segment_free(vr_wal *wal, vr_segment *seg) {
    if (!seg) return;
    vr_segment_shut(wal, seg);
    vr_free(&wal->env->mem, seg);
}

/* --- Making --- */

static bool spare_path(const vr_wal *wal, unsigned slot, char path[VR_PATH_BYTES_MAX]) {
    char name[VR_WAL_NAME_BYTES];
    vr_wal_spare_name(name, slot + 1);
    return vr_path_join(path, wal->dir, name);
}

/* Gives a spare, if there is one of this size, the name of the file to be made. */
static bool take_spare(vr_wal *wal, uint64_t size, const char *new_path) {
    vr_mutex_assert_held(&wal->prepare_mutex);
    if (size != wal->segment_bytes) return false;
    for (unsigned i = 0; i < VR_WAL_SPARES; i++) {
        char path[VR_PATH_BYTES_MAX];
        if (!wal->spares[i] || !spare_path(wal, i, path)) continue;
        wal->spares[i] = false;
        if (vr_fs_rename(wal->env->fs, path, new_path, NULL) == VARVE_OK) return true;
    }
    return false;
}

/* Reserves and writes the whole file, so that later stores never allocate. */
static varve_status fill(vr_wal *wal, vr_file *file, uint64_t size, varve_error *err) {
    varve_status st = vr_file_reserve(file, size, err);
    if (st != VARVE_OK) return st;
    char *zeros = vr_zalloc(&wal->env->mem, ZERO_PIECE_BYTES);
    if (!zeros) return vr_error_nomem(err, ZERO_PIECE_BYTES, "a WAL segment");
    for (uint64_t at = 0; at < size && st == VARVE_OK; at += ZERO_PIECE_BYTES) {
        uint64_t piece = size - at < ZERO_PIECE_BYTES ? size - at : ZERO_PIECE_BYTES;
        st = vr_file_pwrite(file, zeros, (size_t)piece, at, err);
    }
    vr_free(&wal->env->mem, zeros);
    return st;
}

/* The file at new_path becomes a whole, durable segment; it stays open in *file. */
static varve_status write_new(vr_wal *wal, const char *new_path, bool spare, uint64_t number, uint64_t size, vr_file **file,
                              varve_error *err) {
    char page[VR_WAL_PAGE_BYTES];
    unsigned flags = VR_OPEN_READ | VR_OPEN_WRITE | (spare ? 0u : (unsigned)(VR_OPEN_CREATE | VR_OPEN_TRUNCATE));
    varve_status st = vr_fs_open(wal->env->fs, new_path, flags, file, err);
    if (st == VARVE_OK && !spare) st = fill(wal, *file, size, err);
    if (st != VARVE_OK) return st;
    vr_wal_page_encode(page, number, size);
    st = vr_file_pwrite(*file, page, sizeof page, 0, err);
    static const char zeros[VR_WAL_ALIGNMENT];
    if (st == VARVE_OK && spare) st = vr_file_pwrite(*file, zeros, sizeof zeros, VR_WAL_PAGE_BYTES, err);
    if (st == VARVE_OK) st = vr_file_sync(*file, err);
    return st;
}

varve_status vr_segment_make(vr_wal *wal, uint64_t number, uint64_t size, vr_segment **made, varve_error *err) {
    vr_mutex_assert_held(&wal->prepare_mutex);
    vr_fs *fs = wal->env->fs;
    char name[VR_WAL_NAME_BYTES];
    char new_path[VR_PATH_BYTES_MAX];
    vr_wal_new_name(name, number);
    vr_segment *seg = vr_segment_alloc(wal, number, size);
    if (!seg || !vr_path_join(new_path, wal->dir, name)) {
        vr_segment_free(wal, seg);
        return vr_error_nomem(err, sizeof *seg, "a WAL segment");
    }
    bool spare = take_spare(wal, size, new_path);
    varve_status st = write_new(wal, new_path, spare, number, size, &seg->file, err);
    if (st == VARVE_OK) st = vr_fs_rename(fs, new_path, seg->path, err);
    if (st == VARVE_OK) st = vr_fs_sync_dir(fs, wal->dir, err);
    if (st != VARVE_OK) {
        vr_segment_free(wal, seg);
        (void)vr_fs_remove(fs, new_path, NULL); /* gives the space back; what cannot be removed now is at the next open */
        return st;
    }
    *made = seg;
    return VARVE_OK;
}

/* --- Disposing --- */

varve_status vr_segment_dispose_locked(vr_wal *wal, vr_segment *seg, varve_error *err) {
    vr_mutex_assert_held(&wal->prepare_mutex);
    vr_segment_shut(wal, seg);
    varve_status st = VARVE_NOT_FOUND;
    bool recyclable = !seg->recovered && !seg->linked && seg->size == wal->segment_bytes;
    for (unsigned i = 0; recyclable && st == VARVE_NOT_FOUND && i < VR_WAL_SPARES; i++) {
        char path[VR_PATH_BYTES_MAX];
        if (wal->spares[i] || !spare_path(wal, i, path)) continue;
        st = vr_fs_rename(wal->env->fs, seg->path, path, err);
        wal->spares[i] = st == VARVE_OK;
    }
    if (st == VARVE_NOT_FOUND) st = vr_fs_remove(wal->env->fs, seg->path, err);
    vr_free(&wal->env->mem, seg);
    return st;
}

varve_status vr_segment_dispose(vr_wal *wal, vr_segment *seg, varve_error *err) {
    vr_mutex_lock(&wal->prepare_mutex);
    varve_status st = vr_segment_dispose_locked(wal, seg, err);
    vr_mutex_unlock(&wal->prepare_mutex);
    return st;
}

/* --- The list --- */

void vr_segment_list_append(vr_wal *wal, vr_segment *seg) {
    VR_ASSERT(!wal->newest || wal->newest->number + 1 == seg->number);
    seg->older = wal->newest;
    seg->newer = NULL;
    if (wal->newest) wal->newest->newer = seg;
    if (!wal->oldest) wal->oldest = seg;
    wal->newest = seg;
}

void vr_segment_list_remove(vr_wal *wal, vr_segment *seg) {
    VR_ASSERT(seg != wal->active);
    if (seg->older) seg->older->newer = seg->newer;
    if (seg->newer) seg->newer->older = seg->older;
    if (wal->oldest == seg) wal->oldest = seg->newer;
    if (wal->newest == seg) wal->newest = seg->older;
}

void vr_segment_unref(vr_wal *wal, vr_segment *seg) {
    vr_mutex_lock(&wal->mutex);
    VR_ASSERT(seg->refs > 0);
    bool unused = --seg->refs == 0 && seg != wal->active;
    bool last = unused && seg->released;
    if (unused) vr_segment_rest(wal, seg);
    if (last) vr_segment_list_remove(wal, seg);
    vr_mutex_unlock(&wal->mutex);
    if (!last) return;
    varve_error why;
    if (vr_segment_dispose(wal, seg, &why) != VARVE_OK) vr_diag_say(&wal->env->diag, "wal: %s", why.message);
}
