/*
 * adctl runbook test: what one run of it has found, and the report in the form
 * that build servers read.
 */
#pragma once

#include <jansson.h>

#include "app/cli.h"
#include "base/strbuf.h"

/* A report is refused past this size. */
#define CLI_JUNIT_MAX_BYTES (64UL * 1024 * 1024)

/* Appends the tests as JUnit XML. Items: {path, test, line, passed, ...} as
 * adctl runbook test -o json prints them; one that has no "line" is a file that
 * does not load, with the reason as its "error". */
void cli_junit_add(const json_t *items, struct strbuf *out);
