#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/cgroup.h"
#include "os/fd.h"
#include "proc/executor_priv.h"

/* Every case runs with control groups, where they can be had, and without. */
struct fixture {
    struct group_pool pool;
    char name[32];
    bool groups;
};

struct sample {
    struct tree tree;
    struct spawned spawned;
    char mark[64];
};

#define LOOKS_MAX 20000

static int set_up(void **state, bool groups)
{
    static struct fixture f;
    memset(&f, 0, sizeof(f));
    (void)snprintf(f.name, sizeof(f.name), "adp-test-%d", (int)getpid());
    group_pool_init(&f.pool, f.name);
    if (groups && !f.pool.usable) {
        group_pool_deinit(&f.pool);
        *state = NULL;
        return 0;
    }
    f.groups = groups;
    f.pool.usable = groups;
    *state = &f;
    return 0;
}

static int set_up_groups(void **state)
{
    return set_up(state, true);
}

static int set_up_marks(void **state)
{
    return set_up(state, false);
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    if (f != NULL) {
        group_pool_deinit(&f->pool);
    }
    return 0;
}

static struct fixture *fixture_of(void **state)
{
    if (*state == NULL) {
        skip(); /* no control groups here */
    }
    return *state;
}

static void start(struct fixture *f, struct sample *s, const char *name,
                  const char *script)
{
    (void)snprintf(s->mark, sizeof(s->mark), "ADP_ATTEMPT_ID=%s", name);
    tree_init(&s->tree, &f->pool, s->mark);
    assert_int_equal(s->tree.group >= 0, f->groups);
    CLEANUP(os_closep) int folder = open("/", O_PATH | O_CLOEXEC);
    char sh[] = "sh";
    char c[] = "-c";
    char *text = str_dup(str_c(script));
    char path[] = "PATH=/usr/bin:/bin";
    char *const argv[] = {sh, c, text, NULL};
    char *const env[] = {path, s->mark, NULL};
    struct spawn_request q = {
        .argv = argv, .env = env, .folder = folder, .group = s->tree.group};
    struct err err = ERR_INIT;
    assert_int_equal(spawn_start(&q, &s->spawned, &err), 0);
    tree_started(&s->tree, s->spawned.pid);
    mem_free(text);
}

/* The script says that it is ready by writing a line. */
static void await_line(struct sample *s)
{
    char c = 0;
    while (c != '\n') {
        struct pollfd p = {.fd = s->spawned.out, .events = POLLIN};
        assert_int_equal(poll(&p, 1, -1), 1);
        assert_int_equal(read(s->spawned.out, &c, 1), 1);
    }
}

static void await_main(struct sample *s)
{
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)s->spawned.pid, &info, WEXITED), 0);
    s->tree.main = 0;
}

/* As the executor: reaps what has come to us. */
static void reap(struct sample *s)
{
    siginfo_t info = {0};
    while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG) == 0 &&
           info.si_pid != 0) {
        if (info.si_pid == s->tree.main) {
            s->tree.main = 0;
        }
        info.si_pid = 0;
    }
}

/* Sends the signal until nothing is left; 0: only waits. */
static void await_empty(struct sample *s, int signal)
{
    for (int i = 0; i < LOOKS_MAX; i++) {
        reap(s);
        if (s->tree.main == 0 && tree_is_empty(&s->tree)) {
            return;
        }
        if (signal != 0) {
            (void)tree_signal(&s->tree, signal);
        }
        (void)usleep(1000);
    }
    fail_msg("the tree does not empty");
}

static void end(struct sample *s)
{
    os_close(s->spawned.out);
    os_close(s->spawned.err);
    tree_deinit(&s->tree);
}

static void a_background_process_is_seen_and_ended(void **state)
{
    struct fixture *f = fixture_of(state);
    struct sample s;
    start(f, &s, "a", "sleep 300 & exit 0");
    await_main(&s);
    assert_false(tree_is_empty(&s.tree));
    assert_int_equal(tree_signal(&s.tree, SIGTERM), 1);
    await_empty(&s, 0);
    end(&s);
}

static void a_tree_without_leftovers_is_empty(void **state)
{
    struct fixture *f = fixture_of(state);
    struct sample s;
    start(f, &s, "a", "true | true; exit 3");
    await_main(&s);
    assert_true(tree_is_empty(&s.tree));
    end(&s);
}

/* A daemon as it should not be: two forks, another session, no environment,
 * deaf to TERM. */
