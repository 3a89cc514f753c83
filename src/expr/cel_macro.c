#include <errno.h>
#include <string.h>

#include "expr/cel_parse_priv.h"

/* The macros that go over a list or a map. `names` are the variables; then
 * come the filter, if there is one, and the body. */
static const struct {
    const char *name;
    enum cel_loop loop;
    uint32_t arg_count;
    uint32_t names;
    bool has_filter;
    bool is_filter; /* filter(): the element itself is the body */
} loops[] = {
    {"all", CEL_LOOP_ALL, 2, 1, false, false},
    {"all", CEL_LOOP_ALL, 3, 2, false, false},
    {"exists", CEL_LOOP_EXISTS, 2, 1, false, false},
    {"exists", CEL_LOOP_EXISTS, 3, 2, false, false},
    {"exists_one", CEL_LOOP_EXISTS_ONE, 2, 1, false, false},
    {"exists_one", CEL_LOOP_EXISTS_ONE, 3, 2, false, false},
    {"existsOne", CEL_LOOP_EXISTS_ONE, 2, 1, false, false},
    {"existsOne", CEL_LOOP_EXISTS_ONE, 3, 2, false, false},
    {"map", CEL_LOOP_LIST, 2, 1, false, false},
    {"map", CEL_LOOP_LIST, 3, 1, true, false},
    {"filter", CEL_LOOP_LIST, 2, 1, false, true},
    {"transformList", CEL_LOOP_LIST, 3, 2, false, false},
    {"transformList", CEL_LOOP_LIST, 4, 2, true, false},
    {"transformMap", CEL_LOOP_MAP, 3, 2, false, false},
    {"transformMap", CEL_LOOP_MAP, 4, 2, true, false},
    {"transformMapEntry", CEL_LOOP_MAP_ENTRY, 3, 2, false, false},
    {"transformMapEntry", CEL_LOOP_MAP_ENTRY, 4, 2, true, false},
};

static int take_name(struct cel_parser *p, const struct cel_node *call,
                     const struct cel_node *arg, struct str *ret)
{
    if (arg->kind != CEL_NODE_NAME || arg->is_absolute) {
        return cel_parser_fail(p, arg->offset,
                               "%.*s() takes a plain name here, as in "
                               "items.%.*s(item, item > 0)",
                               STR_ARG(call->name), STR_ARG(call->name));
    }
    *ret = arg->name;
    return 0;
}

static int expand_loop(struct cel_parser *p, size_t which,
                       struct cel_node **node)
{
    struct cel_node *call = *node;
    uint32_t names = loops[which].names;
    struct cel_node *n = cel_node_new(p, CEL_NODE_LOOP, call->offset);
    n->loop = loops[which].loop;
    n->target = call->target;
    int r = take_name(p, call, call->args[0], &n->name);
    if (r == 0 && names == 2) {
        r = take_name(p, call, call->args[1], &n->name2);
    }
    if (r < 0) {
        return r;
    }
    if (names == 2 && str_eq(n->name, n->name2)) {
        return cel_parser_fail(p, call->args[1]->offset,
                               "the two names of %.*s() must differ",
                               STR_ARG(call->name));
    }
    n->args = ARENA_ARRAY(p->lex.arena, 2, struct cel_node *);
    n->arg_count = 2;
    n->args[1] = call->args[call->arg_count - 1];
    if (loops[which].has_filter) {
        n->args[0] = call->args[names];
    }
    if (loops[which].is_filter) {
        n->args[0] = n->args[1];
        n->args[1] = call->args[0];
    }
    *node = n;
    return cel_node_done(p, n);
}

static int expand_has(struct cel_parser *p, struct cel_node **node)
{
    struct cel_node *field = (*node)->args[0];
    if (field->kind != CEL_NODE_SELECT || field->is_test) {
        (void)cel_parser_fail(p, field->offset,
                              "has() takes a field, as in "
                              "has(event.labels.severity)");
        err_hint(&p->issue->err, "for a key in quotes write "
                                 "\"a-b\" in event.labels");
        return -EBADMSG;
    }
    field->is_test = true;
    *node = field;
    return 0;
}

/* cel.bind(name, value, body) */
static int expand_bind(struct cel_parser *p, struct cel_node **node)
{
    struct cel_node *call = *node;
    struct cel_node *n = cel_node_new(p, CEL_NODE_BIND, call->offset);
    int r = take_name(p, call, call->args[0], &n->name);
    n->target = call->args[1];
    n->args = &call->args[2];
    n->arg_count = 1;
    *node = n;
    return r < 0 ? r : cel_node_done(p, n);
}

static int expand_opt_map(struct cel_parser *p, struct cel_node **node)
{
    struct cel_node *call = *node;
    struct cel_node *n = cel_node_new(p, CEL_NODE_OPT_MAP, call->offset);
    int r = take_name(p, call, call->args[0], &n->name);
    n->is_optional = str_eq_c(call->name, "optFlatMap");
    n->target = call->target;
    n->args = &call->args[1];
    n->arg_count = 1;
    *node = n;
    return r < 0 ? r : cel_node_done(p, n);
}

/* A call of a macro's name with a number of arguments that none takes. */
static int check_count(struct cel_parser *p, const struct cel_node *call)
{
    for (size_t i = 0; i < ARRAY_LEN(loops); i++) {
        if (str_eq_c(call->name, loops[i].name)) {
            return cel_parser_fail(
                p, call->offset, "%.*s() does not take %u arguments",
                STR_ARG(call->name), (unsigned)call->arg_count);
        }
    }
    return 0;
}

int cel_macro_expand(struct cel_parser *p, struct cel_node **call)
{
    struct cel_node *c = *call;
    if (c->target == NULL) {
        return str_eq_c(c->name, "has") && c->arg_count == 1 && !c->is_absolute
                   ? expand_has(p, call)
                   : 0;
    }
    bool on_cel =
        c->target->kind == CEL_NODE_NAME && str_eq_c(c->target->name, "cel");
    if (on_cel && str_eq_c(c->name, "bind") && c->arg_count == 3) {
        return expand_bind(p, call);
    }
    if ((str_eq_c(c->name, "optMap") || str_eq_c(c->name, "optFlatMap")) &&
        c->arg_count == 2) {
        return expand_opt_map(p, call);
    }
    for (size_t i = 0; i < ARRAY_LEN(loops); i++) {
        if (str_eq_c(c->name, loops[i].name) &&
            c->arg_count == loops[i].arg_count) {
            return expand_loop(p, i, call);
        }
    }
    return check_count(p, c);
}
