/*
 * Who may do what, over real sockets: the matrix of every route with every
 * identity is made from the route table.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <grp.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "api/api_priv.h"
#include "data/timestamp.h"
#include "os/clock.h"
#include "tests/unit/api/fake.h"

/* No id that exists: what is allowed then says 404, not 401 or 403. */
static void path_of(const struct route *r, char path[200])
{
    const char *id = strstr(r->path, "{id}");
    if (id == NULL) {
        (void)snprintf(path, 200, "%s", r->path);
        return;
    }
    char text[ID_TEXT_SIZE];
    id_format(id_floor(1), r->id_prefix, text);
    (void)snprintf(path, 200, "%.*s%s%s", (int)(id - r->path), r->path, text,
                   id + 4);
}

/* The status only: the stream does not end by itself. */
static int status_of(const struct route *r, const char *fields)
{
    char path[200];
    char request[1000];
    path_of(r, path);
    int n = snprintf(request, sizeof(request),
                     "%s %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n",
                     http_method_name(r->method), path, fields);
    int fd = raw_connect(fake.port);
    assert_true(raw_send(fd, request, (size_t)n));
    memset(&answer, 0, sizeof(answer));
    while (strstr(answer.text, "\r\n\r\n") == NULL && raw_more(fd, &answer)) {
    }
    close(fd);
    return (int)strtol(answer.text + 9, NULL, 10);
}

#define PROXIED "X-Forwarded-For: 192.0.2.1\r\n"

static void expect(const struct route *r, const char *who, const char *fields,
                   int refusal)
{
    int status = status_of(r, fields);
    bool refused = status == 401 || status == 403;
    if (refusal != 0 ? status != refusal : refused) {
        fail_msg("%s %s as %s: %d", http_method_name(r->method), r->path, who,
                 status);
    }
}

static void matrix(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint32_t scopes;
    } identities[] = {{"read", API_READ},
                      {"ingest", API_INGEST},
                      {"execute", API_EXECUTE},
                      {"admin", API_ADMIN},
                      {"nothing", 0}};
    for (size_t i = 0; i < route_count; i++) {
        const struct route *r = &routes[i];
        bool public = r->scope == SCOPE_PUBLIC;
        expect(r, "a stranger", PROXIED, public ? 0 : 401);
        expect(r, "this user", "", 0);
        for (size_t k = 0; k < ARRAY_LEN(identities); k++) {
            char fields[200];
            (void)snprintf(fields, sizeof(fields),
                           "Authorization: Bearer "
                           "token-for-%s-0123456789\r\n",
                           identities[k].name);
            bool may =
                public || (identities[k].scopes & scope_bit(r->scope)) != 0;
            expect(r, identities[k].name, fields, may ? 0 : 403);
        }
    }
}

static void wrong_tokens_open_nothing(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "Authorization: Bearer wrong\r\n",
        "Authorization: Bearer \r\n",
        "Authorization: Bearer\r\n",
        "Authorization: Basic cm9vdDpyb290\r\n",
        "Authorization: " FAKE_TOKEN("read") "\r\n",
        "Authorization: Bearer " FAKE_TOKEN("read") "x\r\n",
        "Authorization:\r\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        if (ask_with("GET", "/api/health", wrong[i], NULL) != 401) {
            fail_msg("%s", wrong[i]);
        }
        assert_code("unauthenticated");
        assert_string_equal(raw_field(&answer, "WWW-Authenticate"), "Bearer");
    }
    assert_int_equal(
        ask_with("GET", "/api/health",
                 "Authorization: bearer " FAKE_TOKEN("read") "\r\n", NULL),
        200);
}

static int ask_token(const char *token)
{
    char fields[200];
    (void)snprintf(fields, sizeof(fields), "Authorization: Bearer %s\r\n",
                   token);
    return ask_with("GET", "/api/health", fields, NULL);
}

