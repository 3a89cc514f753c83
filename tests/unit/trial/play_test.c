/* Tests of runbooks, played: those that hold pass, and each expectation that
 * does not hold is told with what came instead. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/strbuf.h"
#include "model/runbook_load.h"
#include "trial/play.h"

#define RUNBOOK                                                                \
    "name: Web\n"                                                              \
    "parameters:\n"                                                            \
    "  unit: {type: string, required: true}\n"                                 \
    "  wait: {type: duration}\n"                                               \
    "triggers:\n"                                                              \
    "  - type: alert\n"                                                        \
    "    labels: {alertname: Down}\n"                                          \
    "    dedup: labels.unit\n"                                                 \
    "    cooldown: 30m\n"                                                      \
    "    parameters: {unit: '${{ event.labels.unit }}'}\n"                     \
    "concurrency: 1\n"                                                         \
    "steps:\n"                                                                 \
    "  - {name: Restart, id: restart, idempotent: true, timeout: 1m, retry: "  \
    "1,\n"                                                                     \
    "     argv: [systemctl, restart, '${{ parameters.unit }}'],\n"             \
    "     env: {MODE: 'x ${{ parameters.unit }}'}}\n"                          \
    "  - {name: Look, command: 'true', retry: {attempts: 3, backoff: 2s}}\n"   \
    "tests:\n"                                                                 \
    "  - name: t\n"

#define DOWN "{type: alert, labels: {alertname: Down, unit: a b}}"

static struct runbook *load(const char *test)
{
    struct strbuf text = STRBUF_INIT(64 * 1024);
    struct runbook_report report;
    struct runbook *rb = NULL;
    strbuf_addc(&text, RUNBOOK);
    strbuf_addc(&text, test);
    if (runbook_load(STR("a.yaml"), strbuf_str(&text), &RUNBOOK_DEFAULTS, &rb,
                     &report) < 0) {
        fail_msg("%s: %s", report.problems.at[0].err.field,
                 report.problems.at[0].err.message);
    }
    runbook_report_deinit(&report);
    strbuf_deinit(&text);
    return rb;
}

/* Plays a test; the differences as "what: expected, got; ...". */
static void play(const char *test, const char *differences)
{
    struct runbook *rb = load(test);
    struct play_verdict v;
    struct strbuf told = STRBUF_INIT(64 * 1024);
    play_test(rb, &rb->tests[0], NULL, &v);
    VEC_EACH (&v.differences, i) {
        const struct play_difference *d = &v.differences.at[i];
        strbuf_addf(&told, "%s%.*s: %.*s, %.*s", i == 0 ? "" : "; ",
                    STR_ARG(d->what), STR_ARG(d->expected), STR_ARG(d->got));
    }
    assert_true(v.story.count != 0);
    assert_string_equal(told.at != NULL ? told.at : "", differences);
    strbuf_deinit(&told);
    play_verdict_deinit(&v);
    runbook_unref(rb);
}

static void what_holds_passes(void **state)
{
    (void)state;
    play("    event: " DOWN "\n"
         "    mocks: {Look: {times: [{exit: 3}, {exit: 0, after: 5s}]}}\n"
         "    expect: {matched: true, started: 1, ran: [restart, Look],\n"
         "      attempts: {restart: 1, Look: 2}, status: succeeded,\n"
         "      result: unverified, skipped: [],\n"
         "      parameters: {unit: a b, wait: null},\n"
         "      argv: {Restart: [systemctl, restart, a b],\n"
         "             Look: [/bin/sh, -c, 'true']},\n"
         "      env: {restart: {MODE: x a b, ADP_PARAM_UNIT: a b,\n"
         "                      ADP_PARAM_WAIT: null}}}\n",
         "");
    play("    parameters: {unit: x, wait: 2m}\n"
         "    mocks: {restart: {exit: 4}}\n"
         "    expect: {status: failed, error: status 4, skipped: [Look],\n"
         "             parameters: {wait: 120}, started: 1}\n",
         "");
    play("    event: {type: alert, labels: {alertname: Up}}\n"
         "    expect: {matched: false, started: 0}\n",
         "");
}

