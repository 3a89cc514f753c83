#include "app/cli_commands.h"

#include <string.h>

#include "app/cli_editing.h"
#include "app/config.h"
#include "model/runbook_schema.h"

static const char *const severities[] = {"info", "warning", "critical", NULL};
static const char *const event_statuses[] = {
    "queued",  "processing", "processed", "suppressed", "deduplicated",
    "drained", "poison",     "archived",  "error",      NULL};
static const char *const workflow_statuses[] = {
    "queued", "running",   "waiting", "succeeded", "failed",
    "held",   "cancelled", "killed",  NULL};

#define END                                                                    \
    {                                                                          \
        .name = NULL                                                           \
    }
#define LIMIT                                                                  \
    {                                                                          \
        "limit", 'n', "N", "at most N entries (default 50)", NULL              \
    }
#define CURSOR                                                                 \
    {                                                                          \
        "cursor", 0, "CURSOR", "go on where an earlier list ended", NULL       \
    }
#define SINCE                                                                  \
    {                                                                          \
        "since", 0, "TIME",                                                    \
            "only newer ones: 1h, 7d, an RFC 3339 time, epoch seconds", NULL   \
    }
#define FILTER                                                                 \
    {                                                                          \
        "filter", 0, "EXPR", "only those of which the CEL expression is true", \
            NULL                                                               \
    }
#define WAIT                                                                   \
    {                                                                          \
        "wait", 'w', NULL, "wait for the end, and end with its result", NULL   \
    }
#define TIMEOUT                                                                \
    {                                                                          \
        "timeout", 't', "DURATION", "how long to wait (default 10m)", NULL     \
    }

const struct cli_flag cli_global_flags[] = {
    {"server", 's', "URL",
     "the engine (default: server.listen of the configuration)", NULL},
    {"token-file", 0, "FILE", "file that holds the bearer token", NULL},
    {"output", 'o', "FORMAT", "table, wide, json, jsonl or name",
     cli_format_names},
    {"header", 0, NULL, "table headers also when not on a terminal", NULL},
    {"no-color", 0, NULL, "no colours", NULL},
    {"help", 'h', NULL, "help for the command", NULL},
    END};

static const struct cli_flag no_flags[] = {END};

static const struct cli_flag reload_flags[] = {
    {"timeout", 't', "DURATION", "how long to wait (default 90s)", NULL}, END};

static const struct cli_flag send_flags[] = {
    {"type", 0, "TYPE", "alert, metric, webhook, change or your own", NULL},
    {"severity", 0, "SEVERITY", "info, warning, critical or your own",
     severities},
    {"source", 0, "SOURCE", "where it comes from", NULL},
    {"label", 'l', "NAME=VALUE", "a label; may be repeated", NULL},
    {"annotation", 'a', "NAME=VALUE", "an annotation; may be repeated", NULL},
    {"metric", 0, "NAME", "name of the metric", NULL},
    {"value", 0, "NUMBER", "value of the metric", NULL},
    {"file", 0, "FILE", "the event as JSON; - reads standard input", NULL},
    {"key", 0, "KEY", "idempotency key: sending again adds nothing", NULL},
    {"wait", 'w', NULL, "show the workflows it starts, until they end", NULL},
    TIMEOUT,
    END};

static const struct cli_flag event_list_flags[] = {
    {"type", 0, "TYPE", "only this type", NULL},
    {"status", 0, "STATUS", "only this status", event_statuses},
    {"severity", 0, "SEVERITY", "only this severity", severities},
    {"source", 0, "SOURCE", "only from there", NULL},
    SINCE,
    FILTER,
    LIMIT,
    CURSOR,
    END};

static const struct cli_flag runbook_list_flags[] = {
    {"category", 0, "CATEGORY", "only this category", NULL},
    {"search", 'q', "TEXT", "only those that mention the text", NULL},
    FILTER,
    END};

static const char *const notice_states[] = {"pending", "dead", NULL};
static const struct cli_flag outbox_flags[] = {
    {"state", 0, "STATE", "pending (unless told) or dead", notice_states},
    FILTER,
    LIMIT,
    CURSOR,
    END};

static const struct cli_flag lint_flags[] = {
    {"format", 'f', "FORMAT", "text, json, github or sarif", cli_lint_formats},
    {"more", 0, NULL, "also what is well to have: tests (untested)", NULL},
    {"rules", 0, NULL, "list the rules instead", NULL},
    END};

static const struct cli_flag test_flags[] = {
    {"junit", 0, "FILE", "also write a JUnit report; - is standard output",
     NULL},
    END};

static const struct cli_flag new_flags[] = {
    {"template", 't', "TEMPLATE", "what to begin with (default shell)",
     cli_template_names},
    {"output", 'o', "FILE",
     "write it there, as a new file; or the format of the answer, as elsewhere",
     NULL},
    END};

#define LINT_DETAILS                                                           \
    "All that the loader says, and what is unsafe though it loads, with its "  \
    "place and the way out; without the engine. A folder means every runbook " \
    "below it, - standard input, nothing the folder you are in. Ends with 1 "  \
    "when there are errors, with 3 when there are only warnings, else with "   \
    "0. A comment allows a finding: # lint: allow RULE REASON. The rules: "    \
    "adctl lint --rules, runbook-lint(7)."

