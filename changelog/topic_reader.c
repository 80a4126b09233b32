/*
 * changelog/topic_reader.c - reads a partition from one offset to another.
 */
#include "topic_reader.h"

#include "report.h"

enum { POLL_MS = 100 };

void vcl_topic_reader_init(vcl_topic_reader *reader, const vcl_link *link, int64_t from, int64_t end, vcl_retry *retry) {
    *reader = (vcl_topic_reader){.link = link, .retry = retry, .next = from, .end = end};
}

void vcl_topic_reader_close(vcl_topic_reader *reader) {
    if (reader->consumer) reader->link->transport->ops->consumer_close(reader->consumer);
    reader->consumer = NULL;
}

/* After a failure: false when it is to be returned. A consumer that may be of no more use is opened anew at the next offset. */
static bool try_again(vcl_topic_reader *reader, const varve_error *err) {
    bool fatal = (err->flags & VARVE_ERROR_FATAL) != 0;
    if (!vcl_retriable(err) && !(fatal && err->code == VARVE_KAFKA)) return false;
    if (fatal) vcl_topic_reader_close(reader);
    return vcl_retry_again(reader->retry);
}

/* Leaves out what was handed out before (a client library may fetch twice) and what is beyond the end. */
static void trim(const vcl_topic_reader *reader, const vcl_record **records, size_t *count) {
    while (*count > 0 && (*records)[0].offset < reader->next) {
        (*records)++;
        (*count)--;
    }
    while (*count > 0 && (*records)[*count - 1].offset >= reader->end) (*count)--;
}

static varve_status nothing_came(vcl_topic_reader *reader, varve_error *err) {
    if (vcl_retry_again(reader->retry)) return VARVE_OK;
    const vcl_config *config = &reader->link->config;
    return vcl_fail(err, VARVE_KAFKA, VARVE_ERROR_RETRIABLE, "topic %s [%d]: no record for %u ms at offset %lld, the end is %lld",
                    config->topic, config->partition, reader->retry->patience_ms, (long long)reader->next, (long long)reader->end);
}

varve_status vcl_topic_reader_next(vcl_topic_reader *reader, const vcl_record **records, size_t *count, varve_error *err) {
    const vcl_transport_ops *ops = reader->link->transport->ops;
    *records = NULL;
    *count = 0;
    if (reader->next >= reader->end) return VARVE_NOT_FOUND;
    varve_status status;
    if (!reader->consumer) {
        status = ops->consumer_open(reader->link->transport, reader->link->config.topic, reader->link->config.partition,
                                    reader->next, &reader->consumer, err);
        if (status != VARVE_OK) {
            reader->consumer = NULL;
            return try_again(reader, err) ? VARVE_OK : status;
        }
    }
    const vcl_record *got = NULL;
    size_t got_count = 0;
    status = ops->poll(reader->consumer, POLL_MS, &got, &got_count, err);
    if (status != VARVE_OK) return try_again(reader, err) ? VARVE_OK : status;

    int64_t before = reader->next;
    bool past_end = got_count > 0 && got[got_count - 1].offset >= reader->end;
    trim(reader, &got, &got_count);
    if (got_count > 0) reader->next = got[got_count - 1].offset + 1;
    int64_t position = past_end ? reader->end : ops->position(reader->consumer);
    if (position > reader->next) reader->next = position < reader->end ? position : reader->end;
    if (reader->next == before) return nothing_came(reader, err);
    vcl_retry_reset(reader->retry);
    *records = got;
    *count = got_count;
    return VARVE_OK;
}
