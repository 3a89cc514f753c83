/*
 * Who holds a lock file: the process whose number stands in it, since when,
 * and as what it was started. For people; what another has written there is
 * not to be trusted. Any thread.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "base/strbuf.h"

#define OS_HOLDER_COMMAND_SIZE 64

struct os_holder {
    pid_t pid;         /* 0: unknown */
    uint64_t since_ms; /* when the number was written; 0: unknown */
    char command[OS_HOLDER_COMMAND_SIZE]; /* "autonomous-devops serve"; "" when
                                             the process is not there, not
                                             shown or another's */
};

/* Reads the lock file at fd, wherever that stands. Unknown is an answer. */
void os_holder_read(int fd, struct os_holder *ret);

/* Appends "pid 4521, autonomous-devops serve, since 2026-11-28T10:31:02Z", or
 * as much of it as is known. */
void os_holder_add(const struct os_holder *h, struct strbuf *out);
