#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"
#include "lint/lint.h"

/* Rules that look only when asked are asked for their own examples. */
static void lint_for(const struct lint_rule *rule, const char *text,
                     struct lint_report *r)
{
    (rule->asked ? lint_runbook_more : lint_runbook)(STR("x.yaml"), str_c(text),
                                                     &RUNBOOK_DEFAULTS, r);
}

static void lint(const char *text, struct lint_report *r)
{
    lint_runbook(STR("x.yaml"), str_c(text), &RUNBOOK_DEFAULTS, r);
}

/* A row's text is a whole runbook, or its steps. */
static const char *whole(const char *text)
{
    static char room[4096];
    (void)snprintf(room, sizeof(room), "%s%s",
                   strncmp(text, "name:", 5) == 0 ? "" : "name: X\nsteps:\n",
                   text);
    return room;
}

static void fail_with(const char *what, const char *text,
                      const struct lint_report *r)
{
    struct strbuf all = STRBUF_INIT(16 * 1024);
    VEC_EACH (&r->findings, i) {
        const struct lint_finding *f = &r->findings.at[i];
        strbuf_addf(&all, "  %u:%u %s: %s\n", f->err.at.line, f->err.at.column,
                    f->rule->id, f->err.message);
    }
    fail_msg("%s:\n%s\n%s", what, text, all.at != NULL ? all.at : "");
}

static void every_rule_finds_its_bad_example_only(void **state)
{
    (void)state;
    assert_true(lint_rule_count >= 20);
    for (size_t i = 0; i < lint_rule_count; i++) {
        const struct lint_rule *rule = &lint_rules[i];
        struct lint_report r;
        lint_for(rule, whole(rule->bad), &r);
        bool found = r.findings.count != 0;
        VEC_EACH (&r.findings, f) {
            found = found && r.findings.at[f].rule == rule;
        }
        if (!found) {
            fail_with(rule->id, whole(rule->bad), &r);
        }
        assert_int_equal(r.counts[rule->severity], r.findings.count);
        lint_report_deinit(&r);
        lint_for(rule, whole(rule->good), &r);
        if (r.findings.count != 0) {
            fail_with(rule->id, whole(rule->good), &r);
        }
        lint_report_deinit(&r);
    }
}

/* Nor do comments that allow such a finding count as unused. */
static void some_rules_look_only_when_asked(void **state)
{
    static const char text[] = "# lint: allow untested it is an example\n"
                               "name: X\n"
                               "steps:\n"
                               "  - {name: a, command: df, timeout: 30}\n";
    struct lint_report r;
    (void)state;
    lint(text, &r);
    assert_int_equal(r.findings.count, 0);
    assert_int_equal(r.allowed, 0);
    lint_report_deinit(&r);
    lint_runbook_more(STR("x.yaml"), str_c(text), &RUNBOOK_DEFAULTS, &r);
    assert_int_equal(r.findings.count, 0);
    assert_int_equal(r.allowed, 1);
    lint_report_deinit(&r);
    lint(text + strlen("# lint: allow untested it is an example\n"), &r);
    assert_int_equal(r.findings.count, 0);
    lint_report_deinit(&r);
}

static void rows_are_whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < lint_rule_count; i++) {
        const struct lint_rule *r = &lint_rules[i];
        const char *nearest = NULL;
        assert_ptr_equal(lint_rule(str_c(r->id), &nearest), r);
        assert_false(str_ends(str_c(r->summary), STR(".")));
        assert_true(str_ends(str_c(r->why), STR(".")));
        assert_false(str_ends(str_c(r->fix), STR(".")));
        assert_true(strlen(r->fix) < sizeof(((struct err *)NULL)->hint));
    }
}

/* ---- more of what the rules must and must not find ------------------------
 */

static void check_command(const char *command, const char *id, bool wanted)
{
    struct strbuf text = STRBUF_INIT(8192);
    struct lint_report r;
    bool found = false;
    strbuf_addc(&text, "name: X\nparameters:\n  x: {required: true}\n"
                       "steps:\n  - name: a\n    timeout: 30\n    command: |\n"
                       "      ");
    for (const char *at = command; *at != '\0'; at++) {
        strbuf_addch(&text, *at);
        strbuf_addc(&text, *at == '\n' ? "      " : "");
    }
    strbuf_addch(&text, '\n');
    lint(text.at, &r);
    VEC_EACH (&r.findings, i) {
        found = found || strcmp(r.findings.at[i].rule->id, id) == 0;
    }
    if (found != wanted) {
        fail_with(id, text.at, &r);
    }
    lint_report_deinit(&r);
    strbuf_deinit(&text);
}

