#include "os/kill_switch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "os/fd.h"

/* The first line of what can be read of it, with nothing a terminal obeys. */
static void read_text(const char *path, char ret[KILL_SWITCH_TEXT_SIZE])
{
    ssize_t n = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd >= 0) {
        n = read(fd, ret, KILL_SWITCH_TEXT_SIZE - 1);
        os_close(fd);
    }
    ret[n > 0 ? n : 0] = '\0';
    ret[strcspn(ret, "\r\n")] = '\0';
    for (char *c = ret; *c != '\0'; c++) {
        if (*c < ' ' || *c > '~') {
            *c = '?';
        }
    }
}

void kill_switch_look(const char *path, struct kill_switch *ret)
{
    struct stat st;
    ret->text[0] = '\0';
    ret->on = true;
    if (lstat(path, &st) == 0) {
        if (S_ISREG(st.st_mode)) {
            read_text(path, ret->text);
        }
    } else if (errno == ENOENT || errno == ENOTDIR) {
        ret->on = false;
    } else {
        (void)snprintf(ret->text, sizeof(ret->text), "cannot look at it: %s",
                       strerror(errno));
    }
}

/* The name of the file is a row of its folder: that has to be on the disk. */
static int sync_folder(const char *path)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t len = slash != NULL ? (size_t)(slash - path) : 0;
    (void)snprintf(folder, sizeof(folder), "%.*s", len != 0 ? (int)len : 1,
                   len != 0 ? path : "/");
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    int r = fsync(fd) < 0 ? -errno : 0;
    os_close(fd);
    return r;
}

static int make(const char *path)
{
    return open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                0644);
}

static int make_with_folder(const char *path)
{
    char folder[PATH_MAX];
    int fd = make(path);
    const char *slash = strrchr(path, '/');
    if (fd >= 0 || errno != ENOENT || slash == NULL || slash == path) {
        return fd;
    }
    (void)snprintf(folder, sizeof(folder), "%.*s", (int)(slash - path), path);
    return mkdir(folder, 0755) < 0 && errno != EEXIST ? -1 : make(path);
}

int kill_switch_set(const char *path, struct str text, struct err *reterr)
{
    ASSERT(path[0] == '/');
    int fd = make_with_folder(path);
    int r = fd < 0 ? -errno : 0;
    if (fd >= 0) {
        /* That it is there is what counts. */
        (void)!os_write_all(fd, text);
        (void)!os_write_all(fd, STR("\n"));
        (void)fsync(fd);
        os_close(fd);
    }
    r = r == 0 || r == -EEXIST ? sync_folder(path) : r;
    return r == 0 ? 0
                  : err_set(reterr, r, "cannot write the kill switch %s: %s",
                            path, strerror(-r));
}

int kill_switch_clear(const char *path, struct err *reterr)
{
    if (unlink(path) < 0 && errno != ENOENT && errno != ENOTDIR) {
        return err_set(reterr, -errno, "cannot remove the kill switch %s: %s",
                       path, strerror(errno));
    }
    return 0;
}
