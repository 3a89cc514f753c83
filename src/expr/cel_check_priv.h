/*
 * What the parts of the checker share. One thread.
 */
#pragma once

#include "base/vec.h"
#include "expr/cel_check.h"
#include "expr/cel_unify.h"

struct cel_local {
    struct str name;
    const struct cel_type *type;
};

struct cel_checker {
    const struct cel_env *env;
    struct str text;
    struct arena *arena;
    struct cel_issue *issue;
    struct cel_unify unify;
    VEC(struct cel_local) locals;
    uint32_t local_max;
};

/* Checks one node and those below; sets its type. */
NODISCARD int cel_check_node(struct cel_checker *c, struct cel_node *n);

/* Finds the overload of a call whose arguments are checked. args has the
 * receiver first. */
NODISCARD int cel_check_overload(struct cel_checker *c, struct cel_node *n,
                                 struct cel_node *const *args, uint32_t count);

/* Names: a variable, a constant of the environment, or a local. */
NODISCARD int cel_check_name(struct cel_checker *c, struct cel_node *n);
NODISCARD int cel_check_select(struct cel_checker *c, struct cel_node *n);

/* If the target and the name of a call are together the name of a function
 * (math.greatest), makes it so. */
void cel_check_qualify(struct cel_checker *c, struct cel_node *call);

/* The function name in the container, if there is one that can be called in
 * this style; *name is replaced by its full name. */
bool cel_check_find_function(struct cel_checker *c, struct str *name,
                             bool is_absolute, enum cel_style style);

/* Records an issue at the offset unless unchecked: -EBADMSG, or 0 then. */
int cel_checker_fail(struct cel_checker *c, uint32_t offset, const char *fmt,
                     ...) PRINTF_LIKE(3, 4);

/* The type in words, in the checker's arena. */
const char *cel_checker_type_text(struct cel_checker *c,
                                  const struct cel_type *t);
