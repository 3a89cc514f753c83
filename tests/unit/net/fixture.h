/*
 * A server whose handler does what the path says, for the tests of this
 * folder. Include behind cmocka.h.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <strings.h>

#include "base/mem.h"
#include "base/str.h"
#include "net/http.h"
#include "tests/unit/net/raw.h"

#define BODY_LIMIT 1000
#define HEAD "Host: localhost\r\n"

/* A handler whose paths say what it does. */
struct fixture {
    struct http_server *server;
    uint16_t port;
    atomic_uint begun;
    atomic_uint ended;
    atomic_uint handled;
    pthread_mutex_t lock;
    struct http_request *waiting; /* "/later", "/stream" */
    atomic_uint pulls;
    atomic_bool stream_done;
};

static struct fixture fix;
static struct raw_answer answer;

static void reply(struct http_request *r, unsigned status, struct str body)
{
    struct http_answer a = {.status = status, .type = HTTP_TEXT, .body = body};
    http_respond(r, &a);
}

static void on_begin(void *context, struct http_request *r)
{
    struct fixture *f = context;
    (void)atomic_fetch_add(&f->begun, 1);
    if (str_eq(r->target, STR("/refused"))) {
        reply(r, 403, STR("no"));
        return;
    }
    if (str_starts(r->target, STR("/trusted"))) {
        http_trust(r);
    }
    r->body_limit_bytes =
        str_starts(r->target, STR("/nobody")) ? 0 : BODY_LIMIT;
}

static ssize_t pull(void *context, char *buf, size_t max)
{
    struct fixture *f = context;
    if (atomic_load(&f->stream_done)) {
        return -1;
    }
    if (atomic_exchange(&f->pulls, 0) == 0) {
        return 0;
    }
    assert_true(max >= 5);
    memcpy(buf, "tick\n", 5);
    return 5;
}

static void set_waiting(struct fixture *f, struct http_request *r)
{
    pthread_mutex_lock(&f->lock);
    f->waiting = r;
    pthread_mutex_unlock(&f->lock);
}

UNUSED static struct http_request *waiting(void)
{
    pthread_mutex_lock(&fix.lock);
    struct http_request *r = fix.waiting;
    pthread_mutex_unlock(&fix.lock);
    return r;
}

static void on_handle(void *context, struct http_request *r)
{
    struct fixture *f = context;
    if (str_eq(r->target, STR("/later"))) {
        set_waiting(f, r);
    } else if (str_eq(r->target, STR("/stream"))) {
        http_respond_stream(r, HTTP_EVENTS, pull, f);
        set_waiting(f, r);
    } else if (str_starts(r->target, STR("/big"))) {
        int tens = str_eq(r->target, STR("/bigger")) ? 2000000 : 20000;
        for (int i = 0; i < tens; i++) {
            strbuf_add(&r->out, STR("0123456789"));
        }
        reply(r, 200, strbuf_str(&r->out));
    } else if (str_eq(r->target, STR("/uid"))) {
        uid_t uid = 0;
        int n = http_peer_uid(r, &uid);
        strbuf_addf(&r->out, "%d %u", n, (unsigned)uid);
        reply(r, 200, strbuf_str(&r->out));
    } else {
        strbuf_addf(&r->out, "%s %.*s %.*s", http_method_name(r->method),
                    STR_ARG(r->target), STR_ARG(r->body));
        reply(r, 200, strbuf_str(&r->out));
    }
    (void)atomic_fetch_add(&f->handled, 1);
}

static void on_end(void *context, struct http_request *r)
{
    struct fixture *f = context;
    pthread_mutex_lock(&f->lock);
    if (f->waiting == r) {
        f->waiting = NULL;
    }
    pthread_mutex_unlock(&f->lock);
    (void)atomic_fetch_add(&f->ended, 1);
}

static struct http_options options(void)
{
    return (struct http_options){
        .listen = "127.0.0.1:0",
        .limits = HTTP_LIMITS_DEFAULT,
        .handler = {.context = &fix,
                    .begin = on_begin,
                    .handle = on_handle,
                    .end = on_end},
    };
}

static void start(const struct http_options *o)
{
    struct err err = ERR_INIT;
    memset(&fix, 0, sizeof(fix));
    pthread_mutex_init(&fix.lock, NULL);
    if (http_start(o, &fix.server, &err) < 0) {
        fail_msg("%s", err.message);
    }
    fix.port = http_port(fix.server);
}

UNUSED static int set_up(void **state)
{
    (void)state;
    struct http_options o = options();
    start(&o);
    return 0;
}

UNUSED static int tear_down(void **state)
{
    (void)state;
    http_stop(fix.server);
    fix.server = NULL;
    assert_int_equal(atomic_load(&fix.begun), atomic_load(&fix.ended));
    pthread_mutex_destroy(&fix.lock);
    return 0;
}

UNUSED static int ask(const char *request)
{
    return raw_ask(fix.port, request, &answer);
}

/* Waits for a condition that other threads bring about. */
#define WAIT_UNTIL(condition)                                                  \
    do {                                                                       \
        for (int wait_ = 0; !(condition); wait_++) {                           \
            assert_true(wait_ < RAW_PATIENCE_MS);                              \
            usleep(1000);                                                      \
        }                                                                      \
    } while (0)

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
