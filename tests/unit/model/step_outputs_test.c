#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/strbuf.h"
#include "model/runbook_load.h"
#include "model/step_cel.h"
#include "model/step_outputs.h"

static struct runbook *load(const char *text, struct runbook_report *report)
{
    struct runbook_defaults d = RUNBOOK_DEFAULTS;
    struct runbook *rb = NULL;
    return runbook_load(STR("a.yaml"), str_c(text), &d, &rb, report) < 0 ? NULL
                                                                         : rb;
}

static struct runbook *load_output(const char *expr)
{
    struct strbuf text = STRBUF_INIT(8192);
    struct runbook_report report;
    strbuf_addf(&text,
                "name: x\nsteps:\n  - name: a\n    id: a\n    command: x\n"
                "    outputs:\n      o: |-\n        %s\n",
                expr);
    struct runbook *rb = load(strbuf_str(&text).at, &report);
    if (rb == NULL) {
        fail_msg("%s: %s", expr, report.problems.at[0].err.message);
    }
    runbook_report_deinit(&report);
    strbuf_deinit(&text);
    return rb;
}

static const struct {
    const char *expr;
    const char *out;
    const char *json; /* or, with ! in front, the error */
} cases[] = {
    {"int(stdout.trim())", " 42\n", "{\"o\":42}"},
    {"exit_code + 1", "", "{\"o\":1}"},
    {"stdout", "a\n\"b\"", "{\"o\":\"a\\n\\\"b\\\"\"}"},
    {"json.used > 85", "{\"used\": 90}", "{\"o\":true}"},
    {"json.list.map(x, x * 2)", "{\"list\": [1, 2]}", "{\"o\":[2,4]}"},
    {"json", "{\"a\": {\"b\": 1.5}}", "{\"o\":{\"a\":{\"b\":1.5}}}"},
    {"stdout.size() == 0 ? 'none' : json.a", "", "{\"o\":\"none\"}"},
    {"stderr", "x", "{\"o\":\"oh\"}"},
    /* What is data stays data. */
    {"stdout", "${{ exit_code }} $(id)", "{\"o\":\"${{ exit_code }} $(id)\"}"},
    {"stdout", "a\xff\xc3\xa9", "{\"o\":\"a\xef\xbf\xbd\xc3\xa9\"}"},
    {"int(stdout)", "x", "!output 'o': int(stdout) has no value"},
    {"json.a", "nothing", "!stdout is not JSON: 1:"},
    {"json.a", "{}", "!no such key"},
    {"json.a", "{\"a\":null}", "!null or nothing"},
    {"double(stdout)", "NaN", "!it gives a double"},
    {"dyn(timestamp(0))", "", "!it gives a timestamp: write string(x)"},
    {"json.list.map(a, json.list.map(b, json.list.map(c, json.list.map(d, "
     "json.list.map(e, json.list.map(f, 1))))))",
     "{\"list\":[1,2,3,4,5,6,7,8,9,10]}", "!o"},
};

static int eval(const struct runbook *rb, struct str out, bool lenient,
                struct arena *a, struct str *ret, struct err *e)
{
    const struct step_ending end = {.out = out, .err = STR("oh")};
    return step_outputs_eval(&rb->steps[0], &end, lenient, a, ret, e);
}

static void outputs_are_evaluated(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct runbook *rb = load_output(cases[i].expr);
        struct arena a = ARENA_INIT;
        struct err e = ERR_INIT;
        struct str json = STR("");
        const char *want = cases[i].json;
        int r = eval(rb, str_c(cases[i].out), false, &a, &json, &e);
        bool fine = want[0] == '!'
                        ? r < 0 && strstr(e.message, want + 1) != NULL
                        : r == 0 && str_eq_c(json, want);
        if (!fine) {
            fail_msg("%s of '%s': %d %.*s %s", cases[i].expr, cases[i].out, r,
                     STR_ARG(json), e.message);
        }
        if (want[0] == '!') { /* what has failed anyway tells what it can */
            assert_int_equal(eval(rb, str_c(cases[i].out), true, &a, &json, &e),
                             0);
            assert_string_equal(json.at, "{}");
        }
        arena_deinit(&a);
        runbook_unref(rb);
    }
}

