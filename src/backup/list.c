/* What backups there are, whether they are good, which are kept. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backup/backup_priv.h"
#include "base/mem.h"
#include "os/fd.h"
#include "os/remove.h"

#define HOUR_MS (3600ULL * 1000)
#define DAY_MS (24 * HOUR_MS)
#define KEEP_MIN 2

/* ---- one ----------------------------------------------------------------- */

static int open_backup(int all, const char *name, int *ret, struct err *reterr)
{
    int fd = -1;
    if (!backup_name_is_good(str_c(name))) {
        return err_set(reterr, -ENOENT, "%s is not the name of a backup", name);
    }
    fd = openat(all, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        int r = -errno;
        return r == -ENOENT
                   ? err_set(reterr, r, "there is no %s", name)
                   : err_set(reterr, -EBADMSG, "%s: %s", name, strerror(-r));
    }
    *ret = fd;
    return 0;
}

static int read_manifest(int own, const char *name, struct arena *a,
                         struct backup_manifest *ret, struct err *reterr)
{
    CLEANUP(strbuf_deinit)
    struct strbuf text = STRBUF_INIT(BACKUP_MANIFEST_MAX_BYTES);
    int r = os_read_file(own, BACKUP_MANIFEST, &text);
    if (r < 0) {
        return err_set(reterr, -EBADMSG, "its manifest cannot be read: %s",
                       strerror(-r));
    }
    r = backup_manifest_read(strbuf_str(&text), a, ret, reterr);
    if (r == 0 && !str_eq_c(ret->info.name, name)) {
        backup_manifest_deinit(ret);
        r = err_set(reterr, -EBADMSG, "its manifest is that of another backup");
    }
    return r;
}

int backup_open_named(int all, const char *name, struct arena *a, int *ret,
                      struct backup_manifest *ret_manifest, struct err *reterr)
{
    CLEANUP(os_closep) int own = -1;
    int r = open_backup(all, name, &own, reterr);
    r = r < 0 ? r : read_manifest(own, name, a, ret_manifest, reterr);
    if (r == 0) {
        *ret = own;
        own = -1;
    }
    return r;
}

/* Names begin with the time; "-2" is behind the one without. */
static bool is_newer(struct str a, struct str b)
{
    return str_cmp(a, b) > 0;
}

