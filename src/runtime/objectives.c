#include "runtime/objectives.h"

#include "telemetry/series.h"

/* The flows that count, in the order of `names`. */
static const enum telemetry_flow flows[] = {
    FLOW_WORKFLOWS_SUCCEEDED, FLOW_WORKFLOWS_FAILED, FLOW_WORKFLOWS_TRIGGERED,
    FLOW_REMEDIATIONS_ENDED, FLOW_REMEDIATIONS_SUCCEEDED};

static int read_flows(struct history *h, uint64_t from_ms, uint64_t now_ms,
                      struct slo_input *in)
{
    const char *names[ARRAY_LEN(flows)];
    double sums[ARRAY_LEN(flows)];
    for (size_t i = 0; i < ARRAY_LEN(flows); i++) {
        names[i] = telemetry_series(flows[i]).name;
    }
    struct history_window window = {.from_ms = from_ms, .now_ms = now_ms};
    int r = history_sums(h, &window, names, ARRAY_LEN(flows), sums);
    if (r == 0) {
        in->succeeded = (uint64_t)sums[0];
        in->failed = (uint64_t)sums[1];
        in->triggered = (uint64_t)sums[2];
        in->remediations_ended = (uint64_t)sums[3];
        in->remediations_succeeded = (uint64_t)sums[4];
    }
    return r;
}

static int read_times(struct history *h, enum objectives_timing which,
                      uint64_t from_ms, struct arena *a, struct slo_times *ret)
{
    struct history_timing *rows = NULL;
    uint32_t count = 0;
    int r = history_timings(h, which, from_ms, a, &rows, &count);
    if (r == 0) {
        struct slo_bucket *buckets = ARENA_ARRAY(a, count, struct slo_bucket);
        for (uint32_t i = 0; i < count; i++) {
            buckets[i].bound_us = rows[i].bound_us;
            buckets[i].count = rows[i].count;
        }
        *ret = (struct slo_times){.buckets = buckets, .count = count};
    }
    return r;
}

int objectives_compute(struct history *h, struct reader *reader,
                       uint64_t from_ms, uint64_t now_ms,
                       struct slo_result ret[SLOS])
{
    CLEANUP(arena_deinit) struct arena a = ARENA_INIT;
    struct slo_input in = {0};
    struct history_up up = {0};
    uint64_t verdicts[VERDICTS] = {0};
    int r = history_up(h, from_ms, now_ms, &up);
    if (r == 0) {
        r = read_flows(h, from_ms, now_ms, &in);
    }
    if (r == 0) {
        r = read_times(h, OBJECTIVES_LATENCY, from_ms, &a, &in.latency);
    }
    if (r == 0) {
        r = read_times(h, OBJECTIVES_EXECUTION, from_ms, &a, &in.execution);
    }
    if (r == 0) {
        r = reader->ops->verdict_counts(reader, from_ms, verdicts);
    }
    if (r < 0) {
        return r;
    }
    in.up_ms = up.up_ms;
    in.known_ms = up.known_ms;
    in.false_positives = verdicts[VERDICT_FALSE_POSITIVE];
    in.judged = verdicts[VERDICT_CORRECT] + in.false_positives;
    in.missed = verdicts[VERDICT_MISSED];
    slo_compute(&in, ret);
    return 0;
}
