#include <errno.h>

#include "tests/unit/expr/cel_cases.h"

/* A small world like the one that runbooks see. */
static const struct cel_field event_fields[] = {
    {.name = "source", .type = &cel_type_string},
    {.name = "value", .type = &cel_type_double},
    {.name = "count", .type = &cel_type_int},
    {.name = "labels", .type = &cel_type_labels},
    {.name = "at", .type = &cel_type_timestamp},
};
static const struct cel_type event_type = {.kind = CEL_OBJECT,
                                           .name = {"event", 5},
                                           .fields = event_fields,
                                           .field_count = 5};
static const struct cel_variable variables[] = {
    {{"event", 5}, &event_type},
    {{"parameters", 10}, &cel_type_map_dyn},
    {{"now", 3}, &cel_type_timestamp},
};
static const struct cel_env world = {
    .variables = variables, .variable_count = 3, .limits = CEL_LIMITS_DEFAULT};

static void check_issues(const struct cel_env *env,
                         const struct cel_case *cases, size_t count)
{
    cel_cases_check(env, NULL, cases, count);
}

static void test_mistakes_are_named(void **state)
{
    static const struct cel_case cases[] = {
        {"event.lables.x == 'a'", "issue: 1:7: there is no field 'lables' in "
                                  "event (did you mean labels?)"},
        {"evnt.source == 'a'", "issue: 1:1: undeclared reference to 'evnt' "
                               "(did you mean event?)"},
        {"critical", "issue: 1:1: undeclared reference to 'critical' (to "
                     "write a text, put it in quotes)"},
        {"event.value == 90", "issue: 1:13: no such overload: '==' between "
                              "double and int (write the number as 90.0)"},
        {"event.value * event.count > 1.0",
         "issue: 1:13: no such overload: '*' between double and int (convert "
         "one of them: double(x))"},
        {"event.source > 3", "issue: 1:14: no such overload: '>' between "
                             "string and int (convert the text, int(x), or "
                             "the number, string(x))"},
        {"event.source.startWith('a')",
         "issue: 1:14: undeclared reference to function 'startWith' (did you "
         "mean startsWith?)"},
        {"startsWith(event.source, 'a')",
         "issue: 1:1: undeclared reference to function 'startsWith' (it is "
         "written x.startsWith())"},
        {"event.source.matches(1)",
         "issue: 1:14: no such overload: string.matches(int) (there is "
         "string.matches(string))"},
        {"event.source && true",
         "issue: 1:7: no such overload: && takes a bool, not string (compare "
         "it with something, as in x == \"\")"},
        {"!event.source", "issue: 1:1: no such overload: '!' does not take "
                          "string (! takes a bool: compare first, as in x == "
                          "\"\")"},
        {"event.value.foo",
         "issue: 1:13: type 'double' does not support field selection"},
        {"event.labels.?a == 'b'",
         "issue: 1:17: no such overload: '==' between optional(string) and "
         "string (an optional becomes a value with .orValue(...))"},
        {"true ? 1 : 'a'", "issue: 1:6: no such overload: both results of ?: "
                           "must be of one type, not int and string (dyn(x) "
                           "lets a value be of any type)"},
        {"event.count.all(x, true)", "issue: 1:7: no such overload: only "
                                     "lists and maps can be gone through, not "
                                     "int"},
        {"math.greatest('a')",
         "issue: 1:15: no such overload: math.greatest takes numbers or one "
         "list of numbers, not string"},
        {"a = 1", "issue: 1:3: = has no place here (to compare, write ==)"},
        {"event.source == 'a' and true",
         "issue: 1:21: expected an operator or the end, not and"},
        {"$event", "issue: 1:1: $ has no place here (names stand bare here: "
                   "event.labels.severity)"},
        {"(1 + 2", "issue: 1:7: the expression ends here; expected \")\""},
        {"'abc", "issue: 1:1: this string is not closed"},
        {"'a\\d'", "issue: 1:3: this is no escape (a backslash itself is \\\\; "
                   "in r\"...\" backslashes stand for themselves)"},
        {"", "issue: 1:1: the expression is empty"},
        {"for", "issue: 1:1: for is a reserved word"},
        {"true\n  && nope", "issue: 2:6: undeclared reference to 'nope' (to "
                            "write a text, put it in quotes)"},
        {"size(1,)", "issue: 1:8: expected an argument, not )"},
        {"T{a: 1}", "issue: 1:2: messages cannot be made here: there are maps, "
                    "{\"key\": value}"},
    };
    (void)state;
    check_issues(&world, cases, ARRAY_LEN(cases));
}

