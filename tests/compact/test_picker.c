/*
 * test_picker.c - which compaction is due, over hand-made shapes without files, and over long random histories.
 */
#include "compact_fixture.h"

#include "compact/shape.h"

static fixture fx;
static vr_version *version;
static vr_edit edit;
static vr_plan plan;
static const vr_shape_options options = {.run_count_max = 4, .fanout = 8, .base_bytes = 1000, .file_bytes = 100};

static void set_up(void) {
    fixture_open(&fx);
    vr_edit_init(&edit, &fx.env.mem);
    version = empty_version(&fx);
}

static void tear_down(void) {
    vr_version_unref(version);
    vr_edit_free(&edit);
    fixture_close(&fx);
}

TestSuite(picker, .init = set_up, .fini = tear_down);

static void apply(void) {
    version = applied(&fx, version, &edit);
}

static uint64_t number_of(int side, size_t i) {
    cr_assert(i < plan.input_count[side]);
    return plan.inputs[side][i]->number;
}

/* --- Shape ------------------------------------------------------------------------------------------------------------------- */

static uint32_t base_of(uint64_t last_bytes) {
    vr_shape shape;
    vr_version *sized = empty_version(&fx);
    if (last_bytes > 0) add_shape(&edit, 6, 1, 0, 9, last_bytes);
    sized = applied(&fx, sized, &edit);
    vr_shape_of(sized, &options, &shape);
    vr_version_unref(sized);
    return shape.base;
}

Test(picker, the_base_level_rises_as_the_last_level_grows) {
    cr_assert_eq(base_of(0), 6);
    cr_assert_eq(base_of(1), 6);
    cr_assert_eq(base_of(7999), 6);
    cr_assert_eq(base_of(8000), 5);
    cr_assert_eq(base_of(64000), 4);
    cr_assert_eq(base_of(UINT64_C(1000) << 15), 1);
    cr_assert_eq(base_of(UINT64_C(1) << 50), 1);
}

Test(picker, targets_fall_by_the_fanout) {
    vr_shape shape;
    add_shape(&edit, 6, 1, 0, 9, 64000);
    add_shape(&edit, 5, 2, 0, 9, 10);
    apply();
    vr_shape_of(version, &options, &shape);
    cr_assert(shape.targets[6] == 64000 && shape.targets[5] == 8000 && shape.targets[4] == 1000 && shape.targets[3] == 0);
    cr_assert(shape.base == 4 && shape.first == 5);
}

Test(picker, spans_know_the_empty_key) {
    vr_span span = {.any = false};
    size_t start;
    add_shape(&edit, 1, 1, 5, 9, 10)->table.min_key.size = 0;
    edit.fields[0].table.max_key.size = 0;
    add_shape(&edit, 1, 2, 5, 9, 10);
    apply();
    cr_assert_eq(vr_span_overlap(&span, &version->levels[1], &start), 0, "nothing overlaps nothing");
    vr_span_add(&span, version->levels[1].files[0]);
    cr_assert_eq(vr_span_overlap(&span, &version->levels[1], &start), 1);
    vr_span_add(&span, version->levels[1].files[1]);
    cr_assert_eq(vr_span_overlap(&span, &version->levels[1], &start), 2);
    cr_assert_eq(start, 0);
}

/* --- Level 0 ----------------------------------------------------------------------------------------------------------------- */

Test(picker, nothing_is_due_in_a_small_shape) {
    vr_pick(version, &options, &plan);
    cr_assert_not(plan.due);
    for (uint64_t n = 1; n <= 3; n++) add_shape(&edit, 0, n, 0, 99, 50);
    add_shape(&edit, 6, 4, 0, 99, 50);
    apply();
    vr_pick(version, &options, &plan);
    cr_assert_not(plan.due);
    cr_assert_eq(vr_debt(version, &options), 0);
}

Test(picker, all_runs_are_merged_into_what_they_overlap) {
    for (uint64_t n = 1; n <= 4; n++) add_shape(&edit, 0, n, 20, 49, 50);
    add_shape(&edit, 6, 5, 0, 19, 10);
    add_shape(&edit, 6, 6, 30, 39, 20);
    add_shape(&edit, 6, 7, 49, 60, 40);
    add_shape(&edit, 6, 8, 61, 70, 80);
    apply();
    vr_pick(version, &options, &plan);
    cr_assert(plan.due && !plan.move && plan.last && plan.from == 0 && plan.to == 6);
    cr_assert_eq(plan.input_count[0], 4);
    cr_assert(plan.input_count[1] == 2 && number_of(1, 0) == 6 && number_of(1, 1) == 7);
    cr_assert_eq(vr_debt(version, &options), 4 * 50 + 20 + 40);
}

