/*
 * wal/wal_scan.c - one segment, record by record, without a WAL: for inspection and fuzzing.
 *
 * The scan ends at the SEAL, or where nothing looks like a record any more (the checksum's place is zero, which the writer sees
 * to). Something else there is damage or a torn tail; a single segment does not tell which, and VARVE_CORRUPTION says what is
 * wrong.
 */
#include "base/error.h"
#include "wal/wal.h"
#include "wal/window.h"

static const char *type_name(vr_wal_type type) {
    return type == VR_WAL_BATCH ? "batch" : type == VR_WAL_SYNC ? "sync" : "seal";
}

static varve_status check_sequence(const vr_wal_spot *spot, const vr_wal_record *record, uint64_t expected, varve_error *err) {
    if (record->type != VR_WAL_BATCH || expected == 0 || record->sequence == expected) return VARVE_OK;
    return vr_error_set(err, VARVE_CORRUPTION, "%s: offset %llu: first sequence is %llu; expected %llu", spot->file,
                        (unsigned long long)spot->offset, (unsigned long long)record->sequence, (unsigned long long)expected);
}

static varve_status scan(vr_window *window, const char *name, vr_wal_record_fn visit, void *context, varve_error *err) {
    const char *page;
    uint64_t have, number;
    varve_status st = vr_window_get(window, 0, VR_WAL_PAGE_BYTES, &page, &have, err);
    if (st == VARVE_OK) st = vr_wal_page_decode(varve_bytes(page, (size_t)have), 0, window->size, name, &number, err);
    if (st != VARVE_OK) return st;
    vr_wal_spot spot = {name, number, window->size, VR_WAL_PAGE_BYTES};
    uint64_t expected = 0; /* unknown before the first batch */
    for (;;) {
        vr_wal_record record;
        varve_error why;
        st = vr_window_record(window, &spot, &record, &why);
        if (st == VARVE_NOT_FOUND && record.blank) return VARVE_OK;
        if (st != VARVE_OK) {
            vr_error_copy(err, &why);
            return st == VARVE_NOT_FOUND ? VARVE_CORRUPTION : st;
        }
        st = check_sequence(&spot, &record, expected, err);
        if (st != VARVE_OK) return st;
        if (record.type == VR_WAL_BATCH) expected = record.sequence + record.count;
        vr_wal_record_info info = {spot.offset, record.sequence, type_name(record.type), record.payload};
        if (!visit(context, &info) || record.type == VR_WAL_SEAL) return VARVE_OK;
        spot.offset += record.bytes;
    }
}

varve_status vr_wal_scan(varve_slice segment, const char *name, vr_wal_record_fn visit, void *context, varve_error *err) {
    vr_window window;
    vr_window_over_memory(&window, segment);
    return scan(&window, name, visit, context, err);
}

varve_status vr_wal_inspect(const vr_env *env, const char *path, vr_wal_record_fn visit, void *context, varve_error *err) {
    vr_window window;
    vr_file *file;
    uint64_t size;
    varve_status st = vr_fs_open(env->fs, path, VR_OPEN_READ, &file, err);
    if (st != VARVE_OK) return st;
    vr_window_over_files(&window, &env->mem, NULL);
    st = vr_file_get_size(file, &size, err);
    if (st == VARVE_OK) {
        vr_window_set_file(&window, file, size);
        st = scan(&window, path, visit, context, err);
    }
    vr_window_free(&window);
    (void)vr_file_close(file, NULL);
    return st;
}
