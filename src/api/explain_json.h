/*
 * Explanations (explain/explain.h) as the API shows them. Values that are long
 * are cut. Pure.
 */
#pragma once

#include <jansson.h>

#include "api/put.h"
#include "explain/explain.h"
#include "model/decision.h"

#define API_EXPLAIN_DEFAULT 10

/* A term's value is cut behind so many bytes. */
#define API_EXPLAIN_VALUE_MAX_BYTES 200

/* Conditions, `when` and its terms, as members of an open object. */
void explain_put_conditions(struct strbuf *out,
                            const struct explained_trigger *t);

/* "held": what is kept of the decision (model/decision.h), and
 * "held_left_out"; empty when nothing is. */
void explain_put_held(struct strbuf *out, struct str decision);

/* "held" of one trigger, or null. */
void explain_put_held_of(struct strbuf *out, const json_t *decision,
                         struct str runbook, struct str trigger);

/* One guard as an element of an array. */
void explain_put_guard(struct strbuf *out, const struct explain_guard *g);

struct call;

/* How the breaker and the rates that hold for the runbook stand at now_ms: read
 * on the call's reader, put as elements of an array. 0, or the reader's error.
 */
NODISCARD int explain_put_guards(struct call *c, const struct runbook *rb,
                                 const struct guard_config *config,
                                 uint64_t now_ms);

/* The same for what was escalated of the event's key, if anything. */
NODISCARD int explain_put_escalated(struct call *c, const struct runbook *rb,
                                    const struct trigger *t,
                                    const struct event *e, uint64_t now_ms);
