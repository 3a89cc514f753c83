#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/mem.h"
#include "telemetry/telemetry.h"

#define T0 UINT64_C(1700000000123)
#define TEXT_MAX (UINT64_C(1024) * 1024)

static char *exposition(const struct telemetry *t,
                        const struct telemetry_state *s)
{
    struct strbuf out = STRBUF_INIT(TEXT_MAX);
    telemetry_add_prometheus(t, s, &out);
    assert_int_equal(strbuf_error(&out), 0);
    return strbuf_take(&out);
}

/* Everything at a number of its own, so that a wrong row shows. */
static struct telemetry *busy(struct telemetry_state *s)
{
    struct telemetry *t = telemetry_new(T0);
    telemetry_event_accepted(t, T0, STR("alert"), 11);
    telemetry_event_accepted(t, T0, STR("a\"b\\c\nd"), 12);
    telemetry_event_processed(t, T0, 13);
    telemetry_event_error(t, T0, 14);
    telemetry_event_refused(t, REFUSAL_OVERLOAD, 15);
    telemetry_workflow_finished(t, T0, WORKFLOW_FAILED, 1500, false);
    telemetry_workflow_finished(t, T0, WORKFLOW_SUCCEEDED, 0, true);
    telemetry_step_finished(t, ATTEMPT_TIMED_OUT, 250);
    telemetry_http_answered(t, 202);
    telemetry_http_answered(t, 503);
    telemetry_observe_us(t, TIMING_INGEST, 1);
    telemetry_observe_us(t, TIMING_INGEST, 20000000);
    *s = (struct telemetry_state){
        .accepted = 21,
        .events = {[EVENT_QUEUED] = 22, [EVENT_ERROR] = 23},
        .workflows = {[WORKFLOW_HELD] = 24, [TELEMETRY_DRY_RUN] = 26},
        .queue_depth = 25,
        .oldest_active_ms = 1764000000250,
        .backup_ms = 1764000001500,
        .workers = {[WORKER_CLAIMING] = 26},
        .executor_up = 1,
        .store_commit_us_sum = 1234500,
        .slo = {[SLO_AUTO_REMEDIATION] = {.samples = 8,
                                          .actual = 0.875,
                                          .met = true,
                                          .budget_total = 1.6,
                                          .budget_used = 1}},
    };
    return t;
}

#define BUDGET_LINE                                                            \
    "slo_error_budget_remaining_ratio{slo=\"auto_remediation_success_rate"     \
    "\"} 0.375"

static void assert_line(const char *text, const char *line)
{
    char wanted[256];
    (void)snprintf(wanted, sizeof(wanted), "\nautonomous_devops_%s\n", line);
    if (strstr(text, wanted) == NULL) {
        fail_msg("no line: %s", line);
    }
}

#define BUILD_INFO "build_info{version=\"" ADP_VERSION "\"} 1"

static void says_what_was_counted(void **state)
{
    (void)state;
    struct telemetry_state s;
    struct telemetry *t = busy(&s);
    char *text = exposition(t, &s);
    static const char *const lines[] = {
        "start_time_seconds 1700000000.123",
        "events_accepted_total 23",
        "events_by_type_total{type=\"alert\"} 11",
        "events_by_type_total{type=\"a\\\"b\\\\c\\nd\"} 12",
        "events_processed_total 13",
        "event_processing_errors_total 14",
        "events_refused_total{reason=\"overload\"} 15",
        "events_refused_total{reason=\"store\"} 0",
        "ledger_accepted 21",
        "ledger_events{status=\"queued\"} 22",
        "ledger_events{status=\"error\"} 23",
        "ledger_workflows{status=\"held\"} 24",
        "event_queue_depth 25",
        "oldest_active_workflow_created_seconds 1764000000.25",
        "backup_last_success_timestamp_seconds 1764000001.5",
        "event_workers{state=\"claiming\"} 26",
        "executor_up 1",
        "store_commit_seconds_total 1.2345",
        "workflows_finished_total{status=\"failed\"} 1",
        "workflows_finished_total{status=\"succeeded\"} 0",
        "workflows_finished_total{status=\"dry_run\"} 1",
        "ledger_workflows{status=\"dry_run\"} 26",
        "step_attempts_finished_total{state=\"timed_out\"} 1",
        "http_responses_total{class=\"2xx\"} 1",
        "http_responses_total{class=\"5xx\"} 1",
        "event_ingest_seconds_bucket{le=\"0.0005\"} 1",
        "event_ingest_seconds_bucket{le=\"10\"} 1",
        "event_ingest_seconds_bucket{le=\"+Inf\"} 2",
        "event_ingest_seconds_sum 20.000001",
        "event_ingest_seconds_count 2",
        "step_duration_seconds_bucket{le=\"0.1\"} 0",
        "step_duration_seconds_bucket{le=\"0.5\"} 1",
        "workflow_duration_seconds_sum 1.5",
        "slo_target{slo=\"auto_remediation_success_rate\"} 0.8",
        "slo_actual{slo=\"auto_remediation_success_rate\"} 0.875",
        "slo_met{slo=\"auto_remediation_success_rate\"} 1",
        "slo_samples{slo=\"auto_remediation_success_rate\"} 8",
        BUDGET_LINE,
    };
    assert_line(text, BUILD_INFO);
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        assert_line(text, lines[i]);
    }
    mem_free(text);
    telemetry_free(t);
}

