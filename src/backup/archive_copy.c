/* The archive in a backup, and back out of it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backup/backup_priv.h"
#include "os/beneath.h"
#include "os/fd.h"

#define DAMAGED ".damaged"
#define NAMES_MAX 100

static int fail(int errnum, const char *what, const char *name,
                struct err *reterr)
{
    return err_set(reterr, errnum, "cannot %s %s: %s", what, name,
                   strerror(-errnum));
}

/* ---- into a backup ------------------------------------------------------- */

struct copying {
    const struct backup_archive_copy *copy;
    struct arena *arena;
    int from; /* the archive */
    int last; /* the newest backup; -1: there is none */
    struct backup_manifest last_manifest;
    size_t next; /* where its files are looked for next */
};

/* Both go by name, so that the next one is near. */
static const struct backup_file *find_in_last(struct copying *x,
                                              struct str path)
{
    size_t count = x->last_manifest.files.count;
    for (size_t i = 0; i < count; i++) {
        const struct backup_file *f =
            &x->last_manifest.files.at[(x->next + i) % count];
        if (str_eq(f->path, path)) {
            x->next = (x->next + i + 1) % count;
            return f;
        }
    }
    return NULL;
}

/* True: the new backup has the file now, and it is what it should be. */
static bool link_file(struct copying *x, const char *path, uint64_t bytes,
                      struct backup_file *ret)
{
    struct err unused = ERR_INIT;
    const struct backup_file *old = find_in_last(x, str_c(path));
    if (old == NULL || old->bytes != bytes ||
        linkat(x->last, path, x->copy->own, path, 0) < 0) {
        return false;
    }
    if (backup_read_file(x->copy->own, ret, -1, &unused) == 0 &&
        backup_file_is_same(ret, old)) {
        ret->is_summed = true;
        return true;
    }
    (void)unlinkat(x->copy->own, path, 0);
    return false;
}

/* 1: there it is; 0: it was removed a moment ago. */
static int copy_file(struct copying *x, const char *path,
                     const struct archive_file *file, struct err *reterr)
{
    struct backup_file source = {.path = file->name};
    struct err err = ERR_INIT;
    CLEANUP(os_closep)
    int fd = openat(x->copy->own, path,
                    O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return fail(-errno, "make", path, reterr);
    }
    int r = backup_read_file(x->from, &source, fd, &err);
    if (r == -ENOENT) {
        (void)unlinkat(x->copy->own, path, 0);
        return 0;
    }
    if (r < 0) {
        *reterr = err;
        return r;
    }
    return fsync(fd) < 0 ? fail(-errno, "sync", path, reterr) : 1;
}

static int add_file(struct copying *x, const struct archive_file *file,
                    struct backup_manifest *m, struct err *reterr)
{
    char path[sizeof(BACKUP_ARCHIVE) + ARCHIVE_NAME_SIZE];
    (void)snprintf(path, sizeof(path), BACKUP_ARCHIVE "/%.*s",
                   STR_ARG(file->name));
    struct backup_file entry = {.path = arena_str(x->arena, str_c(path))};
    int r = 1;
    if (!link_file(x, path, file->bytes, &entry)) {
        r = copy_file(x, path, file, reterr);
    }
    if (r == 1) {
        VEC_PUSH(&m->files, entry);
    }
    return MIN(r, 0);
}

static int add_all(struct copying *x, struct backup_manifest *m,
                   struct err *reterr)
{
    struct err unused = ERR_INIT;
    struct archive_list list = {0};
    int r = archive_list(x->from, x->arena, &list, reterr);
    if (r == 0 && list.items.count != 0 &&
        mkdirat(x->copy->own, BACKUP_ARCHIVE, 0700) < 0) {
        r = fail(-errno, "make", BACKUP_ARCHIVE, reterr);
    }
    if (backup_open_newest(x->copy->all, x->arena, &x->last, &x->last_manifest,
                           &unused) < 0) {
        x->last = -1;
    }
    for (size_t i = 0; r == 0 && i < list.items.count; i++) {
        r = add_file(x, &list.items.at[i], m, reterr);
    }
    archive_list_deinit(&list);
    return r;
}

