/*
 * One case of the CEL conformance suite in its JSON form: expr, and value,
 * error or deduced_type; with bindings, type_env, container, disable_check
 * and check_only where needed. Integers are decimal strings, bytes are hex.
 * Pure; any thread.
 */
#pragma once

#include <jansson.h>

#include "expr/cel.h"

enum cel_verdict {
    CEL_VERDICT_PASS,
    CEL_VERDICT_FAIL,
    CEL_VERDICT_INVALID, /* the case itself cannot be read */
};

/* Who tells the offsets of zones: see struct cel_input. */
struct cel_conform_zone {
    int (*offset)(void *context, struct str name, int64_t seconds,
                  int32_t *ret);
    void *context;
};

/* Runs the case. On a failure, what was wanted and what came is appended to
 * why, one line. zone may be NULL: fixed offsets only. */
enum cel_verdict cel_conform(const json_t *test,
                             const struct cel_conform_zone *zone,
                             struct strbuf *why);
