/*
 * Control groups (version 2) as a way to hold a tree of processes: a group
 * per tree, made below the group that this process runs in. No controller is
 * needed or used. Hybrid hosts, where version 2 is mounted beside version 1,
 * are fine. Not thread-safe: one thread owns a group.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/str.h"

#define OS_CGROUP_PATH_MAX 1024

/* Writes the folder of our own group ("/sys/fs/cgroup/…") into path. -ENOTSUP:
 * no version 2 hierarchy is mounted where we could see our group. */
NODISCARD int os_cgroup_own(char path[OS_CGROUP_PATH_MAX]);

/* Makes the group `name` below the folder and opens it. -EACCES, -EROFS: not
 * delegated to us; -ENOTSUP: the kernel cannot kill a group at once (older
 * than 5.14), so groups are of no use to us. */
NODISCARD int os_cgroup_make(const char *folder, const char *name, int *ret);

/* Opens the group at path; -ENOENT. */
NODISCARD int os_cgroup_open(const char *path, int *ret);

/* 1: a process lives in the group or below it; 0: none. */
NODISCARD int os_cgroup_populated(int cgroup);

/* Kills everything in the group and below it, including what is forked while
 * the kernel is at it. */
NODISCARD int os_cgroup_kill(int cgroup);

/* Calls fn with each process of the group itself (not of groups below it)
 * and returns how many. */
NODISCARD int os_cgroup_each(int cgroup, void (*fn)(void *context, pid_t pid),
                             void *context);

/* Removes the group `name` below the open folder, and groups that a process
 * made below it, if they are empty; 0, -EBUSY, -ENOENT. */
NODISCARD int os_cgroup_remove(int folder, const char *name);
