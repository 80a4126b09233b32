/*
 * mem/memtable.h - the newest entries of one store, in memory: an arena, a hash index over the keys, and a skiplist.
 *
 * One node per key; a node's versions hang off it, newest first. An added entry is in the arena and the hash index at
 * once, so point reads find it; it is linked into the skiplist some tens of additions later (up to 64 interleaved
 * descents, a step of each per addition), or when somebody needs order.
 *
 * Threads: add and link by one thread at a time (the caller's write mutex). get and cursors by any thread, without
 * locks, side by side with the writer. A reader sees entries whose sequence it asks for as soon as the writer's
 * publication of that sequence is visible to it.
 * Memory: offsets into one reserved range of pages; nothing is freed before the whole.
 */
#ifndef VR_MEM_MEMTABLE_H
#define VR_MEM_MEMTABLE_H

#include "kv/cursor.h"
#include "kv/record.h"
#include "os/env.h"

typedef struct vr_memtable vr_memtable;

/*
 * bytes: what it may hold before it is to be flushed; capacity: room for one more batch of batch_bytes beyond that is
 * reserved. keys_expected presizes the hash index (0: unknown).
 */
varve_status vr_memtable_create(const vr_env *env, vr_budget *budget, uint64_t bytes, uint64_t keys_expected, vr_memtable **mt,
                                varve_error *err);
void vr_memtable_ref(vr_memtable *mt);
void vr_memtable_unref(vr_memtable *mt); /* the last one releases it */

/* Whether an entry of these sizes, or a whole batch of batch_bytes with count entries, is sure to fit: room in the
 * reserved range and in the hash index, which grows here if it must. A memtable that holds less than its bytes fits any
 * legal batch, unless memory or address space is short. Writer's side. */
bool vr_memtable_fits(vr_memtable *mt, uint64_t batch_bytes, uint32_t count);

/* Asks for the cache line that add() and get() begin with; nothing depends on it. For a put's key before its record is
 * written to the WAL (in key order, where no other insertion hides the miss, that is a third of its time), or for keys
 * ahead in a batch. Any thread. */
void vr_memtable_prefetch(const vr_memtable *mt, uint64_t key_hash);

/* Adds one entry. Sequences rise. VARVE_NOMEM when it does not fit (never after vr_memtable_fits() said yes); nothing
 * has changed then. kind: PUT or DELETE. */
varve_status vr_memtable_add(vr_memtable *mt, uint64_t sequence, vr_kind kind, varve_slice key, uint64_t key_hash,
                             varve_slice value, varve_error *err);

/* Links what is pending into the skiplist. Writer's side. */
void vr_memtable_link(vr_memtable *mt);

/* Whether anything is not linked yet (acquire): who needs order takes the write mutex and calls vr_memtable_link(). */
bool vr_memtable_pending(const vr_memtable *mt);

/*
 * The newest version of key at or below sequence. Returns false when there is none. *value points into the memtable,
 * valid as long as the caller holds a reference or is inside an epoch in which the memtable was reachable.
 */
bool vr_memtable_get(const vr_memtable *mt, varve_slice key, uint64_t key_hash, uint64_t sequence, uint64_t *trailer,
                     varve_slice *value);

/* A cursor over the entries that are linked when it gets there; it holds a reference. */
varve_status vr_memtable_cursor(vr_memtable *mt, vr_cursor **cursor, varve_error *err);

uint64_t vr_memtable_bytes(const vr_memtable *mt);        /* memory in use; any thread */
uint64_t vr_memtable_keys(const vr_memtable *mt);         /* distinct keys */
uint64_t vr_memtable_entries(const vr_memtable *mt);      /* versions */
uint64_t vr_memtable_min_sequence(const vr_memtable *mt); /* 0 when empty */
uint64_t vr_memtable_max_sequence(const vr_memtable *mt);

#endif
