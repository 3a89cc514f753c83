/* What becomes of a step: outcomes, output, and the surroundings it finds. */
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

static unsigned entries(const char *folder)
{
    unsigned count = 0;
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (const struct dirent *d = readdir(dir); d != NULL; d = readdir(dir)) {
        count += d->d_name[0] != '.' ? 1 : 0;
    }
    (void)closedir(dir);
    return count;
}

/* What is in the folders of the steps, which themselves may stay. */
static unsigned entries_of_steps(const struct lab *l)
{
    unsigned count = 0;
    DIR *dir = opendir(l->work);
    assert_non_null(dir);
    for (const struct dirent *d = readdir(dir); d != NULL; d = readdir(dir)) {
        char path[512];
        if (d->d_name[0] != '.') {
            (void)snprintf(path, sizeof(path), "%s/%s", l->work, d->d_name);
            count += entries(path);
        }
    }
    (void)closedir(dir);
    return count;
}

static void expect_exit(struct lab *l, uint32_t no, const char *command,
                        int code)
{
    const struct lab_attempt *a = lab_run(l, no, command);
    assert_int_equal(a->started, 1);
    assert_int_equal(a->ended, 1);
    assert_int_equal(a->row.state,
                     code == 0 ? ATTEMPT_SUCCEEDED : ATTEMPT_FAILED);
    assert_int_equal(a->row.exit_code, code);
    assert_int_equal(a->row.term_signal, 0);
    assert_string_equal(a->error, "");
}

/* ---- outcomes
 * ------------------------------------------------------------------ */

static void exit_codes_come_through(void **state)
{
    struct lab *l = *state;
    static const int codes[] = {0, 1, 2, 126, 127, 128, 137, 255};
    for (uint32_t i = 0; i < ARRAY_LEN(codes); i++) {
        char command[32];
        (void)snprintf(command, sizeof(command), "exit %d", codes[i]);
        expect_exit(l, i + 1, command, codes[i]);
    }
}

static void the_row_tells_all(void **state)
{
    struct lab *l = *state;
    const struct lab_attempt *a = lab_run(l, 1, "echo hello; exit 3");
    assert_true(id_eq(a->row.executor, l->life));
    assert_int_equal(a->row.pid, a->pid);
    assert_true(a->row.started_ms > 0);
    assert_true(a->row.finished_ms >= a->row.started_ms);
    assert_int_equal(a->row.output_bytes, 6);
    assert_false(a->row.output_truncated);
    assert_int_equal(a->row.survivors, 0);
}

static void signals_come_through(void **state)
{
    struct lab *l = *state;
    static const int signals[] = {SIGTERM, SIGKILL, SIGSEGV, SIGUSR1, SIGPIPE};
    for (uint32_t i = 0; i < ARRAY_LEN(signals); i++) {
        char command[32];
        (void)snprintf(command, sizeof(command), "kill -%d $$", signals[i]);
        const struct lab_attempt *a = lab_run(l, i + 1, command);
        assert_int_equal(a->row.state, ATTEMPT_FAILED);
        assert_int_equal(a->row.exit_code, -1);
        assert_int_equal(a->row.term_signal, signals[i]);
    }
}

static void a_program_that_is_missing_is_refused(void **state)
{
    struct lab *l = *state;
    struct runbook_hash hash =
        lab_write(l, "argv.yaml",
                  "name: argv\nsteps:\n  - name: s\n    action: exec\n"
                  "    argv: [/no/such/program, x]\n");
    lab_start(l, 1, "argv.yaml", &hash);
    const struct lab_attempt *a = lab_wait_ended(l, 1);
    assert_int_equal(a->row.state, ATTEMPT_REFUSED);
    assert_non_null(strstr(a->error, "No such file"));
}

/* What an expression quotes in its error is no place for a secret. */
static void an_expression_that_fails_is_refused_without_secrets(void **state)
{
    struct lab *l = *state;
    struct runbook_hash hash = lab_write(
        l, "expr.yaml",
        "name: expr\nparameters:\n  t: {type: string, secret: true, required: "
        "true}\nsteps:\n  - name: s\n    command: 'true'\n"
        "    env: {V: \"${{ string(timestamp(parameters.t)) }}\"}\n");
    struct exec_message m = lab_start_message(l, 1, "expr.yaml", &hash);
    m.start.parameters = STR("{\"t\":\"canary-value\"}");
    lab_send(l, &m);
    const struct lab_attempt *a = lab_wait_ended(l, 1);
    assert_int_equal(a->row.state, ATTEMPT_REFUSED);
    assert_non_null(strstr(a->error, "env V: "));
    assert_non_null(strstr(a->error, "has no value: "));
    assert_null(strstr(a->error, "canary"));
}

