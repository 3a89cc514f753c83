#include "os/peer.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "os/fd.h"

/* Only sockets that a process still holds have an owner: TIME_WAIT and the
 * like report uid 0, which must never pass for root. */
#define STATES_WITH_OWNER                                                      \
    (1U << TCP_ESTABLISHED | 1U << TCP_FIN_WAIT1 | 1U << TCP_FIN_WAIT2 |       \
     1U << TCP_CLOSE_WAIT)
#define ANSWER_SECONDS 2
#define ANSWER_BYTES 8192

int os_unix_peer(int fd, struct os_peer *ret)
{
    struct ucred cred;
    socklen_t len = sizeof(cred);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0) {
        return -errno;
    }
    if (len != sizeof(cred) || cred.pid == 0) {
        return -ENOTSUP;
    }
    *ret = (struct os_peer){cred.pid, cred.uid, cred.gid};
    return 0;
}

/* An address as sock_diag wants it: network order, IPv4 unmapped. */
struct endpoint {
    uint8_t family;
    uint16_t port;
    uint32_t address[4];
};

static int endpoint_of(const struct sockaddr_storage *from,
                       struct endpoint *ret)
{
    memset(ret, 0, sizeof(*ret));
    if (from->ss_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, from, sizeof(in));
        ret->family = AF_INET;
        ret->port = in.sin_port;
        ret->address[0] = in.sin_addr.s_addr;
        return 0;
    }
    if (from->ss_family != AF_INET6) {
        return -ENOTSUP;
    }
    struct sockaddr_in6 in6;
    memcpy(&in6, from, sizeof(in6));
    ret->port = in6.sin6_port;
    if (IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr)) {
        ret->family = AF_INET;
        memcpy(ret->address, &in6.sin6_addr.s6_addr[12], 4);
    } else {
        ret->family = AF_INET6;
        memcpy(ret->address, in6.sin6_addr.s6_addr, 16);
    }
    return 0;
}

static int endpoints(int fd, struct endpoint *own, struct endpoint *peer)
{
    struct sockaddr_storage a;
    struct sockaddr_storage b;
    socklen_t a_len = sizeof(a);
    socklen_t b_len = sizeof(b);
    memset(&a, 0, sizeof(a));
    memset(&b, 0, sizeof(b));
    if (getsockname(fd, (struct sockaddr *)&a, &a_len) < 0 ||
        getpeername(fd, (struct sockaddr *)&b, &b_len) < 0) {
        return -errno;
    }
    int r = endpoint_of(&a, own);
    if (r == 0) {
        r = endpoint_of(&b, peer);
    }
    return r == 0 && own->family != peer->family ? -ENOTSUP : r;
}

struct request {
    struct nlmsghdr head;
    struct inet_diag_req_v2 diag;
};

/* Asks for the one socket whose source is the client and whose destination is
 * our end: the other direction of the same connection is our own socket. */
static int ask(int netlink, uint8_t family, const struct endpoint *client,
               const struct endpoint *server)
{
    struct request q;
    memset(&q, 0, sizeof(q));
    q.head.nlmsg_len = sizeof(q);
    q.head.nlmsg_type = SOCK_DIAG_BY_FAMILY;
    q.head.nlmsg_flags = NLM_F_REQUEST;
    q.diag.sdiag_family = family;
    q.diag.sdiag_protocol = IPPROTO_TCP;
    q.diag.idiag_states = STATES_WITH_OWNER;
    q.diag.id.idiag_sport = client->port;
    q.diag.id.idiag_dport = server->port;
    memcpy(q.diag.id.idiag_src, client->address, sizeof(client->address));
    memcpy(q.diag.id.idiag_dst, server->address, sizeof(server->address));
    q.diag.id.idiag_cookie[0] = INET_DIAG_NOCOOKIE;
    q.diag.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    ssize_t n = sendto(netlink, &q, sizeof(q), 0, (struct sockaddr *)&kernel,
                       sizeof(kernel));
    return n == (ssize_t)sizeof(q) ? 0 : n < 0 ? -errno : -EIO;
}

/* The exact look-up may fall back to a listening socket: take the answer only
 * if it is the connection that was asked for. */
static bool is_the_one(const struct inet_diag_msg *m, size_t words,
                       const struct endpoint *client,
                       const struct endpoint *server)
{
    return m->idiag_state < 32 &&
           (STATES_WITH_OWNER >> m->idiag_state & 1U) != 0 &&
           m->idiag_inode != 0 && m->id.idiag_sport == client->port &&
           m->id.idiag_dport == server->port &&
           memcmp(m->id.idiag_src, client->address, 4 * words) == 0 &&
           memcmp(m->id.idiag_dst, server->address, 4 * words) == 0;
}

static int read_answer(int netlink, const struct endpoint *client,
                       const struct endpoint *server, uid_t *ret)
{
    _Alignas(struct nlmsghdr) char buffer[ANSWER_BYTES];
    ssize_t n = recv(netlink, buffer, sizeof(buffer), 0);
    if (n < 0) {
        return -errno;
    }
    struct nlmsghdr head;
    if ((size_t)n < sizeof(head)) {
        return -EIO;
    }
    memcpy(&head, buffer, sizeof(head));
    size_t body = (size_t)n - NLMSG_HDRLEN;
    if (head.nlmsg_type == NLMSG_ERROR) {
        struct nlmsgerr e;
        if (body < sizeof(e)) {
            return -EIO;
        }
        memcpy(&e, buffer + NLMSG_HDRLEN, sizeof(e));
        return e.error < 0 ? e.error : -ENOENT;
    }
    struct inet_diag_msg m;
    if (head.nlmsg_type != SOCK_DIAG_BY_FAMILY || body < sizeof(m)) {
        return -ENOENT;
    }
    memcpy(&m, buffer + NLMSG_HDRLEN, sizeof(m));
    size_t words = m.idiag_family == AF_INET ? 1 : 4;
    if (!is_the_one(&m, words, client, server)) {
        return -ENOENT;
    }
    *ret = m.idiag_uid;
    return 0;
}

static int look_up(uint8_t family, const struct endpoint *client,
                   const struct endpoint *server, uid_t *ret)
{
    CLEANUP(os_closep)
    int netlink =
        socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    if (netlink < 0) {
        return -ENOTSUP;
    }
    struct timeval limit = {.tv_sec = ANSWER_SECONDS};
    if (setsockopt(netlink, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) <
        0) {
        return -errno;
    }
    int r = ask(netlink, family, client, server);
    return r < 0 ? r : read_answer(netlink, client, server, ret);
}

/* Words of a mapped IPv4 address: ::ffff:a.b.c.d */
static struct endpoint mapped(const struct endpoint *e)
{
    struct endpoint m = *e;
    m.family = AF_INET6;
    m.address[3] = e->address[0];
    m.address[2] = htonl(0xffff);
    m.address[1] = m.address[0] = 0;
    return m;
}

int os_peer_uid(int fd, uid_t *ret)
{
    struct endpoint own = {0};
    struct endpoint peer = {0};
    int r = endpoints(fd, &own, &peer);
    if (r < 0) {
        return r;
    }
    r = look_up(own.family, &peer, &own, ret);
    if (r == -ENOENT && own.family == AF_INET) {
        /* An IPv6 socket that talks IPv4 is listed under IPv6. */
        struct endpoint own6 = mapped(&own);
        struct endpoint peer6 = mapped(&peer);
        r = look_up(AF_INET6, &peer6, &own6, ret);
    }
    return r;
}
