/*
 * db/view.c - what a reader of a store sees, as one object.
 *
 * The store holds one reference, which it hands to the epoch when it publishes the next view: a reader inside an epoch may go on
 * using the one it loaded. Who stays longer than an epoch (an iterator) takes a reference of its own under db->mutex.
 */
#include "base/check.h"
#include "db/db.h"

vr_view *vr_view_reserve(const vr_mem *mem, size_t capacity) {
    vr_view *view = vr_zalloc(mem, sizeof *view + capacity * sizeof view->immutables[0]);
    if (!view) return NULL;
    view->mem = *mem;
    view->immutable_capacity = capacity;
    atomic_init(&view->refs, 1);
    return view;
}

void vr_view_fill(vr_view *view, vr_memtable *active, const vr_immutable *immutables, size_t count, vr_version *version) {
    VR_ASSERT(version && !view->version);
    VR_CHECK(count <= view->immutable_capacity);
    view->active = active;
    if (active) vr_memtable_ref(active);
    view->version = version;
    vr_version_ref(version);
    for (size_t i = count; i-- > 0;) { /* given oldest first, kept newest first */
        if (!immutables[i].mt) continue;
        view->immutables[view->immutable_count++] = immutables[i].mt;
        vr_memtable_ref(immutables[i].mt);
    }
}

vr_view *vr_view_create(const vr_mem *mem, vr_memtable *active, const vr_immutable *immutables, size_t count, vr_version *version) {
    vr_view *view = vr_view_reserve(mem, count);
    if (view) vr_view_fill(view, active, immutables, count, version);
    return view;
}

void vr_view_ref(vr_view *view) {
    uint32_t before = atomic_fetch_add_explicit(&view->refs, 1, memory_order_relaxed);
    VR_ASSERT(before > 0);
    (void)before;
}

void vr_view_unref(vr_view *view) {
    /* acq_rel: the last one to leave sees what the others did with it */
    if (atomic_fetch_sub_explicit(&view->refs, 1, memory_order_acq_rel) != 1) return;
    if (view->active) vr_memtable_unref(view->active);
    for (size_t i = 0; i < view->immutable_count; i++) vr_memtable_unref(view->immutables[i]);
    if (view->version) vr_version_unref(view->version);
    vr_mem mem = view->mem;
    vr_free(&mem, view);
}

static void release_retired(vr_retired *retired, void *context) {
    (void)context;
    vr_view_unref((vr_view *)retired);
}

void vr_store_publish(vr_store *store, vr_view *view) {
    vr_mutex_assert_held(&store->db->mutex);
    VR_ASSERT(atomic_load_explicit(&view->refs, memory_order_relaxed) == 1); /* handed over, not shared */
    /* release: pairs with the acquire loads of readers inside an epoch */
    vr_view *before = atomic_exchange_explicit(&store->view, view, memory_order_acq_rel);
    if (before) vr_epoch_retire(store->db->epoch, &before->retired, release_retired, NULL);
}

vr_view *vr_store_acquire_view(vr_store *store, uint64_t *sequence) {
    varve_db *db = store->db;
    vr_mutex_lock(&db->mutex);
    vr_view *view = atomic_load_explicit(&store->view, memory_order_relaxed); /* db->mutex orders it */
    vr_view_ref(view);
    /* After the view, so that everything up to it is in there or in what the mutex keeps from being replaced; acquire: pairs with
     * the writer's publication. */
    if (sequence) *sequence = atomic_load_explicit(&db->visible, memory_order_acquire);
    vr_mutex_unlock(&db->mutex);
    return view;
}
