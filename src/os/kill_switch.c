#include "os/kill_switch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/attr.h"
#include "os/fd.h"

/* So long somebody else may be at it. */
#define LOCK_TRIES 100
#define LOCK_PAUSE_NS 10000000L

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

static uint64_t ms_of(const struct timespec *t)
{
    return t->tv_sec <= 0
               ? 0
               : (uint64_t)t->tv_sec * 1000 + (uint64_t)t->tv_nsec / 1000000;
}

void kill_switch_look(const char *path, struct kill_switch *ret)
{
    struct stat st;
    *ret = (struct kill_switch){.on = true};
    if (lstat(path, &st) == 0) {
        ret->device = st.st_dev;
        ret->inode = st.st_ino;
        ret->changed = st.st_ctim;
        ret->since_ms = ms_of(&st.st_mtim);
        if (S_ISREG(st.st_mode)) {
            read_text(path, ret->text);
        }
    } else if (errno == ENOENT) {
        ret->on = false;
    } else {
        (void)snprintf(ret->text, sizeof(ret->text), "cannot look at it: %s",
                       strerror(errno));
    }
}

void kill_switch_look_at(const char *const *paths, size_t count,
                         struct kill_switch *ret, const char **ret_path)
{
    *ret = (struct kill_switch){.on = false};
    for (size_t i = 0; i < count && !ret->on; i++) {
        if (paths[i] != NULL) {
            kill_switch_look(paths[i], ret);
            *ret_path = paths[i];
        }
    }
}

/* ---- turning ------------------------------------------------------------- */

static void folder_of(const char *path, char ret[PATH_MAX])
{
    const char *slash = strrchr(path, '/');
    (void)snprintf(ret, PATH_MAX, "%.*s",
                   slash == NULL ? 1 : (int)MAX(slash - path, 1),
                   slash == NULL ? "." : path);
}

/* The folder, locked against whoever turns it at the same time with this
 * module; *ret_locked is false when it is not to be had. */
static int open_folder(const char *path, bool *ret_locked)
{
    char folder[PATH_MAX];
    folder_of(path, folder);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *ret_locked = false;
    for (int i = 0; fd >= 0 && !*ret_locked && i < LOCK_TRIES; i++) {
        *ret_locked = flock(fd, LOCK_EX | LOCK_NB) == 0;
        if (!*ret_locked) {
            (void)nanosleep(&(struct timespec){.tv_nsec = LOCK_PAUSE_NS}, NULL);
        }
    }
    return fd;
}

static int open_or_make_folder(const char *path, bool *ret_locked)
{
    char folder[PATH_MAX];
    int fd = open_folder(path, ret_locked);
    folder_of(path, folder);
    if (fd >= 0 || errno != ENOENT ||
        (mkdir(folder, 0755) < 0 && errno != EEXIST)) {
        return fd;
    }
    return open_folder(path, ret_locked);
}

static int write_text(int fd, struct str text)
{
    /* That it is there is what counts: a full disk has no room for words. */
    (void)!os_write_all(fd, text);
    (void)!os_write_all(fd, STR("\n"));
    int r = fsync(fd) < 0 ? -errno : 0;
    return r == -ENOSPC || r == -EDQUOT ? 0 : r;
}

/* What is there stays as it is, but for the instant of its last change: who
 * would take it off has not seen this one (kill_switch_clear). */
static int confirm(const char *path)
{
    const struct timespec now[] = {{.tv_nsec = UTIME_NOW},
                                   {.tv_nsec = UTIME_OMIT}};
    (void)utimensat(AT_FDCWD, path, now, AT_SYMLINK_NOFOLLOW);
    return 0;
}

static int make(const char *path, struct str text)
{
    int fd =
        open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (fd < 0) {
        return errno == EEXIST ? confirm(path) : -errno;
    }
    int r = write_text(fd, text);
    os_close(fd);
    return r;
}

int kill_switch_set(const char *path, struct str text, struct err *reterr)
{
    bool locked = false;
    /* Whoever holds the lock for long does not keep it from being put on. */
    int folder = open_or_make_folder(path, &locked);
    int r = folder < 0 ? -errno : make(path, text);
    /* The name of the file is a row of its folder: that has to be on the disk
     * as well. */
    if (r == 0 && fsync(folder) < 0) {
        r = -errno;
    }
    os_close(folder);
    return r == 0 ? 0
                  : err_set(reterr, r, "cannot write the kill switch %s: %s",
                            path, strerror(-r));
}

static bool is_same(const struct kill_switch *a, const struct kill_switch *b)
{
    return a->on == b->on && a->device == b->device && a->inode == b->inode &&
           a->changed.tv_sec == b->changed.tv_sec &&
           a->changed.tv_nsec == b->changed.tv_nsec;
}

int kill_switch_clear(const char *path, const struct kill_switch *seen,
                      struct err *reterr)
{
    struct kill_switch now;
    bool locked = false;
    int folder = open_folder(path, &locked);
    if (folder >= 0 && !locked) {
        os_close(folder);
        return err_set(reterr, -EAGAIN,
                       "somebody else is turning the kill switch %s", path);
    }
    kill_switch_look(path, &now);
    int r = 0;
    if (now.on && seen != NULL && !is_same(seen, &now)) {
        r = err_set(reterr, -EEXIST,
                    "the kill switch has been put on again meanwhile: %s",
                    now.text[0] != '\0' ? now.text : "nobody says why");
    } else if (now.on && unlink(path) < 0 && errno != ENOENT) {
        r = err_set(reterr, -errno, "cannot remove the kill switch %s: %s",
                    path, strerror(errno));
    }
    os_close(folder);
    return r;
}