static void outputs_have_a_limit(void **state)
{
    (void)state;
    static char text[STEP_OUTPUTS_MAX_BYTES];
    memset(text, 'a', sizeof(text));
    struct runbook *rb = load_output("stdout");
    size_t most = STEP_OUTPUTS_MAX_BYTES - sizeof("{\"o\":\"\"}") + 1;
    for (size_t extra = 0; extra < 2; extra++) {
        struct arena a = ARENA_INIT;
        struct err e = ERR_INIT;
        struct str json = STR("");
        assert_int_equal(
            eval(rb, str_n(text, most + extra), false, &a, &json, &e),
            extra == 0 ? 0 : -E2BIG);
        arena_deinit(&a);
    }
    runbook_unref(rb);
}

static const struct {
    const char *steps;
    const char *message; /* or hint */
} refused[] = {
    {"  - {name: a, command: x, outputs: {o: stdout}}", "needs an id"},
    {"  - {name: a, id: a, command: x, outputs: {O: stdout}}",
     "'O' is not a name"},
    {"  - {name: a, id: a, command: x, outputs: {o: stdot}}",
     "did you mean stdout?"},
    {"  - {name: a, id: a, command: x, outputs: {o: parameters.t}}",
     "undeclared reference to 'parameters'"},
    {"  - {name: a, id: a, command: x, outputs: {o: '2u'}}", "write int(x)"},
    {"  - {name: a, id: a, command: x, outputs: {o: 'duration(stdout)'}}",
     "write string(x)"},
    {"  - {name: a, id: a, command: x, outputs: {o: '${{ stdout }}'}}",
     "an expression already"},
    {"  - {name: a, command: x, when: stdout == 'x'}",
     "undeclared reference to 'stdout'"},
    {"  - {name: a, command: x, when: now}", "must give bool"},
    {"  - {name: a, command: x, when: event.value > 1.0}",
     "fill it in the trigger"},
    {"  - {name: a, command: x, when: '${{ true }}'}", "an expression already"},
    {"  - {name: a, command: x, when: has(parameters.t)}", "'t' is secret"},
    {"  - {name: a, command: x, when: parameters.o == 'x'}",
     "o may be missing"},
    {"  - {name: a, id: a, command: x, when: steps.a.exit_code == 0}",
     "there is no field 'a'"},
    {"  - {name: a, id: a, command: x}\n"
     "  - {name: b, command: x, when: steps.a.outputs.o == 1}",
     "there is no field 'o'"},
    {"  - {name: a, id: a, command: x, outputs: {o: stdout}}\n"
     "  - {name: b, command: x, when: steps.a.outputs.o == 1}",
     "no such overload"},
    {"  - {name: a, id: a, command: x, continue_on_error: true, outputs: {o: "
     "stdout}}\n"
     "  - {name: b, command: x, when: steps.a.outputs.o == 'x'}",
     "o may be missing"},
    {"  - {name: a, id: a, command: x, when: 'now > now', outputs: {o: "
     "stdout}}\n"
     "  - {name: b, argv: [p, '${{ steps.a.outputs.o }}']}",
     "o may be missing"},
    {"  - {name: a, id: a, command: x, outputs: {o: stdout}}\n"
     "on_failure:\n"
     "  - {name: b, argv: [p, '${{ steps.a.outputs.o }}']}",
     "o may be missing"},
    {"  - {name: a, command: x}\n"
     "finally:\n"
     "  - {name: b, id: b, command: x, outputs: {o: stdout}}\n"
     "  - {name: c, argv: [p, '${{ steps.b.outputs.o }}']}",
     "o may be missing"},
};

