#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/config.h"
#include "app/config_table.h"
#include "base/mem.h"

/* One load with everything a test looks at. */
struct load {
    int result;
    struct config *config;
    struct config_report report;
    struct strbuf text; /* of the report */
};

static struct load load(const char *yaml)
{
    struct load l = {.text = STRBUF_INIT(64 * 1024)};
    l.result = config_parse(str_c(yaml), "config.yaml", &l.config, &l.report);
    config_report_add_text(&l.report, &l.text);
    return l;
}

static void unload(struct load *l)
{
    config_free(l->config);
    config_report_deinit(&l->report);
    strbuf_deinit(&l->text);
}

static void assert_says(const struct load *l, const char *what)
{
    if (strstr(strbuf_str(&l->text).at, what) == NULL) {
        print_error("wanted \"%s\" in:\n%s\n", what, strbuf_str(&l->text).at);
        fail();
    }
}

static void refused(const char *yaml, const char *what)
{
    struct load l = load(yaml);
    assert_int_equal(l.result, -EINVAL);
    assert_null(l.config);
    assert_true(l.report.error_count >= 1);
    assert_says(&l, what);
    unload(&l);
}

static int clean_environment(void **state)
{
    (void)state;
    unsetenv("LOGLEVEL");
    unsetenv("PAGERDUTY_API_KEY");
    unsetenv("ADP_TEST_TEXT");
    return 0;
}

static void an_empty_file_gives_the_defaults(void **state)
{
    (void)state;
    const char *const empty[] = {"", "# nothing\n", "engine:\n", "{}\n"};
    for (size_t i = 0; i < ARRAY_LEN(empty); i++) {
        struct load l = load(empty[i]);
        assert_int_equal(l.result, 0);
        assert_int_equal(l.report.problems.count, 0);
        assert_int_equal(l.config->workers, 4);
        assert_int_equal(l.config->queue_size, 10000);
        assert_int_equal(l.config->timeout_ms, 600000);
        assert_string_equal(l.config->listen, "127.0.0.1:9000");
        assert_string_equal(l.config->state_directory,
                            "/var/lib/autonomous-devops/state");
        assert_int_equal(l.config->log_level, LOG_LEVEL_INFO);
        assert_int_equal(l.config->output_keep_bytes, 1024 * 1024);
        const struct step_limits limits = STEP_LIMITS_DEFAULT;
        assert_memory_equal(&l.config->step_limits, &limits, sizeof(limits));
        assert_null(l.config->executor_user);
        assert_null(l.config->run_as_allowed[0].user);
        assert_int_equal(l.config->token_count, 0);
        assert_false(l.config->integrations[INTEGRATION_SLACK].configured);
        unload(&l);
    }
}

static const char manual[] =
    "engine:\n"
    "  event_processing:\n"
    "    workers: 4\n"
    "    queue_size: 10000\n"
    "    batch_size: 100\n"
    "  workflow_execution:\n"
    "    max_concurrent: 20\n"
    "    timeout: 600\n"
    "    retry_attempts: 3\n"
    "\n"
    "integrations:\n"
    "  prometheus:\n"
    "    url: http://localhost:9090\n"
    "    scrape_interval: 15\n"
    "  alertmanager:\n"
    "    url: http://localhost:9093\n"
    "  pagerduty:\n"
    "    api_key: ${PAGERDUTY_API_KEY}\n"
    "\n"
    "runbooks:\n"
    "  repository: /var/lib/autonomous-devops/runbooks\n"
    "  auto_reload: true\n"
    "  validation: strict\n";

static void the_manuals_file_loads(void **state)
{
    (void)state;
    setenv("PAGERDUTY_API_KEY", "k-123 ${HOME}", 1);
    struct load l = load(manual);
    assert_int_equal(l.result, 0);
    assert_int_equal(l.report.problems.count, 1); /* it cannot send */
    const struct config_problem *p = &l.report.problems.at[0];
    assert_true(p->warning && p->err.at.line == 18);
    assert_string_equal(p->err.field, "integrations.pagerduty.api_key");
    const struct integration_config *in = l.config->integrations;
    assert_true(in[INTEGRATION_PROMETHEUS].configured);
    assert_string_equal(in[INTEGRATION_PROMETHEUS].url,
                        "http://localhost:9090");
    assert_int_equal(in[INTEGRATION_PROMETHEUS].scrape_interval_ms, 15000);
    assert_true(in[INTEGRATION_PAGERDUTY].configured);
    /* What a variable holds is not scanned again. */
    assert_string_equal(in[INTEGRATION_PAGERDUTY].api_key, "k-123 ${HOME}");
    assert_false(in[INTEGRATION_SLACK].configured);
    unload(&l);
}

