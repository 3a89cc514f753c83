#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "os/fd.h"
#include "proc/client.h"

/* 0: something accepts; -ENOENT: nothing does; else why we cannot know. */
static int probe(const char *socket_path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct str path = str_c(socket_path);
    if (path.len == 0 || path.len >= sizeof(address.sun_path)) {
        return -ENAMETOOLONG;
    }
    memcpy(address.sun_path, path.at, path.len);
    CLEANUP(os_closep)
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -errno;
    }
    /* EAGAIN: it listens, and more connections wait than it has taken. */
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0 ||
        errno == EAGAIN) {
        return 0;
    }
    return errno == ECONNREFUSED ? -ENOENT : -errno;
}

/* What the new process gets. Made before the fork: this allocates. */
struct plan {
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
};

static int plan_files(posix_spawn_file_actions_t *files)
{
    int r = posix_spawn_file_actions_addopen(files, STDIN_FILENO, "/dev/null",
                                             O_RDONLY, 0);
    if (r == 0) {
        r = posix_spawn_file_actions_addopen(files, STDOUT_FILENO, "/dev/null",
                                             O_WRONLY, 0);
    }
    if (r == 0) {
        r = posix_spawn_file_actions_addclosefrom_np(files, STDERR_FILENO + 1);
    }
    return -r;
}

static int plan_attributes(posix_spawnattr_t *attributes)
{
    sigset_t none;
    sigset_t all;
    (void)sigemptyset(&none);
    (void)sigfillset(&all);
    int r = posix_spawnattr_setsigmask(attributes, &none);
    if (r == 0) {
        r = posix_spawnattr_setsigdefault(attributes, &all);
    }
    if (r == 0) {
        r = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSID |
                                                     POSIX_SPAWN_SETSIGMASK |
                                                     POSIX_SPAWN_SETSIGDEF);
    }
    return -r;
}

/* What the service manager says to the daemon is not for its executor, which
 * would report itself ready in the daemon's place. */
static const char *const not_inherited[] = {"NOTIFY_SOCKET", "WATCHDOG_PID",
                                            "WATCHDOG_USEC"};

/* Our environment without that; borrowed strings, owned list. */
static char **environment(void)
{
    size_t count = 0;
    while (environ[count] != NULL) {
        count++;
    }
    char **env = mem_alloc(count + 1, sizeof(*env));
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        struct str entry = str_c(environ[i]);
        bool ours = false;
        for (size_t n = 0; n < ARRAY_LEN(not_inherited); n++) {
            struct str name = str_c(not_inherited[n]);
            ours = ours || (str_starts(entry, name) && entry.len > name.len &&
                            entry.at[name.len] == '=');
        }
        if (!ours) {
            env[kept++] = environ[i];
        }
    }
    env[kept] = NULL;
    return env;
}

/* In the process between: its child becomes nobody's as soon as it ends, and
 * its exit status is what posix_spawn said. Other threads of ours may have held
 * locks at the fork: nothing else is called. */
static NORETURN void start_and_exit(const char *program, char *const argv[],
                                    char *const env[], const struct plan *plan)
{
    pid_t pid;
    _exit(
        posix_spawn(&pid, program, &plan->files, &plan->attributes, argv, env));
}

static int start(const char *program, char *const argv[],
                 const struct plan *plan)
{
    char **env = environment();
    pid_t between = fork();
    if (between == 0) {
        start_and_exit(program, argv, env, plan);
    }
    int e = between < 0 ? -errno : 0;
    mem_free((void *)env);
    int status = 0;
    while (e == 0 && waitpid(between, &status, 0) < 0) {
        e = errno != EINTR ? -errno : 0;
    }
    if (e < 0) {
        return e;
    }
    return WIFEXITED(status) ? -WEXITSTATUS(status) : -ECHILD;
}

int exec_spawn_detached(const char *program, char *const argv[],
                        const char *socket_path, struct err *reterr)
{
    int r = probe(socket_path);
    if (r == 0) {
        return 0;
    }
    if (r != -ENOENT) {
        return err_set(reterr, r, "cannot use the executor's socket %s: %s",
                       socket_path, strerror(-r));
    }
    struct plan plan;
    r = -posix_spawn_file_actions_init(&plan.files);
    if (r < 0) {
        return err_set(reterr, r, "cannot prepare a process: %s", strerror(-r));
    }
    r = -posix_spawnattr_init(&plan.attributes);
    if (r == 0) {
        r = plan_files(&plan.files);
        r = r < 0 ? r : plan_attributes(&plan.attributes);
        r = r < 0 ? r : start(program, argv, &plan);
        (void)posix_spawnattr_destroy(&plan.attributes);
    }
    (void)posix_spawn_file_actions_destroy(&plan.files);
    return r < 0 ? err_set(reterr, r, "cannot start the executor %s: %s",
                           program, strerror(-r))
                 : 0;
}
