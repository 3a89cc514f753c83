#include "proc/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/str.h"
#include "os/fd.h"

#define PATH_BYTES 4096

/* What went wrong between the birth of the process and its program. */
enum stage {
    STAGE_SESSION,
    STAGE_FOLDER,
    STAGE_FILES,
    STAGE_USER,
    STAGE_LIMITS,
    STAGE_PROGRAM,
    STAGES
};

static const char *const stage_texts[STAGES] = {
    [STAGE_SESSION] = "cannot make a session for the step",
    [STAGE_FOLDER] = "cannot enter the step's folder",
    [STAGE_FILES] = "cannot set up the step's input and output",
    [STAGE_LIMITS] = "cannot set the step's limits",
    [STAGE_USER] = "cannot become the user of the step",
    [STAGE_PROGRAM] = "cannot execute the step's program",
};

/* In memory that the child shares with us: it writes, and we read when we go
 * on, which is when it has become its program or is gone. */
struct report {
    enum stage stage; /* STAGES: nothing went wrong */
    int errnum;
};

/* Everything that the child needs, made ready before it is born. */
struct plan {
    const struct spawn_request *request;
    const char *path; /* of its environment, to look the program up */
    struct step_rlimit limits[STEP_RLIMITS_MAX];
    size_t limit_count;
    pid_t parent;
    int null;
    int out;
    int err;
    volatile struct report *report;
};

/* ---- in the child: no memory is allocated, no lock is taken ---------------
 */

/* A hard limit that we do not have ourselves is cut. */
static int set_limits(const struct plan *p)
{
    for (size_t i = 0; i < p->limit_count; i++) {
        const struct step_rlimit *want = &p->limits[i];
        struct rlimit now;
        if (getrlimit((__rlimit_resource_t)want->resource, &now) < 0) {
            return -errno;
        }
        struct rlimit l = {
            .rlim_cur = MIN(want->soft, now.rlim_max),
            .rlim_max = MIN(want->hard, now.rlim_max),
        };
        if (setrlimit((__rlimit_resource_t)want->resource, &l) < 0) {
            return -errno;
        }
    }
    return 0;
}

/* Groups first, the user last, and then a look whether it is so: each of the
 * three identities, and that there is no way back. */
static int become(const struct spawn_user *u)
{
    uid_t r = 0;
    uid_t e = 0;
    uid_t s = 0;
    gid_t rg = 0;
    gid_t eg = 0;
    gid_t sg = 0;
    if (syscall(SYS_setgroups, (size_t)u->group_count, u->groups) < 0 ||
        syscall(SYS_setresgid, u->gid, u->gid, u->gid) < 0 ||
        syscall(SYS_setresuid, u->uid, u->uid, u->uid) < 0 ||
        getresuid(&r, &e, &s) < 0 || getresgid(&rg, &eg, &sg) < 0) {
        return -errno;
    }
    if (r != u->uid || e != u->uid || s != u->uid || rg != u->gid ||
        eg != u->gid || sg != u->gid) {
        return -EPERM;
    }
    if (u->uid != 0 && syscall(SYS_setresuid, -1, 0, -1) == 0) {
        return -EPERM;
    }
    return 0;
}

static int set_files(const struct plan *p)
{
    if (dup2(p->null, STDIN_FILENO) < 0 || dup2(p->out, STDOUT_FILENO) < 0 ||
        dup2(p->err, STDERR_FILENO) < 0) {
        return -errno;
    }
    if (close_range(STDERR_FILENO + 1, ~0U, 0) < 0) {
        return -errno;
    }
    (void)umask(077);
    return 0;
}

