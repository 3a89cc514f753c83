#include <arpa/inet.h>
#include <string.h>

#include "expr/cel_lib_priv.h"

enum read {
    READ_OK,
    READ_BAD,
    READ_ZONE,
    READ_MAPPED,
};

static enum read read_address(struct str s, struct cel_net *ret)
{
    char text[64];
    struct cel_net n = {0};
    bool has_colon = str_find(s, ':') >= 0;
    if (str_find(s, '%') >= 0) {
        return READ_ZONE;
    }
    if (s.len >= sizeof(text) || (s.len != 0 && memchr(s.at, 0, s.len))) {
        return READ_BAD;
    }
    if (s.len != 0) {
        memcpy(text, s.at, s.len);
    }
    text[s.len] = '\0';
    if (inet_pton(has_colon ? AF_INET6 : AF_INET, text,
                  n.bytes + (has_colon ? 0 : 12)) != 1) {
        return READ_BAD;
    }
    if (has_colon && str_find(s, '.') >= 0) {
        return READ_MAPPED;
    }
    n.is_v4 = !has_colon;
    static const uint8_t mapped[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
    if (has_colon && memcmp(n.bytes, mapped, sizeof(mapped)) == 0) {
        memset(n.bytes, 0, sizeof(mapped));
        n.is_v4 = true;
    }
    *ret = n;
    return READ_OK;
}

static struct cel_value bad_address(struct cel_run *run, enum read why,
                                    struct str s, bool is_cidr)
{
    const char *what = is_cidr ? "CIDR" : "IP Address";
    if (why == READ_ZONE) {
        return cel_fail(run, CEL_FAULT_ARGUMENT,
                        "%s with zone value is not allowed", what);
    }
    if (why == READ_MAPPED) {
        return cel_fail(run, CEL_FAULT_ARGUMENT,
                        "IPv4-mapped IPv6 address is not allowed");
    }
    return cel_fail(run, CEL_FAULT_ARGUMENT,
                    "%s '%.*s' parse error during conversion from string", what,
                    STR_ARG(str_slice(s, 0, 60)));
}

static struct cel_value net_value(struct cel_run *run, enum cel_kind kind,
                                  const struct cel_net *from)
{
    struct cel_net *n = cel_alloc(run, 1, sizeof(*n));
    if (n == NULL) {
        return cel_spent(run);
    }
    *n = *from;
    return (struct cel_value){.kind = kind, .net = n};
}

static struct cel_value to_ip(struct cel_run *run, const struct cel_value *args)
{
    struct cel_net n;
    enum read r = read_address(cel_text(args[0]), &n);
    return r == READ_OK ? net_value(run, CEL_IP, &n)
                        : bad_address(run, r, cel_text(args[0]), false);
}

static struct cel_value same(struct cel_run *run, const struct cel_value *args)
{
    (void)run;
    return args[0];
}

static struct cel_value is_ip(struct cel_run *run, const struct cel_value *args)
{
    struct cel_net n;
    (void)run;
    return cel_bool(read_address(cel_text(args[0]), &n) == READ_OK);
}

static struct cel_value is_canonical(struct cel_run *run,
                                     const struct cel_value *args)
{
    CLEANUP(strbuf_deinit) struct strbuf b = STRBUF_INIT(100);
    struct cel_value v = to_ip(run, args);
    if (v.kind == CEL_ERROR) {
        return v;
    }
    cel_text_net(v, &b);
    return cel_bool(str_eq(strbuf_str(&b), cel_text(args[0])));
}

static enum read read_cidr(struct str s, struct cel_net *ret)
{
    uint64_t prefix = 0;
    ptrdiff_t slash = str_find(s, '/');
    if (slash < 0) {
        return READ_BAD;
    }
    struct str digits = str_slice(s, (size_t)slash + 1, s.len);
    enum read r = read_address(str_slice(s, 0, (size_t)slash), ret);
    if (r != READ_OK) {
        return r;
    }
    bool is_long = str_find(s, ':') >= 0;
    if (is_long && ret->is_v4) {
        return READ_MAPPED;
    }
    if ((digits.len > 1 && digits.at[0] == '0') ||
        str_to_u64(digits, 0, is_long ? 128 : 32, &prefix) < 0) {
        return READ_BAD;
    }
    ret->prefix = (uint8_t)prefix;
    return READ_OK;
}

static struct cel_value to_cidr(struct cel_run *run,
                                const struct cel_value *args)
{
    struct cel_net n;
    enum read r = read_cidr(cel_text(args[0]), &n);
    return r == READ_OK ? net_value(run, CEL_CIDR, &n)
                        : bad_address(run, r, cel_text(args[0]), true);
}

static struct cel_value is_cidr(struct cel_run *run,
                                const struct cel_value *args)
{
    struct cel_net n;
    (void)run;
    return cel_bool(read_cidr(cel_text(args[0]), &n) == READ_OK);
}

/* What kind of address it is. */

static bool all_zero(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (p[i] != 0) {
            return false;
        }
    }
    return true;
}

