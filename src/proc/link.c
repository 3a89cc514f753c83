/*
 * The connection of the engine: one at a time, and who comes while it is there
 * is turned away: an engine that is started again has lost its connection
 * before, and whoever else comes must not cut it off. Who may connect at all is
 * decided by the kernel's word on the peer. A datagram that
 * does not decode, or that an engine has no business to send, ends the
 * connection and nothing else.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"
#include "os/clock.h"
#include "os/fd.h"
#include "os/peer.h"
#include "proc/executor_priv.h"
#include "proc/say.h"

#define QUEUE_SOFT_BYTES (1024UL * 1024)
#define BUFFER_BYTES (1024 * 1024)
#define RECEIVE_BATCH 64
#define TELL_MS 1000

struct datagram {
    struct list node;
    size_t len;
    char bytes[];
};

struct link {
    int listener;
    bool made_socket;
    uid_t owner; /* of the socket's file */
    sd_event_source *accept;
    sd_event_source *peer; /* NULL: no engine */
    bool greeted;
    uint64_t told_ms;  /* when somebody was told to be turned away */
    struct list queue; /* of struct datagram */
    size_t queued_bytes;
};

bool link_is_up(const struct executor *x)
{
    return x->link != NULL && x->link->peer != NULL && x->link->greeted;
}

bool link_serves_others(const struct executor *x)
{
    return x->link != NULL && x->link->owner != geteuid();
}

static void clear_queue(struct link *l)
{
    for (struct list *n = list_pop(&l->queue); n != NULL;
         n = list_pop(&l->queue)) {
        mem_free(CONTAINER_OF(n, struct datagram, node));
    }
    l->queued_bytes = 0;
}

static void drop_peer(struct executor *x)
{
    struct link *l = x->link;
    l->peer = sd_event_source_disable_unref(l->peer);
    l->greeted = false;
    clear_queue(l);
    executor_settle(x);
}

/* ---- sending
 * ------------------------------------------------------------------ */

/* An engine that does not read its answers is not listened to. */
static bool is_clogged(const struct link *l)
{
    return l->queued_bytes > QUEUE_SOFT_BYTES;
}

static void want_output(struct link *l, bool wanted)
{
    uint32_t events = (is_clogged(l) ? 0U : (uint32_t)EPOLLIN) |
                      (wanted ? (uint32_t)EPOLLOUT : 0U);
    int e = sd_event_source_set_io_events(l->peer, events);
    ASSERT(e >= 0 || e == -ESTALE); /* the loop has ended: last words */
}

/* Sends what the socket takes; false: the connection is gone. */
static bool flush(struct executor *x)
{
    struct link *l = x->link;
    while (!list_empty(&l->queue)) {
        struct datagram *d = CONTAINER_OF(l->queue.next, struct datagram, node);
        ssize_t n = send(sd_event_source_get_io_fd(l->peer), d->bytes, d->len,
                         MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && (errno == EAGAIN || errno == ENOBUFS)) {
            want_output(l, true);
            return true;
        }
        if (n < 0 && errno != EINTR) {
            return false;
        }
        if (n >= 0) {
            list_remove(&d->node);
            l->queued_bytes -= d->len;
            mem_free(d);
        }
    }
    want_output(l, false);
    return true;
}

bool link_send(struct executor *x, const struct exec_message *m)
{
    struct link *l = x->link;
    if (l->peer == NULL || (m->kind == EXEC_OUTPUT && is_clogged(l))) {
        return false;
    }
    CLEANUP(strbuf_deinit)
    struct strbuf text = STRBUF_INIT(EXEC_MESSAGE_MAX_BYTES);
    int e = exec_encode(m, &text);
    ASSERT(e == 0);
    struct datagram *d = mem_alloc(1, sizeof(*d) + text.len);
    d->len = text.len;
    memcpy(d->bytes, text.at, text.len);
    bool was_empty = list_empty(&l->queue);
    list_push(&l->queue, &d->node);
    l->queued_bytes += d->len;
    if (was_empty) {
        /* A broken connection is noticed, and dropped, when it is read. */
        (void)flush(x);
    } else if (is_clogged(l)) {
        want_output(l, true);
    }
    return true;
}

/* ---- receiving
 * ---------------------------------------------------------------- */