static void mistakes_are_found_when_it_is_loaded(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        struct strbuf text = STRBUF_INIT(8192);
        struct runbook_report report;
        strbuf_addf(&text,
                    "name: x\nparameters:\n  t: {type: string, secret: true}\n"
                    "  o: {type: string}\nsteps:\n%s\n",
                    refused[i].steps);
        struct runbook *rb = load(strbuf_str(&text).at, &report);
        assert_null(rb);
        const struct err *e = &report.problems.at[0].err;
        if (strstr(e->message, refused[i].message) == NULL &&
            strstr(e->hint, refused[i].message) == NULL) {
            fail_msg("%s: %s (%s)", refused[i].steps, e->message, e->hint);
        }
        runbook_report_deinit(&report);
        strbuf_deinit(&text);
    }
}

static void a_step_knows_whom_it_asks(void **state)
{
    (void)state;
    struct runbook_report report;
    struct runbook *rb =
        load("name: x\nsteps:\n"
             "  - {name: a, id: a, command: x, outputs: {o: stdout}}\n"
             "  - {name: b, id: b, command: x, when: steps.a.outputs.o == ''}\n"
             "  - {name: c, id: c, command: x, env: {V: '${{ "
             "steps.b.status }}${{ steps.b.exit_code }}'}}\n"
             "  - {name: d, command: x, when: size(steps) == 3}\n",
             &report);
    runbook_report_deinit(&report);
    assert_non_null(rb);
    static const uint32_t counts[] = {0, 1, 1, 3};
    for (uint32_t i = 0; i < ARRAY_LEN(counts); i++) {
        assert_int_equal(rb->steps[i].ask_count, counts[i]);
    }
    assert_true(str_eq_c(rb->steps[1].asks[0], "a"));
    assert_true(str_eq_c(rb->steps[2].asks[0], "b"));
    assert_null(rb->steps[0].scope);
    runbook_unref(rb);
}

static void values_of_steps_before(void **state)
{
    (void)state;
    struct runbook_report report;
    struct runbook *rb = load(
        "name: x\nsteps:\n"
        "  - name: a\n    id: a\n    command: x\n    continue_on_error: true\n"
        "    outputs: {d: double(stdout), s: stdout}\n"
        "  - name: b\n    command: x\n"
        "    when: steps.a.outputs.?d.orValue(2.0) * 2.0 == 4.0 && "
        "steps.a.outputs.?s.orValue('none') == 'none'\n",
        &report);
    runbook_report_deinit(&report);
    assert_non_null(rb);
    static const char *const told[] = {
        "{\"a\":{\"status\":\"failed\",\"exit_code\":1,\"outputs\":{}}}",
        "{\"a\":{\"status\":\"failed\",\"exit_code\":1,\"outputs\":{\"d\":2}}}",
    };
    for (size_t i = 0; i < ARRAY_LEN(told); i++) {
        struct arena a = ARENA_INIT;
        struct err e = ERR_INIT;
        struct step_input input;
        const struct step_facts facts = {.params_json = STR("{}"),
                                         .steps_json = str_c(told[i])};
        assert_int_equal(
            step_input_init(&input, rb, rb->steps[1].scope, &facts, &a, &e), 0);
        struct cel_value v = cel_program_run(rb->steps[1].when, &input.input,
                                             CEL_BUDGET_DEFAULT, &a);
        assert_int_equal(v.kind, CEL_BOOL);
        assert_true(v.boolean);
        step_input_release(&input);
        arena_deinit(&a);
    }
    runbook_unref(rb);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outputs_are_evaluated),
        cmocka_unit_test(outputs_have_a_limit),
        cmocka_unit_test(mistakes_are_found_when_it_is_loaded),
        cmocka_unit_test(a_step_knows_whom_it_asks),
        cmocka_unit_test(values_of_steps_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
