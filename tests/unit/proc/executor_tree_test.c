/*
 * Ending steps: time limits, STOP, and that nothing of a step is left, whether
 * control groups can be had or processes must be found by descent and mark.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/proc/executor_lab.h"

/* A sleep that no other test, and nothing else here, would start. */
static const char *lair(char out[32], unsigned which)
{
    (void)snprintf(out, 32, "1%05u.%d", which, (int)getpid());
    return out;
}

static struct exec_message start_with(struct lab *l, uint32_t no,
                                      const char *command, const char *keys)
{
    static char path[32];
    (void)snprintf(path, sizeof(path), "keys-%u.yaml", no);
    struct runbook_hash hash = lab_write_step(l, path, command, keys);
    return lab_start_message(l, no, path, &hash);
}

/* ---- time limits
 * ---------------------------------------------------------------- */

static void the_steps_own_limit_ends_it(void **state)
{
    struct lab *l = *state;
    struct exec_message m =
        start_with(l, 1, "echo up; sleep 1000", "    timeout: 300ms\n");
    lab_send(l, &m);
    const struct lab_attempt *a = lab_wait_ended(l, 1);
    assert_int_equal(a->row.state, ATTEMPT_TIMED_OUT);
    assert_string_equal(a->out.at, "up\n");
    assert_true(a->row.finished_ms - a->row.started_ms >= 300);
}

static void the_engine_can_only_shorten_it(void **state)
{
    struct lab *l = *state;
    struct exec_message m =
        start_with(l, 1, "sleep 1000", "    timeout: 300ms\n");
    m.start.timeout_ms = 3600 * 1000;
    lab_send(l, &m);
    assert_int_equal(lab_wait_ended(l, 1)->row.state, ATTEMPT_TIMED_OUT);
    m = start_with(l, 2, "sleep 1000", "    timeout: 1h\n");
    m.start.timeout_ms = 200;
    lab_send(l, &m);
    assert_int_equal(lab_wait_ended(l, 2)->row.state, ATTEMPT_TIMED_OUT);
}

/* TERM comes first; the grace is the step's to use. */
static void a_step_may_clean_up(void **state)
{
    struct lab *l = *state;
    struct exec_message m =
        start_with(l, 1,
                   "trap 'echo cleaning; sleep 0.2; echo clean; exit 7' TERM\n"
                   "echo up\nwhile :; do sleep 0.05; done",
                   "    timeout: 500ms\n");
    m.start.grace_ms = 60000;
    lab_send(l, &m);
    const struct lab_attempt *a = lab_wait_ended(l, 1);
    assert_int_equal(a->row.state, ATTEMPT_TIMED_OUT);
    assert_int_equal(a->row.exit_code, 7);
    assert_int_equal(a->row.survivors, 0);
    assert_string_equal(a->out.at, "up\ncleaning\nclean\n");
}

static void who_ignores_term_is_killed(void **state)
{
    struct lab *l = *state;
    char nap[32];
    char command[128];
    (void)snprintf(command, sizeof(command), "trap '' TERM; echo up; sleep %s",
                   lair(nap, 1));
    struct exec_message m = start_with(l, 1, command, "    timeout: 300ms\n");
    m.start.grace_ms = 300;
    lab_send(l, &m);
    const struct lab_attempt *a = lab_wait_ended(l, 1);
    assert_int_equal(a->row.state, ATTEMPT_TIMED_OUT);
    assert_int_equal(a->row.term_signal, SIGKILL);
    assert_int_equal(a->row.exit_code, -1);
    assert_int_equal(a->row.survivors, 2); /* the shell and its sleep */
    assert_true(a->row.finished_ms - a->row.started_ms >= 600);
    assert_false(lab_process_has_argument(nap));
}

/* ---- STOP
 * ------------------------------------------------------------------------- */

