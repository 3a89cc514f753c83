#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/net/fixture.h"

/* ---- ordinary requests --------------------------------------------------- */

static void answers(void **state)
{
    (void)state;
    assert_int_equal(ask("GET /a?b=c HTTP/1.1\r\n" HEAD "\r\n"), 200);
    assert_string_equal(answer.body, "GET /a?b=c ");
    assert_int_equal(
        ask("POST /p HTTP/1.1\r\n" HEAD "Content-Length: 5\r\n\r\nhello"), 200);
    assert_string_equal(answer.body, "POST /p hello");
    assert_int_equal(ask("POST /p HTTP/1.1\r\n" HEAD
                         "Transfer-Encoding: chunked\r\n\r\n"
                         "3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"),
                     200);
    assert_string_equal(answer.body, "POST /p hello");
    assert_int_equal(ask("GET /old HTTP/1.0\r\n" HEAD "\r\n"), 200);
}

static void adds_headers_to_every_answer(void **state)
{
    (void)state;
    static const char *const requests[] = {
        "GET / HTTP/1.1\r\n" HEAD "\r\n",
        "GET /refused HTTP/1.1\r\n" HEAD "\r\n",
        "GET / HTTP/1.1\r\n" HEAD "Content-Encoding: gzip\r\n\r\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        (void)ask(requests[i]);
        assert_string_equal(raw_field(&answer, "X-Content-Type-Options"),
                            "nosniff");
        assert_string_equal(raw_field(&answer, "Cache-Control"), "no-store");
        assert_string_equal(raw_field(&answer, "Referrer-Policy"),
                            "no-referrer");
    }
}

static void keeps_a_connection_for_more_requests(void **state)
{
    (void)state;
    int fd = raw_connect(fix.port);
    for (int i = 0; i < 100; i++) {
        char request[200];
        int n = snprintf(
            request, sizeof(request),
            "POST /%d HTTP/1.1\r\n" HEAD "Content-Length: 3\r\n\r\n%03d", i, i);
        char expected[50];
        (void)snprintf(expected, sizeof(expected), "POST /%d %03d", i, i);
        assert_true(raw_send(fd, request, (size_t)n));
        raw_read(fd, &answer);
        assert_int_equal(answer.status, 200);
        assert_string_equal(answer.body, expected);
    }
    close(fd);
    assert_int_equal(atomic_load(&fix.handled), 100);
}

static void answers_pipelined_requests_in_order(void **state)
{
    (void)state;
    static const char two[] =
        "GET /1 HTTP/1.1\r\n" HEAD "\r\n"
        "GET /2 HTTP/1.1\r\n" HEAD "Connection: close\r\n\r\n";
    int fd = raw_connect(fix.port);
    assert_true(raw_send(fd, two, sizeof(two) - 1));
    memset(&answer, 0, sizeof(answer));
    while (raw_more(fd, &answer)) {
    }
    close(fd);
    const char *one = strstr(answer.text, "GET /1 ");
    assert_non_null(one);
    assert_non_null(strstr(one, "GET /2 "));
}

static void sends_large_answers(void **state)
{
    (void)state;
    assert_int_equal(ask("GET /big HTTP/1.1\r\n" HEAD "\r\n"), 200);
    assert_int_equal(strlen(answer.body), 200000);
}

static void head_has_no_body(void **state)
{
    (void)state;
    int fd = raw_connect(fix.port);
    static const char request[] =
        "HEAD /x HTTP/1.1\r\n" HEAD "Connection: close\r\n\r\n";
    assert_true(raw_send(fd, request, sizeof(request) - 1));
    memset(&answer, 0, sizeof(answer));
    while (raw_more(fd, &answer)) {
    }
    close(fd);
    assert_string_equal(raw_field(&answer, "Content-Length"), "8");
    assert_string_equal(strstr(answer.text, "\r\n\r\n") + 4, "");
}

static void tells_the_uid_of_a_local_peer(void **state)
{
    (void)state;
    char expected[30];
    (void)snprintf(expected, sizeof(expected), "0 %u", (unsigned)getuid());
    assert_int_equal(ask("GET /uid HTTP/1.1\r\n" HEAD "\r\n"), 200);
    assert_string_equal(answer.body, expected);
}

/* ---- answers that come later --------------------------------------------- */

