/*
 * version/version.c - building versions: from a store's meta, or from another version and an edit.
 *
 * Invariants: a version never changes once it is built; it holds one reference on each of its files; level 0 stands newest (highest
 * number) first, every other level by key and without overlap, one file's last key below the next one's first.
 * Threads: any; building works on a version nobody else has yet.
 */
#include "version/version.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/error.h"
#include "version/level_prefix.h"

void vr_version_ref(vr_version *version) {
    uint32_t before = atomic_fetch_add_explicit(&version->refs, 1, memory_order_relaxed);
    VR_ASSERT(before > 0);
    (void)before;
}

void vr_version_unref(vr_version *version) {
    /* Release: this holder's reads come before the end. Acquire, for the last one: the releases of all others. */
    uint32_t before = atomic_fetch_sub_explicit(&version->refs, 1, memory_order_acq_rel);
    VR_ASSERT(before > 0);
    if (before > 1) return;
    vr_mem mem = version->mem;
    for (size_t l = 0; l < VR_LEVELS; l++) {
        vr_level *level = &version->levels[l];
        for (size_t i = 0; i < level->count; i++) vr_table_file_unref(level->files[i]);
        vr_free(&mem, level->files);
        vr_free(&mem, level->max_prefixes);
        vr_free(&mem, level->min_prefixes);
    }
    vr_free(&mem, version);
}

static varve_slice min_key(const vr_table_file *file) {
    return varve_buffer_slice(&file->summary.min_key);
}

static varve_slice max_key(const vr_table_file *file) {
    return varve_buffer_slice(&file->summary.max_key);
}

static int newest_first(const void *a, const void *b) {
    const vr_table_file *x = *(vr_table_file *const *)a, *y = *(vr_table_file *const *)b;
    return (x->number < y->number) - (x->number > y->number);
}

static int by_key(const void *a, const void *b) {
    const vr_table_file *x = *(vr_table_file *const *)a, *y = *(vr_table_file *const *)b;
    return vr_compare(min_key(x), min_key(y));
}

static varve_status check_overlap(const vr_level *level, size_t number, varve_status code, varve_error *err) {
    for (size_t i = 1; i < level->count; i++) {
        if (vr_compare(max_key(level->files[i - 1]), min_key(level->files[i])) < 0) continue;
        return vr_error_set(err, code, "tables %" PRIu64 " and %" PRIu64 " of level %zu overlap", level->files[i - 1]->number,
                            level->files[i]->number, number);
    }
    return VARVE_OK;
}

/* What all keys between the level's least and greatest begin with. */
static varve_slice shared_prefix(const vr_level *level) {
    varve_slice least = min_key(level->files[0]), greatest = max_key(level->files[0]);
    for (size_t i = 1; i < level->count; i++) {
        if (vr_compare(min_key(level->files[i]), least) < 0) least = min_key(level->files[i]);
        if (vr_compare(max_key(level->files[i]), greatest) > 0) greatest = max_key(level->files[i]);
    }
    return varve_bytes(least.data, vr_common_prefix(least, greatest));
}

/* Sorts the files and prepares the search. */
static varve_status finish_level(const vr_mem *mem, vr_level *level, size_t number, varve_status overlap_code, varve_error *err) {
    if (level->count == 0) return VARVE_OK;
    qsort(level->files, level->count, sizeof(vr_table_file *), number == 0 ? newest_first : by_key);
    level->max_prefixes = vr_alloc(mem, level->count * sizeof *level->max_prefixes);
    level->min_prefixes = vr_alloc(mem, level->count * sizeof *level->min_prefixes);
    if (!level->max_prefixes || !level->min_prefixes)
        return vr_error_nomem(err, level->count * sizeof(uint64_t), "a level's key prefixes");
    level->shared = shared_prefix(level);
    level->bytes = 0;
    for (size_t i = 0; i < level->count; i++) {
        level->min_prefixes[i] = vr_level_prefix(level, min_key(level->files[i]));
        level->max_prefixes[i] = vr_level_prefix(level, max_key(level->files[i]));
        level->bytes += level->files[i]->summary.file_bytes;
    }
    return number == 0 ? VARVE_OK : check_overlap(level, number, overlap_code, err);
}

