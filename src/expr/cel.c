#include "expr/cel.h"

#include <errno.h>

#include "expr/cel_op_priv.h"

/* Locals of macros that need no allocation. */
#define FEW_LOCALS 16

int cel_program_new(const struct cel_env *env, struct str text, struct arena *a,
                    struct cel_program **ret, struct cel_issue *issue)
{
    struct cel_program *p = ARENA_NEW(a, struct cel_program);
    struct cel_node *root = NULL;
    if (text.len > env->limits.bytes) {
        return cel_parse(text, env->limits, a, &root, issue);
    }
    p->env = env;
    p->text = arena_str(a, text);
    p->warnings = ARENA_NEW(a, struct cel_warnings);
    int r = cel_parse(p->text, env->limits, a, &root, issue);
    r = r < 0 ? r : cel_check(env, p->text, root, a, &p->checked, issue);
    if (r < 0) {
        return r;
    }
    cel_check_guards(p->text, root, p->warnings);
    cel_check_uses(root, a, &p->uses);
    p->root = cel_compile(env, p->text, root, a, issue);
    if (p->root == NULL) {
        return issue->err.errnum;
    }
    *ret = p;
    return 0;
}

const struct cel_type *cel_program_type(const struct cel_program *p)
{
    return p->checked.type;
}

struct str cel_program_text(const struct cel_program *p)
{
    return p->text;
}

const struct cel_warnings *cel_program_warnings(const struct cel_program *p)
{
    return p->warnings;
}

const struct cel_uses *cel_program_uses(const struct cel_program *p)
{
    return &p->uses;
}

struct cel_value cel_program_eval(const struct cel_op *root,
                                  uint32_t local_count, struct cel_run *run)
{
    struct cel_value few[FEW_LOCALS];
    run->locals = few;
    if (local_count > FEW_LOCALS) {
        run->locals = cel_alloc(run, local_count, sizeof(few[0]));
        if (run->locals == NULL) {
            return cel_spent(run);
        }
    }
    return cel_op_eval(root, run);
}

void cel_program_settle(const struct cel_run *run, struct cel_budget *budget)
{
    budget->units = run->spent || run->units < 0 ? 0 : run->units;
    budget->bytes = run->bytes;
}

struct cel_value cel_program_spend(const struct cel_program *p,
                                   const struct cel_input *input,
                                   struct cel_budget *budget, struct arena *a)
{
    struct cel_run run = {
        .arena = a,
        .input = input,
        .units = budget->units,
        .bytes = budget->bytes,
    };
    struct cel_value v =
        p->checked.local_count == 0
            ? cel_op_eval(p->root, &run)
            : cel_program_eval(p->root, p->checked.local_count, &run);
    cel_program_settle(&run, budget);
    return run.spent ? cel_spent(&run) : v;
}

struct cel_value cel_program_run(const struct cel_program *p,
                                 const struct cel_input *input,
                                 struct cel_budget budget, struct arena *a)
{
    return cel_program_spend(p, input, &budget, a);
}

void cel_program_issue(const struct cel_program *p, struct cel_value error,
                       struct cel_issue *ret)
{
    *ret = CEL_ISSUE_INIT;
    (void)cel_issue_set(ret, p->text, error.fault->offset, "%.*s",
                        STR_ARG(error.fault->message));
}
