#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/proc/executor_lab.h"

#define TRUE_RUNBOOK                                                           \
    "name: t\nsteps:\n  - {name: s, action: exec, argv: [/bin/true]}\n"

/* An error that quotes the engine is cut to the room it has, which may be in
 * the middle of a character: the message must still be one that can be sent
 * (base/err.h sees to it). Every offset of the cut is tried. */
static void a_cut_quotation_is_still_a_message(void **state)
{
    struct lab *l = *state;
    struct runbook_hash hash = lab_write(l, "true.yaml", TRUE_RUNBOOK);
    struct strbuf json = STRBUF_INIT(8192);
    for (uint32_t i = 0; i < 4; i++) {
        strbuf_reset(&json);
        strbuf_addc(&json, "{\"");
        for (uint32_t pad = 0; pad < i; pad++) {
            strbuf_addch(&json, 'x');
        }
        for (int n = 0; n < 500; n++) {
            strbuf_addc(&json, "\xf0\x9f\x94\xa5");
        }
        strbuf_addc(&json, "\":1}");
        struct exec_message m = lab_start_message(l, i + 1, "true.yaml", &hash);
        m.start.parameters = strbuf_str(&json);
        lab_send(l, &m);
        const struct lab_attempt *a = lab_wait_ended(l, i + 1);
        assert_int_equal(a->row.state, ATTEMPT_REFUSED);
        assert_int_not_equal(a->row.error.len, 0);
    }
    strbuf_deinit(&json);
    lab_start(l, 9, "true.yaml", &hash);
    assert_int_equal(lab_wait_ended(l, 9)->row.state, ATTEMPT_SUCCEEDED);
}

static void the_same_of_a_pin(void **state)
{
    struct lab *l = *state;
    struct runbook_hash hash = lab_write(l, "true.yaml", TRUE_RUNBOOK);
    for (size_t pad = 1; pad < 5; pad++) {
        char path[256] = "";
        for (size_t n = 0; n < pad; n++) {
            path[n] = 'x';
        }
        for (size_t at = pad; at + 10 < sizeof(path); at += 4) {
            memcpy(path + at, "\xf0\x9f\x94\xa5", 5);
        }
        assert_string_not_equal(lab_pin(l, path, &hash), "");
    }
    assert_string_equal(lab_pin(l, "true.yaml", &hash), "");
}

/* The version is known, but no path leaves the repository. */
static void a_known_version_does_not_excuse_a_path(void **state)
{
    static const char *const paths[] = {"../repository/true.yaml",
                                        "/etc/passwd", "true.yaml/../true.yaml",
                                        "./true.yaml", "true"};
    struct lab *l = *state;
    struct runbook_hash hash = lab_write(l, "true.yaml", TRUE_RUNBOOK);
    lab_start(l, 1, "true.yaml", &hash);
    assert_int_equal(lab_wait_ended(l, 1)->row.state, ATTEMPT_SUCCEEDED);
    for (uint32_t i = 0; i < ARRAY_LEN(paths); i++) {
        lab_start(l, i + 2, paths[i], &hash);
        assert_int_equal(lab_wait_ended(l, i + 2)->row.state, ATTEMPT_REFUSED);
    }
}

/* How many messages the executor takes from an engine that never reads the
 * answers, before it stops listening; at most `most`. */
static uint32_t send_until_deaf(struct lab *l, struct str datagram,
                                uint32_t most)
{
    for (uint32_t i = 0; i < most; i++) {
        if (send(l->link, datagram.at, datagram.len, MSG_NOSIGNAL) < 0) {
            assert_int_equal(errno, EAGAIN);
            return i;
        }
    }
    return most;
}

static void who_does_not_read_is_not_listened_to(void **state)
{
    enum { MOST = 1000000 };
    struct lab *l = *state;
    struct runbook_hash hash = lab_write(l, "true.yaml", TRUE_RUNBOOK);
    struct exec_message m = {
        .kind = EXEC_PIN,
        .pin = {.path = STR("missing.yaml"), .hash = hash},
    };
    struct strbuf text = STRBUF_INIT(EXEC_MESSAGE_MAX_BYTES);
    struct timeval patience = {.tv_sec = 2};
    assert_int_equal(exec_encode(&m, &text), 0);
    assert_int_equal(setsockopt(l->link, SOL_SOCKET, SO_SNDTIMEO, &patience,
                                sizeof(patience)),
                     0);
    assert_in_range(send_until_deaf(l, strbuf_str(&text), MOST), 1, MOST - 1);
    strbuf_deinit(&text);
    /* It is well, and hears another one. */
    lab_disconnect(l);
    lab_connect(l);
    lab_start(l, 1, "true.yaml", &hash);
    assert_int_equal(lab_wait_ended(l, 1)->row.state, ATTEMPT_SUCCEEDED);
}

/* An outcome that is known is not turned into another by a later STOP. */
static void a_stop_while_leftovers_end_changes_nothing(void **state)
{
    struct lab *l = *state;
    lab_begin(l, 1,
              "(trap '' TERM; echo up; while :; do sleep 0.05; done) &\n"
              "sleep 0.2; exit 0");
    lab_wait_output(l, 1, "up");
    /* The main process is gone when its number is free again. */
    struct lab_attempt *a = lab_wait_started(l, 1);
    while (kill((pid_t)a->pid, 0) == 0) {
    }
    lab_stop_attempt(l, 1, true, 0);
    a = lab_wait_ended(l, 1);
    assert_int_equal(a->row.state, ATTEMPT_SUCCEEDED);
    assert_int_equal(a->row.exit_code, 0);
    assert_true(a->row.survivors > 0);
}

/* Whoever can write to the runbooks commands root. */
static void runbooks_that_everybody_writes_are_refused_to_root(void **state)
{
    struct lab *l = *state;
    if (geteuid() != 0) {
        skip();
    }
    lab_disconnect(l);
    lab_stop(l);
    assert_int_equal(chmod(l->repository, 0777), 0);
    lab_launch(l);
    int status = lab_wait_exit(l);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) != 0);
    assert_int_equal(chmod(l->repository, 0755), 0);
    lab_launch(l);
    lab_connect(l);
}

#define CASE(name)                                                             \
    cmocka_unit_test_setup_teardown(name, lab_set_up, lab_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_cut_quotation_is_still_a_message),
        CASE(the_same_of_a_pin),
        CASE(a_known_version_does_not_excuse_a_path),
        CASE(who_does_not_read_is_not_listened_to),
        CASE(a_stop_while_leftovers_end_changes_nothing),
        CASE(runbooks_that_everybody_writes_are_refused_to_root),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
