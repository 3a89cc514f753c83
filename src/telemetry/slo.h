/*
 * The objectives of the platform itself, as one table, and what has become of
 * them in a window of time. The numbers come from records: when the engine was
 * up, how long things took, how workflows ended, what people said of them.
 *
 * Pure; any thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"

enum slo {
    SLO_AVAILABILITY,
    SLO_EVENT_LATENCY,
    SLO_WORKFLOW_SUCCESS,
    SLO_EXECUTION_TIME,
    SLO_FALSE_POSITIVES,
    SLO_DETECTION_ACCURACY,
    SLO_AUTO_REMEDIATION,
    SLOS
};

/* The window unless another is asked for. */
#define SLO_WINDOW_MS (UINT64_C(30) * 24 * 3600 * 1000)

enum slo_comparison { SLO_LESS, SLO_MORE, SLO_AT_LEAST };

struct slo_definition {
    const char *name;  /* for programs */
    const char *title; /* for people */
    const char *measured;
    enum slo_comparison comparison;
    double target;
    const char *unit;    /* of target and actual: "ratio", "seconds" */
    double bad_share;    /* of all that the budget allows to be bad */
    const char *counted; /* unit of samples and budget */
};

extern const struct slo_definition slo_definitions[SLOS];

/* "<", ">", ">=" */
const char *slo_comparison_text(enum slo_comparison c);

/* count observations of at most bound_us, and more than the bound before;
 * ascending; the last bound is UINT64_MAX. */
struct slo_bucket {
    uint64_t bound_us;
    uint64_t count;
};

struct slo_times {
    const struct slo_bucket *buckets;
    uint32_t count;
};

struct slo_input {
    uint64_t up_ms;
    uint64_t known_ms;           /* what part of the window is known at all */
    struct slo_times latency;    /* event received to workflow durable */
    struct slo_times execution;  /* first step started to final */
    uint64_t succeeded;          /* workflows without dry runs */
    uint64_t failed;             /* failed or killed */
    uint64_t remediations_ended; /* started by an event */
    uint64_t remediations_succeeded;
    uint64_t triggered; /* workflows that events started */
    uint64_t judged;    /* verdicts on those */
    uint64_t false_positives;
    uint64_t missed; /* incidents that nothing noticed */
};

struct slo_result {
    uint64_t samples; /* 0: nothing is known, and nothing below means much */
    double actual;
    bool met;
    double budget_total; /* in units of `counted`: so much may be bad */
    double budget_used;  /* so much was; more than the total: missed */
};

/* How each objective stands. */
void slo_compute(const struct slo_input *input, struct slo_result ret[SLOS]);

/* Share of the budget that is left: 1 untouched, below 0 overspent. With a
 * budget of nothing: 1, or 0 when something was bad. */
double slo_budget_left(const struct slo_result *r);