static const struct cli_flag run_flags[] = {
    {"param", 'p', "NAME=VALUE", "a parameter; may be repeated", NULL},
    {"param-file", 0, "NAME=FILE",
     "a parameter whose value is in the file, - for standard input: for "
     "secrets, which must not stand on a command line",
     NULL},
    {"dry-run", 0, NULL, "show the plan, run nothing", NULL},
    {"plan", 0, "ID", "run what a dry run has shown, if nothing has changed",
     NULL},
    WAIT,
    TIMEOUT,
    END};

static const struct cli_flag workflow_list_flags[] = {
    {"status", 0, "STATUS", "only this status", workflow_statuses},
    {"runbook", 0, "PATH", "only of this runbook", NULL},
    {"event", 0, "ID", "only those this event started", NULL},
    SINCE,
    FILTER,
    LIMIT,
    CURSOR,
    END};

static const struct cli_flag explain_event_flags[] = {
    {"runbook", 0, "PATH", "only the triggers of this runbook", NULL},
    {"only-starts", 0, NULL, "only triggers whose conditions are met", NULL},
    {"limit", 'n', "N", "at most N triggers (default 10)", NULL},
    CURSOR,
    END};

static const struct cli_flag guard_list_flags[] = {
    {"runbook", 0, "PATH", "only of this runbook", NULL},
    FILTER,
    LIMIT,
    CURSOR,
    END};

static const struct cli_flag guard_reset_flags[] = {
    {"trigger", 0, "NAME", "only what this trigger remembers", NULL},
    {"key", 0, "KEY", "only of this key of the trigger", NULL},
    END};

static const struct cli_flag logs_flags[] = {
    {"follow", 'f', NULL, "go on until the workflow ends", NULL},
    {"raw", 0, NULL,
     "control characters as they are (bytes that are no UTF-8 stay \\xNN)",
     NULL},
    {"step", 0, "NAME", "only of this step", NULL},
    END};

#define CONFIG                                                                 \
    {                                                                          \
        "config", 'c', "FILE",                                                 \
            "the engine's configuration (default " CONFIG_PATH_DEFAULT ")",    \
            NULL                                                               \
    }
static const struct cli_flag validate_flags[] = {
    {"all", 0, "DIR", "every runbook below this folder", NULL}, CONFIG, END};
static const struct cli_flag doctor_flags[] = {CONFIG, END};
static const struct cli_flag switch_flags[] = {CONFIG, END};
#define LOCK                                                                   \
    {                                                                          \
        "lock", 0, NULL, "root's own file, which the engine cannot remove",    \
            NULL                                                               \
    }
static const struct cli_flag switch_on_flags[] = {
    {"reason", 0, "TEXT", "why, for those who find it on", NULL},
    LOCK,
    CONFIG,
    END};
static const struct cli_flag switch_off_flags[] = {LOCK, CONFIG, END};

#define FROM                                                                   \
    {                                                                          \
        "from", 0, "DIR", "folder of all backups (default: as configured)",    \
            NULL                                                               \
    }

static const struct cli_flag backup_make_flags[] = {
    {"to", 0, "DIR", "folder of all backups (default: as configured)", NULL},
    CONFIG,
    END};

static const struct cli_flag backup_flags[] = {FROM, CONFIG, END};

static const char *const restore_parts[] = {"state", "runbooks", "config",
                                            NULL};

static const struct cli_flag restore_flags[] = {
    FROM,
    {"dry-run", 0, NULL, "verify, say what would be restored, change nothing",
     NULL},
    {"salvage", 0, NULL,
     "the store of before was damaged: keep what can be read of the events it "
     "had accepted since, set aside for replay",
     NULL},
    {"empty", 0, NULL, "only set the store aside: begin with an empty one",
     NULL},
    {"only", 0, "PART",
     "state, runbooks or config: put back this, and replace it", restore_parts},
    {"everything", 0, NULL, "state, runbooks and config, and replace them",
     NULL},
    CONFIG,
    END};

static const struct cli_flag backtest_flags[] = {
    {"since", 0, "TIME",
     "events since then (default 30d): 7d, an RFC 3339 time", NULL},
    {"until", 0, "TIME", "events before then (default: all)", NULL},
    {"events", 0, "FILE", "instead of the store: lines of event list -o jsonl",
     NULL},
    {"step-time", 0, "DURATION", "what a step takes (default 10s)", NULL},
    CONFIG,
    END};

static const struct cli_flag verdict_flags[] = {
    {"note", 0, "TEXT", "why", NULL}, END};

static const struct cli_flag eval_flags[] = {
    {"event-file", 'e', "FILE", "the event as JSON; - reads standard input",
     NULL},
    {"param", 'p', "NAME=VALUE", "a parameter; may be repeated", NULL},
    {"step", 0, "FILE",
     "as in a step: its variables as JSON; - reads standard input", NULL},
    END};

static const struct cli_flag slo_flags[] = {SINCE, FILTER, END};

