/*
 * The fields that expressions see of an event, as numbers: those that are
 * sent (event_json_priv.h), then those that the store adds. Private to
 * event_cel.c and event_input.c.
 */
#pragma once

#include "model/event_cel.h"
#include "model/event_json_priv.h"

enum event_cel_field_no {
    EVENT_CEL_ID = EVENT_FIELDS,
    EVENT_CEL_RECEIVED_AT,
    EVENT_CEL_LISTED, /* those from here on only lists of events have */
    EVENT_CEL_STATUS = EVENT_CEL_LISTED,
    EVENT_CEL_ATTEMPTS,
    EVENT_CEL_ERROR,
    EVENT_CEL_DUPLICATE_OF,
    EVENT_CEL_FIELDS
};

/* What CEL knows an instant of milliseconds as. */
struct cel_value event_cel_instant(uint64_t ms);
