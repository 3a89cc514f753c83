#include "os/eyes.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"
#include "os/fd.h"

/* Who we are beside our user, to come back to. */
struct self {
    uid_t uid;
    gid_t gid;
    gid_t groups[NGROUPS_MAX];
    int group_count;
};

/* The system calls themselves change this thread alone. */
static void come_back(const struct self *self)
{
    long r = syscall(SYS_setresuid, -1, self->uid, -1);
    ASSERT(r == 0);
    r = syscall(SYS_setresgid, -1, self->gid, -1);
    ASSERT(r == 0);
    r = syscall(SYS_setgroups, (size_t)self->group_count, self->groups);
    ASSERT(r == 0);
}

static int become(const struct os_eyes *who, struct self *self)
{
    self->uid = geteuid();
    self->gid = getegid();
    self->group_count = getgroups(NGROUPS_MAX, self->groups);
    if (self->group_count < 0 ||
        syscall(SYS_setgroups, who->group_count, who->groups) < 0) {
        return -errno;
    }
    if (syscall(SYS_setresgid, -1, who->gid, -1) < 0 ||
        syscall(SYS_setresuid, -1, who->uid, -1) < 0) {
        int e = -errno;
        come_back(self);
        return e;
    }
    return 0;
}

/* The first folder of the path that may not be entered. */
static bool find_closed(const char *path, char *ret, size_t size)
{
    for (size_t i = 1; path[i] != '\0'; i++) {
        if (path[i] != '/') {
            continue;
        }
        (void)snprintf(ret, size, "%.*s", (int)MIN(i, size - 1), path);
        if (faccessat(AT_FDCWD, ret, X_OK, AT_EACCESS) < 0 && errno == EACCES) {
            return true;
        }
    }
    return false;
}

int os_eyes_read(const struct os_eyes *who, const char *path, char *ret,
                 size_t size, bool *ret_folder)
{
    struct self *self = MEM_NEW(struct self);
    int r = become(who, self);
    if (r < 0) {
        mem_free(self);
        return r;
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    r = fd < 0 ? -errno : 0;
    os_close(fd);
    bool folder = r == -EACCES && find_closed(path, ret, size);
    if (r == -EACCES && !folder) {
        (void)snprintf(ret, size, "%s", path);
    }
    *ret_folder = folder;
    come_back(self);
    mem_free(self);
    return r;
}
