/*
 * changelog/ship.c - the shipper thread: gather, ship, and keep out of the way.
 */
#include "ship.h"

#include <errno.h>

#include "report.h"

enum {
    IDLE_WAIT_MS = 100, /* how long the feed is waited on at a time when there is nothing: bounds how late a stop is seen */
    PASSED_MAX = 4096,  /* changes of others after which the released sequence is moved on */
    GROUP_RECORDS_MAX = 1 << 20, /* of one group, if it ends there */
    LINGER_MAX = 1 << 16         /* changes of others after which a gathered group is not kept waiting */
};

/* --- State shared with the callers -------------------------------------------------------------------------------- */

static bool stopping(varve_changelog *changelog) {
    pthread_mutex_lock(&changelog->lock);
    bool stop = changelog->stop;
    pthread_mutex_unlock(&changelog->lock);
    return stop;
}

bool vcl_ship_pause(void *context, uint32_t ms) {
    varve_changelog *changelog = context;
    struct timespec until = vcl_deadline_in(ms);
    pthread_mutex_lock(&changelog->lock);
    int waited = 0;
    while (!changelog->stop && waited != ETIMEDOUT) waited = pthread_cond_timedwait(&changelog->wake, &changelog->lock, &until);
    bool stop = changelog->stop;
    pthread_mutex_unlock(&changelog->lock);
    return !stop;
}

void vcl_ship_trouble(void *context, const varve_error *err) {
    varve_changelog *changelog = context;
    varve_status code = err ? err->code : VARVE_OK;
    pthread_mutex_lock(&changelog->lock);
    bool first = changelog->stats.state != code;
    if (!changelog->ended) {
        changelog->stats.state = code;
        memset(changelog->stats.message, 0, sizeof changelog->stats.message);
        if (err) memcpy(changelog->stats.message, err->message, sizeof err->message);
    }
    pthread_cond_broadcast(&changelog->changed);
    pthread_mutex_unlock(&changelog->lock);
    if (first && err) vcl_link_say(&changelog->link, "%.400s", err->message);
    if (first && !err) vcl_link_say(&changelog->link, "all is well again");
}

static void end_for_good(varve_changelog *changelog, const varve_error *err) {
    vcl_ship_trouble(changelog, err);
    pthread_mutex_lock(&changelog->lock);
    changelog->ended = true;
    pthread_cond_broadcast(&changelog->changed);
    pthread_mutex_unlock(&changelog->lock);
}

static void acknowledge(varve_changelog *changelog, uint64_t sequence) {
    pthread_mutex_lock(&changelog->lock);
    if (sequence > changelog->stats.acknowledged_sequence) changelog->stats.acknowledged_sequence = sequence;
    pthread_cond_broadcast(&changelog->changed);
    pthread_mutex_unlock(&changelog->lock);
}

/* --- Gather ------------------------------------------------------------------------------------------------------- */

/* Waits for the rest of the commit interval. Returns early for a flush or a stop. */
static void wait_interval(varve_changelog *changelog, uint64_t first_ms) {
    uint64_t due = first_ms + changelog->link.config.commit_interval_ms;
    uint64_t now = vcl_monotonic_ms();
    if (now >= due) return;
    struct timespec until = vcl_deadline_in(due - now);
    pthread_mutex_lock(&changelog->lock);
    int waited = 0;
    while (!changelog->stop && changelog->flush_sequence <= changelog->stats.acknowledged_sequence && waited != ETIMEDOUT) {
        waited = pthread_cond_timedwait(&changelog->wake, &changelog->lock, &until);
    }
    pthread_mutex_unlock(&changelog->lock);
}

static bool is_ours(const varve_changelog *changelog, const varve_change *change) {
    return change->store_id == changelog->link.store_id && !change->replica && change->kind != VARVE_CHANGE_POSITION;
}

