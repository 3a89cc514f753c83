/*
 * One expression tried on one event, for people: its value, its type, what is
 * wrong with it and where, and what it should look out for, as the JSON that
 * both the API and adctl show. Pure; any thread.
 */
#pragma once

#include "model/event_cel.h"

/* A value that is larger as JSON is not shown. */
#define EVENT_EVAL_VALUE_MAX_BYTES (256U * 1024)
/* Room for everything else. */
#define EVENT_EVAL_MAX_BYTES (1024U * 1024)

struct event_eval {
    struct str expr;
    const json_t *event;      /* NULL: none */
    const json_t *parameters; /* NULL: none */
    const json_t *step;       /* values as in step_try.h, instead of both;
                                 NULL: it is about an event */
    uint64_t now_ms;
    /* See struct cel_input; NULL: fixed offsets only. */
    int (*zone)(void *context, struct str name, int64_t seconds,
                int32_t *ret_offset);
    void *zone_context;
};

/* Appends an object: valid (it can be evaluated at all), type, value, text
 * (the value as an expression), error (null, or message, hint, line, column,
 * offset and picture) and warnings (a list of such). Returns 0 whatever the
 * expression is worth, or -EINVAL or -ERANGE with the field named when the
 * event or the parameters are wrong. */
NODISCARD int event_eval(const struct event_eval *what, struct strbuf *out,
                         struct err *reterr);
