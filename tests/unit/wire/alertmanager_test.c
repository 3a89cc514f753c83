#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "data/json.h"
#include "model/event_json.h"
#include "wire/alertmanager.h"

#define NOW_MS 1795465700000ULL /* 2026-11-23T20:28:20Z */

static struct arena arena;

static int teardown(void **state)
{
    (void)state;
    arena_deinit(&arena);
    return 0;
}

struct result {
    struct event *events;
    uint32_t count;
    uint64_t truncated;
    struct webhook_alerts webhook;
    struct err err;
};

static json_t *read_json(struct str text)
{
    json_t *json = NULL;
    struct err e = ERR_INIT;
    if (json_read(text, NULL, &json, &e) < 0) {
        fail_msg("%s", e.message);
    }
    return json;
}

static int webhook(const char *text, struct result *ret)
{
    json_t *json = read_json(str_c(text));
    *ret = (struct result){0};
    int r = alertmanager_webhook(json, &arena, &ret->webhook, &ret->err);
    json_decref(json);
    ret->events = ret->webhook.events;
    ret->count = ret->webhook.count;
    ret->truncated = ret->webhook.truncated;
    return r;
}

static int alerts(const char *text, struct result *ret)
{
    json_t *json = read_json(str_c(text));
    *ret = (struct result){0};
    int r = alertmanager_alerts(json, NOW_MS, &arena, &ret->events, &ret->count,
                                &ret->err);
    json_decref(json);
    return r;
}

static void assert_str(struct str s, const char *expected)
{
    char *text = str_dup(s);
    assert_string_equal(text, expected);
    mem_free(text);
}

/* As Alertmanager 0.25 sends it, newline behind the end included. */
static const char *const real_webhook =
    "{\"receiver\":\"my\\\\.hook\",\"status\":\"firing\",\"alerts\":[{"
    "\"status\":\"firing\",\"labels\":{\"alertname\":\"HighCPU\","
    "\"instance\":\"web-1:9100\",\"job\":\"node\","
    "\"severity\":\"critical\"},\"annotations\":{\"summary\":"
    "\"a\\u003cb\"},\"startsAt\":\"2026-11-23T20:28:19.152024884Z\","
    "\"endsAt\":\"0001-01-01T00:00:00Z\",\"generatorURL\":"
    "\"http://p/graph?g0.expr=up\\u0026g0.tab=1\","
    "\"fingerprint\":\"ab906f89a7cb9bdc\"},{\"status\":\"resolved\","
    "\"labels\":{\"alertname\":\"HighCPU\",\"instance\":\"web-2\"},"
    "\"annotations\":{},\"startsAt\":\"2026-11-23T20:00:00Z\","
    "\"endsAt\":\"2026-11-23T20:28:00+00:00\",\"generatorURL\":\"\","
    "\"fingerprint\":\"e4e487a34993b056\"}],"
    "\"groupLabels\":{\"alertname\":\"HighCPU\"},"
    "\"commonLabels\":{\"alertname\":\"HighCPU\"},"
    "\"commonAnnotations\":{},\"externalURL\":\"http://am:9093\","
    "\"version\":\"4\",\"groupKey\":\"{}:{alertname=\\\"HighCPU\\\"}\","
    "\"notification_reason\":\"first notification\",\"routeLabels\":{},"
    "\"truncatedAlerts\":1}\n";