/* Steps for which the executor has no place would be refused, and fail. */
static void the_executor_has_a_place_for_every_workflow(void **state)
{
    (void)state;
    struct load l = load("engine: {workflow_execution: {max_concurrent: 100}}");
    assert_int_equal(l.result, 0);
    assert_int_equal(config_executor(l.config).max_running, 100);
    unload(&l);
    l = load("engine: {workflow_execution: {max_concurrent: 100}}\n"
             "executor: {max_running: 99}\n");
    assert_int_equal(l.result, -EINVAL);
    assert_says(&l, "config.yaml: error: executor.max_running: fewer than "
                    "engine.workflow_execution.max_concurrent (100): the steps "
                    "beyond it would be refused and fail");
    unload(&l);
    l = load("executor: {max_running: 99}\n");
    assert_int_equal(l.result, 0);
    assert_int_equal(config_executor(l.config).max_running, 99);
    unload(&l);
}

static void a_missing_credential_is_a_warning(void **state)
{
    (void)state;
    struct load l = load(manual);
    assert_int_equal(l.result, 0);
    assert_int_equal(l.report.problems.count, 1);
    assert_true(l.report.problems.at[0].warning);
    assert_says(&l, "config.yaml:18:14: warning: "
                    "integrations.pagerduty.api_key: the environment variable "
                    "PAGERDUTY_API_KEY is not set");
    assert_null(l.config->integrations[INTEGRATION_PAGERDUTY].api_key);
    assert_true(l.config->integrations[INTEGRATION_PAGERDUTY].configured);
    unload(&l);
}

static void variables_stand_in_texts(void **state)
{
    (void)state;
    setenv("ADP_TEST_TEXT", "srv", 1);
    struct load l =
        load("runbooks: {repository: \"/${ADP_TEST_TEXT}/$${x}$\"}");
    assert_int_equal(l.result, 0);
    assert_string_equal(l.config->repository, "/srv/${x}$");
    unload(&l);
    unsetenv("ADP_TEST_TEXT");
    refused("runbooks: {repository: \"/${ADP_TEST_TEXT}\"}",
            "runbooks.repository: the environment variable ADP_TEST_TEXT is "
            "not set");
    refused("runbooks: {repository: \"/${ADP_TEST_TEXT\"}", "is not followed");
    refused("runbooks: {repository: \"/${1X}\"}", "is not followed");
    refused("runbooks: {repository: \"/${}\"}", "is not followed");
}

