#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/fd.h"
#include "os/peer.h"

#define OTHER_UID 54321

/* A client in a process of its own, because a socket belongs to whom its
 * process was when it made it. */
struct client {
    pid_t pid;
    int leave; /* a byte ends the client */
};

struct pair {
    int listener;
    int served;
    struct client client;
};

static void fill(struct sockaddr_storage *a, socklen_t *len, const char *text,
                 uint16_t port)
{
    memset(a, 0, sizeof(*a));
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6,
                               .sin6_port = htons(port)};
    if (inet_pton(AF_INET, text, &in.sin_addr) == 1) {
        memcpy(a, &in, sizeof(in));
        *len = sizeof(in);
    } else {
        assert_int_equal(inet_pton(AF_INET6, text, &in6.sin6_addr), 1);
        memcpy(a, &in6, sizeof(in6));
        *len = sizeof(in6);
    }
}

/* Listens on a free port; -1 where there is no such family. */
static int listen_on(const char *text, uint16_t *ret_port)
{
    struct sockaddr_storage a;
    socklen_t len = 0;
    fill(&a, &len, text, 0);
    int fd = socket(a.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int off = 0;
    if (fd < 0) {
        return -1;
    }
    if (a.ss_family == AF_INET6) {
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
    }
    if (bind(fd, (struct sockaddr *)&a, len) < 0 || listen(fd, 8) < 0) {
        os_close(fd);
        return -1;
    }
    len = sizeof(a);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    uint16_t port = 0; /* at the same place in both families */
    memcpy(&port, (char *)&a + offsetof(struct sockaddr_in, sin_port), 2);
    *ret_port = ntohs(port);
    return fd;
}

static struct client connect_as(uid_t uid, const char *text, uint16_t port)
{
    int leave[2];
    struct sockaddr_storage a;
    socklen_t len = 0;
    fill(&a, &len, text, port);
    assert_int_equal(os_pipe(leave), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        char c;
        os_close(leave[1]);
        if (uid != getuid() && setresuid(uid, uid, uid) < 0) {
            _exit(1);
        }
        int fd = socket(a.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || connect(fd, (struct sockaddr *)&a, len) < 0) {
            _exit(1);
        }
        (void)!read(leave[0], &c, 1);
        _exit(0);
    }
    os_close(leave[0]);
    return (struct client){.pid = pid, .leave = leave[1]};
}

static void client_leave(struct client *c)
{
    int status = 0;
    assert_int_equal(os_write_all(c->leave, STR("x")), 0);
    os_close(c->leave);
    assert_int_equal(waitpid(c->pid, &status, 0), c->pid);
    assert_int_equal(status, 0);
}

/* False: this machine has no such addresses. */
static bool pair_open(struct pair *p, uid_t uid, const char *server,
                      const char *client)
{
    uint16_t port = 0;
    *p = (struct pair){.listener = listen_on(server, &port), .served = -1};
    if (p->listener < 0) {
        return false;
    }
    p->client = connect_as(uid, client, port);
    p->served = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(p->served >= 0);
    return true;
}

static void pair_close(struct pair *p)
{
    client_leave(&p->client);
    os_close(p->served);
    os_close(p->listener);
}

static void expect_uid(uid_t uid, const char *server, const char *client)
{
    struct pair p;
    uid_t found = (uid_t)-1;
    if (!pair_open(&p, uid, server, client)) {
        skip();
    }
    assert_int_equal(os_peer_uid(p.served, &found), 0);
    assert_int_equal(found, uid);
    pair_close(&p);
}

static void ipv4_clients_are_known(void **state)
{
    (void)state;
    expect_uid(getuid(), "127.0.0.1", "127.0.0.1");
}

static void ipv6_clients_are_known(void **state)
{
    (void)state;
    expect_uid(getuid(), "::1", "::1");
}

static void mapped_clients_are_known(void **state)
{
    (void)state;
    expect_uid(getuid(), "::", "127.0.0.1");
    expect_uid(getuid(), "127.0.0.1", "::ffff:127.0.0.1");
}

/* Our own end of the connection belongs to root here: the answer must be about
 * the other one. */
static void another_user_is_told_apart(void **state)
{
    (void)state;
    if (getuid() != 0) {
        skip();
    }
    expect_uid(OTHER_UID, "127.0.0.1", "127.0.0.1");
    expect_uid(OTHER_UID, "::1", "::1");
    expect_uid(OTHER_UID, "::", "127.0.0.1");
    expect_uid(OTHER_UID, "127.0.0.1", "::ffff:127.0.0.1");
}

/* What is left of a closed connection has no owner, and the kernel says 0 for
 * that: it must not pass for root. */
static void who_has_left_is_nobody(void **state)
{
    (void)state;
    struct pair p;
    uid_t found = 4711;
    assert_true(pair_open(&p, getuid(), "127.0.0.1", "127.0.0.1"));
    client_leave(&p.client);
    char c;
    assert_int_equal(read(p.served, &c, 1), 0);
    assert_int_equal(os_peer_uid(p.served, &found), -ENOENT);
    assert_int_equal(found, 4711);
    os_close(p.served);
    os_close(p.listener);
}

static void many_connections_are_kept_apart(void **state)
{
    (void)state;
    enum { COUNT = 8 };
    struct client clients[COUNT];
    int served[COUNT];
    uint16_t port = 0;
    int listener = listen_on("127.0.0.1", &port);
    assert_true(listener >= 0);
    for (unsigned i = 0; i < COUNT; i++) {
        uid_t uid = getuid() == 0 ? OTHER_UID + i : getuid();
        clients[i] = connect_as(uid, "127.0.0.1", port);
        served[i] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        assert_true(served[i] >= 0);
    }
    for (unsigned i = 0; i < COUNT; i++) {
        uid_t found = (uid_t)-1;
        assert_int_equal(os_peer_uid(served[i], &found), 0);
        assert_int_equal(found, getuid() == 0 ? OTHER_UID + i : getuid());
    }
    for (unsigned i = 0; i < COUNT; i++) {
        client_leave(&clients[i]);
        os_close(served[i]);
    }
    os_close(listener);
}

static void only_tcp_is_answered(void **state)
{
    (void)state;
    int both[2];
    uid_t found = 0;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, both), 0);
    assert_int_equal(os_peer_uid(both[0], &found), -ENOTSUP);
    os_close(both[0]);
    os_close(both[1]);
    assert_int_equal(os_peer_uid(-1, &found), -EBADF);
    uint16_t port = 0;
    int listener = listen_on("127.0.0.1", &port);
    assert_int_equal(os_peer_uid(listener, &found), -ENOTCONN);
    os_close(listener);
}

static void unix_peers_are_known(void **state)
{
    (void)state;
    int both[2];
    struct os_peer peer;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, both), 0);
    assert_int_equal(os_unix_peer(both[0], &peer), 0);
    assert_int_equal(peer.pid, getpid());
    assert_int_equal(peer.uid, geteuid());
    assert_int_equal(peer.gid, getegid());
    os_close(both[0]);
    os_close(both[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ipv4_clients_are_known),
        cmocka_unit_test(ipv6_clients_are_known),
        cmocka_unit_test(mapped_clients_are_known),
        cmocka_unit_test(another_user_is_told_apart),
        cmocka_unit_test(who_has_left_is_nobody),
        cmocka_unit_test(many_connections_are_kept_apart),
        cmocka_unit_test(only_tcp_is_answered),
        cmocka_unit_test(unix_peers_are_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
