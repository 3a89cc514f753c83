/* Stored events against a draft: what would start, what is held back and why,
 * and what reality says beside it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/runbook_load.h"
#include "trial/backtest.h"

#define T0_MS 1767614400000ULL
#define MINUTE_MS 60000ULL

static const char draft[] =
    "name: Draft\n"
    "parameters: {unit: {required: true, pattern: '[a-z]+'}}\n"
    "triggers:\n"
    "  - type: alert\n"
    "    labels: {alertname: Down}\n"
    "    dedup: labels.unit\n"
    "    cooldown: 10m\n"
    "    max_runs: {limit: 2, within: 1d}\n"
    "    parameters: {unit: '${{ event.labels.unit }}'}\n"
    "concurrency: 1\n"
    "steps: [{name: s, command: 'true'}]\n";

struct bench {
    struct runbook *rb;
    struct backtest *b;
};

static void set_up(struct bench *t, uint64_t step_ms)
{
    struct runbook_report report;
    assert_int_equal(runbook_load(STR("draft.yaml"), str_c(draft),
                                  &RUNBOOK_DEFAULTS, &t->rb, &report),
                     0);
    runbook_report_deinit(&report);
    const struct backtest_options options = {.rb = t->rb, .step_ms = step_ms};
    t->b = backtest_new(&options);
}

static void tear_down(struct bench *t)
{
    backtest_free(t->b);
    runbook_unref(t->rb);
}

static struct id event_id(uint8_t number)
{
    return (struct id){.bytes = {[15] = number}};
}

static void give(struct bench *t, uint8_t number, uint64_t minute,
                 const char *name, const char *unit)
{
    struct label labels[] = {{STR("alertname"), str_c(name)},
                             {STR("unit"), str_c(unit)}};
    const struct event e = {.id = event_id(number),
                            .received_ms = T0_MS + minute * MINUTE_MS,
                            .type = STR("alert"),
                            .state = EVENT_FIRING,
                            .labels = {labels, unit[0] == '\0' ? 1 : 2},
                            .body = STR("{}")};
    backtest_event(t->b, &e);
}

static void starts_and_holds_are_counted(void **state)
{
    struct bench t = {0};
    (void)state;
    set_up(&t, 1000);
    give(&t, 1, 0, "Up", "a");
    give(&t, 2, 1, "Down", "a");   /* starts */
    give(&t, 3, 5, "Down", "a");   /* cooldown */
    give(&t, 4, 5, "Down", "b");   /* starts */
    give(&t, 5, 11, "Down", "a");  /* starts: ten minutes have passed */
    give(&t, 6, 60, "Down", "a");  /* max_runs */
    give(&t, 7, 61, "Down", "A1"); /* starts, and fails at once */
    give(&t, 8, 62, "Down", "");   /* has no key */
    const struct backtest_report *r = backtest_finish(t.b);
    assert_int_equal(r->events, 8);
    assert_int_equal(r->matched, 7);
    assert_int_equal(r->started, 4);
    assert_int_equal(r->refused, 1);
    assert_int_equal(r->held, 3);
    assert_false(r->endless);
    assert_int_equal(r->first_ms, T0_MS);
    assert_int_equal(r->last_ms, T0_MS + 62 * MINUTE_MS);
    assert_int_equal(r->starts.count, 4);
    assert_int_equal(r->starts.at[2].at_ms, T0_MS + 11 * MINUTE_MS);
    assert_true(id_eq(r->starts.at[2].event_id, event_id(5)));
    assert_true(str_eq_c(r->starts.at[2].key, "unit=a"));
    assert_true(str_eq_c(r->starts.at[2].parameters, "{\"unit\":\"a\"}"));
    assert_true(str_eq_c(r->starts.at[2].error, ""));
    assert_true(r->starts.at[3].error.len != 0);
    tear_down(&t);
}

static void reasons_and_keys_have_numbers(void **state)
{
    struct bench t = {0};
    (void)state;
    set_up(&t, 1000);
    for (uint8_t i = 0; i < 60; i++) {
        give(&t, i, i, "Down", i % 2 == 0 ? "a" : "b");
    }
    const struct backtest_report *r = backtest_finish(t.b);
    assert_int_equal(r->started, 4);
    assert_int_equal(r->held, 56);
    assert_int_equal(r->reasons.count, 2);
    assert_true(str_eq_c(r->reasons.at[0].guard, "cooldown"));
    assert_true(str_eq_c(r->reasons.at[1].guard, "max_runs"));
    assert_int_equal(r->reasons.at[0].count + r->reasons.at[1].count, 56);
    assert_true(id_eq(r->reasons.at[0].event_id, event_id(2)));
    assert_int_equal(r->keys.count, 2);
    assert_true(str_eq_c(r->keys.at[1].key, "unit=b"));
    assert_int_equal(r->keys.at[1].starts, 2);
    assert_int_equal(r->keys.at[1].held, 28);
    assert_int_equal(r->keys.at[1].last_ms, T0_MS + 59 * MINUTE_MS);
    tear_down(&t);
}

/* One at a time, an hour each: those behind it wait. */
static void concurrency_is_kept(void **state)
{
    static const char *const units[] = {"a", "b", "c"};
    struct bench t = {0};
    (void)state;
    set_up(&t, 59000);
    for (uint8_t i = 0; i < 3; i++) {
        give(&t, i, 0, "Down", units[i]);
    }
    give(&t, 9, 10, "Up", "a");
    const struct backtest_report *r = backtest_finish(t.b);
    assert_int_equal(r->started, 3);
    assert_int_equal(r->busiest, 3);
    tear_down(&t);
}

static void reality_stands_beside_it(void **state)
{
    struct bench t = {0};
    (void)state;
    set_up(&t, 1000);
    backtest_did_run(t.b, event_id(2));
    give(&t, 1, 0, "Down", "a");
    give(&t, 2, 1, "Down", "a"); /* held back, and did run */
    give(&t, 3, 2, "Down", "b");
    backtest_did_run(t.b, event_id(3));
    backtest_did_run(t.b, event_id(7));
    const struct backtest_report *r = backtest_finish(t.b);
    assert_int_equal(r->both, 1);
    assert_int_equal(r->only_then, 2);
    assert_int_equal(r->only_now, 1);
    tear_down(&t);
}

static void nothing_is_a_report_too(void **state)
{
    struct bench t = {0};
    (void)state;
    set_up(&t, 1000);
    const struct backtest_report *r = backtest_finish(t.b);
    assert_int_equal(r->events, 0);
    assert_int_equal(r->started, 0);
    tear_down(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_and_holds_are_counted),
        cmocka_unit_test(reasons_and_keys_have_numbers),
        cmocka_unit_test(concurrency_is_kept),
        cmocka_unit_test(reality_stands_beside_it),
        cmocka_unit_test(nothing_is_a_report_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