static void reads_a_real_webhook(void **state)
{
    (void)state;
    struct result r;
    assert_int_equal(webhook(real_webhook, &r), 0);
    assert_int_equal(r.count, 2);
    assert_int_equal(r.truncated, 1);
    const struct event *e = &r.events[0];
    assert_str(e->type, "alert");
    assert_str(e->severity, "critical");
    assert_str(e->source, "alertmanager");
    assert_int_equal(e->state, EVENT_FIRING);
    assert_int_equal(e->starts_ms, 1795465699152);
    assert_int_equal(e->ends_ms, 0);
    assert_str(e->fingerprint, "ab906f89a7cb9bdc");
    assert_str(e->dedup_key, "am:ab906f89a7cb9bdc:1795465699152:firing");
    assert_str(e->body,
               "{\"type\":\"alert\",\"severity\":\"critical\","
               "\"source\":\"alertmanager\",\"labels\":{"
               "\"alertname\":\"HighCPU\",\"instance\":\"web-1:9100\","
               "\"job\":\"node\",\"severity\":\"critical\"},"
               "\"annotations\":{\"summary\":\"a<b\"},\"state\":\"firing\","
               "\"starts_at\":1795465699.152,"
               "\"generator_url\":\"http://p/graph?g0.expr=up&g0.tab=1\","
               "\"group_key\":\"{}:{alertname=\\\"HighCPU\\\"}\","
               "\"payload\":{\"receiver\":\"my\\\\.hook\","
               "\"external_url\":\"http://am:9093\"},"
               "\"fingerprint\":\"ab906f89a7cb9bdc\"}");
    e = &r.events[1];
    assert_int_equal(e->state, EVENT_RESOLVED);
    assert_str(e->severity, "");
    assert_str(e->fingerprint, "e4e487a34993b056");
    assert_int_equal(e->ends_ms, 1795465680000);
    assert_str(e->dedup_key, "am:e4e487a34993b056:1795464000000:resolved");
}

static void both_ways_give_one_key(void **state)
{
    (void)state;
    struct result r;
    assert_int_equal(alerts("[{\"labels\":{\"alertname\":\"HighCPU\","
                            "\"instance\":\"web-1:9100\",\"job\":\"node\","
                            "\"severity\":\"critical\",\"gone\":\"\"},"
                            "\"startsAt\":\"2026-11-23T20:28:19.152Z\","
                            "\"endsAt\":\"2026-11-23T20:32:19.152Z\","
                            "\"generatorURL\":\"http://p\"}]",
                            &r),
                     0);
    assert_int_equal(r.count, 1);
    assert_str(r.events[0].source, "prometheus");
    assert_str(r.events[0].dedup_key,
               "am:ab906f89a7cb9bdc:1795465699152:firing");
    assert_int_equal(r.events[0].ends_ms, 1795465939152);
    assert_int_equal(r.events[0].labels.count, 4);
    assert_null(strstr(r.events[0].body.at, "gone"));
}

static void fills_missing_times_in(void **state)
{
    (void)state;
    static const struct {
        const char *times;
        uint64_t starts_ms, ends_ms;
        enum event_state state;
    } cases[] = {
        {"", NOW_MS, NOW_MS + 300000, EVENT_FIRING},
        {",\"startsAt\":\"0001-01-01T00:00:00.000Z\","
         "\"endsAt\":\"0001-01-01T00:00:00.000Z\"",
         NOW_MS, NOW_MS + 300000, EVENT_FIRING},
        {",\"startsAt\":\"2026-11-23T20:00:00Z\"", 1795464000000,
         NOW_MS + 300000, EVENT_FIRING},
        {",\"endsAt\":\"2026-11-23T20:00:00Z\"", 1795464000000, 1795464000000,
         EVENT_RESOLVED},
        {",\"startsAt\":\"2026-11-23T20:00:00Z\","
         "\"endsAt\":\"2026-11-23T20:28:20Z\"",
         1795464000000, NOW_MS, EVENT_RESOLVED},
        {",\"startsAt\":\"2026-11-23T20:00:00Z\","
         "\"endsAt\":\"2026-11-23T20:28:20.001Z\"",
         1795464000000, NOW_MS + 1, EVENT_FIRING},
        {",\"startsAt\":null,\"endsAt\":\"\",\"annotations\":null", NOW_MS,
         NOW_MS + 300000, EVENT_FIRING},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct strbuf text = STRBUF_INIT(1024);
        struct result r;
        strbuf_addf(&text, "[{\"labels\":{\"alertname\":\"T429\"}%s}]",
                    cases[i].times);
        assert_int_equal(alerts(strbuf_str(&text).at, &r), 0);
        assert_str(r.events[0].fingerprint, "2c601536fc137eb7");
        assert_int_equal(r.events[0].starts_ms, cases[i].starts_ms);
        assert_int_equal(r.events[0].ends_ms, cases[i].ends_ms);
        assert_int_equal(r.events[0].state, cases[i].state);
        strbuf_deinit(&text);
    }
}

