/*
 * changelog/restore.h - brings a store to the end of the log: everything into an empty one, else what it is behind.
 *
 * Offset order decides, so records that were applied before may come again. Threads: one; nobody else writes to the store.
 */
#ifndef VCL_RESTORE_H
#define VCL_RESTORE_H

#include <varve/feed.h>

#include "link.h"
#include "survey.h"

/* How far a restore is, and whom to tell. Threads: one. */
typedef struct vcl_progress {
    const vcl_link *link;
    varve_restore_progress now;
    uint64_t began_ms, told_ms; /* monotonic */
} vcl_progress;

void vcl_progress_init(vcl_progress *progress, const vcl_link *link, int64_t start, int64_t end);

/* Tells at most five times a second, or in any case. Returns: VARVE_OK, or VARVE_CANCELLED. */
varve_status vcl_progress_tell(vcl_progress *progress, bool in_any_case, varve_error *err);

/*
 * Everything in [offsets->start, offsets->end) into the empty store, without WAL and memtable, and with the position, whose topic,
 * partition and topic id the caller has set. survey: what the marks on the way said. judge decides whether the result may be kept.
 * If it took longer than retention_ms, deletes may have been missed: it starts again, up to the end as it is then.
 * Partial effect on failure: none, the store stays empty.
 */
typedef varve_status (*vcl_judge_fn)(void *context, const vcl_survey *survey, int64_t end, varve_error *err);
varve_status vcl_restore_all(const vcl_link *link, const vcl_offsets *offsets, int64_t retention_ms, vcl_position *position,
                             vcl_survey *survey, vcl_judge_fn judge, void *judge_context, vcl_progress *progress, varve_error *err);

/*
 * What [position->next_offset, end) says, as replica batches of some thousand records, each with its position: interrupted, it goes
 * on from there. began_ms: wall clock before end was captured. The feed is released behind it.
 */
varve_status vcl_restore_delta(const vcl_link *link, varve_feed *feed, int64_t end, int64_t began_ms, int64_t retention_ms,
                               vcl_position *position, vcl_progress *progress, varve_error *err);

#endif