static const struct cli_flag missed_flags[] = {
    {"at", 0, "TIME", "when it began (default: now): RFC 3339", NULL},
    SINCE,
    FILTER,
    LIMIT,
    END};

static const struct cli_flag history_flags[] = {
    SINCE,
    {"step", 0, "DURATION", "time between points (default: what suits)", NULL},
    END};

static const struct cli_flag stats_flags[] = {SINCE, END};

static const struct cli_flag performance_flags[] = {SINCE, FILTER, END};

static const struct cli_flag worker_flags[] = {FILTER, END};

static const struct cli_flag partner_flags[] = {FILTER, END};

static const struct cli_flag disable_flags[] = {
    {"reason", 0, "TEXT", "why, for those who see it disabled", NULL}, END};

static const struct cli_flag archive_flags[] = {
    {"before", 0, "TIME", "ended before: 90d, an RFC 3339 time, epoch seconds",
     NULL},
    END};

static const struct cli_flag priority_flags[] = {
    {"type", 0, "TYPE", "events of this type", NULL},
    {"severity", 0, "SEVERITY", "events of this severity", severities},
    END};

static const struct cli_flag poison_list_flags[] = {
    {"type", 0, "TYPE", "only this type", NULL},
    {"severity", 0, "SEVERITY", "only this severity", severities},
    {"source", 0, "SOURCE", "only from there", NULL},
    SINCE,
    FILTER,
    LIMIT,
    CURSOR,
    END};

static const struct cli_flag poison_flags[] = {
    {"every", 0, NULL, "every poison message, instead of one", NULL}, END};

static const struct cli_flag audit_flags[] = {FILTER, LIMIT, CURSOR, END};

static const struct cli_flag verify_flags[] = {
    {"known", 0, "SEQ:HASH", "also that this row is there as it was", NULL},
    END};

static const struct cli_flag retry_flags[] = {
    {"from", 0, "STEP", "the step to begin with, by name or id", NULL},
    WAIT,
    TIMEOUT,
    END};

static const struct cli_flag stop_flags[] = {WAIT, TIMEOUT, END};

