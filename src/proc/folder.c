/*
 * The folders in which steps run. Making and removing one for each step costs
 * more than the rest of its start on a disk that is also written to for
 * durability, so a folder that a step has left as it found it serves the next
 * step of the same user.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "os/clock.h"
#include "os/fd.h"
#include "os/remove.h"
#include "proc/executor_priv.h"

#define IDLE_MAX 64
#define NAMES_MAX 1000
#define PREFIX "step-"
/* File systems keep times by the tick of a clock, a few milliseconds. */
#define TICK_MAX_S 2

void folder_name(const struct folder *f, char out[FOLDER_NAME_SIZE])
{
    (void)snprintf(out, FOLDER_NAME_SIZE, PREFIX "%u", f->slot);
}

static void remove_folder(const struct folder_pool *pool, struct folder *f)
{
    char name[FOLDER_NAME_SIZE];
    folder_name(f, name);
    os_closep(&f->fd);
    (void)!os_remove_tree(pool->work, name);
}

/* An iterator over what is in the folder; NULL if it cannot be read. */
static DIR *list(int folder)
{
    int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (dir == NULL) {
        os_close(fd);
    }
    return dir;
}

void folder_pool_init(struct folder_pool *pool, int work)
{
    *pool = (struct folder_pool){.work = work};
    DIR *dir = list(work);
    if (dir == NULL) {
        return;
    }
    for (const struct dirent *d = readdir(dir); d != NULL; d = readdir(dir)) {
        if (str_starts(str_c(d->d_name), STR(PREFIX))) {
            (void)!os_remove_tree(work, d->d_name);
        }
    }
    (void)closedir(dir);
}

void folder_pool_deinit(struct folder_pool *pool)
{
    VEC_EACH (&pool->idle, i) {
        remove_folder(pool, &pool->idle.at[i]);
    }
    VEC_DEINIT(&pool->idle);
}

/* ---- giving ---------------------------------------------------------------
 */

/* A name that is taken is one of an earlier life that could not be removed:
 * it is never given out. */
static int make(struct folder_pool *pool, struct folder *f)
{
    char name[FOLDER_NAME_SIZE];
    int e = -EEXIST;
    for (int i = 0; i < NAMES_MAX && e == -EEXIST; i++) {
        f->slot = pool->made++;
        folder_name(f, name);
        e = mkdirat(pool->work, name, 0700) < 0 ? -errno : 0;
    }
    e = e < 0 ? e : os_open_folder(pool->work, name, 0700, &f->fd);
    if (e == 0 && (f->uid != geteuid() || f->gid != getegid()) &&
        fchown(f->fd, f->uid, f->gid) < 0) {
        e = -errno;
        remove_folder(pool, f);
    }
    return e;
}

/* An idle folder of this user. */
static bool take_idle(struct folder_pool *pool, uid_t uid, gid_t gid,
                      struct folder *ret)
{
    for (size_t i = 0; i < pool->idle.count; i++) {
        const struct folder *f = &pool->idle.at[i];
        if (f->uid == uid && f->gid == gid) {
            *ret = *f;
            ret->shows_change =
                (time_t)(os_epoch_ms() / 1000) > f->changed.tv_sec + TICK_MAX_S;
            pool->idle.at[i] = pool->idle.at[--pool->idle.count];
            return true;
        }
    }
    return false;
}

int folder_take(struct folder_pool *pool, const struct spawn_user *user,
                struct folder *ret)
{
    struct folder f = {
        .fd = -1,
        .uid = user != NULL ? user->uid : geteuid(),
        .gid = user != NULL ? user->gid : getegid(),
    };
    int e = take_idle(pool, f.uid, f.gid, &f) ? 0 : make(pool, &f);
    if (e == 0) {
        *ret = f;
    }
    return e;
}

/* ---- taking back ----------------------------------------------------------
 */

static bool is_empty(int folder)
{
    DIR *dir = list(folder);
    bool empty = dir != NULL;
    while (empty) {
        const struct dirent *d = readdir(dir);
        if (d == NULL) {
            break;
        }
        empty = strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0;
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
    return empty;
}

/* Nobody has made or removed anything in it, not even for a while. */
static bool is_untouched(const struct folder *f, const struct stat *now)
{
    return f->shows_change && f->changed.tv_sec == now->st_ctim.tv_sec &&
           f->changed.tv_nsec == now->st_ctim.tv_nsec;
}

/* In its place, its user's, closed to others, and empty. */
static bool is_as_new(const struct folder_pool *pool, struct folder *f)
{
    char name[FOLDER_NAME_SIZE];
    struct stat own;
    struct stat named;
    folder_name(f, name);
    bool ok = fstat(f->fd, &own) == 0 &&
              fstatat(pool->work, name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
              own.st_dev == named.st_dev && own.st_ino == named.st_ino &&
              own.st_uid == f->uid && own.st_gid == f->gid &&
              (own.st_mode & 07777) == 0700 &&
              (is_untouched(f, &own) || is_empty(f->fd));
    if (ok) {
        f->changed = own.st_ctim;
    }
    return ok;
}

void folder_give_back(struct folder_pool *pool, struct folder *f)
{
    ASSERT(f->fd >= 0);
    if (pool->idle.count < IDLE_MAX && is_as_new(pool, f)) {
        VEC_PUSH(&pool->idle, *f);
        f->fd = -1;
    } else {
        remove_folder(pool, f);
    }
}
