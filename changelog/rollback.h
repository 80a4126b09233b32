/*
 * changelog/rollback.h - undoes the store's own changes that never reached the log, after another process took it over.
 *
 * Each such change gives a replica batch that puts back what its key had at the acknowledged sequence. Doing it twice is the same
 * as once, and nothing foreign is applied before it is complete, so a crash in it means doing it again. Time and memory: those of
 * the tail, in batches. Threads: one.
 */
#ifndef VCL_ROLLBACK_H
#define VCL_ROLLBACK_H

#include <varve/feed.h>

#include "link.h"

/*
 * Undoes what the feed has after position->acknowledged, which must not be below what it has released. *undone: changes.
 * On success the position is written, with everything up to now acknowledged, no session, and restoring up to target.
 */
varve_status vcl_roll_back(const vcl_link *link, varve_feed *feed, int64_t target, vcl_position *position, uint64_t *undone,
                           varve_error *err);

#endif
