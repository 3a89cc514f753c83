/*
 * Who has a TCP port of this machine. Any thread.
 */
#pragma once

#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "base/attr.h"

struct os_listener {
    uid_t uid;     /* whose socket it is */
    pid_t pid;     /* one process that holds it; 0: we may not look */
    char name[32]; /* of that process, "" with pid 0; not to be trusted */
};

/* The socket that keeps others from listening on this address (AF_INET or
 * AF_INET6). -ENOENT: there is none, or the kernel does not say. */
NODISCARD int os_listener_find(const struct sockaddr_storage *address,
                               struct os_listener *ret);
