#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include "app/log.h"

/* What the log would have written: one line per entry. */
static struct strbuf written = STRBUF_INIT(1024UL * 1024);
static unsigned entries;
static uint64_t now_ms = 1000;
static int journal_result;

static int take_entry(const struct iovec *fields, int count)
{
    for (int i = 0; i < count; i++) {
        strbuf_add(&written, str_n(fields[i].iov_base, fields[i].iov_len));
        strbuf_addch(&written, '|');
    }
    strbuf_addch(&written, '\n');
    entries++;
    return journal_result;
}

static void take_line(const char *line)
{
    strbuf_addc(&written, line);
    entries++;
}

static uint64_t take_now(void)
{
    return now_ms;
}

static void set_journal_stream(bool ours)
{
    struct stat st;
    char text[64];
    assert_int_equal(fstat(STDERR_FILENO, &st), 0);
    (void)snprintf(text, sizeof(text), "%llu:%llu",
                   (unsigned long long)st.st_dev,
                   (unsigned long long)st.st_ino + (ours ? 0 : 1));
    setenv("JOURNAL_STREAM", text, 1);
}

static int set_up(void **state)
{
    static const struct log_ports ports = {take_entry, take_line, take_now};
    (void)state;
    strbuf_reset(&written);
    entries = 0;
    journal_result = 0;
    now_ms += 10 * LOG_WINDOW_MS;
    log_set_ports(&ports);
    log_flush();
    strbuf_reset(&written);
    entries = 0;
    set_journal_stream(true);
    log_init(LOG_LEVEL_INFO);
    return 0;
}

static void assert_written(const char *what)
{
    if (strstr(strbuf_str(&written).at, what) == NULL) {
        fail_msg("'%s' is not in: %s", what, strbuf_str(&written).at);
    }
}

static const struct log_fields failed = {
    .message = LOG_WORKFLOW_FAILED,
    .event = {{1}},
    .workflow = {{2}},
    .runbook = {"a/b.yaml", 8},
    .step = 2,
    .step_name = {"Ver\nify", 7},
};

static void the_journal_gets_fields(void **state)
{
    (void)state;
    log_syslog_with(LOG_ERR, "it failed\nADP_STEP=9", &failed);
    assert_int_equal(entries, 1);
    assert_written("MESSAGE=ERROR it failed\\x0aADP_STEP=9|");
    assert_written("|PRIORITY=3|");
    assert_written("|SYSLOG_IDENTIFIER=autonomous-devops|");
    assert_written(log_message_row(LOG_WORKFLOW_FAILED)->id);
    assert_written("|ADP_MESSAGE=workflow.failed|");
    assert_written("|ADP_EVENT=evt-");
    assert_written("|ADP_WORKFLOW=wf-");
    assert_written("|ADP_RUNBOOK=a/b.yaml|");
    assert_written("|ADP_STEP=2|");
    assert_written("|ADP_STEP_NAME=Ver\\x0aify|");
}

static void what_is_not_known_is_no_field(void **state)
{
    (void)state;
    log_warning("plain");
    assert_written("MESSAGE=WARNING plain|PRIORITY=4|"
                   "SYSLOG_IDENTIFIER=autonomous-devops|\n");
    log_tell(LOG_EXECUTOR_UP, "up");
    assert_null(strstr(written.at, "ADP_WORKFLOW"));
    assert_null(strstr(written.at, "ADP_STEP"));
    assert_written("MESSAGE=INFO up|");
}

/* A daemon whose output was sent to a file, and one without systemd. */
static void without_the_journal_there_are_lines(void **state)
{
    (void)state;
    set_journal_stream(false);
    log_init(LOG_LEVEL_INFO);
    log_syslog_with(LOG_ERR, "it failed", &failed);
    assert_int_equal(entries, 1);
    assert_written("Z ERROR it failed\n");
    assert_true(isdigit((unsigned char)written.at[0]));
    unsetenv("JOURNAL_STREAM");
    log_init(LOG_LEVEL_INFO);
    log_info("hello\x1b[31m");
    assert_written("Z INFO hello\\x1b[31m\n");
}

static void a_journal_that_does_not_answer_is_replaced(void **state)
{
    (void)state;
    journal_result = -1;
    log_error("important");
    assert_written("<3>ERROR important\n");
}