Test(picker, runs_stop_at_the_first_level_with_files) {
    for (uint64_t n = 1; n <= 4; n++) add_shape(&edit, 0, n, 0, 99, 50);
    add_shape(&edit, 3, 9, 200, 210, 1);
    apply();
    vr_pick_all(version, &options, &plan);
    cr_assert(plan.due && plan.from == 0 && plan.to == 3 && plan.input_count[1] == 0 && plan.last);
    vr_pick(version, &options, &plan);
    cr_assert(plan.from == 3 || plan.to == 3, "older data of the range must never be passed");
}

Test(picker, tombstones_stay_while_anything_lies_below) {
    for (uint64_t n = 1; n <= 4; n++) add_shape(&edit, 0, n, 20, 49, 50);
    add_shape(&edit, 5, 5, 0, 19, 1);
    add_shape(&edit, 6, 6, 49, 60, 8000);
    apply();
    vr_pick(version, &options, &plan);
    cr_assert(plan.due && plan.to == 5 && !plan.last);
}

Test(picker, of_too_many_runs_the_oldest_are_taken) {
    for (uint64_t n = 1; n <= 600; n++) add_shape(&edit, 0, n, 0, 99, 50);
    apply();
    vr_pick(version, &options, &plan);
    cr_assert(plan.due && plan.input_count[0] == VR_PLAN_FILES_MAX);
    for (size_t i = 0; i < VR_PLAN_FILES_MAX; i++) cr_assert(number_of(0, i) <= VR_PLAN_FILES_MAX);
}

/* Files of one key each at a level: more than a plan holds. */
static void add_many(uint32_t level, unsigned from, unsigned count) {
    for (unsigned i = 0; i < count; i++) add_shape(&edit, level, 1000 * level + i, from + i, from + i, 1);
}

Test(picker, newer_runs_wait_where_together_they_overlap_too_much) {
    add_many(6, 0, 600);
    for (uint64_t n = 1; n <= 3; n++) add_shape(&edit, 0, n, 0, 99, 50);
    add_shape(&edit, 0, 4, 0, 599, 50);
    apply();
    vr_pick(version, &options, &plan);
    cr_assert(plan.due && plan.to == 6 && plan.input_count[0] == 3 && plan.input_count[1] == 100);
    for (size_t i = 0; i < 3; i++) cr_assert(number_of(0, i) <= 3);
}

Test(picker, runs_that_overlap_too_much_stop_one_level_higher) {
    add_many(6, 0, 600);
    for (uint64_t n = 1; n <= 4; n++) add_shape(&edit, 0, n, 0, 599, 50);
    apply();
    vr_pick(version, &options, &plan);
    cr_assert(plan.due && plan.to == 5 && plan.input_count[0] == 4 && plan.input_count[1] == 0 && !plan.last);
}

Test(picker, room_is_made_where_there_is_no_higher_level) {
    add_many(1, 0, 600);
    for (uint64_t n = 1; n <= 4; n++) add_shape(&edit, 0, n, 0, 599, 50);
    apply();
    vr_pick_all(version, &options, &plan);
    cr_assert(plan.due && plan.from == 1 && plan.to == 2 && plan.input_count[0] == 1);
}

Test(picker, a_file_that_spans_too_much_is_cut_up_within_its_level) {
    add_many(6, 0, 600);
    add_shape(&edit, 5, 1, 0, 599, 300);
    apply();
    vr_pick_all(version, &options, &plan);
    cr_assert(plan.due && plan.from == 5 && plan.to == 5 && plan.input_count[0] == 1 && plan.input_count[1] == 0);
    cr_assert_eq(plan.cut_entries, 201); /* of 600: three files */
    cr_assert_not(plan.last || plan.move);
}

/* --- Deeper levels ----------------------------------------------------------------------------------------------------------- */

/* Level 5 over its target of 1000. */
static void add_full_level(void) {
    add_shape(&edit, 6, 61, 0, 39, 6000);
    add_shape(&edit, 6, 62, 40, 99, 2000);
    add_shape(&edit, 5, 51, 0, 19, 600);
    add_shape(&edit, 5, 52, 45, 79, 700);
}

Test(picker, the_file_with_the_least_overlap_goes_down) {
    add_full_level();
    apply();
    vr_pick(version, &options, &plan);
    cr_assert(plan.due && !plan.move && plan.from == 5 && plan.to == 6 && plan.last);
    cr_assert(plan.input_count[0] == 1 && number_of(0, 0) == 52);
    cr_assert(plan.input_count[1] == 1 && number_of(1, 0) == 62);
    cr_assert(vr_debt(version, &options) > 300);
}

Test(picker, a_file_without_overlap_is_moved) {
    add_full_level();
    add_shape(&edit, 5, 53, 120, 140, 100);
    apply();
    vr_pick(version, &options, &plan);
    cr_assert(plan.due && plan.move && plan.from == 5 && plan.to == 6 && number_of(0, 0) == 53 && plan.input_count[1] == 0);
}

