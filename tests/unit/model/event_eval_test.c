#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "data/json.h"
#include "model/event_eval.h"

static int vienna(void *context, struct str name, int64_t seconds, int32_t *ret)
{
    (void)context;
    (void)seconds;
    *ret = 3600;
    return str_eq_c(name, "Europe/Vienna") ? 0 : -ENOENT;
}

static json_t *try_expr(struct str expr)
{
    struct err e = ERR_INIT;
    struct strbuf out = STRBUF_INIT(EVENT_EVAL_MAX_BYTES);
    json_t *event = NULL;
    json_t *json = NULL;
    assert_int_equal(json_read(STR("{\"labels\":{\"a\":\"x\"},\"value\":3}"),
                               NULL, &event, &e),
                     0);
    const struct event_eval what = {
        .expr = expr, .event = event, .now_ms = 0, .zone = vienna};
    assert_int_equal(event_eval(&what, &out, &e), 0);
    assert_int_equal(strbuf_error(&out), 0);
    /* Whatever it is, it is JSON. */
    assert_int_equal(json_read(strbuf_str(&out), NULL, &json, &e), 0);
    strbuf_deinit(&out);
    json_decref(event);
    return json;
}

static const char *text_of(const json_t *json, const char *key)
{
    const char *text = json_string_value(json_object_get(json, key));
    return text == NULL ? "" : text;
}

static void test_a_value(void **state)
{
    json_t *json = try_expr(STR("event.value > 2 && event.labels.a == 'x'"));
    (void)state;
    assert_true(json_is_true(json_object_get(json, "valid")));
    assert_true(json_is_true(json_object_get(json, "value")));
    assert_string_equal(text_of(json, "type"), "bool");
    assert_string_equal(text_of(json, "text"), "true");
    assert_true(json_is_null(json_object_get(json, "error")));
    const json_t *warnings = json_object_get(json, "warnings");
    assert_int_equal(json_array_size(warnings), 1);
    assert_int_equal(json_integer_value(json_object_get(
                         json_array_get(warnings, 0), "column")),
                     33);
    json_decref(json);
    json = try_expr(STR("timestamp(0).getHours('Europe/Vienna')"));
    assert_int_equal(json_integer_value(json_object_get(json, "value")), 1);
    json_decref(json);
}

static void test_what_is_refused(void **state)
{
    json_t *json = try_expr(STR("event.lables"));
    const json_t *error = json_object_get(json, "error");
    (void)state;
    assert_true(json_is_false(json_object_get(json, "valid")));
    assert_string_equal(text_of(error, "hint"), "did you mean labels?");
    assert_string_equal(text_of(error, "picture"),
                        "1:7: there is no field 'lables' in event\n"
                        "  event.lables\n"
                        "        ^\n"
                        "  did you mean labels?\n");
    json_decref(json);
    json = try_expr(STR("'\xFF"));
    assert_true(json_is_false(json_object_get(json, "valid")));
    json_decref(json);
}

static void test_what_fails(void **state)
{
    json_t *json = try_expr(STR("event.labels.b"));
    const json_t *error = json_object_get(json, "error");
    (void)state;
    assert_true(json_is_true(json_object_get(json, "valid")));
    assert_true(json_is_null(json_object_get(json, "value")));
    assert_string_equal(text_of(error, "message"), "no such key: 'b'");
    json_decref(json);
    json = try_expr(STR("lists.range(9000).map(x, "
                        "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa')"));
    error = json_object_get(json, "error");
    assert_true(json_is_null(json_object_get(json, "value")));
    assert_string_equal(text_of(error, "message"),
                        "the value is too large to be shown: more than 262144 "
                        "bytes");
    json_decref(json);
}

static const struct {
    const char *values;
    const char *expr;
    const char *text; /* or, with ! in front, the error */
} steps[] = {
    {"{\"stdout\": \" 42\\n\"}", "int(stdout.trim())", "42"},
    {"{\"steps\": {\"look\": {\"outputs\": {\"used\": 90}}}}",
     "steps.look.outputs.used > 85", "true"},
    {"{\"json\": [1, 2]}", "json[1]", "2"},
    {"{\"now\": \"1970-01-01T00:01:00Z\"}", "now",
     "timestamp(\"1970-01-01T00"
     ":01:00Z\")"},
    {"{}", "now", "timestamp(\"1970-01-01T00:00:00Z\")"},
    {"{}", "stdout", "!the values of the step have no 'stdout'"},
    {"{}", "event.type", "!undeclared reference to 'event'"},
    {"{\"stdot\": 1}", "1", "?did you mean 'stdout'?"},
    {"{\"exit_code\": \"1\"}", "1", "?expected a value of type int"},
    {"[]", "1", "?expected an object"},
};

static void test_variables_of_a_step(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        struct err e = ERR_INIT;
        struct strbuf out = STRBUF_INIT(EVENT_EVAL_MAX_BYTES);
        json_t *values = NULL;
        json_t *json = NULL;
        const char *want = steps[i].text;
        assert_int_equal(json_read(str_c(steps[i].values), NULL, &values, &e),
                         0);
        const struct event_eval what = {.expr = str_c(steps[i].expr),
                                        .step = values};
        int r = event_eval(&what, &out, &e);
        if (want[0] == '?') {
            assert_int_equal(r, -EINVAL);
            assert_true(strstr(e.message, want + 1) != NULL ||
                        strstr(e.hint, want + 1) != NULL);
        } else {
            assert_int_equal(r, 0);
            assert_int_equal(json_read(strbuf_str(&out), NULL, &json, &e), 0);
            const json_t *error = json_object_get(json, "error");
            if (want[0] == '!') {
                assert_non_null(strstr(text_of(error, "message"), want + 1));
            } else {
                assert_string_equal(text_of(json, "text"), want);
            }
        }
        json_decref(json);
        json_decref(values);
        strbuf_deinit(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_value),
        cmocka_unit_test(test_variables_of_a_step),
        cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_what_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
