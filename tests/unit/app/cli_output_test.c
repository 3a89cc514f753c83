#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/cli_http.h"
#include "app/cli_output.h"
#include "base/prng.h"

/* A run whose output is text. */
struct shown {
    struct cli cli;
    char *out;
    size_t out_len;
};

static struct shown *show(unsigned columns)
{
    struct shown *s = calloc(1, sizeof(*s));
    assert_non_null(s);
    s->cli.out = open_memstream(&s->out, &s->out_len);
    s->cli.err = s->cli.out;
    s->cli.now_ms = 1000000ULL * 1000;
    s->cli.terminal = (struct cli_terminal){
        .columns = columns, .unicode = true, .header = true};
    return s;
}

static const char *text_of(struct shown *s)
{
    (void)fflush(s->cli.out);
    return s->out;
}

static void done(struct shown *s)
{
    (void)fclose(s->cli.out);
    cli_deinit(&s->cli);
    free(s->out);
    free(s);
}

static const struct cli_column columns[] = {
    {"ID", 0},          {"STATUS", CLI_STATUS},
    {"NAME", CLI_FLEX}, {"LABELS", CLI_FLEX | CLI_ONLY_WIDE},
    {"AGE", CLI_RIGHT}, {NULL, 0},
};

static void add_row(struct cli_table *t, const char *name)
{
    cli_cell(t, "wf-1");
    cli_cell(t, "succeeded");
    cli_cell(t, name);
    cli_cell(t, "a=b");
    cli_cell(t, "5m");
}

static void lays_out_a_table(void **state)
{
    (void)state;
    struct shown *s = show(80);
    struct cli_table t;
    cli_table_init(&t, &s->cli, columns);
    add_row(&t, "Web");
    add_row(&t, NULL);
    cli_table_print(&t);
    assert_string_equal(text_of(s), "ID    STATUS       NAME  AGE\n"
                                    "wf-1  ✓ succeeded  Web    5m\n"
                                    "wf-1  ✓ succeeded  -      5m\n");
    done(s);
}

static void wide_shows_everything_uncut(void **state)
{
    (void)state;
    struct shown *s = show(20);
    struct cli_table t;
    s->cli.format = CLI_WIDE;
    s->cli.terminal.header = false;
    cli_table_init(&t, &s->cli, columns);
    add_row(&t, "a name that is longer than the terminal");
    cli_table_print(&t);
    assert_string_equal(text_of(s),
                        "wf-1  ✓ succeeded  a name that is longer than the "
                        "terminal  a=b  5m\n");
    done(s);
}

static void what_must_be_read_goes_below(void **state)
{
    static const struct cli_column with_error[] = {
        {"NAME", CLI_FLEX}, {"ERROR", CLI_BELOW}, {"TOOK", 0}, {NULL, 0}};
    (void)state;
    for (unsigned width = 40; width <= 80; width += 40) {
        struct shown *s = show(width);
        struct cli_table t;
        cli_table_init(&t, &s->cli, with_error);
        cli_cell(&t, "Check");
        cli_cell(&t, "exited with status 1: there is no unit");
        cli_cell(&t, "5m");
        cli_cell(&t, "Start");
        cli_cell(&t, NULL);
        cli_cell(&t, "1s");
        cli_table_print(&t);
        assert_string_equal(
            text_of(s),
            width == 40
                ? "NAME   TOOK\n"
                  "Check  5m\n"
                  "      exited with status 1: there is no\n"
                  "      unit\n"
                  "Start  1s\n"
                : "NAME   ERROR                                   TOOK\n"
                  "Check  exited with status 1: there is no unit  5m\n"
                  "Start  -                                       1s\n");
        done(s);
    }
}

static void widest_line(const char *text, size_t most)
{
    struct str rest = str_c(text);
    while (rest.len != 0) {
        size_t end = (size_t)str_find(rest, '\n');
        if (cli_width(str_slice(rest, 0, end)) > most) {
            fail_msg("wider than %zu: %.*s", most, (int)end, rest.at);
        }
        rest = str_slice(rest, end + 1, rest.len);
    }
}

static void no_line_is_wider_than_the_terminal(void **state)
{
    static const char *const letters[] = {"a", "ü", "界", "e\u0301", "😀"};
    struct prng random;
    (void)state;
    prng_seed(&random, 7);
    for (int round = 0; round < 200; round++) {
        unsigned width = 40 + (unsigned)prng_below(&random, 60);
        struct shown *s = show(width);
        struct cli_table t;
        cli_table_init(&t, &s->cli, columns);
        for (int row = 0; row < 5; row++) {
            struct strbuf name = STRBUF_INIT(4096);
            for (uint64_t n = prng_below(&random, 100); n > 0; n--) {
                strbuf_addc(&name,
                            letters[prng_below(&random, ARRAY_LEN(letters))]);
            }
            add_row(&t, strbuf_str(&name).at);
            strbuf_deinit(&name);
        }
        cli_table_print(&t);
        widest_line(text_of(s), width);
        assert_true(str_is_utf8(str_c(s->out)));
        done(s);
    }
}

