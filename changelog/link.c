/*
 * changelog/link.c - the small steps on store and partition that all others are made of.
 */
#include "link.h"

#include <stdarg.h>
#include <stdio.h>
#include <varve/feed.h>

#include "report.h"

varve_status vcl_link_make(vcl_link *link, varve_store *store, const varve_changelog_options *options, vcl_transport *transport,
                           vcl_clock clock, varve_error *err) {
    if (!store) return vcl_fail(err, VARVE_INVALID, 0, "store is NULL");
    memset(link, 0, sizeof *link);
    varve_status status = vcl_config_make(options, &link->config, err);
    if (status != VARVE_OK) return status;
    link->transport = transport;
    link->clock = clock;
    link->store = store;
    link->db = varve_store_db(store);
    link->store_id = varve_store_id(store);
    varve_db_id(link->db, link->db_id);
    return VARVE_OK;
}

void vcl_link_feed_name(const vcl_link *link, char name[VCL_FEED_NAME_BYTES_MAX + 1]) {
    snprintf(name, VCL_FEED_NAME_BYTES_MAX + 1, "changelog/%s", varve_store_name(link->store));
}

varve_status vcl_link_write(const vcl_link *link, varve_batch *batch, const vcl_position *position, bool sync, varve_error *err) {
    uint8_t bytes[VCL_POSITION_BYTES_MAX];
    size_t size = vcl_position_encode(position, bytes);
    varve_status status = varve_batch_position(batch, link->store, varve_bytes(bytes, size), err);
    if (status != VARVE_OK) return status;
    varve_write_options options = {.size = sizeof options, .replica = true, .durability = sync ? VARVE_SYNC : VARVE_WAL};
    return varve_write(link->db, batch, &options, err);
}

varve_status vcl_link_position(const vcl_link *link, vcl_position *position, varve_error *err) {
    varve_buffer bytes = {0};
    varve_status status = varve_store_position(link->store, &bytes, err);
    if (status == VARVE_OK) {
        status = vcl_position_decode(varve_buffer_slice(&bytes), position, err);
        if (status != VARVE_OK) vcl_fail_at(err, "store %.100s: ", varve_store_name(link->store));
    }
    varve_buffer_free(&bytes);
    return status;
}

varve_status vcl_link_offsets(const vcl_link *link, bool settle, vcl_retry *retry, vcl_offsets *offsets, varve_error *err) {
    const vcl_config *config = &link->config;
    for (;;) {
        vcl_offsets got = {0};
        varve_status status =
            link->transport->ops->offsets(link->transport, config->topic, config->partition, config->timeout_ms, &got, err);
        if (status == VARVE_OK && (!settle || got.stable_end >= got.end)) {
            vcl_retry_reset(retry);
            *offsets = got;
            return VARVE_OK;
        }
        if (status == VARVE_OK) {
            status = vcl_fail(err, VARVE_KAFKA, VARVE_ERROR_RETRIABLE,
                              "topic %s [%d]: a transaction of another producer is open from offset %lld on", config->topic,
                              config->partition, (long long)got.stable_end);
        }
        if (!vcl_retriable(err) || !vcl_retry_again(retry)) return status;
    }
}

void vcl_link_say(const vcl_link *link, const char *format, ...) {
    if (!link->config.diag) return;
    char text[500];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    vcl_say(link->config.diag, link->config.diag_context, "changelog %.80s [%d]: %s", link->config.topic, link->config.partition,
            text);
}
