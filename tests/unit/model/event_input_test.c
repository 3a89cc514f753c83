#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "data/json.h"
#include "expr/cel_text.h"
#include "model/event_input.h"
#include "model/event_json.h"

#define NOW_MS 1795465700000

static const char alert[] =
    "{\"type\":\"alert\",\"source\":\"prometheus\",\"value\":95,"
    "\"labels\":{\"severity\":\"critical\",\"a-b\":\"x\",\"host\":\"db-1\"},"
    "\"annotations\":{\"summary\":\"\\u00fcber\"},\"metric_name\":\"load\","
    "\"timestamp\":1795465698.5,\"starts_at\":\"2026-11-23T20:00:00Z\","
    "\"ends_at\":1795465999,\"generator_url\":\"http://x/\","
    "\"group_key\":\"g\",\"payload\":{\"list\":[1,2.5,null]},"
    "\"priority\":2}";

static struct arena arena;

static int teardown(void **state)
{
    (void)state;
    arena_deinit(&arena);
    return 0;
}

static struct event read_event(const char *text)
{
    json_t *json = NULL;
    struct err e = ERR_INIT;
    struct event event = {0};
    assert_int_equal(json_read(str_c(text), NULL, &json, &e), 0);
    assert_int_equal(event_from_json(json, &arena, &event, &e), 0);
    json_decref(json);
    event.seq = 7;
    event.id.bytes[3] = 9;
    event.received_ms = 1795465699152;
    event.attempt = 2;
    return event;
}

static struct cel_program *compile(const char *expr, enum event_cel_use use)
{
    struct cel_issue issue = CEL_ISSUE_INIT;
    struct cel_program *p = NULL;
    if (cel_program_new(event_cel_env(&arena, use), str_c(expr), &arena, &p,
                        &issue) < 0) {
        fail_msg("%s: %s", expr, issue.err.message);
    }
    return p;
}

static void assert_input_gives(struct event_input *x, const char *expr,
                               const char *wanted)
{
    struct strbuf out = STRBUF_INIT(4096);
    cel_text_literal(cel_program_run(compile(expr, EVENT_CEL_FILTER), &x->input,
                                     CEL_BUDGET_DEFAULT, &arena),
                     &out);
    if (strcmp(out.at, wanted) != 0) {
        print_message("%s\n", expr);
    }
    assert_string_equal(out.at, wanted);
    strbuf_deinit(&out);
}

/* What is tried by hand on the event as it is shown, and what triggers see:
 * field by field the same. */
static void sees_what_is_shown(const char *text)
{
    struct event e = read_event(text);
    struct event_input x;
    struct event_cel tried;
    struct err err = ERR_INIT;
    struct strbuf shown = STRBUF_INIT(65536);
    struct event_cel_row row;
    json_t *json = NULL;
    event_add_json(&shown, &e, EVENT_PROCESSED, STR(""), NULL);
    assert_int_equal(json_read(strbuf_str(&shown), NULL, &json, &err), 0);
    assert_int_equal(event_cel_fill(&tried, json, NULL, NOW_MS, &arena, &err),
                     0);
    event_input_init(&x, &e, NULL, NOW_MS, &arena);
    for (size_t i = 0; event_cel_row(i, &row); i++) {
        char expr[100];
        struct strbuf one = STRBUF_INIT(4096);
        struct strbuf other = STRBUF_INIT(4096);
        if (row.only_lists || strcmp(row.object, "event") != 0) {
            continue;
        }
        (void)snprintf(expr, sizeof(expr), "event.?%s", row.name);
        struct cel_program *p = compile(expr, EVENT_CEL_TRY);
        cel_text_literal(
            cel_program_run(p, &x.input, CEL_BUDGET_DEFAULT, &arena), &one);
        cel_text_literal(
            cel_program_run(p, &tried.input, CEL_BUDGET_DEFAULT, &arena),
            &other);
        assert_string_equal(one.at, other.at);
        strbuf_deinit(&one);
        strbuf_deinit(&other);
    }
    event_input_release(&x);
    json_decref(json);
    strbuf_deinit(&shown);
}

static void sees_the_same_in_memory_and_as_json(void **state)
{
    (void)state;
    sees_what_is_shown(alert);
    sees_what_is_shown("{\"type\":\"say\"}");
    sees_what_is_shown("{\"type\":\"alert\",\"state\":\"resolved\"}");
    sees_what_is_shown("{\"type\":\"metric\",\"value\":0.5}");
}

