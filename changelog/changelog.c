/*
 * changelog/changelog.c - open, flush, close, statistics and restore: the public functions, and what each is made of.
 */
#include <errno.h>
#include <stdlib.h>

#include "initial_copy.h"
#include "open.h"
#include "reconcile.h"
#include "report.h"
#include "ship.h"

/* --- Open --------------------------------------------------------------------------------------------------------- */

static varve_status make_locks(varve_changelog *changelog, varve_error *err) {
    pthread_condattr_t attributes;
    if (pthread_condattr_init(&attributes) != 0) return vcl_fail(err, VARVE_NOMEM, 0, "out of memory for a condition");
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    bool lock = pthread_mutex_init(&changelog->lock, NULL) == 0;
    bool wake = lock && pthread_cond_init(&changelog->wake, &attributes) == 0;
    bool changed = wake && pthread_cond_init(&changelog->changed, &attributes) == 0;
    pthread_condattr_destroy(&attributes);
    if (changed) {
        changelog->locks_made = true;
        return VARVE_OK;
    }
    if (wake) pthread_cond_destroy(&changelog->wake);
    if (lock) pthread_mutex_destroy(&changelog->lock);
    return vcl_fail(err, VARVE_NOMEM, 0, "out of memory for a lock");
}

static void destroy(varve_changelog *changelog) {
    vcl_ship_stop(changelog);
    vcl_courier_close(&changelog->courier);
    varve_feed_close(changelog->feed);
    varve_batch_free(changelog->batch);
    vcl_group_free(&changelog->group);
    if (changelog->locks_made) {
        pthread_cond_destroy(&changelog->wake);
        pthread_cond_destroy(&changelog->changed);
        pthread_mutex_destroy(&changelog->lock);
    }
    free(changelog);
}

/* The next epoch and a session of its own, durable before the first record carries them. */
static varve_status begin_session(varve_changelog *changelog, const vcl_reconcile *reconcile, varve_error *err) {
    vcl_position *position = &changelog->position;
    *position = reconcile->position;
    uint32_t epoch = reconcile->survey.epoch_max;
    if (position->epoch > epoch) epoch = position->epoch;
    if (epoch == UINT32_MAX)
        return vcl_fail(err, VARVE_INTERNAL, 0, "the epochs of topic %s are used up", changelog->link.config.topic);
    position->epoch = epoch + 1;
    do {
        varve_status status = vcl_random(&position->session, sizeof position->session, err);
        if (status != VARVE_OK) return status;
    } while (position->session == 0);
    varve_batch_clear(changelog->batch);
    return vcl_link_write(&changelog->link, changelog->batch, position, true, err);
}

static void begin_stats(varve_changelog *changelog, const vcl_reconcile *reconcile) {
    varve_changelog_stats *stats = &changelog->stats;
    stats->size = sizeof *stats;
    stats->acknowledged_sequence = changelog->position.acknowledged;
    stats->restored_records = reconcile->progress.now.records;
    stats->restored_bytes = reconcile->progress.now.bytes;
    stats->restore_ms = reconcile->progress.now.elapsed_ms;
    stats->rolled_back = reconcile->rolled_back;
    stats->epoch = changelog->position.epoch;
    stats->next_offset = changelog->position.next_offset;
}

