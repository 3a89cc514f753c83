/* The limits of `tests:`: each is taken, and one more is refused. That other
 * mistakes are told is shown by the fixtures (runbook_load_test.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/strbuf.h"
#include "model/runbook_load.h"
#include "model/runbook_test.h"

static bool loads(const struct strbuf *tests, const char *why)
{
    struct strbuf text = STRBUF_INIT(RUNBOOK_MAX_BYTES);
    struct runbook_report report;
    struct runbook *rb = NULL;
    strbuf_addc(&text, "name: x\nparameters: {p: {}}\n"
                       "steps: [{name: s, command: 'true'}]\ntests: [");
    strbuf_add(&text, strbuf_str(tests));
    strbuf_addc(&text, "]\n");
    int r = runbook_load(STR("x.yaml"), strbuf_str(&text), &RUNBOOK_DEFAULTS,
                         &rb, &report);
    bool told = false;
    VEC_EACH (&report.problems, i) {
        told = told || strstr(report.problems.at[i].err.message, why) != NULL;
    }
    if (r < 0 && !told) {
        fail_msg("'%s' is not told, but: %s", why,
                 report.problems.at[0].err.message);
    }
    runbook_unref(rb);
    runbook_report_deinit(&report);
    strbuf_deinit(&text);
    return r == 0;
}

/* A text of `count` times `item`, between the two others. */
static bool loads_many(const char *before, const char *item, unsigned count,
                       const char *after, const char *why)
{
    struct strbuf tests = STRBUF_INIT(RUNBOOK_MAX_BYTES);
    strbuf_addc(&tests, before);
    for (unsigned i = 0; i < count; i++) {
        strbuf_addf(&tests, "%s%s", i == 0 ? "" : ",", item);
    }
    strbuf_addc(&tests, after);
    bool good = loads(&tests, why);
    strbuf_deinit(&tests);
    return good;
}

static bool loads_tests(unsigned count)
{
    struct strbuf tests = STRBUF_INIT(RUNBOOK_MAX_BYTES);
    for (unsigned i = 0; i < count; i++) {
        strbuf_addf(&tests,
                    "%s{name: t%u, parameters: {}, expect: {started: 1}}",
                    i == 0 ? "" : ",", i);
    }
    bool good = loads(&tests, "100 are allowed");
    strbuf_deinit(&tests);
    return good;
}

static void there_are_so_many_at_most(void **state)
{
    (void)state;
    assert_true(loads_tests(RUNBOOK_MAX_TESTS));
    assert_false(loads_tests(RUNBOOK_MAX_TESTS + 1));
    for (unsigned more = 0; more < 2; more++) {
        assert_int_equal(loads_many("{name: t, event: [", "{type: a}",
                                    RUNBOOK_MAX_TEST_EVENTS + more,
                                    "], expect: {started: 0}}",
                                    "200 are allowed"),
                         more == 0);
        assert_int_equal(
            loads_many("{name: t, parameters: {}, expect: {started: 1}, "
                       "mocks: {s: {times: [",
                       "{exit: 1}", RUNBOOK_MAX_TEST_TIMES + more, "]}}}",
                       "20 are allowed"),
            more == 0);
        assert_int_equal(loads_many("{name: t, parameters: {}, expect: {ran: [",
                                    "s", RUNBOOK_TEST_LIST_MAX + more, "]}}",
                                    "200 are allowed"),
                         more == 0);
    }
}

static void times_are_so_long_at_most(void **state)
{
    static const struct {
        const char *test;
        bool good;
    } rows[] = {
        {"{name: t, event: [{at: 400d, type: a}], expect: {started: 0}}", true},
        {"{name: t, event: [{at: 401d, type: a}], expect: {started: 0}}",
         false},
        {"{name: t, parameters: {}, until: 400d, expect: {started: 1}}", true},
        {"{name: t, parameters: {}, until: 401d, expect: {started: 1}}", false},
        {"{name: t, parameters: {}, mocks: {s: {after: 400d}}, expect: "
         "{started: 1}}",
         true},
        {"{name: t, parameters: {}, mocks: {s: {after: 401d}}, expect: "
         "{started: 1}}",
         false},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct strbuf test = STRBUF_INIT(4096);
        strbuf_addc(&test, rows[i].test);
        assert_int_equal(loads(&test, "is not between"), rows[i].good);
        strbuf_deinit(&test);
    }
}

static void texts_are_so_large_at_most(void **state)
{
    (void)state;
    struct strbuf x = STRBUF_INIT(RUNBOOK_MAX_BYTES);
    for (unsigned i = 0; i < 64 * 1024; i++) {
        strbuf_addch(&x, 'x');
    }
    for (unsigned more = 0; more < 2; more++) {
        struct strbuf test = STRBUF_INIT(RUNBOOK_MAX_BYTES);
        strbuf_addf(&test,
                    "{name: t, parameters: {}, expect: {started: 1}, mocks: "
                    "{s: {stdout: \"%s%s\"}}}",
                    x.at, more == 0 ? "" : "x");
        assert_int_equal(loads(&test, "at most 65536 bytes"), more == 0);
        strbuf_deinit(&test);
    }
    strbuf_deinit(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_are_so_many_at_most),
        cmocka_unit_test(times_are_so_long_at_most),
        cmocka_unit_test(texts_are_so_large_at_most),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
