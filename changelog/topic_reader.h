/*
 * changelog/topic_reader.h - reads a partition from one offset to another, whatever happens to connections meanwhile.
 *
 * Threads: one at a time. Invariant: every committed record in [from, next) was handed out exactly once, in order; the end is
 * reached by the consumer's position, which passes control records too, so the last record may lie well before it.
 */
#ifndef VCL_TOPIC_READER_H
#define VCL_TOPIC_READER_H

#include "link.h"

typedef struct vcl_topic_reader {
    const vcl_link *link;
    vcl_retry *retry;
    vcl_consumer *consumer; /* NULL: to be opened at next */
    int64_t next, end;
} vcl_topic_reader;

/* Starts at from; records at end and above are not handed out. retry decides how long a broker is waited for. */
void vcl_topic_reader_init(vcl_topic_reader *reader, const vcl_link *link, int64_t from, int64_t end, vcl_retry *retry);

/*
 * The next records; *count may be 0 so that the caller can look around. Memory: valid until the next call.
 * Returns: VARVE_OK; VARVE_NOT_FOUND when next has reached end; the error that outlasted the retry.
 */
varve_status vcl_topic_reader_next(vcl_topic_reader *reader, const vcl_record **records, size_t *count, varve_error *err);

void vcl_topic_reader_close(vcl_topic_reader *reader);

#endif
