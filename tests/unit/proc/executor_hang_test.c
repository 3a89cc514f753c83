/* What SIGKILL does not end: a file says that nothing of any tree does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "os/fd.h"
#include "proc/executor_priv.h"
#include "tests/unit/proc/executor_lab.h"

static char hang_path[64];

bool __real_tree_is_empty(const struct tree *t);
bool __wrap_tree_is_empty(const struct tree *t);

bool __wrap_tree_is_empty(const struct tree *t)
{
    return access(hang_path, F_OK) != 0 && __real_tree_is_empty(t);
}

static void let_hang(void)
{
    int fd = open(hang_path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    os_close(fd);
}

static int set_up(void **state)
{
    (void)snprintf(hang_path, sizeof(hang_path), "/tmp/adp-hang-%d",
                   (int)getpid());
    assert_int_equal(lab_set_up(state), 0);
    struct lab *l = *state;
    lab_stop(l);
    l->options.hang_ms = 100;
    l->options.max_running = 2;
    lab_launch(l);
    lab_connect(l);
    return 0;
}

static int tear_down(void **state)
{
    (void)unlink(hang_path);
    return lab_tear_down(state);
}

static const struct lab_attempt *hang(struct lab *l, uint32_t no)
{
    let_hang();
    lab_begin(l, no, "echo up; sleep 1000");
    lab_wait_output(l, no, "up");
    lab_stop_attempt(l, no, true, 0);
    return lab_wait_ended(l, no);
}

static void what_does_not_end_is_given_up(void **state)
{
    struct lab *l = *state;
    const struct lab_attempt *a = hang(l, 1);
    assert_int_equal(a->row.state, ATTEMPT_UNKNOWN);
    assert_true(a->row.maybe_alive);
    assert_non_null(strstr(a->error, "do not end after SIGKILL"));
    assert_string_equal(a->out.at, "up\n");
}

/* lab_key: all attempts are of one step. */
static void no_attempt_begins_beside_it(void **state)
{
    struct lab *l = *state;
    (void)hang(l, 1);
    const struct lab_attempt *a = lab_run(l, 2, "exit 0");
    assert_int_equal(a->row.state, ATTEMPT_REFUSED);
    assert_string_equal(a->error,
                        "processes of an earlier attempt have not ended");
    lab_forget(l, 1);
    assert_int_equal(lab_run(l, 3, "exit 0")->row.state, ATTEMPT_REFUSED);
    /* The answer is kept until it has ended, whoever forgets. */
    lab_start_again(l, 1);
    assert_int_equal(lab_wait_ended(l, 1)->row.state, ATTEMPT_UNKNOWN);
    assert_int_equal(unlink(hang_path), 0);
    uint32_t no = 4;
    while (lab_run(l, no, "exit 0")->row.state != ATTEMPT_SUCCEEDED) {
        (void)usleep(50000);
        no++;
    }
}

/* A step of another workflow. */
static struct exec_message other(struct lab *l, uint32_t no,
                                 const struct runbook_hash *hash)
{
    struct exec_message m = lab_start_message(l, no, "other.yaml", hash);
    m.start.key.workflow_id.bytes[15] ^= 0xFF;
    return m;
}

static void it_keeps_its_place(void **state)
{
    struct lab *l = *state;
    (void)hang(l, 1);
    assert_int_equal(unlink(hang_path), 0); /* others do end */
    let_hang();
    struct runbook_hash hash =
        lab_write_step(l, "other.yaml", "echo up; sleep 1000", "");
    struct exec_message m = other(l, 2, &hash);
    lab_send(l, &m);
    lab_wait_output(l, 2, "up");
    m = other(l, 3, &hash);
    lab_send(l, &m);
    const struct lab_attempt *a = lab_wait_ended(l, 3);
    assert_int_equal(a->row.state, ATTEMPT_REFUSED);
    assert_non_null(strstr(a->error, "runs 2 steps already, some of which do "
                                     "not end"));
}

static void it_does_not_keep_the_executor(void **state)
{
    struct lab *l = *state;
    (void)hang(l, 1);
    lab_stop(l);
    lab_launch(l);
    lab_connect(l);
    const struct lab_attempt *a = lab_wait_ended(l, 1); /* was in the spool */
    assert_int_equal(a->row.state, ATTEMPT_UNKNOWN);
    assert_true(a->row.maybe_alive);
}

static void an_end_in_order_gives_up_too(void **state)
{
    struct lab *l = *state;
    let_hang();
    lab_begin(l, 1, "echo up; sleep 1000");
    lab_wait_output(l, 1, "up");
    lab_stop(l);
    lab_launch(l);
    lab_connect(l);
    assert_true(lab_wait_ended(l, 1)->row.maybe_alive);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(what_does_not_end_is_given_up),
        CASE(no_attempt_begins_beside_it),
        CASE(it_keeps_its_place),
        CASE(it_does_not_keep_the_executor),
        CASE(an_end_in_order_gives_up_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
