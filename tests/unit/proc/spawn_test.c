#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/strbuf.h"
#include "os/fd.h"
#include "proc/spawn.h"

#define PATH_ENTRY "PATH=/usr/bin:/bin"

struct fixture {
    char folder[32];
    int folder_fd;
    char *env[8];
    const struct spawn_user *user;
    struct step_limits limits;
    /* of the last run */
    siginfo_t end;
    struct strbuf out;
    struct strbuf err;
    int failure;
    struct err reason;
};

static unsigned open_descriptors(void)
{
    unsigned count = 0;
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    while (readdir(dir) != NULL) {
        count++;
    }
    (void)closedir(dir);
    return count;
}

/* Appends what there is; false at the end. */
static bool drain(int fd, struct strbuf *to)
{
    char chunk[4096];
    ssize_t n = read(fd, chunk, sizeof(chunk));
    if (n < 0) {
        assert_int_equal(errno, EAGAIN); /* it must not block */
        return true;
    }
    strbuf_add(to, str_n(chunk, (size_t)n));
    return n > 0;
}

static void read_both(const struct spawned *s, struct fixture *f)
{
    struct pollfd fds[] = {{s->out, POLLIN, 0}, {s->err, POLLIN, 0}};
    while (fds[0].fd >= 0 || fds[1].fd >= 0) {
        assert_true(poll(fds, 2, -1) > 0);
        if (fds[0].revents != 0 && !drain(s->out, &f->out)) {
            fds[0].fd = -1;
        }
        if (fds[1].revents != 0 && !drain(s->err, &f->err)) {
            fds[1].fd = -1;
        }
    }
}

static void run(struct fixture *f, char *const *argv)
{
    struct spawn_request request = {.argv = argv,
                                    .env = f->env,
                                    .folder = f->folder_fd,
                                    .group = -1,
                                    .user = f->user,
                                    .limits = f->limits};
    struct spawned s;
    strbuf_reset(&f->out);
    strbuf_reset(&f->err);
    f->reason = ERR_INIT;
    unsigned before = open_descriptors();
    f->failure = spawn_start(&request, &s, &f->reason);
    if (f->failure == 0) {
        assert_true(s.pid > 0);
        read_both(&s, f);
        assert_int_equal(waitid(P_PID, (id_t)s.pid, &f->end, WEXITED), 0);
        (void)close(s.out);
        (void)close(s.err);
    }
    assert_int_equal(open_descriptors(), before);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* nothing is left */
    strbuf_addch(&f->out, '\0');
    strbuf_addch(&f->err, '\0');
}

static void run_shell(struct fixture *f, const char *script)
{
    char shell[] = "/bin/sh";
    char dash_c[] = "-c";
    char *text = str_dup(str_c(script));
    char *argv[] = {shell, dash_c, text, NULL};
    run(f, argv);
    mem_free(text);
    assert_int_equal(f->failure, 0);
}

static void expect_out(struct fixture *f, const char *script, const char *out)
{
    run_shell(f, script);
    assert_string_equal(f->err.at, "");
    assert_string_equal(f->out.at, out);
    assert_int_equal(f->end.si_code, CLD_EXITED);
    assert_int_equal(f->end.si_status, 0);
}

