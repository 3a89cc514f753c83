/* The numbers of a trigger's limits, and what they hold back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "explain/explain.h"

#define NOW_MS 1795465700000

static const struct label label = {{"instance", 8}, {"web-1", 5}};
static const struct event event = {
    .labels = {(struct label *)(uintptr_t)&label, 1}};

static struct dedup_part part = {.field = DEDUP_LABEL,
                                 .label = {"instance", 8}};

static const struct trigger trigger = {
    .dedup = &part,
    .dedup_count = 1,
    .limits = {.cooldown_ms = 1800000,
               .count_least = 3,
               .count_within_ms = 300000,
               .runs_most = 2,
               .runs_within_ms = 3600000},
};

static void expect(const struct explain_guard *g, const char *name,
                   bool holds_back, uint64_t until_ms, const char *text)
{
    assert_string_equal(g->name, name);
    assert_int_equal(g->holds_back, holds_back);
    assert_int_equal(g->until_ms, until_ms);
    assert_true(str_eq_c(g->text, text));
}

static void without_memory_only_the_count_holds(void **state)
{
    struct arena a = ARENA_INIT;
    struct explain_guard g[EXPLAIN_GUARDS_MAX];
    (void)state;
    assert_int_equal(explain_guards(&trigger, &event, NULL, NOW_MS, &a, g), 3);
    expect(&g[0], "cooldown", false, 0,
           "30m between starts; none is remembered");
    expect(&g[1], "max_runs", false, 0,
           "0 of 2 workflows were started within 1h");
    expect(&g[2], "count", true, 0, "0 of 3 events have come within 5m");
    arena_deinit(&a);
}

static void numbers_are_those_of_now(void **state)
{
    const uint64_t starts[] = {NOW_MS - 1500000, NOW_MS - 720500};
    const uint64_t events[] = {NOW_MS - 200000, NOW_MS - 1000};
    const struct memory_row row = {
        .last_workflow = id_floor(NOW_MS),
        .starts_ms = starts,
        .start_count = 2,
        .events_ms = events,
        .event_count = 2,
    };
    struct arena a = ARENA_INIT;
    struct explain_guard g[EXPLAIN_GUARDS_MAX];
    char id[ID_TEXT_SIZE];
    char text[128];
    (void)state;
    id_format(row.last_workflow, ID_PREFIX_WORKFLOW, id);
    (void)snprintf(text, sizeof(text),
                   "12m of 30m have passed since %s started", id);
    assert_int_equal(explain_guards(&trigger, &event, &row, NOW_MS, &a, g), 3);
    expect(&g[0], "cooldown", true, starts[1] + 1800000, text);
    expect(&g[1], "max_runs", true, starts[0] + 3600000,
           "2 of 2 workflows were started within 1h");
    expect(&g[2], "count", false, 0, "2 of 3 events have come within 5m");
    assert_int_equal(
        explain_guards(&trigger, &event, &row, NOW_MS + 3600000, &a, g), 3);
    assert_false(g[0].holds_back || g[1].holds_back);
    assert_true(g[2].holds_back);
    arena_deinit(&a);
}

static void a_missing_key_holds_back(void **state)
{
    static const struct event nothing;
    static const struct trigger free_one;
    struct arena a = ARENA_INIT;
    struct explain_guard g[EXPLAIN_GUARDS_MAX];
    (void)state;
    assert_int_equal(explain_guards(&trigger, &nothing, NULL, NOW_MS, &a, g),
                     1);
    expect(&g[0], "dedup", true, 0,
           "the event has no labels.instance, which dedup asks for");
    assert_int_equal(explain_guards(&free_one, &nothing, NULL, NOW_MS, &a, g),
                     0);
    arena_deinit(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_memory_only_the_count_holds),
        cmocka_unit_test(numbers_are_those_of_now),
        cmocka_unit_test(a_missing_key_holds_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
