/*
 * Opening files beneath a folder, so that no path can leave it: the kernel
 * resolves the path and refuses "..", absolute paths, symlinks and the magic
 * links of /proc on the way. Any thread.
 */
#pragma once

#include "base/attr.h"

/* Opens path beneath the folder dirfd, close-on-exec, with these open(2)
 * flags (no O_CREAT). Returns 0 and the descriptor, or -ELOOP (a symlink
 * stands in the path), -EXDEV (the path leaves the folder), or what open(2)
 * says. */
NODISCARD int os_open_beneath(int dirfd, const char *path, int flags, int *ret);
