/*
 * What the files that read an event share: its fields as numbers, and the
 * state of one reading. Private to event_json.c, event_fields.c,
 * event_body.c, event_plain.c and what shows events to expressions.
 */
#pragma once

#include "model/event_json.h"

enum event_field_no {
    FIELD_TYPE,
    FIELD_SEVERITY,
    FIELD_SOURCE,
    FIELD_TIMESTAMP,
    FIELD_LABELS,
    FIELD_ANNOTATIONS,
    FIELD_METRIC_NAME,
    FIELD_VALUE,
    FIELD_STATE,
    FIELD_FINGERPRINT,
    FIELD_STARTS_AT,
    FIELD_ENDS_AT,
    FIELD_GENERATOR_URL,
    FIELD_GROUP_KEY,
    FIELD_PAYLOAD,
    FIELD_PRIORITY,
    EVENT_FIELDS
};

extern const struct event_field event_field_table[EVENT_FIELDS];

/* One event while it is read. */
struct event_reading {
    const json_t *values[EVENT_FIELDS];      /* NULL: absent */
    enum event_field_no order[EVENT_FIELDS]; /* of the input */
    size_t count;
    struct arena *arena;
    struct event event;
    uint64_t timestamp_ms;
    bool fingerprint_made; /* filled in, not given */
    struct err *err;
};

/* [a-z][a-z0-9_.-]* */
bool event_is_type_word(struct str s);

/* Writes the canonical body of what was read into r->event.body: 0, or -E2BIG
 * when it is longer than an event may be. */
NODISCARD int event_write_body(struct event_reading *r);
