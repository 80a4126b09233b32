/*
 * compact_fixture.h - a directory in memory, versions from hand-made shapes, entries as an array and as a cursor.
 */
#ifndef COMPACT_FIXTURE_H
#define COMPACT_FIXTURE_H

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/bytes.h"
#include "compact/job.h"
#include "os/epoch.h"
#include "os/faultfs.h"
#include "os/memfs.h"
#include "version/filename.h"

#define DIR_NAME "db"
#define STORE 1u

/* Threads: one. */
typedef struct fixture {
    vr_memfs *memfs;
    vr_env env;
    vr_budget budget;
    vr_epoch *epoch;
    vr_cache *cache;
    vr_version_env venv;
    uint64_t random;    /* of random_bytes() */
    uint64_t next_file; /* the last number given out */
} fixture;

void fixture_open(fixture *fx);
void fixture_close(fixture *fx);
uint64_t fixture_next_file(void *context); /* context: the fixture */

uint64_t random_next(uint64_t *state);
uint64_t random_below(uint64_t *state, uint64_t bound);

vr_version *empty_version(fixture *fx);

/* The version after the edit, which is then empty; takes base's reference over and marks its files obsolete. */
vr_version *applied(fixture *fx, vr_version *base, vr_edit *edit);

/* Adds to the edit a file that does not exist, of the keys "%08u" of from to to, both included. */
vr_edit_field *add_shape(vr_edit *edit, uint32_t level, uint64_t number, unsigned from, unsigned to, uint64_t bytes);

bool table_exists(fixture *fx, uint64_t number);
size_t table_files(fixture *fx); /* how many *.vst are in the directory */

/* One entry of a test's data. Its value is "<key>@<sequence>", empty for a tombstone. */
typedef struct entry {
    uint32_t key;
    uint64_t sequence;
    bool gone;
} entry;

void entry_key(uint32_t key, char out[16]);
size_t entry_value(const entry *e, char out[40]);
int entry_order(const void *a, const void *b); /* cursor order, for qsort() */

/* A forward cursor over sorted entries, which outlive it. */
vr_cursor *array_cursor(const entry *entries, size_t count);

#define must(call) cr_assert_eq((call), VARVE_OK)

#endif
