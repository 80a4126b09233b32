/*
 * version/version_get.c - finding a key in a version: which files may hold it, in what order they are asked, and which filters.
 *
 * Files are told apart by the eight bytes that follow what all keys of the level share; keys themselves are compared only where
 * those are equal. The newest file that has the key answers: level 0 newest first, then downwards.
 *
 * Filters: one that answers "absent" saves a search, one that answers "maybe" costs a cache miss for nothing. Of the runs that
 * could hold the key, all but the last usually do not: they are asked, those of level 0 together, prefetched. The last usually has
 * it, so that its filter is not asked, unless reads of that file have often been in vain: its miss_score says so. One read in
 * MISS_SAMPLE moves the score, up by MISS_UP for a key that was not there, down by 1 for one that was; from MISS_ASK on the filter
 * is asked. The score rises where more than one read in MISS_UP + 1 is in vain. It is a hint: racing updates may be lost.
 */
#include "base/bytes.h"
#include "version/level_prefix.h"
#include "version/version.h"

#define MISS_SAMPLE 16u /* a power of two */
#define MISS_UP 4u
#define MISS_ASK 32u
#define MISS_MAX 64u

#define LIKELY(condition) __builtin_expect(!!(condition), 1)

/* Where a key stands among a level's keys: before all, behind all, or at a prefix. */
typedef enum side { SIDE_BEFORE, SIDE_WITHIN, SIDE_BEHIND } side;

static inline side place_key(const vr_level *level, varve_slice key, uint64_t *prefix) {
    size_t skip = level->shared.size;
    size_t common = vr_min_size(skip, key.size);
    int order = common ? memcmp(key.data, level->shared.data, common) : 0;
    if (order > 0) return SIDE_BEHIND;
    if (order < 0 || key.size < skip) return SIDE_BEFORE; /* a proper prefix of what is shared comes before all */
    *prefix = vr_level_prefix(level, key);
    return SIDE_WITHIN;
}

/* Whether file i of the level may hold the key whose prefix is given: prefixes decide but where they are equal. */
static inline bool may_hold(const vr_level *level, size_t i, varve_slice key, uint64_t prefix) {
    if (prefix < level->min_prefixes[i] || prefix > level->max_prefixes[i]) return false;
    const vr_table_summary *summary = &level->files[i]->summary;
    if (prefix == level->min_prefixes[i] && vr_compare(key, varve_buffer_slice(&summary->min_key)) < 0) return false;
    return prefix != level->max_prefixes[i] || vr_compare(key, varve_buffer_slice(&summary->max_key)) <= 0;
}

/* The number of values below prefix (or not above it) among count rising ones, without branches that depend on them. */
static inline size_t lower_bound(const uint64_t *values, size_t count, uint64_t prefix) {
    const uint64_t *base = values;
    if (count == 0) return 0;
    while (count > 1) {
        size_t half = count / 2;
        base += base[half - 1] < prefix ? half : 0;
        count -= half;
    }
    return (size_t)(base - values) + (*base < prefix);
}

