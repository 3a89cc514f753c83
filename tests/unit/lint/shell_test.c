#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/strbuf.h"
#include "lint/shell.h"

struct scan {
    struct arena arena;
    struct shell_script script;
};

static struct scan *scan(struct scan *s, const char *text)
{
    arena_init(&s->arena);
    shell_scan(str_c(text), &s->arena, &s->script);
    return s;
}

static void done(struct scan *s)
{
    shell_script_deinit(&s->script);
    arena_deinit(&s->arena);
}

/* "a b|c" for the commands "a b" and "c", inner ones first; '!' in front of
 * those whose failure is lost. */
static void shows(const char *text, const char *wanted)
{
    struct scan s;
    struct strbuf got = STRBUF_INIT(4096);
    scan(&s, text);
    VEC_EACH (&s.script.commands, i) {
        const struct shell_command *c = &s.script.commands.at[i];
        strbuf_addf(&got, "%s%s", i == 0 ? "" : "|", c->lost ? "!" : "");
        for (uint32_t w = 0; w < c->word_count; w++) {
            strbuf_addf(&got, "%s%.*s", w == 0 ? "" : " ",
                        STR_ARG(s.script.words.at[c->first_word + w].text));
        }
    }
    if (!str_eq_c(strbuf_str(&got), wanted)) {
        fail_msg("%s\n  gives  %s\n  wanted %s", text,
                 got.at != NULL ? got.at : "", wanted);
    }
    strbuf_deinit(&got);
    done(&s);
}

static void splits_commands_and_words(void **state)
{
    (void)state;
    shows("", "");
    shows("  # nothing\n", "");
    shows("a b  c", "a b c");
    shows("a 'b  c' \"d e\" f\\ g", "a b  c d e f g");
    shows("a | b && c || d & e", "a|b|c|d|e");
    shows("a > out 2>&1 < in b", "a b");
    shows("a#b # c", "a#b");
    shows("a \\\n  b", "a b");
    shows("X=1 Y=2 a b", "X=1 Y=2 a b");
    shows("a $(b c) `d` \"$(e)\"", "b c|d|e|a $() $() $()");
    shows("a <(b)", "b|a <()");
    shows("a $((1 + (2)))", "a 0");
    shows("((i++)); a", "a");
    shows("f() { a; }; f", "a|f");
    shows("f()\n{\n  a\n  b\n}\nf", "!a|b|f");
    shows("(a; b) | c", "!a|b|c");
    shows("[[ -n $x && $y ]] && a", "[[ -n $x $y ]]|a");
    shows("cat <<END\na | b\nEND\nc", "!cat|c");
    shows("cat <<'E' | d\nx\nE\n", "cat|d");
}

static void follows_compound_commands(void **state)
{
    (void)state;
    shows("if a; then b; elif c; then d; else e; fi", "a|b|c|d|e");
    shows("while read x; do a; done < f", "read x|a|"); /* its redirection */
    shows("for x in 1 2; do a; done", "for x in 1 2|a");
    shows("case $x in a | b) c ;; (d) e ;; *) f ;; esac", "c|e|f");
    shows("case $x in\n# why\na) ;;\nesac\nb", "b");
    shows("! a", "a");
}

static void knows_whose_failure_is_lost(void **state)
{
    (void)state;
    shows("a; b", "!a|b");
    shows("a\nb\n", "!a|b");
    shows("a && b\nc", "a|!b|c");
    shows("a || b\nc", "a|b|c");
    shows("a || exit 1\nc", "a|exit 1|c");
    shows("echo x\nc", "echo x|c");
    shows("x=1\nc", "x=1|c");
    shows("x=$(a)\nc", "a|!x=$()|c");
    shows("a\nx=$?", "a|x=$?");
    shows("a\nif [ $? -ne 0 ]; then b; fi", "a|[ $? -ne 0 ]|b");
    shows("a\nif b; then c; fi", "!a|b|c");
    shows("if a; then b; fi\nc", "a|!b|c");
    shows("if a; then b; fi || exit 1\nc", "a|b|exit 1|c");
    shows("if a; then b; c; fi", "a|!b|c");
    shows("for x in 1; do a; done; b", "for x in 1|!a|b");
    shows("a\ncase $x in y) b ;; esac", "!a|b");
    shows("a\ncase $? in 0) b ;; esac", "a|b");
    shows("a &\nb", "a|b");
    shows("a | b\nc", "a|!b|c");
    shows("! a\nb", "a|b");
}

