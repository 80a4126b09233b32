/*
 * memtable_fixture.c - the fixture and the model.
 */
#include "memtable_fixture.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#include "base/hash.h"

void fixture_open(fixture *f, uint64_t keys_expected) {
    *f = (fixture){0};
    vr_faultmem_init(&f->fault, 0, false);
    f->env = vr_env_system();
    f->env.mem = vr_faultmem_mem(&f->fault);
    vr_budget_init(&f->budget, UINT64_C(1) << 30);
    cr_assert_eq(vr_memtable_create(&f->env, &f->budget, 4 << 20, keys_expected, &f->mt, &f->err), VARVE_OK);
}

void fixture_close(fixture *f) {
    vr_memtable_unref(f->mt);
    cr_assert_eq(vr_budget_total(&f->budget), 0);
    cr_assert_eq(vr_faultmem_live(&f->fault), 0);
}

void fixture_put(fixture *f, varve_slice key, varve_slice value) {
    f->sequence++;
    cr_assert_eq(vr_memtable_add(f->mt, f->sequence, VR_KIND_PUT, key, vr_key_hash(key), value, &f->err), VARVE_OK);
}

void fixture_delete(fixture *f, varve_slice key) {
    f->sequence++;
    varve_slice none = varve_bytes(NULL, 0);
    cr_assert_eq(vr_memtable_add(f->mt, f->sequence, VR_KIND_DELETE, key, vr_key_hash(key), none, &f->err), VARVE_OK);
}

vr_cursor *fixture_cursor(fixture *f) {
    vr_memtable_link(f->mt);
    cr_assert_not(vr_memtable_pending(f->mt));
    vr_cursor *cursor;
    cr_assert_eq(vr_memtable_cursor(f->mt, &cursor, &f->err), VARVE_OK);
    return cursor;
}

size_t value_of(uint64_t sequence, char *out) {
    size_t size = sequence % 97 == 0 ? VALUE_BYTES_MAX - sequence % 7 : sequence % 41;
    memset(out, (int)('a' + sequence % 26), size);
    if (size >= sizeof sequence) memcpy(out, &sequence, sizeof sequence);
    return size;
}

uint64_t next_random(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* Cursor order, spelled out. */
static int order_of(varve_slice a, uint64_t a_trailer, varve_slice b, uint64_t b_trailer) {
    for (size_t i = 0; i < a.size && i < b.size; i++) {
        if (a.data[i] != b.data[i]) return (unsigned char)a.data[i] < (unsigned char)b.data[i] ? -1 : 1;
    }
    if (a.size != b.size) return a.size < b.size ? -1 : 1;
    return a_trailer == b_trailer ? 0 : a_trailer > b_trailer ? -1 : 1;
}

varve_slice model_key(const model *m, size_t index) {
    return varve_bytes(m->entries[index].key, m->entries[index].key_size);
}

size_t model_lower(const model *m, varve_slice key, uint64_t trailer) {
    size_t low = 0, high = m->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (order_of(model_key(m, middle), m->entries[middle].trailer, key, trailer) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

void model_add(model *m, varve_slice key, uint64_t trailer) {
    if (m->count == m->capacity) {
        m->capacity = m->capacity ? m->capacity * 2 : 64;
        m->entries = realloc(m->entries, m->capacity * sizeof *m->entries);
        cr_assert_not_null(m->entries);
    }
    size_t at = model_lower(m, key, trailer);
    memmove(m->entries + at + 1, m->entries + at, (m->count - at) * sizeof *m->entries);
    char *copy = malloc(key.size + 1);
    cr_assert_not_null(copy);
    if (key.size) memcpy(copy, key.data, key.size);
    m->entries[at] = (model_entry){.key = copy, .key_size = key.size, .trailer = trailer};
    m->count++;
}

void model_free(model *m) {
    for (size_t i = 0; i < m->count; i++) free(m->entries[i].key);
    free(m->entries);
    *m = (model){0};
}

void check_at(const vr_cursor *cursor, const model *m, size_t index) {
    cr_assert_eq(cursor->status, VARVE_OK);
    cr_assert_eq(cursor->valid, index < m->count, "entry %zu of %zu: valid %d", index, m->count, cursor->valid);
    if (!cursor->valid) return;
    const model_entry *entry = &m->entries[index];
    cr_assert_eq(cursor->key.size, entry->key_size, "entry %zu of %zu", index, m->count);
    bool same = entry->key_size == 0 || memcmp(cursor->key.data, entry->key, entry->key_size) == 0;
    cr_assert(same, "entry %zu of %zu", index, m->count);
    cr_assert_eq(cursor->trailer, entry->trailer, "entry %zu of %zu", index, m->count);
    char value[VALUE_BYTES_MAX];
    bool put = vr_trailer_kind(entry->trailer) == VR_KIND_PUT;
    size_t size = put ? value_of(vr_trailer_sequence(entry->trailer), value) : 0;
    cr_assert_eq(cursor->value.size, size);
    cr_assert(size == 0 || memcmp(cursor->value.data, value, size) == 0);
}