Test(picker, a_file_whose_tombstones_can_go_is_rewritten) {
    add_full_level();
    add_shape(&edit, 5, 53, 120, 140, 100)->table.tombstones = 1;
    apply();
    vr_pick(version, &options, &plan);
    cr_assert(plan.due && !plan.move && plan.last && number_of(0, 0) == 53);
}

Test(picker, data_above_the_base_level_goes_down) {
    add_shape(&edit, 2, 5, 0, 9, 10);
    apply();
    vr_pick(version, &options, &plan);
    cr_assert(plan.due && plan.move && plan.from == 2 && plan.to == 3);
}

Test(picker, the_most_urgent_level_is_first) {
    for (uint64_t n = 1; n <= 4; n++) add_shape(&edit, 0, n, 0, 99, 50);
    add_full_level();
    apply();
    vr_pick(version, &options, &plan);
    cr_assert_eq(plan.from, 5, "1300 of 1000 against 4 of 4");
    for (uint64_t n = 5; n <= 6; n++) add_shape(&edit, 0, n, 0, 99, 50);
    apply();
    vr_pick(version, &options, &plan);
    cr_assert_eq(plan.from, 0, "1300 of 1000 against 6 of 4");
}

/* --- Everything -------------------------------------------------------------------------------------------------------------- */

Test(picker, one_run_is_not_compacted_again) {
    vr_pick_all(version, &options, &plan);
    cr_assert_not(plan.due);
    add_shape(&edit, 6, 1, 0, 9, 10);
    add_shape(&edit, 6, 2, 10, 19, 10);
    apply();
    vr_pick_all(version, &options, &plan);
    cr_assert_not(plan.due);
}

Test(picker, a_single_run_of_level_0_is_rewritten_into_the_last_level) {
    add_shape(&edit, 0, 1, 0, 9, 10);
    apply();
    vr_pick_all(version, &options, &plan);
    cr_assert(plan.due && !plan.move && plan.to == 6 && plan.last);
}

Test(picker, all_takes_a_level_in_groups_that_fit) {
    add_many(5, 0, 700);
    add_many(6, 0, 700);
    apply();
    vr_pick_all(version, &options, &plan);
    cr_assert(plan.due && plan.from == 5 && plan.to == 6);
    cr_assert(plan.input_count[0] == VR_PLAN_FILES_MAX && plan.input_count[1] == VR_PLAN_FILES_MAX);
}

/* --- Histories --------------------------------------------------------------------------------------------------------------- */

static bool is_input(const vr_table_file *file) {
    for (int side = 0; side < 2; side++) {
        for (size_t i = 0; i < plan.input_count[side]; i++) {
            if (plan.inputs[side][i] == file) return true;
        }
    }
    return false;
}

/* Whether file overlaps the range of keys that all inputs span: outputs may hold any of it. */
static bool touches_span(const vr_table_file *file) {
    vr_span span = {.any = false};
    for (int side = 0; side < 2; side++) {
        for (size_t i = 0; i < plan.input_count[side]; i++) vr_span_add(&span, plan.inputs[side][i]);
    }
    return vr_compare(varve_buffer_slice(&file->summary.min_key), span.greatest) <= 0 &&
           vr_compare(span.least, varve_buffer_slice(&file->summary.max_key)) <= 0;
}

/* A plan must keep every key's versions in order of age, and leave the output level without overlap. */
static void check_plan(void) {
    bool below = false;
    for (uint32_t l = 0; l < VR_LEVELS; l++) {
        for (size_t i = 0; i < version->levels[l].count; i++) {
            const vr_table_file *file = version->levels[l].files[i];
            if (is_input(file)) continue;
            if (l > plan.to) below |= touches_span(file);
            if (l == plan.to && plan.to != plan.from) cr_assert_not(touches_span(file), "the output would overlap it");
            if (l > plan.from && l < plan.to) cr_assert_not(touches_span(file), "older data would be passed");
            for (size_t k = 0; k < plan.input_count[0] && l == 0 && plan.from == 0; k++) {
                cr_assert(file->number > plan.inputs[0][k]->number, "a newer run would go below an older one");
            }
        }
    }
    cr_assert_eq(plan.last, !below);
    if (plan.move) cr_assert_eq(plan.input_count[1], 0);
    for (size_t i = 0; i < plan.input_count[1]; i++) {
        bool before = true, behind = true; /* of all inputs of the other side */
        for (size_t k = 0; k < plan.input_count[0]; k++) {
            const vr_table_summary *upper = &plan.inputs[0][k]->summary, *lower = &plan.inputs[1][i]->summary;
            before &= vr_compare(varve_buffer_slice(&lower->max_key), varve_buffer_slice(&upper->min_key)) < 0;
            behind &= vr_compare(varve_buffer_slice(&lower->min_key), varve_buffer_slice(&upper->max_key)) > 0;
        }
        cr_assert_not(before || behind, "it need not be rewritten");
    }
}

