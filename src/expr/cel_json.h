/*
 * JSON to values of CEL and back. Pure; any thread, a json_t by one at a
 * time.
 */
#pragma once

#include <jansson.h>

#include "base/strbuf.h"
#include "expr/cel_value.h"

/* The value of a JSON value, in the arena: objects are maps, integers ints,
 * reals doubles. Texts are copied. Nesting is that of the reader's limits. */
struct cel_value cel_json_read(const json_t *json, struct arena *a);

/* The same as the type says: a number where a double is wanted is one, and
 * where a timestamp is wanted it is epoch seconds, where a duration is wanted
 * whole seconds. An object of an object type
 * is read field by field when it is asked for: a text that is absent or null
 * is "" then, a list or map empty, any other field is absent. What is of
 * another type than declared is given as it is. A field that may be absent is
 * absent then. The JSON must outlive the value. */
struct cel_value cel_json_as(const struct cel_type *type, const json_t *json,
                             struct arena *a);

/* Appends the value as JSON: ints and uints as numbers, bytes in base64,
 * instants and durations as text, NaN and infinities as text, an optional as
 * its value or null, map keys as strings. An error gives null. */
void cel_json_write(struct cel_value v, struct strbuf *out);
