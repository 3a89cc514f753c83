/*
 * The shapes of bodies, by name, for openapi.json. One table; immutable.
 */
#pragma once

#include <stddef.h>

#include "base/strbuf.h"
#include "expr/cel_type.h"

struct schema {
    const char *name;
    /* "name type", one after the other, up to NULL. A type is string, integer,
     * number, boolean, object, any, or the name of a schema; in front of it
     * may stand "[]" (a list of it), behind it "?" (or null). "instant" is
     * epoch seconds and its _iso twin. */
    const char *const *fields;
    const char *base; /* the fields of this schema, too; NULL: none */
};

extern const struct schema schemas[];
extern const size_t schema_count;

/* What an expression sees of a row of that schema, an object type with all
 * its fields, made in the arena; instants are timestamps. */
const struct cel_type *schema_cel_type(const char *name, struct arena *a);

/* Appends all of them as the members of components.schemas. */
void schemas_add(struct strbuf *out);
