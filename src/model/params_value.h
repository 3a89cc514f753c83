/*
 * One parameter value: from text or JSON to its canonical text, with every
 * check that its declaration asks for, and from there to JSON. The loader
 * (defaults, constants of triggers) and params.c share it. Pure; any thread.
 *
 * Canonical text: a string or enum as it is; an integer in decimal; a number
 * with the fewest digits that read back the same; true or false; a duration
 * in whole seconds, which is what sleep and timeout take.
 */
#pragma once

#include <jansson.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/strbuf.h"
#include "model/runbook.h"

/* "a string", "an integer"...; "string", "integer"... as in `type:`. */
const char *param_type_expected(enum param_type t);
const char *param_type_name(enum param_type t);
NODISCARD int param_type_parse(struct str text, enum param_type *ret);

/* Checks a value given as text (by an event, a default) and gives its
 * canonical text in the arena. Control characters are refused before anything
 * else is looked at. 0, -EINVAL, -ERANGE or -E2BIG. Messages never quote the
 * value of a secret. */
NODISCARD int param_from_text(const struct param *p, struct str text,
                              struct arena *a, struct str *ret,
                              struct err *reterr);

/* The same for a value given as JSON, whose type must be the declared one (a
 * duration may be a text or a number of seconds). */
NODISCARD int param_from_json(const struct param *p, const json_t *value,
                              struct arena *a, struct str *ret,
                              struct err *reterr);

/* May an expression give a value of this kind for the parameter? A text always
 * may: it is read as one that an event gives. */
bool param_fits_kind(const struct param *p, enum cel_kind kind);

/* The same for what an expression gives, whose kind must fit. */
NODISCARD int param_from_value(const struct param *p, struct cel_value v,
                               struct arena *a, struct str *ret,
                               struct err *reterr);

/* Appends canonical text as a JSON value: strings and enums quoted, all other
 * types as they are. */
void param_add_json(const struct param *p, struct str canonical,
                    struct strbuf *out);
