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

static struct arena arena;

static int teardown(void **state)
{
    (void)state;
    arena_deinit(&arena);
    return 0;
}

/* Reads an event and drops the JSON: nothing may borrow from it. */
static int read_event(struct str text, struct event *ret, struct err *e)
{
    json_t *json = NULL;
    *e = ERR_INIT;
    assert_int_equal(json_read(text, NULL, &json, e), 0);
    int r = event_from_json(json, &arena, ret, e);
    json_decref(json);
    if (r < 0) {
        assert_int_equal(e->errnum, r);
        assert_true(e->message[0] != '\0');
    }
    return r;
}

static void must_read(const char *text, struct event *ret)
{
    struct err e;
    if (read_event(str_c(text), ret, &e) < 0) {
        fail_msg("%s", e.message);
    }
}

static void assert_str(struct str s, const char *expected)
{
    char *text = str_dup(s);
    assert_string_equal(text, expected);
    mem_free(text);
}

static const char *const manual_alert =
    "{\"type\": \"alert\", \"severity\": \"warning\","
    " \"source\": \"prometheus\", \"labels\": {"
    " \"alertname\": \"HighMemoryUsage\", \"instance\": \"server-01\","
    " \"severity\": \"warning\"},"
    " \"annotations\": {\"summary\": \"High memory usage detected\"}}";

static const char *const manual_metric =
    "{\"type\": \"metric\", \"source\": \"prometheus\","
    " \"metric_name\": \"cpu_usage_percent\", \"value\": 95,"
    " \"labels\": {\"instance\": \"server-01\"}}";

static void reads_the_manuals_alert(void **state)
{
    (void)state;
    struct event e = {0};
    must_read(manual_alert, &e);
    assert_str(e.type, "alert");
    assert_str(e.severity, "warning");
    assert_str(e.source, "prometheus");
    assert_int_equal(e.state, EVENT_FIRING);
    assert_int_equal(e.priority, EVENT_PRIORITY_DEFAULT);
    assert_int_equal(e.labels.count, 3);
    assert_str(labels_get(&e.labels, STR("instance")), "server-01");
    assert_int_equal(e.fingerprint.len, 16);
    assert_int_equal(e.dedup_key.len, 0);
    struct strbuf body = STRBUF_INIT(4096);
    strbuf_addf(&body,
                "{\"type\":\"alert\",\"severity\":\"warning\","
                "\"source\":\"prometheus\",\"labels\":{"
                "\"alertname\":\"HighMemoryUsage\","
                "\"instance\":\"server-01\",\"severity\":\"warning\"},"
                "\"annotations\":{\"summary\":"
                "\"High memory usage detected\"},\"state\":\"firing\","
                "\"fingerprint\":\"%.*s\"}",
                STR_ARG(e.fingerprint));
    assert_str(e.body, strbuf_str(&body).at);
    strbuf_deinit(&body);
}

static void reads_the_manuals_metric(void **state)
{
    (void)state;
    struct event e = {0};
    must_read(manual_metric, &e);
    assert_str(e.type, "metric");
    assert_int_equal(e.state, EVENT_STATE_NONE);
    assert_int_equal(e.fingerprint.len, 0);
    assert_str(e.body, "{\"type\":\"metric\",\"source\":\"prometheus\","
                       "\"metric_name\":\"cpu_usage_percent\",\"value\":95,"
                       "\"labels\":{\"instance\":\"server-01\"}}");
}

