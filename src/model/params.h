/*
 * Parameter values of one workflow: checked against their declarations, and
 * given to steps. The engine and the executor both run these checks: the
 * executor does not trust the engine. In JSON and in steps a duration is a
 * number of seconds. Pure; any thread.
 */
#pragma once

#include <jansson.h>

#include "base/arena.h"
#include "base/err.h"
#include "model/event_input.h"
#include "model/runbook.h"

/* Checks an object of values against the runbook's parameters, fills in
 * defaults, and returns the complete typed object as compact JSON text in the
 * arena. `given` NULL means {}. Errors: unknown name (with the nearest),
 * missing required, wrong type, pattern, enum, control characters, leading
 * dash, over 1 KiB. */
NODISCARD int params_check(const struct runbook *rb, const json_t *given,
                           struct arena *a, struct str *ret_json,
                           struct err *reterr);

/* Required parameters that have no value. */
struct params_missing {
    struct str *names; /* in the arena */
    uint32_t count;
};

/* For a dry run: as params_check, but required parameters without a value are
 * listed instead of refused. */
NODISCARD int params_preview(const struct runbook *rb, const json_t *given,
                             struct arena *a, struct str *ret_json,
                             struct params_missing *ret_missing,
                             struct err *reterr);

/* What a trigger's `parameters:` are filled from. */
struct params_source {
    const struct event *event;
    uint64_t now_ms;                 /* `now` of the expressions */
    const struct event_zones *zones; /* NULL: fixed offsets only */
};

/* Fills a trigger's `parameters:`, then checks as above. A path to what is
 * absent or empty, and an expression that gives optional.none() or null, leave
 * an optional parameter at its default and are an error for a required one
 * ("parameter 'instance': the event has no labels.instance"). An expression
 * that fails is an error for both. All together have one budget. */
NODISCARD int params_from_event(const struct runbook *rb, uint32_t trigger_no,
                                const struct params_source *from,
                                struct arena *a, struct str *ret_json,
                                struct err *reterr);

/* One parameter as text for argv and environment, from the JSON object that
 * params_check gave: 0, -ENOENT. */
NODISCARD int params_text(const struct runbook *rb, struct str json,
                          struct str name, struct arena *a, struct str *ret);

/* What stands for the value of a secret parameter wherever it is shown. */
#define PARAM_MASK "***"

/* Is this one secret, or not declared at all? */
bool params_is_secret(const struct runbook *rb, struct str name);

/* The JSON text with the values of secret parameters replaced by "***", for
 * API answers and logs. */
struct str params_masked(const struct runbook *rb, struct str json,
                         struct arena *a);

/* What the templates of a step may use. */
struct step_values {
    struct id workflow_id; /* ${{ workflow.id }} */
    uint64_t created_ms;
    uint64_t now_ms;
    struct str params_json; /* from params_check: ${{ parameters.NAME }} */
    struct str steps_json;  /* what the steps before have told; "": nothing */
    bool preview; /* from params_preview: what has no value yet stays a
                     template; `steps` and `now` have none */
};

/* A step made ready to run: exact argv (["/bin/sh","-c",command] for command
 * steps) and the environment entries that the runbook and its parameters give
 * (ADP_PARAM_<NAME>, env:), NUL-terminated strings in the arena, both arrays
 * NULL-terminated. An optional parameter without a value has no variable.
 * Single pass: values are never scanned again. */
struct rendered_step {
    char **argv;
    char **env;
};

/* Checks the parameters once more, then fills the step's templates. Errors:
 * a step that does not exist, those of params_check, an expression without a
 * value, a NUL in one, an argument that an expression begins with '-' (a
 * program would take it for an option; behind a constant "--" it may), -E2BIG
 * (the texts of the step together are larger than a process may be given). */
NODISCARD int step_render(const struct runbook *rb, uint32_t step_no,
                          const struct step_values *values, struct arena *a,
                          struct rendered_step *ret, struct err *reterr);
