#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/fd.h"
#include "tests/unit/proc/executor_lab.h"

/* A number of seconds to sleep that no other process sleeps. */
static const char *nap(char out[32], unsigned no)
{
    (void)snprintf(out, 32, "86%u%06d", no, (int)getpid());
    return out;
}

/* ---- engines come and go --------------------------------------------------
 */

static void an_outcome_waits_for_the_next_engine(void **state)
{
    struct lab *l = *state;
    lab_begin(l, 1, "echo before; echo up >&2; sleep 0.2; echo after; exit 5");
    lab_wait_output(l, 1, "before");
    lab_disconnect(l);
    lab_connect(l);
    lab_start_again(l, 1);
    const struct lab_attempt *a = lab_wait_ended(l, 1);
    assert_int_equal(a->started, 1);
    assert_int_equal(a->ended, 1);
    assert_int_equal(a->row.exit_code, 5);
    assert_string_equal(a->out.at, "before\nafter\n");
    assert_string_equal(a->err.at, "up\n");
}

/* Told after WELCOME, unasked, and every time until FORGET. */
static void what_has_ended_is_told_until_it_is_forgotten(void **state)
{
    struct lab *l = *state;
    (void)lab_run(l, 1, "echo one; exit 1");
    for (int i = 0; i < 2; i++) {
        lab_connect(l);
        const struct lab_attempt *a = lab_wait_ended(l, 1);
        assert_int_equal(a->row.exit_code, 1);
        assert_string_equal(a->out.at, "one\n");
    }
    lab_forget(l, 1);
    lab_connect(l);
    (void)lab_run(l, 2, "exit 0"); /* whatever came would be before this */
    assert_int_equal(lab_attempt(l, 1)->ended, 0);
}

/* The file is not there any more: only the key can answer. The step goes on
 * when all that was told twice has been read, whenever that is. */
static void a_start_starts_once(void **state)
{
    struct lab *l = *state;
    char go[96];
    char command[256];
    (void)snprintf(go, sizeof(go), "%s/go", l->folder);
    (void)snprintf(command, sizeof(command),
                   "echo $$ up; until test -e %s; do sleep 0.01; done; "
                   "echo done",
                   go);
    lab_begin(l, 1, command);
    lab_wait_output(l, 1, "up");
    uint32_t pid = lab_attempt(l, 1)->pid;
    lab_start_again(l, 1);
    lab_wait_output(l, 1, "up");
    lab_start_again(l, 1);
    lab_wait_output(l, 1, "up");
    assert_int_equal(mkdir(go, 0700), 0);
    struct lab_attempt *a = lab_wait_ended(l, 1);
    assert_int_equal(a->pid, pid);
    char expected[64];
    (void)snprintf(expected, sizeof(expected), "%u up\ndone\n", pid);
    assert_non_null(strstr(a->out.at, "up\ndone\n"));
    lab_start_again(l, 1);
    a = lab_wait_ended(l, 1);
    assert_string_equal(a->out.at, expected);
    assert_int_equal(a->pid, pid);
}

static void forget_does_not_touch_what_runs(void **state)
{
    struct lab *l = *state;
    lab_begin(l, 1, "echo up; sleep 0.2; echo done");
    lab_wait_output(l, 1, "up");
    lab_forget(l, 1);
    lab_forget(l, 7); /* of an attempt that never was */
    const struct lab_attempt *a = lab_wait_ended(l, 1);
    assert_string_equal(a->out.at, "up\ndone\n");
}

static void expect_closed(int fd)
{
    char c;
    assert_int_equal(read(fd, &c, 1), 0);
    close(fd);
}

/* Whoever comes while the engine is there does not cut it off. */
static void an_engine_that_is_there_stays(void **state)
{
    struct lab *l = *state;
    int own = l->link;
    for (int i = 0; i < 3; i++) {
        l->link = -1;
        lab_connect_raw(l);
        expect_closed(l->link);
    }
    l->link = own;
    assert_int_equal(lab_run(l, 1, "exit 0")->row.state, ATTEMPT_SUCCEEDED);
}

