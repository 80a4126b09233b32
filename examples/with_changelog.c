/*
 * examples/with_changelog.c - a store whose changes are replicated to Kafka, and the same store rebuilt from there.
 *
 * Usage: example_with_changelog BROKERS TOPIC DIR
 *
 * DIR-first is written to and shipped; DIR-second, which has never seen those writes, is restored from the topic.
 */
#include <stdio.h>
#include <varve/changelog.h>

/* Opens a database and its store "users". What was opened is returned even when the second step fails. */
static varve_status open_users(const char *directory, varve_db **db, varve_store **users, varve_error *err) {
    varve_options options = {.size = sizeof options, .create = true, .memory = 64u << 20};
    varve_status status = varve_open(directory, &options, db, err);
    return status == VARVE_OK ? varve_store_open(*db, "users", NULL, users, err) : status;
}

/* Writes two changes as one batch; returns when Kafka has them. */
static varve_status write_and_ship(const char *directory, const varve_changelog_options *options, varve_error *err) {
    varve_db *db = NULL;
    varve_store *users = NULL;
    varve_changelog *changelog = NULL;
    varve_batch *batch = NULL;
    varve_status status = open_users(directory, &db, &users, err);
    /* Fences whoever wrote to the topic before, brings the store to its end, and starts to ship. */
    if (status == VARVE_OK) status = varve_changelog_open(users, options, &changelog, err);
    if (status == VARVE_OK) status = varve_batch_create(&batch, err);
    if (status == VARVE_OK) status = varve_batch_put(batch, users, varve_str("ada"), varve_str("1815"), err);
    if (status == VARVE_OK) status = varve_batch_delete(batch, users, varve_str("nobody"), err);
    if (status == VARVE_OK) status = varve_write(db, batch, NULL, err); /* survives the death of this process from here on */
    if (status == VARVE_OK) status = varve_changelog_flush(changelog, 10000, err); /* and the loss of this disk from here on */
    varve_batch_free(batch);
    varve_changelog_close(changelog, NULL);
    varve_store_close(users);
    varve_close(db, NULL);
    return status;
}

static bool show_progress(void *context, const varve_restore_progress *progress) {
    (void)context;
    printf("restored %llu records, offset %lld of %lld\n", (unsigned long long)progress->records, (long long)progress->offset,
           (long long)progress->end_offset);
    return true; /* false would cancel it */
}

/* Rebuilds the store elsewhere, and reads from it. */
static varve_status restore_and_read(const char *directory, const varve_changelog_options *options, varve_error *err) {
    varve_db *db = NULL;
    varve_store *users = NULL;
    varve_buffer value = {0};
    varve_restore_progress result;
    varve_status status = open_users(directory, &db, &users, err);
    if (status == VARVE_OK) status = varve_changelog_restore(users, options, &result, err);
    if (status == VARVE_OK) status = varve_get(users, varve_str("ada"), &value, err);
    if (status == VARVE_OK) printf("ada: %.*s\n", (int)value.size, value.data);
    varve_buffer_free(&value);
    varve_store_close(users);
    varve_close(db, NULL);
    return status;
}

int main(int argc, char **argv) {
    char first[4096], second[4096];
    varve_error err = {0};
    if (argc != 4) {
        fprintf(stderr, "usage: %s BROKERS TOPIC DIR\n", argv[0]);
        return 2;
    }
    varve_changelog_options options = {.size = sizeof options, .brokers = argv[1], .topic = argv[2], .progress = show_progress};
    snprintf(first, sizeof first, "%s-first", argv[3]);
    snprintf(second, sizeof second, "%s-second", argv[3]);
    varve_status status = write_and_ship(first, &options, &err);
    if (status == VARVE_OK) status = restore_and_read(second, &options, &err);
    if (status != VARVE_OK) fprintf(stderr, "%s: %s\n", varve_status_name(status), err.message);
    return status == VARVE_OK ? 0 : 1;
}
