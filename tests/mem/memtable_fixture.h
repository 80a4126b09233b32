/*
 * memtable_fixture.h - what the memtable's tests share: a memtable with its environment, and a model of one: a sorted
 * array.
 *
 * The model orders and searches by comparing whole keys byte by byte, and shares no code with what it checks.
 */
#ifndef MEMTABLE_FIXTURE_H
#define MEMTABLE_FIXTURE_H

#include "base/bytes.h"
#include "base/faultmem.h"
#include "mem/memtable.h"

typedef struct fixture {
    vr_env env;
    vr_faultmem fault;
    vr_budget budget;
    vr_memtable *mt;
    varve_error err;
    uint64_t sequence; /* of the last entry added */
} fixture;

void fixture_open(fixture *f, uint64_t keys_expected);
void fixture_close(fixture *f); /* checks that all memory and budget came back */

/* Adds with the next sequence; the test fails where this does. */
void fixture_put(fixture *f, varve_slice key, varve_slice value);
void fixture_delete(fixture *f, varve_slice key);

/* A cursor, after linking what is pending. */
vr_cursor *fixture_cursor(fixture *f);

/* The value that belongs to a sequence: its size and content follow from it. Returns the size; out has VALUE_BYTES_MAX.
 * */
#define VALUE_BYTES_MAX 5000u
size_t value_of(uint64_t sequence, char *out);

typedef struct model_entry {
    char *key;
    size_t key_size;
    uint64_t trailer;
} model_entry;

typedef struct model {
    model_entry *entries;
    size_t count, capacity;
} model;

void model_free(model *m);
/* The index of the first entry at or after (key, trailer); count if there is none. */
size_t model_lower(const model *m, varve_slice key, uint64_t trailer);

void model_add(model *m, varve_slice key, uint64_t trailer);
varve_slice model_key(const model *m, size_t index);

/* That the cursor stands at entry index of the model; past an end where index is not one of it (SIZE_MAX included). */
void check_at(const vr_cursor *cursor, const model *m, size_t index);

/* A generator with a fixed seed; never 0. */
uint64_t next_random(uint64_t *state);

#endif