/* One that says nothing does not keep the engine out. */
static void who_was_not_welcomed_is_replaced(void **state)
{
    struct lab *l = *state;
    lab_disconnect(l);
    lab_connect_raw(l);
    int other = l->link;
    l->link = -1;
    lab_connect(l);
    expect_closed(other);
    assert_int_equal(lab_run(l, 1, "exit 0")->row.state, ATTEMPT_SUCCEEDED);
}

static void the_time_limit_needs_no_engine(void **state)
{
    struct lab *l = *state;
    char time[32];
    char command[96];
    (void)snprintf(command, sizeof(command), "echo up; sleep %s", nap(time, 1));
    struct runbook_hash hash =
        lab_write_step(l, "limit.yaml", command, "    timeout: 300ms\n");
    lab_start(l, 1, "limit.yaml", &hash);
    /* It may not come to saying anything on a busy machine. */
    pid_t pid = (pid_t)lab_wait_started(l, 1)->pid;
    lab_disconnect(l);
    while (kill(pid, 0) == 0) {
        (void)usleep(1000);
    }
    lab_wait_no_process(time);
    lab_connect(l);
    lab_start_again(l, 1);
    assert_int_equal(lab_wait_ended(l, 1)->row.state, ATTEMPT_TIMED_OUT);
}

/* ---- the executor comes and goes ------------------------------------------
 */

static void restart(struct lab *l)
{
    lab_launch(l);
    lab_connect(l);
}

static void outcomes_outlive_an_orderly_end(void **state)
{
    struct lab *l = *state;
    struct id first = l->life;
    (void)lab_run(l, 1, "echo one; echo err >&2; exit 3");
    lab_stop(l);
    for (int i = 0; i < 2; i++) {
        restart(l);
        assert_false(id_eq(l->life, first));
        const struct lab_attempt *a = lab_wait_ended(l, 1);
        assert_int_equal(a->row.state, ATTEMPT_FAILED);
        assert_int_equal(a->row.exit_code, 3);
        assert_true(id_eq(a->row.executor, first));
        assert_string_equal(a->out.at, "one\n");
        assert_string_equal(a->err.at, "err\n");
        lab_stop(l);
    }
    restart(l);
    lab_forget(l, 1);
    lab_stop(l);
    restart(l);
    (void)lab_run(l, 2, "exit 0");
    assert_int_equal(lab_attempt(l, 1)->ended, 0);
}

/* START quotes the life that it was decided for. */
static void an_old_start_gets_the_true_outcome(void **state)
{
    struct lab *l = *state;
    struct id first = l->life;
    struct runbook_hash hash = lab_write_step(l, "a.yaml", "exit 4", "");
    lab_start(l, 1, "a.yaml", &hash);
    (void)lab_wait_ended(l, 1);
    lab_stop(l);
    restart(l);
    (void)lab_wait_ended(l, 1);
    struct exec_message m = lab_start_message(l, 1, "a.yaml", &hash);
    m.start.executor = first;
    lab_attempt(l, 1)->ended = 0;
    lab_attempt(l, 1)->next_offset = 0;
    lab_send(l, &m);
    const struct lab_attempt *a = lab_wait_ended(l, 1);
    assert_int_equal(a->row.state, ATTEMPT_FAILED);
    assert_int_equal(a->row.exit_code, 4);
}

static void an_orderly_end_stops_what_runs(void **state)
{
    struct lab *l = *state;
    char time[32];
    char command[96];
    (void)snprintf(command, sizeof(command),
                   "trap 'echo bye; exit 9' TERM; echo up; sleep %s & wait",
                   nap(time, 2));
    lab_begin(l, 1, command);
    lab_wait_output(l, 1, "up");
    lab_stop(l);
    assert_false(lab_process_has_argument(time));
    restart(l);
    const struct lab_attempt *a = lab_wait_ended(l, 1);
    /* It ended because of us: that says nothing about what it was to do. */
    assert_int_equal(a->row.state, ATTEMPT_UNKNOWN);
    assert_string_equal(a->error,
                        "the executor was stopped while the step ran");
    assert_int_equal(a->row.exit_code, 9);
    assert_string_equal(a->out.at, "up\nbye\n");
}

