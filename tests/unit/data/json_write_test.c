#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <float.h>
#include <string.h>

#include "base/prng.h"
#include "data/json.h"

static void expect(const char *text, const char *written)
{
    json_t *json = NULL;
    struct err e = ERR_INIT;
    struct strbuf out = STRBUF_INIT(65536);
    assert_int_equal(json_read(str_c(text), NULL, &json, &e), 0);
    json_write(json, &out);
    assert_int_equal(strbuf_error(&out), 0);
    assert_string_equal(strbuf_str(&out).at, written);
    json_decref(json);
    strbuf_deinit(&out);
}

static void writes_compactly_in_order(void **state)
{
    (void)state;
    expect(" { \"z\" : [ 1 , true , false , null ] , \"a\" : { } } ",
           "{\"z\":[1,true,false,null],\"a\":{}}");
    expect("[]", "[]");
    expect("\"x\"", "\"x\"");
    expect("{\"\":{\"k\":[[]]}}", "{\"\":{\"k\":[[]]}}");
}

static void escapes_strings(void **state)
{
    (void)state;
    expect("\"\\u003c\\\"\\\\\\/\\b\\f\\n\\r\\t\\u001f\\u007f\"",
           "\"<\\\"\\\\/\\b\\f\\n\\r\\t\\u001f\\u007f\"");
    expect("\"\\u2028\\ud83d\\ude00\xC3\xBC\"",
           "\"\\u2028\xF0\x9F\x98\x80\xC3\xBC\"");
}

static void writes_numbers_shortly(void **state)
{
    (void)state;
    expect("0.1", "0.1");
    expect("95.0", "95.0");
    expect("95", "95");
    expect("-0", "0");
    expect("-0.0", "-0.0");
    expect("1e2", "100.0");
    expect("1e300", "1e+300");
    expect("5e-324", "4.94065645841247e-324");
    expect("0.30000000000000004", "0.30000000000000004");
    expect("1795465699.152", "1795465699.152");
    expect("-9223372036854775808", "-9223372036854775808");
}

static void reals_read_back_the_same(void **state)
{
    (void)state;
    struct prng p;
    prng_seed(&p, 3);
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = prng_next(&p);
        double value = 0;
        memcpy(&value, &bits, sizeof(value));
        if (!(value >= -DBL_MAX && value <= DBL_MAX)) {
            continue;
        }
        json_t *json = json_real(value);
        json_t *back = NULL;
        struct err e = ERR_INIT;
        struct strbuf out = STRBUF_INIT(64);
        json_write(json, &out);
        assert_int_equal(json_read(strbuf_str(&out), NULL, &back, &e), 0);
        assert_true(json_is_real(back));
        assert_memory_equal(&(double){json_real_value(back)}, &value,
                            sizeof(value));
        json_decref(json);
        json_decref(back);
        strbuf_deinit(&out);
    }
}

static void stops_at_the_limit_of_the_buffer(void **state)
{
    (void)state;
    json_t *json = NULL;
    struct err e = ERR_INIT;
    struct strbuf out = STRBUF_INIT(5);
    assert_int_equal(json_read(STR("[1,2,3]"), NULL, &json, &e), 0);
    json_write(json, &out);
    assert_int_equal(strbuf_error(&out), -E2BIG);
    json_decref(json);
    strbuf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_compactly_in_order),
        cmocka_unit_test(escapes_strings),
        cmocka_unit_test(writes_numbers_shortly),
        cmocka_unit_test(reals_read_back_the_same),
        cmocka_unit_test(stops_at_the_limit_of_the_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
