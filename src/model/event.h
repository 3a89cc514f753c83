/*
 * The event: something that happened (alert, metric, webhook, change), as it
 * is accepted, stored and matched. This header has its fields and its states;
 * reading one from JSON and its limits are in event_json.h. Pure; any thread.
 *
 * An event owns nothing: its strings live in the arena or row it was read
 * from.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/id.h"
#include "base/str.h"
#include "model/labels.h"

/* Life of an accepted event (invariant I1: exactly one of these). The numbers
 * are stored: never renumber. EVENT_ERROR: processing failed, will be retried
 * (claimed again like a queued one, until its attempts are used up). */
enum event_status {
    EVENT_QUEUED = 0,
    EVENT_PROCESSING = 1,
    EVENT_PROCESSED = 2,
    EVENT_SUPPRESSED = 3,
    EVENT_DEDUPLICATED = 4,
    EVENT_DRAINED = 5,
    EVENT_POISON = 6,
    EVENT_ARCHIVED = 7,
    EVENT_ERROR = 8,
    EVENT_STATUSES
};

/* "queued", "processing", ... as in the API. */
const char *event_status_name(enum event_status s);
NODISCARD int event_status_parse(struct str text, enum event_status *ret);

/* Over for good, so that its row may be removed one day. Drained and poison
 * ones are not: they wait for an operator. */
bool event_status_is_over(enum event_status s);

/* I3: may an event move from one status to the other? */
bool event_status_may(enum event_status from, enum event_status to);

/* For alerts: does it fire or has it cleared? Other events: none. Stored. */
enum event_state { EVENT_STATE_NONE = 0, EVENT_FIRING = 1, EVENT_RESOLVED = 2 };

const char *event_state_name(enum event_state s); /* "", firing, resolved */

/* A firing alert is over when it was resolved, when it ends by itself, or when
 * nobody has told it again for this long. */
#define EVENT_ALERT_SILENT_MS (24ULL * 3600 * 1000)

/* 0 is the most urgent, 9 the least; what an event has unless told. */
#define EVENT_PRIORITY_DEFAULT 5
#define EVENT_PRIORITY_MAX 9

struct event {
    struct id id;
    uint64_t seq; /* order of acceptance; 0 until stored */
    uint64_t received_ms;
    uint64_t starts_ms; /* alerts: since when it fires; 0: not told */
    uint64_t ends_ms;   /* alerts: over by itself then; 0: when resolved */
    enum event_state state;
    uint8_t priority;
    uint32_t attempt;       /* times claimed, this one included */
    struct str type;        /* "alert" */
    struct str severity;    /* "" if none */
    struct str source;      /* "" if none */
    struct str fingerprint; /* "" if none: what makes two events the same */
    struct str dedup_key;   /* "" if the event can never be a duplicate */
    struct labels labels;
    struct str body; /* JSON object text: all fields as accepted */
};

/* When a firing alert is over unless it is told again. */
uint64_t event_alert_ends_ms(const struct event *e);
