/* Putting runbooks and configuration back. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "backup/backup_priv.h"
#include "backup/parts.h"
#include "base/map.h"
#include "base/mem.h"
#include "os/beneath.h"
#include "os/fd.h"
#include "os/remove.h"
#include "repo/repo.h"

#define NEW_FOLDER ".restoring"
#define NEW_SUFFIX ".restoring"
#define ASIDE ".before-"
#define STAMP_SIZE 24
#define NAMES_MAX 1000 /* of one second */

struct backup_put {
    const struct backup_put_options *options;
    struct arena arena;
    int folder; /* -1: there is none yet */
    int taken;  /* the hidden folder in it */
    mode_t mode;
    char aside[sizeof(ASIDE) + STAMP_SIZE + 8];
    VEC(const char *) there; /* runbooks of before */
    VEC(const char *) paths; /* that were taken */
    struct map wanted;       /* the same, as a set */
    int aside_folder;        /* -1: nothing was set aside yet */
};

static int fail(int r, const char *what, const char *path, struct err *reterr)
{
    return err_set(reterr, r, "cannot %s %s: %s", what, path, strerror(-r));
}

static void stamp(uint64_t now_ms, char out[STAMP_SIZE])
{
    time_t now = (time_t)(now_ms / 1000);
    struct tm utc;
    (void)gmtime_r(&now, &utc);
    (void)strftime(out, STAMP_SIZE, "%Y%m%dT%H%M%SZ", &utc);
}

/* ---- what is there ------------------------------------------------------- */

static int list_runbooks(struct backup_put *p, struct err *reterr)
{
    struct repo *repo = NULL;
    struct generation *g = NULL;
    struct repo_changes unused;
    const struct repo_load_options how = {.defaults = &RUNBOOK_DEFAULTS,
                                          .now_ms = p->options->now_ms};
    int r = repo_open(str_c(p->options->path), &repo, reterr);
    r = r < 0 ? r : repo_load(repo, &how, &g, &unused, reterr);
    for (uint32_t i = 0; g != NULL && i < g->file_count; i++) {
        VEC_PUSH(&p->there, arena_strdup(&p->arena, g->files[i].path));
    }
    generation_unref(g);
    repo_close(repo);
    return r;
}

