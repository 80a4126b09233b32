/*
 * db/store.c - stores: the object the database owns, and the handles that callers hold.
 *
 * A dropped store stays in memory (empty, marked) until the database is freed, so that a handle, a batch or a WAL record that names
 * it finds the mark.
 */
#include "base/bytes.h"
#include "base/check.h"
#include "base/error.h"
#include "db/db.h"

vr_store *vr_store_find(varve_db *db, uint32_t id) {
    for (size_t i = 0; i < db->store_count; i++) {
        if (db->stores[i]->id == id) return db->stores[i];
    }
    return NULL;
}

static vr_store *find_by_name(varve_db *db, const char *name) {
    for (size_t i = 0; i < db->store_count; i++) {
        vr_store *store = db->stores[i];
        if (!atomic_load_explicit(&store->dropped, memory_order_relaxed) && strcmp(store->name, name) == 0) return store;
    }
    return NULL;
}

void vr_store_free(vr_store *store) {
    if (!store) return;
    vr_mem mem = store->db->env.mem;
    if (store->active) vr_memtable_unref(store->active);
    for (size_t i = 0; i < store->immutable_count; i++) {
        if (store->immutables[i].mt) vr_memtable_unref(store->immutables[i].mt);
        varve_buffer_free(&store->immutables[i].position);
    }
    vr_free(&mem, store->immutables);
    vr_view *view = atomic_load_explicit(&store->view, memory_order_relaxed);
    if (view) vr_view_unref(view);
    varve_buffer_free(&store->position);
    vr_mutex_destroy(&store->position_mutex);
    vr_free(&mem, store->name);
    vr_free(&mem, store);
}

/* The object, and room for it in the database's list. */
static varve_status make(varve_db *db, const vr_store_meta *meta, vr_store **out, varve_error *err) {
    vr_store *store = vr_zalloc(&db->env.mem, sizeof *store);
    if (!store) return vr_error_nomem(err, sizeof *store, "a store");
    store->db = db;
    store->id = meta->id;
    store->options = meta->options;
    vr_mutex_init(&store->position_mutex, VR_RANK_LEAF);
    store->name = vr_strdup(&db->env.mem, meta->name);
    vr_version *version = NULL;
    varve_status status = store->name ? VARVE_OK : vr_error_nomem(err, strlen(meta->name) + 1, "a store's name");
    if (status == VARVE_OK) status = vr_version_create(&db->version_env, meta, &version, err);
    if (status == VARVE_OK) {
        vr_view *view = vr_view_create(&db->env.mem, NULL, NULL, 0, version);
        vr_version_unref(version);
        if (view) atomic_store_explicit(&store->view, view, memory_order_release); /* nobody reads it yet */
        bool fits = view && vr_buffer_set(&store->position, varve_buffer_slice(&meta->position)) &&
                    vr_grow(&db->env.mem, (void **)&db->stores, &db->store_capacity, db->store_count + 1, sizeof db->stores[0]);
        if (!fits) status = vr_error_nomem(err, sizeof *view, "a store");
    }
    if (status != VARVE_OK) {
        vr_store_free(store);
        return status;
    }
    store->has_position = meta->position.size > 0;
    *out = store;
    return VARVE_OK;
}

/* Adds what make() has made; between them nobody else may have added one. */
static void add(varve_db *db, vr_store *store) {
    VR_ASSERT(db->store_count < db->store_capacity);
    db->stores[db->store_count++] = store;
}

varve_status vr_store_create(varve_db *db, const vr_store_meta *meta, vr_store **out, varve_error *err) {
    varve_status status = make(db, meta, out, err);
    if (status == VARVE_OK) add(db, *out);
    return status;
}

static varve_status check_name(const char *name, varve_error *err) {
    size_t size = name ? strlen(name) : 0;
    if (size == 0 || size > VARVE_STORE_NAME_BYTES_MAX) {
        return vr_error_set(err, VARVE_INVALID, "store name: %zu bytes given, 1 to %u allowed", size, VARVE_STORE_NAME_BYTES_MAX);
    }
    return VARVE_OK;
}

/* Describes a new store. It has nothing of what is written so far, so an open need not find the WAL from its beginning on. */
static varve_status describe_create(varve_db *db, const vr_store_meta *meta, vr_edit *edit, varve_error *err) {
    vr_edit_field *field = vr_edit_add(edit, VR_EDIT_STORE_CREATE, err);
    if (!field) return VARVE_NOMEM;
    field->store_id = meta->id;
    field->name = varve_str(meta->name);
    field->store_options = meta->options;
    field = vr_edit_add(edit, VR_EDIT_STORE_FLUSHED, err);
    if (!field) return VARVE_NOMEM;
    field->store_id = meta->id;
    field->sequence = vr_wal_synced_sequence(db->wal); /* what is not synced may be taken back, and its sequences given out again */
    return VARVE_OK;
}

