/*
 * Explanations (explain/explain.h) as the API shows them. Values that are long
 * are cut. Pure.
 */
#pragma once

#include "api/put.h"
#include "explain/explain.h"

#define API_EXPLAIN_DEFAULT 10

/* A term's value is cut behind so many bytes. */
#define API_EXPLAIN_VALUE_MAX_BYTES 200

/* Conditions, `when` and its terms, as members of an open object. */
void explain_put_conditions(struct strbuf *out,
                            const struct explained_trigger *t);

/* One guard as an element of an array. */
void explain_put_guard(struct strbuf *out, const struct explain_guard *g);
