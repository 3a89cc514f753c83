#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <jansson.h>

#include "model/runbook_schema.h"
#include "store/committer.h"
#include "tests/unit/api/fake.h"

#define RESTART                                                                \
    "name: Restart Service\ndescription: Restarts one unit\n"                  \
    "category: remediation\nparameters:\n"                                     \
    "  service: {type: string, required: true, description: Which}\n"          \
    "  tries: {type: integer, default: 3}\n"                                   \
    "  password: {type: string, secret: true, pattern: '[a-z0-9]+'}\n"         \
    "steps:\n"                                                                 \
    "  - name: Restart\n    action: exec\n"                                    \
    "    argv: [systemctl, restart, \"${{ parameters.service }}\"]\n"          \
    "  - {name: Verify, action: exec, command: \"exit 0\", timeout: 5s}\n"

#define NOOP                                                                   \
    "name: Noop\ncategory: test\nsteps:\n"                                     \
    "  - {name: Nothing, action: exec, command: \"true\"}\n"

static struct err broken = {.errnum = -EINVAL,
                            .at = {.line = 3, .column = 5},
                            .field = "steps[0].comand",
                            .message = "unknown key",
                            .hint = "did you mean \"command\"?"};

static int set_up(void **state)
{
    (void)fake_start(state);
    struct generation_file files[] = {
        fake_file("remediation/restart-service.yaml", RESTART),
        fake_file("test/noop.yaml", NOOP),
        {.path = STR("broken.yaml"),
         .state = FILE_REJECTED,
         .problems = &broken,
         .problem_count = 1},
        fake_file("stale.yaml", NOOP),
    };
    files[3].state = FILE_LAST_KNOWN_GOOD;
    files[3].problems = &broken;
    files[3].problem_count = 1;
    fake_set_files(files, ARRAY_LEN(files));
    fake.run_id = id_floor(1764000000000);
    return 0;
}

