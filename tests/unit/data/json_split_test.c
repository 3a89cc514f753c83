#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "data/json.h"

/* Splits, joins what comes with "|", ends with ";" or the error. */
static void expect(struct str text, enum json_form form, const char *expected)
{
    struct json_split s;
    struct str element = STR_NULL;
    struct err e = ERR_INIT;
    struct strbuf got = STRBUF_INIT(4096);
    uint32_t count = 0;
    int r = 0;
    json_split_init(&s, text, form);
    while ((r = json_split_next(&s, &element, &e)) == 1) {
        assert_int_equal(s.index, count);
        strbuf_addf(&got, "%.*s|", STR_ARG(element));
        count++;
    }
    if (r < 0) {
        assert_int_equal(r, -EBADMSG);
        strbuf_addf(&got, "%s @%u:%u", e.message, e.at.line, e.at.column);
    } else {
        strbuf_addch(&got, ';');
    }
    assert_string_equal(strbuf_str(&got).at, expected);
    assert_int_equal(json_split_next(&s, &element, &e), 0);
    strbuf_deinit(&got);
}

static void splits_arrays(void **state)
{
    (void)state;
    expect(STR("[]"), JSON_FORM_ARRAY, ";");
    expect(STR(" [ ] \n"), JSON_FORM_ARRAY, ";");
    expect(STR("[1]"), JSON_FORM_ARRAY, "1|;");
    expect(STR("[ {\"a\":[1,2]} , \"x,]\\\"[\" ,\n3 ]"), JSON_FORM_ARRAY,
           "{\"a\":[1,2]}|\"x,]\\\"[\"|3|;");
    expect(STR("[[],[[]],{}]"), JSON_FORM_ARRAY, "[]|[[]]|{}|;");
}

static void refuses_broken_arrays(void **state)
{
    (void)state;
    expect(STR(""), JSON_FORM_ARRAY, "not valid JSON: expected an array @1:1");
    expect(STR("{}"), JSON_FORM_ARRAY,
           "not valid JSON: expected an array @1:1");
    expect(STR("["), JSON_FORM_ARRAY,
           "not valid JSON: the array has no end @1:2");
    expect(STR("[1"), JSON_FORM_ARRAY,
           "not valid JSON: the array has no end @1:3");
    expect(STR("[1,"), JSON_FORM_ARRAY,
           "1|not valid JSON: the array has no end @1:4");
    expect(STR("[1,\n,2]"), JSON_FORM_ARRAY,
           "1|not valid JSON: expected a value @2:1");
    expect(STR("[1,]"), JSON_FORM_ARRAY,
           "1|not valid JSON: expected a value @1:4");
    expect(STR("[,1]"), JSON_FORM_ARRAY,
           "not valid JSON: expected a value @1:2");
    expect(STR("[1]2"), JSON_FORM_ARRAY,
           "1|not valid JSON: something stands behind the array @1:4");
    expect(STR("[\"abc"), JSON_FORM_ARRAY,
           "not valid JSON: the array has no end @1:6");
    expect(STR("[\"abc\\"), JSON_FORM_ARRAY,
           "not valid JSON: the array has no end @1:7");
    expect(STR("[{]"), JSON_FORM_ARRAY,
           "not valid JSON: the array has no end @1:4");
}

static void splits_lines(void **state)
{
    (void)state;
    expect(STR(""), JSON_FORM_LINES, ";");
    expect(STR("\n\r\n  \n"), JSON_FORM_LINES, ";");
    expect(STR("{\"a\":1}"), JSON_FORM_LINES, "{\"a\":1}|;");
    expect(STR("{\"a\":1}\n{\"b\":2}\r\n\n {\"c\":3} \n"), JSON_FORM_LINES,
           "{\"a\":1}|{\"b\":2}|{\"c\":3}|;");
    expect(STR("broken\n{}\n"), JSON_FORM_LINES, "broken|{}|;");
}

static void tells_the_form(void **state)
{
    (void)state;
    assert_int_equal(json_form_of(STR(" \n[1]")), JSON_FORM_ARRAY);
    assert_int_equal(json_form_of(STR("{}")), JSON_FORM_LINES);
    assert_int_equal(json_form_of(STR("")), JSON_FORM_LINES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(splits_arrays),
        cmocka_unit_test(refuses_broken_arrays),
        cmocka_unit_test(splits_lines),
        cmocka_unit_test(tells_the_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