static const struct {
    const char *id;
    const char *found[14];
    const char *passed[14];
} commands[] = {
    {"eval-parameter",
     {"eval \"$X\"", "sh -c \"echo $ADP_PARAM_X\"", "bash -ec \"$ADP_PARAM_X\"",
      "ssh web-1 \"restart $ADP_PARAM_X\"", "sed \"s/a/$ADP_PARAM_X/\" f",
      "ssh -p 22 web-1 ls \"$ADP_PARAM_X\"", "python3 -c \"f($ADP_PARAM_X)\"",
      "timeout 5 sh -c \"$ADP_PARAM_X\"", "perl -ne \"/$ADP_PARAM_X/\" f"},
     {"eval \"$(ssh-agent)\"", "sh -c 'echo \"$1\"' sh \"$ADP_PARAM_X\"",
      "ssh \"$ADP_PARAM_X\" uptime", "awk -v x=\"$ADP_PARAM_X\" '{print x}' f",
      "sed -n 1p \"$ADP_PARAM_X\"", "jq --arg x \"$ADP_PARAM_X\" .a f"}},
    {"pipe-to-shell",
     {"curl -fsS u | sh", "curl -fsS u | tee f | bash -s -- x",
      "wget -qO- u | sudo bash", "sh -c \"$(curl -fsS u)\"",
      "eval \"$(curl -fsS u)\"", "bash <(curl -fsS u)",
      "curl -fsS u | python3"},
     {"curl -fsS u | jq .", "curl -fsS u | sh check.sh", "cat f | sh",
      "curl -fsS u | python3 -c 'import json'"}},
    {"unguarded-rm",
     {"rm -rf $X", "rm -rf \"$X\"/*", "rm -fr -- \"${X}/a\"",
      "rm --recursive \"$ADP_PARAM_X\"", "find \"$X\" -mtime +7 -delete",
      "rm -rf /", "rm -rf /var/*", "rm -rf ~", "nice rm -r /etc/",
      "rm -rf \"${X:-}\""},
     {"rm -rf \"${X:?}\"/a", "rm -rf /srv/app/\"$X\"", "rm -f \"$X\"",
      "d=$(mktemp -d) && rm -rf \"$d\"", "rm -rf \"$TMPDIR\"/x",
      "find /srv/app -delete", "rm -rf \"${X:-/srv/app}\"",
      "find /srv -path \"$X\" -delete", "rm -rf cache"}},
    {"sudo",
     {"sudo ls", "timeout 5 sudo ls", "if sudo -n true; then :; fi",
      "su - app -c ls", "a=$(sudo id)", "doas ls", "/usr/bin/sudo ls"},
     {"echo sudo", "man sudo", "# sudo ls"}},
    {"secret-in-clear",
     {"PASSWORD=hunter2 mysql", "mysql --password=hunter2",
      "curl -f -H 'Authorization: Bearer abcdef' u",
      "psql postgres://app:hunter2@db/x", "tool --token abcdef",
      "echo ghp_0123456789abcdef", "export API_KEY=abcdef",
      "mysql -u root -phunter2", "curl -fu app:hunter2 u",
      "redis-cli -a hunter2 info", "curl -f -u app:hunter2 u"},
     {"PASSWORD=$(cat f) mysql", "mysql --password=\"$DB_PASSWORD\"",
      "PASSWORD_FILE=x a", "tool --token-file f", "psql postgres://db/x",
      "curl -f -H \"Authorization: Bearer $TOKEN\" u", "PASSWORD= a",
      "tool --token --x", "curl -f https://host:8080/a@b", "mysql -p",
      "curl -f -u \"app:$PASSWORD\" u"}},
    {"tls-not-verified",
     {"curl -fk u", "curl -f --insecure u", "wget --no-check-certificate u",
      "ssh -o StrictHostKeyChecking=no h ls",
      "scp -oUserKnownHostsFile=/dev/null a b",
      "git -c http.sslVerify=false pull"},
     {"curl -f u", "ssh -o StrictHostKeyChecking=yes h ls", "ls -k"}},
    {"kill-by-name",
     {"pkill -f x", "killall nginx", "kill $(pgrep x)", "kill `pidof x`",
      "if pkill x; then :; fi"},
     {"kill \"$pid\"", "pgrep x", "systemctl kill x", "kill $(cat pid)"}},
    {"stops-the-engine",
     {"systemctl stop autonomous-devops",
      "systemctl --now disable autonomous-devops-executor.service",
      "service autonomous-devops restart"},
     {"systemctl status autonomous-devops", "systemctl restart nginx",
      "systemctl reload autonomous-devops"}},
    {"background-process",
     {"a &", "nohup a", "(a &)", "setsid a"},
     {"a & wait", "a && b", "a 2>&1", "a &>f"}},
    {"predictable-temp-file",
     {"a > /tmp/x", "a >> /var/tmp/x.$$", "a | tee /tmp/x", "touch /dev/shm/x",
      "curl -fo /tmp/x u", "cp a /tmp/b", "a 2> /tmp/err"},
     {"cat /tmp/x", "a > x", "a > \"$(mktemp)\"", "rm -f /tmp/x", "a > /tmpx",
      "a < /tmp/x"}},
    {"world-writable",
     {"chmod 777 x", "chmod -R 0666 x", "chmod a+w x", "chmod ugo=rwx x",
      "mkdir -m 777 x", "umask 000"},
     {"chmod 755 x", "chmod 1777 x", "chmod u+w x", "chmod o-w x", "chmod +x x",
      "umask 022", "chmod g+w x"}},
    {"unquoted-parameter",
     {"ls $ADP_PARAM_X", "ls ${ADP_PARAM_X}", "echo \"$(ls $ADP_PARAM_X)\"",
      "for x in $ADP_PARAM_X; do :; done", "[ $ADP_PARAM_X = a ]"},
     {"ls \"$ADP_PARAM_X\"", "x=$ADP_PARAM_X", "ls $OTHER",
      "case $ADP_PARAM_X in a) ;; esac", "[[ $ADP_PARAM_X = a ]]",
      "echo $((ADP_PARAM_X + 1))"}},
    {"no-errexit",
     {"a\nb", "a; b", "cd x\na", "if a; then b; c; fi", "x=$(a)\nb \"$x\""},
     {"set -e\na\nb", "a && b", "a || exit 1\nb", "echo a\nb", "a \\\n  b",
      "if a; then\n  b\nfi", "a |\n  b", "x=1\na \"$x\""}},
    {"curl-ignores-errors",
     {"curl u", "curl -sS u | jq .", "x=$(curl -s u)"},
     {"curl -f u", "curl -fsS u", "curl --fail-with-body u",
      "curl -s -o /dev/null -w '%{http_code}' u", "echo curl"}},
};