static void guessing_is_slowed_and_locks_nobody_out(void **state)
{
    (void)state;
    int status = 0;
    for (int i = 0; i < 30; i++) {
        status = ask_token("guess");
        assert_true(status == 429 || (i < 10 && status == 401));
    }
    assert_int_equal(status, 429);
    assert_code("too_many_failures");
    assert_string_equal(raw_field(&answer, "Retry-After"), "6");
    /* Who has the right one, or needs none, is let in. */
    assert_int_equal(ask_token(FAKE_TOKEN("read")), 200);
    assert_int_equal(get("/api/health"), 200);
    assert_int_equal(ask_token("guess"), 429);
}

static void suffix_of_a_public_path_opens_nothing(void **state)
{
    (void)state;
    static const char *const paths[] = {
        "/api/events/-/healthy",
        "/api/events%2f..%2f-/healthy",
        "/-/healthy/../../api/events",
        "/-/ready/..;/api/events",
        "//api/events",
        "/api//events",
        "/./api/events",
        "/api/events%00/-/ready",
        "/api/events\\x",
        "/api/%65vents/x",
        "/-/healthy?/api/events",
        "/api/events/",
        "/API/EVENTS",
        "/api/events;x=/-/healthy",
    };
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        int status = ask_with("GET", paths[i], PROXIED, NULL);
        if (status != 400 && status != 401 && status != 404) {
            fail_msg("%s: %d", paths[i], status);
        }
    }
    assert_int_equal(ask_with("GET", "/api/%65vents", PROXIED, NULL), 401);
    assert_int_equal(get("/api/%65vents"), 200);
}

static void checks_host_and_origin(void **state)
{
    (void)state;
    int n = raw_ask(fake.port,
                    "GET /-/healthy HTTP/1.1\r\nHost: evil.example\r\n\r\n",
                    &answer);
    assert_int_equal(n, 403);
    assert_code("bad_host");
    assert_int_equal(
        ask_with("GET", "/api/health", "Origin: http://evil.example\r\n", NULL),
        403);
    assert_code("bad_origin");
    assert_int_equal(ask_with("POST", "/api/events", "Origin: null\r\n", "{}"),
                     403);
    assert_int_equal(
        ask_with("GET", "/api/health", "Sec-Fetch-Site: cross-site\r\n", NULL),
        403);
    assert_int_equal(ask_with("GET", "/api/health",
                              "Origin: http://localhost:9000\r\n", NULL),
                     200);
    assert_null(raw_field(&answer, "Access-Control-Allow-Origin"));
}

static void browsers_must_send_json(void **state)
{
    (void)state;
    const char *event = "{\"type\":\"alert\"}";
    assert_int_equal(ask_with("POST", "/api/events",
                              "Origin: http://localhost:9000\r\n"
                              "Content-Type: text/plain\r\n",
                              event),
                     415);
    assert_code("unsupported_media_type");
    assert_int_equal(ask_with("POST", "/api/events",
                              "Origin: http://localhost:9000\r\n", event),
                     415);
    assert_int_equal(ask_with("POST", "/api/events",
                              "Origin: http://localhost:9000\r\n"
                              "Content-Type: application/json;charset=utf-8"
                              "\r\n",
                              event),
                     202);
    assert_int_equal(ask_with("POST", "/api/events",
                              "Content-Type: "
                              "application/x-www-form-urlencoded\r\n",
                              event),
                     202);
}

static void says_what_is_wrong_with_the_path(void **state)
{
    (void)state;
    assert_int_equal(get("/nowhere"), 404);
    assert_code("not_found");
    assert_int_equal(ask_with("DELETE", "/api/events", "", NULL), 405);
    assert_code("method_not_allowed");
    assert_string_equal(raw_field(&answer, "Allow"), "GET, HEAD, POST");
    assert_int_equal(ask_with("TRACE", "/api/events", "", NULL), 405);
    assert_int_equal(ask_with("OPTIONS", "/api/events", "", NULL), 405);
    assert_int_equal(get("/api/events/evt-nonsense"), 404);
    assert_int_equal(get("/api/events/wf-00000000000000000000000000"), 404);
}

