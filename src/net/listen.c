#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/str.h"
#include "net/http_priv.h"
#include "os/fd.h"
#include "os/listener.h"

#define BACKLOG 4096 /* the kernel makes it net.core.somaxconn at most */
#define PEM_MAX_BYTES (1024UL * 1024)

bool http_is_loopback(const uint8_t address[16])
{
    static const uint8_t v6[16] = {[15] = 1};
    static const uint8_t mapped[12] = {[10] = 0xFF, [11] = 0xFF};
    return memcmp(address, v6, 16) == 0 ||
           (memcmp(address, mapped, 12) == 0 && address[12] == 127);
}

/* "host:port" or "[host]:port" into its two parts. */
static int split_listen(const char *listen, char host[64], char port[8])
{
    struct str s = str_c(listen);
    ptrdiff_t colon = -1;
    for (size_t i = 0; i < s.len; i++) {
        if (s.at[i] == ':') {
            colon = (ptrdiff_t)i;
        }
    }
    if (colon < 0) {
        return -EINVAL;
    }
    struct str h = str_slice(s, 0, (size_t)colon);
    struct str p = str_slice(s, (size_t)colon + 1, s.len);
    if (str_starts(h, STR("[")) && str_ends(h, STR("]"))) {
        h = str_slice(h, 1, h.len - 1);
    } else if (str_find(h, ':') >= 0) {
        return -EINVAL;
    }
    uint64_t number = 0;
    if (str_eq(h, STR("localhost"))) {
        h = STR("127.0.0.1");
    }
    if (h.len == 0 || h.len >= 64 || p.len >= 8 ||
        str_to_u64(p, 0, UINT16_MAX, &number) < 0) {
        return -EINVAL;
    }
    memcpy(host, h.at, h.len);
    host[h.len] = '\0';
    memcpy(port, p.at, p.len);
    port[p.len] = '\0';
    return 0;
}

static int resolve(const char *listen, struct sockaddr_storage *ret,
                   socklen_t *ret_len, struct err *reterr)
{
    char host[64];
    char port[8];
    struct addrinfo want = {.ai_family = AF_UNSPEC,
                            .ai_socktype = SOCK_STREAM,
                            .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    if (split_listen(listen, host, port) < 0 ||
        getaddrinfo(host, port, &want, &found) != 0) {
        err_field(reterr, "server.listen");
        err_hint(reterr, "use an address and a port, as in 127.0.0.1:9000 or "
                         "[::1]:9000");
        return err_set(reterr, -EINVAL,
                       "\"%s\" is not an address to listen "
                       "on",
                       listen);
    }
    memcpy(ret, found->ai_addr, found->ai_addrlen);
    *ret_len = found->ai_addrlen;
    freeaddrinfo(found);
    return 0;
}

static bool is_loopback(const struct sockaddr_storage *sa)
{
    uint8_t address[16] = {[10] = 0xFF, [11] = 0xFF};
    if (sa->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const void *)sa;
        memcpy(address, &in6->sin6_addr, 16);
    } else {
        const struct sockaddr_in *in = (const void *)sa;
        memcpy(address + 12, &in->sin_addr, 4);
    }
    return http_is_loopback(address);
}

static int check_exposure(const struct http_options *o, struct err *reterr)
{
    if (o->insecure || (o->has_tokens && o->tls_certificate != NULL)) {
        return 0;
    }
    err_field(reterr, "server.listen");
    err_hint(reterr, "set server.tls and security.tokens, or server.insecure: "
                     "true if something else protects it");
    return err_set(reterr, -EINVAL,
                   "%s can be reached from other machines, which needs %s",
                   o->listen,
                   o->has_tokens                ? "TLS"
                   : o->tls_certificate != NULL ? "access tokens"
                                                : "TLS and access tokens");
}

static uint16_t bound_port(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    } sa = {.in6 = {0}};
    socklen_t len = sizeof(sa);
    ASSERT(getsockname(fd, &sa.any, &len) == 0);
    return ntohs(sa.any.sa_family == AF_INET6 ? sa.in6.sin6_port
                                              : sa.in.sin_port);
}

