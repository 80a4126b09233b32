/*
 * version/manifest.c - creating, opening, appending to and rewriting the manifest. The bytes: manifest_format.c; what they add up
 * to: manifest_state.c.
 *
 * An append: encode; decode what was encoded, so that nothing is written that could not be read; stage the state it leads to; write
 * the record at `end`; sync; write the commit slot; make the staged state the state. The slot is not synced: the next append's sync
 * takes it along, and until then the record behind the committed length counts by its chain hash. A rewrite: the staged state is
 * written to MANIFEST.new, synced, renamed over MANIFEST, the directory synced.
 *
 * Invariants: [0, end) of the file is synced, but for the newest slot; `torn` is set while bytes behind `end` may be there, and
 * these are cut off before the next record goes there, lest an old record's bytes fit the new chain. Once `latched` has a code
 * nothing is written any more. Threads: the caller's lock, for everything.
 */
#include "version/manifest.h"

#include <inttypes.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/error.h"
#include "version/filename.h"
#include "version/manifest_format.h"
#include "version/manifest_state.h"

#define REWRITE_BYTES_MIN (UINT64_C(1) << 20)
#define REWRITE_GROWTH 4u            /* times the state's own size */
#define REWRITE_FIELDS_A_RECORD 256u /* keeps a rewritten state's records far below VR_EDIT_BYTES_MAX */

struct vr_manifest {
    /* Constant after open. */
    const vr_env *env;
    char *dir, *path;
    bool read_only;
    /* Guarded by the caller. */
    vr_file *file;
    uint64_t seed;       /* of the chain and the slots */
    uint64_t end, chain; /* where the next record goes, and the chain hash there */
    uint64_t generation; /* of the newest slot */
    bool torn;
    bool slot_unsynced;
    uint64_t state_bytes; /* about what the state took when it was last written as a whole, or looked at for it */
    varve_error latched;
    vr_manifest_state state;
};

const vr_manifest_state *vr_manifest_state_of(const vr_manifest *manifest) {
    return &manifest->state;
}

/* Takes note of a failure that leaves in doubt what is on disk. It is told as VARVE_IO whatever it was: a sync that ran out of
 * space is no less in doubt. */
static varve_status latch(vr_manifest *m, const varve_error *cause, varve_error *err) {
    m->latched = *cause;
    m->latched.code = VARVE_IO;
    return vr_error_copy(err, &m->latched);
}

/* Notes in the next slot that all before end is synced. The edit counts without it, so a failure only stops further ones; and a
 * full disk not even these: the slot before it is whole, and the next edit tries this one again. */
static void write_slot(vr_manifest *m) {
    char bytes[VR_MANIFEST_SLOT_BYTES];
    varve_error failure = {0};
    vr_manifest_slot slot = {++m->generation, m->end, m->chain};
    vr_manifest_slot_encode(bytes, m->seed, &slot);
    varve_status status = vr_file_pwrite(m->file, bytes, sizeof bytes, vr_manifest_slot_offset(slot.generation), &failure);
    if (status == VARVE_OK) {
        m->slot_unsynced = true;
    } else if (status == VARVE_NO_SPACE) {
        m->generation--;
    } else {
        latch(m, &failure, NULL);
    }
}

/* --- A whole manifest as an image ------------------------------------------------------------------------------------------- */

/* An image under construction: page and records, without a slot as yet. */
typedef struct image {
    varve_buffer bytes;
    uint64_t seed, chain;
} image;

static varve_status image_begin(const vr_env *env, image *img, varve_error *err) {
    char page[VR_MANIFEST_PAGE_BYTES];
    uint64_t file_id;
    env->random_bytes(env->context, &file_id, sizeof file_id);
    img->seed = img->chain = vr_manifest_page_encode(page, file_id);
    return vr_buffer_append(&img->bytes, page, sizeof page) ? VARVE_OK : vr_error_nomem(err, sizeof page, "a manifest");
}