static void each_expectation_is_looked_at(void **state)
{
    static const struct {
        const char *expect;
        const char *told;
    } rows[] = {
        {"matched: false", "matched: false, true"},
        {"started: 2", "started: 2, 1"},
        {"held_back: cooldown", "held_back: cooldown, nothing"},
        {"ran: [Look, restart]", "ran: [Look, restart], [restart, Look]"},
        {"ran: []", "ran: [], [restart, Look]"},
        {"skipped: [Look]", "skipped: that step Look does not run, it ran"},
        {"attempts: {Look: 3}", "attempts of Look: 3, 1"},
        {"status: failed", "status: failed, succeeded"},
        {"result: verified", "result: verified, unverified"},
        {"error: x", "error: x, nothing"},
        {"parameters: {unit: b}", "parameter unit: b, a b"},
        {"parameters: {unit: null}", "parameter unit: no value, a b"},
        {"parameters: {wait: 1m}", "parameter wait: 60, no value"},
        {"argv: {restart: [systemctl, a b]}",
         "argv of restart: [\"systemctl\", \"a b\"], [\"systemctl\", "
         "\"restart\", \"a b\"]"},
        {"env: {restart: {MODE: y}}", "variable MODE of restart: y, x a b"},
        {"env: {restart: {MODE: null}}",
         "variable MODE of restart: that it is not set, x a b"},
        {"env: {restart: {MORE: y}}",
         "variable MORE of restart: y, it is not set"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char test[1024];
        (void)snprintf(test, sizeof(test),
                       "    event: " DOWN "\n    expect: {%s}\n",
                       rows[i].expect);
        play(test, rows[i].told);
    }
}

static void what_never_was_is_told(void **state)
{
    (void)state;
    play("    event: {type: alert, labels: {alertname: Up}}\n"
         "    expect: {matched: true, status: succeeded}\n",
         "matched: true, false; workflow: that one is started, none is "
         "started");
    play("    parameters: {unit: a}\n"
         "    mocks: {restart: {exit: 1}}\n"
         "    expect: {argv: {Look: [a]}, env: {Look: {A: null}}}\n",
         "argv of Look: [\"a\"], it was not run; variable A of Look: that it "
         "is not set, the step was not run");
}

/* The guards of the engine hold in tests, in virtual time. */
static void guards_hold_back(void **state)
{
    (void)state;
    play("    event: [" DOWN ", {at: 29m59s, type: alert, labels: {alertname: "
         "Down, unit: a b}}]\n"
         "    expect: {started: 1, held_back: cooldown}\n",
         "");
    play("    event: [" DOWN ", {at: 30m, type: alert, labels: {alertname: "
         "Down, unit: a b}}]\n"
         "    expect: {started: 2, held_back: cooldown}\n",
         "held_back: cooldown, nothing");
    /* One after another: `until` is before the second has begun. */
    play("    event: [" DOWN ", {at: 1s, type: alert, labels: {alertname: "
         "Down, unit: c}}]\n"
         "    mocks: {restart: {after: 30s}}\n"
         "    until: 20s\n"
         "    expect: {started: 2, status: queued, ran: []}\n",
         "");
    play("    event: {type: alert, labels: {alertname: Down}}\n"
         "    expect: {matched: true, started: 0, held_back: no labels.unit}\n",
         "");
}

static void time_limits_hold(void **state)
{
    (void)state;
    play("    parameters: {unit: a}\n"
         "    mocks: {restart: {hangs: true}}\n"
         "    expect: {status: failed, error: timed out after 60 s}\n",
         "");
    play("    parameters: {unit: a}\n"
         "    mocks: {restart: {after: 61s}}\n"
         "    expect: {status: failed, error: timed out after 60 s}\n",
         "");
    play("    parameters: {unit: a}\n"
         "    mocks: {restart: {after: 60s}}\n"
         "    until: 59s\n"
         "    expect: {status: running, ran: [restart]}\n",
         "");
}

/* What the executor would refuse is refused. */
static void what_cannot_be_rendered_is_refused(void **state)
{
    struct strbuf text = STRBUF_INIT(64 * 1024);
    (void)state;
    struct runbook_report report;
    struct runbook *rb = NULL;
    struct play_verdict v;
    /* 70 times 1 KiB is more than one argument may have. */
    strbuf_addc(&text, "name: a\nparameters: {b: {required: true}}\n"
                       "steps: [{name: s, argv: [a, \"");
    for (unsigned i = 0; i < 70; i++) {
        strbuf_addc(&text, "${{ parameters.b }}");
    }
    strbuf_addc(&text, "\"]}]\ntests: [{name: t, expect: {status: failed, "
                       "error: could not be started}, parameters: {b: ");
    for (unsigned i = 0; i < 1024; i++) {
        strbuf_addch(&text, 'x');
    }
    strbuf_addc(&text, "}}]\n");
    assert_int_equal(runbook_load(STR("a.yaml"), strbuf_str(&text),
                                  &RUNBOOK_DEFAULTS, &rb, &report),
                     0);
    play_test(rb, &rb->tests[0], NULL, &v);
    assert_int_equal(v.differences.count, 0);
    play_verdict_deinit(&v);
    runbook_report_deinit(&report);
    runbook_unref(rb);
    strbuf_deinit(&text);
}

static void play_whole(const char *text)
{
    struct runbook_report report;
    struct runbook *rb = NULL;
    assert_int_equal(runbook_load(STR("a.yaml"), str_c(text), &RUNBOOK_DEFAULTS,
                                  &rb, &report),
                     0);
    for (uint32_t i = 0; i < rb->test_count; i++) {
        struct play_verdict v;
        play_test(rb, &rb->tests[i], NULL, &v);
        if (v.differences.count != 0) {
            fail_msg("%.*s: %.*s: %.*s", STR_ARG(rb->tests[i].name),
                     STR_ARG(v.differences.at[0].what),
                     STR_ARG(v.differences.at[0].got));
        }
        play_verdict_deinit(&v);
    }
    runbook_report_deinit(&report);
    runbook_unref(rb);
}

/* Sections and verification are the engine's: they are in tests as they are. */
static void sections_run_in_their_order(void **state)
{
    (void)state;
    play_whole(
        "name: a\n"
        "diagnose: [{name: look, command: 'true'}]\n"
        "steps:\n"
        "  - {name: one, command: 'true', rollback: {name: undo, command: "
        "'true'}}\n"
        "  - {name: two, command: 'true'}\n"
        "verify: {name: works, command: 'true', within: 1m, interval: 10s}\n"
        "on_failure: [{name: tell, command: 'true'}]\n"
        "finally: [{name: clean, command: 'true'}]\n"
        "tests:\n"
        "  - name: it helps\n"
        "    parameters: {}\n"
        "    mocks: {works: {times: [{exit: 1}, {exit: 0}]}}\n"
        "    expect: {ran: [look, one, two, works, clean], result: verified,\n"
        "      status: succeeded, attempts: {works: 2}, skipped: [undo, "
        "tell]}\n"
        "  - name: it does not\n"
        "    parameters: {}\n"
        "    mocks: {works: {exit: 1}}\n"
        "    expect: {ran: [look, one, two, works, undo, tell, clean],\n"
        "      status: failed, result: ineffective}\n"
        "  - name: a step fails\n"
        "    parameters: {}\n"
        "    mocks: {two: {exit: 7}}\n"
        "    expect: {ran: [look, one, two, undo, tell, clean],\n"
        "      status: failed, error: status 7, skipped: [works]}\n");
}

/* Templates see the virtual time. */
static void time_in_templates_is_virtual(void **state)
{
    static const char text[] =
        "name: a\n"
        "steps:\n"
        "  - {name: w, command: 'true'}\n"
        "  - name: s\n"
        "    argv: [a, '${{ string(now) }}', '${{ string(now - "
        "workflow.created_at) }}']\n"
        "tests:\n"
        "  - name: t\n"
        "    parameters: {}\n"
        "    now: 2026-03-01T00:00:00Z\n"
        "    mocks: {w: {after: 5s}}\n"
        "    expect: {argv: {s: [a, '2026-03-01T00:00:05Z', 5s]}}\n";
    struct runbook_report report;
    struct runbook *rb = NULL;
    struct play_verdict v;
    (void)state;
    assert_int_equal(runbook_load(STR("a.yaml"), str_c(text), &RUNBOOK_DEFAULTS,
                                  &rb, &report),
                     0);
    play_test(rb, &rb->tests[0], NULL, &v);
    if (v.differences.count != 0) {
        fail_msg("%.*s", STR_ARG(v.differences.at[0].got));
    }
    play_verdict_deinit(&v);
    runbook_report_deinit(&report);
    runbook_unref(rb);
}

static void the_same_test_has_the_same_story(void **state)
{
    (void)state;
    struct runbook *rb = load("    parameters: {unit: a}\n"
                              "    mocks: {Look: {exit: 1}}\n"
                              "    expect: {status: failed}\n");
    struct play_verdict a;
    struct play_verdict b;
    play_test(rb, &rb->tests[0], NULL, &a);
    play_test(rb, &rb->tests[0], NULL, &b);
    assert_int_equal(a.story.count, b.story.count);
    VEC_EACH (&a.story, i) {
        assert_true(str_eq(a.story.at[i], b.story.at[i]));
    }
    play_verdict_deinit(&a);
    play_verdict_deinit(&b);
    runbook_unref(rb);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_holds_passes),
        cmocka_unit_test(each_expectation_is_looked_at),
        cmocka_unit_test(what_never_was_is_told),
        cmocka_unit_test(guards_hold_back),
        cmocka_unit_test(time_limits_hold),
        cmocka_unit_test(what_cannot_be_rendered_is_refused),
        cmocka_unit_test(sections_run_in_their_order),
        cmocka_unit_test(time_in_templates_is_virtual),
        cmocka_unit_test(the_same_test_has_the_same_story),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
