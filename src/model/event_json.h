/*
 * Reading an event from the JSON of POST /api/events (the manual's two
 * shapes), with strict validation: unknown fields, wrong types and values
 * over a limit are errors that name the field. The accepted fields stand in
 * one table, which documentation and OpenAPI derive from. Pure; any thread.
 */
#pragma once

#include <jansson.h>

#include "base/arena.h"
#include "base/err.h"
#include "model/event.h"

/* Limits of one event; each has a test. */
#define EVENT_LABELS_MAX 64
#define EVENT_ANNOTATIONS_MAX 64
#define EVENT_LABEL_NAME_MAX_BYTES 128
#define EVENT_LABEL_VALUE_MAX_BYTES 4096
#define EVENT_WORD_MAX_BYTES 64    /* type, severity */
#define EVENT_SOURCE_MAX_BYTES 128
#define EVENT_BODY_MAX_BYTES (256 * 1024)

struct event_field {
    const char *name;
    const char *type; /* JSON type, for the schema: "string", "object"... */
    const char *help;
};

/* The fields an event may have; *ret_count of them. */
const struct event_field *event_fields(size_t *ret_count);

/* Checks json (an object) and fills *ret: every string lives in the arena,
 * body is the object written compactly in the order of the input. id, seq and
 * received_ms are left for the caller. Returns 0, or -EINVAL/-E2BIG/-ERANGE
 * with the field named in reterr. */
NODISCARD int event_from_json(const json_t *json, struct arena *a,
                              struct event *ret, struct err *reterr);

/* Appends the event as the API shows it: its body with id, status, received_at
 * and the rest of the row in front. `error` and `duplicate_of` may be empty. */
void event_add_json(struct strbuf *out, const struct event *e,
                    enum event_status status, struct str error,
                    const struct id *duplicate_of);

/* A value of the event by path ("labels.instance", "annotations.summary",
 * "type", "value", "payload.a.b"): text form for scalars. Returns 0 with the
 * text in the arena, -ENOENT when the path is absent, -EINVAL when it is not
 * a scalar. */
NODISCARD int event_lookup(const struct event *e, struct str path,
                           struct arena *a, struct str *ret);
