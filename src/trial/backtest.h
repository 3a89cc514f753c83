/*
 * Stored events replayed against a draft of a runbook: what it would have
 * started, when and for which keys, and what its triggers' limits and guards
 * would have held back; beside what did run. Steps take a given time and
 * succeed. One thread; memory grows with what the draft starts and with its
 * keys, both bounded, not with the events.
 */
#pragma once

#include "trial/trial.h"

#define BACKTEST_STARTS_MAX 1000 /* that are listed; all are counted */
#define BACKTEST_KEYS_MAX 10000
#define BACKTEST_REASONS_MAX 100
#define BACKTEST_STEP_MS 10000
#define BACKTEST_COMPARED_MAX                                                  \
    1000000 /* events that are compared with reality */

struct backtest_options {
    struct runbook *rb;
    const struct event_zones *zones; /* may be NULL */
    uint64_t step_ms;                /* what a step takes */
};

struct backtest_start {
    uint64_t at_ms;
    struct id event_id;
    struct str key;        /* "" if the trigger has none */
    struct str trigger;    /* its name */
    struct str parameters; /* JSON, secrets masked */
    struct str error;      /* why it would fail at once; "" if it would run */
};

/* By key of a trigger, in order of appearance. */
struct backtest_key {
    struct str key;
    uint64_t starts;
    uint64_t held;
    uint64_t first_ms;
    uint64_t last_ms;
};

/* Why events started nothing, by the guard that said so. */
struct backtest_reason {
    struct str guard; /* "cooldown" */
    uint64_t count;
    struct str example;
    struct id event_id; /* of the example */
    uint64_t at_ms;
};

struct backtest_report {
    uint64_t events;    /* that were matched */
    uint64_t matched;   /* of those: a trigger fits */
    uint64_t started;   /* workflows */
    uint64_t refused;   /* of those: parameters that cannot be */
    uint64_t held;      /* events that fit and started nothing */
    uint64_t undecided; /* a condition had no value */
    uint64_t busiest;   /* most workflows unfinished at once */
    bool endless;       /* it was given up: the draft never comes to rest */
    uint64_t first_ms;  /* of the events */
    uint64_t last_ms;
    /* Of the events for which a workflow ran, or would now. */
    uint64_t both;
    uint64_t only_then;
    uint64_t only_now;
    VEC(struct backtest_start) starts;
    VEC(struct backtest_key) keys;
    VEC(struct backtest_reason) reasons;
};

struct backtest;

struct backtest *backtest_new(const struct backtest_options *options);
void backtest_free(struct backtest *b);

/* The next event, in the order in which they were received. */
void backtest_event(struct backtest *b, const struct event *event);

/* A workflow of the runbook did run for this event; before or after it. */
void backtest_did_run(struct backtest *b, struct id event_id);

/* The end of the events; the report lives as long as the back-test. */
const struct backtest_report *backtest_finish(struct backtest *b);
