#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <jansson.h>

#include "api/api_priv.h"
#include "base/strbuf.h"
#include "store/committer.h"
#include "tests/unit/api/fake.h"

#define ALERT                                                                  \
    "{\"type\":\"alert\",\"severity\":\"warning\",\"source\":\"prometheus\","  \
    "\"labels\":{\"alertname\":\"HighMemoryUsage\",\"instance\":\"a\"}}"
#define METRIC "{\"type\":\"metric\",\"metric_name\":\"cpu\",\"value\":95}"

static const char *text_of(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

static json_int_t number_of(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

static json_t *list(const char *path, const char *name)
{
    assert_int_equal(get(path), 200);
    json_t *j = json();
    json_t *l = json_incref(json_object_get(j, name));
    json_decref(j);
    assert_true(json_is_array(l));
    return l;
}

/* ---- accepting
 * ------------------------------------------------------------------ */

static void accepts_one_event(void **state)
{
    (void)state;
    assert_int_equal(post("/api/events", ALERT), 202);
    json_t *j = json();
    char path[100];
    assert_string_equal(text_of(j, "status"), "queued");
    (void)snprintf(path, sizeof(path), "/api/events/%s", text_of(j, "id"));
    assert_int_equal(get(path), 200);
    json_t *e = json();
    assert_string_equal(text_of(e, "id"), text_of(j, "id"));
    assert_string_equal(text_of(e, "type"), "alert");
    assert_string_equal(text_of(e, "status"), "queued");
    assert_true(json_is_real(json_object_get(e, "received_at")));
    assert_true(json_is_array(json_object_get(e, "workflows")));
    json_decref(e);
    json_decref(j);
}

static void accepts_lists(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "[" ALERT "," METRIC "]",
        " [ " ALERT " , " METRIC " ] \n",
        ALERT "\n" METRIC,
        ALERT "\r\n\r\n" METRIC "\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        assert_int_equal(post("/api/events", bodies[i]), 202);
        json_t *j = json();
        assert_int_equal(number_of(j, "count"), 2);
        assert_int_equal(json_array_size(json_object_get(j, "ids")), 2);
        assert_string_equal(text_of(j, "status"), "queued");
        json_decref(j);
    }
    assert_int_equal(ask_with("POST", "/api/events",
                              "Content-Type: application/x-ndjson\r\n", ALERT),
                     202);
    assert_non_null(strstr(answer.body, "\"count\":1"));
    json_t *l = list("/api/events", "events");
    assert_int_equal(json_array_size(l), 9);
    json_decref(l);
}

static void takes_a_pretty_printed_event(void **state)
{
    (void)state;
    assert_int_equal(post("/api/events", "{\n  \"type\": \"alert\"\n}\n"), 202);
    assert_non_null(strstr(answer.body, "\"id\":"));
    assert_int_equal(post("/api/events", "{\n  \"type\": \"alert\",\n}\n"),
                     400);
    json_t *j = json();
    assert_int_equal(number_of(json_object_get(j, "detail"), "line"), 3);
    json_decref(j);
}

static void says_what_is_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        const char *code;
    } bad[] = {
        {"", "bad_json"},
        {"{", "bad_json"},
        {"nonsense", "bad_json"},
        {"{\"type\":\"a\",\"type\":\"b\"}", "bad_json"},
        {"\"text\"", "event_invalid"},
        {"{}", "event_invalid"},
        {"{\"type\":1}", "event_invalid"},
        {"{\"type\":\"alert\",\"colour\":\"red\"}", "event_invalid"},
        {"[]", "event_invalid"},
        {"[" ALERT, "bad_json"},
        {"[" ALERT ",]", "bad_json"},
        {"[[]]", "event_invalid"},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (post("/api/events", bad[i].body) != 400 ||
            strstr(answer.body, bad[i].code) == NULL) {
            fail_msg("%s: %s", bad[i].body, answer.text);
        }
    }
    json_t *l = list("/api/events", "events");
    assert_int_equal(json_array_size(l), 0);
    json_decref(l);
}

