/*
 * version_fixture.h - a database directory in memory with a fixed stream of random bytes, edits in one call, and states as bytes to
 * compare.
 */
#ifndef VERSION_FIXTURE_H
#define VERSION_FIXTURE_H

#include <criterion/criterion.h>
#include <inttypes.h>

#include "base/bytes.h"
#include "base/faultmem.h"
#include "os/env.h"
#include "os/memfs.h"
#include "version/filename.h"
#include "version/manifest.h"

#define DIR_NAME "db"

/* Threads: one. */
typedef struct fixture {
    vr_memfs *memfs;
    vr_env env;
    uint64_t random; /* state of the stream that random_bytes() gives */
} fixture;

void fixture_open(fixture *fx);
void fixture_close(fixture *fx);

/* The next number of a fixed stream (xorshift), and one below bound. */
uint64_t random_next(uint64_t *state);
uint64_t random_below(uint64_t *state, uint64_t bound);

/* A field of the kind with these parts, added to the edit. */
vr_edit_field *add_field(vr_edit *edit, vr_edit_kind kind, uint32_t store_id, uint32_t level, uint64_t number, uint64_t sequence);

/* A valid TABLE_ADD whose keys are string literals. */
vr_edit_field *add_table(vr_edit *edit, uint32_t store_id, uint32_t level, uint64_t number, const char *min_key,
                         const char *max_key);
vr_edit_field *add_store(vr_edit *edit, uint32_t store_id, const char *name);
vr_edit_field *add_feed(vr_edit *edit, const char *name, uint64_t released);

/* The state in its canonical bytes. The caller frees the buffer. */
varve_buffer state_bytes(const vr_manifest_state *state);
bool same_state(const vr_manifest_state *state, const varve_buffer *bytes);

/* The whole file, and making it anew with other bytes. */
varve_buffer file_read(fixture *fx, const char *name);
void file_write(fixture *fx, const char *name, varve_slice bytes);

#define must(call) cr_assert_eq((call), VARVE_OK)

#endif
