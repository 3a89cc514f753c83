#include "proc/executor.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"
#include "os/clock.h"
#include "os/fd.h"
#include "os/random.h"
#include "proc/executor_priv.h"
#include "proc/say.h"

#define END_GRACE_MS 5000

/* ---- leaving
 * -------------------------------------------------------------------- */

static int on_idle(sd_event_source *source, uint64_t usec, void *context)
{
    struct executor *x = context;
    (void)source;
    (void)usec;
    return sd_event_exit(x->event, 0);
}

/* Without an engine and without work there is nothing to stay for; what was
 * not collected goes to the spool. */
void executor_settle(struct executor *x)
{
    if (x->ending) {
        if (x->running == x->hanging) { /* what hangs is not waited for */
            (void)sd_event_exit(x->event, 0);
        }
        return;
    }
    bool idle =
        x->running == 0 && !link_is_up(x) && x->options.idle_exit_ms != 0;
    if (idle && x->idle == NULL) {
        int e = sd_event_add_time_relative(x->event, &x->idle, CLOCK_MONOTONIC,
                                           x->options.idle_exit_ms * 1000, 0,
                                           on_idle, x);
        ASSERT(e >= 0);
    } else if (!idle) {
        x->idle = sd_event_source_disable_unref(x->idle);
    }
}

static int on_stop(sd_event_source *source, const struct signalfd_siginfo *info,
                   void *context)
{
    struct executor *x = context;
    (void)source;
    (void)info;
    if (x->ending) {
        return 0; /* what is being stopped has been interrupted all the same */
    }
    x->ending = true;
    (void)sd_notify(0, "STOPPING=1");
    size_t cursor = 0;
    struct map_entry *entry = NULL;
    while ((entry = map_next(&x->runs, &cursor)) != NULL) {
        struct run *r = entry->value;
        if (r->phase != RUN_ENDED) {
            r->interrupted = r->phase == RUN_RUNNING && !r->exited;
            run_stop(r, false, END_GRACE_MS);
        }
    }
    executor_settle(x);
    return 0;
}

/* Reaps everything: the main processes of steps, and the orphans that come to
 * us as their subreaper. */
static int on_child(sd_event_source *source,
                    const struct signalfd_siginfo *signal, void *context)
{
    struct executor *x = context;
    (void)source;
    (void)signal;
    for (;;) {
        siginfo_t info = {0};
        struct rusage usage = {0}; /* which waitid() of the C library hides */
        if (syscall(SYS_waitid, P_ALL, 0, &info, WEXITED | WNOHANG, &usage) <
                0 ||
            info.si_pid == 0) {
            return 0;
        }
        struct run *r = attempts_by_pid(x, info.si_pid);
        if (r != NULL) {
            run_exited(r, &info, &usage);
        }
    }
}

/* ---- start
 * ------------------------------------------------------------------------ */

static int open_folder(const char *path, int *ret, struct err *reterr)
{
    int e = os_open_folder(AT_FDCWD, path, 0700, ret);
    return e < 0 ? err_set(reterr, e, "cannot open the folder %s: %s", path,
                           strerror(-e))
                 : 0;
}

/* Whoever writes to our spool, or to the runbooks of a privileged executor,
 * decides what runs as us. */
static int check_owners(const struct executor *x, struct err *reterr)
{
    struct stat st;
    if (fstat(x->spool, &st) < 0) {
        return err_set(reterr, -errno, "cannot look at %s: %s",
                       x->options.spool, strerror(errno));
    }
    if (st.st_uid != geteuid()) {
        return err_set(reterr, -EPERM,
                       "the spool %s belongs to user %u, not to the executor's",
                       x->options.spool, (unsigned)st.st_uid);
    }
    if (fchmod(x->spool, 0700) < 0) {
        return err_set(reterr, -errno, "cannot close %s to others: %s",
                       x->options.spool, strerror(errno));
    }
    struct trust ignored;
    return trust_check(x, STR(""), &ignored, reterr);
}

static int open_spool(struct executor *x, struct err *reterr)
{
    int e = open_folder(x->options.spool, &x->spool, reterr);
    e = e < 0 ? e : check_owners(x, reterr);
    if (e < 0) {
        return e;
    }
    if (flock(x->spool, LOCK_EX | LOCK_NB) < 0) {
        return err_set(reterr, -EADDRINUSE,
                       "another executor uses the spool %s", x->options.spool);
    }
    return 0;
}

static int open_work(struct executor *x, struct err *reterr)
{
    int e = os_open_folder(x->spool, "outcomes", 0700, &x->outcomes);
    if (e < 0) {
        return err_set(reterr, e, "cannot open %s/outcomes: %s",
                       x->options.spool, strerror(-e));
    }
    e = open_folder(x->options.work, &x->work, reterr);
    /* Steps of other users must be able to enter their folders in it. */
    if (e == 0 && fchmod(x->work, 0711) < 0) {
        e = err_set(reterr, -errno, "cannot set the mode of %s: %s",
                    x->options.work, strerror(errno));
    }
    return e;
}

