/*
 * base/faultmem.h - an allocator that fails the nth allocation and counts what is not given back, for tests.
 *
 *     vr_faultmem fault;
 *     for (uint64_t nth = 1;; nth++) {
 *         vr_faultmem_init(&fault, nth, false);
 *         vr_mem mem = vr_faultmem_mem(&fault);
 *         ... the operation, which must give NOMEM and change nothing ...
 *         if (vr_faultmem_injected(&fault) == 0) break;
 *         // vr_faultmem_live(&fault) is 0 once everything is freed
 *     }
 */
#ifndef VR_BASE_FAULTMEM_H
#define VR_BASE_FAULTMEM_H

#include <stdatomic.h>

#include "base/memory.h"

/* Owned by the test and outlives every vr_mem made of it. All atomic: the allocator is called by any thread. */
typedef struct vr_faultmem {
    _Atomic uint64_t calls;    /* allocations and reallocations asked for */
    _Atomic uint64_t fail_at;  /* the number of the call that fails, from 1; 0: none */
    _Atomic bool persistent;   /* and all after it */
    _Atomic uint64_t injected; /* calls that were made to fail */
    _Atomic uint64_t live;     /* blocks not given back */
} vr_faultmem;

/* The nth allocation from now fails, and all after it while persistent. nth 0: none fails. */
void vr_faultmem_init(vr_faultmem *fault, uint64_t nth, bool persistent);

/* The same for a vr_faultmem in use: counts calls anew, keeps live. */
void vr_faultmem_arm(vr_faultmem *fault, uint64_t nth, bool persistent);

/* malloc and free with the faults. fault must outlive it. */
vr_mem vr_faultmem_mem(vr_faultmem *fault);

uint64_t vr_faultmem_calls(const vr_faultmem *fault);
uint64_t vr_faultmem_injected(const vr_faultmem *fault);
uint64_t vr_faultmem_live(const vr_faultmem *fault);

#endif