static const char *text_of(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

static size_t runbooks(const char *path)
{
    assert_int_equal(get(path), 200);
    json_t *j = json();
    size_t n = json_array_size(json_object_get(j, "runbooks"));
    assert_int_equal(json_integer_value(json_object_get(j, "count")), n);
    json_decref(j);
    return n;
}

static void lists_and_finds(void **state)
{
    (void)state;
    assert_int_equal(runbooks("/api/runbooks"), 3);
    assert_int_equal(runbooks("/api/runbooks?category=remediation"), 1);
    assert_int_equal(runbooks("/api/runbooks?category=none"), 0);
    assert_int_equal(runbooks("/api/runbooks/search?q=UNIT"), 1);
    assert_int_equal(runbooks("/api/runbooks/search?q=nothing%20like%20it"), 0);
    assert_int_equal(get("/api/runbooks/search"), 400);
    assert_int_equal(get("/api/runbooks"), 200);
    json_t *j = json();
    json_t *rb = json_array_get(json_object_get(j, "runbooks"), 0);
    assert_string_equal(text_of(rb, "path"),
                        "remediation/restart-service.yaml");
    assert_string_equal(text_of(rb, "state"), "loaded");
    json_t *params = json_object_get(rb, "parameters");
    assert_int_equal(json_array_size(params), 3);
    assert_string_equal(text_of(json_array_get(params, 0), "name"), "service");
    assert_int_equal(json_integer_value(
                         json_object_get(json_array_get(params, 1), "default")),
                     3);
    json_t *rejected = json_object_get(j, "rejected");
    assert_int_equal(json_array_size(rejected), 2);
    json_t *error = json_array_get(
        json_object_get(json_array_get(rejected, 0), "errors"), 0);
    assert_int_equal(json_integer_value(json_object_get(error, "line")), 3);
    json_decref(j);
    assert_int_equal(get("/api/runbooks"), 200);
    assert_null(strstr(answer.body, "hunter2"));
}

static json_t *runbook_at(const json_t *list, const char *path)
{
    size_t i = 0;
    json_t *rb = NULL;
    json_array_foreach (json_object_get(list, "runbooks"), i, rb) {
        if (strcmp(text_of(rb, "path"), path) == 0) {
            return rb;
        }
    }
    fail_msg("no %s", path);
    return NULL;
}

static void shows_what_the_executor_refuses(void **state)
{
    (void)state;
    fake.refused_path = "test/noop.yaml";
    assert_int_equal(get("/api/runbooks"), 200);
    json_t *j = json();
    json_t *rb = runbook_at(j, "test/noop.yaml");
    assert_string_equal(text_of(rb, "state"), "refused");
    assert_string_equal(text_of(rb, "refusal"),
                        "others can write to it: chmod go-w it");
    rb = runbook_at(j, "stale.yaml");
    assert_string_equal(text_of(rb, "state"), "last_known_good");
    assert_true(json_is_null(json_object_get(rb, "refusal")));
    json_decref(j);
    fake.status.runbooks_refused = 1;
    assert_int_equal(get("/api/health"), 200);
    assert_non_null(strstr(answer.body, "\"status\":\"degraded\""));
    assert_non_null(strstr(answer.body, "\"refused\":1"));
    /* The version in force, and another one that nobody was asked about. */
    fake.disk_path = "test/noop.yaml";
    fake.disk_text = NOOP;
    assert_int_equal(
        post("/api/runbooks/validate", "{\"runbook_path\":\"test/noop.yaml\"}"),
        200);
    assert_non_null(strstr(answer.body, "\"valid\":false"));
    assert_non_null(strstr(answer.body, "the executor refuses it: others"));
    fake.disk_text = NOOP "# edited\n";
    assert_int_equal(
        post("/api/runbooks/validate", "{\"runbook_path\":\"test/noop.yaml\"}"),
        200);
    assert_non_null(strstr(answer.body, "\"valid\":true"));
}

/* Two files with the same text, which is only a name as long as no event
 * starts them. */
static void warns_of_copies(void **state)
{
    (void)state;
    assert_int_equal(get("/api/runbooks"), 200);
    json_t *j = json();
    json_t *rb = runbook_at(j, "test/noop.yaml");
    json_t *w = json_array_get(json_object_get(rb, "warnings"), 0);
    assert_string_equal(text_of(w, "message"), "the same name as stale.yaml");
    rb = runbook_at(j, "remediation/restart-service.yaml");
    assert_int_equal(json_array_size(json_object_get(rb, "warnings")), 0);
    json_decref(j);
    fake.disk_path = "test/noop.yaml";
    fake.disk_text = NOOP;
    assert_int_equal(
        post("/api/runbooks/validate", "{\"runbook_path\":\"test/noop.yaml\"}"),
        200);
    assert_non_null(strstr(answer.body, "the same name as stale.yaml"));
}

/* ---- validate
 * --------------------------------------------------------------------- */

static void validates_files_and_texts(void **state)
{
    (void)state;
    fake.disk_path = "remediation/new.yaml";
    fake.disk_text = NOOP;
    assert_int_equal(post("/api/runbooks/validate",
                          "{\"runbook_path\":\"remediation/new.yaml\"}"),
                     200);
    assert_non_null(strstr(answer.body, "\"valid\":true"));
    fake.disk_text = "name: X\nsteps:\n  - {nam: y}\n";
    assert_int_equal(post("/api/runbooks/validate",
                          "{\"runbook_path\":\"remediation/new.yaml\"}"),
                     200);
    json_t *j = json();
    assert_true(json_is_false(json_object_get(j, "valid")));
    json_t *e = json_array_get(json_object_get(j, "errors"), 0);
    assert_string_equal(text_of(e, "file"), "remediation/new.yaml");
    assert_int_equal(json_integer_value(json_object_get(e, "line")), 3);
    assert_non_null(text_of(e, "message"));
    json_decref(j);
    assert_int_equal(post("/api/runbooks/validate", "{\"text\":\"name: [\"}"),
                     200);
    assert_non_null(strstr(answer.body, "\"valid\":false"));
}

static void gives_the_schema(void **state)
{
    (void)state;
    assert_int_equal(get("/api/runbooks/schema"), 200);
    json_t *j = json();
    json_t *made = runbook_schema();
    assert_true(json_equal(j, made));
    json_decref(made);
    json_decref(j);
}

static void validate_refuses_what_is_no_question(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        int status;
    } bad[] = {
        {"", 400},
        {"{}", 400},
        {"{\"runbook_path\":1}", 400},
        {"{\"runbook_path\":\"a.yaml\",\"text\":\"x\"}", 400},
        {"{\"path\":\"a.yaml\"}", 400},
        {"{\"runbook_path\":\"absent.yaml\"}", 404},
        {"{\"runbook_path\":\"../../etc/passwd\"}", 400},
        {"{\"runbook_path\":\"/etc/passwd\"}", 400},
        {"{\"runbook_path\":\"a/../b.yaml\"}", 400},
        {"{\"runbook_path\":\"a.txt\"}", 400},
        {"{\"runbook_path\":\"\"}", 400},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (post("/api/runbooks/validate", bad[i].body) != bad[i].status) {
            fail_msg("%s: %s", bad[i].body, answer.text);
        }
    }
}

