#include "os/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/fd.h"

#define MOUNTINFO_MAX_BYTES (1024UL * 1024)
#define PROCS_MAX_BYTES (4096UL * 1024)
#define SMALL_MAX_BYTES 65536
#define NESTED_MAX 16

/* Takes the part of *rest before the next c, and steps over c. */
static struct str next_part(struct str *rest, char c)
{
    ptrdiff_t at = str_find(*rest, c);
    size_t len = at < 0 ? rest->len : (size_t)at;
    struct str part = str_slice(*rest, 0, len);
    *rest = str_slice(*rest, len + 1, rest->len);
    return part;
}

/* The path behind "0::" in /proc/self/cgroup. */
static struct str own_path(struct str text)
{
    while (text.len > 0) {
        struct str line = next_part(&text, '\n');
        if (str_starts(line, STR("0::"))) {
            return str_slice(line, 3, line.len);
        }
    }
    return STR_NULL;
}

/* Of one line of mountinfo: "id parent dev root point options … - type …".
 * True if it mounts version 2; gives the root and the mount point. */
static bool is_unified(struct str line, struct str *root, struct str *point)
{
    for (int i = 0; i < 3; i++) {
        (void)next_part(&line, ' ');
    }
    *root = next_part(&line, ' ');
    *point = next_part(&line, ' ');
    while (line.len > 0 && !str_eq_c(next_part(&line, ' '), "-")) {
    }
    return str_eq_c(next_part(&line, ' '), "cgroup2");
}

/* Our group as a folder below this mount, if the mount shows it. */
static int join(struct str root, struct str point, struct str own,
                char path[OS_CGROUP_PATH_MAX])
{
    if (str_eq_c(root, "/")) {
        root.len = 0;
    }
    bool shown = str_starts(own, root) &&
                 (own.len == root.len || own.at[root.len] == '/');
    /* mountinfo writes odd bytes as \ooo; ".." is above our namespace. */
    if (!shown || str_has_nocase(own, STR("/..")) ||
        str_find(point, '\\') >= 0) {
        return -ENOTSUP;
    }
    own = str_slice(own, root.len, own.len);
    if (str_eq_c(own, "/")) {
        own.len = 0;
    }
    int n = snprintf(path, OS_CGROUP_PATH_MAX, "%.*s%.*s", STR_ARG(point),
                     STR_ARG(own));
    return n > 0 && n < OS_CGROUP_PATH_MAX ? 0 : -ENOTSUP;
}

static int find_mount(struct str mounts, struct str own,
                      char path[OS_CGROUP_PATH_MAX])
{
    while (mounts.len > 0) {
        struct str line = next_part(&mounts, '\n');
        struct str root = STR_NULL;
        struct str point = STR_NULL;
        if (is_unified(line, &root, &point) &&
            join(root, point, own, path) == 0) {
            return 0;
        }
    }
    return -ENOTSUP;
}

int os_cgroup_own(char path[OS_CGROUP_PATH_MAX])
{
    CLEANUP(strbuf_deinit)
    struct strbuf groups = STRBUF_INIT(SMALL_MAX_BYTES);
    CLEANUP(strbuf_deinit)
    struct strbuf mounts = STRBUF_INIT(MOUNTINFO_MAX_BYTES);
    if (os_read_file(AT_FDCWD, "/proc/self/cgroup", &groups) < 0 ||
        os_read_file(AT_FDCWD, "/proc/self/mountinfo", &mounts) < 0) {
        return -ENOTSUP;
    }
    struct str own = own_path(strbuf_str(&groups));
    if (own.len == 0) {
        return -ENOTSUP;
    }
    return find_mount(strbuf_str(&mounts), own, path);
}

int os_cgroup_open(const char *path, int *ret)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return -errno;
    }
    *ret = fd;
    return 0;
}

int os_cgroup_make(const char *folder, const char *name, int *ret)
{
    char path[OS_CGROUP_PATH_MAX + 1];
    int n = snprintf(path, sizeof(path), "%s/%s", folder, name);
    if (n < 0 || (size_t)n >= sizeof(path)) {
        return -ENAMETOOLONG;
    }
    if (mkdir(path, 0755) < 0) {
        return -errno;
    }
    int fd = -1;
    int r = os_cgroup_open(path, &fd);
    if (r == 0 && faccessat(fd, "cgroup.kill", W_OK, 0) < 0) {
        r = errno == ENOENT ? -ENOTSUP : -errno;
    }
    if (r < 0) {
        os_close(fd);
        (void)rmdir(path);
        return r;
    }
    *ret = fd;
    return 0;
}

int os_cgroup_populated(int cgroup)
{
    /* At the end of every step: the kernel gives such a short file in one. */
    char text[128];
    CLEANUP(os_closep)
    int fd = openat(cgroup, "cgroup.events", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text));
    if (n < 0) {
        return -errno;
    }
    return str_has_nocase(str_n(text, (size_t)n), STR("populated 1")) ? 1 : 0;
}

static int write_word(int cgroup, const char *file, const char *word)
{
    CLEANUP(os_closep)
    int fd = openat(cgroup, file, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    return fd < 0 ? -errno : os_write_all(fd, str_c(word));
}

int os_cgroup_kill(int cgroup)
{
    return write_word(cgroup, "cgroup.kill", "1");
}

int os_cgroup_each(int cgroup, void (*fn)(void *context, pid_t pid),
                   void *context)
{
    CLEANUP(strbuf_deinit)
    struct strbuf text = STRBUF_INIT(PROCS_MAX_BYTES);
    int r = os_read_file(cgroup, "cgroup.procs", &text);
    if (r < 0) {
        return r;
    }
    int count = 0;
    struct str rest = strbuf_str(&text);
    while (rest.len > 0) {
        uint64_t pid = 0;
        struct str line = next_part(&rest, '\n');
        if (str_to_u64(line, 1, INT32_MAX, &pid) == 0) {
            fn(context, (pid_t)pid);
            count++;
        }
    }
    return count;
}

static int open_group(int folder, const char *name)
{
    return openat(folder, name,
                  O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

/* Removes the groups below `folder`; those that are not empty stay. */
static void remove_below(int folder, unsigned depth)
{
    int copy = open_group(folder, ".");
    DIR *dir = copy < 0 ? NULL : fdopendir(copy);
    if (dir == NULL) {
        os_close(copy);
        return;
    }
    for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        if (e->d_type != DT_DIR || e->d_name[0] == '.') {
            continue;
        }
        int below = depth < NESTED_MAX ? open_group(folder, e->d_name) : -1;
        if (below >= 0) {
            remove_below(below, depth + 1);
            os_close(below);
        }
        (void)unlinkat(folder, e->d_name, AT_REMOVEDIR);
    }
    (void)closedir(dir);
}

int os_cgroup_remove(int folder, const char *name)
{
    if (unlinkat(folder, name, AT_REMOVEDIR) == 0) {
        return 0;
    }
    if (errno != EBUSY) {
        return -errno;
    }
    CLEANUP(os_closep)
    int fd =
        openat(folder, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return -errno;
    }
    remove_below(fd, 0);
    return unlinkat(folder, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}
