/*
 * os/epoch.h - epoch-based reclamation: readers take no lock and no shared reference count.
 *
 * A reader enters, loads pointers, uses what they point at, leaves. Who unlinks an object retires it; it is released when
 * every reader that could have seen it has left (two epochs later). Readers count themselves in one of a few striped counters
 * of the current epoch's parity, re-checking the epoch after the increment; the epoch advances when the counters of the one
 * before are zero. After K. Fraser, Practical lock-freedom, 2004; the counters are those of SRCU (P. McKenney, 2006).
 */
#ifndef VR_OS_EPOCH_H
#define VR_OS_EPOCH_H

#include <stdint.h>

#include "base/memory.h"

typedef struct vr_epoch vr_epoch;

/* An object that can be retired begins with this (or holds it). Owned by the epoch between retire and release. */
typedef struct vr_retired {
    struct vr_retired *next;
    uint64_t epoch;
    void (*release)(struct vr_retired *retired, void *context);
    void *context;
} vr_retired;

varve_status vr_epoch_create(const vr_mem *mem, vr_epoch **epoch, varve_error *err);

/* Releases everything that is retired. No reader may be inside. */
void vr_epoch_free(vr_epoch *epoch);

/* Enter and leave. The token must be given back by the thread that got it. Do not block in between. */
uint32_t vr_epoch_enter(vr_epoch *epoch);
void vr_epoch_leave(vr_epoch *epoch, uint32_t token);

/*
 * Hands an unlinked object over; takes the epoch's own mutex. release is called later, by the thread that collects or frees,
 * without the epoch's locks held.
 */
void vr_epoch_retire(vr_epoch *epoch, vr_retired *retired, void (*release)(vr_retired *retired, void *context), void *context);

/* Advances if it can and releases what is due. Returns the number released. Called by background threads and by the cache. */
size_t vr_epoch_collect(vr_epoch *epoch);

#endif
