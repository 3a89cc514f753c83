#include "app/privilege.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/log.h"
#include "os/fd.h"

/* Groups first: without root they cannot be changed any more. */
static int become(const struct passwd *user)
{
    if (initgroups(user->pw_name, user->pw_gid) < 0 ||
        setresgid(user->pw_gid, user->pw_gid, user->pw_gid) < 0 ||
        setresuid(user->pw_uid, user->pw_uid, user->pw_uid) < 0) {
        return -errno;
    }
    /* A kernel or a filter that only said yes must not go unnoticed. */
    return setresuid((uid_t)-1, 0, (uid_t)-1) == 0 ? -EPERM : 0;
}

/* Becomes the user with this id, who owns the folder. */
static int become_owner(uid_t uid, const char *folder, const char **ret_name,
                        struct err *reterr)
{
    errno = 0;
    const struct passwd *user = getpwuid(uid);
    if (user == NULL) {
        err_hint(reterr, "chown it to the user that the engine shall run as");
        return err_set(reterr, -EINVAL,
                       "the folder %s belongs to the user id %u, which has no "
                       "name",
                       folder, (unsigned)uid);
    }
    *ret_name = user->pw_name;
    int r = become(user);
    return r < 0 ? err_set(reterr, r,
                           "cannot become the user %s, who owns %s: %s",
                           user->pw_name, folder, strerror(-r))
                 : 0;
}

int privilege_drop(const char *state_directory, struct err *reterr)
{
    struct stat st;
    const char *name = NULL;
    if (geteuid() != 0 || stat(state_directory, &st) < 0 || st.st_uid == 0) {
        return 0;
    }
    int r = become_owner(st.st_uid, state_directory, &name, reterr);
    if (r == 0) {
        log_info("running as %s, who owns %s", name, state_directory);
    }
    return r;
}

/* ---- root's adctl -------------------------------------------------------- */

/* The user of the service: who owns its state, or else its backups. False:
 * root, or nobody can tell. */
static bool find_owner(const struct privilege_folders *f, struct stat *ret)
{
    return (stat(f->state, ret) == 0 && ret->st_uid != 0) ||
           (stat(f->backups, ret) == 0 && ret->st_uid != 0);
}