static varve_status finish_version(vr_version *version, varve_status overlap_code, varve_error *err) {
    for (size_t l = 0; l < VR_LEVELS; l++) {
        varve_status status = finish_level(&version->mem, &version->levels[l], l, overlap_code, err);
        if (status != VARVE_OK) return status;
        if (l > 0 && version->levels[l].count > 0) version->deep[version->deep_levels++] = (uint8_t)l;
    }
    return VARVE_OK;
}

/* An empty version whose levels have room for so many files each. */
static varve_status version_new(const vr_version_env *env, const size_t room[VR_LEVELS], vr_version **version, varve_error *err) {
    vr_version *created = vr_zalloc(&env->env->mem, sizeof *created);
    if (!created) return vr_error_nomem(err, sizeof *created, "a version");
    created->mem = env->env->mem;
    atomic_init(&created->refs, 1);
    for (size_t l = 0; l < VR_LEVELS; l++) {
        if (room[l] == 0) continue;
        created->levels[l].files = vr_alloc(&created->mem, room[l] * sizeof(vr_table_file *));
        if (!created->levels[l].files) {
            vr_version_unref(created);
            return vr_error_nomem(err, room[l] * sizeof(vr_table_file *), "a version's level");
        }
    }
    *version = created;
    return VARVE_OK;
}

varve_status vr_version_create(const vr_version_env *env, const vr_store_meta *meta, vr_version **version, varve_error *err) {
    size_t room[VR_LEVELS] = {0};
    vr_version *created = NULL;
    for (size_t i = 0; i < meta->table_count; i++) {
        VR_ASSERT(meta->tables[i].level < VR_LEVELS);
        room[meta->tables[i].level]++;
    }
    varve_status status = version_new(env, room, &created, err);
    if (status != VARVE_OK) return status;
    for (size_t i = 0; status == VARVE_OK && i < meta->table_count; i++) {
        const vr_table_meta *table = &meta->tables[i];
        vr_level *level = &created->levels[table->level];
        status = vr_table_file_create(env, table->number, &table->summary, &level->files[level->count], err);
        if (status == VARVE_OK) level->count++;
    }
    if (status == VARVE_OK) status = finish_version(created, VARVE_CORRUPTION, err);
    if (status == VARVE_OK) {
        *version = created;
    } else {
        vr_version_unref(created);
    }
    return status;
}

/* --- Applying an edit -------------------------------------------------------------------------------------------------------- */

/* The numbers of the tables an edit removes, sorted. */
typedef struct removals {
    uint64_t *numbers;
    size_t count, met; /* met: those that were in the base */
} removals;

