/*
 * CEL, the expression language of runbooks, filters and policies: text in, a
 * program out, made once and evaluated often. Evaluating reads no clock and
 * no file: the time is a variable like any other, and the host tells the
 * offsets of time zones. Every evaluation ends within its budget.
 *
 * A program is immutable and may be run by any number of threads at once,
 * each with an arena of its own. It lives in the arena that it was made in;
 * its environment must outlive it. Pure.
 */
#pragma once

#include "expr/cel_check.h"
#include "expr/cel_env.h"
#include "expr/cel_issue.h"
#include "expr/cel_value.h"

struct cel_program;

/* Where values come from during one evaluation. */
struct cel_input {
    /* The value of variable number `index` of the environment; an error if
     * there is none (see cel_fail). */
    struct cel_value (*variable)(void *context, uint32_t index,
                                 struct cel_run *run);
    /* Seconds east of UTC of a zone ("Europe/Vienna") at an instant: 0 or
     * negative when there is no such zone. NULL: fixed offsets only. */
    int (*zone)(void *context, struct str name, int64_t seconds,
                int32_t *ret_offset);
    void *context;
};

/* What one evaluation may use. A unit is about one step of the evaluator; a
 * byte is one of the evaluation's arena. */
struct cel_budget {
    int64_t units;
    size_t bytes;
};

#define CEL_BUDGET_DEFAULT                                                     \
    ((struct cel_budget){.units = 100000, .bytes = 1024UL * 1024})

/* Parses, checks and compiles text, which is copied. Returns 0, or -EBADMSG
 * or -E2BIG with the issue set. */
NODISCARD int cel_program_new(const struct cel_env *env, struct str text,
                              struct arena *a, struct cel_program **ret,
                              struct cel_issue *issue);

/* The type of what it gives; dyn if it was not checked. */
const struct cel_type *cel_program_type(const struct cel_program *p);

/* The expression. */
struct str cel_program_text(const struct cel_program *p);

/* Accesses that can fail when a label is missing. */
const struct cel_warnings *cel_program_warnings(const struct cel_program *p);

/* What it asks of the variables. */
const struct cel_uses *cel_program_uses(const struct cel_program *p);

/* Evaluates; the value (an error among them) lives as long as the arena, the
 * program and the variables. input NULL: there are no variables. */
struct cel_value cel_program_run(const struct cel_program *p,
                                 const struct cel_input *input,
                                 struct cel_budget budget, struct arena *a);

/* The same, and takes what it has used off the budget: for several
 * evaluations that share one. */
struct cel_value cel_program_spend(const struct cel_program *p,
                                   const struct cel_input *input,
                                   struct cel_budget *budget, struct arena *a);

/* An error value as an issue of the program's text. */
void cel_program_issue(const struct cel_program *p, struct cel_value error,
                       struct cel_issue *ret);
