#include "integrations/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>

#include "base/assert.h"
#include "base/attr.h"

#define BITS 128

enum verdict {
    DENY,
    ALLOW,
    EMBEDS /* the last 32 bits are an IPv4 address, which decides */
};

/* The first row that fits decides; what fits none is allowed. IPv4 is written
 * as ::ffff:a.b.c.d. */
static const struct {
    const char *prefix;
    unsigned bits;
    enum verdict verdict;
} rows[] = {
    /* IPv4 */
    {"::ffff:0.0.0.0", 104, DENY},          /* "this host": often loopback */
    {"::ffff:169.254.0.0", 112, DENY},      /* link; most clouds' metadata */
    {"::ffff:100.100.100.200", BITS, DENY}, /* metadata: Alibaba */
    {"::ffff:168.63.129.16", BITS, DENY},   /* metadata: Azure */
    {"::ffff:192.0.0.192", BITS, DENY},     /* metadata: Oracle */
    {"::ffff:224.0.0.0", 100, DENY},        /* multicast */
    {"::ffff:240.0.0.0", 100, DENY},        /* reserved, broadcast */
    /* IPv6 */
    {"::1", BITS, ALLOW},
    {"::", 96, DENY},              /* unspecified; IPv4-compatible, obsolete */
    {"::ffff:0:0:0", 96, DENY},    /* IPv4-translated, RFC 2765 */
    {"64:ff9b::", 96, EMBEDS},     /* NAT64 */
    {"64:ff9b:1::", 48, DENY},     /* NAT64 of one's own: where, is not known */
    {"100::", 64, DENY},           /* discarded */
    {"2001::", 32, DENY},          /* Teredo */
    {"2002::", 16, DENY},          /* 6to4 */
    {"fd00:ec2::254", BITS, DENY}, /* metadata: Amazon */
    {"fd20:ce::254", BITS, DENY},  /* metadata: Google */
    {"fe80::", 10, DENY},          /* link */
    {"fec0::", 10, DENY},          /* site, obsolete */
    {"ff00::", 8, DENY},           /* multicast */
};

static bool fits(const struct in6_addr *a, const char *prefix, unsigned bits)
{
    struct in6_addr p;
    int r = inet_pton(AF_INET6, prefix, &p);
    ASSERT(r == 1);
    unsigned whole = bits / 8;
    unsigned rest = bits % 8;
    if (memcmp(a->s6_addr, p.s6_addr, whole) != 0) {
        return false;
    }
    return rest == 0 ||
           (a->s6_addr[whole] ^ p.s6_addr[whole]) >> (8 - rest) == 0;
}

static enum verdict look_up(const struct in6_addr *a)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (fits(a, rows[i].prefix, rows[i].bits)) {
            return rows[i].verdict;
        }
    }
    return ALLOW;
}

/* ::ffff:a.b.c.d */
static struct in6_addr mapped(const void *v4)
{
    struct in6_addr a = IN6ADDR_ANY_INIT;
    a.s6_addr[10] = a.s6_addr[11] = 0xFF;
    memcpy(&a.s6_addr[12], v4, 4);
    return a;
}

bool address_allowed(const struct sockaddr *address)
{
    struct in6_addr a;
    if (address->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, address, sizeof(in));
        a = mapped(&in.sin_addr);
    } else if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, address, sizeof(in6));
        a = in6.sin6_addr;
    } else {
        return false;
    }
    enum verdict verdict = look_up(&a);
    if (verdict == EMBEDS) {
        a = mapped(&a.s6_addr[12]);
        verdict = look_up(&a);
    }
    return verdict == ALLOW;
}
