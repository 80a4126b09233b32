/*
 * version/manifest_state.h - the state that edits add up to: applying one, undoing one that did not become durable, saying it anew.
 */
#ifndef VR_VERSION_MANIFEST_STATE_H
#define VR_VERSION_MANIFEST_STATE_H

#include "version/manifest.h"

/* What a contradiction is: VARVE_INTERNAL for an edit of our own, VARVE_CORRUPTION for one that was read, and where it stands. */
typedef struct vr_manifest_place {
    varve_status code;
    const char *file;
    uint64_t offset;
} vr_manifest_place;

void vr_manifest_state_init(vr_manifest_state *state);
void vr_manifest_state_free(const vr_mem *mem, vr_manifest_state *state);

/* Applies a decoded edit. On failure the state is partly changed and good for nothing but vr_manifest_state_free(). */
varve_status vr_manifest_state_apply(const vr_mem *mem, vr_manifest_state *state, const vr_edit *edit,
                                     const vr_manifest_place *place, varve_error *err);

/*
 * Makes next what base becomes with the edit. The stores that the edit does not name are shared by both until one of them goes:
 * next with vr_manifest_stage_drop(), or base with vr_manifest_stage_commit(), after which base is the new state and next is
 * nothing.
 */
varve_status vr_manifest_stage(const vr_mem *mem, const vr_manifest_state *base, const vr_edit *edit,
                               const vr_manifest_place *place, vr_manifest_state *next, varve_error *err);
void vr_manifest_stage_drop(const vr_mem *mem, const vr_manifest_state *base, vr_manifest_state *next);
void vr_manifest_stage_commit(const vr_mem *mem, vr_manifest_state *base, vr_manifest_state *next);

/* Adds the fields that say the whole state; they borrow from it. */
varve_status vr_manifest_state_describe(const vr_manifest_state *state, vr_edit *edit, varve_error *err);

#endif
