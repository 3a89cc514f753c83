/*
 * What another user may read here, as the kernel decides it: modes, groups and
 * access lists. For root; the calling thread looks with the other's rights for
 * a moment and is itself again.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/attr.h"

struct os_eyes {
    uid_t uid;
    gid_t gid;
    const gid_t *groups; /* supplementary ones */
    size_t group_count;
};

/* 0: the user may open the file or folder to read it. -EACCES: `ret` has the
 * path that keeps it from that, the file or a folder above it (*ret_folder).
 * Another error: why nothing can be said. `path` is absolute. */
NODISCARD int os_eyes_read(const struct os_eyes *who, const char *path,
                           char *ret, size_t size, bool *ret_folder);
