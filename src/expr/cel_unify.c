#include "expr/cel_unify.h"

#include "base/assert.h"

/* Opaque types of hosts have at most this many parameters. */
#define PARAMS_MAX 8

void cel_unify_deinit(struct cel_unify *u)
{
    VEC_DEINIT(&u->bound);
    VEC_DEINIT(&u->trail);
}

bool cel_unify_is_spent(const struct cel_unify *u)
{
    return u->steps > CEL_UNIFY_STEPS_MAX;
}

static bool step(struct cel_unify *u)
{
    if (cel_unify_is_spent(u)) {
        return false;
    }
    u->steps++;
    return true;
}

const struct cel_type *cel_unify_fresh(struct cel_unify *u)
{
    struct cel_type *t = ARENA_NEW(u->arena, struct cel_type);
    VEC_PUSH(&u->bound, NULL);
    *t = cel_type_a;
    t->variable = (uint32_t)u->bound.count;
    return t;
}

static const struct cel_type *bound_to(const struct cel_unify *u,
                                       const struct cel_type *variable)
{
    return variable->variable == 0 ? NULL : u->bound.at[variable->variable - 1];
}

static void bind(struct cel_unify *u, const struct cel_type *variable,
                 const struct cel_type *to)
{
    uint32_t at = variable->variable - 1;
    struct cel_binding old = {variable->variable, u->bound.at[at]};
    VEC_PUSH(&u->trail, old);
    u->bound.at[at] = to;
}

static void undo(struct cel_unify *u, size_t mark)
{
    while (u->trail.count > mark) {
        struct cel_binding old = u->trail.at[--u->trail.count];
        u->bound.at[old.variable - 1] = old.before;
    }
}

static bool is_exactly(const struct cel_type *a, const struct cel_type *b)
{
    return cel_type_equal(a, b);
}

/* True if the variable stands somewhere inside t: it must not then. */
static bool mentions(struct cel_unify *u, const struct cel_type *variable,
                     const struct cel_type *t)
{
    if (!step(u)) {
        return true;
    }
    if (t->kind == CEL_PARAM) {
        const struct cel_type *to = bound_to(u, t);
        return t->variable == variable->variable ||
               (to != NULL && mentions(u, variable, to));
    }
    for (uint32_t i = 0; i < t->param_count; i++) {
        if (mentions(u, variable, t->params[i])) {
            return true;
        }
    }
    return false;
}

static bool is_less_specific(const struct cel_type *a, const struct cel_type *b)
{
    if (a->kind == CEL_DYN || a->kind == CEL_PARAM) {
        return true;
    }
    if (b->kind == CEL_DYN || b->kind == CEL_PARAM || a->kind != b->kind) {
        return false;
    }
    if (a->kind == CEL_TYPE) {
        return true;
    }
    if (!str_eq(a->name, b->name) || a->param_count != b->param_count) {
        return false;
    }
    for (uint32_t i = 0; i < a->param_count; i++) {
        if (!is_less_specific(a->params[i], b->params[i])) {
            return false;
        }
    }
    return true;
}

/* Of two types that fit. null beside what may be null is the latter. */
static const struct cel_type *more_general(const struct cel_type *a,
                                           const struct cel_type *b)
{
    if (b->kind == CEL_NULL && a->kind != CEL_PARAM) {
        return a;
    }
    return is_less_specific(a, b) ? a : b;
}

static bool fits(struct cel_unify *u, const struct cel_type *to,
                 const struct cel_type *from);

/* Can `variable` stand for t? *ret_known: it stands for something already. */
static bool stands_for(struct cel_unify *u, const struct cel_type *t,
                       const struct cel_type *variable, bool *ret_known)
{
    *ret_known = true;
    if (is_exactly(t, variable)) {
        return true;
    }
    const struct cel_type *now = bound_to(u, variable);
    if (now != NULL) {
        if (!fits(u, t, now)) {
            return false;
        }
        const struct cel_type *wider = more_general(t, now);
        if (!mentions(u, variable, wider)) {
            bind(u, variable, wider);
        }
        return true;
    }
    *ret_known = false;
    if (variable->variable == 0 || mentions(u, variable, t)) {
        return false;
    }
    bind(u, variable, t);
    return true;
}

/* What null may stand for. */
static bool is_nullable(const struct cel_type *t)
{
    return t->kind == CEL_NULL || t->kind == CEL_OPAQUE ||
           t->kind == CEL_OPTIONAL || t->kind == CEL_TIMESTAMP ||
           t->kind == CEL_DURATION || t->kind == CEL_IP ||
           t->kind == CEL_CIDR || t->kind == CEL_OBJECT;
}

