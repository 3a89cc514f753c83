/*
 * What is worth keeping over time: flows (how much happened, summed) and the
 * numbers of the JSON view (as they are at an instant), as one list of series
 * for a history. And the way back: a new process is told what happened before
 * it, so that its windows and rates do not begin at zero.
 *
 * Pure; any thread, as telemetry.h.
 */
#pragma once

#include "telemetry/histogram.h"
#include "telemetry/telemetry.h"

enum telemetry_flow {
    FLOW_EVENTS_ACCEPTED,
    FLOW_EVENTS_PROCESSED,
    FLOW_EVENT_ERRORS,
    FLOW_WORKFLOWS_SUCCEEDED, /* of the success rates: no dry runs */
    FLOW_WORKFLOWS_FAILED,    /* failed or killed */
    FLOW_WORKFLOW_MS,         /* summed durations of these two */
    FLOW_WORKFLOWS_TRIGGERED, /* started by an event */
    FLOW_REMEDIATIONS_ENDED,  /* of those: reached a final status */
    FLOW_REMEDIATIONS_SUCCEEDED,
    TELEMETRY_FLOWS
};

/* n more now: counted, and added to the windows that it belongs to. */
void telemetry_flow(struct telemetry *t, enum telemetry_flow which,
                    uint64_t now_ms, uint64_t n);

/* Counted since the start. */
uint64_t telemetry_flow_total(const struct telemetry *t,
                              enum telemetry_flow which);

/* n happened at at_ms, before this process: only these windows get it, unless
 * it is too old for them. */
#define TELEMETRY_HOUR 1U /* those by the second */
#define TELEMETRY_DAY 2U  /* those by the minute */
void telemetry_restore(struct telemetry *t, enum telemetry_flow which,
                       uint64_t at_ms, uint64_t now_ms, uint64_t n,
                       unsigned windows);

/* Is there a window of that length that counts this flow? */
bool telemetry_has_window(enum telemetry_flow which, unsigned window);

/* The windows know everything since then (or longer). */
void telemetry_known_since(struct telemetry *t, uint64_t ms);

/* How many observations each bucket has, since the start; the bounds are in
 * *ret_bounds_us, one less than the buckets. Returns the number of buckets. */
uint32_t telemetry_timing_counts(const struct telemetry *t,
                                 enum telemetry_timing which,
                                 uint64_t ret[HISTOGRAM_BUCKETS_MAX + 1],
                                 const uint64_t **ret_bounds_us);

/* ---- the list ------------------------------------------------------------ */

#define TELEMETRY_SERIES_MAX 64

struct telemetry_series {
    const char *name;
    const char *unit;
    const char *help;
    bool is_flow; /* summed over a step; else a mean with its extremes */
    enum telemetry_flow flow;
};

size_t telemetry_series_count(void);
struct telemetry_series telemetry_series(size_t i);

/* The series of this name, or of the name it is the same as; -ENOENT. */
NODISCARD int telemetry_series_find(struct str name, size_t *ret);

/* The number of a series that is no flow, as it is now. */
double telemetry_series_value(const struct telemetry *t,
                              const struct telemetry_state *s, uint64_t now_ms,
                              size_t i);
