/*
 * Plans where the engine is: what would hold back a run that began now, and
 * whether a plan still says so. Handlers on a reading thread.
 */
#pragma once

#include "api/api_priv.h"
#include "api/plan.h"

/* What would be run. */
struct plan_subject {
    const struct runbook *rb;
    struct str parameters; /* as they are stored */
};

/* Asks every guard that looks at runs by hand. 0, or what the store says. */
NODISCARD int plan_decide(struct call *c, const struct generation *g,
                          const struct plan_subject *subject,
                          struct plan_decisions *ret);

/* The dry run that the plan names, when it still holds: its row in *ret. False
 * when it has answered why not. */
NODISCARD bool plan_find(struct call *c, struct str plan,
                         struct workflow_view *ret, uint64_t *ret_digest);

/* Is this runbook the one of the plan, and does all else stand as it did? False
 * when it has answered what has changed. */
NODISCARD bool plan_holds(struct call *c, const struct generation *g,
                          const struct runbook *rb,
                          const struct workflow_row *row, uint64_t digest);
