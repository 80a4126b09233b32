/*
 * version/manifest_state.c - what a database consists of, as its edits say one after the other.
 *
 * Invariants: stores stand in order of their ids, each below next_store_id; names are unique; a store's tables stand in order of
 * their numbers, each below next_file and in one store only; no sequence is above last_sequence. Threads: the caller's lock.
 */
#include "version/manifest_state.h"

#include <inttypes.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/error.h"
#include "version/edit_layout.h"
#include "version/summary.h"

typedef struct applier {
    const vr_mem *mem;
    vr_manifest_state *state;
    const vr_manifest_place *place;
    const vr_edit_field *field;
    varve_error *err;
} applier;

static varve_status contradict(const applier *a, const char *what) {
    return vr_error_set(a->err, a->place->code,
                        "%s: offset %" PRIu64 ": %s of store %" PRIu32 ", number %" PRIu64 ", sequence %" PRIu64
                        " contradicts the edits before it: %s",
                        a->place->file, a->place->offset, vr_edit_layouts[a->field->kind].name, a->field->store_id,
                        a->field->number, a->field->sequence, what);
}

static varve_status no_memory(const applier *a) {
    return vr_error_nomem(a->err, sizeof(vr_store_meta), "the manifest's state");
}

static uint64_t larger(uint64_t a, uint64_t b) {
    return a > b ? a : b;
}

/* --- Releasing and copying --------------------------------------------------------------------------------------------------- */

static void table_free(vr_table_meta *table) {
    varve_buffer_free(&table->summary.min_key);
    varve_buffer_free(&table->summary.max_key);
}

static void store_free(const vr_mem *mem, vr_store_meta *store) {
    for (size_t i = 0; i < store->table_count; i++) table_free(&store->tables[i]);
    vr_free(mem, store->tables);
    vr_free(mem, store->name);
    varve_buffer_free(&store->position);
    *store = (vr_store_meta){0};
}

static void feeds_free(const vr_mem *mem, vr_manifest_state *state) {
    for (size_t i = 0; i < state->feed_count; i++) vr_free(mem, state->feeds[i].name);
    vr_free(mem, state->feeds);
    state->feeds = NULL;
    state->feed_count = state->feed_capacity = 0;
}

void vr_manifest_state_init(vr_manifest_state *state) {
    *state = (vr_manifest_state){.next_file = 1, .next_store_id = 1};
}

void vr_manifest_state_free(const vr_mem *mem, vr_manifest_state *state) {
    for (size_t i = 0; i < state->store_count; i++) store_free(mem, &state->stores[i]);
    vr_free(mem, state->stores);
    feeds_free(mem, state);
    vr_manifest_state_init(state);
}

static bool store_copy(const vr_mem *mem, vr_store_meta *to, const vr_store_meta *from) {
    *to = *from;
    to->position = (varve_buffer){0};
    to->tables = NULL;
    to->table_count = to->table_capacity = 0;
    to->name = vr_strdup(mem, from->name);
    bool done = to->name && vr_buffer_set(&to->position, varve_buffer_slice(&from->position)) &&
                vr_grow(mem, (void **)&to->tables, &to->table_capacity, from->table_count, sizeof *to->tables);
    for (; done && to->table_count < from->table_count; to->table_count += done) {
        const vr_table_meta *table = &from->tables[to->table_count];
        to->tables[to->table_count] = *table;
        done = vr_summary_copy(&to->tables[to->table_count].summary, &table->summary);
    }
    if (!done) store_free(mem, to);
    return done;
}

/* --- Finding ----------------------------------------------------------------------------------------------------------------- */