static struct lab_attempt *run_text(struct lab *l, uint32_t no,
                                    const char *text, const char *parameters)
{
    char path[32];
    (void)snprintf(path, sizeof(path), "outputs%u.yaml", no);
    struct runbook_hash hash = lab_write(l, path, text);
    struct exec_message m = lab_start_message(l, no, path, &hash);
    m.start.parameters = str_c(parameters);
    lab_send(l, &m);
    return lab_wait_ended(l, no);
}

static void outputs_come_with_the_end(void **state)
{
    struct lab *l = *state;
    const struct lab_attempt *a =
        run_text(l, 1,
                 "name: o\nsteps:\n  - name: s\n    id: s\n"
                 "    command: 'echo 41; echo oh >&2'\n"
                 "    outputs: {n: int(stdout.trim()) + 1, e: stderr}\n",
                 "{}");
    assert_int_equal(a->row.state, ATTEMPT_SUCCEEDED);
    assert_string_equal(a->outputs, "{\"n\":42,\"e\":\"oh\\n\"}");
    a = run_text(l, 2,
                 "name: o\nsteps:\n  - name: s\n    id: s\n"
                 "    command: 'echo x'\n"
                 "    outputs: {n: int(stdout)}\n",
                 "{}");
    assert_int_equal(a->row.state, ATTEMPT_FAILED);
    assert_non_null(strstr(a->error, "output 'n': int(stdout) has no value"));
    assert_string_equal(a->outputs, "");
    /* One that has failed tells what it can. */
    a = run_text(l, 3,
                 "name: o\nsteps:\n  - name: s\n    id: s\n"
                 "    command: 'echo x; exit 3'\n"
                 "    outputs: {n: int(stdout), c: exit_code}\n",
                 "{}");
    assert_int_equal(a->row.state, ATTEMPT_FAILED);
    assert_string_equal(a->outputs, "{\"c\":3}");
    /* Secrets are taken out, also of what JSON has made of them. */
    a = run_text(l, 4,
                 "name: o\nparameters:\n"
                 "  t: {type: string, secret: true, required: true}\n"
                 "steps:\n  - name: s\n    id: s\n"
                 "    command: 'echo \"{\\\"a\\\": \\\"$ADP_PARAM_T\\\"}\"'\n"
                 "    outputs: {o: json.a, s: stdout}\n",
                 "{\"t\":\"canary-value\"}");
    assert_int_equal(a->row.state, ATTEMPT_SUCCEEDED);
    assert_string_equal(a->outputs, "{\"o\":\"***\",\"s\":\"{\\\"a\\\": "
                                    "\\\"***\\\"}\\n\"}");
}

/* Only the beginning of what a step writes is kept for its outputs. */
static void outputs_see_the_beginning_of_much(void **state)
{
    struct lab *l = *state;
    const struct lab_attempt *a = run_text(
        l, 1,
        "name: o\nsteps:\n  - name: s\n    id: s\n"
        "    command: 'printf {; head -c 200000 /dev/zero | tr \"\\0\" a'\n"
        "    outputs: {n: size(stdout)}\n",
        "{}");
    assert_string_equal(a->outputs, "{\"n\":65536}");
    a = run_text(
        l, 2,
        "name: o\nsteps:\n  - name: s\n    id: s\n"
        "    command: 'printf \"[\\\"\"; head -c 200000 /dev/zero | tr "
        "\"\\0\" a'\n"
        "    outputs: {n: \"json[0]\"}\n",
        "{}");
    if (strstr(a->error, "only its beginning was kept") == NULL) {
        fail_msg("%s", a->error);
    }
}

static void nothing_stays_in_the_folder(void **state)
{
    struct lab *l = *state;
    expect_exit(l, 1,
                "mkdir -p a/b; echo x > a/b/c; ln -s /etc d; mkfifo e; "
                "mkdir locked; touch locked/f; chmod 0 locked",
                0);
    assert_int_equal(entries_of_steps(l), 0);
    assert_int_equal(access("/etc/passwd", F_OK), 0);
}