static void stop_asks_first(void **state)
{
    struct lab *l = *state;
    lab_begin(l, 1,
              "trap 'echo bye; exit 0' TERM; echo up\n"
              "while :; do sleep 0.05; done");
    lab_wait_output(l, 1, "up");
    lab_stop_attempt(l, 1, false, 60000);
    const struct lab_attempt *a = lab_wait_ended(l, 1);
    assert_int_equal(a->row.state, ATTEMPT_CANCELLED);
    assert_int_equal(a->row.exit_code, 0);
    assert_string_equal(a->out.at, "up\nbye\n");
}

static void stop_with_kill_does_not_ask(void **state)
{
    struct lab *l = *state;
    lab_begin(l, 1, "trap 'echo bye; exit 0' TERM; echo up; sleep 1000");
    lab_wait_output(l, 1, "up");
    lab_stop_attempt(l, 1, true, 60000);
    const struct lab_attempt *a = lab_wait_ended(l, 1);
    assert_int_equal(a->row.state, ATTEMPT_CANCELLED);
    assert_int_equal(a->row.term_signal, SIGKILL);
    assert_string_equal(a->out.at, "up\n");
}

/* A second STOP shortens nothing and prolongs nothing, but may escalate. */
static void only_kill_escalates(void **state)
{
    struct lab *l = *state;
    lab_begin(l, 1,
              "trap 'echo asked' TERM; echo up\n"
              "while :; do sleep 0.05; done");
    lab_wait_output(l, 1, "up");
    lab_stop_attempt(l, 1, false, 3600 * 1000);
    lab_wait_output(l, 1, "asked");
    lab_stop_attempt(l, 1, false, 0);
    lab_stop_attempt(l, 1, false, 0);
    assert_int_equal(lab_run(l, 2, "sleep 0.2")->row.state, ATTEMPT_SUCCEEDED);
    assert_int_equal(lab_attempt(l, 1)->ended, 0);
    lab_stop_attempt(l, 1, true, 0);
    const struct lab_attempt *a = lab_wait_ended(l, 1);
    assert_int_equal(a->row.state, ATTEMPT_CANCELLED);
    assert_string_equal(a->out.at, "up\nasked\n");
}

static void stop_before_start_wins(void **state)
{
    struct lab *l = *state;
    char mark[128];
    char command[160];
    (void)snprintf(mark, sizeof(mark), "%s/ran", l->folder);
    (void)snprintf(command, sizeof(command), "touch %s", mark);
    lab_stop_attempt(l, 1, false, 1000);
    const struct lab_attempt *a = lab_wait_ended(l, 1);
    assert_int_equal(a->row.state, ATTEMPT_CANCELLED);
    assert_int_equal(a->row.pid, 0);
    assert_int_equal(a->started, 0);
    lab_attempt(l, 1)->ended = 0;
    lab_begin(l, 1, command);
    assert_int_equal(lab_wait_ended(l, 1)->row.state, ATTEMPT_CANCELLED);
    (void)lab_run(l, 2, "exit 0");
    assert_int_equal(access(mark, F_OK), -1);
}

static void stop_of_what_has_ended_changes_nothing(void **state)
{
    struct lab *l = *state;
    (void)lab_run(l, 1, "exit 4");
    lab_stop_attempt(l, 1, true, 0);
    lab_start_again(l, 1);
    const struct lab_attempt *a = lab_wait_ended(l, 1);
    assert_int_equal(a->row.state, ATTEMPT_FAILED);
    assert_int_equal(a->row.exit_code, 4);
}

/* ---- nothing is left
 * ---------------------------------------------------------------- */

/* A step that ends in order and leaves this behind, which must be gone when
 * its end is told. */
static const struct lab_attempt *
leave_behind(struct lab *l, const char *before_sleep, const char *after_sleep)
{
    char nap[32];
    char command[512];
    (void)snprintf(command, sizeof(command),
                   "%s sleep %s %s\n"
                   "while ! pgrep -fx 'sleep %s' >/dev/null; do sleep 0.01; "
                   "done\nexit 0",
                   before_sleep, lair(nap, 2), after_sleep, nap);
    const struct lab_attempt *a = lab_run(l, 1, command);
    assert_false(lab_process_has_argument(nap));
    assert_int_equal(a->row.state, ATTEMPT_SUCCEEDED);
    assert_int_equal(a->row.exit_code, 0);
    return a;
}