/* ---- execute
 * ---------------------------------------------------------------------- */

static void starts_a_workflow(void **state)
{
    (void)state;
    assert_int_equal(post("/api/runbooks/execute",
                          "{\"runbook\":\"remediation/restart-service.yaml\","
                          "\"parameters\":{\"service\":\"nginx\"}}"),
                     202);
    json_t *j = json();
    assert_string_equal(text_of(j, "status"), "queued");
    assert_true(json_is_false(json_object_get(j, "dry_run")));
    assert_int_equal(strncmp(text_of(j, "workflow_id"), "wf-", 3), 0);
    json_decref(j);
    assert_string_equal(fake.run_parameters,
                        "{\"service\":\"nginx\",\"tries\":3}");
}

static void dry_run_lists_missing_parameters(void **state)
{
    (void)state;
    static const char run[] =
        "{\"runbook\":\"remediation/restart-service.yaml\"}";
    static const char dry[] = "{\"runbook\":\"remediation/"
                              "restart-service.yaml\",\"dry_run\":true}";
    assert_int_equal(post("/api/runbooks/execute", run), 400);
    assert_int_equal(post("/api/runbooks/execute", dry), 200);
    json_t *j = json();
    json_t *missing = json_object_get(j, "missing_parameters");
    assert_int_equal(json_array_size(missing), 1);
    assert_string_equal(json_string_value(json_array_get(missing, 0)),
                        "service");
    json_t *argv =
        json_object_get(json_array_get(json_object_get(j, "plan"), 0), "argv");
    assert_string_equal(json_string_value(json_array_get(argv, 2)),
                        "${{ parameters.service }}");
    json_decref(j);
}

static void dry_run_shows_the_plan_without_secrets(void **state)
{
    (void)state;
    assert_int_equal(
        post("/api/runbooks/execute",
             "{\"runbook\":\"remediation/restart-service.yaml\","
             "\"parameters\":{\"service\":\"nginx\",\"password\":\"s3cret\"},"
             "\"dry_run\":true}"),
        200);
    assert_null(strstr(answer.body, "s3cret"));
    json_t *j = json();
    assert_string_equal(text_of(j, "status"), "succeeded");
    json_t *plan = json_object_get(j, "plan");
    assert_int_equal(json_array_size(plan), 2);
    json_t *argv = json_object_get(json_array_get(plan, 0), "argv");
    assert_string_equal(json_string_value(json_array_get(argv, 2)), "nginx");
    json_t *env = json_object_get(json_array_get(plan, 0), "env");
    assert_string_equal(text_of(env, "ADP_PARAM_SERVICE"), "nginx");
    assert_string_equal(text_of(env, "ADP_PARAM_PASSWORD"), "***");
    assert_string_equal(text_of(json_array_get(plan, 1), "command"), "exit 0");
    assert_int_equal(json_number_value(json_object_get(json_array_get(plan, 1),
                                                       "timeout_seconds")),
                     5);
    json_decref(j);
}

static void execute_says_what_is_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        int status;
        const char *text;
    } bad[] = {
        {"", 400, "which runbook"},
        {"{\"runbook\":7}", 400, "runbook"},
        {"{\"runbook\":\"test/noop.yaml\",\"dry_runn\":true}", 400, "dry_run"},
        {"{\"runbook\":\"test/noop.yaml\",\"dry_run\":\"yes\"}", 400,
         "dry_run"},
        {"{\"runbook\":\"test/noop.yaml\",\"parameters\":[]}", 400,
         "parameters"},
        {"{\"runbook\":\"test/nop.yaml\"}", 404, "test/noop.yaml"},
        {"{\"runbook\":\"../x.yaml\"}", 400, "bad_request"},
        {"{\"runbook\":\"remediation/restart-service.yaml\"}", 400,
         "parameters_invalid"},
        {"{\"runbook\":\"test/noop.yaml\",\"parameters\":{\"a\":1}}", 400,
         "parameters_invalid"},
        {"{\"runbook\":\"broken.yaml\"}", 422,
         "Runbook validation failed: unknown key"},
        {"{\"runbook\":\"broken.yaml\"}", 422, "\"line\":3"},
        {"{\"runbook\":\"stale.yaml\"}", 422, "runbook_invalid"},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (post("/api/runbooks/execute", bad[i].body) != bad[i].status ||
            strstr(answer.body, bad[i].text) == NULL) {
            fail_msg("%s: %s", bad[i].body, answer.text);
        }
    }
    assert_int_equal(atomic_load(&fake.posts), 0);
    fake.post_result = -EAGAIN;
    assert_int_equal(
        post("/api/runbooks/execute", "{\"runbook\":\"test/noop.yaml\"}"), 503);
    assert_code("busy");
}

