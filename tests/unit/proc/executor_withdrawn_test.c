/* Versions that the repository has no more: who may still use them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "os/clock.h"
#include "os/fd.h"
#include "tests/unit/proc/executor_lab.h"

static const char two_steps[] =
    "name: test\n"
    "parameters:\n  n: {type: integer, default: 0}\n"
    "steps:\n"
    "  - {name: one, action: exec, command: 'exit $ADP_PARAM_N'}\n"
    "  - {name: two, action: exec, command: 'true'}\n";
static const char other_text[] =
    "name: other\nsteps:\n  - {name: x, action: exec, command: 'true'}\n";

static int set_up(void **state)
{
    assert_int_equal(lab_set_up(state), 0);
    struct lab *l = *state;
    lab_stop(l);
    l->options.withdrawn_ms = 1;
    lab_launch(l);
    lab_connect(l);
    return 0;
}

static void restart(struct lab *l)
{
    lab_launch(l);
    lab_connect(l);
}

/* Attempt no of a step of a workflow; attempts are told apart by no alone. */
static const struct lab_attempt *run(struct lab *l, uint32_t no,
                                     uint8_t workflow, uint32_t step,
                                     const struct runbook_hash *hash)
{
    struct exec_message m = lab_start_message(l, no, "a.yaml", hash);
    m.start.key.workflow_id.bytes[15] = workflow;
    m.start.key.step_no = step;
    lab_send(l, &m);
    return lab_wait_ended(l, no);
}

static void expect(const struct lab_attempt *a, enum attempt_state state)
{
    if (a->row.state != state) {
        fail_msg("%s: %s", attempt_state_name(a->row.state), a->error);
    }
    if (state == ATTEMPT_REFUSED) {
        assert_non_null(strstr(a->error, "was withdrawn"));
    }
}

/* Another version takes its place, longer ago than one may wait. */
static void withdraw(struct lab *l)
{
    struct runbook_hash next = lab_write(l, "a.yaml", other_text);
    assert_string_equal(lab_pin(l, "a.yaml", &next), "");
    uint64_t now_ms = os_epoch_ms();
    while (os_epoch_ms() < now_ms + 10) {
        (void)usleep(1000);
    }
}

static void a_workflow_ends_with_what_it_began(void **state)
{
    struct lab *l = *state;
    struct runbook_hash hash = lab_write(l, "a.yaml", two_steps);
    expect(run(l, 1, 'a', 0, &hash), ATTEMPT_SUCCEEDED);
    withdraw(l);
    expect(run(l, 2, 'b', 0, &hash), ATTEMPT_REFUSED);
    expect(run(l, 3, 'a', 1, &hash), ATTEMPT_SUCCEEDED);
    expect(run(l, 4, 'a', 0, &hash), ATTEMPT_REFUSED); /* it was over */
}

static void other_values_are_another_workflow(void **state)
{
    struct lab *l = *state;
    struct runbook_hash hash = lab_write(l, "a.yaml", two_steps);
    expect(run(l, 1, 'a', 0, &hash), ATTEMPT_SUCCEEDED);
    withdraw(l);
    struct exec_message m = lab_start_message(l, 2, "a.yaml", &hash);
    m.start.key.workflow_id.bytes[15] = 'a';
    m.start.parameters = STR("{\"n\":1}");
    lab_send(l, &m);
    expect(lab_wait_ended(l, 2), ATTEMPT_REFUSED);
}

static void what_began_is_known_to_the_next_life(void **state)
{
    struct lab *l = *state;
    struct runbook_hash hash = lab_write(l, "a.yaml", two_steps);
    expect(run(l, 1, 'a', 0, &hash), ATTEMPT_SUCCEEDED);
    expect(run(l, 2, 'b', 0, &hash), ATTEMPT_SUCCEEDED);
    expect(run(l, 3, 'b', 1, &hash), ATTEMPT_SUCCEEDED);
    withdraw(l);
    for (uint32_t i = 0; i < 2; i++) {
        if (i == 0) {
            lab_stop(l);
        } else {
            lab_kill(l);
        }
        restart(l);
        expect(run(l, 10 + i, 'a', 0, &hash), ATTEMPT_SUCCEEDED);
        expect(run(l, 20 + i, 'b', 0, &hash), ATTEMPT_REFUSED);
        expect(run(l, 30 + i, 'c', 0, &hash), ATTEMPT_REFUSED);
    }
}

