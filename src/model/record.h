/*
 * Records: what the engine says has happened, as changes of rows. The store
 * applies a batch of them in one transaction, all or none (I9: before any of
 * the actions that go with them). Pure data; the strings in a record are
 * borrowed from the effects it came in.
 */
#pragma once

#include <stdint.h>

#include "base/id.h"
#include "model/event.h"
#include "model/workflow.h"

enum record_kind {
    RECORD_EVENT_DONE,   /* a claimed event reached this status */
    RECORD_WORKFLOW_NEW, /* a workflow row is born */
    RECORD_WORKFLOW_SET, /* the changing half of a workflow row */
    RECORD_ATTEMPT_NEW,  /* the intent to run a step: before it is run */
    RECORD_ATTEMPT_SET,  /* the changing half of an attempt row */
    RECORD_OUTPUT,       /* a chunk of output; a repeated one is ignored */
    RECORD_KINDS
};

struct record_event_done {
    uint64_t seq;
    struct id event_id;
    uint64_t claim; /* fencing token of the claim; another one: -ESTALE */
    enum event_status status;
    uint64_t at_ms;
    struct str error;
};

struct record {
    enum record_kind kind;
    union {
        struct record_event_done event_done;
        struct workflow_row workflow; /* NEW: rev 1; SET: rev = old + 1 */
        struct attempt_row attempt;
        struct output_chunk output;
    };
};
