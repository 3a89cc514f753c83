#include "expr/cel_check.h"

#include <errno.h>
#include <stdio.h>

#include "expr/cel_check_priv.h"

int cel_checker_fail(struct cel_checker *c, uint32_t offset, const char *fmt,
                     ...)
{
    char line[320];
    va_list args;
    if (c->env->is_unchecked) {
        return 0;
    }
    va_start(args, fmt);
    (void)vsnprintf(line, sizeof(line), fmt, args);
    va_end(args);
    return cel_issue_set(c->issue, c->text, offset, "%s", line);
}

const char *cel_checker_type_text(struct cel_checker *c,
                                  const struct cel_type *t)
{
    CLEANUP(strbuf_deinit) struct strbuf b = STRBUF_INIT(120);
    cel_type_print(cel_unify_resolve(&c->unify, t, true), &b);
    return arena_strdup(c->arena, strbuf_str(&b));
}

static int check_literal(struct cel_node *n)
{
    n->type = cel_type_of_kind((enum cel_kind)n->value.kind);
    return 0;
}

static int check_args(struct cel_checker *c, struct cel_node *n)
{
    for (uint32_t i = 0; i < n->arg_count; i++) {
        int r = n->args[i] == NULL ? 0 : cel_check_node(c, n->args[i]);
        if (r < 0) {
            return r;
        }
    }
    return 0;
}

/* -EBADMSG unless the part can be a bool. */
static int want_bool(struct cel_checker *c, const struct cel_node *part,
                     struct str of)
{
    if (cel_unify_fits(&c->unify, &cel_type_bool, part->type)) {
        return 0;
    }
    int r = cel_checker_fail(c, part->offset,
                             "no such overload: %.*s takes a bool, not %s",
                             STR_ARG(of), cel_checker_type_text(c, part->type));
    if (r < 0) {
        err_hint(&c->issue->err, "compare it with something, as in x == \"\"");
    }
    return r;
}

static int check_logic(struct cel_checker *c, struct cel_node *n)
{
    int r = check_args(c, n);
    for (uint32_t i = 0; r == 0 && i < n->arg_count; i++) {
        r = want_bool(c, n->args[i], n->name);
    }
    n->type = &cel_type_bool;
    return r;
}

static int check_choice(struct cel_checker *c, struct cel_node *n)
{
    int r = check_args(c, n);
    r = r < 0 ? r : want_bool(c, n->args[0], n->name);
    if (r < 0) {
        return r;
    }
    if (!cel_unify_fits(&c->unify, n->args[1]->type, n->args[2]->type)) {
        r = cel_checker_fail(c, n->offset,
                             "no such overload: both results of ?: must be of "
                             "one type, not %s and %s",
                             cel_checker_type_text(c, n->args[1]->type),
                             cel_checker_type_text(c, n->args[2]->type));
        if (r < 0) {
            err_hint(&c->issue->err, "dyn(x) lets a value be of any type");
        }
    }
    n->type = cel_unify_join(&c->unify, n->args[1]->type, n->args[2]->type);
    return r;
}

/* What an element behind ? must be. */
static int unwrap(struct cel_checker *c, const struct cel_node *part,
                  const struct cel_type **type)
{
    const struct cel_type *inner = cel_unify_fresh(&c->unify);
    const struct cel_type *wanted = cel_type_optional(c->arena, inner);
    if (!cel_unify_fits(&c->unify, wanted, *type)) {
        return cel_checker_fail(c, part->offset,
                                "what stands behind ? must be optional, not %s",
                                cel_checker_type_text(c, *type));
    }
    *type = cel_unify_resolve(&c->unify, inner, false);
    return 0;
}

static int check_list(struct cel_checker *c, struct cel_node *n)
{
    const struct cel_type *of = NULL;
    int r = check_args(c, n);
    for (uint32_t i = 0; r == 0 && i < n->arg_count; i++) {
        const struct cel_type *t = n->args[i]->type;
        r = n->args[i]->is_maybe ? unwrap(c, n->args[i], &t) : 0;
        of = cel_unify_join(&c->unify, of, t);
    }
    of = of != NULL ? of : cel_unify_fresh(&c->unify);
    n->type = cel_type_list(c->arena, of);
    return r;
}

static int check_key(struct cel_checker *c, const struct cel_node *key)
{
    const struct cel_type *t = cel_unify_resolve(&c->unify, key->type, false);
    if (t->kind == CEL_STRING || t->kind == CEL_INT || t->kind == CEL_UINT ||
        t->kind == CEL_BOOL || t->kind == CEL_DYN || t->kind == CEL_PARAM ||
        t->kind == CEL_ERROR) {
        return 0;
    }
    return cel_checker_fail(c, key->offset,
                            "unsupported key type %s: a key is a string, an "
                            "int, a uint or a bool",
                            cel_checker_type_text(c, t));
}

