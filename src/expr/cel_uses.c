#include <string.h>

#include "base/vec.h"
#include "expr/cel_check.h"

struct finder {
    VEC(struct cel_use) uses;
};

static bool is_constant_index(const struct cel_node *n)
{
    return n->kind == CEL_NODE_CALL && n->is_operator &&
           str_eq_c(n->name, "_[_]") && n->args[1]->kind == CEL_NODE_LITERAL &&
           n->args[1]->value.kind == CEL_STRING;
}

/* What the name is asked of, if this asks for a constant one; else NULL. */
static const struct cel_node *object_of(const struct cel_node *n,
                                        struct str *ret_name)
{
    if (n->kind == CEL_NODE_SELECT && n->target != NULL) {
        *ret_name = n->name;
        return n->target;
    }
    if (is_constant_index(n)) {
        *ret_name = cel_text(n->args[1]->value);
        return n->args[0];
    }
    return NULL;
}

/* A chain of names down to a variable; false if it is not one. */
static bool take_chain(struct finder *f, const struct cel_node *n)
{
    struct str names[64];
    struct cel_use use = {.offset = n->offset};
    size_t depth = 0;
    const struct cel_node *object = NULL;
    while (depth < ARRAY_LEN(names) &&
           (object = object_of(n, &names[depth])) != NULL) {
        n = object;
        depth++;
    }
    if (n->kind != CEL_NODE_NAME || n->role != CEL_ROLE_VARIABLE) {
        return false;
    }
    use.names[use.count++] = n->name;
    while (depth > 0 && use.count < CEL_USE_NAMES) {
        use.names[use.count++] = names[--depth];
    }
    VEC_PUSH(&f->uses, use);
    return true;
}

static void find(struct finder *f, const struct cel_node *n)
{
    if (take_chain(f, n)) {
        return;
    }
    if (n->target != NULL) {
        find(f, n->target);
    }
    for (uint32_t i = 0; i < n->arg_count; i++) {
        if (n->args[i] != NULL) {
            find(f, n->args[i]);
        }
    }
}

void cel_check_uses(const struct cel_node *root, struct arena *a,
                    struct cel_uses *ret)
{
    struct finder f = {0};
    find(&f, root);
    struct cel_use *kept = ARENA_ARRAY(a, f.uses.count, struct cel_use);
    if (f.uses.count != 0) {
        memcpy(kept, f.uses.at, f.uses.count * sizeof(*kept));
    }
    *ret = (struct cel_uses){kept, (uint32_t)f.uses.count};
    VEC_DEINIT(&f.uses);
}
