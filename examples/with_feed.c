/*
 * examples/with_feed.c - change data capture: a durable cursor over the changes of a database, which goes on where it was.
 *
 * Usage: example_with_feed DIR [KEY VALUE]
 *
 * Writes the pair, if one is given, and then prints every change since the last run. Run it several times. What is printed is
 * released; a crash before that prints the same changes again, so that none is missed.
 */
#include <stdio.h>
#include <varve/feed.h>

static void print_change(const varve_change *change) {
    printf("%llu %s %.*s", (unsigned long long)change->sequence, change->kind == VARVE_CHANGE_PUT ? "put" : "delete",
           (int)change->key.size, change->key.data);
    if (change->kind == VARVE_CHANGE_PUT) printf(" = %.*s", (int)change->value.size, change->value.data);
    printf("%s\n", change->batch_end ? " (end of the batch)" : "");
}

/* Prints what there is, and releases it batch by batch. */
static varve_status follow(varve_feed *feed, varve_error *err) {
    varve_change change;
    varve_status status;
    while ((status = varve_feed_next(feed, 0, &change, err)) == VARVE_OK) {
        if (change.kind != VARVE_CHANGE_POSITION) print_change(&change);
        if (change.batch_end) status = varve_feed_release(feed, change.sequence, err);
        if (status != VARVE_OK) return status;
    }
    return status == VARVE_NOT_FOUND ? VARVE_OK : status;
}

int main(int argc, char **argv) {
    varve_db *db = NULL;
    varve_store *store = NULL;
    varve_feed *feed = NULL;
    varve_error err = {0};
    varve_options options = {.size = sizeof options, .create = true, .memory = 64u << 20};
    if (argc != 2 && argc != 4) {
        fprintf(stderr, "usage: %s DIR [KEY VALUE]\n", argv[0]);
        return 2;
    }
    varve_status status = varve_open(argv[1], &options, &db, &err);
    /* From its creation on the feed keeps changes: so it is opened before the first write. */
    if (status == VARVE_OK) status = varve_feed_open(db, "printer", &feed, &err);
    if (status == VARVE_OK) status = varve_store_open(db, "default", NULL, &store, &err);
    if (status == VARVE_OK && argc == 4) status = varve_put(store, varve_str(argv[2]), varve_str(argv[3]), &err);
    if (status == VARVE_OK) status = follow(feed, &err);
    if (status != VARVE_OK) fprintf(stderr, "%s: %s\n", varve_status_name(status), err.message);
    varve_feed_close(feed);
    varve_store_close(store);
    varve_close(db, NULL);
    return status == VARVE_OK ? 0 : 1;
}
