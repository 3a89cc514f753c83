#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <time.h>

#include "base/assert.h"
#include "net/http_priv.h"

/* The server's thread: MHD is run from here, so that a group of answers wakes
 * it once. Inside of MHD, each would be a write to its own eventfd. */

#define SWEEP_EVERY_MS 1000
#define SHORT_TURN_MS 50 /* between looks whether a wait is over */

static uint64_t monotonic_ms(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void wake(struct http_server *s)
{
    if (s->asleep) {
        s->asleep = false;
        ASSERT(eventfd_write(s->wake_fd, 1) == 0);
    }
}

void http_ready(struct http_conn *c)
{
    /* Once it is in the list, the connection may be gone at any time; the
     * server is not, before this lock is free. */
    struct http_server *s = c->server;
    pthread_mutex_lock(&s->lock);
    list_push(&s->ready, &c->ready);
    wake(s);
    pthread_mutex_unlock(&s->lock);
}

void http_loop_stop(struct http_server *s)
{
    pthread_mutex_lock(&s->lock);
    s->stop = true;
    wake(s);
    pthread_mutex_unlock(&s->lock);
}

static void resume_ready(struct http_server *s)
{
    pthread_mutex_lock(&s->lock);
    s->asleep = false;
    for (struct list *n = list_pop(&s->ready); n != NULL;
         n = list_pop(&s->ready)) {
        MHD_resume_connection(CONTAINER_OF(n, struct http_conn, ready)->mhd);
    }
    pthread_mutex_unlock(&s->lock);
}

static int wait_ms(struct http_server *s)
{
    uint64_t left_ms =
        s->sweep_at_ms > s->now_ms ? s->sweep_at_ms - s->now_ms : 0;
    if ((s->ending || s->now_ms < s->rest_until_ms) &&
        left_ms > SHORT_TURN_MS) {
        left_ms = SHORT_TURN_MS;
    }
    MHD_UNSIGNED_LONG_LONG mhd_ms = 0;
    if (MHD_get_timeout(s->daemon, &mhd_ms) == MHD_YES && mhd_ms < left_ms) {
        left_ms = mhd_ms;
    }
    return (int)left_ms;
}

/* Until a connection, an answer or the clock has something for us. True if
 * somebody may be waiting to be accepted. */
static bool doze(struct http_server *s)
{
    int timeout_ms = wait_ms(s);
    pthread_mutex_lock(&s->lock);
    s->asleep = list_empty(&s->ready) && s->stop == s->ending;
    bool asleep = s->asleep;
    pthread_mutex_unlock(&s->lock);
    if (!asleep) {
        return true;
    }
    int mhd_fd =
        MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    struct pollfd fds[] = {
        {.fd = s->wake_fd, .events = POLLIN},
        {.fd = mhd_fd, .events = POLLIN},
        /* poll() leaves out what is negative. */
        {.fd = http_may_accept(s) ? s->listen_fd : -1, .events = POLLIN},
    };
    int n = poll(fds, ARRAY_LEN(fds), timeout_ms);
    ASSERT(n >= 0 || errno == EINTR);
    if (n > 0 && fds[0].revents != 0) {
        eventfd_t times;
        (void)eventfd_read(s->wake_fd, &times);
    }
    return n > 0 && fds[2].revents != 0;
}

static void begin_to_end(struct http_server *s)
{
    s->ending = true;
    s->ending_at_ms = s->now_ms;
    LIST_EACH (&s->conns, it) {
        struct http_conn *c = CONTAINER_OF(it, struct http_conn, link);
        if (c->phase == PHASE_STREAM) {
            http_wake(&c->request);
        }
    }
}

static bool is_told_to_stop(struct http_server *s)
{
    pthread_mutex_lock(&s->lock);
    bool stop = s->stop;
    pthread_mutex_unlock(&s->lock);
    return stop;
}

/* Every client has heard that the connection ends, or had the time to. Who is
 * about to connect is given a moment too, if nobody else will answer. */
static bool is_grace_over(const struct http_server *s)
{
    uint64_t took_ms = s->now_ms - s->ending_at_ms;
    bool quiet = atomic_load(&s->open_count) == 0;
    uint64_t moment_ms =
        s->options.accepts_to_the_end ? HTTP_STOP_MOMENT_MS : 0;
    return took_ms >= HTTP_STOP_GRACE_MS || (quiet && took_ms >= moment_ms);
}

/* Nothing may be parked in MHD when it is stopped. */
static bool is_over(struct http_server *s)
{
    if (!s->ending && is_told_to_stop(s)) {
        begin_to_end(s);
    }
    pthread_mutex_lock(&s->lock);
    bool has_ready = !list_empty(&s->ready);
    pthread_mutex_unlock(&s->lock);
    return s->ending && s->kept == 0 && !has_ready && is_grace_over(s);
}

void *http_loop(void *server)
{
    struct http_server *s = server;
    (void)pthread_setname_np(pthread_self(), "http");
    s->now_ms = monotonic_ms();
    s->sweep_at_ms = s->now_ms + SWEEP_EVERY_MS;
    do {
        bool waits = doze(s);
        s->now_ms = monotonic_ms();
        s->turn++;
        resume_ready(s);
        if (waits) {
            http_accept(s);
        }
        (void)MHD_run(s->daemon);
        atomic_fetch_add(&s->turns, 1);
        if (s->now_ms >= s->sweep_at_ms) {
            s->sweep_at_ms = s->now_ms + SWEEP_EVERY_MS;
            http_sweep(s);
        }
    } while (!is_over(s));
    return NULL;
}

uint64_t http_turns(const struct http_server *s)
{
    return atomic_load(&s->turns);
}