static void a_background_process_ends_with_the_step(void **state)
{
    (void)leave_behind(*state, "exec 3>&1;", "&");
}

static void one_that_ignores_term_is_killed_and_counted(void **state)
{
    const struct lab_attempt *a =
        leave_behind(*state, "(trap '' TERM; exec", ") &");
    assert_int_equal(a->row.survivors, 1);
}

static void one_that_ignores_hangups_too(void **state)
{
    (void)leave_behind(*state, "nohup", ">/dev/null 2>&1 &");
}

static void a_daemon_ends_with_the_step(void **state)
{
    (void)leave_behind(*state, "(setsid", "</dev/null >/dev/null 2>&1 &)");
}

static void a_daemon_that_ignores_term_too(void **state)
{
    const struct lab_attempt *a = leave_behind(
        *state, "(trap '' TERM; setsid setsid sh -c '(exec", "&)' &)");
    assert_int_equal(a->row.survivors, 1);
}

/* It has shed its parents, its session and its environment. */
static void a_daemon_without_environment_too(void **state)
{
    (void)leave_behind(*state, "(setsid env -i /usr/bin/setsid",
                       "</dev/null >/dev/null 2>&1 &)");
}

/* The step's end must not wait for a writer that has escaped, nor be kept from
 * reading by one that writes on and on. */
static void a_daemon_that_writes_for_ever_too(void **state)
{
    struct lab *l = *state;
    char word[32];
    char command[256];
    (void)snprintf(command, sizeof(command),
                   "(setsid env -i /usr/bin/setsid /usr/bin/yes %s &)\n"
                   "while ! pgrep -fx '/usr/bin/yes %s' >/dev/null; do sleep "
                   "0.01; done",
                   lair(word, 3), word);
    const struct lab_attempt *a = lab_run(l, 1, command);
    assert_int_equal(a->row.state, ATTEMPT_SUCCEEDED);
    assert_false(lab_process_has_argument(word));
}

static void a_stopped_process_is_killed(void **state)
{
    struct lab *l = *state;
    char nap[32];
    char command[128];
    (void)snprintf(command, sizeof(command), "echo up; kill -STOP $$; sleep %s",
                   lair(nap, 4));
    lab_begin(l, 1, command);
    lab_wait_output(l, 1, "up");
    lab_stop_attempt(l, 1, false, 200);
    assert_int_equal(lab_wait_ended(l, 1)->row.state, ATTEMPT_CANCELLED);
    assert_false(lab_process_has_argument(nap));
}

/* Children appear while the tree is being killed. */
static void a_forking_tree_is_killed(void **state)
{
    struct lab *l = *state;
    char nap[32];
    char command[256];
    (void)snprintf(command, sizeof(command),
                   "trap '' TERM\necho up\nspread() { for i in 1 2 3 4 5 6 7 "
                   "8; do sleep %s & sleep 0.02; done; }\n"
                   "spread & (spread) & setsid sleep %s &\nspread\nwait",
                   lair(nap, 5), nap);
    lab_begin(l, 1, command);
    lab_wait_output(l, 1, "up");
    lab_stop_attempt(l, 1, true, 0);
    const struct lab_attempt *a = lab_wait_ended(l, 1);
    assert_int_equal(a->row.state, ATTEMPT_CANCELLED);
    assert_false(lab_process_has_argument(nap));
}

