/*
 * Who could have written a runbook, or the configuration. Whoever can write to
 * the file, to a folder on the way to it, or could put another folder in the
 * place of one of these, decides what the runbook's steps do, and so may be
 * what the steps run as.
 *
 * An executor that serves others than itself therefore wants of every file and
 * folder from / down that it belongs to root, to itself, or to the owner of
 * the repository's top folder, and that neither group nor others can write to
 * it. (An access control list shows in the group's bits.) For steps that run
 * as root the owner must be root as well. What untrusted users cannot write to
 * they cannot change between this look and the reading either.
 */
#include "proc/trust.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "os/fd.h"
#include "proc/executor_priv.h"

#define LINKS_MAX 40
#define COPY_NOT_ROOT "others than root could write the file when it was copied"

/* One look along a path. */
struct look {
    uid_t self;          /* ours */
    uid_t owner;         /* of the repository: trusted besides root and us */
    bool inside;         /* at or below the repository's top folder */
    char done[PATH_MAX]; /* what has been looked at, without links */
    char rest[PATH_MAX]; /* what has not, each part behind a slash */
    struct trust *trust;
};

static void user_name(uid_t uid, char out[64])
{
    struct passwd entry;
    struct passwd *found = NULL;
    char text[4096];
    if (getpwuid_r(uid, &entry, text, sizeof(text), &found) == 0 &&
        found != NULL) {
        (void)snprintf(out, 64, "%s", found->pw_name);
    } else {
        (void)snprintf(out, 64, "user %u", (unsigned)uid);
    }
}

void trust_why(const struct trust *t, char *out, size_t size)
{
    char name[64];
    if (t->root) {
        (void)snprintf(out, size, "%s", "");
    } else if (t->is_copy) {
        (void)snprintf(out, size, "%s", COPY_NOT_ROOT);
    } else {
        user_name(t->owner, name);
        (void)snprintf(out, size, "%s belongs to %s", t->path, name);
    }
}

/* Others than its owner can put things in a parent, but not replace what is
 * there already, if it is sticky. */
static bool others_write(const struct look *l, const struct stat *st)
{
    bool sticky = S_ISDIR(st->st_mode) && (st->st_mode & S_ISVTX) != 0;
    return (st->st_mode & (S_IWGRP | S_IWOTH)) != 0 && (l->inside || !sticky);
}

static int check(struct look *l, const char *path, const struct stat *st,
                 struct err *reterr)
{
    if (st->st_uid != 0 && st->st_uid != l->self && st->st_uid != l->owner) {
        char name[64];
        user_name(st->st_uid, name);
        return err_set(reterr, -EPERM,
                       "%s belongs to %s, who may not decide what runs here: "
                       "chown root %s",
                       path, name, path);
    }
    if (!S_ISLNK(st->st_mode) && others_write(l, st)) {
        return err_set(reterr, -EPERM,
                       "others than its owner can write to %s: chmod go-w %s",
                       path, path);
    }
    if (st->st_uid != 0 && l->trust->root) {
        l->trust->root = false;
        l->trust->owner = st->st_uid;
        (void)snprintf(l->trust->path, sizeof(l->trust->path), "%.*s",
                       (int)sizeof(l->trust->path) - 1, path);
    }
    return 0;
}

static int cannot_look(const char *path, struct err *reterr)
{
    int e = -errno;
    return err_set(reterr, e, "cannot look at %s: %s", path, strerror(-e));
}

/* ---- from / to the repository ------------------------------------------- */

/* Puts the target of the link `path` in front of what is still to be walked. */
static int follow(struct look *l, const char *path, struct err *reterr)
{
    char target[PATH_MAX];
    char rest[PATH_MAX];
    ssize_t n = readlink(path, target, sizeof(target) - 1);
    if (n < 0) {
        return cannot_look(path, reterr);
    }
    target[n] = '\0';
    int len = snprintf(rest, sizeof(rest), "/%s%s", target, l->rest);
    if (len < 0 || (size_t)len >= sizeof(rest)) {
        errno = ENAMETOOLONG;
        return cannot_look(path, reterr);
    }
    memcpy(l->rest, rest, (size_t)len + 1);
    if (target[0] == '/') {
        l->done[0] = '\0';
    }
    return 0;
}

/* Takes the next part of the rest. Returns whether there was one. */
static bool take_part(struct look *l, char part[NAME_MAX + 1])
{
    const char *at = l->rest + strspn(l->rest, "/");
    size_t len = strcspn(at, "/");
    if (len == 0) {
        return false;
    }
    (void)snprintf(part, NAME_MAX + 1, "%.*s", (int)MIN(len, (size_t)NAME_MAX),
                   at);
    memmove(l->rest, at + len, strlen(at + len) + 1);
    return true;
}

