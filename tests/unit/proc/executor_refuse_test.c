#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/prng.h"
#include "base/strbuf.h"
#include "model/runbook_load.h"
#include "os/kill_switch.h"
#include "tests/unit/proc/executor_lab.h"

#define PARAMETERS                                                             \
    "name: t\n"                                                                \
    "parameters:\n"                                                            \
    "  service: {type: string, required: true, pattern: '[a-z]+'}\n"           \
    "  count: {type: integer, default: 1}\n"                                   \
    "steps:\n"                                                                 \
    "  - name: s\n"                                                            \
    "    action: exec\n"                                                       \
    "    command: echo \"$ADP_PARAM_SERVICE $ADP_PARAM_COUNT\"\n"

static void expect_refused(struct lab *l, const struct exec_message *m,
                           const char *why)
{
    lab_send(l, m);
    const struct lab_attempt *a = lab_wait_ended(l, m->start.key.attempt);
    assert_int_equal(a->row.state, ATTEMPT_REFUSED);
    assert_int_equal(a->started, 0);
    assert_int_equal(a->row.pid, 0);
    assert_int_equal(a->row.exit_code, -1);
    assert_string_not_equal(a->error, "");
    if (strstr(a->error, why) == NULL) {
        fail_msg("'%s' does not say '%s'", a->error, why);
    }
}

static void another_version_is_refused(void **state)
{
    struct lab *l = *state;
    struct runbook_hash hash = lab_write_step(l, "a.yaml", "exit 0", "");
    hash.bytes[31] ^= 1;
    struct exec_message m = lab_start_message(l, 1, "a.yaml", &hash);
    expect_refused(l, &m, "not the version");
    assert_string_not_equal(lab_pin(l, "a.yaml", &hash), "");
}

static void expect_deferred(struct lab *l, const struct exec_message *m,
                            const char *why)
{
    unsigned before = l->deferred;
    lab_send(l, m);
    while (l->deferred == before) {
        lab_take(l);
    }
    assert_string_equal(l->deferred_why, why);
    const struct lab_attempt *a = lab_attempt(l, m->start.key.attempt);
    assert_int_equal(a->started + a->ended, 0);
}

/* Whoever asks; what runs already goes on. Nothing is kept of what did not
 * begin: it begins when it is asked for again. */
static void nothing_begins_while_the_kill_switch_is_on(void **state)
{
    struct lab *l = *state;
    struct err err = ERR_INIT;
    char path[160];
    (void)snprintf(path, sizeof(path), "%s/switch", l->folder);
    lab_stop(l);
    l->options.kill_switches[EXECUTOR_SWITCH_NOW] = path;
    lab_launch(l);
    lab_connect(l);
    lab_begin(l, 1, "echo up; sleep 0.2; echo done");
    lab_wait_output(l, 1, "up");
    assert_int_equal(kill_switch_set(path, STR("a storm"), &err), 0);
    struct runbook_hash hash = lab_write_step(l, "a.yaml", "exit 0", "");
    struct exec_message m = lab_start_message(l, 2, "a.yaml", &hash);
    expect_deferred(l, &m, "the kill switch is on: a storm");
    expect_deferred(l, &m, "the kill switch is on: a storm");
    lab_start_again(l, 1); /* asked about, not begun */
    assert_int_equal(lab_wait_ended(l, 1)->row.state, ATTEMPT_SUCCEEDED);
    assert_int_equal(kill_switch_clear(path, NULL, &err), 0);
    lab_send(l, &m);
    assert_int_equal(lab_wait_ended(l, 2)->row.state, ATTEMPT_SUCCEEDED);
}

static int move_switch(void *context, struct executor_options *ret)
{
    struct lab *l = context;
    *ret = l->options;
    ret->kill_switches[EXECUTOR_SWITCH_NOW] = l->moved_switch;
    return 0;
}

/* Root's, the one of this life's first configuration and that of the newest:
 * each of them is enough. */