static void names_the_bad_entry_of_a_list(void **state)
{
    (void)state;
    assert_int_equal(
        post("/api/events", "[" ALERT ",{\"type\":\"\"}," ALERT "]"), 400);
    json_t *j = json();
    assert_int_equal(number_of(json_object_get(j, "detail"), "index"), 1);
    assert_non_null(strstr(text_of(j, "error"), "entry 1"));
    json_decref(j);
    json_t *l = list("/api/events", "events"); /* all or none */
    assert_int_equal(json_array_size(l), 0);
    json_decref(l);
}

static int post_many(unsigned count)
{
    struct strbuf body = STRBUF_INIT(1 << 20);
    strbuf_addch(&body, '[');
    for (unsigned i = 0; i < count; i++) {
        strbuf_addc(&body, i != 0 ? "," METRIC : METRIC);
    }
    strbuf_addch(&body, ']');
    int status = post("/api/events", body.at);
    strbuf_deinit(&body);
    return status;
}

static void limits_the_number_of_events(void **state)
{
    (void)state;
    assert_int_equal(post_many(STORE_BATCH_MAX), 202);
    assert_int_equal(post_many(STORE_BATCH_MAX + 1), 413);
    assert_code("too_large");
}

static void limits_the_body(void **state)
{
    (void)state;
    static char body[1024 * 1024 + 2];
    memset(body, ' ', sizeof(body) - 1);
    memcpy(body, ALERT, sizeof(ALERT) - 1);
    body[sizeof(body) - 1] = '\0';
    assert_int_equal(post("/api/events", body), 413);
    body[sizeof(body) - 2] = '\0';
    assert_int_equal(post("/api/events", body), 202);
}

static void replays_a_known_key(void **state)
{
    (void)state;
    static const char key[] = "Idempotency-Key: one\r\n";
    assert_int_equal(ask_with("POST", "/api/events", key, ALERT), 202);
    char first[200];
    (void)snprintf(first, sizeof(first), "%s", answer.body);
    assert_int_equal(ask_with("POST", "/api/events", key, ALERT), 202);
    assert_string_equal(answer.body, first);
    assert_int_equal(ask_with("POST", "/api/events", key, METRIC), 422);
    assert_code("idempotency_mismatch");
    /* Somebody else's key is another key. */
    assert_int_equal(
        ask_with("POST", "/api/events",
                 "Idempotency-Key: one\r\n"
                 "Authorization: Bearer " FAKE_TOKEN("ingest") "\r\n",
                 METRIC),
        202);
    json_t *l = list("/api/events", "events");
    assert_int_equal(json_array_size(l), 2);
    json_decref(l);
    assert_int_equal(
        ask_with("POST", "/api/events", "Idempotency-Key:\r\n", ALERT), 400);
}