static void go_up(struct look *l)
{
    char *slash = strrchr(l->done, '/');
    if (slash != NULL) {
        *slash = '\0';
    }
}

static bool is_top(const struct look *l)
{
    return l->rest[strspn(l->rest, "/")] == '\0';
}

/* One part of the path: a folder to go into, or a link to follow. */
static int step_into(struct look *l, const char *part, unsigned *links,
                     struct err *reterr)
{
    char path[PATH_MAX];
    struct stat st;
    int len = snprintf(path, sizeof(path), "%s/%s", l->done, part);
    if (len < 0 || (size_t)len >= sizeof(path)) {
        errno = ENAMETOOLONG;
        return cannot_look(part, reterr);
    }
    if (lstat(path, &st) < 0) {
        return cannot_look(path, reterr);
    }
    bool is_link = S_ISLNK(st.st_mode);
    l->inside = is_top(l) && !is_link;
    int e = check(l, path, &st, reterr);
    if (e < 0) {
        return e;
    }
    if (is_link) {
        errno = ELOOP;
        return ++*links > LINKS_MAX ? cannot_look(path, reterr)
                                    : follow(l, path, reterr);
    }
    memcpy(l->done, path, (size_t)len + 1);
    return 0;
}

/* The repository's top folder and all above it, along every link. */
static int check_way(struct look *l, const char *repository, struct err *reterr)
{
    char part[NAME_MAX + 1];
    struct stat st;
    unsigned links = 0;
    int e = 0;
    l->inside = false;
    if (repository[0] != '/' && getcwd(l->rest, sizeof(l->rest)) == NULL) {
        return cannot_look(repository, reterr);
    }
    size_t len = strlen(l->rest);
    int n = snprintf(l->rest + len, sizeof(l->rest) - len, "/%s", repository);
    if (n < 0 || (size_t)n >= sizeof(l->rest) - len) {
        errno = ENAMETOOLONG;
        return cannot_look(repository, reterr);
    }
    if (lstat("/", &st) < 0) {
        return cannot_look("/", reterr);
    }
    e = check(l, "/", &st, reterr);
    while (e == 0 && take_part(l, part)) {
        if (strcmp(part, "..") == 0) {
            go_up(l);
        } else if (strcmp(part, ".") != 0) {
            e = step_into(l, part, &links, reterr);
        }
    }
    return e;
}

/* ---- inside the repository ---------------------------------------------- */

/* Links do not lead anywhere here: repo_read refuses them. */
static int check_inside(struct look *l, struct str path, struct err *reterr)
{
    char part[NAME_MAX + 1];
    struct stat st;
    (void)snprintf(l->rest, sizeof(l->rest), "%.*s", STR_ARG(path));
    l->inside = true;
    while (take_part(l, part)) {
        size_t len = strlen(l->done);
        int n = snprintf(l->done + len, sizeof(l->done) - len, "/%s", part);
        if (n < 0 || (size_t)n >= sizeof(l->done) - len) {
            errno = ENAMETOOLONG;
            return cannot_look(l->done, reterr);
        }
        if (lstat(l->done, &st) < 0) {
            return errno == ENOENT ? err_set(reterr, -ENOENT,
                                             "the repository has no such file")
                                   : cannot_look(l->done, reterr);
        }
        int e = check(l, l->done, &st, reterr);
        if (e < 0) {
            return e;
        }
    }
    return 0;
}

int executor_trusts_file(const char *path, struct err *reterr)
{
    struct trust ignored = {.root = true};
    struct look *l = MEM_NEW(struct look);
    l->self = geteuid();
    l->owner = l->self;
    l->trust = &ignored;
    int e = check_way(l, path, reterr);
    mem_free(l);
    return e;
}

int trust_look(const char *repository, struct str path, uid_t self,
               struct trust *ret, struct err *reterr)
{
    struct stat st;
    *ret = (struct trust){.root = true};
    if (stat(repository, &st) < 0) {
        return cannot_look(repository, reterr);
    }
    struct look *l = MEM_NEW(struct look);
    l->self = self;
    l->owner = st.st_uid;
    l->trust = ret;
    int e = check_way(l, repository, reterr);
    if (e == 0 && path.len != 0) {
        e = check_inside(l, path, reterr);
    }
    mem_free(l);
    return e;
}

int trust_check(const struct executor *x, struct str path, struct trust *ret,
                struct err *reterr)
{
    if (geteuid() != 0 && !link_serves_others(x)) {
        *ret = (struct trust){.root = true};
        return 0;
    }
    return trust_look(x->options.repository, path, geteuid(), ret, reterr);
}
