/*
 * test_manifest_model.c - random edits, right and wrong, against a model that is written down otherwise; with reopening and copies
 * in between.
 */
#include "version_fixture.h"

#include <stdio.h>

#define STORES 24u
#define TABLES 40u
#define FEEDS 4u

typedef struct model_store {
    bool live;
    char name[32];
    uint64_t flushed;
    uint64_t position; /* the position is this number in decimal; 0: none */
    struct {
        bool live;
        uint32_t level;
    } tables[TABLES]; /* by number */
} model_store;

typedef struct model {
    uint64_t next_file, last_sequence, wal_first, clean_sequence;
    uint32_t next_store;
    bool clean;
    model_store stores[STORES + 1]; /* by id */
    struct {
        bool live;
        uint64_t released;
    } feeds[FEEDS];
} model;

static const char *const feed_names[FEEDS] = {"alpha", "beta", "gamma", "delta"};

static fixture fx;
static varve_error err;
static char names[16][32], positions[16][32]; /* what the edit under construction borrows */

static uint64_t larger(uint64_t a, uint64_t b) {
    return a > b ? a : b;
}

static bool number_known(const model *m, uint64_t number) {
    for (size_t i = 1; i <= STORES; i++) {
        if (m->stores[i].live && m->stores[i].tables[number].live) return true;
    }
    return false;
}

static bool model_store_field(model *m, vr_edit *edit, uint64_t *random, size_t slot, uint32_t id) {
    model_store *store = &m->stores[id];
    uint64_t number = 1 + random_below(random, TABLES - 1), sequence = random_below(random, 2000);
    uint32_t level = (uint32_t)random_below(random, VR_LEVELS);
    switch (random_below(random, 7)) {
    case 0:
        add_field(edit, VR_EDIT_STORE_FLUSHED, id, 0, 0, sequence);
        if (!store->live || sequence < store->flushed) return false;
        store->flushed = sequence;
        m->last_sequence = larger(m->last_sequence, sequence);
        return true;
    case 1:
        snprintf(positions[slot], sizeof positions[slot], "%" PRIu64, sequence + 1);
        add_field(edit, VR_EDIT_STORE_POSITION, id, 0, 0, 0)->content = varve_str(positions[slot]);
        store->position = sequence + 1;
        return store->live;
    case 2:
        if (random_below(random, 4) != 0) return true;
        add_field(edit, VR_EDIT_STORE_DROP, id, 0, 0, 0);
        if (!store->live) return false;
        *store = (model_store){.live = false};
        return true;
    case 3:
    case 4:
        add_table(edit, id, level, number, "a", "b");
        if (!store->live || number_known(m, number)) return false;
        store->tables[number].live = true;
        store->tables[number].level = level;
        m->next_file = larger(m->next_file, number + 1);
        m->last_sequence = larger(m->last_sequence, number + 9);
        return true;
    default:
        if (store->live && store->tables[number].live && random_below(random, 8) != 0) level = store->tables[number].level;
        add_field(edit, VR_EDIT_TABLE_REMOVE, id, level, number, 0);
        if (!store->live || !store->tables[number].live || store->tables[number].level != level) return false;
        store->tables[number].live = false;
        return true;
    }
}

static bool model_create(model *m, vr_edit *edit, uint64_t *random, size_t slot) {
    uint32_t id = m->next_store + (uint32_t)random_below(random, 2) - (m->next_store > 1 && random_below(random, 8) == 0);
    if (id > STORES) return true;
    snprintf(names[slot], sizeof names[slot], "store%" PRIu64, random_below(random, 12));
    add_store(edit, id, names[slot]);
    if (id < m->next_store) return false;
    for (size_t i = 1; i <= STORES; i++) {
        if (m->stores[i].live && strcmp(m->stores[i].name, names[slot]) == 0) return false;
    }
    m->stores[id] = (model_store){.live = true};
    memcpy(m->stores[id].name, names[slot], sizeof names[slot]);
    m->next_store = id + 1;
    return true;
}

static bool model_feed(model *m, vr_edit *edit, uint64_t *random) {
    size_t at = random_below(random, FEEDS);
    uint64_t released = random_below(random, 1000);
    if (random_below(random, 3) == 0) {
        bool live = m->feeds[at].live;
        add_field(edit, VR_EDIT_FEED_DROP, 0, 0, 0, 0)->name = varve_str(feed_names[at]);
        m->feeds[at].live = false;
        return live;
    }
    add_feed(edit, feed_names[at], released);
    if (m->feeds[at].live && released < m->feeds[at].released) return false;
    m->feeds[at].live = true;
    m->feeds[at].released = released;
    return true;
}

