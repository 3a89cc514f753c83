/* The folder of the archive: names, writing, listing, keeping, moving in. */
#include "backup/archive.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "backup/backup_priv.h"
#include "os/fd.h"

#define PREFIX "workflows-"
#define SUFFIX ".ndjson"
#define STAMP "YYYYMMDDTHHMMSSZ"
#define NAMES_MAX 100 /* files of one second */

/* ---- names --------------------------------------------------------------- */

/* "20261128T033000Z" */
static bool read_stamp(struct str s, uint64_t *ret_ms)
{
    char text[sizeof(STAMP)];
    struct tm utc = {0};
    if (s.len < sizeof(STAMP) - 1) {
        return false;
    }
    (void)snprintf(text, sizeof(text), "%.*s", (int)sizeof(STAMP) - 1, s.at);
    for (size_t i = 0; i < sizeof(STAMP) - 1; i++) {
        bool digit = text[i] >= '0' && text[i] <= '9';
        if (i == 8 ? text[i] != 'T' : i == 15 ? text[i] != 'Z' : !digit) {
            return false;
        }
    }
    const char *end = strptime(text, "%Y%m%dT%H%M%SZ", &utc);
    time_t at = end != NULL && *end == '\0' ? timegm(&utc) : -1;
    *ret_ms = at >= 0 ? (uint64_t)at * 1000 : 0;
    return at >= 0;
}

bool archive_name_is_good(struct str name, uint64_t *ret_ms)
{
    const struct str prefix = STR(PREFIX);
    const struct str suffix = STR(SUFFIX);
    uint64_t unused = 0;
    if (name.len >= ARCHIVE_NAME_SIZE || !str_starts(name, prefix) ||
        !str_ends(name, suffix) || name.len < prefix.len + suffix.len) {
        return false;
    }
    struct str middle = str_slice(name, prefix.len, name.len - suffix.len);
    if (!read_stamp(middle, ret_ms != NULL ? ret_ms : &unused)) {
        return false;
    }
    struct str again = str_slice(middle, sizeof(STAMP) - 1, middle.len);
    for (size_t i = 0; i < again.len; i++) { /* "-2" */
        bool digit = again.at[i] >= '0' && again.at[i] <= '9';
        if (i == 0 ? again.at[i] != '-' : !digit) {
            return false;
        }
    }
    return again.len != 1;
}

/* ---- the folder ---------------------------------------------------------- */

int archive_open(const char *directory, bool make, int *ret, struct err *reterr)
{
    return backup_open_directory(directory, make, ret, reterr);
}

/* By time, and "-10" behind "-9". */
static int oldest_first(const void *a, const void *b)
{
    const struct archive_file *x = a;
    const struct archive_file *y = b;
    if (x->made_ms != y->made_ms) {
        return x->made_ms < y->made_ms ? -1 : 1;
    }
    if (x->name.len != y->name.len) {
        return x->name.len < y->name.len ? -1 : 1;
    }
    return str_cmp(x->name, y->name);
}

static DIR *open_dir(int folder)
{
    int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (dir == NULL) {
        os_close(fd);
    }
    return dir;
}

