/* A user's program in C11 or C++17: every public header, used the way the README does. Built by installed_package.py. */
#include <varve/changelog.h>
#include <varve/feed.h>
#include <varve/varve.h>

#include <stdio.h>

static int fail(const char *what, const varve_error *err) {
    fprintf(stderr, "%s: %s (%s)\n", what, err->message, varve_status_name(err->code));
    return 1;
}

int main(int argc, char **argv) {
    varve_error err;
    varve_db *db = NULL;
    varve_store *store = NULL;
    varve_buffer value = {NULL, 0, 0};
    varve_options options;
    if (argc < 2) return 2;
    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    options.create = true;
    if (varve_open(argv[1], &options, &db, &err) != VARVE_OK) return fail("open", &err);
    if (varve_store_open(db, "users", NULL, &store, &err) != VARVE_OK) return fail("store", &err);
    if (varve_put(store, varve_str("ada"), varve_str("1815"), &err) != VARVE_OK) return fail("put", &err);
    if (varve_get(store, varve_str("ada"), &value, &err) != VARVE_OK) return fail("get", &err);
    if (value.size != 4 || memcmp(value.data, "1815", 4) != 0) return 3;
#ifdef CONSUMER_CHANGELOG
    varve_changelog_options log_options;
    varve_changelog *changelog = NULL;
    memset(&log_options, 0, sizeof log_options);
    log_options.size = sizeof log_options;
    if (varve_changelog_open(store, &log_options, &changelog, &err) != VARVE_INVALID) return 4; /* no brokers were given */
#endif
    varve_buffer_free(&value);
    varve_store_close(store);
    if (varve_close(db, &err) != VARVE_OK) return fail("close", &err);
    puts(varve_version());
    return 0;
}
