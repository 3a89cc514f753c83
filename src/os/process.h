/*
 * Other processes: what /proc says of them, and signals that cannot hit a
 * process that got a reused number. Any thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attr.h"
#include "base/str.h"

struct os_process {
    pid_t pid;
    pid_t parent;
    pid_t session;
    char state;           /* as ps shows it: R, S, D, Z, … */
    uint64_t start_ticks; /* since boot; with pid it names a process for good */
};

/* Reads /proc/PID/stat; -ESRCH: no such process. */
NODISCARD int os_process_read(pid_t pid, struct os_process *ret);

/* Whose process it is: its effective user. The owner of its folder in /proc
 * says something else for a process that hides its memory. -ESRCH: no such
 * process. */
NODISCARD int os_process_user(pid_t pid, uid_t *ret);

/* Calls fn for each process there is; false from fn ends it. 0 or -errno. */
NODISCARD int os_process_each(bool (*fn)(void *context,
                                         const struct os_process *p),
                              void *context);

/* True if the environment that the process was started with holds the entry
 * ("NAME=value"). False as well when we may not look. */
bool os_process_has_env(pid_t pid, struct str entry);

/* Sends the signal if the process is still the one that was started then;
 * -ESRCH if not. */
NODISCARD int os_process_signal(const struct os_process *p, int signal);
