#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "base/strbuf.h"
#include "expr/template.h"

/* Gives "<path>" for every path but "missing". */
static int lookup(void *context, const struct template_part *part,
                  struct arena *a, struct str *ret, struct err *e)
{
    unsigned *calls = context;
    struct str path = part->text;
    (void)e;
    (*calls)++;
    assert_int_equal(part->kind, TEMPLATE_PATH);
    if (str_eq_c(path, "missing")) {
        return -ENOENT;
    }
    if (str_eq_c(path, "evil")) {
        *ret = STR("${{ secret }}");
        return 0;
    }
    char *text = arena_alloc(a, path.len + 3, 1);
    (void)snprintf(text, path.len + 3, "<%.*s>", STR_ARG(path));
    *ret = str_c(text);
    return 0;
}

static const struct {
    const char *text;
    const char *filled;
    unsigned calls;
} good[] = {
    {"", "", 0},
    {"plain $x ${y} {{ z }}", "plain $x ${y} {{ z }}", 0},
    {"${{a}}", "<a>", 1},
    {"x${{ a.b_1.C }}y", "x<a.b_1.C>y", 1},
    {"${{a}}${{\tb\n}}", "<a><b>", 2},
    {"${{ a[\"b\"] }}", "<a.b>", 1},
    {"${{ event.labels.in }}", "<event.labels.in>", 1},
    {"${{ a[\"b\"].c[\"d\"][\"e\"] }}", "<a.b.c.d.e>", 1},
    {"${{ a[\"b.c\"].d }}", "<a[\"b.c\"].d>", 1},
    {"${{ a[\"x-y\"][\"1\"] }}", "<a[\"x-y\"][\"1\"]>", 1},
    {"${{ a[\"}}\"] }}.", "<a[\"}}\"]>.", 1},
    {"${{ a }} }}", "<a> }}", 1},
    {"${{ evil }}", "${{ secret }}", 1}, /* never scanned again */
};

static void fills(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct arena a = ARENA_INIT;
        struct cel_issue issue = CEL_ISSUE_INIT;
        struct err e = ERR_INIT;
        struct template t;
        struct str out = STR_NULL;
        unsigned calls = 0;
        assert_int_equal(template_parse(str_c(good[i].text), &a, &t, &issue),
                         0);
        assert_int_equal(
            template_fill(&t, &(struct template_source){lookup, &calls}, 1000,
                          &a, &out, &e),
            0);
        assert_string_equal(out.at, good[i].filled);
        assert_int_equal(calls, good[i].calls);
        assert_int_equal(template_is_dynamic(str_c(good[i].text)),
                         good[i].calls != 0);
        arena_deinit(&a);
    }
}

static const struct {
    const char *text;
    unsigned column;
    const char *message; /* or hint */
} bad[] = {
    {"${{", 1, "not closed"},
    {"ab${{ }}", 3, "names nothing"},
    {"${{ a", 1, "not closed"},
    {"${{ a }", 1, "not closed"},
    {"x ${{ {'a': {'b': 1}} }", 3, "not closed"},
    {"${{ 'a }}", 5, ""},
    {"${{ ${{ a }} }}", 5, "does not nest"},
    {"${{ a # b }}", 7, ""},
};

static void errors_have_their_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct arena a = ARENA_INIT;
        struct cel_issue e = CEL_ISSUE_INIT;
        struct template t;
        int r = template_parse(str_c(bad[i].text), &a, &t, &e);
        if (r != -EBADMSG || e.err.at.column != bad[i].column ||
            (strstr(e.err.message, bad[i].message) == NULL &&
             strstr(e.err.hint, bad[i].message) == NULL)) {
            fail_msg("%s: %d, column %u: %s (%s)", bad[i].text, r,
                     e.err.at.column, e.err.message, e.err.hint);
        }
        arena_deinit(&a);
    }
}

/* ---- expressions --------------------------------------------------------- */

static const struct cel_variable variables[] = {
    {{"n", 1}, &cel_type_int},
    {{"s", 1}, &cel_type_string},
};

static const struct cel_env env = {.variables = variables,
                                   .variable_count = ARRAY_LEN(variables),
                                   .limits = CEL_LIMITS_DEFAULT};

/* n is 7; s is itself the text of a template. */
static struct cel_value variable(void *context, uint32_t index,
                                 struct cel_run *run)
{
    (void)context;
    (void)run;
    return index == 0 ? cel_int(7) : cel_string(STR("${{ n }} $(id)"));
}

