/*
 * Who is at the other end of a local connection. Any thread.
 */
#pragma once

#include <sys/types.h>

#include "base/attr.h"

struct os_peer {
    pid_t pid; /* when it connected; may have ended since */
    uid_t uid;
    gid_t gid;
};

/* The peer of a connected Unix socket, as the kernel noted it at connect. */
NODISCARD int os_unix_peer(int fd, struct os_peer *ret);

/* The uid that owns the client's end of a TCP connection which our end, fd,
 * accepted. Asks the kernel (sock_diag) for the socket whose own address is
 * our peer's and whose peer is our own address, exactly; IPv4, IPv6 and IPv4
 * mapped into IPv6. -ENOENT: no such socket here (the client is on another
 * machine or in another network namespace, or has closed its end already);
 * -ENOTSUP: neither IPv4 nor IPv6, or the kernel lacks sock_diag. Only an
 * answer of 0 identifies anybody. */
NODISCARD int os_peer_uid(int fd, uid_t *ret);
