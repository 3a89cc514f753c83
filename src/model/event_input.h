/*
 * An event in memory as the input of an expression, without copying it: each
 * field is read when an expression first asks for it, and remembered for the
 * next expression about the same event. The body is parsed at most once, and
 * only for fields that the row does not have (value, annotations, payload...).
 *
 * An input borrows the event and the arena; it belongs to one thread. Pure.
 */
#pragma once

#include "model/event.h"
#include "model/event_cel.h"

/* What became of an event, for expressions with EVENT_CEL_FILTER. */
struct event_outcome {
    enum event_status status;
    struct str error;       /* "" if none */
    struct id duplicate_of; /* ID_NULL if none */
};

/* Who knows the offsets of time zones: see struct cel_input. */
struct event_zones {
    int (*offset)(void *context, struct str name, int64_t seconds,
                  int32_t *ret);
    void *context;
};

#define EVENT_INPUT_FIELDS_MAX 32

struct event_input {
    struct cel_input input; /* for cel_program_run */
    const struct event *event;
    const struct event_outcome *outcome; /* NULL: not known, fields absent */
    const struct event_zones *zones;     /* set it if there are some */
    struct arena *arena;
    struct cel_value now;
    json_t *body; /* NULL: not read yet, or not readable */
    bool body_read;
    struct cel_map map;
    struct cel_map labels;
    uint32_t known;   /* bit per field: its value below is right */
    uint32_t present; /* bit per field: the event has it */
    struct cel_value values[EVENT_INPUT_FIELDS_MAX];
};

/* Makes *ret show the event at that time; the struct must not be moved
 * afterwards. Release it before the event or the arena go. */
void event_input_init(struct event_input *ret, const struct event *event,
                      const struct event_outcome *outcome, uint64_t now_ms,
                      struct arena *arena);
void event_input_release(struct event_input *x);