static void it_looks_at_every_place_of_its_life(void **state)
{
    struct lab *l = *state;
    struct err err = ERR_INIT;
    char paths[EXECUTOR_SWITCHES][160];
    static const char *const names[] = {"root", "now", "first"};
    for (size_t i = 0; i < EXECUTOR_SWITCHES; i++) {
        (void)snprintf(paths[i], sizeof(paths[i]), "%s/%s", l->folder,
                       names[i]);
    }
    lab_stop(l);
    l->moved_switch = paths[EXECUTOR_SWITCH_NOW];
    l->options.kill_switches[EXECUTOR_SWITCH_ROOT] = paths[0];
    l->options.kill_switches[EXECUTOR_SWITCH_NOW] =
        paths[EXECUTOR_SWITCH_FIRST];
    l->options.kill_switches[EXECUTOR_SWITCH_FIRST] =
        paths[EXECUTOR_SWITCH_FIRST];
    l->options.refresh = move_switch;
    l->options.context = l;
    lab_launch(l);
    lab_connect(l);
    struct runbook_hash hash = lab_write_step(l, "a.yaml", "exit 0", "");
    struct exec_message m = lab_start_message(l, 1, "a.yaml", &hash);
    for (size_t i = 0; i < EXECUTOR_SWITCHES; i++) {
        assert_int_equal(kill_switch_set(paths[i], str_c(names[i]), &err), 0);
        char why[64];
        (void)snprintf(why, sizeof(why), "the kill switch is on: %s", names[i]);
        expect_deferred(l, &m, why);
        assert_int_equal(kill_switch_clear(paths[i], NULL, &err), 0);
    }
    lab_send(l, &m);
    assert_int_equal(lab_wait_ended(l, 1)->row.state, ATTEMPT_SUCCEEDED);
}

static void a_file_that_is_not_there_is_refused(void **state)
{
    struct lab *l = *state;
    struct runbook_hash hash = {{1}};
    struct exec_message m = lab_start_message(l, 1, "none.yaml", &hash);
    expect_refused(l, &m, "no such file");
    assert_string_not_equal(lab_pin(l, "none.yaml", &hash), "");
}

/* The right hash of the right text, in the wrong place. */
static void a_link_out_of_the_repository_is_refused(void **state)
{
    struct lab *l = *state;
    char outside[160];
    char link[160];
    struct runbook_hash hash =
        lab_write_step(l, "../outside.yaml", "exit 0", "");
    (void)snprintf(outside, sizeof(outside), "%s/outside.yaml", l->folder);
    (void)snprintf(link, sizeof(link), "%s/link.yaml", l->repository);
    assert_int_equal(symlink(outside, link), 0);
    struct exec_message m = lab_start_message(l, 1, "link.yaml", &hash);
    expect_refused(l, &m, "");
    m = lab_start_message(l, 2, "../outside.yaml", &hash);
    expect_refused(l, &m, "");
    assert_string_not_equal(lab_pin(l, "../outside.yaml", &hash), "");
}

static void a_runbook_that_does_not_load_is_refused(void **state)
{
    struct lab *l = *state;
    struct runbook_hash hash = lab_write(l, "a.yaml", "name: [\n");
    struct exec_message m = lab_start_message(l, 1, "a.yaml", &hash);
    expect_refused(l, &m, "does not load");
}

static void a_step_that_it_does_not_have_is_refused(void **state)
{
    struct lab *l = *state;
    struct runbook_hash hash = lab_write_step(l, "a.yaml", "exit 0", "");
    struct exec_message m = lab_start_message(l, 1, "a.yaml", &hash);
    m.start.key.step_no = 1;
    expect_refused(l, &m, "1 steps");
    m.start.key.attempt = 2;
    m.start.key.step_no = 99;
    expect_refused(l, &m, "1 steps");
}