/* systemd tells the guard, which passes it on, and us. */
static void told_twice_to_end_it_ends_the_same(void **state)
{
    struct lab *l = *state;
    char go_on[128];
    char command[256];
    (void)snprintf(go_on, sizeof(go_on), "%s/go-on", l->folder);
    (void)snprintf(command, sizeof(command),
                   "trap 'echo bye; until [ -e %s ]; do sleep 0.01; done; "
                   "exit 9' TERM\necho up\nsleep 1000 & wait",
                   go_on);
    lab_begin(l, 1, command);
    lab_wait_output(l, 1, "up");
    assert_int_equal(kill(l->process, SIGTERM), 0);
    lab_wait_output(l, 1, "bye");
    assert_int_equal(kill(l->process, SIGTERM), 0);
    int fd = open(go_on, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    os_close(fd);
    (void)lab_wait_exit(l);
    lab_disconnect(l);
    restart(l);
    const struct lab_attempt *a = lab_wait_ended(l, 1);
    assert_int_equal(a->row.state, ATTEMPT_UNKNOWN);
    assert_int_equal(a->row.exit_code, 9);
}

/* Two files with one key, as somebody's copy would be. */
static void a_copied_outcome_is_none(void **state)
{
    struct lab *l = *state;
    struct runbook_hash hash = lab_write_step(l, "a.yaml", "exit 4", "");
    lab_start(l, 1, "a.yaml", &hash);
    (void)lab_wait_ended(l, 1);
    lab_stop(l);
    char id[ID_TEXT_SIZE];
    char file[256];
    char copy[300];
    id_format(lab_key(1).workflow_id, ID_PREFIX_WORKFLOW, id);
    (void)snprintf(file, sizeof(file), "%s/outcomes/%s.0.1", l->spool, id);
    (void)snprintf(copy, sizeof(copy), "%s7", file);
    assert_int_equal(link(file, copy), 0);
    (void)snprintf(copy, sizeof(copy), "%s/outcomes/copy", l->spool);
    assert_int_equal(link(file, copy), 0);
    restart(l);
    assert_int_equal(lab_wait_ended(l, 1)->row.exit_code, 4);
}

static void a_damaged_outcome_is_none(void **state)
{
    struct lab *l = *state;
    struct id first = l->life;
    struct runbook_hash hash = lab_write_step(l, "a.yaml", "exit 4", "");
    lab_start(l, 1, "a.yaml", &hash);
    (void)lab_wait_ended(l, 1);
    lab_stop(l);
    char command[256];
    (void)snprintf(command, sizeof(command), "%s/outcomes", l->spool);
    assert_int_equal(chdir(command), 0);
    char id[ID_TEXT_SIZE];
    id_format(lab_key(1).workflow_id, ID_PREFIX_WORKFLOW, id);
    (void)snprintf(command, sizeof(command), "%s.0.1", id);
    assert_int_equal(truncate(command, 20), 0);
    assert_int_equal(chdir("/"), 0);
    restart(l);
    struct exec_message m = lab_start_message(l, 1, "a.yaml", &hash);
    m.start.executor = first;
    lab_send(l, &m);
    assert_int_equal(lab_wait_ended(l, 1)->row.state, ATTEMPT_UNKNOWN);
}

/* kill -9: what ran is ended by the next life, however it hid, and nobody
 * pretends to know how it would have ended. */
static void after_a_crash_leftovers_end_and_outcomes_are_unknown(void **state)
{
    struct lab *l = *state;
    struct id first = l->life;
    char one[32];
    char two[32];
    char command[256];
    (void)snprintf(command, sizeof(command),
                   "trap '' TERM HUP\n(setsid sleep %s &)\necho up\nsleep %s",
                   nap(one, 3), nap(two, 4));
    lab_begin(l, 1, command);
    lab_wait_output(l, 1, "up");
    lab_kill(l);
    restart(l);
    assert_false(lab_process_has_argument(one));
    assert_false(lab_process_has_argument(two));
    struct runbook_hash none = {{0}};
    struct exec_message m = lab_start_message(l, 1, "run-1.yaml", &none);
    m.start.executor = first;
    lab_send(l, &m);
    const struct lab_attempt *a = lab_wait_ended(l, 1);
    assert_int_equal(a->row.state, ATTEMPT_UNKNOWN);
    assert_true(id_eq(a->row.executor, first));
    assert_int_equal(lab_run(l, 2, "exit 0")->row.state, ATTEMPT_SUCCEEDED);
}

/* The next life must not be confused by what the last one left in the way. */
static void crash_after_crash(void **state)
{
    struct lab *l = *state;
    for (uint32_t i = 1; i <= 5; i++) {
        lab_begin(l, i, "echo up; touch here; sleep 1000");
        lab_wait_output(l, i, "up");
        lab_kill(l);
        restart(l);
        const struct lab_attempt *a = lab_run(l, 100 + i, "ls -A");
        assert_int_equal(a->row.state, ATTEMPT_SUCCEEDED);
        assert_string_equal(a->out.at, "");
    }
}

static void one_executor_per_spool(void **state)
{
    struct lab *l = *state;
    pid_t first = l->executor;
    l->executor = 0;
    lab_launch(l);
    int status = lab_wait_exit(l);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), EADDRINUSE);
    l->executor = first;
    assert_int_equal(lab_run(l, 1, "exit 0")->row.state, ATTEMPT_SUCCEEDED);
}

