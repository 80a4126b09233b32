/*
 * changelog/initial_copy.c - ships a whole store into an empty log.
 *
 * The iterator's memory moves on with it, so a group's bytes are gathered in one buffer, and its records get their addresses when
 * the buffer has stopped growing.
 */
#include "initial_copy.h"

#include <stdlib.h>

#include "report.h"

typedef struct vcl_copy {
    varve_changelog *changelog;
    varve_iterator *it;
    char *bytes;
    size_t size, capacity;
    uint64_t groups;
} vcl_copy;

static varve_status keep(vcl_copy *copy, varve_slice bytes, varve_error *err) {
    if (copy->size + bytes.size > copy->capacity) {
        size_t capacity = copy->capacity ? copy->capacity * 2 : 65536;
        while (capacity < copy->size + bytes.size) capacity *= 2;
        char *grown = realloc(copy->bytes, capacity);
        if (!grown) return vcl_fail(err, VARVE_NOMEM, 0, "out of memory for a group of %zu bytes", capacity);
        copy->bytes = grown;
        copy->capacity = capacity;
    }
    if (bytes.size > 0) memcpy(copy->bytes + copy->size, bytes.data, bytes.size);
    copy->size += bytes.size;
    return VARVE_OK;
}

/* The pair at the iterator into the group. Its addresses are set by place(). */
static varve_status copy_pair(vcl_copy *copy, int64_t now_ms, varve_error *err) {
    vcl_record record = {.key = varve_iterator_key(copy->it), .value = varve_iterator_value(copy->it), .timestamp_ms = now_ms};
    varve_status status = keep(copy, record.key, err);
    if (status == VARVE_OK) status = keep(copy, record.value, err);
    return status == VARVE_OK ? vcl_group_add(&copy->changelog->group, &record, err) : status;
}

static void place(vcl_copy *copy) {
    vcl_group *group = &copy->changelog->group;
    const char *at = copy->bytes ? copy->bytes : "";
    for (size_t i = 0; i < group->count; i++) {
        vcl_record *record = &group->records[i];
        record->key.data = at;
        at += record->key.size;
        record->value.data = at;
        at += record->value.size;
    }
}

static varve_status ship(vcl_copy *copy, bool last, varve_error *err) {
    vcl_group *group = &copy->changelog->group;
    place(copy);
    group->base = !last;
    group->through = last ? copy->changelog->position.acknowledged : ++copy->groups;
    varve_status status = vcl_ship_group(copy->changelog, err);
    vcl_group_clear(group);
    copy->size = 0;
    return status;
}

static varve_status step(vcl_copy *copy, varve_error *err) {
    varve_status status = varve_iterator_next(copy->it);
    if (status != VARVE_OK && status != VARVE_NOT_FOUND) *err = *varve_iterator_error(copy->it);
    return status;
}

varve_status vcl_copy_store(varve_changelog *changelog, varve_error *err) {
    vcl_copy copy = {.changelog = changelog};
    const vcl_link *link = &changelog->link;
    int64_t now_ms = vcl_link_now_ms(link);
    vcl_group_clear(&changelog->group);
    varve_status status = varve_iterator_open(link->store, NULL, &copy.it, err);
    if (status != VARVE_OK) return status;
    status = step(&copy, err);
    while (status == VARVE_OK) {
        status = copy_pair(&copy, now_ms, err);
        if (status != VARVE_OK) break;
        status = step(&copy, err);
        if (status == VARVE_OK && changelog->group.bytes < link->config.group_bytes_max) continue;
        bool last = status == VARVE_NOT_FOUND;
        if (status != VARVE_OK && !last) break;
        status = ship(&copy, last, err);
        if (last) break;
    }
    /* A store that is empty meanwhile has nothing to copy, and is copied. */
    if (status == VARVE_NOT_FOUND) {
        changelog->position.copying = false;
        status = VARVE_OK;
    }
    varve_iterator_close(copy.it);
    free(copy.bytes);
    return status;
}