static void values_are_checked_again(void **state)
{
    static const struct {
        const char *json;
        const char *why;
    } cases[] = {
        {"{}", "required"},
        {"{\"service\":\"nginx\",\"command\":\"x\"}", "command"},
        {"{\"service\":\"NGINX\"}", "pattern"},
        {"{\"service\":\"nginx\\nid\"}", ""},
        {"{\"service\":\"-rf\"}", ""},
        {"{\"service\":1}", ""},
        {"{\"service\":[\"a\"]}", ""},
        {"{\"service\":\"nginx\",\"count\":\"many\"}", ""},
        {"{\"service\":\"nginx\",\"service\":\"b\"}", ""},
        {"[]", ""},
        {"", ""},
        {"{\"service\":\"nginx\"} x", ""},
        {"{\"service\":\"ngi\\u0000nx\"}", ""},
    };
    struct lab *l = *state;
    struct runbook_hash hash = lab_write(l, "p.yaml", PARAMETERS);
    for (uint32_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct exec_message m = lab_start_message(l, i + 1, "p.yaml", &hash);
        m.start.parameters = str_c(cases[i].json);
        expect_refused(l, &m, cases[i].why);
    }
    struct exec_message good = lab_start_message(l, 100, "p.yaml", &hash);
    good.start.parameters = STR("{\"service\":\"nginx\",\"count\":7}");
    lab_send(l, &good);
    assert_string_equal(lab_wait_ended(l, 100)->out.at, "nginx 7\n");
}

static void more_than_may_run_is_refused(void **state)
{
    struct lab *l = *state;
    lab_stop(l);
    l->options.max_running = 2;
    lab_launch(l);
    lab_connect(l);
    lab_begin(l, 1, "echo up; sleep 1000");
    lab_begin(l, 2, "echo up; sleep 1000");
    lab_wait_output(l, 1, "up");
    lab_wait_output(l, 2, "up");
    struct runbook_hash hash = lab_write_step(l, "a.yaml", "exit 0", "");
    struct exec_message m = lab_start_message(l, 3, "a.yaml", &hash);
    expect_refused(l, &m, "max_running");
    lab_stop_attempt(l, 1, true, 0);
    (void)lab_wait_ended(l, 1);
    lab_start(l, 4, "a.yaml", &hash);
    assert_int_equal(lab_wait_ended(l, 4)->row.state, ATTEMPT_SUCCEEDED);
}

/* ---- versions ---------------------------------------------------------------
 */

static void a_pinned_version_runs_whatever_becomes_of_the_file(void **state)
{
    struct lab *l = *state;
    char path[160];
    (void)snprintf(path, sizeof(path), "%s/a.yaml", l->repository);
    struct runbook_hash first = lab_write_step(l, "a.yaml", "echo first", "");
    assert_string_equal(lab_pin(l, "a.yaml", &first), "");
    struct runbook_hash second = lab_write_step(l, "a.yaml", "echo second", "");
    lab_start(l, 1, "a.yaml", &first);
    assert_string_equal(lab_wait_ended(l, 1)->out.at, "first\n");
    lab_start(l, 2, "a.yaml", &second);
    assert_string_equal(lab_wait_ended(l, 2)->out.at, "second\n");
    assert_int_equal(unlink(path), 0);
    lab_stop(l);
    lab_launch(l);
    lab_connect(l);
    lab_start(l, 3, "a.yaml", &first);
    assert_string_equal(lab_wait_ended(l, 3)->out.at, "first\n");
}

/* Where the executor keeps its copy of a version, from the repository. */
static void copy_path(const char *path, const struct runbook_hash *hash,
                      char out[128])
{
    struct strbuf both = STRBUF_INIT(512);
    strbuf_addf(&both, "%s/", path);
    strbuf_add(&both, str_n((const char *)hash->bytes, sizeof(hash->bytes)));
    struct runbook_hash name = runbook_hash_of(strbuf_str(&both));
    strbuf_deinit(&both);
    int len = snprintf(out, 128, "../spool/runbooks/");
    for (size_t i = 0; i < sizeof(name.bytes); i++) {
        len += snprintf(out + len, 128 - (size_t)len, "%02x", name.bytes[i]);
    }
    (void)snprintf(out + len, 128 - (size_t)len, ".root");
}