static void tells_why_it_could_not_store(void **state)
{
    (void)state;
    static const struct {
        int result;
        int status;
        const char *code;
        const char *retry_after;
    } cases[] = {
        {-EAGAIN, 503, "queue_full", "1"},
        {-ECANCELED, 503, "stopping", "1"},
        {-ENOSPC, 507, "disk_full", NULL},
        {-EIO, 503, "store_failed", "1"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        fake.ingest_result = cases[i].result;
        assert_int_equal(post("/api/events", ALERT), cases[i].status);
        assert_code(cases[i].code);
        const char *after = raw_field(&answer, "Retry-After");
        assert_int_equal(after != NULL, cases[i].retry_after != NULL);
        assert_int_equal(post("/api/v2/alerts", "[{\"labels\":{\"a\":\"b\"}}]"),
                         cases[i].status);
    }
}

/* ---- reading
 * --------------------------------------------------------------------- */

static void filters_and_pages(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(post("/api/events", ALERT), 202);
        assert_int_equal(post("/api/events", METRIC), 202);
    }
    json_t *l = list("/api/events?type=alert", "events");
    assert_int_equal(json_array_size(l), 5);
    json_decref(l);
    l = list("/api/events?type=alert&status=processed", "events");
    assert_int_equal(json_array_size(l), 0);
    json_decref(l);
    json_int_t below = 1000;
    size_t seen = 0;
    char path[100] = "/api/events?limit=3";
    for (;;) {
        assert_int_equal(get(path), 200);
        json_t *page = json();
        json_t *event = NULL;
        size_t i = 0;
        json_array_foreach (json_object_get(page, "events"), i, event) {
            assert_true(number_of(event, "seq") < below);
            below = number_of(event, "seq");
            seen++;
        }
        json_t *next = json_object_get(page, "next_cursor");
        if (json_is_null(next)) {
            json_decref(page);
            break;
        }
        assert_int_equal(i, 3);
        (void)snprintf(path, sizeof(path), "/api/events?limit=3&cursor=%s",
                       json_string_value(next));
        json_decref(page);
    }
    assert_int_equal(seen, 10);
}

static size_t count_of(const char *path)
{
    json_t *l = list(path, "events");
    size_t n = json_array_size(l);
    json_decref(l);
    return n;
}

/* The manual's exports and counts must not stop at a page in silence. */
static void since_without_limit_is_an_export(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(post_many(100), 202);
    }
    assert_int_equal(count_of("/api/events"), 50);
    assert_int_equal(count_of("/api/events?since=1h&limit=20"), 20);
    assert_int_equal(count_of("/api/events?limit=299"), 299);
}

static void unknown_event_is_not_found(void **state)
{
    (void)state;
    assert_int_equal(get("/api/events/evt-00000000000000000000000000"), 404);
    assert_code("not_found");
}

/* ---- Alertmanager
 * ------------------------------------------------------------------ */

#define WEBHOOK(status)                                                        \
    "{\"version\":\"4\",\"groupKey\":\"{}:{}\",\"truncatedAlerts\":0,"         \
    "\"status\":\"" status "\",\"receiver\":\"adp\",\"groupLabels\":{},"       \
    "\"commonLabels\":{},\"commonAnnotations\":{},"                            \
    "\"externalURL\":\"http://am\",\"alerts\":[{\"status\":\"" status "\","    \
    "\"labels\":{\"alertname\":\"Disk\",\"instance\":\"web-1\"},"              \
    "\"annotations\":{},\"startsAt\":\"2026-11-24T00:00:00Z\","                \
    "\"endsAt\":\"0001-01-01T00:00:00Z\",\"generatorURL\":\"\","               \
    "\"fingerprint\":\"0123456789abcdef\"}]}"

static void takes_the_webhook_once(void **state)
{
    (void)state;
    assert_int_equal(post("/api/events/alertmanager", WEBHOOK("firing")), 202);
    assert_non_null(strstr(answer.body, "\"deduplicated\":0"));
    assert_int_equal(post("/api/events/alertmanager", WEBHOOK("firing")), 202);
    assert_non_null(strstr(answer.body, "\"deduplicated\":1"));
    assert_int_equal(post("/api/events/alertmanager", "{\"version\":\"4\"}"),
                     400);
    assert_code("event_invalid");
    assert_int_equal(post("/api/events/alertmanager", "{"), 400);
    assert_code("bad_json");
}

