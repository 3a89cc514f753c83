#include "telemetry/slo.h"

#define LATENCY_S 5
#define EXECUTION_S 120
#define QUANTILE 0.95
#define US_PER_S 1000000

const struct slo_definition slo_definitions[SLOS] = {
    [SLO_AVAILABILITY] = {"availability", "Platform availability",
                          "time the engine was up, of the time since it was "
                          "first started",
                          SLO_AT_LEAST, 0.999, "ratio", 0.001, "seconds"},
    [SLO_EVENT_LATENCY] = {"event_processing_latency_p95",
                           "Event processing latency (p95)",
                           "event received to its workflow durable", SLO_LESS,
                           LATENCY_S, "seconds", 1 - QUANTILE, "workflows"},
    [SLO_WORKFLOW_SUCCESS] = {"workflow_success_rate", "Workflow success rate",
                              "succeeded of succeeded, failed and killed "
                              "workflows",
                              SLO_AT_LEAST, 0.95, "ratio", 0.05, "workflows"},
    [SLO_EXECUTION_TIME] = {"runbook_execution_time_p95",
                            "Runbook execution time (p95)",
                            "first step started to the end of the workflow",
                            SLO_LESS, EXECUTION_S, "seconds", 1 - QUANTILE,
                            "workflows"},
    [SLO_FALSE_POSITIVES] = {"false_positive_rate", "False positive rate",
                             "judged false positive, of the workflows that "
                             "events started",
                             SLO_LESS, 0.05, "ratio", 0.05, "workflows"},
    [SLO_DETECTION_ACCURACY] = {"incident_detection_accuracy",
                                "Incident detection accuracy",
                                "workflows that events started and nobody "
                                "judged wrong, of those and the missed "
                                "incidents",
                                SLO_MORE, 0.98, "ratio", 0.02, "incidents"},
    [SLO_AUTO_REMEDIATION] = {"auto_remediation_success_rate",
                              "Auto-remediation success rate",
                              "succeeded, of the workflows that events started "
                              "and that ended; stopped by a person counts as "
                              "not succeeded",
                              SLO_AT_LEAST, 0.80, "ratio", 0.20, "workflows"},
};

const char *slo_comparison_text(enum slo_comparison c)
{
    static const char *const texts[] = {
        [SLO_LESS] = "<", [SLO_MORE] = ">", [SLO_AT_LEAST] = ">="};
    return texts[c];
}

static bool is_met(const struct slo_definition *d, double actual)
{
    switch (d->comparison) {
    case SLO_LESS:
        return actual < d->target;
    case SLO_MORE:
        return actual > d->target;
    case SLO_AT_LEAST:
        return actual >= d->target;
    }
    return false;
}

/* ---- kinds of objectives --------------------------------------------------
 */

/* A share of `all`: the good ones, or the bad ones when less is better. */
static struct slo_result share(const struct slo_definition *d, uint64_t all,
                               uint64_t bad)
{
    struct slo_result r = {.samples = all};
    bad = MIN(bad, all);
    if (all != 0) {
        uint64_t wanted = d->comparison == SLO_LESS ? bad : all - bad;
        r.actual = (double)wanted / (double)all;
        r.met = is_met(d, r.actual);
        r.budget_total = (double)all * d->bad_share;
        r.budget_used = (double)bad;
    }
    return r;
}

/* Linear inside its bucket; the highest bound when it lies above them all. */
static double quantile_us(const struct slo_times *t, uint64_t all)
{
    double wanted = QUANTILE * (double)all;
    double below = 0;
    double lower_us = 0;
    for (uint32_t i = 0; i < t->count; i++) {
        const struct slo_bucket *b = &t->buckets[i];
        double here = (double)b->count;
        if (b->bound_us == UINT64_MAX) {
            break;
        }
        if (here > 0 && below + here >= wanted) {
            double part = (wanted - below) / here;
            return lower_us + part * ((double)b->bound_us - lower_us);
        }
        below += here;
        lower_us = (double)b->bound_us;
    }
    return lower_us;
}

static struct slo_result times(const struct slo_definition *d,
                               const struct slo_times *t)
{
    uint64_t all = 0;
    uint64_t slow = 0;
    uint64_t limit_us = (uint64_t)d->target * US_PER_S;
    for (uint32_t i = 0; i < t->count; i++) {
        all += t->buckets[i].count;
        slow += t->buckets[i].bound_us > limit_us ? t->buckets[i].count : 0;
    }
    struct slo_result r = {.samples = all};
    if (all != 0) {
        r.actual = quantile_us(t, all) / US_PER_S;
        r.met = is_met(d, r.actual);
        r.budget_total = (double)all * d->bad_share;
        r.budget_used = (double)slow;
    }
    return r;
}

static struct slo_result availability(const struct slo_definition *d,
                                      const struct slo_input *in)
{
    struct slo_result r = share(d, in->known_ms, in->known_ms - in->up_ms);
    r.samples = (in->known_ms + 999) / 1000;
    r.budget_total /= 1000;
    r.budget_used /= 1000;
    return r;
}

void slo_compute(const struct slo_input *in, struct slo_result ret[SLOS])
{
    const struct slo_definition *d = slo_definitions;
    /* Without any verdict nobody has looked: nothing is known. */
    uint64_t triggered = in->judged != 0 ? in->triggered : 0;
    uint64_t incidents = in->judged + in->missed != 0 ? in->triggered : 0;
    ret[SLO_AVAILABILITY] = availability(&d[SLO_AVAILABILITY], in);
    ret[SLO_EVENT_LATENCY] = times(&d[SLO_EVENT_LATENCY], &in->latency);
    ret[SLO_WORKFLOW_SUCCESS] =
        share(&d[SLO_WORKFLOW_SUCCESS], in->succeeded + in->failed, in->failed);
    ret[SLO_EXECUTION_TIME] = times(&d[SLO_EXECUTION_TIME], &in->execution);
    ret[SLO_FALSE_POSITIVES] =
        share(&d[SLO_FALSE_POSITIVES], MAX(triggered, in->judged),
              in->false_positives);
    ret[SLO_DETECTION_ACCURACY] = share(&d[SLO_DETECTION_ACCURACY],
                                        MAX(incidents, in->judged) + in->missed,
                                        in->false_positives + in->missed);
    uint64_t ended = in->remediations_ended;
    ret[SLO_AUTO_REMEDIATION] =
        share(&d[SLO_AUTO_REMEDIATION], ended,
              ended - MIN(in->remediations_succeeded, ended));
}

double slo_budget_left(const struct slo_result *r)
{
    if (r->budget_total <= 0) {
        return r->budget_used > 0 ? 0 : 1;
    }
    return (r->budget_total - r->budget_used) / r->budget_total;
}
