/* The rules of lint, one row each. */
#include "lint/lint_priv.h"

const struct lint_rule lint_rules[] = {
    {"runbook-error", LINT_ERROR, false, "the loader refuses the runbook",
     "The file is not a valid runbook: the message says where and what "
     "was expected. A file with an error never replaces a good one, and "
     "this cannot be allowed by a comment.",
     "correct what the message names",
     "  - name: Say\n"
     "    comand: echo hello\n"
     "    timeout: 30\n",
     "  - name: Say\n"
     "    command: echo hello\n"
     "    timeout: 30\n",
     .file = NULL},
    {"runbook-warning", LINT_WARNING, false, "the loader warns of something",
     "The runbook loads, but something in it has no effect, never "
     "happens or happens too often, such as a trigger without a "
     "condition.",
     "correct what the message names",
     "name: Everything\n"
     "triggers:\n"
     "  - state: firing\n"
     "steps:\n"
     "  - name: Say\n"
     "    command: echo hello\n"
     "    timeout: 30\n",
     "name: One thing\n"
     "triggers:\n"
     "  - type: alert\n"
     "    labels: {alertname: DiskFull}\n"
     "steps:\n"
     "  - name: Say\n"
     "    command: echo hello\n"
     "    timeout: 30\n",
     .file = NULL},
    {"event-in-shell", LINT_ERROR, false,
     "a value becomes part of shell text or of another program",
     "What an event says, and what a person gives as a parameter, is "
     "data. Pasted into the text of sh -c, ssh, awk, sed or python it "
     "is read as a program: a label such as \"; rm -rf /\" would be "
     "run. In command: the loader refuses it.",
     "hand the value over as a variable or as an argument of its own",
     "name: Say\n"
     "parameters:\n"
     "  who: {type: string, required: true}\n"
     "steps:\n"
     "  - name: Say\n"
     "    argv: [sh, -c, \"echo ${{ parameters.who }}\"]\n"
     "    timeout: 30\n",
     "name: Say\n"
     "parameters:\n"
     "  who: {type: string, required: true}\n"
     "steps:\n"
     "  - name: Say\n"
     "    argv: [sh, -c, 'echo \"$1\"', sh, \"${{ parameters.who }}\"]\n"
     "    timeout: 30\n",
     .script = lint_template},
    {"eval-parameter", LINT_ERROR, false,
     "shell text makes a program out of a value",
     "eval, sh -c, ssh, awk, sed, perl, python and SQL clients read "
     "their text as a program. A variable that the shell has put into "
     "it is read as a part of that program.",
     "hand the value over as an argument: awk -v, sh -c '...' sh "
     "\"$VALUE\", printf %q for ssh",
     "name: Count\n"
     "parameters:\n"
     "  word: {type: string, required: true}\n"
     "steps:\n"
     "  - name: Count\n"
     "    command: awk \"/$ADP_PARAM_WORD/\" /var/log/syslog\n"
     "    timeout: 30\n",
     "name: Count\n"
     "parameters:\n"
     "  word: {type: string, required: true}\n"
     "steps:\n"
     "  - name: Count\n"
     "    command: grep -cF -- \"$ADP_PARAM_WORD\" /var/log/syslog\n"
     "    timeout: 30\n",
     .script = lint_eval},
    {"pipe-to-shell", LINT_ERROR, false,
     "a program from the network is run without a look at it",
     "Whoever controls the server, the name or the way to it decides "
     "what runs, each time anew; and a transfer that breaks off leaves "
     "half a program that is run all the same.",
     "install the program as a package, or download it, compare its "
     "checksum, then run it",
     "  - name: Install\n"
     "    command: curl -fsS https://example.org/install.sh | sh\n"
     "    timeout: 5m\n",
     "  - name: Install\n"
     "    command: |\n"
     "      set -e\n"
     "      curl -fsS -o install.sh https://example.org/install.sh\n"
     "      echo \"$SUM  install.sh\" | sha256sum -c\n"
     "      sh install.sh\n"
     "    env: {SUM: 1e4f0ae6}\n"
     "    timeout: 5m\n",
     .script = lint_pipe_to_shell},
    {"unguarded-rm", LINT_ERROR, false,
     "rm -r or find -delete may remove more than was meant",
     "A variable that is empty turns \"$DIR/\"* into /*, and one that "
     "holds / means everything. The same goes for the folders of the "
     "system.",
     "write \"${NAME:?}\" so that an empty value stops the step, and "
     "name a folder below it",
     "  - name: Clean\n"
     "    command: rm -rf \"$DIR\"/*\n"
     "    env: {DIR: /srv/cache}\n"
     "    timeout: 1m\n",
     "  - name: Clean\n"
     "    command: rm -rf -- \"${DIR:?}\"/cache\n"
     "    env: {DIR: /srv/app}\n"
     "    timeout: 1m\n",
     .script = lint_remove},
    {"sudo", LINT_ERROR, false, "sudo, su and their like do not work in a step",
     "A step runs without the right to gain privileges, so these fail. "
     "Who it runs as is the executor's business, where it can be "
     "reviewed.",
     "set run_as: to a user that executor.run_as_allowed permits, or "
     "allow the unit in units.allow",
     "  - name: Restart\n"
     "    command: sudo systemctl restart nginx\n"
     "    timeout: 1m\n",
     "  - name: Restart\n"
     "    command: systemctl --no-ask-password restart nginx\n"
     "    timeout: 1m\n",
     .script = lint_sudo},
    {"secret-in-clear", LINT_ERROR, false, "a secret stands in the runbook",
     "Runbooks lie in a repository, are copied into backups and are "
     "shown by the API. What stands in a command line can besides be "
     "read by every user of the host.",
     "declare a parameter with secret: true, or let the step read a "
     "file that only it may read",
     "  - name: Tell\n"
     "    command: echo hello\n"
     "    env: {API_TOKEN: hunter2}\n"
     "    timeout: 30\n",
     "name: Tell\n"
     "parameters:\n"
     "  api_token: {type: string, required: true, secret: true}\n"
     "steps:\n"
     "  - name: Tell\n"
     "    command: echo hello\n"
     "    env: {API_TOKEN: \"${{ parameters.api_token }}\"}\n"
     "    timeout: 30\n",
     .step = lint_secret_in_env, .script = lint_secret_in_script},
    {"parameter-not-secret", LINT_WARNING, false,
     "a parameter has the name of a secret and is none",
     "Values of parameters are stored with the workflow and shown to "
     "everybody who may see it, unless they are secret.",
     "add secret: true; or secret: false if everybody may see it",
     "name: Tell\n"
     "parameters:\n"
     "  password: {type: string, required: true}\n"
     "steps:\n"
     "  - name: Tell\n"
     "    command: echo hello\n"
     "    timeout: 30\n",
     "name: Tell\n"
     "parameters:\n"
     "  password: {type: string, required: true, secret: true}\n"
     "steps:\n"
     "  - name: Tell\n"
     "    command: echo hello\n"
     "    timeout: 30\n",
     .file = lint_secret_parameter},
    {"tls-not-verified", LINT_WARNING, false,
     "the other side of a connection is not verified",
     "Without that, whoever is in between can read and change "
     "everything, commands and secrets included.",
     "trust the certificate (--cacert FILE) or the host key "
     "(known_hosts) instead",
     "  - name: Ask\n"
     "    command: curl -fsSk https://db-1.example.org/\n"
     "    timeout: 30\n",
     "  - name: Ask\n"
     "    command: curl -fsS --cacert /etc/our-ca.pem "
     "https://db-1.example.org/\n"
     "    timeout: 30\n",
     .script = lint_tls},
    {"kill-by-name", LINT_WARNING, false,
     "processes are ended by a part of their name",
     "pkill -f and killall end whatever fits, on the whole host: an "
     "editor with that file open, the same program of another service, "
     "the step itself.",
     "let systemd do it, which knows the processes of a unit: systemctl "
     "kill UNIT, systemctl restart UNIT",
     "  - name: End\n"
     "    command: pkill -9 -f worker\n"
     "    timeout: 30\n",
     "  - name: End\n"
     "    command: systemctl kill --signal=KILL worker.service\n"
     "    timeout: 30\n",
     .script = lint_kill_by_name},
    {"stops-the-engine", LINT_ERROR, false,
     "a step stops or restarts the platform itself",
     "The workflow would end with what runs it: its outcome becomes "
     "unknown, and nobody is left to go on with it.",
     "take the command out; adctl reload reads configuration and "
     "runbooks anew",
     "  - name: Restart\n"
     "    command: systemctl restart autonomous-devops\n"
     "    timeout: 1m\n",
     "  - name: Reload\n"
     "    command: adctl reload\n"
     "    timeout: 2m\n",
     .script = lint_own_engine},
    {"background-process", LINT_WARNING, false,
     "a process is left running in the background",
     "When a step ends, everything that it has started is ended with "
     "it.",
     "start it as a unit: systemd-run, systemctl start; or wait for it",
     "  - name: Start\n"
     "    command: ./server &\n"
     "    timeout: 30\n",
     "  - name: Start\n"
     "    command: systemctl --no-ask-password start server\n"
     "    timeout: 30\n",
     .script = lint_background},
    {"predictable-temp-file", LINT_WARNING, false,
     "a file with a known name is written where everybody may write",
     "In /tmp another user can put a link of that name first, and the "
     "step overwrites what it points to. The number of a process ($$) "
     "is no secret either.",
     "write into the step's own folder, in which it begins ($TMPDIR), "
     "or use mktemp",
     "  - name: Look\n"
     "    command: ps aux > /tmp/processes\n"
     "    timeout: 30\n",
     "  - name: Look\n"
     "    command: ps aux > processes\n"
     "    timeout: 30\n",
     .script = lint_temporary},
    {"world-writable", LINT_WARNING, false,
     "everybody may write to a file afterwards",
     "Any user of the host, and any service that is broken into, can "
     "then change it.",
     "give it to the user or group that needs it: chown, chmod 640, "
     "chmod 750",
     "  - name: Mend\n"
     "    command: chmod -R 777 /srv/app/cache\n"
     "    timeout: 30\n",
     "  - name: Mend\n"
     "    command: chmod -R 750 /srv/app/cache\n"
     "    timeout: 30\n",
     .script = lint_writable},
    {"unquoted-parameter", LINT_WARNING, false,
     "a parameter stands without quotes in shell text",
     "The shell splits the value at blanks and replaces * and ? by file "
     "names: one argument becomes several, or other ones.",
     "write it in double quotes: \"$ADP_PARAM_NAME\"",
     "name: Look\n"
     "parameters:\n"
     "  dir: {type: string, required: true}\n"
     "steps:\n"
     "  - name: Look\n"
     "    command: ls -- $ADP_PARAM_DIR\n"
     "    timeout: 30\n",
     "name: Look\n"
     "parameters:\n"
     "  dir: {type: string, required: true}\n"
     "steps:\n"
     "  - name: Look\n"
     "    command: ls -- \"$ADP_PARAM_DIR\"\n"
     "    timeout: 30\n",
     .script = lint_unquoted},
    {"no-errexit", LINT_WARNING, false,
     "a command of several lines goes on after a failure",
     "The result of a step is that of its last command. A failure in "
     "front of it goes unseen, and what follows works on what is not "
     "there.",
     "begin the command with set -e, or say what happens: COMMAND || "
     "exit 1",
     "  - name: Deploy\n"
     "    command: |\n"
     "      tar -xf app.tar\n"
     "      systemctl --no-ask-password restart app\n"
     "    timeout: 2m\n",
     "  - name: Deploy\n"
     "    command: |\n"
     "      set -e\n"
     "      tar -xf app.tar\n"
     "      systemctl --no-ask-password restart app\n"
     "    timeout: 2m\n",
     .script = lint_errexit},
    {"curl-ignores-errors", LINT_WARNING, false,
     "curl takes an answer of failure for success",
     "Without --fail it ends well whatever the server answers, so a "
     "check with it is always good.",
     "add -f (--fail), or look at the status with -w '%{http_code}'",
     "  - name: Check\n"
     "    command: curl -sS http://localhost:8080/health\n"
     "    timeout: 30\n",
     "  - name: Check\n"
     "    command: curl -fsS http://localhost:8080/health\n"
     "    timeout: 30\n",
     .script = lint_curl},
    {"run-as-root", LINT_WARNING, false, "a step runs as root",
     "What it does wrong it does to the whole host. Most remedies need "
     "one right only: to restart a unit, to write to one folder.",
     "use a user who may do just that, or say in a comment why it has "
     "to be root",
     "  - name: Restart\n"
     "    argv: [systemctl, restart, nginx]\n"
     "    run_as: root\n"
     "    timeout: 1m\n",
     "  - name: Restart\n"
     "    argv: [systemctl, --no-ask-password, restart, nginx]\n"
     "    timeout: 1m\n",
     .step = lint_run_as_root},
    {"retry-not-idempotent", LINT_WARNING, false,
     "a step is repeated and does not say that this does no harm",
     "An attempt that failed may have done half of its work. Only "
     "idempotent: true says that doing it again is right; it also lets "
     "the step be repeated when its outcome is unknown.",
     "add idempotent: true if repeating is harmless, else take retry: "
     "out",
     "  - name: Load\n"
     "    argv: [/usr/local/bin/import, data.csv]\n"
     "    retry: 3\n"
     "    timeout: 5m\n",
     "  - name: Load\n"
     "    argv: [/usr/local/bin/import, --replace, data.csv]\n"
     "    retry: 3\n"
     "    idempotent: true\n"
     "    timeout: 5m\n",
     .step = lint_retry},
    {"no-timeout", LINT_NOTE, false, "a step has no timeout of its own",
     "The configured default ends it, one minute unless changed: too "
     "long for a look, too short for a restart of a large service.",
     "add timeout: with what the step needs at most",
     "  - name: Look\n"
     "    command: df -h\n",
     "  - name: Look\n"
     "    command: df -h\n"
     "    timeout: 30\n",
     .step = lint_timeout},
    {"untested", LINT_NOTE, true, "the runbook has no tests",
     "Tests show what starts it, what it does and what holds it back, before "
     "an alert does; adctl runbook test plays them in virtual time. This rule "
     "looks only with --more.",
     "add tests: with an event and what is expected of it, see runbook(5)",
     "  - name: Look\n"
     "    command: df -h\n"
     "    timeout: 30\n",
     "name: Look\n"
     "steps:\n"
     "  - name: Look\n"
     "    command: df -h\n"
     "    timeout: 30\n"
     "tests:\n"
     "  - name: it looks\n"
     "    parameters: {}\n"
     "    expect: {status: succeeded, ran: [Look]}\n",
     .file = lint_untested},
    {"bad-allow", LINT_ERROR, false, "a comment that allows a finding is wrong",
     "It names a rule that does not exist, or does not say why.",
     "write: # lint: allow RULE REASON",
     "  # lint: allow sudo\n"
     "  - name: Look\n"
     "    command: df -h\n"
     "    timeout: 30\n",
     "  # lint: allow run-as-root only root sees the files of all users\n"
     "  - name: Look\n"
     "    command: du -sx /home\n"
     "    run_as: root\n"
     "    timeout: 5m\n",
     .file = NULL},
    {"unused-allow", LINT_WARNING, false, "a comment allows what is not found",
     "What it excused has gone, or it stands in the wrong place: on the "
     "line itself, or on a line of its own above the key or step.",
     "remove the comment, or move it",
     "  # lint: allow run-as-root it was needed once\n"
     "  - name: Look\n"
     "    command: df -h\n"
     "    timeout: 30\n",
     "  - name: Look\n"
     "    command: df -h\n"
     "    timeout: 30\n",
     .file = NULL},
};