static void rules_know_many_forms(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        for (size_t j = 0; commands[i].found[j] != NULL; j++) {
            check_command(commands[i].found[j], commands[i].id, true);
        }
        for (size_t j = 0; commands[i].passed[j] != NULL; j++) {
            check_command(commands[i].passed[j], commands[i].id, false);
        }
    }
}

static void check_step(const char *step, const char *id, bool wanted)
{
    struct strbuf text = STRBUF_INIT(8192);
    struct lint_report r;
    bool found = false;
    strbuf_addf(&text,
                "name: X\nparameters:\n  x: {required: true}\n"
                "steps:\n  - {name: a, timeout: 30, %s}\n",
                step);
    lint(text.at, &r);
    VEC_EACH (&r.findings, i) {
        found = found || strcmp(r.findings.at[i].rule->id, id) == 0;
    }
    if (found != wanted) {
        fail_with(id, text.at, &r);
    }
    lint_report_deinit(&r);
    strbuf_deinit(&text);
}

static void steps_are_looked_at(void **state)
{
    static const struct {
        const char *id;
        const char *step;
        bool found;
    } rows[] = {
        {"event-in-shell", "command: \"echo ${{ parameters.x }}\"", true},
        {"event-in-shell", "argv: [bash, -xec, \"a ${{ parameters.x }}\"]",
         true},
        {"event-in-shell", "argv: [ssh, h, \"a ${{ parameters.x }}\"]", true},
        {"event-in-shell", "argv: [ssh, \"${{ parameters.x }}\", a]", false},
        {"event-in-shell", "argv: [awk, \"/${{ parameters.x }}/\", f]", true},
        {"event-in-shell", "argv: [echo, -c, \"${{ parameters.x }}\"]", false},
        {"eval-parameter", "argv: [sh, -c, 'eval \"$X\"']", true},
        {"unguarded-rm", "argv: [rm, -rf, \"${{ parameters.x }}\"]", true},
        {"unguarded-rm", "argv: [rm, -f, \"${{ parameters.x }}\"]", false},
        {"unguarded-rm", "argv: [rm, -rf, \"/a/${{ parameters.x }}\"]", false},
        {"sudo", "argv: [sudo, ls]", true},
        {"kill-by-name", "argv: [pkill, x]", true},
        {"kill-by-name", "argv: [sh, -c, pkill x]", true},
        {"no-errexit", "argv: [sh, -c, \"a; b\"]", true},
        {"no-errexit", "argv: [sh, -ec, \"a; b\"]", false},
        {"curl-ignores-errors", "argv: [curl, u]", true},
        {"secret-in-clear", "argv: [a, --password=b]", true},
        {"secret-in-clear", "command: a, env: {DB_PASSWORD: b}", true},
        {"secret-in-clear", "command: a, env: {DB_PASSWORD_FILE: b}", false},
        {"secret-in-clear", "command: a, env: {SECRET: /etc/s}", false},
        {"secret-in-clear", "command: a, env: {SECRET: \"\"}", false},
        {"retry-not-idempotent", "command: a, retry: 3", true},
        {"retry-not-idempotent", "command: a, retry: 1", false},
        {"retry-not-idempotent", "command: a, retry: {backoff: 1s}", true},
        {"retry-not-idempotent", "command: a, retry: {attempts: 1}", false},
        {"retry-not-idempotent", "command: a, retry: 3, idempotent: true",
         false},
        {"retry-not-idempotent", "command: a, retry: 3, idempotent: false",
         true},
        {"run-as-root", "command: a, run_as: root", true},
        {"run-as-root", "command: a, run_as: nobody", false},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        check_step(rows[i].step, rows[i].id, rows[i].found);
    }
}

