#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "model/labels.h"

#define LABELS(...)                                                            \
    (struct labels)                                                            \
    {                                                                          \
        .at = (struct label[]){__VA_ARGS__},                                   \
        .count = sizeof((struct label[]){__VA_ARGS__}) / sizeof(struct label)  \
    }

static void fingerprints_as_prometheus(void **state)
{
    (void)state;
    char text[17];
    struct labels none = {0};
    labels_fingerprint(&none, text);
    assert_string_equal(text, "cbf29ce484222325");
    struct labels two = LABELS({STR("name"), STR("garland, briggs")},
                               {STR("fear"), STR("love is not enough")});
    assert_int_equal(labels_sort(&two), 0);
    labels_fingerprint(&two, text);
    assert_string_equal(text, "507a62d79ee76c9a");
    struct labels one = LABELS({STR("alertname"), STR("HighCPU")});
    labels_fingerprint(&one, text);
    assert_string_equal(text, "b5160f6bd9249a48");
    struct labels four =
        LABELS({STR("severity"), STR("critical")}, {STR("job"), STR("node")},
               {STR("alertname"), STR("HighCPU")},
               {STR("instance"), STR("web-1:9100")});
    assert_int_equal(labels_sort(&four), 0);
    labels_fingerprint(&four, text);
    assert_string_equal(text, "ab906f89a7cb9bdc");
    struct labels raw = LABELS({STR("alertname"), STR("InstanceDown")},
                               {STR("instance"), STR("l\xC3\xBC"
                                                     "cke")},
                               {STR("job"), STR("")});
    labels_fingerprint(&raw, text);
    assert_string_equal(text, "e63ae6cc9123e98d");
}

static void finds_by_name(void **state)
{
    (void)state;
    struct labels l = LABELS({STR("a"), STR("1")}, {STR("b"), STR("")});
    assert_true(str_eq(labels_get(&l, STR("a")), STR("1")));
    assert_true(str_eq(labels_get(&l, STR("c")), STR("")));
    assert_non_null(labels_find(&l, STR("b")));
    assert_null(labels_find(&l, STR("c")));
    assert_null(labels_find(&l, STR("aa")));
}

static void sorts_by_bytes_and_refuses_twins(void **state)
{
    (void)state;
    struct labels l = LABELS({STR("b"), STR("1")}, {STR("\xC3\xBC"), STR("2")},
                             {STR("B"), STR("3")}, {STR("ab"), STR("4")},
                             {STR("a"), STR("5")});
    assert_int_equal(labels_sort(&l), 0);
    static const char *const order[] = {"B", "a", "ab", "b", "\xC3\xBC"};
    for (size_t i = 0; i < ARRAY_LEN(order); i++) {
        assert_true(str_eq_c(l.at[i].name, order[i]));
    }
    struct labels twins = LABELS({STR("a"), STR("1")}, {STR("b"), STR("2")},
                                 {STR("a"), STR("3")});
    assert_int_equal(labels_sort(&twins), -EEXIST);
    struct labels none = {0};
    assert_int_equal(labels_sort(&none), 0);
}

static void the_compact_form_reads_back(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    struct strbuf blob = STRBUF_INIT(1024);
    struct labels l = LABELS({STR("a"), STR("1")}, {STR("b"), STR("")},
                             {STR("c"), STR("x y")});
    struct labels back = {0};
    labels_encode(&l, &blob);
    assert_int_equal(blob.len, 13);
    assert_int_equal(labels_decode(strbuf_str(&blob), &a, &back), 0);
    assert_int_equal(back.count, 3);
    for (uint32_t i = 0; i < 3; i++) {
        assert_true(str_eq(back.at[i].name, l.at[i].name));
        assert_true(str_eq(back.at[i].value, l.at[i].value));
    }
    assert_int_equal(labels_decode(STR(""), &a, &back), 0);
    assert_int_equal(back.count, 0);
    strbuf_deinit(&blob);
    arena_deinit(&a);
}

static void refuses_damaged_forms(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    struct labels l = {0};
    static const struct str cases[] = {
        STR("a"),
        STR("a\0"),
        STR("a\0b"),
        STR("a\0b\0c"),
        STR("a\0b\0c\0"),
        STR("\0"),
        STR("b\0001\0a\0002\0"),
        STR("a\0001\0a\0002\0"),
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(labels_decode(cases[i], &a, &l), -EBADMSG);
    }
    arena_deinit(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fingerprints_as_prometheus),
        cmocka_unit_test(finds_by_name),
        cmocka_unit_test(sorts_by_bytes_and_refuses_twins),
        cmocka_unit_test(the_compact_form_reads_back),
        cmocka_unit_test(refuses_damaged_forms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
