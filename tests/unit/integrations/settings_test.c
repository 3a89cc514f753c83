#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "data/json.h"
#include "integrations/integrations.h"
#include "runtime/service.h"

/* The store takes every change at once; the last one is kept. */
static char last_value[64 * 1024];
static char last_action[64];

int service_post_and_wait(struct service *s, struct service_request *request)
{
    (void)s;
    (void)snprintf(last_value, sizeof(last_value), "%.*s",
                   STR_ARG(request->change.setting.value));
    (void)snprintf(last_action, sizeof(last_action), "%.*s",
                   STR_ARG(request->change.audit.action));
    return 0;
}

void service_write(struct service *s, struct store_op *op)
{
    (void)s;
    (void)op;
    fail();
}

void service_ingest(struct service *s, struct store_op *op)
{
    (void)s;
    (void)op;
    fail();
}

struct telemetry *service_telemetry(struct service *s)
{
    (void)s;
    fail();
    return NULL;
}

uint8_t service_priority(struct service *s, const struct event *e)
{
    (void)s;
    return e->priority;
}

int service_reader(struct service *s, struct reader **ret, struct err *reterr)
{
    (void)s;
    (void)ret;
    (void)reterr;
    fail();
    return -1;
}

static void log_nothing(int priority, const char *message)
{
    (void)priority;
    (void)message;
}

/* ---- a store with one object ----------------------------------------------
 */

static const char *stored; /* of prometheus; NULL: nothing */

static int read_settings(struct reader *r, struct str prefix, struct arena *a,
                         struct setting_row **ret, uint32_t *ret_count)
{
    (void)r;
    *ret = ARENA_NEW(a, struct setting_row);
    **ret = (struct setting_row){.key = STR("integration/prometheus"),
                                 .value = str_c(stored)};
    *ret_count = stored != NULL && str_eq_c(prefix, "integration/");
    return 0;
}

static int read_counts(struct reader *r, struct notice_counts *ret)
{
    (void)r;
    *ret = (struct notice_counts){0};
    return 0;
}

static const struct reader_ops ops = {.settings = read_settings,
                                      .notice_counts = read_counts};
static struct reader reader = {.ops = &ops};

static char key_path[64];
static struct integrations *integrations;

/* An engine whose file says this of prometheus. */
static void start(struct integration_config file)
{
    struct err err = ERR_INIT;
    struct integrations_options options = {.key_path = key_path,
                                           .log = log_nothing};
    file.enabled = true;
    options.configs[INTEGRATION_PROMETHEUS] = file;
    integrations_free(integrations);
    integrations = NULL;
    assert_int_equal(integrations_new(&options, &integrations, &err), 0);
    assert_int_equal(integrations_load(integrations, &reader), 0);
}

static uint32_t bit(const char *name)
{
    return 1U << (integration_field_find(INTEGRATION_PROMETHEUS, name) -
                  integration_fields);
}

static void put(json_t *body)
{
    struct err err = ERR_INIT;
    struct integration_change change = {.which = INTEGRATION_PROMETHEUS,
                                        .action = INTEGRATION_PUT,
                                        .body = body,
                                        .by = STR("test"),
                                        .audit = STR("integration.set")};
    assert_int_equal(integrations_change(integrations, &change, &err), 0);
    json_decref(body);
    stored = last_value;
}

/* What is in force, as the API shows it. */
static void expect(const char *name, json_t *want)
{
    json_t *all = integrations_detail(integrations, INTEGRATION_PROMETHEUS);
    const json_t *got = json_object_get(all, name);
    got = json_is_object(got) ? json_object_get(got, "source") : got;
    assert_true(json_equal(got, want));
    json_decref(all);
    json_decref(want);
}

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(key_path, sizeof(key_path), "/tmp/adp-key-%ld",
                   (long)getpid());
    (void)unlink(key_path);
    stored = NULL;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    integrations_free(integrations);
    integrations = NULL;
    (void)unlink(key_path);
    return 0;
}

/* ---- the tests ------------------------------------------------------------
 */

static const struct integration_config old_file = {
    .url = "http://file:1", .timeout_ms = 10000, .scrape_interval_ms = 15000};

static void put_url_and_token(void)
{
    struct integration_config file = old_file;
    file.set = bit("url");
    start(file);
    put(json_pack("{s:s, s:s, s:i}", "url", "http://127.0.0.1:2",
                  "bearer_token", "t", "timeout", 5));
}

static void another_line_of_the_file_takes_nothing_away(void **state)
{
    (void)state;
    put_url_and_token();
    struct integration_config file = old_file;
    file.set = bit("url") | bit("scrape_interval");
    file.scrape_interval_ms = 30000;
    start(file);
    expect("url", json_string("http://127.0.0.1:2"));
    expect("bearer_token", json_string("api"));
    expect("scrape_interval", json_integer(30));
    expect("timeout", json_integer(5));
    expect("changed_by_api", json_true());
}

static void what_the_file_says_otherwise_is_the_files(void **state)
{
    (void)state;
    put_url_and_token();
    struct integration_config file = old_file;
    file.set = bit("url") | bit("timeout");
    file.timeout_ms = 7000;
    start(file);
    expect("timeout", json_integer(7));
    expect("url", json_string("http://127.0.0.1:2"));
    file.url = "http://file:3";
    start(file);
    expect("url", json_string("http://file:3"));
    /* for a host that nobody names any more */
    expect("bearer_token", json_null());
    expect("changed_by_api", json_false());
}

/* The next version has another default and one more field. */
static void another_default_takes_nothing_away(void **state)
{
    (void)state;
    put_url_and_token();
    struct integration_config file = old_file;
    file.set = bit("url");
    file.timeout_ms = 20000;
    start(file);
    expect("timeout", json_integer(5));
    expect("bearer_token", json_string("api"));
}

static void an_object_of_an_earlier_version_counts(void **state)
{
    (void)state;
    stored = "{\"base\":\"0123456789abcdef\",\"enabled\":false,\"paused\":true,"
             "\"fields\":{\"url\":\"http://127.0.0.1:9\"}}";
    struct integration_config file = old_file;
    file.set = bit("url");
    start(file);
    expect("url", json_string("http://127.0.0.1:9"));
    expect("enabled", json_false());
    put(json_pack("{s:i}", "timeout", 5));
    assert_null(strstr(last_value, "0123456789abcdef"));
    file.url = "http://file:3";
    start(file);
    expect("url", json_string("http://file:3"));
    expect("timeout", json_integer(5));
    expect("enabled", json_false());
    expect("paused", json_true());
}

static void null_gives_a_field_back(void **state)
{
    (void)state;
    put_url_and_token();
    put(json_pack("{s:n, s:n, s:n}", "url", "timeout", "bearer_token"));
    expect("url", json_string("http://file:1"));
    expect("changed_by_api", json_false());
    assert_string_equal(last_action, "integration.set");
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(another_line_of_the_file_takes_nothing_away),
        CASE(what_the_file_says_otherwise_is_the_files),
        CASE(another_default_takes_nothing_away),
        CASE(an_object_of_an_earlier_version_counts),
        CASE(null_gives_a_field_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
