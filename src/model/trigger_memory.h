/*
 * What a trigger remembers of the events and workflows of one key, and what
 * follows from that: whether it may start another workflow now. The key names
 * what the events are about (`dedup: [labels.instance]`). All that is
 * remembered are instants, so a limit that is changed applies to what has been
 * before, and nothing has ever to be given back. Pure; any thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/strbuf.h"
#include "model/event.h"

/* A longer key is cut and ends in a hash of all of it: at most so many bytes.
 */
#define TRIGGER_KEY_MAX_BYTES 256

/* Instants of either kind in one memory: bounds count and max_runs. */
#define TRIGGER_MEMORY_MAX 100

/* In any memory, those of guards included (model/guards.h). */
#define MEMORY_INSTANTS_MAX 1000

#define TRIGGER_DEDUP_MAX 8 /* parts of a key */

enum dedup_field { DEDUP_TYPE, DEDUP_SEVERITY, DEDUP_SOURCE, DEDUP_LABEL };

struct dedup_part {
    enum dedup_field field;
    struct str label; /* its name */
};

/* All 0: the trigger remembers nothing. */
struct trigger_limits {
    uint64_t cooldown_ms;
    uint32_t count_least; /* starts at so many events within ... */
    uint64_t count_within_ms;
    uint32_t runs_most; /* starts so many workflows within ... */
    uint64_t runs_within_ms;
    bool escalate; /* people are told when that holds something back */
};

/* A row of the store; its strings and arrays are borrowed. */
struct memory_row {
    struct str runbook_path;
    struct str trigger; /* its name: see struct trigger */
    struct str key;
    uint64_t expires_ms;       /* nothing of it matters from then on */
    struct id last_workflow;   /* ID_NULL: it has started none */
    const uint64_t *events_ms; /* when counted ones were received, oldest
                                  first */
    uint32_t event_count;
    const uint64_t *starts_ms; /* of workflows, oldest first */
    uint32_t start_count;
};

/* What a memory means at an instant. */
struct memory_state {
    uint32_t events;         /* that count */
    uint32_t runs;           /* in the window */
    uint64_t runs_until_ms;  /* when there is room for another, or the
                                oldest leaves it; 0: none */
    uint64_t cool_passed_ms; /* since the last start */
    uint64_t cool_until_ms;  /* 0: it does not cool down */
};

enum memory_hold { MEMORY_FREE, MEMORY_COOLS, MEMORY_SPENT, MEMORY_COUNTS };

/* Does it remember anything? */
bool trigger_limits_any(const struct trigger_limits *l);

/* How long a start of a workflow matters. */
uint64_t trigger_limits_starts_ms(const struct trigger_limits *l);

/* The key of an event, in the arena: "instance=web-1,severity=critical"; ""
 * without parts. Two events have the same key only if all parts are the same.
 * -ENOENT: the event lacks a part, and *ret is its name ("labels.instance"). */
NODISCARD int trigger_key(const struct dedup_part *parts, uint32_t count,
                          const struct event *e, struct arena *a,
                          struct str *ret);

/* The state at now_ms, when the newest event was received at event_ms. */
struct memory_state memory_state_at(const struct trigger_limits *l,
                                    const struct memory_row *row,
                                    uint64_t now_ms, uint64_t event_ms);

/* May the trigger start a workflow in this state? The first reason not to. */
enum memory_hold memory_hold_of(const struct trigger_limits *l,
                                const struct memory_state *s);

/* Says so, with the numbers: "cooldown: 12m of 30m have passed since wf-…
 * started; key instance=web-1". Nothing for MEMORY_FREE. */
void memory_explain(const struct trigger_limits *l,
                    const struct memory_row *row, const struct memory_state *s,
                    struct strbuf *out);

/* "cooldown", "max_runs", "count"; "" for MEMORY_FREE. */
const char *memory_hold_name(enum memory_hold h);
