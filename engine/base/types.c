/*
 * base/types.c - the functions of <varve/types.h>.
 */
#include <stdlib.h>

#include <varve/types.h>

#define TEXT_OF(number) #number
#define VERSION_TEXT(major, minor, patch) TEXT_OF(major) "." TEXT_OF(minor) "." TEXT_OF(patch)

void varve_buffer_free(varve_buffer *buffer) {
    if (!buffer) return;
    free(buffer->data);
    *buffer = (varve_buffer){0};
}

const char *varve_status_name(varve_status status) {
    switch (status) {
    case VARVE_OK: return "OK";
    case VARVE_NOT_FOUND: return "NOT_FOUND";
    case VARVE_INVALID: return "INVALID";
    case VARVE_NOMEM: return "NOMEM";
    case VARVE_IO: return "IO";
    case VARVE_NO_SPACE: return "NO_SPACE";
    case VARVE_CORRUPTION: return "CORRUPTION";
    case VARVE_BUSY: return "BUSY";
    case VARVE_CLOSED: return "CLOSED";
    case VARVE_READ_ONLY: return "READ_ONLY";
    case VARVE_TOO_LARGE: return "TOO_LARGE";
    case VARVE_UNSUPPORTED: return "UNSUPPORTED";
    case VARVE_MISSING: return "MISSING";
    case VARVE_EXISTS: return "EXISTS";
    case VARVE_CANCELLED: return "CANCELLED";
    case VARVE_TIMEOUT: return "TIMEOUT";
    case VARVE_KAFKA: return "KAFKA";
    case VARVE_FENCED: return "FENCED";
    case VARVE_DIVERGED: return "DIVERGED";
    case VARVE_INTERNAL: return "INTERNAL";
    }
    return "UNKNOWN";
}

const char *varve_version(void) {
    return VERSION_TEXT(VARVE_VERSION_MAJOR, VARVE_VERSION_MINOR, VARVE_VERSION_PATCH);
}
