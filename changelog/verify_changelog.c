/*
 * changelog/verify_changelog.c - proves that a store and its changelog are equal, or names the keys that differ.
 *
 * The topic's state is rebuilt as a database of its own in the scratch directory; then both are walked in step. Nothing is held in
 * memory but two entries. The digest of a side is the sum of the hashes of its live pairs, so it does not depend on order.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "open.h"
#include "report.h"
#include "restore.h"
#include "topic.h"
#include "wire.h"

enum { DIRECTORY_DEPTH_MAX = 8 }; /* a database's directory is flat; this is against a surprise only */

/* --- The scratch directory ---------------------------------------------------------------------------------------- */

/* Removes what is in the directory that fd names, and closes fd. */
static void remove_contents(int fd, int depth) {
    DIR *directory = fdopendir(fd);
    if (!directory) {
        close(fd);
        return;
    }
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        if (unlinkat(dirfd(directory), entry->d_name, 0) == 0 || depth == DIRECTORY_DEPTH_MAX) continue;
        int inner = openat(dirfd(directory), entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (inner < 0) continue;
        remove_contents(inner, depth + 1);
        unlinkat(dirfd(directory), entry->d_name, AT_REMOVEDIR);
    }
    closedir(directory);
}

static void remove_directory(const char *path) {
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0) remove_contents(fd, 0);
    rmdir(path);
}

static varve_status make_directory(const char *path, varve_error *err) {
    if (mkdir(path, 0700) == 0) return VARVE_OK;
    int os_error = errno;
    varve_status code = os_error == EEXIST ? VARVE_EXISTS : VARVE_IO;
    vcl_fail(err, code, 0, "scratch directory %.300s cannot be created: errno %d", path, os_error);
    err->os_error = os_error;
    return code;
}

/* --- The topic's state -------------------------------------------------------------------------------------------- */

static varve_status keep_any(void *context, const vcl_survey *survey, int64_t end, varve_error *err) {
    (void)context;
    (void)survey;
    (void)end;
    (void)err;
    return VARVE_OK;
}

/* Rebuilds the topic's state, up to the end captured at the start, in the store of the scratch database. */
static varve_status rebuild(const vcl_link *link, varve_store *store, uint64_t *log_records, varve_error *err) {
    vcl_link into = *link;
    into.store = store;
    into.db = varve_store_db(store);
    vcl_topic_info topic;
    varve_status status = vcl_topic_describe(link, &topic, err);
    if (status != VARVE_OK) return status;
    if (!topic.exists) return vcl_fail(err, VARVE_MISSING, 0, "topic %s does not exist", link->config.topic);
    vcl_retry retry = vcl_retry_patient(link->config.timeout_ms);
    vcl_offsets offsets;
    status = vcl_link_offsets(link, false, &retry, &offsets, err);
    if (status != VARVE_OK) return status;
    offsets.end = offsets.stable_end;
    vcl_position position = {.partition = link->config.partition};
    memcpy(position.topic, link->config.topic, sizeof position.topic);
    vcl_survey survey;
    vcl_progress progress;
    status =
        vcl_restore_all(&into, &offsets, vcl_topic_delete_retention_ms(&topic), &position, &survey, keep_any, NULL, &progress, err);
    if (status == VARVE_OK) *log_records = progress.now.records;
    return status;
}

/* --- Comparing ---------------------------------------------------------------------------------------------------- */

/* One side of the walk. */
typedef struct vcl_side {
    varve_iterator *it;
    bool done;
    uint64_t digest;
} vcl_side;

/* The walk. Threads: one. */
typedef struct vcl_compare {
    vcl_side store, log;
    varve_difference_fn visit;
    void *context;
    varve_verify_result result;
} vcl_compare;

static varve_status side_next(vcl_side *side, varve_error *err) {
    varve_status status = varve_iterator_next(side->it);
    side->done = status == VARVE_NOT_FOUND;
    if (status == VARVE_OK) side->digest += vcl_hash_pair(varve_iterator_key(side->it), varve_iterator_value(side->it));
    if (status != VARVE_OK && !side->done) {
        *err = *varve_iterator_error(side->it);
        return status;
    }
    return VARVE_OK;
}