const size_t lint_rule_count = ARRAY_LEN(lint_rules);

/* ---- runbook-lint(7) ------------------------------------------------------
 */

static void add_escaped(struct strbuf *out, const char *text)
{
    static const char special[] = "_*\\#`<>[]";
    for (; *text != '\0'; text++) {
        if (str_find(STR(special), *text) >= 0) {
            strbuf_addch(out, '\\');
        }
        strbuf_addch(out, *text);
    }
}

/* First letter in upper case, a full stop behind it. */
static void add_sentence(struct strbuf *out, const char *text)
{
    char first = text[0];
    strbuf_addch(out, first >= 'a' && first <= 'z' ? (char)(first - 'a' + 'A')
                                                   : first);
    add_escaped(out, text + 1);
    strbuf_addc(out, ".");
}

static void add_example(struct strbuf *out, const char *title, const char *text)
{
    strbuf_addf(out, "%s:\n\n```\n%s```\n\n", title, text);
}

void lint_add_man(struct strbuf *out)
{
    for (size_t i = 0; i < lint_rule_count; i++) {
        const struct lint_rule *r = &lint_rules[i];
        strbuf_addf(out, "## %s (%s)\n\n", r->id,
                    lint_severity_name(r->severity));
        add_sentence(out, r->summary);
        strbuf_addc(out, " ");
        add_escaped(out, r->why);
        strbuf_addc(out, "\n\nWhat to do: ");
        add_escaped(out, r->fix);
        strbuf_addc(out, ".\n\n");
        add_example(out, "Found in", r->bad);
        add_example(out, "Not found in", r->good);
    }
}
