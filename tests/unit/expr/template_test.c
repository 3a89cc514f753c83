#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "expr/template.h"

/* Gives "<path>" for every path but "missing". */
static int lookup(void *context, struct str path, struct arena *a,
                  struct str *ret)
{
    unsigned *calls = context;
    (*calls)++;
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
        struct err e = ERR_INIT;
        struct template t;
        struct str out = STR_NULL;
        unsigned calls = 0;
        assert_int_equal(template_parse(str_c(good[i].text), &a, &t, &e), 0);
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
} bad[] = {
    {"${{", 1},
    {"ab${{ }}", 3},
    {"${{ a", 6},
    {"${{ a }", 7},
    {"${{ a.b- }}", 8},
    {"${{ a..b }}", 7},
    {"${{ .a }}", 5},
    {"${{ a. }}", 7},
    {"${{ a b }}", 7},
    {"${{ a[b] }}", 6},
    {"${{ a[\"b }}", 6},
    {"${{ a[\"\"] }}", 6},
    {"${{ a[\"b\\\"] }}", 9},
    {"${{ a[\"b\"c] }}", 6},
    {"${{ 1a }}", 5},
    {"${{ a | b }}", 7},
    {"${{ \"a\" }}", 5},
    {"${{ a[\"\n\"] }}", 8},
    {"${{ ${{ a }} }}", 5},
};

static void errors_have_their_column(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct arena a = ARENA_INIT;
        struct err e = ERR_INIT;
        struct template t;
        int r = template_parse(str_c(bad[i].text), &a, &t, &e);
        if (r != -EBADMSG || e.at.column != bad[i].column) {
            fail_msg("%s: %d, column %u: %s", bad[i].text, r, e.at.column,
                     e.message);
        }
        arena_deinit(&a);
    }
}

static void parts_know_where_they_stand(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    struct err e = ERR_INIT;
    struct template t;
    assert_int_equal(template_parse(STR("ab${{ c }}d"), &a, &t, &e), 0);
    assert_int_equal(t.count, 3);
    assert_int_equal(t.parts[1].offset, 2);
    assert_int_equal(t.parts[2].offset, 10);
    arena_deinit(&a);
}

static void a_failed_look_up_names_the_path(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    struct err e = ERR_INIT;
    struct template t;
    struct str out = STR_NULL;
    unsigned calls = 0;
    assert_int_equal(
        template_parse(STR("${{ a }}${{ missing }}${{ b }}"), &a, &t, &e), 0);
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
    struct err e = ERR_INIT;
    struct template t;
    struct str out = STR_NULL;
    unsigned calls = 0;
    assert_int_equal(template_parse(STR("12${{ a }}"), &a, &t, &e), 0);
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
        assert_int_equal(template_parse(str_c(text), &a, &t, &e),
                         extra == 0 ? 0 : -EBADMSG);
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
        cmocka_unit_test(errors_have_their_column),
        cmocka_unit_test(parts_know_where_they_stand),
        cmocka_unit_test(a_failed_look_up_names_the_path),
        cmocka_unit_test(limits),
        cmocka_unit_test(paths_come_apart_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
