/*
 * transport_fixture.h - what the tests of both transports share: calls that must succeed, records out of strings, and the
 * committed content of a partition as one line of text, "0:a=1 1:b=- 4:c=3/mark".
 */
#ifndef TRANSPORT_FIXTURE_H
#define TRANSPORT_FIXTURE_H

#include "transport.h"

#include <criterion/criterion.h>

#define MUST(call, err) cr_assert_eq((call), VARVE_OK, "%s: %s", #call, (err).message)

/* key, value (NULL: tombstone), mark (NULL: none), at time 1. Memory: the strings'. */
vcl_record record_of(const char *key, const char *value, const char *mark);

/* Creates a compacted topic of one partition with that delete.retention.ms. */
void make_topic(vcl_transport *t, const char *topic, const char *delete_retention_ms);

vcl_producer *open_producer(vcl_transport *t, const char *id);

/* Begins, produces key=value into partition 0 and, if asked to, commits; returns next_offset or -1. */
int64_t write_pair(vcl_transport *t, vcl_producer *p, const char *topic, const char *key, const char *value, bool commit);

vcl_offsets offsets_of(vcl_transport *t, const char *topic);

/* Reads from the offset until the position is at the stable end; the text is the caller's to free. */
char *read_all(vcl_transport *t, const char *topic, int64_t offset);

void expect_content(vcl_transport *t, const char *topic, int64_t offset, const char *expected);

#endif
