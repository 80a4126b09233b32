/*
 * changelog/link.h - what ties a store to a partition: passed to every step of the changelog. Constant while in use; any thread.
 */
#ifndef VCL_LINK_H
#define VCL_LINK_H

#include "clock.h"
#include "config.h"
#include "transport.h"

typedef struct vcl_link {
    vcl_config config;
    vcl_transport *transport;
    vcl_clock clock;
    varve_db *db;
    varve_store *store;
    uint32_t store_id;
    uint8_t db_id[VCL_ID_BYTES];
} vcl_link;

/* Fills the link for the store; transport and store stay the caller's. */
varve_status vcl_link_make(vcl_link *link, varve_store *store, const varve_changelog_options *options, vcl_transport *transport,
                           vcl_clock clock, varve_error *err);

/* The name of the store's feed in its database: "changelog/" and the store's name. */
#define VCL_FEED_NAME_BYTES_MAX (10u + VARVE_STORE_NAME_BYTES_MAX)
void vcl_link_feed_name(const vcl_link *link, char name[VCL_FEED_NAME_BYTES_MAX + 1]);

/* Writes the position, with the changes that are in the batch already, as a replica: the feed tells so and it is not shipped. */
varve_status vcl_link_write(const vcl_link *link, varve_batch *batch, const vcl_position *position, bool sync, varve_error *err);

/* Reads the store's position. Returns: VARVE_OK, VARVE_NOT_FOUND when it has none, VARVE_CORRUPTION naming the store. */
varve_status vcl_link_position(const vcl_link *link, vcl_position *position, varve_error *err);

/* The partition's offsets; with settle, waits until no transaction is open, so that end and stable end are the same. */
varve_status vcl_link_offsets(const vcl_link *link, bool settle, vcl_retry *retry, vcl_offsets *offsets, varve_error *err);

/* One line to the caller's diagnostics, with the topic in front. */
void vcl_link_say(const vcl_link *link, const char *format, ...) __attribute__((format(printf, 2, 3)));

static inline int64_t vcl_link_now_ms(const vcl_link *link) {
    return link->clock.now_ms(link->clock.context);
}

#endif
