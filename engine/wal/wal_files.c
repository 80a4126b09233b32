/*
 * wal/wal_files.c - listing and clearing the WAL's directory. Other files in it are not touched.
 */
#include "wal/wal_files.h"

#include "base/error.h"

static bool add_number(const vr_mem *mem, uint64_t **numbers, size_t *count, size_t *capacity, uint64_t number) {
    if (!vr_grow(mem, (void **)numbers, capacity, *count + 1, sizeof **numbers)) return false;
    size_t at = (*count)++;
    for (; at > 0 && (*numbers)[at - 1] > number; at--) (*numbers)[at] = (*numbers)[at - 1];
    (*numbers)[at] = number;
    return true;
}

typedef struct listing {
    vr_wal_files *files;
    bool no_memory;
} listing;

static bool add_name(void *context, const char *name) {
    listing *list = context;
    vr_wal_files *files = list->files;
    uint64_t number;
    bool added = true;
    switch (vr_wal_name_parse(name, &number)) {
    case VR_WAL_FILE_SEGMENT: added = add_number(files->mem, &files->segments, &files->count, &files->capacity, number); break;
    case VR_WAL_FILE_NEW:
        added = add_number(files->mem, &files->unfinished, &files->unfinished_count, &files->unfinished_capacity, number);
        break;
    case VR_WAL_FILE_SPARE: files->spares[number] = true; break;
    case VR_WAL_FILE_OTHER: break;
    }
    list->no_memory = !added;
    return added;
}

varve_status vr_wal_files_list(vr_wal *wal, vr_wal_files *files, varve_error *err) {
    *files = (vr_wal_files){.mem = &wal->env->mem};
    listing list = {files, false};
    varve_status st = vr_fs_list(wal->env->fs, wal->dir, add_name, &list, err);
    if (st == VARVE_OK && list.no_memory) st = vr_error_nomem(err, files->count * sizeof(uint64_t), "the list of WAL segments");
    return st;
}

void vr_wal_files_free(vr_wal_files *files) {
    if (!files->mem) return;
    vr_free(files->mem, files->segments);
    vr_free(files->mem, files->unfinished);
}

static varve_status file_path(const vr_wal *wal, const char *name, char path[VR_PATH_BYTES_MAX], varve_error *err) {
    if (vr_path_join(path, wal->dir, name)) return VARVE_OK;
    return vr_error_set(err, VARVE_INVALID, "the path %s is too long", wal->dir);
}

static varve_status remove_name(const vr_wal *wal, const char *name, varve_error *err) {
    char path[VR_PATH_BYTES_MAX];
    varve_status st = file_path(wal, name, path, err);
    if (st != VARVE_OK) return st;
    st = vr_fs_remove(wal->env->fs, path, err);
    return st == VARVE_MISSING ? VARVE_OK : st;
}

/* Whether a file has the size of a segment that this WAL makes. */
static bool usual_size(const vr_wal *wal, const char *path) {
    vr_file *file;
    uint64_t size = 0;
    if (vr_fs_open(wal->env->fs, path, VR_OPEN_READ, &file, NULL) != VARVE_OK) return false;
    bool known = vr_file_get_size(file, &size, NULL) == VARVE_OK;
    (void)vr_file_close(file, NULL);
    return known && size == wal->segment_bytes;
}

/* Spares of an earlier run are used again if they fit. */
static varve_status adopt_spares(vr_wal *wal, const vr_wal_files *files, varve_error *err) {
    varve_status st = VARVE_OK;
    for (unsigned slot = 0; slot < 10 && st == VARVE_OK; slot++) {
        char name[VR_WAL_NAME_BYTES];
        char path[VR_PATH_BYTES_MAX];
        if (!files->spares[slot]) continue;
        vr_wal_spare_name(name, slot);
        st = file_path(wal, name, path, err);
        if (st != VARVE_OK) break;
        if (slot >= 1 && slot <= VR_WAL_SPARES && usual_size(wal, path)) {
            wal->spares[slot - 1] = true;
        } else {
            st = remove_name(wal, name, err);
        }
    }
    return st;
}

/* Makes a spare of a segment that was prepared and never used. Returns whether it did. */
static bool keep_as_spare(vr_wal *wal, const char *name) {
    char from[VR_PATH_BYTES_MAX];
    char to[VR_PATH_BYTES_MAX];
    char spare[VR_WAL_NAME_BYTES];
    for (unsigned i = 0; i < VR_WAL_SPARES; i++) {
        if (wal->spares[i]) continue;
        vr_wal_spare_name(spare, i + 1);
        if (file_path(wal, name, from, NULL) != VARVE_OK || file_path(wal, spare, to, NULL) != VARVE_OK) return false;
        if (!usual_size(wal, from) || vr_fs_rename(wal->env->fs, from, to, NULL) != VARVE_OK) return false;
        wal->spares[i] = true;
        return true;
    }
    return false;
}

varve_status vr_wal_files_clear(vr_wal *wal, const vr_wal_files *files, uint64_t first, uint64_t last, const bool *pristine,
                                varve_error *err) {
    char name[VR_WAL_NAME_BYTES];
    varve_status st = VARVE_OK;
    for (size_t i = 0; i < files->unfinished_count && st == VARVE_OK; i++) {
        vr_wal_new_name(name, files->unfinished[i]);
        st = remove_name(wal, name, err);
    }
    if (st == VARVE_OK) st = adopt_spares(wal, files, err);
    for (size_t i = files->count; i-- > 0 && st == VARVE_OK;) { /* the newest first: no gap appears before the last one kept */
        uint64_t number = files->segments[i];
        if (number >= first && number <= last) continue;
        vr_wal_name(name, number);
        if (number > last && pristine[i] && keep_as_spare(wal, name)) continue;
        st = remove_name(wal, name, err);
    }
    return st;
}