static void reads_every_field(void **state)
{
    (void)state;
    struct event e = {0};
    must_read("{\"payload\":{\"z\":[1,{}],\"a\":null},\"priority\":0,"
              "\"group_key\":\"g\",\"generator_url\":\"http://x\","
              "\"ends_at\":\"2026-11-23T20:28:20.5+00:00\","
              "\"starts_at\":1795465699.152,\"fingerprint\":\"f1\","
              "\"state\":\"resolved\",\"value\":1.5,\"metric_name\":\"m\","
              "\"annotations\":{},\"labels\":{},\"source\":\"s\","
              "\"severity\":\"x\",\"timestamp\":\"2026-11-23T20:28:19Z\","
              "\"type\":\"change.deploy-2\"}",
              &e);
    assert_int_equal(e.priority, 0);
    assert_int_equal(e.state, EVENT_RESOLVED);
    assert_int_equal(e.starts_ms, 1795465699152);
    assert_int_equal(e.ends_ms, 1795465700500);
    assert_str(e.fingerprint, "f1");
    assert_str(e.body,
               "{\"timestamp\":1795465699.000,\"type\":\"change.deploy-2\","
               "\"severity\":\"x\",\"source\":\"s\","
               "\"payload\":{\"z\":[1,{}],\"a\":null},\"priority\":0,"
               "\"group_key\":\"g\",\"generator_url\":\"http://x\","
               "\"ends_at\":1795465700.500,\"starts_at\":1795465699.152,"
               "\"fingerprint\":\"f1\",\"state\":\"resolved\",\"value\":1.5,"
               "\"metric_name\":\"m\",\"annotations\":{},\"labels\":{}}");
    /* The canonical body is itself an event that reads the same. */
    struct event again = {0};
    char *text = str_dup(e.body);
    must_read(text, &again);
    assert_true(str_eq(again.body, e.body));
    mem_free(text);
}

static void null_and_empty_are_absent(void **state)
{
    (void)state;
    struct event e = {0};
    must_read("{\"type\":\"alert\",\"severity\":null,\"source\":\"\","
              "\"labels\":{\"a\":\"\",\"b\":\"1\",\"severity\":\"critical\"},"
              "\"annotations\":null,\"starts_at\":\"0001-01-01T00:00:00Z\","
              "\"state\":\"\",\"value\":null,\"payload\":null}",
              &e);
    assert_str(e.severity, "critical");
    assert_str(e.source, "");
    assert_int_equal(e.labels.count, 2);
    assert_int_equal(e.starts_ms, 0);
    assert_null(strstr(e.body.at, "starts_at"));
    assert_null(strstr(e.body.at, "payload"));
    assert_null(strstr(e.body.at, "null"));
    struct labels l = {0};
    char text[17];
    l = e.labels;
    labels_fingerprint(&l, text);
    assert_str(e.fingerprint, text);
    must_read("{\"type\":\"alert\"}", &e);
    assert_int_equal(e.fingerprint.len, 0);
}

static void a_severity_label_must_be_a_word(void **state)
{
    (void)state;
    struct event e = {0};
    must_read("{\"type\":\"x\",\"labels\":{\"severity\":\"a\\nb\"}}", &e);
    assert_str(e.severity, "");
    must_read("{\"type\":\"x\",\"labels\":{\"severity\":\"a\"}}", &e);
    assert_str(e.severity, "a");
}