static int compare_slices(varve_slice a, varve_slice b) {
    size_t shorter = a.size < b.size ? a.size : b.size;
    int order = shorter > 0 ? memcmp(a.data, b.data, shorter) : 0;
    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

/* Compares the smaller of the two keys and moves past it. VARVE_CANCELLED: the visitor has seen enough. */
static varve_status compare_step(vcl_compare *compare, varve_error *err) {
    vcl_side *store = &compare->store, *log = &compare->log;
    varve_slice store_key = varve_iterator_key(store->it), log_key = varve_iterator_key(log->it);
    varve_slice store_value = varve_iterator_value(store->it), log_value = varve_iterator_value(log->it);
    int order = store->done ? 1 : log->done ? -1 : compare_slices(store_key, log_key);
    compare->result.entries++;
    if (order != 0 || compare_slices(store_value, log_value) != 0) {
        compare->result.differences++;
        varve_difference difference = {.key = order <= 0 ? store_key : log_key,
                                       .store_value = order <= 0 ? &store_value : NULL,
                                       .changelog_value = order >= 0 ? &log_value : NULL};
        if (compare->visit && !compare->visit(compare->context, &difference)) return VARVE_CANCELLED;
    }
    varve_status status = order <= 0 ? side_next(store, err) : VARVE_OK;
    if (status == VARVE_OK && order >= 0) status = side_next(log, err);
    return status;
}

static varve_status compare_all(vcl_compare *compare, varve_store *store, const varve_snapshot *as_of, varve_store *log_store,
                                varve_error *err) {
    varve_range range = {.snapshot = as_of};
    varve_status status = varve_iterator_open(store, &range, &compare->store.it, err);
    if (status == VARVE_OK) status = varve_iterator_open(log_store, NULL, &compare->log.it, err);
    if (status == VARVE_OK) status = side_next(&compare->store, err);
    if (status == VARVE_OK) status = side_next(&compare->log, err);
    while (status == VARVE_OK && !(compare->store.done && compare->log.done)) status = compare_step(compare, err);
    varve_iterator_close(compare->store.it);
    varve_iterator_close(compare->log.it);
    compare->result.store_digest = compare->store.digest;
    compare->result.log_digest = compare->log.digest;
    if (status == VARVE_CANCELLED) status = VARVE_OK;
    if (status != VARVE_OK) return status;
    return compare->result.differences > 0 ? VARVE_NOT_FOUND : VARVE_OK;
}

/* With the scratch directory there. */
static varve_status verify_in(const vcl_link *link, const char *scratch, vcl_compare *compare, varve_error *err) {
    varve_options options = {.size = sizeof options, .create = true};
    varve_db *db = NULL;
    varve_store *log_store = NULL;
    varve_snapshot *as_of = NULL;
    varve_status status = varve_open(scratch, &options, &db, err);
    if (status == VARVE_OK) status = varve_store_open(db, "changelog", NULL, &log_store, err);
    if (status == VARVE_OK) status = varve_snapshot_create(link->db, &as_of, err);
    if (status == VARVE_OK) status = rebuild(link, log_store, &compare->result.log_records, err);
    if (status == VARVE_OK) status = compare_all(compare, link->store, as_of, log_store, err);
    varve_snapshot_free(as_of);
    varve_store_close(log_store);
    varve_error ignored;
    varve_close(db, &ignored); /* what it holds is thrown away */
    return status;
}

varve_status vcl_changelog_verify_on(vcl_transport *transport, varve_store *store, const varve_changelog_options *options,
                                     vcl_clock clock, const char *scratch, varve_difference_fn visit, void *context,
                                     varve_verify_result *result, varve_error *err) {
    vcl_link link;
    vcl_compare compare = {.visit = visit, .context = context};
    varve_status status = vcl_link_make(&link, store, options, transport, clock, err);
    if (status == VARVE_OK && !scratch) status = vcl_fail(err, VARVE_INVALID, 0, "scratch is NULL");
    if (status == VARVE_OK) status = make_directory(scratch, err);
    if (status == VARVE_OK) {
        status = verify_in(&link, scratch, &compare, err);
        remove_directory(scratch);
    }
    if (result && (status == VARVE_OK || status == VARVE_NOT_FOUND)) *result = compare.result;
    transport->ops->close(transport);
    return status;
}

varve_status varve_changelog_verify(varve_store *store, const varve_changelog_options *options, const char *scratch,
                                    varve_difference_fn visit, void *context, varve_verify_result *result, varve_error *err) {
    varve_error local = {0};
    if (!err) err = &local;
    vcl_link link;
    varve_status status = vcl_link_make(&link, store, options, NULL, vcl_clock_system(), err);
    if (status != VARVE_OK) return status;
    vcl_transport *transport;
    status = vcl_rdkafka_open(options, &transport, err);
    if (status != VARVE_OK) return status;
    return vcl_changelog_verify_on(transport, store, options, vcl_clock_system(), scratch, visit, context, result, err);
}
