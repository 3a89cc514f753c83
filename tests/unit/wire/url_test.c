#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "base/strbuf.h"
#include "wire/url.h"

static struct arena arena;

static int teardown(void **state)
{
    (void)state;
    arena_deinit(&arena);
    return 0;
}

/* Parses a heap copy: nothing may borrow from it or read past it. */
static int parse(struct str target, struct url *ret, struct err *e)
{
    char *copy = mem_alloc(target.len + 1, 1);
    if (target.len != 0) {
        memcpy(copy + 1, target.at, target.len);
    }
    *e = ERR_INIT;
    int r = url_parse(str_n(copy + 1, target.len), &arena, ret, e);
    mem_free(copy);
    return r;
}

static struct url must_parse(const char *target)
{
    struct url u = {0};
    struct err e;
    if (parse(str_c(target), &u, &e) < 0) {
        fail_msg("%s: %s", target, e.message);
    }
    return u;
}

static void decodes_once(void **state)
{
    (void)state;
    struct url u = must_parse("/api/a%20b%C3%BC/%252f+?q=a%26b+c%2Bd&e=&f");
    assert_true(str_eq(u.path, STR("/api/a b\xC3\xBC/%2f+")));
    assert_int_equal(u.param_count, 3);
    assert_true(str_eq(u.params[0].name, STR("q")));
    assert_true(str_eq(u.params[0].value, STR("a&b c+d")));
    assert_true(str_eq(u.params[1].name, STR("e")));
    assert_int_equal(u.params[1].value.len, 0);
    assert_true(str_eq(u.params[2].name, STR("f")));
    assert_int_equal(u.params[2].value.len, 0);
}

static void accepts_plain_targets(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "/",        "/a",    "/a/",         "/a?",       "/a?&&",
        "/.a/..b",  "/a...", "/-/ready",    "/a?x=/../", "/a?x=;\\",
        "/a?x=1=2", "/a%25", "/a?x=%2F%5C",
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        (void)must_parse(cases[i]);
    }
}

static void refuses_paths_with_two_readings(void **state)
{
    (void)state;
    static const struct str cases[] = {
        STR(""),
        STR("a"),
        STR("http://h/a"),
        STR("*"),
        STR("//"),
        STR("//a"),
        STR("/a//b"),
        STR("/a//"),
        STR("/./a"),
        STR("/a/."),
        STR("/a/./"),
        STR("/../a"),
        STR("/a/.."),
        STR("/a/../b"),
        STR("/a/%2e%2e/b"),
        STR("/a/%2E/b"),
        STR("/%2e"),
        STR("/a/.%2e"),
        STR("/a%2Fb"),
        STR("/a%2fb"),
        STR("/a%5Cb"),
        STR("/a%5cb"),
        STR("/a\\b"),
        STR("/a;b"),
        STR("/a%3Bb"),
        STR("/a%00"),
        STR("/a\0b"),
        STR("/a%0a"),
        STR("/a\x7f"),
        STR("/a%1b"),
        STR("/a%"),
        STR("/a%2"),
        STR("/a%zz"),
        STR("/a%ff"),
        STR("/a%c0%af"),
        STR("/\xff"),
        STR("/a%ed%a0%80"),
        STR("/a#b"),
        STR("/a?x=1#b"),
        STR("?x=1"),
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct url u = {0};
        struct err e;
        if (parse(cases[i], &u, &e) != -EINVAL) {
            fail_msg("%.*s", STR_ARG(cases[i]));
        }
        assert_true(e.message[0] != '\0');
        assert_null(u.path.at);
    }
}

static void refuses_odd_queries(void **state)
{
    (void)state;
    static const struct str cases[] = {
        STR("/a?=1"),    STR("/a?x=%00"), STR("/a?x=\0"),
        STR("/a?x=%ff"), STR("/a?%ff=1"), STR("/a?x=%"),
        STR("/a?x=%4"),  STR("/a?%=1"),   STR("/a?a=1&=2"),
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct url u = {0};
        struct err e;
        assert_int_equal(parse(cases[i], &u, &e), -EINVAL);
    }
}

static void meets_its_limits(void **state)
{
    (void)state;
    struct strbuf text = STRBUF_INIT(65536);
    struct url u = {0};
    struct err e;
    strbuf_addc(&text, "/a?a");
    for (int i = 1; i < URL_PARAMS_MAX; i++) {
        strbuf_addc(&text, "&a");
    }
    assert_int_equal(parse(strbuf_str(&text), &u, &e), 0);
    assert_int_equal(u.param_count, URL_PARAMS_MAX);
    strbuf_addc(&text, "&a");
    assert_int_equal(parse(strbuf_str(&text), &u, &e), -E2BIG);
    strbuf_reset(&text);
    strbuf_addc(&text, "/");
    while (text.len < URL_TARGET_MAX_BYTES) {
        strbuf_addch(&text, 'a');
    }
    assert_int_equal(parse(strbuf_str(&text), &u, &e), 0);
    strbuf_addch(&text, 'a');
    assert_int_equal(parse(strbuf_str(&text), &u, &e), -E2BIG);
    assert_int_equal(url_parse_path(strbuf_str(&text), &arena, &u, &e), -E2BIG);
    assert_int_equal(url_parse_query(strbuf_str(&text), &arena, &u, &e),
                     -E2BIG);
    strbuf_deinit(&text);
}

