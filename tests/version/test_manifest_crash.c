/*
 * test_manifest_crash.c - power cuts at every step, flips of every bit, cuts at every length: the state is that before or after the
 * edit under way, or damage is reported; it is never another one.
 */
#include "version_fixture.h"

#include "version/manifest_format.h"

#define EDITS 12
#define GROW_EDITS 52 /* of 20 positions each: just beyond the size from which on the manifest is rewritten */

static fixture fx;
static varve_error err;

/* Edit number i of the sequence that the sweeps run. */
static void build_edit(vr_edit *edit, uint64_t i) {
    static const char *const names[] = {"s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "s12", "s13"};
    uint32_t id = (uint32_t)i + 1;
    edit->count = 0;
    add_store(edit, id, names[i]);
    add_table(edit, id, 1, 100 + i, "a", "k");
    add_table(edit, id, 1, 200 + i, "l", "z");
    if (i % 3 == 1) add_field(edit, VR_EDIT_TABLE_REMOVE, id - 1, 1, 100 + i - 1, 0);
    if (i % 3 == 1) add_table(edit, id - 1, 2, 100 + i - 1, "a", "k");
    if (i % 4 == 2) add_field(edit, VR_EDIT_STORE_DROP, id - 2, 0, 0, 0);
    add_feed(edit, "log", i);
    if (i == EDITS - 1) add_field(edit, VR_EDIT_CLEAN, 0, 0, 0, 1000);
}

static void append_edit(vr_manifest *manifest, const vr_env *env, uint64_t i) {
    vr_edit edit;
    vr_edit_init(&edit, &env->mem);
    build_edit(&edit, i);
    varve_status status = vr_manifest_append(manifest, &edit, &err);
    cr_assert_eq(status, VARVE_OK, "%s", err.message);
    vr_edit_free(&edit);
}

/* Makes the file so large that the next append rewrites it. */
static void grow(vr_manifest *manifest, const vr_env *env) {
    static const char position[1000];
    vr_edit edit;
    vr_edit_init(&edit, &env->mem);
    add_store(&edit, 1, "grown");
    for (int round = 0; round < GROW_EDITS; round++) {
        for (int i = 0; i < 20; i++) {
            add_field(&edit, VR_EDIT_STORE_POSITION, 1, 0, 0, 0)->content = varve_bytes(position, sizeof position);
        }
        must(vr_manifest_append(manifest, &edit, &err));
        edit.count = 0;
    }
    vr_edit_free(&edit);
}

/* --- Power cuts -------------------------------------------------------------------------------------------------------------- */

/* What a sweep knows. `under_way` is the edit being appended: the state may be states[under_way] or the one after it. */
typedef struct sweep {
    vr_memfs *memfs;
    varve_buffer states[EDITS + 1];
    size_t under_way;
    size_t checked, found_after;
} sweep;

/* One that runs inside a crashed copy: the state found there must not be lost by another crash. */
typedef struct nested {
    vr_memfs *memfs;
    const varve_buffer *found;
    varve_buffer after; /* with the edit that is appended there, once it is known */
    uint64_t seed;
} nested;

static vr_env env_of(vr_memfs *memfs) {
    vr_env env = fx.env;
    env.fs = vr_memfs_fs(memfs);
    return env;
}

/* The state that a reader finds. The caller frees the buffer. */
static varve_buffer state_found(vr_memfs *memfs) {
    vr_env env = env_of(memfs);
    vr_manifest *manifest = NULL;
    varve_status status = vr_manifest_open(&env, DIR_NAME, true, &manifest, &err);
    cr_assert_eq(status, VARVE_OK, "%s", err.message);
    varve_buffer bytes = state_bytes(vr_manifest_state_of(manifest));
    vr_manifest_close(manifest);
    return bytes;
}

static bool same(const varve_buffer *a, const varve_buffer *b) {
    return vr_equal(varve_buffer_slice(a), varve_buffer_slice(b));
}

static void check_nested(void *context, uint64_t operation, const char *name, const char *path) {
    nested *n = context;
    (void)path;
    for (uint64_t mode = 0; mode < 3; mode++) {
        vr_memfs *clone;
        must(vr_memfs_clone(n->memfs, mode == 0 ? VR_CRASH_DROP_UNSYNCED : VR_CRASH_MIXED, n->seed + mode * 1000 + operation,
                            &clone, &err));
        varve_buffer state = state_found(clone);
        cr_assert(same(&state, n->found) || (n->after.data && same(&state, &n->after)), "lost before %s", name);
        varve_buffer_free(&state);
        vr_memfs_free(clone);
    }
}

/* Goes on in a crashed copy: opens it to write, and appends; crashes at each of these steps. */
static void go_on(vr_memfs *clone, const varve_buffer *found, uint64_t seed) {
    vr_env env = env_of(clone);
    vr_manifest *manifest;
    vr_edit edit;
    nested n = {.memfs = clone, .found = found, .seed = seed};
    vr_edit_init(&edit, &env.mem);
    must(vr_manifest_open(&env, DIR_NAME, false, &manifest, &err)); /* what it shows may be acted upon: it must be durable now */
    vr_memfs_set_hook(clone, check_nested, &n);
    add_field(&edit, VR_EDIT_LAST_SEQUENCE, 0, 0, 0, 5000);
    vr_manifest *twin; /* to know the state after the edit before it is made */
    vr_memfs *copy;
    must(vr_memfs_clone(clone, VR_CRASH_KEEP_ALL, 0, &copy, &err));
    vr_env twin_env = env_of(copy);
    must(vr_manifest_open(&twin_env, DIR_NAME, false, &twin, &err));
    must(vr_manifest_append(twin, &edit, &err));
    n.after = state_bytes(vr_manifest_state_of(twin));
    vr_manifest_close(twin);
    vr_memfs_free(copy);
    must(vr_manifest_append(manifest, &edit, &err));
    vr_memfs_set_hook(clone, NULL, NULL);
    vr_manifest_close(manifest);
    varve_buffer last = state_found(clone);
    cr_assert(same(&last, &n.after));
    varve_buffer_free(&last);
    varve_buffer_free(&n.after);
    vr_edit_free(&edit);
}

static void check_crash(sweep *sw, vr_crash_mode mode, uint64_t seed, const char *name) {
    vr_memfs *clone;
    must(vr_memfs_clone(sw->memfs, mode, seed, &clone, &err));
    varve_buffer state = state_found(clone);
    bool after = sw->under_way < EDITS && same(&state, &sw->states[sw->under_way + 1]);
    cr_assert(after || same(&state, &sw->states[sw->under_way]), "edit %zu, mode %d, before %s", sw->under_way, mode, name);
    sw->checked++;
    sw->found_after += after;
    go_on(clone, &state, seed);
    varve_buffer_free(&state);
    vr_memfs_free(clone);
}

static void crash_now(void *context, uint64_t operation, const char *name, const char *path) {
    sweep *sw = context;
    (void)path;
    check_crash(sw, VR_CRASH_DROP_UNSYNCED, 0, name);
    check_crash(sw, VR_CRASH_KEEP_ALL, 0, name);
    for (uint64_t seed = 1; seed <= 4; seed++) check_crash(sw, VR_CRASH_MIXED, seed * 100 + operation, name);
}

static size_t manifest_bytes(void) {
    varve_buffer bytes = file_read(&fx, VR_NAME_MANIFEST);
    size_t size = bytes.size;
    varve_buffer_free(&bytes);
    return size;
}

/* Runs the sequence, first to learn the states, then with a crash before every change of the file system. */
static void run_sweep(bool with_rewrite) {
    sweep sw = {.memfs = NULL};
    for (int pass = 0; pass < 2; pass++) {
        vr_manifest *manifest;
        fixture_open(&fx);
        sw.memfs = fx.memfs;
        must(vr_manifest_create(&fx.env, DIR_NAME, &manifest, &err));
        if (with_rewrite) grow(manifest, &fx.env);
        if (with_rewrite) cr_assert(manifest_bytes() > 1u << 20, "it was rewritten too early");
        if (pass == 0) sw.states[0] = state_bytes(vr_manifest_state_of(manifest));
        if (pass == 1) vr_memfs_set_hook(fx.memfs, crash_now, &sw);
        uint64_t first = with_rewrite ? 2 : 0; /* store 1 is there already */
        for (uint64_t i = first; i < (with_rewrite ? 5 : EDITS); i++) {
            size_t step = i - first;
            sw.under_way = step;
            append_edit(manifest, &fx.env, i);
            if (pass == 0) sw.states[step + 1] = state_bytes(vr_manifest_state_of(manifest));
        }
        vr_memfs_set_hook(fx.memfs, NULL, NULL);
        vr_manifest_close(manifest);
        cr_assert(manifest_bytes() < 1u << 20, "it was not rewritten");
        fixture_close(&fx);
    }
    for (size_t i = 0; i <= EDITS; i++) varve_buffer_free(&sw.states[i]);
    cr_assert(sw.found_after > 0 && sw.found_after < sw.checked);
}

Test(manifest_crash, at_every_step_of_appends) {
    run_sweep(false);
}

Test(manifest_crash, at_every_step_of_a_rewrite) {
    run_sweep(true);
}

static void crash_in_create(void *context, uint64_t operation, const char *name, const char *path) {
    size_t *outcomes = context;
    (void)name;
    (void)path;
    for (uint64_t seed = 0; seed < 6; seed++) {
        vr_memfs *clone;
        vr_manifest *manifest = NULL;
        vr_crash_mode mode = seed == 0 ? VR_CRASH_DROP_UNSYNCED : seed == 1 ? VR_CRASH_KEEP_ALL : VR_CRASH_MIXED;
        must(vr_memfs_clone(fx.memfs, mode, seed * 10 + operation, &clone, &err));
        vr_env env = env_of(clone);
        varve_status status = vr_manifest_open(&env, DIR_NAME, false, &manifest, &err);
        cr_assert(status == VARVE_OK || status == VARVE_MISSING);
        outcomes[status == VARVE_OK]++;
        if (status == VARVE_MISSING) must(vr_manifest_create(&env, DIR_NAME, &manifest, &err));
        append_edit(manifest, &env, 0);
        vr_manifest_close(manifest);
        vr_memfs_free(clone);
    }
}

Test(manifest_crash, at_every_step_of_its_creation) {
    size_t outcomes[2] = {0};
    vr_manifest *manifest;
    fixture_open(&fx);
    vr_memfs_set_hook(fx.memfs, crash_in_create, outcomes);
    must(vr_manifest_create(&fx.env, DIR_NAME, &manifest, &err));
    vr_memfs_set_hook(fx.memfs, NULL, NULL);
    cr_assert(outcomes[0] > 0 && outcomes[1] > 0);
    vr_manifest_close(manifest);
    fixture_close(&fx);
}

/* --- Damage ------------------------------------------------------------------------------------------------------------------ */

/* A manifest of three appended edits, cleanly closed. */
static varve_buffer file, expected, before_last;

static void write_small(void) {
    vr_manifest *manifest;
    fixture_open(&fx);
    must(vr_manifest_create(&fx.env, DIR_NAME, &manifest, &err));
    for (uint64_t i = 0; i < 3; i++) {
        varve_buffer_free(&before_last);
        before_last = state_bytes(vr_manifest_state_of(manifest));
        append_edit(manifest, &fx.env, i);
    }
    expected = state_bytes(vr_manifest_state_of(manifest));
    vr_manifest_close(manifest);
    file = file_read(&fx, VR_NAME_MANIFEST);
}

static void free_small(void) {
    varve_buffer_free(&file);
    varve_buffer_free(&expected);
    varve_buffer_free(&before_last);
    fixture_close(&fx);
}

/* Opens what is now in `file`; with a state, it must be one of those allowed. */
static varve_status open_damaged(bool last_may_be_lost) {
    vr_manifest *manifest = NULL;
    file_write(&fx, VR_NAME_MANIFEST, varve_buffer_slice(&file));
    varve_status status = vr_manifest_open(&fx.env, DIR_NAME, true, &manifest, &err);
    if (status != VARVE_OK) {
        cr_assert(status == VARVE_CORRUPTION || status == VARVE_UNSUPPORTED, "%d", status);
        cr_assert_not_null(strstr(err.message, "MANIFEST"));
        return status;
    }
    const vr_manifest_state *state = vr_manifest_state_of(manifest);
    cr_assert(same_state(state, &expected) || (last_may_be_lost && same_state(state, &before_last)), "a wrong state");
    vr_manifest_close(manifest);
    return status;
}

Test(manifest_crash, no_flipped_bit_gives_another_state, .init = write_small, .fini = free_small) {
    size_t noticed = 0;
    for (size_t at = 0; at < file.size; at++) {
        for (int bit = 0; bit < 8; bit++) {
            file.data[at] = (char)(file.data[at] ^ 1 << bit);
            noticed += open_damaged(false) != VARVE_OK;
            file.data[at] = (char)(file.data[at] ^ 1 << bit);
        }
    }
    cr_assert_eq(noticed,
                 (32 + file.size - VR_MANIFEST_PAGE_BYTES) * 8); /* header and records; a slot has its twin, the rest is unused */
}

Test(manifest_crash, no_overwritten_byte_gives_another_state, .init = write_small, .fini = free_small) {
    for (size_t at = 0; at < file.size; at++) {
        char kept = file.data[at];
        file.data[at] = 0;
        open_damaged(false);
        file.data[at] = (char)0xff;
        open_damaged(false);
        file.data[at] = kept;
    }
}

Test(manifest_crash, every_cut_is_noticed, .init = write_small, .fini = free_small) {
    size_t whole = file.size;
    for (file.size = 0; file.size < whole; file.size++) cr_assert_eq(open_damaged(false), VARVE_CORRUPTION, "%zu", file.size);
    must(open_damaged(false));
}

Test(manifest_crash, bytes_added_are_a_torn_write, .init = write_small, .fini = free_small) {
    uint64_t random = 1;
    for (int i = 0; i < 200; i++) {
        size_t whole = file.size;
        for (uint64_t n = 1 + random_below(&random, 60); n > 0; n--) {
            char byte = (char)random_next(&random);
            cr_assert(vr_buffer_append(&file, &byte, 1));
        }
        must(open_damaged(false));
        file.size = whole;
    }
}

/* The last slot was never written: the last record is not committed, and may be lost to damage, but nothing else. */
Test(manifest_crash, an_uncommitted_record_is_whole_or_absent, .init = write_small, .fini = free_small) {
    size_t whole = file.size, lost = 0, kept = 0;
    memset(file.data + 512, 0, 32); /* of generation 4, the newest */
    for (; file.size >= VR_MANIFEST_PAGE_BYTES; file.size--) {
        varve_status status = open_damaged(true);
        kept += status == VARVE_OK && file.size == whole;
        lost += status == VARVE_OK && file.size < whole;
    }
    cr_assert_eq(kept, 1);
    cr_assert(lost > 16);
}