static void takes_the_valid_alerts_of_a_list(void **state)
{
    (void)state;
    struct result r;
    assert_int_equal(alerts("[{\"labels\":{\"alertname\":\"A\"}},"
                            "{\"labels\":{\"alertname\":\"\"}},"
                            "{\"labels\":{\"alertname\":\"B\"},"
                            "\"startsAt\":\"2026-11-23T20:00:00Z\","
                            "\"endsAt\":\"2026-11-23T19:00:00Z\"},"
                            "{\"labels\":{\"alertname\":\"C\"}}]",
                            &r),
                     -EINVAL);
    assert_int_equal(r.count, 2);
    assert_str(labels_get(&r.events[1].labels, STR("alertname")), "C");
    assert_int_equal(r.err.errnum, -EINVAL);
    assert_string_equal(r.err.message,
                        "alerts[1]: at least one label pair required");
    assert_string_equal(r.err.field, "alerts[1].labels");
    assert_int_equal(alerts("[]", &r), 0);
    assert_int_equal(r.count, 0);
}

static void refuses_lists_of_another_shape(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *message;
    } cases[] = {
        {"{}", "expected an array, got an object"},
        {"[1]", "alerts[0]: expected an object, got a number"},
        {"[{}]", "alerts[0]: labels: required"},
        {"[{\"labels\":[]}]",
         "alerts[0]: labels: expected an object, got an array"},
        {"[{\"labels\":{\"a\":\"b\"}},{\"labels\":null}]",
         "alerts[1]: labels: required"},
        {"[{\"labels\":{\"a\":\"b\"},\"startsAt\":1}]",
         "alerts[0]: startsAt: expected a string, got a number"},
        {"[{\"labels\":{\"a\":\"b\"},\"endsAt\":\"now\"}]",
         "alerts[0]: endsAt: not an RFC 3339 time"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct result r;
        assert_int_equal(alerts(cases[i].text, &r), -EBADMSG);
        assert_int_equal(r.err.errnum, -EBADMSG);
        assert_string_equal(r.err.message, cases[i].message);
        assert_int_equal(r.count, 0);
    }
}

static void refuses_webhooks_of_another_shape(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *field;
    } cases[] = {
        {"[]", ""},
        {"{}", "version"},
        {"{\"version\":\"3\",\"alerts\":[]}", "version"},
        {"{\"version\":4,\"alerts\":[]}", "version"},
        {"{\"version\":\"4\"}", "alerts"},
        {"{\"version\":\"4\",\"alerts\":{}}", "alerts"},
        {"{\"version\":\"4\",\"alerts\":[],\"truncatedAlerts\":-1}",
         "truncatedAlerts"},
        {"{\"version\":\"4\",\"alerts\":[],\"groupKey\":1}", "groupKey"},
        {"{\"version\":\"4\",\"alerts\":[1]}", "alerts[0]"},
        {"{\"version\":\"4\",\"alerts\":[{\"status\":\"firing\"}]}",
         "alerts[0].labels"},
        {"{\"version\":\"4\",\"alerts\":[{\"status\":\"firing\","
         "\"labels\":{}}]}",
         "alerts[0].labels"},
        {"{\"version\":\"4\",\"alerts\":[{\"status\":\"up\","
         "\"labels\":{\"a\":\"b\"}}]}",
         "alerts[0].status"},
        {"{\"version\":\"4\",\"alerts\":[{\"status\":\"firing\","
         "\"labels\":{\"a\":1}}]}",
         "alerts[0].labels.a"},
        {"{\"version\":\"4\",\"alerts\":[{\"status\":\"firing\","
         "\"labels\":{\"a\":\"b\"},\"startsAt\":\"x\"}]}",
         "alerts[0].startsAt"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct result r;
        int e = webhook(cases[i].text, &r);
        assert_true(e == -EINVAL || e == -ERANGE);
        assert_string_equal(r.err.field, cases[i].field);
        assert_true(r.err.message[0] != '\0');
    }
}

#define ONE(more) "{\"status\":\"firing\",\"labels\":{\"a\":\"b\"" more "}}"

