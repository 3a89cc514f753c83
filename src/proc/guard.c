/*
 * The guard: a process between the executor and its parent that does nothing
 * but outlive the executor. What a step started and hid, however it did, has a
 * chain of parents that ends at the executor, which is a subreaper; when the
 * executor is killed, at the guard, which is one as well. The guard kills all
 * that descends from it until it has no child left: that is the proof that
 * nothing of that life runs on. Under systemd the service manager does this.
 *
 * Who kills the executor and its guard at once leaves no proof. So before the
 * first process that no control group holds, the executor notes its life in the
 * file spool/guard; whoever has seen the end of all takes the note away again.
 * A life that is still noted, on this boot of this machine (or container), was
 * not seen to end.
 *
 * The file is also a lock, held by the executor and its guard together: the
 * next executor waits until the last one's guard is done.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"
#include "os/clock.h"
#include "os/fd.h"
#include "os/process.h"
#include "proc/executor_priv.h"
#include "proc/say.h"

#define FILE_MAX_BYTES (64UL * 1024)
#define LIVES_MAX 256
#define MAPS_MAX_BYTES (1024UL * 1024)
#define IDENTITY_SIZE 128
#define BOOT_ID_LEN 36 /* a line end is behind it */
#define LOCK_WAIT_MS 15000
#define END_WAIT_MS 10000
#define PAUSE_US 2000
#define ANY_LIFE "*"
#define LIFE_PREFIX "exe"

/* ---- which boot of which machine or container ---------------------------- */

/* All processes of a PID namespace end with its first one, and all of a
 * machine when it is booted: a note from before either says nothing. */
static void identify(char out[IDENTITY_SIZE])
{
    CLEANUP(strbuf_deinit) struct strbuf boot = STRBUF_INIT(256);
    char space[64] = "";
    struct os_process first = {0};
    ssize_t n = readlink("/proc/self/ns/pid", space, sizeof(space) - 1);
    space[n < 0 ? 0 : n] = '\0';
    (void)!os_read_file(AT_FDCWD, "/proc/sys/kernel/random/boot_id", &boot);
    (void)!os_process_read(1, &first);
    (void)snprintf(out, IDENTITY_SIZE, "%.*s/%s/%llu",
                   STR_ARG(str_slice(strbuf_str(&boot), 0, BOOT_ID_LEN)), space,
                   (unsigned long long)first.start_ticks);
}

/* ---- the file ------------------------------------------------------------ */

static void add_line(struct strbuf *out, struct str life, const char *identity)
{
    strbuf_addf(out, "%.*s %s\n", STR_ARG(life), identity);
}

/* Takes one line off the front of the text: its first word, if the rest of it
 * is the identity; else "". */
static struct str next_life(struct str *text, const char *identity)
{
    ptrdiff_t end = str_find(*text, '\n');
    size_t len = end < 0 ? text->len : (size_t)end;
    struct str line = str_slice(*text, 0, len);
    *text = str_slice(*text, len + 1, text->len);
    ptrdiff_t space = str_find(line, ' ');
    if (end < 0 || space <= 0 ||
        !str_eq_c(str_slice(line, (size_t)space + 1, line.len), identity)) {
        return STR("");
    }
    return str_slice(line, 0, (size_t)space);
}

static void note_life(struct guard *g, struct str text)
{
    struct id life;
    if (str_eq_c(text, ANY_LIFE)) {
        g->any = true;
    } else if (id_parse(text, LIFE_PREFIX, &life) == 0) {
        VEC_PUSH(&g->unproved, life);
    }
}

/* What is not of this boot goes; so do single lives when they are many. */
static void keep_lives(struct guard *g, struct str text, const char *identity,
                       struct strbuf *kept)
{
    while (text.len != 0) {
        struct str life = next_life(&text, identity);
        if (life.len != 0) {
            note_life(g, life);
            add_line(kept, life, identity);
        }
    }
    if (g->unproved.count > LIVES_MAX) {
        g->any = true;
        strbuf_reset(kept);
        add_line(kept, STR(ANY_LIFE), identity);
    }
}

/* Reads the notes of earlier lives and leaves the valid ones at the front of
 * the file: a crash in between loses none. */