static void checks_every_parameter(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        const char *code;
    } bad[] = {
        {"/api/events?x=1", "unknown_parameter"},
        {"/api/events?Limit=1", "unknown_parameter"},
        {"/api/health?limit=1", "unknown_parameter"},
        {"/api/events?limit=0", "out_of_range"},
        {"/api/events?limit=100001", "out_of_range"},
        {"/api/events/recent?limit=1001", "out_of_range"},
        {"/api/events?limit=99999999999999999999", "out_of_range"},
        {"/api/events?limit=-1", "bad_request"},
        {"/api/events?limit=+1", "bad_request"},
        {"/api/events?limit=1e3", "bad_request"},
        {"/api/events?limit=0x10", "bad_request"},
        {"/api/events?limit=%20"
         "1",
         "bad_request"},
        {"/api/events?limit=", "bad_request"},
        {"/api/events?limit=1&limit=2", "bad_request"},
        {"/api/events?limit=%D9%A1", "bad_request"},
        {"/api/events?status=nope", "bad_request"},
        {"/api/events?since=yesterday", "bad_request"},
        {"/api/events?since=367d", "out_of_range"},
        {"/api/workflows?since=99999d", "out_of_range"},
        {"/api/events?since=0", "out_of_range"},
        {"/api/events?since=2001-01-01T00:00:00Z", "out_of_range"},
        {"/api/events?cursor=x", "bad_request"},
        {"/api/workflows?event=wf-1", "bad_request"},
        {"/api/workflows?status=", "bad_request"},
        {"/api/v2/alerts?active=perhaps", "bad_request"},
        {"/api/events?type=%ff", "bad_request"},
        {"/api/events?type=%00", "bad_request"},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (get(bad[i].path) != 400 ||
            strstr(answer.body, bad[i].code) == NULL) {
            fail_msg("%s: %s", bad[i].path, answer.text);
        }
    }
    assert_int_equal(get("/api/events?limit=10000&since=30d"), 200);
    assert_int_equal(get("/api/workflows?since=366d"), 200);
    assert_int_equal(get("/api/workflows?since=90d"), 200);
    char recent[100];
    char text[TIMESTAMP_TEXT_SIZE];
    timestamp_format(os_epoch_ms() - 3600000, text);
    (void)snprintf(recent, sizeof(recent), "/api/events?since=%s", text);
    assert_int_equal(get(recent), 200);
    (void)snprintf(recent, sizeof(recent),
                   "/api/events?status=error&since=%llu",
                   (unsigned long long)os_epoch_ms() / 1000 - 3600);
    assert_int_equal(get(recent), 200);
}

/* ---- local users
 * ------------------------------------------------------------------ */

static int status_as(uid_t uid)
{
    pid_t pid = fork();
    if (pid == 0) {
        if (setgroups(0, NULL) < 0 || setresuid(uid, uid, uid) < 0) {
            _exit(0);
        }
        _exit(get("/api/health") == 401 ? 41 : 20);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void other_local_users_are_strangers(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        skip();
    }
    assert_int_equal(status_as(0), 20);
    assert_int_equal(status_as(65534), 41);
}

static void requests_name_who_asked(void **state)
{
    (void)state;
    char expected[32];
    (void)snprintf(expected, sizeof(expected), "uid:%u", (unsigned)getuid());
    assert_int_equal(post("/api/admin/reload-runbooks", NULL), 200);
    assert_string_equal(fake.requested_by, expected);
    assert_int_equal(
        ask_with("POST", "/api/admin/reload-runbooks",
                 "Authorization: Bearer " FAKE_TOKEN("admin") "\r\n", NULL),
        200);
    assert_string_equal(fake.requested_by, "token:admin");
}

static void answers_are_counted_and_closed_doors_too(void **state)
{
    (void)state;
    assert_int_equal(ask_with("POST", "/api/events", PROXIED, "{}"), 401);
    assert_int_equal(get("/metrics"), 200);
    assert_non_null(strstr(answer.body, "4xx"));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fake_start, fake_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(matrix),
        CASE(wrong_tokens_open_nothing),
        CASE(guessing_is_slowed_and_locks_nobody_out),
        CASE(suffix_of_a_public_path_opens_nothing),
        CASE(checks_host_and_origin),
        CASE(browsers_must_send_json),
        CASE(says_what_is_wrong_with_the_path),
        CASE(checks_every_parameter),
        CASE(other_local_users_are_strangers),
        CASE(requests_name_who_asked),
        CASE(answers_are_counted_and_closed_doors_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
