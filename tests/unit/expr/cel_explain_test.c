#include "expr/cel_explain.h"

#include "tests/unit/expr/cel_cases.h"

/* What an explanation says of every term, and that it is the evaluation. */

static const struct cel_variable variables[] = {
    {{"labels", 6}, &cel_type_dyn},
    {{"n", 1}, &cel_type_int},
};

static const struct cel_env env = {.variables = variables,
                                   .variable_count = ARRAY_LEN(variables),
                                   .limits = CEL_LIMITS_DEFAULT};

/* labels: {"a": "x"}; n: 5. */
static struct cel_value variable(void *context, uint32_t index,
                                 struct cel_run *run)
{
    static const struct cel_entry entry = {
        {.kind = CEL_STRING, .more = 1, .text = "a"},
        {.kind = CEL_STRING, .more = 1, .text = "x"}};
    (void)context;
    return index == 0 ? cel_new_map(run, &entry, 1) : cel_int(5);
}

static const struct cel_input input = {.variable = variable};

static struct cel_program *compile(const char *expr, struct arena *a)
{
    struct cel_issue issue = CEL_ISSUE_INIT;
    struct cel_program *p = NULL;
    if (cel_program_new(&env, str_c(expr), a, &p, &issue) < 0) {
        fail_msg("%s: %s", expr, issue.err.message);
    }
    return p;
}

/* A line per term: its depth as spaces, its text, its value. */
static char *explained(const char *expr)
{
    struct arena a = ARENA_INIT;
    struct strbuf out = STRBUF_INIT(1UL << 16);
    struct cel_explanation e;
    struct cel_budget budget = CEL_BUDGET_DEFAULT;
    cel_program_explain(compile(expr, &a), &input, &budget, &a, &e);
    for (uint32_t i = 0; i < e.term_count; i++) {
        const struct cel_term *t = &e.terms[i];
        assert_memory_equal(expr + t->offset, t->text.at, t->text.len);
        strbuf_addf(&out, "%*s%.*s", (int)t->depth, "", STR_ARG(t->text));
        if (t->times != 1) {
            strbuf_addf(&out, " [%u]", t->times);
        }
        if (t->times != 0) {
            strbuf_addc(&out, " is ");
            cel_text_literal(t->value, &out);
        }
        strbuf_addch(&out, '\n');
    }
    arena_deinit(&a);
    return strbuf_take(&out);
}

static void check(const char *expr, const char *wanted)
{
    char *got = explained(expr);
    assert_string_equal(got, wanted);
    mem_free(got);
}

static void every_term_has_its_value(void **state)
{
    (void)state;
    check("labels.a == 'x' && n > 7", "labels.a == 'x' && n > 7 is false\n"
                                      " labels.a == 'x' is true\n"
                                      "  labels.a is \"x\"\n"
                                      " n > 7 is false\n"
                                      "  n is 5\n");
    check("(n + 1) * -2 < 0", "(n + 1) * -2 < 0 is true\n"
                              " (n + 1) * -2 is -12\n"
                              "  (n + 1) is 6\n"
                              "   n is 5\n");
    check("!!(-n < -3)", "!!(-n < -3) is true\n"
                         " -n is -5\n"
                         "  n is 5\n");
    check("!(n in [1, n])", "!(n in [1, n]) is false\n"
                            " (n in [1, n]) is true\n"
                            "  n is 5\n"
                            "  [1, n] is [1, 5]\n"
                            "   n is 5\n");
    check("labels.?b.orValue('y')", "labels.?b.orValue('y') is \"y\"\n"
                                    " labels.?b is optional.none()\n");
    check("has(labels.b)", "has(labels.b) is false\n");
    check("labels['a'].startsWith('x')", "labels['a'].startsWith('x') is true\n"
                                         " labels['a'] is \"x\"\n");
    check("true", "");
}

static void what_was_not_looked_at_has_none(void **state)
{
    (void)state;
    check("n > 7 && labels.a == 'x'", "n > 7 && labels.a == 'x' is false\n"
                                      " n > 7 is false\n"
                                      "  n is 5\n"
                                      " labels.a == 'x' [0]\n"
                                      "  labels.a [0]\n");
    check("n == 5 ? 'five' : string(n)", "n == 5 ? 'five' : string(n) is "
                                         "\"five\"\n"
                                         " n == 5 is true\n"
                                         "  n is 5\n"
                                         " string(n) [0]\n"
                                         "  n [0]\n");
}

