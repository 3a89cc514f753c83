/*
 * Why does an event start a workflow, or not? Every trigger of a generation is
 * looked at, not only those that the index would find, and every condition of
 * it, not only the first that fails; the nearest misses come first. The
 * verdicts are those of generation_match (match/generation.h) at the same
 * time: tests/unit/explain compares them over random events and triggers.
 *
 * Borrows the event, the generation and the zones; everything it says lives in
 * the arena of the explanation. Pure; one explanation by one thread.
 */
#pragma once

#include "expr/cel_explain.h"
#include "match/generation.h"

/* Triggers in one explanation. */
#define EXPLAIN_TRIGGERS_MAX 100

/* Regular expressions that are tried only to see how near a trigger is, all
 * together; one that runs into its limit counts as many. */
#define EXPLAIN_PATTERNS_MAX 20000
#define EXPLAIN_PATTERN_LIMIT_COSTS 5000

/* The first three are what has all its other conditions met. */
enum explain_verdict {
    EXPLAIN_MATCHES,
    EXPLAIN_UNDECIDED, /* a regular expression ran into its limit */
    EXPLAIN_NO_VALUE,  /* its `when` has no value: it starts nothing */
    EXPLAIN_MISSES,
    EXPLAIN_VERDICTS
};

/* "matches", "undecided", "no_value", "misses"; NULL past the last. */
const char *explain_verdict_name(size_t i);

struct explain_condition {
    struct str what;   /* "type", "state", "label instance" */
    struct str wanted; /* "alert", "critical or warning", "=~ db-.*" */
    struct str actual; /* "" if the event has none */
    int holds;         /* 1, 0, or -E2BIG: it cannot be decided */
};

struct explained_trigger {
    struct runbook *runbook; /* borrowed from the generation */
    uint32_t trigger_no;
    enum explain_verdict verdict;
    struct explain_condition *conditions; /* without `when` */
    uint32_t condition_count;
    uint32_t failed; /* of all conditions, `when` among them */
    /* `when`, if the trigger has one. It was not looked at by the engine when
     * another condition failed; it is evaluated here all the same. */
    bool has_when;
    struct cel_explanation when;
    struct str when_error; /* why it has no value; "" if it has one */
};

struct explain_query {
    const struct generation *generation;
    const struct event *event;
    struct match_input input; /* the time is what `now` was, or would be */
    struct str runbook;       /* only this path; "": all */
    bool only_starts;         /* leave out what misses */
    uint32_t first;           /* of the ranking: skip so many */
    uint32_t limit;           /* 1..EXPLAIN_TRIGGERS_MAX */
};

struct explanation {
    uint32_t considered;
    uint32_t of[EXPLAIN_VERDICTS]; /* sum: considered */
    struct explained_trigger *triggers;
    uint32_t count;
    bool more; /* triggers come behind these */
    struct arena arena;
};

/* Zeroed before the first use; deinit it. */
void explain_event(const struct explain_query *q, struct explanation *ret);
void explanation_deinit(struct explanation *x);

/* ---- guards -------------------------------------------------------------- */

/* One of a trigger's limits, with its numbers. */
struct explain_guard {
    const char *name; /* "cooldown", "max_runs", "count", "dedup" */
    bool holds_back;  /* one more event of the key, at that time */
    uint64_t until_ms;
    struct str text;
};

#define EXPLAIN_GUARDS_MAX 4

/* The limits of the trigger for the event, from what is remembered of its key
 * (NULL: nothing is) at now_ms. Texts in the arena; how many. */
uint32_t explain_guards(const struct trigger *t, const struct event *e,
                        const struct memory_row *row, uint64_t now_ms,
                        struct arena *a,
                        struct explain_guard ret[EXPLAIN_GUARDS_MAX]);
