/*
 * The executor: a small process without network that starts steps, watches
 * them, stops them, and keeps what they wrote and how they ended until the
 * engine has stored it. It outlives an engine crash. It trusts the runbook
 * repository on disk and its own configuration, never the engine: a START is
 * checked against the runbook with that hash, read from disk by itself, and
 * the values against the runbook's own parameter declarations.
 *
 * One thread, one sd-event loop. docs: doc/internals/proc.md.
 */
#pragma once

#include <stdbool.h>

#include "base/err.h"
#include "proc/limits.h"

/* A user that a runbook may name in run_as. */
struct executor_run_as {
    const char *user;
    /* Globs of repository paths, NULL-terminated; NULL: every runbook, unless
     * the user is root in all but name. */
    const char *const *runbooks;
};

/* Root's; where the configuration has it now; where it had it when this life
 * began, because whoever has put that on does not know of another one. */
enum executor_switch {
    EXECUTOR_SWITCH_ROOT,
    EXECUTOR_SWITCH_NOW,
    EXECUTOR_SWITCH_FIRST,
    EXECUTOR_SWITCHES
};

/* What the configuration says to an executor. The places are fixed for its
 * life; the rest is asked for again whenever an engine connects. */
struct executor_options {
    const char *socket_path; /* made by us, mode 0600, or passed by systemd */
    const char *repository;  /* runbook folder */
    const char *spool;       /* our own folder: outcomes that must outlive us */
    const char *work;        /* steps run in private folders below this */
    const char *default_user; /* run steps as this user; NULL: as we are */
    /* The last one's user is NULL; NULL: nobody. */
    const struct executor_run_as *run_as_allowed;
    uint32_t max_running;       /* steps at a time; more are refused */
    uint64_t output_keep_bytes; /* per attempt: head and tail are kept */
    struct step_limits limits;
    uint64_t idle_exit_ms; /* without engine and work: end; 0: never */
    uint64_t hang_ms;      /* after SIGKILL, until a step is given up
                              that does not end; 0: the default */
    uint64_t withdrawn_ms; /* how long a workflow that has not begun may
                              use a version that the repository has no
                              more; 0: the default */
    uint64_t look_ms;      /* so often it looks whether what it has seen of
                              the repository is still there; 0: the default */
    /* Files: nothing begins while one of them exists; NULL: none
     * (os/kill_switch.h). */
    const char *kill_switches[EXECUTOR_SWITCHES];
    bool unknown_keys_warn; /* in runbooks: not an error */
    /* Reads the configuration again; NULL: never. What it gives stays valid
     * until it is called again. Negative: nothing changes, and the reason has
     * been told. */
    int (*refresh)(void *context, struct executor_options *ret);
    void *context;
};

#define EXECUTOR_OUTPUT_KEEP_BYTES (1024 * 1024)
#define EXECUTOR_HANG_MS 30000
#define EXECUTOR_WITHDRAWN_MS 3600000

/* Runs until SIGTERM or idle exit. Returns 0, or a negative errno with the
 * reason (socket in use by another executor: -EADDRINUSE). Returns in a child:
 * the calling process stays behind as its guard (guard.c) and ends with the
 * child's status, unless it is a systemd unit's own. */
NODISCARD int executor_run(const struct executor_options *options,
                           struct err *reterr);

/* Whether only root, or the user that we are, could have written the file or
 * folder: by its owner and mode, and those of all that lead to it. 0, or a
 * negative errno (-EPERM) with what is to be mended. */
NODISCARD int executor_trusts_file(const char *path, struct err *reterr);