/* The end of one step is nothing to the processes of another. */
static void other_steps_are_left_alone(void **state)
{
    struct lab *l = *state;
    lab_begin(l, 1,
              "basename \"$PWD\"\n"
              "(setsid sh -c 'echo daemon $$; while ! test -e done; do sleep "
              "0.05; done; echo released' &)\n"
              "while ! test -e stop; do sleep 0.05; done; sleep 0.3");
    lab_wait_output(l, 1, "daemon");
    for (uint32_t i = 2; i <= 5; i++) {
        (void)lab_run(l, i, "(setsid sleep 1000 &) ; exit 0");
    }
    char file[256];
    int name = 0; /* of the folder in which the first runs: "step-N" */
    assert_int_equal(sscanf(lab_attempt(l, 1)->out.at, "step-%d", &name), 1);
    (void)snprintf(file, sizeof(file), "%s/step-%d/done", l->work, name);
    (void)fclose(fopen(file, "w"));
    lab_wait_output(l, 1, "released");
    (void)snprintf(file, sizeof(file), "%s/step-%d/stop", l->work, name);
    (void)fclose(fopen(file, "w"));
    assert_int_equal(lab_wait_ended(l, 1)->row.state, ATTEMPT_SUCCEEDED);
}

/* Removes the empty groups that the executor keeps; how many there were. Whom
 * we started is its guard and parent, who has none. */
static unsigned remove_kept_groups(const struct lab *l)
{
    char path[64];
    int executor = 0;
    unsigned count = 0;
    (void)snprintf(path, sizeof(path), "/proc/%d/task/%d/children",
                   (int)l->executor, (int)l->executor);
    FILE *children = fopen(path, "re");
    assert_non_null(children);
    assert_int_equal(fscanf(children, "%d", &executor), 1);
    (void)fclose(children);
    (void)snprintf(path, sizeof(path), "/proc/%d/fd", executor);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (const struct dirent *d = readdir(dir); d != NULL; d = readdir(dir)) {
        char group[512];
        ssize_t n = readlinkat(dirfd(dir), d->d_name, group, sizeof(group) - 1);
        group[n > 0 ? n : 0] = '\0';
        if (strstr(group, "/adp-") != NULL && rmdir(group) == 0) {
            count++;
        }
    }
    (void)closedir(dir);
    return count;
}

static void a_removed_group_is_replaced(void **state)
{
    struct lab *l = *state;
    (void)lab_run(l, 1, "echo first");
    if (remove_kept_groups(l) == 0) {
        return; /* no control groups here */
    }
    const struct lab_attempt *a = lab_run(l, 2, "echo second");
    assert_int_equal(a->row.state, ATTEMPT_SUCCEEDED);
    assert_string_equal(a->out.at, "second\n");
    assert_int_equal(remove_kept_groups(l), 1);
}

#define CASES(up)                                                              \
    CASE(the_steps_own_limit_ends_it, up),                                     \
        CASE(the_engine_can_only_shorten_it, up),                              \
        CASE(a_step_may_clean_up, up), CASE(who_ignores_term_is_killed, up),   \
        CASE(stop_asks_first, up), CASE(stop_with_kill_does_not_ask, up),      \
        CASE(only_kill_escalates, up), CASE(stop_before_start_wins, up),       \
        CASE(stop_of_what_has_ended_changes_nothing, up),                      \
        CASE(a_background_process_ends_with_the_step, up),                     \
        CASE(one_that_ignores_term_is_killed_and_counted, up),                 \
        CASE(one_that_ignores_hangups_too, up),                                \
        CASE(a_daemon_ends_with_the_step, up),                                 \
        CASE(a_daemon_that_ignores_term_too, up),                              \
        CASE(a_daemon_without_environment_too, up),                            \
        CASE(a_daemon_that_writes_for_ever_too, up),                           \
        CASE(a_stopped_process_is_killed, up),                                 \
        CASE(a_forking_tree_is_killed, up),                                    \
        CASE(other_steps_are_left_alone, up),                                  \
        CASE(a_removed_group_is_replaced, up)
#define CASE(name, up)                                                         \
    {                                                                          \
#name " (" #up ")", name, up, lab_tear_down, NULL                      \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASES(lab_set_up),
        CASES(lab_set_up_without_cgroups),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