static void copies_nothing_that_the_row_has(void **state)
{
    (void)state;
    struct event e = read_event(alert);
    struct arena own = ARENA_INIT;
    struct event_input x;
    struct cel_program *p =
        compile("event.labels.severity == 'critical' && event.type != '' && "
                "'host' in event.labels && event.starts_at < now && "
                "event.priority < 5",
                EVENT_CEL_WHEN);
    event_input_init(&x, &e, NULL, NOW_MS, &own);
    struct cel_value v = cel_program_run(p, &x.input, CEL_BUDGET_DEFAULT, &own);
    assert_int_equal(v.kind, CEL_BOOL);
    assert_true(v.boolean);
    assert_int_equal(own.total_bytes, 0);
    assert_false(x.body_read);
    event_input_release(&x);
    arena_deinit(&own);
}

static void reads_the_body_once(void **state)
{
    (void)state;
    struct event e = read_event(alert);
    struct event_input x;
    event_input_init(&x, &e, NULL, NOW_MS, &arena);
    assert_input_gives(&x, "event.value > 90", "true");
    const json_t *body = x.body;
    assert_non_null(body);
    assert_input_gives(&x, "event.payload.list[0] == 1", "true");
    assert_input_gives(&x,
                       "event.annotations.summary == '\xc3\xbc"
                       "ber'",
                       "true");
    assert_ptr_equal(x.body, body);
    event_input_release(&x);
    /* A damaged row has no fields, and is no reason to stop. */
    e.body = STR("{");
    event_input_init(&x, &e, NULL, NOW_MS, &arena);
    assert_input_gives(&x, "has(event.value)", "false");
    assert_input_gives(&x, "event.annotations.size() == 0", "true");
    event_input_release(&x);
}

static void lists_know_what_became_of_it(void **state)
{
    (void)state;
    struct event e = read_event(alert);
    struct event_input x;
    struct event_outcome o = {.status = EVENT_ERROR, .error = STR("no room")};
    event_input_init(&x, &e, &o, NOW_MS, &arena);
    assert_input_gives(&x, "event.status == 'error' && event.attempts == 2",
                       "true");
    assert_input_gives(&x, "event.error.startsWith('no')", "true");
    assert_input_gives(&x, "event.duplicate_of == ''", "true");
    event_input_release(&x);
    struct cel_issue issue = CEL_ISSUE_INIT;
    struct cel_program *p = NULL;
    assert_true(cel_program_new(event_cel_env(&arena, EVENT_CEL_WHEN),
                                STR("event.status == 'error'"), &arena, &p,
                                &issue) < 0);
    assert_int_equal(issue.offset, 6);
}

static void is_a_map_as_well(void **state)
{
    (void)state;
    struct event e = read_event("{\"type\":\"say\",\"labels\":{\"a\":\"b\"}}");
    struct event_input x;
    event_input_init(&x, &e, NULL, NOW_MS, &arena);
    assert_input_gives(&x, "event == event", "true");
    assert_input_gives(&x, "dyn(event).exists(k, k == 'type')", "true");
    assert_input_gives(&x, "dyn(event).exists(k, k == 'value')", "false");
    assert_input_gives(&x, "dyn(event)['type'] == 'say'", "true");
    assert_input_gives(&x, "event.labels == {'a': 'b'}", "true");
    assert_input_gives(&x, "dyn(event.labels)[1] == 'b'",
                       "error: no such key: 1");
    event_input_release(&x);
}

static void conditions_are_true_or_false(void **state)
{
    (void)state;
    struct cel_issue issue = CEL_ISSUE_INIT;
    struct cel_program *p = NULL;
    assert_true(cel_program_new(event_cel_env(&arena, EVENT_CEL_WHEN),
                                STR("event.value"), &arena, &p, &issue) < 0);
    issue = CEL_ISSUE_INIT;
    assert_true(cel_program_new(event_cel_env(&arena, EVENT_CEL_WHEN),
                                STR("parameters.x == 1"), &arena, &p,
                                &issue) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sees_the_same_in_memory_and_as_json),
        cmocka_unit_test(copies_nothing_that_the_row_has),
        cmocka_unit_test(reads_the_body_once),
        cmocka_unit_test(lists_know_what_became_of_it),
        cmocka_unit_test(is_a_map_as_well),
        cmocka_unit_test(conditions_are_true_or_false),
    };
    return cmocka_run_group_tests(tests, NULL, teardown);
}