static int by_number(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static bool is_field(const vr_edit_field *field, vr_edit_kind kind, uint32_t store_id) {
    return field->kind == kind && field->store_id == store_id;
}

static varve_status removals_gather(const vr_mem *mem, const vr_edit *edit, uint32_t store_id, removals *gone, varve_error *err) {
    *gone = (removals){.numbers = vr_alloc(mem, edit->count * sizeof(uint64_t))};
    if (!gone->numbers) return vr_error_nomem(err, edit->count * sizeof(uint64_t), "applying an edit");
    for (size_t i = 0; i < edit->count; i++) {
        if (is_field(&edit->fields[i], VR_EDIT_TABLE_REMOVE, store_id)) gone->numbers[gone->count++] = edit->fields[i].number;
    }
    qsort(gone->numbers, gone->count, sizeof(uint64_t), by_number);
    return VARVE_OK;
}

/* Takes over the files of base that stay. */
static void keep_files(const vr_version *base, removals *gone, vr_version *next) {
    for (size_t l = 0; l < VR_LEVELS; l++) {
        vr_level *level = &next->levels[l];
        for (size_t i = 0; i < base->levels[l].count; i++) {
            vr_table_file *file = base->levels[l].files[i];
            if (gone->count && bsearch(&file->number, gone->numbers, gone->count, sizeof(uint64_t), by_number)) {
                gone->met++;
                continue;
            }
            vr_table_file_ref(file);
            level->files[level->count++] = file;
        }
    }
}

static vr_table_file *find_file(const vr_version *version, uint64_t number) {
    for (size_t l = 0; l < VR_LEVELS; l++) {
        for (size_t i = 0; i < version->levels[l].count; i++) {
            if (version->levels[l].files[i]->number == number) return version->levels[l].files[i];
        }
    }
    return NULL;
}

/* Adds the field's table: the file base has, if it was removed from another level, or a new one. */
static varve_status add_file(const vr_version_env *env, const vr_version *base, const removals *gone, const vr_edit_field *field,
                             vr_version *next, varve_error *err) {
    vr_level *level = &next->levels[field->level];
    bool moved = gone->count && bsearch(&field->number, gone->numbers, gone->count, sizeof(uint64_t), by_number);
    vr_table_file *file = moved ? find_file(base, field->number) : NULL;
    if (file) {
        vr_table_file_ref(file);
    } else {
        varve_status status = vr_table_file_create(env, field->number, &field->table, &file, err);
        if (status != VARVE_OK) return status;
    }
    level->files[level->count++] = file;
    return VARVE_OK;
}

varve_status vr_version_apply(const vr_version_env *env, const vr_version *base, const vr_edit *edit, uint32_t store_id,
                              vr_version **version, varve_error *err) {
    size_t room[VR_LEVELS];
    removals gone;
    vr_version *next = NULL;
    for (size_t l = 0; l < VR_LEVELS; l++) room[l] = base->levels[l].count;
    for (size_t i = 0; i < edit->count; i++) {
        const vr_edit_field *field = &edit->fields[i];
        if (!is_field(field, VR_EDIT_TABLE_ADD, store_id)) continue;
        VR_ASSERT(field->level < VR_LEVELS);
        room[field->level]++;
    }
    varve_status status = removals_gather(&env->env->mem, edit, store_id, &gone, err);
    if (status == VARVE_OK) status = version_new(env, room, &next, err);
    if (status != VARVE_OK) goto out;
    keep_files(base, &gone, next);
    if (gone.met != gone.count) status = vr_error_set(err, VARVE_INTERNAL, "an edit removes tables that the version does not have");
    for (size_t i = 0; status == VARVE_OK && i < edit->count; i++) {
        if (is_field(&edit->fields[i], VR_EDIT_TABLE_ADD, store_id))
            status = add_file(env, base, &gone, &edit->fields[i], next, err);
    }
    if (status == VARVE_OK) status = finish_version(next, VARVE_INTERNAL, err);
    if (status == VARVE_OK) {
        *version = next;
    } else {
        vr_version_unref(next);
    }
out:
    vr_free(&env->env->mem, gone.numbers);
    return status;
}

static void set_obsolete(const vr_version *version, bool obsolete) {
    for (size_t l = 0; l < VR_LEVELS; l++) {
        for (size_t i = 0; i < version->levels[l].count; i++) {
            /* Relaxed: it is read by whoever drops the last reference, after the callers of this dropped theirs (acq_rel there). */
            atomic_store_explicit(&version->levels[l].files[i]->obsolete, obsolete, memory_order_relaxed);
        }
    }
}

/* Marks all of base's and takes next's back: no file can go meanwhile, as the caller holds both versions. */
void vr_version_mark_obsolete(const vr_version *base, const vr_version *next) {
    set_obsolete(base, true);
    set_obsolete(next, false);
}