static void sees_set_e(void **state)
{
    static const char *const yes[] = {"set -e\na", "set -eu\na", "set -ue",
                                      "a\nset -o errexit\nb"};
    static const char *const no[] = {"set -u", "set --e",     "set +e",
                                     "a -e",   "echo set -e", ""};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(yes) + ARRAY_LEN(no); i++) {
        struct scan s;
        bool want = i < ARRAY_LEN(yes);
        scan(&s, want ? yes[i] : no[i - ARRAY_LEN(yes)]);
        assert_int_equal(s.script.errexit, want);
        done(&s);
    }
}

/* "name" for each expansion, in order: '+' splits, '!' cannot be empty. */
static void expands(const char *text, const char *wanted)
{
    struct scan s;
    struct strbuf got = STRBUF_INIT(4096);
    scan(&s, text);
    VEC_EACH (&s.script.expansions, i) {
        const struct shell_expansion *e = &s.script.expansions.at[i];
        strbuf_addf(&got, "%s%.*s%s%s", i == 0 ? "" : " ", STR_ARG(e->name),
                    e->splits ? "+" : "", e->guarded ? "!" : "");
        assert_int_equal(text[e->offset], '$');
    }
    if (!str_eq_c(strbuf_str(&got), wanted)) {
        fail_msg("%s\n  gives  %s\n  wanted %s", text,
                 got.at != NULL ? got.at : "", wanted);
    }
    strbuf_deinit(&got);
    done(&s);
}

static void knows_what_is_split(void **state)
{
    (void)state;
    expands("a $b \"$c\" '$d' \\$e", "b+ c");
    expands("a ${b} \"${c}x\" x$d", "b+ c d+");
    expands("b=$c a", "c");
    expands("a b=$c", "c+");
    expands("[[ $a = $b ]]; c $d", "a b d+");
    expands("case $a in $b) c $d ;; esac", "a b d+");
    expands("a \"$(b $c)\" $(d \"$e\")", "c+ e");
    expands("a > $b", "b");
    expands("a $1 \"$@\" $?", "1+ @ ?+");
    expands("a $(($b + 1))", "");
    expands("cat <<E\n$a\nE\nb $c", "c+");
    expands("a \"${b:?no}\" \"${c?}\" \"${d:-x}\" \"${e:-}\" \"${f%/}\"",
            "b! c! d! e f");
}

/* Nothing that a file may hold makes it loop, fall or grow without end. */
static void survives_anything(void **state)
{
    static const char *const texts[] = {
        "$",           "${",     "${a",
        "$(",          "`",      "\"",
        "'",           "\\",     "((",
        "$((",         ")",      "))",
        "case",        "case x", "case x in",
        "case x in a", "if",     "fi",
        "done }",      "<<",     "<<E",
        "<",           ">",      "2>",
        "&",           "&&",     "|",
        ";;",          ";;;",    "[[",
        "[[ a",        "f()",    "f(",
        "{",           "}",      "!",
        "for",         "a\\",    "\"$(",
        "\"`\"",       "<(",     "${a:-${b:-${c}}}",
        "\xff\xfe",    "a=",     "=",
        "esac",        ";&",     "case x in ;;"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        for (size_t j = 0; j < ARRAY_LEN(texts); j++) {
            char text[64];
            struct scan s;
            (void)snprintf(text, sizeof(text), "%s%s\n%s", texts[i], texts[j],
                           texts[i]);
            done(scan(&s, text));
        }
    }
    struct strbuf deep = STRBUF_INIT(1024UL * 1024);
    for (int i = 0; i < 20000; i++) {
        strbuf_addc(&deep, i % 2 == 0 ? "$(" : "{ (");
    }
    struct scan s;
    done(scan(&s, deep.at));
    strbuf_deinit(&deep);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(splits_commands_and_words),
        cmocka_unit_test(follows_compound_commands),
        cmocka_unit_test(knows_whose_failure_is_lost),
        cmocka_unit_test(sees_set_e),
        cmocka_unit_test(knows_what_is_split),
        cmocka_unit_test(survives_anything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