static void refuses_wrong_events(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int r;
        const char *field;
        const char *message;
    } cases[] = {
        {"[]", -EINVAL, "", "expected an event (an object), got an array"},
        {"{}", -EINVAL, "type", "type: required"},
        {"{\"type\":\"\"}", -EINVAL, "type", "type: required"},
        {"{\"type\":null}", -EINVAL, "type", "type: required"},
        {"{\"type\":1}", -EINVAL, "type",
         "type: expected a string, got a number"},
        {"{\"type\":\"Alert\"}", -EINVAL, "type", "type: not a valid word"},
        {"{\"type\":\"a b\"}", -EINVAL, "type", "type: not a valid word"},
        {"{\"type\":\"1a\"}", -EINVAL, "type", "type: not a valid word"},
        {"{\"type\":\"a\\n\"}", -EINVAL, "type", "type: not a valid word"},
        {"{\"type\":\"a\",\"sevirity\":\"x\"}", -EINVAL, "sevirity",
         "unknown field 'sevirity'"},
        {"{\"type\":\"a\",\"severity\":3}", -EINVAL, "severity",
         "severity: expected a string, got a number"},
        {"{\"type\":\"a\",\"source\":\"a\\u001bb\"}", -EINVAL, "source",
         "source: has a control character"},
        {"{\"type\":\"a\",\"labels\":[]}", -EINVAL, "labels",
         "labels: expected an object, got an array"},
        {"{\"type\":\"a\",\"labels\":{\"x\":1}}", -EINVAL, "labels.x",
         "labels.x: expected a string, got a number"},
        {"{\"type\":\"a\",\"labels\":{\"\":\"1\"}}", -EINVAL, "labels",
         "labels: has an empty name"},
        {"{\"type\":\"a\",\"annotations\":{\"x\":null}}", -EINVAL,
         "annotations.x", "annotations.x: expected a string, got null"},
        {"{\"type\":\"a\",\"value\":\"95\"}", -EINVAL, "value",
         "value: expected a number, got a string"},
        {"{\"type\":\"a\",\"state\":\"ok\"}", -EINVAL, "state",
         "state: expected firing or resolved"},
        {"{\"type\":\"a\",\"timestamp\":\"today\"}", -EINVAL, "timestamp",
         "timestamp: not an RFC 3339 time"},
        {"{\"type\":\"a\",\"timestamp\":1795465699152}", -ERANGE, "timestamp",
         "timestamp: not between the years 1970 and 9999"},
        {"{\"type\":\"a\",\"timestamp\":-1}", -ERANGE, "timestamp",
         "timestamp: not between the years 1970 and 9999"},
        {"{\"type\":\"a\",\"starts_at\":[]}", -EINVAL, "starts_at",
         "starts_at: expected RFC 3339 or epoch seconds, got an array"},
        {"{\"type\":\"a\",\"starts_at\":2,\"ends_at\":1}", -EINVAL, "ends_at",
         "ends_at: before starts_at"},
        {"{\"type\":\"a\",\"priority\":10}", -ERANGE, "priority",
         "priority: not between 0 and 9"},
        {"{\"type\":\"a\",\"priority\":-1}", -ERANGE, "priority",
         "priority: not between 0 and 9"},
        {"{\"type\":\"a\",\"priority\":1.5}", -EINVAL, "priority",
         "priority: expected an integer, got a number"},
        {"{\"type\":\"a\",\"metric_name\":1}", -EINVAL, "metric_name",
         "metric_name: expected a string, got a number"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct event e = {0};
        struct err err;
        assert_int_equal(read_event(str_c(cases[i].text), &e, &err),
                         cases[i].r);
        assert_string_equal(err.message, cases[i].message);
        assert_string_equal(err.field, cases[i].field);
    }
}

static void unknown_fields_get_a_suggestion(void **state)
{
    (void)state;
    struct event e = {0};
    struct err err;
    assert_int_equal(
        read_event(STR("{\"type\":\"a\",\"anotations\":{}}"), &e, &err),
        -EINVAL);
    assert_string_equal(err.hint, "did you mean 'annotations'?");
}

/* {"type":"alert","FIELD":"xxx…"} with a value of so many bytes. */
static int read_with_text(const char *field, size_t len)
{
    struct strbuf text = STRBUF_INIT(1024 * 1024);
    struct event e = {0};
    struct err err;
    strbuf_addc(&text, "{");
    if (strcmp(field, "type") != 0) {
        strbuf_addc(&text, "\"type\":\"alert\",");
    }
    strbuf_addf(&text, "\"%s\":\"", field);
    for (size_t i = 0; i < len; i++) {
        strbuf_addch(&text, 'x');
    }
    strbuf_addc(&text, "\"}");
    int r = read_event(strbuf_str(&text), &e, &err);
    if (r < 0) {
        assert_string_equal(err.field, field);
    }
    strbuf_deinit(&text);
    return r;
}

