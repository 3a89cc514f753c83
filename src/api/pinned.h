/*
 * The runbook version that a workflow runs, for showing it: from the
 * generation in force when that has it, else from the store, where every
 * version that ever ran is kept, through a small cache. Any thread.
 */
#pragma once

#include "match/generation.h"
#include "model/runbook_load.h"
#include "store/reader.h"

#define PINNED_MAX 64

struct pinned;

struct pinned *pinned_new(void);
void pinned_free(struct pinned *p);

/* Where to look. */
struct pinned_source {
    const struct generation *generation; /* may be NULL */
    struct reader *reader;
};

/* The runbook of the row: a reference, or NULL when it cannot be had (its
 * version was written by another program version, say). */
struct runbook *pinned_get(struct pinned *p, const struct pinned_source *from,
                           const struct workflow_row *row);