static void a_long_variable_meets_the_limit(void **state)
{
    (void)state;
    char big[CONFIG_TEXT_MAX_BYTES + 2];
    memset(big, 'x', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    setenv("ADP_TEST_TEXT", big, 1);
    refused("runbooks: {repository: \"/${ADP_TEST_TEXT}\"}",
            "longer than 4096 bytes");
}

static void unknown_keys_are_errors_with_the_nearest(void **state)
{
    (void)state;
    refused("engin: {}", "config.yaml:1:1: error: engin: unknown key "
                         "\"engin\" (did you mean \"engine\"?)");
    refused("engine:\n  event_processing:\n    worker: 3\n",
            ":3:5: error: engine.event_processing.worker: unknown key "
            "\"worker\" (did you mean \"workers\"?)");
    refused("integrations: {promotheus: {}}", "did you mean \"prometheus\"?");
    refused("integrations: {slack: {api_key: x}}", "unknown key \"api_key\"");
    refused("\"engine.event_processing.workers\": 3", "unknown key");
    refused("\"\\u001b[31m\": 1", "unknown key \" [31m\"");
}

static void all_errors_are_listed_at_once(void **state)
{
    (void)state;
    struct load l = load("engine:\n  event_processing:\n    workers: 0\n"
                         "    batch_size: many\n"
                         "server:\n  listen: localhost:9000\n"
                         "storage:\n  url: postgresql://db/x\n"
                         "log: {level: inof}\n");
    assert_int_equal(l.result, -EINVAL);
    assert_int_equal(l.report.error_count, 5);
    assert_says(&l, ":3:14: error: engine.event_processing.workers: must be "
                    "between 1 and 64");
    assert_says(&l, ":4:17: error: engine.event_processing.batch_size: ");
    assert_says(&l, ":6:11: error: server.listen: not a numeric address");
    assert_says(&l, ":8:8: error: storage.url: PostgreSQL is not supported by "
                    "this build");
    assert_says(&l, ":9:14: error: log.level: not one of: error, warning, "
                    "info, debug (did you mean \"info\"?)");
    unload(&l);
}

static void only_so_many_errors_are_kept(void **state)
{
    (void)state;
    CLEANUP(strbuf_deinit) struct strbuf yaml = STRBUF_INIT(64 * 1024);
    for (int i = 0; i < CONFIG_MAX_PROBLEMS + 50; i++) {
        strbuf_addf(&yaml, "nokey%d: 1\n", i);
    }
    struct load l = load(strbuf_str(&yaml).at);
    assert_int_equal(l.result, -EINVAL);
    assert_int_equal(l.report.error_count, CONFIG_MAX_PROBLEMS);
    assert_says(&l, "there may be more");
    unload(&l);
}

static void wrong_values_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *yaml, *says;
    } cases[] = {
        {"- 1", "expected a mapping"},
        {"engine: 3", "engine: expected a mapping, got a number"},
        {"a: [", "error: "},
        {"engine: {}\nengine: {}", "engine"},
        {"engine: {event_processing: {workers: 65}}", "between 1 and 64"},
        {"engine: {event_processing: {workers: -1}}", "between 1 and 64"},
        {"engine: {event_processing: {workers: 99999999999999999999}}",
         "between 1 and 64"},
        {"engine: {event_processing: {workers: \"4\"}}", "workers: "},
        {"engine: {event_processing: {workers: 1.5}}", "workers: "},
        {"engine: {event_processing: {workers: }}", "workers: "},
        {"engine: {event_processing: {workers: [4]}}", "workers: "},
        {"engine: {workflow_execution: {timeout: 5 parsecs}}",
         "not a duration"},
        {"engine: {workflow_execution: {timeout: 1y}}",
         "must be between 1s and 7d"},
        {"engine: {workflow_execution: {timeout: [1]}}", "timeout: "},
        {"executor: {output_keep_bytes: 1MB}", "not a size in bytes"},
        {"executor: {output_keep_bytes: 99999999999999999999}",
         "must be between 4096 and 67108864"},
        {"executor: {output_keep_bytes: 18014398509481985KiB}",
         "must be between"},
        {"executor: {user: \"a b\"}", "not a name"},
        {"executor: {user: \"\"}", "executor.user: empty"},
        {"executor: {run_as_allowed: root}", "expected a list of users"},
        {"executor: {run_as_allowed: [ok, \"-x\"]}", "not a name"},
        {"runbooks: {validation: lax}", "not one of: strict, warn"},
        {"executor: {work: tmp}", "not an absolute path"},
        {"executor: {work: \"/a\\u0007\"}", "control character"},
        {"runbooks: {auto_reload: yes}", "auto_reload: "},
        {"runbooks: {validation: lenient}", "not one of: strict"},
        {"integrations: {prometheus: {url: ftp://x}}", "not a URL"},
        {"integrations: {prometheus: {url: \"http://\"}}", "not a URL"},
        {"integrations: {prometheus: {url: http:///x}}", "not a URL"},
        {"server: {listen: \"127.0.0.1\"}", "server.listen: "},
        {"server: {listen: \"127.0.0.1:\"}", "the port is not"},
        {"server: {listen: \"127.0.0.1:65536\"}", "the port is not"},
        {"server: {listen: \"::1:80\"}", "not a numeric address"},
        {"server: {listen: \"[::1:80\"}", "not a numeric address"},
        {"server: {listen: \":80\"}", "not a numeric address"},
        {"server: {allowed_hosts: [\"a/b\"]}", "not a host name"},
        {"server: {tls: {cert: /c.pem}}", "a certificate needs its key"},
        {"storage: {url: sqlite:///}", "must be called engine.db"},
        {"storage: {url: sqlite:///engine.db}", "must be called engine.db"},
        {"storage: {url: sqlite:////engine.db}", "must be called engine.db"},
        {"storage: {url: sqlite:///var/x.db}", "must be called engine.db"},
        {"storage: {url: sqlite://host/engine.db}", "not a URL of the form"},
        {"storage: {url: mysql://x}", "not a URL of the form"},
        {"limits: {connections: 20, connections_per_source: 21}",
         "more than limits.connections"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        refused(cases[i].yaml, cases[i].says);
    }
}

