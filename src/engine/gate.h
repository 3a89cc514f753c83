/*
 * Before the first attempt of a step: is it to run at all (`when:`), and what
 * have the steps before told, for its own expressions? Inside of the engine;
 * who owns what: engine_priv.h.
 */
#pragma once

#include <stdbool.h>

#include "base/arena.h"
#include "base/err.h"

struct engine;
struct flow;

/* True if the current step begins no attempt: it was skipped, its condition
 * being false, or it failed, its condition having no value or what it needs of
 * others being too large. Its attempt is then over, with the reason, and the
 * workflow is left for the caller to go on with. */
NODISCARD bool gate_stops(struct engine *e, struct flow *f);

/* What the steps have told that the current one asks for, as JSON in the
 * arena: {"look": {"status": "succeeded", "exit_code": 0, "outputs": {...}}}.
 * -E2BIG: more than START can say. */
NODISCARD int gate_told(const struct flow *f, struct arena *a, struct str *ret,
                        struct err *reterr);
