/*
 * The conditions (`when:`) of triggers for one event: evaluated after all that
 * the index and the matchers know, within a budget that they share. Private to
 * match and explain. Pure; one thread.
 */
#pragma once

#include "match/index.h"

struct conditions;

/* For this event; the arena keeps what conditions read of it. */
struct conditions *conditions_new(const struct event *e,
                                  const struct match_input *input,
                                  struct arena *a);

/* NULL is fine. */
void conditions_free(struct conditions *c);

/* Units that the condition of a trigger of this runbook may use next. */
int64_t conditions_share(const struct conditions *c, const struct runbook *rb);

/* Is the trigger's condition true? One without a value is not, and is noted in
 * ret->failed with the reason. */
bool conditions_hold(struct conditions *c, const struct indexed_trigger *it,
                     struct matches *ret);