static void levels_are_kept(void **state)
{
    (void)state;
    log_tell(LOG_STEP_STARTED, "not shown");
    log_debug("not shown");
    assert_int_equal(entries, 0);
    log_init(LOG_LEVEL_DEBUG);
    log_tell(LOG_STEP_STARTED, "shown");
    assert_int_equal(entries, 1);
    log_init(LOG_LEVEL_ERROR);
    log_warning("not shown");
    log_error("shown");
    assert_int_equal(entries, 2);
}

static void floods_are_cut_and_counted(void **state)
{
    (void)state;
    for (int i = 0; i < LOG_BURST + 7; i++) {
        log_tell(LOG_WORKFLOW_SUCCEEDED, "one");
    }
    assert_int_equal(entries, LOG_BURST);
    log_tell(LOG_WORKFLOW_FAILED, "another kind");
    log_error("and a plain one");
    assert_int_equal(entries, LOG_BURST + 2);
    log_flush();
    assert_int_equal(entries, LOG_BURST + 2);
    now_ms += LOG_WINDOW_MS;
    log_tell(LOG_WORKFLOW_SUCCEEDED, "again");
    assert_int_equal(entries, LOG_BURST + 4);
    assert_written("7 more messages like workflow.succeeded were not logged");
    assert_written("|ADP_MESSAGE=log.suppressed|");
}

static void what_was_cut_is_told_without_another(void **state)
{
    (void)state;
    for (int i = 0; i < LOG_BURST + 3; i++) {
        log_tell(LOG_EVENT_POISON, "one");
    }
    now_ms += LOG_WINDOW_MS;
    log_flush();
    log_flush();
    assert_int_equal(entries, LOG_BURST + 1);
    assert_written("3 more messages like event.poison were not logged");
}

/* ---- the table ------------------------------------------------------------
 */

static void every_message_has_its_own_row(void **state)
{
    (void)state;
    assert_null(log_message_row(LOG_MESSAGE_NONE));
    for (int i = LOG_MESSAGE_NONE + 1; i < LOG_MESSAGES; i++) {
        const struct log_message_row *row =
            log_message_row((enum log_message)i);
        assert_non_null(row);
        assert_int_equal(strlen(row->id), 32);
        assert_int_equal(strspn(row->id, "0123456789abcdef"), 32);
        assert_null(strchr(row->subject, '\n'));
        assert_in_range(row->priority, LOG_ERR, LOG_DEBUG);
        for (int k = i + 1; k < LOG_MESSAGES; k++) {
            const struct log_message_row *other =
                log_message_row((enum log_message)k);
            assert_string_not_equal(row->id, other->id);
            assert_string_not_equal(row->name, other->name);
        }
    }
}

static void the_shipped_catalogue_is_what_we_print(void **state)
{
    (void)state;
    const char *root = getenv("ADP_SOURCE_ROOT");
    char path[4096];
    if (root == NULL) {
        skip();
    }
    (void)snprintf(path, sizeof(path), "%s/contrib/autonomous-devops.catalog",
                   root);
    struct strbuf want = STRBUF_INIT(1024UL * 1024);
    log_messages_add_catalog(&want);
    if (getenv("ADP_UPDATE") != NULL) {
        FILE *f = fopen(path, "we");
        assert_non_null(f);
        assert_true(fputs(want.at, f) >= 0);
        assert_int_equal(fclose(f), 0);
    }
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    static char have[256 * 1024];
    size_t n = fread(have, 1, sizeof(have) - 1, f);
    have[n] = '\0';
    assert_int_equal(fclose(f), 0);
    assert_string_equal(have, want.at);
    strbuf_deinit(&want);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_journal_gets_fields),
        TEST(what_is_not_known_is_no_field),
        TEST(without_the_journal_there_are_lines),
        TEST(a_journal_that_does_not_answer_is_replaced),
        TEST(levels_are_kept),
        TEST(floods_are_cut_and_counted),
        TEST(what_was_cut_is_told_without_another),
        TEST(every_message_has_its_own_row),
        TEST(the_shipped_catalogue_is_what_we_print),
    };
    int r = cmocka_run_group_tests(tests, NULL, NULL);
    strbuf_deinit(&written);
    return r;
}
