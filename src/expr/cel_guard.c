#include "expr/cel_check.h"

/* Conditions that are known to hold where one stands, one inside the other. */
#define KNOWN_MAX 64

struct known {
    const struct cel_node *map;
    struct str key;
};

struct walk {
    struct str text;
    struct cel_warnings *warnings;
    struct known known[KNOWN_MAX];
    uint32_t count;
};

/* The same names and fields: they give the same value. */
static bool is_same(const struct cel_node *a, const struct cel_node *b)
{
    for (;;) {
        if (a == NULL || b == NULL || a->kind != b->kind ||
            !str_eq(a->name, b->name)) {
            return false;
        }
        if (a->kind == CEL_NODE_NAME) {
            return a->role == b->role && a->index == b->index;
        }
        if (a->kind != CEL_NODE_SELECT || a->is_test != b->is_test) {
            return false;
        }
        a = a->target;
        b = b->target;
    }
}

static bool is_literal_key(const struct cel_node *n)
{
    return n->kind == CEL_NODE_LITERAL && n->value.kind == CEL_STRING;
}

static bool is_call(const struct cel_node *n, const char *name)
{
    return n->kind == CEL_NODE_CALL && n->is_operator &&
           str_eq_c(n->name, name);
}

static void learn(struct walk *w, const struct cel_node *map, struct str key)
{
    if (w->count < KNOWN_MAX) {
        w->known[w->count++] = (struct known){map, key};
    }
}

/* What is known where the condition is true, or where it is false. */
static void assume(struct walk *w, const struct cel_node *n, bool is_true)
{
    if (w->count == KNOWN_MAX) {
        return;
    }
    if (n->kind == (is_true ? CEL_NODE_AND : CEL_NODE_OR)) {
        for (uint32_t i = 0; i < n->arg_count; i++) {
            assume(w, n->args[i], is_true);
        }
    } else if (is_call(n, "!_")) {
        assume(w, n->args[0], !is_true);
    } else if (is_true && n->kind == CEL_NODE_SELECT && n->is_test) {
        learn(w, n->target, n->name);
    } else if (is_true && is_call(n, "@in") && is_literal_key(n->args[0])) {
        learn(w, n->args[1], cel_text(n->args[0]->value));
    }
}

/* Labels, and fields that are declared so. */
static bool may_be_absent(const struct cel_type *map, struct str key)
{
    int field =
        map != NULL && map->kind == CEL_OBJECT ? cel_type_field(map, key) : -1;
    return (map != NULL && map->has_loose_keys) ||
           (field >= 0 && map->fields[field].may_be_absent);
}

static void check_access(struct walk *w, const struct cel_node *map,
                         struct str key, uint32_t offset)
{
    if (!may_be_absent(map->type, key)) {
        return;
    }
    for (uint32_t i = 0; i < w->count; i++) {
        if (str_eq(w->known[i].key, key) && is_same(w->known[i].map, map)) {
            return;
        }
    }
    if (w->warnings->count == CEL_WARNINGS_MAX) {
        return;
    }
    struct cel_issue *issue = &w->warnings->items[w->warnings->count++];
    *issue = CEL_ISSUE_INIT;
    (void)cel_issue_set(issue, w->text, offset,
                        "unguarded %s access: %.*s may be missing, and "
                        "the expression fails then",
                        map->type->kind == CEL_OBJECT ? "field" : "label",
                        STR_ARG(key));
    err_hint(&issue->err,
             "write .?%.*s.orValue(\"\"), or has(...) && before "
             "it",
             STR_ARG(key));
}

static void walk(struct walk *w, const struct cel_node *n);

static void walk_args(struct walk *w, const struct cel_node *n)
{
    for (uint32_t i = 0; i < n->arg_count; i++) {
        if (n->args[i] != NULL) {
            walk(w, n->args[i]);
        }
    }
}

/* An error beside a part that decides is absorbed, so each part may count on
 * all others, whatever their order: true in &&, false in ||. */
static void walk_logic(struct walk *w, const struct cel_node *n)
{
    uint32_t mark = w->count;
    for (uint32_t i = 0; i < n->arg_count; i++) {
        for (uint32_t k = 0; k < n->arg_count; k++) {
            if (k != i) {
                assume(w, n->args[k], n->kind == CEL_NODE_AND);
            }
        }
        walk(w, n->args[i]);
        w->count = mark;
    }
}

static void walk_choice(struct walk *w, const struct cel_node *n)
{
    uint32_t mark = w->count;
    walk(w, n->args[0]);
    assume(w, n->args[0], true);
    walk(w, n->args[1]);
    w->count = mark;
    assume(w, n->args[0], false);
    walk(w, n->args[2]);
    w->count = mark;
}

static void walk(struct walk *w, const struct cel_node *n)
{
    if (n->kind == CEL_NODE_AND || n->kind == CEL_NODE_OR) {
        walk_logic(w, n);
        return;
    }
    if (n->kind == CEL_NODE_CHOICE) {
        walk_choice(w, n);
        return;
    }
    if (n->kind == CEL_NODE_SELECT && n->target != NULL && !n->is_test &&
        !n->is_optional) {
        check_access(w, n->target, n->name, n->offset);
    }
    if (is_call(n, "_[_]") && is_literal_key(n->args[1])) {
        check_access(w, n->args[0], cel_text(n->args[1]->value), n->offset);
    }
    if (n->target != NULL) {
        walk(w, n->target);
    }
    walk_args(w, n);
}

void cel_check_guards(struct str text, const struct cel_node *root,
                      struct cel_warnings *ret)
{
    struct walk w = {.text = text, .warnings = ret};
    walk(&w, root);
}
