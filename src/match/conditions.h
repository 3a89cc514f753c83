/*
 * The conditions (`when:`) of triggers for one event: evaluated after all that
 * the index and the matchers know, within a budget that they share. Private to
 * match. Pure; one thread.
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

/* Is the trigger's condition true? One without a value is not, and is noted in
 * ret->failed with the reason. */
bool conditions_hold(struct conditions *c, const struct indexed_trigger *it,
                     struct matches *ret);