static void many_at_once(void **state)
{
    enum { COUNT = 200 };
    struct lab *l = *state;
    struct runbook_hash hash = lab_write(
        l, "true.yaml",
        "name: t\nsteps:\n  - {name: s, action: exec, argv: [/bin/true]}\n");
    for (uint32_t i = 1; i <= COUNT; i++) {
        lab_start(l, i, "true.yaml", &hash);
    }
    for (uint32_t i = 1; i <= COUNT; i++) {
        const struct lab_attempt *a = lab_wait_ended(l, i);
        assert_int_equal(a->ended, 1);
        assert_int_equal(a->row.state, ATTEMPT_SUCCEEDED);
    }
    assert_int_equal(entries_of_steps(l), 0);
}

/* All live at the same time: each waits for a file that comes last. */
static void many_side_by_side(void **state)
{
    enum { COUNT = 60 };
    struct lab *l = *state;
    char command[256];
    (void)snprintf(command, sizeof(command),
                   "echo ready; while ! test -e %s/go; do sleep 0.05; done",
                   l->folder);
    struct runbook_hash hash = lab_write_step(l, "wait.yaml", command, "");
    for (uint32_t i = 1; i <= COUNT; i++) {
        lab_start(l, i, "wait.yaml", &hash);
    }
    for (uint32_t i = 1; i <= COUNT; i++) {
        lab_wait_output(l, i, "ready");
    }
    char go[128];
    (void)snprintf(go, sizeof(go), "%s/go", l->folder);
    (void)fclose(fopen(go, "w"));
    for (uint32_t i = 1; i <= COUNT; i++) {
        assert_int_equal(lab_wait_ended(l, i)->row.state, ATTEMPT_SUCCEEDED);
    }
}

/* ---- output
 * ------------------------------------------------------------------------ */

static void output_streams_are_apart(void **state)
{
    struct lab *l = *state;
    const struct lab_attempt *a =
        lab_run(l, 1, "echo out; echo err >&2; printf 'no newline'");
    assert_string_equal(a->out.at, "out\nno newline");
    assert_string_equal(a->err.at, "err\n");
}

static void output_comes_while_the_step_runs(void **state)
{
    struct lab *l = *state;
    lab_begin(l, 1, "echo first; sleep 1000");
    lab_wait_output(l, 1, "first");
    lab_stop_attempt(l, 1, true, 0);
    (void)lab_wait_ended(l, 1);
}

static void output_is_bytes(void **state)
{
    struct lab *l = *state;
    lab_begin(l, 1, "printf 'a\\000\\377\\033b'");
    struct lab_attempt *a = lab_attempt(l, 1);
    while (a->ended == 0) {
        lab_take(l);
    }
    assert_true(str_eq(strbuf_str(&a->out), STR("a\0\xff\033b")));
}

/* Three times what is kept: head and tail, the mark between, the true size. */
static void long_output_keeps_head_and_tail(void **state)
{
    struct lab *l = *state;
    const struct lab_attempt *a = lab_run(
        l, 1, "echo BEGIN; head -c 3145728 /dev/zero | tr '\\0' x; echo END");
    uint64_t written = 6 + 3145728 + 4;
    assert_int_equal(a->row.state, ATTEMPT_SUCCEEDED);
    assert_int_equal(a->row.output_bytes, written);
    assert_true(a->row.output_truncated);
    size_t kept = a->out.len - 1;
    assert_true(kept <= EXECUTOR_OUTPUT_KEEP_BYTES);
    assert_true(kept > EXECUTOR_OUTPUT_KEEP_BYTES - EXEC_CHUNK_MAX_BYTES);
    assert_memory_equal(a->out.at, "BEGIN\n", 6);
    assert_memory_equal(a->out.at + kept - 5, "xEND\n", 5);
    char mark[80];
    (void)snprintf(mark, sizeof(mark),
                   "\n[%llu bytes of output were not kept]\n",
                   (unsigned long long)(written - kept));
    assert_string_equal(a->err.at, mark);
}

static void a_step_that_closes_its_output_still_ends(void **state)
{
    struct lab *l = *state;
    const struct lab_attempt *a =
        lab_run(l, 1, "echo last; exec >&- 2>&-; sleep 0.1; exit 5");
    assert_int_equal(a->row.exit_code, 5);
    assert_string_equal(a->out.at, "last\n");
}

/* ---- surroundings
 * -------------------------------------------------------------------- */

