/*
 * From YAML text to a runbook, strictly: unknown keys (unless the defaults say
 * otherwise), wrong types, duplicate keys, aliases, tags, several documents,
 * event data in shell text and unresolvable ${{ }} paths are errors with line,
 * column, what was expected and the nearest valid name. The keys stand in
 * tables (runbook_keys.c). Pure; any thread.
 */
#pragma once

#include "base/err.h"
#include "base/vec.h"
#include "model/runbook.h"

#define RUNBOOK_MAX_BYTES (1024 * 1024)
#define RUNBOOK_MAX_DEPTH 32
#define RUNBOOK_MAX_NODES 10000
#define RUNBOOK_MAX_PARAMS 64
#define RUNBOOK_MAX_STEPS 100
#define RUNBOOK_MAX_TRIGGERS 100
#define RUNBOOK_PARAM_VALUE_MAX_BYTES 1024
#define RUNBOOK_STEP_TIMEOUT_MAX_MS (3600U * 1000U)
#define RUNBOOK_MAX_ERRORS 50

/* What a load found: errors refuse the file, warnings do not. */
struct runbook_problem {
    bool warning;
    struct err err;
};

struct runbook_report {
    VEC(struct runbook_problem) problems; /* in the order of the file */
    uint32_t error_count;
};

void runbook_report_deinit(struct runbook_report *r);

/* Loads text as the runbook at `path` (relative to the repository). Returns 0
 * and a new reference in *ret, or -EINVAL with at least one error in the
 * report; the report is filled (and must be deinit'ed) in both cases. */
NODISCARD int runbook_load(struct str path, struct str text,
                           const struct runbook_defaults *defaults,
                           struct runbook **ret, struct runbook_report *report);
