#include "repo/repo_priv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/strbuf.h"
#include "os/beneath.h"

struct walk {
    int folder_fd;
    struct arena *arena;
    struct listing *listing;
    size_t entries;
    struct err *err;
};

static int walk_folder(struct walk *w, struct str path, unsigned depth);

static const struct err *problem(struct walk *w, int errnum,
                                 const char *message)
{
    struct err *e = ARENA_NEW(w->arena, struct err);
    (void)err_set(e, errnum, "%s", message);
    return e;
}

static bool is_runbook_name(struct str name)
{
    return str_ends(name, STR(".yaml")) || str_ends(name, STR(".yml"));
}

/* Names are any bytes; what is shown of them is UTF-8 on one line. */
static int add_file(struct walk *w, struct str path, const struct err *trouble)
{
    struct err form = ERR_INIT;
    struct found_file f = {.path = path, .problem = trouble};
    if (repo_path_check(path, &form) < 0) {
        struct strbuf shown = STRBUF_INIT(4 * PATH_MAX);
        strbuf_add_visible(&shown, path);
        f.path = arena_str(w->arena, strbuf_str(&shown));
        strbuf_deinit(&shown);
        f.problem = problem(w, form.errnum, form.message);
    }
    if (w->listing->files.count >= REPO_MAX_FILES) {
        return err_set(w->err, -E2BIG,
                       "the runbook repository has more than "
                       "%d runbooks",
                       REPO_MAX_FILES);
    }
    VEC_PUSH(&w->listing->files, f);
    return 0;
}

static unsigned char entry_type(DIR *dir, const struct dirent *d)
{
    struct stat st;
    if (d->d_type != DT_UNKNOWN) {
        return d->d_type;
    }
    if (fstatat(dirfd(dir), d->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        return DT_UNKNOWN;
    }
    return (unsigned char)IFTODT(st.st_mode);
}

static int add_entry(struct walk *w, struct str path, unsigned char type,
                     unsigned depth)
{
    bool named = is_runbook_name(path);
    if (type == DT_DIR && !named) {
        return walk_folder(w, path, depth + 1);
    }
    if (!named) {
        return 0;
    }
    switch (type) {
    case DT_REG:
        return add_file(w, path, NULL);
    case DT_DIR:
        return add_file(w, path,
                        problem(w, -EISDIR,
                                "expected a plain file, "
                                "found a folder"));
    case DT_LNK:
        return add_file(w, path,
                        problem(w, -ELOOP,
                                "this is a symlink: "
                                "runbooks are plain "
                                "files"));
    default:
        return add_file(w, path,
                        problem(w, -EINVAL,
                                "this is no plain "
                                "file"));
    }
}

static struct str join(struct walk *w, struct str folder, const char *name)
{
    struct strbuf path = STRBUF_INIT(4 * PATH_MAX);
    strbuf_add(&path, folder);
    if (folder.len != 0) {
        strbuf_addch(&path, '/');
    }
    strbuf_addc(&path, name);
    struct str joined = arena_str(w->arena, strbuf_str(&path));
    strbuf_deinit(&path);
    return joined;
}

static void lose_folder(struct walk *w, struct str path, int errnum,
                        const char *message)
{
    struct strbuf text = STRBUF_INIT(256);
    strbuf_addf(&text, "the folder cannot be read: %s", message);
    VEC_PUSH(
        &w->listing->lost,
        (struct lost_folder){
            .path = path, .problem = problem(w, errnum, strbuf_str(&text).at)});
    strbuf_deinit(&text);
}

static int read_entries(struct walk *w, DIR *dir, struct str path,
                        unsigned depth)
{
    for (;;) {
        errno = 0;
        const struct dirent *d = readdir(dir);
        if (d == NULL) {
            if (errno != 0) {
                lose_folder(w, path, -errno, strerror(errno));
            }
            return 0;
        }
        if (d->d_name[0] == '.') {
            continue;
        }
        if (++w->entries > REPO_MAX_ENTRIES) {
            return err_set(w->err, -E2BIG,
                           "the runbook repository has more "
                           "than %d files and folders",
                           REPO_MAX_ENTRIES);
        }
        int r =
            add_entry(w, join(w, path, d->d_name), entry_type(dir, d), depth);
        if (r < 0) {
            return r;
        }
    }
}

/* A folder that is gone again has no runbooks; one that is there and cannot
 * be read must not look as if it had none. */
static int walk_folder(struct walk *w, struct str path, unsigned depth)
{
    if (depth > REPO_MAX_DEPTH || path.len > REPO_PATH_MAX_BYTES) {
        lose_folder(w, path, -E2BIG, "it is nested too deep");
        return 0;
    }
    int fd = -1;
    int r = os_open_beneath(w->folder_fd, path.len == 0 ? "." : path.at,
                            O_RDONLY | O_DIRECTORY, &fd);
    if (r == -ENOENT) {
        return 0;
    }
    DIR *dir = r < 0 ? NULL : fdopendir(fd);
    if (dir == NULL) {
        int errnum = r < 0 ? r : -errno;
        if (fd >= 0) {
            (void)close(fd);
        }
        lose_folder(w, path, errnum, strerror(-errnum));
        return 0;
    }
    r = read_entries(w, dir, path, depth);
    (void)closedir(dir);
    return r;
}

static int by_path(const void *a, const void *b)
{
    return str_cmp(((const struct found_file *)a)->path,
                   ((const struct found_file *)b)->path);
}

/* Two odd names may be shown alike; both are rejected, one is enough. */
static void sort_files(struct listing *l)
{
    size_t kept = 0;
    if (l->files.count != 0) {
        qsort(l->files.at, l->files.count, sizeof(*l->files.at), by_path);
    }
    VEC_EACH (&l->files, i) {
        if (kept == 0 ||
            !str_eq(l->files.at[kept - 1].path, l->files.at[i].path)) {
            l->files.at[kept++] = l->files.at[i];
        }
    }
    l->files.count = kept;
}

int repo_list(int folder_fd, struct arena *a, struct listing *ret,
              struct err *reterr)
{
    struct walk w = {
        .folder_fd = folder_fd, .arena = a, .listing = ret, .err = reterr};
    int r = walk_folder(&w, STR(""), 0);
    if (r < 0) {
        return r;
    }
    VEC_EACH (&ret->lost, i) {
        if (ret->lost.at[i].path.len == 0) {
            *reterr = *ret->lost.at[i].problem;
            return reterr->errnum;
        }
    }
    sort_files(ret);
    return 0;
}

void listing_deinit(struct listing *l)
{
    VEC_DEINIT(&l->files);
    VEC_DEINIT(&l->lost);
}
