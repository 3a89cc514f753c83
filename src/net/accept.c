#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/http_priv.h"
#include "os/peer.h"

/* Connections are accepted here and not by MHD: who comes is known before it
 * is decided who has to go. When all places are taken, accepting goes on, and
 * the connection that has been idle longest, of those who have not proved who
 * they are, gives way. */

/* Out of descriptors or memory: accepting rests, for it would fail at once
 * again and the loop would never sleep. */
#define REST_MS 100

union address {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
};

static void address_of(const union address *from, uint8_t ret[16])
{
    memset(ret, 0, 16);
    if (from->any.sa_family == AF_INET6) {
        memcpy(ret, &from->in6.sin6_addr, 16);
    } else if (from->any.sa_family == AF_INET) {
        ret[10] = ret[11] = 0xFF;
        memcpy(ret + 12, &from->in.sin_addr, 4);
    }
}

struct http_source http_source_of(const uint8_t address[16], bool uid_known,
                                  uid_t uid)
{
    static const uint8_t mapped[12] = {[10] = 0xFF, [11] = 0xFF};
    struct http_source s = {.kind = SOURCE_ADDRESS};
    if (http_is_loopback(address)) {
        s.kind = uid_known ? SOURCE_USER : SOURCE_NOBODY;
        memcpy(s.at, &uid, uid_known ? sizeof(uid) : 0);
    } else if (memcmp(address, mapped, sizeof(mapped)) == 0) {
        memcpy(s.at, address, sizeof(s.at));
    } else {
        memcpy(s.at, address, 8);
    }
    return s;
}

static bool same_source(const struct http_source *a,
                        const struct http_source *b)
{
    return a->kind == b->kind && memcmp(a->at, b->at, sizeof(a->at)) == 0;
}

static void meet(struct http_server *s, int fd, const union address *from,
                 struct http_peer *ret)
{
    const struct http_handler *h = &s->options.handler;
    memset(ret, 0, sizeof(*ret));
    address_of(from, ret->address);
    ret->loopback = http_is_loopback(ret->address);
    ret->uid_result = ret->loopback ? os_peer_uid(fd, &ret->uid) : -EPERM;
    bool known = ret->uid_result == 0;
    ret->source = http_source_of(ret->address, known, ret->uid);
    ret->admin =
        known && (h->admits == NULL || h->admits(h->context, ret->uid));
}

/* ---- places ---------------------------------------------------------------
 */

/* How readily a connection is given up; the lower, the sooner. */
enum rank { RANK_STRANGER, RANK_IDLE, RANK_ADMIN_IDLE, RANKS };

static enum rank rank_of(const struct http_conn *c)
{
    bool idle = c->phase == PHASE_IDLE || c->phase == PHASE_FRESH;
    bool at_work = c->phase == PHASE_ANSWER || c->phase == PHASE_STREAM;
    if (c->peer.admin) {
        return idle ? RANK_ADMIN_IDLE : RANKS;
    }
    if (c->trusted) {
        return idle ? RANK_IDLE : RANKS;
    }
    return at_work ? RANKS : RANK_STRANGER;
}

struct survey {
    unsigned open;
    unsigned same; /* of the newcomer's source */
    struct http_conn *oldest_same;
    struct http_conn *oldest;
};

/* Of two that may go: the one of the lower rank, then the one that has been
 * as it is for longer. */
static struct http_conn *sooner(struct http_conn *a, struct http_conn *b)
{
    if (a == NULL) {
        return b;
    }
    enum rank ra = rank_of(a);
    enum rank rb = rank_of(b);
    return rb < ra || (rb == ra && b->since_ms < a->since_ms) ? b : a;
}

/* A proxy on this machine is one local user and speaks for many: those who
 * have proved who they are do not use up its places. */
static bool counts_for_its_source(const struct http_conn *c)
{
    return c->peer.source.kind == SOURCE_ADDRESS || !c->trusted;
}

static void survey(struct http_server *s, const struct http_peer *p,
                   struct survey *ret)
{
    enum rank limit = p->admin ? RANKS : RANK_ADMIN_IDLE;
    memset(ret, 0, sizeof(*ret));
    LIST_EACH (&s->conns, it) {
        struct http_conn *c = CONTAINER_OF(it, struct http_conn, link);
        if (c->closing) {
            continue;
        }
        bool same = same_source(&c->peer.source, &p->source);
        ret->open++;
        ret->same += same && counts_for_its_source(c);
        if (rank_of(c) >= limit) {
            continue;
        }
        ret->oldest = sooner(ret->oldest, c);
        if (same) {
            ret->oldest_same = sooner(ret->oldest_same, c);
        }
    }
}

void http_close(struct http_conn *c)
{
    c->closing = true;
    (void)shutdown(c->fd, SHUT_RDWR); /* MHD sees the end and closes */
}

static bool give_up(struct http_conn *c)
{
    if (c != NULL) {
        http_close(c);
    }
    return c != NULL;
}

/* A source that comes again and again gets nothing by it, and is cheap. */
static bool has_had_its_turn(const struct http_server *s,
                             const struct http_conn *c)
{
    return c != NULL && s->now_ms - c->since_ms >= HTTP_TURN_MS;
}

/* The last places are kept for those who can mend what fills the others. */
static bool make_room(struct http_server *s, const struct http_peer *p)
{
    const struct http_limits *l = &s->options.limits;
    struct survey found;
    survey(s, p, &found);
    if (!p->admin && found.same >= l->per_source) {
        return has_had_its_turn(s, found.oldest_same) &&
               give_up(found.oldest_same);
    }
    if (found.open + (p->admin ? 0 : l->reserved) < l->connections) {
        return true;
    }
    return give_up(found.oldest);
}

/* ---- accepting ------------------------------------------------------------
 */

static void take(struct http_server *s, int fd, const union address *from,
                 socklen_t len)
{
    struct http_peer p;
    meet(s, fd, from, &p);
    if (!make_room(s, &p)) {
        close(fd);
        return;
    }
    s->newcomer = &p;
    /* Calls http_on_connection; closes fd when it fails. */
    (void)MHD_add_connection(s->daemon, fd, &from->any, len);
    s->newcomer = NULL;
}

static void rest(struct http_server *s)
{
    struct http_peer anybody = {.admin = false};
    struct survey found;
    survey(s, &anybody, &found);
    (void)give_up(found.oldest);
    s->rest_until_ms = s->now_ms + REST_MS;
}

bool http_may_accept(const struct http_server *s)
{
    return s->now_ms >= s->rest_until_ms &&
           (!s->ending || s->options.accepts_to_the_end);
}

void http_accept(struct http_server *s)
{
    for (int i = 0; http_may_accept(s) && i < HTTP_ACCEPT_BATCH; i++) {
        union address from = {.in6 = {0}};
        socklen_t len = sizeof(from);
        int fd = accept4(s->listen_fd, &from.any, &len,
                         SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            take(s, fd, &from, len);
        } else if (errno == EAGAIN) {
            return;
        } else if (errno != ECONNABORTED && errno != EINTR) {
            rest(s);
        }
    }
}
