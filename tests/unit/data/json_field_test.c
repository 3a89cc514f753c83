#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "data/json.h"

static const struct str document =
    STR("{\"s\":\"text\",\"b\":true,\"i\":42,\"r\":3.0,\"f\":3.5,"
        "\"big\":1e300,\"o\":{\"k\":1},\"a\":[1],\"null\":null}");

static int setup(void **state)
{
    struct err e = ERR_INIT;
    json_t *json = NULL;
    int r = json_read(document, NULL, &json, &e);
    *state = json;
    return r;
}

static int teardown(void **state)
{
    json_decref(*state);
    return 0;
}

static void gives_values(void **state)
{
    struct err e = ERR_INIT;
    struct str s = STR_NULL;
    bool b = false;
    int64_t i = 0;
    const json_t *json = NULL;
    struct json_range range = {0, 42};
    assert_int_equal(json_get_str(*state, "s", &s, &e), 1);
    assert_true(str_eq(s, STR("text")));
    assert_int_equal(json_get_bool(*state, "b", &b, &e), 1);
    assert_true(b);
    assert_int_equal(json_get_int(*state, "i", range, &i, &e), 1);
    assert_int_equal(i, 42);
    assert_int_equal(json_get_int(*state, "r", range, &i, &e), 1);
    assert_int_equal(i, 3);
    assert_int_equal(json_get_object(*state, "o", &json, &e), 1);
    assert_int_equal(json_object_size(json), 1);
    assert_int_equal(json_get_array(*state, "a", &json, &e), 1);
    assert_int_equal(json_array_size(json), 1);
}

static void absent_and_null_are_nothing(void **state)
{
    static const char *const names[] = {"missing", "null"};
    for (size_t n = 0; n < ARRAY_LEN(names); n++) {
        struct err e = ERR_INIT;
        struct str s = STR("kept");
        bool b = true;
        int64_t i = 7;
        const json_t *json = *state;
        struct json_range range = {0, 1};
        assert_int_equal(json_get_str(*state, names[n], &s, &e), 0);
        assert_int_equal(json_get_bool(*state, names[n], &b, &e), 0);
        assert_int_equal(json_get_int(*state, names[n], range, &i, &e), 0);
        assert_int_equal(json_get_object(*state, names[n], &json, &e), 0);
        assert_int_equal(json_get_array(*state, names[n], &json, &e), 0);
        assert_true(str_eq(s, STR("kept")) && b && i == 7);
        assert_ptr_equal(json, *state);
    }
}

static void wrong_types_name_field_and_types(void **state)
{
    struct err e = ERR_INIT;
    struct str s = STR_NULL;
    bool b = false;
    int64_t i = 0;
    const json_t *json = NULL;
    struct json_range range = {0, 100};
    assert_int_equal(json_get_str(*state, "i", &s, &e), -EINVAL);
    assert_string_equal(e.message, "i: expected a string, got a number");
    assert_string_equal(e.field, "i");
    assert_int_equal(json_get_bool(*state, "s", &b, &e), -EINVAL);
    assert_string_equal(e.message, "s: expected true or false, got a string");
    assert_int_equal(json_get_int(*state, "f", range, &i, &e), -EINVAL);
    assert_string_equal(e.message, "f: expected an integer, got a number");
    assert_int_equal(json_get_int(*state, "big", range, &i, &e), -EINVAL);
    assert_int_equal(json_get_object(*state, "a", &json, &e), -EINVAL);
    assert_string_equal(e.message, "a: expected an object, got an array");
    assert_int_equal(json_get_array(*state, "o", &json, &e), -EINVAL);
    assert_string_equal(e.message, "o: expected an array, got an object");
}

static void ranges_hold(void **state)
{
    struct err e = ERR_INIT;
    int64_t i = 7;
    assert_int_equal(
        json_get_int(*state, "i", (struct json_range){43, 99}, &i, &e),
        -ERANGE);
    assert_string_equal(e.message, "i: 42 is not between 43 and 99");
    assert_int_equal(
        json_get_int(*state, "i", (struct json_range){-1, 41}, &i, &e),
        -ERANGE);
    assert_int_equal(i, 7);
}

static void unknown_names_get_a_suggestion(void **state)
{
    static const char *const all[] = {"s", "b",   "i", "r",   "f",
                                      "o", "big", "a", "null"};
    static const char *const some[] = {"s", "b", "i",   "r",    "f",
                                       "o", "a", "big", "nulls"};
    struct err e = ERR_INIT;
    assert_int_equal(json_check_names(*state, all, ARRAY_LEN(all), &e), 0);
    assert_int_equal(json_check_names(*state, some, ARRAY_LEN(some), &e),
                     -EINVAL);
    assert_string_equal(e.message, "unknown field 'null'");
    assert_string_equal(e.field, "null");
    assert_string_equal(e.hint, "did you mean 'nulls'?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(gives_values, setup, teardown),
        cmocka_unit_test_setup_teardown(absent_and_null_are_nothing, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(wrong_types_name_field_and_types, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(ranges_hold, setup, teardown),
        cmocka_unit_test_setup_teardown(unknown_names_get_a_suggestion, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