static void takes_what_is_fit_of_a_webhook(void **state)
{
    (void)state;
    assert_int_equal(
        post("/api/events/alertmanager",
             "{\"version\":\"4\",\"truncatedAlerts\":3,\"alerts\":["
             "{\"status\":\"firing\",\"labels\":{\"alertname\":\"A\"}},"
             "{\"status\":\"firing\",\"labels\":{}}]}"),
        202);
    json_t *j = json();
    assert_int_equal(json_integer_value(json_object_get(j, "count")), 1);
    assert_int_equal(json_integer_value(json_object_get(j, "refused")), 1);
    assert_int_equal(json_integer_value(json_object_get(j, "truncated")), 3);
    assert_int_equal(json_array_size(json_object_get(j, "errors")), 1);
    json_decref(j);
    assert_non_null(strstr(fake.warning, "truncatedAlerts"));
    assert_int_equal(get("/metrics"), 200);
    assert_non_null(strstr(answer.body, "alerts_truncated_total 3"));
    assert_non_null(strstr(answer.body, "refused_total{reason=\"invalid\"} 1"));
}

/* Values on which each filter stays just below its own limit. */
static void filters_have_a_budget_together(void **state)
{
    (void)state;
    struct strbuf text = STRBUF_INIT(1024UL * 1024);
    for (int n = 0; n < 3; n++) {
        strbuf_reset(&text);
        for (int i = 0; i < 900; i++) {
            strbuf_addf(&text,
                        "%s{\"labels\":{\"alertname\":\"a%d\","
                        "\"v\":\"aaaaaaaaaaaaa\"}}",
                        i == 0 ? "[" : ",", 1000 * n + i);
        }
        strbuf_addch(&text, ']');
        assert_int_equal(ask_with("POST", "/api/v2/alerts",
                                  "Content-Type: application/json\r\n",
                                  text.at),
                         200);
    }
    strbuf_reset(&text);
    strbuf_addc(&text, "/api/v2/alerts?");
    for (int i = 0; i < 32; i++) {
        strbuf_addc(&text, "filter=v!~%22(a%2B)%2B%5Bbc%5D%22&");
    }
    text.at[text.len - 1] = '\0';
    assert_int_equal(get(text.at), 400);
    assert_non_null(strstr(answer.body, "take too long"));
    fake.status.stopping = true;
    assert_int_equal(get(text.at), 503);
    strbuf_deinit(&text);
}

static void speaks_alertmanagers_api(void **state)
{
    (void)state;
    static const char json_type[] = "Content-Type: application/json\r\n";
    assert_int_equal(
        ask_with("POST", "/api/v2/alerts", json_type,
                 "[{\"labels\":{\"alertname\":\"A\",\"severity\":\"x\"}},"
                 "{\"labels\":{\"alertname\":\"B\"}}]"),
        200);
    assert_string_equal(answer.body, "");
    assert_int_equal(get("/api/v2/alerts"), 200);
    json_t *j = json();
    assert_int_equal(json_array_size(j), 2);
    json_decref(j);
    assert_int_equal(
        get("/api/v2/alerts?active=true&inhibited=false&silenced=false&"
            "unprocessed=false&filter=severity%3Dx"),
        200);
    j = json();
    assert_int_equal(json_array_size(j), 1);
    assert_string_equal(
        text_of(json_object_get(json_array_get(j, 0), "labels"), "alertname"),
        "A");
    json_decref(j);
    assert_int_equal(get("/api/v2/alerts?active=false"), 200);
    assert_string_equal(answer.body, "[]");
    assert_int_equal(get("/api/v2/alerts?receiver=other"), 200);
    assert_string_equal(answer.body, "[]");
    assert_int_equal(get("/api/v2/alerts?receiver=auto.*"), 200);
    assert_string_not_equal(answer.body, "[]");
    assert_int_equal(get("/api/v2/alerts?filter=%7Bx"), 400);
    j = json_loads(answer.body, JSON_DECODE_ANY, NULL);
    assert_true(json_is_string(j));
    json_decref(j);
    assert_int_equal(get("/api/v2/alerts/groups"), 200);
    j = json();
    assert_int_equal(
        json_array_size(json_object_get(json_array_get(j, 0), "alerts")), 2);
    json_decref(j);
    assert_int_equal(get("/api/v2/status"), 200);
    j = json();
    assert_non_null(json_object_get(j, "versionInfo"));
    json_decref(j);
    assert_int_equal(get("/api/v2/receivers"), 200);
    assert_int_equal(get("/api/v2/silences?filter=a%3Db"), 200);
    assert_string_equal(answer.body, "[]");
}

