#include "proc/client.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/assert.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/prng.h"
#include "os/fd.h"
#include "os/random.h"

#define BACKOFF_MIN_MS 50
#define BACKOFF_MAX_MS 2000
#define WELCOME_WAIT_MS 5000
#define TIMER_ACCURACY_US 1000
/* Then the other sources of the loop have their turn. */
#define RECEIVE_BATCH 64
/* A whole message must fit, whatever the system's default is. */
#define SEND_BUFFER_BYTES (512 * 1024)

/* DOWN -> GREETING (connected, HELLO is said) -> UP (WELCOME came) -> DOWN. */
enum client_state { CLIENT_DOWN, CLIENT_GREETING, CLIENT_UP };

/* A message that waits until the socket takes it. */
struct datagram {
    struct list node;
    size_t len;
    char bytes[];
};

struct exec_client {
    sd_event *event;
    void (*on_message)(void *context, const struct exec_message *message);
    void *context;
    struct sockaddr_un address;
    enum client_state state;
    int fd;                    /* -1: none */
    sd_event_source *io;       /* there while fd is */
    sd_event_source *timer;    /* DOWN: connect; GREETING: waited enough */
    sd_event_source *farewell; /* fires once after a connection was dropped */
    bool lost;                 /* it had been up, and nobody has been told */
    uint64_t backoff_ms;
    struct prng jitter;
    struct list queue; /* of struct datagram */
    size_t queue_count;
    size_t queue_bytes;
    char received[EXEC_MESSAGE_MAX_BYTES];
};

/* ---- connection ---------------------------------------------------------- */

static void set_timer(struct exec_client *c, uint64_t after_ms)
{
    int r = sd_event_source_set_time_relative(c->timer, after_ms * 1000);
    ASSERT(r >= 0);
    r = sd_event_source_set_enabled(c->timer, SD_EVENT_ONESHOT);
    ASSERT(r >= 0);
}

static void queue_clear(struct exec_client *c)
{
    for (struct list *n = list_pop(&c->queue); n != NULL;
         n = list_pop(&c->queue)) {
        mem_free(CONTAINER_OF(n, struct datagram, node));
    }
    c->queue_count = 0;
    c->queue_bytes = 0;
}

static void disconnect(struct exec_client *c)
{
    /* Out of the loop before it is closed: a child that is being born may
     * hold a copy, which would keep it in epoll. */
    c->io = sd_event_source_disable_unref(c->io);
    os_closep(&c->fd);
    queue_clear(c);
    c->state = CLIENT_DOWN;
}

/* Telling of it is left to the loop, because the caller may stand inside of
 * on_message. Only then is the next connection tried, so that what is told
 * is in order. */
static void drop(struct exec_client *c)
{
    c->lost = c->lost || c->state == CLIENT_UP;
    disconnect(c);
    int r = sd_event_source_set_enabled(c->timer, SD_EVENT_OFF);
    ASSERT(r >= 0);
    r = sd_event_source_set_enabled(c->farewell, SD_EVENT_ONESHOT);
    ASSERT(r >= 0);
}

static int on_farewell(sd_event_source *source UNUSED, void *context)
{
    struct exec_client *c = context;
    uint64_t wait_ms =
        c->backoff_ms + prng_below(&c->jitter, c->backoff_ms / 4);
    c->backoff_ms = MIN(c->backoff_ms * 2, BACKOFF_MAX_MS);
    set_timer(c, wait_ms);
    if (c->lost) {
        c->lost = false;
        c->on_message(c->context, NULL);
    }
    return 0;
}

/* ---- sending ------------------------------------------------------------- */

/* 0, -EAGAIN or that the connection is of no more use. */
static int send_datagram(int fd, struct str datagram)
{
    ssize_t n;
    do {
        n = send(fd, datagram.at, datagram.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        return -errno;
    }
    return (size_t)n == datagram.len ? 0 : -EIO;
}

static void watch(struct exec_client *c, uint32_t events)
{
    int r = sd_event_source_set_io_events(c->io, events);
    ASSERT(r >= 0);
}

static void queue_add(struct exec_client *c, struct str datagram)
{
    if (c->queue_count >= EXEC_QUEUE_MAX ||
        c->queue_bytes + datagram.len > EXEC_QUEUE_MAX_BYTES) {
        drop(c);
        return;
    }
    struct datagram *d = mem_alloc(1, sizeof(*d) + datagram.len);
    d->len = datagram.len;
    memcpy(d->bytes, datagram.at, datagram.len);
    list_push(&c->queue, &d->node);
    c->queue_count++;
    c->queue_bytes += d->len;
    if (c->queue_count == 1) {
        watch(c, EPOLLIN | EPOLLOUT);
    }
}

static void flush(struct exec_client *c)
{
    while (!list_empty(&c->queue)) {
        struct datagram *d = CONTAINER_OF(c->queue.next, struct datagram, node);
        int r = send_datagram(c->fd, str_n(d->bytes, d->len));
        if (r == -EAGAIN) {
            return;
        }
        if (r < 0) {
            drop(c);
            return;
        }
        c->queue_count--;
        c->queue_bytes -= d->len;
        list_remove(&d->node);
        mem_free(d);
    }
    watch(c, EPOLLIN);
}

static void say(struct exec_client *c, const struct exec_message *m)
{
    CLEANUP(strbuf_deinit)
    struct strbuf out = STRBUF_INIT(EXEC_MESSAGE_MAX_BYTES);
    int r = exec_encode(m, &out);
    ASSERT(r == 0); /* what the engine may say has met these limits before */
    r = c->queue_count > 0 ? -EAGAIN : send_datagram(c->fd, strbuf_str(&out));
    if (r == -EAGAIN) {
        queue_add(c, strbuf_str(&out));
    } else if (r < 0) {
        drop(c);
    }
}

void exec_client_send(struct exec_client *c, const struct exec_message *m)
{
    if (c->state == CLIENT_UP) {
        say(c, m);
    }
}

/* ---- receiving ----------------------------------------------------------- */

/* A message of the executor, at a time when it may say it. */
static bool is_expected(const struct exec_client *c,
                        const struct exec_message *m)
{
    switch (m->kind) {
    case EXEC_WELCOME:
        return c->state == CLIENT_GREETING &&
               m->hello.version == EXEC_PROTO_VERSION;
    case EXEC_STARTED:
    case EXEC_OUTPUT:
    case EXEC_ENDED:
    case EXEC_PINNED:
    case EXEC_DEFERRED:
        return c->state == CLIENT_UP;
    case EXEC_HELLO:
    case EXEC_START:
    case EXEC_STOP:
    case EXEC_FORGET:
    case EXEC_PIN:
    case EXEC_KINDS:
        break;
    }
    return false;
}

static void take(struct exec_client *c, struct str datagram)
{
    struct exec_message m;
    if (exec_decode(datagram, &m) < 0 || !is_expected(c, &m)) {
        drop(c);
        return;
    }
    if (m.kind == EXEC_WELCOME) {
        c->state = CLIENT_UP;
        c->backoff_ms = BACKOFF_MIN_MS;
        int r = sd_event_source_set_enabled(c->timer, SD_EVENT_OFF);
        ASSERT(r >= 0);
    }
    c->on_message(c->context, &m);
}

/* False: there is nothing more for now, or no connection any more. */
static bool receive(struct exec_client *c)
{
    ssize_t n =
        recv(c->fd, c->received, sizeof(c->received), MSG_DONTWAIT | MSG_TRUNC);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return false;
    }
    if (n <= 0 || (size_t)n > sizeof(c->received)) {
        drop(c);
        return false;
    }
    take(c, str_n(c->received, (size_t)n));
    return c->fd >= 0;
}