int backup_copy_archive(const struct backup_archive_copy *copy, struct arena *a,
                        struct backup_manifest *m, struct err *reterr)
{
    struct copying x = {.copy = copy, .arena = a, .from = -1, .last = -1};
    struct err err = ERR_INIT;
    int r = archive_open(copy->directory, false, &x.from, &err);
    if (r < 0 && r != -ENOENT) {
        *reterr = err;
    } else {
        r = r == 0 ? add_all(&x, m, reterr) : 0;
    }
    backup_manifest_deinit(&x.last_manifest);
    os_close(x.last);
    os_close(x.from);
    return r;
}

/* ---- out of a backup ----------------------------------------------------- */

/* A name beside it that is free. */
static int set_aside(int to, const char *name, struct err *reterr)
{
    char other[ARCHIVE_NAME_SIZE + 24];
    for (int i = 1; i < NAMES_MAX; i++) {
        char again[8] = "";
        if (i != 1) {
            (void)snprintf(again, sizeof(again), "-%d", i);
        }
        (void)snprintf(other, sizeof(other), "%s" DAMAGED "%s", name, again);
        int r = backup_rename_new(to, name, to, other);
        if (r != -EEXIST) {
            return r < 0 ? fail(r, "set aside", name, reterr) : 0;
        }
    }
    return fail(-EEXIST, "set aside", name, reterr);
}

/* 1: it is there and good; 0: there is none (now). */
static int look_at_old(int to, const char *name,
                       const struct backup_file *wanted, struct err *reterr)
{
    struct backup_file is = {.path = str_c(name)};
    struct err unused = ERR_INIT;
    int r = backup_read_file(to, &is, -1, &unused);
    if (r == -ENOENT) {
        return 0;
    }
    return r == 0 && backup_file_is_same(&is, wanted)
               ? 1
               : set_aside(to, name, reterr);
}

static int take_file(int own, int to, const char *name,
                     const struct backup_file *wanted, struct err *reterr)
{
    char part[ARCHIVE_NAME_SIZE + 8];
    struct backup_file is = {.path = wanted->path};
    (void)snprintf(part, sizeof(part), "%s" ARCHIVE_PART, name);
    (void)unlinkat(to, part, 0);
    CLEANUP(os_closep)
    int fd = openat(to, part,
                    O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    int r = fd < 0 ? -errno : backup_take_owner(to, fd);
    r = r < 0 ? fail(r, "make", part, reterr)
              : backup_read_file(own, &is, fd, reterr);
    if (r == 0 && !backup_file_is_same(&is, wanted)) {
        r = err_set(reterr, -EBADMSG, "%.*s is not what the manifest says",
                    STR_ARG(wanted->path));
    }
    r = r < 0 ? r : archive_finish(to, name, fd, reterr);
    if (r < 0) {
        archive_discard(to, name);
    }
    return r;
}

static int take_all(int own, int to, const struct backup_manifest *m,
                    uint32_t *ret_files, struct err *reterr)
{
    const struct str folder = STR(BACKUP_ARCHIVE "/");
    int r = 0;
    for (size_t i = 0; r >= 0 && i < m->files.count; i++) {
        const struct backup_file *f = &m->files.at[i];
        char name[ARCHIVE_NAME_SIZE];
        if (!str_starts(f->path, folder)) {
            continue;
        }
        struct str base = str_slice(f->path, folder.len, f->path.len);
        (void)snprintf(name, sizeof(name), "%.*s", STR_ARG(base));
        r = look_at_old(to, name, f, reterr);
        if (r == 0) {
            r = take_file(own, to, name, f, reterr);
            *ret_files += r == 0 ? 1 : 0;
        }
    }
    return MIN(r, 0);
}

int backup_restore_archive(const char *directory, const char *name,
                           const char *archive, struct arena *a,
                           uint32_t *ret_files, struct err *reterr)
{
    CLEANUP(os_closep) int all = -1;
    CLEANUP(os_closep) int own = -1;
    CLEANUP(os_closep) int to = -1;
    struct backup_manifest m = {0};
    *ret_files = 0;
    int r = backup_open_directory(directory, false, &all, reterr);
    r = r < 0 ? r : backup_open_named(all, name, a, &own, &m, reterr);
    if (r == 0 && m.info.archives != 0) {
        r = backup_open_owned(archive, &to, reterr);
        r = r < 0 ? r : take_all(own, to, &m, ret_files, reterr);
    }
    backup_manifest_deinit(&m);
    return r;
}
