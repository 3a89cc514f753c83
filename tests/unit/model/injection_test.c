/*
 * What an event says reaches a step byte for byte, or not at all: strings of
 * every kind through event, label, parameter and expression to argv and
 * environment, by the code that really does it. 20,000 of them here; as many
 * as wanted by hand:
 *
 *     build/tests/unit-model-injection 1000000
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/prng.h"
#include "base/strbuf.h"
#include "data/json.h"
#include "expr/utf8.h"
#include "model/event_json.h"
#include "model/params.h"
#include "model/runbook_load.h"

#define STRING_MAX_BYTES 300

static unsigned long wanted = 20000;

static const char text[] =
    "name: x\n"
    "parameters:\n"
    "  v: {type: string, required: true, allow_leading_dash: true}\n"
    "  w: {type: string, required: true, allow_leading_dash: true}\n"
    "  x: {type: string, required: true}\n"
    "triggers:\n"
    "  - type: alert\n"
    "    parameters:\n"
    "      v: ${{ event.labels.v }}\n"
    "      w: \"${{ event.annotations.v + '' }}\"\n"
    "      x: \"<${{ event.payload.v }}|${{ event.labels.v + '' }}>\"\n"
    "steps:\n"
    "  - name: a\n"
    "    argv: [p, --, \"${{ parameters.v }}\", \"${{ parameters.w + '' }}\",\n"
    "           \"<${{ parameters.v }}|${{ parameters.w + '' }}>\"]\n"
    "    env: {V: \"${{ parameters.w }}\", W: \"<${{ parameters.x + '>' }}\"}\n"
    "  - {name: b, command: 'printf %s \"$ADP_PARAM_V\"'}\n";

static struct runbook *load(void)
{
    struct runbook_defaults d = RUNBOOK_DEFAULTS;
    struct runbook_report report;
    struct runbook *rb = NULL;
    if (runbook_load(STR("a.yaml"), str_c(text), &d, &rb, &report) < 0) {
        fail_msg("%s", report.problems.at[0].err.message);
    }
    runbook_report_deinit(&report);
    return rb;
}

static const char *const pieces[] = {
    "$(touch CANARY)",
    "`touch CANARY`",
    "; touch CANARY #",
    "| touch CANARY",
    "&& touch CANARY",
    "\" touch CANARY \"",
    "' touch CANARY '",
    "${{",
    "}}",
    "${{ event.labels.v }}",
    "${{ parameters.v }}",
    "{{ 7 * 7 }}",
    "<% 7 %>",
    "#{7}",
    "${IFS}",
    "$HOME",
    "$ADP_PARAM_V",
    "%s%n",
    "\\",
    "\\n",
    "\\x00",
    "-",
    "--",
    "-rf /",
    "=",
    "../..",
    "*",
    "?",
    "~",
    "!",
    "'",
    "\"",
    "\t",
    "\n",
    "\r\n",
    "\x1b[31m",
    "\x7f",
    "\xc2\x85",
    "\xe2\x80\xae",
    "\xf0\x9f\x92\xa9",
    "e\xcc\x81",
    "\xef\xbb\xbf",
    "\xed\x9f\xbf",
    "true",
    "null",
    "1e309",
    "0x10",
    "NaN",
    "[1]",
    "{\"a\":1}",
    " ",
    "  ",
    ",",
    ": ",
};

static uint32_t any_character(struct prng *p)
{
    static const uint32_t tops[] = {0x80, 0x80, 0x80, 0x800, 0x10000, 0x110000};
    uint32_t c = 1 + (uint32_t)prng_below(p, tops[prng_below(p, 6)] - 1);
    return c >= 0xD800 && c < 0xE000 ? 0xFFFD : c;
}

static void make_string(struct prng *p, struct strbuf *out)
{
    uint64_t parts = 1 + prng_below(p, 12);
    strbuf_reset(out);
    for (uint64_t i = 0; i < parts && out->len < STRING_MAX_BYTES - 40; i++) {
        char utf8[4];
        if (prng_below(p, 2) == 0) {
            strbuf_addc(out, pieces[prng_below(p, ARRAY_LEN(pieces))]);
        } else {
            strbuf_add(out, str_n(utf8, utf8_put(any_character(p), utf8)));
        }
    }
}

/* What no parameter may hold: told here in words of its own. */
static bool is_refused(struct str s)
{
    for (size_t i = 0; i < s.len;) {
        uint32_t c = utf8_next(s, &i);
        if (c < 0x20 || (c >= 0x7F && c < 0xA0)) {
            return true;
        }
    }
    return s.len == 0;
}

static int parameters_of(const struct runbook *rb, struct str s,
                         struct arena *a, struct str *ret)
{
    struct err e = ERR_INIT;
    struct event event = {0};
    struct strbuf body = STRBUF_INIT(64 * 1024);
    static const char *const places[] = {
        "{\"type\":\"alert\",\"labels\":{\"v\":", "},\"annotations\":{\"v\":",
        "},\"payload\":{\"v\":"};
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        strbuf_addc(&body, places[i]);
        strbuf_add_json_quoted(&body, s);
    }
    strbuf_addc(&body, "}}");
    json_t *json = NULL;
    int r = json_read(strbuf_str(&body), NULL, &json, &e);
    r = r < 0 ? r : event_from_json(json, a, &event, &e);
    const struct params_source from = {.event = &event, .now_ms = 1};
    r = r < 0 ? r : params_from_event(rb, 0, &from, a, ret, &e);
    json_decref(json);
    strbuf_deinit(&body);
    return r;
}

