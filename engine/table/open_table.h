/*
 * table/open_table.h - the inside of an open table, for the files that read it.
 */
#ifndef VR_TABLE_OPEN_TABLE_H
#define VR_TABLE_OPEN_TABLE_H

#include "table/slots.h"
#include "table/table.h"
#include "table/table_file.h"

/* Constant after open, but for what the slots hold. */
struct vr_table {
    vr_table_file file;
    vr_cache *cache;
    vr_slots slots; /* one slot per data frame */
};

/*
 * Reads data block i into its slot and gives it. With pin: with a reference for the caller, who need not be inside the epoch;
 * else the caller is inside.
 */
varve_status vr_table_load_block(vr_table *table, uint32_t i, bool pin, vr_cached **block, varve_error *err);

#endif
