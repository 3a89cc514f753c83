#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "expr/cel_check_priv.h"

/* "_+_" is written +, "@in" is written in. */
static struct str sign_of(struct str name)
{
    struct str s = name;
    if (str_starts(s, STR("@"))) {
        return str_slice(s, 1, s.len);
    }
    while (s.len > 1 && s.at[0] == '_') {
        s = str_slice(s, 1, s.len);
    }
    while (s.len > 1 && s.at[s.len - 1] == '_') {
        s = str_slice(s, 0, s.len - 1);
    }
    return s;
}

static bool is_number(const struct cel_type *t)
{
    return t->kind == CEL_INT || t->kind == CEL_UINT || t->kind == CEL_DOUBLE;
}

/* How to make the operands of an operator agree. */
static void hint_operands(struct cel_checker *c, struct cel_node *const *args,
                          const struct cel_type *a, const struct cel_type *b)
{
    struct err *e = &c->issue->err;
    const struct cel_node *literal = args[0]->kind == CEL_NODE_LITERAL ? args[0]
                                     : args[1]->kind == CEL_NODE_LITERAL
                                         ? args[1]
                                         : NULL;
    if (is_number(a) && is_number(b)) {
        const struct cel_type *wide =
            a->kind == CEL_DOUBLE || b->kind == CEL_DOUBLE ? &cel_type_double
                                                           : &cel_type_int;
        if (wide == &cel_type_double && literal != NULL &&
            literal->value.kind == CEL_INT) {
            err_hint(e, "write the number as %lld.0",
                     (long long)literal->value.i);
        } else {
            err_hint(e, "convert one of them: %.*s(x)", STR_ARG(wide->name));
        }
    } else if (a->kind == CEL_STRING && is_number(b)) {
        err_hint(e, "convert the text, %.*s(x), or the number, string(x)",
                 STR_ARG(b->name));
    } else if (b->kind == CEL_STRING && is_number(a)) {
        err_hint(e, "convert the text, %.*s(x), or the number, string(x)",
                 STR_ARG(a->name));
    } else if (a->kind == CEL_OPTIONAL || b->kind == CEL_OPTIONAL) {
        err_hint(e, "an optional becomes a value with .orValue(...)");
    }
}

static int refuse_operator(struct cel_checker *c, struct cel_node *n,
                           struct cel_node *const *args, uint32_t count)
{
    const struct cel_type *t[2] = {0};
    struct str sign = sign_of(n->name);
    for (uint32_t i = 0; i < count && i < 2; i++) {
        t[i] = cel_unify_resolve(&c->unify, args[i]->type, true);
    }
    if (count == 1) {
        int r = cel_checker_fail(c, n->offset,
                                 "no such overload: '%.*s' does not take %s",
                                 STR_ARG(sign), cel_checker_type_text(c, t[0]));
        if (r < 0 && sign.at[0] == '!') {
            err_hint(&c->issue->err, "! takes a bool: compare first, as in "
                                     "x == \"\"");
        }
        return r;
    }
    int r = cel_checker_fail(c, n->offset,
                             "no such overload: '%.*s' between %s and %s",
                             STR_ARG(sign), cel_checker_type_text(c, t[0]),
                             cel_checker_type_text(c, t[1]));
    if (r < 0) {
        hint_operands(c, args, t[0], t[1]);
    }
    return r;
}

/* The forms that there are. */
static void hint_rows(struct cel_checker *c, const struct cel_node *n,
                      enum cel_style style)
{
    CLEANUP(strbuf_deinit) struct strbuf forms = STRBUF_INIT(150);
    const struct cel_function *row = NULL;
    size_t cursor = 0;
    while ((row = cel_env_function(c->env, n->name, style, &cursor)) != NULL) {
        strbuf_addc(&forms, forms.len == 0 ? "" : ", ");
        cel_function_print(row, style == CEL_STYLE_MEMBER, &forms);
    }
    err_hint(&c->issue->err, "there is %.*s", STR_ARG(strbuf_str(&forms)));
}