static void widths_are_those_of_a_terminal(void **state)
{
    (void)state;
    assert_int_equal(cli_width(STR("abc")), 3);
    assert_int_equal(cli_width(STR("üöä")), 3);
    assert_int_equal(cli_width(STR("世界")), 4);
    assert_int_equal(cli_width(STR("e\u0301")), 1);
    assert_int_equal(cli_width(STR("")), 0);
}

static void a_status_is_word_symbol_and_colour(void **state)
{
    (void)state;
    struct cli cli = {.terminal = {.unicode = true, .colour = true}};
    struct strbuf text = STRBUF_INIT(256);
    cli_add_status(&cli, &text, "failed");
    assert_string_equal(text.at, "\033[31m✗ failed\033[0m");
    cli.terminal = (struct cli_terminal){0};
    strbuf_reset(&text);
    cli_add_status(&cli, &text, "failed");
    assert_string_equal(text.at, "x failed");
    strbuf_reset(&text);
    cli_add_status(&cli, &text, "nonsense");
    assert_string_equal(text.at, ". nonsense");
    strbuf_deinit(&text);
}

static void cells_show_no_control_characters(void **state)
{
    (void)state;
    struct shown *s = show(80);
    struct cli_table t;
    cli_table_init(&t, &s->cli, columns);
    add_row(&t, "a\033[31mb\nc\u202ed");
    cli_table_print(&t);
    assert_null(strchr(text_of(s), '\033'));
    assert_non_null(strstr(s->out, "a\\x1b[31mb\\x0ac\\xe2\\x80\\xaed"));
    done(s);
}

/* ---- values ------------------------------------------------------------- */

static void ages_and_seconds(void **state)
{
    static const struct {
        double value;
        const char *age, *seconds;
    } rows[] = {
        {0, "0s", "0.0s"},          {9.96, "9s", "10.0s"}, {59.9, "59s", "60s"},
        {61, "1m", "1m1s"},         {3600, "1h", "1h0m"},  {7325, "2h", "2h2m"},
        {86400 * 3, "3d", "72h0m"}, {-5, "0s", "-"},
    };
    (void)state;
    struct shown *s = show(80);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        json_t *o = json_pack("{s:f, s:f}", "at", 1000000 - rows[i].value,
                              "took", rows[i].value);
        assert_string_equal(cli_age(&s->cli, o, "at"), rows[i].age);
        assert_string_equal(cli_seconds(&s->cli, o, "took"), rows[i].seconds);
        assert_string_equal(cli_age(&s->cli, o, "none"), "-");
        assert_string_equal(cli_seconds(&s->cli, o, "none"), "-");
        json_decref(o);
    }
    done(s);
}

static void members_become_text(void **state)
{
    (void)state;
    struct shown *s = show(80);
    json_t *o = json_pack("{s:s, s:i, s:b, s:n, s:[i, i]}", "text", "a\033b",
                          "number", 7, "truth", 1, "null", "list", 1, 2);
    assert_string_equal(cli_get(&s->cli, o, "text"), "a\\x1bb");
    assert_string_equal(cli_get(&s->cli, o, "number"), "7");
    assert_string_equal(cli_get(&s->cli, o, "truth"), "true");
    assert_string_equal(cli_get(&s->cli, o, "null"), "");
    assert_string_equal(cli_get(&s->cli, o, "none"), "");
    assert_string_equal(cli_get(&s->cli, o, "list"), "[1,2]");
    assert_null(cli_get_raw(o, "number"));
    json_decref(o);
    done(s);
}

/* ---- JSON --------------------------------------------------------------- */

static void json_is_indented_and_safe(void **state)
{
    (void)state;
    struct shown *s = show(80);
    s->cli.format = CLI_JSON;
    json_t *o =
        json_pack("{s:s, s:f, s:[], s:{}, s:[i, {s:b}]}", "a", "{\"\\\u202e\n",
                  "b", 0.009, "c", "d", "e", 1, "f", 0);
    cli_print_json(&s->cli, o);
    assert_string_equal(text_of(s), "{\n"
                                    "  \"a\": \"{\\\"\\\\\\u202e\\n\",\n"
                                    "  \"b\": 0.009,\n"
                                    "  \"c\": [],\n"
                                    "  \"d\": {},\n"
                                    "  \"e\": [\n"
                                    "    1,\n"
                                    "    {\n"
                                    "      \"f\": false\n"
                                    "    }\n"
                                    "  ]\n"
                                    "}\n");
    json_t *again = json_loads(s->out, 0, NULL);
    assert_true(json_equal(o, again));
    json_decref(again);
    json_decref(o);
    done(s);
}

