#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

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

static bool is_too_slow(uint64_t bytes, uint64_t took_ms)
{
    return took_ms > HTTP_SLOW_GRACE_MS &&
           bytes * 1000 < (took_ms - HTTP_SLOW_GRACE_MS) * HTTP_MIN_BYTES_PER_S;
}

/* What the client's machine has taken, of this connection. */
static uint64_t acked_bytes(int fd)
{
    struct tcp_info info = {.tcpi_bytes_acked = 0};
    socklen_t len = sizeof(info);
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0
               ? info.tcpi_bytes_acked
               : 0;
}

/* Counted from the first look at an answer: most are gone before it. */
static bool sends_too_slowly(struct http_conn *c, uint64_t now_ms)
{
    uint64_t acked = acked_bytes(c->fd);
    if (c->sent_at_ms == 0) {
        c->sent_at_ms = now_ms;
        c->sent_bytes = acked;
    }
    return is_too_slow(acked - c->sent_bytes, now_ms - c->sent_at_ms);
}

static bool is_slow(struct http_conn *c, uint64_t now_ms)
{
    switch (c->phase) {
    case PHASE_BODY:
        return is_too_slow(c->body_bytes, now_ms - c->since_ms);
    case PHASE_SEND:
        return sends_too_slowly(c, now_ms);
    case PHASE_FRESH:
    case PHASE_HEAD:
    case PHASE_IDLE:
    case PHASE_ANSWER:
    case PHASE_STREAM:
    case HTTP_PHASES:
        break;
    }
    return false;
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
    if (limit_s == 0 || now_ms <= c->since_ms) {
        return;
    }
    if (now_ms - c->since_ms > (uint64_t)limit_s * 1000 || is_slow(c, now_ms)) {
        http_close(c);
    }
}

void http_sweep(struct http_server *s)
{
    LIST_EACH (&s->conns, it) {
        check(CONTAINER_OF(it, struct http_conn, link), s->now_ms);
    }
}