/* Every family once, with HELP before TYPE before its samples. */
static void families_are_whole(void **state)
{
    (void)state;
    struct telemetry_state s;
    struct telemetry *t = busy(&s);
    char *text = exposition(t, &s);
    char family[128] = "";
    unsigned families = 0;
    char *rest = text;
    char *line;
    while ((line = strsep(&rest, "\n")) != NULL && *line != '\0') {
        if (strncmp(line, "# HELP ", 7) == 0) {
            size_t len = strcspn(line + 7, " ");
            assert_true(len < sizeof(family));
            memcpy(family, line + 7, len);
            family[len] = '\0';
            families++;
            line = strsep(&rest, "\n");
            assert_non_null(line);
            assert_int_equal(strncmp(line, "# TYPE ", 7), 0);
            assert_int_equal(strncmp(line + 7, family, len), 0);
        } else {
            assert_int_equal(strncmp(line, family, strlen(family)), 0);
        }
    }
    assert_true(families > 30);
    mem_free(text);
    telemetry_free(t);
}

static void promtool_agrees(void **state)
{
    (void)state;
    if (access("/usr/bin/promtool", X_OK) != 0) {
        print_message("promtool is not installed\n");
        skip();
    }
    struct telemetry_state s;
    struct telemetry *t = busy(&s);
    char *text = exposition(t, &s);
    int in[2];
    assert_int_equal(pipe(in), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)dup2(in[0], STDIN_FILENO);
        (void)dup2(STDERR_FILENO, STDOUT_FILENO);
        (void)close(in[1]);
        (void)execl("/usr/bin/promtool", "promtool", "check", "metrics",
                    (char *)NULL);
        _exit(127);
    }
    (void)close(in[0]);
    size_t len = strlen(text);
    for (size_t done = 0; done < len;) {
        ssize_t n = write(in[1], text + done, len - done);
        assert_true(n > 0);
        done += (size_t)n;
    }
    (void)close(in[1]);
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    mem_free(text);
    telemetry_free(t);
}

/* doc/metrics.md is what the tables say. ADP_UPDATE=1 writes it anew. */
static void the_reference_page_is_current(void **state)
{
    (void)state;
    const char *root = getenv("ADP_SOURCE_ROOT");
    if (root == NULL) {
        skip();
    }
    char path[4096];
    (void)snprintf(path, sizeof(path), "%s/doc/metrics.md", root);
    struct strbuf out = STRBUF_INIT(TEXT_MAX);
    telemetry_add_reference(&out);
    if (getenv("ADP_UPDATE") != NULL) {
        FILE *f = fopen(path, "w");
        assert_non_null(f);
        assert_int_equal(fwrite(out.at, 1, out.len, f), out.len);
        assert_int_equal(fclose(f), 0);
    }
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    static char page[TEXT_MAX];
    size_t n = fread(page, 1, sizeof(page) - 1, f);
    assert_int_equal(fclose(f), 0);
    page[n] = '\0';
    assert_string_equal(page, out.at);
    strbuf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_what_was_counted),
        cmocka_unit_test(families_are_whole),
        cmocka_unit_test(promtool_agrees),
        cmocka_unit_test(the_reference_page_is_current),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
