#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "app/cli_editing.h"

static void is_clean(const struct cli_template *t, const char *name)
{
    struct strbuf text = STRBUF_INIT(64 * 1024);
    struct lint_report report;
    struct runbook *rb = NULL;
    struct runbook_report loaded = {0};
    cli_template_fill(t, str_c(name), &text);
    lint_runbook(STR("x.yaml"), strbuf_str(&text), &RUNBOOK_DEFAULTS, &report);
    if (report.findings.count != 0) {
        fail_msg("%s: %u: %s", t->name, report.findings.at[0].err.at.line,
                 report.findings.at[0].err.message);
    }
    lint_report_deinit(&report);
    assert_int_equal(runbook_load(STR("x.yaml"), strbuf_str(&text),
                                  &RUNBOOK_DEFAULTS, &rb, &loaded),
                     0);
    assert_true(str_eq_c(rb->name, name));
    assert_true(rb->description.len != 0);
    runbook_unref(rb);
    runbook_report_deinit(&loaded);
    strbuf_deinit(&text);
}

static void templates_are_clean_with_any_name(void **state)
{
    static const char *const names[] = {
        "Restart web", "a",      "null",  "true", "5",    "1e3",
        "a: b",        "# x",    "\"q\"", "'q'",  "- x",  "caf\xc3\xa9",
        "a ",          "@NAME@", "{a}",   "~",    "a\\b", "${{ x }}"};
    (void)state;
    assert_true(cli_template_count >= 3);
    for (size_t i = 0; i < cli_template_count; i++) {
        for (size_t n = 0; n < ARRAY_LEN(names); n++) {
            is_clean(&cli_templates[i], names[n]);
        }
    }
}

static void templates_are_told(void **state)
{
    (void)state;
    for (size_t i = 0; i < cli_template_count; i++) {
        char name[64];
        assert_string_equal(cli_template_names[i], cli_templates[i].name);
        (void)snprintf(name, sizeof(name), "%s (", cli_templates[i].name);
        assert_non_null(strstr(CLI_NEW_DETAILS, name));
        assert_non_null(strstr(cli_templates[i].text,
                               "# yaml-language-server: $schema=/usr/share/"));
    }
    assert_null(cli_template_names[cli_template_count]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(templates_are_clean_with_any_name),
        cmocka_unit_test(templates_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