static unsigned key_number(const varve_buffer *key) {
    unsigned number = 0;
    for (size_t i = 0; i < key->size; i++) number = number * 10 + (unsigned)(key->data[i] - '0');
    return number;
}

/* Does to the shape what the job would do: outputs of options.file_bytes over the span. */
static void carry_out(void) {
    vr_span span = {.any = false};
    uint64_t bytes = 0;
    for (int side = 0; side < 2; side++) {
        for (size_t i = 0; i < plan.input_count[side]; i++) {
            vr_span_add(&span, plan.inputs[side][i]);
            bytes += plan.inputs[side][i]->summary.file_bytes;
            must(vr_edit_remove_table(&edit, STORE, side == 0 ? plan.from : plan.to, plan.inputs[side][i]->number, NULL));
        }
    }
    if (plan.move) {
        must(vr_edit_add_table(&edit, STORE, plan.to, plan.inputs[0][0]->number, &plan.inputs[0][0]->summary, NULL));
        apply();
        return;
    }
    varve_buffer least = {.data = (char *)span.least.data, .size = span.least.size};
    varve_buffer greatest = {.data = (char *)span.greatest.data, .size = span.greatest.size};
    unsigned from = key_number(&least), to = key_number(&greatest), width = to - from + 1;
    uint64_t pieces = plan.cut_entries ? width / plan.cut_entries + 1 : bytes / options.file_bytes + 1;
    if (pieces > width) pieces = width;
    for (uint64_t i = 0; i < pieces; i++) {
        add_shape(&edit, plan.to, ++fx.next_file, from + (unsigned)(width * i / pieces),
                  from + (unsigned)(width * (i + 1) / pieces) - 1, bytes / pieces + 1);
    }
    apply();
}

/* Flushes of random width with compactions after some; at the end everything settles. */
static void live(uint64_t seed, unsigned keys, bool all_at_end) {
    size_t compactions = 0;
    for (int round = 0; round < 200; round++) {
        unsigned from = (unsigned)random_below(&seed, keys), width = (unsigned)random_below(&seed, keys - from) + 1;
        add_shape(&edit, 0, ++fx.next_file, from, from + width - 1, 20 + random_below(&seed, 300));
        apply();
        for (uint64_t n = random_below(&seed, 4); n > 0; n--) {
            vr_pick(version, &options, &plan);
            if (!plan.due) break;
            check_plan();
            carry_out();
            compactions++;
        }
    }
    for (int steps = 0;; steps++) {
        (all_at_end ? vr_pick_all : vr_pick)(version, &options, &plan);
        if (!plan.due) break;
        cr_assert(steps < 5000, "it does not settle");
        check_plan();
        carry_out();
    }
    cr_assert(compactions > 20);
    cr_assert_eq(vr_debt(version, &options), 0);
    cr_assert(!all_at_end || (version->levels[0].count == 0 && version->deep_levels == 1));
}

Test(picker, every_history_keeps_the_order_of_age_and_settles) {
    for (uint64_t seed = 1; seed <= 12; seed++) {
        live(seed, seed % 2 ? 1000 : 100000, seed % 3 == 0);
        vr_version_unref(version);
        version = empty_version(&fx);
    }
}

/* --- Throttle ---------------------------------------------------------------------------------------------------------------- */

Test(picker, writes_are_slowed_smoothly) {
    const uint64_t rate = 1000000, bytes = 1000; /* 1 ms at the background's rate */
    cr_assert_eq(vr_throttle_ns(0, 100, 200, bytes, rate), 0);
    cr_assert_eq(vr_throttle_ns(100, 100, 200, bytes, rate), 0);
    cr_assert_eq(vr_throttle_ns(200, 100, 200, bytes, rate), 1000000);
    cr_assert_eq(vr_throttle_ns(150, 100, 200, bytes, rate), 250000);
    cr_assert_eq(vr_throttle_ns(300, 100, 200, bytes, rate), 4000000);
    cr_assert_eq(vr_throttle_ns(UINT64_MAX, 100, 200, bytes, rate), 4000000);
    cr_assert_eq(vr_throttle_ns(150, 100, 100, bytes, rate), 4000000);
    cr_assert_eq(vr_throttle_ns(150, 100, 200, bytes, 0), 0);
    uint64_t before = 0;
    for (uint64_t debt = 100; debt < 310; debt++) {
        uint64_t now = vr_throttle_ns(debt, 100, 200, bytes, rate);
        cr_assert(now >= before && now - before < 50000);
        before = now;
    }
}