static bool unspecified(const struct cel_net *n)
{
    return all_zero(n->bytes, 16);
}

static bool loopback(const struct cel_net *n)
{
    return n->is_v4 ? n->bytes[12] == 127
                    : all_zero(n->bytes, 15) && n->bytes[15] == 1;
}

static bool multicast(const struct cel_net *n)
{
    return n->is_v4 ? (n->bytes[12] & 0xF0) == 0xE0 : n->bytes[0] == 0xFF;
}

static bool local_unicast(const struct cel_net *n)
{
    return n->is_v4 ? n->bytes[12] == 169 && n->bytes[13] == 254
                    : n->bytes[0] == 0xFE && (n->bytes[1] & 0xC0) == 0x80;
}

static bool local_multicast(const struct cel_net *n)
{
    return n->is_v4
               ? n->bytes[12] == 224 && n->bytes[13] == 0 && n->bytes[14] == 0
               : n->bytes[0] == 0xFF && (n->bytes[1] & 0x0F) == 2;
}

static bool global_unicast(const struct cel_net *n)
{
    static const uint8_t broadcast[] = {255, 255, 255, 255};
    return !unspecified(n) && !loopback(n) && !multicast(n) &&
           !local_unicast(n) &&
           !(n->is_v4 && memcmp(n->bytes + 12, broadcast, 4) == 0);
}

#define TEST_OF(fn_, test_)                                                    \
    static struct cel_value fn_(struct cel_run *run,                           \
                                const struct cel_value *args)                  \
    {                                                                          \
        (void)run;                                                             \
        return cel_bool(test_(args[0].net));                                   \
    }

TEST_OF(is_unspecified, unspecified)
TEST_OF(is_loopback, loopback)
TEST_OF(is_global_unicast, global_unicast)
TEST_OF(is_local_multicast, local_multicast)
TEST_OF(is_local_unicast, local_unicast)

static struct cel_value family(struct cel_run *run,
                               const struct cel_value *args)
{
    (void)run;
    return cel_int(args[0].net->is_v4 ? 4 : 6);
}

/* Networks */

static bool same_prefix(const struct cel_net *a, const struct cel_net *b,
                        unsigned bits)
{
    size_t base = a->is_v4 ? 12 : 0;
    size_t whole = bits / 8;
    unsigned rest = bits % 8;
    if (a->is_v4 != b->is_v4 ||
        memcmp(a->bytes + base, b->bytes + base, whole) != 0) {
        return false;
    }
    return rest == 0 || ((a->bytes[base + whole] ^ b->bytes[base + whole]) >>
                         (8 - rest)) == 0;
}

static struct cel_value contains_ip(struct cel_run *run,
                                    const struct cel_value *args)
{
    (void)run;
    return cel_bool(same_prefix(args[0].net, args[1].net, args[0].net->prefix));
}

static struct cel_value contains_ip_text(struct cel_run *run,
                                         const struct cel_value *args)
{
    struct cel_value both[2] = {args[0], to_ip(run, &args[1])};
    return both[1].kind == CEL_ERROR ? both[1] : contains_ip(run, both);
}

