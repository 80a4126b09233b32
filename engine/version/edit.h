/*
 * version/edit.h - one change of what a database consists of, and its encoding in the manifest. doc/format-manifest.md is
 * normative.
 *
 * An edit is applied whole or not at all. Encoded it is a run of fields: varint tag, varint size, content. A reader skips unknown
 * tags whose lowest bit is set and refuses others with VARVE_UNSUPPORTED.
 */
#ifndef VR_VERSION_EDIT_H
#define VR_VERSION_EDIT_H

#include <varve/varve.h>

#include "base/memory.h"
#include "table/format.h"

#define VR_LEVELS 7u /* level 0: whole runs, newest first by number; 1 to 6: sorted, without overlap */

/* Bounds of what an edit may say. */
#define VR_FILE_NUMBER_MAX ((UINT64_C(1) << 48) - 1) /* of next_file; tables and WAL segments lie below it */
#define VR_STORE_ID_MAX (UINT32_MAX - 1)             /* store ids begin at 1 */
#define VR_EDIT_BYTES_MAX (256u << 20)               /* encoded */

typedef enum vr_edit_kind {
    VR_EDIT_DB_ID,          /* id */
    VR_EDIT_NEXT_FILE,      /* number: next table file */
    VR_EDIT_LAST_SEQUENCE,  /* sequence: at least this one has been given out */
    VR_EDIT_WAL_FIRST,      /* number: oldest WAL segment needed */
    VR_EDIT_OPENED,         /* a writer has opened: a clean mark before it is void */
    VR_EDIT_CLEAN,          /* sequence: closed cleanly; the WAL ends exactly there */
    VR_EDIT_STORE_CREATE,   /* store_id, name, store_options */
    VR_EDIT_STORE_DROP,     /* store_id */
    VR_EDIT_STORE_FLUSHED,  /* store_id, sequence: everything of the store up to it is in tables */
    VR_EDIT_STORE_POSITION, /* store_id, content: its position as of the flushed sequence */
    VR_EDIT_TABLE_ADD,      /* store_id, level, number, table */
    VR_EDIT_TABLE_REMOVE,   /* store_id, level, number */
    VR_EDIT_FEED_SET,       /* name, sequence: the feed exists and has released up to it */
    VR_EDIT_FEED_DROP,      /* name */
    VR_EDIT_NEXT_STORE,     /* store_id: no store gets an id below it; keeps the ids of dropped stores from being given again */
    VR_EDIT_KIND_COUNT
} vr_edit_kind;

typedef struct vr_edit_field {
    vr_edit_kind kind;
    uint32_t store_id, level;
    uint64_t number, sequence;
    uint8_t id[16];
    varve_slice name, content; /* borrowed while building; into the encoded bytes after decoding */
    varve_store_options store_options;
    vr_table_summary table; /* its keys are borrowed while building; when decoded they point into the encoded bytes (capacity 0) */
} vr_edit_field;

/* An edit under construction or decoded. Threads: one. */
typedef struct vr_edit {
    vr_mem mem;
    vr_edit_field *fields;
    size_t count, capacity;
    char **keys; /* copies that vr_edit_add_table() made */
    size_t key_count, key_capacity;
} vr_edit;

void vr_edit_init(vr_edit *edit, const vr_mem *mem);
void vr_edit_free(vr_edit *edit);
vr_edit_field *vr_edit_add(vr_edit *edit, vr_edit_kind kind, varve_error *err); /* zeroed field to fill; NULL: VARVE_NOMEM */

/* Adds a TABLE_ADD whose keys are copies that live as long as the edit, or a TABLE_REMOVE. On failure the edit is as it was. */
varve_status vr_edit_add_table(vr_edit *edit, uint32_t store_id, uint32_t level, uint64_t number, const vr_table_summary *summary,
                               varve_error *err);
varve_status vr_edit_remove_table(vr_edit *edit, uint32_t store_id, uint32_t level, uint64_t number, varve_error *err);

/* Appends the encoding to out. Bounds are not checked here but where the bytes are decoded: vr_manifest_append() decodes what it is
 * to write. */
varve_status vr_edit_encode(const vr_edit *edit, varve_buffer *out, varve_error *err);

/* Decodes into edit, which is initialised; what it held is forgotten. file and offset (of bytes in it) are for the message of a
 * failure. */
varve_status vr_edit_decode(varve_slice bytes, const char *file, uint64_t offset, vr_edit *edit, varve_error *err);

#endif
