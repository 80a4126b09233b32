/*
 * changelog/ship.h - the shipper: takes the store's changes from the feed, group by group, and has them delivered.
 *
 * One thread of its own. Between two groups the position in memory, the one in the store and the log agree; within one, the log may
 * be ahead by exactly the group under way, and while the disk is full by the groups whose position could not be written. Order for
 * each group: sync, deliver, position, release; so shipped <= fsynced, and what is released is in the log.
 */
#ifndef VCL_SHIP_H
#define VCL_SHIP_H

#include <pthread.h>
#include <varve/feed.h>

#include "deliver.h"
#include "group.h"
#include "link.h"

struct varve_changelog {
    /* Constant after open. */
    vcl_link link;
    uint64_t open_sequence; /* newest change when it was opened: what is shipped up to it, a former process wrote */
    bool running;           /* the thread was started, and not joined */
    pthread_t thread;

    /* Only the shipper thread; the opener before it is started and the closer after it has ended. */
    varve_feed *feed;
    varve_batch *batch; /* for positions */
    vcl_position position;
    vcl_courier courier;
    vcl_group group;
    uint64_t group_reshipped; /* of its records, those that a former process had written */
    bool pinned;
    bool position_due;    /* the disk had no room for the newest one */
    bool group_was_full;  /* the last group was: there is a backlog */
    uint64_t gathered_ms; /* monotonic: when the last group was gathered */
    uint64_t passed;      /* end of the newest batch that was seen and needs no shipping */

    /* Guarded by lock. wake: the shipper is to look up. changed: acknowledged or state has changed. */
    pthread_mutex_t lock;
    pthread_cond_t wake, changed;
    bool locks_made;
    bool stop;
    uint64_t flush_sequence; /* newest sequence that somebody waits for */
    varve_changelog_stats stats;
    bool ended; /* stats.state is for good */
};

/* Starts and stops the thread. Stopping waits for the transaction under way. */
varve_status vcl_ship_start(varve_changelog *changelog, varve_error *err);
void vcl_ship_stop(varve_changelog *changelog);

/* For the thread and its opener: a pause that ends early when the thread is to stop, and then returns false. */
bool vcl_ship_pause(void *changelog, uint32_t ms);

/* Keeps the state in the statistics: NULL for all is well. Any thread. */
void vcl_ship_trouble(void *changelog, const varve_error *err);

/* Ships changelog->group: sync, deliver, position, release. The group is sealed here. Shipper thread, or the opener. */
varve_status vcl_ship_group(varve_changelog *changelog, varve_error *err);

#endif
