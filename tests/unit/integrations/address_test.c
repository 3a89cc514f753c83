#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include "base/attr.h"
#include "integrations/address.h"

static bool allowed(const char *text)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, text, &in.sin_addr) == 1) {
        return address_allowed((const struct sockaddr *)&in);
    }
    assert_int_equal(inet_pton(AF_INET6, text, &in6.sin6_addr), 1);
    return address_allowed((const struct sockaddr *)&in6);
}

/* Of each row of the table: its edges, and what lies beside them. */
static const char *const bad[] = {
    "0.0.0.0",
    "0.255.255.255",
    "169.254.0.0",
    "169.254.169.254",
    "169.254.255.255",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "224.0.0.0",
    "239.255.255.255",
    "240.0.0.0",
    "255.255.255.255",
    "::ffff:0.0.0.0",
    "::ffff:169.254.169.254",
    "::ffff:100.100.100.200",
    "::ffff:224.0.0.1",
    "::ffff:255.255.255.255",
    "::",
    "::2",
    "::10.0.0.1",
    "::127.0.0.1",
    "::169.254.169.254",
    "::255.255.255.255",
    "::ffff:0:169.254.169.254",
    "::ffff:0:10.0.0.1",
    "64:ff9b::169.254.169.254",
    "64:ff9b::0.0.0.0",
    "64:ff9b::100.100.100.200",
    "64:ff9b::224.0.0.1",
    "64:ff9b:1::1",
    "64:ff9b:1:ffff:ffff:ffff:ffff:ffff",
    "100::1",
    "2001::1",
    "2001:0:ffff:ffff:ffff:ffff:5601:5601",
    "2002::",
    "2002:a9fe:a9fe::1",
    "2002:7f00:1::",
    "fd00:ec2::254",
    "fd20:ce::254",
    "fe80::1",
    "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    "fec0::1",
    "feff::1",
    "ff02::1",
    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
};

static const char *const good[] = {
    "1.0.0.0",
    "10.0.0.1",
    "127.0.0.1",
    "169.253.255.255",
    "169.255.0.0",
    "172.16.0.1",
    "192.168.0.1",
    "192.0.2.1",
    "100.100.100.201",
    "168.63.129.17",
    "192.0.0.193",
    "223.255.255.255",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::1:0:0:0",
    "64:ff9b::8.8.8.8",
    "64:ff9b::10.0.0.1",
    "64:ff9b:0:1::1",
    "64:ff9b:2::1",
    "100:0:0:1::1",
    "2001:1::1",
    "2001:db8::1",
    "2003::1",
    "2a00::1",
    "fc00::1",
    "fd00::1",
    "fd00:ec2::255",
    "fd20:ce::253",
    "fe7f::1",
};

static void each_row(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (allowed(bad[i])) {
            fail_msg("%s is allowed", bad[i]);
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        if (!allowed(good[i])) {
            fail_msg("%s is refused", good[i]);
        }
    }
}

static void other_families(void **state)
{
    (void)state;
    struct sockaddr local = {.sa_family = AF_UNIX};
    assert_false(address_allowed(&local));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_row),
        cmocka_unit_test(other_families),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