/* Appends a header and the encoded edit to out. */
static varve_status put_record(varve_buffer *out, const vr_edit *edit, uint64_t *chain, varve_error *err) {
    static const char header[VR_MANIFEST_RECORD_HEADER_BYTES];
    size_t start = out->size;
    if (!vr_buffer_append(out, header, sizeof header)) return vr_error_nomem(err, sizeof header, "a manifest's record");
    varve_status status = vr_edit_encode(edit, out, err);
    size_t bytes = out->size - start - sizeof header;
    if (status == VARVE_OK && (bytes == 0 || bytes > VR_EDIT_BYTES_MAX)) {
        status = vr_error_set(err, VARVE_INTERNAL, "an edit of %zu bytes, allowed are 1 to %u", bytes, VR_EDIT_BYTES_MAX);
    }
    if (status == VARVE_OK) {
        *chain = vr_manifest_record_seal(out->data + start, bytes, *chain);
    } else {
        out->size = start;
    }
    return status;
}

/* Appends the state as one edit or, where it is large, as several. */
static varve_status image_state(const vr_mem *mem, image *img, const vr_manifest_state *state, varve_error *err) {
    vr_edit all;
    vr_edit_init(&all, mem);
    varve_status status = vr_manifest_state_describe(state, &all, err);
    for (size_t i = 0; status == VARVE_OK && i < all.count; i += REWRITE_FIELDS_A_RECORD) {
        vr_edit part = {.mem = *mem, .fields = all.fields + i, .count = vr_min_size(all.count - i, REWRITE_FIELDS_A_RECORD)};
        status = put_record(&img->bytes, &part, &img->chain, err);
    }
    vr_edit_free(&all);
    return status;
}

static void image_commit(image *img) {
    vr_manifest_slot slot = {1, img->bytes.size, img->chain};
    vr_manifest_slot_encode(img->bytes.data + vr_manifest_slot_offset(slot.generation), img->seed, &slot);
}

/*
 * Writes the image to MANIFEST.new, puts it in MANIFEST's place, durably, and leaves it open in *file. On failure *doubt tells
 * whether the old or the new one may now be found under the name; where it is certain that it is the old one, the new one is
 * removed.
 */
static varve_status image_install(const vr_env *env, const char *dir, const image *img, vr_file **file, bool *doubt,
                                  varve_error *err) {
    char fresh[VR_PATH_BYTES_MAX], path[VR_PATH_BYTES_MAX];
    vr_file *written = NULL;
    *doubt = false;
    if (!vr_path_join(fresh, dir, VR_NAME_MANIFEST_NEW) || !vr_path_join(path, dir, VR_NAME_MANIFEST)) {
        return vr_error_set(err, VARVE_TOO_LARGE, "%.200s...: the path is too long", dir);
    }
    varve_status status =
        vr_fs_open(env->fs, fresh, VR_OPEN_READ | VR_OPEN_WRITE | VR_OPEN_CREATE | VR_OPEN_TRUNCATE, &written, err);
    if (status == VARVE_OK) status = vr_file_pwrite(written, img->bytes.data, img->bytes.size, 0, err);
    if (status == VARVE_OK) status = vr_file_sync(written, err);
    if (status == VARVE_OK) {
        *doubt = true;
        status = vr_fs_rename(env->fs, fresh, path, err);
    }
    if (status == VARVE_OK) status = vr_fs_sync_dir(env->fs, dir, err);
    if (status == VARVE_OK) {
        *file = written;
        *doubt = false;
        return VARVE_OK;
    }
    vr_file_close(written, NULL);
    if (!*doubt) vr_fs_remove(env->fs, fresh, NULL);
    return status;
}

/* --- Opening ---------------------------------------------------------------------------------------------------------------- */

static varve_status manifest_new(const vr_env *env, const char *dir, vr_manifest **manifest, varve_error *err) {
    char path[VR_PATH_BYTES_MAX];
    if (!vr_path_join(path, dir, VR_NAME_MANIFEST))
        return vr_error_set(err, VARVE_TOO_LARGE, "%.200s...: the path is too long", dir);
    vr_manifest *m = vr_zalloc(&env->mem, sizeof *m);
    if (!m) return vr_error_nomem(err, sizeof *m, "a manifest");
    m->env = env;
    vr_manifest_state_init(&m->state);
    m->dir = vr_strdup(&env->mem, dir);
    m->path = vr_strdup(&env->mem, path);
    *manifest = m;
    return m->dir && m->path ? VARVE_OK : vr_error_nomem(err, sizeof path, "a manifest's path");
}

