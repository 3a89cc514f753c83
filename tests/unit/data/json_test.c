#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/vec.h"
#include "data/json.h"

/* Reads a heap copy of exactly these bytes, so that a sanitizer sees any read
 * past the end. */
static int read_text(struct str text, const struct json_limits *limits,
                     json_t **ret, struct err *e)
{
    *e = ERR_INIT;
    *ret = NULL;
    char *copy = mem_alloc(text.len + 1, 1);
    if (text.len != 0) {
        memcpy(copy + 1, text.at, text.len);
    }
    int r = json_read(str_n(copy + 1, text.len), limits, ret, e);
    mem_free(copy);
    return r;
}

static int try_read(struct str text, const struct json_limits *limits,
                    struct err *e)
{
    json_t *json = NULL;
    int r = read_text(text, limits, &json, e);
    assert_int_equal(json != NULL, r == 0);
    if (r < 0) {
        assert_int_equal(e->errnum, r);
        assert_true(e->message[0] != '\0');
    }
    json_decref(json);
    return r;
}

static void reads_values(void **state)
{
    (void)state;
    json_t *json = NULL;
    struct err e;
    assert_int_equal(
        read_text(STR(" {\"a\\u0026\":[1,-0.5,true,null]}\n"), NULL, &json, &e),
        0);
    const json_t *list = json_object_get(json, "a&");
    assert_int_equal(json_array_size(list), 4);
    assert_int_equal(json_integer_value(json_array_get(list, 0)), 1);
    assert_true(json_real_value(json_array_get(list, 1)) == -0.5);
    json_decref(json);
    assert_int_equal(read_text(STR("9223372036854775807"), NULL, &json, &e), 0);
    assert_true(json_integer_value(json) == INT64_MAX);
    json_decref(json);
}

