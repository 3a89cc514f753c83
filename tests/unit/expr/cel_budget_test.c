#include <errno.h>

#include "tests/unit/expr/cel_cases.h"

/* Hostile expressions: each must end within its budget, and say so. */

#define SPENT "error: the expression used up its budget"

static const struct cel_env env = {.limits = CEL_LIMITS_DEFAULT};

static void assert_spent(const char *expr)
{
    char *got = cel_case_text(&env, NULL, CEL_BUDGET_DEFAULT, expr);
    if (strcmp(got, SPENT) != 0) {
        print_message("%s gives %s\n", expr, got);
    }
    assert_string_equal(got, SPENT);
    mem_free(got);
}

static void test_loops_end(void **state)
{
    (void)state;
    assert_spent("lists.range(1000).all(a, lists.range(1000).all(b, true))");
    assert_spent("lists.range(999).map(a, lists.range(999).map(b, b)).size() "
                 "== 1");
    assert_spent("lists.range(99999).exists(a, lists.range(9).size() == 1)");
    /* Nothing absorbs it. */
    assert_spent("lists.range(1000).all(a, lists.range(1000).all(b, true)) || "
                 "true");
    assert_spent("lists.range(1000).exists(a, lists.range(1000).all(b, "
                 "b >= 0) && false)");
}

/* x is `first`, then 39 times bound anew to `more`, and asked for in `last`. */
static void assert_binds_are_spent(const char *first, const char *more,
                                   const char *last)
{
    struct strbuf text = STRBUF_INIT(4096);
    for (int i = 0; i < 40; i++) {
        strbuf_addf(&text, "cel.bind(x, %s, ", i == 0 ? first : more);
    }
    strbuf_addc(&text, last);
    for (int i = 0; i < 40; i++) {
        strbuf_addch(&text, ')');
    }
    assert_spent(text.at);
    strbuf_deinit(&text);
}

static void test_doubling_ends(void **state)
{
    (void)state;
    assert_binds_are_spent("'ab'", "x + x", "x.size()");
    assert_binds_are_spent("[1]", "[x, x]", "x == x");
    assert_binds_are_spent("[1]", "[x, x]", "'%s'.format([x]).size()");
}

/* The same with maps: the types of these nest, too. */
static void test_nested_maps_end(void **state)
{
    (void)state;
    assert_binds_are_spent("{'a': 1}", "{'a': x, 'b': x}", "x == x");
}

/* Every name's type is a map that has the next name's type in it twice. */
static void test_types_end(void **state)
{
    struct strbuf text = STRBUF_INIT(4096);
    (void)state;
    for (int i = 0; i < 50; i++) {
        strbuf_addf(&text, "cel.bind(a%d, [][0], ", i);
    }
    for (int i = 0; i < 49; i++) {
        strbuf_addf(&text, "a%d == {a%d: a%d} && ", i, i + 1, i + 1);
    }
    strbuf_addc(&text, "a0 == a0");
    for (int i = 0; i < 50; i++) {
        strbuf_addch(&text, ')');
    }
    char *got = cel_case_text(&env, NULL, CEL_BUDGET_DEFAULT, text.at);
    assert_string_equal(got, "issue: 1:1: the types of this expression are too "
                             "large");
    mem_free(got);
    strbuf_deinit(&text);
}

static void test_growing_texts_end(void **state)
{
    (void)state;
    assert_spent("lists.range(10000).map(x, 'aaaaaaaaaaaaaaaaaaaaaaaa' + "
                 "string(x)).join('bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
                 "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb') == ''");
    assert_spent("cel.bind(x, lists.range(5000).map(i, 'a').join(), "
                 "x.replace('', x).size())");
    assert_spent("cel.bind(x, lists.range(9000).map(i, 'a').join(), "
                 "lists.range(9000).map(i, x.lastIndexOf(x + 'b')).size() + "
                 "lists.range(9000).map(i, x.indexOf('b')).size())");
}

static void test_patterns_end(void **state)
{
    (void)state;
    assert_spent("cel.bind(x, lists.range(5000).map(i, 'a').join(), "
                 "lists.range(99).all(i, !x.matches('(a*)*(a*)*(a*)*b')))");
    char *got =
        cel_case_text(&env, NULL, CEL_BUDGET_DEFAULT,
                      "cel.bind(x, lists.range(500).map(i, 'a').join(), "
                      "x.matches('(a*)*(a*)*(a*)*b'))");
    assert_string_equal(got, "false");
    mem_free(got);
    got = cel_case_text(&env, NULL, CEL_BUDGET_DEFAULT,
                        "'x'.matches('((a{900}){900}){900}')");
    assert_string_equal(got, "issue: 1:13: not a regular expression: the "
                             "pattern is too large: more than 2000 "
                             "instructions");
    mem_free(got);
}

/* No work is left over from a run that was given up, whichever of units and
 * bytes was used up first: the host would have it done again and again. */
