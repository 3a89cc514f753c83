#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/strbuf.h"
#include "os/cgroup.h"
#include "os/fd.h"
#include "os/process.h"

static pid_t start_sleep(char *entry)
{
    pid_t pid = 0;
    char name[] = "sleep";
    char time[] = "3000";
    char *const argv[] = {name, time, NULL};
    char *const env[] = {entry, NULL};
    assert_int_equal(posix_spawn(&pid, "/bin/sleep", NULL, NULL, argv, env), 0);
    return pid;
}

static int reap(pid_t pid)
{
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

/* In a child, since a process that has become another user stays it. */
static void its_user_is_told_even_if_it_hides(void **state)
{
    (void)state;
    int ready[2];
    uid_t user = 1;
    assert_int_equal(os_process_user(getpid(), &user), 0);
    assert_int_equal(user, geteuid());
    if (geteuid() != 0) {
        skip();
    }
    assert_int_equal(os_pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        bool good = prctl(PR_SET_NAME, "x\nUid:\t0") == 0 &&
                    setresuid(65534, 65534, 65534) == 0 &&
                    prctl(PR_SET_DUMPABLE, 0) == 0;
        (void)!write(ready[1], good ? "y" : "n", 1);
        (void)pause();
        _exit(0);
    }
    char c = 'n';
    assert_int_equal(read(ready[0], &c, 1), 1);
    assert_int_equal(c, 'y');
    assert_int_equal(os_process_user(pid, &user), 0);
    assert_int_equal(user, 65534);
    (void)kill(pid, SIGKILL);
    (void)reap(pid);
    assert_int_equal(os_process_user(pid, &user), -ESRCH);
    os_close(ready[0]);
    os_close(ready[1]);
}

static void a_process_is_described(void **state)
{
    (void)state;
    char entry[] = "MARK=one";
    pid_t pid = start_sleep(entry);
    struct os_process p;
    struct os_process own;
    assert_int_equal(os_process_read(pid, &p), 0);
    assert_int_equal(os_process_read(getpid(), &own), 0);
    assert_int_equal(p.pid, pid);
    assert_int_equal(p.parent, getpid());
    assert_int_equal(p.session, getsid(0));
    assert_int_equal(own.parent, getppid());
    assert_true(p.start_ticks >= own.start_ticks && own.start_ticks > 0);
    assert_int_equal(os_process_signal(&p, SIGKILL), 0);
    assert_int_equal(reap(pid), SIGKILL);
    assert_int_equal(os_process_read(pid, &p), -ESRCH);
}

/* The name is written into the line unescaped. */
static void a_hostile_name_does_not_confuse(void **state)
{
    (void)state;
    struct os_process before;
    struct os_process after;
    char name[16] = {0};
    assert_int_equal(prctl(PR_GET_NAME, name), 0);
    assert_int_equal(os_process_read(getpid(), &before), 0);
    assert_int_equal(prctl(PR_SET_NAME, ") Z 1 1 1 1 (x)"), 0);
    assert_int_equal(os_process_read(getpid(), &after), 0);
    assert_int_equal(prctl(PR_SET_NAME, name), 0);
    assert_int_equal(after.parent, before.parent);
    assert_int_equal(after.session, before.session);
    assert_int_equal(after.start_ticks, before.start_ticks);
    assert_int_equal(after.state, 'R');
}

/* A number that was used again is another process. */
static void a_reused_number_is_not_hit(void **state)
{
    (void)state;
    char entry[] = "MARK=one";
    pid_t pid = start_sleep(entry);
    struct os_process p;
    assert_int_equal(os_process_read(pid, &p), 0);
    struct os_process earlier = p;
    earlier.start_ticks--;
    assert_int_equal(os_process_signal(&earlier, SIGKILL), -ESRCH);
    assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
    assert_int_equal(os_process_signal(&p, SIGTERM), 0);
    assert_int_equal(reap(pid), SIGTERM);
    assert_int_equal(os_process_signal(&p, SIGKILL), -ESRCH);
}

struct search {
    pid_t pid;
    unsigned hits;
    unsigned all;
};

static bool note(void *context, const struct os_process *p)
{
    struct search *s = context;
    s->hits += p->pid == s->pid ? 1 : 0;
    s->all++;
    return true;
}

static bool stop_at_first(void *context, const struct os_process *p)
{
    struct search *s = context;
    (void)p;
    s->all++;
    return false;
}

static void every_process_is_seen_once(void **state)
{
    (void)state;
    struct search s = {.pid = getpid()};
    assert_int_equal(os_process_each(note, &s), 0);
    assert_int_equal(s.hits, 1);
    assert_true(s.all >= 2);
    struct search first = {0};
    assert_int_equal(os_process_each(stop_at_first, &first), 0);
    assert_int_equal(first.all, 1);
}

static void the_environment_is_searched_by_whole_entries(void **state)
{
    (void)state;
    char entry[] = "MARK=one two";
    pid_t pid = start_sleep(entry);
    while (!os_process_has_env(pid, STR("MARK=one two"))) {
        (void)sched_yield(); /* until it has become its program */
    }
    assert_false(os_process_has_env(pid, STR("MARK=one")));
    assert_false(os_process_has_env(pid, STR("ARK=one two")));
    assert_false(os_process_has_env(pid, STR("")));
    assert_int_equal(kill(pid, SIGKILL), 0);
    (void)reap(pid);
    assert_false(os_process_has_env(pid, STR("MARK=one two")));
}

/* ---- control groups --------------------------------------------------------
 */

struct group {
    char folder[OS_CGROUP_PATH_MAX];
    char name[32];
    int parent;
    int fd;
};

/* Skips where no groups can be made. */
static void group_open(struct group *g)
{
    (void)snprintf(g->name, sizeof(g->name), "adp-os-test-%d", (int)getpid());
    if (os_cgroup_own(g->folder) < 0 ||
        os_cgroup_make(g->folder, g->name, &g->fd) < 0) {
        skip();
    }
    assert_int_equal(os_cgroup_open(g->folder, &g->parent), 0);
}

static void group_close(struct group *g)
{
    os_close(g->fd);
    assert_int_equal(os_cgroup_remove(g->parent, g->name), 0);
    assert_int_equal(os_cgroup_remove(g->parent, g->name), -ENOENT);
    os_close(g->parent);
}

static void move_into(int group, pid_t pid)
{
    char text[32];
    int fd = openat(group, "cgroup.procs", O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    (void)snprintf(text, sizeof(text), "%d", (int)pid);
    assert_int_equal(os_write_all(fd, str_c(text)), 0);
    os_close(fd);
}

static void note_pid(void *context, pid_t pid)
{
    *(pid_t *)context = pid;
}

static void a_group_holds_and_kills(void **state)
{
    (void)state;
    struct group g;
    int again = -1;
    pid_t seen = 0;
    char entry[] = "A=b";
    group_open(&g);
    assert_int_equal(os_cgroup_make(g.folder, g.name, &again), -EEXIST);
    assert_int_equal(os_cgroup_populated(g.fd), 0);
    assert_int_equal(os_cgroup_each(g.fd, note_pid, &seen), 0);
    pid_t pid = start_sleep(entry);
    move_into(g.fd, pid);
    assert_int_equal(os_cgroup_populated(g.fd), 1);
    assert_int_equal(os_cgroup_each(g.fd, note_pid, &seen), 1);
    assert_int_equal(seen, pid);
    assert_int_equal(os_cgroup_remove(g.parent, g.name), -EBUSY);
    assert_int_equal(os_cgroup_kill(g.fd), 0);
    assert_int_equal(reap(pid), SIGKILL);
    while (os_cgroup_populated(g.fd) == 1) {
        (void)usleep(1000);
    }
    group_close(&g);
}

static void groups_below_count_and_go_along(void **state)
{
    (void)state;
    struct group g;
    int below = -1;
    char entry[] = "A=b";
    char path[sizeof(g.folder) + sizeof(g.name) + 2];
    group_open(&g);
    (void)snprintf(path, sizeof(path), "%s/%s", g.folder, g.name);
    assert_int_equal(os_cgroup_make(path, "below", &below), 0);
    pid_t pid = start_sleep(entry);
    move_into(below, pid);
    assert_int_equal(os_cgroup_populated(g.fd), 1);
    assert_int_equal(os_cgroup_kill(g.fd), 0);
    assert_int_equal(reap(pid), SIGKILL);
    while (os_cgroup_populated(g.fd) == 1) {
        (void)usleep(1000);
    }
    os_close(below);
    group_close(&g);
}

static void bad_names_and_places_are_errors(void **state)
{
    (void)state;
    int fd = -1;
    char name[OS_CGROUP_PATH_MAX + 8];
    memset(name, 'a', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    assert_int_equal(os_cgroup_make("/tmp", name, &fd), -ENAMETOOLONG);
    assert_int_equal(os_cgroup_open("/no/such/group", &fd), -ENOENT);
    /* A folder that is none of the kernel's has no cgroup.kill. */
    assert_int_equal(os_cgroup_make("/tmp", "adp-no-group", &fd), -ENOTSUP);
    assert_int_equal(access("/tmp/adp-no-group", F_OK), -1);
    fd = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(os_cgroup_populated(fd), -ENOENT);
    assert_int_equal(os_cgroup_kill(fd), -ENOENT);
    os_close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_process_is_described),
        cmocka_unit_test(its_user_is_told_even_if_it_hides),
        cmocka_unit_test(a_hostile_name_does_not_confuse),
        cmocka_unit_test(a_reused_number_is_not_hit),
        cmocka_unit_test(every_process_is_seen_once),
        cmocka_unit_test(the_environment_is_searched_by_whole_entries),
        cmocka_unit_test(a_group_holds_and_kills),
        cmocka_unit_test(groups_below_count_and_go_along),
        cmocka_unit_test(bad_names_and_places_are_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