static void answers_from_another_thread(void **state)
{
    (void)state;
    int fd = raw_connect(fix.port);
    static const char request[] = "GET /later HTTP/1.1\r\n" HEAD "\r\n";
    for (int i = 0; i < 20; i++) {
        assert_true(raw_send(fd, request, sizeof(request) - 1));
        WAIT_UNTIL(waiting() != NULL);
        reply(waiting(), 200, STR("at last"));
        raw_read(fd, &answer);
        assert_int_equal(answer.status, 200);
        assert_string_equal(answer.body, "at last");
        WAIT_UNTIL(waiting() == NULL);
    }
    close(fd);
}

static void client_that_left_does_no_harm(void **state)
{
    (void)state;
    int fd = raw_connect(fix.port);
    static const char request[] = "GET /later HTTP/1.1\r\n" HEAD "\r\n";
    assert_true(raw_send(fd, request, sizeof(request) - 1));
    WAIT_UNTIL(waiting() != NULL);
    close(fd);
    reply(waiting(), 200, STR("nobody hears this"));
    WAIT_UNTIL(atomic_load(&fix.ended) == 1);
    assert_int_equal(ask("GET /a HTTP/1.1\r\n" HEAD "\r\n"), 200);
}

static void *stop_server(void *unused)
{
    (void)unused;
    http_stop(fix.server);
    return NULL;
}

static void stop_waits_for_kept_requests(void **state)
{
    (void)state;
    struct http_options o = options();
    start(&o);
    int fd = raw_connect(fix.port);
    static const char request[] = "GET /later HTTP/1.1\r\n" HEAD "\r\n";
    assert_true(raw_send(fd, request, sizeof(request) - 1));
    WAIT_UNTIL(waiting() != NULL);
    pthread_t stopper;
    assert_int_equal(pthread_create(&stopper, NULL, stop_server, NULL), 0);
    usleep(20000); /* lets it come to the point where it must wait */
    reply(waiting(), 200, STR("in time"));
    assert_int_equal(pthread_join(stopper, NULL), 0);
    assert_int_equal(atomic_load(&fix.ended), 1);
    close(fd);
    pthread_mutex_destroy(&fix.lock);
}

/* ---- streams
 * ------------------------------------------------------------------ */

static int open_stream(void)
{
    int fd = raw_connect(fix.port);
    static const char request[] = "GET /stream HTTP/1.1\r\n" HEAD "\r\n";
    assert_true(raw_send(fd, request, sizeof(request) - 1));
    WAIT_UNTIL(waiting() != NULL);
    memset(&answer, 0, sizeof(answer));
    return fd;
}

static void tick(void)
{
    atomic_store(&fix.pulls, 1);
    pthread_mutex_lock(&fix.lock);
    if (fix.waiting != NULL) {
        http_wake(fix.waiting);
    }
    pthread_mutex_unlock(&fix.lock);
}

static unsigned ticks_seen(void)
{
    unsigned n = 0;
    for (const char *p = answer.text; (p = strstr(p, "tick\n")) != NULL; p++) {
        n++;
    }
    return n;
}

static void streams_what_is_pulled(void **state)
{
    (void)state;
    int fd = open_stream();
    for (unsigned i = 1; i <= 50; i++) {
        tick();
        while (ticks_seen() < i) {
            assert_true(raw_more(fd, &answer));
        }
    }
    assert_string_equal(raw_field(&answer, "Content-Type"), HTTP_EVENTS);
    atomic_store(&fix.stream_done, true);
    tick();
    while (raw_more(fd, &answer)) {
    }
    close(fd);
    WAIT_UNTIL(atomic_load(&fix.ended) == 1);
}

static void notices_that_a_sleeping_stream_lost_its_client(void **state)
{
    (void)state;
    int fd = open_stream();
    tick();
    while (ticks_seen() < 1) {
        assert_true(raw_more(fd, &answer));
    }
    close(fd);
    WAIT_UNTIL(atomic_load(&fix.ended) == 1);
}

static void stop_ends_streams(void **state)
{
    (void)state;
    struct http_options o = options();
    start(&o);
    int fd = open_stream();
    http_stop(fix.server);
    assert_int_equal(atomic_load(&fix.ended), 1);
    while (raw_more(fd, &answer)) {
    }
    close(fd);
    pthread_mutex_destroy(&fix.lock);
}

static const char get_plain[] = "GET / HTTP/1.1\r\n" HEAD "\r\n";

/* 0, or the errno of connecting. */
static int connect_error(uint16_t port)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    int r = connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 ? errno : 0;
    close(fd);
    return r;
}

/* ---- over a restart
 * ------------------------------------------------------------------------ */