/* Our copies are as good as their hash. */
static void a_copy_that_was_changed_does_not_run(void **state)
{
    struct lab *l = *state;
    char path[256];
    char copy[128];
    (void)snprintf(path, sizeof(path), "%s/a.yaml", l->repository);
    struct runbook_hash hash = lab_write_step(l, "a.yaml", "echo mine", "");
    assert_string_equal(lab_pin(l, "a.yaml", &hash), "");
    assert_int_equal(unlink(path), 0);
    copy_path("a.yaml", &hash, copy);
    (void)snprintf(path, sizeof(path), "%s/%s", l->repository, copy);
    assert_int_equal(access(path, F_OK), 0);
    (void)lab_write_step(l, copy, "echo theirs", "");
    struct exec_message m = lab_start_message(l, 1, "a.yaml", &hash);
    expect_refused(l, &m, "no such file");
}

/* What was taken back long ago is not a runbook any more; every START of it
 * while the repository has it makes it young again. */
static void a_version_that_was_withdrawn_long_ago_is_refused(void **state)
{
    struct lab *l = *state;
    const struct timespec old[2] = {{.tv_sec = time(NULL) - 9 * 86400},
                                    {.tv_sec = time(NULL) - 9 * 86400}};
    char copy[128];
    char path[256];
    struct runbook_hash first = lab_write_step(l, "a.yaml", "echo first", "");
    copy_path("a.yaml", &first, copy);
    (void)snprintf(path, sizeof(path), "%s/%s", l->repository, copy);
    assert_string_equal(lab_pin(l, "a.yaml", &first), "");
    assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
    lab_start(l, 1, "a.yaml", &first);
    assert_string_equal(lab_wait_ended(l, 1)->out.at, "first\n");
    lab_stop(l);
    (void)lab_write_step(l, "a.yaml", "echo second", "");
    lab_launch(l);
    lab_connect(l);
    lab_start(l, 2, "a.yaml", &first);
    assert_string_equal(lab_wait_ended(l, 2)->out.at, "first\n");
    lab_stop(l);
    lab_launch(l);
    lab_connect(l);
    assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
    struct exec_message m = lab_start_message(l, 3, "a.yaml", &first);
    expect_refused(l, &m, "not the version");
}

/* Who may run as whom depends on the path, so a text has one path. */
static void a_text_is_not_to_be_had_under_another_path(void **state)
{
    struct lab *l = *state;
    (void)lab_write_step(l, "good.yaml", "echo good", "");
    struct runbook_hash other = lab_write_step(l, "other.yaml", "echo bad", "");
    assert_string_equal(lab_pin(l, "other.yaml", &other), "");
    assert_string_not_equal(lab_pin(l, "good.yaml", &other), "");
    lab_start(l, 1, "other.yaml", &other);
    assert_string_equal(lab_wait_ended(l, 1)->out.at, "bad\n");
    struct exec_message m = lab_start_message(l, 2, "good.yaml", &other);
    expect_refused(l, &m, "not the version");
}

/* ---- users ------------------------------------------------------------------
 */

static void a_user_that_is_not_allowed_is_refused(void **state)
{
    struct lab *l = *state;
    struct runbook_hash hash =
        lab_write_step(l, "a.yaml", "id -un", "    run_as: nobody\n");
    struct exec_message m = lab_start_message(l, 1, "a.yaml", &hash);
    expect_refused(l, &m, "run_as_allowed");
}

static void an_unknown_user_is_refused(void **state)
{
    static const struct executor_run_as allowed[] = {{"no-such-user", NULL},
                                                     {NULL, NULL}};
    struct lab *l = *state;
    lab_stop(l);
    l->options.run_as_allowed = allowed;
    lab_launch(l);
    lab_connect(l);
    struct runbook_hash hash =
        lab_write_step(l, "a.yaml", "id -un", "    run_as: no-such-user\n");
    struct exec_message m = lab_start_message(l, 1, "a.yaml", &hash);
    expect_refused(l, &m, "no such user");
}