static void refuses_what_is_no_strict_json(void **state)
{
    (void)state;
    static const struct {
        struct str text;
        const char *message;
    } cases[] = {
        {STR(""), "nothing"},
        {STR(" \n\t"), "nothing"},
        {STR("\xEF\xBB\xBF{}"), "byte order mark"},
        {STR("{\"a\":1,\"a\":2}"), "duplicate"},
        {STR("9223372036854775808"), "too big"},
        {STR("-9223372036854775809"), "too big"},
        {STR("1e400"), "overflow"},
        {STR("-1e400"), "overflow"},
        {STR("NaN"), "invalid token"},
        {STR("\"\\u0000\""), "\\u0000"},
        {STR("\"\0\""), "a NUL byte"},
        {STR("1\0"), "a NUL byte"},
        {STR("\"\x01\""), "control character"},
        {STR("\"\\ud800\""), "\\uD800"},
        {STR("\"\xFF\""), "unable to decode byte 0xff"},
        {STR("{} {}"), "end of file expected"},
        {STR("[1,]"), "unexpected token"},
        {STR("{'a':1}"), "expected near"},
        {STR("]"), "unexpected token"},
        {STR("}}}}[[[["), "unexpected token"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err e;
        assert_int_equal(try_read(cases[i].text, NULL, &e), -EBADMSG);
        if (strstr(e.message, cases[i].message) == NULL) {
            fail_msg("'%s' is not in '%s'", cases[i].message, e.message);
        }
    }
}

static void errors_say_where(void **state)
{
    (void)state;
    struct err e;
    assert_int_equal(try_read(STR("{\n  \"a\": x\n}"), NULL, &e), -EBADMSG);
    assert_int_equal(e.at.line, 2);
    assert_int_equal(e.at.column, 8);
    struct json_limits limits = JSON_LIMITS_DEFAULT;
    limits.string_bytes = 3;
    assert_int_equal(try_read(STR("[\"\xC3\xBC\",\n \"abcd\"]"), &limits, &e),
                     -E2BIG);
    assert_int_equal(e.at.line, 2);
    assert_int_equal(e.at.column, 2);
}

static void meets_each_limit(void **state)
{
    (void)state;
    const struct json_limits limits = {.bytes = 40,
                                       .depth = 2,
                                       .keys = 2,
                                       .values = 8,
                                       .string_bytes = 4,
                                       .number_bytes = 5};
    static const struct {
        struct str text;
        int r;
    } cases[] = {
        {STR("[[1]]"), 0},
        {STR("[[[]]]"), -E2BIG},
        {STR("[{\"a\":[]}]"), -E2BIG},
        {STR("{\"a\":1,\"b\":2}"), 0},
        {STR("{\"a\":1,\"b\":2,\"c\":3}"), -E2BIG},
        {STR("[{\"a\":1},{\"b\":2},{\"c\":3}]"), 0},
        {STR("[1,1,1,1,1,1,1,1]"), 0},
        {STR("[1,1,1,1,1,1,1,1,1]"), -E2BIG},
        {STR("[[],[],[],[],[]]"), -E2BIG},
        {STR("\"abcd\""), 0},
        {STR("\"abcde\""), -E2BIG},
        {STR("{\"abcde\":1}"), -E2BIG},
        {STR("\"\\\"\\\"\""), 0},
        {STR("\"\\\"\\\"x\""), -E2BIG},
        {STR("12345"), 0},
        {STR("123456"), -E2BIG},
        {STR("-1.5e1"), -E2BIG},
        {STR("                                       1"), 0},
        {STR("                                        1"), -E2BIG},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err e;
        if (try_read(cases[i].text, &limits, &e) != cases[i].r) {
            fail_msg("'%.*s' did not give %d", STR_ARG(cases[i].text),
                     cases[i].r);
        }
    }
}

static void default_limits_hold(void **state)
{
    (void)state;
    struct strbuf text = STRBUF_INIT(2 * 1024 * 1024);
    struct err e;
    for (int i = 0; i < JSON_DEPTH_MAX; i++) {
        strbuf_addch(&text, '[');
    }
    for (int i = 0; i < JSON_DEPTH_MAX; i++) {
        strbuf_addch(&text, ']');
    }
    assert_int_equal(try_read(strbuf_str(&text), NULL, &e), 0);
    strbuf_reset(&text);
    for (int i = 0; i < 100000; i++) {
        strbuf_addch(&text, '[');
    }
    assert_int_equal(try_read(strbuf_str(&text), NULL, &e), -E2BIG);
    assert_int_equal(e.at.column, JSON_DEPTH_MAX + 1);
    strbuf_reset(&text);
    strbuf_addch(&text, '[');
    for (int i = 0; i < 349000; i++) {
        strbuf_addc(&text, "{},");
    }
    assert_int_equal(try_read(strbuf_str(&text), NULL, &e), -E2BIG);
    strbuf_reset(&text);
    strbuf_addch(&text, '"');
    for (int i = 0; i < 256 * 1024; i++) {
        strbuf_addch(&text, 'x');
    }
    strbuf_addch(&text, '"');
    assert_int_equal(try_read(strbuf_str(&text), NULL, &e), 0);
    strbuf_addch(&text, ' ');
    text.at[text.len - 2] = 'x';
    text.at[text.len - 1] = '"';
    assert_int_equal(try_read(strbuf_str(&text), NULL, &e), -E2BIG);
    strbuf_deinit(&text);
}

static void survives_every_cut_and_every_byte(void **state)
{
    (void)state;
    const struct str whole = STR("{\"a\\u00fc\":[1.5e3,\"\\ud83d\\ude00\",{}],"
                                 "\"b\":\"\xE2\x82\xAC\",\"c\":-0,\"d\":null}");
    struct err e;
    assert_int_equal(try_read(whole, NULL, &e), 0);
    for (size_t len = 0; len < whole.len; len++) {
        assert_int_equal(try_read(str_slice(whole, 0, len), NULL, &e),
                         -EBADMSG);
    }
    char *copy = str_dup(whole);
    for (size_t i = 0; i < whole.len; i++) {
        for (int c = 0; c < 256; c++) {
            copy[i] = (char)c;
            int r = try_read(str_n(copy, whole.len), NULL, &e);
            assert_true(r == 0 || r == -EBADMSG);
        }
        copy[i] = whole.at[i];
    }
    mem_free(copy);
}

/* ---- hostile texts ---------------------------------------------------------
 */

static struct str load(const char *path)
{
    struct strbuf text = STRBUF_INIT(4 * 1024 * 1024);
    char chunk[4096];
    size_t n = 0;
    FILE *f = fopen(path, "rbe");
    if (f == NULL) {
        return STR_NULL;
    }
    while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0) {
        strbuf_add(&text, str_n(chunk, n));
    }
    (void)fclose(f);
    size_t len = text.len;
    return str_n(strbuf_take(&text), len);
}