static void executes_once_per_key(void **state)
{
    (void)state;
    static const char key[] = "Idempotency-Key: once\r\n";
    static const char body[] = "{\"runbook\":\"test/noop.yaml\"}";
    fake.post_result = -EAGAIN; /* not done: the key stays free */
    assert_int_equal(ask_with("POST", "/api/runbooks/execute", key, body), 503);
    fake.post_result = 0;
    assert_int_equal(ask_with("POST", "/api/runbooks/execute", key, body), 202);
    char once[400];
    (void)snprintf(once, sizeof(once), "%s", answer.body);
    assert_int_equal(ask_with("POST", "/api/runbooks/execute", key, body), 202);
    assert_string_equal(answer.body, once);
    assert_int_equal(atomic_load(&fake.posts), 2);
    assert_int_equal(ask_with("POST", "/api/runbooks/execute", key,
                              "{\"runbook\":\"test/noop.yaml\","
                              "\"dry_run\":true}"),
                     422);
    assert_code("idempotency_mismatch");
}

/* ---- reload, health, probes
 * --------------------------------------------------------- */

static void a_configuration_is_reloaded_or_refused(void **state)
{
    (void)state;
    assert_int_equal(post("/api/admin/reload-config", NULL), 200);
    json_t *j = json();
    assert_string_equal(text_of(j, "status"), "reloaded");
    assert_int_equal(json_array_size(json_object_get(j, "changed")), 1);
    json_decref(j);
    assert_int_equal(post("/api/admin/reload-config", "{\"x\":1}"), 400);
    fake_config.result = -EINVAL;
    assert_int_equal(post("/api/admin/reload-config", "{}"), 422);
    assert_code("config_invalid");
    assert_non_null(strstr(answer.body, "the old one stays: c.yaml:3: no"));
    assert_non_null(strstr(answer.body, "\"errors\":[{\"line\":3}]"));
}

/* Nothing is put in force that the trail cannot say. */
static void what_cannot_be_audited_is_not_reloaded(void **state)
{
    (void)state;
    fake.post_result = -ENOSPC;
    assert_int_equal(post("/api/admin/reload-config", "{}"), 507);
    assert_code("disk_full");
    assert_int_equal(post("/api/admin/reload-runbooks", "{}"), 507);
    assert_code("disk_full");
    fake.post_result = -ECANCELED;
    assert_int_equal(post("/api/admin/reload-config", "{}"), 503);
    assert_int_equal(post("/api/admin/reload-runbooks", "{}"), 503);
    assert_code("stopping");
    assert_int_equal(get("/api/admin/audit"), 200);
    assert_non_null(strstr(answer.body, "\"audit\":[]"));
}

static void health_and_metrics_tell_of_the_configuration(void **state)
{
    (void)state;
    assert_int_equal(get("/metrics"), 200);
    assert_non_null(strstr(answer.body, "config_last_reload_successful 1\n"));
    fake_config.status.ok = false;
    (void)snprintf(fake_config.status.error, sizeof(fake_config.status.error),
                   "c.yaml:3: no");
    assert_int_equal(get("/metrics"), 200);
    assert_non_null(strstr(answer.body, "config_last_reload_successful 0\n"));
    assert_int_equal(get("/api/health"), 200);
    json_t *j = json();
    assert_string_equal(text_of(j, "status"), "degraded");
    json_t *check = json_object_get(json_object_get(j, "checks"), "config");
    assert_true(json_is_false(json_object_get(check, "ok")));
    assert_string_equal(text_of(check, "error"), "c.yaml:3: no");
    assert_non_null(strstr(text_of(check, "hint"), "check-config"));
    json_decref(j);
    assert_int_equal(get("/"), 200);
    assert_non_null(
        strstr(answer.body, "the configuration was not reloaded: c.yaml:3"));
}

static void reload_reports_problems(void **state)
{
    (void)state;
    assert_int_equal(post("/api/admin/reload-runbooks", NULL), 200);
    json_t *j = json();
    assert_int_equal(json_integer_value(json_object_get(j, "generation")), 7);
    assert_int_equal(json_integer_value(json_object_get(j, "loaded")), 3);
    assert_int_equal(json_integer_value(json_object_get(j, "added")), 1);
    json_t *problem = json_array_get(json_object_get(j, "problems"), 0);
    assert_string_equal(text_of(problem, "file"), "broken.yaml");
    assert_true(json_is_false(json_object_get(problem, "warning")));
    json_decref(j);
    fake.post_result = -EACCES;
    assert_int_equal(post("/api/admin/reload-runbooks", "{}"), 500);
    assert_non_null(strstr(answer.body, "the folder is gone"));
}