/* ---- idle ------------------------------------------------------------------
 */

/* From when an engine has connected: on a busy machine the first connection
 * may come later than the executor would wait for it. */
static int leave_soon(void *context, struct executor_options *ret)
{
    *ret = *(const struct executor_options *)context;
    ret->idle_exit_ms = 50;
    return 0;
}

static void restart_to_leave_soon(struct lab *l)
{
    lab_stop(l);
    l->options.refresh = leave_soon;
    l->options.context = &l->options;
    restart(l);
}

static void without_engine_and_work_it_leaves(void **state)
{
    struct lab *l = *state;
    restart_to_leave_soon(l);
    (void)lab_run(l, 1, "echo kept; exit 6");
    lab_disconnect(l);
    int status = lab_wait_exit(l);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(access(l->socket, F_OK), -1);
    restart(l);
    assert_int_equal(lab_wait_ended(l, 1)->row.exit_code, 6);
}

static void with_work_it_stays(void **state)
{
    struct lab *l = *state;
    restart_to_leave_soon(l);
    lab_begin(l, 1, "echo up; sleep 0.5; echo done");
    lab_wait_output(l, 1, "up");
    lab_disconnect(l);
    int status = lab_wait_exit(l); /* not before the step has ended */
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    restart(l);
    assert_string_equal(lab_wait_ended(l, 1)->out.at, "up\ndone\n");
}

#define CASE(name)                                                             \
    cmocka_unit_test_setup_teardown(name, lab_set_up, lab_tear_down)
#define CASE_WITHOUT_CGROUPS(name)                                             \
    {                                                                          \
#name " (no cgroups)", name, lab_set_up_without_cgroups,               \
            lab_tear_down, NULL                                                \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(an_outcome_waits_for_the_next_engine),
        CASE(what_has_ended_is_told_until_it_is_forgotten),
        CASE(a_start_starts_once),
        CASE(forget_does_not_touch_what_runs),
        CASE(an_engine_that_is_there_stays),
        CASE(who_was_not_welcomed_is_replaced),
        CASE(the_time_limit_needs_no_engine),
        CASE(outcomes_outlive_an_orderly_end),
        CASE(an_old_start_gets_the_true_outcome),
        CASE(an_orderly_end_stops_what_runs),
        CASE(told_twice_to_end_it_ends_the_same),
        CASE(a_copied_outcome_is_none),
        CASE(a_damaged_outcome_is_none),
        CASE(after_a_crash_leftovers_end_and_outcomes_are_unknown),
        CASE_WITHOUT_CGROUPS(
            after_a_crash_leftovers_end_and_outcomes_are_unknown),
        CASE(crash_after_crash),
        CASE_WITHOUT_CGROUPS(crash_after_crash),
        CASE(one_executor_per_spool),
        CASE(without_engine_and_work_it_leaves),
        CASE(with_work_it_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
