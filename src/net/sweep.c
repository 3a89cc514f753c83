#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>

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
    if (poll(&p, 1, 0) > 0 && !atomic_load(&c->gone)) {
        atomic_store(&c->gone, true);
        http_wake(&c->request);
    }
}

static void check(struct http_conn *c, uint64_t now_ms)
{
    enum http_phase phase = (enum http_phase)atomic_load(&c->phase);
    if (phase == PHASE_STREAM) {
        check_stream(c);
        return;
    }
    unsigned limit_s = allowed_s(&c->server->options.limits, phase);
    uint64_t since_ms = atomic_load(&c->since_ms);
    if (limit_s != 0 && now_ms > since_ms &&
        now_ms - since_ms > (uint64_t)limit_s * 1000) {
        (void)shutdown(c->fd, SHUT_RDWR); /* MHD sees the end and closes */
    }
}

static void wait_a_second(struct http_server *s)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += 1;
    int r = 0;
    while (!atomic_load(&s->stopping) && r != ETIMEDOUT) {
        r = pthread_cond_timedwait(&s->changed, &s->lock, &until);
    }
}

void *http_sweep(void *server)
{
    struct http_server *s = server;
    pthread_mutex_lock(&s->lock);
    for (;;) {
        wait_a_second(s);
        if (atomic_load(&s->stopping)) {
            break;
        }
        uint64_t now_ms = http_now_ms();
        LIST_EACH (&s->conns, it) {
            check(CONTAINER_OF(it, struct http_conn, link), now_ms);
        }
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}
