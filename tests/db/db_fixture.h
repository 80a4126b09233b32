/*
 * tests/db/db_fixture.h - a database on the in-memory file system, for tests: opened, reopened, crashed.
 */
#ifndef TESTS_DB_FIXTURE_H
#define TESTS_DB_FIXTURE_H

#include <criterion/criterion.h>

#include <varve/varve.h>

#include "db/db.h"
#include "os/memfs.h"

typedef struct fixture {
    vr_memfs *memfs;
    vr_env env;
    varve_options options;
    varve_db *db;
    varve_store *store; /* "default" */
    varve_error err;
} fixture;

#define REQUIRE(f, call)                                                                                                           \
    do {                                                                                                                           \
        varve_status require_status = (call);                                                                                      \
        cr_assert(require_status == VARVE_OK, "%s: %s", varve_status_name(require_status), (f)->err.message);                      \
    } while (0)

void fixture_start(fixture *f); /* small memtables, so that flushes and compactions happen */
void fixture_open(fixture *f);
void fixture_close(fixture *f);
void fixture_stop(fixture *f);

/* The file system as it is after a crash now, in place of the one before; the open database is closed first, on the old one. */
void fixture_crash(fixture *f, vr_crash_mode mode, uint64_t seed);

void put(fixture *f, const char *key, const char *value);
void del(fixture *f, const char *key);

/* The value as a C string in a static buffer, or NULL. */
const char *get(fixture *f, const char *key);

/* All pairs of a range as "k=v k=v"; in a static buffer. */
const char *scan(fixture *f, const varve_range *range, bool reverse);

#endif
