/*
 * Starts one process in the surroundings that every step gets: a session and
 * process group of its own, /dev/null as input, two pipes as output, nothing
 * else open, a private working folder, umask 077, limits, no new privileges,
 * another user if asked, and exactly the environment given. The executor's
 * thread only.
 */
#pragma once

#include <sys/types.h>

#include "base/err.h"
#include "proc/limits.h"

#define SPAWN_GROUPS_MAX 1024

/* Whom to run as. */
struct spawn_user {
    uid_t uid;
    gid_t gid;
    gid_t *groups; /* supplementary ones; owned */
    int group_count;
    char *home; /* owned */
};

/* Looks the user up; -ENOENT, or the failure of the user database. */
NODISCARD int spawn_user_find(const char *name, struct spawn_user *ret,
                              struct err *reterr);
void spawn_user_deinit(struct spawn_user *u);

struct spawn_request {
    char *const *argv; /* argv[0]: a path, or a name to look for on PATH */
    char *const *env;
    int folder;                    /* working folder */
    int group;                     /* cgroup to be born in; -1: ours */
    const struct spawn_user *user; /* NULL: as we are */
    struct step_limits limits;
};

struct spawned {
    pid_t pid;
    int out; /* read ends, non-blocking */
    int err;
};

/* Starts it, and stands still until the program has begun: 0, and the caller
 * reaps the process and closes the two descriptors. Else there is no process,
 * and a negative errno with the reason: -ENODEV when it could not be born in
 * the group, which has been removed. */
NODISCARD int spawn_start(const struct spawn_request *request,
                          struct spawned *ret, struct err *reterr);

/* Tries whether processes can be born, and live, in this cgroup; 0 or
 * -errno. */
NODISCARD int spawn_probe_group(int group);