/* Whatever a step does to show what it was given. */
static void secrets_are_not_in_the_output(void **state)
{
    struct lab *l = *state;
    struct runbook_hash hash = lab_write(
        l, "s.yaml",
        "name: t\nparameters:\n  key: {secret: true, required: true}\n"
        "steps:\n  - name: s\n    env: {OTHER: \"<${{ parameters.key }}>\"}\n"
        "    command: |\n"
        "      env | grep -e ADP_PARAM -e OTHER | sort\n"
        "      printf '%.7s' \"$ADP_PARAM_KEY\"; sleep 0.2\n"
        "      printf '%s\\n' \"${ADP_PARAM_KEY#???????}\"\n"
        "      printf %s \"$ADP_PARAM_KEY\" | base64\n"
        "      printf %s \"$ADP_PARAM_KEY\" | od -An -tx1 | tr -d ' \\n'\n"
        "      set -x; echo \"$ADP_PARAM_KEY\" >/dev/null\n");
    struct exec_message m = lab_start_message(l, 1, "s.yaml", &hash);
    m.start.parameters = STR("{\"key\":\"canary-4711\"}");
    lab_send(l, &m);
    const struct lab_attempt *a = lab_wait_ended(l, 1);
    assert_int_equal(a->row.state, ATTEMPT_SUCCEEDED);
    assert_string_equal(a->out.at, "ADP_PARAM_KEY=***\nOTHER=<***>\n"
                                   "***\n***=\n***");
    assert_string_equal(a->err.at, "+ echo ***\n");
    lab_stop(l);
    lab_launch(l); /* and what is told again comes from the spool */
    lab_connect(l);
    a = lab_wait_ended(l, 1);
    assert_null(strstr(a->out.at, "canary"));
}

/* Every variable there is, by name; values where they are fixed. */
static void the_environment_is_made_from_nothing(void **state)
{
    struct lab *l = *state;
    struct runbook_hash hash =
        lab_write(l, "env.yaml",
                  "name: env\nparameters:\n"
                  "  host: {type: string, required: true}\n"
                  "  count: {type: integer, default: 3}\n"
                  "  absent: {type: string}\n"
                  "steps:\n  - name: s\n    action: exec\n"
                  "    env: {FOR: \"${{ parameters.host }}!\"}\n"
                  "    argv: [env]\n");
    struct exec_message m = lab_start_message(l, 1, "env.yaml", &hash);
    m.start.parameters = STR("{\"host\":\"a b;$(id)\"}");
    lab_send(l, &m);
    struct lab_attempt *a = lab_wait_ended(l, 1);
    static const char *const lines[] = {
        "LANG=C.UTF-8\n",
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n",
        "ADP_PARAM_HOST=a b;$(id)\n",
        "ADP_PARAM_COUNT=3\n",
        "FOR=a b;$(id)!\n",
        "HOME=",
        "TMPDIR=",
        "ADP_WORKFLOW_ID=wf-",
        "ADP_STEP=1\n",
        "ADP_ATTEMPT=1\n",
        "ADP_ATTEMPT_ID=wf-",
        "ADP_IDEMPOTENCY_KEY=wf-",
        "ADP_EXECUTOR=",
    };
    unsigned count = 0;
    for (const char *p = strchr(a->out.at, '\n'); p != NULL;
         p = strchr(p + 1, '\n')) {
        count++;
    }
    assert_int_equal(count, ARRAY_LEN(lines));
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        assert_non_null(strstr(a->out.at, lines[i]));
    }
}

/* HOME and TMPDIR are the private folder, which is where the step begins. */
static void the_folder_is_private(void **state)
{
    struct lab *l = *state;
    const struct lab_attempt *a = lab_run(
        l, 1,
        "test \"$(pwd -P)\" = \"$(realpath \"$HOME\")\" && echo home\n"
        "test \"$TMPDIR\" = \"$HOME\" && echo temporary\n"
        "stat -c %a .\nls -A | wc -l\ncase $PWD in *work/step-*) echo below;; "
        "esac");
    assert_string_equal(a->out.at, "home\ntemporary\n700\n0\nbelow\n");
}

static void two_attempts_share_no_folder(void **state)
{
    struct lab *l = *state;
    lab_begin(l, 1, "touch mine; echo made; sleep 1000");
    lab_wait_output(l, 1, "made");
    const struct lab_attempt *a = lab_run(l, 2, "ls -A | wc -l");
    assert_string_equal(a->out.at, "0\n");
    lab_stop_attempt(l, 1, true, 0);
    (void)lab_wait_ended(l, 1);
}