int backup_open_newest(int all, struct arena *a, int *ret,
                       struct backup_manifest *ret_manifest, struct err *reterr)
{
    int fd = openat(all, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct str newest = STR("");
    if (dir == NULL) {
        os_close(fd);
        return err_set(reterr, -errno, "cannot read the folder of backups");
    }
    for (const struct dirent *d = readdir(dir); d != NULL; d = readdir(dir)) {
        struct str name = str_c(d->d_name);
        if (backup_name_is_good(name) && is_newer(name, newest)) {
            newest = arena_str(a, name);
        }
    }
    (void)closedir(dir);
    return newest.len == 0 ? err_set(reterr, -ENOENT, "there is no backup")
                           : backup_open_named(all, arena_strdup(a, newest), a,
                                               ret, ret_manifest, reterr);
}

static bool holds(const struct backup_manifest *m, const char *path)
{
    VEC_EACH (&m->files, i) {
        if (str_eq_c(m->files.at[i].path, path)) {
            return true;
        }
    }
    return false;
}

static int verify_sums(int own, const struct backup_manifest *m,
                       struct err *reterr)
{
    VEC_EACH (&m->files, i) {
        const struct backup_file *f = &m->files.at[i];
        struct backup_file is = {.path = f->path};
        int r = backup_read_file(own, &is, -1, reterr);
        if (r < 0) {
            return r == -EIO ? r : -EBADMSG;
        }
        if (!backup_file_is_same(&is, f)) {
            return err_set(reterr, -EBADMSG,
                           "%.*s is not what the manifest says",
                           STR_ARG(f->path));
        }
    }
    return 0;
}

static int verify_stores(const char *folder, struct backup_manifest *m,
                         struct arena *a, struct err *reterr)
{
    struct store_summary s = {0};
    if (!holds(m, BACKUP_STORE)) {
        return err_set(reterr, -EBADMSG, "it has no " BACKUP_STORE);
    }
    int r = store_verify(backup_join(a, folder, BACKUP_STORE), &s, reterr);
    if (r == 0 && (s.counts.accepted != m->info.accepted ||
                   s.last_event_seq != m->info.last_event_seq)) {
        r = err_set(reterr, -EBADMSG,
                    "its store does not hold what the manifest says");
    }
    m->info.trail = arena_str(a, str_c(s.trail));
    if (r == 0 && holds(m, BACKUP_METRICS)) {
        r = store_verify_other(backup_join(a, folder, BACKUP_METRICS), reterr);
    }
    return r;
}

int backup_verify(const char *directory, const char *name, struct arena *a,
                  struct backup_info *ret, struct err *reterr)
{
    CLEANUP(os_closep) int all = -1;
    CLEANUP(os_closep) int own = -1;
    struct backup_manifest m = {0};
    int r = backup_open_directory(directory, false, &all, reterr);
    r = r < 0 ? r : backup_open_named(all, name, a, &own, &m, reterr);
    r = r < 0 ? r : verify_sums(own, &m, reterr);
    r = r < 0 ? r
              : verify_stores(backup_join(a, directory, name), &m, a, reterr);
    if (r == 0) {
        *ret = m.info;
    }
    backup_manifest_deinit(&m);
    return r;
}

/* ---- all ----------------------------------------------------------------- */

/* Files of the archive that another backup has as well take room once. */
static uint64_t shared_bytes(int own, const struct backup_manifest *m,
                             struct arena *a)
{
    uint64_t bytes = 0;
    VEC_EACH (&m->files, i) {
        const struct backup_file *f = &m->files.at[i];
        struct stat st;
        if (str_starts(f->path, STR(BACKUP_ARCHIVE "/")) &&
            fstatat(own, arena_strdup(a, f->path), &st, AT_SYMLINK_NOFOLLOW) ==
                0 &&
            st.st_nlink > 1) {
            bytes += f->bytes;
        }
    }
    return bytes;
}

static void add(int all, const char *name, struct arena *a,
                struct backup_list *list)
{
    struct err err = ERR_INIT;
    struct backup_manifest m = {0};
    CLEANUP(os_closep) int own = -1;
    struct backup_info info = {.broken = STR("")};
    int r = backup_open_named(all, name, a, &own, &m, &err);
    if (r == 0) {
        info = m.info;
        info.shared_bytes = shared_bytes(own, &m, a);
        info.broken = STR("");
    } else {
        info.name = arena_str(a, str_c(name));
        info.broken = arena_str(a, str_c(err.message));
    }
    VEC_PUSH(&list->items, info);
    backup_manifest_deinit(&m);
}

static int newest_first(const void *a, const void *b)
{
    const struct backup_info *x = a;
    const struct backup_info *y = b;
    return is_newer(x->name, y->name) ? -1 : is_newer(y->name, x->name);
}

int backup_list(const char *directory, struct arena *a, struct backup_list *ret,
                struct err *reterr)
{
    int all = -1;
    int r = backup_open_directory(directory, false, &all, reterr);
    if (r < 0) {
        return r;
    }
    DIR *dir = fdopendir(all);
    if (dir == NULL) {
        os_close(all);
        return err_set(reterr, -ENOMEM, "cannot read %s", directory);
    }
    *ret = (struct backup_list){0};
    for (const struct dirent *d = readdir(dir); d != NULL; d = readdir(dir)) {
        if (backup_name_is_good(str_c(d->d_name))) {
            add(all, d->d_name, a, ret);
        }
    }
    (void)closedir(dir);
    if (ret->items.count != 0) {
        qsort(ret->items.at, ret->items.count, sizeof(*ret->items.at),
              newest_first);
    }
    return 0;
}

void backup_list_deinit(struct backup_list *l)
{
    VEC_DEINIT(&l->items);
}

int backup_last(const char *directory, struct arena *a, struct backup_info *ret,
                struct err *reterr)
{
    CLEANUP(os_closep) int all = -1;
    CLEANUP(os_closep) int own = -1;
    struct backup_manifest m = {0};
    struct backup_list list = {0};
    struct err unused = ERR_INIT;
    int r = backup_open_directory(directory, false, &all, reterr);
    if (r < 0) {
        return r;
    }
    if (backup_open_newest(all, a, &own, &m, &unused) == 0) {
        *ret = m.info;
        backup_manifest_deinit(&m);
        return 0;
    }
    r = backup_list(directory, a, &list, reterr); /* it is broken */
    for (size_t i = 0; r == 0 && i < list.items.count; i++) {
        if (list.items.at[i].broken.len == 0) {
            *ret = list.items.at[i];
            backup_list_deinit(&list);
            return 0;
        }
    }
    backup_list_deinit(&list);
    return r < 0 ? r
                 : err_set(reterr, -ENOENT, "there is no backup in %s",
                           directory);
}

int backup_newest(const char *directory, struct arena *a,
                  struct backup_info *ret, backup_broken_fn *broken,
                  void *context, struct err *reterr)
{
    struct backup_list list = {0};
    int r = backup_list(directory, a, &list, reterr);
    if (r < 0) {
        return r;
    }
    r = -ENOENT;
    for (size_t i = 0; i < list.items.count && r < 0; i++) {
        struct err why = ERR_INIT;
        const char *name = arena_strdup(a, list.items.at[i].name);
        r = backup_verify(directory, name, a, ret, &why);
        if (r < 0 && broken != NULL) {
            broken(context, name, &why);
        }
    }
    if (r < 0) {
        r = err_set(reterr, -ENOENT, "%s holds no backup that is good",
                    directory);
    }
    backup_list_deinit(&list);
    return r;
}

/* ---- keeping ------------------------------------------------------------- */

/* Where room is short, one of each day is worth more than a tenth of this
 * hour: a mistake is often found late. In this order they get their place. */
enum keep_class {
    KEEP_NEWEST, /* the last two: whatever their size */
    KEEP_DAILY,  /* the last of a UTC day */
    KEEP_HOURLY, /* the last of an hour */
    KEEP_YOUNG,
    KEEP_CLASSES /* none of these: goes */
};

struct keeping {
    const struct backup_keep *keep;
    uint64_t now_ms;
    uint64_t bytes;        /* of those that are kept, without what they share */
    uint64_t shared_bytes; /* the most that one of them shares */
};

/* `after` is the next newer good one, NULL for the newest; `place` counts the
 * good ones from there. */
static enum keep_class class_of(const struct keeping *k,
                                const struct backup_info *b,
                                const struct backup_info *after, size_t place)
{
    uint64_t age_ms = k->now_ms - MIN(b->made_ms, k->now_ms);
    uint64_t after_ms = after != NULL ? after->made_ms : UINT64_MAX;
    if (place < KEEP_MIN) {
        return KEEP_NEWEST;
    }
    if (age_ms < k->keep->keep_days * DAY_MS &&
        b->made_ms / DAY_MS != after_ms / DAY_MS) {
        return KEEP_DAILY;
    }
    if (age_ms >= k->keep->keep_all_ms) {
        return KEEP_CLASSES;
    }
    return b->made_ms / HOUR_MS != after_ms / HOUR_MS ? KEEP_HOURLY
                                                      : KEEP_YOUNG;
}

static bool has_room(struct keeping *k, const struct backup_info *b,
                     enum keep_class class)
{
    uint64_t bytes = k->bytes + b->bytes - b->shared_bytes;
    uint64_t shared = MAX(k->shared_bytes, b->shared_bytes);
    if (class != KEEP_NEWEST && bytes + shared > k->keep->max_bytes) {
        return false;
    }
    k->bytes = bytes;
    k->shared_bytes = shared;
    return true;
}

/* Which of the list are kept, newest first within each class. */
static bool *choose(struct keeping *k, const struct backup_list *l,
                    struct arena *a)
{
    bool *kept = ARENA_ARRAY(a, l->items.count, bool);
    for (int class = 0; class < KEEP_CLASSES; class ++) {
        const struct backup_info *after = NULL;
        size_t place = 0;
        for (size_t i = 0; i < l->items.count; i++) {
            const struct backup_info *b = &l->items.at[i];
            if (b->broken.len != 0) {
                continue;
            }
            if (class_of(k, b, after, place) == (enum keep_class) class) {
                kept[i] = has_room(k, b, (enum keep_class) class);
            }
            after = b;
            place++;
        }
    }
    return kept;
}

/* A broken one has no time but its name's; it goes when a good one that is
 * older than all that are kept anyway stands behind it in the list. */
static bool is_old(const struct backup_list *l, size_t i,
                   const struct keeping *k)
{
    for (size_t n = i; n < l->items.count; n++) {
        const struct backup_info *b = &l->items.at[n];
        if (b->broken.len == 0) {
            return k->now_ms - MIN(b->made_ms, k->now_ms) >=
                   k->keep->keep_all_ms;
        }
    }
    return false;
}

int backup_prune(const char *directory, const struct backup_keep *keep,
                 uint64_t now_ms, uint32_t *ret_removed, struct err *reterr)
{
    CLEANUP(arena_deinit) struct arena a = ARENA_INIT;
    CLEANUP(os_closep) int all = -1;
    CLEANUP(os_closep) int lock = -1;
    struct backup_list list = {0};
    struct keeping k = {.keep = keep, .now_ms = now_ms};
    *ret_removed = 0;
    int r = backup_open_directory(directory, false, &all, reterr);
    r = r < 0 ? r
              : backup_lock(all, BACKUP_LOCK,
                            "another backup is being made or restored", &lock,
                            reterr);
    r = r < 0 ? r : backup_list(directory, &a, &list, reterr);
    const bool *kept = r == 0 ? choose(&k, &list, &a) : NULL;
    for (size_t i = 0; r == 0 && i < list.items.count; i++) {
        const struct backup_info *b = &list.items.at[i];
        if (kept[i] || (b->broken.len != 0 && !is_old(&list, i, &k))) {
            continue;
        }
        const char *name = arena_strdup(&a, b->name);
        int e = os_remove_tree(all, name);
        *ret_removed += e == 0 ? 1 : 0;
        if (e < 0) {
            r = err_set(reterr, e, "cannot remove %s: %s", name, strerror(-e));
        }
    }
    backup_list_deinit(&list);
    return r;
}
