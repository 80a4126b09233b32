/* examples/quickstart.c - open, write, read, scan: the engine alone, without Kafka. Usage: example_quickstart [DIR] */
#include <stdio.h>
#include <varve/varve.h>

int main(int argc, char **argv) {
    varve_db *db = NULL;
    varve_store *users = NULL;
    varve_iterator *it = NULL;
    varve_buffer value = {0};
    varve_error err = {0};
    varve_options options = {.size = sizeof options, .create = true, .memory = 64u << 20};

    if (varve_open(argc > 1 ? argv[1] : "state", &options, &db, &err) != VARVE_OK) goto out;
    if (varve_store_open(db, "users", NULL, &users, &err) != VARVE_OK) goto out;
    if (varve_put(users, varve_str("ada"), varve_str("1815"), &err) != VARVE_OK) goto out;
    if (varve_put(users, varve_str("alan"), varve_str("1912"), &err) != VARVE_OK) goto out;
    if (varve_get(users, varve_str("ada"), &value, &err) == VARVE_OK) printf("ada: %.*s\n", (int)value.size, value.data);

    varve_range range = {.prefix = varve_str("a")};
    if (varve_iterator_open(users, &range, &it, &err) != VARVE_OK) goto out;
    while (varve_iterator_next(it) == VARVE_OK) printf("%.*s\n", (int)varve_iterator_key(it).size, varve_iterator_key(it).data);
    err = *varve_iterator_error(it);
out:
    if (err.code < 0) fprintf(stderr, "%s\n", err.message);
    varve_buffer_free(&value);
    varve_iterator_close(it);
    varve_store_close(users);
    return varve_close(db, NULL) != VARVE_OK || err.code < 0;
}
