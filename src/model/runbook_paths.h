/*
 * Which ${{ }} a runbook may use, and where: the event in a trigger's
 * `parameters:`; parameters, the workflow and the steps before in `argv:` and
 * `env:` of a step; nothing in `command:`. Part of the loader. Pure.
 */
#pragma once

#include "model/runbook_load_priv.h"

/* ---- places inside a scalar (runbook_read.c) ----------------------------- */

/* As loader_error, at byte `offset` of a scalar's text. */
struct err *loader_error_in(struct loader *l, const struct yaml_node *n,
                            size_t offset, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

/* Reports what is wrong with an expression, or to look out for, whose places
 * are those of the scalar's text. */
void loader_issue(struct loader *l, const struct yaml_node *n,
                  const struct cel_issue *issue);
void loader_issue_warning(struct loader *l, const struct yaml_node *n,
                          const struct cel_issue *issue);

/* ---- where ${{ }} stands --------------------------------------------------
 */

/* Compile every expression of the template and report what is wrong with it,
 * and every path that has no place there. `p` is the parameter that a
 * trigger's entry fills, NULL if there is no such one. */
void paths_check_trigger(struct loader *l, const struct yaml_node *n,
                         struct template *t, const struct param *p);
void paths_check_step(struct loader *l, const struct yaml_node *n,
                      struct template *t);

/* For an element of argv: secrets have no place there either. */
void paths_check_argument(struct loader *l, const struct yaml_node *n,
                          struct template *t);

/* Reports ${{ in shell text, with the way to write it instead, and
 * $ADP_PARAM_ names that no parameter has. */
void paths_check_command(struct loader *l, const struct yaml_node *n,
                         struct str command);

/* ---- expressions (runbook_exprs.c) --------------------------------------- */

/* Compiles a part that is an expression; false after reporting. Labels without
 * a guard are warned of. */
NODISCARD bool exprs_compile_trigger(struct loader *l,
                                     const struct yaml_node *n,
                                     const struct template *t,
                                     struct template_part *part,
                                     struct str text, const struct param *p);

/* The same in a step, where what may have no value is an error. */
bool exprs_compile_step(struct loader *l, const struct yaml_node *n,
                        struct template_part *part, struct str text);

/* What the next step may use. */
struct step_scope *exprs_scope(struct loader *l);

/* A step, whose section is known, is about to be read; it has been, all of
 * it. */
void exprs_step_begin(struct loader *l, const struct step *s);
void exprs_step_done(struct loader *l, struct step *s);

/* Adds to an issue in a step how it comes by what an event says. */
void exprs_explain_event(struct cel_issue *issue);

/* A secret parameter that the program may read, or NULL. */
const struct param *exprs_secret(const struct runbook *rb,
                                 const struct cel_program *p);