/* ---- places ---------------------------------------------------------------
 */

static void place_of(const char *text, unsigned line, unsigned column)
{
    struct lint_report r;
    lint(text, &r);
    if (r.findings.count != 1 || r.findings.at[0].err.at.line != line ||
        r.findings.at[0].err.at.column != column) {
        fail_with("not there", text, &r);
    }
    lint_report_deinit(&r);
}

#define STEP "name: X\nsteps:\n  - name: a\n    timeout: 30\n    "

static void findings_have_their_place(void **state)
{
    (void)state;
    place_of(STEP "command: sudo ls\n", 5, 14);
    place_of(STEP "command: ls && sudo ls\n", 5, 20);
    place_of(STEP "command: \"ls && sudo ls\"\n", 5, 21);
    place_of(STEP "command: |\n      ls &&\n\n        sudo ls\n", 8, 9);
    place_of(STEP "command: |\n      echo \xc3\xa9 && sudo ls\n", 6, 17);
    place_of(STEP "argv: [nice, sudo, ls]\n", 5, 18);
    place_of(STEP "argv:\n      - sh\n      - -ec\n      - ls; sudo\n", 8, 13);
}

/* ---- comments -------------------------------------------------------------
 */

static void counts(const char *text, unsigned findings, unsigned allowed)
{
    struct lint_report r;
    lint(text, &r);
    if (r.findings.count != findings || r.allowed != allowed) {
        fail_with("other counts", text, &r);
    }
    lint_report_deinit(&r);
}

