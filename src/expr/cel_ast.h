/*
 * The tree of an expression: made by the parser (macros already expanded),
 * completed by the checker, read by the compiler. Owned by its arena; one
 * thread. Every node knows its height, which is limited when it is made, so
 * whoever walks the tree may recurse.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "expr/cel_value.h"

struct cel_function;

enum cel_node_kind {
    CEL_NODE_LITERAL,
    CEL_NODE_NAME,
    CEL_NODE_SELECT, /* target.name, target.?name, has(target.name) */
    CEL_NODE_CALL,   /* name(args), target.name(args), operators */
    CEL_NODE_AND,    /* args, two or more */
    CEL_NODE_OR,
    CEL_NODE_CHOICE, /* args: condition, then, else */
    CEL_NODE_LIST,
    CEL_NODE_MAP,     /* args: key, value, key, value... */
    CEL_NODE_LOOP,    /* a macro over target: names, args: filter, body */
    CEL_NODE_BIND,    /* cel.bind: target is the value, args[0] the body */
    CEL_NODE_OPT_MAP, /* target.optMap(name, args[0]) */
};

enum cel_loop {
    CEL_LOOP_ALL,
    CEL_LOOP_EXISTS,
    CEL_LOOP_EXISTS_ONE,
    CEL_LOOP_LIST,      /* map, filter, transformList */
    CEL_LOOP_MAP,       /* transformMap */
    CEL_LOOP_MAP_ENTRY, /* transformMapEntry */
};

/* What the checker found a name to be. */
enum cel_role {
    CEL_ROLE_NONE,
    CEL_ROLE_LOCAL,    /* of a macro: index is its depth */
    CEL_ROLE_VARIABLE, /* of the environment: index is its number */
    CEL_ROLE_VALUE,    /* a constant: node->value */
    CEL_ROLE_UNKNOWN,  /* unchecked: an error when it is evaluated */
};

struct cel_node {
    enum cel_node_kind kind;
    enum cel_loop loop;
    enum cel_role role;
    bool is_test;     /* select: has() */
    bool is_optional; /* select: .?; optFlatMap */
    bool is_maybe;    /* an element or a key behind ?: [?x], {?k: v} */
    bool is_absolute; /* name: .x */
    bool is_operator; /* call: written as a sign */
    uint32_t offset;
    uint32_t begin; /* its bytes in the text */
    uint32_t end;
    uint32_t height;
    uint32_t index;  /* local or variable; hint of a select */
    uint32_t local;  /* loop, bind: the depth of the first name */
    struct str name; /* of the function, the field, the first variable */
    struct str name2;
    struct cel_node *target; /* NULL: none */
    struct cel_node **args;  /* a NULL among them: no filter */
    uint32_t arg_count;
    struct cel_value value;
    /* By the checker. */
    const struct cel_type *type;
    const struct cel_function *function; /* the one overload, if certain */
    bool is_qualified; /* a call whose target is part of the name */
    uint32_t term;     /* its number in an explanation, from 1; 0: none */
};
