/*
 * What an expression (expr/cel.h) sees: `event` with the fields of the event
 * table and its id, `parameters`, and `now`. The same for everything that
 * evaluates expressions about events. Pure; any thread.
 */
#pragma once

#include <jansson.h>

#include "base/arena.h"
#include "base/err.h"
#include "expr/cel.h"

enum event_cel_variable {
    EVENT_CEL_EVENT,
    EVENT_CEL_PARAMETERS,
    EVENT_CEL_NOW,
    EVENT_CEL_VARIABLES
};

/* The environment, made in the arena: event.labels and event.annotations are
 * texts whose keys may be absent, numbers are doubles, instants timestamps,
 * the payload and parameters are of any type. */
const struct cel_env *event_cel_env(struct arena *a);

/* The values for one evaluation; `input` is for cel_program_run. */
struct event_cel {
    struct cel_input input;
    struct cel_value values[EVENT_CEL_VARIABLES];
    bool has_event;
};

/* Fills *ret, in the arena, from an event as it is sent or shown (NULL:
 * there is none, and using it is an error) and parameters (an object or
 * NULL). Texts that the event has not are "", labels and annotations empty;
 * other fields are absent. Fields of no meaning here are left out. Returns 0,
 * or -EINVAL or -ERANGE with the field named. `zone` is left for the
 * caller. */
NODISCARD int event_cel_fill(struct event_cel *ret, const json_t *event,
                             const json_t *parameters, uint64_t now_ms,
                             struct arena *a, struct err *reterr);
