#include <errno.h>
#include <stdio.h>

#include "expr/cel_check_priv.h"

#define PATH_MAX_BYTES 1024

/* The innermost local of this name, or -1. */
static int find_local(const struct cel_checker *c, struct str name)
{
    for (size_t i = c->locals.count; i > 0; i--) {
        if (str_eq(c->locals.at[i - 1].name, name)) {
            return (int)(i - 1);
        }
    }
    return -1;
}

/* Appends a.b.c of a chain of selects; false if it is not one. */
static bool add_path(const struct cel_node *n, struct strbuf *out)
{
    const struct cel_node *parts[32];
    size_t count = 0;
    for (; n != NULL && n->kind == CEL_NODE_SELECT; n = n->target) {
        if (n->is_test || n->is_optional || count == ARRAY_LEN(parts)) {
            return false;
        }
        parts[count++] = n;
    }
    if (n == NULL || n->kind != CEL_NODE_NAME) {
        return false;
    }
    strbuf_add(out, n->name);
    while (count > 0) {
        strbuf_addch(out, '.');
        strbuf_add(out, parts[--count]->name);
    }
    return strbuf_error(out) == 0;
}

static const struct cel_node *root_of(const struct cel_node *n)
{
    while (n != NULL && n->kind == CEL_NODE_SELECT) {
        n = n->target;
    }
    return n;
}

/* The name inside the container's first `len` bytes. */
static struct str inside(struct cel_checker *c, size_t len, struct str name)
{
    CLEANUP(strbuf_deinit) struct strbuf b = STRBUF_INIT(PATH_MAX_BYTES * 2);
    if (len == 0) {
        return name;
    }
    strbuf_add(&b, str_slice(c->env->container, 0, len));
    strbuf_addch(&b, '.');
    strbuf_add(&b, name);
    return arena_str(c->arena, strbuf_str(&b));
}

/* The next shorter container: a.b.c, a.b, a, and nothing (0). */
static size_t shorten(struct str container, size_t len)
{
    while (len > 0) {
        len--;
        if (container.at[len] == '.') {
            return len;
        }
    }
    return 0;
}

static bool resolve_one(struct cel_checker *c, struct str name,
                        struct cel_node *n)
{
    int variable = cel_env_variable(c->env, name);
    const struct cel_type *t = cel_type_named(name);
    if (variable >= 0) {
        n->role = CEL_ROLE_VARIABLE;
        n->index = (uint32_t)variable;
        n->type = c->env->variables[variable].type;
        return true;
    }
    if (t != NULL) {
        n->role = CEL_ROLE_VALUE;
        n->value = cel_type_value(t);
        n->type = cel_type_of_type(c->arena, t);
        return true;
    }
    return false;
}

/* A name of the environment, in the container first. */
static bool resolve(struct cel_checker *c, struct str name, bool is_absolute,
                    struct cel_node *n)
{
    size_t len = is_absolute ? 0 : c->env->container.len;
    for (;;) {
        if (resolve_one(c, inside(c, len, name), n)) {
            n->kind = CEL_NODE_NAME;
            return true;
        }
        if (len == 0) {
            return false;
        }
        len = shorten(c->env->container, len);
    }
}

bool cel_check_find_function(struct cel_checker *c, struct str *name,
                             bool is_absolute, enum cel_style style)
{
    size_t len = is_absolute ? 0 : c->env->container.len;
    for (;;) {
        struct str full = inside(c, len, *name);
        size_t cursor = 0;
        if (cel_env_function(c->env, full, style, &cursor) != NULL) {
            *name = full;
            return true;
        }
        if (len == 0) {
            return false;
        }
        len = shorten(c->env->container, len);
    }
}

void cel_check_qualify(struct cel_checker *c, struct cel_node *call)
{
    CLEANUP(strbuf_deinit) struct strbuf path = STRBUF_INIT(PATH_MAX_BYTES);
    const struct cel_node *root = root_of(call->target);
    if (root == NULL || root->kind != CEL_NODE_NAME ||
        !add_path(call->target, &path) ||
        (!root->is_absolute && find_local(c, root->name) >= 0)) {
        return;
    }
    strbuf_addch(&path, '.');
    strbuf_add(&path, call->name);
    struct str name = arena_str(c->arena, strbuf_str(&path));
    if (cel_check_find_function(c, &name, root->is_absolute,
                                CEL_STYLE_GLOBAL)) {
        call->name = name;
        call->is_qualified = true;
        call->target = NULL;
    }
}