/* The first file of [low, high), whose max_prefixes are all equal to the key's, that does not end before key. */
static size_t search_keys(const vr_level *level, size_t low, size_t high, varve_slice key) {
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (vr_compare(varve_buffer_slice(&level->files[middle]->summary.max_key), key) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static inline vr_table_file *level_find(const vr_level *level, varve_slice key) {
    uint64_t prefix = 0;
    if (place_key(level, key, &prefix) != SIDE_WITHIN) return NULL;
    size_t at = lower_bound(level->max_prefixes, level->count, prefix);
    if (at < level->count && level->max_prefixes[at] == prefix) {
        size_t end = at + 1;
        if (end < level->count && level->max_prefixes[end] == prefix) {
            end = prefix == UINT64_MAX ? level->count : lower_bound(level->max_prefixes, level->count, prefix + 1);
        }
        at = search_keys(level, at, end, key);
    }
    if (at == level->count || prefix < level->min_prefixes[at]) return NULL;
    vr_table_file *file = level->files[at];
    if (prefix == level->min_prefixes[at] && vr_compare(key, varve_buffer_slice(&file->summary.min_key)) < 0) return NULL;
    return file;
}

vr_table_file *vr_level_find(const vr_level *level, varve_slice key) {
    return level->count == 0 ? NULL : level_find(level, key);
}

/* --- Get --------------------------------------------------------------------------------------------------------------------- */

typedef struct lookup {
    varve_slice key;
    uint64_t key_hash, sequence;
    uint64_t *trailer;
    varve_slice *value;
    varve_error *err;
} lookup;

static void note_outcome(vr_table_file *file, uint64_t key_hash, bool found) {
    if ((key_hash >> 32 & (MISS_SAMPLE - 1)) != 0) return;
    uint32_t score = atomic_load_explicit(&file->miss_score, memory_order_relaxed); /* a hint: ordered with nothing */
    uint32_t moved = found ? score - (score > 0) : score + MISS_UP;
    if (moved > MISS_MAX) moved = MISS_MAX;
    if (moved != score) atomic_store_explicit(&file->miss_score, moved, memory_order_relaxed);
}

/* Asks a run behind which there are others. */
static inline varve_status ask(vr_table_file *file, const lookup *look) {
    vr_table *table;
    varve_status status = vr_table_file_open(file, &table, look->err);
    if (status != VARVE_OK) return status;
    if (!vr_table_may_contain(table, look->key_hash)) return VARVE_NOT_FOUND;
    return vr_table_get(table, look->key, look->sequence, look->trailer, look->value, look->err);
}

/* Asks the last run that could hold the key. */
static inline varve_status ask_last(vr_table_file *file, const lookup *look) {
    vr_table *table;
    varve_status status = vr_table_file_open(file, &table, look->err);
    if (status != VARVE_OK) return status;
    bool wary = atomic_load_explicit(&file->miss_score, memory_order_relaxed) >= MISS_ASK;
    if (wary && !vr_table_may_contain(table, look->key_hash)) {
        status = VARVE_NOT_FOUND;
    } else {
        status = vr_table_get(table, look->key, look->sequence, look->trailer, look->value, look->err);
    }
    if (LIKELY(status >= 0)) note_outcome(file, look->key_hash, status == VARVE_OK);
    return status;
}

/* Touches the filters of all level-0 runs that may hold the key. Returns the last of them, or the count. */
static size_t prefetch_runs(const vr_level *level, varve_slice key, uint64_t prefix, uint64_t key_hash) {
    size_t last = level->count;
    for (size_t i = 0; i < level->count; i++) {
        if (!may_hold(level, i, key, prefix)) continue;
        last = i;
        /* One that is not open yet is opened, and its errors told, when its turn comes. Acquire: pairs with open_first()'s release.
         */
        vr_table *table = atomic_load_explicit(&level->files[i]->table, memory_order_acquire);
        if (table) vr_table_filter_prefetch(table, key_hash);
    }
    return last;
}

/* Level 0; deeper: whether a deeper run may hold the key too. */
static varve_status get_from_runs(const vr_level *level, const lookup *look, bool deeper) {
    uint64_t prefix = 0;
    if (place_key(level, look->key, &prefix) != SIDE_WITHIN) return VARVE_NOT_FOUND;
    size_t last = prefetch_runs(level, look->key, prefix, look->key_hash);
    for (size_t i = 0; i < level->count && last < level->count && i <= last; i++) {
        if (!may_hold(level, i, look->key, prefix)) continue;
        varve_status status = i == last && !deeper ? ask_last(level->files[i], look) : ask(level->files[i], look);
        if (status != VARVE_NOT_FOUND) return status;
    }
    return VARVE_NOT_FOUND;
}

varve_status vr_version_get(const vr_version *version, varve_slice key, uint64_t key_hash, uint64_t sequence, uint64_t *trailer,
                            varve_slice *value, varve_error *err) {
    vr_table_file *candidates[VR_LEVELS];
    size_t count = 0;
    const lookup look = {key, key_hash, sequence, trailer, value, err};
    for (uint32_t i = 0; i < version->deep_levels; i++) {
        vr_table_file *file = level_find(&version->levels[version->deep[i]], key);
        if (file) candidates[count++] = file;
    }
    if (version->levels[0].count > 0) {
        varve_status status = get_from_runs(&version->levels[0], &look, count > 0);
        if (status != VARVE_NOT_FOUND) return status;
    }
    for (size_t i = 0; i + 1 < count; i++) {
        varve_status status = ask(candidates[i], &look);
        if (status != VARVE_NOT_FOUND) return status;
    }
    return count > 0 ? ask_last(candidates[count - 1], &look) : VARVE_NOT_FOUND;
}