static void comments_allow_with_a_reason(void **state)
{
    (void)state;
    counts(STEP "run_as: root # lint: allow run-as-root why\n"
                "    command: ls\n",
           0, 1);
    counts("name: X\nsteps:\n  # lint: allow run-as-root why\n  - name: a\n"
           "    timeout: 30\n    command: ls\n    run_as: root\n",
           0, 1);
    counts(STEP "command: |\n      # lint: allow kill-by-name why\n"
                "      pkill x\n",
           0, 1);
    counts(STEP "# lint: allow kill-by-name why\n    # more\n    command: |\n"
                "      set -e\n\n      pkill x\n      pkill y\n",
           0, 2);
    /* Not the next step, not another rule, not without a reason. */
    counts("name: X\nsteps:\n  # lint: allow run-as-root why\n  - name: a\n"
           "    timeout: 30\n    command: ls\n  - name: b\n"
           "    timeout: 30\n    command: ls\n    run_as: root\n",
           2, 0);
    counts(STEP "run_as: root # lint: allow sudo why\n    command: ls\n", 2, 0);
    counts(STEP "run_as: root # lint: allow run-as-root\n    command: ls\n", 2,
           0);
    counts(STEP "run_as: root # lint: allow run-as-rot why\n"
                "    command: ls\n",
           2, 0);
    counts("name: X # lint: allow runbook-error why\nstep: []\n", 3, 0);
}

static void comments_suggest_the_rule(void **state)
{
    struct lint_report r;
    (void)state;
    lint(STEP "command: ls # lint: allow run-as-rot why\n", &r);
    assert_int_equal(r.findings.count, 1);
    assert_string_equal(r.findings.at[0].err.hint,
                        "did you mean 'run-as-root'?");
    assert_int_equal(r.findings.at[0].err.at.column, 17);
    lint_report_deinit(&r);
}

/* ---- what is no runbook ---------------------------------------------------
 */

static void anything_can_be_looked_at(void **state)
{
    static const char *const texts[] = {
        "",
        "\n",
        "x",
        "[",
        "- a\n",
        "steps: x\n",
        "steps: [x, [y], {}]\n",
        "parameters: [a]\nsteps: []\n",
        "parameters: {token: x}\n",
        "steps: [{command: [a], argv: b, env: c, retry: [d], run_as: [e]}]\n",
        "steps: [{argv: []}, {argv: [[a]]}, {argv: [sh, -c]}]\n",
        "steps: [{argv: [sh, -c, [x]], idempotent: maybe, retry: x}]\n"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct lint_report r;
        lint(texts[i], &r);
        assert_true(r.counts[LINT_ERROR] > 0);
        lint_report_deinit(&r);
    }
}

static void findings_are_bounded(void **state)
{
    struct strbuf text = STRBUF_INIT(1024UL * 1024);
    struct lint_report r;
    (void)state;
    strbuf_addc(&text, STEP "command: |\n");
    for (unsigned i = 0; i < LINT_MAX_FINDINGS + 10; i++) {
        strbuf_addc(&text, "      sudo ls &&\n");
    }
    strbuf_addc(&text, "      ls\n");
    lint(text.at, &r);
    assert_int_equal(r.findings.count, LINT_MAX_FINDINGS);
    assert_true(r.cut);
    lint_report_deinit(&r);
    strbuf_deinit(&text);
}

/* What the loader refuses as too long is not looked at to its end. */
static void scripts_are_bounded(void **state)
{
    struct strbuf text = STRBUF_INIT(1024UL * 1024);
    struct lint_report r;
    (void)state;
    strbuf_addc(&text, STEP "command: |\n");
    while (text.len < 100UL * 1024) {
        strbuf_addc(&text, "      ls -l /srv/app/data/input &&\n");
    }
    strbuf_addc(&text, "      sudo ls\n");
    lint(text.at, &r);
    assert_int_equal(r.findings.count, 1);
    assert_non_null(strstr(r.findings.at[0].err.message, "65536 bytes"));
    lint_report_deinit(&r);
    strbuf_deinit(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_rule_finds_its_bad_example_only),
        cmocka_unit_test(rows_are_whole),
        cmocka_unit_test(some_rules_look_only_when_asked),
        cmocka_unit_test(rules_know_many_forms),
        cmocka_unit_test(steps_are_looked_at),
        cmocka_unit_test(findings_have_their_place),
        cmocka_unit_test(comments_allow_with_a_reason),
        cmocka_unit_test(comments_suggest_the_rule),
        cmocka_unit_test(anything_can_be_looked_at),
        cmocka_unit_test(findings_are_bounded),
        cmocka_unit_test(scripts_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
