/* The executor is killed while something runs that hid from it: an emptied
 * environment, a session of its own, no parent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/fd.h"
#include "os/process.h"
#include "tests/unit/proc/executor_lab.h"

/* A number of seconds to sleep that no other process sleeps. */
static const char *nap(void)
{
    static char text[32];
    (void)snprintf(text, sizeof(text), "87%07d", (int)getpid());
    return text;
}

/* Attempt no runs and has left a process that hides. */
static void begin_to_hide(struct lab *l, uint32_t no)
{
    char command[256];
    (void)snprintf(command, sizeof(command),
                   "(env -i setsid /bin/sh -c 'trap \"\" TERM HUP; exec "
                   "/bin/sleep %s' &)\necho up\nsleep 1000",
                   nap());
    lab_begin(l, no, command);
    lab_wait_output(l, no, "up");
    while (!lab_process_has_argument(nap())) {
        (void)usleep(1000);
    }
}

/* What the next life says of attempt 1, which was asked of the first. */
static const struct lab_attempt *ask(struct lab *l, struct id life)
{
    struct runbook_hash none = {{0}};
    struct exec_message m = lab_start_message(l, 1, "run-1.yaml", &none);
    m.start.executor = life;
    lab_attempt(l, 1)->ended = 0;
    lab_send(l, &m);
    const struct lab_attempt *a = lab_wait_ended(l, 1);
    assert_int_equal(a->row.state, ATTEMPT_UNKNOWN);
    return a;
}

static void restart(struct lab *l)
{
    lab_launch(l);
    lab_connect(l);
}

static char *guard_path(const struct lab *l)
{
    static char path[128];
    (void)snprintf(path, sizeof(path), "%s/guard", l->spool);
    return path;
}

static off_t note_size(const struct lab *l)
{
    struct stat st;
    assert_int_equal(stat(guard_path(l), &st), 0);
    return st.st_size;
}

static size_t threads_of(pid_t pid)
{
    char path[64];
    size_t count = 0;
    (void)snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    DIR *tasks = opendir(path);
    while (tasks != NULL) {
        const struct dirent *e = readdir(tasks);
        if (e == NULL) {
            (void)closedir(tasks);
            break;
        }
        count += e->d_name[0] != '.';
    }
    return count;
}

/* Killed is not gone: until it is a zombie, its socket still listens; and until
 * its last thread has ended (a sanitizer has one of its own). */
static void await_end(pid_t pid)
{
    struct os_process p;
    while (os_process_read(pid, &p) == 0 &&
           (p.state != 'Z' || threads_of(pid) > 1)) {
        (void)usleep(1000);
    }
}

/* Neither comes to anything any more. */
static void kill_both(struct lab *l)
{
    assert_int_equal(kill(l->process, SIGSTOP), 0);
    assert_int_equal(kill(l->executor, SIGKILL), 0);
    assert_int_equal(kill(l->process, SIGKILL), 0);
    (void)lab_wait_exit(l);
    await_end(l->process);
    lab_disconnect(l);
}

static bool end_napper(void *context, const struct os_process *p)
{
    (void)context;
    char path[64];
    struct strbuf text = STRBUF_INIT(4096);
    (void)snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)p->pid);
    if (os_read_file(AT_FDCWD, path, &text) == 0 &&
        str_starts(strbuf_str(&text), STR("/bin/sleep")) &&
        str_has_nocase(strbuf_str(&text), str_c(nap()))) {
        (void)!os_process_signal(p, SIGKILL);
    }
    strbuf_deinit(&text);
    return true;
}

/* A guard that a test has stopped. If that test fails, it would keep our output
 * open for ever, and whoever waits for its end. */
static pid_t stopped_guard;

static int tear_down(void **state)
{
    if (stopped_guard != 0) {
        (void)kill(stopped_guard, SIGKILL);
        (void)waitpid(stopped_guard, NULL, 0);
        stopped_guard = 0;
    }
    assert_int_equal(os_process_each(end_napper, NULL), 0);
    return lab_tear_down(state);
}

/* ---- the executor alone is killed ---------------------------------------- */

static void nothing_outlives_the_guard(void **state)
{
    struct lab *l = *state;
    struct id first = l->life;
    begin_to_hide(l, 1);
    lab_kill(l);
    assert_false(lab_process_has_argument(nap()));
    assert_int_equal(note_size(l), 0);
    restart(l);
    assert_false(ask(l, first)->row.maybe_alive);
    assert_int_equal(lab_run(l, 2, "exit 0")->row.state, ATTEMPT_SUCCEEDED);
}

static bool accepts(const struct lab *l)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, l->socket, strlen(l->socket));
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    int r = connect(fd, (const struct sockaddr *)&address, sizeof(address));
    os_close(fd);
    return r == 0;
}

static void the_next_one_waits_for_the_guard(void **state)
{
    struct lab *l = *state;
    pid_t guard = l->executor;
    begin_to_hide(l, 1);
    assert_int_equal(kill(guard, SIGSTOP), 0);
    stopped_guard = guard;
    assert_int_equal(kill(l->process, SIGKILL), 0);
    await_end(l->process);
    lab_disconnect(l);
    l->executor = 0;
    lab_launch(l);
    for (int i = 0; i < 100; i++) {
        assert_false(accepts(l));
        (void)usleep(2000);
    }
    assert_true(lab_process_has_argument(nap()));
    assert_int_equal(kill(guard, SIGCONT), 0);
    lab_connect(l);
    assert_false(lab_process_has_argument(nap()));
    assert_int_equal(waitpid(guard, NULL, 0), guard);
    stopped_guard = 0;
}

