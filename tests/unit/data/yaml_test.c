#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "base/strbuf.h"
#include "data/yaml.h"

/* Parses a heap copy that is freed before the document is looked at. */
static int parse(struct str text, const struct yaml_limits *limits,
                 struct yaml_doc **ret, struct err *e)
{
    *e = ERR_INIT;
    *ret = NULL;
    char *copy = mem_alloc(text.len + 1, 1);
    if (text.len != 0) {
        memcpy(copy + 1, text.at, text.len);
    }
    int r = yaml_parse(str_n(copy + 1, text.len), limits, ret, e);
    mem_free(copy);
    assert_int_equal(*ret != NULL, r == 0);
    return r;
}

static void dump(const struct yaml_node *n, struct strbuf *out)
{
    struct place at = yaml_place(n);
    if (yaml_kind(n) == YAML_SCALAR) {
        assert_int_equal(yaml_count(n), 0);
        strbuf_addf(out, "%s%.*s@%u:%u", yaml_is_plain(n) ? "" : "'",
                    STR_ARG(yaml_text(n)), at.line, at.column);
        return;
    }
    assert_null(yaml_text(n).at);
    bool is_map = yaml_kind(n) == YAML_MAPPING;
    strbuf_addf(out, "%c@%u:%u", is_map ? '{' : '[', at.line, at.column);
    for (size_t i = 0; i < yaml_count(n); i++) {
        strbuf_addch(out, ' ');
        if (is_map) {
            dump(yaml_key(n, i), out);
            strbuf_addch(out, '=');
            dump(yaml_value(n, i), out);
        } else {
            dump(yaml_item(n, i), out);
        }
    }
    strbuf_addch(out, is_map ? '}' : ']');
}

static void expect(const char *text, const char *tree)
{
    struct yaml_doc *doc = NULL;
    struct err e;
    struct strbuf out = STRBUF_INIT(65536);
    if (parse(str_c(text), NULL, &doc, &e) < 0) {
        fail_msg("'%s': %s", text, e.message);
    }
    if (yaml_root(doc) != NULL) {
        dump(yaml_root(doc), &out);
    }
    assert_string_equal(strbuf_str(&out).at, tree);
    strbuf_deinit(&out);
    yaml_doc_free(doc);
}

static void reads_trees_with_places(void **state)
{
    (void)state;
    expect("name: x\nlist:\n  - a\n  - {k: v, \"q\": [1]}\n",
           "{@1:1 name@1:1=x@1:7 list@2:1=[@3:3 a@3:5 "
           "{@4:5 k@4:6=v@4:9 'q@4:12=[@4:17 1@4:18]}]}");
    expect("---\na: 1\n...\n", "{@2:1 a@2:1=1@2:4}");
    expect("a: 1\r\nb: 2\r\n", "{@1:1 a@1:1=1@1:4 b@2:1=2@2:4}");
    expect("x", "x@1:1");
    expect("- - a\n  - b\n", "[@1:1 [@1:3 a@1:5 b@2:5]]");
}

static void counts_columns_in_characters(void **state)
{
    (void)state;
    expect("l\xC3\xBC: {\xE2\x82\xAC: b}",
           "{@1:1 l\xC3\xBC@1:1={@1:5 \xE2\x82\xAC@1:6=b@1:9}}");
}

static void nothing_is_no_document(void **state)
{
    (void)state;
    expect("", "");
    expect("\n \n", "");
    expect("# a comment\n", "");
}

static void empty_values_stand_at_their_key(void **state)
{
    (void)state;
    expect("a:\nb: ~\n", "{@1:1 a@1:1=@1:1 b@2:1=~@2:4}");
}

static void reads_block_scalars(void **state)
{
    (void)state;
    expect("a: |\n  x\n  y\n", "{@1:1 a@1:1='x\ny\n@2:1}");
    expect("a: >-\n  x\n  y\n", "{@1:1 a@1:1='x y@2:1}");
    expect("a: 'it''s'\n", "{@1:1 a@1:1='it's@1:4}");
}