/* The executor outlives engines, and may not outlive what was decided in
 * between: who may run what, as whom, how much of it. */
void link_refresh_options(struct executor *x)
{
    struct executor_options *now = &x->options;
    struct executor_options next;
    if (now->refresh == NULL || now->refresh(now->context, &next) < 0) {
        return;
    }
    now->default_user = next.default_user;
    now->kill_switches[EXECUTOR_SWITCH_NOW] =
        next.kill_switches[EXECUTOR_SWITCH_NOW];
    now->run_as_allowed = next.run_as_allowed;
    now->max_running = next.max_running;
    now->output_keep_bytes = next.output_keep_bytes;
    now->limits = next.limits;
    now->idle_exit_ms = next.idle_exit_ms;
}

static bool take_hello(struct executor *x, const struct exec_message *m)
{
    if (m->hello.version != EXEC_PROTO_VERSION) {
        return false;
    }
    link_refresh_options(x);
    struct exec_message answer = {
        .kind = EXEC_WELCOME,
        .hello = {.version = EXEC_PROTO_VERSION, .executor = x->id},
    };
    x->link->greeted = true;
    (void)link_send(x, &answer);
    attempts_attach(x);
    executor_settle(x);
    return true;
}

/* False: not what an engine may say now. */
static bool take(struct executor *x, struct str datagram)
{
    struct exec_message m;
    if (exec_decode(datagram, &m) < 0) {
        return false;
    }
    if (m.kind == EXEC_HELLO) {
        return !x->link->greeted && take_hello(x, &m);
    }
    if (!x->link->greeted || (m.kind != EXEC_START && m.kind != EXEC_STOP &&
                              m.kind != EXEC_FORGET && m.kind != EXEC_PIN)) {
        return false;
    }
    attempts_take(x, &m);
    return true;
}

/* True: the connection goes on. */
static bool receive(struct executor *x, int fd)
{
    static char buffer[EXEC_MESSAGE_MAX_BYTES];
    for (int i = 0; i < RECEIVE_BATCH && !is_clogged(x->link); i++) {
        ssize_t n = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT | MSG_TRUNC);
        if (n < 0) {
            return errno == EAGAIN || errno == EINTR;
        }
        if (n == 0 || (size_t)n > sizeof(buffer) ||
            !take(x, str_n(buffer, (size_t)n))) {
            return false;
        }
    }
    return true;
}

static int on_peer(sd_event_source *source, int fd, uint32_t events,
                   void *context)
{
    struct executor *x = context;
    (void)source;
    if ((events & (uint32_t)EPOLLOUT) != 0 && !flush(x)) {
        drop_peer(x);
        return 0;
    }
    if ((events & (uint32_t)(EPOLLIN | EPOLLHUP | EPOLLERR)) != 0 &&
        !receive(x, fd)) {
        drop_peer(x);
        return 0;
    }
    if (link_is_up(x) && list_empty(&x->link->queue)) {
        attempts_pump(x);
    }
    return 0;
}

/* Root, ourselves, and whom the socket's file belongs to: a privileged
 * executor's socket is handed to the engine's user by whoever made it. */
static bool may_connect(const struct link *l, const struct os_peer *peer)
{
    return peer->uid == 0 || peer->uid == geteuid() || peer->uid == l->owner;
}

/* An engine that was welcomed, and whose end of the connection is open. */
static bool has_engine(const struct link *l)
{
    if (l->peer == NULL || !l->greeted) {
        return false;
    }
    struct pollfd p = {.fd = sd_event_source_get_io_fd(l->peer),
                       .events = POLLRDHUP};
    return poll(&p, 1, 0) == 0;
}

/* Nobody comes but engines, one after the other: who else does is somebody to
 * know of. Told once a second, or the telling would be the harm. */
static void tell_newcomer(struct link *l, const struct os_peer *peer, bool let)
{
    uint64_t now_ms = os_monotonic_ms();
    if (!let && l->told_ms != 0 && now_ms - l->told_ms < TELL_MS) {
        return;
    }
    l->told_ms = let ? l->told_ms : now_ms;
    executor_say(let ? LOG_INFO : LOG_WARNING, "process %d of user %u %s",
                 (int)peer->pid, (unsigned)peer->uid,
                 let ? "connects"
                     : "is turned away: it may not connect, or not while "
                       "the engine is connected");
}

