/*
 * File descriptors and small files. Everything here opens with close-on-exec.
 * Any thread.
 */
#pragma once

#include <sys/types.h>

#include "base/attr.h"
#include "base/str.h"
#include "base/strbuf.h"

/* Closes fd unless it is negative; errno is kept. */
void os_close(int fd);

/* For CLEANUP(os_closep) on an int that holds a descriptor or -1. */
void os_closep(int *fd);

NODISCARD int os_set_nonblock(int fd);

/* A pipe, close-on-exec at both ends. */
NODISCARD int os_pipe(int ret[2]);

/* The same, whose reading end, ret[0], does not block. */
NODISCARD int os_pipe_nonblock(int ret[2]);

/* Writes all of s, through short writes and signals. Not for descriptors that
 * do not block. */
NODISCARD int os_write_all(int fd, struct str s);

/* Appends what fd gives up to its end; -E2BIG past the limit of out. Good for
 * /proc as well, where files have no size. */
NODISCARD int os_read_all(int fd, struct strbuf *out);

/* Appends the file at path, relative to the folder dirfd (or AT_FDCWD). A
 * symlink at the end of the path is refused (-ELOOP), and so is what is no
 * regular file, as a pipe that nobody writes to (-EINVAL); -E2BIG past the
 * limit of out. */
NODISCARD int os_read_file(int dirfd, const char *path, struct strbuf *out);

/* Opens the file at path for reading, symlinks followed, if it is a regular
 * one; -EISDIR for a folder, -EINVAL for anything else, which is not opened at
 * all: a pipe would be waited for, and some devices begin to work. */
NODISCARD int os_open_regular(const char *path, int *ret);

/* Replaces the file `name` in the folder dirfd by text, through a temporary
 * name: readers see the old or the new one, never a part. Mode 0600. Not
 * synced: after a power cut the file may be empty or missing. */
NODISCARD int os_replace_file(int dirfd, const char *name, struct str text);

/* Opens a folder, made with this mode if it is not there (parents must be).
 * -ENOTDIR or -ELOOP if something else stands there. */
NODISCARD int os_open_folder(int dirfd, const char *path, mode_t mode,
                             int *ret);

/* Appends the path with its folder resolved: no symlink stands in it but,
 * perhaps, the last name itself. For libraries that refuse symlinks anywhere
 * in a path, when only the last one is another's doing. 0 or -errno. */
NODISCARD int os_resolve_folder(const char *path, struct strbuf *out);

/* Makes the folders above the last name of a path that are missing, 0755. */
NODISCARD int os_make_parents(const char *path);
