#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "expr/re.h"

static struct cel_run plenty(struct arena *a)
{
    return (struct cel_run){.arena = a, .units = 1000000, .bytes = 1UL << 20};
}

/* "from-to" of the match and its groups, "-" where there is none. */
static void assert_match(const char *pattern, const char *text,
                         const char *wanted)
{
    struct arena a = ARENA_INIT;
    struct err e = ERR_INIT;
    struct re_program *p = NULL;
    struct re_match m;
    struct strbuf got = STRBUF_INIT(400);
    bool found = false;
    bool searched = false;
    struct cel_run run = plenty(&a);
    int r = re_compile(str_c(pattern), RE_PROGRAM_MAX, &a, &p, &e);
    if (r < 0) {
        print_message("%s: %s\n", pattern, e.message);
    }
    assert_int_equal(r, 0);
    assert_true(re_find(p, str_c(text), 0, &run, &found, &m));
    assert_true(re_search(p, str_c(text), &run, &searched));
    assert_int_equal(found, searched);
    for (size_t g = 0; found && g <= re_group_count(p); g++) {
        strbuf_addc(&got, g == 0 ? "" : " ");
        if (m.from[g] < 0) {
            strbuf_addch(&got, '-');
        } else {
            strbuf_addf(&got, "%td-%td", m.from[g], m.to[g]);
        }
    }
    if (!found) {
        strbuf_addc(&got, "none");
    }
    if (strcmp(got.at, wanted) != 0) {
        print_message("%s on %s\n", pattern, text);
    }
    assert_string_equal(got.at, wanted);
    strbuf_deinit(&got);
    arena_deinit(&a);
}

