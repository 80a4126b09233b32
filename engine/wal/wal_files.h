/*
 * wal/wal_files.h - which files of a directory are the WAL's, as found when it is opened.
 */
#ifndef VR_WAL_WAL_FILES_H
#define VR_WAL_WAL_FILES_H

#include "wal/wal_state.h"

/* What the directory holds. Threads: the one that opens the WAL. */
typedef struct vr_wal_files {
    const vr_mem *mem;
    uint64_t *segments; /* numbers, sorted */
    size_t count, capacity;
    uint64_t *unfinished; /* numbers of segments that were being made */
    size_t unfinished_count, unfinished_capacity;
    bool spares[10]; /* by slot */
} vr_wal_files;

varve_status vr_wal_files_list(vr_wal *wal, vr_wal_files *files, varve_error *err);
void vr_wal_files_free(vr_wal_files *files);

/*
 * Clears away what recovery does not need: segments below first and above last, unfinished ones, surplus spares.
 * pristine[i] says that segments[i] holds nothing of its own number, so that it may become a spare. The removals become
 * durable with the directory sync of the next segment made, before that one is used.
 */
varve_status vr_wal_files_clear(vr_wal *wal, const vr_wal_files *files, uint64_t first, uint64_t last, const bool *pristine,
                                varve_error *err);

#endif