/* root is had by the runbooks that the configuration names, by no others. */
static void root_is_for_named_runbooks_only(void **state)
{
    static const char *const globs[] = {"ops/*.yaml", NULL};
    static const struct executor_run_as allowed[] = {{"root", globs},
                                                     {NULL, NULL}};
    static const struct executor_run_as careless[] = {{"root", NULL},
                                                      {NULL, NULL}};
    static const char as_root[] = "    run_as: root\n";
    struct lab *l = *state;
    char folder[160];
    if (geteuid() != 0) {
        skip();
    }
    (void)snprintf(folder, sizeof(folder), "%s/ops", l->repository);
    assert_int_equal(mkdir(folder, 0755), 0);
    (void)snprintf(folder, sizeof(folder), "%s/ops/more", l->repository);
    assert_int_equal(mkdir(folder, 0755), 0);
    lab_stop(l);
    l->options.run_as_allowed = allowed;
    l->options.default_user = "nobody";
    lab_launch(l);
    lab_connect(l);
    struct runbook_hash hash =
        lab_write_step(l, "ops/a.yaml", "id -un", as_root);
    lab_start(l, 1, "ops/a.yaml", &hash);
    assert_string_equal(lab_wait_ended(l, 1)->out.at, "root\n");
    const char *const others[] = {"a.yaml", "ops/more/a.yaml"};
    for (uint32_t i = 0; i < ARRAY_LEN(others); i++) {
        hash = lab_write_step(l, others[i], "id -un", as_root);
        struct exec_message m = lab_start_message(l, 2 + i, others[i], &hash);
        expect_refused(l, &m, "does not permit root");
    }
    lab_stop(l);
    l->options.run_as_allowed = careless;
    lab_launch(l);
    lab_connect(l);
    struct exec_message m = lab_start_message(l, 9, others[1], &hash);
    expect_refused(l, &m, "by name");
}

/* All of it: three identities each, no group of ours, no way back, a folder
 * and outputs that are the user's own. */
static void an_allowed_user_is_really_that_user(void **state)
{
    static const struct executor_run_as allowed[] = {
        {"daemon", NULL}, {"nobody", NULL}, {NULL, NULL}};
    struct lab *l = *state;
    const struct passwd *nobody = getpwnam("nobody");
    if (geteuid() != 0 || nobody == NULL) {
        skip();
    }
    lab_stop(l);
    l->options.run_as_allowed = allowed;
    lab_launch(l);
    lab_connect(l);
    struct runbook_hash hash = lab_write_step(
        l, "a.yaml",
        "grep -E '^(Uid|Gid|Groups|NoNewPrivs|CapEff):' /proc/self/status\n"
        "echo \"$HOME\"; stat -c '%U %a' .; touch mine && echo wrote\n"
        "echo there > /dev/stdout",
        "    run_as: nobody\n");
    lab_start(l, 1, "a.yaml", &hash);
    const struct lab_attempt *a = lab_wait_ended(l, 1);
    unsigned uid = nobody->pw_uid;
    unsigned gid = nobody->pw_gid;
    char expected[512];
    (void)snprintf(expected, sizeof(expected),
                   "Uid:\t%u\t%u\t%u\t%u\nGid:\t%u\t%u\t%u\t%u\n"
                   "Groups:\t%u \nCapEff:\t0000000000000000\nNoNewPrivs:\t1\n"
                   "%s\nnobody 700\nwrote\nthere\n",
                   uid, uid, uid, uid, gid, gid, gid, gid, gid, nobody->pw_dir);
    assert_string_equal(a->err.at, "");
    assert_string_equal(a->out.at, expected);
    /* The next one of ours gets none of its things. */
    a = lab_run(l, 2, "stat -c '%U %a' .; ls -A");
    assert_string_equal(a->out.at, "root 700\n");
}

static void the_default_user_is_used(void **state)
{
    struct lab *l = *state;
    if (geteuid() != 0) {
        skip();
    }
    lab_stop(l);
    l->options.default_user = "nobody";
    lab_launch(l);
    lab_connect(l);
    for (uint32_t i = 1; i < 4; i++) {
        const struct lab_attempt *a = lab_run(l, i, "id -un; touch x; ls -A");
        assert_string_equal(a->out.at, "nobody\nx\n");
    }
}

