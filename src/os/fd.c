#include "os/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

#define READ_BYTES 4096
#define NAME_MAX_BYTES 256

void os_close(int fd)
{
    if (fd >= 0) {
        int keep = errno;
        (void)close(fd);
        errno = keep;
    }
}

void os_closep(int *fd)
{
    os_close(*fd);
    *fd = -1;
}

int os_set_nonblock(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
        return -errno;
    }
    return 0;
}

int os_pipe(int ret[2])
{
    return pipe2(ret, O_CLOEXEC) < 0 ? -errno : 0;
}

int os_pipe_nonblock(int ret[2])
{
    int r = os_pipe(ret);
    if (r == 0 && fcntl(ret[0], F_SETFL, O_RDONLY | O_NONBLOCK) < 0) {
        r = -errno;
        os_closep(&ret[0]);
        os_closep(&ret[1]);
    }
    return r;
}

int os_write_all(int fd, struct str s)
{
    while (s.len > 0) {
        ssize_t n = write(fd, s.at, s.len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return n < 0 ? -errno : -EIO;
        }
        s = str_slice(s, (size_t)n, s.len);
    }
    return 0;
}

int os_read_all(int fd, struct strbuf *out)
{
    char chunk[READ_BYTES];
    for (;;) {
        ssize_t n = read(fd, chunk, sizeof(chunk));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return n < 0 ? -errno : strbuf_error(out);
        }
        strbuf_add(out, str_n(chunk, (size_t)n));
        if (strbuf_error(out) < 0) {
            return -E2BIG;
        }
    }
}

/* Not to wait, neither for somebody who writes to a pipe nor for a device. */
int os_read_file(int dirfd, const char *path, struct strbuf *out)
{
    struct stat st;
    CLEANUP(os_closep)
    int fd = openat(dirfd, path,
                    O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) < 0) {
        return -errno;
    }
    return S_ISREG(st.st_mode) ? os_read_all(fd, out) : -EINVAL;
}

int os_open_regular(const char *path, int *ret)
{
    struct stat st;
    char again[64];
    CLEANUP(os_closep) int at = open(path, O_PATH | O_CLOEXEC);
    if (at < 0 || fstat(at, &st) < 0) {
        return -errno;
    }
    if (!S_ISREG(st.st_mode)) {
        return S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
    }
    /* That very file, whatever stands at the path by now. */
    (void)snprintf(again, sizeof(again), "/proc/self/fd/%d", at);
    int fd = open(again, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) {
        return -errno;
    }
    *ret = fd;
    return 0;
}

int os_replace_file(int dirfd, const char *name, struct str text)
{
    char temporary[NAME_MAX_BYTES];
    int n = snprintf(temporary, sizeof(temporary), ".%s.new", name);
    if (n < 0 || (size_t)n >= sizeof(temporary)) {
        return -ENAMETOOLONG;
    }
    (void)unlinkat(dirfd, temporary, 0);
    CLEANUP(os_closep)
    int fd = openat(dirfd, temporary,
                    O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return -errno;
    }
    int r = os_write_all(fd, text);
    if (r == 0 && renameat(dirfd, temporary, dirfd, name) < 0) {
        r = -errno;
    }
    if (r < 0) {
        (void)unlinkat(dirfd, temporary, 0);
    }
    return r;
}

int os_open_folder(int dirfd, const char *path, mode_t mode, int *ret)
{
    if (mkdirat(dirfd, path, mode) < 0 && errno != EEXIST) {
        return -errno;
    }
    int fd =
        openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return -errno;
    }
    *ret = fd;
    return 0;
}

int os_resolve_folder(const char *path, struct strbuf *out)
{
    struct str whole = str_c(path);
    size_t cut = whole.len;
    char resolved[PATH_MAX];
    char folder[PATH_MAX] = ".";
    while (cut > 0 && path[cut - 1] != '/') {
        cut--;
    }
    if (cut >= sizeof(folder)) {
        return -ENAMETOOLONG;
    }
    if (cut > 0) {
        (void)snprintf(folder, sizeof(folder), "%.*s", (int)cut, path);
    }
    if (realpath(folder, resolved) == NULL) {
        return -errno;
    }
    bool root = strcmp(resolved, "/") == 0;
    strbuf_addf(out, "%s/%s", root ? "" : resolved, path + cut);
    return strbuf_error(out);
}

int os_make_parents(const char *path)
{
    CLEANUP(mem_freep) char *copy = str_dup(str_c(path));
    for (char *p = copy + 1; *p != '\0'; p++) {
        if (*p != '/') {
            continue;
        }
        *p = '\0';
        if (mkdir(copy, 0755) < 0 && errno != EEXIST) {
            return -errno;
        }
        *p = '/';
    }
    return 0;
}
