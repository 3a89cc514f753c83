/*
 * What helps to write runbooks: adctl lint and adctl runbook new. The formats
 * of lint, and the templates, one table each.
 */
#pragma once

#include <jansson.h>

#include "app/cli.h"
#include "base/strbuf.h"
#include "lint/lint.h"

/* ---- adctl runbook new ----------------------------------------------------
 */

struct cli_template {
    const char *name;
    const char *summary; /* no full stop */
    const char *text;    /* @NAME@ stands for the runbook's name */
};

extern const struct cli_template cli_templates[];
extern const size_t cli_template_count;

/* The names of the templates, NULL behind the last. */
extern const char *const cli_template_names[];

#define CLI_NEW_DETAILS                                                        \
    "The result loads, is free of findings and names the schema that editors " \
    "use. A file that is there already is never touched. Templates: shell "    \
    "(a command with a parameter, by hand or by an alert), service (restart "  \
    "a unit and verify), metric (act on a value, and only when it is still "   \
    "too high), webhook (take a value out of a payload), cleanup (remove old " \
    "files below one folder), secret (call an API with a token)."

/* Appends the template with the name of the runbook in its places. */
void cli_template_fill(const struct cli_template *t, struct str name,
                       struct strbuf *out);

/* ---- adctl lint -----------------------------------------------------------
 */

extern const char *const cli_lint_formats[]; /* NULL behind the last */

/* One run of the linter over files. */
struct cli_lint_run {
    struct cli *cli;
    const char *format; /* one of cli_lint_formats */
    json_t *items;      /* {path, line, column, severity, rule...} */
    unsigned files;
    unsigned counts[LINT_SEVERITIES];
    unsigned allowed;
};

/* Adds what was found in a file. */
void cli_lint_add(struct cli_lint_run *run, const char *path,
                  const struct lint_report *report);

/* Prints everything in the format that was asked for. */
void cli_lint_print(struct cli_lint_run *run);

/* Prints the rules. */
void cli_lint_print_rules(struct cli *cli);