int archive_list(int folder, struct arena *a, struct archive_list *ret,
                 struct err *reterr)
{
    DIR *dir = open_dir(folder);
    if (dir == NULL) {
        return err_set(reterr, -errno, "cannot read the archive: %s",
                       strerror(errno));
    }
    *ret = (struct archive_list){0};
    for (const struct dirent *d = readdir(dir); d != NULL; d = readdir(dir)) {
        struct stat st;
        struct archive_file f = {.name = str_c(d->d_name)};
        if (archive_name_is_good(f.name, &f.made_ms) &&
            fstatat(folder, d->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(st.st_mode)) {
            f.name = arena_str(a, f.name);
            f.bytes = (uint64_t)st.st_size;
            VEC_PUSH(&ret->items, f);
        }
    }
    (void)closedir(dir);
    if (ret->items.count != 0) {
        qsort(ret->items.at, ret->items.count, sizeof(*ret->items.at),
              oldest_first);
    }
    return 0;
}

void archive_list_deinit(struct archive_list *l)
{
    VEC_DEINIT(&l->items);
}

/* ---- writing ------------------------------------------------------------- */

static int check_count(int folder, struct err *reterr)
{
    CLEANUP(arena_deinit) struct arena a = ARENA_INIT;
    struct archive_list list;
    int r = archive_list(folder, &a, &list, reterr);
    if (r == 0 && list.items.count >= ARCHIVE_MAX_FILES) {
        err_hint(reterr, "move some of them to another folder");
        r = err_set(reterr, -EDQUOT, "the archive holds %zu files already",
                    list.items.count);
    }
    archive_list_deinit(&list);
    return r;
}

static void part_name(const char *name, char out[ARCHIVE_NAME_SIZE + 8])
{
    (void)snprintf(out, ARCHIVE_NAME_SIZE + 8, "%s" ARCHIVE_PART, name);
}

int archive_create(int folder, uint64_t now_ms,
                   char ret_name[ARCHIVE_NAME_SIZE], int *ret,
                   struct err *reterr)
{
    char stamp[24];
    char part[ARCHIVE_NAME_SIZE + 8];
    time_t now = (time_t)(now_ms / 1000);
    struct tm utc;
    (void)gmtime_r(&now, &utc);
    (void)strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", &utc);
    int r = check_count(folder, reterr);
    for (int i = 1; r == 0 && i < NAMES_MAX; i++) {
        char again[8] = "";
        if (i != 1) {
            (void)snprintf(again, sizeof(again), "-%d", i);
        }
        (void)snprintf(ret_name, ARCHIVE_NAME_SIZE, PREFIX "%s%s" SUFFIX, stamp,
                       again);
        part_name(ret_name, part);
        if (faccessat(folder, ret_name, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
            continue;
        }
        *ret =
            openat(folder, part,
                   O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (*ret >= 0) {
            return 0;
        }
        r = errno != EEXIST ? err_set(reterr, -errno, "cannot make %s: %s",
                                      part, strerror(errno))
                            : 0;
    }
    return r < 0 ? r
                 : err_set(reterr, -EEXIST,
                           "the archive has too many files of this second");
}

int archive_finish(int folder, const char *name, int fd, struct err *reterr)
{
    char part[ARCHIVE_NAME_SIZE + 8];
    part_name(name, part);
    int r = fsync(fd) < 0 ? -errno : 0;
    r = r < 0 ? r : backup_rename_new(folder, part, folder, name);
    if (r == 0 && fsync(folder) < 0) {
        r = -errno;
    }
    return r < 0
               ? err_set(reterr, r, "cannot finish %s: %s", name, strerror(-r))
               : 0;
}

void archive_discard(int folder, const char *name)
{
    char part[ARCHIVE_NAME_SIZE + 8];
    part_name(name, part);
    (void)unlinkat(folder, part, 0);
}

/* ---- keeping ------------------------------------------------------------- */

/* How many of the oldest go. */
static size_t too_many(const struct archive_list *l,
                       const struct archive_keep *keep, uint64_t now_ms)
{
    uint64_t bytes = 0;
    for (size_t i = l->items.count; i > 0; i--) {
        const struct archive_file *f = &l->items.at[i - 1];
        uint64_t age_ms = now_ms - MIN(f->made_ms, now_ms);
        bytes += f->bytes;
        if (i < l->items.count &&
            ((keep->max_bytes != 0 && bytes > keep->max_bytes) ||
             (keep->keep_ms != 0 && age_ms >= keep->keep_ms))) {
            return i;
        }
    }
    return 0;
}

int archive_prune(const char *directory, const struct archive_keep *keep,
                  uint64_t now_ms, struct archive_removed *ret,
                  struct err *reterr)
{
    CLEANUP(arena_deinit) struct arena a = ARENA_INIT;
    CLEANUP(os_closep) int folder = -1;
    struct archive_list list = {0};
    *ret = (struct archive_removed){0};
    int r = archive_open(directory, false, &folder, reterr);
    if (r < 0) {
        return r == -ENOENT ? 0 : r;
    }
    r = archive_list(folder, &a, &list, reterr);
    size_t n = r == 0 ? too_many(&list, keep, now_ms) : 0;
    for (size_t i = 0; r == 0 && i < MIN(n, (size_t)ARCHIVE_PRUNE_MAX); i++) {
        const char *name = arena_strdup(&a, list.items.at[i].name);
        if (unlinkat(folder, name, 0) < 0) {
            r = err_set(reterr, -errno, "cannot remove %s: %s", name,
                        strerror(errno));
        } else {
            ret->files++;
            ret->bytes += list.items.at[i].bytes;
        }
    }
    archive_list_deinit(&list);
    return r;
}

/* ---- moving in ----------------------------------------------------------- */

/* What a process that is gone has not finished. */
static void remove_parts(int folder)
{
    DIR *dir = open_dir(folder);
    if (dir == NULL) {
        return;
    }
    for (const struct dirent *d = readdir(dir); d != NULL; d = readdir(dir)) {
        struct str name = str_c(d->d_name);
        const struct str part = STR(ARCHIVE_PART);
        if (str_ends(name, part) &&
            archive_name_is_good(str_slice(name, 0, name.len - part.len),
                                 NULL)) {
            (void)unlinkat(folder, d->d_name, 0);
        }
    }
    (void)closedir(dir);
}

/* Another file system, or another mount of the same: the units have one for
 * each folder. */
static int copy_over(int from, int to, const char *name, struct err *reterr)
{
    struct backup_file file = {.path = str_c(name)};
    char part[ARCHIVE_NAME_SIZE + 8];
    part_name(name, part);
    CLEANUP(os_closep)
    int fd = openat(to, part,
                    O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    int r = fd < 0 ? err_set(reterr, -errno, "cannot make %s: %s", part,
                             strerror(errno))
                   : backup_read_file(from, &file, fd, reterr);
    r = r < 0 ? r : archive_finish(to, name, fd, reterr);
    if (r < 0) {
        (void)unlinkat(to, part, 0);
    } else if (unlinkat(from, name, 0) < 0) {
        r = err_set(reterr, -errno, "cannot remove %s: %s", name,
                    strerror(errno));
    }
    return r;
}

/* Killed between the two, a file stands in both. */
static int remove_twin(int from, int to, const char *name, struct err *reterr)
{
    struct backup_file x = {.path = str_c(name)};
    struct backup_file y = {.path = str_c(name)};
    int r = backup_read_file(from, &x, -1, reterr);
    r = r < 0 ? r : backup_read_file(to, &y, -1, reterr);
    if (r == 0 && !backup_file_is_same(&x, &y)) {
        r = err_set(reterr, -EEXIST, "there is another %s", name);
    }
    return r == 0 && unlinkat(from, name, 0) < 0
               ? err_set(reterr, -errno, "cannot remove %s: %s", name,
                         strerror(errno))
               : r;
}

static int move_over(int from, int to, const char *name, struct err *reterr)
{
    if (faccessat(to, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
        return remove_twin(from, to, name, reterr);
    }
    int r = backup_rename_new(from, name, to, name);
    if (r == -EXDEV) {
        return copy_over(from, to, name, reterr);
    }
    return r < 0 ? err_set(reterr, r, "cannot move %s: %s", name, strerror(-r))
                 : 0;
}

static bool is_same_folder(int a, int b)
{
    struct stat x;
    struct stat y;
    return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev &&
           x.st_ino == y.st_ino;
}

static int move_in(int from, int to, uint32_t *ret_moved, struct err *reterr)
{
    CLEANUP(arena_deinit) struct arena a = ARENA_INIT;
    struct archive_list list = {0};
    int r = archive_list(from, &a, &list, reterr);
    for (size_t i = 0; r == 0 && i < list.items.count; i++) {
        r = move_over(from, to, arena_strdup(&a, list.items.at[i].name),
                      reterr);
        *ret_moved += r == 0 ? 1 : 0;
    }
    archive_list_deinit(&list);
    return r;
}

int archive_adopt(const char *state_directory, const char *directory,
                  uint32_t *ret_moved, struct err *reterr)
{
    CLEANUP(os_closep) int state = -1;
    CLEANUP(os_closep) int from = -1;
    CLEANUP(os_closep) int to = -1;
    struct err unused = ERR_INIT;
    *ret_moved = 0;
    if (archive_open(directory, false, &to, &unused) == 0) {
        remove_parts(to);
    }
    int r = backup_open_directory(state_directory, false, &state, reterr);
    if (r < 0) {
        return r;
    }
    from = openat(state, ARCHIVE_FOLDER,
                  O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (from < 0) {
        return 0; /* nothing there that was an archive */
    }
    r = to < 0 ? archive_open(directory, true, &to, reterr) : 0;
    if (r < 0 || is_same_folder(from, to)) {
        return r;
    }
    remove_parts(from);
    r = move_in(from, to, ret_moved, reterr);
    if (r == 0) { /* what else is in it stays */
        (void)unlinkat(state, ARCHIVE_FOLDER, AT_REMOVEDIR);
    }
    return r;
}