/* The first store whose id is at or above id. */
static size_t store_place(const vr_manifest_state *state, uint32_t id) {
    size_t low = 0, high = state->store_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (state->stores[middle].id < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static vr_store_meta *store_find(const vr_manifest_state *state, uint32_t id) {
    size_t at = store_place(state, id);
    return at < state->store_count && state->stores[at].id == id ? &state->stores[at] : NULL;
}

/* The first table of the store whose number is at or above number. */
static size_t table_place(const vr_store_meta *store, uint64_t number) {
    size_t low = 0, high = store->table_count;
    if (high == 0 || store->tables[high - 1].number < number) return high; /* the usual case: a new one */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (store->tables[middle].number < number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool table_known(const vr_manifest_state *state, uint64_t number) {
    for (size_t i = 0; i < state->store_count; i++) {
        const vr_store_meta *store = &state->stores[i];
        size_t at = table_place(store, number);
        if (at < store->table_count && store->tables[at].number == number) return true;
    }
    return false;
}

static bool name_is(const char *name, varve_slice wanted) {
    return vr_equal(varve_str(name), wanted);
}

static char *name_copy(const vr_mem *mem, varve_slice name) {
    char *copy = vr_alloc(mem, name.size + 1);
    if (!copy) return NULL;
    memcpy(copy, name.data, name.size);
    copy[name.size] = 0;
    return copy;
}

/* --- Applying one field ------------------------------------------------------------------------------------------------------ */

static varve_status apply_db_id(const applier *a) {
    static const uint8_t none[16];
    vr_manifest_state *state = a->state;
    bool set = memcmp(state->db_id, none, sizeof none) != 0;
    if (memcmp(a->field->id, none, sizeof none) == 0) return contradict(a, "an id is not all zeros");
    if (set && memcmp(state->db_id, a->field->id, sizeof none) != 0) return contradict(a, "the database has another id");
    memcpy(state->db_id, a->field->id, sizeof none);
    return VARVE_OK;
}

static varve_status apply_store_create(const applier *a) {
    vr_manifest_state *state = a->state;
    const vr_edit_field *field = a->field;
    if (field->store_id < state->next_store_id) return contradict(a, "the id was given before");
    for (size_t i = 0; i < state->store_count; i++) {
        if (name_is(state->stores[i].name, field->name)) return contradict(a, "a store of that name exists");
    }
    if (!vr_grow(a->mem, (void **)&state->stores, &state->store_capacity, state->store_count + 1, sizeof *state->stores))
        return no_memory(a);
    char *name = name_copy(a->mem, field->name);
    if (!name) return no_memory(a);
    state->stores[state->store_count++] = (vr_store_meta){.id = field->store_id, .name = name, .options = field->store_options};
    state->next_store_id = field->store_id + 1;
    return VARVE_OK;
}

static varve_status apply_store_drop(const applier *a, vr_store_meta *store) {
    vr_manifest_state *state = a->state;
    size_t at = (size_t)(store - state->stores);
    store_free(a->mem, store);
    memmove(store, store + 1, (state->store_count - at - 1) * sizeof *store);
    state->store_count--;
    return VARVE_OK;
}

static varve_status apply_store_flushed(const applier *a, vr_store_meta *store) {
    if (a->field->sequence < store->flushed_sequence) return contradict(a, "more was flushed before");
    store->flushed_sequence = a->field->sequence;
    a->state->last_sequence = larger(a->state->last_sequence, a->field->sequence);
    return VARVE_OK;
}

static varve_status apply_table_add(const applier *a, vr_store_meta *store) {
    vr_manifest_state *state = a->state;
    const vr_edit_field *field = a->field;
    if (table_known(state, field->number)) return contradict(a, "the table is there already");
    if (!vr_grow(a->mem, (void **)&store->tables, &store->table_capacity, store->table_count + 1, sizeof *store->tables))
        return no_memory(a);
    vr_table_meta table = {.level = field->level, .number = field->number};
    if (!vr_summary_copy(&table.summary, &field->table)) return no_memory(a);
    size_t at = table_place(store, field->number);
    memmove(&store->tables[at + 1], &store->tables[at], (store->table_count - at) * sizeof *store->tables);
    store->tables[at] = table;
    store->table_count++;
    state->next_file = larger(state->next_file, field->number + 1);
    state->last_sequence = larger(state->last_sequence, field->table.max_sequence);
    return VARVE_OK;
}

static varve_status apply_table_remove(const applier *a, vr_store_meta *store) {
    size_t at = table_place(store, a->field->number);
    if (at == store->table_count || store->tables[at].number != a->field->number)
        return contradict(a, "the store has no such table");
    if (store->tables[at].level != a->field->level) return contradict(a, "the table is at another level");
    table_free(&store->tables[at]);
    memmove(&store->tables[at], &store->tables[at + 1], (store->table_count - at - 1) * sizeof *store->tables);
    store->table_count--;
    return VARVE_OK;
}

static size_t feed_place(const vr_manifest_state *state, varve_slice name) {
    size_t at = 0;
    while (at < state->feed_count && !name_is(state->feeds[at].name, name)) at++;
    return at;
}

static varve_status apply_feed_set(const applier *a) {
    vr_manifest_state *state = a->state;
    size_t at = feed_place(state, a->field->name);
    if (at == state->feed_count) {
        if (!vr_grow(a->mem, (void **)&state->feeds, &state->feed_capacity, at + 1, sizeof *state->feeds)) return no_memory(a);
        char *name = name_copy(a->mem, a->field->name);
        if (!name) return no_memory(a);
        state->feeds[state->feed_count++] = (vr_feed_meta){.name = name};
    }
    if (a->field->sequence < state->feeds[at].released) return contradict(a, "the feed released more before");
    state->feeds[at].released = a->field->sequence;
    return VARVE_OK;
}

static varve_status apply_feed_drop(const applier *a) {
    vr_manifest_state *state = a->state;
    size_t at = feed_place(state, a->field->name);
    if (at == state->feed_count) return contradict(a, "there is no feed of that name");
    vr_free(a->mem, state->feeds[at].name);
    memmove(&state->feeds[at], &state->feeds[at + 1], (state->feed_count - at - 1) * sizeof *state->feeds);
    state->feed_count--;
    return VARVE_OK;
}

static varve_status apply_clean(const applier *a) {
    vr_manifest_state *state = a->state;
    state->clean = a->field->kind == VR_EDIT_CLEAN;
    state->clean_sequence = a->field->sequence;
    state->last_sequence = larger(state->last_sequence, a->field->sequence);
    return VARVE_OK;
}

static varve_status apply_next_store(const applier *a) {
    if (a->field->store_id < a->state->next_store_id) return contradict(a, "ids beyond it were given");
    a->state->next_store_id = a->field->store_id;
    return VARVE_OK;
}

/* The kinds that change an existing store. */
static varve_status apply_to_store(const applier *a) {
    vr_store_meta *store = store_find(a->state, a->field->store_id);
    if (!store) return contradict(a, "there is no such store");
    switch (a->field->kind) {
    case VR_EDIT_STORE_DROP: return apply_store_drop(a, store);
    case VR_EDIT_STORE_FLUSHED: return apply_store_flushed(a, store);
    case VR_EDIT_STORE_POSITION: return vr_buffer_set(&store->position, a->field->content) ? VARVE_OK : no_memory(a);
    case VR_EDIT_TABLE_ADD: return apply_table_add(a, store);
    default: VR_ASSERT(a->field->kind == VR_EDIT_TABLE_REMOVE); return apply_table_remove(a, store);
    }
}

static varve_status apply_field(const applier *a) {
    vr_manifest_state *state = a->state;
    switch (a->field->kind) {
    case VR_EDIT_DB_ID: return apply_db_id(a);
    case VR_EDIT_NEXT_FILE: state->next_file = larger(state->next_file, a->field->number); return VARVE_OK;
    case VR_EDIT_LAST_SEQUENCE: state->last_sequence = larger(state->last_sequence, a->field->sequence); return VARVE_OK;
    case VR_EDIT_WAL_FIRST: state->wal_first = a->field->number; return VARVE_OK;
    case VR_EDIT_OPENED:
    case VR_EDIT_CLEAN: return apply_clean(a);
    case VR_EDIT_STORE_CREATE: return apply_store_create(a);
    case VR_EDIT_FEED_SET: return apply_feed_set(a);
    case VR_EDIT_FEED_DROP: return apply_feed_drop(a);
    case VR_EDIT_NEXT_STORE: return apply_next_store(a);
    default: return apply_to_store(a);
    }
}

varve_status vr_manifest_state_apply(const vr_mem *mem, vr_manifest_state *state, const vr_edit *edit,
                                     const vr_manifest_place *place, varve_error *err) {
    applier a = {mem, state, place, NULL, err};
    for (size_t i = 0; i < edit->count; i++) {
        a.field = &edit->fields[i];
        varve_status status = apply_field(&a);
        if (status != VARVE_OK) return status;
    }
    return VARVE_OK;
}

/* --- Staging ----------------------------------------------------------------------------------------------------------------- */

/* Whether store is also other's: copies have a name of their own. */
static bool is_shared(const vr_manifest_state *other, const vr_store_meta *store) {
    const vr_store_meta *twin = store_find(other, store->id);
    return twin && twin->name == store->name;
}

static void free_unshared(const vr_mem *mem, vr_manifest_state *state, const vr_manifest_state *other) {
    for (size_t i = 0; i < state->store_count; i++) {
        if (!is_shared(other, &state->stores[i])) store_free(mem, &state->stores[i]);
    }
    vr_free(mem, state->stores);
    feeds_free(mem, state);
    vr_manifest_state_init(state);
}

/* Shares base's stores, copies the rest. */
static bool share(const vr_mem *mem, const vr_manifest_state *base, vr_manifest_state *next) {
    *next = *base;
    next->stores = NULL;
    next->feeds = NULL;
    next->store_count = next->store_capacity = next->feed_count = next->feed_capacity = 0;
    if (!vr_grow(mem, (void **)&next->stores, &next->store_capacity, base->store_count + 1, sizeof *next->stores)) return false;
    if (base->store_count) memcpy(next->stores, base->stores, base->store_count * sizeof *next->stores);
    next->store_count = base->store_count;
    if (!vr_grow(mem, (void **)&next->feeds, &next->feed_capacity, base->feed_count + 1, sizeof *next->feeds)) return false;
    for (; next->feed_count < base->feed_count; next->feed_count++) {
        vr_feed_meta *feed = &next->feeds[next->feed_count];
        *feed = base->feeds[next->feed_count];
        feed->name = vr_strdup(mem, feed->name);
        if (!feed->name) return false;
    }
    return true;
}

varve_status vr_manifest_stage(const vr_mem *mem, const vr_manifest_state *base, const vr_edit *edit,
                               const vr_manifest_place *place, vr_manifest_state *next, varve_error *err) {
    bool done = share(mem, base, next);
    for (size_t i = 0; done && i < edit->count; i++) {
        vr_store_meta *store = store_find(next, edit->fields[i].store_id);
        vr_store_meta own;
        if (!store || !is_shared(base, store)) continue;
        done = store_copy(mem, &own, store);
        if (done) *store = own;
    }
    varve_status status = done ? vr_manifest_state_apply(mem, next, edit, place, err)
                               : vr_error_nomem(err, base->store_count * sizeof *base->stores, "the manifest's state");
    if (status != VARVE_OK) free_unshared(mem, next, base);
    return status;
}

void vr_manifest_stage_drop(const vr_mem *mem, const vr_manifest_state *base, vr_manifest_state *next) {
    free_unshared(mem, next, base);
}

void vr_manifest_stage_commit(const vr_mem *mem, vr_manifest_state *base, vr_manifest_state *next) {
    free_unshared(mem, base, next);
    *base = *next;
    vr_manifest_state_init(next);
}

/* --- Saying it anew ---------------------------------------------------------------------------------------------------------- */

/* A field without what most have none of. */
static vr_edit_field *describe(vr_edit *edit, vr_edit_kind kind, uint32_t store_id, uint64_t number, uint64_t sequence,
                               varve_error *err) {
    vr_edit_field *field = vr_edit_add(edit, kind, err);
    if (!field) return NULL;
    field->store_id = store_id;
    field->number = number;
    field->sequence = sequence;
    return field;
}

static bool describe_store(const vr_store_meta *store, vr_edit *edit, varve_error *err) {
    vr_edit_field *field = describe(edit, VR_EDIT_STORE_CREATE, store->id, 0, 0, err);
    if (!field) return false;
    field->name = varve_str(store->name);
    field->store_options = store->options;
    if (!describe(edit, VR_EDIT_STORE_FLUSHED, store->id, 0, store->flushed_sequence, err)) return false;
    field = describe(edit, VR_EDIT_STORE_POSITION, store->id, 0, 0, err);
    if (!field) return false;
    field->content = varve_buffer_slice(&store->position);
    for (size_t i = 0; i < store->table_count; i++) {
        field = describe(edit, VR_EDIT_TABLE_ADD, store->id, store->tables[i].number, 0, err);
        if (!field) return false;
        field->level = store->tables[i].level;
        field->table = store->tables[i].summary;
    }
    return true;
}

varve_status vr_manifest_state_describe(const vr_manifest_state *state, vr_edit *edit, varve_error *err) {
    vr_edit_field *field = vr_edit_add(edit, VR_EDIT_DB_ID, err);
    if (!field) return VARVE_NOMEM;
    memcpy(field->id, state->db_id, sizeof field->id);
    bool done = describe(edit, VR_EDIT_NEXT_FILE, 0, state->next_file, 0, err) &&
                describe(edit, VR_EDIT_LAST_SEQUENCE, 0, 0, state->last_sequence, err) &&
                describe(edit, VR_EDIT_WAL_FIRST, 0, state->wal_first, 0, err) &&
                (!state->clean || describe(edit, VR_EDIT_CLEAN, 0, 0, state->clean_sequence, err));
    for (size_t i = 0; done && i < state->store_count; i++) done = describe_store(&state->stores[i], edit, err);
    done = done && describe(edit, VR_EDIT_NEXT_STORE, state->next_store_id, 0, 0, err);
    for (size_t i = 0; done && i < state->feed_count; i++) {
        field = describe(edit, VR_EDIT_FEED_SET, 0, 0, state->feeds[i].released, err);
        if (field) field->name = varve_str(state->feeds[i].name);
        done = field != NULL;
    }
    return done ? VARVE_OK : VARVE_NOMEM;
}
