#include <string.h>

#include "base/vec.h"
#include "expr/cel_op_priv.h"
#include "expr/re.h"

struct compiler {
    const struct cel_env *env;
    struct str text;
    struct arena *arena;
    struct cel_issue *issue;
};

static const struct cel_op *compile(struct compiler *c, struct cel_node *n);

static void compile_args(struct compiler *c, const struct cel_node *n,
                         struct cel_op *op)
{
    bool *maybe = ARENA_ARRAY(c->arena, n->arg_count + 1, bool);
    op->arg_count = n->arg_count;
    op->args = ARENA_ARRAY(c->arena, n->arg_count + 1, const struct cel_op *);
    op->maybe = maybe;
    for (uint32_t i = 0; i < n->arg_count; i++) {
        op->args[i] = n->args[i] == NULL ? NULL : compile(c, n->args[i]);
        maybe[i] = n->args[i] != NULL && n->args[i]->is_maybe;
    }
}

static void compile_name(const struct cel_node *n, struct cel_op *op)
{
    switch (n->role) {
    case CEL_ROLE_LOCAL:
        op->run = cel_eval_local;
        op->index = n->index;
        break;
    case CEL_ROLE_VARIABLE:
        op->run = cel_eval_variable;
        op->index = n->index;
        break;
    case CEL_ROLE_VALUE:
        op->run = cel_eval_literal;
        op->value = n->value;
        break;
    case CEL_ROLE_NONE:
    case CEL_ROLE_UNKNOWN:
        op->run = cel_eval_unknown;
        break;
    }
}

static void find_rows(struct compiler *c, const struct cel_node *n,
                      struct cel_op *op)
{
    VEC(const struct cel_function *) rows = {0};
    enum cel_style style =
        n->target != NULL ? CEL_STYLE_MEMBER : CEL_STYLE_GLOBAL;
    uint32_t count = n->arg_count + (n->target != NULL ? 1 : 0);
    size_t cursor = 0;
    const struct cel_function *row = NULL;
    while ((row = cel_env_function(c->env, n->name, style, &cursor)) != NULL) {
        if (row->arg_count == count || row->arg_count == CEL_VARIADIC) {
            VEC_PUSH(&rows, row);
        }
    }
    const struct cel_function **kept =
        ARENA_ARRAY(c->arena, rows.count, const struct cel_function *);
    if (rows.count != 0) {
        memcpy(kept, rows.at, rows.count * sizeof(*kept));
    }
    op->rows = kept;
    op->row_count = (uint32_t)rows.count;
    VEC_DEINIT(&rows);
}

/* matches() and its like with a literal: compiled now, and wrong now. */
static void compile_pattern(struct compiler *c, const struct cel_node *n,
                            struct cel_op *op)
{
    const struct cel_node *pattern =
        n->arg_count == 0 ? NULL
                          : n->args[n->target != NULL ? 0 : n->arg_count - 1];
    struct re_program *re = NULL;
    struct err e = ERR_INIT;
    if (!str_eq_c(n->name, "matches") || pattern == NULL ||
        op->arg_count + (n->target != NULL ? 1 : 0) != 2 ||
        pattern->kind != CEL_NODE_LITERAL ||
        pattern->value.kind != CEL_STRING) {
        return;
    }
    if (re_compile(cel_text(pattern->value), RE_PROGRAM_MAX, c->arena, &re,
                   &e) < 0) {
        if (!c->env->is_unchecked) {
            (void)cel_issue_set(c->issue, c->text, pattern->offset,
                                "not a regular expression: %s", e.message);
        }
        return;
    }
    op->pattern = re;
    op->run = cel_eval_pattern;
}

static void compile_call(struct compiler *c, const struct cel_node *n,
                         struct cel_op *op)
{
    op->is_member = n->target != NULL;
    find_rows(c, n, op);
    if (n->is_operator && op->row_count != 0) {
        op->call = op->rows[0]->call;
        op->run = n->arg_count == 1 ? cel_eval_one : cel_eval_two;
    } else if (op->row_count != 0 && op->rows[0]->arg_count == CEL_VARIADIC) {
        op->run = cel_eval_variadic;
    } else {
        op->run = cel_eval_call;
        compile_pattern(c, n, op);
    }
}

static void compile_select(const struct cel_node *n, struct cel_op *op)
{
    op->run = n->is_test ? cel_eval_test : cel_eval_select;
    op->value = cel_string(n->name);
    op->index = n->index;
    op->is_optional = n->is_optional;
}

static void compile_local(const struct cel_node *n, struct cel_op *op,
                          cel_op_fn *run)
{
    op->run = run;
    op->local = n->local;
    op->loop = n->loop;
    op->has_second = n->name2.len != 0;
    op->is_optional = n->is_optional;
}

/* Around an operation whose value somebody wants to know. */
static const struct cel_op *observe(struct compiler *c,
                                    const struct cel_node *n,
                                    const struct cel_op *inner)
{
    struct cel_op *op = ARENA_NEW(c->arena, struct cel_op);
    op->run = cel_eval_term;
    op->target = inner;
    op->index = n->term - 1;
    op->offset = inner->offset;
    op->name = inner->name;
    return op;
}

static const struct cel_op *compile(struct compiler *c, struct cel_node *n)
{
    struct cel_op *op = ARENA_NEW(c->arena, struct cel_op);
    op->offset = n->offset;
    op->name = arena_strdup(c->arena, n->name);
    op->target = n->target == NULL ? NULL : compile(c, n->target);
    compile_args(c, n, op);
    switch (n->kind) {
    case CEL_NODE_LITERAL:
        op->run = cel_eval_literal;
        op->value = n->value;
        break;
    case CEL_NODE_NAME:
        compile_name(n, op);
        break;
    case CEL_NODE_SELECT:
        compile_select(n, op);
        break;
    case CEL_NODE_CALL:
        compile_call(c, n, op);
        break;
    case CEL_NODE_AND:
        op->run = cel_eval_and;
        break;
    case CEL_NODE_OR:
        op->run = cel_eval_or;
        break;
    case CEL_NODE_CHOICE:
        op->run = cel_eval_choice;
        break;
    case CEL_NODE_LIST:
        op->run = cel_eval_list;
        break;
    case CEL_NODE_MAP:
        op->run = cel_eval_map;
        break;
    case CEL_NODE_LOOP:
        compile_local(n, op, cel_eval_loop);
        break;
    case CEL_NODE_BIND:
        compile_local(n, op, cel_eval_bind);
        break;
    case CEL_NODE_OPT_MAP:
        compile_local(n, op, cel_eval_opt_map);
        break;
    }
    return n->term == 0 ? op : observe(c, n, op);
}

const struct cel_op *cel_compile(const struct cel_env *env, struct str text,
                                 struct cel_node *root, struct arena *a,
                                 struct cel_issue *issue)
{
    struct compiler c = {env, text, a, issue};
    const struct cel_op *op = compile(&c, root);
    return issue->err.errnum == 0 ? op : NULL;
}