static void a_hidden_daemon_is_found(void **state)
{
    struct fixture *f = fixture_of(state);
    struct sample s;
    start(f, &s, "a",
          "trap '' TERM\n"
          "(env -i setsid sh -c 'sleep 300 & sleep 300 & wait' &)\n"
          "env -i setsid sh -c \"echo; exec sleep 300\" &\n"
          "exit 0");
    await_line(&s);
    await_main(&s);
    assert_false(tree_is_empty(&s.tree));
    await_empty(&s, SIGKILL);
    end(&s);
}

static void ending_one_tree_leaves_the_other(void **state)
{
    struct fixture *f = fixture_of(state);
    struct sample a;
    struct sample b;
    const char *script = "(setsid sh -c 'echo; exec sleep 300' &); exit 0";
    start(f, &b, "b", script);
    start(f, &a, "a", script);
    await_line(&a);
    await_line(&b);
    await_main(&a);
    await_main(&b);
    await_empty(&a, SIGKILL);
    assert_true(tree_is_empty(&a.tree));
    assert_false(tree_is_empty(&b.tree));
    await_empty(&b, SIGTERM);
    end(&a);
    end(&b);
}

/* Processes that only ever fork a successor and end: whoever is looked at is
 * gone already. */
static void runners_are_caught(void **state)
{
    struct fixture *f = fixture_of(state);
    struct sample s;
    start(f, &s, "a",
          "export RUN='setsid sh -c \"$RUN\" & exit 0'\n"
          "for i in 1 2 3; do sh -c \"$RUN\" & done; echo; exit 0");
    await_line(&s);
    await_main(&s);
    await_empty(&s, SIGKILL);
    assert_true(tree_is_empty(&s.tree));
    end(&s);
}

static void a_stopped_tree_is_killed(void **state)
{
    struct fixture *f = fixture_of(state);
    struct sample s;
    start(f, &s, "a", "sleep 300 & echo; kill -STOP $$; wait");
    await_line(&s);
    assert_false(tree_is_empty(&s.tree));
    await_empty(&s, SIGKILL);
    end(&s);
}

/* As after kill -9 of the executor: whoever comes next knows only the name of
 * the groups and the mark. */
static void leftovers_are_killed(void **state)
{
    struct fixture *f = fixture_of(state);
    struct sample s;
    start(f, &s, "left", "trap '' TERM; sleep 300 & echo; wait");
    await_line(&s);
    struct group_pool next;
    group_pool_init(&next, f->name);
    uint32_t count = tree_kill_leftovers(&next, s.mark);
    assert_true(count >= 2);
    await_main(&s);
    assert_int_equal(tree_kill_leftovers(&next, s.mark), next.leftovers);
    group_pool_deinit(&next);
    reap(&s);
    end(&s);
}

static void groups_are_used_again(void **state)
{
    struct fixture *f = fixture_of(state);
    for (int i = 0; i < 5; i++) {
        struct sample s;
        start(f, &s, "a", "exit 0");
        assert_int_equal(s.tree.slot, 0);
        await_main(&s);
        await_empty(&s, 0);
        end(&s);
    }
    assert_int_equal(f->pool.made, 1);
    assert_int_equal(f->pool.idle.count, 1);
}

/* A process that is born where others were killed is not killed for it. */
static void a_group_serves_after_a_kill(void **state)
{
    struct fixture *f = fixture_of(state);
    for (int i = 0; i < 3; i++) {
        struct sample s;
        start(f, &s, "a", "sleep 300 & echo; wait");
        await_line(&s);
        await_empty(&s, SIGKILL);
        end(&s);
        start(f, &s, "b", "exit 7");
        siginfo_t info;
        assert_int_equal(waitid(P_PID, (id_t)s.spawned.pid, &info, WEXITED), 0);
        assert_int_equal(info.si_code, CLD_EXITED);
        assert_int_equal(info.si_status, 7);
        s.tree.main = 0;
        await_empty(&s, 0);
        end(&s);
    }
}

#define BOTH_WAYS(test)                                                        \
    {#test " (groups)", test, set_up_groups, tear_down, NULL},                 \
    {                                                                          \
#test " (marks)", test, set_up_marks, tear_down, NULL                  \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH_WAYS(a_background_process_is_seen_and_ended),
        BOTH_WAYS(a_tree_without_leftovers_is_empty),
        BOTH_WAYS(a_hidden_daemon_is_found),
        BOTH_WAYS(ending_one_tree_leaves_the_other),
        BOTH_WAYS(runners_are_caught),
        BOTH_WAYS(a_stopped_tree_is_killed),
        BOTH_WAYS(leftovers_are_killed),
        BOTH_WAYS(a_group_serves_after_a_kill),
        cmocka_unit_test_setup_teardown(groups_are_used_again, set_up_groups,
                                        tear_down),
    };
    if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
