/*
 * The table of commands and flags. A new command is a row here and its
 * function. A flag of one name takes a value in all commands or in none, so
 * that flags may stand before the command (checked by a test); a letter of
 * which two commands make different things stands behind its command.
 */
#pragma once

#include "app/cli.h"
#include "base/strbuf.h"

struct cli_flag {
    const char *name;           /* without the dashes */
    char letter;                /* 0: none */
    const char *value;          /* what stands behind it; NULL: a switch */
    const char *help;           /* no full stop */
    const char *const *choices; /* for completion and checks; may be NULL */
};

/* What stands behind a command, for completion. */
enum cli_subject {
    CLI_NO_SUBJECT,
    CLI_EVENT_ID,
    CLI_POISON_ID,
    CLI_WORKFLOW_ID,
    CLI_RUNBOOK_PATH,
    CLI_INTEGRATION,
    CLI_FILE,
    CLI_BACKUP,
    CLI_SHELL,
    CLI_TOPIC
};

struct cli_command {
    const char *noun;
    const char *verb;      /* NULL: the noun is the whole command */
    const char *arguments; /* "ID", "[FILE...]", "" */
    unsigned min_words;
    unsigned max_words;
    enum cli_subject subject;
    const struct cli_flag *flags; /* ends with a row without a name */
    const char *summary;          /* no full stop */
    const char *details;          /* sentences, or NULL */
    const char *examples;         /* one per line */
    int (*run)(struct cli *cli);
};

extern const struct cli_command cli_commands[];
extern const size_t cli_command_count;
extern const struct cli_flag cli_global_flags[];

/* Other names: "runs" for "workflow", "ls" for "list". */
struct cli_alias {
    const char *alias;
    const char *name;
};

extern const struct cli_alias cli_noun_aliases[];
extern const size_t cli_noun_alias_count;
extern const struct cli_alias cli_verb_aliases[];
extern const size_t cli_verb_alias_count;

/* What a noun alone does: "backup" is "backup make". */
extern const struct cli_alias cli_default_verbs[];
extern const size_t cli_default_verb_count;

/* Pages of `adctl help TOPIC`. */
struct cli_topic {
    const char *name;
    const char *title; /* of its section in adctl(1) */
    const char *summary;
    const char *text;
};

extern const struct cli_topic cli_topics[];
extern const size_t cli_topic_count;

/* The command of that noun and verb (NULL: none needed), or NULL. */
const struct cli_command *cli_find(struct str noun, struct str verb);

/* Does the command have a flag of its own of this global one's name? */
bool cli_hides(const struct cli_command *c, const struct cli_flag *global);

/* Parses the words and flags into cli; 0 or CLI_USAGE (printed). */
NODISCARD int cli_parse(struct cli *cli, int argc, char *const *argv);

/* Help: for everything, for a command, for a noun; appended to out. */
void cli_add_help(struct strbuf *out);
void cli_add_command_help(const struct cli_command *c, struct strbuf *out);
void cli_add_noun_help(struct str noun, struct strbuf *out);

/* The commands as sections of adctl(1) in scdoc. */
void cli_add_man(struct strbuf *out);

/* A completion script; 0, or -ENOENT for a shell that has none. */
NODISCARD int cli_add_completion(struct str shell, struct strbuf *out);

/* The commands. */
int cli_status(struct cli *cli);
int cli_doctor(struct cli *cli);
int cli_reload(struct cli *cli);
int cli_event_send(struct cli *cli);
int cli_event_list(struct cli *cli);
int cli_event_show(struct cli *cli);
int cli_event_watch(struct cli *cli);
int cli_explain_event(struct cli *cli);
int cli_explain_workflow(struct cli *cli);
int cli_runbook_list(struct cli *cli);
int cli_runbook_show(struct cli *cli);
int cli_runbook_validate(struct cli *cli);
int cli_runbook_run(struct cli *cli);
int cli_runbook_schema(struct cli *cli);
int cli_runbook_new(struct cli *cli);
int cli_runbook_test(struct cli *cli);
int cli_runbook_backtest(struct cli *cli);
int cli_lint(struct cli *cli);
int cli_workflow_list(struct cli *cli);
int cli_workflow_show(struct cli *cli);
int cli_workflow_logs(struct cli *cli);
int cli_workflow_cancel(struct cli *cli);
int cli_workflow_kill(struct cli *cli);
int cli_workflow_retry(struct cli *cli);
int cli_workflow_rerun(struct cli *cli);
int cli_workflow_verdict(struct cli *cli);
int cli_guard_list(struct cli *cli);
int cli_guard_reset(struct cli *cli);
int cli_guard_pending(struct cli *cli);
int cli_slo_show(struct cli *cli);
int cli_slo_missed(struct cli *cli);
int cli_slo_withdraw(struct cli *cli);
int cli_metrics_show(struct cli *cli);
int cli_metrics_history(struct cli *cli);
int cli_backup_make(struct cli *cli);
int cli_backup_list(struct cli *cli);
int cli_backup_verify(struct cli *cli);
int cli_backup_acknowledge(struct cli *cli);
int cli_restore(struct cli *cli);
int cli_integration_list(struct cli *cli);
int cli_integration_show(struct cli *cli);
int cli_integration_health(struct cli *cli);
int cli_integration_test(struct cli *cli);
int cli_integration_set(struct cli *cli);
int cli_integration_enable(struct cli *cli);
int cli_integration_disable(struct cli *cli);
int cli_integration_pause(struct cli *cli);
int cli_integration_resume(struct cli *cli);
int cli_integration_outbox(struct cli *cli);
int cli_event_stats(struct cli *cli);
int cli_runbook_enable(struct cli *cli);
int cli_runbook_disable(struct cli *cli);
int cli_runbook_performance(struct cli *cli);
int cli_workflow_archive(struct cli *cli);
int cli_kill_switch_show(struct cli *cli);
int cli_kill_switch_on(struct cli *cli);
int cli_kill_switch_off(struct cli *cli);
int cli_queue_show(struct cli *cli);
int cli_queue_drain(struct cli *cli);
int cli_queue_pause(struct cli *cli);
int cli_queue_resume(struct cli *cli);
int cli_queue_replay(struct cli *cli);
int cli_queue_clear(struct cli *cli);
int cli_queue_priority(struct cli *cli);
int cli_worker_list(struct cli *cli);
int cli_worker_scale(struct cli *cli);
int cli_worker_restart(struct cli *cli);
int cli_poison_list(struct cli *cli);
int cli_poison_show(struct cli *cli);
int cli_poison_requeue(struct cli *cli);
int cli_poison_clear(struct cli *cli);
int cli_audit_list(struct cli *cli);
int cli_audit_verify(struct cli *cli);
int cli_expr_eval(struct cli *cli);
int cli_expr_functions(struct cli *cli);
int cli_expr_variables(struct cli *cli);
int cli_expr_conformance(struct cli *cli);
int cli_completion(struct cli *cli);
int cli_version(struct cli *cli);
int cli_help(struct cli *cli);
