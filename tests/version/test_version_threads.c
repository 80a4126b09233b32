/*
 * test_version_threads.c - readers side by side with the installation of new versions: a file is opened once, and deleted when
 * nobody reads it.
 */
#include "version_fixture.h"

#include <stdio.h>

#include "base/hash.h"
#include "os/epoch.h"
#include "os/thread.h"
#include "table/builder.h"
#include "version/version.h"

#define READERS 3u
#define KEYS 200u
#define ROUNDS 60u

typedef struct shared {
    fixture fx;
    vr_budget budget;
    vr_epoch *epoch;
    vr_version_env venv;
    vr_mutex mutex; /* guards current, as a database's does */
    vr_version *current;
    atomic_bool stop;
    atomic_uint_fast64_t reads;
} shared;

static vr_version *take_current(shared *s) {
    vr_mutex_lock(&s->mutex);
    vr_version *version = s->current;
    vr_version_ref(version);
    vr_mutex_unlock(&s->mutex);
    return version;
}

static void read_all(shared *s, vr_version *version) {
    char text[16];
    for (unsigned i = 0; i < KEYS; i++) {
        uint64_t trailer;
        varve_slice value;
        snprintf(text, sizeof text, "%06u", i);
        uint32_t token = vr_epoch_enter(s->epoch);
        varve_status status =
            vr_version_get(version, varve_str(text), vr_key_hash(varve_str(text)), VR_SEQUENCE_MAX, &trailer, &value, NULL);
        cr_assert_eq(status, VARVE_OK);
        cr_assert(vr_equal(value, varve_str(text)));
        vr_epoch_leave(s->epoch, token);
    }
}

static void scan_all(vr_version *version) {
    vr_cursor *cursors[2];
    size_t count = 0, entries = 0;
    must(vr_version_cursors(version, VR_ACCESS_CACHED, varve_str(NULL), varve_str(NULL), cursors, &count, NULL));
    cr_assert_eq(count, 1);
    vr_version_unref(version); /* the cursor keeps the files */
    for (cursors[0]->ops->first(cursors[0]); cursors[0]->valid; cursors[0]->ops->next(cursors[0])) entries++;
    cr_assert_eq(entries, KEYS);
    cursors[0]->ops->close(cursors[0]);
}

static void read_until_stopped(void *context) {
    shared *s = context;
    while (!atomic_load(&s->stop)) {
        vr_version *version = take_current(s);
        read_all(s, version);
        scan_all(version);
        atomic_fetch_add(&s->reads, 1);
    }
}

/* A table of all keys in two files, at level 1 or 2. */
static void write_file(shared *s, vr_edit *edit, uint32_t level, uint64_t number, unsigned from, unsigned end) {
    char path[VR_PATH_BYTES_MAX], text[16];
    vr_table_builder *builder;
    vr_table_summary summary = {0};
    vr_table_builder_options options = {.block_bytes = 1024, .compression_level = -1, .filter_bits = 10};
    cr_assert(vr_filename_table(path, DIR_NAME, number));
    must(vr_table_builder_create(&s->fx.env, &s->budget, path, &options, &builder, NULL));
    for (unsigned i = from; i < end; i++) {
        snprintf(text, sizeof text, "%06u", i);
        must(vr_table_builder_add(builder, varve_str(text), vr_trailer(i + 1, VR_KIND_PUT), varve_str(text), NULL));
    }
    must(vr_table_builder_finish(builder, &summary, NULL));
    must(vr_edit_add_table(edit, 1, level, number, &summary, NULL));
    vr_table_summary_free(&summary);
}

/* Replaces the current version by one with other files, as a compaction does. */
static void install(shared *s, uint64_t round) {
    vr_edit edit;
    vr_version *next, *base = s->current;
    vr_edit_init(&edit, &s->fx.env.mem);
    for (size_t i = 0; i < base->levels[1].count; i++)
        must(vr_edit_remove_table(&edit, 1, 1, base->levels[1].files[i]->number, NULL));
    write_file(s, &edit, 1, 2 * round + 1, 0, KEYS / 2);
    write_file(s, &edit, 1, 2 * round + 2, KEYS / 2, KEYS);
    must(vr_version_apply(&s->venv, base, &edit, 1, &next, NULL));
    vr_mutex_lock(&s->mutex);
    s->current = next;
    vr_mutex_unlock(&s->mutex);
    vr_version_mark_obsolete(base, next);
    vr_version_unref(base);
    vr_edit_free(&edit);
}

static bool count_table(void *context, const char *name) {
    uint64_t number;
    *(size_t *)context += vr_filename_parse_table(name, &number);
    return true;
}

Test(version_threads, readers_and_installation_side_by_side) {
    static shared s;
    vr_cache *cache;
    vr_thread threads[READERS];
    vr_store_meta meta = {.id = 1};
    size_t files = 0;
    fixture_open(&s.fx);
    vr_budget_init(&s.budget, 64u << 20);
    must(vr_epoch_create(&s.fx.env.mem, &s.epoch, NULL));
    must(vr_cache_create(&s.fx.env, &s.budget, s.epoch, &cache, NULL));
    s.venv = (vr_version_env){.env = &s.fx.env, .budget = &s.budget, .cache = cache, .dir = DIR_NAME};
    vr_mutex_init(&s.mutex, VR_RANK_DB);
    must(vr_version_create(&s.venv, &meta, &s.current, NULL));
    install(&s, 0);
    for (unsigned i = 0; i < READERS; i++) must(vr_thread_start(&threads[i], "reader", read_until_stopped, &s, NULL));
    for (uint64_t round = 1; round < ROUNDS; round++) install(&s, round);
    while (atomic_load(&s.reads) < 2 * READERS) vr_epoch_collect(s.epoch);
    atomic_store(&s.stop, true);
    for (unsigned i = 0; i < READERS; i++) vr_thread_join(&threads[i]);
    must(vr_fs_list(s.fx.env.fs, DIR_NAME, count_table, &files, NULL));
    cr_assert_eq(files, 2, "all obsolete files are gone");
    vr_version_unref(s.current);
    vr_mutex_destroy(&s.mutex);
    vr_cache_free(cache);
    vr_epoch_free(s.epoch);
    fixture_close(&s.fx);
}
