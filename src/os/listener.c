#include "os/listener.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "os/fd.h"
#include "os/process.h"

#define TABLE_MAX_BYTES (16UL * 1024 * 1024)
#define STATE_LISTEN 0x0A

/* The address that was looked for, as /proc/net/tcp and tcp6 write theirs:
 * words of the host's order. */
struct wanted {
    uint32_t words[4]; /* IPv4: the first */
    uint16_t port;
    bool v6;
};

struct entry {
    uint32_t words[4];
    uint32_t port;
    uint32_t state;
    uint64_t uid;
    uint64_t inode;
};

static bool want(const struct sockaddr_storage *address, struct wanted *ret)
{
    memset(ret, 0, sizeof(*ret));
    if (address->ss_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, address, sizeof(in6));
        memcpy(ret->words, &in6.sin6_addr, sizeof(ret->words));
        ret->port = ntohs(in6.sin6_port);
        ret->v6 = true;
    } else if (address->ss_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, address, sizeof(in));
        ret->words[0] = in.sin_addr.s_addr;
        ret->port = ntohs(in.sin_port);
    }
    return ret->port != 0;
}

/* The next word of the line, behind its blanks and colons. */
static struct str word(const char **at)
{
    *at += strspn(*at, " :");
    size_t len = strcspn(*at, " :\n");
    struct str found = str_n(*at, len);
    *at += len;
    return found;
}

static bool hex(struct str s, uint32_t *ret)
{
    static const char digits[] = "0123456789ABCDEF";
    uint32_t value = 0;
    for (size_t i = 0; i < s.len; i++) {
        const char *digit = strchr(digits, s.at[i]);
        if (digit == NULL || i >= 8) {
            return false;
        }
        value = value << 4 | (uint32_t)(digit - digits);
    }
    *ret = value;
    return s.len != 0;
}

/* sl: ADDRESS:PORT REMOTE:PORT STATE tx:rx tr:when retr UID timeout INODE */
static bool parse(const char *line, bool v6, struct entry *ret)
{
    enum { ADDRESS = 1, PORT = 2, STATE = 5, UID = 11, INODE = 13, WORDS };
    struct str words[WORDS];
    size_t count = v6 ? 4 : 1;
    memset(ret, 0, sizeof(*ret));
    for (size_t i = 0; i < WORDS; i++) {
        words[i] = word(&line);
    }
    bool good = words[ADDRESS].len == count * 8;
    for (size_t i = 0; good && i < count; i++) {
        good = hex(str_slice(words[ADDRESS], i * 8, i * 8 + 8), &ret->words[i]);
    }
    return good && hex(words[PORT], &ret->port) &&
           hex(words[STATE], &ret->state) &&
           str_to_u64(words[UID], 0, UINT32_MAX, &ret->uid) == 0 &&
           str_to_u64(words[INODE], 0, UINT64_MAX, &ret->inode) == 0;
}

static bool is_any(const uint32_t words[4])
{
    return (words[0] | words[1] | words[2] | words[3]) == 0;
}

/* A socket on "any address" is in everybody's way, and everybody in its. A
 * socket of IPv6 is in the way of IPv4 only when it is on any address. */
static bool is_in_the_way(const struct entry *e, bool v6,
                          const struct wanted *w)
{
    if (e->state != STATE_LISTEN || e->port != w->port) {
        return false;
    }
    if (is_any(e->words) || is_any(w->words)) {
        return true;
    }
    return v6 == w->v6 && memcmp(e->words, w->words, sizeof(e->words)) == 0;
}

static int find_in(const char *table, bool v6, const struct wanted *w,
                   struct entry *ret)
{
    struct strbuf text = STRBUF_INIT(TABLE_MAX_BYTES);
    CLEANUP(os_closep) int fd = open(table, O_RDONLY | O_CLOEXEC);
    int r = fd < 0 ? -errno : os_read_all(fd, &text);
    const char *line = r == 0 ? strbuf_str(&text).at : NULL;
    r = -ENOENT;
    while (line != NULL && r < 0) {
        r = parse(line, v6, ret) && is_in_the_way(ret, v6, w) ? 0 : -ENOENT;
        line = strchr(line, '\n');
        line = line != NULL ? line + 1 : NULL;
    }
    strbuf_deinit(&text);
    return r;
}

/* ---- the process ---------------------------------------------------------
 */

struct search {
    char socket[40]; /* "socket:[INODE]" */
    pid_t pid;
};

static bool holds(pid_t pid, const char *socket)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
    DIR *dir = opendir(path);
    bool found = false;
    if (dir == NULL) {
        return false;
    }
    for (const struct dirent *d = readdir(dir); d != NULL && !found;
         d = readdir(dir)) {
        char link[64];
        ssize_t n = readlinkat(dirfd(dir), d->d_name, link, sizeof(link) - 1);
        link[n > 0 ? n : 0] = '\0';
        found = strcmp(link, socket) == 0;
    }
    (void)closedir(dir);
    return found;
}

static bool look(void *context, const struct os_process *p)
{
    struct search *s = context;
    if (holds(p->pid, s->socket)) {
        s->pid = p->pid;
    }
    return s->pid == 0;
}

static void name_of(pid_t pid, char *ret, size_t size)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
    CLEANUP(os_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, ret, size - 1);
    ret[n > 0 ? n : 0] = '\0';
    ret[strcspn(ret, "\n")] = '\0';
}

int os_listener_find(const struct sockaddr_storage *address,
                     struct os_listener *ret)
{
    struct wanted w;
    struct entry e;
    if (!want(address, &w)) {
        return -ENOENT;
    }
    if (find_in("/proc/net/tcp", false, &w, &e) < 0 &&
        find_in("/proc/net/tcp6", true, &w, &e) < 0) {
        return -ENOENT;
    }
    struct search s = {.pid = 0};
    (void)snprintf(s.socket, sizeof(s.socket), "socket:[%" PRIu64 "]", e.inode);
    (void)!os_process_each(look, &s);
    *ret = (struct os_listener){.uid = (uid_t)e.uid, .pid = s.pid};
    if (s.pid != 0) {
        name_of(s.pid, ret->name, sizeof(ret->name));
    }
    return 0;
}