static void wrong_users_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *yaml;
        const char *what;
    } rows[] = {
        {"executor: {run_as_allowed: [root]}", "named runbooks only"},
        {"executor: {run_as_allowed: [{user: root}]}", "named runbooks only"},
        {"executor: {run_as_allowed: [{runbooks: [a.yaml]}]}", "needs a user"},
        {"executor: {run_as_allowed: [{user: u, runbooks: []}]}",
         "an empty one"},
        {"executor: {run_as_allowed: [{user: u, runbooks: a}]}",
         "list of 1 to 64 globs"},
        {"executor: {run_as_allowed: [{user: u, runbooks: [/a]}]}",
         "not a glob"},
        {"executor: {run_as_allowed: [{user: u, runbook: [a]}]}",
         "did you mean \"runbooks\"?"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        refused(rows[i].yaml, rows[i].what);
    }
}

static void values_are_read(void **state)
{
    (void)state;
    struct load l = load("engine: {workflow_execution: {timeout: 1h30m, "
                         "stop_grace: 0}}\n"
                         "executor: {output_keep_bytes: 64 KiB, limits: "
                         "{cpu_time: 90s, open_files: 64}, "
                         "run_as_allowed: [web, {user: root,\n"
                         "  runbooks: [a/*.yaml, b.yaml]}], user: svc}\n"
                         "server: {listen: \"[::1]:0\", "
                         "allowed_hosts: [a.example.org]}\n"
                         "storage: {url: sqlite:///srv/x/engine.db}\n"
                         "log: {level: debug}\n");
    assert_int_equal(l.result, 0);
    assert_int_equal(l.config->timeout_ms, 5400 * 1000);
    assert_int_equal(config_engine(l.config).workflow_timeout_ms, 5400 * 1000);
    assert_int_equal(l.config->stop_grace_ms, 0);
    struct executor_options x = config_executor(l.config);
    assert_int_equal(x.output_keep_bytes, 65536);
    assert_int_equal(x.limits.cpu_ms, 90 * 1000);
    assert_int_equal(x.limits.open_files, 64);
    assert_int_equal(x.limits.processes, 8192);
    assert_string_equal(x.default_user, "svc");
    assert_null(x.run_as_allowed[0].runbooks);
    assert_string_equal(x.run_as_allowed[1].user, "root");
    assert_string_equal(x.run_as_allowed[1].runbooks[0], "a/*.yaml");
    assert_string_equal(x.run_as_allowed[1].runbooks[1], "b.yaml");
    assert_null(x.run_as_allowed[1].runbooks[2]);
    assert_null(x.run_as_allowed[2].user);
    assert_string_equal(l.config->allowed_hosts[0], "a.example.org");
    assert_string_equal(l.config->storage_path, "/srv/x/engine.db");
    assert_string_equal(l.config->state_directory, "/srv/x");
    assert_int_equal(l.config->log_level, LOG_LEVEL_DEBUG);
    unload(&l);
}

