#include "os/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>

#include "os/fd.h"

#define STAT_MAX_BYTES 4096
#define ENVIRON_MAX_BYTES (4096UL * 1024)

/* Positions behind the command's name: state is the first. */
enum { FIELD_STATE = 0, FIELD_PARENT = 1, FIELD_SESSION = 3, FIELD_START = 19 };

static int parse_stat(struct str text, struct os_process *ret)
{
    /* The name is in parentheses and may hold anything, ")" included. */
    size_t at = text.len;
    while (at > 0 && text.at[at - 1] != ')') {
        at--;
    }
    uint64_t values[FIELD_START + 1] = {0};
    struct str rest = str_slice(text, at + 1, text.len);
    if (at == 0 || rest.len == 0) {
        return -EBADMSG;
    }
    ret->state = rest.at[0];
    for (size_t i = 0; i <= FIELD_START; i++) {
        ptrdiff_t space = str_find(rest, ' ');
        if (space < 0) {
            return -EBADMSG;
        }
        /* Fields that may be negative are not among ours. */
        (void)!str_to_u64(str_slice(rest, 0, (size_t)space), 0, UINT64_MAX,
                          &values[i]);
        rest = str_slice(rest, (size_t)space + 1, rest.len);
    }
    ret->parent = (pid_t)values[FIELD_PARENT];
    ret->session = (pid_t)values[FIELD_SESSION];
    ret->start_ticks = values[FIELD_START];
    return 0;
}

int os_process_read(pid_t pid, struct os_process *ret)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    CLEANUP(strbuf_deinit) struct strbuf text = STRBUF_INIT(STAT_MAX_BYTES);
    int r = os_read_file(AT_FDCWD, path, &text);
    if (r < 0) {
        return r == -ENOENT ? -ESRCH : r;
    }
    struct os_process p = {.pid = pid};
    r = parse_stat(strbuf_str(&text), &p);
    if (r == 0) {
        *ret = p;
    }
    return r;
}

int os_process_user(pid_t pid, uid_t *ret)
{
    static const char key[] = "\nUid:\t";
    char path[64];
    uint64_t user = 0;
    (void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    CLEANUP(strbuf_deinit) struct strbuf text = STRBUF_INIT(STAT_MAX_BYTES);
    int r = os_read_file(AT_FDCWD, path, &text);
    if (r < 0) {
        return r == -ENOENT ? -ESRCH : r;
    }
    /* The name of the process, before it, has its newlines escaped. Behind the
     * key: the real user, a tab, the effective one, a tab. */
    strbuf_addc(&text, "");
    const char *at = strstr(text.at, key);
    at = at != NULL ? strchr(at + sizeof(key) - 1, '\t') : NULL;
    const char *end = at != NULL ? strchr(at + 1, '\t') : NULL;
    if (end == NULL || str_to_u64(str_n(at + 1, (size_t)(end - at - 1)), 0,
                                  UINT32_MAX, &user) < 0) {
        return -EBADMSG;
    }
    *ret = (uid_t)user;
    return 0;
}

int os_process_each(bool (*fn)(void *context, const struct os_process *p),
                    void *context)
{
    DIR *dir = opendir("/proc");
    if (dir == NULL) {
        return -errno;
    }
    bool more = true;
    for (struct dirent *e = readdir(dir); e != NULL && more; e = readdir(dir)) {
        uint64_t pid = 0;
        struct os_process p;
        if (str_to_u64(str_c(e->d_name), 1, INT32_MAX, &pid) == 0 &&
            os_process_read((pid_t)pid, &p) == 0) {
            more = fn(context, &p);
        }
    }
    (void)closedir(dir);
    return 0;
}

bool os_process_has_env(pid_t pid, struct str entry)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/%d/environ", (int)pid);
    CLEANUP(strbuf_deinit)
    struct strbuf text = STRBUF_INIT(ENVIRON_MAX_BYTES);
    if (os_read_file(AT_FDCWD, path, &text) < 0) {
        return false;
    }
    struct str rest = strbuf_str(&text);
    while (rest.len > 0) {
        ptrdiff_t end = str_find(rest, '\0');
        size_t len = end < 0 ? rest.len : (size_t)end;
        if (str_eq(str_slice(rest, 0, len), entry)) {
            return true;
        }
        rest = str_slice(rest, len + 1, rest.len);
    }
    return false;
}

int os_process_signal(const struct os_process *p, int signal)
{
    CLEANUP(os_closep) int fd = pidfd_open(p->pid, 0);
    if (fd < 0) {
        return -errno;
    }
    /* Now the number cannot pass to another process unseen. */
    struct os_process now = {0};
    int r = os_process_read(p->pid, &now);
    if (r < 0) {
        return r;
    }
    if (now.start_ticks != p->start_ticks) {
        return -ESRCH;
    }
    return pidfd_send_signal(fd, signal, NULL, 0) < 0 ? -errno : 0;
}