static void names_unknown_parameters(void **state)
{
    (void)state;
    static const char *const names[] = {"limit", "since", "status"};
    struct url u = must_parse("/a?limit=1&since=1h&limit=2");
    struct err e = ERR_INIT;
    assert_int_equal(url_check_names(&u, names, ARRAY_LEN(names), &e), 0);
    u = must_parse("/a?limit=1&statsu=failed");
    assert_int_equal(url_check_names(&u, names, ARRAY_LEN(names), &e), -EINVAL);
    assert_string_equal(e.message, "unknown query parameter 'statsu'");
    assert_string_equal(e.field, "statsu");
    assert_string_equal(e.hint, "did you mean 'status'?");
}

static void reads_typed_values(void **state)
{
    (void)state;
    static const char *const words[] = {"queued", "failed"};
    const struct url_range range = {1, 1000};
    struct url u = must_parse("/a?s=x&b=true&n=1000&w=failed&t=1h&f=false");
    struct err e = ERR_INIT;
    struct str s = STR_NULL;
    bool b = false;
    uint64_t n = 0;
    size_t w = 0;
    assert_int_equal(url_get_str(&u, "s", &s, &e), 1);
    assert_true(str_eq(s, STR("x")));
    assert_int_equal(url_get_bool(&u, "b", &b, &e), 1);
    assert_true(b);
    assert_int_equal(url_get_bool(&u, "f", &b, &e), 1);
    assert_false(b);
    assert_int_equal(url_get_u64(&u, "n", range, &n, &e), 1);
    assert_int_equal(n, 1000);
    assert_int_equal(url_get_word(&u, "w", words, 2, &w, &e), 1);
    assert_int_equal(w, 1);
    assert_int_equal(url_get_since(&u, "t", 7200000, &n, &e), 1);
    assert_int_equal(n, 3600000);
    assert_int_equal(url_get_str(&u, "z", &s, &e), 0);
    assert_int_equal(url_get_bool(&u, "z", &b, &e), 0);
    assert_int_equal(url_get_u64(&u, "z", range, &n, &e), 0);
    assert_int_equal(url_get_word(&u, "z", words, 2, &w, &e), 0);
    assert_int_equal(url_get_since(&u, "z", 1, &n, &e), 0);
}

static void refuses_wrong_values(void **state)
{
    (void)state;
    static const char *const words[] = {"queued", "failed"};
    const struct url_range range = {1, 1000};
    struct err e = ERR_INIT;
    struct str s = STR_NULL;
    bool b = false;
    uint64_t n = 77;
    size_t w = 0;
    struct url u = must_parse("/a?n=0&m=x&b=yes&w=done&t=soon&d=1&d=2&e=");
    assert_int_equal(url_get_u64(&u, "n", range, &n, &e), -ERANGE);
    assert_string_equal(
        e.message,
        "query parameter 'n': expected a number from 1 to 1000, got '0'");
    assert_string_equal(e.field, "n");
    assert_int_equal(url_get_u64(&u, "m", range, &n, &e), -EINVAL);
    assert_int_equal(url_get_u64(&u, "e", range, &n, &e), -EINVAL);
    assert_int_equal(n, 77);
    assert_int_equal(url_get_bool(&u, "b", &b, &e), -EINVAL);
    assert_string_equal(
        e.message, "query parameter 'b': expected true or false, got 'yes'");
    assert_int_equal(url_get_word(&u, "w", words, 2, &w, &e), -EINVAL);
    assert_string_equal(
        e.message, "query parameter 'w': expected queued, failed, got 'done'");
    assert_int_equal(url_get_since(&u, "t", 1, &n, &e), -EINVAL);
    assert_int_equal(url_get_str(&u, "d", &s, &e), -EINVAL);
    assert_string_equal(e.message, "query parameter 'd' is given twice");
}

static void repeated_parameters_can_be_walked(void **state)
{
    (void)state;
    struct url u = must_parse("/a?f=1&g=2&f=3");
    uint32_t cursor = 0;
    assert_true(str_eq(url_next(&u, "f", &cursor)->value, STR("1")));
    assert_true(str_eq(url_next(&u, "f", &cursor)->value, STR("3")));
    assert_null(url_next(&u, "f", &cursor));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decodes_once),
        cmocka_unit_test(accepts_plain_targets),
        cmocka_unit_test(refuses_paths_with_two_readings),
        cmocka_unit_test(refuses_odd_queries),
        cmocka_unit_test(meets_its_limits),
        cmocka_unit_test(names_unknown_parameters),
        cmocka_unit_test(reads_typed_values),
        cmocka_unit_test(refuses_wrong_values),
        cmocka_unit_test(repeated_parameters_can_be_walked),
    };
    return cmocka_run_group_tests(tests, NULL, teardown);
}