static void test_a_condition_is_a_bool(void **state)
{
    struct cel_env env = world;
    env.result = &cel_type_bool;
    static const struct cel_case cases[] = {
        {"event.source", "issue: 1:7: this must give bool, and gives string (a "
                         "condition compares something, as in x == \"y\"; "
                         "texts are not true or false)"},
        {"parameters.x", "error: parameters has no value here"},
    };
    (void)state;
    check_issues(&env, cases, ARRAY_LEN(cases));
}

static void assert_type(const char *expr, const char *wanted)
{
    struct arena a = ARENA_INIT;
    struct cel_issue issue = CEL_ISSUE_INIT;
    struct cel_program *p = NULL;
    struct strbuf text = STRBUF_INIT(1000);
    int r = cel_program_new(&world, str_c(expr), &a, &p, &issue);
    if (r < 0) {
        print_message("%s: %s\n", expr, issue.err.message);
    }
    assert_int_equal(r, 0);
    cel_type_print(cel_program_type(p), &text);
    assert_string_equal(text.at, wanted);
    assert_string_equal(cel_program_text(p).at, expr);
    strbuf_deinit(&text);
    arena_deinit(&a);
}

static void test_types_are_found(void **state)
{
    (void)state;
    assert_type("1", "int");
    assert_type("[]", "list(dyn)");
    assert_type("[1, 'a']", "list(dyn)");
    assert_type("[[], [1]]", "list(list(int))");
    assert_type("{'a': [1u]}", "map(string, list(uint))");
    assert_type("{}.map(x, x)", "list(dyn)");
    assert_type("[1].map(x, string(x))", "list(string)");
    assert_type("event.labels.?a", "optional(string)");
    assert_type("event.labels[?'a'].orValue('')", "string");
    assert_type("optional.none()", "optional(dyn)");
    assert_type("[optional.none(), optional.of(1)]", "list(optional(int))");
    assert_type("[null, timestamp(0)]", "list(timestamp)");
    assert_type("now - event.at", "duration");
    assert_type("parameters.x + 1", "int");
    assert_type("parameters.x", "dyn");
    assert_type("math.greatest(1, 2)", "int");
    assert_type("math.greatest(1, 2.0)", "dyn");
    assert_type("type(1)", "type(int)");
    assert_type("true ? [] : [1]", "list(int)");
    assert_type("{'a': 1}.transformMap(k, v, 'x')", "map(string, string)");
    assert_type("event.labels.exists(k, v, v == k)", "bool");
    assert_type("event.exists(k, k == 'a')", "bool");
    assert_type("cel.bind(x, [1], x + x)", "list(int)");
    assert_type("regex.extract('a', 'b')", "optional(string)");
}

static void test_a_container_is_looked_up_first(void **state)
{
    static const struct cel_variable inside[] = {
        {{"a.b.x", 5}, &cel_type_int},
        {{"x", 1}, &cel_type_string},
        {{"a.y.z", 5}, &cel_type_int},
        {{"a.y", 3}, &cel_type_map_dyn},
    };
    struct cel_env env = {.variables = inside,
                          .variable_count = 4,
                          .container = {"a.b", 3},
                          .limits = CEL_LIMITS_DEFAULT};
    static const struct cel_case cases[] = {
        {"x + 1", "error: x has no value here"},
        {".x + 1", "issue: 1:4: no such overload: '+' between string and int "
                   "(convert the text, int(x), or the number, string(x))"},
        {"y.z + 1", "error: y.z has no value here"},
        {"y.q", "error: y has no value here"},
        {"['s'].exists(x, x == 's')", "true"},
    };
    (void)state;
    check_issues(&env, cases, ARRAY_LEN(cases));
}

static void assert_warnings(const char *expr, const char *first, uint32_t count)
{
    struct arena a = ARENA_INIT;
    struct cel_issue issue = CEL_ISSUE_INIT;
    struct cel_program *p = NULL;
    assert_int_equal(cel_program_new(&world, str_c(expr), &a, &p, &issue), 0);
    const struct cel_warnings *w = cel_program_warnings(p);
    if (w->count != count) {
        print_message("%s: %u warnings\n", expr, w->count);
    }
    assert_int_equal(w->count, count);
    if (count != 0) {
        assert_string_equal(w->items[0].err.message, first);
    }
    arena_deinit(&a);
}

