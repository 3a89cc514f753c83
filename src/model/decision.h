/*
 * What was decided about an event, so that it can be said later: the runbooks
 * that were in force (their digest), and each start that was held back, by
 * what and with which numbers. Kept with the event as JSON:
 *
 *   {"runbooks": "5f0c…", "held": [{"runbook": "disk.yaml", "trigger": "full",
 *    "guard": "cooldown", "reason": "12m of 30m have passed since wf-…"}],
 *    "left_out": 0}
 *
 * A reason that the engine gives is a sentence that begins with the name of its
 * guard: "cooldown: 12m of …". Pure; one thread.
 */
#pragma once

#include <stdint.h>

#include "base/arena.h"
#include "base/strbuf.h"

/* What holds back starts, for counting. A guard that is not here is "other";
 * its name is kept with the event all the same. */
enum hold {
    HOLD_DISABLED, /* the runbook, by an operator */
    HOLD_DEDUP,    /* the event lacks a part of the key */
    HOLD_COOLDOWN,
    HOLD_MAX_RUNS,
    HOLD_COUNT,
    HOLD_TRIGGER_MEMORY, /* no more keys can be remembered */
    HOLD_MAX_STARTS,     /* of a runbook, or of all */
    HOLD_MAX_AGE,
    HOLD_BREAKER,
    HOLD_CONCURRENCY, /* on_limit: drop */
    HOLD_OTHER,
    HOLD_KINDS
};

/* "cooldown"; NULL past the last. */
const char *hold_name(size_t i);

/* The guard that the reason names. */
enum hold hold_of(struct str reason);

/* Held-back starts of one event that are kept with it; the rest is counted. */
#define DECISION_HELD_MAX 32
#define DECISION_MAX_BYTES 16384
/* A longer reason is cut. */
#define DECISION_REASON_MAX_BYTES 512

struct held {
    struct str runbook; /* path */
    struct str trigger; /* name */
    const char *guard;  /* NULL: the reason begins with it */
    struct str reason;
};

/* Zeroed before the first use; deinit it. */
struct decision {
    struct strbuf text; /* of the list */
    uint32_t held;      /* in it */
    uint32_t left_out;
    uint32_t counts[HOLD_KINDS]; /* of all */
};

void decision_init(struct decision *d);
void decision_deinit(struct decision *d);
void decision_add(struct decision *d, const struct held *h);

/* The whole as JSON, in the arena; "" if nothing is known. */
struct str decision_json(const struct decision *d, struct str digest,
                         struct arena *a);