static varve_status take(varve_changelog *changelog, const varve_change *change, varve_error *err) {
    if (!changelog->pinned) {
        varve_feed_pin(changelog->feed);
        changelog->pinned = true;
    }
    vcl_record record = {.key = change->key,
                         .value = change->value,
                         .tombstone = change->kind == VARVE_CHANGE_DELETE,
                         .timestamp_ms = (int64_t)change->timestamp_ms};
    if (record.tombstone) record.value = (varve_slice){NULL, 0};
    return vcl_group_add(&changelog->group, &record, err);
}

/* What a gather has seen so far. */
typedef struct vcl_gather {
    bool waited; /* the feed was empty when it began: its first change is new */
    bool full;   /* ends because of its size */
    bool interval_over;
    uint64_t first_ms; /* of the group's first change */
    uint32_t others;   /* changes of others since the last of ours */
} vcl_gather;

/* One change has come. Returns: VARVE_OK to go on, VARVE_NOT_FOUND when the group, or the passing, is to end here. */
static varve_status gather_change(varve_changelog *changelog, vcl_gather *gather, const varve_change *change, varve_error *err) {
    vcl_group *group = &changelog->group;
    if (is_ours(changelog, change)) {
        if (group->count == 0) gather->first_ms = gather->waited ? vcl_monotonic_ms() : changelog->gathered_ms;
        varve_status status = take(changelog, change, err);
        if (status != VARVE_OK) return status;
        if (change->sequence <= changelog->open_sequence) changelog->group_reshipped++;
        gather->others = 0;
    } else {
        gather->others++;
    }
    if (!change->batch_end) return VARVE_OK;
    if (group->count == 0) {
        changelog->passed = change->sequence;
        return gather->others >= PASSED_MAX ? VARVE_NOT_FOUND : VARVE_OK;
    }
    group->through = change->sequence;
    gather->full = group->bytes >= changelog->link.config.group_bytes_max || group->count >= GROUP_RECORDS_MAX;
    return gather->full || gather->others >= LINGER_MAX ? VARVE_NOT_FOUND : VARVE_OK;
}

/* Fills the group with whole batches. It stays empty when there is nothing to ship. */
static varve_status gather(varve_changelog *changelog, varve_error *err) {
    vcl_group *group = &changelog->group;
    vcl_gather gather = {.interval_over = changelog->group_was_full};
    vcl_group_clear(group);
    changelog->group_reshipped = 0;
    varve_status status = VARVE_OK;
    while (status == VARVE_OK) {
        varve_change change;
        bool idle = group->count == 0 && changelog->passed == 0;
        status = varve_feed_next(changelog->feed, 0, &change, err);
        if (status == VARVE_NOT_FOUND && idle && !gather.waited) {
            gather.waited = true;
            status = varve_feed_next(changelog->feed, IDLE_WAIT_MS, &change, err);
        }
        if (status == VARVE_NOT_FOUND && group->count > 0 && !gather.interval_over) {
            wait_interval(changelog, gather.first_ms);
            gather.interval_over = true;
            status = VARVE_OK;
            continue;
        }
        if (status == VARVE_OK) status = gather_change(changelog, &gather, &change, err);
    }
    changelog->gathered_ms = vcl_monotonic_ms();
    changelog->group_was_full = gather.full;
    return status == VARVE_NOT_FOUND ? VARVE_OK : status;
}

/* --- Ship --------------------------------------------------------------------------------------------------------- */

/*
 * Notes in the store how far the log is known. Without room on the disk it is due later: the group is in the log, where a position
 * that is older will find it, and releasing it is what makes room.
 */
static varve_status write_position(varve_changelog *changelog, varve_error *err) {
    varve_batch_clear(changelog->batch);
    varve_status status = vcl_link_write(&changelog->link, changelog->batch, &changelog->position, false, err);
    changelog->position_due = status == VARVE_NO_SPACE || status == VARVE_NOMEM;
    if (!changelog->position_due) return status;
    vcl_ship_trouble(changelog, err);
    return VARVE_OK;
}

static void count_group(varve_changelog *changelog) {
    const vcl_group *group = &changelog->group;
    pthread_mutex_lock(&changelog->lock);
    varve_changelog_stats *stats = &changelog->stats;
    stats->shipped_records += group->count;
    stats->shipped_bytes += group->bytes;
    stats->shipped_groups++;
    stats->next_offset = changelog->position.next_offset;
    stats->reshipped += changelog->group_reshipped;
    pthread_mutex_unlock(&changelog->lock);
}