static void a_step_that_failed_may_be_tried_again(void **state)
{
    struct lab *l = *state;
    struct runbook_hash hash =
        lab_write_step(l, "a.yaml", "test -e /nowhere", "");
    assert_int_equal(run(l, 1, 'a', 0, &hash)->row.state, ATTEMPT_FAILED);
    withdraw(l);
    assert_int_equal(run(l, 2, 'a', 0, &hash)->row.state, ATTEMPT_FAILED);
}

/* ---- what waits for its turn --------------------------------------------- */

static void make_old(const struct lab *l, unsigned expected)
{
    char path[128];
    const struct timespec old[2] = {{.tv_sec = time(NULL) - 7200},
                                    {.tv_sec = time(NULL) - 7200}};
    unsigned count = 0;
    (void)snprintf(path, sizeof(path), "%s/runbooks", l->spool);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (struct dirent *d = readdir(dir); d != NULL; d = readdir(dir)) {
        if (strstr(d->d_name, ".gone") != NULL) {
            assert_int_equal(utimensat(dirfd(dir), d->d_name, old, 0), 0);
            count++;
        }
    }
    (void)closedir(dir);
    assert_int_equal(count, expected);
}

static void what_waited_may_begin_for_an_hour(void **state)
{
    struct lab *l = *state;
    lab_stop(l);
    l->options.withdrawn_ms = 0;
    restart(l);
    struct runbook_hash hash = lab_write(l, "a.yaml", two_steps);
    assert_string_equal(lab_pin(l, "a.yaml", &hash), "");
    withdraw(l);
    expect(run(l, 1, 'a', 0, &hash), ATTEMPT_SUCCEEDED);
    make_old(l, 1);
    lab_stop(l); /* it looks again after a minute at the latest */
    restart(l);
    (void)lab_write(l, "a.yaml", two_steps + 1); /* another edit: no excuse */
    expect(run(l, 2, 'b', 0, &hash), ATTEMPT_REFUSED);
    expect(run(l, 3, 'a', 0, &hash), ATTEMPT_SUCCEEDED);
    lab_stop(l);
    (void)lab_write(l, "a.yaml", two_steps);
    restart(l);
    expect(run(l, 4, 'b', 0, &hash), ATTEMPT_SUCCEEDED); /* it is back */
    make_old(l, 0);
}

/* An engine that never pins the next version decides nothing by that. */
static void nobody_needs_to_have_noticed(void **state)
{
    struct lab *l = *state;
    static const char path[] = "folder/a.yaml";
    char full[160];
    (void)snprintf(full, sizeof(full), "%s/folder", l->repository);
    assert_int_equal(mkdir(full, 0755), 0);
    struct runbook_hash hash = lab_write(l, path, two_steps);
    assert_string_equal(lab_pin(l, path, &hash), "");
    (void)snprintf(full, sizeof(full), "%s/%s", l->repository, path);
    assert_int_equal(unlink(full), 0);
    uint64_t now_ms = os_epoch_ms();
    while (os_epoch_ms() < now_ms + 10) {
        (void)usleep(1000);
    }
    struct exec_message m = lab_start_message(l, 1, path, &hash);
    lab_send(l, &m);
    expect(lab_wait_ended(l, 1), ATTEMPT_REFUSED);
}

static unsigned count_gone(const struct lab *l)
{
    char path[128];
    unsigned count = 0;
    (void)snprintf(path, sizeof(path), "%s/runbooks", l->spool);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (struct dirent *d = readdir(dir); d != NULL; d = readdir(dir)) {
        count += strstr(d->d_name, ".gone") != NULL ? 1 : 0;
    }
    (void)closedir(dir);
    return count;
}

static void remove_file(const struct lab *l, const char *path)
{
    char full[160];
    (void)snprintf(full, sizeof(full), "%s/%s", l->repository, path);
    assert_int_equal(unlink(full), 0);
}

/* An engine that keeps silent and waits for any other change in the folder
 * finds that it was noticed when the file went. */
static void what_goes_is_missed_at_once(void **state)
{
    struct lab *l = *state;
    lab_stop(l);
    l->options.withdrawn_ms = 0;
    restart(l);
    struct runbook_hash hash = lab_write(l, "a.yaml", two_steps);
    struct runbook_hash other = lab_write(l, "b.yaml", other_text);
    assert_string_equal(lab_pin(l, "a.yaml", &hash), "");
    assert_string_equal(lab_pin(l, "b.yaml", &other), "");
    remove_file(l, "a.yaml");
    while (count_gone(l) == 0) {
        /* Asking for anything is enough. */
        assert_string_equal(lab_pin(l, "b.yaml", &other), "");
        (void)usleep(10000);
    }
    make_old(l, 1);
    remove_file(l, "b.yaml");
    expect(run(l, 1, 'a', 0, &hash), ATTEMPT_REFUSED);
}

