/* The keys of a trigger that watch over a time: what they give, what is
 * refused, what is warned of. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/strbuf.h"
#include "model/runbook_load.h"

/* A runbook with one trigger; its first problem, 0 or not. */
static struct runbook *load(const char *trigger, struct err *ret_problem)
{
    CLEANUP(strbuf_deinit) struct strbuf text = STRBUF_INIT(65536);
    struct runbook_report report;
    struct runbook *rb = NULL;
    strbuf_addf(&text,
                "name: x\nsteps: [{name: a, command: x}]\n"
                "triggers:\n  - {%s}\n",
                trigger);
    int r = runbook_load(STR("a.yaml"), strbuf_str(&text), &RUNBOOK_DEFAULTS,
                         &rb, &report);
    assert_int_equal(r == 0, rb != NULL);
    *ret_problem = (struct err){0};
    if (report.problems.count != 0) {
        *ret_problem = report.problems.at[0].err;
    }
    runbook_report_deinit(&report);
    return rb;
}

static void they_are_read(void **state)
{
    (void)state;
    struct err problem;
    struct runbook *rb =
        load("type: alert, for: 5m, on_resolve: cancel, "
             "flapping: {changes: 6, within: 1h}, dedup: labels.instance",
             &problem);
    assert_non_null(rb);
    assert_string_equal(problem.message, "");
    const struct trigger_watch *w = &rb->triggers[0].watch;
    assert_int_equal(w->for_ms, 300000);
    assert_int_equal(w->on_resolve, RESOLVE_CANCEL);
    assert_int_equal(w->changes_most, 6);
    assert_int_equal(w->changes_within_ms, 3600000);
    assert_true(trigger_watch_any(w) && trigger_watch_resolves(w));
    runbook_unref(rb);
    rb = load("type: alert, absent: {within: 10m}", &problem);
    assert_int_equal(rb->triggers[0].watch.absent_ms, 600000);
    assert_false(trigger_watch_resolves(&rb->triggers[0].watch));
    runbook_unref(rb);
    rb = load("type: alert, on_resolve: let_finish", &problem);
    assert_true(trigger_watch_resolves(&rb->triggers[0].watch));
    runbook_unref(rb);
    rb = load("type: alert", &problem);
    assert_false(trigger_watch_any(&rb->triggers[0].watch));
    runbook_unref(rb);
}

static void what_makes_no_sense_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *trigger;
        const char *said;
    } cases[] = {
        {"type: alert, absent: {within: 1m}, for: 1m",
         "'absent' and 'for' do not go together"},
        {"type: alert, absent: {within: 1m}, on_resolve: cancel",
         "'absent' and 'on_resolve' do not go together"},
        {"type: alert, absent: {within: 1m}, flapping: {changes: 2, within: "
         "1m}",
         "'absent' and 'flapping' do not go together"},
        {"type: alert, absent: {within: 1m}, count: {at_least: 2, within: 1m}",
         "'absent' and 'count' do not go together"},
        {"type: alert, for: 1m, count: {at_least: 2, within: 1m}",
         "'for' and 'count' do not go together"},
        {"type: alert, flapping: {changes: 2, within: 1m}, count: {at_least: "
         "2, within: 1m}",
         "'flapping' and 'count' do not go together"},
        {"type: alert, state: resolved, for: 1m",
         "'for' is about alerts that fire"},
        {"type: alert, state: any, on_resolve: cancel",
         "'on_resolve' is about alerts that fire"},
        {"type: alert, state: any, flapping: {changes: 2, within: 1m}",
         "'flapping' is about alerts that fire"},
        {"type: alert, on_resolve: run",
         "expected let_finish or cancel, got 'run'"},
        {"type: alert, absent: 5m", "mapping"},
        {"type: alert, absent: {}", "within"},
        {"type: alert, flapping: {changes: 1, within: 1m}", "2"},
        {"type: alert, flapping: {changes: 100, within: 1m}", "99"},
        {"type: alert, for: 31d", "30d"},
        {"type: alert, for: 100ms", "1s"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err problem;
        struct runbook *rb = load(cases[i].trigger, &problem);
        if (rb != NULL || strstr(problem.message, cases[i].said) == NULL) {
            fail_msg("%s: %s", cases[i].trigger, problem.message);
        }
    }
}

static void what_nothing_ends_is_warned_of(void **state)
{
    (void)state;
    struct err problem;
    struct runbook *rb = load("type: metric, for: 5m", &problem);
    assert_non_null(rb);
    assert_string_equal(problem.message,
                        "'for': nothing ends what events of type 'metric' "
                        "begin");
    runbook_unref(rb);
    rb = load("type: metric, for: 5m, when: event.value > 90", &problem);
    assert_non_null(rb);
    assert_null(strstr(problem.message, "nothing ends"));
    runbook_unref(rb);
    /* A key has an effect now. */
    rb = load("type: alert, for: 5m, dedup: labels.instance", &problem);
    assert_string_equal(problem.message, "");
    runbook_unref(rb);
}

/* The subject: the key, or the alert itself. */
static void an_event_has_a_subject(void **state)
{
    (void)state;
    static const struct dedup_part instance[] = {
        {.field = DEDUP_LABEL, .label = {"instance", 8}}};
    struct label labels[] = {{STR("instance"), STR("web-1")}};
    const struct trigger_watch fires = {.for_ms = 1000};
    const struct trigger_watch absent = {.absent_ms = 1000};
    const struct event e = {.fingerprint = STR("abc"), .labels = {labels, 1}};
    const struct event bare = {.fingerprint = STR("abc")};
    struct arena a = ARENA_INIT;
    struct str s = STR_NULL;
    assert_int_equal(trigger_subject(&fires, NULL, 0, &e, &a, &s), 0);
    assert_true(str_eq_c(s, "alert=abc"));
    assert_int_equal(trigger_subject(&fires, instance, 1, &e, &a, &s), 0);
    assert_true(str_eq_c(s, "instance=web-1"));
    assert_int_equal(trigger_subject(&absent, NULL, 0, &e, &a, &s), 0);
    assert_true(str_eq_c(s, ""));
    assert_true(trigger_subject(&fires, instance, 1, &bare, &a, &s) < 0);
    arena_deinit(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_are_read),
        cmocka_unit_test(what_makes_no_sense_is_refused),
        cmocka_unit_test(what_nothing_ends_is_warned_of),
        cmocka_unit_test(an_event_has_a_subject),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
