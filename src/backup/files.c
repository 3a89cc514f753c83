#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "backup/backup_priv.h"
#include "base/mem.h"
#include "os/beneath.h"
#include "os/fd.h"

#define PIECE_BYTES (128UL * 1024)

const char *backup_join(struct arena *a, const char *directory,
                        const char *name)
{
    CLEANUP(strbuf_deinit) struct strbuf path = STRBUF_INIT(2UL * PATH_MAX);
    strbuf_addf(&path, "%s/%s", directory, name);
    return arena_strdup(a, strbuf_str(&path));
}

int backup_open_directory(const char *path, bool make, int *ret,
                          struct err *reterr)
{
    int r = make ? os_make_parents(path) : 0;
    if (r == 0 && make && mkdir(path, 0700) < 0 && errno != EEXIST) {
        r = -errno;
    }
    int fd = -1;
    if (r == 0) {
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        r = fd < 0 ? -errno : 0;
    }
    if (r < 0) {
        return err_set(reterr, r, "cannot open the folder %s: %s", path,
                       strerror(-r));
    }
    *ret = fd;
    return 0;
}

/* A name that stands for another file as well would give that away. */
int backup_take_owner(int folder, int fd)
{
    struct stat st;
    struct stat own;
    if (fstat(folder, &st) < 0 || fstat(fd, &own) < 0) {
        return -errno;
    }
    if (!S_ISDIR(own.st_mode) && (!S_ISREG(own.st_mode) || own.st_nlink > 1)) {
        return -EMLINK;
    }
    return geteuid() == 0 && fchown(fd, st.st_uid, st.st_gid) < 0 ? -errno : 0;
}

int backup_open_owned(const char *path, int *ret, struct err *reterr)
{
    bool is_new = access(path, F_OK) < 0;
    int r = backup_open_directory(path, true, ret, reterr);
    if (r < 0 || !is_new) {
        return r;
    }
    CLEANUP(mem_freep) char *copy = str_dup(str_c(path));
    CLEANUP(os_closep)
    int parent = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    r = parent < 0 ? -errno : backup_take_owner(parent, *ret);
    return r < 0 ? err_set(reterr, r, "cannot give %s its owner: %s", path,
                           strerror(-r))
                 : 0;
}

int backup_lock(int folder, const char *name, const char *busy, int *ret,
                struct err *reterr)
{
    int fd = openat(folder, name,
                    O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0) {
        int r = -errno;
        os_close(fd);
        return r == -EWOULDBLOCK ? err_set(reterr, -EBUSY, "%s", busy)
                                 : err_set(reterr, r, "cannot lock %s: %s",
                                           name, strerror(-r));
    }
    *ret = fd;
    return 0;
}

/* ---- content ------------------------------------------------------------- */

static int read_on(int from, int to, struct backup_file *file)
{
    CLEANUP(mem_freep) char *piece = mem_alloc(PIECE_BYTES, 1);
    crypto_hash_sha256_state sum;
    (void)crypto_hash_sha256_init(&sum);
    file->bytes = 0;
    for (;;) {
        ssize_t n = read(from, piece, PIECE_BYTES);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return -errno;
        }
        if (n == 0) {
            break;
        }
        file->bytes += (uint64_t)n;
        (void)crypto_hash_sha256_update(&sum, (const uint8_t *)piece,
                                        (unsigned long long)n);
        int r = to >= 0 ? os_write_all(to, str_n(piece, (size_t)n)) : 0;
        if (r < 0) {
            return r;
        }
    }
    (void)crypto_hash_sha256_final(&sum, file->sha256);
    return 0;
}

int backup_read_file(int folder, struct backup_file *file, int to,
                     struct err *reterr)
{
    CLEANUP(mem_freep) char *path = str_dup(file->path);
    CLEANUP(os_closep) int fd = -1;
    struct stat st;
    int r =
        os_open_beneath(folder, path, O_RDONLY | O_NOCTTY | O_NONBLOCK, &fd);
    if (r == 0 && fstat(fd, &st) < 0) {
        r = -errno;
    }
    if (r == 0 && !S_ISREG(st.st_mode)) {
        return err_set(reterr, -EBADMSG, "%s is not a plain file", path);
    }
    if (r == 0) {
        r = read_on(fd, to, file);
    }
    return r < 0 ? err_set(reterr, r, "cannot copy %s: %s", path, strerror(-r))
                 : 0;
}

bool backup_file_is_same(const struct backup_file *x,
                         const struct backup_file *y)
{
    return x->bytes == y->bytes &&
           sodium_memcmp(x->sha256, y->sha256, sizeof(x->sha256)) == 0;
}

/* Not every file system has the one call for it. */
int backup_rename_new(int from, const char *name, int to, const char *new_name)
{
    if (renameat2(from, name, to, new_name, RENAME_NOREPLACE) == 0) {
        return 0;
    }
    if (errno != EINVAL) {
        return -errno;
    }
    if (faccessat(to, new_name, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
        return -EEXIST;
    }
    return renameat(from, name, to, new_name) < 0 ? -errno : 0;
}

/* The folders of "a/b/c.yaml". */
static int make_folders(int folder, const char *path)
{
    CLEANUP(mem_freep) char *copy = str_dup(str_c(path));
    for (char *p = copy; *p != '\0'; p++) {
        if (*p != '/') {
            continue;
        }
        *p = '\0';
        if (mkdirat(folder, copy, 0700) < 0 && errno != EEXIST) {
            return -errno;
        }
        *p = '/';
    }
    return 0;
}

int backup_write_file(int folder, const char *path, struct str text,
                      struct err *reterr)
{
    int r = make_folders(folder, path);
    CLEANUP(os_closep) int fd = -1;
    if (r == 0) {
        fd = openat(folder, path,
                    O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        r = fd < 0 ? -errno : os_write_all(fd, text);
    }
    if (r == 0 && fsync(fd) < 0) {
        r = -errno;
    }
    return r < 0 ? err_set(reterr, r, "cannot write %s: %s", path, strerror(-r))
                 : 0;
}

int backup_sync_folder(int folder, struct err *reterr)
{
    return fsync(folder) < 0
               ? err_set(reterr, -errno, "cannot sync a folder: %s",
                         strerror(errno))
               : 0;
}
