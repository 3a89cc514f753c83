#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "integrations/fields.h"

static int check(enum integration which, const char *name, json_t *value)
{
    struct err err = ERR_INIT;
    const struct integration_field *f = integration_field_find(which, name);
    assert_non_null(f);
    int r = field_check(f, value, &err);
    if (r < 0) {
        assert_string_equal(err.field, name);
        assert_true(err.message[0] != '\0');
    }
    json_decref(value);
    return r;
}

static json_t *long_text(size_t len)
{
    char *text = mem_alloc(len + 1, 1);
    memset(text, 'k', len);
    json_t *value = json_string(text);
    mem_free(text);
    return value;
}

static void each_has_its_fields(void **state)
{
    (void)state;
    assert_non_null(integration_field_find(INTEGRATION_SLACK, "webhook_url"));
    assert_null(integration_field_find(INTEGRATION_SLACK, "url"));
    assert_null(integration_field_find(INTEGRATION_PAGERDUTY, "bearer_token"));
    assert_null(integration_field_find(INTEGRATION_PROMETHEUS, "enabled"));
    for (size_t i = 0; i < integration_field_count; i++) {
        assert_true(integration_fields[i].of != 0);
        assert_true(i < FIELDS_MAX);
    }
}

static void values(void **state)
{
    (void)state;
    const enum integration p = INTEGRATION_PROMETHEUS;
    assert_int_equal(check(p, "url", json_string("http://h:1")), 0);
    assert_int_equal(check(p, "url", json_null()), 0);
    assert_int_equal(check(p, "url", json_string("h:1")), -EINVAL);
    assert_int_equal(check(p, "url", json_integer(1)), -EINVAL);
    assert_int_equal(check(p, "timeout", json_integer(10)), 0);
    assert_int_equal(check(p, "timeout", json_real(0.1)), 0);
    assert_int_equal(check(p, "timeout", json_string("1m")), 0);
    assert_int_equal(check(p, "timeout", json_integer(0)), -ERANGE);
    assert_int_equal(check(p, "timeout", json_integer(301)), -ERANGE);
    assert_int_equal(check(p, "timeout", json_integer(-1)), -EINVAL);
    assert_int_equal(check(p, "timeout", json_real(1e300)), -EINVAL);
    assert_int_equal(check(p, "timeout", json_true()), -EINVAL);
    assert_int_equal(check(p, "bearer_token", json_string("new-token")), 0);
    assert_int_equal(check(p, "bearer_token", json_string("a b")), -EINVAL);
    assert_int_equal(check(p, "bearer_token", json_string("a\r\nX: y")),
                     -EINVAL);
    assert_int_equal(check(p, "bearer_token", json_string("")), -EINVAL);
    assert_int_equal(check(p, "bearer_token", long_text(FIELD_TEXT_MAX_BYTES)),
                     0);
    assert_int_equal(
        check(p, "bearer_token", long_text(FIELD_TEXT_MAX_BYTES + 1)), -EINVAL);
    const enum integration s = INTEGRATION_SLACK;
    assert_int_equal(
        check(s, "notify_on", json_pack("[s,s]", "failed", "resolved")), 0);
    assert_int_equal(check(s, "notify_on", json_array()), 0);
    assert_int_equal(check(s, "notify_on", json_pack("[s]", "faild")), -EINVAL);
    assert_int_equal(check(s, "notify_on", json_pack("[i]", 1)), -EINVAL);
    assert_int_equal(check(s, "notify_on", json_string("failed")), -EINVAL);
    json_t *many = json_array();
    for (int i = 0; i <= FIELD_LIST_MAX; i++) {
        (void)json_array_append_new(many, json_string("failed"));
    }
    assert_int_equal(check(s, "notify_on", many), -EINVAL);
    assert_int_equal(check(s, "webhook_url", json_string("x")), -EINVAL);
    assert_int_equal(check(s, "webhook_url", json_string("https://h/s")), 0);
    assert_int_equal(check(s, "channel", json_string("#ops")), 0);
    assert_int_equal(check(s, "channel", json_string("a\nb")), -EINVAL);
    assert_int_equal(check(s, "channel", long_text(FIELD_CHANNEL_MAX_BYTES)),
                     0);
    assert_int_equal(
        check(s, "channel", long_text(FIELD_CHANNEL_MAX_BYTES + 1)), -EINVAL);
}

static void numbers_and_truths(void **state)
{
    (void)state;
    const enum integration m = INTEGRATION_METRICS_SCRAPER;
    assert_int_equal(check(m, "sample_limit", json_integer(1)), 0);
    assert_int_equal(check(m, "sample_limit", json_string("100000")), 0);
    assert_int_equal(check(m, "sample_limit", json_integer(0)), -ERANGE);
    assert_int_equal(check(m, "sample_limit", json_integer(100001)), -ERANGE);
    assert_int_equal(check(m, "sample_limit", json_integer(-1)), -EINVAL);
    assert_int_equal(check(m, "sample_limit", json_real(1.5)), -EINVAL);
    assert_int_equal(check(m, "body_size_limit", json_integer(1023)), -ERANGE);
    assert_int_equal(check(m, "honor_labels", json_true()), 0);
    assert_int_equal(check(m, "honor_labels", json_string("true")), -EINVAL);
    assert_int_equal(check(m, "honor_labels", json_null()), 0);
}

static void equal_is_what_says_the_same(void **state)
{
    (void)state;
    static const char *const one[] = {"a", NULL};
    static const char *const two[] = {"a", "b", NULL};
    const struct integration_config a = {
        .url = "http://h", .targets = one, .timeout_ms = 5};
    struct integration_config b = a;
    assert_true(integration_config_equal(&a, &b));
    b.targets = two;
    assert_false(integration_config_equal(&a, &b));
    b = a;
    b.honor_labels = true;
    assert_false(integration_config_equal(&a, &b));
    b = a;
    b.timeout_ms = 6;
    assert_false(integration_config_equal(&a, &b));
    b = a;
    b.url = NULL;
    assert_false(integration_config_equal(&a, &b));
    b = a;
    b.set = 1;
    assert_false(integration_config_equal(&a, &b));
    b = a;
    b.enabled = true;
    assert_false(integration_config_equal(&a, &b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_has_its_fields),
        cmocka_unit_test(values),
        cmocka_unit_test(numbers_and_truths),
        cmocka_unit_test(equal_is_what_says_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