/* ---- hostile datagrams ------------------------------------------------------
 */

static void expect_hung_up(struct lab *l, struct str bytes)
{
    lab_send_bytes(l, bytes);
    lab_wait_closed(l);
    lab_connect(l);
}

static void noise_ends_the_connection_only(void **state)
{
    static char huge[EXEC_MESSAGE_MAX_BYTES + 1];
    struct lab *l = *state;
    lab_begin(l, 1, "echo up; sleep 0.5; echo done");
    lab_wait_output(l, 1, "up");
    expect_hung_up(l, STR("x"));
    expect_hung_up(l, STR("GET / HTTP/1.1\r\n\r\n"));
    expect_hung_up(l, str_n(huge, sizeof(huge)));
    struct prng p;
    prng_seed(&p, 3);
    for (int i = 0; i < 50; i++) {
        char bytes[64];
        for (size_t k = 0; k < sizeof(bytes); k++) {
            bytes[k] = (char)prng_next(&p);
        }
        expect_hung_up(l, str_n(bytes, 1 + prng_below(&p, sizeof(bytes) - 1)));
    }
    lab_start_again(l, 1);
    assert_string_equal(lab_wait_ended(l, 1)->out.at, "up\ndone\n");
}

/* What only an executor says, a second HELLO, another version, and anything
 * before HELLO. */
static void what_an_engine_does_not_say_ends_it_too(void **state)
{
    struct lab *l = *state;
    const struct exec_message messages[] = {
        {.kind = EXEC_HELLO, .hello = {.version = EXEC_PROTO_VERSION}},
        {.kind = EXEC_WELCOME, .hello = {.version = 1, .executor = l->life}},
        {.kind = EXEC_STARTED,
         .started = {.key = lab_key(1), .pid = 1, .started_ms = 1}},
        {.kind = EXEC_ENDED,
         .ended = {.key = lab_key(1), .state = ATTEMPT_SUCCEEDED}},
    };
    for (size_t i = 0; i < ARRAY_LEN(messages); i++) {
        lab_send(l, &messages[i]);
        lab_wait_closed(l);
        lab_connect(l);
    }
    lab_connect_raw(l);
    struct runbook_hash hash = lab_write_step(l, "a.yaml", "exit 0", "");
    struct exec_message start = lab_start_message(l, 1, "a.yaml", &hash);
    lab_send(l, &start);
    lab_wait_closed(l);
    lab_connect_raw(l);
    const struct exec_message future = {
        .kind = EXEC_HELLO, .hello = {.version = EXEC_PROTO_VERSION + 1}};
    lab_send(l, &future);
    lab_wait_closed(l);
    lab_connect(l);
    assert_int_equal(lab_run(l, 2, "exit 0")->row.state, ATTEMPT_SUCCEEDED);
    assert_int_equal(lab_attempt(l, 1)->ended, 0);
}

#define CASE(name)                                                             \
    cmocka_unit_test_setup_teardown(name, lab_set_up, lab_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(another_version_is_refused),
        CASE(nothing_begins_while_the_kill_switch_is_on),
        CASE(it_looks_at_every_place_of_its_life),
        CASE(a_file_that_is_not_there_is_refused),
        CASE(a_link_out_of_the_repository_is_refused),
        CASE(a_runbook_that_does_not_load_is_refused),
        CASE(a_step_that_it_does_not_have_is_refused),
        CASE(values_are_checked_again),
        CASE(more_than_may_run_is_refused),
        CASE(a_pinned_version_runs_whatever_becomes_of_the_file),
        CASE(a_copy_that_was_changed_does_not_run),
        CASE(a_version_that_was_withdrawn_long_ago_is_refused),
        CASE(a_text_is_not_to_be_had_under_another_path),
        CASE(a_user_that_is_not_allowed_is_refused),
        CASE(an_unknown_user_is_refused),
        CASE(root_is_for_named_runbooks_only),
        CASE(an_allowed_user_is_really_that_user),
        CASE(the_default_user_is_used),
        CASE(noise_ends_the_connection_only),
        CASE(what_an_engine_does_not_say_ends_it_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
