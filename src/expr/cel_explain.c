#include "expr/cel_explain.h"

#include "base/assert.h"
#include "expr/cel_op_priv.h"

struct explainer {
    const struct cel_program *program;
    struct cel_explanation *ret;
};

struct cel_value cel_eval_term(const struct cel_op *op, struct cel_run *run)
{
    struct cel_value v = op->target->run(op->target, run);
    struct cel_term *term = &run->terms[op->index];
    term->value = v;
    term->times++;
    return v;
}

/* ---- which parts are worth a line ---------------------------------------- */

static bool is_index(const struct cel_node *n)
{
    return n->kind == CEL_NODE_CALL && n->is_operator &&
           str_starts(n->name, STR("_["));
}

/* event.labels["instance"]: its value says more than those on the way. */
static bool is_path(const struct cel_node *n)
{
    return n->kind == CEL_NODE_NAME || n->kind == CEL_NODE_SELECT ||
           is_index(n);
}

/* x.filter(y, ...) gives y itself: its name as it is introduced. */
static bool is_introduced(const struct cel_node *loop, uint32_t i)
{
    const struct cel_node *condition = loop->args[0];
    return loop->kind == CEL_NODE_LOOP && i == 1 && condition != NULL &&
           loop->args[1]->begin < condition->begin;
}

static void walk(struct explainer *x, struct cel_node *n, uint32_t depth);

static void walk_parts(struct explainer *x, struct cel_node *n, uint32_t depth)
{
    bool on_the_way = n->kind == CEL_NODE_SELECT || is_index(n);
    if (n->target != NULL && !n->is_qualified &&
        !(on_the_way && is_path(n->target))) {
        walk(x, n->target, depth);
    }
    for (uint32_t i = 0; i < n->arg_count; i++) {
        bool is_plain = n->args[i] == NULL || is_introduced(n, i) ||
                        (is_index(n) && i == 0 && is_path(n->args[i]));
        if (!is_plain) {
            walk(x, n->args[i], depth);
        }
    }
}

static void walk(struct explainer *x, struct cel_node *n, uint32_t depth)
{
    struct cel_explanation *e = x->ret;
    bool is_constant = n->kind == CEL_NODE_LITERAL ||
                       (n->kind == CEL_NODE_NAME && n->role == CEL_ROLE_VALUE);
    if (is_constant) {
        return;
    }
    if (e->term_count == CEL_TERMS_MAX) {
        e->left_out++;
    } else {
        struct cel_term *term = &e->terms[e->term_count++];
        term->text = str_slice(x->program->text, n->begin, n->end);
        term->offset = n->begin;
        term->depth = depth;
        n->term = e->term_count;
    }
    walk_parts(x, n, depth + 1);
}

/* ---- evaluating ---------------------------------------------------------- */

/* The program's text was parsed and checked with the same environment before:
 * nothing can be wrong with it now. */
static const struct cel_op *compile_again(struct explainer *x, struct arena *a)
{
    const struct cel_program *p = x->program;
    struct cel_issue issue = CEL_ISSUE_INIT;
    struct cel_node *root = NULL;
    struct cel_checked checked = {0};
    int r = cel_parse(p->text, p->env->limits, a, &root, &issue);
    r = r < 0 ? r : cel_check(p->env, p->text, root, a, &checked, &issue);
    ASSERT(r == 0);
    walk(x, root, 0);
    const struct cel_op *op = cel_compile(p->env, p->text, root, a, &issue);
    ASSERT(op != NULL);
    return op;
}

void cel_program_explain(const struct cel_program *p,
                         const struct cel_input *input,
                         struct cel_budget *budget, struct arena *a,
                         struct cel_explanation *ret)
{
    struct explainer x = {.program = p, .ret = ret};
    *ret = (struct cel_explanation){
        .terms = ARENA_ARRAY(a, CEL_TERMS_MAX, struct cel_term)};
    const struct cel_op *root = compile_again(&x, a);
    struct cel_run run = {
        .arena = a,
        .input = input,
        .units = budget->units,
        .bytes = budget->bytes,
        .terms = ret->terms,
    };
    struct cel_value v = cel_program_eval(root, p->checked.local_count, &run);
    cel_program_settle(&run, budget);
    ret->value = run.spent ? cel_spent(&run) : v;
}
