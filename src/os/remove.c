#include "os/remove.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/fd.h"

#define DEPTH_MAX 200

static int remove_entry(int folder, const char *name, unsigned depth);

static bool is_dot(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* Empties the folder that fd is; closes fd. */
static int empty(int fd, unsigned depth)
{
    DIR *dir = fdopendir(fd);
    if (dir == NULL) {
        int e = -errno;
        (void)close(fd);
        return e;
    }
    int result = 0;
    for (;;) {
        const struct dirent *d = readdir(dir);
        if (d == NULL) {
            break;
        }
        int e = is_dot(d->d_name)
                    ? 0
                    : remove_entry(dirfd(dir), d->d_name, depth + 1);
        result = result < 0 ? result : e;
    }
    (void)closedir(dir);
    return result;
}

/* Opens it for emptying, also when its owner, who is us, has forbidden himself
 * to look into it or to change it. */
static int open_folder(int folder, const char *name)
{
    CLEANUP(os_closep)
    int fd =
        openat(folder, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0) {
        return -errno;
    }
    if ((st.st_mode & 0700) != 0700) {
        char path[64]; /* a descriptor without rights is changed by name only */
        (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        (void)chmod(path, 0700);
    }
    int opened = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return opened < 0 ? -errno : opened;
}

static int remove_entry(int folder, const char *name, unsigned depth)
{
    if (unlinkat(folder, name, 0) == 0 || errno == ENOENT) {
        return 0;
    }
    if (errno != EISDIR && errno != EPERM) {
        return -errno;
    }
    if (unlinkat(folder, name, AT_REMOVEDIR) == 0 || errno == ENOENT) {
        return 0;
    }
    if (errno != ENOTEMPTY && errno != EEXIST) {
        return -errno;
    }
    if (depth >= DEPTH_MAX) {
        return -ELOOP;
    }
    int fd = open_folder(folder, name);
    if (fd < 0) {
        return fd;
    }
    int result = empty(fd, depth);
    if (unlinkat(folder, name, AT_REMOVEDIR) < 0 && result == 0) {
        result = -errno;
    }
    return result;
}

int os_remove_tree(int folder, const char *name)
{
    return remove_entry(folder, name, 0);
}