static void test_what_matches(void **state)
{
    static const char *const cases[][3] = {
        {"abc", "xabcx", "1-4"},
        {"", "", "0-0"},
        {"a|ab", "ab", "0-1"},
        {"ab|a", "ab", "0-2"},
        {"(a|ab)(c|bcd)", "abcd", "0-4 0-1 1-4"},
        {"a*", "aaa", "0-3"},
        {"a*?", "aaa", "0-0"},
        {"a+?b", "aab", "0-3"},
        {"(a*)(b?)", "aab", "0-3 0-2 2-3"},
        {"(a)|b", "b", "0-1 -"},
        {"^b", "ab", "none"},
        {"(?m)^b", "a\nb", "2-3"},
        {"a$", "a\n", "none"},
        {"(?m)a$", "a\n", "0-1"},
        {"\\Aab\\z", "ab", "0-2"},
        {"a.c", "a\nc", "none"},
        {"(?s)a.c", "a\nc", "0-3"},
        {".", "\xC3\xA4", "0-2"},
        {"[\xC3\xA4-\xC3\xB6]", "\xC3\xB5", "0-2"},
        {"[^a-c]", "abcd", "3-4"},
        {"[]a]+", "a]", "0-2"},
        {"[a-]+", "a-", "0-2"},
        {"[[:digit:]x]+", "a1x2", "1-4"},
        {"[[:^digit:]]+", "12a", "2-3"},
        {"\\d+\\s\\w", "a12 b", "1-5"},
        {"\\D+", "12ab", "2-4"},
        {"\\bfoo\\b", "a foo b", "2-5"},
        {"\\bfoo\\b", "afoo", "none"},
        {"\\Boo", "foo", "1-3"},
        {"a{2}", "aaa", "0-2"},
        {"a{2,}", "aaaa", "0-4"},
        {"a{1,2}", "aaa", "0-2"},
        {"a{,2}", "a{,2}", "0-5"},
        {"(?i)HeLLo", "xhEllO", "1-6"},
        {"(?i)[a-c]+", "ABCd", "0-3"},
        {"(?i)\xC3\xA4", "\xC3\x84", "0-2"},
        {"a(?i)b", "aB", "0-2"},
        {"(?i:a)b", "AB", "none"},
        {"(?P<name>a)(?<more>b)", "ab", "0-2 0-1 1-2"},
        {"(?:a|b)+", "abab", "0-4"},
        {"\\Qa.b\\E", "a.b", "0-3"},
        {"\\x41\\x{1F600}", "A\xF0\x9F\x98\x80", "0-5"},
        {"\\.\\*\\\\", ".*\\", "0-3"},
        {"(?U)a+", "aaa", "0-1"},
        {"(a*)*", "aa", "0-2 0-2"},
        {"(|a)+", "aa", "0-0 0-0"},
        {"x*", "aaa", "0-0"},
        {"(((a)))", "a", "0-1 0-1 0-1 0-1"},
        {"a\\tb\\n", "a\tb\n", "0-4"},
        {"[\\d\\-x]+", "1-x", "0-3"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_match(cases[i][0], cases[i][1], cases[i][2]);
    }
}

static void test_what_is_refused(void **state)
{
    static const char *const cases[][2] = {
        {"(", "( is not closed with )"},
        {")", ") closes nothing"},
        {"[a", "[ is not closed with ]"},
        {"[b-a]", "this range goes backwards"},
        {"*", "there is nothing to repeat here"},
        {"a**", "a repetition cannot be repeated"},
        {"a{1001}", "a count in {} is at most 1000"},
        {"a{2,1}", "this range of counts goes backwards"},
        {"(a)\\1", "backreferences are not supported"},
        {"(?=a)", "look-around is not supported"},
        {"(?<!a)", "look-around is not supported"},
        {"\\pL", "\\p classes are not supported"},
        {"\\y", "this is no escape"},
        {"a\\", "a backslash at the end"},
        {"[[:nope:]]", "there is no class of this name"},
        {"(?P<a", "this group's name is not closed"},
        {"\\xZZ", "\\x takes two hexadecimal digits"},
        {"\xFF", "the pattern is not UTF-8"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena a = ARENA_INIT;
        struct err e = ERR_INIT;
        struct re_program *p = NULL;
        int r = re_compile(str_c(cases[i][0]), RE_PROGRAM_MAX, &a, &p, &e);
        assert_int_equal(r, -EBADMSG);
        if (strncmp(e.message, cases[i][1], strlen(cases[i][1])) != 0) {
            print_message("%s: %s\n", cases[i][0], e.message);
            fail();
        }
        arena_deinit(&a);
    }
}

static void test_size_is_limited(void **state)
{
    static const char *const large[] = {"a{1000}{1000}", "(a{1000}){3}",
                                        "((a{99}){99}){99}"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(large); i++) {
        struct arena a = ARENA_INIT;
        struct err e = ERR_INIT;
        struct re_program *p = NULL;
        assert_int_not_equal(
            re_compile(str_c(large[i]), RE_PROGRAM_MAX, &a, &p, &e), 0);
        arena_deinit(&a);
    }
}

/* What takes other engines 2^n steps takes this one n times the states. */
static void test_steps_are_linear(void **state)
{
    struct arena a = ARENA_INIT;
    struct err e = ERR_INIT;
    struct re_program *p = NULL;
    struct strbuf text = STRBUF_INIT(20000);
    (void)state;
    assert_int_equal(
        re_compile(STR("(a*)*(a|aa)+(a?){50}b"), RE_PROGRAM_MAX, &a, &p, &e),
        0);
    int64_t used[2] = {0};
    for (int i = 0; i < 2; i++) {
        bool found = true;
        while (text.len < (i == 0 ? 1000U : 2000U)) {
            strbuf_addch(&text, 'a');
        }
        struct cel_run run = plenty(&a);
        assert_true(re_search(p, strbuf_str(&text), &run, &found));
        assert_false(found);
        used[i] = 1000000 - run.units;
    }
    assert_true(used[1] < used[0] * 2 + 100);
    /* And stops where the budget does. */
    bool found = false;
    struct cel_run poor = {.arena = &a, .units = 100, .bytes = 1000};
    assert_false(re_search(p, strbuf_str(&text), &poor, &found));
    strbuf_deinit(&text);
    arena_deinit(&a);
}

/* Units that compiling costs; nothing is left if it was given up. */
static int64_t live_cost(struct str pattern, int *ret)
{
    struct arena a = ARENA_INIT;
    struct err e = ERR_INIT;
    struct re_program *p = NULL;
    struct cel_run run = {.arena = &a, .units = 10000000, .bytes = 1UL << 24};
    *ret = re_compile_live(pattern, &run, &p, &e);
    int64_t used = 10000000 - run.units;
    arena_deinit(&a);
    return used;
}

/* What emits no instruction is never "too many instructions": repeated inside
 * of repetitions it would take years. */
static void test_empty_repeats_take_no_time(void **state)
{
    static const char *const empty[] = {"(?:)", "x{0}", "(?i)", "(?:|){0}",
                                        "(?:(?:)(?:)){1000}"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(empty); i++) {
        struct strbuf text = STRBUF_INIT(2000);
        int r = 0;
        for (int depth = 0; depth < 20; depth++) {
            strbuf_addc(&text, "(?:");
        }
        strbuf_addc(&text, empty[i]);
        for (int depth = 0; depth < 20; depth++) {
            strbuf_addc(&text, "){1000}");
        }
        int64_t used = live_cost(strbuf_str(&text), &r);
        assert_int_equal(r, 0);
        assert_in_range(used, 20, 20 + (int64_t)text.len * 8 + 1000);
        strbuf_addch(&text, 'y');
        assert_match(text.at, "xy", "1-2");
        strbuf_deinit(&text);
    }
}

/* Nor does what emits a little, over and over, between much that does not. */
static void test_work_for_an_instruction_is_limited(void **state)
{
    struct strbuf text = STRBUF_INIT(20000);
    int r = 0;
    (void)state;
    strbuf_addc(&text, "(?:a");
    for (int i = 0; i < 3000; i++) {
        strbuf_addc(&text, "(?:)");
    }
    strbuf_addc(&text, "){400}");
    (void)live_cost(strbuf_str(&text), &r);
    assert_int_equal(r, -E2BIG);
    strbuf_deinit(&text);
}

static void add_random(struct strbuf *out, uint32_t *seed, int depth)
{
    static const char *const atoms[] = {"a",   "(?:)", "b{0}", "(?i)", "[^a]",
                                        "\\W", "",     "$",    "x|",   "."};
    static const char *const repeats[] = {"",     "*",        "?",     "{1000}",
                                          "{7,}", "{0,1000}", "{3}??", "+"};
    *seed = *seed * 1664525 + 1013904223;
    uint32_t pick = *seed >> 8;
    if (depth == 0 || pick % 8 == 0) {
        strbuf_addc(out, atoms[pick / 8 % ARRAY_LEN(atoms)]);
        return;
    }
    strbuf_addc(out, pick % 3 == 0 ? "(" : "(?:");
    add_random(out, seed, depth - 1);
    if (pick % 5 == 0) {
        add_random(out, seed, depth / 2);
    }
    strbuf_addch(out, ')');
    strbuf_addc(out, repeats[pick / 64 % ARRAY_LEN(repeats)]);
}

/* Whatever the pattern: what compiling it costs is bounded by its length and
 * the size of the program, and running it by the size and the text. */
static void test_random_patterns_are_bounded(void **state)
{
    uint32_t seed = 1;
    uint32_t good = 0;
    (void)state;
    for (int i = 0; i < 3000; i++) {
        struct strbuf text = STRBUF_INIT(4000);
        int r = 0;
        add_random(&text, &seed, 12);
        int64_t used = live_cost(strbuf_str(&text), &r);
        good += r == 0 ? 1 : 0;
        assert_true(used <= 20 + (int64_t)text.len * 8 +
                                2 * 256 * (int64_t)RE_LIVE_PROGRAM_MAX);
        strbuf_deinit(&text);
    }
    /* It is a test of patterns, not of messages. */
    assert_in_range(good, 100, 3000);
}

/* A program is paid for by its size, and a search by all states it is in. */
static void test_large_programs_cost_more(void **state)
{
    static const char large[] = "((x?){20}){5}";
    struct arena a = ARENA_INIT;
    struct err e = ERR_INIT;
    struct re_program *p = NULL;
    struct re_match m;
    bool found = false;
    int r = 0;
    (void)state;
    assert_in_range(live_cost(str_c(large), &r), 800, 10000);
    assert_int_equal(r, 0);
    assert_int_equal(re_compile(str_c(large), RE_PROGRAM_MAX, &a, &p, &e), 0);
    struct cel_run run = plenty(&a);
    assert_true(re_find(p, STR("xx"), 0, &run, &found, &m));
    assert_in_range(1000000 - run.units, 1200, 4000);
    arena_deinit(&a);
}

/* A budget that is too small for a pattern is used up by it. */
static void test_patterns_are_not_made_on_credit(void **state)
{
    struct arena a = ARENA_INIT;
    struct err e = ERR_INIT;
    struct re_program *p = NULL;
    struct cel_run few = {.arena = &a, .units = 300, .bytes = 1UL << 20};
    struct cel_run small = {.arena = &a, .units = 100000, .bytes = 4000};
    (void)state;
    assert_int_equal(re_compile_live(STR("a{200}"), &few, &p, &e), -EDQUOT);
    assert_int_equal(re_compile_live(STR("a"), &small, &p, &e), -EDQUOT);
    arena_deinit(&a);
}

static void test_bad_text_is_walked_through(void **state)
{
    (void)state;
    assert_match("b",
                 "\xFF\xC3"
                 "b\xE2\x82",
                 "2-3");
    assert_match("[^x]b",
                 "\xFF"
                 "b",
                 "0-2");
    assert_match("\xC3\xA4", "\xC3\xC3\xA4", "1-3");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_matches),
        cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_size_is_limited),
        cmocka_unit_test(test_steps_are_linear),
        cmocka_unit_test(test_empty_repeats_take_no_time),
        cmocka_unit_test(test_work_for_an_instruction_is_limited),
        cmocka_unit_test(test_random_patterns_are_bounded),
        cmocka_unit_test(test_large_programs_cost_more),
        cmocka_unit_test(test_patterns_are_not_made_on_credit),
        cmocka_unit_test(test_bad_text_is_walked_through),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