static int eval_text(void *context, const struct template_part *part,
                     struct arena *a, struct str *ret, struct err *e)
{
    const struct cel_input input = {.variable = variable};
    struct cel_value v = cel_null();
    int r = template_eval(part, &input, context, a, &v, e);
    return r < 0 ? r : template_value_text(v, a, ret, e);
}

static int evaluate(const char *text, struct arena *a, struct str *ret,
                    struct err *e)
{
    struct template t;
    struct cel_issue issue = CEL_ISSUE_INIT;
    struct cel_budget budget = CEL_BUDGET_DEFAULT;
    struct template_source from = {eval_text, &budget};
    int r = template_parse(str_c(text), a, &t, &issue);
    for (uint32_t i = 0; r == 0 && i < t.count; i++) {
        if (t.parts[i].kind != TEMPLATE_TEXT) {
            r = template_compile(&t.parts[i], &env, str_c(text), a, &issue);
        }
    }
    if (r < 0) {
        *e = issue.err;
        return r;
    }
    return template_fill(&t, &from, 1000, a, ret, e);
}

static const struct {
    const char *text;
    const char *filled;
} expressions[] = {
    {"${{ n }}", "7"},
    {"${{n+1}}", "8"},
    {"${{   n   +   1   }}", "8"},
    {"${{ n +\n 1 }}", "8"},
    {"a${{ n > 5 ? 'x' : \"y\" }}b", "axb"},
    {"${{ '}}' }}", "}}"},
    {"${{ \"}}\" + s }}", "}}${{ n }} $(id)"},
    {"${{ {'a': {'b': 3}}.a.b }}", "3"},
    {"${{ {'a': {'b': 3}}['a']['b']}}}}", "3}}"},
    {"${{ s }}${{ s }}", "${{ n }} $(id)${{ n }} $(id)"},
    {"${{ 2.0 }} ${{ 0.1 }} ${{ true }} ${{ 3u }}", "2 0.1 true 3"},
    {"${{ duration('90s') }} ${{ duration('1500ms') }}", "90 1.5"},
    {"${{ timestamp(0) }}", "1970-01-01T00:00:00Z"},
    {"${{ optional.of('x') }}", "x"},
    {"${{ n }}${{ n + 1 }}${{ n + 2 }}", "789"},
};

static void expressions_are_filled_in_once_and_in_order(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(expressions); i++) {
        struct arena a = ARENA_INIT;
        struct err e = ERR_INIT;
        struct str out = STR_NULL;
        if (evaluate(expressions[i].text, &a, &out, &e) < 0 ||
            !str_eq_c(out, expressions[i].filled)) {
            fail_msg("%s: %.*s %u:%u: %s", expressions[i].text, STR_ARG(out),
                     e.at.line, e.at.column, e.message);
        }
        arena_deinit(&a);
    }
}

static const struct {
    const char *text;
    int result;
    unsigned line;
    unsigned column;
    const char *message; /* or hint */
} wrong[] = {
    {"ab ${{ m }}", -EBADMSG, 1, 8, "undeclared reference to 'm'"},
    {"ab ${{ m }}", -EBADMSG, 1, 8, "did you mean n"},
    {"a\n${{ n + s }}", -EBADMSG, 2, 7, "no such overload"},
    {"${{ s.a-b }}", -EBADMSG, 1, 7, "[\"a-b\"]"},
    {"${{ n + }}", -EBADMSG, 1, 8, "expected a value"},
    {"${{ s | s }}", -EBADMSG, 1, 7, ""},
    {"x${{ n / 0 }}", -ENODATA, 0, 0, "${{ n / 0 }} has no value: "},
    {"x${{ [n] }}", -EINVAL, 0, 0, "it gives a list, not one value"},
    {"x${{ null }}", -ENOENT, 0, 0, "null has no value"},
    {"x${{ optional.none() }}", -ENOENT, 0, 0, "has no value"},
};

static void wrong_expressions_say_where_and_why(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct arena a = ARENA_INIT;
        struct err e = ERR_INIT;
        struct str out = STR_NULL;
        int r = evaluate(wrong[i].text, &a, &out, &e);
        if (r != wrong[i].result || e.at.line != wrong[i].line ||
            e.at.column != wrong[i].column ||
            (strstr(e.message, wrong[i].message) == NULL &&
             strstr(e.hint, wrong[i].message) == NULL)) {
            fail_msg("%s: %d %u:%u: %s (%s)", wrong[i].text, r, e.at.line,
                     e.at.column, e.message, e.hint);
        }
        arena_deinit(&a);
    }
}