/* Alertmanager does not send again what is answered with 4xx. */
static void takes_what_is_fit_of_a_webhook(void **state)
{
    (void)state;
    struct result r;
    assert_int_equal(
        webhook("{\"version\":\"4\",\"alerts\":[" ONE("") ",{}," ONE(
                    ",\"c\":1") "," ONE(",\"d\":\"e\"") ",7]}",
                &r),
        0);
    assert_int_equal(r.count, 2);
    assert_int_equal(r.events[1].labels.count, 2);
    assert_int_equal(r.webhook.refused, 3);
    assert_int_equal(r.webhook.problem_count, 3);
    assert_str(r.webhook.problems[0], "alerts[1]: labels: required");
    assert_non_null(memmem(r.webhook.problems[2].at, r.webhook.problems[2].len,
                           "alerts[4]", 9));
}

static void takes_the_first_of_too_many(void **state)
{
    (void)state;
    struct result r;
    struct strbuf text = STRBUF_INIT(1024UL * 1024);
    strbuf_addc(&text, "{\"version\":\"4\",\"alerts\":[");
    for (int i = 0; i < ALERTS_MAX + 7; i++) {
        strbuf_addc(&text, i == 0 ? ONE("") : "," ONE(""));
    }
    strbuf_addc(&text, "]}");
    assert_int_equal(webhook(text.at, &r), 0);
    assert_int_equal(r.count, ALERTS_MAX);
    assert_int_equal(r.webhook.refused, 7);
    assert_int_equal(r.webhook.problem_count, 1);
    strbuf_deinit(&text);
}

/* At a byte, and never inside a character. */
static void cuts_long_annotations(void **state)
{
    (void)state;
    for (size_t shift = 0; shift < 4; shift++) {
        struct result r;
        struct strbuf text = STRBUF_INIT(256UL * 1024);
        strbuf_addf(&text,
                    "{\"version\":\"4\",\"alerts\":[{\"status\":\"firing\","
                    "\"labels\":{\"a\":\"b\"},\"annotations\":{\"s\":\"%.*s",
                    (int)shift, "xxxx");
        while (text.len < 17000) {
            strbuf_addc(&text, "\xe2\x82\xac");
        }
        strbuf_addc(&text, "\"}}]}");
        assert_int_equal(webhook(text.at, &r), 0);
        assert_int_equal(r.count, 1);
        assert_int_equal(r.webhook.refused, 0);
        struct str value = STR_NULL;
        assert_int_equal(
            event_lookup(&r.events[0], STR("annotations.s"), &arena, &value),
            0);
        assert_true(value.len <= EVENT_ANNOTATION_VALUE_MAX_BYTES);
        assert_true(value.len > EVENT_ANNOTATION_VALUE_MAX_BYTES - 4);
        assert_true(str_is_utf8(value));
        assert_true(str_ends(value, STR(" [cut]")));
        strbuf_deinit(&text);
    }
}

static void tolerates_what_go_programs_send(void **state)
{
    (void)state;
    struct result r;
    assert_int_equal(webhook("{\"version\":\"4\",\"alerts\":[]}", &r), 0);
    assert_int_equal(r.count, 0);
    assert_int_equal(r.truncated, 0);
    assert_int_equal(
        webhook("{\"version\":\"4\",\"new\":{},\"groupKey\":null,"
                "\"alerts\":[{\"status\":\"resolved\",\"new\":1,"
                "\"labels\":{\"a\":\"b\",\"c\":\"\"},\"annotations\":null,"
                "\"startsAt\":\"2026-11-23T20:00:00Z\","
                "\"endsAt\":\"2026-11-23T19:59:59Z\"}]}",
                &r),
        0);
    assert_int_equal(r.events[0].labels.count, 1);
    assert_int_equal(r.events[0].ends_ms, 0);
}

static void too_long_references_are_left_out(void **state)
{
    (void)state;
    struct strbuf text = STRBUF_INIT(65536);
    struct result r;
    strbuf_addc(&text, "{\"version\":\"4\",\"groupKey\":\"");
    for (int i = 0; i <= EVENT_TEXT_MAX_BYTES; i++) {
        strbuf_addch(&text, 'x');
    }
    strbuf_addc(&text, "\",\"alerts\":[{\"status\":\"firing\","
                       "\"labels\":{\"a\":\"b\"}}]}");
    assert_int_equal(webhook(strbuf_str(&text).at, &r), 0);
    assert_null(strstr(r.events[0].body.at, "group_key"));
    strbuf_deinit(&text);
}

