#include <poll.h>

#include "net/http_priv.h"

/* MHD knows inactivity only: a client that sends a byte now and then is never
 * inactive. Each phase therefore has its end here, whatever trickles in. */

static unsigned allowed_s(const struct http_limits *l, enum http_phase phase)
{
    switch (phase) {
    case PHASE_FRESH:
    case PHASE_HEAD:
        return l->head_s;
    case PHASE_IDLE:
        return l->idle_s;
    case PHASE_BODY:
        return l->body_s;
    case PHASE_SEND:
        return l->send_s;
    case PHASE_ANSWER:
    case PHASE_STREAM:
    case HTTP_PHASES:
        break;
    }
    return 0;
}

/* A suspended stream does not notice that its client hung up. */
static void check_stream(struct http_conn *c)
{
    struct pollfd p = {.fd = c->fd, .events = POLLRDHUP};
    if (poll(&p, 1, 0) > 0 && !c->gone) {
        c->gone = true;
        http_wake(&c->request);
    }
}

static void check(struct http_conn *c, uint64_t now_ms)
{
    if (c->closing) {
        return;
    }
    if (c->phase == PHASE_STREAM) {
        check_stream(c);
        return;
    }
    unsigned limit_s = allowed_s(&c->server->options.limits, c->phase);
    if (limit_s != 0 && now_ms > c->since_ms &&
        now_ms - c->since_ms > (uint64_t)limit_s * 1000) {
        http_close(c);
    }
}

void http_sweep(struct http_server *s)
{
    LIST_EACH (&s->conns, it) {
        check(CONTAINER_OF(it, struct http_conn, link), s->now_ms);
    }
}
