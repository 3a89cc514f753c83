/*
 * Inside of lint, shared by its files: one run over one file, and what the
 * rules use to look and to report. Pure.
 */
#pragma once

#include "data/yaml.h"
#include "lint/lint.h"
#include "lint/shell.h"

/* Rules that others speak for; each is a row of the table. */
#define RULE_ERROR "runbook-error"
#define RULE_WARNING "runbook-warning"
#define RULE_TEMPLATE "event-in-shell"
#define RULE_BAD_ALLOW "bad-allow"
#define RULE_UNUSED_ALLOW "unused-allow"

/* Of shell text, so much is looked at: rules may take time that grows with the
 * square of it. */
#define LINT_SCRIPT_MAX_BYTES (64UL * 1024)

/* What a template in argv is taken for: the value of a parameter. */
#define LINT_PARAM STR("ADP_PARAM_")

struct lint {
    struct arena arena;
    struct str text;
    const struct yaml_node *root; /* NULL: no YAML, or empty */
    bool more;                    /* rules that are asked for look as well */
    const struct lint_rule *rule; /* the one that looks */
    struct lint_report *report;
    char field[64];     /* of the step: "steps[2]" */
    struct err dropped; /* what does not fit in the report */
};

/* What a step runs: shell text, the step's own or what its argv gives to
 * "sh -c", or argv as one command. */
struct lint_script {
    const struct yaml_node *text; /* NULL: it is argv */
    const struct yaml_node *argv;
    struct shell_script shell;
    bool errexit; /* also by "sh -e" */
};

/* Reports for the rule that looks; the hint is the rule's fix unless another
 * is given afterwards. */
struct err *lint_add(struct lint *l, struct place at, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

/* The same at an offset of what a step runs. The place is exact where the
 * text stands in the file as it is, else that of the whole text. */
struct err *lint_add_in(struct lint *l, const struct lint_script *s,
                        uint32_t offset, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

/* Is s one of the words? The list ends with NULL. */
bool lint_is_one_of(struct str s, const char *const *words);

/* The path without its folders. */
struct str lint_base_name(struct str path);

extern const char *const lint_shells[];

/* Would this name be that of a secret (API_TOKEN, db_password)? */
bool lint_is_secret_name(struct str name);

/* Does this look like a secret itself (ghp_..., AKIA...)? */
bool lint_is_secret_value(struct str value);

/* Removes what comments allow, and reports comments that are wrong. */
void lint_apply_comments(struct lint *l);

/* The rules' functions: steps.c, script.c, secrets.c. */
lint_step_fn lint_run_as_root, lint_retry, lint_timeout, lint_secret_in_env;
lint_file_fn lint_secret_parameter, lint_untested;
lint_script_fn lint_secret_in_script;
lint_script_fn lint_template, lint_eval, lint_pipe_to_shell, lint_remove;
lint_script_fn lint_sudo, lint_tls, lint_kill_by_name, lint_temporary;
lint_script_fn lint_writable, lint_unquoted, lint_errexit, lint_background;
lint_script_fn lint_curl, lint_own_engine;