static void times_become_rfc_3339(void **state)
{
    (void)state;
    json_t *o = json_loads("{\"at\": 5, \"at_iso\": \"T\", \"x_iso\": \"U\","
                           " \"n\": [{\"b\": null, \"b_iso\": null}]}",
                           0, NULL);
    json_t *wanted = json_loads(
        "{\"at\": \"T\", \"x_iso\": \"U\", \"n\": [{\"b\": null}]}", 0, NULL);
    cli_json_times(o);
    (void)state;
    assert_true(json_equal(o, wanted));
    json_decref(o);
    json_decref(wanted);
}

static void lists_in_machine_formats(void **state)
{
    (void)state;
    static const struct {
        enum cli_format format;
        const char *text;
    } rows[] = {
        {CLI_JSON, "{\n  \"items\": [\n    {\n      \"id\": \"a\"\n    }\n"
                   "  ],\n  \"next_cursor\": null\n}\n"},
        {CLI_JSONL, "{\"id\":\"a\"}\n"},
        {CLI_NAME, "a\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct shown *s = show(80);
        json_t *items = json_pack("[{s:s}]", "id", "a");
        s->cli.format = rows[i].format;
        assert_true(cli_print_items(&s->cli, items, NULL, "id"));
        assert_string_equal(text_of(s), rows[i].text);
        json_decref(items);
        done(s);
    }
    struct shown *s = show(80);
    assert_false(cli_print_items(&s->cli, NULL, NULL, "id"));
    done(s);
}

/* ---- requests ----------------------------------------------------------- */

static void queries_are_encoded(void **state)
{
    (void)state;
    struct strbuf b = STRBUF_INIT(256);
    cli_add_encoded(&b, "a b/ü&=+~", false);
    assert_string_equal(b.at, "a%20b%2F%C3%BC%26%3D%2B~");
    strbuf_reset(&b);
    cli_add_encoded(&b, "a/b", true);
    assert_string_equal(b.at, "a/b");
    strbuf_deinit(&b);
}

static void knows_what_is_local(void **state)
{
    (void)state;
    assert_true(cli_is_local("http://127.0.0.1:9000"));
    assert_true(cli_is_local("https://localhost"));
    assert_true(cli_is_local("http://[::1]:9000"));
    assert_false(cli_is_local("http://10.0.0.1:9000"));
    assert_false(cli_is_local("http://localhost.example.org"));
    assert_false(cli_is_local("http://127.example.org"));
    assert_false(cli_is_local("http://127.0.0.1:x@example.org"));
    assert_false(cli_is_local("http://[::1].example.org"));
    assert_false(cli_is_local("http://128.0.0.1"));
}

static void ids_are_as_long_as_it_takes(void **state)
{
    (void)state;
    json_t *items = json_pack("[{s:s}, {s:s}]", "id", "wf-01jcaaaaaaaab", "id",
                              "wf-01jcaaaaaaaac");
    assert_int_equal(cli_short_id(items), 16);
    json_array_clear(items);
    json_array_append_new(items, json_pack("{s:s}", "id", "wf-01jcaaaaaaaab"));
    assert_int_equal(cli_short_id(items), 12);
    json_decref(items);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lays_out_a_table),
        cmocka_unit_test(what_must_be_read_goes_below),
        cmocka_unit_test(wide_shows_everything_uncut),
        cmocka_unit_test(no_line_is_wider_than_the_terminal),
        cmocka_unit_test(widths_are_those_of_a_terminal),
        cmocka_unit_test(a_status_is_word_symbol_and_colour),
        cmocka_unit_test(cells_show_no_control_characters),
        cmocka_unit_test(ages_and_seconds),
        cmocka_unit_test(members_become_text),
        cmocka_unit_test(json_is_indented_and_safe),
        cmocka_unit_test(times_become_rfc_3339),
        cmocka_unit_test(lists_in_machine_formats),
        cmocka_unit_test(queries_are_encoded),
        cmocka_unit_test(knows_what_is_local),
        cmocka_unit_test(ids_are_as_long_as_it_takes),
    };
    (void)setlocale(LC_CTYPE, "C.UTF-8");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