static int open_loop(struct executor *x, struct err *reterr)
{
    sigset_t signals;
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    (void)sigaddset(&signals, SIGCHLD);
    int e = sigprocmask(SIG_BLOCK, &signals, NULL) < 0 ? -errno : 0;
    if (signal(SIGHUP, SIG_IGN) == SIG_ERR ||
        prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0) {
        e = -errno;
    }
    e = e < 0 ? e : sd_event_default(&x->event);
    e = e < 0 ? e : sd_event_add_signal(x->event, NULL, SIGTERM, on_stop, x);
    e = e < 0 ? e : sd_event_add_signal(x->event, NULL, SIGINT, on_stop, x);
    e = e < 0 ? e : sd_event_add_signal(x->event, NULL, SIGCHLD, on_child, x);
    e = e < 0 ? e : sd_event_set_watchdog(x->event, true);
    return e < 0 ? err_set(reterr, e, "cannot set up the executor's loop: %s",
                           strerror(-e))
                 : 0;
}

/* A number for everything of this executor: the same over its lives. */
static uint64_t spool_number(const struct executor *x)
{
    struct stat st = {0};
    (void)fstat(x->spool, &st);
    uint64_t parts[] = {(uint64_t)st.st_dev, (uint64_t)st.st_ino};
    return str_hash(str_n((const char *)parts, sizeof(parts)), STR_HASH_SEED);
}

static void clean_up_after_last_life(struct executor *x)
{
    char name[32];
    uint64_t number = spool_number(x);
    (void)snprintf(x->mark, sizeof(x->mark), EXECUTOR_MARK "%016" PRIx64,
                   number);
    (void)snprintf(name, sizeof(name), "adp-%016" PRIx64, number);
    group_pool_init(&x->groups, name);
    uint32_t killed = tree_kill_leftovers(&x->groups, x->mark);
    if (killed != 0) {
        executor_say(LOG_WARNING,
                     "killed %" PRIu32
                     " processes that the last executor left behind",
                     killed);
    }
    /* Not before nobody is left who writes there. */
    folder_pool_init(&x->folders, x->work);
}

static void warn_of_root(const struct executor *x)
{
    if (geteuid() == 0 && x->options.default_user == NULL) {
        executor_say(LOG_WARNING, "steps run as root: set "
                                  "executor.user to whom they shall run as");
    }
}

static int start(struct executor *x, struct err *reterr)
{
    int e = open_spool(x, reterr);
    e = e < 0 ? e : guard_enter(x, reterr);
    e = e < 0 ? e : open_work(x, reterr);
    e = e < 0 ? e : repo_open(str_c(x->options.repository), &x->repo, reterr);
    e = e < 0 ? e : open_loop(x, reterr);
    if (e < 0) {
        return e;
    }
    clean_up_after_last_life(x);
    e = versions_open(x, reterr);
    e = e < 0 ? e : bindings_open(x, reterr);
    if (e < 0) {
        return e;
    }
    spool_load(x);
    warn_of_root(x);
    e = link_open(x, reterr);
    if (e == 0) {
        (void)sd_notify(0, "READY=1");
        executor_settle(x);
    }
    return e;
}

/* ---- stop
 * ---------------------------------------------------------------------------
 */

static void stop(struct executor *x)
{
    if (x->outcomes >= 0) {
        spool_save(x);
    }
    link_close(x);
    size_t cursor = 0;
    struct map_entry *entry = NULL;
    while ((entry = map_next(&x->runs, &cursor)) != NULL) {
        run_free(entry->value);
    }
    map_deinit(&x->runs);
    bindings_close(x);
    versions_close(x);
    group_pool_deinit(&x->groups);
    folder_pool_deinit(&x->folders);
    x->idle = sd_event_source_disable_unref(x->idle);
    repo_close(x->repo);
    sd_event_unref(x->event);
    guard_leave(x, x->running == 0);
    os_close(x->work);
    os_close(x->outcomes);
    os_close(x->spool);
}

int executor_run(const struct executor_options *options, struct err *reterr)
{
    struct executor x = {
        .options = *options,
        .spool = -1,
        .guard = {.fd = -1},
        .outcomes = -1,
        .work = -1,
    };
    uint8_t random[10];
    os_random(random, sizeof(random));
    x.id = id_make(os_epoch_ms(), random);
    int e = start(&x, reterr);
    if (e >= 0) {
        e = sd_event_loop(x.event);
        if (e < 0) {
            err_set(reterr, e, "the executor's loop failed: %s", strerror(-e));
        }
    }
    stop(&x);
    return e < 0 ? e : 0;
}
