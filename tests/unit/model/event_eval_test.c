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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_value),
        cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_what_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