/* Is it the listening socket of that address? With port 0 any port will do. */
static bool listens_on(int fd, const struct sockaddr_storage *want)
{
    int listens = 0;
    socklen_t len = sizeof(listens);
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) < 0 ||
        listens == 0) {
        return false;
    }
    struct sockaddr_storage is = {0};
    len = sizeof(is);
    if (getsockname(fd, (struct sockaddr *)&is, &len) < 0 ||
        is.ss_family != want->ss_family) {
        return false;
    }
    if (is.ss_family == AF_INET6) {
        const struct sockaddr_in6 *a = (const void *)&is;
        const struct sockaddr_in6 *b = (const void *)want;
        return memcmp(&a->sin6_addr, &b->sin6_addr, 16) == 0 &&
               (b->sin6_port == 0 || a->sin6_port == b->sin6_port);
    }
    const struct sockaddr_in *a = (const void *)&is;
    const struct sockaddr_in *b = (const void *)want;
    return a->sin_addr.s_addr == b->sin_addr.s_addr &&
           (b->sin_port == 0 || a->sin_port == b->sin_port);
}

static int open_listening(const struct sockaddr_storage *sa, socklen_t len,
                          int *ret)
{
    int one = 1;
    int fd =
        socket(sa->ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    /* No delay: accepted sockets inherit it. */
    if (fd < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) < 0 ||
        bind(fd, (const struct sockaddr *)sa, len) < 0 ||
        listen(fd, BACKLOG) < 0) {
        int r = -errno;
        if (fd >= 0) {
            close(fd);
        }
        return r;
    }
    *ret = fd;
    return 0;
}

/* The kept socket as ours; false, and it is closed, when it is another's. */
static bool adopt(int kept_fd, const struct sockaddr_storage *sa)
{
    if (kept_fd <= 0) {
        return false;
    }
    if (listens_on(kept_fd, sa) && os_set_nonblock(kept_fd) == 0) {
        return true;
    }
    close(kept_fd);
    return false;
}

/* Says who has the address, as far as we may know. */
static int is_taken(const char *listen, const struct sockaddr_storage *sa,
                    struct err *reterr)
{
    struct os_listener holder;
    struct strbuf who = STRBUF_INIT(256);
    if (os_listener_find(sa, &holder) < 0) {
        strbuf_addc(&who, "another program has it");
    } else if (holder.pid != 0) {
        strbuf_add_visible(&who, str_c(holder.name));
        strbuf_addf(&who, " (pid %d) has it", (int)holder.pid);
    } else {
        strbuf_addf(&who, "a program of the user id %u has it",
                    (unsigned)holder.uid);
    }
    err_hint(reterr, "stop that program, or set another port in server.listen");
    int r = err_set(reterr, -EADDRINUSE, "cannot listen on %s: %s", listen,
                    strbuf_str(&who).at);
    strbuf_deinit(&who);
    return r;
}

int http_listen(const struct http_options *o, struct http_listener *ret,
                struct err *reterr)
{
    struct sockaddr_storage sa = {0};
    socklen_t len = 0;
    int r = resolve(o->listen, &sa, &len, reterr);
    if (r == 0 && !is_loopback(&sa)) {
        r = check_exposure(o, reterr);
    }
    if (r < 0) {
        return r;
    }
    int fd = o->kept_fd;
    bool was_kept = adopt(fd, &sa);
    if (!was_kept) {
        r = open_listening(&sa, len, &fd);
    }
    if (r < 0) {
        err_field(reterr, "server.listen");
        return r == -EADDRINUSE ? is_taken(o->listen, &sa, reterr)
                                : err_set(reterr, r, "cannot listen on %s: %s",
                                          o->listen, strerror(-r));
    }
    *ret = (struct http_listener){fd, bound_port(fd), was_kept};
    return 0;
}

int http_bind(const struct http_options *options, struct http_listener *ret,
              struct err *reterr)
{
    int r =
        options->tls_certificate != NULL && options->tls_key != NULL
            ? http_check_tls(options->tls_certificate, options->tls_key, reterr)
            : 0;
    return r < 0 ? r : http_listen(options, ret, reterr);
}

int http_read_pem(const char *path, char **ret, struct err *reterr)
{
    /* Not os_read_file: certificates are often reached through symlinks. */
    CLEANUP(os_closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    struct strbuf text = STRBUF_INIT(PEM_MAX_BYTES);
    int r = fd < 0 ? -errno : os_read_all(fd, &text);
    if (r == 0 && text.len == 0) {
        r = -EINVAL;
    }
    if (r < 0) {
        strbuf_deinit(&text);
        return err_set(reterr, r, "cannot read %s: %s", path, strerror(-r));
    }
    *ret = strbuf_take(&text);
    return 0;
}
