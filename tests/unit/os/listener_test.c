#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "os/listener.h"

static struct sockaddr_storage address(const char *text, uint16_t port)
{
    struct sockaddr_storage a;
    memset(&a, 0, sizeof(a));
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6,
                               .sin6_port = htons(port)};
    if (inet_pton(AF_INET, text, &in.sin_addr) == 1) {
        memcpy(&a, &in, sizeof(in));
    } else {
        assert_int_equal(inet_pton(AF_INET6, text, &in6.sin6_addr), 1);
        memcpy(&a, &in6, sizeof(in6));
    }
    return a;
}

/* Takes a free port of the address; -1 where there is no such family. */
static int take(const char *text, bool listens, uint16_t *ret_port)
{
    struct sockaddr_storage a = address(text, 0);
    socklen_t len = sizeof(a);
    int fd = socket(a.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 ||
        bind(fd, (struct sockaddr *)&a,
             a.ss_family == AF_INET ? sizeof(struct sockaddr_in)
                                    : sizeof(struct sockaddr_in6)) < 0) {
        return -1;
    }
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    struct sockaddr_in6 in;
    memcpy(&in, &a, sizeof(in)); /* the port is at the same place in both */
    *ret_port = ntohs(in.sin6_port);
    assert_int_equal(listens ? listen(fd, 1) : 0, 0);
    return fd;
}

static void assert_ours(const char *text, uint16_t port)
{
    struct sockaddr_storage a = address(text, port);
    struct os_listener l;
    assert_int_equal(os_listener_find(&a, &l), 0);
    assert_int_equal(l.pid, getpid());
    assert_int_equal(l.uid, geteuid());
    assert_string_equal(l.name, "unit-os-listene"); /* the kernel cuts it */
}

static void assert_nobody(const char *text, uint16_t port)
{
    struct sockaddr_storage a = address(text, port);
    struct os_listener l;
    assert_int_equal(os_listener_find(&a, &l), -ENOENT);
}

static void test_the_same_address(void **state)
{
    uint16_t port = 0;
    int fd = take("127.0.0.1", true, &port);
    (void)state;
    assert_ours("127.0.0.1", port);
    assert_ours("0.0.0.0", port);
    assert_nobody("127.0.0.2", port);
    assert_nobody("127.0.0.1", 0);
    close(fd);
    assert_nobody("127.0.0.1", port);
}

static void test_any_address(void **state)
{
    uint16_t port = 0;
    int fd = take("0.0.0.0", true, &port);
    (void)state;
    assert_ours("127.0.0.1", port);
    close(fd);
}

static void test_ipv6(void **state)
{
    uint16_t port = 0;
    int fd = take("::1", true, &port);
    (void)state;
    if (fd < 0) {
        skip();
    }
    assert_ours("::1", port);
    assert_ours("::", port);
    assert_nobody("127.0.0.1", port);
    close(fd);
    fd = take("::", true, &port);
    assert_ours("127.0.0.1", port);
    close(fd);
}

static void test_who_only_has_it_is_not_listening(void **state)
{
    uint16_t port = 0;
    int fd = take("127.0.0.1", false, &port);
    (void)state;
    assert_nobody("127.0.0.1", port);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_same_address),
        cmocka_unit_test(test_any_address),
        cmocka_unit_test(test_ipv6),
        cmocka_unit_test(test_who_only_has_it_is_not_listening),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
