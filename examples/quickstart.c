/* examples/quickstart.c - open, write, read: the engine alone, without Kafka. Usage: example_quickstart [DIR] */
#include <stdio.h>
#include <varve/varve.h>

int main(int argc, char **argv) {
    varve_db *db = NULL;
    varve_store *users = NULL;
    varve_buffer value = {0};
    varve_error err = {0};
    varve_options options = {.size = sizeof options, .create = true};
    if (varve_open(argc > 1 ? argv[1] : "state", &options, &db, &err) == VARVE_OK &&
        varve_store_open(db, "users", NULL, &users, &err) == VARVE_OK &&
        varve_put(users, varve_str("ada"), varve_str("1815"), &err) == VARVE_OK &&
        varve_get(users, varve_str("ada"), &value, &err) == VARVE_OK) {
        printf("ada: %.*s\n", (int)value.size, value.data);
    } else {
        fprintf(stderr, "%s\n", err.message);
    }
    varve_buffer_free(&value);
    varve_store_close(users);
    return varve_close(db, NULL) != VARVE_OK || err.code < 0;
}