static void a_failure_is_told_in_the_programs_words(void **state)
{
    struct lab *l = *state;
    const struct lab_attempt *a = lab_run(
        l, 1,
        "echo out; echo first >&2; printf 'no such unit\\033[31m\\n' >&2; "
        "exit 1");
    assert_int_equal(a->row.state, ATTEMPT_FAILED);
    assert_string_equal(a->error, "no such unit\\x1b[31m");
    a = lab_run(l, 2, "echo fine >&2");
    assert_int_equal(a->row.state, ATTEMPT_SUCCEEDED);
    assert_int_equal(a->row.error.len, 0);
}

/* A folder that serves again is as good as a new one. */
static void a_folder_is_not_handed_on_with_anything_in_it(void **state)
{
    static const char *const deeds[] = {
        "touch .hidden", "mkdir d",          "chmod 755 .",
        "ln -s / link",  "rmdir \"$PWD\"",   "mv \"$PWD\" ../elsewhere",
        "chmod 0 .",     "touch x; rm x; :", "mkdir d; chmod 0 d",
    };
    struct lab *l = *state;
    for (uint32_t i = 0; i < ARRAY_LEN(deeds); i++) {
        (void)lab_run(l, 2 * i + 1, deeds[i]);
        const struct lab_attempt *a =
            lab_run(l, 2 * i + 2, "test -d \"$HOME\"; stat -c %a .; ls -A");
        assert_string_equal(a->out.at, "700\n");
    }
}

static void input_is_empty(void **state)
{
    struct lab *l = *state;
    const struct lab_attempt *a =
        lab_run(l, 1, "cat; readlink /proc/self/fd/0");
    assert_string_equal(a->out.at, "/dev/null\n");
}

/* Also not the descriptors of other attempts that run at the time. */
static void no_descriptor_leaks(void **state)
{
    struct lab *l = *state;
    lab_begin(l, 1, "echo runs; sleep 1000");
    lab_wait_output(l, 1, "runs");
    const struct lab_attempt *a = lab_run(l, 2, "ls /proc/$$/fd");
    assert_string_equal(a->out.at, "0\n1\n2\n");
    lab_stop_attempt(l, 1, true, 0);
    (void)lab_wait_ended(l, 1);
}

/* The executor itself must not keep any either. */
static void the_executor_keeps_no_descriptor(void **state)
{
    struct lab *l = *state;
    char folder[64];
    (void)snprintf(folder, sizeof(folder), "/proc/%d/fd", (int)l->executor);
    (void)lab_run(l, 1, "echo x");
    unsigned before = entries(folder);
    for (uint32_t i = 2; i <= 30; i++) {
        (void)lab_run(l, i, i % 2 == 0 ? "echo x" : "exec /no/such");
    }
    assert_int_equal(entries(folder), before);
}

static void steps_are_not_the_executors_signals(void **state)
{
    struct lab *l = *state;
    const struct lab_attempt *a = lab_run(
        l, 1, "grep -E '^Sig(Blk|Ign)' /proc/self/status | tr -d '\\t'");
    assert_string_equal(a->out.at, "SigBlk:0000000000000000\n"
                                   "SigIgn:0000000000000000\n");
}

#define CASE(name)                                                             \
    cmocka_unit_test_setup_teardown(name, lab_set_up, lab_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(exit_codes_come_through),
        CASE(the_row_tells_all),
        CASE(signals_come_through),
        CASE(a_program_that_is_missing_is_refused),
        CASE(an_expression_that_fails_is_refused_without_secrets),
        CASE(outputs_come_with_the_end),
        CASE(outputs_see_the_beginning_of_much),
        CASE(nothing_stays_in_the_folder),
        CASE(a_failure_is_told_in_the_programs_words),
        CASE(many_at_once),
        CASE(many_side_by_side),
        CASE(output_streams_are_apart),
        CASE(output_comes_while_the_step_runs),
        CASE(output_is_bytes),
        CASE(long_output_keeps_head_and_tail),
        CASE(a_step_that_closes_its_output_still_ends),
        CASE(secrets_are_not_in_the_output),
        CASE(the_environment_is_made_from_nothing),
        CASE(the_folder_is_private),
        CASE(two_attempts_share_no_folder),
        CASE(a_folder_is_not_handed_on_with_anything_in_it),
        CASE(input_is_empty),
        CASE(no_descriptor_leaks),
        CASE(the_executor_keeps_no_descriptor),
        CASE(steps_are_not_the_executors_signals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