static void reset_signals(void)
{
    struct sigaction fresh;
    memset(&fresh, 0, sizeof(fresh));
    fresh.sa_handler = SIG_DFL;
    for (int s = 1; s < NSIG; s++) {
        (void)sigaction(s, &fresh, NULL);
    }
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* As the shell does: each folder of PATH in turn; a file that may not be
 * executed is remembered in case no other is found. */
static int execute(const struct plan *p)
{
    char *const *argv = p->request->argv;
    if (strchr(argv[0], '/') != NULL) {
        (void)execve(argv[0], argv, p->request->env);
        return -errno;
    }
    int worst = -ENOENT;
    struct str rest = str_c(p->path);
    while (rest.len > 0) {
        char file[PATH_BYTES];
        ptrdiff_t colon = str_find(rest, ':');
        size_t len = colon < 0 ? rest.len : (size_t)colon;
        size_t name = strlen(argv[0]);
        if (len > 0 && rest.at[0] == '/' && len + name + 2 <= sizeof(file)) {
            memcpy(file, rest.at, len);
            file[len] = '/';
            memcpy(file + len + 1, argv[0], name + 1);
            (void)execve(file, argv, p->request->env);
            if (errno != ENOENT && errno != ENOTDIR && errno != EACCES) {
                return -errno;
            }
            worst = errno == EACCES ? -EACCES : worst;
        }
        rest = str_slice(rest, len + 1, rest.len);
    }
    return worst;
}

static NORETURN void give_up(const struct plan *p, enum stage stage, int errnum)
{
    p->report->errnum = errnum;
    p->report->stage = stage;
    _exit(127);
}

static void child(const void *context)
{
    const struct plan *p = context;
    const struct spawn_request *q = p->request;
    if (setsid() < 0) {
        give_up(p, STAGE_SESSION, -errno);
    }
    if (fchdir(q->folder) < 0) {
        give_up(p, STAGE_FOLDER, -errno);
    }
    int r = set_files(p);
    if (r < 0) {
        give_up(p, STAGE_FILES, r);
    }
    r = q->user != NULL ? become(q->user) : 0;
    if (r < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
        give_up(p, STAGE_USER, r < 0 ? r : -errno);
    }
    /* After the change of user, which would undo it. If we lost our parent
     * before this line, there is nobody to run for. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != p->parent) {
        give_up(p, STAGE_SESSION, -ECANCELED);
    }
    reset_signals();
    /* Last: what a sanitizer has mapped is more than the limit, and each call
     * of the C library may make it want more. */
    r = set_limits(p);
    if (r < 0) {
        give_up(p, STAGE_LIMITS, r);
    }
    give_up(p, STAGE_PROGRAM, execute(p));
}

/* ---- in the parent --------------------------------------------------------
 */

/* Sharing our memory until the program begins, as posix_spawn does, spares the
 * copy of our page tables, which costs more than all the rest. It needs a stack
 * of its own for the child, hence a few instructions for each architecture.
 * Sanitizers keep books on stacks and would be misled. */
#if defined(__has_feature) /* clang */
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define BIRTH_IS_WATCHED 1
#endif
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define BIRTH_IS_WATCHED 1
#endif
#if defined(__x86_64__) && !defined(BIRTH_IS_WATCHED)
#define BIRTH_SHARES_MEMORY 1
#else
#define BIRTH_SHARES_MEMORY 0
#endif

#if BIRTH_SHARES_MEMORY
#define BIRTH_STACK_BYTES (64 * 1024)

/* clone3 onto the stack in args, then fn(arg) there; fn must not return. */
static long clone3_call(struct clone_args *args, void (*fn)(const void *),
                        const void *arg)
{
    long result = SYS_clone3;
    __asm__ volatile("syscall\n\t"
                     "testq %%rax, %%rax\n\t"
                     "jnz 1f\n\t"
                     "xorl %%ebp, %%ebp\n\t"
                     "movq %[arg], %%rdi\n\t"
                     "callq *%[fn]\n\t"
                     "ud2\n"
                     "1:"
                     : "+a"(result)
                     : "D"(args),
                       "S"(sizeof(*args)), [fn] "r"(fn), [arg] "r"(arg)
                     : "rcx", "r11", "memory", "cc");
    return result;
}
#endif

/* A child in the group (-1: ours) that runs fn(arg), which does not return.
 * We stand still until it has become its program or is gone. */
static pid_t birth(int group, void (*fn)(const void *), const void *arg)
{
    struct clone_args args;
    memset(&args, 0, sizeof(args));
    args.exit_signal = SIGCHLD;
    args.flags = CLONE_VFORK;
    if (group >= 0) {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = (__u64)group;
    }
#if BIRTH_SHARES_MEMORY
    static _Alignas(16) char stack[BIRTH_STACK_BYTES];
    args.flags |= CLONE_VM;
    args.stack = (__u64)(uintptr_t)stack;
    args.stack_size = sizeof(stack);
    return (pid_t)clone3_call(&args, fn, arg);
#else
    long pid = syscall(SYS_clone3, &args, sizeof(args));
    if (pid == 0) {
        fn(arg);
    }
    return pid < 0 ? -errno : (pid_t)pid;
#endif
}

static const char *path_of(char *const *env)
{
    for (; *env != NULL; env++) {
        if (strncmp(*env, "PATH=", 5) == 0) {
            return *env + 5;
        }
    }
    return "";
}

/* Both ends of the pipes; -1 where there is none. */
struct pipes {
    int out[2];
    int err[2];
    int null;
};

static void pipes_close(struct pipes *p)
{
    int *all[] = {&p->out[0], &p->out[1], &p->err[0], &p->err[1], &p->null};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        os_closep(all[i]);
    }
}