static void refuses_alerts_as_alertmanager_does(void **state)
{
    (void)state;
    static const struct {
        const char *type;
        const char *body;
        int status;
        const char *text;
    } bad[] = {
        {"application/json", "[{", 400, "\"code\":400"},
        {"text/plain", "[]", 415, "\"code\":415"},
        {"application/json", "{}", 422, "\"code\":602"},
        {"application/json", "[{}]", 422, "\"code\":602"},
        {"application/json", "[{\"labels\":{}}]", 400, "\""},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        char fields[100];
        (void)snprintf(fields, sizeof(fields), "Content-Type: %s\r\n",
                       bad[i].type);
        if (ask_with("POST", "/api/v2/alerts", fields, bad[i].body) !=
                bad[i].status ||
            strstr(answer.body, bad[i].text) == NULL) {
            fail_msg("%s: %s", bad[i].body, answer.text);
        }
    }
    assert_int_equal(
        post("/api/v2/alerts", "[{\"labels\":{}},{\"labels\":{\"a\":\"b\"}}]"),
        400);
    assert_int_equal(get("/api/v2/alerts"), 200);
    assert_non_null(strstr(answer.body, "\"a\":\"b\"")); /* kept all the same */
}

/* ---- memory
 * -------------------------------------------------------------------- */

#define LARGE_TEXT_BYTES (200UL * 1024)
#define LARGE_EVENTS 90 /* more than API_LIST_MAX_BYTES together */
#define SLOW_READERS_MAX 50

static void post_large_events(void)
{
    char *event = mem_alloc(LARGE_TEXT_BYTES + 100, 1);
    int n = snprintf(event, 100, "{\"type\":\"test\",\"payload\":{\"text\":\"");
    memset(event + n, 'x', LARGE_TEXT_BYTES);
    (void)snprintf(event + n + LARGE_TEXT_BYTES, 10, "\"}}");
    for (int i = 0; i < LARGE_EVENTS; i++) {
        if (post("/api/events", event) != 202) {
            fail_msg("%s", answer.body);
        }
    }
    mem_free(event);
}

/* Asks for everything and does not read the answer. */
static int slow_reader(void)
{
    static const char request[] =
        "GET /api/events?limit=1000 HTTP/1.1\r\nHost: localhost\r\n"
        "Authorization: Bearer " FAKE_TOKEN("read") "\r\n\r\n";
    int fd = raw_connect(fake.port);
    assert_true(raw_send(fd, request, sizeof(request) - 1));
    struct pollfd p = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&p, 1, RAW_PATIENCE_MS), 1);
    return fd;
}

static int ask_for_few(void)
{
    return ask_with("GET", "/api/runbooks",
                    "Authorization: Bearer " FAKE_TOKEN("read") "\r\n", NULL);
}

static void slow_readers_do_not_fill_the_memory(void **state)
{
    (void)state;
    int fds[SLOW_READERS_MAX];
    size_t count = 0;
    post_large_events();
    while (ask_for_few() == 200) {
        assert_true(count < SLOW_READERS_MAX);
        fds[count++] = slow_reader();
    }
    assert_int_equal(answer.status, 503);
    assert_code("busy");
    assert_string_equal(raw_field(&answer, "Retry-After"), "1");
    assert_true(http_answer_bytes(fake.http) <
                API_ANSWERS_MAX_BYTES + 4 * API_LIST_MAX_BYTES);
    /* An administrator of this machine can see what is the matter. */
    assert_int_equal(get("/api/runbooks"), 200);
    while (count != 0) {
        close(fds[--count]);
    }
    for (int i = 0; http_answer_bytes(fake.http) != 0; i++) {
        assert_true(i < RAW_PATIENCE_MS);
        usleep(1000);
    }
    assert_int_equal(ask_for_few(), 200);
}

