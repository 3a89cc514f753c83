/*
 * Records: what the engine says has happened, as changes of rows. The store
 * applies a batch of them in one transaction, all or none (I9: before any of
 * the actions that go with them). Pure data; the strings in a record are
 * borrowed from the effects it came in.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/id.h"
#include "model/change.h"
#include "model/decision.h"
#include "model/event.h"
#include "model/notice.h"
#include "model/trigger_memory.h"
#include "model/trigger_watch.h"
#include "model/workflow.h"

enum record_kind {
    RECORD_EVENT_DONE,    /* a claimed event reached this status */
    RECORD_WORKFLOW_NEW,  /* a workflow row is born */
    RECORD_WORKFLOW_SET,  /* the changing half of a workflow row */
    RECORD_ATTEMPT_NEW,   /* the intent to run a step: before it is run */
    RECORD_ATTEMPT_SET,   /* the changing half of an attempt row */
    RECORD_OUTPUT,        /* a chunk of output; a repeated one, and one
                             of a workflow that is gone, is ignored */
    RECORD_EVENTS_FREE,   /* a claim is given up: its events are queued again */
    RECORD_EVENTS_MOVE,   /* an operator moves events that nobody has claimed */
    RECORD_EVENTS_RANK,   /* an operator gives queued events a priority */
    RECORD_EVENTS_DROP,   /* events that are over for long are removed */
    RECORD_WORKFLOW_DROP, /* a final workflow is removed */
    RECORD_REQUEST,       /* what a request with a key has made */
    RECORD_SETTING,       /* a setting has this value from now on */
    RECORD_AUDIT,         /* the next row of the audit trail */
    RECORD_NOTICE_NEW,    /* a partner system is to be told something */
    RECORD_NOTICE_TRIED,  /* what became of trying to */
    RECORD_VERDICT,       /* what somebody says of a workflow, from now on */
    RECORD_MEMORY_SET,    /* what a trigger remembers of a key, all of it */
    RECORD_MEMORY_DROP,   /* it remembers nothing of this key any more */
    RECORD_WATCH_SET,     /* what a trigger watches of a key, all of it */
    RECORD_WATCH_DROP,    /* it watches nothing of this key any more */
    RECORD_KINDS
};

struct record_event_done {
    uint64_t seq;
    struct id event_id;
    uint64_t claim; /* fencing token of the claim; another one: -ESTALE */
    enum event_status status;
    uint64_t at_ms;
    struct str error;
    bool undecided; /* a condition had no value: not stored, but told */
    /* What was decided, as JSON (model/decision.h); "" while it was not. */
    struct str decision;
    uint32_t held[HOLD_KINDS]; /* starts that were held back; not stored */
};

/* Oldest first. Moved into the queue, an event is as new: no attempts. */
struct record_events_move {
    enum event_status from; /* not EVENT_PROCESSING: those have an owner */
    enum event_status to;
    struct id event_id; /* this one only; ID_NULL: any */
    uint32_t limit;     /* at most so many */
    uint64_t at_ms;
    struct str error; /* why; "" when there is nothing to say */
};

/* Of `limit` events from first_seq on, those that are queued and match. */
struct record_events_rank {
    struct str type;     /* "": any */
    struct str severity; /* "": any */
    uint8_t priority;
    uint64_t first_seq;
    uint32_t limit;
};

/* Of `limit` events from first_seq on, those that are over (processed,
 * suppressed, deduplicated, archived), were received before before_ms and have
 * no unfinished workflow: their rows go, and from then on they are counted as
 * archived. */
struct record_events_drop {
    uint64_t first_seq;
    uint32_t limit;
    uint64_t before_ms;
    /* An alert that fires at now_ms and was not repeated since stays, unless:
     */
    bool live_alerts; /* those go, too */
    uint64_t now_ms;
};

/* With its attempts and its output, of which at most output_limit chunks go
 * at a time: the workflow stays until they are gone. One that is not final, or
 * is not there, stays as it is. With the last workflow of a runbook version the
 * version goes (STORE_PIN it again for the next one), and with a workflow the
 * verdict on it, if that is about a time before verdicts_before_ms. */
struct record_workflow_drop {
    struct id workflow_id;
    uint32_t output_limit;
    uint64_t verdicts_before_ms;
};

/* The same request again, before it expires, gets this and makes nothing. */
struct record_request {
    struct str key;
    uint8_t hash[32]; /* of what was asked; another one is refused */
    uint64_t expires_ms;
    struct id made; /* the workflow */
};

struct record {
    enum record_kind kind;
    union {
        struct record_event_done event_done;
        struct workflow_row workflow; /* NEW: rev 1; SET: rev = old + 1 */
        struct attempt_row attempt;
        struct output_chunk output;
        uint64_t free_claim; /* RECORD_EVENTS_FREE: the fencing token */
        struct record_events_move move;
        struct record_events_rank rank;
        struct record_events_drop drop;
        struct record_workflow_drop workflow_drop;
        struct record_request request;
        struct setting_row setting;
        struct audit_row audit;   /* seq and hash: the store's */
        struct notice_row notice; /* seq: the store's */
        struct notice_try tried;
        struct verdict_row verdict;
        struct memory_row memory; /* DROP: only its names count */
        struct watch_row watch;   /* the same */
    };
};
