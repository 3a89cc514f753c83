/*
 * The compiled form: a tree of operations, each a function over its own
 * record. Immutable after it is made; any thread.
 */
#pragma once

#include "expr/cel.h"
#include "expr/cel_ast.h"

struct cel_op;
struct re_program;

typedef struct cel_value cel_op_fn(const struct cel_op *op,
                                   struct cel_run *run);

struct cel_op {
    cel_op_fn *run;
    cel_call_fn *call; /* of an operator */
    const struct cel_op *target;
    const struct cel_op **args; /* NULL among them: no filter */
    struct cel_value value;     /* literal, or the key of a select */
    const struct cel_function *const *rows; /* overloads to choose from */
    const struct re_program *pattern;       /* of matches() with a literal */
    const char *name;
    uint32_t arg_count;
    uint32_t row_count;
    uint32_t offset;
    uint32_t index; /* variable, local or hint */
    uint32_t local; /* of a loop or bind: where its first name is kept */
    enum cel_loop loop;
    bool has_second; /* a loop with two names */
    bool is_optional;
    bool is_member;
    const bool *maybe; /* by element or entry: it stands behind ? */
};

struct cel_program {
    const struct cel_env *env;
    const struct cel_op *root;
    struct str text;
    struct cel_checked checked;
    struct cel_warnings *warnings;
    struct cel_uses uses;
};

/* Compiles a checked tree. Returns NULL with the issue set if a literal
 * pattern is not a regular expression. */
const struct cel_op *cel_compile(const struct cel_env *env, struct str text,
                                 struct cel_node *root, struct arena *a,
                                 struct cel_issue *issue);

/* Runs one operation; the budget is asked first. */
static inline struct cel_value cel_op_eval(const struct cel_op *op,
                                           struct cel_run *run)
{
    if (__builtin_expect(--run->units < 0, 0)) {
        return cel_spent(run);
    }
    return op->run(op, run);
}

/* Runs the root with room for the names of macros. */
struct cel_value cel_program_eval(const struct cel_op *root,
                                  uint32_t local_count, struct cel_run *run);

/* What a run has left of its budget: if units or bytes are used up, no more
 * work is to be had for the rest of the other. */
void cel_program_settle(const struct cel_run *run, struct cel_budget *budget);

/* Runs `target` and notes its value in run->terms[index]; costs nothing. */
struct cel_value cel_eval_term(const struct cel_op *op, struct cel_run *run);

/* The operations, by what they do. */
struct cel_value cel_eval_literal(const struct cel_op *op, struct cel_run *run);
struct cel_value cel_eval_local(const struct cel_op *op, struct cel_run *run);
struct cel_value cel_eval_variable(const struct cel_op *op,
                                   struct cel_run *run);
struct cel_value cel_eval_unknown(const struct cel_op *op, struct cel_run *run);
struct cel_value cel_eval_select(const struct cel_op *op, struct cel_run *run);
struct cel_value cel_eval_test(const struct cel_op *op, struct cel_run *run);
struct cel_value cel_eval_and(const struct cel_op *op, struct cel_run *run);
struct cel_value cel_eval_or(const struct cel_op *op, struct cel_run *run);
struct cel_value cel_eval_choice(const struct cel_op *op, struct cel_run *run);
struct cel_value cel_eval_list(const struct cel_op *op, struct cel_run *run);
struct cel_value cel_eval_map(const struct cel_op *op, struct cel_run *run);
struct cel_value cel_eval_one(const struct cel_op *op, struct cel_run *run);
struct cel_value cel_eval_two(const struct cel_op *op, struct cel_run *run);
struct cel_value cel_eval_call(const struct cel_op *op, struct cel_run *run);
struct cel_value cel_eval_variadic(const struct cel_op *op,
                                   struct cel_run *run);
struct cel_value cel_eval_pattern(const struct cel_op *op, struct cel_run *run);
struct cel_value cel_eval_loop(const struct cel_op *op, struct cel_run *run);
struct cel_value cel_eval_bind(const struct cel_op *op, struct cel_run *run);
struct cel_value cel_eval_opt_map(const struct cel_op *op, struct cel_run *run);
