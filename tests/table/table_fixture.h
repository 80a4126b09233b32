/*
 * table_fixture.h - what the tests of engine/table share: an environment in memory, a model of a table's entries, and bytes patched
 * and sealed again. A failing helper fails the test.
 */
#ifndef TABLE_FIXTURE_H
#define TABLE_FIXTURE_H

#include "os/epoch.h"
#include "os/memfs.h"
#include "table/builder.h"
#include "table/table.h"

#define FIXTURE_PATH "t.tbl"

/* Everything a table needs. Threads: the fixture's fields are constant after open. */
typedef struct fixture {
    vr_memfs *memfs;
    vr_env env;
    vr_budget budget;
    vr_epoch *epoch;
    vr_cache *cache;
    uint64_t ids; /* table ids are counted from here: files are the same in each run */
} fixture;

void fixture_open(fixture *f, uint64_t budget_bytes);
void fixture_close(fixture *f); /* asserts that nothing is charged any more */

/* An entry of the model, and the model: entries in cursor order. */
typedef struct entry {
    varve_slice key, value;
    uint64_t trailer;
} entry;

typedef struct model {
    entry *entries;
    size_t count, capacity;
} model;

void model_add(model *m, varve_slice key, uint64_t trailer, varve_slice value); /* copies; any order */
void model_sort(model *m);                                                      /* and drops equal (key, trailer) */
void model_free(model *m);
size_t model_seek(const model *m, varve_slice key, uint64_t trailer); /* first entry at or after; count when none */

/* How a random model looks. */
typedef struct shape {
    uint64_t seed;
    size_t entries;
    size_t key_min, key_max; /* sizes */
    size_t shared;           /* length of a prefix that all keys share */
    unsigned alphabet;       /* how many different bytes keys are made of: few make near collisions */
    unsigned versions;       /* up to so many versions a key */
    size_t value_min, value_max;
} shape;

model model_random(const shape *s);

/* A pseudo-random number (xorshift64*). *state is not 0. */
uint64_t random_next(uint64_t *state);

extern const vr_table_builder_options plain_options; /* 1 KiB blocks, no compression, filter of 10 bits */

/* Builds the table at path; the summary is freed unless asked for. */
void build_table(fixture *f, const char *path, const vr_table_builder_options *options, const model *m, vr_table_summary *summary);
vr_table *open_table(fixture *f, const char *path);

/* The whole file, malloc'd; and a file of these bytes in place of what is there. */
char *read_file(fixture *f, const char *path, size_t *size);
void write_file(fixture *f, const char *path, const char *bytes, size_t size);

/* Makes the checksums of the footer, or of the frame at offset, fit again. */
void seal_footer(char *file, size_t size);
void seal_frame(char *file, size_t size, uint64_t offset, uint64_t frame_bytes);

/* Where a file's parts are: read from its footer, which must be sound. */
typedef struct parts {
    uint64_t filter, filter_bytes, index, index_bytes, properties, properties_bytes, data_end;
} parts;
parts parts_of(const char *file, size_t size);

/* Asserts that every entry of the cursor's walk from first to last, and back, is the model's. */
void check_walk(vr_cursor *cursor, const model *m);

#endif