static void texts_meet_their_limits(void **state)
{
    (void)state;
    static const struct {
        const char *field;
        size_t limit;
    } cases[] = {
        {"type", EVENT_WORD_MAX_BYTES},
        {"severity", EVENT_WORD_MAX_BYTES},
        {"source", EVENT_SOURCE_MAX_BYTES},
        {"fingerprint", EVENT_SOURCE_MAX_BYTES},
        {"metric_name", EVENT_SOURCE_MAX_BYTES},
        {"generator_url", EVENT_TEXT_MAX_BYTES},
        {"group_key", EVENT_TEXT_MAX_BYTES},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(read_with_text(cases[i].field, cases[i].limit), 0);
        assert_int_equal(read_with_text(cases[i].field, cases[i].limit + 1),
                         -E2BIG);
    }
}

struct pairs {
    const char *field;
    int count;
    int name_len;
    int value_len;
};

static int read_with_pairs(struct pairs p)
{
    struct strbuf text = STRBUF_INIT(1024 * 1024);
    struct event e = {0};
    struct err err;
    strbuf_addf(&text, "{\"type\":\"alert\",\"%s\":{", p.field);
    for (int i = 0; i < p.count; i++) {
        strbuf_addf(&text, "%s\"%0*d\":\"%0*d\"", i != 0 ? "," : "", p.name_len,
                    i, p.value_len, 1);
    }
    strbuf_addc(&text, "}}");
    int r = read_event(strbuf_str(&text), &e, &err);
    strbuf_deinit(&text);
    return r;
}

static void pairs_meet_their_limits(void **state)
{
    (void)state;
    static const struct {
        struct pairs pairs;
        int r;
    } cases[] = {
        {{"labels", EVENT_LABELS_MAX, 2, 1}, 0},
        {{"labels", EVENT_LABELS_MAX + 1, 2, 1}, -E2BIG},
        {{"labels", 1, EVENT_LABEL_NAME_MAX_BYTES, 1}, 0},
        {{"labels", 1, EVENT_LABEL_NAME_MAX_BYTES + 1, 1}, -E2BIG},
        {{"labels", 1, 1, EVENT_LABEL_VALUE_MAX_BYTES}, 0},
        {{"labels", 1, 1, EVENT_LABEL_VALUE_MAX_BYTES + 1}, -E2BIG},
        {{"annotations", EVENT_ANNOTATIONS_MAX, 2, 1}, 0},
        {{"annotations", EVENT_ANNOTATIONS_MAX + 1, 2, 1}, -E2BIG},
        {{"annotations", 1, EVENT_LABEL_NAME_MAX_BYTES + 1, 1}, -E2BIG},
        {{"annotations", 1, 1, EVENT_ANNOTATION_VALUE_MAX_BYTES}, 0},
        {{"annotations", 1, 1, EVENT_ANNOTATION_VALUE_MAX_BYTES + 1}, -E2BIG},
        /* Each within its limit, all of them more than an event may be. */
        {{"labels", EVENT_LABELS_MAX, 2, EVENT_LABEL_VALUE_MAX_BYTES}, -E2BIG},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(read_with_pairs(cases[i].pairs), cases[i].r);
    }
}

static void the_table_of_fields_is_complete(void **state)
{
    (void)state;
    size_t count = 0;
    const struct event_field *fields = event_fields(&count);
    assert_int_equal(count, 16);
    for (size_t i = 0; i < count; i++) {
        assert_non_null(fields[i].name);
        assert_non_null(fields[i].type);
        assert_true(strlen(fields[i].help) > 5);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_the_manuals_alert),
        cmocka_unit_test(reads_the_manuals_metric),
        cmocka_unit_test(reads_every_field),
        cmocka_unit_test(null_and_empty_are_absent),
        cmocka_unit_test(a_severity_label_must_be_a_word),
        cmocka_unit_test(refuses_wrong_events),
        cmocka_unit_test(unknown_fields_get_a_suggestion),
        cmocka_unit_test(texts_meet_their_limits),
        cmocka_unit_test(pairs_meet_their_limits),
        cmocka_unit_test(the_table_of_fields_is_complete),
    };
    return cmocka_run_group_tests(tests, NULL, teardown);
}