/* What a template takes altogether has one budget. */
static void the_budget_is_shared(void **state)
{
    (void)state;
    static const char one[] =
        "${{ [1,2,3,4,5,6,7,8].map(a, [1,2,3,4,5,6,7,8].map(b, "
        "[1,2,3,4,5,6,7,8].map(c, [1,2,3,4,5,6,7,8].map(d, a * b * c * "
        "d)))).size() }}";
    struct arena a = ARENA_INIT;
    struct str out = STR_NULL;
    struct err e = ERR_INIT;
    struct strbuf many = STRBUF_INIT(64 * 1024);
    assert_int_equal(evaluate(one, &a, &out, &e), 0);
    for (unsigned i = 0; i < 20; i++) {
        strbuf_addc(&many, one);
    }
    assert_int_equal(evaluate(strbuf_str(&many).at, &a, &out, &e), -ENODATA);
    strbuf_deinit(&many);
    arena_deinit(&a);
}

static void parts_know_where_they_stand(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    struct cel_issue issue = CEL_ISSUE_INIT;
    struct template t;
    assert_int_equal(template_parse(STR("ab${{ c }}d"), &a, &t, &issue), 0);
    assert_int_equal(t.count, 3);
    assert_int_equal(t.parts[1].offset, 2);
    assert_int_equal(t.parts[2].offset, 10);
    arena_deinit(&a);
}

static void a_failed_look_up_names_the_path(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    struct cel_issue issue = CEL_ISSUE_INIT;
    struct err e = ERR_INIT;
    struct template t;
    struct str out = STR_NULL;
    unsigned calls = 0;
    assert_int_equal(
        template_parse(STR("${{ a }}${{ missing }}${{ b }}"), &a, &t, &issue),
        0);
    assert_int_equal(template_fill(&t,
                                   &(struct template_source){lookup, &calls},
                                   1000, &a, &out, &e),
                     -ENOENT);
    assert_int_equal(calls, 2);
    assert_string_equal(e.field, "missing");
    assert_null(out.at);
    arena_deinit(&a);
}

static void limits(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    struct cel_issue issue = CEL_ISSUE_INIT;
    struct err e = ERR_INIT;
    struct template t;
    struct str out = STR_NULL;
    unsigned calls = 0;
    assert_int_equal(template_parse(STR("12${{ a }}"), &a, &t, &issue), 0);
    assert_int_equal(template_fill(&t,
                                   &(struct template_source){lookup, &calls}, 5,
                                   &a, &out, &e),
                     0);
    assert_int_equal(template_fill(&t,
                                   &(struct template_source){lookup, &calls}, 4,
                                   &a, &out, &e),
                     -E2BIG);
    static char text[TEMPLATE_PATH_MAX_BYTES + 16];
    for (size_t extra = 0; extra < 2; extra++) {
        size_t path = TEMPLATE_PATH_MAX_BYTES + extra;
        memcpy(text, "${{", 3);
        memset(text + 3, 'a', path);
        memcpy(text + 3 + path, "}}", 3);
        assert_int_equal(template_parse(str_c(text), &a, &t, &issue), 0);
        assert_int_equal(t.parts[0].kind,
                         extra == 0 ? TEMPLATE_PATH : TEMPLATE_EXPR);
    }
    arena_deinit(&a);
}

static void paths_come_apart_again(void **state)
{
    (void)state;
    static const char *const segments[] = {"event", "labels", "a.b", "c",
                                           "x-y"};
    struct str path = STR("event.labels[\"a.b\"].c[\"x-y\"]");
    struct str segment = STR_NULL;
    for (size_t i = 0; i < ARRAY_LEN(segments); i++) {
        assert_true(template_path_next(&path, &segment));
        assert_true(str_eq_c(segment, segments[i]));
    }
    assert_false(template_path_next(&path, &segment));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fills),
        cmocka_unit_test(errors_have_their_place),
        cmocka_unit_test(expressions_are_filled_in_once_and_in_order),
        cmocka_unit_test(wrong_expressions_say_where_and_why),
        cmocka_unit_test(the_budget_is_shared),
        cmocka_unit_test(parts_know_where_they_stand),
        cmocka_unit_test(a_failed_look_up_names_the_path),
        cmocka_unit_test(limits),
        cmocka_unit_test(paths_come_apart_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
