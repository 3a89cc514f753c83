/*
 * What an expression (expr/cel.h) sees: `event` with the fields of the event
 * table and those that the store adds, `now`, and where there are some,
 * `parameters`. One table, which documentation and help derive from, the same
 * for everything that evaluates expressions about events. Values come from an
 * event in memory (event_input.h) or, for trying, from JSON (below). Pure; any
 * thread.
 */
#pragma once

#include <jansson.h>

#include "base/arena.h"
#include "base/err.h"
#include "expr/cel.h"

enum event_cel_variable {
    EVENT_CEL_EVENT,
    EVENT_CEL_NOW,
    EVENT_CEL_PARAMETERS,
    EVENT_CEL_VARIABLES
};

/* What an expression is for. */
enum event_cel_use {
    EVENT_CEL_TRY,   /* by hand: event, now, parameters */
    EVENT_CEL_WHEN,  /* a trigger's condition: event, now; gives a bool */
    EVENT_CEL_FILL,  /* a trigger's parameters: event, now */
    EVENT_CEL_FILTER /* of lists: the same, and what became of the event */
};

/* The environment, made in the arena: event.labels and event.annotations are
 * texts whose keys may be absent, numbers are doubles, instants timestamps,
 * the payload and parameters are of any type. */
const struct cel_env *event_cel_env(struct arena *a, enum event_cel_use use);

/* The table as it is shown to people: row i has a name ("event.labels"), its
 * type and what it means; false past the last. */
struct event_cel_row {
    const char *object; /* "event", or "" for the variable itself */
    const char *name;
    const struct cel_type *type;
    const char *help;
    bool only_lists; /* filters see it, triggers do not */
};
bool event_cel_row(size_t i, struct event_cel_row *ret);

/* The values for one evaluation; `input` is for cel_program_run. */
struct event_cel {
    struct cel_input input;
    struct cel_value values[EVENT_CEL_VARIABLES];
    bool has_event;
};

/* Fills *ret, in the arena, from an event as it is sent or shown (NULL:
 * there is none, and using it is an error) and parameters (an object or
 * NULL). Texts that the event has not are "", labels and annotations empty,
 * state, severity and priority what they would be if it were accepted; other
 * fields are absent. Fields of no meaning here are left out. Returns 0,
 * or -EINVAL or -ERANGE with the field named. `zone` is left for the
 * caller. */
NODISCARD int event_cel_fill(struct event_cel *ret, const json_t *event,
                             const json_t *parameters, uint64_t now_ms,
                             struct arena *a, struct err *reterr);
