#include <float.h>
#include <math.h>

#include "data/json.h"
#include "expr/cel_civil.h"
#include "expr/cel_json.h"
#include "expr/utf8.h"
#include "tests/unit/expr/cel_cases.h"

static struct cel_run plenty(struct arena *a)
{
    return (struct cel_run){.arena = a, .units = 1000000, .bytes = 1UL << 24};
}

/* Maps of all sizes find their keys, whatever kind of number asks. */
static void test_maps_find_keys(void **state)
{
    static const uint32_t sizes[] = {0, 1, 8, 9, 16, 17, 1000};
    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(sizes); k++) {
        struct arena a = ARENA_INIT;
        struct cel_run run = plenty(&a);
        struct cel_entry *entries = ARENA_ARRAY(&a, sizes[k], struct cel_entry);
        for (uint32_t i = 0; i < sizes[k]; i++) {
            entries[i].key = i % 2 == 0 ? cel_int(i) : cel_uint(i);
            entries[i].value = cel_int((int64_t)i * 10);
        }
        struct cel_value m = cel_new_map(&run, entries, sizes[k]);
        assert_int_equal(m.kind, CEL_MAP);
        assert_int_equal(cel_map_count(m.map), sizes[k]);
        for (uint32_t i = 0; i < sizes[k]; i++) {
            struct cel_value got;
            assert_true(cel_map_get(m.map, cel_double(i), CEL_NO_HINT, &got));
            assert_int_equal(got.i, i * 10);
            assert_true(cel_map_get(m.map, cel_uint(i), CEL_NO_HINT, &got));
            assert_true(cel_map_get(m.map, cel_int(i), CEL_NO_HINT, &got));
        }
        struct cel_value got;
        assert_false(cel_map_get(m.map, cel_int(-1), CEL_NO_HINT, &got));
        assert_false(cel_map_get(m.map, cel_double(0.5), CEL_NO_HINT, &got));
        assert_false(
            cel_map_get(m.map, cel_string(STR("0")), CEL_NO_HINT, &got));
        arena_deinit(&a);
    }
}

static void assert_double(double d, const char *wanted)
{
    struct strbuf b = STRBUF_INIT(100);
    cel_text_double(d, &b);
    assert_string_equal(b.at, wanted);
    strbuf_deinit(&b);
}

static void test_doubles_are_short(void **state)
{
    (void)state;
    assert_double(0.0, "0");
    assert_double(-0.0, "-0");
    assert_double(0.1, "0.1");
    assert_double(123.456, "123.456");
    assert_double(1e20, "100000000000000000000");
    assert_double(1e21, "1e+21");
    assert_double(0.000001, "0.000001");
    assert_double(1e-7, "1e-07");
    assert_double(DBL_MAX, "1.7976931348623157e+308");
    assert_double(5e-324, "5e-324");
    assert_double(NAN, "NaN");
    assert_double(-INFINITY, "-Infinity");
}

/* Every day from 1 to 9999 is the next one, and reads back. */
static void test_the_calendar_is_whole(void **state)
{
    (void)state;
    int64_t last = CEL_SECONDS_MIN / 86400 - 1;
    for (int64_t year = 1; year <= 9999; year++) {
        for (int month = 1; month <= 12; month++) {
            int64_t day = cel_civil_days(year, month, 1);
            struct cel_civil c = cel_civil_of(day * 86400 + 86399);
            assert_true(day > last);
            assert_true(c.year == year && c.month == month && c.day == 1);
            assert_true(c.hour == 23 && c.minute == 59 && c.second == 59);
            last = day;
        }
    }
    assert_int_equal(cel_civil_of(CEL_SECONDS_MIN).year, 1);
    assert_int_equal(cel_civil_of(CEL_SECONDS_MAX).yearday, 364);
    assert_int_equal(cel_civil_of(0).weekday, 4);
    assert_int_equal(cel_civil_of(-1).weekday, 3);
}

static void test_utf8(void **state)
{
    static const uint32_t characters[] = {
        0, 0x7F, 0x80, 0x7FF, 0x800, 0xD7FF, 0xE000, 0xFFFF, 0x10000, 0x10FFFF};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(characters); i++) {
        char text[4];
        size_t at = 0;
        size_t len = utf8_put(characters[i], text);
        assert_int_equal(utf8_next(str_n(text, len), &at), characters[i]);
        assert_int_equal(at, len);
    }
    size_t at = 0;
    assert_int_equal(utf8_next(STR("\xC0\x80"), &at), UTF8_BAD);
    assert_int_equal(at, 1);
    at = 0;
    assert_int_equal(utf8_next(STR("\xED\xA0\x80"), &at), UTF8_BAD);
    at = 0;
    assert_int_equal(utf8_next(STR("\xE2\x82"), &at), UTF8_BAD);
    assert_int_equal(utf8_count(STR("a\xC3\xA4\xFF")), 3);
    assert_int_equal(utf8_offset(STR("a\xC3\xA4"
                                     "b"),
                                 2),
                     3);
    assert_int_equal(utf8_offset(STR("ab"), 9), 2);
}

/* JSON in, JSON out. */
static void test_json(void **state)
{
    static const char text[] =
        "{\"a\":[1,2.5,null,true,\"x\"],\"b\":{\"c\":-9007199254740993}}";
    struct arena a = ARENA_INIT;
    struct err e = ERR_INIT;
    struct strbuf out = STRBUF_INIT(4096);
    json_t *json = NULL;
    (void)state;
    assert_int_equal(json_read(str_c(text), NULL, &json, &e), 0);
    cel_json_write(cel_json_read(json, &a), &out);
    assert_string_equal(out.at, text);
    json_decref(json);
    strbuf_deinit(&out);
    arena_deinit(&a);
}

