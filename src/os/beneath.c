#include "os/beneath.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/assert.h"

/* The kernel gives up with EAGAIN when something is renamed under its feet
 * while it checks that the path stays inside. */
#define RACES_MAX 16

int os_open_beneath(int dirfd, const char *path, int flags, int *ret)
{
    ASSERT((flags & O_CREAT) == 0);
    const struct open_how how = {
        .flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
        .resolve =
            RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    long fd = -1;
    unsigned tries = 0;
    do {
        fd = syscall(SYS_openat2, dirfd, path, &how, sizeof(how));
    } while (fd < 0 && (errno == EINTR || errno == EAGAIN) &&
             ++tries < RACES_MAX);
    if (fd < 0) {
        return -errno;
    }
    *ret = (int)fd;
    return 0;
}