static bool fits(struct cel_unify *u, const struct cel_type *to,
                 const struct cel_type *from)
{
    bool known = false;
    if (!step(u)) {
        return false;
    }
    if (from->kind == CEL_PARAM) {
        if (stands_for(u, to, from, &known)) {
            return true;
        }
        if (known) {
            return false;
        }
    }
    if (to->kind == CEL_PARAM) {
        return stands_for(u, from, to, &known);
    }
    if (to->kind == CEL_DYN || from->kind == CEL_DYN || to->kind == CEL_ERROR ||
        from->kind == CEL_ERROR) {
        return true;
    }
    if (to->kind == CEL_NULL || from->kind == CEL_NULL) {
        return is_nullable(to) && is_nullable(from);
    }
    /* An object is a map with string keys for whoever takes maps. */
    if (to->kind == CEL_MAP && from->kind == CEL_OBJECT) {
        return fits(u, to->params[0], &cel_type_string) &&
               fits(u, to->params[1], &cel_type_dyn);
    }
    if (to->kind == CEL_TYPE && from->kind == CEL_TYPE) {
        return true;
    }
    if (to->kind != from->kind || !str_eq(to->name, from->name) ||
        to->param_count != from->param_count) {
        return false;
    }
    for (uint32_t i = 0; i < to->param_count; i++) {
        if (!fits(u, to->params[i], from->params[i])) {
            return false;
        }
    }
    return true;
}

bool cel_unify_all_fit(struct cel_unify *u, const struct cel_type *const *to,
                       const struct cel_type *const *from, uint32_t count)
{
    size_t mark = u->trail.count;
    for (uint32_t i = 0; i < count; i++) {
        if (!fits(u, to[i], from[i])) {
            undo(u, mark);
            return false;
        }
    }
    return true;
}

bool cel_unify_fits(struct cel_unify *u, const struct cel_type *to,
                    const struct cel_type *from)
{
    return cel_unify_all_fit(u, &to, &from, 1);
}

const struct cel_type *cel_unify_join(struct cel_unify *u,
                                      const struct cel_type *a,
                                      const struct cel_type *b)
{
    if (a == NULL) {
        return b;
    }
    if (!cel_unify_fits(u, a, b)) {
        return &cel_type_dyn;
    }
    return more_general(a, b);
}

const struct cel_type *cel_unify_resolve(struct cel_unify *u,
                                         const struct cel_type *t,
                                         bool free_is_dyn)
{
    const struct cel_type *params[PARAMS_MAX];
    bool is_new = false;
    if (!step(u)) {
        return &cel_type_dyn;
    }
    if (t->kind == CEL_PARAM) {
        const struct cel_type *to = bound_to(u, t);
        if (to != NULL) {
            return cel_unify_resolve(u, to, free_is_dyn);
        }
        return free_is_dyn ? &cel_type_dyn : t;
    }
    ASSERT(t->param_count <= PARAMS_MAX);
    for (uint32_t i = 0; i < t->param_count; i++) {
        params[i] = cel_unify_resolve(u, t->params[i], free_is_dyn);
        is_new = is_new || params[i] != t->params[i];
    }
    return is_new ? cel_type_with(u->arena, t, params) : t;
}

static const struct cel_type *
fresh_for(struct cel_unify *u, struct cel_fresh *fresh, struct str name)
{
    for (uint32_t i = 0; i < fresh->count; i++) {
        if (str_eq(fresh->names[i], name)) {
            return fresh->types[i];
        }
    }
    ASSERT(fresh->count < ARRAY_LEN(fresh->names));
    fresh->names[fresh->count] = name;
    fresh->types[fresh->count] = cel_unify_fresh(u);
    return fresh->types[fresh->count++];
}

const struct cel_type *cel_unify_instance(struct cel_unify *u,
                                          struct cel_fresh *fresh,
                                          const struct cel_type *t)
{
    const struct cel_type *params[PARAMS_MAX];
    bool is_new = false;
    if (t->kind == CEL_PARAM && t->variable == 0) {
        return fresh_for(u, fresh, t->name);
    }
    ASSERT(t->param_count <= PARAMS_MAX);
    for (uint32_t i = 0; i < t->param_count; i++) {
        params[i] = cel_unify_instance(u, fresh, t->params[i]);
        is_new = is_new || params[i] != t->params[i];
    }
    return is_new ? cel_type_with(u->arena, t, params) : t;
}