static void stop_answers_open_connections_once_more(void **state)
{
    (void)state;
    struct http_options o = options();
    start(&o);
    int fd = raw_connect(fix.port);
    pthread_t stopper;
    /* Every request is answered; the last answer says that it is the last. */
    for (unsigned asked = 0;; asked++) {
        assert_true(raw_send(fd, get_plain, strlen(get_plain)));
        raw_read(fd, &answer);
        assert_int_equal(answer.status, 200);
        if (raw_field(&answer, "Connection") != NULL) {
            assert_true(asked > 0);
            break;
        }
        if (asked == 0) {
            assert_int_equal(pthread_create(&stopper, NULL, stop_server, NULL),
                             0);
        }
    }
    assert_string_equal(raw_field(&answer, "Connection"), "close");
    assert_true(raw_ends(fd));
    assert_int_equal(pthread_join(stopper, NULL), 0);
    close(fd);
    pthread_mutex_destroy(&fix.lock);
}

/* Nobody keeps the socket: who connects while it ends is answered. */
static void stop_answers_new_connections_when_nobody_else_will(void **state)
{
    (void)state;
    struct http_options o = options();
    o.accepts_to_the_end = true;
    start(&o);
    int busy = raw_connect(fix.port);
    static const char later[] = "GET /later HTTP/1.1\r\n" HEAD "\r\n";
    assert_true(raw_send(busy, later, sizeof(later) - 1));
    WAIT_UNTIL(waiting() != NULL);
    pthread_t stopper;
    assert_int_equal(pthread_create(&stopper, NULL, stop_server, NULL), 0);
    do {
        assert_int_equal(ask(get_plain), 200);
    } while (raw_field(&answer, "Connection") == NULL);
    assert_int_equal(ask(get_plain), 200);
    assert_string_equal(raw_field(&answer, "Connection"), "close");
    reply(waiting(), 200, STR("in time"));
    raw_read(busy, &answer);
    assert_int_equal(answer.status, 200);
    assert_int_equal(pthread_join(stopper, NULL), 0);
    assert_int_equal(connect_error(fix.port), ECONNREFUSED);
    close(busy);
    pthread_mutex_destroy(&fix.lock);
}

/* Who connects while nobody runs is served by the next one. */
static void a_kept_socket_serves_who_waited(void **state)
{
    (void)state;
    struct http_options o = options();
    start(&o);
    uint16_t port = fix.port;
    int kept_fd = dup(http_listen_fd(fix.server));
    assert_true(kept_fd > 0);
    http_stop(fix.server);
    int fd = raw_connect(port);
    assert_true(raw_send(fd, get_plain, strlen(get_plain)));
    o.kept_fd = kept_fd;
    start(&o);
    assert_int_equal(fix.port, port);
    raw_read(fd, &answer);
    assert_int_equal(answer.status, 200);
    close(fd);
    http_stop(fix.server);
    pthread_mutex_destroy(&fix.lock);
}

static void a_kept_socket_of_another_address_is_closed(void **state)
{
    (void)state;
    struct http_options o = options();
    start(&o);
    uint16_t port = fix.port;
    int kept_fd = dup(http_listen_fd(fix.server));
    http_stop(fix.server);
    o.listen = "127.0.0.2:0";
    o.kept_fd = kept_fd;
    start(&o);
    assert_int_equal(connect_error(port), ECONNREFUSED);
    http_stop(fix.server);
    /* Nor is something taken that does not listen. */
    o.listen = "127.0.0.1:0";
    o.kept_fd = socket(AF_INET, SOCK_STREAM, 0);
    start(&o);
    assert_int_equal(ask("GET / HTTP/1.1\r\n" HEAD "\r\n"), 200);
    http_stop(fix.server);
    pthread_mutex_destroy(&fix.lock);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(answers),
        CASE(adds_headers_to_every_answer),
        CASE(keeps_a_connection_for_more_requests),
        CASE(answers_pipelined_requests_in_order),
        CASE(sends_large_answers),
        CASE(head_has_no_body),
        CASE(tells_the_uid_of_a_local_peer),
        CASE(answers_from_another_thread),
        CASE(client_that_left_does_no_harm),
        cmocka_unit_test(stop_waits_for_kept_requests),
        CASE(streams_what_is_pulled),
        CASE(notices_that_a_sleeping_stream_lost_its_client),
        cmocka_unit_test(stop_ends_streams),
        cmocka_unit_test(stop_answers_open_connections_once_more),
        cmocka_unit_test(stop_answers_new_connections_when_nobody_else_will),
        cmocka_unit_test(a_kept_socket_serves_who_waited),
        cmocka_unit_test(a_kept_socket_of_another_address_is_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