static struct cel_value contains_cidr(struct cel_run *run,
                                      const struct cel_value *args)
{
    (void)run;
    return cel_bool(args[0].net->prefix <= args[1].net->prefix &&
                    same_prefix(args[0].net, args[1].net, args[0].net->prefix));
}

static struct cel_value contains_cidr_text(struct cel_run *run,
                                           const struct cel_value *args)
{
    struct cel_value both[2] = {args[0], to_cidr(run, &args[1])};
    return both[1].kind == CEL_ERROR ? both[1] : contains_cidr(run, both);
}

static struct cel_value address_of(struct cel_run *run,
                                   const struct cel_value *args)
{
    struct cel_net n = *args[0].net;
    n.prefix = 0;
    return net_value(run, CEL_IP, &n);
}

static struct cel_value masked(struct cel_run *run,
                               const struct cel_value *args)
{
    struct cel_net n = *args[0].net;
    size_t base = n.is_v4 ? 12 : 0;
    for (size_t i = base; i < 16; i++) {
        unsigned first = (unsigned)(i - base) * 8;
        if (first >= n.prefix) {
            n.bytes[i] = 0;
        } else if (first + 8 > n.prefix) {
            n.bytes[i] &= (uint8_t)(0xFFU << (first + 8 - n.prefix));
        }
    }
    return net_value(run, CEL_CIDR, &n);
}

static struct cel_value prefix_length(struct cel_run *run,
                                      const struct cel_value *args)
{
    (void)run;
    return cel_int(args[0].net->prefix);
}

#define S &cel_type_string
#define A &cel_type_ip
#define N &cel_type_cidr
#define B &cel_type_bool

static const struct cel_function rows[] = {
    {"ip", CEL_G, 1, {S}, A, to_ip, "The address that the text writes."},
    {"ip", CEL_G, 1, {A}, A, same, "The address itself."},
    {"isIP", CEL_G, 1, {S}, B, is_ip, "True if the text is an address."},
    {"ip.isCanonical",
     CEL_G,
     1,
     {S},
     B,
     is_canonical,
     "True if the address is written in its shortest form."},
    {"family", CEL_M, 1, {A}, &cel_type_int, family, "4 or 6."},
    {"isUnspecified", CEL_M, 1, {A}, B, is_unspecified, "0.0.0.0 or ::"},
    {"isLoopback", CEL_M, 1, {A}, B, is_loopback, "127.0.0.0/8 or ::1"},
    {"isGlobalUnicast",
     CEL_M,
     1,
     {A},
     B,
     is_global_unicast,
     "One host beyond this link; private networks are among them."},
    {"isLinkLocalMulticast",
     CEL_M,
     1,
     {A},
     B,
     is_local_multicast,
     "224.0.0.0/24 or ff02::/16"},
    {"isLinkLocalUnicast",
     CEL_M,
     1,
     {A},
     B,
     is_local_unicast,
     "169.254.0.0/16 or fe80::/10"},
    {"cidr", CEL_G, 1, {S}, N, to_cidr, "The network that the text writes."},
    {"cidr", CEL_G, 1, {N}, N, same, "The network itself."},
    {"isCIDR", CEL_G, 1, {S}, B, is_cidr, "True if the text is a network."},
    {"containsIP",
     CEL_M,
     2,
     {N, A},
     B,
     contains_ip,
     "True if the address is in the network."},
    {"containsIP",
     CEL_M,
     2,
     {N, S},
     B,
     contains_ip_text,
     "True if the address is in the network."},
    {"containsCIDR",
     CEL_M,
     2,
     {N, N},
     B,
     contains_cidr,
     "True if all of the other network is in it."},
    {"containsCIDR",
     CEL_M,
     2,
     {N, S},
     B,
     contains_cidr_text,
     "True if all of the other network is in it."},
    {"ip", CEL_M, 1, {N}, A, address_of, "The address without the prefix."},
    {"masked",
     CEL_M,
     1,
     {N},
     N,
     masked,
     "With the bits behind the prefix set to 0."},
    {"prefixLength",
     CEL_M,
     1,
     {N},
     &cel_type_int,
     prefix_length,
     "The number of bits of the prefix."},
};

const struct cel_library cel_lib_net = CEL_LIBRARY(rows);
