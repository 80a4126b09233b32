/*
 * changelog/decide.h - what is to be done with a store and its log: a pure function of what is known about both. The table of
 * cases is in changelog/README.md, and row by row in tests/changelog/test_decide.c.
 */
#ifndef VCL_DECIDE_H
#define VCL_DECIDE_H

#include "survey.h"

typedef enum vcl_verdict {
    VCL_REFUSE,  /* VARVE_DIVERGED with the message; nothing was changed */
    VCL_SCAN,    /* read the log after the position, then ask again */
    VCL_START,   /* both are empty: a new history */
    VCL_COPY,    /* the log is to get a full copy of the store first, or the copy begun is to be made again */
    VCL_RESTORE, /* the store is empty: take everything */
    VCL_GO_ON,   /* nothing foreign in the log: ship what is not acknowledged */
    VCL_FOLLOW   /* another process took over: undo what never reached the log, then apply what is new there */
} vcl_verdict;

typedef enum vcl_reason {
    VCL_FINE,
    VCL_OTHER_TOPIC,        /* the position names another topic or partition */
    VCL_OTHER_TOPIC_ID,     /* the topic was deleted and created again */
    VCL_TOPIC_GONE,         /* the topic of the position does not exist */
    VCL_LOG_SHORTER,        /* the log ends before the position: acknowledged records are lost */
    VCL_LOG_START_PASSED,   /* the log starts after the position: records were removed before they were read */
    VCL_LOG_REWRITTEN,      /* at the position there are other records than those that were applied */
    VCL_TOMBSTONES_EXPIRED, /* away for longer than tombstones are kept, and something was cleaned away */
    VCL_FORKED,             /* two directories with one database id write to the log */
    VCL_OTHER_LINEAGE,      /* the log is of another history */
    VCL_COPY_OVERTAKEN,     /* another process wrote before the store's first copy was complete */
    VCL_COPY_UNFINISHED,    /* the log ends in somebody's incomplete first copy */
    VCL_NO_POSITION,        /* the store has content that it did not get from this log */
    VCL_NOT_VARVE           /* the log's newest record was not written by Varve */
} vcl_reason;

typedef struct vcl_situation {
    const char *topic;
    int32_t partition;
    uint8_t topic_id[VCL_ID_BYTES];
    bool topic_exists, store_empty;
    bool writing;                 /* to ship afterwards; else only to restore */
    const vcl_position *position; /* NULL: the store has none */
    int64_t log_start, log_end;
    int64_t delete_retention_ms, now_ms;
    const vcl_survey *survey; /* NULL: not read yet */
} vcl_situation;

typedef struct vcl_decision {
    vcl_verdict verdict;
    vcl_reason reason;
    char message[400]; /* of a refusal */
} vcl_decision;

void vcl_decide(const vcl_situation *situation, vcl_decision *decision);

/* After everything was read into an empty store: whether it may be kept. VCL_GO_ON or VCL_REFUSE. */
void vcl_decide_restored(const vcl_situation *situation, vcl_decision *decision);

#endif