static struct str take_column(struct str *line)
{
    ptrdiff_t tab = str_find(*line, '\t');
    size_t len = tab >= 0 ? (size_t)tab : line->len;
    struct str column = str_slice(*line, 0, len);
    *line = str_slice(*line, len + 1, line->len);
    return column;
}

static unsigned digit_of(char c)
{
    const char *digits = "0123456789abcdef";
    const char *at = strchr(digits, c);
    assert_non_null(at);
    return (unsigned)(at - digits);
}

static void add_unescaped(struct strbuf *out, struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        if (c == '\\' && text.at[i + 1] == 'x') {
            c = (char)(digit_of(text.at[i + 2]) * 16 +
                       digit_of(text.at[i + 3]));
            i += 3;
        } else if (c == '\\') {
            i++;
        }
        strbuf_add(out, str_n(&c, 1));
    }
}

/* One line of cases.tsv: name, verdict, why, times, text. */
static bool behaves(struct str line)
{
    struct strbuf text = STRBUF_INIT(4 * 1024 * 1024);
    struct err e;
    struct str name = take_column(&line);
    struct str verdict = take_column(&line);
    (void)take_column(&line);
    long times = strtol(take_column(&line).at, NULL, 10);
    assert_true(times >= 1);
    for (long i = 0; i < times; i++) {
        add_unescaped(&text, line);
    }
    int r = try_read(strbuf_str(&text), NULL, &e);
    strbuf_deinit(&text);
    bool ok = str_eq(verdict, STR("either")) ||
              str_eq(verdict, r == 0 ? STR("accept") : STR("reject"));
    if (!ok) {
        print_error("%.*s: expected %.*s, got %d %s\n", STR_ARG(name),
                    STR_ARG(verdict), r, r < 0 ? e.message : "");
    }
    return ok;
}

static void hostile_texts_meet_the_policy(void **state)
{
    (void)state;
    char path[512];
    const char *root = getenv("ADP_SOURCE_ROOT");
    assert_non_null(root);
    (void)snprintf(path, sizeof(path), "%s/tests/fixtures/json/cases.tsv",
                   root);
    struct str cases = load(path);
    assert_non_null(cases.at);
    struct str rest = cases;
    size_t count = 0;
    size_t failures = 0;
    while (rest.len != 0) {
        ptrdiff_t newline = str_find(rest, '\n');
        size_t len = newline >= 0 ? (size_t)newline : rest.len;
        struct str line = str_slice(rest, 0, len);
        rest = str_slice(rest, len + 1, rest.len);
        if (!str_starts(line, STR("#"))) {
            count++;
            failures += behaves(line) ? 0 : 1;
        }
    }
    mem_free((void *)(uintptr_t)cases.at);
    assert_int_equal(failures, 0);
    assert_true(count > 300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_values),
        cmocka_unit_test(refuses_what_is_no_strict_json),
        cmocka_unit_test(errors_say_where),
        cmocka_unit_test(meets_each_limit),
        cmocka_unit_test(default_limits_hold),
        cmocka_unit_test(survives_every_cut_and_every_byte),
        cmocka_unit_test(hostile_texts_meet_the_policy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