/* May only root put another thing in the place of what is in it? */
static bool is_roots(const struct stat *st)
{
    return st->st_uid == 0 && (st->st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

static int check_parents(const char *path, struct err *reterr)
{
    char folder[PATH_MAX];
    struct stat st;
    (void)snprintf(folder, sizeof(folder), "%s", path);
    char *slash = strrchr(folder, '/');
    do {
        slash[slash == folder ? 1 : 0] = '\0';
        if (stat(folder, &st) == 0) {
            bool sticky = st.st_uid == 0 && (st.st_mode & S_ISVTX) != 0;
            return is_roots(&st) || sticky
                       ? 0
                       : err_set(reterr, -EPERM,
                                 "others than root may write in %s: root makes "
                                 "nothing there",
                                 folder);
        }
        slash = strrchr(folder, '/');
    } while (slash != NULL && folder[1] != '\0');
    return 0;
}

/* Makes a folder that the service has, and lost, in one of root's. */
static int make_for(const char *path, const struct stat *owner,
                    struct err *reterr)
{
    struct stat st;
    if (lstat(path, &st) == 0) {
        return 0;
    }
    int r = check_parents(path, reterr);
    CLEANUP(os_closep) int fd = -1;
    if (r < 0) {
        return r;
    }
    r = os_make_parents(path);
    r = r < 0 ? r : os_open_folder(AT_FDCWD, path, 0700, &fd);
    if (r == 0 && fchown(fd, owner->st_uid, owner->st_gid) < 0) {
        r = -errno;
    }
    return r < 0 ? err_set(reterr, r, "cannot make the folder %s: %s", path,
                           strerror(-r))
                 : 0;
}

/* Earlier versions have left their lock file as root's. */
static void give_lock(const char *directory, const struct stat *owner)
{
    struct stat st;
    CLEANUP(os_closep)
    int folder = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CLEANUP(os_closep)
    int fd =
        folder < 0
            ? -1
            : openat(folder, ".lock",
                     O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
        st.st_uid == 0 && st.st_nlink == 1) {
        (void)!fchown(fd, owner->st_uid, owner->st_gid);
    }
}

static int make_missing(const struct privilege_folders *f,
                        const struct stat *owner, struct err *reterr)
{
    int r = 0;
    if (f->use == PRIVILEGE_MAKE && strcmp(f->directory, f->backups) == 0) {
        r = make_for(f->directory, owner, reterr);
    }
    if (f->use == PRIVILEGE_RESTORE) {
        r = make_for(f->state, owner, reterr);
        r = r < 0 ? r : make_for(f->archive, owner, reterr);
    }
    return r;
}

/* Root goes on as root. */
static int stay_root(const struct privilege_folders *f, const char *owner_name,
                     struct err *reterr)
{
    struct stat st;
    if (f->use != PRIVILEGE_MAKE) {
        return 0;
    }
    if (stat(f->directory, &st) < 0) {
        return check_parents(f->directory, reterr);
    }
    if (is_roots(&st)) {
        return 0;
    }
    err_hint(reterr,
             "give it to %s, or to root and take the write permission "
             "from all others",
             owner_name);
    return err_set(reterr, -EPERM,
                   "others than root and %s may write in %s: root puts no "
                   "backup there",
                   owner_name, f->directory);
}

/* Where somebody else's symlink leads is not what was meant. */
static int check_link(const char *path, struct err *reterr)
{
    struct stat st;
    return lstat(path, &st) == 0 && S_ISLNK(st.st_mode) && st.st_uid != 0
               ? err_set(reterr, -ELOOP,
                         "%s is a symbolic link of another user", path)
               : 0;
}

int privilege_for_backups(const struct privilege_folders *f,
                          const char **ret_user, struct err *reterr)
{
    struct stat owner;
    struct stat st;
    *ret_user = NULL;
    if (geteuid() != 0) {
        return 0;
    }
    int r = check_link(f->directory, reterr);
    if (r < 0) {
        return r;
    }
    if (!find_owner(f, &owner)) {
        return stay_root(f, "root", reterr);
    }
    r = make_missing(f, &owner, reterr);
    if (r < 0) {
        return r;
    }
    if (stat(f->directory, &st) == 0 && st.st_uid == owner.st_uid) {
        give_lock(f->directory, &owner);
        return become_owner(owner.st_uid, f->directory, ret_user, reterr);
    }
    const struct passwd *user = getpwuid(owner.st_uid);
    return stay_root(f, user != NULL ? user->pw_name : "the state's owner",
                     reterr);
}

int privilege_for_folder(const char *path, struct err *reterr)
{
    struct stat st;
    const char *unused = NULL;
    if (geteuid() != 0) {
        return 0;
    }
    int r = check_link(path, reterr);
    if (r < 0) {
        return r;
    }
    if (stat(path, &st) < 0) {
        return check_parents(path, reterr);
    }
    if (st.st_uid != 0) {
        return become_owner(st.st_uid, path, &unused, reterr);
    }
    return is_roots(&st) ? 0
                         : err_set(reterr, -EPERM,
                                   "others than root may write in %s: root "
                                   "makes nothing there",
                                   path);
}

int privilege_for_file(const char *path, struct err *reterr)
{
    return geteuid() == 0 ? check_parents(path, reterr) : 0;
}

/* ---- memory -------------------------------------------------------------- */

/* The leak checker of the sanitizer reads the process from outside. */
#if defined(__SANITIZE_ADDRESS__)
#define IS_CHECKED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define IS_CHECKED true
#endif
#endif
#ifndef IS_CHECKED
#define IS_CHECKED false
#endif

int privilege_harden(struct err *reterr)
{
    const struct rlimit none = {0, 0};
    if (IS_CHECKED) {
        return 0;
    }
    /* A unit that takes the call away sets the limit itself, and a process
     * that is not dumpable leaves no core file anyway. */
    if ((setrlimit(RLIMIT_CORE, &none) < 0 && errno != EPERM) ||
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) {
        return err_set(reterr, -errno, "cannot protect the memory: %s",
                       strerror(errno));
    }
    return 0;
}
