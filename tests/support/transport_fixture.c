/*
 * transport_fixture.c - see transport_fixture.h.
 */
#include "transport_fixture.h"

#include <stdio.h>
#include <stdlib.h>

enum { TIMEOUT_MS = 20000 };

vcl_record record_of(const char *key, const char *value, const char *mark) {
    return (vcl_record){.key = varve_str(key),
                        .value = varve_str(value),
                        .tombstone = value == NULL,
                        .timestamp_ms = 1,
                        .mark = varve_str(mark)};
}

void make_topic(vcl_transport *t, const char *topic, const char *delete_retention_ms) {
    varve_error err;
    const varve_kafka_setting configs[] = {{"cleanup.policy", "compact"}, {"delete.retention.ms", delete_retention_ms}};
    const vcl_topic_spec spec = {.partitions = 1, .replication = -1, .configs = configs, .config_count = 2};
    MUST(t->ops->create_topic(t, topic, &spec, TIMEOUT_MS, &err), err);
}

vcl_producer *open_producer(vcl_transport *t, const char *id) {
    varve_error err;
    vcl_producer *p = NULL;
    MUST(t->ops->producer_open(t, id, TIMEOUT_MS, &p, &err), err);
    return p;
}

int64_t write_pair(vcl_transport *t, vcl_producer *p, const char *topic, const char *key, const char *value, bool commit) {
    varve_error err;
    int64_t next = -1;
    const vcl_record record = record_of(key, value, NULL);
    MUST(t->ops->begin(p, &err), err);
    MUST(t->ops->produce(p, topic, 0, &record, 1, &err), err);
    if (commit) MUST(t->ops->commit(p, TIMEOUT_MS, &next, &err), err);
    return next;
}

vcl_offsets offsets_of(vcl_transport *t, const char *topic) {
    varve_error err;
    vcl_offsets offsets = {0};
    MUST(t->ops->offsets(t, topic, 0, TIMEOUT_MS, &offsets, &err), err);
    return offsets;
}

static void print_record(FILE *out, const vcl_record *record, bool first) {
    fprintf(out, "%s%lld:%.*s=", first ? "" : " ", (long long)record->offset, (int)record->key.size, record->key.data);
    if (record->tombstone) {
        fputc('-', out);
    } else {
        fwrite(record->value.data, 1, record->value.size, out);
    }
    if (record->mark.data) fprintf(out, "/%.*s", (int)record->mark.size, record->mark.data);
}

char *read_all(vcl_transport *t, const char *topic, int64_t offset) {
    varve_error err;
    vcl_consumer *c = NULL;
    char *text = NULL;
    size_t size = 0, total = 0, count = 0;
    const vcl_record *records = NULL;
    FILE *out = open_memstream(&text, &size);
    int64_t end = offsets_of(t, topic).stable_end;
    MUST(t->ops->consumer_open(t, topic, 0, offset, &c, &err), err);
    for (int polls = 0; t->ops->position(c) < end; polls++) {
        cr_assert_lt(polls, 20000, "position %lld never reaches %lld", (long long)t->ops->position(c), (long long)end);
        MUST(t->ops->poll(c, 1000, &records, &count, &err), err);
        for (size_t i = 0; i < count; i++) print_record(out, &records[i], total++ == 0);
    }
    t->ops->consumer_close(c);
    fclose(out);
    return text;
}

void expect_content(vcl_transport *t, const char *topic, int64_t offset, const char *expected) {
    char *found = read_all(t, topic, offset);
    cr_assert_str_eq(found, expected, "found '%s', expected '%s'", found, expected);
    free(found);
}