static int open_there(struct backup_put *p, struct err *reterr)
{
    const char *path = p->options->path;
    struct stat st;
    p->folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (p->folder < 0 && errno == ENOENT) {
        return 0;
    }
    if (p->folder < 0 || fstat(p->folder, &st) < 0) {
        return fail(-errno, "open the folder", path, reterr);
    }
    p->mode = st.st_mode & 0777;
    if (flock(p->folder, LOCK_EX | LOCK_NB) < 0) {
        return err_set(reterr, -EBUSY,
                       "somebody else puts runbooks back into %s", path);
    }
    int r = list_runbooks(p, reterr);
    /* A restore that was killed has begun here: this one goes on. */
    bool begun =
        faccessat(p->folder, NEW_FOLDER, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
    if (r == 0 && p->there.count != 0 && !p->options->replace && !begun) {
        r = err_set(reterr, -EEXIST, "%s has %zu runbook%s", path,
                    p->there.count, p->there.count == 1 ? "" : "s");
    }
    return r;
}

int backup_put_begin(const struct backup_put_options *options,
                     struct backup_put **ret, struct err *reterr)
{
    struct backup_put *p = MEM_NEW(struct backup_put);
    p->options = options;
    p->folder = p->taken = p->aside_folder = -1;
    p->wanted = MAP_INIT;
    p->mode = 0755;
    arena_init(&p->arena);
    int r = open_there(p, reterr);
    if (r < 0) {
        backup_put_free(p);
        return r;
    }
    *ret = p;
    return 0;
}

void backup_put_free(struct backup_put *p)
{
    if (p == NULL) {
        return;
    }
    if (p->taken >= 0) {
        (void)!os_remove_tree(p->folder, NEW_FOLDER);
    }
    os_close(p->taken);
    os_close(p->aside_folder);
    map_deinit(&p->wanted);
    os_close(p->folder);
    VEC_DEINIT(&p->there);
    VEC_DEINIT(&p->paths);
    arena_deinit(&p->arena);
    mem_free(p);
}

/* ---- folders ------------------------------------------------------------- */

/* Whatever the umask is: engine and steps read what is put here. */
static int open_made(int in, const char *name, mode_t mode, int *ret)
{
    bool made = mkdirat(in, name, mode) == 0;
    if (!made && errno != EEXIST) {
        return -errno;
    }
    int r = os_open_folder(in, name, mode, ret);
    return r == 0 && made && fchmod(*ret, mode) < 0 ? -errno : r;
}

/* Opens the folder of "a/b/c.yaml", made where it is missing; segment by
 * segment, so that no symlink is followed. */
static int open_parent(int folder, const char *path, mode_t mode, int *ret)
{
    CLEANUP(mem_freep) char *copy = str_dup(str_c(path));
    int at = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = at < 0 ? -errno : 0;
    char *segment = copy;
    for (char *slash; r == 0 && (slash = strchr(segment, '/')) != NULL;) {
        int next = -1;
        *slash = '\0';
        r = open_made(at, segment, mode, &next);
        os_close(at);
        at = next;
        segment = slash + 1;
    }
    *ret = at;
    return r;
}

static const char *last_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

/* Moves a file to the same path in another folder. */
static int move(struct backup_put *p, int from, int to, const char *path)
{
    CLEANUP(os_closep) int source = -1;
    CLEANUP(os_closep) int target = -1;
    int r = open_parent(from, path, p->mode, &source);
    r = r < 0 ? r : open_parent(to, path, p->mode, &target);
    return r < 0 ? r
                 : backup_rename_new(source, last_of(path), target,
                                     last_of(path));
}

/* ---- taking -------------------------------------------------------------- */

static int make_folder(struct backup_put *p)
{
    const char *path = p->options->path;
    int r = os_make_parents(path);
    r = r < 0 ? r : open_made(AT_FDCWD, path, p->mode, &p->folder);
    return r == 0 && flock(p->folder, LOCK_EX | LOCK_NB) < 0 ? -EBUSY : r;
}

static int open_taken(struct backup_put *p, struct err *reterr)
{
    int r = p->folder < 0 ? make_folder(p) : 0;
    r = r < 0 ? r : os_remove_tree(p->folder, NEW_FOLDER); /* of a killed one */
    r = r < 0 ? r : os_open_folder(p->folder, NEW_FOLDER, 0700, &p->taken);
    return r < 0 ? fail(r, "write to", p->options->path, reterr) : 0;
}

static int write_text(int folder, const char *name, mode_t mode,
                      struct str text)
{
    CLEANUP(os_closep)
    int fd = openat(folder, name,
                    O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    int r = fd < 0 ? -errno : os_write_all(fd, text);
    return r == 0 && fchmod(fd, mode) < 0 ? -errno : r;
}

int backup_put_add(struct backup_put *p, struct str path, struct str text,
                   struct err *reterr)
{
    CLEANUP(os_closep) int folder = -1;
    int r = repo_path_check(path, reterr);
    if (r == 0 && p->paths.count >= REPO_MAX_FILES) {
        r = err_set(reterr, -E2BIG, "more than %d runbooks", REPO_MAX_FILES);
    }
    if (r == 0 && p->taken < 0) {
        r = open_taken(p, reterr);
    }
    if (r < 0) {
        return r;
    }
    const char *name = arena_strdup(&p->arena, path);
    r = open_parent(p->taken, name, 0700, &folder);
    r = r < 0 ? r : write_text(folder, last_of(name), p->mode & 0666, text);
    if (r < 0) {
        return fail(r, "write the runbook", name, reterr);
    }
    VEC_PUSH(&p->paths, name);
    (void)map_put(&p->wanted, str_c(name), p);
    return 0;
}

/* ---- putting in place ---------------------------------------------------- */

static bool is_same_text(struct backup_put *p, const char *path)
{
    struct backup_file is = {.path = str_c(path)};
    struct backup_file wanted = is;
    struct err unused = ERR_INIT;
    return backup_read_file(p->folder, &is, -1, &unused) == 0 &&
           backup_read_file(p->taken, &wanted, -1, &unused) == 0 &&
           backup_file_is_same(&is, &wanted);
}

/* The folder for what is set aside: one that was not there. */
static int open_aside(struct backup_put *p, int *ret)
{
    char base[STAMP_SIZE];
    int r = -EEXIST;
    stamp(p->options->now_ms, base);
    for (int i = 1; r == -EEXIST && i < NAMES_MAX; i++) {
        (void)snprintf(p->aside, sizeof(p->aside),
                       i == 1 ? ASIDE "%s" : ASIDE "%s-%d", base, i);
        r = mkdirat(p->folder, p->aside, 0700) < 0 ? -errno : 0;
    }
    return r < 0 ? r : os_open_folder(p->folder, p->aside, 0700, ret);
}

/* Out of the way, into the folder for that. */
static int set_aside(struct backup_put *p, int from, const char *path,
                     struct backup_put_result *ret)
{
    int r = p->aside_folder < 0 ? open_aside(p, &p->aside_folder) : 0;
    r = r < 0 ? r : move(p, from, p->aside_folder, path);
    ret->aside += r == 0;
    return r == -ENOENT ? 0 : r; /* gone by now */
}

/* What the backup has not. Names that no runbook can have are nobody's business
 * here. */
static int set_others_aside(struct backup_put *p, struct backup_put_result *ret,
                            struct err *reterr)
{
    struct err unused = ERR_INIT;
    int r = 0;
    for (size_t i = 0; r == 0 && i < p->there.count; i++) {
        const char *path = p->there.at[i];
        if (repo_path_check(str_c(path), &unused) == 0 &&
            map_get(&p->wanted, str_c(path)) == NULL) {
            r = set_aside(p, p->folder, path, ret);
        }
        if (r < 0) {
            return fail(r, "set aside", path, reterr);
        }
    }
    return 0;
}

/* The new file and the one of before change places, so that there is one at
 * every moment; then that of before, in the place of the new one, goes aside.
 * -ENOENT: there was none. */
static int exchange_file(struct backup_put *p, const char *path,
                         struct backup_put_result *ret)
{
    CLEANUP(os_closep) int source = -1;
    CLEANUP(os_closep) int target = -1;
    int r = open_parent(p->taken, path, p->mode, &source);
    r = r < 0 ? r : open_parent(p->folder, path, p->mode, &target);
    if (r == 0 && renameat2(source, last_of(path), target, last_of(path),
                            RENAME_EXCHANGE) < 0) {
        r = -errno;
    }
    return r < 0 ? r : set_aside(p, p->taken, path, ret);
}

static int put_one(struct backup_put *p, const char *path,
                   struct backup_put_result *ret)
{
    int r = exchange_file(p, path, ret);
    if (r == -EINVAL) { /* the file system cannot */
        r = set_aside(p, p->folder, path, ret);
        r = r < 0 ? r : -ENOENT;
    }
    r = r == -ENOENT ? move(p, p->taken, p->folder, path) : r;
    ret->written += r == 0;
    return r;
}

/* A runbook is there, old or new, whenever we are killed: only what the backup
 * has not goes without another in its place, and that last. */
static int put_in_place(struct backup_put *p, struct backup_put_result *ret,
                        struct err *reterr)
{
    for (size_t i = 0; i < p->paths.count; i++) {
        const char *path = p->paths.at[i];
        if (is_same_text(p, path)) {
            ret->unchanged++;
            continue;
        }
        int r = put_one(p, path, ret);
        if (r < 0) {
            return fail(r, "put in place", path, reterr);
        }
    }
    return set_others_aside(p, ret, reterr);
}

/* What went wrong, and where to find what is not in its place any more. */
static int tell_aside(const struct backup_put *p, int r, struct err *reterr)
{
    struct err why = *reterr;
    return err_set(reterr, r,
                   "%.200s; what was there is in %.200s/%s, and the same "
                   "restore again goes on",
                   why.message, p->options->path, p->aside);
}

int backup_put_end(struct backup_put *p, struct backup_put_result *ret,
                   struct err *reterr)
{
    *ret = (struct backup_put_result){0};
    if (p->taken < 0) {
        return 0; /* a backup without runbooks replaces none */
    }
    /* All content is on the disk before any of it has its name. */
    int r = syncfs(p->folder) < 0
                ? fail(-errno, "sync", p->options->path, reterr)
                : 0;
    r = r < 0 ? r : put_in_place(p, ret, reterr);
    if (r == 0 && syncfs(p->folder) < 0) {
        r = fail(-errno, "sync", p->options->path, reterr);
    }
    if (ret->aside != 0) {
        (void)snprintf(ret->aside_path, sizeof(ret->aside_path), "%s/%s",
                       p->options->path, p->aside);
    }
    if (r < 0 && ret->aside != 0) {
        r = tell_aside(p, r, reterr);
    }
    ret->has_git = faccessat(p->folder, ".git", F_OK, AT_SYMLINK_NOFOLLOW) == 0;
    return r;
}

/* ---- the configuration --------------------------------------------------- */

/* Another name for the one that is there, which no other file has. */
static int link_aside(int folder, const char *name, uint64_t now_ms, char *ret,
                      size_t size)
{
    char base[STAMP_SIZE];
    int r = -EEXIST;
    stamp(now_ms, base);
    for (int i = 1; r == -EEXIST && i < NAMES_MAX; i++) {
        (void)snprintf(ret, size, i == 1 ? "%s" ASIDE "%s" : "%s" ASIDE "%s-%d",
                       name, base, i);
        r = linkat(folder, name, folder, ret, 0) < 0 ? -errno : 0;
    }
    return r;
}

static int write_config(int folder, const char *name, const struct stat *like,
                        gid_t group, struct str text)
{
    bool there = like != NULL;
    (void)unlinkat(folder, name, 0); /* of a killed one */
    int r = write_text(folder, name, 0600, text);
    CLEANUP(os_closep)
    int fd =
        r < 0 ? -1 : openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (r == 0 && fd < 0) {
        r = -errno;
    }
    if (r == 0 && geteuid() == 0 &&
        fchown(fd, there ? like->st_uid : 0, there ? like->st_gid : group) <
            0) {
        r = -errno;
    }
    mode_t mode = there ? like->st_mode & 0777 : 0640;
    return r == 0 && (fchmod(fd, mode) < 0 || fsync(fd) < 0) ? -errno : r;
}

static bool has_text(int folder, const char *name, struct str text)
{
    CLEANUP(strbuf_deinit) struct strbuf is = STRBUF_INIT(1024UL * 1024);
    return os_read_file(folder, name, &is) == 0 &&
           str_eq(strbuf_str(&is), text);
}

static int exchange(int folder, const char *name,
                    const struct backup_put_options *o, struct str text,
                    struct backup_put_result *ret)
{
    CLEANUP(strbuf_deinit) struct strbuf fresh = STRBUF_INIT(NAME_MAX + 20);
    char aside[NAME_MAX + 40];
    struct stat st;
    bool there = fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
    strbuf_addf(&fresh, "%s" NEW_SUFFIX, name);
    int r =
        write_config(folder, fresh.at,
                     there && S_ISREG(st.st_mode) ? &st : NULL, o->group, text);
    if (r == 0 && there) {
        r = link_aside(folder, name, o->now_ms, aside, sizeof(aside));
        ret->aside = r == 0;
        (void)snprintf(ret->aside_path, sizeof(ret->aside_path), "%.*s%s",
                       (int)(last_of(o->path) - o->path), o->path, aside);
    }
    if (r == 0 && renameat(folder, fresh.at, folder, name) < 0) {
        r = -errno;
    }
    ret->written = r == 0;
    return r == 0 && fsync(folder) < 0 ? -errno : r;
}

int backup_put_config(const struct backup_put_options *options, struct str text,
                      struct backup_put_result *ret, struct err *reterr)
{
    CLEANUP(mem_freep) char *copy = str_dup(str_c(options->path));
    CLEANUP(os_closep) int folder = -1;
    *ret = (struct backup_put_result){0};
    int r = os_make_parents(options->path);
    if (r == 0) {
        folder = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        r = folder < 0 ? -errno : 0;
    }
    const char *name = last_of(options->path);
    if (r == 0 && has_text(folder, name, text)) {
        ret->unchanged = 1;
        return 0;
    }
    if (r == 0 && !options->replace &&
        faccessat(folder, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
        return err_set(reterr, -EEXIST, "%s is there", options->path);
    }
    r = r < 0 ? r : exchange(folder, name, options, text, ret);
    return r < 0 ? fail(r, "write", options->path, reterr) : 0;
}
