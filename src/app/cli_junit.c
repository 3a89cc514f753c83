#include <inttypes.h>
#include <string.h>

#include "app/cli_output.h"
#include "app/cli_trial.h"

/* XML 1.0 has no way to write most control characters. */
static void add_escaped(struct strbuf *out, const char *text)
{
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        switch (c) {
        case '&':
            strbuf_addc(out, "&amp;");
            break;
        case '<':
            strbuf_addc(out, "&lt;");
            break;
        case '>':
            strbuf_addc(out, "&gt;");
            break;
        case '"':
            strbuf_addc(out, "&quot;");
            break;
        case '\n':
        case '\t':
            strbuf_addf(out, "&#%u;", c);
            break;
        default:
            strbuf_addch(out, c < 0x20 || c == 0x7F ? '?' : (char)c);
        }
    }
}

static void add_attribute(struct strbuf *out, const char *name,
                          const char *value)
{
    strbuf_addf(out, " %s=\"", name);
    add_escaped(out, value != NULL ? value : "");
    strbuf_addch(out, '"');
}

static void add_failure(struct strbuf *out, const json_t *item)
{
    size_t i = 0;
    json_t *d = NULL;
    const json_t *differences = json_object_get(item, "differences");
    const json_t *first = json_array_get(differences, 0);
    CLEANUP(strbuf_deinit) struct strbuf message = STRBUF_INIT(128 * 1024);
    strbuf_addf(&message, "%s: expected %s, got %s", cli_get_raw(first, "what"),
                cli_get_raw(first, "expected"), cli_get_raw(first, "got"));
    strbuf_addc(out, "<failure");
    add_attribute(out, "message",
                  message.at != NULL ? message.at : "it failed");
    strbuf_addch(out, '>');
    json_array_foreach (differences, i, d) {
        add_escaped(out, cli_get_raw(d, "what"));
        strbuf_addc(out, "&#10;  expected ");
        add_escaped(out, cli_get_raw(d, "expected"));
        strbuf_addc(out, "&#10;  got      ");
        add_escaped(out, cli_get_raw(d, "got"));
        strbuf_addc(out, "&#10;");
    }
    json_array_foreach (json_object_get(item, "story"), i, d) {
        add_escaped(out, json_string_value(d));
        strbuf_addc(out, "&#10;");
    }
    strbuf_addc(out, "</failure>");
}

static bool has_failed(const json_t *item)
{
    return !json_is_true(json_object_get(item, "passed"));
}

static bool is_error(const json_t *item)
{
    return cli_get_raw(item, "error") != NULL;
}

static void add_case(struct strbuf *out, const json_t *item)
{
    const char *name = cli_get_raw(item, "test");
    strbuf_addc(out, "    <testcase");
    add_attribute(out, "classname", cli_get_raw(item, "path"));
    add_attribute(out, "name", name != NULL ? name : "loads");
    add_attribute(out, "file", cli_get_raw(item, "path"));
    if (!is_error(item)) {
        strbuf_addf(out, " line=\"%" JSON_INTEGER_FORMAT "\"",
                    json_integer_value(json_object_get(item, "line")));
    }
    strbuf_addc(out, " time=\"0\"");
    if (!has_failed(item)) {
        strbuf_addc(out, "/>\n");
        return;
    }
    strbuf_addch(out, '>');
    if (is_error(item)) {
        strbuf_addc(out, "<error");
        add_attribute(out, "message", cli_get_raw(item, "error"));
        strbuf_addc(out, "/>");
    } else {
        add_failure(out, item);
    }
    strbuf_addc(out, "</testcase>\n");
}

struct sums {
    unsigned tests;
    unsigned failures;
    unsigned errors;
};

/* From item `from` on, those of one path; all of them for NULL. */
static struct sums sum_up(const json_t *items, size_t from, const char *path)
{
    struct sums s = {0};
    for (size_t i = from; i < json_array_size(items); i++) {
        const json_t *item = json_array_get(items, i);
        if (path != NULL && strcmp(cli_get_raw(item, "path"), path) != 0) {
            break;
        }
        s.tests++;
        s.errors += is_error(item);
        s.failures += has_failed(item) && !is_error(item);
    }
    return s;
}

static void add_sums(struct strbuf *out, const struct sums *s)
{
    strbuf_addf(out, " tests=\"%u\" failures=\"%u\" errors=\"%u\"", s->tests,
                s->failures, s->errors);
}

void cli_junit_add(const json_t *items, struct strbuf *out)
{
    struct sums all = sum_up(items, 0, NULL);
    strbuf_addc(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                     "<testsuites name=\"runbooks\"");
    add_sums(out, &all);
    strbuf_addc(out, ">\n");
    for (size_t i = 0; i < json_array_size(items);) {
        const char *path = cli_get_raw(json_array_get(items, i), "path");
        struct sums s = sum_up(items, i, path);
        strbuf_addc(out, "  <testsuite");
        add_attribute(out, "name", path);
        add_sums(out, &s);
        strbuf_addc(out, ">\n");
        for (unsigned n = 0; n < s.tests; n++) {
            add_case(out, json_array_get(items, i++));
        }
        strbuf_addc(out, "  </testsuite>\n");
    }
    strbuf_addc(out, "</testsuites>\n");
}