static void refuses_what_has_two_readings(void **state)
{
    (void)state;
    static const struct {
        struct str text;
        int r;
        uint32_t line, column;
        const char *message;
    } cases[] = {
        {STR("a: &x 1"), -EINVAL, 1, 4, "anchors"},
        {STR("b: 1\na: &x [1]"), -EINVAL, 2, 4, "anchors"},
        {STR("&x a: 1"), -EINVAL, 1, 1, "anchors"},
        {STR("a: *x"), -EINVAL, 1, 4, "aliases"},
        {STR("a: !!str 1"), -EINVAL, 1, 4, "tags"},
        {STR("a: ! 1"), -EINVAL, 1, 4, "tags"},
        {STR("!map {a: 1}"), -EINVAL, 1, 1, "tags"},
        {STR("<<: {a: 1}"), -EINVAL, 1, 1, "merge keys"},
        {STR("a: 1\n<<: {a: 1}"), -EINVAL, 2, 1, "merge keys"},
        {STR("%YAML 1.2\n---\na: 1"), -EINVAL, 1, 1, "directives"},
        {STR("# x\n\n%FOO\n---\na: 1"), -EINVAL, 3, 1, "directives"},
        {STR("a: 1\n---\nb: 1"), -EINVAL, 2, 1, "one YAML document"},
        {STR("a: 1\n...\nb: 1"), -EINVAL, 2, 1, "one YAML document"},
        {STR("a: 1\nb: 2\na: 3"), -EINVAL, 3, 1, "already there, in line 1"},
        {STR("a: 1\n\"a\": 3"), -EINVAL, 2, 1, "already there"},
        {STR("x: {a: 1, a: 2}"), -EINVAL, 1, 11, "already there"},
        {STR("? [a]\n: 1"), -EINVAL, 1, 3, "a key must be a text"},
        {STR("{a: 1}: 1"), -EINVAL, 1, 1, "a key must be a text"},
        {STR(": 1"), -EINVAL, 1, 1, "a key is missing"},
        {STR("a: \"\\0\""), -EINVAL, 1, 4, "an escape gives"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct yaml_doc *doc = NULL;
        struct err e;
        assert_int_equal(parse(cases[i].text, NULL, &doc, &e), cases[i].r);
        if (strstr(e.message, cases[i].message) == NULL ||
            e.at.line != cases[i].line || e.at.column != cases[i].column) {
            fail_msg("%.*s: %u:%u %s", STR_ARG(cases[i].text), e.at.line,
                     e.at.column, e.message);
        }
    }
}

static void refuses_what_is_not_yaml(void **state)
{
    (void)state;
    static const struct {
        struct str text;
        uint32_t line, column; /* 0: not told */
        const char *message;
    } cases[] = {
        {STR("a: b: c"), 1, 5, "same line"},
        {STR("a: 1\n b: 2"), 1, 4, "multiline plain key"},
        {STR("a:\n\t- b"), 2, 1, "tab"},
        {STR("a: [1, 2\nb: 3\n"), 3, 1, ""},
        {STR("a: 'x"), 0, 0, "without closing quote"},
        {STR("a: \"\\ud800\""), 1, 5, ""},
        {STR("@x"), 0, 0, ""},
        {STR("a: \xFF"), 0, 0, "not UTF-8"},
        {STR("a: \xED\xA0\x80"), 0, 0, "not UTF-8"},
        {STR("a: b\0"), 1, 5, "control character (0x00)"},
        {STR("a: 1\nb: \x1b[2J"), 2, 4, "control character (0x1b)"},
        {STR("a: \x7f"), 1, 4, "control character (0x7f)"},
        {STR("\xEF\xBB\xBF"
             "a: 1"),
         0, 0, "byte order mark"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct yaml_doc *doc = NULL;
        struct err e;
        assert_int_equal(parse(cases[i].text, NULL, &doc, &e), -EBADMSG);
        if (strstr(e.message, cases[i].message) == NULL ||
            (cases[i].line != 0 &&
             (e.at.line != cases[i].line || e.at.column != cases[i].column))) {
            fail_msg("%.*s: %u:%u %s", STR_ARG(cases[i].text), e.at.line,
                     e.at.column, e.message);
        }
    }
}

static void meets_each_limit(void **state)
{
    (void)state;
    const struct yaml_limits limits = {.bytes = 20, .depth = 2, .nodes = 5};
    static const struct {
        struct str text;
        int r;
    } cases[] = {
        {STR("[[1]]"), 0},
        {STR("[[[1]]]"), -E2BIG},
        {STR("- - - 1"), -E2BIG},
        {STR("a: {b: [1]}"), -E2BIG},
        {STR("[1,2,3,4]"), 0},
        {STR("[1,2,3,4,5]"), -E2BIG},
        {STR("{a: 1, b: 2}"), 0},
        {STR("{a: 1, b: 2, c: }"), -E2BIG},
        {STR("12345678901234567890"), 0},
        {STR("123456789012345678901"), -E2BIG},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct yaml_doc *doc = NULL;
        struct err e;
        if (parse(cases[i].text, &limits, &doc, &e) != cases[i].r) {
            fail_msg("%.*s: not %d", STR_ARG(cases[i].text), cases[i].r);
        }
        yaml_doc_free(doc);
    }
}

static void default_limits_hold(void **state)
{
    (void)state;
    static const char *const repeated[] = {"[",  "{a: ", "- ",
                                           "? ", "a\n",  "- a\n"};
    static const int results[] = {-E2BIG, -E2BIG, -E2BIG, -EINVAL, 0, -E2BIG};
    for (size_t i = 0; i < ARRAY_LEN(repeated); i++) {
        struct strbuf text = STRBUF_INIT(1024 * 1024);
        struct yaml_doc *doc = NULL;
        struct err e;
        for (int n = 0; n < 50000; n++) {
            strbuf_addc(&text, repeated[i]);
        }
        assert_int_equal(parse(strbuf_str(&text), NULL, &doc, &e), results[i]);
        yaml_doc_free(doc);
        strbuf_deinit(&text);
    }
}

static void looks_keys_up(void **state)
{
    (void)state;
    struct yaml_doc *doc = NULL;
    struct err e;
    assert_int_equal(parse(STR("a: 1\nb: [2]\n"), NULL, &doc, &e), 0);
    const struct yaml_node *root = yaml_root(doc);
    assert_true(str_eq(yaml_text(yaml_get(root, STR("a"))), STR("1")));
    const struct yaml_node *list = yaml_get(root, STR("b"));
    assert_int_equal(yaml_count(list), 1);
    assert_null(yaml_get(root, STR("c")));
    assert_null(yaml_get(list, STR("a")));
    yaml_doc_free(doc);
    yaml_doc_free(NULL);
}

static void survives_every_cut_and_every_byte(void **state)
{
    (void)state;
    const struct str whole =
        STR("a: 'x'\nb: [1, {c: \"\\u00fc\"}]\nd: |\n  y\ne: >-\n  z\n# f\n");
    struct yaml_doc *doc = NULL;
    struct err e;
    for (size_t len = 0; len < whole.len; len++) {
        int r = parse(str_slice(whole, 0, len), NULL, &doc, &e);
        assert_true(r == 0 || e.message[0] != '\0');
        yaml_doc_free(doc);
    }
    char *copy = str_dup(whole);
    for (size_t i = 0; i < whole.len; i++) {
        for (int c = 0; c < 128; c += 1) {
            copy[i] = (char)c;
            int r = parse(str_n(copy, whole.len), NULL, &doc, &e);
            assert_true(r == 0 || e.message[0] != '\0');
            yaml_doc_free(doc);
        }
        copy[i] = whole.at[i];
    }
    mem_free(copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_trees_with_places),
        cmocka_unit_test(counts_columns_in_characters),
        cmocka_unit_test(nothing_is_no_document),
        cmocka_unit_test(empty_values_stand_at_their_key),
        cmocka_unit_test(reads_block_scalars),
        cmocka_unit_test(refuses_what_has_two_readings),
        cmocka_unit_test(refuses_what_is_not_yaml),
        cmocka_unit_test(meets_each_limit),
        cmocka_unit_test(default_limits_hold),
        cmocka_unit_test(looks_keys_up),
        cmocka_unit_test(survives_every_cut_and_every_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
