#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "data/yaml.h"

/* Of `a:`'s value, the place of the first "X" in its text must be that of the
 * first "X" in the source; likewise that of the text's end, unless end is 0
 * (line * 100 + column). */
static void follow(const char *source, unsigned end)
{
    struct yaml_doc *doc = NULL;
    struct err e = ERR_INIT;
    if (yaml_parse(str_c(source), NULL, &doc, &e) < 0) {
        fail_msg("%s: %s", source, e.message);
    }
    const struct yaml_node *n = yaml_get(yaml_root(doc), STR("a"));
    ptrdiff_t x = str_find(yaml_text(n), 'X');
    assert_true(x >= 0);
    struct place want = {1, 1};
    for (const char *at = source; *at != 'X'; at++) {
        want.column += ((unsigned char)*at & 0xC0) != 0x80;
        if (*at == '\n') {
            want.line++;
            want.column = 1;
        }
    }
    struct place got = yaml_where(n, str_c(source), (size_t)x);
    if (got.line != want.line || got.column != want.column) {
        fail_msg("%s: %u:%u, not %u:%u", source, got.line, got.column,
                 want.line, want.column);
    }
    got = yaml_where(n, str_c(source), SIZE_MAX);
    if (end != 0) {
        assert_int_equal(got.line * 100 + got.column, end);
    }
    yaml_doc_free(doc);
}

static void finds_the_place_in_every_style(void **state)
{
    (void)state;
    follow("a: X", 105);
    follow("a: one X two", 113);
    follow("b: 1\na: 'one X'\n", 210);
    follow("a: 'it''s X'\n", 0);
    follow("a: \"\\\"q\\\" X\"\n", 0);
    follow("a: \"\\u00e9\\x41\\n X\"\n", 0);
    follow("a: \"\xc3\xa9\xc3\xa9 X\"\n", 0);
    follow("a: one\n   two\n   X\n", 305);
    follow("a: one\n\n\n   X\n", 0);
    follow("a: 'one\n\n   two X'\n", 0);
    follow("a: \"one \\\n   two X\"\n", 0);
    follow("a: \"one   \n   two X\"\n", 0);
    follow("b:\na: |\n  one\n  two X\n", 0);
    follow("a: |-\n  one\n\n    deep\n  two X\n", 508);
    follow("a: >\n  one\n  two X\n", 0);
    follow("a: >-\n  one\n\n  two X y\n", 0);
    follow("a: |2\n  one\n  X\n", 0);
    follow("a: one\r\n  two X\r\n", 0);
    follow("a: |\r\n  one\r\n  two X\r\n", 0);
    follow("{a: 'one X', b: 2}", 0);
}

static void falls_back_to_the_start(void **state)
{
    (void)state;
    struct yaml_doc *doc = NULL;
    struct err e = ERR_INIT;
    assert_int_equal(yaml_parse(STR("b: 1\na: text\n"), NULL, &doc, &e), 0);
    const struct yaml_node *n = yaml_get(yaml_root(doc), STR("a"));
    struct place got = yaml_where(n, STR("something else\nx: y\n"), 3);
    assert_int_equal(got.line, 2);
    assert_int_equal(got.column, 4);
    got = yaml_where(n, STR(""), 3);
    assert_int_equal(got.line, 2);
    yaml_doc_free(doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_place_in_every_style),
        cmocka_unit_test(falls_back_to_the_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