/* As other programs write an absolute path. */
static void a_storage_url_may_have_more_slashes(void **state)
{
    (void)state;
    struct load l = load("storage: {url: sqlite:////srv/x/engine.db}\n");
    assert_int_equal(l.result, 0);
    assert_string_equal(l.config->storage_path, "/srv/x/engine.db");
    assert_string_equal(l.config->state_directory, "/srv/x");
    unload(&l);
}

static void a_list_has_a_limit(void **state)
{
    (void)state;
    CLEANUP(strbuf_deinit) struct strbuf yaml = STRBUF_INIT(64 * 1024);
    strbuf_addc(&yaml, "executor: {run_as_allowed: [u0");
    for (int i = 1; i <= CONFIG_MAX_LIST; i++) {
        strbuf_addf(&yaml, ", u%d", i);
    }
    strbuf_addc(&yaml, "]}");
    refused(strbuf_str(&yaml).at, "more than 64 elements");
}

static void loglevel_overrides(void **state)
{
    (void)state;
    setenv("LOGLEVEL", "DEBUG", 1);
    struct load l = load("log: {level: error}");
    assert_int_equal(l.config->log_level, LOG_LEVEL_DEBUG);
    unload(&l);
    setenv("LOGLEVEL", "loud", 1);
    l = load("log: {level: error}");
    assert_int_equal(l.config->log_level, LOG_LEVEL_ERROR);
    assert_says(&l, "warning: log.level: the environment variable LOGLEVEL");
    unload(&l);
}

#define HASH "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

static void elsewhere_needs_tokens_and_tls(void **state)
{
    (void)state;
    const char *const open = "server: {listen: \"0.0.0.0:9000\"}";
    refused(open, "can be reached from elsewhere");
    refused("server: {listen: \"[::]:9000\"}", "can be reached");
    refused("server: {listen: \"0.0.0.0:9000\", "
            "tls: {cert: /c.pem, key: /k.pem}}",
            "can be reached");
    struct load l = load("server: {listen: \"0.0.0.0:9000\", insecure: true}");
    assert_int_equal(l.result, 0);
    unload(&l);
    l = load("server: {listen: \"0.0.0.0:9000\", "
             "tls: {cert: /c.pem, key: /k.pem}}\n"
             "security: {tokens: [{name: ci, scopes: [ingest], sha256: " HASH
             "}]}");
    assert_int_equal(l.result, 0);
    unload(&l);
}

static void tokens_are_read(void **state)
{
    (void)state;
    struct load l = load("security: {tokens: [{name: ci, scopes: [read, "
                         "execute], sha256: " HASH "}]}");
    assert_int_equal(l.result, 0);
    assert_int_equal(l.config->token_count, 1);
    assert_string_equal(l.config->tokens[0].name, "ci");
    assert_int_equal(l.config->tokens[0].scopes,
                     CONFIG_SCOPE_READ | CONFIG_SCOPE_EXECUTE);
    assert_int_equal(l.config->tokens[0].sha256[0], 0x9f);
    unload(&l);
    refused("security: {tokens: [{name: a, scopes: [read]}]}",
            "needs either sha256 or file");
    refused("security: {tokens: [{scopes: [read], sha256: " HASH "}]}",
            "needs a name");
    refused("security: {tokens: [{name: a, sha256: " HASH "}]}",
            "needs scopes");
    refused("security: {tokens: [{name: a, scopes: [], sha256: " HASH "}]}",
            "an empty one");
    refused("security: {tokens: [{name: a, scopes: [amdin], sha256: " HASH
            "}]}",
            "did you mean \"admin\"?");
    refused("security: {tokens: [{name: a, scopes: [read], sha256: 12}]}",
            "64 hexadecimal digits");
    refused("security: {tokens: [{name: a, scopes: [read], shar256: x}]}",
            "did you mean \"sha256\"?");
    refused("security: {tokens: [hunter2]}", "expected a mapping");
    refused("security: {tokens: [{name: a, scopes: [read], sha256: " HASH
            "}, {name: a, scopes: [read], sha256: " HASH "}]}",
            "two tokens have the name");
}

static void write_file(const char *path, const char *text, mode_t mode)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static struct load load_token_file(const char *path)
{
    char yaml[512];
    (void)snprintf(yaml, sizeof(yaml),
                   "security: {tokens: [{name: a, scopes: [read], file: %s}]}",
                   path);
    return load(yaml);
}

