#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "base/strbuf.h"
#include "model/matcher.h"

static const struct {
    const char *text;
    const char *name;
    enum matcher_op op;
    const char *value;
} good[] = {
    /* classic */
    {"a=b", "a", MATCH_EQ, "b"},
    {" a != b ", "a", MATCH_NE, "b"},
    {"a=~\"web-.+\"", "a", MATCH_RE, "web-.+"},
    {"a!~b|c", "a", MATCH_NRE, "b|c"},
    {"a=", "a", MATCH_EQ, ""},
    {"a=\"\"", "a", MATCH_EQ, ""},
    {"a=b c, {d}", "a", MATCH_EQ, "b c, {d}"},
    {"a==b", "a", MATCH_EQ, "=b"},
    {"job:up=1", "job:up", MATCH_EQ, "1"},
    {"a=\"x\\\"y\\\\z\\n\"", "a", MATCH_EQ, "x\"y\\z\n"},
    {"a=~\"\\d+\"", "a", MATCH_RE, "\\d+"},
    {"a=~\\d+", "a", MATCH_RE, "\\d+"},
    {"a=\"\\t\"", "a", MATCH_EQ, "\\t"},
    {"a=b\\", "a", MATCH_EQ, "b\\"},
    {"a=\"\\x\\\"\"", "a", MATCH_EQ, "\\x\""},
    {"a=\"é\"", "a", MATCH_EQ, "é"},
    /* UTF-8 */
    {"\"a\"=b", "a", MATCH_EQ, "b"},
    {"\"a b\"=\"c\"", "a b", MATCH_EQ, "c"},
    {"app.kubernetes.io/name=x", "app.kubernetes.io/name", MATCH_EQ, "x"},
    {"ä=~\"x+\"", "ä", MATCH_RE, "x+"},
    {"1a=b", "1a", MATCH_EQ, "b"},
    {"\"a\"=\"\\t\\x41\\101\\u00e9\\U0001F600\"", "a", MATCH_EQ,
     "\tAAé\xF0\x9F\x98\x80"},
    {"\"a\"=~\"\\\\d+\"", "a", MATCH_RE, "\\d+"},
};

static void both_grammars(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct arena a = ARENA_INIT;
        struct err e = ERR_INIT;
        struct matcher m;
        if (matcher_parse(str_c(good[i].text), &a, &m, &e) < 0) {
            fail_msg("%s: %s", good[i].text, e.message);
        }
        assert_string_equal(m.name.at, good[i].name);
        assert_string_equal(m.value.at, good[i].value);
        assert_int_equal(m.op, good[i].op);
        assert_int_equal(m.pattern != NULL,
                         m.op == MATCH_RE || m.op == MATCH_NRE);
        matcher_deinit(&m);
        matcher_deinit(&m); /* twice is fine */
        arena_deinit(&a);
    }
}

static const struct {
    const char *text;
    unsigned column;
} bad[] = {
    {"", 1},
    {"   ", 1},
    {"a", 2},
    {"=b", 1},
    {"a b", 3},
    {"a~b", 2},
    {"a=\"b", 3},
    {"a=b\"c", 4},
    {"a=\"b\"c\"", 5},
    {"{a=b}", 1},
    {"\"a=b", 1},
    {"\"a\"=b c", 7},
    {"\"a\"=", 5},
    {"\"a\"=\"\\q\"", 7},
    {"\"a\"=\"\\x4\"", 9},
    {"\"a\"=\"\\uD800\"", 7},
    {"\"a\"=\"\\777\"", 7},
    {"\"\"=b", 1},
    {"ä=b,c", 5},
    {"\"a\"=\"\\x00\"", 1},
    {"\"a\"=\"\\xff\"", 1},
    {"a=~\"(\"", 0},
    {"a=~\"*\"", 0},
    {"a!~[", 0},
};

static void errors_have_their_column(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct arena a = ARENA_INIT;
        struct err e = ERR_INIT;
        struct matcher m;
        int r = matcher_parse(str_c(bad[i].text), &a, &m, &e);
        if (r != -EBADMSG || e.at.column != bad[i].column) {
            fail_msg("%s: %d, column %u: %s", bad[i].text, r, e.at.column,
                     e.message);
        }
        assert_true(e.message[0] != '\0');
        arena_deinit(&a);
    }
}

static void bytes_that_are_no_text(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    struct err e = ERR_INIT;
    struct matcher m;
    assert_int_equal(matcher_parse(STR("a=\xff"), &a, &m, &e), -EBADMSG);
    assert_int_equal(matcher_parse(STR("a=\0b"), &a, &m, &e), -EBADMSG);
    struct strbuf big = STRBUF_INIT(10000);
    strbuf_addc(&big, "a=");
    while (big.len <= 8192) {
        strbuf_addch(&big, 'x');
    }
    assert_int_equal(matcher_parse(strbuf_str(&big), &a, &m, &e), -E2BIG);
    strbuf_deinit(&big);
    arena_deinit(&a);
}