static int check_map(struct cel_checker *c, struct cel_node *n)
{
    const struct cel_type *key = NULL;
    const struct cel_type *value = NULL;
    int r = check_args(c, n);
    for (uint32_t i = 0; r == 0 && i < n->arg_count; i += 2) {
        const struct cel_type *t = n->args[i + 1]->type;
        r = check_key(c, n->args[i]);
        if (r == 0 && n->args[i]->is_maybe) {
            r = unwrap(c, n->args[i + 1], &t);
        }
        key = cel_unify_join(&c->unify, key, n->args[i]->type);
        value = cel_unify_join(&c->unify, value, t);
    }
    key = key != NULL ? key : cel_unify_fresh(&c->unify);
    value = value != NULL ? value : cel_unify_fresh(&c->unify);
    n->type = cel_type_map(c->arena, key, value);
    return r;
}

static void push_local(struct cel_checker *c, struct str name,
                       const struct cel_type *type)
{
    struct cel_local local = {name, type};
    VEC_PUSH(&c->locals, local);
    c->local_max = MAX(c->local_max, (uint32_t)c->locals.count);
}

/* The variables of a loop: what its range is made of. */
static int push_loop_names(struct cel_checker *c, struct cel_node *n)
{
    const struct cel_type *t =
        cel_unify_resolve(&c->unify, n->target->type, false);
    const struct cel_type *first = &cel_type_dyn;
    const struct cel_type *second = &cel_type_dyn;
    bool two = n->name2.len != 0;
    int r = 0;
    if (t->kind == CEL_LIST) {
        first = two ? &cel_type_int : t->params[0];
        second = t->params[0];
    } else if (t->kind == CEL_MAP) {
        first = t->params[0];
        second = t->params[1];
    } else if (t->kind == CEL_OBJECT) {
        first = &cel_type_string;
    } else if (t->kind == CEL_PARAM) {
        (void)cel_unify_fits(&c->unify, &cel_type_dyn, t);
    } else if (t->kind != CEL_DYN && t->kind != CEL_ERROR) {
        r = cel_checker_fail(c, n->target->offset,
                             "no such overload: only lists and maps can be "
                             "gone through, not %s",
                             cel_checker_type_text(c, t));
    }
    push_local(c, n->name, first);
    if (two) {
        push_local(c, n->name2, second);
    }
    return r;
}

static void set_loop_type(struct cel_checker *c, struct cel_node *n)
{
    const struct cel_type *body = n->args[1]->type;
    const struct cel_type *range =
        cel_unify_resolve(&c->unify, n->target->type, false);
    const struct cel_type *key = &cel_type_dyn;
    if (range->kind == CEL_MAP) {
        key = range->params[0];
    } else if (range->kind == CEL_LIST) {
        key = &cel_type_int;
    } else if (range->kind == CEL_OBJECT) {
        key = &cel_type_string;
    }
    switch (n->loop) {
    case CEL_LOOP_ALL:
    case CEL_LOOP_EXISTS:
    case CEL_LOOP_EXISTS_ONE:
        n->type = &cel_type_bool;
        break;
    case CEL_LOOP_LIST:
        n->type = cel_type_list(c->arena, body);
        break;
    case CEL_LOOP_MAP:
        n->type = cel_type_map(c->arena, key, body);
        break;
    case CEL_LOOP_MAP_ENTRY:
        n->type = body;
        break;
    }
}

static int check_loop(struct cel_checker *c, struct cel_node *n)
{
    size_t mark = c->locals.count;
    bool wants_bool = n->loop <= CEL_LOOP_EXISTS_ONE;
    int r = cel_check_node(c, n->target);
    if (r < 0) {
        return r;
    }
    n->local = (uint32_t)mark;
    r = push_loop_names(c, n);
    r = r < 0 ? r : check_args(c, n);
    if (r == 0 && n->args[0] != NULL) {
        r = want_bool(c, n->args[0], STR("a filter"));
    }
    if (r == 0 && wants_bool) {
        r = want_bool(c, n->args[1], STR("this macro"));
    }
    if (r == 0 && n->loop == CEL_LOOP_MAP_ENTRY &&
        !cel_unify_fits(&c->unify, &cel_type_map_dyn, n->args[1]->type)) {
        r = cel_checker_fail(c, n->args[1]->offset,
                             "transformMapEntry() takes a map here: {k: v}");
    }
    if (r == 0) {
        set_loop_type(c, n);
    }
    c->locals.count = mark;
    return r;
}

