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
#define EVENT_ANNOTATION_VALUE_MAX_BYTES 16384
#define EVENT_WORD_MAX_BYTES 64    /* type, severity */
#define EVENT_SOURCE_MAX_BYTES 128 /* also metric_name and fingerprint */
#define EVENT_TEXT_MAX_BYTES 4096  /* generator_url, group_key */
#define EVENT_BODY_MAX_BYTES 262144

struct event_field {
    const char *name;
    const char *type; /* JSON type, for the schema: "string", "object"... */
    const char *help;
};

/* The fields an event may have; *ret_count of them. */
const struct event_field *event_fields(size_t *ret_count);

/* Checks json (an object) and fills *ret: every string lives in the arena.
 * Fields that are null or empty texts count as absent, labels with an empty
 * value do not exist. An alert fires unless it says otherwise, has severity
 * labels.severity unless told, and the fingerprint of its labels.
 *
 * body is the object written compactly: timestamp, type, severity and source
 * first, the rest in the order of the input, then what was filled in;
 * instants (timestamp, starts_at, ends_at) are epoch seconds. id, seq,
 * received_ms, attempt and dedup_key are left for the caller. Returns 0, or
 * -EINVAL/-E2BIG/-ERANGE with the field named in reterr. */
NODISCARD int event_from_json(const json_t *json, struct arena *a,
                              struct event *ret, struct err *reterr);

/* The same, quickly, straight from the text of an event as most senders write
 * one: known fields, printable ASCII without escapes, whole numbers, no times.
 * Returns 0, or -EAGAIN for anything else, right or wrong: json_read and
 * event_from_json then say what it is. The result of both is the same, but
 * strings here borrow from the text. */
NODISCARD int event_from_text(struct str text, struct arena *a,
                              struct event *ret);

/* Appends the event as the API shows it: the row's fields, the body's fields
 * (spliced in as text), then attempts, error and duplicate_of. `error` may be
 * empty and `duplicate_of` NULL or null. */
void event_add_json(struct strbuf *out, const struct event *e,
                    enum event_status status, struct str error,
                    const struct id *duplicate_of);

/* A value of the event by path: "id", "type", "severity", "source", "state",
 * "fingerprint", "priority", "received_at", "labels.NAME" and
 * "annotations.NAME" (the rest of the path is the name), or any field of the
 * body ("value", "payload.a.0.b", numbers index arrays). Text form for
 * scalars. Returns 0 with the text in the arena, -ENOENT when the path is
 * absent, null or empty, -EINVAL when it is not a scalar. */
NODISCARD int event_lookup(const struct event *e, struct str path,
                           struct arena *a, struct str *ret);
