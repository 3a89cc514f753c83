#include "app/restore_hand.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "app/privilege.h"
#include "base/mem.h"
#include "os/fd.h"
#include "repo/repo.h"

#define TEXT_MAX_BYTES (1024U * 1024)

/* What stands before a path and a text; both empty: put it in place. */
struct frame {
    uint32_t path_len;
    uint32_t text_len;
};

struct restore_hand {
    pid_t pid;
    int fd;
};

/* Reads exactly so much; 0: the other has ended. */
static int read_exactly(int fd, void *to, size_t len)
{
    char *at = to;
    while (len != 0) {
        ssize_t n = read(fd, at, len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return n < 0 ? -errno : 0;
        }
        at += n;
        len -= (size_t)n;
    }
    return 1;
}

static int send_all(int fd, const void *from, size_t len)
{
    const char *at = from;
    while (len != 0) {
        ssize_t n = send(fd, at, len, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR) {
            return -errno;
        }
        at += MAX(n, 0);
        len -= (size_t)MAX(n, 0);
    }
    return 0;
}

/* ---- the other process --------------------------------------------------- */

struct work {
    enum restore_part part;
    const struct backup_put_options *options;
    struct backup_put *runbooks;
    struct str config;
    struct arena arena;
};

/* Reads one text. 1, 0: all were given, -ECANCELED: it shall not be. */
static int read_frame(int fd, struct arena *a, struct str *path,
                      struct str *text)
{
    struct frame f;
    if (read_exactly(fd, &f, sizeof(f)) != 1) {
        return -ECANCELED;
    }
    if (f.path_len == 0) {
        return 0;
    }
    if (f.path_len > REPO_PATH_MAX_BYTES || f.text_len > TEXT_MAX_BYTES) {
        return -EMSGSIZE;
    }
    char *room = arena_alloc(a, f.path_len + f.text_len + 1, 1);
    if (read_exactly(fd, room, f.path_len + f.text_len) != 1) {
        return -ECANCELED;
    }
    *path = str_n(room, f.path_len);
    *text = str_n(room + f.path_len, f.text_len);
    return 1;
}

/* After an error the rest is taken all the same, so that the other side is not
 * left writing to nobody. */
static int take_all(int fd, struct work *w, struct err *reterr)
{
    int r = 1;
    int bad = 0;
    while (r == 1) {
        CLEANUP(arena_deinit) struct arena a = ARENA_INIT;
        struct str path = STR_NULL;
        struct str text = STR_NULL;
        r = read_frame(fd, &a, &path, &text);
        if (r == 1 && bad == 0 && w->part == RESTORE_CONFIG) {
            w->config = arena_str(&w->arena, text);
        } else if (r == 1 && bad == 0) {
            bad = backup_put_add(w->runbooks, path, text, reterr);
        }
    }
    if (r < 0) {
        return err_set(reterr, r, "nothing was put in place");
    }
    return bad;
}

/* Root does not work where others may: it becomes the owner, or refuses. */
static int take_place(const struct work *w, struct err *reterr)
{
    return w->part == RESTORE_CONFIG
               ? privilege_for_file(w->options->path, reterr)
               : privilege_for_folder(w->options->path, reterr);
}

static int look(struct work *w, struct err *reterr)
{
    struct stat st;
    int r = take_place(w, reterr);
    if (r < 0 || w->part == RESTORE_RUNBOOKS) {
        return r < 0 ? r : backup_put_begin(w->options, &w->runbooks, reterr);
    }
    return !w->options->replace && lstat(w->options->path, &st) == 0
               ? err_set(reterr, -EEXIST, "%s is there", w->options->path)
               : 0;
}

static int put(struct work *w, struct restore_said *s)
{
    return w->part == RESTORE_CONFIG
               ? backup_put_config(w->options, w->config, &s->put, &s->err)
               : backup_put_end(w->runbooks, &s->put, &s->err);
}

static void serve(int fd, enum restore_part part,
                  const struct backup_put_options *options)
{
    struct work w = {.part = part, .options = options};
    struct restore_said s = {0};
    arena_init(&w.arena);
    int r = look(&w, &s.err);
    s.err.errnum = r;
    if (send_all(fd, &s, sizeof(s)) == 0 && r == 0) {
        r = take_all(fd, &w, &s.err);
        r = r < 0 ? r : put(&w, &s);
        s.err.errnum = r;
        (void)!send_all(fd, &s, sizeof(s));
    }
    backup_put_free(w.runbooks);
    arena_deinit(&w.arena);
}

/* ---- this one ------------------------------------------------------------ */

static int hear(struct restore_hand *h, struct restore_said *ret,
                struct err *reterr)
{
    int r = read_exactly(h->fd, ret, sizeof(*ret));
    return r == 1 ? 0
                  : err_set(reterr, r < 0 ? r : -ECHILD,
                            "the process that puts files back has died");
}

int restore_hand_begin(enum restore_part part,
                       const struct backup_put_options *options,
                       struct restore_hand **ret, struct restore_said *ret_said,
                       struct err *reterr)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        return err_set(reterr, -errno, "cannot make a socket: %s",
                       strerror(errno));
    }
    pid_t pid = fork();
    if (pid == 0) {
        (void)signal(SIGPIPE, SIG_IGN);
        /* Another hand's end would keep that hand waiting. */
        (void)close_range(STDERR_FILENO + 1, (unsigned)pair[1] - 1, 0);
        (void)close_range((unsigned)pair[1] + 1, ~0U, 0);
        serve(pair[1], part, options);
        _exit(EXIT_SUCCESS);
    }
    int r = pid < 0 ? -errno : 0;
    (void)close(pair[1]);
    if (r < 0) {
        (void)close(pair[0]);
        return err_set(reterr, r, "cannot make a process: %s", strerror(-r));
    }
    struct restore_hand *h = MEM_NEW(struct restore_hand);
    *h = (struct restore_hand){.pid = pid, .fd = pair[0]};
    r = hear(h, ret_said, reterr);
    if (r < 0) {
        restore_hand_end(h);
        return r;
    }
    *ret = h;
    return 0;
}

static int lost(int r, struct err *reterr)
{
    return r < 0 ? err_set(reterr, r,
                           "the process that puts files back has ended: %s",
                           strerror(-r))
                 : 0;
}

int restore_hand_give(void *hand, struct str path, struct str text,
                      struct err *reterr)
{
    struct restore_hand *h = hand;
    const struct frame f = {.path_len = (uint32_t)path.len,
                            .text_len = (uint32_t)text.len};
    int r = send_all(h->fd, &f, sizeof(f));
    r = r < 0 ? r : send_all(h->fd, path.at, path.len);
    r = r < 0 ? r : send_all(h->fd, text.at, text.len);
    return lost(r, reterr);
}

int restore_hand_put(struct restore_hand *h, struct restore_said *ret,
                     struct err *reterr)
{
    const struct frame end = {0};
    int r = lost(send_all(h->fd, &end, sizeof(end)), reterr);
    return r < 0 ? r : hear(h, ret, reterr);
}

void restore_hand_end(struct restore_hand *h)
{
    if (h == NULL) {
        return;
    }
    (void)close(h->fd);
    while (waitpid(h->pid, NULL, 0) < 0 && errno == EINTR) {
    }
    mem_free(h);
}