/* Nor does it need to be asked, or the file to be missing. */
static void it_looks_by_itself(void **state)
{
    struct lab *l = *state;
    lab_stop(l);
    l->options.look_ms = 10;
    restart(l);
    struct runbook_hash hash = lab_write(l, "a.yaml", two_steps);
    assert_string_equal(lab_pin(l, "a.yaml", &hash), "");
    (void)lab_write(l, "a.yaml", other_text);
    while (count_gone(l) == 0) {
        (void)usleep(10000);
    }
    /* It is back when it is read again. */
    (void)lab_write(l, "a.yaml", two_steps);
    assert_string_equal(lab_pin(l, "a.yaml", &hash), "");
    assert_int_equal(count_gone(l), 0);
    expect(run(l, 1, 'a', 0, &hash), ATTEMPT_SUCCEEDED);
}

/* ---- the file -------------------------------------------------------------
 */

struct entry {
    struct id workflow;
    struct runbook_hash what;
    uint64_t used_ms;
    uint64_t check;
};

static void add_entries(const struct lab *l, uint32_t count, uint64_t used_ms)
{
    char path[128];
    struct strbuf text = STRBUF_INIT(4UL * 1024 * 1024);
    for (uint32_t i = 0; i < count; i++) {
        struct entry e = {.used_ms = used_ms};
        memcpy(e.workflow.bytes, &i, sizeof(i));
        e.check =
            str_hash(str_n((const char *)&e, offsetof(struct entry, check)),
                     STR_HASH_SEED);
        strbuf_add(&text, str_n((const char *)&e, sizeof(e)));
    }
    strbuf_addc(&text, "a part of one");
    assert_int_equal(strbuf_error(&text), 0);
    (void)snprintf(path, sizeof(path), "%s/workflows", l->spool);
    int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(os_write_all(fd, strbuf_str(&text)), 0);
    os_close(fd);
    strbuf_deinit(&text);
}

static off_t file_size(const struct lab *l)
{
    char path[128];
    struct stat st;
    (void)snprintf(path, sizeof(path), "%s/workflows", l->spool);
    assert_int_equal(stat(path, &st), 0);
    return st.st_size;
}

/* BOUND_MAX: the oldest gives way. */
static void the_list_is_bounded(void **state)
{
    struct lab *l = *state;
    struct runbook_hash hash = lab_write(l, "a.yaml", two_steps);
    expect(run(l, 1, 'a', 0, &hash), ATTEMPT_SUCCEEDED);
    withdraw(l);
    lab_stop(l);
    add_entries(l, 32767, os_epoch_ms());
    restart(l);
    assert_int_equal(file_size(l), 32768 * 64);
    expect(run(l, 2, 'a', 0, &hash), ATTEMPT_SUCCEEDED);
    lab_stop(l);
    add_entries(l, 32768, os_epoch_ms());
    restart(l);
    assert_int_equal(file_size(l), 32768 * 64);
    expect(run(l, 3, 'a', 0, &hash), ATTEMPT_REFUSED);
}

static void what_is_old_or_damaged_is_dropped(void **state)
{
    struct lab *l = *state;
    struct runbook_hash hash = lab_write(l, "a.yaml", two_steps);
    char path[128];
    expect(run(l, 1, 'a', 0, &hash), ATTEMPT_SUCCEEDED);
    withdraw(l);
    lab_stop(l);
    add_entries(l, 10, os_epoch_ms() - 9ULL * 86400 * 1000);
    restart(l);
    assert_int_equal(file_size(l), 64);
    expect(run(l, 2, 'a', 0, &hash), ATTEMPT_SUCCEEDED);
    lab_stop(l);
    (void)snprintf(path, sizeof(path), "%s/workflows", l->spool);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "x", 1, 20), 1);
    os_close(fd);
    restart(l);
    assert_int_equal(file_size(l), 0);
    expect(run(l, 3, 'a', 0, &hash), ATTEMPT_REFUSED);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, lab_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_workflow_ends_with_what_it_began),
        CASE(other_values_are_another_workflow),
        CASE(what_began_is_known_to_the_next_life),
        CASE(a_step_that_failed_may_be_tried_again),
        CASE(what_waited_may_begin_for_an_hour),
        CASE(nobody_needs_to_have_noticed),
        CASE(what_goes_is_missed_at_once),
        CASE(it_looks_by_itself),
        CASE(the_list_is_bounded),
        CASE(what_is_old_or_damaged_is_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
