/*
 * The JSON schemas that openapi.json shows, by name. Immutable.
 */
#pragma once

#include "base/strbuf.h"

struct schema {
    const char *name;
    const char *json; /* the schema's text */
};

extern const struct schema schemas[];
extern const size_t schema_count;