static int pipes_open(struct pipes *p, const struct spawn_user *user)
{
    int r = os_pipe_nonblock(p->out);
    r = r < 0 ? r : os_pipe_nonblock(p->err);
    if (r < 0) {
        return r;
    }
    /* So that the step may open /dev/stdout and /dev/stderr by name. */
    if (user != NULL && (fchown(p->out[1], user->uid, user->gid) < 0 ||
                         fchown(p->err[1], user->uid, user->gid) < 0)) {
        return -errno;
    }
    p->null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return p->null < 0 ? -errno : 0;
}

/* One is enough: nothing else is born while a child reports. */
static volatile struct report *report_page(void)
{
    static void *page = MAP_FAILED;
    if (page == MAP_FAILED) {
        page = mmap(NULL, sizeof(struct report), PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    }
    return page != MAP_FAILED ? page : NULL;
}

/* What the child says; it is reaped when it never became its program. */
static int outcome(pid_t pid, const volatile struct report *report,
                   struct err *reterr)
{
    enum stage stage = report->stage;
    int errnum = report->errnum;
    if (stage >= STAGES) {
        return 0;
    }
    while (waitid(P_PID, (id_t)pid, NULL, WEXITED) < 0 && errno == EINTR) {
    }
    return err_set(reterr, errnum, "%s: %s", stage_texts[stage],
                   strerror(-errnum));
}

int spawn_start(const struct spawn_request *request, struct spawned *ret,
                struct err *reterr)
{
    ASSERT(request->argv[0] != NULL && request->folder >= 0);
    CLEANUP(pipes_close) struct pipes p = {{-1, -1}, {-1, -1}, -1};
    int r = pipes_open(&p, request->user);
    if (r < 0) {
        return err_set(reterr, r, "cannot make pipes: %s", strerror(-r));
    }
    volatile struct report *report = report_page();
    if (report == NULL) {
        return err_set(reterr, -ENOMEM, "cannot get a page to report on: %s",
                       strerror(ENOMEM));
    }
    struct plan plan = {
        .request = request,
        .path = path_of(request->env),
        .parent = getpid(),
        .null = p.null,
        .out = p.out[1],
        .err = p.err[1],
        .report = report,
    };
    plan.limit_count = step_rlimits(&request->limits, plan.limits);
    report->stage = STAGES;
    pid_t pid = birth(request->group, child, &plan);
    if (pid < 0) {
        /* A control group that has been removed is one or the other. */
        r = request->group >= 0 && pid == -ENOENT ? -ENODEV : pid;
        return err_set(reterr, r, "cannot start a process: %s", strerror(-pid));
    }
    r = outcome(pid, report, reterr);
    if (r == 0) {
        *ret = (struct spawned){pid, p.out[0], p.err[0]};
        p.out[0] = p.err[0] = -1;
    }
    return r;
}

static void leave(const void *context)
{
    (void)context;
    _exit(0);
}

int spawn_probe_group(int group)
{
    pid_t pid = birth(group, leave, NULL);
    if (pid < 0) {
        return pid;
    }
    siginfo_t info = {0};
    if (waitid(P_PID, (id_t)pid, &info, WEXITED) < 0) {
        return -errno;
    }
    /* Some kernels kill whoever is born in one group when another was once
     * emptied by cgroup.kill: see group.c. */
    return info.si_code == CLD_EXITED && info.si_status == 0 ? 0 : -ENOTSUP;
}
