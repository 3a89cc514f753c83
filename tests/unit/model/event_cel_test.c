#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "data/json.h"
#include "expr/cel_text.h"
#include "model/event_cel.h"

#define NOW_MS 1764000000000

static json_t *read_json(const char *text)
{
    struct err e = ERR_INIT;
    json_t *json = NULL;
    assert_int_equal(json_read(str_c(text), NULL, &json, &e), 0);
    return json;
}

static void assert_gives(const char *event, const char *expr,
                         const char *wanted)
{
    struct arena a = ARENA_INIT;
    struct err e = ERR_INIT;
    struct event_cel values;
    struct cel_issue issue = CEL_ISSUE_INIT;
    struct cel_program *p = NULL;
    struct strbuf out = STRBUF_INIT(4096);
    json_t *json = event == NULL ? NULL : read_json(event);
    json_t *parameters = read_json("{\"service\":\"nginx\",\"n\":3}");
    if (cel_program_new(event_cel_env(&a, EVENT_CEL_TRY), str_c(expr), &a, &p,
                        &issue) < 0) {
        strbuf_addf(&out, "issue: %s (%s)", issue.err.message, issue.err.hint);
    } else {
        assert_int_equal(
            event_cel_fill(&values, json, parameters, NOW_MS, &a, &e), 0);
        cel_text_literal(
            cel_program_run(p, &values.input, CEL_BUDGET_DEFAULT, &a), &out);
    }
    if (strcmp(out.at, wanted) != 0) {
        print_message("%s\n", expr);
    }
    assert_string_equal(out.at, wanted);
    strbuf_deinit(&out);
    json_decref(json);
    json_decref(parameters);
    arena_deinit(&a);
}

static const char cpu[] =
    "{\"type\":\"metric\",\"value\":95,\"priority\":2,"
    "\"labels\":{\"severity\":\"critical\",\"a-b\":\"x\"},"
    "\"timestamp\":1764000000.5,\"starts_at\":\"2025-11-24T16:00:00Z\","
    "\"payload\":{\"list\":[1,2]},\"seen_by_nobody\":1}";

static void test_what_expressions_see(void **state)
{
    (void)state;
    assert_gives(cpu,
                 "event.labels.severity == \"critical\" && event.value > 90.0",
                 "true");
    assert_gives(cpu, "event.value > 90", "true");
    assert_gives(cpu, "event.value", "95.0");
    assert_gives(cpu, "event.priority", "2");
    assert_gives(cpu, "event.labels['a-b']", "\"x\"");
    assert_gives(cpu, "event.labels.?host.orValue('none')", "\"none\"");
    assert_gives(cpu, "event.labels.host", "error: no such key: 'host'");
    assert_gives(cpu, "event.source == '' && event.annotations.size() == 0",
                 "true");
    assert_gives(cpu, "has(event.ends_at)", "false");
    assert_gives(cpu, "now - event.starts_at", "duration(\"0s\")");
    assert_gives(cpu, "event.timestamp.getMilliseconds()", "500");
    assert_gives(cpu, "event.payload.list[1] + parameters.n", "5");
    assert_gives(cpu, "parameters.service", "\"nginx\"");
    assert_gives(cpu, "event.lables",
                 "issue: there is no field 'lables' in "
                 "event (did you mean labels?)");
    assert_gives(cpu, "event.seen_by_nobody",
                 "issue: there is no field 'seen_by_nobody' in event ()");
    assert_gives(NULL, "event.value", "error: there is no event here");
    assert_gives(NULL, "parameters.n", "3");
}

static void assert_refused(const char *event, int errnum, const char *field)
{
    struct arena a = ARENA_INIT;
    struct err e = ERR_INIT;
    struct event_cel values;
    json_t *json = read_json(event);
    assert_int_equal(event_cel_fill(&values, json, NULL, NOW_MS, &a, &e),
                     errnum);
    assert_string_equal(e.field, field);
    json_decref(json);
    arena_deinit(&a);
}

static void test_wrong_events_are_named(void **state)
{
    (void)state;
    assert_refused("[]", -EINVAL, "event");
    assert_refused("{\"type\":1}", -EINVAL, "type");
    assert_refused("{\"value\":\"1\"}", -EINVAL, "value");
    assert_refused("{\"priority\":1.5}", -EINVAL, "priority");
    assert_refused("{\"labels\":[]}", -EINVAL, "labels");
    assert_refused("{\"labels\":{\"a\":1}}", -EINVAL, "labels");
    assert_refused("{\"timestamp\":\"noon\"}", -EINVAL, "timestamp");
    assert_refused("{\"timestamp\":-1}", -ERANGE, "timestamp");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_expressions_see),
        cmocka_unit_test(test_wrong_events_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
