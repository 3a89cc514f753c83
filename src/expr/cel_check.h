/*
 * The checker: finds what every name means and what type every part has, so
 * that a mistake is told when a runbook is loaded and not when an alert comes
 * in. In an unchecked environment it only finds the names. Pure; one thread.
 */
#pragma once

#include "expr/cel_env.h"

/* Most warnings that are kept of one expression. */
#define CEL_WARNINGS_MAX 16

struct cel_warnings {
    struct cel_issue items[CEL_WARNINGS_MAX];
    uint32_t count;
};

/* What an expression asks of a variable, as far as the names are constant:
 * parameters.unit and parameters["unit"] are {"parameters", "unit"}, and
 * parameters[x] is {"parameters"}. */
#define CEL_USE_NAMES 4

struct cel_use {
    struct str names[CEL_USE_NAMES];
    uint32_t count;
    uint32_t offset;
};

struct cel_uses {
    const struct cel_use *items; /* in the order of the text */
    uint32_t count;
};

struct cel_checked {
    const struct cel_type *type; /* of the whole; dyn when unchecked */
    uint32_t local_count;        /* most variables of macros at once */
};

/* Checks the tree in place. Returns 0, or -EBADMSG or -E2BIG (types without
 * bound) with the issue set. */
NODISCARD int cel_check(const struct cel_env *env, struct str text,
                        struct cel_node *root, struct arena *a,
                        struct cel_checked *ret, struct cel_issue *issue);

/* Warns of every key of labels that is taken without a guard: has(), `in`,
 * .? or [?] make sure that it is there. Call after cel_check. */
void cel_check_guards(struct str text, const struct cel_node *root,
                      struct cel_warnings *ret);

/* Everything that the expression asks of the environment's variables, in the
 * arena. Call after cel_check. */
void cel_check_uses(const struct cel_node *root, struct arena *a,
                    struct cel_uses *ret);
