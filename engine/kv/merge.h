/*
 * kv/merge.h - one cursor over several.
 */
#ifndef VR_KV_MERGE_H
#define VR_KV_MERGE_H

#include "base/memory.h"
#include "kv/cursor.h"

/*
 * Merges count cursors (no two of which hold the same key and trailer) into one. Takes ownership of the cursors, also on failure;
 * the array stays the caller's. With one cursor, that one is returned.
 */
varve_status vr_merge_open(const vr_mem *mem, vr_cursor **cursors, size_t count, varve_error *cursor_err, vr_cursor **merged,
                           varve_error *err);

#endif