const struct cli_command cli_commands[] = {
    {"status", NULL, "", 0, 0, CLI_NO_SUBJECT, no_flags,
     "the engine's state in a few lines",
     "Ends with 0 when everything is well, with 1 when something is not, and "
     "with 3 when something only waits for a person: held workflows, poison "
     "events, disabled runbooks, partners that are not well, a configuration "
     "that is not in force.",
     "adctl status\nadctl status -o json\n", cli_status},
    {"doctor", NULL, "", 0, 0, CLI_NO_SUBJECT, doctor_flags,
     "check one thing after another and say what to do",
     "Works while the engine is down, too. Asks the engine of the "
     "configuration it checks, unless --server or AD_SERVER names one. Ends "
     "with 1 when a check failed and with 3 when there are only warnings.",
     "adctl doctor\nadctl doctor --config ./config.yaml\n", cli_doctor},
    {"reload", NULL, "[config|runbooks]", 0, 1, CLI_NO_SUBJECT, reload_flags,
     "read configuration and runbooks anew",
     "Waits until they are in force. A configuration with an error changes "
     "nothing and says why; the runbooks are read all the same, and the exit "
     "status is 1. What takes effect at a restart only is named. Of a runbook "
     "with an error the last good version stays in force.",
     "adctl reload\nadctl reload runbooks -o json\n", cli_reload},
    {"event", "send", "", 0, 0, CLI_NO_SUBJECT, send_flags,
     "send an event and print its id",
     "Once the id is printed, the event is stored. With --wait, -o json "
     "prints one document at the end: the event with its workflows.",
     "adctl event send --type alert --severity warning --source prometheus "
     "\\\n    --label alertname=HighMemoryUsage --label "
     "instance=server-01\n"
     "adctl event send --type metric --metric cpu_usage_percent --value 95\n"
     "adctl event send --file event.json --wait\n",
     cli_event_send},
    {"event", "list", "", 0, 0, CLI_NO_SUBJECT, event_list_flags,
     "events, newest first", "A filter sees event and now: adctl help filters.",
     "adctl event list --type alert --since 1h\n"
     "adctl event list --status error -o json\n"
     "adctl event list --filter 'event.value > 90 && event.labels[?\"env\"] == "
     "\\\n    optional.of(\"prod\")'\n",
     cli_event_list},
    {"event", "show", "ID", 1, 1, CLI_EVENT_ID, no_flags,
     "one event and the workflows it started", NULL,
     "adctl event show @latest\n", cli_event_show},
    {"event", "watch", "", 0, 0, CLI_NO_SUBJECT, no_flags,
     "events as they come",
     "Ends with Ctrl-C. With -o json each event is one line, as with jsonl.",
     "adctl event watch\n", cli_event_watch},
    {"event", "stats", "", 0, 0, CLI_NO_SUBJECT, stats_flags,
     "how many events there are of which kind", NULL,
     "adctl event stats\nadctl event stats --since 1h -o json\n",
     cli_event_stats},
    {"runbook", "list", "", 0, 0, CLI_NO_SUBJECT, runbook_list_flags,
     "the runbooks in force and the files refused", NULL,
     "adctl runbook list --category remediation\n"
     "adctl runbook list --search memory\n",
     cli_runbook_list},
    {"runbook", "show", "RUNBOOK", 1, 1, CLI_RUNBOOK_PATH, no_flags,
     "one runbook: parameters, triggers, limits", NULL,
     "adctl runbook show remediation/restart-service.yaml\n", cli_runbook_show},
    {"runbook", "validate", "[FILE...]", 0, 1000, CLI_FILE, validate_flags,
     "check runbooks",
     "A file that exists here is checked here, without the engine; any "
     "other path is one of the engine's repository. Of a file in the "
     "configured repository it also says whether the executor would run it, "
     "and as root whether the engine can read it. Ends with 1 when there "
     "are errors and with 3 when there are only warnings.",
     "adctl runbook validate ./high-cpu-usage.yaml\n"
     "adctl runbook validate remediation/high-cpu-usage.yaml\n"
     "adctl runbook validate --all /var/lib/autonomous-devops/runbooks\n",
     cli_runbook_validate},
    {"runbook", "lint", "[FILE|DIR...]", 0, 1000, CLI_FILE, lint_flags,
     "the same as adctl lint", LINT_DETAILS,
     "adctl runbook lint high-cpu-usage.yaml\n", cli_lint},
    {"runbook", "test", "FILE|DIR...", 1, 1000, CLI_FILE, test_flags,
     "play the tests of runbooks in virtual time",
     "Matcher, guards and engine are the real ones, the steps' programs are "
     "made up: nothing is run, and no engine is asked. A folder means every "
     "runbook below it. Ends with 1 when a test failed or a file does not "
     "load, and with 3 when there was no test: runbook(5), TESTS.",
     "adctl runbook test ./high-cpu-usage.yaml\n"
     "adctl runbook test runbooks --junit report.xml\n"
     "adctl runbook test runbooks -o json\n",
     cli_runbook_test},
    {"runbook", "backtest", "FILE", 1, 1, CLI_FILE, backtest_flags,
     "replay stored events against a draft",
     "Shows what the runbook would have started since then, for which keys, "
     "and what its triggers' limits and its guards would have held back; "
     "beside the workflows of the runbook of the same name that did run. "
     "Steps take --step-time and succeed. Reads the store of this host, while "
     "the engine runs or not, and changes nothing. Events that met no trigger "
     "then (duplicates, drained and poison ones) are left out.",
     "adctl runbook backtest ./high-cpu-usage.yaml\n"
     "adctl runbook backtest draft.yaml --since 7d --until 1d -o json\n"
     "adctl event list -n 1000 -o jsonl | tac > e.jsonl; \\\n"
     "    adctl runbook backtest draft.yaml --events e.jsonl\n",
     cli_runbook_backtest},
    {"runbook", "new", "NAME", 1, 1, CLI_NO_SUBJECT, new_flags,
     "begin a runbook, with comments", CLI_NEW_DETAILS,
     "adctl runbook new restart-web -t service --output restart-web.yaml\n"
     "adctl runbook new 'Clean the cache' --template cleanup > clean.yaml\n",
     cli_runbook_new},
    {"runbook", "schema", "", 0, 0, CLI_NO_SUBJECT, no_flags,
     "print the JSON Schema of a runbook, for editors",
     "Draft 7, as yaml-language-server reads it. The package installs it "
     "as " RUNBOOK_SCHEMA_PATH "; a runbook names it in its first line: "
     "# yaml-language-server: $schema=FILE",
     "adctl runbook schema > runbook.json\n", cli_runbook_schema},
    {"runbook", "run", "[RUNBOOK]", 0, 1, CLI_RUNBOOK_PATH, run_flags,
     "run a runbook and print the workflow's id",
     "With --wait the result of the workflow becomes the exit status, and "
     "-o json prints the workflow once, at the end; -o jsonl each change. "
     "A dry run shows each step as it would run and what would hold the run "
     "back now, and gives a plan: --plan runs exactly that within 24 hours, "
     "and is refused when the runbook, or what holds it back, has changed.",
     "adctl runbook run remediation/restart-service.yaml -p service=nginx\n"
     "adctl runbook run test.yaml --wait --timeout 5m\n"
     "adctl runbook run test.yaml --dry-run\n"
     "adctl runbook run --plan wf-01jd8c2m4q.9f86d081884c7d65\n"
     "adctl runbook run rotate.yaml --param-file token=/run/token\n",
     cli_runbook_run},
    {"runbook", "disable", "RUNBOOK", 1, 1, CLI_RUNBOOK_PATH, disable_flags,
     "let neither events nor people start a runbook",
     "What runs already goes on, and dry runs are possible.",
     "adctl runbook disable remediation/restart-service.yaml \\\n"
     "    --reason 'restarts the wrong host'\n",
     cli_runbook_disable},
    {"runbook", "enable", "RUNBOOK", 1, 1, CLI_RUNBOOK_PATH, no_flags,
     "let events and people start a runbook again", NULL,
     "adctl runbook enable remediation/restart-service.yaml\n",
     cli_runbook_enable},
    {"runbook", "performance", "[RUNBOOK]", 0, 1, CLI_RUNBOOK_PATH,
     performance_flags, "results and durations by runbook and step",
     "Of the newest 5,000 workflows; dry runs are left out.",
     "adctl runbook performance --since 30d\n"
     "adctl runbook performance remediation/restart-service.yaml\n",
     cli_runbook_performance},
    {"explain", "event", "ID", 1, 1, CLI_EVENT_ID, explain_event_flags,
     "why an event started what it did, or nothing",
     "Every trigger in force is looked at, nearest misses first: each of its "
     "conditions with what the event has, each part of its \"when\" with its "
     "value (\"-\": it did not matter), and of what matches the limits with "
     "their numbers now.",
     "adctl explain event @latest\n"
     "adctl explain event @latest --runbook remediation/high-cpu-usage.yaml\n"
     "adctl explain event @latest --only-starts -o json\n",
     cli_explain_event},
    {"explain", "workflow", "ID", 1, 1, CLI_WORKFLOW_ID, no_flags,
     "which event and trigger started a workflow, and why", NULL,
     "adctl explain workflow @latest\n", cli_explain_workflow},
    {"guard", "list", "", 0, 0, CLI_NO_SUBJECT, guard_list_flags,
     "how guards stand, what triggers remember, and what that holds back",
     "A row for each key of a trigger with cooldown, count or max_runs, for "
     "each runbook's max_starts and breaker, and for max_starts of all: what "
     "would hold back another event now, and for how long. RUNS are of the "
     "window, of so many allowed; EVENTS have come (or, of a breaker, "
     "workflows failed), of so many needed. A filter sees guard and now: "
     "adctl help filters.",
     "adctl guard list\n"
     "adctl guard list --runbook remediation/high-cpu-usage.yaml -o wide\n"
     "adctl guard list --filter 'guard.held_by == \"cooldown\"'\n",
     cli_guard_list},
    {"guard", "reset", "RUNBOOK", 1, 1, CLI_RUNBOOK_PATH, guard_reset_flags,
     "forget what guards and triggers remember of a runbook",
     "Its breaker is closed, its cooldowns and counts begin anew, and what was "
     "escalated may be tried again. The limits themselves stay.",
     "adctl guard reset remediation/high-cpu-usage.yaml\n"
     "adctl guard reset remediation/high-cpu-usage.yaml --trigger '#1' \\\n"
     "    --key instance=web-1\n",
     cli_guard_reset},
    {"guard", "pending", "", 0, 0, CLI_NO_SUBJECT, guard_list_flags,
     "what triggers wait for, and when it is due", NULL,
     "adctl guard pending --runbook web.yaml -o wide\n", cli_guard_pending},
    {"workflow", "list", "", 0, 0, CLI_NO_SUBJECT, workflow_list_flags,
     "workflows, newest first",
     "A filter sees workflow and now: adctl help filters.",
     "adctl workflow list --status failed --since 1h\n"
     "adctl workflow list --filter "
     "'workflow.duration_seconds > 60'\n",
     cli_workflow_list},
    {"workflow", "show", "ID", 1, 1, CLI_WORKFLOW_ID, no_flags,
     "one workflow with its steps", NULL,
     "adctl workflow show @latest\nadctl workflow show @failed -o json\n",
     cli_workflow_show},
    {"workflow", "logs", "ID", 1, 1, CLI_WORKFLOW_ID, logs_flags,
     "what the steps wrote",
     "Control characters are shown as escapes unless --raw is given. With "
     "-o json all pieces are one list.",
     "adctl workflow logs @failed\nadctl workflow logs @latest --follow\n",
     cli_workflow_logs},
    {"workflow", "cancel", "ID", 1, 1, CLI_WORKFLOW_ID, stop_flags,
     "ask a workflow to stop: SIGTERM first", NULL,
     "adctl workflow cancel wf-01jc --wait\n", cli_workflow_cancel},
    {"workflow", "kill", "ID", 1, 1, CLI_WORKFLOW_ID, stop_flags,
     "end a workflow and its processes at once: SIGKILL", NULL,
     "adctl workflow kill wf-01jc\n", cli_workflow_kill},
    {"workflow", "retry", "ID", 1, 1, CLI_WORKFLOW_ID, retry_flags,
     "begin a workflow anew from the step that failed",
     "Another workflow takes over what is done. The runbook must not differ.",
     "adctl workflow retry @failed --wait\n", cli_workflow_retry},
    {"workflow", "rerun", "ID", 1, 1, CLI_WORKFLOW_ID, stop_flags,
     "do all of a workflow again, with the same parameters", NULL,
     "adctl workflow rerun @latest --wait\n", cli_workflow_rerun},
    {"workflow", "verdict", "ID VERDICT", 2, 2, CLI_WORKFLOW_ID, verdict_flags,
     "say whether an event was right to start a workflow",
     "VERDICT is correct, false_positive, or none to take it back.",
     "adctl workflow verdict @latest correct\n"
     "adctl workflow verdict wf-01jc false_positive --note 'planned "
     "downtime'\n",
     cli_workflow_verdict},
    {"workflow", "archive", "", 0, 0, CLI_NO_SUBJECT, archive_flags,
     "move old workflows from the store to a file",
     "The file has one JSON object a line, with steps and output.",
     "adctl workflow archive --before 90d\n", cli_workflow_archive},
    {"metrics", "show", "", 0, 0, CLI_NO_SUBJECT, no_flags,
     "the engine's numbers", NULL, "adctl metrics\nadctl metrics -o json\n",
     cli_metrics_show},
    {"metrics", "history", "[METRIC]", 0, 1, CLI_NO_SUBJECT, history_flags,
     "how a number went over time",
     "Without a METRIC, the list of those that have a history. Kept for 6 h "
     "by 10 s, for 3 days by the minute, for 90 days by 10 minutes.",
     "adctl metrics history\n"
     "adctl metrics history event_queue_depth\n"
     "adctl metrics history ingestion_rate --since 24h --step 1h\n",
     cli_metrics_history},
    {"slo", "show", "", 0, 0, CLI_NO_SUBJECT, slo_flags,
     "the platform's objectives and how they stand",
     "Over the last 30 days unless --since says otherwise. Ends with 1 when an "
     "objective is missed. What nobody knows yet is unknown: two objectives "
     "need verdicts (adctl workflow verdict, adctl slo missed).",
     "adctl slo\nadctl slo --since 7d\nadctl slo -o json\n", cli_slo_show},
    {"slo", "missed", "[SUMMARY]", 0, 1, CLI_NO_SUBJECT, missed_flags,
     "record an incident that nothing noticed, or list them", NULL,
     "adctl slo missed\n"
     "adctl slo missed 'disk of db-1 was full' --at 2026-11-27T14:00:00Z\n",
     cli_slo_missed},
    {"slo", "withdraw", "ID", 1, 1, CLI_NO_SUBJECT, no_flags,
     "take back that an incident was missed", NULL,
     "adctl slo withdraw mis-01jc8y3k5v9x2m4n6p8q0r1s3t\n", cli_slo_withdraw},
    {"kill-switch", "show", "", 0, 0, CLI_NO_SUBJECT, switch_flags,
     "whether it is on, who has put it on, and why", NULL,
     "adctl kill-switch\nadctl kill-switch show -o json\n",
     cli_kill_switch_show},
    {"kill-switch", "on", "", 0, 0, CLI_NO_SUBJECT, switch_on_flags,
     "let nothing begin: no workflow, no step",
     "Events are taken and wait. What has begun goes on: see adctl workflow "
     "list --status running, and adctl workflow kill. It stays on over "
     "restarts, until somebody takes it off. Time limits of workflows stand "
     "still meanwhile. Where the engine does not do it, the file is written "
     "by hand, and engine and executor obey it. An engine that may be in "
     "somebody else's hands removes that file: --lock writes kill-switch "
     "beside the configuration instead, which only root may.",
     "adctl kill-switch on\n"
     "sudo adctl kill-switch on --lock\n"
     "adctl kill-switch on --reason 'it restarts the wrong host'\n",
     cli_kill_switch_on},
    {"kill-switch", "off", "", 0, 0, CLI_NO_SUBJECT, switch_off_flags,
     "let things begin again",
     "What waits begins at once, all of it: look at "
     "adctl queue and adctl workflow list --status queued before. Whoever puts "
     "it on meanwhile wins. Root's own file goes with --lock.",
     "adctl kill-switch off\nsudo adctl kill-switch off --lock\n",
     cli_kill_switch_off},
    {"queue", "show", "", 0, 0, CLI_NO_SUBJECT, no_flags,
     "what waits, and for how long yet", NULL,
     "adctl queue\nadctl queue show -o json\n", cli_queue_show},
    {"queue", "drain", "", 0, 0, CLI_NO_SUBJECT, no_flags,
     "pause, and set aside all queued events",
     "The events are kept: adctl event list --status drained.",
     "adctl queue drain\n", cli_queue_drain},
    {"queue", "pause", "", 0, 0, CLI_NO_SUBJECT, no_flags,
     "let events wait in the queue", NULL, "adctl queue pause\n",
     cli_queue_pause},
    {"queue", "resume", "", 0, 0, CLI_NO_SUBJECT, no_flags,
     "process queued events again", NULL, "adctl queue resume\n",
     cli_queue_resume},
    {"queue", "replay", "", 0, 0, CLI_NO_SUBJECT, no_flags,
     "queue all drained events again", NULL, "adctl queue replay\n",
     cli_queue_replay},
    {"queue", "clear", "", 0, 0, CLI_NO_SUBJECT, no_flags,
     "put all drained events away, for retention to remove",
     "Until then they are kept, however old. Queued events stay.",
     "adctl queue clear\n", cli_queue_clear},
    {"queue", "priority", "[PRIORITY|none]", 0, 1, CLI_NO_SUBJECT,
     priority_flags,
     "say which events go first: 0 is the most urgent, 9 the least",
     "Holds for events to come and for those that wait, whatever they say "
     "themselves, until it is withdrawn with none; those that wait then keep "
     "what they have. Without a priority: lists what holds.",
     "adctl queue priority 1 --type alert --severity critical\n"
     "adctl queue priority\n"
     "adctl queue priority none --type alert --severity critical\n",
     cli_queue_priority},
    {"worker", "list", "", 0, 0, CLI_NO_SUBJECT, worker_flags,
     "the event workers and what each is doing", NULL, "adctl worker list\n",
     cli_worker_list},
    {"worker", "scale", "NUMBER|default", 1, 1, CLI_NO_SUBJECT, no_flags,
     "set the number of event workers",
     "Holds over restarts and instead of engine.event_processing.workers of "
     "the configuration, until default goes back to that. adctl worker list "
     "tells who has set it.",
     "adctl worker scale 8\nadctl worker scale default\n", cli_worker_scale},
    {"worker", "restart", "", 0, 0, CLI_NO_SUBJECT, no_flags,
     "new worker threads; events of stuck ones are queued again", NULL,
     "adctl worker restart\n", cli_worker_restart},
    {"poison", "list", "", 0, 0, CLI_NO_SUBJECT, poison_list_flags,
     "events whose processing failed for good", NULL,
     "adctl poison list --since 1d\n", cli_poison_list},
    {"poison", "show", "ID", 1, 1, CLI_POISON_ID, no_flags,
     "one of them, and why", NULL, "adctl poison show evt-01jc\n",
     cli_poison_show},
    {"poison", "requeue", "[ID]", 0, 1, CLI_POISON_ID, poison_flags,
     "queue one or all of them again", NULL,
     "adctl poison requeue evt-01jc\nadctl poison requeue --every\n",
     cli_poison_requeue},
    {"poison", "clear", "[ID]", 0, 1, CLI_POISON_ID, poison_flags,
     "put one or all of them away", NULL,
     "adctl poison clear evt-01jc\nadctl poison clear --every\n",
     cli_poison_clear},
    {"audit", "list", "", 0, 0, CLI_NO_SUBJECT, audit_flags,
     "what people have changed, newest first", NULL,
     "adctl audit list --limit 20\n", cli_audit_list},
    {"audit", "verify", "", 0, 0, CLI_NO_SUBJECT, verify_flags,
     "check that no row of the trail was changed or taken out",
     "Ends with 1 when one was. Keep what it prints elsewhere: with --known it "
     "tells later whether everything up to there is what it was, which the "
     "trail by itself cannot.",
     "adctl audit verify\nadctl audit verify --known "
     "7:5d41402abc4b2a76b9719d911017c592...\n",
     cli_audit_verify},
    {"backup", "make", "", 0, 0, CLI_NO_SUBJECT, backup_make_flags,
     "copy store, runbooks and configuration, and verify the copy",
     "\"adctl backup\" alone does the same. Works while the engine writes "
     "and while it is down. Secrets are not in it. Old backups are removed as "
     "the configuration says. Ends with 3 when the backup was made and is "
     "incomplete: runbooks could not be read, and it says which and why.",
     "adctl backup\nadctl backup --to /mnt/backups -o json\n", cli_backup_make},
    {"backup", "list", "", 0, 0, CLI_NO_SUBJECT, backup_flags,
     "the backups that there are, newest first", NULL, "adctl backup list\n",
     cli_backup_list},
    {"backup", "verify", "[BACKUP]", 0, 1, CLI_BACKUP, backup_flags,
     "read every byte of a backup and say whether it is good",
     "Without a name, the newest that is good.",
     "adctl backup verify\n"
     "adctl backup verify backup-20261127T024500Z\n",
     cli_backup_verify},
    {"backup", "acknowledge", "", 0, 0, CLI_NO_SUBJECT, no_flags,
     "tell the engine that the restore is known",
     "Until then its health is degraded.", "adctl backup acknowledge\n",
     cli_backup_acknowledge},
    {"restore", NULL, "[BACKUP]", 0, 1, CLI_BACKUP, restore_flags,
     "put a verified backup in place; the engine must be down for the state",
     "Without a name, the newest that is good. The state is replaced; runbooks "
     "are put back where there are none, and the configuration where there is "
     "none. --only and --everything replace those too. What was there is set "
     "aside, never deleted; a git repository of the runbooks stays. Killed at "
     "any moment, the store is the old one or the new one. Not in any backup: "
     "secrets of the configuration, and secrets.key, without which stored "
     "credentials cannot be read. Ends with 3 when not all could be put back.",
     "adctl restore --dry-run\n"
     "adctl restore backup-20261127T024500Z\n"
     "adctl restore --from /mnt/backups --everything\n"
     "adctl restore --only runbooks\n",
     cli_restore},
    {"integration", "list", "", 0, 0, CLI_NO_SUBJECT, partner_flags,
     "the partner systems and whether they are well", NULL,
     "adctl integration list\nadctl integration list -o json\n",
     cli_integration_list},
    {"integration", "show", "NAME", 1, 1, CLI_INTEGRATION, no_flags,
     "one partner system's settings; of secrets only whether they are set",
     NULL, "adctl integration show prometheus\n", cli_integration_show},
    {"integration", "health", "[NAME]", 0, 1, CLI_INTEGRATION, no_flags,
     "ask a partner system now whether it is well",
     "Without a name: what is known of all. Ends with 1 when one that is used "
     "is not well.",
     "adctl integration health\nadctl integration health prometheus\n",
     cli_integration_health},
    {"integration", "test", "NAME", 1, 1, CLI_INTEGRATION, no_flags,
     "try a partner system for real",
     "PagerDuty gets an incident that resolves at once, Slack a message; both "
     "say that they are a test.",
     "adctl integration test prometheus\nadctl integration test slack\n",
     cli_integration_test},
    {"integration", "set", "NAME FIELD...", 2, 20, CLI_INTEGRATION, no_flags,
     "set fields of a partner system",
     "FIELD is NAME=VALUE, or NAME@FILE for a value from a file (- is "
     "standard input); of a list the elements stand between semicolons, so "
     "quote it. A secret comes from a file, because others can read command "
     "lines. NAME= goes back to the configuration file's value.",
     "adctl integration set prometheus url=http://localhost:9090 timeout=10\n"
     "adctl integration set slack 'notify_on=failed;held'\n"
     "adctl integration set pagerduty routing_key@/root/routing-key\n",
     cli_integration_set},
    {"integration", "outbox", "NAME", 1, 1, CLI_INTEGRATION, outbox_flags,
     "notices that wait to be sent to a partner system, or were given up", NULL,
     "adctl integration outbox pagerduty\n"
     "adctl integration outbox slack --state dead\n",
     cli_integration_outbox},
    {"integration", "enable", "NAME", 1, 1, CLI_INTEGRATION, no_flags,
     "use a partner system again", NULL, "adctl integration enable slack\n",
     cli_integration_enable},
    {"integration", "disable", "NAME", 1, 1, CLI_INTEGRATION, no_flags,
     "do not use a partner system",
     "What waits to be sent to it is dropped, and listed as dead.",
     "adctl integration disable slack\n", cli_integration_disable},
    {"integration", "pause", "NAME", 1, 1, CLI_INTEGRATION, no_flags,
     "let what is for a partner system wait",
     "A paused metrics-scraper reads nothing.",
     "adctl integration pause metrics-scraper\n", cli_integration_pause},
    {"integration", "resume", "NAME", 1, 1, CLI_INTEGRATION, no_flags,
     "go on after a pause", NULL, "adctl integration resume metrics-scraper\n",
     cli_integration_resume},
    {"lint", NULL, "[FILE|DIR...]", 0, 1000, CLI_FILE, lint_flags,
     "find what is wrong or unsafe in runbooks", LINT_DETAILS,
     "adctl lint\n"
     "adctl lint high-cpu-usage.yaml\n"
     "adctl lint -f sarif /var/lib/autonomous-devops/runbooks > lint.sarif\n"
     "adctl lint --rules\n",
     cli_lint},
    {"expr", "eval", "EXPR", 1, 1, CLI_NO_SUBJECT, eval_flags,
     "try an expression (CEL) on an event",
     "Works without the engine. The expression sees event, parameters and "
     "now. Problems are shown with their place and what to write instead; "
     "warnings name labels that may be missing. Ends with 1 when there is no "
     "value.",
     "adctl expr eval 'event.value > 90 && event.labels.env == \"prod\"' "
     "-e event.json\n"
     "adctl event show ID -o json | adctl expr eval 'event.labels' -e -\n"
     "adctl expr eval 'cidr(\"10.0.0.0/8\").containsIP(\"10.1.2.3\")'\n"
     "adctl expr eval --step values.json 'steps.look.outputs.used > 85'\n",
     cli_expr_eval},
    {"expr", "functions", "[WORD]", 0, 1, CLI_NO_SUBJECT, no_flags,
     "list the functions of expressions",
     "With a word, those that have it in their name or description.",
     "adctl expr functions\nadctl expr functions split\n", cli_expr_functions},
    {"expr", "variables", "[WORD]", 0, 1, CLI_NO_SUBJECT, no_flags,
     "list what expressions see of an event",
     "With a word, those that have it in their name or description.",
     "adctl expr variables\nadctl expr variables label\n", cli_expr_variables},
    {"expr", "conformance", "FILE", 1, 1, CLI_FILE, no_flags,
     "run cases of CEL's conformance suite",
     "One case a line, as JSON: expr with value, error or deduced_type, and "
     "bindings, type_env, container, disable_check or check_only where needed. "
     "Prints each case that fails, and how many passed and failed. Ends with "
     "1 when one failed.",
     "adctl expr conformance conformance.jsonl\n", cli_expr_conformance},
    {"completion", NULL, "SHELL", 1, 1, CLI_SHELL, no_flags,
     "print the completion script for bash, zsh or fish", NULL,
     "adctl completion bash > /etc/bash_completion.d/adctl\n", cli_completion},
    {"version", NULL, "", 0, 0, CLI_NO_SUBJECT, no_flags,
     "the version of adctl and of the engine", NULL, "adctl version\n",
     cli_version},
    {"help", NULL, "[COMMAND | TOPIC]", 0, 2, CLI_TOPIC, no_flags,
     "help for a command or a topic", NULL,
     "adctl help event send\nadctl help exit-codes\n", cli_help},
};

const size_t cli_command_count = ARRAY_LEN(cli_commands);