static void token_files_are_hashed(void **state)
{
    (void)state;
    char dir[] = "/tmp/adp-config-XXXXXX";
    char path[64];
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof(path), "%s/token", dir);
    write_file(path, "0123456789abcdef\n", 0600);
    struct load l = load_token_file(path);
    assert_int_equal(l.result, 0);
    assert_int_equal(l.report.problems.count, 0);
    /* sha256sum of the 16 digits */
    assert_int_equal(l.config->tokens[0].sha256[0], 0x9f);
    assert_int_equal(l.config->tokens[0].sha256[31], 0x9f);
    unload(&l);
    assert_int_equal(chmod(path, 0644), 0);
    l = load_token_file(path);
    assert_int_equal(l.result, 0);
    assert_says(&l, "warning: security.tokens: every user can read");
    unload(&l);
    write_file(path, "short\n", 0600);
    l = load_token_file(path);
    assert_int_equal(l.result, -EINVAL);
    assert_says(&l, "16 to 512 bytes");
    unload(&l);
    l = load_token_file(dir);
    assert_int_equal(l.result, -EINVAL);
    assert_says(&l, "cannot read the token file");
    unload(&l);
    assert_int_equal(unlink(path), 0);
    l = load_token_file(path);
    assert_says(&l, "No such file");
    unload(&l);
    assert_int_equal(rmdir(dir), 0);
}

static void a_missing_file_says_what_to_do(void **state)
{
    (void)state;
    struct config *c = NULL;
    struct config_report report;
    struct strbuf text = STRBUF_INIT(4096);
    assert_int_equal(config_load("/nonexistent/x.yaml", &c, &report), -ENOENT);
    config_report_add_text(&report, &text);
    assert_non_null(strstr(text.at, "/nonexistent/x.yaml: error: cannot read"));
    assert_non_null(strstr(text.at, "print-config"));
    config_report_deinit(&report);
    strbuf_deinit(&text);
    assert_int_equal(config_load("/proc/self", &c, &report), -EISDIR);
    config_report_deinit(&report);
    assert_int_equal(config_load("/dev/zero", &c, &report), -EINVAL);
    config_report_deinit(&report);
    assert_int_equal(config_load(NULL, &c, &report), 0);
    config_free(c);
    config_report_deinit(&report);
}

static void reload_tells_what_needs_a_restart(void **state)
{
    (void)state;
    struct load a = load("executor: {run_as_allowed: [a]}");
    struct load b = load("executor: {run_as_allowed: [b], socket: /s}\n"
                         "engine: {event_processing: {workers: 9, "
                         "queue_size: 7}}");
    struct config_keys keys = config_changed(a.config, a.config, true);
    assert_int_equal(keys.count, 0);
    keys = config_changed(a.config, b.config, true);
    assert_int_equal(keys.count, 2); /* the executor reads the rest again */
    assert_string_equal(keys.keys[0], "engine.event_processing.queue_size");
    assert_string_equal(keys.keys[1], "executor.socket");
    keys = config_changed(a.config, b.config, false);
    assert_int_equal(keys.count, 4);
    assert_string_equal(keys.keys[0], "engine.event_processing.workers");
    unload(&a);
    unload(&b);
}

/* The sample loads and means the defaults; with every comment that hides an
 * option opened, all options are known. */
static void the_sample_is_a_configuration(void **state)
{
    (void)state;
    CLEANUP(strbuf_deinit) struct strbuf sample = STRBUF_INIT(256 * 1024);
    config_add_sample(&sample);
    struct load l = load(strbuf_str(&sample).at);
    struct load none = load("");
    assert_int_equal(l.result, 0);
    assert_int_equal(l.report.problems.count, 0);
    assert_int_equal(config_changed(none.config, l.config, false).count, 0);
    unload(&l);
    for (size_t i = 0; i < config_option_count; i++) {
        const char *name = strrchr(config_options[i].key, '.');
        assert_non_null(strstr(sample.at, name + 1));
    }
    for (char *p = sample.at; p != NULL; p = strchr(p + 1, '\n')) {
        char *hash = p[0] == '\n' ? p + 1 : p;
        if (hash[0] == '#' && hash[1] == ' ' && hash[2] == ' ') {
            hash[0] = '\n'; /* "#    url: ..." keeps its indentation */
        }
    }
    l = load(sample.at);
    assert_says(&l, "");
    VEC_EACH (&l.report.problems, i) {
        assert_null(strstr(l.report.problems.at[i].err.message, "unknown"));
    }
    unload(&l);
    unload(&none);
}