static void health_says_how_it_is(void **state)
{
    (void)state;
    assert_int_equal(get("/api/health"), 200);
    assert_non_null(strstr(answer.body, "\"status\":\"ok\""));
    assert_int_equal(get("/-/ready"), 200);
    assert_string_equal(answer.body, "OK");
    fake.status.executor_up = false;
    assert_int_equal(get("/api/health"), 200);
    assert_non_null(strstr(answer.body, "\"status\":\"degraded\""));
    fake.status.stopping = true;
    assert_int_equal(get("/api/health"), 503);
    assert_int_equal(get("/-/ready"), 503);
    assert_int_equal(get("/-/healthy"), 200);
    fake.status.store_failed = true;
    assert_int_equal(get("/api/health"), 503);
    assert_non_null(strstr(answer.body, "\"status\":\"failed\""));
    assert_int_equal(get("/-/healthy"), 503);
}

/* The member of a check as text; "" for null. */
static const char *of_check(json_t *health, const char *check, const char *key)
{
    json_t *checks = json_object_get(health, "checks");
    const char *text =
        json_string_value(json_object_get(json_object_get(checks, check), key));
    return text != NULL ? text : "";
}

/* Whatever makes the engine degraded has a reason and a next step. */
static void health_says_why(void **state)
{
    (void)state;
    const struct service_status well = fake.status;
    const struct {
        const char *check, *error, *hint;
    } rows[] = {
        {"disk", "events are refused (507)", "df -h"},
        {"executor", "no step can run", "journalctl"},
        {"queue", "full and paused", "adctl queue resume"},
        {"queue", "the queue is full", "adctl event list"},
        {"queue", "processing is paused", "adctl queue resume"},
        {"runbooks", "do not load", "adctl runbook list"},
        {"store", "restored", "adctl backup acknowledge"},
        {"runbooks", "the last reload", "adctl reload runbooks"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct service_status *s = &fake.status;
        *s = well;
        s->disk_full = i == 0;
        s->executor_up = i != 1;
        s->queue_depth = i == 2 || i == 3 ? s->queue_limit : 0;
        s->paused = i == 2 || i == 4;
        s->runbooks_rejected = i == 5;
        s->restored = i == 6;
        s->runbooks_stale = i == 7;
        assert_int_equal(get("/api/health"), 200);
        json_t *j = json();
        assert_string_equal(text_of(j, "status"), "degraded");
        assert_non_null(
            strstr(of_check(j, rows[i].check, "error"), rows[i].error));
        assert_non_null(
            strstr(of_check(j, rows[i].check, "hint"), rows[i].hint));
        assert_int_equal(get("/"), 200);
        assert_non_null(strstr(answer.body, rows[i].error));
        json_decref(j);
    }
}

static void metrics_have_the_manuals_keys(void **state)
{
    (void)state;
    static const char *const keys[] = {"event_queue_depth",
                                       "events_per_minute",
                                       "event_types",
                                       "processing_errors_last_hour",
                                       "workflow_success_rate_24h",
                                       "workflow_success_rate_1h",
                                       "avg_workflow_duration_seconds",
                                       "events_processed_per_second"};
    assert_int_equal(get("/api/metrics"), 200);
    json_t *j = json();
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        if (json_object_get(j, keys[i]) == NULL) {
            fail_msg("%s", keys[i]);
        }
    }
    json_decref(j);
    assert_int_equal(get("/metrics"), 200);
    assert_string_equal(raw_field(&answer, "Content-Type"),
                        TELEMETRY_PROMETHEUS_TYPE);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, fake_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(lists_and_finds),
        CASE(shows_what_the_executor_refuses),
        CASE(warns_of_copies),
        CASE(validates_files_and_texts),
        CASE(gives_the_schema),
        CASE(validate_refuses_what_is_no_question),
        CASE(starts_a_workflow),
        CASE(dry_run_shows_the_plan_without_secrets),
        CASE(dry_run_lists_missing_parameters),
        CASE(execute_says_what_is_wrong),
        CASE(executes_once_per_key),
        CASE(a_configuration_is_reloaded_or_refused),
        CASE(what_cannot_be_audited_is_not_reloaded),
        CASE(health_and_metrics_tell_of_the_configuration),
        CASE(reload_reports_problems),
        CASE(health_says_how_it_is),
        CASE(health_says_why),
        CASE(metrics_have_the_manuals_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
