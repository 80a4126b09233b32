/*
 * changelog/reconcile.h - finds out how store and log stand to each other, decides, and brings the store to the end of the log.
 *
 * In three steps, so that a refusal changes nothing and disturbs nobody: look (before anyone is fenced), look again (after), act.
 * Threads: one; nobody else writes to the store.
 */
#ifndef VCL_RECONCILE_H
#define VCL_RECONCILE_H

#include <varve/feed.h>

#include "decide.h"
#include "link.h"
#include "restore.h"

typedef struct vcl_reconcile {
    const vcl_link *link;
    bool writing; /* to ship afterwards */
    vcl_topic_info topic;
    bool has_position, store_empty;
    vcl_position position; /* after act: as it is in the store, or is to be written where acted says so */
    vcl_offsets offsets;   /* the stretch under consideration is below offsets.stable_end */
    vcl_survey survey;
    bool surveyed;
    int64_t began_ms; /* wall clock before offsets were asked for */
    vcl_decision decision;
    vcl_progress progress; /* of the restore, if there was one */
    uint64_t rolled_back;  /* changes undone */
} vcl_reconcile;

/* Topic and position are read, the topic created if it may be, the log's tail read. Returns: what a refusal says. */
varve_status vcl_reconcile_look(vcl_reconcile *reconcile, const vcl_link *link, bool writing, varve_error *err);

/* The same with what has come since; waits until no transaction is open. */
varve_status vcl_reconcile_look_again(vcl_reconcile *reconcile, varve_error *err);

/* Brings the store to offsets.stable_end. The position in reconcile is then that of a store that equals the log there. */
varve_status vcl_reconcile_act(vcl_reconcile *reconcile, varve_feed *feed, varve_error *err);

#endif
