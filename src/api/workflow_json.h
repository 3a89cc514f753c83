/*
 * Workflows, their steps and attempts as the API shows them. Secret values
 * are "***"; when the runbook version cannot be had, so that nobody knows
 * which are secret, all values are.
 */
#pragma once

#include "api/pinned.h"
#include "base/strbuf.h"

/* A workflow row without the closing brace: steps may follow. rb may be
 * NULL. The arena is for the call. */
void workflow_put(struct strbuf *out, const struct workflow_row *w,
                  const struct runbook *rb, struct arena *a);

/* "steps": [...], from the attempts in order of step and number. */
void workflow_put_steps(struct strbuf *out, const struct workflow_row *w,
                        const struct runbook *rb,
                        const struct attempt_row *attempts, uint32_t count);

/* A chunk of output as an element of "logs". rb may be NULL. */
void workflow_put_chunk(struct strbuf *out, const struct output_chunk *chunk,
                        const struct runbook *rb);