static int refuse_call(struct cel_checker *c, struct cel_node *n,
                       struct cel_node *const *args, uint32_t count)
{
    bool is_member = n->target != NULL;
    CLEANUP(strbuf_deinit) struct strbuf text = STRBUF_INIT(250);
    if (n->is_operator) {
        return refuse_operator(c, n, args, count);
    }
    for (uint32_t i = 0; i < count; i++) {
        cel_type_print(cel_unify_resolve(&c->unify, args[i]->type, true),
                       &text);
        if (i == 0 && is_member) {
            strbuf_addf(&text, ".%.*s(", STR_ARG(n->name));
        } else if (i + 1 < count) {
            strbuf_addc(&text, ", ");
        }
    }
    int r =
        is_member
            ? cel_checker_fail(c, n->offset, "no such overload: %.*s)",
                               STR_ARG(strbuf_str(&text)))
            : cel_checker_fail(c, n->offset, "no such overload: %.*s(%.*s)",
                               STR_ARG(n->name), STR_ARG(strbuf_str(&text)));
    if (r < 0) {
        hint_rows(c, n, is_member ? CEL_STYLE_MEMBER : CEL_STYLE_GLOBAL);
    }
    return r;
}

static int refuse_function(struct cel_checker *c, struct cel_node *n)
{
    bool is_member = n->target != NULL;
    int r = cel_checker_fail(c, n->offset,
                             "undeclared reference to function '%.*s'",
                             STR_ARG(n->name));
    struct str name = n->name;
    if (r == 0) {
        return 0;
    }
    const char *nearest = cel_env_nearest(c->env, n->name, true, c->arena);
    if (cel_check_find_function(
            c, &name, false, is_member ? CEL_STYLE_GLOBAL : CEL_STYLE_MEMBER)) {
        err_hint(&c->issue->err,
                 is_member ? "it is written %.*s(x)" : "it is written x.%.*s()",
                 STR_ARG(name));
    } else if (nearest != NULL) {
        err_hint(&c->issue->err, "did you mean %s?", nearest);
    }
    return r;
}

/* math.greatest(1, 2.0, ...): the type of all, if they agree. */
static int check_variadic(struct cel_checker *c, struct cel_node *n)
{
    const struct cel_type *joined = NULL;
    for (uint32_t i = 0; i < n->arg_count; i++) {
        const struct cel_type *t =
            cel_unify_resolve(&c->unify, n->args[i]->type, true);
        if (n->arg_count == 1 && t->kind == CEL_LIST) {
            t = t->params[0];
        }
        if (!is_number(t) && t->kind != CEL_DYN) {
            return cel_checker_fail(c, n->args[i]->offset,
                                    "no such overload: %.*s takes numbers or "
                                    "one list of numbers, not %s",
                                    STR_ARG(n->name),
                                    cel_checker_type_text(c, t));
        }
        joined = joined == NULL || joined->kind == t->kind ? t : &cel_type_dyn;
    }
    if (joined == NULL) {
        return cel_checker_fail(c, n->offset, "%.*s takes at least one number",
                                STR_ARG(n->name));
    }
    n->type = joined;
    return 0;
}

static bool try_row(struct cel_checker *c, const struct cel_function *row,
                    const struct cel_type *const *types, uint32_t count,
                    const struct cel_type **result)
{
    struct cel_fresh fresh = {0};
    const struct cel_type *wanted[CEL_ARGS_MAX];
    if (row->arg_count != count) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        wanted[i] = cel_unify_instance(&c->unify, &fresh, row->args[i]);
    }
    if (!cel_unify_all_fit(&c->unify, wanted, types, count)) {
        return false;
    }
    const struct cel_type *t = cel_unify_resolve(
        &c->unify, cel_unify_instance(&c->unify, &fresh, row->result), false);
    if (*result == NULL) {
        *result = t;
    } else if (!cel_type_equal(*result, t)) {
        *result = &cel_type_dyn;
    }
    return true;
}

int cel_check_overload(struct cel_checker *c, struct cel_node *n,
                       struct cel_node *const *args, uint32_t count)
{
    const struct cel_type *types[CEL_ARGS_MAX];
    const struct cel_type *result = NULL;
    const struct cel_function *row = NULL;
    enum cel_style style =
        n->target != NULL ? CEL_STYLE_MEMBER : CEL_STYLE_GLOBAL;
    size_t cursor = 0;
    n->type = &cel_type_dyn;
    if (!cel_check_find_function(c, &n->name, n->is_absolute || n->is_qualified,
                                 style)) {
        return refuse_function(c, n);
    }
    if (c->env->is_unchecked) {
        return 0;
    }
    for (uint32_t i = 0; i < count && i < CEL_ARGS_MAX; i++) {
        types[i] = cel_unify_resolve(&c->unify, args[i]->type, false);
    }
    while ((row = cel_env_function(c->env, n->name, style, &cursor)) != NULL) {
        if (row->arg_count == CEL_VARIADIC) {
            return check_variadic(c, n);
        }
        (void)try_row(c, row, types, count, &result);
    }
    if (result == NULL) {
        return refuse_call(c, n, args, count);
    }
    n->type = result;
    return 0;
}
