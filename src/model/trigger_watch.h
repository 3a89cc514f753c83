/*
 * What a trigger watches over a time, for each subject: since when an alert
 * fires (`for`), when something was last heard of (`absent`), how often it
 * came and went (`flapping`), and which of two events about it is the newer
 * one (`on_resolve`). The subject is the key that `dedup` makes of an event;
 * without it the alert itself. A start that is due later stands in the row
 * with its time, so it survives restarts and reloads. Pure; any thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/strbuf.h"
#include "model/event.h"
#include "model/trigger_memory.h"

/* What becomes of the workflows of an alert that resolves. */
enum on_resolve {
    RESOLVE_UNSAID,     /* they finish, and nothing is remembered of it */
    RESOLVE_LET_FINISH, /* they finish; what is older starts nothing */
    RESOLVE_CANCEL,     /* they are cancelled as well */
};

/* Of a trigger; all 0: it watches nothing. */
struct trigger_watch {
    enum on_resolve on_resolve;
    uint64_t for_ms;       /* starts when it has been firing so long */
    uint64_t absent_ms;    /* starts when nothing has come for so long */
    uint32_t changes_most; /* of state within ..., else it is flapping */
    uint64_t changes_within_ms;
};

/* A resolved alert is remembered so long: an older event of it that comes late
 * starts nothing. */
#define WATCH_RESOLVED_MS (3600ULL * 1000)

/* A row of the store; its strings and arrays are borrowed. */
struct watch_row {
    struct str runbook_path;
    struct str trigger;         /* its name */
    struct str key;             /* the subject */
    enum event_state state;     /* EVENT_STATE_NONE: of what is to be absent */
    struct str alert;           /* fingerprint of the newest event, */
    uint64_t newest_seq;        /* its number, 0: none has come yet, */
    uint64_t starts_ms;         /* and since when it fires, as it says */
    uint64_t since_ms;          /* firing without a break, as we were told */
    uint64_t seen_ms;           /* when the newest event was taken */
    uint64_t due_ms;            /* when it starts a workflow; 0: it does not */
    uint64_t within_ms;         /* how long that is waited for */
    uint64_t expires_ms;        /* nothing of it matters from then on; 0: of
                               what is to be absent */
    struct id event_id;         /* what is due starts for this event, */
    struct str parameters;      /* with these values ("": those of no event), */
    struct str error;           /* or fails because of this */
    struct str held;            /* why it did not start when it was due */
    const uint64_t *changes_ms; /* of state, oldest first */
    uint32_t change_count;
};

/* Does it watch anything? */
bool trigger_watch_any(const struct trigger_watch *w);

/* Must it know when an alert is over? */
bool trigger_watch_resolves(const struct trigger_watch *w);

/* The subject of an event, in the arena; -ENOENT as trigger_key. */
NODISCARD int trigger_subject(const struct trigger_watch *w,
                              const struct dedup_part *parts, uint32_t count,
                              const struct event *e, struct arena *a,
                              struct str *ret);

/* When the alert has been firing long enough and is calm: 0 if it is. */
uint64_t watch_ready_ms(const struct trigger_watch *w,
                        const struct watch_row *row, uint64_t now_ms);

/* Until when it changes its state too often to be acted upon; 0: it is calm.
 */
uint64_t watch_calm_ms(const struct trigger_watch *w,
                       const struct watch_row *row, uint64_t now_ms);

/* Says what the row waits for, with the numbers: "for: 1m of 5m have passed
 * since it fires, due at 2026-...; key instance=web-1". Nothing if nothing is
 * due. */
void watch_explain(const struct trigger_watch *w, const struct watch_row *row,
                   uint64_t now_ms, struct strbuf *out);

/* "for", "absent", "flapping": what the row waits for; "" for nothing. */
const char *watch_wait_name(const struct trigger_watch *w,
                            const struct watch_row *row, uint64_t now_ms);