/* Everything from the topic to the running shipper, in the order of the protocol. */
static varve_status bind(varve_changelog *changelog, varve_error *err) {
    const vcl_link *link = &changelog->link;
    char feed_name[VCL_FEED_NAME_BYTES_MAX + 1];
    vcl_link_feed_name(link, feed_name);
    vcl_reconcile reconcile;
    changelog->open_sequence = varve_sequence(link->db);
    changelog->courier = (vcl_courier){.link = link,
                                       .position = &changelog->position,
                                       .retry = vcl_retry_patient(link->config.timeout_ms),
                                       .trouble = vcl_ship_trouble,
                                       .trouble_context = changelog};
    varve_status status = vcl_reconcile_look(&reconcile, link, true, err);
    if (status == VARVE_OK) status = varve_batch_create(&changelog->batch, err);
    if (status == VARVE_OK) status = varve_feed_open(link->db, feed_name, &changelog->feed, err);
    if (status == VARVE_OK) status = vcl_courier_open(&changelog->courier, err);
    if (status == VARVE_OK) status = vcl_reconcile_look_again(&reconcile, err);
    if (status == VARVE_OK) status = vcl_reconcile_act(&reconcile, changelog->feed, err);
    if (status == VARVE_OK) status = begin_session(changelog, &reconcile, err);
    if (status != VARVE_OK) return status;
    begin_stats(changelog, &reconcile);
    if (changelog->position.copying) status = vcl_copy_store(changelog, err);
    uint64_t from = changelog->position.acknowledged;
    if (status == VARVE_OK) status = varve_feed_release(changelog->feed, from, err);
    if (status == VARVE_OK) status = varve_feed_seek(changelog->feed, from, err);
    return status == VARVE_OK ? vcl_ship_start(changelog, err) : status;
}

varve_status vcl_changelog_open_on(vcl_transport *transport, varve_store *store, const varve_changelog_options *options,
                                   vcl_clock clock, varve_changelog **changelog, varve_error *err) {
    varve_changelog *opened = calloc(1, sizeof *opened);
    varve_status status = opened ? VARVE_OK : vcl_fail(err, VARVE_NOMEM, 0, "out of memory for a changelog");
    if (status == VARVE_OK) status = vcl_link_make(&opened->link, store, options, transport, clock, err);
    if (status == VARVE_OK) status = make_locks(opened, err);
    if (status == VARVE_OK) status = bind(opened, err);
    if (status == VARVE_OK) {
        *changelog = opened;
        return VARVE_OK;
    }
    if (opened) destroy(opened);
    transport->ops->close(transport);
    return status;
}

/* Checks the options before they reach the client library, and opens the transport to Kafka. */
static varve_status open_transport(varve_store *store, const varve_changelog_options *options, vcl_transport **transport,
                                   varve_error *err) {
    vcl_link link;
    varve_status status = vcl_link_make(&link, store, options, NULL, vcl_clock_system(), err);
    return status == VARVE_OK ? vcl_rdkafka_open(options, transport, err) : status;
}

varve_status varve_changelog_open(varve_store *store, const varve_changelog_options *options, varve_changelog **changelog,
                                  varve_error *err) {
    varve_error local = {0};
    if (!err) err = &local;
    if (!changelog) return vcl_fail(err, VARVE_INVALID, 0, "changelog is NULL");
    vcl_transport *transport = NULL;
    varve_status status = open_transport(store, options, &transport, err);
    if (status != VARVE_OK) return status;
    return vcl_changelog_open_on(transport, store, options, vcl_clock_system(), changelog, err);
}

/* --- While it is open --------------------------------------------------------------------------------------------- */

varve_status varve_changelog_flush(varve_changelog *changelog, uint32_t timeout_ms, varve_error *err) {
    varve_error local = {0};
    if (!err) err = &local;
    if (!changelog) return vcl_fail(err, VARVE_INVALID, 0, "changelog is NULL");
    uint64_t target = varve_sequence(changelog->link.db);
    struct timespec until = vcl_deadline_in(timeout_ms);
    const varve_changelog_stats *stats = &changelog->stats;
    varve_status status = VARVE_OK;
    int waited = 0;
    pthread_mutex_lock(&changelog->lock);
    if (target > changelog->flush_sequence) changelog->flush_sequence = target;
    pthread_cond_broadcast(&changelog->wake);
    while (stats->acknowledged_sequence < target && !changelog->ended && waited != ETIMEDOUT) {
        waited = pthread_cond_timedwait(&changelog->changed, &changelog->lock, &until);
    }
    if (stats->acknowledged_sequence < target && changelog->ended) {
        uint32_t flags = VARVE_ERROR_FATAL | (stats->state == VARVE_FENCED ? VARVE_ERROR_FENCED : 0);
        status = vcl_fail(err, stats->state, flags, "%s", stats->message);
    } else if (stats->acknowledged_sequence < target) {
        status = vcl_fail(err, VARVE_TIMEOUT, VARVE_ERROR_RETRIABLE,
                          "sequence %llu is not acknowledged after %u ms, %llu is%s%.380s", (unsigned long long)target, timeout_ms,
                          (unsigned long long)stats->acknowledged_sequence, stats->message[0] ? ": " : "", stats->message);
    }
    pthread_mutex_unlock(&changelog->lock);
    return status;
}