/* Makes a new store and records it in the manifest, before anybody sees it. */
static varve_status create(varve_db *db, const char *name, const varve_store_options *options, varve_error *err) {
    vr_edit edit;
    vr_edit_init(&edit, &db->env.mem);
    vr_store_meta meta = {.name = (char *)name, .options = *options};
    vr_store *store = NULL;
    vr_mutex_lock(&db->manifest_mutex);
    varve_status status = vr_db_check_writable(db, err);
    vr_mutex_lock(&db->mutex);
    bool made_meanwhile = find_by_name(db, name) != NULL; /* by another thread: it is there to be opened */
    vr_mutex_unlock(&db->mutex);
    if (status != VARVE_OK || made_meanwhile) goto out;
    meta.id = vr_manifest_state_of(db->manifest)->next_store_id;
    status = describe_create(db, &meta, &edit, err);
    if (status == VARVE_OK) {
        vr_mutex_lock(&db->mutex);
        status = make(db, &meta, &store, err);
        vr_mutex_unlock(&db->mutex);
    }
    if (status == VARVE_OK) status = vr_db_append_edit(db, &edit, err);
    if (status == VARVE_OK) {
        vr_mutex_lock(&db->mutex);
        add(db, store);
        vr_mutex_unlock(&db->mutex);
        store = NULL;
    }
out:
    vr_mutex_unlock(&db->manifest_mutex);
    vr_store_free(store);
    vr_edit_free(&edit);
    return status;
}

static bool same_options(const varve_store_options *a, const varve_store_options *b) {
    return a->block_bytes == b->block_bytes && a->compression_level == b->compression_level && a->filter_bits == b->filter_bits;
}

/* Takes a handle of the store by that name; VARVE_MISSING when there is none. given NULL: whatever options it has. */
static varve_status take_handle(varve_db *db, const char *name, const varve_store_options *given, varve_store **handle,
                                varve_error *err) {
    varve_status status = VARVE_OK;
    varve_store *made = vr_zalloc(&db->env.mem, sizeof *made);
    if (!made) return vr_error_nomem(err, sizeof *made, "a store handle");
    vr_mutex_lock(&db->mutex);
    vr_store *store = find_by_name(db, name);
    if (!store) {
        status = vr_error_set(err, VARVE_MISSING, "store %s: database %s has none of that name", name, db->dir);
    } else if (given && !same_options(given, &store->options)) {
        status =
            vr_error_set(err, VARVE_INVALID,
                         "store %s: it was created with block_bytes %u, compression_level %d, filter_bits %u; %u, %d, %u given",
                         name, store->options.block_bytes, (int)store->options.compression_level, store->options.filter_bits,
                         given->block_bytes, (int)given->compression_level, given->filter_bits);
    } else {
        store->handles++;
    }
    vr_mutex_unlock(&db->mutex);
    if (status != VARVE_OK) {
        vr_free(&db->env.mem, made);
        return status;
    }
    made->db = db;
    made->store = store;
    vr_db_ref(db);
    *handle = made;
    return VARVE_OK;
}

/* Whether the caller asked for anything in particular: all defaults open a store whatever it was created with. */
static bool asks_for_something(const varve_store_options *options) {
    return options && (options->block_bytes || options->compression_level || options->filter_bits);
}

varve_status varve_store_open(varve_db *db, const char *name, const varve_store_options *options, varve_store **store,
                              varve_error *err) {
    varve_store_options checked;
    varve_status status = vr_db_check_open(db, err);
    if (status == VARVE_OK) status = check_name(name, err);
    if (status == VARVE_OK) status = vr_store_options_check(options, &checked, err);
    if (status != VARVE_OK) return status;
    const varve_store_options *wanted = asks_for_something(options) ? &checked : NULL;
    varve_error own = {0}; /* the caller's is written on failure only */
    status = take_handle(db, name, wanted, store, &own);
    if (status == VARVE_MISSING && !checked.must_exist) {
        status = create(db, name, &checked, &own);
        if (status == VARVE_OK) status = take_handle(db, name, wanted, store, &own);
    }
    return status == VARVE_OK ? VARVE_OK : vr_error_copy(err, &own);
}

void varve_store_close(varve_store *handle) {
    if (!handle) return;
    varve_db *db = handle->db;
    vr_mutex_lock(&db->mutex);
    VR_ASSERT(handle->store->handles > 0);
    handle->store->handles--;
    vr_mutex_unlock(&db->mutex);
    vr_free(&db->env.mem, handle);
    vr_db_unref(db);
}

/* A view of nothing. Made before the store is dropped, so that nothing can fail afterwards. */
static varve_status make_empty_view(varve_db *db, const vr_store *store, vr_view **view, varve_error *err) {
    vr_store_meta nothing = {.id = store->id, .name = store->name, .options = store->options};
    vr_version *version = NULL;
    varve_status status = vr_version_create(&db->version_env, &nothing, &version, err);
    if (status != VARVE_OK) return status;
    *view = vr_view_create(&db->env.mem, NULL, NULL, 0, version);
    vr_version_unref(version);
    return *view ? VARVE_OK : vr_error_nomem(err, sizeof **view, "a store's view");
}