static int read_lives(struct guard *g)
{
    char identity[IDENTITY_SIZE];
    CLEANUP(strbuf_deinit) struct strbuf text = STRBUF_INIT(FILE_MAX_BYTES);
    CLEANUP(strbuf_deinit) struct strbuf kept = STRBUF_INIT(FILE_MAX_BYTES);
    identify(identity);
    int r = os_read_all(g->fd, &text);
    if (r < 0) {
        return r;
    }
    keep_lives(g, strbuf_str(&text), identity, &kept);
    ASSERT(strbuf_error(&kept) == 0); /* no longer than what was read */
    ssize_t n = pwrite(g->fd, kept.at, kept.len, 0);
    if (n != (ssize_t)kept.len || ftruncate(g->fd, n) < 0) {
        return n < 0 ? -errno : -EIO;
    }
    g->own_at = n;
    return 0;
}

static int open_file(struct guard *g, int spool)
{
    struct stat st;
    g->fd =
        openat(spool, "guard",
               O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (g->fd < 0 || fstat(g->fd, &st) < 0) {
        return -errno;
    }
    return S_ISREG(st.st_mode) ? 0 : -EBADMSG;
}

/* Waits for the guard of the last life, which does not take long. */
static int lock_file(const struct guard *g)
{
    uint64_t end_ms = os_monotonic_ms() + LOCK_WAIT_MS;
    while (flock(g->fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK && errno != EINTR) {
            return -errno;
        }
        if (os_monotonic_ms() >= end_ms) {
            return -EADDRINUSE;
        }
        (void)usleep(PAUSE_US);
    }
    return 0;
}

int guard_doubt(struct executor *x, struct err *reterr)
{
    struct guard *g = &x->guard;
    char id[ID_TEXT_SIZE];
    char identity[IDENTITY_SIZE];
    if (g->noted) {
        return 0;
    }
    CLEANUP(strbuf_deinit) struct strbuf line = STRBUF_INIT(512);
    identify(identity);
    id_format(x->id, LIFE_PREFIX, id);
    add_line(&line, str_c(id), identity);
    ssize_t n = pwrite(g->fd, line.at, line.len, g->own_at);
    if (n != (ssize_t)line.len) {
        int e = n < 0 ? -errno : -ENOSPC;
        return err_set(reterr, e,
                       "cannot note in %s/guard that a step runs: %s",
                       x->options.spool, strerror(-e));
    }
    g->noted = true;
    return 0;
}

bool guard_proved(const struct executor *x, struct id life)
{
    if (x->guard.any) {
        return false;
    }
    VEC_EACH (&x->guard.unproved, i) {
        if (id_eq(x->guard.unproved.at[i], life)) {
            return false;
        }
    }
    return true;
}

void guard_leave(struct executor *x, bool all_ended)
{
    struct guard *g = &x->guard;
    if (g->fd >= 0 && g->noted && all_ended) {
        (void)!ftruncate(g->fd, g->own_at);
    }
    os_closep(&g->fd);
    VEC_DEINIT(&g->unproved);
}

/* ---- standing guard ------------------------------------------------------ */

static void keep_only(int fd)
{
    if (fd > STDERR_FILENO + 1) {
        (void)close_range(STDERR_FILENO + 1, (unsigned)fd - 1, 0);
    }
    (void)close_range((unsigned)fd + 1, ~0U, 0);
}

/* A mapping as /proc/self/smaps begins to tell of it. */
struct mapping {
    uintptr_t from;
    uintptr_t to;
    bool is_file; /* that cannot be written */
};

static void look_at_line(struct mapping *m, const char *line)
{
    char *end = NULL;
    uintptr_t from = strtoul(line, &end, 16);
    if (*end == '-') {
        m->from = from;
        m->to = strtoul(end + 1, &end, 16);
        m->is_file = strncmp(end, " r", 2) == 0 && end[2] == '-' &&
                     strchr(end, '/') != NULL;
    } else if (m->is_file && strncmp(line, "Anonymous:", 10) == 0 &&
               strtoul(line + 10, NULL, 10) == 0) {
        (void)syscall(SYS_madvise, m->from, m->to - m->from, MADV_DONTNEED);
    }
}

/* The pages of program and libraries are the executor's as well, which keeps
 * those that it uses; we read the few again that we need. What has been
 * changed in memory (Anonymous) stays. */
static void give_back_pages(void)
{
    CLEANUP(strbuf_deinit) struct strbuf maps = STRBUF_INIT(MAPS_MAX_BYTES);
    if (os_read_file(AT_FDCWD, "/proc/self/smaps", &maps) < 0) {
        return;
    }
    strbuf_addch(&maps, '\0');
    struct mapping m = {0};
    for (char *line = maps.at; *line != '\0';) {
        char *next = line + strcspn(line, "\n");
        if (*next == '\n') {
            *next++ = '\0';
        }
        look_at_line(&m, line);
        line = next;
    }
}

/* Passes on what asks the executor to end, until it has. Its wait status. */
static int await_executor(pid_t executor, const sigset_t *signals)
{
    for (;;) {
        int s = sigwaitinfo(signals, NULL);
        if (s == SIGTERM || s == SIGINT) {
            (void)kill(executor, s);
        }
        for (;;) {
            int status = 0;
            pid_t pid = waitpid(-1, &status, WNOHANG);
            if (pid == executor) {
                return status;
            }
            if (pid <= 0) {
                break;
            }
        }
    }
}

/* True when we have no child left: then nothing descends from us. */
static bool reap(void)
{
    for (;;) {
        pid_t pid = waitpid(-1, NULL, WNOHANG);
        if (pid <= 0) {
            return pid < 0 && errno == ECHILD;
        }
    }
}

static bool end_all(uint32_t *ret_killed)
{
    uint64_t end_ms = os_monotonic_ms() + END_WAIT_MS;
    *ret_killed = 0;
    while (!reap()) {
        uint32_t count = tree_kill_children();
        *ret_killed = MAX(*ret_killed, count);
        if (os_monotonic_ms() >= end_ms) {
            return false;
        }
        (void)usleep(PAUSE_US);
    }
    return true;
}

static NORETURN void stand(const struct guard *g, pid_t executor,
                           const sigset_t *signals)
{
    uint32_t killed = 0;
    (void)prctl(PR_SET_NAME, GUARD_NAME);
    keep_only(g->fd);
    give_back_pages();
    int status = await_executor(executor, signals);
    if (end_all(&killed)) {
        (void)!ftruncate(g->fd, g->own_at);
    } else {
        executor_say(LOG_ERR,
                     "what it left behind has not ended %d s "
                     "after SIGKILL; steps that were running stay held",
                     END_WAIT_MS / 1000);
    }
    if (killed != 0) {
        executor_say(LOG_WARNING,
                     "it ended and left %u processes, which were "
                     "killed",
                     killed);
    }
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

/* Was this said to this very process, and not to an ancestor of it? */
static bool is_own_pid(const char *name)
{
    const char *value = getenv(name);
    char own[16];
    (void)snprintf(own, sizeof(own), "%d", (int)getpid());
    return value != NULL && strcmp(value, own) == 0;
}

/* systemd ends all that is left of a unit before it starts it again. What a
 * service manager hands to a process is bound to its number. */
static bool is_unit(void)
{
    return (getppid() == 1 && is_own_pid("SYSTEMD_EXEC_PID")) ||
           is_own_pid("LISTEN_PID") || is_own_pid("WATCHDOG_PID");
}

/* Who kills the guard wants us to end: in order, since nobody guards us. */
static int be_guarded(pid_t guard, struct err *reterr)
{
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0 || getppid() != guard) {
        return err_set(reterr, -ECANCELED, "the executor's guard is gone");
    }
    return 0;
}

static int divide(const struct guard *g, struct err *reterr)
{
    sigset_t signals;
    pid_t guard = getpid();
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    (void)sigaddset(&signals, SIGCHLD);
    if (sigprocmask(SIG_BLOCK, &signals, NULL) < 0 ||
        prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0) {
        return err_set(reterr, -errno, "cannot set up the executor's guard: %s",
                       strerror(errno));
    }
    pid_t executor = fork();
    if (executor < 0) {
        return err_set(reterr, -errno, "cannot start the executor's guard: %s",
                       strerror(errno));
    }
    if (executor > 0) {
        stand(g, executor, &signals);
    }
    return be_guarded(guard, reterr);
}

int guard_enter(struct executor *x, struct err *reterr)
{
    struct guard *g = &x->guard;
    int e = open_file(g, x->spool);
    e = e < 0 ? e : lock_file(g);
    if (e == -EADDRINUSE) {
        return err_set(reterr, e,
                       "what the last executor of the spool %s left behind is "
                       "still being ended",
                       x->options.spool);
    }
    e = e < 0 ? e : read_lives(g);
    if (e < 0) {
        return err_set(reterr, e, "cannot use %s/guard: %s", x->options.spool,
                       strerror(-e));
    }
    return is_unit() ? 0 : divide(g, reterr);
}
