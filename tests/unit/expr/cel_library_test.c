#include "tests/unit/expr/cel_cases.h"

/* The table of functions is whole: what is in it can be called and is
 * documented. */
static void test_every_row_is_documented(void **state)
{
    size_t cursor = 0;
    size_t count = 0;
    const struct cel_function *row = NULL;
    (void)state;
    while ((row = cel_library_next(&cursor)) != NULL) {
        bool is_operator =
            row->name[0] == '_' || row->name[0] == '@' || row->name[1] == '_';
        assert_non_null(row->call);
        assert_non_null(row->result);
        assert_true(row->arg_count <= CEL_ARGS_MAX ||
                    row->arg_count == CEL_VARIADIC);
        assert_true(is_operator == (row->doc == NULL));
        for (uint32_t i = 0; i < row->arg_count && i < CEL_ARGS_MAX; i++) {
            assert_true(row->args[i] != NULL || row->arg_count == CEL_VARIADIC);
        }
        count++;
    }
    assert_true(count > 150);
}

static void test_nearest_names(void **state)
{
    static const struct cel_variable variables[] = {
        {{"event", 5}, &cel_type_map_dyn}};
    static const struct cel_env env = {.variables = variables,
                                       .variable_count = 1};
    struct arena a = ARENA_INIT;
    (void)state;
    assert_string_equal(cel_env_nearest(&env, STR("evnt"), false, &a), "event");
    assert_string_equal(cel_env_nearest(&env, STR("containsIp"), true, &a),
                        "containsIP");
    assert_null(cel_env_nearest(&env, STR("zzzzzz"), true, &a));
    arena_deinit(&a);
}

/* A host's own functions stand beside those of the library. */
static struct cel_value twice(struct cel_run *run, const struct cel_value *args)
{
    (void)run;
    return cel_int(args[0].i * 2);
}

static void test_host_functions(void **state)
{
    static const struct cel_function functions[] = {
        {"twice",
         CEL_STYLE_BOTH,
         1,
         {&cel_type_int},
         &cel_type_int,
         twice,
         "Two times it."},
        {"later",
         CEL_STYLE_GLOBAL,
         1,
         {&cel_type_int},
         &cel_type_int,
         NULL,
         "Checked here, called elsewhere."},
    };
    static const struct cel_env env = {.functions = functions,
                                       .function_count = 2,
                                       .limits = CEL_LIMITS_DEFAULT};
    static const struct cel_case cases[] = {
        {"twice(2) + 3.twice()", "10"},
        {"twice('a')", "issue: 1:1: no such overload: twice(string) (there is "
                       "twice(int))"},
        {"later(1)", "error: no such overload: later(int)"},
        {"twise(1)", "issue: 1:1: undeclared reference to function 'twise' "
                     "(did you mean twice?)"},
    };
    (void)state;
    cel_cases_check(&env, NULL, cases, ARRAY_LEN(cases));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_row_is_documented),
        cmocka_unit_test(test_nearest_names),
        cmocka_unit_test(test_host_functions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