static void errors_stand_where_they_arise(void **state)
{
    (void)state;
    check("labels.b == 'x' || n > 7",
          "labels.b == 'x' || n > 7 is error: no such key: 'b'\n"
          " labels.b == 'x' is error: no such key: 'b'\n"
          "  labels.b is error: no such key: 'b'\n"
          " n > 7 is false\n"
          "  n is 5\n");
}

static void macros_are_counted(void **state)
{
    (void)state;
    check("[1, 9, 3].all(i, i < n)", "[1, 9, 3].all(i, i < n) is false\n"
                                     " [1, 9, 3] is [1, 9, 3]\n"
                                     " i < n [2] is false\n"
                                     "  i [2] is 9\n"
                                     "  n [2] is 5\n");
    check("[1, 9].filter(i, i < n)", "[1, 9].filter(i, i < n) is [1]\n"
                                     " [1, 9] is [1, 9]\n"
                                     " i < n [2] is false\n"
                                     "  i [2] is 9\n"
                                     "  n [2] is 5\n");
    check("cel.bind(k, n, k + k)", "cel.bind(k, n, k + k) is 10\n"
                                   " n is 5\n"
                                   " k + k is 10\n"
                                   "  k is 5\n"
                                   "  k is 5\n");
}

static void many_terms_are_cut(void **state)
{
    struct arena a = ARENA_INIT;
    struct strbuf text = STRBUF_INIT(4096);
    struct cel_explanation e;
    struct cel_budget budget = CEL_BUDGET_DEFAULT;
    (void)state;
    for (unsigned i = 0; i < CEL_TERMS_MAX; i++) {
        strbuf_addf(&text, "%sn == %u", i == 0 ? "" : " || ", i + 6);
    }
    cel_program_explain(compile(strbuf_str(&text).at, &a), &input, &budget, &a,
                        &e);
    assert_int_equal(e.term_count, CEL_TERMS_MAX);
    assert_int_equal(e.left_out, 1 + 2 * CEL_TERMS_MAX - CEL_TERMS_MAX);
    assert_int_equal(e.value.kind, CEL_BOOL);
    strbuf_deinit(&text);
    arena_deinit(&a);
}

/* The same value from the same budget, however small that is. */
static void it_is_the_same_evaluation(void **state)
{
    static const char *const exprs[] = {
        "labels.a == 'x' && n > 7 || labels.b == 'y'",
        "[1, 2, 3].map(i, i * n).exists(j, j == 10) ? 'a' + labels.a : ''",
        "cel.bind(k, [n, n], k + k).size() == 4 && !has(labels.c)",
        "labels.a.matches('^[a-z]+$') && math.greatest([n, 2]) == 5",
        "{'a': labels.?a, ?'b': labels.?b}.size() / (n - 5)",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(exprs); i++) {
        struct arena a = ARENA_INIT;
        const struct cel_program *p = compile(exprs[i], &a);
        for (int64_t units = 0; units < 100; units++) {
            struct cel_budget one = {.units = units, .bytes = 4096};
            struct cel_budget two = one;
            struct cel_explanation e;
            struct strbuf x = STRBUF_INIT(4096);
            struct strbuf y = STRBUF_INIT(4096);
            cel_program_explain(p, &input, &one, &a, &e);
            cel_text_literal(e.value, &x);
            cel_text_literal(cel_program_spend(p, &input, &two, &a), &y);
            assert_string_equal(strbuf_str(&x).at, strbuf_str(&y).at);
            assert_int_equal(one.units, two.units);
            assert_int_equal(one.bytes, two.bytes);
            strbuf_deinit(&x);
            strbuf_deinit(&y);
        }
        arena_deinit(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_term_has_its_value),
        cmocka_unit_test(what_was_not_looked_at_has_none),
        cmocka_unit_test(errors_stand_where_they_arise),
        cmocka_unit_test(macros_are_counted),
        cmocka_unit_test(many_terms_are_cut),
        cmocka_unit_test(it_is_the_same_evaluation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