static int on_io(sd_event_source *source UNUSED, int fd UNUSED, uint32_t events,
                 void *context)
{
    struct exec_client *c = context;
    if ((events & EPOLLOUT) != 0) {
        flush(c);
    }
    bool more = c->fd >= 0 && (events & (uint32_t)~EPOLLOUT) != 0;
    for (unsigned i = 0; i < RECEIVE_BATCH && more; i++) {
        more = receive(c);
    }
    return 0;
}

/* ---- life ---------------------------------------------------------------- */

/* A Unix socket connects at once or not at all. */
static int connect_now(struct exec_client *c)
{
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -errno;
    }
    int size = SEND_BUFFER_BYTES;
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    int r = connect(fd, (const struct sockaddr *)&c->address,
                    sizeof(c->address)) < 0
                ? -errno
                : sd_event_add_io(c->event, &c->io, fd, EPOLLIN, on_io, c);
    if (r < 0) {
        os_close(fd);
        return r;
    }
    c->fd = fd;
    return 0;
}

static int on_timer(sd_event_source *source UNUSED, uint64_t now_us UNUSED,
                    void *context)
{
    struct exec_client *c = context;
    if (c->state != CLIENT_DOWN || connect_now(c) < 0) {
        drop(c);
        return 0;
    }
    const struct exec_message hello = {
        .kind = EXEC_HELLO,
        .hello = {.version = EXEC_PROTO_VERSION},
    };
    c->state = CLIENT_GREETING;
    set_timer(c, WELCOME_WAIT_MS);
    say(c, &hello);
    return 0;
}

static int add_sources(struct exec_client *c)
{
    int r = sd_event_add_time_relative(c->event, &c->timer, CLOCK_MONOTONIC, 0,
                                       TIMER_ACCURACY_US, on_timer, c);
    if (r < 0) {
        return r;
    }
    r = sd_event_add_defer(c->event, &c->farewell, on_farewell, c);
    return r < 0 ? r : sd_event_source_set_enabled(c->farewell, SD_EVENT_OFF);
}

int exec_client_new(const struct exec_client_options *options,
                    struct exec_client **ret, struct err *reterr)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct str path = str_c(options->socket_path);
    if (path.len == 0 || path.len >= sizeof(address.sun_path)) {
        return err_set(reterr, -EINVAL,
                       "the executor's socket needs a path of 1 to %zu bytes",
                       sizeof(address.sun_path) - 1);
    }
    memcpy(address.sun_path, path.at, path.len);
    struct exec_client *c = MEM_NEW(struct exec_client);
    c->event = sd_event_ref(options->event);
    c->on_message = options->on_message;
    c->context = options->context;
    c->address = address;
    c->fd = -1;
    c->backoff_ms = BACKOFF_MIN_MS;
    uint64_t seed = 0;
    os_random(&seed, sizeof(seed));
    prng_seed(&c->jitter, seed);
    list_init(&c->queue);
    int r = add_sources(c);
    if (r < 0) {
        exec_client_free(c);
        return err_set(reterr, r, "cannot watch the executor's socket: %s",
                       strerror(-r));
    }
    *ret = c;
    return 0;
}

void exec_client_free(struct exec_client *c)
{
    if (c == NULL) {
        return;
    }
    disconnect(c);
    c->timer = sd_event_source_disable_unref(c->timer);
    c->farewell = sd_event_source_disable_unref(c->farewell);
    sd_event_unref(c->event);
    mem_free(c);
}

void exec_client_renew(struct exec_client *c)
{
    if (c->state == CLIENT_UP) {
        drop(c);
    }
}

bool exec_client_is_up(const struct exec_client *c)
{
    return c->state == CLIENT_UP;
}
