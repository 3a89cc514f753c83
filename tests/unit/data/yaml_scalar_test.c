#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "data/yaml.h"

static struct yaml_doc *doc;

/* The node that `text` is. */
static const struct yaml_node *node(const char *text)
{
    struct err e = ERR_INIT;
    yaml_doc_freep(&doc);
    assert_int_equal(yaml_parse(str_c(text), NULL, &doc, &e), 0);
    return yaml_root(doc);
}

static int teardown(void **state)
{
    (void)state;
    yaml_doc_freep(&doc);
    return 0;
}

static void booleans(void **state)
{
    (void)state;
    static const char *const yes[] = {"true", "True", "TRUE"};
    static const char *const no[] = {"false", "False", "FALSE"};
    static const char *const texts[] = {"yes", "no", "on", "off",
                                        "y",   "n",  "1",  "'true'",
                                        "~",   "[]", "{}", "tRue"};
    struct err e = ERR_INIT;
    bool b = false;
    for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
        b = false;
        assert_int_equal(yaml_bool(node(yes[i]), &b, &e), 0);
        assert_true(b);
        assert_int_equal(yaml_bool(node(no[i]), &b, &e), 0);
        assert_false(b);
    }
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        e = ERR_INIT;
        b = true;
        assert_int_equal(yaml_bool(node(texts[i]), &b, &e), -EINVAL);
        assert_int_equal(e.at.line, 1);
        assert_true(b);
    }
    e = ERR_INIT;
    assert_int_equal(yaml_bool(node("yes"), &b, &e), -EINVAL);
    assert_string_equal(e.message, "expected true or false, got 'yes'");
    assert_non_null(strstr(e.hint, "true or false"));
    assert_int_equal(yaml_bool(node("'true'"), &b, &e), -EINVAL);
    assert_string_equal(e.message,
                        "expected true or false, got the text 'true'");
}

static void integers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t value;
    } good[] = {
        {"0", 0},
        {"42", 42},
        {"-42", -42},
        {"+7", 7},
        {"0x1F", 31},
        {"0o17", 15},
        {"-0", 0},
        {"9223372036854775807", INT64_MAX},
        {"-9223372036854775808", INT64_MIN},
    };
    static const char *const bad[] = {"1.0", "010",  "0x",   "0xG", "0o8",
                                      "1_0", "'42'", "1e3",  "-",   "+",
                                      "~",   "[1]",  "-0x1", "12a", "1:30"};
    static const char *const wide[] = {
        "9223372036854775808", "-9223372036854775809", "0xFFFFFFFFFFFFFFFFF"};
    struct err e = ERR_INIT;
    int64_t value = 0;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        assert_int_equal(
            yaml_int(node(good[i].text), INT64_MIN, INT64_MAX, &value, &e), 0);
        assert_true(value == good[i].value);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(
            yaml_int(node(bad[i]), INT64_MIN, INT64_MAX, &value, &e), -EINVAL);
    }
    for (size_t i = 0; i < ARRAY_LEN(wide); i++) {
        assert_int_equal(
            yaml_int(node(wide[i]), INT64_MIN, INT64_MAX, &value, &e), -ERANGE);
    }
    assert_int_equal(yaml_int(node("a: 5"), 1, 4, &value, &e), -EINVAL);
    assert_string_equal(e.message, "expected an integer, got a mapping");
    assert_int_equal(yaml_int(node("5"), 1, 4, &value, &e), -ERANGE);
    assert_string_equal(e.message, "5 is not between 1 and 4");
}

/* What counts as a number where another kind is wanted. */
static void numbers(void **state)
{
    (void)state;
    static const char *const good[] = {"0",     "1.5",  "-1.5e3", ".5",    "2.",
                                       "+1e-2", "0x10", "1E2",    "5e-324"};
    static const char *const bad[] = {".",       "e3",  ".inf",  ".nan", "nan",
                                      "inf",     "1e",  "1.5.5", "'1'",  "1 2",
                                      "0x1.8p1", "1e+", "--1"};
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        assert_string_equal(yaml_kind_text(node(good[i])), "a number");
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_string_equal(yaml_kind_text(node(bad[i])), "a text");
    }
}

static void strings_and_null(void **state)
{
    (void)state;
    static const char *const nulls[] = {"a:", "a: ~", "a: null", "a: Null",
                                        "a: NULL"};
    struct err e = ERR_INIT;
    struct str text = STR_NULL;
    assert_int_equal(yaml_string(node("010"), &text, &e), 0);
    assert_true(str_eq(text, STR("010")));
    assert_int_equal(yaml_string(node("''"), &text, &e), 0);
    assert_int_equal(text.len, 0);
    assert_int_equal(yaml_string(node("'null'"), &text, &e), 0);
    assert_int_equal(yaml_string(node("[x]"), &text, &e), -EINVAL);
    assert_string_equal(e.message, "expected a text, got a list");
    for (size_t i = 0; i < ARRAY_LEN(nulls); i++) {
        const struct yaml_node *n = yaml_get(node(nulls[i]), STR("a"));
        assert_true(yaml_is_null(n));
        assert_int_equal(yaml_string(n, &text, &e), -EINVAL);
        assert_string_equal(e.message, "expected a text, got nothing");
    }
    assert_false(yaml_is_null(node("''")));
    assert_false(yaml_is_null(node("[]")));
}

static void kinds_in_words(void **state)
{
    (void)state;
    assert_string_equal(yaml_kind_text(node("[a]")), "a list");
    assert_string_equal(yaml_kind_text(node("a: b")), "a mapping");
    assert_string_equal(yaml_kind_text(node("~")), "nothing");
    assert_string_equal(yaml_kind_text(node("True")), "true or false");
    assert_string_equal(yaml_kind_text(node("1e3")), "a number");
    assert_string_equal(yaml_kind_text(node("0x1f")), "a number");
    assert_string_equal(yaml_kind_text(node("'1'")), "a text");
    assert_string_equal(yaml_kind_text(node("yes")), "a text");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(booleans, teardown),
        cmocka_unit_test_teardown(integers, teardown),
        cmocka_unit_test_teardown(numbers, teardown),
        cmocka_unit_test_teardown(strings_and_null, teardown),
        cmocka_unit_test_teardown(kinds_in_words, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