static int list_of(int alert_count, int label_count, int value_bytes,
                   struct result *r)
{
    struct strbuf text = STRBUF_INIT(1024 * 1024);
    strbuf_addch(&text, '[');
    for (int i = 0; i < alert_count; i++) {
        strbuf_addf(&text, "%s{\"labels\":{", i != 0 ? "," : "");
        for (int n = 0; n < label_count; n++) {
            strbuf_addf(&text, "%s\"l%d\":\"%0*d\"", n != 0 ? "," : "", n,
                        value_bytes, i);
        }
        strbuf_addc(&text, "}}");
    }
    strbuf_addch(&text, ']');
    int e = alerts(strbuf_str(&text).at, r);
    strbuf_deinit(&text);
    return e;
}

static void meets_its_limits(void **state)
{
    (void)state;
    struct result r;
    assert_int_equal(list_of(ALERTS_MAX, 1, 1, &r), 0);
    assert_int_equal(r.count, ALERTS_MAX);
    assert_int_equal(list_of(ALERTS_MAX + 1, 1, 1, &r), -E2BIG);
    assert_string_equal(r.err.message, "more than 1000 alerts");
    assert_int_equal(list_of(1, EVENT_LABELS_MAX, 1, &r), 0);
    assert_int_equal(list_of(1, EVENT_LABELS_MAX + 1, 1, &r), -EINVAL);
    assert_string_equal(r.err.field, "alerts[0].labels");
    assert_string_equal(r.err.message,
                        "alerts[0]: labels: more than 64 entries");
    assert_int_equal(list_of(1, 1, EVENT_LABEL_VALUE_MAX_BYTES + 1, &r),
                     -EINVAL);
    assert_string_equal(r.err.field, "alerts[0].labels.l0");
}

static void shows_an_alert_as_alertmanager_does(void **state)
{
    (void)state;
    struct result r;
    struct strbuf out = STRBUF_INIT(4096);
    assert_int_equal(webhook(real_webhook, &r), 0);
    r.events[0].received_ms = NOW_MS;
    alertmanager_add_alert(&out, &r.events[0], NOW_MS);
    assert_string_equal(
        strbuf_str(&out).at,
        "{\"labels\":{\"alertname\":\"HighCPU\","
        "\"instance\":\"web-1:9100\",\"job\":\"node\","
        "\"severity\":\"critical\"},\"annotations\":{\"summary\":\"a<b\"},"
        "\"generatorURL\":\"http://p/graph?g0.expr=up&g0.tab=1\","
        "\"startsAt\":\"2026-11-23T20:28:19.152Z\","
        "\"endsAt\":\"2026-11-23T20:33:20.000Z\","
        "\"updatedAt\":\"2026-11-23T20:28:20.000Z\","
        "\"fingerprint\":\"ab906f89a7cb9bdc\","
        "\"receivers\":[{\"name\":\"autonomous-devops\"}],"
        "\"status\":{\"state\":\"active\",\"silencedBy\":[],"
        "\"inhibitedBy\":[],\"mutedBy\":[]}}");
    strbuf_reset(&out);
    struct event bare = {.fingerprint = STR("f"), .body = STR("{")};
    alertmanager_add_alert(&out, &bare, NOW_MS);
    json_decref(read_json(strbuf_str(&out)));
    strbuf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_real_webhook),
        cmocka_unit_test(both_ways_give_one_key),
        cmocka_unit_test(fills_missing_times_in),
        cmocka_unit_test(takes_the_valid_alerts_of_a_list),
        cmocka_unit_test(refuses_lists_of_another_shape),
        cmocka_unit_test(refuses_webhooks_of_another_shape),
        cmocka_unit_test(takes_what_is_fit_of_a_webhook),
        cmocka_unit_test(takes_the_first_of_too_many),
        cmocka_unit_test(cuts_long_annotations),
        cmocka_unit_test(tolerates_what_go_programs_send),
        cmocka_unit_test(too_long_references_are_left_out),
        cmocka_unit_test(meets_its_limits),
        cmocka_unit_test(shows_an_alert_as_alertmanager_does),
    };
    return cmocka_run_group_tests(tests, NULL, teardown);
}
