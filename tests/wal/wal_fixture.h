/*
 * What the tests of the WAL share: a WAL in memory whose batches follow from their first sequence, so that a replay can tell
 * whether each of them is what was written.
 */
#ifndef WAL_FIXTURE_H
#define WAL_FIXTURE_H

#include <criterion/criterion.h>

#include "base/faultmem.h"
#include "os/faultfs.h"
#include "os/memfs.h"
#include "wal/layout.h"
#include "wal/wal.h"

#define WAL_DIR "/wal"

/* What a replay saw. */
typedef struct replay {
    uint64_t first, last; /* sequences; 0: none */
    uint64_t batches;
    uint64_t wrong; /* batches that are not what was written, or do not follow */
} replay;

typedef struct wal_fixture {
    vr_memfs *memfs; /* NULL over another file system */
    vr_env env;
    vr_budget budget;
    vr_wal_options options;
    const char *dir;
    vr_wal *wal;
    replay seen;
    varve_error err;
    char said[1024];          /* the last diagnostic */
    unsigned value_bytes_max; /* of a batch's values; 200 */
    bool expect_gap;
} wal_fixture;

void wal_fixture_open(wal_fixture *f, varve_wal_mode mode, uint64_t segment_bytes); /* an empty WAL */
void wal_fixture_close(wal_fixture *f);                                             /* checks that nothing is left */
varve_status wal_open(wal_fixture *f);                                              /* fills seen and err */
void wal_must_open(wal_fixture *f);
void wal_shut(wal_fixture *f);

/* The file system is exchanged for this one; the WAL must be shut. */
void wal_fixture_move(wal_fixture *f, vr_memfs *memfs);

/* The batch that begins at a sequence, and the number of its changes. */
uint32_t wal_batch_count(uint64_t first_sequence);
void wal_make_batch(const wal_fixture *f, uint64_t first_sequence, vr_batch *batch);
bool wal_batch_is_right(const wal_fixture *f, uint64_t first_sequence, varve_slice batch);

varve_status wal_append(wal_fixture *f); /* the next batch */
void wal_must_append(wal_fixture *f, unsigned batches);
void wal_must_sync(wal_fixture *f);

/* Files. */
bool wal_file_exists(const wal_fixture *f, const char *name);
varve_buffer wal_read_file(const wal_fixture *f, const char *name);
void wal_write_file(const wal_fixture *f, const char *name, varve_slice content); /* replaces it, durably */
unsigned wal_count_files(const wal_fixture *f);

#endif