/* ---- the guard is killed --------------------------------------------------
 */

static void without_its_guard_it_ends_in_order(void **state)
{
    struct lab *l = *state;
    struct id first = l->life;
    begin_to_hide(l, 1);
    assert_int_equal(kill(l->executor, SIGKILL), 0);
    (void)lab_wait_exit(l);
    lab_wait_closed(l);
    assert_false(lab_process_has_argument(nap()));
    while (kill(l->process, 0) == 0 || note_size(l) != 0) {
        (void)usleep(1000);
    }
    restart(l);
    const struct lab_attempt *a = lab_wait_ended(l, 1);
    assert_int_equal(a->row.state, ATTEMPT_UNKNOWN);
    assert_true(id_eq(a->row.executor, first));
    assert_false(a->row.maybe_alive);
}

static void killed_together_they_prove_nothing(void **state)
{
    struct lab *l = *state;
    struct id first = l->life;
    begin_to_hide(l, 1);
    kill_both(l);
    restart(l);
    assert_true(lab_process_has_argument(nap())); /* nobody can know it */
    const struct lab_attempt *a = ask(l, first);
    assert_true(a->row.maybe_alive);
    assert_non_null(strstr(a->error, "killed together with its guard"));
    assert_false(ask(l, (struct id){{1}})->row.maybe_alive);
    /* The next lives know it too, however they end. */
    begin_to_hide(l, 2);
    lab_kill(l);
    restart(l);
    assert_true(ask(l, first)->row.maybe_alive);
    lab_stop(l);
    restart(l);
    assert_true(ask(l, first)->row.maybe_alive);
}

static void in_groups_they_need_no_guard(void **state)
{
    struct lab *l = *state;
    struct id first = l->life;
    begin_to_hide(l, 1);
    if (note_size(l) != 0) {
        skip(); /* no groups to be had here */
    }
    kill_both(l);
    restart(l);
    assert_false(lab_process_has_argument(nap()));
    assert_false(ask(l, first)->row.maybe_alive);
}

/* ---- the note -------------------------------------------------------------
 */

static void rewrite(const struct lab *l, const struct strbuf *text)
{
    int fd = open(guard_path(l), O_WRONLY | O_TRUNC | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(os_write_all(fd, strbuf_str(text)), 0);
    os_close(fd);
}

/* The note of a life that was killed with its guard. */
static struct strbuf left_note(struct lab *l)
{
    struct strbuf note = STRBUF_INIT(4096);
    begin_to_hide(l, 1);
    kill_both(l);
    assert_int_equal(os_read_file(AT_FDCWD, guard_path(l), &note), 0);
    strbuf_addch(&note, '\0');
    note.len--;
    return note;
}

static void another_boot_has_ended_all(void **state)
{
    struct lab *l = *state;
    struct id first = l->life;
    struct strbuf note = left_note(l);
    char *boot = strchr(note.at, ' ');
    assert_non_null(boot);
    boot[1] = boot[1] == 'f' ? '0' : 'f';
    rewrite(l, &note);
    restart(l);
    assert_false(ask(l, first)->row.maybe_alive);
    strbuf_deinit(&note);
}

static void damage_hides_no_other_line(void **state)
{
    struct lab *l = *state;
    struct id first = l->life;
    struct strbuf note = left_note(l);
    struct strbuf text = STRBUF_INIT(8192);
    strbuf_addf(&text, "\n \nxyz\nno-id%s", strchr(note.at, ' '));
    strbuf_add(&text, strbuf_str(&note));
    strbuf_addc(&text, "exe-cut");
    rewrite(l, &text);
    restart(l);
    assert_true(ask(l, first)->row.maybe_alive);
    strbuf_deinit(&text);
    strbuf_deinit(&note);
}

/* Past the limit no earlier life is taken for ended. */
static void many_notes_become_one(void **state)
{
    struct lab *l = *state;
    struct strbuf note = left_note(l);
    struct strbuf text = STRBUF_INIT(60 * 1024);
    for (int i = 0; i < 257; i++) {
        strbuf_add(&text, strbuf_str(&note));
    }
    rewrite(l, &text);
    for (int i = 0; i < 2; i++) {
        restart(l);
        assert_true(ask(l, (struct id){{9}})->row.maybe_alive);
        assert_true(note_size(l) < 200);
        lab_stop(l);
    }
    restart(l);
    strbuf_deinit(&text);
    strbuf_deinit(&note);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, lab_set_up, tear_down)
#define CASE_WITHOUT_CGROUPS(name)                                             \
    cmocka_unit_test_setup_teardown(name, lab_set_up_without_cgroups, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(nothing_outlives_the_guard),
        CASE_WITHOUT_CGROUPS(nothing_outlives_the_guard),
        CASE_WITHOUT_CGROUPS(the_next_one_waits_for_the_guard),
        CASE(without_its_guard_it_ends_in_order),
        CASE_WITHOUT_CGROUPS(without_its_guard_it_ends_in_order),
        CASE_WITHOUT_CGROUPS(killed_together_they_prove_nothing),
        CASE(in_groups_they_need_no_guard),
        CASE_WITHOUT_CGROUPS(another_boot_has_ended_all),
        CASE_WITHOUT_CGROUPS(damage_hides_no_other_line),
        CASE_WITHOUT_CGROUPS(many_notes_become_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