static void equals_the_shipped_file(const char *name, struct strbuf *want)
{
    char path[512];
    const char *root = getenv("ADP_SOURCE_ROOT");
    if (root == NULL) {
        skip();
    }
    (void)snprintf(path, sizeof(path), "%s/%s", root, name);
    if (getenv("ADP_UPDATE") != NULL) {
        write_file(path, want->at, 0644);
    }
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    CLEANUP(mem_freep) char *have = mem_alloc(want->len + 2, 1);
    size_t len = fread(have, 1, want->len + 1, f);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(len, want->len);
    assert_string_equal(have, want->at);
}

static void the_shipped_sample_is_what_we_print(void **state)
{
    (void)state;
    CLEANUP(strbuf_deinit) struct strbuf sample = STRBUF_INIT(256 * 1024);
    config_add_sample(&sample);
    equals_the_shipped_file("contrib/config.yaml.example", &sample);
}

/* Rows that nobody can use: no help, a default out of range, a secret with a
 * default, keys out of order. */
static void the_table_is_sound(void **state)
{
    (void)state;
    for (size_t i = 0; i < config_option_count; i++) {
        const struct config_option *o = &config_options[i];
        assert_non_null(o->help);
        assert_true(o->help[strlen(o->help) - 1] == '.');
        assert_true(o->initial != NULL || o->example != NULL);
        assert_true(o->min <= o->max);
        assert_true((o->type == CONFIG_ENUM) == (o->names != NULL));
        assert_non_null(config_type_text(o->type));
        for (size_t n = 0; n < i; n++) {
            assert_string_not_equal(o->key, config_options[n].key);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(an_empty_file_gives_the_defaults,
                               clean_environment),
        cmocka_unit_test_setup(the_manuals_file_loads, clean_environment),
        cmocka_unit_test_setup(the_executor_has_a_place_for_every_workflow,
                               clean_environment),
        cmocka_unit_test_setup(a_missing_credential_is_a_warning,
                               clean_environment),
        cmocka_unit_test_setup(variables_stand_in_texts, clean_environment),
        cmocka_unit_test_setup(a_long_variable_meets_the_limit,
                               clean_environment),
        cmocka_unit_test_setup(unknown_keys_are_errors_with_the_nearest,
                               clean_environment),
        cmocka_unit_test_setup(all_errors_are_listed_at_once,
                               clean_environment),
        cmocka_unit_test_setup(only_so_many_errors_are_kept, clean_environment),
        cmocka_unit_test_setup(wrong_values_are_named, clean_environment),
        cmocka_unit_test_setup(wrong_users_are_named, clean_environment),
        cmocka_unit_test_setup(values_are_read, clean_environment),
        cmocka_unit_test_setup(a_list_has_a_limit, clean_environment),
        cmocka_unit_test_setup(a_storage_url_may_have_more_slashes,
                               clean_environment),
        cmocka_unit_test_setup(loglevel_overrides, clean_environment),
        cmocka_unit_test_setup(elsewhere_needs_tokens_and_tls,
                               clean_environment),
        cmocka_unit_test_setup(tokens_are_read, clean_environment),
        cmocka_unit_test_setup(token_files_are_hashed, clean_environment),
        cmocka_unit_test_setup(a_missing_file_says_what_to_do,
                               clean_environment),
        cmocka_unit_test_setup(reload_tells_what_needs_a_restart,
                               clean_environment),
        cmocka_unit_test_setup(the_sample_is_a_configuration,
                               clean_environment),
        cmocka_unit_test_setup(the_shipped_sample_is_what_we_print,
                               clean_environment),
        cmocka_unit_test(the_table_is_sound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