void vr_manifest_close(vr_manifest *manifest) {
    if (!manifest) return;
    /* Without this sync the records count all the same, by their chain. */
    if (manifest->slot_unsynced && manifest->latched.code == VARVE_OK) vr_file_sync(manifest->file, NULL);
    vr_file_close(manifest->file, NULL);
    const vr_mem *mem = &manifest->env->mem;
    vr_manifest_state_free(mem, &manifest->state);
    vr_free(mem, manifest->dir);
    vr_free(mem, manifest->path);
    vr_free(mem, manifest);
}

/* Takes over what an installed image says of the file. */
static void adopt_image(vr_manifest *m, const image *img, vr_file *file) {
    m->file = file;
    m->seed = img->seed;
    m->end = img->bytes.size;
    m->chain = img->chain;
    m->generation = 1;
    m->state_bytes = img->bytes.size;
    m->torn = m->slot_unsynced = false;
}

static varve_status check_absent(const vr_env *env, const char *path, varve_error *err) {
    vr_file *file = NULL;
    varve_error found = {0};
    varve_status status = vr_fs_open(env->fs, path, VR_OPEN_READ, &file, &found);
    if (status == VARVE_MISSING) return VARVE_OK;
    if (status != VARVE_OK) return vr_error_copy(err, &found);
    vr_file_close(file, NULL);
    return vr_error_set(err, VARVE_EXISTS, "%s: exists already", path);
}

varve_status vr_manifest_create(const vr_env *env, const char *dir, vr_manifest **manifest, varve_error *err) {
    vr_manifest *m = NULL;
    image img = {0};
    vr_file *file = NULL;
    bool doubt;
    varve_status status = manifest_new(env, dir, &m, err);
    if (status == VARVE_OK) status = check_absent(env, m->path, err);
    if (status != VARVE_OK) goto out;
    env->random_bytes(env->context, m->state.db_id, sizeof m->state.db_id);
    status = image_begin(env, &img, err);
    if (status == VARVE_OK) status = image_state(&env->mem, &img, &m->state, err);
    if (status != VARVE_OK) goto out;
    image_commit(&img);
    status = image_install(env, dir, &img, &file, &doubt, err);
    if (status == VARVE_OK) adopt_image(m, &img, file);
out:
    varve_buffer_free(&img.bytes);
    if (status == VARVE_OK) {
        *manifest = m;
    } else {
        vr_manifest_close(m);
    }
    return status;
}

/* Adds up all records. The reader is left at the end of the last one that counts. */
static varve_status replay(const vr_mem *mem, vr_manifest_reader *reader, vr_manifest_state *state, varve_error *err) {
    static const uint8_t none[16];
    vr_edit edit;
    varve_slice bytes;
    vr_manifest_place place = {VARVE_CORRUPTION, reader->name, 0};
    varve_status status = VARVE_OK;
    vr_edit_init(&edit, mem);
    while (status == VARVE_OK) {
        status = vr_manifest_reader_next(reader, &bytes, &place.offset, err);
        if (status != VARVE_OK) break;
        status = vr_edit_decode(bytes, reader->name, place.offset + VR_MANIFEST_RECORD_HEADER_BYTES, &edit, err);
        if (status == VARVE_OK) status = vr_manifest_state_apply(mem, state, &edit, &place, err);
    }
    vr_edit_free(&edit);
    if (status != VARVE_NOT_FOUND) return status;
    if (memcmp(state->db_id, none, sizeof none) == 0) {
        return vr_error_set(err, VARVE_CORRUPTION, "%s: no record gives the database an id", reader->name);
    }
    return VARVE_OK;
}

/*
 * Makes durable what was replayed, before anybody acts on it: a process that died may have left behind a record that it did not
 * sync, or a rewritten file whose name it did not. Removes what a rewrite that was cut short left.
 */
static varve_status settle(vr_manifest *m, uint64_t committed, varve_error *err) {
    char leftover[VR_PATH_BYTES_MAX];
    if (vr_path_join(leftover, m->dir, VR_NAME_MANIFEST_NEW)) vr_fs_remove(m->env->fs, leftover, NULL);
    varve_status status = vr_fs_sync_dir(m->env->fs, m->dir, err);
    if (status != VARVE_OK || m->end == committed) return status;
    status = vr_file_sync(m->file, err);
    if (status == VARVE_OK) write_slot(m);
    return status;
}

