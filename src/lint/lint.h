/*
 * What is wrong with a runbook, and what is unsafe in it though it loads:
 * everything that the loader says, and the rules of one table (rules.c), each
 * with what is the matter and how to write it instead. From that table come
 * the manual page runbook-lint(7), `adctl lint --rules` and the tests.
 *
 * A comment in the file allows a finding and says why:
 *
 *     # lint: allow RULE REASON
 *
 * on the line of the finding, or on a line of its own above the key or step
 * that it is about. Pure; any thread.
 */
#pragma once

#include "base/err.h"
#include "base/strbuf.h"
#include "base/vec.h"
#include "model/runbook_load.h"

enum lint_severity { LINT_NOTE, LINT_WARNING, LINT_ERROR, LINT_SEVERITIES };

/* "note", "warning", "error". */
const char *lint_severity_name(enum lint_severity s);

struct lint;
struct lint_script;
struct yaml_node;

/* Look at the whole file, at one step, at what a step runs. */
typedef void lint_file_fn(struct lint *l);
typedef void lint_step_fn(struct lint *l, const struct yaml_node *step);
typedef void lint_script_fn(struct lint *l, const struct lint_script *s);

struct lint_rule {
    const char *id;
    enum lint_severity severity;
    bool asked;          /* it looks only for those who ask for more */
    const char *summary; /* no full stop */
    const char *why;     /* sentences */
    const char *fix;     /* what to do, no full stop */
    const char *bad;     /* the "steps:" of a runbook, or a whole one */
    const char *good;
    /* One of these; none where the loader or the comments speak. */
    lint_file_fn *file;
    lint_step_fn *step;
    lint_script_fn *script;
};

extern const struct lint_rule lint_rules[];
extern const size_t lint_rule_count;

/* The rule of that name; NULL, and the nearest name in *ret_nearest (NULL if
 * none is near), when there is none. */
const struct lint_rule *lint_rule(struct str id, const char **ret_nearest);

struct lint_finding {
    const struct lint_rule *rule;
    struct err err; /* place, field, message; the hint is the way out */
};

#define LINT_MAX_FINDINGS 500 /* of one file */

struct lint_report {
    VEC(struct lint_finding) findings; /* in the order of the file */
    uint32_t counts[LINT_SEVERITIES];
    uint32_t allowed; /* findings that comments allow */
    bool cut;         /* there were more */
};

/* Checks the text of the runbook at `path`; the report has to be deinit'ed. */
void lint_runbook(struct str path, struct str text,
                  const struct runbook_defaults *defaults,
                  struct lint_report *ret);
/* The same with the rules that look only when asked. */
void lint_runbook_more(struct str path, struct str text,
                       const struct runbook_defaults *defaults,
                       struct lint_report *ret);
void lint_report_deinit(struct lint_report *r);

/* Appends the rules as sections of runbook-lint(7) in scdoc. */
void lint_add_man(struct strbuf *out);