/* The whole body of an answer that is larger than `answer` can hold. */
static json_t *get_large(const char *path)
{
    struct strbuf all = STRBUF_INIT(HTTP_ANSWER_MAX_BYTES);
    static char piece[64 * 1024];
    int n = snprintf(piece, sizeof(piece),
                     "GET %s HTTP/1.1\r\nHost: localhost\r\n"
                     "Connection: close\r\n\r\n",
                     path);
    int fd = raw_connect(fake.port);
    assert_true(raw_send(fd, piece, (size_t)n));
    for (ssize_t got = 1; got > 0;) {
        got = recv(fd, piece, sizeof(piece), 0);
        strbuf_add(&all, str_n(piece, got > 0 ? (size_t)got : 0));
    }
    close(fd);
    assert_int_equal(strbuf_error(&all), 0);
    assert_true(all.len < API_LIST_MAX_BYTES + 2 * LARGE_TEXT_BYTES);
    const char *body = strstr(all.at, "\r\n\r\n");
    assert_non_null(body);
    json_t *page = json_loads(body + 4, 0, NULL);
    assert_non_null(page);
    strbuf_deinit(&all);
    return page;
}

static void a_large_list_ends_early_and_says_where_it_goes_on(void **state)
{
    (void)state;
    post_large_events();
    json_t *first = get_large("/api/events?limit=1000");
    size_t seen = json_array_size(json_object_get(first, "events"));
    const char *cursor =
        json_string_value(json_object_get(first, "next_cursor"));
    assert_non_null(cursor);
    assert_true(seen < LARGE_EVENTS);
    char path[200];
    (void)snprintf(path, sizeof(path), "/api/events?limit=1000&cursor=%s",
                   cursor);
    json_t *second = get_large(path);
    seen += json_array_size(json_object_get(second, "events"));
    assert_true(json_is_null(json_object_get(second, "next_cursor")));
    assert_int_equal(seen, LARGE_EVENTS);
    json_decref(first);
    json_decref(second);
}

/* ---- the stream
 * -------------------------------------------------------------------- */

static void streams_what_is_accepted(void **state)
{
    (void)state;
    static const char request[] = "GET /api/stream HTTP/1.1\r\n"
                                  "Host: localhost\r\n\r\n";
    static struct raw_answer stream;
    int fd = raw_connect(fake.port);
    assert_true(raw_send(fd, request, sizeof(request) - 1));
    memset(&stream, 0, sizeof(stream));
    while (strstr(stream.text, "retry:") == NULL) {
        assert_true(raw_more(fd, &stream));
    }
    assert_int_equal(post("/api/events", ALERT), 202);
    while (strstr(stream.text, "HighMemoryUsage") == NULL) {
        assert_true(raw_more(fd, &stream));
    }
    assert_non_null(strstr(stream.text, "event: event"));
    close(fd);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fake_start, fake_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(accepts_one_event),
        CASE(accepts_lists),
        CASE(takes_a_pretty_printed_event),
        CASE(says_what_is_wrong),
        CASE(names_the_bad_entry_of_a_list),
        CASE(limits_the_number_of_events),
        CASE(limits_the_body),
        CASE(replays_a_known_key),
        CASE(tells_why_it_could_not_store),
        CASE(filters_and_pages),
        CASE(since_without_limit_is_an_export),
        CASE(unknown_event_is_not_found),
        CASE(takes_the_webhook_once),
        CASE(takes_what_is_fit_of_a_webhook),
        CASE(filters_have_a_budget_together),
        CASE(speaks_alertmanagers_api),
        CASE(refuses_alerts_as_alertmanager_does),
        CASE(slow_readers_do_not_fill_the_memory),
        CASE(a_large_list_ends_early_and_says_where_it_goes_on),
        CASE(streams_what_is_accepted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
