/*
 * The JSON Schema (draft 7) of a runbook, for editors: made from the tables of
 * keys that the loader reads by (runbook_keys.c). It accepts whatever the
 * loader accepts; it refuses unknown and missing keys, wrong types, values
 * that are not among the allowed ones, and what else a schema can say. Names
 * that refer to each other, and the inside of ${{ }}, only the loader checks.
 *
 * Texts count bytes in the loader and characters in a schema, so its limits
 * are the looser ones. Pure; any thread.
 */
#pragma once

#include <jansson.h>

/* Where the package installs it, for the first line of a new runbook. */
#define RUNBOOK_SCHEMA_PATH "/usr/share/autonomous-devops/schema/runbook.json"

/* A new reference. */
json_t *runbook_schema(void);
