/*
 * db/dump.c - any file of a database, in readable lines.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/bytes.h"
#include "base/error.h"
#include "db/db.h"
#include "version/filename.h"

#define LINE_BYTES 1024u
#define SHOWN_BYTES 96u

typedef struct dumper {
    varve_line_fn visit;
    void *context;
    varve_error *err;
    varve_status status;
} dumper;

static varve_status pass_line(void *context, const char *line) {
    dumper *d = context;
    if (d->visit(d->context, line)) return VARVE_OK;
    d->status = VARVE_CANCELLED;
    return VARVE_CANCELLED;
}

/* Printable bytes as they are, others as \xNN; cut after SHOWN_BYTES. */
static void escape(varve_slice bytes, char out[4 * SHOWN_BYTES + 4]) {
    static const char digits[] = "0123456789abcdef";
    size_t n = 0;
    for (size_t i = 0; i < bytes.size && i < SHOWN_BYTES; i++) {
        uint8_t byte = (uint8_t)bytes.data[i];
        if (byte >= 0x20 && byte < 0x7f && byte != '\\') {
            out[n++] = (char)byte;
            continue;
        }
        out[n++] = '\\';
        out[n++] = 'x';
        out[n++] = digits[byte >> 4];
        out[n++] = digits[byte & 15];
    }
    if (bytes.size > SHOWN_BYTES) {
        memcpy(out + n, "...", 3);
        n += 3;
    }
    out[n] = '\0';
}

static const char *kind_name(vr_kind kind) {
    return kind == VR_KIND_PUT ? "put" : kind == VR_KIND_DELETE ? "delete" : "position";
}

static varve_status dump_batch(dumper *d, uint64_t sequence, varve_slice payload) {
    vr_batch_reader reader;
    vr_change change;
    char line[LINE_BYTES], key[4 * SHOWN_BYTES + 4], value[4 * SHOWN_BYTES + 4];
    varve_status status = vr_batch_reader_open(&reader, payload, d->err);
    while (status == VARVE_OK && (status = vr_batch_reader_next(&reader, &change, d->err)) == VARVE_OK) {
        escape(change.key, key);
        escape(change.value, value);
        snprintf(line, sizeof line, "    %" PRIu64 " store %" PRIu32 " %s \"%s\" = \"%s\" (%zu bytes)", sequence++, change.store_id,
                 kind_name(change.kind), key, value, change.value.size);
        status = pass_line(d, line);
    }
    return status == VARVE_NOT_FOUND ? VARVE_OK : status;
}

static bool dump_record(void *context, const vr_wal_record_info *record) {
    dumper *d = context;
    char line[LINE_BYTES];
    snprintf(line, sizeof line, "offset %" PRIu64 " %s sequence %" PRIu64 " payload %zu bytes", record->offset, record->type,
             record->first_sequence, record->payload.size);
    d->status = pass_line(d, line);
    if (d->status == VARVE_OK && strcmp(record->type, "batch") == 0)
        d->status = dump_batch(d, record->first_sequence, record->payload);
    return d->status == VARVE_OK;
}

static bool ends_with(const char *string, const char *end) {
    size_t size = strlen(string), end_size = strlen(end);
    return size >= end_size && strcmp(string + size - end_size, end) == 0;
}

varve_status vr_dump_file(const vr_env *env, const char *file, varve_line_fn visit, void *context, varve_error *err) {
    dumper d = {.visit = visit, .context = context, .err = err};
    const char *slash = strrchr(file, '/');
    const char *name = slash ? slash + 1 : file;
    varve_status status;
    uint64_t number;
    if (vr_filename_parse_table(name, &number) || ends_with(name, ".vst")) {
        status = vr_table_dump(env, file, pass_line, &d, err);
    } else if (ends_with(name, ".wal")) {
        status = vr_wal_inspect(env, file, dump_record, &d, err);
        if (status == VARVE_OK) status = d.status;
    } else if (strncmp(name, VR_NAME_MANIFEST, strlen(VR_NAME_MANIFEST)) == 0) {
        status = vr_manifest_dump(env, file, pass_line, &d, err);
    } else {
        return vr_error_set(err, VARVE_INVALID,
                            "file %s: its name is not a WAL segment's (*.wal), a table's (*.vst) or the manifest's (%s)", file,
                            VR_NAME_MANIFEST);
    }
    return status == VARVE_CANCELLED ? VARVE_OK : status;
}

varve_status varve_dump(const char *file, varve_line_fn visit, void *context, varve_error *err) {
    vr_env env = vr_env_system();
    return vr_dump_file(&env, file, visit, context, err);
}