static int set_up(void **state)
{
    static char path[] = PATH_ENTRY;
    static char other[] = "OTHER=a b";
    struct fixture *f = MEM_NEW(struct fixture);
    memcpy(f->folder, "/tmp/spawn-test-XXXXXX", 23);
    assert_non_null(mkdtemp(f->folder));
    assert_int_equal(chmod(f->folder, 0777), 0);
    f->folder_fd = open(f->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(f->folder_fd >= 0);
    f->env[0] = path;
    f->env[1] = other;
    strbuf_init(&f->out, 1024 * 1024);
    strbuf_init(&f->err, 1024 * 1024);
    *state = f;
    return 0;
}

static void remove_file(struct fixture *f, const char *name)
{
    assert_int_equal(unlinkat(f->folder_fd, name, 0), 0);
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    strbuf_deinit(&f->out);
    strbuf_deinit(&f->err);
    (void)close(f->folder_fd);
    assert_int_equal(rmdir(f->folder), 0);
    mem_free(f);
    return 0;
}

/* ---- what a step finds ------------------------------------------------------
 */

static void the_environment_is_exactly_the_given(void **state)
{
    struct fixture *f = *state;
    char env[] = "/usr/bin/env";
    char *argv[] = {env, NULL};
    assert_int_equal(setenv("SECRET_OF_THE_DAEMON", "x", 1), 0);
    run(f, argv);
    assert_int_equal(unsetenv("SECRET_OF_THE_DAEMON"), 0);
    assert_string_equal(f->out.at, PATH_ENTRY "\nOTHER=a b\n");
}

static void arguments_are_not_looked_at(void **state)
{
    struct fixture *f = *state;
    char printf_program[] = "printf";
    char format[] = "<%s>";
    char one[] = "a b; touch x `id` $(id) $OTHER";
    char two[] = "";
    char three[] = "line\nbreak '\"\\";
    char *argv[] = {printf_program, format, one, two, three, NULL};
    run(f, argv);
    assert_string_equal(f->out.at, "<a b; touch x `id` $(id) $OTHER><>"
                                   "<line\nbreak '\"\\>");
}

static void input_is_empty(void **state)
{
    expect_out(*state, "cat; readlink /proc/self/fd/0", "/dev/null\n");
}

static void outputs_are_apart(void **state)
{
    struct fixture *f = *state;
    run_shell(f, "echo to-out; echo to-err >&2; exit 3");
    assert_string_equal(f->out.at, "to-out\n");
    assert_string_equal(f->err.at, "to-err\n");
    assert_int_equal(f->end.si_code, CLD_EXITED);
    assert_int_equal(f->end.si_status, 3);
}

static void a_signal_is_told_as_such(void **state)
{
    struct fixture *f = *state;
    run_shell(f, "kill -TERM $$");
    assert_int_equal(f->end.si_code, CLD_KILLED);
    assert_int_equal(f->end.si_status, SIGTERM);
}

static void works_in_its_folder_with_a_narrow_umask(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    expect_out(f, "umask; echo text > made; test $(pwd -P) = $(realpath .)",
               "0077\n");
    assert_int_equal(fstatat(f->folder_fd, "made", &st, 0), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    remove_file(f, "made");
}

/* The numbers behind "(name) state ppid pgrp session". */
static void leads_a_session_of_its_own(void **state)
{
    expect_out(*state,
               "set -- $(cat /proc/$$/stat); test $1 = $5 && test $1 = $6 && "
               "echo leads",
               "leads\n");
}

static void nothing_else_is_open(void **state)
{
    int leak = open("/dev/null", O_RDONLY); /* without close-on-exec */
    int high = fcntl(leak, F_DUPFD, 900);
    assert_true(leak >= 0 && high == 900);
    /* ls itself opens one more */
    expect_out(*state, "ls /proc/$$/fd", "0\n1\n2\n");
    (void)close(leak);
    (void)close(high);
}

static void ignore_and_block(sigset_t *before)
{
    sigset_t all;
    (void)sigfillset(&all);
    assert_int_equal(sigprocmask(SIG_BLOCK, &all, before), 0);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGUSR1, SIG_IGN);
}

static void signals_are_as_new(void **state)
{
    sigset_t before;
    ignore_and_block(&before);
    expect_out(*state,
               "grep -E '^Sig(Blk|Ign)' /proc/self/status | tr -d '\\t'",
               "SigBlk:0000000000000000\nSigIgn:0000000000000000\n");
    (void)signal(SIGPIPE, SIG_DFL);
    (void)signal(SIGUSR1, SIG_DFL);
    assert_int_equal(sigprocmask(SIG_SETMASK, &before, NULL), 0);
}

static void has_limits_and_gains_no_privileges(void **state)
{
    expect_out(*state,
               "ulimit -Sc; ulimit -Hc; ulimit -Sn; "
               "grep NoNewPrivs /proc/self/status | tr -d '\\t'",
               "0\n0\n1024\nNoNewPrivs:1\n");
}

static void has_the_limits_that_are_asked_for(void **state)
{
    struct fixture *f = *state;
    f->limits = (struct step_limits){.address_space_bytes = 1ULL << 30,
                                     .cpu_ms = 7000,
                                     .file_bytes = 1ULL << 20,
                                     .open_files = 77,
                                     .processes = 99};
    expect_out(f,
               "ulimit -Hv; ulimit -St; ulimit -Ht; ulimit -Hf; ulimit -Sn; "
               "ulimit -Hn; grep -o 'Max processes *[0-9]*' /proc/self/limits "
               "| tr -d ' '",
               "1048576\n7\n12\n2048\n77\n77\nMaxprocesses99\n");
    /* for good: nothing raises them again */
    expect_out(f, "ulimit -Hn 78 2>/dev/null || echo no", "no\n");
}

/* ---- another user -----------------------------------------------------------
 */

static void runs_as_another_user(void **state)
{
    struct fixture *f = *state;
    struct spawn_user nobody;
    if (geteuid() != 0) {
        skip();
    }
    assert_int_equal(spawn_user_find("nobody", &nobody, &f->reason), 0);
    f->user = &nobody;
    expect_out(f, "id -un; id -Gn; echo by-name > /dev/stdout",
               "nobody\nnogroup\nby-name\n");
    /* for good: no way back to root, and nothing of root's is readable */
    run_shell(f, "cat /etc/shadow");
    assert_int_not_equal(f->end.si_status, 0);
    expect_out(f,
               "grep -E '^(Uid|Gid|CapEff)' /proc/self/status | tr '\\t' ' '",
               "Uid: 65534 65534 65534 65534\nGid: 65534 65534 65534 65534\n"
               "CapEff: 0000000000000000\n");
    spawn_user_deinit(&nobody);
}

static void users_are_looked_up(void **state)
{
    struct fixture *f = *state;
    struct spawn_user u;
    assert_int_equal(spawn_user_find("root", &u, &f->reason), 0);
    assert_int_equal(u.uid, 0);
    assert_int_equal(u.gid, 0);
    assert_string_equal(u.home, "/root");
    assert_true(u.group_count >= 1);
    spawn_user_deinit(&u);
    assert_int_equal(spawn_user_find("no-such-user-here", &u, &f->reason),
                     -ENOENT);
    assert_non_null(strstr(f->reason.message, "'no-such-user-here'"));
}

/* ---- what cannot be started
 * -------------------------------------------------- */

static void expect_failure(struct fixture *f, char *program, int errnum)
{
    char *argv[] = {program, NULL};
    run(f, argv);
    assert_int_equal(f->failure, errnum);
    assert_int_equal(f->reason.errnum, errnum);
    assert_non_null(strstr(f->reason.message, "step's program"));
}

static void a_missing_program_is_told(void **state)
{
    char path[] = "/no/such/program";
    char name[] = "no-such-program";
    expect_failure(*state, path, -ENOENT);
    expect_failure(*state, name, -ENOENT);
}

static void a_program_that_exits_127_has_begun(void **state)
{
    struct fixture *f = *state;
    run_shell(f, "exit 127");
    assert_int_equal(f->failure, 0);
    assert_int_equal(f->end.si_status, 127);
}

static void put_file(struct fixture *f, const char *name, const char *text,
                     mode_t mode)
{
    int fd = openat(f->folder_fd, name, O_WRONLY | O_CREAT | O_EXCL, mode);
    assert_true(fd >= 0);
    assert_int_equal(os_write_all(fd, str_c(text)), 0);
    (void)close(fd);
}

static void only_programs_are_executed(void **state)
{
    struct fixture *f = *state;
    char by_path[64];
    char by_name[] = "data";
    char search[64];
    put_file(f, "data", "#!/bin/sh\necho ran\n", 0600);
    (void)snprintf(by_path, sizeof(by_path), "%s/data", f->folder);
    expect_failure(f, by_path, -EACCES);
    (void)snprintf(search, sizeof(search), "PATH=%s:/usr/bin", f->folder);
    f->env[0] = search;
    expect_failure(f, by_name, -EACCES);
    remove_file(f, "data");
    put_file(f, "data", "not a program\n", 0700);
    expect_failure(f, by_path, -ENOEXEC);
    remove_file(f, "data");
}

/* The step's folder is on no search path, whatever PATH says. */
static void the_search_path_knows_no_relative_folders(void **state)
{
    struct fixture *f = *state;
    char planted[] = "planted";
    char dot[] = "PATH=.:::./:x/y";
    char none[] = "NO_PATH=";
    put_file(f, planted, "#!/bin/sh\necho ran\n", 0700);
    f->env[0] = dot;
    expect_failure(f, planted, -ENOENT);
    f->env[0] = none;
    expect_failure(f, planted, -ENOENT);
    remove_file(f, planted);
}

static void the_first_hit_on_the_path_runs(void **state)
{
    struct fixture *f = *state;
    char name[] = "id";
    char search[64];
    char *argv[] = {name, NULL};
    put_file(f, name, "#!/bin/sh\necho ours\n", 0700);
    (void)snprintf(search, sizeof(search), "PATH=/nowhere:%s:/usr/bin",
                   f->folder);
    f->env[0] = search;
    run(f, argv);
    assert_string_equal(f->out.at, "ours\n");
    remove_file(f, name);
}

static void a_folder_that_is_none_is_told(void **state)
{
    struct fixture *f = *state;
    char name[] = "/bin/true";
    char *argv[] = {name, NULL};
    int keep = f->folder_fd;
    f->folder_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    run(f, argv);
    (void)close(f->folder_fd);
    f->folder_fd = keep;
    assert_int_equal(f->failure, -ENOTDIR);
    assert_non_null(strstr(f->reason.message, "folder"));
}

/* ---- lives
 * -------------------------------------------------------------------- */

static void expect_end(int pidfd)
{
    struct pollfd poll_fd = {pidfd, POLLIN, 0};
    assert_int_equal(poll(&poll_fd, 1, -1), 1);
}

/* A parent that starts a long step, tells its pid, waits, and is gone without
 * a word. */
static NORETURN void be_parent(struct fixture *f, int to_test, int from_test)
{
    char sleep_program[] = "sleep";
    char seconds[] = "1000";
    char *argv[] = {sleep_program, seconds, NULL};
    struct spawn_request request = {
        .argv = argv, .env = f->env, .folder = f->folder_fd, .group = -1};
    struct spawned s;
    char byte;
    if (spawn_start(&request, &s, &f->reason) < 0 ||
        write(to_test, &s.pid, sizeof(s.pid)) != (ssize_t)sizeof(s.pid)) {
        _exit(1);
    }
    (void)!read(from_test, &byte, 1);
    _exit(0);
}

static void dies_with_its_parent(void **state)
{
    struct fixture *f = *state;
    int up[2];
    int down[2];
    pid_t step;
    assert_int_equal(os_pipe(up), 0);
    assert_int_equal(os_pipe(down), 0);
    pid_t parent = fork();
    assert_true(parent >= 0);
    if (parent == 0) {
        (void)close(down[1]);
        be_parent(f, up[1], down[0]);
    }
    assert_int_equal(read(up[0], &step, sizeof(step)), sizeof(step));
    int pidfd = (int)syscall(SYS_pidfd_open, step, 0);
    assert_true(pidfd >= 0);
    (void)close(down[1]);
    assert_int_equal(waitpid(parent, NULL, 0), parent);
    expect_end(pidfd);
    (void)close(pidfd);
    (void)close(up[0]);
    (void)close(up[1]);
    (void)close(down[0]);
}

static void groups_are_probed(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(spawn_probe_group(-1), 0);
    assert_true(spawn_probe_group(f->folder_fd) < 0); /* not a cgroup */
    assert_int_equal(waitpid(-1, NULL, 0), -1);
    assert_int_equal(errno, ECHILD);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(the_environment_is_exactly_the_given),
        CASE(arguments_are_not_looked_at),
        CASE(input_is_empty),
        CASE(outputs_are_apart),
        CASE(a_signal_is_told_as_such),
        CASE(works_in_its_folder_with_a_narrow_umask),
        CASE(leads_a_session_of_its_own),
        CASE(nothing_else_is_open),
        CASE(signals_are_as_new),
        CASE(has_limits_and_gains_no_privileges),
        CASE(has_the_limits_that_are_asked_for),
        CASE(runs_as_another_user),
        CASE(users_are_looked_up),
        CASE(a_missing_program_is_told),
        CASE(a_program_that_exits_127_has_begun),
        CASE(only_programs_are_executed),
        CASE(the_search_path_knows_no_relative_folders),
        CASE(the_first_hit_on_the_path_runs),
        CASE(a_folder_that_is_none_is_told),
        CASE(dies_with_its_parent),
        CASE(groups_are_probed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