static int check_bind(struct cel_checker *c, struct cel_node *n)
{
    size_t mark = c->locals.count;
    int r = cel_check_node(c, n->target);
    if (r < 0) {
        return r;
    }
    n->local = (uint32_t)mark;
    push_local(c, n->name, n->target->type);
    r = check_args(c, n);
    n->type = n->args[0]->type;
    c->locals.count = mark;
    return r;
}

static int check_opt_map(struct cel_checker *c, struct cel_node *n)
{
    size_t mark = c->locals.count;
    const struct cel_type *of = &cel_type_dyn;
    int r = cel_check_node(c, n->target);
    if (r == 0) {
        of = n->target->type;
        r = c->env->is_unchecked ? 0 : unwrap(c, n->target, &of);
    }
    if (r < 0) {
        return r;
    }
    n->local = (uint32_t)mark;
    push_local(c, n->name, of);
    r = check_args(c, n);
    c->locals.count = mark;
    if (r < 0) {
        return r;
    }
    of = n->args[0]->type;
    if (n->is_optional && !c->env->is_unchecked) {
        r = unwrap(c, n->args[0], &of);
    }
    n->type = cel_type_optional(c->arena, of);
    return r;
}

static int check_call(struct cel_checker *c, struct cel_node *n)
{
    struct cel_node *args[CEL_ARGS_MAX + 1];
    uint32_t count = 0;
    cel_check_qualify(c, n);
    if (n->target != NULL) {
        int r = cel_check_node(c, n->target);
        if (r < 0) {
            return r;
        }
        args[count++] = n->target;
    }
    int r = check_args(c, n);
    for (uint32_t i = 0; i < n->arg_count && count < ARRAY_LEN(args); i++) {
        args[count++] = n->args[i];
    }
    return r < 0 ? r : cel_check_overload(c, n, args, count);
}

int cel_check_node(struct cel_checker *c, struct cel_node *n)
{
    switch (n->kind) {
    case CEL_NODE_LITERAL:
        return check_literal(n);
    case CEL_NODE_NAME:
        return cel_check_name(c, n);
    case CEL_NODE_SELECT:
        return cel_check_select(c, n);
    case CEL_NODE_CALL:
        return check_call(c, n);
    case CEL_NODE_AND:
    case CEL_NODE_OR:
        return check_logic(c, n);
    case CEL_NODE_CHOICE:
        return check_choice(c, n);
    case CEL_NODE_LIST:
        return check_list(c, n);
    case CEL_NODE_MAP:
        return check_map(c, n);
    case CEL_NODE_LOOP:
        return check_loop(c, n);
    case CEL_NODE_BIND:
        return check_bind(c, n);
    case CEL_NODE_OPT_MAP:
        return check_opt_map(c, n);
    }
    return -EBADMSG;
}

static int check_result(struct cel_checker *c, const struct cel_node *root)
{
    const struct cel_type *want = c->env->result;
    if (want == NULL || cel_unify_fits(&c->unify, want, root->type)) {
        return 0;
    }
    int r = cel_checker_fail(c, root->offset, "this must give %s, and gives %s",
                             cel_checker_type_text(c, want),
                             cel_checker_type_text(c, root->type));
    if (r < 0 && want->kind == CEL_BOOL) {
        err_hint(&c->issue->err, "a condition compares something, as in "
                                 "x == \"y\"; texts are not true or false");
    }
    return r;
}

int cel_check(const struct cel_env *env, struct str text, struct cel_node *root,
              struct arena *a, struct cel_checked *ret, struct cel_issue *issue)
{
    struct cel_checker c = {
        .env = env, .text = text, .arena = a, .issue = issue};
    c.unify.arena = a;
    int r = cel_check_node(&c, root);
    r = r < 0 ? r : check_result(&c, root);
    if (cel_unify_is_spent(&c.unify)) {
        *issue = CEL_ISSUE_INIT;
        r = cel_issue_limit(issue, text, 0,
                            "the types of this expression are too large");
    }
    if (r == 0) {
        ret->type = env->is_unchecked
                        ? &cel_type_dyn
                        : cel_unify_resolve(&c.unify, root->type, true);
        ret->local_count = c.local_max;
    }
    cel_unify_deinit(&c.unify);
    VEC_DEINIT(&c.locals);
    return r;
}