/* Takes everything away from a store that the manifest no longer has. Takes over the caller's reference of view. */
static void empty_store(varve_db *db, vr_store *store, vr_view *view) {
    vr_mutex_lock(&db->write_mutex);
    vr_mutex_lock(&db->mutex);
    while (store->flushing || store->compacting) { /* they install into a store that is gone otherwise; they hold neither mutex */
        vr_mutex_unlock(&db->write_mutex);
        vr_cond_wait_for(&db->done_cond, &db->mutex, 100000);
        vr_mutex_unlock(&db->mutex);
        vr_mutex_lock(&db->write_mutex);
        vr_mutex_lock(&db->mutex);
    }
    vr_view *before = atomic_load_explicit(&store->view, memory_order_relaxed);
    vr_version_mark_obsolete(before->version, view->version);
    vr_store_publish(store, view);
    for (size_t i = 0; i < store->immutable_count; i++) {
        if (store->immutables[i].mt) vr_memtable_unref(store->immutables[i].mt);
        varve_buffer_free(&store->immutables[i].position);
    }
    store->immutable_count = 0;
    vr_memtable *active = store->active;
    store->active = NULL;
    atomic_store_explicit(&store->first_sequence, 0, memory_order_relaxed);
    vr_mutex_unlock(&db->mutex);
    vr_mutex_unlock(&db->write_mutex);
    if (active) vr_memtable_unref(active);
}

static varve_status store_drop_entered(varve_db *db, const char *name, varve_error *err) {
    varve_status status = vr_db_check_writable(db, err);
    if (status == VARVE_OK) status = check_name(name, err);
    if (status != VARVE_OK) return status;
    vr_edit edit;
    vr_view *nothing = NULL;
    vr_edit_init(&edit, &db->env.mem);
    vr_mutex_lock(&db->manifest_mutex);
    vr_mutex_lock(&db->mutex);
    vr_store *store = find_by_name(db, name);
    vr_mutex_unlock(&db->mutex);
    if (!store) status = vr_error_set(err, VARVE_MISSING, "store %s: database %s has none of that name", name, db->dir);
    if (status == VARVE_OK) status = make_empty_view(db, store, &nothing, err);
    vr_edit_field *field = status == VARVE_OK ? vr_edit_add(&edit, VR_EDIT_STORE_DROP, err) : NULL;
    if (!field && status == VARVE_OK) status = VARVE_NOMEM;
    if (status == VARVE_OK) {
        field->store_id = store->id;
        status = vr_db_append_edit(db, &edit, err);
    }
    if (status == VARVE_OK) atomic_store_explicit(&store->dropped, true, memory_order_release); /* pairs with vr_store_check() */
    vr_mutex_unlock(&db->manifest_mutex);
    vr_edit_free(&edit);
    if (status == VARVE_OK) {
        empty_store(db, store, nothing);
    } else if (nothing) {
        vr_view_unref(nothing);
    }
    return status;
}

varve_status varve_store_drop(varve_db *db, const char *name, varve_error *err) {
    varve_db *entered = db;
    varve_status status = vr_db_enter(entered, err);
    if (status != VARVE_OK) return status;
    status = store_drop_entered(db, name, err);
    vr_db_leave(entered);
    return status;
}

varve_status varve_store_list(varve_db *db, varve_store_fn visit, void *context, varve_error *err) {
    varve_status status = vr_db_check_open(db, err);
    bool go_on = status == VARVE_OK;
    for (size_t i = 0; go_on; i++) {
        char *name = NULL;
        bool end = false;
        vr_mutex_lock(&db->mutex); /* copied, so that the visitor may call Varve */
        if (i < db->store_count) {
            if (!atomic_load_explicit(&db->stores[i]->dropped, memory_order_relaxed))
                name = vr_strdup(&db->env.mem, db->stores[i]->name);
        } else {
            end = true;
        }
        vr_mutex_unlock(&db->mutex);
        if (end) break;
        if (name) go_on = visit(context, name);
        vr_free(&db->env.mem, name);
    }
    return status;
}

varve_db *varve_store_db(varve_store *store) {
    return store->db;
}

const char *varve_store_name(const varve_store *store) {
    return store->store->name;
}

uint32_t varve_store_id(const varve_store *store) {
    return store->store->id;
}

varve_status varve_store_position(varve_store *handle, varve_buffer *position, varve_error *err) {
    varve_status status = vr_store_check(handle, err);
    if (status != VARVE_OK) return status;
    vr_store *store = handle->store;
    vr_mutex_lock(&store->position_mutex);
    bool has = store->has_position;
    bool copied = !has || vr_buffer_set(position, varve_buffer_slice(&store->position));
    size_t size = store->position.size;
    vr_mutex_unlock(&store->position_mutex);
    if (!copied) return vr_error_nomem(err, size, "a store's position");
    return has ? VARVE_OK : VARVE_NOT_FOUND;
}
