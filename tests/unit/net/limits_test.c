#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ifaddrs.h>

#include "tests/unit/net/fixture.h"

/* ---- framing
 * ------------------------------------------------------------------ */

static const struct {
    const char *what;
    const char *request;
    int status;
} malformed[] = {
    {"no host", "GET / HTTP/1.1\r\n\r\n", 400},
    {"no host, 1.0", "GET / HTTP/1.0\r\n\r\n", 400},
    {"empty host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", 400},
    {"two hosts", "GET / HTTP/1.1\r\n" HEAD HEAD "\r\n", 400},
    {"two different hosts",
     "GET / HTTP/1.1\r\n" HEAD "Host: evil.example\r\n\r\n", 400},
    {"version 2", "GET / HTTP/2.0\r\n" HEAD "\r\n", 505},
    {"absolute form", "GET http://localhost/ HTTP/1.1\r\n" HEAD "\r\n", 400},
    {"asterisk", "OPTIONS * HTTP/1.1\r\n" HEAD "\r\n", 400},
    {"authority", "CONNECT localhost:80 HTTP/1.1\r\n" HEAD "\r\n", 400},
    {"raw byte in target", "GET /\xC3\xA4 HTTP/1.1\r\n" HEAD "\r\n", 400},
    {"fragment", "GET /a#b HTTP/1.1\r\n" HEAD "\r\n", 400},
    {"two lengths",
     "POST / HTTP/1.1\r\n" HEAD
     "Content-Length: 1\r\nContent-Length: 1\r\n\r\nx",
     400},
    {"length and chunked",
     "POST / HTTP/1.1\r\n" HEAD "Content-Length: 5\r\n"
     "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     400},
    {"chunked twice",
     "POST / HTTP/1.1\r\n" HEAD "Transfer-Encoding: chunked\r\n"
     "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     400},
    {"gzip, chunked",
     "POST / HTTP/1.1\r\n" HEAD
     "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
     501},
    {"chunked, 1.0",
     "POST / HTTP/1.0\r\n" HEAD "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     400},
    {"length not a number",
     "POST / HTTP/1.1\r\n" HEAD "Content-Length: 1x\r\n\r\nx", 400},
    {"negative length",
     "POST / HTTP/1.1\r\n" HEAD "Content-Length: -1\r\n\r\nx", 400},
    {"length with a sign",
     "POST / HTTP/1.1\r\n" HEAD "Content-Length: +1\r\n\r\nx", 400},
    {"coding",
     "POST / HTTP/1.1\r\n" HEAD
     "Content-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx",
     415},
    {"expectation",
     "POST / HTTP/1.1\r\n" HEAD
     "Expect: 200-maybe\r\nContent-Length: 1\r\n\r\nx",
     417},
    {"body of a GET", "GET / HTTP/1.1\r\n" HEAD "Content-Length: 1\r\n\r\nx",
     400},
    {"two authorizations",
     "GET / HTTP/1.1\r\n" HEAD
     "Authorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n",
     400},
    {"two origins", "GET / HTTP/1.1\r\n" HEAD "Origin: a\r\nOrigin: b\r\n\r\n",
     400},
};

/* Refused, never handed on, and nothing behind it is taken for a request. */
static void refuses_ambiguous_framing(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(malformed); i++) {
        char request[2000];
        int n = snprintf(request, sizeof(request),
                         "%sGET /smuggled HTTP/1.1\r\n" HEAD "\r\n",
                         malformed[i].request);
        int fd = raw_connect(fix.port);
        assert_true(raw_send(fd, request, (size_t)n));
        memset(&answer, 0, sizeof(answer));
        while (raw_more(fd, &answer)) {
        }
        close(fd);
        int status = (int)strtol(answer.text + 9, NULL, 10);
        if (status != malformed[i].status ||
            strstr(answer.text, "smuggled") != NULL) {
            fail_msg("%s: %s", malformed[i].what, answer.text);
        }
    }
    assert_int_equal(atomic_load(&fix.handled), 0);
}

static void refuses_lines_that_are_no_http(void **state)
{
    (void)state;
    static const char *const requests[] = {
        "GET /\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : localhost\r\n\r\n",
        "GET / HTTP/1.1\r\nno colon\r\nHost: localhost\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\xFC\x03\x03\r\n\r\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        int fd = raw_connect(fix.port);
        (void)raw_send(fd, requests[i], strlen(requests[i]));
        (void)shutdown(fd, SHUT_WR);
        raw_read(fd, &answer);
        close(fd);
        if (answer.status == 200) {
            fail_msg("%s: %s", requests[i], answer.text);
        }
    }
    assert_int_equal(atomic_load(&fix.handled), 0);
}

/* ---- limits
 * --------------------------------------------------------------------- */

static int ask_with_target(size_t len)
{
    char *request = mem_alloc(len + 200, 1);
    size_t n = (size_t)snprintf(request, 200, "GET /");
    memset(request + n, 'a', len - 1);
    n += len - 1;
    n += (size_t)snprintf(request + n, 100, " HTTP/1.1\r\n" HEAD "\r\n");
    int status = raw_ask_n(fix.port, request, n, &answer);
    mem_free(request);
    return status;
}

static void limits_the_target(void **state)
{
    (void)state;
    assert_int_equal(ask_with_target(HTTP_TARGET_MAX_BYTES), 200);
    assert_int_equal(ask_with_target(HTTP_TARGET_MAX_BYTES + 1), 414);
}

static int ask_with_headers(unsigned count, size_t each)
{
    char *request = mem_alloc(count * (each + 20) + 200, 1);
    size_t n = (size_t)snprintf(request, 200, "GET /h HTTP/1.1\r\n" HEAD);
    for (unsigned i = 1; i < count; i++) {
        n += (size_t)snprintf(request + n, 20, "X-%04u: ", i);
        memset(request + n, 'v', each);
        n += each;
        memcpy(request + n, "\r\n", 2);
        n += 2;
    }
    memcpy(request + n, "\r\n", 2);
    int status = raw_ask_n(fix.port, request, n + 2, &answer);
    mem_free(request);
    return status;
}

static void limits_the_headers(void **state)
{
    (void)state;
    assert_int_equal(ask_with_headers(HTTP_HEADERS_MAX, 10), 200);
    assert_int_equal(ask_with_headers(HTTP_HEADERS_MAX + 1, 10), 431);
    assert_int_equal(ask_with_headers(9, 4000 - 12), 200);
    assert_int_equal(ask_with_headers(10, 4000 - 12), 431);
    assert_int_equal(ask_with_headers(100, 4000), 431);
    assert_int_equal(ask_with_headers(2, HTTP_HEADER_MAX_BYTES - 6), 200);
    assert_int_equal(ask_with_headers(2, HTTP_HEADER_MAX_BYTES - 5), 431);
}

static int ask_with_body(const char *path, size_t len, bool chunked)
{
    char *request = mem_alloc(len + 400, 1);
    size_t n = 0;
    if (chunked) {
        n = (size_t)snprintf(request, 200,
                             "POST %s HTTP/1.1\r\n" HEAD
                             "Transfer-Encoding: chunked\r\n\r\n%zx\r\n",
                             path, len);
    } else {
        n = (size_t)snprintf(request, 200,
                             "POST %s HTTP/1.1\r\n" HEAD
                             "Content-Length: %zu\r\n\r\n",
                             path, len);
    }
    memset(request + n, 'b', len);
    n += len;
    if (chunked) {
        memcpy(request + n, "\r\n0\r\n\r\n", 7);
        n += 7;
    }
    int status = raw_ask_n(fix.port, request, n, &answer);
    mem_free(request);
    return status;
}

static void limits_the_body(void **state)
{
    (void)state;
    for (int chunked = 0; chunked < 2; chunked++) {
        assert_int_equal(ask_with_body("/b", BODY_LIMIT, chunked), 200);
        assert_int_equal(ask_with_body("/b", BODY_LIMIT + 1, chunked), 413);
        assert_non_null(strstr(answer.body, "\"code\":\"too_large\""));
    }
    assert_int_equal(ask_with_body("/nobody", 1, false), 400);
    assert_int_equal(ask_with_body("/nobody", 0, false), 200);
}

static void endless_body_is_cut_off(void **state)
{
    (void)state;
    int fd = raw_connect(fix.port);
    static const char head[] =
        "POST /b HTTP/1.1\r\n" HEAD "Transfer-Encoding: chunked\r\n\r\n";
    static const char chunk[] = "400\r\n";
    char data[1024 + 2];
    memset(data, 'x', sizeof(data));
    memcpy(data + 1024, "\r\n", 2);
    assert_true(raw_send(fd, head, sizeof(head) - 1));
    size_t sent = 0;
    while (raw_send(fd, chunk, sizeof(chunk) - 1) &&
           raw_send(fd, data, sizeof(data))) {
        sent += 1024;
        assert_true(sent < 64U * 1024 * 1024);
    }
    close(fd);
    assert_int_equal(atomic_load(&fix.handled), 0);
}

static void refused_body_leaves_the_connection_good(void **state)
{
    (void)state;
    int fd = raw_connect(fix.port);
    static const char requests[] =
        "POST /refused HTTP/1.1\r\n" HEAD "Content-Length: 4\r\n\r\nbody"
        "GET /next HTTP/1.1\r\n" HEAD "\r\n";
    assert_true(raw_send(fd, requests, sizeof(requests) - 1));
    memset(&answer, 0, sizeof(answer));
    while (strstr(answer.text, "GET /next ") == NULL) {
        assert_true(raw_more(fd, &answer));
    }
    assert_non_null(strstr(answer.text, "HTTP/1.1 403"));
    close(fd);
}

static void asks_for_the_body_only_if_it_wants_it(void **state)
{
    (void)state;
    int fd = raw_connect(fix.port);
    static const char wanted[] =
        "POST /b HTTP/1.1\r\n" HEAD "Expect: 100-continue\r\n"
        "Content-Length: 2\r\n\r\n";
    assert_true(raw_send(fd, wanted, sizeof(wanted) - 1));
    memset(&answer, 0, sizeof(answer));
    assert_true(raw_more(fd, &answer));
    assert_non_null(strstr(answer.text, "100 Continue"));
    assert_true(raw_send(fd, "ok", 2));
    raw_read(fd, &answer);
    assert_int_equal(answer.status, 200);
    close(fd);
    assert_int_equal(ask("POST /b HTTP/1.1\r\n" HEAD "Expect: 100-continue\r\n"
                         "Content-Length: 100000\r\n\r\n"),
                     413);
}

/* ---- time limits
 * ------------------------------------------------------------------ */

static int set_up_quick(void **state)
{
    (void)state;
    struct http_options o = options();
    o.limits.head_s = 1;
    o.limits.body_s = 1;
    o.limits.idle_s = 2;
    start(&o);
    return 0;
}

/* Each sends a byte now and then until the server has had enough. */
static void cuts_off_slow_clients(void **state)
{
    (void)state;
    static const char *const begun[] = {
        "",
        "GET / HTTP/1.1\r\n",
        "GET / HTTP/1.1\r\n" HEAD "X: ",
        "POST / HTTP/1.1\r\n" HEAD "Content-Length: 900\r\n\r\n",
    };
    struct pollfd fds[ARRAY_LEN(begun)];
    for (size_t i = 0; i < ARRAY_LEN(begun); i++) {
        fds[i] = (struct pollfd){.fd = raw_connect(fix.port), .events = POLLIN};
        (void)raw_send(fds[i].fd, begun[i], strlen(begun[i]));
    }
    size_t open = ARRAY_LEN(begun);
    for (int rounds = 0; open != 0; rounds++) {
        assert_true(rounds < RAW_PATIENCE_MS / 100);
        (void)poll(fds, ARRAY_LEN(fds), 100);
        for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
            if (fds[i].fd < 0) {
                continue; /* poll() leaves these out */
            }
            if (fds[i].revents == 0) {
                (void)raw_send(fds[i].fd, "a", 1);
                continue;
            }
            assert_true(raw_ends(fds[i].fd));
            close(fds[i].fd);
            fds[i].fd = -1;
            open--;
        }
    }
    assert_int_equal(atomic_load(&fix.handled), 0);
}

/* A body byte by byte, and a large answer that nobody reads: longer limits in
 * force, only the least rate can end them. */
static void cuts_off_what_hardly_moves(void **state)
{
    (void)state;
    struct http_options o = options();
    o.limits.body_s = o.limits.send_s = o.limits.idle_s = 3600;
    start(&o);
    static const char slow[] =
        "POST /b HTTP/1.1\r\n" HEAD "Content-Length: 900\r\n\r\n";
    static const char bigger[] = "GET /bigger HTTP/1.1\r\n" HEAD "\r\n";
    int sender = raw_connect(fix.port);
    int reader = raw_connect(fix.port);
    assert_true(raw_send(sender, slow, sizeof(slow) - 1));
    assert_true(raw_send(reader, bigger, sizeof(bigger) - 1));
    struct pollfd p = {.fd = sender, .events = POLLIN};
    for (int i = 0; poll(&p, 1, 100) == 0; i++) {
        assert_true(i < RAW_PATIENCE_MS / 100);
        (void)raw_send(sender, "a", 1);
    }
    assert_true(raw_ends(sender));
    WAIT_UNTIL(http_connections(fix.server) == 0);
    close(sender);
    close(reader);
    assert_int_equal(tear_down(NULL), 0);
}

static void closes_idle_connections(void **state)
{
    (void)state;
    int fd = raw_connect(fix.port);
    static const char request[] = "GET / HTTP/1.1\r\n" HEAD "\r\n";
    assert_true(raw_send(fd, request, sizeof(request) - 1));
    raw_read(fd, &answer);
    assert_int_equal(answer.status, 200);
    assert_true(raw_ends(fd));
    close(fd);
}

static void ends_a_connection_after_so_many_requests(void **state)
{
    (void)state;
    static const char request[] = "GET / HTTP/1.1\r\n" HEAD "\r\n";
    int fd = raw_connect(fix.port);
    for (int i = 1; i <= HTTP_REQUESTS_MAX; i++) {
        assert_true(raw_send(fd, request, sizeof(request) - 1));
        raw_read(fd, &answer);
        assert_int_equal(answer.status, 200);
        assert_int_equal(raw_field(&answer, "Connection") != NULL,
                         i == HTTP_REQUESTS_MAX);
    }
    assert_true(raw_ends(fd));
    close(fd);
}

/* ---- connections
 * ------------------------------------------------------------------- */

/* An address of this machine that is not loopback: callers from there are
 * told apart by address, and no socket of theirs tells who they are. */
static bool own_address(struct sockaddr_in *ret)
{
    struct ifaddrs *all = NULL;
    bool found = false;
    assert_int_equal(getifaddrs(&all), 0);
    for (struct ifaddrs *it = all; it != NULL && !found; it = it->ifa_next) {
        if (it->ifa_addr != NULL && it->ifa_addr->sa_family == AF_INET) {
            memcpy(ret, it->ifa_addr, sizeof(*ret));
            found = ntohl(ret->sin_addr.s_addr) >> 24 != 127;
        }
    }
    freeifaddrs(all);
    return found;
}

static int connect_to(struct sockaddr_in to)
{
    to.sin_port = htons(fix.port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

static void limits_connections_of_one_source(void **state)
{
    (void)state;
    enum { MOST = 3 };
    static const char request[] = "GET /uid HTTP/1.1\r\n" HEAD "\r\n";
    struct sockaddr_in to = {0};
    int fds[MOST];
    if (!own_address(&to)) {
        skip();
    }
    struct http_options o = options();
    o.listen = "0.0.0.0:0";
    o.insecure = true;
    o.limits.per_source = MOST;
    start(&o);
    for (size_t i = 0; i < MOST; i++) {
        fds[i] = connect_to(to);
        assert_true(raw_send(fds[i], request, sizeof(request) - 1));
        raw_read(fds[i], &answer);
        assert_int_equal(answer.status, 200);
        assert_string_not_equal(answer.body, "0 0");
        assert_int_equal(answer.body[0], '-'); /* no user is known */
    }
    /* Another is refused, or gets the place of the oldest. */
    int one_more = connect_to(to);
    (void)raw_send(one_more, request, sizeof(request) - 1);
    raw_read(one_more, &answer);
    assert_true(answer.status == 0 || raw_ends(fds[0]));
    assert_true(http_connections(fix.server) <= MOST);
    close(one_more);
    /* Others are not shut out. */
    assert_int_equal(ask("GET / HTTP/1.1\r\n" HEAD "\r\n"), 200);
    for (size_t i = 0; i < MOST; i++) {
        close(fds[i]);
    }
    assert_int_equal(tear_down(NULL), 0);
}

/* ---- starting
 * ------------------------------------------------------------------------ */

static int start_error(const struct http_options *o, struct err *err)
{
    struct http_server *s = NULL;
    *err = ERR_INIT;
    int r = http_start(o, &s, err);
    http_stop(s);
    return r;
}

static void refuses_addresses_that_are_none(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",         "9000",         ":9000",           "127.0.0.1",
        "::1:9000", "[::1:9000",    "127.0.0.1:65536", "127.0.0.1:x",
        "127.1:-1", "example.org:1"};
    struct err err;
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct http_options o = options();
        o.listen = wrong[i];
        assert_int_equal(start_error(&o, &err), -EINVAL);
        assert_string_equal(err.field, "server.listen");
    }
}

static void refuses_to_be_reachable_without_protection(void **state)
{
    (void)state;
    struct err err;
    struct http_options o = options();
    o.listen = "0.0.0.0:0";
    assert_int_equal(start_error(&o, &err), -EINVAL);
    assert_non_null(strstr(err.message, "TLS and access tokens"));
    o.has_tokens = true;
    assert_int_equal(start_error(&o, &err), -EINVAL);
    assert_non_null(strstr(err.message, "needs TLS"));
    o.listen = "[::]:0";
    assert_int_equal(start_error(&o, &err), -EINVAL);
    o.insecure = true;
    o.listen = "0.0.0.0:0";
    assert_int_equal(start_error(&o, &err), 0);
}

static void tells_when_the_port_is_taken(void **state)
{
    (void)state;
    char listen[32];
    struct err err;
    struct http_options o = options();
    (void)snprintf(listen, sizeof(listen), "127.0.0.1:%u", fix.port);
    o.listen = listen;
    assert_int_equal(start_error(&o, &err), -EADDRINUSE);
    assert_non_null(strstr(err.message, listen));
}

static void tells_when_the_key_pair_is_unusable(void **state)
{
    (void)state;
    struct err err;
    struct http_options o = options();
    o.tls_certificate = "/nonexistent/cert.pem";
    assert_int_equal(start_error(&o, &err), -EINVAL);
    o.tls_key = "/nonexistent/key.pem";
    assert_int_equal(start_error(&o, &err), -ENOENT);
    o.tls_certificate = o.tls_key = "/dev/null";
    assert_int_equal(start_error(&o, &err), -EINVAL);
}

#define QUICK(name)                                                            \
    cmocka_unit_test_setup_teardown(name, set_up_quick, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(refuses_ambiguous_framing),
        QUICK(refuses_lines_that_are_no_http),
        CASE(limits_the_target),
        CASE(limits_the_headers),
        CASE(limits_the_body),
        CASE(endless_body_is_cut_off),
        CASE(refused_body_leaves_the_connection_good),
        CASE(asks_for_the_body_only_if_it_wants_it),
        QUICK(cuts_off_slow_clients),
        QUICK(closes_idle_connections),
        cmocka_unit_test(cuts_off_what_hardly_moves),
        CASE(ends_a_connection_after_so_many_requests),
        cmocka_unit_test(limits_connections_of_one_source),
        cmocka_unit_test(refuses_addresses_that_are_none),
        cmocka_unit_test(refuses_to_be_reachable_without_protection),
        CASE(tells_when_the_port_is_taken),
        cmocka_unit_test(tells_when_the_key_pair_is_unusable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