static void assert_json(const char *expr, const char *wanted)
{
    static const struct cel_env env = {.limits = CEL_LIMITS_DEFAULT};
    struct arena a = ARENA_INIT;
    struct cel_issue issue = CEL_ISSUE_INIT;
    struct cel_program *p = NULL;
    struct strbuf out = STRBUF_INIT(1000);
    assert_int_equal(cel_program_new(&env, str_c(expr), &a, &p, &issue), 0);
    cel_json_write(cel_program_run(p, NULL, CEL_BUDGET_DEFAULT, &a), &out);
    assert_string_equal(out.at, wanted);
    strbuf_deinit(&out);
    arena_deinit(&a);
}

static void test_values_that_json_has_not(void **state)
{
    (void)state;
    assert_json("b'hi'", "\"aGk=\"");
    assert_json("[0.0/0.0, 1.0]", "[\"NaN\",1.0]");
    assert_json("{1: 2u, true: optional.none()}", "{\"1\":2,\"true\":null}");
    assert_json("optional.of(3)", "3");
    assert_json("[duration('90s'), timestamp(0), type(1), ip('::1')]",
                "[\"90s\",\"1970-01-01T00:00:00Z\",\"int\",\"::1\"]");
    assert_json("1 / 0", "null");
}

/* A host shows an object without building a map. */

struct fact {
    const char *name;
    int64_t size;
    uint32_t hints; /* how often a field came with its index */
};

static bool fact_get(const struct cel_map *m, struct cel_value key,
                     uint32_t hint, struct cel_value *ret)
{
    struct fact *f = (struct fact *)(uintptr_t)m->host;
    f->hints += hint != CEL_NO_HINT ? 1 : 0;
    if (hint == 0 || str_eq_c(cel_text(key), "name")) {
        *ret = cel_string(str_c(f->name));
        return true;
    }
    if (hint == 1 || str_eq_c(cel_text(key), "size")) {
        *ret = cel_int(f->size);
        return true;
    }
    return false;
}

static uint32_t fact_count(const struct cel_map *m)
{
    (void)m;
    return 2;
}

static struct cel_entry fact_at(const struct cel_map *m, uint32_t i)
{
    struct cel_entry e = {cel_string(i == 0 ? STR("name") : STR("size")),
                          cel_null()};
    (void)fact_get(m, e.key, i, &e.value);
    return e;
}

static struct cel_value fact_variable(void *context, uint32_t index,
                                      struct cel_run *run)
{
    static const struct cel_map_ops ops = {fact_get, fact_count, fact_at};
    (void)index;
    struct cel_map *m = cel_alloc(run, 1, sizeof(*m));
    if (m == NULL) {
        return cel_spent(run);
    }
    *m = (struct cel_map){.ops = &ops, .host = context};
    return cel_map_value(m);
}

static void test_host_objects(void **state)
{
    static const struct cel_field fields[] = {
        {.name = "name", .type = &cel_type_string},
        {.name = "size", .type = &cel_type_int}};
    static const struct cel_type type = {.kind = CEL_OBJECT,
                                         .name = {"fact", 4},
                                         .fields = fields,
                                         .field_count = 2};
    static const struct cel_variable variables[] = {{{"f", 1}, &type}};
    static const struct cel_env env = {.variables = variables,
                                       .variable_count = 1,
                                       .limits = CEL_LIMITS_DEFAULT};
    static const struct cel_case cases[] = {
        {"f.name == 'disk' && f.size > 3", "true"},
        {"has(f.name)", "true"},
        {"f.map(k, k)", "[\"name\", \"size\"]"},
        {"f", "{\"name\": \"disk\", \"size\": 7}"},
        {"f == {'size': 7, 'name': 'disk'}", "true"},
        {"size(f)", "2"},
        {"f['size']", "7"},
        {"'nope' in f", "false"},
    };
    struct fact fact = {"disk", 7, 0};
    struct cel_input input = {.variable = fact_variable, .context = &fact};
    (void)state;
    cel_cases_check(&env, &input, cases, ARRAY_LEN(cases));
    assert_true(fact.hints > 2);
}

/* A host that gives another kind than it declared is caught, not trusted. */
static struct cel_value liar(void *context, uint32_t index, struct cel_run *run)
{
    (void)context;
    (void)index;
    (void)run;
    return cel_int(0x41414141);
}

static void test_kinds_are_checked_again(void **state)
{
    static const struct cel_variable variables[] = {
        {{"s", 1}, &cel_type_string},
        {{"m", 1}, &cel_type_labels},
        {{"l", 1}, &cel_type_list_string}};
    static const struct cel_env env = {.variables = variables,
                                       .variable_count = 3,
                                       .limits = CEL_LIMITS_DEFAULT};
    static const struct cel_case cases[] = {
        {"s + 'a'", "error: no such overload: _+_(int, string)"},
        {"s.startsWith('a')", "error: no such overload: startsWith(int, "
                              "string)"},
        {"s.matches('a')", "error: no such overload: matches(int)"},
        {"m.x == 'a'", "error: type 'int' does not support field selection"},
        {"l.join()", "error: no such overload: join(int)"},
        {"l[0]", "error: no such overload: _[_](int, int)"},
        {"l.all(x, true)", "error: no such overload: a macro over(int)"},
    };
    struct cel_input input = {.variable = liar};
    (void)state;
    cel_cases_check(&env, &input, cases, ARRAY_LEN(cases));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_maps_find_keys),
        cmocka_unit_test(test_doubles_are_short),
        cmocka_unit_test(test_the_calendar_is_whole),
        cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_values_that_json_has_not),
        cmocka_unit_test(test_host_objects),
        cmocka_unit_test(test_kinds_are_checked_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