static void same(const char *what, const char *got, const char *before,
                 struct str s, const char *after)
{
    size_t first = strlen(before);
    size_t last = strlen(after);
    if (strlen(got) != first + s.len + last ||
        memcmp(got, before, first) != 0 ||
        memcmp(got + first, s.at, s.len) != 0 ||
        strcmp(got + first + s.len, after) != 0) {
        fail_msg("%s: '%.*s' has become '%s'", what, STR_ARG(s), got);
    }
}

static const char *variable(char *const *env, const char *name)
{
    size_t len = strlen(name);
    for (; *env != NULL; env++) {
        if (strncmp(*env, name, len) == 0 && (*env)[len] == '=') {
            return *env + len + 1;
        }
    }
    fail_msg("there is no %s", name);
    return "";
}

/* <s|s>, as a text. */
static void twice(struct strbuf *out, struct str s)
{
    strbuf_reset(out);
    strbuf_addch(out, '<');
    strbuf_add(out, s);
    strbuf_addch(out, '|');
    strbuf_add(out, s);
    strbuf_addch(out, '>');
}

static void expect_same(const struct runbook *rb, struct str params,
                        struct str s, struct arena *a)
{
    struct err e = ERR_INIT;
    struct rendered_step step;
    struct step_values values = {.params_json = params};
    struct strbuf both = STRBUF_INIT(4 * STRING_MAX_BYTES);
    if (step_render(rb, 0, &values, a, &step, &e) < 0) {
        fail_msg("'%.*s': %s", STR_ARG(s), e.message);
    }
    same("argv", step.argv[2], "", s, "");
    same("argv of an expression", step.argv[3], "", s, "");
    twice(&both, s);
    same("argv of both", step.argv[4], "", strbuf_str(&both), "");
    assert_null(step.argv[5]);
    same("env", variable(step.env, "V"), "", s, "");
    same("env of an expression", variable(step.env, "W"), "<",
         strbuf_str(&both), ">");
    assert_int_equal(step_render(rb, 1, &values, a, &step, &e), 0);
    assert_string_equal(step.argv[2], "printf %s \"$ADP_PARAM_V\"");
    same("parameter", variable(step.env, "ADP_PARAM_V"), "", s, "");
    strbuf_deinit(&both);
}

/* True if it came through. */
static bool try_string(const struct runbook *rb, struct str s)
{
    struct arena a = ARENA_INIT;
    struct str params = STR_NULL;
    bool passed = parameters_of(rb, s, &a, &params) == 0;
    if (passed == is_refused(s)) {
        fail_msg("'%.*s' is %s", STR_ARG(s), passed ? "taken" : "refused");
    }
    if (passed) {
        expect_same(rb, params, s, &a);
    }
    arena_deinit(&a);
    return passed;
}

static void random_strings_arrive_byte_for_byte(void **state)
{
    (void)state;
    struct runbook *rb = load();
    struct prng prng;
    struct strbuf s = STRBUF_INIT(STRING_MAX_BYTES);
    unsigned long passed = 0;
    prng_seed(&prng, 4711);
    for (unsigned long i = 0; i < wanted; i++) {
        make_string(&prng, &s);
        passed += try_string(rb, strbuf_str(&s)) ? 1 : 0;
    }
    print_message("%lu strings: %lu arrived byte for byte, %lu refused\n",
                  wanted, passed, wanted - passed);
    assert_true(passed > wanted / 4 && passed < wanted);
    strbuf_deinit(&s);
    runbook_unref(rb);
}

static void known_strings_arrive_byte_for_byte(void **state)
{
    (void)state;
    const char *data = getenv("ADP_TEST_DATA");
    char path[512];
    json_error_t error;
    (void)snprintf(path, sizeof(path), "%s/strings/blns.json",
                   data != NULL ? data : "");
    json_t *list =
        data != NULL ? json_load_file(path, JSON_ALLOW_NUL, &error) : NULL;
    if (list == NULL) {
        print_message("# skipped: ADP_TEST_DATA has no strings/blns.json\n");
        return;
    }
    struct runbook *rb = load();
    for (size_t i = 0; i < json_array_size(list); i++) {
        struct str s = json_text(json_array_get(list, i));
        if (s.len <= STRING_MAX_BYTES && str_find(s, '\0') < 0) {
            (void)try_string(rb, s);
        }
    }
    json_decref(list);
    runbook_unref(rb);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_strings_arrive_byte_for_byte),
        cmocka_unit_test(known_strings_arrive_byte_for_byte),
    };
    if (argc > 1) {
        wanted = strtoul(argv[1], NULL, 10);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