/* Adds a random field; says in the model what it does. False: it contradicts. */
static bool random_field(model *m, vr_edit *edit, uint64_t *random, size_t slot) {
    uint64_t value = 1 + random_below(random, 3000);
    switch (random_below(random, 12)) {
    case 0:
        add_field(edit, VR_EDIT_NEXT_FILE, 0, 0, value, 0);
        m->next_file = larger(m->next_file, value);
        return true;
    case 1:
        add_field(edit, VR_EDIT_LAST_SEQUENCE, 0, 0, 0, value);
        m->last_sequence = larger(m->last_sequence, value);
        return true;
    case 2:
        add_field(edit, VR_EDIT_WAL_FIRST, 0, 0, value, 0);
        m->wal_first = value;
        return true;
    case 3:
        m->clean = random_below(random, 2);
        m->clean_sequence = m->clean ? value : 0;
        add_field(edit, m->clean ? VR_EDIT_CLEAN : VR_EDIT_OPENED, 0, 0, 0, m->clean_sequence);
        m->last_sequence = larger(m->last_sequence, m->clean_sequence);
        return true;
    case 4: return model_feed(m, edit, random);
    case 5: return model_create(m, edit, random, slot);
    default:
        return model_store_field(m, edit, random, slot,
                                 1 + (uint32_t)random_below(random, m->next_store < STORES ? m->next_store : STORES));
    }
}

static void check_store(const model_store *wanted, const vr_store_meta *found) {
    size_t tables = 0;
    char position[32] = "";
    if (wanted->position) snprintf(position, sizeof position, "%" PRIu64, wanted->position);
    cr_assert_str_eq(wanted->name, found->name);
    cr_assert_eq(wanted->flushed, found->flushed_sequence);
    cr_assert(vr_equal(varve_str(position), varve_buffer_slice(&found->position)));
    for (uint64_t n = 0; n < TABLES; n++) tables += wanted->tables[n].live;
    cr_assert_eq(tables, found->table_count);
    for (size_t i = 0; i < found->table_count; i++) {
        cr_assert(wanted->tables[found->tables[i].number].live);
        cr_assert_eq(wanted->tables[found->tables[i].number].level, found->tables[i].level);
    }
}

static void check(const model *m, const vr_manifest_state *state) {
    size_t stores = 0, feeds = 0;
    cr_assert(m->next_file == state->next_file && m->last_sequence == state->last_sequence && m->wal_first == state->wal_first);
    cr_assert(m->next_store == state->next_store_id && m->clean == state->clean);
    if (m->clean) cr_assert_eq(m->clean_sequence, state->clean_sequence);
    for (size_t i = 1; i <= STORES; i++) stores += m->stores[i].live;
    cr_assert_eq(stores, state->store_count);
    for (size_t i = 0; i < state->store_count; i++) {
        cr_assert(m->stores[state->stores[i].id].live);
        check_store(&m->stores[state->stores[i].id], &state->stores[i]);
    }
    for (size_t i = 0; i < FEEDS; i++) feeds += m->feeds[i].live;
    cr_assert_eq(feeds, state->feed_count);
    for (size_t i = 0; i < state->feed_count; i++) {
        size_t at = 0;
        while (at < FEEDS && strcmp(feed_names[at], state->feeds[i].name) != 0) at++;
        cr_assert(at < FEEDS && m->feeds[at].live && m->feeds[at].released == state->feeds[i].released);
    }
}

static void check_reopened(vr_manifest **manifest, const model *m) {
    vr_manifest_close(*manifest);
    must(vr_manifest_open(&fx.env, DIR_NAME, false, manifest, &err));
    check(m, vr_manifest_state_of(*manifest));
}

static void check_copied(vr_manifest *manifest, const model *m) {
    vr_manifest *copy;
    vr_fs_make_dir(fx.env.fs, "copy", NULL);
    must(vr_manifest_write_copy(&fx.env, vr_manifest_state_of(manifest), NULL, "copy", &err));
    must(vr_manifest_open(&fx.env, "copy", true, &copy, &err));
    check(m, vr_manifest_state_of(copy));
    vr_manifest_close(copy);
}

static void run(uint64_t seed) {
    static model now, next;
    size_t right = 0, wrong = 0;
    vr_manifest *manifest;
    vr_edit edit;
    fixture_open(&fx);
    vr_edit_init(&edit, &fx.env.mem);
    now = (model){.next_file = 1, .next_store = 1};
    must(vr_manifest_create(&fx.env, DIR_NAME, &manifest, &err));
    for (int round = 0; round < 600; round++) {
        bool valid = true;
        next = now;
        edit.count = 0;
        for (uint64_t n = 1 + random_below(&seed, 4); n > 0 && valid; n--) valid = random_field(&next, &edit, &seed, n);
        varve_status status = vr_manifest_append(manifest, &edit, &err);
        cr_assert_eq(status, valid ? VARVE_OK : VARVE_INTERNAL, "round %d: %s", round, status == VARVE_OK ? "" : err.message);
        if (valid) now = next;
        right += valid;
        wrong += !valid;
        check(&now, vr_manifest_state_of(manifest));
        if (random_below(&seed, 20) == 0) check_reopened(&manifest, &now);
        if (random_below(&seed, 40) == 0) check_copied(manifest, &now);
    }
    cr_assert(right > 100 && wrong > 100, "%zu right, %zu wrong", right, wrong);
    vr_edit_free(&edit);
    vr_manifest_close(manifest);
    fixture_close(&fx);
}

Test(manifest_model, random_edits) {
    for (uint64_t seed = 1; seed <= 10; seed++) run(seed);
}