static int refuse_name(struct cel_checker *c, struct cel_node *n)
{
    n->role = CEL_ROLE_UNKNOWN;
    n->type = &cel_type_dyn;
    int r = cel_checker_fail(c, n->offset, "undeclared reference to '%.*s'",
                             STR_ARG(n->name));
    const char *nearest =
        r < 0 ? cel_env_nearest(c->env, n->name, false, c->arena) : NULL;
    size_t cursor = 0;
    if (nearest != NULL) {
        err_hint(&c->issue->err, "did you mean %s?", nearest);
    } else if (r < 0 && cel_env_function(c->env, n->name, CEL_STYLE_GLOBAL,
                                         &cursor) != NULL) {
        err_hint(&c->issue->err, "%.*s is a function: write %.*s(...)",
                 STR_ARG(n->name), STR_ARG(n->name));
    } else if (r < 0 && c->env->variable_count != 0) {
        err_hint(&c->issue->err, "to write a text, put it in quotes");
    }
    return r;
}

int cel_check_name(struct cel_checker *c, struct cel_node *n)
{
    int local = n->is_absolute ? -1 : find_local(c, n->name);
    if (local >= 0) {
        n->role = CEL_ROLE_LOCAL;
        n->index = (uint32_t)local;
        n->type = c->locals.at[local].type;
        return 0;
    }
    if (resolve(c, n->name, n->is_absolute, n)) {
        return 0;
    }
    return refuse_name(c, n);
}

/* A whole path that is the name of a variable, such as a.b.c. */
static bool select_is_name(struct cel_checker *c, struct cel_node *n)
{
    CLEANUP(strbuf_deinit) struct strbuf path = STRBUF_INIT(PATH_MAX_BYTES);
    const struct cel_node *root = root_of(n);
    if (root == NULL || root->kind != CEL_NODE_NAME || !add_path(n, &path) ||
        (!root->is_absolute && find_local(c, root->name) >= 0)) {
        return false;
    }
    struct cel_node found = *n;
    struct str name = strbuf_str(&path);
    if (!resolve(c, name, root->is_absolute, &found)) {
        return false;
    }
    uint32_t offset = root->offset;
    *n = found;
    n->name = arena_str(c->arena, name);
    n->offset = offset;
    n->target = NULL;
    return true;
}

static int refuse_field(struct cel_checker *c, struct cel_node *n,
                        const struct cel_type *object)
{
    const char *names[64];
    size_t count = MIN((size_t)object->field_count, ARRAY_LEN(names));
    n->type = &cel_type_dyn;
    int r = cel_checker_fail(c, n->offset, "there is no field '%.*s' in %.*s",
                             STR_ARG(n->name), STR_ARG(object->name));
    for (size_t i = 0; i < count; i++) {
        names[i] = object->fields[i].name;
    }
    const char *nearest = str_nearest(n->name, names, count);
    if (r < 0 && nearest != NULL) {
        err_hint(&c->issue->err, "did you mean %s?", nearest);
    }
    return r;
}

/* The type of target.name, for a target of this type. */
static int field_type(struct cel_checker *c, struct cel_node *n,
                      const struct cel_type *t)
{
    n->index = CEL_NO_HINT;
    if (t->kind == CEL_MAP) {
        n->type = t->params[1];
        if (!cel_unify_fits(&c->unify, t->params[0], &cel_type_string)) {
            return cel_checker_fail(c, n->offset,
                                    "the keys of this map are not strings: "
                                    "write [key], not .%.*s",
                                    STR_ARG(n->name));
        }
        return 0;
    }
    if (t->kind == CEL_OBJECT) {
        int field = cel_type_field(t, n->name);
        if (field < 0) {
            return refuse_field(c, n, t);
        }
        n->index = (uint32_t)field;
        n->type = t->fields[field].type;
        return 0;
    }
    n->type = &cel_type_dyn;
    if (t->kind == CEL_PARAM) {
        (void)cel_unify_fits(&c->unify, &cel_type_dyn, t);
        return 0;
    }
    if (t->kind == CEL_DYN || t->kind == CEL_ERROR) {
        return 0;
    }
    return cel_checker_fail(c, n->offset,
                            "type '%s' does not support field selection",
                            cel_checker_type_text(c, t));
}

int cel_check_select(struct cel_checker *c, struct cel_node *n)
{
    if (!n->is_test && select_is_name(c, n)) {
        return 0;
    }
    int r = cel_check_node(c, n->target);
    if (r < 0) {
        return r;
    }
    const struct cel_type *t =
        cel_unify_resolve(&c->unify, n->target->type, false);
    bool is_optional = t->kind == CEL_OPTIONAL;
    r = field_type(c, n, is_optional ? t->params[0] : t);
    if (n->is_test) {
        n->type = &cel_type_bool;
    } else if (n->is_optional || is_optional) {
        n->type = cel_type_optional(c->arena, n->type);
    }
    return r;
}
