/* doc/man/runbook.5.scd is written by hand: it has every key of the tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"
#include "lint/lint.h"
#include "model/event_cel.h"
#include "model/runbook_guards.h"
#include "model/runbook_watch.h"

static void read_page(const char *name, struct strbuf *out)
{
    const char *root = getenv("ADP_SOURCE_ROOT");
    char room[4096];
    size_t len = 0;
    assert_non_null(root);
    (void)snprintf(room, sizeof(room), "%s/doc/man/%s", root, name);
    FILE *file = fopen(room, "re");
    assert_non_null(file);
    while ((len = fread(room, 1, sizeof(room), file)) > 0) {
        strbuf_add(out, str_n(room, len));
    }
    (void)fclose(file);
}

/* The lines from "# TITLE" to the next title. */
static struct str section(const struct strbuf *page, const char *title)
{
    char line[64];
    (void)snprintf(line, sizeof(line), "\n# %s\n", title);
    const char *at = strstr(page->at, line);
    assert_non_null(at);
    at += strlen(line);
    const char *end = strstr(at, "\n# ");
    return end != NULL ? str_n(at, (size_t)(end - at)) : str_c(at);
}

static void check_keys(const struct strbuf *page, const char *title,
                       const struct key_table *table)
{
    struct str text = section(page, title);
    for (size_t i = 0; i < table->count; i++) {
        char key[80];
        (void)snprintf(key, sizeof(key), "*%s*", table->keys[i].name);
        if (memmem(text.at, text.len, key, strlen(key)) == NULL) {
            fail_msg("runbook(5), %s, lacks %s", title, key);
        }
    }
}

static void runbook_page_has_every_key(void **state)
{
    (void)state;
    struct strbuf page = STRBUF_INIT(256 * 1024);
    read_page("runbook.5.scd", &page);
    check_keys(&page, "RUNBOOK", &runbook_keys);
    check_keys(&page, "PARAMETERS", &runbook_param_keys);
    check_keys(&page, "TRIGGERS", &runbook_trigger_keys);
    check_keys(&page, "HOW OFTEN A TRIGGER STARTS", &runbook_count_keys);
    check_keys(&page, "HOW OFTEN A TRIGGER STARTS", &runbook_max_runs_keys);
    check_keys(&page, "GUARDS", &runbook_guard_keys);
    check_keys(&page, "GUARDS", &runbook_concurrency_keys);
    check_keys(&page, "GUARDS", &runbook_max_starts_keys);
    check_keys(&page, "GUARDS", &runbook_breaker_keys);
    check_keys(&page, "WHAT A TRIGGER WATCHES", &runbook_absent_keys);
    check_keys(&page, "WHAT A TRIGGER WATCHES", &runbook_flapping_keys);
    check_keys(&page, "STEPS", &runbook_step_keys);
    check_keys(&page, "STEPS", &runbook_rollback_keys);
    check_keys(&page, "VERIFICATION", &runbook_verify_keys);
    check_keys(&page, "RETRY", &runbook_retry_keys);
    check_keys(&page, "TESTS", &runbook_test_keys);
    check_keys(&page, "TESTS", &runbook_outcome_keys);
    check_keys(&page, "TESTS", &runbook_expect_keys);
    strbuf_deinit(&page);
}

static void runbook_page_s_example_is_clean(void **state)
{
    (void)state;
    struct strbuf page = STRBUF_INIT(256 * 1024);
    struct runbook *rb = NULL;
    struct runbook_report report = {0};
    read_page("runbook.5.scd", &page);
    struct str text = section(&page, "EXAMPLE");
    const char *at = memmem(text.at, text.len, "```\n", 4);
    assert_non_null(at);
    const char *end = strstr(at + 4, "```");
    int r =
        runbook_load(STR("example.yaml"), str_n(at + 4, (size_t)(end - at - 4)),
                     &RUNBOOK_DEFAULTS, &rb, &report);
    assert_int_equal(r, 0);
    assert_int_equal(report.problems.count, 0);
    runbook_unref(rb);
    runbook_report_deinit(&report);
    struct lint_report found;
    lint_runbook(STR("example.yaml"), str_n(at + 4, (size_t)(end - at - 4)),
                 &RUNBOOK_DEFAULTS, &found);
    assert_int_equal(found.findings.count, 0);
    lint_report_deinit(&found);
    strbuf_deinit(&page);
}

/* What conditions see of an event. */
static void runbook_page_has_every_field(void **state)
{
    (void)state;
    struct strbuf page = STRBUF_INIT(256 * 1024);
    struct event_cel_row row;
    read_page("runbook.5.scd", &page);
    struct str text = section(&page, "EXPRESSIONS");
    for (size_t i = 0; event_cel_row(i, &row); i++) {
        char key[80];
        (void)snprintf(key, sizeof(key), "*%s*", row.name);
        bool wanted = str_eq_c(str_c(row.object), "event") && !row.only_lists;
        if (wanted && memmem(text.at, text.len, key, strlen(key)) == NULL) {
            fail_msg("runbook(5), EXPRESSIONS, lacks %s", key);
        }
    }
    strbuf_deinit(&page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runbook_page_has_every_field),
        cmocka_unit_test(runbook_page_has_every_key),
        cmocka_unit_test(runbook_page_s_example_is_clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