static void test_a_spent_run_takes_all_units(void **state)
{
    static const struct cel_input nothing = {0};
    struct arena a = ARENA_INIT;
    struct cel_issue issue = CEL_ISSUE_INIT;
    struct cel_program *p = NULL;
    (void)state;
    assert_int_equal(
        cel_program_new(&env, STR("'a'.matches('b' + 'c')"), &a, &p, &issue),
        0);
    for (int i = 0; i < 2; i++) {
        struct cel_budget budget = {.units = i == 0 ? 30 : 100000,
                                    .bytes = i == 0 ? 1UL << 20 : 2000};
        struct cel_value v = cel_program_spend(p, &nothing, &budget, &a);
        assert_true(cel_is_error(v));
        assert_int_equal(budget.units, 0);
    }
    arena_deinit(&a);
}

static void test_json_and_globs_end(void **state)
{
    (void)state;
    assert_spent("lists.range(9999).all(x, json.decode('[[[1,2,3]]]') != 1)");
    assert_spent("cel.bind(x, lists.range(2000).map(i, 'a').join(), "
                 "lists.range(99).exists(i, x.glob('*a*a*a*a*b')))");
    assert_spent("lists.range(9000).map(i, [i]).map(x, json.encode(x)).join()."
                 "size() > 0 && lists.range(900).all(i, json.encode("
                 "lists.range(99)) != '')");
}

static void test_nesting_is_limited(void **state)
{
    static const char *const opens[] = {"(", "[", "{1: ", "-(", "size("};
    static const char *const closes[] = {")", "]", "}", ")", ")"};
    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(opens); k++) {
        for (int depth = 60; depth <= 900; depth += 840) {
            struct strbuf text = STRBUF_INIT(8192);
            struct arena a = ARENA_INIT;
            struct cel_node *root = NULL;
            struct cel_issue issue = CEL_ISSUE_INIT;
            for (int i = 0; i < depth; i++) {
                strbuf_addc(&text, opens[k]);
            }
            strbuf_addch(&text, '1');
            for (int i = 0; i < depth; i++) {
                strbuf_addc(&text, closes[k]);
            }
            int r = cel_parse(strbuf_str(&text), CEL_LIMITS_DEFAULT, &a, &root,
                              &issue);
            assert_int_equal(r, depth == 60 ? 0 : -E2BIG);
            arena_deinit(&a);
            strbuf_deinit(&text);
        }
    }
}

static void test_chains_are_limited(void **state)
{
    struct arena a = ARENA_INIT;
    struct cel_node *root = NULL;
    struct cel_issue issue = CEL_ISSUE_INIT;
    struct strbuf text = STRBUF_INIT(8192);
    (void)state;
    strbuf_addch(&text, '1');
    for (int i = 0; i < 1000; i++) {
        strbuf_addc(&text, "+1");
    }
    assert_int_equal(
        cel_parse(strbuf_str(&text), CEL_LIMITS_DEFAULT, &a, &root, &issue),
        -E2BIG);
    /* && and || are flat. */
    strbuf_reset(&text);
    strbuf_addch(&text, 't');
    for (int i = 0; i < 1000; i++) {
        strbuf_addc(&text, "||t");
    }
    issue = CEL_ISSUE_INIT;
    assert_int_equal(
        cel_parse(strbuf_str(&text), CEL_LIMITS_DEFAULT, &a, &root, &issue), 0);
    /* And all of it is. */
    while (text.len <= 4096) {
        strbuf_addch(&text, ' ');
    }
    issue = CEL_ISSUE_INIT;
    assert_int_equal(
        cel_parse(strbuf_str(&text), CEL_LIMITS_DEFAULT, &a, &root, &issue),
        -E2BIG);
    assert_string_equal(issue.err.message, "this expression is too long: 4097 "
                                           "bytes, at most 4096");
    strbuf_deinit(&text);
    arena_deinit(&a);
}

static void test_small_budgets_end_everything(void **state)
{
    static const char *const exprs[] = {
        "1 + 2",
        "'a' + 'b'",
        "[1, 2].map(x, x)",
        "{'a': 1}.a == 1",
        "'a'.matches('b' + 'c')",
        "'%s'.format([1])",
        "ip('::1') == ip('::1')",
        "optional.of(1).optMap(x, x)",
        "timestamp(0).getHours('+01:00')",
        "{'a': 1}.b",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(exprs); i++) {
        for (int64_t units = 0; units < 12; units++) {
            struct cel_budget budget = {units, 1000};
            char *got = cel_case_text(&env, NULL, budget, exprs[i]);
            assert_int_not_equal(strlen(got), 0);
            assert_true(units > 0 || strcmp(got, SPENT) == 0);
            mem_free(got);
        }
        for (size_t bytes = 0; bytes < 200; bytes += 8) {
            struct cel_budget budget = {1000, bytes};
            char *got = cel_case_text(&env, NULL, budget, exprs[i]);
            assert_int_not_equal(strlen(got), 0);
            mem_free(got);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loops_end),
        cmocka_unit_test(test_doubling_ends),
        cmocka_unit_test(test_nested_maps_end),
        cmocka_unit_test(test_types_end),
        cmocka_unit_test(test_growing_texts_end),
        cmocka_unit_test(test_patterns_end),
        cmocka_unit_test(test_a_spent_run_takes_all_units),
        cmocka_unit_test(test_json_and_globs_end),
        cmocka_unit_test(test_nesting_is_limited),
        cmocka_unit_test(test_chains_are_limited),
        cmocka_unit_test(test_small_budgets_end_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