varve_status vr_manifest_open(const vr_env *env, const char *dir, bool read_only, vr_manifest **manifest, varve_error *err) {
    vr_manifest *m = NULL;
    vr_manifest_reader reader = {0};
    char *bytes = NULL;
    size_t size = 0;
    varve_status status = manifest_new(env, dir, &m, err);
    if (status == VARVE_OK) status = vr_fs_open(env->fs, m->path, VR_OPEN_READ | (read_only ? 0u : VR_OPEN_WRITE), &m->file, err);
    if (status == VARVE_OK) status = vr_manifest_load(env, m->file, m->path, &bytes, &size, err);
    if (status == VARVE_OK) status = vr_manifest_reader_open(&reader, varve_bytes(bytes, size), m->path, err);
    if (status == VARVE_OK) status = replay(&env->mem, &reader, &m->state, err);
    vr_free(&env->mem, bytes);
    if (status != VARVE_OK) goto out;
    m->read_only = read_only;
    m->seed = reader.seed;
    m->end = reader.offset;
    m->chain = reader.chain;
    m->generation = reader.slot.generation;
    m->torn = size > reader.offset;
    if (!read_only) status = settle(m, reader.slot.length, err);
out:
    if (status == VARVE_OK) {
        *manifest = m;
    } else {
        vr_manifest_close(m);
    }
    return status;
}

varve_status vr_manifest_scan(const vr_mem *mem, varve_slice file, const char *name, varve_error *err) {
    vr_manifest_reader reader = {0};
    vr_manifest_state state;
    vr_manifest_state_init(&state);
    varve_status status = vr_manifest_reader_open(&reader, file, name, err);
    if (status == VARVE_OK) status = replay(mem, &reader, &state, err);
    vr_manifest_state_free(mem, &state);
    return status;
}

/* --- Appending -------------------------------------------------------------------------------------------------------------- */

/* Puts a sealed record at the end and syncs it. Running out of space leaves no doubt, as nothing of it counts yet: writing may go
 * on later. */
static varve_status write_record(vr_manifest *m, const varve_buffer *record, varve_error *err) {
    varve_error failure = {0};
    varve_status status = VARVE_OK;
    if (m->torn) status = vr_file_set_size(m->file, m->end, &failure);
    if (status == VARVE_OK) {
        m->torn = true;
        status = vr_file_pwrite(m->file, record->data, record->size, m->end, &failure);
    }
    if (status == VARVE_NO_SPACE) return vr_error_copy(err, &failure);
    if (status == VARVE_OK) status = vr_file_sync(m->file, &failure);
    if (status != VARVE_OK) return latch(m, &failure, err);
    m->torn = false;
    return VARVE_OK;
}

/* Whether the file has grown enough to be worth a rewrite; fills img with the new one if so. */
static bool wants_rewrite(vr_manifest *m, const vr_manifest_state *next, image *img) {
    if (m->end <= REWRITE_BYTES_MIN || m->end / REWRITE_GROWTH <= m->state_bytes) return false;
    if (image_begin(m->env, img, NULL) != VARVE_OK || image_state(&m->env->mem, img, next, NULL) != VARVE_OK) return false;
    m->state_bytes = img->bytes.size;
    if (m->end / REWRITE_GROWTH <= m->state_bytes) return false;
    image_commit(img);
    return true;
}

/* Rewrites the file so that it says next. *done false with VARVE_OK: there was no space for it, and the old file goes on. */
static varve_status rewrite(vr_manifest *m, const vr_manifest_state *next, bool *done, varve_error *err) {
    image img = {0};
    vr_file *file = NULL;
    bool doubt = false;
    varve_error failure = {0};
    varve_status status = VARVE_OK;
    *done = wants_rewrite(m, next, &img);
    if (*done) status = image_install(m->env, m->dir, &img, &file, &doubt, &failure);
    if (*done && status == VARVE_OK) {
        vr_file_close(m->file, NULL);
        adopt_image(m, &img, file);
    } else if (!doubt && (status == VARVE_NO_SPACE || status == VARVE_NOMEM)) {
        *done = false;
        status = VARVE_OK;
    } else if (status != VARVE_OK) {
        status = latch(m, &failure, err);
    }
    varve_buffer_free(&img.bytes);
    return status;
}

