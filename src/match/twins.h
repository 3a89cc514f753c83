/*
 * Runbooks of one generation that one event would start together, because one
 * is a copy of the other or was made from it: found when the generation is
 * made, by their triggers' conditions and by their names. Pure.
 */
#pragma once

#include "match/generation.h"

enum twin_kind {
    TWIN_NONE,
    TWIN_COPY,     /* the same bytes, with triggers */
    TWIN_TRIGGERS, /* the same set of conditions */
    TWIN_NAME      /* only the same name */
};

struct twin {
    enum twin_kind kind;
    const struct generation_file *other; /* the first by path */
};

/* May events start the runbook at this path? */
typedef bool twin_counts_fn(const void *context, struct str path);

/* The worst that another runbook in force is to this file's; a file without a
 * runbook, or one that does not count, has none. counts NULL: all do. */
struct twin generation_twin(const struct generation *g,
                            const struct generation_file *f,
                            twin_counts_fn *counts, const void *context);

/* A warning that names the other one. Not for TWIN_NONE. */
void twin_explain(const struct twin *t, struct err *ret);

/* For generation_new: fills g->same_triggers and g->same_name. */
void generation_find_twins(struct generation *g);