static int on_accept(sd_event_source *source, int listener, uint32_t events,
                     void *context)
{
    struct executor *x = context;
    struct os_peer peer = {0};
    (void)source;
    (void)events;
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        return 0; /* it has gone again */
    }
    bool let = os_unix_peer(fd, &peer) == 0 && may_connect(x->link, &peer) &&
               !has_engine(x->link);
    tell_newcomer(x->link, &peer, let);
    if (!let) {
        os_close(fd);
        return 0;
    }
    int size = BUFFER_BYTES;
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    drop_peer(x);
    int e = sd_event_add_io(x->event, &x->link->peer, fd, EPOLLIN, on_peer, x);
    if (e < 0) {
        os_close(fd);
        return 0;
    }
    e = sd_event_source_set_io_fd_own(x->link->peer, true);
    ASSERT(e >= 0);
    executor_settle(x);
    return 0;
}

/* ---- the listening socket
 * ------------------------------------------------------- */

static int bind_socket(const char *path, struct err *reterr)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(address.sun_path)) {
        return err_set(reterr, -ENAMETOOLONG,
                       "executor.socket: the path is over %zu bytes: %s",
                       sizeof(address.sun_path) - 1, path);
    }
    memcpy(address.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return err_set(reterr, -errno, "cannot make a socket: %s",
                       strerror(errno));
    }
    /* We hold the lock of the spool: whoever left this socket is gone. */
    (void)unlink(path);
    mode_t mask = umask(0177);
    int r = bind(fd, (const struct sockaddr *)&address, sizeof(address));
    int e = errno;
    (void)umask(mask);
    if (r < 0 || listen(fd, 16) < 0) {
        e = r < 0 ? e : errno;
        os_close(fd);
        return err_set(reterr, -e, "cannot listen on %s: %s", path,
                       strerror(e));
    }
    return fd;
}

/* The socket that systemd made for us. */
static int take_socket(struct link *l, int passed, struct err *reterr)
{
    int fd = SD_LISTEN_FDS_START;
    struct sockaddr_un address = {.sun_family = AF_UNSPEC};
    socklen_t len = sizeof(address) - 1; /* a NUL stays behind the path */
    struct stat st;
    if (passed != 1 || sd_is_socket_unix(fd, SOCK_SEQPACKET, 1, NULL, 0) <= 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) < 0) {
        return err_set(reterr, -EINVAL,
                       "the socket unit must pass one listening socket of "
                       "ListenSequentialPacket=");
    }
    int e = os_set_nonblock(fd);
    if (e < 0) {
        return err_set(reterr, e, "cannot use the socket: %s", strerror(-e));
    }
    l->listener = fd;
    if (address.sun_path[0] == '/' && lstat(address.sun_path, &st) == 0) {
        l->owner = st.st_uid;
    }
    return 0;
}

int link_open(struct executor *x, struct err *reterr)
{
    struct link *l = MEM_NEW(struct link);
    list_init(&l->queue);
    l->listener = -1;
    x->link = l;
    l->owner = geteuid();
    int passed = sd_listen_fds(1);
    if (passed > 0) {
        int e = take_socket(l, passed, reterr);
        if (e < 0) {
            return e;
        }
    } else {
        int fd = bind_socket(x->options.socket_path, reterr);
        if (fd < 0) {
            return fd;
        }
        l->listener = fd;
        l->made_socket = true;
    }
    int e = sd_event_add_io(x->event, &l->accept, l->listener, EPOLLIN,
                            on_accept, x);
    return e < 0
               ? err_set(reterr, e, "cannot watch the socket: %s", strerror(-e))
               : 0;
}

void link_close(struct executor *x)
{
    struct link *l = x->link;
    if (l == NULL) {
        return;
    }
    if (l->peer != NULL) {
        (void)flush(x);
    }
    l->peer = sd_event_source_disable_unref(l->peer);
    l->accept = sd_event_source_disable_unref(l->accept);
    clear_queue(l);
    if (l->made_socket) {
        (void)unlink(x->options.socket_path);
    }
    os_close(l->listener);
    mem_free(l);
    x->link = NULL;
}