static void unpin(varve_changelog *changelog) {
    if (changelog->pinned) varve_feed_unpin(changelog->feed);
    changelog->pinned = false;
}

varve_status vcl_ship_group(varve_changelog *changelog, varve_error *err) {
    const vcl_link *link = &changelog->link;
    vcl_group *group = &changelog->group;
    vcl_position *position = &changelog->position;
    vcl_group_seal(group, position, link->db_id);
    varve_status status = varve_sync(link->db, err);
    if (status != VARVE_OK) return status;
    status = vcl_deliver(&changelog->courier, group, err);
    if (status != VARVE_OK) return status;
    /* The group's memory is done with, and its WAL must not be held while a full disk makes the position wait. */
    unpin(changelog);
    count_group(changelog);
    if (!group->base) {
        position->acknowledged = group->through;
        position->copying = false;
    }
    position->target_offset = position->next_offset;
    position->synced_ms = vcl_link_now_ms(link);
    status = write_position(changelog, err);
    if (status == VARVE_OK) acknowledge(changelog, position->acknowledged);
    return status;
}

/* One round: VARVE_OK to go on, VARVE_CANCELLED when it is to stop, else the failure that ends it. */
static varve_status round_once(varve_changelog *changelog, varve_error *err) {
    varve_status status = gather(changelog, err);
    if (status == VARVE_OK && changelog->group.count > 0) {
        status = vcl_ship_group(changelog, err);
        if (status == VARVE_OK) changelog->passed = changelog->position.acknowledged;
    }
    unpin(changelog);
    if (status == VARVE_OK && changelog->group.count == 0 && changelog->position_due) {
        status = write_position(changelog, err);
        if (status == VARVE_OK && !changelog->position_due) vcl_ship_trouble(changelog, NULL);
    }
    if (status == VARVE_OK && changelog->passed > 0) {
        status = varve_feed_release(changelog->feed, changelog->passed, err);
        if (status == VARVE_OK) acknowledge(changelog, changelog->passed);
        changelog->passed = 0;
    }
    if (status != VARVE_OK && !vcl_fenced(err) && stopping(changelog)) return VARVE_CANCELLED;
    if (status == VARVE_NOMEM) {
        /* Nothing was shipped: go back to where the group began. */
        vcl_ship_trouble(changelog, err);
        if (!vcl_ship_pause(changelog, IDLE_WAIT_MS)) return VARVE_CANCELLED;
        return varve_feed_seek(changelog->feed, varve_feed_released(changelog->feed), err);
    }
    return status;
}

static void *ship_main(void *context) {
    varve_changelog *changelog = context;
    varve_error err = {0};
    varve_status status = VARVE_OK;
    while (status == VARVE_OK && !stopping(changelog)) status = round_once(changelog, &err);
    if (status != VARVE_OK && status != VARVE_CANCELLED) end_for_good(changelog, &err);
    unpin(changelog);
    return NULL;
}

varve_status vcl_ship_start(varve_changelog *changelog, varve_error *err) {
    changelog->gathered_ms = vcl_monotonic_ms();
    changelog->courier.retry = (vcl_retry){.pause = vcl_ship_pause, .context = changelog};
    int failed = pthread_create(&changelog->thread, NULL, ship_main, changelog);
    if (failed) {
        vcl_fail(err, VARVE_IO, 0, "pthread_create() failed with errno %d", failed);
        err->os_error = failed;
        return VARVE_IO;
    }
    changelog->running = true;
    return VARVE_OK;
}

void vcl_ship_stop(varve_changelog *changelog) {
    if (!changelog->running) return;
    pthread_mutex_lock(&changelog->lock);
    changelog->stop = true;
    pthread_cond_broadcast(&changelog->wake);
    pthread_mutex_unlock(&changelog->lock);
    pthread_join(changelog->thread, NULL);
    changelog->running = false;
}