/* What was encoded is read back before it is written: an edit that no reader would accept must not become durable. */
static varve_status check_encoded(const vr_manifest *m, const varve_buffer *record, vr_edit *decoded, varve_error *err) {
    varve_error failure = {0};
    varve_slice bytes = varve_bytes(record->data + VR_MANIFEST_RECORD_HEADER_BYTES, record->size - VR_MANIFEST_RECORD_HEADER_BYTES);
    varve_status status = vr_edit_decode(bytes, m->path, m->end + VR_MANIFEST_RECORD_HEADER_BYTES, decoded, &failure);
    if (status == VARVE_OK || status == VARVE_NOMEM) return vr_error_copy(status == VARVE_OK ? NULL : err, &failure);
    return vr_error_set(err, VARVE_INTERNAL, "an edit is out of bounds: %s", failure.message);
}

static varve_status check_writable(const vr_manifest *m, varve_error *err) {
    if (m->read_only) return vr_error_set(err, VARVE_READ_ONLY, "%s: was opened to be read only", m->path);
    if (m->latched.code == VARVE_OK) return VARVE_OK;
    return vr_error_set(err, VARVE_READ_ONLY, "%s: no more edits are taken since one failed: %s", m->path, m->latched.message);
}

bool vr_manifest_stopped(const vr_manifest *manifest) {
    return manifest->latched.code != VARVE_OK;
}

varve_status vr_manifest_append(vr_manifest *manifest, const vr_edit *edit, varve_error *err) {
    vr_manifest *m = manifest;
    const vr_mem *mem = &m->env->mem;
    vr_manifest_place place = {VARVE_INTERNAL, m->path, m->end};
    vr_manifest_state next;
    vr_edit decoded;
    varve_buffer record = {0};
    uint64_t chain = m->chain;
    bool rewritten = false;
    varve_status status = check_writable(m, err);
    if (status != VARVE_OK || edit->count == 0) return status;
    vr_edit_init(&decoded, mem);
    status = put_record(&record, edit, &chain, err);
    if (status == VARVE_OK) status = check_encoded(m, &record, &decoded, err);
    if (status == VARVE_OK) status = vr_manifest_stage(mem, &m->state, &decoded, &place, &next, err);
    if (status != VARVE_OK) goto out;
    status = rewrite(m, &next, &rewritten, err);
    if (status == VARVE_OK && !rewritten) {
        status = write_record(m, &record, err);
        if (status == VARVE_OK) {
            m->end += record.size;
            m->chain = chain;
            write_slot(m);
        }
    }
    if (status == VARVE_OK) {
        vr_manifest_stage_commit(mem, &m->state, &next);
    } else {
        vr_manifest_stage_drop(mem, &m->state, &next);
    }
out:
    vr_edit_free(&decoded);
    varve_buffer_free(&record);
    return status;
}

/* --- Copying ---------------------------------------------------------------------------------------------------------------- */

varve_status vr_manifest_write_copy(const vr_env *env, const vr_manifest_state *state, const vr_edit *extra, const char *dir,
                                    varve_error *err) {
    image img = {0};
    vr_file *file = NULL;
    bool doubt;
    varve_error failure = {0};
    varve_status status = image_begin(env, &img, err);
    if (status == VARVE_OK) status = image_state(&env->mem, &img, state, err);
    if (status == VARVE_OK && extra && extra->count > 0) status = put_record(&img.bytes, extra, &img.chain, err);
    if (status != VARVE_OK) goto out;
    image_commit(&img);
    status = vr_manifest_scan(&env->mem, varve_buffer_slice(&img.bytes), VR_NAME_MANIFEST, &failure);
    if (status == VARVE_CORRUPTION) {
        status = vr_error_set(err, VARVE_INTERNAL, "a copy of the manifest would not be readable: %s", failure.message);
    } else if (status != VARVE_OK) {
        vr_error_copy(err, &failure);
    }
    if (status == VARVE_OK) status = image_install(env, dir, &img, &file, &doubt, err);
    if (status == VARVE_OK) status = vr_file_close(file, err);
out:
    varve_buffer_free(&img.bytes);
    return status;
}
