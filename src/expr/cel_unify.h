/*
 * Which types fit which: the part of the checker that finds what the type
 * parameters of overloads and of empty lists stand for. Pure; one thread.
 */
#pragma once

#include "base/vec.h"
#include "expr/cel_type.h"

struct cel_binding {
    uint32_t variable;
    const struct cel_type *before; /* NULL: it was free */
};

/* Steps that finding the types of one expression may take: types can grow
 * with the power of two where a variable stands twice in another. */
#define CEL_UNIFY_STEPS_MAX 200000U

/* What each variable stands for, and how to go back. */
struct cel_unify {
    struct arena *arena;
    uint32_t steps; /* taken; past the maximum nothing fits any more */
    VEC(const struct cel_type *) bound; /* by variable - 1; NULL: free */
    VEC(struct cel_binding) trail;
};

/* True when the steps are used up: what was found then means nothing. */
bool cel_unify_is_spent(const struct cel_unify *u);

void cel_unify_deinit(struct cel_unify *u);

/* A type variable that nothing is known of yet. */
const struct cel_type *cel_unify_fresh(struct cel_unify *u);

/* True if a value of `from` may stand where `to` is wanted; variables are
 * bound then, and left alone otherwise. */
bool cel_unify_fits(struct cel_unify *u, const struct cel_type *to,
                    const struct cel_type *from);

/* The same of several at once. */
bool cel_unify_all_fit(struct cel_unify *u, const struct cel_type *const *to,
                       const struct cel_type *const *from, uint32_t count);

/* The type of things that are of one or of the other type: dyn if they have
 * nothing in common. */
const struct cel_type *cel_unify_join(struct cel_unify *u,
                                      const struct cel_type *a,
                                      const struct cel_type *b);

/* The type with its variables replaced by what they stand for; those that are
 * free become dyn if free_is_dyn. */
const struct cel_type *cel_unify_resolve(struct cel_unify *u,
                                         const struct cel_type *t,
                                         bool free_is_dyn);

/* A row's type with fresh variables for its A and B, the same ones each time
 * for one `fresh` table of two. Named parameters of host functions may be any
 * letter. */
struct cel_fresh {
    struct str names[8];
    const struct cel_type *types[8];
    uint32_t count;
};
const struct cel_type *cel_unify_instance(struct cel_unify *u,
                                          struct cel_fresh *fresh,
                                          const struct cel_type *t);