static void test_unguarded_labels_are_warned_of(void **state)
{
    static const char a_missing[] =
        "unguarded label access: a may be missing, and the expression fails "
        "then";
    (void)state;
    assert_warnings("event.labels.a == 'x'", a_missing, 1);
    assert_warnings("event.labels['a'] == 'x'", a_missing, 1);
    assert_warnings("event.labels.a == 'x' || event.labels.b == 'y'", a_missing,
                    2);
    assert_warnings("has(event.labels.a) && event.labels.a == 'x'", NULL, 0);
    assert_warnings("event.labels.a == 'x' && has(event.labels.a)", NULL, 0);
    assert_warnings("'a' in event.labels && event.labels.a == 'x'", NULL, 0);
    assert_warnings("!has(event.labels.a) || event.labels.a == 'x'", NULL, 0);
    assert_warnings("has(event.labels.a) ? event.labels.a : ''", NULL, 0);
    assert_warnings("has(event.labels.a) ? '' : event.labels.a", a_missing, 1);
    assert_warnings("has(event.labels.b) && event.labels.a == 'x'", a_missing,
                    1);
    assert_warnings("event.labels.?a.orValue('') == 'x'", NULL, 0);
    assert_warnings("event.labels[?'a'].hasValue()", NULL, 0);
    assert_warnings("has(event.labels.a)", NULL, 0);
    assert_warnings("{'a': 1}.a == 1 && parameters.a == 1", NULL, 0);
}

static void test_a_caret_points_at_the_place(void **state)
{
    struct arena a = ARENA_INIT;
    struct cel_issue issue = CEL_ISSUE_INIT;
    struct cel_program *p = NULL;
    struct strbuf out = STRBUF_INIT(4000);
    struct str text = STR("'\xC3\xA4' == 'b' &&\nevent.lables.x");
    (void)state;
    assert_int_equal(cel_program_new(&world, text, &a, &p, &issue), -EBADMSG);
    assert_int_equal(issue.offset, 21);
    cel_issue_print(&issue, text, &out);
    assert_string_equal(out.at, "2:7: there is no field 'lables' in event\n"
                                "  event.lables.x\n"
                                "        ^\n"
                                "  did you mean labels?\n");
    strbuf_deinit(&out);
    arena_deinit(&a);
}

static void test_evaluation_errors_have_their_place(void **state)
{
    struct arena a = ARENA_INIT;
    struct cel_issue issue = CEL_ISSUE_INIT;
    struct cel_program *p = NULL;
    struct str text = STR("1 +\n 2 / 0");
    (void)state;
    assert_int_equal(cel_program_new(&world, text, &a, &p, &issue), 0);
    struct cel_value v = cel_program_run(p, NULL, CEL_BUDGET_DEFAULT, &a);
    assert_true(cel_is_error(v));
    cel_program_issue(p, v, &issue);
    assert_int_equal(issue.err.at.line, 2);
    assert_int_equal(issue.err.at.column, 4);
    assert_string_equal(issue.err.message, "division by zero");
    arena_deinit(&a);
}

static void test_unchecked_errors_wait(void **state)
{
    static const struct cel_env env = {.limits = CEL_LIMITS_DEFAULT,
                                       .is_unchecked = true};
    static const struct cel_case cases[] = {
        {"x", "error: undeclared reference to 'x'"},
        {"x || true", "true"},
        {"f(1) || true", "true"},
        {"f(1)", "error: no such overload: f(int)"},
        {"1 + 'a'", "error: no such overload: _+_(int, string)"},
        {"'a'.replace('a', 'b', 1, 2)",
         "error: no such overload: replace(string, string, string, int)"},
    };
    (void)state;
    check_issues(&env, cases, ARRAY_LEN(cases));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mistakes_are_named),
        cmocka_unit_test(test_a_condition_is_a_bool),
        cmocka_unit_test(test_types_are_found),
        cmocka_unit_test(test_a_container_is_looked_up_first),
        cmocka_unit_test(test_unguarded_labels_are_warned_of),
        cmocka_unit_test(test_a_caret_points_at_the_place),
        cmocka_unit_test(test_evaluation_errors_have_their_place),
        cmocka_unit_test(test_unchecked_errors_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
