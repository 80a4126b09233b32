/*
 * changelog/survey.h - what the records of a stretch of the log say about it: whose groups, of which history, what is missing.
 *
 * A survey takes records in offset order and keeps a few numbers; it never holds records. With a position it begins at the newest
 * mark that was applied, to see that it is still there, and sorts what follows into this store's own groups (shipped, but not
 * noted before the process ended) and foreign ones (another process took over). Once something is foreign, all that follows is.
 * Threads: one. Invariant: own_end <= next; own groups lie in [position's next offset, own_end).
 */
#ifndef VCL_SURVEY_H
#define VCL_SURVEY_H

#include "position.h"
#include "transport.h"

typedef struct vcl_survey {
    /* Constant after init. */
    bool has_position;
    vcl_position position; /* that of the store, if has_position */
    uint8_t db_id[VCL_ID_BYTES];
    uint64_t local_sequence; /* newest change in the database */

    int64_t next;          /* offset after the newest record or the end of the stretch */
    uint64_t records;      /* after the position */
    uint64_t unmarked;     /* of them after the newest mark */
    int64_t newest_offset; /* of the newest record; -1: none */
    bool known_unmarked;   /* the newest record before the position has no mark */

    bool marks; /* there is a mark; newest is the last one */
    vcl_mark newest;
    int64_t newest_mark_offset;
    uint32_t epoch_max;

    bool own; /* there are own groups; own_newest is the mark of the last one */
    vcl_mark own_newest;
    int64_t own_mark_offset, own_end;
    bool ahead; /* own groups hold changes that this database does not: the disk lost what had been synced */

    bool foreign;            /* something after the position that is not this store's own */
    bool forked;             /* a mark with this database's id, but of another session: a copy of the directory writes too */
    bool rewritten;          /* the newest mark applied is no longer what it was: the log was truncated and written again */
    bool lineages;           /* marks of more than one history */
    uint64_t unexplained;    /* offsets between records that one control record for each transaction does not explain */
    uint64_t control_credit; /* control records that may come before the next record */
} vcl_survey;

/* position may be NULL: the whole log is looked at, and nothing is own. */
void vcl_survey_init(vcl_survey *survey, const vcl_position *position, const uint8_t db_id[VCL_ID_BYTES], uint64_t local_sequence);

/* Where to begin to read: the newest mark applied, if the log still reaches back to it; else the last offset that was applied. */
int64_t vcl_survey_from(const vcl_survey *survey, int64_t log_start);

/* Takes the next record. Returns: VARVE_OK; VARVE_CORRUPTION or VARVE_UNSUPPORTED for a damaged or unknown mark. */
varve_status vcl_survey_record(vcl_survey *survey, const vcl_record *record, varve_error *err);

/* Takes a mark alone: for a restore of everything, where the records between need not be looked at. */
varve_status vcl_survey_mark(vcl_survey *survey, const vcl_record *record, varve_error *err);

/* The stretch was read to its end. May be called again after more records. */
void vcl_survey_end(vcl_survey *survey, int64_t end);

/* Whether the last offset before end is a record without a mark: no group of Varve ends so, not even a cleaned one. */
bool vcl_survey_stray(const vcl_survey *survey, int64_t end);

#endif