varve_status varve_changelog_stats_get(varve_changelog *changelog, varve_changelog_stats *stats, varve_error *err) {
    varve_error local = {0};
    if (!err) err = &local;
    if (!changelog || !stats) return vcl_fail(err, VARVE_INVALID, 0, "%s is NULL", changelog ? "stats" : "changelog");
    if (stats->size != sizeof *stats) {
        return vcl_fail(err, VARVE_INVALID, 0, "stats.size is %zu, allowed is %zu: sizeof(varve_changelog_stats)", stats->size,
                        sizeof *stats);
    }
    pthread_mutex_lock(&changelog->lock);
    *stats = changelog->stats;
    pthread_mutex_unlock(&changelog->lock);
    stats->sequence = varve_sequence(changelog->link.db);
    return VARVE_OK;
}

varve_status varve_changelog_close(varve_changelog *changelog, varve_error *err) {
    (void)err;
    if (!changelog) return VARVE_OK;
    vcl_transport *transport = changelog->link.transport;
    destroy(changelog);
    transport->ops->close(transport);
    return VARVE_OK;
}

/* --- Restore ------------------------------------------------------------------------------------------------------ */

/* Brings the store to the end of the log; the feed keeps what the store changes from then on until it is opened for writing. */
static varve_status catch_up(const vcl_link *link, vcl_reconcile *reconcile, varve_error *err) {
    char feed_name[VCL_FEED_NAME_BYTES_MAX + 1];
    vcl_link_feed_name(link, feed_name);
    varve_feed *feed = NULL;
    varve_batch *batch = NULL;
    varve_status status = varve_feed_open(link->db, feed_name, &feed, err);
    if (status == VARVE_OK) status = vcl_reconcile_act(reconcile, feed, err);
    if (status == VARVE_OK && reconcile->decision.verdict == VCL_GO_ON && reconcile->surveyed) {
        status = varve_batch_create(&batch, err);
        if (status == VARVE_OK) status = vcl_link_write(link, batch, &reconcile->position, true, err);
    }
    varve_batch_free(batch);
    varve_feed_close(feed);
    return status;
}

varve_status vcl_changelog_restore_on(vcl_transport *transport, varve_store *store, const varve_changelog_options *options,
                                      vcl_clock clock, varve_restore_progress *result, varve_error *err) {
    vcl_link link;
    vcl_reconcile reconcile;
    varve_status status = vcl_link_make(&link, store, options, transport, clock, err);
    if (status == VARVE_OK) status = vcl_reconcile_look(&reconcile, &link, false, err);
    if (status == VARVE_OK && reconcile.decision.verdict != VCL_START) status = catch_up(&link, &reconcile, err);
    if (status == VARVE_OK && result) {
        *result = reconcile.progress.now;
        if (reconcile.progress.link == NULL) {
            /* There was nothing to apply. */
            result->offset = result->end_offset = result->start_offset = reconcile.offsets.stable_end;
        }
    }
    transport->ops->close(transport);
    return status;
}

varve_status varve_changelog_restore(varve_store *store, const varve_changelog_options *options, varve_restore_progress *result,
                                     varve_error *err) {
    varve_error local = {0};
    if (!err) err = &local;
    vcl_transport *transport = NULL;
    varve_status status = open_transport(store, options, &transport, err);
    if (status != VARVE_OK) return status;
    return vcl_changelog_restore_on(transport, store, options, vcl_clock_system(), result, err);
}