static const struct {
    const char *matcher;
    const char *value; /* of label a; NULL: absent */
    int holds;
} cases[] = {
    {"a=x", "x", 1},
    {"a=x", "xy", 0},
    {"a=x", NULL, 0},
    {"a=", NULL, 1},
    {"a=", "", 1},
    {"a=", "x", 0},
    {"a!=x", NULL, 1},
    {"a!=", NULL, 0},
    {"a!=x", "x", 0},
    {"a=~x|y", "y", 1},
    {"a=~x|y", "xy", 0},
    {"a=~x", "x\n", 0},
    {"a=~.*", NULL, 1},
    {"a=~.+", NULL, 0},
    {"a!~.+", NULL, 1},
    {"a!~x", "x", 0},
    {"a=~^x$", "x", 1},
    {"a=~^x$", "x\n", 0},
    {"a=~(?m)^x$", "x\ny", 0},
    {"a=~x(*ACCEPT)y", "xz", 0},
    {"a=~b)|(?:c", "c", -1},
    {"a=~é.", "éß", 1},
    {"a=~x\\K", "x", 1},
};

static void a_missing_label_is_empty_and_regexes_are_anchored(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena a = ARENA_INIT;
        struct err e = ERR_INIT;
        struct matcher m;
        struct label label = {STR("a"), str_c(cases[i].value)};
        struct labels l = {&label, cases[i].value != NULL ? 1 : 0};
        int r = matcher_parse(str_c(cases[i].matcher), &a, &m, &e);
        assert_int_equal(r < 0, cases[i].holds < 0);
        if (r == 0) {
            if (matcher_holds(&m, &l) != cases[i].holds) {
                fail_msg("%s on %s", cases[i].matcher, cases[i].value);
            }
            matcher_deinit(&m);
        }
        arena_deinit(&a);
    }
}

static int match(const char *pattern, struct str subject)
{
    struct err e = ERR_INIT;
    struct pattern *p = NULL;
    assert_int_equal(pattern_compile(str_c(pattern), &p, &e), 0);
    int r = pattern_matches(p, subject);
    pattern_free(p);
    return r;
}

/* Each would run for years, or eat the stack, without a limit. */
static void hostile_patterns_stop(void **state)
{
    (void)state;
    static char many[4096];
    memset(many, 'a', sizeof(many));
    many[sizeof(many) - 1] = '!';
    struct str s = str_n(many, sizeof(many));
    assert_int_equal(match("(a+)+", s), -E2BIG);
    assert_int_equal(match("(a|aa)+", s), -E2BIG);
    assert_int_equal(match("(.*)*[0-9]", s), -E2BIG);
    assert_int_equal(match("(?R)?a", s), -E2BIG);
    assert_int_equal(match("(*LIMIT_MATCH=4000000000)(a+)+", s), -E2BIG);
    assert_int_equal(match("[a-z]+!", s), 1);
    assert_int_equal(match("(?:a)*!", s), 1);
    assert_int_equal(match(".*", STR("\xff")), 0);
}

static void pattern_limits(void **state)
{
    (void)state;
    static char text[PATTERN_MAX_BYTES + 1];
    struct err e = ERR_INIT;
    struct pattern *p = NULL;
    memset(text, 'x', sizeof(text));
    assert_int_equal(pattern_compile(str_n(text, PATTERN_MAX_BYTES), &p, &e),
                     0);
    pattern_free(p);
    assert_int_equal(pattern_compile(str_n(text, sizeof(text)), &p, &e),
                     -E2BIG);
    memset(text, '(', 100);
    memset(text + 100, ')', 100);
    assert_int_equal(pattern_compile(str_n(text, 200), &p, &e), -EBADMSG);
    assert_int_equal(pattern_compile(STR("\\C"), &p, &e), -EBADMSG);
    assert_int_equal(pattern_compile(STR("a\xff"), &p, &e), -EBADMSG);
    assert_int_equal(pattern_compile(STR("((a{9999}){9999}){9999}"), &p, &e),
                     -EBADMSG);
    pattern_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_grammars),
        cmocka_unit_test(errors_have_their_column),
        cmocka_unit_test(bytes_that_are_no_text),
        cmocka_unit_test(a_missing_label_is_empty_and_regexes_are_anchored),
        cmocka_unit_test(hostile_patterns_stop),
        cmocka_unit_test(pattern_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
