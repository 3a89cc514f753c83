#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/config.h"
#include "app/config_files.h"
#include "app/config_table.h"
#include "base/mem.h"
#include "data/json.h"

/* A folder with config.yaml and config.d, and one load of it. */
struct bench {
    char folder[64];
    char path[128];
    int result;
    struct config *config;
    struct config_report report;
    struct strbuf text; /* of the report */
};

static void write_file(const struct bench *b, const char *name,
                       const char *text)
{
    char path[256];
    (void)snprintf(path, sizeof(path), "%s/%s", b->folder, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void make_folder(const struct bench *b, const char *name)
{
    char path[256];
    (void)snprintf(path, sizeof(path), "%s/%s", b->folder, name);
    assert_int_equal(mkdir(path, 0700), 0);
}

static void unload(struct bench *b)
{
    config_freep(&b->config);
    config_report_deinit(&b->report);
    strbuf_deinit(&b->text);
}

static void load_from(struct bench *b, const struct config_sources *sources)
{
    unload(b);
    b->text = STRBUF_INIT(256 * 1024);
    b->result = config_load_from(sources, &b->config, &b->report);
    config_report_add_text(&b->report, &b->text);
}

static void load_with(struct bench *b, const char *weak, const char *strong)
{
    const struct config_sources sources = {
        .path = b->path,
        .defaults = &weak,
        .default_count = weak != NULL ? 1 : 0,
        .sets = &strong,
        .set_count = strong != NULL ? 1 : 0,
    };
    load_from(b, &sources);
}

static void load(struct bench *b)
{
    load_with(b, NULL, NULL);
}

static void assert_says(const struct bench *b, const char *what)
{
    if (strstr(strbuf_str(&b->text).at, what) == NULL) {
        print_error("wanted \"%s\" in:\n%s\n", what, strbuf_str(&b->text).at);
        fail();
    }
}

static int set_up(void **state)
{
    struct bench *b = MEM_NEW(struct bench);
    memcpy(b->folder, "/tmp/adp-sources-XXXXXX", 24);
    assert_non_null(mkdtemp(b->folder));
    (void)snprintf(b->path, sizeof(b->path), "%s/config.yaml", b->folder);
    write_file(b, "config.yaml", "");
    unsetenv("LOGLEVEL");
    unsetenv("SECRET_KEY");
    unsetenv("CREDENTIALS_DIRECTORY");
    *state = b;
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int kind,
                      struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

static int tear_down(void **state)
{
    struct bench *b = *state;
    unload(b);
    assert_int_equal(nftw(b->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
    mem_free(b);
    return 0;
}

static void later_files_win_key_by_key(void **state)
{
    struct bench *b = *state;
    make_folder(b, "config.d");
    write_file(b, "config.yaml",
               "engine:\n  event_processing:\n    workers: 2\n"
               "    batch_size: 7\n"
               "executor: {run_as_allowed: [a, b]}\n");
    write_file(b, "config.d/10-one.yaml",
               "engine: {event_processing: {workers: 3}}\n");
    write_file(b, "config.d/20-two.yaml",
               "engine: {event_processing: {workers: 5}}\n"
               "executor: {run_as_allowed: [c]}\n");
    write_file(b, "config.d/.hidden.yaml", "nonsense: 1\n");
    write_file(b, "config.d/README", "nonsense: 1\n");
    load(b);
    assert_int_equal(b->result, 0);
    assert_int_equal(b->config->workers, 5);
    assert_int_equal(b->config->batch_size, 7);
    assert_string_equal(b->config->files[0], b->path);
    assert_non_null(strstr(b->config->files[2], "/config.d/20-two.yaml"));
    assert_null(b->config->files[3]);
}

static void an_error_names_its_own_file(void **state)
{
    struct bench *b = *state;
    make_folder(b, "config.d");
    write_file(b, "config.yaml", "log: {level: info}\nlgo: 1\n");
    write_file(b, "config.d/10-one.yaml", "\n\nlog:\n  level: loud\n");
    write_file(b, "config.d/20-two.yaml", "a: [\n");
    load(b);
    assert_int_equal(b->result, -EINVAL);
    assert_null(b->config);
    assert_int_equal(b->report.error_count, 3);
    assert_says(b, "/config.yaml:2:1: error: lgo: unknown key");
    assert_says(b, "/config.d/10-one.yaml:4:10: error: log.level: not one of");
    assert_says(b, "/config.d/20-two.yaml:");
}

static void a_file_that_cannot_be_read_is_an_error(void **state)
{
    struct bench *b = *state;
    make_folder(b, "config.d");
    make_folder(b, "config.d/10-folder.yaml");
    load(b);
    assert_int_equal(b->result, -EISDIR);
    assert_null(b->config);
    assert_says(b, "/config.d/10-folder.yaml: error: cannot read the file");
}

/* Nobody may ever write to it. */
static void a_pipe_is_not_waited_for(void **state)
{
    struct bench *b = *state;
    char path[512];
    make_folder(b, "config.d");
    (void)snprintf(path, sizeof(path), "%s/config.d/10-pipe.yaml", b->folder);
    assert_int_equal(mkfifo(path, 0600), 0);
    load(b);
    assert_int_equal(b->result, -EINVAL);
    assert_null(b->config);
    assert_says(b, "/config.d/10-pipe.yaml: error: cannot read the file: it is "
                   "no regular file");
}

static void files_have_a_limit(void **state)
{
    struct bench *b = *state;
    char name[64];
    make_folder(b, "config.d");
    for (int i = 0; i < CONFIG_MAX_FILES - 1; i++) {
        (void)snprintf(name, sizeof(name), "config.d/%03d.yaml", i);
        write_file(b, name, "");
    }
    load(b);
    assert_int_equal(b->result, 0);
    write_file(b, "config.d/zzz.yaml", "");
    load(b);
    assert_int_equal(b->result, -E2BIG);
    assert_says(b, "more than 63 files");
}

static void assert_stale(const struct bench *b, const char *says)
{
    const struct config_sources sources = {.path = b->path};
    struct strbuf text = STRBUF_INIT(8192);
    bool stale = config_is_stale(b->config, &sources, &text);
    assert_int_equal(stale, says != NULL);
    if (says != NULL && strstr(strbuf_str(&text).at, says) == NULL) {
        print_error("wanted \"%s\", got \"%s\"\n", says, strbuf_str(&text).at);
        fail();
    }
    strbuf_deinit(&text);
}

static void remove_file(const struct bench *b, const char *name)
{
    char path[256];
    (void)snprintf(path, sizeof(path), "%s/%s", b->folder, name);
    assert_int_equal(unlink(path), 0);
}

static void files_that_have_changed_are_noticed(void **state)
{
    struct bench *b = *state;
    make_folder(b, "config.d");
    write_file(b, "config.yaml", "log: {level: info}\n");
    write_file(b, "config.d/20.yaml", "runbooks: {auto_reload: true}\n");
    load(b);
    assert_stale(b, NULL);
    /* Written again with what it had: nothing has changed. */
    remove_file(b, "config.yaml");
    write_file(b, "config.yaml", "log: {level: info}\n");
    assert_stale(b, NULL);
    write_file(b, "config.yaml", "log: {level: debug}\n");
    assert_stale(b, "/config.yaml has changed");
    load(b);
    assert_stale(b, NULL);
    write_file(b, "config.d/10.yaml", "");
    assert_stale(b, "/config.d/10.yaml is new");
    load(b);
    write_file(b, "config.d/30.yaml", "");
    assert_stale(b, "/config.d/30.yaml is new");
    remove_file(b, "config.d/30.yaml");
    remove_file(b, "config.d/10.yaml");
    assert_stale(b, "/config.d/10.yaml is gone");
    load(b);
    remove_file(b, "config.d/20.yaml");
    assert_stale(b, "/config.d/20.yaml is gone");
    load(b);
    remove_file(b, "config.yaml");
    assert_stale(b, "/config.yaml is gone");
}

static void the_server_is_found_in_broken_files(void **state)
{
    struct bench *b = *state;
    struct arena a = ARENA_INIT;
    static const struct {
        const char *text;
        const char *url;
    } rows[] = {
        {"", NULL},
        {"server: {listen: \"127.0.0.1:9001\"}\n", "http://127.0.0.1:9001"},
        {"nonsense: 1\nserver: {listen: \"0.0.0.0:9001\", x: 1}\n",
         "http://127.0.0.1:9001"},
        {"server: {listen: \"[::]:9001\", tls: {cert: /c}}\n",
         "https://[::1]:9001"},
        {"server: {listen: \"10.0.0.5:1\", tls: {cert: null}}\n",
         "http://10.0.0.5:1"},
        {"server: {listen: \"127.0.0.1:0\"}\n", NULL},
        {"server: {listen: \"${WHERE}:9001\"}\n", NULL},
        {"server: {listen: \"evil.example/:1\"}\n", NULL},
        {"server: [listen]\n", NULL},
        {"server: {listen: [1]}\n", NULL},
        {"server: {listen: [\n", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        write_file(b, "config.yaml", rows[i].text);
        const char *url = config_peek_server(b->path, &a);
        if (rows[i].url == NULL) {
            assert_null(url);
        } else {
            assert_non_null(url);
            assert_string_equal(url, rows[i].url);
        }
    }
    make_folder(b, "config.d");
    write_file(b, "config.d/1.yaml", "server: {listen: \"127.0.0.1:7\"}\n");
    assert_string_equal(config_peek_server(b->path, &a), "http://127.0.0.1:7");
    assert_null(config_peek_server("/nope.yaml", &a));
    arena_deinit(&a);
}

static void options_stand_above_and_below_the_files(void **state)
{
    struct bench *b = *state;
    load_with(b, "executor.user=below", "executor.autostart=false");
    assert_string_equal(b->config->executor_user, "below");
    assert_false(b->config->executor_autostart);
    write_file(b, "config.yaml", "executor: {user: file, autostart: true}\n");
    load_with(b, "executor.user=below", "executor.autostart=false");
    assert_string_equal(b->config->executor_user, "file");
    assert_false(b->config->executor_autostart);
    load_with(b, NULL, "executor.run_as_allowed=[x, y]");
    assert_int_equal(b->result, 0);
    load_with(b, NULL, "integrations.slack.channel=\"#ops\"");
    assert_int_equal(b->result, 0);
    assert_true(b->config->integrations[INTEGRATION_SLACK].configured);
    assert_string_equal(b->config->integrations[INTEGRATION_SLACK].channel,
                        "#ops");
}

static void bad_options_are_refused(void **state)
{
    struct bench *b = *state;
    static const struct {
        const char *assignment;
        const char *says;
    } rows[] = {
        {"executor.autostrat=false", "did you mean \"executor.autostart\"?"},
        {"executor=false", "unknown key"},
        {"executor.autostart", "expected section.key=value"},
        {"=1", "expected section.key=value"},
        {"executor.autostart=", "a value is missing"},
        {"executor.autostart=[", "--set: error: executor.autostart"},
        {"executor.autostart=maybe", "--set: error: executor.autostart"},
        {"integrations.slack.webhook_url=https://x/y", "a secret cannot"},
        {"security.tokens=[]", "a secret cannot"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        load_with(b, NULL, rows[i].assignment);
        assert_int_equal(b->result, -EINVAL);
        assert_says(b, rows[i].says);
    }
}

static size_t index_of(const char *key)
{
    for (size_t i = 0; i < config_option_count; i++) {
        if (strcmp(config_options[i].key, key) == 0) {
            return i;
        }
    }
    fail();
    return 0;
}

static void assert_origin(const struct bench *b, const char *key,
                          const char *source, uint32_t line)
{
    const struct config_origin *from = &b->config->origins[index_of(key)];
    if (source == NULL) {
        assert_null(from->source);
    } else {
        assert_non_null(strstr(from->source, source));
    }
    assert_int_equal(from->at.line, line);
}

static void origins_are_known(void **state)
{
    struct bench *b = *state;
    make_folder(b, "config.d");
    write_file(b, "config.yaml", "\nlog:\n  level: error\n");
    write_file(b, "config.d/1.yaml", "runbooks:\n\n  auto_reload: false\n");
    load_with(b, "executor.user=u", "executor.autostart=false");
    assert_origin(b, "log.level", "/config.yaml", 3);
    assert_origin(b, "runbooks.auto_reload", "/config.d/1.yaml", 3);
    assert_origin(b, "executor.user", "--default", 0);
    assert_origin(b, "executor.autostart", "--set", 0);
    assert_origin(b, "server.listen", NULL, 0);
    setenv("LOGLEVEL", "DEBUG", 1);
    load(b);
    assert_origin(b, "log.level", "LOGLEVEL", 0);
}

static void what_is_shown_has_no_secret(void **state)
{
    struct bench *b = *state;
    write_file(b, "config.yaml",
               "integrations:\n  pagerduty:\n    api_key: hunter2-hunter2\n");
    load(b);
    struct strbuf text = STRBUF_INIT(1024 * 1024);
    config_add_origins(b->config, &text);
    assert_non_null(
        strstr(text.at, "integrations.pagerduty.api_key: \"***\"  # "));
    assert_non_null(strstr(text.at, "server.listen: \"127.0.0.1:9000\"  # "
                                    "default\n"));
    assert_non_null(strstr(text.at, "integrations.slack.channel: null  # "));
    assert_null(strstr(text.at, "hunter2"));
    strbuf_reset(&text);
    config_add_origins_json(b->config, &text);
    assert_null(strstr(text.at, "hunter2"));
    json_t *json = NULL;
    struct err e = ERR_INIT;
    assert_int_equal(json_read(strbuf_str(&text), NULL, &json, &e), 0);
    json_decref(json);
    strbuf_deinit(&text);
}

static void a_check_is_told_as_json(void **state)
{
    struct bench *b = *state;
    write_file(b, "config.yaml",
               "log: {level: loud}\n"
               "integrations: {pagerduty: {api_key: \"${SECRET_KEY}\"}}\n");
    load(b);
    struct strbuf text = STRBUF_INIT(1024 * 1024);
    config_report_add_json(&b->report, b->config, &text);
    json_t *json = NULL;
    struct err e = ERR_INIT;
    assert_int_equal(json_read(strbuf_str(&text), NULL, &json, &e), 0);
    assert_true(json_is_false(json_object_get(json, "valid")));
    const json_t *error = json_array_get(json_object_get(json, "errors"), 0);
    assert_string_equal(json_string_value(json_object_get(error, "file")),
                        b->path);
    assert_int_equal(json_integer_value(json_object_get(error, "line")), 1);
    assert_string_equal(json_string_value(json_object_get(error, "field")),
                        "log.level");
    assert_int_equal(json_array_size(json_object_get(json, "warnings")), 1);
    json_decref(json);
    strbuf_deinit(&text);
}

/* ---- credentials --------------------------------------------------------- */

#define API_KEY(value) "integrations: {pagerduty: {api_key: \"" value "\"}}\n"

static const char *api_key(const struct bench *b)
{
    return b->config->integrations[INTEGRATION_PAGERDUTY].api_key;
}

static void credentials_are_read(void **state)
{
    struct bench *b = *state;
    char folder[128];
    make_folder(b, "credentials");
    (void)snprintf(folder, sizeof(folder), "%s/credentials", b->folder);
    write_file(b, "credentials/pagerduty.key", "from-a-file\n");
    write_file(b, "credentials/SECRET_KEY", "also-from-a-file\n");
    setenv("CREDENTIALS_DIRECTORY", folder, 1);
    write_file(b, "config.yaml", API_KEY("${credential:pagerduty.key}"));
    load(b);
    assert_int_equal(b->result, 0);
    assert_int_equal(b->report.problems.count, 1); /* it cannot send */
    assert_non_null(strstr(b->report.problems.at[0].err.hint, "routing_key"));
    assert_string_equal(api_key(b), "from-a-file");
    write_file(b, "config.yaml", API_KEY("${SECRET_KEY}"));
    load(b);
    assert_string_equal(api_key(b), "also-from-a-file");
    setenv("SECRET_KEY", "from-the-environment", 1);
    load(b);
    assert_string_equal(api_key(b), "from-the-environment");
}

/* A shell looks at what the service is given in a file. */
static void the_service_s_environment_is_read(void **state)
{
    struct bench *b = *state;
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/environment", b->folder);
    const struct config_sources sources = {.path = b->path,
                                           .environment = path};
    write_file(b, "config.yaml", API_KEY("${SECRET_KEY}"));
    load_from(b, &sources);
    assert_int_equal(b->result, 0);
    assert_null(api_key(b));
    assert_says(b, "is set neither in this shell nor in ");
    assert_says(b, "/environment");
    write_file(b, "environment", "SECRET_KEY='from the file'\n");
    load_from(b, &sources);
    assert_string_equal(api_key(b), "from the file");
    assert_int_equal(b->report.problems.count, 1); /* it cannot send */
    assert_true(b->report.problems.at[0].remark);
    setenv("SECRET_KEY", "from-the-shell", 1);
    load_from(b, &sources);
    assert_string_equal(api_key(b), "from-the-shell");
    unsetenv("SECRET_KEY");
    assert_int_equal(unlink(path), 0);
    make_folder(b, "environment"); /* that cannot be read as a file */
    load_from(b, &sources);
    assert_says(b, "is not set in this shell, and the service's, ");
    assert_null(config_environment_of(b->path));
    assert_string_equal(config_environment_of(CONFIG_PATH_DEFAULT),
                        "/etc/default/autonomous-devops");
}

static void a_missing_credential_unsets(void **state)
{
    struct bench *b = *state;
    write_file(b, "config.yaml", API_KEY("${credential:nothing}"));
    load(b);
    assert_int_equal(b->result, 0);
    assert_null(api_key(b));
    assert_says(b, "warning: integrations.pagerduty.api_key: there is no "
                   "credential nothing (the option stays unset)");
    write_file(b, "config.yaml", "log: {level: \"${credential:nothing}\"}\n");
    load(b);
    assert_int_equal(b->result, -EINVAL);
}

/* The executor and a backup are not given what the engine is given. */
static void what_is_the_engines_may_be_missing_beside_it(void **state)
{
    static const char *const engines[] = {
        "security: {tokens: [{name: ci, scopes: [read], "
        "sha256: \"${credential:ci}\"}]}\n",
        "server: {listen: \"${WHERE}\"}\n",
        "server: {listen: \"0.0.0.0:9000\", tls: {cert: /c.pem, "
        "key: \"${KEY}\"}}\n",
    };
    struct bench *b = *state;
    const struct config_sources sources = {.path = b->path,
                                           .beside_engine = true};
    for (size_t i = 0; i < ARRAY_LEN(engines); i++) {
        write_file(b, "config.yaml", engines[i]);
        load(b);
        assert_int_equal(b->result, -EINVAL);
        load_from(b, &sources);
        assert_int_equal(b->result, 0);
        assert_int_equal(b->report.problems.count, 0); /* not its affair */
    }
    write_file(b, "config.yaml", API_KEY("${SECRET_KEY}"));
    load_from(b, &sources);
    assert_int_equal(b->result, 0);
    assert_int_equal(b->report.problems.count, 0);
    /* What it uses itself must be there. */
    write_file(b, "config.yaml", "runbooks: {repository: \"${WHERE}\"}\n");
    load_from(b, &sources);
    assert_int_equal(b->result, -EINVAL);
}

static void credentials_stay_in_their_folder(void **state)
{
    struct bench *b = *state;
    char folder[128];
    make_folder(b, "credentials");
    (void)snprintf(folder, sizeof(folder), "%s/credentials", b->folder);
    setenv("CREDENTIALS_DIRECTORY", folder, 1);
    const char *const bad[] = {
        API_KEY("${credential:../config.yaml}"),
        API_KEY("${credential:/etc/passwd}"),
        API_KEY("${credential:..}"),
        API_KEY("${credential:}"),
        API_KEY("${credential:a b}"),
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        write_file(b, "config.yaml", bad[i]);
        load(b);
        assert_int_equal(b->result, -EINVAL);
        assert_says(b, "is not followed by a name");
    }
    char link[128];
    (void)snprintf(link, sizeof(link), "%s/credentials/link", b->folder);
    assert_int_equal(symlink("/etc/passwd", link), 0);
    write_file(b, "config.yaml", API_KEY("${credential:link}"));
    load(b);
    assert_int_equal(b->result, -EINVAL);
    assert_says(b, "cannot read the credential link");
}

static void a_long_credential_meets_the_limit(void **state)
{
    struct bench *b = *state;
    char folder[128];
    char room[CONFIG_TEXT_MAX_BYTES + 2];
    make_folder(b, "credentials");
    (void)snprintf(folder, sizeof(folder), "%s/credentials", b->folder);
    setenv("CREDENTIALS_DIRECTORY", folder, 1);
    write_file(b, "config.yaml", API_KEY("${credential:long}"));
    memset(room, 'x', sizeof(room));
    room[CONFIG_TEXT_MAX_BYTES + 1] = '\0';
    write_file(b, "credentials/long", room);
    load(b);
    assert_int_equal(b->result, -EINVAL);
    assert_says(b, "longer than 4096 bytes");
    room[CONFIG_TEXT_MAX_BYTES] = '\0';
    write_file(b, "credentials/long", room);
    load(b);
    assert_int_equal(b->result, 0);
    assert_int_equal(strlen(api_key(b)), CONFIG_TEXT_MAX_BYTES);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(later_files_win_key_by_key),
        TEST(an_error_names_its_own_file),
        TEST(a_file_that_cannot_be_read_is_an_error),
        TEST(a_pipe_is_not_waited_for),
        TEST(files_have_a_limit),
        TEST(files_that_have_changed_are_noticed),
        TEST(the_server_is_found_in_broken_files),
        TEST(options_stand_above_and_below_the_files),
        TEST(bad_options_are_refused),
        TEST(origins_are_known),
        TEST(what_is_shown_has_no_secret),
        TEST(a_check_is_told_as_json),
        TEST(credentials_are_read),
        TEST(the_service_s_environment_is_read),
        TEST(a_missing_credential_unsets),
        TEST(what_is_the_engines_may_be_missing_beside_it),
        TEST(credentials_stay_in_their_folder),
        TEST(a_long_credential_meets_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
